/**
 * A block of packets in memory, laid out as the kernel lays out a TPACKET_V3 block. Every source presents this one shape:
 * the ring hands over kernel memory as it is, `recv` writes the same headers before each frame. So there is one packet view,
 * one walk and one `block` contract. Views are made once a block of memory, never a packet.
 */
import type { BlockView } from '../handler.js'
import { TPACKET_BLOCK_DESC } from '../kernel/abi/if_packet.js'

const STATUS = TPACKET_BLOCK_DESC.block_status / 4
const NUM_PKTS = TPACKET_BLOCK_DESC.num_pkts / 4
const FIRST = TPACKET_BLOCK_DESC.offset_to_first_pkt / 4
const SEQUENCE = TPACKET_BLOCK_DESC.seq_num / 4

/** Sums over the first packets of a block. */
export interface BlockTotals {
  /** Of the first `packets` packets. */
  measure(packets: number): void
  /** Bytes on the wire. */
  bytes: number
  /** Packets that are longer than the snap length. */
  truncated: number
}

export class Block implements BlockView {
  readonly bytes: Uint8Array
  readonly words16: Uint16Array
  readonly words32: Uint32Array
  readonly #shared: Int32Array
  /** Whose clock packets without a hardware time stamp are stamped by. */
  clock: 'kernel' | 'batch' = 'kernel'
  packetCount = 0
  firstOffset = 0
  /** Set where nobody looks at the packets: there are no headers then, and this knows the sums. */
  totals: BlockTotals | undefined

  /** `offset` and `length` must be multiples of 8. */
  constructor(buffer: ArrayBuffer, offset: number, length: number) {
    this.bytes = new Uint8Array(buffer, offset, length)
    this.words16 = new Uint16Array(buffer, offset, length / 2)
    this.words32 = new Uint32Array(buffer, offset, length / 4)
    this.#shared = new Int32Array(buffer, offset, length / 4)
  }

  /** The block's owner word, `block_status`. Acquires: what the kernel wrote before it handed the block over is seen after. */
  status(): number {
    return Atomics.load(this.#shared, STATUS)
  }

  /** Gives the block to its other owner. Releases: our reads are done before the kernel may write. */
  setStatus(status: number): void {
    Atomics.store(this.#shared, STATUS, status)
  }

  /** Takes count and first offset from the block's own header. */
  readHeader(): void {
    this.packetCount = this.words32[NUM_PKTS] as number
    this.firstOffset = this.words32[FIRST] as number
  }

  /** Low 32 bits of `seq_num`, which counts the blocks that the kernel opened. */
  sequence(): number {
    return this.words32[SEQUENCE] as number
  }
}
