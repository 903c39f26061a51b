/** Tags and headers that the rest of the expression stands behind: each makes its test, then moves the layers. Pure. */
import { BPF_ADD, BPF_AND, BPF_JEQ, BPF_LSH, SKF_AD_OFF, SKF_AD_VLAN_TAG, SKF_AD_VLAN_TAG_PRESENT } from '../../kernel/abi/filter.js'
import { all, any, type Condition, effect, not, test } from '../condition.js'
import type { FlowStatement } from '../flow-graph.js'
import { aFromX, compute, computeX, loadAbsolute, loadImmediate, loadIndirect, loadMemory, loadXImmediate, loadXMemory, store, xFromA } from '../statements.js'
import { ETHERTYPE, PPP_MPLS } from './ether-types.js'
import type { Generation } from './generation.js'
import { ETHERNET_HEADER_BYTES, equal, type Header, type Layers, startOf } from './layers.js'
import { linkDescription, linkProtocol } from './link-protocol.js'
import { portsOver4, portsOver6 } from './port.js'

const VLAN_TAG_BYTES = 4
const VLAN_ID_MASK = 0x0fff

/** 802.1Q, 802.1ad and what was used before it. */
export function vlan(generation: Generation, id: number | undefined): Condition {
  const { layers, options } = generation
  if (layers.mplsLabels > 0) generation.fail('no VLAN match after MPLS')
  if (layers.link !== 'EN10MB') generation.fail(`no VLAN support for ${linkDescription(layers)}`)
  if (id !== undefined && id > VLAN_ID_MASK) generation.fail(`VLAN tag ${id} greater than maximum ${VLAN_ID_MASK}`)
  const outermost = layers.vlanTags === 0 && layers.linkHeader.register === undefined && layers.linkHeader.constant === 0
  layers.vlanTags++
  if (outermost && options.vlan === 'ancillary') return outermostVlan(generation, id)
  const tagged = vlanInBytes(generation, id)
  layers.linkPayload = { ...layers.linkPayload, constant: layers.linkPayload.constant + VLAN_TAG_BYTES }
  if (layers.linkTypeField !== undefined) layers.linkTypeField = { ...layers.linkTypeField, constant: layers.linkTypeField.constant + VLAN_TAG_BYTES }
  return tagged
}

function vlanInBytes(generation: Generation, id: number | undefined): Condition {
  const types = [ETHERTYPE.vlan, ETHERTYPE.serviceVlan, ETHERTYPE.oldServiceVlan]
  const tagged = any(...types.map((type) => linkProtocol(generation, type)))
  return id === undefined ? tagged : all(tagged, equal(generation.layers, 'network', 0, 2, id, VLAN_ID_MASK))
}

/**
 * In a live capture Linux has taken the outermost tag out of the bytes, as a rule. Whether the rest is further back is only known at
 * run time, so a register holds by how much. NB: where this test fails for want of a tag, what follows an `or` is looked for behind
 * a tag nevertheless, as it is with the tag in the bytes.
 */
function outermostVlan(generation: Generation, id: number | undefined): Condition {
  const { layers } = generation
  const present = test([loadAbsolute(SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT, 1)], BPF_JEQ, 1)
  const control = [loadAbsolute(SKF_AD_OFF + SKF_AD_VLAN_TAG, 1), compute(BPF_AND, VLAN_ID_MASK)]
  const inBytes = vlanInBytes(generation, id)
  const register = generation.keepRegister()
  layers.linkPayload = { ...layers.linkPayload, register }
  if (layers.linkTypeField !== undefined) layers.linkTypeField = { ...layers.linkTypeField, register }
  const behindTag = effect([loadImmediate(VLAN_TAG_BYTES), store(register)])
  if (id === undefined) return any(present, all(behindTag, inBytes))
  return any(all(present, test(control, BPF_JEQ, id)), all(not(present), behindTag, inBytes))
}

const MPLS_LABEL_MAX = 0xfffff

export function mpls(generation: Generation, label: number | undefined): Condition {
  const { layers } = generation
  const labelled = layers.mplsLabels > 0 ? equal(layers, 'network', -2, 1, 0, 0x01) : firstMplsLabel(generation)
  if (label !== undefined && label > MPLS_LABEL_MAX) generation.fail(`MPLS label ${label} greater than maximum ${MPLS_LABEL_MAX}`)
  const matches = label === undefined ? labelled : all(labelled, equal(layers, 'network', 0, 4, label * 0x1000, 0xffff_f000))
  layers.network += 4
  layers.mplsLabels++
  return matches
}

function firstMplsLabel(generation: Generation): Condition {
  const { layers } = generation
  if (layers.link === 'EN10MB') return linkProtocol(generation, ETHERTYPE.mpls)
  if (layers.link === 'PPP') return linkProtocol(generation, PPP_MPLS)
  return generation.fail(`no MPLS support for ${linkDescription(layers)}`)
}

const PPPOE_SESSION_MAX = 0xffff
const PPPOE_HEADER_BYTES = 6
const PPP_TYPE_BYTES = 2

