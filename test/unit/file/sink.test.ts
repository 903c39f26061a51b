/** RecordSink and openSink: whole appends or none, in turn, whatever the kernel answers and whoever dies. */
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  closeSync,
  constants,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { CaptureError } from '#src/errors.js'
import type { FileEvent } from '#src/file/capture-file.js'
import { moveToNumbered } from '#src/file/numbered-name.js'
import { openSink } from '#src/file/open-sink.js'
import { isBeingWritten } from '#src/file/output-file.js'
import { LeadingSplit } from '#src/file/record-walk.js'
import { createSinkShared, RecordSink } from '#src/file/sink.js'
import { EAGAIN, ECANCELED, EINTR, EIO, ENOSPC, EPIPE } from '#src/kernel/errno.js'
import { openKernel } from '#src/kernel/system.js'
import { type FakeKernel, fakeKernel } from '../../support/fake-kernel.js'
import { openDescriptors } from '../../support/live.js'
import { seededRandom } from '../../support/random.js'
import { readStrictly, type StrictPacket } from '../../support/strict-capture.js'
import { appendAll, fillRecords, HEADER, recordsBuffer, startWriter, type WriterOptions } from './sink-writer.js'

const folder = mkdtempSync(join(tmpdir(), 'ringtap-sink-'))
after(() => rmSync(folder, { recursive: true, force: true }))

const WRITER: WriterOptions = { writer: 0, appends: 1, recordsPerAppend: 10, packetBytes: 60 }

let files = 0
const freshPath = () => join(folder, `f${files++}.pcap`)

function packetsOf(path: string): StrictPacket[] {
  return readStrictly(readFileSync(path)).packets
}

/** What writers wrote, by writer, in the order of the file. */
function numbersByWriter(packets: readonly StrictPacket[]): Map<number, number[]> {
  const found = new Map<number, number[]>()
  for (const { bytes } of packets) {
    const view = new DataView(bytes.buffer, bytes.byteOffset)
    const numbers = found.get(view.getUint32(0)) ?? []
    found.set(view.getUint32(0), numbers)
    numbers.push(view.getUint32(4))
  }
  return found
}

const counting = (count: number) => Array.from({ length: count }, (_, index) => index)

function hidden(): string[] {
  return readdirSync(folder).filter((name) => name.startsWith('.'))
}

test('several threads append at once: every record is whole and each keeps its order', async (t) => {
  const random = seededRandom(t)
  const path = freshPath()
  const sink = await openSink(path, { header: () => HEADER, guard: false })
  const writers = counting(4).map((writer) => ({ writer, appends: 60, recordsPerAppend: random.between(1, 400), packetBytes: random.between(8, 1500) }))
  const threads = writers.map((options) => startWriter(sink.shared, options))
  appendAll(sink.shared, { ...WRITER, writer: 99, appends: 20 })
  await Promise.all(threads.map((thread) => once(thread, 'exit')))
  assert.ok(!existsSync(path))
  const { size } = sink
  await sink.close()
  assert.equal(statSync(path).size, size)
  const found = numbersByWriter(packetsOf(path))
  for (const { writer, appends, recordsPerAppend } of writers) assert.deepEqual(found.get(writer), counting(appends * recordsPerAppend))
  assert.deepEqual(found.get(99), counting(200))
  assert.deepEqual(hidden(), [])
})

function fakeSink(isRegular: boolean): { kernel: FakeKernel; sink: RecordSink } {
  const kernel = fakeKernel()
  return { kernel, sink: new RecordSink(kernel, createSinkShared({ fd: 1000, isRegular, size: 24 })) }
}

test('a short write is completed, one that a signal interrupts is begun again', () => {
  const { kernel, sink } = fakeSink(true)
  const written: number[] = []
  const answers = [3, -EINTR, 4, 93]
  kernel.answer('write', (_fd, from) => {
    written.push(...from.subarray(0, Math.max(0, answers[0] as number)))
    return answers.shift() as number
  })
  const bytes = Uint8Array.from({ length: 200 }, (_, index) => index)
  assert.equal(sink.append(bytes, 100), 0)
  assert.deepEqual(written, counting(100))
  assert.equal(sink.size, 124)
  assert.ok(!kernel.names().includes('ftruncate'))
})

