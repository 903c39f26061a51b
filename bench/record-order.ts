/**
 * Nanoseconds a record to merge what several workers recorded in order of time (`capture --order`), writing left out; without root.
 * Packets come to the workers in turn, one by one or in runs, as RSS and interrupts spread them.
 *
 *   npm run bench:record-order
 */

import { createOrderMemory } from '#src/file/order-memory.js'
import { ScriptRecords } from '#src/file/record.js'
import { PCAP_RECORD, type RecordFormat } from '#src/file/record-layout.js'
import { orderSegmentBytes, RecordOrder } from '#src/file/record-order.js'
import { Block } from '#src/packet/block.js'
import { KernelRing } from '../test/support/ring-memory.js'

const BUFFER_BYTES = 2 ** 20
const SEGMENTS = 8
const ROUNDS = 40
const FORMAT: RecordFormat = { format: 'pcap', microseconds: false, snapLengthBytes: 262_144, interfaceId: 0 }

/** A buffer of records of one of so many threads, whose packets come in turns of `run`. */
function recordsOf(thread: number, threads: number, run: number, frameBytes: number): ScriptRecords {
  const ring = new KernelRing({ blockBytes: 2 ** 21, blockCount: 2 })
  const packets = Math.floor(BUFFER_BYTES / (frameBytes + 40))
  for (let i = 0; i < packets; i++) {
    const turn = Math.floor(i / run) * threads + thread
    ring.receive({ bytes: new Uint8Array(frameBytes), seconds: 1_700_000_000, nanoseconds: turn * run + (i % run) })
  }
  ring.retire()
  const block = new Block(ring.memory, 0, 2 ** 21)
  block.readHeader()
  const buffer = new ScriptRecords(BUFFER_BYTES, FORMAT)
  buffer.add(block, block.firstOffset, packets)
  return buffer
}

function measure(threads: number, run: number, frameBytes: number): number {
  const buffers = Array.from({ length: threads }, (_, thread) => recordsOf(thread, threads, run, frameBytes))
  const packets = buffers.reduce((sum, buffer) => sum + buffer.packets, 0)
  const shared = createOrderMemory({ threads, segmentBytes: orderSegmentBytes(BUFFER_BYTES), segments: SEGMENTS })
  const orders = buffers.map((_, thread) => new RecordOrder({ shared, thread, threadId: process.pid, format: FORMAT, append: () => 0 }))
  let best = Number.POSITIVE_INFINITY
  for (let round = 0; round < ROUNDS; round++) {
    const start = process.hrtime.bigint()
    for (const [thread, buffer] of buffers.entries()) orders[thread]?.push(buffer)
    const nanoseconds = Number(process.hrtime.bigint() - start)
    // The first rounds touch the memory.
    if (round >= SEGMENTS) best = Math.min(best, nanoseconds / packets)
    for (const buffer of buffers) setForward(buffer)
  }
  return best
}

/** Each record comes ten seconds later. */
function setForward({ bytes, length }: ScriptRecords): void {
  const view = new DataView(bytes.buffer)
  for (let at = 0; at < length; at += PCAP_RECORD.sizeof + view.getUint32(at + PCAP_RECORD.capturedLength, true)) {
    view.setUint32(at + PCAP_RECORD.seconds, view.getUint32(at + PCAP_RECORD.seconds, true) + 10, true)
  }
}

console.log(`Node.js ${process.version}; best of ${ROUNDS} rounds, nanoseconds a record`)
console.log('workers   bytes   one by one   runs of 64')
for (const threads of [2, 4, 8, 16]) {
  for (const frameBytes of [60, 590]) {
    const cells = [1, 64].map((run) => measure(threads, run, frameBytes).toFixed(0).padStart(13))
    console.log(`${String(threads).padStart(7)}${String(frameBytes).padStart(8)}${cells.join('')}`)
  }
}
