import assert from 'node:assert/strict'
import { Writable } from 'node:stream'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { CaptureError, convertCaptureFiles, openCaptureFile, type PacketView, replay } from '#src/index.js'
import { fuzzFiles, mutate, seeds } from '../../support/file-fuzz.js'
import { seededRandom } from '../../support/random.js'

const nowhere = () => new Writable({ write: (_chunk, _encoding, done) => done() })

test('20,000 damaged files: no crash, no hang, no memory by a claim; npm run fuzz:files runs more', (t) => {
  const report = fuzzFiles(seededRandom(t), 20_000)
  t.diagnostic(JSON.stringify(report))
  // The mutations reach what they should.
  assert.ok(report.packets > 20_000 && report.damaged > 5000 && report.refused > 100 && report.skippedBytes > 100_000)
})

test('damaged files, plain and compressed, opened, filtered, replayed and converted: every error is INVALID_FILE', async (t) => {
  const random = seededRandom(t)
  let failed = 0
  let found = 0
  const count = (packet: PacketView) => {
    if (packet.copy().length > 0) found++
  }
  for (let input = 0; input < 1500; input++) {
    const pool = seeds(random)
    const { bytes } = mutate(random, random.pick(pool).bytes, random.pick(pool).bytes)
    const compressed = random.oneIn(2) ? mutate(random, gzipSync(bytes), bytes).bytes : bytes
    const options = { tolerant: random.oneIn(2), ...(random.oneIn(2) ? { filter: 'len > 30' } : {}) }
    const stream = async function* () {
      const length = random.pick([1000, 100, 7])
      for (let at = 0; at < compressed.length; at += length) yield compressed.subarray(at, at + length)
    }
    try {
      const way = random.pick(['read', 'replay', 'convert'])
      if (way === 'convert') found += (await convertCaptureFiles([stream()], nowhere(), options)).packets
      else if (way === 'read') {
        await using file = await openCaptureFile(stream(), options)
        for await (const packet of file) found += packet.bytes.length > 0 ? 1 : 0
      } else await replay(stream(), { packet: count }, options)
    } catch (error) {
      const what = `${input}: ${Buffer.from(compressed).toString('base64')}`
      assert.ok(error instanceof CaptureError, `${(error as Error).stack}\n${what}`)
      const code = error.code
      // A mutation of the link type is one that handlers or filters do not take.
      assert.ok(code === 'INVALID_FILE' || code === 'UNSUPPORTED_LINK_TYPE' || (code === 'INVALID_FILTER' && 'filter' in options), `${error.stack}\n${what}`)
      assert.ok(error.message.length < 300)
      failed++
    }
  }
  t.diagnostic(`${failed} failed, ${found} packets`)
  assert.ok(failed > 500 && found > 500)
})
