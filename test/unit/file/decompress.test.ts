/** Compressed files with something behind them or in their midst: nothing that can be decompressed is lost. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { after, test } from 'node:test'
import * as zlib from 'node:zlib'
import { gzipHeaderLength } from '#src/file/decode/gzip-header.js'
import { ZstdFrame } from '#src/file/decode/zstd-frame.js'
import { type CaptureError, openCaptureFile } from '#src/index.js'
import { requireTools } from '../../support/capture-tools.js'
import { MICROSECONDS, pcapOf } from '../../support/capture-writer.js'
import { everydayFrame } from '../../support/everyday-frames.js'
import { type Random, randomOf, seededRandom } from '../../support/random.js'

const { gzipSync } = zlib
const folder = mkdtempSync(join(tmpdir(), 'ringtap-decompress-'))
after(() => rmSync(folder, { recursive: true, force: true }))
const NO_ZSTD = 'createZstdDecompress' in zlib ? false : 'this Node.js has no zstd'

function fileOf(random: Random, count: number, frameOf: (random: Random) => Uint8Array = everydayFrame): Buffer {
  const packets = Array.from({ length: count }, (_, i) => {
    const bytes = frameOf(random)
    return { bytes, wireLength: bytes.length, seconds: 1_700_000_000 + i, nanoseconds: 0, interfaceId: 0 }
  })
  return pcapOf({ littleEndian: true, magic: MICROSECONDS }, packets)
}

/** Whole packets of a pcap that may end anywhere. */
function packetsIn(bytes: Buffer): number {
  let count = 0
  for (let at = 24; at + 16 <= bytes.length; count++) {
    at += 16 + bytes.readUInt32LE(at + 8)
    if (at > bytes.length) break
  }
  return count
}

const whole = fileOf(randomOf(7), 100)

interface Found {
  packets: number
  skipped: number
  error: CaptureError | undefined
}

/** Over a path, in this thread and ahead of it, and over a stream in pieces of any size: the same each time. */
async function read(compressed: Uint8Array): Promise<Found> {
  const path = join(folder, 'file')
  writeFileSync(path, compressed)
  const found: Found[] = []
  for (const piece of [0, -1, 61, 1000]) {
    const pieces = piece > 0 ? Array.from({ length: Math.ceil(compressed.length / piece) }, (_, i) => compressed.subarray(i * piece, (i + 1) * piece)) : []
    await using file = await openCaptureFile(piece > 0 ? Readable.from(pieces) : path, { blocking: piece === 0 })
    const each: Found = { packets: 0, skipped: 0, error: undefined }
    try {
      for await (const batch of file.batches()) while (batch.next()) each.packets++
    } catch (error) {
      each.error = error as CaptureError
    }
    found.push({ ...each, skipped: file.skippedBytes })
  }
  const said = found.map(({ packets, skipped, error }) => ({ packets, skipped, code: error?.code, reason: error?.message.replace(/^.*?: /, '') }))
  for (const other of said.slice(1)) assert.deepEqual(other, said[0])
  return found[0] as Found
}

test('gzip: what stands behind the last member takes nothing along; zeros are padding', async () => {
  const garbage = Buffer.from('garbage trailing')
  const zeros = Buffer.alloc(1000)
  for (const member of [[gzipSync(whole)], [gzipSync(whole.subarray(0, 500)), gzipSync(whole.subarray(500))]]) {
    const cases: [Buffer[], number][] = [
      [[], 0],
      [[garbage], 16],
      [[Buffer.from([0x1f])], 1],
      [[zeros], 0],
      [[zeros, garbage, zeros], 1016],
      [[Buffer.alloc(20_000, 'x')], 20_000],
    ]
    for (const [behind, skipped] of cases) {
      const found = await read(Buffer.concat([...member, ...behind]))
      assert.deepEqual([found.packets, found.skipped, found.error], [100, skipped, undefined])
    }
    const begun = await read(Buffer.concat([...member, Buffer.from([0x1f, 0x8b, 8])]))
    assert.deepEqual([begun.packets, begun.error?.code, /gzip: unexpected end of file/.test(begun.error?.message ?? '')], [100, 'INVALID_FILE', true])
    const other = await read(Buffer.concat([...member, Buffer.from([0x1f, 0x8b, 9]), garbage]))
    assert.deepEqual([other.packets, other.error?.code, /gzip: unknown compression method/.test(other.error?.message ?? '')], [100, 'INVALID_FILE', true])
  }
})

test('gzip: wrong sums and lengths are told after all packets', async () => {
  for (const [place, reason] of [
    [8, /incorrect data check/],
    [4, /incorrect length check/],
  ] as const) {
    const wrong = gzipSync(whole)
    wrong[wrong.length - place] = (wrong[wrong.length - place] as number) ^ 1
    const { packets, error } = await read(wrong)
    assert.deepEqual([packets, reason.test(error?.message ?? '')], [100, true], error?.message)
  }
})