test('a write that fails half way is cut away, and a later one may succeed', () => {
  const { kernel, sink } = fakeSink(true)
  const answers = [60, -ENOSPC]
  kernel.answer('write', (_fd, from) => answers.shift() ?? from.byteLength)
  assert.equal(sink.append(new Uint8Array(100), 100), -ENOSPC)
  assert.equal(sink.size, 24)
  const undone = kernel.calls.filter(({ name }) => name === 'ftruncate' || name === 'lseek').map(({ name, arguments: values }) => [name, ...values])
  assert.deepEqual(undone, [
    ['ftruncate', 1000, 24],
    ['lseek', 1000, 24, 0],
  ])
  assert.equal(sink.append(new Uint8Array(100), 100), 0)
  assert.equal(sink.size, 124)
})

test('a write that answers 0 is a failure, not an endless loop', () => {
  const { kernel, sink } = fakeSink(true)
  kernel.answer('write', () => 0)
  assert.equal(sink.append(new Uint8Array(1), 1), -EIO)
})

test('nothing may follow half a record that cannot be cut away', () => {
  const { kernel, sink } = fakeSink(true)
  kernel.answer('write', (_fd, from) => (from.byteLength === 100 ? 60 : -ENOSPC))
  kernel.fail('ftruncate', EIO)
  assert.equal(sink.append(new Uint8Array(100), 100), -ENOSPC)
  kernel.answer('write', (_fd, from) => from.byteLength)
  assert.equal(sink.append(new Uint8Array(100), 100), -EIO)
})

test('a pipe is waited for; half a buffer in it is the end, none is not', () => {
  const { kernel, sink } = fakeSink(false)
  const answers = [-EAGAIN, 50, -EAGAIN, 50]
  kernel.answer('write', () => answers.shift() as number)
  kernel.answer('poll', () => 1)
  assert.equal(sink.append(new Uint8Array(100), 100), 0)
  assert.equal(kernel.names().filter((name) => name === 'poll').length, 2)
  kernel.answer('write', () => -EPIPE)
  assert.equal(sink.append(new Uint8Array(100), 100), -EPIPE)
  assert.equal(sink.append(new Uint8Array(100), 100), -EPIPE)
  kernel.answer('write', (_fd, from) => (from.byteLength === 100 ? 1 : -EPIPE))
  assert.equal(sink.append(new Uint8Array(100), 100), -EPIPE)
  kernel.answer('write', (_fd, from) => from.byteLength)
  assert.equal(sink.append(new Uint8Array(100), 100), -EIO)
  assert.ok(!kernel.names().includes('ftruncate'))
})

test('a thread that dies inside an append stops nobody, and what it left is cut away', async () => {
  const path = freshPath()
  const sink = await openSink(path, { header: () => HEADER, guard: false })
  const dying = startWriter(sink.shared, { ...WRITER, writer: 1, appends: 3, dieIn: { append: 2, afterBytes: 100, how: 'thread' } })
  const [status] = (await once(dying, 'exit')) as [number]
  assert.equal(status, 7)
  assert.equal(readFileSync(join(folder, hidden()[0] as string)).byteLength, sink.size + 100)
  const began = performance.now()
  assert.deepEqual(appendAll(sink.shared, { ...WRITER, writer: 2 }), { failed: 0, lastErrno: 0 })
  assert.ok(performance.now() - began < 1000)
  await sink.close()
  const found = numbersByWriter(packetsOf(path))
  assert.deepEqual([found.get(1), found.get(2)], [counting(20), counting(10)])
})

test('a terminated thread that waits for its turn stops nobody', async () => {
  const path = freshPath()
  const sink = await openSink(path, { header: () => HEADER, guard: false })
  const threads = counting(3).map((writer) => startWriter(sink.shared, { writer, appends: 0, recordsPerAppend: 100, packetBytes: 1000 }))
  await Promise.all(threads.map((thread) => once(thread, 'message')))
  await sleep(100)
  await Promise.all(threads.slice(0, 2).map((thread) => thread.terminate()))
  const { size } = sink
  await sleep(300)
  assert.ok(sink.size > size, 'the third one goes on')
  await threads[2]?.terminate()
  appendAll(sink.shared, { ...WRITER, writer: 9 })
  await sink.close()
  for (const numbers of numbersByWriter(packetsOf(path)).values()) assert.deepEqual(numbers, counting(numbers.length))
})

