/**
 * Memory for records in segments of one size, all taken and touched at once: what is recorded later costs no page fault, and no more
 * memory than this is ever used.
 */
import type { LinearMemory } from '../kernel/linear-memory.js'
import { CompiledRecords, createRecordBuffer, type RecordBuffer } from './record.js'
import type { RecordFormat } from './record-layout.js'
import { SLACK_BYTES } from './record-program.js'

/** What a segment takes beside its records: where compiled code may write behind them, and the way to the next cache line. */
const AROUND_BYTES = SLACK_BYTES + 64
const PAGE_BYTES = 4096
/** Larger segments for larger pools: each must hold the longest record. */
const SEGMENT_BYTES = 2 ** 20
const SMALL_SEGMENT_BYTES = 2 ** 19
const SMALL_POOL_BYTES = 32 * SEGMENT_BYTES
const MIN_SEGMENTS = 4

/** Fewer bytes would be a past of hardly more than the segment that is being filled. */
export const MIN_POOL_BYTES = MIN_SEGMENTS * SMALL_SEGMENT_BYTES
/** The memory of compiled code has 4 GiB, and the ring is in it, too. */
export const MAX_POOL_BYTES = 3 * 2 ** 30

export interface PoolGeometry {
  segmentBytes: number
  segments: number
}

/** How so many bytes are cut up. */
export function poolGeometry(bytes: number): PoolGeometry {
  const segmentBytes = bytes < SMALL_POOL_BYTES ? SMALL_SEGMENT_BYTES : SEGMENT_BYTES
  return { segmentBytes: segmentBytes - AROUND_BYTES, segments: Math.max(MIN_SEGMENTS, Math.floor(bytes / segmentBytes)) }
}

/** Room that it takes of a linear memory. */
export function poolMemoryBytes({ segmentBytes, segments }: PoolGeometry): number {
  return CompiledRecords.memoryBytes(segmentBytes) + segments * (segmentBytes + AROUND_BYTES)
}

export interface RecordPool {
  /** Makes records in one of the segments; in the first one to begin with. */
  buffer: RecordBuffer
  segments: Uint8Array<ArrayBuffer>[]
}

export function createRecordPool(memory: LinearMemory | undefined, { segmentBytes, segments: count }: PoolGeometry, format: RecordFormat): RecordPool {
  const buffer = createRecordBuffer(memory, segmentBytes, format)
  const segments = [buffer.bytes]
  while (segments.length < count) segments.push(nextSegment(buffer instanceof CompiledRecords ? memory : undefined, segmentBytes))
  for (const segment of segments) for (let at = 0; at < segmentBytes; at += PAGE_BYTES) segment[at] = 0
  return { buffer, segments }
}

function nextSegment(memory: LinearMemory | undefined, bytes: number): Uint8Array<ArrayBuffer> {
  if (memory === undefined) return new Uint8Array(bytes)
  const at = memory.take(bytes + SLACK_BYTES)
  if (at === undefined) throw new Error(`no ${bytes} bytes left in a linear memory`)
  return new Uint8Array(memory.buffer, at, bytes)
}
