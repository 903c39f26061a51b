/** `ringtap doctor` on a testbed, as root and as nobody, beside what other tools say. */
import assert from 'node:assert/strict'
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { type Diagnosis, diagnoseHost, type Finding, planTuning, readHostFacts, readInterfaceFacts } from '#src/host/index.js'
import { createTestbed, type TestbedEnd } from '#src/testbed/index.js'
import { inNamespace, live, openDescriptors } from '../support/live.js'

const MAIN = fileURLToPath(import.meta.resolve('#src/cli/main.js'))
const NOBODY = ['--reuid=65534', '--regid=65534', '--clear-groups', '--inh-caps=-all', '--bounding-set=-all']

interface Ran {
  status: number | null
  document: Diagnosis
  stderr: string
}

function run(program: string, ...rest: string[]): Ran {
  const { status, stdout, stderr } = spawnSync(program, rest, { encoding: 'utf8' })
  return { status, document: JSON.parse(stdout) as Diagnosis, stderr }
}

const doctor = (end: TestbedEnd, ...before: string[]): Ran =>
  run('nsenter', `--net=${end.netns}`, ...before, process.execPath, MAIN, 'doctor', '-i', end.interface, '--json')

function severityOf({ findings }: Diagnosis, id: string): Finding['severity'] | undefined {
  return findings.find((it) => it.id === id)?.severity
}

live('as root: every probe works, findings follow what ethtool and ip change, and nothing is left', () => {
  using testbed = createTestbed({ queues: 2 })
  const end = testbed.receiver
  const name = end.interface
  const before = inNamespace(end.netns, 'ip', '-d', '-j', 'link', 'show')
  const { status, document, stderr } = doctor(end)
  assert.equal(stderr, '')
  assert.deepEqual(document.interfaces, [name])
  for (const id of [
    'cap-net-raw',
    'cap-bpf',
    'packet-socket',
    'packet-ring',
    'packet-fanout',
    'bpf-program',
    'xdp-link',
    'af-xdp',
    'busy-poll',
    'link',
    'xdp',
    'use',
  ]) {
    assert.equal(severityOf(document, id), 'ok', id)
  }
  // The testbed has it on: its veth takes no frames without.
  assert.equal(severityOf(document, 'gro'), 'note')
  const limits = document.findings.some((it) => it.severity === 'limits')
  assert.equal(status, limits ? 1 : 0)
  assert.equal(document.verdict, limits ? 'limited' : 'line-rate')
  assert.equal(inNamespace(end.netns, 'ip', '-d', '-j', 'link', 'show'), before)

  inNamespace(end.netns, 'ethtool', '-K', name, 'gro', 'off')
  inNamespace(end.netns, 'ip', 'address', 'add', '192.0.2.77/24', 'dev', name)
  assert.match(inNamespace(end.netns, 'ethtool', '-k', name), /generic-receive-offload: off/)
  const changed = doctor(end).document
  assert.deepEqual([severityOf(changed, 'gro'), severityOf(changed, 'use')], ['ok', 'note'])
  inNamespace(end.netns, 'ip', 'link', 'set', name, 'down')
  const down = doctor(end)
  assert.deepEqual([severityOf(down.document, 'link'), down.status, down.document.verdict], ['limits', 1, 'limited'])
})

live('as nobody: no capture, exit status 3; what it says it lacks is what the kernel refuses, and interfaces are looked at nevertheless', () => {
  using testbed = createTestbed({ queues: 2 })
  const end = testbed.receiver
  inNamespace(end.netns, 'ethtool', '-K', end.interface, 'gro', 'on')
  const { status, document, stderr } = doctor(end, 'setpriv', ...NOBODY)
  assert.equal(stderr, '')
  assert.deepEqual([status, document.verdict], [3, 'impossible'])
  for (const id of ['cap-net-raw', 'packet-socket'] as const) assert.notEqual(severityOf(document, id), 'ok')
  assert.deepEqual(
    document.findings.filter((it) => it.severity === 'fatal').map((it) => it.id),
    ['cap-net-raw'],
  )
  assert.equal(severityOf(document, 'cap-net-admin'), 'limits')
  assert.equal(severityOf(document, 'gro'), 'note')
  assert.equal(severityOf(document, 'link'), 'ok')
  const tcpdump = spawnSync('nsenter', [`--net=${end.netns}`, 'setpriv', ...NOBODY, process.execPath, MAIN, 'capture', '-i', end.interface, '-c', '1'], {
    encoding: 'utf8',
  })
  assert.equal(tcpdump.status, 3)
  assert.match(tcpdump.stderr, /CAP_NET_RAW is missing/)
})

