/** Sizes of a TPACKET_V3 ring: pure arithmetic over what packet_set_ring() in net/packet/af_packet.c demands. */
import { alignUp } from '../bytes/align.js'
import { CaptureError } from '../errors.js'
import { TPACKET_ALIGNMENT, TPACKET_BLOCK_DESC, TPACKET3_HDR } from '../kernel/abi/if_packet.js'

export interface RingGeometry {
  /** tp_block_size */
  blockBytes: number
  /** tp_block_nr */
  blockCount: number
}

export const DEFAULT_RING_BYTES = 64 * 2 ** 20
/** Measured on `ring`: with less the reader wakes more often, with 1 MiB two cores that write one ring fall out of step more often. */
export const DEFAULT_BLOCK_BYTES = 2 * 2 ** 20
export const DEFAULT_BLOCK_TIMEOUT_MS = 20
/** mmap of a packet ring takes an unsigned long, but tp_block_size x tp_block_nr must fit 32 bits (packet_set_ring: check_mul_overflow). */
export const MAX_RING_BYTES = 2 ** 32 - 1
/** The kernel carries tp_retire_blk_tov in an unsigned short: larger values would be cut without a word. */
export const MAX_BLOCK_TIMEOUT_MS = 65535

/** What stands before an Ethernet frame in a block: tpacket3_hdr, sockaddr_ll, and a gap that puts the network header at 96 (tpacket_rcv). */
const FRAME_OFFSET_BYTES = 82
/** V3_ALIGNMENT of af_packet.c. */
const PACKET_ALIGNMENT = 8
const MIN_FRAME_BYTES = 60
/** Never free for what comes: one is the reader's, one being filled. */
export const BLOCKS_IN_HAND = 2
/** The smallest that is chosen unasked holds the 64 KiB of a packet that GRO merged. */
const MIN_CHOSEN_BLOCK_BYTES = 128 * 1024
/** With two in hand, of a ring of fewer too little is free. */
const ENOUGH_BLOCKS = 16
const ENOUGH_FULL_BLOCKS = 8

/** Room that a packet takes in a block, of so many captured bytes. */
export function packetFootprint(capturedBytes: number): number {
  return alignUp(FRAME_OFFSET_BYTES + capturedBytes, PACKET_ALIGNMENT)
}

/** Of one of minimum size. */
export const MIN_PACKET_FOOTPRINT_BYTES = packetFootprint(MIN_FRAME_BYTES)

/** Of packets of one length: the kernel closes a block when the next would reach its end (__packet_lookup_frame_in_block). */
export function packetsPerBlock(blockBytes: number, footprintBytes: number): number {
  return Math.ceil((blockBytes - TPACKET_BLOCK_DESC.sizeof) / footprintBytes) - 1
}

/** The block for a ring of a given size when none is asked for: the default, or as much less as makes enough whole blocks that hold any packet; where that cannot be, at least two. */
export function blockFor(ringBytes: number | undefined, pageSize: number): number {
  let blockBytes = DEFAULT_BLOCK_BYTES
  if (ringBytes === undefined) return blockBytes
  const fewest = () => (blockBytes > MIN_CHOSEN_BLOCK_BYTES ? ENOUGH_BLOCKS : 2)
  while (blockBytes > pageSize && (ringBytes % blockBytes !== 0 || ringBytes < fewest() * blockBytes)) blockBytes /= 2
  return blockBytes
}

/**
 * The nearest geometry for a wish in bytes.
 * @throws CaptureError INVALID_OPTION, with the nearest value that works.
 */
export function planRing(ringBytes: number, blockBytes: number, pageSize: number): RingGeometry {
  if (!Number.isInteger(blockBytes) || blockBytes <= 0 || blockBytes % pageSize !== 0) {
    throw invalid(
      'blockBytes',
      `a positive multiple of the page size, ${pageSize}`,
      blockBytes,
      `try --block ${Math.max(pageSize, alignUp(blockBytes || 0, pageSize))}`,
    )
  }
  if (!Number.isInteger(ringBytes) || ringBytes <= 0 || ringBytes % blockBytes !== 0) {
    const nearest = Math.max(2 * blockBytes, alignUp(ringBytes || 0, blockBytes))
    throw invalid('ringBytes', `a positive multiple of blockBytes, ${blockBytes}`, ringBytes, `try --ring ${nearest}`)
  }
  if (ringBytes > MAX_RING_BYTES) {
    throw invalid('ringBytes', 'less than 4 GiB (the kernel counts a ring in 32 bits)', ringBytes, 'take more --workers: each has a ring of its own')
  }
  const blockCount = ringBytes / blockBytes
  if (blockCount < 2) throw invalid('ringBytes', 'at least two blocks: the kernel fills one while the other is read', ringBytes, `try --ring ${2 * blockBytes}`)
  return { blockBytes, blockCount }
}

