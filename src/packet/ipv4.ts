/** IPv4 (RFC 791): header, options, and its pseudo-header for the checksums of others. */
import { addWords, complement, correctChecksum } from '../bytes/checksum.js'
import { printIpPayload } from './ip.js'
import { IP_PROTOCOL, IP_PROTOCOL_NAMES } from './ip-protocol.js'
import type { PacketPrinter } from './packet-printer.js'

const HEADER_BYTES = 20
const OPTION_NAMES: Readonly<Record<number, string>> = {
  0: 'EOL',
  1: 'NOP',
  7: 'RR',
  68: 'timestamp',
  82: 'traceroute',
  130: 'security',
  131: 'LSRR',
  137: 'SSRR',
  148: 'RA',
}
const OPTION = { EOL: 0, NOP: 1, RR: 7, TIMESTAMP: 68, LSRR: 131, SSRR: 137, ROUTER_ALERT: 148 } as const
const FRAGMENT_FLAGS = [
  [0x2000, '+'],
  [0x4000, 'DF'],
  [0x8000, 'rsvd'],
] as const
const CONGESTION = ['', ',ECT(1)', ',ECT(0)', ',CE'] as const

export function printIpv4(p: PacketPrinter, start: number, wireLength: number): void {
  if (!p.has(start, 1)) {
    p.cut('ip')
    return
  }
  const version = p.u8(start) >>> 4
  if (version !== 4) {
    if (version === 6) {
      p.text('IP6, wrong link-layer encapsulation')
    } else {
      p.text('IP')
      p.decimal(version)
    }
    p.invalid()
    return
  }
  if (!p.link) p.text('IP ')
  if (!p.has(start, HEADER_BYTES)) {
    p.ends('ip')
    return
  }
  if (wireLength < HEADER_BYTES) {
    p.text('truncated-ip ')
    p.decimal(wireLength)
    return
  }
  const header = (p.u8(start) & 15) * 4
  if (header < HEADER_BYTES) {
    p.text('bad-hlen ')
    p.decimal(header)
    return
  }
  const length = p.u16(start + 2)
  if (wireLength < length) {
    p.text('truncated-ip - ')
    p.decimal(length - wireLength)
    p.text(' bytes missing! ')
  }
  if (length < header) {
    p.text('bad-len ')
    p.decimal(length)
    return
  }
  const end = p.end
  p.end = Math.min(end, start + length)
  printRest(p, start, header, length)
  p.end = end
}

function printRest(p: PacketPrinter, start: number, header: number, length: number): void {
  const fragment = p.u16(start + 6)
  const protocol = p.u8(start + 9)
  if (p.verbosity > 0 && !printHeader(p, start, header, fragment, protocol)) return
  if ((fragment & 0x1fff) !== 0) {
    printAddresses(p, start)
    p.text(': ip-proto-')
    p.decimal(protocol)
    return
  }
  if (protocol !== IP_PROTOCOL.TCP && protocol !== IP_PROTOCOL.UDP && protocol !== IP_PROTOCOL.SCTP && protocol !== IP_PROTOCOL.DCCP) {
    printAddresses(p, start)
    p.text(': ')
  }
  if (!p.has(start, header)) {
    p.text(' [remaining caplen(')
    p.decimal(p.end - start)
    p.text(') < header length(')
    p.decimal(header)
    p.text(')]')
    p.cut('ip')
    return
  }
  printIpPayload(p, protocol, start + header, length - header, start, (fragment & 0x2000) !== 0)
}

function printAddresses(p: PacketPrinter, start: number): void {
  p.ip4(start + 12)
  p.text(' > ')
  p.ip4(start + 16)
}

/** False when an option ends the packet. */
function printHeader(p: PacketPrinter, start: number, header: number, fragment: number, protocol: number): boolean {
  const tos = p.u8(start + 1)
  p.text('(tos 0x')
  p.hex(tos)
  p.text(CONGESTION[tos & 3] as string)
  const ttl = p.u8(start + 8)
  if (ttl >= 1) {
    p.text(', ttl ')
    p.decimal(ttl)
  }
  p.text(', id ')
  p.decimal(p.u16(start + 4))
  p.text(', offset ')
  p.decimal((fragment & 0x1fff) * 8)
  p.text(', flags [')
  p.flags(FRAGMENT_FLAGS, fragment, ', ')
  p.text('], proto ')
  p.text(IP_PROTOCOL_NAMES[protocol] ?? 'unknown')
  p.text(' (')
  p.decimal(protocol)
  p.text('), length ')
  p.decimal(p.u16(start + 2))
  let whole = true
  if (header > HEADER_BYTES) {
    p.text(', options (')
    whole = printOptions(p, start + HEADER_BYTES, header - HEADER_BYTES)
    if (p.stopped) return false
    if (!whole) p.text(' [truncated-option]')
    p.text(')')
  }
  if (p.has(start, header)) {
    const wrong = complement(addWords(p.packet, start, header, 0))
    if (wrong !== 0) {
      const found = p.u16(start + 10)
      p.text(', bad cksum ')
      p.hex(found)
      p.text(' (->')
      p.hex(correctChecksum(found, wrong))
      p.text(')!')
    }
  }
  p.text(')\n    ')
  if (whole) return true
  printAddresses(p, start)
  p.text(': ')
  p.ends('ip')
  return false
}

