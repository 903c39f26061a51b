import assert from 'node:assert/strict'
import { test } from 'node:test'
import { memlockHint, raiseMemlock } from '#src/kernel/memlock.js'
import { type FakeKernel, fakeKernel } from '../../support/fake-kernel.js'

const RLIMIT_MEMLOCK = 8
const EPERM = 1
const UNLIMITED = 0xffff_ffff_ffff_ffffn

function limited(soft: bigint, hard: bigint): FakeKernel {
  const kernel = fakeKernel()
  kernel.answer('getrlimit', (_resource, limit) => {
    limit.set(new Uint8Array(new BigUint64Array([soft, hard]).buffer))
    return 0
  })
  return kernel
}

const set = (kernel: FakeKernel) => kernel.calls.filter((call) => call.name === 'setrlimit').map((call) => call.arguments)

test('the soft limit is raised to the hard one, which stays', () => {
  for (const hard of [65536n, UNLIMITED]) {
    const kernel = limited(8192n, hard)
    raiseMemlock(kernel)
    assert.deepEqual(set(kernel), [[RLIMIT_MEMLOCK, new Uint8Array(new BigUint64Array([hard, hard]).buffer)]])
  }
})

test('nothing is set where there is nothing to raise', () => {
  const kernel = limited(UNLIMITED, UNLIMITED)
  raiseMemlock(kernel)
  assert.deepEqual(set(kernel), [])
})

test('a kernel that refuses is no error: what needs the memory says so', () => {
  for (const name of ['getrlimit', 'setrlimit'] as const) {
    const kernel = limited(8192n, 65536n)
    kernel.fail(name, EPERM)
    raiseMemlock(kernel)
    assert.ok(kernel.failed)
  }
})

const REMEDIES =
  'ulimit -l unlimited in the shell that starts it (as root), in a systemd unit LimitMEMLOCK=infinity, for a container --ulimit memlock=-1, ' +
  'or CAP_IPC_LOCK, once: sudo setcap cap_ipc_lock,cap_net_raw,cap_net_admin,cap_bpf+ep "$(readlink -f "$(which node)")"'

test('the hint names the limit in force, what is needed and every remedy', () => {
  assert.equal(memlockHint(limited(8_388_608n, 16_777_216n), 67_108_865), `RLIMIT_MEMLOCK is 8192 KiB, needed are 65537 KiB: ${REMEDIES}`)
})

test('a limit that would do alone is used up by others of this user', () => {
  const hint = memlockHint(limited(67_108_864n, 67_108_864n), 67_108_864)
  assert.equal(hint, `RLIMIT_MEMLOCK is 65536 KiB, needed are 65536 KiB beside what this user has pinned already: ${REMEDIES}`)
})

test('without a limit it is memory that is short', () => {
  assert.equal(memlockHint(limited(UNLIMITED, UNLIMITED), 4096), 'RLIMIT_MEMLOCK is unlimited, so it is memory that is short: 4 KiB are needed')
})

test('a limit that cannot be read leaves the remedies', () => {
  const kernel = fakeKernel()
  kernel.fail('getrlimit', EPERM)
  assert.equal(memlockHint(kernel, 4096), `RLIMIT_MEMLOCK must allow 4 KiB: ${REMEDIES}`)
})
