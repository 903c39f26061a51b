/**
 * Filters against libpcap, tcpdump and the kernel, at length: `npm run test:differential -- --expressions 20000 --packets 100`.
 * Ends with status 1 on a disagreement. TEST_SEED=N repeats a run; as root, in namespaces of its own.
 */
import { parseArgs } from 'node:util'
import { type DifferentialReport, runDifferential } from '../support/differential.js'
import { openLibpcap } from '../support/libpcap.js'
import { openLibpcapCompiler } from '../support/libpcap-compiler.js'
import { randomOf } from '../support/random.js'

const { values } = parseArgs({ options: { expressions: { type: 'string', default: '20000' }, packets: { type: 'string', default: '110' } } })
const seed = process.env.TEST_SEED === undefined ? Math.floor(Math.random() * 2 ** 32) : Number(process.env.TEST_SEED) >>> 0
const libpcap = openLibpcap()
const compiler = openLibpcapCompiler()
if (libpcap === undefined || compiler === undefined) throw new Error('no libpcap')

console.log(`TEST_SEED=${seed}`)
const began = performance.now()
let told = 0
const tell = (report: DifferentialReport) => {
  for (const disagreement of report.disagreements.slice(told)) console.log(disagreement)
  told = report.disagreements.length
  const seconds = (performance.now() - began) / 1000
  console.log(`${seconds.toFixed(0)} s: ${report.expressions} expressions, ${report.pairs} pairs, ${report.disagreements.length} disagreements`)
}
const report = await runDifferential({
  random: randomOf(seed),
  expressions: Number(values.expressions),
  packetsEach: Number(values.packets),
  libpcap,
  compiler,
  progress: tell,
})
tell(report)
const { disagreements, ...figures } = report
console.log(JSON.stringify(figures, undefined, 2))
process.exitCode = disagreements.length === 0 ? 0 : 1
