/** Frames that filters look into: tags, labels, options, fragments, extension headers, cut anywhere. Few addresses and ports, so that filters hit. */
import type { Random } from './random.js'

type Part = readonly number[]

function word(value: number): Part {
  return [(value >>> 8) & 0xff, value & 0xff]
}

function long(value: number): Part {
  return [...word(value >>> 16), ...word(value & 0xffff)]
}

const MACS: readonly Part[] = [
  [0, 0, 0, 0, 0, 1],
  [2, 0, 0x5e, 0x10, 0, 1],
  [0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
  [1, 0, 0x5e, 0, 0, 5],
  [0x33, 0x33, 0, 0, 0, 1],
]
// Not 224.0.0.0/24: behind a byte of ones that is SKF_LL_OFF, for a filter that takes it as an offset.
const ADDRESSES = [0x0a00_0001, 0x0a00_0002, 0xc0a8_0101, 0xffff_ffff, 0xef00_0005, 0x7f00_0001, 0x0808_0808]
const ADDRESSES6: readonly Part[] = [
  [0x20, 1, 0xd, 0xb8, ...new Array(11).fill(0), 1],
  [0x20, 1, 0xd, 0xb8, ...new Array(11).fill(0), 2],
  [0xfe, 0x80, ...new Array(13).fill(0), 1],
  [0xff, 2, ...new Array(13).fill(0), 1],
]
const PORTS = [20, 22, 53, 80, 443, 1000, 1024, 8080, 4789, 6081, 65_535]

function transport(random: Random, protocol: number): Part {
  const ports = [...word(random.pick(PORTS)), ...word(random.pick(PORTS))]
  const data = [...random.bytes(random.between(0, 30))]
  switch (protocol) {
    case 6:
      return [
        ...ports,
        ...long(random.word()),
        ...long(random.word()),
        random.between(5, 8) << 4,
        random.between(0, 255),
        ...word(random.word()),
        0,
        0,
        0,
        0,
        ...data,
      ]
    case 17:
      return [...ports, ...word(8 + data.length), 0, 0, ...data]
    case 132:
      return [...ports, ...long(random.word()), ...long(random.word()), ...data]
    case 1:
      return [random.pick([0, 3, 5, 8, 11]), random.between(0, 3), 0, 0, ...data]
    case 58:
      return [random.pick([1, 128, 129, 134, 135]), 0, 0, 0, ...data]
    default:
      return data
  }
}

const PROTOCOLS = [1, 2, 6, 6, 6, 17, 17, 17, 41, 46, 47, 50, 51, 58, 89, 103, 112, 132]

function ipv4(random: Random): Part {
  const protocol = random.pick(PROTOCOLS)
  const options = random.oneIn(3) ? new Array(4 * random.between(1, 10)).fill(1) : []
  const payload = transport(random, protocol)
  const fragment = random.oneIn(4) ? random.pick([0x2000, 0x2001, 0x0001, 0x1fff, 0x8000]) : random.pick([0, 0x4000])
  const first = random.oneIn(30) ? random.between(0, 255) : 0x45 + options.length / 4
  const length = 20 + options.length + payload.length
  const addresses = [...long(random.pick(ADDRESSES)), ...long(random.pick(ADDRESSES))]
  return [
    first,
    random.between(0, 255),
    ...word(length),
    ...word(random.word()),
    ...word(fragment),
    random.between(1, 255),
    protocol,
    0,
    0,
    ...addresses,
    ...options,
    ...payload,
  ]
}

function ipv6(random: Random): Part {
  const protocol = random.pick(PROTOCOLS)
  const extensions: number[] = []
  let first = protocol
  for (const kind of [44, 43, 0]) {
    if (!random.oneIn(5)) continue
    extensions.unshift(first, 0, ...random.bytes(6))
    first = kind
  }
  const payload = [...extensions, ...transport(random, protocol)]
  return [0x60, random.between(0, 255), 0, 0, ...word(payload.length), first, 64, ...random.pick(ADDRESSES6), ...random.pick(ADDRESSES6), ...payload]
}

function arp(random: Random): Part {
  return [
    0,
    1,
    8,
    0,
    6,
    4,
    0,
    random.between(1, 2),
    ...random.pick(MACS),
    ...long(random.pick(ADDRESSES)),
    ...random.pick(MACS),
    ...long(random.pick(ADDRESSES)),
  ]
}

/** A number that stands before what it is the type of. */
function typed(random: Random): readonly [type: number, payload: Part] {
  switch (random.between(0, 9)) {
    case 0:
      return [0x0806, arp(random)]
    case 1:
    case 2:
    case 3:
      return [0x86dd, ipv6(random)]
    case 4:
      return [random.pick([0x8035, 0x809b, 0x80f3, 0x88cc, 0x6003, 0x8863]), [...random.bytes(random.between(0, 50))]]
    case 5: {
      // 802.2 in place of a type.
      const llc = [random.pick([0x42, 0xe0, 0xf0, 0xaa, 0xfe, 0xff]), random.pick([0x42, 0xe0, 0xf0, 0xaa, 0xfe, 0xff]), 3, ...random.bytes(40)]
      return [llc.length, llc]
    }
    default:
      return [0x0800, ipv4(random)]
  }
}

function labels(random: Random): Part {
  const count = random.between(1, 3)
  const payload = random.oneIn(3) ? ipv6(random) : ipv4(random)
  const stack = Array.from({ length: count }, (_, i) => long(((random.pick([3, 100, 1000, 0xfffff]) << 12) | (i === count - 1 ? 0x100 : 0) | 64) >>> 0))
  return [...stack.flat(), ...payload]
}

/** At least `min` bytes, which are what can be captured of it. */
export function randomFrame(random: Random, min = 0): Uint8Array<ArrayBuffer> {
  if (random.oneIn(25)) return random.bytes(random.between(min, 120))
  let [type, payload] = typed(random)
  switch (random.between(0, 9)) {
    case 0:
      type = random.pick([0x8847, 0x8848])
      payload = labels(random)
      break
    case 1:
      payload = [0x11, random.pick([0, 9]), ...word(random.pick([1, 7])), ...word(payload.length + 2), ...word(type === 0x86dd ? 0x57 : 0x21), ...payload]
      type = 0x8864
      break
  }
  for (let tags = random.pick([0, 0, 0, 1, 1, 2, 3]); tags > 0; tags--) {
    payload = [...word((random.between(0, 7) << 13) | random.pick([0, 1, 5, 100, 4095])), ...word(type), ...payload]
    type = random.pick([0x8100, 0x8100, 0x88a8, 0x9100])
  }
  const frame = Uint8Array.from([...random.pick(MACS), ...random.pick(MACS), ...word(type), ...payload])
  for (let changes = random.between(0, 5) - 3; changes > 0; changes--) frame[random.between(0, Math.min(frame.length, 100) - 1)] = random.between(0, 255)
  const cut = random.oneIn(4) ? frame.slice(0, random.between(0, frame.length)) : frame
  if (cut.length >= min) return cut
  const padded = new Uint8Array(min)
  padded.set(cut)
  return padded
}
