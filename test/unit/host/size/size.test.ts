import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { CaptureError } from '#src/errors.js'
import { defaultCosts, measuredCosts } from '#src/host/size/costs.js'
import { lineRate, type SizeOptions, sizeCapture } from '#src/host/size/size.js'
import { frameCount, longestPacket, packetFootprint, packetsPerBlock, planRing } from '#src/ring/geometry.js'
import { seededRandom } from '../../../support/random.js'

const GIB = 2 ** 30
const MACHINE = { cores: 16, memoryBytes: 64 * GIB }
const COSTS = () => ({ kernelNs: 400, workerNs: 100, source: 'a test' })

describe('rates', () => {
  test('10G carries 14.88 million frames of 64 bytes, 812744 of 1518', () => {
    assert.equal(Math.round(lineRate(10e9, 64)), 14_880_952)
    assert.equal(Math.round(lineRate(10e9, 1518)), 812_744)
    const { packetsPerSecond, linePacketsPerSecond } = sizeCapture({ ...MACHINE, lineBitsPerSecond: 10e9 })
    assert.equal(packetsPerSecond, linePacketsPerSecond)
  })

  test('a rate is on the slowest link that carries it, and 14.88 Mpps is 10G', () => {
    const speedOf = (packetsPerSecond: number, frameBytes = 64) => sizeCapture({ ...MACHINE, packetsPerSecond, frameBytes }).lineBitsPerSecond / 1e9
    assert.deepEqual(
      [1e6, 2e6, 14.88e6, 15e6, 40e6].map((rate) => speedOf(rate)),
      [1, 10, 10, 25, 40],
    )
    assert.equal(speedOf(1e6, 1518), 25)
  })
})

test('workers are as many as keep a core below the load; load is their share of the cost', () => {
  // 8 Mpps at 500 ns are 4 cores, at 80 % of each 5.
  const size = sizeCapture({ ...MACHINE, packetsPerSecond: 8e6, costs: COSTS, backend: 'ring' })
  assert.deepEqual([size.workers, size.workersNeeded, size.fits], [5, 5, true])
  assert.deepEqual(
    Object.values(size.load).map((part) => Math.round(part * 1000)),
    [640, 160, 800],
  )
  const withHandler = sizeCapture({ ...MACHINE, packetsPerSecond: 8e6, costs: COSTS, backend: 'ring', handlerNs: 300 })
  assert.equal(withHandler.workers, 8)
  assert.equal(sizeCapture({ ...MACHINE, packetsPerSecond: 8e6, costs: COSTS, backend: 'ring', load: 0.5 }).workers, 8)
})

test('what does not fit says what it is short of, and the simulation loses it', () => {
  const size = sizeCapture({ ...MACHINE, cores: 2, packetsPerSecond: 8e6, costs: COSTS, backend: 'ring' })
  assert.deepEqual([size.workers, size.workersNeeded, size.fits], [2, 5, false])
  assert.match(size.shortOf.join('; '), /^5 cores, for 80 % of each, and there are 2$/)
  // The kernel alone is 160 % of a core.
  assert.ok(size.simulated.dropShare > 0.3, String(size.simulated.dropShare))
  const poor = sizeCapture({ ...MACHINE, memoryBytes: 2 ** 20, packetsPerSecond: 1e6, costs: COSTS, backend: 'ring' })
  assert.match(poor.shortOf.join('; '), /^\d+ MiB of memory, and 1 MiB are to be had$/)
})

test('bursts that the cores cannot take do not fit, though the average does', () => {
  const options = { ...MACHINE, cores: 2, packetsPerSecond: 1e6, costs: COSTS, backend: 'ring' } as const
  assert.equal(sizeCapture({ ...options, lineBitsPerSecond: 1e9 }).fits, true)
  const size = sizeCapture({ ...options, lineBitsPerSecond: 10e9, burstMs: 10 })
  assert.equal(size.fits, false)
  assert.match(size.shortOf.join('; '), /^8 cores for bursts of 10 ms, in which the line is full: with 1 a share of 0\.\d+ is lost$/)
  assert.equal(sizeCapture({ ...options, lineBitsPerSecond: 10e9, burstMs: 0.1 }).fits, true)
})

