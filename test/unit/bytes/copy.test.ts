import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ByteCopier } from '#src/bytes/copy.js'
import { seededRandom } from '../../support/random.js'

test('what lies at one place stands at the other, and nothing else has changed', (t) => {
  const random = seededRandom(t)
  const target = new Uint8Array(2100).subarray(100)
  const copier = new ByteCopier(target)
  let source = random.bytes(2000)
  for (let i = 0; i < 500; i++) {
    if (random.oneIn(3)) source = new Uint8Array(random.bytes(2005).buffer, 5)
    const before = random.bytes(2000)
    target.set(before)
    const length = random.pick([0, 1, 3, 4, 59, 60, 255, 256, 257, random.between(0, 1000)])
    const from = random.between(0, 1000)
    const to = random.between(0, 1000)
    const expected = [...target.subarray(0, to), ...source.subarray(from, from + length), ...target.subarray(to + length)]
    copier.copy(source, from, to, length)
    assert.deepEqual([...target], expected)
  }
})
