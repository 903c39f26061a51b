/** A packet as a flat object, for JSON lines and for whoever wants values instead of text. Keys are there when the packet has them. */
import { ipv4Text, ipv6Text } from '../bytes/ip.js'
import { DecodedPacket, decodePacket, PROBLEM } from './decode.js'
import type { PacketToDescribe } from './describe.js'
import { ETHERTYPE } from './ethertype.js'
import { IP_PROTOCOL } from './ip-protocol.js'
import { LINKTYPE, type PacketLinkType, packetLinkType } from './link-type.js'

export interface PacketDocument {
  /**
   * UTC with nanoseconds: `2026-11-20T15:38:19.000000001Z`. Of a time beyond what Date knows (the year 275760) seconds since 1970:
   * `18446744073709.551615000`.
   */
  time: string
  /** Bytes present. */
  capturedLength: number
  /** Bytes on the wire. */
  wireLength: number
  /** `02:00:5e:10:00:01`; of cooked captures the source alone. */
  sourceMac?: string
  destinationMac?: string
  /** EtherType behind all tags. */
  etherType?: number
  /** VLAN identifiers, the outermost first. */
  vlanIds?: number[]
  /** MPLS labels, the outermost first. */
  mplsLabels?: number[]
  pppoeSession?: number
  /** 1 request, 2 reply, and the others of RFC 826; `source` and `destination` are its IPv4 addresses. */
  arpOperation?: number
  /** 4 or 6. */
  ipVersion?: number
  /** IP addresses as RFC 5952 has them. */
  source?: string
  destination?: string
  /** IP protocol behind all extension headers: 6 is TCP. */
  protocol?: number
  /** Time to live, of IPv6 the hop limit. */
  ttl?: number
  /** Of fragments alone: byte offset, and whether more follow. */
  fragmentOffset?: number
  moreFragments?: boolean
  sourcePort?: number
  destinationPort?: number
  /** `S`, `S.`, `FP.`: in tcpdump's letters, empty for none. */
  tcpFlags?: string
  tcpSequence?: number
  /** With the ACK flag only. */
  tcpAcknowledgement?: number
  tcpWindow?: number
  /** Of ICMP and ICMPv6. */
  icmpType?: number
  icmpCode?: number
  /** Bytes that TCP, UDP, SCTP or ICMP carry, as far as captured. */
  payloadLength?: number
  /** Why there is no more: `cut`, a header goes beyond the captured bytes, or `malformed`, it contradicts itself. */
  problem?: 'cut' | 'malformed'
}

const FLAGS = ['F', 'S', 'R', 'P', '.', 'U', 'E', 'W'] as const
const ARP_OF_IPV4 = [8, 0, 6, 4] as const

/** One for all: packets are decoded one after the other. */
const decoded = new DecodedPacket()
/** None at first, which NaN is equal to. Empty for a second that Date does not know. */
let knownSecond = Number.NaN
let knownTime = ''

/** What the packet's headers say. Of a link type that is not decoded only its time and lengths are told. */
export function packetDocument(packet: PacketToDescribe): PacketDocument {
  const {
    bytes,
    offset = 0,
    capturedLength = bytes.length - offset,
    wireLength = capturedLength,
    seconds,
    nanoseconds,
    linkType: number = LINKTYPE.EN10MB,
  } = packet
  const document: PacketDocument = { time: timeText(seconds, nanoseconds), capturedLength, wireLength }
  const linkType = packetLinkType(number)
  if (linkType === undefined) return document
  decodePacket(decoded, linkType, bytes, offset, capturedLength)
  addLink(document, linkType, bytes, offset, capturedLength)
  if (decoded.ipVersion !== 0) addNetwork(document, bytes)
  else if (decoded.etherType === ETHERTYPE.ARP && decoded.l3 >= 0) addArp(document, bytes, decoded.l3, offset + capturedLength)
  if (decoded.problem !== PROBLEM.NONE) document.problem = decoded.problem === PROBLEM.CUT ? 'cut' : 'malformed'
  return document
}

function timeText(seconds: number, nanoseconds: number): string {
  if (seconds !== knownSecond) {
    const date = new Date(seconds * 1000)
    knownTime = Number.isNaN(date.getTime()) ? '' : date.toISOString().replace('.000Z', '.')
    knownSecond = seconds
  }
  if (knownTime === '') return secondsText(seconds, nanoseconds)
  return `${knownTime}${String(nanoseconds).padStart(9, '0')}Z`
}

