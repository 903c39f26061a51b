/** Which protocol follows the link header. Pure. */
import { BPF_JEQ, BPF_X } from '../../kernel/abi/filter.js'
import { ALWAYS, all, any, type Condition, NEVER, not, test } from '../condition.js'
import { LINK_TYPES } from '../link-type.js'
import { loadMemory, loadXMemory } from '../statements.js'
import { ETHERNET_MTU, ETHERTYPE, PPP_OF, SAP } from './ether-types.js'
import type { Generation } from './generation.js'
import { above, equal, equalBytes, type Layers } from './layers.js'

/** `protocol` is an Ethernet type above ETHERNET_MTU, or an 802.2 service access point: gen_linktype() of libpcap. */
export function linkProtocol(generation: Generation, protocol: number): Condition {
  const { layers } = generation
  if (layers.mplsLabels > 0) return mplsProtocol(generation, protocol)
  switch (layers.link) {
    case 'EN10MB':
      return ethernetProtocol(layers, protocol)
    case 'LINUX_SLL':
      return cookedProtocol(layers, protocol)
    case 'LINUX_SLL2':
      return equal(layers, 'link type', 0, 2, protocol)
    case 'PPP':
      return equal(layers, 'link type', 0, 2, PPP_OF.get(protocol) ?? protocol)
    case 'RAW':
      if (protocol === ETHERTYPE.ip) return equal(layers, 'link', 0, 1, 0x40, 0xf0)
      return protocol === ETHERTYPE.ip6 ? equal(layers, 'link', 0, 1, 0x60, 0xf0) : NEVER
    case 'IPV4':
      return protocol === ETHERTYPE.ip ? ALWAYS : NEVER
    case 'IPV6':
      return protocol === ETHERTYPE.ip6 ? ALWAYS : NEVER
    case 'NULL':
    case 'LOOP':
      if (protocol === ETHERTYPE.ip) return addressFamily(generation, AF_INET)
      return protocol === ETHERTYPE.ip6 ? any(...ip6Families(generation).map((family) => addressFamily(generation, family))) : NEVER
  }
}

/** Behind the last label there is IPv4 or IPv6, and nothing says which but its version. */
function mplsProtocol(generation: Generation, protocol: number): Condition {
  const { layers } = generation
  const version = protocol === ETHERTYPE.ip ? 0x40 : protocol === ETHERTYPE.ip6 ? 0x60 : generation.fail('unsupported protocol over mpls')
  return all(equal(layers, 'network', -2, 1, 0x01, 0x01), equal(layers, 'network', 0, 1, version, 0xf0))
}

function ethernetProtocol(layers: Layers, protocol: number): Condition {
  const is8023 = not(above(layers, 'link type', 0, 2, ETHERNET_MTU))
  const hasType = equal(layers, 'link type', 0, 2, protocol)
  switch (protocol) {
    case SAP.iso:
    case SAP.ip:
    case SAP.netbeui:
      return all(is8023, bothSaps(layers, protocol))
    case SAP.ipx:
      // Ethernet II; 802.3 with SNAP; with 802.2; and NetWare's, without.
      return any(
        equal(layers, 'link type', 0, 2, ETHERTYPE.ipx),
        all(is8023, any(snap(layers, 0, ETHERTYPE.ipx), equal(layers, 'link payload', 0, 1, SAP.ipx), equal(layers, 'link payload', 0, 2, 0xffff))),
      )
    case ETHERTYPE.atalk:
    case ETHERTYPE.aarp:
      return any(hasType, all(is8023, appleSnap(layers, protocol)))
    default:
      return protocol > ETHERNET_MTU ? hasType : all(is8023, equal(layers, 'link type', 2, 1, protocol))
  }
}

