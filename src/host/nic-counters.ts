/**
 * What an interface lost before the kernel's stack, under the same names whatever its driver. Drivers agree on little: `ethtool -S`
 * has a name of its own for nearly everything, and struct rtnl_link_stats64 is filled in differently. The rules below are data, from
 * the drivers' sources; a driver without rules is read by rtnl_link_stats64 alone. Pure.
 */
import type { InterfaceCounters } from './interfaces.js'

export const NIC_ROLES = ['received', 'missed', 'limited', 'errors', 'noBuffer', 'dropped', 'xdpDrop', 'xdpTx', 'xdpRedirect'] as const
/**
 * `received`: packets that the driver took in, those that an XDP program then took included. `missed`: the host gave the NIC no
 * descriptor in time, or its own buffer was full; not in `received`. `limited`: queued or dropped by a cloud's allowance, the driver
 * does not tell which. `errors`: damaged on the wire; not in `received`. `noBuffer`: allocations that failed; attempts, not packets.
 * `dropped`: taken in and then lost by the driver. The rest are verdicts of an XDP program on packets of `received`.
 */
export type NicRole = (typeof NIC_ROLES)[number]

export interface NicCounter {
  role: NicRole
  count: number
  /** `ethtool -S eth0: rx_queue_0_drops + rx_queue_1_drops`, `rtnl_link_stats64 of eth0: rx_packets`. */
  source: string
}

export interface NicCounters {
  /** By driver's rules, in the order of NIC_ROLES. A role that nothing tells of has no entry. */
  counters: NicCounter[]
  /** Of rtnl_link_stats64's rx_dropped, what the stack counted and not the driver: full backlogs, and what no protocol wanted. */
  droppedByStack: number
  /** Whether packets that find a CPU's backlog full are in `received`: not where the driver counts only what the backlog took. */
  receivedHasBacklogDrops: boolean
}

/** A name of `ethtool -S` without the blanks around it, or a field of rtnl_link_stats64. */
type Statistic = RegExp | { link: keyof InterfaceCounters }
/** The first of these that the driver has, all counters of that name added up. */
type Term = readonly Statistic[]

interface DriverRules extends Partial<Record<NicRole, readonly Term[]>> {
  /** Taken off `dropped` again, which has them as well. */
  droppedHas?: readonly Term[]
  /** What the driver adds to rx_dropped of rtnl_link_stats64. */
  linkDropped?: readonly Term[]
}

const link = (field: keyof InterfaceCounters): Statistic => ({ link: field })
const LINK_MISSED: readonly Term[] = [[link('rxMissedErrors')], [link('rxFifoErrors')]]

const VETH_DROPS: readonly Term[] = [[/^rx_queue_\d+_drops$/]]
const VIRTIO_DROPS: readonly Term[] = [[/^rx_queue_\d+_drops$/, /^rx\d+_drops$/]]
const VIRTIO_XDP_DROPS: readonly Term[] = [[/^rx_queue_\d+_xdp_drops$/, /^rx\d+_xdp_drops$/]]
const INTEL_ALLOCATIONS: readonly Term[] = [[/^alloc_rx_buff_failed$/], [/^alloc_rx_page_failed$/]]

// rqdpc, the drops of a queue without descriptors, is in rx_fifo_errors as well (igb_update_stats).
const INTEL_GIGABIT: DriverRules = {
  missed: [[link('rxMissedErrors')], [/^rx_queue_\d+_drops$/, link('rxFifoErrors')]],
  noBuffer: [[/^rx_queue_\d+_alloc_failed$/]],
}
const E1000: DriverRules = { missed: [[link('rxMissedErrors')]], noBuffer: [[/^alloc_rx_buff_failed$/], [/^rx_dma_failed$/]] }

