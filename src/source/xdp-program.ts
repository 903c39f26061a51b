/**
 * The XDP program of an interface, and its maps: the sockets that it sends packets to, and what it counts for each receive queue.
 * There are two of them where the driver's hints are asked for: one that hands on hints, loaded for this interface alone, and a plain
 * one for where that one is refused.
 */
import type { Instruction } from '../bpf/classic.js'
import { assemble } from '../bpf/ebpf.js'
import { xskFilterProgram } from '../bpf/xsk-filter-program.js'
import { XSK_QUEUE, type XskHintFunctions, xskMaps, xskProgram } from '../bpf/xsk-program.js'
import { CaptureError } from '../errors.js'
import { BPF_F_XDP_DEV_BOUND_ONLY, BPF_F_XDP_HAS_FRAGS, BPF_XDP } from '../kernel/abi/bpf.js'
import { attachXdp, type XdpLink } from '../kernel/bpf-link.js'
import { BpfMap } from '../kernel/bpf-map.js'
import { loadProgram } from '../kernel/bpf-program.js'
import type { Descriptor } from '../kernel/descriptor.js'
import { EINVAL } from '../kernel/errno.js'
import type { Kernel } from '../kernel/system.js'
import type { Opened } from './opened.js'
import { sumOverCpus, type XdpMaps } from './xdp-account.js'
import { type FoundHints, findHints, HARDWARE_HINTS } from './xdp-hints.js'
import { isOfMode, NO_SUCH_SOCKET_MODE } from './xdp-mode.js'

export interface XdpProgramSpec {
  interfaceName: string
  interfaceIndex: number
  /** Queues that the maps have room for. */
  mapQueues: number
  filter: readonly Instruction[] | undefined
  /** Ask the driver for what it knows of packets beside their bytes. */
  hints: boolean
  /** Packets of the interface may not fit a chunk. */
  longPackets: boolean
}

/** In the driver, or in the stack. */
type Attachment = 'native' | 'generic'

export interface LeftToStack {
  passed: number
  filtered: number
}

export class XdpProgram {
  readonly #kernel: Kernel
  readonly #opened: Opened
  readonly #spec: XdpProgramSpec
  readonly #xsks: BpfMap
  readonly #queues: BpfMap
  readonly #count: Uint8Array<ArrayBuffer>
  #plain: Descriptor | undefined
  /** Hands on hints; in generic mode it must not run, as drivers find what they tell in memory of theirs around the context. */
  #hinting: Descriptor | undefined
  #hints: FoundHints = { functions: { timestamp: undefined, vlan: undefined }, missing: new Map() }
  #takesFragments = true
  #link: XdpLink | undefined
  #attached: Attachment = 'native'

