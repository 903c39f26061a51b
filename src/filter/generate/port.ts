/** Ports of TCP, UDP and SCTP. Pure. */
import type { Direction } from '../ast.js'
import { all, any, type Condition, not } from '../condition.js'
import { ETHERTYPE, IP_PROTOCOL } from './ether-types.js'
import type { Generation } from './generation.js'
import { inDirection, wirelessSubject } from './host.js'
import { above, anyBit, atLeast, equal, type Header } from './layers.js'
import { linkProtocol } from './link-protocol.js'

export interface Ports {
  first: number
  last: number
  /** A single port and a range of one are the same, but not in what is said of a wrong qualifier. */
  what: 'ports' | 'port ranges'
}

export type PortProtocol = 'tcp' | 'udp' | 'sctp'

/** IPv6 and IPv4, of one protocol or of all three: the order is that of libpcap. */
export function ports(generation: Generation, range: Ports, protocol: PortProtocol | undefined, direction: Direction | undefined): Condition {
  return any(portsOver6(generation, range, protocol, direction), portsOver4(generation, range, protocol, direction))
}

/** Of an IPv4 packet only the first fragment has ports. */
export function portsOver4(generation: Generation, range: Ports, protocol: PortProtocol | undefined, direction: Direction | undefined): Condition {
  const { layers } = generation
  return all(
    linkProtocol(generation, ETHERTYPE.ip),
    ofProtocols(protocol, (number) =>
      all(equal(layers, 'network', 9, 1, number), notLaterFragment(generation), inRange(generation, 'IPv4 payload', range, direction)),
    ),
  )
}

/** Right behind the IPv6 header: extension headers are not followed. */
export function portsOver6(generation: Generation, range: Ports, protocol: PortProtocol | undefined, direction: Direction | undefined): Condition {
  const { layers } = generation
  return all(
    linkProtocol(generation, ETHERTYPE.ip6),
    ofProtocols(protocol, (number) => all(equal(layers, 'network', 6, 1, number), inRange(generation, 'IPv6 payload', range, direction))),
  )
}

/** The packet is whole, or the first fragment. */
export function notLaterFragment({ layers }: Generation): Condition {
  return not(anyBit(layers, 'network', 6, 2, 0x1fff))
}

function ofProtocols(protocol: PortProtocol | undefined, test: (number: number) => Condition): Condition {
  const protocols = protocol === undefined ? (['sctp', 'tcp', 'udp'] as const) : [protocol]
  return any(...protocols.map((each) => test(IP_PROTOCOL[each])))
}

function inRange(generation: Generation, header: Header, { first, last, what }: Ports, direction: Direction | undefined): Condition {
  const { layers } = generation
  const refuse = (refused: Direction): never => {
    const valid = refused.startsWith('addr') ? 'valid qualifiers' : 'a valid qualifier'
    return generation.fail(`${wirelessSubject(refused)} not ${valid} for ${what}`)
  }
  return inDirection(direction, refuse, (end) => {
    const offset = end === 'src' ? 0 : 2
    if (first === last) return equal(layers, header, offset, 2, first)
    return all(atLeast(layers, header, offset, 2, Math.min(first, last)), not(above(layers, header, offset, 2, Math.max(first, last))))
  })
}
