/** UDP (RFC 768). What datagrams carry is tshark's to print: every port is `UDP, length N`. */
import { addWords, complement, correctChecksum } from '../bytes/checksum.js'
import { IP_PROTOCOL } from './ip-protocol.js'
import { pseudoHeaderSum4 } from './ipv4.js'
import { pseudoHeaderSum6 } from './ipv6.js'
import type { PacketPrinter } from './packet-printer.js'
import { printAddressPair, printPorts } from './tcp.js'

const HEADER_BYTES = 8
const LONGEST = 65535

export function printUdp(p: PacketPrinter, start: number, wireLength: number, ipHeader: number, fragmented: boolean): void {
  const version = p.u8(ipHeader) >>> 4
  if (!p.has(start, 4)) {
    if (p.u8(ipHeader + (version === 6 ? 6 : 9)) === IP_PROTOCOL.UDP) {
      printAddressPair(p, ipHeader, version)
      p.text(': ')
    }
    p.ends('udp')
    return
  }
  printPorts(p, start, ipHeader, version, IP_PROTOCOL.UDP)
  if (wireLength < HEADER_BYTES) {
    p.text('truncated-udp ')
    p.decimal(wireLength)
    return
  }
  if (!p.has(start, 6)) {
    p.ends('udp')
    return
  }
  let claimed = p.u16(start + 4)
  // A jumbogram (RFC 2675) has no length.
  if (claimed === 0 && wireLength > LONGEST) claimed = wireLength
  if (claimed < HEADER_BYTES) {
    p.text('truncated-udplength ')
    p.decimal(claimed)
    return
  }
  if (!p.has(start, HEADER_BYTES)) {
    p.ends('udp')
    return
  }
  claimed -= HEADER_BYTES
  const there = wireLength - HEADER_BYTES
  const length = Math.min(claimed, there)
  if (p.verbosity > 0 && !fragmented) printChecksum(p, start, length + HEADER_BYTES, ipHeader, version)
  if (claimed > length && !fragmented) {
    p.text('UDP, bad length ')
    p.decimal(claimed)
    p.text(' > ')
    p.decimal(length)
    return
  }
  p.text('UDP, length ')
  p.decimal(claimed)
}

/** Over IPv4 with -vv only, as tcpdump has it. */
function printChecksum(p: PacketPrinter, start: number, length: number, ipHeader: number, version: number): void {
  if (version === 4 && p.verbosity < 2) return
  const found = p.u16(start + 6)
  if (version === 4 && found === 0) {
    p.text('[no cksum] ')
    return
  }
  if (!p.has(start, length)) return
  const pseudo = version === 4 ? pseudoHeaderSum4(p, ipHeader, IP_PROTOCOL.UDP, length) : pseudoHeaderSum6(p, ipHeader, IP_PROTOCOL.UDP, length)
  const wrong = complement(addWords(p.packet, start, length, pseudo))
  if (wrong === 0) {
    p.text('[udp sum ok] ')
    return
  }
  p.text('[bad udp cksum 0x')
  p.hex(found, 4)
  p.text(' -> 0x')
  p.hex(correctChecksum(found, wrong), 4)
  p.text('!] ')
}
