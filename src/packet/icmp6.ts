/** ICMPv6 (RFC 4443), neighbour discovery (RFC 4861) and multicast listeners (RFC 2710, 3810). */
import { addWords, complement, correctChecksum } from '../bytes/checksum.js'
import { IP_PROTOCOL } from './ip-protocol.js'
import { pseudoHeaderSum6 } from './ipv6.js'
import type { PacketPrinter } from './packet-printer.js'

const TYPE = {
  UNREACHABLE: 1,
  TOO_BIG: 2,
  TIME_EXCEEDED: 3,
  PARAMETER_PROBLEM: 4,
  ECHO_REQUEST: 128,
  ECHO_REPLY: 129,
  LISTENER_QUERY: 130,
  LISTENER_REPORT: 131,
  LISTENER_DONE: 132,
  ROUTER_SOLICITATION: 133,
  ROUTER_ADVERTISEMENT: 134,
  NEIGHBOUR_SOLICITATION: 135,
  NEIGHBOUR_ADVERTISEMENT: 136,
  REDIRECT: 137,
  INVERSE_SOLICITATION: 141,
  INVERSE_ADVERTISEMENT: 142,
  LISTENER_REPORT_2: 143,
  HOME_AGENT_REQUEST: 144,
  HOME_AGENT_REPLY: 145,
  PREFIX_SOLICITATION: 146,
  PREFIX_ADVERTISEMENT: 147,
} as const
const TYPE_NAMES: Readonly<Record<number, string>> = {
  1: 'destination unreachable',
  2: 'packet too big',
  3: 'time exceeded in-transit',
  4: 'parameter problem',
  128: 'echo request',
  129: 'echo reply',
  130: 'multicast listener query',
  131: 'multicast listener report',
  132: 'multicast listener done',
  133: 'router solicitation',
  134: 'router advertisement',
  135: 'neighbor solicitation',
  136: 'neighbor advertisement',
  137: 'redirect',
  138: 'router renumbering',
  139: 'node information query',
  140: 'node information reply',
  141: 'inverse neighbor solicitation',
  142: 'inverse neighbor advertisement',
  143: 'multicast listener report v2',
  144: 'ha discovery request',
  145: 'ha discovery reply',
  146: 'mobile router solicitation',
  147: 'mobile router advertisement',
  155: 'RPL',
  200: 'mtrace response',
  201: 'mtrace message',
}
/** With -v these say their length first. */
const LENGTH_FIRST: ReadonlySet<number> = new Set([133, 134, 135, 136, 137, 145, 147])
const UNREACHABLE_NAMES: Readonly<Record<number, string>> = {
  0: 'unreachable route',
  1: ' unreachable prohibited',
  2: 'beyond scope',
  3: 'unreachable address',
  4: 'unreachable port',
}
const RECORD_NAMES: Readonly<Record<number, string>> = { 1: 'is_in', 2: 'is_ex', 3: 'to_in', 4: 'to_ex', 5: 'allow', 6: 'block' }
const OPTION_NAMES: Readonly<Record<number, string>> = {
  1: 'source link-address',
  2: 'destination link-address',
  3: 'prefix info',
  4: 'redirected header',
  5: 'mtu',
  7: 'advertisement interval',
  8: 'homeagent information',
  24: 'route info',
  25: 'rdnss',
  31: 'dnssl',
}
const ROUTER_FLAGS = [
  [0x80, 'managed'],
  [0x40, 'other stateful'],
  [0x20, 'home agent'],
  [0x02, 'ipv6 only'],
] as const
const NEIGHBOUR_FLAGS = [
  [0x80, 'router'],
  [0x40, 'solicited'],
  [0x20, 'override'],
] as const
const PREFIX_FLAGS = [
  [0x80, 'onlink'],
  [0x40, 'auto'],
  [0x20, 'router'],
] as const
const PREFERENCES = ['medium', 'high', 'rsv', 'low'] as const
const INFINITE = 0xffff_ffff
const INNER = 8
const INNER_SOURCE = INNER + 8
const INNER_DESTINATION = INNER + 24

export function printIcmp6(p: PacketPrinter, start: number, wireLength: number, ipHeader: number, fragmented: boolean): void {
  if (wireLength === 0) {
    p.text('ICMP6, length 0')
    p.invalid()
    return
  }
  if (p.verbosity > 0 && !fragmented && p.has(start, wireLength)) printChecksum(p, start, wireLength, ipHeader)
  if (p.stopped) return
  if (!p.has(start, 1)) {
    p.cut('icmp6')
    return
  }
  const type = p.u8(start)
  p.text('ICMP6, ')
  p.named(TYPE_NAMES, type, 'unknown icmp6 type (', ')')
  const verbose = p.verbosity > 0
  if (verbose && LENGTH_FIRST.has(type)) {
    p.text(', length ')
    p.decimal(wireLength)
  }
  if (!p.has(start, 2)) {
    p.cut('icmp6')
    return
  }
  if (!printMessage(p, start, type, p.u8(start + 1), wireLength) || verbose) return
  p.text(', length ')
  p.decimal(wireLength)
}

