/**
 * A worker's counters in shared memory. The worker counts in a private Float64Array (exact to 2^53) and publishes it once a
 * block; the main thread reads a consistent whole. Atomics know no Float64Array, so each counter travels as two 32-bit words
 * under a sequence lock: odd while it is written. Publishing costs about 0.3 us.
 */

/** Indices into the private counters, in the order in which they are shared. */
export const COUNTER = {
  packets: 0,
  bytes: 1,
  offered: 2,
  dropRing: 3,
  dropSocket: 4,
  dropHandler: 5,
  dropConsumer: 6,
  dropUnread: 7,
  freezes: 8,
  truncated: 9,
  blocks: 10,
  cpuUserUs: 11,
  cpuSystemUs: 12,
  handlerMaxUs: 13,
  /** Milliseconds since 1970, floored, when the block that the handler has now was given to it; 0 when it has none. */
  handlerSinceMs: 14,
  resyncs: 15,
} as const

const COUNTERS = 16
const SEQUENCE = 0
const FIRST = 2
const WORDS = FIRST + COUNTERS * 2
/** A cache line more than needed, so that two workers never write the same one. */
const STRIDE_BYTES = Math.ceil((WORDS * 4) / 64) * 64 + 64
const TWO_32 = 2 ** 32

export function countersMemory(workers: number): SharedArrayBuffer {
  return new SharedArrayBuffer(workers * STRIDE_BYTES)
}

/** The worker's side. */
export class CounterWriter {
  readonly values = new Float64Array(COUNTERS)
  readonly #shared: Int32Array

  constructor(memory: SharedArrayBuffer, worker: number) {
    this.#shared = new Int32Array(memory, worker * STRIDE_BYTES, WORDS)
    // A worker that takes the place of another counts on from where that one stopped.
    readInto(this.#shared, this.values)
  }

  publish(): void {
    const shared = this.#shared
    const values = this.values
    // Odd: readers wait. Atomics are sequentially consistent, so the words cannot move out of the lock.
    Atomics.add(shared, SEQUENCE, 1)
    for (let i = 0; i < COUNTERS; i++) {
      const value = values[i] as number
      const high = Math.floor(value / TWO_32)
      Atomics.store(shared, FIRST + 2 * i, (value - high * TWO_32) | 0)
      Atomics.store(shared, FIRST + 2 * i + 1, high | 0)
    }
    Atomics.add(shared, SEQUENCE, 1)
  }

  /** Two words alone, for what must be seen while the handler runs. */
  publishHandlerSince(value: number): void {
    this.values[COUNTER.handlerSinceMs] = value
    const high = Math.floor(value / TWO_32)
    Atomics.add(this.#shared, SEQUENCE, 1)
    Atomics.store(this.#shared, FIRST + 2 * COUNTER.handlerSinceMs, (value - high * TWO_32) | 0)
    Atomics.store(this.#shared, FIRST + 2 * COUNTER.handlerSinceMs + 1, high | 0)
    Atomics.add(this.#shared, SEQUENCE, 1)
  }
}

/** The main thread's side: `into` gets one consistent set of a worker's counters. */
export function readCounters(memory: SharedArrayBuffer, worker: number, into: Float64Array = new Float64Array(COUNTERS)): Float64Array {
  return readInto(new Int32Array(memory, worker * STRIDE_BYTES, WORDS), into)
}

function readInto(shared: Int32Array, into: Float64Array): Float64Array {
  // A worker that died between the two halves leaves an odd number for ever: then what is there must do.
  for (let attempt = 0; attempt < 10_000; attempt++) {
    const before = Atomics.load(shared, SEQUENCE)
    for (let i = 0; i < COUNTERS; i++) into[i] = (Atomics.load(shared, FIRST + 2 * i) >>> 0) + Atomics.load(shared, FIRST + 2 * i + 1) * TWO_32
    if ((before & 1) === 0 && Atomics.load(shared, SEQUENCE) === before) break
  }
  return into
}
