import assert from 'node:assert/strict'
import { test } from 'node:test'
import { simulateRing } from '#src/host/size/simulation.js'
import {
  blockFor,
  frameCount,
  frameSize,
  longestPacket,
  MAX_RING_BYTES,
  MIN_PACKET_FOOTPRINT_BYTES,
  packetsPerBlock,
  planRing,
  type RingGeometry,
  ringToHold,
  shrinkRing,
} from '#src/ring/geometry.js'
import { seededRandom } from '../../support/random.js'
import { KernelRing } from '../../support/ring-memory.js'

const PAGE = 4096
const MIB = 2 ** 20

test('whole blocks of whole pages', () => {
  assert.deepEqual(planRing(128 * MIB, MIB, PAGE), { blockBytes: MIB, blockCount: 128 })
  assert.deepEqual(planRing(2 * PAGE, PAGE, PAGE), { blockBytes: PAGE, blockCount: 2 })
  assert.deepEqual(planRing(3 * 3 * PAGE, 3 * PAGE, PAGE), { blockBytes: 3 * PAGE, blockCount: 3 })
  assert.deepEqual(planRing(2 * 65536, 65536, 65536), { blockBytes: 65536, blockCount: 2 })
})

test('what the kernel would refuse is refused with the nearest value that works', () => {
  const cases: [ring: number, block: number, page: number, message: RegExp, hint: RegExp][] = [
    [MIB, 0, PAGE, /blockBytes to be a positive multiple of the page size, 4096, got 0/, /--block 4096/],
    [MIB, -4096, PAGE, /blockBytes .*got -4096/, /--block/],
    [MIB, 5000, PAGE, /blockBytes .*got 5000/, /--block 8192/],
    [MIB, Number.NaN, PAGE, /blockBytes .*got NaN/, /--block 4096/],
    [MIB, 4096, 65536, /page size, 65536, got 4096/, /--block 65536/],
    [0, MIB, PAGE, /ringBytes to be a positive multiple of blockBytes, 1048576, got 0/, /--ring 2097152/],
    [-MIB, MIB, PAGE, /ringBytes .*got -1048576/, /--ring 2097152/],
    [3 * MIB + 1, MIB, PAGE, /ringBytes .*got 3145729/, /--ring 4194304/],
    [Number.NaN, MIB, PAGE, /ringBytes .*got NaN/, /--ring/],
    [MIB, MIB, PAGE, /at least two blocks/, /--ring 2097152/],
    [4096 * MIB, MIB, PAGE, /less than 4 GiB/, /--workers/],
  ]
  for (const [ring, block, page, message, hint] of cases) {
    assert.throws(
      () => planRing(ring, block, page),
      (error: Error & { code: string; hint: string }) => {
        assert.equal(error.code, 'INVALID_OPTION')
        assert.match(error.message, message)
        assert.match(error.hint, hint)
        return true
      },
    )
  }
})

test('a hinted value is itself accepted', () => {
  for (const [ring, block] of [
    [MIB, 5000],
    [3 * MIB + 1, MIB],
    [1, MIB],
    [MIB, MIB],
  ]) {
    try {
      planRing(ring, block, PAGE)
      assert.fail('accepted')
    } catch (error) {
      const [, option, value] = /--(ring|block) (\d+)/.exec((error as { hint: string }).hint) as RegExpExecArray
      if (option === 'ring') planRing(Number(value), block, PAGE)
      else planRing(4 * Number(value), Number(value), PAGE)
    }
  }
})

test('the largest ring: 4 GiB less one block', () => {
  assert.equal(planRing(4095 * MIB, MIB, PAGE).blockCount, 4095)
  assert.ok(4095 * MIB <= MAX_RING_BYTES)
})

test('tp_frame_nr is frames a block times blocks, exactly', () => {
  for (const blockBytes of [4096, 8192, 12288, 65536, MIB, 4 * MIB]) {
    for (const blockCount of [2, 3, 64]) {
      const size = frameSize(blockBytes)
      assert.equal(size % 16, 0)
      assert.ok(size <= blockBytes)
      assert.equal(frameCount({ blockBytes, blockCount }), Math.floor(blockBytes / size) * blockCount)
    }
  }
})

test('a ring that holds a time at a rate really does, with minimum-size packets', () => {
  const blockBytes = 65536
  const { blockCount } = ringToHold({ ms: 10, packetsPerSecond: 200_000 }, { blockBytes, blockTimeoutMs: 20, pageSize: PAGE })
  const ring = new KernelRing({ blockBytes, blockCount })
  const frame = new Uint8Array(60)
  let held = 0
  while (ring.receive({ bytes: frame })) held++
  assert.ok(held >= 2000, `${held} packets`)
  // Not wasteful either: what is in hand, a block to finish, two closings, a part of one.
  assert.ok(held <= 2000 + 6 * (blockBytes / MIN_PACKET_FOOTPRINT_BYTES), `${held} packets`)
})

