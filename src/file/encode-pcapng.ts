/**
 * pcapng over bytes: blocks with their options, little-endian, padded to 32 bits, their length at both ends. Pure.
 * Source: draft-ietf-opsawg-pcapng.
 */
import { alignUp } from '../bytes/align.js'
import { parseIp } from '../bytes/ip.js'
import type { Precision } from './encode-pcap.js'

const SECTION_HEADER = 0x0a0d0d0a
const INTERFACE_DESCRIPTION = 1
export const NAME_RESOLUTION = 4
const INTERFACE_STATISTICS = 5
export const SIMPLE_PACKET = 3
export const ENHANCED_PACKET = 6
export const DECRYPTION_SECRETS = 10
/** Custom blocks: those that may be copied into another file, and those that may not. */
const CUSTOM = 0x0bad
const CUSTOM_NOT_COPIED = 0x40000bad

const BYTE_ORDER_MAGIC = 0x1a2b3c4d

const END_OF_OPTIONS = 0
const COMMENT = 1
/** Block types and option codes are 32 and 16 bits; this is the most that an option holds. */
export const MAX_OPTION_BYTES = 0xffff

/** Type, length, length. */
const FRAME_BYTES = 12
const OPTION_HEADER_BYTES = 4

const MAX_WORD64 = 2n ** 64n - 1n

const encoder = new TextEncoder()

type Option = readonly [code: number, value: Uint8Array]

/** A block's options as bytes; nothing at all when there are none, as the end of options may then be left out. */
function encodeOptions(options: readonly Option[]): Uint8Array<ArrayBuffer> {
  if (options.length === 0) return new Uint8Array(0)
  const length = options.reduce((sum, [, value]) => sum + OPTION_HEADER_BYTES + alignUp(value.byteLength, 4), OPTION_HEADER_BYTES)
  const bytes = new Uint8Array(length)
  const view = new DataView(bytes.buffer)
  let at = 0
  for (const [code, value] of options) {
    if (value.byteLength > MAX_OPTION_BYTES) throw new RangeError(`option ${code} of ${value.byteLength} bytes; ${MAX_OPTION_BYTES} are the most`)
    view.setUint16(at, code, true)
    view.setUint16(at + 2, value.byteLength, true)
    bytes.set(value, at + OPTION_HEADER_BYTES)
    at += OPTION_HEADER_BYTES + alignUp(value.byteLength, 4)
  }
  view.setUint16(at, END_OF_OPTIONS, true)
  return bytes
}

/** A block of any type around its body, which is padded to 32 bits. */
export function encodeBlock(type: number, ...body: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const length = body.reduce((sum, part) => sum + part.byteLength, 0)
  const total = FRAME_BYTES + alignUp(length, 4)
  const bytes = new Uint8Array(total)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, type, true)
  view.setUint32(4, total, true)
  let at = 8
  for (const part of body) {
    bytes.set(part, at)
    at += part.byteLength
  }
  view.setUint32(total - 4, total, true)
  return bytes
}

function texts(code: number, values: string | readonly string[] | undefined): Option[] {
  return (typeof values === 'string' ? [values] : (values ?? [])).map((value) => [code, encoder.encode(value)] as const)
}

function word32(code: number, value: number | undefined): Option[] {
  if (value === undefined) return []
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setUint32(0, value, true)
  return [[code, bytes]]
}

function word64(code: number, value: number | bigint | undefined): Option[] {
  if (value === undefined) return []
  const bytes = new Uint8Array(8)
  // NB: numbers beyond 2^53 are not exact, and the largest of a file is read as 2^64.
  const exact = BigInt(value)
  new DataView(bytes.buffer).setBigUint64(0, exact > MAX_WORD64 ? MAX_WORD64 : exact, true)
  return [[code, bytes]]
}

function raw(code: number, value: Uint8Array | undefined): Option[] {
  return value === undefined ? [] : [[code, value]]
}

function padded(bytes: Uint8Array): Uint8Array {
  if (bytes.byteLength % 4 === 0) return bytes
  const padded = new Uint8Array(alignUp(bytes.byteLength, 4))
  padded.set(bytes)
  return padded
}

