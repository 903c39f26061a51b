/** Files end in a whole record however their process is killed, and the guard that sees to it does not stay behind. */
import assert from 'node:assert/strict'
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { openSink, type SinkOptions } from '#src/file/open-sink.js'
import { capinfos, requireTools, tsharkFields } from '../../support/capture-tools.js'
import { seededRandom } from '../../support/random.js'
import { readStrictly } from '../../support/strict-capture.js'
import { HEADER, type WriterOptions } from './sink-writer.js'

const folder = mkdtempSync(join(tmpdir(), 'ringtap-guard-'))
after(() => rmSync(folder, { recursive: true, force: true }))

const PROGRAM = fileURLToPath(import.meta.resolve('./sink-writer.js'))

/** Starts a writer process; answers when its sink is open. */
async function startProcess(path: string, options: SinkOptions, writers: WriterOptions[]): Promise<{ child: ChildProcess; guardPid: number }> {
  const child = spawn(process.execPath, [PROGRAM, path, JSON.stringify(options), ...writers.map((writer) => JSON.stringify(writer))], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [text] = (await once(child.stdout as NodeJS.ReadableStream, 'data')) as [Buffer]
  return { child, guardPid: Number(text.toString()) }
}

/** Not there, or a zombie that nobody waits for. */
function isGone(pid: number): boolean {
  try {
    return /^\d+ \(.*\) [ZX]/.test(readFileSync(`/proc/${pid}/stat`, 'latin1'))
  } catch {
    return true
  }
}

/** It takes its name when it has taken the signals, and then looks at its stdin. */
function isUp(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1').startsWith('ringtap-guard')
  } catch {
    return false
  }
}

async function until(condition: () => boolean, milliseconds: number, what: string): Promise<void> {
  const deadline = performance.now() + milliseconds
  while (!condition()) {
    assert.ok(performance.now() < deadline, what)
    await sleep(5)
  }
}

/** The guard of a process that has just ended must be gone within a second; one that was only just started, a second after that. */
async function guardGone(pid: number): Promise<void> {
  await until(() => isGone(pid) || isUp(pid), 10_000, `guard ${pid} does not start`)
  await until(() => isGone(pid), 1000, `guard ${pid} outlives its process by a second`)
}

async function kill(child: ChildProcess): Promise<void> {
  const exited = once(child, 'exit')
  child.kill('SIGKILL')
  await exited
}

const ENDLESS: Omit<WriterOptions, 'writer'> = { appends: 0, recordsPerAppend: 700, packetBytes: 1500, pauseMs: 5 }

test('a process killed at any moment leaves whole records under the final name', { timeout: 120_000 }, async (t) => {
  if (!requireTools(t, 'tshark', 'capinfos')) return
  const random = seededRandom(t)
  for (let round = 0; round < 50; round++) {
    const path = join(folder, `killed${round}.pcap`)
    // Without a pause somebody is inside write(2) nearly always.
    const writer = round % 2 === 0 ? ENDLESS : { ...ENDLESS, pauseMs: 0 }
    const { child, guardPid } = await startProcess(path, {}, [
      { ...writer, writer: 0 },
      { ...writer, writer: 1 },
    ])
    assert.ok(guardPid > 0)
    await sleep(random.between(0, 120))
    await kill(child)
    await guardGone(guardPid)
    const { packets } = readStrictly(readFileSync(path))
    const next = [0, 0]
    for (const { bytes } of packets) {
      const view = new DataView(bytes.buffer, bytes.byteOffset)
      assert.equal(view.getUint32(4), next[view.getUint32(0)]++)
    }
    assert.match(capinfos(path), new RegExp(`Number of packets: +${packets.length}\\n`))
    assert.deepEqual(readdirSync(folder), [`killed${round}.pcap`])
    if (round % 10 === 0) assert.equal(tsharkFields(path, 'frame.number').length, packets.length)
    rmSync(path)
  }
})

test('killed inside a write(2), the file is cut to the append before; without a guard it is not', async () => {
  const writer: WriterOptions = { writer: 0, appends: 0, recordsPerAppend: 10, packetBytes: 84, dieIn: { append: 3, afterBytes: 555, how: 'process' } }
  const path = join(folder, 'inside.pcap')
  const { child, guardPid } = await startProcess(path, {}, [writer])
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  assert.equal(child.signalCode, 'SIGKILL')
  await guardGone(guardPid)
  assert.equal(readStrictly(readFileSync(path)).packets.length, 30)

  const bare = join(folder, 'bare.pcap')
  const unguarded = await startProcess(bare, { guard: false }, [writer])
  assert.equal(unguarded.guardPid, 0)
  if (unguarded.child.exitCode === null && unguarded.child.signalCode === null) await once(unguarded.child, 'exit')
  await sleep(50)
  assert.ok(!existsSync(bare))
  const part = readdirSync(folder).find((name) => name.startsWith('.bare.pcap.')) as string
  assert.equal(statSync(join(folder, part)).size, HEADER.byteLength + 3 * 1000 + 555)
  assert.throws(() => readStrictly(readFileSync(join(folder, part))))
  rmSync(join(folder, part))
})

