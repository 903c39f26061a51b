/** Linux cooked captures, v1 and v2 (LINKTYPE_LINUX_SLL and LINKTYPE_LINUX_SLL2 of the tcpdump group's list). */
import { printEthertype, printTag } from './ethernet.js'
import { ETHERTYPE, ETHERTYPE_NAMES, LONGEST_8023 } from './ethertype.js'
import { printLlc } from './llc.js'
import type { PacketPrinter } from './packet-printer.js'

const SLL_BYTES = 16
const SLL2_BYTES = 20
const TAG_BYTES = 4
const NOVELL_8023 = 1
const LLC_8022 = 4
const DIRECTIONS: Readonly<Record<number, string>> = { 0: 'In', 1: 'B', 2: 'M', 3: 'P', 4: 'Out' }

/** Answers the bytes of the link-layer headers. */
export function printCooked1(p: PacketPrinter, start: number, wireLength: number): number {
  if (!p.has(start, SLL_BYTES)) {
    p.cut('sll')
    return 0
  }
  if (p.link) printHeader1(p, start, wireLength)
  return SLL_BYTES + printPayload(p, p.u16(start + 14), start + SLL_BYTES, wireLength - SLL_BYTES, start, printHeader1)
}

/** The same. The interface is told by its number: names belong to the machine that captured. */
export function printCooked2(p: PacketPrinter, start: number, wireLength: number): number {
  if (!p.has(start, SLL2_BYTES)) {
    p.cut('sll2')
    return 0
  }
  printPadded(p, String(p.u32(start + 4)), 5)
  printPadded(p, DIRECTIONS[p.u8(start + 10)] ?? '?', 3)
  if (p.link) printHeader2(p, start, wireLength)
  return SLL2_BYTES + printPayload(p, p.u16(start), start + SLL2_BYTES, wireLength - SLL2_BYTES, start, printHeader2)
}

function printPadded(p: PacketPrinter, text: string, width: number): void {
  p.text(text)
  for (let i = text.length; i < width; i++) p.text(' ')
  p.text(' ')
}

function printHeader1(p: PacketPrinter, start: number, length: number): void {
  const direction = DIRECTIONS[p.u16(start)] ?? '?'
  for (let i = direction.length; i < 3; i++) p.text(' ')
  p.text(direction)
  p.text(' ')
  if (p.u16(start + 4) === 6) {
    p.mac(start + 6)
    p.text(' ')
  }
  printProtocol(p, p.u16(start + 14), length)
}

function printHeader2(p: PacketPrinter, start: number, length: number): void {
  p.text('ifindex ')
  p.decimal(p.u32(start + 4))
  p.text(' ')
  if (p.u8(start + 11) === 6) {
    p.mac(start + 12)
    p.text(' ')
  }
  printProtocol(p, p.u16(start), length)
}

function printProtocol(p: PacketPrinter, protocol: number, length: number): void {
  if (p.quiet) return
  if (protocol === NOVELL_8023) p.text('802.3')
  else if (protocol === LLC_8022) p.text('802.2')
  else {
    p.text('ethertype ')
    p.text(protocol <= LONGEST_8023 ? 'Unknown' : (ETHERTYPE_NAMES[protocol] ?? 'Unknown'))
    p.text(' (0x')
    p.hex(protocol, 4)
    p.text(')')
  }
  p.text(', length ')
  p.decimal(length)
  p.text(': ')
}

/** Answers the bytes of tags and LLC. */
function printPayload(
  p: PacketPrinter,
  protocol: number,
  start: number,
  wireLength: number,
  header: number,
  printHeader: (p: PacketPrinter, start: number, length: number) => void,
): number {
  let type = protocol
  let at = start
  let length = wireLength
  while (type === ETHERTYPE.VLAN) {
    if (!p.has(at, TAG_BYTES)) {
      p.ends('vlan')
      return p.end - start
    }
    if (p.link) printTag(p, p.u16(at))
    type = p.u16(at + 2)
    if (type <= LONGEST_8023) type = LLC_8022
    if (!p.quiet) {
      p.text('ethertype ')
      p.text(ETHERTYPE_NAMES[type] ?? 'Unknown')
      p.text(', ')
    }
    at += TAG_BYTES
    length -= TAG_BYTES
  }
  if (type === LLC_8022) return at - start + Math.max(0, printLlc(p, at, length, -1))
  if (type === NOVELL_8023) {
    p.text('IPX, length ')
    p.decimal(length)
  } else if (type > LONGEST_8023 && !printEthertype(p, type, at, length, -1) && !p.link) {
    printHeader(p, header, length + (start - header))
  }
  return at - start
}
