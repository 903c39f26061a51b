/**
 * Opens a packet socket that only sends. Its protocol is 0, so that it receives nothing (KERNEL.md, 44). The order: options, version,
 * ring, bind; a ring is mapped by its sender.
 */
import { PACKET_QDISC_BYPASS, PACKET_TX_RING, PACKET_VERSION, SOCKADDR_LL, TPACKET_REQ, TPACKET_REQ3, TPACKET_V2, TPACKET_V3 } from '../kernel/abi/if_packet.js'
import { AF_PACKET, SOL_PACKET } from '../kernel/abi/socket.js'
import type { Descriptor } from '../kernel/descriptor.js'
import { callFailed, EINVAL, ENODEV, ENOMEM } from '../kernel/errno.js'
import { setInt } from '../kernel/options.js'
import type { Kernel } from '../kernel/system.js'
import type { TransmitRingGeometry } from '../ring/transmit-ring.js'
import { growSendBuffer } from './send-buffer.js'

export interface PacketTransmitSpec {
  interfaceName: string
  interfaceIndex: number
  /** Straight to the driver, past the queueing discipline. */
  qdiscBypass: boolean
  sendBufferBytes: number
}

/** Steps that both kinds of packet sender need before the ring. */
export function prepareSocket(kernel: Kernel, fd: number, spec: PacketTransmitSpec): void {
  if (spec.qdiscBypass) {
    const result = setInt(kernel, fd, SOL_PACKET, PACKET_QDISC_BYPASS, 1)
    if (result < 0) throw callFailed({ subject: spec.interfaceName, call: 'setsockopt(PACKET_QDISC_BYPASS)', errno: result, hint: 'needs Linux 3.14' })
  }
  growSendBuffer(kernel, fd, spec.sendBufferBytes)
}

/** The last step. */
export function bindForSending(kernel: Kernel, fd: number, { interfaceName, interfaceIndex }: PacketTransmitSpec): void {
  const address = new DataView(new ArrayBuffer(SOCKADDR_LL.sizeof))
  address.setUint16(SOCKADDR_LL.sll_family, AF_PACKET, true)
  address.setInt32(SOCKADDR_LL.sll_ifindex, interfaceIndex, true)
  const result = kernel.bind(fd, new Uint8Array(address.buffer))
  if (result >= 0) return
  const code = result === -ENODEV ? { code: 'INTERFACE_REMOVED' as const } : {}
  throw callFailed({ subject: interfaceName, call: `bind(protocol 0, ifindex ${interfaceIndex})`, errno: result, capability: 'CAP_NET_RAW', ...code })
}

/**
 * Makes the ring: TPACKET_V3, which sends since Linux 4.11, else V2; smaller, when the kernel has no memory for all of it.
 * @throws CaptureError RING_REFUSED
 */
export function makeTransmitRing(kernel: Kernel, socket: Descriptor, interfaceName: string, frameBytes: number, frameCount: number): TransmitRingGeometry {
  let refused = 0
  for (const version of [3, 2] as const) {
    const chosen = setInt(kernel, socket.fd, SOL_PACKET, PACKET_VERSION, version === 3 ? TPACKET_V3 : TPACKET_V2)
    if (chosen < 0) throw callFailed({ subject: interfaceName, call: `setsockopt(PACKET_VERSION, TPACKET_V${version})`, errno: chosen })
    for (let count = frameCount; count >= 2; count /= 2) {
      refused = requestRing(kernel, socket.fd, version, frameBytes, count)
      if (refused >= 0) return { version, frameBytes, frameCount: count }
      if (refused !== -ENOMEM) break
    }
    if (refused !== -EINVAL) break
  }
  throw callFailed({
    subject: interfaceName,
    call: `setsockopt(PACKET_TX_RING, tp_frame_size=${frameBytes} tp_frame_nr=${frameCount})`,
    errno: refused,
    code: 'RING_REFUSED',
    capability: 'CAP_NET_RAW',
    hint: '--backend recv sends without a ring',
  })
}

function requestRing(kernel: Kernel, fd: number, version: 2 | 3, frameBytes: number, frameCount: number): number {
  // Blocks of several frames are fewer; none is larger than what the kernel has in one piece most of the time.
  const blockBytes = Math.min(frameBytes * frameCount, Math.max(frameBytes, kernel.pageSize, 2 ** 18))
  const request = new DataView(new ArrayBuffer(version === 3 ? TPACKET_REQ3.sizeof : TPACKET_REQ.sizeof))
  request.setUint32(TPACKET_REQ.tp_block_size, blockBytes, true)
  request.setUint32(TPACKET_REQ.tp_block_nr, (frameBytes * frameCount) / blockBytes, true)
  request.setUint32(TPACKET_REQ.tp_frame_size, frameBytes, true)
  request.setUint32(TPACKET_REQ.tp_frame_nr, frameCount, true)
  return kernel.setsockopt(fd, SOL_PACKET, PACKET_TX_RING, new Uint8Array(request.buffer))
}
