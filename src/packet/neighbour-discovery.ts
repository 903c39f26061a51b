/** Router advertisements and the options of neighbour discovery (RFC 4861, 4191, 6275, 8106). */
import { printAddress6 } from './icmp6-address.js'
import type { PacketPrinter } from './packet-printer.js'

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
const PREFIX_FLAGS = [
  [0x80, 'onlink'],
  [0x40, 'auto'],
  [0x20, 'router'],
] as const
const PREFERENCES = ['medium', 'high', 'rsv', 'low'] as const
const INFINITE = 0xffff_ffff

export function printRouter(p: PacketPrinter, start: number, length: number): boolean {
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
  return printDiscoveryOptions(p, start + 16, length - 16)
}

export function printDiscoveryOptions(p: PacketPrinter, start: number, bytes: number): boolean {
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
  if (!printAddress6(p, '', at + 16)) return false
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
