/** The queue of `packets()`: the handler that writes it against the reader that empties it, in one thread and in two. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { QueueReader } from '#src/capture/packets.js'
import type { HandlerContext } from '#src/handler.js'
import { createPacketQueue, PACKET_QUEUE, type PacketQueueMemory, RECORD } from '#src/handlers/packet-queue.js'
import handler, { type PacketsHandlerData } from '#src/handlers/packets.js'
import type { Block } from '#src/packet/block.js'
import { BlockPacketView } from '#src/packet/view.js'
import { Tpacket3Ring } from '#src/ring/tpacket3.js'
import { seededRandom } from '../../support/random.js'
import { type FabricatedPacket, KernelRing } from '../../support/ring-memory.js'

interface Writer {
  give(packet: FabricatedPacket): void
  close(): void
  /** Sum of what was counted as dropped. */
  readonly dropped: number
  readonly bell: Int32Array
}

function writerOf(queue: PacketQueueMemory, whenFull: 'drop' | 'wait' = 'drop'): Writer {
  let dropped = 0
  const bell = new SharedArrayBuffer(8)
  const data: PacketsHandlerData = { queues: [queue], bell, whenFull }
  const context: HandlerContext = {
    workerIndex: 0,
    workerCount: 1,
    interfaceName: 'eth0',
    interfaceIndex: 2,
    data,
    countDrops(packets, reason) {
      assert.equal(reason, 'consumer')
      dropped += packets
    },
  }
  const state = handler.open(context)
  const view = new BlockPacketView()
  return {
    give(packet) {
      const kernel = new KernelRing({ blockBytes: 2 * 2 ** 20, blockCount: 2 })
      kernel.receive(packet)
      kernel.retire()
      const block = new Tpacket3Ring(kernel.memory, kernel.geometry).peek() as Block
      view.enter(block)
      view.header = block.firstOffset
      handler.packet(view, state)
    },
    close: () => handler.close(state),
    get dropped() {
      return dropped
    },
    bell: new Int32Array(bell),
  }
}

/** A frame of `length` bytes that carries a number. */
function numbered(number: number, length = 60): FabricatedPacket {
  const bytes = Uint8Array.from({ length }, (_, i) => (number + i) & 0xff)
  new DataView(bytes.buffer).setUint32(0, number)
  return { bytes }
}

function numberOf(bytes: Uint8Array<ArrayBuffer>): number {
  return new DataView(bytes.buffer).getUint32(0)
}

/** A queue whose positions begin here, as after that many bytes. */
function queueAt(position: number, sizeBytes = 4096): PacketQueueMemory {
  const queue = createPacketQueue(sizeBytes)
  const words = new Int32Array(queue.memory)
  words[PACKET_QUEUE.head] = position | 0
  words[PACKET_QUEUE.tail] = position | 0
  return queue
}

test('a queue is a power of two, at least as large as asked', () => {
  for (const [asked, got] of [
    [1, 1],
    [4096, 4096],
    [4097, 8192],
    [16 * 2 ** 20, 16 * 2 ** 20],
  ]) {
    const { memory, sizeBytes } = createPacketQueue(asked)
    assert.equal(sizeBytes, got)
    assert.equal(memory.byteLength, PACKET_QUEUE.data + got)
  }
})

test('everything of a packet comes through', () => {
  const queue = createPacketQueue(4096)
  const reader = new QueueReader(queue)
  const writer = writerOf(queue)
  assert.equal(reader.take(), undefined)
  const bytes = numbered(1, 60).bytes
  writer.give({ bytes, wireLength: 1514, seconds: 0xffff_ffff, nanoseconds: 999_999_999, packetType: 4, interfaceIndex: 77 })
  assert.ok(reader.hasSome())
  assert.deepEqual(reader.take(), {
    bytes,
    wireLength: 1514,
    seconds: 0xffff_ffff,
    nanoseconds: 999_999_999,
    packetType: 4,
    interfaceIndex: 77,
    vlanId: -1,
    droppedBefore: 0,
  })
  assert.equal(reader.take(), undefined)
  assert.ok(!reader.hasSome())
})

