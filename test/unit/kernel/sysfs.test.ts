import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openSysfs } from '#src/kernel/sysfs.js'
import { fakeKernel } from '../../support/fake-kernel.js'
import { tracingKernel } from '../../support/tracing-kernel.js'

const EPERM = 1
const ENOSYS = 38

test('sysfs is made and mounted nowhere', () => {
  const kernel = fakeKernel()
  const mount = openSysfs(kernel)
  // FSOPEN_CLOEXEC; FSCONFIG_CMD_CREATE; FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | NODEV | NOEXEC.
  assert.deepEqual(
    kernel.calls.map((call) => [call.name, ...call.arguments]),
    [
      ['fsopen', 'sysfs', 1],
      ['fsconfig', 1000, 6],
      ['fsmount', 1000, 1, 14],
      ['close', 1000],
    ],
  )
  assert.deepEqual(kernel.openDescriptors, [mount.fd])
  mount.close()
  assert.deepEqual(kernel.openDescriptors, [])
})

test('every step may fail: an error, nothing left open', () => {
  for (const step of ['fsopen', 'fsconfig', 'fsmount'] as const) {
    for (const [errno, code] of [
      [EPERM, 'PERMISSION'],
      [ENOSYS, 'SYSTEM_CALL_FAILED'],
    ] as const) {
      const kernel = fakeKernel()
      const traced = tracingKernel(kernel)
      kernel.fail(step, errno)
      assert.throws(() => openSysfs(traced), { code, errno, message: new RegExp(`^sysfs: ${step}\\(`) })
      traced.assertNoLeaks()
    }
  }
})
