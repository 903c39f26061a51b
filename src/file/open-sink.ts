/**
 * The files behind a RecordSink: opened, made ready ahead of time, finished, removed. This is the main thread's part: workers append
 * (sink.ts), which file comes when is decided in rotation.ts, and what has a name where is output-file.ts.
 */
import { statSync, unlinkSync } from 'node:fs'
import { CaptureError } from '../errors.js'
import { POLLFD, POLLOUT, SEEK_SET } from '../kernel/abi/process.js'
import { EINTR, EIO } from '../kernel/errno.js'
import { type Kernel, openKernel } from '../kernel/system.js'
import type { FileEvent } from './capture-file.js'
import { fileFailed, fsFailed } from './file-failed.js'
import { Guard } from './guard.js'
import { OutputFile } from './output-file.js'
import { PostCommands } from './post-commands.js'
import { checkRotation, FileSequence, KeptFiles, type RotationOptions, type RotationReason } from './rotation.js'
import { AMOUNT, createSinkShared, REASONS, RecordSink, type SinkShared, STATE, WORD, wordsOf } from './sink.js'

export interface SinkOptions {
  /** What each file begins with. */
  header?: (() => Uint8Array) | undefined
  /** What each file ends with; the file of that name is as long as `bytes` so far. */
  trailer?: ((path: string, bytes: number) => Uint8Array) | undefined
  rotation?: RotationOptions | undefined
  /** Who begins the next file: whoever appends, when it is due (the default), or nobody but `rotate()`. */
  rotateBy?: 'append' | 'hand' | undefined
  /** Run for each finished file, its name being the one argument. */
  command?: string | undefined
  /** How many commands run at the same time; the others wait. Default: 2. */
  commandsAtOnce?: number | undefined
  /** Whether a process stands by to cut and name the files if this one is killed; or one that others use, too. Default: true. */
  guard?: boolean | Guard | undefined
  /** Ends the waiting for somebody who reads a FIFO. */
  signal?: AbortSignal | undefined
  onEvent?: ((event: FileEvent) => void) | undefined
  kernel?: Kernel | undefined
}

interface WrittenFile {
  output: OutputFile
  name: string
  guardSlot: number
}

/** Endings of what commands leave in the place of a file. */
const COMPRESSED = ['.gz', '.bz2', '.xz', '.zst', '.lz4', '.lzo', '.br']

/** How often time and room are looked at where nothing is appended. */
const WATCH_MS = 500

/**
 * Opens what is to be written; `-` is stdout. Regular files appear under their names when they are complete (output-file.ts).
 * @throws CaptureError INVALID_OPTION, or FILE_FAILED with the errno: then nothing is left behind.
 */
export async function openSink(path: string, options: SinkOptions = {}): Promise<Sink> {
  const rotation = options.rotation ?? {}
  checkRotation(rotation)
  const kernel = options.kernel ?? openKernel()
  const sequence = new FileSequence(path, rotation, Date.now() / 1000)
  const output = await OutputFile.open(kernel, sequence.name, options.signal)
  try {
    if (!output.isRegular && (rotation.sizeBytes ?? rotation.seconds) !== undefined) {
      throw new CaptureError('INVALID_OPTION', `${path}: rotation needs regular files, and this is none`, { hint: 'write to a file, or without -C and -G' })
    }
    return new Sink(kernel, path, output, sequence, options)
  } catch (error) {
    output.discard()
    throw error
  }
}

export class Sink implements AsyncDisposable {
  /** What a worker needs for a RecordSink of its own. */
  readonly shared: SinkShared
  readonly #kernel: Kernel
  readonly #path: string
  readonly #options: SinkOptions
  readonly #rotation: RotationOptions
  readonly #records: RecordSink
  readonly #words: Int32Array<SharedArrayBuffer>
  readonly #amounts: Float64Array<SharedArrayBuffer>
  readonly #kept: KeptFiles
  readonly #commands: PostCommands | undefined
  readonly #guard: Guard | undefined
  #sequence: FileSequence
  #current: WrittenFile
  #next: WrittenFile | undefined
  #isFirst = true
  #generation = 0
  #filesFinished = 0
  #toldNoNext = false
  #failure: CaptureError | undefined
  #closed: Promise<void> | undefined

