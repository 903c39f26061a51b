/** A name, a number or an address, with its qualifiers: gen_scode(), gen_ncode(), gen_mcode() and their kin in libpcap. Pure. */
import { decnetAddress, ip4Parts, macBytes } from '../address-text.js'
import type { IdValue, Protocol, Qualifiers } from '../ast.js'
import { any, type Condition } from '../condition.js'
import { ip6Bytes } from '../lexer.js'
import { splitPortRange } from '../names.js'
import { ETHERTYPE, NLPID, SAP } from './ether-types.js'
import type { Generation } from './generation.js'
import { ethernetHost, gateway, ip4Address, ip6Address, prefixMask } from './host.js'
import { type PortProtocol, ports } from './port.js'
import { protochain } from './protochain.js'
import { protocolNumber } from './protocol.js'

export function identifier(generation: Generation, qualifiers: Qualifiers | undefined, value: IdValue): Condition {
  const { protocol, type } = qualifiers ?? {}
  switch (value.kind) {
    case 'mac':
      if (qualifiers === undefined || protocol !== 'link' || (type !== undefined && type !== 'host')) {
        return generation.fail('ethernet address used in non-ether expression', `ether host ${value.text}`)
      }
      if (generation.layers.link !== 'EN10MB') {
        return generation.fail('ethernet addresses supported only on ethernet/FDDI/token ring/802.11/ATM LANE/Fibre Channel')
      }
      return ethernetHost(generation, macBytes(value.text), qualifiers.direction)
    case 'arcnet':
      return generation.fail('aid supported only on ARCnet')
    case 'net4':
      return maskedNetwork(generation, qualifiers, value.text, value.mask)
    case 'ip6':
      return address6(generation, qualifiers, value.text, value.bits)
  }
  // libpcap's words for an identifier that has no clause with qualifiers to its left.
  if (qualifiers === undefined) return generation.fail('syntax error in filter expression', 'an identifier needs a qualifier, such as host, net or port')
  switch (value.kind) {
    case 'name':
      return named(generation, qualifiers, value.name)
    case 'number':
      return numbered(generation, qualifiers, value.value)
    case 'ip4':
      return address4(generation, qualifiers, value.text)
  }
}

function maskedNetwork(generation: Generation, qualifiers: Qualifiers | undefined, text: string, mask: { text: string } | { bits: number }): Condition {
  const network = leftAligned(generation, text)
  const bits = 'bits' in mask ? mask.bits : undefined
  if (bits !== undefined && bits > 32) generation.fail('mask length must be <= 32')
  const maskBits = 'text' in mask ? leftAligned(generation, mask.text) : prefixMask(mask.bits)
  if ((network & ~maskBits) !== 0) generation.fail(`non-network bits set in "${text}${'text' in mask ? ` mask ${mask.text}` : `/${mask.bits}`}"`)
  if (qualifiers?.type !== 'net') return generation.fail('Mask syntax for networks only')
  return ip4Address(generation, network, maskBits, qualifiers, 'net')
}

/** A short address stands for the first bytes of a whole one. */
function leftAligned(generation: Generation, text: string): number {
  const parts = ip4Parts(text) ?? generation.fail(`invalid IPv4 address '${text}'`)
  return (parts.value << (32 - parts.bits)) >>> 0
}

function address6(generation: Generation, qualifiers: Qualifiers | undefined, text: string, length: number | undefined): Condition {
  const bits = length ?? 128
  const address = ip6Bytes(text) ?? generation.fail(`invalid ip6 address ${text}`)
  if (bits > 128) generation.fail('mask length must be <= 128')
  const hostBits = address.some((byte, index) => (byte & (0xff >> Math.max(0, Math.min(8, bits - 8 * index)))) !== 0)
  if (hostBits) generation.fail(`non-network bits set in "${text}/${bits}"`)
  switch (qualifiers?.type) {
    case 'net':
      return ip6Address(generation, address, bits, qualifiers, 'net')
    case 'host':
    case undefined:
      if (qualifiers === undefined) break
      if (bits !== 128) generation.fail('Mask syntax for networks only')
      return ip6Address(generation, address, bits, qualifiers, 'host')
  }
  return generation.fail('invalid qualifier against IPv6 address')
}

function address4(generation: Generation, qualifiers: Qualifiers, text: string): Condition {
  const { protocol, type } = qualifiers
  if (type === 'port' || type === 'portrange' || type === 'proto' || type === 'protochain') generation.fail(`'${type}' modifier applied to ip host`)
  if (type === 'gateway') generation.fail("'gateway' requires a name")
  const what = type === 'net' ? 'net' : 'host'
  if (protocol === 'decnet') {
    return ip4Address(generation, decnetAddress(text) ?? generation.fail(`malformed decnet address '${text}'`), 0, qualifiers, what)
  }
  const parts = ip4Parts(text) ?? generation.fail(`invalid IPv4 address '${text}'`)
  if (protocol === 'link') generation.fail('illegal link layer address')
  return ip4Address(generation, (parts.value << (32 - parts.bits)) >>> 0, prefixMask(parts.bits), qualifiers, what)
}

