import assert from 'node:assert/strict'
import { test } from 'node:test'
import { applyTuning } from '#src/host/apply-tuning.js'
import type { FlowHashFacts, HostFacts, InterfaceFacts, QueueFacts } from '#src/host/facts.js'
import { planTuning } from '#src/host/plan-tuning.js'
import { revertTuning } from '#src/host/revert-tuning.js'
import { settingKey, settingsOf } from '#src/host/tuning/setting.js'
import { CaptureError } from '#src/index.js'
import { EACCES, EBUSY, EINVAL, EIO, ENOSPC, EOPNOTSUPP, EPERM, EROFS } from '#src/kernel/errno.js'
import { adjustable, cpuFacts, feature, hostFacts, nicFacts, queueInterrupts, SOME_FEATURES, vethFacts } from '../../support/host-facts.js'
import { range } from '../../support/live.js'
import { type Random, seededRandom } from '../../support/random.js'
import { RECORDED_HOSTS, recordedHost } from '../../support/recorded-host.js'
import { type DriverWays, kernelError, memoryJournal, TunableMachine } from '../../support/tunable-machine.js'

const HOST = hostFacts({ cpus: cpuFacts(4, { governor: 'schedutil' }) })
/** Eight queues on four cores, and a table that somebody has set. */
const CROWDED = nicFacts({ rxQueues: 8, transmitQueues: range(8).map((queue) => ({ queue, xpsCpus: [7 - queue], xpsReceivers: [queue] })) })

function settings(machine: TunableMachine) {
  return Object.fromEntries(settingsOf(machine.host, machine.interface).map((setting) => [settingKey(setting), setting.value]))
}

function captureError(code: string, message: RegExp) {
  return (error: unknown) => error instanceof CaptureError && error.code === code && message.test(error.message)
}

test('what a plan says is in force after it was applied, and the next plan has no steps', () => {
  const machine = new TunableMachine(HOST, CROWDED)
  const { applied, refused, plan } = applyTuning(machine, memoryJournal())
  assert.deepEqual(plan.steps, [])
  assert.deepEqual(refused, [])
  assert.ok(applied.length > 10)
  assert.deepEqual(machine.interface.channels?.combined.current, 4)
  assert.deepEqual(
    machine.interface.interrupts.map(({ affinity }) => affinity),
    [[0], [1], [2], [3]],
  )
  assert.equal(machine.interface.rss?.key?.slice(0, 8), '6d5a6d5a')
  assert.ok(machine.interface.features['rx-gro']?.on === false && machine.interface.features['rx-checksum']?.on === true)
  assert.equal(machine.interface.rings?.rx.current, 4096)
})

test('a revert puts everything back, removes the journal, and a second one has nothing to do', () => {
  const machine = new TunableMachine(HOST, CROWDED)
  const before = settings(machine)
  const journal = memoryJournal()
  applyTuning(machine, journal)
  assert.notDeepEqual(settings(machine), before)
  const { restored, since } = revertTuning(machine, journal)
  assert.ok(restored.length > 5 && since !== undefined)
  assert.deepEqual(settings(machine), before)
  assert.equal(journal.text, undefined)
  const writes = machine.writes.length
  assert.deepEqual(revertTuning(machine, journal), { since: undefined, restored: [], gone: [], left: undefined })
  assert.equal(machine.writes.length, writes)
})

test('the journal is written before anything is changed', () => {
  const machine = new TunableMachine(HOST, CROWDED)
  const journal = memoryJournal()
  const states: (string | undefined)[] = []
  machine.before = () => states.push(journal.text)
  applyTuning(machine, journal)
  assert.ok(states.length > 0 && states.every((text) => text !== undefined))
})

test('an apply on top of an apply keeps what was before the first', () => {
  const machine = new TunableMachine(HOST, CROWDED)
  const before = settings(machine)
  const journal = memoryJournal()
  applyTuning(machine, journal, { cpus: [0, 1] })
  assert.equal(machine.interface.rxQueues, 2)
  applyTuning(machine, journal, { cpus: [4, 5, 6] })
  assert.equal(machine.interface.rxQueues, 3)
  revertTuning(machine, journal)
  assert.deepEqual(settings(machine), before)
})

test('with nothing to do there is neither a write nor a journal', () => {
  const machine = new TunableMachine(HOST, CROWDED)
  applyTuning(machine, memoryJournal())
  const journal = memoryJournal()
  const writes = machine.writes.length
  const outcome = applyTuning(machine, journal)
  assert.deepEqual([outcome.applied, outcome.journal, journal.text, machine.writes.length], [[], undefined, undefined, writes])
})

