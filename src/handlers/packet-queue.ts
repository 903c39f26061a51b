/** Layout of the queue between a worker and `packets()`: one writer, one reader, free-running 32-bit positions. Byte offsets unless said. */

/** Word indices of the shared positions, and the byte offset of the data area. */
export const PACKET_QUEUE = {
  /** Written by the worker. */
  head: 0,
  /** Written by the main thread; a cache line away. */
  tail: 16,
  /** 1 when nobody will read any more. */
  closed: 17,
  data: 128,
} as const

/** A record. `total` 0 means: skip to the start of the data area. */
export const RECORD = {
  total: 0,
  length: 4,
  wireLength: 8,
  seconds: 12,
  nanoseconds: 16,
  packetType: 20,
  interfaceIndex: 24,
  vlanId: 28,
  droppedBefore: 32,
  sizeof: 40,
} as const

export interface PacketQueueMemory {
  memory: SharedArrayBuffer
  /** Bytes of the data area, a power of two. */
  sizeBytes: number
}

export function createPacketQueue(atLeastBytes: number): PacketQueueMemory {
  const sizeBytes = 2 ** Math.ceil(Math.log2(atLeastBytes))
  return { memory: new SharedArrayBuffer(PACKET_QUEUE.data + sizeBytes), sizeBytes }
}
