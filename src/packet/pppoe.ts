/** PPP over Ethernet (RFC 2516), and PPP as far as the protocol it carries (RFC 1661). */
import { printIpv4 } from './ipv4.js'
import { printIpv6 } from './ipv6.js'
import { printMpls } from './mpls.js'
import type { PacketPrinter } from './packet-printer.js'

const HEADER_BYTES = 6
const PPP_BYTES = 4
const CODE_NAMES: Readonly<Record<number, string>> = { 0: '', 7: 'PADO', 9: 'PADI', 25: 'PADR', 101: 'PADS', 167: 'PADT' }
const PADI = 0x09
const LONGEST_PADI = 1478
const TAG_NAMES: Readonly<Record<number, string>> = {
  0: 'EOL',
  257: 'Service-Name',
  258: 'AC-Name',
  259: 'Host-Uniq',
  260: 'AC-Cookie',
  261: 'Vendor-Specific',
  272: 'Relay-Session-ID',
  288: 'PPP-Max-Payload',
  513: 'Service-Name-Error',
  514: 'AC-System-Error',
  515: 'Generic-Error',
}
const LONGEST_TAG_TEXT = 79

const PPP = { IP: 0x0021, IPV6: 0x0057, MPLS: 0x0281, MPLS_MULTICAST: 0x0283 } as const
const PPP_NAMES: Readonly<Record<number, string>> = {
  33: 'IP',
  35: 'OSI',
  37: 'NS',
  39: 'DECNET',
  41: 'APPLE',
  43: 'IPX',
  45: 'VJC IP',
  47: 'VJNC IP',
  49: 'BRPDU',
  51: 'STII',
  53: 'VINES',
  61: 'MLPPP',
  87: 'IP6',
  253: 'Compressed',
  513: 'HELLO',
  561: 'LUXCOM',
  563: 'SNS',
  641: 'MPLS',
  643: 'MPLS',
  32801: 'IPCP',
  32803: 'OSICP',
  32805: 'NSCP',
  32807: 'DECNETCP',
  32809: 'APPLECP',
  32811: 'IPXCP',
  32819: 'STIICP',
  32821: 'VINESCP',
  32855: 'IP6CP',
  33021: 'CCP',
  33409: 'MPLSCP',
  49185: 'LCP',
  49187: 'PAP',
  49189: 'LQM',
  49191: 'SPAP',
  49195: 'BACP',
  49197: 'BAP',
  49213: 'MLPPP-CP',
  49699: 'CHAP',
  49703: 'EAP',
}

/** Answers the bytes of its header, and of that of PPP. */
export function printPppoe(p: PacketPrinter, start: number, wireLength: number): number {
  if (wireLength < HEADER_BYTES) {
    p.text(' (length ')
    p.decimal(wireLength)
    p.text(' < 6)')
    p.invalid()
    return 0
  }
  if (!p.has(start, HEADER_BYTES)) {
    p.cut('pppoe')
    return 0
  }
  const version = p.u8(start) >>> 4
  const type = p.u8(start) & 15
  const code = p.u8(start + 1)
  const session = p.u16(start + 2)
  let length = p.u16(start + 4)
  const left = wireLength - HEADER_BYTES
  if (version !== 1) {
    p.text(' [ver ')
    p.decimal(version)
    p.text(']')
  }
  if (type !== 1) {
    p.text(' [type ')
    p.decimal(type)
    p.text(']')
  }
  p.text('PPPoE ')
  p.namedOrHex(CODE_NAMES, code, 'PAD-')
  if (code === PADI && length > LONGEST_PADI) {
    p.text(' [len ')
    p.decimal(length)
    p.text('!]')
  }
  if (length > left) {
    p.text(' [len ')
    p.decimal(length)
    p.text(' > ')
    p.decimal(left)
    p.text('!]')
    length = left
  }
  if (session !== 0) {
    p.text(' [ses 0x')
    p.hex(session)
    p.text(']')
  }
  if (code !== 0) {
    printTags(p, start + HEADER_BYTES, length)
    return HEADER_BYTES
  }
  p.text(' ')
  return HEADER_BYTES + printPpp(p, start + HEADER_BYTES, length)
}