test('a tag is in the bytes and in both lengths', () => {
  const queue = createPacketQueue(4096)
  const reader = new QueueReader(queue)
  const bytes = numbered(1, 60).bytes
  writerOf(queue).give({ bytes, wireLength: 1000, vlan: { tci: 0x2005, tpid: 0x88a8 } })
  const packet = reader.take()
  assert.deepEqual([packet?.vlanId, packet?.wireLength, packet?.bytes.length], [5, 1004, 64])
  assert.deepEqual([...(packet?.bytes.subarray(12, 16) ?? [])], [0x88, 0xa8, 0x20, 5])
})

test('full: given up, counted at its place, and the queue goes on', () => {
  const queue = createPacketQueue(1024)
  const reader = new QueueReader(queue)
  const writer = writerOf(queue)
  for (let i = 0; i < 100; i++) writer.give(numbered(i))
  const first: number[] = []
  for (let packet = reader.take(); packet !== undefined; packet = reader.take()) {
    assert.equal(packet.droppedBefore, 0)
    first.push(numberOf(packet.bytes))
  }
  assert.deepEqual(
    first,
    Array.from({ length: first.length }, (_, i) => i),
  )
  assert.equal(first.length + writer.dropped, 100)
  assert.ok(first.length >= Math.floor(1024 / (RECORD.sizeof + 68)) - 1)
  writer.give(numbered(100))
  writer.give(numbered(101))
  assert.deepEqual(
    [reader.take(), reader.take()].map((packet) => packet?.droppedBefore),
    [100 - first.length, 0],
  )
})

test('a packet larger than the queue is given up at once, also by one that waits', () => {
  for (const whenFull of ['drop', 'wait'] as const) {
    const queue = createPacketQueue(1024)
    const reader = new QueueReader(queue)
    const writer = writerOf(queue, whenFull)
    writer.give(numbered(1, 1500))
    assert.equal(writer.dropped, 1)
    writer.give(numbered(2))
    assert.equal(reader.take()?.droppedBefore, 1)
  }
})

test('every length is taken through every place, across the end of the area', () => {
  for (let length = 4; length < 90; length++) {
    const queue = createPacketQueue(512)
    const reader = new QueueReader(queue)
    const writer = writerOf(queue)
    for (let i = 0; i < 40; i++) {
      const packet = numbered(i, length)
      writer.give(packet)
      assert.deepEqual(reader.take()?.bytes, packet.bytes, `length ${length}, packet ${i}`)
    }
    assert.equal(writer.dropped, 0)
  }
})

test('what is left is counted, and taken away', () => {
  const queue = createPacketQueue(1024)
  const reader = new QueueReader(queue)
  const writer = writerOf(queue)
  // Wrapped on purpose: a gap must not count.
  for (let i = 0; i < 6; i++) {
    writer.give(numbered(i, 100))
    reader.take()
  }
  for (let i = 0; i < 5; i++) writer.give(numbered(i, 100))
  assert.equal(writer.dropped, 0)
  assert.equal(reader.countLeft(), 5)
  assert.equal(reader.countLeft(), 0)
  assert.ok(!reader.hasSome())
})

test('who waits and finds the queue closed does not wait', () => {
  const queue = createPacketQueue(1024)
  const reader = new QueueReader(queue)
  const writer = writerOf(queue, 'wait')
  reader.close()
  const before = performance.now()
  for (let i = 0; i < 50; i++) writer.give(numbered(i))
  assert.ok(performance.now() - before < 1000)
  assert.equal(reader.countLeft() + writer.dropped, 50)
})

test('the bell rings once for a sleeper, and at the end', () => {
  const queue = createPacketQueue(4096)
  const writer = writerOf(queue)
  writer.give(numbered(1))
  assert.deepEqual([...writer.bell], [0, 0], 'nobody sleeps')
  writer.bell[1] = 1
  writer.give(numbered(2))
  writer.give(numbered(3))
  assert.deepEqual([...writer.bell], [1, 0])
  writer.close()
  assert.deepEqual([...writer.bell], [2, 0])
})

