/** Where a worker's packets come from: blocks to take and give back, a descriptor to wait on, and what was lost before. */
import type { Block } from '../packet/block.js'

export interface SourceStatistics {
  /** Packets that the kernel gave to the socket, dropped ones included; summed since it was opened. */
  offered: number
  /** Of these, dropped for want of room. */
  drops: number
  /** tp_freeze_q_cnt; 0 for `recv`. */
  freezes: number
}

export interface Source {
  /** What poll(2) waits on. */
  readonly fd: number
  /** The drop counter that `drops` belongs to. */
  readonly full: 'ring' | 'socket'
  /** The next block that is ready, without waiting; the same one until it is released. It may hold no packets. */
  peek(): Block | undefined
  /** Gives the peeked block back. */
  release(): void
  /** For when poll(2) says ready and `peek` says no. */
  resync(): boolean
  /** After the gate has closed: the packets that the kernel holds in a block it has not handed over, if they are exactly `packets`. */
  peekUnfinished(packets: number): Block | undefined
  /** Reads and adds up PACKET_STATISTICS, which clears on read: this worker is its only reader. */
  readStatistics(): SourceStatistics
  /** Answers -errno of an error that the last `peek` met, once; 0 without. */
  takeError(): number
  close(): void
}
