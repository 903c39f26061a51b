/** What is known on a way, against all bytes that can come there. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { simplify, type Test } from '#src/filter/optimise/comparison.js'
import { Knowledge } from '#src/filter/optimise/knowledge.js'
import { Values } from '#src/filter/optimise/values.js'
import { BYTES, byteValue, COMPARISONS, outcomeFor } from '../../../support/byte-values.js'
import { type Random, seededRandom } from '../../../support/random.js'

function randomTest(random: Random, values: Values): Test {
  const { value } = byteValue(values)
  const masked = values.operate(0x50, value, values.constant(random.pick([1, 3, 0xf0, 0x7f])))
  const left = random.oneIn(3) && masked !== undefined ? masked : value
  const original = { comparison: random.pick(COMPARISONS), left, right: values.constant(random.between(0, 20)) }
  const simplified = simplify(values, original)
  return 'test' in simplified ? simplified.test : original
}

test('an outcome is known only where it is the same for every byte that comes there', (t) => {
  const random = seededRandom(t)
  const values = new Values()
  let known = 0
  let knowable = 0
  for (let round = 0; round < 1000; round++) {
    const knowledge = new Knowledge()
    let left: readonly number[] = BYTES
    for (let steps = random.between(1, 6); steps > 0; steps--) {
      const learned = randomTest(random, values)
      const outcome = outcomeFor(learned, random.pick(left)) as boolean
      left = left.filter((byte) => outcomeFor(learned, byte) === outcome)
      knowledge.learn(learned, outcome)
      const asked = randomTest(random, values)
      const answer = knowledge.outcomeOf(asked)
      const outcomes = new Set(left.map((byte) => outcomeFor(asked, byte)))
      if (answer !== undefined) assert.deepEqual([...outcomes], [answer], `round ${round}`)
      if (answer !== undefined) known++
      if (outcomes.size === 1) knowable++
    }
  }
  assert.ok(known > 0.8 * knowable, `${known} of ${knowable} are known`)
})

test('what was learned is taken back', (t) => {
  const random = seededRandom(t)
  const values = new Values()
  const knowledge = new Knowledge()
  const questions = Array.from({ length: 40 }, () => randomTest(random, values))
  const bytes = values.constant(0)
  const ask = () => [...questions.map((question) => knowledge.outcomeOf(question)), knowledge.isMet({ base: bytes, end: 20, load: bytes })]
  const before = ask()
  const mark = knowledge.mark()
  knowledge.learnCheck({ base: bytes, end: 30, load: bytes })
  for (const question of questions.slice(0, 5)) knowledge.learn(question, true)
  assert.notDeepEqual(ask(), before)
  assert.equal(knowledge.isMet({ base: bytes, end: 31, load: bytes }), false)
  knowledge.takeBack(mark)
  assert.deepEqual(ask(), before)
})
