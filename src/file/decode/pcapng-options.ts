/** Options of pcapng blocks, and the blocks that describe: section, interface, statistics, names. Once a block, not a packet. Pure. */
import { ipText, ipv6Text } from '../../bytes/ip.js'
import type { CaptureFileSection, InterfaceStatistics, NameRecord } from './cursor.js'
import * as layout from './layout.js'
import { TickScale } from './ticks.js'

const TWO_32 = 2 ** 32

/** A block: type at `at`, trailing length in its last word. */
export interface BlockBytes {
  readonly bytes: Uint8Array
  readonly view: DataView
  readonly at: number
  readonly length: number
  readonly littleEndian: boolean
}

/** Where one option's value is. */
export type OptionVisitor = (code: number, at: number, length: number) => void

/** Visits the options from `from` of a block on. Answers whether they are well-formed: each one ends inside the block. */
export function visitOptions(block: BlockBytes, from: number, visit: OptionVisitor): boolean {
  const { view, littleEndian } = block
  const end = block.at + block.length - 4
  let at = block.at + from
  while (at + 4 <= end) {
    const code = view.getUint16(at, littleEndian)
    const length = view.getUint16(at + 2, littleEndian)
    if (code === layout.OPT_ENDOFOPT) return true
    if (at + 4 + length > end) return false
    visit(code, at + 4, length)
    at += 4 + ((length + 3) & ~3)
  }
  return at >= end || at + 4 > end
}

const decoder = new TextDecoder()

/** UTF-8; what some writers end with a zero byte ends there. */
export function optionText(bytes: Uint8Array, at: number, length: number): string {
  const zero = bytes.subarray(at, at + length).indexOf(0)
  return decoder.decode(bytes.subarray(at, zero < 0 ? at + length : at + zero))
}

/** Exact to 2^53. */
export function unsigned64(block: BlockBytes, at: number): number {
  const { view, littleEndian } = block
  const [low, high] = littleEndian ? [at, at + 4] : [at + 4, at]
  return view.getUint32(high, littleEndian) * TWO_32 + view.getUint32(low, littleEndian)
}

function signed64(block: BlockBytes, at: number): number {
  const { view, littleEndian } = block
  const [low, high] = littleEndian ? [at, at + 4] : [at + 4, at]
  return view.getInt32(high, littleEndian) * TWO_32 + view.getUint32(low, littleEndian)
}

/** Two answers in one: the block as far as it could be read, and whether all of it could. */
export interface Described<T> {
  readonly value: T
  readonly isWhole: boolean
}

export function decodeSection(block: BlockBytes, fileOffset: number): Described<CaptureFileSection> {
  const { bytes, view, at, littleEndian } = block
  let hardware: string | undefined
  let os: string | undefined
  let application: string | undefined
  const comments: string[] = []
  const isWhole = visitOptions(block, layout.SHB.options, (code, value, length) => {
    if (code === layout.OPT_COMMENT) comments.push(optionText(bytes, value, length))
    else if (code === layout.SHB_HARDWARE) hardware = optionText(bytes, value, length)
    else if (code === layout.SHB_OS) os = optionText(bytes, value, length)
    else if (code === layout.SHB_USERAPPL) application = optionText(bytes, value, length)
  })
  const version = `${view.getUint16(at + layout.SHB.major, littleEndian)}.${view.getUint16(at + layout.SHB.minor, littleEndian)}`
  const byteOrder = littleEndian ? 'little-endian' : 'big-endian'
  return { value: { fileOffset, byteOrder, version, hardware, os, application, comments }, isWhole }
}

/** What an interface description says. */
export interface InterfaceBlock {
  linkType: number
  snapLengthBytes: number
  scale: TickScale
  name: string | undefined
  description: string | undefined
  filter: string | undefined
  os: string | undefined
  hardware: string | undefined
  speedBitsPerSecond: number | undefined
  macAddress: string | undefined
  addresses: string[]
  fcsLengthBytes: number | undefined
  comments: string[]
}

