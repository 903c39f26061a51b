import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import {
  countersDocument,
  eventDocument,
  eventLines,
  intervalDocument,
  intervalLines,
  listeningLine,
  snapshotDocument,
  startDocument,
  summaryDetailLines,
  summaryDocument,
  summaryLines,
  writtenLines,
} from '#src/cli/capture-lines.js'
import {
  CaptureError,
  type CapturePlan,
  type CaptureStats,
  type CaptureSummary,
  type Drops,
  type Ledger,
  type WorkerCounters,
  type WritePlan,
} from '#src/index.js'

const NO_DROPS: Drops = { ring: 0, socket: 0, fillRing: 0, rxRing: 0, oversize: 0, redirect: 0, handler: 0, consumer: 0, writer: 0, unread: 0 }

const WORKER: WorkerCounters = {
  worker: 0,
  interface: 'eth0',
  packets: 1_267_000,
  bytes: 76_020_000,
  offered: 1_267_000,
  drops: NO_DROPS,
  dropped: 0,
  freezes: 0,
  truncated: 0,
  writtenPackets: 0,
  writtenBytes: 0,
  blocks: 90,
  cpu: 1,
  cpuUserMs: 120,
  cpuSystemMs: 31,
  handlerMaxMs: 1.234,
  handlerBusyMs: 0,
}

const COUNTERS = {
  seconds: 1,
  packets: 2_534_123,
  bytes: 152_047_380,
  offered: 2_534_123,
  drops: NO_DROPS,
  dropped: 0,
  freezes: 0,
  truncated: 0,
  writtenPackets: 0,
  writtenBytes: 0,
  workers: [WORKER, { ...WORKER, worker: 1, cpu: -1 }],
  passed: 0,
  filtered: 0,
  interfaceDrops: 0,
}

const STATS: CaptureStats = {
  ...COUNTERS,
  packetsPerSecond: 2_534_123,
  bitsPerSecond: 1_216_379_040,
  dropsPerSecond: 0,
  total: { ...COUNTERS, seconds: 12.04 },
}

const SUMMARY: CaptureSummary = {
  ...COUNTERS,
  files: [],
  packetsInFiles: 0,
  backend: 'ring',
  fanout: 'cpu',
  xdp: null,
  cpuUserMs: 250,
  cpuSystemMs: 60,
  reason: 'stopped',
}

const PLAN: CapturePlan = {
  backend: 'ring',
  interfaces: ['eth0'],
  netns: undefined,
  workersPerInterface: 2,
  fanout: { mode: 'cpu', defrag: false, rollover: false },
  pin: undefined,
  ring: { blockBytes: 2 ** 20, blockCount: 128, blockTimeoutMs: 20 },
  xdp: { mode: 'auto', memoryBytes: 64 * 2 ** 20, chunkBytes: undefined, coalesceMs: 1, busyPollUs: 0, hints: false },
  exclusive: false,
  otherwise: undefined,
  receiveBufferBytes: 64 * 2 ** 20,
  batch: 64,
  filter: undefined,
  write: undefined,
  user: undefined,
  snapLengthBytes: 262_144,
  promiscuous: true,
  direction: undefined,
  count: undefined,
  durationMs: undefined,
  workerRestarts: 0,
}

test('the line that says what is listened to, and how', () => {
  assert.equal(
    listeningLine(PLAN),
    'listening on eth0, link-type EN10MB (Ethernet), snapshot length 262144 bytes, backend ring, 2 workers (fanout cpu), ring 128 MiB (128 x 1 MiB)',
  )
  assert.equal(
    listeningLine({ ...PLAN, backend: 'recv', interfaces: ['a', 'b'], workersPerInterface: 1, fanout: undefined, netns: 'blue' }),
    'listening on a, b, link-type EN10MB (Ethernet), snapshot length 262144 bytes, backend recv, 1 worker an interface, socket buffer 64 MiB, namespace blue',
  )
})

const WRITE: WritePlan = {
  path: 'x.pcapng',
  format: 'pcapng',
  precision: 'ns',
  compression: 'none',
  compressionLevel: undefined,
  perWorker: false,
  order: false,
  unbuffered: false,
  past: undefined,
  rotation: undefined,
  command: undefined,
  guard: true,
}

