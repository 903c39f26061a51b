/** IPv6 (RFC 8200): header, extension headers, and its pseudo-header for the checksums of others. */
import { addWords } from '../bytes/checksum.js'
import { printIpPayload } from './ip.js'
import { IP_PROTOCOL, IP_PROTOCOL_NAMES } from './ip-protocol.js'
import type { PacketPrinter } from './packet-printer.js'

const HEADER_BYTES = 40
const NONE_BEFORE = 255
const OPTION = { PAD1: 0, PADN: 1, ROUTER_ALERT: 5, JUMBO: 0xc2, HOME_ADDRESS: 0xc9 } as const
const HOME_ADDRESS_BYTES = 18
const LARGEST_NOT_JUMBO = 65535

export function printIpv6(p: PacketPrinter, start: number, wireLength: number): void {
  if (!p.has(start, HEADER_BYTES)) {
    p.ends('ip6')
    return
  }
  if (wireLength < HEADER_BYTES) {
    p.text('truncated-ip6 ')
    p.decimal(wireLength)
    return
  }
  if (!p.link) p.text('IP6 ')
  const version = p.u8(start) >>> 4
  if (version !== 6) {
    p.text('version error: ')
    p.decimal(version)
    p.text(' != 6')
    return
  }
  const payload = p.u16(start + 4)
  let length = payload + HEADER_BYTES
  if (payload === 0) {
    // Jumbograms have none; what there is goes for the payload until it is known whether it is one.
    length = wireLength + HEADER_BYTES
  } else if (wireLength < length) {
    p.text('truncated-ip6 - ')
    p.decimal(length - wireLength)
    p.text(' bytes missing!')
  }
  if (p.verbosity > 0) printHeader(p, start, payload)
  const end = p.end
  p.end = Math.min(end, start + length)
  printChain(p, start, wireLength, length, payload, end)
  p.end = end
}

function printHeader(p: PacketPrinter, start: number, payload: number): void {
  const flow = p.u32(start)
  p.text('(')
  const trafficClass = (flow >>> 20) & 0xff
  if (trafficClass !== 0) {
    p.text('class 0x')
    p.hex(trafficClass, 2)
    p.text(', ')
  }
  if ((flow & 0xfffff) !== 0) {
    p.text('flowlabel 0x')
    p.hex(flow & 0xfffff, 5)
    p.text(', ')
  }
  p.text('hlim ')
  p.decimal(p.u8(start + 7))
  p.text(', next-header ')
  p.text(IP_PROTOCOL_NAMES[p.u8(start + 6)] ?? 'unknown')
  p.text(' (')
  p.decimal(p.u8(start + 6))
  p.text(') payload length: ')
  p.decimal(payload)
  p.text(') ')
}

