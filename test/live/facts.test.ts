/** Facts of interfaces, and what is changed of them, against what ethtool(8), ip(8) and the files of the namespace say. */
import assert from 'node:assert/strict'
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { alu, assemble, exit } from '#src/bpf/ebpf.js'
import { openCapture } from '#src/capture/open.js'
import { planTuning, readHostFacts, readInterfaceFacts } from '#src/host/index.js'
import { openMachineFiles } from '#src/host/machine-files.js'
import { attachXdp } from '#src/kernel/bpf-link.js'
import { loadProgram } from '#src/kernel/bpf-program.js'
import { openControlSocket } from '#src/kernel/ethtool.js'
import { readFeatures, setFeatures } from '#src/kernel/ethtool-features.js'
import { readFlowHash, setFlowHash } from '#src/kernel/ethtool-flow-hash.js'
import { setChannels, setCoalescing, setRings } from '#src/kernel/ethtool-queues.js'
import { setRss } from '#src/kernel/ethtool-rss.js'
import { createNamespace, withNamespace } from '#src/kernel/namespace.js'
import { openKernel } from '#src/kernel/system.js'
import { allowedCpus } from '#src/kernel/thread.js'
import { createTestbed } from '#src/testbed/index.js'
import { accordingToEthtool, accordingToIp, factsAsEthtool, factsAsIp } from '../support/ethtool-text.js'
import { inNamespace, live, openDescriptors, until } from '../support/live.js'
import { tracingKernel } from '../support/tracing-kernel.js'

const QUEUES = 4
const root = fileURLToPath(new URL('../', import.meta.resolve('#src/index.js')))

/** A namespace with the veth pair eth0 and peer0 of four queues each, up; `ip` acts in it. */
function network() {
  const kernel = tracingKernel(openKernel())
  const namespace = createNamespace(kernel)
  const netns = `/proc/${process.pid}/fd/${namespace.fd}`
  const ip = (...words: string[]) => inNamespace(netns, 'ip', ...words)
  const queues = ['numrxqueues', `${QUEUES}`, 'numtxqueues', `${QUEUES}`]
  ip('link', 'add', 'eth0', 'up', ...queues, 'type', 'veth', 'peer', 'name', 'peer0', ...queues)
  ip('link', 'set', 'peer0', 'up')
  const control = withNamespace(kernel, namespace, () => openControlSocket(kernel))
  return {
    kernel,
    namespace,
    netns,
    ip,
    control,
    ethtool: (...words: string[]) => inNamespace(netns, 'ethtool', ...words),
    facts: (name = 'eth0') => readInterfaceFacts(name, { netns }),
    [Symbol.dispose]() {
      control.close()
      namespace.close()
      kernel.assertNoLeaks()
    },
  }
}

/** What everything that may change of an interface says, for a comparison to the byte. */
function stateOf(net: ReturnType<typeof network>, name: string): string {
  const shown = ['-k', '-l', '-g', '-c', '-x'].map((option) => {
    const { stdout, stderr } = spawnSync('nsenter', [`--net=${net.netns}`, 'ethtool', option, name], { encoding: 'utf8' })
    return stdout + stderr
  })
  return [...shown, sysfsOf(net, name)].join('\n')
}

/** Queues as a sysfs shows them that mount(8) has mounted in the namespace. */
function sysfsOf(net: ReturnType<typeof network>, name: string): string {
  const script = `mount -t sysfs sysfs /sys && cd /sys/class/net/${name}/queues && { grep -s . */rps_cpus */rps_flow_cnt */xps_cpus; true; }`
  return inNamespace(net.netns, 'unshare', '--mount', 'sh', '-c', script)
}

live('every kind of interface is as ethtool and ip say', () => {
  using net = network()
  net.ip('link', 'add', 'br0', 'type', 'bridge')
  net.ip('link', 'add', 'macvlan0', 'link', 'eth0', 'type', 'macvlan')
  net.ip('tuntap', 'add', 'tap0', 'mode', 'tap', 'multi_queue')
  net.ip('link', 'set', 'tap0', 'up')
  net.ip('address', 'add', '192.0.2.1/24', 'dev', 'eth0')
  net.ip('route', 'add', 'default', 'via', '192.0.2.2')
  for (const name of ['lo', 'eth0', 'peer0', 'br0', 'macvlan0', 'tap0']) {
    const facts = net.facts(name)
    assert.deepEqual(factsAsEthtool(facts), accordingToEthtool(name, net.netns), name)
    assert.deepEqual(factsAsIp(facts), accordingToIp(name, net.netns), name)
    assert.deepEqual(facts.unread, [], name)
  }
  const { use, defaultRoute, receiveQueues, transmitQueues, netns } = net.facts()
  assert.deepEqual(use, ['carries macvlan0', 'address 192.0.2.1/24', 'route default via 192.0.2.2'])
  assert.equal(defaultRoute, 'route default via 192.0.2.2')
  assert.deepEqual([receiveQueues.length, transmitQueues.length, netns], [QUEUES, QUEUES, net.netns])
})

