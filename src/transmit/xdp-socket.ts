/**
 * Opens an AF_XDP socket that only sends: chunks (UMEM), their FILL and COMPLETION rings, which the kernel wants both, a TX ring, and
 * bind in copy mode to one transmit queue. No XDP program is attached, and what arrives is left alone.
 */
import {
  SOCKADDR_XDP,
  XDP_COPY,
  XDP_MMAP_OFFSETS,
  XDP_MMAP_OFFSETS_LAYOUT,
  XDP_RING_OFFSET,
  XDP_TX_RING,
  XDP_UMEM_COMPLETION_RING,
  XDP_UMEM_FILL_RING,
  XDP_UMEM_REG,
  XDP_UMEM_REG_V2,
  XDP_USE_NEED_WAKEUP,
} from '../kernel/abi/if_xdp.js'
import { AF_XDP, SOCK_CLOEXEC, SOCK_RAW, SOL_XDP } from '../kernel/abi/socket.js'
import { Descriptor } from '../kernel/descriptor.js'
import { callFailed, EBUSY, ENOBUFS, EOPNOTSUPP } from '../kernel/errno.js'
import { memlockHint, raiseMemlock } from '../kernel/memlock.js'
import { setInt } from '../kernel/options.js'
import { SharedMemory, withTemporaryMapping } from '../kernel/shared-memory.js'
import type { Kernel } from '../kernel/system.js'
import { sleepThread } from '../kernel/thread.js'
import type { UmemSenderGeometry } from '../ring/umem-sender.js'
import type { XskRingLayout } from '../ring/xsk-ring.js'
import { growSendBuffer } from './send-buffer.js'

export interface XdpTransmitSpec {
  interfaceName: string
  interfaceIndex: number
  /** Transmit queue. */
  queue: number
  geometry: UmemSenderGeometry
  sendBufferBytes: number
}

export interface XdpTransmitSocket {
  descriptor: Descriptor
  memory: SharedMemory
  geometry: UmemSenderGeometry
  txRing: XskRingLayout
  completionRing: XskRingLayout
  close(): void
}

/** The kernel wants one; nothing is ever received. */
const FILL_ENTRIES = 64
/** The queue of a socket that was closed a moment ago is still taken: its pool is released by a work queue. */
const BUSY_MS = 2000
const BUSY_STEP_MS = 20

/** Call it inside the network namespace of the interface; nothing is left open when it throws. */
export function openXdpTransmitSocket(kernel: Kernel, spec: XdpTransmitSpec): XdpTransmitSocket {
  const { geometry } = spec
  const subject = `${spec.interfaceName} queue ${spec.queue}`
  raiseMemlock(kernel)
  const fd = kernel.socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0)
  if (fd < 0) {
    const hint = 'AF_XDP needs Linux 5.4 with CONFIG_XDP_SOCKETS; --backend ring does without'
    throw callFailed({ subject, call: 'socket(AF_XDP, SOCK_RAW)', errno: fd, code: 'XDP_REFUSED', capability: 'CAP_NET_RAW', hint })
  }
  const opened: { close(): void }[] = []
  const close = () => {
    for (const it of opened.splice(0).reverse()) it.close()
  }
  const descriptor = new Descriptor(kernel, fd)
  opened.push(descriptor)
  try {
    const bytes = geometry.chunkBytes * geometry.chunkCount
    const memory = SharedMemory.create(kernel, { name: subject, bytes, hugepages: false })
    opened.push(memory)
    register(kernel, subject, fd, memory, geometry)
    // Twice the chunks: no index is ever ambiguous, and a frame that has to go back to the front finds room.
    const entries = geometry.chunkCount * 2
    const set = (name: string, option: number, value: number) => {
      const result = setInt(kernel, fd, SOL_XDP, option, value)
      if (result < 0) throw callFailed({ subject, call: `setsockopt(${name}, ${value})`, errno: result, code: 'XDP_REFUSED' })
    }
    set('XDP_UMEM_FILL_RING', XDP_UMEM_FILL_RING, FILL_ENTRIES)
    set('XDP_UMEM_COMPLETION_RING', XDP_UMEM_COMPLETION_RING, entries)
    set('XDP_TX_RING', XDP_TX_RING, entries)
    growSendBuffer(kernel, fd, spec.sendBufferBytes)
    const { tx, completion } = ringOffsets(kernel, subject, fd, entries)
    bind(kernel, subject, fd, spec)
    return { descriptor, memory, geometry, txRing: tx, completionRing: completion, close }
  } catch (error) {
    close()
    throw error
  }
}

