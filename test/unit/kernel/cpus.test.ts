import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseCpuList, possibleCpus } from '#src/kernel/cpus.js'

test('lists of CPUs', () => {
  assert.deepEqual(parseCpuList('0-3\n'), [0, 1, 2, 3])
  assert.deepEqual(parseCpuList('0,2-3,7'), [0, 2, 3, 7])
  assert.deepEqual(parseCpuList('\n'), [])
})

test('this machine has some', () => {
  assert.ok(possibleCpus().length > 0)
})
