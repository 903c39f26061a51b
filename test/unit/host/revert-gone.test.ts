/** What is the machine's, when the interface that it was tuned for has gone or is somewhere else. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { applyTuning } from '#src/host/apply-tuning.js'
import { revertOrphans, revertTuning } from '#src/host/revert-tuning.js'
import type { JournalStore } from '#src/host/tuning/access.js'
import { type KeptJournal, parseJournal, readable, readJournal, tunedInterface } from '#src/host/tuning/journal.js'
import { isHostWide, settingKey, settingsOf } from '#src/host/tuning/setting.js'
import { movedAway, orphansOf } from '#src/host/tuning/whose-journal.js'
import { CaptureError } from '#src/index.js'
import { EIO } from '#src/kernel/errno.js'
import { cpuFacts, hostFacts, nicFacts } from '../../support/host-facts.js'
import { kernelError, memoryJournal, TunableMachine } from '../../support/tunable-machine.js'

const HOST = hostFacts({ cpus: cpuFacts(2, { governor: 'schedutil' }) })
const ETH0 = nicFacts({ rxQueues: 2 })
const ETH1 = { ...ETH0, index: 3, name: 'eth1', bus: '0000:3b:00.1' }

/** Two interfaces that are tuned, eth0 first, and eth0 shown. */
function twoTuned() {
  const machine = new TunableMachine(HOST, ETH0)
  const [first, second] = [memoryJournal(), { ...memoryJournal(), path: '/run/ringtap/tune-4026531840-3.json' }]
  first.others = () => [second]
  second.others = () => [first]
  const before = limits(machine)
  applyTuning(machine, first)
  const eth0 = machine.interface
  machine.interface = structuredClone(ETH1)
  applyTuning(machine, second)
  const eth1 = machine.interface
  machine.interface = eth0
  assert.notDeepEqual(limits(machine), before)
  return { machine, first, second, eth0, eth1, before }
}

function limits(machine: TunableMachine) {
  return settingsOf(machine.host, machine.interface).filter(isHostWide)
}

function keptIn(...stores: JournalStore[]): KeptJournal[] {
  return readable(stores)
}

test('an interface that has gone inherits nothing', () => {
  const { machine, first, second, before } = twoTuned()
  machine.present.delete(3)
  const text = second.text
  const { left, restored } = revertTuning(machine, first)
  assert.equal(left, undefined)
  assert.ok(restored.some((setting) => settingKey(setting) === 'sysctl net.core.netdev_budget'))
  assert.deepEqual(limits(machine), before)
  assert.equal(second.text, text)
})

test('one of another MAC address and card in its place inherits nothing either', () => {
  const { machine, first, before } = twoTuned()
  const eth1 = machine.present.get(3)
  assert.ok(eth1)
  machine.present.set(3, { ...eth1, bus: '0000:5e:00.0' })
  assert.equal(revertTuning(machine, first).left, undefined)
  assert.deepEqual(limits(machine), before)
})

test('what the eldest knew is named when it has gone, and goes back by its name', () => {
  const { machine, first, second, eth1, before } = twoTuned()
  machine.present.delete(2)
  machine.interface = eth1
  const tuned = limits(machine)
  const { orphans } = revertTuning(machine, second)
  assert.deepEqual(orphans, [{ name: 'eth0', journal: first.path }])
  assert.deepEqual(limits(machine), tuned)
  const found = orphansOf(keptIn(first, second), 'eth0', machine, machine.whereabouts())
  assert.equal(found.length, 1)
  const reverted = revertOrphans(machine, found)
  assert.deepEqual([reverted.isAbsent, reverted.left], [true, undefined])
  assert.ok(reverted.restored.length > 0 && reverted.restored.every(isHostWide))
  assert.deepEqual(limits(machine), before)
  assert.equal(first.text, undefined)
})

test('one that is tuned in another namespace has not gone', () => {
  const { machine, first, second, eth1 } = twoTuned()
  const there = machine.present.get(2)
  assert.ok(there)
  machine.present.delete(2)
  machine.present.set(7, { ...there, netnsInode: 4026532999, index: 7, netns: 'blue' })
  machine.interface = eth1
  assert.equal(revertTuning(machine, second).orphans, undefined)
  assert.notEqual(first.text, undefined)
})

test('how to go on is said with the namespace that was asked for', () => {
  const { machine, first, second, eth1 } = twoTuned()
  machine.present.delete(2)
  machine.interface = { ...eth1, netns: '/tmp/a b' }
  assert.deepEqual(revertTuning(machine, second).orphans, [{ name: 'eth0', journal: first.path, netns: '/tmp/a b' }])
  machine.before = (setting) => {
    if (setting.kind === 'governor') throw kernelError(EIO, setting)
  }
  assert.throws(
    () => revertOrphans(Object.assign(machine, { netns: 'blue' }), keptIn(first)),
    (error) => error instanceof CaptureError && /ringtap tune revert -i eth0 --netns blue may be run again/.test(error.hint ?? ''),
  )
  assert.throws(
    () => readJournal(first, { ...tunedInterface(machine.facts(), machine), index: 9 }, 'blue'),
    (error) => error instanceof CaptureError && /gone: ringtap tune revert -i eth0 --netns blue puts back/.test(error.hint ?? ''),
  )
})

test('while another interface is tuned still, it gets what the one that has gone knew', () => {
  const { machine, first, second, eth1, before } = twoTuned()
  machine.present.delete(2)
  machine.interface = eth1
  const tuned = limits(machine)
  const { left } = revertOrphans(machine, keptIn(first))
  assert.equal(left?.journal, second.path)
  assert.deepEqual([limits(machine), first.text], [tuned, undefined])
  revertTuning(machine, second)
  assert.deepEqual(limits(machine), before)
})

