/**
 * The kernel's side of a TPACKET_V3 ring, in plain memory: writes blocks byte for byte as net/packet/af_packet.c does
 * (prb_open_block, prb_fill_curr_block, prb_close_block, tpacket_rcv), hands them over in order, freezes when the next block
 * is not its own, and counts what it drops. For tests and benchmarks of whatever walks a ring.
 */
import { alignUp } from '#src/bytes/align.js'
import {
  SOCKADDR_LL_AFTER_HDR,
  TP_STATUS_BLK_TMO,
  TP_STATUS_KERNEL,
  TP_STATUS_LOSING,
  TP_STATUS_TS_SOFTWARE,
  TP_STATUS_USER,
  TP_STATUS_VLAN_TPID_VALID,
  TP_STATUS_VLAN_VALID,
  TPACKET_ALIGNMENT,
  TPACKET_BLOCK_DESC,
  TPACKET_V3,
  TPACKET3_HDR,
} from '#src/kernel/abi/if_packet.js'
import { AF_PACKET, ARPHRD_ETHER } from '#src/kernel/abi/socket.js'
import type { RingGeometry } from '#src/ring/geometry.js'

export interface FabricatedPacket {
  /** The frame as the socket gets it: without the tag in `vlan`. */
  bytes: Uint8Array
  /** Bytes on the wire. Default: all of `bytes`. */
  wireLength?: number
  seconds?: number
  nanoseconds?: number
  /** Status bits beside those of time stamp and VLAN. */
  status?: number
  /** The tag that the kernel took out. Without `tpid` its TPID is not valid, as before Linux 3.14. */
  vlan?: { tci: number; tpid?: number }
  packetType?: number
  /** EtherType, host byte order. Default: bytes 12 and 13. */
  protocol?: number
  interfaceIndex?: number
  rxhash?: number
}

export interface KernelRingOptions {
  /** tp_sizeof_priv. */
  privateBytes?: number
  /** PACKET_RESERVE. */
  reserveBytes?: number
  /** seq_num of the first block; the kernel begins at 1. */
  firstSequence?: bigint
}

/** ALIGN(sizeof(struct tpacket3_hdr)) + sizeof(struct sockaddr_ll): po->tp_hdrlen. */
const HEADER_BYTES = 68
const V3_ALIGNMENT = 8
const MAC_HEADER = 14

/** Where the frame begins behind its header, as tpacket_rcv() places it for SOCK_RAW on Ethernet. */
export function macOffset(reserveBytes = 0): number {
  return alignUp(HEADER_BYTES + 16, TPACKET_ALIGNMENT) + reserveBytes - MAC_HEADER
}

export class KernelRing {
  readonly geometry: RingGeometry
  readonly memory: ArrayBuffer
  /** tpacket_stats_v3 since they were last read: `packets` includes `drops`. */
  packets = 0
  drops = 0
  freezes = 0
  readonly #view: DataView
  readonly #bytes: Uint8Array
  readonly #words: Int32Array
  readonly #firstOffset: number
  readonly #mac: number
  #sequence: bigint
  /** kactive_blk_num. */
  #active = 0
  #next = 0
  #previous = 0
  #frozen = false

  constructor(geometry: RingGeometry, options: KernelRingOptions = {}) {
    this.geometry = geometry
    this.memory = new ArrayBuffer(geometry.blockBytes * geometry.blockCount)
    this.#view = new DataView(this.memory)
    this.#bytes = new Uint8Array(this.memory)
    this.#words = new Int32Array(this.memory)
    this.#firstOffset = TPACKET_BLOCK_DESC.sizeof + alignUp(options.privateBytes ?? 0, V3_ALIGNMENT)
    this.#mac = macOffset(options.reserveBytes)
    this.#sequence = options.firstSequence ?? 1n
    this.#open()
  }

  /** Index of the block that is being filled. */
  get active(): number {
    return this.#active
  }

  get frozen(): boolean {
    return this.#frozen
  }

