import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { TP_STATUS_BLK_TMO, TP_STATUS_LOSING, TP_STATUS_USER, TPACKET_BLOCK_DESC, TPACKET3_HDR } from '#src/kernel/abi/if_packet.js'
import type { Block } from '#src/packet/block.js'
import { BlockPacketView } from '#src/packet/view.js'
import { Tpacket3Ring } from '#src/ring/tpacket3.js'
import { seededRandom } from '../../support/random.js'
import { type FabricatedPacket, KernelRing } from '../../support/ring-memory.js'

/** A frame that carries a number. */
function numbered(number: number, length = 60): FabricatedPacket {
  const bytes = new Uint8Array(length)
  new DataView(bytes.buffer).setUint32(14, number)
  return { bytes }
}

/** The numbers in a block, by the walk that block handlers are told to make. */
function numbersOf(block: Block): number[] {
  const view = new BlockPacketView()
  view.enter(block)
  const numbers: number[] = []
  let header = block.firstOffset
  for (let i = 0; i < block.packetCount; i++) {
    view.header = header
    numbers.push(new DataView(view.copy().buffer).getUint32(14))
    header += block.words32[header / 4]
  }
  return numbers
}

const GEOMETRY = { blockBytes: 4096, blockCount: 4 }

describe('in order', () => {
  test('nothing before a block is handed over; then each packet once', () => {
    const kernel = new KernelRing(GEOMETRY)
    const ring = new Tpacket3Ring(kernel.memory, GEOMETRY)
    assert.equal(ring.peek(), undefined)
    for (let i = 0; i < 5; i++) kernel.receive(numbered(i))
    assert.equal(ring.peek(), undefined)
    kernel.retire()
    const block = ring.peek()
    assert.ok(block)
    assert.equal(block.status(), TP_STATUS_USER | TP_STATUS_BLK_TMO)
    assert.deepEqual(numbersOf(block), [0, 1, 2, 3, 4])
    assert.equal(ring.peek(), block, 'the same until released')
    ring.release()
    assert.equal(ring.peek(), undefined)
    assert.equal(kernel.status(0), 0)
  })

  test('round and round, released in the order in which the kernel filled', () => {
    const kernel = new KernelRing(GEOMETRY)
    const ring = new Tpacket3Ring(kernel.memory, GEOMETRY)
    let sent = 0
    const seen: number[] = []
    for (let round = 0; round < 40; round++) {
      for (let i = 0; i < 17; i++) assert.ok(kernel.receive(numbered(sent++)))
      if (round % 3 === 0) kernel.retire()
      for (let block = ring.peek(); block !== undefined; block = ring.peek()) {
        seen.push(...numbersOf(block))
        ring.release()
      }
    }
    kernel.retire()
    const last = ring.peek()
    if (last !== undefined) seen.push(...numbersOf(last))
    assert.deepEqual(
      seen,
      Array.from({ length: sent }, (_, i) => i),
    )
    assert.equal(kernel.freezes, 0)
  })

  test('a block in our hands freezes the kernel, though others are free, until it is back', () => {
    const kernel = new KernelRing({ blockBytes: 4096, blockCount: 2 })
    const ring = new Tpacket3Ring(kernel.memory, kernel.geometry)
    let sent = 0
    while (kernel.receive(numbered(sent))) sent++
    assert.equal(kernel.freezes, 1)
    assert.equal(kernel.drops, 1)
    assert.ok(!kernel.receive(numbered(sent)))
    assert.deepEqual(kernel.readStatistics(), { packets: sent + 2, drops: 2, freezes: 1 })
    const seen = numbersOf(ring.peek() as Block)
    ring.release()
    assert.ok(kernel.receive(numbered(1_000_000)), 'thawed')
    seen.push(...numbersOf(ring.peek() as Block))
    ring.release()
    kernel.retire()
    seen.push(...numbersOf(ring.peek() as Block))
    assert.deepEqual(seen, [...Array.from({ length: sent }, (_, i) => i), 1_000_000])
  })

  test('TP_STATUS_LOSING does not hide a block', () => {
    const kernel = new KernelRing({ blockBytes: 4096, blockCount: 2 })
    const ring = new Tpacket3Ring(kernel.memory, kernel.geometry)
    while (kernel.receive(numbered(1)));
    ring.peek()
    ring.release()
    kernel.receive(numbered(2))
    ring.peek()
    ring.release()
    kernel.retire()
    assert.equal(ring.peek()?.status(), TP_STATUS_USER | TP_STATUS_BLK_TMO | TP_STATUS_LOSING)
  })

  test('a block without packets is taken and given back like any other', () => {
    const kernel = new KernelRing(GEOMETRY)
    const ring = new Tpacket3Ring(kernel.memory, GEOMETRY)
    kernel.retire(true)
    kernel.receive(numbered(7))
    kernel.retire()
    assert.equal(ring.peek()?.packetCount, 0)
    ring.release()
    assert.deepEqual(numbersOf(ring.peek() as Block), [7])
    ring.release()
    assert.equal(ring.peek(), undefined)
  })

  test('a private area and a reserve move the packets, not the walk', () => {
    const kernel = new KernelRing(GEOMETRY, { privateBytes: 20, reserveBytes: 4 })
    const ring = new Tpacket3Ring(kernel.memory, GEOMETRY)
    for (let i = 0; i < 3; i++) kernel.receive(numbered(i, 60 + i))
    kernel.retire()
    const block = ring.peek() as Block
    assert.equal(block.firstOffset, 72)
    assert.deepEqual(numbersOf(block), [0, 1, 2])
  })
})

