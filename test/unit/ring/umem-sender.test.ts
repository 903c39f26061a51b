/** The sender of an AF_XDP socket against a kernel that consumes its TX ring as __xsk_generic_xmit() does. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { UmemSender } from '#src/ring/umem-sender.js'
import { XskConsumer, XskProducer, type XskRingLayout } from '#src/ring/xsk-ring.js'
import { type Random, seededRandom } from '../../support/random.js'

const CHUNK_BYTES = 2048
const CHUNKS = 64
const ENTRIES = CHUNKS * 2

function layoutOf(): XskRingLayout {
  return { entries: ENTRIES, producer: 0, consumer: 64, flags: 128, desc: 192 }
}

/** Since Linux 6.17 it stores the consumer index at the end of a call that sent something; before, only when it has come to the end of what it knew. */
class Kernel {
  readonly tx = new ArrayBuffer(192 + ENTRIES * 16)
  readonly completion = new ArrayBuffer(192 + ENTRIES * 8)
  readonly umem = new ArrayBuffer(CHUNK_BYTES * CHUNKS)
  readonly sent: number[][] = []
  readonly droppedNow: number[][] = []
  /** Refusals at the first frame of a call, before any call has shown that this kernel tells: of those nobody can know. */
  unknowable = 0
  hasTold = false
  /** Not IFF_UP. */
  isDown = false
  readonly #tells: boolean
  readonly #flying: number[] = []
  #cachedConsumer = 0
  #cachedProducer = 0

  constructor(tells: boolean) {
    this.#tells = tells
  }