function printChecksum(p: PacketPrinter, start: number, length: number, ipHeader: number): void {
  if (!p.has(start, 4)) {
    p.cut('icmp6')
    return
  }
  const wrong = complement(addWords(p.packet, start, length, pseudoHeaderSum6(p, ipHeader, IP_PROTOCOL.ICMPV6, length)))
  if (wrong === 0) {
    p.text('[icmp6 sum ok] ')
    return
  }
  const found = p.u16(start + 2)
  p.text('[bad icmp6 cksum 0x')
  p.hex(found, 4)
  p.text(' -> 0x')
  p.hex(correctChecksum(found, wrong), 4)
  p.text('!] ')
}

/** True when the length is still to be said. */
function printMessage(p: PacketPrinter, start: number, type: number, code: number, length: number): boolean {
  switch (type) {
    case TYPE.UNREACHABLE:
      return printUnreachable(p, start, code)
    case TYPE.TOO_BIG:
      return printNumber(p, start, ', mtu ')
    case TYPE.TIME_EXCEEDED:
      if (code === 0) {
        return printAddress(p, ' for ', start + INNER_DESTINATION)
      }
      if (code === 1) {
        p.text(' (reassembly)')
      } else {
        p.text(', unknown code (')
        p.decimal(code)
        p.text(')')
      }
      return true
    case TYPE.PARAMETER_PROBLEM:
      if (!p.has(start + INNER_DESTINATION, 16)) {
        p.ends('icmp6')
        return false
      }
      if (code > 3) {
        p.text(', code-#')
        p.decimal(code)
        return true
      }
      return printNumber(p, start, PROBLEMS[code] as string)
    case TYPE.ECHO_REQUEST:
    case TYPE.ECHO_REPLY:
      if (!p.has(start, 8)) {
        p.cut('icmp6')
        return false
      }
      p.text(', id ')
      p.decimal(p.u16(start + 4))
      p.text(', seq ')
      p.decimal(p.u16(start + 6))
      return true
    case TYPE.LISTENER_QUERY:
      if (length === 24) return printListener(p, start)
      if (length >= 28) {
        p.text(' v2')
        return printQuery(p, start, length)
      }
      p.text(' unknown-version (len ')
      p.decimal(length)
      p.text(') ')
      return true
    case TYPE.LISTENER_REPORT:
    case TYPE.LISTENER_DONE:
      return printListener(p, start)
    case TYPE.LISTENER_REPORT_2:
      return printReport(p, start, length)
    case TYPE.ROUTER_SOLICITATION:
      return p.verbosity === 0 || printOptions(p, start + 8, length - 8)
    case TYPE.ROUTER_ADVERTISEMENT:
      return p.verbosity === 0 || printRouter(p, start, length)
    case TYPE.NEIGHBOUR_SOLICITATION:
      return printAddress(p, ', who has ', start + 8) && (p.verbosity === 0 || printOptions(p, start + 24, length - 24))
    case TYPE.NEIGHBOUR_ADVERTISEMENT:
      if (!printAddress(p, ', tgt is ', start + 8)) return false
      if (p.verbosity === 0) return true
      p.text(', Flags [')
      p.flags(NEIGHBOUR_FLAGS, p.u8(start + 4), ', ')
      p.text(']')
      return printOptions(p, start + 24, length - 24)
    case TYPE.REDIRECT:
      if (!printAddress(p, ', ', start + 24)) return false
      return printAddress(p, ' to ', start + 8) && (p.verbosity === 0 || printOptions(p, start + 40, length - 40))
    case TYPE.HOME_AGENT_REQUEST:
    case TYPE.PREFIX_SOLICITATION:
      return printIdentifier(p, start)
    case TYPE.HOME_AGENT_REPLY:
      return p.verbosity === 0 || (printIdentifier(p, start) && printAgents(p, start, length))
    case TYPE.PREFIX_ADVERTISEMENT:
      return p.verbosity === 0 || (printIdentifier(p, start) && printPrefixes(p, start, length))
    case TYPE.INVERSE_SOLICITATION:
    case TYPE.INVERSE_ADVERTISEMENT:
      return true
    default:
      p.text(', length ')
      p.decimal(length)
      return false
  }
}

