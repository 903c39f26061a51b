/**
 * Packets of a capture file as blocks: each with a TPACKET_V3 header before its frame, as the ring and `recv` have them, so that handlers see no
 * difference. Pure, hot: bench/read, 60 ns a packet of minimum size with its decoding, no allocation.
 *
 * As the kernel does, it takes the outer VLAN tag out of the frame and puts it beside it. The file's window is copied into the memory of
 * the block, behind it, because copyWithin() moves bytes without an object for their source.
 */
import { alignUp } from '../bytes/align.js'
import type { PacketCursor } from '../file/decode/cursor.js'
import {
  PACKET_BROADCAST,
  PACKET_HOST,
  PACKET_MULTICAST,
  PACKET_OTHERHOST,
  PACKET_OUTGOING,
  SOCKADDR_LL_AFTER_HDR,
  TP_STATUS_TS_SOFTWARE,
  TP_STATUS_USER,
  TP_STATUS_VLAN_TPID_VALID,
  TP_STATUS_VLAN_VALID,
  TPACKET_BLOCK_DESC,
  TPACKET3_HDR,
} from '../kernel/abi/if_packet.js'
import { Block } from '../packet/block.js'

/** Where the frame begins after its header: as in a ring, so that the network header stands on a multiple of 16. */
const FRAME = 82
const ALIGNMENT = 16
const BLOCK_BYTES = 2 ** 20
const FIRST = TPACKET_BLOCK_DESC.sizeof

const ETHER_ADDRESSES = 12
const ETHER_HEADER = 14
const VLAN_HLEN = 4
const ETH_P_8021Q = 0x8100
const ETH_P_8021AD = 0x88a8
/** Below this the field is a length: IEEE 802.3. */
const ETH_P_802_3_MIN = 0x0600
const ETH_P_802_3 = 0x0001
const ETH_P_802_2 = 0x0004

/** epb_flags. */
const DIRECTION = 0x3
const OUTBOUND = 0x2
const RECEPTION = 0x1c
/** Packet types by the reception of epb_flags; 0 is not known. */
const RECEPTION_TYPES = [PACKET_HOST, PACKET_HOST, PACKET_MULTICAST, PACKET_BROADCAST, PACKET_OTHERHOST]

/** tp_sec. */
const MAX_SECONDS = 0xffff_ffff

const SNAPLEN = TPACKET3_HDR.tp_snaplen / 4
const LEN = TPACKET3_HDR.tp_len / 4
const STATUS = TPACKET3_HDR.tp_status / 4
const PLAIN = TP_STATUS_USER | TP_STATUS_TS_SOFTWARE
const TAGGED = PLAIN | TP_STATUS_VLAN_VALID | TP_STATUS_VLAN_TPID_VALID

/** Ethernet, as capture files number link types. */
const LINKTYPE_ETHERNET = 1

/** Fills one block again and again from a cursor. */
export class FileBlocks {
  block: Block
  /** An interface whose packets are not Ethernet; its first one has ended the walk. -1: none so far. */
  refused = -1
  /** Packets without a time that 32 bits of seconds since 1970 can say, or without any: theirs is 0. */
  untimed = 0
  /** The block, and behind it a copy of the batch. */
  #memory: Uint8Array<ArrayBuffer>
  #blockBytes = BLOCK_BYTES
  /** The cursor is on a packet that the last block had no room for. */
  #isPending = false

