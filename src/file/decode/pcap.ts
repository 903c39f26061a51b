/**
 * The classic format: a header, then records. Microseconds and nanoseconds, both byte orders, the modified format, the swapped
 * lengths of old versions. Pure, hot: bench/read, 5 ns a packet to count, 11 with lengths and time.
 *
 * A record has no mark to know it by. What a damaged file says next is therefore found, where that is asked for, as a chain of
 * headers each of which is plausible: lengths that a packet can have, a fraction of a second that is one, and a time near the one before.
 */
import type { Matcher } from '../../bpf/matcher.js'
import { type CaptureFileInterface, type CaptureFileSection, type Damage, type Decoder, type DecoderOptions, NO_DETAILS, type PacketDetails } from './cursor.js'
import {
  PCAP_FCS_LENGTH_SHIFT,
  PCAP_FCS_PRESENT,
  PCAP_HEADER,
  PCAP_LINKTYPE_MASK,
  PCAP_MAGIC_MICROSECONDS,
  PCAP_MAGIC_MODIFIED,
  PCAP_MAGIC_NANOSECONDS,
  PCAP_RECORD,
} from './layout.js'
import { MAX_PACKET_BYTES, packetLimit } from './limits.js'
import { fileLinkTypeName } from './link-type-names.js'
import type { ByteWindow } from './window.js'

const CAPTURED = PCAP_RECORD.captured
const ORIGINAL = PCAP_RECORD.original

/** Headers in a row that must be plausible before a place in a damaged file is believed. */
const CHAIN = 4
/** How far apart the times of neighbouring packets may be there. */
const CHAIN_SECONDS = 86_400

const MEGA = 1_000_000

/** Old versions wrote the two lengths the other way around, or did so sometimes: then the smaller one is that of the bytes. */
type LengthOrder = 'usual' | 'swapped' | 'smaller first'

export interface PcapHeader {
  littleEndian: boolean
  isNanoseconds: boolean
  isModified: boolean
  version: string
  lengths: LengthOrder
  snapLengthBytes: number
  linkType: number
  fcsLengthBytes: number | undefined
}

/** The header at `at` of a view that has all of it; a text when it is none. */
export function decodePcapHeader(view: DataView, at: number): PcapHeader | string {
  const littleEndian = isPcapMagic(view.getUint32(at, true))
  const magic = view.getUint32(at, littleEndian)
  if (!isPcapMagic(magic)) return 'no magic number of pcap'
  const major = view.getUint16(at + PCAP_HEADER.major, littleEndian)
  const minor = view.getUint16(at + PCAP_HEADER.minor, littleEndian)
  // 543.0 is DG/UX; libpcap knows it.
  if (!(major === 2 && minor <= 4) && !(major === 543 && minor === 0)) return `pcap version ${major}.${minor}, and 2.0 to 2.4 are known`
  const linktype = view.getUint32(at + PCAP_HEADER.linktype, littleEndian)
  return {
    littleEndian,
    isNanoseconds: magic === PCAP_MAGIC_NANOSECONDS,
    isModified: magic === PCAP_MAGIC_MODIFIED,
    version: `${major}.${minor}`,
    lengths: major === 543 || minor < 3 ? 'swapped' : minor === 3 ? 'smaller first' : 'usual',
    snapLengthBytes: view.getUint32(at + PCAP_HEADER.snaplen, littleEndian),
    linkType: linktype & PCAP_LINKTYPE_MASK,
    fcsLengthBytes: (linktype & PCAP_FCS_PRESENT) === 0 ? undefined : (linktype >>> PCAP_FCS_LENGTH_SHIFT) * 2,
  }
}

export function isPcapMagic(magic: number): boolean {
  return magic === PCAP_MAGIC_MICROSECONDS || magic === PCAP_MAGIC_NANOSECONDS || magic === PCAP_MAGIC_MODIFIED
}

