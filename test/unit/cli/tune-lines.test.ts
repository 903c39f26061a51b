import assert from 'node:assert/strict'
import { test } from 'node:test'
import { toJson } from '#src/cli/to-json.js'
import { appliedLines, flapWarning, planLines, revertedLines, revertWarning, stateLines } from '#src/cli/tune-lines.js'
import { applyTuning } from '#src/host/apply-tuning.js'
import { planTuning } from '#src/host/plan-tuning.js'
import { pendingSettings, revertTuning } from '#src/host/revert-tuning.js'
import { settingsOf } from '#src/host/tuning/setting.js'
import { EOPNOTSUPP } from '#src/kernel/errno.js'
import { cpuFacts, hostFacts, nicFacts, queueInterrupts } from '../../support/host-facts.js'
import { kernelError, memoryJournal, TunableMachine } from '../../support/tunable-machine.js'

const HOST = hostFacts({ cpus: cpuFacts(2), irqbalance: { running: true, pid: 812 } })
const NIC = nicFacts({ rxQueues: 2, interrupts: queueInterrupts('eth0', 2, [0, 1, 2, 3]) })

test('a step has its number, old and new value, reason and command', () => {
  const lines = planLines(planTuning(HOST, NIC))
  const at = lines.findIndex((line) => line.startsWith('  4. '))
  assert.deepEqual(lines.slice(at, at + 3), [
    '  4. eth0: receive ring: rx 512 tx 512 -> rx 4096 tx 512 (the link may go down for a moment)',
    '     what arrives while a CPU is held up elsewhere waits here and nowhere else; full, it shows as rx_missed: 275 µs of minimum-size frames at 10000 Mbit/s, if all come to one queue',
    '     ethtool -G eth0 rx 4096',
  ])
  const byHand = lines.indexOf('To be done by hand:')
  assert.match(lines[byHand + 1] as string, /^ {2}irqbalance: daemon: irqbalance \(pid 812\)/)
  assert.equal(lines[byHand + 2], '     systemctl stop irqbalance')
})

test('what could not be read stands at the end of a plan', () => {
  const unread = [{ what: 'interrupts', source: '/proc/interrupts', reason: 'EACCES: permission denied' }]
  assert.deepEqual(planLines(planTuning({ ...HOST, unread }, NIC)).slice(-2), [
    'Could not be read, and is not planned for:',
    '  interrupts: /proc/interrupts: EACCES: permission denied',
  ])
})

test('the steps that may take the link down are named before', () => {
  assert.equal(flapWarning(planTuning(HOST, NIC)), 'ringtap: eth0: the link may go down for a moment: LRO, VLAN stripping, receive ring')
  assert.equal(flapWarning(planTuning(HOST, { ...NIC, bus: undefined })), undefined)
})

