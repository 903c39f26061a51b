/**
 * `convertCaptureFiles()`: capture files read and one written, in another format, merged, filtered, cut, split. What files say besides
 * packets is taken along as far as the target has a place for it.
 */
import { statSync } from 'node:fs'
import { CaptureError } from '../errors.js'
import type { CaptureFileFormat, CaptureFileWriter, CreateCaptureFileOptions, PacketToWrite, Spares, WritableTarget } from '../file/capture-file.js'
import { BlockCarrier, fileOptionsOf } from '../file/carry.js'
import { createWriter } from '../file/create.js'
import type { FileBlock, PacketCursor } from '../file/decode/cursor.js'
import { packetLimit } from '../file/decode/limits.js'
import { endingsOf, MAX_SECONDS } from '../file/file-plan.js'
import { type MergedPackets, type MergeOptions, mergePackets } from '../file/merge.js'
import type { CaptureFile, CaptureFileInput, CaptureFileOptions } from '../file/open.js'
import { openCaptureFile } from './open-file.js'

type Reading = Pick<CaptureFileOptions, 'filter' | 'netmask' | 'from' | 'until' | 'tolerant' | 'blocking' | 'signal'>
type Writing = Pick<
  CreateCaptureFileOptions,
  'format' | 'precision' | 'compression' | 'compressionLevel' | 'unbuffered' | 'rotation' | 'command' | 'guard' | 'onEvent'
>

/**
 * Options of reading, of writing and of merging. `precision` is by default that of the files where all are pcap with microseconds, else
 * nanoseconds: no time is made less exact than that.
 */
export interface ConvertOptions extends Reading, Writing, MergeOptions {
  /** Packets are cut to so many bytes. Default: as they are. */
  snapLengthBytes?: number | undefined
  /** Ends after so many packets. */
  count?: number | undefined
  /** Called for each file that was opened, before any is read. */
  onOpen?: ((file: CaptureFile) => void) | undefined
  /** Called when what was written is not all that was to be: something failed, was damaged, left out or aborted. */
  onPartial?: ((partial: PartialFile) => void) | undefined
}

/** What is there of a file that is not whole. */
export interface PartialFile {
  /** What it is called: as was asked for where nothing had that name, else NAME.partial. Undefined for a stream, and when nothing was kept. */
  path: string | undefined
  /** The name that was asked for, if what has it was left as it is. */
  spared: string | undefined
  packets: number
}

export interface ConvertSummary {
  /** Written. */
  packets: number
  /** Packets that the target has no place for: of a time that it cannot store, or too long. */
  packetsLeftOut: number
  /** Packets without a time stamp that had to be given one, 1970. */
  packetsDated: number
  /** Blocks that could not be taken along: unknown ones of another byte order, custom ones that must not be copied, all but packets where the target is pcap. */
  blocksLeftOut: number
  /** Passed over because of damage, with `tolerant` only; and those that stand behind the end of what gzip and zstd have compressed. */
  skippedBytes: number
  /** `full`: as many files as were ordered are written. */
  reason: 'end' | 'count' | 'full' | 'aborted'
}

/** Blocks between packets are handed to the operating system, or a stream, when there is so much of them. */
const FLUSH_BYTES = 1024 * 1024

/**
 * Reads capture files and writes one, or a series. pcapng keeps interfaces, comments, flags, drop counts, names, statistics, secrets and other
 * blocks; all sections become one, and interfaces of different files that are described alike become one. pcap has one link type for all.
 *
 * What has the target's name is replaced when all has been written, and only then: when something fails, is damaged, left out or aborted, it
 * stays, and what was written is NAME.partial. Where nothing has the name, what was written gets it.
 * @throws CaptureError what opening, reading and creating files throws. Damage is thrown at the end, when all else has been written, unless
 * `onDamage` is told of it; so are packets that the target has no place for.
 */
