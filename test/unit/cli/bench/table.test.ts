import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bar, formatTable } from '#src/cli/bench/table.js'
import { sampleResult } from './sample.js'

const WIDE = { columns: 140, color: false }

test('bar fills eighths of a character', () => {
  assert.equal(bar(10, 10, 4), '████')
  assert.equal(bar(5, 10, 4), '██')
  assert.equal(bar(1, 32, 4), '▏')
  assert.equal(bar(0, 10, 4), '')
  assert.equal(bar(0, 0, 4), '')
})

test('each rung has a line, and its twin another with no rung of its own', () => {
  const lines = formatTable(sampleResult(), WIDE)
  const rung = lines.find((line) => line.startsWith('ring+fanout')) ?? ''
  assert.match(rung, /3\.07 M +3\.07 M +█+▌ +0 +0 +12 ns +2 ns +1\.08 +1\.04–1\.13$/)
  const twins = lines.filter((line) => line.startsWith('  ring.c'))
  assert.equal(twins.length, 4)
  assert.match(lines.find((line) => line.startsWith('xdp generic')) ?? '', /2\.00 M +2\.00 M +█+▊ +0 +0 +9 ns +3 ns +1\.00 +0\.96–1\.05$/)
  assert.match(lines.find((line) => line.startsWith('  xdp.c -g ')) ?? '', /2\.20 M +2\.00 M/)
  assert.match(lines.find((line) => line.startsWith('kernel count')) ?? '', /9\.10 M +9\.10 M +█+ +0 +0 +0 ns +0 ns$/)
})

test('the ladder fits the terminal: bars beside the figures, or else above them', () => {
  const ladder = (columns: number) => formatTable(sampleResult(), { columns, color: false }).slice(2, 40)
  for (const columns of [80, 100, 120, 200]) {
    const lines = ladder(columns).filter((line) => /^(?: {2})?(?:ring|recv|xdp|kernel)/.test(line))
    assert.ok(
      lines.every((line) => line.length <= columns),
      `${columns}`,
    )
    assert.ok(lines.some((line) => line.includes('█')))
  }
  assert.ok(ladder(120).some((line) => line.includes('█') && line.includes(' ns')))
  assert.ok(!ladder(80).some((line) => line.includes('█') && line.includes(' ns')))
  assert.ok(!ladder(80).some((line) => line.includes('offered')))
})

test('without twins there is no ratio', () => {
  const result = sampleResult()
  for (const rung of result.rungs) delete rung.reference
  assert.ok(!formatTable(result, WIDE).some((line) => line.includes('ours/C')))
})

test('unaccounted packets are said in words, and in red on a terminal', () => {
  const result = sampleResult()
  assert.ok(formatTable(result, WIDE).some((line) => line.startsWith('every frame is accounted for')))
  result.rungs[2].unaccounted = 3
  assert.match(formatTable(result, WIDE).at(-1) ?? '', /^NOT ACCOUNTED FOR: 3 packets on ring$/)
  assert.ok(formatTable(result, { columns: 140, color: true }).at(-1)?.startsWith('\u001b[31m'))
})

test('a bench that ended early says so', () => {
  const lines = formatTable({ ...sampleResult(), rungs: [], complete: false }, WIDE)
  assert.ok(lines.some((line) => line.startsWith('ended early')))
})
