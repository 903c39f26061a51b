/** Series whose files are written in place, in a folder that takes no new ones, and what of files that are ready must not be lost. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FileEvent } from '#src/file/capture-file.js'
import { openSink, type Sink, type SinkOptions } from '#src/file/open-sink.js'
import { RecordSink, WORD, wordsOf } from '#src/file/sink.js'
import { readStrictly } from '../../support/strict-capture.js'
import { fillRecords, HEADER, recordsBuffer, type WriterOptions } from './sink-writer.js'

const OLD = 'what an older capture has left'
/** 176 bytes each in the file. */
const RECORD: WriterOptions = { writer: 0, appends: 1, recordsPerAppend: 1, packetBytes: 160 }

/** Files below /dev are written as they are, also by whom every folder takes new ones of. */
const folder = mkdtempSync('/dev/shm/ringtap-in-place-')
const inner = mkdtempSync(join(tmpdir(), 'ringtap-series-'))
after(() => {
  for (const each of [folder, inner]) rmSync(each, { recursive: true, force: true })
})

const numbersOf = (path: string) =>
  readStrictly(readFileSync(path)).packets.map(({ bytes }) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(4))

interface Told {
  sink: Sink
  /** Numbers of the packets of each file when it was finished. */
  files: { path: string; numbers: number[] }[]
  warnings: string[]
}

async function seriesOf(path: string, options: SinkOptions): Promise<Told> {
  const files: Told['files'] = []
  const warnings: string[] = []
  const onEvent = (event: FileEvent) => {
    if (event.type === 'file-finished') files.push({ path: event.path, numbers: numbersOf(event.path) })
    if (event.type === 'file-warning') warnings.push(event.message)
  }
  return { sink: await openSink(path, { header: () => HEADER, guard: false, onEvent, ...options }), files, warnings }
}

function appendOne(sink: Sink, number: number): void {
  const bytes = recordsBuffer(RECORD)
  fillRecords(bytes, RECORD, number)
  assert.equal(sink.append(bytes, bytes.byteLength, 1), 0)
}

const upTo = (count: number) => Array.from({ length: count }, (_, index) => index)

for (const ringFiles of [2, 3, 10]) {
  test(`a ring of ${ringFiles} files in place: each is emptied when its turn comes, and none that is being written`, async () => {
    const path = join(folder, `r${ringFiles}-`)
    for (const index of upTo(ringFiles)) writeFileSync(path + index, OLD)
    const { sink, files, warnings } = await seriesOf(path, { rotation: { sizeBytes: 1000, files: ringFiles } })
    for (const number of upTo(60)) {
      appendOne(sink, number)
      await sleep(number === 0 ? 600 : 5)
      const reached = Number(sink.path.slice(path.length))
      if (files.length >= ringFiles) continue
      for (const index of upTo(ringFiles).slice(reached + 1)) assert.equal(readFileSync(path + index, 'utf8'), OLD, `${index} at ${number}`)
    }
    let count = 60
    await sleep(50)
    // A file that is due is emptied, though there may be no packet that it was emptied for.
    if (sink.size <= HEADER.byteLength) appendOne(sink, count++)
    await sink.close()
    assert.deepEqual(warnings, [])
    assert.ok(files.length >= 6, `${files.length} files`)
    assert.deepEqual(
      files.map((file) => file.path),
      files.map((_, index) => `${path}${index % ringFiles}`),
    )
    assert.deepEqual(
      files.flatMap(({ numbers }) => numbers),
      upTo(count),
    )
    // What is there now is what the last files had when they were finished.
    for (const file of files.slice(-ringFiles)) assert.deepEqual(numbersOf(file.path), file.numbers)
  })
}

