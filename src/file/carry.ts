/**
 * What a capture file says besides packets, taken over into another one: interfaces and what is known of them, comments, statistics, names,
 * secrets, custom and unknown blocks. Blocks of the other byte order are turned around where their layout is known.
 */
import type { CaptureError } from '../errors.js'
import type { CaptureFileFormat, CaptureFileWriter, CreateCaptureFileOptions, FileInterface } from './capture-file.js'
import type { CaptureFileInterface, FileBlock } from './decode/cursor.js'
import * as layout from './decode/layout.js'
import type { Precision } from './encode-pcap.js'
import { MAX_SECONDS } from './file-plan.js'
import type { CaptureFile } from './open.js'

const MICROSECONDS = 1_000_000
const MAX_SNAP_LENGTH = 0x7fff_ffff
/** What a reader takes where a file has no limit. */
const NO_LIMIT = 262144
/** Blocks that wait for a target. */
const MAX_WAITING_BYTES = 4 * 1024 * 1024
/** Comments of sections that one packet is given. */
const MAX_COMMENT_BYTES = 1024 * 1024

/** What the target says of itself, from what the files have said so far. */
export function fileOptionsOf(
  files: readonly CaptureFile[],
  { precision, snapLengthBytes }: { precision?: Precision | undefined; snapLengthBytes?: number | undefined },
): CreateCaptureFileOptions {
  const interfaces = files.flatMap((file) => file.interfaces)
  const sections = files.flatMap((file) => file.sections)
  const lengths = interfaces.map((described) => snapLengthOf(described, snapLengthBytes)).filter((length) => length !== undefined)
  const common = <T>(values: readonly T[]): T | undefined => (new Set(values).size === 1 ? values[0] : undefined)
  // An interface of nanoseconds may come anywhere in pcapng.
  const areMicroseconds = files.every(({ format }) => format === 'pcap') && interfaces.every(({ ticksPerSecond }) => ticksPerSecond <= MICROSECONDS)
  return {
    precision: precision ?? (areMicroseconds ? 'us' : 'ns'),
    linkType: interfaces[0]?.linkType,
    fcsBytes: common(interfaces.map(({ fcsLengthBytes }) => fcsLengthBytes)),
    snapLengthBytes:
      lengths.length === 0 ? undefined : lengths.reduce((most, length) => Math.max(most, length), lengths.length < interfaces.length ? NO_LIMIT : 1),
    // Packets may be longer than their file says.
    cuts: false,
    interfaces: [],
    section: {
      hardware: common(sections.map(({ hardware }) => hardware)),
      os: common(sections.map(({ os }) => os)),
      comments: [...new Set(sections.flatMap(({ comments }) => comments))],
    },
  }
}

/** Undefined for no limit. */
function snapLengthOf({ snapLengthBytes }: CaptureFileInterface, cutTo: number | undefined): number | undefined {
  const own = snapLengthBytes === 0 || snapLengthBytes > MAX_SNAP_LENGTH ? undefined : snapLengthBytes
  return own === undefined ? cutTo : Math.min(own, cutTo ?? own)
}

/** Takes blocks as they are met, before there is a target, too, and numbers interfaces anew. */
export class BlockCarrier {
  /** Blocks that the target has no place for. */
  leftOut = 0
  /** Bytes of blocks that were written; whoever flushes sets it back. */
  writtenBytes = 0
  /** Whether any packet may have to be given comments. */
  hasComments = false
  readonly #files: CaptureFile[] = []
  /** By file and interface: its number in the target. */
  readonly #numbers: number[][] = []
  /** Interfaces of the target by what is said of them: those that are alike, and how many of them each file has. It has the first so many. */
  readonly #known = new Map<string, { ids: number[]; taken: Map<number, number> }>()
  /** By file: interfaces that have come by, and how many of them before its last section. */
  readonly #counts: { interfaces: number; before: number }[] = []
  readonly #format: CaptureFileFormat
  #waiting: [file: number, block: FileBlock, interfaceId: number | undefined][] = []
  #waitingBytes = 0
  /** By file: comments of sections that began since, for the next packet of that file. */
  readonly #comments: string[][][] = []
  #writer: CaptureFileWriter | undefined
  #cutTo: number | undefined
  #failure: { thrown: unknown } | undefined

  constructor(format: CaptureFileFormat) {
    this.#format = format
  }

  addFile(file: CaptureFile): void {
    this.#files.push(file)
    this.#numbers.push([])
    this.#comments.push([])
  }

  /** Whether there is so much for a target that it should be begun, whether there is a packet or not. */
  get isFull(): boolean {
    return this.#waitingBytes > MAX_WAITING_BYTES
  }

