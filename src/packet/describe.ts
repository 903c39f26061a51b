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
 * - sequence numbers are absolute;
 * - times before 1970 and after 2037 are printed, with -tt as negative and large numbers: `[Error converting time]` is left for what Date does not
 *   know (-tt: what is not exact).
 *
 * Cost (npm run bench:describe, Node.js 20, two busy cores): a UDP packet 240 ns where tcpdump takes 540, a SYN with its options 830 where
 * tcpdump takes 1470; of all ways to print, 0.4 to 1.0 of tcpdump's time. Text goes byte by byte into one growing array; only `line`
 * makes a string.
 */
import { CaptureError } from '../errors.js'
import { printCooked1, printCooked2 } from './cooked.js'
import { dumpAscii, dumpHex } from './dump.js'
import { printEthernet } from './ethernet.js'
import { printRawIp } from './ip.js'
import { LINKTYPE, type PacketLinkType, packetLinkType } from './link-type.js'
import { printLoopback } from './loopback.js'
import { PacketPrinter } from './packet-printer.js'
import { printPppLink, printPppoe } from './pppoe.js'
import { TIME_FORMATS, type TimeFormat, TimeText } from './time-text.js'

/** tcpdump's -x, -X and -A; with `Link` those given twice, which print the link-layer header as well. */
export type DumpFormat = (typeof DUMP_FORMATS)[number]

const DUMP_FORMATS = ['none', 'hex', 'hexLink', 'hexAscii', 'hexAsciiLink', 'ascii', 'asciiLink'] as const

export interface PacketTextOptions {
  /** Of packets that do not say theirs: a name of `tcpdump -y` or a LINKTYPE_ number. Default `EN10MB`. */
  linkType?: PacketLinkType | number | undefined
  /** Default `local`. */
  time?: TimeFormat | undefined
  /** Nine places of a second instead of six. Default false. */
  nanoseconds?: boolean | undefined
  /** The number of each packet before it, tcpdump's -#. Default false. */
  number?: boolean | undefined
  /** The link-layer header, tcpdump's -e. Default false. */
  link?: boolean | undefined
  /** 0 to 2: tcpdump's -v and -vv. Default 0. */
  verbosity?: number | undefined
  /** Less of each packet, tcpdump's -q. Default false. */
  quiet?: boolean | undefined
  /** Default `none`. */
  dump?: DumpFormat | undefined
  /** As if the packet had been cut to so many bytes when it was captured. Default: as it is. */
  snapLengthBytes?: number | undefined
}

/** A packet to be described. A PacketView, a Packet of `packets()`, a FilePacket and the cursor of a capture file are such. */
export interface PacketToDescribe {
  readonly bytes: Uint8Array
  /** Where in `bytes` it begins. Default: 0. */
  readonly offset?: number | undefined
  /** Default: to the end of `bytes`. */
  readonly capturedLength?: number | undefined
  /** Its length on the wire. Default: capturedLength. */
  readonly wireLength?: number | undefined
  /** Since 1970. */
  readonly seconds: number
  readonly nanoseconds: number
  /** LINKTYPE_ number. Default: that of the options. */
  readonly linkType?: number | undefined
}

/** tcpdump's MAXIMUM_SNAPLEN: no packet is longer. */
const LONGEST_PACKET = 262144
const LINE_FEED = 0x0a
const SPACE = 0x20
const COMMA = 0x2c

type PrintLink = (p: PacketPrinter, start: number, wireLength: number) => number

/** Answers the bytes of the link-layer headers. */
const LINK_PRINTERS: Readonly<Record<PacketLinkType, PrintLink>> = {
  EN10MB: printEthernet,
  RAW: printRawIp,
  IPV4: printRawIp,
  IPV6: printRawIp,
  PPP: printPppLink,
  PPP_ETHER: printPppoe,
  NULL: printLoopback,
  LOOP: printLoopback,
  LINUX_SLL: printCooked1,
  LINUX_SLL2: printCooked2,
}

/**
 * Packets as text, as `tcpdump -n -S` prints them: one line each, more with `verbosity` or `dump`. Of a link type that is not printed the
 * line says which it is and how long the packet; `dump` works for all.
 *
 * The text grows until `clear()`: whoever prints many packets writes it out, and clears it, whenever there is enough of it.
 */
export class PacketText {
  readonly #printer: PacketPrinter
  readonly #time: TimeText
  readonly #dump: DumpFormat
  readonly #isNumbered: boolean
  readonly #snapLengthBytes: number
  readonly #linkType: number
  /** What the last packet was of, and how such are printed. */
  #printed: number
  #print: PrintLink
  #packets = 0

  /** @throws CaptureError INVALID_OPTION */
  constructor(options: PacketTextOptions = {}) {
    checkOptions(options)
    const { linkType = 'EN10MB' } = options
    this.#printer = new PacketPrinter(options.link ?? false, options.verbosity ?? 0, options.quiet ?? false)
    this.#time = new TimeText(options.time ?? 'local', options.nanoseconds ?? false)
    this.#dump = options.dump ?? 'none'
    this.#isNumbered = options.number ?? false
    this.#snapLengthBytes = options.snapLengthBytes ?? Number.MAX_SAFE_INTEGER
    this.#linkType = typeof linkType === 'number' ? linkType : LINKTYPE[linkType]
    this.#printed = this.#linkType
    this.#print = linkPrinter(this.#linkType)
  }

  /** Memory whose first `length` bytes are the text so far: ASCII, every packet ended by a line feed. Valid until the next call of any method. */
  get bytes(): Uint8Array<ArrayBuffer> {
    return this.#printer.output
  }

  get length(): number {
    return this.#printer.length
  }

