import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { COUNTER, CounterWriter, countersMemory, readCounters } from '#src/capture/counters.js'

/** All but the one that is published by itself. */
const INDICES = Object.values(COUNTER).filter((index) => index !== COUNTER.handlerSinceMs)

function read(memory: SharedArrayBuffer, worker: number): number[] {
  const values = readCounters(memory, worker)
  return INDICES.map((index) => values[index])
}

test('nothing is seen before it is published, then everything', () => {
  const memory = countersMemory(1)
  const writer = new CounterWriter(memory, 0)
  for (const index of INDICES) writer.values[index] = index + 1
  assert.ok(read(memory, 0).every((value) => value === 0))
  writer.publish()
  for (const index of INDICES) assert.equal(readCounters(memory, 0)[index], index + 1)
})

test('exact to 2^53', () => {
  const memory = countersMemory(1)
  const writer = new CounterWriter(memory, 0)
  for (const value of [0, 1, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 1, 2 ** 40 + 12345, Number.MAX_SAFE_INTEGER]) {
    writer.values.fill(value)
    writer.publish()
    assert.ok(
      read(memory, 0).every((it) => it === value),
      `${value}`,
    )
  }
})

test('a fraction, as of microseconds, is floored', () => {
  const memory = countersMemory(1)
  const writer = new CounterWriter(memory, 0)
  writer.values[COUNTER.handlerMaxUs] = 1234.9
  writer.publish()
  assert.equal(readCounters(memory, 0)[COUNTER.handlerMaxUs], 1234)
})

test('workers do not touch each other, and no two share a cache line', () => {
  const memory = countersMemory(3)
  const writers = [0, 1, 2].map((worker) => new CounterWriter(memory, worker))
  writers.forEach((writer, index) => {
    writer.values.fill(index + 1)
    writer.publish()
  })
  for (const worker of [0, 1, 2]) assert.ok(read(memory, worker).every((value) => value === worker + 1))
  assert.equal(memory.byteLength % (3 * 64), 0)
})

test('the time of the handler is seen alone, the rest is not', () => {
  const memory = countersMemory(1)
  const writer = new CounterWriter(memory, 0)
  writer.values[COUNTER.packets] = 99
  for (const ago of [0, 1, 1000, 40 * 24 * 3600 * 1000]) {
    const since = Date.now() - ago
    writer.publishHandlerSince(since)
    const seen = readCounters(memory, 0)
    assert.deepEqual([seen[COUNTER.handlerSinceMs], seen[COUNTER.packets]], [since, 0])
  }
  writer.publishHandlerSince(0)
  assert.equal(readCounters(memory, 0)[COUNTER.handlerSinceMs], 0)
  writer.values[COUNTER.handlerSinceMs] = Date.now()
  writer.publish()
  writer.values[COUNTER.handlerSinceMs] = 0
  writer.publish()
  assert.equal(readCounters(memory, 0)[COUNTER.handlerSinceMs], 0)
})

test('who takes a place over counts on', () => {
  const memory = countersMemory(2)
  const first = new CounterWriter(memory, 1)
  first.values[COUNTER.packets] = 2 ** 33
  first.publish()
  const second = new CounterWriter(memory, 1)
  assert.equal(second.values[COUNTER.packets], 2 ** 33)
  second.values[COUNTER.packets] += 1
  second.publish()
  assert.equal(readCounters(memory, 1)[COUNTER.packets], 2 ** 33 + 1)
})

test('a worker that died while it published leaves its last whole set, and its heir goes on from there', () => {
  const memory = countersMemory(1)
  const first = new CounterWriter(memory, 0)
  for (let published = 1; published <= 2; published++) {
    first.values.fill(published)
    first.publish()
    // Half of the next set: whichever words it would have been, they are not those that are read.
    const words = new Int32Array(memory)
    const before = words.slice()
    first.values.fill(77)
    first.publish()
    const dead = words.map((word, index) => (index === 0 ? before[0] : index % 3 === 0 ? word : before[index]))
    words.set(dead)
    first.values.fill(published)
    assert.deepEqual([...new Set(read(memory, 0))], [published])
    const heir = new CounterWriter(memory, 0)
    assert.equal(heir.values[COUNTER.packets], published)
    heir.values.fill(published + 10)
    heir.publish()
    assert.deepEqual([...new Set(read(memory, 0))], [published + 10])
    words.set(before)
  }
})

for (const pauseEvery of [1e9, 50]) {
  test(`a reader sees consistent sets only, of a writer ${pauseEvery === 50 ? 'with pauses' : 'without a pause'}`, async (t) => {
    const memory = countersMemory(2)
    const stop = new SharedArrayBuffer(4)
    const thread = new Worker(new URL('./counters-writer.js', import.meta.url), { workerData: { memory, worker: 1, stop, pauseEvery } })
    // From the beginning: it may have gone before we ask.
    const said = once(thread, 'message')
    const gone = once(thread, 'exit')
    await once(thread, 'online')
    const end = performance.now() + 700
    let reads = 0
    let last = 0
    const distinct = new Set<number>()
    const set = new Float64Array(Object.keys(COUNTER).length)
    while (performance.now() < end) {
      readCounters(memory, 1, set)
      reads++
      const step = set[0]
      assert.ok(step >= last, 'never backwards')
      last = step
      distinct.add(step)
      for (const index of INDICES) assert.equal(set[index], step * (index + 1), `counter ${index} of read ${reads}`)
    }
    Atomics.store(new Int32Array(stop), 0, 1)
    Atomics.notify(new Int32Array(stop), 0)
    const [steps] = await said
    await gone
    t.diagnostic(`${reads} reads, ${distinct.size} different, of ${steps} sets`)
    assert.ok(distinct.size > 10)
    assert.equal(readCounters(memory, 1)[0], steps * 1_000_003)
  })
}
