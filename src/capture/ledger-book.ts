/**
 * Keeps a capture's ledger: reads the machine's counters around the opening and the closing of the sockets. Four readings, for what
 * comes while the sockets are being opened or closed is the interface's and, maybe, not the capture's:
 *
 *   first | sockets open | opened ... closing | sockets close | last
 *
 * Nothing here may fail a capture: what cannot be read is named, and its rows are missing.
 */
import { CaptureError } from '../errors.js'
import { type CpuTimes, cpuLoads, readCpuTimes } from '../host/cpu-load.js'
import type { UnreadFact } from '../host/facts.js'
import { type InterfaceCounters, type InterfaceCountersReader, openInterfaceCounters } from '../host/interfaces.js'
import { countersDifference, type NicCounters, nicCounters, statisticsDifference } from '../host/nic-counters.js'
import { readSoftnet, type SoftnetCpu, softnetDifference } from '../host/softnet.js'
import type { Descriptor } from '../kernel/descriptor.js'
import { EOPNOTSUPP } from '../kernel/errno.js'
import { DriverCounters, groEnabled, openControlSocket } from '../kernel/ethtool.js'
import { driverOf } from '../kernel/ethtool-device.js'
import { openNamespace, withNamespace } from '../kernel/namespace.js'
import { attachedXdp, RouteSocket, type XdpMode } from '../kernel/netlink.js'
import type { Kernel } from '../kernel/system.js'
import type { CaptureCounters, CapturePlan, XdpInForce } from './api.js'
import { type Ledger, type LedgerInterface, makeLedger } from './ledger.js'

const NOTHING_READ: NicCounters = {
  counters: [],
  droppedByStack: 0,
  stackDropsKnown: true,
  receivedHasBacklogDrops: true,
  failedRedirects: [],
  redirectsHaveFailed: false,
  refreshMs: undefined,
}

/** Of one interface. */
interface InterfaceReading {
  counters: InterfaceCounters
  /** By name; of a name that stands several times, as vmxnet3 has them, the sum. */
  statistics: ReadonlyMap<string, number>
  /** Of the XDP programs on it, the capture's own among them. */
  programs: readonly XdpMode[]
}

interface Reading {
  interfaces: readonly (InterfaceReading | undefined)[]
  softnet: readonly SoftnetCpu[]
  cpus: readonly CpuTimes[]
}

/** What AF_XDP left to the stack, by interface; undefined for packet sockets. */
export type LeftOf = (place: number) => { inForce: XdpInForce; passed: number; filtered: number } | undefined

export class LedgerBook {
  readonly #kernel: Kernel
  readonly #plan: CapturePlan
  readonly #leftOf: LeftOf
  readonly #reader: InterfaceCountersReader
  readonly #control: Descriptor
  readonly #route: RouteSocket | undefined
  readonly #drivers: readonly (string | undefined)[]
  readonly #merges: readonly boolean[]
  readonly #unread = new Map<string, UnreadFact>()
  readonly #first: Reading
  #opened: Reading
  #closing: Reading | undefined
  #last: Reading | undefined

  /** Makes the first reading. */
  constructor(kernel: Kernel, plan: CapturePlan, leftOf: LeftOf) {
    this.#kernel = kernel
    this.#plan = plan
    this.#leftOf = leftOf
    const names = plan.interfaces
    this.#reader = openInterfaceCounters(kernel, names, { netns: plan.netns })
    try {
      using namespace = plan.netns === undefined ? undefined : openNamespace(kernel, plan.netns)
      this.#route = withNamespace(kernel, namespace, () => RouteSocket.open(kernel))
      this.#control = withNamespace(kernel, namespace, () => openControlSocket(kernel))
    } catch (error) {
      this.#route?.close()
      this.#reader.close()
      throw error
    }
    this.#drivers = names.map((name) => driverOf(kernel, this.#control, name))
    this.#merges = names.map((name) => this.#try(`GRO of ${name}`, 'ioctl(ETHTOOL_GGRO)', () => groEnabled(kernel, this.#control, name)) ?? false)
    this.#first = this.#read()
    this.#opened = this.#first
  }

  /** To be called when the sockets have been opened. */
  opened(): void {
    this.#opened = this.#read()
  }

  /** To be called before the sockets are told to close; idempotent. */
  closing(): void {
    this.#closing ??= this.#read()
  }

