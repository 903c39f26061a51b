/** PACKET_STATISTICS, added up: 32-bit counters that clear on read, kept in numbers that are exact to 2^53. */
import { PACKET_STATISTICS, TPACKET_STATS_V3 } from '../kernel/abi/if_packet.js'
import { SOL_PACKET } from '../kernel/abi/socket.js'
import { callFailed } from '../kernel/errno.js'
import type { Kernel } from '../kernel/system.js'
import type { SourceStatistics } from './source.js'

export class StatisticsReader {
  readonly total: SourceStatistics
  readonly #kernel: Kernel
  readonly #fd: number
  readonly #words = new Uint32Array(new ArrayBuffer(TPACKET_STATS_V3.sizeof))
  readonly #bytes = new Uint8Array(this.#words.buffer)

  /** `before` is what had been read from this socket by a worker whose place this one takes. */
  constructor(kernel: Kernel, fd: number, before: SourceStatistics = { offered: 0, drops: 0, freezes: 0 }) {
    this.total = { ...before }
    this.#kernel = kernel
    this.#fd = fd
  }

  /** At 14 million packets a second a counter wraps in five minutes: read it at least once a minute. */
  read(): SourceStatistics {
    // Sockets that are not TPACKET_V3 fill the first two words only.
    this.#words.fill(0)
    const result = this.#kernel.getsockopt(this.#fd, SOL_PACKET, PACKET_STATISTICS, this.#bytes)
    if (result < 0) throw callFailed({ subject: 'packet socket', call: 'getsockopt(PACKET_STATISTICS)', errno: result })
    this.total.offered += this.#words[TPACKET_STATS_V3.tp_packets / 4] as number
    this.total.drops += this.#words[TPACKET_STATS_V3.tp_drops / 4] as number
    this.total.freezes += this.#words[TPACKET_STATS_V3.tp_freeze_q_cnt / 4] as number
    return this.total
  }
}
