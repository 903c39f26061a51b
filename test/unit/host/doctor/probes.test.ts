import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PROBES, probeKernel } from '#src/host/doctor/probes.js'
import { BPF_LINK_CREATE } from '#src/kernel/abi/bpf.js'
import { CLONE_NEWNET, RLIMIT_MEMLOCK } from '#src/kernel/abi/process.js'
import { fakeKernel } from '../../../support/fake-kernel.js'

test('on a kernel that grants everything, each works but those that read what it answers', () => {
  const kernel = fakeKernel()
  const results = probeKernel(kernel)
  assert.deepEqual(
    results.map((it) => it.probe),
    PROBES,
  )
  const refused = results.filter((it) => !it.works).map((it) => it.probe)
  // The fake kernel tells nothing of the rings' layout.
  assert.deepEqual(
    refused.filter((probe) => probe !== 'af-xdp'),
    [],
  )
  assert.deepEqual(kernel.openDescriptors, [])
})

test('nothing is left open and nothing thrown, whichever call is refused', () => {
  let refused = 0
  for (let n = 1; ; n++) {
    const kernel = fakeKernel()
    kernel.failNth(n, 1)
    const results = probeKernel(kernel)
    if (!kernel.failed) break
    refused += results.filter((it) => (it.refused ?? it.untried)?.errno === 1).length
    assert.deepEqual(kernel.openDescriptors, [], `call ${n}: ${kernel.calls.at(-1)?.name}`)
  }
  assert.ok(refused >= 12, `${refused} refusals were told`)
})

test('a refusal names its call and its errno', () => {
  const kernel = fakeKernel()
  kernel.answer('socket', () => -1)
  const [socket] = probeKernel(kernel)
  assert.deepEqual(socket, {
    probe: 'packet-socket',
    works: false,
    refused: { call: 'socket(AF_PACKET, SOCK_RAW)', errno: 1, reason: 'EPERM: operation not permitted' },
  })
})

test('without the means to try it a probe says so, and not that the thing is refused', () => {
  const withoutProc = fakeKernel()
  withoutProc.answer('open', () => -2)
  const closed = fakeKernel()
  closed.answer('unshare', (flags: number) => (flags === CLONE_NEWNET ? -1 : 0))
  for (const [kernel, call, errno] of [
    [withoutProc, 'open(/proc/thread-self/ns/net)', 2],
    [closed, 'unshare(CLONE_NEWNET)', 1],
  ] as const) {
    const link = probeKernel(kernel).find((it) => it.probe === 'xdp-link')
    assert.deepEqual([link?.works, link?.refused, link?.untried?.call, link?.untried?.errno], [false, undefined, call, errno])
  }
  const refusing = fakeKernel()
  refusing.answer('bpf', (command: number) => (command === BPF_LINK_CREATE ? -95 : 3))
  const link = probeKernel(refusing).find((it) => it.probe === 'xdp-link')
  assert.deepEqual([link?.refused?.errno, link?.untried], [95, undefined])
})

test('memory that Node.js does not take as a buffer is a refusal as well', () => {
  const kernel = fakeKernel()
  kernel.answer('view', () => {
    throw new Error('External buffers are not allowed')
  })
  const ring = probeKernel(kernel).find((it) => it.probe === 'packet-ring')
  assert.deepEqual(ring?.refused, { call: 'external buffer', errno: 0, reason: 'External buffers are not allowed' })
})

test('the soft limit of locked memory is at the hard one meanwhile, as in a capture, and afterwards as it was', () => {
  const kernel = fakeKernel()
  const limit = new BigUint64Array([65536n, 2n ** 30n])
  const set: bigint[] = []
  kernel.answer('getrlimit', (resource: number, bytes: Uint8Array) => {
    assert.equal(resource, RLIMIT_MEMLOCK)
    bytes.set(new Uint8Array(limit.buffer))
    return 0
  })
  kernel.answer('setrlimit', (_: number, bytes: Uint8Array) => {
    limit.set(new BigUint64Array(bytes.slice().buffer))
    set.push(limit[0] as bigint)
    return 0
  })
  const during: bigint[] = []
  kernel.answer('socket', () => {
    during.push(limit[0] as bigint)
    return -1
  })
  probeKernel(kernel)
  assert.deepEqual([...new Set(during)], [2n ** 30n])
  assert.deepEqual(set, [2n ** 30n, 65536n])
})
