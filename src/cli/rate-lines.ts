/** What `ringtap rate` prints, from two readings of an interface's counters. Pure. */
import type { InterfaceCounters } from '../index.js'
import { formatCount, formatDecimal, formatSeconds, microseconds } from './human.js'

export interface Traffic {
  packets: number
  bytes: number
  drops: number
}

export interface Reading {
  /** Seconds since the first reading. */
  seconds: number
  rx: Traffic
  tx: Traffic
}

export function readingOf(counters: InterfaceCounters, seconds: number): Reading {
  const { rxDropped, rxMissedErrors, rxFifoErrors, rxOverErrors } = counters
  return {
    seconds,
    rx: { packets: counters.rxPackets, bytes: counters.rxBytes, drops: rxDropped + rxMissedErrors + rxFifoErrors + rxOverErrors },
    tx: { packets: counters.txPackets, bytes: counters.txBytes, drops: counters.txDropped },
  }
}

export function rateLine(before: Reading, now: Reading): string {
  const seconds = now.seconds - before.seconds
  return [
    formatSeconds(now.seconds).padStart(8),
    `rx ${side(difference(before.rx, now.rx), seconds)}`,
    `tx ${side(difference(before.tx, now.tx), seconds)}`,
  ].join('  ')
}

export function rateDocument(name: string, first: Reading, before: Reading, now: Reading): string {
  const seconds = now.seconds - before.seconds
  return JSON.stringify({
    type: 'interval',
    interface: name,
    seconds: microseconds(seconds),
    rx: withRates(difference(before.rx, now.rx), seconds),
    tx: withRates(difference(before.tx, now.tx), seconds),
    total: { seconds: microseconds(now.seconds), rx: difference(first.rx, now.rx), tx: difference(first.tx, now.tx) },
  })
}

function difference(before: Traffic, now: Traffic): Traffic {
  return { packets: now.packets - before.packets, bytes: now.bytes - before.bytes, drops: now.drops - before.drops }
}

function withRates(traffic: Traffic, seconds: number): object {
  const { packets, bytes, drops } = traffic
  return { ...traffic, packetsPerSecond: packets / seconds, bitsPerSecond: (bytes * 8) / seconds, dropsPerSecond: drops / seconds }
}

function side({ packets, bytes, drops }: Traffic, seconds: number): string {
  return [
    formatDecimal(packets / seconds, 'pps').padStart(9),
    formatDecimal((bytes * 8) / seconds, 'bit/s').padStart(11),
    `${formatCount(drops / seconds).padStart(5)} drops/s`,
  ].join('  ')
}
