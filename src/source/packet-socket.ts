/**
 * Opens AF_PACKET sockets. The order is the point (KERNEL.md 3, 6, 27, 29; libpcap pcap-linux.c does the same for one socket):
 *
 * 1. socket(AF_PACKET, SOCK_RAW, 0): protocol 0 receives nothing, so nothing of other interfaces gets in.
 * 2. Options, then the ring: version and reserve give EBUSY after it. Workers map it before packets flow.
 * 3. The filter. With fanout it is a closed gate: a bound socket that has not joined yet would see every packet, so would the
 *    next, and each packet would be delivered twice.
 * 4. Promiscuous membership; it is counted by the kernel and ends with the socket.
 * 5. bind: packets flow, from this interface alone.
 * 6. Fanout: joined in worker order, because PACKET_FANOUT_CPU counts members in that order.
 * 7. The gates open.
 *
 * `prepare` does 1 to 3, `start` the rest; between them workers map their rings and load their handlers.
 */
import { randomBytes } from 'node:crypto'
import { encodeProgram, type Instruction, REJECT_ALL } from '../bpf/classic.js'
import { assemble } from '../bpf/ebpf.js'
import { fanoutProgram } from '../bpf/fanout-program.js'
import { CaptureError } from '../errors.js'
import { IFF_LOOPBACK, IFF_UP } from '../kernel/abi/if.js'
import {
  FANOUT_ARGS,
  PACKET_ADD_MEMBERSHIP,
  PACKET_AUXDATA,
  PACKET_FANOUT,
  PACKET_FANOUT_CBPF,
  PACKET_FANOUT_CPU,
  PACKET_FANOUT_DATA,
  PACKET_FANOUT_EBPF,
  PACKET_FANOUT_FLAG_DEFRAG,
  PACKET_FANOUT_FLAG_IGNORE_OUTGOING,
  PACKET_FANOUT_FLAG_ROLLOVER,
  PACKET_FANOUT_FLAG_UNIQUEID,
  PACKET_FANOUT_HASH,
  PACKET_FANOUT_LB,
  PACKET_FANOUT_QM,
  PACKET_FANOUT_RND,
  PACKET_FANOUT_ROLLOVER,
  PACKET_IGNORE_OUTGOING,
  PACKET_MR_PROMISC,
  PACKET_MREQ,
  PACKET_RX_RING,
  PACKET_VERSION,
  SOCKADDR_LL,
  TP_FT_REQ_FILL_RXHASH,
  TPACKET_REQ3,
  TPACKET_V3,
} from '../kernel/abi/if_packet.js'
import {
  AF_PACKET,
  ARPHRD_ETHER,
  ARPHRD_LOOPBACK,
  ETH_P_ALL,
  SO_RCVBUF,
  SO_RCVBUFFORCE,
  SO_TIMESTAMPNS,
  SOCK_CLOEXEC,
  SOCK_RAW,
  SOL_PACKET,
  SOL_SOCKET,
} from '../kernel/abi/socket.js'
import { loadProgram } from '../kernel/bpf-program.js'
import { Descriptor } from '../kernel/descriptor.js'
import { callFailed, EINVAL, ENODEV, ENOMEM, ENOSPC, EPERM } from '../kernel/errno.js'
import { type InterfaceIdentity, identifyInterface } from '../kernel/interface.js'
import { attachFilter, detachFilter, getInt, setInt, setProgram } from '../kernel/options.js'
import type { Kernel } from '../kernel/system.js'
import { frameCount, frameSize, type RingGeometry, shrinkRing } from '../ring/geometry.js'
import { socketProgram } from './socket-filter.js'

/** `in` packets to this host or, promiscuously, to others; `out` those that it sends. */
export type Direction = 'in' | 'out' | 'inout'

export const FANOUT_TYPES = {
  hash: PACKET_FANOUT_HASH,
  lb: PACKET_FANOUT_LB,
  cpu: PACKET_FANOUT_CPU,
  rollover: PACKET_FANOUT_ROLLOVER,
  rnd: PACKET_FANOUT_RND,
  qm: PACKET_FANOUT_QM,
  cbpf: PACKET_FANOUT_CBPF,
  ebpf: PACKET_FANOUT_EBPF,
} as const

export interface FanoutSpec {
  mode: keyof typeof FANOUT_TYPES
  defrag: boolean
  rollover: boolean
  /** undefined: what `direction` says. */
  ignoreOutgoing?: boolean | undefined
  program?: readonly Instruction[] | undefined
}

