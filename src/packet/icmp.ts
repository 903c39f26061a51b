/** ICMP (RFC 792, 950, 1256). Extensions of errors (RFC 4884) are not printed. */
import { addWords, complement, correctChecksum } from '../bytes/checksum.js'
import { IP_PROTOCOL } from './ip-protocol.js'
import { printIpv4 } from './ipv4.js'
import type { PacketPrinter } from './packet-printer.js'

const TYPE = {
  ECHO_REPLY: 0,
  UNREACHABLE: 3,
  REDIRECT: 5,
  ECHO: 8,
  ROUTER_ADVERTISEMENT: 9,
  TIME_EXCEEDED: 11,
  PARAMETER_PROBLEM: 12,
  TIMESTAMP: 13,
  TIMESTAMP_REPLY: 14,
  MASK_REPLY: 18,
} as const
const TYPE_NAMES: Readonly<Record<number, string>> = {
  0: 'echo reply',
  4: 'source quench',
  8: 'echo request',
  10: 'router solicitation',
  13: 'time stamp request',
  14: 'time stamp reply',
  15: 'information request',
  16: 'information reply',
  17: 'address mask request',
}
/** Before and behind the address. */
const UNREACHABLE: Readonly<Record<number, readonly [string, string]>> = {
  0: ['net ', ' unreachable'],
  1: ['host ', ' unreachable'],
  5: ['', ' unreachable - source route failed'],
  6: ['net ', ' unreachable - unknown'],
  7: ['host ', ' unreachable - unknown'],
  8: ['', ' unreachable - source host isolated'],
  9: ['net ', ' unreachable - admin prohibited'],
  10: ['host ', ' unreachable - admin prohibited'],
  11: ['net ', ' unreachable - tos prohibited'],
  12: ['host ', ' unreachable - tos prohibited'],
  13: ['host ', ' unreachable - admin prohibited filter'],
  14: ['host ', ' unreachable - host precedence violation'],
  15: ['host ', ' unreachable - precedence cutoff'],
}
const REDIRECTS: Readonly<Record<number, readonly [string, string]>> = {
  0: ['redirect ', ' to net '],
  1: ['redirect ', ' to host '],
  2: ['redirect-tos ', ' to net '],
  3: ['redirect-tos ', ' to host '],
}
/** Errors repeat the packet that they are about: unreachable, source quench, redirect, time exceeded, parameter problem. */
const ERRORS: ReadonlySet<number> = new Set([3, 4, 5, 11, 12])

/** Offsets of the header that an error repeats. */
const INNER = 8
const INNER_PROTOCOL = INNER + 9
const INNER_DESTINATION = INNER + 16

export function printIcmp(p: PacketPrinter, start: number, wireLength: number, fragmented: boolean): void {
  if (!p.has(start, 2) || !p.has(start, neededBytes(p, start))) {
    if (p.has(start, 2) && isKnownCut(p, start)) p.ends('icmp')
    else p.cut('icmp')
    return
  }
  const type = p.u8(start)
  p.text('ICMP ')
  printMessage(p, start, type, p.u8(start + 1))
  p.text(', length ')
  p.decimal(wireLength)
  if (p.verbosity === 0) return
  if (!fragmented && p.has(start, wireLength)) {
    const wrong = complement(addWords(p.packet, start, wireLength, 0))
    if (wrong !== 0) {
      if (!p.has(start, 4)) {
        p.cut('icmp')
        return
      }
      const found = p.u16(start + 2)
      p.text(' (wrong icmp cksum ')
      p.hex(found)
      p.text(' (->')
      p.hex(correctChecksum(found, wrong))
      p.text(')!)')
    }
  }
  if (!ERRORS.has(type)) return
  p.text('\n\t')
  if (!p.has(start + INNER, 4)) {
    p.cut('icmp')
    return
  }
  const inner = p.u16(start + INNER + 2)
  if (inner < 4) {
    p.cut('icmp')
    return
  }
  const end = p.end
  p.end = Math.min(end, start + INNER + inner)
  printIpv4(p, start + INNER, inner)
  p.end = end
}

/** Of these, cut off, tcpdump still knows where the link-layer header ends. */
function isKnownCut(p: PacketPrinter, start: number): boolean {
  const type = p.u8(start)
  if (type === TYPE.TIME_EXCEEDED || type === TYPE.ROUTER_ADVERTISEMENT || type === TYPE.TIMESTAMP_REPLY) return true
  return type === TYPE.UNREACHABLE && p.u8(start + 1) === 3 && !p.has(start, INNER_PROTOCOL + 1)
}

/** What must be there of the message before anything is printed of it. */
function neededBytes(p: PacketPrinter, start: number): number {
  const code = p.u8(start + 1)
  switch (p.u8(start)) {
    case TYPE.ECHO:
    case TYPE.ECHO_REPLY:
    case TYPE.TIMESTAMP:
      return 8
    case TYPE.UNREACHABLE:
      if (code === 3) return p.has(start, INNER + 1) ? Math.max(INNER_DESTINATION + 4, INNER + (p.u8(start + INNER) & 15) * 4 + 4) : INNER_DESTINATION + 4
      return INNER_DESTINATION + 4
    case TYPE.REDIRECT:
    case TYPE.TIME_EXCEEDED:
      return INNER_DESTINATION + 4
    case TYPE.ROUTER_ADVERTISEMENT:
      if (!p.has(start, 8)) return 8
      return p.u8(start + 5) === 2 ? 8 + 8 * p.u8(start + 4) : 8
    case TYPE.PARAMETER_PROBLEM:
      return code === 0 ? 5 : 2
    case TYPE.TIMESTAMP_REPLY:
      return 20
    case TYPE.MASK_REPLY:
      return 12
    default:
      return 2
  }
}

