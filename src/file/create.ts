/** Capture files for writing: pcap and pcapng, compressed or not, one or a series, to a file, a pipe or a stream. */
import { once } from 'node:events'
import { Writable } from 'node:stream'
import { CaptureError } from '../errors.js'
import { LINK_TYPES, type LinkType } from '../filter/link-type.js'
import { ECANCELED, EPIPE } from '../kernel/errno.js'
import { type Compression, Compressor, checkCompression, compressNow } from './compressor.js'
import { encodePcapHeader, PCAP_RECORD_HEADER_BYTES, PRECISIONS, type Precision, putPcapRecordHeader } from './encode-pcap.js'
import {
  ENHANCED_PACKET,
  encodeBlock,
  encodeInterface,
  encodePacketOptions,
  encodeSection,
  encodeStatistics,
  type InterfaceDescription,
  type InterfaceStatistics,
  MAX_OPTION_BYTES,
  PACKET_HEAD_BYTES,
  packetBlockBytes,
  putPacketBlock,
  type Section,
} from './encode-pcapng.js'
import { fileFailed, fsFailed } from './file-failed.js'
import { type FileEvent, openSink, type Sink } from './open-sink.js'
import type { RotationOptions } from './rotation.js'

export const CAPTURE_FILE_FORMATS = ['pcap', 'pcapng'] as const

export type CaptureFileFormat = (typeof CAPTURE_FILE_FORMATS)[number]

/** An interface as the file describes it. */
export interface FileInterface extends Omit<InterfaceDescription, 'linkType' | 'snapLengthBytes' | 'precision'> {
  /** Default: that of the file. */
  linkType?: LinkType | number | undefined
  /** Default: that of the file. */
  snapLengthBytes?: number | undefined
}

export interface CaptureFileOptions {
  /** Default: by the ending of the name, `.pcap` and `.cap` or `.pcapng`, also with `.gz` or `.zst` behind it; else pcapng. */
  format?: CaptureFileFormat | undefined
  /** Of the time stamps. Default: 'ns'. */
  precision?: Precision | undefined
  /** A name of `tcpdump -y`, or a LINKTYPE_ number. Default: 'EN10MB'. */
  linkType?: LinkType | number | undefined
  /** What was captured on; only pcapng tells. Default: one interface without a name. */
  interfaces?: readonly FileInterface[] | undefined
  /** Packets are cut to so many bytes. Default: 262144. */
  snapLengthBytes?: number | undefined
  /** Default: by the ending of the name, `.gz` or `.zst`; else none. zstd needs Node.js 22.15. */
  compression?: Compression | 'none' | undefined
  /** gzip 1 to 9, zstd 1 to 19. Default: 1. */
  compressionLevel?: number | undefined
  /** Whether each packet is written at once (`-U`). Default: false, in buffers of 256 KiB. */
  unbuffered?: boolean | undefined
  /** About the machine and the program that captured; only pcapng tells. Default: the application is ringtap. */
  section?: Section | undefined
  /** A series of files, by the times of the packets. Only for regular files. */
  rotation?: RotationOptions | undefined
  /** A program that is run for each finished file, with its name as the one argument (`-z`); at low priority, two at a time. */
  command?: string | undefined
  /** Whether a process stands by to cut and name the file if this one is killed. Default: false: a hidden `.part` file stays. */
  guard?: boolean | undefined
  /** Ends the waiting for somebody who reads a FIFO. */
  signal?: AbortSignal | undefined
  onEvent?: ((event: FileEvent) => void) | undefined
}

/** A packet to be written. A PacketView and a Packet of `packets()` are such. */
export interface PacketToWrite {
  bytes: Uint8Array
  /** Where in `bytes` it begins. Default: 0. */
  offset?: number | undefined
  /** Default: to the end of `bytes`. */
  capturedLength?: number | undefined
  /** Its length on the wire. Default: capturedLength. */
  wireLength?: number | undefined
  /** Since 1970. */
  seconds: number
  nanoseconds: number
  /** Place in `interfaces`. Default: 0. */
  interfaceId?: number | undefined
  /** epb_flags of pcapng, such as `PACKET_FLAGS.inbound`. */
  flags?: number | undefined
  /** Packets lost before it. */
  dropCount?: number | undefined
  /** Receive queue. */
  queue?: number | undefined
  comment?: string | readonly string[] | undefined
}

