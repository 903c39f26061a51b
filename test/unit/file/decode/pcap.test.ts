import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  MICROSECONDS,
  MODIFIED,
  NANOSECONDS,
  type PcapShape,
  pcapHeader,
  pcapOf,
  pcapRecord,
  randomPackets,
  type WrittenPacket,
} from '../../../support/capture-writer.js'
import { decodeBytes, decodePieces, inPieces } from '../../../support/decode-file.js'
import { randomOf, seededRandom } from '../../../support/random.js'

const SHAPES: PcapShape[] = [MICROSECONDS, NANOSECONDS, MODIFIED].flatMap((magic) => [true, false].map((littleEndian) => ({ littleEndian, magic })))
const LITTLE: PcapShape = { littleEndian: true, magic: NANOSECONDS }

/** What is left of a packet in a file of this shape. */
function readable({ magic }: PcapShape, packet: WrittenPacket): WrittenPacket {
  return magic === NANOSECONDS ? packet : { ...packet, nanoseconds: packet.nanoseconds - (packet.nanoseconds % 1000) }
}

test('every magic number in both byte orders, in one piece, byte by byte, and in random pieces', (t) => {
  const random = seededRandom(t)
  for (const shape of SHAPES) {
    const packets = randomPackets(random, 40)
    const file = pcapOf(shape, packets)
    const expected = packets.map((packet) => readable(shape, packet))
    for (const length of [() => file.length, () => 1, () => random.between(1, 100)]) {
      const { packets: found, decoder } = decodePieces(inPieces(file, length))
      assert.deepEqual(found, expected)
      assert.equal(decoder?.damage, undefined)
    }
  }
})

test('the header: link type, snap length, FCS, version', () => {
  const decoded = (shape: Partial<PcapShape>) => decodeBytes(pcapHeader({ ...LITTLE, ...shape })).decoder
  const [plain] = decoded({ snaplen: 96, linktype: 113 })?.interfaces ?? []
  assert.deepEqual([plain?.linkType, plain?.linkTypeName, plain?.snapLengthBytes, plain?.fcsLengthBytes], [113, 'LINUX_SLL', 96, undefined])
  // P bit, and 2 units of 16 bits.
  const [fcs] = decoded({ linktype: 0x24000001, snaplen: 0 })?.interfaces ?? []
  assert.deepEqual([fcs?.linkType, fcs?.fcsLengthBytes, fcs?.snapLengthBytes], [1, 4, 0])
  assert.equal(fcs?.ticksPerSecond, 1e9)
  assert.deepEqual(decoded({ littleEndian: false })?.sections, [
    { fileOffset: 0, byteOrder: 'big-endian', version: '2.4', hardware: undefined, os: undefined, application: undefined, comments: [] },
  ])
})

test('lengths of old versions', () => {
  const packet = { bytes: new Uint8Array(7), wireLength: 100, seconds: 1, nanoseconds: 0, interfaceId: 0 }
  for (const minor of [2, 3, 4]) {
    const { packets } = decodeBytes(pcapOf({ littleEndian: true, magic: MICROSECONDS, minor }, [packet, packet]))
    assert.deepEqual(packets, [packet, packet], `2.${minor}`)
  }
  // 2.3 the other way around.
  const shape = { littleEndian: true, magic: MICROSECONDS }
  const file = Buffer.concat([pcapHeader({ ...shape, minor: 3 }), pcapRecord({ ...shape, minor: 2 }, packet)])
  assert.deepEqual(decodeBytes(file).packets, [packet])
})

test('a fraction of more than a second is carried, seconds after 2038 are positive', () => {
  const record = Buffer.from(
    pcapRecord({ littleEndian: true, magic: MICROSECONDS }, { bytes: new Uint8Array(1), wireLength: 1, seconds: 0xf0000000, nanoseconds: 0, interfaceId: 0 }),
  )
  record.writeUInt32LE(2_500_000, 4)
  const [packet] = decodeBytes(Buffer.concat([pcapHeader({ littleEndian: true, magic: MICROSECONDS }), record])).packets
  assert.deepEqual([packet?.seconds, packet?.nanoseconds], [0xf0000002, 500_000_000])
})

test('a record may be longer than the snap length, and than 262144 bytes where that says so', () => {
  const long = { bytes: new Uint8Array(300_000), wireLength: 300_000, seconds: 1, nanoseconds: 0, interfaceId: 0 }
  const short = { ...long, bytes: new Uint8Array(100), wireLength: 100 }
  assert.equal(decodeBytes(pcapOf({ ...LITTLE, snaplen: 60 }, [short])).packets.length, 1)
  assert.equal(decodeBytes(pcapOf({ ...LITTLE, snaplen: 500_000 }, [long])).packets.length, 1)
  assert.match(decodeBytes(pcapOf(LITTLE, [short, long])).decoder?.damage?.reason ?? '', /claims 300000 bytes, and at most 262144/)
  // USB of Linux, as in libpcap.
  assert.equal(decodeBytes(pcapOf({ ...LITTLE, linktype: 220 }, [long])).packets.length, 1)
})

