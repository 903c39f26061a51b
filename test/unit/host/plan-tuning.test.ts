import assert from 'node:assert/strict'
import { test } from 'node:test'
import { planLines } from '#src/cli/tune-lines.js'
import type { HostFacts, InterfaceFacts } from '#src/host/facts.js'
import { planTuning } from '#src/host/plan-tuning.js'
import type { TuningOptions, TuningRemark, TuningStep } from '#src/host/tuning/plan.js'
import { CaptureError } from '#src/index.js'
import { assertGolden } from '../../support/golden.js'
import { adjustable, cpuFacts, feature, hostFacts, nicFacts, queueInterrupts, vethFacts } from '../../support/host-facts.js'
import { range } from '../../support/live.js'
import { RECORDED_HOSTS, recordedHost } from '../../support/recorded-host.js'

for (const name of RECORDED_HOSTS) {
  test(`the plan for ${name} is the one beside this test`, () => {
    const host = recordedHost(name)
    const plans = Object.keys(host.devices).map((device) => planTuning(host.hostFacts(), host.interfaceFacts(device)))
    assertGolden(
      `unit/host/golden/tune-${name}.txt`,
      plans.flatMap((plan, index) => [...(index === 0 ? [] : ['', '']), ...planLines(plan)]),
    )
  })
}

function plan(host: Partial<HostFacts>, facts: Partial<InterfaceFacts>, options?: TuningOptions) {
  const { steps, remarks, ...rest } = planTuning(hostFacts(host), nicFacts(facts), options)
  return {
    ...rest,
    steps,
    remarks,
    step: (id: string): TuningStep | undefined => steps.find((it) => it.id === id),
    remark: (what: string): TuningRemark | undefined => remarks.find((it) => it.what === what),
  }
}

test('packets go to one CPU a physical core of the NUMA node of the interface', () => {
  const cpus = cpuFacts(8, { nodes: 2 })
  assert.deepEqual(plan({ cpus }, { numaNode: 1 }).cpus, [4, 5, 6, 7])
  assert.deepEqual(plan({ cpus }, { numaNode: undefined }).cpus, range(8))
  // A node that has memory and no CPU.
  assert.deepEqual(plan({ cpus }, { numaNode: 2 }).cpus, range(8))
  assert.deepEqual(plan({ cpus }, { numaNode: 1 }, { cpus: [9, 1, 8] }).cpus, [9, 1, 8])
  assert.deepEqual(plan({ cpus }, { numaNode: 1 }, { cpus: [9, 1, 8], noSmt: true }).cpus, [9, 8])
  for (const wrong of [[8, 99], []]) {
    assert.throws(
      () => plan({ cpus: cpuFacts(8) }, {}, { cpus: wrong }),
      (error) => error instanceof CaptureError && error.code === 'INVALID_OPTION' && /online CPUs \(0-15\)/.test(error.message),
    )
  }
})

test('queues are one a CPU, as far as the driver has them', () => {
  const cpus = cpuFacts(6)
  assert.deepEqual(plan({ cpus }, { rxQueues: 4 }).step('channels')?.change, { kind: 'channels', value: { combined: 6, rx: 0, tx: 0 } })
  assert.equal(plan({ cpus }, { rxQueues: 6 }).remark('queues')?.status, 'in-place')
  const few = { combined: adjustable(2, 4), rx: adjustable(0, 0), tx: adjustable(0, 0), other: adjustable(1, 1) }
  const step = plan({ cpus }, { rxQueues: 2, channels: few }).step('channels')
  assert.deepEqual(step?.to, 'combined 4')
  assert.match(step?.why ?? '', /the driver has 4 at most for 6 CPUs/)
  const apart = { combined: adjustable(0, 0), rx: adjustable(1, 8), tx: adjustable(3, 8), other: adjustable(0, 0) }
  assert.equal(plan({ cpus }, { rxQueues: 1, channels: apart }).step('channels')?.command, 'ethtool -L eth0 rx 6')
  const fixed = { combined: adjustable(1, 1), rx: adjustable(0, 0), tx: adjustable(0, 0), other: adjustable(0, 0) }
  assert.equal(plan({ cpus }, { rxQueues: 1, channels: fixed }).remark('queues')?.status, 'unsupported')
  assert.equal(plan({ cpus }, { channels: undefined }).remark('queues')?.status, 'unsupported')
})

