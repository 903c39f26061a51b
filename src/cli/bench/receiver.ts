/**
 * A receiving program as a child process, ours or a C twin: started until packets flow, stopped for its totals, gone in any
 * case. Both are driven the same way; what differs is the dialect of their JSON, which each `Dialect` translates.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { type ProcessTime, readProcessTime } from './cores.js'
import type { DriverOverlap } from './rungs.js'

export interface ReceiverTotals {
  received: number
  drops: Record<string, number>
}

/** One interval of a receiver that talks while it runs. */
export interface ReceiverInterval {
  received: number
  dropped: number
}

export interface ReceiverReport {
  ready?: true
  interval?: ReceiverInterval
  totals?: ReceiverTotals
}

export interface ReceiverProgram {
  /** For messages. */
  name: string
  command: string
  arguments: string[]
  stopSignal: 'SIGINT' | 'SIGTERM'
  inDriver: DriverOverlap
  /** What a line of its standard output says. */
  parse(line: string): ReceiverReport
}

export interface Receiver {
  time(): ProcessTime
  /** Waits till the process has had nothing to do for a while: it has read all that reached it. */
  idle(): Promise<void>
  stop(): Promise<ReceiverTotals>
  kill(): Promise<void>
}

/** The receiver could not start or ended early. `exitStatus` is its own. */
export class ReceiverError extends Error {
  override readonly name = 'ReceiverError'
  readonly exitStatus: number | null

  constructor(message: string, exitStatus: number | null) {
    super(message)
    this.exitStatus = exitStatus
  }
}

const START_LIMIT_MS = 10_000
const STOP_LIMIT_MS = 15_000
const IDLE_LIMIT_MS = 5_000
/** Longer than the blocks' timeouts, 60 ms in the twin: a block that waits for it is not idleness. */
const IDLE_STEP_MS = 100

export async function startReceiver(program: ReceiverProgram, onInterval: (interval: ReceiverInterval) => void, signal: AbortSignal): Promise<Receiver> {
  signal.throwIfAborted()
  const child = spawn(program.command, program.arguments, { stdio: ['ignore', 'pipe', 'pipe'] })
  const { stdout, stderr } = child
  if (stdout === null || stderr === null) throw new Error('no pipes')

  let complaint = ''
  stderr.setEncoding('utf8').on('data', (text: string) => {
    complaint = (complaint + text).slice(-2000)
  })
  let ready: () => void
  const isReady = new Promise<void>((resolve) => {
    ready = resolve
  })
  let totals: ReceiverTotals | undefined
  const lines = createInterface({ input: stdout })
  lines.on('line', (line) => {
    const report = program.parse(line)
    if (report.ready) ready()
    if (report.interval !== undefined) onInterval(report.interval)
    if (report.totals !== undefined) totals = report.totals
  })
  const ended = Promise.all([exit(child), once(lines, 'close')]).then(([status]) => status)
  // Handled where it matters; between two waits nobody listens.
  ended.catch(() => {})

  const failed = (otherwise: string, status: number | null) => {
    const said = complaint.trim().replace(/^ringtap: /, '')
    return new ReceiverError(`${program.name}: ${said === '' ? otherwise : said}`, status)
  }
  const endedEarly = async (): Promise<never> => {
    const status = await ended
    throw failed(`ended with status ${status}`, status)
  }
  const kill = async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL')
    await ended.catch(() => {})
  }

  try {
    await withLimit(Promise.race([isReady, endedEarly()]), START_LIMIT_MS, `${program.name}: no packets could flow within ${START_LIMIT_MS / 1000} s`, signal)
  } catch (error) {
    await kill()
    throw error
  }
  const { pid } = child
  if (pid === undefined) throw new Error(`${program.name}: no process`)
  const alive = () => {
    if (child.exitCode !== null || child.signalCode !== null) return endedEarly()
    return undefined
  }

  return {
    time: () => readProcessTime(pid),
    async idle() {
      const limit = Date.now() + IDLE_LIMIT_MS
      let before = readProcessTime(pid)
      while (Date.now() < limit) {
        await sleep(IDLE_STEP_MS, undefined, { signal })
        await alive()
        const now = readProcessTime(pid)
        // One tick of the kernel's clock is not work.
        if (now.userMs + now.systemMs - before.userMs - before.systemMs <= 10) return
        before = now
      }
    },
    async stop() {
      await alive()
      child.kill(program.stopSignal)
      const status = await withLimit(ended, STOP_LIMIT_MS, `${program.name}: did not stop within ${STOP_LIMIT_MS / 1000} s of ${program.stopSignal}`, signal)
      if (status !== 0 || totals === undefined) {
        throw failed(`ended with status ${status} and no totals`, status)
      }
      return totals
    },
    kill,
  }
}

async function exit(child: ChildProcess): Promise<number | null> {
  const [status] = (await once(child, 'exit')) as [number | null]
  return status
}

async function withLimit<T>(promise: Promise<T>, ms: number, message: string, signal: AbortSignal): Promise<T> {
  const timer = new AbortController()
  const late = sleep(ms, undefined, { signal: AbortSignal.any([signal, timer.signal]) }).then(() => {
    throw new Error(message)
  })
  try {
    return await Promise.race([promise, late])
  } catch (error) {
    signal.throwIfAborted()
    throw error
  } finally {
    timer.abort()
    late.catch(() => {})
  }
}

/** JSON of one line, or undefined for anything else that a program may print. */
export function parseJsonLine(line: string): Record<string, unknown> | undefined {
  if (!line.startsWith('{')) return undefined
  try {
    return JSON.parse(line) as Record<string, unknown>
  } catch {
    return undefined
  }
}