function numbered(generation: Generation, qualifiers: Qualifiers, value: number): Condition {
  const { protocol, direction, type } = qualifiers
  switch (type) {
    case undefined:
    case 'host':
    case 'net': {
      const what = type === 'net' ? 'net' : 'host'
      if (protocol === 'decnet') return ip4Address(generation, value, 0, qualifiers, what)
      if (protocol === 'link') generation.fail('illegal link layer address')
      const { address, mask } = type === 'net' ? shortNetwork(value) : { address: value, mask: 0xffff_ffff }
      return ip4Address(generation, address, mask, qualifiers, what)
    }
    case 'port':
    case 'portrange': {
      const over = portProtocol(generation, protocol, type)
      if (value > PORT_MAX) generation.fail(`illegal port number ${value} > ${PORT_MAX}`)
      return ports(generation, { first: value, last: value, what: type === 'port' ? 'ports' : 'port ranges' }, over, direction)
    }
    case 'gateway':
      return generation.fail("'gateway' requires a name")
    case 'proto':
      return protocolNumber(generation, value, protocol)
    case 'protochain':
      return chain(generation, value, protocol)
  }
}

/** `net 10` is 10.0.0.0 with a mask of 8 bits: zero bytes at the left are taken for ones that were left out at the right. */
function shortNetwork(value: number): { address: number; mask: number } {
  let [address, mask] = [value, 0xffff_ffff]
  while (address !== 0 && address >>> 24 === 0) {
    address = (address << 8) >>> 0
    mask = (mask << 8) >>> 0
  }
  return { address, mask }
}

const PORT_MAX = 65535

function portProtocol(generation: Generation, protocol: Protocol | undefined, type: 'port' | 'portrange'): PortProtocol | undefined {
  if (protocol !== undefined && protocol !== 'tcp' && protocol !== 'udp' && protocol !== 'sctp') return generation.fail(`illegal qualifier of '${type}'`)
  return protocol
}

function named(generation: Generation, qualifiers: Qualifiers, name: string): Condition {
  const { protocol, direction, type } = qualifiers
  const { names } = generation.options
  switch (type) {
    case undefined:
    case 'host':
      return namedHost(generation, qualifiers, name)
    case 'net': {
      const number = names.network(name)
      if (number === undefined || number === 0) return generation.failAtWord(name, `unknown network '${name}'`)
      const { address, mask } = shortNetwork(number)
      return ip4Address(generation, address, mask, qualifiers, 'net')
    }
    case 'port':
    case 'portrange':
      return namedPorts(generation, qualifiers, type, name)
    case 'gateway':
      return gateway(generation, name, protocol)
    case 'proto':
      return direction === undefined
        ? protocolNumber(generation, protocolNamed(generation, name, protocol), protocol)
        : generation.fail("direction applied to 'proto'")
    case 'protochain':
      return chain(generation, protocolNamed(generation, name, protocol), protocol)
  }
}

function namedHost(generation: Generation, qualifiers: Qualifiers, name: string): Condition {
  const { protocol, direction } = qualifiers
  const { names } = generation.options
  if (protocol === 'link') {
    if (generation.layers.link !== 'EN10MB') generation.fail('only ethernet/FDDI/token ring/802.11/ATM LANE/Fibre Channel supports link-level host name')
    return ethernetHost(generation, names.ether(name) ?? generation.failAtWord(name, `unknown ether host '${name}'`), direction)
  }
  if (protocol === 'decnet') generation.fail(`decnet name support not included, '${name}' cannot be translated`)
  const addresses = names.host(name)
  if (addresses.length === 0) generation.failAtWord(name, `unknown host '${name}'`)
  // Where the link header has no type field there is neither ARP nor RARP.
  const ipOnly = protocol === undefined && generation.layers.linkTypeField === undefined
  const ends = addresses.flatMap((address) => {
    if (address.length === 4) {
      if (protocol === 'ip6') return []
      const number = new DataView(address.buffer, address.byteOffset).getUint32(0)
      return [ip4Address(generation, number, 0xffff_ffff, ipOnly ? { ...qualifiers, protocol: 'ip' } : qualifiers, 'host')]
    }
    return protocol === 'ip' ? [] : [ip6Address(generation, address, 128, qualifiers, 'host')]
  })
  if (ends.length === 0) generation.failAtWord(name, `unknown host '${name}'${protocol === undefined ? '' : ' for specified address family'}`)
  return any(...ends)
}

