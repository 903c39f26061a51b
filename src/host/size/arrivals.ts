/** When packets arrive, for the simulation: nanoseconds from its start, ascending. Pure. */

export type Arrivals =
  /** As even as a clock. */
  | { pattern: 'even'; packetsPerSecond: number; durationMs: number }
  /** At random, independent of each other (a Poisson process); the same for the same seed. */
  | { pattern: 'poisson'; packetsPerSecond: number; durationMs: number; seed: number }
  /** `burstPackets` at once, even at `packetsPerSecond`; then nothing until `intervalMs` after the burst's begin. */
  | { pattern: 'bursts'; packetsPerSecond: number; burstPackets: number; intervalMs: number; durationMs: number }
  /** As they once came: nanoseconds, ascending. */
  | { pattern: 'recorded'; timesNs: ArrayLike<number> }

/** Answers one arrival after another, Infinity when there are no more. */
export function arrivalTimes(arrivals: Arrivals): () => number {
  let made = 0
  if (arrivals.pattern === 'recorded') {
    const { timesNs } = arrivals
    return () => timesNs[made++] ?? Number.POSITIVE_INFINITY
  }
  const end = arrivals.durationMs * 1e6
  const gap = 1e9 / arrivals.packetsPerSecond
  const until = (time: number): number => (time < end ? time : Number.POSITIVE_INFINITY)
  switch (arrivals.pattern) {
    case 'even':
      // Multiplied and not added up: sums of fractions drift.
      return () => until(gap * made++)
    case 'poisson': {
      const uniform = uniformNumbers(arrivals.seed)
      let at = 0
      return () => {
        at -= Math.log(1 - uniform()) * gap
        return until(at)
      }
    }
    case 'bursts': {
      const { burstPackets, intervalMs } = arrivals
      return () => {
        const burst = Math.floor(made / burstPackets)
        return until(burst * intervalMs * 1e6 + (made++ - burst * burstPackets) * gap)
      }
    }
  }
}

/** From 0 up to, but not, 1: xorshift of 32 bits, by George Marsaglia. */
function uniformNumbers(seed: number): () => number {
  // It never leaves 0; the golden ratio keeps neighbouring seeds apart.
  let state = Math.imul(seed + 1, 0x9e3779b9) | 1
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) / 2 ** 32
  }
}
