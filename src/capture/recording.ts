/**
 * The main thread's part of a recording: opens the files before the workers start, and ends them when the last worker has. What goes
 * into them in between is the workers' business.
 */

import { closeSync, constants as fsConstants, fstatSync, openSync, unlinkSync } from 'node:fs'
import { release } from 'node:os'
import { extname } from 'node:path'
import { CaptureError } from '../errors.js'
import { type FileInterface, interfaceStatistics, pcapHeader, pcapngHeader } from '../file/record-header.js'
import { createSinkShared, RecordSink, type SinkShared } from '../file/sink.js'
import { errnoName, errnoText } from '../kernel/errno.js'
import type { Kernel } from '../kernel/system.js'
import type { CapturePlan, Drops } from './api.js'
import type { WorkerRecording } from './worker.js'

const { O_APPEND, O_CREAT, O_TRUNC, O_WRONLY } = fsConstants
const MODE = 0o666

/** What a capture saw of an interface, for the end of a file. */
export interface InterfaceTotals {
  offered: number
  drops: Drops
  writtenPackets: number
  /** Packets that the interface itself lost; undefined where that is known of all interfaces together only. */
  interfaceDrops: number | undefined
}

interface OpenFile {
  path: string
  sink: SinkShared
  /** Places in `plan.interfaces` of those whose packets are in it. */
  interfaces: number[]
}

export class Recording {
  readonly #kernel: Kernel
  readonly #plan: NonNullable<CapturePlan['write']>
  readonly #snapLengthBytes: number
  readonly #startedAt = now()
  /** One, or one a worker. */
  readonly #files: OpenFile[] = []

  private constructor(kernel: Kernel, { write, snapLengthBytes }: CapturePlan) {
    this.#kernel = kernel
    this.#plan = write as NonNullable<CapturePlan['write']>
    this.#snapLengthBytes = snapLengthBytes
  }

  /**
   * Opens the files of a plan that has any. `workers` has for each worker the place of its interface in `plan.interfaces`.
   * @throws CaptureError FILE_FAILED; then none is left.
   */
  static open(kernel: Kernel, plan: CapturePlan, workers: readonly number[]): Recording | undefined {
    if (plan.write === undefined || plan.write.past !== undefined) return undefined
    const recording = new Recording(kernel, plan)
    const { path, perWorker } = plan.write
    try {
      if (perWorker) for (const [worker, place] of workers.entries()) recording.#create(pathOfWorker(path, worker), [place], plan)
      else recording.#create(path, [...plan.interfaces.keys()], plan)
    } catch (error) {
      recording.discard()
      throw error
    }
    return recording
  }

  get paths(): string[] {
    return this.#files.map(({ path }) => path)
  }

  pathOf(worker: number): string {
    return this.#fileOf(worker).path
  }

  /** What worker `worker` is told, whose interface is at `place`. */
  ofWorker(worker: number, place: number): WorkerRecording {
    const { format, microseconds, unbuffered } = this.#plan
    const { sink, interfaces } = this.#fileOf(worker)
    return { sink, unbuffered, format: { format, microseconds, snapLengthBytes: this.#snapLengthBytes, interfaceId: interfaces.indexOf(place) } }
  }

  #fileOf(worker: number): OpenFile {
    return (this.#plan.perWorker ? this.#files[worker] : this.#files[0]) as OpenFile
  }

  #create(path: string, interfaces: number[], { interfaces: names, filter, snapLengthBytes }: CapturePlan): void {
    let fd: number
    try {
      fd = openSync(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, MODE)
    } catch (error) {
      throw fileFailed(path, 'open', (error as { errno: number }).errno)
    }
    const sink = createSinkShared({ fd, isRegular: fstatSync(fd).isFile(), size: 0 })
    this.#files.push({ path, sink, interfaces })
    const { format, microseconds } = this.#plan
    const described = interfaces.map((place): FileInterface => ({ name: names[place] as string, filter, snapLengthBytes }))
    const header = format === 'pcap' ? pcapHeader(snapLengthBytes, microseconds) : pcapngHeader(described, microseconds, `Linux ${release()}`)
    const result = new RecordSink(this.#kernel, sink).append(header, header.length)
    if (result !== 0) throw fileFailed(path, 'write', result)
  }

  /**
   * Ends the files, after the last worker: pcapng gets the statistics of each interface. `totalsOf` is asked for those of an interface,
   * or of one worker of it. Answers what went wrong; the files are closed in any case.
   */
  finish(totalsOf: (place: number, worker: number | undefined) => InterfaceTotals): { path: string; error: CaptureError }[] {
    const failures: { path: string; error: CaptureError }[] = []
    for (const [worker, { path, sink, interfaces }] of this.#files.entries()) {
      if (this.#plan.format === 'pcapng') {
        const blocks = interfaces.map((place, interfaceId) => this.#statistics(interfaceId, totalsOf(place, this.#plan.perWorker ? worker : undefined)))
        const bytes = Buffer.concat(blocks)
        const result = new RecordSink(this.#kernel, sink).append(bytes, bytes.length)
        if (result !== 0) failures.push({ path, error: fileFailed(path, 'write', result) })
      }
      // Some file systems tell only here that the disk is full.
      const result = close(sink)
      if (result !== 0) failures.push({ path, error: fileFailed(path, 'close', result) })
    }
    return failures
  }

  #statistics(interfaceId: number, { offered, drops, writtenPackets, interfaceDrops }: InterfaceTotals): Uint8Array {
    const droppedByOs = drops.ring + drops.socket + drops.fillRing + drops.rxRing + drops.oversize + drops.redirect
    const counts = { accepted: offered, droppedByOs, written: writtenPackets, droppedByInterface: interfaceDrops }
    return interfaceStatistics({ interfaceId, startedAt: this.#startedAt, endedAt: now(), ...counts }, this.#plan.microseconds)
  }

  /** For a capture that did not come to be: its files have not been, either. */
  discard(): void {
    for (const { path, sink } of this.#files) {
      const isRegular = fstatSync(sink.fd).isFile()
      close(sink)
      if (isRegular) unlinkSync(path)
    }
    this.#files.length = 0
  }
}

/** The error of a file that could not be opened or written. */
export function fileFailed(path: string, syscall: string, errno: number): CaptureError {
  const positive = Math.abs(errno)
  const name = errnoName(positive)
  const hint = name === 'ENOSPC' || name === 'EDQUOT' ? 'the disk is full: what cannot be written is counted as the drop writer' : undefined
  return new CaptureError('FILE_FAILED', `${path}: ${syscall}: ${name} (${errnoText(positive)})`, { syscall, errno: positive, errnoName: name, hint })
}

function close(sink: SinkShared): number {
  try {
    closeSync(sink.fd)
    return 0
  } catch (error) {
    return (error as { errno: number }).errno
  }
}

/** `/tmp/x.pcap` of worker 1 is `/tmp/x.1.pcap`. */
function pathOfWorker(path: string, worker: number): string {
  const ending = extname(path)
  return `${path.slice(0, path.length - ending.length)}.${worker}${ending}`
}

function now(): bigint {
  return BigInt(Date.now()) * 1_000_000n
}
