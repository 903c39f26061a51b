/** Packets counted where they arrive, without capturing them: for when a capture cannot keep up, or numbers are all that is wanted. */
import { COUNT, COUNT_CLASSES, type CountClass } from '../bpf/count-program.js'
import { CaptureError } from '../errors.js'
import { openNamespace, withNamespace } from '../kernel/namespace.js'
import { type Kernel, openKernel } from '../kernel/system.js'
import { COUNT_MODES, type CountMode, InterfaceCount, settle } from '../source/kernel-count.js'
import { boolean, object, oneOf, planInterfaces, text } from './plan.js'
import { atThreadEnd } from './thread-end.js'

export { COUNT_CLASSES, COUNT_MODES, type CountClass, type CountMode }

export interface KernelCountOptions {
  /** Name of an interface, or several. Ethernet or loopback, up. */
  interface: string | readonly string[]
  /** Network namespace: a name in /run/netns, a path, or a pid. Default: this process's. Needs CAP_SYS_ADMIN. */
  netns?: string | undefined
  /**
   * Drop every packet when it has been counted. Default false: all go on to the kernel's stack and to whoever captures. An interface
   * that is no veth takes `exclusive` as well.
   */
  drop?: boolean | undefined
  /** Nothing else on this host needs the interface. Default false. */
  exclusive?: boolean | undefined
  /**
   * `native`: the driver runs the program, before there is an skb; `generic`: the stack does, on any interface, loopback, too, and
   * packets that the driver has merged (GRO) count as one. A mode that does not go is an error. Default `auto`: `native`, else
   * `generic`; `interfaces` of the counters tell which, and why.
   */
  xdpMode?: CountMode | 'auto' | undefined
  /** Count packets that are not for this host as well. Default true. Ends with the process, whatever happens. */
  promiscuous?: boolean | undefined
}

export interface KernelCounts {
  packets: number
  /** Of whole frames, from the Ethernet header on, as the program sees them: without FCS, and without a VLAN tag that the NIC has taken out. */
  bytes: number
}

/**
 * What was counted of each kind. VLAN tags, up to two, are passed over.
 *
 * - `tcpSyn`: TCP with SYN and without ACK; `tcp`: all other TCP
 * - `udp`; `icmp`, which is ICMPv6 as well
 * - `fragment`: every fragment of IPv4 or IPv6, the first one, too, whatever is in it
 * - `ipv4`, `ipv6`: all other IP. TCP, UDP and ICMPv6 over IPv6 count as such, not here; IPv6 with other extension headers does.
 *   So does what cannot be read: an IP header that is cut off or wrong, TCP that ends before its flags
 * - `arp`
 * - `other`: all else, and frames that end within Ethernet
 */
export type KernelClassCounts = Record<CountClass, KernelCounts>

export interface KernelCpuCounters extends KernelCounts {
  cpu: number
  classes: KernelClassCounts
}

export interface KernelInterfaceCounters extends KernelCounts {
  interface: string
  /** The mode in force. */
  mode: CountMode
  /** Modes that did not go, in the order in which they were tried. */
  tried: { mode: CountMode; reason: string }[]
  /** Administratively up; nothing comes in otherwise. */
  up: boolean
}

export interface KernelCounters extends KernelCounts {
  /** Since counting began; after `close` how long it took. */
  seconds: number
  classes: KernelClassCounts
  /** Only CPUs that have counted something, over all interfaces. */
  cpus: KernelCpuCounters[]
  interfaces: KernelInterfaceCounters[]
}

export interface KernelCount extends Disposable {
  /**
   * What was counted since the beginning; one system call an interface for the counts, and four to see that it is still there. A
   * packet that is being counted at this moment may be in `packets` and not yet in `bytes`; not after `close`.
   * @throws CaptureError INTERFACE_REMOVED, XDP_REFUSED when someone else has taken the program off. After `close` there are the
   * counts of until then.
   */
  counters(): KernelCounters
  /**
   * Takes the programs off. The counters stay readable, and are exact: every packet that a program has seen is in them. Idempotent.
   * @throws CaptureError when the last look-up fails: then they are those of the one before
   */
  close(): void
}

const KNOWN: Readonly<Record<keyof KernelCountOptions, true>> = {
  interface: true,
  netns: true,
  drop: true,
  exclusive: true,
  xdpMode: true,
  promiscuous: true,
}

