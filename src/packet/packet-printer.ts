/**
 * What the printers of all protocols share: the packet, where its captured bytes end, how much is wanted, and the text so far.
 *
 * A printer checks before it reads: `has(at, count)`, else `cut()` and return at once. `cut` says `[|tcp]`, as tcpdump does, and ends
 * the whole packet: whoever goes on after a printer that it called asks `stopped` first.
 */
import { TextOutput } from './text-output.js'

export class PacketPrinter extends TextOutput {
  /** Link-layer headers, tcpdump's -e. */
  readonly link: boolean
  /** tcpdump's -v, so many times. */
  readonly verbosity: number
  /** tcpdump's -q. */
  readonly quiet: boolean

  packet: Uint8Array = new Uint8Array(0)
  /** Where the bytes end that may be read: those captured, and no more than the enclosing header says. */
  end = 0
  /** Set once a header was cut off: nothing more is printed of this packet. */
  stopped = false
  /** Set when that left unknown where the link-layer header ends. */
  lost = false

  constructor(link: boolean, verbosity: number, quiet: boolean) {
    super()
    this.link = link
    this.verbosity = verbosity
    this.quiet = quiet
  }

  begin(packet: Uint8Array, end: number): void {
    this.packet = packet
    this.end = end
    this.stopped = false
    this.lost = false
  }

  has(at: number, count: number): boolean {
    return at + count <= this.end
  }

  u8(at: number): number {
    return this.packet[at] as number
  }

  u16(at: number): number {
    const packet = this.packet
    return ((packet[at] as number) << 8) | (packet[at + 1] as number)
  }

  u32(at: number): number {
    const packet = this.packet
    return (((packet[at] as number) << 24) | ((packet[at + 1] as number) << 16) | ((packet[at + 2] as number) << 8) | (packet[at + 3] as number)) >>> 0
  }

  /** The packet ends inside this header: ` [|tcp]`. */
  cut(protocol: string): void {
    this.lost = true
    this.ends(protocol)
  }

  /** The same, where the link-layer header was seen whole. */
  ends(protocol: string): void {
    this.stopped = true
    this.text(' [|')
    this.text(protocol)
    this.text(']')
  }

  /** A header that contradicts itself. */
  invalid(): void {
    this.text(' (invalid)')
  }

  ip4(at: number): void {
    this.ipv4(this.packet, at)
  }

  ip6(at: number): void {
    this.ipv6(this.packet, at)
  }

  mac(at: number): void {
    this.colonHex(this.packet, at)
  }

  /** The text of a number, or the number. */
  named(names: Readonly<Record<number, string>>, value: number, prefix: string, suffix = ''): void {
    const name = names[value]
    if (name !== undefined) {
      this.text(name)
      return
    }
    this.text(prefix)
    this.decimal(value)
    this.text(suffix)
  }

  /** The same, the number in hexadecimal. */
  namedOrHex(names: Readonly<Record<number, string>>, value: number, prefix: string, digits = 1): void {
    const name = names[value]
    if (name !== undefined) {
      this.text(name)
      return
    }
    this.text(prefix)
    this.hex(value, digits)
  }

  /** Names of the bits that are set, the table's order. */
  flags(bits: readonly (readonly [mask: number, name: string])[], value: number, separator: string): void {
    let any = false
    for (let i = 0; i < bits.length; i++) {
      const [mask, name] = bits[i] as readonly [number, string]
      if ((value & mask) === 0) continue
      if (any) this.text(separator)
      this.text(name)
      any = true
    }
    if (!any) this.text('none')
  }
}