const PROBLEMS = [', erroneous - octet ', ', next header - octet ', ', option - octet ', ', incomplete header chain - octet '] as const

/** Nothing of it when the address is cut off. */
function printAddress(p: PacketPrinter, prefix: string, at: number): boolean {
  if (!p.has(at, 16)) {
    p.cut('icmp6')
    return false
  }
  p.text(prefix)
  p.ip6(at)
  return true
}

function printNumber(p: PacketPrinter, start: number, prefix: string): boolean {
  if (!p.has(start, 8)) {
    p.cut('icmp6')
    return false
  }
  p.text(prefix)
  p.decimal(p.u32(start + 4))
  return true
}

function printIdentifier(p: PacketPrinter, start: number): boolean {
  if (!p.has(start, 6)) {
    p.cut('icmp6')
    return false
  }
  p.text(', id 0x')
  p.hex(p.u16(start + 4), 4)
  return true
}

function printAgents(p: PacketPrinter, start: number, length: number): boolean {
  const end = Math.min(start + length, p.end)
  for (let at = start + 8; at < end; at += 16) if (!printAddress(p, ', ', at)) return false
  return true
}

function printPrefixes(p: PacketPrinter, start: number, length: number): boolean {
  if (!p.has(start, 8)) {
    p.cut('icmp6')
    return false
  }
  const flags = p.u8(start + 6) >>> 6
  p.text(flags === 0 ? '' : flags === 1 ? ' O' : flags === 2 ? ' M' : ' MO')
  return printOptions(p, start + 8, length - 8)
}

function printUnreachable(p: PacketPrinter, start: number, code: number): boolean {
  p.text(', ')
  p.named(UNREACHABLE_NAMES, code, 'unknown unreach code (', ')')
  switch (code) {
    case 0:
    case 1:
    case 3:
      return printAddress(p, ' ', start + INNER_DESTINATION)
    case 2:
      return printAddress(p, ' ', start + INNER_DESTINATION) && printAddress(p, ', source address ', start + INNER_SOURCE)
    case 4:
      return printPort(p, start)
    default:
      return false
  }
}

/** The port that was not reached, behind whatever extension headers the repeated packet has. */
function printPort(p: PacketPrinter, start: number): boolean {
  let at = start + INNER
  let next = p.has(at, 7) ? p.u8(at + 6) : -1
  let bytes = 40
  while (next >= 0 && at < p.end) {
    at += bytes
    if (next === IP_PROTOCOL.UDP || next === IP_PROTOCOL.TCP) {
      if (!p.has(at, 4)) break
      if (!printAddress(p, ', ', start + INNER_DESTINATION)) return false
      p.text(next === IP_PROTOCOL.TCP ? ' tcp port ' : ' udp port ')
      p.decimal(p.u16(at + 2))
      return true
    }
    if (!p.has(at, 4)) break
    if (next === IP_PROTOCOL.HOP_BY_HOP || next === IP_PROTOCOL.DESTINATION || next === IP_PROTOCOL.ROUTING) bytes = (p.u8(at + 1) + 1) * 8
    else if (next === IP_PROTOCOL.FRAGMENT && (p.u16(at + 2) & 0xfff8) === 0) bytes = 8
    else if (next === IP_PROTOCOL.AH) bytes = (p.u8(at + 1) + 2) * 4
    else break
    next = p.u8(at)
  }
  p.ends('icmp6')
  return false
}

function printListener(p: PacketPrinter, start: number): boolean {
  if (!p.has(start, 24)) return true
  p.text('max resp delay: ')
  p.decimal(p.u16(start + 4))
  p.text(' addr: ')
  p.ip6(start + 8)
  return true
}

function printQuery(p: PacketPrinter, start: number, length: number): boolean {
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
  if (!printAddress(p, ' [gaddr ', start + 8)) return false
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
    if (!printAddress(p, ' ', at + 16 * i)) return false
  }
  p.text(' }')
  p.text(closing)
  return true
}