test('what cannot be put back stays in the journal of the interface that has gone', () => {
  const { machine, first, second } = twoTuned()
  machine.present.delete(2)
  second.remove()
  const { text } = first
  machine.before = (setting) => {
    if (setting.kind === 'governor') throw kernelError(EIO, setting)
  }
  assert.throws(
    () => revertOrphans(machine, keptIn(first)),
    (error) => error instanceof CaptureError && error.code === 'TUNING_FAILED' && /governor.*EIO/.test(error.message),
  )
  assert.equal(first.text, text)
})

test('of two journals of one name what the elder says is put back last', () => {
  const machine = new TunableMachine(hostFacts({ sysctls: { 'net.core.netdev_budget': '900' } }), ETH0)
  const of = tunedInterface(machine.facts(), machine)
  const store = (since: string, index: number, value: string) => {
    const journal = memoryJournal()
    journal.text = JSON.stringify({
      schema: 1,
      interface: { ...of, index, name: 'va' },
      since,
      before: [{ kind: 'sysctl', name: 'net.core.netdev_budget', value }],
    })
    return journal
  }
  const [elder, younger] = [store('2026-11-20T18:00:00.000Z', 70, '300'), store('2026-11-20T19:00:00.000Z', 71, '600')]
  assert.equal(revertOrphans(machine, keptIn(elder, younger)).since, '2026-11-20T18:00:00.000Z')
  assert.equal(machine.host.sysctls['net.core.netdev_budget'], '300')
  assert.deepEqual([elder.text, younger.text], [undefined, undefined])
})

test('limits of another network namespace are not put upon this one; with it they have gone', () => {
  const { machine, first, second } = twoTuned()
  second.remove()
  const { text } = first
  const tuned = limits(machine)
  machine.home = { netnsInode: 4026532999 }
  assert.throws(
    () => revertTuning(machine, first),
    (error) => error instanceof CaptureError && error.code === 'TUNING_FAILED' && /is of network namespace net:\[4026531840\]/.test(error.message),
  )
  assert.deepEqual([limits(machine), first.text], [tuned, text])
  machine.present.clear()
  const { gone, restored } = revertOrphans(machine, keptIn(first))
  assert.ok(gone.length > 0 && gone.every(({ kind }) => kind === 'sysctl'))
  assert.ok(restored.length > 0 && restored.every(({ kind }) => kind === 'governor'))
  assert.equal(first.text, undefined)
})

test('an orphan is what is nowhere; what is elsewhere is said to be there', () => {
  const { machine, first, second } = twoTuned()
  const kept = keptIn(first, second)
  const orphans = (name: string) => orphansOf(kept, name, machine, machine.whereabouts()).length
  assert.deepEqual([orphans('eth0'), orphans('eth1')], [0, 0])
  const eth1 = machine.present.get(3)
  assert.ok(eth1)
  machine.present.set(3, { ...eth1, netnsInode: 4026532999, netns: '/proc/7/ns/net' })
  assert.equal(orphans('eth1'), 0)
  assert.equal(movedAway(kept, 'eth1', machine.whereabouts())?.now.netns, '/proc/7/ns/net')
  machine.present.delete(3)
  assert.equal(orphans('eth1'), 1)
  assert.equal(movedAway(kept, 'eth1', machine.whereabouts()), undefined)
  // Seen from another namespace: of one that has gone, and only where none can be hidden.
  const elsewhere = { netnsInode: 4026532999 }
  assert.equal(orphansOf(kept, 'eth1', elsewhere, machine.whereabouts()).length, 0)
  assert.equal(orphansOf(kept, 'eth1', elsewhere, { interfaces: [], isComplete: true }).length, 1)
  assert.equal(orphansOf(kept, 'eth1', elsewhere, { interfaces: [], isComplete: false }).length, 0)
  // What has its inode now has its cookie not.
  const cookies = keptIn(...[first, second].map((it) => ({ ...it, read: () => it.text?.replace('"interface": {', '"interface": {"netnsCookie":"5",') })))
  assert.equal(cookies.length, 2)
  const successor = { ...eth1, index: 1, bus: undefined, permanentMac: undefined, mac: undefined, netnsCookie: '6' }
  assert.equal(orphansOf(cookies, 'eth1', elsewhere, { interfaces: [successor], isComplete: false }).length, 1)
  assert.equal(orphansOf(cookies, 'eth1', elsewhere, { interfaces: [{ ...successor, netnsCookie: '5' }], isComplete: false }).length, 0)
})

test('whoever is told to remove a journal is told what only it knows', () => {
  const { machine, first } = twoTuned()
  const journal = parseJournal(first.text ?? '', first.path)
  const hintFor = (other: { index?: number; bus?: string }) => {
    try {
      readJournal(first, { ...tunedInterface(machine.facts(), machine), ...other })
    } catch (error) {
      return (error as CaptureError).hint ?? ''
    }
    return assert.fail('it was taken')
  }
  assert.match(hintFor({ index: 9 }), /ringtap tune revert -i eth0 puts back what is the machine's/)
  assert.doesNotMatch(hintFor({ index: 9 }), /rm /)
  assert.match(hintFor({ bus: '0000:5e:00.0' }), /once what is the machine's is as it was: .*net\.core\.netdev_budget was 300/)
  first.text = JSON.stringify({ schema: 1, ...journal, interface: { ...journal.interface, mac: null }, before: [] })
  assert.match(hintFor({ index: 9 }), /what was tuned is gone, and its settings with it: rm /)
})