test('what bursts lack is told whatever else is short, and what rings lack in what they must hold', () => {
  const options = { cores: 8, memoryBytes: 64 * GIB, packetsPerSecond: 1e6, lineBitsPerSecond: 40e9, burstMs: 100, backend: 'xdp' } as const
  const { shortOf, workers, workersNeeded, survives, simulated } = sizeCapture(options)
  assert.equal(shortOf.length, 2)
  assert.match(shortOf[0] as string, /^16 cores for bursts of 100 ms, in which the line is full: with 8 a share of 0\.\d+ is lost$/)
  assert.ok(simulated.droppedByNic > 0)
  // A stall at the average rate they do hold; 59.5 million a second for a tenth of one beside it they do not.
  assert.ok(survives.stallMs > 4000)
  assert.equal(shortOf[1], '12 workers, for the rings of 8 hold 4.19 million of the 6.05 million packets of a stall of 100 ms and a burst of 100 ms')
  assert.deepEqual([workers, workersNeeded], [8, 16])
  // With what it says is missing, it fits.
  const enough = sizeCapture({ ...options, cores: workersNeeded })
  assert.deepEqual([enough.fits, enough.workers, enough.survives.burstMs], [true, 16, null])
  const poor = sizeCapture({ ...options, cores: 15, memoryBytes: GIB })
  assert.deepEqual(
    poor.shortOf.map((text) => text.replace(/ .*/, '')),
    ['16', '12288'],
  )
})

test('a burst longer than a stall need not be held where the cores keep up with it', () => {
  const options = { cores: 256, memoryBytes: 900 * GIB, packetsPerSecond: 1e6, lineBitsPerSecond: 400e9, burstMs: 1000 } as const
  const size = sizeCapture(options)
  assert.deepEqual([size.fits, size.shortOf, size.simulated.dropShare, size.simulatedStall?.dropShare], [true, [], 0, 0])
  // Where they do not, they must hold what is left: 1.63 of 7.44 Mpps are handled, 5.81 Mpps x 0.9 s and a stall are left.
  const slow = { ...options, cores: 4, lineBitsPerSecond: 5e9, backend: 'ring', costs: () => ({ kernelNs: 100, workerNs: 2000, source: '' }) } as const
  const { ring, survives } = sizeCapture(slow)
  const line = lineRate(5e9, 64)
  const handled = (4 * (1e9 - (line / 4) * 100)) / 2000
  assert.ok(ring.packets * 4 >= 1e5 + line * 0.1 + (line - handled) * 0.9, JSON.stringify(ring))
  assert.ok((survives.burstMs as number) >= 900, JSON.stringify(survives))
})

test('auto takes the ring where it fits, and xdp where only that does', () => {
  const costs = (backend: 'ring' | 'xdp') => ({ ...COSTS(), kernelNs: backend === 'ring' ? 700 : 100 })
  assert.equal(sizeCapture({ ...MACHINE, packetsPerSecond: 1e6, lineBitsPerSecond: 1e9, costs }).backend, 'ring')
  const size = sizeCapture({ ...MACHINE, cores: 2, packetsPerSecond: 5e6, costs })
  assert.deepEqual([size.backend, size.fits], ['xdp', true])
})

