/** The `recv` sender: a plain packet socket, frames copied into a batch and handed over by sendmmsg(2). */
import { MSG_DONTWAIT } from '../kernel/abi/socket.js'
import type { Descriptor } from '../kernel/descriptor.js'
import { EAGAIN } from '../kernel/errno.js'
import { Mapping } from '../kernel/mapping.js'
import type { Kernel } from '../kernel/system.js'
import { SendBatch, type SendBatchGeometry, sendBatchBytes } from '../ring/send-batch.js'
import type { Sender } from './sender.js'

export class SocketSender implements Sender {
  readonly room: number
  readonly dropped = 0
  readonly #kernel: Kernel
  readonly #descriptor: Descriptor
  readonly #mapping: Mapping
  readonly #batch: SendBatch

  /** Takes a bound socket over, and closes it when it fails. */
  constructor(kernel: Kernel, subject: string, descriptor: Descriptor, geometry: SendBatchGeometry) {
    this.#kernel = kernel
    this.#descriptor = descriptor
    this.room = geometry.frameBytes
    try {
      this.#mapping = Mapping.map(kernel, subject, -1, sendBatchBytes(geometry))
    } catch (error) {
      descriptor.close()
      throw error
    }
    this.#batch = new SendBatch(this.#mapping.buffer, this.#mapping.address, geometry)
  }

  get pending(): number {
    return this.#batch.pending
  }
  get packets(): number {
    return this.#batch.packets
  }
  get bytes(): number {
    return this.#batch.bytes
  }

  send(bytes: Uint8Array, offset: number, length: number): boolean {
    return this.#batch.put(bytes, offset, length)
  }

  flush(): number {
    const batch = this.#batch
    while (batch.pending > 0) {
      const vector = this.#mapping.address + BigInt(batch.vectorOffset)
      const result = this.#kernel.sendmmsg(this.#descriptor.fd, vector, batch.pending, MSG_DONTWAIT)
      // Nothing sent and nothing wrong: as good as no room.
      if (result <= 0) return result === 0 ? -EAGAIN : result
      batch.take(result)
    }
    return 0
  }

  withdrawRefused(limit: number): number {
    const batch = this.#batch
    let count = 0
    while (batch.pending > 0 && (count === 0 || batch.firstLength() > limit)) {
      batch.withdraw(1)
      count++
    }
    return count
  }

  withdraw(): number {
    const count = this.#batch.pending
    this.#batch.withdraw(count)
    return count
  }

  /** The kernel has copied what it took. */
  inFlight(): number {
    return 0
  }

  close(): void {
    this.#descriptor.close()
    this.#mapping.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }
}
