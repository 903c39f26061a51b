/** Packets that the interfaces themselves lost while a capture ran: they never reached a socket, so no socket's counter has them. */
import { type InterfaceCountersReader, openInterfaceCounters } from '../host/interfaces.js'
import type { Kernel } from '../kernel/system.js'

/** Reading costs two system calls an interface: not more often than this. */
const FRESH_MS = 100

export class InterfaceDrops {
  readonly #reader: InterfaceCountersReader
  readonly #first: number[]
  #last: number[]
  #readAt = 0

  constructor(kernel: Kernel, names: readonly string[], netns: string | undefined) {
    this.#reader = openInterfaceCounters(kernel, names, { netns })
    this.#first = this.#read(names.map(() => 0))
    this.#last = this.#first
  }

  /**
   * rx_missed_errors and rx_fifo_errors, as libpcap counts `ps_ifdrop`. Not rx_dropped: the stack counts there, too, what packet
   * sockets have seen and no protocol wanted (__netif_receive_skb_core).
   */
  #read(before: readonly number[]): number[] {
    // A removed interface keeps what it had.
    return this.#reader.read().map((counters, index) => (counters === undefined ? (before[index] as number) : counters.rxMissedErrors + counters.rxFifoErrors))
  }

  total(): number {
    const now = performance.now()
    if (now - this.#readAt > FRESH_MS) {
      this.#readAt = now
      this.#last = this.#read(this.#last)
    }
    return this.#last.reduce((sum, value, index) => sum + value - (this.#first[index] as number), 0)
  }

  /** What was read last stays readable. */
  close(): void {
    this.#readAt = 0
    this.total()
    this.#readAt = Number.POSITIVE_INFINITY
    this.#reader.close()
  }
}
