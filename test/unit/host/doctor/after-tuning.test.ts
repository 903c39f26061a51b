/** What tuning has made of an interface, the doctor finds right: the two go by the same CPUs, queues and offloads. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { applyTuning } from '#src/host/apply-tuning.js'
import { diagnose } from '#src/host/doctor/diagnose.js'
import type { Finding } from '#src/host/doctor/finding.js'
import type { HostFacts, InterfaceFacts } from '#src/host/facts.js'
import { examinedHost } from '../../../support/examined.js'
import { adjustable, cpuFacts, feature, hostFacts, nicFacts, queueInterrupts, SOME_FEATURES, vethFacts } from '../../../support/host-facts.js'
import { range } from '../../../support/live.js'
import { type Random, seededRandom } from '../../../support/random.js'
import { RECORDED_HOSTS, recordedHost } from '../../../support/recorded-host.js'
import { memoryJournal, TunableMachine } from '../../../support/tunable-machine.js'

/** Findings about what tuning sets. */
const TUNED = ['queues', 'interrupts', 'gro', 'gro-hw', 'lro', 'rxvlan', 'ring', 'rss', 'flow-hash', 'rps']
/** Remedies that look and do not change. */
const ONLY_LOOKS = /^(ringtap tune plan|ethtool -x) /

function tuned(host: HostFacts, facts: InterfaceFacts): Finding[] {
  const machine = new TunableMachine(host, facts)
  const { plan } = applyTuning(machine, memoryJournal(), { yesIMayLoseThisLink: true })
  assert.deepEqual(plan.steps, [])
  const { findings } = diagnose({ ...examinedHost('veth'), host: machine.host, interfaces: [machine.interface] })
  const fixed = Object.entries({ gro: 'rx-gro', 'gro-hw': 'rx-gro-hw', lro: 'rx-lro', rxvlan: 'rx-vlan-hw-parse' }).filter(
    ([, it]) => facts.features[it]?.fixed,
  )
  return findings.filter(({ id }) => TUNED.includes(id) && !fixed.some(([of]) => of === id))
}

function assertRight(findings: readonly Finding[], told: string): void {
  assert.ok(findings.length > 0, told)
  for (const { id, severity, what, remedy } of findings) {
    assert.notEqual(severity, 'limits', `${id}: ${what}; ${told}`)
    assert.ok(remedy === undefined || ONLY_LOOKS.test(remedy), `${id}: ${remedy}; ${told}`)
  }
}

for (const name of RECORDED_HOSTS) {
  test(`a recorded machine, ${name}`, () => {
    const recorded = recordedHost(name)
    for (const interfaceName of Object.keys(recorded.devices)) assertRight(tuned(recorded.hostFacts(), recorded.interfaceFacts(interfaceName)), name)
  })
}

test('two processors of 16 cores: a queue for each core of the one that has the NIC is enough', () => {
  const host = hostFacts({ cpus: cpuFacts(32, { nodes: 2 }) })
  const findings = tuned(host, nicFacts({ numaNode: 1 }))
  assert.equal(findings.find(({ id }) => id === 'queues')?.what, '16 receive queues for 16 cores of NUMA node 1')
  assertRight(findings, '2 x 16')
})

test('more queues than cores, with a driver that fixes their number, share cores evenly', () => {
  const findings = tuned(hostFacts(), nicFacts({ rxQueues: 8, channels: undefined }))
  assert.equal(findings.find(({ id }) => id === 'interrupts')?.what, '8 queues interrupt 4 CPUs, about evenly')
  assertRight(findings, '8 queues')
})

test('a queue with two interrupts has both on its core', () => {
  const interrupts = [...queueInterrupts('eth0', 4, range(8)), ...queueInterrupts('eth0', 4, range(8), 90)]
  const findings = tuned(hostFacts(), nicFacts({ interrupts }))
  assert.equal(findings.find(({ id }) => id === 'interrupts')?.severity, 'ok')
})

test('a veth keeps its GRO, and RPS that is on, and neither is to be switched off', () => {
  const receiveQueues = range(2).map((queue) => ({ queue, rpsCpus: [0, 1], rpsFlowCount: 0 }))
  const findings = tuned(hostFacts(), vethFacts({ rxQueues: 2, receiveQueues }))
  assert.deepEqual(
    ['gro', 'rps'].map((id) => findings.find((it) => it.id === id)?.severity),
    ['note', 'ok'],
  )
  assertRight(findings, 'a veth')
})

function randomHost(random: Random): HostFacts {
  const cpus = cpuFacts(random.between(1, 32), { nodes: random.between(1, 2), threads: random.between(1, 2) })
  const numbers = cpus.map(({ cpu }) => cpu)
  const some = numbers.filter(() => random.oneIn(2))
  return hostFacts({ cpus, allowedCpus: random.oneIn(2) || some.length === 0 ? numbers : some })
}

function randomInterface(random: Random, host: HostFacts): InterfaceFacts {
  const rxQueues = random.between(1, 12)
  const online = host.cpus.map(({ cpu }) => cpu)
  const [combined, rx] = random.pick([
    [adjustable(rxQueues, random.between(rxQueues, 64)), adjustable(0, 0)],
    [adjustable(0, 0), adjustable(rxQueues, random.between(rxQueues, 64))],
  ] as const)
  const rps = random.oneIn(3)
  const shared: Partial<InterfaceFacts> = {
    rxQueues,
    channels: random.oneIn(4) ? undefined : { combined, rx, tx: adjustable(1, 1), other: adjustable(0, 0) },
    receiveQueues: range(rxQueues).map((queue) => ({ queue, rpsCpus: rps ? [random.pick(online)] : [], rpsFlowCount: 0 })),
  }
  if (random.oneIn(4)) return vethFacts({ ...shared, ...(random.oneIn(4) ? {} : { peerTxQueues: random.between(1, 12) }) })
  const interrupts = queueInterrupts('eth0', rxQueues, [random.pick(online)])
  return nicFacts({
    ...shared,
    numaNode: random.pick([undefined, 0, 1]),
    interrupts: random.oneIn(4) ? [] : random.oneIn(3) ? [...interrupts, ...queueInterrupts('eth0', rxQueues, online, 900)] : interrupts,
    features: { ...SOME_FEATURES, 'rx-gro-hw': feature(random.oneIn(2)) },
    ...(random.oneIn(4) ? { rss: undefined } : {}),
    flowHash: random.pick([undefined, ...['sd', 'sdfn', 'vsdf', 'tsn', 'fn'].map((fields) => ({ tcp4: 'sdfn', udp4: fields, udp6: fields }))]),
  })
}

test('machines at random', (t) => {
  const random = seededRandom(t)
  for (let round = 0; round < 300; round++) {
    const host = randomHost(random)
    const facts = randomInterface(random, host)
    const { rxQueues, peerTxQueues, channels, kind, numaNode } = facts
    assertRight(tuned(host, facts), JSON.stringify({ rxQueues, peerTxQueues, channels, kind, numaNode, cpus: host.cpus.length, allowed: host.allowedCpus }))
  }
})
