/** Routing protocols directly over IP, by name, kind and length: OSPF (RFC 2328, 5340), PIM (RFC 7761), VRRP (RFC 3768, 5798). */
import type { PacketPrinter } from './packet-printer.js'

const OSPF_NAMES: Readonly<Record<number, string>> = { 1: 'Hello', 2: 'Database Description', 3: 'LS-Request', 4: 'LS-Update', 5: 'LS-Ack' }
const PIM_NAMES: Readonly<Record<number, string>> = {
  0: 'Hello',
  1: 'Register',
  2: 'Register-Stop',
  3: 'Join / Prune',
  4: 'Bootstrap',
  5: 'Assert',
  6: 'Graft',
  7: 'Graft-ACK',
  8: 'Candidate RP Advertisement',
  9: 'Prune-Refresh',
  10: 'DF Election',
  11: 'ECMP Redirect',
}
const VRRP_AUTHENTICATION: Readonly<Record<number, string>> = { 0: 'none', 1: 'simple', 2: 'ah' }
const VRRP_ADVERTISEMENT = 1

const OSPF_MD5 = 2
const MD5_BYTES = 16

export function printOspf(p: PacketPrinter, at: number, wireLength: number): void {
  if (!p.has(at, 16)) {
    p.cut('ospf2')
    return
  }
  // The digest stands behind the packet and is not counted.
  const length = p.u16(at + 14) === OSPF_MD5 ? (wireLength - MD5_BYTES) >>> 0 : wireLength
  p.text('OSPFv')
  p.decimal(p.u8(at))
  p.text(', ')
  p.named(OSPF_NAMES, p.u8(at + 1), 'unknown LS-type ')
  p.text(', length ')
  p.decimal(length)
}

export function printOspf3(p: PacketPrinter, at: number, length: number): void {
  if (!p.has(at, 2)) {
    p.cut('ospf3')
    return
  }
  p.text('OSPFv')
  p.decimal(p.u8(at))
  p.text(', ')
  p.named(OSPF_NAMES, p.u8(at + 1), 'unknown packet type (', ')')
  p.text(', length ')
  p.decimal(length)
}

export function printPim(p: PacketPrinter, at: number, length: number): void {
  if (!p.has(at, 1)) {
    p.cut('pim')
    return
  }
  const version = p.u8(at) >>> 4
  if (version !== 2) {
    p.text('PIMv')
    p.decimal(version)
    p.text(', length ')
    p.decimal(length)
    return
  }
  p.text('PIMv2, ')
  p.text(PIM_NAMES[p.u8(at) & 15] ?? 'Unknown Type')
  p.text(', length ')
  p.decimal(length)
}

export function printVrrp(p: PacketPrinter, at: number, length: number, ipHeader: number): void {
  p.text('VRRP')
  if (!p.has(at, 1)) {
    p.cut('vrrp')
    return
  }
  const version = p.u8(at) >>> 4
  const type = p.u8(at) & 15
  p.text('v')
  p.decimal(version)
  p.text(', ')
  if (type === VRRP_ADVERTISEMENT) {
    p.text('Advertisement')
  } else {
    p.text('unknown type (')
    p.decimal(type)
    p.text(')')
  }
  const ttl = p.u8(ipHeader + (p.u8(ipHeader) >>> 4 === 6 ? 7 : 8))
  if (ttl !== 255) {
    p.text(', (ttl ')
    p.decimal(ttl)
    p.text(')')
  }
  if (version < 2 || version > 3 || type !== VRRP_ADVERTISEMENT) return
  if (!p.has(at, 3)) {
    p.cut('vrrp')
    return
  }
  p.text(', vrid ')
  p.decimal(p.u8(at + 1))
  p.text(', prio ')
  p.decimal(p.u8(at + 2))
  if (!p.has(at, version === 2 ? 5 : 6)) {
    p.cut('vrrp')
    return
  }
  if (version === 2) {
    p.text(', authtype ')
    p.named(VRRP_AUTHENTICATION, p.u8(at + 4), '#')
    if (!p.has(at, 6)) {
      p.cut('vrrp')
      return
    }
    p.text(', intvl ')
    p.decimal(p.u8(at + 5))
    p.text('s, length ')
  } else {
    p.text(', intvl ')
    p.decimal(p.u16(at + 4) & 0xfff)
    p.text('cs, length ')
  }
  p.decimal(length)
}
