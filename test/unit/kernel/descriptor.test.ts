import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EFD_CLOEXEC } from '#src/kernel/abi/process.js'
import { Descriptor } from '#src/kernel/descriptor.js'
import { EINTR } from '#src/kernel/errno.js'
import { openKernel } from '#src/kernel/system.js'
import { fakeKernel } from '../../support/fake-kernel.js'
import { tracingKernel } from '../../support/tracing-kernel.js'

test('closes once, and has no number afterwards', () => {
  const kernel = fakeKernel()
  const descriptor = new Descriptor(kernel, kernel.eventfd(0, 0))
  assert.equal(descriptor.fd, 1000)
  descriptor.close()
  descriptor.close()
  assert.equal(descriptor.fd, -1)
  assert.deepEqual(kernel.names(), ['eventfd', 'close'])
  assert.deepEqual(kernel.openDescriptors, [])
})

test('is not closed again after EINTR: Linux has freed the number', () => {
  const kernel = fakeKernel()
  kernel.answer('close', () => -EINTR)
  const descriptor = new Descriptor(kernel, 7)
  descriptor.close()
  descriptor.close()
  assert.equal(kernel.calls.length, 1)
})

test('closes at the end of a using block, also after a throw', () => {
  const kernel = tracingKernel(openKernel())
  assert.throws(() => {
    using descriptor = new Descriptor(kernel, kernel.eventfd(0, EFD_CLOEXEC))
    assert.ok(descriptor.fd > 2)
    throw new Error('on the way')
  }, /on the way/)
  kernel.assertNoLeaks()
})

test('the tracing kernel reports a leak with the stack that made it', () => {
  const kernel = tracingKernel(fakeKernel())
  const fd = kernel.socket(17, 3, 0)
  assert.throws(() => kernel.assertNoLeaks(), /leaked descriptor 1000 \(socket\), made at:\n\s+at .*descriptor\.test/)
  kernel.close(fd)
  kernel.assertNoLeaks()
  kernel.close(fd)
  assert.throws(() => kernel.assertNoLeaks(), /close of descriptor 1000, which is not open here/)
})

test('the fake kernel fails the n-th call', () => {
  const kernel = fakeKernel()
  kernel.fail('setsockopt', 22, 2)
  assert.deepEqual(
    [kernel.setsockopt(3, 0, 0, new Uint8Array(4)), kernel.setsockopt(3, 0, 1, new Uint8Array(4)), kernel.setsockopt(3, 0, 2, new Uint8Array(4))],
    [0, -22, 0],
  )
  const sweep = fakeKernel()
  sweep.failNth(3, 12)
  assert.deepEqual([sweep.socket(17, 3, 0), sweep.bind(1000, new Uint8Array(20)), sweep.close(1000), sweep.mmap(0n, 4096, 3, 1, 1000)], [1000, 0, 0, -12n])
  assert.ok(sweep.failed)
})

test('the fake kernel records the bytes that were passed, not those of later', () => {
  const kernel = fakeKernel()
  const bytes = new Uint8Array([1, 2])
  kernel.write(5, bytes)
  bytes.fill(9)
  assert.deepEqual(kernel.calls, [{ name: 'write', arguments: [5, new Uint8Array([1, 2])], result: 2 }])
})
