/**
 * Packets of an AF_XDP socket as blocks: takes descriptors from the RX ring, writes a TPACKET_V3 header into the free bytes before
 * each packet (the kernel leaves 256 there), and gives the chunks back through the FILL ring. So packets of AF_XDP look to a
 * handler as packets of a ring do, VLAN tags taken out like there. Takes memory, knows no file descriptor.
 *
 * Chunks come in the order in which they went, and FILL has an entry for each, so what we would write there is mostly there since the
 * last lap. It is compared, not written: a cache line that nobody writes stays with both sides.
 *
 * With `lengthsOnly` nobody looks at the packets: chunks are not touched, and the block knows its sums and nothing more.
 * A VLAN tag is then among the bytes that are counted, 4 a packet, where a packet socket would have taken it out.
 *
 * Cost (bench/xsk.ts, the walk that follows included): 5 ns a packet with lengths only (1 ns in C); 16 to 17 ns with headers while packets lie in the cache (7 in C), 21 to 55 ns when each is fetched from memory (14 to 40).
 * Hints of the driver, where they are asked for, take 14 ns more.
 */
import { XSK_HINTS, XSK_HINTS_MAGIC, XSK_HINTS_TIMESTAMP, XSK_HINTS_VALID, XSK_HINTS_VLAN } from '../bpf/xsk-program.js'
import { alignUp } from '../bytes/align.js'
import {
  PACKET_BROADCAST,
  PACKET_HOST,
  PACKET_MULTICAST,
  PACKET_OTHERHOST,
  SOCKADDR_LL_AFTER_HDR,
  TP_STATUS_TS_RAW_HARDWARE,
  TP_STATUS_VLAN_TPID_VALID,
  TP_STATUS_VLAN_VALID,
  TPACKET_BLOCK_DESC,
  TPACKET3_HDR,
} from '../kernel/abi/if_packet.js'
import { XDP_DESC, XDP_PACKET_HEADROOM, XDP_PKT_CONTD } from '../kernel/abi/if_xdp.js'
import { AF_PACKET, ARPHRD_ETHER, ETH_P_802_2, ETH_P_802_3, ETH_P_8021AD, ETH_P_8021Q } from '../kernel/abi/socket.js'
import { Block, type BlockTotals } from '../packet/block.js'
import type { XskConsumer, XskProducer } from './xsk-ring.js'

/** Asked of the kernel beside its own 256 bytes, so that the network header stands on a multiple of 16, as in a ring. */
export const UMEM_HEADROOM = 2
/** Where the packet of a chunk begins, unless the program or the driver moved it. */
const FRAME_OFFSET = XDP_PACKET_HEADROOM + UMEM_HEADROOM
/** Where its header is: as far before it as in a ring. */
const HEADER_OFFSET = FRAME_OFFSET - 82
/** Descriptors a block: more would keep chunks from the kernel for longer, less would cost more a packet. */
const MAX_BATCH = 2048
/** Packets of several descriptors are put together behind the chunks, so many a block. */
const ASSEMBLY_SLOTS = 16
/** The longest packet is 65535 bytes and what headers of the link layer add. */
const ASSEMBLY_SLOT_BYTES = 66 * 1024
const ASSEMBLY_ROOM = ASSEMBLY_SLOT_BYTES - FRAME_OFFSET

const DESC_WORDS = XDP_DESC.sizeof / 4
const LEN_WORD = XDP_DESC.len / 4
const OPTIONS_WORD = XDP_DESC.options / 4

const SNAPLEN = TPACKET3_HDR.tp_snaplen / 4
const LEN = TPACKET3_HDR.tp_len / 4
const SEC = TPACKET3_HDR.tp_sec / 4
const NSEC = TPACKET3_HDR.tp_nsec / 4
const STATUS = TPACKET3_HDR.tp_status / 4
const VLAN_TCI = TPACKET3_HDR.hv1_tp_vlan_tci / 4
const VLAN_TPID = TPACKET3_HDR.hv1_tp_vlan_tpid / 2
const SLL_IFINDEX = SOCKADDR_LL_AFTER_HDR.sll_ifindex / 4
// Two fields of 16 bits are written at once.
const MAC_AND_NET = TPACKET3_HDR.tp_mac / 4
const FAMILY_AND_PROTOCOL = SOCKADDR_LL_AFTER_HDR.sll_family / 4
const HATYPE_AND_PKTTYPE = SOCKADDR_LL_AFTER_HDR.sll_hatype / 4

