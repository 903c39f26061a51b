/** Where recordings go: series of files, pipes, commands, a kill, a user; whatever happens, files are whole and every frame is accounted for. */
import assert from 'node:assert/strict'
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  createReadStream,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'
import type { CaptureEvent, CaptureOptions, CaptureSummary } from '#src/capture/api.js'
import { openCaptureFile } from '#src/reader.js'
import { createTestbed, startFlood, type Testbed } from '#src/testbed/index.js'
import { type ReadFile, readCaptureFile } from '../support/capture-file.js'
import {
  assertAccount,
  caughtUp,
  hasXdpProgram,
  inNamespace,
  live,
  NUMBERED,
  openOn,
  promiscuity,
  RawSender,
  range,
  settledWire,
  until,
} from '../support/live.js'
import { seededRandom } from '../support/random.js'

const MAIN = fileURLToPath(new URL('../../../dist/cli/main.js', import.meta.url))
const NOBODY = 65534

function inFolder(name: string, run: (folder: string, t: TestContext) => Promise<void>): void {
  live(name, async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'ringtap-series-'))
    try {
      await run(folder, t)
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
}

/** Files of a folder by name, each whole, and counted by capinfos, too. */
function readAll(folder: string): Map<string, ReadFile> {
  const names = readdirSync(folder).sort()
  return new Map(
    names.map((name) => {
      const path = join(folder, name)
      const bytes = readFileSync(path)
      const read = readCaptureFile(name.endsWith('.gz') ? gunzipSync(bytes) : bytes)
      const told = execFileSync('capinfos', ['-c', '-M', '-T', '-r', path], { encoding: 'utf8' })
      assert.equal(Number(told.trim().split('\t').at(-1)), read.packets.length, `${name}: ${told}`)
      return [name, read]
    }),
  )
}

function total(files: Iterable<ReadFile>): number {
  return [...files].reduce((sum, { packets }) => sum + packets.length, 0)
}

function numbersOf(files: Iterable<ReadFile>): number[] {
  return [...files].flatMap(({ packets }) => packets.filter(({ bytes }) => bytes.readUInt16BE(12) === NUMBERED).map(({ bytes }) => bytes.readUInt32BE(14)))
}

/** What the capture says to others as well: every one of the events of files. */
function told(events: readonly CaptureEvent[], type: CaptureEvent['type']): string[] {
  return events.flatMap((event) => (event.type === type && 'path' in event ? [event.path] : []))
}

for (const way of [{ backend: 'ring', workers: 2 }, { backend: 'xdp' }, { backend: 'recv', workers: 2 }] satisfies Omit<CaptureOptions, 'interface'>[]) {
  for (const format of ['pcapng', 'pcap'] as const) {
    inFolder(`a flood over many files: ${format}, ${JSON.stringify(way)}`, async (folder, t) => {
      using testbed = createTestbed()
      const events: CaptureEvent[] = []
      const write = { path: join(folder, `flood.${format}`), rotation: { sizeBytes: 3_000_000 } }
      await using capture = await openOn(testbed, { ...way, write, onEvent: (event) => events.push(event) })
      await using flood = await startFlood({ ...testbed.sender, count: 400_000 })
      await flood.finished
      const wire = await settledWire(testbed)
      await caughtUp(capture, way.backend === 'xdp' ? 0 : wire.received)
      await sleep(300)
      const summary = await capture.stop()
      assertAccount(summary, wire.received)
      const files = readAll(folder)
      t.diagnostic(`${summary.writtenPackets} in ${files.size} files, drops ${JSON.stringify(summary.drops)}`)
      assert.ok(files.size >= 3, `${files.size}`)
      assert.equal(total(files.values()), summary.packets)
      const names = range(files.size).map((index) => join(folder, `flood.${format}${index === 0 ? '' : index}`))
      assert.deepEqual(told(events, 'file-finished'), names)
      assert.deepEqual(summary.files, names)
      let delivered = 0
      for (const [name, read] of files) {
        assert.ok(read.packets.length > 0, name)
        if (format === 'pcap') continue
        assert.deepEqual([read.interfaces.length, read.statistics.length], [1, 1], name)
      }
      if (format === 'pcap') return
      for (const name of names) {
        const { interfaces, statistics } = files.get(name.slice(folder.length + 1)) as ReadFile
        const [{ options }] = interfaces
        assert.deepEqual([options.get(2)?.toString(), options.get(6)?.length], [testbed.receiver.interface, 6])
        const now = Number(statistics[0].options.get(8)?.readBigUInt64LE(0))
        assert.ok(now >= delivered, 'statistics are those since the capture began')
        delivered = now
      }
      assert.equal(delivered, summary.writtenPackets)
      const first = execFileSync('capinfos', [names[0] as string], { encoding: 'utf8' })
      assert.match(first, /Capture application: +ringtap \d+\.\d+\.\d+/)
      assert.match(first, /Capture oper-sys: +Linux \d/)
      assert.match(first, /Capture hardware: +\S/)
    })
  }
}

