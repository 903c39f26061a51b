/** An address in a message of ICMPv6. */
import type { PacketPrinter } from './packet-printer.js'

/** Nothing of it when the address is cut off. */
export function printAddress6(p: PacketPrinter, prefix: string, at: number): boolean {
  if (!p.has(at, 16)) {
    p.cut('icmp6')
    return false
  }
  p.text(prefix)
  p.ip6(at)
  return true
}
