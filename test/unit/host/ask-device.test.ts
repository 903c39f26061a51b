import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CaptureError } from '#src/errors.js'
import { askDevice } from '#src/host/ask-device.js'
import { type Kernel, openKernel } from '#src/kernel/system.js'
import { tracingKernel } from '../../support/tracing-kernel.js'

const EPERM = 1
const EBUSY = 16

test('this machine answers about its loopback, whoever asks', () => {
  const kernel = tracingKernel(openKernel())
  const { link, driver, rings, features, xdpPrograms, promiscuousSockets, use, defaultRoute } = askDevice(kernel, 'lo')
  assert.deepEqual([link.name, link.index, link.mac, link.uppers], ['lo', 1, '00:00:00:00:00:00', []])
  assert.ok(features.value?.['rx-gro'] !== undefined)
  for (const answer of [driver, rings, defaultRoute]) assert.deepEqual(answer, { value: undefined })
  for (const answer of [xdpPrograms, promiscuousSockets, use]) assert.ok(Array.isArray(answer.value))
  kernel.assertNoLeaks()
})

test('what the kernel refuses is named, with the call and the reason', () => {
  const kernel: Kernel = { ...openKernel(), ioctl: () => -EPERM }
  const answers = askDevice(kernel, 'lo')
  const refused = (call: string) => ({ unread: { source: `ioctl(${call})`, reason: 'EPERM: operation not permitted' } })
  assert.deepEqual(answers.driver, refused('ETHTOOL_GDRVINFO'))
  assert.deepEqual(answers.channels, refused('ETHTOOL_GCHANNELS'))
  assert.deepEqual(answers.coalescing, refused('ETHTOOL_GCOALESCE'))
  assert.deepEqual(answers.rss, refused('ETHTOOL_GRSSH'))
  assert.deepEqual(answers.features, refused('ETHTOOL_GSSET_INFO'))
  assert.ok(Array.isArray(answers.promiscuousSockets.value))
})

test('whichever call fails, there is an answer or one error, and nothing stays open', () => {
  const calls = ['socket', 'sendto', 'recv', 'ioctl', 'bpf'] as const
  let failedOnce = false
  for (let nth = 1; ; nth++) {
    const real = openKernel()
    let left = nth
    const failing = Object.fromEntries(
      calls.map((name) => [name, (...values: never[]) => (--left === 0 ? -EBUSY : (real[name] as (...values: never[]) => number)(...values))]),
    )
    const kernel = tracingKernel({ ...real, ...failing } as Kernel)
    try {
      const answers = askDevice(kernel, 'lo')
      if (JSON.stringify(answers).includes('EBUSY')) failedOnce = true
    } catch (error) {
      assert.ok(error instanceof CaptureError, String(error))
    }
    kernel.assertNoLeaks()
    if (left > 0) break
    assert.ok(nth < 200)
  }
  assert.ok(failedOnce)
})

test('an interface that there is not is the one error', () => {
  const kernel = tracingKernel(openKernel())
  assert.throws(() => askDevice(kernel, 'nosuch0'), { code: 'NO_SUCH_INTERFACE' })
  kernel.assertNoLeaks()
})