export interface RingSpec extends RingGeometry {
  blockTimeoutMs: number
}

export interface SocketSpec {
  interfaceName: string
  /** A ring, or undefined for recvmmsg(2). */
  ring: RingSpec | undefined
  receiveBufferBytes: number
  rxhash: boolean
  /** Time stamp, original length and VLAN tag of each packet; a ring has them always. Counting needs none of them. */
  metadata: boolean
  /** Of packets whose tag stands beside them. undefined takes all. */
  filter: readonly Instruction[] | undefined
  snapLengthBytes: number
  /** From here on nothing is cut: no packet is longer. */
  maxSnapLengthBytes: number
  promiscuous: boolean
  /** undefined: `inout`, on a loopback interface `in`. */
  direction: Direction | undefined
  workers: number
  fanout: FanoutSpec | undefined
  warn: (message: string, hint?: string) => void
}

export interface PreparedSocket {
  descriptor: Descriptor
  /** As the kernel granted it. */
  ring: RingSpec | undefined
}

/** struct tpacket_req3, for PACKET_RX_RING. */
export function ringRequest(ring: RingSpec, rxhash: boolean): Uint8Array<ArrayBuffer> {
  const request = new DataView(new ArrayBuffer(TPACKET_REQ3.sizeof))
  request.setUint32(TPACKET_REQ3.tp_block_size, ring.blockBytes, true)
  request.setUint32(TPACKET_REQ3.tp_block_nr, ring.blockCount, true)
  request.setUint32(TPACKET_REQ3.tp_frame_size, frameSize(ring.blockBytes), true)
  request.setUint32(TPACKET_REQ3.tp_frame_nr, frameCount(ring), true)
  request.setUint32(TPACKET_REQ3.tp_retire_blk_tov, ring.blockTimeoutMs, true)
  request.setUint32(TPACKET_REQ3.tp_feature_req_word, rxhash ? TP_FT_REQ_FILL_RXHASH : 0, true)
  return new Uint8Array(request.buffer)
}

/** The sockets of one interface, one a worker. `close` is idempotent. */
export class PacketSockets {
  readonly sockets: PreparedSocket[] = []
  readonly identity: InterfaceIdentity
  readonly #kernel: Kernel
  readonly #spec: SocketSpec
  readonly #direction: Direction

  private constructor(kernel: Kernel, spec: SocketSpec, identity: InterfaceIdentity) {
    this.#kernel = kernel
    this.#spec = spec
    this.identity = identity
    // Loopback shows each packet twice, on its way out and in (as libpcap does, one is left out).
    this.#direction = spec.direction ?? ((identity.flags & IFF_LOOPBACK) !== 0 ? 'in' : 'inout')
  }

  /** Steps 1 to 3. Call it inside the network namespace of the interface; nothing is left open when it throws. */
  static prepare(kernel: Kernel, spec: SocketSpec): PacketSockets {
    const first = openPacketSocket(kernel, spec.interfaceName)
    let opened: PacketSockets
    try {
      opened = new PacketSockets(kernel, spec, checkInterface(kernel, first.fd, spec.interfaceName))
    } catch (error) {
      first.close()
      throw error
    }
    try {
      opened.#prepareSocket(first)
      while (opened.sockets.length < spec.workers) opened.#prepareSocket(openPacketSocket(kernel, spec.interfaceName))
    } catch (error) {
      opened.close()
      throw error
    }
    return opened
  }

  #prepareSocket(descriptor: Descriptor): void {
    const prepared: PreparedSocket = { descriptor, ring: undefined }
    this.sockets.push(prepared)
    const kernel = this.#kernel
    const spec = this.#spec
    const fd = descriptor.fd
    if (spec.ring !== undefined) {
      // A later worker gets no more than the one before it was granted.
      const granted = this.sockets[this.sockets.length - 2]?.ring ?? spec.ring
      this.#set(
        'setsockopt(PACKET_VERSION, TPACKET_V3)',
        () => setInt(kernel, fd, SOL_PACKET, PACKET_VERSION, TPACKET_V3),
        'TPACKET_V3 needs Linux 3.2 with CONFIG_PACKET; try --backend recv',
      )
      prepared.ring = { ...this.#makeRing(fd, granted), blockTimeoutMs: spec.ring.blockTimeoutMs }
    } else {
      if (spec.metadata) {
        this.#set('setsockopt(PACKET_AUXDATA)', () => setInt(kernel, fd, SOL_PACKET, PACKET_AUXDATA, 1))
        this.#set('setsockopt(SO_TIMESTAMPNS)', () => setInt(kernel, fd, SOL_SOCKET, SO_TIMESTAMPNS, 1))
      }
      this.#setReceiveBuffer(fd)
    }
    // Only a saving: it spares the kernel a clone a packet. The filter is what keeps outgoing packets away, on every kernel.
    if (this.#direction === 'in' && spec.fanout === undefined) setInt(kernel, fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    if (spec.fanout !== undefined) this.#set('setsockopt(SO_ATTACH_FILTER, reject all)', () => attachFilter(kernel, fd, encodeProgram(REJECT_ALL)))
    else this.#openGate(fd)
  }

