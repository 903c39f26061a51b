/**
 * What an interface says of packets that this host sends. A packet socket sees one when it is given to the driver (dev_queue_xmit_nit in
 * xmit_one), after any qdisc: what a qdisc drops no socket has seen, and no counter of the interface has. What the driver then refuses
 * the sockets have seen. Pure.
 */
import type { InterfaceCounters } from '../host/interfaces.js'

/**
 * Whether the sockets have seen the packets of tx_dropped, and tx_packets has none of them (`refused`); or tx_packets has them, for it
 * is the device that drops what the driver took (`sent`); or the driver is not known (`unsure`).
 */
export type DroppedAfter = 'refused' | 'sent' | 'unsure'

export interface SentDrops {
  count: number
  source: string
  after: DroppedAfter
}

interface SentRules {
  after: DroppedAfter
  /** Of `ethtool -S`: frames of XDP programs in tx_dropped, which no socket sees. */
  unseen?: RegExp
}

const REFUSED: SentRules = { after: 'refused' }
const SENT: SentRules = { after: 'sent' }

const RULES: Readonly<Record<string, SentRules>> = {
  // Full, as of one that nobody reads (tun_net_xmit).
  tun: REFUSED,
  // veth_xmit; veth_xdp_xmit and veth_xdp_flush_bq count there, too (veth_get_stats64).
  veth: { after: 'refused', unseen: /^(rx_queue_\d+_xdp_tx_errors|tx_queue_\d+_xdp_xmit_errors)$/ },
  // start_xmit
  virtio_net: REFUSED,
  // What the interface below did not take: vlan_dev_hard_start_xmit, macvlan_start_xmit.
  '802.1Q VLAN Support': REFUSED,
  macvlan: REFUSED,
  // tx_discards of the device: i40e_update_vsi_stats, ice_update_vsi_stats.
  i40e: SENT,
  ice: SENT,
  // tx_drops of the keep-alive.
  ena: SENT,
  // mlx5e_sq_xmit_prepare() counts a packet before anything can go wrong.
  mlx5_core: SENT,
}
const UNKNOWN: SentRules = { after: 'unsure' }

/** `statistics` are those of `ethtool -S` by name; both they and `counters` may be differences of two readings. */
export function sentDrops(
  interfaceName: string,
  driver: string | undefined,
  statistics: ReadonlyMap<string, number>,
  counters: Pick<InterfaceCounters, 'txDropped'>,
): SentDrops {
  const { after, unseen } = RULES[driver ?? ''] ?? UNKNOWN
  const source = `rtnl_link_stats64 of ${interfaceName}: tx_dropped`
  let off = 0
  if (unseen !== undefined) for (const [name, count] of statistics) if (unseen.test(name.trim())) off += count
  const count = Math.max(0, counters.txDropped - off)
  return { count, source: off === 0 ? source : `${source}, less what XDP programs sent`, after }
}

/** Drivers that count a packet as sent when somebody takes it out of a queue of so many packets as the interface's own has (tun_net_init). */
export function countsWhenTaken(driver: string | undefined): boolean {
  return driver === 'tun'
}
