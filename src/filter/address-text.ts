/** Addresses of other kinds than IPv6 as text, as libpcap's nametoaddr.c reads them. Pure. */

/** The bytes of one to four numbers with dots between, and how many bits they are; undefined for a number above 255 or not decimal. */
export function ip4Parts(text: string): { value: number; bits: number } | undefined {
  let value = 0
  const parts = text.split('.')
  for (const part of parts) {
    const byte = Number(part)
    // Leading zeros do not make it octal.
    if (!/^[0-9]+$/.test(part) || byte > 255) return undefined
    value = ((value << 8) | byte) >>> 0
  }
  return { value, bits: 8 * parts.length }
}

/** Six bytes, of a text that the scanner took for a MAC address. */
export function macBytes(text: string): Uint8Array {
  const groups = text.split(/[-:.]/)
  const bytes = groups.flatMap((group) => (group.length <= 2 ? [group] : (group.match(/../g) as string[])))
  return Uint8Array.from(bytes, (byte) => Number.parseInt(byte, 16))
}

/** `area.node`, the sixteen bits that stand in a DECnet header. */
export function decnetAddress(text: string): number | undefined {
  const parts = /^([0-9]+)\.([0-9]+)/.exec(text)
  if (parts === null) return undefined
  const [area, node] = [Number(parts[1]), Number(parts[2])]
  return ((area << 10) & 0xfc00) | (node & 0x3ff)
}
