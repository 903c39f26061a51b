/**
 * A worker's part of a time machine: makes records of all packets in memory, and forgets the oldest when that is full. Ordered to, it
 * appends to a file what it remembers from a time on, and what comes until another; then it only remembers again, all that is there.
 *
 * A packet is delivered, in `packets`, when it is in memory: what is forgotten later is no drop. `writtenPackets` counts those in files,
 * twice those that are in two. What could not be written is taken back from `packets`, becomes the drop `writer` and is forgotten.
 *
 * Memory is a ring of segments. Records are made in the newest; whole segments are appended, so writing needs no copy. A backlog is
 * written when nothing comes. While packets come, as many bytes of it as come, as an ordinary recording would, and some more as time
 * goes by: the source must not wait for it, and it needs the CPU more. When memory is full the oldest segment is written at once.
 *
 * Nothing is done a packet but its record (record.ts), into memory that is in no cache: 60 bytes 10 ns, 590 bytes 43 to 63 with 4 to
 * 512 MiB of segments (best of 12 rounds over 64 MiB of blocks, Node.js 20 on a busy machine).
 */
import type { RecordBuffer } from '../file/record.js'
import type { RecordFormat } from '../file/record-layout.js'
import { type LeadingRecords, recordsBefore } from '../file/record-walk.js'
import { RecordSink, type SinkShared } from '../file/sink.js'
import type { Kernel } from '../kernel/system.js'
import type { Block } from '../packet/block.js'
import { addTo, COUNTER } from './counters.js'
import { PacketClock, packetTimeMs } from './packet-clock.js'
import type { TriggerWatch } from './trigger-watch.js'

/** What is written of a backlog while packets come, beside as much as comes: 128 MiB a second. */
const BACKLOG_BYTES_PER_MS = 2 ** 27 / 1000
/** For so long at a time at most. */
const MAX_BETWEEN_TICKS_MS = 50

/** What belongs into a file: packets from one time to another, in milliseconds since 1970. */
export interface PastOrder {
  /** Another number is another file; the same one again makes it longer. */
  id: number
  sink: SinkShared
  fromMs: number
  untilMs: number
}

/** What a worker has done of an order. */
export interface PastReport {
  id: number
  /** Packets written since the last report. */
  packets: number
  /** From here on no packet of this worker is missing in the file, but for drops: the order's own beginning, or as far as memory reached. */
  coversFromMs: number
  /** All of it up to this time is in the file; undefined when the worker ends before. */
  untilMs: number | undefined
}

export interface PastRecorderParts {
  kernel: Kernel
  buffer: RecordBuffer
  /** Where records are kept, at least three; `buffer` is at the first. */
  segments: readonly Uint8Array<ArrayBuffer>[]
  format: RecordFormat
  /** The worker's private counters. */
  values: Float64Array
  /** A packet of this time may be read so much later, at the most. */
  lagMs: number
  /** Called with the errno when writing begins to fail, and when it fails for another reason. */
  onError: (errno: number) => void
  report: (report: PastReport) => void
  /** Whether a packet is one to begin a file for, and what to do then: told its time. */
  watch?: TriggerWatch | undefined
  onMatch?: (atMs: number) => void
  /** Date.now, but in tests. */
  clock?: () => number
}

type Counts = Pick<LeadingRecords, 'packets' | 'wireBytes' | 'truncated'>

const NONE: Counts = { packets: 0, wireBytes: 0, truncated: 0 }

class Segment {
  readonly bytes: Uint8Array<ArrayBuffer>
  length = 0
  packets = 0
  wireBytes = 0
  truncated = 0
  /** Time of its first packet. */
  firstMs = 0
  /** Those at its beginning that a file has, or that were too old for it. */
  kept = NONE

  constructor(bytes: Uint8Array<ArrayBuffer>) {
    this.bytes = bytes
  }
}

export class PastRecorder {
  readonly #parts: PastRecorderParts
  readonly #clock: () => number
  readonly #packetClock: PacketClock
  readonly #segments: readonly Segment[]
  /** Segments have numbers that only grow: of the oldest, and of the one that is being filled. */
  #oldest = 0
  #open = 0
  /** Time from which on everything is remembered. */
  #reachesMs: number
  #order: PastOrder | undefined
  #sink: RecordSink | undefined
  #lastId = -1
  /** Next segment to write, and the one before which writing ends: none as long as there is more to come. */
  #next = 0
  #end = Number.POSITIVE_INFINITY
  /** Records before this are not written. */
  #trimMs = 0
  /** Nor those from here on: the order came when they were remembered already. By the packets' clock, as the one before. */
  #cutMs = Number.POSITIVE_INFINITY
  /** The segment in which the file ended for that. */
  #cutSegment = -1
  /** Bytes of the backlog that may be written. */
  #credit = 0
  #tickedAt = 0
  /** Nothing came between the last two ticks. */
  #isQuiet = false
  #hasRecorded = false
  #writtenPackets = 0
  #coversFromMs = 0
  #errno = 0