test('who waits for room in a pipe gives up when the sink is cancelled', async () => {
  const path = join(folder, 'fifo')
  execFileSync('mkfifo', [path])
  // Somebody who opens it and never reads.
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  const sink = await openSink(path)
  assert.equal(sink.guardPid, undefined)
  const thread = startWriter(sink.shared, { writer: 0, appends: 3, recordsPerAppend: 1000, packetBytes: 100 })
  await once(thread, 'message')
  const answer = once(thread, 'message') as Promise<[{ failed: number; lastErrno: number }]>
  await sleep(200)
  sink.cancel()
  const [{ failed, lastErrno }] = await answer
  assert.equal(failed, 3)
  assert.ok([-ECANCELED, -EIO].includes(lastErrno), String(lastErrno))
  await sink.close()
  closeSync(reader)
})

test('a header that cannot be written leaves nothing behind', async () => {
  const ours = () => openDescriptors().filter((target) => target.startsWith(folder) || target === '/dev/full')
  await assert.rejects(
    openSink('/dev/full', { header: () => HEADER }),
    (error) => error instanceof CaptureError && error.code === 'FILE_FAILED' && error.errnoName === 'ENOSPC',
  )
  const kernel = { ...openKernel(), write: () => -ENOSPC }
  await assert.rejects(openSink(freshPath(), { header: () => HEADER, kernel }), /ENOSPC/)
  assert.deepEqual(hidden(), [])
  assert.deepEqual(ours(), [])
})

async function rotated(options: Parameters<typeof openSink>[1], appends: number, threads = 2): Promise<{ events: FileEvent[]; path: string; paths: string[] }> {
  const path = freshPath()
  const events: FileEvent[] = []
  const sink = await openSink(path, { header: () => HEADER, guard: false, onEvent: (event) => events.push(event), ...options })
  const writers = counting(threads).map((writer) => startWriter(sink.shared, { writer, appends, recordsPerAppend: 100, packetBytes: 100, pauseMs: 2 }))
  await Promise.all(writers.map((thread) => once(thread, 'exit')))
  await sink.close()
  const paths = events.flatMap((event) => (event.type === 'file-finished' ? [event.path] : []))
  return { events, path, paths }
}

test('files are rotated by size while threads append: each is complete and nothing is lost', async () => {
  const trailer = new Uint8Array(16)
  const { events, path, paths } = await rotated({ rotation: { sizeBytes: 500_000 }, trailer: () => trailer }, 300)
  assert.equal(paths[0], path)
  assert.deepEqual(paths, [path, ...counting(paths.length - 1).map((index) => `${path}${index + 1}`)])
  assert.ok(paths.length >= 2, String(paths.length))
  const all = paths.flatMap((name) => {
    const packets = packetsOf(name)
    // The trailer is a record of no bytes.
    assert.equal(packets.at(-1)?.capturedLength, 0)
    return packets.slice(0, -1)
  })
  const found = numbersByWriter(all)
  assert.deepEqual([found.get(0), found.get(1)], [counting(30_000), counting(30_000)])
  assert.deepEqual(
    events.filter(({ type }) => type === 'file-warning'),
    [],
  )
  for (const event of events) if (event.type === 'file-finished') assert.equal(event.bytes, statSync(event.path).size)
  assert.deepEqual(hidden(), [])
})