const SAME_NAME = range(3).map((it) => ({ irq: 90 + it, name: 'CEQ', queue: undefined, affinity: [it], effective: [it], counts: {} }))
const MERGING = { rings: { rx: adjustable(511, 2047), tx: adjustable(511, 2047) }, features: { ...SOME_FEATURES, 'rx-gro-hw': feature(true) } }
const ADDRESSES = { tcp4: 'sd', udp4: 'sd', tcp6: 'sd', udp6: 'sd' }
const ADAPTIVE = { use_adaptive_rx_coalesce: 1, rx_coalesce_usecs: 8 }

const MACHINES: readonly (readonly [name: string, host: HostFacts, facts: InterfaceFacts, ways?: DriverWays])[] = [
  ['a NIC', HOST, CROWDED],
  ['a veth', HOST, vethFacts()],
  ['a NIC whose NAPI is threaded', HOST, nicFacts({ rxQueues: 8, threaded: 1 })],
  ['a NIC of two queues', HOST, nicFacts({ rxQueues: 2 })],
  ['a NIC that resets the wait with the moderation', HOST, nicFacts({ coalescing: ADAPTIVE }), { adaptiveResetsWait: true }],
  ['a NIC that refuses a wait beside adaptive moderation', HOST, nicFacts({ coalescing: ADAPTIVE }), { adaptiveForbidsWait: true }],
  [
    'a NIC with vectors for queues that are not in use',
    HOST,
    nicFacts({ rxQueues: 6, interrupts: queueInterrupts('eth0', 8, range(8)) }),
    { keepsVectors: true },
  ],
  [
    'a NIC of one queue beside isolated CPUs',
    { ...HOST, isolatedCpus: [2, 3] },
    nicFacts({ rxQueues: 1, channels: undefined, rss: undefined }),
    { isolated: [2, 3] },
  ],
  ['a NIC with interrupts of one name', HOST, nicFacts({ rxQueues: 8, interrupts: [...queueInterrupts('eth0', 8, range(8)), ...SAME_NAME] })],
  ['a NIC with tables of flows', HOST, nicFacts({ rxQueues: 8, receiveQueues: range(8).map((queue) => ({ queue, rpsCpus: [], rpsFlowCount: 64 })) })],
  ['a NIC whose ring may be longer without merging', HOST, nicFacts(MERGING), { ringMaximum: [2047, 8191] }],
  ['a NIC that hashes by addresses, with both ports or with none', HOST, nicFacts({ rxQueues: 8, flowHash: ADDRESSES }), { pickyHash: true }],
  ['a NIC with one set of hash fields for all flows', HOST, nicFacts({ rxQueues: 8, flowHash: ADDRESSES }), { oneHash: true }],
  [
    'a NIC whose hash fields are the driver’s own again after a change of queues',
    HOST,
    nicFacts({ rxQueues: 8, flowHash: { tcp4: 'sdfn', udp4: 'vsd', tcp6: '', udp6: 'sdfn' } }),
    { channelsResetHash: { tcp4: 'sdfn', udp4: 'sd', tcp6: 'sdfn', udp6: 'sd' } },
  ],
  ...RECORDED_HOSTS.map((name) => {
    const host = recordedHost(name)
    return [name, host.hostFacts(), host.interfaceFacts(Object.keys(host.devices)[0] as string)] as const
  }),
]

/** Some of the recorded interfaces carry a default route. */
const ANYHOW = { yesIMayLoseThisLink: true }

for (const [name, host, facts, ways] of MACHINES) {
  test(`${name}: tuned as planned, and put back`, () => {
    const machine = new TunableMachine(host, facts, ways)
    const before = settings(machine)
    const journal = memoryJournal()
    const { plan, refused } = applyTuning(machine, journal, ANYHOW)
    assert.deepEqual([plan.steps, refused], [[], []])
    revertTuning(machine, journal, ANYHOW)
    assert.deepEqual(settings(machine), before)
  })

  test(`whichever step of ${name} fails, everything is as it was before, and no journal is left`, () => {
    const whole = new TunableMachine(host, facts, ways)
    applyTuning(whole, memoryJournal(), ANYHOW)
    assert.ok(whole.writes.length > 2)
    for (const n of range(whole.writes.length, 1)) {
      const machine = new TunableMachine(host, facts, ways)
      const before = settings(machine)
      const journal = memoryJournal()
      machine.before = (setting, count) => {
        if (count === n) throw kernelError(EBUSY, setting)
      }
      assert.throws(() => applyTuning(machine, journal, ANYHOW), captureError('TUNING_FAILED', /EBUSY.*; everything is as it was before$/), `step ${n}`)
      assert.deepEqual(settings(machine), before, `step ${n}`)
      assert.equal(journal.text, undefined, `step ${n}`)
    }
  })

  test(`killed before any write to ${name}, a revert puts everything back`, () => {
    const whole = new TunableMachine(host, facts, ways)
    applyTuning(whole, memoryJournal(), ANYHOW)
    for (const n of range(whole.writes.length, 1)) {
      const machine = new TunableMachine(host, facts, ways)
      const before = settings(machine)
      const journal = memoryJournal()
      let isDead = false
      machine.before = (_, count) => {
        // The dead neither write nor undo.
        if (count >= n) isDead = true
        if (isDead) throw new Error('killed')
      }
      const { text } = (() => {
        const kept = { ...journal, remove: () => {} }
        assert.throws(() => applyTuning(machine, kept, ANYHOW))
        return kept
      })()
      machine.before = () => {}
      assert.ok(text !== undefined)
      journal.text = text
      revertTuning(machine, journal, ANYHOW)
      assert.deepEqual(settings(machine), before, `write ${n}`)
    }
  })
}

