/** IEEE 802.2 LLC and SNAP. Bridge protocols are told by name and length. */

import { printEthernet, printEthertype } from './ethernet.js'
import { ETHERTYPE_NAMES } from './ethertype.js'
import { printIpv4 } from './ipv4.js'
import type { PacketPrinter } from './packet-printer.js'

const SAP = { NULL: 0x00, IP: 0x06, STP: 0x42, SNAP: 0xaa, IPX: 0xe0, NETBEUI: 0xf0, ISO: 0xfe, GLOBAL: 0xff } as const
const SAP_NAMES: Readonly<Record<number, string>> = {
  0: 'Null',
  2: '802.1B I',
  4: 'SNA',
  6: 'IP',
  14: 'ProWay NM',
  66: 'STP',
  78: 'RS511',
  126: 'ISO8208',
  142: 'ProWay',
  170: 'SNAP',
  224: 'IPX',
  240: 'NetBeui',
  254: 'OSI',
}
/** Information without numbers, the usual frame. */
const UI = 0x03
const POLL = 0x10
const COMMANDS: Readonly<Record<number, string>> = {
  3: 'ui',
  15: 'dm',
  67: 'disc',
  99: 'ua',
  111: 'sabme',
  135: 'frmr',
  175: 'xid',
  227: 'test',
}
const SUPERVISORY = ['Receiver Ready', 'Receiver not Ready', 'Reject', '?'] as const

const OUI = { ETHERNET: 0x000000, CISCO: 0x00000c, CISCO_90: 0x0000f8, BRIDGED: 0x0080c2, APPLETALK: 0x080007 } as const
const OUI_NAMES: Readonly<Record<number, string>> = {
  0: 'Ethernet',
  12: 'Cisco',
  94: 'IANA',
  129: 'Nortel Networks SONMP',
  248: 'Cisco bridged',
  1183: 'Freescale',
  1258: 'HP-Labs',
  4120: 'Broadcom',
  4623: 'IEEE 802.3 Private',
  4795: 'ANSI/TIA',
  5549: 'Netronome',
  6945: 'DCBX',
  8992: 'Nicira Networks',
  9345: 'HP',
  32962: 'Ethernet bridged',
  36969: 'Juniper',
  41022: 'ATM Forum',
  57348: 'PMC-Sierra',
  57391: 'DOCSIS Spanning Tree',
  524295: 'Appletalk',
  524297: 'Hewlett-Packard',
}
const CISCO_NAMES: Readonly<Record<number, string>> = { 258: 'UDLD', 267: 'PVST', 268: 'VLAN Bridge', 8192: 'CDP', 8195: 'VTP', 8196: 'DTP' }
/** What they carry, for those that are told by name. */
const CISCO_PROTOCOLS: Readonly<Record<number, string>> = { 258: 'UDLD', 267: 'STP', 268: 'STP', 8192: 'CDP', 8195: 'VTP', 8196: 'DTP' }
const BRIDGED_NAMES: Readonly<Record<number, string>> = {
  1: 'Ethernet + FCS',
  2: '802.4 + FCS',
  3: 'Token Ring + FCS',
  4: 'FDDI + FCS',
  5: '802.6 + FCS',
  7: 'Ethernet w/o FCS',
  8: '802.4 w/o FCS',
  9: 'Token Ring w/o FCS',
  10: 'FDDI w/o FCS',
  11: '802.6 w/o FCS',
  14: 'BPDU',
}
const NO_NAMES: Readonly<Record<number, string>> = {}
const SNAP_BYTES = 5
const BRIDGE_PADDING = 2