const BUFFER_BYTES = 256 * 1024
/** Members of compressed files: large ones cost less in size. */
const MEMBER_BYTES = 1024 * 1024
const DEFAULT_SNAP_LENGTH = 262144
const MAX_SNAP_LENGTH = 0x7fff_ffff
const MAX_SECONDS: Readonly<Record<CaptureFileFormat, number>> = { pcap: 0xffff_ffff, pcapng: 2 ** 34 }

interface Plan {
  format: CaptureFileFormat
  precision: Precision
  linkType: number
  snapLengthBytes: number
  compression: Compression | undefined
  compressionLevel: number | undefined
  unbuffered: boolean
  section: Section
  interfaces: InterfaceDescription[]
}

/**
 * Opens a capture file for writing: a path, `-` for stdout, or a stream.
 *
 * A regular file appears under its name when it is closed; until then it is a hidden `.NAME.PID.part` beside it, and what had the name
 * stays. FIFOs, devices and stdout are written as they are. Without compression a file or pipe is written synchronously.
 * @throws CaptureError INVALID_OPTION, UNSUPPORTED_PLATFORM (zstd), or FILE_FAILED with the errno: then nothing is left behind.
 */
export async function createCaptureFile(target: string | Writable, options: CaptureFileOptions = {}): Promise<CaptureFileWriter> {
  const plan = planFile(typeof target === 'string' ? target : '', options)
  if (typeof target !== 'string') {
    if (options.rotation !== undefined) throw new CaptureError('INVALID_OPTION', 'rotation needs a path, and this is a stream')
    return new CaptureFileWriter(plan, target, undefined)
  }
  const interfaces = plan.interfaces
  const { rotation, command, guard = false, signal, onEvent } = options
  const sink = await openSink(target, { header: () => compressedHeader(plan, interfaces), rotation, rotateBy: 'hand', command, guard, signal, onEvent })
  return new CaptureFileWriter(plan, sink, rotation)
}

function planFile(path: string, options: CaptureFileOptions): Plan {
  const endings = /(?:\.(pcapng|ntar|pcap|cap|dmp))?(?:\.(gz|zst))?$/i.exec(path)
  const [, kind, packed] = [...(endings ?? [])].map((ending) => ending?.toLowerCase())
  const format = options.format ?? (kind === undefined || kind === 'pcapng' || kind === 'ntar' ? 'pcapng' : 'pcap')
  if (!CAPTURE_FILE_FORMATS.includes(format))
    throw new CaptureError('INVALID_OPTION', `expected format to be one of ${CAPTURE_FILE_FORMATS.join(', ')}, got ${String(format)}`)
  const precision = options.precision ?? 'ns'
  if (!PRECISIONS.includes(precision))
    throw new CaptureError('INVALID_OPTION', `expected precision to be one of ${PRECISIONS.join(', ')}, got ${String(precision)}`)
  const asked = options.compression ?? (packed === 'gz' ? 'gzip' : packed === 'zst' ? 'zstd' : 'none')
  const compression = asked === 'none' ? undefined : asked
  if (compression !== undefined) checkCompression(compression, options.compressionLevel)
  const plan: Plan = {
    format,
    precision,
    linkType: linkTypeOf(options.linkType ?? 'EN10MB'),
    snapLengthBytes: snapLengthOf(options.snapLengthBytes ?? DEFAULT_SNAP_LENGTH),
    compression,
    compressionLevel: options.compressionLevel,
    unbuffered: options.unbuffered ?? false,
    section: { application: 'ringtap', ...options.section },
    interfaces: [],
  }
  for (const description of options.interfaces ?? [{}]) plan.interfaces.push(describeInterface(plan, description))
  return plan
}

function linkTypeOf(value: LinkType | number): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 0xffff) return value
  const row: { dlt: number; linktype?: number } | undefined = typeof value === 'string' ? LINK_TYPES[value] : undefined
  if (row === undefined) {
    throw new CaptureError('INVALID_OPTION', `expected linkType to be a LINKTYPE_ number or one of ${Object.keys(LINK_TYPES).join(', ')}, got ${String(value)}`)
  }
  return row.linktype ?? row.dlt
}