test('what is the machine’s goes back with the last interface that is tuned', () => {
  const machine = new TunableMachine(HOST, CROWDED)
  const [first, second] = [memoryJournal(), { ...memoryJournal(), path: '/run/ringtap/tune-4026531840-3.json' }]
  first.others = () => [second]
  second.others = () => [first]
  const eth0 = machine.interface
  const before = settings(machine)
  applyTuning(machine, first)
  const tuned = machine.interface
  machine.interface = { ...eth0, index: 3, name: 'eth1', bus: '0000:3b:00.1' }
  applyTuning(machine, second)
  const eth1 = machine.interface
  machine.interface = tuned
  const { left } = revertTuning(machine, first)
  assert.equal(left?.journal, second.path)
  assert.ok(left?.settings.some((setting) => settingKey(setting) === 'sysctl net.core.netdev_budget'))
  assert.equal(machine.host.sysctls['net.core.netdev_budget'], '600')
  assert.equal(first.text, undefined)
  machine.interface = eth1
  assert.equal(revertTuning(machine, second).left, undefined)
  assert.deepEqual(settings(machine), before)
})

test('what holds a queue that is to go is hinted at, and a table that cannot be put aside is no lack of the driver', () => {
  for (const [kind, hint] of [
    ['channels', /ethtool -n .*AF_XDP/],
    ['rss-indirection', /^$/],
  ] as const) {
    const machine = new TunableMachine(HOST, CROWDED)
    machine.before = (setting) => {
      if (setting.kind === kind) throw kernelError(EINVAL, setting)
    }
    assert.throws(
      () => applyTuning(machine, memoryJournal()),
      (error) => error instanceof CaptureError && error.errno === EINVAL && hint.test(error.hint ?? ''),
    )
  }
})

const PROGRAM = { mode: 'native', programId: 42, name: 'counts' } as const

test('a driver that keeps its queues while an XDP program is attached keeps them: all else is done, and put back', () => {
  for (const errno of [EINVAL, EBUSY]) {
    const machine = new TunableMachine(HOST, { ...CROWDED, xdpPrograms: [PROGRAM] })
    const before = settings(machine)
    machine.before = (setting) => {
      if (setting.kind === 'channels') throw kernelError(errno, setting)
    }
    const journal = memoryJournal()
    const { applied, refused, plan } = applyTuning(machine, journal)
    assert.deepEqual(
      refused.map(({ step, reason }) => [step.id, /while an XDP program is attached \(id 42, counts\).*ethtool -n .*AF_XDP/.test(reason)]),
      [['channels', true]],
    )
    assert.ok(applied.some(({ id }) => id === 'feature rx-gro'))
    assert.deepEqual(plan.steps, [])
    machine.before = () => {}
    revertTuning(machine, journal)
    assert.deepEqual(settings(machine), before)
  }
  // Generic XDP is none of the driver's.
  const machine = new TunableMachine(HOST, { ...CROWDED, xdpPrograms: [{ ...PROGRAM, mode: 'generic' }] })
  machine.before = (setting) => {
    if (setting.kind === 'channels') throw kernelError(EINVAL, setting)
  }
  assert.throws(() => applyTuning(machine, memoryJournal()), captureError('TUNING_FAILED', /queues from/))
})

test('a veth with an XDP program keeps a receive queue for each transmit queue of its other end', () => {
  const channels = { combined: adjustable(0, 0), rx: adjustable(8, 8), tx: adjustable(8, 8), other: adjustable(0, 0) }
  const machine = new TunableMachine(HOST, vethFacts({ rxQueues: 8, channels, peerTxQueues: 8, xdpPrograms: [PROGRAM] }))
  const { applied, refused } = applyTuning(machine, memoryJournal())
  assert.deepEqual(refused, [])
  assert.ok(applied.length > 0 && !applied.some(({ id }) => id === 'channels'))
})

