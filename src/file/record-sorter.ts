/**
 * Puts the records of one thread in order of time. They nearly are: where several CPUs fill one ring, or RPS hands packets on, a packet may
 * come behind one with a later stamp (tpacket_rcv takes its place in the ring under a lock, and stamps before or after it). So the
 * latest records are held back until those behind them have come: for `HOLD_MS`, as long as they are few enough.
 *
 * Cost a record: bench/record-order.ts.
 */
import { EPB, PCAP_RECORD, type RecordFormat } from './record-layout.js'

const HOLD_MS = 10
/** Of records that are held back. */
export const HELD_BYTES = 2 ** 18
/** The shortest record: a packet without a byte. */
const LEAST_RECORD_BYTES = PCAP_RECORD.sizeof

export class RecordSorter {
  readonly #isPcap: boolean
  readonly #timeAt: number
  readonly #unitsPerUpper: number
  readonly #holdUnits: number
  /** Records that are held back, in order, and room for those that will be next. */
  #held: Uint8Array = new Uint8Array(HELD_BYTES)
  #heldLength = 0
  #spare: Uint8Array = new Uint8Array(HELD_BYTES)
  /** Of each record: its time in units since the first one's upper word, its place (that of held ones, then that in the buffer) and its length. */
  readonly #keys: Float64Array
  readonly #places: Uint32Array
  readonly #lengths: Uint32Array
  /** Records in order of time, and room to merge them. */
  #order: Uint32Array
  #merged: Uint32Array
  #records = 0
  #baseUpper = 0
  #isSorted = true
  #to: Uint8Array = this.#held
  #written = 0
  /** Time of the last record that was given out. */
  upper = 0
  lower = 0

  /** Takes buffers of at most so many bytes. */
  constructor(bufferBytes: number, { format, microseconds }: Pick<RecordFormat, 'format' | 'microseconds'>) {
    const unitsPerMs = microseconds ? 1e3 : 1e6
    this.#isPcap = format === 'pcap'
    this.#timeAt = this.#isPcap ? PCAP_RECORD.seconds : EPB.timestampHigh
    this.#unitsPerUpper = this.#isPcap ? unitsPerMs * 1000 : 2 ** 32
    this.#holdUnits = HOLD_MS * unitsPerMs
    const records = Math.ceil((bufferBytes + HELD_BYTES) / LEAST_RECORD_BYTES)
    this.#keys = new Float64Array(records)
    this.#places = new Uint32Array(records)
    this.#lengths = new Uint32Array(records)
    this.#order = new Uint32Array(records)
    this.#merged = new Uint32Array(records)
  }

  get hasHeld(): boolean {
    return this.#heldLength > 0
  }

  /** Forgets what is held back. */
  clear(): void {
    this.#heldLength = 0
  }

  /**
   * Takes the records in bytes[0, length) and gives out, into `to`, in order, what need not be held back any longer. `to` has room for
   * both. Answers how many bytes that are.
   */
  add(bytes: Uint8Array, length: number, to: Uint8Array): number {
    this.#index(bytes, length)
    const newest = this.#records === 0 ? 0 : (this.#keys[this.#order[this.#records - 1] as number] as number)
    return this.#giveOut(bytes, to, newest - this.#holdUnits)
  }

  /** Gives out what is held back, up to a time. */
  release(upper: number, lower: number, to: Uint8Array): number {
    this.#index(this.#held, 0)
    return this.#giveOut(this.#held, to, (upper - this.#baseUpper) * this.#unitsPerUpper + lower)
  }

  /** Gives out all. */
  releaseAll(to: Uint8Array): number {
    this.#index(this.#held, 0)
    return this.#giveOut(this.#held, to, Number.POSITIVE_INFINITY)
  }

