import assert from 'node:assert/strict'
import { test } from 'node:test'
import { copyBytes } from '#src/bytes/copy.js'
import { seededRandom } from '../../support/random.js'

test('what lies at one place stands at the other, and nothing else has changed', (t) => {
  const random = seededRandom(t)
  for (let i = 0; i < 500; i++) {
    const source = random.bytes(2000)
    const target = random.bytes(2000)
    const length = random.pick([0, 1, 59, 60, 159, 160, 161, random.between(0, 1000)])
    const from = random.between(0, 1000)
    const to = random.between(0, 1000)
    const expected = [...target.subarray(0, to), ...source.subarray(from, from + length), ...target.subarray(to + length)]
    copyBytes(source, from, target, to, length)
    assert.deepEqual([...target], expected)
  }
})