test('a table that leads to a queue that goes is put aside first', () => {
  const ids = (rxQueues: number) => plan({ cpus: cpuFacts(4) }, { rxQueues }).steps.map(({ id }) => id)
  assert.deepEqual(ids(8).slice(0, 2), ['rss-default', 'channels'])
  assert.deepEqual(ids(2).slice(0, 2), ['channels', 'feature rx-gro'])
})

test('when the channels change the rest is foreseen, and the plan says so', () => {
  const { afresh, steps } = plan({ cpus: cpuFacts(4) }, { rxQueues: 2 })
  assert.match(afresh ?? '', /reads all afresh.*interrupts of the queues 2-3, which are not there yet, go to the CPUs 2, 3$/)
  assert.deepEqual(
    steps.filter(({ change }) => change.kind === 'interrupt').map(({ command }) => command),
    ['echo 0 > /proc/irq/57/smp_affinity_list', 'echo 1 > /proc/irq/58/smp_affinity_list'],
  )
  assert.equal(plan({ cpus: cpuFacts(4) }, { rxQueues: 4 }).afresh, undefined)
})

test('with more queues than CPUs interrupts go round', () => {
  const { steps } = plan({ cpus: cpuFacts(2) }, { rxQueues: 4, channels: undefined, interrupts: queueInterrupts('eth0', 4, [0, 1]) })
  const pinned = steps.flatMap(({ change }) => (change.kind === 'interrupt' ? [change.value] : []))
  assert.deepEqual(pinned, [[0], [1], [0], [1]])
})

test('the key is 6d5a over its whole length, for Toeplitz that is not symmetric yet', () => {
  const rss = nicFacts().rss
  assert.ok(rss !== undefined)
  const change = plan({}, {}).step('rss-key')?.change
  assert.deepEqual(change, { kind: 'rss-key', value: '6d5a'.repeat(20) })
  assert.match(plan({}, {}).step('rss-key')?.command ?? '', /^ethtool -X eth0 hkey 6d:5a:6d:(5a:6d:)+5a$/)
  assert.equal(plan({}, { rss: { ...rss, key: 'aa'.repeat(52) } }).step('rss-key')?.to, '6d5a'.repeat(26))
  assert.equal(plan({}, { rss: { ...rss, symmetric: true } }).remark('RSS key')?.status, 'in-place')
  assert.equal(plan({}, { rss: { ...rss, hashFunction: 'crc32' } }).remark('RSS key')?.status, 'unsupported')
  assert.equal(plan({}, { rss: { ...rss, key: undefined } }).remark('RSS key')?.status, 'unsupported')
})

test('a table is equal when no queue has two slots more than another, in whichever order', () => {
  const rss = nicFacts().rss
  assert.ok(rss !== undefined)
  const status = (indirection: number[]) => plan({ cpus: cpuFacts(4) }, { rss: { ...rss, indirection } }).remark('RSS indirection')?.status
  assert.equal(status(range(128).map((slot) => slot % 4)), 'in-place')
  assert.equal(status(range(128).map((slot) => Math.floor(slot / 32))), 'in-place')
  assert.equal(status(range(128).map((slot) => slot % 2)), undefined)
  const step = plan({ cpus: cpuFacts(4) }, { rss: { ...rss, indirection: range(128).map(() => 0) } }).step('rss-indirection')
  assert.deepEqual([step?.from, step?.to, step?.command], ['all 128 slots to queue 0', '4 queues, 32 slots each', 'ethtool -X eth0 equal 4'])
})