  constructor(parts: PastRecorderParts) {
    this.#parts = parts
    this.#clock = parts.clock ?? Date.now
    this.#packetClock = new PacketClock(this.#clock)
    this.#segments = parts.segments.map((bytes) => new Segment(bytes))
    this.#reachesMs = this.#clock()
  }

  /** Remembers the first `packets` packets of a block. */
  record(block: Block, packets: number): void {
    if (packets === 0) return
    this.#hasRecorded = true
    const { watch, onMatch } = this.#parts
    this.#packetClock.compare(block)
    const matchMs = watch?.look(block, packets)
    const order = this.#order
    // NB: the clock shows whole milliseconds.
    if (order !== undefined && this.#end === Number.POSITIVE_INFINITY && this.#clock() + 1 > order.untilMs) this.#recordLast(block, packets, order)
    else this.#add(block, block.firstOffset, packets)
    this.#settle()
    if (this.#order !== undefined) this.#writeSome()
    if (matchMs !== undefined) onMatch?.(matchMs - this.#packetClock.aheadMs)
  }

  /** Time has come: what belongs into the file ends with a segment. */
  #recordLast(block: Block, packets: number, order: PastOrder): void {
    const untilMs = order.untilMs + this.#packetClock.aheadMs
    let header = block.firstOffset
    let before = 0
    for (; before < packets && packetTimeMs(block, header) < untilMs; before++) header += block.words32[header >>> 2] as number
    if (before > 0) this.#add(block, block.firstOffset, before)
    if (before === packets) return
    this.#endFile()
    this.#add(block, header, packets - before)
  }

  #add(block: Block, from: number, packets: number): void {
    const { buffer, values } = this.#parts
    let header = from
    for (let left = packets; left > 0; ) {
      if (buffer.packets === 0) this.#segment(this.#open).firstMs = packetTimeMs(block, header)
      const { length, wireBytes, truncated } = buffer
      const added = buffer.add(block, header, left)
      addTo(values, COUNTER.pending, added)
      addTo(values, COUNTER.bytes, buffer.wireBytes - wireBytes)
      addTo(values, COUNTER.truncated, buffer.truncated - truncated)
      this.#credit += buffer.length - length
      left -= added
      header = buffer.header
      if (left > 0) this.#advance()
    }
  }

  /** What is in memory is delivered. A handler may have given up some of it (`pending` knows). */
  #settle(): void {
    const { values } = this.#parts
    addTo(values, COUNTER.packets, values[COUNTER.pending] as number)
    values[COUNTER.pending] = 0
  }

