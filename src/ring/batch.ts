/**
 * A batch of recvmmsg(2) as a block of packets: the memory that the kernel receives into, with a TPACKET_V3 header written
 * before each frame. Takes memory and its address, knows no file descriptor.
 *
 * Slot i holds struct tpacket3_hdr, struct sockaddr_ll (msg_name points there: the kernel writes it in place) and the frame.
 * Behind the slots come the control messages, iovecs and mmsghdrs. Cost: about 12 ns a packet beside the copy in the kernel.
 */
import { alignUp } from '../bytes/align.js'
import { PACKET_AUXDATA, SOCKADDR_LL, TP_STATUS_TS_SOFTWARE, TPACKET_AUXDATA, TPACKET_BLOCK_DESC, TPACKET3_HDR } from '../kernel/abi/if_packet.js'
import { CMSGHDR, IOVEC, MMSGHDR, MSGHDR, SCM_TIMESTAMPNS, SOL_PACKET, SOL_SOCKET } from '../kernel/abi/socket.js'
import { Block } from '../packet/block.js'

/** Where the frame begins in its slot: as in a ring, so that the network header stands on a multiple of 16. */
const FRAME = 82
/** Room for PACKET_AUXDATA (40) and SCM_TIMESTAMPNS (32). */
const CONTROL_BYTES = 128
const AUXDATA_MESSAGE_BYTES = CMSGHDR.sizeof + TPACKET_AUXDATA.sizeof
/** struct timespec: two 64-bit words. */
const TIMESTAMP_MESSAGE_BYTES = CMSGHDR.sizeof + 16
/** Slots of a power of two would share cache sets: five lines of skew. */
const SKEW_BYTES = 320

export interface BatchGeometry {
  /** Messages a call. */
  batch: number
  /** Bytes of frame that a slot can take. */
  snapLengthBytes: number
  /**
   * Ask the kernel for address, time stamp and auxiliary data of each packet: three copies to user space, a third of the cost of
   * receiving it. Without, the messages must be received with MSG_TRUNC, and packets have lengths and bytes only.
   */
  metadata: boolean
}

function slotBytes(geometry: BatchGeometry): number {
  return alignUp(FRAME + geometry.snapLengthBytes, 64) + SKEW_BYTES
}

/** Bytes of memory that a batch needs. Only the pages that frames reach are ever touched. */
export function batchMemoryBytes(geometry: BatchGeometry): number {
  return TPACKET_BLOCK_DESC.sizeof + geometry.batch * (slotBytes(geometry) + CONTROL_BYTES + IOVEC.sizeof + MMSGHDR.sizeof) + 64
}

export class ReceiveBatch {
  readonly block: Block
  /** Offset of the array of struct mmsghdr from the start of the memory. */
  readonly vectorOffset: number
  readonly #slot: number
  readonly #control: number
  readonly #batch: number
  readonly #snapLength: number
  readonly #metadata: boolean

  constructor(memory: ArrayBuffer, address: bigint, geometry: BatchGeometry) {
    const { batch, snapLengthBytes, metadata } = geometry
    const slot = slotBytes(geometry)
    const slots = TPACKET_BLOCK_DESC.sizeof
    const control = alignUp(slots + batch * slot, 64)
    const iovecs = control + batch * CONTROL_BYTES
    const vector = iovecs + batch * IOVEC.sizeof
    this.#slot = slot
    this.#control = control
    this.#batch = batch
    this.#snapLength = snapLengthBytes
    this.#metadata = metadata
    this.vectorOffset = vector
    this.block = new Block(memory, 0, Math.floor(memory.byteLength / 8) * 8)
    this.block.firstOffset = slots

    const words = new BigUint64Array(memory, 0, Math.floor(memory.byteLength / 8))
    for (let i = 0; i < batch; i++) {
      const at = slots + i * slot
      words[(iovecs + i * IOVEC.sizeof + IOVEC.iov_base) / 8] = address + BigInt(at + FRAME)
      words[(iovecs + i * IOVEC.sizeof + IOVEC.iov_len) / 8] = BigInt(snapLengthBytes)
      const header = vector + i * MMSGHDR.sizeof + MMSGHDR.msg_hdr
      words[(header + MSGHDR.msg_iov) / 8] = address + BigInt(iovecs + i * IOVEC.sizeof)
      words[(header + MSGHDR.msg_iovlen) / 8] = 1n
      if (metadata) {
        words[(header + MSGHDR.msg_name) / 8] = address + BigInt(at + TPACKET3_HDR.sizeof)
        this.block.words32[(header + MSGHDR.msg_namelen) / 4] = SOCKADDR_LL.sizeof
        words[(header + MSGHDR.msg_control) / 8] = address + BigInt(control + i * CONTROL_BYTES)
        words[(header + MSGHDR.msg_controllen) / 8] = BigInt(CONTROL_BYTES)
      }
      this.block.words16[(at + TPACKET3_HDR.tp_mac) / 2] = FRAME
      this.block.words16[(at + TPACKET3_HDR.tp_net) / 2] = FRAME + 14
    }
  }