test('a ring that was sized holds what it was sized for, whatever the rate, and obeys the kernel', (t) => {
  const random = seededRandom(t)
  let held = 0
  for (let round = 0; round < 40; round++) {
    const options: SizeOptions = {
      ...MACHINE,
      memoryBytes: 4096 * GIB,
      cores: 256,
      packetsPerSecond: random.between(1000, 2_000_000),
      frameBytes: random.between(64, 1518),
      lineBitsPerSecond: random.pick([undefined, 100e9]),
      holdMs: random.between(1, 300),
      burstMs: random.between(1, 5),
      backend: random.pick(['ring', 'xdp']),
      load: 0.5,
      pageSizeBytes: random.pick([4096, 65536]),
    }
    const { ring, fits, simulated, simulatedStall, survives, workers, costs, linePacketsPerSecond } = sizeCapture(options)
    const told = JSON.stringify({ options, ring })
    assert.ok(survives.stallMs >= (options.holdMs as number), told)
    if ('blockBytes' in ring) {
      assert.deepEqual(planRing(ring.bytes, ring.blockBytes, options.pageSizeBytes as number), { blockBytes: ring.blockBytes, blockCount: ring.blockCount })
      assert.ok(frameCount(ring) > 0 && longestPacket(ring.blockBytes) > 1518)
    } else {
      assert.ok(Number.isInteger(Math.log2(ring.bytes)) && ring.bytes <= GIB && ring.chunkBytes === 2048, told)
    }
    // Bursts at 100G may be more than the kernel takes on its cores.
    if ((linePacketsPerSecond / workers) * costs.kernelNs > 1e9) continue
    assert.ok(fits, told)
    assert.equal(simulated.dropShare, 0, told)
    held++
    assert.equal(simulatedStall?.dropShare, 0, told)
  }
  assert.ok(held >= 5, `${held} rounds`)
})

test('a reader that stood still into a burst is woken on the little of its core that the kernel leaves, and is held as well', () => {
  const options = { ...MACHINE, cores: 256, lineBitsPerSecond: 100e9, holdMs: 1, load: 0.5 } as const
  for (const [backend, packetsPerSecond, frameBytes, burstMs] of [
    ['ring', 938_480, 1306, 3],
    ['xdp', 755_689, 837, 5],
  ] as const) {
    const size = sizeCapture({ ...options, backend, packetsPerSecond, frameBytes, burstMs })
    assert.deepEqual([size.fits, size.shortOf, size.simulatedStall?.dropShare], [true, [], 0], backend)
  }
})

test('a stall that meets a burst is held as well, not much more', () => {
  const options = { ...MACHINE, packetsPerSecond: 1e6, lineBitsPerSecond: 1e9, holdMs: 50, burstMs: 10, costs: COSTS, backend: 'ring' } as const
  const size = sizeCapture(options)
  assert.equal(size.simulatedStall?.dropShare, 0)
  assert.ok(size.ring.packets >= 50_000 + 14_880 && size.ring.packets < 90_000, JSON.stringify(size.ring))
  assert.ok(sizeCapture({ ...options, burstMs: 40 }).ring.packets >= 50_000 + 40 * 1488)
})

test('packets that are rarer than the timer have a block each, and no more are ordered', () => {
  const size = sizeCapture({ cores: 1, memoryBytes: 64 * GIB, packetsPerSecond: 1, holdMs: 10_000, backend: 'ring' })
  assert.deepEqual([size.fits, size.simulatedStall?.dropShare], [true, 0])
  assert.ok(size.ring.bytes <= 4 * 2 ** 20, JSON.stringify(size.ring))
  assert.ok(size.survives.stallMs >= 10_000, JSON.stringify(size.survives))
  const often = sizeCapture({ cores: 1, memoryBytes: 64 * GIB, packetsPerSecond: 200, holdMs: 1000, backend: 'ring' })
  assert.deepEqual([often.fits, often.simulatedStall?.dropShare], [true, 0])
  assert.ok(often.survives.stallMs >= 1000 && 'blockCount' in often.ring && often.ring.blockCount < 100, JSON.stringify(often))
})

