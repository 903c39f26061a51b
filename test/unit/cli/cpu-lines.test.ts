import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { cpuBarLines, cpuBarsLegend, cpuLoadLines } from '#src/cli/cpu-lines.js'
import type { CpuLoad, CpuState } from '#src/host/index.js'
import { seededRandom } from '../../support/random.js'

function load(cpu: number, shares: Partial<Record<CpuState, number>>): CpuLoad {
  const busy = Object.values(shares).reduce((sum, share) => sum + share, 0)
  return { cpu, user: 0, nice: 0, system: 0, iowait: 0, irq: 0, softirq: 0, steal: 0, idle: 1 - busy, ...shares }
}

test('a line a CPU: user with nice, softirq with irq; stolen time where there is some', () => {
  assert.deepEqual(cpuLoadLines([load(0, { user: 0.1, nice: 0.02, system: 0.3, softirq: 0.5 }), load(11, { irq: 0.04, steal: 0.06 })]), [
    'cpu 0   user 12%  system 30%  softirq 50%',
    'cpu 11  user 0%   system 0%   softirq 4%   steal 6%',
  ])
})

describe('bars', () => {
  const plain = { columns: 40, rows: 20, colours: false }

  test('a letter for each part, as long as its share, and how busy in all', () => {
    assert.deepEqual(cpuBarLines([load(0, { user: 0.25, system: 0.125, softirq: 0.25 }), load(1, {})], { ...plain, columns: 35 }), [
      '0[uuuuuuuussssqqqqqqqq       62.5%]',
      '1[                            0.0%]',
    ])
  })

  test('a full bar leaves room for the number', () => {
    assert.deepEqual(cpuBarLines([load(3, { softirq: 1 })], { ...plain, columns: 20 }), ['3[qqqqqqqqqqq100.0%]'])
  })

  test('in colours the same, and each part ends its own', () => {
    const [line] = cpuBarLines([load(0, { user: 0.5 })], { columns: 23, rows: 1, colours: true })
    assert.equal(line, '0[\x1b[32m||||||||||\x1b[0m     50.0%]')
    assert.equal(cpuBarsLegend(false), 'n nice  u user  s system  i irq  q softirq  t steal')
  })

  test('many CPUs stand side by side, in columns; what has no room is counted', () => {
    const many = Array.from({ length: 32 }, (_, cpu) => load(cpu, {}))
    const lines = cpuBarLines(many, { columns: 80, rows: 20, colours: false })
    assert.equal(lines.length, 8)
    assert.match(lines[0] as string, /^ 0\[.*\] +8\[.*\] 16\[.*\] 24\[/)
    const few = cpuBarLines(many, { columns: 20, rows: 5, colours: false })
    assert.equal(few.length, 5)
    assert.equal(few.at(-1), '28 more')
    assert.deepEqual(cpuBarLines([], plain), [])
  })

  test('no line is ever longer than the terminal is wide, nor are there more than it has', (t) => {
    const random = seededRandom(t)
    for (let round = 0; round < 1000; round++) {
      const columns = random.between(1, 200)
      const rows = random.between(1, 50)
      const loads = Array.from({ length: random.between(0, 300) }, (_, cpu) => {
        const user = random.between(0, 100) / 100
        return load(cpu, { user, softirq: (1 - user) * (random.between(0, 100) / 100) })
      })
      const lines = cpuBarLines(loads, { columns, rows, colours: random.oneIn(2) })
      assert.ok(lines.length <= rows, `${lines.length} lines of ${rows}`)
      for (const line of lines) assert.ok(line.replaceAll('\x1b', '^').replaceAll(/\^\[\d+m/g, '').length <= columns, `${columns} columns: ${line}`)
    }
  })
})
