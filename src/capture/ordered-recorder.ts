/**
 * A worker's part of a recording in order of time: makes records of the packets of each block, and hands them on, a buffer at a time, to
 * be merged with those of the other workers (file/record-order.ts).
 *
 * A packet is in `packets` when its record has been written, by whichever worker; until then it is `pending`, and when writing fails it
 * is the drop `writer`. Of `writtenBytes` each worker has what it wrote itself.
 */

import type { OrderShared } from '../file/order-memory.js'
import type { RecordFormat } from '../file/record-layout.js'
import { RecordOrder, type RecordTime } from '../file/record-order.js'
import { RecordSink } from '../file/sink.js'
import { ECANCELED } from '../kernel/errno.js'
import type { Kernel } from '../kernel/system.js'
import type { Block } from '../packet/block.js'
import { addTo, COUNTER } from './counters.js'
import { PacketClock } from './packet-clock.js'
import type { RecorderParts } from './recorder.js'
import type { WorkerRecording } from './worker.js'

/** How long a record may wait for its buffer to become full: meanwhile those of other workers wait for it in their queues. */
const FLUSH_MS = 20
/** At the end of a capture other workers may have something earlier for so long. */
const END_MS = 500
const END_LOOK_MS = 2

/** `unbuffered`: hands on after each block. */
export interface OrderedRecorderParts extends RecorderParts {
  order: OrderShared
  /** Place in `order`. */
  thread: number
  format: RecordFormat
  /** A packet of this time may be read so much later, at the most. */
  lagMs: number
}

export class OrderedRecorder {
  /** How long the worker may wait for packets without calling `tick`. */
  readonly tickMs = FLUSH_MS
  readonly #parts: OrderedRecorderParts
  readonly #sink: RecordSink
  readonly #order: RecordOrder
  readonly #clock = new PacketClock()
  readonly #time: RecordTime = { upper: 0, lower: 0 }
  /** When the first record in the buffer was made, of performance.now(). */
  #since = 0
  #errno = 0
  /** Before it was last looked whether there is something to read: held up for however long since, this thread has all that came by then. */
  #lookedMs = 0

  constructor(parts: OrderedRecorderParts) {
    const { kernel, sink, order, thread, format } = parts
    this.#parts = parts
    this.#sink = new RecordSink(kernel, sink)
    this.#order = new RecordOrder({
      shared: order,
      thread,
      threadId: kernel.gettid(),
      format,
      append: (bytes, length, packets) => this.#append(bytes, length, packets),
    })
  }

  /** Records the first `packets` packets of a block. */
  record(block: Block, packets: number): void {
    if (packets === 0) return
    const { buffer, values, unbuffered } = this.#parts
    this.#clock.compare(block)
    if (buffer.packets === 0) this.#since = performance.now()
    let header = block.firstOffset
    for (let left = packets; left > 0; ) {
      const { wireBytes, truncated } = buffer
      const added = buffer.add(block, header, left)
      addTo(values, COUNTER.pending, added)
      addTo(values, COUNTER.bytes, buffer.wireBytes - wireBytes)
      addTo(values, COUNTER.truncated, buffer.truncated - truncated)
      left -= added
      header = buffer.header
      if (left > 0) this.#handOn()
    }
    if (unbuffered) this.#handOn()
  }

  /** Hands on what has waited long enough, and says how far time has come. There is nothing to read now. */
  tick(now: number): void {
    const { buffer, lagMs, format } = this.#parts
    if (buffer.packets > 0) {
      if (now - this.#since >= FLUSH_MS) this.#handOn()
      this.#lookedMs = this.#clock.now()
      return
    }
    const wasHeard = this.#order.reached(timeOf(this.#lookedMs - lagMs, format, this.#time))
    this.#lookedMs = this.#clock.now()
    if (wasHeard) this.#settle()
  }

  /** Hands all on that there is, and waits until it is written. */
  flush(): void {
    const { values } = this.#parts
    this.#handOn()
    const until = performance.now() + END_MS
    while (!this.#order.end() && performance.now() < until) Atomics.wait(SLEEP, 0, 0, END_LOOK_MS)
    this.#order.endNow()
    this.#settle()
    // What is left a handler has given up, of what had been written before.
    addTo(values, COUNTER.packets, values[COUNTER.pending] as number)
    values[COUNTER.pending] = 0
  }

  #handOn(): void {
    const { buffer } = this.#parts
    if (buffer.packets === 0) return
    this.#order.push(buffer)
    buffer.clear()
    this.#settle()
  }

  #settle(): void {
    settle(this.#order, this.#parts.values)
  }

  /** Records of any worker. */
  #append(records: Uint8Array, recordsLength: number, packets: number): number {
    const { compress, values, onError } = this.#parts
    const bytes = compress === undefined ? records : compress(records.subarray(0, recordsLength))
    const length = compress === undefined ? recordsLength : bytes.byteLength
    const result = this.#sink.append(bytes, length, packets)
    if (result === 0) addTo(values, COUNTER.writtenBytes, length)
    // Cancelled: as many files as were ordered are written, or the end does not wait for a pipe any longer. Main knows.
    else if (this.#errno !== -result && result !== -ECANCELED) onError(-result)
    this.#errno = -result
    return result
  }
}

const SLEEP = new Int32Array(new SharedArrayBuffer(4))

/** For a worker that takes the place of one that died: what that one had handed on and is written counts as written, and no more of it will be. */
export function resumeRecords(kernel: Kernel, recording: WorkerRecording | undefined, thread: number, values: Float64Array): void {
  const order = orderOf(kernel, recording, thread)
  order?.resume()
  if (order !== undefined) settle(order, values)
}

/** For one that nobody replaces, when no other writes any more: what others wrote of it after it had been settled for was not lost. */
export function settleAbandoned(kernel: Kernel, recording: WorkerRecording | undefined, thread: number, values: Float64Array): void {
  const written = orderOf(kernel, recording, thread)?.account().writtenPackets ?? 0
  addTo(values, COUNTER.packets, written)
  addTo(values, COUNTER.writtenPackets, written)
  addTo(values, COUNTER.dropWriter, -written)
}

function orderOf(kernel: Kernel, recording: WorkerRecording | undefined, thread: number): RecordOrder | undefined {
  if (recording?.order === undefined) return undefined
  return new RecordOrder({ shared: recording.order.shared, thread, threadId: kernel.gettid(), format: recording.format, append: () => -ECANCELED })
}

function settle(order: RecordOrder, values: Float64Array): void {
  const { writtenPackets, lostPackets, lostWireBytes, lostTruncated } = order.account()
  addTo(values, COUNTER.pending, -writtenPackets - lostPackets)
  addTo(values, COUNTER.packets, writtenPackets)
  addTo(values, COUNTER.writtenPackets, writtenPackets)
  addTo(values, COUNTER.dropWriter, lostPackets)
  addTo(values, COUNTER.bytes, -lostWireBytes)
  addTo(values, COUNTER.truncated, -lostTruncated)
}

/** As records have it. */
function timeOf(ms: number, { format, microseconds }: RecordFormat, into: RecordTime): RecordTime {
  const unitsPerMs = microseconds ? 1e3 : 1e6
  const whole = Math.floor(ms)
  if (format === 'pcap') {
    into.upper = Math.floor(whole / 1000)
    into.lower = (whole % 1000) * unitsPerMs
  } else {
    const units = BigInt(whole) * BigInt(unitsPerMs)
    into.upper = Number(units >> 32n)
    into.lower = Number(units & 0xffff_ffffn)
  }
  return into
}