test('with a split no file is longer than it may be, though each buffer is, and no record is lost or cut', async () => {
  const path = freshPath()
  const events: FileEvent[] = []
  const trailer = new Uint8Array(16)
  const rotation = { sizeBytes: 3000 }
  const sink = await openSink(path, {
    header: () => HEADER,
    trailer: () => trailer,
    trailerBytes: 16,
    guard: false,
    rotation,
    onEvent: (event) => events.push(event),
  })
  const records = new RecordSink(undefined, sink.shared, new LeadingSplit({ format: 'pcap' }))
  const writer = { ...WRITER, recordsPerAppend: 80, packetBytes: 100 }
  const bytes = recordsBuffer(writer)
  for (let append = 0; append < 20; append++) {
    fillRecords(bytes, writer, append * 80)
    assert.equal(records.append(bytes, bytes.byteLength, 80), 0)
    // Four files a buffer must be there before the next one.
    await sleep(20)
  }
  await sink.close()
  const finished = events.flatMap((event) => (event.type === 'file-finished' ? [event] : []))
  assert.deepEqual(
    finished.map(({ path: name }) => name),
    [path, ...counting(finished.length - 1).map((index) => `${path}${index + 1}`)],
  )
  const sizes = finished.map(({ path: name }) => statSync(name).size)
  assert.deepEqual(
    finished.map((event) => event.bytes),
    sizes,
  )
  // 25 records of 116 bytes, with header and trailer 2940.
  assert.deepEqual([new Set(sizes.slice(0, -1)), sizes.length], [new Set([24 + 25 * 116 + 16]), 64])
  const numbers = numbersByWriter(finished.flatMap(({ path: name }) => packetsOf(name).slice(0, -1)))
  assert.deepEqual(numbers.get(0), counting(1600))
})

test('while no next file is ready the current one goes on, and a record that is longer than a file has one of its own', async () => {
  const path = freshPath()
  const sink = await openSink(path, { header: () => HEADER, guard: false, rotation: { sizeBytes: 100 } })
  const records = new RecordSink(undefined, sink.shared, new LeadingSplit({ format: 'pcap' }))
  const writer = { ...WRITER, recordsPerAppend: 12, packetBytes: 100 }
  const bytes = recordsBuffer(writer)
  fillRecords(bytes, writer, 0)
  // Eight are ready, and this thread makes no more meanwhile.
  assert.equal(records.append(bytes, bytes.byteLength, 12), 0)
  await sink.close()
  const counts = [path, ...counting(8).map((index) => `${path}${index + 1}`)].map((name) => packetsOf(name).length)
  assert.deepEqual(counts, [1, 1, 1, 1, 1, 1, 1, 1, 4])
  assert.deepEqual(hidden(), [])
})

test('a ring of files by size: the oldest is written over', async () => {
  const { path, paths } = await rotated({ rotation: { sizeBytes: 30_000, files: 3 } }, 1, 0)
  assert.deepEqual(paths, [`${path}0`])
  const sink = await openSink(path, { header: () => HEADER, guard: false, rotation: { sizeBytes: 30_000, files: 3 } })
  const bytes = recordsBuffer({ ...WRITER, recordsPerAppend: 100, packetBytes: 100 })
  for (let append = 0; append < 10; append++) {
    fillRecords(bytes, { ...WRITER, recordsPerAppend: 100, packetBytes: 100 }, append * 100)
    assert.equal(sink.append(bytes, bytes.byteLength), 0)
    // The next file must be there before it is due again.
    await sleep(20)
  }
  await sink.close()
  const numbers = ['0', '1', '2'].map((ending) =>
    packetsOf(path + ending).map(({ bytes: packet }) => new DataView(packet.buffer, packet.byteOffset).getUint32(4)),
  )
  // Two appends a file: files 0, 1, 2, 0, 1.
  assert.deepEqual(
    numbers.map(([first]) => first),
    [600, 800, 400],
  )
  assert.ok(!existsSync(path))
})

test('files by time: of those that are ordered none is begun in vain, and the sink then says that it is full', async () => {
  const path = freshPath()
  const events: FileEvent[] = []
  const sink = await openSink(`${path}-%s`, { header: () => HEADER, guard: false, rotation: { seconds: 1, files: 2 }, onEvent: (event) => events.push(event) })
  let errno = 0
  const bytes = recordsBuffer(WRITER)
  let appended = 0
  const deadline = performance.now() + 5000
  for (; performance.now() < deadline && errno === 0; appended++) {
    fillRecords(bytes, WRITER, appended * 10)
    errno = sink.append(bytes, bytes.byteLength)
    await sleep(10)
  }
  assert.equal(errno, -ECANCELED)
  assert.ok(sink.isFull)
  await sleep(20)
  await sink.close()
  assert.deepEqual(
    events.map(({ type }) => type),
    ['file-finished', 'files-full', 'file-finished'],
  )
  const paths = readdirSync(folder)
    .filter((name) => join(folder, name).startsWith(`${path}-`))
    .sort()
  assert.equal(paths.length, 2)
  const numbers = paths.flatMap((name) => numbersByWriter(packetsOf(join(folder, name))).get(0) ?? [])
  assert.deepEqual(numbers, counting((appended - 1) * 10))
})

