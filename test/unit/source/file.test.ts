/** Blocks made of files, read through the views that handlers have. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Decoder } from '#src/file/decode/cursor.js'
import { createDecoder } from '#src/file/decode/detect.js'
import { ByteWindow } from '#src/file/decode/window.js'
import { BlockPacketView } from '#src/packet/view.js'
import { FileBlocks } from '#src/source/file.js'
import { block, enhancedPacket, interfaceBlock, NANOSECONDS, pcapOf, randomPackets, sectionHeader, Writer } from '../../support/capture-writer.js'
import { seededRandom } from '../../support/random.js'

function decoderOf(bytes: Uint8Array): Decoder {
  const window = new ByteWindow()
  window.push(bytes)
  window.ended = true
  return createDecoder(window, { tolerant: false, matcherFor: undefined, onBlock: undefined }) as Decoder
}

interface Seen {
  frame: Uint8Array
  copy: Uint8Array
  view: Record<string, unknown>
}

function seen(decoder: Decoder): { packets: Seen[]; blocks: number; refused: number; untimed: number } {
  const blocks = new FileBlocks()
  const view = new BlockPacketView()
  const packets: Seen[] = []
  let count = 0
  blocks.begin(decoder)
  for (let block = blocks.fill(decoder); block !== undefined; block = blocks.fill(decoder)) {
    count++
    view.enter(block)
    let header = block.firstOffset
    for (let i = 0; i < block.packetCount; i++) {
      view.header = header
      const {
        capturedLength,
        wireLength,
        seconds,
        nanoseconds,
        vlanId,
        vlanTci,
        vlanTpid,
        hasVlan,
        packetType,
        protocol,
        interfaceIndex,
        rxhash,
        timestampSource,
      } = view
      packets.push({
        frame: view.bytes.slice(view.offset, view.offset + capturedLength),
        copy: view.copy(),
        view: { wireLength, seconds, nanoseconds, vlanId, vlanTci, vlanTpid, hasVlan, packetType, protocol, interfaceIndex, rxhash, timestampSource },
      })
      assert.equal(view.words32[header >>> 2] === 0, i + 1 === block.packetCount)
      header += view.words32[header >>> 2] as number
    }
  }
  return { packets, blocks: count, refused: blocks.refused, untimed: blocks.untimed }
}

const SHAPE = { littleEndian: true, magic: NANOSECONDS }

test('random packets, over several blocks: bytes, lengths and times are those of the file', (t) => {
  const random = seededRandom(t)
  const packets = randomPackets(random, 3000, 1500)
  const { packets: found, blocks } = seen(decoderOf(pcapOf(SHAPE, packets)))
  assert.ok(blocks > 2)
  assert.equal(found.length, packets.length)
  for (const [index, packet] of packets.entries()) {
    const { copy, view } = found[index] as Seen
    assert.deepEqual(copy, packet.bytes)
    // The tag that random bytes happen to have is beside the frame, and not counted.
    const tag = view.hasVlan === true ? 4 : 0
    assert.deepEqual([view.seconds, view.nanoseconds, view.wireLength], [packet.seconds, packet.nanoseconds, packet.wireLength - tag])
  }
})

test('a time that 32 bits of seconds cannot say, and none at all: 0, and counted', () => {
  const frame = new Uint8Array(60)
  const at = (seconds: number) => enhancedPacket(true, 0, BigInt(seconds + 1000) * 1_000_000n + 250_000n, frame)
  const offset = new Writer(true)
    .option(14, new Writer(true).u64(BigInt.asUintN(64, -1000n)).end())
    .u32(0)
    .end()
  const simple = block(true, 3, new Writer(true).u32(frame.length).raw(frame).end())
  const decoder = decoderOf(
    Buffer.concat([sectionHeader(true), interfaceBlock(true, 1, 0, offset), at(5), at(-500), at(2 ** 32 + 5), simple, at(2 ** 32 - 1), at(0)]),
  )
  const { packets, untimed } = seen(decoder)
  assert.deepEqual(
    packets.map(({ view }) => [view.seconds, view.nanoseconds]),
    [
      [5, 250_000_000],
      [0, 0],
      [0, 0],
      [0, 0],
      [2 ** 32 - 1, 250_000_000],
      [0, 250_000_000],
    ],
  )
  assert.equal(untimed, 3)
})

test('a packet that is longer than a block gets a larger one, and those behind it are not lost', () => {
  const packet = (length: number) => ({ bytes: new Uint8Array(length).fill(length & 0xff), wireLength: length, seconds: 1, nanoseconds: 0, interfaceId: 0 })
  const lengths = [100, 2 ** 20, 60, 3 * 2 ** 20, 2 ** 20 - 100, 100]
  const { packets } = seen(decoderOf(pcapOf({ ...SHAPE, snaplen: 2 ** 24 }, lengths.map(packet))))
  assert.deepEqual(
    packets.map(({ frame }) => frame.length),
    lengths,
  )
  for (const { frame } of packets) assert.ok(frame.every((byte) => byte === (frame.length & 0xff)))
})

/** An Ethernet frame of this destination and what follows the addresses. */
function frame(destination: number[], ...rest: number[]): Uint8Array {
  return Uint8Array.of(...destination, 2, 0, 0, 0, 0, 9, ...rest, ...new Array<number>(60 - 12 - rest.length).fill(0))
}