test('addresses and ports are hashed of TCP and UDP, and what else is hashed stays', () => {
  const commands = (facts: Partial<InterfaceFacts>) => plan({}, facts).steps.flatMap(({ change, command }) => (change.kind === 'flow-hash' ? [command] : []))
  const set = (flow: string, fields: string) => `ethtool -N eth0 rx-flow-hash ${flow} ${fields}`
  assert.deepEqual(commands({}), [set('udp4', 'sdfn'), set('udp6', 'sdfn')])
  const odd = { tcp4: 'sdf', udp4: 'vsd', tcp6: 'nftds', udp6: 'mtn', sctp4: 'sd' }
  assert.deepEqual(commands({ flowHash: odd }), [set('tcp4', 'sdfn'), set('udp4', 'vsdfn'), set('udp6', 'mtsdfn')])
  assert.deepEqual(commands({ flowHash: odd, rss: undefined }), commands({ flowHash: odd }))
  assert.deepEqual(commands({ rxQueues: 1, channels: undefined }), [])
  const udp = plan({}, {}).step('flow-hash udp4')
  assert.deepEqual([udp?.subject, udp?.from, udp?.to, udp?.mayFlap, udp?.hostWide], ['eth0 udp4', 'sd', 'sdfn', false, false])
  assert.match(udp?.why ?? '', /^without the ports .* flood from one address.*; the price: of datagrams that come in fragments only the first has ports/)
  assert.match(
    plan({}, { flowHash: odd }).step('flow-hash tcp4')?.why ?? '',
    /^flows that differ in nothing but what is left out .*segments that come in fragments/,
  )
})

test('hash fields that are better left, or to a person, or that the driver does not tell', () => {
  const told = (flowHash: InterfaceFacts['flowHash'], facts: Partial<InterfaceFacts> = {}) => {
    const { remarks, steps } = planTuning(hostFacts(), nicFacts({ ...facts, flowHash }))
    assert.ok(!steps.some(({ change }) => change.kind === 'flow-hash'))
    return remarks.filter(({ what }) => what === 'hash fields')
  }
  assert.deepEqual(
    told(undefined).map(({ status, subject }) => [status, subject]),
    [['unsupported', 'eth0']],
  )
  assert.deepEqual(
    told({ udp4: 'sd' }, { rxQueues: 1, channels: undefined }).map(({ status, why }) => [status, why]),
    [['left', 'the only queue gets every flow']],
  )
  assert.deepEqual(
    told({ tcp4: 'sdfn', udp4: 'fn', udp6: '' }).map(({ status, subject, command }) => [status, subject, command]),
    [
      ['in-place', 'eth0 tcp4', undefined],
      ['left', 'eth0 udp4', undefined],
      ['unsupported', 'eth0 tcp6', undefined],
      ['by-hand', 'eth0 udp6', 'ethtool -N eth0 rx-flow-hash udp6 sdfn'],
    ],
  )
  for (const fields of ['r', 'sdr', 'sdfnr']) {
    const [discarded] = told({ tcp4: fields })
    assert.deepEqual([discarded?.status, discarded?.command], ['by-hand', 'ethtool -N eth0 rx-flow-hash tcp4 sdfn'])
    assert.match(discarded?.why ?? '', /throws them away/)
  }
})

test('what makes one packet of several or takes the tag away is switched off where it is on and can be', () => {
  const features = { 'rx-gro': feature(true), 'rx-lro': feature(true, true), 'rx-gro-hw': feature(false), 'rx-vlan-hw-parse': feature(false, false, true) }
  const { steps, remark } = plan({}, { features })
  assert.deepEqual(
    steps.filter(({ change }) => change.kind === 'feature').map(({ command }) => command),
    ['ethtool -K eth0 gro off', 'ethtool -K eth0 rxvlan off'],
  )
  assert.deepEqual([remark('LRO')?.status, remark('hardware GRO')?.status], ['unsupported', 'in-place'])
})

test('GRO of a veth is left alone, whether it is on or off', () => {
  for (const on of [true, false]) {
    const { remarks, steps } = planTuning(hostFacts(), vethFacts({ features: { 'rx-gro': feature(on) } }))
    assert.ok(!steps.some(({ id }) => id === 'feature rx-gro'))
    assert.ok(remarks.some(({ what, status, why }) => what === 'GRO' && status === 'left' && why.startsWith(on ? 'on:' : 'off:')))
  }
})

function planVeth(facts: Partial<InterfaceFacts>, cores = 4) {
  const { steps, remarks } = planTuning(hostFacts({ cpus: cpuFacts(cores) }), vethFacts(facts))
  const rps = steps.flatMap(({ change }) => (change.kind === 'receive-queue-cpus' ? [[change.queue, change.value]] : []))
  return { queues: steps.find(({ id }) => id === 'channels')?.to, remark: remarks.find(({ what }) => what === 'queues'), rps, remarks }
}