inFolder('a ring of files, and of bytes: the newest stay', async (folder) => {
  using testbed = createTestbed()
  for (const [name, rotation] of [
    ['ring', { sizeBytes: 1_000_000, files: 3 }],
    ['keep', { sizeBytes: 1_000_000, keepBytes: 3_500_000 }],
  ] as const) {
    const events: CaptureEvent[] = []
    const path = join(folder, `${name}.pcap`)
    await using capture = await openOn(testbed, { workers: 2, filter: 'udp', write: { path, rotation }, onEvent: (event) => events.push(event) })
    await using flood = await startFlood({ ...testbed.sender, count: 100_000, ratePps: 100_000, kind: 'udp' })
    await flood.finished
    await settledWire(testbed)
    await caughtUp(capture, 100_000)
    await sleep(300)
    const summary = await capture.stop()
    assertAccount(summary, 100_000)
    const files = readdirSync(folder).filter((file) => file.startsWith(name))
    const finished = told(events, 'file-finished')
    assert.ok(finished.length >= 6, `${finished.length}`)
    assert.equal(summary.writtenPackets, 100_000)
    const bytes = files.reduce((sum, file) => sum + statSync(join(folder, file)).size, 0)
    const named = [...readAll(folder)].flatMap(([file, read]) => (file.startsWith(name) ? [read] : []))
    assert.equal(summary.packetsInFiles, total(named))
    assert.ok(summary.packetsInFiles < summary.writtenPackets)
    // Two that are full to the last buffer, and one that may just have begun.
    assert.ok(bytes <= 3_500_000 && bytes > 1_500_000, `${bytes}`)
    if (name === 'ring') assert.deepEqual(files.sort(), ['ring.pcap0', 'ring.pcap1', 'ring.pcap2'])
    else {
      assert.deepEqual(told(events, 'file-removed'), finished.slice(0, finished.length - files.length))
      assert.deepEqual(summary.files, finished.slice(-files.length))
    }
    for (const file of files) assert.ok(readCaptureFile(readFileSync(join(folder, file))).packets.length > 0)
  }
})

/** The command on the receiving end; `said` is what it prints as it comes. */
class Running {
  readonly child: ChildProcess
  out = ''
  err = ''
  readonly ended: Promise<[number | null, NodeJS.Signals | null]>

  constructor(testbed: Testbed, argv: readonly string[], stdout: 'pipe' | 'text' = 'text') {
    const { interface: name, netns } = testbed.receiver
    this.child = spawn(process.execPath, [MAIN, 'capture', '-i', name, '--netns', netns, ...argv], { stdio: ['ignore', 'pipe', 'pipe'] })
    this.ended = once(this.child, 'close') as typeof this.ended
    if (stdout === 'text')
      this.child.stdout?.setEncoding('utf8').on('data', (text: string) => {
        this.out += text
      })
    this.child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.err += text
    })
  }

  get pid(): number {
    return this.child.pid as number
  }

  async listening(): Promise<this> {
    await until(
      `it captures: ${this.err}`,
      () => this.err.includes('listening on') || this.out.includes('"type":"start"') || this.err.includes('"type":"start"'),
    )
    return this
  }

  documents(): Record<string, unknown>[] {
    const text = this.out.includes('"type"') ? this.out : this.err
    return text
      .split('\n')
      .filter((line) => line.startsWith('{') && line.endsWith('}'))
      .map((line) => JSON.parse(line) as Record<string, unknown>)
  }

  summary(): CaptureSummary {
    return this.documents().at(-1) as unknown as CaptureSummary
  }

  /** Processes that it has started. */
  children(): number[] {
    return readdirSync(`/proc/${this.pid}/task`).flatMap((task) =>
      readFileSync(`/proc/${this.pid}/task/${task}/children`, 'latin1').split(' ').filter(Boolean).map(Number),
    )
  }

  [Symbol.dispose](): void {
    if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill('SIGKILL')
  }
}