  #index(bytes: Uint8Array, length: number): void {
    this.#records = 0
    this.#isSorted = true
    this.#indexPart(this.#held, this.#heldLength, 0)
    this.#indexPart(bytes, length, this.#heldLength)
    for (let i = 0; i < this.#records; i++) this.#order[i] = i
    if (!this.#isSorted) this.#sort()
  }

  #indexPart(bytes: Uint8Array, length: number, placeOfFirst: number): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, length)
    const keys = this.#keys
    const timeAt = this.#timeAt
    const isPcap = this.#isPcap
    const unitsPerUpper = this.#unitsPerUpper
    let records = this.#records
    let isSorted = this.#isSorted
    if (records === 0 && length > 0) this.#baseUpper = view.getUint32(timeAt, true)
    const baseUpper = this.#baseUpper
    let last = records === 0 ? Number.NEGATIVE_INFINITY : (keys[records - 1] as number)
    for (let at = 0; at < length; records++) {
      const bytesOfIt = isPcap ? PCAP_RECORD.sizeof + view.getUint32(at + PCAP_RECORD.capturedLength, true) : view.getUint32(at + EPB.totalLength, true)
      const key = (view.getUint32(at + timeAt, true) - baseUpper) * unitsPerUpper + view.getUint32(at + timeAt + 4, true)
      keys[records] = key
      this.#places[records] = placeOfFirst + at
      this.#lengths[records] = bytesOfIt
      if (key < last) isSorted = false
      last = key
      at += bytesOfIt
    }
    this.#records = records
    this.#isSorted = isSorted
  }

  /** Merges runs that are in order until there is one: few are, and short ways apart. Records of one time stay as they came. */
  #sort(): void {
    const keys = this.#keys
    const records = this.#records
    for (;;) {
      const from = this.#order
      const to = this.#merged
      let runs = 0
      for (let start = 0; start < records; runs++) {
        const middle = endOfRun(keys, from, start, records)
        const end = middle === records ? records : endOfRun(keys, from, middle, records)
        for (let a = start, b = middle, out = start; out < end; out++) {
          const takesFirst = a < middle && (b === end || (keys[from[a] as number] as number) <= (keys[from[b] as number] as number))
          to[out] = (takesFirst ? from[a++] : from[b++]) as number
        }
        start = end
      }
      this.#order = to
      this.#merged = from
      if (runs <= 1) return
    }
  }

  /** Records up to `until` go out, and as many more as are too many to be held back; the others are held back. */
  #giveOut(bytes: Uint8Array, to: Uint8Array, until: number): number {
    const order = this.#order
    const keys = this.#keys
    let ready = this.#records
    let heldBytes = 0
    while (ready > 0) {
      const record = order[ready - 1] as number
      if ((keys[record] as number) <= until || heldBytes + (this.#lengths[record] as number) > HELD_BYTES) break
      heldBytes += this.#lengths[record] as number
      ready--
    }
    this.#to = to
    this.#written = 0
    this.#copy(bytes, 0, ready)
    const written = this.#written
    if (ready > 0) this.#setTime(keys[order[ready - 1] as number] as number)
    this.#to = this.#spare
    this.#written = 0
    this.#copy(bytes, ready, this.#records)
    this.#heldLength = this.#written
    this.#spare = this.#held
    this.#held = this.#to
    return written
  }

  #setTime(key: number): void {
    const upper = Math.floor(key / this.#unitsPerUpper)
    this.upper = this.#baseUpper + upper
    this.lower = key - upper * this.#unitsPerUpper
  }

  /** Records from one place in the order to another; those that stand together are copied together. */
  #copy(bytes: Uint8Array, from: number, to: number): void {
    const order = this.#order
    const places = this.#places
    const lengths = this.#lengths
    for (let i = from; i < to; ) {
      const first = order[i] as number
      const start = places[first] as number
      let end = start + (lengths[first] as number)
      for (i++; i < to && (places[order[i] as number] as number) === end; i++) end += lengths[order[i] as number] as number
      this.#copyPart(bytes, start, end)
    }
  }

  /** What is held back stands before what is in the buffer. */
  #copyPart(bytes: Uint8Array, start: number, end: number): void {
    const held = this.#heldLength
    if (start < held) {
      const length = Math.min(end, held) - start
      this.#to.set(this.#held.subarray(start, start + length), this.#written)
      this.#written += length
    }
    if (end > held) {
      const first = Math.max(start, held) - held
      this.#to.set(bytes.subarray(first, end - held), this.#written)
      this.#written += end - held - first
    }
  }
}

function endOfRun(keys: Float64Array, order: Uint32Array, start: number, records: number): number {
  let end = start + 1
  while (end < records && (keys[order[end - 1] as number] as number) <= (keys[order[end] as number] as number)) end++
  return end
}
