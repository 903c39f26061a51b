/**
 * What a capture file holds, in figures: what capinfos(1) tells. One walk over the packets, without looking into them; bench/read has
 * its cost.
 */
import { createReadStream } from 'node:fs'
import { CaptureError } from '../errors.js'
import type { CaptureFileInterface, CaptureFileSection, FileTime, Format, PacketCursor } from './decode/cursor.js'
import type { Compression } from './decode/detect.js'
import { fileFailed } from './input.js'
import type { CaptureFile } from './open.js'

export interface CaptureFileInfoOptions {
  /** Also the SHA-256 of the file as it is, compressed or not. Reads it once more; a regular file only. */
  sha256?: boolean | undefined
}

export interface CaptureFileInfo {
  readonly name: string
  readonly format: Format
  readonly compression: Compression
  /** Of the file as it is; undefined for a stream. */
  readonly fileSizeBytes: number | undefined
  /** Names of the link types of its interfaces, each once. */
  readonly linkTypeNames: readonly string[]
  /** Of its interfaces if they have the same, 0 for no limit; else undefined. */
  readonly snapLengthBytes: number | undefined
  readonly packets: number
  /** Bytes that the wire had, what capinfos calls data size, and bytes that are there. */
  readonly wireBytes: number
  readonly capturedBytes: number
  /** Packets of which fewer bytes are there than the wire had. */
  readonly truncatedPackets: number
  readonly averagePacketBytes: number | undefined
  /** Of the earliest and of the latest packet; undefined where no packet has a time stamp. */
  readonly firstTime: FileTime | undefined
  readonly lastTime: FileTime | undefined
  readonly durationSeconds: number | undefined
  /** Over the duration; undefined where that is 0. */
  readonly bytesPerSecond: number | undefined
  readonly bitsPerSecond: number | undefined
  readonly packetsPerSecond: number | undefined
  /** No packet is earlier than the one before it. */
  readonly strictTimeOrder: boolean
  readonly interfaces: readonly (CaptureFileInterface & { readonly packets: number })[]
  readonly sections: readonly CaptureFileSection[]
  /** Of all sections. */
  readonly comments: readonly string[]
  /** Bytes passed over because of damage, with `tolerant` only; and those that stand behind the end of what gzip and zstd have compressed. */
  readonly skippedBytes: number
  /** What ended the file before its end: then the figures are of what stands before. */
  readonly damage: CaptureError | undefined
  readonly sha256: string | undefined
}

/**
 * Reads an open capture file to its end and tells what it holds.
 * @throws CaptureError INVALID_OPTION for a hash of what is no regular file, FILE_FAILED when reading fails.
 */
export async function captureFileInfo(file: CaptureFile, { sha256 = false }: CaptureFileInfoOptions = {}): Promise<CaptureFileInfo> {
  const { path } = file
  if (sha256 && path === undefined) throw new CaptureError('INVALID_OPTION', `${file.name}: a hash is made of a regular file only`)
  const sums = new Sums()
  let damage: CaptureError | undefined
  try {
    for await (const batch of file.batches()) sums.add(batch)
  } catch (error) {
    if (!(error instanceof CaptureError) || error.code !== 'INVALID_FILE') throw error
    damage = error
  }
  const { interfaces, sections } = file
  const { packets, wireBytes, capturedBytes } = sums
  const snapLengths = new Set(interfaces.map((each) => each.snapLengthBytes))
  const { firstTime, lastTime } = sums
  const durationSeconds =
    firstTime === undefined || lastTime === undefined ? undefined : lastTime.seconds - firstTime.seconds + (lastTime.nanoseconds - firstTime.nanoseconds) / 1e9
  const rate = (amount: number) => (durationSeconds === undefined || durationSeconds === 0 ? undefined : amount / durationSeconds)
  return {
    name: file.name,
    format: file.format,
    compression: file.compression,
    fileSizeBytes: file.sizeBytes,
    linkTypeNames: [...new Set(interfaces.map((each) => each.linkTypeName))],
    snapLengthBytes: snapLengths.size === 1 ? interfaces[0]?.snapLengthBytes : undefined,
    packets,
    wireBytes,
    capturedBytes,
    truncatedPackets: sums.truncated,
    averagePacketBytes: packets === 0 ? undefined : wireBytes / packets,
    firstTime,
    lastTime,
    durationSeconds,
    bytesPerSecond: rate(wireBytes),
    bitsPerSecond: rate(8 * wireBytes),
    packetsPerSecond: rate(packets),
    strictTimeOrder: sums.isOrdered,
    interfaces: interfaces.map((each) => ({ ...each, packets: sums.packetsOf(each.id) })),
    sections: [...sections],
    comments: sections.flatMap((section) => section.comments),
    skippedBytes: file.skippedBytes,
    damage,
    sha256: sha256 ? await hashOf(file.name, path as string) : undefined,
  }
}

