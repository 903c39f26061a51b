/**
 * The ledger: where every packet of a capture went, from the wire to the handler, with what each number was read from. Pure: the
 * readings are made by ledger-book.ts.
 *
 * Of each interface: in = lost + left + delivered + residual. What was lost before an interface counted a packet as received, and what
 * is no packet at all, stands beside that equation.
 */
import type { CpuLoad } from '../host/cpu-load.js'
import type { UnreadFact } from '../host/facts.js'
import type { NicCounter, NicCounters, NicRole } from '../host/nic-counters.js'
import type { SoftnetCpu } from '../host/softnet.js'
import type { XdpMode } from '../kernel/netlink.js'
import type { Drops, WorkerCounters } from './api.js'
import { caveatsOf } from './ledger-caveats.js'
import type { SentDrops } from './ledger-sent.js'

/** The places of a packet's way, in order. Those of a worker are the names of `Drops`. */
export type LedgerPlace =
  | 'received'
  | 'sent'
  | 'sentDropped'
  | 'sentQueued'
  | 'nicMissed'
  | 'nicLimited'
  | 'nicErrors'
  | 'nicNoBuffer'
  | 'driver'
  | 'softnetDropped'
  | 'softnetSqueezed'
  | 'softnet'
  | 'xdpDrop'
  | 'xdpTx'
  | 'xdpRedirect'
  | 'xdpPassed'
  | 'xdpFiltered'
  | 'notMatched'
  | 'edges'
  | 'waiting'
  | 'offered'
  | keyof Drops
  | 'freezes'
  | 'truncated'
  | 'delivered'

/**
 * How a row stands in the account. `in` adds; `lost`, `left` (went elsewhere, as it should) and `delivered` take off. `before` was lost
 * and never counted as received; `note` is in another row already, or no count of this capture's packets.
 */
export type LedgerKind = 'in' | 'before' | 'lost' | 'left' | 'delivered' | 'note'

export interface LedgerRow {
  place: LedgerPlace
  kind: LedgerKind
  /** `ring full, worker 0`. */
  label: string
  count: number
  /** As Prometheus writes it: `ringtap_drops_total{place="ring",interface="eth0",worker="0"}`. */
  name: string
  metric: string
  labels: Readonly<Record<string, string>>
  /** What the number was read from: `PACKET_STATISTICS tp_drops of worker 0`. */
  source: string
}

/** in = lost + left + delivered + residual, of one interface. */
export interface LedgerBalance {
  interface: string
  in: number
  lost: number
  left: number
  delivered: number
  /** Of `left`, what stands there because nothing else explains it, without a bound: a loss that no row names would hide in it. */
  byDifference: number
  /** Packets that no row names. */
  residual: number
  /** What a residual, or `byDifference`, may come from other than a packet that was lost unsaid. Empty: from nothing else. */
  caveats: string[]
}

export interface Ledger {
  /** Since packets flow. */
  seconds: number
  /** The capture has ended: every number is final. Before that, what is on its way is `waiting`. */
  settled: boolean
  rows: LedgerRow[]
  interfaces: LedgerBalance[]
  /** offered = delivered + dropped + waiting + residual over all workers: exact, and the residual 0, once the ledger is settled. */
  sockets: { offered: number; dropped: number; delivered: number; waiting: number; residual: number }
  /** Sum of those of the interfaces. */
  residual: number
  /** Load of each CPU of the machine during the capture. */
  cpus: CpuLoad[]
  /** What could not be read; its rows are missing. */
  unread: UnreadFact[]
}

/** What one interface has counted until a reading. */
export interface LedgerReading {
  nic: NicCounters
  sent: number
  sentDrops: SentDrops
}

/** What is known of one interface, counted over the time of the capture. */
export interface LedgerInterface extends LedgerReading {
  name: string
  /** While the capture runs: as it was read some time ago. All that it has of the sockets stands in the workers' counters. */
  counted: LedgerReading | undefined
  /** How long before the end it was read last: more than 0 where it has gone, or cannot be read any more. */
  staleMs: number
  /** What the sockets take. */
  incoming: boolean
  outgoing: boolean
  /** Packets at most that it holds of those it sends, seen by the sockets and not counted yet. */
  queue: number
  /** Packets that came, or went, while the sockets were being opened and closed; undefined where that is not known. */
  edges: number | undefined
  filter: boolean
  /** How AF_XDP takes them, and what it left to the stack; undefined for packet sockets. */
  xdp: { mode: 'zero-copy' | 'native' | 'generic'; passed: number; filtered: number } | undefined
  /** Of the XDP programs seen on it; the capture's own is among them where it takes packets by AF_XDP. */
  programs: readonly XdpMode[]
  /** Packets may be merged before a socket sees them (GRO). */
  merges: boolean
}

