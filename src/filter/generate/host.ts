/** Addresses: of hosts and networks in IP, ARP and DECnet, and of Ethernet. Pure. */

import type { Direction, Protocol, Qualifiers } from '../ast.js'
import { all, any, type Condition, not } from '../condition.js'
import { ETHERTYPE } from './ether-types.js'
import type { Generation } from './generation.js'
import { equal, equalBytes } from './layers.js'
import { hasEthernetHeader, linkProtocol } from './link-protocol.js'

/** What a qualifier was put before. */
export type Addressed = 'host' | 'net'

/** Source, destination, either or both. NB: of the two the source is tested first, and that decides for a packet that ends between them. */
export function inDirection(direction: Direction | undefined, refuse: (direction: Direction) => never, at: (end: 'src' | 'dst') => Condition): Condition {
  switch (direction) {
    case 'src':
    case 'dst':
      return at(direction)
    case undefined:
    case 'src or dst':
      return any(at('src'), at('dst'))
    case 'src and dst':
      return all(at('src'), at('dst'))
    default:
      return refuse(direction)
  }
}

/** `'addr1' and 'address1' are`, `'ra' is`. */
export function wirelessSubject(direction: Direction): string {
  return direction.startsWith('addr') ? `'${direction}' and 'address${direction.slice(4)}' are` : `'${direction}' is`
}

function notWireless(generation: Generation): (direction: Direction) => never {
  return (direction) => {
    const [subject, what] = direction.startsWith('addr') ? [wirelessSubject(direction), 'valid qualifiers'] : [wirelessSubject(direction), 'a valid qualifier']
    return generation.fail(`${subject} not ${what} for addresses other than 802.11 MAC addresses`)
  }
}

/** `address` and `mask` of IPv4: gen_host() of libpcap. */
export function ip4Address(generation: Generation, address: number, mask: number, { protocol, direction }: Qualifiers, what: Addressed): Condition {
  const { layers } = generation
  const among = (etherType: number, src: number, dst: number): Condition =>
    inDirection(direction, notWireless(generation), (end) =>
      all(linkProtocol(generation, etherType), equal(layers, 'network', end === 'src' ? src : dst, 4, address, mask)),
    )
  const inIp = () => among(ETHERTYPE.ip, 12, 16)
  const inArp = () => among(ETHERTYPE.arp, 14, 24)
  const inRarp = () => among(ETHERTYPE.rarp, 14, 24)
  switch (protocol) {
    case undefined:
      // Behind MPLS labels there is nothing but IP.
      return layers.mplsLabels > 0 ? inIp() : any(inIp(), inArp(), inRarp())
    case 'ip':
      return inIp()
    case 'arp':
      return inArp()
    case 'rarp':
      return inRarp()
    case 'decnet':
      return decnetHost(generation, address, direction)
    case 'link':
      return generation.fail(`link-layer modifier applied to ${what}`)
    case 'ip6':
      return generation.fail("'ip6' modifier applied to ip host")
    default: {
      const name = NOT_IMPLEMENTED[protocol]
      return generation.fail(name === undefined ? `'${protocol}' modifier applied to ${what}` : `${name} host filtering not implemented`)
    }
  }
}

const NOT_IMPLEMENTED: Partial<Record<Protocol, string>> = {
  atalk: 'AppleTalk',
  lat: 'LAT',
  sca: 'SCA',
  moprc: 'MOPRC',
  mopdl: 'MOPDL',
  aarp: 'AARP',
  iso: 'ISO',
  ipx: 'IPX',
}

/** The first `bits` bits of an IPv6 address. */
export function ip6Address(generation: Generation, address: Uint8Array, bits: number, { protocol, direction }: Qualifiers, what: Addressed): Condition {
  if (protocol !== undefined && protocol !== 'ip6') {
    const name = protocol === 'link' ? 'link-layer' : protocol === 'atalk' ? 'AppleTalk' : `'${protocol}'`
    generation.fail(`${name} modifier applied to ip6 ${what}`)
  }
  const words = new DataView(address.buffer, address.byteOffset)
  return inDirection(direction, notWireless(generation), (end) =>
    all(
      linkProtocol(generation, ETHERTYPE.ip6),
      ...[0, 1, 2, 3].map((word) => {
        const mask = prefixMask(Math.max(0, Math.min(32, bits - 32 * word)))
        return equal(generation.layers, 'network', (end === 'src' ? 8 : 24) + 4 * word, 4, words.getUint32(4 * word), mask)
      }),
    ),
  )
}

/** The mask of a prefix of 0 to 32 bits. */
export function prefixMask(bits: number): number {
  return bits === 0 ? 0 : (0xffff_ffff << (32 - bits)) >>> 0
}

/** An Ethernet address at the source or the destination. */
export function ethernetHost(generation: Generation, address: Uint8Array, direction: Direction | undefined): Condition {
  const refuse = (refused: Direction): never => generation.fail(`${wirelessSubject(refused)} only supported on 802.11 with 802.11 headers`)
  return all(
    hasEthernetHeader(generation),
    inDirection(direction, refuse, (end) => all(...equalBytes(generation.layers, 'link', end === 'src' ? 6 : 0, address))),
  )
}

/** `gateway`: the frame goes to or comes from a host, the packet does not. */
export function gateway(generation: Generation, name: string, protocol: Protocol | undefined): Condition {
  const { names } = generation.options
  const ethernet = names.ether(name)
  if (ethernet === undefined) generation.failAtWord(name, `unknown ether host: ${name}`, 'it must be in /etc/ethers')
  const addresses = names.host(name)
  if (addresses.length === 0) generation.failAtWord(name, `unknown host '${name}'`)
  if (protocol !== undefined && protocol !== 'ip' && protocol !== 'arp' && protocol !== 'rarp') generation.fail("illegal modifier of 'gateway'")
  if (generation.layers.link !== 'EN10MB') generation.fail("'gateway' supported only on ethernet/FDDI/token ring/802.11/ATM LANE/Fibre Channel")
  const qualifiers: Qualifiers = { protocol, direction: 'src or dst', type: 'gateway' }
  const ends = addresses.flatMap((address) => {
    if (address.length === 16) return protocol === undefined ? [ip6Address(generation, address, 128, qualifiers, 'host')] : []
    return [ip4Address(generation, new DataView(address.buffer, address.byteOffset).getUint32(0), 0xffff_ffff, qualifiers, 'host')]
  })
  if (ends.length === 0) generation.failAtWord(name, `unknown host '${name}'`)
  return all(ethernetHost(generation, ethernet, 'src or dst'), not(any(...ends)))
}

/**
 * A DECnet node. The header has a long and a short form, each with or without a byte of padding before it; the numbers in it have the
 * low byte first. Other forms are not looked for.
 */
function decnetHost(generation: Generation, address: number, direction: Direction | undefined): Condition {
  const { layers } = generation
  const low = ((address & 0xff) << 8) | ((address >> 8) & 0xff)
  return inDirection(direction, notWireless(generation), (end) => {
    const [short, long] = end === 'dst' ? [1, 7] : [3, 15]
    const plain = (flags: number, offset: number) => all(equal(layers, 'network', 2, 1, flags, 0x07), equal(layers, 'network', 2 + offset, 2, low))
    const padded = (flags: number, offset: number) => all(equal(layers, 'network', 2, 2, flags, 0xff07), equal(layers, 'network', 3 + offset, 2, low))
    return all(linkProtocol(generation, ETHERTYPE.decnet), any(plain(0x02, short), padded(0x8102, short), plain(0x06, long), padded(0x8106, long)))
  })
}
