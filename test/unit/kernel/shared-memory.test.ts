import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { CaptureError } from '#src/errors.js'
import { SharedMemory, withTemporaryMapping } from '#src/kernel/shared-memory.js'
import { openKernel } from '#src/kernel/system.js'
import { type FakeKernel, fakeKernel } from '../../support/fake-kernel.js'
import { tracingKernel } from '../../support/tracing-kernel.js'

const MFD_CLOEXEC = 1
const MFD_HUGETLB = 4
const MAP_SHARED = 1
const MAP_POPULATE = 0x8000
const EINTR = 4
const ENOMEM = 12
const ENOSPC = 28

const MIB = 2 ** 20
const page = openKernel().pageSize
const MEMINFO = 'HugePages_Surp:        0\nHugepagesize:       2048 kB\nHugetlb:               0 kB\n'

function kernelWith(meminfo: string): FakeKernel {
  const kernel = fakeKernel()
  kernel.answer('read', (_fd, into) => new TextEncoder().encodeInto(meminfo, into).written)
  return kernel
}

const made = (kernel: FakeKernel) =>
  kernel.calls.filter(({ name }) => name === 'memfdCreate' || name === 'ftruncate' || name === 'fallocate').map((call) => [call.name, ...call.arguments])

describe('create', () => {
  test('ordinary pages: whole ones, and nothing is asked about hugepages', () => {
    const kernel = fakeKernel()
    using memory = SharedMemory.create(kernel, { name: 'eth0', bytes: page + 1, hugepages: false })
    assert.deepEqual([memory.bytes, memory.pageBytes, memory.hugepages], [2 * page, page, false])
    assert.deepEqual(kernel.openDescriptors, [memory.descriptor.fd])
    assert.deepEqual(made(kernel), [
      ['memfdCreate', 'eth0', MFD_CLOEXEC],
      ['ftruncate', memory.descriptor.fd, 2 * page],
    ])
    assert.ok(!kernel.names().includes('open'))
    memory.close()
    assert.deepEqual(kernel.openDescriptors, [])
  })

  test('hugepages: whole ones, all of them taken at once', () => {
    const kernel = kernelWith(MEMINFO)
    using memory = SharedMemory.create(kernel, { name: 'eth0', bytes: 2 * MIB + 1, hugepages: true })
    assert.deepEqual([memory.bytes, memory.pageBytes, memory.hugepages], [4 * MIB, 2 * MIB, true])
    const fd = memory.descriptor.fd
    assert.deepEqual(made(kernel), [
      ['memfdCreate', 'eth0', MFD_CLOEXEC | MFD_HUGETLB],
      ['ftruncate', fd, 4 * MIB],
      ['fallocate', fd, 4 * MIB],
    ])
    assert.deepEqual(kernel.openDescriptors, [fd])
  })

  test('too few hugepages, or none: ordinary pages, and the first memfd is closed', () => {
    for (const [name, errno] of [
      ['memfdCreate', ENOMEM],
      ['ftruncate', ENOMEM],
      ['fallocate', ENOSPC],
    ] as const) {
      const kernel = kernelWith(MEMINFO)
      kernel.fail(name, errno)
      using memory = SharedMemory.create(kernel, { name: 'eth0', bytes: 3 * MIB, hugepages: true })
      assert.deepEqual([memory.bytes, memory.pageBytes, memory.hugepages], [3 * MIB, page, false], name)
      assert.deepEqual(kernel.openDescriptors, [memory.descriptor.fd])
    }
  })

  test('no hugepage for what is smaller than one, nor where the kernel names no size', () => {
    for (const [meminfo, bytes] of [
      [MEMINFO, 2 * MIB - 1],
      ['MemTotal:       24683000 kB\n', 4 * MIB],
      ['Hugepagesize:       524288 kB\n', 64 * MIB],
    ] as const) {
      const kernel = kernelWith(meminfo)
      using memory = SharedMemory.create(kernel, { name: 'eth0', bytes, hugepages: true })
      assert.equal(memory.hugepages, false)
      assert.equal(made(kernel).length, 2)
    }
  })

  test('a signal only interrupts', () => {
    const kernel = kernelWith(MEMINFO)
    kernel.fail('fallocate', EINTR)
    using memory = SharedMemory.create(kernel, { name: 'eth0', bytes: 2 * MIB, hugepages: true })
    assert.ok(memory.hugepages)
  })

  test('whatever call fails: memory or an error with the name, and nothing else stays open', () => {
    for (const hugepages of [false, true]) {
      let errors = 0
      for (let n = 1; ; n++) {
        const kernel = kernelWith(MEMINFO)
        kernel.failNth(n, ENOMEM)
        try {
          using memory = SharedMemory.create(kernel, { name: 'eth0 queue 3', bytes: 4 * MIB, hugepages })
          assert.deepEqual(kernel.openDescriptors, [memory.descriptor.fd])
        } catch (error) {
          assert.ok(error instanceof CaptureError)
          assert.match(error.message, /^eth0 queue 3: (memfd_create|ftruncate\(4194304 bytes\)): ENOMEM/)
          errors++
        }
        assert.deepEqual(kernel.openDescriptors, [])
        if (!kernel.failed) break
      }
      assert.equal(errors, hugepages ? 0 : 2)
    }
  })
})

describe('withTemporaryMapping', () => {
  test('maps shared and populated, answers, unmaps', () => {
    const kernel = fakeKernel()
    const address = withTemporaryMapping(kernel, 1000, 4 * page, (it) => it)
    assert.deepEqual(kernel.names(), ['mmap', 'munmap'])
    const flags = kernel.calls[0].arguments[3] as number
    assert.equal(flags & (MAP_SHARED | MAP_POPULATE), MAP_SHARED | MAP_POPULATE)
    assert.deepEqual(kernel.calls[0].arguments.slice(1, 2), [4 * page])
    assert.deepEqual(kernel.calls[1].arguments, [address, 4 * page])
  })

  test('unmaps after a throw', () => {
    const kernel = fakeKernel()
    const thrown = new Error('inside')
    assert.throws(
      () =>
        withTemporaryMapping(kernel, 1000, page, () => {
          throw thrown
        }),
      thrown,
    )
    assert.deepEqual(kernel.names(), ['mmap', 'munmap'])
  })

  test('a failed mmap runs nothing', () => {
    const kernel = fakeKernel()
    kernel.fail('mmap', ENOMEM)
    assert.throws(() => withTemporaryMapping(kernel, 1000, page, () => assert.fail('ran')), {
      errno: ENOMEM,
      message: /^shared memory: mmap\(\d+ bytes\): ENOMEM/,
    })
    assert.deepEqual(kernel.names(), ['mmap'])
  })
})

test('on this kernel: what one mapping writes another reads, and nothing is left', () => {
  const kernel = tracingKernel(openKernel())
  {
    using memory = SharedMemory.create(kernel, { name: 'ringtap test', bytes: 3 * page, hugepages: false })
    const fd = memory.descriptor.fd
    withTemporaryMapping(kernel, fd, memory.bytes, (address) => new Uint8Array(kernel.view(address, memory.bytes)).fill(7))
    const sum = withTemporaryMapping(kernel, fd, memory.bytes, (address) => new Uint8Array(kernel.view(address, memory.bytes)).reduce((a, b) => a + b))
    assert.equal(sum, 7 * memory.bytes)
  }
  kernel.assertNoLeaks()
})