test('gzip: a block that is none: every packet before it, be the member short or of many portions', async (t) => {
  const random = seededRandom(t)
  // The last ones are of zeros: more comes of one portion than comes out at once.
  for (const count of [1, 10, 100, 3000, 2999]) {
    const good = fileOf(random, count, count === 2999 ? () => new Uint8Array(1400) : everydayFrame)
    // All of it, to a byte's end; then a last block of the reserved type.
    const blocks = zlib.deflateRawSync(good, { finishFlush: zlib.constants.Z_SYNC_FLUSH, level: random.pick([1, 9]) })
    const torn = Buffer.concat([gzipSync(whole).subarray(0, 10), blocks, Buffer.alloc(random.between(1, 1000), 0x07)])
    const { packets, error } = await read(torn)
    assert.deepEqual([packets, /gzip: invalid block type/.test(error?.message ?? '')], [count, true], error?.message)
  }
})

test('gzip: of a member that is damaged all is read that comes of the bytes before', async (t) => {
  const random = seededRandom(t)
  const good = fileOf(random, 2000)
  for (let round = 0; round < 5; round++) {
    const torn = Buffer.concat([gzipSync(good, { level: random.pick([1, 6, 9]) }), gzipSync(whole.subarray(24))])
    const at = random.between(100, torn.length - 2000)
    // The reserved kind of block soon comes of it, or a distance too far back.
    torn.fill(0xff, at, at + 60)
    // What zlib makes of the longest beginning that it takes.
    let [most, none] = [at, torn.length]
    const made = (length: number) => zlib.gunzipSync(torn.subarray(0, length), { finishFlush: zlib.constants.Z_SYNC_FLUSH })
    while (none - most > 1) {
      const middle = (most + none) >>> 1
      try {
        made(middle)
        most = middle
      } catch {
        none = middle
      }
    }
    const { packets, error } = await read(torn)
    assert.ok(packets >= packetsIn(Buffer.from(good.subarray(0, made(at).length))), `${packets}`)
    if (!/of what was decompressed/.test(error?.message ?? '')) assert.equal(packets, packetsIn(made(most)), error?.message)
    assert.equal(error?.code, 'INVALID_FILE')
  }
})

test('headers of gzip with all that they may have, in whatever pieces', () => {
  const extra = Buffer.from([6, 0, 0x42, 0x43, 2, 0, 0x10, 0x27])
  const fixed = (flags: number) => Buffer.from([0x1f, 0x8b, 8, flags, 0, 0, 0, 0, 0, 3])
  const full = Buffer.concat([fixed(0x1e), extra, Buffer.from('name\0and a comment\0'), Buffer.from([1, 2])])
  for (const header of [fixed(0), fixed(1), full, Buffer.concat([fixed(4), extra]), Buffer.concat([fixed(8), Buffer.from('name\0')])]) {
    for (let length = 0; length < header.length; length++) assert.equal(gzipHeaderLength(header.subarray(0, length)), undefined)
    assert.equal(gzipHeaderLength(header), header.length)
    assert.equal(gzipHeaderLength(Buffer.concat([header, Buffer.alloc(50, 'x')])), header.length)
  }
  assert.equal(gzipHeaderLength(fixed(0x20)), 'unknown header flags set')
  assert.equal(gzipHeaderLength(Buffer.alloc(20)), 'incorrect header check')
  assert.equal(gzipHeaderLength(Buffer.concat([fixed(8), Buffer.alloc(2 ** 20, 'x')])), 'header too long')
})

test('where frames of zstd end', (t) => {
  if (!requireTools(t, 'zstd')) return
  const random = seededRandom(t)
  const inputs = [Buffer.alloc(0), Buffer.from('a'), Buffer.alloc(500_000), random.bytes(300_000), whole]
  const skippable = Buffer.from('532a4d180500000011223344550', 'hex')
  for (const input of inputs) {
    for (const options of [['-1'], ['-19', '--no-check'], ['-3', '--no-content-size'], ['-12', '--check']]) {
      const frame = execFileSync('zstd', ['-q', '-c', ...options], { input })
      for (const each of [frame, skippable]) {
        const bytes = Buffer.concat([each, frame])
        const walk = new ZstdFrame()
        let at = 0
        while (!walk.isOver) {
          const piece = bytes.subarray(at, at + random.between(1, random.oneIn(2) ? 5 : 100_000))
          assert.ok(piece.length > 0)
          at += walk.take(piece)
        }
        assert.equal(at, each.length)
      }
    }
  }
  const damaged = new ZstdFrame()
  assert.deepEqual([damaged.take(Buffer.from('no frame')), damaged.isOver], [8, false])
})

test('zstd: frame after frame, garbage behind the last, and damage', { skip: NO_ZSTD }, async () => {
  const zstd = (input: Buffer) => execFileSync('zstd', ['-q', '-c', '--check'], { input })
  const frames = Buffer.concat([zstd(whole.subarray(0, 2000)), Buffer.from('502a4d180400000011223344', 'hex'), zstd(whole.subarray(2000))])
  for (const [behind, skipped] of [
    [0, 0],
    [16, 16],
    [3, 3],
    [20_000, 20_000],
  ] as const) {
    const found = await read(Buffer.concat([frames, Buffer.alloc(behind, 'x')]))
    assert.deepEqual([found.packets, found.skipped, found.error], [100, skipped, undefined])
  }
  const wrong = Buffer.from(frames)
  wrong[wrong.length - 1] = (wrong[wrong.length - 1] as number) ^ 1
  const found = await read(wrong)
  assert.deepEqual([found.packets, found.error?.code], [100, 'INVALID_FILE'])
  const cut = await read(frames.subarray(0, -2))
  assert.deepEqual([cut.packets, /zstd: unexpected end of file/.test(cut.error?.message ?? '')], [100, true])
})
