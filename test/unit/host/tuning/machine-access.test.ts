import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { HostFacts, InterfaceFacts } from '#src/host/facts.js'
import { type Door, writeSetting } from '#src/host/tuning/machine-access.js'
import { currentSetting, type Setting } from '#src/host/tuning/setting.js'
import { CaptureError } from '#src/index.js'
import { Descriptor } from '#src/kernel/descriptor.js'
import { fakeKernel } from '../../../support/fake-kernel.js'
import { recordedHost } from '../../../support/recorded-host.js'

/** A recorded machine whose files are written, and its facts read from them again. */
function machine() {
  const host = recordedHost('ixgbe')
  const [name] = Object.keys(host.devices) as [string]
  const kernel = fakeKernel()
  const door: Door = { kernel, ethtool: new Descriptor(kernel, 1000), files: host.files, name }
  const facts = (): [HostFacts, InterfaceFacts] => [host.hostFacts(), host.interfaceFacts(name)]
  return { host, door, facts }
}

test('what is written to /proc and /sys is what the facts say afterwards', () => {
  const { door, facts } = machine()
  const settings: readonly Setting[] = [
    { kind: 'interrupt', name: 'of queue 3', value: [3] },
    { kind: 'interrupt', name: 'of queue 5', value: [1, 8, 9] },
    { kind: 'receive-queue-cpus', queue: 2, value: [0, 2, 15] },
    { kind: 'receive-queue-cpus', queue: 2, value: [] },
    { kind: 'receive-queue-flows', queue: 2, value: 64 },
    { kind: 'transmit-queue-cpus', queue: 1, value: [9] },
    { kind: 'sysctl', name: 'net.core.netdev_budget', value: '600' },
    { kind: 'governor', cpu: 2, value: 'performance' },
  ]
  for (const setting of settings) {
    const others = facts()[1].interrupts.filter(({ queue }) => `of queue ${queue}` !== ('name' in setting ? setting.name : ''))
    assert.notDeepEqual(currentSetting(setting, ...facts()), setting)
    writeSetting(door, setting)
    assert.deepEqual(currentSetting(setting, ...facts()), setting)
    for (const other of others) assert.deepEqual(facts()[1].interrupts.find(({ irq }) => irq === other.irq)?.affinity, other.affinity)
  }
})

test('an interrupt that is not there any more is an error', () => {
  const { door } = machine()
  assert.throws(
    () => writeSetting(door, { kind: 'interrupt', name: 'of queue 99', value: [0] }),
    (error) => error instanceof CaptureError && /eth\d: there is no interrupt of queue 99 any more/.test(error.message),
  )
})
