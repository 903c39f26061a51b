/** TCP (RFC 9293) with its options. Sequence numbers are absolute, as with tcpdump -S; what segments carry is tshark's to print. */
import { addWords, complement, correctChecksum } from '../bytes/checksum.js'
import { IP_PROTOCOL } from './ip-protocol.js'
import { pseudoHeaderSum4 } from './ipv4.js'
import { pseudoHeaderSum6 } from './ipv6.js'
import type { PacketPrinter } from './packet-printer.js'

const HEADER_BYTES = 20
const FLAG = { FIN: 0x01, SYN: 0x02, RST: 0x04, PUSH: 0x08, ACK: 0x10, URG: 0x20, ECE: 0x40, CWR: 0x80 } as const
/** By the value of the byte: `S`, `S.`, `none`. */
const FLAG_TEXTS = Array.from({ length: 256 }, (_, bits) => {
  const letters = ['F', 'S', 'R', 'P', '.', 'U', 'E', 'W'].filter((_, bit) => ((bits >>> bit) & 1) !== 0).join('')
  return `Flags [${letters || 'none'}]`
})

const OPTION = {
  EOL: 0,
  NOP: 1,
  MSS: 2,
  WINDOW_SCALE: 3,
  SACK_PERMITTED: 4,
  SACK: 5,
  ECHO: 6,
  ECHO_REPLY: 7,
  TIMESTAMP: 8,
  CC: 11,
  CC_NEW: 12,
  CC_ECHO: 13,
  MD5: 19,
  SCPS: 20,
  USER_TIMEOUT: 28,
  AUTHENTICATION: 29,
  MULTIPATH: 30,
  FAST_OPEN: 34,
  EXPERIMENT2: 254,
} as const
const OPTION_NAMES: Readonly<Record<number, string>> = {
  0: 'eol',
  1: 'nop',
  2: 'mss',
  3: 'wscale',
  4: 'sackOK',
  5: 'sack',
  6: 'echo',
  7: 'echoreply',
  8: 'TS',
  11: 'cc',
  12: 'ccnew',
  13: '',
  19: 'md5',
  20: 'scps',
  28: 'uto',
  29: 'tcp-ao',
  30: 'mptcp',
  34: 'tfo',
  254: 'exp',
}
/** By the value of the byte: an array is four times as fast as a record. */
const OPTION_TEXTS = Array.from({ length: 256 }, (_, kind) => OPTION_NAMES[kind] ?? `unknown-${kind}`)
const MD5_BYTES = 16
const FAST_OPEN_MAGIC = 0xf989
const LONGEST_RESET_TEXT = 30

/** Set by the option printers: bytes behind kind and length that were read, or what went wrong. */
const BAD = -1
const CUT = -2

export function printTcp(p: PacketPrinter, start: number, wireLength: number, ipHeader: number, fragmented: boolean): void {
  const version = p.u8(ipHeader) >>> 4
  if (!p.has(start, 4)) {
    printAddressPair(p, ipHeader, version)
    p.text(':')
    p.ends('tcp')
    return
  }
  printPorts(p, start, ipHeader, version, IP_PROTOCOL.TCP)
  if (!p.has(start, HEADER_BYTES)) {
    p.ends('tcp')
    return
  }
  const header = (p.u8(start + 12) >>> 4) * 4
  if (header < HEADER_BYTES) {
    p.text(' tcp ')
    p.decimal((wireLength - header) >>> 0)
    p.text(' [bad hdr length ')
    p.decimal(header)
    p.text(' - too short, < 20]')
    return
  }
  if (p.quiet) {
    p.text('tcp ')
    p.decimal((wireLength - header) >>> 0)
    if (header > wireLength) printTooLong(p, header, wireLength)
    return
  }
  const flags = p.u8(start + 13)
  p.text(FLAG_TEXTS[flags] as string)
  if (header > wireLength) {
    printTooLong(p, header, wireLength)
    return
  }
  if (p.verbosity > 0 && !fragmented && p.has(start, wireLength)) printChecksum(p, start, wireLength, ipHeader, version)
  const length = wireLength - header
  if (length > 0 || p.verbosity > 1 || (flags & (FLAG.SYN | FLAG.FIN | FLAG.RST)) !== 0) {
    const sequence = p.u32(start + 4)
    p.text(', seq ')
    p.decimal(sequence)
    if (length > 0) {
      p.char(0x3a)
      p.decimal((sequence + length) >>> 0)
    }
  }
  if ((flags & FLAG.ACK) !== 0) {
    p.text(', ack ')
    p.decimal(p.u32(start + 8))
  }
  p.text(', win ')
  p.decimal(p.u16(start + 14))
  if ((flags & FLAG.URG) !== 0) {
    p.text(', urg ')
    p.decimal(p.u16(start + 18))
  }
  if (header > HEADER_BYTES && !printOptions(p, start, header, length)) return
  p.text(', length ')
  p.decimal(length)
  if (length === 0) return
  if (!p.has(start, header)) {
    p.text(' [remaining caplen(')
    p.decimal(p.end - start)
    p.text(') < header length(')
    p.decimal(header)
    p.text(')]')
    p.cut('tcp')
    return
  }
  if ((flags & FLAG.RST) !== 0 && p.verbosity > 0) printResetText(p, start + header, length)
}

