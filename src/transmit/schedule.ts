/**
 * When each packet is due. Pure; time is an argument, in nanoseconds since the start, exact up to 2^53 (104 days). Every due time comes
 * from the beginning and none from the one before it, so nothing adds up to a drift.
 */

/**
 * `original` as the file's time stamps say, `multiplier` times as fast; `packets` and `bits` (of frames without FCS) so many a second;
 * `top` as fast as they go.
 */
export type Pace = { kind: 'original'; multiplier: number } | { kind: 'packets'; perSecond: number } | { kind: 'bits'; perSecond: number } | { kind: 'top' }

/** A packet that is so much earlier than the one before is out of order; one that is earlier still follows a step of the clock. */
const DISORDER_NS = 1e9

export class Schedule {
  /** By how much the schedule was moved, because it could not be kept, in nanoseconds. */
  slippedNs = 0
  /** How often. */
  slips = 0
  readonly #pace: Pace
  /** Scheduled packets of this round, and all. */
  #roundPackets = 0
  #packets = 0
  /** A packet of this round had a time stamp. */
  #hasOrigin = false
  #bytes = 0
  /** Time stamp that is the beginning of this round, and the latest since. */
  #originSeconds = 0
  #originNanoseconds = 0
  #latestNs = 0
  /** File time before this round began. */
  #beforeNs = 0

  constructor(pace: Pace) {
    this.#pace = pace
  }

  /** Of the next packet; call it once for each, in order. Without a time stamp it is due with the one before it, the first of all at once. */
  due(seconds: number, nanoseconds: number, bytes: number, hasTimestamp = true): number {
    const pace = this.#pace
    let dueNs = 0
    if (pace.kind === 'original') dueNs = (hasTimestamp ? this.#fileNs(seconds, nanoseconds) : this.#beforeNs + this.#latestNs) / pace.multiplier
    else if (pace.kind === 'packets') dueNs = (this.#packets * 1e9) / pace.perSecond
    else if (pace.kind === 'bits') dueNs = (this.#bytes * 8e9) / pace.perSecond
    this.#packets++
    this.#roundPackets++
    this.#bytes += bytes
    return dueNs + this.slippedNs
  }

  /** The file begins again: its first packet follows the last at the mean distance of those before. */
  nextRound(): void {
    const mean = this.#roundPackets > 1 ? this.#latestNs / (this.#roundPackets - 1) : 0
    this.#beforeNs += this.#latestNs + mean
    this.#roundPackets = 0
    this.#hasOrigin = false
    this.#latestNs = 0
  }

  /** Gives up a delay: everything from here on is due so much later. */
  slip(ns: number): void {
    this.slippedNs += ns
    this.slips++
  }

  #fileNs(seconds: number, nanoseconds: number): number {
    if (!this.#hasOrigin) {
      this.#hasOrigin = true
      this.#originSeconds = seconds
      this.#originNanoseconds = nanoseconds
    }
    const sinceOrigin = (seconds - this.#originSeconds) * 1e9 + (nanoseconds - this.#originNanoseconds)
    if (sinceOrigin > this.#latestNs) {
      this.#latestNs = sinceOrigin
    } else if (sinceOrigin < this.#latestNs - DISORDER_NS) {
      // The clock was set back: from here on time goes on where it had got to.
      this.#originSeconds = seconds
      this.#originNanoseconds = nanoseconds - this.#latestNs
    }
    return this.#beforeNs + this.#latestNs
  }
}