/** What comes to a ring while its reader stands still. */
export interface Hold {
  packets: number
  /** Of each of them, as packetFootprint says. */
  footprintBytes: number
  /** Times that the timer closes a block that is not full meanwhile, as timerClosings says. */
  closings: number
}

/** The kernel closes none that is empty (prb_retire_rx_blk_timer_expired): what is rarer than its timer has a block for each packet. */
export function timerClosings(ms: number, packetsPerSecond: number, blockTimeoutMs: number): number {
  return ms * Math.min(packetsPerSecond / 1000, 1 / blockTimeoutMs)
}

/** However they come: what is in hand is not free, and a block that the timer closes may have room for all but one packet left. */
export function blocksToHold({ packets, footprintBytes, closings }: Hold, blockBytes: number): number {
  return Math.ceil(Math.max(1, packets) / packetsPerBlock(blockBytes, footprintBytes)) + Math.ceil(closings) + BLOCKS_IN_HAND
}

/** Blocks as large as by default, or smaller where full ones would be few. */
export function blockToHold({ packets, footprintBytes }: Hold, pageSize: number): number {
  const least = Math.max(MIN_CHOSEN_BLOCK_BYTES, pageSize)
  let blockBytes = DEFAULT_BLOCK_BYTES
  while (blockBytes > least && Math.ceil(packets / packetsPerBlock(blockBytes, footprintBytes)) < ENOUGH_FULL_BLOCKS) blockBytes /= 2
  return blockBytes
}

/**
 * A ring that loses nothing while its reader stands still for `ms` milliseconds and minimum-size packets come at `packetsPerSecond`. The
 * reader may stand still in a block, and has to finish it: that takes no longer than such a block took to come, if it keeps up at all.
 */
export function ringToHold(
  { ms, packetsPerSecond }: { ms: number; packetsPerSecond: number },
  { blockBytes, blockTimeoutMs, pageSize }: { blockBytes: number | undefined; blockTimeoutMs: number; pageSize: number },
): RingGeometry {
  const hold = {
    packets: Math.ceil((ms / 1000) * packetsPerSecond),
    footprintBytes: MIN_PACKET_FOOTPRINT_BYTES,
    closings: timerClosings(ms + blockTimeoutMs, packetsPerSecond, blockTimeoutMs),
  }
  const chosen = blockBytes ?? blockToHold(hold, pageSize)
  return { blockBytes: chosen, blockCount: blocksToHold(hold, chosen) + 1 }
}

/** tp_frame_size: V3 packs packets as they come and only checks that one minimum frame fits. */
export function frameSize(blockBytes: number): number {
  return Math.min(2048, blockBytes)
}

/** tp_frame_nr must equal frames_per_block x block_nr exactly. */
export function frameCount(geometry: RingGeometry): number {
  return Math.floor(geometry.blockBytes / frameSize(geometry.blockBytes)) * geometry.blockCount
}

/** The longest packet that a block holds whole; the kernel cuts longer ones (tpacket_rcv: clamps to max_frame_len). */
export function longestPacket(blockBytes: number): number {
  return blockBytes - TPACKET_BLOCK_DESC.sizeof - alignUp(TPACKET3_HDR.sizeof + 20 + 16, TPACKET_ALIGNMENT)
}

/** What libpcap does on ENOMEM (pcap-linux.c create_ring): 5 % less, at least one block less. undefined at the bottom. */
export function shrinkRing(geometry: RingGeometry): RingGeometry | undefined {
  const blockCount = Math.min(geometry.blockCount - 1, Math.floor(geometry.blockCount * 0.95))
  return blockCount < 2 ? undefined : { blockBytes: geometry.blockBytes, blockCount }
}

function invalid(option: string, expected: string, got: number, hint: string): CaptureError {
  return new CaptureError('INVALID_OPTION', `Expected ${option} to be ${expected}, got ${got}`, { hint })
}