export interface Section {
  /** The machine, such as `Intel(R) Xeon(R) (with SSE4.2)`. */
  hardware?: string | undefined
  os?: string | undefined
  /** What wrote the file. */
  application?: string | undefined
  comments?: string | readonly string[] | undefined
}

/** Section Header Block, of a section whose length is not told. */
export function encodeSection({ hardware, os, application, comments }: Section = {}): Uint8Array<ArrayBuffer> {
  const fixed = new Uint8Array(16)
  const view = new DataView(fixed.buffer)
  view.setUint32(0, BYTE_ORDER_MAGIC, true)
  view.setUint16(4, 1, true)
  view.setBigInt64(8, -1n, true)
  return encodeBlock(SECTION_HEADER, fixed, encodeOptions([...texts(COMMENT, comments), ...texts(2, hardware), ...texts(3, os), ...texts(4, application)]))
}

export interface InterfaceDescription {
  /** LINKTYPE_ number. */
  linkType: number
  /** 0 or absent: no limit. */
  snapLengthBytes?: number | undefined
  name?: string | undefined
  description?: string | undefined
  /** What was captured, in pcap-filter(7). */
  filter?: string | undefined
  os?: string | undefined
  hardware?: string | undefined
  /** Six bytes. */
  macAddress?: Uint8Array | undefined
  speedBitsPerSecond?: number | bigint | undefined
  /** With mask or prefix: `192.0.2.1/255.255.255.0`, `2001:db8::1/64`. */
  addresses?: readonly string[] | undefined
  /** Default 'ns'. */
  precision?: Precision | undefined
  /** Length of the frame check sequence that each packet ends in, in bytes; unknown when absent. */
  fcsBytes?: number | undefined
  comments?: string | readonly string[] | undefined
}

/** Interface Description Block; the first one of a section is interface 0. */
export function encodeInterface(description: InterfaceDescription): Uint8Array<ArrayBuffer> {
  const fixed = new Uint8Array(8)
  const view = new DataView(fixed.buffer)
  view.setUint16(0, description.linkType, true)
  view.setUint32(4, description.snapLengthBytes ?? 0, true)
  const filter = description.filter === undefined ? undefined : encoder.encode(`\0${description.filter}`)
  const options = [
    ...texts(COMMENT, description.comments),
    ...texts(2, description.name),
    ...texts(3, description.description),
    ...(description.addresses ?? []).map(encodeAddress).filter((option) => option !== undefined),
    ...raw(6, description.macAddress),
    ...word64(8, description.speedBitsPerSecond),
    ...raw(9, Uint8Array.of(description.precision === 'us' ? 6 : 9)),
    ...raw(11, filter),
    ...texts(12, description.os),
    ...(description.fcsBytes === undefined ? [] : raw(13, Uint8Array.of(description.fcsBytes))),
    ...texts(15, description.hardware),
  ]
  return encodeBlock(INTERFACE_DESCRIPTION, fixed, encodeOptions(options))
}

/** Whether it is an address with its mask or prefix, as `addresses` has them. */
export function isInterfaceAddress(text: string): boolean {
  return encodeAddress(text) !== undefined
}

/** if_IPv4addr with its mask, if_IPv6addr with the length of its prefix. */
function encodeAddress(text: string): Option | undefined {
  const [address = '', behind = ''] = text.split('/')
  const bytes = parseIp(address)
  const mask = parseIp(behind)
  if (bytes?.byteLength === 4 && mask?.byteLength === 4) return [4, Uint8Array.from([...bytes, ...mask])]
  if (bytes?.byteLength === 16 && /^\d{1,3}$/.test(behind)) return [5, Uint8Array.from([...bytes, Number(behind)])]
  return undefined
}

export interface Instant {
  seconds: number
  nanoseconds: number
}

export interface StatisticsToWrite {
  /** When the statistics were taken. */
  at: Instant
  start?: Instant | undefined
  end?: Instant | undefined
  /** Packets received by the interface. */
  received?: number | bigint | undefined
  /** Packets that the interface dropped for lack of resources. */
  droppedByInterface?: number | bigint | undefined
  /** Packets that the filter accepted. */
  filterAccepted?: number | bigint | undefined
  /** Packets that the operating system dropped. */
  droppedBySystem?: number | bigint | undefined
  /** Packets that came to the user. */
  delivered?: number | bigint | undefined
  comments?: string | readonly string[] | undefined
}

