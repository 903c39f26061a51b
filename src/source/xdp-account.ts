/** What is known of an AF_XDP socket: what its XDP program sent to it, and XDP_STATISTICS. Both only grow. */
import { XSK_QUEUE, xskMaps } from '../bpf/xsk-program.js'
import { word64 } from '../bytes/word64.js'
import { XDP_STATISTICS, XDP_STATISTICS_LAYOUT } from '../kernel/abi/if_xdp.js'
import { MEMBARRIER_CMD_GLOBAL } from '../kernel/abi/process.js'
import { SOL_XDP } from '../kernel/abi/socket.js'
import { BpfMap } from '../kernel/bpf-map.js'
import { callFailed } from '../kernel/errno.js'
import type { Kernel } from '../kernel/system.js'
import { noStatistics, type SocketAccount, type SourceStatistics } from './source.js'

/** The maps of an interface's XDP program. */
export interface XdpMaps {
  xsksFd: number
  queuesFd: number
  /** Queues that they have room for. */
  mapQueues: number
}

/** Plain data, so that any thread can make its account. */
export interface XdpAccountSpec extends XdpMaps {
  fd: number
  queue: number
  /** Packets may take several chunks. */
  multiBuffer: boolean
}

export class XdpAccount implements SocketAccount {
  readonly total = noStatistics()
  readonly #kernel: Kernel
  readonly #spec: XdpAccountSpec
  readonly #xsks: BpfMap
  readonly #queues: BpfMap
  readonly #counts: Uint8Array<ArrayBuffer>
  readonly #statistics = new Uint32Array(new ArrayBuffer(XDP_STATISTICS_LAYOUT.sizeof))
  readonly #bytes = new Uint8Array(this.#statistics.buffer)

  constructor(kernel: Kernel, spec: XdpAccountSpec) {
    this.#kernel = kernel
    this.#spec = spec
    const shapes = xskMaps(spec.mapQueues)
    this.#xsks = BpfMap.over(kernel, spec.xsksFd, shapes.xsks)
    this.#queues = BpfMap.over(kernel, spec.queuesFd, shapes.queues)
    this.#counts = new Uint8Array(new ArrayBuffer(this.#queues.valueSize))
  }

  closeGate(): void {
    this.#xsks.delete(this.#spec.queue)
    // A NAPI poll that had looked the socket up before may still be filling its ring: one RCU grace period, and none is.
    this.#kernel.membarrier(MEMBARRIER_CMD_GLOBAL)
  }

  read(): SourceStatistics {
    const { total } = this
    this.#statistics.fill(0)
    const result = this.#kernel.getsockopt(this.#spec.fd, SOL_XDP, XDP_STATISTICS, this.#bytes)
    if (result < 0) throw callFailed({ subject: `AF_XDP socket of queue ${this.#spec.queue}`, call: 'getsockopt(XDP_STATISTICS)', errno: result })
    const dropped = this.#word(XDP_STATISTICS_LAYOUT.rx_dropped)
    // Without a chunk to receive into: counted there, too, packet by packet, but not for packets of several chunks (xp_can_alloc).
    const starved = this.#spec.multiBuffer ? dropped : Math.min(dropped, this.#word(XDP_STATISTICS_LAYOUT.rx_fill_ring_empty_descs))
    total.drops.fillRing = starved
    total.drops.oversize = dropped - starved
    total.drops.rxRing = this.#word(XDP_STATISTICS_LAYOUT.rx_ring_full)
    // After the drops: what is counted there has been counted by the program before.
    total.offered = readQueueCount(this.#queues, this.#counts, this.#spec.queue, XSK_QUEUE.redirected)
    return total
  }

  #word(offset: number): number {
    return word64(this.#statistics, offset / 4)
  }
}

/** One of the XSK_QUEUE counts of a receive queue, over all CPUs. `room` holds a value of the map. */
function readQueueCount(queues: BpfMap, room: Uint8Array<ArrayBuffer>, queue: number, count: number): number {
  return queues.lookup(queue, room) ? sumOverCpus(queues, room, count) : 0
}

/** One of the XSK_QUEUE counts of a value that has been looked up. */
export function sumOverCpus(queues: BpfMap, room: Uint8Array<ArrayBuffer>, count: number): number {
  const words = new Uint32Array(room.buffer)
  let sum = 0
  for (let at = count * 2; at < words.length; at += queues.stride / 4) sum += word64(words, at)
  return sum
}
