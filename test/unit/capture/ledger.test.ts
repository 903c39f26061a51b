/** The account that the ledger makes of readings, and what it says of them. That the readings are right, test/live/ledger.test.ts shows. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Drops, WorkerCounters } from '#src/capture/api.js'
import { type Ledger, type LedgerFacts, type LedgerInterface, type LedgerPlace, makeLedger } from '#src/capture/ledger.js'
import { ledgerMetrics } from '#src/capture/ledger-metrics.js'
import { type SentDrops, sentDrops } from '#src/capture/ledger-sent.js'
import { type NicCounters, type NicRole, nicCounters } from '#src/host/nic-counters.js'
import type { SoftnetCpu } from '#src/host/softnet.js'
import { DRIVER_CASES, LINK } from '../../support/driver-statistics.js'

const NO_DROPS: Drops = { ring: 0, socket: 0, fillRing: 0, rxRing: 0, oversize: 0, redirect: 0, handler: 0, consumer: 0, writer: 0, unread: 0 }

function worker(packets: number, drops: Partial<Drops> = {}, more: Partial<WorkerCounters> = {}): WorkerCounters {
  const dropped = Object.values(drops).reduce((sum, count) => sum + count, 0)
  return {
    worker: 0,
    interface: 'eth0',
    packets,
    bytes: packets * 60,
    offered: packets + dropped,
    drops: { ...NO_DROPS, ...drops },
    dropped,
    freezes: 0,
    truncated: 0,
    writtenPackets: 0,
    writtenBytes: 0,
    blocks: 1,
    cpu: -1,
    cpuUserMs: 0,
    cpuSystemMs: 0,
    handlerMaxMs: 0,
    handlerBusyMs: 0,
    ...more,
  }
}

function nic(counts: Partial<Record<NicRole, number>>, more: Partial<NicCounters> = {}): NicCounters {
  const counters = Object.entries(counts).map(([role, count]) => ({ role: role as NicRole, count, source: `test: ${role}` }))
  return {
    counters,
    droppedByStack: 0,
    stackDropsKnown: true,
    receivedHasBacklogDrops: true,
    failedRedirects: ['dropped'],
    redirectsHaveFailed: false,
    refreshMs: undefined,
    ...more,
  }
}

function onInterface(counters: NicCounters, more: Partial<LedgerInterface> = {}): LedgerInterface {
  return {
    name: 'eth0',
    nic: counters,
    sent: 0,
    sentDrops: refused(0),
    counted: undefined,
    staleMs: 0,
    incoming: true,
    outgoing: false,
    queue: 0,
    edges: 0,
    filter: false,
    xdp: undefined,
    programs: [],
    merges: false,
    ...more,
  }
}

function refused(count: number, after: SentDrops['after'] = 'refused'): SentDrops {
  return { count, source: 'test: tx_dropped', after }
}

function softnet(cpu: number, dropped: number, timeSqueeze = 0): SoftnetCpu {
  return { cpu, processed: 0, dropped, timeSqueeze, receivedRps: 0, flowLimit: 0, backlogLength: 0 }
}

function ledgerOf(facts: Partial<LedgerFacts>): Ledger {
  const ledger = makeLedger({ seconds: 1, settled: true, interfaces: [], workers: [], softnet: [], cpus: [], unread: [], before: new Map(), ...facts })
  assertSums(ledger)
  return ledger
}

/** What docs/ledger.md promises of the two metrics that stand in several places. */
function assertSums(ledger: Ledger): void {
  const sum = (wanted: (row: Ledger['rows'][number]) => boolean) => ledger.rows.reduce((all, row) => all + (wanted(row) ? row.count : 0), 0)
  const balances = (of: 'lost' | 'left') => ledger.interfaces.reduce((all, balance) => all + balance[of], 0)
  assert.equal(
    sum(({ metric }) => metric === 'ringtap_left_total' || metric === 'ringtap_waiting_packets'),
    balances('left'),
  )
  assert.equal(
    sum(({ metric }) => metric === 'ringtap_drops_total'),
    balances('lost') + sum(({ kind }) => kind === 'before'),
  )
}

