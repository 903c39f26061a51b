/**
 * The AF_XDP socket of one receive queue: chunks (UMEM) that the kernel writes packets into, an RX ring that says where they lie, a
 * FILL ring that gives chunks back. The rings are sized before the bind; a worker maps them (xdp.ts), and gives the kernel the chunks.
 */
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
import { Descriptor } from '../kernel/descriptor.js'
import { callFailed, EBUSY, ENOBUFS, ENODEV, EOPNOTSUPP } from '../kernel/errno.js'
import { memlockHint } from '../kernel/memlock.js'
import { setInt } from '../kernel/options.js'
import { SharedMemory, withTemporaryMapping } from '../kernel/shared-memory.js'
import type { Kernel } from '../kernel/system.js'
import { sleepThread } from '../kernel/thread.js'
import { UMEM_HEADROOM, type UmemGeometry, umemBytes, umemMemoryBytes } from '../ring/umem.js'
import type { XskRingLayout } from '../ring/xsk-ring.js'
import type { Opened } from './opened.js'
import { removed } from './packet-socket.js'
import type { XdpMemory } from './xdp.js'
import type { XdpAccountSpec, XdpMaps } from './xdp-account.js'
import { NO_SUCH_SOCKET_MODE, type XdpMode } from './xdp-mode.js'

export interface XdpQueueSpec {
  interfaceName: string
  queue: number
  maps: XdpMaps
  chunkBytes: number
  chunks: number
  /** Microseconds of SO_BUSY_POLL; 0 for none. */
  busyPollUs: number
}

const COMPLETION_ENTRIES = 64
/** Descriptors that one system call may ask a driver for: what the kernel takes without privilege. */
const BUSY_POLL_BUDGET = 64
/** The queue of a socket that was closed a moment ago is still taken: its pool is released by a work queue. */
const BUSY_MS = 2000
const BUSY_STEP_MS = 20

/** Flags of bind(2) for a mode, in the order in which they are to be tried: with packets of several chunks where those are wanted, and without. */
export function bindFlags(mode: XdpMode, wantsFragments: boolean): number[] {
  const base = (mode === 'zero-copy' ? XDP_ZEROCOPY : XDP_COPY) | XDP_USE_NEED_WAKEUP
  return wantsFragments ? [base | XDP_USE_SG, base] : [base]
}

export class XdpQueue {
  readonly descriptor: Descriptor
  readonly account: XdpAccountSpec
  /** For the worker that reads it. */
  readonly memory: XdpMemory
  /** All of the chunks lie in hugepages. */
  readonly hugepages: boolean
  readonly #kernel: Kernel
  readonly #spec: XdpQueueSpec
  readonly #subject: string

