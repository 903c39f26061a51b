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
import { callFailed, ENODEV, EOPNOTSUPP } from '../kernel/errno.js'
import { DriverCounters, groEnabled, openControlSocket } from '../kernel/ethtool.js'
import { driverOf } from '../kernel/ethtool-device.js'
import { byPresentName, transmitQueueLength } from '../kernel/interface.js'
import { openNamespace, withNamespace } from '../kernel/namespace.js'
import { attachedXdp, getLink, RouteSocket, type XdpMode } from '../kernel/netlink.js'
import type { Kernel } from '../kernel/system.js'
import type { CaptureCounters, CapturePlan, XdpInForce } from './api.js'
import { monotonicMs } from './counters.js'
import { type Ledger, type LedgerInterface, type LedgerReading, makeLedger } from './ledger.js'
import { countsWhenTaken, sentDrops } from './ledger-sent.js'

const NOTHING_READ: NicCounters = {
  counters: [],
  droppedByStack: 0,
  stackDropsKnown: true,
  receivedHasBacklogDrops: true,
  failedRedirects: [],
  redirectsHaveFailed: false,
  refreshMs: undefined,
}

/** A packet that the driver has counted has come to the sockets after so long at most, unless it waits in a backlog that does not empty. */
const ON_THE_WAY_MS = 100
/** Readings that are kept until every worker has read its account. */
const MOST_READINGS = 32

const COUNTERS = 'counters of interfaces'

/** Of one interface. */
interface InterfaceReading {
  /** When, by monotonicMs. */
  atMs: number
  counters: InterfaceCounters
  /** By name; of a name that stands several times, as vmxnet3 has them, the sum. */
  statistics: ReadonlyMap<string, number>
  /** They may be older than the counters. */
  statisticsAtMs: number
}

