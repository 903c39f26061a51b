import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'
import { CPU_STATES, cpuLoads, parseCpuTimes, readCpuTimes } from '#src/host/cpu-load.js'
import { seededRandom } from '../../support/random.js'

const STAT = `cpu  30 0 30 300 0 0 0 0 0 0
cpu0 10 5 20 100 7 1 2 3 0 0
cpu1 20 0 10 200 0 0 0 0 0 0
intr 327388 0 0
ctxt 12
`

test('the CPUs, and not their sum', () => {
  assert.deepEqual(parseCpuTimes(STAT), [
    { cpu: 0, user: 10, nice: 5, system: 20, idle: 100, iowait: 7, irq: 1, softirq: 2, steal: 3 },
    { cpu: 1, user: 20, nice: 0, system: 10, idle: 200, iowait: 0, irq: 0, softirq: 0, steal: 0 },
  ])
})

test('columns that an old kernel has not are 0', () => {
  assert.deepEqual(parseCpuTimes('cpu2 1 2 3 4'), [{ cpu: 2, user: 1, nice: 2, system: 3, idle: 4, iowait: 0, irq: 0, softirq: 0, steal: 0 }])
})

test('loads are shares of the time between two readings; idle time that runs backwards is none', () => {
  const before = parseCpuTimes('cpu0 10 0 10 10 5 0 10 0\ncpu1 1 0 0 0 0 0 0 0')
  const after = parseCpuTimes('cpu0 20 0 30 9 5 10 70 0\ncpu2 1 1 1 1 1 1 1 1')
  assert.deepEqual(cpuLoads(before, after), [{ cpu: 0, user: 0.1, nice: 0, system: 0.2, idle: 0, iowait: 0, irq: 0.1, softirq: 0.6, steal: 0 }])
})

test('a CPU whose clock did not move was idle', () => {
  const [load] = cpuLoads(parseCpuTimes('cpu0 1 1 1 1'), parseCpuTimes('cpu0 1 1 1 1'))
  assert.deepEqual([load?.idle, load?.user], [1, 0])
})

test('those of this machine are the online ones, and time has passed', () => {
  const online = execFileSync('grep', ['-c', '^cpu[0-9]', '/proc/stat'], { encoding: 'utf8' }).trim()
  const times = readCpuTimes()
  assert.equal(times.length, Number(online))
  for (const it of times) assert.ok(it.idle + it.user > 0)
})

test('whatever the text, shares are from 0 to 1 and add up to 1', (t) => {
  const random = seededRandom(t)
  const line = (cpu: number) => `cpu${cpu} ${Array.from({ length: random.between(4, 10) }, () => random.between(0, 1e9)).join(' ')}`
  for (let round = 0; round < 500; round++) {
    const text = () => [line(0), Buffer.from(random.bytes(20)).toString('latin1'), line(1)].join('\n')
    for (const { cpu: _, ...shares } of cpuLoads(parseCpuTimes(text()), parseCpuTimes(text()))) {
      const values = Object.values(shares)
      assert.equal(values.length, CPU_STATES.length)
      for (const share of values) assert.ok(share >= 0 && share <= 1)
      assert.ok(Math.abs(values.reduce((a, b) => a + b) - 1) < 1e-9)
    }
  }
})
