/** Packets made by hand, one of each kind that a filter primitive can tell from others, for every link type that filters are made for. */
import type { LinkType } from '#src/filter/link-type.js'
import type { PacketLinkType } from '#src/packet/link-type.js'

type Bytes = readonly number[]

export interface NamedPacket {
  name: string
  bytes: Uint8Array
}

const u16 = (value: number): Bytes => [(value >> 8) & 0xff, value & 0xff]
const u32 = (value: number): Bytes => [...u16(value >>> 16), ...u16(value & 0xffff)]
const zeros = (count: number): Bytes => new Array<number>(count).fill(0)
const dotted = (address: string): Bytes => address.split('.').map(Number)

/** `2001:db8::1`, with at most one gap. */
function colons(address: string): Bytes {
  const [head = '', tail = ''] = address.split('::')
  const groups = (half: string) => (half === '' ? [] : half.split(':').flatMap((group) => u16(Number.parseInt(group, 16))))
  const [first, last] = [groups(head), groups(tail)]
  return [...first, ...zeros(16 - first.length - last.length), ...last]
}

export const MAC_A = [0x02, 0x00, 0x5e, 0x10, 0x00, 0x01]
export const MAC_B = [0x02, 0x00, 0x5e, 0x10, 0x00, 0x02]
const TYPE = { ip: 0x0800, arp: 0x0806, rarp: 0x8035, ip6: 0x86dd, vlan: 0x8100, ad: 0x88a8, qinq: 0x9100, mpls: 0x8847, pppoed: 0x8863, pppoes: 0x8864 }

interface Ip4 {
  src?: string
  dst?: string
  options?: number
  fragment?: number
  firstByte?: number
}

function ip4(protocol: number, payload: Bytes, { src = '10.0.0.1', dst = '10.0.0.2', options = 0, fragment = 0x4000, firstByte }: Ip4 = {}): Bytes {
  const header = 20 + options
  return [
    ...[firstByte ?? 0x40 | (header >> 2), 0, ...u16(header + payload.length), ...u16(7), ...u16(fragment), 64, protocol, 0, 0],
    ...dotted(src),
    ...dotted(dst),
    ...new Array<number>(options).fill(1),
    ...payload,
  ]
}

function ip6(next: number, payload: Bytes, { src = '2001:db8::1', dst = '2001:db8::2' }: { src?: string; dst?: string } = {}): Bytes {
  return [0x60, 0, 0, 0, ...u16(payload.length), next, 64, ...colons(src), ...colons(dst), ...payload]
}

const tcp = (src: number, dst: number, flags = 0x10, data: Bytes = []): Bytes => [
  ...[...u16(src), ...u16(dst), ...u32(1000), ...u32(2000), 0x50, flags, ...u16(8192)],
  ...[0, 0, 0, 0, ...data],
]
const udp = (src: number, dst: number, data: Bytes = [1, 2, 3, 4]): Bytes => [...u16(src), ...u16(dst), ...u16(8 + data.length), 0, 0, ...data]
const sctp = (src: number, dst: number): Bytes => [...u16(src), ...u16(dst), ...u32(5), ...u32(0), ...[3, 0, ...u16(16)], ...zeros(12)]
const icmp = (type: number, code = 0): Bytes => [type, code, 0, 0, ...u32(9), ...zeros(16)]
const extension = (next: number, units = 0): Bytes => [next, units, ...zeros(6 + 8 * units)]
const authentication = (next: number): Bytes => [next, 4, ...zeros(22)]
const fragmentHeader = (next: number, offset: number): Bytes => [next, 0, ...u16(offset << 3), ...u32(77)]
const arpBody = (src: string, dst: string): Bytes => [...u16(1), ...u16(TYPE.ip), 6, 4, ...u16(1), ...MAC_A, ...dotted(src), ...zeros(6), ...dotted(dst)]

