import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CaptureError } from '#src/errors.js'
import { FilterError, underlineError } from '#src/filter/filter-error.js'

const underlined = (text: string, start: number, end: number) => underlineError(new FilterError('why', text, { start, end })).split('\n')

test('carets stand under what is wrong', () => {
  assert.deepEqual(underlined('tcp port htpp', 9, 13), ['tcp port htpp', '         ^^^^'])
  assert.deepEqual(underlined('tcp port', 8, 8), ['tcp port', '        ^'])
  assert.deepEqual(underlined('', 0, 0), ['', '^'])
  assert.deepEqual(underlined('a', 0, 99), ['a', '^'])
})

test('one line of many, and what does not print is a blank', () => {
  assert.deepEqual(underlined('tcp\nand htpp\nor', 8, 12), ['and htpp', '    ^^^^'])
  assert.deepEqual(underlined('tcp\nand htpp\nor', 4, 15), ['and htpp', '^^^^^^^^'])
  assert.deepEqual(underlined('\ttcp\u001b[31m port é', 15, 16), [' tcp [31m port  ', '               ^'])
})

test('of a long line only what is near', () => {
  const lines = underlined(`${'a'.repeat(1000)}htpp${'b'.repeat(1000)}`, 1000, 1004)
  assert.deepEqual(lines, [`…${'a'.repeat(60)}htpp${'b'.repeat(60)}…`, `${' '.repeat(61)}^^^^`])
  const wide = underlined('x'.repeat(5000), 0, 5000)
  assert.ok(wide.every((line) => line.length <= 122))
})

test('a FilterError is a CaptureError whose message is one line, whatever was typed', () => {
  const error = new FilterError(`unknown host '\u001b[2J\n${'x'.repeat(70000)}'`, 'text', { start: 0, end: 1 }, 'try\nthis')
  assert.ok(error instanceof CaptureError)
  assert.equal(error.code, 'INVALID_FILTER')
  assert.match(error.message, /^unknown host '\?\[2J x+…$/)
  assert.equal(error.message.length, 200)
  assert.equal(error.hint, 'try this')
})