test('a veth has receive queues for the transmit queues of its other end, and no more', () => {
  const veth = (rx: number, peerTxQueues: number | undefined, maximum = 8): Partial<InterfaceFacts> => {
    const channels = { combined: adjustable(0, 0), rx: adjustable(rx, maximum), tx: adjustable(1, maximum), other: adjustable(0, 0) }
    return { rxQueues: rx, channels, peerTxQueues, transmitQueues: [{ queue: 0, xpsCpus: undefined }] }
  }
  // Receive queues, transmit queues of the other end; to, on 4 CPUs.
  for (const [rx, peer, to] of [
    [1, 4, 'rx 4 tx 1'],
    [1, 8, 'rx 4 tx 1'],
    [1, 3, 'rx 3 tx 1'],
    [1, 1, undefined],
    [2, 1, undefined],
    [4, 4, undefined],
    [8, 8, undefined],
    [8, 6, 'rx 6 tx 1'],
    [8, 1, 'rx 4 tx 1'],
    [1, undefined, undefined],
    [8, undefined, undefined],
  ] as const) {
    assert.equal(planVeth(veth(rx, peer)).queues, to, `rx ${rx}, peer ${peer}`)
  }
  assert.match(planVeth(veth(1, 1)).remark?.why ?? '', /^1: a veth gets frames on as many as its other end has transmit queues, and those are 1$/)
  assert.match(planVeth(veth(1, undefined)).remark?.why ?? '', /how many those are is not to be read$/)
  assert.equal(planVeth(veth(1, 1)).remark?.status, 'left')
  assert.equal(planVeth(veth(1, 4, 2)).queues, 'rx 2 tx 1')
})

test('where all frames of a veth come to one queue they are spread by RPS, however many it has', () => {
  const rxQueues = 2
  assert.deepEqual(planVeth({ rxQueues: 1, peerTxQueues: 1 }).rps, [[0, [0, 1, 2, 3]]])
  assert.deepEqual(planVeth({ rxQueues: 1 }).rps, [[0, [0, 1, 2, 3]]])
  assert.deepEqual(planVeth({ rxQueues, peerTxQueues: 1 }).rps, [[0, [0, 1, 2, 3]]])
  assert.deepEqual(planVeth({ rxQueues, peerTxQueues: 2 }).rps, [])
  const on = range(2).map((queue) => ({ queue, rpsCpus: [0, 1], rpsFlowCount: 0 }))
  const { rps, remarks } = planVeth({ rxQueues, peerTxQueues: 1, receiveQueues: on })
  assert.deepEqual(rps, [[0, [0, 1, 2, 3]]])
  assert.equal(remarks.find(({ what, subject }) => what === 'RPS' && subject === 'veth0 queue 1')?.status, 'left')
})

test('an interrupt waits no longer than half a ring takes to fill, nor than 50 µs', () => {
  const usecs = (facts: Partial<InterfaceFacts>) => plan({}, facts).step('coalescing')?.to
  assert.equal(usecs({}), 'use_adaptive_rx_coalesce 0 rx_coalesce_usecs 50')
  assert.equal(usecs({ speedMbps: 100_000 }), 'use_adaptive_rx_coalesce 0 rx_coalesce_usecs 12')
  assert.equal(usecs({ rings: { rx: adjustable(256, 512), tx: adjustable(256, 512) } }), 'use_adaptive_rx_coalesce 0 rx_coalesce_usecs 16')
  assert.equal(usecs({ speedMbps: undefined }), 'use_adaptive_rx_coalesce 0 rx_coalesce_usecs 50')
  assert.equal(usecs({ coalescing: { use_adaptive_rx_coalesce: 0, rx_coalesce_usecs: 30 } }), undefined)
  assert.equal(usecs({ coalescing: { use_adaptive_rx_coalesce: 1, rx_coalesce_usecs: 30 } }), 'use_adaptive_rx_coalesce 0 rx_coalesce_usecs 50')
})

