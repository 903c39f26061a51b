import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CLONE_NEWNET } from '#src/kernel/abi/process.js'
import { EINVAL, ENOENT, EPERM } from '#src/kernel/errno.js'
import { createNamespace, namespacePath, openNamespace, ownNamespace, withNamespace } from '#src/kernel/namespace.js'
import { fakeKernel } from '../../support/fake-kernel.js'
import { tracingKernel } from '../../support/tracing-kernel.js'

test('a name, a pid and a path', () => {
  assert.equal(namespacePath('blue'), '/run/netns/blue')
  assert.equal(namespacePath('1234'), '/proc/1234/ns/net')
  assert.equal(namespacePath('/proc/77/fd/9'), '/proc/77/fd/9')
  assert.equal(namespacePath('./here'), './here')
  assert.equal(namespacePath('0day'), '/run/netns/0day')
})

test('one that does not exist says what was looked for', () => {
  const kernel = fakeKernel()
  kernel.answer('open', () => -ENOENT)
  assert.throws(() => openNamespace(kernel, 'blue'), {
    code: 'NO_SUCH_NAMESPACE',
    message: "no network namespace 'blue': /run/netns/blue does not exist",
    hint: /ip netns list/,
  })
})

test('one that may not be opened is a matter of permission', () => {
  const kernel = fakeKernel()
  kernel.fail('open', EPERM)
  assert.throws(() => openNamespace(kernel, '1'), { code: 'PERMISSION', message: /CAP_SYS_ADMIN is missing/ })
})

test('withNamespace goes there and comes back, also after a throw', () => {
  for (const broken of [false, true]) {
    const kernel = fakeKernel()
    const traced = tracingKernel(kernel)
    const blue = openNamespace(traced, 'blue')
    const inside = () => {
      kernel.ioctl(1, 2, new Uint8Array(0))
      if (broken) throw new Error('inside')
      return 'result'
    }
    if (broken) assert.throws(() => withNamespace(traced, blue, inside), /inside/)
    else assert.equal(withNamespace(traced, blue, inside), 'result')
    assert.deepEqual(kernel.names(), ['open', 'open', 'setns', 'ioctl', 'setns', 'close'])
    const [there, back] = kernel.calls.filter((call) => call.name === 'setns')
    assert.deepEqual(there?.arguments, [1000, CLONE_NEWNET])
    assert.deepEqual(back?.arguments, [1001, CLONE_NEWNET])
    blue.close()
    traced.assertNoLeaks()
  }
})

test('withNamespace without a namespace is a plain call', () => {
  const kernel = fakeKernel()
  assert.equal(
    withNamespace(kernel, undefined, () => 5),
    5,
  )
  assert.deepEqual(kernel.calls, [])
})

test('every step may fail: an error, nothing left open', () => {
  const sequences = {
    withNamespace: (kernel: ReturnType<typeof tracingKernel>) => {
      using blue = openNamespace(kernel, 'blue')
      withNamespace(kernel, blue, () => undefined)
    },
    createNamespace: (kernel: ReturnType<typeof tracingKernel>) => createNamespace(kernel).close(),
  }
  for (const [name, sequence] of Object.entries(sequences)) {
    let step = 1
    for (; ; step++) {
      const kernel = fakeKernel()
      const traced = tracingKernel(kernel)
      kernel.failNth(step, EINVAL)
      let thrown: unknown
      try {
        sequence(traced)
      } catch (error) {
        thrown = error
      }
      if (!kernel.failed) break
      assert.equal((thrown as { errno?: number } | undefined)?.errno, EINVAL, `${name}, step ${step}`)
      assert.deepEqual(kernel.openDescriptors, [], `${name}, step ${step}`)
      const moved = kernel.calls.some((call) => call.name === 'unshare' && call.result === 0)
      if (moved) assert.equal(kernel.names().filter((called) => called === 'setns').length, 1, `${name}, step ${step}: the thread does not go home`)
      traced.assertNoLeaks()
    }
    assert.ok(step > 3, name)
  }
})

test('a made namespace is another than the own, and the thread is at home again', () => {
  const kernel = fakeKernel()
  const made = createNamespace(kernel)
  assert.deepEqual(kernel.names(), ['open', 'unshare', 'open', 'setns', 'close'])
  assert.equal(made.fd, 1001)
  assert.equal(kernel.calls[3]?.arguments[0], 1000)
  made.close()
})

test('the own namespace can be opened without privileges', async () => {
  const { openKernel } = await import('#src/kernel/system.js')
  const kernel = tracingKernel(openKernel())
  using own = ownNamespace(kernel)
  assert.ok(own.fd > 2)
  own.close()
  kernel.assertNoLeaks()
})