function register(kernel: Kernel, subject: string, fd: number, memory: SharedMemory, { chunkBytes, chunkCount }: UmemSenderGeometry): void {
  const bytes = chunkBytes * chunkCount
  const result = withTemporaryMapping(kernel, memory.descriptor.fd, memory.bytes, (address) => {
    const request = new DataView(new ArrayBuffer(XDP_UMEM_REG_V2.sizeof))
    request.setBigUint64(XDP_UMEM_REG_V2.addr, address, true)
    request.setBigUint64(XDP_UMEM_REG_V2.len, BigInt(bytes), true)
    request.setUint32(XDP_UMEM_REG_V2.chunk_size, chunkBytes, true)
    return kernel.setsockopt(fd, SOL_XDP, XDP_UMEM_REG, new Uint8Array(request.buffer))
  })
  if (result >= 0) return
  const hint = result === -ENOBUFS ? memlockHint(kernel, bytes) : undefined
  const call = `setsockopt(XDP_UMEM_REG, ${bytes} bytes in chunks of ${chunkBytes})`
  throw callFailed({ subject, call, errno: result, code: 'RING_REFUSED', ...(hint === undefined ? {} : { hint }) })
}

function ringOffsets(kernel: Kernel, subject: string, fd: number, entries: number): { tx: XskRingLayout; completion: XskRingLayout } {
  const offsets = new DataView(new ArrayBuffer(XDP_MMAP_OFFSETS_LAYOUT.sizeof))
  const result = kernel.getsockopt(fd, SOL_XDP, XDP_MMAP_OFFSETS, new Uint8Array(offsets.buffer))
  // A shorter answer is that of Linux 5.3 and before, whose rings have no flags.
  if (result !== XDP_MMAP_OFFSETS_LAYOUT.sizeof) {
    const errno = result < 0 ? result : EOPNOTSUPP
    throw callFailed({ subject, call: 'getsockopt(XDP_MMAP_OFFSETS)', errno, code: 'XDP_REFUSED', hint: 'AF_XDP needs Linux 5.4' })
  }
  const layout = (at: number): XskRingLayout => {
    const word = (field: number) => Number(offsets.getBigUint64(at + field, true))
    const { producer, consumer, desc, flags } = XDP_RING_OFFSET
    return { entries, producer: word(producer), consumer: word(consumer), desc: word(desc), flags: word(flags) }
  }
  return { tx: layout(XDP_MMAP_OFFSETS_LAYOUT.tx), completion: layout(XDP_MMAP_OFFSETS_LAYOUT.cr) }
}

function bind(kernel: Kernel, subject: string, fd: number, { interfaceName, interfaceIndex, queue }: XdpTransmitSpec): void {
  const address = new DataView(new ArrayBuffer(SOCKADDR_XDP.sizeof))
  address.setUint16(SOCKADDR_XDP.sxdp_family, AF_XDP, true)
  address.setUint16(SOCKADDR_XDP.sxdp_flags, XDP_COPY | XDP_USE_NEED_WAKEUP, true)
  address.setUint32(SOCKADDR_XDP.sxdp_ifindex, interfaceIndex, true)
  address.setUint32(SOCKADDR_XDP.sxdp_queue_id, queue, true)
  const bytes = new Uint8Array(address.buffer)
  const deadline = performance.now() + BUSY_MS
  for (;;) {
    const result = kernel.bind(fd, bytes)
    if (result >= 0) return
    if (result === -EBUSY && performance.now() < deadline) {
      sleepThread(BUSY_STEP_MS)
      continue
    }
    const hint =
      result === -EBUSY
        ? `another AF_XDP socket is bound to queue ${queue}: does a capture with --backend xdp run on ${interfaceName}? --backend ring does without`
        : 'this interface sends nothing for AF_XDP; --backend ring does'
    throw callFailed({ subject, call: 'bind(AF_XDP, copy mode)', errno: result, code: 'XDP_REFUSED', capability: 'CAP_NET_RAW', hint })
  }
}
