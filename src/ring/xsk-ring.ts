/**
 * The four rings of an AF_XDP socket: memory that one side produces into and the other consumes from, with free-running 32-bit
 * indices. We consume RX and COMPLETION, and produce FILL and TX. Knows memory only, no file descriptor. Hot: one Atomics operation
 * a verb at the most, six a batch to receive, 10 to 15 ns each; entries are read and written by whoever calls, at `(index & mask)`.
 *
 * An index is stored with release and loaded with acquire (Documentation/networking/af_xdp.rst; net/xdp/xsk_queue.h): what stands
 * in the entries before it is seen with it.
 */
import { XDP_RING_NEED_WAKEUP } from '../kernel/abi/if_xdp.js'

export interface XskRingLayout {
  /** A power of two. */
  entries: number
  /** Bytes from the start of the memory: struct xdp_ring_offset. */
  producer: number
  consumer: number
  flags: number
  desc: number
}

/** Bytes of memory that the ring takes. */
export function xskRingBytes(layout: XskRingLayout, entryBytes: number): number {
  return layout.desc + layout.entries * entryBytes
}

class XskRing {
  readonly entries: number
  readonly mask: number
  /** The entries as 32-bit words, little-endian: 4 a descriptor (address low and high, length, options), 2 an address. Signed, so that arithmetic on them stays in integers. */
  readonly words: Int32Array
  protected readonly shared: Int32Array
  protected readonly producer: number
  protected readonly consumer: number
  readonly #flags: number

  constructor(memory: ArrayBuffer, layout: XskRingLayout, entryBytes: number) {
    this.entries = layout.entries
    this.mask = layout.entries - 1
    this.words = new Int32Array(memory, layout.desc, (layout.entries * entryBytes) / 4)
    this.shared = new Int32Array(memory, 0, layout.desc >>> 2)
    this.producer = layout.producer >>> 2
    this.consumer = layout.consumer >>> 2
    this.#flags = layout.flags >>> 2
  }

  /** XDP_RING_NEED_WAKEUP: the kernel sleeps on this ring, and wants a system call to look at it. */
  needsWakeup(): boolean {
    return (Atomics.load(this.shared, this.#flags) & XDP_RING_NEED_WAKEUP) !== 0
  }
}

/** A ring that the kernel fills: RX, COMPLETION. */
export class XskConsumer extends XskRing {
  /** Free-running index of the next entry. */
  index: number
  #produced: number

  constructor(memory: ArrayBuffer, layout: XskRingLayout, entryBytes: number) {
    super(memory, layout, entryBytes)
    // A reader that takes over from another goes on where that one stopped.
    this.index = Atomics.load(this.shared, this.consumer)
    this.#produced = this.index
  }

  /** How many entries are ready from `index` on, at most `wanted`. Looks at the shared index only when it knows of too few. */
  peek(wanted: number): number {
    let ready = (this.#produced - this.index) >>> 0
    if (ready < wanted) {
      this.#produced = Atomics.load(this.shared, this.producer)
      ready = (this.#produced - this.index) >>> 0
    }
    return Math.min(ready, wanted)
  }

  /** Gives the next `count` entries back. */
  release(count: number): void {
    this.index = (this.index + count) | 0
    Atomics.store(this.shared, this.consumer, this.index)
  }
}

/** A ring that the kernel empties: FILL, TX. */
export class XskProducer extends XskRing {
  /** Free-running index of the next entry to write. */
  index: number
  #consumed: number

  constructor(memory: ArrayBuffer, layout: XskRingLayout, entryBytes: number) {
    super(memory, layout, entryBytes)
    this.index = Atomics.load(this.shared, this.producer)
    this.#consumed = Atomics.load(this.shared, this.consumer)
  }

  /** How many entries are free from `index` on, at most `wanted`. */
  reserve(wanted: number): number {
    let free = this.entries - ((this.index - this.#consumed) >>> 0)
    if (free < wanted) {
      this.#consumed = Atomics.load(this.shared, this.consumer)
      free = this.entries - ((this.index - this.#consumed) >>> 0)
    }
    return Math.min(free, wanted)
  }

  /** Free-running index of the first entry that the kernel has not told of having consumed. */
  consumed(): number {
    this.#consumed = Atomics.load(this.shared, this.consumer)
    return this.#consumed
  }

  /** Hands the next `count` entries, written before, to the kernel. */
  submit(count: number): void {
    this.index = (this.index + count) | 0
    Atomics.store(this.shared, this.producer, this.index)
  }
}