  /** Forgets the text, not the times and numbers of packets, and keeps the memory. */
  clear(): void {
    this.#printer.clear()
  }

  toString(): string {
    return this.#printer.toText()
  }

  /** Adds a packet. */
  append(packet: PacketToDescribe): void {
    const { bytes } = packet
    const offset = packet.offset ?? 0
    const present = packet.capturedLength ?? bytes.length - offset
    const wireLength = packet.wireLength ?? present
    const capturedLength = Math.min(present, this.#snapLengthBytes)
    const linkType = packet.linkType ?? this.#linkType
    const printer = this.#printer
    if (linkType !== this.#printed) {
      this.#printed = linkType
      this.#print = linkPrinter(linkType)
    }
    if (this.#isNumbered) this.#number(++this.#packets)
    if (capturedLength === 0 || wireLength < capturedLength || wireLength > LONGEST_PACKET) {
      this.#impossible(capturedLength, wireLength)
    } else {
      this.#time.write(printer, packet.seconds, packet.nanoseconds)
      printer.begin(bytes, offset + capturedLength)
      const header = this.#print(printer, offset, wireLength)
      if (this.#dump !== 'none') this.#dumpPacket(offset, capturedLength, printer.lost ? 0 : header)
    }
    printer.char(LINE_FEED)
  }

  /** A packet as a string, without the last line feed; nothing is added to the text. */
  line(packet: PacketToDescribe): string {
    const printer = this.#printer
    const start = printer.length
    this.append(packet)
    printer.length--
    const text = printer.toText(start)
    printer.length = start
    return text
  }

  #number(packets: number): void {
    for (let place = 10_000; place > packets; place /= 10) this.#printer.char(SPACE)
    this.#printer.decimal(packets)
    this.#printer.text('  ')
  }

  #impossible(capturedLength: number, wireLength: number): void {
    const printer = this.#printer
    printer.text('[Invalid header:')
    const start = printer.length
    if (capturedLength === 0) printer.text(' caplen==0')
    if (wireLength === 0) {
      if (printer.length > start) printer.char(COMMA)
      printer.text(' len==0')
    } else if (wireLength < capturedLength) {
      if (printer.length > start) printer.char(COMMA)
      printer.text(' len(')
      printer.decimal(wireLength)
      printer.text(') < caplen(')
      printer.decimal(capturedLength)
      printer.text(')')
    }
    if (capturedLength > LONGEST_PACKET) this.#tooLong(start, ' caplen(', capturedLength)
    if (wireLength > LONGEST_PACKET) this.#tooLong(start, ' len(', wireLength)
    printer.text(']')
  }

  #tooLong(start: number, name: string, length: number): void {
    const printer = this.#printer
    if (printer.length > start) printer.char(COMMA)
    printer.text(name)
    printer.decimal(length)
    printer.text(') > 262144')
  }

  #dumpPacket(offset: number, capturedLength: number, header: number): void {
    const format = this.#dump
    const skipped = format === 'hexLink' || format === 'hexAsciiLink' || format === 'asciiLink' ? 0 : header
    if (capturedLength <= skipped) return
    const printer = this.#printer
    const start = offset + skipped
    const length = capturedLength - skipped
    if (format === 'ascii' || format === 'asciiLink') dumpAscii(printer, printer.packet, start, length)
    else dumpHex(printer, printer.packet, start, length, format === 'hexAscii' || format === 'hexAsciiLink')
  }
}

const isBoolean = (value: unknown) => typeof value === 'boolean'

const CHECKS: Readonly<Record<keyof PacketTextOptions, readonly [expected: string, isRight: (value: unknown) => boolean]>> = {
  linkType: [
    `a LINKTYPE_ number or one of ${Object.keys(LINKTYPE).join(', ')}`,
    (value) => (typeof value === 'string' ? Object.hasOwn(LINKTYPE, value) : Number.isInteger(value) && Number(value) >= 0 && Number(value) <= 0xffff),
  ],
  time: [`one of ${TIME_FORMATS.join(', ')}`, (value) => TIME_FORMATS.some((known) => known === value)],
  nanoseconds: ['a boolean', isBoolean],
  number: ['a boolean', isBoolean],
  link: ['a boolean', isBoolean],
  verbosity: ['0, 1 or 2', (value) => value === 0 || value === 1 || value === 2],
  quiet: ['a boolean', isBoolean],
  dump: [`one of ${DUMP_FORMATS.join(', ')}`, (value) => DUMP_FORMATS.some((known) => known === value)],
  snapLengthBytes: ['a whole number above 0', (value) => Number.isSafeInteger(value) && Number(value) > 0],
}

function checkOptions(options: PacketTextOptions): void {
  const wrong = Object.keys(options).find((name) => !isRightOption(name, options[name as keyof PacketTextOptions]))
  if (wrong === undefined) return
  const known = Object.keys(CHECKS)
  if (!known.includes(wrong)) throw new CaptureError('INVALID_OPTION', `Unknown option ${wrong}`, { hint: `options: ${known.join(', ')}` })
  const name = wrong as keyof PacketTextOptions
  const value: unknown = options[name]
  throw new CaptureError('INVALID_OPTION', `Expected the option ${name} to be ${CHECKS[name][0]}, got ${String(value)} (${typeof value})`)
}

function isRightOption(name: string, value: unknown): boolean {
  return Object.hasOwn(CHECKS, name) && (value === undefined || CHECKS[name as keyof PacketTextOptions][1](value))
}

function linkPrinter(linkType: number): PrintLink {
  const known = packetLinkType(linkType)
  if (known !== undefined) return LINK_PRINTERS[known]
  return (p, _, wireLength) => {
    p.text('link-type ')
    p.decimal(linkType)
    p.text(', length ')
    p.decimal(wireLength)
    return 0
  }
}