function counts(ledger: Ledger): Partial<Record<LedgerPlace, number>> {
  const found: Partial<Record<LedgerPlace, number>> = {}
  for (const { place, count } of ledger.rows) if (count !== 0) found[place] = (found[place] ?? 0) + count
  return found
}

test('in = lost + left + delivered + residual', () => {
  const ledger = ledgerOf({
    interfaces: [onInterface(nic({ received: 1000, missed: 50, errors: 3, noBuffer: 2, dropped: 10, xdpDrop: 20, xdpTx: 5, xdpRedirect: 6 }))],
    workers: [worker(800, { ring: 100, handler: 9 }), worker(40, { unread: 1 }, { worker: 1, truncated: 40, freezes: 2 })],
  })
  assert.deepEqual(ledger.interfaces, [{ interface: 'eth0', in: 1000, lost: 140, left: 11, delivered: 840, byDifference: 0, residual: 9, caveats: [] }])
  assert.deepEqual(ledger.sockets, { offered: 950, dropped: 110, delivered: 840, waiting: 0, residual: 0 })
  assert.equal(ledger.residual, 9)
  assert.deepEqual(counts(ledger), {
    received: 1000,
    nicMissed: 50,
    nicErrors: 3,
    nicNoBuffer: 2,
    driver: 10,
    xdpDrop: 20,
    xdpTx: 5,
    xdpRedirect: 6,
    offered: 950,
    ring: 100,
    handler: 9,
    unread: 1,
    truncated: 40,
    freezes: 2,
    delivered: 840,
  })
})

test('what was delivered after the account was read was offered, too', () => {
  const workers = [worker(300_000, { ring: 10 }, { offered: 289_229 }), worker(100, {}, { worker: 1, offered: 150 })]
  const facts = { interfaces: [onInterface(nic({ received: 300_200 }))], workers }
  const { sockets, rows } = ledgerOf({ ...facts, settled: false })
  assert.deepEqual(sockets, { offered: 300_160, dropped: 10, delivered: 300_100, waiting: 50, residual: 0 })
  assert.deepEqual(
    rows.filter(({ place }) => place === 'offered').map(({ count }) => count),
    [300_010, 150],
  )
  // At the end it is an account that does not add up.
  assert.equal(ledgerOf(facts).sockets.residual, -10_781 + 50)
})

test('rows stand in the order of a packet’s way', () => {
  const places = ledgerOf({
    interfaces: [onInterface(nic({ received: 1, missed: 1, dropped: 0, xdpDrop: 0 }))],
    workers: [worker(1)],
    softnet: [softnet(0, 0)],
  }).rows.map(({ place }) => place)
  assert.deepEqual(places, [
    'received',
    'nicMissed',
    'softnetDropped',
    'softnetSqueezed',
    'softnet',
    'driver',
    'xdpDrop',
    'edges',
    'offered',
    ...Object.keys(NO_DROPS),
    'freezes',
    'truncated',
    'delivered',
  ])
})

test('a full backlog: per CPU for the machine, and for the interface what both it and its CPUs have', () => {
  const backlogs = [softnet(0, 30, 4), softnet(1, 12)]
  const lost = ledgerOf({ interfaces: [onInterface(nic({ received: 100 }, { droppedByStack: 40 }))], workers: [worker(60)], softnet: backlogs })
  assert.deepEqual(counts(lost), { received: 100, softnetDropped: 42, softnetSqueezed: 4, softnet: 40, offered: 60, delivered: 60 })
  assert.equal(lost.residual, 0)
  // More than the CPUs dropped was wanted by no protocol, and the sockets have seen it.
  const unwanted = ledgerOf({ interfaces: [onInterface(nic({ received: 100 }, { droppedByStack: 90 }))], workers: [worker(58)], softnet: backlogs })
  assert.deepEqual([counts(unwanted).softnet, unwanted.residual], [42, 0])
  const notReceived = nic({ received: 60 }, { droppedByStack: 40, receivedHasBacklogDrops: false })
  const before = ledgerOf({ interfaces: [onInterface(notReceived)], workers: [worker(60)], softnet: backlogs })
  assert.deepEqual([counts(before).softnet, before.residual], [40, 0])
})

