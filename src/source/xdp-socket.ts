/**
 * Opens AF_XDP sockets: one for each receive queue of an interface (xdp-queue.ts), behind an XDP program (xdp-program.ts). The order
 * is the point (KERNEL.md 45, 51 to 54):
 *
 * 1. A packet socket that receives nothing: it holds promiscuous mode, which so ends with the process, and looks at the interface.
 * 2. Maps and program; the program is attached with no socket in its map, so that every packet goes on to the stack as before.
 * 3. Only now the queues are counted: attaching changes their number with some drivers.
 * 4. A socket a queue: chunks (UMEM), rings, bind. The first one finds the mode. Workers map them, and give the kernel the chunks.
 * 5. `start` puts the sockets into the map: packets flow.
 *
 * Closing goes the other way: the program first (KERNEL.md 53), then the sockets.
 */
import type { Instruction } from '../bpf/classic.js'
import { CaptureError } from '../errors.js'
import type { Descriptor } from '../kernel/descriptor.js'
import { rxVlanOffload } from '../kernel/ethtool.js'
import { channelsOf } from '../kernel/ethtool-queues.js'
import { stampsArrivals } from '../kernel/hardware-clock.js'
import { type InterfaceIdentity, interfaceName } from '../kernel/interface.js'
import { interfaceUse } from '../kernel/interface-use.js'
import { raiseMemlock } from '../kernel/memlock.js'
import { getLink, RouteSocket } from '../kernel/netlink.js'
import type { Kernel } from '../kernel/system.js'
import { chunkRoom } from '../ring/umem.js'
import { Opened } from './opened.js'
import { addPromiscuity, checkInterface, openPacketSocket } from './packet-socket.js'
import { HARDWARE_HINTS, type HardwareHint, missingHints } from './xdp-hints.js'
import { isOfMode, NO_SUCH_SOCKET_MODE, type TriedMode, takeFirstMode, XDP_MODES, type XdpMode } from './xdp-mode.js'
import { type LeftToStack, XdpProgram } from './xdp-program.js'
import { bindFlags, XdpQueue } from './xdp-queue.js'

export interface XdpSpec {
  interfaceName: string
  /** `auto` takes the first of XDP_MODES that goes; `driver` the same without `generic`. */
  mode: XdpMode | 'auto' | 'driver'
  /** Sockets, for queues 0 and up. */
  workers: number | 'queues'
  /** undefined: 2048, or 4096 where packets of the interface's MTU do not fit. */
  chunkBytes: number | undefined
  /** Chunks of each socket, in bytes. */
  memoryBytes: number
  promiscuous: boolean
  /** Nothing else needs the interface. */
  exclusive: boolean
  /** Microseconds of SO_BUSY_POLL; 0 for none. */
  busyPollUs: number
  /** Ask the driver for what it knows of packets beside their bytes. */
  hints: boolean
  /** Of packets whose tag stands in them; what it does not accept goes on to the stack. undefined takes all. */
  filter: readonly Instruction[] | undefined
  maxWorkers: number
  /** Told once, before any warning. */
  report: (inForce: XdpInForce) => void
  warn: (message: string, hint?: string) => void
}

/** How an interface is captured: what was tried, and what is in force. */
export interface XdpInForce {
  mode: XdpMode
  /** Modes that did not go, in the order in which they were tried. */
  tried: TriedMode<XdpMode>[]
  /** Receive queues of the interface, and how many of them have a socket. */
  queues: number
  served: number
  chunkBytes: number
  chunks: number
  hugepages: boolean
  /** Packets longer than a chunk arrive whole. */
  multiBuffer: boolean
  /** What the driver is asked for each packet; empty without `hardwareHints`, and where there is none to be had. */
  hardwareHints: readonly HardwareHint[]
}

const FRESH_MS = 100
const ETHER_AND_TWO_TAGS = 14 + 8

/** What there is after step 2. */
interface Prepared {
  opened: Opened
  control: Descriptor
  identity: InterfaceIdentity
  program: XdpProgram
  chunkBytes: number
}