function printMessage(p: PacketPrinter, start: number, type: number, code: number): void {
  switch (type) {
    case TYPE.ECHO:
    case TYPE.ECHO_REPLY:
      p.text(type === TYPE.ECHO ? 'echo request, id ' : 'echo reply, id ')
      p.decimal(p.u16(start + 4))
      p.text(', seq ')
      p.decimal(p.u16(start + 6))
      return
    case TYPE.UNREACHABLE:
      printUnreachable(p, start, code)
      return
    case TYPE.REDIRECT: {
      const texts = REDIRECTS[code]
      if (texts === undefined) {
        p.text('redirect-#')
        p.decimal(code)
        p.text(' ')
      } else {
        p.text(texts[0])
      }
      p.ip4(start + INNER_DESTINATION)
      p.text(texts === undefined ? ' to ' : texts[1])
      p.ip4(start + 4)
      return
    }
    case TYPE.ROUTER_ADVERTISEMENT:
      printRouters(p, start)
      return
    case TYPE.TIME_EXCEEDED:
      if (code > 1) {
        p.text('time exceeded-#')
        p.decimal(code)
      } else {
        p.text(code === 0 ? 'time exceeded in-transit' : 'ip reassembly time exceeded')
      }
      return
    case TYPE.PARAMETER_PROBLEM:
      p.text(code === 0 ? 'parameter problem - octet ' : 'parameter problem - code ')
      p.decimal(code === 0 ? p.u8(start + 4) : code)
      return
    case TYPE.MASK_REPLY:
      p.text('address mask is 0x')
      p.hex(p.u32(start + 8), 8)
      return
    case TYPE.TIMESTAMP:
    case TYPE.TIMESTAMP_REPLY:
      p.text(type === TYPE.TIMESTAMP ? 'time stamp query id ' : 'time stamp reply id ')
      p.decimal(p.u16(start + 4))
      p.text(' seq ')
      p.decimal(p.u16(start + 6))
      if (type === TYPE.TIMESTAMP) return
      p.text(': org ')
      printTimeOfDay(p, p.u32(start + 8))
      p.text(', recv ')
      printTimeOfDay(p, p.u32(start + 12))
      p.text(', xmit ')
      printTimeOfDay(p, p.u32(start + 16))
      return
    default:
      p.named(TYPE_NAMES, type, 'type-#')
  }
}

function printUnreachable(p: PacketPrinter, start: number, code: number): void {
  const texts = UNREACHABLE[code]
  if (texts !== undefined) p.text(texts[0])
  p.ip4(start + INNER_DESTINATION)
  if (texts !== undefined) {
    p.text(texts[1])
  } else if (code === 2) {
    p.text(' protocol ')
    p.decimal(p.u8(start + INNER_PROTOCOL))
    p.text(' unreachable')
  } else if (code === 3) {
    const protocol = p.u8(start + INNER_PROTOCOL)
    if (protocol === IP_PROTOCOL.TCP) {
      p.text(' tcp')
    } else if (protocol === IP_PROTOCOL.UDP) {
      p.text(' udp')
    } else {
      p.text(' protocol ')
      p.decimal(protocol)
    }
    p.text(' port ')
    p.decimal(p.u16(start + INNER + (p.u8(start + INNER) & 15) * 4 + 2))
    p.text(' unreachable')
  } else if (code === 4) {
    p.text(' unreachable - need to frag')
    const mtu = p.u16(start + 6)
    if (mtu === 0) return
    p.text(' (mtu ')
    p.decimal(mtu)
    p.text(')')
  } else {
    p.text(' unreachable - #')
    p.decimal(code)
  }
}

function printRouters(p: PacketPrinter, start: number): void {
  p.text('router advertisement lifetime ')
  const lifetime = p.u16(start + 6)
  if (lifetime >= 3600) {
    p.decimal(Math.floor(lifetime / 3600))
    p.text(':')
    p.padded(Math.floor((lifetime % 3600) / 60), 2)
    p.text(':')
    p.padded(lifetime % 60, 2)
  } else if (lifetime >= 60) {
    p.decimal(Math.floor(lifetime / 60))
    p.text(':')
    p.padded(lifetime % 60, 2)
  } else {
    p.decimal(lifetime)
  }
  const count = p.u8(start + 4)
  p.text(' ')
  p.decimal(count)
  p.text(':')
  const size = p.u8(start + 5)
  if (size !== 2) {
    p.text(' [size ')
    p.decimal(size)
    p.text(']')
    return
  }
  for (let i = 0; i < count; i++) {
    p.text(' {')
    p.ip4(start + 8 + 8 * i)
    p.text(' ')
    p.decimal(p.u32(start + 12 + 8 * i))
    p.text('}')
  }
}

/** Milliseconds since midnight UTC. */
function printTimeOfDay(p: PacketPrinter, time: number): void {
  const seconds = Math.floor(time / 1000)
  const hours = Math.floor(seconds / 3600)
  p.padded(hours, hours > 99 ? String(hours).length : 2)
  p.text(':')
  p.padded(Math.floor(seconds / 60) % 60, 2)
  p.text(':')
  p.padded(seconds % 60, 2)
  p.text('.')
  p.padded(time % 1000, 3)
}
