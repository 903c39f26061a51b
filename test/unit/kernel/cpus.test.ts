import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cpuListText, cpuMaskText, parseCpuList, parseCpuMask, possibleCpus } from '#src/kernel/cpus.js'
import { seededRandom } from '../../support/random.js'

test('lists of CPUs', () => {
  assert.deepEqual(parseCpuList('0-3\n'), [0, 1, 2, 3])
  assert.deepEqual(parseCpuList('0,2-3,7'), [0, 2, 3, 7])
  assert.deepEqual(parseCpuList('\n'), [])
})

test('this machine has some', () => {
  assert.ok(possibleCpus().length > 0)
})

test('CPUs as a list, whatever their order', () => {
  assert.equal(cpuListText([0, 1, 2, 5]), '0-2,5')
  assert.equal(cpuListText([7, 3, 2, 3]), '2-3,7')
  assert.equal(cpuListText([]), '')
})

test('masks, as rps_cpus shows them', () => {
  for (const [text, cpus] of [
    ['0', []],
    ['3\n', [0, 1]],
    ['ff00', [8, 9, 10, 11, 12, 13, 14, 15]],
    ['00000001,80000003\n', [0, 1, 31, 32]],
    ['00000000,00000000,00000000\n', []],
    ['80000000,00000000,00000001', [0, 95]],
  ] as const) {
    assert.deepEqual(parseCpuMask(text), cpus, text)
  }
  assert.equal(cpuMaskText([]), '0')
  assert.equal(cpuMaskText([0, 1]), '3')
  assert.equal(cpuMaskText([0, 1, 31, 32]), '1,80000003')
  assert.equal(cpuMaskText([95]), '80000000,00000000,00000000')
})

test('lists and masks lead back to the CPUs that they were made of', (t) => {
  const random = seededRandom(t)
  for (let round = 0; round < 500; round++) {
    const drawn = Array.from({ length: random.between(0, 40) }, () => random.between(0, 300))
    const cpus = [...new Set(drawn)].sort((a, b) => a - b)
    assert.deepEqual(parseCpuList(cpuListText(drawn)), cpus)
    assert.deepEqual(parseCpuMask(cpuMaskText(drawn)), cpus)
  }
})