test('a ring of one file in place goes on in it', async () => {
  const path = join(folder, 'one-')
  writeFileSync(`${path}0`, OLD)
  const { sink, files, warnings } = await seriesOf(path, { rotation: { sizeBytes: 1000, files: 1 } })
  for (const number of upTo(20)) {
    appendOne(sink, number)
    await sleep(5)
  }
  await sink.close()
  assert.deepEqual(files, [{ path: `${path}0`, numbers: upTo(20) }])
  assert.equal(warnings.length, 1)
  assert.match(warnings[0] as string, /^the next file cannot be made, the current one goes on: \S+0: it is the one that is being written$/)
})

test('files in place by time, and by hand', async () => {
  const path = join(folder, 'time-')
  for (const name of [`${path}2000`, `${path}3000`, `${path}4000`]) writeFileSync(name, OLD)
  const now = Math.floor(Date.now() / 1000)
  for (const index of upTo(3)) writeFileSync(`${path}${now + index}`, OLD)
  const { sink, files } = await seriesOf(`${path}%s`, { rotation: { seconds: 1000 }, rotateBy: 'hand' })
  assert.equal(sink.rotate('time', 2000), false)
  assert.equal(readFileSync(`${path}2000`, 'utf8'), OLD, 'there is nothing yet that it could follow')
  for (const [index, seconds] of [2000, 3000].entries()) {
    appendOne(sink, index)
    assert.ok(sink.rotate('time', seconds))
    assert.equal(sink.path, `${path}${seconds}`)
  }
  appendOne(sink, 2)
  await sink.close()
  assert.deepEqual(
    files.map(({ numbers }) => numbers),
    [[0], [1], [2]],
  )
  assert.deepEqual(numbersOf(`${path}3000`), [2])
  assert.equal(readFileSync(`${path}4000`, 'utf8'), OLD)
})

test('a ring of two files whose names are ready several times over', async () => {
  const path = join(inner, 'ring-')
  const { sink, files } = await seriesOf(path, { rotation: { sizeBytes: 1000, files: 2 } })
  for (const number of upTo(200)) {
    appendOne(sink, number)
    // Several at a time are left behind, as there are several ready.
    if (number % 30 === 29) await sleep(5)
  }
  await sink.close()
  assert.deepEqual(
    files.flatMap(({ numbers }) => numbers),
    upTo(200),
  )
  for (const file of files.slice(-2)) assert.deepEqual(numbersOf(file.path), file.numbers)
  assert.deepEqual(readdirSync(inner).sort(), ['ring-0', 'ring-1'])
})

test('in a folder that takes no new files: a ring of what is there', () => {
  const own = join(inner, 'closed')
  mkdirSync(own)
  for (const index of upTo(3)) {
    writeFileSync(join(own, `x${index}`), OLD)
    chmodSync(join(own, `x${index}`), 0o666)
  }
  chmodSync(inner, 0o755)
  chmodSync(own, 0o555)
  const program = `
    import { openSink } from ${JSON.stringify(import.meta.resolve('#src/file/open-sink.js'))}
    import { readFileSync } from 'node:fs'
    // As nobody, to whom permissions mean something.
    if (process.getuid() === 0) { process.setgroups([]); process.setgid(65534); process.setuid(65534) }
    const path = process.argv[1] + '/x'
    let files = ''
    const onEvent = (event) => {
      if (event.type === 'file-finished') files += readFileSync(event.path, 'latin1')
      else console.log(event)
    }
    const sink = await openSink(path, { guard: false, rotation: { sizeBytes: 100, files: 3 }, onEvent })
    const there = readFileSync(path + '1', 'utf8') + readFileSync(path + '2', 'utf8')
    let all = ''
    for (let number = 100; number < 200; number++) {
      const text = 'record ' + number + '.'
      all += text
      sink.append(Buffer.from(text), text.length)
      await new Promise((resolve) => setTimeout(resolve, 3))
    }
    await sink.close()
    console.log(there === ${JSON.stringify(OLD + OLD)}, files === all)`
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program, own], { encoding: 'utf8', timeout: 60_000 })
  chmodSync(own, 0o755)
  assert.equal(stdout, 'true true\n', stderr)
})

