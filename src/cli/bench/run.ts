/**
 * One run: a receiver on the testbed, a gentle warm-up flood, the flood at full rate, and an account that is exact to the
 * packet. Everything is measured here, from outside, in the same way for our receiver and for the C twin.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { cpuLoads, readCpuTimes } from '../../host/index.js'
import { type FloodOptions, startFlood, type Testbed, type WireCounters } from '../../testbed/index.js'
import { coreLoads } from './cores.js'
import { type Receiver, type ReceiverInterval, type ReceiverProgram, type ReceiverTotals, startReceiver } from './receiver.js'
import type { Accounting, CoreLoad, RunResult, TimelinePoint } from './result.js'
import { type DriverOverlap, INTERVAL_MS } from './rungs.js'
import { share, sum } from './statistics.js'

export interface RunPlan {
  testbed: Testbed
  seconds: number
  warmupSeconds: number
  flood: Pick<FloodOptions, 'kind' | 'frameBytes' | 'cpus'>
  signal: AbortSignal
  /** Runs beside the flood at full rate, for its length. */
  beside?: ((seconds: number) => Promise<void>) | undefined
}

/**
 * So slow that the bursts of the generator fit into the smallest socket buffer: what the warm-up delivered is then known without
 * asking the receiver. Should it lose some of them, its rate comes out too low by these few thousand packets at most.
 */
const WARMUP_RATE = 5_000
const QUIET_LIMIT_MS = 5_000
const QUIET_STEP_MS = 20

export async function runOnce(program: ReceiverProgram, plan: RunPlan): Promise<RunResult> {
  const { testbed, signal } = plan
  const { inDriver } = program
  const timeline = new Timeline(testbed, inDriver)
  const wireBefore = testbed.wire()
  const receiver = await startReceiver(program, (interval) => timeline.add(interval), signal)
  try {
    const warmUp = await flood({ ...plan, beside: undefined }, receiver, { seconds: plan.warmupSeconds, ratePps: WARMUP_RATE })
    const wireWarm = testbed.wire()
    const timeBefore = receiver.time()

    const full = await flood(plan, receiver, { seconds: plan.seconds, begun: () => timeline.begin() })
    timeline.end()
    const timeAfter = receiver.time()
    const wireAfter = testbed.wire()

    const totals = await receiver.stop()
    const accounting = account(warmUp.sent + full.sent, wireLosses(wireBefore, wireAfter, inDriver), totals, inDriver)
    // Less what the warm-up delivered; see WARMUP_RATE.
    const warmUpLosses = wireLosses(wireBefore, wireWarm, inDriver)
    const received = totals.received - (warmUp.sent - warmUpLosses.wire - warmUpLosses.interface)
    return {
      seconds: full.seconds,
      offered: full.sent,
      received,
      dropped: full.sent - received - accounting.unaccounted,
      userMs: timeAfter.userMs - timeBefore.userMs,
      systemMs: timeAfter.systemMs - timeBefore.systemMs,
      cores: full.cores,
      // The first interval began before the flood, and what comes after the flood is none.
      timeline: timeline.points.filter((point) => point.seconds * 1000 >= 0.9 * INTERVAL_MS && point.seconds <= full.seconds),
      accounting,
    }
  } catch (error) {
    // An interrupted run fails in many ways, of which the interruption is the reason.
    signal.throwIfAborted()
    throw error
  } finally {
    await receiver.kill()
  }
}

interface FloodPart {
  seconds: number
  /** As fast as can be without it. */
  ratePps?: number
  begun?: () => void
}

interface FloodResult {
  sent: number
  seconds: number
  cores: CoreLoad[]
}

/** A flood from its first frame until all that came through has been read. */
async function flood(plan: RunPlan, receiver: Receiver, part: FloodPart): Promise<FloodResult> {
  const { testbed, signal } = plan
  const { seconds, ratePps } = part
  if (seconds === 0) return { sent: 0, seconds: 0, cores: [] }
  const { interface: name, netns } = testbed.sender
  const running = await startFlood({ ...plan.flood, interface: name, netns, signal, ...(ratePps === undefined ? {} : { ratePps }) })
  part.begun?.()
  let ended: { sent: number; seconds: number }
  let cores: CoreLoad[]
  try {
    const before = readCpuTimes()
    await Promise.all([sleep(seconds * 1000, undefined, { signal }), plan.beside?.(seconds)])
    cores = coreLoads(cpuLoads(before, readCpuTimes()))
  } finally {
    ended = await running.stop()
  }
  await quiet(testbed, signal)
  await receiver.idle()
  return { ...ended, cores }
}

/** Waits till what was sent has arrived and no counter of the wire moves: the last frame is delivered or lost. */
async function quiet(testbed: Testbed, signal: AbortSignal): Promise<void> {
  const limit = Date.now() + QUIET_LIMIT_MS
  let before = testbed.wire()
  while (Date.now() < limit) {
    await sleep(QUIET_STEP_MS, undefined, { signal })
    const now = testbed.wire()
    if (now.received === now.sent && now.sent === before.sent) return
    before = now
  }
}

export interface WireLosses {
  /** Frames that the receiver's queue had no room for. */
  wire: number
  /** Frames that the receiving interface lost before any socket could see them. */
  interface: number
}

export function wireLosses(before: WireCounters, after: WireCounters, inDriver: DriverOverlap): WireLosses {
  const interfaceDrops = ({ receiverDrops }: WireCounters) =>
    sum(Object.entries(receiverDrops).map(([counter, lost]) => (inDriver.received.includes(counter) ? 0 : lost)))
  return { wire: after.refused - before.refused, interface: interfaceDrops(after) - interfaceDrops(before) }
}

export function account(offered: number, wire: WireLosses, totals: ReceiverTotals, inDriver: DriverOverlap): Accounting {
  const twice = sum(inDriver.drops.map((place) => totals.drops[place] ?? 0))
  const drops = { ...wire, interface: Math.max(0, wire.interface - twice), ...totals.drops }
  return { offered, received: totals.received, drops, unaccounted: offered - totals.received - sum(Object.values(drops)) }
}

/** What the receiver says each interval, with what the wire lost in the same time. */
class Timeline {
  readonly points: TimelinePoint[] = []
  readonly #testbed: Testbed
  readonly #inDriver: DriverOverlap
  #startedAt: number | undefined
  #readAt = 0
  #wire: WireCounters

  constructor(testbed: Testbed, inDriver: DriverOverlap) {
    this.#testbed = testbed
    this.#inDriver = inDriver
    this.#wire = testbed.wire()
  }

  begin(): void {
    this.#startedAt = performance.now()
    this.#readAt = this.#startedAt
    this.#wire = this.#testbed.wire()
  }

  end(): void {
    this.#startedAt = undefined
  }

  add(interval: ReceiverInterval): void {
    if (this.#startedAt === undefined) return
    const now = performance.now()
    const wire = this.#testbed.wire()
    const perSecond = (lost: number) => share(lost * 1000, now - this.#readAt)
    const losses = wireLosses(this.#wire, wire, this.#inDriver)
    const lost = perSecond(losses.interface)
    const dropped = perSecond(losses.wire) + (this.#inDriver.drops.length > 0 ? Math.max(lost, interval.dropped) : lost + interval.dropped)
    this.points.push({ seconds: (now - this.#startedAt) / 1000, received: interval.received, dropped })
    this.#readAt = now
    this.#wire = wire
  }
}
