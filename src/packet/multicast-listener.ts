/** Multicast listeners of IPv6, versions 1 and 2 (RFC 2710, 3810). */
import { printAddress6 } from './icmp6-address.js'
import type { PacketPrinter } from './packet-printer.js'

const RECORD_NAMES: Readonly<Record<number, string>> = { 1: 'is_in', 2: 'is_ex', 3: 'to_in', 4: 'to_ex', 5: 'allow', 6: 'block' }

export function printListener(p: PacketPrinter, start: number): boolean {
  if (!p.has(start, 24)) return true
  p.text('max resp delay: ')
  p.decimal(p.u16(start + 4))
  p.text(' addr: ')
  p.ip6(start + 8)
  return true
}

export function printListenerQuery(p: PacketPrinter, start: number, length: number): boolean {
  if (!p.has(start, 6)) {
    p.cut('icmp6')
    return false
  }
  const code = p.u16(start + 4)
  if (p.verbosity > 0) {
    p.text(' [max resp delay=')
    p.decimal(code < 32768 ? code : ((code & 0x0fff) | 0x1000) << (((code & 0x7000) >>> 12) + 3))
    p.text(']')
  }
  if (!printAddress6(p, ' [gaddr ', start + 8)) return false
  if (p.verbosity > 0) {
    if (!p.has(start, 25)) {
      p.cut('icmp6')
      return false
    }
    const flags = p.u8(start + 24)
    if ((flags & 8) !== 0) p.text(' sflag')
    if ((flags & 7) !== 0) {
      p.text(' robustness=')
      p.decimal(flags & 7)
    }
    if (!p.has(start, 26)) {
      p.cut('icmp6')
      return false
    }
    const interval = p.u8(start + 25)
    p.text(' qqi=')
    p.decimal(interval < 128 ? interval : ((interval & 15) | 16) << (((interval & 0x70) >>> 4) + 3))
  }
  if (!p.has(start, 28)) {
    p.cut('icmp6')
    return false
  }
  const sources = p.u16(start + 26)
  if (sources > 0) {
    if (length < 28 + 16 * sources) p.text(' [invalid number of sources]')
    else if (p.verbosity > 1) return printSources(p, start + 28, sources, ']')
    else printSourceCount(p, sources)
  }
  p.text(']')
  return true
}

function printSourceCount(p: PacketPrinter, sources: number): void {
  p.text(', ')
  p.decimal(sources)
  p.text(' source(s)')
}

function printSources(p: PacketPrinter, at: number, count: number, closing: string): boolean {
  p.text(' {')
  for (let i = 0; i < count; i++) {
    if (!printAddress6(p, ' ', at + 16 * i)) return false
  }
  p.text(' }')
  p.text(closing)
  return true
}

export function printListenerReport(p: PacketPrinter, start: number, length: number): boolean {
  if (length < 8) {
    p.text(' [invalid len ')
    p.decimal(length)
    p.text(']')
    return true
  }
  if (!p.has(start, 8)) {
    p.cut('icmp6')
    return false
  }
  const groups = p.u16(start + 6)
  p.text(', ')
  p.decimal(groups)
  p.text(' group record(s)')
  if (p.verbosity === 0) return true
  let at = 8
  for (let i = 0; i < groups; i++) {
    if (length < at + 20) {
      p.text(' [invalid number of groups]')
      return true
    }
    if (!printAddress6(p, ' [gaddr ', start + at + 4)) return false
    p.text(' ')
    p.named(RECORD_NAMES, p.u8(start + at), ' [v2-report-#', ']')
    const sources = p.u16(start + at + 2)
    if (length < at + 20 + 16 * sources) {
      p.text(' [invalid number of sources ')
      p.decimal(sources)
      p.text(']')
      return true
    }
    if (p.verbosity === 1) printSourceCount(p, sources)
    else if (!printSources(p, start + at + 20, sources, '')) return false
    p.text(']')
    at += 20 + 16 * sources
  }
  return true
}