/** What stands behind a link header that has an Ethernet type, by that type. */
const NETWORK: readonly (readonly [name: string, type: number, bytes: Bytes])[] = [
  ['tcp syn', TYPE.ip, ip4(6, tcp(1024, 80, 0x02))],
  ['tcp syn ack', TYPE.ip, ip4(6, tcp(80, 1024, 0x12))],
  ['tcp rst', TYPE.ip, ip4(6, tcp(443, 22, 0x04))],
  ['tcp fin push with data', TYPE.ip, ip4(6, tcp(22, 443, 0x19, [0x53, 0x53, 0x48, 0x2d]))],
  ['tcp with options', TYPE.ip, ip4(6, tcp(1024, 80, 0x02), { options: 8 })],
  ['tcp with 40 bytes of options', TYPE.ip, ip4(6, tcp(53, 53, 0x02), { options: 40 })],
  ['tcp, header length too short', TYPE.ip, ip4(6, tcp(1024, 80), { firstByte: 0x42 })],
  ['tcp, header length 60 but without options', TYPE.ip, ip4(6, tcp(1024, 80), { firstByte: 0x4f })],
  ['tcp first fragment', TYPE.ip, ip4(6, tcp(1024, 80), { fragment: 0x2000 })],
  ['tcp later fragment', TYPE.ip, ip4(6, tcp(1024, 80), { fragment: 0x2005 })],
  ['tcp last fragment', TYPE.ip, ip4(6, tcp(1024, 80), { fragment: 0x0005 })],
  ['udp dns', TYPE.ip, ip4(17, udp(5353, 53))],
  ['udp 6000 to 6005', TYPE.ip, ip4(17, udp(6000, 6005))],
  ['udp later fragment', TYPE.ip, ip4(17, udp(53, 53), { fragment: 0x0100 })],
  ['sctp', TYPE.ip, ip4(132, sctp(53, 36412))],
  ['icmp echo', TYPE.ip, ip4(1, icmp(8))],
  ['icmp unreachable', TYPE.ip, ip4(1, icmp(3, 1))],
  ['icmp with options', TYPE.ip, ip4(1, icmp(0), { options: 4 })],
  ['igmp', TYPE.ip, ip4(2, icmp(0x16), { dst: '224.0.0.22' })],
  ['igrp', TYPE.ip, ip4(9, zeros(12))],
  ['pim', TYPE.ip, ip4(103, [0x20, ...zeros(7)], { dst: '224.0.0.13' })],
  ['vrrp', TYPE.ip, ip4(112, [0x21, 1, ...zeros(10)], { dst: '224.0.0.18' })],
  ['esp', TYPE.ip, ip4(50, zeros(20))],
  ['ah, then tcp', TYPE.ip, ip4(51, [...authentication(6), ...tcp(1024, 80)])],
  ['broadcast', TYPE.ip, ip4(17, udp(67, 68), { src: '0.0.0.0', dst: '255.255.255.255' })],
  ['other addresses', TYPE.ip, ip4(6, tcp(80, 8080), { src: '192.168.1.7', dst: '172.16.5.4' })],
  ['loopback', TYPE.ip, ip4(6, tcp(631, 40000), { src: '127.0.0.1', dst: '127.0.0.1' })],
  ['to the network address', TYPE.ip, ip4(17, udp(9, 9), { src: '10.1.2.3', dst: '0.0.0.0' })],
  ['ip with the version of ip6', TYPE.ip, ip4(6, tcp(1024, 80), { firstByte: 0x65 })],
  ['ip6 tcp', TYPE.ip6, ip6(6, tcp(1024, 80, 0x02))],
  ['ip6 tcp back', TYPE.ip6, ip6(6, tcp(80, 1024, 0x12), { src: '2001:db8::2', dst: '2001:db8::1' })],
  ['ip6 udp', TYPE.ip6, ip6(17, udp(53, 5353))],
  ['ip6 sctp', TYPE.ip6, ip6(132, sctp(80, 443))],
  ['ip6 neighbour solicitation', TYPE.ip6, ip6(58, icmp(135), { src: 'fe80::1', dst: 'ff02::1:ff00:2' })],
  ['ip6 echo', TYPE.ip6, ip6(58, icmp(128))],
  ['ip6 first fragment of tcp', TYPE.ip6, ip6(44, [...fragmentHeader(6, 0), ...tcp(1024, 80)])],
  ['ip6 later fragment of udp', TYPE.ip6, ip6(44, [...fragmentHeader(17, 100), ...udp(53, 53)])],
  ['ip6 hop-by-hop, then icmp6', TYPE.ip6, ip6(0, [...extension(58), ...icmp(143)], { dst: 'ff02::16' })],
  ['ip6 destination, routing, tcp', TYPE.ip6, ip6(60, [...extension(43, 1), ...extension(6, 2), ...tcp(1024, 80)])],
  ['ip6 ah, destination, udp', TYPE.ip6, ip6(51, [...authentication(60), ...extension(17), ...udp(53, 53)])],
  ['ip6 seven extensions, udp', TYPE.ip6, ip6(60, [...new Array<Bytes>(6).fill(extension(60)).flat(), ...extension(17), ...udp(53, 53)])],
  ['ip6 nine extensions, udp', TYPE.ip6, ip6(60, [...new Array<Bytes>(8).fill(extension(60)).flat(), ...extension(17), ...udp(53, 53)])],
  ['ip6 no next header', TYPE.ip6, ip6(59, [])],
  ['ip6 other network', TYPE.ip6, ip6(6, tcp(22, 22), { src: '2001:db8:1:2::7', dst: 'fd00::1' })],
  ['ip6 pim', TYPE.ip6, ip6(103, zeros(8))],
  ['arp', TYPE.arp, arpBody('10.0.0.1', '10.0.0.2')],
  ['arp for others', TYPE.arp, arpBody('192.168.1.7', '192.168.1.1')],
  ['rarp', TYPE.rarp, arpBody('10.0.0.2', '10.0.0.1')],
  ['decnet, short', 0x6003, [...u16(20), 0x02, 0x03, 0x04, 0x01, 0x08, ...zeros(20)]],
  ['decnet, long', 0x6003, [...u16(40), 0x06, ...zeros(6), 0x01, 0x08, ...zeros(6), 0x03, 0x04, ...zeros(20)]],
  ['decnet, padded short', 0x6003, [...u16(20), 0x81, 0x02, 0x01, 0x08, 0x03, 0x04, ...zeros(20)]],
  ['decnet, padded long', 0x6003, [...u16(40), 0x81, 0x06, ...zeros(6), 0x01, 0x08, ...zeros(6), 0x03, 0x04, ...zeros(20)]],
  ['atalk', 0x809b, zeros(30)],
  ['aarp', 0x80f3, zeros(30)],
  ['lat', 0x6004, zeros(30)],
  ['sca', 0x6007, zeros(30)],
  ['mopdl', 0x6001, zeros(30)],
  ['moprc', 0x6002, zeros(30)],
  ['loopback test', 0x9000, zeros(30)],
  ['ipx type', 0x8137, zeros(30)],
  ['pppoe discovery', TYPE.pppoed, [0x11, 0x09, ...u16(0), ...u16(4), ...zeros(4)]],
  ['lldp', 0x88cc, zeros(30)],
  ['nothing', 0x88b5, []],
]