test('of an interface that has gone it is said what went back, and of others how to go on', () => {
  const restored = [{ kind: 'sysctl', name: 'net.core.optmem_max', value: '20480' }] as const
  const reverted = { since: '2026-11-20T18:00:00.000Z', restored: [...restored], gone: [], left: undefined }
  assert.deepEqual(revertedLines('va', { ...reverted, isAbsent: true }), [
    "va: gone, and its settings with it; what is the machine's is as it was before 2026-11-20T18:00:00.000Z",
    '  net.core.optmem_max: 20480',
  ])
  assert.equal(
    revertedLines('va', { ...reverted, orphans: [{ name: 'vb', journal: '/run/ringtap/tune-1-2.json' }] }).at(-1),
    '  vb has gone without a revert, and the machine is as its tuning made it: ringtap tune revert -i vb (/run/ringtap/tune-1-2.json)',
  )
  assert.match(
    revertedLines('va', { ...reverted, orphans: [{ name: 'v&b', journal: '/run/ringtap/tune-1-2.json', netns: '/tmp/a b' }] }).at(-1) ?? '',
    /: ringtap tune revert -i 'v&b' --netns '\/tmp\/a b' \(/,
  )
})

test('a revert warns of the link by the settings that are something else', () => {
  const before = settingsOf(HOST, NIC)
  const rings = NIC.rings && { ...NIC.rings, rx: { current: 4096, maximum: 4096 } }
  const pending = (facts: typeof NIC) => pendingSettings({ host: HOST, interface: facts }, before)
  assert.equal(revertWarning('eth0', pending({ ...NIC, rings, mtu: 9000 })), 'ringtap: eth0: the link may go down for a moment: rings')
  assert.equal(revertWarning('eth0', pending({ ...NIC, coalescing: { ...NIC.coalescing, rx_coalesce_usecs: 9 } })), undefined)
})

test('what was applied, what was refused, and how to go back; then what was put back', () => {
  const machine = new TunableMachine(HOST, NIC)
  const journal = memoryJournal()
  machine.before = (setting) => {
    if (setting.kind === 'coalescing') throw kernelError(EOPNOTSUPP, setting)
  }
  const applied = appliedLines(applyTuning(machine, journal))
  assert.match(applied[0] as string, /^eth0: \d+ steps applied and read back$/)
  assert.ok(applied.includes('  IRQ 58 (eth0-TxRx-1): affinity: CPU 0-3 -> CPU 1'))
  assert.ok(applied.some((line) => /^ {2}eth0: interrupt coalescing: left as it is: the driver does not support it: .*EOPNOTSUPP$/.test(line)))
  assert.equal(applied.at(-1), `what was before is kept in ${journal.path}; ringtap tune revert -i eth0 puts it back`)
  const reverted = revertedLines('eth0', revertTuning(machine, journal))
  assert.match(reverted[0] as string, /^eth0: everything is as it was before \d{4}-/)
  assert.ok(reverted.includes('  rx-gro: on') && reverted.includes('  interrupt of queue 1: CPU 0-3'))
  assert.deepEqual(revertedLines('eth0', revertTuning(machine, journal)), ['eth0: has not been tuned, there is nothing to revert'])
})

test('the state: each setting that tuning may make, its limit, and the journal', () => {
  const show = (journal: Parameters<typeof stateLines>[0]['journal']) =>
    stateLines({ host: HOST, interface: NIC, journal, pending: [] }).map((line) => line.replace(/ {2,}/, ': '))
  const lines = show(undefined)
  assert.ok(lines.includes('queues: combined 2 (at most combined 63)'))
  assert.ok(lines.includes('rings: rx 512 tx 512 (at most rx 4096 tx 4096)'))
  assert.ok(lines.includes(`RSS key: ${'a1b2c3d4e5'.repeat(8)} (not symmetric)`))
  assert.ok(lines.includes('irqbalance: runs (pid 812): it moves interrupts again'))
  assert.ok(!lines.some((line) => line.startsWith('rx-checksum')))
  assert.equal(lines.at(-1), 'tuned: no')
  const path = '/run/ringtap/tune-1-2.json'
  assert.equal(show({ path, since: '2026-11-20T18:00:00.000Z', problem: undefined }).at(-1), `tuned: since 2026-11-20T18:00:00.000Z, journal ${path}`)
  assert.equal(show({ path, since: undefined, problem: 'damaged' }).at(-1), 'tuned: damaged')
})

test('remarks that say the same are one, with the command of each', () => {
  const lines = planLines(
    planTuning(hostFacts({ cpus: cpuFacts(2, { threads: 1, governor: 'powersave' }) }), { ...NIC, netns: 'blue', flowHash: { udp4: 'r', udp6: 'r' } }),
  )
  const behind = (subject: string) => lines.slice(lines.findIndex((line) => line.startsWith(`  ${subject} and 1 more: `)) + 1).slice(0, 2)
  assert.deepEqual(
    behind('eth0 udp4'),
    ['udp4', 'udp6'].map((flow) => `     ip netns exec blue ethtool -N eth0 rx-flow-hash ${flow} sdfn`),
  )
  assert.deepEqual(
    behind('CPU 0'),
    [0, 1].map((cpu) => `     echo performance > /sys/devices/system/cpu/cpu${cpu}/cpufreq/scaling_governor`),
  )
})

test('a plan is JSON without loss', () => {
  const plan = JSON.parse(JSON.stringify(toJson(planTuning(HOST, NIC)))) as { netns: unknown; steps: { id: string; change: unknown }[] }
  assert.equal(plan.netns, null)
  assert.deepEqual(plan.steps.find(({ id }) => id === 'rings')?.change, { kind: 'rings', value: { rx: 4096, tx: 512 } })
})

test('the way back leads to the namespace, and sh finds the interface whatever its name is', () => {
  const last = (facts: Partial<typeof NIC>) => appliedLines(applyTuning(new TunableMachine(HOST, { ...NIC, ...facts }), memoryJournal())).at(-1)
  assert.match(last({ netns: 'blue' }) ?? '', /; ringtap tune revert -i eth0 --netns blue puts it back$/)
  assert.match(last({ name: 'a;id>q' }) ?? '', /; ringtap tune revert -i 'a;id>q' puts it back$/)
})