  /** Loads it, attached to nothing. What is open stands in `opened`, also when it throws. */
  constructor(kernel: Kernel, opened: Opened, spec: XdpProgramSpec) {
    this.#kernel = kernel
    this.#opened = opened
    this.#spec = spec
    const shapes = xskMaps(spec.mapQueues)
    this.#xsks = opened.keep(BpfMap.create(kernel, shapes.xsks))
    this.#queues = opened.keep(BpfMap.create(kernel, shapes.queues))
    this.#count = new Uint8Array(new ArrayBuffer(this.#queues.valueSize))
    if (spec.hints) this.#loadHinting()
    if (this.#hinting === undefined) this.#loadPlain()
  }

  get maps(): XdpMaps {
    return { xsksFd: this.#xsks.fd, queuesFd: this.#queues.fd, mapQueues: this.#spec.mapQueues }
  }

  /** It takes packets of several buffers. */
  get takesFragments(): boolean {
    return this.#takesFragments
  }

  /** What the driver is asked for each packet, and why not for the rest; after `attach`. */
  get hints(): Readonly<FoundHints> {
    return this.#hints
  }

  /** Until `opened` is closed. */
  get countsReadable(): boolean {
    return this.#queues.fd >= 0
  }

  /** Answers why the mode does not go; throws what would fail in any other as well. */
  attach(mode: Attachment): CaptureError | undefined {
    // What is attached already may stay: attaching resets the link with some drivers.
    if (this.#link !== undefined && this.#attached === mode) return undefined
    this.detach()
    this.#attached = mode
    let reason = 'generic mode has none'
    const hinting = this.#hinting
    if (mode === 'native' && hinting !== undefined) {
      const refused = this.#tryAttach(mode, () => hinting)
      if (refused === undefined) return undefined
      reason = refusalOf(refused)
    }
    const refused = this.#tryAttach(mode, () => this.#loadPlain())
    if (refused === undefined) this.#giveUpHints(reason)
    return refused
  }

  /** From now on packets of the queue go to this socket. */
  send(queue: number, socketFd: number): void {
    this.#xsks.update(queue, socketFd)
  }

  /** Whether it was attached and has been taken off since, or its interface has gone. */
  isOff(): boolean {
    return this.#link?.attachedTo() === 0
  }

  /** Since it is attached. A look-up a queue. */
  leftToStack(served: number): LeftToStack {
    const sum = { passed: 0, filtered: 0 }
    // Without a filter a queue that has a socket leaves nothing.
    for (let queue = this.#spec.filter === undefined ? served : 0; queue < this.#spec.mapQueues; queue++) {
      if (!this.#queues.lookup(queue, this.#count)) continue
      sum.filtered += sumOverCpus(this.#queues, this.#count, XSK_QUEUE.filtered)
      if (queue >= served) sum.passed += sumOverCpus(this.#queues, this.#count, XSK_QUEUE.passed)
    }
    return sum
  }

  /** Idempotent. */
  detach(): void {
    this.#link?.detach()
    this.#link = undefined
  }

  #loadPlain(): Descriptor {
    if (this.#plain !== undefined) return this.#plain
    const load = (flags: number) => this.#opened.keep(loadProgram(this.#kernel, { name: 'ringtap_xsk', type: 'xdp', code: this.#code(flags), flags }))
    try {
      this.#plain = load(BPF_F_XDP_HAS_FRAGS)
    } catch (error) {
      // Before Linux 5.18 there is no such flag, and no packet of several buffers.
      if (!(error instanceof CaptureError && error.errno === EINVAL)) throw error
      this.#plain = load(0)
    }
    return this.#plain
  }

  #code(flags: number, hints?: XskHintFunctions): Uint8Array<ArrayBuffer> {
    const { filter } = this.#spec
    const multiBuffer = (flags & BPF_F_XDP_HAS_FRAGS) !== 0
    const program = filter === undefined ? xskProgram({ hints }) : xskFilterProgram(filter, { hints, multiBuffer })
    return assemble(program, { xsks: this.#xsks.fd, queues: this.#queues.fd })
  }

  /** Where there are none to be had, or the kernel refuses the program, the capture goes on without. */
  #loadHinting(): void {
    const { interfaceName, interfaceIndex, longPackets } = this.#spec
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
    const candidates = longPackets ? [BPF_F_XDP_HAS_FRAGS] : [BPF_F_XDP_HAS_FRAGS, 0]
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
    const { functions, missing } = this.#hints
    for (const hint of HARDWARE_HINTS) {
      if (functions[hint] === undefined) continue
      functions[hint] = undefined
      missing.set(hint, reason)
    }
    this.#hinting?.close()
    this.#hinting = undefined
    this.#takesFragments = true
  }

  #tryAttach(mode: Attachment, program: () => Descriptor): CaptureError | undefined {
    const { interfaceName, interfaceIndex } = this.#spec
    try {
      this.#link = attachXdp(this.#kernel, { program: program(), interfaceName, interfaceIndex, mode })
      return undefined
    } catch (error) {
      if (isOfMode(error, NO_SUCH_SOCKET_MODE)) return error
      throw error
    }
  }
}

/** Without the lines of the verifier's log. */
function refusalOf(error: CaptureError): string {
  return `the kernel refused the program: ${error.message.replace(/; its log ends with\n.*/s, '')}`
}
