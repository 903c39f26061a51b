/** Frames of every class that `ringtap count` knows, and a classifier that was written from its documentation, not from its program. */
import type { CountClass } from '#src/bpf/count-program.js'
import type { Random } from './random.js'

type Bytes = Uint8Array<ArrayBuffer>

const IPV4 = 0x0800
const ARP = 0x0806
const VLAN = 0x8100
const IPV6 = 0x86dd
const SERVICE_VLAN = 0x88a8

const FIN = 0x01
const SYN = 0x02
const ACK = 0x10
const ECE_CWR = 0xc0

function concat(...parts: readonly (Uint8Array | readonly number[])[]): Bytes {
  return Uint8Array.from(parts.flatMap((part) => [...part]))
}

function word(value: number): number[] {
  return [value >>> 8, value & 0xff]
}

/** `tags` are the EtherTypes of VLAN tags, outermost first. */
function ethernet(type: number, payload: Uint8Array, tags: readonly number[] = []): Bytes {
  return concat([2, 0, 0x5e, 0x10, 0, 1, 2, 0, 0x5e, 0x10, 0, 2], ...tags.map((tag) => [...word(tag), 0x20, 0x64]), word(type), payload)
}

interface Ipv4 {
  version?: number
  /** In words of 32 bits. */
  headerWords?: number
  /** Flags and offset. */
  fragment?: number
}

function ipv4(protocol: number, payload: Uint8Array, { version = 4, headerWords = 5, fragment = 0x4000 }: Ipv4 = {}): Bytes {
  const options = new Uint8Array(Math.max(0, headerWords - 5) * 4).fill(1)
  const length = 20 + options.length + payload.length
  const header = [(version << 4) | headerWords, 0, ...word(length), 0x12, 0x34, ...word(fragment), 64, protocol, 0, 0, 10, 1, 2, 3, 198, 18, 0, 1]
  return concat(header, options, payload)
}

function ipv6(nextHeader: number, payload: Uint8Array, version = 6): Bytes {
  const addresses = Uint8Array.from({ length: 32 }, (_, i) => (i * 37 + 32) & 0xff)
  return concat([version << 4, 0, 0, 0, ...word(payload.length), nextHeader, 64], addresses, payload)
}

function tcp(flags: number): Bytes {
  return concat([...word(40_000), ...word(80), 1, 2, 3, 4, 5, 6, 7, 8, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0])
}

const datagram = concat(word(1025), word(53), word(26), [0, 0], new Uint8Array(18).fill(0xff))
const echo = concat([8, 0, 0, 0, 0x12, 0x34, 0, 1], new Uint8Array(18).fill(0x12))

/** Without tags. */
const UNTAGGED: readonly (readonly [name: string, type: number, payload: Bytes, expected: CountClass])[] = [
  ['SYN', IPV4, ipv4(6, tcp(SYN)), 'tcpSyn'],
  ['SYN with ECN', IPV4, ipv4(6, tcp(SYN | ECE_CWR)), 'tcpSyn'],
  ['SYN and FIN', IPV4, ipv4(6, tcp(SYN | FIN)), 'tcpSyn'],
  ['SYN and ACK', IPV4, ipv4(6, tcp(SYN | ACK)), 'tcp'],
  ['ACK', IPV4, ipv4(6, tcp(ACK)), 'tcp'],
  ['TCP without flags', IPV4, ipv4(6, tcp(0)), 'tcp'],
  ['SYN after options', IPV4, ipv4(6, tcp(SYN), { headerWords: 8 }), 'tcpSyn'],
  ['ACK after as many options as there may be', IPV4, ipv4(6, tcp(ACK), { headerWords: 15 }), 'tcp'],
  ['UDP', IPV4, ipv4(17, datagram), 'udp'],
  ['UDP after options', IPV4, ipv4(17, datagram, { headerWords: 6 }), 'udp'],
  ['UDP without a byte of it', IPV4, ipv4(17, new Uint8Array(0)), 'udp'],
  ['ICMP', IPV4, ipv4(1, echo), 'icmp'],
  ['ICMP after options', IPV4, ipv4(1, echo, { headerWords: 7 }), 'icmp'],
  ['SCTP', IPV4, ipv4(132, datagram), 'ipv4'],
  ['GRE after options', IPV4, ipv4(47, datagram, { headerWords: 9 }), 'ipv4'],
  ['the number of ICMPv6 over IPv4', IPV4, ipv4(58, datagram), 'ipv4'],
  ['the number of a fragment header over IPv4', IPV4, ipv4(44, datagram), 'ipv4'],
  ['a first fragment', IPV4, ipv4(6, tcp(SYN), { fragment: 0x2000 }), 'fragment'],
  ['a later fragment', IPV4, ipv4(17, datagram, { fragment: 0x2001 }), 'fragment'],
  ['a last fragment', IPV4, ipv4(1, echo, { fragment: 0x1fff }), 'fragment'],
  ['a fragment with an offset in the low byte', IPV4, ipv4(1, echo, { fragment: 0x0001 }), 'fragment'],
  ['a fragment with options', IPV4, ipv4(17, datagram, { fragment: 0x2000, headerWords: 6 }), 'fragment'],
  ['the reserved flag is no fragment', IPV4, ipv4(17, datagram, { fragment: 0x8000 }), 'udp'],
  ['an IPv4 header that is too short', IPV4, ipv4(17, datagram, { headerWords: 4 }), 'ipv4'],
  ['version 6 in IPv4', IPV4, ipv4(17, datagram, { version: 6 }), 'ipv4'],
  ['version 5 in IPv4 with a SYN', IPV4, ipv4(6, tcp(SYN), { version: 5 }), 'ipv4'],
  ['SYN over IPv6', IPV6, ipv6(6, tcp(SYN)), 'tcpSyn'],
  ['SYN and ACK over IPv6', IPV6, ipv6(6, tcp(SYN | ACK)), 'tcp'],
  ['UDP over IPv6', IPV6, ipv6(17, datagram), 'udp'],
  ['ICMPv6', IPV6, ipv6(58, echo), 'icmp'],
  ['the number of ICMP over IPv6', IPV6, ipv6(1, echo), 'ipv6'],
  ['an IPv6 fragment', IPV6, ipv6(44, concat([6, 0, 0, 1, 0, 0, 0, 9], tcp(SYN))), 'fragment'],
  ['an IPv6 fragment behind hop-by-hop options', IPV6, ipv6(0, concat([44, 0, 5, 2, 0, 0, 1, 0], [6, 0, 0, 1, 0, 0, 0, 9], tcp(SYN))), 'ipv6'],
  ['no next header', IPV6, ipv6(59, datagram), 'ipv6'],
  ['version 4 in IPv6', IPV6, ipv6(6, tcp(SYN), 4), 'ipv6'],
  ['ARP', ARP, concat([0, 1, 8, 0, 6, 4, 0, 1], new Uint8Array(20).fill(9)), 'arp'],
  ['ARP without a byte of it', ARP, new Uint8Array(0), 'arp'],
  ['LLDP', 0x88cc, new Uint8Array(46), 'other'],
  ['a length in place of an EtherType', 60, concat([0x42, 0x42, 3], new Uint8Array(57)), 'other'],
]

