/**
 * What becomes of packets between the wire and a handler, simulated packet by packet: arrivals, the kernel's work on each, a ring, a reader.
 * Pure; about 20 ns a packet. Time is in nanoseconds.
 *
 * One core may do both: then the kernel comes first, as a softirq does, and the reader has what is left. A kernel that finds no end hands
 * over to ksoftirqd, a thread like the reader: then the reader may have half of the core.
 */
import { CaptureError } from '../../errors.js'
import { type Arrivals, arrivalTimes } from './arrivals.js'
import { type BlockQueue, BlockRing, type PacketQueue, type SlotQueue, Slots } from './packet-queue.js'

export interface RingSimulationOptions {
  arrivals: Arrivals
  queue: BlockQueue | SlotQueue
  /** CPU time of the reader for each packet, nanoseconds. */
  serviceNs: number
  /** CPU time of the reader for what it takes at once, a block or a slot, beside its packets. Default 0. */
  blockServiceNs?: number | undefined
  /** From the moment that there is something for a reader that had nothing to do until it has it. Default 0. */
  wakeNs?: number | undefined
  /** CPU time of the kernel for each packet. Default 0. */
  kernelNs?: number | undefined
  /** The kernel works on the reader's core, and first. Default false: on another. */
  sameCore?: boolean | undefined
  /** Packets that the NIC holds for the kernel (its RX ring). Default: any number. */
  nicSlots?: number | undefined
  /** Times in which the reader does nothing: ascending, apart. Default: none. */
  stalls?: readonly { atMs: number; forMs: number }[] | undefined
}

export interface RingSimulation {
  arrived: number
  /** Handed to the reader, or in the ring at the end. */
  delivered: number
  /** Lost for want of room in the ring. */
  droppedByRing: number
  /** Lost in the NIC, for the kernel was behind. */
  droppedByNic: number
  /** Lost, of those that arrived, 0 to 1. */
  dropShare: number
  /** Of a ring of blocks: times that it froze (`tp_freeze_q_cnt`). */
  freezes: number
}

/** MAX_SOFTIRQ_TIME of kernel/softirq.c. */
const KSOFTIRQD_AFTER_NS = 2e6

/**
 * Simulates one ring and its reader.
 * @throws CaptureError INVALID_OPTION
 */
export function simulateRing(options: RingSimulationOptions): RingSimulation {
  check(options)
  const { kernelNs = 0, sameCore = false, nicSlots = Number.POSITIVE_INFINITY } = options
  const queue = 'slots' in options.queue ? new Slots(options.queue) : new BlockRing(options.queue)
  const reader = new Reader(queue, options)
  const nextArrival = arrivalTimes(options.arrivals)
  let nextTick = queue.tickNs
  let kernelFree = 0
  /** When the kernel last had nothing to do. */
  let busySince = 0
  let arrived = 0
  let droppedByNic = 0
  let droppedByRing = 0
  for (let arrival = nextArrival(); arrival !== Number.POSITIVE_INFINITY; arrival = nextArrival()) {
    arrived++
    // NB: with a kernel that costs nothing, 0 / 0 must not come up.
    if (kernelFree > arrival && (kernelFree - arrival) / kernelNs >= nicSlots) {
      droppedByNic++
      continue
    }
    if (kernelFree <= arrival) busySince = arrival
    let start = Math.max(arrival, kernelFree)
    while (nextTick <= start) {
      reader.runUntil(nextTick)
      queue.tick()
      nextTick += queue.tickNs
    }
    if (sameCore) {
      reader.runUntil(start)
      if (start - busySince > KSOFTIRQD_AFTER_NS) start += reader.workFor(kernelNs)
    }
    const done = start + kernelNs
    if (sameCore) reader.skipTo(done)
    else reader.runUntil(done)
    kernelFree = done
    if (!queue.offer()) droppedByRing++
  }
  const dropped = droppedByNic + droppedByRing
  return { arrived, delivered: arrived - dropped, droppedByRing, droppedByNic, dropShare: arrived === 0 ? 0 : dropped / arrived, freezes: queue.freezes }
}

class Reader {
  readonly #queue: PacketQueue
  readonly #serviceNs: number
  readonly #blockServiceNs: number
  readonly #wakeNs: number
  readonly #stalls: readonly { from: number; to: number }[]
  #stall = 0
  #now = 0
  /** Time that it has worked. */
  #worked = 0
  /** Work left on what it has in hand. */
  #left = 0
  #hasBlock = false
  #sleeps = true