test('RPS is on for a single queue, without the CPU of its interrupt where there are enough others, and off beside RSS', () => {
  const single = { rxQueues: 1, channels: undefined, interrupts: queueInterrupts('eth0', 1, [0]) }
  const to = (cores: number, facts: Partial<InterfaceFacts> = {}) =>
    plan({ cpus: cpuFacts(cores) }, { ...single, ...facts }).step('receive-queue-cpus 0')?.change.value
  assert.equal(to(1), undefined)
  assert.deepEqual(to(2), [0, 1])
  assert.deepEqual(to(3), [0, 1, 2])
  assert.deepEqual(to(4), [1, 2, 3])
  assert.deepEqual(to(4, { interrupts: [] }), [0, 1, 2, 3])
  const on = range(4).map((queue) => ({ queue, rpsCpus: [0, 1], rpsFlowCount: 0 }))
  assert.deepEqual(plan({}, { receiveQueues: on }).step('receive-queue-cpus 3')?.command, 'echo 0 > /sys/class/net/eth0/queues/rx-3/rps_cpus')
  assert.equal(plan({}, { receiveQueues: on, rss: undefined }).remark('RPS')?.status, 'left')
})

test('a governor that the machine does not have is not planned', () => {
  const cpus = cpuFacts(4, { governor: 'userspace' }).map((it) => ({ ...it, availableGovernors: it.cpu === 2 ? ['userspace', 'performance'] : ['userspace'] }))
  const { steps, remark } = plan({ cpus }, {})
  assert.deepEqual(
    steps.flatMap(({ change }) => (change.kind === 'governor' ? [change.cpu] : [])),
    [2],
  )
  assert.equal(remark('frequency governor')?.why, 'this machine has userspace, and no performance')
})

test('the backlog is raised only where RPS fills it, and no limit is lowered', () => {
  const single = { rxQueues: 1, channels: undefined }
  assert.equal(plan({}, single).step('sysctl net.core.netdev_max_backlog')?.command, 'sysctl -w net.core.netdev_max_backlog=16384')
  assert.equal(plan({}, {}).step('sysctl net.core.netdev_max_backlog'), undefined)
  const sysctls = { 'net.core.netdev_max_backlog': '250000', 'net.core.netdev_budget': '600', 'net.core.netdev_budget_usecs': undefined }
  assert.deepEqual(
    plan({ sysctls }, single).steps.filter(({ change }) => change.kind === 'sysctl'),
    [],
  )
})

test('what is the whole machine’s is not done for an interface of a namespace, but named', () => {
  const cpus = cpuFacts(4, { governor: 'powersave' })
  assert.ok(plan({ cpus }, {}).steps.some(({ hostWide }) => hostWide))
  const { steps, remark } = plan({ cpus }, { netns: 'blue' })
  assert.ok(!steps.some(({ hostWide }) => hostWide))
  assert.match(remark('frequency governor')?.command ?? '', /^echo performance > /)
  assert.equal(steps.find(({ id }) => id === 'rings')?.command, 'ip netns exec blue ethtool -G eth0 rx 4096')
})

test('a limit that is only to be read in this namespace is for a person in that of the host', () => {
  const { steps, remarks } = planTuning(hostFacts({ readOnlySysctls: ['net.core.rmem_max'] }), nicFacts())
  assert.ok(steps.some(({ id }) => id === 'sysctl net.core.netdev_budget') && !steps.some(({ id }) => id === 'sysctl net.core.rmem_max'))
  const told = remarks.find(({ subject }) => subject === 'net.core.rmem_max')
  assert.deepEqual([told?.status, told?.command], ['by-hand', 'nsenter --net=/proc/1/ns/net sysctl -w net.core.rmem_max=4194304'])
  assert.match(told?.why ?? '', /^212992 -> 4194304, of the whole machine, and only to be read in this network namespace: /)
})

