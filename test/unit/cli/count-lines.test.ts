import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  countDetailLines,
  countDocument,
  countEventDocument,
  countEventLines,
  countEvents,
  countingLine,
  countLines,
  countStartDocument,
  countSummaryDocument,
  countTotals,
  NOTHING_COUNTED,
} from '#src/cli/count-lines.js'
import { COUNT_CLASSES, type CountClass, type KernelClassCounts, type KernelCounters, type KernelCounts } from '#src/index.js'

type Given = Partial<Record<CountClass, readonly [packets: number, bytes: number]>>

function classified(given: Given): KernelCounts & { classes: KernelClassCounts } {
  const of = (name: CountClass) => ({ packets: given[name]?.[0] ?? 0, bytes: given[name]?.[1] ?? 0 })
  const classes = Object.fromEntries(COUNT_CLASSES.map((name) => [name, of(name)])) as KernelClassCounts
  const sum = (field: 'packets' | 'bytes') => Object.values(classes).reduce((total, counts) => total + counts[field], 0)
  return { packets: sum('packets'), bytes: sum('bytes'), classes }
}

/** What each CPU has counted by then, all of it on eth0. */
function reading(seconds: number, cpus: readonly (readonly [cpu: number, given: Given])[], up = true): KernelCounters {
  const rows = cpus.map(([cpu, given]) => ({ cpu, ...classified(given) }))
  const total: Given = Object.fromEntries(
    COUNT_CLASSES.map((name) => [name, (['packets', 'bytes'] as const).map((field) => rows.reduce((sum, row) => sum + row.classes[name][field], 0))]),
  )
  const all = classified(total)
  return { seconds, ...all, cpus: rows, interfaces: [{ interface: 'eth0', mode: 'native', tried: [], up, packets: all.packets, bytes: all.bytes }] }
}

const BEFORE = reading(1, [[0, { tcpSyn: [1000, 60_000] }]])
const NOW = reading(3, [
  [0, { tcpSyn: [3_001_000, 180_060_000], arp: [2, 84] }],
  [3, { udp: [2_000_000, 200_000_000] }],
])
const CPU_TIME = { user: 12_400, system: 3_600 }

test('how it begins', () => {
  const { interfaces } = BEFORE
  assert.equal(countingLine({ interfaces, drop: false, promiscuous: true, netns: undefined }), 'counting on eth0 (native XDP), packets pass')
  const lo = { ...interfaces[0], interface: 'lo', mode: 'generic', tried: [{ mode: 'native', reason: 'bpf(BPF_LINK_CREATE): EOPNOTSUPP, no' }] } as const
  const start = { interfaces: [...interfaces, lo] as KernelCounters['interfaces'], drop: true, promiscuous: false, netns: 'blue' }
  assert.equal(
    countingLine(start),
    'counting on eth0 (native XDP), lo (generic XDP; no native: bpf(BPF_LINK_CREATE): EOPNOTSUPP, no), packets are dropped, namespace blue',
  )
  assert.deepEqual(JSON.parse(countStartDocument(start)), {
    type: 'start',
    interfaces: [
      { interface: 'eth0', mode: 'native', tried: [] },
      { interface: 'lo', mode: 'generic', tried: lo.tried },
    ],
    netns: 'blue',
    drop: true,
    promiscuous: false,
  })
  assert.equal(JSON.parse(countStartDocument({ ...start, netns: undefined })).netns, null)
})

test('a line', () => {
  assert.deepEqual(countLines(BEFORE, NOW, false), ['    3.0s  2.50 Mpps  1.52 Gbit/s  tcpSyn 1.50 Mpps, udp 1.00 Mpps, arp 1 pps'])
  assert.deepEqual(countLines(NOTHING_COUNTED, BEFORE, false), ['    1.0s  1.00 kpps   480 kbit/s  tcpSyn 1.00 kpps'])
  assert.deepEqual(countLines(NOW, { ...NOW, seconds: 4 }, false), ['    4.0s      0 pps      0 bit/s'])
})

