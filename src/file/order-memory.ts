/**
 * Memory that threads share who write records in order of time (record-order.ts): a lock, and of each thread a queue of segments of
 * records, how far it has come, and what has become of its records.
 */
import { LOCK_WORDS } from './thread-lock.js'

export interface OrderGeometry {
  threads: number
  segmentBytes: number
  /** Of each thread; a power of two, as they are counted on and on. */
  segments: number
}

export interface OrderShared extends OrderGeometry {
  readonly memory: SharedArrayBuffer
}

/** Int32 words for all, the ThreadLock first: the time of the latest record that was written. */
export const LAST_UPPER = LOCK_WORDS
export const LAST_LOWER = LOCK_WORDS + 1
export const HEAD_WORDS = 16

/** Int32 words of a thread: segments that it has filled and that have been written; where in the first of them the next record is. */
export const FILLED = 0
export const EMPTIED = 1
export const OFFSET = 2
/** No record that is earlier than this comes any more. */
export const REACHED_UPPER = 3
export const REACHED_LOWER = 4
/** One of ENDED. */
export const HAS_ENDED = 5
export const THREAD_WORDS = 16

/** Whether a thread still comes with records; of one that was abandoned those in its queue are not written, either. */
export const ENDED = { no: 0, yes: 1, abandoned: 2 } as const

/** Float64 words of a thread. */
export const WRITTEN = 0
export const LOST = 1
export const LOST_WIRE = 2
export const LOST_TRUNCATED = 3
export const THREAD_AMOUNTS = 4

/** The one Float64 word for all, before those of threads: records that were written behind later ones. */
const LATE = 0
export const HEAD_AMOUNTS = 1

function layoutOf({ threads, segmentBytes, segments }: OrderGeometry) {
  const amountsAt = (HEAD_WORDS + threads * THREAD_WORDS) * 4
  const lengthsAt = amountsAt + (HEAD_AMOUNTS + threads * THREAD_AMOUNTS) * 8
  const segmentsAt = (lengthsAt + threads * segments * 4 + 63) & ~63
  return { amountsAt, lengthsAt, segmentsAt, bytes: segmentsAt + threads * segments * segmentBytes }
}

/** Memory is taken as it is used. */
export function createOrderMemory(geometry: OrderGeometry): OrderShared {
  if (!Number.isInteger(Math.log2(geometry.segments))) throw new Error(`${geometry.segments} segments: no power of two`)
  return { ...geometry, memory: new SharedArrayBuffer(layoutOf(geometry).bytes) }
}

/** Records that were written behind later ones. */
export function lateRecords(shared: OrderShared): number {
  return new Float64Array(shared.memory, layoutOf(shared).amountsAt, HEAD_AMOUNTS)[LATE] as number
}

/** For a thread that died, without waiting for the lock: what it left in its queue is not written any more, and nobody waits for it. */
export function abandonThread({ memory }: OrderShared, thread: number): void {
  Atomics.store(new Int32Array(memory), HEAD_WORDS + thread * THREAD_WORDS + HAS_ENDED, ENDED.abandoned)
}

/** Views of the memory, in one thread. */
export class OrderMemory {
  readonly shared: OrderShared
  readonly words: Int32Array
  /** The same, unsigned. */
  readonly times: Uint32Array
  readonly #amounts: Float64Array
  /** Of each segment, in bytes. */
  readonly lengths: Uint32Array
  readonly segments: readonly Uint8Array[]
  readonly views: readonly DataView[]

  constructor(shared: OrderShared) {
    const { memory, threads, segmentBytes, segments } = shared
    const { amountsAt, lengthsAt, segmentsAt } = layoutOf(shared)
    this.shared = shared
    this.words = new Int32Array(memory, 0, HEAD_WORDS + threads * THREAD_WORDS)
    this.times = new Uint32Array(memory, 0, HEAD_WORDS + threads * THREAD_WORDS)
    this.#amounts = new Float64Array(memory, amountsAt, HEAD_AMOUNTS + threads * THREAD_AMOUNTS)
    this.lengths = new Uint32Array(memory, lengthsAt, threads * segments)
    const places = Array.from({ length: threads * segments }, (_, index) => segmentsAt + index * segmentBytes)
    this.segments = places.map((at) => new Uint8Array(memory, at, segmentBytes))
    this.views = places.map((at) => new DataView(memory, at, segmentBytes))
  }

  get(thread: number, word: number): number {
    return Atomics.load(this.words, HEAD_WORDS + thread * THREAD_WORDS + word)
  }

  set(thread: number, word: number, value: number): void {
    Atomics.store(this.words, HEAD_WORDS + thread * THREAD_WORDS + word, value)
  }

  /** Which segment a thread's count means. */
  placeOf(thread: number, count: number): number {
    const { segments } = this.shared
    return thread * segments + (count & (segments - 1))
  }

  /** What is in a thread's queue is not written. With the lock. */
  drop(thread: number): void {
    this.set(thread, OFFSET, 0)
    this.set(thread, EMPTIED, this.get(thread, FILLED))
  }

  /** All segments of a thread are filled. */
  isFull(thread: number): boolean {
    return ((this.get(thread, FILLED) - this.get(thread, EMPTIED)) | 0) === this.shared.segments
  }

  addLate(records: number): void {
    this.#amounts[LATE] = (this.#amounts[LATE] as number) + records
  }

  add(thread: number, amount: number, value: number): void {
    const at = HEAD_AMOUNTS + thread * THREAD_AMOUNTS + amount
    this.#amounts[at] = (this.#amounts[at] as number) + value
  }

  /** The amount, which is 0 from now on. */
  take(thread: number, amount: number): number {
    const at = HEAD_AMOUNTS + thread * THREAD_AMOUNTS + amount
    const value = this.#amounts[at] as number
    this.#amounts[at] = 0
    return value
  }
}

/** Of times in two words. */
export function isBefore(upper: number, lower: number, otherUpper: number, otherLower: number): boolean {
  return upper < otherUpper || (upper === otherUpper && lower < otherLower)
}
