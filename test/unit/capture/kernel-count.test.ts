import assert from 'node:assert/strict'
import { test } from 'node:test'
import { countInKernelWith, type KernelCountOptions } from '#src/capture/kernel-count.js'
import { fakeKernel } from '../../support/fake-kernel.js'

test('options are checked before the kernel is asked anything', () => {
  const kernel = fakeKernel()
  const cases: [options: Record<string, unknown>, message: RegExp][] = [
    [{}, /option interface to be the name of an interface or an array of names, got undefined/],
    [{ interface: [] }, /option interface to be/],
    [{ interface: ['eth0', 'eth0'] }, /option interface to be names that differ/],
    [{ interface: 'eth0', drop: 1 }, /option drop to be a boolean, got 1 \(number\)/],
    [{ interface: 'eth0', exclusive: 'yes' }, /option exclusive to be a boolean, got 'yes'/],
    [{ interface: 'eth0', promiscuous: 'no' }, /option promiscuous to be a boolean, got 'no'/],
    [{ interface: 'eth0', xdpMode: 'zero-copy' }, /option xdpMode to be one of auto, native, generic, got 'zero-copy'/],
    [{ interface: 'eth0', netns: '' }, /option netns to be a string that is not empty/],
    [{ interface: 'eth0', workers: 2 }, /^Unknown option workers$/],
  ]
  for (const [options, message] of cases) {
    assert.throws(() => countInKernelWith(kernel, options as unknown as KernelCountOptions), { code: 'INVALID_OPTION', message })
  }
  assert.deepEqual(kernel.names(), [])
})