test('the revert that a failure names is that of the namespace', () => {
  const machine = new TunableMachine(HOST, { ...CROWDED, netns: 'blue' })
  machine.before = (setting) => {
    if (setting.kind === 'feature' && (setting.value || setting.name === 'rx-vlan-hw-parse')) throw kernelError(EINVAL, setting)
  }
  const hint = (error: unknown) => error instanceof CaptureError && /^ringtap tune revert -i eth0 --netns blue tries again, from /.test(error.hint ?? '')
  const journal = memoryJournal()
  assert.throws(() => applyTuning(machine, journal), hint)
  machine.before = (setting) => {
    if (setting.kind === 'feature') throw kernelError(EINVAL, setting)
  }
  assert.throws(
    () => revertTuning(machine, journal),
    (error) => error instanceof CaptureError && /ringtap tune revert -i eth0 --netns blue may be run again/.test(error.hint ?? ''),
  )
})

test('when every step is refused there is nothing to revert, and no journal', () => {
  const machine = new TunableMachine(HOST, CROWDED)
  machine.before = (setting) => {
    throw kernelError(EROFS, setting)
  }
  const journal = memoryJournal()
  const { applied, refused, journal: path } = applyTuning(machine, journal)
  assert.deepEqual([applied, path, journal.text], [[], undefined, undefined])
  assert.ok(refused.length > 5)
})

test('a CPU that is offline now, or has no such governor, does not keep a revert from its end', () => {
  const machine = new TunableMachine(HOST, CROWDED)
  const journal = memoryJournal()
  applyTuning(machine, journal)
  const cpus = machine.host.cpus.filter(({ cpu }) => cpu !== 1).map((it) => (it.cpu === 2 ? { ...it, availableGovernors: ['performance'] } : it))
  machine.host = { ...machine.host, cpus }
  machine.before = (setting) => {
    if (setting.kind === 'governor' && setting.cpu === 2) throw kernelError(EINVAL, setting)
  }
  const { gone, restored } = revertTuning(machine, journal)
  assert.deepEqual(gone.map(settingKey), ['governor 1', 'governor 2'])
  assert.ok(restored.some((setting) => settingKey(setting) === 'governor 0') && !restored.some((setting) => settingKey(setting) === 'governor 2'))
  assert.equal(journal.text, undefined)
})

test('a failure on top of an earlier apply leaves that apply and its journal', () => {
  const machine = new TunableMachine(HOST, CROWDED)
  const journal = memoryJournal()
  applyTuning(machine, journal, { cpus: [0, 1] })
  const [between, text] = [settings(machine), journal.text]
  machine.before = (setting) => {
    if (setting.kind === 'interrupt' && setting.value[0] === 5) throw kernelError(EBUSY, setting)
  }
  assert.throws(() => applyTuning(machine, journal, { cpus: [4, 5, 6] }), captureError('TUNING_FAILED', /everything is as it was before/))
  assert.deepEqual(settings(machine), between)
  assert.equal(journal.text, text)
})

test('what cannot be undone is named, and the journal stays for a revert', () => {
  const machine = new TunableMachine(HOST, CROWDED)
  const before = settings(machine)
  const journal = memoryJournal()
  machine.before = (setting) => {
    if (setting.kind === 'feature' && setting.name === 'rx-vlan-hw-parse') throw kernelError(EINVAL, setting)
    if (setting.kind === 'feature' && setting.value) throw kernelError(EINVAL, setting)
  }
  assert.throws(() => applyTuning(machine, journal), captureError('TUNING_FAILED', /undoing it left feature rx-gro \(was on\): .*EINVAL.*feature rx-lro/))
  assert.ok(journal.text !== undefined)
  machine.before = () => {}
  revertTuning(machine, journal)
  assert.deepEqual(settings(machine), before)
})

test('what the driver does not support is told and left out; all else is done', () => {
  const machine = new TunableMachine(HOST, CROWDED)
  machine.before = (setting) => {
    if (setting.kind === 'coalescing' || setting.kind === 'rss-key') throw kernelError(EOPNOTSUPP, setting)
    if (setting.kind === 'governor') throw kernelError(EROFS, setting)
    if (setting.kind === 'interrupt') throw kernelError(EIO, setting)
  }
  const { refused, applied, plan } = applyTuning(machine, memoryJournal())
  assert.deepEqual([...new Set(refused.map(({ step }) => step.change.kind))], ['rss-key', 'coalescing', 'interrupt', 'governor'])
  assert.ok(applied.some(({ id }) => id === 'rings') && applied.some(({ id }) => id === 'sysctl net.core.netdev_budget'))
  assert.deepEqual(plan.steps, [])
  assert.ok(plan.remarks.some(({ status, what, why }) => status === 'unsupported' && what === 'RSS key' && why.includes('EOPNOTSUPP')))
})