const HOST = [2, 0, 0x5e, 0x10, 0, 1]

test('the outer VLAN tag stands beside the frame, as the kernel has it; copy() puts it back', () => {
  const one = (bytes: Uint8Array) =>
    seen(decoderOf(pcapOf(SHAPE, [{ bytes, wireLength: bytes.length, seconds: 1, nanoseconds: 0, interfaceId: 0 }]))).packets[0] as Seen
  const plain = one(frame(HOST, 8, 0, 0x45))
  assert.deepEqual([plain.view.hasVlan, plain.view.vlanId, plain.view.vlanTci, plain.view.vlanTpid, plain.view.protocol], [false, -1, 0, 0, 0x0800])
  for (const tpid of [0x8100, 0x88a8]) {
    const bytes = frame(HOST, tpid >>> 8, tpid & 0xff, 0xe0, 7, 0x86, 0xdd, 0x60)
    const { view, copy, frame: stripped } = one(bytes)
    assert.deepEqual([view.hasVlan, view.vlanId, view.vlanTci, view.vlanTpid, view.protocol, view.wireLength], [true, 7, 0xe007, tpid, 0x86dd, 56])
    assert.deepEqual(copy, bytes)
    assert.deepEqual(stripped, Uint8Array.of(...bytes.subarray(0, 12), ...bytes.subarray(16)))
  }
  // Cut in the tag: there is nothing to take out.
  const cut = one(frame(HOST, 0x81, 0, 0, 7, 8, 0).subarray(0, 17))
  assert.deepEqual([cut.view.hasVlan, cut.frame.length, cut.view.protocol], [false, 17, 0x8100])
  // Two tags: the inner one stays.
  assert.equal(one(frame(HOST, 0x88, 0xa8, 0, 1, 0x81, 0, 0, 2, 8, 0)).view.protocol, 0x8100)
})

test('protocol of IEEE 802.3, packet type by flags and by address', () => {
  const flagged = (bytes: Uint8Array, flags?: number) => {
    const options = flags === undefined ? undefined : new Writer(true).option(2, new Writer(true).u32(flags).end()).end()
    const file = Buffer.concat([sectionHeader(true), interfaceBlock(true), interfaceBlock(true), enhancedPacket(true, 1, 5n, bytes, bytes.length, options)])
    return (seen(decoderOf(file)).packets[0] as Seen).view
  }
  assert.equal(flagged(frame(HOST, 0, 46, 0x42, 0x42, 3)).protocol, 4)
  assert.equal(flagged(frame(HOST, 0, 46, 0xff, 0xff)).protocol, 1)
  const types: [destination: number[], flags: number | undefined, type: number][] = [
    [HOST, undefined, 0],
    [[255, 255, 255, 255, 255, 255], undefined, 1],
    [[1, 0, 0x5e, 0, 0, 1], undefined, 2],
    [HOST, 0b1, 0],
    [HOST, 0b10, 4],
    [HOST, 0b10001, 3],
    [HOST, 0b00101, 0],
    [HOST, 0b01001, 2],
    [HOST, 0b01101, 1],
    [[255, 255, 255, 255, 255, 255], 0, 1],
  ]
  for (const [destination, flags, type] of types) {
    const view = flagged(frame(destination, 8, 0), flags)
    assert.deepEqual([view.packetType, view.interfaceIndex, view.rxhash, view.timestampSource], [type, 1, 0, 'kernel'], `${destination} ${flags}`)
  }
})

test('a packet that is not of Ethernet ends the walk, after those before it', () => {
  const packet = (id: number) => enhancedPacket(true, id, 5n, frame(HOST, 8, 0))
  const file = Buffer.concat([sectionHeader(true), interfaceBlock(true), interfaceBlock(true, 101), packet(0), packet(0), packet(1), packet(0)])
  const { packets, refused } = seen(decoderOf(file))
  assert.equal(refused, 1)
  assert.ok(packets.length >= 2)
})
