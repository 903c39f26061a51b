/** The writer behind createCaptureFile: records are made in one large buffer, which goes as a whole to a sink, a compressor or a stream. */
import { CaptureError } from '../errors.js'
import { ECANCELED, EPIPE } from '../kernel/errno.js'
import type { CaptureFileFormat, CaptureFileWriter, FileInterface, PacketToWrite, WritableTarget } from './capture-file.js'
import { Compressor } from './compressor.js'
import { PCAP_RECORD_HEADER_BYTES, putPcapRecordHeader } from './encode-pcap.js'
import {
  ENHANCED_PACKET,
  encodeBlock,
  encodeInterface,
  encodePacketOptions,
  encodeStatistics,
  MAX_OPTION_BYTES,
  PACKET_HEAD_BYTES,
  packetBlockBytes,
  putPacketBlock,
  type StatisticsToWrite,
} from './encode-pcapng.js'
import { fileFailed, fsFailed } from './file-failed.js'
import { compressedHeader, describeInterface, type FilePlan, withinOptionLength } from './file-plan.js'
import { Sink } from './open-sink.js'
import type { RotationOptions } from './rotation.js'

const BUFFER_BYTES = 256 * 1024
/** Members of compressed files: large ones cost less in size. */
const MEMBER_BYTES = 1024 * 1024
const MAX_SECONDS: Readonly<Record<CaptureFileFormat, number>> = { pcap: 0xffff_ffff, pcapng: 2 ** 34 }

/** Use createCaptureFile. */
export class FileWriter implements CaptureFileWriter {
  readonly format: CaptureFileFormat
  readonly #plan: FilePlan
  readonly #sink: Sink | undefined
  readonly #stream: WritableTarget | undefined
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

  constructor(plan: FilePlan, target: Sink | WritableTarget, rotation: RotationOptions | undefined) {
    this.format = plan.format
    this.#plan = plan
    this.#isPcap = plan.format === 'pcap'
    this.#ticksPerSecond = plan.precision === 'ns' ? 1e9 : 1e6
    this.#maxSeconds = MAX_SECONDS[plan.format]
    this.#isRotated = rotation?.sizeBytes !== undefined || rotation?.seconds !== undefined
    this.#sink = target instanceof Sink ? target : undefined
    this.#stream = target instanceof Sink ? undefined : target
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
    const captured = this.#plan.cuts ? Math.min(length, this.#isPcap ? this.#plan.snapLengthBytes : (described.snapLengthBytes as number)) : length
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
    const { flags, dropCount, queue, comment, packetId, hashes, verdicts } = packet
    const isPlain = flags === undefined && dropCount === undefined && queue === undefined && comment === undefined && this.#comment.length === 0
    if (isPlain && packetId === undefined && hashes === undefined && verdicts === undefined) return undefined
    const own = comment === undefined ? [] : typeof comment === 'string' ? [comment] : comment
    const comments = [...this.#comment, ...own]
    const options = withinOptionLength(() => encodePacketOptions({ flags, dropCount, queue, comment: comments, packetId, hashes, verdicts }))
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
  statistics(interfaceId: number, statistics: StatisticsToWrite): void {
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
    const failed = sink.append(bytes, used, packets)
    if (failed === 0) return
    if (!sink.isRegular || failed === -ECANCELED) {
      this.#failed(fileFailed(sink.path, 'write', failed), packets)
      return
    }
    let written = 0
    for (let at = 0; at < used; ) {
      const record = this.#recordBytes(bytes, at)
      if (sink.append(bytes.subarray(at, at + record), record, Number(this.#isPacket(bytes, at))) !== 0) break
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
      const failed = this.#sink.append(bytes, bytes.byteLength, packets)
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
    if (stream?.writableNeedDrain !== true || stream.destroyed) return
    await new Promise<void>((resolve) => {
      const over = () => {
        stream.off('drain', over)
        stream.off('close', over)
        resolve()
      }
      stream.once('drain', over)
      stream.once('close', over)
    })
  }

  async #endStream(stream: WritableTarget, keep: boolean): Promise<void> {
    if (stream.destroyed) return
    const ended = new Promise<void>((resolve) => {
      stream.once('finish', resolve)
      stream.once('close', resolve)
      stream.once('error', resolve)
    })
    if (keep) stream.end()
    else stream.destroy()
    await ended
  }
}
