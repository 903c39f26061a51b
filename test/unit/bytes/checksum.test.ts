import assert from 'node:assert/strict'
import { test } from 'node:test'
import { addWords, complement, correctChecksum } from '#src/bytes/checksum.js'
import { seededRandom } from '../../support/random.js'

test('the example of RFC 1071', () => {
  const bytes = Uint8Array.from([0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7])
  assert.equal(addWords(bytes, 0, 8, 0), 0xddf2)
  assert.equal(complement(0xddf2), 0x220d)
})

test('sums of parts, odd lengths and the longest packet', (t) => {
  const random = seededRandom(t)
  for (let i = 0; i < 500; i++) {
    const bytes = random.bytes(random.between(0, 200))
    const offset = random.between(0, bytes.length)
    let sum = 7
    for (let at = offset; at < bytes.length; at += 2) sum += ((bytes[at] as number) << 8) | (bytes[at + 1] ?? 0)
    while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
    assert.equal(addWords(bytes, offset, bytes.length - offset, 7), sum)
    const half = (bytes.length - offset) & ~1 & ~2
    assert.equal(addWords(bytes, offset + half, bytes.length - offset - half, addWords(bytes, offset, half, 7)), sum)
  }
  assert.equal(addWords(new Uint8Array(131_072).fill(0xff), 0, 131_072, 0), 0xffff)
})

test('the checksum that should have been', (t) => {
  const random = seededRandom(t)
  for (let i = 0; i < 500; i++) {
    const bytes = random.bytes(20)
    bytes.set([0, 0], 10)
    const right = complement(addWords(bytes, 0, 20, 0))
    const found = random.between(0, 65_535)
    bytes.set([found >>> 8, found & 0xff], 10)
    const wrong = complement(addWords(bytes, 0, 20, 0))
    // 0 and 0xffff are the same sum.
    assert.equal(correctChecksum(found, wrong) % 0xffff, right % 0xffff)
  }
})