/** The extension headers, then what they carry. `total` is the header and its payload, `outerEnd` the end before that cut it. */
function printChain(p: PacketPrinter, start: number, wireLength: number, total: number, payloadLength: number, outerEnd: number): void {
  let at = start
  let advance = HEADER_BYTES
  let passed = 0
  let left = total
  let next = p.u8(start + 6)
  let previous: number = NONE_BEFORE
  let hopByHop = false
  let fragmented = false
  let jumbo = 0
  while (at < p.end && advance > 0) {
    if (left < advance) {
      p.ends('ip6')
      return
    }
    at += advance
    left -= advance
    passed += advance
    if (passed === HEADER_BYTES && next !== IP_PROTOCOL.TCP && next !== IP_PROTOCOL.UDP && next !== IP_PROTOCOL.DCCP && next !== IP_PROTOCOL.SCTP) {
      p.ip6(start + 8)
      p.text(' > ')
      p.ip6(start + 24)
      p.text(': ')
    }
    switch (next) {
      case IP_PROTOCOL.HOP_BY_HOP:
        if (hopByHop || previous !== NONE_BEFORE) {
          p.text(hopByHop ? '[The Hop-by-Hop Options header was already found]' : "[The Hop-by-Hop Options header don't follow the IPv6 header]")
          p.invalid()
          return
        }
        jumbo = payloadLength === 0 ? jumboLength(p, at) : 0
        advance = printOptionHeader(p, at, 'hbhopt', 'HBH ', payloadLength)
        if (p.lost) return
        if (payloadLength === 0 && jumbo === 0) {
          p.text('[No valid Jumbo Payload Hop-by-Hop option found]')
          p.invalid()
          return
        }
        hopByHop = true
        break
      case IP_PROTOCOL.DESTINATION:
        advance = printOptionHeader(p, at, 'dstopt', 'DSTOPT ', -1)
        break
      case IP_PROTOCOL.FRAGMENT:
        advance = printFragment(p, at, start)
        if (advance > 0 && p.end <= at + advance) return
        fragmented = true
        break
      case IP_PROTOCOL.ROUTING:
        advance = printRouting(p, at)
        break
      case IP_PROTOCOL.MOBILITY:
      case IP_PROTOCOL.MOBILITY_OLD:
        p.text('mobility, length ')
        p.decimal(left)
        return
      default:
        if (jumbo > 0) {
          left = jumbo + HEADER_BYTES
          if (left < passed) {
            p.ends('ip6')
            return
          }
          if (wireLength < left) {
            p.text('truncated-ip6 - ')
            p.decimal(left - wireLength)
            p.text(' bytes missing!')
          }
          p.end = Math.min(outerEnd, start + left)
          left -= passed
        } else if (payloadLength === 0) {
          if (previous !== NONE_BEFORE) {
            p.ends('ip6')
            return
          }
          left = HEADER_BYTES
          p.end = Math.min(outerEnd, start + left)
          left -= passed
        }
        printIpPayload(p, next, at, left, start, fragmented)
        return
    }
    if (advance <= 0 || p.stopped) return
    previous = next
    next = p.u8(at)
  }
}

/** Answers the bytes of the header, 0 when it cannot be passed. `payloadLength` is -1 where jumbo payloads do not belong. */
function printOptionHeader(p: PacketPrinter, at: number, protocol: string, title: string, payloadLength: number): number {
  if (!p.has(at, 2)) {
    p.cut(protocol)
    return 0
  }
  const bytes = (p.u8(at + 1) + 1) * 8
  if (!p.has(at, bytes)) {
    p.ends(protocol)
    return 0
  }
  p.text(title)
  if (payloadLength < 0 && p.verbosity === 0) return bytes
  return printOptions(p, at + 2, bytes - 2, protocol, payloadLength) ? bytes : 0
}

/** False when an option goes beyond the header. */
function printOptions(p: PacketPrinter, start: number, bytes: number, protocol: string, payloadLength: number): boolean {
  const verbose = p.verbosity > 0
  let jumboSeen = false
  let length = 0
  for (let at = start, left = bytes; left > 0; at += length, left -= length) {
    const type = p.u8(at)
    length = type === OPTION.PAD1 ? 1 : left < 2 ? left + 1 : p.u8(at + 1) + 2
    if (length > left) {
      p.ends(protocol)
      return false
    }
    switch (type) {
      case OPTION.PAD1:
        if (verbose) p.text('(pad1)')
        break
      case OPTION.PADN:
        if (verbose) p.text('(padn)')
        break
      case OPTION.ROUTER_ALERT:
        if (length !== 4) return printBadOption(p, 'rtalert', length, left < 4, protocol)
        if (!verbose) break
        p.text('(rtalert: 0x')
        p.hex(p.u16(at + 2), 4)
        p.text(') ')
        break
      case OPTION.JUMBO:
        if (length !== 6) return printBadOption(p, 'jumbo', length, left < 6, protocol)
        if (verbose) printJumbo(p, p.u32(at + 2), jumboSeen, payloadLength)
        jumboSeen = true
        break
      case OPTION.HOME_ADDRESS:
        if (length < HOME_ADDRESS_BYTES) return printBadOption(p, 'homeaddr', length, left < HOME_ADDRESS_BYTES, protocol)
        if (!verbose) break
        p.text('(homeaddr: ')
        p.ip6(at + 2)
        if (!printSuboptions(p, at + HOME_ADDRESS_BYTES, length - HOME_ADDRESS_BYTES)) {
          p.ends(protocol)
          return false
        }
        p.text(')')
        break
      default:
        if (!verbose) break
        p.text('(opt_type 0x')
        p.hex(type, 2)
        p.text(': len=')
        p.decimal(length - 2)
        p.text(')')
    }
  }
  if (verbose) p.text(' ')
  return true
}