test('what is the machine’s and may not be written from here is told, left out, and not in the journal', () => {
  for (const errno of [EACCES, EPERM, EROFS]) {
    const machine = new TunableMachine(HOST, CROWDED)
    machine.before = (setting) => {
      if (setting.kind === 'sysctl' && setting.name === 'net.core.rmem_max') throw kernelError(errno, setting)
    }
    const journal = memoryJournal()
    const { refused, applied, plan } = applyTuning(machine, journal)
    assert.deepEqual(
      refused.map(({ step }) => step.id),
      ['sysctl net.core.rmem_max'],
    )
    assert.ok(applied.some(({ id }) => id === 'feature rx-gro') && applied.some(({ id }) => id === 'sysctl net.core.optmem_max'))
    assert.deepEqual(plan.steps, [])
    assert.ok(journal.text?.includes('net.core.optmem_max') && !journal.text.includes('net.core.rmem_max'))
  }
  const machine = new TunableMachine(HOST, CROWDED)
  machine.before = (setting) => {
    if (setting.kind === 'feature') throw kernelError(EACCES, setting)
  }
  assert.throws(() => applyTuning(machine, memoryJournal()), captureError('TUNING_FAILED', /EACCES/))
})

test('a feature that was only noted is as it was asked for before', () => {
  const machine = new TunableMachine(HOST, nicFacts(), { stubborn: ['rx-lro'] })
  const { refused } = applyTuning(machine, memoryJournal())
  assert.deepEqual(
    refused.map(({ step }) => step.id),
    ['feature rx-lro'],
  )
  assert.deepEqual(machine.interface.features['rx-lro'], feature(true))
})

test('a driver that takes a setting without doing it is found out', () => {
  const machine = new TunableMachine(HOST, CROWDED)
  const before = settings(machine)
  const write = machine.write.bind(machine)
  machine.write = (setting) => {
    if (setting.kind !== 'rings') write(setting)
  }
  assert.throws(
    () => applyTuning(machine, memoryJournal()),
    captureError('TUNING_FAILED', /receive ring was set to rx 4096 tx 512 and is rx 512 tx 512; everything/),
  )
  assert.deepEqual(settings(machine), before)
})

test('a limit that another step has moved is made use of, and two settings that push each other do not go on for ever', () => {
  const machine = new TunableMachine(HOST, nicFacts())
  const rings = (maximum: number) => machine.interface.rings && { ...machine.interface.rings, rx: { ...machine.interface.rings.rx, maximum } }
  machine.before = (setting) => {
    if (setting.kind === 'interrupt') machine.interface = { ...machine.interface, rings: rings(8192) }
  }
  const { applied } = applyTuning(machine, memoryJournal())
  assert.deepEqual(
    applied.filter(({ id }) => id === 'rings').map(({ to }) => to),
    ['rx 4096 tx 512', 'rx 8192 tx 512'],
  )
  const endless = new TunableMachine(HOST, nicFacts())
  const before = settings(endless)
  const write = endless.write.bind(endless)
  let isUndoing = false
  endless.write = (setting) => {
    write(setting)
    isUndoing ||= setting.kind === 'rings' && setting.value.rx === 512
    const { rings } = endless.interface
    if (setting.kind === 'rings' && !isUndoing && rings !== undefined) {
      endless.interface = { ...endless.interface, rings: { ...rings, rx: { ...rings.rx, maximum: setting.value.rx * 2 } } }
    }
  }
  assert.throws(
    () => applyTuning(endless, memoryJournal()),
    captureError('TUNING_FAILED', /receive ring does not come to rest: rx 4096 tx 512, then rx 8192 .*; everything is as it was before/),
  )
  assert.deepEqual(settings(endless), before)
})

test('tables of flows are lost with their queues, and come back; where RSS spreads they are switched off', () => {
  const receiveQueues = range(8).map((queue) => ({ queue, rpsCpus: [], rpsFlowCount: 64 * queue }))
  const machine = new TunableMachine(HOST, nicFacts({ rxQueues: 8, receiveQueues }))
  const journal = memoryJournal()
  const { applied } = applyTuning(machine, journal)
  const flows = applied.filter(({ id }) => id.startsWith('receive-queue-flows'))
  assert.deepEqual(
    flows.map(({ subject, from, to }) => [subject, from, to]),
    [1, 2, 3].map((queue) => [`eth0 queue ${queue}`, `${64 * queue} flows`, 'off']),
  )
  assert.equal(flows[0]?.command, 'echo 0 > /sys/class/net/eth0/queues/rx-1/rps_flow_cnt')
  revertTuning(machine, journal)
  assert.deepEqual(machine.interface.receiveQueues, receiveQueues)
})