export function decodeInterface(block: BlockBytes): Described<InterfaceBlock> {
  const { bytes, view, at, littleEndian } = block
  const found: Omit<InterfaceBlock, 'scale' | 'linkType' | 'snapLengthBytes'> = {
    name: undefined,
    description: undefined,
    filter: undefined,
    os: undefined,
    hardware: undefined,
    speedBitsPerSecond: undefined,
    macAddress: undefined,
    addresses: [],
    fcsLengthBytes: undefined,
    comments: [],
  }
  let tsresol = 6
  let offsetSeconds = 0
  const isWhole = visitOptions(block, layout.IDB.options, (code, value, length) => {
    const text = () => optionText(bytes, value, length)
    if (code === layout.OPT_COMMENT) found.comments.push(text())
    else if (code === layout.IF_NAME) found.name = text()
    else if (code === layout.IF_DESCRIPTION) found.description = text()
    else if (code === layout.IF_OS) found.os = text()
    else if (code === layout.IF_HARDWARE) found.hardware = text()
    else if (code === layout.IF_FILTER && length >= 1) found.filter = filterText(bytes, value, length)
    else if (code === layout.IF_IPV4ADDR && length === 8)
      found.addresses.push(`${ipText(bytes.subarray(value, value + 4))}/${ipText(bytes.subarray(value + 4, value + 8))}`)
    else if (code === layout.IF_IPV6ADDR && length === 17) found.addresses.push(`${ipv6Text(bytes, value)}/${bytes[value + 16]}`)
    else if (code === layout.IF_MACADDR && length === 6) found.macAddress = macText(bytes, value)
    else if (code === layout.IF_SPEED && length === 8) found.speedBitsPerSecond = unsigned64(block, value)
    else if (code === layout.IF_TSRESOL && length === 1) tsresol = bytes[value] as number
    else if (code === layout.IF_TSOFFSET && length === 8) offsetSeconds = signed64(block, value)
    else if (code === layout.IF_FCSLEN && length === 1) found.fcsLengthBytes = bytes[value] as number
  })
  const linkType = view.getUint16(at + layout.IDB.linktype, littleEndian)
  const snapLengthBytes = view.getUint32(at + layout.IDB.snaplen, littleEndian)
  return { value: { ...found, linkType, snapLengthBytes, scale: new TickScale(tsresol, offsetSeconds) }, isWhole }
}

const FILTER_TEXT = 0
const FILTER_PROGRAM = 1
const INSTRUCTION_BYTES = 8

function filterText(bytes: Uint8Array, at: number, length: number): string {
  const kind = bytes[at] as number
  if (kind === FILTER_TEXT) return optionText(bytes, at + 1, length - 1)
  return kind === FILTER_PROGRAM ? `BPF program of ${Math.floor((length - 1) / INSTRUCTION_BYTES)} instructions` : `filter of kind ${kind}`
}

function macText(bytes: Uint8Array, at: number): string {
  return Array.from(bytes.subarray(at, at + 6), (byte) => byte.toString(16).padStart(2, '0')).join(':')
}

/** Time stamps of the block and of its options are in the interface's units. */
export function decodeStatistics(block: BlockBytes, scale: TickScale): InterfaceStatistics {
  const { bytes, view, littleEndian } = block
  /** NB: the upper half comes first in either byte order. */
  const time = (at: number) => {
    scale.convert(view.getUint32(at, littleEndian), view.getUint32(at + 4, littleEndian))
    return { seconds: scale.seconds, nanoseconds: scale.nanoseconds }
  }
  const times = new Map<number, { seconds: number; nanoseconds: number }>()
  const counts = new Map<number, number>()
  const comments: string[] = []
  visitOptions(block, layout.ISB.options, (code, value, length) => {
    if (code === layout.OPT_COMMENT) comments.push(optionText(bytes, value, length))
    else if (length !== 8) return
    else if (code === layout.ISB_STARTTIME || code === layout.ISB_ENDTIME) times.set(code, time(value))
    else counts.set(code, unsigned64(block, value))
  })
  return {
    time: time(block.at + layout.ISB.time_high),
    startTime: times.get(layout.ISB_STARTTIME),
    endTime: times.get(layout.ISB_ENDTIME),
    received: counts.get(layout.ISB_IFRECV),
    dropped: counts.get(layout.ISB_IFDROP),
    accepted: counts.get(layout.ISB_FILTERACCEPT),
    droppedByOs: counts.get(layout.ISB_OSDROP),
    delivered: counts.get(layout.ISB_USRDELIV),
    comments,
  }
}

/** As far as they are well-formed. */
export function decodeNames(block: BlockBytes): NameRecord[] {
  const { bytes, view, littleEndian } = block
  const end = block.at + block.length - 4
  const found: NameRecord[] = []
  let at = block.at + layout.NRB.records
  while (at + 4 <= end) {
    const type = view.getUint16(at, littleEndian)
    const length = view.getUint16(at + 2, littleEndian)
    const value = at + 4
    if (type === layout.NRB_RECORD_END || value + length > end) break
    const addressBytes = type === layout.NRB_RECORD_IPV4 ? 4 : type === layout.NRB_RECORD_IPV6 ? 16 : undefined
    if (addressBytes !== undefined && length > addressBytes) {
      const names = decoder
        .decode(bytes.subarray(value + addressBytes, value + length))
        .split('\0')
        .filter((name) => name !== '')
      found.push({ address: ipText(bytes.subarray(value, value + addressBytes)), names })
    }
    at = value + ((length + 3) & ~3)
  }
  return found
}