export interface LedgerFacts {
  seconds: number
  settled: boolean
  interfaces: readonly LedgerInterface[]
  workers: readonly WorkerCounters[]
  softnet: readonly SoftnetCpu[]
  cpus: CpuLoad[]
  unread: UnreadFact[]
  /** Of the ledger before, by the names of its rows: while the capture runs no counter falls. */
  before: ReadonlyMap<string, number>
}

/** Makes the ledger of what was counted. */
export function makeLedger(facts: LedgerFacts): Ledger {
  const { seconds, settled, cpus, unread } = facts
  const workers = settled ? facts.workers : facts.workers.map(ahead)
  const softnetDropped = facts.softnet.reduce((sum, { dropped }) => sum + dropped, 0)
  const before = settled ? new Map<string, number>() : facts.before
  const parts = facts.interfaces.map((it) => interfacePart(it, workersOf(workers, it.name), softnetDropped, settled, before))
  const rows = [
    ...parts.flatMap(({ nic }) => nic),
    ...facts.softnet.flatMap(softnetRows),
    ...parts.flatMap(({ stack }) => stack),
    ...workers.flatMap((it) => workerRows(it, facts.interfaces.find(({ name }) => name === it.interface)?.xdp !== undefined)),
  ]
  const interfaces = parts.map(({ balance }) => balance)
  const offered = sumOf(workers, ({ offered }) => offered)
  const dropped = sumOf(workers, ({ dropped }) => dropped)
  const delivered = sumOf(workers, ({ packets }) => packets)
  const left = offered - dropped - delivered
  const waiting = settled ? 0 : Math.max(0, left)
  return {
    seconds,
    settled,
    rows,
    interfaces,
    sockets: { offered, dropped, delivered, waiting, residual: left - waiting },
    residual: sumOf(interfaces, ({ residual }) => residual),
    cpus,
    unread,
  }
}

/** While it runs a worker delivers what its account, read now and then, does not have yet: that was offered, too. */
function ahead(worker: WorkerCounters): WorkerCounters {
  return { ...worker, offered: Math.max(worker.offered, worker.dropped + worker.packets) }
}

function interfacePart(it: LedgerInterface, workers: readonly WorkerCounters[], softnetDropped: number, settled: boolean, before: ReadonlyMap<string, number>) {
  const notLess = (row: LedgerRow): LedgerRow => ({ ...row, count: Math.max(row.count, before.get(row.name) ?? 0) })
  const counters = withoutOwnDrops(it, workers, settled)
  const stack = [...backlogRow(it, softnetDropped), ...driverRows(it.name, counters), ...xdpRows(it, counters)].map(notLess)
  const counted = [...nicRows(it, it).map(notLess), ...stack]
  const sum = (rows: readonly LedgerRow[], kind: LedgerKind) => sumOf(rows, (row) => (row.kind === kind ? row.count : 0))
  const delivered = sumOf(workers, ({ packets }) => packets)
  const lost = sum(counted, 'lost') + sumOf(workers, ({ dropped }) => dropped)
  const gone = sum(counted, 'left')
  const missing = lost + gone + delivered - sum(counted, 'in')
  const nic = withQueue(it, counted.slice(0, counted.length - stack.length), missing)
  const inside = sum(nic, 'in')
  // What has come, went nowhere else, and was given to no socket although each has counted since.
  const passedBy = it.counted === undefined ? 0 : sum(nicRows(it, it.counted), 'in') - sum(counted, 'lost') - gone - sumOf(workers, ({ offered }) => offered)
  const rest = remainderRows(it, inside - lost - gone - delivered, passedBy, settled, before)
  const left = gone + sumOf(rest, ({ count }) => count)
  const residual = inside - lost - left - delivered
  const balance: LedgerBalance = {
    interface: it.name,
    in: inside,
    lost,
    left,
    delivered,
    byDifference: sumOf(rest, ({ place, count }) => (place === 'edges' && it.edges !== undefined ? 0 : count)),
    residual,
    caveats: caveatsOf(it, settled, softnetDropped, residual),
  }
  return { nic, stack: [...stack, ...rest], balance }
}

