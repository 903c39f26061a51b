/** Recordings read back: every frame that was sent is in the file or in a named drop, byte for byte, and tools of others agree. */
import assert from 'node:assert/strict'
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'
import type { CaptureEvent, CaptureOptions, CaptureSummary } from '#src/capture/api.js'
import { CaptureError } from '#src/errors.js'
import { createTestbed, startFlood } from '#src/testbed/index.js'
import { type ReadFile, type ReadPacket, readCaptureFile } from '../support/capture-file.js'
import {
  assertAccount,
  caughtUp,
  handlerUrl,
  inNamespace,
  live,
  NUMBERED,
  numberedFrame,
  openDescriptors,
  openOn,
  RawSender,
  range,
  settledWire,
  until,
} from '../support/live.js'
import { checkFrame, startCheck } from './handlers/check-frame.js'

const MAIN = fileURLToPath(new URL('../../../dist/cli/main.js', import.meta.url))

function inFolder(name: string, run: (folder: string, t: TestContext) => Promise<void>): void {
  live(name, async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'ringtap-recorded-'))
    try {
      await run(folder, t)
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
}

/** The file by our own reader, once capinfos, tshark and tcpdump have found as many packets in it. */
function readBy(path: string, tools: readonly ('capinfos' | 'tshark' | 'tcpdump')[] = ['capinfos', 'tshark', 'tcpdump']): ReadFile {
  const read = readCaptureFile(readFileSync(path))
  const count = read.packets.length
  if (tools.includes('capinfos')) {
    const told = execFileSync('capinfos', ['-c', '-M', '-T', '-r', path], { encoding: 'utf8' })
    assert.equal(Number(told.trim().split('\t').at(-1)), count, told)
  }
  if (tools.includes('tshark')) {
    const lines = execFileSync('tshark', ['-n', '-r', path, '-T', 'fields', '-e', 'frame.len', '-e', 'frame.time_epoch'], { encoding: 'utf8' })
    const told = lines.trimEnd().split('\n')
    assert.deepEqual(
      told.filter((line) => line !== ''),
      read.packets.map(({ originalLength, time }) => `${originalLength}\t${shownTime(time)}`),
    )
  }
  if (tools.includes('tcpdump')) {
    const lines = execFileSync('tcpdump', ['-n', '-r', path], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], maxBuffer: 1 << 28 })
    assert.equal(lines.split('\n').filter((line) => /^\d\d:\d\d:\d\d/.test(line)).length, count)
  }
  return read
}

function shownTime(time: bigint): string {
  return `${time / 1_000_000_000n}.${String(time % 1_000_000_000n).padStart(9, '0')}`
}

/** The name of a file while it is being written. */
function partOf(path: string, pid: number | undefined = process.pid): string {
  return join(dirname(path), `.${basename(path)}.${pid}.part`)
}

/** Each packet once, whatever their order. */
function hexOf(packets: readonly ReadPacket[]): string[] {
  return packets.map(({ bytes }) => bytes.toString('hex')).sort()
}

function numbersOf(packets: readonly ReadPacket[]): number[] {
  return packets.filter(({ bytes }) => bytes.readUInt16BE(12) === NUMBERED).map(({ bytes }) => bytes.readUInt32BE(14))
}

/** Frames of all lengths, with tags and without. */
function frames(): Uint8Array[] {
  return range(300).map((number) => {
    const length = [60, 61, 62, 63, 64, 100, 333, 590, 1496][number % 9]
    const tags = [[], [0x8100, 5], [], [0x88a8, 0xe001], [0x8100, 0, 0x8100, 7]][number % 5]
    const plain = numberedFrame(number, length)
    const tagged = Buffer.alloc(2 * tags.length)
    tags.forEach((value, index) => {
      tagged.writeUInt16BE(value, 2 * index)
    })
    return Buffer.concat([plain.subarray(0, 12), tagged, plain.subarray(12)])
  })
}

const WAYS: Omit<CaptureOptions, 'interface'>[] = [
  { backend: 'ring' },
  { backend: 'ring', workers: 2, fanout: 'lb' },
  { backend: 'recv' },
  { backend: 'recv', workers: 2, fanout: 'lb' },
  { backend: 'xdp', workers: 1 },
  { backend: 'xdp', xdpMode: 'generic' },
  { backend: 'xdp', chunkBytes: 4096 },
]

