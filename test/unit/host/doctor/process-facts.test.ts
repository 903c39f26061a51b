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
const factsOf = (files: Record<string, RecordedFile>) => confinementFacts(recordedFiles(new Map(Object.entries(files))))

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
  test('version 2: the narrowest from the group up', () => {
    const { cgroup } = factsOf({
      '/proc/self/cgroup': '0::/system.slice/a.service\n',
      [`${GROUPS}/system.slice/a.service/memory.max`]: 'max\n',
      [`${GROUPS}/system.slice/memory.max`]: '1073741824\n',
      [`${GROUPS}/system.slice/a.service/cpu.max`]: 'max 100000\n',
      [`${GROUPS}/system.slice/cpu.max`]: '250000 100000\n',
      [`${GROUPS}/cpu.max`]: '400000 50000\n',
    })
    assert.deepEqual(cgroup, { memoryBytes: 2 ** 30, cpus: 2.5, cpuPeriodMs: 100 })
  })

  test('version 1: a file a controller, and numbers for no limit', () => {
    const { cgroup } = factsOf({
      '/proc/self/cgroup': '4:memory:/docker/x\n2:cpu,cpuacct:/docker/x\n1:name=systemd:/\n',
      [`${GROUPS}/memory/docker/x/memory.limit_in_bytes`]: '536870912\n',
      [`${GROUPS}/memory/memory.limit_in_bytes`]: '9223372036854771712\n',
      [`${GROUPS}/cpu/docker/x/cpu.cfs_quota_us`]: '50000\n',
      [`${GROUPS}/cpu/docker/x/cpu.cfs_period_us`]: '100000\n',
      [`${GROUPS}/cpu/cpu.cfs_quota_us`]: '-1\n',
      [`${GROUPS}/cpu/cpu.cfs_period_us`]: '100000\n',
    })
    assert.deepEqual(cgroup, { memoryBytes: 512 * 2 ** 20, cpus: 0.5, cpuPeriodMs: 100 })
  })

  test('outside of what is to be seen, or without files, there is none', () => {
    const none = { memoryBytes: undefined, cpus: undefined, cpuPeriodMs: undefined }
    assert.deepEqual(factsOf({ '/proc/self/cgroup': '0::/../x\n' }).cgroup, none)
    assert.deepEqual(factsOf({}).cgroup, none)
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
  const mounts = (...lines: string[]) => factsOf({ '/proc/self/mountinfo': `${lines.join('\n')}\n` }).readOnly
  const mount = (place: string, options: string) => `36 35 98:0 / ${place} ${options} shared:1 - proc proc rw`
  assert.deepEqual(mounts(mount('/proc', 'rw'), mount('/sys', 'ro,nosuid')), ['/sys'])
  assert.deepEqual(mounts(mount('/proc', 'rw'), mount('/proc/sys', 'ro'), mount('/sys', 'ro'), mount('/sys', 'rw')), ['/proc/sys'])
  assert.deepEqual(mounts(mount('/proc', 'ro')), ['/proc/sys'])
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
  const facts = confinementFacts(files)
  const set = BigInt(`0x${/^CapEff:\s*(\w+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]}`)
  assert.equal(facts.effective?.includes('CAP_NET_RAW'), ((set >> 13n) & 1n) === 1n)
  const [soft = ''] = execFileSync('bash', ['-c', 'ulimit -S -l'], { encoding: 'utf8' }).split('\n')
  assert.equal(facts.memlockBytes, soft === 'unlimited' ? Number.POSITIVE_INFINITY : Number(soft) * 1024)
  assert.ok(facts.softnet.length > 0)
})
