import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { BPF_ATTR_MAP_BATCH, BPF_ATTR_MAP_CREATE, BPF_ATTR_MAP_ELEM } from '#src/kernel/abi/bpf.js'
import { BpfCell, BpfMap, type BpfMapShape } from '#src/kernel/bpf-map.js'
import { possibleCpus } from '#src/kernel/cpus.js'
import { bpfMemory } from '../../support/bpf-memory.js'
import { type FakeKernel, fakeKernel } from '../../support/fake-kernel.js'

const [CREATE, LOOKUP, UPDATE, DELETE, NEXT] = [0, 1, 2, 3, 4]
const [LOOKUP_BATCH, UPDATE_BATCH, DELETE_BATCH] = [24, 26, 27]
const EPERM = 1
const ENOENT = 2
const E2BIG = 7
const EFAULT = 14
const EINVAL = 22
const ENOSPC = 28
const ENOTSUPP = 524

const HASH: BpfMapShape = { name: 'ringtap_flows', type: 'hash', keyBytes: 8, valueBytes: 4, maxEntries: 100 }

interface MapModel {
  kernel: FakeKernel
  elements: Map<string, string>
  commands: number[]
}

/** A hash in JavaScript behind bpf(2). `batches` is the errno that batches answer, 0 where they work. */
function model(shape: BpfMapShape, batches = 0): MapModel {
  const kernel = fakeKernel()
  const memory = bpfMemory(kernel)
  const elements = new Map<string, string>()
  const commands: number[] = []
  const hex = (bytes: Uint8Array | undefined, from: number, length: number) => Buffer.from((bytes as Uint8Array).subarray(from, from + length)).toString('hex')
  const unhex = (into: Uint8Array | undefined, at: number, text: string) => into?.set(Buffer.from(text, 'hex'), at)
  kernel.answer('bpf', (command, attributes) => {
    commands.push(command)
    if (command === CREATE) return kernel.eventfd(0, 0)
    const view = new DataView(attributes.buffer)
    if (command >= LOOKUP_BATCH) {
      assert.equal(view.getInt32(BPF_ATTR_MAP_BATCH.map_fd, true), 7)
      if (batches !== 0) return -batches
      const count = view.getUint32(BPF_ATTR_MAP_BATCH.count, true)
      const keys = memory.at(attributes, BPF_ATTR_MAP_BATCH.keys)
      const values = memory.at(attributes, BPF_ATTR_MAP_BATCH.values)
      let done = 0
      let result = 0
      const place = memory.at(attributes, BPF_ATTR_MAP_BATCH.in_batch)
      const first = place === undefined ? 0 : place[0]
      const all = [...elements]
      for (; done < count && result === 0; done++) {
        const key = hex(keys, done * shape.keyBytes, shape.keyBytes)
        if (command === UPDATE_BATCH) elements.set(key, hex(values, done * shape.valueBytes, shape.valueBytes))
        else if (command === DELETE_BATCH) result = elements.delete(key) ? 0 : -ENOENT
        else if (first + done < all.length) {
          unhex(keys, done * shape.keyBytes, all[first + done][0])
          unhex(values, done * shape.valueBytes, all[first + done][1])
        } else result = -ENOENT
        if (result !== 0) break
      }
      view.setUint32(BPF_ATTR_MAP_BATCH.count, done, true)
      if (command === LOOKUP_BATCH && result === 0) unhex(memory.at(attributes, BPF_ATTR_MAP_BATCH.out_batch), 0, Buffer.of(first + done).toString('hex'))
      return result
    }
    assert.equal(view.getInt32(BPF_ATTR_MAP_ELEM.map_fd, true), 7)
    const key = memory.at(attributes, BPF_ATTR_MAP_ELEM.key)
    const value = memory.at(attributes, BPF_ATTR_MAP_ELEM.value)
    const name = key === undefined ? undefined : hex(key, 0, shape.keyBytes)
    if (command === UPDATE) elements.set(name as string, hex(value, 0, shape.valueBytes))
    else if (command === DELETE) return elements.delete(name as string) ? 0 : -ENOENT
    else if (command === LOOKUP) {
      const found = elements.get(name as string)
      if (found === undefined) return -ENOENT
      unhex(value, 0, found)
    } else {
      const all = [...elements.keys()]
      const next = all[name === undefined ? 0 : all.indexOf(name) + 1]
      if (next === undefined) return -ENOENT
      unhex(value, 0, next)
    }
    return 0
  })
  return { kernel, elements, commands }
}

