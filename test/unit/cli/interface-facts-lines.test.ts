import assert from 'node:assert/strict'
import { test } from 'node:test'
import { factsLines } from '#src/cli/interface-facts-lines.js'
import { factsDocument } from '#src/cli/interface-lines.js'
import type { InterfaceFacts } from '#src/host/facts.js'
import { assertGolden } from '../../support/golden.js'
import { RECORDED_HOSTS, recordedHost } from '../../support/recorded-host.js'

for (const name of RECORDED_HOSTS) {
  test(`what -v prints of ${name}`, () => {
    const host = recordedHost(name)
    const lines = Object.keys(host.devices).flatMap((interfaceName) => factsLines(host.interfaceFacts(interfaceName)))
    assertGolden(`unit/cli/golden/interfaces-${name}.txt`, lines)
  })
}

const IXGBE = recordedHost('ixgbe').interfaceFacts('eth0')

const lineOf = (facts: Partial<InterfaceFacts>, label: string) => factsLines({ ...IXGBE, ...facts }).find((line) => line.startsWith(`  ${label}`))

test('who holds an interface promiscuous', () => {
  const holders = ['sticky flag (ip link set promisc on)', 'packet socket of tcpdump (pid 4711)']
  assert.equal(lineOf({ promiscuous: { on: true, count: 2, holders } }, 'promiscuous'), `  promiscuous   held 2 times: ${holders.join(', ')}`)
  assert.equal(lineOf({ promiscuous: { on: true, count: 1, holders: ['bridge br0'] } }, 'promiscuous'), '  promiscuous   held once: bridge br0')
})

test('slots that are not spread evenly', () => {
  const rss = { ...(IXGBE.rss as NonNullable<InterfaceFacts['rss']>), indirection: [0, 0, 0, 1, 2, 3], symmetric: true, inputTransform: 1 }
  assert.equal(lineOf({ rss }, 'rss '), '  rss           toeplitz, symmetric, 6 slots: 3 for queue 0, 1 each for queues 1-3, input transformation 1')
})

test('hash fields by flow, and none of a driver that does not tell', () => {
  assert.equal(lineOf({ flowHash: { udp4: 'sd', tcp6: '', sctp4: 'r' } }, 'hash fields'), '  hash fields   udp4 sd, tcp6 none, sctp4 r')
  assert.equal(lineOf({ flowHash: undefined }, 'hash fields'), undefined)
})

test('a feature that is wanted and not in force, programs, and what could not be read', () => {
  const facts: InterfaceFacts = {
    ...IXGBE,
    features: { 'rx-gro': { on: false, fixed: false, requested: true } },
    xdpPrograms: [
      { mode: 'native', programId: 17, name: 'ringtap_xsk' },
      { mode: 'generic', programId: 18, name: undefined },
    ],
    unread: [{ what: 'RPS of queue 0', source: '/sys/class/net/eth0/queues/rx-0/rps_cpus', reason: 'EACCES: permission denied' }],
  }
  const lines = factsLines(facts)
  assert.ok(lines.includes('  offloads      off, though wanted on: rx-gro'))
  assert.ok(lines.includes('  xdp           basic redirect xsk-zerocopy, program 17 ringtap_xsk (native), program 18 (generic)'))
  assert.deepEqual(lines.slice(-1), ['  not read      RPS of queue 0: /sys/class/net/eth0/queues/rx-0/rps_cpus: EACCES: permission denied'])
})

test('many CPUs that took an interrupt are counted, not listed', () => {
  const [first] = IXGBE.interrupts
  assert.ok(first !== undefined)
  const interrupts = [{ ...first, counts: { 0: 1, 1: 5, 2: 4, 3: 3, 4: 2, 5: 0 } }]
  assert.match(factsLines({ ...IXGBE, interrupts }).join('\n'), /1: 5, 2: 4, 3: 3, 4: 2, 1 more$/m)
})

test('queues without interrupts have a table only where packets are steered', () => {
  const facts = recordedHost('veth').interfaceFacts('veth0')
  assert.deepEqual(factsLines(facts).slice(-2), ['  xdp           basic redirect rx-sg', '  rps           off'])
  const receiveQueues = [
    { queue: 0, rpsCpus: [0, 1, 3], rpsFlowCount: 0 },
    { queue: 1, rpsCpus: [], rpsFlowCount: 256 },
  ]
  assert.deepEqual(factsLines({ ...facts, receiveQueues }).slice(-4), [
    '  xdp           basic redirect rx-sg',
    '  RX QUEUE  RPS CPUS  RPS FLOWS',
    '  0         0-1,3     -',
    '  1         -         256',
  ])
})

