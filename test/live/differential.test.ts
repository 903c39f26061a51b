/** The short form of test/differential/filter.ts. */
import assert from 'node:assert/strict'
import { runDifferential } from '../support/differential.js'
import { openLibpcap } from '../support/libpcap.js'
import { openLibpcapCompiler } from '../support/libpcap-compiler.js'
import { live } from '../support/live.js'
import { seededRandom } from '../support/random.js'

live('random filters, and all who can say what they take', async (t) => {
  const [libpcap, compiler] = [openLibpcap(), openLibpcapCompiler()]
  if (libpcap === undefined || compiler === undefined) return t.skip('no libpcap')
  const report = await runDifferential({ random: seededRandom(t), expressions: 600, packetsEach: 60, libpcap, compiler })
  const { disagreements, ...figures } = report
  t.diagnostic(JSON.stringify(figures))
  assert.deepEqual(disagreements, [])
  assert.ok(report.accepted > report.pairs / 10 && report.accepted < (report.pairs * 9) / 10, `${report.accepted} of ${report.pairs} accepted`)
  for (const [judge, verdicts] of Object.entries(report.verdicts)) assert.ok(verdicts > 500, `${judge}: ${verdicts}`)
})