/** Answers the bytes of the LLC and SNAP headers, negative when nobody prints what follows. `mac` is where the Ethernet header is, -1 without one. */
export function printLlc(p: PacketPrinter, start: number, wireLength: number, mac: number): number {
  const captured = p.end - start
  if (captured < 3 || wireLength < 3) {
    p.ends('llc')
    return Math.min(captured, wireLength)
  }
  const destination = p.u8(start)
  const source = p.u8(start + 1)
  let control = p.u8(start + 2)
  const unnumbered = (control & 3) === 3
  if (!unnumbered) {
    if (captured < 4 || wireLength < 4) {
      p.ends('llc')
      return Math.min(captured, wireLength)
    }
    control |= p.u8(start + 3) << 8
  }
  const header = unnumbered ? 3 : 4
  if (source === SAP.GLOBAL && destination === SAP.GLOBAL) {
    if (p.link) p.text('IPX 802.3: ')
    printName(p, 'IPX', wireLength)
    return 0
  }
  const dsap = destination & 0xfe
  const ssap = source & 0xfe
  if (p.link) printHeader(p, destination, source, control, unnumbered)
  const at = start + header
  const length = wireLength - header
  if (ssap === dsap && control === UI) {
    switch (dsap) {
      case SAP.SNAP:
        return printSnap(p, at, length, mac) ? header + SNAP_BYTES : -(header + SNAP_BYTES)
      case SAP.STP:
        printName(p, 'STP', length)
        return header
      case SAP.IP:
        printIpv4(p, at, length)
        return header
      case SAP.IPX:
        if (p.link) p.text('IPX 802.2: ')
        printName(p, 'IPX', length)
        return header
      case SAP.ISO:
        printName(p, 'OSI', length)
        return header
    }
  }
  if (!p.link) printAccessPoints(p, ssap, dsap, mac)
  printControl(p, source, control, unnumbered, wireLength)
  if (unnumbered && (control & ~POLL) === 0xaf && printIdentification(p, at, length)) return header
  return (control & 3) === 1 ? header : -header
}

function printName(p: PacketPrinter, name: string, length: number): void {
  p.text(name)
  p.text(', length ')
  p.decimal(length)
}

function printHeader(p: PacketPrinter, destination: number, source: number, control: number, unnumbered: boolean): void {
  p.text('LLC, dsap ')
  printSap(p, destination & 0xfe)
  p.text((destination & 1) === 0 ? ' Individual, ssap ' : ' Group, ssap ')
  printSap(p, source & 0xfe)
  p.text((source & 1) === 0 ? ' Command, ctrl 0x' : ' Response, ctrl 0x')
  p.hex(control, unnumbered ? 2 : 4)
  p.text(': ')
}

function printSap(p: PacketPrinter, sap: number): void {
  p.text(SAP_NAMES[sap] ?? 'Unknown')
  p.text(' (0x')
  p.hex(sap, 2)
  p.text(')')
}

function printAccessPoints(p: PacketPrinter, ssap: number, dsap: number, mac: number): void {
  if (mac >= 0) {
    p.mac(mac + 6)
    p.text(' ')
  }
  if (ssap !== dsap) {
    p.namedOrHex(SAP_NAMES, ssap, 'Unknown SSAP 0x', 2)
    p.text(' ')
  }
  if (mac >= 0) {
    p.text('> ')
    p.mac(mac)
    p.text(' ')
  } else if (ssap !== dsap) {
    p.text('> ')
  }
  p.namedOrHex(SAP_NAMES, dsap, 'Unknown DSAP 0x', 2)
  p.text(' ')
}

function printControl(p: PacketPrinter, source: number, control: number, unnumbered: boolean, length: number): void {
  if (unnumbered) {
    p.text('Unnumbered, ')
    p.namedOrHex(COMMANDS, control & 0xef, '', 2)
  } else if ((control & 3) === 1) {
    p.text('Supervisory, ')
    p.text(SUPERVISORY[(control >>> 2) & 3] as string)
    p.text(', rcv seq ')
    p.decimal(control >>> 9)
  } else {
    p.text('Information, send seq ')
    p.decimal((control >>> 1) & 0x7f)
    p.text(', rcv seq ')
    p.decimal(control >>> 9)
  }
  const response = (source & 1) !== 0
  const poll = (unnumbered ? control & POLL : control & 0x100) !== 0
  p.text(', Flags [')
  p.text(response ? (poll ? 'Final' : 'Response') : poll ? 'Poll' : 'Command')
  p.text('], length ')
  p.decimal(length)
}

