/** Interfaces whose packets come by others: what the kernel does with a packet before it is theirs is done by settings of those below. Pure. */
import type { InterfaceFacts, LowerFacts } from './facts.js'

/**
 * Kinds that take packets from a device below in __netif_receive_skb_core, by its rx_handler or as a VLAN: GRO (napi_gro_receive) and RPS
 * (netif_receive_skb_internal) are over by then. NB: a tunnel (vxlan, macsec) is none of them, what it has unwrapped begins anew (gro_cells_receive).
 */
const STACKED: ReadonlySet<string> = new Set(['bond', 'bridge', 'ipvlan', 'ipvtap', 'macvlan', 'macvtap', 'team', 'vlan'])
/** Of them those that have members. */
export const MASTERS: ReadonlySet<string> = new Set(['bond', 'bridge', 'team'])

export function isStacked({ kind }: Pick<InterfaceFacts, 'kind'>): boolean {
  return kind !== undefined && STACKED.has(kind)
}

/** `va6`, `va6 in network namespace blue`. */
export function lowerText({ name, netns }: LowerFacts, here: string | undefined): string {
  return netns === here ? name : `${name} in network namespace ${netns}`
}

/** Why none of those below is known. */
export function unknownLowerText({ kind, unread }: InterfaceFacts): string {
  const why = unread.find(({ what }) => what === LOWER_DEVICES)
  if (why !== undefined) return `its packets come by another interface, and which is not to be read: ${why.source}: ${why.reason}`
  return MASTERS.has(kind ?? '') ? 'it has no members: nothing comes' : 'its packets come by another interface, which is not to be seen from here'
}

export const LOWER_DEVICES = 'interfaces below'
