/** The `ring` source of a worker: a TPACKET_V3 ring of a socket that the main thread opened, mapped by the thread that walks it. */
import type { LinearMemory } from '../kernel/linear-memory.js'
import { Mapping } from '../kernel/mapping.js'
import type { Kernel } from '../kernel/system.js'
import type { Block } from '../packet/block.js'
import type { RingGeometry } from '../ring/geometry.js'
import { Tpacket3Ring } from '../ring/tpacket3.js'
import { PacketAccount } from './packet-account.js'
import type { Source, SourceStatistics } from './source.js'

export class RingSource implements Source {
  readonly fd: number
  readonly account: PacketAccount
  readonly coalesceMs = 0
  readonly mappings: readonly Mapping[]
  readonly #ring: Tpacket3Ring

  /** The ring is mapped into `memory`, where one is given. */
  constructor(kernel: Kernel, subject: string, fd: number, geometry: RingGeometry, before?: SourceStatistics, memory?: LinearMemory) {
    this.fd = fd
    this.account = new PacketAccount(kernel, fd, 'ring', before)
    const mapping = Mapping.map(kernel, subject, fd, geometry.blockBytes * geometry.blockCount, 0, kernel.pageSize, memory)
    this.mappings = [mapping]
    this.#ring = new Tpacket3Ring(mapping.buffer, geometry)
  }

  peek(): Block | undefined {
    return this.#ring.peek()
  }
  release(): void {
    this.#ring.release()
  }
  inHand(): number {
    return 1
  }
  passBy(): number {
    const packets = this.#ring.peek()?.packetCount
    if (packets === undefined) return 0
    this.#ring.release()
    return packets
  }
  resync(): boolean {
    return this.#ring.resync()
  }
  peekUnfinished(packets: number): Block | undefined {
    return this.#ring.peekUnfinished(packets)
  }
  left(): undefined {
    return undefined
  }
  takeError(): number {
    return 0
  }
  close(): void {
    for (const mapping of this.mappings) mapping.close()
  }
}
