/** Hash fields as they are applied and taken back, on drivers that have ways of their own with them. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { applyTuning } from '#src/host/apply-tuning.js'
import { revertTuning } from '#src/host/revert-tuning.js'
import { CaptureError } from '#src/index.js'
import { EINVAL, EOPNOTSUPP } from '#src/kernel/errno.js'
import { hostFacts, nicFacts } from '../../../support/host-facts.js'
import { kernelError, memoryJournal, TunableMachine } from '../../../support/tunable-machine.js'

const BEFORE = { tcp4: 'sdfn', udp4: 'sd', tcp6: 'sdfn', udp6: 'sd', sctp4: 'sd', sctp6: 'sd' }
const AFTER = { ...BEFORE, udp4: 'sdfn', udp6: 'sdfn' }

test('what is hashed of UDP is set, read back and taken back, and nothing of other flows is written', () => {
  const machine = new TunableMachine(hostFacts(), nicFacts({ flowHash: BEFORE }), { pickyHash: true })
  const journal = memoryJournal()
  applyTuning(machine, journal)
  assert.deepEqual(machine.interface.flowHash, AFTER)
  const { restored } = revertTuning(machine, journal)
  assert.deepEqual(machine.interface.flowHash, BEFORE)
  assert.equal(restored.filter(({ kind }) => kind === 'flow-hash').length, 2)
  const written = machine.writes.flatMap((it) => (it.kind === 'flow-hash' ? [`${it.flow} ${it.value}`] : []))
  assert.deepEqual(written, ['udp4 sdfn', 'udp6 sdfn', 'udp4 sd', 'udp6 sd'])
})

test('one set of fields for all flows is set, and taken back for SCTP, too', () => {
  const fields = { tcp4: 'tsd', udp4: 'tsd', tcp6: 'tsd', udp6: 'tsd', sctp4: 'tsd', sctp6: 'tsd' }
  const machine = new TunableMachine(hostFacts(), nicFacts({ flowHash: fields, rss: undefined }), { oneHash: true })
  const journal = memoryJournal()
  applyTuning(machine, journal)
  assert.deepEqual(new Set(Object.values(machine.interface.flowHash ?? {})), new Set(['tsdfn']))
  revertTuning(machine, journal)
  assert.deepEqual(machine.interface.flowHash, fields)
})

test('while both directions are XORed, fields are set that the kernel takes then', () => {
  const { rss } = nicFacts()
  assert.ok(rss !== undefined)
  const facts = nicFacts({ flowHash: BEFORE, rss: { ...rss, inputTransform: 1, symmetric: true } })
  const machine = new TunableMachine(hostFacts(), facts)
  const { refused } = applyTuning(machine, memoryJournal())
  assert.deepEqual([refused, machine.interface.flowHash], [[], AFTER])
})

test('a driver that cannot hash ports of UDP says so, and all else is done', () => {
  for (const errno of [EINVAL, EOPNOTSUPP]) {
    const machine = new TunableMachine(hostFacts(), nicFacts({ flowHash: BEFORE }))
    machine.before = (setting) => {
      if (setting.kind === 'flow-hash' && setting.flow === 'udp6') throw kernelError(errno, setting)
    }
    const { refused, plan, applied } = applyTuning(machine, memoryJournal())
    assert.deepEqual(
      refused.map(({ step }) => step.id),
      ['flow-hash udp6'],
    )
    assert.deepEqual([plan.steps, machine.interface.flowHash], [[], { ...BEFORE, udp4: 'sdfn' }])
    assert.ok(applied.some(({ id }) => id === 'coalescing'))
    assert.equal(plan.remarks.find(({ subject }) => subject === 'eth0 udp6')?.status, 'unsupported')
  }
})

test('a driver that takes fields without hashing them is found out', () => {
  const machine = new TunableMachine(hostFacts(), nicFacts({ flowHash: BEFORE }))
  const write = machine.write.bind(machine)
  machine.write = (setting) => {
    if (setting.kind !== 'flow-hash') write(setting)
  }
  assert.throws(
    () => applyTuning(machine, memoryJournal()),
    (error) => error instanceof CaptureError && /^eth0 udp4: hash fields was set to sdfn and is sd; everything is as it was before$/.test(error.message),
  )
})

test('a journal of a version that knew no hash fields gets them before they are changed', () => {
  const machine = new TunableMachine(hostFacts(), nicFacts({ flowHash: undefined }))
  const journal = memoryJournal()
  applyTuning(machine, journal, { cpus: [0, 1] })
  machine.interface = { ...machine.interface, flowHash: BEFORE }
  machine.before = (setting) => {
    if (setting.kind === 'flow-hash') assert.match(journal.text ?? '', new RegExp(`"flow": "${setting.flow}",\\s*"value": "sd"`))
  }
  applyTuning(machine, journal)
  assert.deepEqual(machine.interface.flowHash, AFTER)
  revertTuning(machine, journal)
  assert.deepEqual([machine.interface.flowHash, machine.interface.rxQueues], [BEFORE, 4])
})

test('flows that the driver does not tell of any more do not keep a revert from its end, but fields that cannot be read do', () => {
  const machine = new TunableMachine(hostFacts(), nicFacts({ flowHash: BEFORE }))
  const journal = memoryJournal()
  applyTuning(machine, journal)
  const unread = [{ what: 'hash fields', source: 'ioctl(ETHTOOL_GRXFH)', reason: 'EBUSY: device or resource busy' }]
  machine.interface = { ...machine.interface, flowHash: undefined, unread }
  assert.throws(() => revertTuning(machine, journal), { code: 'TUNING_FAILED', message: /flow-hash udp4 \(was sd\)/ })
  machine.interface = { ...machine.interface, unread: [], flowHash: { udp4: 'sdfn' } }
  const { gone } = revertTuning(machine, journal)
  assert.equal(gone.length, 3)
  assert.deepEqual([machine.interface.flowHash, journal.text], [{ udp4: 'sd' }, undefined])
})