  /** @internal Use openSink. */
  constructor(kernel: Kernel, path: string, output: OutputFile, sequence: FileSequence, options: SinkOptions) {
    this.#kernel = kernel
    this.#path = path
    this.#options = options
    this.#rotation = options.rotation ?? {}
    this.#sequence = sequence
    this.#kept = new KeptFiles(this.#rotation.keepBytes ?? Number.POSITIVE_INFINITY)
    this.#commands =
      options.command === undefined
        ? undefined
        : new PostCommands(
            options.command,
            options.commandsAtOnce ?? 2,
            (file, reason) => this.#warn(`${options.command} ${file}: ${reason}`),
            (file) => this.#afterCommand(file),
          )
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

  #guardFirst(guard: Guard): void {
    const slot = guard.add(this.#current.output, this.#current.name)
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
    this.#amounts[AMOUNT.sizeLimit] = sizeBytes ?? Number.POSITIVE_INFINITY
    this.#amounts[AMOUNT.interval] = seconds === undefined ? Number.POSITIVE_INFINITY : seconds * 1000
    this.#amounts[AMOUNT.began] = now
    this.#amounts[AMOUNT.timeLimit] = now + (this.#amounts[AMOUNT.interval] as number)
    this.#prepareNext()
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
      if (byRoom) this.#removeOld(this.#records.size)
      if (this.#next === undefined) this.#prepareNext()
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

  /** With `rotateBy: 'hand'`: the first record is of this time, in seconds since 1970; names and intervals count from there. */
  begin(seconds: number): void {
    this.#sequence = new FileSequence(this.#path, this.#rotation, seconds)
    this.#current.name = this.#sequence.name
    this.#guard?.rename(this.#current.guardSlot, this.#current.name)
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
    if (this.#next === undefined) this.#prepareNext()
    if (this.#next === undefined || !this.#records.rotate(reason)) return false
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
    this.#closed ??= this.#close(true)
    return this.#closed
  }

  /** Closes, and removes the current file. */
  discard(): Promise<void> {
    this.#closed ??= this.#close(false)
    return this.#closed
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #close(keep: boolean): Promise<void> {
    this.#records.exclusively(() => {
      if (this.#words[WORD.state] !== STATE.broken) this.#words[WORD.state] = STATE.closed
    })
    Atomics.notify(this.#words, WORD.generation)
    while (Atomics.load(this.#words, WORD.generation) !== this.#generation) this.#settle()
    if (this.#next !== undefined) this.#drop(this.#next)
    // A file that was only begun because its time had come has nothing to tell.
    const isEmpty = !this.#isFirst && this.#records.size <= (this.#amounts[AMOUNT.headerBytes] as number)
    if (keep && !isEmpty) this.#finish(this.#current, this.#records.size, this.#amounts[AMOUNT.packets] as number)
    else this.#drop(this.#current)
    await this.#commands?.finished()
    if (this.#guard !== undefined && this.#guard !== this.#options.guard) await this.#guard.close()
    if (this.#failure !== undefined) throw this.#failure
  }

  /** Makes the next file ready, with its header in it. */
  #prepareNext(): void {
    const { sizeBytes, seconds } = this.#rotation
    const reason: RotationReason = sizeBytes === undefined ? 'time' : 'size'
    if (this.#words[WORD.state] !== STATE.open) return
    this.#words[WORD.isLast] = Number(this.#sequence.isLast('time'))
    if (this.#sequence.isLast(reason)) return
    const name = this.#sequence.nameAfter(reason, Date.now() / 1000 + (reason === 'time' ? (seconds ?? 0) : 0))
    let output: OutputFile | undefined
    let guardSlot = -1
    try {
      output = OutputFile.openNow(name, undefined, (partPath) => {
        guardSlot = this.#guard?.expect(partPath) ?? -1
      })
      if (!output.isRegular) throw new CaptureError('FILE_FAILED', `${name}: not a regular file`)
      const header = this.#options.header?.() ?? new Uint8Array(0)
      const written = appendAlone(this.#kernel, output.fd, 0, header)
      if (written < 0) throw fileFailed(name, 'write', written)
      this.#publish({ output, name, guardSlot: guardSlot < 0 ? -1 : (this.#guard?.add(output, name, guardSlot) ?? -1) }, header.byteLength)
      this.#toldNoNext = false
    } catch (error) {
      output?.discard()
      if (guardSlot >= 0) this.#guard?.remove(guardSlot)
      if (!this.#toldNoNext) this.#warn(`the next file cannot be made, the current one goes on: ${(error as Error).message}`, error as CaptureError)
      this.#toldNoNext = true
    }
  }

  #publish(next: WrittenFile, headerBytes: number): void {
    this.#next = next
    this.#amounts[AMOUNT.nextHeaderBytes] = headerBytes
    this.#words[WORD.nextGuardSlot] = next.guardSlot
    // Last, and without the lock: who takes the file has seen the rest, and nobody has to be waited for.
    Atomics.store(this.#words, WORD.nextFd, next.output.fd)
  }

  /** Does what follows from the threads having gone on to the next file. */
  #settle(began = Date.now() / 1000): void {
    const generation = Atomics.load(this.#words, WORD.generation)
    if (generation === this.#generation) return
    this.#generation = generation
    if (this.#words[WORD.state] === STATE.full) this.#full()
    if (this.#next === undefined || Atomics.load(this.#words, WORD.nextFd) !== -1) return
    const left = this.#current
    this.#isFirst = false
    this.#current = this.#next
    this.#next = undefined
    this.#current.name = this.#sequence.advance(REASONS[this.#words[WORD.leftFor] as number] as RotationReason, began)
    this.#guard?.rename(this.#current.guardSlot, this.#current.name)
    const leftBytes = this.#amounts[AMOUNT.leftBytes] as number
    const leftPackets = this.#amounts[AMOUNT.leftPackets] as number
    // First, as the threads may need it at any moment: a rename over a large file takes its time.
    if (this.#options.rotateBy !== 'hand') this.#prepareNext()
    this.#finish(left, leftBytes, leftPackets)
  }

  #full(): void {
    this.#tell({ type: 'files-full' })
  }

  /** Gives a file its last bytes and its name. */
  #finish({ output, name, guardSlot }: WrittenFile, length: number, packets: number): void {
    const bytes = length + this.#writeTrailer(output, name, guardSlot, length)
    try {
      output.finish(name, packets > 0 ? `${packets} ${packets === 1 ? 'packet' : 'packets'}` : `${bytes} bytes`)
    } catch (error) {
      this.#fail(error as CaptureError)
      return
    } finally {
      if (guardSlot >= 0) this.#guard?.remove(guardSlot)
    }
    this.#filesFinished++
    if (!output.isRegular) return
    this.#tell({ type: 'file-finished', path: name, bytes })
    this.#kept.add(name, bytes)
    this.#commands?.run(name)
    this.#removeOld(this.#words[WORD.state] === STATE.open ? Math.max(this.#rotation.sizeBytes ?? 0, this.#records.size) : 0)
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

  #removeOld(current: number): void {
    const before = new Map(this.#kept.entries())
    for (const path of this.#kept.excess(current)) {
      try {
        unlinkSync(path)
        this.#tell({ type: 'file-removed', path, bytes: before.get(path) ?? 0 })
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') this.#warn('an old file cannot be removed', fsFailed(path, 'unlink', error))
      }
    }
  }

  /** gzip and its like put another file in the place of the one that they are given. */
  #afterCommand(path: string): void {
    for (const ending of ['', ...COMPRESSED]) {
      try {
        const { size } = statSync(path + ending)
        this.#kept.replace(path, path + ending, size)
        return
      } catch {
        // Not that one.
      }
    }
    this.#kept.forget(path)
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

/** Writes to the end of a regular file that nobody else writes, all or nothing; 0 or -errno. */
function appendAlone(kernel: Kernel, fd: number, length: number, bytes: Uint8Array): number {
  let written = 0
  while (written < bytes.byteLength) {
    const result = kernel.write(fd, bytes.subarray(written))
    if (result > 0) written += result
    else if (result !== -EINTR) {
      kernel.ftruncate(fd, length)
      kernel.lseek(fd, length, SEEK_SET)
      return result === 0 ? -EIO : result
    }
  }
  return 0
}
