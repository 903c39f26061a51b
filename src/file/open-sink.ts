/**
 * The files behind a RecordSink: opened, made ready ahead of time, finished, removed. This is the main thread's part: workers append
 * (sink.ts), which file comes when is decided in rotation.ts, and what has a name where is output-file.ts.
 */
import { existsSync } from 'node:fs'
import { CaptureError } from '../errors.js'
import { POLLFD, POLLOUT } from '../kernel/abi/process.js'
import { type Kernel, openKernel } from '../kernel/system.js'
import { appendAlone } from './append-alone.js'
import type { FileEvent, Spares } from './capture-file.js'
import { fileFailed } from './file-failed.js'
import { Guard } from './guard.js'
import type { NumberedName } from './numbered-name.js'
import { OutputFile, partialNameOf, refusing } from './output-file.js'
import { PostCommands } from './post-commands.js'
import { checkRotation, FileSequence, type RotationOptions, type RotationReason } from './rotation.js'
import { type CommandsOfFiles, SeriesRoom } from './series-room.js'
import { AMOUNT, createSinkShared, PLACES, REASONS, RecordSink, type SinkShared, STATE, WORD, wordsOf } from './sink.js'

export interface SinkOptions {
  /** What each file begins with. */
  header?: (() => Uint8Array) | undefined
  /** What each file ends with; the file of that name is as long as `bytes` so far. */
  trailer?: ((path: string, bytes: number) => Uint8Array) | undefined
  /** How long that is, at the most, where `rotation.sizeBytes` is to bound the whole file. Default: 0. */
  trailerBytes?: number | undefined
  rotation?: RotationOptions | undefined
  /** Who begins the next file: whoever appends, when it is due (the default), or nobody but `rotate()`. */
  rotateBy?: 'append' | 'hand' | undefined
  /** What has the name when the file is complete stays: it gets the first of these that is free. Not for a series. */
  numbered?: NumberedName | undefined
  /** Run for each finished file, its name being the one argument. */
  command?: string | undefined
  /** How many commands run at the same time; the others wait. Default: 2. */
  commandsAtOnce?: number | undefined
  /** Whether a process stands by to cut and name the files if this one is killed; or one that others use, too. Default: true. */
  guard?: boolean | Guard | undefined
  /** Ends the waiting for somebody who reads a FIFO. */
  signal?: AbortSignal | undefined
  onEvent?: ((event: FileEvent) => void) | undefined
  /** What must not be replaced by a file of a series, nor written over in place: what the packets are read from. */
  spares?: Spares | undefined
  kernel?: Kernel | undefined
}

interface WrittenFile {
  output: OutputFile
  name: string
  guardSlot: number
}

/** How often time and room are looked at where nothing is appended. */
const WATCH_MS = 500

const NO_COMMANDS: CommandsOfFiles = { forget() {}, isRunning: () => false }

/**
 * Opens what is to be written; `-` is stdout. Regular files appear under their names when they are complete (output-file.ts).
 * @throws CaptureError INVALID_OPTION, or FILE_FAILED with the errno: then nothing is left behind.
 */
export async function openSink(path: string, options: SinkOptions = {}): Promise<Sink> {
  const rotation = options.rotation ?? {}
  checkRotation(rotation)
  const kernel = options.kernel ?? openKernel()
  const sequence = new FileSequence(path, rotation, Date.now() / 1000)
  const output = await OutputFile.open(kernel, sequence.name, options.signal, options.spares)
  try {
    if (!output.isRegular && (rotation.sizeBytes ?? rotation.seconds) !== undefined) {
      throw new CaptureError('INVALID_OPTION', `${path}: rotation needs regular files, and this is none`, { hint: 'write to a file, or without -C and -G' })
    }
    return new Sink(kernel, output, sequence, options)
  } catch (error) {
    output.discard()
    throw error
  }
}

export class Sink implements AsyncDisposable {
  /** What a worker needs for a RecordSink of its own. */
  readonly shared: SinkShared
  readonly #kernel: Kernel
  readonly #options: SinkOptions
  readonly #rotation: RotationOptions
  readonly #records: RecordSink
  readonly #words: Int32Array<SharedArrayBuffer>
  readonly #amounts: Float64Array<SharedArrayBuffer>
  readonly #room: SeriesRoom
  readonly #commands: PostCommands | undefined
  readonly #guard: Guard | undefined
  readonly #sequence: FileSequence
  #current: WrittenFile
  /** Files that are ready to follow, or have been taken since `#settle`. */
  readonly #ready: WrittenFile[] = []
  /** How many of those that were made ready have become `#current`. */
  #taken = 0
  #isFirst = true
  #generation = 0
  #filesFinished = 0
  #left: string | undefined
  #toldNoNext = false
  #failure: CaptureError | undefined
  #closed: Promise<void> | undefined

