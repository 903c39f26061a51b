/** Signals, to the command as a process of its own. What needs packets is in test/live/cli.test.ts. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { pcapFile } from '../../support/pcap-file.js'

const MAIN = fileURLToPath(new URL('../../../../dist/cli/main.js', import.meta.url))
const FILE = pcapFile(1, [new Uint8Array(60)])

interface Running {
  child: ChildProcess
  said: () => string
  ended: Promise<[status: number | null, signal: NodeJS.Signals | null]>
}

/** A shell's SIGHUP, and the file that nohup may write, must not stand in the way of a test. */
function start(t: TestContext, command: readonly string[], cwd = tmpdir()): Running {
  const child = spawn(command[0] as string, command.slice(1), { stdio: 'pipe', cwd, env: { ...process.env, _: command[0] as string } })
  t.after(() => child.kill('SIGKILL'))
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  child.stdin.on('error', () => {})
  return { child, said: () => said, ended: once(child, 'close') as Running['ended'] }
}

async function until(what: string, condition: () => boolean): Promise<void> {
  for (let i = 0; !condition(); i++) {
    if (i === 500) assert.fail(`in 5 s: ${what}`)
    await sleep(10)
  }
}

/** Waits for its stdin when it has printed the first packet. */
async function reading(t: TestContext, before: readonly string[] = [], ...argv: string[]): Promise<Running> {
  const running = start(t, [...before, process.execPath, MAIN, 'read', '-', ...argv])
  running.child.stdin?.write(FILE)
  await until('it has begun to read', () => running.said().includes('\n'))
  return running
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  test(`${signal} ends a command as its own end would`, async (t) => {
    const running = await reading(t)
    running.child.kill(signal)
    assert.deepEqual(await running.ended, [0, null])
  })

  test(`${signal} to read -w: the file is there, and no other`, async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'ringtap-'))
    t.after(() => rmSync(folder, { recursive: true }))
    const running = start(t, [process.execPath, MAIN, 'read', '-', '-w', 'hr.pcap'], folder)
    running.child.stdin?.write(FILE)
    await until('it writes', () => readdirSync(folder).length > 0)
    await sleep(100)
    running.child.kill(signal)
    assert.deepEqual(await running.ended, [0, null])
    assert.deepEqual(readdirSync(folder), ['hr.pcap'])
    assert.equal(readFileSync(join(folder, 'hr.pcap')).length, FILE.length)
  })
}

test('SIGTERM to read -w where a file has the name: it stays, and that is no success', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'ringtap-'))
  t.after(() => rmSync(folder, { recursive: true }))
  writeFileSync(join(folder, 'hr.pcap'), 'as it was')
  const running = start(t, [process.execPath, MAIN, 'read', '-', '-w', 'hr.pcap'], folder)
  running.child.stdin?.write(FILE)
  await until('it writes', () => readdirSync(folder).length > 1)
  await sleep(100)
  running.child.kill('SIGTERM')
  assert.deepEqual(await running.ended, [1, null])
  assert.deepEqual(readdirSync(folder).sort(), ['hr.pcap', 'hr.pcap.partial'])
  assert.equal(readFileSync(join(folder, 'hr.pcap'), 'utf8'), 'as it was')
  assert.match(running.said(), /1 packet written to hr\.pcap\.partial; hr\.pcap is left as it was/)
})

test('SIGHUP twice, of a terminal and of its shell, is no second word', async (t) => {
  const running = await reading(t)
  running.child.kill('SIGHUP')
  running.child.kill('SIGHUP')
  assert.deepEqual(await running.ended, [0, null])
})

test('SIGUSR1 and SIGUSR2 end no command and open no debugger', async (t) => {
  const running = await reading(t)
  for (const signal of ['SIGUSR1', 'SIGUSR2', 'SIGUSR1'] as const) {
    running.child.kill(signal)
    await sleep(50)
  }
  running.child.stdin?.end()
  assert.deepEqual(await running.ended, [0, null])
  assert.doesNotMatch(running.said(), /Debugger/)
})

describe('nohup', { skip: spawnSync('nohup', ['true'], { stdio: 'ignore' }).status === 0 ? false : 'no nohup' }, () => {
  test('goes on after SIGHUP, and ends by others', async (t) => {
    const running = await reading(t, ['bash', '-c', 'nohup "$@"; exit $?', 'bash'])
    const [pid] = readFileSync(`/proc/${running.child.pid}/task/${running.child.pid}/children`, 'latin1').split(' ')
    process.kill(Number(pid), 'SIGHUP')
    await sleep(200)
    assert.equal(running.child.exitCode, null)
    process.kill(Number(pid), 'SIGTERM')
    assert.deepEqual(await running.ended, [0, null])
  })

  test('a shell that ignores SIGHUP', async (t) => {
    const running = await reading(t, ['sh', '-c', 'trap "" HUP; "$@"; exit $?', 'sh'])
    const [pid] = readFileSync(`/proc/${running.child.pid}/task/${running.child.pid}/children`, 'latin1').split(' ')
    process.kill(Number(pid), 'SIGHUP')
    await sleep(200)
    assert.equal(running.child.exitCode, null)
    running.child.stdin?.end()
    assert.deepEqual(await running.ended, [0, null])
  })
})

/** Node.js is up, and this program is not: what is loaded first takes its time. */
async function tooEarly(t: TestContext, signal: NodeJS.Signals, ...argv: string[]): Promise<Running> {
  const folder = mkdtempSync(join(tmpdir(), 'ringtap-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const slow = join(folder, 'slow.cjs')
  writeFileSync(slow, "require('fs').writeSync(2, 'up\\n'); const end = Date.now() + 500; while (Date.now() < end);")
  const running = start(t, [process.execPath, '--inspect-port=0', '--require', slow, MAIN, ...argv])
  await until('Node.js is up', () => running.said().includes('up\n'))
  running.child.kill(signal)
  return running
}

test('SIGUSR1: the debugger that Node.js has opened is closed', async (t) => {
  const running = await tooEarly(t, 'SIGUSR1', 'read', '-')
  await until('Node.js has opened it', () => /Debugger listening on/.test(running.said()))
  const port = Number(/ws:\/\/127\.0\.0\.1:(\d+)/.exec(running.said())?.[1])
  running.child.stdin?.write(FILE)
  await until('it reads', () => /\d\d:\d\d:\d\d\.\d+ /.test(running.said()))
  let outcome: string | undefined
  // A moment after it was opened, which may be after all this.
  for (let i = 0; i < 50 && outcome !== 'ECONNREFUSED'; i++) {
    const socket = connect(port, '127.0.0.1')
    outcome = await once(socket, 'connect').then(
      () => 'open',
      (error: NodeJS.ErrnoException) => error.code,
    )
    socket.destroy()
    await sleep(100)
  }
  assert.equal(outcome, 'ECONNREFUSED')
  running.child.stdin?.end()
  assert.deepEqual(await running.ended, [0, null])
})
