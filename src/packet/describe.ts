/**
 * A packet as one line of text, as `tcpdump -n -S` prints it; with `verbosity` more lines that begin with white space, with `dump` the
 * bytes. Everything printed is printable ASCII, tabs and line feeds: nothing of a packet reaches a terminal as it is.
 *
 * Deliberately unlike tcpdump 4.99 (test/unit/packet/describe.test.ts compares with it, and knows these alone):
 * - what TCP and UDP carry (DNS, HTTP, tunnels) is not dissected: `length N` is the last that is said;
 * - protocols that tcpdump dissects deep and users here seldom need are told by name and length: STP, CDP, LLDP, IPX, AppleTalk,
 *   DECnet, OSI, EAPOL, MACsec, EIGRP, IGRP, RSVP, DCCP, PGM, PPP's own protocols, IPv6 mobility, ATM ARP;
 *   OSPF, PIM, VRRP and the rarer ICMPv6 messages by name, kind and length;
 * - multipath TCP options are hexadecimal, extensions of ICMP errors (RFC 4884) are left out;
 * - no hex dump is added to packets of unknown protocols: `dump` is for that;
 * - cooked v2 says the number of the interface, not a name that it has on the machine that reads;
 * - sequence numbers are absolute.
 *
 * Cost (npm run bench:describe, Node.js 20, two busy cores): a UDP packet 240 ns where tcpdump takes 540, a SYN with its options 830 where
 * tcpdump takes 1470; of all ways to print, 0.4 to 1.0 of tcpdump's time. Text goes byte by byte into one growing array; only `line`
 * makes a string.
 */
import { printCooked1, printCooked2 } from './cooked.js'
import { dumpAscii, dumpHex } from './dump.js'
import { printEthernet } from './ethernet.js'
import { printRawIp } from './ip.js'
import type { PacketLinkType } from './link-type.js'
import { printLoopback } from './loopback.js'
import { PacketPrinter } from './packet-printer.js'
import { type TimeFormat, TimeText } from './time-text.js'

/** tcpdump's -x, -X and -A; with `Link` those given twice, which print the link-layer header as well. */
export type DumpFormat = 'none' | 'hex' | 'hexLink' | 'hexAscii' | 'hexAsciiLink' | 'ascii' | 'asciiLink'

export interface PacketTextOptions {
  linkType: PacketLinkType
  /** Default `local`. */
  time?: TimeFormat
  /** Nine places of a second instead of six. Default false. */
  nanoseconds?: boolean
  /** The link-layer header, tcpdump's -e. Default false. */
  link?: boolean
  /** 0 to 2: tcpdump's -v and -vv. Default 0. */
  verbosity?: number
  /** Less of each packet, tcpdump's -q. Default false. */
  quiet?: boolean
  /** Default `none`. */
  dump?: DumpFormat
}

/** tcpdump's MAXIMUM_SNAPLEN: no packet is longer. */
const LONGEST_PACKET = 262144
const LINE_FEED = 0x0a

type PrintLink = (p: PacketPrinter, start: number, wireLength: number) => number

/** Answers the bytes of the link-layer headers. */
const LINK_PRINTERS: Readonly<Record<PacketLinkType, PrintLink>> = {
  EN10MB: printEthernet,
  RAW: printRawIp,
  IPV4: printRawIp,
  IPV6: printRawIp,
  NULL: printLoopback,
  LOOP: printLoopback,
  LINUX_SLL: printCooked1,
  LINUX_SLL2: printCooked2,
}

/**
 * Prints packets into one growing text: `output`, of which the first `length` bytes are the text, every packet ended by a line feed.
 * Whoever writes it out calls `clear()` then.
 */
export class PacketText extends PacketPrinter {
  readonly #time: TimeText
  readonly #print: PrintLink
  readonly #dump: DumpFormat

  constructor(options: PacketTextOptions) {
    super(options.link ?? false, options.verbosity ?? 0, options.quiet ?? false)
    this.#time = new TimeText(options.time ?? 'local', options.nanoseconds ?? false)
    this.#print = LINK_PRINTERS[options.linkType]
    this.#dump = options.dump ?? 'none'
  }

  /** Adds a packet, whose bytes are `bytes[offset]` to `bytes[offset + capturedLength - 1]`. */
  append(bytes: Uint8Array, offset: number, capturedLength: number, wireLength: number, seconds: number, nanoseconds: number): void {
    if (capturedLength === 0 || wireLength < capturedLength || wireLength > LONGEST_PACKET) {
      this.#impossible(capturedLength, wireLength)
    } else {
      this.#time.write(this, seconds, nanoseconds)
      this.begin(bytes, offset + capturedLength)
      const header = this.#print(this, offset, wireLength)
      if (this.#dump !== 'none') this.#dumpPacket(offset, capturedLength, this.lost ? 0 : header)
    }
    this.char(LINE_FEED)
  }

  /** The same as a string, without the last line feed; nothing is added to `output`. */
  line(bytes: Uint8Array, offset: number, capturedLength: number, wireLength: number, seconds: number, nanoseconds: number): string {
    const start = this.length
    this.append(bytes, offset, capturedLength, wireLength, seconds, nanoseconds)
    this.length--
    const text = this.toText(start)
    this.length = start
    return text
  }

  #impossible(capturedLength: number, wireLength: number): void {
    this.text('[Invalid header:')
    const start = this.length
    if (capturedLength === 0) this.text(' caplen==0')
    if (wireLength === 0) {
      if (this.length > start) this.text(',')
      this.text(' len==0')
    } else if (wireLength < capturedLength) {
      if (this.length > start) this.text(',')
      this.text(' len(')
      this.decimal(wireLength)
      this.text(') < caplen(')
      this.decimal(capturedLength)
      this.text(')')
    }
    if (capturedLength > LONGEST_PACKET) this.#tooLong(start, ' caplen(', capturedLength)
    if (wireLength > LONGEST_PACKET) this.#tooLong(start, ' len(', wireLength)
    this.text(']')
  }

  #tooLong(start: number, name: string, length: number): void {
    if (this.length > start) this.text(',')
    this.text(name)
    this.decimal(length)
    this.text(') > 262144')
  }

  #dumpPacket(offset: number, capturedLength: number, header: number): void {
    const format = this.#dump
    const skipped = format === 'hexLink' || format === 'hexAsciiLink' || format === 'asciiLink' ? 0 : header
    if (capturedLength <= skipped) return
    const start = offset + skipped
    const length = capturedLength - skipped
    if (format === 'ascii' || format === 'asciiLink') dumpAscii(this, this.packet, start, length)
    else dumpHex(this, this.packet, start, length, format === 'hexAscii' || format === 'hexAsciiLink')
  }
}
