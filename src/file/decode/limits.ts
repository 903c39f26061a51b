/**
 * What a file may claim. A length beyond these is damage: nothing is ever allocated or skipped because a file says so, and memory
 * follows the bytes that are really there.
 */

/** A block of pcapng, and the largest packet of all; libpcap and Wireshark have the same. */
export const MAX_BLOCK_BYTES = 16 * 2 ** 20
/** A packet, unless the file's own snap length is larger: MAXIMUM_SNAPLEN of libpcap. */
export const MAX_PACKET_BYTES = 262_144
/** Sections, and interfaces over all of them. */
export const MAX_INTERFACES = 65_536
/** What is kept of headers, descriptions, names and comments, in bytes of the file. */
export const MAX_KEPT_BYTES = 64 * 2 ** 20

/** Link types whose packets libpcap allows to be larger: EBHSCR, USB of Linux and of Windows, D-Bus. */
const LARGE_PACKETS: readonly number[] = [189, 220, 231, 249, 279]

/** The longest packet that is plausible; `snapLengthBytes` 0 is no limit of the file's own. */
export function packetLimit(linkType: number, snapLengthBytes: number): number {
  if (LARGE_PACKETS.includes(linkType)) return MAX_BLOCK_BYTES
  return Math.min(MAX_BLOCK_BYTES, Math.max(MAX_PACKET_BYTES, snapLengthBytes))
}