const bytesOf = (name: string, bytes: Bytes): NamedPacket => ({ name, bytes: Uint8Array.from(bytes) })

function ethernet(type: number, payload: Bytes, { dst = MAC_B, src = MAC_A }: { dst?: Bytes; src?: Bytes } = {}): Bytes {
  return [...dst, ...src, ...u16(type), ...payload]
}

/** In the place of the type stands the length. */
const ethernet8022 = (payload: Bytes): Bytes => ethernet(payload.length, payload, { dst: [0x01, 0x80, 0xc2, 0, 0, 0x14] })
const tag = (id: number, type: number, payload: Bytes): Bytes => [...u16(0xa000 | id), ...u16(type), ...payload]
const label = (value: number, last: boolean, payload: Bytes): Bytes => [...u32(((value << 12) | (last ? 0x100 : 0) | 64) >>> 0), ...payload]
const pppoe = (session: number, type: number, payload: Bytes): Bytes => [0x11, 0, ...u16(session), ...u16(payload.length + 2), ...u16(type), ...payload]
const geneve = (vni: number, type: number, payload: Bytes, options = 0, version = 0): Bytes =>
  udp(40000, 6081, [(version << 6) | (options / 4), 0, ...u16(type), ...u32(vni << 8), ...zeros(options), ...payload])
