/**
 * Capture files, damaged in every way, through the decoders. Whatever the bytes: no exception, no endless loop, memory that follows the bytes and
 * not their claims, packets that lie inside what was given, and of a strict run the packets before the first change as they were.
 */
import assert from 'node:assert/strict'
import type { Decoder, PacketCursor } from '#src/file/decode/cursor.js'
import { createDecoder } from '#src/file/decode/detect.js'
import { ByteWindow } from '#src/file/decode/window.js'
import {
  block,
  enhancedPacket,
  interfaceBlock,
  MICROSECONDS,
  MODIFIED,
  NANOSECONDS,
  type PcapShape,
  pcapHeader,
  pcapRecord,
  randomPackets,
  sectionHeader,
  Writer,
} from './capture-writer.js'
import type { Random } from './random.js'

interface Seed {
  bytes: Buffer
  /** Where each packet's record ends. */
  ends: number[]
}

/** Small files of every shape. */
export function seeds(random: Random): Seed[] {
  const found: Seed[] = []
  const add = (head: Buffer[], records: Buffer[], tail: Buffer[] = []) => {
    let end = head.reduce((sum, { length }) => sum + length, 0)
    const ends = records.map(({ length }) => {
      end += length
      return end
    })
    found.push({ bytes: Buffer.concat([...head, ...records, ...tail]), ends })
  }
  for (const littleEndian of [true, false]) {
    const write = () => new Writer(littleEndian)
    for (const magic of [MICROSECONDS, NANOSECONDS, MODIFIED]) {
      for (const minor of [2, 3, 4]) {
        const shape: PcapShape = { littleEndian, magic, minor, snaplen: random.pick([0, 96, 65535, 262144]) }
        const packets = randomPackets(random, 6, 60)
        add(
          [pcapHeader(shape)],
          packets.map((packet) => pcapRecord(shape, packet)),
        )
      }
    }
    for (let i = 0; i < 6; i++) {
      const options = write()
        .option(2, 'eth0')
        .option(9, Uint8Array.of(random.pick([6, 9, 12, 0x94])))
        .option(14, write().u64(5n).end())
        .option(11, Uint8Array.of(0, 105, 112))
        .option(0, '')
        .end()
      const packetOptions = () =>
        random.oneIn(2) ? write().option(1, 'comment').option(2, write().u32(2).end()).option(4, write().u64(9n).end()).end() : undefined
      const head = [
        sectionHeader(littleEndian, write().option(1, 'x').end()),
        interfaceBlock(littleEndian, 1, 262144, options),
        interfaceBlock(littleEndian, 101),
      ]
      const packets = randomPackets(random, 6, 60).map(({ bytes, wireLength }) => {
        const kind = random.between(0, 4)
        if (kind === 0) return block(littleEndian, 3, write().u32(bytes.length).padded(bytes).end())
        if (kind === 1) return block(littleEndian, 2, write().u16(1, 3).u32(7, 7, bytes.length, wireLength).padded(bytes).end())
        return enhancedPacket(littleEndian, random.between(0, 1), BigInt(random.word()) << 20n, bytes, wireLength, packetOptions())
      })
      const names = block(littleEndian, 4, write().option(1, Buffer.from('\x01\x02\x03\x04host\0')).option(0, '').end())
      const statistics = block(littleEndian, 5, write().u32(0, 1, 2).option(4, write().u64(6n).end()).end())
      add(head, packets, [names, block(littleEndian, 0xbad, write().u32(1, 2).end()), statistics])
    }
    // Sections of little, and a section of many interfaces, alike and not.
    const described = (name: string) => interfaceBlock(littleEndian, 1, 0, write().option(2, name).option(0, '').end())
    const statistics = (id: number) => block(littleEndian, 5, write().u32(id, 1, 2).option(4, write().u64(6n).end()).end())
    const small = (name: string) => [sectionHeader(littleEndian, write().option(1, name).end()), described(name), statistics(0)]
    const [packet] = randomPackets(random, 1, 60)
    const record = enhancedPacket(littleEndian, 0, 1n << 50n, packet?.bytes ?? new Uint8Array(4))
    add([...small('a'), ...small('b'), ...small('b')], [record], [...small('c'), statistics(1), sectionHeader(littleEndian), statistics(0)])
    const many = Array.from({ length: random.between(2, 40) }, (_, id) => described(`eth${id % 30}`))
    add([sectionHeader(littleEndian), ...many], [record], [...many.map((_, id) => statistics(id)), statistics(many.length)])
  }
  return found
}

const INTERESTING = [
  0, 1, 2, 3, 4, 6, 8, 12, 16, 28, 32, 0x7f, 0x80, 0xff, 0xfff, 0xffff, 0x40000, 0x40001, 0x1000000, 0x7fffffff, 0x80000000, 0xfffffffc, 0xffffffff, 0x0a0d0d0a,
]