const key8 = (n: number) => Uint8Array.of(n, 0, 0, 0, 0, 0, 0, n)
const value4 = (n: number) => Uint8Array.of(n, n, 0, 0)
const many = (count: number, of: (n: number) => Uint8Array) => Uint8Array.from(Array.from({ length: count }, (_, i) => [...of(i)]).flat())

describe('create', () => {
  test('what the kernel is given', () => {
    const kernel = fakeKernel()
    kernel.answer('bpf', (command, attributes) => {
      assert.equal(command, CREATE)
      const view = new DataView(attributes.buffer)
      const fields = ['map_type', 'key_size', 'value_size', 'max_entries', 'map_flags'] as const
      assert.deepEqual(
        fields.map((field) => view.getUint32(BPF_ATTR_MAP_CREATE[field], true)),
        [5, 8, 12, 64, 1],
      )
      assert.equal(Buffer.from(attributes.subarray(28, 44)).toString(), 'ringtap_counted\0')
      return 5
    })
    const map = BpfMap.create(kernel, { name: 'ringtap_counted_things', type: 'percpu_hash', keyBytes: 8, valueBytes: 12, maxEntries: 64, flags: 1 })
    assert.equal(map.fd, 5)
    assert.equal(map.stride, 16)
    assert.equal(map.valueSize, 16 * possibleCpus().length)
  })

  test('refused', () => {
    const kernel = fakeKernel()
    kernel.fail('bpf', EINVAL)
    assert.throws(() => BpfMap.create(kernel, { ...HASH, keyBytes: 0 }), {
      code: 'SYSTEM_CALL_FAILED',
      message: 'ringtap_flows: bpf(BPF_MAP_CREATE, hash, key 0, value 4, 100 entries): EINVAL (invalid argument)',
    })
    kernel.fail('bpf', EPERM)
    assert.throws(() => BpfMap.create(kernel, HASH), { code: 'PERMISSION', message: /CAP_BPF and CAP_NET_ADMIN/ })
    assert.deepEqual(kernel.openDescriptors, [])
  })

  test('closed once; a map that is someone else’s is not closed', () => {
    const kernel = fakeKernel()
    const map = BpfMap.create(kernel, HASH)
    const borrowed = BpfMap.over(kernel, map.fd, HASH)
    borrowed.close()
    assert.deepEqual(kernel.openDescriptors, [map.fd])
    assert.equal(borrowed.fd, -1)
    map.close()
    map.close()
    assert.deepEqual(kernel.openDescriptors, [])
    assert.equal(kernel.names().filter((name) => name === 'close').length, 1)
  })

  test('after close the number is not used again', () => {
    const { kernel } = model(HASH)
    const map = BpfMap.over(kernel, 7, HASH)
    map.close()
    kernel.answer('bpf', (command, attributes) => {
      assert.equal(new DataView(attributes.buffer).getInt32(command >= LOOKUP_BATCH ? BPF_ATTR_MAP_BATCH.map_fd : 0, true), -1)
      return -9
    })
    assert.throws(() => map.lookup(key8(1), new Uint8Array(4)), { errnoName: 'EBADF' })
    assert.throws(() => map.nextKey(undefined, new Uint8Array(8)), { errnoName: 'EBADF' })
    assert.throws(() => map.deleteBatch(new Uint8Array(8), 1), { errnoName: 'EBADF' })
  })
})