/** False when something else than an identification follows. */
function printIdentification(p: PacketPrinter, at: number, length: number): boolean {
  if (length === 0) return true
  if (p.has(at, 1) && p.u8(at) !== 0x81) return false
  if (!p.has(at, 3) || length < 3) {
    p.ends('llc')
    return true
  }
  p.text(': ')
  p.hex(p.u8(at + 1), 2)
  p.text(' ')
  p.hex(p.u8(at + 2), 2)
  return true
}

/** False when nobody prints what follows. */
function printSnap(p: PacketPrinter, start: number, wireLength: number, mac: number): boolean {
  if (!p.has(start, SNAP_BYTES) || wireLength < SNAP_BYTES) {
    p.ends('snap')
    return true
  }
  const organisation = (p.u16(start) << 8) | p.u8(start + 2)
  const type = p.u16(start + 3)
  const at = start + SNAP_BYTES
  const length = wireLength - SNAP_BYTES
  if (p.link) {
    p.text('oui ')
    printOrganisation(p, organisation)
    p.text(organisation === OUI.ETHERNET ? ', ethertype ' : ', pid ')
    printIdentifier(p, organisation, type)
    p.text(', length ')
    p.decimal(length)
    p.text(': ')
  }
  if (printSnapPayload(p, organisation, type, at, length, mac)) return true
  if (p.link) return false
  if (mac >= 0) {
    p.mac(mac + 6)
    p.text(' > ')
    p.mac(mac)
    p.text(' ')
  }
  p.text('SNAP, ')
  if (organisation === OUI.ETHERNET) {
    p.text('ethertype ')
  } else {
    p.text('oui ')
    printOrganisation(p, organisation)
    p.text(', pid ')
  }
  printIdentifier(p, organisation, type)
  p.text(', length ')
  p.decimal(length)
  p.text(': ')
  return false
}

function printSnapPayload(p: PacketPrinter, organisation: number, type: number, at: number, length: number, mac: number): boolean {
  switch (organisation) {
    case OUI.ETHERNET:
    case OUI.CISCO_90:
      return printEthertype(p, type, at, length, mac)
    case OUI.APPLETALK:
      return type === 0x809b && printEthertype(p, type, at, length, mac)
    case OUI.CISCO: {
      const name = CISCO_PROTOCOLS[type]
      if (name !== undefined) printName(p, name, length)
      return name !== undefined
    }
    case OUI.BRIDGED:
      if (type === 1 || type === 7) {
        if (p.has(at, BRIDGE_PADDING)) printEthernet(p, at + BRIDGE_PADDING, length - BRIDGE_PADDING)
        else p.cut('snap')
        return true
      }
      if (type === 14) printName(p, 'STP', length)
      else if (BRIDGED_NAMES[type] !== undefined && type !== 2 && type !== 5 && type !== 8 && type !== 11) printName(p, BRIDGED_NAMES[type] as string, length)
      else return false
      return true
  }
  return false
}

function printOrganisation(p: PacketPrinter, organisation: number): void {
  p.text(OUI_NAMES[organisation] ?? 'Unknown')
  p.text(' (0x')
  p.hex(organisation, 6)
  p.text(')')
}

function printIdentifier(p: PacketPrinter, organisation: number, type: number): void {
  const names =
    organisation === OUI.ETHERNET || organisation === OUI.CISCO_90 || organisation === OUI.APPLETALK
      ? ETHERTYPE_NAMES
      : organisation === OUI.CISCO
        ? CISCO_NAMES
        : organisation === OUI.BRIDGED
          ? BRIDGED_NAMES
          : NO_NAMES
  p.text(names[type] ?? 'Unknown')
  p.text(' (0x')
  p.hex(type, 4)
  p.text(')')
}
