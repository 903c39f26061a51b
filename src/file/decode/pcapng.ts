/**
 * pcapng: blocks, each with its type and twice its length; sections, each with its byte order and its own interfaces. Enhanced, simple
 * and obsolete packet blocks are packets; section, interface, statistics and name blocks are read; all others are passed over by their
 * length. Pure, hot: bench/read, 15 ns a packet to count, 31 with lengths and time.
 *
 * What a damaged file says next is found by the shape of blocks: a known type, and the same plausible length at both ends.
 */
import type { Matcher } from '../../bpf/matcher.js'
import {
  type CaptureFileInterface,
  type CaptureFileSection,
  type Damage,
  type Decoder,
  type DecoderOptions,
  type InterfaceStatistics,
  type NameRecord,
  NO_DETAILS,
  type PacketDetails,
} from './cursor.js'
import {
  BLOCK,
  BYTE_ORDER_MAGIC,
  CB,
  CUSTOM_BLOCK,
  CUSTOM_BLOCK_NOT_COPIED,
  DECRYPTION_SECRETS_BLOCK,
  DSB,
  ENHANCED_PACKET_BLOCK,
  EPB,
  EPB_DROPCOUNT,
  EPB_FLAGS,
  EPB_HASH,
  EPB_PACKETID,
  EPB_QUEUE,
  EPB_VERDICT,
  IDB,
  INTERFACE_DESCRIPTION_BLOCK,
  INTERFACE_STATISTICS_BLOCK,
  ISB,
  NAME_RESOLUTION_BLOCK,
  NRB,
  OPT_COMMENT,
  OPT_ENDOFOPT,
  PACKET_BLOCK,
  PB,
  SECTION_HEADER_BLOCK,
  SHB,
  SIMPLE_PACKET_BLOCK,
  SPB,
} from './layout.js'
import { MAX_BLOCK_BYTES, MAX_INTERFACES, MAX_KEPT_BYTES, packetLimit } from './limits.js'
import { fileLinkTypeName } from './link-type-names.js'
import { type BlockBytes, decodeInterface, decodeNames, decodeSection, decodeStatistics, optionText, visitOptions } from './pcapng-options.js'
import { TickScale } from './ticks.js'
import type { ByteWindow } from './window.js'

/** Blocks that are known, by the least length that each can have. */
const LEAST_BYTES: ReadonlyMap<number, number> = new Map([
  [SECTION_HEADER_BLOCK, SHB.sizeof],
  [INTERFACE_DESCRIPTION_BLOCK, IDB.sizeof],
  [PACKET_BLOCK, EPB.sizeof],
  [SIMPLE_PACKET_BLOCK, SPB.sizeof],
  [NAME_RESOLUTION_BLOCK, NRB.sizeof],
  [INTERFACE_STATISTICS_BLOCK, ISB.sizeof],
  [ENHANCED_PACKET_BLOCK, EPB.sizeof],
  [DECRYPTION_SECRETS_BLOCK, DSB.sizeof],
  [CUSTOM_BLOCK, CB.sizeof],
  [CUSTOM_BLOCK_NOT_COPIED, CB.sizeof],
])

/** Of obsolete packet blocks: the writer did not know. */
const UNKNOWN_DROPS = 0xffff
const TWO_32 = 2 ** 32
const NO_TIME = new TickScale()

/** An interface whose statistics come later. */
type GrowingInterface = Omit<CaptureFileInterface, 'statistics'> & { statistics: InterfaceStatistics | undefined }

/** The byte order of a section header at `at` of a view that has its first 12 bytes; undefined when it is none. */
export function sectionByteOrder(view: DataView, at: number): 'little' | 'big' | undefined {
  if (view.getUint32(at + SHB.byte_order, true) === BYTE_ORDER_MAGIC) return 'little'
  return view.getUint32(at + SHB.byte_order, false) === BYTE_ORDER_MAGIC ? 'big' : undefined
}

