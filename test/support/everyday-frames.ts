/** Ethernet frames of every day, which tcpdump and we print in the same words: TCP, UDP, ICMP and ARP over both versions of IP, some tagged. */
import type { Random } from './random.js'

const MACS = [2, 0, 0x5e, 0x10, 0, 1, 2, 0, 0x5e, 0x10, 0, 2]

function u16(value: number): number[] {
  return [value >> 8, value & 255]
}

export function everydayFrame(random: Random): Uint8Array<ArrayBuffer> {
  const tag = random.oneIn(4) ? [0x81, 0, 0, random.between(1, 250)] : []
  if (random.oneIn(8)) {
    const arp = [0, 1, 8, 0, 6, 4, 0, random.between(1, 2), ...MACS.slice(6), 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, random.between(2, 200)]
    return Uint8Array.from([...MACS, ...tag, 8, 6, ...arp, ...new Array<number>(18).fill(0)])
  }
  const payload = [...random.bytes(random.between(0, 300))]
  const tcp = [
    ...u16(random.between(40_000, 41_000)),
    ...u16(40_001),
    ...random.bytes(8),
    0x50,
    random.pick([2, 0x12, 0x10, 0x18]),
    0xff,
    0xff,
    0,
    0,
    0,
    0,
    ...payload,
  ]
  const udp = [...u16(random.between(40_000, 41_000)), ...u16(40_053), ...u16(8 + payload.length), 0, 0, ...payload]
  const [protocol, body] = random.oneIn(2) ? ([6, tcp] as const) : ([17, udp] as const)
  if (random.oneIn(3)) {
    const header = [
      0x60,
      0,
      0,
      0,
      ...u16(body.length),
      protocol,
      64,
      0x20,
      1,
      0xd,
      0xb8,
      0,
      0,
      0,
      0,
      0,
      0,
      0,
      0,
      0,
      0,
      0,
      1,
      0x20,
      1,
      0xd,
      0xb8,
      ...random.bytes(12),
    ]
    return Uint8Array.from([...MACS, ...tag, 0x86, 0xdd, ...header, ...body])
  }
  const header = [0x45, 0, ...u16(20 + body.length), 0, 1, 0, 0, 64, protocol, 0, 0, 10, 0, 0, random.between(1, 9), 192, 0, 2, random.between(1, 9)]
  return Uint8Array.from([...MACS, ...tag, 8, 0, ...header, ...body])
}