live('a veth hashes nothing: the kernel says so to ethtool, and tuning names it', () => {
  using net = network()
  const { stdout, stderr } = spawnSync('nsenter', [`--net=${net.netns}`, 'ethtool', '-n', 'eth0', 'rx-flow-hash', 'udp4'], { encoding: 'utf8' })
  assert.match(stdout + stderr, /hashing options: Operation not supported/)
  assert.equal(readFlowHash(net.kernel, net.control, 'eth0'), undefined)
  assert.equal(net.facts().flowHash, undefined)
  const { steps, remarks } = planTuning(readHostFacts(), net.facts())
  assert.ok(!steps.some(({ change }) => change.kind === 'flow-hash'))
  assert.equal(remarks.find(({ what }) => what === 'hash fields')?.status, 'unsupported')
})

live('the interfaces of this machine are as ethtool and ip say', () => {
  for (const name of readdirSync('/sys/class/net')) {
    const facts = readInterfaceFacts(name)
    assert.deepEqual(factsAsEthtool(facts), accordingToEthtool(name), name)
    assert.deepEqual(factsAsIp(facts), accordingToIp(name), name)
    for (const { irq, name: interruptName, effective } of facts.interrupts) {
      assert.match(readFileSync('/proc/interrupts', 'latin1'), new RegExp(`^ *${irq}:.* ${interruptName.replace(/\W/g, '.')}$`, 'm'))
      assert.ok(effective !== undefined && effective.length > 0)
    }
  }
})

live('this machine', () => {
  const facts = readHostFacts()
  const lscpu = execFileSync('lscpu', ['-p=CPU,NODE'], { encoding: 'utf8' }).split('\n')
  const expected = lscpu.filter((line) => /^\d/.test(line)).map((line) => line.split(',').map((field) => Number(field)))
  assert.deepEqual(
    facts.cpus.map(({ cpu, numaNode }) => [cpu, numaNode]),
    expected,
  )
  assert.equal(facts.kernel, execFileSync('uname', ['-r'], { encoding: 'utf8' }).trim())
  assert.equal(facts.pageSizeBytes, Number(execFileSync('getconf', ['PAGESIZE'], { encoding: 'utf8' })))
  assert.deepEqual(facts.unread, [])
})

live('channels, features and coalescing go there and back, to the byte', () => {
  using net = network()
  const { kernel, control } = net
  net.ip('tuntap', 'add', 'tap0', 'mode', 'tap')
  const before = stateOf(net, 'eth0')

  setChannels(kernel, control, 'eth0', { rx: 2, tx: 1 })
  assert.match(net.ethtool('-l', 'eth0'), /Current hardware settings:\nRX:\t\t2\nTX:\t\t1\n/)
  assert.deepEqual([net.facts().rxQueues, net.facts().txQueues], [2, 1])
  setChannels(kernel, control, 'eth0', { rx: QUEUES, tx: QUEUES })

  const gro = () => /^generic-receive-offload: (.*)$/m.exec(net.ethtool('-k', 'eth0'))?.[1]
  assert.equal(gro(), 'off')
  setFeatures(kernel, control, 'eth0', { 'rx-gro': true, 'tx-udp-segmentation': false })
  assert.equal(gro(), 'on')
  assert.match(net.ethtool('-k', 'eth0'), /tx-udp-segmentation: off$/m)
  setFeatures(kernel, control, 'eth0', { 'rx-gro': false, 'tx-udp-segmentation': true })
  assert.equal(stateOf(net, 'eth0'), before)

  const coalescing = stateOf(net, 'tap0')
  setCoalescing(kernel, control, 'tap0', { rx_max_coalesced_frames: 32 })
  assert.match(net.ethtool('-c', 'tap0'), /^rx-frames:\s+32$/m)
  assert.deepEqual(net.facts('tap0').coalescing, { rx_max_coalesced_frames: 32 })
  setCoalescing(kernel, control, 'tap0', { rx_max_coalesced_frames: 0 })
  assert.equal(stateOf(net, 'tap0'), coalescing)
})