live('in a user namespace: programs are refused with all capabilities, and it says why', () => {
  const { document } = run('unshare', '--user', '--map-root-user', '--net', process.execPath, MAIN, 'doctor', '--json')
  assert.deepEqual([severityOf(document, 'cap-bpf'), severityOf(document, 'bpf-program'), severityOf(document, 'user-namespace')], ['ok', 'limits', 'limits'])
  assert.equal(severityOf(document, 'packet-ring'), 'ok')
})

live('without CAP_BPF and with CAP_SYS_ADMIN: the kernel loads programs, and nothing is said to be missing', () => {
  using testbed = createTestbed({ queues: 1 })
  const { document } = doctor(testbed.receiver, 'setpriv', '--inh-caps=-bpf', '--bounding-set=-bpf')
  assert.deepEqual([severityOf(document, 'bpf-program'), severityOf(document, 'xdp-link'), severityOf(document, 'cap-bpf')], ['ok', 'ok', 'ok'])
  assert.match(document.findings.find((it) => it.id === 'cap-bpf')?.what ?? '', /^CAP_SYS_ADMIN is held/)
})

live('limits: locked memory as prlimit sets it, CPUs as taskset does', () => {
  const WITHOUT = ['setpriv', '--inh-caps=-all', '--bounding-set=-ipc_lock', process.execPath, MAIN, 'doctor', '--json']
  const limited = run('prlimit', '--memlock=65536:65536', ...WITHOUT).document
  assert.match(limited.findings.find((it) => it.id === 'memlock')?.what ?? '', /^RLIMIT_MEMLOCK is 64 KiB;/)
  const refused = limited.findings.find((it) => it.id === 'af-xdp')
  assert.match(refused?.what ?? '', /XDP_UMEM_REG.*ENOBUFS.*\(RLIMIT_MEMLOCK\)$/)
  assert.match(refused?.note ?? '', /^ulimit -l unlimited/)
  // A capture raises the soft one.
  assert.equal(severityOf(run('prlimit', '--memlock=65536:4194304', ...WITHOUT).document, 'af-xdp'), 'ok')
  const online = readFileSync('/sys/devices/system/cpu/online', 'utf8').trim()
  if (online === '0') return
  const pinned = run('taskset', '-c', '1', process.execPath, MAIN, 'doctor', '--json').document
  assert.match(pinned.findings.find((it) => it.id === 'allowed-cpus')?.what ?? '', /^only CPUs 1 of /)
})

live('without /sys/fs/cgroup, as `ip netns exec` leaves a process: limits are found all the same, or told to be unseen', () => {
  using testbed = createTestbed({ queues: 1 })
  const end = testbed.receiver
  const bare = ['unshare', '--mount', 'bash', '-c', 'umount --lazy /sys && mount -t sysfs sysfs /sys && exec "$@"', 'bash']
  const limitsOf = ({ findings }: Diagnosis) => findings.filter(({ id }) => id.startsWith('cgroup-')).map(({ id, severity, what }) => ({ id, severity, what }))
  assert.deepEqual(limitsOf(doctor(end, ...bare).document), limitsOf(doctor(end).document))
  const { document } = doctor(end, ...bare, 'setpriv', ...NOBODY)
  assert.deepEqual(limitsOf(document), [])
  assert.equal(document.unread.filter(({ what }) => what.includes('(cgroup)')).length, 2)
})

live('from another namespace, by --netns; and the library leaves no descriptor open', () => {
  using testbed = createTestbed({ queues: 1 })
  const { netns, interface: name } = testbed.receiver
  const before = openDescriptors()
  const diagnosis = diagnoseHost({ netns, interfaces: [name] })
  assert.deepEqual(openDescriptors(), before)
  assert.deepEqual(diagnosis.interfaces, [name])
  const cpus = Number(execFileSync('nproc', { encoding: 'utf8' }))
  assert.equal(severityOf(diagnosis, 'queues'), cpus > 1 ? 'limits' : 'ok')
  // There is no hardware there: the veths are looked at.
  assert.deepEqual(diagnoseHost({ netns }).interfaces, [name])
})

/** A namespace that a process is in: what leads to it is to be found. */
async function otherNamespace(t: TestContext): Promise<string> {
  const child = spawn('unshare', ['--net', 'sh', '-c', 'echo; exec sleep 60'], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => child.kill())
  await once(child.stdout, 'data')
  return `/proc/${child.pid}/ns/net`
}

