/** The Internet checksum (RFC 1071): ones' complement sums of 16-bit words, big-endian. */

/** `sum` and the words of `length` bytes at `offset`; a last odd byte is the upper half of a word. `length` is at most 128 KiB, so that nothing overflows. */
export function addWords(bytes: Uint8Array, offset: number, length: number, sum: number): number {
  let total = sum | 0
  let at = offset | 0
  const even = (at + (length & ~1)) | 0
  for (; at < even; at += 2) total = (total + (((bytes[at] as number) << 8) | (bytes[at + 1] as number))) | 0
  if ((length & 1) !== 0) total = (total + ((bytes[at] as number) << 8)) | 0
  // Folded, so that sums can be added to sums. Unsigned: 64 Ki words of ones pass 2^31.
  let folded = total >>> 0
  folded = (folded & 0xffff) + (folded >>> 16)
  return (folded & 0xffff) + (folded >>> 16)
}

/** What a sum over bytes with their checksum among them says: 0 when it is right. */
export function complement(sum: number): number {
  return ~sum & 0xffff
}

/** The checksum that should stand where `found` stands, when the complement over all is `wrong`. */
export function correctChecksum(found: number, wrong: number): number {
  let sum = found + wrong
  sum = (sum & 0xffff) + (sum >>> 16)
  return (sum & 0xffff) + (sum >>> 16)
}