test('what has its packets from others is tuned there, and nothing that is without effect is planned', () => {
  const stacked = (facts: Partial<InterfaceFacts>) => plan({}, { kind: 'macvlan', rxQueues: 1, channels: undefined, ...facts })
  const here = stacked({ lowers: [{ name: 'eth1', netns: undefined }] })
  assert.deepEqual(
    here.steps.filter(({ hostWide }) => !hostWide),
    [],
  )
  assert.equal(here.step('sysctl net.core.netdev_max_backlog'), undefined)
  assert.deepEqual(
    ['GRO', 'RPS', 'XPS'].map((what) => here.remark(what)?.status),
    ['left', 'left', 'left'],
  )
  const below = (facts: Partial<InterfaceFacts>) =>
    stacked(facts).remarks.flatMap(({ what, status, why, command }) => (what === 'what comes before it' ? [[status, why.replace(/:.*/, ''), command]] : []))
  assert.deepEqual(below({ lowers: [{ name: 'eth1', netns: undefined }] }), [['by-hand', 'its packets come by eth1', 'ringtap tune apply -i eth1']])
  assert.deepEqual(below({ kind: 'vlan', netns: 'blue', lowers: [{ name: 'eth1', netns: 'blue' }] }), [
    ['by-hand', 'its packets come by eth1', 'ringtap tune apply -i eth1 --netns blue'],
  ])
  const members = ['eth1', 'eth2'].map((name) => ({ name, netns: undefined }))
  assert.deepEqual(
    below({ kind: 'bond', lowers: members }).map(([, , command]) => command),
    members.map(({ name }) => `ringtap tune apply -i ${name}`),
  )
  assert.deepEqual(below({ lowers: [] }), [['left', 'its packets come by another interface, which is not to be seen from here', undefined]])
  const unread = [{ what: 'interfaces below', source: 'setns', reason: 'EPERM' }]
  assert.deepEqual(below({ lowers: [], unread }), [['left', 'its packets come by another interface, and which is not to be read', undefined]])
})

test('queues that RSS does not fill are not made', () => {
  const cpus = cpuFacts(32)
  const table = (slots: number, queues: number) => {
    const { rss } = nicFacts()
    return rss && { ...rss, indirection: range(slots).map((slot) => slot % queues) }
  }
  const step = plan({ cpus }, { rxQueues: 8, rss: table(128, 8) }).step('channels')
  assert.equal(step?.to, 'combined 16')
  assert.match(step?.why ?? '', /; RSS fills 16 at most$/)
  // X550.
  assert.equal(plan({ cpus }, { rxQueues: 8, rss: table(512, 8) }).step('channels')?.to, 'combined 32')
  const many = { combined: adjustable(8, 128), rx: adjustable(0, 0), tx: adjustable(0, 0), other: adjustable(1, 1) }
  assert.equal(plan({ cpus: cpuFacts(80) }, { driver: 'x', rxQueues: 8, channels: many, rss: table(64, 8) }).step('channels')?.to, 'combined 64')
  assert.equal(plan({ cpus }, { rxQueues: 16, rss: table(128, 16) }).remark('queues')?.why, '16, as many as the driver can fill')
})

test('isolated CPUs are left out while there are others on the node, and the plan says so', () => {
  const cpus = cpuFacts(4, { nodes: 2, threads: 1 })
  const chosen = (isolatedCpus: number[], facts: Partial<InterfaceFacts> = {}) => {
    const { cpus: list, cpusWhy } = plan({ cpus, isolatedCpus }, facts)
    return [list, cpusWhy]
  }
  assert.deepEqual(chosen([1, 3], { numaNode: undefined }), [[0, 2], 'one a physical core; without the isolated 1,3 (isolcpus, nohz_full)'])
  const node = "one a physical core of NUMA node 1, where eth0 is: packets do not cross to another node's memory"
  assert.deepEqual(chosen([1, 3], { numaNode: 1 }), [[2], `${node}; without the isolated 3 (isolcpus, nohz_full)`])
  assert.deepEqual(chosen([2, 3], { numaNode: 1 }), [[2, 3], `${node}; all cores are isolated (isolcpus, nohz_full)`])
  assert.deepEqual(chosen([0, 1], { numaNode: 1 }), [[2, 3], node])
  assert.deepEqual(plan({ cpus: cpuFacts(4), isolatedCpus: [2, 7] }, { numaNode: undefined }).cpus, [0, 1])
  assert.deepEqual(plan({ cpus, isolatedCpus: [3] }, {}, { cpus: [3] }).cpus, [3])
})