test('a file whose time is over is finished though nothing comes, and one in which nothing came is none', async () => {
  const path = freshPath()
  const sink = await openSink(`${path}-%s`, { header: () => HEADER, guard: false, rotation: { seconds: 1 } })
  sink.append(recordsBuffer(WRITER), recordsBuffer(WRITER).byteLength)
  await sleep(2500)
  const paths = () => readdirSync(folder).filter((name) => join(folder, name).startsWith(`${path}-`))
  assert.equal(paths().length, 1)
  await sink.close()
  assert.equal(paths().length, 1)
  assert.deepEqual(hidden(), [])
})

test('--keep bounds all files together; the oldest go', async () => {
  const path = freshPath()
  const events: FileEvent[] = []
  const sink = await openSink(path, {
    header: () => HEADER,
    guard: false,
    rotation: { sizeBytes: 10_000, keepBytes: 35_000 },
    onEvent: (event) => events.push(event),
  })
  const writer = { ...WRITER, recordsPerAppend: 80, packetBytes: 100 }
  const bytes = recordsBuffer(writer)
  for (let append = 0; append < 12; append++) {
    assert.equal(sink.append(bytes, bytes.byteLength), 0)
    await sleep(20)
    const sizes = readdirSync(folder)
      .filter((name) => name.includes(path.split('/').pop() as string))
      .map((name) => statSync(join(folder, name)).size)
    assert.ok(sizes.reduce((sum, size) => sum + size, 0) <= 35_000, sizes.join())
  }
  await sink.close()
  const removed = events.flatMap((event) => (event.type === 'file-removed' ? [event.path] : []))
  assert.deepEqual(removed, [path, ...counting(removed.length - 1).map((index) => `${path}${index + 1}`)])
  assert.ok(removed.length >= 8)
})

test('--keep with files by time: old ones go as the current one grows, not when somebody happens to look', async () => {
  const path = freshPath()
  const keepBytes = 2 ** 20
  const sink = await openSink(`${path}-%s`, { header: () => HEADER, guard: false, rotation: { seconds: 3600, keepBytes } })
  const writer = { ...WRITER, recordsPerAppend: 100, packetBytes: 100 }
  const bytes = recordsBuffer(writer)
  const ours = () => readdirSync(folder).filter((name) => name.includes(`${path.split('/').pop()}-`))
  for (let file = 0; file < 2; file++) {
    for (let append = 0; append < 30; append++) assert.equal(sink.append(bytes, bytes.byteLength), 0)
    assert.ok(sink.rotate('time', 1_700_000_000 + file))
  }
  const began = performance.now()
  let most = 0
  // 348,000 bytes each, so the first has to go soon and the second at last.
  for (let append = 0; append < 80; append++) {
    assert.equal(sink.append(bytes, bytes.byteLength), 0)
    await sleep(1)
    most = Math.max(
      most,
      ours().reduce((sum, name) => sum + statSync(join(folder, name)).size, 0),
    )
  }
  assert.ok(most <= keepBytes && most > keepBytes * 0.8, `${most}`)
  const took = performance.now() - began
  await sink.close()
  assert.deepEqual(ours().length, 1, `${took} ms`)
})