export async function convertCaptureFiles(
  inputs: readonly CaptureFileInput[],
  target: string | WritableTarget,
  options: ConvertOptions = {},
): Promise<ConvertSummary> {
  const { filter, netmask, from, until, tolerant, blocking, signal, order, onDamage, onOpen, onPartial, count, snapLengthBytes } = options
  if (inputs.length === 0) throw new CaptureError('INVALID_OPTION', 'Expected one or more files to convert, got none')
  for (const [name, value] of Object.entries({ count, snapLengthBytes })) {
    if (value === undefined || (Number.isSafeInteger(value) && value > 0)) continue
    throw new CaptureError('INVALID_OPTION', `Expected the option ${name} to be a whole number above 0, got ${String(value)}`)
  }
  const { format, precision, compression, compressionLevel, unbuffered, rotation, command, guard, onEvent } = options
  const carrier = new BlockCarrier(format ?? endingsOf(typeof target === 'string' ? target : '').format)
  const files: CaptureFile[] = []
  const damages: CaptureError[] = []
  let writer: CaptureFileWriter | undefined
  let state: 'failed' | 'partial' | 'whole' = 'failed'
  try {
    for (const [index, input] of inputs.entries()) {
      const onBlock = (block: FileBlock) => carrier.take(index, block)
      const file = await openCaptureFile(input, { filter, netmask, from, until, tolerant, blocking, signal, onBlock })
      files.push(file)
      carrier.addFile(file)
      onOpen?.(file)
    }
    const copy = new Copy(carrier, files, { snapLengthBytes, count, isNumbered: filter === undefined && from === undefined && until === undefined })
    const writing = { format, compression, compressionLevel, unbuffered, rotation, command, guard, onEvent, signal }
    const open = async () => {
      const described = fileOptionsOf(files, { precision, snapLengthBytes })
      writer = await createWriter(target, { ...writing, ...described }, sparing(files))
      copy.begin(writer, described)
      carrier.begin(writer, snapLengthBytes)
      return writer
    }
    const damaged = (error: CaptureError, file: CaptureFile) => {
      damages.push(error)
      onDamage?.(error, file)
    }
    // A file may have more blocks than memory has room for, and no packet.
    const between = async () => {
      if (writer === undefined && carrier.isFull) await open()
      carrier.throwFailure()
      if (carrier.writtenBytes > FLUSH_BYTES) await flush()
    }
    const flush = async () => {
      carrier.writtenBytes = 0
      await writer?.flush()
    }
    for await (const batch of mergePackets(files, { order, onDamage: damaged }, between)) {
      // No sooner: what stands before the first packets is known by now.
      const to = writer ?? (await open())
      const ended = copy.run(batch, to)
      carrier.throwFailure()
      if (ended === 'done') break
      if (ended === 'no room' || carrier.writtenBytes > FLUSH_BYTES) await flush()
    }
    const to = writer ?? (await open())
    carrier.end()
    carrier.throwFailure()
    // NB: not left to close(), which gives the name also where the last buffer did not fit.
    await to.flush()
    const leftOut = copy.leftOut
    if (leftOut !== undefined) damaged(...leftOut)
    const reason = signal?.aborted === true && copy.reason === 'end' ? 'aborted' : copy.reason
    if (damages.length === 0 && reason !== 'aborted') {
      state = 'whole'
      await to.close()
    } else state = 'partial'
    if (onDamage === undefined && damages[0] !== undefined) throw damages[0]
    const skippedBytes = files.reduce((sum, file) => sum + file.skippedBytes, 0)
    const { packets, packetsLeftOut } = copy
    return { packets, packetsLeftOut, packetsDated: to.dated, blocksLeftOut: carrier.leftOut, skippedBytes, reason }
  } finally {
    await Promise.all(files.map((file) => file.close()))
    if (writer !== undefined && state !== 'whole') {
      const partial = await closePartial(writer, state === 'failed')
      onPartial?.(partial)
    }
  }
}

/** Without a packet there is nothing to keep, but for the file that a user expects where nothing failed and nothing had its name. */
async function closePartial(writer: CaptureFileWriter, failed: boolean): Promise<PartialFile> {
  const asked = writer.path
  const stood = asked !== undefined && asked !== '-' && statSync(asked, { throwIfNoEntry: false })?.isFile() === true
  const { packets } = writer
  const isNothing = packets === 0 && (stood || (failed && asked !== undefined))
  // What is left of a file that was written in place is all there is of what had the name.
  const path = await (isNothing ? writer.discard().catch(() => writer.closePartial()) : writer.closePartial())
  return { path, spared: stood && path !== asked ? asked : undefined, packets: writer.packets }
}

/** Whether a path is one of these files, by whatever name. */
function sparing(files: readonly CaptureFile[]): Spares {
  const idOf = (path: string): string | undefined => {
    const status = statSync(path, { throwIfNoEntry: false })
    return status?.isFile() === true ? `${status.dev}:${status.ino}` : undefined
  }
  const read = new Set(files.map(({ name, path }) => idOf(path ?? (name === 'stdin' ? '/dev/stdin' : ''))))
  read.delete(undefined)
  return (path) => read.has(idOf(path))
}

interface CopyOptions {
  snapLengthBytes: number | undefined
  count: number | undefined
  /** Whether all packets of the files come by, so that they have numbers. */
  isNumbered: boolean
}

