/** What a ring loses while its reader stands still once. Pure. */
import { type RingSimulation, type RingSimulationOptions, simulateRing } from './simulation.js'

/** With a stall or without: so their shares can be compared. */
export const SIMULATED_MS = 1000
/** Until reader and ring go as they will. */
const WARM_UP_MS = 200
/** More than a ring below 4 GiB holds of the shortest packets, 30 million, and less than a second of simulating. */
const MAX_PACKETS = 40_000_000
/** Of what the time to catch up is reckoned to be: waking and whole blocks take some. */
const CATCHING_UP = 1.2
/** Of the stall, for a reader that never catches up: what it then loses all the time shows without a stall as well. */
const NEVER = 4
const EVEN_INTERVAL_MS = 20

/** One ring and its reader. For how long packets arrive follows from the stall. */
export interface StalledRing extends Omit<RingSimulationOptions, 'arrivals' | 'stalls'> {
  arrivals: { pattern: 'even'; packetsPerSecond: number } | { pattern: 'bursts'; packetsPerSecond: number; burstPackets: number; intervalMs: number }
}

/**
 * Simulates a start, the whole of the stall, from the begin of a burst on, and what it takes to catch up; null where that is too many packets.
 * @throws CaptureError INVALID_OPTION
 */
export function simulateStall(ring: StalledRing, holdMs: number): RingSimulation | null {
  const { arrivals } = ring
  const intervalMs = arrivals.pattern === 'even' ? EVEN_INTERVAL_MS : arrivals.intervalMs
  const mean = arrivals.pattern === 'even' ? arrivals.packetsPerSecond : (arrivals.burstPackets / intervalMs) * 1000
  const mostMs = (MAX_PACKETS / mean) * 1000
  const atMs = Math.floor(WARM_UP_MS / intervalMs) * intervalMs
  // A ring is fullest at the end of a stall, or with the bursts after it: from then on it only empties, or never does.
  const leastMs = atMs + holdMs + 2 * intervalMs
  if (leastMs > mostMs) return null
  const durationMs = Math.min(mostMs, Math.max(SIMULATED_MS, leastMs + CATCHING_UP * catchUpMs(ring, mean, holdMs)))
  return simulateRing({ ...ring, arrivals: { ...arrivals, durationMs }, stalls: [{ atMs, forMs: holdMs }] })
}

/** How long the reader works off what has come meanwhile, beside what comes. */
function catchUpMs({ serviceNs, kernelNs = 0, sameCore = false }: StalledRing, mean: number, holdMs: number): number {
  const forReader = sameCore ? Math.max(0, 1 - (mean * kernelNs) / 1e9) : 1
  const most = serviceNs === 0 ? Number.POSITIVE_INFINITY : (forReader * 1e9) / serviceNs
  return most <= mean ? NEVER * holdMs : (holdMs * mean) / (most - mean)
}