/** `cut` says that the header ends before the option could. */
function printBadOption(p: PacketPrinter, name: string, length: number, cut: boolean, protocol: string): boolean {
  p.text('(')
  p.text(name)
  if (cut) {
    p.text(': trunc)')
  } else {
    p.text(': invalid len ')
    p.decimal(length - 2)
    p.text(')')
  }
  p.ends(protocol)
  return false
}

function printJumbo(p: PacketPrinter, jumbo: number, seen: boolean, payloadLength: number): void {
  p.text('(jumbo: ')
  p.decimal(jumbo)
  if (seen) p.text(' - already seen')
  else if (payloadLength < 0) p.text(' - not a hop-by-hop option')
  else if (payloadLength !== 0) p.text(' - payload len != 0')
  else if (jumbo <= LARGEST_NOT_JUMBO) p.text(' - < 65536')
  p.text(') ')
}

function printSuboptions(p: PacketPrinter, start: number, bytes: number): boolean {
  let length = 0
  for (let at = start, left = bytes; left > 0; at += length, left -= length) {
    const type = p.u8(at)
    length = type === OPTION.PAD1 ? 1 : left < 2 ? left + 1 : p.u8(at + 1) + 2
    if (length > left) return false
    if (type === OPTION.PAD1) {
      p.text(', pad1')
    } else if (type === OPTION.PADN) {
      p.text(', padn')
    } else {
      p.text(', sopt_type 0x')
      p.hex(type, 2)
      p.text(': len=')
      p.decimal(length - 2)
    }
  }
  return true
}

function suboptionsFit(p: PacketPrinter, start: number, end: number): boolean {
  let at = start
  while (at < end) at += p.u8(at) === OPTION.PAD1 ? 1 : at + 1 < end ? p.u8(at + 1) + 2 : 2
  return at === end
}

/** The length of a jumbogram that a hop-by-hop header of a packet without a payload length has, 0 without. */
function jumboLength(p: PacketPrinter, at: number): number {
  if (!p.has(at, 2)) return 0
  const bytes = (p.u8(at + 1) + 1) * 8
  if (!p.has(at, bytes)) return 0
  const end = at + bytes
  for (let option = at + 2; option + 1 < end; ) {
    const type = p.u8(option)
    const length = type === OPTION.PAD1 ? 1 : p.u8(option + 1) + 2
    // Nothing behind an option that contradicts itself counts.
    if (option + length > end || (type === OPTION.ROUTER_ALERT && length !== 4) || (type === OPTION.HOME_ADDRESS && length < HOME_ADDRESS_BYTES)) return 0
    // tcpdump looks into it only to print it.
    if (type === OPTION.HOME_ADDRESS && p.verbosity > 0 && !suboptionsFit(p, option + HOME_ADDRESS_BYTES, option + length)) return 0
    if (type === OPTION.JUMBO) {
      const jumbo = length === 6 ? p.u32(option + 2) : 0
      return jumbo > LARGEST_NOT_JUMBO ? jumbo : 0
    }
    option += length
  }
  return 0
}

/** Answers 8, or 0 when nothing behind it can be read. */
function printFragment(p: PacketPrinter, at: number, start: number): number {
  if (!p.has(at, p.verbosity > 0 ? 8 : 4)) {
    p.cut('frag6')
    return 0
  }
  p.text('frag (')
  if (p.verbosity > 0) {
    p.text('0x')
    p.hex(p.u32(at + 4), 8)
    p.text(':')
  }
  const offset = p.u16(at + 2) & 0xfff8
  p.decimal(offset)
  p.text('|')
  const rest = HEADER_BYTES + p.u16(start + 4) - (at - start) - 8
  if (rest < 0) {
    p.text('[length < 0] (invalid))')
  } else {
    p.decimal(rest)
    p.text(')')
  }
  if (offset !== 0) return 0
  p.text(' ')
  return 8
}