const NIC_PLACES: readonly (readonly [NicRole, LedgerPlace, LedgerKind, metric: string, label: string])[] = [
  ['missed', 'nicMissed', 'before', 'ringtap_drops_total', 'missed: no descriptor, or its buffer full'],
  ['limited', 'nicLimited', 'note', 'ringtap_nic_limited_total', "queued or dropped by the cloud's allowance"],
  ['errors', 'nicErrors', 'before', 'ringtap_drops_total', 'damaged on the wire'],
  ['noBuffer', 'nicNoBuffer', 'note', 'ringtap_nic_allocation_failures_total', 'failed allocations of buffers'],
]

function nicRows(it: LedgerInterface, { nic, sent, sentDrops }: LedgerReading): LedgerRow[] {
  const { name } = it
  const found = (role: NicRole) => nic.counters.find((counter) => counter.role === role)
  const rows: LedgerRow[] = []
  const received = found('received')
  if (it.incoming && received !== undefined) {
    rows.push(row('received', 'in', `received by ${name}`, received.count, 'ringtap_received_total', { interface: name }, received.source))
  }
  if (it.outgoing) {
    const labels = { interface: name }
    rows.push(row('sent', 'in', `sent by ${name}`, sent, 'ringtap_sent_total', labels, `rtnl_link_stats64 of ${name}: tx_packets`))
    const { count, source, after } = sentDrops
    const [kind, label] = after === 'sent' ? (['note', 'dropped after it was sent'] as const) : (['in', 'seen, and then not sent'] as const)
    rows.push(row('sentDropped', kind, `${name}: ${label}`, count, 'ringtap_send_dropped_total', labels, source))
  }
  for (const [role, place, kind, metric, label] of NIC_PLACES) {
    const counter = found(role)
    if (counter === undefined) continue
    const labels = metric === 'ringtap_drops_total' ? { place, interface: name } : { interface: name }
    rows.push(row(place, kind, `${name}: ${label}`, counter.count, metric, labels, counter.source))
  }
  return rows
}

/** Where an interface holds packets before it counts them: those that the sockets have seen, and nothing else has. */
function withQueue({ name, outgoing, queue, staleMs }: LedgerInterface, rows: readonly LedgerRow[], missing: number): LedgerRow[] {
  // What is missing of one that has gone is what was not read of it.
  if (!outgoing || queue === 0 || staleMs > 0) return [...rows]
  const count = Math.min(Math.max(0, missing), queue)
  const source = `by difference, at most the ${queue} that its queues hold`
  const at = rows.findIndex(({ place }) => place === 'sentDropped') + 1
  const held = row('sentQueued', 'in', `${name}: seen, and waiting to be sent`, count, 'ringtap_send_queue_packets', { interface: name }, source)
  return [...rows.slice(0, at), held, ...rows.slice(at)]
}

function softnetRows({ cpu, dropped, timeSqueeze }: SoftnetCpu): LedgerRow[] {
  const of = (column: number) => `/proc/net/softnet_stat column ${column} of CPU ${cpu}`
  const labels = { cpu: String(cpu) }
  return [
    row('softnetDropped', 'note', `backlog of CPU ${cpu} full, all interfaces`, dropped, 'ringtap_softnet_dropped_total', labels, of(2)),
    row('softnetSqueezed', 'note', `CPU ${cpu} squeezed, all interfaces`, timeSqueeze, 'ringtap_softnet_squeezed_total', labels, of(3)),
  ]
}

