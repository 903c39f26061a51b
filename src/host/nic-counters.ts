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
  /** Whether what the driver adds to rx_dropped is known, and taken off. Otherwise `droppedByStack` is the most that it can be. */
  stackDropsKnown: boolean
  /** Whether packets that find a CPU's backlog full are in `received`: not where the driver counts only what the backlog took. */
  receivedHasBacklogDrops: boolean
  /** Roles that a redirect counts in that its target refused, as an AF_XDP socket without a free chunk does: in the first that has any. */
  failedRedirects: readonly NicRole[]
  /** Such a redirect is in `xdpRedirect` as well. */
  redirectsHaveFailed: boolean
  /** How old what is read may be where the device writes its counters to memory from time to time. */
  refreshMs: number | undefined
}

/** A name of `ethtool -S` without the blanks around it, or of these fields of rtnl_link_stats64 the first that is not 0. */
type Statistic = RegExp | { link: readonly (keyof InterfaceCounters)[] }
/** The first of these that the driver has, all counters of that name added up. */
type Term = readonly Statistic[]

interface DriverRules extends Partial<Record<NicRole, readonly Term[]>> {
  /** Taken off `dropped` again, which has them as well. */
  droppedHas?: readonly Term[]
  /** What the driver adds to rx_dropped of rtnl_link_stats64; empty: nothing. */
  linkDropped?: readonly Term[]
  failedRedirects?: readonly NicRole[]
  redirectsHaveFailed?: boolean
  /** Those that begin again at 2^32. */
  words?: readonly Statistic[]
}

const link = (...fields: (keyof InterfaceCounters)[]): Statistic => ({ link: fields })
// Old drivers have one number in both (mlx4 in three: mlx4_en_DUMP_ETH_STATS).
const LINK_MISSED: readonly Term[] = [[link('rxMissedErrors', 'rxFifoErrors')]]

const VETH_DROPS: readonly Term[] = [[/^rx_queue_\d+_drops$/]]
const VIRTIO_DROPS: readonly Term[] = [[/^rx_queue_\d+_drops$/, /^rx\d+_drops$/]]
const VIRTIO_XDP_DROPS: readonly Term[] = [[/^rx_queue_\d+_xdp_drops$/, /^rx\d+_xdp_drops$/]]
const INTEL_ALLOCATIONS: readonly Term[] = [[/^alloc_rx_buff_failed$/], [/^alloc_rx_page_failed$/]]
const I40E_PORT_DISCARDS: Term = [/^port\.rx_discards$/, /^port\.rx_dropped$/]
const I40E_VSI_DISCARDS: Term = [/^rx_missed_errors$/, /^rx_dropped$/]
const ENA_XDP_DROPS: Term = [/^queue_\d+_rx_xdp_drop$/]
// Of packets that the ring has counted (bnxt_rx_pkt, bnxt_force_rx_discard).
const BNXT_DROPS: readonly Term[] = [
  [/^rx_total_oom_discards$/, /^\[\d+\]: rx_oom_discards$/],
  [/^rx_total_netpoll_discards$/, /^\[\d+\]: rx_netpoll_discards$/],
]

// rqdpc, the drops of a queue without descriptors, is in rx_fifo_errors as well (igb_update_stats).
const INTEL_GIGABIT: DriverRules = {
  missed: [[link('rxMissedErrors')], [/^rx_queue_\d+_drops$/, link('rxFifoErrors')]],
  noBuffer: [[/^rx_queue_\d+_alloc_failed$/]],
  linkDropped: [],
}
const E1000: DriverRules = { missed: [[link('rxMissedErrors')]], noBuffer: [[/^alloc_rx_buff_failed$/], [/^rx_dma_failed$/]], linkDropped: [] }

