import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { openReplayFile } from '#src/cli/replay-file.js'
import { createCaptureFile, type TransmitPackets } from '#src/index.js'
import { randomOf } from '../../support/random.js'

const folder = mkdtempSync(join(tmpdir(), 'ringtap-replay-'))
after(() => rmSync(folder, { recursive: true, force: true }))
const { signal } = new AbortController()

interface Sent {
  seconds: number
  nanoseconds: number
  bytes: Uint8Array
  wireLength: number
}

async function fileOf(name: string, packets: readonly Sent[]): Promise<string> {
  const path = join(folder, name)
  await using file = await createCaptureFile(path, {})
  for (const packet of packets) if (!file.write(packet)) await file.flush()
  return path
}

async function read(packets: TransmitPackets, found: (Sent & { linkType: number })[] = []) {
  try {
    for (let batch = await packets.nextBatch(); batch !== undefined; batch = await packets.nextBatch()) {
      while (batch.next()) {
        const { seconds, nanoseconds, wireLength, linkType, bytes, offset, capturedLength } = batch
        found.push({ seconds, nanoseconds, bytes: new Uint8Array(bytes.subarray(offset, offset + capturedLength)), wireLength, linkType })
      }
    }
  } finally {
    await packets.close?.()
  }
  return found
}

const random = randomOf(3)
const PACKETS = Array.from({ length: 3000 }, (_, i): Sent => {
  const bytes = random.bytes(random.between(14, 1500))
  // Every third is IPv4.
  if (i % 3 === 0) bytes.set([8, 0], 12)
  else bytes.set([0x88, 0xb5], 12)
  return { seconds: 1_700_000_000 + i, nanoseconds: i, bytes, wireLength: bytes.length + 7 }
})

for (const name of ['plain.pcap', 'plain.pcapng', 'packed.pcapng.gz']) {
  test(`${name}: every packet, and those that a filter takes`, async () => {
    const path = await fileOf(name, PACKETS)
    const expected = PACKETS.map((packet) => ({ ...packet, linkType: 1 }))
    assert.deepEqual(await read(await openReplayFile(path, { signal })), expected)
    assert.deepEqual(
      await read(await openReplayFile(path, { filter: 'ip', signal })),
      expected.filter((_, i) => i % 3 === 0),
    )
  })
}

test('what is no capture file, what is not there, and what is no filter', async () => {
  const descriptors = () => readdirSync('/proc/self/fd').length
  const path = await fileOf('one.pcap', PACKETS.slice(0, 1))
  const text = join(folder, 'text')
  writeFileSync(text, 'no capture file, whatever it is called')
  const before = descriptors()
  await assert.rejects(openReplayFile(text, { signal }), { code: 'INVALID_FILE' })
  await assert.rejects(openReplayFile(join(folder, 'nosuch'), { signal }), { code: 'FILE_FAILED', errnoName: 'ENOENT' })
  await assert.rejects(openReplayFile(folder, { signal }), { code: 'FILE_FAILED' })
  await assert.rejects(openReplayFile(path, { filter: 'port htpp', signal }), { code: 'INVALID_FILTER' })
  assert.equal(descriptors(), before)
})

test('a file that ends in the middle of a packet: those before it first', async () => {
  const path = await fileOf('whole.pcap', PACKETS.slice(0, 10))
  writeFileSync(path, readFileSync(path).subarray(0, -1))
  const found: (Sent & { linkType: number })[] = []
  await assert.rejects(read(await openReplayFile(path, { signal }), found), { code: 'INVALID_FILE' })
  assert.equal(found.length, 9)
})

test('damage in the midst: an error, or with tolerant what is behind it, and how much was passed over', async () => {
  const path = await fileOf('torn.pcap', PACKETS.slice(0, 100))
  const bytes = readFileSync(path)
  let at = 24
  for (let i = 0; i < 50; i++) at += 16 + bytes.readUInt32LE(at + 8)
  const length = bytes.readUInt32LE(at + 8)
  bytes.writeUInt32LE(0x7fff_ffff, at + 8)
  writeFileSync(path, bytes)
  const before: (Sent & { linkType: number })[] = []
  await assert.rejects(read(await openReplayFile(path, { signal }), before), { code: 'INVALID_FILE', hint: /tolerant/ })
  assert.equal(before.length, 50)
  const told: [string, number][] = []
  const all = await read(await openReplayFile(path, { tolerant: true, signal, onSkipped: (...skipped) => told.push(skipped) }))
  assert.deepEqual(
    all.map(({ seconds }) => seconds),
    PACKETS.slice(0, 100)
      .map(({ seconds }) => seconds)
      .filter((_, i) => i !== 50),
  )
  assert.deepEqual(told, [[path, 16 + length]])
})