live('what a driver refuses changes nothing, and says what was tried', () => {
  using net = network()
  const { kernel, control } = net
  const before = stateOf(net, 'eth0')
  const refusals = [
    [() => setChannels(kernel, control, 'eth0', { rx: 5 }), /^eth0: ioctl\(ETHTOOL_SCHANNELS, rx_count=5\): EINVAL/],
    [() => setRings(kernel, control, 'eth0', { rx: 4096 }), /^eth0: ioctl\(ETHTOOL_SRINGPARAM, rx_pending=4096\): EOPNOTSUPP/],
    [() => setCoalescing(kernel, control, 'eth0', { rx_coalesce_usecs: 8 }), /^eth0: ioctl\(ETHTOOL_SCOALESCE, rx_coalesce_usecs=8\): EOPNOTSUPP/],
    [() => setRss(kernel, control, 'eth0', { key: '6d5a' }), /^eth0: ioctl\(ETHTOOL_SRSSH, key=6d5a\): EOPNOTSUPP/],
    [() => setFlowHash(kernel, control, 'eth0', 'udp4', 'sdfn'), /^eth0: ioctl\(ETHTOOL_SRXFH, udp4=sdfn\): EOPNOTSUPP/],
    [() => setFeatures(kernel, control, 'eth0', { 'rx-lro': true }), /^eth0: ioctl\(ETHTOOL_SFEATURES, rx-lro=1\): EOPNOTSUPP.*the driver cannot change it$/],
    [() => setFeatures(kernel, control, 'eth0', { 'no-such': true }), /^eth0: no feature no-such$/],
    [() => setFeatures(kernel, control, 'gone0', { 'rx-gro': true }), /^gone0: ioctl\(ETHTOOL_GSSET_INFO\): ENODEV/],
  ] as const
  for (const [change, message] of refusals) assert.throws(change, { name: 'CaptureError', message })
  assert.equal(stateOf(net, 'eth0'), before)
})

live('a feature that another one keeps out of force is a refusal', () => {
  using net = network()
  const { kernel, control } = net
  // TSO needs scatter-gather: netdev_fix_features.
  setFeatures(kernel, control, 'eth0', { 'tx-scatter-gather': false })
  assert.throws(() => setFeatures(kernel, control, 'eth0', { 'tx-tcp-segmentation': true }), { errnoName: 'EOPNOTSUPP', message: /noted, but not in force/ })
  const feature = readFeatures(kernel, control, 'eth0')?.['tx-tcp-segmentation']
  assert.deepEqual(feature, { on: false, fixed: false, requested: true })
  assert.match(net.ethtool('-k', 'eth0'), /tx-tcp-segmentation: off \[requested on\]/)
  assert.deepEqual(factsAsEthtool(net.facts()), accordingToEthtool('eth0', net.netns))
})

live('sysfs is that of the namespace, to read and to write, and nothing of it is left', () => {
  using net = network()
  const before = stateOf(net, 'eth0')
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8')
  const descriptors = openDescriptors().length
  {
    using files = openMachineFiles(net.kernel, net.netns)
    assert.deepEqual([...(files.list('/sys/class/net') as string[])].sort(), ['eth0', 'lo', 'peer0'])
    files.write('/sys/class/net/eth0/queues/rx-1/rps_cpus', '3')
    files.write('/sys/class/net/eth0/queues/rx-1/rps_flow_cnt', '256')
    files.write('/sys/class/net/eth0/queues/tx-2/xps_cpus', '1')
    assert.throws(() => files.write('/sys/class/net/eth0/queues/rx-1/rps_cpus', 'x'), {
      code: 'FILE_FAILED',
      errnoName: 'EINVAL',
      message: '/sys/class/net/eth0/queues/rx-1/rps_cpus: write("x"): EINVAL (invalid argument)',
    })
    assert.throws(() => files.write('/sys/class/net/eth0/queues/rx-9/rps_cpus', '1'), { errnoName: /ENOENT|EACCES|EPERM/ })
    assert.equal(files.read('/sys/class/net/eth0/queues/rx-1/rps_flow_cnt'), '256\n')
  }
  assert.match(sysfsOf(net, 'eth0'), /^rx-1\/rps_cpus:0*3$/m)
  assert.match(sysfsOf(net, 'eth0'), /^tx-2\/xps_cpus:0*1$/m)
  const { receiveQueues, transmitQueues } = net.facts()
  assert.deepEqual(receiveQueues[1], { queue: 1, rpsCpus: [0, 1], rpsFlowCount: 256 })
  assert.deepEqual(transmitQueues[2], { queue: 2, xpsCpus: [0], xpsReceivers: [] })
  {
    using files = openMachineFiles(net.kernel, net.netns)
    files.write('/sys/class/net/eth0/queues/rx-1/rps_cpus', '0')
    files.write('/sys/class/net/eth0/queues/rx-1/rps_flow_cnt', '0')
    files.write('/sys/class/net/eth0/queues/tx-2/xps_cpus', '0')
  }
  assert.equal(stateOf(net, 'eth0'), before)
  assert.equal(readFileSync('/proc/self/mountinfo', 'utf8'), mounts)
  assert.equal(openDescriptors().length, descriptors)
})

