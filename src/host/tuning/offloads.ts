/** Offloads that make of several packets one, or take bytes out of a frame: what a capture is to see is the wire. */
import type { InterfaceFacts } from '../facts.js'
import { part, remark, type TuningContext, type TuningPart, type TuningRemark, type TuningStep } from './plan.js'
import { isVeth, step } from './step.js'

const OFFLOADS: readonly { name: string; what: string; why: string }[] = [
  {
    name: 'rx-gro',
    what: 'GRO',
    why: 'it merges the segments of a TCP stream into one packet of up to 64 KiB: counts, sizes and times are no longer those of the wire',
  },
  { name: 'rx-lro', what: 'LRO', why: 'the NIC merges TCP segments and throws their headers away; native XDP is refused with it' },
  { name: 'rx-gro-hw', what: 'hardware GRO', why: 'the NIC merges TCP segments into one packet' },
  {
    name: 'rx-vlan-hw-parse',
    what: 'VLAN stripping',
    why: 'the NIC takes the 802.1Q tag out of the frame: XDP does not see it at all, packet sockets get it beside the packet',
  },
  { name: 'rx-vlan-stag-hw-parse', what: '802.1ad stripping', why: 'as with 802.1Q, for the outer tag' },
]

export function planOffloads(context: TuningContext): TuningPart {
  return part(...OFFLOADS.map((offload) => planOffload(context, offload)).filter((it) => it !== undefined))
}

function planOffload({ host, facts }: TuningContext, { name, what, why }: (typeof OFFLOADS)[number]): TuningStep | TuningRemark | undefined {
  const feature = facts.features[name]
  // An older kernel has no such feature.
  if (feature === undefined) return undefined
  if (name === 'rx-gro' && feedsXdpByGro(facts)) return remark('left', facts.name, what, `${feature.on ? 'on' : 'off'}: ${GRO_OF_VETH}`)
  if (!feature.on && !feature.requested) return remark('in-place', facts.name, what, 'off')
  if (feature.fixed) return remark('unsupported', facts.name, what, 'the driver does not let it be switched off')
  return step({ kind: 'feature', name, value: false }, what, why, host, facts)
}

/**
 * NB: a veth polls its receive queues (NAPI) only with GRO or an XDP program of its own (veth_set_features, veth_enable_xdp). Without either it
 * refuses, unseen, every frame that the other end's XDP redirects to it.
 */
const GRO_OF_VETH =
  'a veth takes frames that XDP redirects to it only with GRO or an XDP program of its own, and without both loses them uncounted; ' +
  'what is sent into it as TCP in the ordinary way may be merged'

export function feedsXdpByGro(facts: InterfaceFacts): boolean {
  return isVeth(facts)
}
