/**
 * Records of several threads in order of time, within bounded memory. Each thread puts buffers of records, which are in order already,
 * into a queue of its own in shared memory; whoever puts something there merges what is ready under a lock and appends it to the file.
 *
 * A record is ready when no thread can come with an earlier one any more: each says how far it has `reached`. A queue that is full does
 * not wait for that: its thread writes the earliest records that there are, and what others bring too late for its place is written
 * all the same, and counted. So order is kept within the memory of a queue, and no packet is lost for the sake of it.
 *
 * Cost a record of 60 bytes, writing left out: 80 ns with 2 workers whose packets alternate, 230 with 16; in runs of 64 packets 28 and 47;
 * of 590 bytes 150 to 380 (bench/record-order.ts, Node.js 20 on a busy machine).
 */
import type { RecordBuffer } from './record.js'
import { EPB, PCAP_RECORD, type RecordFormat } from './record-layout.js'
import { LOCK_WORDS, ThreadLock } from './thread-lock.js'

/** Both formats have their times in two words of 32 bits, the upper first: seconds and their fraction, or halves of one number. */
export interface RecordTime {
  upper: number
  lower: number
}

export interface OrderGeometry {
  threads: number
  segmentBytes: number
  /** Of each thread. */
  segments: number
}

export interface OrderShared extends OrderGeometry {
  readonly memory: SharedArrayBuffer
}

/** What has become of a thread's records since it asked last. */
export interface OrderAccount {
  writtenPackets: number
  lostPackets: number
  /** Of the lost ones: their lengths on the wire, and how many of them were cut. */
  lostWireBytes: number
  lostTruncated: number
}

/** Int32 words for all; the ThreadLock comes first. */
const LAST_UPPER = LOCK_WORDS
const LAST_LOWER = LOCK_WORDS + 1
const HEAD_WORDS = 16

/** Int32 words of a thread: segments that it has filled and that have been written, counted on and on; where in the first of them the next record is. */
const FILLED = 0
const EMPTIED = 1
const OFFSET = 2
const REACHED_UPPER = 3
const REACHED_LOWER = 4
const HAS_ENDED = 5
const THREAD_WORDS = 16

/** Float64 words of a thread. */
const WRITTEN = 0
const LOST = 1
const LOST_WIRE = 2
const LOST_TRUNCATED = 3
const ACCOUNTS = 4
const THREAD_AMOUNTS = 8

/** Later than any record: pcap ends with it, and 64 bits of pcapng in nanoseconds in the year 2554. */
const LAST = 0xffff_ffff

/** From here on `set` of a part is faster than words. */
const SET_FROM_BYTES = 160

function layoutOf({ threads, segmentBytes, segments }: OrderGeometry) {
  const amountsAt = (HEAD_WORDS + threads * THREAD_WORDS) * 4
  // One for all: records that came too late.
  const lengthsAt = amountsAt + (1 + threads * THREAD_AMOUNTS) * 8
  const segmentsAt = lengthsAt + threads * segments * 4
  return { amountsAt, lengthsAt, segmentsAt: (segmentsAt + 63) & ~63, bytes: segmentsAt + 64 + threads * segments * segmentBytes }
}

/** Memory is taken as it is used. */
export function createRecordOrder(geometry: OrderGeometry): OrderShared {
  return { ...geometry, memory: new SharedArrayBuffer(layoutOf(geometry).bytes) }
}

/** Records that were written behind later ones. */
export function lateRecords(shared: OrderShared): number {
  return new Float64Array(shared.memory, layoutOf(shared).amountsAt, 1)[0] as number
}

export interface RecordOrderParts {
  shared: OrderShared
  /** Which of the threads this is, from 0. */
  thread: number
  /** gettid(2). */
  threadId: number
  format: Pick<RecordFormat, 'format'>
  /** Appends whole records to the file: 0, or -errno and nothing is written. */
  append: (bytes: Uint8Array, length: number) => number
}

export class RecordOrder {
  readonly #parts: RecordOrderParts
  readonly #lock: ThreadLock
  readonly #words: Int32Array
  /** The same, unsigned. */
  readonly #times: Uint32Array
  readonly #amounts: Float64Array
  readonly #lengths: Uint32Array
  readonly #segments: Uint8Array[]
  readonly #views: DataView[]
  readonly #out: Uint8Array<ArrayBuffer>
  readonly #outView: DataView
  #outLength = 0
  /** Of what is in `#out`, by thread: packets, their bytes on the wire, those that were cut. */
  readonly #inOut: Float64Array
  /** The same as EMPTIED and OFFSET of each thread, while records are merged. */
  readonly #emptied: Int32Array
  readonly #offsets: Int32Array
  readonly #account: OrderAccount = { writtenPackets: 0, lostPackets: 0, lostWireBytes: 0, lostTruncated: 0 }
  readonly #timeAt: number
  readonly #lengthsAt: { capturedLength: number; originalLength: number }
  readonly #isPcap: boolean
  /** While records are merged, the time of each thread's next one; LAST for none. */
  readonly #upper: Uint32Array
  readonly #lower: Uint32Array
  /** Up to this time records may be written. */
  #limitUpper = 0
  #limitLower = 0
  /** The thread whose record is next, and until which time no other's is. */
  #earliest = -1
  #nextUpper = 0
  #nextLower = 0