test('XPS by CPUs and by receive queues', () => {
  const xps = (...transmitQueues: InterfaceFacts['transmitQueues']) => lineOf({ transmitQueues }, 'xps')
  assert.equal(xps({ queue: 0, xpsCpus: [], xpsReceivers: [] }, { queue: 1, xpsCpus: undefined }), undefined)
  assert.equal(xps({ queue: 0, xpsCpus: [], xpsReceivers: [] }, { queue: 1, xpsCpus: undefined, xpsReceivers: [0] }), '  xps           tx-1=rx:0')
  assert.equal(xps({ queue: 0, xpsCpus: [2, 3] }, { queue: 1, xpsCpus: [4], xpsReceivers: [0, 1, 5] }), '  xps           tx-0=2-3, tx-1=4, tx-1=rx:0-1,5')
})

test('of what has to do with other interfaces its kind and theirs', () => {
  const here = (name: string) => ({ name, netns: undefined })
  const kind = (facts: Partial<InterfaceFacts>) => lineOf(facts, 'kind')
  assert.equal(kind({}), undefined)
  assert.equal(kind({ kind: 'macvlan', lowers: [here('va6')] }), '  kind          macvlan on va6')
  assert.equal(kind({ kind: 'vlan', vlanId: 5, lowers: [here('eth0')] }), '  kind          vlan 5 on eth0')
  assert.equal(kind({ kind: 'bond', lowers: [here('eth0'), here('eth1')] }), '  kind          bond of eth0, eth1')
  assert.equal(kind({ kind: 'ipvlan', lowers: [{ name: 'eth0', netns: '/proc/1/ns/net' }] }), '  kind          ipvlan on eth0 (namespace /proc/1/ns/net)')
  assert.equal(kind({ kind: 'bridge', lowers: [] }), '  kind          bridge')
  assert.equal(kind({ kind: 'veth', peer: { ...here('vb'), features: {} } }), '  kind          veth, its other end is vb')
})

test('what of hardware can be stamped as it arrives', () => {
  const text = (...receiveFilters: string[]) =>
    lineOf({ timestamping: { hardwareReceive: true, hardwareTransmit: true, softwareReceive: false, receiveFilters, ptpClock: undefined } }, 'timestamps')
  assert.equal(text('none', 'all'), '  timestamps    hardware receive (all) and transmit')
  assert.equal(text('none', 'ptpv1-l4-sync', 'ptpv2-event'), '  timestamps    hardware receive (PTP only) and transmit')
  assert.equal(text('none', 'ptpv2-event', 'ntp-all'), '  timestamps    hardware receive (ptpv2-event, ntp-all) and transmit')
  assert.equal(text('none'), '  timestamps    hardware receive (none) and transmit')
  assert.equal(text(), '  timestamps    hardware receive and transmit')
})

test('a queue with two interrupts, and one that the names tell nothing of', () => {
  const [first, second] = IXGBE.interrupts
  assert.ok(first !== undefined && second !== undefined)
  const receiveQueues = [
    { queue: 0, rpsCpus: [4], rpsFlowCount: 0 },
    { queue: 1, rpsCpus: [], rpsFlowCount: 0 },
  ]
  const interrupts = [first, { ...second, queue: 0, effective: undefined }]
  assert.deepEqual(factsLines({ ...IXGBE, receiveQueues, interrupts }).slice(-4), [
    '  RX QUEUE  RPS CPUS  RPS FLOWS  IRQ  NAME         ON CPU  ALLOWED  INTERRUPTS BY CPU',
    '  0         4         -          81   eth0-TxRx-0  0       0-15     0: 1204311, 8: 17',
    '  0         4         -          82   eth0-TxRx-1  -       0-15     1: 1207428, 9: 18',
    '  1         -         -          -    -            -       -        -',
  ])
})

test('the document has null where nothing is known', () => {
  const { type, interfaces } = JSON.parse(factsDocument([IXGBE])) as { type: string; interfaces: Record<string, unknown>[] }
  assert.equal(type, 'interfaces')
  assert.deepEqual(Object.keys(interfaces[0] as object).sort(), [...Object.keys(IXGBE), 'state'].sort())
  assert.deepEqual([interfaces[0]?.state, interfaces[0]?.netns, interfaces[0]?.driver], ['up', null, 'ixgbe'])
})
