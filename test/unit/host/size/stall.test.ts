import assert from 'node:assert/strict'
import { test } from 'node:test'
import { simulateStall } from '#src/host/size/stall.js'

const even = (packetsPerSecond: number) => ({ pattern: 'even', packetsPerSecond }) as const

test('seconds of standing still are seconds of loss: 1000 slots, 3 Mpps, 6 s', () => {
  const { arrived, droppedByRing } = simulateStall({ arrivals: even(3e6), queue: { slots: 1000 }, serviceNs: 100 }, 6000) ?? assert.fail()
  // All that comes meanwhile, but what the slots hold.
  assert.ok(Math.abs(droppedByRing - (18e6 - 1000)) <= 2, String(droppedByRing))
  assert.ok(arrived > 18.6e6)
})

test('a ring that has room for just what comes meanwhile loses nothing, one that has less the rest', () => {
  const lossOf = (slots: number) => simulateStall({ arrivals: even(1e6), queue: { slots }, serviceNs: 500 }, 500)?.droppedByRing
  assert.equal(lossOf(500_002), 0)
  const lost = lossOf(499_000) ?? assert.fail()
  assert.ok(Math.abs(lost - 1000) <= 2, String(lost))
})

test('it goes on until the reader has caught up', () => {
  // Half a second at 1 Mpps, of which it then works off a quarter of a million a second more than comes.
  const { arrived } = simulateStall({ arrivals: even(1e6), queue: { slots: 1e6 }, serviceNs: 800 }, 500) ?? assert.fail()
  assert.ok(arrived > 0.2e6 + 0.5e6 + 2e6, String(arrived))
  // The kernel, on the same core, takes half of it: for the reader there is nothing left beside what comes. What it loses then is no matter of the stall.
  const never = simulateStall({ arrivals: even(1e6), queue: { slots: 1e6 }, serviceNs: 500, kernelNs: 500, sameCore: true }, 500) ?? assert.fail()
  assert.ok(never.arrived > 0.2e6 + 0.5e6 + 2e6 && never.arrived < 5e6, String(never.arrived))
})

test('it meets a burst, however rare they are', () => {
  const arrivals = { pattern: 'bursts', packetsPerSecond: 1e6, burstPackets: 10_000, intervalMs: 1000 } as const
  const lossOf = (slots: number) => simulateStall({ arrivals, queue: { slots }, serviceNs: 500 }, 20)?.droppedByRing
  assert.deepEqual([lossOf(10_000), lossOf(9000)], [0, 1000])
})

test('a stall that is too many packets is not simulated in part', () => {
  assert.equal(simulateStall({ arrivals: even(10e6), queue: { slots: 1000 }, serviceNs: 10 }, 6000), null)
})