const RULES: Readonly<Record<string, DriverRules>> = {
  // mpc is rx_missed_errors; a queue with drop_en loses to qprdc instead (ixgbe_update_stats).
  ixgbe: {
    missed: [[/^rx_missed_errors$/, link('rxMissedErrors')], [/^rx_no_dma_resources$/]],
    noBuffer: INTEL_ALLOCATIONS,
    linkDropped: [],
  },
  // The packet buffer of the port (GLPRT_RDPC) and the descriptors of the host (GLV_RDPC) are two places. Newer kernels have the latter as
  // rx_missed_errors, and in rx_dropped another loss (i40e_update_vsi_stats: rx_discards_other).
  i40e: {
    missed: [I40E_PORT_DISCARDS, I40E_VSI_DISCARDS],
    noBuffer: [[/^rx_alloc_fail$/], [/^rx_pg_alloc_fail$/]],
    linkDropped: [[/^rx_dropped$/]],
    // i40e_stat_update32()
    words: [...I40E_PORT_DISCARDS, ...I40E_VSI_DISCARDS, link('rxDropped'), link('rxMissedErrors')],
  },
  ice: {
    missed: [[/^rx_dropped\.nic$/], [/^rx_dropped$/]],
    noBuffer: [[/^rx_alloc_fail$/], [/^rx_pg_alloc_fail$/]],
    linkDropped: [[/^rx_dropped$/]],
  },
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
    // Of newer kernels (mlx5e_get_stats: if_in_discards); of others too little is left to the stack, not too much.
    linkDropped: [[/^rx_discards_phy$/]],
    // xdp_abort of mlx5e_xdp_handle()
    failedRedirects: ['xdpDrop'],
    // out_of_buffer of query_q_counter_out, and rx_missed_errors is the same
    words: [/^rx_out_of_buffer$/, link('rxMissedErrors')],
  },
  mlx4_en: {
    missed: [[link('rxMissedErrors')]],
    linkDropped: [[/^rx_dropped$/]],
    words: [/^rx_dropped$/, link('rxMissedErrors'), link('rxDropped')],
  },
  ena: {
    // rx_drops comes with the keep-alive. The kernel's own driver shows it as rx_dropped only.
    missed: [[link('rxMissedErrors')], [/^rx_overruns$/, link('rxOverErrors')], [/^rx_drops$/, link('rxDropped')]],
    limited: [[/^bw_in_allowance_exceeded$/], [/^pps_allowance_exceeded$/], [/^conntrack_allowance_exceeded$/]],
    noBuffer: [[/^queue_\d+_rx_page_alloc_fail$/], [/^queue_\d+_rx_skb_alloc_fail$/]],
    linkDropped: [[/^rx_drops$/, link('rxDropped')], ENA_XDP_DROPS],
    xdpDrop: [ENA_XDP_DROPS, [/^queue_\d+_rx_xdp_aborted$/]],
    xdpTx: [[/^queue_\d+_rx_xdp_tx$/]],
    xdpRedirect: [[/^queue_\d+_rx_xdp_redirect$/]],
    // xdp_aborted of ena_xdp_execute()
    failedRedirects: ['xdpDrop'],
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
    // Not counted as xdp_drops by virtnet_receive_xsk_small(), in zero-copy mode.
    failedRedirects: ['xdpDrop', 'dropped'],
    // virtnet_xdp_handler() counts it, then tries.
    redirectsHaveFailed: true,
  },
  bnxt_en: {
    missed: [[/^rx_total_ring_discards$/, /^rx_total_discard_pkts$/, /^\[\d+\]: rx_discards$/, link('rxMissedErrors')]],
    dropped: BNXT_DROPS,
    linkDropped: BNXT_DROPS,
  },
  // veth_xdp_rcv(): rx_drops are allocations and redirects that failed; XDP_ABORTED is an xdp_drop.
  veth: {
    dropped: VETH_DROPS,
    linkDropped: VETH_DROPS,
    xdpDrop: [[/^rx_queue_\d+_xdp_drops$/]],
    xdpTx: [[/^rx_queue_\d+_xdp_tx$/]],
    xdpRedirect: [[/^rx_queue_\d+_xdp_redirect$/]],
    failedRedirects: ['dropped'],
  },
  vmxnet3: {
    missed: [[/^pkts rx OOB$/]],
    noBuffer: [[/^rx buf alloc fail$/]],
    dropped: [[/^drv dropped rx total$/]],
    linkDropped: [[/^drv dropped rx total$/]],
  },
}
const UNKNOWN_DRIVER: DriverRules = {}
// Loopback has no driver that would tell its name, and counts no drops of its own (loopback_xmit).
const LOOPBACK_RULES: DriverRules = { linkDropped: [] }
const DEFAULTS: DriverRules = { received: [[link('rxPackets')]], missed: LINK_MISSED, errors: [[link('rxErrors')]] }
const LOOPBACK = 'lo'
const VETH_POLLED = /^rx_queue_\d+_xdp_packets$/

