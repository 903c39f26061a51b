/** Records of packets in fabricated blocks, by both builders: the same bytes, and what a strict reader finds in them is what was sent. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { encodePcapHeader } from '#src/file/encode-pcap.js'
import { encodeInterface, encodeSection } from '#src/file/encode-pcapng.js'
import { CompiledRecords, type RecordBuffer, ScriptRecords } from '#src/file/record.js'
import { MAX_RECORD_BYTES, type RecordFormat } from '#src/file/record-layout.js'
import { recordProgram } from '#src/file/record-program.js'
import { isValidModule, LinearMemory } from '#src/kernel/linear-memory.js'
import { openKernel } from '#src/kernel/system.js'
import { Block } from '#src/packet/block.js'
import { readCaptureFile } from '../../support/capture-file.js'
import { type Random, seededRandom } from '../../support/random.js'
import { type FabricatedPacket, KernelRing } from '../../support/ring-memory.js'

const BLOCK_BYTES = 65_536

/** A block of these packets in a linear memory, with noise where nothing stands. */
function blockOf(packets: readonly FabricatedPacket[], random: Random, spareBytes = 2 ** 20): { memory: LinearMemory; block: Block } {
  const ring = new KernelRing({ blockBytes: BLOCK_BYTES, blockCount: 2 })
  new Uint8Array(ring.memory).set(random.bytes(4096), 48)
  for (const packet of packets) assert.ok(ring.receive(packet))
  assert.equal(ring.active, 0, 'one block is enough')
  ring.retire()
  const memory = LinearMemory.create(openKernel(), BLOCK_BYTES + CompiledRecords.memoryBytes(spareBytes))
  assert.ok(memory !== undefined)
  const at = memory.take(BLOCK_BYTES) as number
  new Uint8Array(memory.buffer, at, BLOCK_BYTES).set(new Uint8Array(ring.memory, 0, BLOCK_BYTES))
  const block = new Block(memory.buffer, at, BLOCK_BYTES)
  block.readHeader()
  assert.equal(block.packetCount, packets.length)
  return { memory, block }
}

function randomPacket(random: Random): FabricatedPacket {
  const length = random.oneIn(3) ? random.between(1, 40) : random.between(40, 600)
  const tag = random.pick([undefined, undefined, { tci: random.between(0, 0xffff), tpid: 0x8100 }, { tci: 7, tpid: 0x88a8 }, { tci: 0 }])
  return {
    bytes: random.bytes(length),
    wireLength: length + (random.oneIn(4) ? random.between(1, 9000) : 0),
    seconds: random.pick([0, 1, 1_700_000_000, 2 ** 32 - 1]),
    nanoseconds: random.pick([0, 999, 1000, 294_967_296, 999_999_999, random.between(0, 999_999_999)]),
    packetType: random.between(0, 4),
    ...(tag === undefined ? {} : { vlan: tag }),
  }
}

/** What the wire had, cut to the snap length. */
function frameOf({ bytes, vlan }: FabricatedPacket, snapLength: number): Buffer {
  if (vlan === undefined || bytes.length < 12) return Buffer.from(bytes.subarray(0, snapLength))
  const tag = Buffer.alloc(4)
  tag.writeUInt16BE(vlan.tpid ?? 0x8100, 0)
  tag.writeUInt16BE(vlan.tci, 2)
  return Buffer.concat([bytes.subarray(0, 12), tag, bytes.subarray(12)]).subarray(0, snapLength)
}

function assertRecords(buffer: RecordBuffer, packets: readonly FabricatedPacket[], format: RecordFormat): void {
  const described = { linkType: 1, snapLengthBytes: format.snapLengthBytes, precision: format.microseconds ? 'us' : 'ns' } as const
  const interfaces = Array.from({ length: format.interfaceId + 1 }, () => encodeInterface(described))
  const header = format.format === 'pcap' ? [encodePcapHeader(described)] : [encodeSection(), ...interfaces]
  const read = readCaptureFile(Buffer.concat([...header, buffer.bytes.subarray(0, buffer.length)]))
  assert.deepEqual([read.format, read.resolution], [format.format, format.microseconds ? 'us' : 'ns'])
  assert.equal(read.packets.length, packets.length)
  for (const [i, packet] of packets.entries()) {
    const { time, bytes, originalLength, interfaceId, flags } = read.packets[i]
    const shown = `packet ${i}: ${packet.bytes.length} bytes, ${JSON.stringify(packet.vlan)}`
    assert.deepEqual(bytes, frameOf(packet, format.snapLengthBytes), shown)
    assert.equal(originalLength, (packet.wireLength ?? packet.bytes.length) + (packet.vlan === undefined ? 0 : 4), shown)
    const nanoseconds = BigInt(packet.nanoseconds ?? 0)
    assert.equal(time, BigInt(packet.seconds ?? 0) * 1_000_000_000n + (format.microseconds ? (nanoseconds / 1000n) * 1000n : nanoseconds), shown)
    assert.equal(interfaceId, format.format === 'pcap' ? 0 : format.interfaceId)
    assert.equal(flags, format.format === 'pcapng' && packet.packetType === 4 ? 2 : undefined, shown)
  }
}

