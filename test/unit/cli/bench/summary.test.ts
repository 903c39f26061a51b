import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RUNGS } from '#src/cli/bench/rungs.js'
import { rungResult } from '#src/cli/bench/summary.js'
import { sampleRun } from './sample.js'

const [recv, , , ringFanout, xdp] = RUNGS

test('rates are medians over the runs, CPU time is of all of them', () => {
  const runs = [sampleRun(100, 10, [20, 5]), sampleRun(300, 0, [10, 5]), sampleRun(200, 40, [10, 5])]
  const result = rungResult({ rung: ringFanout, workers: 2, ourRuns: runs, twin: undefined, profile: undefined })
  assert.equal(result.received, 200)
  assert.equal(result.dropped, 10)
  assert.equal(result.offered, 240)
  assert.ok(Math.abs(result.userNsPerPacket - (20 * 100 + 10 * 500) / 600) < 1e-9)
  assert.equal(result.fanout, 'cpu')
  assert.equal(result.reference, undefined)
})

test('a ratio is taken within each pair of runs, then the median of them', () => {
  const ourRuns = [sampleRun(110, 0), sampleRun(300, 0), sampleRun(90, 0)]
  const runs = [sampleRun(100, 0), sampleRun(200, 0), sampleRun(100, 0)]
  const { reference } = rungResult({ rung: recv, workers: 1, ourRuns, twin: { name: 'recv.c -w 1', runs }, profile: undefined })
  assert.deepEqual([reference?.ratio, reference?.ratioMin, reference?.ratioMax], [1.1, 0.9, 1.5])
})

test('unaccounted packets of all runs are added up without cancelling out', () => {
  const off = (by: number) => {
    const run = sampleRun(100, 0)
    run.accounting.unaccounted = by
    return run
  }
  const twin = { name: 'recv.c', runs: [off(-2)] }
  assert.equal(rungResult({ rung: recv, workers: 1, ourRuns: [off(2)], twin, profile: { rows: [], run: off(1) } }).unaccounted, 5)
})

test('one worker has no fanout, nor has a worker for each queue', () => {
  const fanoutOf = (rung: (typeof RUNGS)[number], workers: number) =>
    rungResult({ rung, workers, ourRuns: [sampleRun(1, 0)], twin: undefined, profile: undefined }).fanout
  assert.equal(fanoutOf(ringFanout, 1), null)
  assert.equal(fanoutOf(xdp, 2), null)
})
