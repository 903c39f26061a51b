/** Every kind of map that we make, in the kernel. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { alu, assemble, exit } from '#src/bpf/ebpf.js'
import { BPF_EXIST, BPF_NOEXIST } from '#src/kernel/abi/bpf.js'
import { BpfMap, type BpfMapShape, type BpfMapType } from '#src/kernel/bpf-map.js'
import { loadProgram } from '#src/kernel/bpf-program.js'
import { possibleCpus } from '#src/kernel/cpus.js'
import { openKernel } from '#src/kernel/system.js'
import { live } from '../support/live.js'
import { seededRandom } from '../support/random.js'

const PLAIN: readonly BpfMapType[] = ['array', 'percpu_array', 'hash', 'percpu_hash', 'lru_hash', 'lru_percpu_hash']
const ENTRIES = 64

function shapeOf(type: BpfMapType): BpfMapShape {
  const hash = type.includes('hash')
  // An LRU hash puts out elements well before it is full: each CPU keeps free ones for itself.
  const maxEntries = type.includes('lru') ? 64 * ENTRIES * possibleCpus().length : ENTRIES
  return { name: `ringtap_${type}`, type, keyBytes: hash ? 12 : 4, valueBytes: 20, maxEntries }
}

function keyFor(map: BpfMap, n: number): Uint8Array<ArrayBuffer> {
  const key = new Uint8Array(map.keyBytes)
  new DataView(key.buffer).setUint32(0, n, true)
  return key
}

/** A value that says its number, in a per-CPU map also each CPU's. */
function valueFor(map: BpfMap, n: number): Uint8Array<ArrayBuffer> {
  const value = new Uint8Array(map.valueSize)
  for (let cpu = 0; cpu * map.stride < value.length; cpu++) value.fill(n + cpu, cpu * map.stride, cpu * map.stride + map.valueBytes)
  return value
}

for (const type of PLAIN) {
  live(`${type}: elements one by one`, () => {
    using map = BpfMap.create(openKernel(), shapeOf(type))
    assert.equal(map.valueSize, type.includes('percpu') ? 24 * possibleCpus().length : 20)
    const hash = type.includes('hash')
    const into = new Uint8Array(map.valueSize)
    const zeros = new Uint8Array(map.valueSize)
    assert.equal(map.lookup(keyFor(map, 3), into), !hash)
    assert.deepEqual(into, zeros)
    map.update(keyFor(map, 3), valueFor(map, 7))
    assert.equal(map.lookup(keyFor(map, 3), into), true)
    assert.deepEqual(into, valueFor(map, 7))
    assert.throws(() => map.update(keyFor(map, 3), zeros, BPF_NOEXIST), { errnoName: 'EEXIST' })
    if (hash) assert.throws(() => map.update(keyFor(map, 4), zeros, BPF_EXIST), { errnoName: 'ENOENT' })
    else assert.throws(() => map.update(ENTRIES, zeros), { errnoName: 'E2BIG', hint: `the map has room for ${ENTRIES} elements` })

    const key = new Uint8Array(map.keyBytes)
    assert.equal(map.nextKey(undefined, key), true)
    assert.deepEqual(key, keyFor(map, hash ? 3 : 0))
    assert.equal(map.nextKey(keyFor(map, hash ? 3 : ENTRIES - 1), key), false)
    if (hash) {
      assert.equal(map.delete(keyFor(map, 3)), true)
      assert.equal(map.delete(keyFor(map, 3)), false)
      assert.equal(map.lookup(keyFor(map, 3), into), false)
    } else assert.throws(() => map.delete(3), { errnoName: 'EINVAL' })
  })

  live(`${type}: batches`, (t) => {
    const random = seededRandom(t)
    using map = BpfMap.create(openKernel(), shapeOf(type))
    const hash = type.includes('hash')
    const count = ENTRIES
    const numbers = Array.from({ length: count }, (_, i) => i)
    const keys = Uint8Array.from(numbers.flatMap((n) => [...keyFor(map, n)]))
    const values = Uint8Array.from(numbers.flatMap((n) => [...valueFor(map, n)]))
    map.updateBatch(keys, values, count)

    for (const room of [count, random.between(8, ENTRIES), 8]) {
      const seen = new Map<number, Uint8Array>()
      const someKeys = new Uint8Array(room * map.keyBytes)
      const someValues = new Uint8Array(room * map.valueSize)
      const cursor = map.cursor()
      for (let round = 0; !cursor.done; round++) {
        assert.ok(round < 100)
        const got = map.lookupBatch(cursor, someKeys, someValues)
        for (let i = 0; i < got; i++) {
          const n = new DataView(someKeys.buffer).getUint32(i * map.keyBytes, true)
          assert.ok(!seen.has(n), `${n} seen twice`)
          seen.set(n, someValues.slice(i * map.valueSize, (i + 1) * map.valueSize))
        }
      }
      assert.equal(seen.size, count)
      for (const n of numbers) assert.deepEqual(seen.get(n), valueFor(map, n))
    }
    if (!hash) return
    // 99 is not there.
    assert.equal(
      map.deleteBatch(Uint8Array.from([...keys.subarray(0, 5 * map.keyBytes), ...keyFor(map, 99), ...keys.subarray(5 * map.keyBytes)]), count + 1),
      count,
    )
    assert.equal(map.nextKey(undefined, new Uint8Array(map.keyBytes)), false)
  })
}

