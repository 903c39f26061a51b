/** `ringtap bench`: the whole ladder on a testbed of its own, slowest rung first. Leaves nothing behind. */
import { accessSync, constants, lstatSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { createTestbed } from '../../testbed/index.js'
import { EXIT } from '../exit-status.js'
import { formatDecimal } from '../human.js'
import type { Io } from '../io.js'
import type { ValuesOf } from '../table.js'
import { UsageError } from '../usage-error.js'
import { readAllowedCpus } from './cores.js'
import { readMachine, readVersion } from './machine.js'
import { ourProgram } from './ours.js'
import { readProfile, recordProfile, requirePerf } from './profile.js'
import { formatReport } from './report.js'
import type { BenchResult, ProfileRow, RunResult } from './result.js'
import { type RunPlan, runOnce } from './run.js'
import { RUNG_NAMES, RUNGS, type Rung, rungWorkers } from './rungs.js'
import { rungResult } from './summary.js'
import { formatTable, unaccountedRungs } from './table.js'
import { compileTwins, type Twins } from './twin.js'

export type BenchValues = ValuesOf<'bench'>

export async function runBench(values: BenchValues, io: Io): Promise<number> {
  const rungs = chooseRungs(values.rungs)
  if (values.report !== undefined) requireWritable(values.report)
  const cpus = readAllowedCpus()
  const alternations = values.reference ? values.alternations : 1
  const result: BenchResult = {
    type: 'bench',
    version: readVersion(),
    startedAt: new Date().toISOString(),
    machine: readMachine(cpus.length),
    seconds: values.seconds / 1000,
    warmupSeconds: values.warmup / 1000,
    alternations,
    frameBytes: values.frameSize,
    flood: { kind: values.kind, cpus },
    rungs: [],
    complete: false,
  }

  let failure: unknown
  try {
    if (values.profile) await requirePerf(io.signal)
    await climb(rungs, values, result, io)
    result.complete = true
  } catch (error) {
    failure = error
  }
  if (failure !== undefined && result.rungs.length === 0 && !io.signal.aborted) throw failure

  if (values.json) io.out(JSON.stringify(result))
  else for (const line of formatTable(result, { columns: io.columns, color: io.isTerminal && process.env.NO_COLOR === undefined })) io.out(line)
  if (values.report !== undefined) {
    writeFileSync(values.report, formatReport(result))
    io.err(`report: ${values.report}`)
  }
  if (io.signal.aborted) {
    io.err('ringtap: interrupted')
    return EXIT.failed
  }
  if (failure !== undefined) throw failure
  return unaccountedRungs(result).length === 0 ? EXIT.done : EXIT.failed
}

async function climb(rungs: readonly Rung[], values: BenchValues, result: BenchResult, io: Io): Promise<void> {
  const { signal } = io
  signal.throwIfAborted()
  const folder = temporaryFolder()
  try {
    const twins = values.reference ? await compileTwins(rungs, folder, signal) : undefined
    const { cpus } = result.flood
    const testbed = createTestbed({ queues: cpus.length })
    try {
      const plan: RunPlan = {
        testbed,
        seconds: result.seconds,
        warmupSeconds: result.warmupSeconds,
        flood: { kind: values.kind, frameBytes: values.frameSize, cpus },
        signal,
      }
      for (const rung of rungs) {
        const workers = rungWorkers(rung, { cores: values.workers === 'auto' ? cpus.length : values.workers, queues: testbed.queues })
        const profileFile = values.profile ? join(folder, 'perf.data') : undefined
        result.rungs.push(await climbRung(rung, workers, plan, { twins, alternations: result.alternations, profileFile, say: (line) => io.err(line) }))
      }
    } finally {
      testbed.close()
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

interface RungSteps {
  twins: Twins | undefined
  alternations: number
  profileFile: string | undefined
  say(line: string): void
}

async function climbRung(rung: Rung, workers: number, plan: RunPlan, steps: RungSteps) {
  const { interface: name, netns } = plan.testbed.receiver
  const ours = ourProgram(rung, workers, name, netns)
  const twin = steps.twins?.program(rung, workers, name, netns)
  const ourRuns: RunResult[] = []
  const twinRuns: RunResult[] = []
  const say = (who: string, run: RunResult, turn: number) => {
    const turns = steps.alternations === 1 ? '' : ` ${turn + 1}/${steps.alternations}`
    steps.say(`${rung.name.padEnd(12)} ${who}${turns}: ${formatDecimal(run.received / run.seconds, 'pps')}`)
  }
  for (let turn = 0; turn < steps.alternations; turn++) {
    const run = await runOnce(ours, plan)
    ourRuns.push(run)
    say('ringtap', run, turn)
    if (twin === undefined) continue
    const twinRun = await runOnce(twin, plan)
    twinRuns.push(twinRun)
    say('C      ', twinRun, turn)
  }

  let profile: { rows: ProfileRow[]; run: RunResult } | undefined
  if (steps.profileFile !== undefined) {
    const file = steps.profileFile
    steps.say(`${rung.name.padEnd(12)} profile`)
    const run = await runOnce(ours, { ...plan, beside: (seconds) => recordProfile(file, seconds, plan.signal) })
    profile = { rows: await readProfile(file, plan.signal), run }
    rmSync(file, { force: true })
  }
  return rungResult({ rung, workers, ourRuns, twin: twin === undefined ? undefined : { name: twin.name, runs: twinRuns }, profile })
}

/** In the ladder's order, whatever the order of asking. */
export function chooseRungs(names: readonly string[]): Rung[] {
  const unknown = names.find((name) => !RUNG_NAMES.includes(name))
  if (unknown !== undefined) throw new UsageError(`--rungs: there is no rung '${unknown}'`, `the rungs are ${RUNG_NAMES.join(', ')}`)
  return RUNGS.filter((rung) => names.includes(rung.name))
}

/** A bench takes minutes: what cannot be written is said before it, not after. */
function requireWritable(path: string): void {
  const folder = dirname(resolve(path))
  try {
    accessSync(folder, constants.W_OK)
  } catch {
    throw new UsageError(`--report: cannot write into ${folder}`)
  }
}

const FOLDER_PREFIX = 'ringtap-bench-'

/** Named after this process, so that the next bench can tell what a killed one has left. */
function temporaryFolder(): string {
  for (const name of readdirSync(tmpdir())) {
    const pid = name.startsWith(FOLDER_PREFIX) ? Number(name.slice(FOLDER_PREFIX.length).split('-')[0]) : Number.NaN
    if (Number.isInteger(pid) && !isRunning(pid)) removeOwn(join(tmpdir(), name))
  }
  return mkdtempSync(join(tmpdir(), `${FOLDER_PREFIX}${process.pid}-`))
}

function isRunning(pid: number): boolean {
  return statSync(`/proc/${pid}`, { throwIfNoEntry: false }) !== undefined
}

function removeOwn(folder: string): void {
  if (lstatSync(folder, { throwIfNoEntry: false })?.uid === process.getuid?.()) rmSync(folder, { recursive: true, force: true })
}