test('that a file cannot be made is told when none is ready any more', async () => {
  const here = join(inner, 'here')
  mkdirSync(here)
  const { sink, warnings } = await seriesOf(join(here, 'f'), { rotation: { sizeBytes: 1000 } })
  // Half of those that were ready are taken.
  const counts: number[] = []
  const cannot = () => warnings.filter((message) => message.startsWith('the next file cannot be made')).length
  renameSync(here, `${here}-gone`)
  for (const number of upTo(70)) {
    appendOne(sink, number)
    await sleep(2)
    if (number === 25 || number === 69) counts.push(cannot())
  }
  assert.deepEqual(counts, [0, 1])
  renameSync(`${here}-gone`, here)
  await sink.discard().catch(() => {})
})

test('a thread that is terminated between taking a file and saying so: the file is not dropped', async () => {
  const path = join(inner, 'terminated')
  const { sink, files } = await seriesOf(path, { rotation: { sizeBytes: 500 } })
  const records = new RecordSink(undefined, sink.shared)
  const bytes = recordsBuffer(RECORD)
  for (const number of upTo(4)) {
    fillRecords(bytes, RECORD, number)
    assert.equal(records.append(bytes, bytes.byteLength, 1), 0)
  }
  // As if it had not come to count.
  const { words } = wordsOf(sink.shared.lock)
  assert.equal(words[WORD.taken], 1)
  Atomics.sub(words, WORD.generation, 1)
  await sink.close()
  assert.deepEqual(files, [
    { path, numbers: [0, 1] },
    { path: `${path}1`, numbers: [2, 3] },
  ])
})

/** Commands that compress as gzip does, but when they are let to: each waits for a file GO.NAME. */
function slowGzip(status: number): string {
  const script = join(mkdtempSync(join(inner, 'gzip-')), 'gzip')
  const source = `#!/bin/sh\necho "$1" >> ${script}.begun\nwhile [ ! -e ${script}.go ]; do sleep 0.01; done\ncp "$1" "$1.gz" 2>/dev/null || : > "$1.gz"\nrm -f "$1"\nexit ${status}\n`
  writeFileSync(script, source, { mode: 0o755 })
  return script
}

for (const status of [0, 2]) {
  test(`--keep with a command that ends with ${status} behind the removal of its file: nothing stays that nobody counts`, async () => {
    const own = mkdtempSync(join(inner, 'kept-'))
    const command = slowGzip(status)
    const events: FileEvent[] = []
    const sink = await openSink(join(own, 'x.pcap'), {
      header: () => HEADER,
      guard: false,
      command,
      rotation: { sizeBytes: 1000, keepBytes: 4000 },
      rotateBy: 'hand',
      onEvent: (event) => events.push(event),
    })
    // What another job has left, of a name that a command would make.
    writeFileSync(join(own, 'x.pcap9.gz'), OLD)
    for (const number of upTo(12)) {
      for (const record of upTo(5)) appendOne(sink, number * 5 + record)
      if (number < 11) assert.ok(sink.rotate('size'))
    }
    writeFileSync(`${command}.go`, '')
    await sink.close()
    const begun = readFileSync(`${command}.begun`, 'utf8').trim().split('\n')
    const removed = events.flatMap((event) => (event.type === 'file-removed' ? [event.path] : []))
    const replaced = new Map(events.flatMap((event) => (event.type === 'file-replaced' ? [[event.path, event.by] as const] : [])))
    const finished = events.flatMap((event) => (event.type === 'file-finished' ? [event.path] : []))
    const left = finished.filter((path) => !removed.includes(path)).map((path) => replaced.get(path) ?? path)
    // The first two were under way when they had to go; none is begun for one that has gone.
    assert.deepEqual(begun.slice(0, 2).sort(), finished.slice(0, 2).sort())
    assert.deepEqual([...begun.slice(2)].sort(), finished.filter((path) => !removed.includes(path)).sort())
    assert.deepEqual(readdirSync(own).sort(), [...new Set([...left, join(own, 'x.pcap9.gz')])].map((path) => path.slice(own.length + 1)).sort())
  })
}
