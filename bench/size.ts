/**
 * The simulation behind `ringtap size` beside what a ring really loses: floods of a testbed into rings that are too small, and handlers
 * that are too slow, by known amounts. One sender on the first CPU, the worker on another. Each run is 1.5 s or shorter. Needs root.
 *
 * What goes into the simulation is the handler's cost, which is a busy loop, the ring, how many packets came in how long, and the speed
 * within a burst, taken from floods that nothing held back. It is right when share lost, measured and simulated, are within a factor of 1.5.
 *
 *   npm run bench:size
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { type Arrivals, simulateRing } from '#src/host/index.js'
import { type Capture, openCapture } from '#src/index.js'
import { packetFootprint, packetsPerBlock } from '#src/ring/geometry.js'
import { createTestbed, startFlood, type Testbed } from '#src/testbed/index.js'

const FRAME_BYTES = 60
const BLOCK_TIMEOUT_MS = 20
/** What a block costs a worker beside its packets (src/capture/loop.ts). */
const BLOCK_NS = 1000
/** Of a thread in poll(2). */
const WAKE_NS = 30_000
const RIGHT_WITHIN = 1.5

interface Point {
  name: string
  handlerNs: number
  blockBytes: number
  blockCount: number
  flood: { ratePps: number; durationMs: number } | { count: number }
}

const KIB = 1024
const STEADY = { ratePps: 500_000, durationMs: 1000 }
const RINGS = { small: { blockBytes: 64 * KIB, blockCount: 8 }, large: { blockBytes: 256 * KIB, blockCount: 32 } } as const

const POINTS: readonly Point[] = [
  ...[3000, 5000, 10_000].flatMap((handlerNs) =>
    Object.entries(RINGS).map(([size, ring]) => ({ name: `steady, ${size} ring`, handlerNs, ...ring, flood: STEADY })),
  ),
  // A reader that keeps up on average, and a ring that does not hold what comes in a millisecond.
  { name: 'bursts of 1 ms', handlerNs: 1200, blockBytes: 16 * KIB, blockCount: 2, flood: STEADY },
  { name: 'bursts of 1 ms', handlerNs: 1500, blockBytes: 4 * KIB, blockCount: 4, flood: STEADY },
  // All at once, as fast as it goes: the ring keeps what it holds.
  { name: 'one burst', handlerNs: 5000, blockBytes: 256 * KIB, blockCount: 16, flood: { count: 100_000 } },
  { name: 'one burst', handlerNs: 2000, blockBytes: 256 * KIB, blockCount: 32, flood: { count: 200_000 } },
]

interface Measured {
  arrived: number
  lost: number
  seconds: number
}

async function measure(testbed: Testbed, { handlerNs, blockBytes, blockCount, flood }: Point): Promise<Measured> {
  await using capture = await openCapture({
    ...testbed.receiver,
    backend: 'ring',
    pin: [WORKER_CPU],
    blockBytes,
    ringBytes: blockBytes * blockCount,
    blockTimeoutMs: BLOCK_TIMEOUT_MS,
    handler: new URL('./handlers/spin.js', import.meta.url),
    handlerData: { ns: handlerNs },
  })
  const before = testbed.wire().received
  const { seconds } = await (await startFlood({ ...testbed.sender, cpus: [FLOOD_CPU], frameBytes: FRAME_BYTES, ...flood })).finished
  const arrived = await allHandled(testbed, capture, before)
  const { drops } = await capture.stop()
  return { arrived, lost: drops.ring, seconds }
}

/** Until the wire is quiet and the worker has had what the ring kept; answers how many came. */
async function allHandled(testbed: Testbed, capture: Capture, before: number): Promise<number> {
  for (;;) {
    const { received, sent } = testbed.wire()
    const { packets, dropped } = capture.counters()
    if (received === sent && packets + dropped === received - before) return received - before
    await sleep(20)
  }
}

/** When the packets of a paced flood come: in bursts, for it sends once a millisecond what is due. */
async function recordArrivals(testbed: Testbed): Promise<Float64Array> {
  const most = 2 * STEADY.ratePps * (STEADY.durationMs / 1000)
  await using capture = await openCapture({
    ...testbed.receiver,
    pin: [WORKER_CPU],
    handler: new URL('./handlers/arrivals.js', import.meta.url),
    handlerData: { most },
  })
  const before = testbed.wire().received
  await (await startFlood({ ...testbed.sender, cpus: [FLOOD_CPU], frameBytes: FRAME_BYTES, ...STEADY })).finished
  const arrived = await allHandled(testbed, capture, before)
  const times = await capture.snapshot<Float64Array>()
  if (times?.length !== arrived) throw new Error(`${arrived} packets came, ${times?.length} were seen`)
  return times
}

function arrivalsOf({ flood }: Point, { arrived, seconds }: Measured, timesNs: Float64Array): Arrivals {
  return 'count' in flood ? { pattern: 'even', packetsPerSecond: arrived / seconds, durationMs: seconds * 1000 } : { pattern: 'recorded', timesNs }
}

function simulate(point: Point, measured: Measured, timesNs: Float64Array): number {
  const { handlerNs, blockBytes, blockCount } = point
  const queue = { packetsPerBlock: packetsPerBlock(blockBytes, packetFootprint(FRAME_BYTES)), blockCount, blockTimeoutMs: BLOCK_TIMEOUT_MS }
  return simulateRing({ arrivals: arrivalsOf(point, measured, timesNs), queue, serviceNs: handlerNs, blockServiceNs: BLOCK_NS, wakeNs: WAKE_NS }).dropShare
}

const FLOOD_CPU = 0
const WORKER_CPU = 1

const percent = (share: number) => `${(share * 100).toFixed(1)} %`
const testbed = createTestbed()
let wrong = 0
try {
  const timesNs = await recordArrivals(testbed)
  console.log(`Node.js ${process.version}; frames of ${FRAME_BYTES} bytes`)
  const widths = [20, 10, 16, 9, 9, 9, 9]
  const line = (cells: readonly string[]) => console.log(cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join('  '))
  line(['', 'handler', 'ring', 'arrived', 'lost', 'simulated', 'factor'])
  for (const point of POINTS) {
    const measured = await measure(testbed, point)
    const lost = measured.lost / measured.arrived
    const simulated = simulate(point, measured, timesNs)
    const factor = simulated / lost
    if (!(factor <= RIGHT_WITHIN && factor >= 1 / RIGHT_WITHIN)) wrong++
    line([
      point.name,
      `${point.handlerNs} ns`,
      `${point.blockCount} x ${point.blockBytes / KIB} KiB`,
      String(measured.arrived),
      percent(lost),
      percent(simulated),
      factor.toFixed(2),
    ])
  }
} finally {
  testbed.close()
}
console.log(wrong === 0 ? `all within a factor of ${RIGHT_WITHIN}` : `${wrong} of ${POINTS.length} are not within a factor of ${RIGHT_WITHIN}`)
process.exitCode = wrong === 0 ? 0 : 1