const vxlan = (vni: number, payload: Bytes, flags = 0x08): Bytes => udp(40000, 4789, [flags, 0, 0, 0, ...u32(vni << 8), ...payload])
const snap = (organisation: Bytes, type: number): Bytes => [0xaa, 0xaa, 3, ...organisation, ...u16(type), ...zeros(30)]
const isis = (pdu: number): Bytes => [0xfe, 0xfe, 3, 0x83, 27, 1, 0, pdu, ...zeros(20)]

/** Frames of 802.3 by their payload. */
const LLC: readonly (readonly [name: string, bytes: Bytes])[] = [
  ['stp', [0x42, 0x42, 3, ...zeros(35)]],
  ['netbeui', [0xf0, 0xf0, 3, ...zeros(20)]],
  ['ipx over 802.2', [0xe0, 0xe0, 3, ...zeros(30)]],
  ['ipx over 802.3', [0xff, 0xff, 0, 30, ...zeros(30)]],
  ['ipx over snap', snap([0, 0, 0], 0x8137)],
  ['atalk over snap', snap([8, 0, 7], 0x809b)],
  ['aarp over snap', snap([0, 0, 0], 0x80f3)],
  ['ip over 802.2', [0x06, 0x06, 3, ...zeros(30)]],
  ['clnp', [0xfe, 0xfe, 3, 0x81, ...zeros(20)]],
  ['esis', [0xfe, 0xfe, 3, 0x82, ...zeros(20)]],
  ...[15, 16, 17, 18, 20, 24, 25, 26, 27].map((pdu) => [`isis pdu ${pdu}`, isis(pdu)] as const),
  ...[0x00, 0x01, 0x05, 0x09, 0x63, 0x43, 0x0f, 0x6f, 0xe3, 0xaf, 0x87, 0x13].map(
    (control) => [`802.2 control ${control.toString(16)}`, [0x04, 0x05, control, 0, ...zeros(20)]] as const,
  ),
]

const inner = (name: string): Bytes => (NETWORK.find(([known]) => known === name) as (typeof NETWORK)[number])[2]

