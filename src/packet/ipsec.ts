/** IPsec as far as it is in the clear: AH (RFC 4302), ESP (RFC 4303), IPComp (RFC 3173). */
import type { PacketPrinter } from './packet-printer.js'

const AH_FIXED_BYTES = 12

/** Answers the bytes of the header, 0 when it is cut off. */
export function printAuthentication(p: PacketPrinter, at: number): number {
  p.text('AH')
  if (!p.has(at, 2)) return cutOff(p)
  const units = p.u8(at + 1)
  const bytes = (units + 2) * 4
  p.text('(')
  if (p.verbosity > 0) {
    p.text('length=')
    p.decimal(units)
    p.text('(')
    p.decimal(bytes)
    p.text('-bytes),')
  }
  if (!p.has(at, 4)) return cutOff(p)
  const reserved = p.u16(at + 2)
  if (reserved !== 0) {
    p.text('reserved=0x')
    p.hex(reserved)
    p.text('[MustBeZero],')
  }
  if (!p.has(at, 8)) return cutOff(p)
  p.text('spi=0x')
  p.hex(p.u32(at + 4), 8)
  p.text(',')
  if (!p.has(at, AH_FIXED_BYTES)) return cutOff(p)
  p.text('seq=0x')
  p.hex(p.u32(at + 8))
  p.text(',icv=0x')
  for (let i = AH_FIXED_BYTES; i < bytes; i++) {
    if (!p.has(at + i, 1)) return cutOff(p)
    p.hex(p.u8(at + i), 2)
  }
  p.text('): ')
  return bytes
}

function cutOff(p: PacketPrinter): number {
  p.cut('ah')
  return 0
}

export function printEncapsulated(p: PacketPrinter, at: number, length: number): void {
  // A header that nothing follows is no packet.
  if (!p.has(at, 9)) {
    p.ends('esp')
    return
  }
  p.text('ESP(spi=0x')
  p.hex(p.u32(at), 8)
  p.text(',seq=0x')
  p.hex(p.u32(at + 4))
  p.text('), length ')
  p.decimal(length)
}

export function printIpcomp(p: PacketPrinter, at: number): void {
  if (!p.has(at, 4)) {
    p.cut('ipcomp')
    return
  }
  p.text('IPComp(cpi=0x')
  p.hex(p.u16(at + 2), 4)
  p.text(')')
}