for (const way of WAYS) {
  for (const format of ['pcap', 'pcapng'] as const) {
    inFolder(`frames of all lengths, tags in place: ${format}, ${JSON.stringify(way)}`, async (folder) => {
      using testbed = createTestbed(way.workers === 1 ? { queues: 1 } : {})
      using sender = new RawSender(testbed.sender)
      const path = join(folder, `frames.${format}`)
      const begun = BigInt(Date.now()) * 1_000_000n
      await using capture = await openOn(testbed, { ...way, write: { path } })
      assert.deepEqual([capture.plan.write?.format, capture.plan.write?.precision], [format, 'ns'])
      const sent = frames()
      sender.send(...sent)
      await caughtUp(capture, sent.length)
      const summary = await capture.stop()
      assertAccount(summary, sent.length)
      assert.deepEqual([summary.packets, summary.writtenPackets, summary.files], [sent.length, sent.length, [path]])
      const read = readBy(path)
      assert.deepEqual([read.format, read.resolution, read.interfaces.length, read.interfaces[0].linkType], [format, 'ns', 1, 1])
      assert.deepEqual(hexOf(read.packets), sent.map((frame) => Buffer.from(frame).toString('hex')).sort())
      for (const { bytes, originalLength, time, flags } of read.packets) {
        assert.equal(originalLength, bytes.length)
        assert.ok(time >= begun - 10_000_000n && time <= BigInt(Date.now()) * 1_000_000n, `${time}`)
        assert.equal(flags, undefined)
      }
      // One worker keeps the order, and so does each of several.
      if (summary.workers.length === 1) assert.deepEqual(numbersOf(read.packets), numbersOf(sent.map((bytes) => ({ bytes: Buffer.from(bytes) }) as ReadPacket)))
      if (format === 'pcapng') assertStatistics(read, summary, testbed.receiver.interface)
    })
  }
}

function assertStatistics(read: ReadFile, summary: CaptureSummary, ...names: string[]): void {
  assert.deepEqual(
    read.interfaces.map(({ options }) => options.get(2)?.toString()),
    names,
  )
  assert.equal(read.statistics.length, names.length)
  for (const [id, name] of names.entries()) {
    const { interfaceId, options } = read.statistics[id]
    const value = (code: number) => Number(options.get(code)?.readBigUInt64LE(0))
    const workers = summary.workers.filter((worker) => worker.interface === name)
    const sum = (of: (worker: CaptureSummary['workers'][number]) => number) => workers.reduce((total, worker) => total + of(worker), 0)
    assert.equal(interfaceId, id)
    const filter = read.interfaces[id].options.get(11)
    for (const code of filter === undefined ? [4, 6] : [6])
      assert.equal(
        value(code),
        sum((it) => it.offered),
      )
    assert.equal(options.has(4), filter === undefined)
    assert.equal(
      value(7),
      sum(({ drops }) => drops.ring + drops.socket + drops.fillRing + drops.rxRing + drops.oversize + drops.redirect),
    )
    assert.equal(
      value(8),
      sum((it) => it.writtenPackets),
    )
  }
}

for (const way of [
  { backend: 'ring' },
  { backend: 'ring', workers: 2 },
  { backend: 'recv', workers: 2 },
  { backend: 'xdp' },
  { backend: 'ring', workers: 2, handler: handlerUrl('check-packet') },
  { backend: 'ring', snapLengthBytes: 50 },
] satisfies Omit<CaptureOptions, 'interface'>[]) {
  inFolder(`a flood, every byte of it: ${JSON.stringify(way)}`, async (folder, t) => {
    using testbed = createTestbed()
    const path = join(folder, 'flood.pcapng')
    const check = { frameBytes: 90, snapLengthBytes: way.snapLengthBytes ?? 262_144, notBeforeMs: Date.now() - 1 }
    await using capture = await openOn(testbed, { ...way, handlerData: check, write: { path } })
    await using flood = await startFlood({ ...testbed.sender, count: 400_000, frameBytes: 90 })
    await flood.finished
    const wire = await settledWire(testbed)
    await caughtUp(capture, way.backend === 'xdp' ? 0 : wire.received)
    await sleep(300)
    const summary = await capture.stop()
    t.diagnostic(`${summary.writtenPackets} written, drops ${JSON.stringify(summary.drops)}`)
    assertAccount(summary, wire.received)
    assert.equal(summary.writtenPackets, summary.packets)
    const read = readBy(path, ['capinfos'])
    assert.equal(read.packets.length, summary.packets)
    const state = startCheck(check)
    for (const { bytes, originalLength, time } of read.packets) {
      checkFrame(state, bytes, 0, bytes.length, originalLength, Number(time / 1_000_000_000n), Number(time % 1_000_000_000n))
    }
    assert.equal(state.bad, 0, state.firstBad)
    if (way.handler !== undefined) assert.equal((await capture.snapshot<{ packets: number; bad: number }>())?.packets, summary.packets)
    assertStatistics(read, summary, testbed.receiver.interface)
    assert.ok(statSync(path).size - summary.writtenBytes < 1000, 'headers and statistics are all that is beside the records')
  })
}

