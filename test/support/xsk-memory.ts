/**
 * The kernel's side of an AF_XDP socket, in plain memory: takes chunks from the FILL ring, writes packets into them and describes
 * these in the RX ring as net/xdp/xsk.c does in copy mode (xsk_rcv, xsk_flush), sends what stands in the TX ring and gives it back
 * through COMPLETION. It throws when user space breaks the contract: a chunk that is posted twice, or posted while it is in use, an
 * address that is none, more entries than a ring has. For tests and benchmarks of whatever works these rings.
 */
import { XDP_DESC, XDP_PACKET_HEADROOM, XDP_PKT_CONTD, XDP_RING_NEED_WAKEUP } from '#src/kernel/abi/if_xdp.js'
import { chunkRoom, UMEM_HEADROOM, type UmemGeometry, umemBytes, umemMemoryBytes } from '#src/ring/umem.js'
import { type XskRingLayout, xskRingBytes } from '#src/ring/xsk-ring.js'

export const ADDRESS_BYTES = 8

/** struct xdp_ring of net/xdp/xsk_queue.h, with cache lines of 64 bytes. */
export function kernelLayout(entries: number): XskRingLayout {
  return { entries, producer: 0, consumer: 128, flags: 196, desc: 320 }
}

/** One ring as memory, and the kernel's hand on it. */
export class RingMemory {
  readonly layout: XskRingLayout
  readonly memory: ArrayBuffer
  readonly #shared: Int32Array
  readonly #entries: DataView
  readonly #entryBytes: number

  constructor(entries: number, entryBytes: number, firstIndex = 0) {
    this.layout = kernelLayout(entries)
    this.memory = new ArrayBuffer(xskRingBytes(this.layout, entryBytes))
    this.#shared = new Int32Array(this.memory)
    this.#entries = new DataView(this.memory, this.layout.desc)
    this.#entryBytes = entryBytes
    this.producer = firstIndex
    this.consumer = firstIndex
  }