  constructor(parts: RecordOrderParts) {
    const { shared, threadId, format } = parts
    const { memory, threads, segmentBytes, segments } = shared
    const { amountsAt, lengthsAt, segmentsAt } = layoutOf(shared)
    this.#parts = parts
    this.#words = new Int32Array(memory, 0, HEAD_WORDS + threads * THREAD_WORDS)
    this.#times = new Uint32Array(memory, 0, HEAD_WORDS + threads * THREAD_WORDS)
    this.#amounts = new Float64Array(memory, amountsAt, 1 + threads * THREAD_AMOUNTS)
    this.#lengths = new Uint32Array(memory, lengthsAt, threads * segments)
    const place = (_: unknown, index: number): number => segmentsAt + index * segmentBytes
    this.#segments = Array.from({ length: threads * segments }, place).map((at) => new Uint8Array(memory, at, segmentBytes))
    this.#views = Array.from({ length: threads * segments }, place).map((at) => new DataView(memory, at, segmentBytes))
    this.#lock = new ThreadLock(this.#words, threadId)
    this.#out = new Uint8Array(segmentBytes)
    this.#outView = new DataView(this.#out.buffer)
    this.#inOut = new Float64Array(threads * 3)
    this.#emptied = new Int32Array(threads)
    this.#offsets = new Int32Array(threads)
    this.#upper = new Uint32Array(threads)
    this.#lower = new Uint32Array(threads)
    this.#isPcap = format.format === 'pcap'
    this.#timeAt = this.#isPcap ? PCAP_RECORD.seconds : EPB.timestampHigh
    this.#lengthsAt = this.#isPcap ? PCAP_RECORD : EPB
  }

