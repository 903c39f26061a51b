/** GRE, version 0 (RFC 2784, 2890, 1701) and version 1, of PPTP (RFC 2637). */
import { printEthernet } from './ethernet.js'
import { ETHERTYPE, ETHERTYPE_NAMES } from './ethertype.js'
import { printIpv4 } from './ipv4.js'
import { printIpv6 } from './ipv6.js'
import { printMpls } from './mpls.js'
import type { PacketPrinter } from './packet-printer.js'
import { printPpp } from './pppoe.js'

const FLAG = { CHECKSUM: 0x8000, ROUTING: 0x4000, KEY: 0x2000, SEQUENCE: 0x1000, ACKNOWLEDGEMENT: 0x0080 } as const
const FLAG_NAMES = [
  [0x8000, 'checksum present'],
  [0x4000, 'routing present'],
  [0x2000, 'key present'],
  [0x1000, 'sequence# present'],
  [0x0800, 'source routing present'],
  [0x0080, 'ack present'],
] as const

export function printGre(p: PacketPrinter, start: number, length: number): void {
  if (length < 2 || !p.has(start, 2)) {
    p.ends('gre')
    return
  }
  const version = p.u16(start) & 7
  p.text('GREv')
  p.decimal(version)
  if (version > 1) {
    p.text(' ERROR: unknown-version')
    return
  }
  if (p.verbosity > 0) {
    p.text(', Flags [')
    p.flags(FLAG_NAMES, p.u16(start), ', ')
    p.text(']')
  }
  if (!has(p, start, length, 4)) return
  if (version === 0) printVersion0(p, start, length)
  else printVersion1(p, start, length)
}

/** False when the next `count` bytes are not there. */
function has(p: PacketPrinter, at: number, left: number, count: number): boolean {
  if (left >= count && p.has(at, count)) return true
  p.ends('gre')
  return false
}

function printVersion0(p: PacketPrinter, start: number, wireLength: number): void {
  const flags = p.u16(start)
  const protocol = p.u16(start + 2)
  let at = start + 4
  let left = wireLength - 4
  if ((flags & (FLAG.CHECKSUM | FLAG.ROUTING)) !== 0) {
    if (!has(p, at, left, 2)) return
    if (p.verbosity > 0) {
      p.text(', sum 0x')
      p.hex(p.u16(at))
    }
    if (!has(p, at + 2, left - 2, 2)) return
    p.text(', off 0x')
    p.hex(p.u16(at + 2))
    at += 4
    left -= 4
  }
  if ((flags & FLAG.KEY) !== 0) {
    if (!has(p, at, left, 4)) return
    p.text(', key=0x')
    p.hex(p.u32(at))
    at += 4
    left -= 4
  }
  if ((flags & FLAG.SEQUENCE) !== 0) {
    if (!has(p, at, left, 4)) return
    p.text(', seq ')
    p.decimal(p.u32(at))
    at += 4
    left -= 4
  }
  if ((flags & FLAG.ROUTING) !== 0) {
    for (;;) {
      if (!has(p, at, left, 4)) return
      const family = p.u16(at)
      const offset = p.u8(at + 2)
      const length = p.u8(at + 3)
      at += 4
      left -= 4
      if (family === 0 && length === 0) break
      if (!printRoute(p, family, offset, length, at, left)) return
      if (left < length) {
        p.ends('gre')
        return
      }
      at += length
      left -= length
    }
  }
  printProtocol(p, protocol, wireLength)
  printDivider(p)
  switch (protocol) {
    case ETHERTYPE.IP:
      printIpv4(p, at, left)
      return
    case ETHERTYPE.IPV6:
      printIpv6(p, at, left)
      return
    case ETHERTYPE.MPLS:
      printMpls(p, at, left)
      return
    case ETHERTYPE.TEB:
      printEthernet(p, at, left)
      return
    default:
      p.text('gre-proto-0x')
      p.hex(protocol)
  }
}

/** A source route entry (RFC 1701); false when it contradicts itself. */
function printRoute(p: PacketPrinter, family: number, offset: number, length: number, start: number, left: number): boolean {
  const isIp = family === ETHERTYPE.IP
  if (!isIp && family !== 0xfffe) {
    p.text(', (rtaf=0x')
    p.hex(family)
    p.text(')')
    return true
  }
  const unit = isIp ? 4 : 2
  p.text(isIp ? ', (rtaf=ip' : ', (rtaf=asn')
  if (offset % unit !== 0 || length % unit !== 0 || offset >= length) {
    if (offset % unit !== 0) {
      p.text(', badoffset=')
      p.decimal(offset)
    } else if (length % unit !== 0) {
      p.text(', badlength=')
      p.decimal(length)
    } else {
      p.text(', badoff/len=')
      p.decimal(offset)
      p.text('/')
      p.decimal(length)
    }
    p.text(')')
    p.ends('gre')
    return false
  }
  for (let i = 0; i < length; i += unit) {
    if (left - i < unit) {
      p.text(')')
      p.ends('gre')
      return false
    }
    if (!p.has(start + i, unit)) {
      p.ends('gre')
      return false
    }
    p.text(i === offset ? ' *' : ' ')
    if (isIp) p.ip4(start + i)
    else p.hex(p.u16(start + i))
  }
  p.text(')')
  return true
}

function printVersion1(p: PacketPrinter, start: number, wireLength: number): void {
  const flags = p.u16(start)
  const protocol = p.u16(start + 2)
  let at = start + 4
  let left = wireLength - 4
  if ((flags & FLAG.KEY) !== 0) {
    if (!has(p, at, left, 2) || !has(p, at + 2, left - 2, 2)) return
    p.text(', call ')
    p.decimal(p.u16(at + 2))
    at += 4
    left -= 4
  }
  if ((flags & FLAG.SEQUENCE) !== 0) {
    if (!has(p, at, left, 4)) return
    p.text(', seq ')
    p.decimal(p.u32(at))
    at += 4
    left -= 4
  }
  if ((flags & FLAG.ACKNOWLEDGEMENT) !== 0) {
    if (!has(p, at, left, 4)) return
    p.text(', ack ')
    p.decimal(p.u32(at))
    at += 4
    left -= 4
  }
  const carries = (flags & FLAG.SEQUENCE) !== 0
  if (!carries) p.text(', no-payload')
  printProtocol(p, protocol, wireLength)
  if (!carries) return
  printDivider(p)
  if (protocol === ETHERTYPE.PPP) {
    printPpp(p, at, left)
    return
  }
  p.text('gre-proto-0x')
  p.hex(protocol)
}

function printProtocol(p: PacketPrinter, protocol: number, length: number): void {
  if (p.link) {
    p.text(', proto ')
    p.text(ETHERTYPE_NAMES[protocol] ?? 'unknown')
    p.text(' (0x')
    p.hex(protocol, 4)
    p.text(')')
  }
  p.text(', length ')
  p.decimal(length)
}

function printDivider(p: PacketPrinter): void {
  p.text(p.verbosity === 0 ? ': ' : '\n\t')
}
