/** `ringtap capture --ledger` and `--cpu-bars` as their users run them: a process of its own, a terminal of its own. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { CaptureSummary, Ledger } from '#src/index.js'
import { createTestbed, type Testbed } from '#src/testbed/index.js'
import { handlerUrl, inNamespace, live, RawSender, until } from '../support/live.js'

const MAIN = fileURLToPath(new URL('../../../dist/cli/main.js', import.meta.url))

function commandOf({ receiver }: Testbed, ...more: string[]): string[] {
  return [MAIN, 'capture', '-i', receiver.interface, '--netns', receiver.netns, ...more]
}

interface Run {
  child: ChildProcess
  text: () => string
  ended: Promise<unknown>
}

function start(program: string, argv: readonly string[]): Run {
  const child = spawn(program, argv, { stdio: ['ignore', 'pipe', 'pipe'] })
  let text = ''
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (part: string) => (text += part))
  return { child, text: () => text, ended: once(child, 'close') }
}

/** Captures 500 numbered packets. */
async function captured(testbed: Testbed, ...more: string[]): Promise<string> {
  using sender = new RawSender(testbed.sender)
  const { child, text, ended } = start(process.execPath, commandOf(testbed, ...more))
  await until('it listens', () => /listening on|"type":"start"/.test(text()))
  sender.sendNumbered(500)
  // What is in the ring when it is told to stop is delivered.
  await until('a line is printed', () => /pps|"type":"interval"/.test(text()), 20_000)
  child.kill('SIGINT')
  await ended
  assert.equal(child.exitCode, 0, text())
  return text()
}

live('--ledger prints the table and its equations', async () => {
  using testbed = createTestbed({ queues: 1 })
  const text = await captured(testbed, '--interval', '200ms', '--ledger', '-v')
  const name = testbed.receiver.interface
  assert.match(text, new RegExp(`^\\+ +500 +received by ${name} +rtnl_link_stats64 of ${name}: rx_packets +ringtap_received_total`, 'm'))
  assert.match(text, /^= +500 +delivered, worker 0 /m)
  assert.match(text, /^- +0 +ring full, worker 0 +PACKET_STATISTICS tp_drops of worker 0 /m)
  assert.match(text, new RegExp(`^${name}: 500 in - 0 lost - 0 elsewhere - 500 delivered = residual 0$`, 'm'))
  // Load of each CPU with each line, and in the end.
  assert.match(text, /^ {10}cpu 0 +user \d+% +system \d+% +softirq \d+%/m)
  assert.match(text, /^cpu 0 +user \d+% +system \d+% +softirq \d+%/m)
})

live('--json has the ledger in the summary, and the load of each CPU in every line', async () => {
  using testbed = createTestbed({ queues: 1 })
  const text = await captured(testbed, '--interval', '200ms', '--ledger', '--json')
  const documents = text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { type: string; cpus?: { cpu: number }[] })
  const summary = documents.at(-1) as unknown as CaptureSummary & { ledger: Ledger; cpus: Ledger['cpus'] }
  const online = (readFileSync('/proc/stat', 'utf8').match(/^cpu\d/gm) ?? []).length
  for (const { type, cpus } of documents) if (type === 'interval' || type === 'summary') assert.equal(cpus?.length, online)
  assert.deepEqual([summary.packets, summary.ledger.settled, summary.ledger.residual, summary.ledger.sockets.delivered], [500, true, 0, 500])
})

/** The interface goes away after 300 numbered packets, or the handler throws over the first of them. */
async function failed(how: 'removed' | 'thrown', ...more: string[]): Promise<{ text: string; out: string; status: number | null }> {
  using testbed = createTestbed({ queues: 1 })
  using sender = new RawSender(testbed.sender)
  const { netns, interface: name } = testbed.receiver
  const throws = ['--handler', fileURLToPath(handlerUrl('misbehave')), '--handler-data', '{"where":"packet"}']
  const { child, text, ended } = start(process.execPath, commandOf(testbed, '--interval', '200ms', '--ledger', ...(how === 'thrown' ? throws : []), ...more))
  let out = ''
  child.stdout?.on('data', (part: string) => (out += part))
  await until('it listens', () => /listening on|"type":"start"/.test(text()))
  sender.sendNumbered(300)
  if (how === 'removed') {
    await until('a line is printed', () => /pps|"type":"interval"/.test(text()), 20_000)
    inNamespace(netns, 'ip', 'link', 'del', name)
  }
  await ended
  return { text: text(), out, status: child.exitCode }
}

live('a capture that ends by an error has its summary and its ledger, and then the error', async () => {
  for (const [how, delivered, code] of [
    ['removed', 300, 'INTERFACE_REMOVED'],
    ['thrown', 0, 'HANDLER_FAILED'],
  ] as const) {
    const { text, out, status } = await failed(how)
    assert.equal(status, 1, text)
    assert.match(text, new RegExp(`^${delivered} packets captured$[^]*^ringtap: `, 'm'))
    assert.match(out, /^ledger of /m)
    assert.match(out, new RegExp(`^= +${delivered} +delivered, worker 0`, 'm'))
    assert.match(out, new RegExp(`^sockets: 300 offered - ${300 - delivered} dropped - ${delivered} delivered = residual 0$`, 'm'))

    const json = await failed(how, '--json')
    const documents = json.out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { type: string })
    const [summary, error] = documents.slice(-2) as unknown as [CaptureSummary & { type: string; ledger: Ledger }, { type: string; code: string }]
    assert.deepEqual([json.status, summary.type, summary.reason, summary.packets, error.type, error.code], [1, 'summary', 'failed', delivered, 'error', code])
    assert.deepEqual([summary.ledger.settled, summary.ledger.sockets.delivered, summary.ledger.sockets.residual], [true, delivered, 0])
  }
})

live('--cpu-bars on a terminal: drawn again in place, and whatever ends it, nothing of the terminal is left changed', async (t) => {
  if (!existsSync('/usr/bin/script')) return t.skip('needs script(1), which makes a terminal')
  for (const signal of ['SIGINT', 'SIGKILL'] as const) {
    using testbed = createTestbed({ queues: 1 })
    const command = commandOf(testbed, '--interval', '100ms', '--cpu-bars').map((word) => `'${word}'`)
    const pidOf = /pid (\d+)/
    const { text, ended } = start('/usr/bin/script', [
      '-qec',
      `stty cols 60 rows 20; sh -c 'echo pid $$; exec "$@"' sh ${process.execPath} ${command.join(' ')}`,
      '/dev/null',
    ])
    await until('bars are drawn three times', () => text().split('softirq').length > 3, 20_000)
    process.kill(Number(pidOf.exec(text())?.[1]), signal)
    await ended
    const shown = text().replaceAll('\x1b', '^')
    assert.match(shown, /\^\[\d+F\^\[J/, 'drawn in place')
    for (const [sequence] of shown.matchAll(/\^\[[^A-Za-z]*[A-Za-z]/g)) assert.match(sequence, /^\^\[(\d+F|J|1A|\d+m)$/)
    for (const line of shown.replaceAll(/\^\[\d+[mFA]|\^\[J|\r/g, '').split('\n')) {
      if (/^\d+\[/.test(line)) assert.ok(line.length <= 60, line)
    }
    if (signal === 'SIGINT') assert.match(shown, /\^\[J\^\[1A\r\n0 packets captured/, 'the bars are gone before the summary')
  }
})
