import assert from 'node:assert/strict'
import { test } from 'node:test'
import { toJson } from '#src/cli/to-json.js'

function text(value: unknown): string {
  return JSON.stringify(toJson(value))
}

test('maps with text or number keys become objects', () => {
  assert.equal(
    text(
      new Map([
        [53, 7],
        [80, 1],
      ]),
    ),
    '{"53":7,"80":1}',
  )
  assert.equal(text(new Map([['a', new Map([[1n, 2]])]])), '{"a":{"1":2}}')
})

test('other maps become lists of pairs', () => {
  assert.equal(text(new Map([[[1, 2], 3]])), '[[[1,2],3]]')
})

test('sets and typed arrays become lists', () => {
  assert.equal(text(new Set([1, 'a'])), '[1,"a"]')
  assert.equal(text(Uint8Array.of(1, 255)), '[1,255]')
  assert.equal(text(Float64Array.of(0.5)), '[0.5]')
  assert.equal(text(BigUint64Array.of(5n)), '[5]')
  assert.equal(text(Uint8Array.of(1, 2).buffer), '[1,2]')
  assert.equal(text(new DataView(Uint8Array.of(1, 2, 3).buffer, 1)), '[2,3]')
})

test('a bigint is a number where that is exact', () => {
  assert.equal(text({ small: 12n, big: 2n ** 64n }), '{"small":12,"big":"18446744073709551616"}')
})

test('values that JSON knows stay', () => {
  assert.equal(text({ a: [1, null, 'x', true], d: new Date(0) }), '{"a":[1,null,"x",true],"d":"1970-01-01T00:00:00.000Z"}')
  assert.equal(text(undefined), 'null')
  assert.equal(text(new Error('broken')), '{"name":"Error","message":"broken"}')
})

test('a circle ends, and what is shared is not a circle', () => {
  const circle: { self?: unknown } = {}
  circle.self = circle
  assert.equal(text(circle), '{"self":"[circular]"}')
  const shared = [1]
  assert.equal(text([shared, shared]), '[[1],[1]]')
})

test('a key __proto__ is a key', () => {
  assert.equal(text(new Map([['__proto__', 1]])), '{"__proto__":1}')
})