test('a ring that holds a time at a rate loses nothing in a stall of that length, in its simulation', (t) => {
  const random = seededRandom(t)
  for (let round = 0; round < 120; round++) {
    const packetsPerSecond = random.pick([random.between(1, 100), random.between(100, 50_000), random.between(50_000, 1_000_000)])
    const ms = random.between(1, Math.min(random.pick([60, 2000]), 5e8 / packetsPerSecond))
    const blockTimeoutMs = random.pick([20, 20, 1, 5, 60, 1000])
    const blockBytes = random.pick([undefined, undefined, PAGE, 65536, MIB])
    const pageSize = blockBytes === PAGE ? PAGE : random.pick([PAGE, 65536])
    const ring = ringToHold({ ms, packetsPerSecond }, { blockBytes, blockTimeoutMs, pageSize })
    const told = JSON.stringify({ packetsPerSecond, ms, blockTimeoutMs, ...ring })
    assert.equal(ring.blockBytes, blockBytes ?? ring.blockBytes)
    planRing(ring.blockBytes * ring.blockCount, ring.blockBytes, pageSize)
    const atMs = 1000 + random.between(0, 3 * blockTimeoutMs * 1000) / 1000
    const simulated = simulateRing({
      arrivals: { pattern: 'even', packetsPerSecond, durationMs: atMs + 2 * ms + 5 * blockTimeoutMs },
      queue: { packetsPerBlock: packetsPerBlock(ring.blockBytes, MIN_PACKET_FOOTPRINT_BYTES), blockCount: ring.blockCount, blockTimeoutMs },
      // A reader that is busy with up to nine tenths of what comes.
      serviceNs: (random.between(0, 900) / 1000) * (1e9 / packetsPerSecond),
      stalls: [{ atMs, forMs: ms }],
    })
    assert.equal(simulated.droppedByRing, 0, told)
    assert.ok(simulated.arrived > 0, told)
  }
})

test('what was ordered and lost: short holds, with the blocks of the default ring', () => {
  for (const [ms, packetsPerSecond] of [
    [500, 50_000],
    [100, 100_000],
    [1000, 20_000],
    [500, 200_000],
  ] as const) {
    const { blockBytes, blockCount } = ringToHold({ ms, packetsPerSecond }, { blockBytes: undefined, blockTimeoutMs: 20, pageSize: PAGE })
    assert.ok(blockCount >= 8, `${blockCount} blocks`)
    assert.ok(blockBytes * blockCount <= 64 * MIB)
  }
})

test('the block that is chosen leaves 16 of them, the default of the default ring and of larger ones', () => {
  const KIB = 1024
  for (const [ringBytes, blockBytes] of [
    [undefined, 2 * MIB],
    [1024 * MIB, 2 * MIB],
    [64 * MIB, 2 * MIB],
    [32 * MIB, 2 * MIB],
    [16 * MIB, MIB],
    [8 * MIB, 512 * KIB],
    [6 * MIB, 256 * KIB],
    [4 * MIB, 256 * KIB],
    [2 * MIB, 128 * KIB],
    // A packet of 64 KiB that GRO merged fits into no smaller block.
    [MIB, 128 * KIB],
    [256 * KIB, 128 * KIB],
    [128 * KIB, 64 * KIB],
    [2 * PAGE, PAGE],
  ] as const) {
    assert.equal(blockFor(ringBytes, PAGE), blockBytes)
    if (blockBytes >= 128 * KIB) assert.ok(longestPacket(blockBytes) > 65_536)
  }
  assert.equal(blockFor(4 * MIB, 65536), 256 * KIB)
  assert.equal(blockFor(128 * KIB, 65536), 65536)
})

test('the longest packet fits a block whole, beside no other', () => {
  for (const blockBytes of [4096, 65536, MIB]) {
    const ring = new KernelRing({ blockBytes, blockCount: 2 })
    const bytes = new Uint8Array(longestPacket(blockBytes))
    assert.ok(ring.receive({ bytes }))
    assert.equal(ring.active, 0, 'the block was not skipped')
    ring.retire()
    assert.equal(new DataView(ring.memory).getUint32(48 + 12, true), bytes.length)
  }
})

test('shrinking ends at two blocks, each step smaller', () => {
  let geometry: RingGeometry | undefined = { blockBytes: MIB, blockCount: 1000 }
  let steps = 0
  while (geometry !== undefined) {
    const next: RingGeometry | undefined = shrinkRing(geometry)
    if (next === undefined) break
    assert.equal(next.blockBytes, MIB)
    assert.ok(next.blockCount < geometry.blockCount && next.blockCount >= Math.min(geometry.blockCount - 1, Math.floor(geometry.blockCount * 0.95)))
    geometry = next
    steps++
  }
  assert.equal(geometry?.blockCount, 2)
  assert.ok(steps < 200, `${steps} steps`)
  assert.equal(shrinkRing({ blockBytes: MIB, blockCount: 2 }), undefined)
})
