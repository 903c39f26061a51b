/**
 * Capture files written by hand, in either byte order, with what no common tool writes. Shares nothing with src/: numbers and layouts
 * stand here once more.
 */
import type { Random } from './random.js'

export interface WrittenPacket {
  bytes: Uint8Array
  wireLength: number
  seconds: number
  nanoseconds: number
  interfaceId: number
}

/** Numbers in one byte order. */
export class Writer {
  readonly #parts: Buffer[] = []
  readonly littleEndian: boolean

  constructor(littleEndian: boolean) {
    this.littleEndian = littleEndian
  }
  u16(...values: number[]): this {
    for (const value of values) {
      const part = Buffer.alloc(2)
      if (this.littleEndian) part.writeUInt16LE(value)
      else part.writeUInt16BE(value)
      this.#parts.push(part)
    }
    return this
  }
  u32(...values: number[]): this {
    for (const value of values) {
      const part = Buffer.alloc(4)
      if (this.littleEndian) part.writeUInt32LE(value >>> 0)
      else part.writeUInt32BE(value >>> 0)
      this.#parts.push(part)
    }
    return this
  }
  u64(value: bigint): this {
    const [low, high] = [Number(value & 0xffffffffn), Number((value >> 32n) & 0xffffffffn)]
    return this.littleEndian ? this.u32(low, high) : this.u32(high, low)
  }
  /** Padded to 4 bytes. */
  padded(bytes: Uint8Array): this {
    this.#parts.push(Buffer.from(bytes), Buffer.alloc(-bytes.length & 3))
    return this
  }
  raw(...bytes: Uint8Array[]): this {
    this.#parts.push(...bytes.map((part) => Buffer.from(part)))
    return this
  }
  option(code: number, value: Uint8Array | string): this {
    const bytes = Buffer.from(value)
    return this.u16(code, bytes.length).padded(bytes)
  }
  end(): Buffer {
    return Buffer.concat(this.#parts)
  }
}

export interface PcapShape {
  littleEndian: boolean
  magic: number
  minor?: number
  snaplen?: number
  /** The whole word, with the bits of the FCS. */
  linktype?: number
}

export const MICROSECONDS = 0xa1b2c3d4
export const NANOSECONDS = 0xa1b23c4d
export const MODIFIED = 0xa1b2cd34

export function pcapHeader({ littleEndian, magic, minor = 4, snaplen = 262144, linktype = 1 }: PcapShape): Buffer {
  return new Writer(littleEndian).u32(magic).u16(2, minor).u32(0, 0, snaplen, linktype).end()
}

export function pcapRecord({ littleEndian, magic, minor = 4 }: PcapShape, { bytes, wireLength, seconds, nanoseconds }: WrittenPacket): Buffer {
  const lengths = minor < 3 ? [wireLength, bytes.length] : [bytes.length, wireLength]
  const writer = new Writer(littleEndian).u32(seconds, magic === NANOSECONDS ? nanoseconds : Math.floor(nanoseconds / 1000), ...lengths)
  // Interface index, protocol, packet type and padding.
  if (magic === MODIFIED) writer.u32(1).u16(0x0800).raw(Buffer.alloc(2))
  return writer.raw(bytes).end()
}

export function pcapOf(shape: PcapShape, packets: readonly WrittenPacket[]): Buffer {
  return Buffer.concat([pcapHeader(shape), ...packets.map((packet) => pcapRecord(shape, packet))])
}

/** A block of pcapng around its body, which is padded already. */
export function block(littleEndian: boolean, type: number, body: Uint8Array): Buffer {
  const length = body.length + 12
  return new Writer(littleEndian).u32(type, length).raw(body).u32(length).end()
}

export function sectionHeader(littleEndian: boolean, options: Uint8Array = new Uint8Array(0)): Buffer {
  return block(littleEndian, 0x0a0d0d0a, new Writer(littleEndian).u32(0x1a2b3c4d).u16(1, 0).u32(0xffffffff, 0xffffffff).raw(options).end())
}

export function interfaceBlock(littleEndian: boolean, linktype = 1, snaplen = 0, options: Uint8Array = new Uint8Array(0)): Buffer {
  return block(littleEndian, 1, new Writer(littleEndian).u16(linktype, 0).u32(snaplen).raw(options).end())
}

export function enhancedPacket(
  littleEndian: boolean,
  id: number,
  ticks: bigint,
  bytes: Uint8Array,
  wireLength = bytes.length,
  options: Uint8Array = new Uint8Array(0),
): Buffer {
  const high = Number((ticks >> 32n) & 0xffffffffn)
  const low = Number(ticks & 0xffffffffn)
  return block(littleEndian, 6, new Writer(littleEndian).u32(id, high, low, bytes.length, wireLength).padded(bytes).raw(options).end())
}

/** Time in ticks of a resolution as if_tsresol has it, and what is to be read of it: cut to the nanosecond. */
export function ticksOf(random: Random, tsresol: number): { ticks: bigint; seconds: number; nanoseconds: number } {
  const exponent = BigInt(tsresol & 0x7f)
  const units = (tsresol & 0x80) === 0 ? 10n ** exponent : 2n ** exponent
  const all = (BigInt(random.word()) << 32n) | BigInt(random.word())
  const plausible = BigInt(random.between(0, 2 ** 31)) * units + (all % units)
  const ticks = random.oneIn(2) || plausible >= 2n ** 64n ? all : plausible
  return { ticks, seconds: Number(ticks / units), nanoseconds: Number(((ticks % units) * 1_000_000_000n) / units) }
}

/** Packets as a capture has them: in order of time, Ethernet with random contents, some of them cut. */
export function randomPackets(random: Random, count: number, longest = 200): WrittenPacket[] {
  let seconds = random.between(1, 2_000_000_000)
  let nanoseconds = 0
  return Array.from({ length: count }, () => {
    nanoseconds += random.between(0, 700_000_000)
    seconds += Math.floor(nanoseconds / 1e9)
    nanoseconds %= 1e9
    const bytes = random.bytes(random.between(1, longest))
    return { bytes, wireLength: bytes.length + (random.oneIn(3) ? random.between(1, 1000) : 0), seconds, nanoseconds, interfaceId: 0 }
  })
}
