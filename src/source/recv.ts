/** The `recv` source of a worker: recvmmsg(2) in batches, presented as blocks. A batch of 1 is the article's one call a packet. */
import { MSG_DONTWAIT, MSG_TRUNC } from '../kernel/abi/socket.js'
import { EAGAIN, EINTR } from '../kernel/errno.js'
import type { LinearMemory } from '../kernel/linear-memory.js'
import { Mapping } from '../kernel/mapping.js'
import type { Kernel } from '../kernel/system.js'
import type { Block } from '../packet/block.js'
import { type BatchGeometry, batchMemoryBytes, ReceiveBatch } from '../ring/batch.js'
import { PacketAccount } from './packet-account.js'
import type { Source, SourceStatistics } from './source.js'

export class RecvSource implements Source {
  readonly fd: number
  readonly account: PacketAccount
  readonly coalesceMs = 0
  readonly mappings: readonly Mapping[]
  readonly #kernel: Kernel
  readonly #batch: ReceiveBatch
  readonly #vector: bigint
  readonly #flags: number
  #ready: Block | undefined
  #error = 0

  /** Packets are received into `memory`, where one is given. */
  constructor(kernel: Kernel, subject: string, fd: number, geometry: BatchGeometry, before?: SourceStatistics, memory?: LinearMemory) {
    this.fd = fd
    this.#kernel = kernel
    this.account = new PacketAccount(kernel, fd, 'socket', before)
    const mapping = Mapping.map(kernel, subject, -1, batchMemoryBytes(geometry), 0, kernel.pageSize, memory)
    this.mappings = [mapping]
    this.#batch = new ReceiveBatch(mapping.buffer, mapping.address, geometry)
    // With MSG_TRUNC a message's length is the packet's, however much of it fits; with metadata PACKET_AUXDATA tells it.
    this.#flags = geometry.metadata ? MSG_DONTWAIT : MSG_DONTWAIT | MSG_TRUNC
    this.#vector = mapping.address + BigInt(this.#batch.vectorOffset)
  }

  peek(): Block | undefined {
    if (this.#ready !== undefined) return this.#ready
    const count = this.#kernel.recvmmsg(this.fd, this.#vector, this.#batch.batch, this.#flags)
    if (count <= 0) {
      if (count !== -EAGAIN && count !== -EINTR) this.#error = count
      return undefined
    }
    this.#batch.accept(count)
    this.#ready = this.#batch.block
    return this.#ready
  }
  release(): void {
    this.#ready = undefined
  }
  inHand(): number {
    return 1
  }
  passBy(): number {
    // The batch died with the memory that it was in.
    return 0
  }
  resync(): boolean {
    return false
  }
  peekUnfinished(): undefined {
    return undefined
  }
  left(): undefined {
    return undefined
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
