import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { FileBlock } from '#src/file/decode/cursor.js'
import { block, enhancedPacket, interfaceBlock, randomPackets, sectionHeader, ticksOf, Writer, type WrittenPacket } from '../../../support/capture-writer.js'
import { type Decoded, decodeBytes, decodePieces, inPieces } from '../../../support/decode-file.js'
import { type Random, seededRandom } from '../../../support/random.js'

const BOTH = [true, false]

/** Sections of both byte orders, interfaces of many resolutions, every kind of packet, and blocks between them. */
function randomFile(random: Random): { blocks: Buffer[]; packets: WrittenPacket[]; offsets: number[] } {
  const blocks: Buffer[] = []
  const packets: WrittenPacket[] = []
  const offsets: number[] = []
  let interfaces = 0
  for (let section = 0; section < 3; section++) {
    const littleEndian = random.oneIn(2)
    const write = () => new Writer(littleEndian)
    blocks.push(sectionHeader(littleEndian, random.oneIn(2) ? write().option(1, 'a comment').option(0, '').end() : undefined))
    const first = interfaces
    const resolutions: number[] = []
    const add = () => {
      const tsresol = random.pick([undefined, 0, 3, 6, 9, 12, 0x80, 0x8a, 0x94, 0xa0, 0xa3])
      const offset = random.pick([undefined, 1000n, -1000n])
      const options = write()
      if (tsresol !== undefined) options.option(9, Uint8Array.of(tsresol))
      if (offset !== undefined) options.option(14, write().u64(offset).end())
      blocks.push(interfaceBlock(littleEndian, 1, 262144, options.end()))
      resolutions.push((tsresol ?? 6) + (offset === undefined ? 0 : offset > 0n ? 1000 : 2000))
      interfaces++
    }
    add()
    for (let i = 0; i < 15; i++) {
      const bytes = random.bytes(random.between(0, 100))
      const wireLength = bytes.length + (random.oneIn(3) ? 10 : 0)
      const id = random.between(0, resolutions.length - 1)
      const { ticks, seconds, nanoseconds } = ticksOf(random, (resolutions[id] as number) % 1000)
      const offset = [0, 1000, -1000][Math.floor((resolutions[id] as number) / 1000)] as number
      const timed = { seconds: seconds + offset, nanoseconds, interfaceId: first + id, bytes: new Uint8Array(bytes), wireLength }
      offsets.push(blocks.reduce((sum, { length }) => sum + length, 0))
      switch (random.between(0, 5)) {
        case 0:
          blocks.push(block(littleEndian, 3, write().u32(bytes.length).padded(bytes).end()))
          packets.push({ bytes: new Uint8Array(bytes), wireLength: bytes.length, seconds: 0, nanoseconds: 0, interfaceId: first })
          break
        case 1: {
          const halves = [Number(ticks >> 32n), Number(ticks & 0xffffffffn)]
          blocks.push(
            block(
              littleEndian,
              2,
              write()
                .u16(id, 3)
                .u32(...halves, bytes.length, wireLength)
                .padded(bytes)
                .end(),
            ),
          )
          packets.push(timed)
          break
        }
        case 2:
          offsets.pop()
          blocks.push(block(littleEndian, random.pick([0xbad, 0x40000bad, 10, 9, 0x80000001]), random.bytes(4 * random.between(2, 10))))
          break
        case 3:
          offsets.pop()
          add()
          break
        default:
          blocks.push(
            enhancedPacket(
              littleEndian,
              id,
              ticks,
              bytes,
              wireLength,
              random.oneIn(2) ? write().option(1, 'hello').option(2, write().u32(1).end()).end() : undefined,
            ),
          )
          packets.push(timed)
      }
    }
  }
  return { blocks, packets, offsets }
}

test('sections, interfaces, resolutions, offsets and kinds of packets, in one piece, byte by byte, and in random pieces', (t) => {
  const random = seededRandom(t)
  for (let round = 0; round < 20; round++) {
    const { blocks, packets } = randomFile(random)
    const file = Buffer.concat(blocks)
    for (const length of [() => file.length, () => 1, () => random.between(1, 300)]) {
      const { packets: found, decoder } = decodePieces(inPieces(file, length))
      assert.equal(decoder?.damage, undefined)
      assert.deepEqual(found, packets)
      assert.equal(decoder?.sections.length, 3)
    }
  }
})

