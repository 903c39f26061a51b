/** The `ring` sender: a PACKET_TX_RING, frames copied into memory that the kernel sends from, one sendto(2) for all that are there. */
import { MSG_DONTWAIT } from '../kernel/abi/socket.js'
import type { Descriptor } from '../kernel/descriptor.js'
import { EAGAIN, EINVAL } from '../kernel/errno.js'
import { Mapping } from '../kernel/mapping.js'
import type { Kernel } from '../kernel/system.js'
import { TransmitRing, type TransmitRingGeometry } from '../ring/transmit-ring.js'
import type { Sender } from './sender.js'

const NOTHING = new Uint8Array(0)

export class RingSender implements Sender {
  readonly dropped = 0
  readonly #kernel: Kernel
  readonly #descriptor: Descriptor
  readonly #mapping: Mapping
  readonly #ring: TransmitRing

  /** Takes over a bound socket that has the ring, and closes it when it fails. */
  constructor(kernel: Kernel, subject: string, descriptor: Descriptor, geometry: TransmitRingGeometry) {
    this.#kernel = kernel
    this.#descriptor = descriptor
    try {
      this.#mapping = Mapping.map(kernel, subject, descriptor.fd, geometry.frameBytes * geometry.frameCount)
    } catch (error) {
      descriptor.close()
      throw error
    }
    this.#ring = new TransmitRing(this.#mapping.buffer, geometry)
  }

  get room(): number {
    return this.#ring.room
  }
  get pending(): number {
    return this.#ring.pending
  }
  get packets(): number {
    return this.#ring.packets
  }
  get bytes(): number {
    return this.#ring.bytes
  }

  send(bytes: Uint8Array, offset: number, length: number): boolean {
    return this.#ring.put(bytes, offset, length)
  }

  flush(): number {
    const ring = this.#ring
    while (ring.pending > 0) {
      const before = ring.pending
      // NB: answers bytes when anything was sent, and -errno also when only the last did not go: what was taken stands in the ring.
      const result = this.#kernel.sendto(this.#descriptor.fd, NOTHING, MSG_DONTWAIT)
      const stopped = ring.collect()
      if (ring.pending === 0) return 0
      // A frame that the kernel marked, and an errno that was lost behind the bytes of those before it.
      if (stopped) return result < 0 ? result : -EINVAL
      if (result < 0) return result
      if (ring.pending === before) return -EAGAIN
    }
    return 0
  }

  withdrawRefused(limit: number): number {
    return this.#ring.withdrawRefused(limit)
  }

  withdraw(): number {
    return this.#ring.withdraw()
  }

  inFlight(): number {
    return this.#ring.inFlight()
  }

  close(): void {
    // The kernel frees a ring when its last mapping has gone, too.
    this.#mapping.close()
    this.#descriptor.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }
}
