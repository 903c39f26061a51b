/** The `ring` source of a worker: a TPACKET_V3 ring of a socket that the main thread opened, mapped by the thread that walks it. */
import { Mapping } from '../kernel/mapping.js'
import type { Kernel } from '../kernel/system.js'
import type { Block } from '../packet/block.js'
import type { RingGeometry } from '../ring/geometry.js'
import { Tpacket3Ring } from '../ring/tpacket3.js'
import type { Source, SourceStatistics } from './source.js'
import { StatisticsReader } from './statistics.js'

export class RingSource implements Source {
  readonly fd: number
  readonly full = 'ring'
  readonly mapping: Mapping
  readonly #ring: Tpacket3Ring
  readonly #statistics: StatisticsReader

  constructor(kernel: Kernel, subject: string, fd: number, geometry: RingGeometry, before?: SourceStatistics) {
    this.fd = fd
    this.#statistics = new StatisticsReader(kernel, fd, before)
    this.mapping = Mapping.map(kernel, subject, fd, geometry.blockBytes * geometry.blockCount)
    this.#ring = new Tpacket3Ring(this.mapping.buffer, geometry)
  }

  peek(): Block | undefined {
    return this.#ring.peek()
  }
  release(): void {
    this.#ring.release()
  }
  resync(): boolean {
    return this.#ring.resync()
  }
  peekUnfinished(packets: number): Block | undefined {
    return this.#ring.peekUnfinished(packets)
  }
  readStatistics(): SourceStatistics {
    return this.#statistics.read()
  }
  takeError(): number {
    return 0
  }
  close(): void {
    this.mapping.close()
  }
}