/** softnet_stat counts for the whole machine, rx_dropped for the interface but other things as well: what both have is its own. */
function backlogRow({ name, nic, xdp }: LedgerInterface, softnetDropped: number): LedgerRow[] {
  const count = Math.min(softnetDropped, nic.droppedByStack)
  const label = `${name}: backlog full`
  const source = `rtnl_link_stats64 of ${name}: rx_dropped without the driver's, at most /proc/net/softnet_stat column 2`
  // In the driver AF_XDP takes its packets before any backlog: what is lost there had been left to the stack.
  if (isInDriver(xdp) || !nic.stackDropsKnown) {
    return [row('softnet', 'note', label, count, 'ringtap_backlog_dropped_total', { interface: name }, source)]
  }
  const kind = nic.receivedHasBacklogDrops ? 'lost' : 'before'
  return [row('softnet', kind, label, count, 'ringtap_drops_total', { place: 'softnet', interface: name }, source)]
}

/**
 * Drivers count a redirect that an AF_XDP socket refused, too, where a drop of their own or of the program would be. While the capture runs the
 * workers' counts are behind: they are taken off what the driver had counted before.
 */
function withoutOwnDrops({ nic, xdp, counted }: LedgerInterface, workers: readonly WorkerCounters[], settled: boolean): NicCounter[] {
  if (!isInDriver(xdp)) return nic.counters
  const counters = settled
    ? nic.counters
    : nic.counters.map((it) => {
        if (!nic.failedRedirects.includes(it.role)) return it
        return { ...it, count: counted?.nic.counters.find(({ role }) => role === it.role)?.count ?? 0 }
      })
  let own = sumOf(workers, ({ drops }) => drops.fillRing + drops.rxRing + drops.oversize + drops.redirect)
  const taken = new Map<NicRole, number>()
  for (const role of nic.failedRedirects) {
    const count = Math.min(own, counters.find((counter) => counter.role === role)?.count ?? 0)
    taken.set(role, count)
    own -= count
  }
  return counters.map(({ role, count, source }) => {
    const off = taken.get(role) ?? 0
    return off === 0 ? { role, count, source } : { role, count: count - off, source: `${source}, less what stands as drops of the AF_XDP sockets` }
  })
}

function driverRows(name: string, counters: readonly NicCounter[]): LedgerRow[] {
  const dropped = counters.find(({ role }) => role === 'dropped')
  if (dropped === undefined) return []
  const { count, source } = dropped
  return [row('driver', 'lost', `${name}: dropped by its driver`, count, 'ringtap_drops_total', { place: 'driver', interface: name }, source)]
}

/** Redirects of a capture by AF_XDP are the packets that it was offered. */
const XDP_NOTE_METRIC = { xdpTx: 'ringtap_xdp_sent_back_total', xdpRedirect: 'ringtap_xdp_redirected_total' } as const

function xdpRows({ name, xdp }: LedgerInterface, counters: readonly NicCounter[]): LedgerRow[] {
  const rows: LedgerRow[] = []
  for (const { role, count, source } of counters) {
    if (role === 'xdpDrop') {
      rows.push(row('xdpDrop', 'lost', `${name}: dropped by an XDP program`, count, 'ringtap_drops_total', { place: role, interface: name }, source))
    } else if (role === 'xdpTx' || role === 'xdpRedirect') {
      const label = `${name}: ${role === 'xdpTx' ? 'sent back' : 'redirected'} by an XDP program`
      rows.push(
        xdp === undefined
          ? row(role, 'left', label, count, 'ringtap_left_total', { place: role, interface: name }, source)
          : row(role, 'note', label, count, XDP_NOTE_METRIC[role], { interface: name }, source),
      )
    }
  }
  if (xdp === undefined) return rows
  const left = (place: 'xdpPassed' | 'xdpFiltered', label: string, count: number) =>
    row(place, 'left', `${name}: ${label}`, count, 'ringtap_left_total', { place, interface: name }, `map ringtap_queues of ${name}'s XDP program`)
  rows.push(left('xdpPassed', 'of queues without a worker, to the stack', xdp.passed))
  rows.push(left('xdpFiltered', 'not matching the filter, to the stack', xdp.filtered))
  return rows
}

/**
 * What is left over has one explanation at most that can be checked no further: its row takes what it can explain. While the capture runs
 * that is what certainly passed the sockets by, and the rest may be on its way.
 */