/** Interface Statistics Block; its times are in the precision of that interface. */
export function encodeStatistics(interfaceId: number, statistics: StatisticsToWrite, precision: Precision = 'ns'): Uint8Array<ArrayBuffer> {
  const fixed = new Uint8Array(12)
  const view = new DataView(fixed.buffer)
  view.setUint32(0, interfaceId, true)
  putTime(view, 4, statistics.at, precision)
  const options = [
    ...texts(COMMENT, statistics.comments),
    ...time(2, statistics.start, precision),
    ...time(3, statistics.end, precision),
    ...word64(4, statistics.received),
    ...word64(5, statistics.droppedByInterface),
    ...word64(6, statistics.filterAccepted),
    ...word64(7, statistics.droppedBySystem),
    ...word64(8, statistics.delivered),
  ]
  return encodeBlock(INTERFACE_STATISTICS, fixed, encodeOptions(options))
}

function time(code: number, instant: Instant | undefined, precision: Precision): Option[] {
  if (instant === undefined) return []
  const bytes = new Uint8Array(8)
  putTime(new DataView(bytes.buffer), 0, instant, precision)
  return [[code, bytes]]
}

function putTime(view: DataView, at: number, { seconds, nanoseconds }: Instant, precision: Precision): void {
  if (precision === 'ns') putTicks(view, at, seconds, nanoseconds, 1e9)
  else putTicks(view, at, seconds, Math.floor(nanoseconds / 1000), 1e6)
}

/** seconds * ticksPerSecond + fraction as 64 bits, the upper 32 first. No BigInt: it is done once a packet. Seconds to 2^34. */
export function putTicks(view: DataView, at: number, seconds: number, fraction: number, ticksPerSecond: number): void {
  // NB: bit operators take any whole number modulo 2^32, and cost a tenth of `%`.
  const lowSeconds = seconds & 0xffff
  const upper = ((seconds - lowSeconds) / 0x10000) * ticksPerSecond
  const lowUpper = upper & 0xffff
  // Below 2^48: exact.
  const lower = lowUpper * 0x10000 + lowSeconds * ticksPerSecond + fraction
  const low = lower >>> 0
  view.setUint32(at, (upper - lowUpper) / 0x10000 + (lower - low) / 0x1_0000_0000, true)
  view.setUint32(at + 4, low, true)
}

/** epb_flags: the lowest two bits, and those of the reception type. */
export const PACKET_FLAGS = {
  inbound: 1,
  outbound: 2,
  unicast: 1 << 2,
  multicast: 2 << 2,
  broadcast: 3 << 2,
  promiscuous: 4 << 2,
} as const

export interface PacketOptions {
  /** epb_flags; `PACKET_FLAGS` has the bits. */
  flags?: number | undefined
  /** Packets lost between the one before of this interface and this one. */
  dropCount?: number | bigint | undefined
  /** Receive queue of the interface. */
  queue?: number | undefined
  comment?: string | readonly string[] | undefined
  packetId?: bigint | undefined
  /** 2 CRC-32, 3 MD5, 4 SHA-1, 5 Toeplitz. */
  hashes?: readonly { algorithm: number; value: Uint8Array }[] | undefined
  /** 0 hardware, 1 eBPF TC, 2 eBPF XDP. */
  verdicts?: readonly { kind: number; value: Uint8Array }[] | undefined
}

/** Options of an Enhanced Packet Block, for `putPacketHead`; undefined when there are none. */
export function encodePacketOptions({ flags, dropCount, queue, comment, packetId, hashes, verdicts }: PacketOptions): Uint8Array<ArrayBuffer> | undefined {
  const options = [
    ...texts(COMMENT, comment),
    ...word32(2, flags),
    ...(hashes ?? []).map(({ algorithm, value }) => [3, Uint8Array.from([algorithm, ...value])] as const),
    ...word64(4, dropCount),
    ...word64(5, packetId),
    ...word32(6, queue),
    ...(verdicts ?? []).map(({ kind, value }) => [7, Uint8Array.from([kind, ...value])] as const),
  ]
  return options.length === 0 ? undefined : encodeOptions(options)
}

