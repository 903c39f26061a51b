/**
 * `convertCaptureFiles()`: capture files read and one written, in another format, merged, filtered, cut, split. What files say besides
 * packets is taken along as far as the target has a place for it.
 */
import { CaptureError } from '../errors.js'
import type { CaptureFileWriter, CreateCaptureFileOptions, PacketToWrite, WritableTarget } from '../file/capture-file.js'
import { BlockCarrier, fileOptionsOf } from '../file/carry.js'
import { createCaptureFile } from '../file/create.js'
import type { FileBlock, PacketCursor } from '../file/decode/cursor.js'
import { type MergedPackets, type MergeOptions, mergeCaptureFiles } from '../file/merge.js'
import type { CaptureFile, CaptureFileInput, CaptureFileOptions } from '../file/open.js'
import { openCaptureFile } from './open-file.js'

type Reading = Pick<CaptureFileOptions, 'filter' | 'netmask' | 'from' | 'until' | 'tolerant' | 'blocking' | 'signal'>
type Writing = Pick<
  CreateCaptureFileOptions,
  'format' | 'precision' | 'compression' | 'compressionLevel' | 'unbuffered' | 'rotation' | 'command' | 'guard' | 'onEvent'
>

/**
 * Options of reading, of writing and of merging. `precision` is by default that of the files where all are pcap with microseconds, else
 * nanoseconds: no time is made less exact.
 */
export interface ConvertOptions extends Reading, Writing, MergeOptions {
  /** Packets are cut to so many bytes. Default: as they are. */
  snapLengthBytes?: number | undefined
  /** Ends after so many packets. */
  count?: number | undefined
  /** Called for each file that was opened, before any is read. */
  onOpen?: ((file: CaptureFile) => void) | undefined
}

export interface ConvertSummary {
  /** Written. */
  packets: number
  /** Blocks that could not be taken along: unknown ones of another byte order, custom ones that must not be copied, all but packets where the target is pcap. */
  blocksLeftOut: number
  /** Passed over because of damage; `tolerant` only. */
  skippedBytes: number
  /** `full`: as many files as were ordered are written. */
  reason: 'end' | 'count' | 'full' | 'aborted'
}

/**
 * Reads capture files and writes one, or a series. pcapng keeps interfaces, comments, flags, drop counts, names, statistics, secrets and other
 * blocks; all sections become one, and interfaces of different files that are described alike become one. pcap has one link type for all, and
 * a packet without a time stamp is of 1970 then.
 * @throws CaptureError what opening, reading and creating files throws. Damage is thrown at the end, when all else has been written, unless
 * `onDamage` is told of it. What was written until something went wrong stays.
 */