test('AF_XDP: what it left to the stack, and drops that the driver counts a second time', () => {
  const xdp = { mode: 'native', passed: 30, filtered: 20 } as const
  const workers = [worker(100, { fillRing: 40, redirect: 2 })]
  const counters = nic({ received: 200, dropped: 50, xdpRedirect: 142 }, { droppedByStack: 7 })
  const native = ledgerOf({ interfaces: [onInterface(counters, { xdp, filter: true })], workers, softnet: [softnet(0, 7)] })
  assert.deepEqual(native.interfaces[0], { interface: 'eth0', in: 200, lost: 50, left: 50, delivered: 100, byDifference: 0, residual: 0, caveats: [] })
  assert.deepEqual([counts(native).driver, counts(native).xdpPassed, counts(native).xdpFiltered], [8, 30, 20])
  assert.match(native.rows.find(({ place }) => place === 'driver')?.source ?? '', /less what stands as drops of the AF_XDP sockets$/)
  // In generic mode the stack drops, and the driver knows nothing of it.
  const generic = ledgerOf({ interfaces: [onInterface(nic({ received: 192 }), { xdp: { ...xdp, mode: 'generic' } })], workers })
  assert.equal(generic.residual, 0)
})

const REFUSED: readonly (readonly [driver: string, mode: 'native' | 'zero-copy', statistics: Record<string, number>, received: number])[] = [
  ['veth', 'native', { rx_queue_0_drops: 45, rx_queue_0_xdp_redirect: 100 }, 145],
  ['virtio_net', 'native', { rx0_drops: 45, rx0_xdp_drops: 45, rx0_xdp_redirects: 145 }, 145],
  ['virtio_net', 'zero-copy', { rx0_drops: 45, rx0_xdp_drops: 0, rx0_xdp_redirects: 145 }, 145],
  // Its rx_packets have nothing of what XDP took.
  ['mlx5_core', 'native', { rx_xdp_drop: 45, rx_xdp_redirect: 100, rx_discards_phy: 0 }, 0],
  ['mlx5_core', 'zero-copy', { rx_xsk_xdp_drop: 45, rx_xsk_xdp_redirect: 100, rx_discards_phy: 0 }, 0],
  ['ena', 'native', { queue_0_rx_xdp_aborted: 45, queue_0_rx_xdp_redirect: 100, rx_drops: 0 }, 145],
]

for (const [driver, mode, statistics, received] of REFUSED) {
  test(`a packet that an AF_XDP socket refused is lost once: ${driver}, ${mode}`, () => {
    const link = { ...LINK, rxPackets: received, rxErrors: 0, rxDropped: 0, rxMissedErrors: 0, rxFifoErrors: 0, rxOverErrors: 0 }
    const counters = nicCounters('eth0', driver, new Map(Object.entries(statistics)), link)
    const workers = [worker(100, { fillRing: 30, rxRing: 10, oversize: 4, redirect: 1 })]
    const ledger = ledgerOf({ interfaces: [onInterface(counters, { xdp: { mode, passed: 0, filtered: 0 } })], workers })
    const [balance] = ledger.interfaces
    assert.deepEqual([balance?.in, balance?.lost, balance?.left, balance?.residual], [145, 45, 0, 0])
    assert.deepEqual([counts(ledger).driver, counts(ledger).xdpDrop], [undefined, undefined])
    assert.equal(ledger.rows.find(({ place }) => place === 'xdpRedirect')?.metric, 'ringtap_xdp_redirected_total')
  })
}

