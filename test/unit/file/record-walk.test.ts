/** Records before a time, found by walking them, are those that the strict reader finds. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodePcapHeader } from '#src/file/encode-pcap.js'
import { encodeInterface, encodeSection } from '#src/file/encode-pcapng.js'
import { ScriptRecords } from '#src/file/record.js'
import { recordsBefore } from '#src/file/record-walk.js'
import { Block } from '#src/packet/block.js'
import { seededRandom } from '../../support/random.js'
import { KernelRing } from '../../support/ring-memory.js'
import { readStrictly } from '../../support/strict-capture.js'

test('any packets, any time', (t) => {
  const random = seededRandom(t)
  for (let round = 0; round < 300; round++) {
    const format = random.pick(['pcap', 'pcapng'] as const)
    const microseconds = random.oneIn(2)
    const ring = new KernelRing({ blockBytes: 65_536, blockCount: 2 })
    const packets = random.between(0, 40)
    let time = BigInt(random.between(0, 0xfff0_0000)) * 1_000_000_000n + BigInt(random.between(0, 999_999_999))
    const times: bigint[] = []
    for (let i = 0; i < packets; i++) {
      time += BigInt(random.between(0, 3_000_000))
      times.push(time)
      const vlan = random.oneIn(3) ? { vlan: { tci: 5, tpid: 0x8100 } } : {}
      const bytes = random.bytes(random.between(14, 200))
      ring.receive({
        bytes,
        wireLength: bytes.length + random.pick([0, 100]),
        seconds: Number(time / 1_000_000_000n),
        nanoseconds: Number(time % 1_000_000_000n),
        ...vlan,
        packetType: random.pick([0, 4]),
      })
    }
    ring.retire()
    const block = new Block(ring.memory, 0, 65_536)
    block.readHeader()
    const layout = { format, microseconds, snapLengthBytes: random.pick([100, 262_144]), interfaceId: 0 } as const
    const records = new ScriptRecords(65_536, layout)
    if (packets > 0) assert.equal(records.add(block, block.firstOffset, packets), packets)
    // To a millisecond, so that it is exact; often that of a packet.
    const ms = packets > 0 ? Number(random.pick(times) / 1_000_000n) + random.between(0, 1) : 5
    const described = { linkType: 1, snapLengthBytes: 262_144, precision: microseconds ? 'us' : 'ns' } as const
    const head = format === 'pcap' ? encodePcapHeader(described) : Buffer.concat([encodeSection({}), encodeInterface(described)])
    const all = readStrictly(Buffer.concat([head, records.bytes.subarray(0, records.length)])).packets
    const found = recordsBefore(records.bytes, records.length, layout, ms)
    const before = all.filter((packet) => packet.time < BigInt(ms) * 1_000_000n)
    assert.equal(found.packets, before.length)
    assert.equal(
      found.wireBytes,
      before.reduce((sum, packet) => sum + packet.wireLength, 0),
    )
    assert.equal(found.truncated, before.filter((packet) => packet.capturedLength < packet.wireLength).length)
    const rest = readStrictly(Buffer.concat([head, records.bytes.subarray(found.bytes, records.length)])).packets
    assert.deepEqual(rest, all.slice(before.length))
  }
})

test('none before 1970, all before the end of time', () => {
  const layout = { format: 'pcap', microseconds: false } as const
  assert.deepEqual(recordsBefore(new Uint8Array(0), 0, layout, -5), { bytes: 0, packets: 0, wireBytes: 0, truncated: 0 })
  const record = new Uint8Array(16)
  assert.equal(recordsBefore(record, 16, layout, -5).packets, 0)
  assert.equal(recordsBefore(record, 16, layout, 0).packets, 0)
  assert.equal(recordsBefore(record, 16, layout, 0.000_001).packets, 1)
  assert.equal(recordsBefore(record, 16, { format: 'pcap', microseconds: true }, 1e15).packets, 1)
})
