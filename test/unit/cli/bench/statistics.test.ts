import assert from 'node:assert/strict'
import { test } from 'node:test'
import { mean, median, share, spread } from '#src/cli/bench/statistics.js'

test('median takes the middle, or the mean of the two in the middle', () => {
  assert.equal(median([]), 0)
  assert.equal(median([7]), 7)
  assert.equal(median([10, 9, 100]), 10)
  assert.equal(median([4, 1, 3, 2]), 2.5)
})

test('median leaves its argument as it was', () => {
  const values = [3, 1, 2]
  median(values)
  assert.deepEqual(values, [3, 1, 2])
})

test('spread is median, least and most', () => {
  assert.deepEqual(spread([1.2, 0.9, 1.1]), { median: 1.1, min: 0.9, max: 1.2 })
  assert.deepEqual(spread([]), { median: 0, min: 0, max: 0 })
})

test('mean and share do not divide by nothing', () => {
  assert.equal(mean([]), 0)
  assert.equal(mean([1, 2, 6]), 3)
  assert.equal(share(1, 0), 0)
  assert.equal(share(1, 4), 0.25)
})