live('what stands on another interface is examined with it, in another namespace it is named, and planned for below', async (t) => {
  const [netns, other] = [await otherNamespace(t), await otherNamespace(t)]
  const ip = (...words: string[]) => inNamespace(netns, 'ip', ...words)
  ip('link', 'add', 'va', 'up', 'type', 'veth', 'peer', 'name', 'vb')
  ip('link', 'set', 'vb', 'netns', other.split('/')[2] as string)
  inNamespace(other, 'ip', 'link', 'set', 'vb', 'up')
  ip('link', 'add', 'mv0', 'link', 'va', 'up', 'type', 'macvlan', 'mode', 'bridge')
  const facts = readInterfaceFacts('mv0', { netns })
  assert.deepEqual([facts.kind, facts.lowers], ['macvlan', [{ name: 'va', netns }]])
  const both = diagnoseHost({ netns, interfaces: ['mv0'] })
  assert.deepEqual(both.interfaces, ['mv0', 'va'])
  assert.ok(both.findings.some((it) => it.interface === 'va' && it.id === 'queues'))
  assert.ok(!both.findings.some((it) => it.interface === 'mv0' && ['queues', 'gro', 'rps'].includes(it.id)))
  const { steps, remarks } = planTuning(readHostFacts(), facts)
  assert.deepEqual(steps, [])
  assert.equal(remarks.find(({ what }) => what === 'what comes before it')?.command, `ringtap tune apply -i va --netns ${netns}`)

  // Of a veth the offloads of the other end count.
  const segmentation = () => diagnoseHost({ netns, interfaces: ['va'] }).findings.find(({ id }) => id === 'segmentation')
  ip('link', 'del', 'mv0')
  const remedy = `sudo nsenter --net=${other} ethtool -K vb tso off gso off tx-udp-segmentation off`
  assert.deepEqual([segmentation()?.severity, segmentation()?.remedy], ['note', remedy])
  execFileSync('sh', ['-ec', remedy.replace('sudo ', '')])
  assert.equal(segmentation()?.severity, 'ok')

  ip('link', 'add', 'mv0', 'link', 'va', 'up', 'type', 'macvlan', 'mode', 'bridge')
  ip('link', 'set', 'mv0', 'netns', other.split('/')[2] as string)
  const away = diagnoseHost({ netns: other, interfaces: ['mv0'] })
  assert.deepEqual(away.interfaces, ['mv0'])
  const lower = away.findings.find(({ id }) => id === 'lower')
  assert.deepEqual([lower?.severity, lower?.what], ['note', `its packets come by va in network namespace ${netns}`])
  assert.equal(lower?.remedy, `sudo ringtap doctor -i va --netns ${netns}`)
})

live('a bridge has its packets from its members', () => {
  using testbed = createTestbed({ queues: 1 })
  const { netns, interface: name } = testbed.receiver
  inNamespace(netns, 'ip', 'link', 'add', 'br0', 'up', 'type', 'bridge')
  assert.deepEqual(readInterfaceFacts('br0', { netns }).lowers, [])
  inNamespace(netns, 'ip', 'link', 'set', name, 'master', 'br0')
  assert.deepEqual(readInterfaceFacts('br0', { netns }).lowers, [{ name, netns }])
})

live('tuning what carries the default route of a bridge is named with what apply asks for, and in its namespace', (t) => {
  if (Number(execFileSync('nproc', { encoding: 'utf8' })) < 2) return t.skip('one CPU: one queue is enough')
  using testbed = createTestbed({ queues: 1 })
  const { netns, interface: name } = testbed.receiver
  const ip = (...words: string[]) => inNamespace(netns, 'ip', ...words)
  const queues = () => diagnoseHost({ netns, interfaces: [name] }).findings.find((it) => it.id === 'queues')
  const command = `sudo ringtap tune apply -i ${name} --netns ${netns}`
  assert.equal(queues()?.remedy, command)
  assert.match(queues()?.note ?? '', /^RPS: /)
  ip('link', 'add', 'br0', 'up', 'type', 'bridge')
  ip('link', 'set', name, 'master', 'br0')
  ip('address', 'add', '192.0.2.1/24', 'dev', 'br0')
  ip('route', 'add', 'default', 'via', '192.0.2.254')
  assert.equal(queues()?.remedy, `${command} --yes-i-may-lose-this-link`)
  assert.match(queues()?.note ?? '', /^it carries this host's default via 192\.0\.2\.254 over br0: /)
})
