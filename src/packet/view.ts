/**
 * The one packet view of a worker: it points at a `struct tpacket3_hdr` in a block and reads on demand.
 *
 * Getters over typed arrays of the block, settled by bench/view (nanoseconds a packet, Node.js 20, count-only handler and one that
 * reads addresses and time): getters 4.8 and 9.4, fields filled a packet 6.2 and 11.3, getters on one DataView 5.0 and 9.6. A direct
 * call of the handler's function beats Function.call (8.0 and 12.9). Constants of an imported table cost what local ones do. Arrays
 * of one block, not of the ring: indices stay small integers in rings of any size.
 */
import type { PacketView } from '../handler.js'
import {
  PACKET_OUTGOING,
  SOCKADDR_LL_AFTER_HDR,
  TP_STATUS_TS_RAW_HARDWARE,
  TP_STATUS_VLAN_TPID_VALID,
  TP_STATUS_VLAN_VALID,
  TPACKET3_HDR,
} from '../kernel/abi/if_packet.js'
import type { Block } from './block.js'

const SEC = TPACKET3_HDR.tp_sec / 4
const NSEC = TPACKET3_HDR.tp_nsec / 4
const SNAPLEN = TPACKET3_HDR.tp_snaplen / 4
const LEN = TPACKET3_HDR.tp_len / 4
const STATUS = TPACKET3_HDR.tp_status / 4
const MAC = TPACKET3_HDR.tp_mac / 2
const RXHASH = TPACKET3_HDR.hv1_tp_rxhash / 4
const VLAN_TCI = TPACKET3_HDR.hv1_tp_vlan_tci / 4
const VLAN_TPID = TPACKET3_HDR.hv1_tp_vlan_tpid / 2
const SLL_PROTOCOL = SOCKADDR_LL_AFTER_HDR.sll_protocol
const SLL_IFINDEX = SOCKADDR_LL_AFTER_HDR.sll_ifindex / 4
const SLL_PKTTYPE = SOCKADDR_LL_AFTER_HDR.sll_pkttype

const VLAN_VALID = TP_STATUS_VLAN_VALID
const VLAN_TPID_VALID = TP_STATUS_VLAN_TPID_VALID
const ETH_P_8021Q = 0x8100
const ETHER_ADDRESSES = 12
const VLAN_HLEN = 4

export class BlockPacketView implements PacketView {
  bytes: Uint8Array = new Uint8Array(0)
  words16: Uint16Array = new Uint16Array(0)
  words32: Uint32Array = new Uint32Array(0)
  #clock: 'kernel' | 'batch' = 'kernel'
  /** Byte offset of the packet's header in the block; the walk moves it. */
  header = 0

  /** Moves the view into a block, once a block. */
  enter(block: Block): void {
    this.bytes = block.bytes
    this.words16 = block.words16
    this.words32 = block.words32
    this.#clock = block.clock
  }

  get offset(): number {
    return this.header + (this.words16[(this.header >>> 1) + MAC] as number)
  }
  get capturedLength(): number {
    return this.words32[(this.header >>> 2) + SNAPLEN] as number
  }
  get wireLength(): number {
    return this.words32[(this.header >>> 2) + LEN] as number
  }
  get seconds(): number {
    return this.words32[(this.header >>> 2) + SEC] as number
  }
  get nanoseconds(): number {
    return this.words32[(this.header >>> 2) + NSEC] as number
  }
  get timestampSource(): 'hardware' | 'kernel' | 'batch' {
    return (this.status & TP_STATUS_TS_RAW_HARDWARE) !== 0 ? 'hardware' : this.#clock
  }
  get status(): number {
    return this.words32[(this.header >>> 2) + STATUS] as number
  }
  get hasVlan(): boolean {
    // NB: the flag, not tci != 0: tag 0 is a priority tag.
    return (this.status & VLAN_VALID) !== 0
  }
  get vlanId(): number {
    return (this.status & VLAN_VALID) !== 0 ? (this.words32[(this.header >>> 2) + VLAN_TCI] as number) & 0xfff : -1
  }
  get vlanTci(): number {
    return (this.status & VLAN_VALID) !== 0 ? (this.words32[(this.header >>> 2) + VLAN_TCI] as number) & 0xffff : 0
  }
  get vlanTpid(): number {
    const status = this.status
    if ((status & VLAN_VALID) === 0) return 0
    return (status & VLAN_TPID_VALID) !== 0 ? (this.words16[(this.header >>> 1) + VLAN_TPID] as number) : ETH_P_8021Q
  }
  get packetType(): number {
    return this.bytes[this.header + SLL_PKTTYPE] as number
  }
  get outgoing(): boolean {
    return this.bytes[this.header + SLL_PKTTYPE] === PACKET_OUTGOING
  }
  get protocol(): number {
    const at = this.header + SLL_PROTOCOL
    return ((this.bytes[at] as number) << 8) | (this.bytes[at + 1] as number)
  }
  get interfaceIndex(): number {
    return this.words32[(this.header >>> 2) + SLL_IFINDEX] as number
  }
  get rxhash(): number {
    return this.words32[(this.header >>> 2) + RXHASH] as number
  }

  copy(): Uint8Array<ArrayBuffer> {
    const length = this.capturedLength + (this.hasVlan && this.capturedLength >= ETHER_ADDRESSES ? VLAN_HLEN : 0)
    const frame = new Uint8Array(length)
    this.copyInto(frame, 0)
    return frame
  }

  /**
   * Writes the frame, its VLAN tag put back, at `at` and answers the bytes written: at most `capturedLength` + 4. Does not
   * allocate. A frame cut before byte 12 has no place for a tag and stays without.
   */
  copyInto(target: Uint8Array, at: number): number {
    const bytes = this.bytes
    const from = this.offset
    const end = from + this.capturedLength
    let to = at
    let next = from
    if (this.hasVlan && end - from >= ETHER_ADDRESSES) {
      while (next < from + ETHER_ADDRESSES) target[to++] = bytes[next++] as number
      const tpid = this.vlanTpid
      const tci = this.vlanTci
      target[to++] = tpid >>> 8
      target[to++] = tpid & 0xff
      target[to++] = tci >>> 8
      target[to++] = tci & 0xff
    }
    // A loop beats TypedArray.set on frames of this size: set needs a view of the source, which is an allocation.
    while (next < end) target[to++] = bytes[next++] as number
    return to - at
  }
}