/** EtherTypes as a 16-bit word of a frame reads on a little-endian machine. */
const VLAN_LITTLE_ENDIAN = swap16(ETH_P_8021Q)
const SERVICE_VLAN_LITTLE_ENDIAN = swap16(ETH_P_8021AD)
const ETHER_TYPE = 12 / 2
const ETHER_HEADER = 14
const VLAN_HLEN = 4
/** Below it, the word is a length (IEEE 802.3); the first byte of one is below this. */
const ETH_P_802_3_MIN_FIRST_BYTE = 0x06
const ETH_P_802_3_LITTLE_ENDIAN = swap16(ETH_P_802_3)
const ETH_P_802_2_LITTLE_ENDIAN = swap16(ETH_P_802_2)

/** Where hints stand, in 16-bit words from the first of the packet: a chunk may hold them at any even address. */
const HINTS_BEGIN = -XSK_HINTS.sizeof / 2
const HINTS_MAGIC = HINTS_BEGIN + XSK_HINTS.magic / 2
const HINTS_VLAN_TCI = HINTS_BEGIN + XSK_HINTS.vlanTci / 2
const HINTS_VLAN_TPID = HINTS_BEGIN + XSK_HINTS.vlanTpid / 2
const HINTS_TIMESTAMP = HINTS_BEGIN + XSK_HINTS.timestamp / 2
const HINTS_VALID = HINTS_BEGIN + XSK_HINTS.valid / 2
const HINTS_BITS = XSK_HINTS_TIMESTAMP | XSK_HINTS_VLAN
/** 2^32 and 2^48 ns. */
const TWO_32_SECONDS = 4
const TWO_32_NANOSECONDS = 294_967_296
const TWO_48_SECONDS = 281_474
const TWO_48_NANOSECONDS = 976_710_656

export interface UmemGeometry {
  /** 2048 or 4096. */
  chunkBytes: number
  /** A power of two; the RX and FILL rings have as many entries. */
  chunkCount: number
  /** Packets may take several chunks: room to put them together is needed. */
  multiBuffer: boolean
}

/** Fewer chunks than a batch of a driver would starve it. */
export const MIN_UMEM_BYTES = 256 * 1024
/** Addresses of chunks stay in 31 bits, with room behind them. */
export const MAX_UMEM_BYTES = 2 ** 30

/** Bytes of packet that one chunk holds. */
export function chunkRoom(chunkBytes: number): number {
  return chunkBytes - FRAME_OFFSET
}

/** Bytes of the chunks: what is registered with the kernel. */
export function umemBytes(geometry: UmemGeometry): number {
  return geometry.chunkBytes * geometry.chunkCount
}

/** Bytes of memory that a receiver needs: the chunks, and behind them room for packets of several. */
export function umemMemoryBytes(geometry: UmemGeometry): number {
  return umemBytes(geometry) + (geometry.multiBuffer ? ASSEMBLY_SLOTS * ASSEMBLY_SLOT_BYTES : 0)
}

/** Puts every chunk into the FILL ring of a new socket. */
export function fillWithChunks(fill: XskProducer, geometry: UmemGeometry): void {
  const count = fill.reserve(geometry.chunkCount)
  for (let i = 0; i < count; i++) {
    const at = ((fill.index + i) & fill.mask) * 2
    fill.words[at] = i * geometry.chunkBytes
    fill.words[at + 1] = 0
  }
  fill.submit(count)
}

export interface UmemReceiverOptions {
  geometry: UmemGeometry
  snapLengthBytes: number
  /** Count packets and bytes without touching the packets. */
  lengthsOnly: boolean
  /** The XDP program puts XSK_HINTS before packets. */
  hints: boolean
  interfaceIndex: number
  /** Of the interface, to tell packets to this host from those to others. */
  macAddress: Uint8Array
}

export class UmemReceiver implements BlockTotals {
  /** The clock that packets of the next batch are stamped with, unless the driver stamped them. */
  seconds = 0
  nanoseconds = 0
  /** As `measure` left them. */
  bytes = 0
  truncated = 0
  readonly #rx: XskConsumer
  readonly #fill: XskProducer
  readonly #block: Block
  readonly #chunkMask: number
  readonly #snapLength: number
  readonly lengthsOnly: boolean
  readonly #hints: boolean
  readonly #assembly: number
  readonly #words: Int32Array
  readonly #mac0: number
  readonly #mac1: number
  readonly #mac2: number
  /** Packets put together for this block, and the last of them. */
  #slots = 0
  #slot = 0
  #slotLength = 0
  /** Of the block that is out, when it has no headers. */
  #blockBytes = 0
  #blockTruncated = 0
  #taken = 0

