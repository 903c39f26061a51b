import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DeviceAnswers } from '#src/host/device-answers.js'
import { interfaceFacts } from '#src/host/interface-facts.js'
import { recordedHost } from '../../support/recorded-host.js'

/** A machine with the kernel's answers changed. */
function ixgbe(changes: Partial<DeviceAnswers> = {}) {
  const host = recordedHost('ixgbe')
  host.devices.eth0 = { ...(host.devices.eth0 as DeviceAnswers), ...changes }
  return host
}

const linkOf = (host: ReturnType<typeof ixgbe>, changes: Partial<DeviceAnswers['link']>) => ({ ...(host.devices.eth0 as DeviceAnswers).link, ...changes })

test('each answer that could not be had is named, and the rest stands', () => {
  const refused = { unread: { source: 'ioctl(ETHTOOL_GRSSH)', reason: 'EPERM: operation not permitted' } }
  const facts = ixgbe({
    driver: refused,
    rss: refused,
    flowHash: refused,
    features: refused,
    use: refused,
    xdpPrograms: { value: [{ mode: 'native', programId: 17, name: refused }] },
  }).interfaceFacts('eth0')
  assert.deepEqual(
    facts.unread.map(({ what }) => what),
    ['driver', 'RSS', 'hash fields', 'features', 'name of XDP program 17', 'use'],
  )
  assert.deepEqual([facts.driver, facts.rss, facts.flowHash, facts.features, facts.use], [undefined, undefined, undefined, {}, []])
  assert.deepEqual(facts.xdpPrograms, [{ mode: 'native', programId: 17, name: undefined }])
  assert.equal(facts.interrupts.length, 9)
})

test('queues in use are those of the driver, else those of the link', () => {
  const { rxQueues, txQueues } = ixgbe().interfaceFacts('eth0')
  assert.deepEqual([rxQueues, txQueues], [8, 8])
  const bare = ixgbe({ channels: {} }).interfaceFacts('eth0')
  assert.deepEqual([bare.rxQueues, bare.txQueues, bare.channels], [64, 64, undefined])
})

test('hash fields are those of the driver, unless it hashes nothing and has no RSS either', () => {
  const none = { tcp4: '', udp4: '', tcp6: '', udp6: '' }
  const flowHash = (value: Record<string, string>, rss?: DeviceAnswers['rss']) =>
    ixgbe({ flowHash: { value }, ...(rss && { rss }) }).interfaceFacts('eth0').flowHash
  assert.equal(ixgbe().interfaceFacts('eth0').flowHash?.udp4, 'sd')
  assert.equal(flowHash(none, {}), undefined)
  assert.deepEqual(flowHash(none), none)
  // dpaa2 has neither key nor table to show.
  assert.deepEqual(flowHash({ ...none, udp4: 'sd' }, {}), { ...none, udp4: 'sd' })
})

test('a key of zeros is not symmetric: it sends all to one queue', () => {
  const host = recordedHost('ixgbe')
  const [name] = Object.keys(host.devices) as [string]
  const answers = host.devices[name] as DeviceAnswers
  host.devices[name] = { ...answers, rss: { value: { indirection: [0, 1], key: '0000'.repeat(20), inputTransform: 0, hashFunction: 'toeplitz' } } }
  assert.equal(host.interfaceFacts(name).rss?.symmetric, false)
})

test('a key that repeats every two bytes is symmetric, and so is a transformation', () => {
  const rss = (key: string, inputTransform = 0, hashFunction = 'toeplitz') =>
    ixgbe({ rss: { value: { indirection: [0, 1], key, inputTransform, hashFunction } } }).interfaceFacts('eth0').rss?.symmetric
  assert.equal(rss('6d5a'.repeat(20)), true)
  assert.equal(rss('6d5a'), true)
  assert.equal(rss(`${'6d5a'.repeat(19)}6d5b`), false)
  assert.equal(rss(`${'6d5a'.repeat(19)}6d`), false)
  assert.equal(rss('6d5a'.repeat(20), 0, 'crc32'), false)
  assert.equal(rss('00112233', 1), true)
  assert.equal(rss('', 0), false)
})

test('a transformation is known where the kernel tells it: from 6.8 on', () => {
  for (const [release, expected] of [
    ['6.7.12', undefined],
    ['6.8.0-31-generic', 0],
    ['7.0.1', 0],
    ['5.15.0', undefined],
  ] as const) {
    const host = ixgbe()
    host.tree.set('/proc/sys/kernel/osrelease', `${release}\n`)
    assert.equal(host.interfaceFacts('eth0').rss?.inputTransform, expected, release)
  }
})

test('neither table nor key: no RSS', () => {
  assert.equal(ixgbe({ rss: { value: { indirection: [], key: '', inputTransform: 0 } } }).interfaceFacts('eth0').rss, undefined)
})

test('the sysfs of another network namespace is not taken for ours', () => {
  const another = [
    ['/sys/devices/pci0000:3a/0000:3a:00.0/0000:3b:00.0/net/eth0/ifindex', '3\n'],
    ['/sys/devices/pci0000:3a/0000:3a:00.0/0000:3b:00.0/net/eth0/address', '02:00:00:00:00:09\n'],
  ] as const
  for (const [path, text] of another) {
    const host = ixgbe()
    host.tree.set(path, text)
    const { receiveQueues, transmitQueues, interrupts, numaNode, unread, driver } = host.interfaceFacts('eth0')
    assert.deepEqual([receiveQueues, transmitQueues, interrupts, numaNode, driver], [[], [], [], undefined, 'ixgbe'])
    assert.deepEqual(unread, [
      {
        what: 'NUMA node, queues and interrupts',
        source: '/sys/class/net/eth0',
        reason: 'it shows the interfaces of another network namespace; to mount ours takes CAP_SYS_ADMIN and Linux 5.2',
      },
    ])
  }
  const host = ixgbe()
  host.tree.delete('/sys/class/net/eth0')
  assert.match(host.interfaceFacts('eth0').unread[0]?.reason ?? '', /another network namespace/)
  host.tree.set('/sys/class/net', { errno: 13 })
  assert.equal(host.interfaceFacts('eth0').unread[0]?.reason, 'EACCES: permission denied')
})

