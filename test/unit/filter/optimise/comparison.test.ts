/** Simplified comparisons, for every byte of a packet. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { simplify, type Test } from '#src/filter/optimise/comparison.js'
import { type Value, Values } from '#src/filter/optimise/values.js'
import { BYTES, byteValue, COMPARISONS, interestingNumber, outcomeFor, randomValue } from '../../../support/byte-values.js'
import { seededRandom } from '../../../support/random.js'

const JEQ = 0x10
const JGT = 0x20
const JGE = 0x30
const JSET = 0x40

test('a simplified comparison has the same outcome', (t) => {
  const random = seededRandom(t)
  const values = new Values()
  const found = { outcome: 0, test: 0, same: 0 }
  for (let round = 0; round < 4000; round++) {
    const left = randomValue(random, values).value
    const right = random.oneIn(6) ? randomValue(random, values).value : values.constant(interestingNumber(random))
    const original: Test = { comparison: random.pick(COMPARISONS), left, right }
    const simplified = simplify(values, original)
    if ('outcome' in simplified) found.outcome++
    else if (simplified.test.left === left) found.same++
    else found.test++
    for (const byte of BYTES) {
      const expected = outcomeFor(original, byte)
      if (expected === undefined) continue
      const outcome = 'outcome' in simplified ? simplified.outcome : outcomeFor(simplified.test, byte) !== simplified.swapped
      assert.equal(outcome, expected, `round ${round}, byte ${byte}`)
    }
  }
  assert.ok(Math.min(found.outcome, found.test, found.same) > 200, JSON.stringify(found))
})

test('the operation before a comparison goes into it', () => {
  const values = new Values()
  const { value: byte } = byteValue(values)
  const other = values.load(0x10, 1)
  const of = (operation: number, k: number) => values.operate(operation, byte, values.constant(k)) as Value
  const cases: [Test, Test, boolean][] = [
    [compare(of(0x10, 3), JEQ, 5), compare(byte, JEQ, 8), false],
    [compare(of(0x50, 2), JEQ, 0), compare(byte, JSET, 2), true],
    [compare(of(0x50, 2), JEQ, 2), compare(byte, JSET, 2), false],
    [compare(of(0xa0, 1), JEQ, 5), compare(byte, JEQ, 4), false],
    [compare(of(0x70, 4), JGT, 3), compare(byte, JGT, 0x3f), false],
    [compare(of(0x70, 4), JGE, 4), compare(byte, JGE, 0x40), false],
    [compare(of(0x60, 2), JEQ, 20), compare(byte, JEQ, 5), false],
    [compare(byte, JSET, 0xffff), compare(byte, JEQ, 0), true],
    [{ comparison: JEQ, left: values.operate(0x10, byte, other) as Value, right: values.constant(0) }, { comparison: JEQ, left: byte, right: other }, false],
    [{ comparison: JGT, left: values.constant(9), right: byte }, compare(byte, JGT, 8), true],
  ]
  for (const [before, test, swapped] of cases) assert.deepEqual(simplify(values, before), { test, swapped })

  function compare(left: Value, comparison: number, k: number): Test {
    return { comparison, left, right: values.constant(k) }
  }
})
