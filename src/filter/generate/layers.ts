/**
 * Where the headers of a packet are. `vlan`, `mpls`, `pppoes`, `geneve` and `vxlan` move them, for all that stands further right
 * in the expression, whether `and`, `or` or parentheses are between: libpcap's way, and documented in pcap-filter(7). Pure.
 */
import { BPF_ADD, BPF_AND, BPF_JEQ, BPF_JGE, BPF_JGT, BPF_JSET, BPF_LSH } from '../../kernel/abi/filter.js'
import { type Condition, test } from '../condition.js'
import type { FlowStatement } from '../flow-graph.js'
import type { LinkType } from '../link-type.js'
import { compute, computeX, type LoadSize, loadAbsolute, loadIndirect, loadXHeaderLength, loadXMemory, xFromA } from '../statements.js'

/** An offset into the packet: a constant, plus the value of a scratch register where the length of what is before varies. */
export interface Offset {
  constant: number
  register: number | undefined
}

export interface Layers {
  /** What the link header is now: the link type of the capture, PPP inside PPPoE, Ethernet inside Geneve and VXLAN. */
  link: LinkType | 'PPP'
  linkHeader: Offset
  /** The type field of the link header; undefined where it has none, and then all is IP. */
  linkTypeField: Offset | undefined
  /** What follows the link header: an 802.2 header, or a network header. */
  linkPayload: Offset
  /** From there to the network header, and the same behind an 802.2 header without SNAP. */
  network: number
  networkWithoutSnap: number
  mplsLabels: number
  vlanTags: number
  /** Inside Geneve or VXLAN: whether an Ethernet header is there is only known at run time. */
  tunneled: boolean
}

export const ETHERNET_HEADER_BYTES = 14
const ETHERNET_TYPE_OFFSET = 12
const IP6_HEADER_BYTES = 40

/** The type field and the payload of each link type: init_linktype() of libpcap's gencode.c. */
const LINK_HEADERS: Record<LinkType, { type: number | undefined; payload: number; withoutSnap: number }> = {
  EN10MB: { type: ETHERNET_TYPE_OFFSET, payload: ETHERNET_HEADER_BYTES, withoutSnap: 3 },
  RAW: { type: undefined, payload: 0, withoutSnap: 0 },
  IPV4: { type: undefined, payload: 0, withoutSnap: 0 },
  IPV6: { type: undefined, payload: 0, withoutSnap: 0 },
  LINUX_SLL: { type: 14, payload: 16, withoutSnap: 0 },
  LINUX_SLL2: { type: 0, payload: 20, withoutSnap: 0 },
  NULL: { type: 0, payload: 4, withoutSnap: 0 },
  LOOP: { type: 0, payload: 4, withoutSnap: 0 },
}

export function fixedOffset(constant: number): Offset {
  return { constant, register: undefined }
}

export function outermostLayers(link: LinkType): Layers {
  const { type, payload, withoutSnap } = LINK_HEADERS[link]
  return {
    link,
    linkHeader: fixedOffset(0),
    linkTypeField: type === undefined ? undefined : fixedOffset(type),
    linkPayload: fixedOffset(payload),
    network: 0,
    networkWithoutSnap: withoutSnap,
    mplsLabels: 0,
    vlanTags: 0,
    tunneled: false,
  }
}

/** What a field's offset counts from. */
export type Header = 'link' | 'link type' | 'link payload' | 'network' | 'network without SNAP' | 'IPv4 payload' | 'IPv6 payload'

/** Loads a field into A. */
export function loadField(layers: Layers, header: Header, offset: number, size: LoadSize): FlowStatement[] {
  if (header === 'IPv4 payload') return [...loadXIp4HeaderLength(layers), loadIndirect(layers.linkPayload.constant + layers.network + offset, size)]
  const start = startOf(layers, header)
  return start.register === undefined
    ? [loadAbsolute(start.constant + offset, size)]
    : [loadXMemory(start.register), loadIndirect(start.constant + offset, size)]
}

export function startOf(layers: Layers, header: Exclude<Header, 'IPv4 payload'>): Offset {
  const behindLink = (bytes: number): Offset => ({ ...layers.linkPayload, constant: layers.linkPayload.constant + bytes })
  switch (header) {
    case 'link':
      return layers.linkHeader
    case 'link type':
      // Only asked for where the link type has such a field.
      return layers.linkTypeField as Offset
    case 'link payload':
      return layers.linkPayload
    case 'network':
      return behindLink(layers.network)
    case 'network without SNAP':
      return behindLink(layers.networkWithoutSnap)
    case 'IPv6 payload':
      return behindLink(layers.network + IP6_HEADER_BYTES)
  }
}

/** X = the length of the IPv4 header, and the variable part of the offset where it begins. */
export function loadXIp4HeaderLength(layers: Layers): FlowStatement[] {
  const { constant, register } = startOf(layers, 'network')
  if (register === undefined) return [loadXHeaderLength(constant)]
  return [loadXMemory(register), loadIndirect(constant, 1), compute(BPF_AND, 0xf), compute(BPF_LSH, 2), computeX(BPF_ADD), xFromA()]
}

/** Comparisons of a field of the packet with a number. */
export function equal(layers: Layers, header: Header, offset: number, size: LoadSize, value: number, mask = 0xffff_ffff): Condition {
  const load = loadField(layers, header, offset, size)
  return test(mask === 0xffff_ffff ? load : [...load, compute(BPF_AND, mask)], BPF_JEQ, value)
}

export function above(layers: Layers, header: Header, offset: number, size: LoadSize, value: number): Condition {
  return test(loadField(layers, header, offset, size), BPF_JGT, value)
}

export function atLeast(layers: Layers, header: Header, offset: number, size: LoadSize, value: number): Condition {
  return test(loadField(layers, header, offset, size), BPF_JGE, value)
}

export function anyBit(layers: Layers, header: Header, offset: number, size: LoadSize, bits: number): Condition {
  return test(loadField(layers, header, offset, size), BPF_JSET, bits)
}

/** The bytes of `value` at `offset`: the last four first, as gen_bcmp() has it. */
export function equalBytes(layers: Layers, header: Header, offset: number, value: Uint8Array): Condition[] {
  const view = new DataView(value.buffer, value.byteOffset, value.byteLength)
  const tests: Condition[] = []
  let left = value.length
  while (left >= 4) {
    left -= 4
    tests.push(equal(layers, header, offset + left, 4, view.getUint32(left)))
  }
  if (left >= 2) {
    left -= 2
    tests.push(equal(layers, header, offset + left, 2, view.getUint16(left)))
  }
  if (left > 0) tests.push(equal(layers, header, offset, 1, view.getUint8(0)))
  return tests
}
