/** The two ways in which packets wait between kernel and reader. Pure. */

/** Packets of one length in the blocks of a TPACKET_V3 ring. */
export interface BlockQueue {
  packetsPerBlock: number
  blockCount: number
  blockTimeoutMs: number
}

/** So many packets, each on its own: chunks of AF_XDP, a receive buffer. The one that is being handled is among them. */
export interface SlotQueue {
  slots: number
}

export interface PacketQueue {
  /** One packet from the kernel; false when it is lost. */
  offer(): boolean
  /** Packets that the reader may have now, to be handled as one; 0 for none. */
  take(): number
  /** The reader has handled what it took. */
  release(): void
  /** Nanoseconds between calls of `tick`; Infinity for none. */
  readonly tickNs: number
  tick(): void
  /** Times that packets were lost for want of a free block. */
  readonly freezes: number
}

/**
 * The blocks as net/packet/af_packet.c has them: one is active and is filled. It goes to the reader when the next packet does not fit
 * (prb_retire_current_block) or when the timer finds it begun. If the next in line is still the reader's, the queue is frozen, and
 * everything is lost, until that one block is free (prb_dispatch_next_block, prb_queue_frozen), however many others are.
 */
export class BlockRing implements PacketQueue {
  freezes = 0
  readonly tickNs: number
  readonly #packetsPerBlock: number
  /** Packets of blocks that are the reader's; 0 for the kernel's. */
  readonly #ready: Float64Array
  #active = 0
  #filled = 0
  #frozen = false
  #next = 0

  constructor({ packetsPerBlock, blockCount, blockTimeoutMs }: BlockQueue) {
    this.#packetsPerBlock = packetsPerBlock
    this.#ready = new Float64Array(blockCount)
    this.tickNs = blockTimeoutMs * 1e6
  }

  offer(): boolean {
    if (this.#frozen && !this.#thaw()) return false
    if (this.#filled === this.#packetsPerBlock) {
      this.#retire()
      if (this.#frozen) return false
    }
    this.#filled++
    return true
  }

  take(): number {
    return this.#ready[this.#next] as number
  }

  release(): void {
    this.#ready[this.#next] = 0
    this.#next = this.#next + 1 === this.#ready.length ? 0 : this.#next + 1
  }

  tick(): void {
    if (this.#frozen) this.#thaw()
    else if (this.#filled > 0) this.#retire()
  }

  #retire(): void {
    this.#ready[this.#active] = this.#filled
    this.#active = this.#active + 1 === this.#ready.length ? 0 : this.#active + 1
    this.#filled = 0
    if (this.#ready[this.#active] === 0) return
    this.#frozen = true
    this.freezes++
  }

  #thaw(): boolean {
    this.#frozen = this.#ready[this.#active] !== 0
    return !this.#frozen
  }
}

export class Slots implements PacketQueue {
  readonly freezes = 0
  readonly tickNs = Number.POSITIVE_INFINITY
  readonly #slots: number
  #used = 0

  constructor({ slots }: SlotQueue) {
    this.#slots = slots
  }

  offer(): boolean {
    if (this.#used === this.#slots) return false
    this.#used++
    return true
  }

  take(): number {
    return this.#used === 0 ? 0 : 1
  }

  release(): void {
    this.#used--
  }

  tick(): void {}
}