export class PcapDecoder implements Decoder {
  readonly format = 'pcap'
  readonly window: ByteWindow
  readonly header: PcapHeader
  readonly interfaces: readonly CaptureFileInterface[]
  readonly sections: readonly CaptureFileSection[]
  readonly names = []
  readonly interfaceId = 0
  readonly linkType: number
  readonly hasTimestamp = true
  readonly flags = 0
  readonly dropCount = 0
  readonly comment = undefined
  readonly hasOptions = false
  damage: Damage | undefined
  failure: { thrown: unknown } | undefined
  skippedBytes = 0
  isDrained = false
  offset = 0
  capturedLength = 0
  readonly #matches: Matcher | undefined
  readonly #tolerant: boolean
  readonly #littleEndian: boolean
  readonly #headerBytes: number
  /** Where the length of the bytes stands, and that of the wire. */
  readonly #captured: number
  readonly #original: number
  readonly #smallerFirst: boolean
  readonly #limit: number
  readonly #units: number
  /** Of the record that the cursor is on. */
  #record = 0
  /** Between the damage and the next record that is one. */
  #isLost = false

  /** The window begins with the file's header, all of it. */
  constructor(window: ByteWindow, header: PcapHeader, options: DecoderOptions) {
    const { littleEndian, isModified, isNanoseconds, lengths, linkType, snapLengthBytes, fcsLengthBytes, version } = header
    this.window = window
    this.header = header
    this.linkType = linkType
    this.sections = [
      {
        fileOffset: window.position,
        byteOrder: littleEndian ? 'little-endian' : 'big-endian',
        version,
        hardware: undefined,
        os: undefined,
        application: undefined,
        comments: [],
      },
    ]
    const described: CaptureFileInterface = {
      id: 0,
      section: 0,
      linkType,
      linkTypeName: fileLinkTypeName(linkType),
      snapLengthBytes,
      ticksPerSecond: isNanoseconds ? 1e9 : 1e6,
      timestampOffsetSeconds: 0,
      name: undefined,
      description: undefined,
      filter: undefined,
      os: undefined,
      hardware: undefined,
      speedBitsPerSecond: undefined,
      macAddress: undefined,
      addresses: [],
      fcsLengthBytes,
      comments: [],
      statistics: undefined,
    }
    this.interfaces = [described]
    this.#tolerant = options.tolerant
    this.#littleEndian = littleEndian
    this.#headerBytes = isModified ? PCAP_RECORD.modified_sizeof : PCAP_RECORD.sizeof
    this.#captured = lengths === 'swapped' ? ORIGINAL : CAPTURED
    this.#original = lengths === 'swapped' ? CAPTURED : ORIGINAL
    this.#smallerFirst = lengths === 'smaller first'
    this.#limit = packetLimit(linkType, snapLengthBytes)
    this.#units = isNanoseconds ? 1000 * MEGA : MEGA
    window.start += PCAP_HEADER.sizeof
    let matches: Matcher | undefined
    try {
      matches = options.matcherFor?.(described, littleEndian)
    } catch (thrown) {
      this.failure = { thrown }
    }
    this.#matches = matches
  }

  get bytes(): Uint8Array {
    return this.window.bytes
  }

  readAhead(): boolean {
    return true
  }

