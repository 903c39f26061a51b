/** Which fields of a packet RSS hashes: with the ports among them the flows between two hosts are spread, too. */
import type { InterfaceFacts } from '../facts.js'
import { commandFor } from './command.js'
import { part, remark, type TuningContext, type TuningPart, type TuningRemark, type TuningStep } from './plan.js'
import { type Setting, TUNED_FLOWS, type TunedFlow } from './setting.js'
import { step } from './step.js'

/** Both addresses and both ports. */
const WANTED = 'sdfn'
/** In the order of ethtool(8). */
const LETTERS = 'mvtsdfnel'

export interface WeakFlow {
  flow: TunedFlow
  /** As they are. */
  fields: string
  /** The same and all of WANTED. */
  setting: Setting
}

/**
 * Kinds of flows of which addresses or ports are not hashed, or that are thrown away. NB: ports alone is what an older i40e tells of an X722 that hashes both
 * (i40e_get_rss_hash_opts): it looks for the addresses where an X710 has them, and would set bits there that mean something else.
 */
export function weakFlows({ flowHash }: InterfaceFacts): WeakFlow[] {
  return TUNED_FLOWS.flatMap((flow) => {
    const fields = flowHash?.[flow]
    if (fields === undefined || isPortsAlone(fields)) return []
    if ([...WANTED].every((letter) => fields.includes(letter)) && !isDiscarded(fields)) return []
    const value = [...LETTERS].filter((letter) => fields.includes(letter) || WANTED.includes(letter)).join('')
    return [{ flow, fields, setting: { kind: 'flow-hash', flow, value } }]
  })
}

function isPortsAlone(fields: string): boolean {
  return fields === 'fn'
}

export function isDiscarded(fields: string): boolean {
  return fields.includes('r')
}

export function planFlowHash(context: TuningContext): TuningPart {
  const { facts, queues } = context
  const what = 'hash fields'
  if (facts.flowHash === undefined) return part(remark('unsupported', facts.name, what, 'the driver does not tell what of a packet it hashes'))
  if (queues < 2) return part(remark('left', facts.name, what, 'the only queue gets every flow'))
  const weak = weakFlows(facts)
  return part(
    ...TUNED_FLOWS.flatMap((flow): (TuningStep | TuningRemark)[] => {
      const fields = facts.flowHash?.[flow]
      const subject = `${facts.name} ${flow}`
      if (fields === undefined) return [remark('unsupported', subject, what, 'the driver does not know this kind of flow')]
      if (isPortsAlone(fields))
        return [remark('left', subject, what, 'fn: the ports spread, and an older i40e tells so of an X722 that hashes the addresses as well')]
      const found = weak.find((it) => it.flow === flow)
      return [found === undefined ? remark('in-place', subject, what, fields) : planFlow(context, found, subject, what)]
    }),
  )
}

function planFlow({ host, facts }: TuningContext, { fields, flow, setting }: WeakFlow, subject: string, what: string): TuningStep | TuningRemark {
  if (isDiscarded(fields))
    return { ...remark('by-hand', subject, what, 'the NIC throws them away, which somebody wanted'), command: commandFor(setting, facts) }
  // NB: virtio_net is told to hash nothing by RXH_DISCARD, and refuses an empty set (virtnet_set_hashflow).
  if (fields === '') {
    const why = 'none, so that all go to one queue; not every driver could be put back to that'
    return { ...remark('by-hand', subject, what, why), command: commandFor(setting, facts) }
  }
  return step(setting, what, `${gainText(fields)}; ${priceText(flow)}`, host, facts, subject)
}

function gainText(fields: string): string {
  if (/[fn]/.test(fields)) return 'flows that differ in nothing but what is left out all go to one queue'
  return 'without the ports what two hosts send each other all goes to one queue: a flood from one address, a tunnel'
}

/** Only the first fragment has ports. Some drivers say so in the kernel log (ixgbe, igb): "enabling UDP RSS: fragmented packets may arrive out of order". */
function priceText(flow: TunedFlow): string {
  const which = flow.startsWith('udp') ? 'datagrams that come in fragments' : 'the rare segments that come in fragments'
  return `the price: of ${which} only the first has ports, so the rest, or with some NICs all of it, may go to another queue than their flow, and out of order`
}
