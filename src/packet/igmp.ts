/** IGMP, versions 1 to 3 (RFC 1112, 2236, 3376). DVMRP and PIMv1 inside it are told by name. */
import { addWords, complement } from '../bytes/checksum.js'
import type { PacketPrinter } from './packet-printer.js'

const RECORD_NAMES: Readonly<Record<number, string>> = { 1: 'is_in', 2: 'is_ex', 3: 'to_in', 4: 'to_ex', 5: 'allow', 6: 'block' }
/** What version 2 and 3 take for granted, in tenths of a second. */
const USUAL_RESPONSE_TIME = 100

export function printIgmp(p: PacketPrinter, start: number, length: number): void {
  if (p.quiet) {
    p.text('igmp')
    return
  }
  if (!p.has(start, 1)) {
    p.cut('igmp')
    return
  }
  printMessage(p, start, length)
  if (p.stopped || p.verbosity === 0 || length < 4 || !p.has(start, length)) return
  if (complement(addWords(p.packet, start, length, 0)) === 0) return
  p.text(' bad igmp cksum ')
  p.hex(p.u16(start + 2))
  p.text('!')
}

function printMessage(p: PacketPrinter, start: number, length: number): void {
  const type = p.u8(start)
  switch (type) {
    case 0x11:
      p.text('igmp query')
      if (length >= 12) printQuery3(p, start, length)
      else printQuery(p, start, length)
      return
    case 0x12:
      if (!printGroup(p, start, 'igmp v1 report ')) return
      if (length !== 8) printLength(p, length)
      return
    case 0x16:
      printGroup(p, start, 'igmp v2 report ')
      return
    case 0x17:
      printGroup(p, start, 'igmp leave ')
      return
    case 0x22:
      p.text('igmp v3 report')
      printReport3(p, start, length)
      return
    case 0x13:
      p.text('igmp dvmrp')
      if (length < 8) printLength(p, length)
      return
    case 0x14:
      p.text('igmp pimv1')
      return
    case 0x1e:
    case 0x1f:
      printTrace(p, start, length, type === 0x1e ? 'mresp ' : 'mtrace ')
      return
    default:
      p.text('igmp-')
      p.decimal(type)
  }
}

function printLength(p: PacketPrinter, length: number): void {
  p.text(' [len ')
  p.decimal(length)
  p.text(']')
}

function printInvalidLength(p: PacketPrinter, length: number): void {
  p.text(' [invalid len ')
  p.decimal(length)
  p.text(']')
}

function printGroup(p: PacketPrinter, start: number, name: string): boolean {
  if (!p.has(start, 8)) {
    p.cut('igmp')
    return false
  }
  p.text(name)
  p.ip4(start + 4)
  return true
}

function printQuery(p: PacketPrinter, start: number, length: number): void {
  if (!p.has(start, 2)) {
    p.cut('igmp')
    return
  }
  const time = p.u8(start + 1)
  p.text(time === 0 ? ' v1' : ' v2')
  if (time !== 0 && time !== USUAL_RESPONSE_TIME) {
    p.text(' [max resp time ')
    p.decimal(time)
    p.text(']')
  }
  if (!p.has(start, 8)) {
    p.cut('igmp')
    return
  }
  if (p.u32(start + 4) !== 0) {
    p.text(' [gaddr ')
    p.ip4(start + 4)
    p.text(']')
  }
  if (length !== 8) printLength(p, length)
}

function printQuery3(p: PacketPrinter, start: number, length: number): void {
  p.text(' v3')
  if ((length & 3) !== 0) {
    printInvalidLength(p, length)
    return
  }
  if (!p.has(start, 2)) {
    p.cut('igmp')
    return
  }
  const code = p.u8(start + 1)
  if (code !== USUAL_RESPONSE_TIME) {
    const tenths = code < 128 ? code : ((code & 15) | 16) << (((code & 0x70) >>> 4) + 3)
    p.text(' [max resp time ')
    if (tenths < 600) {
      p.decimal(Math.floor(tenths / 10))
      p.text('.')
      p.decimal(tenths % 10)
      p.text('s')
    } else {
      printDuration(p, Math.floor(tenths / 10))
    }
    p.text(']')
  }
  if (!p.has(start, 8)) {
    p.cut('igmp')
    return
  }
  if (p.u32(start + 4) === 0) return
  p.text(' [gaddr ')
  p.ip4(start + 4)
  if (!p.has(start, 12)) {
    p.cut('igmp')
    return
  }
  const sources = p.u16(start + 10)
  if (sources > 0) {
    if (length < 12 + 4 * sources) p.text(' [invalid number of sources]')
    else if (!printSources(p, start + 12, sources)) return
  }
  p.text(']')
}

/** `5m1s`, of less than an hour. */
function printDuration(p: PacketPrinter, seconds: number): void {
  if (seconds >= 60) {
    p.decimal(Math.floor(seconds / 60))
    p.text('m')
  }
  if (seconds % 60 === 0) return
  p.decimal(seconds % 60)
  p.text('s')
}

/** Their number, with -vv themselves. */
function printSources(p: PacketPrinter, at: number, count: number): boolean {
  if (p.verbosity < 2) {
    p.text(', ')
    p.decimal(count)
    p.text(' source(s)')
    return true
  }
  p.text(' {')
  for (let i = 0; i < count; i++) {
    if (!p.has(at + 4 * i, 4)) {
      p.cut('igmp')
      return false
    }
    p.text(' ')
    p.ip4(at + 4 * i)
  }
  p.text(' }')
  return true
}

function printReport3(p: PacketPrinter, start: number, length: number): void {
  if (length < 16 || (length & 3) !== 0) {
    printInvalidLength(p, length)
    return
  }
  if (!p.has(start, 8)) {
    p.cut('igmp')
    return
  }
  const groups = p.u16(start + 6)
  p.text(', ')
  p.decimal(groups)
  p.text(' group record(s)')
  if (p.verbosity === 0) return
  let at = 8
  for (let i = 0; i < groups; i++) {
    if (length < at + 8) {
      p.text(' [invalid number of groups]')
      return
    }
    if (!p.has(start + at, 8)) {
      p.cut('igmp')
      return
    }
    p.text(' [gaddr ')
    p.ip4(start + at + 4)
    p.text(' ')
    p.named(RECORD_NAMES, p.u8(start + at), ' [v3-report-#', ']')
    const sources = p.u16(start + at + 2)
    if (length < at + 8 + 4 * sources) {
      p.text(' [invalid number of sources ')
      p.decimal(sources)
      p.text(']')
      return
    }
    if (!printSources(p, start + at + 8, sources)) return
    p.text(']')
    at += 8 + 4 * sources
  }
}

function printTrace(p: PacketPrinter, start: number, length: number, name: string): void {
  if (length < 24) {
    printInvalidLength(p, length)
    return
  }
  if (!p.has(start, 24)) {
    p.cut('igmp')
    return
  }
  p.text(name)
  p.decimal(p.u32(start + 20) & 0xffffff)
  p.text(': ')
  p.ip4(start + 8)
  p.text(' to ')
  p.ip4(start + 12)
  p.text(' reply-to ')
  p.ip4(start + 16)
  if (p.u8(start + 16) >>> 4 !== 14) return
  p.text(' with-ttl ')
  p.decimal(p.u8(start + 20))
}