test('a ring may not be 4 GiB or more: then there are more workers than the rate asks for', () => {
  const cheap = () => ({ kernelNs: 10, workerNs: 10, source: '' })
  const options = { ...MACHINE, memoryBytes: 1024 * GIB, packetsPerSecond: 5e6, holdMs: 10_000, backend: 'ring', costs: cheap } as const
  const { fits, workers, ring } = sizeCapture(options)
  assert.ok(fits && workers === 3 && ring.bytes < 4 * GIB, JSON.stringify(ring))
  const few = sizeCapture({ ...options, cores: 1 })
  assert.equal(few.fits, false)
  assert.match(few.shortOf.join('; '), /^3 workers, for a ring of theirs holds no more than \d+ ms of the 10000 ms$/)
})

test('a stall of seconds is simulated as a whole, whatever it is in packets', () => {
  // 10.6 million packets a worker.
  const size = sizeCapture({ cores: 64, memoryBytes: 256 * GIB, lineBitsPerSecond: 10e9, holdMs: 10_000 })
  assert.deepEqual([size.fits, size.backend, size.workers], [true, 'ring', 14])
  assert.ok((size.simulatedStall?.arrived ?? 0) > (size.packetsPerSecond / size.workers) * 10)
  assert.equal(size.simulatedStall?.dropShare, 0)
  const few = sizeCapture({ cores: 64, memoryBytes: 256 * GIB, lineBitsPerSecond: 10e9, holdMs: 10_000, backend: 'xdp' })
  assert.equal(few.fits, false)
  // What the chunks of all do not hold of ten seconds.
  const lost = (few.simulatedStall?.droppedByRing ?? 0) / ((few.packetsPerSecond / few.workers) * 10)
  assert.ok(Math.abs(lost - (1 - few.survives.stallMs / 10_000)) < 0.001, String(lost))
})

test('a stall of more packets than any ring holds is not simulated: what the ring holds decides', () => {
  const cheap = () => ({ kernelNs: 1, workerNs: 1, source: '' })
  const options = { cores: 1, memoryBytes: 64 * GIB, backend: 'ring', costs: cheap } as const
  const much = sizeCapture({ ...options, packetsPerSecond: 50e6, holdMs: 10_000 })
  assert.deepEqual([much.fits, much.simulatedStall], [false, null])
  assert.ok(much.survives.stallMs < 10_000)
  // 24.6 million packets in a burst, and another after more than six hours.
  const rare = sizeCapture({ ...options, packetsPerSecond: 1000, lineBitsPerSecond: 33e9, burstMs: 500 })
  assert.deepEqual([rare.fits, rare.simulatedStall, rare.simulated.dropShare], [true, null, 0])
  assert.ok(rare.survives.stallMs >= 100)
})

test('how long a full line is survived: for ever, by the ring, or by the NIC', () => {
  const burstOf = (kernelNs: number, workerNs: number) =>
    sizeCapture({ ...MACHINE, cores: 1, backend: 'ring', packetsPerSecond: 1e5, lineBitsPerSecond: 1e9, costs: () => ({ kernelNs, workerNs, source: '' }) })
  assert.equal(burstOf(100, 100).survives.burstMs, null)
  const ring = burstOf(300, 600)
  // 1.488 Mpps leave 55 % of the core, 0.92 Mpps at 600 ns.
  const expected = (ring.ring.packets / (lineRate(1e9, 64) - (1e9 - lineRate(1e9, 64) * 300) / 600)) * 1000
  assert.ok(Math.abs((ring.survives.burstMs as number) - expected) < 1e-6)
  const nic = burstOf(1000, 0)
  assert.ok(Math.abs((nic.survives.burstMs as number) - (4096 / (lineRate(1e9, 64) - 1e6)) * 1000) < 1e-6)
})