const RULES: Readonly<Record<string, DriverRules>> = {
  // mpc is rx_missed_errors; a queue with drop_en loses to qprdc instead (ixgbe_update_stats).
  ixgbe: { missed: [[/^rx_missed_errors$/, link('rxMissedErrors')], [/^rx_no_dma_resources$/]], noBuffer: INTEL_ALLOCATIONS },
  // rx_discards of the port, named in three ways over the years.
  i40e: {
    missed: [[/^port\.rx_discards$/, /^port\.rx_dropped$/, /^rx_dropped$/]],
    noBuffer: [[/^rx_alloc_fail$/], [/^rx_pg_alloc_fail$/]],
  },
  ice: { missed: [[/^rx_dropped\.nic$/, /^rx_dropped$/]], noBuffer: [[/^rx_alloc_fail$/], [/^rx_pg_alloc_fail$/]] },
  igb: INTEL_GIGABIT,
  igc: INTEL_GIGABIT,
  e1000: E1000,
  e1000e: E1000,
  mlx5_core: {
    // mlx5e_handle_rx_cqe() counts a packet once it has an skb: what XDP took is not in rx_packets.
    received: [[link('rxPackets')], [/^rx_xdp_drop$/], [/^rx_xdp_redirect$/], [/^rx_xdp_tx_xmit$/], [/^rx_xsk_xdp_drop$/], [/^rx_xsk_xdp_redirect$/]],
    missed: [[/^rx_out_of_buffer$/, link('rxMissedErrors')], [/^rx_discards_phy$/]],
    noBuffer: [[/^rx_buff_alloc_err$/], [/^rx_xsk_buff_alloc_err$/]],
    xdpDrop: [[/^rx_xdp_drop$/], [/^rx_xsk_xdp_drop$/]],
    xdpTx: [[/^rx_xdp_tx_xmit$/]],
    xdpRedirect: [[/^rx_xdp_redirect$/], [/^rx_xsk_xdp_redirect$/]],
  },
  ena: {
    missed: [[link('rxMissedErrors')], [/^rx_overruns$/, link('rxOverErrors')], [/^rx_drops$/]],
    limited: [[/^bw_in_allowance_exceeded$/], [/^pps_allowance_exceeded$/], [/^conntrack_allowance_exceeded$/]],
    noBuffer: [[/^queue_\d+_rx_page_alloc_fail$/], [/^queue_\d+_rx_skb_alloc_fail$/]],
    xdpDrop: [[/^queue_\d+_rx_xdp_drop$/], [/^queue_\d+_rx_xdp_aborted$/]],
    xdpTx: [[/^queue_\d+_rx_xdp_tx$/]],
    xdpRedirect: [[/^queue_\d+_rx_xdp_redirect$/]],
  },
  virtio_net: {
    // Of the device, since Linux 6.11; its overruns are among them.
    missed: [[/^rx\d+_hw_drops$/]],
    // Both labels err_xdp and err of receive_mergeable() count as drops.
    dropped: VIRTIO_DROPS,
    droppedHas: VIRTIO_XDP_DROPS,
    linkDropped: VIRTIO_DROPS,
    xdpDrop: VIRTIO_XDP_DROPS,
    xdpTx: [[/^rx_queue_\d+_xdp_tx$/, /^rx\d+_xdp_tx$/]],
    xdpRedirect: [[/^rx_queue_\d+_xdp_redirects$/, /^rx\d+_xdp_redirects$/]],
  },
  bnxt_en: {
    missed: [[/^rx_total_ring_discards$/, /^rx_total_discard_pkts$/, /^\[\d+\]: rx_discards$/, link('rxMissedErrors')]],
    noBuffer: [[/^rx_total_oom_discards$/, /^\[\d+\]: rx_oom_discards$/]],
  },
  // veth_xdp_rcv(): rx_drops are allocations and redirects that failed; XDP_ABORTED is an xdp_drop.
  veth: {
    dropped: VETH_DROPS,
    linkDropped: VETH_DROPS,
    xdpDrop: [[/^rx_queue_\d+_xdp_drops$/]],
    xdpTx: [[/^rx_queue_\d+_xdp_tx$/]],
    xdpRedirect: [[/^rx_queue_\d+_xdp_redirect$/]],
  },
  vmxnet3: {
    missed: [[/^pkts rx OOB$/]],
    noBuffer: [[/^rx buf alloc fail$/]],
    dropped: [[/^drv dropped rx total$/]],
    linkDropped: [[/^drv dropped rx total$/]],
  },
}
const UNKNOWN_DRIVER: DriverRules = {}
const DEFAULTS: DriverRules = { received: [[link('rxPackets')]], missed: LINK_MISSED, errors: [[link('rxErrors')]] }
const LOOPBACK = 'lo'
const VETH_POLLED = /^rx_queue_\d+_xdp_packets$/

