/** The header of a member of gzip (RFC 1952). Pure. */

const FIXED_BYTES = 10
const DEFLATE = 8
const HEADER_SUM = 0x02
const EXTRA = 0x04
const NAME = 0x08
const COMMENT = 0x10
const RESERVED = 0xe0

/** A name and a comment have no end that they must have. */
const MOST_BYTES = 1 << 20

/** Two bytes: what follows a member is another one, or is nothing of gzip. */
export function isGzip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x1f && bytes[1] === 0x8b
}

/** Bytes of the header that `bytes` begin with; undefined where there are too few of them. A text says why it is none. */
export function gzipHeaderLength(bytes: Uint8Array): number | string | undefined {
  if (bytes.length < FIXED_BYTES) return undefined
  if (!isGzip(bytes)) return 'incorrect header check'
  if (bytes[2] !== DEFLATE) return 'unknown compression method'
  const flags = bytes[3] as number
  if ((flags & RESERVED) !== 0) return 'unknown header flags set'
  let at = FIXED_BYTES
  if ((flags & EXTRA) !== 0) at += 2 + ((bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8))
  for (const text of [NAME, COMMENT]) {
    if ((flags & text) === 0) continue
    const end = at < bytes.length ? bytes.indexOf(0, at) : -1
    if (end < 0) return bytes.length > MOST_BYTES ? 'header too long' : undefined
    at = end + 1
  }
  if ((flags & HEADER_SUM) !== 0) at += 2
  return at <= bytes.length ? at : undefined
}
