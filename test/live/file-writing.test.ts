/** Writing where it gets tight: a file system of 2 MiB (tmpfs, in a mount namespace) filled to the last byte, and privileges dropped meanwhile. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { live } from '../support/live.js'

const modules = (name: string) => JSON.stringify(import.meta.resolve(name))

/** Runs a program where `folder` is a file system of 2 MiB; what it prints is JSON. */
function runOnSmallDisk(program: string): unknown {
  const folder = mkdtempSync(join(tmpdir(), 'ringtap-space-'))
  try {
    const script = `mount -t tmpfs -o size=2M none ${folder} && exec "$NODE" --input-type=module -e "$PROGRAM" ${folder}`
    const { status, stdout, stderr } = spawnSync('unshare', ['-m', '--propagation', 'private', 'sh', '-c', script], {
      env: { ...process.env, NODE: process.execPath, PROGRAM: program },
      encoding: 'utf8',
      timeout: 60_000,
    })
    assert.equal(status, 0, stderr)
    return JSON.parse(stdout)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const READ = `
import { readStrictly } from ${modules('../support/strict-capture.js')}
import { readdirSync, readFileSync, statSync, unlinkSync, writeFileSync } from 'node:fs'
const folder = process.argv[1]`

live('a full disk cuts the file after the last whole record; with room again it goes on', () => {
  const answer = runOnSmallDisk(`${READ}
import { createCaptureFile } from ${modules('#src/file/create.js')}
writeFileSync(folder + '/ballast', new Uint8Array(1024 * 1024))
const told = []
const writer = await createCaptureFile(folder + '/full.pcapng')
const write = (count) => { for (let i = 0; i < count; i++) try { writer.write({ bytes: new Uint8Array(1000), seconds: i, nanoseconds: 1 }) } catch (error) { told.push(error.code + ' ' + error.errnoName) } }
write(5000)
await writer.flush()
const before = writer.packets
unlinkSync(folder + '/ballast')
write(500)
await writer.close()
const read = readStrictly(readFileSync(folder + '/full.pcapng'))
console.log(JSON.stringify({ told, before, packets: writer.packets, dropped: writer.dropped, read: read.packets.length, names: readdirSync(folder) }))`) as {
    told: string[]
    before: number
    packets: number
    dropped: number
    read: number
    names: string[]
  }
  assert.deepEqual(answer.told, ['FILE_FAILED ENOSPC'])
  assert.ok(answer.before > 900 && answer.before < 1100, String(answer.before))
  assert.equal(answer.packets, answer.before + 500)
  assert.equal(answer.packets + answer.dropped, 5500)
  assert.equal(answer.read, answer.packets)
  assert.deepEqual(answer.names, ['full.pcapng'])
})

live('several threads on a full disk: what each was refused is not there, what it was not refused is', () => {
  const answer = runOnSmallDisk(`${READ}
import { once } from 'node:events'
import { openSink } from ${modules('#src/file/open-sink.js')}
import { HEADER, startWriter } from ${modules('../unit/file/sink-writer.js')}
const sink = await openSink(folder + '/full.pcap', { header: () => HEADER })
const threads = [0, 1, 2].map((writer) => startWriter(sink.shared, { writer, appends: 100, recordsPerAppend: 10, packetBytes: 1400 }))
const results = await Promise.all(threads.map(async (thread) => { await once(thread, 'message'); return (await once(thread, 'message'))[0] }))
await sink.close()
const read = readStrictly(readFileSync(folder + '/full.pcap'))
console.log(JSON.stringify({ results, read: read.packets.length, names: readdirSync(folder) }))`) as {
    results: { failed: number; lastErrno: number }[]
    read: number
    names: string[]
  }
  const failed = answer.results.reduce((sum, result) => sum + result.failed, 0)
  assert.ok(failed > 100 && failed < 300, String(failed))
  assert.equal(answer.read, (300 - failed) * 10)
  assert.ok(answer.results.every(({ lastErrno }) => lastErrno === 0 || lastErrno === -28))
  assert.deepEqual(answer.names, ['full.pcap'])
})

live('a series of files on a full disk: the one that is open goes on, and all that are there are whole', () => {
  const answer = runOnSmallDisk(`${READ}
import { openSink } from ${modules('#src/file/open-sink.js')}
import { fillRecords, HEADER, recordsBuffer } from ${modules('../unit/file/sink-writer.js')}
const writer = { writer: 0, appends: 0, recordsPerAppend: 30, packetBytes: 1000 }
const events = []
const sink = await openSink(folder + '/f.pcap', { header: () => HEADER, guard: false, rotation: { sizeBytes: 300000 }, onEvent: (event) => events.push(event.type) })
const bytes = recordsBuffer(writer)
let taken = 0
for (let append = 0; append < 200; append++) {
  fillRecords(bytes, writer, taken * 30)
  if (sink.append(bytes, bytes.byteLength) === 0) taken++
  await new Promise((resolve) => setTimeout(resolve, 2))
}
await sink.close()
const names = readdirSync(folder).sort()
const packets = names.flatMap((name) => readStrictly(readFileSync(folder + '/' + name)).packets)
console.log(JSON.stringify({ taken, packets: packets.length, names, warnings: events.filter((type) => type === 'file-warning').length }))`) as {
    taken: number
    packets: number
    names: string[]
    warnings: number
  }
  assert.equal(answer.packets, answer.taken * 30)
  assert.ok(answer.taken > 50 && answer.taken < 80, String(answer.taken))
  assert.ok(answer.names.length >= 6 && answer.names.every((name) => /^f\.pcap\d?$/.test(name)), answer.names.join())
  assert.ok(answer.warnings <= 1)
})

live('after privileges are dropped (-Z) the files are finished, and the guard, which still has them, ends', () => {
  const answer = runOnSmallDisk(`${READ}
import { chmodSync, existsSync } from 'node:fs'
import { openSink } from ${modules('#src/file/open-sink.js')}
import { HEADER } from ${modules('../unit/file/sink-writer.js')}
chmodSync(folder, 0o777)
const events = []
const sink = await openSink(folder + '/f.pcap', { header: () => HEADER, rotation: { sizeBytes: 100 }, onEvent: (event) => events.push(event.type) })
const pid = sink.guardPid
process.setgroups([])
process.setgid(65534)
process.setuid(65534)
const record = new Uint8Array(100)
new DataView(record.buffer).setUint32(8, 84, true)
const taken = []
for (let append = 0; append < 3; append++) {
  taken.push(sink.append(record, 100))
  await new Promise((resolve) => setTimeout(resolve, 100))
}
const began = performance.now()
await sink.close()
console.log(JSON.stringify({ taken, names: readdirSync(folder).sort(), events, gone: !existsSync('/proc/' + pid), seconds: (performance.now() - began) / 1000 }))`) as {
    taken: number[]
    names: string[]
    events: string[]
    gone: boolean
    seconds: number
  }
  assert.deepEqual(answer.taken, [0, 0, 0])
  assert.deepEqual(answer.names, ['f.pcap', 'f.pcap1', 'f.pcap2'])
  assert.deepEqual(answer.events, ['file-finished', 'file-finished', 'file-finished'])
  assert.ok(answer.gone && answer.seconds < 1, JSON.stringify(answer))
})