  get producer(): number {
    return Atomics.load(this.#shared, this.layout.producer / 4) >>> 0
  }
  set producer(index: number) {
    Atomics.store(this.#shared, this.layout.producer / 4, index | 0)
  }
  get consumer(): number {
    return Atomics.load(this.#shared, this.layout.consumer / 4) >>> 0
  }
  set consumer(index: number) {
    Atomics.store(this.#shared, this.layout.consumer / 4, index | 0)
  }
  set needWakeup(wanted: boolean) {
    Atomics.store(this.#shared, this.layout.flags / 4, wanted ? XDP_RING_NEED_WAKEUP : 0)
  }

  /** Entries that are produced and not consumed. */
  get used(): number {
    return (this.producer - this.consumer) >>> 0
  }

  address(index: number): bigint {
    return this.#entries.getBigUint64(this.#at(index), true)
  }
  length(index: number): number {
    return this.#entries.getUint32(this.#at(index) + XDP_DESC.len, true)
  }
  writeAddress(index: number, address: number): void {
    this.#entries.setBigUint64(this.#at(index), BigInt(address), true)
  }
  writeDescriptor(index: number, address: number, length: number, options: number): void {
    this.writeAddress(index, address)
    this.#entries.setUint32(this.#at(index) + XDP_DESC.len, length, true)
    this.#entries.setUint32(this.#at(index) + XDP_DESC.options, options, true)
  }

  #at(index: number): number {
    return (index % this.layout.entries) * this.#entryBytes
  }
}

/** Who has a chunk. */
const USER = 0
const FILL = 1
const FREE_LIST = 2
const RX = 3

export interface KernelXskOptions {
  geometry: UmemGeometry
  /** Where the indices of all rings begin. */
  firstIndex?: number
}

export class KernelXsk {
  readonly geometry: UmemGeometry
  /** The chunks, and what the user keeps behind them. */
  readonly umem: ArrayBuffer
  readonly rx: RingMemory
  readonly fill: RingMemory
  readonly tx: RingMemory
  readonly completion: RingMemory
  /** XDP_STATISTICS: packets for want of chunks, and for want of room in the RX ring. */
  rxDropped = 0
  rxRingFull = 0
  readonly #bytes: Uint8Array
  readonly #owner: Uint8Array
  /** Chunk of each entry of the RX ring. */
  readonly #described: Int32Array
  /** Chunks that the kernel took from FILL and then had no use for: used again before others, last one first (xp_free). */
  readonly #freeList: number[] = []
  /** Free-running indices, of which the shared ones may be behind. */
  #fillSeen: number
  #fillTaken: number
  #rxWritten: number
  #rxReleased: number

  constructor(options: KernelXskOptions) {
    const { geometry, firstIndex = 0 } = options
    this.geometry = geometry
    const entries = geometry.chunkCount
    this.umem = new ArrayBuffer(umemMemoryBytes(geometry))
    this.rx = new RingMemory(entries, XDP_DESC.sizeof, firstIndex)
    this.fill = new RingMemory(entries, ADDRESS_BYTES, firstIndex)
    this.tx = new RingMemory(entries, XDP_DESC.sizeof, firstIndex)
    this.completion = new RingMemory(entries, ADDRESS_BYTES, firstIndex)
    this.#bytes = new Uint8Array(this.umem)
    this.#owner = new Uint8Array(entries)
    this.#described = new Int32Array(entries)
    this.#fillSeen = this.fill.producer
    this.#fillTaken = this.#fillSeen
    this.#rxWritten = this.rx.producer
    this.#rxReleased = this.#rxWritten
  }

  /**
   * A packet comes in, in as many chunks as it needs or in `pieces` of these lengths. It is not seen by the reader before `flush`.
   * `metadata` is what the XDP program left before it (bpf_xdp_adjust_meta). false when it was dropped.
   */
  receive(packet: Uint8Array, pieces: readonly number[] = this.piecesOf(packet.length), metadata = new Uint8Array(0)): boolean {
    this.sync()
    if (this.geometry.chunkCount - ((this.#rxWritten - this.#rxReleased) >>> 0) < pieces.length) {
      this.rxRingFull++
      return false
    }
    if (this.#freeList.length + ((this.#fillSeen - this.#fillTaken) >>> 0) < pieces.length) {
      this.rxDropped++
      return false
    }
    let from = 0
    pieces.forEach((length, piece) => {
      const chunk = this.#take()
      const address = chunk * this.geometry.chunkBytes + XDP_PACKET_HEADROOM + UMEM_HEADROOM
      this.#bytes.set(packet.subarray(from, from + length), address)
      if (piece === 0) this.#bytes.set(metadata, address - metadata.length)
      from += length
      this.#owner[chunk] = RX
      this.#described[this.#rxWritten % this.geometry.chunkCount] = chunk
      this.rx.writeDescriptor(this.#rxWritten, address, length, piece + 1 < pieces.length ? XDP_PKT_CONTD : 0)
      this.#rxWritten = (this.#rxWritten + 1) >>> 0
    })
    return true
  }

  /** xsk_flush(): shows the reader what was received, or only so many descriptors more. */
  flush(descriptors = Number.POSITIVE_INFINITY): void {
    this.show(descriptors)
    // NB: after it, as the kernel does: for a moment there are packets whose chunks FILL has no room for yet.
    this.fill.consumer = this.#fillTaken
  }

  /** The first half of `flush`. */
  show(descriptors = Number.POSITIVE_INFINITY): void {
    const hidden = (this.#rxWritten - this.rx.producer) >>> 0
    this.rx.producer = this.rx.producer + Math.min(hidden, descriptors)
  }

  /** Descriptors that were received and not yet shown. */
  get hidden(): number {
    return (this.#rxWritten - this.rx.producer) >>> 0
  }

  /** Chunks that the kernel can receive into. */
  get chunks(): number {
    this.sync()
    return this.#freeList.length + ((this.#fillSeen - this.#fillTaken) >>> 0)
  }

  /** Takes chunks from FILL and keeps them, as for packets that went elsewhere: the next packets get them in reverse order. */
  park(count: number): void {
    this.sync()
    for (let i = 0; i < count && this.#fillTaken !== this.#fillSeen; i++) {
      const chunk = this.#takeFromFill()
      this.#owner[chunk] = FREE_LIST
      this.#freeList.push(chunk)
    }
    this.fill.consumer = this.#fillTaken
  }

  piecesOf(length: number): number[] {
    const room = chunkRoom(this.geometry.chunkBytes)
    const pieces: number[] = []
    for (let left = length; left > 0; left -= room) pieces.push(Math.min(left, room))
    return pieces
  }

  /** Looks at what user space has done since: throws if it was wrong. */
  sync(): void {
    // In this order: a chunk is released from RX before it is posted.
    const released = this.rx.consumer
    if ((released - this.#rxReleased) >>> 0 > (this.rx.producer - this.#rxReleased) >>> 0)
      throw new Error(`RX released up to ${released}, shown up to ${this.rx.producer}`)
    for (; this.#rxReleased !== released; this.#rxReleased = (this.#rxReleased + 1) >>> 0) {
      this.#owner[this.#described[this.#rxReleased % this.geometry.chunkCount]] = USER
    }
    const posted = this.fill.producer
    if (this.fill.used > this.geometry.chunkCount) throw new Error(`FILL has ${this.fill.used} entries of ${this.geometry.chunkCount}`)
    for (; this.#fillSeen !== posted; this.#fillSeen = (this.#fillSeen + 1) >>> 0) this.#accept(this.fill.address(this.#fillSeen))
  }

  /** Sends what stands in TX, at most so many packets: their bytes. Their chunks come back through COMPLETION, as far as it has room. */
  transmit(count = Number.POSITIVE_INFINITY): Uint8Array[] {
    const sent: Uint8Array[] = []
    if (this.tx.used > this.geometry.chunkCount) throw new Error(`TX has ${this.tx.used} entries of ${this.geometry.chunkCount}`)
    while (sent.length < count && this.tx.used > 0 && this.completion.used < this.geometry.chunkCount) {
      const address = Number(this.tx.address(this.tx.consumer))
      const length = this.tx.length(this.tx.consumer)
      if (address + length > umemBytes(this.geometry)) throw new Error(`TX has a packet at ${address} of ${length} bytes`)
      sent.push(this.#bytes.slice(address, address + length))
      this.tx.consumer = this.tx.consumer + 1
      this.completion.writeAddress(this.completion.producer, address)
      this.completion.producer = this.completion.producer + 1
    }
    return sent
  }

  #accept(address: bigint): void {
    const chunk = Number(address) / this.geometry.chunkBytes
    if (!Number.isInteger(chunk) || chunk >= this.geometry.chunkCount) throw new Error(`FILL has an address that is no chunk's: ${address}`)
    if (this.#owner[chunk] !== USER) throw new Error(`chunk ${chunk} is posted ${this.#owner[chunk] === RX ? 'while its packet is in RX' : 'twice'}`)
    this.#owner[chunk] = FILL
    // What anybody reads who reads too late, or beyond the end of a packet.
    const start = chunk * this.geometry.chunkBytes
    this.#bytes.fill(0xff, start + XDP_PACKET_HEADROOM + UMEM_HEADROOM, start + this.geometry.chunkBytes)
  }

  #take(): number {
    return this.#freeList.pop() ?? this.#takeFromFill()
  }

  #takeFromFill(): number {
    const chunk = Number(this.fill.address(this.#fillTaken)) / this.geometry.chunkBytes
    this.#fillTaken = (this.#fillTaken + 1) >>> 0
    return chunk
  }
}