inFolder('microseconds, snap length, a filter, and what this host sends', async (folder) => {
  using testbed = createTestbed()
  using sender = new RawSender(testbed.sender)
  using back = new RawSender(testbed.receiver)
  for (const format of ['pcap', 'pcapng'] as const) {
    const path = join(folder, `x.${format}`)
    await using capture = await openOn(testbed, { filter: `ether proto ${NUMBERED}`, snapLengthBytes: 33, write: { path, precision: 'us' } })
    sender.sendNumbered(10)
    back.sendNumbered(5, 100)
    sender.send(numberedFrame(1, 60, 0x9999))
    await caughtUp(capture, 15)
    await capture.stop()
    const read = readBy(path, ['capinfos', 'tcpdump'])
    assert.deepEqual([read.resolution, read.packets.length, read.interfaces[0].snapLength], ['us', 15, 33])
    const numbers = numbersOf(read.packets)
    assert.deepEqual(numbers.sort(), [...range(10), ...range(5, 100)].sort())
    for (const { bytes, originalLength, flags, time } of read.packets) {
      assert.deepEqual([bytes.length, originalLength, time % 1000n], [33, 60, 0n])
      assert.equal(flags, format === 'pcapng' && bytes.readUInt32BE(14) >= 100 ? 2 : undefined)
    }
    if (format === 'pcapng') assert.equal(read.interfaces[0].options.get(11)?.toString(), `\0ether proto ${NUMBERED}`)
  }
})

inFolder('a file for each worker', async (folder) => {
  using testbed = createTestbed()
  using sender = new RawSender(testbed.sender)
  await using capture = await openOn(testbed, { workers: 2, fanout: 'lb', write: { path: join(folder, 'x.y.pcapng'), perWorker: true } })
  sender.sendNumbered(1000)
  await caughtUp(capture, 1000)
  const summary = await capture.stop()
  assert.deepEqual(summary.files, [join(folder, 'x.y.0.pcapng'), join(folder, 'x.y.1.pcapng')])
  const numbers = summary.files.map((path, worker) => {
    const read = readBy(path)
    assert.equal(read.packets.length, summary.workers[worker].packets)
    assert.equal(Number(read.statistics[0].options.get(8)?.readBigUInt64LE(0)), summary.workers[worker].writtenPackets)
    return numbersOf(read.packets)
  })
  for (const ofWorker of numbers)
    assert.deepEqual(
      ofWorker,
      ofWorker.toSorted((a, b) => a - b),
    )
  assert.deepEqual(
    numbers.flat().sort((a, b) => a - b),
    range(1000),
  )
})

inFolder('in order of time, whichever worker took a packet', async (folder) => {
  using testbed = createTestbed()
  using sender = new RawSender(testbed.sender)
  for (const compression of ['none', 'gzip'] as const) {
    const path = join(folder, `ordered.${compression}.pcapng`)
    await using capture = await openOn(testbed, { workers: 2, fanout: 'lb', write: { path, order: true, compression } })
    sender.sendNumbered(1000)
    await caughtUp(capture, 1000)
    // A lone packet is not held back for long by a worker that has none.
    sender.sendNumbered(1, 1000)
    await caughtUp(capture, 1001)
    const summary = await capture.stop()
    assertAccount(summary, 1001)
    assert.ok(summary.workers.every(({ packets }) => packets >= 500))
    assert.equal(summary.writtenPackets, 1001)
    const read = compression === 'none' ? readBy(path) : readCaptureFile(gunzipSync(readFileSync(path)))
    assert.deepEqual(numbersOf(read.packets), range(1001))
  }
})