describe('resync', () => {
  test('finds nothing in a ring that is the kernel’s', () => {
    const kernel = new KernelRing(GEOMETRY)
    const ring = new Tpacket3Ring(kernel.memory, GEOMETRY)
    assert.equal(ring.resync(), false)
    assert.equal(ring.resyncs, 0)
  })

  test('counts no move when the block in line is the oldest', () => {
    const kernel = new KernelRing(GEOMETRY)
    const ring = new Tpacket3Ring(kernel.memory, GEOMETRY)
    kernel.receive(numbered(1))
    kernel.retire()
    assert.equal(ring.resync(), true)
    assert.equal(ring.resyncs, 0)
  })

  for (const [what, firstSequence] of [
    ['', 1n],
    [' across 2^31', 2n ** 31n - 3n],
    [' across 2^32', 2n ** 32n - 3n],
    [' across 2^33', 2n ** 33n - 2n],
  ] as const) {
    test(`a reader at any place finds the oldest block${what}`, () => {
      for (let filled = 1; filled <= GEOMETRY.blockCount; filled++) {
        for (let turned = 0; turned < GEOMETRY.blockCount; turned++) {
          const kernel = new KernelRing(GEOMETRY, { firstSequence })
          const worker = new Tpacket3Ring(kernel.memory, GEOMETRY)
          let number = 0
          const fill = () => {
            kernel.receive(numbered(number++))
            kernel.retire()
          }
          for (let i = 0; i < turned; i++) {
            fill()
            worker.peek()
            worker.release()
          }
          const oldest = number
          for (let i = 0; i < filled; i++) fill()
          // Another worker takes the ring over and knows nothing of the first.
          const heir = new Tpacket3Ring(kernel.memory, GEOMETRY)
          assert.equal(heir.resync(), true)
          const seen: number[] = []
          for (let block = heir.peek(); block !== undefined; block = heir.peek()) {
            seen.push(...numbersOf(block))
            heir.release()
          }
          assert.deepEqual(
            seen,
            Array.from({ length: filled }, (_, i) => oldest + i),
          )
          assert.equal(heir.resyncs, turned === 0 ? 0 : 1)
        }
      }
    })
  }
})

