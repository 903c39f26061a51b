import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Pace, Schedule } from '#src/transmit/schedule.js'

/** Due times in nanoseconds of packets of 100 bytes with these time stamps in nanoseconds since some second. */
function dues(pace: Pace, stamps: readonly number[], schedule = new Schedule(pace)): number[] {
  return stamps.map((ns) => schedule.due(1_700_000_000 + Math.floor(ns / 1e9), ns % 1e9, 100))
}

const ORIGINAL: Pace = { kind: 'original', multiplier: 1 }

test('original timing is that of the time stamps, to the nanosecond', () => {
  assert.deepEqual(dues(ORIGINAL, [999_999_999, 1_000_000_000, 3_000_000_001, 86_400_000_000_002]), [0, 1, 2_000_000_002, 86_399_000_000_003])
})

test('a multiplier', () => {
  assert.deepEqual(dues({ kind: 'original', multiplier: 2 }, [0, 1000, 3000]), [0, 500, 1500])
  assert.deepEqual(dues({ kind: 'original', multiplier: 0.5 }, [0, 1000, 3000]), [0, 2000, 6000])
})

test('packets out of order go at once, and those after them when they should', () => {
  assert.deepEqual(dues(ORIGINAL, [0, 1000, 400, 2000]), [0, 1000, 1000, 2000])
})

test('a clock that was set back: time goes on from there', () => {
  const hour = 3_600e9
  assert.deepEqual(dues(ORIGINAL, [hour, hour + 1000, 0, 700, 700, 1700]), [0, 1000, 1000, 1700, 1700, 2700])
})

test('packets without a time stamp: due with the one before them, the first at once; time is counted from the first that has one', () => {
  const schedule = new Schedule({ kind: 'original', multiplier: 2 })
  // As pcapng has them: such a packet says second 0.
  const stamps = [undefined, undefined, 1000, undefined, 5000, undefined, undefined, 6000]
  const round = () => stamps.map((ns) => (ns === undefined ? schedule.due(0, 0, 100, false) : schedule.due(1_700_000_000, ns, 100, true)))
  assert.deepEqual(round(), [0, 0, 0, 0, 2000, 2000, 2000, 2500])
  schedule.nextRound()
  const begin = (5000 + 5000 / 7) / 2
  assert.deepEqual(round(), [begin, begin, begin, begin, begin + 2000, begin + 2000, begin + 2000, begin + 2500])
  const none = new Schedule(ORIGINAL)
  assert.deepEqual([none.due(0, 0, 100, false), none.due(0, 0, 100, false)], [0, 0])
  const rate = new Schedule({ kind: 'packets', perSecond: 1e6 })
  assert.deepEqual([rate.due(0, 0, 100, false), rate.due(0, 0, 100, false)], [0, 1000])
})

test('rates: so many packets, so many bits', () => {
  assert.deepEqual(dues({ kind: 'packets', perSecond: 1e6 }, [5, 5, 5, 5]), [0, 1000, 2000, 3000])
  assert.deepEqual(dues({ kind: 'bits', perSecond: 8e8 }, [5, 5, 5]), [0, 1000, 2000])
  assert.deepEqual(dues({ kind: 'top' }, [5, 6, 7]), [0, 0, 0])
})

test('no rate drifts: the ten millionth packet is due where it should be', () => {
  const schedule = new Schedule({ kind: 'packets', perSecond: 3e6 })
  let due = 0
  for (let i = 0; i <= 10_000_000; i++) due = schedule.due(0, 0, 60)
  assert.ok(Math.abs(due - 1e16 / 3e6) <= 1, `${due}`)
})

test('rounds follow each other at the mean distance', () => {
  const schedule = new Schedule(ORIGINAL)
  assert.deepEqual(dues(ORIGINAL, [0, 100, 400], schedule), [0, 100, 400])
  schedule.nextRound()
  assert.deepEqual(dues(ORIGINAL, [0, 100, 400], schedule), [600, 700, 1000])
  schedule.nextRound()
  assert.deepEqual(dues(ORIGINAL, [0], schedule), [1200])
  schedule.nextRound()
  assert.deepEqual(dues(ORIGINAL, [0], schedule), [1200])
  const rate = new Schedule({ kind: 'packets', perSecond: 1e9 })
  dues({ kind: 'top' }, [0, 0], rate)
  rate.nextRound()
  assert.deepEqual(dues({ kind: 'top' }, [0], rate), [2])
})

test('a slip moves all that follows', () => {
  const schedule = new Schedule(ORIGINAL)
  dues(ORIGINAL, [0], schedule)
  schedule.slip(5000)
  assert.deepEqual(dues(ORIGINAL, [1000], schedule), [6000])
  schedule.slip(1)
  assert.deepEqual([schedule.slips, schedule.slippedNs], [2, 5001])
})
