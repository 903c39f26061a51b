/** The writer behind createCaptureFile: records are made in one large buffer, which goes as a whole to a sink, a compressor or a stream. */
import { CaptureError } from '../errors.js'
import { ECANCELED, EPIPE } from '../kernel/errno.js'
import type { CaptureFileFormat, CaptureFileWriter, FileEvent, FileInterface, PacketToWrite, WritableTarget } from './capture-file.js'
import { Compressor } from './compressor.js'
import { PCAP_RECORD_HEADER_BYTES, putPcapRecordHeader } from './encode-pcap.js'
import {
  DECRYPTION_SECRETS,
  ENHANCED_PACKET,
  encodeBlock,
  encodeInterface,
  encodePacketOptions,
  encodeStatistics,
  MAX_OPTION_BYTES,
  NAME_RESOLUTION,
  PACKET_HEAD_BYTES,
  packetBlockBytes,
  putPacketBlock,
  putSimpleBlock,
  SIMPLE_HEAD_BYTES,
  SIMPLE_PACKET,
  type StatisticsToWrite,
  simpleBlockBytes,
} from './encode-pcapng.js'
import { fileFailed, fsFailed } from './file-failed.js'
import { compressedHeader, describeInterface, type FilePlan, MAX_SECONDS, withinOptionLength } from './file-plan.js'
import { Sink } from './open-sink.js'
import { FileSequence, type RotationOptions } from './rotation.js'

const BUFFER_BYTES = 256 * 1024
/** Members of compressed files: large ones cost less in size. */
const MEMBER_BYTES = 1024 * 1024
/** Of names and secrets that each file of a series begins with. */
const MAX_REPEATED_BYTES = 16 * 1024 * 1024
const MAX_WORD64 = 2n ** 64n - 1n

export interface Series {
  /** The name that was given. */
  pattern: string
  rotation: RotationOptions
  onEvent: ((event: FileEvent) => void) | undefined
}

/** Use createCaptureFile. */
export class FileWriter implements CaptureFileWriter {
  readonly format: CaptureFileFormat
  readonly #plan: FilePlan
  readonly #sink: Sink | undefined
  readonly #stream: WritableTarget | undefined
  readonly #compressor: Compressor | undefined
  readonly #series: Series | undefined
  readonly #isPcap: boolean
  readonly #ticksPerSecond: number
  readonly #maxSeconds: number
  #bytes: Uint8Array<ArrayBuffer>
  #view: DataView<ArrayBuffer>
  #used = 0
  #packetsInBuffer = 0
  #packets = 0
  #dropped = 0
  #dated = 0
  /** With a compressor: the files as they will be when what it has is written. */
  #ahead: FileSequence | undefined
  /** Rotations that wait for members that belong before them. */
  #rotating = 0
  #nextHeader: (() => Uint8Array) | undefined
  #repeatedBytes = 0
  #hasBegun = false
  /** Of the last packet that had one. */
  #time = 0
  #isFull = false
  #comment: string[] = []
  #untold: CaptureError | undefined
  #error: CaptureError | undefined
  #closed: Promise<void> | undefined