  /** @internal Use openSink. */
  constructor(kernel: Kernel, output: OutputFile, sequence: FileSequence, options: SinkOptions) {
    this.#kernel = kernel
    this.#options = options
    this.#rotation = options.rotation ?? {}
    this.#sequence = sequence
    const { command } = options
    this.#commands =
      command === undefined
        ? undefined
        : new PostCommands({
            command,
            atOnce: options.commandsAtOnce ?? 2,
            onStart: (file) => this.#room.beforeCommand(file),
            onFailed: (file, reason) => this.#warn(`${command} ${file}: ${reason}`),
            onEnd: (file) => this.#room.afterCommand(file),
          })
    this.#room = new SeriesRoom(this.#rotation, options.rotateBy === 'hand', this.#commands ?? NO_COMMANDS, (event) => this.#tell(event))
    this.shared = createSinkShared({ fd: output.fd, isRegular: output.isRegular, size: output.position })
    const { words, amounts } = wordsOf(this.shared.lock)
    this.#words = words
    this.#amounts = amounts
    this.#records = new RecordSink(kernel, this.shared)
    this.#current = { output, name: sequence.name, guardSlot: -1 }

    const written = this.#records.appendLast(options.header?.() ?? new Uint8Array(0))
    if (written < 0) throw fileFailed(this.#current.name, 'write', written)
    amounts[AMOUNT.headerBytes] = this.#records.size
    // Last of what can fail: a process would be left behind.
    this.#guard = output.isRegular ? this.#openGuard(options.guard ?? true) : undefined
    if (this.#guard !== undefined) this.#guardFirst(this.#guard)
    if (options.rotateBy !== 'hand') this.#rotateByAppend()
  }

  #openGuard(guard: boolean | Guard): Guard | undefined {
    if (typeof guard !== 'boolean') return guard
    if (!guard) return undefined
    return Guard.start(this.#kernel, (reason) => this.#warn(`the process that guards against a kill does not run: ${reason}`))
  }

  get #isSeries(): boolean {
    return (this.#rotation.sizeBytes ?? this.#rotation.seconds) !== undefined
  }

  /** Whoever reads what is to be replaced loses it only for a file that is whole, which one is not that a guard must name. */
  #guardName(name: string): string {
    return this.#options.spares === undefined ? name : partialNameOf(name)
  }

  #guardFirst(guard: Guard): void {
    const slot = guard.add(this.#current.output, this.#guardName(this.#current.name), undefined, this.#options.numbered)
    this.#current.guardSlot = slot
    if (slot < 0) return
    this.#words[WORD.guardSlot] = slot
    this.#words[WORD.guardFd] = guard.memoryFd
    this.#tellGuard(slot, this.#records.size)
  }

  #tellGuard(slot: number, length: number): void {
    if (this.#guard === undefined || slot < 0) return
    this.#kernel.pwrite(this.#guard.memoryFd, new Uint8Array(Float64Array.of(length).buffer), slot * 8)
  }

  #rotateByAppend(): void {
    const { sizeBytes, seconds, keepBytes } = this.#rotation
    if (sizeBytes === undefined && seconds === undefined) return
    const now = Date.now()
    this.#amounts[AMOUNT.sizeLimit] = sizeBytes === undefined ? Number.POSITIVE_INFINITY : Math.max(1, sizeBytes - (this.#options.trailerBytes ?? 0))
    this.#amounts[AMOUNT.interval] = seconds === undefined ? Number.POSITIVE_INFINITY : seconds * 1000
    this.#amounts[AMOUNT.began] = now
    this.#amounts[AMOUNT.timeLimit] = now + (this.#amounts[AMOUNT.interval] as number)
    this.#prepare()
    if (keepBytes !== undefined) this.#keepRoom()
    void this.#watch(seconds !== undefined, keepBytes !== undefined)
  }

