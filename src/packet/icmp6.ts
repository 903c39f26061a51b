/** ICMPv6 (RFC 4443). */
import { addWords, complement, correctChecksum } from '../bytes/checksum.js'
import { printAddress6 } from './icmp6-address.js'
import { IP_PROTOCOL } from './ip-protocol.js'
import { pseudoHeaderSum6 } from './ipv6.js'
import { printListener, printListenerQuery, printListenerReport } from './multicast-listener.js'
import { printDiscoveryOptions, printRouter } from './neighbour-discovery.js'
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
const NEIGHBOUR_FLAGS = [
  [0x80, 'router'],
  [0x40, 'solicited'],
  [0x20, 'override'],
] as const
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
        return printAddress6(p, ' for ', start + INNER_DESTINATION)
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
        return printListenerQuery(p, start, length)
      }
      p.text(' unknown-version (len ')
      p.decimal(length)
      p.text(') ')
      return true
    case TYPE.LISTENER_REPORT:
    case TYPE.LISTENER_DONE:
      return printListener(p, start)
    case TYPE.LISTENER_REPORT_2:
      return printListenerReport(p, start, length)
    case TYPE.ROUTER_SOLICITATION:
      return p.verbosity === 0 || printDiscoveryOptions(p, start + 8, length - 8)
    case TYPE.ROUTER_ADVERTISEMENT:
      return p.verbosity === 0 || printRouter(p, start, length)
    case TYPE.NEIGHBOUR_SOLICITATION:
      return printAddress6(p, ', who has ', start + 8) && (p.verbosity === 0 || printDiscoveryOptions(p, start + 24, length - 24))
    case TYPE.NEIGHBOUR_ADVERTISEMENT:
      if (!printAddress6(p, ', tgt is ', start + 8)) return false
      if (p.verbosity === 0) return true
      p.text(', Flags [')
      p.flags(NEIGHBOUR_FLAGS, p.u8(start + 4), ', ')
      p.text(']')
      return printDiscoveryOptions(p, start + 24, length - 24)
    case TYPE.REDIRECT:
      if (!printAddress6(p, ', ', start + 24)) return false
      return printAddress6(p, ' to ', start + 8) && (p.verbosity === 0 || printDiscoveryOptions(p, start + 40, length - 40))
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
  for (let at = start + 8; at < end; at += 16) if (!printAddress6(p, ', ', at)) return false
  return true
}

function printPrefixes(p: PacketPrinter, start: number, length: number): boolean {
  if (!p.has(start, 8)) {
    p.cut('icmp6')
    return false
  }
  const flags = p.u8(start + 6) >>> 6
  p.text(flags === 0 ? '' : flags === 1 ? ' O' : flags === 2 ? ' M' : ' MO')
  return printDiscoveryOptions(p, start + 8, length - 8)
}

function printUnreachable(p: PacketPrinter, start: number, code: number): boolean {
  p.text(', ')
  p.named(UNREACHABLE_NAMES, code, 'unknown unreach code (', ')')
  switch (code) {
    case 0:
    case 1:
    case 3:
      return printAddress6(p, ' ', start + INNER_DESTINATION)
    case 2:
      return printAddress6(p, ' ', start + INNER_DESTINATION) && printAddress6(p, ', source address ', start + INNER_SOURCE)
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
      if (!printAddress6(p, ', ', start + INNER_DESTINATION)) return false
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
