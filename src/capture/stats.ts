/** `capture.stats()`: what was counted in each interval, until the capture ends or nobody wants to know. */
import type { CaptureCounters, CaptureStats, Drops, WorkerCounters } from './api.js'
import { type ClosableIterator, type Closing, closable } from './closable.js'
import { invalid, MAX_TIMER_MS, object } from './plan.js'

/** That a capture has ended, told to those who wait. NB: no promise: one that settles at the end keeps a reaction of every wait before. */
export class CaptureEnd {
  #hasHappened = false
  readonly #waiting = new Set<() => void>()

  get hasHappened(): boolean {
    return this.#hasHappened
  }

  happen(): void {
    this.#hasHappened = true
    for (const wake of this.#waiting) wake()
  }

  /** Calls `wake` at the end, until what it answers is called. */
  listen(wake: () => void): () => void {
    this.#waiting.add(wake)
    return () => this.#waiting.delete(wake)
  }
}

export interface StatsSource {
  counters(): CaptureCounters
  end: CaptureEnd
  /** Of a capture that has ended: the error that ended it. */
  error(): Error | undefined
}

export function statsOf(source: StatsSource, options: { intervalMs?: number } = {}): ClosableIterator<CaptureStats> {
  return closable((closing) => iterate(source, options, closing))
}

async function* iterate({ counters, end, error }: StatsSource, options: { intervalMs?: number }, closing: Closing): AsyncGenerator<CaptureStats, undefined> {
  object('stats()', options)
  const { intervalMs = 1000 } = options
  if (!(Number.isFinite(intervalMs) && intervalMs > 0 && intervalMs <= MAX_TIMER_MS)) {
    throw invalid('intervalMs', `a positive number of milliseconds, at most ${MAX_TIMER_MS}`, intervalMs)
  }
  let before = counters()
  let due = performance.now()
  for (;;) {
    // Kept to a grid, so that a late timer does not shift all that follow.
    due = Math.max(due + intervalMs, performance.now())
    await pause(Math.max(0, due - performance.now()), end, closing)
    if (closing.isClosed) return
    const ended = end.hasHappened
    const failure = ended ? error() : undefined
    if (failure !== undefined) throw failure
    const now = counters()
    // What is left over at the end is an interval too, unless nothing came.
    if (!ended || now.packets !== before.packets || now.dropped !== before.dropped) yield interval(before, now)
    if (ended) return
    before = now
  }
}

/** Until the time is over, the capture has ended, or the iterator is closed. */
function pause(milliseconds: number, end: CaptureEnd, closing: Closing): Promise<void> {
  if (end.hasHappened) return Promise.resolve()
  return new Promise((resolve) => {
    const wake = () => {
      clearTimeout(timer)
      unlisten()
      closing.wake = () => {}
      resolve()
    }
    const timer = setTimeout(wake, milliseconds)
    const unlisten = end.listen(wake)
    closing.wake = wake
  })
}

function dropsBetween(before: Drops, now: Drops): Drops {
  return Object.fromEntries(Object.entries(now).map(([name, value]) => [name, value - before[name as keyof Drops]])) as unknown as Drops
}

/** The difference of two counters, with rates. */
function interval(before: CaptureCounters, now: CaptureCounters): CaptureStats {
  const seconds = now.seconds - before.seconds
  const drops = dropsBetween(before.drops, now.drops)
  const workers = now.workers.map((worker, index) => {
    const past = before.workers[index] as WorkerCounters
    return {
      ...worker,
      packets: worker.packets - past.packets,
      bytes: worker.bytes - past.bytes,
      offered: worker.offered - past.offered,
      drops: dropsBetween(past.drops, worker.drops),
      dropped: worker.dropped - past.dropped,
      freezes: worker.freezes - past.freezes,
      truncated: worker.truncated - past.truncated,
      writtenPackets: worker.writtenPackets - past.writtenPackets,
      writtenBytes: worker.writtenBytes - past.writtenBytes,
      blocks: worker.blocks - past.blocks,
      cpuUserMs: worker.cpuUserMs - past.cpuUserMs,
      cpuSystemMs: worker.cpuSystemMs - past.cpuSystemMs,
    }
  })
  const packets = now.packets - before.packets
  const bytes = now.bytes - before.bytes
  const dropped = now.dropped - before.dropped
  const perSecond = (value: number) => (seconds > 0 ? value / seconds : 0)
  return {
    seconds,
    packets,
    bytes,
    offered: now.offered - before.offered,
    drops,
    dropped,
    freezes: now.freezes - before.freezes,
    truncated: now.truncated - before.truncated,
    writtenPackets: now.writtenPackets - before.writtenPackets,
    writtenBytes: now.writtenBytes - before.writtenBytes,
    workers,
    passed: now.passed - before.passed,
    filtered: now.filtered - before.filtered,
    interfaceDrops: now.interfaceDrops - before.interfaceDrops,
    packetsPerSecond: perSecond(packets),
    bitsPerSecond: perSecond(bytes * 8),
    dropsPerSecond: perSecond(dropped),
    total: now,
  }
}