test('of every driver and way of capturing, the metrics add up to the account', () => {
  const modes = [undefined, 'native', 'zero-copy', 'generic'] as const
  for (const [driver, statistics] of DRIVER_CASES) {
    const counters = nicCounters('eth0', driver, new Map(Object.entries(statistics)), LINK)
    for (const mode of modes) {
      for (const settled of [true, false]) {
        const xdp = mode && { mode, passed: 7, filtered: 3 }
        // Asserts the sums.
        const ledger = ledgerOf({
          settled,
          interfaces: [onInterface(counters, { xdp, filter: settled, edges: undefined })],
          workers: [worker(900_000, { ring: 5, fillRing: 2, handler: 1 })],
          softnet: [softnet(0, 40)],
        })
        const notes = ledger.rows.filter(({ kind }) => kind === 'note').map(({ metric }) => metric)
        assert.ok(!notes.includes('ringtap_drops_total') && !notes.includes('ringtap_left_total'), `${driver} ${mode}`)
      }
    }
  }
})

test('a driver that does not tell its own part of rx_dropped: no loss, a caveat', () => {
  const counters = nic({ received: 100 }, { droppedByStack: 40, stackDropsKnown: false })
  const ledger = ledgerOf({ interfaces: [onInterface(counters)], workers: [worker(70)], softnet: [softnet(0, 30)] })
  const row = ledger.rows.find(({ place }) => place === 'softnet')
  assert.deepEqual([row?.kind, row?.count, row?.metric], ['note', 30, 'ringtap_backlog_dropped_total'])
  assert.equal(ledger.residual, 30)
  assert.deepEqual(ledger.interfaces[0]?.caveats, ['up to 30 packets found a backlog full: what the driver of eth0 adds to rx_dropped is not known'])
  // Nothing was dropped by any CPU: nothing to say.
  assert.deepEqual(ledgerOf({ interfaces: [onInterface(counters)], workers: [worker(100)], softnet: [softnet(0, 0)] }).interfaces[0]?.caveats, [])
})

test('counters that are refreshed now and then are said to be old', () => {
  const [balance] = ledgerOf({ interfaces: [onInterface(nic({ received: 90 }, { refreshMs: 1000 }))], workers: [worker(100)] }).interfaces
  assert.equal(balance?.residual, -10)
  assert.match(balance?.caveats.join() ?? '', /^counters of eth0 may be 1000 ms old/)
})

test("an XDP program of somebody else: what no counter tells of it is a caveat, and a driver's redirects that failed", () => {
  const caveats = (counters: NicCounters, more: Partial<LedgerInterface>) =>
    ledgerOf({ interfaces: [onInterface(counters, more)], workers: [] }).interfaces[0]?.caveats
  const unseen = ['an XDP program is on eth0: what it drops, redirects or sends back is counted nowhere']
  assert.deepEqual(caveats(nic({ received: 0 }), { programs: ['native'] }), unseen)
  assert.deepEqual(caveats(nic({ received: 0, xdpDrop: 0 }), { programs: ['native'] }), [])
  assert.deepEqual(caveats(nic({ received: 0, xdpDrop: 0 }), { programs: ['native', 'generic'] }), unseen)
  const own = { mode: 'native', passed: 0, filtered: 0 } as const
  assert.deepEqual(caveats(nic({ received: 0 }), { programs: ['native'], xdp: own }), [])
  const both = nic({ received: 9, xdpDrop: 3, xdpRedirect: 9 }, { redirectsHaveFailed: true })
  const twice = ['the driver of eth0 counts a redirect that fails as redirected and as dropped']
  assert.deepEqual(caveats(both, { programs: ['native'] }), twice)
  assert.deepEqual(caveats(both, { programs: ['native'], xdp: own }), [])
  assert.deepEqual(caveats(nic({ received: 9, xdpRedirect: 9 }, { redirectsHaveFailed: true }), {}), [])
})