/**
 * Counts packets and bytes of interfaces by protocol, in the kernel, for each CPU: an XDP program that ends with the process. Every
 * packet that arrives after it returns is counted. Needs CAP_NET_RAW, CAP_NET_ADMIN and CAP_BPF. Minimum kernel: 5.9.
 * @throws CaptureError INVALID_OPTION, NO_SUCH_INTERFACE, INTERFACE_DOWN, UNSUPPORTED_LINK_TYPE, NO_SUCH_NAMESPACE, PERMISSION;
 * XDP_REFUSED, with what is there when the interface has another XDP program. Then nothing is left attached.
 */
export function countInKernel(options: KernelCountOptions): KernelCount {
  return countInKernelWith(openKernel(), options)
}

/** The same on a given kernel, for tests. */
export function countInKernelWith(kernel: Kernel, options: KernelCountOptions): KernelCount {
  object('countInKernel()', options)
  for (const name of Object.keys(options)) {
    if (!Object.hasOwn(KNOWN, name)) throw new CaptureError('INVALID_OPTION', `Unknown option ${name}`, { hint: `options: ${Object.keys(KNOWN).join(', ')}` })
  }
  const names = planInterfaces(options.interface)
  const spec = {
    mode: oneOf('xdpMode', options.xdpMode ?? 'auto', ['auto', ...COUNT_MODES] as const),
    drop: boolean('drop', options.drop ?? false),
    exclusive: boolean('exclusive', options.exclusive ?? false),
    promiscuous: boolean('promiscuous', options.promiscuous ?? true),
  }
  const netns = options.netns === undefined ? undefined : text('netns', options.netns)
  using namespace = netns === undefined ? undefined : openNamespace(kernel, netns)
  const counts: InterfaceCount[] = []
  try {
    withNamespace(kernel, namespace, () => {
      for (const interfaceName of names) counts.push(InterfaceCount.open(kernel, { interfaceName, ...spec }))
    })
    settle(kernel)
  } catch (error) {
    for (const count of counts) count.close()
    throw error
  }
  return new RunningCount(kernel, counts)
}

class RunningCount implements KernelCount {
  readonly #kernel: Kernel
  readonly #counts: readonly InterfaceCount[]
  readonly #up: boolean[]
  readonly #startedAt = performance.now()
  readonly #leaveThread: () => void
  #seconds: number | undefined

  constructor(kernel: Kernel, counts: readonly InterfaceCount[]) {
    this.#kernel = kernel
    this.#counts = counts
    this.#up = counts.map(() => true)
    this.#leaveThread = atThreadEnd(() => this.close())
  }

  counters(): KernelCounters {
    if (this.#seconds === undefined) {
      for (const [index, count] of this.#counts.entries()) this.#up[index] = count.look().up
    }
    const seconds = this.#seconds ?? (performance.now() - this.#startedAt) / 1000
    const readings = this.#counts.map((count) => count.read())
    const cpus = (this.#counts[0] as InterfaceCount).cpus
    const each = cpus.map((cpu, index) => ({ cpu, ...countsOf(readings, [index]) }))
    const all = cpus.map((_, index) => index)
    return {
      seconds,
      ...countsOf(readings, all),
      cpus: each.filter(({ packets }) => packets > 0),
      interfaces: this.#counts.map(({ name, mode, tried }, index) => {
        const { packets, bytes } = countsOf([readings[index] as Float64Array], all)
        return { interface: name, mode, tried: [...tried], up: this.#up[index] as boolean, packets, bytes }
      }),
    }
  }

  close(): void {
    if (this.#seconds !== undefined) return
    this.#leaveThread()
    for (const count of this.#counts) count.detach()
    this.#seconds = (performance.now() - this.#startedAt) / 1000
    settle(this.#kernel)
    let failure: unknown
    for (const count of this.#counts) {
      try {
        count.read()
      } catch (error) {
        failure ??= error
      }
      count.close()
    }
    if (failure !== undefined) throw failure
  }

  [Symbol.dispose](): void {
    this.close()
  }
}

/** Sums over interfaces and the CPUs of these indices. */
function countsOf(readings: readonly Float64Array[], cpus: readonly number[]): KernelCounts & { classes: KernelClassCounts } {
  const sum = (classIndex: number, word: number) =>
    readings.reduce(
      (total, reading) => cpus.reduce((t, cpu) => t + (reading[(cpu * COUNT_CLASSES.length + classIndex) * COUNT.words + word] as number), total),
      0,
    )
  const entries = COUNT_CLASSES.map((name, index) => [name, { packets: sum(index, COUNT.packets), bytes: sum(index, COUNT.bytes) }] as const)
  const total = (of: (counts: KernelCounts) => number) => entries.reduce((t, [, counts]) => t + of(counts), 0)
  return {
    packets: total((it) => it.packets),
    bytes: total((it) => it.bytes),
    classes: Object.fromEntries(entries) as KernelClassCounts,
  }
}