/** `10.0.0.1 > 10.0.0.2`. */
export function printAddressPair(p: PacketPrinter, ipHeader: number, version: number): void {
  if (version === 6) {
    p.ip6(ipHeader + 8)
    p.text(' > ')
    p.ip6(ipHeader + 24)
  } else {
    p.ip4(ipHeader + 12)
    p.text(' > ')
    p.ip4(ipHeader + 16)
  }
}

/** `10.0.0.1.1234 > 10.0.0.2.80: `; without the addresses where another header, that printed them, stands between. */
export function printPorts(p: PacketPrinter, start: number, ipHeader: number, version: number, protocol: number): void {
  const direct = p.u8(ipHeader + (version === 6 ? 6 : 9)) === protocol
  if (direct) {
    if (version === 6) p.ip6(ipHeader + 8)
    else p.ip4(ipHeader + 12)
    p.char(0x2e)
  }
  p.decimal(p.u16(start))
  p.text(' > ')
  if (direct) {
    if (version === 6) p.ip6(ipHeader + 24)
    else p.ip4(ipHeader + 16)
    p.char(0x2e)
  }
  p.decimal(p.u16(start + 2))
  p.text(': ')
}

function printTooLong(p: PacketPrinter, header: number, length: number): void {
  p.text(' [bad hdr length ')
  p.decimal(header)
  p.text(' - too long, > ')
  p.decimal(length)
  p.text(']')
}

function printChecksum(p: PacketPrinter, start: number, length: number, ipHeader: number, version: number): void {
  const pseudo = version === 4 ? pseudoHeaderSum4(p, ipHeader, IP_PROTOCOL.TCP, length) : pseudoHeaderSum6(p, ipHeader, IP_PROTOCOL.TCP, length)
  const wrong = complement(addWords(p.packet, start, length, pseudo))
  const found = p.u16(start + 16)
  p.text(', cksum 0x')
  p.hex(found, 4)
  if (wrong === 0) {
    p.text(' (correct)')
    return
  }
  p.text(' (incorrect -> 0x')
  p.hex(correctChecksum(found, wrong), 4)
  p.text(')')
}

/** False when the options end the packet. */
function printOptions(p: PacketPrinter, start: number, header: number, payload: number): boolean {
  p.text(', options [')
  let at = start + HEADER_BYTES
  let left = header - HEADER_BYTES
  let first = true
  while (left > 0) {
    if (!first) p.text(',')
    if (!p.has(at, 1)) {
      p.cut('tcp')
      return false
    }
    const kind = p.u8(at++)
    left--
    let length = 1
    if (kind !== OPTION.EOL && kind !== OPTION.NOP) {
      if (!p.has(at, 1)) {
        p.cut('tcp')
        return false
      }
      length = p.u8(at++)
      if (length < 2 || length > left + 1) return printBad(p, first)
      left--
    }
    p.text(OPTION_TEXTS[kind] as string)
    const data = length === 1 ? 0 : printOption(p, kind, at, length - 2, left, start + header, payload)
    if (data === BAD) return printBad(p, first)
    if (data === CUT) {
      p.ends('tcp')
      if (!first) p.text('>')
      return false
    }
    at += data
    left -= data
    if (length > 1 && data !== length - 2) {
      p.text('[len ')
      p.decimal(length)
      p.text(']')
    }
    first = false
    if (kind === OPTION.EOL) break
  }
  p.text(']')
  return true
}

function printBad(p: PacketPrinter, first: boolean): boolean {
  p.text(first ? '[bad opt]' : '[bad opt]]')
  return false
}

