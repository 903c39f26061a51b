import assert from 'node:assert/strict'
import { test } from 'node:test'
import { queueCpus } from '#src/host/queues.js'
import { recordedHost } from '../../support/recorded-host.js'

const range = (count: number) => Array.from({ length: count }, (_, index) => index)

test('the CPU that each queue interrupts, in the order of the queues', () => {
  assert.deepEqual(queueCpus(recordedHost('ixgbe').files, 'eth0', range(16)), [0, 1, 2, 3, 4, 5, 6, 7])
  assert.deepEqual(queueCpus(recordedHost('mlx5').files, 'enp175s0np0', range(32)), [...range(8).map((cpu) => cpu + 8), ...range(8).map((cpu) => cpu + 24)])
  assert.deepEqual(queueCpus(recordedHost('virtio').files, 'eth0', [0, 1]), [1])
})

test('where effective affinity is not told, the first CPU that is allowed', () => {
  const { tree, files } = recordedHost('ixgbe')
  tree.delete('/proc/irq/81/effective_affinity_list')
  assert.deepEqual(queueCpus(files, 'eth0', range(16).slice(2)), [2, 2, 3, 4, 5, 6, 7])
})

test('an interface without interrupts is served by the CPUs in their order', () => {
  assert.deepEqual(queueCpus(recordedHost('veth').files, 'veth0', [0, 1]), [0, 1])
  assert.deepEqual(queueCpus(recordedHost('ixgbe').files, 'eth0', []), [])
})
