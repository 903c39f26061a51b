/** What is seen on a terminal: its screen, as the sequences leave it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LiveBars } from '#src/cli/live-bars.js'
import type { CpuLoad } from '#src/host/index.js'

const HALF: CpuLoad = { cpu: 0, user: 0.5, nice: 0, system: 0, idle: 0.5, iowait: 0, irq: 0, softirq: 0, steal: 0 }
const LEGEND = 'n nice  u user  s system  i irq  q softirq  t steal'

/** Escape as a terminal echoes it: nothing else here has this character. */
function visible(text: string): string {
  return text.replaceAll('\x1b', '^')
}

/** Knows what the bars use: cursor up, to the start of a line so many above, erase below. The screen is never full. */
function screen(text: string): string[] {
  const lines = ['']
  let row = 0
  for (const [token] of visible(text).matchAll(/\^\[\d*[A-Za-z]|\n|[^^\n]+/g)) {
    const up = /^\^\[(\d+)[AF]$/.exec(token)
    if (up !== null) row = Math.max(0, row - Number(up[1]))
    else if (token === '^[J') lines.splice(row, lines.length, '')
    else if (token === '\n') {
      row++
      lines[row] ??= ''
    } else if (!token.startsWith('^')) lines[row] = token
  }
  return lines
}

function terminal(isTerminal: boolean, environment: Record<string, string> = { NO_COLOR: '1' }) {
  const lines: string[] = []
  const held: boolean[] = []
  const io = { out: (line: string) => lines.push(line), isTerminal, columns: 60, rows: 24, holdCursor: (isHeld: boolean) => held.push(isHeld) }
  return { bars: new LiveBars(io, environment), io, held, written: () => lines.map((line) => `${line}\n`).join('') }
}

test('on a terminal the bars stay below the lines', () => {
  const { bars, written } = terminal(true)
  bars.draw(['first'], [HALF])
  bars.draw(['second'], [HALF])
  bars.draw([], [HALF])
  const seen = screen(written())
  assert.deepEqual(seen.slice(0, 3), ['first', 'second', LEGEND])
  assert.match(seen[3] as string, /^0\[u+ +50\.0%\]$/)
  assert.deepEqual(seen.slice(4), [''])
})

test('erased, they leave no trace, and what comes then stands where they were', () => {
  const { bars, io, written } = terminal(true)
  bars.draw(['first'], [HALF])
  bars.erase()
  bars.erase()
  io.out('an event')
  bars.draw(['second'], [HALF])
  bars.erase()
  io.out('a summary')
  assert.deepEqual(screen(written()), ['first', 'an event', 'second', 'a summary', ''])
})

test('nothing of the terminal is changed that would have to be put back', () => {
  const { bars, written } = terminal(true)
  bars.draw(['first'], [HALF])
  bars.draw(['second'], [HALF])
  bars.erase()
  for (const [sequence] of visible(written()).matchAll(/\^\[[^A-Za-z]*[A-Za-z]/g)) assert.match(sequence, /^\^\[(\d+F|J|1A)$/)
})

test('elsewhere they are lines like others, the legend once', () => {
  const { bars, written } = terminal(false)
  bars.draw(['first'], [HALF])
  bars.draw(['second'], [HALF])
  bars.erase()
  const lines = written().trimEnd().split('\n')
  assert.deepEqual([lines[0], lines[1], lines[3]], ['first', LEGEND, 'second'])
  assert.equal(lines.length, 5)
  assert.ok(!written().includes('\x1b'))
})

test('a terminal that cannot move its cursor has lines as a file has them, no longer than it is wide', () => {
  const { bars, io, held, written } = terminal(true, { TERM: 'dumb' })
  io.rows = 3
  const loads = Array.from({ length: 40 }, (_, cpu) => ({ ...HALF, cpu }))
  bars.draw(['first'], loads)
  bars.draw(['second'], loads)
  bars.erase()
  assert.ok(!written().includes('\x1b'))
  assert.equal(written().split(LEGEND).length, 2)
  assert.match(written(), /39\[/)
  for (const line of written().split('\n')) assert.ok(line.length < 60, line)
  assert.ok(!held.includes(true))
})

test('the cursor is held as long as bars stand above it', () => {
  const { bars, held } = terminal(true)
  bars.draw(['first'], [])
  assert.equal(held.at(-1), false)
  bars.draw(['first'], [HALF])
  assert.equal(held.at(-1), true)
  bars.erase()
  assert.equal(held.at(-1), false)
})

test('a machine that does not tell has no bars, and its lines are printed', () => {
  const { bars, written } = terminal(true)
  bars.draw(['first'], [])
  bars.draw(['second'], [])
  assert.equal(written(), 'first\nsecond\n')
})
