/** Records of several threads merged: in order as long as memory allows, each of them once, whatever the disk does. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { abandonThread, createOrderMemory, EMPTIED, FILLED, HEAD_WORDS, lateRecords, THREAD_WORDS } from '#src/file/order-memory.js'
import { ScriptRecords } from '#src/file/record.js'
import type { RecordFormat } from '#src/file/record-layout.js'
import { orderSegmentBytes, RecordOrder } from '#src/file/record-order.js'
import { Block } from '#src/packet/block.js'
import { type Random, seededRandom } from '../../support/random.js'
import { KernelRing } from '../../support/ring-memory.js'

const ENOSPC = 28
const BUFFER_BYTES = 2048

interface Packet {
  thread: number
  number: number
  seconds: number
  nanoseconds: number
  length: number
}

/** Both formats, as merged bytes are read back: thread and number stand in the packet. */
function packetsIn(bytes: Buffer, format: RecordFormat['format']): { thread: number; number: number; time: bigint }[] {
  const found = []
  for (let at = 0; at < bytes.length; ) {
    const isPcap = format === 'pcap'
    const data = at + (isPcap ? 16 : 28)
    const upper = BigInt(bytes.readUInt32LE(at + (isPcap ? 0 : 12)))
    const lower = BigInt(bytes.readUInt32LE(at + (isPcap ? 4 : 16)))
    found.push({ thread: bytes.readUInt16LE(data), number: bytes.readUInt32LE(data + 2), time: isPcap ? upper * 10n ** 9n + lower : (upper << 32n) | lower })
    at += isPcap ? 16 + bytes.readUInt32LE(at + 8) : bytes.readUInt32LE(at + 4)
  }
  return found
}

function timeOf(packet: Packet): bigint {
  return BigInt(packet.seconds) * 10n ** 9n + BigInt(packet.nanoseconds)
}

/** As many threads as it has streams, each with its buffers. */
class Threads {
  readonly written: Buffer[] = []
  readonly shared
  readonly orders: RecordOrder[]
  readonly #format: RecordFormat
  readonly #buffers: ScriptRecords[]
  readonly #open: (thread: number) => RecordOrder
  accounts: { written: number; lost: number; wire: number; truncated: number }[]
  disk: (bytes: number) => number = () => 0

  constructor(threads: number, segments: number, format: RecordFormat['format']) {
    this.#format = { format, microseconds: false, snapLengthBytes: 262_144, interfaceId: 0 }
    this.shared = createOrderMemory({ threads, segmentBytes: orderSegmentBytes(BUFFER_BYTES), segments })
    const append = (bytes: Uint8Array, length: number) => {
      const result = this.disk(length)
      if (result === 0) this.written.push(Buffer.from(bytes.subarray(0, length)))
      return result
    }
    this.#open = (thread) => new RecordOrder({ shared: this.shared, thread, threadId: process.pid, format: this.#format, append })
    this.orders = Array.from({ length: threads }, (_, thread) => this.#open(thread))
    this.#buffers = this.orders.map(() => new ScriptRecords(BUFFER_BYTES, this.#format))
    this.accounts = this.orders.map(() => ({ written: 0, lost: 0, wire: 0, truncated: 0 }))
  }

  push(packets: readonly Packet[]): void {
    const ring = new KernelRing({ blockBytes: 65_536, blockCount: 2 })
    for (const { thread, number, seconds, nanoseconds, length } of packets) {
      const bytes = new Uint8Array(length)
      const view = new DataView(bytes.buffer)
      view.setUint16(0, thread, true)
      view.setUint32(2, number, true)
      ring.receive({ bytes, wireLength: length + (number % 2), seconds, nanoseconds })
    }
    ring.retire()
    const block = new Block(ring.memory, 0, 65_536)
    block.readHeader()
    const { thread } = packets[0] as Packet
    const buffer = this.#buffers[thread] as ScriptRecords
    assert.equal(buffer.add(block, block.firstOffset, packets.length), packets.length)
    ;(this.orders[thread] as RecordOrder).push(buffer)
    buffer.clear()
    this.#account(thread)
  }

  /** Another takes the place of one that died. */
  replace(thread: number): void {
    this.orders[thread] = this.#open(thread)
    this.orders[thread].resume()
  }

  end(): void {
    for (const order of this.orders) order.end()
    for (const [thread, order] of this.orders.entries()) {
      order.endNow()
      this.#account(thread)
    }
  }

  #account(thread: number): void {
    const { writtenPackets, lostPackets, lostWireBytes, lostTruncated } = (this.orders[thread] as RecordOrder).account()
    const sums = this.accounts[thread] as (typeof this.accounts)[0]
    sums.written += writtenPackets
    sums.lost += lostPackets
    sums.wire += lostWireBytes
    sums.truncated += lostTruncated
  }

