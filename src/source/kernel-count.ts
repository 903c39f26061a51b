/**
 * Counts the frames of one interface inside the kernel: bpf/count-program.ts on the interface, and the map that it counts in. The
 * program lives by a bpf_link, promiscuous mode by a packet socket that receives nothing: both end with the process.
 *
 * Nothing is counted twice or not at all: `settle` after the program was attached, and again after it was taken off, waits until
 * no CPU works by what was before.
 */

import { COUNT, COUNT_CLASSES, COUNT_MAP, countProgram } from '../bpf/count-program.js'
import { assemble } from '../bpf/ebpf.js'
import { word64 } from '../bytes/word64.js'
import { CaptureError } from '../errors.js'
import { BPF_F_XDP_HAS_FRAGS } from '../kernel/abi/bpf.js'
import { IFF_UP } from '../kernel/abi/if.js'
import { MEMBARRIER_CMD_GLOBAL } from '../kernel/abi/process.js'
import { attachXdp, type XdpLink } from '../kernel/bpf-link.js'
import { BpfMap } from '../kernel/bpf-map.js'
import { loadProgram } from '../kernel/bpf-program.js'
import { possibleCpus } from '../kernel/cpus.js'
import type { Descriptor } from '../kernel/descriptor.js'
import { EACCES, ENODEV } from '../kernel/errno.js'
import { type InterfaceIdentity, interfaceFlags } from '../kernel/interface.js'
import { interfaceUse } from '../kernel/interface-use.js'
import { raiseMemlock } from '../kernel/memlock.js'
import { getLink, RouteSocket } from '../kernel/netlink.js'
import type { Kernel } from '../kernel/system.js'
import { Opened } from './opened.js'
import { addPromiscuity, checkInterface, openPacketSocket } from './packet-socket.js'
import { isOfMode, NO_SUCH_PROGRAM_MODE, type TriedMode, takeFirstMode } from './xdp-mode.js'

/** `native`: the driver runs the program. `generic`: the stack does, of an skb. */
export const COUNT_MODES = ['native', 'generic'] as const
export type CountMode = (typeof COUNT_MODES)[number]

export interface KernelCountSpec {
  interfaceName: string
  /** `auto` takes the first of COUNT_MODES that goes. */
  mode: CountMode | 'auto'
  drop: boolean
  /** Nothing else needs the interface. */
  exclusive: boolean
  promiscuous: boolean
}

export class InterfaceCount implements Disposable {
  readonly name: string
  readonly identity: InterfaceIdentity
  /** The possible CPUs, in the order of the counts. */
  readonly cpus: readonly number[] = possibleCpus()
  readonly mode: CountMode
  /** Modes that did not go, in the order in which they were tried. */
  readonly tried: readonly TriedMode<CountMode>[]
  readonly #kernel: Kernel
  readonly #spec: KernelCountSpec
  readonly #opened = new Opened()
  readonly #control: Descriptor
  readonly #map: BpfMap
  readonly #keys: Uint8Array<ArrayBuffer>
  readonly #values: Uint8Array<ArrayBuffer>
  readonly #counts: Float64Array
  #link: XdpLink | undefined