  constructor(plan: FilePlan, target: Sink | WritableTarget, series?: Series) {
    this.format = plan.format
    this.#plan = plan
    this.#isPcap = plan.format === 'pcap'
    this.#ticksPerSecond = plan.precision === 'ns' ? 1e9 : 1e6
    this.#maxSeconds = MAX_SECONDS[plan.format]
    this.#series = (series?.rotation.sizeBytes ?? series?.rotation.seconds) === undefined ? undefined : series
    this.#sink = target instanceof Sink ? target : undefined
    this.#stream = target instanceof Sink ? undefined : target
    const { compression, compressionLevel } = plan
    this.#compressor = compression === undefined ? undefined : new Compressor(compression, compressionLevel, (member, packets) => this.#emit(member, packets))
    this.#bytes = new Uint8Array(new ArrayBuffer(compression === undefined ? BUFFER_BYTES : MEMBER_BYTES))
    this.#view = new DataView(this.#bytes.buffer)
    this.#stream?.on('error', this.#onStreamError)
    if (this.#stream !== undefined) this.#emit(compressedHeader(plan), 0)
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

  /** Packets without a time stamp that had to be given one. */
  get dated(): number {
    return this.#dated
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
    // Whole numbers of 32 bits are what these leave as they are; NaN fails them all.
    if (!(offset >>> 0 === offset && length >>> 0 === length && offset + length <= bytes.byteLength))
      throw this.#invalid(`${length} bytes at ${offset} of ${bytes.byteLength}`)
    if (wireLength >>> 0 !== wireLength) throw this.#invalid(`wireLength ${wireLength}`)
    if (wireLength < length && !this.#plan.isConverted) throw this.#invalid(`wireLength ${wireLength} of ${length} bytes`)
    if (!(seconds >= 0 && seconds <= this.#maxSeconds && Math.floor(seconds) === seconds && nanoseconds >>> 0 === nanoseconds && nanoseconds < 1e9))
      throw this.#invalid(`time ${seconds} s ${nanoseconds} ns`)
    const described = this.#plan.interfaces[interfaceId]
    if (described === undefined) throw this.#invalid(`interfaceId ${interfaceId} of ${this.#plan.interfaces.length} interfaces`)
    const captured = this.#plan.cuts ? Math.min(length, this.#isPcap ? this.#plan.snapLengthBytes : (described.snapLengthBytes as number)) : length
    const options = this.#isPcap ? undefined : this.#options(packet)
    const optionsBytes = options?.byteLength ?? 0
    const isUndated = packet.hasTimestamp === false
    const isSimple = isUndated && options === undefined && interfaceId === 0 && this.#isSimple(captured, wireLength)
    const record = isSimple ? simpleBlockBytes(captured) : this.#isPcap ? PCAP_RECORD_HEADER_BYTES + captured : packetBlockBytes(captured, optionsBytes)

    if (this.#series !== undefined) this.#rotateIfDue(isUndated ? undefined : seconds + nanoseconds / 1e9)
    if (this.#isFull) {
      this.#dropped++
      return false
    }
    this.#makeRoom(record)
    if (isSimple) this.#putSimple(bytes, offset, captured, wireLength)
    else this.#put(bytes, offset, captured, wireLength, seconds, nanoseconds, interfaceId, options)
    if (isUndated && !isSimple) this.#dated++
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

  /** A block without a time says how long the packet was, and the reader how much of it is there. */
  #isSimple(captured: number, wireLength: number): boolean {
    return !this.#isPcap && captured === Math.min(wireLength, this.#plan.interfaces[0]?.snapLengthBytes as number)
  }

  #putSimple(bytes: Uint8Array, offset: number, captured: number, wireLength: number): void {
    putSimpleBlock(this.#view, this.#used, captured, wireLength)
    this.#bytes.set(bytes.subarray(offset, offset + captured), this.#used + SIMPLE_HEAD_BYTES)
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
    const { queue, comment, packetId, hashes, verdicts } = packet
    // As a reader has it: 0 is that nothing is said.
    const flags = packet.flags === 0 ? undefined : packet.flags
    const dropCount = packet.dropCount === 0 ? undefined : packet.dropCount
    const isPlain = flags === undefined && dropCount === undefined && queue === undefined && comment === undefined && this.#comment.length === 0
    if (isPlain && packetId === undefined && hashes === undefined && verdicts === undefined) return undefined
    for (const [name, value] of [
      ['flags', flags],
      ['queue', queue],
    ] as const) {
      if (value !== undefined && value >>> 0 !== value) throw this.#invalid(`${name} ${value}`)
    }
    if (dropCount !== undefined && !(Number.isInteger(dropCount) && dropCount >= 0 && dropCount <= 2 ** 64)) throw this.#invalid(`dropCount ${dropCount}`)
    if (packetId !== undefined && !(packetId >= 0n && packetId <= MAX_WORD64)) throw this.#invalid(`packetId ${packetId}`)
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
    if (!this.#isPcap) {
      const block = encodeBlock(type, body)
      this.#putBytes(block)
      if (this.#series !== undefined && (type === NAME_RESOLUTION || type === DECRYPTION_SECRETS)) this.#repeat(block, this.#series)
    }
    this.#tell()
  }

  /** What a file of a series begins with. */
  header(): Uint8Array {
    return this.#nextHeader?.() ?? compressedHeader(this.#plan)
  }

  #repeat(block: Uint8Array, { rotation, onEvent }: Series): void {
    // NB: a file that is full with its header would be followed by another with each packet.
    const most = Math.min(MAX_REPEATED_BYTES, (rotation.sizeBytes ?? Number.POSITIVE_INFINITY) / 2)
    const before = this.#repeatedBytes
    this.#repeatedBytes += block.byteLength
    if (this.#repeatedBytes <= most) this.#plan.repeated.push(block)
    else if (before <= most)
      onEvent?.({ type: 'file-warning', message: `names and secrets of more than ${Math.floor(most)} bytes: those behind are in one file of the series alone` })
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
    this.#closed ??= this.#close('whole')
    return this.#closed
  }

  /**
   * Ends a file that is not what it was to be, for something that went wrong: it gets its name where nothing has that, else what has it
   * stays and this is NAME.partial (`path` says so). What goes wrong here is not thrown. Answers what it is called; undefined when there is
   * nothing of it: of a stream, or the last of a series that nothing had been written to.
   */
  async closePartial(): Promise<string | undefined> {
    this.#closed ??= this.#close('partial')
    await this.#closed.catch(() => {})
    return this.#sink?.left
  }

  /** Ends without a file: what was written is removed, where it was a regular one. Answers the name of one that stays, as it was written in place. */
  async discard(): Promise<string | undefined> {
    this.#closed ??= this.#close('none')
    await this.#closed
    return this.#sink?.left
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #close(kept: 'whole' | 'partial' | 'none'): Promise<void> {
    if (kept !== 'none') this.#writeOut()
    await this.#compressor?.finished()
    if (this.#sink !== undefined) await (kept === 'whole' ? this.#sink.close() : kept === 'partial' ? this.#sink.closePartial() : this.#sink.discard())
    if (this.#stream !== undefined) await this.#endStream(this.#stream, kept !== 'none')
    this.#bytes = new Uint8Array(0)
    if (kept === 'whole') this.#tell()
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

  /** Without a time it is of that of the one before. */
  #rotateIfDue(seconds: number | undefined): void {
    const sink = this.#sink as Sink
    if (seconds !== undefined) this.#time = seconds
    if (!this.#hasBegun && seconds !== undefined) {
      this.#hasBegun = true
      sink.begin(seconds)
      this.#ahead = undefined
    }
    if (this.#isFull) return
    if (this.#compressor !== undefined) {
      this.#rotateBehind(this.#compressor, sink, this.#time)
      return
    }
    const reason = sink.due(sink.size + this.#used, this.#time)
    if (reason === undefined) return
    this.#writeOut()
    if (!sink.rotate(reason, this.#time)) this.#isFull = sink.isFull
  }

  /** Members that are being made belong to the file before: the next one is begun behind them, with what is known of it now. */
  #rotateBehind(compressor: Compressor, sink: Sink, seconds: number): void {
    const { pattern, rotation } = this.#series as Series
    this.#ahead ??= new FileSequence(pattern, rotation, seconds)
    // Of what is being compressed nobody knows yet how long it will be.
    const reason = this.#ahead.due(this.#rotating === 0 ? sink.size : 0, seconds)
    if (reason === undefined) return
    this.#writeOut()
    if (this.#ahead.isLast(reason)) this.#isFull = true
    else this.#ahead.advance(reason, seconds)
    const interfaces = this.#plan.interfaces.slice()
    const repeated = this.#plan.repeated.slice()
    this.#rotating++
    compressor.behind(() => {
      this.#rotating--
      this.#nextHeader = () => compressedHeader(this.#plan, interfaces, repeated)
      try {
        sink.rotate(reason, seconds)
      } catch (error) {
        this.#untold ??= error as CaptureError
      }
    })
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
    if (this.#isPcap) return true
    const type = new DataView(bytes.buffer, bytes.byteOffset + at).getUint32(0, true)
    return type === ENHANCED_PACKET || type === SIMPLE_PACKET
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
