/** A protocol by its name alone, or by its number in the header of another. Pure. */
import type { Protocol } from '../ast.js'
import { all, any, type Condition } from '../condition.js'
import { ETHERTYPE, IP_PROTOCOL, ISIS_PDU, NLPID, SAP } from './ether-types.js'
import type { Generation } from './generation.js'
import { equal } from './layers.js'
import { linkProtocol } from './link-protocol.js'

/** `tcp`, `arp`, `lsp`: gen_proto_abbrev() of libpcap. */
export function protocolAlone(generation: Generation, protocol: Protocol): Condition {
  switch (protocol) {
    case 'link':
      return generation.fail('link layer applied in wrong context')
    case 'radio':
      return generation.fail("'radio' is not a valid protocol type")
    case 'sctp':
    case 'tcp':
    case 'udp':
    case 'pim':
    case 'ah':
    case 'esp':
      return ipProtocol(generation, IP_PROTOCOL[protocol])
    case 'icmp':
    case 'igmp':
    case 'igrp':
    case 'vrrp':
    case 'carp':
      return ip4Protocol(generation, IP_PROTOCOL[protocol])
    case 'icmp6':
      return ip6Protocol(generation, IP_PROTOCOL.icmp6)
    case 'iso':
    case 'stp':
    case 'ipx':
    case 'netbeui':
      return linkProtocol(generation, SAP[protocol])
    case 'clnp':
    case 'esis':
    case 'isis':
      return isoProtocol(generation, NLPID[protocol])
    case 'l1':
    case 'l2':
    case 'iih':
    case 'lsp':
    case 'snp':
    case 'csnp':
    case 'psnp':
      return any(...ISIS_PDUS[protocol].map((pdu) => isisPdu(generation, pdu)))
    default:
      return linkProtocol(generation, ETHERTYPE[protocol])
  }
}

const { l1Hello, l2Hello, pointToPointHello, l1Lsp, l2Lsp, l1Csnp, l2Csnp, l1Psnp, l2Psnp } = ISIS_PDU

const ISIS_PDUS = {
  l1: [l1Psnp, l1Csnp, l1Lsp, l1Hello, pointToPointHello],
  l2: [l2Psnp, l2Csnp, l2Lsp, l2Hello, pointToPointHello],
  iih: [pointToPointHello, l1Hello, l2Hello],
  lsp: [l1Lsp, l2Lsp],
  snp: [l2Psnp, l1Psnp, l1Csnp, l2Csnp],
  csnp: [l1Csnp, l2Csnp],
  psnp: [l1Psnp, l2Psnp],
} as const

/** `ip proto 6`, `ether proto 0x88cc`: gen_proto() of libpcap. */
export function protocolNumber(generation: Generation, number: number, within: Protocol | undefined): Condition {
  switch (within) {
    case undefined:
      return ipProtocol(generation, number)
    case 'link':
      return linkProtocol(generation, number)
    case 'ip':
      return ip4Protocol(generation, number)
    case 'ip6':
      return ip6Protocol(generation, number)
    case 'iso':
      return isoProtocol(generation, number)
    case 'isis':
      return isisPdu(generation, number)
    default:
      return generation.fail(NOT_ENCAPSULATING[within] ?? `'${within} proto' is bogus`)
  }
}

const NOT_ENCAPSULATING: Partial<Record<Protocol, string>> = {
  arp: 'arp does not encapsulate another protocol',
  rarp: 'rarp does not encapsulate another protocol',
  atalk: 'AppleTalk encapsulation is not specifiable',
  decnet: 'DECNET encapsulation is not specifiable',
  lat: 'LAT does not encapsulate another protocol',
  sca: 'SCA does not encapsulate another protocol',
  moprc: 'MOPRC does not encapsulate another protocol',
  mopdl: 'MOPDL does not encapsulate another protocol',
  clnp: "'clnp proto' is not supported",
}

function ipProtocol(generation: Generation, number: number): Condition {
  return any(ip4Protocol(generation, number), ip6Protocol(generation, number))
}

function ip4Protocol(generation: Generation, number: number): Condition {
  return all(linkProtocol(generation, ETHERTYPE.ip), equal(generation.layers, 'network', 9, 1, number))
}

/** Right behind the IPv6 header, or behind a fragment header there. */
function ip6Protocol(generation: Generation, number: number): Condition {
  const { layers } = generation
  const behindFragment = all(equal(layers, 'network', 6, 1, IP_PROTOCOL.fragment), equal(layers, 'IPv6 payload', 0, 1, number))
  return all(linkProtocol(generation, ETHERTYPE.ip6), any(equal(layers, 'network', 6, 1, number), behindFragment))
}

function isoProtocol(generation: Generation, nlpid: number): Condition {
  return all(linkProtocol(generation, SAP.iso), equal(generation.layers, 'network without SNAP', 0, 1, nlpid))
}

function isisPdu(generation: Generation, pdu: number): Condition {
  return all(isoProtocol(generation, NLPID.isis), equal(generation.layers, 'network without SNAP', 4, 1, pdu))
}