const TAGS: readonly (readonly [name: string, tags: readonly number[]])[] = [
  ['', []],
  [', tagged', [VLAN]],
  [', service tag', [SERVICE_VLAN]],
  [', two tags', [SERVICE_VLAN, VLAN]],
  [', two equal tags', [VLAN, VLAN]],
]

export interface CountFrame {
  name: string
  frame: Bytes
  expected: CountClass
}

export const COUNT_FRAMES: readonly CountFrame[] = [
  ...TAGS.flatMap(([suffix, tags]) =>
    UNTAGGED.flatMap(([name, type, payload, expected]) => [
      { name: `${name}${suffix}`, frame: ethernet(type, payload, tags), expected },
      { name: `${name}${suffix}, longer`, frame: concat(ethernet(type, payload, tags), new Uint8Array(1300).fill(0xff)), expected },
    ]),
  ),
  { name: 'three tags', frame: ethernet(IPV4, ipv4(6, tcp(SYN)), [VLAN, VLAN, VLAN]), expected: 'other' },
  { name: 'only Ethernet', frame: ethernet(IPV4, new Uint8Array(0)), expected: 'ipv4' },
  { name: 'only Ethernet, IPv6', frame: ethernet(IPV6, new Uint8Array(0)), expected: 'ipv6' },
  { name: 'a tag that is cut', frame: ethernet(IPV4, new Uint8Array(0), [VLAN]).slice(0, 15), expected: 'other' },
  { name: 'a tag without EtherType', frame: ethernet(IPV4, new Uint8Array(0), [VLAN]).slice(0, 16), expected: 'other' },
]

/** What the documentation says of a frame. */
export function classOf(frame: Uint8Array): CountClass {
  const at = (offset: number): number => frame[offset] ?? Number.NaN
  let network = 14
  const etherType = () => at(network - 2) * 256 + at(network - 1)
  for (let tags = 0; tags < 2 && (etherType() === VLAN || etherType() === SERVICE_VLAN); tags++) network += 4
  const type = etherType()
  if (type === ARP) return 'arp'
  if (type !== IPV4 && type !== IPV6) return 'other'
  const rest = frame.subarray(network)
  const unknown = type === IPV4 ? 'ipv4' : 'ipv6'
  if (rest.length < (type === IPV4 ? 20 : 40)) return unknown
  if (rest[0] >> 4 !== (type === IPV4 ? 4 : 6)) return unknown
  const headerBytes = type === IPV4 ? (rest[0] & 15) * 4 : 40
  if (headerBytes < 20) return unknown
  if (type === IPV4 ? ((rest[6] << 8) | rest[7]) & 0x3fff : rest[6] === 44) return 'fragment'
  if (rest.length < headerBytes) return unknown
  const protocol = type === IPV4 ? rest[9] : rest[6]
  if (protocol === 17) return 'udp'
  if (protocol === (type === IPV4 ? 1 : 58)) return 'icmp'
  if (protocol !== 6 || rest.length < headerBytes + 14) return unknown
  const flags = rest[headerBytes + 13]
  return (flags & SYN) !== 0 && (flags & ACK) === 0 ? 'tcpSyn' : 'tcp'
}

/** A frame of the list with some bytes changed, a piece cut off, or both; now and then only noise. At least `min` bytes. */
export function randomCountFrame(random: Random, min: number): Bytes {
  if (random.oneIn(20)) return random.bytes(random.between(min, 100))
  const frame = random.pick(COUNT_FRAMES).frame.slice()
  for (let changes = random.between(0, 3); changes > 0; changes--) {
    const offset = random.between(12, Math.min(frame.length - 1, 110))
    frame[offset] = random.oneIn(2) ? random.between(0, 255) : (frame[offset] as number) ^ (1 << random.between(0, 7))
  }
  return random.oneIn(2) ? frame : frame.slice(0, random.between(min, Math.max(min, Math.min(frame.length, 120))))
}