test('what is left over: at the edges no more than came there, the rest is the residual', () => {
  const of = (edges: number | undefined) => ledgerOf({ interfaces: [onInterface(nic({ received: 100 }), { edges })], workers: [worker(80)] })
  assert.deepEqual([counts(of(0)).edges, of(0).residual], [undefined, 20])
  assert.deepEqual([counts(of(15)).edges, of(15).residual], [15, 5])
  assert.deepEqual([counts(of(50)).edges, of(50).residual], [20, 0])
  assert.deepEqual([of(50).interfaces[0]?.byDifference, of(undefined).interfaces[0]?.byDifference], [0, 20])
  assert.deepEqual(of(undefined).interfaces[0]?.caveats, ['the capture ended by itself: what came after that is a difference'])
  // More was delivered than came in: nothing explains that away.
  assert.equal(ledgerOf({ interfaces: [onInterface(nic({ received: 100 }), { edges: 50 })], workers: [worker(101)] }).residual, -1)
})

test('with a filter on a socket, what it did not match is a difference, and said to be one', () => {
  const ledger = ledgerOf({ interfaces: [onInterface(nic({ received: 100 }), { filter: true })], workers: [worker(10, { ring: 5 })] })
  assert.deepEqual([counts(ledger).notMatched, ledger.interfaces[0]?.byDifference, ledger.residual], [85, 85, 0])
  assert.match(ledger.interfaces[0]?.caveats.join() ?? '', /did not match the filter is a difference/)
})

test('while it runs, what is on its way is waiting', () => {
  const busy = worker(70, { ring: 5 }, { offered: 90 })
  const ledger = ledgerOf({ settled: false, interfaces: [onInterface(nic({ received: 100 }))], workers: [busy] })
  assert.deepEqual([counts(ledger).waiting, ledger.residual], [25, 0])
  assert.deepEqual(ledger.sockets, { offered: 90, dropped: 5, delivered: 70, waiting: 15, residual: 0 })
})

/** A capture that runs: each step is a ledger of its own, which knows what the one before said. */
function running(): (facts: Partial<LedgerFacts>) => Ledger {
  let before = new Map<string, number>()
  return (facts) => {
    const ledger = ledgerOf({ settled: false, before, ...facts })
    const gauges = new Set(ledgerMetrics(ledger).flatMap(({ name, type }) => (type === 'gauge' ? [name] : [])))
    for (const { name, metric, count } of ledger.rows) assert.ok(gauges.has(metric) || count >= (before.get(name) ?? 0), `${name} fell to ${count}`)
    before = new Map(ledger.rows.map(({ name, count }) => [name, count]))
    return ledger
  }
}

test('while it runs with a filter: what every worker has counted after is not matched, the rest waits, and no counter falls', () => {
  const ledger = running()
  const at = (received: number, counted: number | undefined, packets: number) =>
    ledger({
      interfaces: [
        onInterface(nic({ received }), {
          filter: true,
          counted: counted === undefined ? undefined : { nic: nic({ received: counted }), sent: 0, sentDrops: refused(0) },
        }),
      ],
      workers: [worker(packets)],
    })
  const seen = (it: Ledger) => [counts(it).notMatched ?? 0, counts(it).waiting ?? 0, it.residual]
  assert.deepEqual(seen(at(1000, undefined, 10)), [0, 990, 0])
  assert.deepEqual(seen(at(8000, 1000, 16)), [984, 7000, 0])
  // Fewer than before could be told of: it stays, for it was certain then.
  assert.deepEqual(seen(at(8000, 1000, 300)), [984, 6716, 0])
  assert.deepEqual(seen(at(8000, 8000, 300)), [7700, 0, 0])
  assert.equal(at(8000, 8000, 300).interfaces[0]?.byDifference, 7700)
})

