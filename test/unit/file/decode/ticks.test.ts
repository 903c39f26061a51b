import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TickScale } from '#src/file/decode/ticks.js'
import { seededRandom } from '../../../support/random.js'

function expected(ticks: bigint, tsresol: number): [seconds: number, nanoseconds: number] {
  const exponent = BigInt(tsresol & 0x7f)
  const units = (tsresol & 0x80) === 0 ? 10n ** exponent : 2n ** exponent
  return [Number(ticks / units), Number(((ticks % units) * 1_000_000_000n) / units)]
}

function converted(ticks: bigint, scale: TickScale): [seconds: number, nanoseconds: number] {
  scale.convert(Number(ticks >> 32n), Number(ticks & 0xffffffffn))
  return [scale.seconds, scale.nanoseconds]
}

test('every resolution, against BigInt: the ends, what is next to a whole second, and random ticks', (t) => {
  const random = seededRandom(t)
  for (let tsresol = 0; tsresol < 256; tsresol++) {
    const scale = new TickScale(tsresol)
    const units = ((tsresol & 0x80) === 0 ? 10n : 2n) ** BigInt(tsresol & 0x7f)
    const cases = [0n, 1n, 2n ** 32n - 1n, 2n ** 32n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n]
    for (let i = 0; i < 200; i++) {
      cases.push((BigInt(random.word()) << 32n) | BigInt(random.word()))
      cases.push(BigInt(random.between(0, 2_000_000_000)) * units - 1n, BigInt(random.between(0, 2_000_000_000)) * units)
    }
    for (const ticks of cases.filter((each) => each >= 0n && each < 2n ** 64n))
      assert.deepEqual(converted(ticks, scale), expected(ticks, tsresol), `${ticks} at ${tsresol}`)
  }
})

test('a time of today, by hand', () => {
  assert.deepEqual(converted(1_700_000_000_123_456n, new TickScale()), [1_700_000_000, 123_456_000])
  assert.deepEqual(converted(1_700_000_000_123_456_789n, new TickScale(9)), [1_700_000_000, 123_456_789])
  assert.deepEqual(converted(1_700_000_000n * 2n ** 20n + 2n ** 19n, new TickScale(0x94)), [1_700_000_000, 500_000_000])
})

test('an offset is added to the seconds', () => {
  assert.deepEqual(converted(5_000_001n, new TickScale(6, 1_700_000_000)), [1_700_000_005, 1000])
  assert.deepEqual(converted(5_000_001n, new TickScale(6, -5)), [0, 1000])
})
