/** Tuning and reverting by name, with a directory of journals, on a machine of plain data. */
import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { InterfaceFacts } from '#src/host/facts.js'
import { applyThrough, revertThrough } from '#src/host/tune.js'
import { isHostWide, settingsOf } from '#src/host/tuning/setting.js'
import { CaptureError } from '#src/index.js'
import { cpuFacts, hostFacts, nicFacts, vethFacts } from '../../support/host-facts.js'
import { TunableMachine } from '../../support/tunable-machine.js'

const MAC = '02:00:00:00:00:02'
const HOST = hostFacts({ cpus: cpuFacts(2, { governor: 'schedutil' }) })
const ETH0 = nicFacts({ rxQueues: 2, permanentMac: MAC })
const BLUE = 4026532999

function folder(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'ringtap-tune-'))
  t.after(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

/** A machine on which an interface has been tuned, and what was the machine's before. */
function tuned(t: TestContext, facts: InterfaceFacts = ETH0) {
  const machine = new TunableMachine(HOST, facts)
  const directory = folder(t)
  const before = limits(machine)
  applyThrough(machine, {}, directory)
  assert.notDeepEqual(limits(machine), before)
  assert.equal(readdirSync(directory).length, 1)
  return { machine, directory, before }
}

function limits(machine: TunableMachine) {
  return settingsOf(machine.host, machine.interface).filter(isHostWide)
}

/** Another interface is what is asked for. */
function replace(machine: TunableMachine, facts: InterfaceFacts): void {
  machine.present.clear()
  machine.interface = structuredClone(facts)
  machine.facts()
}

/** The one journal as if it were of another namespace, with those of its settings that `keep` takes. */
function ofBlue(directory: string, keep: (kind: string) => boolean = () => true): string {
  const [file = ''] = readdirSync(directory)
  const journal = JSON.parse(readFileSync(join(directory, file), 'utf8'))
  rmSync(join(directory, file))
  const path = join(directory, `tune-${BLUE}-2.json`)
  const text = JSON.stringify({
    ...journal,
    interface: { ...journal.interface, netnsInode: BLUE },
    before: journal.before.filter(({ kind }: { kind: string }) => keep(kind)),
  })
  writeFileSync(path, text)
  return text
}

function fails(code: string, message: RegExp, hint: RegExp) {
  return (error: unknown) => {
    assert.ok(error instanceof CaptureError, String(error))
    assert.equal(error.code, code)
    assert.match(error.message, message)
    assert.match(error.hint ?? '', hint)
    return true
  }
}

test('an interface that came back at its old place with a new index is another one: a revert puts back what is the machine’s', (t) => {
  const { machine, directory, before } = tuned(t)
  replace(machine, { ...ETH0, index: 9 })
  const hint = /what was tuned is gone: ringtap tune revert -i eth0 puts back/
  assert.throws(() => applyThrough(machine, {}, directory), fails('TUNING_FAILED', /is of another interface/, hint))
  const { isAbsent, restored } = revertThrough(machine, 'eth0', {}, directory)
  assert.equal(isAbsent, true)
  assert.ok(restored.length > 0 && restored.every(isHostWide))
  assert.deepEqual(limits(machine), before)
  assert.deepEqual(readdirSync(directory), [])
  assert.equal(revertThrough(machine, 'eth0', {}, directory).since, undefined)
  applyThrough(machine, {}, directory)
  revertThrough(machine, 'eth0', {}, directory)
  assert.deepEqual(limits(machine), before)
})

test('so it is where it came back under another name, and where another one has its address', (t) => {
  const vlan = vethFacts({ name: 'eth0.10', driver: '802.1Q VLAN Support', permanentMac: MAC })
  for (const [facts, now] of [
    [ETH0, { ...ETH0, index: 9, name: 'enp1s0' }],
    [vlan, { ...vlan, index: 10, name: 'eth0.20' }],
  ] as const) {
    const { machine, directory, before } = tuned(t, facts)
    replace(machine, now)
    machine.facts = () => {
      throw new CaptureError('NO_SUCH_INTERFACE', `${facts.name}: there is none`)
    }
    assert.equal(revertThrough(machine, facts.name, {}, directory).isAbsent, true)
    assert.deepEqual(limits(machine), before)
    assert.deepEqual(readdirSync(directory), [])
  }
})

test('governors are left to an interface that is tuned in another namespace, limits of this one are not', (t) => {
  const { machine, directory, before } = tuned(t)
  const [here] = readdirSync(directory)
  const journal = JSON.parse(readFileSync(join(directory, here ?? ''), 'utf8'))
  const blue = { ...journal.interface, netnsInode: BLUE, index: 7, name: 'va', mac: '02:00:00:00:00:07', permanentMac: undefined }
  const path = join(directory, `tune-${BLUE}-7.json`)
  writeFileSync(path, JSON.stringify({ ...journal, interface: blue, since: '2030-01-01T00:00:00.000Z', before: [] }))
  machine.present.set(7, { ...blue, netns: '/proc/7/ns/net' })
  const { left, restored } = revertThrough(machine, 'eth0', {}, directory)
  assert.deepEqual([left?.journal, left?.settings], [path, before.filter((it) => it.kind === 'governor' && it.cpu < 2)])
  assert.ok(restored.some(({ kind }) => kind === 'sysctl') && !restored.some(({ kind }) => kind === 'governor'))
  assert.deepEqual(
    limits(machine).filter(({ kind }) => kind === 'sysctl'),
    before.filter(({ kind }) => kind === 'sysctl'),
  )
  assert.equal(JSON.parse(readFileSync(path, 'utf8')).before.length, left?.settings.length)

  // Gone as well: nobody counts on them any more, and they are put back.
  applyThrough(machine, {}, directory)
  machine.present.delete(7)
  const second = revertThrough(machine, 'eth0', {}, directory)
  assert.equal(second.left, undefined)
  assert.deepEqual(second.orphans, [{ name: 'va', journal: path }])
})

test('of one that is in another namespace the whole command is told', (t) => {
  const { machine, directory } = tuned(t)
  const [there] = machine.present.values()
  assert.ok(there)
  machine.present.clear()
  machine.present.set(5, { ...there, netnsInode: BLUE, index: 5, name: "it's", netns: '/tmp/a b' })
  machine.facts = () => {
    throw new CaptureError('NO_SUCH_INTERFACE', 'eth0: there is none')
  }
  const hint = /is of one that is elsewhere now: ringtap tune revert -i 'it'\\''s' --netns '\/tmp\/a b'$/
  assert.throws(() => revertThrough(machine, 'eth0', {}, directory), fails('NO_SUCH_INTERFACE', /there is none/, hint))
  assert.equal(readdirSync(directory).length, 1)
})

test('an interface that was tuned in another namespace is reverted before it is tuned here, and no limit is filed under the wrong one', (t) => {
  const { machine, directory, before } = tuned(t)
  // As tuned from here with --netns: without the limits, which are not that namespace's.
  const text = ofBlue(directory, (kind) => kind !== 'sysctl' && kind !== 'governor')
  machine.host = structuredClone(HOST)
  const isTuned = settingsOf(machine.host, machine.interface)
  const hint = /^first ringtap tune revert -i eth0, which finds it, then again$/
  assert.throws(() => applyThrough(machine, {}, directory), fails('TUNING_FAILED', /was tuned in another network namespace \(net:\[4026532999\]\)/, hint))
  assert.deepEqual(settingsOf(machine.host, machine.interface), isTuned)
  assert.deepEqual(readdirSync(directory), [`tune-${BLUE}-2.json`])
  assert.equal(readFileSync(join(directory, `tune-${BLUE}-2.json`), 'utf8'), text)
  revertThrough(machine, 'eth0', {}, directory)
  assert.deepEqual(readdirSync(directory), [])
  applyThrough(machine, {}, directory)
  assert.notDeepEqual(limits(machine), before)
  const { gone } = revertThrough(machine, 'eth0', {}, directory)
  assert.deepEqual([gone, limits(machine)], [[], before])
})

test('what may be tuned already, as nobody can tell, is not tuned: what it is would be taken for what it was', (t) => {
  const { machine, directory } = tuned(t, vethFacts({ index: 2 }))
  const text = ofBlue(directory)
  machine.interface = structuredClone(vethFacts({ index: 2 }))
  const hint = /if it is, put back by hand what is in there; then, or if it is not: rm .*tune-4026532999-2\.json, once what is the machine's is as it was/
  const writes = machine.writes.length
  for (const act of [() => applyThrough(machine, {}, directory), () => revertThrough(machine, 'veth0', {}, directory)]) {
    assert.throws(act, fails('TUNING_FAILED', /whether it is this one cannot be told/, hint))
  }
  assert.equal(machine.writes.length, writes)
  assert.deepEqual(readdirSync(directory), [`tune-${BLUE}-2.json`])
  assert.equal(readFileSync(join(directory, `tune-${BLUE}-2.json`), 'utf8'), text)
})