  /** The comments of the sections of a file that have begun since its last packet. */
  takeComments(fileIndex: number): readonly string[] {
    const taken: string[] = []
    let bytes = 0
    for (const comments of this.#comments[fileIndex] as string[][]) {
      bytes += comments.reduce((sum, comment) => sum + comment.length, 0)
      if (bytes <= MAX_COMMENT_BYTES) taken.push(...comments)
      else this.leftOut++
    }
    this.#comments[fileIndex] = []
    this.hasComments = this.#comments.some((sections) => sections.length > 0)
    return taken
  }

  /** No packet follows: what waits for one has no place. */
  end(): void {
    for (const sections of this.#comments) this.leftOut += sections.length
    if (this.#format === 'pcap') for (const { sections } of this.#files) this.leftOut += sections.filter(({ comments }) => comments.length > 0).length
  }

  /** There is a target now: what has been met before is written to it. */
  begin(writer: CaptureFileWriter, cutTo: number | undefined): void {
    this.#writer = writer
    this.#cutTo = cutTo
    try {
      for (const [index, file] of this.#files.entries()) if (file.format === 'pcap' || this.#format === 'pcap') this.#addInterfaces(index)
    } catch (thrown) {
      this.#failure ??= { thrown }
    }
    // Descriptions first, where the blocks say nothing else: an order that tools expect.
    const waiting = this.#waiting
    this.#waiting = []
    this.#waitingBytes = 0
    for (const [index, block, interfaceId] of waiting) this.#carry(index, block, interfaceId, true)
    this.throwFailure()
  }

  /** For `onBlock`. What goes wrong is not the fault of the file that is being read: `throwFailure` tells it. */
  take(fileIndex: number, block: FileBlock): void {
    const { type, bytes } = block
    const isDescription = type === layout.INTERFACE_DESCRIPTION_BLOCK || type === layout.SECTION_HEADER_BLOCK
    const interfaceId = this.#interfaceOf(fileIndex, block)
    if (this.#writer !== undefined) this.#carry(fileIndex, block, interfaceId, false)
    else if (this.#format !== 'pcap') {
      // What descriptions say is kept by the file that they are of.
      this.#waiting.push([fileIndex, isDescription ? { ...block, bytes: bytes.slice(0, 0) } : block, interfaceId])
      this.#waitingBytes += isDescription ? 0 : bytes.length
    } else if (!isDescription) this.leftOut++
  }

  /** The interface that a block of statistics is of. NB: counted here, for each of 65,536 sections begins with its own. */
  #interfaceOf(fileIndex: number, block: FileBlock): number | undefined {
    this.#counts[fileIndex] ??= { interfaces: 0, before: 0 }
    const counts = this.#counts[fileIndex]
    if (block.type === layout.SECTION_HEADER_BLOCK) counts.before = counts.interfaces
    else if (block.type === layout.INTERFACE_DESCRIPTION_BLOCK) counts.interfaces++
    else if (block.type === layout.INTERFACE_STATISTICS_BLOCK) {
      const id = counts.before + viewOf(block).getUint32(layout.ISB.interface, block.byteOrder === 'little-endian')
      return id < counts.interfaces ? id : undefined
    }
    return undefined
  }

  throwFailure(): void {
    const failure = this.#failure
    this.#failure = undefined
    if (failure !== undefined) throw failure.thrown as CaptureError
  }

  /** Number in the target of an interface of a file. */
  numberOf(fileIndex: number, interfaceId: number): number {
    const numbers = this.#numbers[fileIndex] as number[]
    if (interfaceId >= numbers.length) this.#addInterfaces(fileIndex)
    return numbers[interfaceId] as number
  }

  /** Those that the file has described since. */
  #addInterfaces(fileIndex: number): void {
    const numbers = this.#numbers[fileIndex] as number[]
    const { interfaces } = this.#files[fileIndex] as CaptureFile
    for (let id = numbers.length; id < interfaces.length; id++) numbers.push(this.#add(fileIndex, interfaces[id] as CaptureFileInterface))
  }

  #add(fileIndex: number, described: CaptureFileInterface): number {
    const description = descriptionOf(described, this.#cutTo)
    const key = JSON.stringify(description, (_, value) => (value instanceof Uint8Array ? [...value] : value))
    const alike = this.#known.get(key) ?? { ids: [], taken: new Map<number, number>() }
    this.#known.set(key, alike)
    // Two of one file are two, however alike.
    const taken = alike.taken.get(fileIndex) ?? 0
    alike.taken.set(fileIndex, taken + 1)
    const free = alike.ids[taken]
    if (free !== undefined) return free
    const id = (this.#writer as CaptureFileWriter).addInterface(description)
    alike.ids.push(id)
    return id
  }

  #carry(fileIndex: number, block: FileBlock, interfaceId: number | undefined, isAhead: boolean): void {
    try {
      this.#write(fileIndex, block, interfaceId, isAhead, this.#writer as CaptureFileWriter)
    } catch (thrown) {
      this.#failure ??= { thrown }
    }
  }

  #write(fileIndex: number, block: FileBlock, interfaceId: number | undefined, isAhead: boolean, writer: CaptureFileWriter): void {
    const { type } = block
    if (type === layout.INTERFACE_DESCRIPTION_BLOCK) {
      this.#addInterfaces(fileIndex)
      return
    }
    if (type === layout.SECTION_HEADER_BLOCK) {
      // The comments of those that came ahead are in the target's own.
      const comments = (this.#files[fileIndex] as CaptureFile).sections.at(-1)?.comments ?? []
      if (isAhead || comments.length === 0 || writer.format === 'pcap') return
      this.#comments[fileIndex]?.push([...comments])
      this.hasComments = true
      return
    }
    if (writer.format === 'pcap') {
      this.leftOut++
      return
    }
    if (type === layout.INTERFACE_STATISTICS_BLOCK) {
      this.#writeStatistics(fileIndex, interfaceId, writer)
      return
    }
    const body = type === layout.CUSTOM_BLOCK_NOT_COPIED ? undefined : littleEndianBody(block)
    if (body === undefined) this.leftOut++
    else {
      writer.block(type, body)
      this.writtenBytes += body.length
    }
  }

  #writeStatistics(fileIndex: number, interfaceId: number | undefined, writer: CaptureFileWriter): void {
    const described = interfaceId === undefined ? undefined : this.#files[fileIndex]?.interfaces[interfaceId]
    const statistics = described?.statistics
    const times = [statistics?.time, statistics?.startTime, statistics?.endTime].filter((time) => time !== undefined)
    const isStorable = times.every(({ seconds }) => seconds >= 0 && seconds <= MAX_SECONDS.pcapng)
    if (described === undefined || statistics === undefined || !isStorable) {
      this.leftOut++
      return
    }
    const number = this.numberOf(fileIndex, described.id)
    writer.statistics(number, {
      at: statistics.time,
      start: statistics.startTime,
      end: statistics.endTime,
      received: statistics.received,
      droppedByInterface: statistics.dropped,
      filterAccepted: statistics.accepted,
      droppedBySystem: statistics.droppedByOs,
      delivered: statistics.delivered,
      comments: statistics.comments,
    })
  }
}

function viewOf({ bytes }: FileBlock): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** What a file says of an interface, as `addInterface()` and the `interfaces` of a file to write take it. */
export function interfaceForWriting(described: CaptureFileInterface): FileInterface {
  return descriptionOf(described, undefined)
}

function descriptionOf(described: CaptureFileInterface, cutTo: number | undefined): FileInterface {
  const { linkType, name, description, filter, os, hardware, speedBitsPerSecond, macAddress, addresses, fcsLengthBytes, comments } = described
  return {
    linkType,
    snapLengthBytes: snapLengthOf(described, cutTo),
    name,
    description,
    // A program is told of in words alone.
    filter: filter !== undefined && /^(BPF program of \d+ instructions|filter of kind \d+)$/.test(filter) ? undefined : filter,
    os,
    hardware,
    speedBitsPerSecond,
    macAddress: macAddress === undefined ? undefined : Uint8Array.from(macAddress.split(':'), (byte) => Number.parseInt(byte, 16)),
    addresses,
    fcsBytes: fcsLengthBytes,
    comments,
  }
}

/** What stands between the lengths of a block, little-endian; undefined where nobody knows what to turn around. */
function littleEndianBody(block: FileBlock): Uint8Array | undefined {
  const body = block.bytes.subarray(layout.BLOCK.body, block.bytes.length - 4)
  if (block.byteOrder === 'little-endian') return body
  if (block.type === layout.NAME_RESOLUTION_BLOCK) return turnRecords(body)
  // Their numbers come first, the rest is bytes.
  if (block.type === layout.DECRYPTION_SECRETS_BLOCK) return turnWords(body, 2)
  if (block.type === layout.CUSTOM_BLOCK) return turnWords(body, 1)
  return undefined
}

function turnWords(body: Uint8Array, count: number): Uint8Array {
  const turned = body.slice()
  for (let at = 0; at + 4 <= Math.min(body.length, 4 * count); at += 4) turned.subarray(at, at + 4).reverse()
  return turned
}

/** Records of addresses and names, and the options behind them: type and length of 16 bits, then bytes. */
function turnRecords(body: Uint8Array): Uint8Array {
  const turned = body.slice()
  const view = new DataView(turned.buffer)
  for (let at = 0; at + 4 <= turned.length; ) {
    const length = view.getUint16(at + 2)
    view.setUint16(at, view.getUint16(at), true)
    view.setUint16(at + 2, length, true)
    at += 4 + ((length + 3) & ~3)
  }
  return turned
}