test('an interrupt or a governor that cannot be had so is left as it is, and no more', () => {
  const errnos = { interrupt: [EIO, EPERM, EINVAL, ENOSPC], governor: [EINVAL] }
  for (const kind of ['interrupt', 'governor'] as const) {
    for (const errno of errnos[kind]) {
      const machine = new TunableMachine(HOST, CROWDED)
      machine.before = (setting) => {
        if (setting.kind === kind) throw kernelError(errno, setting)
      }
      const { applied, refused, plan } = applyTuning(machine, memoryJournal())
      assert.deepEqual([...new Set(refused.map(({ step }) => step.change.kind))], [kind])
      assert.ok(applied.length > 10)
      assert.deepEqual(plan.steps, [])
    }
  }
})

test('RPS that the kernel keeps from isolated CPUs is content with the others, and none is refused', () => {
  const single = nicFacts({ rxQueues: 1, channels: undefined, rss: undefined })
  const masks = (host: HostFacts, isolated: readonly number[]) => {
    const machine = new TunableMachine(host, single, { isolated })
    const before = settings(machine)
    const journal = memoryJournal()
    const { plan, refused } = applyTuning(machine, journal)
    const { rpsCpus } = machine.interface.receiveQueues[0] as QueueFacts
    assert.deepEqual(plan.steps, [])
    revertTuning(machine, journal)
    assert.deepEqual(settings(machine), before)
    return [rpsCpus, refused.map(({ step }) => step.id), plan.remarks.find(({ what }) => what === 'RPS')?.status]
  }
  assert.deepEqual(masks({ ...HOST, isolatedCpus: [2, 3] }, [2, 3]), [[0, 1], [], 'in-place'])
  assert.deepEqual(masks({ ...HOST, isolatedCpus: range(8) }, range(8)), [[], [], 'unsupported'])
  // Where the machine does not tell which they are.
  assert.deepEqual(masks(HOST, [2, 3]), [[1], [], 'unsupported'])
  assert.deepEqual(masks(HOST, range(8)), [[], ['receive-queue-cpus 0'], 'unsupported'])
})

test('vectors of queues that are not in use are let be', () => {
  const interrupts = queueInterrupts('eth0', 8, range(8))
  const machine = new TunableMachine(HOST, nicFacts({ rxQueues: 6, interrupts }), { keepsVectors: true })
  applyTuning(machine, memoryJournal())
  assert.deepEqual(
    machine.interface.interrupts.map(({ affinity }) => affinity),
    [[0], [1], [2], [3], ...range(4).map(() => range(8))],
  )
})

test('interrupts of no queue are told apart where they share a name, and let be where they have none', () => {
  const other = (irq: number, name: string) => ({ irq, name, queue: undefined, affinity: [irq % 4], effective: [irq % 4], counts: {} })
  const interrupts = [...queueInterrupts('eth0', 8, range(8)), other(90, 'CEQ'), other(91, 'CEQ'), other(92, ''), other(93, 'CEQ'), other(94, 'AEQ')]
  const machine = new TunableMachine(HOST, nicFacts({ rxQueues: 8, interrupts }))
  const affinities = () => machine.interface.interrupts.map(({ name, affinity }) => [name, affinity])
  const journal = memoryJournal()
  applyTuning(machine, journal)
  assert.ok(!affinities().some(([name, affinity]) => name === 'CEQ' && affinity?.length === 1))
  revertTuning(machine, journal)
  assert.deepEqual(
    affinities().filter(([name]) => !String(name).startsWith('eth0')),
    [
      ['CEQ', [2]],
      ['CEQ', [3]],
      ['', range(8)],
      ['CEQ', [1]],
      ['AEQ', [2]],
    ],
  )
})

test('a driver that rounds the wait is content with, and put back exactly', () => {
  const machine = new TunableMachine(HOST, nicFacts({ coalescing: { rx_coalesce_usecs: 3, use_adaptive_rx_coalesce: 1 }, speedMbps: 40_000 }))
  const before = settings(machine)
  const write = machine.write.bind(machine)
  machine.write = (setting) => {
    const isCoarse = setting.kind === 'coalescing' && setting.value.rx_coalesce_usecs !== 3
    write(isCoarse ? { ...setting, value: { ...setting.value, rx_coalesce_usecs: 8 * Math.ceil((setting.value.rx_coalesce_usecs ?? 0) / 8) } } : setting)
  }
  const journal = memoryJournal()
  assert.deepEqual(applyTuning(machine, journal).plan.steps, [])
  assert.equal(machine.interface.coalescing?.rx_coalesce_usecs, 40)
  revertTuning(machine, journal)
  assert.deepEqual(settings(machine), before)
})

