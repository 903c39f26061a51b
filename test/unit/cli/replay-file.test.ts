import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { openReplayFile } from '#src/cli/replay-file.js'
import type { TransmitPackets } from '#src/index.js'
import { randomOf } from '../../support/random.js'

const folder = mkdtempSync(join(tmpdir(), 'ringtap-replay-'))
after(() => rmSync(folder, { recursive: true, force: true }))

interface Record {
  seconds: number
  fraction: number
  frame: Uint8Array
  wireLength: number
}

function fileOf(records: readonly Record[], { little = true, nanoseconds = false, linkType = 1 } = {}): Buffer {
  const words = (...values: number[]) => {
    const view = new DataView(new ArrayBuffer(values.length * 4))
    for (const [index, value] of values.entries()) view.setUint32(index * 4, value, little)
    return Buffer.from(view.buffer)
  }
  const header = [words(nanoseconds ? 0xa1b23c4d : 0xa1b2c3d4, little ? 0x0004_0002 : 0x0002_0004, 0, 0, 262_144, linkType)]
  return Buffer.concat([
    ...header,
    ...records.flatMap(({ seconds, fraction, frame, wireLength }) => [words(seconds, fraction, frame.length, wireLength), frame]),
  ])
}

function pathOf(bytes: Uint8Array): string {
  const path = join(folder, `${Math.random()}.pcap`)
  writeFileSync(path, bytes)
  return path
}

async function read(packets: TransmitPackets) {
  const found: (Record & { linkType: number })[] = []
  for (let batch = await packets.nextBatch(); batch !== undefined; batch = await packets.nextBatch()) {
    while (batch.next()) {
      const { seconds, nanoseconds, wireLength, linkType, bytes, offset, capturedLength } = batch
      found.push({ seconds, fraction: nanoseconds, frame: bytes.slice(offset, offset + capturedLength), wireLength, linkType })
    }
  }
  await packets.close?.()
  return found
}

for (const little of [true, false]) {
  for (const nanoseconds of [true, false]) {
    test(`${little ? 'little' : 'big'} endian, ${nanoseconds ? 'nanoseconds' : 'microseconds'}, larger than is read at once`, async () => {
      const random = randomOf(3)
      const records = Array.from({ length: 3000 }, (_, i) => {
        const frame = random.bytes(i === 1500 ? 200_000 : random.between(0, 1500))
        return { seconds: 4_000_000_000 + i, fraction: i, frame, wireLength: frame.length + 7 }
      })
      const found = await read(openReplayFile(pathOf(fileOf(records, { little, nanoseconds, linkType: 113 }))))
      assert.deepEqual(
        found,
        records.map((record) => ({ ...record, fraction: record.fraction * (nanoseconds ? 1 : 1000), linkType: 113 })),
      )
    })
  }
}

test('what is no pcap file, and what is not there', () => {
  const descriptors = () => readdirSync('/proc/self/fd').length
  const before = descriptors()
  assert.throws(() => openReplayFile(pathOf(Buffer.from('no capture file, whatever it is called'))), {
    code: 'INVALID_FILE',
    message: /byte 0: not a pcap file/,
  })
  assert.throws(() => openReplayFile(pathOf(Buffer.alloc(0))), { code: 'INVALID_FILE' })
  assert.throws(() => openReplayFile(join(folder, 'nosuch')), { code: 'FILE_FAILED', errnoName: 'ENOENT' })
  assert.throws(() => openReplayFile(folder), { code: 'FILE_FAILED', errnoName: 'EISDIR' })
  assert.equal(descriptors(), before)
})

test('what is damaged: the packets before it, then an error', async () => {
  const records = Array.from({ length: 3 }, (_, i) => ({ seconds: i, fraction: 0, frame: new Uint8Array(60), wireLength: 60 }))
  const whole = fileOf(records)
  const cut = openReplayFile(pathOf(whole.subarray(0, whole.length - 1)))
  const first = await cut.nextBatch()
  assert.ok(first?.next() && first.next() && !first.next())
  await assert.rejects(async () => await cut.nextBatch(), { code: 'INVALID_FILE', message: /byte 176: the file ends in the middle of a packet/ })
  await cut.close?.()
  const wild = Buffer.from(whole)
  wild.writeUInt32LE(0xffff_ffff, 24 + 76 + 8)
  const packets = openReplayFile(pathOf(wild))
  const batch = await packets.nextBatch()
  assert.ok(batch?.next())
  assert.throws(() => batch?.next(), { code: 'INVALID_FILE', message: /byte 100: a packet of 4294967295 bytes/ })
  await packets.close?.()
})
