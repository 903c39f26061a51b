import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { type DumpFormat, PacketText, type PacketTextOptions } from '#src/packet/describe.js'
import { packetDocument } from '#src/packet/document.js'
import { LINKTYPE, type PacketLinkType } from '#src/packet/link-type.js'
import { randomFrame } from '../../support/filter-packets.js'
import { framesOf, withCuts } from '../../support/link-packets.js'
import { type Random, seededRandom } from '../../support/random.js'
import { difference, type TimedPacket, tcpdumpTexts } from '../../support/tcpdump-text.js'
import { randomIpText, randomTextFrame } from '../../support/text-packets.js'

const LINK_TYPES = Object.keys(LINKTYPE) as PacketLinkType[]

/** Ways to ask for it, ours and tcpdump's. */
const WAYS: readonly [options: Partial<PacketTextOptions>, tcpdump: readonly string[]][] = [
  [{}, []],
  [{ link: true }, ['-e']],
  [{ quiet: true }, ['-q']],
  [{ link: true, quiet: true }, ['-e', '-q']],
  [{ verbosity: 1 }, ['-v']],
  [{ verbosity: 1, link: true }, ['-v', '-e']],
  [{ verbosity: 2 }, ['-vv']],
]
const DUMPS: readonly [dump: DumpFormat, tcpdump: string][] = [
  ['hex', '-x'],
  ['hexLink', '-xx'],
  ['hexAscii', '-X'],
  ['hexAsciiLink', '-XX'],
  ['ascii', '-A'],
  ['asciiLink', '-AA'],
]

function compare(
  t: TestContext,
  linkType: PacketLinkType,
  packets: readonly TimedPacket[],
  options: Partial<PacketTextOptions>,
  tcpdump: readonly string[],
): void {
  const theirs = tcpdumpTexts(LINKTYPE[linkType], packets, tcpdump)
  if (theirs === undefined) {
    t.skip('no tcpdump')
    return
  }
  assert.equal(theirs.length, packets.length)
  const text = new PacketText({ linkType, time: 'none', ...options })
  const dump = options.dump === undefined ? 'none' : options.dump.startsWith('hex') ? 'hex' : 'ascii'
  let equal = 0
  for (const [place, { bytes, wireLength }] of packets.entries()) {
    const ours = text.line({ bytes, wireLength, seconds: 0, nanoseconds: 0 })
    const [known, expected] = linkType === 'LINUX_SLL2' ? [ours, theirs[place] as string].map((line) => line.replace(/^\S+ +/, '')) : [ours, theirs[place]]
    const found = difference(known as string, expected as string, dump)
    if (found !== undefined)
      assert.equal(found[0], found[1], `${linkType} ${tcpdump.join(' ')}: wire length ${wireLength}, ${Buffer.from(bytes).toString('hex')}`)
    if (known === expected) equal++
  }
  // Normalising must not hide that nothing agrees.
  assert.ok(equal > packets.length / 4, `${equal} of ${packets.length} equal as they are`)
}

function timed(random: Random, packets: readonly Uint8Array[]): TimedPacket[] {
  return packets.filter((bytes) => bytes.length > 0).map((bytes) => ({ bytes, wireLength: bytes.length + (random.oneIn(5) ? random.between(1, 300) : 0) }))
}

for (const linkType of LINK_TYPES) {
  test(`${linkType}: packets of every kind, whole and cut, as tcpdump prints them`, (t) => {
    const random = seededRandom(t)
    const named = withCuts(framesOf(linkType), 3, (length) => random.between(1, Math.max(1, length))).map(({ bytes }) => bytes)
    const changed = named.map((bytes) => {
      const copy = Uint8Array.from(bytes)
      if (copy.length > 0) copy[random.between(0, copy.length - 1)] = random.between(0, 255)
      return copy
    })
    const packets = timed(random, [...named, ...changed])
    for (const [options, tcpdump] of WAYS) compare(t, linkType, packets, options, tcpdump)
    for (const [dump, letter] of DUMPS) compare(t, linkType, packets, { dump }, [letter])
  })
}

test('random frames as tcpdump prints them', (t) => {
  const random = seededRandom(t)
  const packets = timed(random, [...Array.from({ length: 2500 }, () => randomFrame(random, 1)), ...Array.from({ length: 2500 }, () => randomTextFrame(random))])
  for (const [options, tcpdump] of WAYS) compare(t, 'EN10MB', packets, options, tcpdump)
  for (const [dump, letter] of DUMPS) compare(t, 'EN10MB', packets, { dump }, [letter])
})

test('random packets of IP as tcpdump prints them', (t) => {
  const random = seededRandom(t)
  const packets = timed(
    random,
    Array.from({ length: 3000 }, () => randomIpText(random)),
  )
  for (const [options, tcpdump] of WAYS) compare(t, 'RAW', packets, options, tcpdump)
})

