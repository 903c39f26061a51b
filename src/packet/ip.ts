/** What an IP header carries, by protocol number, for both versions. */
import { printEthernet } from './ethernet.js'
import { printGre } from './gre.js'
import { printIcmp } from './icmp.js'
import { printIcmp6 } from './icmp6.js'
import { printIgmp } from './igmp.js'
import { IP_PROTOCOL, IP_PROTOCOL_NAMES } from './ip-protocol.js'
import { printAuthentication, printEncapsulated, printIpcomp } from './ipsec.js'
import { printIpv4 } from './ipv4.js'
import { printIpv6 } from './ipv6.js'
import type { PacketPrinter } from './packet-printer.js'
import { printOspf, printOspf3, printPim, printVrrp } from './routing.js'
import { printSctp } from './sctp.js'
import { printTcp } from './tcp.js'
import { printUdp } from './udp.js'

const NAMED: ReadonlySet<number> = new Set([
  IP_PROTOCOL.EGP,
  IP_PROTOCOL.IGRP,
  IP_PROTOCOL.DCCP,
  IP_PROTOCOL.RSVP,
  IP_PROTOCOL.MOBILE,
  IP_PROTOCOL.EIGRP,
  IP_PROTOCOL.PGM,
])

/** `header` is where the IP header begins that stands for addresses and pseudo-header; `fragmented` says that more fragments follow. */
export function printIpPayload(p: PacketPrinter, protocol: number, start: number, wireLength: number, header: number, fragmented: boolean): void {
  let next = protocol
  let at = start
  let length = wireLength
  const version = p.u8(header) >>> 4
  while (next === IP_PROTOCOL.AH) {
    if (!p.has(at, 1)) {
      p.ends('ah')
      return
    }
    next = p.u8(at)
    const advance = printAuthentication(p, at)
    if (advance === 0) return
    at += advance
    // Unsigned, as tcpdump has it: a header longer than the packet leaves a length near 2^32.
    length = (length - advance) >>> 0
  }
  switch (next) {
    case IP_PROTOCOL.TCP:
      printTcp(p, at, length, header, fragmented)
      return
    case IP_PROTOCOL.UDP:
      printUdp(p, at, length, header, fragmented)
      return
    case IP_PROTOCOL.ICMP:
      if (version === 4) printIcmp(p, at, length, fragmented)
      else printRequires(p, next, 4)
      return
    case IP_PROTOCOL.ICMPV6:
      if (version === 6) printIcmp6(p, at, length, header, fragmented)
      else printRequires(p, next, 6)
      return
    case IP_PROTOCOL.IGMP:
      if (version === 4) printIgmp(p, at, length)
      else printRequires(p, next, 4)
      return
    case IP_PROTOCOL.SCTP:
      printSctp(p, at, length, header)
      return
    case IP_PROTOCOL.IPV4:
      printIpv4(p, at, length)
      return
    case IP_PROTOCOL.IPV6:
      printIpv6(p, at, length)
      return
    case IP_PROTOCOL.GRE:
      printGre(p, at, length)
      return
    case IP_PROTOCOL.ESP:
      printEncapsulated(p, at, length)
      return
    case IP_PROTOCOL.IPCOMP:
      printIpcomp(p, at)
      return
    case IP_PROTOCOL.OSPF:
      if (version === 6) printOspf3(p, at, length)
      else printOspf(p, at, length)
      return
    case IP_PROTOCOL.PIM:
      printPim(p, at, length)
      return
    case IP_PROTOCOL.VRRP:
      printVrrp(p, at, length, header)
      return
    case IP_PROTOCOL.ETHERNET:
      if (version === 6) printEthernet(p, at, length)
      else printRequires(p, next, 6)
      return
    case IP_PROTOCOL.NONE:
      p.text('no next header')
      return
    case IP_PROTOCOL.ND:
      p.text(' nd ')
      p.decimal(length)
      return
  }
  if (NAMED.has(next)) {
    p.text(IP_PROTOCOL_NAMES[next] as string)
    p.text(', length ')
    p.decimal(length)
    return
  }
  p.text(' ip-proto-')
  p.decimal(next)
  p.text(' ')
  p.decimal(length)
}

function printRequires(p: PacketPrinter, protocol: number, version: 4 | 6): void {
  p.text('[')
  p.text(IP_PROTOCOL_NAMES[protocol] ?? 'unknown')
  p.text(version === 4 ? ' requires IPv4]' : ' requires IPv6]')
  p.invalid()
}

/** Without a link-layer header: either version. */
export function printRawIp(p: PacketPrinter, start: number, wireLength: number): number {
  if (p.link) p.text('ip: ')
  if (wireLength < 1) {
    p.text('truncated-ip ')
    p.decimal(wireLength)
    return 0
  }
  if (!p.has(start, 1)) {
    p.cut('raw')
    return 0
  }
  const version = p.u8(start) >>> 4
  if (version === 4) {
    printIpv4(p, start, wireLength)
  } else if (version === 6) {
    printIpv6(p, start, wireLength)
  } else {
    p.text('unknown ip ')
    p.decimal(version)
  }
  return 0
}