export class XdpSockets {
  readonly identity: InterfaceIdentity
  /** Those that have a socket, from queue 0 on. */
  readonly queues: XdpQueue[] = []
  readonly inForce: XdpInForce
  /** A packet socket that receives nothing: for looking at the interface. */
  readonly control: Descriptor
  readonly #kernel: Kernel
  readonly #spec: XdpSpec
  readonly #opened: Opened
  readonly #program: XdpProgram
  /** Of the first socket that was bound: the others take the same. */
  #flags: number | undefined
  #lastQueues = 0
  #left: LeftToStack = { passed: 0, filtered: 0 }
  #leftReadAt = 0
  #settled = false
  /** While the workers were being started. */
  #before: LeftToStack = { passed: 0, filtered: 0 }

  private constructor(kernel: Kernel, spec: XdpSpec, { opened, control, identity, program, chunkBytes }: Prepared) {
    this.#kernel = kernel
    this.#spec = spec
    this.#opened = opened
    this.control = control
    this.identity = identity
    this.#program = program
    this.inForce = {
      mode: 'native',
      tried: [],
      queues: 0,
      served: 0,
      chunkBytes,
      chunks: spec.memoryBytes / chunkBytes,
      hugepages: true,
      multiBuffer: false,
      hardwareHints: [],
    }
  }

  /** Steps 1 to 4. Call it inside the network namespace of the interface; nothing is left open, and nothing attached, when it throws. */
  static prepare(kernel: Kernel, spec: XdpSpec): XdpSockets {
    const opened = new Opened()
    let sockets: XdpSockets | undefined
    try {
      sockets = new XdpSockets(kernel, spec, prepareProgram(kernel, opened, spec))
      sockets.#openInSomeMode()
      sockets.#tell()
      return sockets
    } catch (error) {
      if (sockets === undefined) opened.close()
      else sockets.close()
      throw error
    }
  }