test('a next file that cannot be made is told once, and the current one goes on', async () => {
  const inner = join(folder, 'goes-away')
  execFileSync('mkdir', [inner])
  const events: FileEvent[] = []
  const sink = await openSink(join(inner, 'f.pcap'), {
    header: () => HEADER,
    guard: false,
    rotateBy: 'hand',
    rotation: { sizeBytes: 100 },
    onEvent: (event) => events.push(event),
  })
  rmSync(inner, { recursive: true })
  const bytes = recordsBuffer(WRITER)
  assert.equal(sink.append(bytes, bytes.byteLength), 0)
  assert.deepEqual([sink.rotate('size'), sink.rotate('size')], [false, false])
  assert.equal(sink.append(bytes, bytes.byteLength), 0)
  assert.deepEqual(
    events.map(({ type }) => type),
    ['file-warning'],
  )
  await assert.rejects(sink.close(), /rename.*ENOENT.*somebody has removed it/)
})

test('a file that somebody removes while it is written: told with what was in it, and the folder is not blamed', async () => {
  const events: FileEvent[] = []
  const path = freshPath()
  const sink = await openSink(path, { header: () => HEADER, guard: false, rotation: { sizeBytes: 3000 }, onEvent: (event) => events.push(event) })
  const bytes = recordsBuffer(WRITER)
  const removePart = () => {
    const parts = readdirSync(folder).filter((name) => name.startsWith(`.${path.split('/').pop()}.${process.pid}`))
    assert.equal(parts.length, 1)
    rmSync(join(folder, parts[0] as string))
  }
  assert.equal(sink.append(bytes, bytes.byteLength, 10), 0)
  removePart()
  assert.ok(sink.rotate('size'))
  const [warning] = events
  assert.ok(warning?.type === 'file-warning')
  assert.match(warning.message, /rename from \S+\.part: ENOENT \(.*\): somebody has removed it, with 10 packets in it$/)
  assert.match(warning.error?.hint ?? '', /^a file is written as \.NAME\.PID\.part/)
  assert.equal(sink.append(bytes, bytes.byteLength, 7), 0)
  rmSync(join(folder, readdirSync(folder).find((name) => name.startsWith(`.${path.split('/').pop()}1.`)) as string))
  await assert.rejects(sink.close(), /with 10 packets in it$/)
  assert.match((events.at(-1) as { message: string }).message, /with 7 packets in it$/)
})

test('a folder that is removed, or moved, while a file in it is written: told with what was in it and where it is', async () => {
  for (const [name, go, expected] of [
    ['removed', (inner: string) => rmSync(inner, { recursive: true }), /ENOENT \(.*\): somebody has removed it, with 10 packets in it$/],
    [
      'moved',
      (inner: string) => renameSync(inner, `${inner}-away`),
      /ENOENT \(.*\): somebody has moved it: it is \S+moved-away\/\S+\.part, with 10 packets in it$/,
    ],
  ] as const) {
    const inner = join(folder, name)
    mkdirSync(inner)
    const events: FileEvent[] = []
    const sink = await openSink(join(inner, 'f.pcap'), { header: () => HEADER, guard: false, onEvent: (event) => events.push(event) })
    const bytes = recordsBuffer(WRITER)
    assert.equal(sink.append(bytes, bytes.byteLength, 10), 0)
    go(inner)
    await assert.rejects(sink.close(), expected)
    const [warning, ...others] = events
    assert.ok(warning?.type === 'file-warning' && others.length === 0)
    assert.match(warning.error?.hint ?? '', /leave those of a process that runs alone/)
  }
})

test('a command is run for each file, two at a time, and its failure is told', async () => {
  const log = join(folder, 'commands.log')
  const command = join(folder, 'command.sh')
  writeFileSync(command, `#!/bin/sh\necho "begin $# $1" >> ${log}\nsleep 0.1\nps -o ni= -p $$ >> ${log}\ncase $1 in *2) exit 3;; esac\n`, { mode: 0o755 })
  const { events, paths } = await rotated({ rotation: { sizeBytes: 200_000 }, command }, 60, 1)
  assert.ok(paths.length >= 3, paths.join())
  const lines = readFileSync(log, 'utf8').trim().split('\n')
  assert.deepEqual(lines.filter((line) => line.startsWith('begin')).sort(), paths.map((path) => `begin 1 ${path}`).sort())
  assert.ok(lines.filter((line) => !line.startsWith('begin')).every((line) => line.trim() === '19'))
  const warnings = events.flatMap((event) => (event.type === 'file-warning' ? [event.message] : []))
  assert.deepEqual(warnings, [`${command} ${paths.find((path) => path.endsWith('2'))}: status 3`])
})