  /** Settles what the threads have begun, as soon as they have, and looks at the clock now and then. */
  async #watch(byTime: boolean, byRoom: boolean): Promise<void> {
    while (this.#closed === undefined) {
      const seen = this.#generation
      const waited = Atomics.waitAsync(this.#words, WORD.generation, seen, WATCH_MS)
      if (waited.async) await waited.value
      if (this.#closed !== undefined) return
      this.#settle()
      if (byTime) this.#records.rotateIfTimeIsOver()
      this.#settle()
      if (byRoom) this.#keepRoom()
      this.#prepare()
      this.#beginDue()
    }
  }

  /** The final name of the file that is being written. */
  get path(): string {
    return this.#current.name
  }

  /** Length of the current file; of a pipe, what went through. */
  get size(): number {
    return this.#records.size
  }

  get isRegular(): boolean {
    return this.#current.output.isRegular
  }

  /** Whether what is written goes on without waiting: a pipe whose reader has time has room. */
  get hasRoom(): boolean {
    if (this.isRegular) return true
    const ask = new DataView(new ArrayBuffer(POLLFD.sizeof))
    ask.setInt32(POLLFD.fd, this.#current.output.fd, true)
    ask.setInt16(POLLFD.events, POLLOUT, true)
    return this.#kernel.poll(new Uint8Array(ask.buffer), 1, 0) !== 0
  }

  /** Bytes that were written, of appends under way too: moves as long as the reader of a pipe reads. */
  get taken(): number {
    return this.#amounts[AMOUNT.taken] as number
  }

  /** As many files as were ordered are written. */
  get isFull(): boolean {
    return this.#words[WORD.state] === STATE.full
  }

  /** Half a record is in it that cannot be taken back: nothing more is written. */
  get isBroken(): boolean {
    return this.#words[WORD.state] === STATE.broken
  }

  /** Once it is closed: what there is of the last file, under what name. Nothing when it was removed; but one written in place stays. */
  get left(): string | undefined {
    return this.#left
  }

  get filesFinished(): number {
    return this.#filesFinished
  }

  /** Pid of the guard's process, if there is one. */
  get guardPid(): number | undefined {
    return this.#guard?.pid
  }

  /** As RecordSink.append, from the main thread. */
  append(bytes: Uint8Array, length: number, packets = 0): number {
    return this.#records.append(bytes, length, packets)
  }

  /**
   * With `rotateBy: 'hand'`: the first record that has a time has this one, in seconds since 1970; names and intervals count from there. Those
   * without may have filled files before.
   */
  begin(seconds: number): void {
    this.#sequence.begin(seconds)
    this.#current.name = this.#current.output.nameAs(this.#sequence.name)
    this.#guard?.rename(this.#current.guardSlot, this.#guardName(this.#current.name))
  }

  /** With `rotateBy: 'hand'`: whether another file must begin before the next record is written. */
  due(bytes: number, seconds: number): RotationReason | undefined {
    return this.#sequence.due(bytes, seconds)
  }

  /**
   * Goes on in the next file, whose time is `seconds` since 1970, by default now. False when the current one goes on: there is nothing
   * in it yet, the next one cannot be made, or (`files-full`) none is to follow.
   */
  rotate(reason: RotationReason, seconds = Date.now() / 1000): boolean {
    if (this.#closed !== undefined || this.#words[WORD.state] !== STATE.open) return false
    if (this.#sequence.isLast(reason)) {
      this.#words[WORD.state] = STATE.full
      this.#full()
      return false
    }
    if (!this.#hasRecords || (this.#ready.length === 0 && !this.#prepareNext(reason, seconds, true))) return false
    if (!this.#records.rotate(reason)) return false
    this.#settle(seconds)
    return true
  }

  /** Lets whoever waits for room in a pipe give up: its reader may never come back. */
  cancel(): void {
    Atomics.store(this.#words, WORD.isCancelled, 1)
  }

  /**
   * Ends the file, gives it its name, waits for commands. Idempotent. Nobody may append any more.
   * @throws CaptureError FILE_FAILED when the end of the file could not be written, or the name not be given.
   */
  close(): Promise<void> {
    this.#closed ??= this.#close('whole')
    return this.#closed
  }

  /** How many commands have not ended. */
  get commandsLeft(): number {
    return this.#commands?.left ?? 0
  }

  /** `close` waits for no command any more. */
  leaveCommands(): void {
    const left = this.#commands?.leave() ?? 0
    if (left > 0) this.#warn(`${this.#options.command} is not run for the last ${left === 1 ? 'file' : `${left} files`}`)
  }

  /** Closes a file that is not what it was to be: what has its name stays, and it is NAME.partial then. `path` is its name. */
  closePartial(): Promise<void> {
    this.#closed ??= this.#close('partial')
    return this.#closed
  }

  /** Closes, and removes the current file. */
  discard(): Promise<void> {
    this.#closed ??= this.#close('none')
    return this.#closed
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #close(kept: 'whole' | 'partial' | 'none'): Promise<void> {
    this.#records.exclusively(() => {
      if (this.#words[WORD.state] !== STATE.broken) this.#words[WORD.state] = STATE.closed
    })
    Atomics.notify(this.#words, WORD.generation)
    this.#settle()
    for (const file of this.#ready) this.#drop(file)
    this.#left = undefined
    // A file that was only begun because its time had come has nothing to tell.
    const isEmpty = !this.#isFirst && !this.#hasRecords
    if (kept !== 'none' && !isEmpty) this.#finish(this.#current, this.#records.size, this.#amounts[AMOUNT.packets] as number, kept === 'partial')
    else {
      this.#drop(this.#current)
      if (this.#current.output.isInPlace) this.#left = this.#current.name
    }
    await this.#commands?.finished()
    if (this.#guard !== undefined && this.#guard !== this.#options.guard) await this.#guard.close()
    if (this.#failure !== undefined) throw this.#failure
  }

  get #hasRecords(): boolean {
    return this.#records.size > (this.#amounts[AMOUNT.headerBytes] as number)
  }

  /** Makes files ready to follow, as many as are wanted. */
  #prepare(): void {
    const { sizeBytes, seconds = 0 } = this.#rotation
    const [reason, began]: [RotationReason, number] = sizeBytes === undefined ? ['time', Date.now() / 1000 + seconds] : ['size', Date.now() / 1000]
    while (this.#ready.length < this.#room.ahead && this.#prepareNext(reason, began, false));
  }

  /** Goes on in a file that could not be made ready before it was due. */
  #beginDue(): void {
    const asked = Atomics.load(this.#words, WORD.asked)
    if (asked === 0 || this.#ready.length > 0) return
    const reason = REASONS[asked - 1] as RotationReason
    if (!this.#prepareNext(reason, Date.now() / 1000, true)) return
    this.#records.rotate(reason)
    this.#settle()
  }

  /** Makes one more file ready, with its header in it: one that would be written in place, and so emptied, only when it `isDue`. */
  #prepareNext(reason: RotationReason, began: number, isDue: boolean): boolean {
    if (this.#words[WORD.state] !== STATE.open) return false
    this.#words[WORD.isLast] = Number(this.#sequence.isLast('time'))
    if (this.#sequence.isLast(reason)) return false
    const name = this.#sequence.nameAfter(reason, began, this.#ready.length + 1)
    let output: OutputFile | undefined
    let guardSlot = -1
    let isEarly = false
    const announce = (partPath: string) => {
      guardSlot = this.#guard?.expect(partPath) ?? -1
    }
    const checkInPlace = (path: string) => {
      isEarly = !isDue
      if (isEarly) throw new CaptureError('FILE_FAILED', `${path}: it is written in place, and it is not its turn`)
      refusing(this.#options.spares)(path)
      if (this.#current.output.isAt(path)) throw new CaptureError('FILE_FAILED', `${path}: it is the one that is being written`)
    }
    try {
      output = OutputFile.openNow(name, undefined, announce, checkInPlace)
      if (!output.isRegular) throw new CaptureError('FILE_FAILED', `${name}: not a regular file`)
      const header = this.#options.header?.() ?? new Uint8Array(0)
      const written = appendAlone(this.#kernel, output.fd, 0, header)
      if (written < 0) throw fileFailed(name, 'write', written)
      this.#publish({ output, name, guardSlot: guardSlot < 0 ? -1 : (this.#guard?.add(output, this.#guardName(name), guardSlot) ?? -1) }, header.byteLength)
      this.#toldNoNext = false
      return true
    } catch (error) {
      output?.discard()
      if (guardSlot >= 0) this.#guard?.remove(guardSlot)
      // While others are ready it is tried again.
      if (isEarly || this.#ready.length > 0) return false
      if (!this.#toldNoNext) this.#warn(`the next file cannot be made, the current one goes on: ${(error as Error).message}`, error as CaptureError)
      this.#toldNoNext = true
      return false
    }
  }

  #publish(next: WrittenFile, headerBytes: number): void {
    const ready = this.#taken + this.#ready.length
    const place = ready % PLACES
    this.#ready.push(next)
    this.#amounts[AMOUNT.nextHeaderBytes + place] = headerBytes
    this.#words[WORD.nextGuardSlot + place] = next.guardSlot
    this.#words[WORD.nextFd + place] = next.output.fd
    // Last, and without the lock: who takes the file has seen the rest, and nobody has to be waited for.
    Atomics.store(this.#words, WORD.ready, ready + 1)
  }

  /** Does what follows from the threads having gone on to the next file, or to several. */
  #settle(began = Date.now() / 1000): void {
    const generation = Atomics.load(this.#words, WORD.generation)
    if (generation !== this.#generation && this.#words[WORD.state] === STATE.full) this.#full()
    this.#generation = generation
    // NB: not by the generation alone: a thread may have been terminated after it took a file and before it said so.
    const taken = Atomics.load(this.#words, WORD.taken)
    if (taken === this.#taken) return
    const left: [file: WrittenFile, bytes: number, packets: number][] = []
    for (; this.#taken !== taken; this.#taken++) {
      const place = this.#taken % PLACES
      left.push([this.#current, this.#amounts[AMOUNT.leftBytes + place] as number, this.#amounts[AMOUNT.leftPackets + place] as number])
      this.#isFirst = false
      this.#current = this.#ready.shift() as WrittenFile
      const name = this.#sequence.advance(REASONS[this.#words[WORD.leftFor + place] as number] as RotationReason, began)
      this.#current.name = this.#current.output.nameAs(name)
      this.#guard?.rename(this.#current.guardSlot, this.#guardName(this.#current.name))
    }
    if (this.#options.rotateBy !== 'hand') {
      this.#room.pace(
        left.map(([, bytes]) => bytes),
        this.#records.size,
      )
      // First, as the threads may need them at any moment: a rename over a large file takes its time.
      this.#prepare()
    }
    for (const [file, bytes, packets] of left) this.#finish(file, bytes, packets)
  }

  #full(): void {
    this.#tell({ type: 'files-full' })
  }

  /** Gives a file its last bytes and its name. */
  #finish(file: WrittenFile, length: number, packets: number, isPartial = false): void {
    const { output, guardSlot } = file
    const bytes = length + this.#writeTrailer(output, file.name, guardSlot, length)
    const contents = packets > 0 ? `${packets} ${packets === 1 ? 'packet' : 'packets'}` : `${bytes} bytes`
    let name = file.name
    try {
      // A series that took the name of what it is made of would have destroyed it if it failed later.
      const isSpared = !isPartial && this.#isSeries && !output.isInPlace && this.#options.spares?.(name) === true
      if (isPartial || isSpared) name = output.finishPartial(name, contents)
      else if (this.#options.numbered !== undefined) name = output.finishNumbered(this.#options.numbered, contents)
      else output.finish(name, contents)
      if (isSpared) this.#failure ??= new CaptureError('FILE_FAILED', `${file.name}: it is being read, so the file of the series that has its name is ${name}`)
    } catch (error) {
      this.#fail(error as CaptureError)
      this.#left = output.partPath !== undefined && existsSync(output.partPath) ? output.partPath : undefined
      return
    } finally {
      if (guardSlot >= 0) this.#guard?.remove(guardSlot)
    }
    file.name = name
    this.#left = name
    this.#filesFinished++
    if (!output.isRegular) return
    this.#tell({ type: 'file-finished', path: name, bytes, packets })
    this.#room.add(name, bytes)
    if (!isPartial) this.#commands?.run(name)
    if (this.#words[WORD.state] === STATE.open) this.#keepRoom()
    else this.#room.removeOld(0)
  }

  /** Answers how many bytes it has. */
  #writeTrailer(output: OutputFile, name: string, guardSlot: number, length: number): number {
    const trailer = this.#options.trailer?.(name, length) ?? new Uint8Array(0)
    if (trailer.byteLength === 0) return 0
    const isCurrent = output === this.#current.output
    const written = isCurrent ? this.#records.appendLast(trailer) : appendAlone(this.#kernel, output.fd, length, trailer)
    if (written < 0) {
      this.#fail(fileFailed(name, 'write', written))
      return 0
    }
    this.#tellGuard(guardSlot, length + trailer.byteLength)
    return trailer.byteLength
  }

  #drop({ output, guardSlot }: WrittenFile): void {
    output.discard()
    if (guardSlot >= 0) this.#guard?.remove(guardSlot)
  }

  #keepRoom(): void {
    const next = this.#room.keep(this.#records.size)
    if (next !== undefined) this.#amounts[AMOUNT.tellAt] = next
  }

  /** A failure that ends nothing now; `close` throws the first. */
  #fail(error: CaptureError): void {
    this.#failure ??= error
    this.#warn(error.message, error)
  }

  #warn(message: string, error?: CaptureError): void {
    this.#tell({ type: 'file-warning', message, ...(error === undefined ? {} : { error }) })
  }

  #tell(event: FileEvent): void {
    this.#options.onEvent?.(event)
  }
}