function snapLengthOf(value: number): number {
  if (Number.isInteger(value) && value >= 1 && value <= MAX_SNAP_LENGTH) return value
  throw new CaptureError('INVALID_OPTION', `expected snapLengthBytes to be 1 to ${MAX_SNAP_LENGTH}, got ${String(value)}`)
}

function describeInterface(plan: Plan, description: FileInterface): InterfaceDescription {
  const linkType = description.linkType === undefined ? plan.linkType : linkTypeOf(description.linkType)
  if (plan.format === 'pcap' && linkType !== plan.linkType) {
    throw new CaptureError('INVALID_OPTION', `a pcap file has one link type: it is ${plan.linkType}, and interface ${description.name ?? ''} has ${linkType}`, {
      hint: 'write pcapng',
    })
  }
  const { macAddress } = description
  if (macAddress !== undefined && macAddress.byteLength !== 6) {
    throw new CaptureError('INVALID_OPTION', `expected macAddress to be 6 bytes, got ${macAddress.byteLength}`)
  }
  return { ...description, linkType, snapLengthBytes: snapLengthOf(description.snapLengthBytes ?? plan.snapLengthBytes), precision: plan.precision }
}

/** What a file begins with, and each file of a series. */
function header(plan: Plan, interfaces: readonly InterfaceDescription[]): Uint8Array {
  if (plan.format === 'pcap') return encodePcapHeader(plan)
  return withinOptionLength(() => Buffer.concat([encodeSection(plan.section), ...interfaces.map(encodeInterface)]))
}

function compressedHeader(plan: Plan, interfaces: readonly InterfaceDescription[]): Uint8Array {
  const bytes = header(plan, interfaces)
  return plan.compression === undefined ? bytes : compressNow(plan.compression, bytes, plan.compressionLevel)
}

/** The encoders answer what is too long for an option with a RangeError. */
function withinOptionLength<T>(encode: () => T): T {
  try {
    return encode()
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    throw new CaptureError('INVALID_OPTION', `a text is too long for pcapng, whose options have at most ${MAX_OPTION_BYTES} bytes: ${error.message}`)
  }
}

/**
 * A capture file that is being written.
 *
 * A write that fails never leaves half a record: the file is cut back to the last whole one. The error is thrown once, by the call in
 * which it shows (`write`, `flush` or `close`); packets that were not written are counted in `dropped`, and later ones are tried
 * again, as a disk may have room again (a pipe that nobody reads any more has not).
 */
export class CaptureFileWriter implements AsyncDisposable {
  readonly format: CaptureFileFormat
  readonly #plan: Plan
  readonly #sink: Sink | undefined
  readonly #stream: Writable | undefined
  readonly #compressor: Compressor | undefined
  readonly #isRotated: boolean
  readonly #isPcap: boolean
  readonly #ticksPerSecond: number
  readonly #maxSeconds: number
  #bytes: Uint8Array<ArrayBuffer>
  #view: DataView<ArrayBuffer>
  #used = 0
  #packetsInBuffer = 0
  #packets = 0
  #dropped = 0
  #hasBegun = false
  #isFull = false
  #comment: string[] = []
  #untold: CaptureError | undefined
  #error: CaptureError | undefined
  #closed: Promise<void> | undefined

