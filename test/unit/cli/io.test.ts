/** A command's streams and signals as a terminal shows them: script(1) makes one, and here is its screen. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { type TestContext, test } from 'node:test'

const SCRIPT = '/usr/bin/script'
const moduleText = (name: string) => JSON.stringify(import.meta.resolve(name))

/** Draws bars until it is told to stop, then takes them away. */
const PROGRAM = `
import { processIo } from ${moduleText('#src/cli/io.js')}
import { LiveBars } from ${moduleText('#src/cli/live-bars.js')}
const io = processIo()
const bars = new LiveBars(io)
const loads = [0, 1, 2].map((cpu) => ({ cpu, user: 0.5, nice: 0, system: 0, idle: 0.5, iowait: 0, irq: 0, softirq: 0, steal: 0 }))
if (process.argv[1] !== 'bare') bars.draw(['a line'], loads)
bars.erase()
io.out('ready ' + io.columns + ' ' + io.rows)
if (process.argv[1] !== 'bare') { bars.draw(['another'], loads); bars.draw([], loads) }
const keep = setInterval(() => {}, 1000)
io.signal.addEventListener('abort', () => {
  clearInterval(keep)
  bars.erase()
  io.out('the end')
})
`

/** What stands on the screen after these bytes; of an escape character stands ~ there, which nothing else has. */
function screen(text: string): string[] {
  const lines = ['']
  let row = 0
  let column = 0
  for (const [token] of text.replaceAll('\x1b', '~').matchAll(/~\[\d*[A-Za-z]|\r|\n|[^~\r\n]+/g)) {
    const up = /^~\[(\d+)([AF])$/.exec(token)
    if (up !== null) {
      row = Math.max(0, row - Number(up[1]))
      if (up[2] === 'F') column = 0
    } else if (token === '~[J') {
      lines[row] = (lines[row] as string).slice(0, column)
      lines.length = row + 1
    } else if (token === '\r') column = 0
    else if (token === '\n') {
      row++
      lines[row] ??= ''
    } else if (!token.startsWith('~')) {
      const line = (lines[row] as string).padEnd(column)
      lines[row] = line.slice(0, column) + token + line.slice(column + token.length)
      column += token.length
    }
  }
  return lines
}

async function onTerminal(t: TestContext, size: string, what: string, environment: Record<string, string> = {}): Promise<string | undefined> {
  if (!existsSync(SCRIPT)) {
    t.skip('needs script(1), which makes a terminal')
    return undefined
  }
  const child = spawn(SCRIPT, ['-qec', `stty echo echoctl ${size}; exec "$NODE" --input-type=module -e "$PROGRAM" ${what}`, '/dev/null'], {
    env: { ...process.env, NO_COLOR: '1', TERM: 'xterm', ...environment, NODE: process.execPath, PROGRAM },
  })
  const closed = once(child, 'close')
  let text = ''
  let isTold = false
  child.stdout.setEncoding('utf8').on('data', (part: string) => {
    text += part
    // As the key does it: the terminal shows it, and sends the signal. The last bars come in one piece with what is before them, or soon after.
    if (isTold || !/ready/.test(text)) return
    isTold = true
    setTimeout(() => child.stdin.write('\x03'), 300)
  })
  await closed
  return text
}

test('Ctrl-C with bars on the screen leaves nothing of them', { timeout: 30_000 }, async (t) => {
  const text = await onTerminal(t, 'cols 60 rows 20', 'bars')
  if (text === undefined) return
  assert.match(text, /\^C/, 'the terminal shows the key')
  assert.deepEqual(screen(text), ['a line', 'ready 60 20', 'another', 'the end', ''], JSON.stringify(text))
})

test('without bars, what comes after Ctrl-C begins a line', { timeout: 30_000 }, async (t) => {
  const text = await onTerminal(t, 'cols 60 rows 20', 'bare')
  if (text === undefined) return
  assert.deepEqual(screen(text), ['ready 60 20', '^C', 'the end', ''], JSON.stringify(text))
})

test('a terminal that does not know its size, as a serial console, is taken for one of 80 by 24', { timeout: 30_000 }, async (t) => {
  const text = await onTerminal(t, 'cols 0 rows 0', 'bars')
  if (text === undefined) return
  assert.match(text, /ready 80 24/)
  assert.match(text, /2\[u+ +50\.0%\]/)
})
