import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { confinementFacts } from '#src/host/doctor/process-facts.js'
import { openMachineFiles } from '#src/host/machine-files.js'
import { openKernel } from '#src/kernel/system.js'
import { seededRandom } from '../../../support/random.js'
import { type RecordedFile, recordedFiles } from '../../../support/recorded-host.js'

const GROUPS = '/proc/self/root/sys/fs/cgroup'
const factsOf = (files: Record<string, RecordedFile>, ownSysfs = false) => confinementFacts(recordedFiles(new Map(Object.entries(files))), { ownSysfs })

test('capabilities are the bits of CapEff and CapPrm', () => {
  const { effective, permitted, seccomp } = factsOf({
    '/proc/self/status': 'Name:\tnode\nCapPrm:\t0000008000003000\nCapEff:\t0000000000002000\nSeccomp:\t2\nSeccomp_filters:\t1\n',
  })
  assert.deepEqual(effective, ['CAP_NET_RAW'])
  assert.deepEqual(permitted, ['CAP_NET_RAW', 'CAP_NET_ADMIN', 'CAP_BPF'])
  assert.equal(seccomp, 2)
})

test('the limit of locked memory is a number of bytes, or none', () => {
  const line = (soft: string, hard: string) =>
    factsOf({ '/proc/self/limits': `Max processes  1  2  processes\nMax locked memory         ${soft}              ${hard}              bytes     \n` })
  assert.deepEqual([line('65536', 'unlimited').memlockBytes, line('65536', 'unlimited').memlockMaximumBytes], [65536, Number.POSITIVE_INFINITY])
})