  constructor(umem: ArrayBuffer, rx: XskConsumer, fill: XskProducer, options: UmemReceiverOptions) {
    const { geometry, lengthsOnly, macAddress } = options
    this.#rx = rx
    this.#fill = fill
    this.#chunkMask = ~(geometry.chunkBytes - 1)
    // What is put together is at most so long, and no packet may claim bytes of its neighbour.
    this.#snapLength = Math.min(options.snapLengthBytes, ASSEMBLY_ROOM - VLAN_HLEN)
    this.lengthsOnly = lengthsOnly
    this.#hints = options.hints && !lengthsOnly
    this.#assembly = umemBytes(geometry)
    const mac = (at: number) => (macAddress[at] as number) | ((macAddress[at + 1] as number) << 8)
    this.#mac0 = mac(0)
    this.#mac1 = mac(2)
    this.#mac2 = mac(4)
    this.#block = lengthsOnly
      ? new Block(new ArrayBuffer(TPACKET_BLOCK_DESC.sizeof), 0, TPACKET_BLOCK_DESC.sizeof)
      : new Block(umem, 0, Math.min(umem.byteLength, umemMemoryBytes(geometry)))
    this.#block.clock = 'batch'
    this.#words = new Int32Array(this.#block.bytes.buffer, 0, this.#block.words32.length)
    if (lengthsOnly) this.#block.totals = this
    else this.#writeConstants(geometry, options.interfaceIndex)
  }

