/**
 * Damaged capture files through the decoders, at length: `npm run fuzz:files -- --inputs 1000000`. Ends with status 1 at the first crash,
 * hang or claim that makes memory. TEST_SEED=N repeats a run.
 */
import { parseArgs } from 'node:util'
import { type FuzzReport, fuzzFiles } from '../support/file-fuzz.js'
import { randomOf } from '../support/random.js'

const { values } = parseArgs({ options: { inputs: { type: 'string', default: '1000000' } } })
const seed = process.env.TEST_SEED === undefined ? Math.floor(Math.random() * 2 ** 32) : Number(process.env.TEST_SEED) >>> 0
const EACH = 100_000
const MEBIBYTE = 2 ** 20

console.log(`TEST_SEED=${seed}`)
const began = performance.now()
let memoryAtFirst = 0
const tell = (report: FuzzReport) => {
  if (report.inputs % EACH !== 0) return
  const memory = process.memoryUsage().rss / MEBIBYTE
  if (report.inputs === EACH) memoryAtFirst = memory
  const seconds = (performance.now() - began) / 1000
  console.log(`${seconds.toFixed(0)} s: ${JSON.stringify(report)}, ${memory.toFixed(0)} MiB`)
  if (memoryAtFirst > 0 && memory > 2 * memoryAtFirst + 100) throw new Error(`memory grew from ${memoryAtFirst.toFixed(0)} to ${memory.toFixed(0)} MiB`)
}
fuzzFiles(randomOf(seed), Number(values.inputs), tell)