  /** Step 5: packets flow when it returns. */
  start(): void {
    const { interfaceName, promiscuous } = this.#spec
    if (promiscuous) addPromiscuity(this.#kernel, this.control.fd, this.identity.index, interfaceName)
    for (const { account } of this.queues) this.#program.send(account.queue, account.fd)
    this.#before = this.#program.leftToStack(this.inForce.served)
  }

  /**
   * What went on to the stack since `start`: `passed` of queues without a socket, `filtered` that the filter did not accept, on
   * whatever queue. A look-up a queue, so not made more often than ten times a second.
   */
  leftToStack(): Readonly<LeftToStack> {
    if (!this.#settled && this.#program.countsReadable && performance.now() - this.#leftReadAt >= FRESH_MS) this.#readLeft()
    return this.#left
  }

  #readLeft(): void {
    const now = this.#program.leftToStack(this.inForce.served)
    this.#left = { passed: now.passed - this.#before.passed, filtered: now.filtered - this.#before.filtered }
    this.#leftReadAt = performance.now()
  }

  /**
   * Looks at what nobody tells: whether someone has taken the program off, which is answered and ends a capture, and whether someone
   * has changed the number of queues, which is told once.
   */
  look(): CaptureError | undefined {
    if (this.control.fd < 0) return undefined
    const isOff = this.#program.isOff()
    // NB: after it: an interface that goes loses its name first, then its program. Workers tell of that.
    const name = interfaceName(this.#kernel, this.control.fd, this.identity.index)
    if (name === undefined) return undefined
    if (isOff) {
      return new CaptureError('XDP_REFUSED', `${this.#spec.interfaceName}: the capture's XDP program was taken off the interface`, {
        hint: 'by bpftool link detach or the like: packets that came since then went to the stack',
      })
    }
    this.#lookAtQueues(name)
    return undefined
  }

  #lookAtQueues(name: string): void {
    // NB: nothing that wants the interface's namespace, or may throw: a timer calls.
    const queues = channelsOf(this.#kernel, this.control, name)?.rx
    if (queues === undefined || queues === this.#lastQueues) return
    const { warn } = this.#spec
    const before = this.#lastQueues
    this.#lastQueues = queues
    const { served } = this.inForce
    const consequence =
      queues > served
        ? `packets of queues ${served} to ${queues - 1} pass to the kernel's stack and are not captured`
        : queues < served
          ? `workers of queues ${queues} to ${served - 1} receive nothing`
          : 'each has a worker'
    warn(`${name}: the number of receive queues changed from ${before} to ${queues}: ${consequence}`, 'start the capture again to serve them all')
  }

  /** Reads for the last time what was left to the stack: from here on it stays what it was. Idempotent. */
  settle(): void {
    if (this.#settled) return
    this.#settled = true
    // Where it cannot be read any more, all is closed nevertheless.
    try {
      if (this.queues.length > 0 && this.#program.countsReadable) this.#readLeft()
    } catch (error) {
      if (!(error instanceof CaptureError)) throw error
    }
  }

  close(): void {
    this.settle()
    this.#program.detach()
    for (const { descriptor } of this.queues) descriptor.close()
    this.#opened.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }

  #openInSomeMode(): void {
    const { mode } = this.#spec
    const modes: readonly XdpMode[] = mode === 'auto' ? XDP_MODES : mode === 'driver' ? ['zero-copy', 'native'] : [mode]
    this.inForce.tried = takeFirstMode(modes, (candidate) => this.#tryMode(candidate)).tried
    this.#lastQueues = this.inForce.queues
  }

  /** Answers why the mode does not go; throws what would fail in any other as well. */
  #tryMode(mode: XdpMode): CaptureError | undefined {
    this.inForce.mode = mode
    const refused = this.#program.attach(mode === 'generic' ? 'generic' : 'native')
    if (refused !== undefined) return refused
    this.#openQueues()
    try {
      for (const queue of this.queues) this.#bind(queue)
    } catch (error) {
      // One that is bound stays so: then it is not the mode.
      if (isOfMode(error, NO_SUCH_SOCKET_MODE) && this.#flags === undefined) return error
      throw error
    }
    return undefined
  }

  #openQueues(): void {
    const { workers, interfaceName, maxWorkers, busyPollUs } = this.#spec
    const inForce = this.inForce
    const queues = countQueues(this.#kernel, this.control, interfaceName)
    if (workers !== 'queues' && workers > queues) {
      throw new CaptureError(
        'INVALID_OPTION',
        `Expected the option workers to be at most ${queues}, the receive queues of ${interfaceName}, got ${workers} (number)`,
        {
          hint: `AF_XDP takes one worker a queue; more queues: ethtool -L ${interfaceName} combined N`,
        },
      )
    }
    inForce.queues = queues
    inForce.served = Math.min(maxWorkers, workers === 'queues' ? queues : workers)
    const { chunkBytes, chunks } = inForce
    // Sockets that were opened for a mode that did not go serve the next one as well: bind changes nothing when it fails.
    while (this.queues.length < inForce.served) {
      const spec = { interfaceName, queue: this.queues.length, maps: this.#program.maps, chunkBytes, chunks, busyPollUs }
      const queue = new XdpQueue(this.#kernel, this.#opened, spec)
      if (!queue.hugepages) inForce.hugepages = false
      this.queues.push(queue)
    }
  }

  /** In the mode that is being tried; with packets of several chunks where the kernel has them. */
  #bind(queue: XdpQueue): void {
    const inForce = this.inForce
    // Zero-copy drivers without it refuse; it is asked of them only where packets do not fit.
    const wantsFragments = this.#program.takesFragments && (inForce.mode !== 'zero-copy' || longestPacket(this.identity) > chunkRoom(inForce.chunkBytes))
    const candidates = this.#flags === undefined ? bindFlags(inForce.mode, wantsFragments) : [this.#flags]
    this.#flags = queue.bind(this.identity.index, inForce.mode, candidates)
    inForce.multiBuffer = queue.account.multiBuffer
    const isZeroCopy = queue.isZeroCopy()
    if (isZeroCopy === true) inForce.mode = 'zero-copy'
    else if (isZeroCopy === false && inForce.mode === 'zero-copy') inForce.mode = 'native'
  }

  /** What is in force, and then what to beware of. */
  #tell(): void {
    const { interfaceName, report, warn } = this.#spec
    const { functions, missing } = this.#program.hints
    const inForce = this.inForce
    inForce.hardwareHints = HARDWARE_HINTS.filter((hint) => functions[hint] !== undefined)
    report(inForce)
    for (const message of missingHints(interfaceName, missing)) warn(message)
    this.#warnOfLongPackets()
    if (!inForce.hardwareHints.includes('vlan')) this.#warnOfHiddenTags()
    if (inForce.hardwareHints.includes('timestamp')) this.#warnOfStoppedClock()
    this.#warnOfQueuesLeft()
  }

  #warnOfLongPackets(): void {
    const { chunkBytes, multiBuffer } = this.inForce
    const { interfaceName, warn } = this.#spec
    const longest = longestPacket(this.identity)
    const room = chunkRoom(chunkBytes)
    if (multiBuffer || longest <= room) return
    warn(
      `${interfaceName}: packets longer than ${room} bytes do not fit a chunk and are dropped (drops.oversize); its MTU is ${this.identity.mtu}`,
      chunkBytes < 4096 ? '--chunk 4096 takes longer ones' : 'packets of several chunks need Linux 6.6 and a driver that has them; or lower the MTU',
    )
  }

  #warnOfHiddenTags(): void {
    const { interfaceName, warn } = this.#spec
    if (!rxVlanOffload(this.#kernel, this.control, interfaceName)) return
    const otherwise = this.#spec.hints ? '' : '; or --hardware-hints, where the driver has them'
    warn(
      `${interfaceName}: its driver may take VLAN tags out of frames (rxvlan), and XDP does not see them then`,
      `ethtool -K ${interfaceName} rxvlan off${otherwise}`,
    )
  }

  #warnOfStoppedClock(): void {
    const { interfaceName, warn } = this.#spec
    if (stampsArrivals(this.#kernel, this.control, interfaceName) !== false) return
    // Not ours to turn on: it is the whole NIC's, and outlives us.
    warn(`${interfaceName}: no time stamps from the NIC yet: it is not told to stamp packets (rx_filter none)`, `hwstamp_ctl -i ${interfaceName} -r 1`)
  }

  #warnOfQueuesLeft(): void {
    const { interfaceName, warn } = this.#spec
    const { queues, served } = this.inForce
    if (served >= queues) return
    const named = served + 1 === queues ? `queue ${served}` : `queues ${served} to ${queues - 1}`
    warn(
      `${interfaceName}: ${queues} receive queues and ${served === 1 ? '1 worker' : `${served} workers`}: packets of ${named} pass to the kernel's stack and are not captured`,
      'give no --workers for one a queue, or ethtool -L for fewer queues',
    )
  }
}

/** Steps 1 and 2, but for attaching, which is tried mode by mode. What is open stands in `opened`, also when it throws. */
function prepareProgram(kernel: Kernel, opened: Opened, spec: XdpSpec): Prepared {
  const { interfaceName, filter, hints } = spec
  const control = opened.keep(openPacketSocket(kernel, interfaceName))
  const identity = checkInterface(kernel, control.fd, interfaceName)
  if (!spec.exclusive) refuseInUse(kernel, identity, interfaceName)
  raiseMemlock(kernel)
  const mapQueues = Math.max(possibleQueues(kernel, interfaceName), countQueues(kernel, control, interfaceName))
  const longest = longestPacket(identity)
  const chunkBytes = spec.chunkBytes ?? (longest <= chunkRoom(2048) ? 2048 : 4096)
  const longPackets = longest > chunkRoom(chunkBytes)
  const program = new XdpProgram(kernel, opened, { interfaceName, interfaceIndex: identity.index, mapQueues, filter, hints, longPackets })
  return { opened, control, identity, program, chunkBytes }
}

function refuseInUse(kernel: Kernel, identity: InterfaceIdentity, interfaceName: string): void {
  const uses = interfaceUse(kernel, interfaceName, identity.index)
  if (uses.length === 0) return
  throw new CaptureError('INTERFACE_IN_USE', `${interfaceName}: AF_XDP would take its packets away from this host, which uses it: ${uses.join(', ')}`, {
    hint: '--exclusive (exclusive: true) says that nothing else needs this interface; --backend ring captures beside the host',
  })
}

function possibleQueues(kernel: Kernel, interfaceName: string): number {
  using route = RouteSocket.open(kernel)
  return getLink(route, interfaceName).rxQueues
}

function countQueues(kernel: Kernel, control: Descriptor, interfaceName: string): number {
  return channelsOf(kernel, control, interfaceName)?.rx ?? possibleQueues(kernel, interfaceName)
}

function longestPacket({ mtu }: InterfaceIdentity): number {
  return mtu + ETHER_AND_TWO_TAGS
}