const FORMATS: Pick<RecordFormat, 'format' | 'microseconds'>[] = (['pcap', 'pcapng'] as const).flatMap((format) =>
  [false, true].map((microseconds) => ({ format, microseconds })),
)

for (const kind of FORMATS) {
  describe(`${kind.format}, ${kind.microseconds ? 'microseconds' : 'nanoseconds'}`, () => {
    for (const snapLengthBytes of [262_144, 300, 64, 15, 14, 12, 11, 1]) {
      test(`random packets, snap length ${snapLengthBytes}: both builders, and a reader`, (t) => {
        const random = seededRandom(t)
        for (let round = 0; round < 20; round++) {
          const packets = Array.from({ length: random.between(1, 60) }, () => randomPacket(random))
          const { memory, block } = blockOf(packets, random)
          const format: RecordFormat = { ...kind, snapLengthBytes, interfaceId: random.between(0, 3) }
          const compiled = CompiledRecords.create(memory, 2 ** 20, format) as RecordBuffer
          const script = new ScriptRecords(2 ** 20, format)
          compiled.bytes.fill(0xa5)
          script.bytes.fill(0x5a)
          for (const buffer of [compiled, script]) {
            assert.equal(buffer.add(block, block.firstOffset, packets.length), packets.length)
            assertRecords(buffer, packets, format)
            assert.equal(buffer.packets, packets.length)
            assert.equal(
              buffer.wireBytes,
              packets.reduce((sum, { wireLength = 0 }) => sum + wireLength, 0),
            )
            assert.equal(buffer.truncated, packets.filter(({ bytes, wireLength = 0 }) => bytes.length < wireLength).length)
          }
          assert.deepEqual(compiled.bytes.subarray(0, compiled.length), script.bytes.subarray(0, script.length))
        }
      })
    }

    test('a buffer that is full takes whole packets only, and goes on with the next one', (t) => {
      const random = seededRandom(t)
      const packets = Array.from({ length: 60 }, () => randomPacket(random))
      const { memory, block } = blockOf(packets, random, 4096)
      const format: RecordFormat = { ...kind, snapLengthBytes: 262_144, interfaceId: 0 }
      for (const buffer of [CompiledRecords.create(memory, 1500, format) as RecordBuffer, new ScriptRecords(1500, format)]) {
        let header = block.firstOffset
        let done = 0
        while (done < packets.length) {
          const guard = buffer.bytes.length
          const added = buffer.add(block, header, packets.length - done)
          assert.ok(added > 0 && buffer.length <= guard)
          assertRecords(buffer, packets.slice(done, done + added), format)
          assert.equal(buffer.add(block, buffer.header, packets.length - done - added), 0)
          header = buffer.header
          done += added
          buffer.clear()
        }
      }
    })
  })
}

test('a second block goes behind the first, and no packets add nothing', (t) => {
  const random = seededRandom(t)
  const packets = Array.from({ length: 5 }, () => randomPacket(random))
  const { memory, block } = blockOf(packets, random)
  const format: RecordFormat = { format: 'pcapng', microseconds: false, snapLengthBytes: 262_144, interfaceId: 0 }
  for (const buffer of [CompiledRecords.create(memory, 65_536, format) as RecordBuffer, new ScriptRecords(65_536, format)]) {
    assert.equal(buffer.add(block, block.firstOffset, 0), 0)
    assert.equal(buffer.length, 0)
    buffer.add(block, block.firstOffset, 5)
    buffer.add(block, block.firstOffset, 3)
    assertRecords(buffer, [...packets, ...packets.slice(0, 3)], format)
  }
})

test('the longest packet fits where MAX_RECORD_BYTES are free', (t) => {
  const random = seededRandom(t)
  const format: RecordFormat = { format: 'pcapng', microseconds: false, snapLengthBytes: 262_144, interfaceId: 0 }
  const ring = new KernelRing({ blockBytes: 2 ** 19, blockCount: 2 })
  const packet: FabricatedPacket = { bytes: random.bytes(262_143), seconds: 1, packetType: 4 }
  assert.ok(ring.receive(packet))
  ring.retire()
  const block = new Block(ring.memory, 0, 2 ** 19)
  block.readHeader()
  const buffer = new ScriptRecords(MAX_RECORD_BYTES, format)
  assert.equal(buffer.add(block, block.firstOffset, 1), 1)
  assertRecords(buffer, [packet], format)
})

test('the program is valid with vectors and without, and does the same', (t) => {
  const random = seededRandom(t)
  const packets = Array.from({ length: 50 }, () => randomPacket(random))
  for (const kind of FORMATS) {
    const format: RecordFormat = { ...kind, snapLengthBytes: 262_144, interfaceId: 0 }
    for (const hasVectors of [true, false]) assert.ok(isValidModule(recordProgram(format, hasVectors)))
    assert.ok(recordProgram(format, true).length !== recordProgram(format, false).length)
    const { memory, block } = blockOf(packets, random)
    const buffers = [true, false].map((hasVectors) => CompiledRecords.create(memory, 100_000, format, hasVectors) as RecordBuffer)
    for (const buffer of buffers) buffer.add(block, block.firstOffset, packets.length)
    const [withVectors, without] = buffers.map((buffer) => Buffer.from(buffer.bytes.subarray(0, buffer.length)))
    assert.deepEqual(withVectors, without)
  }
})