/** Changes one to four places, or cuts, repeats or joins. Answers the bytes and the first place that is not as it was. */
export function mutate(random: Random, seed: Uint8Array, other: Uint8Array): { bytes: Uint8Array; changedFrom: number } {
  let bytes: Uint8Array = Uint8Array.from(seed)
  let changedFrom = bytes.length
  for (let left = random.between(1, 4); left > 0 && bytes.length > 0; left--) {
    const at = random.between(0, bytes.length - 1)
    changedFrom = Math.min(changedFrom, at)
    switch (random.between(0, 6)) {
      case 0:
        bytes[at] = random.between(0, 255)
        break
      case 1:
        bytes[at] = (bytes[at] as number) ^ (1 << random.between(0, 7))
        break
      case 2: {
        const word = at & ~3
        changedFrom = Math.min(changedFrom, word)
        if (word + 4 <= bytes.length) new DataView(bytes.buffer).setUint32(word, random.pick(INTERESTING), random.oneIn(2))
        break
      }
      case 3:
        bytes = bytes.slice(0, at)
        break
      case 4: {
        const end = Math.min(bytes.length, at + random.between(1, 20))
        bytes = Uint8Array.of(...bytes.subarray(0, at), ...bytes.subarray(end))
        break
      }
      case 5: {
        const end = Math.min(bytes.length, at + random.between(1, 60))
        bytes = Uint8Array.of(...bytes.subarray(0, at), ...bytes.subarray(at, end), ...bytes.subarray(at))
        break
      }
      default:
        bytes = Uint8Array.of(...bytes.subarray(0, at), ...other.subarray(random.between(0, other.length)))
    }
  }
  return { bytes, changedFrom }
}

export interface FuzzReport {
  inputs: number
  packets: number
  damaged: number
  refused: number
  skippedBytes: number
}

/** A window may be this much larger than what is in it: what ByteWindow begins with, and its doubling. */
const LEAST_WINDOW = 64 * 1024

/** Runs this many mutated inputs, each strict and tolerant, in one piece or several. Throws at the first that is not as it must be, with the input. */
export function fuzzFiles(random: Random, inputs: number, progress: (report: FuzzReport) => void = () => {}): FuzzReport {
  const report: FuzzReport = { inputs: 0, packets: 0, damaged: 0, refused: 0, skippedBytes: 0 }
  let pool = seeds(random)
  while (report.inputs < inputs) {
    if (report.inputs % 1000 === 0) {
      pool = seeds(random)
      progress(report)
    }
    const seed = random.pick(pool)
    const { bytes, changedFrom } = mutate(random, seed.bytes, random.pick(pool).bytes)
    const pieceBytes = random.pick([bytes.length, bytes.length, 1, 7, 100])
    try {
      const strict = run(bytes, pieceBytes, false)
      const untouched = seed.ends.filter((end) => end <= changedFrom).length
      assert.ok(strict.packets >= untouched, `${strict.packets} packets, ${untouched} stand before the change`)
      const tolerant = run(bytes, pieceBytes, true)
      assert.ok(tolerant.packets >= untouched)
      assert.equal(tolerant.damage, false)
      report.packets += strict.packets
      report.skippedBytes += tolerant.skippedBytes
      if (strict.damage) report.damaged++
      if (strict.refused) report.refused++
    } catch (error) {
      const input = Buffer.from(bytes).toString('base64')
      throw new Error(`input ${report.inputs} in pieces of ${pieceBytes}: ${(error as Error).message}\n${input}`, { cause: error })
    }
    report.inputs++
  }
  progress(report)
  return report
}

function run(bytes: Uint8Array, pieceBytes: number, tolerant: boolean): { packets: number; damage: boolean; refused: boolean; skippedBytes: number } {
  const window = new ByteWindow()
  const options = { tolerant, matcherFor: undefined, onBlock: undefined }
  let decoder: Decoder | undefined
  let refused = false
  let packets = 0
  let delivered = 0
  for (let at = 0; at <= bytes.length && !refused; at += pieceBytes) {
    window.push(bytes.subarray(at, at + pieceBytes))
    window.ended = at + pieceBytes >= bytes.length
    assert.ok(window.bytes.length <= Math.max(LEAST_WINDOW, 4 * bytes.length), `a window of ${window.bytes.length} bytes`)
    if (decoder === undefined) {
      const made = createDecoder(window, options)
      if (typeof made === 'string') refused = true
      else if (made !== undefined) {
        decoder = made
        decoder.readAhead()
      } else assert.ok(!window.ended)
    }
    if (decoder === undefined) continue
    // Each packet takes a record of at least 16 bytes.
    for (; decoder.next(); packets++) {
      assert.ok(packets <= bytes.length / 16)
      delivered += decoder.capturedLength
      look(decoder, bytes.length)
    }
    assert.equal(decoder.failure, undefined)
    if (window.ended) break
  }
  const damage = decoder?.damage
  if (damage !== undefined) assert.ok(damage.offset >= 0 && damage.offset < bytes.length && damage.reason.length < 200)
  const skippedBytes = decoder?.skippedBytes ?? 0
  assert.ok(delivered + skippedBytes <= bytes.length)
  // Everything has been decoded, passed over, or stands behind the damage.
  if (decoder !== undefined && damage === undefined) assert.equal(window.start, window.end)
  return { packets, damage: damage !== undefined, refused, skippedBytes }
}

/** Reads everything that there is to read of a packet. */
function look(cursor: PacketCursor, length: number): void {
  const { offset, capturedLength, bytes, seconds, nanoseconds, wireLength, flags, dropCount, linkType, fileOffset } = cursor
  assert.ok(offset >= 0 && capturedLength >= 0 && offset + capturedLength <= bytes.length)
  assert.ok(fileOffset >= 0 && fileOffset + capturedLength <= length)
  assert.ok(nanoseconds >= 0 && nanoseconds < 1e9 && Number.isInteger(nanoseconds) && Number.isFinite(seconds))
  assert.ok(wireLength >= 0 && flags >= 0 && dropCount >= 0 && linkType >= 0)
  assert.ok(cursor.details().comments.length <= length)
  assert.equal(cursor.comment, cursor.details().comments[0])
}
