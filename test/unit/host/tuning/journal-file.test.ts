import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { PresentInterface, TunedInterface, Whereabouts } from '#src/host/tuning/access.js'
import { readJournal, type TuningJournal, writeJournal } from '#src/host/tuning/journal.js'
import { findJournal, findStore, keptJournals } from '#src/host/tuning/journal-file.js'
import { SETTING_ORDER, type Setting, settingsOf } from '#src/host/tuning/setting.js'
import { CaptureError } from '#src/index.js'
import { cpuFacts, hostFacts, nicFacts } from '../../../support/host-facts.js'
import { journalFile } from '../../../support/journal-file.js'

const MAC = '02:00:00:00:00:02'
const ETH0: TunedInterface = { netnsInode: 4026531840, index: 2, name: 'eth0', mac: MAC, permanentMac: MAC, bus: '0000:3b:00.0', driver: 'ixgbe' }
const BEFORE = settingsOf(
  hostFacts({ cpus: cpuFacts(2, { governor: 'powersave' }) }),
  nicFacts({ threaded: 1, transmitQueues: [{ queue: 0, xpsCpus: [0], xpsReceivers: [1] }] }),
)
const JOURNAL: TuningJournal = { interface: ETH0, since: '2026-11-20T18:00:00.000Z', before: BEFORE }