  next(): boolean {
    if (this.#advance()) return true
    this.isDrained = true
    return false
  }

  #advance(): boolean {
    if (this.#isLost && !this.#find()) return false
    const window = this.window
    const view = window.view
    const end = window.end
    const littleEndian = this.#littleEndian
    const matches = this.#matches
    for (;;) {
      const at = window.start
      const offset = (at + this.#headerBytes) | 0
      if (offset > end) {
        if (!this.#exhausted()) return false
        continue
      }
      let captured = view.getUint32(at + this.#captured, littleEndian)
      if (this.#smallerFirst) captured = Math.min(captured, view.getUint32(at + this.#original, littleEndian))
      if (captured > this.#limit) {
        if (!this.#damaged(captured)) return false
        continue
      }
      const following = (offset + captured) | 0
      if (following > end) {
        if (!this.#exhausted()) return false
        continue
      }
      window.start = following
      // First: a matcher may ask for the time.
      this.#record = at
      if (matches !== undefined && matches(window.bytes, offset, captured, this.#wireLengthAt(at)) === 0) continue
      this.offset = offset
      this.capturedLength = captured
      return true
    }
  }

  get wireLength(): number {
    return this.#wireLengthAt(this.#record)
  }

  #wireLengthAt(at: number): number {
    const view = this.window.view
    const original = view.getUint32(at + this.#original, this.#littleEndian)
    return this.#smallerFirst ? Math.max(original, view.getUint32(at + this.#captured, this.#littleEndian)) : original
  }

  get seconds(): number {
    const view = this.window.view
    const seconds = view.getUint32(this.#record, this.#littleEndian)
    const fraction = view.getUint32(this.#record + PCAP_RECORD.fraction, this.#littleEndian)
    return fraction < this.#units ? seconds : seconds + Math.floor(fraction / this.#units)
  }

  get nanoseconds(): number {
    const fraction = this.window.view.getUint32(this.#record + PCAP_RECORD.fraction, this.#littleEndian)
    const units = this.#units
    const rest = fraction < units ? fraction : fraction % units
    return units === MEGA ? rest * 1000 : rest
  }

  get fileOffset(): number {
    return this.window.base + this.#record
  }

  copy(): Uint8Array<ArrayBuffer> {
    return this.window.bytes.slice(this.offset, this.offset + this.capturedLength)
  }

  details(): PacketDetails {
    return NO_DETAILS
  }

  /** Less than a record is left: more may come, or the file is over. Answers whether to go on. */
  #exhausted(): boolean {
    const window = this.window
    if (!window.ended || window.start === window.end) return false
    const left = window.end - window.start
    const what = left < this.#headerBytes ? `${left} of the ${this.#headerBytes} bytes of a record's header` : `${left} bytes of a record that claims more`
    return this.#lost(`the file ends after ${what}`)
  }

  /** A record that cannot be. Answers whether to go on. */
  #damaged(captured: number): boolean {
    return this.#lost(`a record claims ${captured} bytes, and at most ${this.#limit} are plausible`)
  }

  #lost(reason: string): boolean {
    const window = this.window
    if (this.#tolerant) {
      this.#isLost = true
      this.#pass(1)
      return this.#find()
    }
    this.damage ??= { offset: window.position, reason }
    return false
  }

  #pass(bytes: number): void {
    this.window.start += bytes
    this.skippedBytes += bytes
  }

  /** Searches for a chain of plausible records; false while there is none in what is there. */
  #find(): boolean {
    const window = this.window
    while (window.end - window.start >= this.#headerBytes) {
      const found = this.#isChain(window.start)
      if (found === undefined) return false
      if (found) {
        this.#isLost = false
        return true
      }
      this.#pass(1)
    }
    if (window.ended) this.#pass(window.end - window.start)
    return false
  }

  /** Undefined: that depends on what comes next. */
  #isChain(from: number): boolean | undefined {
    const window = this.window
    const view = window.view
    let at = from
    let before = -1
    for (let links = 0; links < CHAIN; links++) {
      if (at + this.#headerBytes > window.end) {
        if (!window.ended) return undefined
        return at === window.end ? links > 0 : links > 1
      }
      const captured = view.getUint32(at + this.#captured, this.#littleEndian)
      const original = view.getUint32(at + this.#original, this.#littleEndian)
      const seconds = view.getUint32(at, this.#littleEndian)
      const fraction = view.getUint32(at + PCAP_RECORD.fraction, this.#littleEndian)
      if (captured === 0 || captured > Math.min(this.#limit, MAX_PACKET_BYTES) || fraction >= this.#units) return false
      if (!this.#smallerFirst && (original < captured || original > this.#limit)) return false
      if (before >= 0 && Math.abs(seconds - before) > CHAIN_SECONDS) return false
      before = seconds
      at += this.#headerBytes + captured
      if (at > window.end) {
        if (!window.ended) return undefined
        return links > 1
      }
    }
    return true
  }
}
