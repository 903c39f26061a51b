/** What `ringtap replay` prints. Pure. */
import type { Refusals, TransmitCounters, TransmitSummary } from '../index.js'
import { formatDecimal, formatSeconds, microseconds, plural } from './human.js'

/** What was sent up to a time. */
export interface ReplayReading {
  seconds: number
  counters: TransmitCounters
}

/** What is known when an error ended it: all but how well it kept to its schedule. */
export interface FailedReplay extends TransmitCounters {
  seconds: number
  rounds: number
  reason: 'failed'
}

const REASONS: Record<keyof Refusals, string> = {
  tooLong: 'longer than the MTU allows',
  tooShort: 'shorter than an Ethernet header',
  truncated: 'cut when captured',
  linkType: 'not Ethernet',
  down: 'interface down',
  noRoom: 'no room on the interface',
  invalid: 'refused by the kernel',
}

export function replayLine(before: ReplayReading, now: ReplayReading): string {
  const { packets, bits } = rates(before, now)
  const refused = now.counters.refused === before.counters.refused ? '' : `  ${now.counters.refused - before.counters.refused} refused`
  return `${formatSeconds(now.seconds).padStart(8)}  ${formatDecimal(packets, 'pps').padStart(9)}  ${formatDecimal(bits, 'bit/s').padStart(11)}${refused}`
}

export function replayDocument(before: ReplayReading, now: ReplayReading): string {
  const { packets, bits } = rates(before, now)
  return JSON.stringify({
    type: 'interval',
    seconds: microseconds(now.seconds - before.seconds),
    sent: now.counters.sent - before.counters.sent,
    sentBytes: now.counters.sentBytes - before.counters.sentBytes,
    refused: now.counters.refused - before.counters.refused,
    packetsPerSecond: packets,
    bitsPerSecond: bits,
    total: { seconds: microseconds(now.seconds), ...now.counters },
  })
}

/** The account; what is known of it when it ended with an error is all but the time. */
export function replayAccount(counters: TransmitCounters): string[] {
  const lines = [`${plural(counters.packets, 'packet')} = ${counters.sent} sent + ${counters.refused} refused`]
  for (const [name, count] of Object.entries(counters.refusals)) {
    if (count > 0) lines.push(`  ${count} ${name}: ${REASONS[name as keyof Refusals]}`)
  }
  if (counters.sentTruncated > 0) lines.push(`  ${counters.sentTruncated} of those sent had been cut when captured`)
  return lines
}

export function replayTotals(summary: TransmitSummary, isTimed: boolean): string[] {
  const { sent, sentBytes, seconds, maxErrorNs, meanErrorNs, slips, slippedNs } = summary
  const { packets, bits } = averages(summary)
  const lines = [
    `${plural(sent, 'packet')}, ${sentBytes} bytes sent in ${seconds.toFixed(2)}s, ${formatDecimal(packets, 'pps')}, ${formatDecimal(bits, 'bit/s')}`,
    ...replayAccount(summary),
  ]
  if (isTimed && sent > 0) lines.push(`late by ${microsecondsText(meanErrorNs)} on average, ${microsecondsText(maxErrorNs)} at most`)
  if (slips > 0) lines.push(`the schedule could not be kept: moved by ${(slippedNs / 1e9).toFixed(3)}s in all`)
  return lines
}

export function replaySummaryDocument(summary: TransmitSummary | FailedReplay): string {
  const { packets, bits } = averages(summary)
  return JSON.stringify({ type: 'summary', ...summary, seconds: microseconds(summary.seconds), packetsPerSecond: packets, bitsPerSecond: bits })
}

function rates(before: ReplayReading, now: ReplayReading): { packets: number; bits: number } {
  const seconds = now.seconds - before.seconds
  return {
    packets: (now.counters.sent - before.counters.sent) / seconds,
    bits: ((now.counters.sentBytes - before.counters.sentBytes) * 8) / seconds,
  }
}

function averages({ sent, sentBytes, seconds }: TransmitSummary | FailedReplay): { packets: number; bits: number } {
  return seconds > 0 ? { packets: sent / seconds, bits: (sentBytes * 8) / seconds } : { packets: 0, bits: 0 }
}

function microsecondsText(ns: number): string {
  return ns < 1e6 ? `${Math.round(ns / 1e3)} us` : `${(ns / 1e6).toFixed(1)} ms`
}