/** From the beginning of an Enhanced Packet Block to the packet's first byte. */
export const PACKET_HEAD_BYTES = 28

/** Length of an Enhanced Packet Block. */
export function packetBlockBytes(capturedLength: number, optionsBytes: number): number {
  return PACKET_HEAD_BYTES + ((capturedLength + 3) & ~3) + optionsBytes + 4
}

/**
 * All of an Enhanced Packet Block around the packet's bytes and its options: what comes before them, the padding, and the length at
 * the end. Answers the block's length.
 */
export function putPacketBlock(
  view: DataView,
  at: number,
  interfaceId: number,
  seconds: number,
  fraction: number,
  ticksPerSecond: number,
  capturedLength: number,
  wireLength: number,
  optionsBytes: number,
): number {
  const total = packetBlockBytes(capturedLength, optionsBytes)
  view.setUint32(at, ENHANCED_PACKET, true)
  view.setUint32(at + 4, total, true)
  view.setUint32(at + 8, interfaceId, true)
  putTicks(view, at + 12, seconds, fraction, ticksPerSecond)
  view.setUint32(at + 20, capturedLength, true)
  view.setUint32(at + 24, wireLength, true)
  for (let pad = at + PACKET_HEAD_BYTES + capturedLength; (pad - at) & 3; pad++) view.setUint8(pad, 0)
  view.setUint32(at + total - 4, total, true)
  return total
}

/** From the beginning of a Simple Packet Block to the packet's first byte. */
export const SIMPLE_HEAD_BYTES = 12

/** Length of a Simple Packet Block. */
export function simpleBlockBytes(capturedLength: number): number {
  return SIMPLE_HEAD_BYTES + ((capturedLength + 3) & ~3) + 4
}

/** All of a Simple Packet Block around the packet's bytes: it is of interface 0, has no time, and as many bytes as the snap length leaves. */
export function putSimpleBlock(view: DataView, at: number, capturedLength: number, wireLength: number): void {
  const total = simpleBlockBytes(capturedLength)
  view.setUint32(at, SIMPLE_PACKET, true)
  view.setUint32(at + 4, total, true)
  view.setUint32(at + 8, wireLength, true)
  for (let pad = at + SIMPLE_HEAD_BYTES + capturedLength; (pad - at) & 3; pad++) view.setUint8(pad, 0)
  view.setUint32(at + total - 4, total, true)
}

export interface NameRecord {
  /** Four bytes or sixteen. */
  address: Uint8Array
  names: readonly string[]
}

/** Name Resolution Block. */
export function encodeNames(records: readonly NameRecord[]): Uint8Array<ArrayBuffer> {
  const parts = records.map(({ address, names }) => {
    const value = Uint8Array.from([...address, ...encoder.encode(names.map((name) => `${name}\0`).join(''))])
    return [address.byteLength === 4 ? 1 : 2, value] as const
  })
  // Records are laid out as options are, and their end too.
  const body = parts.length === 0 ? new Uint8Array(4) : encodeOptions(parts)
  return encodeBlock(NAME_RESOLUTION, body)
}

/** Decryption Secrets Block; `type` such as 0x544c534b for a TLS key log. */
export function encodeSecrets(type: number, secrets: Uint8Array): Uint8Array<ArrayBuffer> {
  const fixed = new Uint8Array(8)
  const view = new DataView(fixed.buffer)
  view.setUint32(0, type, true)
  view.setUint32(4, secrets.byteLength, true)
  return encodeBlock(DECRYPTION_SECRETS, fixed, padded(secrets))
}

/** Custom Block of a Private Enterprise Number. */
export function encodeCustom(enterprise: number, data: Uint8Array, mayBeCopied: boolean): Uint8Array<ArrayBuffer> {
  const fixed = new Uint8Array(4)
  new DataView(fixed.buffer).setUint32(0, enterprise, true)
  return encodeBlock(mayBeCopied ? CUSTOM : CUSTOM_NOT_COPIED, fixed, padded(data))
}
