/** Memory for AF_XDP on the kernel as it is: how much of it may be pinned, and hugepages. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { MAP_ANONYMOUS, MAP_FIXED, MAP_NORESERVE, MAP_PRIVATE, PROT_NONE } from '#src/kernel/abi/process.js'
import { ENOBUFS } from '#src/kernel/errno.js'
import { Mapping, releaseRange } from '#src/kernel/mapping.js'
import { SharedMemory } from '#src/kernel/shared-memory.js'
import { openKernel } from '#src/kernel/system.js'
import { live, until } from '../support/live.js'
import { tracingKernel } from '../support/tracing-kernel.js'
import { registerUmem } from '../support/umem.js'
import type { Pinned } from './memlock-child.js'

live('without CAP_IPC_LOCK RLIMIT_MEMLOCK binds: it is raised to the hard limit, and above that the hint says what to do', () => {
  const child = fileURLToPath(new URL('memlock-child.js', import.meta.url))
  const limited = ['--memlock=65536:2097152', 'setpriv', '--bounding-set=-ipc_lock', '--inh-caps=-all', process.execPath, child]
  const { status, stdout, stderr } = spawnSync('prlimit', limited, { encoding: 'utf8' })
  assert.equal(status, 0, stderr)
  const { before, after, tooMuch, hint, limits } = JSON.parse(stdout) as Pinned
  assert.deepEqual([before, after, tooMuch], [-ENOBUFS, 0, -ENOBUFS])
  assert.match(limits, /^Max locked memory\s+2097152\s+2097152\s+bytes/m)
  assert.match(hint, /^RLIMIT_MEMLOCK is 2048 KiB, needed are 4096 KiB: ulimit -l unlimited/)
})

const HUGE = 2 ** 21
const NR_HUGEPAGES = '/proc/sys/vm/nr_hugepages'

/** A field of /proc/meminfo. */
function meminfo(field: string): number {
  return Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(readFileSync('/proc/meminfo', 'latin1'))?.[1] ?? 0)
}

/** Hugepages that nobody has, and nobody has been promised. */
function freeHugepages(): number {
  return meminfo('HugePages_Free') - meminfo('HugePages_Rsvd')
}

/** Runs with so many hugepages free, which must be free again at the end, and puts the pool back. */
async function withHugepages(t: TestContext, count: number, run: () => void): Promise<void> {
  if (meminfo('Hugepagesize') * 1024 !== HUGE) return t.skip('no hugepages of 2 MiB')
  const before = readFileSync(NR_HUGEPAGES, 'latin1')
  try {
    writeFileSync(NR_HUGEPAGES, `${meminfo('HugePages_Total') - freeHugepages() + count}`)
    if (freeHugepages() !== count) return t.skip(`the pool cannot have ${count} free hugepages, but ${freeHugepages()}`)
    run()
    await until('all hugepages are free again', () => freeHugepages() === count)
  } finally {
    writeFileSync(NR_HUGEPAGES, before)
  }
}

live('hugepages: taken at once, mapped again and again at one address, given back', (t) =>
  withHugepages(t, 16, () => {
    const kernel = tracingKernel(openKernel())
    const length = 4 * HUGE
    // A used range of the same length, at which no hugepage can begin.
    const room = openKernel().mmap(0n, length + HUGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1)
    const unaligned = room % BigInt(HUGE) === 0n ? room + BigInt(kernel.pageSize) : room
    const there: typeof kernel.mmap = (_address, size, protection, flags, fd) => kernel.mmap(unaligned, size, protection, flags | MAP_FIXED, fd)
    Mapping.map({ ...kernel, mmap: there }, 'test', -1, length).close()

    const memory = SharedMemory.create(kernel, { name: 'ringtap test', bytes: length - 1, hugepages: true })
    assert.deepEqual([memory.bytes, memory.pageBytes, memory.hugepages], [length, HUGE, true])
    assert.equal(freeHugepages(), 12)
    const map = () => Mapping.map(kernel, 'test', memory.descriptor.fd, memory.bytes, 0, memory.pageBytes)
    const addresses = new Set<bigint>()
    let stale: Uint8Array | undefined
    for (let cycle = 0; cycle < 100; cycle++) {
      using mapping = map()
      addresses.add(mapping.address)
      assert.match(readFileSync('/proc/self/maps', 'latin1'), new RegExp(`^${mapping.address.toString(16)}-.*ringtap test`, 'm'))
      stale = new Uint8Array(mapping.buffer)
      // What the cycle before wrote is there: it is the descriptor's.
      assert.equal(stale[length - 1], cycle)
      stale[length - 1] = cycle + 1
    }
    assert.equal(stale?.[length - 1], 0)
    assert.equal(addresses.size, 1)
    assert.ok(!addresses.has(unaligned))

    // Ordinary pages go where hugepages were, and the other way round.
    const ordinary = Mapping.map(kernel, 'test', -1, length)
    assert.ok(addresses.has(ordinary.address))
    ordinary.close()
    const left = map()
    assert.ok(addresses.has(left.address))
    releaseRange(kernel, left.address, left.length)
    assert.doesNotMatch(readFileSync('/proc/self/maps', 'latin1'), /ringtap test/)
    memory.close()
    kernel.assertNoLeaks()
  }),
)

live('hugepages: too few in the pool is ordinary pages, and takes none', (t) =>
  withHugepages(t, 4, () => {
    const kernel = tracingKernel(openKernel())
    using memory = SharedMemory.create(kernel, { name: 'ringtap test', bytes: 5 * HUGE, hugepages: true })
    assert.deepEqual([memory.bytes, memory.pageBytes, memory.hugepages], [5 * HUGE, kernel.pageSize, false])
    assert.equal(freeHugepages(), 4)
    memory.close()
    kernel.assertNoLeaks()
  }),
)

live('what an AF_XDP socket has pinned outlives mapping and descriptor, and ends with the socket', (t) =>
  withHugepages(t, 4, () => {
    const kernel = tracingKernel(openKernel())
    using memory = SharedMemory.create(kernel, { name: 'ringtap test', bytes: 4 * HUGE, hugepages: true })
    const { result, socket } = registerUmem(kernel, memory)
    assert.equal(result, 0)
    assert.doesNotMatch(readFileSync('/proc/self/maps', 'latin1'), /ringtap test/)
    memory.close()
    assert.equal(freeHugepages(), 0)
    socket.close()
    kernel.assertNoLeaks()
  }),
)
