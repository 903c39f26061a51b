/**
 * A worker's counters in shared memory. The worker counts in a private Float64Array (exact to 2^53) and publishes it once a
 * block; the main thread reads a consistent whole. Atomics know no Float64Array, so each counter travels as two 32-bit words.
 * There are two copies, and the parity of a sequence number says which is whole: a writer that is held up half way, or dies
 * there, leaves a good one. Publishing costs about 0.3 us.
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
  dropFillRing: 16,
  dropRxRing: 17,
  dropOversize: 18,
  dropRedirect: 19,
  dropWriter: 20,
  /** Taken from the source, in a record, and the record not yet written. A handler that gives up packets after they were written takes them from here, so it may be negative. */
  pending: 21,
  writtenPackets: 22,
  writtenBytes: 23,
  /** When the account of the socket was read last, by `monotonicMs`: what had come before then is in the counters. */
  accountAtMs: 24,
} as const

const COUNTERS = 25

/** The same clock in every thread, which performance.now() is not. */
export function monotonicMs(): number {
  const [seconds, nanoseconds] = process.hrtime()
  return seconds * 1000 + nanoseconds / 1e6
}

/** Adds to one of the private counters. */
export function addTo(values: Float64Array, counter: number, value: number): void {
  values[counter] = (values[counter] as number) + value
}

const SEQUENCE = 0
/** `handlerSinceMs` modulo 2^32, apart from the copies: it must be seen while the handler runs. */
const HANDLER_SINCE = 1
const FIRST = 2
const COPY_WORDS = COUNTERS * 2
const WORDS = FIRST + 2 * COPY_WORDS
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
    // Into the copy that nobody reads, then that one is the whole one. Atomics are sequentially consistent: no store moves.
    const sequence = Atomics.load(shared, SEQUENCE) + 1
    const copy = FIRST + (sequence & 1) * COPY_WORDS
    for (let i = 0; i < COUNTERS; i++) {
      const value = values[i] as number
      const high = Math.floor(value / TWO_32)
      Atomics.store(shared, copy + 2 * i, (value - high * TWO_32) | 0)
      Atomics.store(shared, copy + 2 * i + 1, high | 0)
    }
    Atomics.store(shared, SEQUENCE, sequence | 0)
    this.publishHandlerSince(values[COUNTER.handlerSinceMs] as number)
  }

  /** One word alone, for what must be seen while the handler runs. */
  publishHandlerSince(value: number): void {
    this.values[COUNTER.handlerSinceMs] = value
    // 0 means none: one millisecond in 49 days is told as the next.
    Atomics.store(this.#shared, HANDLER_SINCE, value === 0 ? 0 : (value % TWO_32) | 0 || 1)
  }
}

/** The main thread's side: `into` gets one consistent set of a worker's counters. */
export function readCounters(memory: SharedArrayBuffer, worker: number, into: Float64Array = new Float64Array(COUNTERS)): Float64Array {
  return readInto(new Int32Array(memory, worker * STRIDE_BYTES, WORDS), into)
}

function readInto(shared: Int32Array, into: Float64Array): Float64Array {
  for (;;) {
    const before = Atomics.load(shared, SEQUENCE)
    const copy = FIRST + (before & 1) * COPY_WORDS
    for (let i = 0; i < COUNTERS; i++) into[i] = (Atomics.load(shared, copy + 2 * i) >>> 0) + Atomics.load(shared, copy + 2 * i + 1) * TWO_32
    // Published meanwhile: then what we read may be what the writer is at now. It does so once a block, we read in under a microsecond.
    if (Atomics.load(shared, SEQUENCE) === before) break
  }
  const since = Atomics.load(shared, HANDLER_SINCE)
  const now = Date.now()
  into[COUNTER.handlerSinceMs] = since === 0 ? 0 : now - ((now - since) >>> 0)
  return into
}