  found(): ReturnType<typeof packetsIn> {
    return packetsIn(Buffer.concat(this.written), this.#format.format)
  }
}

/** Ascending streams, cut into pieces that a buffer holds. */
function randomStreams(random: Random, threads: number): Packet[][][] {
  return Array.from({ length: threads }, (_, thread) => {
    let ns = 1_700_000_000_000_000_000n
    let number = 0
    return Array.from({ length: random.between(0, 12) }, () =>
      Array.from({ length: random.between(1, 12) }, () => {
        ns += BigInt(random.pick([0, 1, random.between(0, 1000), random.between(0, 2_000_000_000)]))
        const packet = { thread, number: number++, seconds: Number(ns / 10n ** 9n), nanoseconds: Number(ns % 10n ** 9n), length: random.between(6, 120) }
        return packet
      }),
    )
  })
}

/** Hands pieces in, in any order between threads that keeps each thread's own. */
function feed(random: Random, threads: Threads, streams: Packet[][][], between: (thread: number) => void = () => {}): void {
  const left = streams.map((pieces) => [...pieces])
  for (let open = left.filter((pieces) => pieces.length > 0); open.length > 0; open = left.filter((pieces) => pieces.length > 0)) {
    const piece = (random.pick(open) as Packet[][]).shift() as Packet[]
    threads.push(piece)
    between((piece[0] as Packet).thread)
  }
}

for (const format of ['pcap', 'pcapng'] as const) {
  test(`${format}: with room enough all is in order, each packet once`, (t) => {
    const random = seededRandom(t)
    for (let round = 0; round < 150; round++) {
      const streams = randomStreams(random, random.between(1, 6))
      const threads = new Threads(streams.length, 16, format)
      feed(random, threads, streams)
      threads.end()
      const all = streams.flat(2)
      const found = threads.found()
      assert.equal(found.length, all.length)
      for (let i = 1; i < found.length; i++) assert.ok(found[i - 1].time <= found[i].time)
      const times = new Map(all.map((packet) => [`${packet.thread} ${packet.number}`, timeOf(packet)]))
      for (const { thread, number, time } of found) {
        assert.equal(times.get(`${thread} ${number}`), time)
        times.delete(`${thread} ${number}`)
      }
      assert.equal(times.size, 0)
      assert.equal(lateRecords(threads.shared), 0)
      assert.equal(
        threads.accounts.reduce((sum, { written }) => sum + written, 0),
        all.length,
      )
    }
  })
}

test('with little room nothing is lost, each thread stays in order, and what comes too late is counted', (t) => {
  const random = seededRandom(t)
  let late = 0
  for (let round = 0; round < 150; round++) {
    const streams = randomStreams(random, random.between(2, 5))
    const threads = new Threads(streams.length, 2, 'pcapng')
    feed(random, threads, streams)
    threads.end()
    const found = threads.found()
    assert.equal(found.length, streams.flat(2).length)
    for (const thread of streams.keys()) {
      const numbers = found.filter((packet) => packet.thread === thread).map(({ number }) => number)
      assert.deepEqual(numbers, [...numbers.keys()])
    }
    let latest = 0n
    let behind = 0
    for (const { time } of found) {
      if (time < latest) behind++
      else latest = time
    }
    assert.equal(lateRecords(threads.shared), behind)
    late += behind
  }
  assert.ok(late > 0, 'some were')
})

test('a disk that fails now and then: written and lost are all, and the file has what was written', (t) => {
  const random = seededRandom(t)
  for (let round = 0; round < 100; round++) {
    const streams = randomStreams(random, random.between(1, 4))
    const threads = new Threads(streams.length, 4, 'pcap')
    threads.disk = () => (random.oneIn(3) ? -ENOSPC : 0)
    feed(random, threads, streams)
    threads.end()
    const found = threads.found()
    for (const [thread, pieces] of streams.entries()) {
      const there = new Set(found.filter((packet) => packet.thread === thread).map(({ number }) => number))
      const lost = pieces.flat().filter(({ number }) => !there.has(number))
      const wire = lost.reduce((sum, { length, number }) => sum + length + (number % 2), 0)
      const truncated = lost.filter(({ number }) => number % 2 === 1).length
      assert.deepEqual(threads.accounts[thread], { written: there.size, lost: lost.length, wire, truncated })
    }
  }
})

const at = (thread: number, number: number, seconds: number): Packet => ({ thread, number, seconds, nanoseconds: 0, length: 60 })

/** Thread and number of each packet. */
const told = (threads: Threads) => threads.found().map(({ thread, number }) => `${thread}.${number}`)

test('a record waits for those who may still have an earlier one, until they say how far they are', () => {
  const threads = new Threads(2, 4, 'pcap')
  threads.push([at(0, 0, 10), at(0, 1, 20)])
  assert.deepEqual(told(threads), [])
  threads.orders[1].reached({ upper: 15, lower: 0 })
  assert.deepEqual(told(threads), ['0.0'])
  // It had been further.
  threads.orders[1].reached({ upper: 5, lower: 0 })
  threads.push([at(1, 0, 16)])
  assert.equal(threads.orders[1].end(), false, '0 may still have an earlier one')
  assert.equal(threads.orders[0].end(), true)
  assert.deepEqual(told(threads), ['0.0', '1.0', '0.1'])
})

test('what is held back comes when its time is over', () => {
  const threads = new Threads(1, 4, 'pcap')
  threads.push([at(0, 0, 10)])
  threads.orders[0].reached({ upper: 9, lower: 999_999_999 })
  assert.deepEqual(told(threads), [])
  threads.orders[0].reached({ upper: 10, lower: 0 })
  assert.deepEqual(told(threads), ['0.0'])
})

test('what a thread that died has in its queue is dropped; who takes its place goes on', () => {
  const threads = new Threads(2, 4, 'pcap')
  threads.push([at(0, 0, 10), at(0, 1, 11)])
  threads.push([at(1, 0, 5), at(1, 1, 12), at(1, 2, 30)])
  assert.deepEqual(told(threads), ['1.0', '0.0'])
  assert.equal(threads.orders[0].account().writtenPackets, 1, 'another thread wrote it')
  abandonThread(threads.shared, 1)
  threads.push([at(0, 2, 40)])
  assert.deepEqual(told(threads), ['1.0', '0.0', '0.1'], 'nobody waits for it')
  threads.replace(1)
  threads.push([at(0, 3, 50)])
  assert.equal(threads.found().length, 3)
  threads.push([at(1, 3, 60)])
  threads.end()
  assert.deepEqual(told(threads), ['1.0', '0.0', '0.1', '0.2', '0.3', '1.3'])
})

for (const format of ['pcap', 'pcapng'] as const) {
  test(`${format}: packets that come out of order, as several CPUs bring them, are put in order`, (t) => {
    const random = seededRandom(t)
    for (let round = 0; round < 100; round++) {
      const streams = randomStreams(random, random.between(1, 4))
      for (const piece of streams.flat()) {
        for (const packet of piece) {
          // Up to 9 ms before or behind: 10 are allowed for.
          const ns = timeOf(packet) + (random.oneIn(3) ? BigInt(random.between(0, 9_000_000)) : 0n)
          packet.seconds = Number(ns / 10n ** 9n)
          packet.nanoseconds = Number(ns % 10n ** 9n)
        }
      }
      const threads = new Threads(streams.length, 16, format)
      feed(random, threads, streams)
      threads.end()
      const found = threads.found()
      assert.equal(found.length, streams.flat(2).length)
      assert.equal(new Set(told(threads)).size, found.length)
      for (let i = 1; i < found.length; i++) assert.ok(found[i - 1].time <= found[i].time)
      assert.equal(lateRecords(threads.shared), 0)
    }
  })
}

test('one time: as they came', () => {
  const threads = new Threads(1, 4, 'pcap')
  threads.push([at(0, 0, 10), at(0, 1, 9), at(0, 2, 10), at(0, 3, 9), at(0, 4, 10)])
  threads.push([at(0, 5, 10), at(0, 6, 9)])
  threads.end()
  assert.deepEqual(told(threads), ['0.1', '0.3', '0.6', '0.0', '0.2', '0.4', '0.5'])
  assert.equal(lateRecords(threads.shared), 0)
  threads.push([at(0, 7, 8)])
  threads.end()
  assert.equal(lateRecords(threads.shared), 1, 'by seconds')
})

test('more than may be held back goes out', () => {
  const threads = new Threads(1, 64, 'pcap')
  // 300 bytes a millionth of a second: 10 ms would be 3 MB.
  const packets = Array.from({ length: 3000 }, (_, number): Packet => ({ thread: 0, number, seconds: 10, nanoseconds: number * 1000, length: 284 }))
  for (let i = 0; i < packets.length; i += 6) threads.push(packets.slice(i, i + 6))
  const before = threads.found().length
  assert.ok(before >= 3000 - 2 ** 18 / 300 - 6 && before < 3000, `${before}`)
  threads.end()
  assert.equal(threads.found().length, 3000)
})

test('counts of segments may wrap', () => {
  const threads = new Threads(2, 4, 'pcap')
  const words = new Int32Array(threads.shared.memory)
  for (const thread of [0, 1]) for (const word of [FILLED, EMPTIED]) words[HEAD_WORDS + thread * THREAD_WORDS + word] = 2 ** 31 - 2
  for (let i = 0; i < 12; i++) for (const thread of [0, 1]) threads.push([at(thread, i, 10 + i)])
  threads.end()
  assert.equal(threads.found().length, 24)
  assert.equal(lateRecords(threads.shared), 0)
})

test('a lock that a dead thread holds is taken over, and its records are written', () => {
  const threads = new Threads(2, 4, 'pcap')
  // No thread has this id.
  new Int32Array(threads.shared.memory)[0] = 2 ** 30
  threads.push([at(0, 0, 10)])
  threads.end()
  assert.equal(threads.found().length, 1)
})