test('while it runs without a filter: what passed by is of the edges, as far as they reach', () => {
  const counted = { nic: nic({ received: 100 }), sent: 0, sentDrops: refused(0) }
  const of = (edges: number) => ledgerOf({ settled: false, interfaces: [onInterface(nic({ received: 110 }), { counted, edges })], workers: [worker(80)] })
  assert.deepEqual([counts(of(50)).edges, counts(of(50)).waiting], [20, 10])
  assert.deepEqual([counts(of(5)).edges, counts(of(5)).waiting], [5, 25])
})

test("while it runs, an AF_XDP socket's drops that the worker has not told of yet are not the driver's", () => {
  const ledger = running()
  const at = (dropped: number, counted: number, own: number) => {
    const it = ledger({
      interfaces: [
        onInterface(nic({ received: 1000, dropped }), {
          xdp: { mode: 'native', passed: 0, filtered: 0 },
          counted: { nic: nic({ received: 900, dropped: counted }), sent: 0, sentDrops: refused(0) },
        }),
      ],
      workers: [worker(500, { fillRing: own })],
    })
    return counts(it).driver ?? 0
  }
  assert.equal(at(50, 20, 30), 0)
  assert.equal(at(90, 60, 50), 10)
  assert.equal(at(200, 60, 190), 10)
})

test('what an interface was to send and did not, the sockets have seen', () => {
  const of = (sent: number, drops: SentDrops, delivered: number, more: Partial<LedgerInterface> = {}) =>
    ledgerOf({
      interfaces: [onInterface(nic({ received: 0 }), { outgoing: true, sent, sentDrops: drops, merges: true, ...more })],
      workers: [worker(delivered)],
    })
  const all = of(0, refused(2000), 3000, { queue: 1000 })
  assert.deepEqual([counts(all).sentDropped, counts(all).sentQueued, all.interfaces[0]?.in, all.residual], [2000, 1000, 3000, 0])
  assert.deepEqual(all.interfaces[0]?.caveats, ['packets that this host sends are counted by the driver, after the sockets have seen them'])
  // No more than its queues hold, and no less than none.
  assert.deepEqual([of(0, refused(2000), 3100, { queue: 1000 }).residual, of(0, refused(2000), 1900, { queue: 1000 }).residual], [-100, 100])
  // Of one that has gone, what is missing may as well be what came after it was read.
  assert.equal(of(0, refused(0), 100, { queue: 1000, staleMs: 600 }).residual, -100)
  // Those that the device drops are in tx_packets.
  const device = of(3000, refused(2000, 'sent'), 3000)
  assert.deepEqual([device.residual, device.rows.find(({ place }) => place === 'sentDropped')?.kind], [0, 'note'])
  assert.match(of(0, refused(5, 'unsure'), 5).interfaces[0]?.caveats.join() ?? '', /5 packets were not sent: of the driver of eth0 it is not known/)
  // Who takes only what comes has nothing to do with it.
  const incoming = of(0, refused(2000), 0, { outgoing: false })
  assert.deepEqual([counts(incoming).sentDropped, incoming.residual, incoming.interfaces[0]?.caveats], [undefined, 0, []])
})

test('of tx_dropped, what the sockets have seen: by driver', () => {
  const link = { txDropped: 50 }
  assert.deepEqual(sentDrops('tap0', 'tun', new Map(), link), { count: 50, source: 'rtnl_link_stats64 of tap0: tx_dropped', after: 'refused' })
  assert.equal(sentDrops('eth0', 'i40e', new Map(), link).after, 'sent')
  assert.equal(sentDrops('eth0', 'r8169', new Map(), link).after, 'unsure')
  assert.equal(sentDrops('eth0', undefined, new Map(), link).after, 'unsure')
  const statistics = new Map([
    ['rx_queue_0_xdp_tx_errors', 7],
    ['tx_queue_0_xdp_xmit_errors', 3],
    ['tx_queue_0_xdp_xmit', 900],
  ])
  assert.deepEqual(sentDrops('v0', 'veth', statistics, link), {
    count: 40,
    source: 'rtnl_link_stats64 of v0: tx_dropped, less what XDP programs sent',
    after: 'refused',
  })
})

