/** The beat of the commands that print a line an interval. */
import { setTimeout as sleep } from 'node:timers/promises'

export interface TickOptions {
  intervalMs: number
  /** The last tick comes at this time. */
  durationMs?: number | undefined
  /** Ends the beat at once, without a tick. */
  signal: AbortSignal
}

/** Seconds since the beginning, at each interval. The beat does not drift: a late tick is not followed by a late one. */
export async function* ticks({ intervalMs, durationMs = Number.POSITIVE_INFINITY, signal }: TickOptions): AsyncGenerator<number> {
  const start = performance.now()
  for (let due = intervalMs; !signal.aborted; due += intervalMs) {
    const at = Math.min(due, durationMs)
    try {
      await sleep(start + at - performance.now(), undefined, { signal })
    } catch {
      return
    }
    yield (performance.now() - start) / 1000
    if (at === durationMs) return
  }
}
