/** The `xdp` source of a worker: the rings and the chunks of an AF_XDP socket that the main thread opened, mapped by the thread that reads them. */
import { XDP_DESC, XDP_PGOFF_RX_RING, XDP_UMEM_PGOFF_FILL_RING } from '../kernel/abi/if_xdp.js'
import { CLOCK_REALTIME, TIMESPEC } from '../kernel/abi/process.js'
import { MSG_DONTWAIT } from '../kernel/abi/socket.js'
import { EAGAIN, EBUSY, EINTR, ENETDOWN, ENOBUFS } from '../kernel/errno.js'
import type { LinearMemory } from '../kernel/linear-memory.js'
import { Mapping } from '../kernel/mapping.js'
import type { Kernel } from '../kernel/system.js'
import type { Block } from '../packet/block.js'
import { fillWithChunks, type UmemGeometry, UmemReceiver } from '../ring/umem.js'
import { XskConsumer, XskProducer, type XskRingLayout, xskRingBytes } from '../ring/xsk-ring.js'
import type { Source } from './source.js'
import { XdpAccount, type XdpAccountSpec } from './xdp-account.js'

/** What of a socket is mapped. Plain data, so that any thread can. */
export interface XdpMemory {
  geometry: UmemGeometry
  rxRing: XskRingLayout
  fillRing: XskRingLayout
  /** A memfd whose first bytes are the chunks. */
  umemFd: number
  umemMemoryBytes: number
  umemPageBytes: number
}

export interface XdpSourceSpec extends XdpMemory {
  account: XdpAccountSpec
  interfaceIndex: number
  macAddress: Uint8Array
  snapLengthBytes: number
  lengthsOnly: boolean
  /** The program puts XSK_HINTS before packets. */
  hints: boolean
  coalesceMs: number
  /** Ask the driver for packets by system calls instead of waiting for its interrupts. */
  busyPoll: boolean
}

const NOTHING = new Uint8Array(0)

export class XdpSource implements Source {
  readonly fd: number
  readonly account: XdpAccount
  readonly coalesceMs: number
  readonly mappings: readonly Mapping[]
  readonly #kernel: Kernel
  readonly #rx: XskConsumer
  readonly #receiver: UmemReceiver
  readonly #busyPoll: boolean
  readonly #clock = new Uint8Array(new ArrayBuffer(TIMESPEC.sizeof))
  readonly #clockWords = new Uint32Array(this.#clock.buffer)
  #error = 0

  /** The chunks are mapped into `memory`, where one is given. */
  constructor(kernel: Kernel, subject: string, spec: XdpSourceSpec, memory?: LinearMemory) {
    this.fd = spec.account.fd
    this.#kernel = kernel
    this.account = new XdpAccount(kernel, spec.account)
    this.coalesceMs = spec.busyPoll ? 0 : spec.coalesceMs
    this.#busyPoll = spec.busyPoll
    const mappings: Mapping[] = []
    this.mappings = mappings
    try {
      const map = (fd: number, length: number, offset: number, pageBytes = kernel.pageSize, within?: LinearMemory) => {
        const mapping = Mapping.map(kernel, subject, fd, length, offset, pageBytes, within)
        mappings.push(mapping)
        return mapping.buffer
      }
      const rx = map(this.fd, xskRingBytes(spec.rxRing, XDP_DESC.sizeof), XDP_PGOFF_RX_RING)
      const fill = map(this.fd, xskRingBytes(spec.fillRing, 8), XDP_UMEM_PGOFF_FILL_RING)
      const umem = map(spec.umemFd, spec.umemMemoryBytes, 0, spec.umemPageBytes, memory)
      this.#rx = new XskConsumer(rx, spec.rxRing, XDP_DESC.sizeof)
      const producer = new XskProducer(fill, spec.fillRing, 8)
      // The first reader of a socket; one that takes over from another finds the chunks where they are.
      if (producer.index === 0) fillWithChunks(producer, spec.geometry)
      this.#receiver = new UmemReceiver(umem, this.#rx, producer, spec)
      if (this.#receiver.needsWakeup()) this.#wakeDriver()
    } catch (error) {
      this.close()
      throw error
    }
  }

  peek(): Block | undefined {
    const receiver = this.#receiver
    if (!receiver.ready()) {
      if (!this.#busyPoll) return undefined
      this.#wakeDriver()
      if (!receiver.ready()) return undefined
    }
    if (!receiver.lengthsOnly) {
      this.#kernel.clockGettime(CLOCK_REALTIME, this.#clock)
      receiver.seconds = this.#clockWords[TIMESPEC.tv_sec / 4] as number
      receiver.nanoseconds = this.#clockWords[TIMESPEC.tv_nsec / 4] as number
    }
    return receiver.peek()
  }

  release(): void {
    this.#receiver.release()
    // A driver that found no chunks sleeps until it is told of new ones.
    if (this.#receiver.needsWakeup()) this.#wakeDriver()
  }

  inHand(): number {
    return this.#receiver.taken
  }
  passBy(inHand: number): number {
    return this.#receiver.passBy(inHand)
  }

  #wakeDriver(): void {
    const result = this.#kernel.recv(this.fd, NOTHING, MSG_DONTWAIT)
    if (result < 0 && result !== -EAGAIN && result !== -EBUSY && result !== -EINTR && result !== -ENOBUFS && result !== -ENETDOWN) this.#error = result
  }

  resync(): boolean {
    return false
  }
  peekUnfinished(): undefined {
    return undefined
  }
  left(): number {
    return this.#receiver.left()
  }
  takeError(): number {
    const error = this.#error
    this.#error = 0
    return error
  }
  close(): void {
    for (const mapping of this.mappings) mapping.close()
  }
}
