/** What the flood's threads and the thread that started them tell each other: start data, shared words, messages. */
import type { PlainCaptureError } from '../errors.js'

export interface FloodWorkerData {
  control: SharedArrayBuffer
  /** This thread makes the packets number index, index + workers, index + 2 * workers, ... */
  index: number
  workers: number
  cpu: number
  netns: string | undefined
  programFd: number
  /** What live frames start as. */
  frame: Uint8Array
  /** The program's map: its element holds a FLOOD_STATE for each CPU. */
  stateFd: number
  stateWords: number
  ratePps: number | undefined
  count: number | undefined
  durationMs: number | undefined
}

export type FloodMessage = { type: 'ready' } | { type: 'finished'; startedNs: bigint; endedNs: bigint } | { type: 'failed'; error: PlainCaptureError }

/** Shared words: a state that threads wait on, and the common start. */
export class FloodControl {
  static readonly HELD = 0
  static readonly RUNNING = 1
  static readonly STOPPED = 2
  readonly buffer: SharedArrayBuffer
  readonly #state: Int32Array
  readonly #startNs: BigInt64Array

  constructor(buffer = new SharedArrayBuffer(16)) {
    this.buffer = buffer
    this.#state = new Int32Array(buffer, 0, 1)
    this.#startNs = new BigInt64Array(buffer, 8, 1)
  }

  get state(): number {
    return Atomics.load(this.#state, 0)
  }

  /** CLOCK_MONOTONIC, which every thread reads alike. */
  get startNs(): bigint {
    return Atomics.load(this.#startNs, 0)
  }

  /** Lets the threads go, unless they were stopped before. */
  start(): void {
    Atomics.store(this.#startNs, 0, process.hrtime.bigint())
    Atomics.compareExchange(this.#state, 0, FloodControl.HELD, FloodControl.RUNNING)
    Atomics.notify(this.#state, 0)
  }

  stop(): void {
    Atomics.store(this.#state, 0, FloodControl.STOPPED)
    Atomics.notify(this.#state, 0)
  }

  /** Blocks the calling thread until the state is no longer `state`, or for so long. */
  wait(state: number, milliseconds = Number.POSITIVE_INFINITY): void {
    Atomics.wait(this.#state, 0, state, milliseconds)
  }
}