describe('limits of cgroups', () => {
  const v2 = (root: string, place: string) => `41 23 0:38 ${root} ${place} rw,nosuid shared:9 master:1 - cgroup2 cgroup2 rw,nsdelegate`
  const v1 = (controllers: string, root = '/') => `35 31 0:32 ${root} /sys/fs/cgroup/${controllers} rw,nosuid - cgroup cgroup rw,${controllers}`
  const mounts = (...lines: string[]) => ({ '/proc/self/mountinfo': `22 27 0:21 / /proc rw - proc proc rw\n${lines.join('\n')}\n` })
  /** Groups that can be seen, by a process's root. */
  const seen = (...groups: string[]) => Object.fromEntries(groups.map((group) => [`${GROUPS}${group}/cgroup.procs`, '']))
  const NONE = { memoryBytes: undefined, cpus: undefined, cpuPeriodMs: undefined }
  const unseen = (files: Record<string, RecordedFile>) => {
    const { cgroup, unread } = factsOf(files)
    const told = unread.filter(({ what }) => what.includes('(cgroup)'))
    assert.equal(told.length, cgroup.unseen.length)
    return { ...cgroup, reasons: [...new Set(told.map(({ reason }) => reason))] }
  }

  test('version 2: the narrowest from the group up', () => {
    const { cgroup } = factsOf({
      ...mounts(v2('/', '/sys/fs/cgroup')),
      ...seen('', '/system.slice', '/system.slice/a.service'),
      '/proc/self/cgroup': '0::/system.slice/a.service\n',
      [`${GROUPS}/system.slice/a.service/memory.max`]: 'max\n',
      [`${GROUPS}/system.slice/memory.max`]: '1073741824\n',
      [`${GROUPS}/system.slice/a.service/cpu.max`]: 'max 100000\n',
      [`${GROUPS}/system.slice/cpu.max`]: '250000 100000\n',
      [`${GROUPS}/cpu.max`]: '400000 50000\n',
    })
    assert.deepEqual(cgroup, { memoryBytes: 2 ** 30, cpus: 2.5, cpuPeriodMs: 100, unseen: [] })
  })

  test('version 1: a file a controller, and numbers for no limit; version 2 beside it has neither', () => {
    const { cgroup } = factsOf({
      ...mounts(v1('memory'), v1('cpu,cpuacct'), v2('/', '/sys/fs/cgroup/unified')),
      ...seen('/memory/docker/x', '/cpu,cpuacct/docker/x', '/unified'),
      '/proc/self/cgroup': '4:memory:/docker/x\n2:cpu,cpuacct:/docker/x\n1:name=systemd:/\n0::/\n',
      [`${GROUPS}/memory/docker/x/memory.limit_in_bytes`]: '536870912\n',
      [`${GROUPS}/memory/memory.limit_in_bytes`]: '9223372036854771712\n',
      [`${GROUPS}/cpu,cpuacct/docker/x/cpu.cfs_quota_us`]: '50000\n',
      [`${GROUPS}/cpu,cpuacct/docker/x/cpu.cfs_period_us`]: '100000\n',
      [`${GROUPS}/cpu,cpuacct/cpu.cfs_quota_us`]: '-1\n',
      [`${GROUPS}/cpu,cpuacct/cpu.cfs_period_us`]: '100000\n',
      [`${GROUPS}/unified/memory.max`]: '1\n',
    })
    assert.deepEqual(cgroup, { memoryBytes: 512 * 2 ** 20, cpus: 0.5, cpuPeriodMs: 100, unseen: [] })
  })

  test('a container that sees its own group only, and a mount in another place', () => {
    const own = factsOf({
      ...mounts(v1('memory', '/docker/x')),
      ...seen('/memory'),
      '/proc/self/cgroup': '4:memory:/docker/x/y\n',
      [`${GROUPS}/memory/y/cgroup.procs`]: '',
      [`${GROUPS}/memory/memory.limit_in_bytes`]: '1000\n',
    })
    assert.deepEqual(own.cgroup, { ...NONE, memoryBytes: 1000, unseen: [] })
    const elsewhere = factsOf({
      ...mounts(v2('/', '/mnt/a\\040b')),
      '/proc/self/cgroup': '0::/\n',
      '/proc/self/root/mnt/a b/cgroup.procs': '',
      '/proc/self/root/mnt/a b/cpu.max': '50000 100000\n',
    })
    assert.deepEqual(elsewhere.cgroup, { memoryBytes: undefined, cpus: 0.5, cpuPeriodMs: 100, unseen: [] })
  })

  test('a group that no mount shows may have limits: that is told, and is not none', () => {
    const both = { ...NONE, unseen: ['cpu', 'memory'] }
    // `ip netns exec`: a sysfs without cgroups.
    assert.deepEqual(unseen({ ...mounts(), '/proc/self/cgroup': '0::/a\n' }), { ...both, reasons: ['no mount shows the group /a here'] })
    // One mounted over it.
    const over = { ...mounts(v2('/', '/sys/fs/cgroup')), '/proc/self/cgroup': '0::/\n', [`${GROUPS}/other`]: '' }
    assert.deepEqual(unseen(over), { ...both, reasons: ['no mount shows the group / here'] })
    // Outside of the namespace of cgroups: what its root allows is for others.
    const outside = { ...mounts(v2('/', '/sys/fs/cgroup')), ...seen(''), '/proc/self/cgroup': '0::/../x\n', [`${GROUPS}/memory.max`]: '1000\n' }
    assert.deepEqual(unseen(outside), { ...both, reasons: ['no mount shows the group /../x here'] })
    const refused = { ...mounts(v2('/', '/sys/fs/cgroup')), ...seen(''), '/proc/self/cgroup': '0::/\n', [`${GROUPS}/memory.max`]: { errno: 13 } }
    assert.deepEqual(unseen(refused), { ...NONE, unseen: ['memory'], reasons: ['files of / refuse to be read'] })
    assert.deepEqual(factsOf({}).cgroup, { ...both })
    // A container without limits of its own may be in a group that has some.
    const inside = { ...mounts(v2('/', '/sys/fs/cgroup')), ...seen(''), '/proc/self/cgroup': '0::/\n', [`${GROUPS}/memory.max`]: '1000\n' }
    const own = { '/proc/self/ns/cgroup': { link: 'cgroup:[4026532300]' } }
    const told = { ...NONE, memoryBytes: 1000, unseen: ['cpu'], reasons: ['none up to /; groups above that are not to be seen from here'] }
    assert.deepEqual(unseen({ ...inside, ...own }), told)
    assert.deepEqual(unseen(inside), { ...NONE, memoryBytes: 1000, unseen: [], reasons: [] })
    const part = { ...mounts(v2('/pod', '/sys/fs/cgroup')), ...seen('/x'), '/proc/self/cgroup': '0::/pod/x\n' }
    assert.deepEqual(unseen(part), { ...both, reasons: ['none up to /pod; groups above that are not to be seen from here'] })
    // A kernel without cgroups.
    assert.deepEqual(factsOf({ '/proc/self/cgroup': '' }).cgroup, { ...NONE, unseen: [] })
  })

  test('where process 1 or the parent is in the same namespace of cgroups, its mounts show the group', () => {
    const files = (namespace: string, pid = 1) => ({
      ...mounts(),
      '/proc/self/status': 'Name:\tnode\nPPid:\t77\n',
      '/proc/self/cgroup': '0::/a\n',
      '/proc/self/ns/cgroup': { link: 'cgroup:[4026531835]' },
      [`/proc/${pid}/ns/cgroup`]: { link: namespace },
      [`/proc/${pid}/mountinfo`]: `${v2('/', '/sys/fs/cgroup')}\n`,
      [`/proc/${pid}/root/sys/fs/cgroup/a/cgroup.procs`]: '',
      [`/proc/${pid}/root/sys/fs/cgroup/a/memory.max`]: '419430400\n',
      [`/proc/${pid}/root/sys/fs/cgroup/a/cpu.max`]: '50000 100000\n',
    })
    const limits = { memoryBytes: 400 * 2 ** 20, cpus: 0.5, cpuPeriodMs: 100, unseen: [] }
    assert.deepEqual(factsOf(files('cgroup:[4026531835]')).cgroup, limits)
    assert.deepEqual(factsOf(files('cgroup:[4026531835]', 77)).cgroup, limits)
    assert.deepEqual(factsOf(files('cgroup:[4026532000]')).cgroup, { ...NONE, unseen: ['cpu', 'memory'] })
  })
})

