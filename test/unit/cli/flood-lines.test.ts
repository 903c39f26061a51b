import assert from 'node:assert/strict'
import { test } from 'node:test'
import { floodDocument, floodLine, floodSummaryDocument, floodTotals } from '#src/cli/flood-lines.js'

const BEFORE = { seconds: 1, sent: 1_000_000 }
const NOW = { seconds: 2, sent: 3_500_000 }
const RESULT = {
  sent: 10_000_000,
  seconds: 4,
  perCpu: [
    { cpu: 0, sent: 5_000_001 },
    { cpu: 1, sent: 4_999_999 },
  ],
}

test('a line', () => {
  assert.equal(floodLine(BEFORE, NOW), '    2.0s  2.50 Mpps')
})

test('totals', () => {
  assert.deepEqual(floodTotals(RESULT, 60), [
    '10000000 packets of 60 bytes sent in 4.00s, 2.50 Mpps, 1.20 Gbit/s',
    '  cpu 0: 5000001 packets',
    '  cpu 1: 4999999 packets',
  ])
  assert.deepEqual(floodTotals({ sent: 0, seconds: 0, perCpu: [{ cpu: 0, sent: 0 }] }, 60), ['0 packets of 60 bytes sent in 0.00s, 0 pps, 0 bit/s'])
})

test('documents', () => {
  assert.deepEqual(JSON.parse(floodDocument(BEFORE, NOW)), {
    type: 'interval',
    seconds: 1,
    packets: 2_500_000,
    packetsPerSecond: 2_500_000,
    total: { seconds: 2, packets: 3_500_000 },
  })
  assert.deepEqual(JSON.parse(floodSummaryDocument(RESULT, 60)), {
    type: 'summary',
    seconds: 4,
    packets: 10_000_000,
    bytes: 600_000_000,
    packetsPerSecond: 2_500_000,
    cpus: [
      { cpu: 0, packets: 5_000_001 },
      { cpu: 1, packets: 4_999_999 },
    ],
  })
})
