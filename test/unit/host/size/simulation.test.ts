import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { CaptureError } from '#src/errors.js'
import { type RingSimulationOptions, simulateRing } from '#src/host/size/simulation.js'
import { seededRandom } from '../../../support/random.js'

const even = (packetsPerSecond: number, durationMs: number) => ({ pattern: 'even', packetsPerSecond, durationMs }) as const

function close(got: number, expected: number, tolerance: number, what: string): void {
  assert.ok(Math.abs(got - expected) <= tolerance, `${what}: ${got}, expected ${expected} ± ${tolerance}`)
}

/** Of M/D/1 with room for `capacity`, the one in service included: Markov chain at departures (Gross and Harris, Fundamentals of Queueing Theory, M/G/1/K). */
function lossOfMD1K(load: number, capacity: number): number {
  const arrivals = [Math.exp(-load)]
  for (let j = 1; j < capacity; j++) arrivals.push(((arrivals[j - 1] as number) * load) / j)
  const states = [1]
  for (let j = 0; j + 1 < capacity; j++) {
    let next = (states[j] as number) - (states[0] as number) * (arrivals[j] as number)
    for (let i = 1; i <= j; i++) next -= (states[i] as number) * (arrivals[j - i + 1] as number)
    states.push(next / (arrivals[0] as number))
  }
  const empty = 1 / states.reduce((sum, it) => sum + it, 0)
  return 1 - 1 / (empty + load)
}

describe('slots', () => {
  test('overload of even arrivals loses 1 - mu/lambda, whatever the room', () => {
    for (const slots of [2, 10, 1000]) {
      for (const load of [1.25, 2, 5]) {
        const { dropShare, arrived } = simulateRing({ arrivals: even(1e6, 2000), queue: { slots }, serviceNs: load * 1000 })
        close(dropShare, 1 - 1 / load, 0.001 + slots / arrived, `${slots} slots, load ${load}`)
      }
    }
  })

  test('even arrivals that the reader keeps up with lose nothing', () => {
    assert.equal(simulateRing({ arrivals: even(1e6, 1000), queue: { slots: 1 }, serviceNs: 999 }).dropShare, 0)
  })

  test('random arrivals lose what the formula of M/D/1/K says', (t) => {
    const { seed } = seededRandom(t)
    for (const [load, slots] of [
      [0.5, 2],
      [0.8, 5],
      [0.9, 10],
      [1, 3],
      [1.2, 20],
    ] as const) {
      const { dropShare } = simulateRing({
        arrivals: { pattern: 'poisson', packetsPerSecond: 1e6, durationMs: 3000, seed },
        queue: { slots },
        serviceNs: load * 1000,
      })
      const expected = lossOfMD1K(load, slots)
      // 3 million arrivals, but losses come in runs.
      close(dropShare, expected, 0.0005 + expected * 0.05, `load ${load}, ${slots} slots`)
    }
  })
})

test('a reader that had nothing to do wakes up first', () => {
  const options = { arrivals: even(1000, 1000), serviceNs: 0 }
  assert.equal(simulateRing({ ...options, queue: { slots: 1 }, wakeNs: 900_000 }).dropShare, 0)
  assert.equal(simulateRing({ ...options, queue: { slots: 1 }, wakeNs: 1_900_000 }).dropShare, 0.5)
  assert.equal(simulateRing({ ...options, queue: { slots: 3 }, wakeNs: 1_900_000 }).dropShare, 0)
})