function remainderRows(
  { name, filter, edges, xdp }: LedgerInterface,
  remainder: number,
  passedBy: number,
  settled: boolean,
  before: ReadonlyMap<string, number>,
): LedgerRow[] {
  const left = (place: 'notMatched' | 'edges', label: string, count: number, source: string) =>
    row(place, 'left', `${name}: ${label}`, count, 'ringtap_left_total', { place, interface: name }, source)
  const positive = Math.max(0, settled ? remainder : Math.min(remainder, passedBy))
  const explained =
    filter && xdp === undefined
      ? left('notMatched', 'not matching the filter', positive, 'by difference: a socket counts none')
      : left(
          'edges',
          'while the sockets were opened and closed',
          Math.min(positive, edges ?? positive),
          'by difference, at most what came between the readings around it',
        )
  if (settled) return [explained]
  const certain = { ...explained, count: Math.max(explained.count, before.get(explained.name) ?? 0) }
  const waiting = Math.max(0, remainder - certain.count)
  return [certain, row('waiting', 'left', `${name}: on the way, or not counted yet`, waiting, 'ringtap_waiting_packets', { interface: name }, 'by difference')]
}

const DROP_ROWS: readonly (readonly [keyof Drops, label: string, source: (worker: number) => string])[] = [
  ['ring', 'ring full', (worker) => `PACKET_STATISTICS tp_drops of worker ${worker}`],
  ['socket', 'socket buffer full', (worker) => `PACKET_STATISTICS tp_drops of worker ${worker}`],
  ['fillRing', 'no free chunk', (worker) => `XDP_STATISTICS rx_dropped, rx_fill_ring_empty_descs of worker ${worker}`],
  ['rxRing', 'RX ring full', (worker) => `XDP_STATISTICS rx_ring_full of worker ${worker}`],
  ['oversize', 'longer than a chunk', (worker) => `XDP_STATISTICS rx_dropped of worker ${worker}, the rest`],
  ['redirect', 'redirected and not received', (worker) => `map ringtap_queues, less what reached the socket of worker ${worker}`],
  ['handler', 'given up by the handler', (worker) => `countDrops of worker ${worker}, and blocks over which its handler threw`],
  ['consumer', 'given up by packets()', (worker) => `queue of packets() of worker ${worker}`],
  ['writer', 'not written', (worker) => `file of worker ${worker}`],
  ['unread', 'unread at the end', (worker) => `ring or socket of worker ${worker}`],
]

function workerRows(it: WorkerCounters, isXdp: boolean): LedgerRow[] {
  const { worker, drops } = it
  const labels = { interface: it.interface, worker: String(worker) }
  const name = (label: string) => `${label}, worker ${worker}`
  const own = (field: string) => `counter ${field} of worker ${worker}`
  return [
    row(
      'offered',
      'note',
      name('offered'),
      it.offered,
      'ringtap_offered_total',
      labels,
      isXdp ? `map ringtap_queues: redirected to worker ${worker}` : `PACKET_STATISTICS tp_packets of worker ${worker}`,
    ),
    ...DROP_ROWS.map(([place, label, source]) => row(place, 'lost', name(label), drops[place], 'ringtap_drops_total', { place, ...labels }, source(worker))),
    row('freezes', 'note', name('freezes of the ring'), it.freezes, 'ringtap_freezes_total', labels, `PACKET_STATISTICS tp_freeze_q_cnt of worker ${worker}`),
    row('truncated', 'note', name('truncated'), it.truncated, 'ringtap_truncated_total', labels, own('truncated')),
    row('delivered', 'delivered', name('delivered'), it.packets, 'ringtap_delivered_total', labels, own('packets')),
  ]
}

function row(
  place: LedgerPlace,
  kind: LedgerKind,
  label: string,
  count: number,
  metric: string,
  labels: Readonly<Record<string, string>>,
  source: string,
): LedgerRow {
  return { place, kind, label, count, name: metricText(metric, labels), metric, labels, source }
}

function metricText(metric: string, labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(([label, value]) => `${label}="${value.replaceAll(/[\\"]/g, '\\$&')}"`)
  return `${metric}{${pairs.join(',')}}`
}

function isInDriver(xdp: LedgerInterface['xdp']): boolean {
  return xdp !== undefined && xdp.mode !== 'generic'
}

function workersOf(workers: readonly WorkerCounters[], interfaceName: string): WorkerCounters[] {
  return workers.filter((worker) => worker.interface === interfaceName)
}

function sumOf<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((sum, item) => sum + of(item), 0)
}