  constructor(queue: PacketQueue, { serviceNs, blockServiceNs = 0, wakeNs = 0, stalls = [] }: RingSimulationOptions) {
    this.#queue = queue
    this.#serviceNs = serviceNs
    this.#blockServiceNs = blockServiceNs
    this.#wakeNs = wakeNs
    this.#stalls = stalls.map(({ atMs, forMs }) => ({ from: atMs * 1e6, to: (atMs + forMs) * 1e6 }))
  }

  /** Works, or waits, until then. */
  runUntil(time: number): void {
    for (;;) {
      const stall = this.#stalls[this.#stall]
      this.#workUntil(Math.min(time, stall?.from ?? time))
      if (stall === undefined || stall.from >= time) return
      this.skipTo(Math.min(time, stall.to))
      if (stall.to > time) return
      this.#stall++
    }
  }

  /** Answers how much of this time it has used. */
  workFor(time: number): number {
    const before = this.#worked
    this.runUntil(this.#now + time)
    return this.#worked - before
  }

  /** The core is someone else's until then. */
  skipTo(time: number): void {
    if (time > this.#now) this.#now = time
  }

  #workUntil(time: number): void {
    while (this.#now < time) {
      if (!this.#hasBlock) {
        const packets = this.#queue.take()
        if (packets === 0) {
          // Nothing comes before `time`: the caller stops at everything that does.
          this.#now = time
          this.#sleeps = true
          return
        }
        this.#hasBlock = true
        this.#left = packets * this.#serviceNs + this.#blockServiceNs + (this.#sleeps ? this.#wakeNs : 0)
        this.#sleeps = false
      }
      const free = time - this.#now
      if (this.#left > free) {
        this.#left -= free
        this.#worked += free
        this.#now = time
        return
      }
      this.#now += this.#left
      this.#worked += this.#left
      this.#hasBlock = false
      this.#queue.release()
    }
  }
}

function check({ arrivals, queue, serviceNs, blockServiceNs = 0, kernelNs = 0, wakeNs = 0, nicSlots = 1, stalls = [] }: RingSimulationOptions): void {
  if (arrivals.pattern !== 'recorded') {
    positive('arrivals.packetsPerSecond', arrivals.packetsPerSecond)
    positive('arrivals.durationMs', arrivals.durationMs)
  }
  if (arrivals.pattern === 'bursts') {
    whole('arrivals.burstPackets', arrivals.burstPackets, 1)
    positive('arrivals.intervalMs', arrivals.intervalMs)
    const lastsMs = (arrivals.burstPackets / arrivals.packetsPerSecond) * 1000
    if (lastsMs > arrivals.intervalMs * (1 + 1e-9)) throw invalid('arrivals.intervalMs', `at least the ${lastsMs} ms that a burst lasts`, arrivals.intervalMs)
  }
  if ('slots' in queue) {
    whole('queue.slots', queue.slots, 1)
  } else {
    whole('queue.packetsPerBlock', queue.packetsPerBlock, 1)
    whole('queue.blockCount', queue.blockCount, 2)
    positive('queue.blockTimeoutMs', queue.blockTimeoutMs)
  }
  for (const [name, value] of Object.entries({ serviceNs, blockServiceNs, wakeNs, kernelNs })) {
    if (!(value >= 0 && value < Number.POSITIVE_INFINITY)) throw invalid(name, 'a number of nanoseconds', value)
  }
  if (!(nicSlots >= 1)) throw invalid('nicSlots', 'at least 1', nicSlots)
  let end = 0
  for (const { atMs, forMs } of stalls) {
    if (!(atMs >= end && forMs >= 0)) throw invalid('stalls', 'times in order and apart', `${atMs} ms for ${forMs} ms`)
    end = atMs + forMs
  }
}

function positive(option: string, value: number): void {
  if (!(value > 0 && value < Number.POSITIVE_INFINITY)) throw invalid(option, 'above 0', value)
}

function whole(option: string, value: number, min: number): void {
  if (!Number.isSafeInteger(value) || value < min) throw invalid(option, `a whole number, at least ${min}`, value)
}

function invalid(option: string, expected: string, got: unknown): CaptureError {
  return new CaptureError('INVALID_OPTION', `Expected ${option} to be ${expected}, got ${got} (${typeof got})`)
}