  private constructor(kernel: Kernel, spec: KernelCountSpec) {
    this.#kernel = kernel
    this.#spec = spec
    this.name = spec.interfaceName
    try {
      this.#control = this.#opened.keep(openPacketSocket(kernel, this.name))
      this.identity = checkInterface(kernel, this.#control.fd, this.name)
      if (spec.drop && !spec.exclusive) this.#refuseToDrop()
      if (spec.promiscuous) addPromiscuity(kernel, this.#control.fd, this.identity.index, this.name)
      raiseMemlock(kernel)
      this.#map = this.#opened.keep(BpfMap.create(kernel, COUNT_MAP))
      // With room for one more the kernel says at once that there are no more.
      this.#keys = new Uint8Array(new ArrayBuffer((COUNT_CLASSES.length + 1) * COUNT_MAP.keyBytes))
      this.#values = new Uint8Array(new ArrayBuffer((COUNT_CLASSES.length + 1) * this.#map.valueSize))
      this.#counts = new Float64Array(this.cpus.length * COUNT_CLASSES.length * COUNT.words)
      const { mode, tried } = takeFirstMode(spec.mode === 'auto' ? COUNT_MODES : [spec.mode], (candidate) => this.#tryMode(candidate))
      this.mode = mode
      this.tried = tried
    } catch (error) {
      this.close()
      throw error
    }
  }

  /** Counts from here on. Call it inside the network namespace of the interface; nothing is left when it throws. */
  static open(kernel: Kernel, spec: KernelCountSpec): InterfaceCount {
    return new InterfaceCount(kernel, spec)
  }

  /**
   * Whether the interface is up.
   * @throws CaptureError INTERFACE_REMOVED; XDP_REFUSED when someone else has taken the program off
   */
  look(): { up: boolean } {
    const flags = interfaceFlags(this.#kernel, this.#control.fd, this.identity.index)
    if (flags === undefined) {
      throw new CaptureError('INTERFACE_REMOVED', `${this.name}: the interface was removed`, {
        errno: ENODEV,
        errnoName: 'ENODEV',
        hint: 'it was deleted, unplugged or moved to another network namespace; count again when it is back',
      })
    }
    if (this.#link?.attachedTo() === 0) {
      throw new CaptureError('XDP_REFUSED', `${this.name}: the counting program was taken off the interface`, {
        hint: 'by bpftool link detach or the like: what passed since is not counted',
      })
    }
    return { up: (flags & IFF_UP) !== 0 }
  }

  /** COUNT of each of COUNT_CLASSES for each of `cpus`, one after the other. The same array at every call; after `close` what was read last. */
  read(): Float64Array {
    const map = this.#map
    if (map.fd < 0) return this.#counts
    const words = new Uint32Array(this.#values.buffer)
    const keys = new Uint32Array(this.#keys.buffer)
    for (const cursor = map.cursor(); !cursor.done; ) {
      const found = map.lookupBatch(cursor, this.#keys, this.#values)
      for (let element = 0; element < found; element++) {
        for (let cpu = 0; cpu < this.cpus.length; cpu++) {
          const from = (element * map.valueSize + cpu * map.stride) / 4
          const to = (cpu * COUNT_CLASSES.length + (keys[element] as number)) * COUNT.words
          for (let word = 0; word < COUNT.words; word++) {
            this.#counts[to + word] = word64(words, from + word * 2)
          }
        }
      }
    }
    return this.#counts
  }

  /** Takes the program off; `read` still reads. Idempotent. */
  detach(): void {
    this.#link?.detach()
  }

  /** Idempotent. */
  close(): void {
    this.detach()
    this.#opened.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }

  #refuseToDrop(): void {
    using route = RouteSocket.open(this.#kernel)
    if (getLink(route, this.name).kind === 'veth') return
    const uses = interfaceUse(this.#kernel, this.name, this.identity.index)
    const used = uses.length === 0 ? '' : `, which uses it: ${uses.join(', ')}`
    throw new CaptureError('INVALID_OPTION', `Expected the option drop to be absent: ${this.name} is no veth, and nothing of it would reach this host${used}`, {
      hint: '--exclusive (exclusive: true) says that nothing else needs this interface; without --drop the packets are counted and passed on',
    })
  }

  #tryMode(mode: CountMode): CaptureError | undefined {
    try {
      this.#link = this.#attach(mode)
      return undefined
    } catch (error) {
      if (isOfMode(error, NO_SUCH_PROGRAM_MODE)) return error
      throw error
    }
  }

  /**
   * In a driver, the program for frames in one buffer comes first: it costs 3 ns a packet, the other one 9, and a driver refuses it
   * where frames may take several. The stack takes either; it makes one piece of each frame for the first, for which it may not
   * find the memory, and then drops the frame.
   */
  #attach(mode: CountMode): XdpLink {
    let refused: CaptureError | undefined
    for (const multiBuffer of mode === 'native' ? [false, true] : [true, false]) {
      try {
        using program = this.#load(multiBuffer)
        return attachXdp(this.#kernel, { program, interfaceName: this.name, interfaceIndex: this.identity.index, mode })
      } catch (error) {
        if (!isOfMode(error, NO_SUCH_PROGRAM_MODE) && !isUnloadable(error)) throw error
        // What the interface says tells more than that the kernel is too old for one of the programs.
        if (refused?.code !== 'XDP_REFUSED') refused = error
      }
    }
    throw refused
  }

  #load(multiBuffer: boolean): Descriptor {
    const code = assemble(countProgram({ action: this.#spec.drop ? 'drop' : 'pass', multiBuffer }), { counts: this.#map.fd })
    return loadProgram(this.#kernel, { name: COUNT_MAP.name, type: 'xdp', code, flags: multiBuffer ? BPF_F_XDP_HAS_FRAGS : 0 })
  }
}

/** Without CAP_PERFMON the verifier refuses the program for one buffer, which takes the difference of two addresses. */
function isUnloadable(error: unknown): error is CaptureError {
  return error instanceof CaptureError && error.errno === EACCES && error.code === 'SYSTEM_CALL_FAILED'
}

/** Waits until every CPU has finished with the packets that it had begun: about 10 ms. */
export function settle(kernel: Kernel): void {
  kernel.membarrier(MEMBARRIER_CMD_GLOBAL)
}