export async function convertCaptureFiles(
  inputs: readonly CaptureFileInput[],
  target: string | WritableTarget,
  options: ConvertOptions = {},
): Promise<ConvertSummary> {
  const { filter, netmask, from, until, tolerant, blocking, signal, order, onDamage, onOpen, count, snapLengthBytes } = options
  if (inputs.length === 0) throw new CaptureError('INVALID_OPTION', 'Expected one or more files to convert, got none')
  for (const [name, value] of Object.entries({ count, snapLengthBytes })) {
    if (value === undefined || (Number.isSafeInteger(value) && value > 0)) continue
    throw new CaptureError('INVALID_OPTION', `Expected the option ${name} to be a whole number above 0, got ${String(value)}`)
  }
  const carrier = new BlockCarrier()
  const files: CaptureFile[] = []
  const damages: CaptureError[] = []
  let writer: CaptureFileWriter | undefined
  try {
    for (const [index, input] of inputs.entries()) {
      const onBlock = (block: FileBlock) => carrier.take(index, block)
      const file = await openCaptureFile(input, { filter, netmask, from, until, tolerant, blocking, signal, onBlock })
      files.push(file)
      carrier.addFile(file)
      onOpen?.(file)
    }
    const { format, precision, compression, compressionLevel, unbuffered, rotation, command, guard, onEvent } = options
    const writing = { format, compression, compressionLevel, unbuffered, rotation, command, guard, onEvent, signal }
    const open = async () => {
      writer = await createCaptureFile(target, { ...writing, ...fileOptionsOf(files, { precision, snapLengthBytes }) })
      carrier.begin(writer, snapLengthBytes)
      return writer
    }
    const copy = new Copy(carrier, snapLengthBytes, count)
    const damaged = (error: CaptureError, file: CaptureFile) => {
      damages.push(error)
      onDamage?.(error, file)
    }
    for await (const batch of mergeCaptureFiles(files, { order, onDamage: damaged })) {
      // No sooner: what stands before the first packets is known by now.
      const to = writer ?? (await open())
      const ended = copy.run(batch, to)
      carrier.throwFailure()
      if (ended === 'done') break
      if (ended === 'no room') await to.flush()
    }
    if (writer === undefined) await open()
    carrier.throwFailure()
    await writer?.close()
    if (onDamage === undefined && damages[0] !== undefined) throw damages[0]
    const reason = signal?.aborted === true && copy.reason === 'end' ? 'aborted' : copy.reason
    const skippedBytes = files.reduce((sum, file) => sum + file.skippedBytes, 0)
    return { packets: copy.packets, blocksLeftOut: carrier.leftOut, skippedBytes, reason }
  } finally {
    await Promise.all(files.map((file) => file.close()))
    // What was written is kept; what closing has to say of an error that is being thrown is known.
    await writer?.close().catch(() => {})
  }
}

/** The loop over packets, with the one object that they are handed on in. */
class Copy {
  packets = 0
  reason: 'end' | 'count' | 'full' = 'end'
  readonly #carrier: BlockCarrier
  readonly #snapLengthBytes: number
  readonly #count: number
  readonly #record: Required<PacketToWrite> = {
    bytes: new Uint8Array(0),
    offset: 0,
    capturedLength: 0,
    wireLength: 0,
    seconds: 0,
    nanoseconds: 0,
    interfaceId: 0,
    flags: undefined,
    dropCount: undefined,
    queue: undefined,
    comment: undefined,
    packetId: undefined,
    hashes: undefined,
    verdicts: undefined,
  }

  constructor(carrier: BlockCarrier, snapLengthBytes = Number.POSITIVE_INFINITY, count = Number.POSITIVE_INFINITY) {
    this.#carrier = carrier
    this.#snapLengthBytes = snapLengthBytes
    this.#count = count
  }

  /** Until the batch is over, the writer has no room, or nothing more is wanted. */
  run(batch: MergedPackets, writer: CaptureFileWriter): 'batch' | 'no room' | 'done' {
    const record = this.#record
    while (batch.next()) {
      const { packet, fileIndex } = batch
      record.bytes = packet.bytes
      record.offset = packet.offset
      record.capturedLength = Math.min(packet.capturedLength, this.#snapLengthBytes)
      record.wireLength = packet.wireLength
      record.seconds = packet.seconds
      record.nanoseconds = packet.nanoseconds
      record.interfaceId = this.#carrier.numberOf(fileIndex, packet.interfaceId)
      if (packet.hasOptions) this.#addOptions(packet)
      const hasRoom = writer.write(record)
      if (packet.hasOptions) this.#clearOptions()
      if (writer.isFull) return this.#end('full')
      if (++this.packets === this.#count) return this.#end('count')
      if (!hasRoom) return 'no room'
    }
    return 'batch'
  }

  #end(reason: 'count' | 'full'): 'done' {
    this.reason = reason
    return 'done'
  }

  #addOptions(packet: PacketCursor): void {
    const record = this.#record
    const { flags, dropCount } = packet
    const { comments, packetId, queue, hashes, verdicts } = packet.details()
    record.flags = flags === 0 ? undefined : flags
    record.dropCount = dropCount === 0 ? undefined : dropCount
    record.comment = comments.length === 0 ? undefined : comments
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