function folder(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'ringtap-journal-'))
  t.after(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

function fails(code: string, message: RegExp) {
  return (error: unknown) => error instanceof CaptureError && error.code === code && message.test(error.message)
}

test('a journal is read as it was written, settings of every kind', (t) => {
  const store = journalFile(ETH0, join(folder(t), 'ringtap'))
  assert.deepEqual(new Set(BEFORE.map(({ kind }) => kind)), new Set(SETTING_ORDER))
  assert.equal(readJournal(store, ETH0), undefined)
  writeJournal(store, JOURNAL)
  assert.deepEqual(readJournal(store, ETH0), JOURNAL)
  const without = { ...JOURNAL, interface: { ...ETH0, mac: undefined } }
  writeJournal(store, without)
  assert.deepEqual(readJournal(store, without.interface), without)
  store.remove()
  store.remove()
  assert.equal(readJournal(store, ETH0), undefined)
})

test('nobody else may read or write it, and nothing lies about beside it', (t) => {
  const directory = join(folder(t), 'ringtap')
  const store = journalFile(ETH0, directory)
  writeJournal(store, JOURNAL)
  assert.equal(statSync(directory).mode & 0o777, 0o700)
  assert.equal(statSync(store.path).mode & 0o777, 0o600)
  // What a killed apply has left is in nobody's way.
  writeFileSync(`${store.path}.new`, 'half a jour')
  writeJournal(store, JOURNAL)
  assert.deepEqual(readdirSync(directory), ['tune-4026531840-2.json'])
})

test('a journal that does not fit on the disk is an error, leaves the one before and nothing beside it', (t) => {
  const directory = join(folder(t), 'ringtap')
  const store = journalFile(ETH0, directory)
  store.write('before')
  const module = new URL('host/tuning/journal-file.js', import.meta.resolve('#src/index.js')).href
  const program = `
    const { findStore } = await import(${JSON.stringify(module)})
    try { findStore(${JSON.stringify(ETH0)}, ${JSON.stringify(directory)}).store.write('x'.repeat(1500)) }
    catch (error) { console.log(error.code, error.errnoName) }`
  // A file may have 1024 bytes: the first write writes so many and no error.
  const argv = ['-c', 'ulimit -f 2; exec "$0" --input-type=module -e "$1"', process.execPath, program]
  const { stdout, stderr } = spawnSync('sh', argv, { encoding: 'utf8' })
  assert.equal(stdout, 'FILE_FAILED EFBIG\n', stderr)
  assert.deepEqual(readdirSync(directory), ['tune-4026531840-2.json'])
  assert.equal(store.read(), 'before')
})

test('a directory in which others may write is refused', (t) => {
  const directory = join(folder(t), 'ringtap')
  mkdirSync(directory)
  chmodSync(directory, 0o777)
  assert.throws(() => writeJournal(journalFile(ETH0, directory), JOURNAL), fails('TUNING_FAILED', /with mode 777: others could write journals there/))
})

test('it is found under another name of the interface, and under the name that another interface has now', (t) => {
  const directory = folder(t)
  const { path } = journalFile(ETH0, directory)
  writeJournal(journalFile(ETH0, directory), JOURNAL)
  assert.equal(journalFile({ ...ETH0, name: 'mirror0' }, directory).path, path)
  const again = { ...ETH0, index: 7, mac: '02:00:00:00:00:07' }
  assert.equal(journalFile(again, directory).path, path)
  assert.throws(
    () => readJournal(journalFile(again, directory), again),
    fails('TUNING_FAILED', /of another interface: eth0 \(index 2, .*this is eth0 \(index 7/),
  )
  // Of another namespace, or of an interface that has neither: none of its business.
  for (const other of [
    { ...ETH0, netnsInode: 4026531999 },
    { ...ETH0, index: 7, name: 'eth7' },
  ])
    assert.equal(readJournal(journalFile(other, directory), other), undefined)
})

/** What is to be seen of all namespaces. */
function seen(...interfaces: TunedInterface[]): () => Whereabouts {
  return () => ({ interfaces: interfaces.map((it): PresentInterface => ({ ...it, netns: undefined })), isComplete: true })
}

test('a namespace that got the inode of one that has gone is told from it by its cookie, and by the boot', (t) => {
  const directory = folder(t)
  const then = { ...ETH0, netnsCookie: '54758', bootId: 'b1' }
  const store = journalFile(then, directory)
  writeJournal(store, { ...JOURNAL, interface: then })
  assert.deepEqual(readJournal(journalFile(then, directory), then)?.interface, then)
  assert.deepEqual(readJournal(journalFile({ ...then, name: 'mirror0' }, directory), then)?.interface, then)
  for (const now of [
    { ...then, netnsCookie: '54759' },
    { ...then, bootId: 'b2' },
  ]) {
    const other = findStore(now, directory)
    assert.equal(other.store.read(), undefined)
    assert.deepEqual(keptJournals(now, directory).length, now.bootId === 'b1' ? 1 : 0)
    assert.equal(findJournal(now, directory), undefined, JSON.stringify(now))
  }
  // Of a version or a kernel that knows none.
  store.remove()
  writeJournal(journalFile(ETH0, directory), JOURNAL)
  assert.deepEqual(readJournal(journalFile(then, directory), then), JOURNAL)
})

test('what is damaged or of a newer version is in the way of its own interface alone', (t) => {
  const directory = folder(t)
  for (const [index, text] of ['{', '', '{"schema":7}'].entries()) writeFileSync(join(directory, `tune-4026531840-${990 + index}.json`), text)
  const store = journalFile(ETH0, directory)
  assert.equal(readJournal(store, ETH0), undefined)
  assert.equal(findJournal(ETH0, directory), undefined)
  writeJournal(store, JOURNAL)
  assert.deepEqual(readJournal(journalFile({ ...ETH0, name: 'mirror0' }, directory), ETH0), JOURNAL)
  for (const index of [990, 991, 992]) {
    const own = { ...ETH0, index, netnsCookie: '54758' }
    assert.throws(() => readJournal(journalFile(own, directory), own), fails('INVALID_FILE', /is no journal of tuning/))
  }
})

test('hardware that has gone to another namespace is found by its address and bus', (t) => {
  const directory = folder(t)
  const { path } = journalFile(ETH0, directory)
  writeJournal(journalFile(ETH0, directory), JOURNAL)
  const now = { ...ETH0, netnsInode: 4026532999, netnsCookie: '9', index: 5, name: 'net1' }
  const { store } = findStore(now, directory, seen(now))
  assert.equal(store.path, path)
  assert.deepEqual(readJournal(store, now), JOURNAL)
  // Of another port of the card, or while the one that was tuned still is where it was.
  const other = { ...now, bus: '0000:3b:00.1' }
  assert.equal(findStore(other, directory, seen(other)).store.read(), undefined)
  assert.equal(findStore(now, directory, seen(now, ETH0)).store.read(), undefined)
  // Nobody looked.
  assert.equal(findStore(now, directory).store.read(), undefined)
})

test('an interface of software is found in another namespace only where it can be no other', (t) => {
  const directory = folder(t)
  const veth: TunedInterface = { netnsInode: 4026531840, netnsCookie: '1', index: 9, name: 'v0', mac: MAC, driver: 'veth' }
  const journal = { ...JOURNAL, interface: veth }
  writeJournal(journalFile(veth, directory), journal)
  const lo = { ...veth, index: 1, name: 'lo', mac: '00:00:00:00:00:00', driver: undefined }
  const now = { ...veth, netnsInode: 4026532999, netnsCookie: '2' }
  const found = (...interfaces: TunedInterface[]) => {
    const { store, doubtful } = findStore(now, directory, seen(now, ...interfaces))
    return [store.read() !== undefined, doubtful.length]
  }
  assert.deepEqual(found(lo), [true, 0])
  // The namespace has gone with it, or another has such a one too: containers often have equal addresses.
  assert.deepEqual(found(), [false, 1])
  assert.deepEqual(found(lo, { ...now, netnsInode: 4026533000, netnsCookie: '3' }), [false, 1])
  assert.deepEqual(found(lo, veth), [false, 0])
  assert.match(findJournal(now, directory, seen(now))?.problem ?? '', /tune-4026531840\.1-9\.json is of v0 with the same MAC address/)
  // Each has a lo.
  writeJournal(journalFile(lo, directory), { ...JOURNAL, interface: lo })
  const there = { ...lo, netnsInode: 4026532999, netnsCookie: '2' }
  assert.deepEqual(findStore(there, directory, seen(there)).doubtful, [])
  assert.equal(keptJournals(there, directory).length, 2)
})

test('a permanent address without a bus of hardware makes nobody sure: an ipvlan has its parent’s', (t) => {
  const directory = folder(t)
  const software = [
    { bus: undefined, driver: 'ipvlan' },
    { bus: 'tap', driver: 'tun' },
    { bus: 'N/A', driver: 'bridge' },
  ]
  for (const device of software) {
    const then: TunedInterface = { ...ETH0, ...device, name: 'ipv0', index: 9 }
    const store = journalFile(then, directory)
    writeJournal(store, { ...JOURNAL, interface: then })
    const now = { ...then, netnsInode: 4026532999 }
    const found = findStore(now, directory, seen(now))
    assert.deepEqual([found.store.read(), found.doubtful.length], [undefined, 1], device.driver)
    // Of its namespace only lo is left, and nobody else has such a one.
    const lo = { netnsInode: ETH0.netnsInode, index: 1, name: 'lo', mac: '00:00:00:00:00:00' }
    assert.equal(findStore(now, directory, seen(now, lo)).store.path, store.path)
    store.remove()
  }
  for (const bus of ['0000:3b:00.0', 'usb-0000:00:14.0-1', 'vif-0']) {
    const then = { ...ETH0, bus }
    const store = journalFile(then, directory)
    writeJournal(store, { ...JOURNAL, interface: then })
    const now = { ...then, netnsInode: 4026532999 }
    assert.equal(findStore(now, directory, seen(now)).store.path, store.path, bus)
    store.remove()
  }
})

test('the journals of other interfaces are found, and what lies beside them is not', (t) => {
  const directory = folder(t)
  const store = journalFile(ETH0, directory)
  assert.deepEqual(store.others(), [])
  const other = journalFile({ ...ETH0, index: 3, name: 'eth1' }, directory)
  for (const it of [store, other]) writeJournal(it, JOURNAL)
  writeFileSync(join(directory, 'tune-4026531840-4.json.new'), '{')
  assert.deepEqual(
    store.others().map(({ path, read }) => [path, read()]),
    [[other.path, other.read()]],
  )
})

test('whoever only looks is told since when, or what is wrong', (t) => {
  const directory = folder(t)
  assert.equal(findJournal(ETH0, directory), undefined)
  const store = journalFile(ETH0, directory)
  writeJournal(store, JOURNAL)
  assert.deepEqual(findJournal(ETH0, directory), { path: store.path, since: JOURNAL.since, problem: undefined, before: BEFORE })
  writeFileSync(store.path, '{')
  assert.match(findJournal(ETH0, directory)?.problem ?? '', /is no journal of tuning/)
  assert.ok(existsSync(store.path))
})

test('what is no setting does not get through', (t) => {
  const store = journalFile(ETH0, folder(t))
  writeJournal(store, JOURNAL)
  const good = JSON.parse(readFileSync(store.path, 'utf8')) as object
  const settings: unknown[] = [
    null,
    { kind: 'file', name: '/etc/passwd', value: '' },
    { kind: 'sysctl', name: '../../etc/passwd', value: '' },
    { kind: 'sysctl', name: 'kernel.panic', value: '1' },
    { kind: 'governor', cpu: '0/../..', value: '' },
    { kind: 'feature', name: 'rx-gro', value: 1 },
    { kind: 'channels', value: { combined: -1 } },
    { kind: 'rss-key', value: 'xy' },
    { kind: 'rss-indirection', value: 'default' },
    { kind: 'flow-hash', flow: 'sctp4', value: 'sd' },
    { kind: 'flow-hash', flow: 'udp4', value: 'sd fn' },
    { kind: 'flow-hash', flow: 'udp4' },
    { kind: 'receive-queue-cpus', queue: 0, value: ['0'] },
    { kind: 'coalescing', value: [1.5] },
  ] satisfies (Setting | unknown)[]
  for (const setting of settings) {
    store.write(JSON.stringify({ ...good, before: [setting] }))
    assert.throws(() => readJournal(store, ETH0), fails('INVALID_FILE', /not a setting/), JSON.stringify(setting))
  }
})