test('a line a CPU, and one an interface where there are several', () => {
  assert.deepEqual(countLines(BEFORE, NOW, true).slice(1), [
    '          cpu 0  1.50 Mpps  720 Mbit/s  tcpSyn 1.50 Mpps, arp 1 pps',
    '          cpu 3  1.00 Mpps  800 Mbit/s  udp 1.00 Mpps',
  ])
  const second = (packets: number) => ({ interface: 'eth1', mode: 'generic' as const, tried: [], up: true, packets, bytes: packets * 60 })
  const [before, now] = [
    { ...BEFORE, interfaces: [...BEFORE.interfaces, second(0)] },
    { ...NOW, interfaces: [...NOW.interfaces, second(50)] },
  ]
  assert.deepEqual(countLines(before, now, true).slice(3), ['          eth0   2.50 Mpps  1.52 Gbit/s', '          eth1      25 pps  12.0 kbit/s'])
  assert.deepEqual(countDetailLines(now, CPU_TIME), [
    'cpu 0: 3001002 packets, 180060084 bytes',
    'cpu 3: 2000000 packets, 200000000 bytes',
    'eth0: 5001002 packets, 380060084 bytes',
    'eth1: 50 packets, 3000 bytes',
    '3.0s, user 12 ms, system 4 ms',
  ])
})

test('the totals: classes that were seen, and the sum', () => {
  assert.deepEqual(countTotals(NOW), [
    'CLASS   PACKETS      BYTES',
    'tcpSyn  3001000  180060000',
    'udp     2000000  200000000',
    'arp           2         84',
    'total   5001002  380060084',
  ])
  assert.deepEqual(countTotals(NOTHING_COUNTED), ['CLASS  PACKETS  BYTES', 'total        0      0'])
})

test('documents', () => {
  const { packets, bytes, classes, cpus, interfaces } = NOW
  assert.deepEqual(JSON.parse(countDocument(BEFORE, NOW)), {
    type: 'interval',
    seconds: 2,
    ...classified({ tcpSyn: [3_000_000, 180_000_000], udp: [2_000_000, 200_000_000], arp: [2, 84] }),
    packetsPerSecond: 2_500_001,
    bitsPerSecond: 1_520_000_336,
    cpus: [
      { cpu: 0, ...classified({ tcpSyn: [3_000_000, 180_000_000], arp: [2, 84] }) },
      { cpu: 3, ...classified({ udp: [2_000_000, 200_000_000] }) },
    ],
    interfaces: [{ interface: 'eth0', up: true, packets: 5_000_002, bytes: 380_000_084 }],
    total: { seconds: 3, packets, bytes, classes },
  })
  assert.deepEqual(JSON.parse(countDocument(NOW, { ...NOW, seconds: 4 })).cpus, [])
  assert.deepEqual(JSON.parse(countSummaryDocument(NOW, CPU_TIME)), {
    type: 'summary',
    seconds: 3,
    packets,
    bytes,
    classes,
    cpus,
    interfaces,
    cpuUserMs: 12.4,
    cpuSystemMs: 3.6,
  })
})

test('an interface that goes down and comes back', () => {
  const down = reading(2, [], false)
  assert.deepEqual(countEvents(NOTHING_COUNTED, BEFORE), [])
  assert.deepEqual(countEvents(BEFORE, down), [{ type: 'interface-down', interface: 'eth0' }])
  assert.deepEqual(countEvents(NOTHING_COUNTED, down), [{ type: 'interface-down', interface: 'eth0' }])
  assert.deepEqual(countEvents(down, down), [])
  assert.deepEqual(countEvents(down, NOW), [{ type: 'interface-up', interface: 'eth0' }])
  assert.deepEqual(countEventLines({ type: 'interface-down', interface: 'eth0' }), ['ringtap: eth0 went down', '  counting goes on when it is up again'])
  assert.deepEqual(countEventLines({ type: 'interface-up', interface: 'eth0' }), ['ringtap: eth0 is up again'])
  assert.deepEqual(JSON.parse(countEventDocument({ type: 'interface-up', interface: 'eth0' })), { type: 'event', event: 'interface-up', interface: 'eth0' })
})
