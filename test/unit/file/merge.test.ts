import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CaptureError, type CaptureFile, mergeCaptureFiles, openCaptureFile } from '#src/index.js'
import {
  enhancedPacket,
  interfaceBlock,
  MICROSECONDS,
  NANOSECONDS,
  pcapOf,
  randomPackets,
  sectionHeader,
  type WrittenPacket,
} from '../../support/capture-writer.js'
import { inPieces } from '../../support/decode-file.js'
import { type Random, seededRandom } from '../../support/random.js'

type Found = [fileIndex: number, time: number, bytes: string]

async function* pieces(random: Random, bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield* inPieces(bytes, () => random.between(1, 3000))
}

function timeOf({ seconds, nanoseconds }: { seconds: number; nanoseconds: number }): number {
  return seconds * 1e9 + nanoseconds
}

function found(file: number, packet: WrittenPacket): Found {
  return [file, timeOf(packet), Buffer.from(packet.bytes).toString('hex')]
}

/** `leaveEarly`: batches are left in their midst. */
async function walk(
  files: readonly CaptureFile[],
  options: Parameters<typeof mergeCaptureFiles>[1] = {},
  leaveEarly: () => boolean = () => false,
): Promise<Found[]> {
  const all: Found[] = []
  for await (const batch of mergeCaptureFiles(files, options)) {
    while (batch.next()) {
      assert.equal(batch.file, files[batch.fileIndex])
      all.push([batch.fileIndex, timeOf(batch.packet), Buffer.from(batch.packet.copy()).toString('hex')])
      if (leaveEarly()) break
    }
  }
  return all
}

for (const count of [1, 2, 5]) {
  test(`${count} files in order of time, the first of equals first, in pieces of any size, left whenever`, async (t) => {
    const random = seededRandom(t)
    // Whole seconds, so that there are many equal times.
    const packets = Array.from({ length: count }, () =>
      randomPackets(random, random.between(0, 300)).map((packet, i) => ({ ...packet, seconds: 1000 + Math.floor(i / 3), nanoseconds: 0 })),
    )
    const files = await Promise.all(
      packets.map((some) => openCaptureFile(pieces(random, pcapOf({ littleEndian: random.oneIn(2), magic: random.pick([MICROSECONDS, NANOSECONDS]) }, some)))),
    )
    const given = packets.flatMap((some, index) => some.map((packet) => found(index, packet)))
    const expected = given.map((each, place) => ({ each, place })).sort((a, b) => a.each[1] - b.each[1] || a.place - b.place)
    assert.deepEqual(
      await walk(files, {}, () => random.oneIn(20)),
      expected.map(({ each }) => each),
    )
    const again = await Promise.all(packets.map((some) => openCaptureFile(pieces(random, pcapOf({ littleEndian: true, magic: NANOSECONDS }, some)))))
    assert.deepEqual(await walk(again, { order: 'files' }, () => random.oneIn(20)), given)
  })
}

test('of a file that is damaged the packets before the damage are merged, and the others go on where that is told', async (t) => {
  const random = seededRandom(t)
  const [whole, cut] = [randomPackets(random, 50), randomPackets(random, 50)]
  const open = async () => [
    await openCaptureFile(pieces(random, pcapOf({ littleEndian: true, magic: NANOSECONDS }, cut).subarray(0, -1))),
    await openCaptureFile(pieces(random, pcapOf({ littleEndian: true, magic: NANOSECONDS }, whole))),
  ]
  const damages: [CaptureError, CaptureFile][] = []
  const files = await open()
  const merged = await walk(files, { onDamage: (error, file) => damages.push([error, file]) })
  assert.deepEqual(
    merged.filter(([file]) => file === 0),
    cut.slice(0, -1).map((packet) => found(0, packet)),
  )
  assert.deepEqual(
    merged.filter(([file]) => file === 1),
    whole.map((packet) => found(1, packet)),
  )
  assert.deepEqual(
    damages.map(([error, file]) => [error.code, file]),
    [['INVALID_FILE', files[0]]],
  )
  const isDamage = (error: unknown) => error instanceof CaptureError && error.code === 'INVALID_FILE'
  await assert.rejects(walk(await open()), isDamage)
})

test('packets without a time come at once; no files, wrong order', async () => {
  const simple = Buffer.concat([sectionHeader(true), interfaceBlock(true, 1, 0), enhancedPacket(true, 0, 5_000_000n, Uint8Array.of(5))])
  const packet = { bytes: Uint8Array.of(1), wireLength: 1, seconds: 1, nanoseconds: 0, interfaceId: 0 }
  const spb = Buffer.alloc(20)
  for (const [index, value] of [3, 20, 1, 9, 20].entries()) spb.writeUInt32LE(value, 4 * index)
  const open = (bytes: Uint8Array) =>
    openCaptureFile(
      (async function* () {
        yield bytes
      })(),
    )
  const files = [await open(pcapOf({ littleEndian: true, magic: NANOSECONDS }, [packet])), await open(Buffer.concat([simple, spb]))]
  assert.deepEqual(
    (await walk(files)).map(([, , bytes]) => bytes),
    ['01', '05', '09'],
  )
  const first = [await open(pcapOf({ littleEndian: true, magic: NANOSECONDS }, [packet])), await open(Buffer.concat([simple.subarray(0, 28 + 20), spb]))]
  assert.deepEqual(
    (await walk(first)).map(([, , bytes]) => bytes),
    ['09', '01'],
  )
  assert.deepEqual(await walk([]), [])
  await assert.rejects(walk([], { order: 'size' as 'time' }), /Expected the option order to be time or files, got size/)
})
