/** The `xdp` sender: the TX ring of an AF_XDP socket in copy mode. */
import { XDP_DESC, XDP_PGOFF_TX_RING, XDP_UMEM_PGOFF_COMPLETION_RING } from '../kernel/abi/if_xdp.js'
import { MSG_DONTWAIT } from '../kernel/abi/socket.js'
import { EAGAIN, EBUSY, ENETDOWN, ENOBUFS, ENXIO } from '../kernel/errno.js'
import { Mapping } from '../kernel/mapping.js'
import type { Kernel } from '../kernel/system.js'
import { UmemSender } from '../ring/umem-sender.js'
import { XskConsumer, XskProducer, xskRingBytes } from '../ring/xsk-ring.js'
import type { Sender } from './sender.js'
import type { XdpTransmitSocket } from './xdp-socket.js'

const NOTHING = new Uint8Array(0)

export class XdpSender implements Sender {
  readonly room: number
  readonly #kernel: Kernel
  readonly #socket: XdpTransmitSocket
  readonly #mappings: Mapping[] = []
  readonly #umem: UmemSender

  /** Takes over a bound socket, and closes it when it fails. */
  constructor(kernel: Kernel, subject: string, socket: XdpTransmitSocket) {
    this.#kernel = kernel
    this.#socket = socket
    this.room = socket.geometry.chunkBytes
    try {
      const map = (fd: number, length: number, offset: number, pageBytes = kernel.pageSize) => {
        const mapping = Mapping.map(kernel, subject, fd, length, offset, pageBytes)
        this.#mappings.push(mapping)
        return mapping.buffer
      }
      const fd = socket.descriptor.fd
      const tx = map(fd, xskRingBytes(socket.txRing, XDP_DESC.sizeof), XDP_PGOFF_TX_RING)
      const completion = map(fd, xskRingBytes(socket.completionRing, 8), XDP_UMEM_PGOFF_COMPLETION_RING)
      const { descriptor, bytes, pageBytes } = socket.memory
      const umem = map(descriptor.fd, bytes, 0, pageBytes)
      const producer = new XskProducer(tx, socket.txRing, XDP_DESC.sizeof)
      this.#umem = new UmemSender(umem, producer, new XskConsumer(completion, socket.completionRing, 8), socket.geometry)
    } catch (error) {
      this.close()
      throw error
    }
  }

  get pending(): number {
    return this.#umem.pending
  }
  get packets(): number {
    return this.#umem.packets
  }
  get bytes(): number {
    return this.#umem.bytes
  }
  get dropped(): number {
    return this.#umem.dropped
  }

  send(bytes: Uint8Array, offset: number, length: number): boolean {
    return this.#umem.put(bytes, offset, length)
  }

  flush(): number {
    const umem = this.#umem
    while (umem.pending > 0) {
      umem.submit()
      const before = umem.entries
      // Always needed in copy mode: the kernel sends within this call. It takes some 32 frames at once, and says EAGAIN then.
      const result = this.#kernel.sendto(this.#socket.descriptor.fd, NOTHING, MSG_DONTWAIT)
      // Turned away before the kernel looked at the ring (xsk_check_common).
      if (result === -ENETDOWN || result === -ENXIO) return result
      umem.collect(result === -EBUSY, result >= 0)
      if (result === -EBUSY) return -ENOBUFS
      if (umem.entries === before) return result < 0 ? result : -EAGAIN
    }
    return 0
  }

  withdrawRefused(): number {
    if (this.#umem.pending === 0) return 0
    this.#umem.withdrawFirst()
    return 1
  }

  withdraw(): number {
    return this.#umem.withdraw()
  }

  inFlight(): number {
    return this.#umem.inFlight()
  }

  close(): void {
    for (const mapping of this.#mappings) mapping.close()
    this.#socket.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }
}