for (const way of [
  { backend: 'ring', workers: 2 },
  // Both CPUs fill one ring.
  { backend: 'ring', workers: 1 },
  { backend: 'ring', workers: 2, fanout: 'hash' },
  { backend: 'xdp', exclusive: true, workers: 2 },
] satisfies Omit<CaptureOptions, 'interface'>[]) {
  inFolder(`a flood in order of time: ${JSON.stringify(way)}`, async (folder, t) => {
    using testbed = createTestbed()
    let earlier = 0
    // A machine that stops for longer than packets are held back puts some of them behind their place, and says so: not each time.
    for (let left = 5, isInOrder = false; !isInOrder; left--) {
      assert.ok(left > 0, 'one of five is in order')
      const path = join(folder, 'flood.pcap')
      const warnings: string[] = []
      const onEvent = (event: CaptureEvent) => {
        if (event.type === 'file-warning') warnings.push(event.message)
      }
      await using capture = await openOn(testbed, { ...way, write: { path, order: true }, onEvent })
      await using flood = await startFlood({ ...testbed.sender, count: 200_000 })
      await flood.finished
      const { received } = await settledWire(testbed)
      await caughtUp(capture, way.backend === 'xdp' ? 0 : received - earlier)
      await sleep(300)
      const summary = await capture.stop()
      assertAccount(summary, received - earlier)
      earlier = received
      assert.equal(summary.writtenPackets, summary.packets)
      t.diagnostic(`${summary.packets} of ${summary.offered} written, by worker ${summary.workers.map(({ packets }) => packets)}, warnings: ${warnings}`)
      isInOrder = /Strict time order:\s+True/.test(execFileSync('capinfos', ['-o', path], { encoding: 'utf8' }))
      assert.equal(isInOrder, warnings.length === 0)
      assert.equal(readCaptureFile(readFileSync(path)).packets.length, summary.packets)
    }
  })
}

for (const perWorker of [false, true]) {
  inFolder(`two interfaces, told apart${perWorker ? ', a file each' : ''}`, async (folder) => {
    using testbed = createTestbed()
    const { netns, interface: first } = testbed.receiver
    inNamespace(netns, 'ip', 'link', 'add', 'second0', 'type', 'veth', 'peer', 'name', 'second1')
    for (const name of ['second0', 'second1']) inNamespace(netns, 'ip', 'link', 'set', name, 'up')
    using one = new RawSender(testbed.sender)
    using two = new RawSender({ interface: 'second0', netns })
    const path = join(folder, 'two.pcapng')
    const options = { filter: `ether proto ${NUMBERED}`, write: { path, perWorker } }
    await using capture = await openOn(testbed, { ...options, ...{ interface: [first, 'second1'] } } as Omit<CaptureOptions, 'interface'>)
    one.sendNumbered(20)
    two.sendNumbered(30, 1000)
    await caughtUp(capture, 50)
    const summary = await capture.stop()
    assertAccount(summary, 50)
    const reads = summary.files.map((file) => readBy(file))
    if (perWorker) {
      assert.deepEqual(
        reads.map(({ interfaces, packets }) => [interfaces.length, interfaces[0].options.get(2)?.toString(), packets.length]),
        [
          [1, first, 20],
          [1, 'second1', 30],
        ],
      )
    } else {
      const [read] = reads
      assertStatistics(read, summary, first, 'second1')
      assert.deepEqual(numbersOf(read.packets.filter(({ interfaceId }) => interfaceId === 0)), range(20))
      assert.deepEqual(numbersOf(read.packets.filter(({ interfaceId }) => interfaceId === 1)), range(30, 1000))
    }
  })
}

inFolder('a quiet capture writes soon; unbuffered, as soon as a packet is there', async (folder) => {
  using testbed = createTestbed()
  using sender = new RawSender(testbed.sender)
  for (const unbuffered of [false, true]) {
    const path = join(folder, `quiet.${unbuffered}.pcap`)
    await using capture = await openOn(testbed, { backend: 'recv', write: { path, unbuffered } })
    const part = partOf(path)
    assert.equal(statSync(part).size, 24)
    for (const number of range(3)) {
      sender.sendNumbered(1, number)
      await until('it is in the file', () => statSync(part).size === 24 + 76 * (number + 1), 2000)
    }
    const { writtenPackets, packets } = capture.counters()
    assert.equal(writtenPackets, packets)
  }
})