describe('elements', () => {
  test('update, lookup, next, delete', () => {
    const { kernel, elements } = model(HASH)
    const map = BpfMap.over(kernel, 7, HASH)
    const into = new Uint8Array(6)
    assert.equal(map.lookup(key8(1), into), false)
    map.update(key8(1), value4(9))
    map.update(key8(2), 0x04030201)
    assert.equal(map.lookup(key8(1), into), true)
    assert.deepEqual([...into], [9, 9, 0, 0, 0, 0])
    assert.equal(elements.get('0200000000000002'), '01020304')
    const key = new Uint8Array(8)
    assert.equal(map.nextKey(undefined, key), true)
    assert.deepEqual(key, key8(1))
    assert.equal(map.nextKey(key, key), true)
    assert.equal(map.nextKey(key, key), false)
    assert.equal(map.delete(key8(1)), true)
    assert.equal(map.delete(key8(1)), false)
  })

  test('sizes that are wrong', () => {
    const { kernel, commands } = model(HASH)
    const map = BpfMap.over(kernel, 7, HASH)
    assert.throws(() => map.lookup(1, new Uint8Array(4)), { name: 'RangeError', message: 'map ringtap_flows: a key of 4 bytes, expected 8' })
    assert.throws(() => map.lookup(new Uint8Array(9), new Uint8Array(4)), RangeError)
    assert.throws(() => map.lookup(key8(1), new Uint8Array(3)), { name: 'RangeError', message: /room for 3 bytes, a value has 4/ })
    assert.throws(() => map.update(key8(1), new Uint8Array(5)), { name: 'RangeError', message: /a value of 5 bytes, expected 4/ })
    assert.throws(() => map.updateBatch(new Uint8Array(8), new Uint8Array(8), 2), { name: 'RangeError', message: /8 bytes for 2 elements of 8/ })
    assert.throws(() => map.lookupBatch(map.cursor(), new Uint8Array(7), new Uint8Array(100)), { name: 'RangeError', message: /room for no element/ })
    assert.deepEqual(commands, [])
  })

  test('other errors are thrown with the map’s name', () => {
    const { kernel } = model(HASH)
    const map = BpfMap.over(kernel, 7, HASH)
    const into = new Uint8Array(8)
    for (const [run, call] of [
      [() => map.lookup(key8(1), into), 'BPF_MAP_LOOKUP_ELEM'],
      [() => map.update(key8(1), 1), 'BPF_MAP_UPDATE_ELEM'],
      [() => map.delete(key8(1)), 'BPF_MAP_DELETE_ELEM'],
      [() => map.nextKey(undefined, into), 'BPF_MAP_GET_NEXT_KEY'],
    ] as const) {
      kernel.fail('bpf', EFAULT)
      assert.throws(run, { code: 'SYSTEM_CALL_FAILED', message: `map ringtap_flows: bpf(${call}): EFAULT (bad address in system call argument)` })
    }
    kernel.fail('bpf', E2BIG)
    assert.throws(() => map.update(key8(1), 1), { hint: 'the map has room for 100 elements' })
  })
})

