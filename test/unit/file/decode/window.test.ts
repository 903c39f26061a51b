import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ByteWindow } from '#src/file/decode/window.js'
import { seededRandom } from '../../../support/random.js'

const LIMIT = 5 * 64 * 1024

test('what is pushed and adopted comes out in order, at its place in the file, in bounded memory', (t) => {
  const random = seededRandom(t)
  for (let round = 0; round < 20; round++) {
    const window = new ByteWindow()
    let pushed = 0
    let taken = 0
    for (let step = 0; step < 2000; step++) {
      if (window.end - window.start < 60_000) {
        const length = random.oneIn(10) ? random.between(1, 40_000) : random.between(1, 300)
        const headroom = random.between(0, 70_000)
        const buffer = new Uint8Array(headroom + length)
        for (let i = 0; i < length; i++) buffer[headroom + i] = (pushed + i) & 0xff
        if (random.oneIn(2)) window.push(buffer.subarray(headroom))
        else window.adopt(buffer, headroom, headroom + length)
        pushed += length
      }
      const take = random.oneIn(3) ? window.end - window.start : random.between(0, window.end - window.start)
      assert.equal(window.position, taken)
      for (let i = 0; i < take; i++) {
        assert.equal(window.bytes[window.start + i], (taken + i) & 0xff)
        assert.equal(window.view.getUint8(window.start + i), (taken + i) & 0xff)
      }
      window.start += take
      taken += take
      assert.ok(window.bytes.length <= LIMIT, `${window.bytes.length}`)
    }
    assert.equal(window.position + window.end - window.start, pushed)
  }
})
