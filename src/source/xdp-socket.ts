/**
 * Opens AF_XDP sockets: one for each receive queue of an interface, behind an XDP program. The order is the point (KERNEL.md 45,
 * 51 to 54):
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
import { assemble } from '../bpf/ebpf.js'
import { xskFilterProgram } from '../bpf/xsk-filter-program.js'
import { XSK_QUEUE, type XskHintFunctions, xskMaps, xskProgram } from '../bpf/xsk-program.js'
import { CaptureError } from '../errors.js'
import { BPF_F_XDP_DEV_BOUND_ONLY, BPF_F_XDP_HAS_FRAGS, BPF_XDP } from '../kernel/abi/bpf.js'
import {
  SOCKADDR_XDP,
  XDP_COPY,
  XDP_MMAP_OFFSETS,
  XDP_MMAP_OFFSETS_LAYOUT,
  XDP_OPTIONS,
  XDP_OPTIONS_ZEROCOPY,
  XDP_RING_OFFSET,
  XDP_RX_RING,
  XDP_UMEM_COMPLETION_RING,
  XDP_UMEM_FILL_RING,
  XDP_UMEM_REG,
  XDP_UMEM_REG_V2,
  XDP_USE_NEED_WAKEUP,
  XDP_USE_SG,
  XDP_ZEROCOPY,
} from '../kernel/abi/if_xdp.js'
import { AF_XDP, SO_BUSY_POLL, SO_BUSY_POLL_BUDGET, SO_PREFER_BUSY_POLL, SOCK_CLOEXEC, SOCK_RAW, SOL_SOCKET, SOL_XDP } from '../kernel/abi/socket.js'
import { attachXdp, type XdpLink } from '../kernel/bpf-link.js'
import { BpfMap } from '../kernel/bpf-map.js'
import { loadProgram } from '../kernel/bpf-program.js'
import { Descriptor } from '../kernel/descriptor.js'
import { callFailed, EBUSY, EINVAL, ENOBUFS, ENODEV, EOPNOTSUPP } from '../kernel/errno.js'
import { channelsOf, rxVlanOffload } from '../kernel/ethtool.js'
import { stampsArrivals } from '../kernel/hardware-clock.js'
import { type InterfaceIdentity, interfaceName } from '../kernel/interface.js'
import { interfaceUse } from '../kernel/interface-use.js'
import { memlockHint, raiseMemlock } from '../kernel/memlock.js'
import { getLink, RouteSocket } from '../kernel/netlink.js'
import { setInt } from '../kernel/options.js'
import { SharedMemory, withTemporaryMapping } from '../kernel/shared-memory.js'
import type { Kernel } from '../kernel/system.js'
import { sleepThread } from '../kernel/thread.js'
import { chunkRoom, UMEM_HEADROOM, type UmemGeometry, umemBytes, umemMemoryBytes } from '../ring/umem.js'
import type { XskRingLayout } from '../ring/xsk-ring.js'
import { Opened } from './opened.js'
import { addPromiscuity, checkInterface, openPacketSocket } from './packet-socket.js'
import { sumOverCpus, type XdpAccountSpec } from './xdp-account.js'
import { type FoundHints, findHints, HARDWARE_HINTS, type HardwareHint, missingHints } from './xdp-hints.js'
import { isOfMode, NO_SUCH_SOCKET_MODE, type TriedMode, takeFirstMode, XDP_MODES, type XdpMode } from './xdp-mode.js'

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

export interface PreparedXdpSocket {
  descriptor: Descriptor
  account: XdpAccountSpec
  geometry: UmemGeometry
  rxRing: XskRingLayout
  fillRing: XskRingLayout
  umemFd: number
  umemMemoryBytes: number
  umemPageBytes: number
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

interface LeftToStack {
  passed: number
  filtered: number
}

const FRESH_MS = 100
const COMPLETION_ENTRIES = 64
/** Descriptors that one system call may ask a driver for: what the kernel takes without privilege. */
const BUSY_POLL_BUDGET = 64
/** The queue of a socket that was closed a moment ago is still taken: its pool is released by a work queue. */
const BUSY_MS = 2000
const BUSY_STEP_MS = 20
const ETHER_AND_TWO_TAGS = 14 + 8