  /** What is the same for every packet, once: nobody but us writes there. */
  #writeConstants(geometry: UmemGeometry, interfaceIndex: number): void {
    for (let i = 0; i < geometry.chunkCount; i++) this.#words[(i * geometry.chunkBytes + HEADER_OFFSET) / 4 + SLL_IFINDEX] = interfaceIndex
    if (!geometry.multiBuffer) return
    for (let i = 0; i < ASSEMBLY_SLOTS; i++) this.#words[(this.#assembly + i * ASSEMBLY_SLOT_BYTES + HEADER_OFFSET) / 4 + SLL_IFINDEX] = interfaceIndex
  }

  /** Whether there is anything to take: worth reading the clock. */
  ready(): boolean {
    return this.#rx.peek(1) !== 0
  }

  /** The next packets as a block; the same one until it is released. undefined without a whole packet. */
  peek(): Block | undefined {
    if (this.#taken !== 0) return this.#block
    const wanted = this.#rx.peek(MAX_BATCH)
    if (wanted === 0) return undefined
    // There are as many entries in FILL as there are chunks, so there is always room for those that are here.
    const count = this.#fill.reserve(wanted)
    this.#taken = this.lengthsOnly ? this.#takeLengths(count) : this.#takePackets(count)
    if (this.#hints) this.#takeHints(this.#taken)
    return this.#taken === 0 ? undefined : this.#block
  }

  /** Gives the chunks of the block back to the kernel. */
  release(): void {
    const taken = this.#taken
    this.#taken = 0
    // NB: in this order. A reader that dies in between loses chunks; the other way round the kernel would write into them twice.
    this.#rx.release(taken)
    this.#fill.submit(taken)
  }

  /** Descriptors of the block that is out. */
  get taken(): number {
    return this.#taken
  }

  /** Gives the chunks of so many descriptors back that a reader before this one had out. Answers how many packets that were. */
  passBy(descriptors: number): number {
    const { words: rx, mask: rxMask, index: rxIndex } = this.#rx
    const { words: fill, mask: fillMask, index: fillIndex } = this.#fill
    const count = this.#fill.reserve(this.#rx.peek(descriptors))
    let packets = 0
    for (let i = 0; i < count; i++) {
      const desc = ((rxIndex + i) & rxMask) * DESC_WORDS
      fill[((fillIndex + i) & fillMask) * 2] = (rx[desc] as number) & this.#chunkMask
      if (this.#hints) this.#block.words16[((rx[desc] as number) >> 1) + HINTS_VALID] = 0
      if (((rx[desc + OPTIONS_WORD] as number) & XDP_PKT_CONTD) === 0) packets++
    }
    this.#taken = count
    this.release()
    return packets
  }

  /** Packets that are in the RX ring now; one that has not come whole is none. */
  left(): number {
    const { words, mask, index } = this.#rx
    const count = this.#rx.peek(this.#rx.entries)
    let packets = 0
    for (let i = 0; i < count; i++) if (((words[((index + i) & mask) * DESC_WORDS + OPTIONS_WORD] as number) & XDP_PKT_CONTD) === 0) packets++
    return packets
  }

  needsWakeup(): boolean {
    return this.#fill.needsWakeup()
  }

  #takeLengths(count: number): number {
    const { words: rx, mask: rxMask, index: rxIndex, entries } = this.#rx
    const { words: fill, mask: fillMask, index: fillIndex } = this.#fill
    const chunkMask = this.#chunkMask
    let longest = 0
    let options = 0
    // 2048 descriptors of at most 4 KiB: it fits.
    let bytes = 0
    // Up to where one of the rings begins anew: within, offsets only grow, and `| 0` spares V8 the check for overflow.
    for (let done = 0; done < count; ) {
      const slot = (rxIndex + done) & rxMask
      const fillSlot = (fillIndex + done) & fillMask
      const run = Math.min(count - done, entries - Math.max(slot, fillSlot))
      let desc = slot * DESC_WORDS
      let at = fillSlot * 2
      for (let left = run; left > 0; left--) {
        const chunk = (rx[desc] as number) & chunkMask
        if (fill[at] !== chunk) fill[at] = chunk
        const length = rx[(desc + LEN_WORD) | 0] as number
        bytes = (bytes + length) | 0
        if (length > longest) longest = length
        options |= rx[(desc + OPTIONS_WORD) | 0] as number
        desc = (desc + DESC_WORDS) | 0
        at = (at + 2) | 0
      }
      done += run
    }
    if (longest > this.#snapLength || (options & XDP_PKT_CONTD) !== 0) return this.#measureWhole(count)
    this.#block.packetCount = count
    this.#blockBytes = bytes
    this.#blockTruncated = 0
    return count
  }

  /** Of descriptors that are not a packet each, or packets that are cut. */
  #measureWhole(count: number): number {
    const { words: rx, mask: rxMask, index: rxIndex } = this.#rx
    const snapLength = this.#snapLength
    let packets = 0
    let whole = 0
    let length = 0
    let bytes = 0
    let truncated = 0
    for (let i = 0; i < count; i++) {
      const desc = ((rxIndex + i) & rxMask) * DESC_WORDS
      length = (length + (rx[desc + LEN_WORD] as number)) | 0
      if (((rx[desc + OPTIONS_WORD] as number) & XDP_PKT_CONTD) !== 0) continue
      if (length > snapLength) truncated++
      bytes = (bytes + length) | 0
      packets++
      whole = i + 1
      length = 0
    }
    this.#block.packetCount = packets
    this.#blockBytes = bytes
    this.#blockTruncated = truncated
    return whole
  }

  /** Of a block without headers. All of it was measured as it was taken; less is, where a capture ends within it. */
  measure(packets: number): void {
    if (packets === this.#block.packetCount) {
      this.bytes = this.#blockBytes
      this.truncated = this.#blockTruncated
      return
    }
    const { words: rx, mask, index } = this.#rx
    this.bytes = 0
    this.truncated = 0
    let length = 0
    let left = packets
    for (let i = 0; left > 0; i++) {
      const desc = ((index + i) & mask) * DESC_WORDS
      length += rx[desc + LEN_WORD] as number
      if (((rx[desc + OPTIONS_WORD] as number) & XDP_PKT_CONTD) !== 0) continue
      if (length > this.#snapLength) this.truncated++
      this.bytes += length
      length = 0
      left--
    }
  }

  #takePackets(count: number): number {
    const { words: rx, mask: rxMask, index: rxIndex } = this.#rx
    const { words: fill, mask: fillMask, index: fillIndex } = this.#fill
    const block = this.#block
    const words = this.#words
    const words16 = block.words16
    const { seconds, nanoseconds } = this
    const chunkMask = this.#chunkMask
    const snapLength = this.#snapLength
    const [mac0, mac1, mac2] = [this.#mac0, this.#mac1, this.#mac2]
    let packets = 0
    let whole = 0
    let before = -1
    for (let i = 0; i < count; i++) {
      const desc = ((rxIndex + i) & rxMask) * DESC_WORDS
      const frame = rx[desc] as number
      let length = rx[desc + LEN_WORD] as number
      const chunk = frame & chunkMask
      const at = ((fillIndex + i) & fillMask) * 2
      if (fill[at] !== chunk) fill[at] = chunk
      let header = chunk + HEADER_OFFSET
      let start = frame
      if (((rx[desc + OPTIONS_WORD] as number) & XDP_PKT_CONTD) !== 0) {
        const pieces = this.#assemble(i, count)
        if (pieces === 0) break
        i += pieces - 1
        header = this.#slot + HEADER_OFFSET
        start = this.#slot + FRAME_OFFSET
        length = this.#slotLength
      }
      // Packets of a block stand in the order of their addresses, so that each tells how far it is to the next.
      if (header <= before) break
      if (before < 0) block.firstOffset = header
      else words[before >> 2] = header - before

      let h = start >> 1
      let status = 0
      let protocol = words16[h + ETHER_TYPE] as number
      const w = header >> 2
      if ((protocol === VLAN_LITTLE_ENDIAN || protocol === SERVICE_VLAN_LITTLE_ENDIAN) && length >= ETHER_HEADER + VLAN_HLEN) {
        // As the kernel does for packet sockets (skb_vlan_untag): the addresses move over the tag.
        status = TP_STATUS_VLAN_VALID | TP_STATUS_VLAN_TPID_VALID
        words[w + VLAN_TCI] = swap16(words16[h + 7] as number)
        words16[(header >> 1) + VLAN_TPID] = swap16(protocol)
        protocol = words16[h + 8] as number
        block.bytes.copyWithin(start + VLAN_HLEN, start, start + 12)
        start += VLAN_HLEN
        h += VLAN_HLEN / 2
        length -= VLAN_HLEN
      }
      if ((protocol & 0xff) < ETH_P_802_3_MIN_FIRST_BYTE) protocol = lengthProtocol(words16, h, length)
      const to0 = words16[h] as number
      const to1 = words16[h + 1] as number
      const to2 = words16[h + 2] as number
      let type = PACKET_OTHERHOST
      if ((to0 & 1) !== 0) type = (to0 & to1 & to2) === 0xffff ? PACKET_BROADCAST : PACKET_MULTICAST
      else if (to0 === mac0 && to1 === mac1 && to2 === mac2) type = PACKET_HOST

      words[w + SEC] = seconds
      words[w + NSEC] = nanoseconds
      words[w + SNAPLEN] = Math.min(length, snapLength)
      words[w + LEN] = length
      words[w + STATUS] = status
      words[w + MAC_AND_NET] = (start - header) | ((start - header + ETHER_HEADER) << 16)
      words[w + FAMILY_AND_PROTOCOL] = AF_PACKET | (protocol << 16)
      words[w + HATYPE_AND_PKTTYPE] = ARPHRD_ETHER | (type << 16)
      before = header
      packets++
      whole = i + 1
    }
    block.packetCount = packets
    if (packets > 0) words[before >> 2] = 0
    this.#slots = 0
    return whole
  }

  /**
   * Moves what the driver told of the packets of a block into their headers. A pass of its own, so that who wants no hints pays
   * nothing for them.
   */
  #takeHints(descriptors: number): void {
    const { words: rx, mask: rxMask, index: rxIndex } = this.#rx
    const words = this.#words
    const { words16 } = this.#block
    let header = this.#block.firstOffset
    for (let i = 0; i < descriptors; i++) {
      const first = ((rxIndex + i) & rxMask) * DESC_WORDS
      while (((rx[((rxIndex + i) & rxMask) * DESC_WORDS + OPTIONS_WORD] as number) & XDP_PKT_CONTD) !== 0) i++
      // They stand before the packet as it came, wherever it is now.
      const frame = (rx[first] as number) >> 1
      const w = header >> 2
      header += words[w] as number
      const valid = words16[frame + HINTS_VALID] as number
      if ((valid & ~HINTS_BITS) !== XSK_HINTS_VALID || words16[frame + HINTS_MAGIC] !== XSK_HINTS_MAGIC) continue
      words16[frame + HINTS_VALID] = 0
      if ((valid & XSK_HINTS_VLAN) !== 0) {
        if (words[w + STATUS] !== 0) this.#putTagBack(w)
        words[w + STATUS] = TP_STATUS_VLAN_VALID | TP_STATUS_VLAN_TPID_VALID
        words[w + VLAN_TCI] = words16[frame + HINTS_VLAN_TCI] as number
        words16[w * 2 + VLAN_TPID] = swap16(words16[frame + HINTS_VLAN_TPID] as number)
      }
      if ((valid & XSK_HINTS_TIMESTAMP) === 0) continue
      const low = (words16[frame + HINTS_TIMESTAMP] as number) + (words16[frame + HINTS_TIMESTAMP + 1] as number) * 65536
      const third = words16[frame + HINTS_TIMESTAMP + 2] as number
      const fourth = words16[frame + HINTS_TIMESTAMP + 3] as number
      // 0 is what drivers answer for a packet that the NIC did not stamp.
      if ((low | third | fourth) === 0) continue
      // Below 2^47, so that doubles are exact.
      const nanoseconds = low + third * TWO_32_NANOSECONDS + fourth * TWO_48_NANOSECONDS
      const seconds = Math.floor(nanoseconds / 1e9)
      words[w + SEC] = seconds + third * TWO_32_SECONDS + fourth * TWO_48_SECONDS
      words[w + NSEC] = nanoseconds - seconds * 1e9
      words[w + STATUS] = (words[w + STATUS] as number) | TP_STATUS_TS_RAW_HARDWARE
    }
  }

  /** The NIC has taken out the outer tag, so that the one that we took out is the inner one: that belongs to the frame. */
  #putTagBack(w: number): void {
    const { words16, bytes } = this.#block
    const words = this.#words
    const start = w * 4 + ((words[w + MAC_AND_NET] as number) & 0xffff)
    const frame = start - VLAN_HLEN
    const tpid = swap16(words16[w * 2 + VLAN_TPID] as number)
    bytes.copyWithin(frame, start, start + 12)
    words16[frame / 2 + ETHER_TYPE] = tpid
    words16[frame / 2 + ETHER_TYPE + 1] = swap16(words[w + VLAN_TCI] as number)
    const length = (words[w + LEN] as number) + VLAN_HLEN
    words[w + LEN] = length
    words[w + SNAPLEN] = Math.min(length, this.#snapLength)
    words[w + MAC_AND_NET] = (words[w + MAC_AND_NET] as number) - (VLAN_HLEN | (VLAN_HLEN << 16))
    words[w + FAMILY_AND_PROTOCOL] = AF_PACKET | (tpid << 16)
  }

  /**
   * Puts a packet of several descriptors together behind the chunks, and their chunks into the FILL ring. Answers how many it took;
   * 0 when its end is not there yet or there is no more room in this block.
   */
  #assemble(first: number, count: number): number {
    const { words: rx, mask: rxMask, index: rxIndex } = this.#rx
    const { words: fill, mask: fillMask, index: fillIndex } = this.#fill
    let end = first
    while (end < count && ((rx[((rxIndex + end) & rxMask) * DESC_WORDS + OPTIONS_WORD] as number) & XDP_PKT_CONTD) !== 0) end++
    if (end === count || this.#slots === ASSEMBLY_SLOTS) return 0
    const slot = this.#assembly + this.#slots++ * ASSEMBLY_SLOT_BYTES
    let length = 0
    for (let i = first; i <= end; i++) {
      const desc = ((rxIndex + i) & rxMask) * DESC_WORDS
      const from = rx[desc] as number
      const bytes = rx[desc + LEN_WORD] as number
      const room = ASSEMBLY_ROOM - length
      if (room > 0) this.#block.bytes.copyWithin(slot + FRAME_OFFSET + length, from, from + Math.min(bytes, room))
      length += bytes
      fill[((fillIndex + i) & fillMask) * 2] = from & this.#chunkMask
    }
    this.#slot = slot
    this.#slotLength = length
    return end - first + 1
  }
}

/** What the kernel calls a frame with a length in place of an EtherType (eth_type_trans, vlan_set_encap_proto). */
function lengthProtocol(words16: Uint16Array, frame: number, length: number): number {
  return length >= ETHER_HEADER + 2 && words16[frame + ETHER_HEADER / 2] === 0xffff ? ETH_P_802_3_LITTLE_ENDIAN : ETH_P_802_2_LITTLE_ENDIAN
}

function swap16(value: number): number {
  return ((value & 0xff) << 8) | (value >>> 8)
}

/** A power of two that is not less. */
export function chunkCountFor(bytes: number, chunkBytes: number): number {
  let count = 1
  while (count * chunkBytes < alignUp(bytes, chunkBytes)) count *= 2
  return count
}
