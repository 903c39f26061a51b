/** Values, against what their operations say for every byte of a packet. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LOCATION_X, Values } from '#src/filter/optimise/values.js'
import { BYTES, evaluate, randomValue } from '../../../support/byte-values.js'
import { seededRandom } from '../../../support/random.js'

const W = 0x00
const H = 0x08
const B = 0x10
const ADD = 0x00
const SUB = 0x10
const MUL = 0x20
const DIV = 0x30
const AND = 0x50
const LSH = 0x60
const RSH = 0x70

test('simplified values come to the same, and never to more than their maximum', (t) => {
  const random = seededRandom(t)
  const values = new Values()
  let varying = 0
  for (let round = 0; round < 1500; round++) {
    const { value, meaning } = randomValue(random, values)
    if (new Set(meaning).size > 1) varying++
    for (const byte of BYTES) {
      const expected = meaning[byte]
      // What divides by 0 is checked for beside the value.
      if (expected === undefined) continue
      assert.equal(evaluate(value, byte), expected, `round ${round}, byte ${byte}`)
      assert.ok(expected <= value.max, `round ${round}, byte ${byte}: ${expected} is more than ${value.max}`)
    }
  }
  assert.ok(varying > 500, `${varying} depend on the byte`)
})

test('equal values are one object', () => {
  const values = new Values()
  const field = values.load(H, 12)
  const constant = values.constant(7)
  assert.equal(values.load(H, 12), field)
  assert.notEqual(values.load(W, 12), field)
  assert.equal(values.operate(ADD, field, constant), values.operate(ADD, constant, field))
  assert.equal(values.operate(SUB, field, values.constant(-7)), values.operate(ADD, field, constant))
  assert.equal(values.operate(MUL, field, values.constant(8)), values.operate(LSH, field, values.constant(3)))
  assert.equal(values.operate(DIV, field, values.constant(8)), values.operate(RSH, field, values.constant(3)))
  const [one, other] = [values.load(B, 0), values.load(B, 1)]
  assert.equal(values.operate(ADD, one, other), values.operate(ADD, other, one))
  assert.notEqual(values.operate(SUB, one, other), values.operate(SUB, other, one))
  assert.notEqual(values.entry(1, LOCATION_X, 60), values.entry(2, LOCATION_X, 60))
})

test('a load from a known place is absolute, and takes over what is added to X', () => {
  const values = new Values()
  const header = values.headerLength(14)
  const behind = (value = header, k = 0) => values.operate(ADD, value, values.constant(k))
  assert.equal(values.load(B, 14, values.constant(9)), values.load(B, 23))
  assert.equal(values.load(H, 14, behind(header, 2)), values.load(H, 16, header))
  assert.equal(values.operate(LSH, values.operate(AND, values.load(B, 14), values.constant(15)) as never, values.constant(2)), header)
})

test('a load stays as it is where X + k could wrap around or become an ancillary one', () => {
  const values = new Values()
  const word = values.load(W, 0)
  const plusTwo = values.operate(ADD, word, values.constant(2))
  const minusTwo = values.operate(SUB, values.headerLength(14), values.constant(2))
  assert.deepEqual(
    [values.load(B, 14, plusTwo), values.load(B, 14, minusTwo), values.load(W, 0, values.constant(0xffff_f02c))].map(
      (load) => load.kind === 'load' && load.base,
    ),
    [plusTwo, minusTwo, values.constant(0xffff_f02c)],
  )
})

test('a division by a constant 0 is no value', () => {
  const values = new Values()
  assert.equal(values.operate(DIV, values.load(B, 0), values.constant(0)), undefined)
  assert.equal(values.operate(0x90, values.constant(4), values.constant(0)), undefined)
})