export class PcapngDecoder implements Decoder {
  readonly format = 'pcapng'
  readonly window: ByteWindow
  readonly interfaces: GrowingInterface[] = []
  readonly sections: CaptureFileSection[] = []
  readonly names: NameRecord[] = []
  damage: Damage | undefined
  failure: { thrown: unknown } | undefined
  skippedBytes = 0
  isDrained = false
  offset = 0
  capturedLength = 0
  interfaceId = 0
  readonly #options: DecoderOptions
  readonly #scales: TickScale[] = []
  readonly #matchers: (Matcher | undefined)[] = []
  readonly #limits: number[] = []
  #littleEndian = true
  /** Place in `interfaces` of the section's first. */
  #firstInterface = 0
  /** How many the section has so far. */
  #interfaceCount = 0
  #keptBytes = 0
  /** Where the block of the packet that the cursor is on begins, and what kind it is. */
  #block = 0
  #type = 0
  #isConverted = false
  #isLost = false

  /** The window begins with a section header, or with what is to become one. */
  constructor(window: ByteWindow, options: DecoderOptions) {
    this.window = window
    this.#options = options
  }

  get bytes(): Uint8Array {
    return this.window.bytes
  }

  readAhead(): boolean {
    const window = this.window
    while (!this.#isLost && window.end - window.start >= BLOCK.sizeof) {
      const type = window.view.getUint32(window.start, this.#littleEndian)
      if (isPacket(type)) return true
      if (!this.#passBlock(type)) break
    }
    return this.#isLost || this.damage !== undefined || this.failure !== undefined
  }

  next(): boolean {
    if (this.#advance()) return true
    this.isDrained = true
    return false
  }

  #advance(): boolean {
    if (this.#isLost && !this.#find()) return false
    const window = this.window
    const filters = this.#options.matcherFor !== undefined
    for (;;) {
      const view = window.view
      const at = window.start
      const left = (window.end - at) | 0
      if (left < BLOCK.sizeof) {
        if (!this.#exhausted()) return false
        continue
      }
      const littleEndian = this.#littleEndian
      const type = view.getUint32(at, littleEndian)
      if (type !== ENHANCED_PACKET_BLOCK && type !== SIMPLE_PACKET_BLOCK && type !== PACKET_BLOCK) {
        if (!this.#passBlock(type)) return false
        continue
      }
      const length = view.getUint32(at + BLOCK.length, littleEndian)
      if (!isPlausibleLength(length, type === SIMPLE_PACKET_BLOCK ? SPB.sizeof : EPB.sizeof)) {
        if (!this.#lost(claims(type, length))) return false
        continue
      }
      if (length > left) {
        if (!this.#exhausted()) return false
        continue
      }
      if (view.getUint32(at + length - 4, littleEndian) !== length) {
        if (!this.#lost(differs(view.getUint32(at + length - 4, littleEndian), length))) return false
        continue
      }
      if (type === ENHANCED_PACKET_BLOCK) {
        const id = view.getUint32(at + EPB.interface, littleEndian)
        const captured = view.getUint32(at + EPB.captured, littleEndian)
        if (id >= this.#interfaceCount || captured > length - EPB.sizeof) {
          if (!this.#badPacket(id, captured, length - EPB.sizeof, length)) return false
          continue
        }
        const place = (this.#firstInterface + id) | 0
        if (captured > (this.#limits[place] as number)) {
          if (!this.#tooLong(captured, place, length)) return false
          continue
        }
        window.start = at + length
        this.offset = at + EPB.data
        this.capturedLength = captured
        this.interfaceId = place
      } else if (!this.#otherPacket(type, length)) {
        if (this.damage !== undefined) return false
        continue
      }
      this.#block = at
      this.#type = type
      this.#isConverted = false
      if (filters) {
        const matches = this.#matchers[this.interfaceId]
        if (matches !== undefined && matches(window.bytes, this.offset, this.capturedLength, this.wireLength) === 0) continue
      }
      return true
    }
  }

  get wireLength(): number {
    return this.window.view.getUint32(this.#block + (this.#type === SIMPLE_PACKET_BLOCK ? SPB.original : EPB.original), this.#littleEndian)
  }

  get seconds(): number {
    return this.#time().seconds
  }

  get nanoseconds(): number {
    return this.#time().nanoseconds
  }

  #time(): TickScale {
    if (this.#type === SIMPLE_PACKET_BLOCK) return NO_TIME
    const scale = this.#scales[this.interfaceId] as TickScale
    if (!this.#isConverted) {
      const view = this.window.view
      scale.convert(view.getUint32(this.#block + EPB.time_high, this.#littleEndian), view.getUint32(this.#block + EPB.time_low, this.#littleEndian))
      this.#isConverted = true
    }
    return scale
  }

  get hasTimestamp(): boolean {
    return this.#type !== SIMPLE_PACKET_BLOCK
  }

  get linkType(): number {
    return (this.interfaces[this.interfaceId] as GrowingInterface).linkType
  }

  get flags(): number {
    const at = this.#findOption(EPB_FLAGS, 4)
    return at < 0 ? 0 : this.window.view.getUint32(at, this.#littleEndian)
  }

  get dropCount(): number {
    const view = this.window.view
    if (this.#type === PACKET_BLOCK) {
      const drops = view.getUint16(this.#block + PB.drops, this.#littleEndian)
      return drops === UNKNOWN_DROPS ? 0 : drops
    }
    const at = this.#findOption(EPB_DROPCOUNT, 8)
    if (at < 0) return 0
    const littleEndian = this.#littleEndian
    return view.getUint32(littleEndian ? at + 4 : at, littleEndian) * TWO_32 + view.getUint32(littleEndian ? at : at + 4, littleEndian)
  }

  get comment(): string | undefined {
    const at = this.#findOption(OPT_COMMENT, 0)
    return at < 0 ? undefined : optionText(this.window.bytes, at, this.window.view.getUint16(at - 2, this.#littleEndian))
  }

  get hasOptions(): boolean {
    if (this.#type !== ENHANCED_PACKET_BLOCK) return this.#type === PACKET_BLOCK
    return this.window.view.getUint32(this.#block + BLOCK.length, this.#littleEndian) > this.#optionsAt() - this.#block + 4
  }

  get fileOffset(): number {
    return this.window.base + this.#block
  }

  copy(): Uint8Array<ArrayBuffer> {
    return this.window.bytes.slice(this.offset, this.offset + this.capturedLength)
  }

  details(): PacketDetails {
    if (this.#type === SIMPLE_PACKET_BLOCK) return NO_DETAILS
    const view = this.window.view
    const littleEndian = this.#littleEndian
    const bytes = this.window.bytes
    const found: PacketDetails = { comments: [], packetId: undefined, queue: undefined, hashes: [], verdicts: [] }
    const block = { bytes, view, at: this.#block, length: view.getUint32(this.#block + BLOCK.length, littleEndian), littleEndian }
    visitOptions(block, this.#optionsAt() - this.#block, (code, at, length) => {
      if (code === OPT_COMMENT) found.comments.push(optionText(bytes, at, length))
      else if (code === EPB_PACKETID && length === 8) found.packetId = view.getBigUint64(at, littleEndian)
      else if (code === EPB_QUEUE && length === 4) found.queue = view.getUint32(at, littleEndian)
      else if (code === EPB_HASH && length >= 1) found.hashes.push({ algorithm: bytes[at] as number, value: this.window.bytes.slice(at + 1, at + length) })
      else if (code === EPB_VERDICT && length >= 1) found.verdicts.push({ kind: bytes[at] as number, value: this.window.bytes.slice(at + 1, at + length) })
    })
    return found
  }

  #optionsAt(): number {
    return this.offset + ((this.capturedLength + 3) & ~3)
  }

  /** Where the value of the packet's first option of this code is; -1 without one. `exactly` is the length that it must have, 0 any. */
  #findOption(code: number, exactly: number): number {
    if (this.#type === SIMPLE_PACKET_BLOCK) return -1
    const view = this.window.view
    const littleEndian = this.#littleEndian
    const end = this.#block + view.getUint32(this.#block + BLOCK.length, littleEndian) - 4
    let at = this.#optionsAt()
    while (at + 4 <= end) {
      const found = view.getUint16(at, littleEndian)
      const length = view.getUint16(at + 2, littleEndian)
      if (found === OPT_ENDOFOPT || at + 4 + length > end) return -1
      if (found === code && (exactly === 0 || length === exactly)) return at + 4
      at += 4 + ((length + 3) & ~3)
    }
    return -1
  }

  /** Simple and obsolete packet blocks. False: it is none, and has been told. */
  #otherPacket(type: number, length: number): boolean {
    const { view, start: at } = this.window
    const littleEndian = this.#littleEndian
    const isSimple = type === SIMPLE_PACKET_BLOCK
    const id = isSimple ? 0 : view.getUint16(at + PB.interface, littleEndian)
    const room = length - (isSimple ? SPB.sizeof : EPB.sizeof)
    const place = this.#firstInterface + id
    let captured = 0
    if (!isSimple) captured = view.getUint32(at + EPB.captured, littleEndian)
    else if (this.#interfaceCount > 0) {
      // It does not say: as much as the snap length leaves.
      const { snapLengthBytes } = this.interfaces[place] as GrowingInterface
      const original = view.getUint32(at + SPB.original, littleEndian)
      captured = snapLengthBytes === 0 ? original : Math.min(original, snapLengthBytes)
    }
    if (id >= this.#interfaceCount || captured > room) {
      this.#badPacket(id, captured, room, length)
      return false
    }
    if (captured > (this.#limits[place] as number)) {
      this.#tooLong(captured, place, length)
      return false
    }
    this.window.start = at + length
    this.offset = at + (isSimple ? SPB.data : EPB.data)
    this.capturedLength = captured
    this.interfaceId = place
    return true
  }

  #badPacket(id: number, captured: number, room: number, length: number): boolean {
    const reason =
      id >= this.#interfaceCount
        ? `a packet of interface ${id}, and ${this.#interfaceCount} are described`
        : `a packet claims ${captured} bytes, and its block has ${room}`
    return this.#badBlock(reason, length)
  }

  #tooLong(captured: number, place: number, length: number): boolean {
    return this.#badBlock(`a packet claims ${captured} bytes, and at most ${this.#limits[place]} are plausible`, length)
  }

  /** Its frame is right, what is in it is not. Answers whether to go on. */
  #badBlock(reason: string, length: number): boolean {
    if (this.#options.tolerant) {
      this.#pass(length)
      return true
    }
    this.damage ??= { offset: this.window.position, reason }
    return false
  }

  /** Reads the block that stands next and is no packet. Answers whether to go on. */
  #passBlock(type: number): boolean {
    if (this.failure !== undefined) return false
    const { window } = this
    const { view, start: at } = window
    const left = window.end - at
    let littleEndian = this.#littleEndian
    if (type === SECTION_HEADER_BLOCK) {
      const order = sectionByteOrder(view, at)
      if (order === undefined) return this.#lost('a section header without byte-order magic')
      littleEndian = order === 'little'
    }
    const length = view.getUint32(at + BLOCK.length, littleEndian)
    if (!isPlausibleLength(length, LEAST_BYTES.get(type) ?? BLOCK.sizeof)) return this.#lost(claims(type, length))
    if (length > left) return this.#exhausted()
    const trailer = view.getUint32(at + length - 4, littleEndian)
    if (trailer !== length) return this.#lost(differs(trailer, length))
    const block: BlockBytes = { bytes: window.bytes, view, at, length, littleEndian }
    const wrong = this.#read(type, block)
    if (wrong !== undefined) return this.#badBlock(wrong, length)
    if (this.failure !== undefined) return false
    window.start = at + length
    return true
  }

  /** Answers what is wrong with it. */
  #read(type: number, block: BlockBytes): string | undefined {
    const { onBlock, tolerant } = this.#options
    let isWhole = true
    if (type === SECTION_HEADER_BLOCK) {
      const major = block.view.getUint16(block.at + SHB.major, block.littleEndian)
      if (major !== 1) return `a section of pcapng version ${major}, and 1 is known`
      if (this.sections.length >= MAX_INTERFACES) return `more than ${MAX_INTERFACES} sections`
      if (!this.#keep(block.length)) return `more than ${MAX_KEPT_BYTES} bytes of descriptions`
      const section = decodeSection(block, this.window.position)
      isWhole = section.isWhole
      if (isWhole || tolerant) {
        this.sections.push(section.value)
        this.#littleEndian = block.littleEndian
        this.#firstInterface = this.interfaces.length
        this.#interfaceCount = 0
      }
    } else if (type === INTERFACE_DESCRIPTION_BLOCK) {
      if (this.interfaces.length >= MAX_INTERFACES) return `more than ${MAX_INTERFACES} interfaces`
      if (!this.#keep(block.length)) return `more than ${MAX_KEPT_BYTES} bytes of descriptions`
      const described = decodeInterface(block)
      isWhole = described.isWhole
      // Tolerant: without it, packets would be of the wrong interface.
      if (isWhole || tolerant) this.#addInterface(described.value)
    } else if (type === INTERFACE_STATISTICS_BLOCK) {
      const id = block.view.getUint32(block.at + ISB.interface, block.littleEndian)
      const place = this.#firstInterface + id
      const described = this.interfaces[place]
      if (id < this.#interfaceCount && described !== undefined) described.statistics = decodeStatistics(block, this.#scales[place] as TickScale)
      this.#isConverted = false
    } else if (type === NAME_RESOLUTION_BLOCK && this.#keep(block.length)) {
      for (const name of decodeNames(block)) this.names.push(name)
    }
    if (!isWhole && !tolerant) return `options that do not end in their block`
    if (onBlock !== undefined) {
      const { bytes, at, length, littleEndian } = block
      const copy = new Uint8Array(length)
      copy.set(bytes.subarray(at, at + length))
      this.#attempt(() => onBlock({ type, fileOffset: this.window.position, byteOrder: littleEndian ? 'little-endian' : 'big-endian', bytes: copy }))
    }
    return undefined
  }

  #addInterface({ scale, ...described }: ReturnType<typeof decodeInterface>['value']): void {
    const added: GrowingInterface = {
      ...described,
      id: this.interfaces.length,
      section: this.sections.length - 1,
      linkTypeName: fileLinkTypeName(described.linkType),
      ticksPerSecond: scale.ticksPerSecond,
      timestampOffsetSeconds: scale.offsetSeconds,
      statistics: undefined,
    }
    this.interfaces.push(added)
    this.#interfaceCount++
    this.#scales.push(scale)
    this.#limits.push(packetLimit(described.linkType, described.snapLengthBytes))
    const { matcherFor } = this.#options
    this.#matchers.push(undefined)
    if (matcherFor === undefined) return
    this.#attempt(() => {
      this.#matchers[added.id] = matcherFor(added, this.#littleEndian)
    })
  }

  #attempt(call: () => void): void {
    try {
      call()
    } catch (thrown) {
      this.failure ??= { thrown }
    }
  }

  #keep(bytes: number): boolean {
    if (this.#keptBytes + bytes > MAX_KEPT_BYTES) return false
    this.#keptBytes += bytes
    return true
  }

  /** Less than a block is left: more may come, or the file is over. Answers whether to go on. */
  #exhausted(): boolean {
    const window = this.window
    if (!window.ended || window.start === window.end) return false
    return this.#lost(`the file ends ${window.end - window.start} bytes into a block`)
  }

  /** What stands here is no block. Answers whether to go on. */
  #lost(reason: string): boolean {
    if (this.#options.tolerant) {
      this.#isLost = true
      this.#pass(1)
      return this.#find()
    }
    this.damage ??= { offset: this.window.position, reason }
    return false
  }

  #pass(bytes: number): void {
    this.window.start += bytes
    this.skippedBytes += bytes
  }

  /** Searches for something with the shape of a block; false while there is none in what is there. */
  #find(): boolean {
    const window = this.window
    while (window.end - window.start >= BLOCK.sizeof) {
      const found = this.#isBlock(window.start)
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
  #isBlock(at: number): boolean | undefined {
    const { view, end, ended } = this.window
    let littleEndian = this.#littleEndian
    const type = view.getUint32(at, littleEndian)
    const least = LEAST_BYTES.get(type)
    if (least === undefined) return false
    if (type === SECTION_HEADER_BLOCK) {
      const order = sectionByteOrder(view, at)
      if (order === undefined) return false
      littleEndian = order === 'little'
    }
    const length = view.getUint32(at + BLOCK.length, littleEndian)
    if (!isPlausibleLength(length, least)) return false
    if (length > end - at) return ended ? false : undefined
    return view.getUint32(at + length - 4, littleEndian) === length
  }
}

function isPacket(type: number): boolean {
  return type === ENHANCED_PACKET_BLOCK || type === SIMPLE_PACKET_BLOCK || type === PACKET_BLOCK
}

function isPlausibleLength(length: number, least: number): boolean {
  return length >= least && length <= MAX_BLOCK_BYTES && (length & 3) === 0
}

function claims(type: number, length: number): string {
  return `a block of type ${type} claims ${length} bytes, and ${LEAST_BYTES.get(type) ?? BLOCK.sizeof} to ${MAX_BLOCK_BYTES}, a multiple of 4, are plausible`
}

function differs(trailer: number, length: number): string {
  return `a block claims ${length} bytes at its start and ${trailer} at its end`
}
