/** MPLS label stacks (RFC 3032, 5462), and what they carry, told by its first byte. */
import { printIpv4 } from './ipv4.js'
import { printIpv6 } from './ipv6.js'
import type { PacketPrinter } from './packet-printer.js'

const LABEL_BYTES = 4
const BOTTOM_OF_STACK = 0x100
const LABEL_NAMES: Readonly<Record<number, string>> = { 0: 'IPv4 explicit NULL', 1: 'router alert', 2: 'IPv6 explicit NULL', 3: 'implicit NULL' }

export function printMpls(p: PacketPrinter, start: number, wireLength: number): void {
  p.text('MPLS')
  let at = start
  let left = wireLength
  let label = 0
  let bottom = false
  while (!bottom) {
    if (left < LABEL_BYTES) {
      p.invalid()
      if (!p.has(at, left)) p.cut('mpls')
      return
    }
    if (!p.has(at, LABEL_BYTES)) {
      p.cut('mpls')
      return
    }
    const entry = p.u32(at)
    label = entry >>> 12
    bottom = (entry & BOTTOM_OF_STACK) !== 0
    p.text(at > start && p.verbosity > 0 ? '\n\t(label ' : ' (label ')
    p.decimal(label)
    if (p.verbosity > 0 && label < 16) {
      p.text(' (')
      p.text(LABEL_NAMES[label] ?? 'rsvd')
      p.text(')')
    }
    p.text(', tc ')
    p.decimal((entry >>> 9) & 7)
    if (bottom) p.text(', [S]')
    p.text(', ttl ')
    p.decimal(entry & 0xff)
    p.text(')')
    at += LABEL_BYTES
    left -= LABEL_BYTES
  }
  const kind = payloadKind(p, label, at, left)
  if (kind === 0) return
  p.text(p.verbosity > 0 ? '\n\t' : ' ')
  if (kind === 4) {
    printIpv4(p, at, left)
  } else if (kind === 6) {
    printIpv6(p, at, left)
  } else {
    p.text('OSI, length ')
    p.decimal(left)
  }
}

/** IP version, 8 for OSI, 0 for what is not known. */
function payloadKind(p: PacketPrinter, label: number, at: number, left: number): number {
  if (label === 0 || label === 3) return 4
  if (label === 2) return 6
  if (left < 1) return 0
  if (!p.has(at, 1)) {
    p.cut('mpls')
    return 0
  }
  const first = p.u8(at)
  if (first >= 0x45 && first <= 0x4f) return 4
  if (first >= 0x60 && first <= 0x6f) return 6
  return first >= 0x81 && first <= 0x83 ? 8 : 0
}
