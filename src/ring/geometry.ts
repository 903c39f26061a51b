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

/** The block for a ring of a given size when none is asked for: the default, or as much less as makes at least two whole blocks. */
export function blockFor(ringBytes: number | undefined, pageSize: number): number {
  let blockBytes = DEFAULT_BLOCK_BYTES
  if (ringBytes === undefined) return blockBytes
  while (blockBytes > pageSize && (ringBytes % blockBytes !== 0 || ringBytes < 2 * blockBytes)) blockBytes /= 2
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

/** Bytes of ring that hold `ms` milliseconds of minimum-size packets at `packetsPerSecond`, in whole blocks, at least two. */
export function ringBytesToHold(ms: number, packetsPerSecond: number, blockBytes: number): number {
  const perBlock = Math.floor((blockBytes - TPACKET_BLOCK_DESC.sizeof) / MIN_PACKET_FOOTPRINT_BYTES)
  const packets = Math.ceil((ms / 1000) * packetsPerSecond)
  return Math.max(2, Math.ceil(packets / perBlock)) * blockBytes
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
