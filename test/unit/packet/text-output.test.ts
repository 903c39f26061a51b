import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ipv6Text } from '#src/bytes/ip.js'
import { TextOutput } from '#src/packet/text-output.js'
import { seededRandom } from '../../support/random.js'

function textOf(write: (out: TextOutput) => void): string {
  const out = new TextOutput()
  write(out)
  return out.toText()
}

test('numbers', (t) => {
  const random = seededRandom(t)
  const edges = [0, 9, 10, 99, 100, 999, 1000, 9999, 10_000, 99_999, 999_999, 1_000_000, 9_999_999, 99_999_999, 999_999_999, 1_000_000_000]
  const large = [2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1]
  for (const value of [...edges, ...large, ...Array.from({ length: 1000 }, () => random.word() >>> random.between(0, 31))]) {
    assert.equal(
      textOf((out) => out.decimal(value)),
      String(value),
    )
    if (value > 2 ** 32 - 1) continue
    assert.equal(
      textOf((out) => out.hex(value)),
      value.toString(16),
    )
    assert.equal(
      textOf((out) => out.hex(value, 4)),
      value.toString(16).padStart(4, '0'),
    )
    if (value < 1_000_000_000)
      assert.equal(
        textOf((out) => out.padded(value, 9)),
        String(value).padStart(9, '0'),
      )
  }
})

test('addresses', (t) => {
  const random = seededRandom(t)
  for (let i = 0; i < 2000; i++) {
    const bytes = random.bytes(16)
    for (let at = 0; at < 16; at++) if (random.oneIn(2)) bytes[at] = 0
    if (random.oneIn(3)) bytes.fill(0, 0, random.between(0, 16))
    assert.equal(
      textOf((out) => out.ipv4(bytes, 3)),
      [...bytes.slice(3, 7)].join('.'),
    )
    assert.equal(
      textOf((out) => out.colonHex(bytes, 2)),
      Array.from(bytes.slice(2, 8), (byte) => byte.toString(16).padStart(2, '0')).join(':'),
    )
    // IPv4-compatible addresses are the one difference from RFC 5952.
    if (bytes.subarray(0, 12).every((byte) => byte === 0)) continue
    assert.equal(
      textOf((out) => out.ipv6(bytes, 0)),
      ipv6Text(bytes),
    )
  }
})

test('bytes that are not printable', () => {
  assert.equal(
    textOf((out) => {
      for (const byte of [0x00, 0x0a, 0x1b, 0x41, 0x7f, 0x80, 0x9b, 0xe9, 0xff]) out.printable(byte)
    }),
    '^@^J^[A^?M-^@M-^[M-iM-^?',
  )
})

test('what is written stays as the memory grows', () => {
  const out = new TextOutput()
  let expected = ''
  for (let i = 0; i < 30_000; i++) {
    out.text('abc')
    out.decimal(i)
    out.char(0x0a)
    expected += `abc${i}\n`
  }
  assert.equal(out.toText(), expected)
  assert.equal(out.toText(expected.length - 5), expected.slice(-5))
})