/** Everyday packets, of which nothing may differ at all. */
function everyday(random: Random): Uint8Array {
  const tcp = [0x9c, 0x40, 0, 80, ...random.bytes(8), 0x80, random.pick([2, 0x12, 0x10]), 0xff, 0xff, 0, 0, 0, 0, 1, 1, 8, 10, ...random.bytes(8)]
  const udp = [0x9c, 0x40, 0xc3, 0x51, 0, 20, 0, 0, ...random.bytes(12)]
  const echo = [random.pick([0, 8]), 0, 0, 0, ...random.bytes(60)]
  const [protocol, payload] = random.pick([[6, tcp] as const, [17, udp] as const, [1, echo] as const])
  const mac = [2, 0, 0x5e, 0x10, 0, 1, 2, 0, 0x5e, 0x10, 0, 2]
  const tag = random.oneIn(3) ? [0x81, 0, 0x60, 5] : []
  switch (random.between(0, 3)) {
    case 0:
      return Uint8Array.from([...mac, ...tag, 8, 6, 0, 1, 8, 0, 6, 4, 0, random.between(1, 2), ...random.bytes(6), 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2])
    case 1: {
      const next = protocol === 1 ? 58 : protocol
      const body = protocol === 1 ? [random.pick([128, 129]), ...echo.slice(1)] : payload
      return Uint8Array.from([
        ...mac,
        ...tag,
        0x86,
        0xdd,
        0x60,
        0,
        0,
        0,
        0,
        body.length,
        next,
        64,
        0x20,
        1,
        ...random.bytes(14),
        0xfe,
        0x80,
        ...random.bytes(14),
        ...body,
      ])
    }
    default: {
      const fragment = random.oneIn(5) ? [0x20, random.pick([0, 185])] : [0x40, 0]
      const header = [0x45, 0, 0, 20 + payload.length, ...random.bytes(2), ...fragment, 64, protocol, 0, 0]
      return Uint8Array.from([...mac, ...tag, 8, 0, ...header, 10, ...random.bytes(3), 192, 168, ...random.bytes(2), ...payload])
    }
  }
}

test('everyday packets are byte for byte as tcpdump prints them', (t) => {
  const random = seededRandom(t)
  const packets = Array.from({ length: 4000 }, () => everyday(random)).map((bytes) => ({ bytes, wireLength: bytes.length }))
  for (const [options, tcpdump] of WAYS) {
    const theirs = tcpdumpTexts(LINKTYPE.EN10MB, packets, tcpdump)
    if (theirs === undefined) return t.skip('no tcpdump')
    const text = new PacketText({ linkType: 'EN10MB', time: 'none', ...options })
    const ours = packets.map(({ bytes, wireLength }) => text.line({ bytes, wireLength, seconds: 0, nanoseconds: 0 }))
    assert.deepEqual(ours, theirs)
  }
})

test('packets that cannot be are said to be so', () => {
  const text = new PacketText({ linkType: 'EN10MB' })
  const bytes = new Uint8Array(60)
  assert.equal(text.line({ bytes, capturedLength: 0, wireLength: 60, seconds: 0, nanoseconds: 0 }), '[Invalid header: caplen==0]')
  assert.equal(text.line({ bytes, capturedLength: 0, wireLength: 0, seconds: 0, nanoseconds: 0 }), '[Invalid header: caplen==0, len==0]')
  assert.equal(text.line({ bytes, capturedLength: 60, wireLength: 59, seconds: 0, nanoseconds: 0 }), '[Invalid header: len(59) < caplen(60)]')
  assert.equal(text.line({ bytes, capturedLength: 60, wireLength: 262145, seconds: 0, nanoseconds: 0 }), '[Invalid header: len(262145) > 262144]')
})

test('packets are appended to one text, and lines leave it as it was', () => {
  const text = new PacketText({ linkType: 'RAW', time: 'epoch', nanoseconds: true })
  const bytes = Uint8Array.from([9, 9, 0x45, 0, 0, 20, 0, 0, 0, 0, 64, 200, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 7])
  text.append({ bytes, offset: 2, capturedLength: 20, wireLength: 20, seconds: 5, nanoseconds: 6 })
  assert.equal(text.toString(), '5.000000006 IP 10.0.0.1 > 10.0.0.2:  ip-proto-200 0\n')
  assert.equal(
    text.line({ bytes, offset: 2, capturedLength: 20, wireLength: 20, seconds: 7, nanoseconds: 8 }),
    '7.000000008 IP 10.0.0.1 > 10.0.0.2:  ip-proto-200 0',
  )
  text.append({ bytes, offset: 2, capturedLength: 1, wireLength: 20, seconds: 9, nanoseconds: 0 })
  assert.equal(text.toString(), '5.000000006 IP 10.0.0.1 > 10.0.0.2:  ip-proto-200 0\n9.000000000 IP  [|ip]\n')
  text.clear()
  assert.equal(text.toString(), '')
})