/** The loop over packets, with the one object that they are handed on in. */
class Copy {
  packets = 0
  packetsLeftOut = 0
  reason: 'end' | 'count' | 'full' = 'end'
  readonly #carrier: BlockCarrier
  readonly #files: readonly CaptureFile[]
  readonly #snapLengthBytes: number
  readonly #count: number
  readonly #isNumbered: boolean
  /** By file: packets that came by. */
  readonly #seen: number[]
  #format: CaptureFileFormat = 'pcapng'
  #maxSeconds = 0
  #maxBytes = Number.POSITIVE_INFINITY
  /** The first that was left out. */
  #firstLeftOut: { file: CaptureFile; what: string; hint: string | undefined } | undefined
  readonly #record: Required<PacketToWrite> = {
    bytes: new Uint8Array(0),
    offset: 0,
    capturedLength: 0,
    wireLength: 0,
    seconds: 0,
    nanoseconds: 0,
    hasTimestamp: true,
    interfaceId: 0,
    flags: undefined,
    dropCount: undefined,
    queue: undefined,
    comment: undefined,
    packetId: undefined,
    hashes: undefined,
    verdicts: undefined,
  }

  constructor(carrier: BlockCarrier, files: readonly CaptureFile[], { snapLengthBytes, count, isNumbered }: CopyOptions) {
    this.#carrier = carrier
    this.#files = files
    this.#snapLengthBytes = snapLengthBytes ?? Number.POSITIVE_INFINITY
    this.#count = count ?? Number.POSITIVE_INFINITY
    this.#isNumbered = isNumbered
    this.#seen = files.map(() => 0)
  }

  /** What the target can hold is known. */
  begin({ format }: CaptureFileWriter, { linkType, snapLengthBytes }: CreateCaptureFileOptions): void {
    this.#format = format
    this.#maxSeconds = MAX_SECONDS[format]
    // Longer ones are damage to who reads the file.
    if (format === 'pcap') this.#maxBytes = packetLimit(Number(linkType ?? 1), snapLengthBytes ?? 0)
  }

  /** Until the batch is over, the writer has no room, or nothing more is wanted. */
  run(batch: MergedPackets, writer: CaptureFileWriter): 'batch' | 'no room' | 'done' {
    const record = this.#record
    const carrier = this.#carrier
    while (batch.next()) {
      const { packet, fileIndex } = batch
      this.#seen[fileIndex] = (this.#seen[fileIndex] as number) + 1
      record.bytes = packet.bytes
      record.offset = packet.offset
      record.capturedLength = Math.min(packet.capturedLength, this.#snapLengthBytes)
      record.wireLength = packet.wireLength
      record.seconds = packet.seconds
      record.nanoseconds = packet.nanoseconds
      record.hasTimestamp = packet.hasTimestamp
      if (!(record.seconds >= 0 && record.seconds <= this.#maxSeconds && record.capturedLength <= this.#maxBytes)) {
        this.#leaveOut(packet, fileIndex)
        continue
      }
      record.interfaceId = carrier.numberOf(fileIndex, packet.interfaceId)
      const hasOptions = packet.hasOptions || carrier.hasComments
      if (hasOptions) this.#addOptions(packet, fileIndex)
      const hasRoom = writer.write(record)
      if (hasOptions) this.#clearOptions()
      if (writer.isFull) return this.#end('full')
      if (++this.packets === this.#count) return this.#end('count')
      if (!hasRoom) return 'no room'
    }
    return 'batch'
  }

  /** What is to be told of packets that were left out. */
  get leftOut(): [CaptureError, CaptureFile] | undefined {
    if (this.#firstLeftOut === undefined) return undefined
    const { file, what, hint } = this.#firstLeftOut
    const more = this.packetsLeftOut > 1 ? `, and ${this.packetsLeftOut - 1} more` : ''
    const error = new CaptureError('INVALID_FILE', `${file.name}: ${what}: left out${more}`, { hint })
    return [error, file]
  }

  #leaveOut(packet: PacketCursor, fileIndex: number): void {
    this.packetsLeftOut++
    if (this.#firstLeftOut !== undefined) return
    const { seconds, nanoseconds, fileOffset } = packet
    const which = this.#isNumbered ? `packet ${this.#seen[fileIndex]} at byte ${fileOffset}` : `the packet at byte ${fileOffset}`
    const capturedLength = Number(this.#record.capturedLength)
    const isTooLong = capturedLength > this.#maxBytes
    const isFit = isTooLong || (seconds >= 0 && seconds <= MAX_SECONDS.pcapng)
    const hint = this.#format === 'pcap' && isFit ? 'pcapng has times beyond 2106, and longer packets' : undefined
    const why = isTooLong
      ? `it has ${capturedLength} bytes, and the file that is written says that none has more than ${this.#maxBytes}`
      : `the ${this.#format} file that is written has no place for its time, ${seconds} s and ${nanoseconds} ns since 1970`
    this.#firstLeftOut = { file: this.#files[fileIndex] as CaptureFile, what: `${which}: ${why}`, hint }
  }

  #end(reason: 'count' | 'full'): 'done' {
    this.reason = reason
    return 'done'
  }

  #addOptions(packet: PacketCursor, fileIndex: number): void {
    const record = this.#record
    const { flags, dropCount } = packet
    const { comments, packetId, queue, hashes, verdicts } = packet.details()
    record.flags = flags === 0 ? undefined : flags
    record.dropCount = dropCount === 0 ? undefined : dropCount
    const ofSections = this.#carrier.hasComments ? this.#carrier.takeComments(fileIndex) : []
    const all = ofSections.length === 0 ? comments : [...ofSections, ...comments]
    record.comment = all.length === 0 ? undefined : all
    record.packetId = packetId
    record.queue = queue
    record.hashes = hashes.length === 0 ? undefined : hashes
    record.verdicts = verdicts.length === 0 ? undefined : verdicts
  }

  #clearOptions(): void {
    const record = this.#record
    record.flags = undefined
    record.dropCount = undefined
    record.comment = undefined
    record.packetId = undefined
    record.queue = undefined
    record.hashes = undefined
    record.verdicts = undefined
  }
}