describe('positions', () => {
  for (const start of [2 ** 31 - 2048, 2 ** 32 - 4096, 2 ** 32 - 64, 2 ** 32 - 8]) {
    test(`that pass ${start >= 2 ** 31 ? '2^32' : '2^31'}, from ${start}`, (t) => {
      const random = seededRandom(t)
      const queue = queueAt(start)
      const reader = new QueueReader(queue)
      const writer = writerOf(queue)
      assert.equal(reader.take(), undefined)
      let given = 0
      let taken = 0
      while (given < 400) {
        for (let i = random.between(0, 8); i > 0; i--) writer.give(numbered(given++, random.between(4, 300)))
        assert.equal(writer.dropped, 0)
        while (taken < given) {
          const packet = reader.take()
          assert.ok(packet, `packet ${taken}`)
          assert.equal(numberOf(packet.bytes), taken++)
        }
        assert.equal(reader.take(), undefined)
      }
    })
  }

  test('a full queue across 2^32', () => {
    const queue = queueAt(2 ** 32 - 512, 1024)
    const reader = new QueueReader(queue)
    const writer = writerOf(queue)
    for (let i = 0; i < 30; i++) writer.give(numbered(i))
    let taken = 0
    for (let packet = reader.take(); packet !== undefined; packet = reader.take()) assert.equal(numberOf(packet.bytes), taken++)
    assert.equal(taken + writer.dropped, 30)
    assert.ok(taken >= 7, `${taken}`)
  })
})

test('random: each packet is taken or dropped, drops stand before the packet that follows them', (t) => {
  const random = seededRandom(t)
  for (let run = 0; run < 20; run++) {
    const queue = queueAt(random.oneIn(2) ? 0 : (2 ** 32 - random.between(1, 2000) * 8) >>> 0, random.pick([512, 1024, 4096]))
    const reader = new QueueReader(queue)
    const writer = writerOf(queue)
    let given = 0
    let expected = 0
    let told = 0
    for (let step = 0; step < 200; step++) {
      if (random.oneIn(2)) writer.give(numbered(given++, random.between(4, 700)))
      for (let i = random.between(0, 1); i > 0; i--) {
        const packet = reader.take()
        if (packet === undefined) break
        expected += packet.droppedBefore
        told += packet.droppedBefore
        assert.equal(numberOf(packet.bytes), expected++, `run ${run}`)
      }
    }
    for (let packet = reader.take(); packet !== undefined; packet = reader.take()) {
      expected += packet.droppedBefore
      told += packet.droppedBefore
      assert.equal(numberOf(packet.bytes), expected++)
    }
    assert.equal(expected + (writer.dropped - told), given)
  }
})

for (const whenFull of ['drop', 'wait'] as const) {
  test(`two threads, a small queue, ${whenFull}`, async (t) => {
    const queue = createPacketQueue(4096)
    const reader = new QueueReader(queue)
    const bell = new SharedArrayBuffer(8)
    const count = 20_000
    const thread = new Worker(new URL('./packets-writer.js', import.meta.url), {
      workerData: { data: { queues: [queue], bell, whenFull } satisfies PacketsHandlerData, count },
    })
    let dropped: number | undefined
    thread.once('message', (message: number) => {
      dropped = message
    })
    const exited = once(thread, 'exit')
    let expected = 0
    let told = 0
    for (;;) {
      const over = dropped !== undefined
      for (let packet = reader.take(); packet !== undefined; packet = reader.take()) {
        expected += packet.droppedBefore
        told += packet.droppedBefore
        const number = expected++
        assert.equal(numberOf(packet.bytes), number)
        assert.equal(packet.bytes.length, 60 + (number % 200))
        assert.equal(packet.bytes.at(-1), (number + 59 + (number % 200)) & 0xff)
      }
      if (over) break
      await new Promise((resolve) => setImmediate(resolve))
    }
    await exited
    t.diagnostic(`${dropped} of ${count} dropped`)
    if (whenFull === 'wait') assert.equal(dropped, 0)
    assert.equal(expected + ((dropped as number) - told), count)
  })
}