test('cut after every byte: all packets before, then where the block begins', (t) => {
  const { blocks } = randomFile(seededRandom(t))
  const file = Buffer.concat(blocks)
  const ends = [0]
  for (const { length } of blocks) ends.push((ends.at(-1) as number) + length)
  const whole = decodeBytes(file).packets
  for (let length = 12; length < file.length; length++) {
    const { packets, decoder } = decodeBytes(file.subarray(0, length))
    assert.deepEqual(packets, whole.slice(0, packets.length))
    const at = ends.findLast((end) => end <= length)
    if (at === length) assert.equal(decoder?.damage, undefined)
    else assert.deepEqual([decoder?.damage?.offset, /the file ends \d+ bytes into a block/.test(decoder?.damage?.reason ?? '')], [at, true])
  }
})

function oneSection(littleEndian: boolean, ...blocks: Uint8Array[]): Buffer {
  return Buffer.concat([sectionHeader(littleEndian), interfaceBlock(littleEndian), ...blocks])
}

test('what an interface says of itself, and its statistics', () => {
  for (const littleEndian of BOTH) {
    const write = () => new Writer(littleEndian)
    const options = write()
      .option(1, 'first')
      .option(1, 'second')
      .option(2, 'eth0\0')
      .option(3, 'the uplink – ü')
      .option(4, Uint8Array.of(192, 0, 2, 1, 255, 255, 255, 0))
      .option(5, Uint8Array.of(0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 64))
      .option(6, Uint8Array.of(2, 0, 0x5e, 0x10, 0, 1))
      .option(8, write().u64(10_000_000_000n).end())
      .option(9, Uint8Array.of(9))
      .option(11, Buffer.concat([Uint8Array.of(0), Buffer.from('tcp port 80')]))
      .option(12, 'Linux 6.18')
      .option(13, Uint8Array.of(4))
      .option(15, 'a NIC')
      .option(0, '')
      .end()
    const statistics = write()
      .u32(0, 0, 5)
      .option(2, write().u32(0, 1_000_000_001).end())
      .option(
        4,
        write()
          .u64(2n ** 40n + 1n)
          .end(),
      )
      .option(5, write().u64(7n).end())
      .option(6, write().u64(100n).end())
      .option(7, write().u64(3n).end())
      .option(8, write().u64(97n).end())
      .option(1, 'done')
      .end()
    const file = Buffer.concat([sectionHeader(littleEndian), interfaceBlock(littleEndian, 1, 96, options), block(littleEndian, 5, statistics)])
    const [described] = decodeBytes(file).decoder?.interfaces ?? []
    assert.deepEqual(described, {
      id: 0,
      section: 0,
      linkType: 1,
      linkTypeName: 'EN10MB',
      snapLengthBytes: 96,
      ticksPerSecond: 1e9,
      timestampOffsetSeconds: 0,
      name: 'eth0',
      description: 'the uplink – ü',
      filter: 'tcp port 80',
      os: 'Linux 6.18',
      hardware: 'a NIC',
      speedBitsPerSecond: 10_000_000_000,
      macAddress: '02:00:5e:10:00:01',
      addresses: ['192.0.2.1/255.255.255.0', '2001:db8::1/64'],
      fcsLengthBytes: 4,
      comments: ['first', 'second'],
      statistics: {
        time: { seconds: 0, nanoseconds: 5 },
        startTime: { seconds: 1, nanoseconds: 1 },
        endTime: undefined,
        received: 2 ** 40 + 1,
        dropped: 7,
        accepted: 100,
        droppedByOs: 3,
        delivered: 97,
        comments: ['done'],
      },
    })
  }
})

test('what a packet says of itself', () => {
  for (const littleEndian of BOTH) {
    const write = () => new Writer(littleEndian)
    const options = write()
      .option(1, 'one')
      .option(1, 'two')
      .option(2, write().u32(0x12).end())
      .option(3, Uint8Array.of(2, 1, 2, 3, 4))
      .option(
        4,
        write()
          .u64(2n ** 33n + 5n)
          .end(),
      )
      .option(5, write().u64(0xfedc_ba98_7654_3210n).end())
      .option(6, write().u32(3).end())
      .option(7, Uint8Array.of(2, 9, 9))
      .end()
    const { decoder } = decodeBytes(oneSection(littleEndian, enhancedPacket(littleEndian, 0, 7n, Uint8Array.of(1, 2, 3), 3, options)))
    assert.deepEqual([decoder?.flags, decoder?.dropCount, decoder?.comment, decoder?.hasTimestamp], [0x12, 2 ** 33 + 5, 'one', true])
    assert.deepEqual(decoder?.details(), {
      comments: ['one', 'two'],
      packetId: 0xfedc_ba98_7654_3210n,
      queue: 3,
      hashes: [{ algorithm: 2, value: Uint8Array.of(1, 2, 3, 4) }],
      verdicts: [{ kind: 2, value: Uint8Array.of(9, 9) }],
    })
    const bare = decodeBytes(oneSection(littleEndian, enhancedPacket(littleEndian, 0, 7n, Uint8Array.of(1, 2, 3)))).decoder
    assert.deepEqual([bare?.flags, bare?.dropCount, bare?.comment], [0, 0, undefined])
    // An option that runs over the end of its block is none.
    const torn = decodeBytes(oneSection(littleEndian, enhancedPacket(littleEndian, 0, 7n, new Uint8Array(4), 4, write().u16(1, 400).end()))).decoder
    assert.deepEqual([torn?.comment, torn?.details().comments, torn?.damage], [undefined, [], undefined])
  }
})

