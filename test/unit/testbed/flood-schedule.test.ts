import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { burstLimit, CHUNK_MS, type FloodSchedule, msUntilNext, packetsDue } from '#src/testbed/flood-schedule.js'

function threads(workers: number, ratePps?: number, count?: number): FloodSchedule[] {
  return Array.from({ length: workers }, (_, index) => ({ ratePps, count, index, workers }))
}
const total = (schedules: FloodSchedule[], elapsedMs: number) => schedules.reduce((sum, it) => sum + packetsDue(it, elapsedMs), 0)

describe('packetsDue', () => {
  test('a count is dealt out exactly', () => {
    for (const count of [0, 1, 2, 3, 7, 100, 1_000_001]) {
      for (const workers of [1, 2, 3, 8]) assert.equal(total(threads(workers, undefined, count), 0), count)
    }
  })

  test('a rate is exact at every moment, over all threads', () => {
    for (const ratePps of [0.5, 10, 333, 1_000_000, 12_345_678]) {
      for (const ms of [0, 1, 999.999, 1000, 2000, 60_000]) {
        assert.equal(total(threads(3, ratePps), ms), Math.floor((ms * ratePps) / 1000 + 1e-9), `${ratePps} pps after ${ms} ms`)
      }
    }
  })

  test('the count ends a rate', () => assert.equal(total(threads(2, 1000, 500), 10_000), 500))
  test('with neither there is no end', () => assert.equal(packetsDue(threads(1)[0], 0), Number.POSITIVE_INFINITY))
})

describe('burstLimit', () => {
  test('never more than a few milliseconds of packets, however long the thread was held up', () => {
    const [schedule] = threads(2, 1_000_000)
    assert.equal(burstLimit(schedule, 1), 1000)
    assert.equal(burstLimit(schedule, 1000), 500 * CHUNK_MS)
  })
  test('at least one packet', () => assert.equal(burstLimit(threads(1, 10)[0], 0.001), 1))
})

describe('msUntilNext', () => {
  test('threads take turns', () => {
    const [first, second] = threads(2, 10)
    assert.equal(msUntilNext(first, 0, 0), 100)
    assert.equal(msUntilNext(second, 0, 0), 200)
    assert.equal(msUntilNext(first, 1, 100), 200)
    assert.equal(msUntilNext(first, 0, 250), 0)
  })
})
