/** Blocks byte by byte, and 64-bit times against BigInt. What others read in them is in create.test.ts. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  encodeBlock,
  encodeCustom,
  encodeInterface,
  encodeNames,
  encodePacketOptions,
  encodeSecrets,
  encodeSection,
  encodeStatistics,
  PACKET_HEAD_BYTES,
  packetBlockBytes,
  putPacketBlock,
  putTicks,
} from '#src/file/encode-pcapng.js'
import { seededRandom } from '../../support/random.js'
import { readStrictly, textOf } from '../../support/strict-capture.js'

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
const bytesOf = (text: string) => new TextEncoder().encode(text)

test('a section without options', () => {
  assert.equal(hex(encodeSection()), '0a0d0d0a1c0000004d3c2b1a01000000ffffffffffffffff1c000000')
})

test('a section with a comment and an application, padded to 32 bits', () => {
  const expected =
    '0a0d0d0a' +
    '34000000' +
    '4d3c2b1a' +
    '01000000' +
    'ffffffffffffffff' +
    '01000200' +
    '68690000' +
    '04000500' +
    '7269' +
    '6e6774' +
    '61'.slice(2) +
    '000000' +
    '00000000' +
    '34000000'
  assert.equal(hex(encodeSection({ comments: 'hi', application: 'ringt' })), expected)
})

test('an interface: link type, snap length, and always the resolution of its times', () => {
  assert.equal(
    hex(encodeInterface({ linkType: 1, snapLengthBytes: 262144 })),
    '01000000' + '20000000' + '01000000' + '00000400' + '0900010009000000' + '00000000' + '20000000',
  )
  assert.match(hex(encodeInterface({ linkType: 113, precision: 'us' })), /0900010006000000/)
})

test('every option of an interface has its number', () => {
  const file = Buffer.concat([
    encodeSection(),
    encodeInterface({
      linkType: 1,
      name: 'eth0',
      description: 'wire',
      filter: 'udp',
      os: 'Linux',
      hardware: 'ixgbe',
      macAddress: Uint8Array.of(2, 0, 0, 0, 0, 9),
      speedBitsPerSecond: 100_000_000_000,
      fcsBytes: 4,
      comments: ['one', 'two'],
    }),
  ])
  const { options } = readStrictly(file).blocks[1] as { options: [number, Uint8Array][] }
  assert.deepEqual(
    options.map(([code]) => code),
    [1, 1, 2, 3, 6, 8, 9, 11, 12, 13, 15],
  )
  assert.deepEqual([textOf(options, 1), textOf(options, 2), textOf(options, 11)], [['one', 'two'], ['eth0'], ['\0udp']])
  const value = (code: number) => hex(options.find(([own]) => own === code)?.[1] as Uint8Array)
  assert.deepEqual([value(6), value(8), value(9), value(13)], ['020000000009', '00e8764817000000', '09', '04'])
})

test('statistics: their time has its upper half first, options have it too', () => {
  const block = encodeStatistics(1, { at: { seconds: 4, nanoseconds: 5 }, start: { seconds: 5, nanoseconds: 0 }, received: 2n ** 40n, droppedBySystem: 7 })
  const at = 4_000_000_005n
  const start = 5_000_000_000n
  const words = (value: bigint) => {
    const bytes = Buffer.alloc(8)
    bytes.writeUInt32LE(Number(value >> 32n), 0)
    bytes.writeUInt32LE(Number(value & 0xffffffffn), 4)
    return bytes.toString('hex')
  }
  const body =
    `05000000` +
    '40000000' +
    '01000000' +
    words(at) +
    `02000800${words(start)}` +
    '0400080000000000' +
    '00010000' +
    '07000800' +
    '0700000000000000' +
    '00000000' +
    '40000000'
  assert.equal(hex(block), body)
  assert.ok(hex(encodeStatistics(0, { at: { seconds: 1, nanoseconds: 1999 } }, 'us')).includes(words(1_000_001n)))
})

test('times have 64 bits, without BigInt and exact', (t) => {
  const random = seededRandom(t)
  const view = new DataView(new ArrayBuffer(8))
  const cases: [number, number, number][] = [
    [0, 0, 1e9],
    [0xffff_ffff, 999_999_999, 1e9],
    [2 ** 34, 999_999_999, 1e9],
    [4, 294_967_295, 1e9],
    [4, 294_967_296, 1e9],
    [65_535, 999_999, 1e6],
  ]
  for (let turn = 0; turn < 20_000; turn++)
    cases.push([random.word() * (random.oneIn(2) ? 1 : 4), random.between(0, 999_999), 1e6], [random.word(), random.between(0, 999_999_999), 1e9])
  for (const [seconds, fraction, unit] of cases) {
    putTicks(view, 0, seconds, fraction, unit)
    const ticks = (BigInt(view.getUint32(0, true)) << 32n) | BigInt(view.getUint32(4, true))
    assert.equal(ticks, BigInt(seconds) * BigInt(unit) + BigInt(fraction), `${seconds} ${fraction} ${unit}`)
  }
})

test('a packet block fills exactly its own bytes, padding with zeros', () => {
  for (let length = 0; length < 9; length++) {
    for (const options of [undefined, encodePacketOptions({ flags: 2, dropCount: 3, queue: 4, comment: 'ab' })]) {
      const size = packetBlockBytes(length, options?.byteLength ?? 0)
      const bytes = new Uint8Array(size + 8).fill(0xa5)
      const total = putPacketBlock(new DataView(bytes.buffer), 4, 0, 1, 2, 1e9, length, 1000, options?.byteLength ?? 0)
      bytes.fill(0x11, 4 + PACKET_HEAD_BYTES, 4 + PACKET_HEAD_BYTES + length)
      if (options !== undefined) bytes.set(options, 4 + PACKET_HEAD_BYTES + ((length + 3) & ~3))
      assert.equal(total, size)
      assert.deepEqual([hex(bytes.subarray(0, 4)), hex(bytes.subarray(4 + size))], ['a5a5a5a5', 'a5a5a5a5'])
      const file = Buffer.concat([encodeSection(), encodeInterface({ linkType: 1 }), bytes.subarray(4, 4 + size)])
      const [packet] = readStrictly(file).packets
      assert.deepEqual([packet?.capturedLength, packet?.wireLength, packet?.time], [length, 1000, 1_000_000_002n])
      assert.deepEqual(
        packet?.options.map(([code, value]) => `${code}:${hex(value)}`),
        options === undefined ? [] : ['1:6162', '2:02000000', '4:0300000000000000', '6:04000000'],
      )
    }
  }
  assert.equal(encodePacketOptions({}), undefined)
})

test('names, secrets, custom blocks and unknown ones keep what they are given', () => {
  assert.equal(
    hex(encodeNames([{ address: Uint8Array.of(192, 0, 2, 1), names: ['a', 'bc'] }])),
    '04000000' + '20000000' + '01000900' + 'c0000201' + '6100626300' + '000000' + '00000000' + '20000000',
  )
  assert.equal(hex(encodeNames([])), '04000000' + '10000000' + '00000000' + '10000000')
  assert.equal(hex(encodeSecrets(0x544c534b, bytesOf('keys!'))), '0a000000' + '1c000000' + '4b534c54' + '05000000' + '6b65797321000000' + '1c000000')
  assert.equal(hex(encodeCustom(32473, Uint8Array.of(1, 2, 3, 4), true)), 'ad0b0000' + '14000000' + 'd97e0000' + '01020304' + '14000000')
  assert.equal(hex(encodeCustom(32473, new Uint8Array(0), false)), 'ad0b0040' + '10000000' + 'd97e0000' + '10000000')
  assert.equal(hex(encodeBlock(0x77, Uint8Array.of(9))), '77000000' + '10000000' + '09000000' + '10000000')
})

test('an option that is too long is refused', () => {
  assert.throws(() => encodeSection({ comments: 'x'.repeat(65_536) }), RangeError)
  encodeSection({ comments: 'x'.repeat(65_535) })
})
