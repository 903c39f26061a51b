/** The clock that packets are stamped by: the system's, or the NIC's own, which may be of another epoch. */
import { TP_STATUS_TS_RAW_HARDWARE, TPACKET3_HDR } from '../kernel/abi/if_packet.js'
import type { Block } from '../packet/block.js'
import type { CapturePlan } from './api.js'

const SEC = TPACKET3_HDR.tp_sec / 4
const NSEC = TPACKET3_HDR.tp_nsec / 4
const STATUS = TPACKET3_HDR.tp_status / 4

/** A NIC's clock that is less off than this follows the system's; others are of another epoch, TAI or the NIC's own. */
const OTHER_CLOCK_MS = 1000

/** Beside the time of a block: how late a timer of the kernel may be. */
const LATE_MS = 50

/** How much later than its time stamp a packet may be read, at the most, by a worker that finds nothing more to read. */
export function readingLagMs({ backend, ring, xdp }: Pick<CapturePlan, 'backend' | 'ring' | 'xdp'>): number {
  // A block of a ring is handed over at the second beat of its timer.
  return LATE_MS + (backend === 'ring' ? 2 * ring.blockTimeoutMs : backend === 'xdp' ? xdp.coalesceMs : 0)
}

export class PacketClock {
  /** How far it is ahead of the system's; 0 unless it is of another epoch. */
  aheadMs = 0
  readonly #system: () => number
  #measuredMs = 0

  constructor(system: () => number = Date.now) {
    this.#system = system
  }

  /** Looks at the first packet of a block, which has just come. */
  compare(block: Block): void {
    const isNic = ((block.words32[(block.firstOffset >>> 2) + STATUS] as number) & TP_STATUS_TS_RAW_HARDWARE) !== 0
    this.#measuredMs = isNic ? packetTimeMs(block, block.firstOffset) - this.#system() : 0
    this.aheadMs = Math.abs(this.#measuredMs) < OTHER_CLOCK_MS ? 0 : this.#measuredMs
  }

  /** What it shows at the least, in milliseconds: one that is a little behind the system's is taken for that, one that is ahead is not. */
  now(): number {
    return this.#system() + (this.aheadMs === 0 ? Math.min(0, this.#measuredMs) : this.aheadMs)
  }
}

/** Of the packet whose header is at `header`: milliseconds since 1970, to a microsecond. */
export function packetTimeMs(block: Block, header: number): number {
  const at = header >>> 2
  return (block.words32[at + SEC] as number) * 1000 + (block.words32[at + NSEC] as number) / 1e6
}