/**
 * Names what the counters say. `driver` is as ETHTOOL_GDRVINFO has it; `statistics` are those of `ethtool -S` by name (none where the
 * driver has none), of names that stand several times the sum; both they and `counters` may be differences of two readings.
 */
export function nicCounters(
  interfaceName: string,
  driver: string | undefined,
  statistics: ReadonlyMap<string, number>,
  counters: InterfaceCounters,
): NicCounters {
  const rules = RULES[driver ?? ''] ?? UNKNOWN_DRIVER
  const read = (terms: readonly Term[]) => readTerms(interfaceName, terms, statistics, counters)
  const off = (terms: readonly Term[] | undefined) => (terms === undefined ? 0 : (read(terms)?.count ?? 0))
  const found = NIC_ROLES.flatMap((role) => {
    const it = read(rules[role] ?? DEFAULTS[role] ?? [])
    if (it === undefined) return []
    return role === 'dropped' ? { role, count: Math.max(0, it.count - off(rules.droppedHas)), source: it.source } : { role, ...it }
  })
  return {
    counters: found,
    droppedByStack: Math.max(0, counters.rxDropped - off(rules.linkDropped)),
    receivedHasBacklogDrops: countsBeforeBacklog(interfaceName, driver, statistics),
  }
}

/**
 * Loopback, and a veth without NAPI, hand a packet to a backlog and count it when that took it (loopback_xmit, veth_xmit). A veth with
 * NAPI (GRO or XDP) and every NIC count it before.
 */
function countsBeforeBacklog(interfaceName: string, driver: string | undefined, statistics: ReadonlyMap<string, number>): boolean {
  if (interfaceName === LOOPBACK) return false
  if (driver !== 'veth') return true
  return [...statistics].some(([name, count]) => VETH_POLLED.test(name) && count > 0)
}

function readTerms(
  interfaceName: string,
  terms: readonly Term[],
  statistics: ReadonlyMap<string, number>,
  counters: InterfaceCounters,
): { count: number; source: string } | undefined {
  let count = 0
  const ethtool: string[] = []
  const fields: string[] = []
  for (const term of terms) {
    for (const statistic of term) {
      if (!(statistic instanceof RegExp)) {
        count += counters[statistic.link]
        fields.push(kernelName(statistic.link))
        break
      }
      const matching = [...statistics].filter(([name]) => statistic.test(name.trim()))
      if (matching.length === 0) continue
      for (const [name, value] of matching) {
        count += value
        ethtool.push(name.trim())
      }
      break
    }
  }
  if (ethtool.length === 0 && fields.length === 0) return undefined
  const sources = [
    ...(ethtool.length === 0 ? [] : [`ethtool -S ${interfaceName}: ${namesText(ethtool)}`]),
    ...(fields.length === 0 ? [] : [`rtnl_link_stats64 of ${interfaceName}: ${fields.join(' + ')}`]),
  ]
  return { count, source: sources.join(' + ') }
}

/** Of many queues the first and the last. */
function namesText(names: readonly string[]): string {
  return names.length <= 3 ? names.join(' + ') : `${names[0]} to ${names.at(-1)}`
}

/** rxMissedErrors is rx_missed_errors. */
function kernelName(field: string): string {
  return field.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
}

/** Counter by counter, of names that both have. */
export function statisticsDifference(before: ReadonlyMap<string, number>, after: ReadonlyMap<string, number>): Map<string, number> {
  const difference = new Map<string, number>()
  for (const [name, now] of after) {
    const then = before.get(name)
    // A queue that was made anew, as when a program is attached or taken off, begins again.
    if (then !== undefined) difference.set(name, now >= then ? now - then : now)
  }
  return difference
}

export function countersDifference(before: InterfaceCounters, after: InterfaceCounters): InterfaceCounters {
  return Object.fromEntries(
    Object.entries(after).map(([name, now]) => [name, Math.max(0, now - before[name as keyof InterfaceCounters])]),
  ) as unknown as InterfaceCounters
}
