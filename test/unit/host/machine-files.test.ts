import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { openMachineFiles } from '#src/host/machine-files.js'
import { readHostFacts, readInterfaceFacts } from '#src/host/read-facts.js'
import { fakeKernel } from '../../support/fake-kernel.js'

const EPERM = 1
const ENOENT = 2

const folder = mkdtempSync(join(tmpdir(), 'ringtap-files-'))
after(() => rmSync(folder, { recursive: true }))
writeFileSync(join(folder, 'file'), 'text\n')
symlinkSync('file', join(folder, 'link'))

/** A kernel that mounts no sysfs. */
function unprivileged() {
  const kernel = fakeKernel()
  kernel.answer('fsopen', () => -EPERM)
  return kernel
}

test('files, folders and links; each failure is an errno', () => {
  using files = openMachineFiles(unprivileged())
  assert.equal(files.read(join(folder, 'link')), 'text\n')
  assert.deepEqual([...(files.list(folder) as string[])].sort(), ['file', 'link'])
  assert.equal(files.link(join(folder, 'link')), 'file')
  assert.deepEqual(files.read(join(folder, 'gone')), { errno: ENOENT })
  assert.deepEqual(files.read(folder), { errno: 21 })
  assert.deepEqual(files.list(join(folder, 'file')), { errno: 20 })
  assert.deepEqual(files.link(join(folder, 'file')), { errno: 22 })
})

test('a write is there at once, and one that fails says what was written where', () => {
  using files = openMachineFiles(unprivileged())
  files.write(join(folder, 'file'), 'other\n')
  assert.equal(files.read(join(folder, 'file')), 'other\n')
  files.write(join(folder, 'file'), 'text\n')
  assert.throws(() => files.write(folder, '1\n'), {
    code: 'FILE_FAILED',
    errnoName: 'EISDIR',
    message: `${folder}: write("1"): EISDIR (illegal operation on a directory)`,
  })
})

test('without the privilege to mount sysfs it is the one at /sys, and of a namespace there is none', () => {
  {
    using files = openMachineFiles(unprivileged())
    assert.equal(typeof files.read('/sys/devices/system/cpu/online') === 'string', existsSync('/sys/devices/system/cpu/online'))
  }
  const kernel = unprivileged()
  using files = openMachineFiles(kernel, 'blue')
  assert.deepEqual(files.read('/sys/devices/system/cpu/online'), { errno: EPERM })
  assert.throws(() => files.write('/sys/class/net/eth0/queues/rx-0/rps_cpus', '1'), {
    code: 'PERMISSION',
    // Who is root already is not told to become it.
    hint: process.geteuid?.() === 0 ? undefined : 'run as root',
  })
  assert.equal(typeof files.read('/proc/self/comm'), 'string')
})

test('the mount is closed with the files, however often, and its namespace before', () => {
  const kernel = fakeKernel()
  const files = openMachineFiles(kernel, 'blue')
  assert.equal(kernel.openDescriptors.length, 1)
  files.close()
  files.close()
  assert.deepEqual(kernel.openDescriptors, [])
})

test('a namespace that there is not', () => {
  const kernel = fakeKernel()
  kernel.answer('open', () => -ENOENT)
  assert.throws(() => openMachineFiles(kernel, 'blue'), { code: 'NO_SUCH_NAMESPACE' })
})

test('this machine and its loopback tell something, with or without privileges', () => {
  const host = readHostFacts()
  assert.ok(host.cpus.length > 0 && host.allowedCpus.length > 0 && host.memoryBytes > 0)
  assert.equal(host.architecture, process.arch)
  const lo = readInterfaceFacts('lo')
  assert.deepEqual([lo.name, lo.index, lo.linkType, lo.driver], ['lo', 1, 772, undefined])
  assert.throws(() => readInterfaceFacts('nosuch0'), { code: 'NO_SUCH_INTERFACE' })
})