test('what is written, and where', () => {
  const said = (write: Partial<WritePlan>, plan: Partial<CapturePlan> = {}) =>
    /128 x 1 MiB\), (.*)$/.exec(listeningLine({ ...PLAN, ...plan, write: { ...WRITE, ...write } }))?.[1]
  assert.equal(said({}), 'writing pcapng to x.pcapng')
  assert.equal(said({ path: '-', compression: 'gzip' }), 'writing pcapng by gzip to stdout')
  assert.equal(said({ order: true }), 'writing pcapng to x.pcapng, in order of time')
  assert.equal(said({ perWorker: true, format: 'pcap' }, { user: 'nobody' }), 'writing pcap to x.pcapng, a file a worker, as user nobody')
  assert.equal(
    said({ rotation: { sizeBytes: 1_000_000, files: 5, keepBytes: 2 ** 30 } }),
    'writing pcapng to x.pcapng (another after 1.00 MB, a ring of 5, at most 1 GiB)',
  )
  assert.equal(said({ rotation: { seconds: 60, files: 5 } }), 'writing pcapng to x.pcapng (another after 60 s, 5 in all)')

  const written = (...files: string[]) => writtenLines({ ...SUMMARY, files, packetsInFiles: 7, writtenPackets: 7, writtenBytes: 532 })
  const left = (packetsInFiles: number, ...files: string[]) => writtenLines({ ...SUMMARY, files, packetsInFiles, writtenPackets: 7, writtenBytes: 532 })
  assert.deepEqual(writtenLines(SUMMARY), [])
  assert.deepEqual(left(3, 'a', 'b'), ['7 packets written (532 B); 3 are in the files that remain: a, b'])
  assert.deepEqual(left(3, 'a'), ['7 packets written (532 B); 3 are in the file that remains: a'])
  assert.deepEqual(left(0), ['7 packets written (532 B), and no file of them remains'])
  assert.deepEqual(written('-'), ['7 packets written to stdout (532 B)'])
  assert.deepEqual(written('a', 'b'), ['7 packets written to a, b (532 B)'])
  assert.deepEqual(written('a', 'b', 'c', 'd', 'e'), ['7 packets written to 5 files, a to e (532 B)'])
})

test('what happens to files', () => {
  assert.deepEqual(eventLines({ type: 'file-finished', path: 'x', bytes: 1, packets: 1 }), [])
  assert.deepEqual(eventLines({ type: 'commands-left', commands: 1 }), ['ringtap: waiting for 1 command; Ctrl-C leaves it'])
  assert.deepEqual(eventLines({ type: 'commands-left', commands: 3 }), ['ringtap: waiting for 3 commands; Ctrl-C leaves them'])
  assert.deepEqual(eventLines({ type: 'files-full' }), ['ringtap: as many files as were ordered are written'])
  assert.deepEqual(eventLines({ type: 'file-warning', message: 'gzip x: status 1' }), ['ringtap: warning: gzip x: status 1'])
})

test('the line a second', () => {
  assert.deepEqual(intervalLines(STATS, false), ['   12.0s  2.53 Mpps  1.22 Gbit/s      0 drops/s'])
})

test('drops are named', () => {
  const one = { ...STATS, dropsPerSecond: 12_345, dropped: 12_345, drops: { ...NO_DROPS, ring: 12_345 } }
  assert.deepEqual(intervalLines(one, false), ['   12.0s  2.53 Mpps  1.22 Gbit/s  12.3k drops/s (ring)'])
  const two = { ...one, drops: { ...NO_DROPS, ring: 12_000, handler: 345 }, interfaceDrops: 7 }
  assert.deepEqual(intervalLines(two, false), ['   12.0s  2.53 Mpps  1.22 Gbit/s  12.3k drops/s (ring 12000, handler 345), 7 packets dropped by interface'])
})

test('a line a worker', () => {
  assert.deepEqual(intervalLines(STATS, true).slice(1), [
    '          worker 0 eth0 cpu 1  1.27 Mpps  608 Mbit/s  0 drops/s  user 12%, system 3%, handler at most 1.23 ms a block',
    '          worker 1 eth0        1.27 Mpps  608 Mbit/s  0 drops/s  user 12%, system 3%, handler at most 1.23 ms a block',
  ])
})

test('a handler that stalls is visible', () => {
  const stalled = { ...STATS, workers: [{ ...WORKER, handlerBusyMs: 2500 }] }
  assert.match(intervalLines(stalled, true)[1] ?? '', /in the handler for 2500 ms now$/)
})

test("the summary in tcpdump's words", () => {
  assert.deepEqual(summaryLines(COUNTERS), ['2534123 packets captured', '2534123 packets received by filter', '0 packets dropped by kernel'])
  assert.deepEqual(summaryLines({ ...COUNTERS, packets: 1, offered: 1 }).slice(0, 2), ['1 packet captured', '1 packet received by filter'])
})