test('for one CPU RPS is not called the matter of RSS where there is none', () => {
  const receiveQueues = [{ queue: 0, rpsCpus: [1], rpsFlowCount: 0 }]
  const veth = planTuning(hostFacts({ cpus: cpuFacts(2) }), vethFacts({ receiveQueues, peerTxQueues: 1 }), { cpus: [0] })
  assert.ok(!veth.steps.some(({ what }) => what === 'RPS'))
  const told = veth.remarks.find(({ what }) => what === 'RPS')
  assert.deepEqual([told?.status, told?.why], ['left', 'on, beside one CPU that is to take packets: nothing else spreads them'])
  const nic = plan({}, { rxQueues: 1, channels: undefined, receiveQueues }, { cpus: [0] }).step('receive-queue-cpus 0')
  assert.deepEqual([nic?.to, nic?.why], ['none', 'one CPU is to take the packets, and RPS would hand them on to others'])
})

test('a tun chooses its queue itself, and has as many as programs have opened', () => {
  const channels = { combined: adjustable(2, 256), rx: adjustable(0, 0), tx: adjustable(0, 0), other: adjustable(0, 0) }
  const { step, remark, steps } = plan({}, { kind: 'tun', driver: 'tun', rxQueues: 2, channels, rss: undefined, interrupts: [] })
  assert.equal(step('channels'), undefined)
  assert.deepEqual([remark('queues')?.status, remark('XPS')?.status], ['unsupported', 'unsupported'])
  assert.ok(!steps.some(({ what }) => what === 'XPS'))
})

test('virtio_net without the coalescing of its host is not asked for it', () => {
  const told = (virtioFeatures: number[]) => plan({}, { driver: 'virtio_net', virtioFeatures })
  assert.equal(told([52, 53]).step('coalescing')?.to, 'use_adaptive_rx_coalesce 0 rx_coalesce_usecs 50')
  assert.equal(told([0, 52]).remark('interrupt coalescing')?.status, 'unsupported')
  assert.equal(told([]).step('coalescing'), undefined)
})

test('the wait of an interrupt is told with the number of packets that end it', () => {
  const why = (frames: number) => plan({}, { coalescing: { rx_coalesce_usecs: 3, rx_max_coalesced_frames: frames } }).step('coalescing')?.why ?? ''
  assert.match(why(128), /^one interrupt for all that arrives in 50 µs, or sooner for 128 packets \(rx_max_coalesced_frames\), and never/)
  for (const frames of [0, 1]) assert.match(why(frames), /^one interrupt for all that arrives in 50 µs, and never/)
})

test('threads of the kernel give the packets back to the interrupts', () => {
  const step = plan({}, { threaded: 1 }).step('threaded')
  assert.deepEqual([step?.from, step?.to, step?.command], ['on', 'off', 'echo 0 > /sys/class/net/eth0/threaded'])
  assert.equal(plan({}, { threaded: 2, netns: 'blue' }).step('threaded')?.command, "ip netns exec blue sh -c 'echo 0 > /sys/class/net/eth0/threaded'")
  assert.equal(plan({}, { threaded: 0 }).remark('threaded NAPI')?.status, 'in-place')
  assert.equal(plan({}, {}).remark('threaded NAPI'), undefined)
})

test('a feature that waits is not said to be on', () => {
  const { step } = plan({}, { features: { 'rx-gro': feature(false, false, true), 'rx-lro': feature(true) } })
  assert.deepEqual([step('feature rx-gro')?.from, step('feature rx-lro')?.from], ['off (wanted on)', 'on'])
})

test('irqbalance is told, with what to type', () => {
  const { remark } = plan({ irqbalance: { running: true, pid: 812 } }, {})
  assert.deepEqual([remark('daemon')?.status, remark('daemon')?.command], ['by-hand', 'systemctl stop irqbalance'])
  assert.match(remark('daemon')?.why ?? '', /pid 812.*--banirq/)
})

test('what could not be read is named in the plan', () => {
  const fact = (what: string) => ({ what, source: '/proc/interrupts', reason: 'EACCES: permission denied' })
  const { unread, remark } = plan({ unread: [fact('irqbalance')] }, { interrupts: [], unread: [fact('interrupts')] })
  assert.deepEqual(unread, [fact('irqbalance'), fact('interrupts')])
  assert.equal(remark('interrupts')?.why, 'not readable: /proc/interrupts: EACCES: permission denied')
})