inFolder('count is exact, also in the file', async (folder) => {
  using testbed = createTestbed()
  const path = join(folder, 'x.pcapng')
  await using capture = await openOn(testbed, { workers: 2, count: 12_345, write: { path } })
  await using flood = await startFlood({ ...testbed.sender, count: 50_000 })
  const summary = await capture.finished
  await flood.finished
  assertAccount(summary)
  assert.deepEqual([summary.reason, summary.packets, summary.writtenPackets], ['count', 12_345, 12_345])
  assert.equal(readBy(path, ['capinfos']).packets.length, 12_345)
})

inFolder('a handler that throws: what it was given is in the file, also of a worker that is replaced', async (folder) => {
  using testbed = createTestbed()
  using sender = new RawSender(testbed.sender)
  for (const [workerRestarts, order] of [
    [0, false],
    [2, false],
    [0, true],
    [2, true],
  ] as const) {
    const path = join(folder, `${workerRestarts}.${order}.pcapng`)
    const handlerData = { where: 'packet', at: [150, 250] }
    const capture = await openOn(testbed, { backend: 'recv', batch: 8, handler: handlerUrl('misbehave'), handlerData, workerRestarts, write: { path, order } })
    for (const number of range(300)) {
      sender.sendNumbered(1, number)
      if (number % 50 === 0) await sleep(20)
    }
    if (workerRestarts > 0) await caughtUp(capture, 300)
    await capture.stop().catch((error: CaptureError) => assert.equal(error.code, 'HANDLER_FAILED'))
    const counters = capture.counters()
    const read = readBy(path)
    assert.equal(counters.packets + counters.dropped, counters.offered)
    assert.deepEqual([read.packets.length, counters.writtenPackets], [counters.packets, counters.packets])
    const numbers = numbersOf(read.packets)
    assert.ok(!numbers.includes(150) && !numbers.includes(250))
    assert.deepEqual(
      range(workerRestarts === 0 ? 140 : 150).filter((number) => !numbers.includes(number)),
      [],
    )
    if (workerRestarts > 0) assert.ok(numbers.includes(299) && counters.drops.handler < 20)
  }
})

for (const order of [false, true]) {
  inFolder(`a thread that is gone, ${order ? '--order' : 'one file'}: the records that it had not written are the drop writer`, async (folder) => {
    using testbed = createTestbed()
    using sender = new RawSender(testbed.sender)
    const path = join(folder, 'x.pcapng')
    const options = { backend: 'recv', batch: 8, handler: handlerUrl('misbehave'), handlerData: { where: 'exit', at: [40] }, workerRestarts: 1 } as const
    await using capture = await openOn(testbed, { ...options, write: { path, order } })
    sender.sendNumbered(40)
    await sleep(50)
    sender.sendNumbered(1, 40)
    await sleep(300)
    sender.sendNumbered(20, 41)
    await until('the one after it has written', () => capture.counters().writtenPackets >= 20)
    await sleep(300)
    const summary = await capture.stop()
    assertAccount(summary, 61)
    const read = readBy(path)
    assert.deepEqual([read.packets.length, summary.packets], [summary.writtenPackets, summary.writtenPackets])
    assert.ok(summary.drops.writer + summary.drops.unread >= 1, JSON.stringify(summary.drops))
    assert.deepEqual(
      numbersOf(read.packets).filter((number) => number > 40),
      range(20, 41),
    )
  })
}

inFolder('threads that are gone and nobody replaces, in order of time: what others wrote of theirs counts as written', async (folder) => {
  using testbed = createTestbed()
  using sender = new RawSender(testbed.sender)
  const path = join(folder, 'x.pcapng')
  const options = { workers: 2, fanout: 'lb', handler: handlerUrl('misbehave'), handlerData: { where: 'exit', at: [300] } } as const
  const capture = await openOn(testbed, { ...options, write: { path, order: true } })
  for (const number of range(300)) {
    sender.sendNumbered(1, number)
    if (number % 20 === 0) await sleep(10)
  }
  sender.sendNumbered(10, 300)
  await assert.rejects(capture.finished, { code: 'WORKER_FAILED' })
  const counters = capture.counters()
  assert.equal(counters.packets + counters.dropped, counters.offered)
  assert.deepEqual([readBy(path).packets.length, counters.writtenPackets], [counters.packets, counters.packets])
  assert.ok(counters.packets > 100, 'some time before')
})