test('a command that is not there is a warning', async () => {
  const { events, paths } = await rotated({ command: '/nonexistent/command' }, 1, 1)
  assert.equal(paths.length, 1)
  assert.match(events.map((event) => (event.type === 'file-warning' ? event.message : '')).join(), /nonexistent.*ENOENT/)
})

test('stdout that is a file is written from where it stands, and cut back there', async () => {
  const path = freshPath()
  const program = `
    import { openSink } from ${JSON.stringify(import.meta.resolve('#src/file/open-sink.js'))}
    import { openKernel } from ${JSON.stringify(import.meta.resolve('#src/kernel/system.js'))}
    const real = openKernel()
    let calls = 0
    const kernel = { ...real, write: (fd, from) => { calls++; return calls === 2 ? real.write(fd, from.subarray(0, 3)) : calls === 3 ? -28 : real.write(fd, from) } }
    const sink = await openSink('-', { kernel, guard: false })
    const results = [sink.append(Buffer.from('hello'), 5), sink.append(Buffer.from('lost one'), 8), sink.append(Buffer.from(' world'), 6)]
    await sink.close()
    console.error(results.join())`
  for (const [redirect, expected] of [
    ['>', 'first hello world last\n'],
    ['>>', 'before first hello world last\n'],
  ]) {
    writeFileSync(path, 'before ')
    const child = spawn(
      'bash',
      ['-c', `{ printf 'first '; ${JSON.stringify(process.execPath)} --input-type=module -e "$PROGRAM"; echo ' last'; } ${redirect} ${path}`],
      {
        env: { ...process.env, PROGRAM: program },
        stdio: ['ignore', 'ignore', 'pipe'],
      },
    )
    const chunks: Buffer[] = []
    child.stderr.on('data', (chunk: Buffer) => chunks.push(chunk))
    await once(child, 'close')
    assert.equal(Buffer.concat(chunks).toString().trim(), '0,-28,0')
    assert.equal(readFileSync(path, 'utf8'), expected)
  }
})

test('two sinks of one numbered name: both files are there, each by the name that it was told to have', async () => {
  const own = join(folder, 'numbered')
  mkdirSync(own)
  const numbered = { before: join(own, 'x'), ending: '.pcap', number: 1 }
  const told: string[] = []
  const onEvent = (event: FileEvent) => void (event.type === 'file-finished' && told.push(event.path))
  const options = { header: () => HEADER, guard: false, numbered, onEvent }
  const sinks = [await openSink(join(own, 'x.pcap'), options), await openSink(join(own, 'x.pcap'), options)]
  assert.ok(isBeingWritten(join(own, 'x.pcap')))
  assert.ok(!isBeingWritten(join(own, 'x')))
  for (const [index, sink] of sinks.entries()) assert.equal(sink.append(new Uint8Array(index + 1), index + 1), 0)
  for (const sink of sinks) await sink.close()
  assert.ok(!isBeingWritten(join(own, 'x.pcap')))
  assert.deepEqual(
    sinks.map(({ left }) => left),
    [join(own, 'x.pcap'), join(own, 'x-2.pcap')],
  )
  assert.deepEqual(
    told,
    sinks.map(({ left }) => left),
  )
  assert.deepEqual(
    told.map((path) => statSync(path).size - HEADER.byteLength),
    [1, 2],
  )
  assert.deepEqual(readdirSync(own).sort(), ['x-2.pcap', 'x.pcap'])
})

test('a numbered name is the file itself where a link was made before the other name could be taken away', () => {
  const own = join(folder, 'linked')
  mkdirSync(own)
  const part = join(own, '.x.pcap.1.part')
  writeFileSync(part, 'whole')
  linkSync(part, join(own, 'x.pcap'))
  assert.equal(moveToNumbered(part, { before: join(own, 'x'), ending: '.pcap', number: 1 }), join(own, 'x.pcap'))
  assert.deepEqual(readdirSync(own), ['x.pcap'])
})
