/** Ethernet II and 802.3 frames with their tags (IEEE 802.1Q, 802.1ad and the older type numbers), and what stands behind an EtherType. */
import { printArp } from './arp.js'
import { ETHERTYPE, ETHERTYPE_NAMES, isVlanTag, LONGEST_8023, NAMED_ETHERTYPES } from './ethertype.js'
import { printIpv4 } from './ipv4.js'
import { printIpv6 } from './ipv6.js'
import { printLlc } from './llc.js'
import { printMpls } from './mpls.js'
import type { PacketPrinter } from './packet-printer.js'
import { printPppoe } from './pppoe.js'

const HEADER_BYTES = 14
const TAG_BYTES = 4

/** Answers the bytes of all link-layer headers. */
export function printEthernet(p: PacketPrinter, start: number, wireLength: number): number {
  const captured = p.end - start
  if (captured < HEADER_BYTES || wireLength < HEADER_BYTES) {
    p.ends('ether')
    return Math.min(captured, wireLength)
  }
  if (p.link) printAddresses(p, start)
  let type = p.u16(start + 12)
  let at = start + HEADER_BYTES
  let length = wireLength - HEADER_BYTES
  let lengthPrinted = false

  while (isVlanTag(type)) {
    if (!p.has(at, TAG_BYTES) || length < TAG_BYTES) {
      p.ends('vlan')
      return Math.min(p.end - start, wireLength)
    }
    if (p.link) {
      printType(p, type)
      if (lengthPrinted) p.text(', ')
      else printLength(p, wireLength)
      lengthPrinted = true
      printTag(p, p.u16(at))
    }
    type = p.u16(at + 2)
    at += TAG_BYTES
    length -= TAG_BYTES
  }

  if (type <= LONGEST_8023) {
    if (type < length) length = type
    const end = p.end
    p.end = Math.min(end, at + length)
    if (p.link) {
      p.text('802.3')
      if (!lengthPrinted) printLength(p, length)
    }
    at += Math.abs(printLlc(p, at, length, start))
    p.end = end
    return at - start
  }
  if (type === ETHERTYPE.JUMBO) return at - start + Math.abs(printLlc(p, at, length, start))
  if (p.link) {
    printType(p, type)
    if (lengthPrinted) p.text(', ')
    else printLength(p, wireLength)
  }
  if (!printEthertype(p, type, at, length, start) && !p.link) {
    printAddresses(p, start)
    printType(p, type)
    printLength(p, wireLength)
  }
  return at - start
}

function printAddresses(p: PacketPrinter, start: number): void {
  p.mac(start + 6)
  p.text(' > ')
  p.mac(start)
  p.text(', ')
}

function printType(p: PacketPrinter, type: number): void {
  if (p.quiet) {
    const name = ETHERTYPE_NAMES[type]
    if (name !== undefined) {
      p.text(name)
      return
    }
    p.text('Unknown Ethertype (0x')
  } else {
    p.text('ethertype ')
    p.text(ETHERTYPE_NAMES[type] ?? 'Unknown')
    p.text(' (0x')
  }
  p.hex(type, 4)
  p.text(')')
}

function printLength(p: PacketPrinter, length: number): void {
  p.text(', length ')
  p.decimal(length)
  p.text(': ')
}

/** `vlan 5, p 0, `. */
export function printTag(p: PacketPrinter, tci: number): void {
  p.text('vlan ')
  p.decimal(tci & 0xfff)
  p.text(', p ')
  p.decimal(tci >>> 13)
  p.text((tci & 0x1000) === 0 ? ', ' : ', DEI, ')
}

/** What stands behind the type. False for a type that nobody prints. `mac` is where the Ethernet header is, -1 without one. */
export function printEthertype(p: PacketPrinter, type: number, at: number, length: number, _mac: number): boolean {
  switch (type) {
    case ETHERTYPE.IP:
      printIpv4(p, at, length)
      return true
    case ETHERTYPE.IPV6:
      printIpv6(p, at, length)
      return true
    case ETHERTYPE.ARP:
    case ETHERTYPE.REVARP:
      printArp(p, at, length)
      return true
    case ETHERTYPE.MPLS:
    case ETHERTYPE.MPLS_MULTICAST:
      printMpls(p, at, length)
      return true
    case ETHERTYPE.PPPOE_DISCOVERY:
    case ETHERTYPE.PPPOE_SESSION:
      printPppoe(p, at, length)
      return true
  }
  if (!NAMED_ETHERTYPES.has(type)) return false
  p.text(ETHERTYPE_NAMES[type] as string)
  p.text(', length ')
  p.decimal(length)
  return true
}