  #makeRing(fd: number, wanted: RingGeometry): RingGeometry {
    let geometry = wanted
    for (;;) {
      const request = ringRequest({ ...geometry, blockTimeoutMs: this.#spec.ring?.blockTimeoutMs ?? 0 }, this.#spec.rxhash)
      const result = this.#kernel.setsockopt(fd, SOL_PACKET, PACKET_RX_RING, request)
      if (result >= 0) break
      const smaller = result === -ENOMEM ? shrinkRing(geometry) : undefined
      if (smaller === undefined) {
        const bytes = wanted.blockBytes * wanted.blockCount
        throw callFailed({
          subject: this.#subject(),
          call: `setsockopt(PACKET_RX_RING, tp_block_size=${wanted.blockBytes} tp_block_nr=${wanted.blockCount} [${mebibytes(bytes)}])`,
          errno: result,
          code: 'RING_REFUSED',
          capability: 'CAP_NET_RAW',
          hint: 'try a smaller --ring or fewer --workers: each worker has a ring of its own',
        })
      }
      geometry = smaller
    }
    if (geometry.blockCount !== wanted.blockCount) {
      const [got, asked] = [geometry, wanted].map((g) => mebibytes(g.blockBytes * g.blockCount))
      this.#spec.warn(`${this.#subject()}: the kernel had no memory for a ring of ${asked}, it is ${got}`, 'a smaller --ring or fewer --workers fit at once')
    }
    return geometry
  }

  #setReceiveBuffer(fd: number): void {
    const kernel = this.#kernel
    const bytes = this.#spec.receiveBufferBytes
    // The kernel doubles the value for its own overhead and answers the double.
    if (setInt(kernel, fd, SOL_SOCKET, SO_RCVBUFFORCE, bytes) < 0) {
      this.#set(`setsockopt(SO_RCVBUF, ${bytes})`, () => setInt(kernel, fd, SOL_SOCKET, SO_RCVBUF, bytes))
    }
    const granted = getInt(kernel, fd, SOL_SOCKET, SO_RCVBUF) / 2
    if (granted < bytes) {
      this.#spec.warn(
        `${this.#subject()}: receive buffer is ${mebibytes(granted)}, not ${mebibytes(bytes)}`,
        'needs CAP_NET_ADMIN, or sysctl net.core.rmem_max',
      )
    }
  }

  /** Steps 4 to 7: packets flow when it returns. */
  start(): void {
    const kernel = this.#kernel
    const spec = this.#spec
    for (const { descriptor } of this.sockets) {
      if (spec.promiscuous) {
        addPromiscuity(kernel, descriptor.fd, this.identity.index, this.#subject())
      }
      const bound = kernel.bind(descriptor.fd, linkLayerAddress(this.identity.index))
      if (bound === -ENODEV) throw removed(spec.interfaceName)
      if (bound < 0)
        throw callFailed({ subject: this.#subject(), call: `bind(ETH_P_ALL, ifindex ${this.identity.index})`, errno: bound, capability: 'CAP_NET_RAW' })
    }
    if (spec.fanout === undefined) return
    this.#joinFanout(spec.fanout)
    for (const { descriptor } of this.sockets) this.#openGate(descriptor.fd)
  }

  #joinFanout(fanout: FanoutSpec): void {
    const kernel = this.#kernel
    const type = FANOUT_TYPES[fanout.mode]
    const ignoreOutgoing = fanout.ignoreOutgoing ?? this.#direction === 'in'
    let flags = (fanout.defrag ? PACKET_FANOUT_FLAG_DEFRAG : 0) | (fanout.rollover ? PACKET_FANOUT_FLAG_ROLLOVER : 0)
    if (ignoreOutgoing) flags |= PACKET_FANOUT_FLAG_IGNORE_OUTGOING
    let id = 0
    for (const [index, { descriptor }] of this.sockets.entries()) {
      const join = (memberFlags: number): number => {
        const request = new DataView(new ArrayBuffer(4))
        request.setUint16(FANOUT_ARGS.id, id, true)
        request.setUint16(FANOUT_ARGS.type_flags, type | memberFlags, true)
        return kernel.setsockopt(descriptor.fd, SOL_PACKET, PACKET_FANOUT, new Uint8Array(request.buffer))
      }
      let result = join(index === 0 ? flags | PACKET_FANOUT_FLAG_UNIQUEID : flags)
      if (result === -EINVAL && index === 0 && ignoreOutgoing && fanout.ignoreOutgoing === undefined) {
        // Before Linux 6.2 there is no such flag; the filter does the same for a little more.
        flags &= ~PACKET_FANOUT_FLAG_IGNORE_OUTGOING
        result = join(flags | PACKET_FANOUT_FLAG_UNIQUEID)
      }
      if (result < 0) throw this.#fanoutRefused(fanout, index, result)
      if (index === 0) {
        const group = getInt(kernel, descriptor.fd, SOL_PACKET, PACKET_FANOUT)
        // NB: id | type << 16 | flags << 24: with DEFRAG the sign bit is set, and it is no errno.
        if (group < 0 && group > -4096) throw this.#fanoutRefused(fanout, index, group)
        id = group & 0xffff
      }
    }
    if (fanout.mode === 'cbpf') {
      // Until it is set, all packets go to worker 0; the gates are still closed.
      const first = this.sockets[0]?.descriptor.fd ?? -1
      const result = setProgram(kernel, first, SOL_PACKET, PACKET_FANOUT_DATA, encodeProgram(fanout.program ?? []))
      if (result < 0) {
        const hint = 'the program must pass the checks of classic BPF and return the index of a worker'
        throw callFailed({ subject: this.#subject(), call: 'setsockopt(PACKET_FANOUT_DATA)', errno: result, code: 'FANOUT_REFUSED', hint })
      }
    }
    if (fanout.mode === 'ebpf') {
      // A seed that nobody knows: else flows could be made up that all go to one worker.
      const code = assemble(fanoutProgram(this.sockets.length, randomBytes(8).readBigUInt64LE()))
      // The group keeps the program.
      using program = loadProgram(kernel, { name: 'ringtap_fanout', type: 'socket_filter', code })
      this.#set('setsockopt(PACKET_FANOUT_DATA, program)', () =>
        setInt(kernel, this.sockets[0]?.descriptor.fd ?? -1, SOL_PACKET, PACKET_FANOUT_DATA, program.fd),
      )
    }
  }

  #fanoutRefused(fanout: FanoutSpec, index: number, result: number): CaptureError {
    const flags = [fanout.defrag ? 'defrag' : '', fanout.rollover ? 'rollover' : '', fanout.ignoreOutgoing ? 'ignore-outgoing' : ''].filter((f) => f !== '')
    const hints: Readonly<Record<number, string>> = {
      [-EINVAL]: 'this kernel lacks the mode or a flag (ignore-outgoing needs Linux 6.2), or the interface went down meanwhile',
      [-ENOSPC]: 'a group holds 256 members: take fewer --workers',
    }
    return callFailed({
      subject: `${this.#subject()} worker ${index}`,
      call: `setsockopt(PACKET_FANOUT, ${[fanout.mode, ...flags].join(',')})`,
      errno: result,
      code: 'FANOUT_REFUSED',
      capability: 'CAP_NET_RAW',
      ...(hints[result] === undefined ? {} : { hint: hints[result] }),
    })
  }

  #openGate(fd: number): void {
    const { ring, metadata, maxSnapLengthBytes, filter } = this.#spec
    const kernel = this.#kernel
    // NB: a filter that cuts, cuts what MSG_TRUNC answers as well. Without auxiliary data that is the only word on the length on
    // the wire, so the reader alone cuts.
    const snapLengthBytes = ring === undefined && !metadata ? maxSnapLengthBytes : this.#spec.snapLengthBytes
    if (filter === undefined && snapLengthBytes >= maxSnapLengthBytes && this.#direction === 'inout') {
      if (this.#spec.fanout !== undefined) this.#set('setsockopt(SO_DETACH_FILTER)', () => detachFilter(kernel, fd))
      return
    }
    const program = encodeProgram(socketProgram(filter, snapLengthBytes, this.#direction))
    this.#set('setsockopt(SO_ATTACH_FILTER)', () => attachFilter(kernel, fd, program), 'sysctl net.core.optmem_max limits filters')
  }

  #set(call: string, run: () => number, hint?: string): void {
    const result = run()
    if (result < 0) throw callFailed({ subject: this.#subject(), call, errno: result, capability: 'CAP_NET_RAW', ...(hint === undefined ? {} : { hint }) })
  }

  #subject(): string {
    return this.#spec.interfaceName
  }

  close(): void {
    for (const { descriptor } of this.sockets) descriptor.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }
}

/** Counted by the kernel; ends with the socket, which need not be bound. */
export function addPromiscuity(kernel: Kernel, fd: number, interfaceIndex: number, interfaceName: string): void {
  const request = new DataView(new ArrayBuffer(PACKET_MREQ.sizeof))
  request.setInt32(PACKET_MREQ.mr_ifindex, interfaceIndex, true)
  request.setUint16(PACKET_MREQ.mr_type, PACKET_MR_PROMISC, true)
  const result = kernel.setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, new Uint8Array(request.buffer))
  const call = 'setsockopt(PACKET_ADD_MEMBERSHIP, PACKET_MR_PROMISC)'
  if (result < 0) throw callFailed({ subject: interfaceName, call, errno: result, capability: 'CAP_NET_RAW' })
}

/** A packet socket that receives nothing yet. */
export function openPacketSocket(kernel: Kernel, interfaceName: string): Descriptor {
  const fd = kernel.socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0)
  if (fd >= 0) return new Descriptor(kernel, fd)
  const hint = fd === -EPERM ? undefined : 'is CONFIG_PACKET in this kernel?'
  throw callFailed({
    subject: interfaceName,
    call: 'socket(AF_PACKET, SOCK_RAW)',
    errno: fd,
    capability: 'CAP_NET_RAW',
    ...(hint === undefined ? {} : { hint }),
  })
}

/** @throws CaptureError NO_SUCH_INTERFACE, UNSUPPORTED_LINK_TYPE, INTERFACE_DOWN */
export function checkInterface(kernel: Kernel, fd: number, name: string): InterfaceIdentity {
  const identity = identifyInterface(kernel, fd, name)
  if (identity === -ENODEV) {
    throw new CaptureError('NO_SUCH_INTERFACE', `${name}: no such interface in this network namespace`, {
      syscall: 'ioctl(SIOCGIFINDEX)',
      errno: ENODEV,
      errnoName: 'ENODEV',
      hint: 'ringtap interfaces lists them; --netns looks into another namespace',
    })
  }
  if (typeof identity === 'number') throw callFailed({ subject: name, call: 'ioctl(SIOCGIFINDEX)', errno: identity })
  if (identity.linkType !== ARPHRD_ETHER && identity.linkType !== ARPHRD_LOOPBACK) {
    throw new CaptureError('UNSUPPORTED_LINK_TYPE', `${name}: link type ${identity.linkType} (ARPHRD_* of linux/if_arp.h) is not Ethernet`, {
      hint: 'capture on the Ethernet interface that carries this one',
    })
  }
  if ((identity.flags & IFF_UP) === 0) throw new CaptureError('INTERFACE_DOWN', `${name}: interface is down`, { hint: `ip link set ${name} up` })
  return identity
}

function linkLayerAddress(index: number): Uint8Array {
  const address = new DataView(new ArrayBuffer(SOCKADDR_LL.sizeof))
  address.setUint16(SOCKADDR_LL.sll_family, AF_PACKET, true)
  address.setUint16(SOCKADDR_LL.sll_protocol, ETH_P_ALL, false)
  address.setInt32(SOCKADDR_LL.sll_ifindex, index, true)
  return new Uint8Array(address.buffer)
}

export function removed(name: string): CaptureError {
  return new CaptureError('INTERFACE_REMOVED', `${name}: the interface is gone`, { errno: ENODEV, errnoName: 'ENODEV' })
}

function mebibytes(bytes: number): string {
  return bytes >= 2 ** 30 ? `${(bytes / 2 ** 30).toFixed(1)} GiB` : `${(bytes / 2 ** 20).toFixed(1)} MiB`
}
