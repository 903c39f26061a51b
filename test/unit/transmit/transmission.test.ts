/** What becomes of each packet: pure but for the short pauses, over a sender and an interface of our own. */
import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import { openCaptureFile } from '#src/index.js'
import { IFF_RUNNING, IFF_UP } from '#src/kernel/abi/if.js'
import { EINVAL, EMSGSIZE, ENETDOWN, ENOBUFS, ENXIO, EPERM } from '#src/kernel/errno.js'
import type { Sender } from '#src/transmit/sender.js'
import { FINISHED, NEXT_BATCH, Transmission, type TransmissionOptions } from '#src/transmit/transmission.js'
import { block, enhancedPacket, interfaceBlock, sectionHeader, Writer } from '../../support/capture-writer.js'
import { type MemoryPacket, MemoryPackets } from '../../support/memory-packets.js'

/** Takes what it is given until it is told not to. */
class FakeSender implements Sender {
  readonly room = 2000
  packets = 0
  bytes = 0
  dropped = 0
  /** -errno for which the first that is pending is not taken. */
  refuses = 0
  capacity = 1000
  /** Of each flush: the lengths that it took, and when. */
  readonly flushes: { lengths: number[]; ms: number }[] = []
  readonly #pending: number[] = []
  readonly #clock: () => number

  constructor(clock: () => number) {
    this.#clock = clock
  }