inFolder('files by time: every packet in one of them, in order; with a number of them the capture ends', async (folder) => {
  using testbed = createTestbed()
  using sender = new RawSender(testbed.sender)
  using running = new Running(testbed, ['-w', join(folder, 'x-%s.pcap'), '-G', '1', '-W', '3', '--json', '-q', `ether proto ${NUMBERED}`])
  await running.listening()
  let sent = 0
  while (running.child.exitCode === null && sent < 4000) {
    sender.sendNumbered(10, sent)
    sent += 10
    await sleep(20)
  }
  assert.deepEqual(await running.ended, [0, null], running.err)
  const summary = running.summary()
  assertAccount(summary)
  assert.equal(summary.reason, 'files')
  const files = readAll(folder)
  assert.equal(files.size, 3)
  assert.ok([...files.keys()].every((name) => /^x-\d{10}\.pcap$/.test(name)))
  const numbers = numbersOf(files.values())
  assert.deepEqual(numbers, range(numbers.length))
  assert.equal(numbers.length, summary.packets)
  assert.ok(numbers.length > 300 && sent - numbers.length < 400, `${numbers.length} of ${sent}`)
  assert.equal(running.documents().filter(({ event }) => event === 'files-full').length, 1)
})

inFolder('a command for each file, and the capture waits for the last of them', async (folder) => {
  using testbed = createTestbed()
  using running = new Running(testbed, ['-w', join(folder, 'x.pcapng'), '-C', '1M', '-z', 'gzip', '--workers', '2', '--json', '-q'])
  await running.listening()
  await using flood = await startFlood({ ...testbed.sender, count: 60_000, ratePps: 100_000 })
  await flood.finished
  await sleep(500)
  running.child.kill('SIGINT')
  assert.deepEqual(await running.ended, [0, null], running.err)
  const summary = running.summary()
  assertAccount(summary, 60_000)
  const files = readAll(folder)
  assert.ok(files.size >= 4 && [...files.keys()].every((name) => /^x\.pcapng\d*\.gz$/.test(name)), [...files.keys()].join())
  assert.equal(total(files.values()), summary.packets)
  assert.deepEqual(
    summary.files.toSorted(),
    [...files.keys()].map((name) => join(folder, name)),
  )
  assert.equal(summary.packetsInFiles, summary.packets)
})

for (const isJson of [false, true]) {
  inFolder(`a command that never ends: the account comes before it, and the next signal ends the waiting${isJson ? ', with --json' : ''}`, async (folder) => {
    using testbed = createTestbed()
    using sender = new RawSender(testbed.sender)
    const command = join(folder, 'command')
    const pids = `${command}.pids`
    writeFileSync(command, `#!/bin/sh\necho $$ >> ${pids}\nexec sleep 30\n`, { mode: 0o755 })
    using running = new Running(testbed, ['-w', join(folder, 'x.pcap'), '-C', '10K', '-z', command, '-q', ...(isJson ? ['--json'] : [])])
    await running.listening()
    for (const first of range(5)) sender.sendNumbered(100, first * 100)
    await sleep(400)
    running.child.kill('SIGINT')
    const said = () => running.err + running.out
    await until('it waits', () =>
      isJson ? said().includes('"commands-left"') : /500 packets captured\n(.*\n)*ringtap: waiting for \d+ commands; Ctrl-C leaves them\n/.test(said()),
    )
    await sleep(100)
    assert.equal(running.child.exitCode, null)
    running.child.kill('SIGINT')
    try {
      assert.deepEqual(await running.ended, [0, null], running.err)
      assert.match(said(), /command is not run for the last (file|\d+ files)/)
      if (isJson) assert.equal(running.summary().writtenPackets, 500)
      else assert.match(running.err, /500 packets written to /)
    } finally {
      for (const pid of readFileSync(pids, 'utf8').trim().split('\n')) process.kill(Number(pid), 'SIGKILL')
    }
  })
}