test('that the link is down for a while, and has no speed, changes no plan', () => {
  const machine = new TunableMachine(HOST, nicFacts({ speedMbps: 100_000 }))
  machine.before = (setting) => {
    if (setting.kind === 'rings') machine.interface = { ...machine.interface, speedMbps: undefined }
    if (setting.kind === 'interrupt') machine.interface = { ...machine.interface, speedMbps: 100_000 }
  }
  applyTuning(machine, memoryJournal())
  assert.equal(machine.interface.coalescing?.rx_coalesce_usecs, 12)
})

test('a table that the driver cannot have is left as it is', () => {
  const { rss } = nicFacts()
  assert.ok(rss !== undefined)
  const machine = new TunableMachine(HOST, nicFacts({ rss: { ...rss, indirection: range(128).map((slot) => slot % 2) } }))
  machine.before = (setting) => {
    if (setting.kind === 'rss-indirection') throw kernelError(EINVAL, setting)
  }
  assert.deepEqual(
    applyTuning(machine, memoryJournal()).refused.map(({ step }) => step.id),
    ['rss-indirection'],
  )
})

test('the interface of the default route is left alone unless that was allowed', () => {
  const facts = nicFacts({ defaultRoute: 'route default via 192.0.2.1' })
  const machine = new TunableMachine(HOST, facts)
  const journal = memoryJournal()
  assert.throws(
    () => applyTuning(machine, journal),
    captureError('INTERFACE_IN_USE', /^eth0 carries this host's default via 192\.0\.2\.1, and the link may go down.*receive ring/),
  )
  assert.deepEqual([machine.writes, journal.text], [[], undefined])
  assert.ok(applyTuning(machine, journal, { yesIMayLoseThisLink: true }).applied.length > 0)
  const writes = machine.writes.length
  const isRefused = captureError('INTERFACE_IN_USE', /^eth0 carries this host's default via 192\.0\.2\.1, and the link may go down .*rings/)
  assert.throws(() => revertTuning(machine, journal), isRefused)
  assert.equal(machine.writes.length, writes)
  assert.ok(revertTuning(machine, journal, { yesIMayLoseThisLink: true }).restored.length > 0)
})

test('what resets no link is reverted on the interface of the default route, too', () => {
  const machine = new TunableMachine(HOST, vethFacts({ rxQueues: 1, defaultRoute: 'route default via 192.0.2.1' }))
  const journal = memoryJournal()
  applyTuning(machine, journal, { yesIMayLoseThisLink: true })
  assert.ok(revertTuning(machine, journal).restored.length > 0)
})

test('an interface that is down has no interrupts: a plan says so, and so does a revert', () => {
  const machine = new TunableMachine(HOST, CROWDED)
  const before = settings(machine)
  const journal = memoryJournal()
  applyTuning(machine, journal)
  const { interrupts } = machine.interface
  machine.interface = { ...machine.interface, up: false, interrupts: [] }
  const { remarks } = planTuning(HOST, machine.interface)
  assert.match(remarks.find(({ what }) => what === 'interrupts')?.why ?? '', /^the interface is down, .*ip link set dev eth0 up first$/)
  const write = machine.write.bind(machine)
  machine.write = (setting) => {
    write(setting)
    machine.interface = { ...machine.interface, interrupts: [] }
  }
  assert.throws(
    () => revertTuning(machine, journal),
    (error) => error instanceof CaptureError && /ip link set dev eth0 up, then ringtap tune revert -i eth0 may be run again/.test(error.hint ?? ''),
  )
  machine.write = write
  machine.interface = { ...machine.interface, up: true, interrupts: [...interrupts, ...queueInterrupts('eth0', 8, range(4), 300).slice(interrupts.length)] }
  revertTuning(machine, journal)
  assert.deepEqual(settings(machine), before)
})

test('a journal of another interface is refused, by index and by what is least likely to change', () => {
  const otherMac = { mac: '02:00:00:00:00:99' }
  const permanent = { ...CROWDED, permanentMac: '02:00:00:00:00:02' }
  const others: readonly (readonly [InterfaceFacts, Partial<InterfaceFacts>, hint: RegExp])[] = [
    [CROWDED, { index: 9 }, /what was tuned is gone/],
    [CROWDED, { bus: '0000:3b:00.1' }, /if it is the same one/],
    [permanent, { permanentMac: '02:00:00:00:00:99' }, /if it is the same one/],
    [{ ...CROWDED, bus: undefined }, otherMac, /ip link set dev eth0 address 02:00:00:00:00:02.*rm \/run/],
  ]
  for (const [facts, change, hint] of others) {
    const machine = new TunableMachine(HOST, facts)
    const journal = memoryJournal()
    applyTuning(machine, journal)
    machine.interface = { ...machine.interface, ...change }
    const [writes, { text }] = [machine.writes.length, journal]
    const isRefused = (error: unknown) =>
      captureError('TUNING_FAILED', /the journal is of another interface: eth0 \(index 2, 02:00:00:00:00:02\)/)(error) &&
      hint.test((error as CaptureError).hint ?? '')
    assert.throws(() => revertTuning(machine, journal), isRefused)
    assert.throws(() => applyTuning(machine, journal), isRefused)
    assert.deepEqual([machine.writes.length, journal.text], [writes, text])
  }
})

test('a NIC that has got the MAC address of a bond is the same one', () => {
  for (const change of [{}, { permanentMac: '02:00:00:00:00:02', bus: undefined }]) {
    const machine = new TunableMachine(HOST, { ...CROWDED, ...change })
    const journal = memoryJournal()
    applyTuning(machine, journal)
    machine.interface = { ...machine.interface, mac: '02:aa:aa:aa:aa:aa' }
    revertTuning(machine, journal)
    assert.equal(machine.interface.rxQueues, 8)
  }
})

test('an interface that was only renamed is reverted', () => {
  const machine = new TunableMachine(HOST, CROWDED)
  const journal = memoryJournal()
  applyTuning(machine, journal)
  machine.interface = { ...machine.interface, name: 'mirror0' }
  revertTuning(machine, journal)
  assert.equal(machine.interface.rxQueues, 8)
})

test('applied and reverted, any machine is what it was', (t) => {
  const random = seededRandom(t)
  for (let round = 0; round < 100; round++) {
    const host = hostFacts({
      cpus: cpuFacts(random.between(1, 12), { nodes: random.between(1, 2), threads: random.between(1, 2), ...(random.oneIn(2) && { governor: 'powersave' }) }),
    })
    const machine = new TunableMachine(host, randomInterface(random, host.cpus.length))
    const before = settings(machine)
    const journal = memoryJournal()
    const { steps } = planTuning(host, machine.interface)
    const stop = random.oneIn(2) ? random.between(1, steps.length + 1) : Number.POSITIVE_INFINITY
    machine.before = (setting, count) => {
      if (count === stop) throw kernelError(random.pick([EINVAL, EOPNOTSUPP]), setting)
    }
    try {
      applyTuning(machine, journal)
    } catch (error) {
      assert.ok(error instanceof CaptureError, String(error))
      assert.deepEqual(settings(machine), before, error.message)
    }
    revertTuning(machine, journal)
    assert.deepEqual(settings(machine), before)
  }
})

function randomInterface(random: Random, cpus: number): InterfaceFacts {
  const rxQueues = random.between(1, 16)
  if (random.oneIn(4)) return vethFacts({ rxQueues })
  const anyCpus = () => range(cpus).filter(() => random.oneIn(2))
  const facts = nicFacts({
    rxQueues,
    numaNode: random.pick([0, 1, undefined]),
    interrupts: random.oneIn(5)
      ? []
      : queueInterrupts('eth0', rxQueues, range(cpus)).map((it) => ({ ...it, affinity: random.oneIn(3) ? anyCpus() : range(cpus) })),
    receiveQueues: range(rxQueues).map((queue) => ({ queue, rpsCpus: random.oneIn(3) ? anyCpus() : [], rpsFlowCount: 0 })),
  })
  const { rss } = facts
  const flowHash = random.oneIn(4) ? undefined : randomFlowHash(random)
  if (rss === undefined || random.oneIn(4)) return { ...facts, flowHash, rss: undefined, coalescing: undefined }
  const indirection = random.oneIn(2) ? rss.indirection : rss.indirection.map(() => random.between(0, rxQueues - 1))
  return { ...facts, flowHash, rss: { ...rss, indirection, key: Buffer.from(random.bytes(random.pick([40, 52]))).toString('hex') } }
}

function randomFlowHash(random: Random): FlowHashFacts {
  const flows = ['tcp4', 'udp4', 'tcp6', 'udp6', 'sctp4'] as const
  const known = flows.filter(() => !random.oneIn(6))
  return Object.fromEntries(known.map((flow) => [flow, [...'mvtsdfnelr'].filter(() => random.oneIn(2)).join('')]))
}
