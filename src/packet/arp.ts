/** ARP, RARP and InARP (RFC 826, 903, 2390) for protocol addresses of IPv4. ATM addresses are not printed. */
import { ETHERTYPE_NAMES } from './ethertype.js'
import type { PacketPrinter } from './packet-printer.js'

const HEADER_BYTES = 8
const HARDWARE_NAMES: Readonly<Record<number, string>> = {
  1: 'Ethernet',
  6: 'TokenRing',
  7: 'ArcNet',
  15: 'FrameRelay',
  19: 'ATM',
  23: 'Strip',
  24: 'IEEE 1394',
  32: 'InfiniBand',
}
const OPERATIONS: Readonly<Record<number, string>> = {
  1: 'Request',
  2: 'Reply',
  3: 'Reverse Request',
  4: 'Reverse Reply',
  8: 'Inverse Request',
  9: 'Inverse Reply',
  10: 'NACK Reply',
}
const ATM = 19
const IPV4 = 0x0800
const TRAILERS = 0x1000

export function printArp(p: PacketPrinter, start: number, wireLength: number): void {
  if (!p.has(start, HEADER_BYTES)) {
    p.cut('arp')
    return
  }
  const hardware = p.u16(start)
  const protocol = p.u16(start + 2)
  const hardwareBytes = p.u8(start + 4)
  const protocolBytes = p.u8(start + 5)
  const operation = p.u16(start + 6)
  const isIpv4 = protocol === IPV4 || protocol === TRAILERS
  if (hardware !== ATM && !p.has(start, HEADER_BYTES + 2 * (hardwareBytes + protocolBytes))) {
    p.cut('arp')
    return
  }
  if (!p.link) p.text('ARP, ')
  const verbose = p.verbosity > 0
  if (!isIpv4 || protocolBytes !== 4 || hardwareBytes === 0 || verbose || hardware === ATM) {
    p.named(HARDWARE_NAMES, hardware, 'Unknown Hardware (', ')')
    p.text(' (len ')
    p.decimal(hardwareBytes)
    p.text('), ')
    printProtocol(p, protocol)
    p.text(' (len ')
    p.decimal(protocolBytes)
    p.text(')')
    if (!verbose || hardware === ATM) {
      printLength(p, wireLength)
      return
    }
    p.text(', ')
  }
  p.named(OPERATIONS, operation, 'Unknown (', ')')
  p.text(' ')
  const senderHardware = start + HEADER_BYTES
  const senderProtocol = senderHardware + hardwareBytes
  const targetHardware = senderProtocol + protocolBytes
  const targetProtocol = targetHardware + hardwareBytes
  switch (operation) {
    case 1:
      p.text('who-has ')
      printAddress(p, targetProtocol, isIpv4, protocolBytes)
      if (!isZero(p, targetHardware, hardwareBytes)) {
        p.text(' (')
        printHardware(p, targetHardware, hardwareBytes)
        p.text(')')
      }
      p.text(' tell ')
      printAddress(p, senderProtocol, isIpv4, protocolBytes)
      break
    case 2:
      printAddress(p, senderProtocol, isIpv4, protocolBytes)
      p.text(' is-at ')
      printHardware(p, senderHardware, hardwareBytes)
      break
    case 3:
    case 8:
      p.text('who-is ')
      printHardware(p, targetHardware, hardwareBytes)
      p.text(' tell ')
      printHardware(p, senderHardware, hardwareBytes)
      break
    case 4:
      printHardware(p, targetHardware, hardwareBytes)
      p.text(' at ')
      printAddress(p, targetProtocol, isIpv4, protocolBytes)
      break
    case 9:
      printHardware(p, senderHardware, hardwareBytes)
      p.text(' at ')
      printAddress(p, senderProtocol, isIpv4, protocolBytes)
      break
    default:
      return
  }
  printLength(p, wireLength)
}

function printLength(p: PacketPrinter, length: number): void {
  p.text(', length ')
  p.decimal(length)
}

function printProtocol(p: PacketPrinter, protocol: number): void {
  const name = ETHERTYPE_NAMES[protocol]
  if (name !== undefined) {
    p.text(name)
    return
  }
  p.text('Unknown Protocol (0x')
  p.hex(protocol, 4)
  p.text(')')
}

function printAddress(p: PacketPrinter, at: number, isIpv4: boolean, bytes: number): void {
  if (!isIpv4) p.text('<wrong proto type>')
  else if (bytes !== 4) p.text('<wrong len>')
  else p.ip4(at)
}

function printHardware(p: PacketPrinter, at: number, bytes: number): void {
  if (bytes === 0) p.text('<empty>')
  else p.colonHex(p.packet, at, bytes)
}

function isZero(p: PacketPrinter, at: number, count: number): boolean {
  for (let i = 0; i < count; i++) if (p.u8(at + i) !== 0) return false
  return true
}