function printRouting(p: PacketPrinter, at: number): number {
  if (!p.has(at, 1)) {
    p.ends('ip6')
    return 0
  }
  p.text('RT6')
  if (!p.has(at, 2)) {
    p.cut('rt6')
    return 0
  }
  const units = p.u8(at + 1)
  p.text(' (len=')
  p.decimal(units)
  if (!p.has(at, 3)) {
    p.cut('rt6')
    return 0
  }
  const type = p.u8(at + 2)
  p.text(', type=')
  p.decimal(type)
  if (type === 0) p.text(' [Deprecated]')
  if (!p.has(at, 4)) {
    p.cut('rt6')
    return 0
  }
  p.text(', segleft=')
  p.decimal(p.u8(at + 3))
  if (type === 0 || type === 2) {
    if (!p.has(at, 8)) {
      p.cut('rt6')
      return 0
    }
    const reserved = p.u32(at + 4)
    if (reserved !== 0 || p.verbosity > 0) {
      p.text(', rsv=0x')
      p.hex(reserved)
    }
    if (units % 2 === 1) {
      p.text(' (invalid length ')
      p.decimal(units)
      p.text(')')
      p.invalid()
      return 0
    }
    if (!printSegments(p, at + 8, units >>> 1)) return 0
  } else if (type === 4) {
    if (!p.has(at, 5)) {
      p.cut('rt6')
      return 0
    }
    p.text(', last-entry=')
    p.decimal(p.u8(at + 4))
    if (!p.has(at, 6)) {
      p.cut('rt6')
      return 0
    }
    if (p.u8(at + 5) !== 0 || p.verbosity > 0) {
      p.text(', flags=0x')
      p.hex(p.u8(at + 5))
    }
    if (!p.has(at, 8)) {
      p.cut('rt6')
      return 0
    }
    p.text(', tag=')
    p.hex(p.u16(at + 6))
    if (units % 2 === 1) {
      p.text(' (invalid length ')
      p.decimal(units)
      p.text(')')
      p.invalid()
      return 0
    }
    if (!printSegments(p, at + 8, units >>> 1)) return 0
  } else {
    p.text(' (unknown type)')
    p.invalid()
    return 0
  }
  p.text(') ')
  return (units + 1) * 8
}

function printSegments(p: PacketPrinter, at: number, count: number): boolean {
  for (let i = 0; i < count; i++) {
    if (!p.has(at + 16 * i, 16)) {
      p.cut('rt6')
      return false
    }
    p.text(', [')
    p.decimal(i)
    p.text(']')
    p.ip6(at + 16 * i)
  }
  return true
}

/** Of the pseudo-header (RFC 8200, 8.1). With a routing header the destination is the last of the route. */
export function pseudoHeaderSum6(p: PacketPrinter, start: number, protocol: number, length: number): number {
  let sum = addWords(p.packet, start + 8, 16, protocol)
  sum = addWords(p.packet, finalDestination(p, start), 16, sum)
  return sum + (length & 0xffff) + ((length >>> 16) & 0xffff)
}

/** Offset of it. */
function finalDestination(p: PacketPrinter, start: number): number {
  let at = start + HEADER_BYTES
  let next = p.u8(start + 6)
  let destination = start + 24
  while (at < p.end) {
    switch (next) {
      case IP_PROTOCOL.HOP_BY_HOP:
      case IP_PROTOCOL.DESTINATION:
      case IP_PROTOCOL.MOBILITY:
      case IP_PROTOCOL.MOBILITY_OLD:
        if (!p.has(at, 2)) return destination
        next = p.u8(at)
        at += (p.u8(at + 1) + 1) * 8
        break
      case IP_PROTOCOL.FRAGMENT:
        next = p.u8(at)
        at += 8
        break
      case IP_PROTOCOL.ROUTING: {
        if (!p.has(at, 4)) return destination
        const units = p.u8(at + 1)
        const type = p.u8(at + 2)
        if (units % 2 === 1) return destination
        if (type === 0 || type === 2) {
          for (let i = 0; i < units >>> 1 && p.has(at + 8 + 16 * i, 16); i++) destination = at + 8 + 16 * i
        } else if (type === 4 && p.has(at + 8, 16)) {
          destination = at + 8
        }
        return destination
      }
      default:
        return destination
    }
  }
  return destination
}