for (const order of [false, true]) {
  // In order whoever has time writes for all: no worker is left to die.
  inFolder(`a pipe that nobody reads, ${order ? '--order, and stop()' : 'and a worker that dies'}: nobody is waited for`, async (folder) => {
    using testbed = createTestbed()
    const { netns, interface: first } = testbed.receiver
    inNamespace(netns, 'ip', 'link', 'add', 'second0', 'type', 'veth', 'peer', 'name', 'second1')
    for (const name of ['second0', 'second1']) inNamespace(netns, 'ip', 'link', 'set', name, 'up')
    using one = new RawSender(testbed.sender)
    using two = new RawSender({ interface: 'second0', netns })
    const path = join(folder, 'pipe')
    execFileSync('mkfifo', [path])
    const reader = spawn('sh', ['-c', `exec < ${path}; exec sleep 60`], { stdio: 'ignore' })
    try {
      const handlerData = { where: 'exit', at: [60_000] }
      const options = { filter: `ether proto ${NUMBERED}`, handler: handlerUrl('misbehave'), handlerData, write: { path, order } }
      const capture = await openOn(testbed, { ...options, ...{ interface: [first, 'second1'] } } as Omit<CaptureOptions, 'interface'>)
      one.sendNumbered(20_000)
      // Its worker waits for the reader now.
      await sleep(500)
      const before = performance.now()
      if (order) await capture.stop()
      else {
        two.sendNumbered(1, 60_000)
        await assert.rejects(capture.finished, { code: 'WORKER_FAILED' })
      }
      assert.ok(performance.now() - before < 20_000)
      const counters = capture.counters()
      assert.equal(counters.packets + counters.dropped, counters.offered)
    } finally {
      reader.kill()
      await once(reader, 'exit')
    }
  })
}

inFolder('packets that a handler gives up are in the file all the same', async (folder) => {
  using testbed = createTestbed()
  using sender = new RawSender(testbed.sender)
  const path = join(folder, 'x.pcapng')
  const handler = join(folder, 'gives-up.mjs')
  writeFileSync(
    handler,
    'export default { open: ({ countDrops }) => ({ countDrops }), packet(p, s) { if (p.bytes[p.offset + 17] % 4 === 0) s.countDrops(1) } }',
  )
  await using capture = await openOn(testbed, { handler, write: { path } })
  sender.sendNumbered(200)
  await caughtUp(capture, 200)
  const summary = await capture.stop()
  assertAccount(summary, 200)
  assert.deepEqual([summary.packets, summary.drops.handler, summary.writtenPackets], [150, 50, 200])
  assert.deepEqual(numbersOf(readBy(path).packets), range(200))
})

inFolder('a file that cannot be opened or begun: an error, and nothing left', async (folder) => {
  using testbed = createTestbed()
  const failed = (path: string, code: string) => (error: unknown) =>
    error instanceof CaptureError && error.code === 'FILE_FAILED' && error.errnoName === code && error.message.includes(path)
  await openOn(testbed, { write: { path: join(folder, 'x.pcap') } }).then((capture) => capture.stop())
  const before = openDescriptors().length
  await assert.rejects(openOn(testbed, { write: { path: join(folder, 'no/x.pcap') } }), failed('no/x.pcap', 'ENOENT'))
  await assert.rejects(openOn(testbed, { write: { path: folder } }), failed(folder, 'EISDIR'))
  await assert.rejects(openOn(testbed, { write: { path: '/dev/full' } }), failed('/dev/full', 'ENOSPC'))
  assert.ok(existsSync('/dev/full'))
  const handler = { handler: handlerUrl('misbehave'), handlerData: { where: 'open' } }
  await assert.rejects(openOn(testbed, { ...handler, write: { path: join(folder, 'y.pcap') } }), { code: 'HANDLER_FAILED' })
  assert.deepEqual(readdirSync(folder), ['x.pcap'])
  assert.equal(openDescriptors().length, before)
})

/** ringtap in a mount namespace of its own, where `folder` is a disk of so many bytes; `/proc/PID/root` leads there. */
function onSmallDisk(folder: string, bytes: number, argv: readonly string[]): ChildProcess {
  const script = `mount -t tmpfs -o size=${bytes} tmpfs ${folder} && exec "$@"`
  return spawn('unshare', ['-m', 'sh', '-c', script, 'sh', process.execPath, MAIN, ...argv], { stdio: ['ignore', 'pipe', 'pipe'] })
}