test('NUMA node: none where there is only one, or where the device has none', () => {
  const host = ixgbe()
  assert.equal(host.interfaceFacts('eth0').numaNode, 0)
  host.tree.set('/sys/devices/pci0000:3a/0000:3a:00.0/0000:3b:00.0/numa_node', '-1\n')
  assert.equal(host.interfaceFacts('eth0').numaNode, undefined)
  const single = ixgbe()
  single.tree.set('/sys/devices/system/node/online', '0\n')
  assert.equal(single.interfaceFacts('eth0').numaNode, undefined)
})

test('RPS and XPS as masks; what a kernel without RPS lacks is named', () => {
  const host = ixgbe()
  const queues = '/sys/devices/pci0000:3a/0000:3a:00.0/0000:3b:00.0/net/eth0/queues'
  host.tree.set(`${queues}/rx-2/rps_cpus`, '0000,00000101\n')
  host.tree.set(`${queues}/rx-2/rps_flow_cnt`, '4096\n')
  host.tree.set(`${queues}/tx-1/xps_cpus`, { errno: 2 })
  host.tree.set(`${queues}/rx-10/rps_cpus`, '0\n')
  host.tree.set(`${queues}/rx-3/rps_cpus`, { errno: 95 })
  host.tree.set(`${queues}/rx-5/rps_cpus`, { errno: 95 })
  const { receiveQueues, transmitQueues, unread } = host.interfaceFacts('eth0')
  assert.deepEqual(
    receiveQueues.map(({ queue }) => queue),
    [0, 1, 2, 4, 6, 7, 10],
  )
  assert.deepEqual(receiveQueues[2], { queue: 2, rpsCpus: [0, 8], rpsFlowCount: 4096 })
  assert.deepEqual(transmitQueues.slice(0, 3), [
    { queue: 0, xpsCpus: [0] },
    { queue: 1, xpsCpus: undefined },
    { queue: 2, xpsCpus: [2] },
  ])
  assert.deepEqual(
    unread.map(({ what, reason }) => [what, reason.split(':', 1)[0]]),
    [['RPS', 'EOPNOTSUPP']],
  )
})

test('the holders of promiscuous mode: all that can be told, and how many cannot', () => {
  const host = ixgbe()
  const holders = (changes: Partial<DeviceAnswers['link']>, sockets: DeviceAnswers['promiscuousSockets'] = { value: [] }) => {
    const answers = { ...(host.devices.eth0 as DeviceAnswers), link: linkOf(host, changes), promiscuousSockets: sockets }
    return interfaceFacts(answers, host.files)
  }
  assert.deepEqual(holders({ flags: 0x103, promiscuity: 1 }).promiscuous, { on: true, count: 1, holders: ['sticky flag (ip link set promisc on)'] })
  assert.deepEqual(holders({ promiscuity: 1, master: { name: 'br0', kind: 'bridge', promiscuity: 0 } }).promiscuous.holders, ['bridge br0'])
  assert.deepEqual(holders({ promiscuity: 1, master: { name: 'bond0', kind: 'bond', promiscuity: 1 } }).promiscuous.holders, ['bond bond0, itself promiscuous'])
  assert.deepEqual(holders({ promiscuity: 1, master: { name: 'bond0', kind: 'bond', promiscuity: 0 } }).promiscuous.holders, [
    '1 that the kernel does not name',
  ])
  const upper = { name: 'eth0.5', kind: 'vlan', promiscuity: 1 }
  assert.deepEqual(holders({ promiscuity: 3, uppers: [upper] }).promiscuous.holders, ['vlan eth0.5, itself promiscuous', '2 that the kernel does not name'])
  assert.deepEqual(holders({ promiscuity: 0, master: { name: 'br0', kind: 'bridge', promiscuity: 1 } }).promiscuous, { on: false, count: 0, holders: [] })

  host.tree.set('/proc/4711/comm', 'tcpdump\n')
  host.tree.set('/proc/4711/fd/0', { link: '/dev/null' })
  host.tree.set('/proc/4711/fd/3', { link: 'socket:[5511]' })
  assert.deepEqual(holders({ promiscuity: 1 }, { value: [5511] }).promiscuous.holders, ['packet socket of tcpdump (pid 4711)'])
  const gone = holders({ promiscuity: 1 }, { value: [99] })
  assert.deepEqual(gone.promiscuous.holders, ['packet socket (inode 99) of a process that is not to be seen'])
  assert.deepEqual(gone.unread, [])

  host.tree.set('/proc/1/fd', { errno: 13 })
  assert.deepEqual(holders({ promiscuity: 1 }, { value: [99] }).unread, [
    { what: 'processes that hold it promiscuous', source: '/proc/PID/fd', reason: 'EACCES: permission denied' },
  ])
  // All that were looked for are found: that some process may not be looked at does not matter.
  assert.deepEqual(holders({ promiscuity: 1 }, { value: [5511] }).unread, [])
  const silent = { unread: { source: 'SOCK_DIAG_BY_FAMILY(AF_PACKET)', reason: 'ENOENT: no such file or directory' } }
  assert.deepEqual(
    holders({ promiscuity: 1 }, silent).unread.map(({ what }) => what),
    ['packet sockets'],
  )
})
