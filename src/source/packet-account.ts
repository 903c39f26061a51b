/** What a packet socket says of itself: PACKET_STATISTICS, added up: 32-bit counters that clear on read, kept in numbers exact to 2^53. */
import { encodeProgram, REJECT_ALL } from '../bpf/classic.js'
import { PACKET_STATISTICS, TPACKET_STATS_V3 } from '../kernel/abi/if_packet.js'
import { MEMBARRIER_CMD_GLOBAL } from '../kernel/abi/process.js'
import { SOL_PACKET } from '../kernel/abi/socket.js'
import { callFailed } from '../kernel/errno.js'
import { attachFilter } from '../kernel/options.js'
import type { Kernel } from '../kernel/system.js'
import { noStatistics, type SocketAccount, type SourceStatistics } from './source.js'

export class PacketAccount implements SocketAccount {
  readonly total: SourceStatistics
  readonly #kernel: Kernel
  readonly #fd: number
  readonly #full: 'ring' | 'socket'
  readonly #words = new Uint32Array(new ArrayBuffer(TPACKET_STATS_V3.sizeof))
  readonly #bytes = new Uint8Array(this.#words.buffer)

  /**
   * `full` is the counter that `tp_drops` belongs to. `before` is what had been read from this socket by a worker whose place this
   * one takes.
   */
  constructor(kernel: Kernel, fd: number, full: 'ring' | 'socket', before: SourceStatistics = noStatistics()) {
    this.total = before
    this.#kernel = kernel
    this.#fd = fd
    this.#full = full
  }

  closeGate(): void {
    attachFilter(this.#kernel, this.#fd, encodeProgram(REJECT_ALL))
    // A softirq that had passed the filter before may still be writing: one RCU grace period, and none is. Without membarrier(2)
    // (before 4.3, or under seccomp) the account may miss packets of the last microseconds, which came after the stop.
    this.#kernel.membarrier(MEMBARRIER_CMD_GLOBAL)
  }

  /** At 14 million packets a second a counter wraps in five minutes: read it at least once a minute. */
  read(): SourceStatistics {
    // Sockets that are not TPACKET_V3 fill the first two words only.
    this.#words.fill(0)
    const result = this.#kernel.getsockopt(this.#fd, SOL_PACKET, PACKET_STATISTICS, this.#bytes)
    if (result < 0) throw callFailed({ subject: 'packet socket', call: 'getsockopt(PACKET_STATISTICS)', errno: result })
    this.total.offered += this.#words[TPACKET_STATS_V3.tp_packets / 4] as number
    this.total.drops[this.#full] += this.#words[TPACKET_STATS_V3.tp_drops / 4] as number
    this.total.freezes += this.#words[TPACKET_STATS_V3.tp_freeze_q_cnt / 4] as number
    return this.total
  }
}
