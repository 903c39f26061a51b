/** Frames of everything that has a text of its own: options, messages and chunks of each kind, checksums right and wrong, cut anywhere. */
import type { Random } from './random.js'

type Bytes = number[]

const u16 = (value: number): Bytes => [(value >>> 8) & 0xff, value & 0xff]
const u32 = (value: number): Bytes => [...u16(value >>> 16), ...u16(value)]

const IP4S: readonly Bytes[] = [
  [10, 0, 0, 1],
  [192, 168, 1, 200],
  [224, 0, 0, 1],
  [255, 255, 255, 255],
  [0, 0, 0, 0],
]
const IP6S: readonly Bytes[] = [
  [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
  [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 2, 0, 0x5e, 0xff, 0xfe, 0x10, 0, 1],
  [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x16],
  [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
  [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1],
  [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 192, 0, 2, 1],
  [0x20, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 2, 0, 0, 0, 3],
  [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
]
/** Nobody's: tcpdump has no printer for them. */
const PORTS = [1, 22_222, 40_000, 50_001, 60_000]

function bytes(random: Random, length: number): Bytes {
  return [...random.bytes(length)]
}

/** Ones' complement sum, by the book: test code of its own. */
function checksum(data: readonly number[]): number {
  let sum = 0
  for (let i = 0; i < data.length; i += 2) sum += ((data[i] as number) << 8) | (data[i + 1] ?? 0)
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
  return ~sum & 0xffff
}

function put16(data: Bytes, at: number, value: number): Bytes {
  if (at + 2 <= data.length) data.splice(at, 2, ...u16(value))
  return data
}

function tcpOption(random: Random): Bytes {
  switch (random.between(0, 15)) {
    case 0:
      return [1]
    case 1:
      return [1, 1, 8, 10, ...bytes(random, 8)]
    case 2:
      return [2, 4, ...u16(1460)]
    case 3:
      return [3, 3, random.between(0, 14)]
    case 4:
      return [4, 2]
    case 5: {
      const blocks = random.between(1, 3)
      return [5, 2 + 8 * blocks, ...bytes(random, 8 * blocks)]
    }
    case 6:
      return [random.pick([6, 7, 11, 12, 13]), 6, ...bytes(random, 4)]
    case 7:
      return [19, 18, ...bytes(random, 16)]
    case 8:
      return [20, 4, ...bytes(random, 2)]
    case 9:
      return [28, 4, ...bytes(random, 2)]
    case 10:
      return [29, 16, ...bytes(random, 14)]
    case 11:
      return [34, 2 + random.pick([0, 1, 4, 8, 16]), ...bytes(random, 16)]
    case 12:
      return [254, 8, 0xf9, 0x89, ...bytes(random, 4)]
    case 13:
      return [254, random.pick([2, 4]), ...bytes(random, 2)]
    case 14:
      return [random.between(0, 255), random.between(0, 12), ...bytes(random, 6)]
    default:
      return [0]
  }
}

function tcp(random: Random): Bytes {
  const options: Bytes = []
  while (options.length < 40 && random.between(0, 2) > 0) options.push(...tcpOption(random))
  options.length = Math.min(40, (options.length + 3) & ~3)
  const data = bytes(random, random.pick([0, 0, 1, 5, 40]))
  const offset = random.oneIn(20) ? random.between(0, 15) : 5 + options.length / 4
  const filled = Array.from(options, (option) => option ?? 0)
  return [
    ...[...u16(random.pick(PORTS)), ...u16(random.pick(PORTS)), ...bytes(random, 8), offset << 4],
    ...[random.pick([2, 0x12, 0x10, 0x18, 0x11, 4, 0x14, 0x29, 0xc2, 0, 255]), ...bytes(random, 6), ...filled, ...data],
  ]
}

function udp(random: Random): Bytes {
  const data = bytes(random, random.between(0, 30))
  return [...u16(random.pick(PORTS)), ...u16(random.pick(PORTS)), ...u16(random.oneIn(10) ? random.between(0, 60) : 8 + data.length), 0, 0, ...data]
}

function icmp(random: Random): Bytes {
  const type = random.pick([0, 3, 3, 3, 4, 5, 5, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 30, 250])
  const code = random.between(0, 16)
  const inner = random.between(0, 1) > 0 ? ip4(random, 0) : bytes(random, random.between(0, 40))
  if (type === 9) {
    const routers = random.between(0, 3)
    return [9, 0, 0, 0, routers, random.oneIn(4) ? 3 : 2, ...u16(random.pick([30, 1800, 9000, 65535])), ...bytes(random, 8 * routers)]
  }
  return [type, type === 8 || type === 0 ? 0 : code, 0, 0, ...bytes(random, 4), ...inner]
}

function neighbourOption(random: Random): Bytes {
  switch (random.between(0, 9)) {
    case 0:
      return [random.pick([1, 2]), 1, ...bytes(random, 6)]
    case 1:
      return [3, 4, 64, random.between(0, 255), ...random.pick([u32(0xffff_ffff), u32(3600)]), ...u32(1800), 0, 0, 0, 0, ...random.pick(IP6S)]
    case 2:
      return [5, 1, 0, 0, ...u32(1500)]
    case 3:
      return [25, 3, 0, 0, ...u32(600), ...random.pick(IP6S)]
    case 4:
      return [24, random.pick([1, 2, 3]), 48, random.between(0, 255), ...u32(600), ...bytes(random, 16)]
    case 5:
      return [7, 1, 0, 0, ...u32(1000)]
    case 6:
      return [8, 1, 0, 0, 0, 5, 0, 9]
    case 7:
      return [31, 3, 0, 0, ...u32(600), 3, 0x77, 0x1b, 0x77, 7, 0x65, 0x78, 0xe9, 0x6d, 0x70, 0x6c, 0x65, 0, 0, 0, 0]
    case 8:
      return [4, 2, ...bytes(random, 14)]
    default:
      return [random.between(0, 255), random.between(0, 2), ...bytes(random, 14)]
  }
}

function neighbourOptions(random: Random): Bytes {
  const options: Bytes = []
  while (random.between(0, 2) > 0) options.push(...neighbourOption(random))
  return options
}

function icmp6(random: Random): Bytes {
  const rest = bytes(random, 4)
  switch (random.between(0, 14)) {
    case 0:
      return [1, random.between(0, 6), 0, 0, ...rest, ...ip6(random, 0)]
    case 1:
      return [random.pick([2, 3, 4]), random.between(0, 4), 0, 0, ...rest, ...ip6(random, 0)]
    case 2:
      return [random.pick([128, 129]), 0, 0, 0, ...rest, ...bytes(random, 16)]
    case 3:
      return [random.pick([130, 131, 132]), 0, 0, 0, ...rest, ...random.pick(IP6S)]
    case 4: {
      const sources = random.between(0, 2)
      return [130, 0, 0, 0, ...rest, ...random.pick(IP6S), random.between(0, 15), random.between(0, 255), ...u16(sources), ...bytes(random, 16 * sources)]
    }
    case 5: {
      const groups = random.between(0, 3)
      const records = Array.from({ length: groups }, () => {
        const sources = random.between(0, 2)
        return [random.between(1, 7), 0, ...u16(sources), ...random.pick(IP6S), ...bytes(random, 16 * sources)]
      })
      return [143, 0, 0, 0, 0, 0, ...u16(random.oneIn(5) ? 9 : groups), ...records.flat()]
    }
    case 6:
      return [133, 0, 0, 0, ...rest, ...neighbourOptions(random)]
    case 7:
    case 8:
      return [134, 0, 0, 0, 64, random.between(0, 255), ...u16(1800), ...bytes(random, 8), ...neighbourOptions(random)]
    case 9:
      return [135, 0, 0, 0, ...rest, ...random.pick(IP6S), ...neighbourOptions(random)]
    case 10:
      return [136, 0, 0, 0, ...rest, ...random.pick(IP6S), ...neighbourOptions(random)]
    case 11:
      return [137, 0, 0, 0, ...rest, ...random.pick(IP6S), ...random.pick(IP6S), ...neighbourOptions(random)]
    case 12:
      return [random.pick([141, 142, 144, 146]), 0, 0, 0, ...rest]
    default:
      return [random.between(0, 255), random.between(0, 5), 0, 0, ...rest, ...bytes(random, random.between(0, 40))]
  }
}

function igmp(random: Random): Bytes {
  const group = random.pick(IP4S)
  switch (random.between(0, 5)) {
    case 0:
      return [0x11, random.pick([0, 100, 50]), 0, 0, ...group, ...bytes(random, random.pick([0, 2]))]
    case 1: {
      const sources = random.between(0, 3)
      return [0x11, random.between(0, 255), 0, 0, ...group, random.between(0, 255), 0, ...u16(sources), ...bytes(random, 4 * sources)]
    }
    case 2:
      return [random.pick([0x12, 0x16, 0x17]), 0, 0, 0, ...group]
    case 3: {
      const groups = random.between(1, 3)
      const records = Array.from({ length: groups }, () => {
        const sources = random.between(0, 2)
        return [random.between(1, 7), 0, ...u16(sources), ...random.pick(IP4S), ...bytes(random, 4 * sources)]
      })
      return [0x22, 0, 0, 0, 0, 0, ...u16(groups), ...records.flat()]
    }
    case 4:
      return [random.pick([0x1e, 0x1f]), 3, 0, 0, ...bytes(random, 20)]
    default:
      return [random.pick([0x40, 0xff, 0x20]), ...bytes(random, 8)]
  }
}

function sctp(random: Random): Bytes {
  const chunks: Bytes = []
  while (random.between(0, 3) > 0) {
    const type = random.between(0, 16)
    const gaps = random.between(0, 2)
    const data =
      type === 0
        ? bytes(random, 12 + random.between(0, 5))
        : type === 1 || type === 2
          ? bytes(random, 16)
          : type === 3
            ? [...bytes(random, 8), ...u16(gaps), ...u16(gaps), ...bytes(random, 8 * gaps)]
            : bytes(random, random.between(0, 9))
    chunks.push(type, random.between(0, 7), ...u16(4 + data.length), ...data)
    while (chunks.length % 4 !== 0) chunks.push(0)
  }
  return [...u16(random.pick(PORTS)), ...u16(random.pick(PORTS)), ...bytes(random, 8), ...chunks]
}

function gre(random: Random, depth: number): Bytes {
  const version = random.oneIn(4) ? 1 : 0
  const flags = random.pick([0, 0x2000, 0x3000, 0xb000, 0x8000, 0x1000]) | version | (version === 1 && random.oneIn(2) ? 0x80 : 0)
  const parts: Bytes = []
  if ((flags & 0x8000) !== 0 && version === 0) parts.push(...bytes(random, 4))
  if ((flags & 0x2000) !== 0) parts.push(...bytes(random, 4))
  if ((flags & 0x1000) !== 0) parts.push(...bytes(random, 4))
  if ((flags & 0x80) !== 0) parts.push(...bytes(random, 4))
  if (version === 1) return [...u16(flags), 0x88, 0x0b, ...parts, 0xff, 3, 0, 0x21, ...ip4(random, depth + 1)]
  const [type, payload] = network(random, depth + 1)
  return random.oneIn(3) ? [...u16(flags), 0x65, 0x58, ...parts, ...ethernet(random, depth + 1)] : [...u16(flags), ...u16(type), ...parts, ...payload]
}

const AH_LENGTHS = [1, 4]

function payloadOf(random: Random, protocol: number, depth: number): Bytes {
  switch (protocol) {
    case 1:
      return icmp(random)
    case 2:
      return igmp(random)
    case 4:
      return depth > 2 ? [] : ip4(random, depth + 1)
    case 6:
      return tcp(random)
    case 17:
      return udp(random)
    case 41:
      return depth > 2 ? [] : ip6(random, depth + 1)
    case 47:
      return depth > 2 ? [] : gre(random, depth + 1)
    case 50:
      return bytes(random, random.between(8, 40))
    case 51: {
      const units = random.pick(AH_LENGTHS)
      const next = random.pick([6, 17, 58, 1])
      return [next, units, 0, 0, ...bytes(random, 4 * (units + 2) - 4), ...payloadOf(random, next, depth)]
    }
    case 58:
      return icmp6(random)
    case 89:
      return [random.between(2, 3), random.between(0, 6), ...bytes(random, 30)]
    case 103:
      return [0x20 | random.between(0, 12), ...bytes(random, 20)]
    case 108:
      return bytes(random, 12)
    case 112:
      return [random.pick([0x21, 0x31, 0x32, 0x41]), ...bytes(random, 3), random.pick([0, 1, 2, 9]), ...bytes(random, 14)]
    case 132:
      return sctp(random)
    default:
      return bytes(random, random.between(0, 20))
  }
}

function ipOption(random: Random): Bytes {
  switch (random.between(0, 6)) {
    case 0:
      return [1]
    case 1:
      return [random.pick([7, 131, 137]), 11, random.pick([4, 8, 12, 3, 0]), ...random.pick(IP4S), ...random.pick(IP4S)]
    case 2:
      return [148, 4, 0, random.between(0, 1)]
    case 3:
      return [68, 12, random.pick([5, 9, 13]), random.pick([0, 0x10, 5]), ...bytes(random, 8)]
    case 4:
      return [68, 12, random.pick([5, 9, 13]), random.pick([1, 3]), ...bytes(random, 8)]
    case 5:
      return [random.pick([130, 82, 200]), random.between(0, 8), ...bytes(random, 6)]
    default:
      return [0]
  }
}

const IP4_PROTOCOLS = [1, 1, 2, 4, 6, 6, 6, 17, 17, 41, 47, 50, 51, 58, 77, 89, 103, 108, 112, 132, 132, 200]
const IP6_PROTOCOLS = [6, 6, 17, 17, 58, 58, 58, 1, 4, 41, 47, 50, 51, 59, 89, 103, 108, 112, 132, 201]

function ip4(random: Random, depth: number): Bytes {
  const protocol = random.pick(IP4_PROTOCOLS)
  const options: Bytes = []
  while (options.length < 28 && random.oneIn(3)) options.push(...ipOption(random))
  while (options.length % 4 !== 0) options.push(0)
  options.length = Math.min(options.length, 40)
  const payload = payloadOf(random, protocol, depth)
  const [source, destination] = [random.pick(IP4S), random.pick(IP4S)]
  // Right checksums half of the time.
  if (random.oneIn(2)) {
    if (protocol === 6 || protocol === 17) {
      const at = protocol === 6 ? 16 : 6
      put16(payload, at, 0)
      put16(payload, at, checksum([...source, ...destination, 0, protocol, ...u16(payload.length), ...payload]))
    } else if (protocol === 1 || protocol === 2) {
      put16(payload, 2, 0)
      put16(payload, 2, checksum(payload))
    }
  }
  const header = [
    ...[0x45 + options.length / 4, random.between(0, 255), ...u16(20 + options.length + payload.length), ...bytes(random, 2)],
    ...u16(random.pick([0, 0, 0x4000, 0x4000, 0x2000, 0x00b9, 0x8000])),
    ...[random.pick([0, 1, 64, 255]), protocol, 0, 0, ...source, ...destination, ...options],
  ]
  if (random.oneIn(2)) put16(header, 10, checksum(header))
  return [...header, ...payload]
}

function extension(random: Random, kind: number, next: number): Bytes {
  const options: Bytes = []
  switch (kind) {
    case 0:
    case 60:
      while (random.between(0, 2) > 0) {
        options.push(
          ...random.pick([
            [0],
            [1, 2, 0, 0],
            [5, 2, 0, 0],
            [0xc2, 4, 0, 1, 0, 0],
            [0xc9, 16, ...random.pick(IP6S)],
            [0xc9, 18, ...random.pick(IP6S), 1, 0],
            [random.between(0, 255), 1, 7],
          ]),
        )
      }
      while ((options.length + 2) % 8 !== 0) options.push(0)
      return [next, (options.length + 2) / 8 - 1, ...options]
    case 43: {
      const count = random.between(0, 3)
      return [next, 2 * count, random.pick([0, 2, 4, 9]), count, random.pick([0, count - 1]) & 0xff, 0, 0, 0, ...bytes(random, 16 * count)]
    }
    default:
      return [next, 0, ...u16(random.pick([0, 1, 8, 9, 1481])), ...bytes(random, 4)]
  }
}

function ip6(random: Random, depth: number): Bytes {
  const protocol = random.pick(IP6_PROTOCOLS)
  const [source, destination] = [random.pick(IP6S), random.pick(IP6S)]
  const payload = payloadOf(random, protocol, depth)
  if (random.oneIn(2) && (protocol === 6 || protocol === 17 || protocol === 58)) {
    const at = protocol === 6 ? 16 : protocol === 17 ? 6 : 2
    put16(payload, at, 0)
    put16(payload, at, checksum([...source, ...destination, ...u32(payload.length), 0, 0, 0, protocol, ...payload]))
  }
  let next = protocol
  let chain = payload
  for (const kind of [60, 44, 43, 60, 0]) {
    if (!random.oneIn(8)) continue
    chain = [...extension(random, kind, next), ...chain]
    next = kind
  }
  const flow = random.oneIn(2) ? 0 : random.word() & 0x0fff_ffff
  return [...u32((0x6000_0000 | flow) >>> 0), ...u16(random.oneIn(20) ? 0 : chain.length), next, 64, ...source, ...destination, ...chain]
}

function arp(random: Random): Bytes {
  const hardware = random.oneIn(10) ? random.between(0, 8) : 6
  const protocol = random.oneIn(10) ? random.between(0, 8) : 4
  const address = random.oneIn(2) ? new Array<number>(hardware).fill(0) : bytes(random, hardware)
  return [
    ...[...u16(random.pick([1, 1, 1, 6, 7, 24, 32, 99])), ...u16(random.oneIn(10) ? 0x1234 : 0x0800), hardware, protocol],
    ...[...u16(random.between(0, 11)), ...bytes(random, hardware), ...bytes(random, protocol), ...address, ...bytes(random, protocol)],
  ]
}

function pppoe(random: Random, depth: number): readonly [number, Bytes] {
  if (random.oneIn(2)) {
    const tags: Bytes = []
    while (random.between(0, 2) > 0) {
      const text = random.pick([[], [0x69, 0x73, 0x70], [1, 2, 3, 0xff], bytes(random, 6)])
      tags.push(...u16(random.pick([0x0101, 0x0102, 0x0103, 0x0104, 0x0110, 0x0203, 0x0999, 0])), ...u16(text.length), ...text)
    }
    return [0x8863, [0x11, random.pick([9, 7, 0x19, 0x65, 0xa7, 0x33]), ...u16(random.pick([0, 5])), ...u16(tags.length), ...tags]]
  }
  const payload: Bytes = random.oneIn(3) ? [0x57, ...ip6(random, depth)] : [0, 0x21, ...ip4(random, depth)]
  return [0x8864, [0x11, 0, 0, 7, ...u16(payload.length), ...payload]]
}

function network(random: Random, depth: number): readonly [type: number, payload: Bytes] {
  switch (random.between(0, 12)) {
    case 0:
      return [random.pick([0x0806, 0x8035]), arp(random)]
    case 1:
      return pppoe(random, depth)
    case 2: {
      const labels = Array.from({ length: random.between(1, 3) }, () => bytes(random, 4))
      for (const [i, label] of labels.entries()) label[2] = ((label[2] as number) & 0xfe) | (i === labels.length - 1 ? 1 : 0)
      return [random.pick([0x8847, 0x8848]), [...labels.flat(), ...(random.oneIn(3) ? ip6(random, depth) : ip4(random, depth))]]
    }
    case 3:
      return [random.pick([0x88b5, 0x1234, 0x6001, 0x893a]), bytes(random, random.between(0, 30))]
    case 4:
    case 5:
    case 6:
    case 7:
      return [0x86dd, ip6(random, depth)]
    default:
      return [0x0800, ip4(random, depth)]
  }
}

function llc(random: Random, depth: number): Bytes {
  const saps = random.pick([
    [0xaa, 0xaa],
    [0xaa, 0xaa],
    [6, 6],
    [2, 2],
    [4, 5],
    [0, 1],
    [0xe0, 4],
    [0x99, 0x98],
  ])
  if (saps[0] !== 0xaa) {
    return saps[0] === 6 && random.oneIn(2) ? [6, 6, 3, ...ip4(random, depth)] : [...saps, random.between(0, 255), ...bytes(random, random.between(0, 9))]
  }
  const [type, payload] = network(random, depth)
  return [
    ...saps,
    3,
    ...random.pick([
      [0, 0, 0],
      [0, 0, 0],
      [0, 0, 0xf8],
      [8, 0, 7],
      [1, 2, 3],
      [0, 0x80, 0xc2],
    ]),
    ...u16(type),
    ...payload,
  ]
}

function ethernet(random: Random, depth: number): Bytes {
  let [type, payload] = network(random, depth)
  if (random.oneIn(12)) {
    payload = llc(random, depth)
    type = payload.length + random.pick([0, 0, 0, 3, -2])
    if (type < 0) type = 0
  }
  for (let tags = random.pick([0, 0, 0, 1, 2]); tags > 0; tags--) {
    payload = [...bytes(random, 2), ...u16(type), ...payload]
    type = random.pick([0x8100, 0x8100, 0x88a8, 0x9100, 0x9200])
  }
  return [...bytes(random, 12), ...u16(type), ...payload]
}

/** What stands behind a link-layer header without a type: IPv4 or IPv6. */
export function randomIpText(random: Random): Uint8Array<ArrayBuffer> {
  return mutated(random, random.oneIn(2) ? ip4(random, 0) : ip6(random, 0))
}

export function randomTextFrame(random: Random): Uint8Array<ArrayBuffer> {
  return mutated(random, ethernet(random, 0))
}

function mutated(random: Random, data: Bytes): Uint8Array<ArrayBuffer> {
  const frame = Uint8Array.from(data)
  for (let changes = random.between(0, 6) - 4; changes > 0; changes--) frame[random.between(0, frame.length - 1)] = random.between(0, 255)
  return random.oneIn(4) ? frame.slice(0, random.between(1, frame.length)) : frame
}