export class XdpSockets {
  readonly identity: InterfaceIdentity
  readonly sockets: PreparedXdpSocket[] = []
  readonly inForce: XdpInForce
  /** A packet socket that receives nothing: for looking at the interface. */
  readonly control: Descriptor
  readonly #kernel: Kernel
  readonly #spec: XdpSpec
  readonly #opened = new Opened()
  readonly #mapQueues: number
  readonly #xsks: BpfMap
  readonly #queues: BpfMap
  readonly #count: Uint8Array<ArrayBuffer>
  #program: Descriptor | undefined
  #hints: FoundHints | undefined
  /** The program that hands on hints; in generic mode it must not run, as drivers find what they tell in memory of theirs around the context. */
  #hinting: Descriptor | undefined
  /** The program takes packets of several buffers. */
  #takesFragments = true
  #link: XdpLink | undefined
  #attached: 'native' | 'generic' = 'native'
  /** Decided by the first socket that is bound. */
  #flags: number | undefined
  #lastQueues: number
  #left: LeftToStack = { passed: 0, filtered: 0 }
  #leftReadAt = 0
  /** While the workers were being started. */
  #before: LeftToStack = { passed: 0, filtered: 0 }

  private constructor(kernel: Kernel, spec: XdpSpec) {
    this.#kernel = kernel
    this.#spec = spec
    try {
      this.control = this.#opened.keep(openPacketSocket(kernel, spec.interfaceName))
      this.identity = checkInterface(kernel, this.control.fd, spec.interfaceName)
      if (!spec.exclusive) this.#refuseInUse()
      raiseMemlock(kernel)
      this.#mapQueues = Math.max(this.#possibleQueues(), this.#countQueues())
      const shapes = xskMaps(this.#mapQueues)
      this.#xsks = this.#opened.keep(BpfMap.create(kernel, shapes.xsks))
      this.#queues = this.#opened.keep(BpfMap.create(kernel, shapes.queues))
      this.#count = new Uint8Array(new ArrayBuffer(this.#queues.valueSize))
      if (spec.hints) this.#loadHinting()
      if (this.#hinting === undefined) this.#plainProgram()
      const chunkBytes = spec.chunkBytes ?? (this.#longestPacket() <= chunkRoom(2048) ? 2048 : 4096)
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
      this.#openInSomeMode()
      this.#lastQueues = this.inForce.queues
      const functions = this.#hints?.functions
      this.inForce.hardwareHints = HARDWARE_HINTS.filter((hint) => functions?.[hint] !== undefined)
      spec.report(this.inForce)
      for (const message of missingHints(spec.interfaceName, this.#hints?.missing ?? new Map())) spec.warn(message)
      this.#warnOfLongPackets()
      if (!this.inForce.hardwareHints.includes('vlan')) this.#warnOfHiddenTags()
      if (this.inForce.hardwareHints.includes('timestamp')) this.#warnOfStoppedClock()
      const { queues, served } = this.inForce
      if (served < queues) {
        const named = served + 1 === queues ? `queue ${served}` : `queues ${served} to ${queues - 1}`
        spec.warn(
          `${spec.interfaceName}: ${queues} receive queues and ${served === 1 ? '1 worker' : `${served} workers`}: packets of ${named} pass to the kernel's stack and are not captured`,
          'give no --workers for one a queue, or ethtool -L for fewer queues',
        )
      }
    } catch (error) {
      this.close()
      throw error
    }
  }

  /** Steps 1 to 4. Call it inside the network namespace of the interface; nothing is left open, and nothing attached, when it throws. */
  static prepare(kernel: Kernel, spec: XdpSpec): XdpSockets {
    return new XdpSockets(kernel, spec)
  }

  /** Step 5: packets flow when it returns. */
  start(): void {
    const { interfaceName, promiscuous } = this.#spec
    if (promiscuous) addPromiscuity(this.#kernel, this.control.fd, this.identity.index, interfaceName)
    for (const { account } of this.sockets) this.#xsks.update(account.queue, account.fd)
    this.#before = this.#leftToStack()
  }

  /**
   * What went on to the stack since `start`: `passed` of queues without a socket, `filtered` that the filter did not accept, on
   * whatever queue. A look-up a queue, so not made more often than ten times a second.
   */
  leftToStack(): Readonly<LeftToStack> {
    if (this.#queues.fd >= 0 && performance.now() - this.#leftReadAt >= FRESH_MS) this.#readLeft()
    return this.#left
  }

  #readLeft(): void {
    const now = this.#leftToStack()
    this.#left = { passed: now.passed - this.#before.passed, filtered: now.filtered - this.#before.filtered }
    this.#leftReadAt = performance.now()
  }

  #leftToStack(): LeftToStack {
    const sum = { passed: 0, filtered: 0 }
    // Without a filter a queue that has a socket leaves nothing.
    for (let queue = this.#spec.filter === undefined ? this.inForce.served : 0; queue < this.#mapQueues; queue++) {
      if (!this.#queues.lookup(queue, this.#count)) continue
      sum.filtered += sumOverCpus(this.#queues, this.#count, XSK_QUEUE.filtered)
      if (queue >= this.inForce.served) sum.passed += sumOverCpus(this.#queues, this.#count, XSK_QUEUE.passed)
    }
    return sum
  }

  /**
   * Looks at what nobody tells: whether someone has taken the program off, which is answered and ends a capture, and whether someone
   * has changed the number of queues, which is told once.
   */
  look(): CaptureError | undefined {
    if (this.control.fd < 0) return undefined
    const isOff = this.#link?.attachedTo() === 0
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

  close(): void {
    // What was counted stays readable. Where it cannot be read any more, all is closed nevertheless.
    try {
      if (this.sockets.length > 0 && this.#queues.fd >= 0) this.#readLeft()
    } catch (error) {
      if (!(error instanceof CaptureError)) throw error
    }
    this.#link?.detach()
    for (const { descriptor } of this.sockets) descriptor.close()
    this.#opened.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }

  #refuseInUse(): void {
    const { interfaceName } = this.#spec
    const uses = interfaceUse(this.#kernel, interfaceName, this.identity.index)
    if (uses.length === 0) return
    throw new CaptureError('INTERFACE_IN_USE', `${interfaceName}: AF_XDP would take its packets away from this host, which uses it: ${uses.join(', ')}`, {
      hint: '--exclusive (exclusive: true) says that nothing else needs this interface; --backend ring captures beside the host',
    })
  }

  #possibleQueues(): number {
    using route = RouteSocket.open(this.#kernel)
    return getLink(route, this.#spec.interfaceName).rxQueues
  }

  #countQueues(): number {
    return channelsOf(this.#kernel, this.control, this.#spec.interfaceName)?.rx ?? this.#possibleQueues()
  }

  #longestPacket(): number {
    return this.identity.mtu + ETHER_AND_TWO_TAGS
  }

  #plainProgram(): Descriptor {
    if (this.#program !== undefined) return this.#program
    const load = (flags: number) => this.#opened.keep(loadProgram(this.#kernel, { name: 'ringtap_xsk', type: 'xdp', code: this.#code(flags), flags }))
    try {
      this.#program = load(BPF_F_XDP_HAS_FRAGS)
    } catch (error) {
      // Before Linux 5.18 there is no such flag, and no packet of several buffers.
      if (!(error instanceof CaptureError && error.errno === EINVAL)) throw error
      this.#program = load(0)
    }
    return this.#program
  }

  #code(flags: number, hints?: XskHintFunctions): Uint8Array<ArrayBuffer> {
    const { filter } = this.#spec
    const multiBuffer = (flags & BPF_F_XDP_HAS_FRAGS) !== 0
    const program = filter === undefined ? xskProgram({ hints }) : xskFilterProgram(filter, { hints, multiBuffer })
    return assemble(program, { xsks: this.#xsks.fd, queues: this.#queues.fd })
  }

  /** Where there are none to be had, or the kernel refuses the program, the capture goes on without. */
  #loadHinting(): void {
    const { interfaceName, chunkBytes } = this.#spec
    const interfaceIndex = this.identity.index
    const hints = findHints(this.#kernel, interfaceName, interfaceIndex)
    this.#hints = hints
    if (hints.functions.timestamp === undefined && hints.functions.vlan === undefined) return
    const load = (flags: number) =>
      this.#opened.keep(
        loadProgram(this.#kernel, {
          name: 'ringtap_xsk',
          type: 'xdp',
          code: this.#code(flags, hints.functions),
          flags: flags | BPF_F_XDP_DEV_BOUND_ONLY,
          expectedAttachType: BPF_XDP,
          interfaceIndex,
        }),
      )
    // Before Linux 6.7 it is one flag or the other (bpf_prog_dev_bound_init).
    const candidates = this.#longestPacket() > chunkRoom(chunkBytes ?? 4096) ? [BPF_F_XDP_HAS_FRAGS] : [BPF_F_XDP_HAS_FRAGS, 0]
    for (const flags of candidates) {
      try {
        this.#hinting = load(flags)
        this.#takesFragments = flags !== 0
        return
      } catch (error) {
        if (!(error instanceof CaptureError)) throw error
        if (error.errno === EINVAL && flags !== candidates.at(-1)) continue
        this.#giveUpHints(refusalOf(error))
        return
      }
    }
  }

  #giveUpHints(reason: string): void {
    const hints = this.#hints
    if (hints === undefined) return
    for (const hint of HARDWARE_HINTS) {
      if (hints.functions[hint] === undefined) continue
      hints.functions[hint] = undefined
      hints.missing.set(hint, reason)
    }
    this.#hinting?.close()
    this.#hinting = undefined
    this.#takesFragments = true
  }

  #openInSomeMode(): void {
    const { mode } = this.#spec
    const modes: readonly XdpMode[] = mode === 'auto' ? XDP_MODES : mode === 'driver' ? ['zero-copy', 'native'] : [mode]
    this.inForce.tried = takeFirstMode(modes, (candidate) => this.#tryMode(candidate)).tried
  }

  /** Answers why the mode does not go; throws what would fail in any other as well. */
  #tryMode(mode: XdpMode): CaptureError | undefined {
    this.inForce.mode = mode
    try {
      this.#attach(mode === 'generic' ? 'generic' : 'native')
    } catch (error) {
      if (isOfMode(error, NO_SUCH_SOCKET_MODE)) return error
      throw error
    }
    this.#openSockets()
    try {
      for (const socket of this.sockets) this.#bind(socket)
    } catch (error) {
      // One that is bound stays so: then it is not the mode.
      if (isOfMode(error, NO_SUCH_SOCKET_MODE) && this.#flags === undefined) return error
      throw error
    }
    return undefined
  }

  #attach(mode: 'native' | 'generic'): void {
    // What is attached already may stay: attaching resets the link with some drivers.
    if (this.#link !== undefined && this.#attached === mode) return
    this.#link?.detach()
    this.#link = undefined
    this.#attached = mode
    let reason = 'generic mode has none'
    if (mode === 'native' && this.#hinting !== undefined) {
      const refused = this.#tryAttach(this.#hinting, mode)
      if (refused === undefined) return
      reason = refusalOf(refused)
    }
    const refused = this.#tryAttach(this.#plainProgram(), mode)
    if (refused !== undefined) throw refused
    this.#giveUpHints(reason)
  }

  /** Answers why the mode does not go with this program. */
  #tryAttach(program: Descriptor, mode: 'native' | 'generic'): CaptureError | undefined {
    const { interfaceName } = this.#spec
    try {
      this.#link = attachXdp(this.#kernel, { program, interfaceName, interfaceIndex: this.identity.index, mode })
      return undefined
    } catch (error) {
      if (isOfMode(error, NO_SUCH_SOCKET_MODE)) return error
      throw error
    }
  }

  #openSockets(): void {
    const { workers, interfaceName, maxWorkers } = this.#spec
    const queues = this.#countQueues()
    if (workers !== 'queues' && workers > queues) {
      throw new CaptureError(
        'INVALID_OPTION',
        `Expected the option workers to be at most ${queues}, the receive queues of ${interfaceName}, got ${workers} (number)`,
        {
          hint: `AF_XDP takes one worker a queue; more queues: ethtool -L ${interfaceName} combined N`,
        },
      )
    }
    this.inForce.queues = queues
    this.inForce.served = Math.min(maxWorkers, workers === 'queues' ? queues : workers)
    // Sockets that were opened for a mode that did not go serve the next one as well: bind changes nothing when it fails.
    while (this.sockets.length < this.inForce.served) this.#openSocket(this.sockets.length)
  }

  #openSocket(queue: number): void {
    const kernel = this.#kernel
    const { interfaceName, busyPollUs } = this.#spec
    const subject = `${interfaceName} queue ${queue}`
    const { chunkBytes, chunks } = this.inForce
    const geometry: UmemGeometry = { chunkBytes, chunkCount: chunks, multiBuffer: true }
    const fd = kernel.socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0)
    if (fd < 0) {
      const hint = 'AF_XDP needs Linux 5.4 with CONFIG_XDP_SOCKETS; --backend ring does without'
      throw callFailed({ subject, call: 'socket(AF_XDP, SOCK_RAW)', errno: fd, code: 'XDP_REFUSED', capability: 'CAP_NET_RAW', hint })
    }
    const descriptor = this.#opened.keep(new Descriptor(kernel, fd))
    const memory = SharedMemory.create(kernel, { name: subject, bytes: umemMemoryBytes(geometry), hugepages: true })
    this.#opened.keep(memory.descriptor)
    if (!memory.hugepages) this.inForce.hugepages = false
    this.#register(subject, fd, memory, geometry)
    const set = (name: string, level: number, option: number, value: number) => {
      const result = setInt(kernel, fd, level, option, value)
      if (result < 0) throw callFailed({ subject, call: `setsockopt(${name}, ${value})`, errno: result, code: 'XDP_REFUSED', capability: 'CAP_NET_ADMIN' })
    }
    set('XDP_UMEM_FILL_RING', SOL_XDP, XDP_UMEM_FILL_RING, chunks)
    set('XDP_UMEM_COMPLETION_RING', SOL_XDP, XDP_UMEM_COMPLETION_RING, COMPLETION_ENTRIES)
    set('XDP_RX_RING', SOL_XDP, XDP_RX_RING, chunks)
    if (busyPollUs > 0) {
      set('SO_PREFER_BUSY_POLL', SOL_SOCKET, SO_PREFER_BUSY_POLL, 1)
      set('SO_BUSY_POLL', SOL_SOCKET, SO_BUSY_POLL, busyPollUs)
      set('SO_BUSY_POLL_BUDGET', SOL_SOCKET, SO_BUSY_POLL_BUDGET, BUSY_POLL_BUDGET)
    }
    const offsets = new DataView(new ArrayBuffer(XDP_MMAP_OFFSETS_LAYOUT.sizeof))
    const result = kernel.getsockopt(fd, SOL_XDP, XDP_MMAP_OFFSETS, new Uint8Array(offsets.buffer))
    // A shorter answer is that of Linux 5.3 and before, whose rings have no flags.
    if (result !== XDP_MMAP_OFFSETS_LAYOUT.sizeof) {
      throw callFailed({
        subject,
        call: 'getsockopt(XDP_MMAP_OFFSETS)',
        errno: result < 0 ? result : EOPNOTSUPP,
        code: 'XDP_REFUSED',
        hint: 'AF_XDP needs Linux 5.4',
      })
    }
    const rxRing = ringLayout(offsets, XDP_MMAP_OFFSETS_LAYOUT.rx, chunks)
    const fillRing = ringLayout(offsets, XDP_MMAP_OFFSETS_LAYOUT.fr, chunks)
    const account: XdpAccountSpec = {
      fd,
      xsksFd: this.#xsks.fd,
      queuesFd: this.#queues.fd,
      mapQueues: this.#mapQueues,
      queue,
      multiBuffer: false,
    }
    this.sockets.push({
      descriptor,
      account,
      geometry,
      rxRing,
      fillRing,
      umemFd: memory.descriptor.fd,
      umemMemoryBytes: memory.bytes,
      umemPageBytes: memory.pageBytes,
    })
  }

  #register(subject: string, fd: number, memory: SharedMemory, geometry: UmemGeometry): void {
    const kernel = this.#kernel
    const bytes = umemBytes(geometry)
    const result = withTemporaryMapping(kernel, memory.descriptor.fd, memory.bytes, (address) => {
      const request = new DataView(new ArrayBuffer(XDP_UMEM_REG_V2.sizeof))
      request.setBigUint64(XDP_UMEM_REG_V2.addr, address, true)
      request.setBigUint64(XDP_UMEM_REG_V2.len, BigInt(bytes), true)
      request.setUint32(XDP_UMEM_REG_V2.chunk_size, geometry.chunkBytes, true)
      request.setUint32(XDP_UMEM_REG_V2.headroom, UMEM_HEADROOM, true)
      return kernel.setsockopt(fd, SOL_XDP, XDP_UMEM_REG, new Uint8Array(request.buffer))
    })
    if (result >= 0) return
    const call = `setsockopt(XDP_UMEM_REG, ${bytes} bytes in chunks of ${geometry.chunkBytes})`
    const hint = result === -ENOBUFS ? memlockHint(kernel, bytes) : 'a smaller --ring is less memory'
    throw callFailed({ subject, call, errno: result, code: 'RING_REFUSED', hint })
  }

  /** In the mode that is being tried; with packets of several chunks where the kernel has them. */
  #bind(socket: PreparedXdpSocket): void {
    const inForce = this.inForce
    const base = (inForce.mode === 'zero-copy' ? XDP_ZEROCOPY : XDP_COPY) | XDP_USE_NEED_WAKEUP
    // Zero-copy drivers without it refuse; it is asked of them only where packets do not fit.
    const wantsFragments = this.#takesFragments && (inForce.mode !== 'zero-copy' || this.#longestPacket() > chunkRoom(inForce.chunkBytes))
    const candidates = this.#flags === undefined ? (wantsFragments ? [base | XDP_USE_SG, base] : [base]) : [this.#flags]
    let result = 0
    for (const flags of candidates) {
      result = this.#bindWith(socket, flags)
      if (result >= 0) {
        this.#flags = flags
        socket.account.multiBuffer = (flags & XDP_USE_SG) !== 0
        inForce.multiBuffer = socket.account.multiBuffer
        this.#checkMode(socket)
        return
      }
      if (!NO_SUCH_SOCKET_MODE.has(-result)) break
    }
    const { interfaceName } = this.#spec
    if (result === -ENODEV) throw new CaptureError('INTERFACE_REMOVED', `${interfaceName}: the interface is gone`, { errno: ENODEV, errnoName: 'ENODEV' })
    const { queue } = socket.account
    const hint =
      result === -EBUSY
        ? `another AF_XDP socket is bound to queue ${queue}: is another capture running on ${interfaceName}?`
        : `this driver has no ${inForce.mode} mode; --xdp-mode auto takes the best that it has`
    throw callFailed({
      subject: `${interfaceName} queue ${queue}`,
      call: `bind(AF_XDP, ${inForce.mode})`,
      errno: result,
      code: 'XDP_REFUSED',
      capability: 'CAP_NET_RAW',
      hint,
    })
  }

  #bindWith(socket: PreparedXdpSocket, flags: number): number {
    const address = new DataView(new ArrayBuffer(SOCKADDR_XDP.sizeof))
    address.setUint16(SOCKADDR_XDP.sxdp_family, AF_XDP, true)
    address.setUint16(SOCKADDR_XDP.sxdp_flags, flags, true)
    address.setUint32(SOCKADDR_XDP.sxdp_ifindex, this.identity.index, true)
    address.setUint32(SOCKADDR_XDP.sxdp_queue_id, socket.account.queue, true)
    const bytes = new Uint8Array(address.buffer)
    const deadline = performance.now() + BUSY_MS
    for (;;) {
      const result = this.#kernel.bind(socket.account.fd, bytes)
      if (result !== -EBUSY || performance.now() > deadline) return result
      sleepThread(BUSY_STEP_MS)
    }
  }

  /** XDP_OPTIONS says what is in force, whatever was asked for. */
  #checkMode(socket: PreparedXdpSocket): void {
    const options = new Uint32Array(1)
    const result = this.#kernel.getsockopt(socket.account.fd, SOL_XDP, XDP_OPTIONS, new Uint8Array(options.buffer))
    if (result < 0) return
    const isZeroCopy = ((options[0] as number) & XDP_OPTIONS_ZEROCOPY) !== 0
    if (isZeroCopy) this.inForce.mode = 'zero-copy'
    else if (this.inForce.mode === 'zero-copy') this.inForce.mode = 'native'
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

  #warnOfLongPackets(): void {
    const { chunkBytes, multiBuffer } = this.inForce
    const { interfaceName, warn } = this.#spec
    const longest = this.#longestPacket()
    const room = chunkRoom(chunkBytes)
    if (multiBuffer || longest <= room) return
    warn(
      `${interfaceName}: packets longer than ${room} bytes do not fit a chunk and are dropped (drops.oversize); its MTU is ${this.identity.mtu}`,
      chunkBytes < 4096 ? '--chunk 4096 takes longer ones' : 'packets of several chunks need Linux 6.6 and a driver that has them; or lower the MTU',
    )
  }
}

/** Without the lines of the verifier's log. */
function refusalOf(error: CaptureError): string {
  return `the kernel refused the program: ${error.message.replace(/; its log ends with\n.*/s, '')}`
}

function ringLayout(offsets: DataView, at: number, entries: number): XskRingLayout {
  const word = (field: number) => Number(offsets.getBigUint64(at + field, true))
  return {
    entries,
    producer: word(XDP_RING_OFFSET.producer),
    consumer: word(XDP_RING_OFFSET.consumer),
    desc: word(XDP_RING_OFFSET.desc),
    flags: word(XDP_RING_OFFSET.flags),
  }
}