  #word(memory: ArrayBuffer, at: number): Uint32Array {
    return new Uint32Array(memory, at, 1)
  }

  #release(): void {
    this.#word(this.tx, 64)[0] = this.#cachedConsumer
  }

  /** sendto(2): sends `room` frames, and has the driver refuse the next when `refuses`. 0, -EAGAIN, -EBUSY or -ENETDOWN. */
  send(room: number, refuses: boolean): number {
    // xsk_check_common(): before anything else.
    if (this.isDown) return -100
    let sentOne = false
    let result = 0
    for (let count = 0; ; ) {
      if (this.#cachedConsumer === this.#cachedProducer) {
        this.#release()
        this.#cachedProducer = this.#word(this.tx, 0)[0] as number
        if (this.#cachedConsumer === this.#cachedProducer) break
      }
      const view = new DataView(this.tx, 192 + (this.#cachedConsumer % ENTRIES) * 16)
      const address = view.getUint32(0, true)
      const length = view.getUint32(8, true)
      assert.deepEqual([view.getUint32(4, true), view.getUint32(12, true)], [0, 0])
      if (address >= this.umem.byteLength) {
        this.#cachedConsumer++
        break
      }
      if (count === room) {
        result = -11
        if (!refuses) break
        result = -16
        if (!sentOne && !this.hasTold && this.#cachedProducer - this.#cachedConsumer > 1) this.unknowable++
        this.#cachedConsumer++
        this.droppedNow.push(this.#frame(address, length))
        this.#complete(address)
        break
      }
      this.#cachedConsumer++
      this.sent.push(this.#frame(address, length))
      this.#flying.push(address)
      sentOne = true
      count++
    }
    if (sentOne && this.#tells) {
      this.#release()
      if (this.#cachedConsumer !== this.#cachedProducer) this.hasTold = true
    }
    return result
  }

  #frame(address: number, length: number): number[] {
    return [...new Uint8Array(this.umem, address, length)]
  }

  #complete(address: number): void {
    const producer = this.#word(this.completion, 0)
    const index = producer[0] as number
    assert.ok(index - (this.#word(this.completion, 64)[0] as number) < ENTRIES, 'the COMPLETION ring is full')
    new DataView(this.completion).setUint32(192 + (index % ENTRIES) * 8, address, true)
    producer[0] = index + 1
  }

  complete(count: number): void {
    for (const address of this.#flying.splice(0, count)) this.#complete(address)
  }
}

function senderOf(kernel: Kernel): UmemSender {
  const tx = new XskProducer(kernel.tx, layoutOf(), 16)
  const completion = new XskConsumer(kernel.completion, layoutOf(), 8)
  return new UmemSender(kernel.umem, tx, completion, { chunkBytes: CHUNK_BYTES, chunkCount: CHUNKS })
}

function flush(sender: UmemSender, kernel: Kernel, room: number, refuses: boolean): void {
  const result = kernel.send(room, refuses)
  if (result === -100) return
  sender.collect(result === -16, result === 0)
}

/** As the sender above the ring does: until all has gone, or the interface is down. */
function sendAll(sender: UmemSender, kernel: Kernel): void {
  // A kernel that does not tell needs two calls for the first 64.
  for (let idle = 0; sender.pending > 0 && !kernel.isDown; ) {
    const before = sender.entries
    sender.submit()
    flush(sender, kernel, 32, false)
    idle = sender.entries < before ? 0 : idle + 1
    assert.ok(idle < 3, 'calls that get nowhere')
  }
}

function run(random: Random, kernel: Kernel, withdraws: boolean) {
  const sender = senderOf(kernel)
  const put: number[][] = []
  let withdrawn = 0
  let isAllKnown = true
  for (let step = 0; step < 6000; step++) {
    const what = random.between(0, 9)
    if (what < 5) {
      const frame = random.bytes(random.between(1, random.oneIn(4) ? CHUNK_BYTES : 64))
      if (sender.put(frame, 0, frame.length)) put.push([...frame])
    } else if (what < 8) {
      sender.submit()
      if (sender.entries > 0) flush(sender, kernel, random.oneIn(3) ? random.between(0, 45) : random.between(0, 2), random.oneIn(2))
    } else if (what === 8) {
      kernel.complete(random.between(0, 8))
    } else if (withdraws && random.oneIn(3)) {
      isAllKnown &&= kernel.hasTold || sender.entries === 0
      if (random.oneIn(2)) withdrawn += sender.withdraw()
      else if (sender.pending > 0) {
        sender.withdrawFirst()
        withdrawn++
      }
    }
  }
  for (let i = 0; i < 200 && sender.entries > 0; i++) {
    sender.submit()
    flush(sender, kernel, 100, false)
  }
  assert.equal(sender.pending, 0)
  assert.ok(put.length > 1000)
  return { sender, put, withdrawn, isAllKnown }
}

describe('UMEM sender', () => {
  for (const tells of [true, false]) {
    const linux = `${tells ? 'since' : 'before'} Linux 6.17`
    test(`a driver without room: every frame is sent in the end, once and in order: ${linux}`, (t) => {
      const kernel = new Kernel(tells)
      const { sender, put } = run(seededRandom(t), kernel, false)
      kernel.complete(CHUNKS)
      assert.equal(sender.inFlight(), 0)
      assert.ok(kernel.droppedNow.length > 100)
      assert.equal(sender.packets, kernel.sent.length)
      assert.equal(sender.packets + sender.dropped, put.length)
      // Those of which nobody could know are the only ones that are missing.
      assert.ok(sender.dropped <= (tells ? kernel.unknowable : 40), `${sender.dropped} lost, ${kernel.unknowable} unknowable`)
      let lost = 0
      for (const frame of put) {
        if (Buffer.compare(Buffer.from(kernel.sent[put.indexOf(frame) - lost] ?? []), Buffer.from(frame)) !== 0) lost++
      }
      assert.equal(lost, sender.dropped)
      if (lost === 0)
        assert.equal(
          sender.bytes,
          put.reduce((sum, frame) => sum + frame.length, 0),
        )
    })

    test(`frames that are taken back are not sent, and the sums stay right: ${linux}`, (t) => {
      const kernel = new Kernel(tells)
      const { sender, put, withdrawn, isAllKnown } = run(seededRandom(t), kernel, true)
      assert.ok(withdrawn > 50)
      assert.equal(sender.packets + sender.dropped + withdrawn, put.length)
      // Taken back after a call that did not tell what it had sent: before it is known whether this kernel does.
      const untold = kernel.sent.length - sender.packets
      assert.ok(untold >= 0 && untold <= (tells ? sender.dropped : CHUNKS), `${untold}`)
      kernel.complete(CHUNKS)
      if (tells && sender.dropped === 0 && isAllKnown) assert.equal(sender.inFlight(), 0)
    })
  }

  for (const tells of [true, false]) {
    test(`an interface that goes down and comes up, many times the ring refused each time: ${tells ? 'since' : 'before'} Linux 6.17`, (t) => {
      const random = seededRandom(t)
      const kernel = new Kernel(tells)
      const sender = senderOf(kernel)
      const expected: number[] = []
      let number = 0
      let withdrawn = 0
      for (let step = 0; step < 60; step++) {
        kernel.isDown = step % 2 === 1
        const upTo = number + random.between(1, kernel.isDown ? ENTRIES * 3 : ENTRIES)
        while (number < upTo) {
          for (let count = Math.min(upTo - number, random.between(1, CHUNKS)); count > 0; count--) {
            const frame = Uint8Array.of(number & 0xff, number >>> 8)
            if (!sender.put(frame, 0, 2)) break
            if (!kernel.isDown) expected.push(number)
            number++
          }
          assert.ok(sender.pending > 0, `${number}: no room, and nothing to hand over`)
          sender.submit()
          sendAll(sender, kernel)
          withdrawn += sender.withdraw()
          kernel.complete(CHUNKS)
        }
      }
      assert.deepEqual(
        kernel.sent.map(([low, high]) => (low as number) | ((high as number) << 8)),
        expected,
      )
      assert.deepEqual([sender.packets, sender.packets + withdrawn, sender.dropped], [expected.length, number, 0])
      assert.equal(sender.inFlight(), 0)
    })
  }

  test('all is taken back before the kernel has seen it, and again sent', () => {
    const kernel = new Kernel(true)
    const sender = senderOf(kernel)
    for (let i = 0; i < CHUNKS; i++) assert.ok(sender.put(new Uint8Array(60).fill(i), 0, 60))
    assert.ok(!sender.put(new Uint8Array(60), 0, 60))
    assert.equal(sender.withdraw(), CHUNKS)
    assert.deepEqual([sender.pending, sender.entries], [0, 0])
    for (let i = 0; i < 7; i++) assert.ok(sender.put(new Uint8Array(60).fill(100 + i), 0, 60), `${i}`)
    for (let i = 0; i < 30 && sender.entries > 0; i++) {
      sender.submit()
      flush(sender, kernel, 100, false)
    }
    assert.deepEqual(
      kernel.sent.map(([byte]) => byte),
      [100, 101, 102, 103, 104, 105, 106],
    )
  })
})