describe('batches', () => {
  for (const [batches, what] of [
    [0, 'of the kernel'],
    [EINVAL, 'on a kernel without them'],
    [ENOTSUPP, 'of a type without them'],
  ] as const) {
    test(`${what}: written, read in pieces, deleted`, () => {
      const { kernel, elements, commands } = model(HASH, batches)
      const map = BpfMap.over(kernel, 7, HASH)
      map.updateBatch(many(10, key8), many(10, value4), 10)
      assert.equal(elements.size, 10)
      const cursor = map.cursor()
      const seen: number[] = []
      const keys = new Uint8Array(8 * 4)
      const values = new Uint8Array(4 * 100)
      for (let round = 0; !cursor.done; round++) {
        assert.ok(round < 10)
        const count = map.lookupBatch(cursor, keys, values)
        for (let i = 0; i < count; i++) {
          assert.deepEqual([...values.subarray(i * 4, i * 4 + 4)], [...value4(keys[i * 8])])
          seen.push(keys[i * 8])
        }
      }
      assert.deepEqual(seen, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
      assert.equal(map.lookupBatch(cursor, keys, values), 0)
      cursor.rewind()
      assert.equal(map.lookupBatch(cursor, keys, values), 4)
      // 3 and 20 are not there, once in the middle and once at the end.
      assert.equal(map.delete(key8(3)), true)
      const doomed = Uint8Array.from([...many(6, key8), ...key8(20)])
      assert.equal(map.deleteBatch(doomed, 7), 5)
      assert.deepEqual(
        [...elements.keys()].map((key) => Number.parseInt(key.slice(0, 2), 16)),
        [6, 7, 8, 9],
      )
      assert.equal(commands.includes(LOOKUP), batches !== 0)
      assert.equal(commands.includes(NEXT), batches !== 0)
    })
  }

  test('a batch of one CPU’s values is as long as all CPUs’', () => {
    const shape: BpfMapShape = { ...HASH, type: 'percpu_hash' }
    const { kernel } = model(shape)
    const map = BpfMap.over(kernel, 7, shape)
    assert.equal(map.valueSize, 8 * possibleCpus().length)
    kernel.answer('bpf', (_command, attributes) => {
      assert.equal(new DataView(attributes.buffer).getUint32(BPF_ATTR_MAP_BATCH.count, true), 3)
      return -ENOENT
    })
    map.lookupBatch(map.cursor(), new Uint8Array(8 * 100), new Uint8Array(map.valueSize * 3 + 1))
  })

  test('errors in the middle', () => {
    const { kernel } = model(HASH)
    const map = BpfMap.over(kernel, 7, HASH)
    const halfWay = (errno: number) =>
      kernel.answer('bpf', (_command, attributes) => {
        new DataView(attributes.buffer).setUint32(BPF_ATTR_MAP_BATCH.count, 2, true)
        return -errno
      })
    halfWay(E2BIG)
    assert.throws(() => map.updateBatch(many(4, key8), many(4, value4), 4), { message: /BPF_MAP_UPDATE_BATCH, 2 of 4 done\): E2BIG/, hint: /room for 100/ })
    halfWay(EFAULT)
    assert.throws(() => map.deleteBatch(many(4, key8), 4), { message: /BPF_MAP_DELETE_BATCH, 2 of 4 done\): EFAULT/ })
    halfWay(ENOSPC)
    assert.throws(() => map.lookupBatch(map.cursor(), new Uint8Array(8), new Uint8Array(4)), { errnoName: 'ENOSPC', hint: 'offer room for more elements' })
    assert.throws(() => map.lookupBatch({ done: false, rewind() {} }, new Uint8Array(8), new Uint8Array(4)), TypeError)
  })

  test('what a batch has done before EINVAL is not done again', () => {
    const { kernel, elements } = model(HASH)
    const map = BpfMap.over(kernel, 7, HASH)
    const commands: number[] = []
    kernel.answer('bpf', (command, attributes) => {
      commands.push(command)
      if (command >= LOOKUP_BATCH) new DataView(attributes.buffer).setUint32(BPF_ATTR_MAP_BATCH.count, 2, true)
      return command >= LOOKUP_BATCH ? -EINVAL : 0
    })
    map.updateBatch(many(4, key8), many(4, value4), 4)
    assert.deepEqual(commands.splice(0), [UPDATE_BATCH, UPDATE, UPDATE])
    assert.equal(map.deleteBatch(many(4, key8), 4), 4)
    assert.deepEqual(commands.splice(0), [DELETE_BATCH, DELETE, DELETE])
    assert.equal(elements.size, 0)
    map.updateBatch(new Uint8Array(0), new Uint8Array(0), 0)
    assert.equal(map.deleteBatch(new Uint8Array(0), 0), 0)
    assert.deepEqual(commands, [])
  })
})

test('a cell is the one value of an array', () => {
  const shape: BpfMapShape = { name: 'cell', type: 'array', keyBytes: 4, valueBytes: 16, maxEntries: 1 }
  const { kernel, elements } = model(shape)
  const cell = new BpfCell(kernel, 7, 2)
  cell.words.set([1n, 2n])
  cell.write()
  assert.equal(elements.get('00000000'), '01000000000000000200000000000000')
  const other = new BpfCell(kernel, 7, 2)
  other.read()
  assert.deepEqual([...other.words], [1n, 2n])
})