/** Bytes of data that the option has by its kind, BAD or CUT. */
function printOption(p: PacketPrinter, kind: number, at: number, data: number, left: number, payload: number, payloadLength: number): number {
  switch (kind) {
    case OPTION.SACK_PERMITTED:
      return 0
    case OPTION.MSS:
      if (left < 2) return BAD
      if (!p.has(at, 2)) return CUT
      p.text(' ')
      p.decimal(p.u16(at))
      return 2
    case OPTION.WINDOW_SCALE:
      if (left < 1) return BAD
      if (!p.has(at, 1)) return CUT
      p.text(' ')
      p.decimal(p.u8(at))
      return 1
    case OPTION.SACK:
      return printSack(p, at, data, left)
    case OPTION.ECHO:
    case OPTION.ECHO_REPLY:
    case OPTION.CC:
    case OPTION.CC_NEW:
    case OPTION.CC_ECHO:
      if (left < 4) return BAD
      if (!p.has(at, 4)) return CUT
      p.text(' ')
      p.decimal(p.u32(at))
      return 4
    case OPTION.TIMESTAMP:
      if (left < 8) return BAD
      if (!p.has(at, 8)) return CUT
      p.text(' val ')
      p.decimal(p.u32(at))
      p.text(' ecr ')
      p.decimal(p.u32(at + 4))
      return 8
    case OPTION.MD5:
      if (left < MD5_BYTES) return BAD
      if (!p.has(at, MD5_BYTES)) return CUT
      p.text(p.has(payload, payloadLength) ? ' shared secret not supplied with -M, ' : ' snaplen too short, ')
      p.text("can't check - ")
      p.plainHex(p.packet, at, MD5_BYTES)
      return MD5_BYTES
    case OPTION.SCPS:
      if (left < 2) return BAD
      if (!p.has(at, 2)) return CUT
      p.text(' cap ')
      p.hex(p.u8(at), 2)
      p.text(' id ')
      p.decimal(p.u8(at + 1))
      return 2
    case OPTION.AUTHENTICATION:
      return printAuthenticationOption(p, at, data, left)
    case OPTION.USER_TIMEOUT: {
      if (left < 2) return BAD
      if (!p.has(at, 2)) return CUT
      const value = p.u16(at)
      p.text(' 0x')
      p.hex(value)
      p.text(' ')
      p.decimal((value & 1) !== 0 ? (value >>> 1) * 60 : value >>> 1)
      return 2
    }
    case OPTION.FAST_OPEN:
      if (left < data) return BAD
      if (!p.has(at, data)) return CUT
      p.text(' ')
      printFastOpen(p, at, data)
      return data
    case OPTION.EXPERIMENT2: {
      if (left < data || data < 2) return data < 2 && p.has(at, data) ? BAD : left < data ? BAD : CUT
      if (!p.has(at, data)) return CUT
      const magic = p.u16(at)
      p.text('-')
      if (magic === FAST_OPEN_MAGIC) {
        p.text('tfo')
        printFastOpen(p, at + 2, data - 2)
      } else {
        p.hex(magic, 4)
      }
      return data
    }
    default:
      return printBytes(p, at, data, left, ' 0x', 0)
  }
}

function printBytes(p: PacketPrinter, at: number, data: number, left: number, prefix: string, from: number): number {
  if (data > from) p.text(prefix)
  for (let i = from; i < data; i++) {
    if (i + 1 > left) return BAD
    if (!p.has(at, i + 1)) return CUT
    p.hex(p.u8(at + i), 2)
  }
  return data
}

function printSack(p: PacketPrinter, at: number, data: number, left: number): number {
  if (data % 8 !== 0) {
    p.text(' invalid sack')
    return data
  }
  p.text(' ')
  p.decimal(data / 8)
  p.text(' ')
  for (let i = 0; i < data; i += 8) {
    if (i + 8 > left) return BAD
    if (!p.has(at, i + 8)) return CUT
    p.text('{')
    p.decimal(p.u32(at + i))
    p.text(':')
    p.decimal(p.u32(at + i + 4))
    p.text('}')
  }
  return data
}

function printAuthenticationOption(p: PacketPrinter, at: number, data: number, left: number): number {
  if (data < 2) {
    p.invalid()
    return data
  }
  if (left < 1) return BAD
  if (!p.has(at, 1)) return CUT
  p.text(' keyid ')
  p.decimal(p.u8(at))
  if (left < 2) return BAD
  if (!p.has(at, 2)) return CUT
  p.text(' rnextkeyid ')
  p.decimal(p.u8(at + 1))
  return printBytes(p, at, data, left, ' mac 0x', 2)
}

function printFastOpen(p: PacketPrinter, at: number, data: number): void {
  if (data === 0) {
    p.text(' cookiereq')
  } else if (data % 2 !== 0 || data < 4 || data > 16) {
    p.invalid()
  } else {
    p.text(' cookie ')
    p.plainHex(p.packet, at, data)
  }
}

/** RFC 9293, 3.5.3: a reset may say why. */
function printResetText(p: PacketPrinter, start: number, length: number): void {
  p.text(p.has(start, length) ? ' [RST' : ' [!RST')
  if (length > LONGEST_RESET_TEXT) p.text('+')
  p.text(' ')
  const end = Math.min(p.end, start + Math.min(length, LONGEST_RESET_TEXT))
  for (let at = start; at < end; at++) p.printable(p.u8(at))
  p.text(']')
}
