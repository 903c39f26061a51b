import assert from 'node:assert/strict'
import { test } from 'node:test'
import { replayAccount, replayDocument, replayLine, replaySummaryDocument, replayTotals } from '#src/cli/replay-lines.js'
import type { TransmitCounters, TransmitSummary } from '#src/index.js'

const NO_REFUSALS = { tooLong: 0, tooShort: 0, truncated: 0, linkType: 0, down: 0, noRoom: 0, invalid: 0 }

function countersOf(sent: number, refusals: Partial<TransmitCounters['refusals']> = {}): TransmitCounters {
  const all = { ...NO_REFUSALS, ...refusals }
  const refused = Object.values(all).reduce((a, b) => a + b)
  return { packets: sent + refused, sent, sentBytes: sent * 100, refused, refusals: all, sentTruncated: 0, waits: 0 }
}

const BEFORE = { seconds: 1, counters: countersOf(1000) }
const NOW = { seconds: 2, counters: countersOf(3500, { down: 3 }) }
const SUMMARY: TransmitSummary = {
  ...countersOf(10_000, { tooLong: 2, down: 1 }),
  sentTruncated: 4,
  seconds: 4,
  rounds: 2,
  reason: 'end',
  maxErrorNs: 1_234_567,
  meanErrorNs: 12_345,
  slips: 0,
  slippedNs: 0,
}

test('a line', () => {
  assert.equal(replayLine(BEFORE, NOW), '    2.0s  2.50 kpps  2.00 Mbit/s  3 refused')
  assert.equal(replayLine(NOW, { seconds: 3, counters: countersOf(3500, { down: 3 }) }), '    3.0s      0 pps      0 bit/s')
})

test('totals', () => {
  assert.deepEqual(replayTotals(SUMMARY, true), [
    '10000 packets, 1000000 bytes sent in 4.00s, 2.50 kpps, 2.00 Mbit/s',
    '10003 packets = 10000 sent + 3 refused',
    '  2 tooLong: longer than the MTU allows',
    '  1 down: interface down',
    '  4 of those sent had been cut when captured',
    'late by 12 us on average, 1.2 ms at most',
  ])
  assert.deepEqual(replayTotals({ ...SUMMARY, ...countersOf(1), slips: 2, slippedNs: 1.5e9 }, false), [
    '1 packet, 100 bytes sent in 4.00s, 0 pps, 200 bit/s',
    '1 packet = 1 sent + 0 refused',
    'the schedule could not be kept: moved by 1.500s in all',
  ])
  assert.deepEqual(replayTotals({ ...SUMMARY, ...countersOf(0), seconds: 0 }, true), [
    '0 packets, 0 bytes sent in 0.00s, 0 pps, 0 bit/s',
    '0 packets = 0 sent + 0 refused',
  ])
})

test('every refusal has its words', () => {
  const counters = countersOf(0, Object.fromEntries(Object.keys(NO_REFUSALS).map((name) => [name, 1])))
  assert.equal(replayAccount(counters).filter((line) => /^ {2}1 \w+: \w/.test(line)).length, Object.keys(NO_REFUSALS).length)
})

test('documents', () => {
  assert.deepEqual(JSON.parse(replayDocument(BEFORE, NOW)), {
    type: 'interval',
    seconds: 1,
    sent: 2500,
    sentBytes: 250_000,
    refused: 3,
    packetsPerSecond: 2500,
    bitsPerSecond: 2_000_000,
    total: { seconds: 2, ...NOW.counters },
  })
  assert.deepEqual(JSON.parse(replaySummaryDocument(SUMMARY)), { type: 'summary', ...SUMMARY, packetsPerSecond: 2500, bitsPerSecond: 2_000_000 })
  const failed = { ...countersOf(100, { down: 1 }), seconds: 2, rounds: 1, reason: 'failed' } as const
  assert.deepEqual(JSON.parse(replaySummaryDocument(failed)), { type: 'summary', ...failed, packetsPerSecond: 50, bitsPerSecond: 40_000 })
})