live('a hash that is full, and one whose room is filled on and on', () => {
  const kernel = openKernel()
  using full = BpfMap.create(kernel, shapeOf('hash'))
  for (let n = 0; n < ENTRIES; n++) full.update(keyFor(full, n), valueFor(full, n))
  assert.throws(() => full.update(keyFor(full, ENTRIES), valueFor(full, 0)), { errnoName: 'E2BIG', hint: /room for 64/ })
  using lru = BpfMap.create(kernel, { ...shapeOf('lru_hash'), maxEntries: ENTRIES })
  for (let n = 0; n < ENTRIES * 10; n++) lru.update(keyFor(lru, n), valueFor(lru, n))
  assert.equal(lru.lookup(keyFor(lru, ENTRIES * 10 - 1), new Uint8Array(lru.valueSize)), true)
})

live('maps of things: programs, interfaces, CPUs', () => {
  const kernel = openKernel()
  using program = loadProgram(kernel, { name: 'ringtap_pass', type: 'xdp', code: assemble([alu('mov', 'r0', 2), exit()]) })
  for (const [type, value] of [
    ['prog_array', program.fd],
    ['devmap', 1],
    ['cpumap', 192],
  ] as const) {
    using map = BpfMap.create(kernel, { name: `ringtap_${type}`, type, keyBytes: 4, valueBytes: 4, maxEntries: type === 'cpumap' ? possibleCpus().length : 4 })
    const into = new Uint8Array(4)
    assert.equal(map.lookup(0, into), false)
    map.update(0, value)
    assert.equal(map.lookup(0, into), true)
    // A program is read back by its id.
    if (type !== 'prog_array') assert.equal(new DataView(into.buffer).getUint32(0, true), value)
    const cursor = map.cursor()
    assert.equal(map.lookupBatch(cursor, new Uint8Array(16), new Uint8Array(16)), 1, `${type}: no batches, so one by one`)
    assert.equal(map.delete(0), true)
    assert.equal(map.lookup(0, into), false)
  }
  using xsks = BpfMap.create(kernel, { name: 'ringtap_xsks', type: 'xskmap', keyBytes: 4, valueBytes: 4, maxEntries: 4 })
  assert.throws(() => xsks.update(0, 0), { message: /^map ringtap_xsks: bpf\(BPF_MAP_UPDATE_ELEM\)/ })
  assert.throws(() => xsks.lookup(0, new Uint8Array(4)), { errnoName: 'EOPNOTSUPP' })
  assert.equal(xsks.delete(0), true)
})

live('what cannot be made', () => {
  const kernel = openKernel()
  assert.throws(() => BpfMap.create(kernel, { ...shapeOf('array'), keyBytes: 8 }), {
    errnoName: 'EINVAL',
    message: /^ringtap_array: bpf\(BPF_MAP_CREATE, array, key 8, value 20, 64 entries\): EINVAL/,
  })
  assert.throws(() => BpfMap.create(kernel, { ...shapeOf('hash'), maxEntries: 0 }), { errnoName: 'EINVAL' })
})

live('by number, as another thread uses it; names as bpftool shows them', () => {
  const kernel = openKernel()
  const open = shapeOf('percpu_array')
  using map = BpfMap.create(kernel, { ...open, name: 'ringtap_borrowed' })
  const other = BpfMap.over(kernel, map.fd, open)
  other.update(1, valueFor(map, 5))
  other.close()
  const into = new Uint8Array(map.valueSize)
  assert.equal(map.lookup(1, into), true)
  assert.deepEqual(into, valueFor(map, 5))
  const shown = JSON.parse(execFileSync('bpftool', ['-j', 'map', 'show'], { encoding: 'utf8' })) as { name?: string; type: string; bytes_value: number }[]
  assert.ok(shown.some(({ name, type, bytes_value }) => name === 'ringtap_borrowe' && type === 'percpu_array' && bytes_value === 20))
})

live('a look-up allocates nothing that lasts', () => {
  const kernel = openKernel()
  using map = BpfMap.create(kernel, shapeOf('percpu_array'))
  const into = new Uint8Array(map.valueSize)
  for (let i = 0; i < 1000; i++) map.lookup(i & 63, into)
  const before = process.memoryUsage().arrayBuffers
  for (let i = 0; i < 20_000; i++) map.lookup(i & 63, into)
  assert.ok(process.memoryUsage().arrayBuffers <= before + 4096)
})
