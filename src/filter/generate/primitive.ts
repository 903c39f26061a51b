/** Primitives with a keyword of their own. Pure. */
import { BPF_JEQ, BPF_JGE, BPF_JGT, SKF_AD_IFINDEX, SKF_AD_OFF, SKF_AD_PKTTYPE } from '../../kernel/abi/filter.js'
import { PACKET_OUTGOING } from '../../kernel/abi/if_packet.js'
import type { Arithmetic, Primitive, Protocol } from '../ast.js'
import { all, any, type Condition, not, test } from '../condition.js'
import { loadAbsolute, loadLength } from '../statements.js'
import { relation } from './arithmetic.js'
import { geneve, mpls, pppoeSession, vlan, vxlan } from './encapsulation.js'
import { ETHERTYPE } from './ether-types.js'
import type { Generation } from './generation.js'
import { ethernetHost } from './host.js'
import { identifier } from './identifier.js'
import { anyBit, atLeast, equal } from './layers.js'
import { hasEthernetHeader, hasLlcHeader, linkDescription, linkProtocol } from './link-protocol.js'
import { protocolAlone } from './protocol.js'

export function primitive(generation: Generation, clause: Primitive): Condition {
  generation.at = clause
  switch (clause.kind) {
    case 'id':
      return identifier(generation, clause.qualifiers, clause.value)
    case 'protocol':
      return protocolAlone(generation, clause.protocol)
    case 'relation':
      return relation(generation, clause.relation, clause.left, clause.right)
    case 'broadcast':
      return broadcast(generation, clause.protocol)
    case 'multicast':
      return multicast(generation, clause.protocol)
    case 'less':
      return not(test([loadLength()], BPF_JGT, clause.value))
    case 'greater':
      return test([loadLength()], BPF_JGE, clause.value)
    case 'byte':
      return byte(generation, clause)
    case 'inbound':
      return not(outbound(generation))
    case 'outbound':
      return outbound(generation)
    case 'ifindex':
      return interfaceIndex(generation, clause.value)
    case 'vlan':
      return vlan(generation, clause.value)
    case 'mpls':
      return mpls(generation, clause.value)
    case 'pppoed':
      return linkProtocol(generation, ETHERTYPE.pppoed)
    case 'pppoes':
      return pppoeSession(generation, clause.value)
    case 'geneve':
      return geneve(generation, clause.value)
    case 'vxlan':
      return vxlan(generation, clause.value)
    case 'llc':
      return llc(generation, clause.type)
  }
}

const BROADCAST = new Uint8Array(6).fill(0xff)

function broadcast(generation: Generation, protocol: Protocol | undefined): Condition {
  const { layers, options } = generation
  if (protocol === undefined || protocol === 'link') {
    return layers.link === 'EN10MB' ? ethernetHost(generation, BROADCAST, 'dst') : generation.fail('not a broadcast link')
  }
  if (protocol !== 'ip') return generation.fail('only link-layer/IP broadcast filters supported')
  if (options.netmask === undefined) return generation.fail("netmask not known, so 'ip broadcast' not supported")
  const hostBits = ~options.netmask >>> 0
  const to = (address: number): Condition => equal(layers, 'network', 16, 4, address, hostBits)
  return all(linkProtocol(generation, ETHERTYPE.ip), any(to(0), to(hostBits)))
}

function multicast(generation: Generation, protocol: Protocol | undefined): Condition {
  const { layers } = generation
  switch (protocol) {
    case undefined:
    case 'link':
      if (layers.link !== 'EN10MB') break
      return all(hasEthernetHeader(generation), anyBit(layers, 'link', 0, 1, 1))
    case 'ip':
      return all(linkProtocol(generation, ETHERTYPE.ip), atLeast(layers, 'network', 16, 1, 224))
    case 'ip6':
      return all(linkProtocol(generation, ETHERTYPE.ip6), equal(layers, 'network', 24, 1, 255))
  }
  return generation.fail('link-layer multicast filters supported only on ethernet/FDDI/token ring/ARCNET/802.11/ATM LANE/Fibre Channel')
}

/** `byte 0 & 1` is `link[0] & 1 != 0`. NB: before & and | libpcap forgets to load the byte, and tests what the clause before left in A. */
function byte(generation: Generation, { offset, operator, value, start, end }: Primitive & { kind: 'byte' }): Condition {
  const number = (constant: number): Arithmetic => ({ kind: 'constant', value: constant, start, end })
  const load: Arithmetic = { kind: 'load', protocol: 'link', offset: number(offset), size: 1, start, end }
  if (operator !== '&' && operator !== '|') return relation(generation, operator, load, number(value))
  return relation(generation, '!=', { kind: 'binary', operator, left: load, right: number(value), start, end }, number(0))
}

/** Linux cooked headers say it; elsewhere the kernel does. */
function outbound(generation: Generation): Condition {
  const { layers, options } = generation
  if (layers.link === 'LINUX_SLL') return equal(layers, 'link', 0, 2, PACKET_OUTGOING)
  if (layers.link === 'LINUX_SLL2') return equal(layers, 'link', 10, 1, PACKET_OUTGOING)
  if (options.savefile !== undefined) generation.fail(`inbound/outbound not supported on ${linkDescription(layers)} when reading savefiles`)
  return test([loadAbsolute(SKF_AD_OFF + SKF_AD_PKTTYPE, 2)], BPF_JEQ, PACKET_OUTGOING)
}

function interfaceIndex(generation: Generation, index: number): Condition {
  const { layers, options } = generation
  if (layers.link === 'LINUX_SLL2') return equal(layers, 'link', 4, 4, index)
  if (options.savefile !== undefined) generation.fail(`ifindex not supported on ${linkDescription(layers)} when reading savefiles`)
  return test([loadAbsolute(SKF_AD_OFF + SKF_AD_IFINDEX, 4)], BPF_JEQ, index)
}

/** Kinds of 802.2 frames by the control byte: its lowest bit is 0 for I, its lowest two are 01 for S and 11 for U. */
const LLC_CONTROL: Record<string, { value: number; mask: number }> = {
  s: { value: 0x01, mask: 0x03 },
  u: { value: 0x03, mask: 0x03 },
  ...withMask(0x0f, { rr: 0x01, rnr: 0x05, rej: 0x09 }),
  ...withMask(0xef, { ui: 0x03, ua: 0x63, disc: 0x43, dm: 0x0f, sabme: 0x6f, test: 0xe3, xid: 0xaf, frmr: 0x87 }),
}

function withMask(mask: number, values: Record<string, number>): Record<string, { value: number; mask: number }> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, { value, mask }]))
}

function llc(generation: Generation, type: string | undefined): Condition {
  const { layers } = generation
  if (type === undefined) return hasLlcHeader(generation)
  const name = type.toLowerCase()
  if (name === 'i') return all(hasLlcHeader(generation), not(anyBit(layers, 'link payload', 2, 1, 0x01)))
  if (!Object.hasOwn(LLC_CONTROL, name)) return generation.failAtWord(type, `unknown LLC type name "${type}"`)
  const { value, mask } = LLC_CONTROL[name] as { value: number; mask: number }
  return all(hasLlcHeader(generation), equal(layers, 'link payload', 2, 1, value, mask))
}
