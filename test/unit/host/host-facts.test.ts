import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hostFacts } from '#src/host/host-facts.js'
import { recordedFiles, recordedHost } from '../../support/recorded-host.js'

test('hyperthreads of one core share its number, on machines that number them in any way', () => {
  const cores = recordedHost('i40e').hostFacts().cpus
  assert.deepEqual(
    cores.map(({ core }) => core),
    [0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7],
  )
  assert.deepEqual(
    cores.map(({ numaNode }) => numaNode),
    Array.from({ length: 16 }, (_, cpu) => cpu % 2),
  )
})

test('CPUs that are offline are left out', () => {
  const host = recordedHost('ixgbe')
  host.tree.set('/sys/devices/system/cpu/online', '0,2-3\n')
  assert.deepEqual(
    host.hostFacts().cpus.map(({ cpu }) => cpu),
    [0, 2, 3],
  )
})

test('CPUs that are isolated, and governors that there are', () => {
  const host = recordedHost('ixgbe')
  host.tree.set('/sys/devices/system/cpu/cpu1/cpufreq/scaling_available_governors', 'performance powersave \n')
  const isolated = (...lists: readonly string[]) => {
    for (const [index, list] of lists.entries()) host.tree.set(`/sys/devices/system/cpu/${['isolated', 'nohz_full'][index]}`, list)
    return host.hostFacts().isolatedCpus
  }
  assert.deepEqual(host.hostFacts().cpus[1]?.availableGovernors, ['performance', 'powersave'])
  assert.equal(isolated(), undefined)
  assert.deepEqual(isolated('\n'), [])
  assert.deepEqual(isolated('\n', '  (null)\n'), [])
  assert.deepEqual(isolated('2-3\n', '3-4\n'), [2, 3, 4])
})

test('irqbalance: running, not running, and not to be seen', () => {
  const host = recordedHost('ixgbe')
  assert.deepEqual(host.hostFacts().irqbalance, { running: true, pid: 1032 })
  host.tree.delete('/proc/1032/comm')
  assert.deepEqual(host.hostFacts().irqbalance, { running: false, pid: undefined })
  // In a container.
  host.tree.set('/proc/self/ns/pid', { link: 'pid:[4026532201]' })
  assert.equal(host.hostFacts().irqbalance, undefined)
  assert.deepEqual(
    host.hostFacts().unread.map(({ what }) => what),
    ['irqbalance'],
  )
  // With hidepid.
  host.tree.set('/proc/self/ns/pid', { link: 'pid:[4026531836]' })
  host.tree.delete('/proc/1/comm')
  assert.equal(host.hostFacts().irqbalance, undefined)
})

test('limits that may not be read, or are not there, are undefined and named', () => {
  const host = recordedHost('ixgbe')
  host.tree.set('/proc/sys/net/core/bpf_jit_enable', { errno: 13 })
  host.tree.delete('/proc/sys/net/core/netdev_max_backlog')
  const { sysctls, unread } = host.hostFacts()
  assert.equal(sysctls['net.core.bpf_jit_enable'], undefined)
  assert.equal(sysctls['net.core.rmem_max'], '212992')
  assert.deepEqual(unread, [
    { what: 'net.core.netdev_max_backlog', source: '/proc/sys/net/core/netdev_max_backlog', reason: 'ENOENT: no such file or directory' },
    { what: 'net.core.bpf_jit_enable', source: '/proc/sys/net/core/bpf_jit_enable', reason: 'EACCES: permission denied' },
  ])
})

test('limits of the machine that a network namespace shows and does not let be written', () => {
  const host = recordedHost('ixgbe')
  assert.equal(host.hostFacts().readOnlySysctls, undefined)
  host.tree.set('/proc/sys/net/core/rmem_max', { text: '212992\n', mode: 0o444 })
  const { sysctls, readOnlySysctls } = host.hostFacts()
  assert.deepEqual([sysctls['net.core.rmem_max'], readOnlySysctls], ['212992', ['net.core.rmem_max']])
})

test('a machine that tells nothing has the CPUs that the process may use', () => {
  const facts = hostFacts(recordedFiles(new Map()), { architecture: 'x64', pageSizeBytes: 4096, allowedCpus: [2, 3] })
  assert.deepEqual(
    facts.cpus.map(({ cpu, core, numaNode, governor }) => [cpu, core, numaNode, governor]),
    [
      [2, 2, 0, undefined],
      [3, 3, 0, undefined],
    ],
  )
  assert.deepEqual([facts.kernel, facts.memoryBytes, facts.irqbalance], ['', 0, undefined])
  assert.ok(facts.unread.some(({ what }) => what === 'CPUs'))
})
