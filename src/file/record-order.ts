/**
 * Records of several threads in order of time, within bounded memory. Each thread puts its records, in order, into a queue of its own in
 * shared memory; whoever puts something there merges what is ready under a lock and appends it to the file.
 *
 * A record is ready when no thread can come with an earlier one any more: each says how far it has `reached`. A queue that is full does
 * not wait for that: its thread writes the earliest records that there are, and what others bring too late for its place is written
 * all the same, and counted. So order is kept within the memory of a queue, and no packet is lost for the sake of it.
 */
import {
  EMPTIED,
  ENDED,
  FILLED,
  HAS_ENDED,
  HEAD_WORDS,
  isBefore,
  LOST,
  LOST_TRUNCATED,
  LOST_WIRE,
  OrderMemory,
  type OrderShared,
  REACHED_LOWER,
  REACHED_UPPER,
  THREAD_WORDS,
  WRITTEN,
} from './order-memory.js'
import type { RecordBuffer } from './record.js'
import type { RecordFormat } from './record-layout.js'
import { type AppendRecords, RecordMerge } from './record-merge.js'
import { HELD_BYTES, RecordSorter } from './record-sorter.js'
import { ThreadLock } from './thread-lock.js'

/** Both formats have their times in two words of 32 bits, the upper first: seconds and their fraction, or halves of one number. */
export interface RecordTime {
  upper: number
  lower: number
}

/** What has become of a thread's records since it asked last. */
export interface OrderAccount {
  writtenPackets: number
  lostPackets: number
  /** Of the lost ones: their lengths on the wire, tags that were put back included, and how many of them were cut. */
  lostWireBytes: number
  lostTruncated: number
}

/** Of a segment, for buffers of so many bytes. */
export function orderSegmentBytes(bufferBytes: number): number {
  return bufferBytes + HELD_BYTES
}

export interface RecordOrderParts {
  shared: OrderShared
  /** Which of the threads this is, from 0. */
  thread: number
  /** gettid(2). */
  threadId: number
  format: Pick<RecordFormat, 'format' | 'microseconds'>
  append: AppendRecords
}

export class RecordOrder {
  readonly #thread: number
  readonly #memory: OrderMemory
  readonly #lock: ThreadLock
  readonly #merge: RecordMerge
  readonly #sorter: RecordSorter
  readonly #account: OrderAccount = { writtenPackets: 0, lostPackets: 0, lostWireBytes: 0, lostTruncated: 0 }

  constructor({ shared, thread, threadId, format, append }: RecordOrderParts) {
    this.#thread = thread
    this.#memory = new OrderMemory(shared)
    this.#lock = new ThreadLock(this.#memory.words, threadId)
    this.#merge = new RecordMerge(this.#memory, format, append)
    this.#sorter = new RecordSorter(shared.segmentBytes - HELD_BYTES, format)
  }

  /** For the thread that takes the place of one that died: what that one left in its queue is dropped, and records come again. */
  resume(): void {
    this.#exclusively(() => {
      this.#memory.drop(this.#thread)
      this.#memory.set(this.#thread, HAS_ENDED, ENDED.no)
    })
  }

  /** Takes a copy of the records, in whatever order they are, and writes what is ready. */
  push({ bytes, length }: Pick<RecordBuffer, 'bytes' | 'length'>): void {
    this.#fill((segment) => this.#sorter.add(bytes, length, segment))
  }

  /**
   * Says that no record before this time comes any more, and writes what is ready. False: another thread writes, which is not waited for,
   * and nothing was said.
   */
  reached({ upper, lower }: RecordTime): boolean {
    if (!this.#lock.tryAcquire()) return false
    try {
      if (this.#sorter.hasHeld) {
        this.#makeRoom()
        if (this.#put((segment) => this.#sorter.release(upper, lower, segment))) this.#publish()
      }
      this.#setReached(upper, lower)
      this.#merge.run()
    } finally {
      this.#lock.release()
    }
    return true
  }

  /** No record comes any more. Answers whether all that came are written. */
  end(): boolean {
    if (this.#sorter.hasHeld) this.#fill((segment) => this.#sorter.releaseAll(segment))
    this.#exclusively(() => {
      this.#memory.set(this.#thread, HAS_ENDED, ENDED.yes)
      this.#merge.run()
    })
    return this.#isEmpty()
  }

  /** After `end`: writes all records of this thread, and the earlier ones of others. Nobody waits any longer for what may still come. */
  endNow(): void {
    this.#exclusively(() => {
      while (!this.#isEmpty()) this.#merge.run(this.#thread)
    })
  }

  /** The same object each time. */
  account(): Readonly<OrderAccount> {
    this.#exclusively(() => {
      const account = this.#account
      account.writtenPackets = this.#memory.take(this.#thread, WRITTEN)
      account.lostPackets = this.#memory.take(this.#thread, LOST)
      account.lostWireBytes = this.#memory.take(this.#thread, LOST_WIRE)
      account.lostTruncated = this.#memory.take(this.#thread, LOST_TRUNCATED)
    })
    return this.#account
  }

  /** `put` answers how many bytes it put into the segment. Nobody waits for it. */
  #fill(put: (segment: Uint8Array) => number): void {
    if (this.#memory.isFull(this.#thread)) this.#exclusively(() => this.#makeRoom())
    if (!this.#put(put)) return
    this.#exclusively(() => {
      this.#publish()
      this.#merge.run()
    })
  }

  /** With the lock. */
  #makeRoom(): void {
    if (this.#memory.isFull(this.#thread)) this.#merge.run()
    if (this.#memory.isFull(this.#thread)) this.#merge.run(this.#thread)
  }

  /** Into the segment behind the last one of the queue; others see nothing of it. */
  #put(put: (segment: Uint8Array) => number): boolean {
    const memory = this.#memory
    const place = memory.placeOf(this.#thread, memory.get(this.#thread, FILLED))
    const length = put(memory.segments[place] as Uint8Array)
    memory.lengths[place] = length
    return length > 0
  }

  /** Makes it the last one of the queue. With the lock. */
  #publish(): void {
    this.#memory.set(this.#thread, FILLED, this.#memory.get(this.#thread, FILLED) + 1)
    this.#setReached(this.#sorter.upper, this.#sorter.lower)
  }

  #isEmpty(): boolean {
    return this.#memory.get(this.#thread, EMPTIED) === this.#memory.get(this.#thread, FILLED)
  }

  /** Never backwards. */
  #setReached(upper: number, lower: number): void {
    const { times } = this.#memory
    const at = HEAD_WORDS + this.#thread * THREAD_WORDS
    if (!isBefore(times[at + REACHED_UPPER] as number, times[at + REACHED_LOWER] as number, upper, lower)) return
    times[at + REACHED_UPPER] = upper
    times[at + REACHED_LOWER] = lower
  }

  #exclusively(inside: () => void): void {
    this.#lock.acquire()
    try {
      inside()
    } finally {
      this.#lock.release()
    }
  }
}
