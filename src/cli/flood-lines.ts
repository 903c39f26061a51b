/** What `ringtap flood` prints. Pure. */
import type { FloodResult } from '../testbed/index.js'
import { formatDecimal, formatSeconds, microseconds, plural } from './human.js'

/** What was sent up to a time. */
export interface FloodReading {
  seconds: number
  sent: number
}

export function floodLine(before: FloodReading, now: FloodReading): string {
  return `${formatSeconds(now.seconds).padStart(8)}  ${formatDecimal(rateOf(before, now), 'pps').padStart(9)}`
}

export function floodDocument(before: FloodReading, now: FloodReading): string {
  const seconds = now.seconds - before.seconds
  return JSON.stringify({
    type: 'interval',
    seconds: microseconds(seconds),
    packets: now.sent - before.sent,
    packetsPerSecond: rateOf(before, now),
    total: { seconds: microseconds(now.seconds), packets: now.sent },
  })
}

export function floodTotals(result: FloodResult, frameBytes: number): string[] {
  const rate = averageOf(result)
  return [
    `${plural(result.sent, 'packet')} of ${frameBytes} bytes sent in ${result.seconds.toFixed(2)}s, ${formatDecimal(rate, 'pps')}, ${formatDecimal(rate * frameBytes * 8, 'bit/s')}`,
    ...(result.perCpu.length > 1 ? result.perCpu.map(({ cpu, sent }) => `  cpu ${cpu}: ${plural(sent, 'packet')}`) : []),
  ]
}

export function floodSummaryDocument(result: FloodResult, frameBytes: number): string {
  const { sent, seconds, perCpu } = result
  return JSON.stringify({
    type: 'summary',
    seconds,
    packets: sent,
    bytes: sent * frameBytes,
    packetsPerSecond: averageOf(result),
    cpus: perCpu.map((row) => ({ cpu: row.cpu, packets: row.sent })),
  })
}

function rateOf(before: FloodReading, now: FloodReading): number {
  return (now.sent - before.sent) / (now.seconds - before.seconds)
}

function averageOf({ sent, seconds }: FloodResult): number {
  return seconds > 0 ? sent / seconds : 0
}