interface Reading {
  atMs: number
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
  /** Packets that each holds of those it sends, and counts only when somebody takes them. */
  readonly #queues: readonly number[]
  readonly #unread = new Map<string, UnreadFact>()
  readonly #first: Reading
  #opened: Reading
  #closing: Reading | undefined
  #last: Reading | undefined
  /** The newest of each interface: one that has been removed keeps what it had. */
  #newest: readonly (InterfaceReading | undefined)[]
  /** Of the XDP programs seen on each, the capture's own among them. */
  readonly #programs: readonly Set<XdpMode>[]
  /** From the opening on, oldest first, those that not every worker has counted after, and the one before. */
  #readings: Reading[]
  /** The counters of the rows of the ledger before, by name. */
  #before: ReadonlyMap<string, number> = new Map()

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
    this.#queues = names.map((name, place) => this.#queueOf(name, this.#drivers[place]))
    this.#newest = []
    this.#programs = names.map(() => new Set())
    this.#first = this.#read()
    this.#opened = this.#first
    this.#readings = [this.#first]
  }

  /** To be called when the sockets have been opened. */
  opened(): void {
    this.#opened = this.#read()
    this.#readings = [this.#opened]
  }

  /**
   * To be called now and then while packets flow: what an interface that is removed counted at last is what was read of it last, and what
   * no socket was given can be told of what came a while ago only, and XDP programs come and go. `accountsAtMs` says of each worker when its account was read.
   */
  look(accountsAtMs: readonly number[]): void {
    if (this.#last === undefined) this.#keep(this.#read(true), accountsAtMs)
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

  /** Of counters that were read just before; `accountsAtMs` as with `look`. */
  ledger({ seconds, workers }: CaptureCounters, accountsAtMs: readonly number[]): Ledger {
    const settled = this.#last !== undefined
    const now = this.#last ?? this.#read()
    const countedAtMs = (name: string) => countedSince(accountsAtMs.filter((_, worker) => workers[worker]?.interface === name))
    const ledger = makeLedger({
      seconds,
      settled,
      interfaces: this.#plan.interfaces.map((name, place) => this.#interfaceOf(name, place, now, countedAtMs(name))),
      workers,
      softnet: softnetDifference(this.#first.softnet, now.softnet),
      cpus: cpuLoads(this.#first.cpus, now.cpus),
      unread: [...this.#unread.values(), ...this.#goneSince(now)],
      before: this.#before,
    })
    if (settled) return ledger
    this.#before = new Map(ledger.rows.map(({ name, count }) => [name, count]))
    this.#keep(now, accountsAtMs)
    return ledger
  }

  #keep(reading: Reading, accountsAtMs: readonly number[]): void {
    // Those before the newest one that every worker has counted after are of no more use.
    const counted = this.#readings.findLastIndex(({ atMs }) => atMs <= countedSince(accountsAtMs))
    if (counted > 0) this.#readings.splice(0, counted)
    if (this.#readings.length < MOST_READINGS) this.#readings.push(reading)
  }

  #goneSince({ atMs, interfaces }: Reading): UnreadFact[] {
    if (this.#unread.has(COUNTERS)) return []
    return interfaces.flatMap((reading, place) => {
      if (reading === undefined || reading.atMs === atMs) return []
      const name = this.#plan.interfaces[place]
      const reason = (readAtMs: number) => `the interface has gone: they are as they were ${Math.round(atMs - readAtMs)} ms before`
      const counters = { what: `last counters of ${name}`, source: 'RTM_GETSTATS', reason: reason(reading.atMs) }
      const { statistics, statisticsAtMs } = reading
      if (statistics.size === 0) return [counters]
      return [counters, { what: `last driver statistics of ${name}`, source: 'ioctl(ETHTOOL_GSTATS)', reason: reason(statisticsAtMs) }]
    })
  }

  #interfaceOf(name: string, place: number, now: Reading, countedAtMs: number): LedgerInterface {
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
    const opening = passing(this.#first, this.#opened)
    const isRunning = this.#last === undefined
    const counted = isRunning ? this.#readings.findLast(({ atMs }) => atMs <= countedAtMs) : undefined
    const reading = now.interfaces[place]
    return {
      name,
      ...between(this.#first, now),
      counted: counted && between(this.#first, counted),
      staleMs: reading === undefined || reading.atMs === now.atMs ? 0 : now.atMs - reading.atMs,
      incoming,
      outgoing,
      queue: this.#queues[place] as number,
      edges: closing === undefined ? (isRunning ? opening : undefined) : opening + passing(closing, now),
      filter: plan.filter !== undefined,
      programs: [...(this.#programs[place] ?? [])],
      xdp: left === undefined ? undefined : { mode: left.inForce.mode, passed: left.passed, filtered: left.filtered },
      merges: this.#merges[place] === true && plan.backend !== 'xdp',
    }
  }

  #difference(name: string, place: number, from: Reading, to: Reading): LedgerReading {
    const before = from.interfaces[place]
    const after = to.interfaces[place]
    const driver = this.#drivers[place]
    if (before === undefined || after === undefined) {
      return { nic: NOTHING_READ, sent: 0, sentDrops: sentDrops(name, driver, new Map(), { txDropped: 0 }) }
    }
    const counters = countersDifference(driver, before.counters, after.counters)
    const statistics = statisticsDifference(driver, before.statistics, after.statistics)
    return { nic: nicCounters(name, driver, statistics, counters), sent: counters.txPackets, sentDrops: sentDrops(name, driver, statistics, counters) }
  }

  /** `quick` leaves what drivers say, which may take long, as it was read before. */
  #read(quick = false): Reading {
    const names = this.#plan.interfaces
    const atMs = monotonicMs()
    const counters = this.#try(COUNTERS, 'RTM_GETSTATS', () => this.#reader.read()) ?? []
    this.#newest = names.map((name, place) => this.#interfaceReading(name, place, atMs, counters[place], this.#newest[place], quick) ?? this.#newest[place])
    return {
      atMs,
      interfaces: this.#newest,
      softnet: quick ? [] : (this.#try('backlogs of CPUs', '/proc/net/softnet_stat', readSoftnet) ?? []),
      cpus: quick ? [] : (this.#try('load of CPUs', '/proc/stat', readCpuTimes) ?? []),
    }
  }

  #interfaceReading(
    name: string,
    place: number,
    atMs: number,
    counters: InterfaceCounters | undefined,
    before: InterfaceReading | undefined,
    quick: boolean,
  ): InterfaceReading | undefined {
    const index = this.#reader.interfaces[place]?.index
    if (counters === undefined || index === undefined) return undefined
    for (const mode of this.#attached(name, index)) this.#programs[place]?.add(mode)
    if (quick && before !== undefined) return { ...before, atMs, counters }
    const statistics = this.#try(`driver statistics of ${name}`, 'ioctl(ETHTOOL_GSTATS)', () => this.#statistics(name, index))
    return { atMs, counters, statistics: statistics ?? new Map(), statisticsAtMs: atMs }
  }

  #queueOf(name: string, driver: string | undefined): number {
    const route = this.#route
    if (route === undefined || !countsWhenTaken(driver)) return 0
    const packets = () => (transmitQueueLength(this.#kernel, this.#control.fd, name) ?? 0) * getLink(route, name).txQueues
    return this.#try(`transmit queue of ${name}`, 'ioctl(SIOCGIFTXQLEN)', packets) ?? 0
  }

  #attached(name: string, index: number): XdpMode[] {
    const route = this.#route
    if (route === undefined) return []
    return (this.#try(`XDP programs of ${name}`, 'RTM_GETLINK', () => attachedXdp(route, name, index)) ?? []).map(({ mode }) => mode)
  }

  /** ethtool(7) knows names only, which may have changed. */
  #statistics(name: string, index: number): Map<string, number> {
    const found = byPresentName(this.#kernel, this.#control.fd, index, (present) => this.#statisticsNow(present))
    if (found === undefined) throw callFailed({ subject: name, call: 'ioctl(ETHTOOL_GSTATS)', errno: ENODEV, code: 'NO_SUCH_INTERFACE' })
    return found
  }

  /** Undefined where there is no interface of that name. */
  #statisticsNow(name: string): Map<string, number> | undefined {
    const found = new Map<string, number>()
    try {
      // Anew each time: their number changes with that of the queues, and the kernel answers with as many as there are.
      const driver = new DriverCounters(this.#kernel, this.#control, name)
      const values = driver.read()
      for (const [at, statistic] of driver.names.entries()) found.set(statistic, (found.get(statistic) ?? 0) + (values[at] as number))
    } catch (error) {
      if (error instanceof CaptureError && error.code === 'NO_SUCH_INTERFACE') return undefined
      if (!(error instanceof CaptureError && error.errno === EOPNOTSUPP)) throw error
    }
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

/** What had come until then all of these workers have in their accounts. */
function countedSince(accountsAtMs: readonly number[]): number {
  return Math.min(...accountsAtMs) - ON_THE_WAY_MS
}