  /** @internal Use createCaptureFile. */
  constructor(plan: Plan, target: Sink | Writable, rotation: RotationOptions | undefined) {
    this.format = plan.format
    this.#plan = plan
    this.#isPcap = plan.format === 'pcap'
    this.#ticksPerSecond = plan.precision === 'ns' ? 1e9 : 1e6
    this.#maxSeconds = MAX_SECONDS[plan.format]
    this.#isRotated = rotation?.sizeBytes !== undefined || rotation?.seconds !== undefined
    this.#sink = target instanceof Writable ? undefined : target
    this.#stream = target instanceof Writable ? target : undefined
    const { compression, compressionLevel } = plan
    this.#compressor = compression === undefined ? undefined : new Compressor(compression, compressionLevel, (member, packets) => this.#emit(member, packets))
    this.#bytes = new Uint8Array(new ArrayBuffer(compression === undefined ? BUFFER_BYTES : MEMBER_BYTES))
    this.#view = new DataView(this.#bytes.buffer)
    this.#stream?.on('error', this.#onStreamError)
    if (this.#stream !== undefined) this.#emit(compressedHeader(plan, plan.interfaces), 0)
  }

  /** The final name of the file that is being written; undefined for a stream. */
  get path(): string | undefined {
    return this.#sink?.path
  }

  /** Packets that were taken and not dropped; those in the buffer among them. */
  get packets(): number {
    return this.#packets
  }

  /** Packets that could not be written. */
  get dropped(): number {
    return this.#dropped
  }

  /** As many files as were ordered (`rotation.files`) are written: what is still given is dropped. */
  get isFull(): boolean {
    return this.#isFull
  }

  /** What went wrong last; of a pipe or stream, what ended it. */
  get error(): CaptureError | undefined {
    return this.#error
  }

  /**
   * Adds a packet; its bytes are copied. Answers false when the caller should `await flush()` before it goes on, because a stream or
   * a compressor has enough to do: what is written anyway waits in memory.
   * @throws CaptureError INVALID_OPTION for a packet that cannot be (nothing is written), or FILE_FAILED, once.
   */
  write(packet: PacketToWrite): boolean {
    const { bytes, seconds, nanoseconds, interfaceId = 0 } = packet
    const offset = packet.offset ?? 0
    const length = packet.capturedLength ?? bytes.byteLength - offset
    const wireLength = packet.wireLength ?? length
    if (this.#closed !== undefined) throw new CaptureError('INVALID_OPTION', 'packet: the file is closed')
    // One comparison each, NaN fails them all.
    if (!(offset >= 0 && length >= 0 && offset + length <= bytes.byteLength)) throw this.#invalid(`${length} bytes at ${offset} of ${bytes.byteLength}`)
    if (!(wireLength >= 0 && wireLength <= 0xffff_ffff)) throw this.#invalid(`wireLength ${wireLength}`)
    if (!(seconds >= 0 && seconds <= this.#maxSeconds && nanoseconds >= 0 && nanoseconds < 1e9)) throw this.#invalid(`time ${seconds} s ${nanoseconds} ns`)
    const described = this.#plan.interfaces[interfaceId]
    if (described === undefined) throw this.#invalid(`interfaceId ${interfaceId} of ${this.#plan.interfaces.length} interfaces`)
    const captured = Math.min(length, this.#isPcap ? this.#plan.snapLengthBytes : (described.snapLengthBytes as number))
    const options = this.#isPcap ? undefined : this.#options(packet)
    const optionsBytes = options?.byteLength ?? 0
    const record = this.#isPcap ? PCAP_RECORD_HEADER_BYTES + captured : packetBlockBytes(captured, optionsBytes)

    if (this.#isRotated) this.#rotateIfDue(seconds + nanoseconds / 1e9)
    if (this.#isFull) {
      this.#dropped++
      return false
    }
    this.#makeRoom(record)
    this.#put(bytes, offset, captured, wireLength, seconds, nanoseconds, interfaceId, options)
    this.#used += record
    this.#packetsInBuffer++
    this.#packets++
    if (this.#plan.unbuffered) this.#writeOut()
    this.#tell()
    return this.#hasRoom()
  }

  #invalid(what: string): CaptureError {
    return new CaptureError('INVALID_OPTION', `packet: ${what}: there is no such packet in ${this.format}`)
  }

  #put(
    bytes: Uint8Array,
    offset: number,
    captured: number,
    wireLength: number,
    seconds: number,
    nanoseconds: number,
    interfaceId: number,
    options: Uint8Array | undefined,
  ): void {
    const at = this.#used
    const fraction = this.#ticksPerSecond === 1e9 ? nanoseconds : Math.floor(nanoseconds / 1000)
    const data = at + (this.#isPcap ? PCAP_RECORD_HEADER_BYTES : PACKET_HEAD_BYTES)
    if (this.#isPcap) putPcapRecordHeader(this.#view, at, seconds, fraction, captured, wireLength)
    else putPacketBlock(this.#view, at, interfaceId, seconds, fraction, this.#ticksPerSecond, captured, wireLength, options?.byteLength ?? 0)
    this.#bytes.set(offset === 0 && captured === bytes.byteLength ? bytes : bytes.subarray(offset, offset + captured), data)
    if (options !== undefined) this.#bytes.set(options, data + ((captured + 3) & ~3))
  }

  #options(packet: PacketToWrite): Uint8Array | undefined {
    const { flags, dropCount, queue, comment } = packet
    if (flags === undefined && dropCount === undefined && queue === undefined && comment === undefined && this.#comment.length === 0) return undefined
    const own = comment === undefined ? [] : typeof comment === 'string' ? [comment] : comment
    const comments = [...this.#comment, ...own]
    const options = withinOptionLength(() => encodePacketOptions({ flags, dropCount, queue, comment: comments.length === 0 ? undefined : comments }))
    this.#comment = []
    return options
  }

  /** Describes one more interface and answers its id. In pcap there is nothing to tell but the link type, which must be that of the file. */
  addInterface(description: FileInterface = {}): number {
    const described = describeInterface(this.#plan, description)
    const block = this.#isPcap ? undefined : withinOptionLength(() => encodeInterface(described))
    this.#plan.interfaces.push(described)
    if (block !== undefined) this.#putBytes(block)
    this.#tell()
    return this.#plan.interfaces.length - 1
  }

  /** A comment for the next packet that is written, before its own. pcap has none. */
  comment(text: string): void {
    if (Buffer.byteLength(text) > MAX_OPTION_BYTES)
      throw new CaptureError('INVALID_OPTION', `a comment has at most ${MAX_OPTION_BYTES} bytes, this one ${Buffer.byteLength(text)}`)
    this.#comment.push(text)
  }

  /** What became of the packets of an interface so far. pcap has no place for it. */
  statistics(interfaceId: number, statistics: InterfaceStatistics): void {
    if (this.#plan.interfaces[interfaceId] === undefined) throw this.#invalid(`interfaceId ${interfaceId} of ${this.#plan.interfaces.length} interfaces`)
    if (!this.#isPcap) this.#putBytes(withinOptionLength(() => encodeStatistics(interfaceId, statistics, this.#plan.precision)))
    this.#tell()
  }

  /** A block of pcapng as it is: name resolution, secrets, custom ones, unknown ones. Its body is padded; pcap takes none. */
  block(type: number, body: Uint8Array): void {
    if (!this.#isPcap) this.#putBytes(encodeBlock(type, body))
    this.#tell()
  }

  /**
   * When everything written so far is with the operating system, or the stream has room again.
   * @throws CaptureError FILE_FAILED, once.
   */
  async flush(): Promise<void> {
    this.#writeOut()
    await this.#compressor?.finished()
    await this.#drained()
    this.#tell()
  }

  /**
   * Ends the file, which now gets its name. Idempotent. A stream is ended, too.
   * @throws CaptureError FILE_FAILED for what has not been told yet.
   */
  close(): Promise<void> {
    this.#closed ??= this.#close(true)
    return this.#closed
  }

  /** Ends without a file: what was written is removed, where it was a regular one. */
  discard(): Promise<void> {
    this.#closed ??= this.#close(false)
    return this.#closed
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #close(keep: boolean): Promise<void> {
    if (keep) this.#writeOut()
    await this.#compressor?.finished()
    if (this.#sink !== undefined) await (keep ? this.#sink.close() : this.#sink.discard())
    if (this.#stream !== undefined) await this.#endStream(this.#stream, keep)
    this.#bytes = new Uint8Array(0)
    if (keep) this.#tell()
  }

  #makeRoom(bytes: number): void {
    if (this.#used + bytes <= this.#bytes.byteLength) return
    this.#writeOut()
    if (bytes <= this.#bytes.byteLength) return
    this.#bytes = new Uint8Array(new ArrayBuffer(bytes))
    this.#view = new DataView(this.#bytes.buffer)
  }

  #putBytes(block: Uint8Array): void {
    this.#makeRoom(block.byteLength)
    this.#bytes.set(block, this.#used)
    this.#used += block.byteLength
    if (this.#plan.unbuffered) this.#writeOut()
  }

  #rotateIfDue(seconds: number): void {
    const sink = this.#sink as Sink
    if (!this.#hasBegun) {
      this.#hasBegun = true
      sink.begin(seconds)
    }
    // Of what is being compressed nobody knows yet how long it will be.
    const reason = sink.due(sink.size + (this.#compressor === undefined ? this.#used : 0), seconds)
    if (reason === undefined || this.#isFull) return
    this.#writeOut()
    // NB: members that are on their way belong to the file before; until they are there it goes on.
    if (this.#compressor?.isIdle === false) return
    if (!sink.rotate(reason, seconds)) this.#isFull = sink.isFull
  }

  #hasRoom(): boolean {
    return this.#compressor?.isFull !== true && this.#stream?.writableNeedDrain !== true
  }

  /** Hands the buffer on. */
  #writeOut(): void {
    if (this.#used === 0) return
    const packets = this.#packetsInBuffer
    const used = this.#used
    this.#used = 0
    this.#packetsInBuffer = 0
    if (this.#compressor === undefined && this.#sink !== undefined) {
      this.#append(this.#sink, this.#bytes, used, packets)
      return
    }
    const bytes = this.#bytes.subarray(0, used)
    if (this.#plan.unbuffered) {
      // Small ones are copied, so that the buffer need not be made anew for each.
      if (this.#compressor !== undefined) this.#compressor.push(bytes.slice(), packets)
      else this.#emit(bytes.slice(), packets)
      return
    }
    if (this.#compressor !== undefined) this.#compressor.push(bytes, packets)
    else this.#emit(bytes, packets)
    this.#bytes = new Uint8Array(new ArrayBuffer(this.#bytes.byteLength))
    this.#view = new DataView(this.#bytes.buffer)
  }

  /** Whole records to the file; of a buffer that does not fit, as many as do. */
  #append(sink: Sink, bytes: Uint8Array, used: number, packets: number): void {
    const failed = sink.append(bytes, used)
    if (failed === 0) return
    if (!sink.isRegular || failed === -ECANCELED) {
      this.#failed(fileFailed(sink.path, 'write', failed), packets)
      return
    }
    let written = 0
    for (let at = 0; at < used; ) {
      const record = this.#recordBytes(bytes, at)
      if (sink.append(bytes.subarray(at, at + record), record) !== 0) break
      if (this.#isPacket(bytes, at)) written++
      at += record
    }
    this.#failed(fileFailed(sink.path, 'write', failed), packets - written)
  }

  #recordBytes(bytes: Uint8Array, at: number): number {
    const view = new DataView(bytes.buffer, bytes.byteOffset + at)
    return this.#isPcap ? PCAP_RECORD_HEADER_BYTES + view.getUint32(8, true) : view.getUint32(4, true)
  }

  #isPacket(bytes: Uint8Array, at: number): boolean {
    return this.#isPcap || new DataView(bytes.buffer, bytes.byteOffset + at).getUint32(0, true) === ENHANCED_PACKET
  }

  /** A compressed member, or a buffer for a stream. */
  #emit(bytes: Uint8Array, packets: number): void {
    if (this.#sink !== undefined) {
      const failed = this.#sink.append(bytes, bytes.byteLength)
      if (failed !== 0) this.#failed(fileFailed(this.#sink.path, 'write', failed), packets)
    } else if (this.#stream?.writable === true) {
      this.#stream.write(bytes, (error) => {
        if (error) this.#failed(fsFailed('stream', 'write', error), packets)
      })
    } else this.#failed(this.#stream?.errored == null ? fileFailed('stream', 'write', EPIPE) : fsFailed('stream', 'write', this.#stream.errored), packets)
  }

  readonly #onStreamError = (error: Error): void => {
    this.#failed(fsFailed('stream', 'write', error), 0)
  }

  #failed(error: CaptureError, packets: number): void {
    // The same again would say nothing new, and what comes after the end of a pipe or stream nothing at all.
    const isNews = this.#error === undefined || (this.#sink?.isRegular === true && this.#error.errno !== error.errno)
    if (isNews) {
      this.#untold ??= error
      this.#error = error
    }
    this.#packets -= packets
    this.#dropped += packets
  }

  #tell(): void {
    const error = this.#untold
    if (error === undefined) return
    this.#untold = undefined
    throw error
  }

  async #drained(): Promise<void> {
    const stream = this.#stream
    if (stream === undefined || !stream.writableNeedDrain || stream.destroyed) return
    const over = new AbortController()
    await Promise.race([once(stream, 'drain', { signal: over.signal }), once(stream, 'close', { signal: over.signal })]).catch(() => {})
    over.abort()
  }

  async #endStream(stream: Writable, keep: boolean): Promise<void> {
    if (!stream.destroyed) {
      const closed = new Promise<void>((resolve) =>
        stream
          .once('close', resolve)
          .once('finish', resolve)
          .once('error', () => resolve()),
      )
      if (keep) stream.end()
      else stream.destroy()
      await closed
    }
  }
}
