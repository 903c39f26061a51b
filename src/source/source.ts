/** Where a worker's packets come from: blocks to take and give back, a descriptor to wait on, and what was lost before. */
import type { Block } from '../packet/block.js'

/** Where a socket loses packets, as the kernel's own counters tell. `ring` and `socket` are of packet sockets, the others of AF_XDP. */
export const SOCKET_DROPS = ['ring', 'socket', 'fillRing', 'rxRing', 'oversize'] as const
export type SocketDrop = (typeof SOCKET_DROPS)[number]

export interface SourceStatistics {
  /** Packets that the kernel gave to the socket, dropped ones included; summed since it was opened. */
  offered: number
  /** Of these, dropped, by where. */
  drops: Record<SocketDrop, number>
  /** tp_freeze_q_cnt; 0 but for `ring`. */
  freezes: number
}

/** A socket's own account of what it was offered. Needs no memory of its source: also settles for a worker that died. */
export interface SocketAccount {
  /** From here on the socket takes nothing, and what it took before is in its ring or buffer. */
  closeGate(): void
  /** Reads the kernel's counters; the same object at every call. */
  read(): SourceStatistics
}

export interface Source {
  /** What poll(2) waits on. */
  readonly fd: number
  readonly account: SocketAccount
  /**
   * How long, in milliseconds, a reader that has just had a full batch and finds nothing more waits without poll(2) on the socket.
   * 0 where the kernel gathers packets by itself.
   */
  readonly coalesceMs: number
  /** The next block that is ready, without waiting; the same one until it is released. It may hold no packets. */
  peek(): Block | undefined
  /** Gives the peeked block back. */
  release(): void
  /** What the peeked block takes up of the source, for a reader that takes over: it must pass by as much. */
  inHand(): number
  /** Gives back what a reader before this one had in hand. Answers how many packets that were, 0 where it is not known. */
  passBy(inHand: number): number
  /** For when poll(2) says ready and `peek` says no. */
  resync(): boolean
  /** After the gate has closed: the packets that the kernel holds in a block it has not handed over, if they are exactly `packets`. */
  peekUnfinished(packets: number): Block | undefined
  /** After the gate has closed: packets that can still be read; undefined where only the account tells. */
  left(): number | undefined
  /** Answers -errno of an error that the last `peek` met, once; 0 without. */
  takeError(): number
  close(): void
}

export function noStatistics(): SourceStatistics {
  return { offered: 0, drops: { ring: 0, socket: 0, fillRing: 0, rxRing: 0, oversize: 0 }, freezes: 0 }
}