test('options that cannot be are refused', () => {
  for (const [wrong, message] of [
    [{ linkType: 'FOO' }, /linkType to be a LINKTYPE_ number or one of NULL, EN10MB/],
    [{ linkType: -1 }, /linkType/],
    [{ dump: 'foo' }, /dump to be one of none, hex, .*, got foo \(string\)/],
    [{ time: 'utc' }, /time to be one of local/],
    [{ verbosity: 3 }, /verbosity to be 0, 1 or 2/],
    [{ link: 1 }, /link to be a boolean/],
    [{ snapLengthBytes: 0 }, /snapLengthBytes/],
    [{ nano: true }, /Unknown option nano/],
  ] as [PacketTextOptions, RegExp][])
    assert.throws(() => new PacketText(wrong), { code: 'INVALID_OPTION', message })
  assert.equal(new PacketText({ linkType: 65_535, time: undefined }).toString(), '')
})

test('raw IP by the numbers that it once had', () => {
  const text = new PacketText({ time: 'none' })
  const bytes = Uint8Array.of(0x45, 0, 0, 20, 0, 0, 0, 0, 64, 200, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2)
  for (const linkType of [101, 12, 14]) {
    const packet = { bytes, seconds: 0, nanoseconds: 0, linkType }
    assert.equal(text.line(packet), 'IP 10.0.0.1 > 10.0.0.2:  ip-proto-200 0')
    assert.equal(packetDocument(packet).source, '10.0.0.1')
  }
})

test('the text outgrows its memory', () => {
  const text = new PacketText({ linkType: 'EN10MB', time: 'none', dump: 'hexAsciiLink' })
  const bytes = Uint8Array.from({ length: 60_000 }, (_, i) => i)
  for (let i = 0; i < 3; i++) text.append({ bytes, seconds: 0, nanoseconds: 0 })
  const lines = text.toString().split('\n')
  assert.equal(lines.length, 3 * (1 + 3750) + 1)
  assert.equal(lines[3750], '\t0xea50:  5051 5253 5455 5657 5859 5a5b 5c5d 5e5f  PQRSTUVWXYZ[\\]^_')
})

/** The frame in the middle of other bytes, which must not matter. */
function surrounded(random: Random, frame: Uint8Array, before: number): Uint8Array {
  const around = random.bytes(before + frame.length + 300)
  around.set(frame, before)
  return around
}

test('any bytes give printable lines, and nothing around the packet is read', (t) => {
  const random = seededRandom(t)
  const makers = LINK_TYPES.map((linkType) => [linkType, framesOf(linkType).map(({ bytes }) => bytes)] as const)
  const options: Partial<PacketTextOptions>[] = [{}, { link: true, verbosity: 2 }, { quiet: true }, { verbosity: 1, dump: 'hexAscii' }, { dump: 'ascii' }]
  const printers = makers.map(([linkType]) => options.map((some) => new PacketText({ linkType, time: 'none', ...some })))
  for (let i = 0; i < 30_000; i++) {
    const place = random.between(0, makers.length - 1)
    const [linkType, packets] = makers[place] as (typeof makers)[number]
    const base = random.oneIn(10)
      ? random.bytes(random.between(1, 200))
      : linkType === 'EN10MB' && random.oneIn(2)
        ? random.pick([randomFrame, randomTextFrame])(random)
        : linkType === 'RAW' && random.oneIn(2)
          ? randomIpText(random)
          : random.pick(packets)
    const frame = Uint8Array.from(base).subarray(0, random.oneIn(3) ? random.between(1, Math.max(1, base.length)) : undefined)
    for (let changes = random.between(0, 4); changes > 0 && frame.length > 0; changes--) frame[random.between(0, frame.length - 1)] = random.between(0, 255)
    if (frame.length === 0) continue
    const wireLength = frame.length + random.pick([0, 0, 1, 1000, 70_000])
    const way = random.between(0, options.length - 1)
    const printer = (printers[place] as PacketText[])[way] as PacketText
    const before = random.between(0, 20)
    const packet = { capturedLength: frame.length, wireLength, seconds: 0, nanoseconds: 0 }
    const first = printer.line({ bytes: surrounded(random, frame, before), offset: before, ...packet })
    const again = printer.line({ bytes: surrounded(random, frame, 3), offset: 3, ...packet })
    assert.equal(first, again, `${linkType} ${Buffer.from(frame).toString('hex')}`)
    assert.match(first, /^[\x20-\x7e\t\n]*$/)
    if ((options[way] as PacketTextOptions).verbosity === undefined && !first.includes('\n\t\t[')) {
      const lines = first.split('\n')
      if (lines.length > 1) assert.equal(way, 4, first)
    }
  }
})
