import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fuzzFiles } from '../../support/file-fuzz.js'
import { seededRandom } from '../../support/random.js'

test('20,000 damaged files: no crash, no hang, no memory by a claim; npm run fuzz:files runs more', (t) => {
  const report = fuzzFiles(seededRandom(t), 20_000)
  t.diagnostic(JSON.stringify(report))
  // The mutations reach what they should.
  assert.ok(report.packets > 20_000 && report.damaged > 5000 && report.refused > 100 && report.skippedBytes > 100_000)
})
