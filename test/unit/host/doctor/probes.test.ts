import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PROBES, probeKernel } from '#src/host/doctor/probes.js'
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
    refused += results.filter((it) => it.refused?.errno === 1).length
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

test('memory that Node.js does not take as a buffer is a refusal as well', () => {
  const kernel = fakeKernel()
  kernel.answer('view', () => {
    throw new Error('External buffers are not allowed')
  })
  const ring = probeKernel(kernel).find((it) => it.probe === 'packet-ring')
  assert.deepEqual(ring?.refused, { call: 'external buffer', errno: 0, reason: 'External buffers are not allowed' })
})