test('no loss is left out of it', () => {
  const drops: Drops = { ring: 5, socket: 2, fillRing: 10, rxRing: 20, oversize: 30, redirect: 40, handler: 3, consumer: 4, writer: 8, unread: 1 }
  assert.deepEqual(summaryLines({ ...COUNTERS, drops, passed: 6, filtered: 7, interfaceDrops: 9 }), [
    '2534123 packets captured',
    '2534123 packets received by filter',
    '107 packets dropped by kernel',
    '6 packets of queues without a worker passed to the stack',
    '7 packets not matching the filter passed to the stack',
    '9 packets dropped by interface',
    '3 packets dropped by handler',
    '4 packets dropped by consumer',
    '8 packets not written',
    '1 packet left unread',
  ])
})

test('with -v, what it cost', () => {
  assert.deepEqual(summaryDetailLines(SUMMARY), [
    'worker 0 eth0 cpu 1: 1267000 captured, 0 dropped, 0 freezes, 0 truncated, handler at most 1.23 ms a block',
    'worker 1 eth0: 1267000 captured, 0 dropped, 0 freezes, 0 truncated, handler at most 1.23 ms a block',
    '1.0s, user 250 ms (99 ns a packet), system 60 ms (24 ns a packet), ended by: stopped',
  ])
})

test('events', () => {
  assert.deepEqual(eventLines({ type: 'interface-down', interface: 'eth0' }), ['ringtap: eth0 went down', '  the capture goes on when it is up again'])
  assert.deepEqual(eventLines({ type: 'interface-up', interface: 'eth0' }), ['ringtap: eth0 is up again'])
  const error = new CaptureError('HANDLER_FAILED', 'handler packet() of worker 1 threw Error: no')
  assert.deepEqual(eventLines({ type: 'worker-replaced', interface: 'eth0', worker: 1, error }), [
    'ringtap: worker 1 of eth0 was replaced: handler packet() of worker 1 threw Error: no',
  ])
  const xdp = {
    type: 'xdp',
    interface: 'eth0',
    mode: 'native',
    queues: 4,
    served: 2,
    chunkBytes: 2048,
    chunks: 32768,
    hugepages: true,
    hardwareHints: [],
  } as const
  assert.deepEqual(eventLines({ ...xdp, tried: [{ mode: 'zero-copy', reason: 'bind: EOPNOTSUPP, not supported' }], multiBuffer: false }), [
    'ringtap: eth0: no zero-copy (bind: EOPNOTSUPP, not supported); AF_XDP in native mode, 2 of 4 receive queues, 32768 chunks of 2 KiB each, longer packets dropped, huge pages',
  ])
  assert.deepEqual(eventLines({ ...xdp, tried: [], multiBuffer: true, hugepages: false, queues: 1, served: 1 }), [
    'ringtap: eth0: AF_XDP in native mode, 1 of 1 receive queue, 32768 chunks of 2 KiB each, longer packets whole',
  ])
  assert.deepEqual(eventLines({ ...xdp, tried: [], multiBuffer: true, hugepages: false, hardwareHints: ['timestamp', 'vlan'] }), [
    'ringtap: eth0: AF_XDP in native mode, 2 of 4 receive queues, 32768 chunks of 2 KiB each, longer packets whole, time stamps of the NIC, VLAN tags that the NIC takes out',
  ])
  assert.deepEqual(eventLines({ type: 'warning', message: 'smaller', hint: 'try less' }), ['ringtap: warning: smaller', '  try less'])
  assert.deepEqual(eventLines({ type: 'warning', message: 'smaller' }), ['ringtap: warning: smaller'])
})

