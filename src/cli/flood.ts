/** `ringtap flood`. */
import { startFlood } from '../testbed/index.js'
import { EXIT } from './exit-status.js'
import { type FloodReading, floodDocument, floodLine, floodSummaryDocument, floodTotals } from './flood-lines.js'
import type { Io } from './io.js'
import type { ValuesOf } from './table.js'
import { ticks } from './ticks.js'
import { UsageError } from './usage-error.js'

const INTERVAL_MS = 1000

export async function runFlood(values: ValuesOf<'flood'>, io: Io): Promise<number> {
  const { interface: name, kind, size, rate, json } = values
  if (name === undefined) throw new UsageError('which interface? -i VETH is missing', 'ringtap interfaces lists them')
  await using flood = await startFlood({
    interface: name,
    netns: values.netns,
    kind,
    frameBytes: size,
    sources: values.sources,
    ratePps: rate === 'max' ? undefined : rate,
    count: values.count,
    cpus: values.cpus,
    durationMs: values.duration,
    signal: io.signal,
  })
  if (json) io.out(JSON.stringify({ type: 'start', interface: name, kind, frameBytes: size, ratePps: rate === 'max' ? null : rate }))

  const ended = new AbortController()
  const finished = flood.finished.finally(() => ended.abort())
  // Awaited below; until then a failure is only a reason to end the lines.
  finished.catch(() => {})
  if (!values.quiet) {
    let before: FloodReading = { seconds: 0, sent: 0 }
    for await (const seconds of ticks({ intervalMs: INTERVAL_MS, signal: ended.signal })) {
      const now = { seconds, sent: flood.sent() }
      io.out(json ? floodDocument(before, now) : floodLine(before, now))
      before = now
    }
  }
  const result = await finished
  if (json) io.out(floodSummaryDocument(result, size))
  else for (const line of floodTotals(result, size)) io.err(line)
  return EXIT.done
}
