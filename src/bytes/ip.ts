/** IP addresses as text. */

/** `192.0.2.1`, of the four bytes at `offset`. */
export function ipv4Text(bytes: Uint8Array, offset = 0): string {
  return `${bytes[offset]}.${bytes[offset + 1]}.${bytes[offset + 2]}.${bytes[offset + 3]}`
}

/** `2001:db8::1`, of the sixteen bytes at `offset`, as RFC 5952 has it; IPv4-mapped ones as `::ffff:192.0.2.1`. */
export function ipv6Text(bytes: Uint8Array, offset = 0): string {
  const groups = Array.from({ length: 8 }, (_, i) => ((bytes[offset + 2 * i] as number) << 8) | (bytes[offset + 2 * i + 1] as number))
  const mapped = groups[5] === 0xffff && groups.slice(0, 5).every((group) => group === 0)
  if (mapped) return `::ffff:${ipv4Text(bytes, offset + 12)}`
  // The longest run of zeros, the first of equals; a single zero is not worth a `::`.
  let start = 8
  let length = 1
  for (let at = 0; at < 8; ) {
    let end = at
    while (end < 8 && groups[end] === 0) end++
    if (end - at > length) {
      start = at
      length = end - at
    }
    at = end + 1
  }
  const text = (from: number, to: number) =>
    groups
      .slice(from, to)
      .map((group) => group.toString(16))
      .join(':')
  return start === 8 ? text(0, 8) : `${text(0, start)}::${text(start + length, 8)}`
}

/** An address of 4 or 16 bytes. */
export function ipText(address: Uint8Array): string {
  return address.length === 4 ? ipv4Text(address) : ipv6Text(address)
}

/** The bytes of an address, four or sixteen; undefined for what is none. */
export function parseIp(text: string): Uint8Array<ArrayBuffer> | undefined {
  return text.includes(':') ? parseIpv6(text) : parseIpv4(text)
}

function parseIpv4(text: string): Uint8Array<ArrayBuffer> | undefined {
  const parts = text.split('.')
  if (parts.length !== 4 || !parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) <= 255)) return undefined
  return Uint8Array.from(parts, Number)
}

function parseIpv6(text: string): Uint8Array<ArrayBuffer> | undefined {
  const embedded = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text)
  const last = embedded === null ? undefined : parseIpv4(embedded[2] as string)
  if (embedded !== null && last === undefined) return undefined
  const groups =
    last === undefined
      ? text
      : `${embedded?.[1]}${(((last[0] as number) << 8) | (last[1] as number)).toString(16)}:${(((last[2] as number) << 8) | (last[3] as number)).toString(16)}`
  const [head = '', tail, ...more] = groups.split('::')
  if (more.length > 0) return undefined
  const words = (part: string) => (part === '' ? [] : part.split(':'))
  const before = words(head)
  const after = words(tail ?? '')
  const missing = 8 - before.length - after.length
  if (tail === undefined ? missing !== 0 : missing < 1) return undefined
  const all = [...before, ...new Array<string>(tail === undefined ? 0 : missing).fill('0'), ...after]
  if (!all.every((word) => /^[0-9a-f]{1,4}$/i.test(word))) return undefined
  return Uint8Array.from(all.flatMap((word) => [Number.parseInt(word, 16) >>> 8, Number.parseInt(word, 16) & 255]))
}