  constructor() {
    this.#memory = new Uint8Array(BLOCK_BYTES)
    this.block = new Block(this.#memory.buffer, 0, BLOCK_BYTES)
  }

  /** To be called once a batch, before its blocks are filled. The block of the batch before is gone then. */
  begin(batch: PacketCursor): void {
    const { bytes } = batch
    if (this.#blockBytes + bytes.length > this.#memory.length) this.#allocate(this.#blockBytes, bytes.length)
    this.#memory.set(bytes, this.#blockBytes)
  }

  /** The next block of the batch; undefined when there is no more. */
  fill(batch: PacketCursor): Block | undefined {
    let at = FIRST
    let last = -1
    let count = 0
    while (this.#isPending || batch.next()) {
      this.#isPending = false
      if (batch.linkType !== LINKTYPE_ETHERNET) {
        this.refused = batch.interfaceId
        break
      }
      const need = alignUp(FRAME + batch.capturedLength, ALIGNMENT)
      if (at + need > this.#blockBytes) {
        if (count > 0) {
          this.#isPending = true
          break
        }
        this.#allocate(alignUp(FIRST + need, BLOCK_BYTES), batch.bytes.length)
        this.#memory.set(batch.bytes, this.#blockBytes)
      }
      if (last >= 0) this.block.words32[last >>> 2] = at - last
      this.#write(batch, at)
      last = at
      at += need
      count++
    }
    if (count === 0) return undefined
    this.block.packetCount = count
    this.block.firstOffset = FIRST
    return this.block
  }

  #allocate(blockBytes: number, batchBytes: number): void {
    this.#blockBytes = blockBytes
    this.#memory = new Uint8Array(blockBytes + batchBytes)
    this.block = new Block(this.#memory.buffer, 0, blockBytes)
  }

  /** The packet with its header at `at`. */
  #write(batch: PacketCursor, at: number): void {
    const memory = this.#memory
    const { words16, words32 } = this.block
    const from = this.#blockBytes + batch.offset
    const to = at + FRAME
    const flags = batch.flags
    let captured = batch.capturedLength
    let wireLength = batch.wireLength
    let status = PLAIN
    let tci = 0
    let tpid = 0
    let protocol = captured < ETHER_HEADER ? 0 : ((memory[from + 12] as number) << 8) | (memory[from + 13] as number)
    if ((protocol === ETH_P_8021Q || protocol === ETH_P_8021AD) && captured >= ETHER_HEADER + VLAN_HLEN) {
      tpid = protocol
      tci = ((memory[from + 14] as number) << 8) | (memory[from + 15] as number)
      status = TAGGED
      memory.copyWithin(to, from, from + ETHER_ADDRESSES)
      memory.copyWithin(to + ETHER_ADDRESSES, from + ETHER_ADDRESSES + VLAN_HLEN, from + captured)
      captured -= VLAN_HLEN
      wireLength = Math.max(captured, wireLength - VLAN_HLEN)
      protocol = ((memory[to + 12] as number) << 8) | (memory[to + 13] as number)
    } else memory.copyWithin(to, from, from + captured)
    // eth_type_trans(): what is no EtherType is IEEE 802.3, and bare Novell where its payload begins with ones.
    if (protocol < ETH_P_802_3_MIN && captured >= ETHER_HEADER + 2) {
      protocol = memory[to + 14] === 0xff && memory[to + 15] === 0xff ? ETH_P_802_3 : ETH_P_802_2
    }
    const word = at >>> 2
    words32[word] = 0
    const seconds = batch.seconds
    const isTimed = batch.hasTimestamp && seconds >= 0 && seconds <= MAX_SECONDS
    if (!isTimed) this.untimed++
    words32[word + TPACKET3_HDR.tp_sec / 4] = isTimed ? seconds : 0
    words32[word + TPACKET3_HDR.tp_nsec / 4] = isTimed ? batch.nanoseconds : 0
    words32[word + SNAPLEN] = captured
    words32[word + LEN] = wireLength
    words32[word + STATUS] = status
    words16[(at + TPACKET3_HDR.tp_mac) >>> 1] = FRAME
    words16[(at + TPACKET3_HDR.tp_net) >>> 1] = FRAME + ETHER_HEADER
    words32[word + TPACKET3_HDR.hv1_tp_rxhash / 4] = 0
    words32[word + TPACKET3_HDR.hv1_tp_vlan_tci / 4] = tci
    words16[(at + TPACKET3_HDR.hv1_tp_vlan_tpid) >>> 1] = tpid
    memory[at + SOCKADDR_LL_AFTER_HDR.sll_protocol] = protocol >>> 8
    memory[at + SOCKADDR_LL_AFTER_HDR.sll_protocol + 1] = protocol & 0xff
    words32[(at + SOCKADDR_LL_AFTER_HDR.sll_ifindex) >>> 2] = batch.interfaceId
    memory[at + SOCKADDR_LL_AFTER_HDR.sll_pkttype] = (flags & (DIRECTION | RECEPTION)) === 0 ? byAddress(memory, to, captured) : byFlags(flags)
  }
}

function byFlags(flags: number): number {
  if ((flags & DIRECTION) === OUTBOUND) return PACKET_OUTGOING
  return RECEPTION_TYPES[(flags & RECEPTION) >>> 2] ?? PACKET_HOST
}

/** All that the frame itself tells. Whose host it was captured on, it does not. */
function byAddress(memory: Uint8Array, at: number, captured: number): number {
  if (captured < 6 || ((memory[at] as number) & 1) === 0) return PACKET_HOST
  const ones = (memory[at] as number) & (memory[at + 1] as number) & (memory[at + 2] as number) & (memory[at + 3] as number)
  return (ones & (memory[at + 4] as number) & (memory[at + 5] as number)) === 0xff ? PACKET_BROADCAST : PACKET_MULTICAST
}
