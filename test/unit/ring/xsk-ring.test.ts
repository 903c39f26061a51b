import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { XDP_DESC } from '#src/kernel/abi/if_xdp.js'
import { XskConsumer, XskProducer, xskRingBytes } from '#src/ring/xsk-ring.js'
import { seededRandom } from '../../support/random.js'
import { ADDRESS_BYTES, KernelXsk, kernelLayout, RingMemory } from '../../support/xsk-memory.js'

const ENTRIES = 8

/** Where indices may stand: at 0, before they become negative as signed numbers, and before they begin again. */
const STARTS = [
  ['0', 0],
  ['2^31 - 3', 2 ** 31 - 3],
  ['2^32 - 5', 2 ** 32 - 5],
] as const

function consumerOf(kernel: RingMemory): XskConsumer {
  return new XskConsumer(kernel.memory, kernel.layout, ADDRESS_BYTES)
}

function producerOf(kernel: RingMemory): XskProducer {
  return new XskProducer(kernel.memory, kernel.layout, ADDRESS_BYTES)
}

/** Puts numbers in as the kernel does. */
function produce(kernel: RingMemory, ...numbers: number[]): void {
  for (const number of numbers) {
    kernel.writeAddress(kernel.producer, number)
    kernel.producer = kernel.producer + 1
  }
}

/** Takes the next `count` as the kernel does. */
function consume(kernel: RingMemory, count: number): number[] {
  const numbers = Array.from({ length: count }, (_, i) => Number(kernel.address((kernel.consumer + i) >>> 0)))
  kernel.consumer = kernel.consumer + count
  return numbers
}

/** The next `count` without releasing them. */
function entriesOf(ring: XskConsumer, count: number): number[] {
  return Array.from({ length: count }, (_, i) => ring.words[((ring.index + i) & ring.mask) * 2] as number)
}

function put(ring: XskProducer, ...numbers: number[]): void {
  numbers.forEach((number, i) => {
    ring.words[((ring.index + i) & ring.mask) * 2] = number
    ring.words[((ring.index + i) & ring.mask) * 2 + 1] = 0
  })
  ring.submit(numbers.length)
}

test('a ring takes its offsets and its entries, and no byte more', () => {
  assert.equal(xskRingBytes(kernelLayout(8), XDP_DESC.sizeof), 320 + 128)
  const layout = { entries: 4, producer: 8, consumer: 16, flags: 24, desc: 32 }
  const memory = new ArrayBuffer(xskRingBytes(layout, XDP_DESC.sizeof))
  const words = new Uint32Array(memory)
  words.fill(0xa5a5a5a5)
  words[2] = 6
  words[4] = 5
  words[6] = 0xfffffffe
  const ring = new XskConsumer(memory, layout, XDP_DESC.sizeof)
  assert.equal(ring.words.length, 16)
  assert.equal(ring.words.byteOffset, 32)
  assert.equal(ring.peek(4), 1)
  assert.equal(ring.needsWakeup(), false, 'only its own bit')
  ring.release(1)
  assert.deepEqual([...words.subarray(0, 8)], [0xa5a5a5a5, 0xa5a5a5a5, 6, 0xa5a5a5a5, 6, 0xa5a5a5a5, 0xfffffffe, 0xa5a5a5a5])
})

for (const [name, first] of STARTS) {
  describe(`indices from ${name}`, () => {
    test('consumer: empty, partly filled, full; what was peeked stays until released', () => {
      const kernel = new RingMemory(ENTRIES, ADDRESS_BYTES, first)
      const ring = consumerOf(kernel)
      assert.equal(ring.peek(1), 0)
      assert.equal(ring.peek(ENTRIES), 0)
      produce(kernel, 10, 11, 12)
      assert.equal(ring.peek(2), 2)
      assert.equal(ring.peek(ENTRIES), 3)
      assert.deepEqual(entriesOf(ring, 3), [10, 11, 12])
      assert.equal(kernel.used, 3, 'nothing is released by looking')
      ring.release(2)
      assert.equal(kernel.used, 1)
      produce(kernel, 13, 14, 15, 16, 17, 18, 19)
      assert.equal(ring.peek(100), ENTRIES)
      assert.deepEqual(entriesOf(ring, ENTRIES), [12, 13, 14, 15, 16, 17, 18, 19])
      ring.release(ENTRIES)
      assert.equal(ring.peek(1), 0)
      assert.equal(kernel.used, 0)
      assert.equal(kernel.consumer, (first + 10) % 2 ** 32)
    })

    test('producer: full, partly free, free; what was written is the kernel’s when submitted', () => {
      const kernel = new RingMemory(ENTRIES, ADDRESS_BYTES, first)
      const ring = producerOf(kernel)
      assert.equal(ring.reserve(3), 3)
      assert.equal(ring.reserve(100), ENTRIES)
      ring.words[(ring.index & ring.mask) * 2] = 20
      assert.equal(kernel.used, 0, 'nothing is submitted by writing')
      put(ring, 20, 21, 22, 23, 24)
      assert.equal(kernel.used, 5)
      assert.equal(ring.reserve(100), 3)
      put(ring, 25, 26, 27)
      assert.equal(ring.reserve(1), 0)
      assert.deepEqual(consume(kernel, 2), [20, 21])
      assert.equal(ring.reserve(100), 2)
      put(ring, 28, 29)
      assert.equal(ring.reserve(1), 0)
      assert.deepEqual(consume(kernel, ENTRIES), [22, 23, 24, 25, 26, 27, 28, 29])
      assert.equal(ring.reserve(100), ENTRIES)
      assert.equal(kernel.producer, (first + 10) % 2 ** 32)
    })

    test('another that takes over goes on where the first one stopped', () => {
      const rx = new RingMemory(ENTRIES, ADDRESS_BYTES, first)
      const consumer = consumerOf(rx)
      produce(rx, 1, 2, 3, 4, 5, 6)
      consumer.peek(6)
      consumer.release(4)
      const heir = consumerOf(rx)
      assert.equal(heir.peek(100), 2)
      assert.deepEqual(entriesOf(heir, 2), [5, 6])

      const fill = new RingMemory(ENTRIES, ADDRESS_BYTES, first)
      put(producerOf(fill), 1, 2, 3, 4, 5, 6)
      consume(fill, 1)
      const next = producerOf(fill)
      assert.equal(next.reserve(100), 3)
      put(next, 7, 8, 9)
      assert.deepEqual(consume(fill, 8), [2, 3, 4, 5, 6, 7, 8, 9])
    })

    test('TX and COMPLETION: what is sent comes back once', () => {
      const geometry = { chunkBytes: 2048, chunkCount: 4, multiBuffer: false }
      const kernel = new KernelXsk({ geometry, firstIndex: first })
      const tx = new XskProducer(kernel.tx.memory, kernel.tx.layout, XDP_DESC.sizeof)
      const completion = consumerOf(kernel.completion)
      const bytes = new Uint8Array(kernel.umem)
      let number = 0
      for (let round = 0; round < 5; round++) {
        const free = tx.reserve(100)
        assert.equal(free, geometry.chunkCount)
        for (let i = 0; i < free; i++) {
          const chunk = i * geometry.chunkBytes
          bytes.fill(++number, chunk, chunk + 60)
          tx.words.set([chunk, 0, 60, 0], ((tx.index + i) & tx.mask) * 4)
        }
        tx.submit(free)
        assert.equal(tx.reserve(1), 0)
        const sent = [...kernel.transmit(1), ...kernel.transmit()]
        assert.deepEqual(
          sent.map((packet) => [packet.length, packet[0], packet[59]]),
          [3, 2, 1, 0].map((i) => [60, number - i, number - i]),
        )
        assert.deepEqual(kernel.transmit(), [])
        assert.equal(completion.peek(100), free)
        assert.deepEqual(entriesOf(completion, free), [0, 2048, 4096, 6144])
        completion.release(free)
      }
      assert.equal(completion.peek(1), 0)
    })
  })
}