test('GRO explains what did not come to the sockets, and not what came from nowhere', () => {
  const of = (packets: number) =>
    ledgerOf({ interfaces: [onInterface(nic({ received: 100 }), { merges: true })], workers: [worker(packets)] }).interfaces[0]?.caveats
  assert.match(of(90)?.join() ?? '', /^GRO is on/)
  assert.deepEqual(of(110), [])
})

test('an interface that has gone: what it counted since it was read last is said not to be known', () => {
  const [balance] = ledgerOf({ interfaces: [onInterface(nic({ received: 200 }), { staleMs: 812.3, edges: undefined })], workers: [worker(300)] }).interfaces
  assert.equal(balance?.residual, -100)
  assert.ok(balance?.caveats.includes('eth0 has gone, or could not be read: what it counted in the last 813 ms is not known'))
})

test('several interfaces: each has its own workers and its own equation', () => {
  const ledger = ledgerOf({
    interfaces: [onInterface(nic({ received: 10 })), onInterface(nic({ received: 30 }), { name: 'eth1', outgoing: true, sent: 5 })],
    workers: [worker(10), worker(32, {}, { worker: 1, interface: 'eth1' })],
  })
  assert.deepEqual(
    ledger.interfaces.map(({ interface: name, in: inside, delivered, residual }) => [name, inside, delivered, residual]),
    [
      ['eth0', 10, 10, 0],
      ['eth1', 35, 32, 3],
    ],
  )
  assert.equal(ledger.residual, 3)
})

test('names are those of Prometheus, and each metric has a help, a type and rows that follow each other', () => {
  const ledger = ledgerOf({
    interfaces: [
      onInterface(nic({ received: 10 })),
      onInterface(nic({ received: 10, missed: 1, limited: 1, noBuffer: 1, dropped: 0, xdpTx: 0 }), { name: 'e"th\\0', outgoing: true }),
    ],
    workers: [worker(5, { ring: 3 }), worker(2, {}, { worker: 1 })],
    softnet: [softnet(0, 1), softnet(1, 2)],
  })
  const ring = ledger.rows.find(({ place }) => place === 'ring')
  assert.equal(ring?.name, 'ringtap_drops_total{place="ring",interface="eth0",worker="0"}')
  assert.equal(ring?.source, 'PACKET_STATISTICS tp_drops of worker 0')
  const names = ledger.rows.filter(({ place }) => place === 'received').map(({ name }) => name)
  assert.deepEqual(names, ['ringtap_received_total{interface="eth0"}', 'ringtap_received_total{interface="e\\"th\\\\0"}'])
  const metrics = ledgerMetrics(ledger)
  assert.equal(metrics.length, ledger.rows.length + 2)
  const seen: string[] = []
  for (const { name, help, type, labels } of metrics) {
    assert.match(name, /^ringtap_[a-z_]+$/)
    assert.equal(type, name.endsWith('_total') ? 'counter' : 'gauge')
    assert.ok(help.length > 10)
    for (const label of Object.keys(labels)) assert.match(label, /^[a-z]+$/)
    if (seen.at(-1) !== name) {
      assert.ok(!seen.includes(name), `${name} is in two places`)
      seen.push(name)
    }
  }
  const identities = metrics.map(({ name, labels }) => JSON.stringify([name, labels]))
  assert.equal(new Set(identities).size, identities.length)
  assert.deepEqual(metrics.at(-1), {
    name: 'ringtap_residual',
    labels: { interface: 'e"th\\0' },
    help: 'Packets that no other metric names: 0, or an error in the account.',
    type: 'gauge',
    value: 10,
  })
})