  /** Turns the first `count` messages, as recvmmsg(2) left them, into packets of `block`, and readies them for the next call. */
  accept(count: number): void {
    if (this.#metadata) this.#acceptWithMetadata(count)
    else this.#acceptBare(count)
  }

  #acceptBare(count: number): void {
    const block = this.block
    const words = block.words32
    const slot = this.#slot
    const first = block.firstOffset
    const snapLength = this.#snapLength
    let header = this.vectorOffset >>> 2
    block.packetCount = count
    for (let i = 0; i < count; i++) {
      const at = (first + i * slot) >>> 2
      const length = words[header + MMSGHDR.msg_len / 4] as number
      words[at] = i + 1 === count ? 0 : slot
      words[at + TPACKET3_HDR.tp_snaplen / 4] = Math.min(length, snapLength)
      words[at + TPACKET3_HDR.tp_len / 4] = length
      header += MMSGHDR.sizeof >>> 2
    }
  }

  #acceptWithMetadata(count: number): void {
    const block = this.block
    const words = block.words32
    const words16 = block.words16
    const slot = this.#slot
    const first = block.firstOffset
    const control = this.#control
    const vector = this.vectorOffset
    block.packetCount = count
    for (let i = 0; i < count; i++) {
      const header = (vector + i * MMSGHDR.sizeof) >>> 2
      const at = (first + i * slot) >>> 2
      const captured = words[header + MMSGHDR.msg_len / 4] as number
      words[at] = i + 1 === count ? 0 : slot
      words[at + TPACKET3_HDR.tp_snaplen / 4] = captured
      words[at + TPACKET3_HDR.tp_len / 4] = captured
      let status = 0
      const start = control + i * CONTROL_BYTES
      const end = start + (words[header + MSGHDR.msg_controllen / 4] as number)
      let message = start
      while (message + CMSGHDR.sizeof <= end) {
        const word = message >>> 2
        const length = words[word] as number
        // Whatever stands there, the walk goes forward and ends; NB: the rounding below is 32-bit, undefined is no number.
        if (!(length >= CMSGHDR.sizeof && length <= end - message)) break
        const level = words[word + CMSGHDR.cmsg_level / 4] as number
        const type = words[word + CMSGHDR.cmsg_type / 4] as number
        const data = word + CMSGHDR.sizeof / 4
        if (level === SOL_PACKET && type === PACKET_AUXDATA && length >= AUXDATA_MESSAGE_BYTES) {
          status |= words[data + TPACKET_AUXDATA.tp_status / 4] as number
          words[at + TPACKET3_HDR.tp_len / 4] = words[data + TPACKET_AUXDATA.tp_len / 4] as number
          words[at + TPACKET3_HDR.hv1_tp_vlan_tci / 4] = words16[data * 2 + TPACKET_AUXDATA.tp_vlan_tci / 2] as number
          words16[at * 2 + TPACKET3_HDR.hv1_tp_vlan_tpid / 2] = words16[data * 2 + TPACKET_AUXDATA.tp_vlan_tpid / 2] as number
        } else if (level === SOL_SOCKET && type === SCM_TIMESTAMPNS && length >= TIMESTAMP_MESSAGE_BYTES) {
          status |= TP_STATUS_TS_SOFTWARE
          words[at + TPACKET3_HDR.tp_sec / 4] = words[data] as number
          words[at + TPACKET3_HDR.tp_nsec / 4] = words[data + 2] as number
        }
        message += (length + 7) & ~7
      }
      words[at + TPACKET3_HDR.tp_status / 4] = status
      words[header + MSGHDR.msg_controllen / 4] = CONTROL_BYTES
    }
  }

  get batch(): number {
    return this.#batch
  }
}