test('namespaces: the first of users has all, that of the host is process 1’s', () => {
  const first = { '/proc/self/ns/pid': { link: 'pid:[4026531836]' }, '/proc/self/ns/net': { link: 'net:[5]' } }
  const whole = factsOf({ '/proc/self/uid_map': '         0          0 4294967295\n', ...first, '/proc/1/ns/net': { link: 'net:[5]' } })
  assert.deepEqual([whole.initialUserNamespace, whole.hostNetwork], [true, true])
  const other = factsOf({ '/proc/self/uid_map': '         0       1000          1\n', ...first, '/proc/1/ns/net': { link: 'net:[4]' } })
  assert.deepEqual([other.initialUserNamespace, other.hostNetwork], [false, false])
  const container = factsOf({ ...first, '/proc/self/ns/pid': { link: 'pid:[1]' }, '/proc/1/ns/net': { link: 'net:[5]' } })
  assert.equal(container.hostNetwork, undefined)
})

test('mounts that are read-only: /proc/sys stands in /proc, and the last of several is seen', () => {
  const mounts = (lines: string[], ownSysfs = false) => factsOf({ '/proc/self/mountinfo': `${lines.join('\n')}\n` }, ownSysfs).readOnly
  const mount = (place: string, options: string) => `36 35 98:0 / ${place} ${options} shared:1 - proc proc rw`
  assert.deepEqual(mounts([mount('/proc', 'rw'), mount('/sys', 'ro,nosuid')]), ['/sys'])
  assert.deepEqual(mounts([mount('/proc', 'rw'), mount('/proc/sys', 'ro'), mount('/sys', 'ro'), mount('/sys', 'rw')]), ['/proc/sys'])
  assert.deepEqual(mounts([mount('/proc', 'ro')]), ['/proc/irq', '/proc/sys'])
  // As Docker has it; with CAP_SYS_ADMIN, /sys is mounted anew.
  const docker = [mount('/proc', 'rw'), mount('/sys', 'ro'), mount('/proc/irq', 'ro'), mount('/proc/sys', 'ro')]
  assert.deepEqual(mounts(docker), ['/proc/irq', '/proc/sys', '/sys'])
  assert.deepEqual(mounts(docker, true), ['/proc/irq', '/proc/sys'])
})

test('what cannot be read is named, and what is nonsense does no harm', (t) => {
  const unread = factsOf({ '/proc/self/status': { errno: 13 } }).unread
  assert.deepEqual(unread[0], { what: 'capabilities', source: '/proc/self/status', reason: 'EACCES: permission denied' })
  const random = seededRandom(t)
  const paths = ['status', 'limits', 'uid_map', 'mountinfo', 'cgroup'].map((name) => `/proc/self/${name}`)
  for (let round = 0; round < 200; round++) {
    const files = Object.fromEntries(
      [...paths, '/proc/net/softnet_stat'].map((path) => [path, new TextDecoder('latin1').decode(random.bytes(random.between(0, 200)))]),
    )
    assert.doesNotThrow(() => factsOf(files), JSON.stringify(files))
  }
})

test('of this process: what capsh, prlimit and the kernel say', () => {
  using files = openMachineFiles(openKernel())
  const facts = confinementFacts(files, files)
  const set = BigInt(`0x${/^CapEff:\s*(\w+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]}`)
  assert.equal(facts.effective?.includes('CAP_NET_RAW'), ((set >> 13n) & 1n) === 1n)
  const [soft = ''] = execFileSync('bash', ['-c', 'ulimit -S -l'], { encoding: 'utf8' }).split('\n')
  assert.equal(facts.memlockBytes, soft === 'unlimited' ? Number.POSITIVE_INFINITY : Number(soft) * 1024)
  assert.ok(facts.softnet.length > 0)
})
