/**
 * Merges the queues of several threads into one stream of records, in order of time, and writes it. Whoever holds the lock of the memory
 * does it for all; nothing of it outlasts that but what stands in the memory.
 *
 * Cost a record of 60 bytes, sorting in it and writing left out: 100 ns with 2 workers whose packets alternate, 150 with 16; in runs of
 * 64 packets 54 to 63; of 590 bytes 157 to 540 (bench/record-order.ts, Node.js 20 on a busy machine).
 */
import {
  EMPTIED,
  ENDED,
  FILLED,
  HAS_ENDED,
  HEAD_WORDS,
  isBefore,
  LAST_LOWER,
  LAST_UPPER,
  LOST,
  LOST_TRUNCATED,
  LOST_WIRE,
  OFFSET,
  type OrderMemory,
  REACHED_LOWER,
  REACHED_UPPER,
  THREAD_WORDS,
  WRITTEN,
} from './order-memory.js'
import { EPB, PCAP_RECORD, type RecordFormat } from './record-layout.js'

/** Later than any record: pcap ends with it, and 64 bits of pcapng in nanoseconds in the year 2554. */
const LAST = 0xffff_ffff
/** From here on `set` of a part is faster than words. */
const SET_FROM_BYTES = 160

/** Appends whole records to the file: 0, or -errno and nothing is written. */
export type AppendRecords = (bytes: Uint8Array, length: number, packets: number) => number

export class RecordMerge {
  readonly #memory: OrderMemory
  readonly #append: AppendRecords
  readonly #timeAt: number
  readonly #lengthsAt: { capturedLength: number; originalLength: number }
  readonly #isPcap: boolean
  readonly #out: Uint8Array<ArrayBuffer>
  readonly #outView: DataView
  #outLength = 0
  /** Of what is in `#out`, by thread: packets, their bytes on the wire, those that were cut. */
  readonly #inOut: Float64Array
  /** The same as EMPTIED and OFFSET of each thread, but for what has not been written yet. */
  readonly #emptied: Int32Array
  readonly #offsets: Int32Array
  /** Time of each thread's next record; LAST for none. */
  readonly #upper: Uint32Array
  readonly #lower: Uint32Array
  /** Up to this time records may be written. */
  #limitUpper = LAST
  #limitLower = LAST
  /** The thread whose record is next, and until which time no other's is. */
  #earliest = -1
  #nextUpper = LAST
  #nextLower = LAST

  constructor(memory: OrderMemory, { format }: Pick<RecordFormat, 'format'>, append: AppendRecords) {
    const { threads, segmentBytes } = memory.shared
    this.#memory = memory
    this.#append = append
    this.#isPcap = format === 'pcap'
    this.#timeAt = this.#isPcap ? PCAP_RECORD.seconds : EPB.timestampHigh
    this.#lengthsAt = this.#isPcap ? PCAP_RECORD : EPB
    this.#out = new Uint8Array(segmentBytes)
    this.#outView = new DataView(this.#out.buffer)
    this.#inOut = new Float64Array(threads * 3)
    this.#emptied = new Int32Array(threads)
    this.#offsets = new Int32Array(threads)
    this.#upper = new Uint32Array(threads)
    this.#lower = new Uint32Array(threads)
  }

  /** Writes what is ready. With `roomFor`, a thread, also what is not, the earliest first, until that thread's queue is a segment shorter. */
  run(roomFor = -1): void {
    const { words, shared } = this.#memory
    this.#limitUpper = LAST
    this.#limitLower = LAST
    for (let thread = 0; thread < shared.threads; thread++) {
      const at = HEAD_WORDS + thread * THREAD_WORDS
      if (Atomics.load(words, at + HAS_ENDED) === ENDED.abandoned) this.#memory.drop(thread)
      this.#emptied[thread] = words[at + EMPTIED] as number
      this.#offsets[thread] = words[at + OFFSET] as number
      this.#findHead(thread)
    }
    const emptied = this.#emptied[roomFor]
    while (this.#findEarliest()) {
      const isReady = !isBefore(this.#limitUpper, this.#limitLower, this.#upper[this.#earliest] as number, this.#lower[this.#earliest] as number)
      if (!isReady && (roomFor < 0 || this.#emptied[roomFor] !== emptied)) break
      this.#copyRun(this.#earliest, isReady)
    }
    this.#writeOut()
  }

  #isEmpty(thread: number): boolean {
    return this.#emptied[thread] === this.#memory.words[HEAD_WORDS + thread * THREAD_WORDS + FILLED]
  }

  /** Of a queue that is empty, whose thread has not ended: what may still come is not before the time that it has reached. */
  #findHead(thread: number): void {
    const { views, words, times } = this.#memory
    if (!this.#isEmpty(thread)) {
      const view = views[this.#memory.placeOf(thread, this.#emptied[thread] as number)] as DataView
      const at = (this.#offsets[thread] as number) + this.#timeAt
      this.#upper[thread] = view.getUint32(at, true)
      this.#lower[thread] = view.getUint32(at + 4, true)
      return
    }
    this.#upper[thread] = LAST
    this.#lower[thread] = LAST
    const at = HEAD_WORDS + thread * THREAD_WORDS
    if (words[at + HAS_ENDED] !== ENDED.no) return
    const upper = times[at + REACHED_UPPER] as number
    const lower = times[at + REACHED_LOWER] as number
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
    const { views, lengths, times } = this.#memory
    const place = this.#memory.placeOf(thread, this.#emptied[thread] as number)
    const view = views[place] as DataView
    const length = lengths[place] as number
    const isPcap = this.#isPcap
    const timeAt = this.#timeAt
    const { capturedLength, originalLength } = this.#lengthsAt
    let upper = this.#nextUpper
    let lower = this.#nextLower
    if (isReady && isBefore(this.#limitUpper, this.#limitLower, upper, lower)) {
      upper = this.#limitUpper
      lower = this.#limitLower
    }
    let lastUpper = times[LAST_UPPER] as number
    let lastLower = times[LAST_LOWER] as number
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
    times[LAST_UPPER] = lastUpper
    times[LAST_LOWER] = lastLower
    if (late > 0) this.#memory.addLate(late)
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
      this.#out.set((this.#memory.segments[place] as Uint8Array).subarray(start, start + length), to)
      return
    }
    const from = this.#memory.views[place] as DataView
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
    const memory = this.#memory
    const inOut = this.#inOut
    let packets = 0
    for (let at = 0; at < inOut.length; at += 3) packets += inOut[at] as number
    const result = this.#outLength === 0 ? 0 : this.#append(this.#out, this.#outLength, packets)
    this.#outLength = 0
    for (let thread = 0; thread < this.#emptied.length; thread++) {
      memory.add(thread, result === 0 ? WRITTEN : LOST, inOut[thread * 3] as number)
      if (result !== 0) {
        memory.add(thread, LOST_WIRE, inOut[thread * 3 + 1] as number)
        memory.add(thread, LOST_TRUNCATED, inOut[thread * 3 + 2] as number)
      }
      memory.set(thread, OFFSET, this.#offsets[thread] as number)
      memory.set(thread, EMPTIED, this.#emptied[thread] as number)
    }
    inOut.fill(0)
  }
}
