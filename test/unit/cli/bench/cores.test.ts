import assert from 'node:assert/strict'
import { test } from 'node:test'
import { coreLoads, meanLoads, parseCpuList, parseProcessTime } from '#src/cli/bench/cores.js'

test('coreLoads puts niced with user, interrupts with softirq, and waiting with idle', () => {
  const load = { cpu: 3, user: 0.125, nice: 0.125, system: 0.25, idle: 0.125, iowait: 0.125, irq: 0.0625, softirq: 0.0625, steal: 0.125 }
  assert.deepEqual(coreLoads([load]), [{ cpu: 3, user: 0.25, system: 0.25, softirq: 0.125, steal: 0.125, idle: 0.25 }])
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