test('one guard serves all files of a rotation; the one that was only made ready goes', async () => {
  const path = join(folder, 'series.pcap')
  const { child, guardPid } = await startProcess(path, { rotation: { sizeBytes: 3_000_000, files: 4 } }, [
    { ...ENDLESS, writer: 0 },
    { ...ENDLESS, writer: 1 },
  ])
  // In the middle of it, as soon as there are two.
  await until(() => existsSync(`${path}1`), 10_000, 'no second file')
  await kill(child)
  await guardGone(guardPid)
  const names = readdirSync(folder).filter((name) => name.includes('series'))
  assert.ok(names.length >= 2, names.join())
  assert.ok(
    names.every((name) => /^series\.pcap\d$/.test(name)),
    names.join(),
  )
  for (const name of names) assert.ok(readStrictly(readFileSync(join(folder, name))).packets.length > 0)
})

test('killed, a file that replaces none gets the next number', async () => {
  const path = join(folder, 'numbered.pcap')
  const numbered = { before: join(folder, 'numbered'), ending: '.pcap', number: 1 }
  const { child, guardPid } = await startProcess(path, { numbered }, [{ ...ENDLESS, writer: 0 }])
  for (const name of ['numbered.pcap', 'numbered-2.pcap']) writeFileSync(join(folder, name), 'of another')
  const part = join(folder, `.numbered.pcap.${child.pid}.part`)
  await until(() => statSync(part).size > 2_000_000, 10_000, 'nothing is written')
  await kill(child)
  await guardGone(guardPid)
  for (const name of ['numbered.pcap', 'numbered-2.pcap']) assert.equal(readFileSync(join(folder, name), 'utf8'), 'of another')
  assert.ok(readStrictly(readFileSync(join(folder, 'numbered-3.pcap'))).packets.length > 0)
  assert.deepEqual(
    readdirSync(folder).filter((name) => name.includes('numbered') && name.endsWith('.part')),
    [],
  )
})

test('signals to the whole group do not end the guard before its process', async () => {
  const path = join(folder, 'group.pcap')
  const { child, guardPid } = await startProcess(path, {}, [{ ...ENDLESS, writer: 0 }])
  await until(() => isUp(guardPid), 10_000, 'the guard does not start')
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.kill(guardPid, signal)
  await sleep(50)
  assert.ok(!isGone(guardPid))
  await kill(child)
  await guardGone(guardPid)
  readStrictly(readFileSync(path))
})

test('a sink that is closed has no guard any more, a pipe none at all', async () => {
  const path = join(folder, 'closed.pcap')
  const before = readdirSync('/proc/self/fd').length
  for (let turn = 0; turn < 3; turn++) {
    const sink = await openSink(path, { header: () => HEADER })
    const pid = sink.guardPid as number
    assert.ok(!isGone(pid))
    await sink.close()
    assert.ok(isGone(pid))
    assert.equal(statSync(path).size, HEADER.byteLength)
  }
  const sink = await openSink('/dev/null', { header: () => HEADER })
  assert.equal(sink.guardPid, undefined)
  await sink.close()
  assert.equal(readdirSync('/proc/self/fd').length, before)
})

test('a guard that dies is told, and its files are written without it', async () => {
  const warnings: string[] = []
  const path = join(folder, 'orphan.pcap')
  const sink = await openSink(path, { header: () => HEADER, onEvent: (event) => event.type === 'file-warning' && warnings.push(event.message) })
  process.kill(sink.guardPid as number, 'SIGKILL')
  await until(() => warnings.length > 0, 10_000, 'no warning')
  assert.match(warnings.join(), /^the process that guards against a kill does not run: it ended with SIGKILL$/)
  assert.equal(sink.append(new Uint8Array(16), 16), 0)
  await sink.close()
  assert.equal(statSync(path).size, HEADER.byteLength + 16)
})

test('the guard neither takes our loader nor holds our folder', async () => {
  const path = join(folder, 'small.pcap')
  const sink = await openSink(path, { header: () => HEADER })
  const pid = sink.guardPid as number
  await until(() => isUp(pid), 10_000, 'the guard does not start')
  assert.equal(execFileSync('readlink', [`/proc/${pid}/cwd`], { encoding: 'utf8' }).trim(), '/')
  const descriptors = readdirSync(`/proc/${pid}/fd`).map((fd) => execFileSync('readlink', [`/proc/${pid}/fd/${fd}`], { encoding: 'utf8' }).trim())
  assert.ok(!descriptors.some((target) => target.includes(folder)), descriptors.join())
  await sink.close()
})
