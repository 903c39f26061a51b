import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { MAP_ANONYMOUS, MAP_FIXED, MAP_NORESERVE, MAP_POPULATE, MAP_PRIVATE, MAP_SHARED, PROT_READ, PROT_WRITE } from '#src/kernel/abi/process.js'
import { ENOMEM } from '#src/kernel/errno.js'
import { Mapping, releaseRange } from '#src/kernel/mapping.js'
import { openKernel } from '#src/kernel/system.js'
import { fakeKernel, type RecordedCall } from '../../support/fake-kernel.js'
import { tracingKernel } from '../../support/tracing-kernel.js'

const page = openKernel().pageSize

/** Each test has a length of its own: closed ranges wait by length, for the whole thread. */
let pages = 16
function freshLength(): number {
  pages += 1
  return pages * page
}

/** True when the address belongs to a mapping of this process. */
function isMapped(address: bigint): boolean {
  return readFileSync('/proc/self/maps', 'latin1')
    .trimEnd()
    .split('\n')
    .some((line) => {
      const [start, end] = (line.split(' ', 1)[0] as string).split('-').map((hex) => BigInt(`0x${hex}`)) as [bigint, bigint]
      return start <= address && address < end
    })
}

test('rounds up to whole pages', () => {
  using mapping = Mapping.map(openKernel(), 'test', -1, page + 1)
  assert.equal(mapping.length, 2 * page)
  assert.equal(mapping.buffer.byteLength, 2 * page)
})

test('a stale view reads zeros after close and does not crash', () => {
  const kernel = tracingKernel(openKernel())
  const mapping = Mapping.map(kernel, 'test', -1, freshLength())
  const bytes = new Uint8Array(mapping.buffer)
  const words = new Int32Array(mapping.buffer)
  bytes.fill(0xa5)
  mapping.close()
  assert.ok(isMapped(mapping.address))
  assert.ok(bytes.every((byte) => byte === 0))
  assert.equal(Atomics.load(words, words.length - 1), 0)
  kernel.assertNoLeaks()
})

test('close is idempotent: the second does not cover what has taken the range since', () => {
  const kernel = openKernel()
  const length = freshLength()
  const first = Mapping.map(kernel, 'test', -1, length)
  first.close()
  using second = Mapping.map(kernel, 'test', -1, length)
  assert.equal(second.address, first.address)
  new Uint8Array(second.buffer).fill(7)
  first.close()
  assert.equal(new Uint8Array(second.buffer)[length - 1], 7)
})

test('ranges are used again: a hundred cycles take one range and leak nothing', () => {
  const kernel = tracingKernel(openKernel())
  const length = freshLength()
  const addresses = new Set<bigint>()
  for (let cycle = 0; cycle < 100; cycle++) {
    using mapping = Mapping.map(kernel, 'test', -1, length)
    addresses.add(mapping.address)
    const bytes = new Uint8Array(mapping.buffer)
    assert.equal(bytes[0], 0)
    bytes[0] = 1
  }
  assert.equal(addresses.size, 1)
  kernel.assertNoLeaks()
})

test('two open mappings of one length never share a range', () => {
  const kernel = openKernel()
  const length = freshLength()
  using first = Mapping.map(kernel, 'test', -1, length)
  using second = Mapping.map(kernel, 'test', -1, length)
  assert.notEqual(first.address, second.address)
  new Uint8Array(first.buffer).fill(1)
  assert.equal(new Uint8Array(second.buffer)[0], 0)
})

test('a descriptor is mapped shared, and its failure names the subject', () => {
  const kernel = fakeKernel()
  const length = freshLength()
  const mapping = Mapping.map(kernel, 'eth0 worker 1', 1000, length)
  const [, size, , flags, fd] = (kernel.calls[0] as RecordedCall).arguments as [bigint, number, number, number, number]
  assert.deepEqual([size, flags & MAP_SHARED, fd], [length, MAP_SHARED, 1000])
  mapping.close()
  kernel.fail('mmap', ENOMEM)
  assert.throws(() => Mapping.map(kernel, 'eth0 worker 1', 1000, freshLength()), {
    code: 'SYSTEM_CALL_FAILED',
    errno: ENOMEM,
    message: /^eth0 worker 1: mmap\(\d+ bytes\): ENOMEM/,
  })
})

test('when the kernel will not cover the range, it stays mapped and is not used again', () => {
  const kernel = fakeKernel()
  const length = freshLength()
  const mapping = Mapping.map(kernel, 'test', -1, length)
  kernel.fail('mmap', ENOMEM)
  mapping.close()
  assert.ok(isMapped(mapping.address))
  using next = Mapping.map(kernel, 'test', -1, length)
  assert.notEqual(next.address, mapping.address)
  releaseRange(kernel, mapping.address, length)
})

test('a mapping that fails over a used range leaves no hole there', () => {
  // NB: a failing mmap(2) with MAP_FIXED has already removed what was there, on 6.18 too.
  const kernel = fakeKernel()
  const length = freshLength()
  const stale = Mapping.map(kernel, 'test', -1, length)
  stale.close()
  const anonymous = kernel.mmap
  kernel.answer('mmap', (address, size, protection, flags, fd) => {
    if (fd < 0) return openKernel().mmap(address, size, protection, flags, fd)
    if (address !== 0n) openKernel().munmap(address, size)
    return BigInt(-ENOMEM)
  })
  assert.throws(() => Mapping.map({ ...kernel, mmap: anonymous }, 'test', 1000, length), { errno: ENOMEM })
  const mapped = isMapped(stale.address)
  // A hole is put right before the test says so: later tests must not meet it.
  if (!mapped) Mapping.map(openKernel(), 'test', -1, length).close()
  assert.ok(mapped)
  assert.equal(new Uint8Array(stale.buffer)[0], 0)
})

test('hugepages are whole ones, and only ever go over a used range that begins where one may', () => {
  const real = openKernel()
  const huge = 2 ** 21
  const length = 2 * huge
  const room = real.mmap(0n, 4 * length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1)
  const aligned = (room / BigInt(huge) + 1n) * BigInt(huge)
  const unaligned = aligned + BigInt(length + page)
  const fresh = [unaligned, aligned]
  const kernel = fakeKernel()
  const asked: bigint[] = []
  kernel.answer('mmap', (address, size, protection, flags) => {
    // Covers are asked for without MAP_POPULATE.
    if ((flags & MAP_POPULATE) !== 0) asked.push(address)
    const at = address === 0n ? (fresh.shift() as bigint) : address
    return real.mmap(at, size, protection, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1)
  })
  const ordinary = () => Mapping.map(kernel, 'test', 1000, length)
  const hugepages = () => Mapping.map(kernel, 'test', 1000, length - page, 0, huge)

  ordinary().close()
  const first = hugepages()
  assert.equal(first.length, length)
  first.close()
  hugepages().close()
  const both = [hugepages(), ordinary()]
  assert.deepEqual(asked, [0n, 0n, aligned, aligned, unaligned])
  for (const mapping of both) mapping.close()
  // Whichever is left, an ordinary one takes it: later tests must not.
  for (const mapping of [ordinary(), ordinary()]) releaseRange(kernel, mapping.address, mapping.length)
  real.munmap(room, 4 * length)
})

test('a closed range costs no memory of its own', () => {
  const kernel = fakeKernel()
  const mapping = Mapping.map(kernel, 'test', -1, freshLength())
  mapping.close()
  const flags = kernel.calls.at(-1)?.arguments[3] as number
  assert.equal(flags & MAP_NORESERVE, MAP_NORESERVE)
})