describe('peekUnfinished', () => {
  test('the block that is being filled, when it holds exactly so many', () => {
    const kernel = new KernelRing(GEOMETRY)
    const ring = new Tpacket3Ring(kernel.memory, GEOMETRY)
    for (let i = 0; i < 3; i++) kernel.receive(numbered(i))
    for (const wrong of [0, 1, 2, 4, 100]) assert.equal(ring.peekUnfinished(wrong), undefined)
    assert.deepEqual(numbersOf(ring.peekUnfinished(3) as Block), [0, 1, 2])
  })

  test('never the figures of the last round, even when they match', () => {
    const kernel = new KernelRing({ blockBytes: 4096, blockCount: 2 })
    const ring = new Tpacket3Ring(kernel.memory, kernel.geometry)
    for (let i = 0; i < 3; i++) kernel.receive(numbered(i))
    kernel.retire()
    ring.peek()
    ring.release()
    for (let i = 0; i < 3; i++) kernel.receive(numbered(i))
    // The kernel is at block 1. Another reader that stands at block 0 finds 3 packets of the last round there.
    const heir = new Tpacket3Ring(kernel.memory, kernel.geometry)
    heir.resync()
    assert.ok(heir.peekUnfinished(3) !== undefined, 'a fresh reader believes sequence 1')
    assert.deepEqual(numbersOf(ring.peekUnfinished(3) as Block), [0, 1, 2])
    kernel.retire()
    ring.peek()
    ring.release()
    // Now both readers are done with both blocks, and block 0 has been opened anew and is empty.
    assert.equal(ring.peekUnfinished(3), undefined)
  })

  test('a full turn of a frozen ring: the block in line holds the last round’s packets, which are not the unfinished ones', () => {
    const kernel = new KernelRing({ blockBytes: 4096, blockCount: 2 })
    const ring = new Tpacket3Ring(kernel.memory, kernel.geometry)
    while (kernel.receive(numbered(1)));
    assert.ok(kernel.frozen)
    const perBlock = (ring.peek() as Block).packetCount
    ring.release()
    ring.peek()
    ring.release()
    // The kernel has not thawed: no packet came since.
    assert.equal(ring.peekUnfinished(perBlock), undefined)
    assert.equal(ring.peekUnfinished(1), undefined)
  })

  test('across 2^32 blocks', () => {
    const kernel = new KernelRing(GEOMETRY, { firstSequence: 2n ** 32n - 1n })
    const ring = new Tpacket3Ring(kernel.memory, GEOMETRY)
    kernel.receive(numbered(1))
    kernel.retire()
    assert.ok(ring.resync())
    ring.peek()
    ring.release()
    kernel.receive(numbered(2))
    assert.deepEqual(numbersOf(ring.peekUnfinished(1) as Block), [2])
  })
})

test('random: whatever sizes, retirements and pauses, each packet is delivered or counted, in order', (t) => {
  const random = seededRandom(t)
  for (let run = 0; run < 60; run++) {
    const geometry = { blockBytes: 4096 * random.between(1, 4), blockCount: random.between(2, 7) }
    const kernel = new KernelRing(geometry, {
      firstSequence: random.oneIn(2) ? 2n ** 32n - BigInt(random.between(1, 10)) : 1n,
      privateBytes: random.pick([0, 0, 5, 64]),
      reserveBytes: random.pick([0, 0, 4, 16]),
    })
    const ring = new Tpacket3Ring(kernel.memory, geometry)
    if (run % 2 === 1) assert.equal(ring.resync(), false)
    const expected: number[] = []
    const seen: number[] = []
    let refused = 0
    let sent = 0
    const drain = (limit: number) => {
      for (let blocks = 0; blocks < limit; blocks++) {
        const block = ring.peek()
        if (block === undefined) return
        assert.ok(block.firstOffset >= TPACKET_BLOCK_DESC.sizeof)
        seen.push(...numbersOf(block))
        if (block.packetCount > 0) {
          // The last one of a block points nowhere.
          let header = block.firstOffset
          for (let i = 1; i < block.packetCount; i++) header += block.words32[header / 4]
          assert.equal(block.words32[(header + TPACKET3_HDR.tp_next_offset) / 4], 0)
        }
        ring.release()
      }
    }
    for (let step = 0; step < 300; step++) {
      if (random.oneIn(6)) kernel.retire(random.oneIn(3))
      else if (random.oneIn(5)) drain(random.between(1, geometry.blockCount))
      else {
        const length = random.oneIn(10) ? random.between(1000, geometry.blockBytes * 2) : random.between(18, 400)
        if (kernel.receive(numbered(sent, length))) expected.push(sent)
        else refused++
        sent++
      }
    }
    drain(1000)
    const rest = ring.peekUnfinished(expected.length - seen.length)
    if (rest !== undefined) seen.push(...numbersOf(rest))
    assert.deepEqual(seen, expected, `run ${run}`)
    assert.deepEqual([kernel.packets, kernel.drops], [sent, refused])
  }
})