for (const workers of ['1', '2']) {
  inFolder(`a full disk, ${workers} workers: counted, told once, tried again, and the file whole at any time`, async (folder) => {
    using testbed = createTestbed()
    const path = join(folder, 'x.pcapng')
    const { interface: name, netns } = testbed.receiver
    const child = onSmallDisk(folder, 4 * 2 ** 20, ['capture', '-i', name, '--netns', netns, '--workers', workers, '-w', path, '--json'])
    let out = ''
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      out += text
    })
    const ended = once(child, 'close') as Promise<[number | null]>
    await until('it captures', () => out.includes('"type":"start"'))
    const inside = `/proc/${child.pid}/root${partOf(path, child.pid)}`
    const flood = async () => {
      const running = await startFlood({ ...testbed.sender, count: 100_000, ratePps: 300_000 })
      await running.finished
      await sleep(300)
    }
    await flood()
    assert.match(out, /"event":"write-error"/)
    const full = readCaptureFile(readFileSync(inside)).packets.length
    assert.ok(full > 10_000 && full < 100_000, `${full}`)
    // Room again.
    execFileSync('nsenter', ['-t', String(child.pid), '-m', 'mount', '-o', 'remount,size=64m', folder])
    await flood()
    child.kill('SIGINT')
    const [status] = await ended
    const documents = out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>)
    const events = documents.filter(({ type }) => type === 'event') as unknown as { event: CaptureEvent['type']; error?: { code: string; errnoName: string } }[]
    assert.deepEqual(
      events.map(({ event, error }) => [event, error?.code, error?.errnoName]),
      [
        ['write-error', 'FILE_FAILED', 'ENOSPC'],
        ['file-finished', undefined, undefined],
      ],
    )
    const summary = documents.at(-1) as unknown as CaptureSummary
    assertAccount(summary, 200_000)
    assert.ok(summary.drops.writer > 10_000 && summary.packets >= full + 90_000, JSON.stringify(summary.drops))
    assert.equal(summary.writtenPackets, summary.packets)
    // Who asked for a file did not get all of it.
    assert.equal(status, 1)
  })
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  inFolder(`${signal} in the middle of a flood leaves whole records`, async (folder) => {
    using testbed = createTestbed()
    const path = join(folder, 'x.pcapng')
    const { interface: name, netns } = testbed.receiver
    const argv = [MAIN, 'capture', '-i', name, '--netns', netns, '--workers', '2', '-w', path, '--json']
    const child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'inherit'] })
    let out = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      out += text
    })
    const ended = once(child, 'close') as Promise<[number | null]>
    await until('it captures', () => out.includes('"type":"start"'))
    await using flood = await startFlood({ ...testbed.sender, ratePps: 500_000 })
    await sleep(700)
    child.kill(signal)
    const [status] = await ended
    await flood.stop()
    const read = readCaptureFile(readFileSync(path))
    assert.ok(read.packets.length > 100_000, `${read.packets.length}`)
    const summary = JSON.parse(out.trimEnd().split('\n').at(-1) as string) as CaptureSummary
    assert.deepEqual([status, summary.writtenPackets, summary.packets], [0, read.packets.length, read.packets.length])
    assertStatistics(read, summary, name)
  })
}

inFolder('the command: -w and its options, and what it says', async (folder) => {
  using testbed = createTestbed()
  using sender = new RawSender(testbed.sender)
  const { interface: name, netns } = testbed.receiver
  const path = join(folder, 'x.dump')
  const argv = ['-w', path, '--format', 'pcap', '-U', '--time-stamp-precision', 'micro', '-c', '7', '-q']
  const child = spawn(process.execPath, [MAIN, 'capture', '-i', name, '--netns', netns, ...argv], { stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  const ended = once(child, 'close') as Promise<[number | null]>
  await until('it captures', () => said.includes('listening on'))
  sender.sendNumbered(10)
  assert.deepEqual([(await ended)[0]], [0])
  assert.match(said, new RegExp(`writing pcap to ${path}`))
  assert.match(said, new RegExp(`\n7 packets captured\n[^]*\n7 packets written to ${path} \\(532 B\\)\n`))
  const read = readBy(path)
  assert.deepEqual([read.format, read.resolution, numbersOf(read.packets)], ['pcap', 'us', range(7)])
})