interface NamedPort {
  port: number
  /** Undefined where TCP and UDP have it alike. */
  protocol: 'tcp' | 'udp' | undefined
}

/** A service by its name, or by its number: getaddrinfo(3) takes both. */
function portNamed({ options }: Generation, name: string): NamedPort | undefined {
  if (/^[0-9]+$/.test(name)) return { port: Number(name), protocol: undefined }
  const [tcp, udp] = [options.names.service(name, 'tcp'), options.names.service(name, 'udp')]
  if (tcp !== undefined) return { port: tcp, protocol: tcp === udp ? undefined : 'tcp' }
  return udp === undefined ? undefined : { port: udp, protocol: 'udp' }
}

function portRangeNamed(generation: Generation, name: string): { first: number; last: number; protocol: 'tcp' | 'udp' | undefined } | undefined {
  // As sscanf("%d-%d") has it: what follows the second number is not read.
  const numbers = /^([0-9]+)-(-?[0-9]+)/.exec(name)
  if (numbers !== null) return { first: Number(numbers[1]), last: Number(numbers[2]), protocol: undefined }
  const [from, to] = splitPortRange(name).map((half) => portNamed(generation, half))
  if (from === undefined || to === undefined) return undefined
  return { first: from.port, last: to.port, protocol: from.protocol === to.protocol ? from.protocol : undefined }
}

function namedPorts(generation: Generation, { protocol, direction }: Qualifiers, type: 'port' | 'portrange', name: string): Condition {
  const over = portProtocol(generation, protocol, type)
  const found = type === 'port' ? onePort(portNamed(generation, name)) : portRangeNamed(generation, name)
  const what = type === 'port' ? 'port' : 'port in range'
  if (found === undefined) return generation.failAtWord(name, `unknown ${what} '${name}'`)
  if (over !== undefined && found.protocol !== undefined && over !== found.protocol) generation.fail(`${what} '${name}' is ${found.protocol}`)
  for (const port of [found.first, found.last]) {
    if (port < 0) generation.fail(`illegal port number ${port} < 0`)
    if (port > PORT_MAX) generation.fail(`illegal port number ${port} > ${PORT_MAX}`)
  }
  return ports(generation, { first: found.first, last: found.last, what: type === 'port' ? 'ports' : 'port ranges' }, over ?? found.protocol, direction)
}

function onePort(found: NamedPort | undefined): { first: number; last: number; protocol: 'tcp' | 'udp' | undefined } | undefined {
  return found === undefined ? undefined : { first: found.port, last: found.port, protocol: found.protocol }
}

/** Names that libpcap knows by heart; those of IP protocols are the system's. */
const ETHER_PROTOCOLS: Record<string, number> = {
  aarp: ETHERTYPE.aarp,
  arp: ETHERTYPE.arp,
  atalk: ETHERTYPE.atalk,
  decnet: ETHERTYPE.decnet,
  ip: ETHERTYPE.ip,
  ip6: ETHERTYPE.ip6,
  lat: ETHERTYPE.lat,
  loopback: ETHERTYPE.loopback,
  mopdl: ETHERTYPE.mopdl,
  moprc: ETHERTYPE.moprc,
  rarp: ETHERTYPE.rarp,
  sca: ETHERTYPE.sca,
  iso: SAP.iso,
  stp: SAP.stp,
  ipx: SAP.ipx,
  netbeui: SAP.netbeui,
}
const ISO_PROTOCOLS: Record<string, number> = { esis: NLPID.esis, isis: NLPID.isis, clnp: NLPID.clnp }

function protocolNamed(generation: Generation, name: string, within: Protocol | undefined): number {
  const byHeart = (known: Record<string, number>) => (Object.hasOwn(known, name) ? known[name] : undefined)
  switch (within) {
    case undefined:
    case 'ip':
    case 'ip6':
      return generation.options.names.protocol(name) ?? generation.failAtWord(name, `unknown ip proto '${name}'`)
    case 'link':
      return byHeart(ETHER_PROTOCOLS) ?? generation.failAtWord(name, `unknown ether proto '${name}'`)
    case 'iso':
      return byHeart(ISO_PROTOCOLS) ?? generation.failAtWord(name, `unknown osi proto '${name}'`)
    default:
      return generation.failAtWord(name, `unknown protocol: ${name}`)
  }
}

function chain(generation: Generation, number: number, protocol: Protocol | undefined): Condition {
  switch (protocol) {
    case undefined:
      return any(protochain(generation, number, 'ip'), protochain(generation, number, 'ip6'))
    case 'ip':
    case 'ip6':
      return protochain(generation, number, protocol)
    default:
      return generation.fail("bad protocol applied for 'protochain'")
  }
}