test('options that are none of this world are refused by name', () => {
  const wrong: [RegExp, object][] = [
    [/packetsPerSecond/, {}],
    [/packetsPerSecond/, { packetsPerSecond: 2e6, lineBitsPerSecond: 1e9 }],
    [/frameBytes/, { packetsPerSecond: 1, frameBytes: 63 }],
    [/frameBytes/, { packetsPerSecond: 1, frameBytes: 9000, backend: 'xdp' }],
    [/cores/, { packetsPerSecond: 1, cores: 0 }],
    [/holdMs/, { packetsPerSecond: 1, holdMs: -1 }],
    [/load/, { packetsPerSecond: 1, load: 2 }],
    [/backend/, { packetsPerSecond: 1, backend: 'recv' }],
  ]
  for (const [name, options] of wrong) {
    assert.throws(
      () => sizeCapture({ ...MACHINE, ...options }),
      (error) => error instanceof CaptureError && error.code === 'INVALID_OPTION' && name.test(error.message),
    )
  }
})

describe('costs', () => {
  const rung = (name: string, received: number, user: number, idle = 0) => ({
    name,
    received,
    userNsPerPacket: user,
    systemNsPerPacket: 5,
    cores: [
      { idle, steal: 0 },
      { idle, steal: 0 },
    ],
  })
  const bench = {
    type: 'bench',
    startedAt: '2026-01-01T00:00:00Z',
    machine: { cpu: 'A CPU', kernel: '6.18' },
    rungs: [rung('ring+fanout', 2e6, 25), rung('xdp', 5e6, 15), rung('kernel count', 10e6, 0)],
  }

  test('a bench is what its rungs took more than counting in the kernel, and a driver', () => {
    // 2 cores for 2 Mpps are 1000 ns, less 200 for the baseline and 30 of the worker.
    const ring = measuredCosts(bench, 'ring')
    assert.deepEqual([Math.round(ring.kernelNs), ring.workerNs], [830, 30])
    assert.equal(ring.source, 'ringtap bench of 2026-01-01T00:00:00Z (A CPU, Linux 6.18)')
    assert.deepEqual([Math.round(measuredCosts(bench, 'xdp').kernelNs), measuredCosts(bench, 'xdp').workerNs], [240, 20])
    const idle = { ...bench, rungs: [rung('xdp', 5e6, 15, 0.25), rung('kernel count', 10e6, 0)] }
    assert.equal(Math.round(measuredCosts(idle, 'xdp').kernelNs), 140)
  })

  test('the defaults are the figures of the README', () => {
    const ring = defaultCosts('ring')
    const xdp = defaultCosts('xdp')
    assert.ok(Math.abs(ring.kernelNs - 60 + ring.workerNs - (2e9 / 2.34e6 - 2e9 / 10.9e6)) < 5)
    assert.ok(Math.abs(xdp.kernelNs - 60 + xdp.workerNs - (2e9 / 5.25e6 - 2e9 / 10.9e6)) < 5)
  })

  test('what is no such document is refused', () => {
    for (const [wrong, what] of [
      [undefined, /ringtap bench --json/],
      [{ type: 'size', rungs: [] }, /ringtap bench --json/],
      [{ type: 'bench', rungs: [{ name: 'xdp' }] }, /rung xdp, got none/],
      [{ ...bench, rungs: bench.rungs.slice(0, 2) }, /rung kernel count, got ring\+fanout, xdp/],
    ] as const) {
      assert.throws(
        () => measuredCosts(wrong, 'xdp'),
        (error) => error instanceof CaptureError && error.code === 'INVALID_OPTION' && what.test(error.message),
      )
    }
  })
})

test('a packet takes the room that the kernel gives it', () => {
  assert.deepEqual([60, 61, 62, 63, 1514].map(packetFootprint), [144, 144, 144, 152, 1600])
  // 48 of header, and 2^21 is not reached: 14563 x 144 + 48 = 2097120.
  assert.equal(packetsPerBlock(2 ** 21, 144), 14_563)
  assert.equal(packetsPerBlock(48 + 10 * 144, 144), 9)
})
