import assert from 'node:assert/strict'
import { test } from 'node:test'
import { coreLoads, meanLoads, parseCoreTicks, parseCpuList, parseProcessTime } from '#src/cli/bench/cores.js'

const STAT = `cpu  30 0 30 300 0 0 0 0 0 0
cpu0 10 5 20 100 7 1 2 3 0 0
cpu1 20 0 10 200 0 0 0 0 0 0
intr 327388 0 0
ctxt 12
`

test('parseCoreTicks reads the cores and not their sum', () => {
  assert.deepEqual(parseCoreTicks(STAT), [
    { cpu: 0, user: 15, system: 20, softirq: 3, steal: 3, idle: 107 },
    { cpu: 1, user: 20, system: 10, softirq: 0, steal: 0, idle: 200 },
  ])
})

test('coreLoads are shares of the time between two readings', () => {
  const before = [{ cpu: 0, user: 10, system: 10, softirq: 10, steal: 0, idle: 10 }]
  const after = [
    { cpu: 0, user: 20, system: 30, softirq: 70, steal: 0, idle: 9 },
    { cpu: 1, user: 1, system: 1, softirq: 1, steal: 1, idle: 1 },
  ]
  assert.deepEqual(coreLoads(before, after), [{ cpu: 0, user: 10 / 90, system: 20 / 90, softirq: 60 / 90, steal: 0, idle: 0 }])
})

test('meanLoads averages core by core', () => {
  const load = (cpu: number, user: number) => ({ cpu, user, system: 0, softirq: 0, steal: 0, idle: 1 - user })
  assert.deepEqual(meanLoads([[load(0, 0.5), load(1, 1)], [load(0, 1)]]), [load(0, 0.75), load(1, 1)])
  assert.deepEqual(meanLoads([]), [])
})

test("parseProcessTime is not misled by the program's name", () => {
  assert.deepEqual(parseProcessTime('42 (a) b (c) R 1 42 42 0 -1 4194560 100 0 0 0 250 31 0 0 20 0 1 0 100'), { userMs: 2500, systemMs: 310 })
})

test('parseCpuList reads ranges', () => {
  assert.deepEqual(parseCpuList('0-2,5\n'), [0, 1, 2, 5])
  assert.deepEqual(parseCpuList('0'), [0])
  assert.deepEqual(parseCpuList(''), [])
})
