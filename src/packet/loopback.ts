/** BSD loopback (LINKTYPE_NULL, LINKTYPE_LOOP): an address family in four bytes, in either byte order, then the packet. */
import { printIpv4 } from './ipv4.js'
import { printIpv6 } from './ipv6.js'
import type { PacketPrinter } from './packet-printer.js'

export const LOOPBACK_BYTES = 4
const FAMILIES: Readonly<Record<number, string>> = { 2: 'IPv4', 6: 'NS', 7: 'ISO', 16: 'Appletalk', 23: 'IPX', 24: 'IPv6', 28: 'IPv6', 30: 'IPv6' }

/** The address family, of a host of either byte order: it is a small number. */
export function loopbackFamily(bytes: Uint8Array, at: number): number {
  const high = ((bytes[at + 3] as number) << 8) | (bytes[at + 2] as number)
  const low = ((bytes[at + 1] as number) << 8) | (bytes[at] as number)
  if (high === 0) return low
  return (((bytes[at] as number) << 24) | ((bytes[at + 1] as number) << 16) | ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number)) >>> 0
}

export function isIpv6Family(family: number): boolean {
  return family === 24 || family === 28 || family === 30
}

/** Answers the bytes of the link-layer header. */
export function printLoopback(p: PacketPrinter, start: number, wireLength: number): number {
  if (!p.has(start, LOOPBACK_BYTES)) {
    p.cut('null')
    return 0
  }
  const family = loopbackFamily(p.packet, start)
  if (p.link) printFamily(p, family, wireLength)
  const at = start + LOOPBACK_BYTES
  const length = wireLength - LOOPBACK_BYTES
  if (family === 2) {
    printIpv4(p, at, length)
  } else if (isIpv6Family(family)) {
    printIpv6(p, at, length)
  } else if (family === 7 || family === 16 || family === 23) {
    p.text(FAMILIES[family] as string)
    p.text(', length ')
    p.decimal(length)
  } else if (!p.link) {
    printFamily(p, family, wireLength)
  }
  return LOOPBACK_BYTES
}

function printFamily(p: PacketPrinter, family: number, length: number): void {
  if (p.quiet) {
    p.named(FAMILIES, family, 'Unknown AF ')
  } else {
    p.text('AF ')
    p.text(FAMILIES[family] ?? 'Unknown')
    p.text(' (')
    p.decimal(family)
    p.text(')')
  }
  p.text(', length ')
  p.decimal(length)
  p.text(': ')
}