function ethernetPackets(): NamedPacket[] {
  const tcpSyn = inner('tcp syn')
  const udp6 = inner('ip6 udp')
  return [
    ...NETWORK.map(([name, type, bytes]) => bytesOf(name, ethernet(type, bytes))),
    ...LLC.map(([name, bytes]) => bytesOf(name, ethernet8022(bytes))),
    bytesOf('to everyone', ethernet(TYPE.arp, inner('arp'), { dst: new Array<number>(6).fill(0xff) })),
    bytesOf('to a group', ethernet(TYPE.ip, inner('igmp'), { dst: [1, 0, 0x5e, 0, 0, 0x16] })),
    bytesOf('back', ethernet(TYPE.ip, inner('tcp syn ack'), { dst: MAC_A, src: MAC_B })),
    ...['tcp syn', 'ip6 tcp', 'arp', 'icmp echo', 'udp dns', 'tcp later fragment'].flatMap((name) => {
      const [, type, bytes] = NETWORK.find(([known]) => known === name) as (typeof NETWORK)[number]
      return [
        bytesOf(`vlan 5, ${name}`, ethernet(TYPE.vlan, tag(5, type, bytes))),
        bytesOf(`vlan 100, ${name}`, ethernet(TYPE.vlan, tag(100, type, bytes))),
        bytesOf(`802.1ad 5, vlan 100, ${name}`, ethernet(TYPE.ad, tag(5, TYPE.vlan, tag(100, type, bytes)))),
        bytesOf(`qinq 100, vlan 5, ${name}`, ethernet(TYPE.qinq, tag(100, TYPE.vlan, tag(5, type, bytes)))),
      ]
    }),
    bytesOf('three tags', ethernet(TYPE.ad, tag(1, TYPE.vlan, tag(2, TYPE.vlan, tag(3, TYPE.ip, tcpSyn))))),
    bytesOf('vlan 5, stp', ethernet(TYPE.vlan, tag(5, 38, LLC[0]?.[1] as Bytes))),
    bytesOf('mpls 1024, ip', ethernet(TYPE.mpls, label(1024, true, tcpSyn))),
    bytesOf('mpls 1024, ip6', ethernet(TYPE.mpls, label(1024, true, udp6))),
    bytesOf('mpls 100000, 1024, ip', ethernet(TYPE.mpls, label(100000, false, label(1024, true, tcpSyn)))),
    bytesOf('mpls 3, 2, 1, ip', ethernet(TYPE.mpls, label(3, false, label(2, false, label(1, true, inner('udp dns')))))),
    bytesOf('mpls 1024, not the last', ethernet(TYPE.mpls, label(1024, false, tcpSyn))),
    bytesOf('vlan 5, mpls 1024', ethernet(TYPE.vlan, tag(5, TYPE.mpls, label(1024, true, tcpSyn)))),
    bytesOf('pppoe 39, ip', ethernet(TYPE.pppoes, pppoe(0x27, 0x21, tcpSyn))),
    bytesOf('pppoe 39, ip6', ethernet(TYPE.pppoes, pppoe(0x27, 0x57, udp6))),
    bytesOf('pppoe 1, lcp', ethernet(TYPE.pppoes, pppoe(1, 0xc021, zeros(10)))),
    bytesOf('pppoe 1, mpls', ethernet(TYPE.pppoes, pppoe(1, 0x281, label(1024, true, tcpSyn)))),
    bytesOf('vlan 100, pppoe 39', ethernet(TYPE.vlan, tag(100, TYPE.pppoes, pppoe(0x27, 0x21, inner('udp dns'))))),
    bytesOf('geneve 11, ethernet', ethernet(TYPE.ip, ip4(17, geneve(0xb, 0x6558, ethernet(TYPE.ip, tcpSyn))))),
    bytesOf('geneve 11 with options, ethernet', ethernet(TYPE.ip, ip4(17, geneve(0xb, 0x6558, ethernet(TYPE.ip, tcpSyn), 8)))),
    bytesOf('geneve 12, ip', ethernet(TYPE.ip, ip4(17, geneve(0xc, TYPE.ip, tcpSyn)))),
    bytesOf('geneve 12, vlan', ethernet(TYPE.ip, ip4(17, geneve(0xc, 0x6558, ethernet(TYPE.vlan, tag(5, TYPE.ip, tcpSyn)))))),
    bytesOf('geneve 11 over ip6', ethernet(TYPE.ip6, ip6(17, geneve(0xb, 0x6558, ethernet(TYPE.ip6, udp6))))),
    bytesOf('geneve 11 behind ip options', ethernet(TYPE.ip, ip4(17, geneve(0xb, TYPE.ip6, udp6), { options: 12 }))),
    bytesOf('geneve, another version', ethernet(TYPE.ip, ip4(17, geneve(0xb, TYPE.ip, tcpSyn, 0, 1)))),
    bytesOf('vlan 5, geneve 11', ethernet(TYPE.vlan, tag(5, TYPE.ip, ip4(17, geneve(0xb, 0x6558, ethernet(TYPE.ip, tcpSyn)))))),
    bytesOf('geneve later fragment', ethernet(TYPE.ip, ip4(17, geneve(0xb, TYPE.ip, tcpSyn), { fragment: 0x2003 }))),
    bytesOf('vxlan 7', ethernet(TYPE.ip, ip4(17, vxlan(7, ethernet(TYPE.ip, tcpSyn))))),
    bytesOf('vxlan 8 behind ip options', ethernet(TYPE.ip, ip4(17, vxlan(8, ethernet(TYPE.ip6, udp6)), { options: 20 }))),
    bytesOf('vxlan 7 over ip6', ethernet(TYPE.ip6, ip6(17, vxlan(7, ethernet(TYPE.vlan, tag(5, TYPE.ip, tcpSyn)))))),
    bytesOf('vxlan without its flag', ethernet(TYPE.ip, ip4(17, vxlan(7, ethernet(TYPE.ip, tcpSyn), 0)))),
    bytesOf('vxlan with other flags', ethernet(TYPE.ip, ip4(17, vxlan(7, ethernet(TYPE.ip, tcpSyn), 0x88)))),
    bytesOf('empty', []),
    bytesOf('one byte', [0xff]),
    bytesOf('header alone', ethernet(TYPE.ip, [])),
  ]
}

