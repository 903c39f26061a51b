import assert from 'node:assert/strict'
import { test } from 'node:test'
import { nearestWord } from '#src/cli/suggest.js'

test('typing errors', () => {
  const words = ['capture', 'interfaces', 'rate', 'flood', 'bench']
  assert.equal(nearestWord('captrue', words), 'capture')
  assert.equal(nearestWord('cap', words), 'capture')
  assert.equal(nearestWord('rates', words), 'rate')
  assert.equal(nearestWord('interface', words), 'interfaces')
  assert.equal(nearestWord('flod', words), 'flood')
})

test('what is too far is not guessed', () => {
  assert.equal(nearestWord('xyzzy', ['capture', 'rate']), undefined)
  assert.equal(nearestWord('x', ['rate']), undefined)
  assert.equal(nearestWord('', ['rate']), undefined)
  assert.equal(nearestWord('rate', []), undefined)
})
