/** What the files of a capture say beside its packets: what they were recorded by and on, and what became of the packets of each interface. */
import { readFileSync } from 'node:fs'
import { cpus, release } from 'node:os'
import { encodePcapHeader } from '../file/encode-pcap.js'
import { encodeInterface, encodeSection, encodeStatistics, type Instant, MAX_OPTION_BYTES } from '../file/encode-pcapng.js'
import type { CapturePlan, Drops, WritePlan } from './api.js'

const LINKTYPE_ETHERNET = 1

/** What the files tell of an interface. */
export interface RecordedInterface {
  macAddress: Uint8Array
  speedMbps: number | undefined
}

/** What a capture saw of an interface since it began, for the end of a file. */
export interface InterfaceTotals {
  offered: number
  drops: Drops
  writtenPackets: number
  /** Packets that the interface itself lost; undefined where that is known of all interfaces together only. */
  interfaceDrops: number | undefined
}

const NO_DROPS: Drops = { ring: 0, socket: 0, fillRing: 0, rxRing: 0, oversize: 0, redirect: 0, handler: 0, consumer: 0, writer: 0, unread: 0 }

export class FileFacts {
  readonly #plan: CapturePlan
  readonly #write: WritePlan
  /** In the order of `plan.interfaces`. */
  readonly #interfaces: readonly RecordedInterface[]
  readonly #section = { hardware: cpus()[0]?.model, os: `Linux ${release()}`, application: application() }
  readonly #startedAt = now()

  constructor(plan: CapturePlan, write: WritePlan, interfaces: readonly RecordedInterface[]) {
    this.#plan = plan
    this.#write = write
    this.#interfaces = interfaces
  }

  /** What a file begins with whose interfaces have these places in `plan.interfaces`. */
  header(places: readonly number[], comments?: readonly string[]): Uint8Array {
    const { format, precision } = this.#write
    const { snapLengthBytes } = this.#plan
    if (format === 'pcap') return encodePcapHeader({ precision, snapLengthBytes, linkType: LINKTYPE_ETHERNET })
    return Buffer.concat([encodeSection({ ...this.#section, comments }), ...places.map((place) => this.#description(place))])
  }

  #description(place: number): Uint8Array {
    const { interfaces, filter, snapLengthBytes } = this.#plan
    const { macAddress, speedMbps } = this.#interfaces[place] as RecordedInterface
    return encodeInterface({
      linkType: LINKTYPE_ETHERNET,
      snapLengthBytes,
      name: interfaces[place],
      // A longer one finds no room in an option.
      filter: filter === undefined || Buffer.byteLength(filter) >= MAX_OPTION_BYTES ? undefined : filter,
      os: this.#section.os,
      macAddress: macAddress.some((byte) => byte !== 0) ? macAddress : undefined,
      speedBitsPerSecond: speedMbps === undefined ? undefined : speedMbps * 1e6,
      precision: this.#write.precision,
    })
  }

  /** How long the statistics of so many interfaces are, at the most. */
  statisticsBytes(interfaces: number): number {
    const totals = { offered: 0, drops: NO_DROPS, writtenPackets: 0, interfaceDrops: 0 }
    return interfaces * this.statistics(0, totals, 0).byteLength
  }

  /** Of the file's interface `interfaceId`, since the capture began; `delivered` are those in its files. Nothing in pcap. */
  statistics(interfaceId: number, { offered, drops, interfaceDrops }: InterfaceTotals, delivered: number, comments?: readonly string[]): Uint8Array {
    const { format, precision } = this.#write
    if (format === 'pcap') return new Uint8Array(0)
    const end = now()
    const statistics = {
      at: end,
      start: this.#startedAt,
      end,
      // What a filter did not take was received, too, and nobody has counted it.
      received: this.#plan.filter === undefined ? offered : undefined,
      droppedByInterface: interfaceDrops,
      filterAccepted: offered,
      droppedBySystem: drops.ring + drops.socket + drops.fillRing + drops.rxRing + drops.oversize + drops.redirect,
      delivered,
      comments,
    }
    return encodeStatistics(interfaceId, statistics, precision)
  }
}

/** What the files say that wrote them. */
function application(): string {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }
  return `ringtap ${version}`
}

function now(): Instant {
  const milliseconds = Date.now()
  return { seconds: Math.floor(milliseconds / 1000), nanoseconds: (milliseconds % 1000) * 1_000_000 }
}