/** Drivers whose counters a device, or a timer, writes to memory once in so many milliseconds: rx_packets among them, save with ena. */
const REFRESH_MS: Readonly<Record<string, number>> = {
  // HOSTCC_STAT_COAL_TICKS, tg3_periodic_fetch_stats
  tg3: 1000,
  // BNX2_HC_STATS_TICKS
  bnx2: 1000,
  // bnx2x_timer
  bnx2x: 1000,
  // BNXT_DEF_STATS_COAL_TICKS, bnxt_timer
  bnxt_en: 1000,
  // efx_nic.stats_period_ms
  sfc: 1000,
  // qede_periodic_task
  qede: 1000,
  // ena_keep_alive_wd
  ena: 1000,
}

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
  const rules = rulesOf(interfaceName, driver)
  const read = (terms: readonly Term[]) => readTerms(interfaceName, terms, statistics, counters)
  const off = (terms: readonly Term[] | undefined) => (terms === undefined ? 0 : (read(terms)?.count ?? 0))
  const found = NIC_ROLES.flatMap((role) => {
    const it = read(rules[role] ?? DEFAULTS[role] ?? [])
    if (it === undefined) return []
    return role === 'dropped' ? { role, count: Math.max(0, it.count - off(rules.droppedHas)), source: it.source } : { role, ...it }
  })
  const { linkDropped, failedRedirects = [], redirectsHaveFailed = false } = rules
  return {
    counters: found,
    droppedByStack: Math.max(0, counters.rxDropped - off(linkDropped)),
    stackDropsKnown: linkDropped !== undefined && (linkDropped.length === 0 || read(linkDropped) !== undefined),
    receivedHasBacklogDrops: countsBeforeBacklog(interfaceName, driver, statistics),
    failedRedirects,
    redirectsHaveFailed,
    refreshMs: REFRESH_MS[driver ?? ''],
  }
}

function rulesOf(interfaceName: string, driver: string | undefined): DriverRules {
  return interfaceName === LOOPBACK ? LOOPBACK_RULES : (RULES[driver ?? ''] ?? UNKNOWN_DRIVER)
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
        const field = statistic.link.find((name) => counters[name] !== 0) ?? (statistic.link[0] as keyof InterfaceCounters)
        count += counters[field]
        fields.push(kernelName(field))
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
export function statisticsDifference(driver: string | undefined, before: ReadonlyMap<string, number>, after: ReadonlyMap<string, number>): Map<string, number> {
  const words = RULES[driver ?? '']?.words ?? []
  const isWord = (name: string) => words.some((it) => it instanceof RegExp && it.test(name.trim()))
  const difference = new Map<string, number>()
  for (const [name, now] of after) {
    const then = before.get(name)
    // A queue that was made anew, as when a program is attached or taken off, begins again.
    if (then !== undefined) difference.set(name, now >= then ? now - then : ((isWord(name) ? wrapped(then, now) : undefined) ?? now))
  }
  return difference
}

export function countersDifference(driver: string | undefined, before: InterfaceCounters, after: InterfaceCounters): InterfaceCounters {
  const words = RULES[driver ?? '']?.words ?? []
  const isWord = (name: string) => words.some((it) => !(it instanceof RegExp) && it.link.some((field) => field === name))
  const differences = Object.entries(after).map(([name, now]): [string, number] => {
    const then = before[name as keyof InterfaceCounters]
    return [name, now >= then ? now - then : ((isWord(name) ? wrapped(then, now) : undefined) ?? 0)]
  })
  return Object.fromEntries(differences) as unknown as InterfaceCounters
}

/** Of a counter of 32 bits, or of a sum with one in it. Undefined for one that was set back: so much is not lost between two readings. */
function wrapped(then: number, now: number): number | undefined {
  const difference = (now - then) >>> 0
  return difference < 2 ** 31 ? difference : undefined
}
