import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Reading, rateDocument, rateLine, readingOf } from '#src/cli/rate-lines.js'
import type { InterfaceCounters } from '#src/index.js'

const COUNTERS: InterfaceCounters = {
  rxPackets: 100,
  rxBytes: 6000,
  rxErrors: 9,
  rxDropped: 1,
  rxMissedErrors: 2,
  rxFifoErrors: 3,
  rxOverErrors: 4,
  rxLengthErrors: 9,
  rxCrcErrors: 9,
  rxFrameErrors: 9,
  rxNoHandler: 9,
  rxOtherHostDropped: 9,
  multicast: 9,
  txPackets: 50,
  txBytes: 3000,
  txErrors: 9,
  txDropped: 5,
}

const FIRST: Reading = { seconds: 0, rx: { packets: 0, bytes: 0, drops: 0 }, tx: { packets: 0, bytes: 0, drops: 0 } }
const BEFORE: Reading = { seconds: 1, rx: { packets: 100, bytes: 6000, drops: 1 }, tx: { packets: 0, bytes: 0, drops: 0 } }
const NOW: Reading = { seconds: 3, rx: { packets: 5_000_100, bytes: 300_006_000, drops: 1001 }, tx: { packets: 20, bytes: 1200, drops: 0 } }

test('what an interface lost is what never reached a socket', () => {
  assert.deepEqual(readingOf(COUNTERS, 7), { seconds: 7, rx: { packets: 100, bytes: 6000, drops: 10 }, tx: { packets: 50, bytes: 3000, drops: 5 } })
})

test('a line', () => {
  assert.equal(rateLine(BEFORE, NOW), '    3.0s  rx 2.50 Mpps  1.20 Gbit/s    500 drops/s  tx    10 pps  4.80 kbit/s      0 drops/s')
})

test('a document', () => {
  assert.deepEqual(JSON.parse(rateDocument('eth0', FIRST, BEFORE, NOW)), {
    type: 'interval',
    interface: 'eth0',
    seconds: 2,
    rx: { packets: 5_000_000, bytes: 300_000_000, drops: 1000, packetsPerSecond: 2_500_000, bitsPerSecond: 1_200_000_000, dropsPerSecond: 500 },
    tx: { packets: 20, bytes: 1200, drops: 0, packetsPerSecond: 10, bitsPerSecond: 4800, dropsPerSecond: 0 },
    total: { seconds: 3, rx: NOW.rx, tx: NOW.tx },
  })
})