test('an obsolete packet block has its drops beside its interface; a simple one is cut to the snap length', () => {
  for (const littleEndian of BOTH) {
    const write = () => new Writer(littleEndian)
    const old = (drops: number) => block(littleEndian, 2, write().u16(0, drops).u32(0, 1, 2, 2).padded(Uint8Array.of(1, 2)).end())
    assert.equal(decodeBytes(oneSection(littleEndian, old(17))).decoder?.dropCount, 17)
    assert.equal(decodeBytes(oneSection(littleEndian, old(0xffff))).decoder?.dropCount, 0)
    const simple = block(littleEndian, 3, write().u32(1000).padded(new Uint8Array(5).fill(7)).end())
    const { packets, decoder } = decodeBytes(Buffer.concat([sectionHeader(littleEndian), interfaceBlock(littleEndian, 1, 5), simple]))
    assert.deepEqual(packets, [{ bytes: new Uint8Array(5).fill(7), wireLength: 1000, seconds: 0, nanoseconds: 0, interfaceId: 0 }])
    assert.equal(decoder?.hasTimestamp, false)
  }
})

test('names, and every block that is no packet, as it stands', () => {
  for (const littleEndian of BOTH) {
    const write = () => new Writer(littleEndian)
    const record = (type: number, bytes: Uint8Array) => write().option(type, bytes).end()
    const names = Buffer.concat([
      record(1, Buffer.concat([Uint8Array.of(192, 0, 2, 1), Buffer.from('a.example\0b.example\0')])),
      record(7, Uint8Array.of(1, 2, 3)),
      record(2, Buffer.concat([Uint8Array.of(0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1), Buffer.from('c.example\0')])),
      record(0, new Uint8Array(0)),
    ])
    const custom = block(littleEndian, 0xbad, write().u32(32473).raw(new Uint8Array(8)).end())
    const seen: FileBlock[] = []
    const { decoder } = decodeBytes(oneSection(littleEndian, block(littleEndian, 4, names), custom), { onBlock: (each) => void seen.push(each) })
    assert.deepEqual(decoder?.names, [
      { address: '192.0.2.1', names: ['a.example', 'b.example'] },
      { address: '2001:db8::1', names: ['c.example'] },
    ])
    assert.deepEqual(
      seen.map(({ type }) => type),
      [0x0a0d0d0a, 1, 4, 0xbad],
    )
    assert.deepEqual(Buffer.from((seen[3] as FileBlock).bytes), custom)
    assert.deepEqual([seen[1]?.fileOffset, seen[1]?.byteOrder], [28, littleEndian ? 'little-endian' : 'big-endian'])
  }
})

/** What is damage, and what is said of it. */
function damages(littleEndian: boolean): [name: string, damaged: Buffer, reason: RegExp][] {
  const write = () => new Writer(littleEndian)
  const packet = enhancedPacket(littleEndian, 0, 7n, new Uint8Array(10))
  const changed = (word: number, value: number) => {
    const copy = Buffer.from(packet)
    if (littleEndian) copy.writeUInt32LE(value, word)
    else copy.writeUInt32BE(value, word)
    return copy
  }
  return [
    ['a length that is too small', changed(4, 28), /claims 28 bytes/],
    ['too large', changed(4, 2 ** 31), /claims 2147483648 bytes, and 32 to 16777216/],
    ['no multiple of 4', changed(4, 45), /claims 45 bytes/],
    ['another one at the end', changed(packet.length - 4, 48), /claims 44 bytes at its start and 48 at its end/],
    ['an interface that is not there', changed(8, 1), /a packet of interface 1, and 1 are described/],
    ['more bytes than the block has', changed(20, 13), /claims 13 bytes, and its block has 12/],
    ['a packet that is too long', enhancedPacket(littleEndian, 0, 7n, new Uint8Array(262_145)), /at most 262144 are plausible/],
    ['options over the end', interfaceBlock(littleEndian, 1, 0, write().u16(2, 100).end()), /options that do not end in their block/],
    ['a section of version 2', block(littleEndian, 0x0a0d0d0a, write().u32(0x1a2b3c4d).u16(2, 0).u32(0, 0).end()), /version 2, and 1 is known/],
    ['a section without magic', block(littleEndian, 0x0a0d0d0a, write().u32(1).u16(1, 0).u32(0, 0).end()), /without byte-order magic/],
    ['an unknown block that is too small', write().u32(77, 8).end(), /a block of type 77 claims 8 bytes/],
  ]
}