describe('a ring of blocks', () => {
  const queue = { packetsPerBlock: 100, blockCount: 10, blockTimeoutMs: 20 }

  test('overload loses 1 - mu/lambda as well', () => {
    for (const load of [1.25, 2, 5]) {
      const { dropShare, freezes } = simulateRing({ arrivals: even(1e6, 2000), queue, serviceNs: load * 1000 })
      close(dropShare, 1 - 1 / load, 0.002, `load ${load}`)
      assert.ok(freezes > 0)
    }
  })

  test('a burst of B packets into a ring that holds R loses B (1 - mu/lambda) - R', () => {
    for (const load of [1.5, 3, 8]) {
      for (const burstPackets of [2000, 10_000]) {
        const { droppedByRing } = simulateRing({
          arrivals: { pattern: 'bursts', packetsPerSecond: 1e6, burstPackets, intervalMs: 1000, durationMs: 1000 },
          queue,
          serviceNs: load * 1000,
        })
        const held = queue.packetsPerBlock * queue.blockCount
        // Room is given back by the block: the one in hand is not free, and one more is the kernel's.
        close(droppedByRing, Math.max(0, burstPackets * (1 - 1 / load) - held), 2 * queue.packetsPerBlock, `load ${load}, ${burstPackets} packets`)
      }
    }
  })

  test('a burst that fits loses nothing, and the next one neither once it is read', () => {
    const arrivals = { pattern: 'bursts', packetsPerSecond: 1e7, burstPackets: 800, intervalMs: 30, durationMs: 300 } as const
    assert.equal(simulateRing({ arrivals, queue, serviceNs: 10_000 }).dropShare, 0)
    assert.ok(simulateRing({ arrivals, queue, serviceNs: 100_000 }).dropShare > 0.5)
  })

  test('a reader that stands still lets the ring fill and freeze once; it thaws as soon as a block is back', () => {
    // 1000 packets fit, those after the stall as well.
    const stalled = simulateRing({ arrivals: even(1e6, 10), queue, serviceNs: 0, stalls: [{ atMs: 0, forMs: 8.9995 }] })
    assert.deepEqual([stalled.arrived, stalled.droppedByRing, stalled.freezes], [10_000, 8000, 1])
  })

  test('packets that fill no block reach the reader when the timer fires', () => {
    // Fewer than a block in all: without the timer the last packets would never have room.
    const sparse: RingSimulationOptions = { arrivals: even(1000, 1000), queue: { ...queue, blockCount: 2 }, serviceNs: 0 }
    assert.deepEqual(simulateRing(sparse), { arrived: 1000, delivered: 1000, droppedByRing: 0, droppedByNic: 0, dropShare: 0, freezes: 0 })
  })

  test('two blocks with one always in hand take a block at a time', () => {
    const { dropShare } = simulateRing({ arrivals: even(1e6, 1000), queue: { ...queue, blockCount: 2 }, serviceNs: 2000 })
    close(dropShare, 0.5, 0.01, 'two blocks')
  })
})

describe('a core that does both', () => {
  const queue = { packetsPerBlock: 1000, blockCount: 8, blockTimeoutMs: 20 }

  test('the reader has what the kernel leaves', () => {
    const options = { arrivals: even(1e6, 2000), queue, serviceNs: 600 }
    assert.equal(simulateRing({ ...options, kernelNs: 700 }).dropShare, 0)
    // 30 % of the core at 600 ns a packet is 0.5 Mpps.
    close(simulateRing({ ...options, kernelNs: 700, sameCore: true }).dropShare, 0.5, 0.01, 'same core')
    assert.equal(simulateRing({ ...options, kernelNs: 300, sameCore: true }).dropShare, 0)
  })

  test('a kernel that is always behind shares: the reader has half of the core, or what it wants of it', () => {
    const nicSlots = 4096
    // 1.2 µs of kernel a packet and 300 ns of reader are 0.667 Mpps.
    const cheap = simulateRing({ arrivals: even(1e6, 2000), queue, serviceNs: 300, kernelNs: 1200, sameCore: true, nicSlots })
    close(cheap.dropShare, 1 - 1 / 1.5, 0.01, 'cheap reader')
    assert.equal(cheap.droppedByRing, 0)
    // Half of the core are 0.2 Mpps at 2.5 µs.
    const dear = simulateRing({ arrivals: even(1e6, 2000), queue, serviceNs: 2500, kernelNs: 1200, sameCore: true, nicSlots })
    close(dear.dropShare, 0.8, 0.01, 'dear reader')
  })

  test('what the kernel itself cannot take is lost in the NIC', () => {
    const { droppedByNic, droppedByRing, arrived } = simulateRing({ arrivals: even(1e6, 1000), queue, serviceNs: 0, kernelNs: 2000, nicSlots: 512 })
    assert.equal(droppedByRing, 0)
    close(droppedByNic / arrived, 0.5, 0.002, 'NIC')
    assert.equal(simulateRing({ arrivals: even(1e6, 1000), queue, serviceNs: 0, kernelNs: 2000 }).dropShare, 0)
  })
})