  #segment(number: number): Segment {
    return this.#segments[number % this.#segments.length] as Segment
  }

  /** Goes on in the next segment; the oldest is forgotten if it is that. */
  #advance(): void {
    const { buffer } = this.#parts
    const full = this.#segment(this.#open)
    full.length = buffer.length
    full.packets = buffer.packets
    full.wireBytes = buffer.wireBytes
    full.truncated = buffer.truncated
    full.kept = NONE
    this.#open++
    if (this.#open - this.#oldest === this.#segments.length) this.#forget()
    buffer.moveTo(this.#segment(this.#open).bytes)
  }

  #forget(): void {
    if (this.#hasBacklog() && this.#next === this.#oldest) this.#writeNext()
    this.#oldest++
    // There are three segments, so this one is full.
    this.#reachesMs = this.#segment(this.#oldest).firstMs - this.#packetClock.aheadMs
  }

  /** Writes a file as ordered; or makes the one that it writes, or has just written, longer. */
  begin(order: PastOrder): void {
    const { kernel, watch } = this.#parts
    watch?.arm(order.untilMs + this.#packetClock.aheadMs)
    this.#order = order
    this.#end = Number.POSITIVE_INFINITY
    const earlierCutMs = this.#cutMs
    this.#cutMs = this.#clock() + 1 > order.untilMs ? order.untilMs + this.#packetClock.aheadMs : Number.POSITIVE_INFINITY
    if (order.id === this.#lastId) {
      if (this.#cutSegment >= 0) {
        // What was cut off belongs into it now.
        this.#next = this.#cutSegment
        this.#trimMs = earlierCutMs
        this.#cutSegment = -1
      }
      if (this.#next < this.#oldest) {
        this.#next = this.#oldest
        this.#trimMs = 0
      }
      return
    }
    this.#lastId = order.id
    this.#cutSegment = -1
    this.#sink = new RecordSink(kernel, order.sink)
    this.#errno = 0
    this.#credit = 0
    this.#coversFromMs = Math.max(order.fromMs, this.#reachesMs)
    this.#trimMs = order.fromMs + this.#packetClock.aheadMs
    this.#next = this.#oldest
    const last = this.#parts.buffer.packets === 0 ? this.#open - 1 : this.#open
    while (this.#next < last && this.#segment(this.#next + 1).firstMs <= this.#trimMs) this.#next++
  }

  /** Looks for a packet to begin a file for, as from the beginning: none was begun for the last one. */
  rearm(): void {
    this.#parts.watch?.arm(0)
  }

  /** What an order waits for may not come: time passes all the same. And there may be time to write. `now` of performance.now(). */
  tick(now: number): void {
    this.#settle()
    this.#isQuiet = !this.#hasRecorded
    this.#hasRecorded = false
    const elapsed = now - this.#tickedAt
    this.#tickedAt = now
    const order = this.#order
    if (order === undefined) return
    if (this.#end === Number.POSITIVE_INFINITY && this.#clock() >= order.untilMs + this.#parts.lagMs) this.#endFile()
    if (this.#isQuiet) {
      if (this.#hasBacklog()) this.#writeNext()
      this.#endOrder()
    } else {
      this.#credit += Math.min(elapsed, MAX_BETWEEN_TICKS_MS) * BACKLOG_BYTES_PER_MS
      this.#writeSome()
    }
  }

  get isBusy(): boolean {
    return this.#isQuiet && this.#hasBacklog()
  }

  /** Writes all that there is for the file that is ordered; without one, nothing. */
  flush(): void {
    this.#settle()
    if (this.#order === undefined) return
    if (this.#end === Number.POSITIVE_INFINITY) this.#endFile()
    while (this.#hasBacklog()) this.#writeNext()
    this.#order = undefined
    this.#report(undefined)
  }

  #hasBacklog(): boolean {
    return this.#order !== undefined && this.#next < Math.min(this.#open, this.#end)
  }

  /** Nothing more belongs into the file than what is recorded now. */
  #endFile(): void {
    if (this.#parts.buffer.packets > 0) this.#advance()
    this.#end = this.#open
  }

  #writeSome(): void {
    const { length } = this.#parts.buffer.bytes
    for (; this.#credit >= length && this.#hasBacklog(); this.#credit -= length) this.#writeNext()
    if (!this.#hasBacklog()) this.#credit = 0
    this.#endOrder()
  }

  #endOrder(): void {
    const order = this.#order
    if (order === undefined || this.#next < this.#end) return
    this.#order = undefined
    this.#report(order.untilMs)
  }

  #report(untilMs: number | undefined): void {
    this.#parts.report({ id: this.#lastId, packets: this.#writtenPackets, coversFromMs: this.#coversFromMs, untilMs })
    this.#writtenPackets = 0
  }

  #writeNext(): void {
    const { format, values, onError } = this.#parts
    const number = this.#next++
    const segment = this.#segment(number)
    const { bytes, length } = segment
    const old = recordsBefore(bytes, this.#trimMs === 0 ? 0 : length, format, this.#trimMs)
    // The first one that belongs into the file: all that follow do.
    if (old.bytes < length) this.#trimMs = 0
    const isLate = this.#cutMs !== Number.POSITIVE_INFINITY
    const { wireBytes, truncated } = segment
    const upTo = isLate ? recordsBefore(bytes, length, format, this.#cutMs) : { bytes: length, packets: segment.packets, wireBytes, truncated }
    const until = upTo.bytes
    if (until < length) {
      this.#cutSegment = number
      this.#end = this.#next
    }
    const packets = upTo.packets - old.packets
    if (packets === 0) return
    const result = (this.#sink as RecordSink).append(old.bytes === 0 ? bytes : bytes.subarray(old.bytes), until - old.bytes, packets)
    if (result === 0) {
      addTo(values, COUNTER.writtenPackets, packets)
      addTo(values, COUNTER.writtenBytes, until - old.bytes)
      this.#writtenPackets += packets
      if (upTo.packets > segment.kept.packets) segment.kept = upTo
    } else {
      this.#lose(segment, old)
      if (this.#errno !== -result) onError(-result)
    }
    this.#errno = -result
  }

  /** They were delivered, and are so no more, but for those that an earlier file has. */
  #lose(segment: Segment, old: Counts): void {
    const { values } = this.#parts
    const { packets, wireBytes, truncated } = old.packets > segment.kept.packets ? old : segment.kept
    if (segment.packets > packets) {
      // Not those that a handler gave up in the meantime: they stand elsewhere.
      const lost = Math.min(segment.packets - packets, values[COUNTER.packets] as number)
      addTo(values, COUNTER.packets, -lost)
      addTo(values, COUNTER.dropWriter, lost)
      addTo(values, COUNTER.bytes, wireBytes - segment.wireBytes)
      addTo(values, COUNTER.truncated, truncated - segment.truncated)
    }
    segment.length = 0
    segment.packets = 0
    segment.wireBytes = 0
    segment.truncated = 0
    segment.kept = NONE
  }
}