  /** Makes chunks and rings; bound to nothing, and of use in any mode. What is open stands in `opened`, also when it throws. */
  constructor(kernel: Kernel, opened: Opened, spec: XdpQueueSpec) {
    this.#kernel = kernel
    this.#spec = spec
    this.#subject = `${spec.interfaceName} queue ${spec.queue}`
    this.descriptor = opened.keep(this.#openSocket())
    const { fd } = this.descriptor
    const geometry: UmemGeometry = { chunkBytes: spec.chunkBytes, chunkCount: spec.chunks, multiBuffer: true }
    const memory = SharedMemory.create(kernel, { name: this.#subject, bytes: umemMemoryBytes(geometry), hugepages: true })
    opened.keep(memory.descriptor)
    this.hugepages = memory.hugepages
    this.#register(memory, geometry)
    this.#setOptions()
    this.memory = {
      geometry,
      ...this.#ringLayouts(),
      umemFd: memory.descriptor.fd,
      umemMemoryBytes: memory.bytes,
      umemPageBytes: memory.pageBytes,
    }
    this.account = { fd, ...spec.maps, queue: spec.queue, multiBuffer: false }
  }

  /** Binds it, and answers the flags of `candidates` that went. `mode` is for messages. */
  bind(interfaceIndex: number, mode: XdpMode, candidates: readonly number[]): number {
    let result = 0
    for (const flags of candidates) {
      result = this.#bindWith(interfaceIndex, flags)
      if (result >= 0) {
        this.account.multiBuffer = (flags & XDP_USE_SG) !== 0
        return flags
      }
      if (!NO_SUCH_SOCKET_MODE.has(-result)) break
    }
    const { interfaceName, queue } = this.#spec
    if (result === -ENODEV) throw removed(interfaceName)
    const hint =
      result === -EBUSY
        ? `another AF_XDP socket is bound to queue ${queue}: is another capture running on ${interfaceName}?`
        : `this driver has no ${mode} mode; --xdp-mode auto takes the best that it has`
    throw callFailed({ subject: this.#subject, call: `bind(AF_XDP, ${mode})`, errno: result, code: 'XDP_REFUSED', capability: 'CAP_NET_RAW', hint })
  }

  /** What is in force, whatever was asked for; undefined where the kernel does not tell. */
  isZeroCopy(): boolean | undefined {
    const options = new Uint32Array(1)
    const result = this.#kernel.getsockopt(this.descriptor.fd, SOL_XDP, XDP_OPTIONS, new Uint8Array(options.buffer))
    return result < 0 ? undefined : ((options[0] as number) & XDP_OPTIONS_ZEROCOPY) !== 0
  }

  #openSocket(): Descriptor {
    const fd = this.#kernel.socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0)
    if (fd >= 0) return new Descriptor(this.#kernel, fd)
    const hint = 'AF_XDP needs Linux 5.4 with CONFIG_XDP_SOCKETS; --backend ring does without'
    throw callFailed({ subject: this.#subject, call: 'socket(AF_XDP, SOCK_RAW)', errno: fd, code: 'XDP_REFUSED', capability: 'CAP_NET_RAW', hint })
  }

  #register(memory: SharedMemory, geometry: UmemGeometry): void {
    const kernel = this.#kernel
    const bytes = umemBytes(geometry)
    const result = withTemporaryMapping(kernel, memory.descriptor.fd, memory.bytes, (address) => {
      const request = new DataView(new ArrayBuffer(XDP_UMEM_REG_V2.sizeof))
      request.setBigUint64(XDP_UMEM_REG_V2.addr, address, true)
      request.setBigUint64(XDP_UMEM_REG_V2.len, BigInt(bytes), true)
      request.setUint32(XDP_UMEM_REG_V2.chunk_size, geometry.chunkBytes, true)
      request.setUint32(XDP_UMEM_REG_V2.headroom, UMEM_HEADROOM, true)
      return kernel.setsockopt(this.descriptor.fd, SOL_XDP, XDP_UMEM_REG, new Uint8Array(request.buffer))
    })
    if (result >= 0) return
    const call = `setsockopt(XDP_UMEM_REG, ${bytes} bytes in chunks of ${geometry.chunkBytes})`
    const hint = result === -ENOBUFS ? memlockHint(kernel, bytes) : 'a smaller --ring is less memory'
    throw callFailed({ subject: this.#subject, call, errno: result, code: 'RING_REFUSED', hint })
  }

  #setOptions(): void {
    const { chunks, busyPollUs } = this.#spec
    this.#set('XDP_UMEM_FILL_RING', SOL_XDP, XDP_UMEM_FILL_RING, chunks)
    this.#set('XDP_UMEM_COMPLETION_RING', SOL_XDP, XDP_UMEM_COMPLETION_RING, COMPLETION_ENTRIES)
    this.#set('XDP_RX_RING', SOL_XDP, XDP_RX_RING, chunks)
    if (busyPollUs > 0) {
      this.#set('SO_PREFER_BUSY_POLL', SOL_SOCKET, SO_PREFER_BUSY_POLL, 1)
      this.#set('SO_BUSY_POLL', SOL_SOCKET, SO_BUSY_POLL, busyPollUs)
      this.#set('SO_BUSY_POLL_BUDGET', SOL_SOCKET, SO_BUSY_POLL_BUDGET, BUSY_POLL_BUDGET)
    }
  }

  #set(name: string, level: number, option: number, value: number): void {
    const result = setInt(this.#kernel, this.descriptor.fd, level, option, value)
    if (result >= 0) return
    throw callFailed({ subject: this.#subject, call: `setsockopt(${name}, ${value})`, errno: result, code: 'XDP_REFUSED', capability: 'CAP_NET_ADMIN' })
  }

  #ringLayouts(): Pick<XdpMemory, 'rxRing' | 'fillRing'> {
    const { chunks } = this.#spec
    const offsets = new DataView(new ArrayBuffer(XDP_MMAP_OFFSETS_LAYOUT.sizeof))
    const result = this.#kernel.getsockopt(this.descriptor.fd, SOL_XDP, XDP_MMAP_OFFSETS, new Uint8Array(offsets.buffer))
    // A shorter answer is that of Linux 5.3 and before, whose rings have no flags.
    if (result !== XDP_MMAP_OFFSETS_LAYOUT.sizeof) {
      throw callFailed({
        subject: this.#subject,
        call: 'getsockopt(XDP_MMAP_OFFSETS)',
        errno: result < 0 ? result : EOPNOTSUPP,
        code: 'XDP_REFUSED',
        hint: 'AF_XDP needs Linux 5.4',
      })
    }
    return { rxRing: ringLayout(offsets, XDP_MMAP_OFFSETS_LAYOUT.rx, chunks), fillRing: ringLayout(offsets, XDP_MMAP_OFFSETS_LAYOUT.fr, chunks) }
  }

  #bindWith(interfaceIndex: number, flags: number): number {
    const address = new DataView(new ArrayBuffer(SOCKADDR_XDP.sizeof))
    address.setUint16(SOCKADDR_XDP.sxdp_family, AF_XDP, true)
    address.setUint16(SOCKADDR_XDP.sxdp_flags, flags, true)
    address.setUint32(SOCKADDR_XDP.sxdp_ifindex, interfaceIndex, true)
    address.setUint32(SOCKADDR_XDP.sxdp_queue_id, this.#spec.queue, true)
    const bytes = new Uint8Array(address.buffer)
    const deadline = performance.now() + BUSY_MS
    for (;;) {
      const result = this.#kernel.bind(this.descriptor.fd, bytes)
      if (result !== -EBUSY || performance.now() > deadline) return result
      sleepThread(BUSY_STEP_MS)
    }
  }
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
