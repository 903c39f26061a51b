/** `ringtap capture`. */
import { readFileSync } from 'node:fs'
import { inspect } from 'node:util'
import { type Capture, type CaptureEvent, openCapture } from '../index.js'
import {
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
  writtenLines,
} from './capture-lines.js'
import { captureOptions, fanoutProgram } from './capture-options.js'
import { EXIT } from './exit-status.js'
import { filterText } from './filter-text.js'
import type { Io } from './io.js'
import type { ValuesOf } from './table.js'
import { UsageError } from './usage-error.js'

export async function runCapture(values: ValuesOf<'capture'>, words: readonly string[], io: Io): Promise<number> {
  const { json } = values
  const program = values.fanoutProgram === undefined ? undefined : readProgram(values.fanoutProgram)
  const options = captureOptions(values, program, filterText(values.filterFile, words))
  if (options.write !== undefined && isStdout(options.write.path)) {
    if (io.isTerminal) throw new UsageError('-w -: stdout is a terminal, and packets are no text', 'give a file, or pipe it to a program')
    io.reserveStdout()
  }
  let isIncomplete = false
  const onEvent = (event: CaptureEvent): void => {
    if (event.type === 'write-error' || (event.type === 'file-warning' && event.error !== undefined)) isIncomplete = true
    if (json) io.out(eventDocument(event))
    else for (const line of eventLines(event)) io.err(line)
  }

  // Node.js would start its debugger. Before the capture is open there is nothing to write.
  let remembering: Capture | undefined
  if (options.write?.beforeMs !== undefined) process.on('SIGUSR1', () => void remembering?.trigger('SIGUSR1'))
  await using capture = await openCapture({ ...options, signal: io.signal, onEvent })
  remembering = capture
  if (json) io.out(startDocument(capture.plan))
  else io.err(listeningLine(capture.plan))

  try {
    for await (const stats of capture.stats({ intervalMs: values.interval })) {
      if (values.quiet) continue
      if (json) io.out(intervalDocument(stats))
      else for (const line of intervalLines(stats, values.verbose)) io.out(line)
    }
    const summary = await capture.finished
    const snapshot = await capture.snapshot()
    if (snapshot !== undefined)
      io.out(json ? snapshotDocument(snapshot) : inspect(snapshot, { depth: 6, maxArrayLength: 1000, colors: io.isTerminal, breakLength: io.columns }))
    if (json) {
      io.out(summaryDocument(summary))
    } else {
      for (const line of [...summaryLines(summary), ...writtenLines(summary)]) io.err(line)
      if (values.verbose) for (const line of summaryDetailLines(summary)) io.err(line)
    }
    // Who asked for a file did not get all of it; what comes when the last file is over, or nobody reads any more, nobody asked for.
    const isLost = summary.drops.writer > 0 && summary.reason !== 'files' && summary.reason !== 'reader'
    return isIncomplete || isLost ? EXIT.failed : EXIT.done
  } catch (error) {
    // What was captured until then is no less true.
    if (!json) for (const line of summaryLines(capture.counters())) io.err(line)
    throw error
  }
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
