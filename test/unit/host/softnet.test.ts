import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'
import { parseSoftnet, readSoftnet, softnetDifference } from '#src/host/softnet.js'
import { seededRandom } from '../../support/random.js'

const hex = (...words: number[]) => words.map((word) => word.toString(16).padStart(8, '0')).join(' ')

test('a line of Linux 6.18 has 15 columns', () => {
  assert.deepEqual(parseSoftnet(`${hex(0x31acaa87, 5, 0x559, 0, 0, 0, 0, 0, 0, 7, 3, 2, 9, 1, 1)}\n`), [
    { cpu: 9, processed: 0x31acaa87, dropped: 5, timeSqueeze: 0x559, receivedRps: 7, flowLimit: 3, backlogLength: 2 },
  ])
})

test('before Linux 5.10 no line says whose it is: they are of the CPUs that are online, in order', () => {
  const lines = [hex(1, 2, 3, 0, 0, 0, 0, 0, 0, 4, 5), hex(6, 7, 8, 0, 0, 0, 0, 0, 0, 9, 10)].join('\n')
  assert.deepEqual(
    parseSoftnet(lines, [0, 3]).map(({ cpu, flowLimit, backlogLength }) => [cpu, flowLimit, backlogLength]),
    [
      [0, 5, undefined],
      [3, 10, undefined],
    ],
  )
  assert.deepEqual(
    parseSoftnet(lines).map(({ cpu }) => cpu),
    [0, 1],
  )
})

test('what Linux 2.6 did not count is 0', () => {
  assert.deepEqual(parseSoftnet(hex(1, 2, 3, 0, 0, 0, 0, 0, 4)), [
    { cpu: 0, processed: 1, dropped: 2, timeSqueeze: 3, receivedRps: 0, flowLimit: 0, backlogLength: undefined },
  ])
})

test('a difference is right across a wrap of 32 bits, and of CPUs that are in both readings', () => {
  const before = parseSoftnet([hex(0xfffffff0, 0xffffffff, 1, 0, 0, 0, 0, 0, 0, 1, 1, 5, 0), hex(1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1)].join('\n'))
  const after = parseSoftnet([hex(0x10, 2, 4, 0, 0, 0, 0, 0, 0, 1, 3, 8, 0), hex(9, 9, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2)].join('\n'))
  assert.deepEqual(softnetDifference(before, after), [{ cpu: 0, processed: 0x20, dropped: 3, timeSqueeze: 3, receivedRps: 0, flowLimit: 2, backlogLength: 8 }])
})

test('the file of this machine, as a shell reads it', () => {
  const script = 'while read -r processed dropped rest; do printf "%d\\n" "0x$dropped"; done < /proc/net/softnet_stat'
  const first = execFileSync('sh', ['-c', script], { encoding: 'utf8' })
  const now = readSoftnet()
  const dropped = first.trim().split('\n').map(Number)
  assert.equal(now.length, dropped.length)
  for (const [at, { dropped: later, cpu }] of now.entries()) {
    assert.ok(later >= dropped[at], `${later} after ${dropped[at]}`)
    assert.equal(cpu, at)
  }
})

test('whatever the text, each CPU has numbers', (t) => {
  const random = seededRandom(t)
  for (let round = 0; round < 500; round++) {
    const text = Array.from({ length: random.between(0, 4) }, () =>
      random.oneIn(3)
        ? Buffer.from(random.bytes(random.between(0, 60))).toString('latin1')
        : hex(...Array.from({ length: random.between(1, 17) }, random.word)),
    ).join('\n')
    for (const { backlogLength, ...counts } of parseSoftnet(text)) {
      for (const count of [...Object.values(counts), backlogLength ?? 0]) assert.ok(Number.isInteger(count) && count >= 0 && count < 2 ** 32, text)
    }
  }
})
