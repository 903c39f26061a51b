/** `ringtap rate`: the article's speed script, over the kernel's own counters. */
import { CaptureError, openInterfaceCounters } from '../index.js'
import { EXIT } from './exit-status.js'
import type { Io } from './io.js'
import { type Reading, rateDocument, rateLine, readingOf } from './rate-lines.js'
import type { ValuesOf } from './table.js'
import { ticks } from './ticks.js'
import { UsageError } from './usage-error.js'

export async function runRate(values: ValuesOf<'rate'>, io: Io): Promise<number> {
  const { interface: name, netns } = values
  if (name === undefined) throw new UsageError('which interface? -i IFACE is missing', 'ringtap interfaces lists them')
  using reader = openInterfaceCounters([name], netns === undefined ? {} : { netns })
  const read = (seconds: number): Reading => {
    const [counters] = reader.read()
    if (counters === undefined) throw new CaptureError('INTERFACE_REMOVED', `interface '${name}' was removed`)
    return readingOf(counters, seconds)
  }

  const first = read(0)
  let before = first
  let lines = 0
  for await (const seconds of ticks({ intervalMs: values.interval, durationMs: values.duration, signal: io.signal })) {
    const now = read(seconds)
    io.out(values.json ? rateDocument(name, first, before, now) : rateLine(before, now))
    before = now
    lines++
    if (lines === values.count) break
  }
  return EXIT.done
}