function printReport(p: PacketPrinter, start: number, length: number): boolean {
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
    if (!printAddress(p, ' [gaddr ', start + at + 4)) return false
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

function printRouter(p: PacketPrinter, start: number, length: number): boolean {
  if (!p.has(start, 16)) {
    p.cut('icmp6')
    return false
  }
  p.text('\n\thop limit ')
  p.decimal(p.u8(start + 4))
  p.text(', Flags [')
  const flags = p.u8(start + 5)
  p.flags(ROUTER_FLAGS, flags, ', ')
  p.text('], pref ')
  p.text(PREFERENCES[(flags >>> 3) & 3] as string)
  p.text(', router lifetime ')
  p.decimal(p.u16(start + 6))
  p.text('s, reachable time ')
  p.decimal(p.u32(start + 8))
  p.text('ms, retrans timer ')
  p.decimal(p.u32(start + 12))
  p.text('ms')
  return printOptions(p, start + 16, length - 16)
}

function printOptions(p: PacketPrinter, start: number, bytes: number): boolean {
  let at = start
  let left = bytes
  while (at < p.end) {
    if (!p.has(at, 2)) {
      p.cut('icmp6')
      return false
    }
    if (left <= 0) return true
    const type = p.u8(at)
    const length = p.u8(at + 1) * 8
    if (length === 0 || !p.has(at, length)) {
      p.ends('icmp6')
      return false
    }
    p.text('\n\t  ')
    p.text(OPTION_NAMES[type] ?? 'unknown')
    p.text(' option (')
    p.decimal(type)
    p.text('), length ')
    p.decimal(length)
    p.text(' (')
    p.decimal(length / 8)
    p.text('): ')
    if (!printOption(p, at, type, length)) return !p.stopped
    at += length
    left -= length
  }
  return true
}

/** False when nothing is printed behind it. */
function printOption(p: PacketPrinter, at: number, type: number, length: number): boolean {
  switch (type) {
    case 1:
    case 2:
      p.colonHex(p.packet, at + 2, length - 2)
      return true
    case 3:
      return printPrefix(p, at, length)
    case 4:
      return true
    case 5:
      p.text(' ')
      p.decimal(p.u32(at + 4))
      if (length !== 8) p.text('bad option length')
      return true
    case 7:
      p.text(' ')
      p.decimal(p.u32(at + 4))
      p.text('ms')
      return true
    case 8:
      p.text(' preference ')
      p.decimal(p.u16(at + 4))
      p.text(', lifetime ')
      p.decimal(p.u16(at + 6))
      return true
    case 24:
      return printRoute(p, at, length)
    case 25:
      p.text(' lifetime ')
      p.decimal(p.u32(at + 4))
      p.text('s,')
      for (let i = 0; i < (length / 8 - 1) >>> 1; i++) {
        p.text(' addr: ')
        p.ip6(at + 8 + 16 * i)
      }
      return true
    case 31:
      return printDomains(p, at, length)
    default:
      return p.verbosity > 1
  }
}

function printLifetime(p: PacketPrinter, seconds: number): void {
  if (seconds === INFINITE) {
    p.text('infinity')
    return
  }
  p.decimal(seconds)
  p.text('s')
}

function printPrefix(p: PacketPrinter, at: number, length: number): boolean {
  if (!printAddress(p, '', at + 16)) return false
  p.text('/')
  p.decimal(p.u8(at + 2))
  if (length !== 32) p.text('badlen')
  p.text(', Flags [')
  p.flags(PREFIX_FLAGS, p.u8(at + 3), ', ')
  p.text('], valid time ')
  printLifetime(p, p.u32(at + 4))
  p.text(', pref. time ')
  printLifetime(p, p.u32(at + 8))
  return true
}

const ROUTE_PREFIX = new Uint8Array(16)

function printRoute(p: PacketPrinter, at: number, length: number): boolean {
  if (length > 24) {
    p.ends('icmp6')
    return false
  }
  ROUTE_PREFIX.fill(0)
  for (let i = 0; i < length - 8; i++) ROUTE_PREFIX[i] = p.u8(at + 8 + i)
  p.text(' ')
  p.ipv6(ROUTE_PREFIX, 0)
  p.text('/')
  p.decimal(p.u8(at + 2))
  p.text(', pref=')
  p.text(PREFERENCES[(p.u8(at + 3) >>> 3) & 3] as string)
  p.text(', lifetime=')
  printLifetime(p, p.u32(at + 4))
  return true
}

/** Names without compression (RFC 8106), to the end of the option at most. */
function printDomains(p: PacketPrinter, start: number, length: number): boolean {
  p.text(' lifetime ')
  p.decimal(p.u32(start + 4))
  p.text('s, domain(s):')
  const end = start + length
  let at = start + 8
  while (at < end && p.u8(at) !== 0) {
    p.text(' ')
    while (at < end && p.u8(at) !== 0) {
      const label = p.u8(at++)
      if (label > 63 || at + label > end) {
        p.ends('icmp6')
        return false
      }
      for (let i = 0; i < label; i++) p.printable(p.u8(at + i))
      p.text('.')
      at += label
    }
    at++
  }
  return true
}