  /** For a thread that died: what it left in its queue is dropped, and nobody waits for more. */
  abandon(): void {
    this.#exclusively(() => {
      this.#set(FILLED, this.#get(EMPTIED))
      this.#set(OFFSET, 0)
      this.#set(HAS_ENDED, 1)
    })
  }

  /** For the thread that takes its place: records come again. */
  resume(): void {
    this.#exclusively(() => this.#set(HAS_ENDED, 0))
  }

  /** Puts a copy of the records into the queue, of which none comes any more that is earlier than the last of them, and merges what is ready. */
  push(buffer: RecordBuffer): void {
    const { shared, thread } = this.#parts
    this.#exclusively(() => {
      if (this.#isFull()) this.#merge(false)
      if (this.#isFull()) this.#merge(true)
    })
    const place = thread * shared.segments + (this.#get(FILLED) % shared.segments)
    ;(this.#segments[place] as Uint8Array).set(buffer.bytes.subarray(0, buffer.length))
    this.#exclusively(() => {
      this.#lengths[place] = buffer.length
      const last = this.#lastTime(place, buffer.length)
      this.#set(FILLED, this.#get(FILLED) + 1)
      this.#setReached(last)
      this.#merge(false)
    })
  }

  /** Says that no record before this time comes any more, and merges what is ready. */
  reached(time: RecordTime): void {
    this.#exclusively(() => {
      const at = HEAD_WORDS + this.#parts.thread * THREAD_WORDS
      const isLater = isBefore(this.#times[at + REACHED_UPPER] as number, this.#times[at + REACHED_LOWER] as number, time.upper, time.lower)
      if (isLater) this.#setReached(time)
      this.#merge(false)
    })
  }

  /** No record comes any more. Answers whether all that came are written. */
  end(): boolean {
    this.#exclusively(() => {
      this.#set(HAS_ENDED, 1)
      this.#merge(false)
    })
    return this.#get(EMPTIED) === this.#get(FILLED)
  }

  /** Writes all records of this thread, and the earlier ones of others: nobody waits any longer for what may still come. */
  endNow(): void {
    this.#exclusively(() => {
      while (this.#get(EMPTIED) !== this.#get(FILLED)) this.#merge(true)
    })
  }

  /** The same object each time. */
  account(): Readonly<OrderAccount> {
    this.#exclusively(() => {
      const base = 1 + this.#parts.thread * THREAD_AMOUNTS
      const amounts = this.#amounts
      const account = this.#account
      account.writtenPackets = amounts[base + WRITTEN] as number
      account.lostPackets = amounts[base + LOST] as number
      account.lostWireBytes = amounts[base + LOST_WIRE] as number
      account.lostTruncated = amounts[base + LOST_TRUNCATED] as number
      amounts.fill(0, base, base + ACCOUNTS)
    })
    return this.#account
  }

  #exclusively(inside: () => void): void {
    this.#lock.acquire()
    try {
      inside()
    } finally {
      this.#lock.release()
    }
  }

  #get(word: number): number {
    return Atomics.load(this.#words, HEAD_WORDS + this.#parts.thread * THREAD_WORDS + word)
  }

  #set(word: number, value: number): void {
    Atomics.store(this.#words, HEAD_WORDS + this.#parts.thread * THREAD_WORDS + word, value)
  }

  #setReached({ upper, lower }: RecordTime): void {
    const at = HEAD_WORDS + this.#parts.thread * THREAD_WORDS
    this.#times[at + REACHED_UPPER] = upper
    this.#times[at + REACHED_LOWER] = lower
  }

  #isFull(): boolean {
    return this.#get(FILLED) - this.#get(EMPTIED) === this.#parts.shared.segments
  }

  #recordBytes(view: DataView, at: number): number {
    return this.#isPcap ? PCAP_RECORD.sizeof + view.getUint32(at + PCAP_RECORD.capturedLength, true) : view.getUint32(at + EPB.totalLength, true)
  }

  #lastTime(place: number, length: number): RecordTime {
    const view = this.#views[place] as DataView
    let last = 0
    for (let at = 0; at < length; at += this.#recordBytes(view, at)) last = at
    return { upper: view.getUint32(last + this.#timeAt, true), lower: view.getUint32(last + this.#timeAt + 4, true) }
  }

  /** Writes what is ready; `force`: until this thread's queue has room, whatever others may still bring. With the lock. */
  #merge(force: boolean): void {
    const { threads } = this.#parts.shared
    this.#limitUpper = LAST
    this.#limitLower = LAST
    for (let thread = 0; thread < threads; thread++) {
      const at = HEAD_WORDS + thread * THREAD_WORDS
      this.#emptied[thread] = this.#words[at + EMPTIED] as number
      this.#offsets[thread] = this.#words[at + OFFSET] as number
      this.#findHead(thread)
    }
    const emptied = this.#get(EMPTIED)
    while (this.#findEarliest()) {
      const isReady = !isBefore(this.#limitUpper, this.#limitLower, this.#upper[this.#earliest] as number, this.#lower[this.#earliest] as number)
      if (!isReady && !(force && this.#emptied[this.#parts.thread] === emptied)) break
      this.#copyRun(this.#earliest, isReady)
    }
    this.#writeOut()
  }

  #isEmpty(thread: number): boolean {
    return this.#emptied[thread] === this.#words[HEAD_WORDS + thread * THREAD_WORDS + FILLED]
  }

  #placeOf(thread: number): number {
    const { segments } = this.#parts.shared
    return thread * segments + ((this.#emptied[thread] as number) % segments)
  }

  /** Of a queue that is empty, whose thread has not ended: what may still come is not before the time that it has reached. */
  #findHead(thread: number): void {
    if (!this.#isEmpty(thread)) {
      const view = this.#views[this.#placeOf(thread)] as DataView
      const at = (this.#offsets[thread] as number) + this.#timeAt
      this.#upper[thread] = view.getUint32(at, true)
      this.#lower[thread] = view.getUint32(at + 4, true)
      return
    }
    this.#upper[thread] = LAST
    this.#lower[thread] = LAST
    const words = HEAD_WORDS + thread * THREAD_WORDS
    if (this.#words[words + HAS_ENDED] !== 0) return
    const upper = this.#times[words + REACHED_UPPER] as number
    const lower = this.#times[words + REACHED_LOWER] as number
    if (!isBefore(upper, lower, this.#limitUpper, this.#limitLower)) return
    this.#limitUpper = upper
    this.#limitLower = lower
  }

  /** Finds the thread with the earliest record, and the time of the earliest of the others. False: there are no records. */
  #findEarliest(): boolean {
    const uppers = this.#upper
    const lowers = this.#lower
    let found = -1
    let upper = LAST
    let lower = LAST
    let nextUpper = LAST
    let nextLower = LAST
    for (let thread = 0; thread < uppers.length; thread++) {
      const itsUpper = uppers[thread] as number
      const itsLower = lowers[thread] as number
      if (isBefore(itsUpper, itsLower, upper, lower)) {
        found = thread
        nextUpper = upper
        nextLower = lower
        upper = itsUpper
        lower = itsLower
      } else if (isBefore(itsUpper, itsLower, nextUpper, nextLower)) {
        nextUpper = itsUpper
        nextLower = itsLower
      }
    }
    this.#earliest = found
    this.#nextUpper = nextUpper
    this.#nextLower = nextLower
    return found >= 0
  }

  /** Copies from one segment of a thread what comes before anything of others; at least one record, or room is made for it. */
  #copyRun(thread: number, isReady: boolean): void {
    const place = this.#placeOf(thread)
    const view = this.#views[place] as DataView
    const length = this.#lengths[place] as number
    const isPcap = this.#isPcap
    const timeAt = this.#timeAt
    const { capturedLength, originalLength } = this.#lengthsAt
    let upper = this.#nextUpper
    let lower = this.#nextLower
    if (isReady && isBefore(this.#limitUpper, this.#limitLower, upper, lower)) {
      upper = this.#limitUpper
      lower = this.#limitLower
    }
    let lastUpper = this.#times[LAST_UPPER] as number
    let lastLower = this.#times[LAST_LOWER] as number
    const room = this.#out.length - this.#outLength
    const start = this.#offsets[thread] as number
    let at = start
    let itsUpper = this.#upper[thread] as number
    let itsLower = this.#lower[thread] as number
    let packets = 0
    let wireBytes = 0
    let truncated = 0
    let late = 0
    for (;;) {
      const captured = view.getUint32(at + capturedLength, true)
      const end = at + (isPcap ? PCAP_RECORD.sizeof + captured : view.getUint32(at + EPB.totalLength, true))
      if (end - start > room) break
      const original = view.getUint32(at + originalLength, true)
      if (captured < original) truncated++
      if (isBefore(itsUpper, itsLower, lastUpper, lastLower)) late++
      else {
        lastUpper = itsUpper
        lastLower = itsLower
      }
      wireBytes += original
      packets++
      at = end
      if (at === length) break
      itsUpper = view.getUint32(at + timeAt, true)
      itsLower = view.getUint32(at + timeAt + 4, true)
      if (isBefore(upper, lower, itsUpper, itsLower)) break
    }
    if (packets === 0) {
      this.#writeOut()
      return
    }
    this.#copy(place, start, at - start)
    this.#times[LAST_UPPER] = lastUpper
    this.#times[LAST_LOWER] = lastLower
    if (late > 0) this.#amounts[0] = (this.#amounts[0] as number) + late
    this.#addToOut(thread, packets, wireBytes, truncated)
    this.#offsets[thread] = at
    this.#upper[thread] = itsUpper
    this.#lower[thread] = itsLower
    if (at < length) return
    this.#offsets[thread] = 0
    this.#emptied[thread] = (this.#emptied[thread] as number) + 1
    this.#findHead(thread)
  }

  #copy(place: number, start: number, length: number): void {
    const to = this.#outLength
    this.#outLength = to + length
    if (length >= SET_FROM_BYTES) {
      this.#out.set((this.#segments[place] as Uint8Array).subarray(start, start + length), to)
      return
    }
    const from = this.#views[place] as DataView
    const out = this.#outView
    let at = 0
    for (; at <= length - 4; at += 4) out.setInt32(to + at, from.getInt32(start + at, true), true)
    for (; at < length; at++) out.setUint8(to + at, from.getUint8(start + at))
  }

  #addToOut(thread: number, packets: number, wireBytes: number, truncated: number): void {
    const inOut = this.#inOut
    const at = thread * 3
    inOut[at] = (inOut[at] as number) + packets
    inOut[at + 1] = (inOut[at + 1] as number) + wireBytes
    inOut[at + 2] = (inOut[at + 2] as number) + truncated
  }

  /** NB: the queues are advanced after writing: of a thread that dies here records are there twice rather than not at all. */
  #writeOut(): void {
    const result = this.#outLength === 0 ? 0 : this.#parts.append(this.#out, this.#outLength)
    this.#outLength = 0
    const amounts = this.#amounts
    const inOut = this.#inOut
    for (let thread = 0; thread < this.#emptied.length; thread++) {
      const base = 1 + thread * THREAD_AMOUNTS
      const packets = inOut[thread * 3] as number
      const counted = base + (result === 0 ? WRITTEN : LOST)
      amounts[counted] = (amounts[counted] as number) + packets
      if (result !== 0) {
        amounts[base + LOST_WIRE] = (amounts[base + LOST_WIRE] as number) + (inOut[thread * 3 + 1] as number)
        amounts[base + LOST_TRUNCATED] = (amounts[base + LOST_TRUNCATED] as number) + (inOut[thread * 3 + 2] as number)
      }
      const words = HEAD_WORDS + thread * THREAD_WORDS
      Atomics.store(this.#words, words + OFFSET, this.#offsets[thread] as number)
      Atomics.store(this.#words, words + EMPTIED, this.#emptied[thread] as number)
    }
    inOut.fill(0)
  }
}

function isBefore(upper: number, lower: number, otherUpper: number, otherLower: number): boolean {
  return upper < otherUpper || (upper === otherUpper && lower < otherLower)
}
