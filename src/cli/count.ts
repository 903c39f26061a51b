/** `ringtap count`: what an interface sees, counted in the kernel. */
import { countInKernel, type KernelCounters } from '../index.js'
import {
  countDetailLines,
  countDocument,
  countEventDocument,
  countEventLines,
  countEvents,
  countingLine,
  countLines,
  countStartDocument,
  countSummaryDocument,
  countTotals,
  NOTHING_COUNTED,
} from './count-lines.js'
import { EXIT } from './exit-status.js'
import type { Io } from './io.js'
import type { ValuesOf } from './table.js'
import { ticks } from './ticks.js'
import { UsageError } from './usage-error.js'

export async function runCount(values: ValuesOf<'count'>, io: Io): Promise<number> {
  const { interface: names, netns, drop, exclusive, xdpMode, json } = values
  if (names === undefined) throw new UsageError('which interface? -i IFACE is missing', 'ringtap interfaces lists them')
  const promiscuous = !values.noPromiscuousMode
  const cpuAtStart = process.cpuUsage()
  using counting = countInKernel({ interface: names, netns, drop, exclusive, xdpMode, promiscuous })
  const start = { drop, promiscuous, netns, interfaces: counting.counters().interfaces }
  if (json) io.out(countStartDocument(start))
  else io.err(countingLine(start))

  let before: KernelCounters = NOTHING_COUNTED
  let intervals = 0
  const print = (now: KernelCounters): void => {
    for (const event of countEvents(before, now)) {
      if (json) io.out(countEventDocument(event))
      else for (const line of countEventLines(event)) io.err(line)
    }
    if (!values.quiet) {
      if (json) io.out(countDocument(before, now))
      else for (const line of countLines(before, now, values.verbose)) io.out(line)
    }
    before = now
  }

  try {
    for await (const _ of ticks({ intervalMs: values.interval, durationMs: values.duration, signal: io.signal })) {
      print(counting.counters())
      intervals++
      if (intervals === values.count) break
    }
  } catch (error) {
    // What was counted until then is no less true.
    counting.close()
    if (!json) for (const line of countTotals(counting.counters())) io.err(line)
    throw error
  }
  counting.close()
  const end = counting.counters()
  // What came since the last line is an interval too.
  if (end.packets !== before.packets) print(end)
  const cpuTime = process.cpuUsage(cpuAtStart)
  if (json) {
    io.out(countSummaryDocument(end, cpuTime))
  } else {
    for (const line of countTotals(end)) io.err(line)
    if (values.verbose) for (const line of countDetailLines(end, cpuTime)) io.err(line)
  }
  return EXIT.done
}