test('the shared index is looked at only when too few are known of', () => {
  const rx = new RingMemory(ENTRIES, ADDRESS_BYTES)
  const consumer = consumerOf(rx)
  produce(rx, 1, 2, 3)
  consumer.peek(1)
  // No kernel takes anything back: this shows whether the word was read.
  rx.producer = 0
  assert.equal(consumer.peek(3), 3)
  rx.producer = 5
  assert.equal(consumer.peek(4), 4)

  const fill = new RingMemory(ENTRIES, ADDRESS_BYTES)
  const producer = producerOf(fill)
  producer.submit(6)
  fill.consumer = 4
  assert.equal(producer.reserve(2), 2)
  assert.equal(producer.reserve(3), 3)
  fill.consumer = 0
  assert.equal(producer.reserve(6), 6)
  assert.equal(producer.reserve(7), 2)
})

test('NEED_WAKEUP comes and goes with the kernel', () => {
  const kernel = new RingMemory(ENTRIES, ADDRESS_BYTES)
  const ring = producerOf(kernel)
  assert.equal(ring.needsWakeup(), false)
  kernel.needWakeup = true
  assert.equal(ring.needsWakeup(), true)
  kernel.needWakeup = false
  assert.equal(ring.needsWakeup(), false)
})

test('random batches: every entry once and in order, over 2^31 and 2^32', (t) => {
  const random = seededRandom(t)
  for (let run = 0; run < 40; run++) {
    const entries = random.pick([1, 2, 4, 64, 256])
    const first = (random.pick([0, 2 ** 31, 2 ** 32]) - random.between(0, 300) + 2 ** 32) % 2 ** 32
    const rx = new RingMemory(entries, ADDRESS_BYTES, first)
    const fill = new RingMemory(entries, ADDRESS_BYTES, first)
    let consumer = consumerOf(rx)
    let producer = producerOf(fill)
    const [produced, seen, submitted, taken]: number[][] = [[], [], [], []]
    for (let step = 0; step < 400; step++) {
      const wanted = random.between(0, entries + 2)
      switch (random.between(0, 4)) {
        case 0: {
          const room = Math.min(wanted, entries - rx.used)
          for (let i = 0; i < room; i++) {
            produce(rx, produced.length)
            produced.push(produced.length)
          }
          break
        }
        case 1: {
          const ready = consumer.peek(wanted)
          assert.equal(ready, Math.min(wanted, rx.used))
          const released = random.between(0, ready)
          seen.push(...entriesOf(consumer, released))
          consumer.release(released)
          break
        }
        case 2: {
          const free = producer.reserve(wanted)
          assert.equal(free, Math.min(wanted, entries - fill.used))
          const written = Array.from({ length: random.between(0, free) }, (_, i) => submitted.length + i)
          put(producer, ...written)
          submitted.push(...written)
          break
        }
        case 3:
          taken.push(...consume(fill, Math.min(wanted, fill.used)))
          break
        default:
          if (!random.oneIn(10)) break
          consumer = consumerOf(rx)
          producer = producerOf(fill)
      }
    }
    seen.push(...entriesOf(consumer, consumer.peek(entries)))
    taken.push(...consume(fill, fill.used))
    assert.deepEqual(seen, produced, `run ${run}`)
    assert.deepEqual(taken, submitted, `run ${run}`)
    assert.ok(produced.length > 0 && submitted.length > 0)
  }
})