live('what holds an interface promiscuous', async () => {
  using net = network()
  assert.deepEqual(net.facts().promiscuous, { on: false, count: 0, holders: [] })
  net.ip('link', 'add', 'br0', 'type', 'bridge')
  net.ip('link', 'set', 'eth0', 'master', 'br0')
  net.ip('link', 'set', 'eth0', 'promisc', 'on')
  const tcpdump = spawn('nsenter', [`--net=${net.netns}`, 'tcpdump', '-ni', 'eth0'], { stdio: 'ignore' })
  try {
    await until('tcpdump listens', () => net.facts().promiscuous.count === 3)
    assert.deepEqual(net.facts().promiscuous, {
      on: true,
      count: 3,
      holders: ['sticky flag (ip link set promisc on)', `packet socket of tcpdump (pid ${tcpdump.pid})`, 'bridge br0'],
    })
  } finally {
    tcpdump.kill()
    await new Promise((resolve) => tcpdump.once('exit', resolve))
  }
  net.ip('link', 'set', 'eth0', 'nomaster')
  net.ip('link', 'set', 'eth0', 'promisc', 'off')
  net.ip('link', 'add', 'macvlan0', 'link', 'eth0', 'type', 'macvlan')
  net.ip('link', 'set', 'macvlan0', 'up', 'promisc', 'on')
  // A veth cannot filter by address: that of the macvlan makes it promiscuous once more (__dev_set_rx_mode), and nothing shows that.
  const holders = ['macvlan macvlan0, itself promiscuous', '1 that the kernel does not name']
  assert.deepEqual(net.facts().promiscuous, { on: true, count: 2, holders })
})

live('XDP programs with mode, id and name', () => {
  using net = network()
  const { kernel, namespace } = net
  using program = loadProgram(kernel, { name: 'ringtap_facts', type: 'xdp', code: assemble([alu('mov', 'r0', 2), exit()]) })
  for (const mode of ['native', 'generic'] as const) {
    using _link = withNamespace(kernel, namespace, () => attachXdp(kernel, { program, interfaceName: 'eth0', interfaceIndex: net.facts().index, mode }))
    const [link] = JSON.parse(net.ip('-j', 'link', 'show', 'dev', 'eth0')) as { xdp: { prog: { id: number } } }[]
    assert.deepEqual(net.facts().xdpPrograms, [{ mode, programId: link?.xdp.prog.id, name: 'ringtap_facts' }])
  }
  assert.deepEqual(net.facts().xdpPrograms, [])
})

live("a capture that pins its workers to the queues' CPUs finds those in the namespace of its interface", async () => {
  using testbed = createTestbed({ queues: 2 })
  // The interface of this name in the namespace of the process, if there is one, has interrupts of its own.
  inNamespace(testbed.receiver.netns, 'ip', 'link', 'set', testbed.receiver.interface, 'down')
  inNamespace(testbed.receiver.netns, 'ip', 'link', 'set', testbed.receiver.interface, 'name', 'eth0', 'up')
  const capture = await openCapture({ interface: 'eth0', netns: testbed.receiver.netns, workers: 2, pin: 'queues' })
  const { workers } = await capture.stop()
  const allowed = allowedCpus(openKernel())
  assert.deepEqual(
    workers.map(({ cpu }) => cpu),
    [0, 1].map((queue) => allowed[queue % allowed.length]),
  )
})

live('without root the command gives what it can, and names what it could not read', () => {
  using net = network()
  using program = loadProgram(net.kernel, { name: 'ringtap_facts', type: 'xdp', code: assemble([alu('mov', 'r0', 2), exit()]) })
  const attachment = { program, interfaceName: 'eth0', interfaceIndex: net.facts().index, mode: 'generic' } as const
  using _link = withNamespace(net.kernel, net.namespace, () => attachXdp(net.kernel, attachment))
  const nobody = ['--reuid=65534', '--regid=65534', '--clear-groups', process.execPath, join(root, 'dist/cli/main.js')]
  const { status, stdout, stderr } = spawnSync('nsenter', [`--net=${net.netns}`, 'setpriv', ...nobody, 'interfaces', '-v', '-i', 'eth0'], { encoding: 'utf8' })
  assert.deepEqual([status, stderr], [0, ''])
  assert.match(stdout, /^eth0 {2}up, 10 Gbit\/s full duplex, mtu 1500, mac [0-9a-f:]+\n {2}driver {8}veth 1\.0\n/)
  assert.match(stdout, /^ {2}not read {6}name of XDP program \d+: bpf\(BPF_PROG_GET_FD_BY_ID\): EPERM: operation not permitted$/m)
  assert.match(stdout, /^ {2}not read {6}NUMA node, queues and interrupts: \/sys\/class\/net\/eth0: it shows the interfaces of another/m)
})