  get pending(): number {
    return this.#pending.length
  }
  send(_bytes: Uint8Array, _offset: number, length: number): boolean {
    if (this.#pending.length === this.capacity) return false
    this.#pending.push(length)
    return true
  }
  flush(): number {
    if (this.refuses !== 0) return this.refuses
    const lengths = this.#pending.splice(0)
    this.flushes.push({ lengths, ms: this.#clock() })
    this.packets += lengths.length
    this.bytes += lengths.reduce((a, b) => a + b, 0)
    return 0
  }
  withdrawRefused(limit: number): number {
    const kept = this.#pending.filter((length, index) => index > 0 && length <= limit)
    const count = this.#pending.length - kept.length
    this.#pending.splice(0, this.#pending.length, ...kept)
    return count
  }
  withdraw(): number {
    return this.#pending.splice(0).length
  }
  inFlight(): number {
    return 0
  }
  close(): void {}
  [Symbol.dispose](): void {}
}

const TOP: TransmissionOptions = { pace: { kind: 'top' }, limit: Number.POSITIVE_INFINITY, truncated: 'send', roomTimeoutMs: 20 }

/** A transmission whose clock goes on by a microsecond whenever it is looked at, by what is slept, and by whatever the test adds. */
function made(options: Partial<TransmissionOptions> = {}, tellsCarrier = true) {
  const state = { ms: 1000, flags: (IFF_UP | IFF_RUNNING) as number | undefined, mtu: 1500 as number | undefined }
  const clock = {
    now() {
      state.ms += 0.001
      return state.ms
    },
    sleep(ms: number) {
      state.ms += ms
    },
  }
  const sender = new FakeSender(() => state.ms)
  const of = { name: 'eth0', flags: () => state.flags, mtu: () => state.mtu, tellsCarrier }
  return { state, sender, transmission: new Transmission(sender, of, { ...TOP, ...options }, clock) }
}

function frames(count: number, length = 100): MemoryPacket[] {
  return Array.from({ length: count }, () => ({ frame: new Uint8Array(length) }))
}

function refusals({ counters }: Transmission): Record<string, number> {
  assert.equal(
    counters.refused,
    Object.values(counters.refusals).reduce((a, b) => a + b),
  )
  return Object.fromEntries(Object.entries(counters.refusals).filter(([, count]) => count > 0))
}

/** Until the end of the batch; waits that it asks for pass at once. */
function run(transmission: Transmission, packets: MemoryPackets, state: { ms: number }): number {
  for (;;) {
    packets.nextBatch()
    const answer = transmission.advance(packets)
    if (answer === NEXT_BATCH || answer === FINISHED) return answer
    state.ms += answer
    transmission.turnTaken()
  }
}

test('top speed: batches of 64, and the rest at the end of the batch', () => {
  const { state, sender, transmission } = made()
  assert.equal(run(transmission, new MemoryPackets(frames(150)), state), NEXT_BATCH)
  assert.deepEqual(
    sender.flushes.map(({ lengths }) => lengths.length),
    [64, 64, 22],
  )
  assert.deepEqual([transmission.counters.packets, transmission.counters.sent, transmission.counters.sentBytes], [150, 150, 15_000])
  assert.deepEqual(transmission.timing, { maxErrorNs: 0, meanErrorNs: 0, slips: 0, slippedNs: 0 })
})

test('each packet goes when it is due, not before; long distances are given back to the caller', () => {
  const { state, sender, transmission } = made({ pace: { kind: 'original', multiplier: 1 } })
  const start = state.ms
  const stamps = [0, 1, 1, 50, 50.5, 5000]
  const packets = new MemoryPackets(stamps.map((ms) => ({ frame: new Uint8Array(60), seconds: 7, nanoseconds: ms * 1e6 })))
  run(transmission, packets, state)
  const taken = sender.flushes.flatMap(({ lengths, ms }) => lengths.map(() => ms - start))
  assert.equal(taken.length, stamps.length)
  for (const [index, ms] of taken.entries()) {
    assert.ok(ms >= (stamps[index] as number) && ms < (stamps[index] as number) + 0.1, `${index}: ${ms}`)
  }
  const { maxErrorNs, meanErrorNs, slips } = transmission.timing
  assert.ok(meanErrorNs > 0 && meanErrorNs <= maxErrorNs && maxErrorNs < 100_000)
  assert.equal(slips, 0)
})

test('of a file with simple packet blocks, which have no time, each goes with the packet before it', async () => {
  const frame = new Uint8Array(60)
  const simple = block(true, 3, new Writer(true).u32(frame.length).raw(frame).end())
  const at = (ms: number) => enhancedPacket(true, 0, BigInt(1_700_000_000_000 + ms) * 1000n, frame)
  const blocks = [sectionHeader(true), interfaceBlock(true), simple, simple, at(0), simple, at(40), simple, at(50)]
  await using file = await openCaptureFile(Readable.from(blocks))
  const { state, sender, transmission } = made({ pace: { kind: 'original', multiplier: 1 } })
  const start = state.ms
  for await (const batch of file.batches()) {
    for (let answer = transmission.advance(batch); answer !== NEXT_BATCH; answer = transmission.advance(batch)) {
      assert.ok(answer >= 0 && answer < 50, `${answer}`)
      state.ms += answer
      transmission.turnTaken()
    }
  }
  const taken = sender.flushes.flatMap(({ lengths, ms }) => lengths.map(() => Math.floor(ms - start)))
  assert.deepEqual(taken, [0, 0, 0, 0, 40, 40, 50])
})

test('a delay is made good up to 50 ms of it, and the rest is told', () => {
  const { state, sender, transmission } = made({ pace: { kind: 'packets', perSecond: 1000 } })
  const packets = new MemoryPackets(frames(400))
  packets.nextBatch()
  const start = state.ms
  state.ms += 200
  run(transmission, packets, state)
  const { slips, slippedNs, maxErrorNs } = transmission.timing
  assert.ok(slips >= 1)
  assert.ok(Math.abs(slippedNs - 150e6) < 1e6, `${slippedNs}`)
  assert.ok(maxErrorNs > 199e6)
  // What was due in the 50 ms went at once, and the rest at its pace: 200 ms late, less what was made good.
  const last = sender.flushes.at(-1)?.ms ?? 0
  assert.ok(Math.abs(last - start - 399 - 150) < 1, `${last - start}`)
})

test('the limit counts what is refused, and ends in the middle of a batch', () => {
  const { state, transmission } = made({ limit: 5 })
  const packets = new MemoryPackets([...frames(2), ...frames(1, 1600), ...frames(10)])
  assert.equal(run(transmission, packets, state), FINISHED)
  assert.deepEqual([transmission.counters.packets, transmission.counters.sent], [5, 4])
  assert.deepEqual(refusals(transmission), { tooLong: 1 })
})

test('lengths: what the MTU allows, four bytes more with an 802.1Q tag, and never more than the sender has room for', () => {
  const tagged = (length: number, tpid: number) => {
    const frame = new Uint8Array(length)
    frame.set([tpid >> 8, tpid & 0xff], 12)
    return { frame }
  }
  const { state, sender, transmission } = made()
  const cases = [...frames(1, 1514), ...frames(1, 1515), tagged(1518, 0x8100), tagged(1519, 0x8100), tagged(1518, 0x88a8), ...frames(1, 14), ...frames(1, 13)]
  run(transmission, new MemoryPackets(cases), state)
  assert.deepEqual(sender.flushes[0]?.lengths, [1514, 1518, 14])
  assert.deepEqual(refusals(transmission), { tooLong: 3, tooShort: 1 })
  const large = made()
  large.state.mtu = 9000
  const transmission2 = new Transmission(large.sender, { name: 'eth0', flags: () => 65, mtu: () => 9000, tellsCarrier: true }, TOP)
  run(transmission2, new MemoryPackets([...frames(1, 2000), ...frames(1, 2001), tagged(2004, 0x8100)]), large.state)
  assert.deepEqual(refusals(transmission2), { tooLong: 2 })
})

test('no room: waited for, and given up after roomTimeoutMs, one packet at a time', () => {
  const { state, sender, transmission } = made({ roomTimeoutMs: 5 })
  sender.refuses = -ENOBUFS
  const packets = new MemoryPackets(frames(3))
  packets.nextBatch()
  transmission.advance(packets)
  assert.equal(sender.pending, 3)
  for (let i = 0; i < 20; i++) {
    state.ms += 0.1
    transmission.finish()
  }
  assert.deepEqual(refusals(transmission), {})
  state.ms += 5
  transmission.finish()
  assert.deepEqual(refusals(transmission), { noRoom: 1 })
  sender.refuses = 0
  assert.ok(transmission.finish())
  assert.equal(transmission.counters.sent, 2)
  assert.ok(transmission.counters.waits > 20)
})

test('no room because it is down: seen at the interface, and refused as down', () => {
  const { state, sender, transmission } = made({ roomTimeoutMs: 60_000 })
  sender.refuses = -ENOBUFS
  state.flags = IFF_UP
  const packets = new MemoryPackets(frames(3))
  packets.nextBatch()
  transmission.advance(packets)
  for (let i = 0; i < 20; i++) {
    state.ms += 10
    transmission.finish()
  }
  assert.deepEqual(refusals(transmission), { down: 3 })
})

test('where the kernel does not tell of a carrier that is gone, the interface is looked at', () => {
  const { state, sender, transmission } = made({}, false)
  run(transmission, new MemoryPackets(frames(70)), state)
  state.flags = IFF_UP
  state.ms += 100
  run(transmission, new MemoryPackets(frames(10)), state)
  state.flags = IFF_UP | IFF_RUNNING
  state.ms += 100
  run(transmission, new MemoryPackets(frames(5)), state)
  assert.deepEqual(refusals(transmission), { down: 10 })
  assert.equal(sender.packets, 75)
})

test('what the kernel says of a frame', () => {
  const down = made()
  down.sender.refuses = -ENETDOWN
  run(down.transmission, new MemoryPackets(frames(100)), down.state)
  assert.deepEqual(refusals(down.transmission), { down: 100 })

  const invalid = made()
  invalid.sender.refuses = -EINVAL
  const packets = new MemoryPackets(frames(3))
  packets.nextBatch()
  invalid.transmission.advance(packets)
  assert.deepEqual(refusals(invalid.transmission), { invalid: 1 })
  invalid.sender.refuses = 0
  assert.ok(invalid.transmission.finish())
  assert.equal(invalid.transmission.counters.sent, 2)

  // The MTU was lowered: the kernel's word for one is the word for all that are as long.
  const long = made()
  long.state.mtu = 500
  const mixed = new MemoryPackets([...frames(2, 1000), ...frames(2, 400), ...frames(1, 1000)])
  long.sender.refuses = -EMSGSIZE
  mixed.nextBatch()
  long.transmission.advance(mixed)
  assert.deepEqual(refusals(long.transmission), { tooLong: 3 })
  long.sender.refuses = 0
  run(long.transmission, new MemoryPackets(frames(1, 1000)), long.state)
  assert.deepEqual(refusals(long.transmission), { tooLong: 4 })
  assert.equal(long.transmission.counters.sent, 2)
})

test('a raised MTU is seen, within 50 ms, by the next packet that would be too long', () => {
  const { state, sender, transmission } = made()
  run(transmission, new MemoryPackets(frames(3, 1900)), state)
  state.mtu = 9000
  run(transmission, new MemoryPackets(frames(3, 1900)), state)
  assert.deepEqual(refusals(transmission), { tooLong: 6 })
  state.ms += 51
  run(transmission, new MemoryPackets(frames(3, 1900)), state)
  // What the sender has no room for stays too long.
  run(transmission, new MemoryPackets(frames(2, 2001)), state)
  assert.deepEqual(refusals(transmission), { tooLong: 8 })
  assert.equal(sender.packets, 3)
})

test('with a rate a packet is too long by the MTU of the time when it is due', () => {
  const { state, transmission } = made({ pace: { kind: 'packets', perSecond: 100 } })
  const packets = new MemoryPackets(frames(100, 1900))
  packets.nextBatch()
  const start = state.ms
  for (let answer = transmission.advance(packets); answer !== NEXT_BATCH; answer = transmission.advance(packets)) {
    state.ms += answer
    if (state.ms - start > 500) state.mtu = 9000
    transmission.turnTaken()
  }
  const { sent, refused } = transmission.counters
  assert.equal(sent + refused, 100)
  assert.ok(sent >= 40 && refused >= 49, `${sent} sent, ${refused} refused`)
})

test('an interface that went away is not taken for one with a small MTU', () => {
  const { state, sender, transmission } = made()
  state.mtu = undefined
  state.ms += 100
  run(transmission, new MemoryPackets(frames(1, 1900)), state)
  sender.refuses = -ENXIO
  assert.throws(() => run(transmission, new MemoryPackets(frames(1)), state), { code: 'INTERFACE_REMOVED' })
})

test('no memory while nothing is left to hand over: waited for, given up after roomTimeoutMs or when it is down, and it ends', () => {
  const { state, sender, transmission } = made({ roomTimeoutMs: 200 })
  sender.capacity = 0
  assert.equal(run(transmission, new MemoryPackets(frames(2)), state), NEXT_BATCH)
  assert.deepEqual(refusals(transmission), { noRoom: 2 })
  assert.ok(transmission.counters.waits > 100)
  state.flags = IFF_UP
  run(transmission, new MemoryPackets(frames(10)), state)
  assert.deepEqual(refusals(transmission), { noRoom: 2, down: 10 })
  state.flags = IFF_UP | IFF_RUNNING
  sender.capacity = 1000
  run(transmission, new MemoryPackets(frames(10)), state)
  assert.equal(transmission.counters.sent, 10)
})

test('an interface that is gone, and what nobody expects, are errors; the account is right all the same', () => {
  for (const [errno, code] of [
    [ENXIO, 'INTERFACE_REMOVED'],
    [EPERM, 'SYSTEM_CALL_FAILED'],
  ] as const) {
    const { sender, transmission } = made()
    sender.refuses = -errno
    const packets = new MemoryPackets(frames(3))
    packets.nextBatch()
    assert.throws(() => transmission.advance(packets), { code })
    transmission.giveUp()
    const { packets: taken, sent, refused } = transmission.counters
    assert.deepEqual([taken, sent, refused], [3, 0, 3])
  }
})

test('an abort: what is not due yet is as if it had not been taken, what has no room is noRoom', () => {
  const { sender, transmission } = made({ pace: { kind: 'packets', perSecond: 1 } })
  const packets = new MemoryPackets(frames(5))
  packets.nextBatch()
  assert.ok(transmission.advance(packets) > 900)
  transmission.putBack()
  assert.deepEqual([transmission.counters.packets, transmission.counters.sent], [1, 1])
  const stuck = made()
  stuck.sender.capacity = 2
  stuck.sender.refuses = -ENOBUFS
  const more = new MemoryPackets(frames(5))
  more.nextBatch()
  assert.equal(stuck.transmission.advance(more), 0)
  stuck.transmission.giveUp()
  assert.deepEqual(refusals(stuck.transmission), { noRoom: 3 })
  assert.equal(stuck.transmission.counters.packets, 3)
  assert.equal(sender.pending, 0)
})

test('the event loop has its turn', () => {
  const { state, transmission } = made()
  const packets = new MemoryPackets(frames(1000))
  packets.nextBatch()
  transmission.turnTaken()
  state.ms += 11
  assert.equal(transmission.advance(packets), 0)
  assert.ok(transmission.isTurnDue)
  transmission.turnTaken()
  assert.ok(!transmission.isTurnDue)
})
