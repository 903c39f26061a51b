/**
 * A worker's part of a recording: makes records of the packets of each block and appends them to the file, a whole buffer at a time,
 * compressed if that was asked for. Which file it is, and when the next one begins, is the sink's business.
 *
 * A packet is in `packets` only when its record has been written; until then it is `pending`, and when writing fails it is the drop
 * `writer`. The next buffer is tried again: a disk may have room again.
 */

import type { RecordBuffer } from '../file/record.js'
import type { RecordFormat } from '../file/record-layout.js'
import { type LeadingRecords, LeadingSplit, wholeRecords } from '../file/record-walk.js'
import { RecordSink, type SinkShared } from '../file/sink.js'
import { ECANCELED } from '../kernel/errno.js'
import type { Kernel } from '../kernel/system.js'
import type { Block } from '../packet/block.js'
import { addTo, COUNTER } from './counters.js'

/** Records are gathered in so many bytes. Larger ones fit no L2 cache, smaller ones are more system calls. */
export const RECORD_BUFFER_BYTES = 2 ** 20
/** How long a record may wait for its buffer to become full, where packets are few. */
const FLUSH_MS = 100
/** The same where buffers are compressed: each is a member of its own, and small ones cost in size. */
const COMPRESSED_FLUSH_MS = 1000

export interface RecorderParts {
  kernel: Kernel
  sink: SinkShared
  buffer: RecordBuffer
  /** Of the records in it. */
  format: Pick<RecordFormat, 'format'>
  /** The worker's private counters. */
  values: Float64Array
  /** Write after each block. */
  unbuffered: boolean
  /** Makes of whole records what is written in their place. */
  compress?: ((bytes: Uint8Array) => Uint8Array) | undefined
  /** Called with the errno when writing begins to fail, and when it fails for another reason. */
  onError: (errno: number) => void
}

type WrittenRecords = Pick<LeadingRecords, 'packets' | 'wireBytes' | 'truncated'>

const NONE: LeadingRecords = { bytes: 0, packets: 0, wireBytes: 0, truncated: 0 }

export class Recorder {
  readonly #parts: RecorderParts
  readonly #sink: RecordSink
  readonly #flushMs: number
  /** When the first record in the buffer was made, of performance.now(). */
  #since = 0
  #errno = 0

  constructor(parts: RecorderParts) {
    this.#parts = parts
    this.#sink = new RecordSink(parts.kernel, parts.sink, parts.compress === undefined ? new LeadingSplit(parts.format) : undefined)
    this.#flushMs = parts.compress === undefined ? FLUSH_MS : COMPRESSED_FLUSH_MS
  }

  /** Records the first `packets` packets of a block. */
  record(block: Block, packets: number): void {
    const { buffer, values, unbuffered } = this.#parts
    if (buffer.packets === 0) this.#since = performance.now()
    let header = block.firstOffset
    for (let left = packets; left > 0; ) {
      const added = buffer.add(block, header, left)
      addTo(values, COUNTER.pending, added)
      left -= added
      header = buffer.header
      if (left > 0) this.flush()
    }
    if (unbuffered) this.flush()
  }

  /** Writes what has waited long enough. */
  tick(now: number): void {
    if (now - this.#since >= this.#flushMs) this.flush()
  }

  /** Writes all that there is. */
  flush(): void {
    const { buffer, values, compress, onError, format } = this.#parts
    if (buffer.packets === 0) return
    const pending = values[COUNTER.pending] as number
    const bytes = compress === undefined ? buffer.bytes : compress(buffer.bytes.subarray(0, buffer.length))
    const length = compress === undefined ? buffer.length : bytes.byteLength
    const result = this.#sink.append(bytes, length, buffer.packets)
    if (result === 0) this.#written(pending, buffer, length)
    else {
      // A pipe that was given up, or whose reader went away, has what went into it, but for the last record perhaps; and what fitted a file that was full is in that.
      const part = compress === undefined && this.#sink.partBytes > 0 ? wholeRecords(bytes, this.#sink.partBytes, format) : NONE
      // Fewer than none: a handler gave up packets that had been written before.
      const lost = pending < 0 ? 0 : Math.min(pending, buffer.packets - part.packets)
      addTo(values, COUNTER.dropWriter, lost)
      this.#written(pending - lost, part, part.bytes)
      // Cancelled: as many files as were ordered are written, or the end does not wait for a pipe any longer. Main knows.
      if (this.#errno !== -result && result !== -ECANCELED) onError(-result)
    }
    values[COUNTER.pending] = 0
    this.#errno = -result
    buffer.clear()
  }

  #written(pending: number, { packets, wireBytes, truncated }: WrittenRecords, length: number): void {
    const { values } = this.#parts
    addTo(values, COUNTER.packets, pending)
    addTo(values, COUNTER.bytes, wireBytes)
    addTo(values, COUNTER.truncated, truncated)
    addTo(values, COUNTER.writtenPackets, packets)
    addTo(values, COUNTER.writtenBytes, length)
  }
}