export function pppoeSession(generation: Generation, session: number | undefined): Condition {
  const { layers } = generation
  const isSession = linkProtocol(generation, ETHERTYPE.pppoes)
  if (session !== undefined && session > PPPOE_SESSION_MAX) generation.fail(`PPPoE session number ${session} greater than maximum ${PPPOE_SESSION_MAX}`)
  const matches = session === undefined ? isSession : all(isSession, equal(layers, 'network', 0, 4, session, 0xffff))
  const { constant, register } = startOf(layers, 'network')
  const start = constant + PPPOE_HEADER_BYTES
  layers.link = 'PPP'
  layers.linkHeader = { constant: start, register }
  layers.linkTypeField = { constant: start, register }
  layers.linkPayload = { constant: start + PPP_TYPE_BYTES, register }
  layers.network = 0
  layers.networkWithoutSnap = 0
  layers.tunneled = false
  return matches
}

const VNI_MAX = 0xffffff
const UDP_HEADER_BYTES = 8
const GENEVE_PORT = 6081
const VXLAN_PORT = 4789
const VXLAN_HEADER_BYTES = 8

/** Over IPv4 or IPv6, to `port`, with `flags` in the first byte behind the UDP header. Leaves X at the length of the IP header and what varies before it. */
function overUdp(generation: Generation, port: number, flags: { value: number; mask: number }, vni: number | undefined): Condition {
  const { layers } = generation
  const udp = { first: port, last: port, what: 'ports' } as const
  const header = (ip: Header): Condition[] => [
    equal(layers, ip, UDP_HEADER_BYTES, 1, flags.value, flags.mask),
    ...(vni === undefined ? [] : [equal(layers, ip, UDP_HEADER_BYTES + 4, 4, vni * 0x100, 0xffff_ff00)]),
  ]
  return any(
    all(portsOver4(generation, udp, 'udp', 'dst'), ...header('IPv4 payload')),
    all(portsOver6(generation, udp, 'udp', 'dst'), effect(loadXIp6HeaderLength(layers)), ...header('IPv6 payload')),
  )
}

function loadXIp6HeaderLength(layers: Layers): FlowStatement[] {
  const { register } = layers.linkPayload
  return register === undefined ? [loadXImmediate(40)] : [loadXMemory(register), loadImmediate(40), computeX(BPF_ADD), xFromA()]
}

/** RFC 8926. What is inside may be an Ethernet frame, or IP at once. */
export function geneve(generation: Generation, vni: number | undefined): Condition {
  const { layers } = generation
  const matches = overUdp(generation, GENEVE_PORT, { value: 0, mask: 0xc0 }, vni)
  if (vni !== undefined && vni > VNI_MAX) generation.fail(`Geneve VNI ${vni} greater than maximum ${VNI_MAX}`)
  const header = startOf(layers, 'network').constant + UDP_HEADER_BYTES
  const [typeField, linkHeader, payload] = [generation.keepRegister(), generation.keepRegister(), generation.keepRegister()]

  const measure = [
    aFromX(),
    compute(BPF_ADD, header),
    xFromA(),
    compute(BPF_ADD, 2),
    store(typeField),
    loadIndirect(0, 1),
    compute(BPF_AND, 0x3f),
    compute(BPF_LSH, 2),
    compute(BPF_ADD, 8),
    computeX(BPF_ADD),
    store(linkHeader),
    loadIndirect(2, 2),
  ]
  const holdsEthernet = test(measure, BPF_JEQ, ETHERTYPE.transparentBridging)
  const ethernetInside = [loadMemory(linkHeader), compute(BPF_ADD, 12), store(typeField), compute(BPF_ADD, 2), store(payload)]

  layers.link = 'EN10MB'
  layers.linkHeader = { constant: 0, register: linkHeader }
  layers.linkTypeField = { constant: 0, register: typeField }
  layers.linkPayload = { constant: 0, register: payload }
  layers.network = 0
  layers.tunneled = true
  return all(matches, any(all(holdsEthernet, effect(ethernetInside)), effect([loadMemory(linkHeader), store(payload)])))
}

/** RFC 7348: the I flag must be set, and what else is in its byte is to be ignored. libpcap 1.10 has no such primitive; later ones have. */
export function vxlan(generation: Generation, vni: number | undefined): Condition {
  const { layers } = generation
  const matches = overUdp(generation, VXLAN_PORT, { value: 0x08, mask: 0x08 }, vni)
  if (vni !== undefined && vni > VNI_MAX) generation.fail(`VXLAN VNI ${vni} greater than maximum ${VNI_MAX}`)
  const start = startOf(layers, 'network').constant + UDP_HEADER_BYTES + VXLAN_HEADER_BYTES
  const register = generation.keepRegister()
  layers.link = 'EN10MB'
  layers.linkHeader = { constant: start, register }
  layers.linkTypeField = { constant: start + 12, register }
  layers.linkPayload = { constant: start + ETHERNET_HEADER_BYTES, register }
  layers.network = 0
  layers.networkWithoutSnap = 3
  layers.tunneled = false
  return all(matches, effect([aFromX(), store(register)]))
}
