/** `ringtap capture`. */
import { readFileSync } from 'node:fs'
import { inspect } from 'node:util'
import { type Capture, type CaptureEvent, type CaptureSummary, openCapture } from '../index.js'
import {
  countersDocument,
  eventDocument,
  eventLines,
  intervalDocument,
  intervalLines,
  listeningLine,
  snapshotDocument,
  startDocument,
  summaryDetailLines,
  summaryDocument,
  summaryLines,
  waitingLines,
  writtenLines,
} from './capture-lines.js'
import { captureOptions, fanoutProgram } from './capture-options.js'
import { cpuLoadLines } from './cpu-lines.js'
import { EXIT } from './exit-status.js'
import { filterText } from './filter-text.js'
import type { Io } from './io.js'
import { ledgerLines } from './ledger-lines.js'
import { LiveBars } from './live-bars.js'
import { LoadMeter } from './load-meter.js'
import { onSignal } from './signals.js'
import type { ValuesOf } from './table.js'
import { UsageError } from './usage-error.js'

export async function runCapture(values: ValuesOf<'capture'>, words: readonly string[], io: Io): Promise<number> {
  const { json } = values
  if (json && values.cpuBars) throw new UsageError('--cpu-bars draws, and --json has no pictures', 'the lines of --json have the same as cpus')
  const program = values.fanoutProgram === undefined ? undefined : readProgram(values.fanoutProgram)
  const options = captureOptions(values, program, filterText(values.filterFile, words))
  if (options.write !== undefined && isStdout(options.write.path)) {
    if (io.isTerminal) throw new UsageError('-w -: stdout is a terminal, and packets are no text', 'give a file, or pipe it to a program')
    io.reserveStdout()
  }
  let waiting: string[] = []
  /** The next signal that asks for the end is for the waiting, whatever came before. */
  const awaitSignal = (): void => {
    let isLeft = false
    const leave = () => {
      if (isLeft) process.exit(130)
      isLeft = true
      running?.leaveCommands()
    }
    for (const name of ['SIGINT', 'SIGTERM'] as const) onSignal(name, leave)
    if (!io.signal.aborted) io.signal.addEventListener('abort', leave, { once: true })
  }
  const bars = values.cpuBars ? new LiveBars(io) : undefined
  let isIncomplete = false
  const onEvent = (event: CaptureEvent): void => {
    if (event.type === 'write-error' || (event.type === 'file-warning' && event.error !== undefined)) isIncomplete = true
    if (event.type === 'commands-left') awaitSignal()
    if (json) io.out(eventDocument(event))
    // Told behind the summary.
    else if (event.type === 'commands-left') waiting = eventLines(event)
    else {
      bars?.erase()
      for (const line of eventLines(event)) io.err(line)
    }
  }

  // Before the capture is open there is nothing to write or to tell.
  let running: Capture | undefined
  onSignal('SIGUSR1', () => {
    if (running === undefined) return
    if (running.plan.write?.past !== undefined) return void running.trigger('SIGUSR1')
    bars?.erase()
    if (json) io.out(countersDocument(running.counters()))
    else for (const line of summaryLines(running.counters())) io.err(line)
  })
  onSignal('SIGUSR2', () => {
    if (running === undefined) return
    bars?.erase()
    for (const line of waitingLines(running.plan)) io.err(line)
  })
  await using capture = await openCapture({ ...options, signal: io.signal, onEvent })
  running = capture
  if (json) io.out(startDocument(capture.plan))
  else io.err(listeningLine(capture.plan))

  let isToldInPart = false
  /** The files are complete, and commands are waited for. */
  const tellEarly = (): void => {
    const summary = capture.summary()
    if (json || waiting.length === 0 || isToldInPart || summary === undefined) return
    for (const line of [...summaryLines(summary), ...waiting]) io.err(line)
    isToldInPart = true
  }
  const meter = new LoadMeter()
  try {
    for await (const stats of capture.stats({ intervalMs: values.interval })) {
      const cpus = meter.take()
      if (json && !values.quiet) io.out(intervalDocument(stats, cpus))
      if (json) continue
      const loads = values.verbose && bars === undefined ? cpuLoadLines(cpus).map((line) => `          ${line}`) : []
      const lines = values.quiet ? [] : [...intervalLines(stats, values.verbose), ...loads]
      if (bars !== undefined) bars.draw(lines, cpus)
      else for (const line of lines) io.out(line)
    }
    bars?.erase()
    tellEarly()
    const summary = await capture.finished
    running = undefined
    const snapshot = await capture.snapshot()
    if (snapshot !== undefined)
      io.out(json ? snapshotDocument(snapshot) : inspect(snapshot, { depth: 6, maxArrayLength: 1000, colors: io.isTerminal, breakLength: io.columns }))
    showEnd(capture, summary, values, io, isToldInPart)
    // Who asked for a file did not get all of it; what comes when the last file is over, or nobody reads any more, nobody asked for.
    const isLost = summary.drops.writer > 0 && summary.reason !== 'files' && summary.reason !== 'reader'
    return isIncomplete || isLost ? EXIT.failed : EXIT.done
  } catch (error) {
    bars?.erase()
    // Where the capture itself is not what failed, it runs.
    const stopped = capture.stop().catch(() => {})
    tellEarly()
    await stopped
    const summary = capture.summary()
    // What was captured until then is no less true.
    if (summary !== undefined) showEnd(capture, summary, values, io, isToldInPart)
    throw error
  }
}

/** The summary, but for the lines that are there when `isToldInPart`, and the ledger where it was asked for. */
function showEnd(capture: Capture, summary: CaptureSummary, { json, verbose, ledger: withLedger }: ValuesOf<'capture'>, io: Io, isToldInPart = false): void {
  const ledger = capture.ledger()
  if (json) {
    io.out(summaryDocument(summary, ledger, withLedger))
    return
  }
  for (const line of [...(isToldInPart ? [] : summaryLines(summary)), ...writtenLines(summary)]) io.err(line)
  if (verbose) for (const line of [...summaryDetailLines(summary), ...cpuLoadLines(ledger.cpus)]) io.err(line)
  if (withLedger) for (const line of ledgerLines(ledger, verbose)) io.out(line)
}

function isStdout(path: string): boolean {
  return ['-', '/dev/stdout', '/dev/fd/1', '/proc/self/fd/1'].includes(path)
}

function readProgram(file: string): ReturnType<typeof fanoutProgram> {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    throw new UsageError(`--fanout-program: ${error instanceof Error ? error.message : String(error)}`)
  }
  return fanoutProgram(text)
}