test('the names of the JSON documents are a contract', () => {
  const start = JSON.parse(startDocument(PLAN)) as Record<string, unknown>
  const { otherwise: _, ...plan } = PLAN
  const xdp = { ...PLAN.xdp, chunkBytes: null }
  assert.deepEqual(start, {
    type: 'start',
    ...plan,
    xdp,
    netns: null,
    filter: null,
    pin: null,
    direction: null,
    count: null,
    durationMs: null,
    write: null,
    user: null,
  })

  const written = JSON.parse(startDocument({ ...PLAN, write: WRITE })) as CapturePlan
  assert.deepEqual(written.write, { ...WRITE, compressionLevel: null, rotation: null, command: null, past: null })

  assert.equal((JSON.parse(startDocument({ ...PLAN, filter: 'udp port 53' })) as CapturePlan).filter, 'udp port 53')

  const cpus = [{ cpu: 0, user: 0.25, nice: 0, system: 0.25, idle: 0.5, iowait: 0, irq: 0, softirq: 0, steal: 0 }]
  const interval = JSON.parse(intervalDocument(STATS, cpus)) as Record<string, unknown>
  assert.deepEqual(interval, { type: 'interval', ...STATS, cpus })

  const sockets = { offered: 1, dropped: 0, delivered: 1, waiting: 0, residual: 0 }
  const ledger: Ledger = { seconds: 1, settled: true, rows: [], interfaces: [], sockets, residual: 0, cpus, unread: [] }
  const summary = JSON.parse(summaryDocument(SUMMARY, ledger, false)) as Record<string, unknown>
  assert.deepEqual(summary, { type: 'summary', ...SUMMARY, cpus })
  assert.deepEqual((JSON.parse(summaryDocument(SUMMARY, ledger, true)) as { ledger: unknown }).ledger, {
    settled: true,
    rows: [],
    interfaces: [],
    sockets,
    residual: 0,
    unread: [],
  })
  for (const name of ['backend', 'fanout', 'workers', 'seconds', 'packets', 'bytes', 'drops', 'cpuUserMs', 'cpuSystemMs']) assert.ok(name in summary, name)

  assert.equal(eventDocument({ type: 'interface-down', interface: 'eth0' }), '{"type":"event","event":"interface-down","interface":"eth0"}')
  assert.equal(
    eventDocument({ type: 'file-finished', path: 'x', bytes: 7, packets: 2 }),
    '{"type":"event","event":"file-finished","path":"x","bytes":7,"packets":2}',
  )
  assert.equal(eventDocument({ type: 'files-full' }), '{"type":"event","event":"files-full"}')
  assert.equal(eventDocument({ type: 'file-warning', message: 'gzip x: status 1' }), '{"type":"event","event":"file-warning","message":"gzip x: status 1"}')
  const error = new CaptureError('FILE_FAILED', 'x: open: EACCES', { errnoName: 'EACCES' })
  assert.deepEqual(JSON.parse(eventDocument({ type: 'file-warning', message: 'y', error })), {
    type: 'event',
    event: 'file-warning',
    message: 'y',
    error: { code: 'FILE_FAILED', message: 'x: open: EACCES', errnoName: 'EACCES' },
  })
  assert.equal(snapshotDocument(new Map([[53, 1]])), '{"type":"snapshot","value":{"53":1}}')
})

test('docs/cli.md has every name that --json prints', () => {
  const text = readFileSync(new URL('../../../../docs/cli.md', import.meta.url), 'utf8')
  const section = text.slice(text.indexOf('### ringtap capture --json'), text.indexOf('### ringtap interfaces --json'))
  const names = (value: unknown): string[] =>
    Array.isArray(value)
      ? value.flatMap(names)
      : typeof value === 'object' && value !== null
        ? Object.entries(value).flatMap(([name, inside]) => [name, ...names(inside)])
        : []
  const past = { beforeMs: 1, beforeSizeBytes: 1, afterMs: 1, trigger: 'udp' }
  const rotation = { sizeBytes: 1, seconds: 1, files: 1, keepBytes: 1 }
  const fanout = { mode: 'cbpf', defrag: true, rollover: true, ignoreOutgoing: true, program: { kind: 'cbpf' } }
  const documents = [
    startDocument({ ...PLAN, write: { ...WRITE, past, rotation } }),
    intervalDocument(STATS, []),
    countersDocument(COUNTERS),
    summaryDocument(SUMMARY, { cpus: [], seconds: 1 } as unknown as Ledger, false),
    eventDocument({ type: 'write-error', path: 'x', error: new CaptureError('FILE_FAILED', 'full', { errno: 28, errnoName: 'ENOSPC' }), outlook: 'retry' }),
    eventDocument({ type: 'past-written', path: 'x', packets: 1, fromMs: 1, untilMs: 2 }),
    eventDocument({ type: 'triggered', path: 'x', reason: 'y' }),
    eventDocument({ type: 'warning', message: 'x', hint: 'y' }),
  ].map((line) => JSON.parse(line) as Record<string, unknown>)
  const missing = new Set([...documents.flatMap(names), ...Object.keys(fanout), ...documents.map(({ event }) => event).filter((event) => event !== undefined)])
  for (const name of missing) if (section.includes(`\`${String(name)}\``)) missing.delete(name)
  assert.deepEqual([...missing], [])
})