/** False when an option is cut off. */
function printOptions(p: PacketPrinter, start: number, optionBytes: number): boolean {
  let at = start
  let left = optionBytes
  let separator = ''
  while (left > 0) {
    p.text(separator)
    separator = ','
    if (!p.has(at, 1)) {
      p.cut('ip')
      return false
    }
    const code = p.u8(at)
    p.named(OPTION_NAMES, code, 'unknown ')
    let length = 1
    if (code !== OPTION.NOP && code !== OPTION.EOL) {
      if (!p.has(at, 2)) {
        p.cut('ip')
        return false
      }
      length = p.u8(at + 1)
    }
    if (length > left || (length < 2 && code !== OPTION.NOP && code !== OPTION.EOL)) {
      printBadLength(p, length)
      return true
    }
    if (!p.has(at, length)) return false
    if (code === OPTION.EOL) return true
    if (code === OPTION.TIMESTAMP) printTimestamps(p, at, length)
    else if (code === OPTION.RR || code === OPTION.LSRR || code === OPTION.SSRR) printRoute(p, at, length)
    else if (code === OPTION.ROUTER_ALERT) printRouterAlert(p, at, length)
    at += length
    left -= length
  }
  return true
}

function printBadLength(p: PacketPrinter, length: number): void {
  p.text(' [bad length ')
  p.decimal(length)
  p.text(']')
}

function printBadPointer(p: PacketPrinter, pointer: number): void {
  p.text('[bad ptr ')
  p.decimal(pointer)
  p.text(']')
}

function printRouterAlert(p: PacketPrinter, at: number, length: number): void {
  if (length < 4) {
    printBadLength(p, length)
  } else if (p.u16(at + 2) !== 0) {
    p.text(' value ')
    p.decimal(p.u16(at + 2))
  }
}

function printRoute(p: PacketPrinter, at: number, length: number): void {
  if (length < 3) {
    printBadLength(p, length)
    return
  }
  if (((length + 1) & 3) !== 0) printBadLength(p, length)
  // Counted from 1; 0 wraps, as an unsigned number does.
  const pointer = (p.u8(at + 2) - 1) >>> 0
  if (pointer < 3 || ((pointer + 1) & 3) !== 0 || pointer > length + 1) {
    p.text(' ')
    printBadPointer(p, p.u8(at + 2))
  }
  for (let entry = 3; entry < length; entry += 4) {
    if (!p.has(at + entry, 4)) return
    p.text(' ')
    p.ip4(at + entry)
    if (pointer > entry) p.text(',')
  }
}

function printTimestamps(p: PacketPrinter, at: number, length: number): void {
  if (length < 4) {
    p.text('[bad length ')
    p.decimal(length)
    p.text(']')
    return
  }
  p.text(' TS{')
  const kind = p.u8(at + 3) & 15
  const hop = kind === 0 ? 4 : 8
  if (((length - 4) & (hop - 1)) !== 0) {
    p.text('[bad length ')
    p.decimal(length)
    p.text(']')
  }
  const pointer = (p.u8(at + 2) - 1) >>> 0
  if (pointer < 4 || ((pointer - 4) & (hop - 1)) !== 0 || pointer > length + 1) printBadPointer(p, p.u8(at + 2))
  let entry = 0
  if (kind === 0 || kind === 1 || kind === 3) {
    p.text(kind === 0 ? 'TSONLY' : kind === 1 ? 'TS+ADDR' : 'PRESPEC')
    for (entry = 4; entry < length; entry += hop) {
      if (!p.has(at + entry, hop)) return
      p.text(pointer === entry ? ' ^ ' : ' ')
      p.decimal(p.u32(at + entry + hop - 4))
      p.text('@')
      if (hop === 8) p.ip4(at + entry)
    }
  } else {
    p.text('[bad ts type ')
    p.decimal(kind)
    p.text(']')
  }
  if (pointer === entry) p.text(' ^ ')
  const missed = p.u8(at + 3) >>> 4
  if (missed === 0) {
    p.text('}')
    return
  }
  p.text(' [')
  p.decimal(missed)
  p.text(' hops not recorded]} ')
}

/** Of the pseudo-header (RFC 793). With source routing the destination is the last of the route. */
export function pseudoHeaderSum4(p: PacketPrinter, start: number, protocol: number, length: number): number {
  let sum = addWords(p.packet, start + 12, 4, protocol)
  sum = addWords(p.packet, finalDestination(p, start), 4, sum)
  return sum + (length & 0xffff)
}

/** Offset of it. */
function finalDestination(p: PacketPrinter, start: number): number {
  const header = (p.u8(start) & 15) * 4
  let at = start + HEADER_BYTES
  let left = header - HEADER_BYTES
  while (left > 0 && p.has(at, 1)) {
    const code = p.u8(at)
    if (code === OPTION.EOL) break
    let length = 1
    if (code !== OPTION.NOP) {
      if (!p.has(at, 2)) break
      length = p.u8(at + 1)
      if (length < 2) break
    }
    if (left < length || !p.has(at, length)) break
    if ((code === OPTION.LSRR || code === OPTION.SSRR) && length >= 7) return at + length - 4
    at += length
    left -= length
  }
  return start + 16
}