test('every packet is in one place, and nothing is lost that a larger ring keeps', (t) => {
  const random = seededRandom(t)
  for (let round = 0; round < 60; round++) {
    const packetsPerSecond = random.between(1000, 2_000_000)
    const durationMs = random.between(1, 200)
    const burstPackets = random.between(1, 5000)
    const patterns = [
      even(packetsPerSecond, durationMs),
      { pattern: 'poisson', packetsPerSecond, durationMs, seed: random.word() },
      { pattern: 'bursts', packetsPerSecond, burstPackets, intervalMs: (burstPackets / packetsPerSecond) * 1000 * random.between(1, 10), durationMs },
    ] as const
    const queue = { packetsPerBlock: random.between(1, 500), blockCount: random.between(2, 16), blockTimeoutMs: random.between(1, 50) }
    const options: RingSimulationOptions = {
      arrivals: random.pick(patterns),
      queue,
      serviceNs: random.between(0, 3000),
      blockServiceNs: random.between(0, 3000),
      kernelNs: random.between(0, 2000),
      sameCore: random.oneIn(2),
      nicSlots: random.oneIn(2) ? random.between(1, 4096) : undefined,
      stalls: random.oneIn(2) ? [{ atMs: random.between(0, 50), forMs: random.between(0, 50) }] : undefined,
    }
    const { arrived, delivered, droppedByNic, droppedByRing, dropShare } = simulateRing(options)
    assert.equal(delivered + droppedByNic + droppedByRing, arrived, JSON.stringify(options))
    assert.equal(dropShare, arrived === 0 ? 0 : (droppedByNic + droppedByRing) / arrived)
    const huge = simulateRing({ ...options, queue: { ...queue, blockCount: 2 + Math.ceil(arrived / queue.packetsPerBlock) + Math.ceil(durationMs) } })
    assert.equal(huge.droppedByRing, 0, JSON.stringify(options))
  }
})

test('recorded arrivals are taken as they came', () => {
  const timesNs = Float64Array.from({ length: 1000 }, (_, i) => i * 1000)
  const options = { queue: { slots: 5 }, serviceNs: 1700 }
  assert.deepEqual(simulateRing({ ...options, arrivals: { pattern: 'recorded', timesNs } }), simulateRing({ ...options, arrivals: even(1e6, 1) }))
  assert.equal(simulateRing({ ...options, arrivals: { pattern: 'recorded', timesNs: [] } }).arrived, 0)
})

test('what makes no sense is refused by name', () => {
  const good: RingSimulationOptions = { arrivals: even(1, 1), queue: { slots: 1 }, serviceNs: 1 }
  const wrong: [RegExp, Partial<RingSimulationOptions>][] = [
    [/packetsPerSecond/, { arrivals: even(0, 1) }],
    [/durationMs/, { arrivals: even(1, Number.NaN) }],
    [/burstPackets/, { arrivals: { pattern: 'bursts', packetsPerSecond: 1, burstPackets: 0.5, intervalMs: 1, durationMs: 1 } }],
    [/intervalMs/, { arrivals: { pattern: 'bursts', packetsPerSecond: 1000, burstPackets: 10, intervalMs: 9, durationMs: 1 } }],
    [/slots/, { queue: { slots: 0 } }],
    [/packetsPerBlock/, { queue: { packetsPerBlock: 0, blockCount: 2, blockTimeoutMs: 1 } }],
    [/blockCount/, { queue: { packetsPerBlock: 1, blockCount: 1, blockTimeoutMs: 1 } }],
    [/blockTimeoutMs/, { queue: { packetsPerBlock: 1, blockCount: 2, blockTimeoutMs: 0 } }],
    [/serviceNs/, { serviceNs: -1 }],
    [/nicSlots/, { nicSlots: 0 }],
    [
      /stalls/,
      {
        stalls: [
          { atMs: 5, forMs: 5 },
          { atMs: 9, forMs: 1 },
        ],
      },
    ],
  ]
  for (const [name, options] of wrong) {
    assert.throws(
      () => simulateRing({ ...good, ...options }),
      (error) => error instanceof CaptureError && error.code === 'INVALID_OPTION' && name.test(error.message),
    )
  }
})
