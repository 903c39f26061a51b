/**
 * The main thread's part of a recording: opens the files before the workers start, says what each of them begins and ends with, and
 * ends them when the last worker has. What goes into them in between, and when the next one of a series begins, is the workers' doing.
 */
import { lstatSync } from 'node:fs'
import { extname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { CaptureError } from '../errors.js'
import type { FileEvent } from '../file/capture-file.js'
import { compressNow } from '../file/compressor.js'
import { Guard } from '../file/guard.js'
import { openSink, type Sink } from '../file/open-sink.js'
import { createOrderMemory, lateRecords, type OrderGeometry, type OrderShared } from '../file/order-memory.js'
import { orderSegmentBytes } from '../file/record-order.js'
import type { RotationOptions } from '../file/rotation.js'
import type { Kernel } from '../kernel/system.js'
import type { CapturePlan, WritePlan } from './api.js'
import { FileFacts, type InterfaceTotals, type RecordedInterface } from './file-facts.js'
import { readingLagMs } from './packet-clock.js'
import { RECORD_BUFFER_BYTES } from './recorder.js'
import type { UserChange } from './user-change.js'
import type { WorkerRecording } from './worker.js'

/** Where records are written in order of time: of a worker, if all together have no more than that. */
const ORDER_SEGMENTS = 32
const ORDER_BYTES = 2 ** 30
const MIN_ORDER_SEGMENTS = 2

/** At the end of a capture a pipe that takes nothing for so long is given up. */
const PIPE_PATIENCE_MS = 2000
const PIPE_LOOK_MS = 50

export interface RecordingParts {
  kernel: Kernel
  plan: CapturePlan
  /** In the order of `plan.interfaces`. */
  interfaces: readonly RecordedInterface[]
  /** For each worker the place of its interface. */
  workers: readonly number[]
  /** Whom the files belong to, where that is not this process's user. */
  user: UserChange | undefined
  /** Ends the waiting for somebody who reads a FIFO. */
  signal: AbortSignal | undefined
  onEvent: ((event: FileEvent) => void) | undefined
}

interface OpenFile {
  sink: Sink
  /** Places in `plan.interfaces` of those whose packets are in it. */
  interfaces: number[]
}

export class Recording {
  /** Asked for the totals of an interface, or of one worker of it, when a file ends. */
  totalsOf: ((place: number, worker: number | undefined) => InterfaceTotals) | undefined
  /** Called when as many files as were ordered are written. */
  onFull: () => void = () => {}
  /** Called when all files are complete: commands may run on. */
  onComplete: () => void = () => {}
  readonly #parts: RecordingParts
  readonly #plan: WritePlan
  readonly #facts: FileFacts
  readonly #guard: Guard | undefined
  /** One, or one a worker. */
  readonly #files: OpenFile[] = []
  /** Of each file that is complete how many packets it has. */
  readonly #paths = new Map<string, number>()
  /** Of `#files` those that take nothing any more: pipes without a reader, or with one that does not read. */
  readonly #given = new Set<number>()
  #isFull = false
  readonly #order: OrderShared | undefined

  private constructor(parts: RecordingParts, write: WritePlan) {
    this.#parts = parts
    this.#plan = write
    this.#facts = new FileFacts(parts.plan, write, parts.interfaces)
    const { workers } = parts
    if (write.order) this.#order = createOrderMemory(orderGeometry(workers.length))
    // Of a single file it is the sink's, which knows whether there is something to guard.
    if (write.guard && (write.perWorker || (parts.user !== undefined && write.path !== '-'))) {
      this.#guard = Guard.start(parts.kernel, (reason) => this.#tell({ type: 'file-warning', message: withoutGuard(reason) }), parts.user)
    }
  }

  /**
   * Opens the files of a plan that has any.
   * @throws CaptureError FILE_FAILED; then none is left.
   */
  static async open(parts: RecordingParts): Promise<Recording | undefined> {
    const { plan, user } = parts
    if (plan.write === undefined || plan.write.past !== undefined) return undefined
    const recording = new Recording(parts, plan.write)
    try {
      await (user === undefined ? recording.#openAll() : user.opening(() => recording.#openAll()))
    } catch (error) {
      await recording.discard()
      throw error
    }
    return recording
  }

  async #openAll(): Promise<void> {
    const { plan, workers } = this.#parts
    const { path, perWorker, rotation } = this.#plan
    if (perWorker) {
      const share = shareOf(rotation, workers.length)
      for (const [worker, place] of workers.entries()) await this.#open(pathOfWorker(path, worker), [place], worker, share)
    } else await this.#open(path, [...plan.interfaces.keys()], undefined, rotation)
  }

  async #open(path: string, interfaces: number[], worker: number | undefined, rotation: RotationOptions | undefined): Promise<void> {
    const { kernel, signal } = this.#parts
    const { command, guard } = this.#plan
    const file = this.#files.length
    const sink = await openSink(path, {
      header: () => this.#header(interfaces),
      trailer: () => (this.#given.has(file) ? new Uint8Array(0) : this.#trailer(interfaces, worker)),
      trailerBytes: this.#facts.statisticsBytes(interfaces.length),
      rotation,
      command,
      guard: this.#guard ?? guard,
      signal,
      onEvent: (event) => this.#tell(event),
      kernel,
    })
    this.#files.push({ sink, interfaces })
  }

  /** Of the files that there are; one that is still being written is there when it is finished. */
  get paths(): string[] {
    return [...this.#pipes.map(({ sink }) => sink.path), ...this.#paths.keys()]
  }

  /** How many packets are in these files, of so many that were written. */
  packetsInFiles(written: number): number {
    if (this.#pipes.length > 0) return written
    return Math.min(
      written,
      [...this.#paths.values()].reduce((sum, packets) => sum + packets, 0),
    )
  }

  get #pipes(): OpenFile[] {
    return this.#files.filter(({ sink }) => !sink.isRegular)
  }

  /** Which file, of those that are open side by side, a worker's packets go to. */
  fileOf(worker: number): number {
    return this.#plan.perWorker ? worker : 0
  }

  pathOf(worker: number): string {
    return this.#of(worker).sink.path
  }

  /** Whether a worker's packets go into a pipe, whose reader may go away. */
  isPipe(worker: number): boolean {
    return !this.#of(worker).sink.isRegular
  }

  /** What worker `worker` is told, whose interface is at `place`. */
  ofWorker(worker: number, place: number): WorkerRecording {
    const { format, precision, unbuffered, compression, compressionLevel } = this.#plan
    const { sink, interfaces } = this.#of(worker)
    const { snapLengthBytes } = this.#parts.plan
    return {
      sink: sink.shared,
      unbuffered,
      format: { format, microseconds: precision === 'us', snapLengthBytes, interfaceId: interfaces.indexOf(place) },
      compression: compression === 'none' ? undefined : compression,
      compressionLevel,
      order: this.#order === undefined ? undefined : { shared: this.#order, lagMs: readingLagMs(this.#parts.plan) },
    }
  }

  #of(worker: number): OpenFile {
    return this.#files[this.fileOf(worker)] as OpenFile
  }

  #header(interfaces: readonly number[]): Uint8Array {
    return this.#compressed(this.#facts.header(interfaces))
  }

  /** Statistics are those since the capture began, as the format has them, in each file of a series. */
  #trailer(interfaces: readonly number[], worker: number | undefined): Uint8Array {
    const { totalsOf } = this
    if (this.#plan.format === 'pcap' || totalsOf === undefined) return new Uint8Array(0)
    const statistics = interfaces.map((place, id) => {
      const totals = totalsOf(place, worker)
      return this.#facts.statistics(id, totals, totals.writtenPackets)
    })
    return this.#compressed(Buffer.concat(statistics))
  }

  #compressed(bytes: Uint8Array): Uint8Array {
    const { compression, compressionLevel } = this.#plan
    return compression === 'none' ? bytes : compressNow(compression, bytes, compressionLevel)
  }

  #tell(event: FileEvent): void {
    if (event.type === 'file-finished') {
      // Last, if one of that name has been written over.
      this.#paths.delete(event.path)
      this.#paths.set(event.path, event.packets)
    }
    if (event.type === 'file-removed') this.#paths.delete(event.path)
    else if (event.type === 'file-replaced') this.#replace(event.path, event.by)
    else if (event.type === 'files-full') {
      // Of a series for each worker the first ends them all.
      if (this.#isFull) return
      this.#isFull = true
    }
    this.#parts.onEvent?.(event)
    if (event.type === 'files-full') this.onFull()
  }

  #replace(path: string, by: string): void {
    const packets = this.#paths.get(path) ?? 0
    this.#paths.delete(path)
    this.#paths.set(by, packets)
  }

  /** Files that somebody else has removed, or a command has put elsewhere. */
  #forgetMissing(): void {
    for (const path of this.#paths.keys()) if (path !== '-' && isMissing(path)) this.#paths.delete(path)
  }

  /** The pipe of a worker is written no more, and nobody waits for its reader. */
  giveUp(worker: number): void {
    this.#giveUp(this.fileOf(worker))
  }

  #giveUp(file: number): void {
    this.#given.add(file)
    this.#files[file]?.sink.cancel()
  }

  /** The pipe of a worker was given up: what is not written to it any more is no news. */
  isGivenUp(worker: number): boolean {
    return this.#given.has(this.fileOf(worker))
  }

  /** Why nothing follows in a worker's file, if that is so. */
  brokenOf(worker: number): CaptureError | undefined {
    const { path, isBroken } = this.#of(worker).sink
    return isBroken ? new CaptureError('FILE_FAILED', `${nameOf(path)}: half a record is in it that cannot be taken back`) : undefined
  }

  /**
   * The capture ends: a pipe that takes nothing any more is given up, so that no worker waits for its reader, and `tell` is told. Resolves
   * then, or when `isOver`.
   */
  async hurryPipes(isOver: () => boolean, tell: (path: string, error: CaptureError) => void = () => {}): Promise<void> {
    const pipes = [...this.#files.entries()].filter(([file, { sink }]) => !sink.isRegular && !this.#given.has(file))
    await Promise.all(
      pipes.map(async ([file, { sink }]) => {
        if (await moves(sink, isOver)) return
        this.#giveUp(file)
        const why = `its reader took nothing for ${PIPE_PATIENCE_MS / 1000} s, and the capture has ended: it ends here, perhaps within a record`
        tell(sink.path, new CaptureError('FILE_FAILED', `${nameOf(sink.path)}: ${why}`))
      }),
    )
  }

  /**
   * Ends the files, after the last worker: pcapng gets the statistics of each interface. What goes wrong is told as `file-warning`; the
   * files are closed in any case. Resolves when the commands have ended, too, or were left.
   */
  async finish(): Promise<void> {
    // Writing to a pipe that is full would hold up this thread, and with it the signals.
    await this.hurryPipes(() => this.#files.every(({ sink }) => sink.hasRoom))
    // NB: it returns when the file is complete, with the promise that its commands have ended.
    const closing = this.#files.map(({ sink }) => sink.close().catch(() => {}))
    const late = this.#order === undefined ? 0 : lateRecords(this.#order)
    if (late > 0) this.#tell({ type: 'file-warning', message: lateText(late) })
    const commands = this.#files.reduce((sum, { sink }) => sum + sink.commandsLeft, 0)
    this.#forgetMissing()
    this.onComplete()
    if (commands > 0) this.#tell({ type: 'commands-left', commands })
    await Promise.all(closing)
    this.#forgetMissing()
    await this.#guard?.close()
  }

  /** `finish` waits for no command any more. */
  leaveCommands(): void {
    for (const { sink } of this.#files) sink.leaveCommands()
  }

  /** For a capture that did not come to be: its files have not been, either. */
  async discard(): Promise<void> {
    await Promise.all(this.#files.map(({ sink }) => sink.discard()))
    this.#files.length = 0
    await this.#guard?.close()
  }
}

function orderGeometry(threads: number): OrderGeometry {
  const segmentBytes = orderSegmentBytes(RECORD_BUFFER_BYTES)
  const most = 2 ** Math.floor(Math.log2(ORDER_BYTES / (threads * segmentBytes)))
  return { threads, segmentBytes, segments: Math.max(MIN_ORDER_SEGMENTS, Math.min(ORDER_SEGMENTS, most)) }
}

function lateText(packets: number): string {
  return `${packets} ${packets === 1 ? 'packet stands' : 'packets stand'} behind later ones in the file: they came too late for their place`
}

/** Until `isOver`; false when the pipe has taken nothing for too long. */
async function moves(sink: Sink, isOver: () => boolean): Promise<boolean> {
  let taken = sink.taken
  for (let since = performance.now(); !isOver(); ) {
    if (performance.now() - since > PIPE_PATIENCE_MS) return false
    await sleep(PIPE_LOOK_MS)
    if (sink.taken === taken) continue
    taken = sink.taken
    since = performance.now()
  }
  return true
}

/** What of `keepBytes` is for each of so many series. */
function shareOf(rotation: RotationOptions | undefined, series: number): RotationOptions | undefined {
  return rotation?.keepBytes === undefined ? rotation : { ...rotation, keepBytes: Math.max(1, Math.floor(rotation.keepBytes / series)) }
}

/** `/tmp/x.pcap` of worker 1 is `/tmp/x.1.pcap`, and `x.pcap.gz` is `x.1.pcap.gz`. */
function pathOfWorker(path: string, worker: number): string {
  const packed = /\.(gz|zst)$/i.test(path) ? extname(path) : ''
  const name = path.slice(0, path.length - packed.length)
  const ending = extname(name)
  return `${name.slice(0, name.length - ending.length)}.${worker}${ending}${packed}`
}

function isMissing(path: string): boolean {
  try {
    return lstatSync(path, { throwIfNoEntry: false }) === undefined
  } catch {
    // It cannot be looked at.
    return false
  }
}

function nameOf(path: string): string {
  return path === '-' ? 'stdout' : path
}

function withoutGuard(reason: string): string {
  return `the process that guards against a kill does not run: ${reason}`
}
