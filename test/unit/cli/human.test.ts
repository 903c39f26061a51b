import assert from 'node:assert/strict'
import { test } from 'node:test'
import { alignColumns, formatBytes, formatDecimal, plural } from '#src/cli/human.js'

test('powers of 1000', () => {
  assert.equal(formatDecimal(0, 'pps'), '0 pps')
  assert.equal(formatDecimal(0.4, 'pps'), '0 pps')
  assert.equal(formatDecimal(999, 'pps'), '999 pps')
  assert.equal(formatDecimal(999.6, 'pps'), '1.00 kpps')
  assert.equal(formatDecimal(12_345, 'pps'), '12.3 kpps')
  assert.equal(formatDecimal(2_534_123, 'pps'), '2.53 Mpps')
  assert.equal(formatDecimal(999_600_000, 'bit/s'), '1.00 Gbit/s')
  assert.equal(formatDecimal(14.88e6, 'pps'), '14.9 Mpps')
})

test('powers of 1024', () => {
  assert.equal(formatBytes(0), '0 B')
  assert.equal(formatBytes(1536), '1.50 KiB')
  assert.equal(formatBytes(134_217_728), '128 MiB')
  assert.equal(formatBytes(2 ** 31), '2 GiB')
})

test("tcpdump's plural", () => {
  assert.deepEqual(
    [0, 1, 2].map((n) => plural(n, 'packet')),
    ['0 packets', '1 packet', '2 packets'],
  )
})

test('columns, some set right', () => {
  assert.deepEqual(
    alignColumns(
      [
        ['a', '10', 'x'],
        ['long', '5', ''],
      ],
      new Set([1]),
    ),
    ['a     10  x', 'long   5'],
  )
})