/** Nanoseconds count forward, also before 1970. */
function secondsText(seconds: number, nanoseconds: number): string {
  const isNegative = seconds < 0 && nanoseconds > 0
  const wholes = isNegative ? `-${-seconds - 1}` : `${seconds}`
  return `${wholes}.${String(isNegative ? 1_000_000_000 - nanoseconds : nanoseconds).padStart(9, '0')}`
}

function macText(bytes: Uint8Array, at: number): string {
  let text = ''
  for (let i = 0; i < 6; i++) text += (i === 0 ? '' : ':') + (bytes[at + i] as number).toString(16).padStart(2, '0')
  return text
}

function u16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 8) | (bytes[at + 1] as number)
}

function u32(bytes: Uint8Array, at: number): number {
  return ((u16(bytes, at) << 16) | u16(bytes, at + 2)) >>> 0
}

function addLink(document: PacketDocument, linkType: PacketLinkType, bytes: Uint8Array, offset: number, capturedLength: number): void {
  if (linkType === 'EN10MB' && capturedLength >= 14) {
    document.sourceMac = macText(bytes, offset + 6)
    document.destinationMac = macText(bytes, offset)
  } else if (linkType === 'LINUX_SLL' && capturedLength >= 16 && u16(bytes, offset + 4) === 6) {
    document.sourceMac = macText(bytes, offset + 6)
  } else if (linkType === 'LINUX_SLL2' && capturedLength >= 20 && bytes[offset + 11] === 6) {
    document.sourceMac = macText(bytes, offset + 12)
  }
  if (decoded.etherType !== 0) document.etherType = decoded.etherType
  if (decoded.vlanCount > 0) document.vlanIds = Array.from({ length: decoded.vlanCount }, (_, i) => u16(bytes, decoded.vlan + 4 * i) & 0xfff)
  if (decoded.mplsCount > 0) document.mplsLabels = Array.from({ length: decoded.mplsCount }, (_, i) => u32(bytes, decoded.mpls + 4 * i) >>> 12)
  if (decoded.pppoe >= 0) document.pppoeSession = u16(bytes, decoded.pppoe + 2)
}

function addNetwork(document: PacketDocument, bytes: Uint8Array): void {
  const { l3, protocol } = decoded
  const isIpv4 = decoded.ipVersion === 4
  document.ipVersion = decoded.ipVersion
  document.source = isIpv4 ? ipv4Text(bytes, l3 + 12) : ipv6Text(bytes, l3 + 8)
  document.destination = isIpv4 ? ipv4Text(bytes, l3 + 16) : ipv6Text(bytes, l3 + 24)
  document.protocol = protocol
  document.ttl = bytes[l3 + (isIpv4 ? 8 : 7)] as number
  if (decoded.fragmentOffset !== 0 || decoded.moreFragments) {
    document.fragmentOffset = decoded.fragmentOffset
    document.moreFragments = decoded.moreFragments
  }
  if (decoded.sourcePort >= 0) {
    document.sourcePort = decoded.sourcePort
    document.destinationPort = decoded.destinationPort
  }
  const l4 = decoded.l4
  if (l4 < 0) return
  if (protocol === IP_PROTOCOL.TCP) {
    const flags = bytes[l4 + 13] as number
    document.tcpFlags = FLAGS.filter((_, bit) => ((flags >>> bit) & 1) !== 0).join('')
    document.tcpSequence = u32(bytes, l4 + 4)
    if ((flags & 0x10) !== 0) document.tcpAcknowledgement = u32(bytes, l4 + 8)
    document.tcpWindow = u16(bytes, l4 + 14)
  } else if (protocol === IP_PROTOCOL.ICMP || protocol === IP_PROTOCOL.ICMPV6) {
    document.icmpType = bytes[l4] as number
    document.icmpCode = bytes[l4 + 1] as number
  }
  if (decoded.payload >= 0) document.payloadLength = decoded.end - decoded.payload
}

function addArp(document: PacketDocument, bytes: Uint8Array, at: number, end: number): void {
  if (end - at < 28) {
    document.problem = 'cut'
    return
  }
  document.arpOperation = u16(bytes, at + 6)
  if (!ARP_OF_IPV4.every((byte, i) => bytes[at + 2 + i] === byte)) return
  document.source = ipv4Text(bytes, at + 14)
  document.destination = ipv4Text(bytes, at + 24)
}