inFolder('-z gzip and --keep under a flood: what is there is what the summary names, and no command was begun for what is not', async (folder) => {
  using testbed = createTestbed()
  using running = new Running(testbed, ['-w', join(folder, 't.pcap'), '-C', '1M', '--keep', '4M', '-z', 'gzip', '--workers', '2', '--json', '-q'])
  await running.listening()
  await using flood = await startFlood({ ...testbed.sender, count: 300_000, ratePps: 200_000 })
  await flood.finished
  await sleep(300)
  running.child.kill('SIGINT')
  assert.deepEqual(await running.ended, [0, null], running.err)
  const summary = running.summary()
  const files = readAll(folder)
  assert.deepEqual(
    summary.files.toSorted(),
    [...files.keys()].map((name) => join(folder, name)),
  )
  assert.equal(total(files.values()), summary.packetsInFiles)
  // Those of the two that may have been under way.
  const begun = running.documents().filter(({ event }) => event === 'file-finished').length
  const complaints = running.err.match(/No such file/g) ?? []
  assert.ok(begun > 15 && complaints.length <= begun / 2, `${complaints.length} of ${begun}`)
})

for (const perWorker of [false, true]) {
  inFolder(`compressed by the workers${perWorker ? ', a file each' : ''}`, async (folder) => {
    using testbed = createTestbed()
    const path = join(folder, 'x.pcapng.gz')
    await using capture = await openOn(testbed, { workers: 2, write: { path, perWorker } })
    await using flood = await startFlood({ ...testbed.sender, count: 60_000, ratePps: 60_000 })
    await flood.finished
    const wire = await settledWire(testbed)
    await caughtUp(capture, wire.received)
    const summary = await capture.stop()
    assertAccount(summary, wire.received)
    const files = readAll(folder)
    assert.deepEqual([...files.keys()], perWorker ? ['x.0.pcapng.gz', 'x.1.pcapng.gz'] : ['x.pcapng.gz'])
    for (const name of files.keys()) execFileSync('gzip', ['-t', join(folder, name)])
    assert.equal(total(files.values()), summary.packets)
    for (const read of files.values()) assert.deepEqual([read.interfaces.length, read.statistics.length], [1, 1])
    const size = [...files.keys()].reduce((sum, name) => sum + statSync(join(folder, name)).size, 0)
    assert.ok(size < 60_000 * 60 && size - summary.writtenBytes < 1000, `${size} bytes, ${summary.writtenBytes} of records`)
  })
}

inFolder('kill -9 in a flood: whole files under their names, at most the last buffers missing, and nothing left of it', async (folder, t) => {
  using testbed = createTestbed()
  const random = seededRandom(t)
  await using flood = await startFlood({ ...testbed.sender, ratePps: 500_000 })
  for (let run = 0; run < 10; run++) {
    const here = mkdtempSync(join(folder, `${run}-`))
    const way = [
      ['--workers', '2'],
      ['--workers', '2', '-C', '2M'],
      ['--workers', '2', '--per-worker'],
      ['--backend', 'xdp', '--exclusive'],
      ['--workers', '2', '-C', '2M', '-Z', 'nobody'],
    ][run % 5] as string[]
    if (way.includes('-Z')) {
      chmodSync(folder, 0o755)
      chownSync(here, NOBODY, NOBODY)
    }
    using running = new Running(testbed, ['-w', join(here, 'x.pcapng'), '--json', '--interval', '20ms', ...way])
    await running.listening()
    await sleep(random.between(100, 800))
    const guards = running.children()
    assert.equal(guards.length, 1)
    running.child.kill('SIGKILL')
    await running.ended
    const killed = performance.now()
    const isThere = (pid: number) => existsSync(`/proc/${pid}`) && !/^State:\s+Z/m.test(statusOf(pid))
    await until('the guard is gone', () => !guards.some(isThere), 1000)
    const names = readdirSync(here)
    t.diagnostic(`${way.join(' ')}: ${names.length} files, guard gone after ${Math.round(performance.now() - killed)} ms`)
    assert.ok(names.length > 0 && names.every((name) => /^x(\.\d)?\.pcapng\d*$/.test(name)), names.join())
    const packets = total(names.map((name) => readCaptureFile(readFileSync(join(here, name)))))
    const last = running.documents().findLast(({ type }) => type === 'interval') as { total?: { writtenPackets: number } } | undefined
    assert.ok(packets >= (last?.total?.writtenPackets ?? 0), `${packets} in the files, ${last?.total?.writtenPackets} were said to be`)
    await until('the interface is as before', () => promiscuity(testbed.receiver) === 0 && !hasXdpProgram(testbed.receiver), 1000)
  }
  await flood.stop()
})

function statusOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/status`, 'latin1')
  } catch {
    return 'State:\tZ'
  }
}

inFolder('a FIFO whose reader is slow: what finds no room is lost by name, what is read is whole', async (folder) => {
  using testbed = createTestbed()
  const fifo = join(folder, 'fifo')
  execFileSync('mkfifo', [fifo])
  using running = new Running(testbed, ['-w', fifo, '--format', 'pcap', '--ring', '4M', '--block', '256K', '--json', '-q'])
  await sleep(300)
  assert.equal(running.out, '', 'it waits for a reader')
  const chunks: Buffer[] = []
  const reader = createReadStream(fifo, { highWaterMark: 65_536 })
  const read = (async () => {
    for await (const chunk of reader) {
      chunks.push(chunk as Buffer)
      if (chunks.length % 4 === 0) await sleep(5)
    }
  })()
  await running.listening()
  await using flood = await startFlood({ ...testbed.sender, count: 600_000 })
  await flood.finished
  const wire = await settledWire(testbed)
  await sleep(200)
  running.child.kill('SIGINT')
  assert.deepEqual(await running.ended, [0, null], running.err)
  await read
  const summary = running.summary()
  assertAccount(summary, wire.received)
  assert.ok(summary.drops.ring > 0, JSON.stringify(summary.drops))
  assert.equal(readCaptureFile(Buffer.concat(chunks)).packets.length, summary.packets)
  assert.deepEqual(summary.files, [fifo])
})

for (const format of ['pcapng', 'pcap'] as const) {
  inFolder(`-C of a tenth of what a buffer holds: no ${format} file is longer, and none is lost`, async (folder) => {
    using testbed = createTestbed()
    using running = new Running(testbed, ['-w', join(folder, `x.${format}`), '-C', '100KB', '--workers', '2', '--json', '-q'])
    await running.listening()
    await using flood = await startFlood({ ...testbed.sender, count: 40_000, ratePps: 20_000 })
    await flood.finished
    await settledWire(testbed)
    await sleep(400)
    running.child.kill('SIGINT')
    assert.deepEqual(await running.ended, [0, null], running.err)
    const summary = running.summary()
    assertAccount(summary)
    const files = readAll(folder)
    assert.ok(files.size > 20, `${files.size}`)
    const sizes = [...files.keys()].map((name) => statSync(join(folder, name)).size)
    assert.ok(Math.max(...sizes) <= 102_400, sizes.join())
    assert.equal(total(files.values()), summary.packets)
  })
}

inFolder('-C and --keep under a flood: what is left is what was last written, and no longer than it may be', async (folder, t) => {
  using testbed = createTestbed()
  const keepBytes = 8 * 2 ** 20
  using running = new Running(testbed, ['-w', join(folder, 'x.pcap'), '-C', '1', '--keep', `${keepBytes}`, '--json', '-q'])
  await running.listening()
  await using flood = await startFlood({ ...testbed.sender, count: 400_000, ratePps: 100_000 })
  let most = 0
  while (!(await Promise.race([flood.finished.then(() => true), sleep(5).then(() => false)]))) {
    const sizes = readdirSync(folder).map((name) => statSync(join(folder, name), { throwIfNoEntry: false })?.size ?? 0)
    most = Math.max(
      most,
      sizes.reduce((sum, size) => sum + size, 0),
    )
  }
  await sleep(400)
  running.child.kill('SIGINT')
  assert.deepEqual(await running.ended, [0, null], running.err)
  assertAccount(running.summary())
  const sizes = readdirSync(folder).map((name) => statSync(join(folder, name)).size)
  t.diagnostic(`${most} at the most, ${sizes.join()} at the end`)
  assert.ok(Math.max(...sizes) <= 1_000_000, sizes.join())
  assert.ok(sizes.reduce((sum, size) => sum + size, 0) <= keepBytes)
  // Names are listed and looked at one after the other: one that was renamed in between counts twice, or not at all.
  assert.ok(most > 4_000_000 && most <= keepBytes + 1_000_000, `${most}`)
})

/** Whole packets in a FIFO that somebody else has open, too. */
async function packetsIn(fifo: string): Promise<number> {
  const fd = openSync(fifo, constants.O_RDONLY | constants.O_NONBLOCK)
  const chunks: Buffer[] = []
  for (let chunk = Buffer.alloc(2 ** 20); ; chunk = Buffer.alloc(2 ** 20)) {
    const length = readSync(fd, chunk)
    if (length === 0) break
    chunks.push(chunk.subarray(0, length))
  }
  closeSync(fd)
  let packets = 0
  try {
    await using file = await openCaptureFile(Readable.from([Buffer.concat(chunks)]))
    for await (const batch of file.batches()) while (batch.next()) packets++
  } catch (error) {
    if ((error as { code?: string }).code !== 'INVALID_FILE') throw error
  }
  return packets
}

inFolder('a FIFO that nobody reads any more, though it is open: SIGINT ends the capture all the same', async (folder) => {
  using testbed = createTestbed()
  const fifo = join(folder, 'fifo')
  execFileSync('mkfifo', [fifo])
  for (const packets of [3, 50_000]) {
    using running = new Running(testbed, ['-w', fifo, '--json', '-q', '--workers', '2'])
    // Opens it for reading, and never reads.
    const holder = spawn('sh', ['-c', 'exec sleep 60 < "$0"', fifo], { stdio: 'ignore' })
    try {
      await running.listening()
      await using flood = await startFlood({ ...testbed.sender, count: packets, ratePps: 100_000 })
      await flood.finished
      const wire = await settledWire(testbed)
      await sleep(300)
      const began = performance.now()
      running.child.kill('SIGINT')
      const [status] = await running.ended
      assert.ok(performance.now() - began < 5000, `${performance.now() - began} ms`)
      const summary = running.summary()
      assertAccount(summary)
      assert.ok(wire.received >= summary.offered)
      const errors = running.documents().filter(({ event }) => event === 'write-error')
      // A pipe holds 64 KiB.
      if (packets > 1000) {
        assert.ok(summary.drops.writer > 0 && status === 1, JSON.stringify([status, summary.drops]))
        assert.deepEqual(
          errors.map(({ path, outlook }) => [path, outlook]),
          [[fifo, 'over']],
        )
        assert.match(String((errors[0]?.error as Record<string, unknown> | undefined)?.message), /fifo: its reader took nothing for 2 s/)
        assert.deepEqual([await packetsIn(fifo), summary.packets], [summary.writtenPackets, summary.writtenPackets])
        assert.ok(summary.writtenPackets > 100, `${summary.writtenPackets}`)
      } else assert.deepEqual([summary.packets, summary.drops.writer, status, errors], [3, 0, 0, []])
    } finally {
      holder.kill('SIGKILL')
    }
  }
})

inFolder('-w - into a socket that nobody reads: SIGINT ends the capture all the same', async () => {
  using testbed = createTestbed()
  using running = new Running(testbed, ['-w', '-', '--json', '-q'], 'pipe')
  await running.listening()
  await using flood = await startFlood({ ...testbed.sender, count: 100_000, ratePps: 200_000 })
  await flood.finished
  await sleep(300)
  const began = performance.now()
  running.child.kill('SIGINT')
  await once(running.child, 'exit')
  assert.ok(performance.now() - began < 5000, `${performance.now() - began} ms`)
  assertAccount(running.summary())
  assert.ok(running.summary().drops.writer > 0)
})

inFolder('a FIFO that nobody opens: SIGINT ends the waiting, and nothing is left', async (folder) => {
  using testbed = createTestbed()
  const fifo = join(folder, 'fifo')
  execFileSync('mkfifo', [fifo])
  using running = new Running(testbed, ['-w', fifo])
  await sleep(700)
  assert.equal(running.child.exitCode, null)
  running.child.kill('SIGINT')
  assert.deepEqual(await running.ended, [0, null])
  assert.deepEqual([running.out, running.err, promiscuity(testbed.receiver), readdirSync(folder)], ['', '', 0, ['fifo']])
})

inFolder('-w -: packets alone on stdout; a reader that goes away ends the capture', async (folder) => {
  using testbed = createTestbed()
  using sender = new RawSender(testbed.sender)
  const { interface: name, netns } = testbed.receiver
  const argv = `"$0" "${MAIN}" capture -i ${name} --netns ${netns} -w - ether proto ${NUMBERED}`
  const piped = spawn('sh', ['-c', `${argv} --json -U -c 50 2>${folder}/said | tshark -n -r - -T fields -e frame.len`, process.execPath], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  let lines = ''
  piped.stdout.setEncoding('utf8').on('data', (text: string) => {
    lines += text
  })
  const ended = once(piped, 'close')
  await until('it captures', () => existsSync(`${folder}/said`) && readFileSync(`${folder}/said`, 'utf8').includes('"type":"start"'))
  sender.sendNumbered(60)
  await ended
  assert.equal(lines, '60\n'.repeat(50))
  const said = readFileSync(`${folder}/said`, 'utf8').trimEnd().split('\n')
  const summary = JSON.parse(said.at(-1) as string) as CaptureSummary
  assert.deepEqual([summary.packets, summary.files, summary.writtenPackets], [50, ['-'], 50])

  const cut = spawn('sh', ['-c', `{ ${argv} -U; echo "status $?" >&2; } | head -c 1000 >${folder}/head`, process.execPath], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let err = ''
  cut.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text
  })
  await until('it captures', () => err.includes('listening on'))
  for (let number = 0; !err.includes('status') && number < 400; number++) {
    sender.sendNumbered(5, number)
    await sleep(20)
  }
  assert.match(err, /status 0/)
  assert.match(err, /packets? captured\n/)
  assert.doesNotMatch(err, /EPIPE|ECANCELED|warning/)
  assert.equal(statSync(`${folder}/head`).size, 1000)
})

for (const way of [
  ['--workers', '2'],
  ['--backend', 'xdp', '--exclusive'],
  ['--backend', 'recv'],
]) {
  inFolder(`-Z: ${way.join(' ')}`, async (folder) => {
    using testbed = createTestbed()
    chmodSync(folder, 0o755)
    const argv = ['-w', join(folder, 'x.pcapng'), '-C', '1M', '-Z', 'nobody', '--json', '-q', ...way]
    const refused = new Running(testbed, argv)
    assert.deepEqual(await refused.ended, [1, null])
    assert.match(refused.err, /x\.pcapng: open: EACCES .*, as user nobody\n/)
    assert.deepEqual([readdirSync(folder), promiscuity(testbed.receiver), hasXdpProgram(testbed.receiver)], [[], 0, false])

    chownSync(folder, NOBODY, NOBODY)
    using running = new Running(testbed, argv)
    await running.listening()
    const guard = running.children()
    assert.equal(guard.length, 1)
    await until('the guard is up', () => /^Uid:\t65534/m.test(statusOf(guard[0] as number)))
    for (const pid of [running.pid, ...guard]) {
      for (const task of readdirSync(`/proc/${pid}/task`)) {
        const status = readFileSync(`/proc/${pid}/task/${task}/status`, 'latin1')
        assert.match(status, /^Uid:\t65534\t65534\t65534\t65534$/m, `${pid} ${task}`)
        assert.match(status, /^Gid:\t65534\t65534\t65534\t65534$/m)
        assert.match(status, /^Groups:\t(65534 )?$/m)
        assert.match(status, /^CapEff:\t0+$/m)
        assert.match(status, /^CapPrm:\t0+$/m)
      }
    }
    await using flood = await startFlood({ ...testbed.sender, count: 60_000, ratePps: 60_000 })
    await flood.finished
    const wire = await settledWire(testbed)
    await sleep(400)
    running.child.kill('SIGINT')
    assert.deepEqual(await running.ended, [0, null], running.err)
    assertAccount(running.summary(), wire.received)
    const files = readAll(folder)
    assert.ok(files.size >= 4)
    assert.equal(total(files.values()), running.summary().packets)
    for (const name of files.keys()) assert.deepEqual([statSync(join(folder, name)).uid, statSync(join(folder, name)).gid], [NOBODY, NOBODY])
    assert.ok(!existsSync(`/proc/${guard[0]}`))
    assert.deepEqual([promiscuity(testbed.receiver), hasXdpProgram(testbed.receiver)], [0, false])
  })
}

inFolder('-Z of somebody who is not there; root changes nothing', async (folder) => {
  using testbed = createTestbed()
  using sender = new RawSender(testbed.sender)
  const refused = new Running(testbed, ['-Z', 'nobody-of-this-name'])
  assert.deepEqual(await refused.ended, [2, null])
  assert.match(refused.err, /the option --relinquish-privileges to be the name of a user, got 'nobody-of-this-name'/)
  using running = new Running(testbed, ['-w', join(folder, 'x'), '-Z', 'root', '-c', '1'])
  await running.listening()
  sender.sendNumbered(1)
  assert.deepEqual(await running.ended, [0, null], running.err)
  assert.equal(statSync(join(folder, 'x')).uid, 0)
  inNamespace(testbed.receiver.netns, 'true')
})
