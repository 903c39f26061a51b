/** `ringtap replay`. */
import { openTransmitter, type TransmitOptions, type TransmitPackets } from '../index.js'
import { EXIT } from './exit-status.js'
import type { Io } from './io.js'
import { skippedLine } from './read-lines.js'
import { openReplayFile, type ReplayFileOptions } from './replay-file.js'
import { type ReplayReading, replayAccount, replayDocument, replayLine, replaySummaryDocument, replayTotals } from './replay-lines.js'
import type { ValuesOf } from './table.js'
import { ticks } from './ticks.js'
import { UsageError } from './usage-error.js'

const INTERVAL_MS = 1000

export async function runReplay(values: ValuesOf<'replay'>, words: readonly string[], io: Io): Promise<number> {
  const [file, ...expression] = words
  if (file === undefined) throw new UsageError('which file? FILE is missing', 'ringtap replay FILE -i IFACE')
  if (file === '-' && values.loop !== 1) throw new UsageError('standard input can be sent once only, not with --loop')
  let isToldOfDamage = false
  const reading: ReplayFileOptions = {
    filter: expression.length > 0 ? expression.join(' ') : undefined,
    tolerant: values.tolerant,
    signal: io.signal,
    onSkipped: (path, bytes) => {
      // Of the first round: the others are the same.
      if (!isToldOfDamage) io.err(skippedLine(path, bytes))
      isToldOfDamage = true
    },
  }
  const { interface: name, netns, json } = values
  if (name === undefined) throw new UsageError('which interface? -i IFACE is missing', 'ringtap interfaces lists them')
  const options = timingOf(values)
  // Before the interface is touched: a file that is not there is told of first.
  let first: TransmitPackets | undefined = await openReplayFile(file, reading)
  try {
    await using transmitter = openTransmitter({
      interface: name,
      netns,
      backend: values.backend,
      frames: values.frames,
      qdiscBypass: !values.noQdiscBypass,
      yesThisNetwork: values.yesThisNetwork,
    })
    const { backend, ringVersion, qdiscBypass } = transmitter
    if (json) io.out(JSON.stringify({ type: 'start', file, interface: name, backend, ringVersion: ringVersion ?? null, qdiscBypass }))
    let rounds = 0
    const open = () => {
      rounds++
      const packets = first ?? openReplayFile(file, reading)
      first = undefined
      return packets
    }
    const ended = new AbortController()
    const startedMs = performance.now()
    const finished = transmitter.transmit(open, { ...options, signal: io.signal }).finally(() => ended.abort())
    // Awaited below; until then a failure is only a reason to end the lines.
    finished.catch(() => {})
    if (!values.quiet) {
      let before: ReplayReading = { seconds: 0, counters: transmitter.counters() }
      for await (const seconds of ticks({ intervalMs: INTERVAL_MS, signal: ended.signal })) {
        const now = { seconds, counters: transmitter.counters() }
        io.out(json ? replayDocument(before, now) : replayLine(before, now))
        before = now
      }
    }
    try {
      const summary = await finished
      if (json) io.out(replaySummaryDocument(summary))
      else for (const line of replayTotals(summary, options.timing !== 'top')) io.err(line)
    } catch (error) {
      // What was sent until then is no less true.
      const counters = transmitter.counters()
      const seconds = (performance.now() - startedMs) / 1000
      if (json) io.out(replaySummaryDocument({ ...counters, seconds, rounds, reason: 'failed' }))
      else if (counters.packets > 0) for (const line of replayAccount(counters)) io.err(line)
      throw error
    }
  } finally {
    await first?.close?.()
  }
  return EXIT.done
}

function timingOf(values: ValuesOf<'replay'>): TransmitOptions {
  const { rate, multiplier, topSpeed, loop } = values
  const given = [rate === undefined ? '' : '--rate', multiplier === undefined ? '' : '--multiplier', topSpeed ? '--top-speed' : ''].filter((it) => it !== '')
  if (given.length > 1) throw new UsageError(`${given.join(' and ')} do not go together`, 'one of them says when packets are sent')
  return {
    timing: topSpeed ? 'top' : undefined,
    multiplier,
    ratePps: rate !== undefined && 'packetsPerSecond' in rate ? rate.packetsPerSecond : undefined,
    rateBps: rate !== undefined && 'bitsPerSecond' in rate ? rate.bitsPerSecond : undefined,
    loop: loop === 0 ? Number.POSITIVE_INFINITY : loop,
    limit: values.limit,
    truncated: values.skipTruncated ? 'skip' : undefined,
  }
}