  status(block: number): number {
    return Atomics.load(this.#words, (block * this.geometry.blockBytes + TPACKET_BLOCK_DESC.block_status) / 4)
  }

  /** Packets in the block that is being filled. */
  pending(): number {
    return this.#frozen ? 0 : this.#view.getUint32(this.#start() + TPACKET_BLOCK_DESC.num_pkts, true)
  }

  /** tpacket_rcv(): false when the packet was dropped. */
  receive(packet: FabricatedPacket): boolean {
    this.packets++
    const captured = Math.min(packet.bytes.length, this.geometry.blockBytes - this.#firstOffset - this.#mac)
    const at = this.#place(this.#mac + captured)
    if (at < 0) {
      this.drops++
      return false
    }
    this.#write(at, packet, captured)
    return true
  }

  /** The retire timer: hands over the block that is being filled. An empty one stays, as since Linux 3.19, unless told otherwise. */
  retire(evenIfEmpty = false): void {
    if (this.#frozen) {
      // prb_retire_rx_blk_timer_expired(): a frozen queue is thawed once its block is back.
      if (this.#isFree(this.#active)) this.#open()
      return
    }
    if (this.pending() === 0 && !evenIfEmpty) return
    this.#close(TP_STATUS_BLK_TMO)
    if (this.#isFree(this.#active)) this.#open()
    else this.#freeze()
  }

  /** PACKET_STATISTICS, which clears. */
  readStatistics(): { packets: number; drops: number; freezes: number } {
    const { packets, drops, freezes } = this
    this.packets = 0
    this.drops = 0
    this.freezes = 0
    return { packets, drops, freezes }
  }

  #start(): number {
    return this.#active * this.geometry.blockBytes
  }

  #isFree(block: number): boolean {
    return (this.status(block) & TP_STATUS_USER) === 0
  }

  #freeze(): void {
    this.#frozen = true
    this.freezes++
  }

  /** prb_open_block() */
  #open(): void {
    const start = this.#start()
    const view = this.#view
    this.#frozen = false
    view.setUint32(start + TPACKET_BLOCK_DESC.version, TPACKET_V3, true)
    view.setUint32(start + TPACKET_BLOCK_DESC.offset_to_priv, TPACKET_BLOCK_DESC.sizeof, true)
    view.setUint32(start + TPACKET_BLOCK_DESC.num_pkts, 0, true)
    view.setUint32(start + TPACKET_BLOCK_DESC.offset_to_first_pkt, this.#firstOffset, true)
    view.setUint32(start + TPACKET_BLOCK_DESC.blk_len, this.#firstOffset, true)
    view.setBigUint64(start + TPACKET_BLOCK_DESC.seq_num, BigInt.asUintN(64, this.#sequence++), true)
    this.#next = start + this.#firstOffset
    this.#previous = 0
  }

  /** prb_close_block(): hands over, and moves on to the next in line. */
  #close(reason: number): void {
    const start = this.#start()
    if (this.#previous !== 0) {
      this.#view.setUint32(this.#previous + TPACKET3_HDR.tp_next_offset, 0, true)
      for (const field of [TPACKET3_HDR.tp_sec, TPACKET3_HDR.tp_nsec]) {
        const value = this.#view.getUint32(this.#previous + field, true)
        this.#view.setUint32(start + TPACKET_BLOCK_DESC.ts_last_pkt + field - TPACKET3_HDR.tp_sec, value, true)
      }
    }
    const losing = this.drops > 0 ? TP_STATUS_LOSING : 0
    Atomics.store(this.#words, (start + TPACKET_BLOCK_DESC.block_status) / 4, TP_STATUS_USER | reason | losing)
    this.#active = (this.#active + 1) % this.geometry.blockCount
  }

  /** __packet_lookup_frame_in_block(): where the header goes, -1 for nowhere. */
  #place(length: number): number {
    if (this.#frozen) {
      if (!this.#isFree(this.#active)) return -1
      this.#open()
    }
    const size = alignUp(length, V3_ALIGNMENT)
    if (this.#next + size >= this.#start() + this.geometry.blockBytes) {
      // NB: also a block that is empty, for a packet that fills one to its last byte; and the next block is not asked again.
      this.#close(TP_STATUS_KERNEL)
      if (!this.#isFree(this.#active)) {
        this.#freeze()
        return -1
      }
      this.#open()
    }
    const at = this.#next
    const start = this.#start()
    this.#view.setUint32(at + TPACKET3_HDR.tp_next_offset, size, true)
    this.#view.setUint32(start + TPACKET_BLOCK_DESC.num_pkts, this.pending() + 1, true)
    this.#view.setUint32(start + TPACKET_BLOCK_DESC.blk_len, this.#view.getUint32(start + TPACKET_BLOCK_DESC.blk_len, true) + size, true)
    this.#previous = at
    this.#next = at + size
    return at
  }

  #write(at: number, packet: FabricatedPacket, captured: number): void {
    const view = this.#view
    const { bytes, vlan } = packet
    const seconds = packet.seconds ?? 1_700_000_000
    const nanoseconds = packet.nanoseconds ?? 0
    const start = this.#start()
    if (this.pending() === 1) {
      view.setUint32(start + TPACKET_BLOCK_DESC.ts_first_pkt, seconds, true)
      view.setUint32(start + TPACKET_BLOCK_DESC.ts_first_pkt + 4, nanoseconds, true)
    }
    let status = (packet.status ?? 0) | TP_STATUS_USER | TP_STATUS_TS_SOFTWARE
    if (vlan !== undefined) status |= TP_STATUS_VLAN_VALID | (vlan.tpid === undefined ? 0 : TP_STATUS_VLAN_TPID_VALID)
    view.setUint32(at + TPACKET3_HDR.tp_sec, seconds, true)
    view.setUint32(at + TPACKET3_HDR.tp_nsec, nanoseconds, true)
    view.setUint32(at + TPACKET3_HDR.tp_snaplen, captured, true)
    view.setUint32(at + TPACKET3_HDR.tp_len, packet.wireLength ?? bytes.length, true)
    view.setUint32(at + TPACKET3_HDR.tp_status, status >>> 0, true)
    view.setUint16(at + TPACKET3_HDR.tp_mac, this.#mac, true)
    view.setUint16(at + TPACKET3_HDR.tp_net, this.#mac + MAC_HEADER, true)
    view.setUint32(at + TPACKET3_HDR.hv1_tp_rxhash, packet.rxhash ?? 0, true)
    view.setUint32(at + TPACKET3_HDR.hv1_tp_vlan_tci, vlan?.tci ?? 0, true)
    view.setUint16(at + TPACKET3_HDR.hv1_tp_vlan_tpid, vlan?.tpid ?? 0, true)
    const protocol = packet.protocol ?? ((bytes[12] ?? 0) << 8) | (bytes[13] ?? 0)
    view.setUint16(at + SOCKADDR_LL_AFTER_HDR.sll_family, AF_PACKET, true)
    view.setUint16(at + SOCKADDR_LL_AFTER_HDR.sll_protocol, protocol, false)
    view.setInt32(at + SOCKADDR_LL_AFTER_HDR.sll_ifindex, packet.interfaceIndex ?? 2, true)
    view.setUint16(at + SOCKADDR_LL_AFTER_HDR.sll_hatype, ARPHRD_ETHER, true)
    this.#bytes[at + SOCKADDR_LL_AFTER_HDR.sll_pkttype] = packet.packetType ?? 0
    this.#bytes[at + SOCKADDR_LL_AFTER_HDR.sll_halen] = 6
    this.#bytes.set(bytes.subarray(6, 12), at + SOCKADDR_LL_AFTER_HDR.sll_addr)
    // tpacket_rcv() copies only now, after the block's count.
    this.#bytes.set(bytes.subarray(0, captured), at + this.#mac)
  }
}
