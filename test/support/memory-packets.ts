/** Packets to transmit that are in memory: a batch of all, again and again. */
import type { TransmitBatch, TransmitPackets } from '#src/transmit/transmitter.js'

export interface MemoryPacket {
  frame: Uint8Array
  /** Default: as long as the frame. */
  wireLength?: number
  seconds?: number
  nanoseconds?: number
  linkType?: number
}

export class MemoryPackets implements TransmitPackets, TransmitBatch {
  readonly bytes: Uint8Array
  offset = 0
  capturedLength = 0
  wireLength = 0
  seconds = 0
  nanoseconds = 0
  linkType = 1
  closed = 0
  readonly #packets: readonly Required<MemoryPacket>[]
  readonly #offsets: number[] = []
  readonly #batch: number
  #next = 0
  #end = 0

  /** `batch`: packets of each batch. Default: all. */
  constructor(packets: readonly (Uint8Array | MemoryPacket)[], batch = packets.length) {
    this.#packets = packets.map((packet) => {
      const given = packet instanceof Uint8Array ? { frame: packet } : packet
      return { wireLength: given.frame.length, seconds: 0, nanoseconds: 0, linkType: 1, ...given }
    })
    this.#batch = batch
    let length = 0
    for (const { frame } of this.#packets) {
      this.#offsets.push(length)
      length += frame.length
    }
    this.bytes = new Uint8Array(length)
    for (const [index, { frame }] of this.#packets.entries()) this.bytes.set(frame, this.#offsets[index])
  }

  nextBatch(): TransmitBatch | undefined {
    if (this.#next >= this.#packets.length) return undefined
    this.#end = Math.min(this.#next + this.#batch, this.#packets.length)
    return this
  }

  next(): boolean {
    if (this.#next >= this.#end) return false
    const packet = this.#packets[this.#next] as Required<MemoryPacket>
    this.offset = this.#offsets[this.#next] as number
    this.capturedLength = packet.frame.length
    this.wireLength = packet.wireLength
    this.seconds = packet.seconds
    this.nanoseconds = packet.nanoseconds
    this.linkType = packet.linkType
    this.#next++
    return true
  }

  /** From the beginning. */
  again(): this {
    this.#next = 0
    this.#end = 0
    return this
  }

  close(): void {
    this.closed++
  }
}