/** Linux cooked v1: the field holds an Ethernet type, or one of two numbers for frames of 802.3. */
function cookedProtocol(layers: Layers, protocol: number): Condition {
  const has8022 = equal(layers, 'link type', 0, 2, LINUX_SLL_P_802_2)
  const hasType = equal(layers, 'link type', 0, 2, protocol)
  switch (protocol) {
    case SAP.iso:
    case SAP.ip:
    case SAP.netbeui:
      return all(has8022, bothSaps(layers, protocol))
    case SAP.ipx:
      return any(
        equal(layers, 'link type', 0, 2, ETHERTYPE.ipx),
        equal(layers, 'link type', 0, 2, LINUX_SLL_P_802_3),
        all(has8022, any(equal(layers, 'link payload', 0, 1, SAP.ipx), snap(layers, 0, ETHERTYPE.ipx))),
      )
    case ETHERTYPE.atalk:
    case ETHERTYPE.aarp:
      return any(hasType, all(has8022, appleSnap(layers, protocol)))
    default:
      return protocol > ETHERNET_MTU ? hasType : all(has8022, equal(layers, 'link', layers.linkPayload.constant, 1, protocol))
  }
}

/** <linux/if_ether.h>: ETH_P_802_3 and ETH_P_802_2. */
const LINUX_SLL_P_802_3 = 0x0001
const LINUX_SLL_P_802_2 = 0x0004

function bothSaps(layers: Layers, sap: number): Condition {
  return equal(layers, 'link payload', 0, 2, (sap << 8) | sap)
}

/** 802.2 with SNAP of this organisation and protocol. */
function snap(layers: Layers, organisation: number, protocol: number): Condition {
  const header = [SAP.snap, SAP.snap, 0x03, organisation >> 16, organisation >> 8, organisation, protocol >> 8, protocol]
  return all(...equalBytes(layers, 'link payload', 0, Uint8Array.from(header)))
}

/** EtherTalk has Apple's organisation code, its ARP that of encapsulated Ethernet. */
function appleSnap(layers: Layers, protocol: number): Condition {
  return snap(layers, protocol === ETHERTYPE.atalk ? 0x080007 : 0, protocol)
}

const AF_INET = 2
const AF_INET6_LINUX = 10
/** Of NetBSD and OpenBSD, of FreeBSD, of macOS. */
const AF_INET6_BSDS = [24, 28, 30]

/** libpcap knows no loopback with Linux's number in a file, and no other number elsewhere. */
function ip6Families({ options }: Generation): readonly number[] {
  return options.savefile === undefined ? [AF_INET6_LINUX] : AF_INET6_BSDS
}

/** NULL has it in the order of the machine that wrote it, LOOP in network order. */
function addressFamily({ layers, options }: Generation, family: number): Condition {
  const littleEndian = layers.link === 'NULL' && options.savefile !== 'swapped'
  return equal(layers, 'link', 0, 4, littleEndian ? family << 24 : family)
}

/** As pcap_datalink_val_to_description() has it. */
export function linkDescription({ link }: Layers): string {
  return link === 'PPP' ? 'PPP' : LINK_TYPES[link].description
}

/** Inside Geneve: that there is an Ethernet header at all. Elsewhere it is known. */
export function hasEthernetHeader({ layers }: Generation): Condition {
  const { linkHeader, linkPayload, tunneled } = layers
  if (!tunneled || linkHeader.register === undefined || linkPayload.register === undefined) return ALWAYS
  return not(test([loadMemory(linkHeader.register), loadXMemory(linkPayload.register)], BPF_JEQ | BPF_X, 0))
}

/** An 802.2 header on Ethernet; NetWare's 802.3 without one begins with 0xffff. */
export function hasLlcHeader(generation: Generation): Condition {
  const { layers } = generation
  if (layers.link !== 'EN10MB') generation.fail(`'llc' not supported for ${linkDescription(layers)}`)
  return all(not(above(layers, 'link type', 0, 2, ETHERNET_MTU)), not(equal(layers, 'link payload', 0, 2, 0xffff)))
}