/** Sums over packets. Times are compared as two numbers: one of both would not be exact. */
class Sums {
  packets = 0
  wireBytes = 0
  capturedBytes = 0
  truncated = 0
  isOrdered = true
  #ofInterface: Float64Array = new Float64Array(16)
  #timed = 0
  #firstSeconds = Number.POSITIVE_INFINITY
  #firstNanoseconds = 0
  #lastSeconds = Number.NEGATIVE_INFINITY
  #lastNanoseconds = 0
  #seconds = Number.NEGATIVE_INFINITY
  #nanoseconds = 0

  /** Walks to the end of the batch. What a packet changes is kept in locals meanwhile. */
  add(batch: PacketCursor): void {
    let packets = 0
    let timed = 0
    let wireBytes = 0
    let capturedBytes = 0
    let truncated = 0
    let isOrdered = this.isOrdered
    let firstSeconds = this.#firstSeconds
    let firstNanoseconds = this.#firstNanoseconds
    let lastSeconds = this.#lastSeconds
    let lastNanoseconds = this.#lastNanoseconds
    let secondsBefore = this.#seconds
    let nanosecondsBefore = this.#nanoseconds
    let ofInterface: Float64Array = this.#ofInterface
    while (batch.next()) {
      const wireLength = batch.wireLength
      const captured = batch.capturedLength
      const id = batch.interfaceId
      packets++
      wireBytes += wireLength
      capturedBytes += captured
      if (captured < wireLength) truncated++
      if (id >= ofInterface.length) ofInterface = this.#grow(id)
      ofInterface[id] = (ofInterface[id] as number) + 1
      if (!batch.hasTimestamp) continue
      const seconds = batch.seconds
      const nanoseconds = batch.nanoseconds
      timed++
      if (seconds < secondsBefore || (seconds === secondsBefore && nanoseconds < nanosecondsBefore)) isOrdered = false
      if (seconds < firstSeconds || (seconds === firstSeconds && nanoseconds < firstNanoseconds)) {
        firstSeconds = seconds
        firstNanoseconds = nanoseconds
      }
      if (seconds > lastSeconds || (seconds === lastSeconds && nanoseconds > lastNanoseconds)) {
        lastSeconds = seconds
        lastNanoseconds = nanoseconds
      }
      secondsBefore = seconds
      nanosecondsBefore = nanoseconds
    }
    this.packets += packets
    this.wireBytes += wireBytes
    this.capturedBytes += capturedBytes
    this.truncated += truncated
    this.isOrdered = isOrdered
    this.#timed += timed
    this.#firstSeconds = firstSeconds
    this.#firstNanoseconds = firstNanoseconds
    this.#lastSeconds = lastSeconds
    this.#lastNanoseconds = lastNanoseconds
    this.#seconds = secondsBefore
    this.#nanoseconds = nanosecondsBefore
  }

  #grow(id: number): Float64Array {
    const larger = new Float64Array(2 * (id + 1))
    larger.set(this.#ofInterface)
    this.#ofInterface = larger
    return larger
  }

  packetsOf(id: number): number {
    return this.#ofInterface[id] ?? 0
  }

  get firstTime(): FileTime | undefined {
    return this.#timed === 0 ? undefined : { seconds: this.#firstSeconds, nanoseconds: this.#firstNanoseconds }
  }

  get lastTime(): FileTime | undefined {
    return this.#timed === 0 ? undefined : { seconds: this.#lastSeconds, nanoseconds: this.#lastNanoseconds }
  }
}

async function hashOf(name: string, path: string): Promise<string> {
  const { createHash } = await import('node:crypto')
  const hash = createHash('sha256')
  try {
    for await (const piece of createReadStream(path, { highWaterMark: 2 ** 20 })) hash.update(piece as Uint8Array)
  } catch (error) {
    throw fileFailed(name, 'read', error)
  }
  return hash.digest('hex')
}
