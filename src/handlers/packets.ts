/**
 * The handler behind `packets()`: copies each packet into a queue in shared memory, one queue a worker, and rings a bell for
 * the main thread when it waits. When the queue is full it gives the packet up and counts it, or waits, as it was told.
 * The slow path: about 100 ns a packet here and 1 us on the main thread.
 */
import type { HandlerContext, PacketView } from '../handler.js'
import { PACKET_QUEUE, type PacketQueueMemory, RECORD } from './packet-queue.js'

interface State {
  words: Int32Array
  unsigned: Uint32Array
  bytes: Uint8Array
  /** Size of the data area, a power of two. */
  size: number
  bell: Int32Array
  waits: boolean
  /** Given up since the last packet that was queued. */
  droppedBefore: number
  countDrops: HandlerContext['countDrops']
}

export interface PacketsHandlerData {
  queues: PacketQueueMemory[]
  bell: SharedArrayBuffer
  whenFull: 'drop' | 'wait'
}

function open(context: HandlerContext): State {
  const { queues, bell, whenFull } = context.data as PacketsHandlerData
  const { memory, sizeBytes } = queues[context.workerIndex] as PacketQueueMemory
  return {
    words: new Int32Array(memory),
    unsigned: new Uint32Array(memory),
    bytes: new Uint8Array(memory),
    size: sizeBytes,
    bell: new Int32Array(bell),
    waits: whenFull === 'wait',
    droppedBefore: 0,
    countDrops: context.countDrops,
  }
}

/** Room for `need` bytes in one piece at `head`, or the bytes to skip to have it at the start; -1: full. */
function placeFor(state: State, head: number, need: number): number {
  const free = state.size - ((head - Atomics.load(state.words, PACKET_QUEUE.tail)) >>> 0)
  const toEnd = state.size - (head & (state.size - 1))
  if (need <= toEnd) return need <= free ? 0 : -1
  return need + toEnd <= free ? toEnd : -1
}

function packet(p: PacketView, state: State): void {
  const need = (RECORD.sizeof + p.capturedLength + 4 + 7) & ~7
  let head = Atomics.load(state.words, PACKET_QUEUE.head) >>> 0
  let skip = placeFor(state, head, need)
  while (skip < 0) {
    const closed = Atomics.load(state.words, PACKET_QUEUE.closed) !== 0
    if (!state.waits || closed || need > state.size >>> 1) {
      state.droppedBefore++
      state.countDrops(1, 'consumer')
      return
    }
    // The main thread wakes us when it has taken something; the time-out only guards against a wake-up that was missed.
    Atomics.wait(state.words, PACKET_QUEUE.tail, Atomics.load(state.words, PACKET_QUEUE.tail), 10)
    skip = placeFor(state, head, need)
  }
  if (skip > 0) {
    state.unsigned[(PACKET_QUEUE.data + (head & (state.size - 1))) >>> 2] = 0
    head = (head + skip) >>> 0
  }
  const at = PACKET_QUEUE.data + (head & (state.size - 1))
  const word = at >>> 2
  const fields = state.unsigned
  const length = p.copyInto(state.bytes, at + RECORD.sizeof)
  fields[word + RECORD.total / 4] = need
  fields[word + RECORD.length / 4] = length
  fields[word + RECORD.wireLength / 4] = p.wireLength + (p.hasVlan ? 4 : 0)
  fields[word + RECORD.seconds / 4] = p.seconds
  fields[word + RECORD.nanoseconds / 4] = p.nanoseconds
  fields[word + RECORD.packetType / 4] = p.packetType
  fields[word + RECORD.interfaceIndex / 4] = p.interfaceIndex
  fields[word + RECORD.vlanId / 4] = p.vlanId
  fields[word + RECORD.droppedBefore / 4] = state.droppedBefore
  state.droppedBefore = 0
  // The record is whole before the main thread may see it.
  Atomics.store(state.words, PACKET_QUEUE.head, (head + need) | 0)
  if (Atomics.load(state.bell, 1) !== 0) ring(state.bell)
}

function ring(bell: Int32Array): void {
  Atomics.store(bell, 1, 0)
  Atomics.add(bell, 0, 1)
  Atomics.notify(bell, 0)
}

export default { open, packet, close: (state: State) => ring(state.bell) }
