/** How many packets a thread of the flood is to make now. Pure; time is an argument. */

export interface FloodSchedule {
  /** Packets a second of all threads; undefined for as many as go. */
  ratePps: number | undefined
  count: number | undefined
  /** Packets are dealt out to the threads in turn, so that the sums are exact and slow floods evenly spread. */
  index: number
  workers: number
}

/** A run of the kernel takes about this long: what a stop waits for, and the longest burst. */
export const CHUNK_MS = 4
/** A thread that was held up makes good at no more than this times its rate, not in one burst. */
const CATCH_UP = 2

/** Packets that this thread should have made `elapsedMs` after the start; Infinity when nothing holds it back. */
export function packetsDue(schedule: FloodSchedule, elapsedMs: number): number {
  const byRate = schedule.ratePps === undefined ? Number.POSITIVE_INFINITY : Math.floor((elapsedMs * schedule.ratePps) / 1000 + 1e-9)
  const all = Math.min(byRate, schedule.count ?? Number.POSITIVE_INFINITY)
  return all === Number.POSITIVE_INFINITY ? all : Math.floor((all - schedule.index + schedule.workers - 1) / schedule.workers)
}

/** The most that may go out at once, `sinceLastMs` after the last run began. */
export function burstLimit(schedule: FloodSchedule, sinceLastMs: number): number {
  if (schedule.ratePps === undefined) return Number.POSITIVE_INFINITY
  const perMs = schedule.ratePps / schedule.workers / 1000
  return Math.max(1, Math.floor(perMs * Math.min(CATCH_UP * sinceLastMs, CHUNK_MS)))
}

/** Milliseconds until this thread's next packet is due, after it has made `made`. */
export function msUntilNext(schedule: FloodSchedule, made: number, elapsedMs: number): number {
  if (schedule.ratePps === undefined) return 0
  const ordinal = made * schedule.workers + schedule.index + 1
  return Math.max(0, (ordinal * 1000) / schedule.ratePps - elapsedMs)
}