/** A capture of PPP. Answers the bytes of the link-layer header, of which tcpdump has four whatever is compressed. */
export function printPppLink(p: PacketPrinter, start: number, wireLength: number): number {
  if (!p.has(start, PPP_BYTES)) {
    p.ends('ppp')
    return PPP_BYTES
  }
  printPpp(p, start, wireLength)
  return PPP_BYTES
}

function printTags(p: PacketPrinter, start: number, length: number): void {
  let at = start
  const end = start + length
  let type = 0xffff
  while (type !== 0 && at < end) {
    if (!p.has(at, 4)) {
      p.cut('pppoe')
      return
    }
    type = p.u16(at)
    const bytes = p.u16(at + 2)
    at += 4
    if (!p.has(at, bytes)) {
      p.cut('pppoe')
      return
    }
    p.text(' [')
    p.namedOrHex(TAG_NAMES, type, 'TAG-0x')
    if (bytes > 0) printTag(p, at, bytes)
    p.text(']')
    at += bytes
  }
}

/** As text when most of it is. */
function printTag(p: PacketPrinter, at: number, bytes: number): void {
  const count = Math.min(bytes, LONGEST_TAG_TEXT)
  let printable = 0
  for (let i = 0; i < count; i++) if (isPrintable(p.u8(at + i))) printable++
  if (printable > count - printable) {
    p.text(' "')
    for (let i = 0; i < count; i++) p.char(isPrintable(p.u8(at + i)) ? p.u8(at + i) : 0x2e)
    p.text('"')
    return
  }
  p.text(' 0x')
  for (let i = 0; i < bytes; i++) {
    const byte = p.u8(at + i)
    p.char(upperDigit(byte >>> 4))
    p.char(upperDigit(byte & 15))
  }
}

function isPrintable(byte: number): boolean {
  return byte >= 0x20 && byte < 0x7f
}

function upperDigit(digit: number): number {
  return digit < 10 ? 0x30 + digit : 0x37 + digit
}

/** A PPP frame, its address and control field there or not. Answers the bytes of its header. */
export function printPpp(p: PacketPrinter, start: number, wireLength: number): number {
  let at = start
  let left = wireLength
  if (left < 2) {
    p.ends('ppp')
    return 0
  }
  if (!p.has(at, 2)) {
    p.cut('ppp')
    return 0
  }
  const control = p.u16(at)
  if (control === 0xff03 || control === 0x0003 || control === 0x0103) {
    if (p.link && control !== 0xff03) p.text(control === 0x0003 ? 'In  ' : 'Out ')
    at += 2
    left -= 2
  }
  if (left < 2) {
    p.ends('ppp')
    return 0
  }
  if (!p.has(at, 2)) {
    p.cut('ppp')
    return 0
  }
  const short = p.u8(at) % 2 === 1
  const protocol = short ? p.u8(at) : p.u16(at)
  at += short ? 1 : 2
  left -= short ? 1 : 2
  if (p.link) {
    p.text(PPP_NAMES[protocol] ?? 'unknown')
    p.text(' (0x')
    p.hex(protocol, 4)
    p.text('), length ')
    p.decimal(wireLength)
    // Nothing more is known of it.
    if (PPP_NAMES[protocol] === undefined) return at - start
    p.text(': ')
  }
  switch (protocol) {
    case PPP.IP:
      printIpv4(p, at, left)
      return at - start
    case PPP.IPV6:
      printIpv6(p, at, left)
      return at - start
    case PPP.MPLS:
    case PPP.MPLS_MULTICAST:
      printMpls(p, at, left)
      return at - start
  }
  const name = PPP_NAMES[protocol]
  if (name === undefined) {
    p.text('unknown PPP protocol (0x')
    p.hex(protocol, 4)
    p.text(')')
  } else {
    p.text(name)
  }
  p.text(', length ')
  p.decimal(left)
  return at - start
}