  /** To be called when they have: the last reading. Idempotent. */
  close(): void {
    if (this.#last !== undefined) return
    this.#last = this.#read()
    this.#reader.close()
    this.#route?.close()
    this.#control.close()
  }

  /** Of counters that were read just before. */
  ledger({ seconds, workers }: CaptureCounters): Ledger {
    const settled = this.#last !== undefined
    const now = this.#last ?? this.#read()
    return makeLedger({
      seconds,
      settled,
      interfaces: this.#plan.interfaces.map((name, place) => this.#interfaceOf(name, place, now)),
      workers,
      softnet: softnetDifference(this.#first.softnet, now.softnet),
      cpus: cpuLoads(this.#first.cpus, now.cpus),
      unread: [...this.#unread.values()],
    })
  }

  #interfaceOf(name: string, place: number, now: Reading): LedgerInterface {
    const plan = this.#plan
    const left = this.#leftOf(place)
    const direction = plan.direction ?? (name === 'lo' ? 'in' : 'inout')
    const incoming = direction !== 'out'
    const outgoing = direction !== 'in' && plan.backend !== 'xdp' && plan.fanout?.ignoreOutgoing !== true
    const between = (from: Reading, to: Reading) => this.#difference(name, place, from, to)
    const passing = (from: Reading, to: Reading) => {
      const { nic, sent } = between(from, to)
      const received = nic.counters.find(({ role }) => role === 'received')?.count ?? 0
      return (incoming ? received : 0) + (outgoing ? sent : 0)
    }
    const closing = this.#closing
    return {
      name,
      ...between(this.#first, now),
      incoming,
      outgoing,
      edges: closing === undefined ? undefined : passing(this.#first, this.#opened) + passing(closing, now),
      filter: plan.filter !== undefined,
      programs: [this.#first, this.#opened, closing, now].flatMap((reading) => reading?.interfaces[place]?.programs ?? []),
      xdp: left === undefined ? undefined : { mode: left.inForce.mode, passed: left.passed, filtered: left.filtered },
      merges: this.#merges[place] === true && plan.backend !== 'xdp',
    }
  }

  #difference(name: string, place: number, from: Reading, to: Reading): Pick<LedgerInterface, 'nic' | 'sent'> {
    const before = from.interfaces[place]
    const after = to.interfaces[place]
    if (before === undefined || after === undefined) return { nic: NOTHING_READ, sent: 0 }
    const driver = this.#drivers[place]
    const counters = countersDifference(driver, before.counters, after.counters)
    const statistics = statisticsDifference(driver, before.statistics, after.statistics)
    return { nic: nicCounters(name, driver, statistics, counters), sent: counters.txPackets }
  }

  #read(): Reading {
    const names = this.#plan.interfaces
    const before = this.#closing ?? this.#opened ?? this.#first
    const counters = this.#try('counters of interfaces', 'RTM_GETSTATS', () => this.#reader.read()) ?? []
    return {
      // A removed interface keeps what it had.
      interfaces: names.map((name, place) => this.#interfaceReading(name, counters[place]) ?? before?.interfaces[place]),
      softnet: this.#try('backlogs of CPUs', '/proc/net/softnet_stat', readSoftnet) ?? [],
      cpus: this.#try('load of CPUs', '/proc/stat', readCpuTimes) ?? [],
    }
  }

  #interfaceReading(name: string, counters: InterfaceCounters | undefined): InterfaceReading | undefined {
    if (counters === undefined) return undefined
    const statistics = this.#try(`driver statistics of ${name}`, 'ioctl(ETHTOOL_GSTATS)', () => this.#statistics(name))
    return { counters, statistics: statistics ?? new Map(), programs: this.#programs(name) }
  }

  #programs(name: string): XdpMode[] {
    const route = this.#route
    if (route === undefined) return []
    return (this.#try(`XDP programs of ${name}`, 'RTM_GETLINK', () => attachedXdp(route, name)) ?? []).map(({ mode }) => mode)
  }

  #statistics(name: string): Map<string, number> {
    const found = new Map<string, number>()
    let driver: DriverCounters
    try {
      // Anew each time: their number changes with that of the queues, and the kernel answers with as many as there are.
      driver = new DriverCounters(this.#kernel, this.#control, name)
    } catch (error) {
      if (error instanceof CaptureError && error.errno === EOPNOTSUPP) return found
      throw error
    }
    const values = driver.read()
    for (const [at, statistic] of driver.names.entries()) found.set(statistic, (found.get(statistic) ?? 0) + (values[at] as number))
    return found
  }

  #try<T>(what: string, source: string, read: () => T): T | undefined {
    try {
      return read()
    } catch (error) {
      this.#unread.set(what, { what, source, reason: error instanceof Error ? error.message : String(error) })
      return undefined
    }
  }
}
