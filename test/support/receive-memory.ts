/**
 * The kernel's side of recvmmsg(2) in plain memory: follows the pointers of an array of struct mmsghdr and writes names,
 * frames and control messages where they point, as ___sys_recvmsg() and packet_recvmsg() do.
 */
import { PACKET_AUXDATA, SOCKADDR_LL, TPACKET_AUXDATA } from '#src/kernel/abi/if_packet.js'
import { AF_PACKET, CMSGHDR, IOVEC, MMSGHDR, MSGHDR, SCM_TIMESTAMPNS, SOL_PACKET, SOL_SOCKET } from '#src/kernel/abi/socket.js'

export interface ControlMessage {
  level: number
  type: number
  data: Uint8Array
  /** What cmsg_len says, if not the truth. */
  claimedLength?: number
}

export interface ReceivedMessage {
  bytes: Uint8Array
  control: readonly ControlMessage[]
  packetType?: number
  protocol?: number
  interfaceIndex?: number
  /** What msg_controllen says afterwards, if not the truth. */
  claimedControlLength?: number
}

export interface Auxdata {
  status?: number
  wireLength: number
  captured: number
  vlanTci?: number
  vlanTpid?: number
}

export function auxdata(aux: Auxdata): ControlMessage {
  const view = new DataView(new ArrayBuffer(TPACKET_AUXDATA.sizeof))
  view.setUint32(TPACKET_AUXDATA.tp_status, (aux.status ?? 1) >>> 0, true)
  view.setUint32(TPACKET_AUXDATA.tp_len, aux.wireLength, true)
  view.setUint32(TPACKET_AUXDATA.tp_snaplen, aux.captured, true)
  view.setUint16(TPACKET_AUXDATA.tp_net, 14, true)
  view.setUint16(TPACKET_AUXDATA.tp_vlan_tci, aux.vlanTci ?? 0, true)
  view.setUint16(TPACKET_AUXDATA.tp_vlan_tpid, aux.vlanTpid ?? 0, true)
  return { level: SOL_PACKET, type: PACKET_AUXDATA, data: new Uint8Array(view.buffer) }
}

export function timestamp(seconds: number, nanoseconds: number): ControlMessage {
  return { level: SOL_SOCKET, type: SCM_TIMESTAMPNS, data: new Uint8Array(new BigUint64Array([BigInt(seconds), BigInt(nanoseconds)]).buffer) }
}

export class ReceiveMemory {
  readonly #memory: ArrayBuffer
  readonly #address: bigint
  readonly #vector: number
  readonly #view: DataView

  /** `address` is where the memory claims to be; `vectorOffset` where in it the array of struct mmsghdr is. */
  constructor(memory: ArrayBuffer, address: bigint, vectorOffset: number) {
    this.#memory = memory
    this.#address = address
    this.#vector = vectorOffset
    this.#view = new DataView(memory)
  }

  /** The bytes that a pointer in the memory points at; throws when they are not all inside. */
  #at(pointer: bigint, length: number): Uint8Array {
    return new Uint8Array(this.#memory, Number(pointer - this.#address), length)
  }

  #pointer(at: number): bigint {
    return this.#view.getBigUint64(at, true)
  }

  /** What the next call would offer for control messages; the kernel shrinks it and the caller must restore it. */
  offeredControl(index: number): number {
    return Number(this.#view.getBigUint64(this.#vector + index * MMSGHDR.sizeof + MSGHDR.msg_controllen, true))
  }

  /** Answers as recvmmsg(2): how many messages were written. */
  receive(messages: readonly ReceivedMessage[]): number {
    for (const [index, message] of messages.entries()) this.#receive(this.#vector + index * MMSGHDR.sizeof, message)
    return messages.length
  }

  #receive(header: number, message: ReceivedMessage): void {
    const view = this.#view
    const named = this.#pointer(header + MSGHDR.msg_name)
    if (named !== 0n) this.#writeName(header, named, message)

    if (this.#pointer(header + MSGHDR.msg_iovlen) !== 1n) throw new Error('one iovec a message')
    const iovec = Number(this.#pointer(header + MSGHDR.msg_iov) - this.#address)
    const room = Number(this.#pointer(iovec + IOVEC.iov_len))
    const captured = Math.min(room, message.bytes.length)
    this.#at(this.#pointer(iovec + IOVEC.iov_base), room).set(message.bytes.subarray(0, captured))
    // Without room for auxiliary data the caller must receive with MSG_TRUNC: the length is the packet's.
    view.setUint32(header + MMSGHDR.msg_len, this.#pointer(header + MSGHDR.msg_control) === 0n ? message.bytes.length : captured, true)
    if (this.#pointer(header + MSGHDR.msg_control) === 0n) return

    const offered = Number(this.#pointer(header + MSGHDR.msg_controllen))
    const control = this.#at(this.#pointer(header + MSGHDR.msg_control), offered)
    const words = new DataView(control.buffer, control.byteOffset, control.byteLength)
    let used = 0
    for (const { level, type, data, claimedLength } of message.control) {
      const left = offered - used
      if (left < CMSGHDR.sizeof) break
      // put_cmsg(): what does not fit is cut, and the length says so.
      const length = Math.min(CMSGHDR.sizeof + data.length, left)
      words.setBigUint64(used + CMSGHDR.cmsg_len, BigInt(claimedLength ?? length), true)
      words.setUint32(used + CMSGHDR.cmsg_level, level, true)
      words.setUint32(used + CMSGHDR.cmsg_type, type, true)
      control.set(data.subarray(0, length - CMSGHDR.sizeof), used + CMSGHDR.sizeof)
      used = Math.min(offered, used + ((length + 7) & ~7))
    }
    view.setBigUint64(header + MSGHDR.msg_controllen, BigInt(message.claimedControlLength ?? used), true)
  }
  #writeName(header: number, pointer: bigint, message: ReceivedMessage): void {
    if (this.#view.getUint32(header + MSGHDR.msg_namelen, true) < SOCKADDR_LL.sizeof) throw new Error('msg_namelen has no room for struct sockaddr_ll')
    const name = this.#at(pointer, SOCKADDR_LL.sizeof)
    const address = new DataView(name.buffer, name.byteOffset, name.byteLength)
    address.setUint16(SOCKADDR_LL.sll_family, AF_PACKET, true)
    address.setUint16(SOCKADDR_LL.sll_protocol, message.protocol ?? 0x0800, false)
    address.setInt32(SOCKADDR_LL.sll_ifindex, message.interfaceIndex ?? 2, true)
    address.setUint8(SOCKADDR_LL.sll_pkttype, message.packetType ?? 0)
  }
}