/** Linux cooked, v1: the packet type, the ARPHRD of the interface, an address, the protocol. */
const cooked1 = (type: number, payload: Bytes, packetType = 0): Bytes => [...u16(packetType), ...u16(1), ...u16(6), ...MAC_A, 0, 0, ...u16(type), ...payload]
const cooked2 = (type: number, payload: Bytes, packetType = 0, index = 2): Bytes => [
  ...[...u16(type), 0, 0, ...u32(index), ...u16(1), packetType, 6],
  ...[...MAC_A, 0, 0, ...payload],
]

function cookedPackets(header: (type: number, payload: Bytes, packetType?: number, index?: number) => Bytes): NamedPacket[] {
  return [
    ...NETWORK.map(([name, type, bytes]) => bytesOf(name, header(type, bytes))),
    ...LLC.map(([name, bytes]) => bytesOf(name, header(4, bytes))),
    bytesOf('802.3', header(1, zeros(30))),
    bytesOf('outgoing', header(TYPE.ip, inner('tcp syn'), 4)),
    bytesOf('of others', header(TYPE.ip6, inner('ip6 udp'), 3, 7)),
    bytesOf('cut', header(TYPE.ip, []).slice(0, 9)),
  ]
}

function ipPackets(header: (version: 4 | 6) => Bytes): NamedPacket[] {
  return NETWORK.flatMap(([name, type, bytes]) => {
    if (type !== TYPE.ip && type !== TYPE.ip6) return []
    return bytesOf(name, [...header(type === TYPE.ip ? 4 : 6), ...bytes])
  })
}

/** Of one link type, those of another where it has none of its own. */
export function packetsOf(linkType: LinkType): NamedPacket[] {
  switch (linkType) {
    case 'EN10MB':
      return ethernetPackets()
    case 'LINUX_SLL':
      return cookedPackets(cooked1)
    case 'LINUX_SLL2':
      return cookedPackets(cooked2)
    case 'RAW':
    case 'IPV4':
    case 'IPV6':
      return [...ipPackets(() => []), bytesOf('empty', [])]
    case 'NULL':
      return [...[10, 30].flatMap((family) => ipPackets((version) => [version === 4 ? 2 : family, 0, 0, 0])), bytesOf('cut', [2, 0])]
    case 'LOOP':
      return [...[10, 24].flatMap((family) => ipPackets((version) => u32(version === 4 ? 2 : family))), bytesOf('cut', [2, 0])]
  }
}

/** Each packet whole, and cut at `cuts` places that `choose` names, 0 to its length. */
export function withCuts(packets: readonly NamedPacket[], cuts: number, choose: (length: number) => number): NamedPacket[] {
  return packets.flatMap(({ name, bytes }) => [
    { name, bytes },
    ...Array.from({ length: cuts }, () => {
      const length = choose(bytes.length)
      return { name: `${name}, ${length} bytes of it`, bytes: bytes.subarray(0, length) }
    }),
  ])
}

/** PPP is of no filter: raw IP behind its header. */
export function framesOf(linkType: PacketLinkType): NamedPacket[] {
  if (linkType !== 'PPP' && linkType !== 'PPP_ETHER') return packetsOf(linkType)
  return packetsOf('RAW').map(({ name, bytes }, index) => {
    const protocol = (bytes[0] ?? 0) >>> 4 === 6 ? 0x57 : 0x21
    const ppp = linkType === 'PPP_ETHER' ? [0, protocol] : ([[0xff, 3, 0, protocol], [0, protocol], [protocol], [1, 3, 0, protocol]][index % 4] as number[])
    const length = ppp.length + bytes.length
    const pppoe = linkType === 'PPP_ETHER' ? [0x11, 0, 0, 7, length >>> 8, length & 0xff] : []
    return { name, bytes: Uint8Array.from([...pppoe, ...ppp, ...bytes]) }
  })
}