test('damage: every packet before it, where and why; tolerant goes on, and counts what it passes over', () => {
  for (const littleEndian of BOTH) {
    for (const [name, damaged, reason] of damages(littleEndian)) {
      const good = (ticks: bigint) => enhancedPacket(littleEndian, 0, ticks, Uint8Array.of(Number(ticks)))
      const file = oneSection(littleEndian, good(1n), good(2n), damaged, good(3n), good(4n))
      const offset = oneSection(littleEndian, good(1n), good(2n)).length
      const strict = decodeBytes(file)
      assert.equal(strict.packets.length, 2, name)
      assert.equal(strict.decoder?.damage?.offset, offset, name)
      assert.match(strict.decoder?.damage?.reason ?? '', reason, name)
      assert.equal(strict.decoder?.next(), false)

      for (const length of [() => file.length, () => 1]) {
        const tolerant = decodePieces(inPieces(file, length), { tolerant: true })
        assert.deepEqual(
          tolerant.packets.map(({ nanoseconds }) => nanoseconds / 1000),
          [1, 2, 3, 4],
          name,
        )
        assert.equal(tolerant.decoder?.damage, undefined, name)
        // Options are decoded as far as they go: there is nothing to pass over.
        assert.equal(tolerant.decoder?.skippedBytes, /options/.test(name) ? 0 : damaged.length, name)
      }
    }
  }
})

test('tolerant: bytes put in and left out', (t) => {
  const random = seededRandom(t)
  const packets = randomPackets(random, 20)
  const blocks = packets.map(({ bytes, wireLength }, index) => enhancedPacket(true, 0, BigInt(index), bytes, wireLength))
  const wanted = (decoded: Decoded) => decoded.packets.map(({ bytes }) => bytes)
  const all = packets.map(({ bytes }) => bytes)
  const tolerant = (...parts: Uint8Array[]) => decodeBytes(oneSection(true, ...parts), { tolerant: true })
  const inserted = tolerant(...blocks.slice(0, 10), new Uint8Array(77).fill(0xee), ...blocks.slice(10))
  assert.deepEqual([wanted(inserted), inserted.decoder?.skippedBytes], [all, 77])
  const headless = tolerant(...blocks.slice(0, 10), (blocks[10] as Buffer).subarray(7), ...blocks.slice(11))
  assert.deepEqual(wanted(headless), [...all.slice(0, 10), ...all.slice(11)])
  const cut = tolerant(...blocks.slice(0, 10), (blocks[10] as Buffer).subarray(0, -1))
  assert.deepEqual([wanted(cut), cut.decoder?.skippedBytes], [all.slice(0, 10), (blocks[10] as Buffer).length - 1])
})

test('a claim makes no memory: a block of 16 MiB in a small file, and more descriptions than are kept', () => {
  const claims = new Writer(true).u32(6, 16 * 2 ** 20, 0, 0, 0).end()
  const { decoder, bufferBytes } = decodePieces(inPieces(oneSection(true, claims, new Uint8Array(1000)), () => 100))
  assert.match(decoder?.damage?.reason ?? '', /ends \d+ bytes into a block/)
  assert.ok(bufferBytes <= 64 * 1024)

  const comment = new Writer(true).option(1, Buffer.alloc(65535)).end()
  const description = interfaceBlock(true, 1, 0, comment)
  const many = decodePieces(
    (function* () {
      yield sectionHeader(true)
      for (let i = 0; i < 1100; i++) yield description
    })(),
  )
  assert.match(many.decoder?.damage?.reason ?? '', /more than 67108864 bytes of descriptions/)
  const interfaces = decodeBytes(Buffer.concat([sectionHeader(true), ...Array.from({ length: 65_537 }, () => interfaceBlock(true))]))
  assert.match(interfaces.decoder?.damage?.reason ?? '', /more than 65536 interfaces/)
})

test('what a listener throws ends the file', () => {
  const thrown = new Error('no')
  const { decoder, packets } = decodeBytes(
    oneSection(true, enhancedPacket(true, 0, 1n, new Uint8Array(1)), interfaceBlock(true), enhancedPacket(true, 0, 1n, new Uint8Array(1))),
    {
      onBlock({ fileOffset }) {
        if (fileOffset > 50) throw thrown
      },
    },
  )
  assert.equal(packets.length, 1)
  assert.equal(decoder?.failure?.thrown, thrown)
  assert.equal(decoder?.next(), false)
  assert.equal(decoder?.interfaces.length, 2)
})