test('cut after every byte: all packets before, then where and why; nothing at the end of a record', (t) => {
  const random = seededRandom(t)
  for (const shape of SHAPES) {
    const packets = randomPackets(random, 4, 30)
    const file = pcapOf(shape, packets)
    const ends = [24]
    for (const packet of packets) ends.push((ends.at(-1) as number) + pcapRecord(shape, packet).length)
    for (let length = 0; length < file.length; length++) {
      const { packets: found, refused, decoder } = decodeBytes(file.subarray(0, length))
      if (length < 24) {
        assert.match(refused ?? '', length === 0 ? /empty/ : length < 4 ? /begins with/ : /ends after/)
        continue
      }
      const whole = ends.findLastIndex((end) => end <= length)
      assert.equal(found.length, whole)
      if (ends.includes(length)) assert.equal(decoder?.damage, undefined)
      else assert.deepEqual([decoder?.damage?.offset, /the file ends after/.test(decoder?.damage?.reason ?? '')], [ends[whole], true])
    }
  }
})

test('damage ends the file where it is, and stays', () => {
  const [a, b, c] = randomPackets(randomOf(1), 3) as [WrittenPacket, WrittenPacket, WrittenPacket]
  const damaged = Buffer.from(pcapRecord(LITTLE, b))
  damaged.writeUInt32LE(0x7fffffff, 8)
  const offset = 24 + pcapRecord(LITTLE, a).length
  const { packets, decoder, bufferBytes } = decodeBytes(Buffer.concat([pcapHeader(LITTLE), pcapRecord(LITTLE, a), damaged, pcapRecord(LITTLE, c)]))
  assert.deepEqual(packets, [a])
  assert.deepEqual(decoder?.damage, { offset, reason: 'a record claims 2147483647 bytes, and at most 262144 are plausible' })
  assert.equal(decoder?.next(), false)
  assert.ok(bufferBytes < 200_000)
})

test('tolerant: goes on with the next chain of records, and counts what lies between', (t) => {
  const random = seededRandom(t)
  for (const shape of SHAPES) {
    const packets = randomPackets(random, 60)
    const records = packets.map((packet) => pcapRecord(shape, packet))
    const broken = records.map((record, index) => {
      if (index % 20 !== 10) return record
      const bytes = Buffer.from(record)
      bytes.fill(0xff, 8, 16)
      return bytes
    })
    const file = Buffer.concat([pcapHeader(shape), ...broken])
    const lost = broken.filter((_, index) => index % 20 === 10).reduce((sum, { length }) => sum + length, 0)
    const expected = packets.filter((_, index) => index % 20 !== 10).map((packet) => readable(shape, packet))
    for (const length of [() => file.length, () => 1, () => random.between(1, 500)]) {
      const { packets: found, decoder } = decodePieces(inPieces(file, length), { tolerant: true })
      assert.deepEqual(found, expected)
      assert.deepEqual([decoder?.damage, decoder?.skippedBytes], [undefined, lost])
    }
  }
})

test('tolerant: bytes put in and left out; a file that ends in a record; zeros are no records', (t) => {
  const random = seededRandom(t)
  const packets = randomPackets(random, 30)
  const records = packets.map((packet) => pcapRecord(LITTLE, packet))
  const tolerant = (...parts: Uint8Array[]) => decodeBytes(Buffer.concat([pcapHeader(LITTLE), ...parts]), { tolerant: true })
  const inserted = tolerant(...records.slice(0, 10), new Uint8Array(77).fill(0xee), ...records.slice(10))
  assert.deepEqual([inserted.packets, inserted.decoder?.skippedBytes], [packets, 77])
  const headless = tolerant(...records.slice(0, 10), (records[10] as Buffer).subarray(9), ...records.slice(11))
  assert.deepEqual(headless.packets.slice(-19), packets.slice(11))
  const cut = tolerant(...records.slice(0, 10), (records[10] as Buffer).subarray(0, -1))
  assert.deepEqual([cut.packets, cut.decoder?.skippedBytes, cut.decoder?.damage], [packets.slice(0, 10), (records[10] as Buffer).length - 1, undefined])
  const hole = tolerant(...records.slice(0, 10), new Uint8Array(16).fill(0xff), new Uint8Array(5000), ...records.slice(10))
  assert.deepEqual([hole.packets, hole.decoder?.skippedBytes], [packets, 5016])
})

test('what is no capture file', () => {
  assert.equal(decodeBytes(Buffer.from('hello, world')).refused, 'it begins with 68 65 6c 6c, and neither pcap nor pcapng does')
  const version = Buffer.from(pcapHeader(LITTLE))
  version.writeUInt16LE(3, 4)
  assert.equal(decodeBytes(version).refused, 'pcap version 3.4, and 2.0 to 2.4 are known')
})
