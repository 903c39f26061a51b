/** Files of the past: what was on the wire before the trigger and after it, to the frame; under full flood; by signal and by filter. */
import assert from 'node:assert/strict'
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { CaptureEvent, CaptureOptions, CaptureSummary, TriggeredFile } from '#src/capture/api.js'
import { CaptureError } from '#src/errors.js'
import { openCaptureFile } from '#src/reader.js'
import { createTestbed, startFlood } from '#src/testbed/index.js'
import {
  assertAccount,
  caughtUp,
  handlerUrl,
  live,
  NUMBERED,
  numberedFrame,
  openDescriptors,
  openOn,
  RawSender,
  range,
  settledWire,
  threadCount,
  until,
} from '../support/live.js'
import { readStrictly, type StrictCapture, type StrictPacket, textOf } from '../support/strict-capture.js'

const MAIN = fileURLToPath(new URL('../../../dist/cli/main.js', import.meta.url))
/** Between a frame's time stamp and when this process sees that it was sent: it may have to wait for the CPU in between. */
const TOLERANCE_MS = 30
const NOBODY = 65534
const SECTION = 0x0a0d0d0a
const STATISTICS = 5
const SIZE = 16 * 2 ** 20

function inFolder(name: string, run: (folder: string, t: TestContext) => Promise<void>): void {
  live(name, async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'ringtap-past-'))
    try {
      await run(folder, t)
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
}

/** A file that the strict reader takes, and tshark, too. */
function read(path: string): StrictCapture {
  const file = readStrictly(readFileSync(path))
  const lines = execFileSync('tshark', ['-n', '-r', path, '-T', 'fields', '-e', 'frame.time_epoch', '-e', 'frame.len'], {
    encoding: 'utf8',
    maxBuffer: 2 ** 27,
  })
  assert.deepEqual(
    lines.split('\n').filter((line) => line !== ''),
    file.packets.map(({ time, wireLength }) => `${time / 1_000_000_000n}.${String(time % 1_000_000_000n).padStart(9, '0')}\t${wireLength}`),
  )
  return file
}

function numbersOf(packets: readonly StrictPacket[]): number[] {
  const views = packets.map(({ bytes }) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength))
  return views.filter((view) => view.getUint16(12) === NUMBERED).map((view) => view.getUint32(14))
}

const millisecondsOf = ({ time }: StrictPacket) => Number(time / 1000n) / 1000
const byNumber = (a: number, b: number) => a - b

/** The comments of a section, and those of its first statistics. */
function commentsOf({ blocks }: StrictCapture): [section: string[], statistics: string[]] {
  const ofBlock = (type: number) => textOf(blocks.find((block) => block.type === type)?.options ?? [], 1)
  return [ofBlock(SECTION), ofBlock(STATISTICS)]
}

/** Sends numbered frames, one every other millisecond or so, until it is stopped; answers when each was sent. */
interface Sent {
  /** Of each frame, between which times it was sent. */
  beganMs: number[]
  sentMs: number[]
}

function steadily(sender: RawSender): Sent & { stop: () => Promise<void> } {
  const beganMs: number[] = []
  const sentMs: number[] = []
  let isRunning = true
  const ended = (async () => {
    while (isRunning) {
      beganMs.push(Date.now())
      sender.sendNumbered(1, sentMs.length)
      sentMs.push(Date.now())
      await sleep(1)
    }
  })()
  return {
    beganMs,
    sentMs,
    async stop() {
      isRunning = false
      await ended
    },
  }
}

/** Exactly the frames of that span, by when they were sent; and by their own time stamps to the last. */
function assertSpan(file: StrictCapture, { beganMs, sentMs }: Sent, fromMs: number, untilMs: number): void {
  const numbers = numbersOf(file.packets).sort(byNumber)
  const first = numbers[0] as number
  assert.deepEqual(numbers, range(numbers.length, first), 'none is missing, none is twice')
  const last = numbers.at(-1) as number
  // Those on both sides of them were sent outside.
  const [before = 0, after = Number.POSITIVE_INFINITY] = [beganMs[first - 1], sentMs[last + 1]]
  assert.ok(before <= fromMs + TOLERANCE_MS, `the one before was sent at ${before}, asked from ${fromMs}`)
  assert.ok(after >= untilMs - TOLERANCE_MS, `the one after was sent at ${after}, asked to ${untilMs}`)
  assert.ok(numbers.length >= 20, `${numbers.length}`)
  for (const packet of file.packets) {
    const at = millisecondsOf(packet)
    assert.ok(at >= fromMs && at < untilMs, `${at} in ${fromMs} to ${untilMs}`)
  }
}

const WAYS: Omit<CaptureOptions, 'interface'>[] = [
  { backend: 'ring' },
  { backend: 'ring', workers: 2, fanout: 'lb' },
  { backend: 'recv' },
  { backend: 'xdp' },
  { backend: 'ring', blockTimeoutMs: 200 },
]

for (const way of WAYS) {
  for (const format of ['pcap', 'pcapng'] as const) {
    inFolder(`exactly the frames from before the trigger to after it: ${format}, ${JSON.stringify(way)}`, async (folder) => {
      using testbed = createTestbed()
      using sender = new RawSender(testbed.sender)
      const path = join(folder, `x.${format}`)
      const past = { beforeMs: 300, beforeSizeBytes: SIZE, afterMs: 200 }
      await using capture = await openOn(testbed, { ...way, write: { path, ...past } })
      assert.deepEqual(capture.plan.write?.past, { ...past, trigger: undefined })
      const steady = steadily(sender)
      await sleep(700)
      assert.deepEqual(readdirSync(folder), [])
      const triggeredMs = Date.now()
      const done = capture.trigger('a test')
      const calledMs = Date.now()
      await sleep(20)
      const isComplete = !readdirSync(folder).every((name) => name.startsWith('.') && name.endsWith('.part'))
      // On a machine that stood still it may be.
      assert.ok(!isComplete || Date.now() >= triggeredMs + 200, 'it has its name when it is complete')
      const file = await done
      await sleep(100)
      await steady.stop()
      const summary = await capture.stop()
      assertAccount(summary, steady.sentMs.length)
      assert.equal(summary.packets, steady.sentMs.length)
      assert.deepEqual(readdirSync(folder), [file.path.slice(folder.length + 1)])
      assert.match(file.path, new RegExp(`/x\\.\\d{8}-\\d{6}\\.${format}$`))
      assert.deepEqual(summary.files, [file.path])
      const strict = read(file.path)
      assert.deepEqual([strict.packets.length, strict.format], [file.packets, format])
      assert.equal(summary.writtenPackets, file.packets)
      // It was triggered within the call.
      for (const at of [file.fromMs + 300, file.untilMs - 200])
        assert.ok(at >= triggeredMs - 1 && at <= calledMs + 1, JSON.stringify([triggeredMs, calledMs, file]))
      assertSpan(strict, steady, file.fromMs, file.untilMs)
      if (format === 'pcapng') {
        assert.deepEqual(commentsOf(strict), [[`trigger: a test at ${new Date(file.fromMs + 300).toISOString()}`], []])
        assert.deepEqual(strict.blocks.filter(({ type }) => type === STATISTICS).length, 1)
      }
    })
  }
}

inFolder('several triggers, several files, each with a past of its own', async (folder) => {
  using testbed = createTestbed()
  using sender = new RawSender(testbed.sender)
  const events: CaptureEvent[] = []
  const write = { path: join(folder, 'x.pcapng'), beforeMs: 400, beforeSizeBytes: SIZE, afterMs: 100 }
  await using capture = await openOn(testbed, { workers: 2, fanout: 'lb', write, onEvent: (event) => events.push(event) })
  const steady = steadily(sender)
  await sleep(500)
  const files: TriggeredFile[] = []
  for (const number of range(3)) {
    files.push(await capture.trigger(`number ${number}`))
    await sleep(50)
  }
  await steady.stop()
  const summary = await capture.stop()
  assertAccount(summary, steady.sentMs.length)
  assert.equal(new Set(files.map(({ path }) => path)).size, 3)
  assert.deepEqual(
    summary.files,
    files.map(({ path }) => path),
  )
  assert.deepEqual(readdirSync(folder).length, 3)
  for (const [number, { path, packets, fromMs, untilMs }] of files.entries()) {
    const strict = read(path)
    assert.equal(strict.packets.length, packets)
    assertSpan(strict, steady, fromMs, untilMs)
    assert.equal(commentsOf(strict)[0][0]?.startsWith(`trigger: number ${number} at `), true)
  }
  assert.equal(
    summary.writtenPackets,
    files.reduce((sum, { packets }) => sum + packets, 0),
  )
  assert.deepEqual(
    events.map(({ type }) => type),
    range(3).flatMap(() => ['triggered', 'past-written']),
  )
})

inFolder('a trigger while a file is written makes it longer, and stands in it', async (folder) => {
  using testbed = createTestbed()
  using sender = new RawSender(testbed.sender)
  const write = { path: join(folder, '%H-100%%.pcapng'), beforeMs: 200, beforeSizeBytes: SIZE, afterMs: 250 }
  await using capture = await openOn(testbed, { backend: 'recv', write })
  const steady = steadily(sender)
  await sleep(300)
  const first = capture.trigger('first')
  const same = capture.trigger('at once')
  await sleep(150)
  const second = capture.trigger('second')
  const [one, also, two] = await Promise.all([first, same, second])
  await steady.stop()
  assert.ok(one === also && one === two)
  assert.match(one.path, /\/\d\d-100%\.pcapng$/)
  const strict = read(one.path)
  const [section, statistics] = commentsOf(strict)
  assert.deepEqual(
    [...section, ...statistics].map((comment) => comment.replace(/ at \S+$/, '')),
    ['trigger: first', 'trigger: at once', 'trigger: second'],
  )
  assert.ok(one.untilMs - one.fromMs >= 200 + 150 + 250 && one.untilMs - one.fromMs < 800, JSON.stringify(one))
  assertSpan(strict, steady, one.fromMs, one.untilMs)
  // Names that are taken get a number.
  const next = await capture.trigger()
  if (new Date().getHours() === new Date(one.untilMs).getHours()) assert.match(next.path, /\/\d\d-100%-2\.pcapng$/)
  assert.match(commentsOf(read(next.path))[0][0] as string, /^trigger: trigger\(\) at /)
  await capture.stop()
  await assert.rejects(capture.trigger(), /the capture has ended/)
})

inFolder('the end: while a file is written it has what there is; else nothing is written', async (folder) => {
  using testbed = createTestbed()
  using sender = new RawSender(testbed.sender)
  const before = [openDescriptors().length, threadCount()]
  for (const way of [{}, { workers: 2, fanout: 'lb' }, { backend: 'recv' }, { backend: 'xdp' }] as const) {
    const idle = await openOn(testbed, { ...way, write: { path: join(folder, 'idle.pcap'), beforeMs: 1000, beforeSizeBytes: SIZE } })
    sender.sendNumbered(100)
    await caughtUp(idle, 100)
    assert.deepEqual((await idle.stop()).files, [])
    assert.deepEqual(readdirSync(folder), [])

    for (const waitMs of [0, 50]) {
      const capture = await openOn(testbed, { ...way, write: { path: join(folder, 'x.pcap'), beforeMs: 1000, beforeSizeBytes: SIZE, afterMs: 60_000 } })
      sender.sendNumbered(100)
      await caughtUp(capture, 100)
      const done = capture.trigger()
      sender.sendNumbered(20, 100)
      if (waitMs > 0) await sleep(waitMs)
      const summary = await capture.stop()
      const file = await done
      assertAccount(summary, 120)
      assert.deepEqual([summary.packets, summary.files, file.packets], [120, [file.path], 120])
      assert.ok(file.untilMs <= Date.now())
      assert.deepEqual(numbersOf(read(file.path).packets).sort(byNumber), range(120))
      rmSync(file.path)
    }
  }
  await until('its threads are gone', () => threadCount() <= (before[1] as number))
  assert.equal(openDescriptors().length, before[0])
})

for (const way of [{ backend: 'ring', workers: 2 }, { backend: 'xdp' }] satisfies Omit<CaptureOptions, 'interface'>[]) {
  inFolder(`full flood, ${way.backend}: the file begins before the trigger, and what is lost is named`, async (folder, t) => {
    using testbed = createTestbed()
    const errors: CaptureEvent[] = []
    const write = { path: join(folder, 'x.pcapng'), beforeMs: 1000, beforeSizeBytes: 1200 * 2 ** 20, afterMs: 300 }
    await using capture = await openOn(testbed, { ...way, write, onEvent: (event) => event.type === 'write-error' && errors.push(event) })
    await using flood = await startFlood(testbed.sender)
    await sleep(1500)
    const triggeredMs = Date.now()
    const file = await capture.trigger('flood')
    const afterMs = Date.now()
    await flood.stop()
    const { sent } = await settledWire(testbed)
    await caughtUp(capture, way.backend === 'xdp' ? 0 : sent)
    await sleep(300)
    const summary = await capture.stop()
    assertAccount(summary)
    assert.deepEqual([errors, summary.drops.writer, summary.writtenPackets], [[], 0, file.packets])
    const [count, first, last] = spanOf(file.path)
    t.diagnostic(
      `${summary.offered} offered, ${summary.packets} remembered, drops ${JSON.stringify(summary.drops)}; ${count} in the file, from ${(first - triggeredMs).toFixed(1)} to ${(last - triggeredMs).toFixed(1)} ms, complete ${afterMs - triggeredMs} ms after the trigger`,
    )
    assert.equal(count, file.packets)
    // As doubles they are exact to a quarter of a microsecond.
    assert.ok(first > file.fromMs - 0.001 && last < file.untilMs + 0.001, `${first - file.fromMs}, ${file.untilMs - last}`)
    // Where packets were lost there may be none for a while.
    if (summary.dropped === 0) assert.ok(first - file.fromMs < 100 && file.untilMs - last < 200, `${first - file.fromMs}, ${file.untilMs - last}`)
    else assert.ok(first < triggeredMs - 500 && last > triggeredMs)
    assert.ok(file.fromMs - (triggeredMs - 1000) < 5, 'memory reached back as far as was asked')
  })
}

/** By capinfos: packets, and the times of the first and the last in milliseconds. */
function spanOf(path: string): [packets: number, firstMs: number, lastMs: number] {
  const cells = execFileSync('capinfos', ['-Mrc', '-S', '-T', '-a', '-e', path], { encoding: 'utf8' }).trim().split('\t')
  const [packets, first, last] = cells.slice(-3).map(Number) as [number, number, number]
  return [packets, first * 1000, last * 1000]
}

inFolder('a little memory under a flood: as far as it reaches, and it says how far', async (folder) => {
  using testbed = createTestbed()
  const write = { path: join(folder, 'x.pcap'), beforeMs: 60_000, beforeSizeBytes: 4 * 2 ** 20, afterMs: 100 }
  await using capture = await openOn(testbed, { workers: 2, write })
  await using flood = await startFlood({ ...testbed.sender, ratePps: 100_000 })
  await sleep(1000)
  const triggeredMs = Date.now()
  const file = await capture.trigger()
  await flood.stop()
  const summary = await capture.stop()
  assertAccount(summary)
  const { packets } = read(file.path)
  assert.equal(packets.length, file.packets)
  // 4 MiB are 55000 records of 76 bytes, half a second.
  assert.ok(file.fromMs > triggeredMs - 700 && file.fromMs < triggeredMs - 200, `${file.fromMs - triggeredMs}`)
  assert.ok(packets.every((packet) => millisecondsOf(packet) < file.untilMs))
})

inFolder('a packet that waits for its trigger when the capture ends: a file that begins where the last one ended', async (folder) => {
  using testbed = createTestbed()
  using sender = new RawSender(testbed.sender)
  const write = { path: join(folder, 'x.pcap'), beforeMs: 2000, beforeSizeBytes: SIZE, afterMs: 200, trigger: 'greater 1' }
  const files: TriggeredFile[] = []
  await using capture = await openOn(testbed, { write, onEvent: (event) => event.type === 'past-written' && files.push(event) })
  const steady = steadily(sender)
  await until('the file is written', () => files.length === 1)
  await sleep(300)
  await steady.stop()
  await sleep(100)
  await capture.stop()
  const [first, second] = files as [TriggeredFile, TriggeredFile]
  assert.equal(files.length, 2)
  assert.equal(second.fromMs, first.untilMs)
  const numbers = files.flatMap(({ path }) => numbersOf(read(path).packets))
  assert.ok(numbers.length > 100, `${numbers.length}`)
  assert.equal(new Set(numbers).size, numbers.length)
})

inFolder('two captures that are triggered at once and write by one name: both files are there, and each has the name that is told', async (folder) => {
  using testbed = createTestbed()
  using sender = new RawSender(testbed.sender)
  const files: TriggeredFile[] = []
  // One name whatever the time.
  const write = { path: join(folder, 'x%%.pcapng'), beforeMs: 2000, beforeSizeBytes: SIZE, afterMs: 200 }
  const onEvent = (event: CaptureEvent) => void (event.type === 'past-written' && files.push(event))
  await using one = await openOn(testbed, { write, onEvent })
  await using other = await openOn(testbed, { write, filter: 'greater 1', onEvent })
  sender.sendNumbered(100)
  await caughtUp(one, 100)
  await caughtUp(other, 100)
  await Promise.all([one.trigger(), other.trigger()])
  assert.deepEqual(readdirSync(folder).sort(), ['x%-2.pcapng', 'x%.pcapng'])
  assert.deepEqual(files.map(({ path }) => path).sort(), [join(folder, 'x%-2.pcapng'), join(folder, 'x%.pcapng')])
  assert.deepEqual([...(await one.stop()).files, ...(await other.stop()).files].sort(), files.map(({ path }) => path).sort())
  for (const { path } of files) assert.deepEqual(numbersOf(read(path).packets), range(100))
})

inFolder('a packet that matches triggers; its tag is where the kernel has put it', async (folder) => {
  using testbed = createTestbed()
  using sender = new RawSender(testbed.sender)
  for (const backend of ['ring', 'recv', 'xdp'] as const) {
    const write = { path: join(folder, `${backend}.pcapng`), beforeMs: 250, beforeSizeBytes: SIZE, afterMs: 100, trigger: 'vlan 7 and ether[14:4] = 99' }
    const events: CaptureEvent[] = []
    await using capture = await openOn(testbed, { backend, write, onEvent: (event) => events.push(event) })
    const written = () => events.filter((event) => event.type === 'past-written')
    const tagged = (number: number, vlan: number) => {
      const plain = numberedFrame(number)
      return Buffer.concat([plain.subarray(0, 12), Buffer.from([0x81, 0, 0, vlan]), plain.subarray(12)])
    }
    const steady = steadily(sender)
    await sleep(300)
    sender.send(tagged(99, 8), tagged(98, 7))
    await sleep(100)
    assert.ok(events.every(({ type }) => type !== 'triggered'))
    const beganMs = Date.now()
    sender.send(tagged(99, 7))
    const sentMs = Date.now()
    // While it is armed no more this does nothing; and behind the file's end it waits.
    await sleep(50)
    sender.send(tagged(99, 7))
    await until('the file is written', () => written().length === 1)
    sender.send(tagged(99, 7))
    const lateMs = Date.now()
    await until('the next file is written', () => written().length === 2)
    await steady.stop()
    await capture.stop()
    const [first, second] = written() as TriggeredFile[]
    for (const at of [first.fromMs + 250, first.untilMs - 100])
      assert.ok(at >= beganMs - 1 && at <= sentMs + TOLERANCE_MS, `${at - beganMs}, sent in ${sentMs - beganMs}`)
    assertNumbered(read(first.path), steady, first)
    // Without gap or overlap, and what triggered is in it.
    assert.ok(Math.abs(second.fromMs - first.untilMs) < 0.01, `${second.fromMs - first.untilMs}`)
    assert.ok(second.fromMs <= lateMs && second.untilMs >= lateMs)
    const strict = read(second.path)
    assertNumbered(strict, steady, second)
    assert.equal(strict.packets.filter(({ bytes }) => Buffer.from(bytes).equals(tagged(99, 7))).length, 1)
    assert.match(commentsOf(strict)[0][0] as string, /^trigger: vlan 7 and ether\[14:4\] = 99 at \d{4}-/)
    for (const name of readdirSync(folder)) rmSync(join(folder, name))
  }
})

function assertNumbered(file: StrictCapture, sent: Sent, { fromMs, untilMs }: TriggeredFile): void {
  assertSpan({ ...file, packets: file.packets.filter(({ bytes }) => bytes[12] === 0x88) }, sent, fromMs, untilMs)
}

inFolder('a worker that dies in the middle is replaced, and the file goes on', async (folder) => {
  using testbed = createTestbed()
  using sender = new RawSender(testbed.sender)
  const write = { path: join(folder, 'x.pcapng'), beforeMs: 5000, beforeSizeBytes: SIZE, afterMs: 500 }
  const options = { backend: 'recv', batch: 8, handler: handlerUrl('misbehave'), handlerData: { where: 'packet', at: [150] }, workerRestarts: 1 } as const
  await using capture = await openOn(testbed, { ...options, write })
  sender.sendNumbered(140)
  await caughtUp(capture, 140)
  const done = capture.trigger()
  await sleep(50)
  sender.sendNumbered(20, 140)
  await sleep(200)
  sender.sendNumbered(100, 160)
  const file = await done
  const summary = await capture.stop()
  assertAccount(summary, 260)
  const numbers = numbersOf(read(file.path).packets)
  assert.deepEqual(
    range(260).filter((number) => !numbers.includes(number) && (number < 140 || number >= 160)),
    [],
  )
  assert.equal(numbers.length, file.packets)
  assert.equal(numbers.length, summary.packets)
})

inFolder('what does not go is refused', async (folder) => {
  using testbed = createTestbed()
  const refused = (write: object, expected: RegExp, way: object = {}) =>
    assert.rejects(
      openOn(testbed, { ...way, write: { path: join(folder, 'x.pcap'), beforeMs: 1000, ...write } }),
      (error) => error instanceof CaptureError && expected.test(error.message),
    )
  const before = openDescriptors().length
  await refused({ path: join(folder, 'no/x.pcap') }, /no: access: ENOENT/)
  await refused({ path: folder }, /write\.path/)
  await refused({ path: '/dev/null' }, /write\.path/)
  await refused({ trigger: 'no such words' }, /.+/)
  await refused({ beforeSizeBytes: 2 ** 21 }, /write\.beforeSizeBytes.*from 4194304/, { workers: 2 })
  await refused({ beforeSizeBytes: 2 ** 21 }, /write\.beforeSizeBytes.*from 4194304/, { backend: 'xdp' })
  assert.deepEqual([readdirSync(folder), openDescriptors().length], [[], before])

  // The folder goes away: told when it is triggered, and the capture goes on.
  const gone = join(folder, 'gone')
  mkdirSync(gone)
  const events: CaptureEvent[] = []
  await using capture = await openOn(testbed, {
    write: { path: join(gone, 'x.pcap'), beforeMs: 1000, beforeSizeBytes: SIZE, afterMs: 0 },
    onEvent: (event) => events.push(event),
  })
  rmSync(gone, { recursive: true })
  await assert.rejects(capture.trigger(), { code: 'FILE_FAILED', errnoName: 'ENOENT' })
  assert.deepEqual(
    events.map(({ type }) => type),
    ['triggered', 'write-error'],
  )
  mkdirSync(gone)
  const { path } = await capture.trigger()
  assert.equal(read(path).packets.length, 0)
  await assert.rejects(capture.trigger('x'.repeat(1001)), { code: 'INVALID_OPTION' })
  await capture.stop()
  await using ordinary = await openOn(testbed)
  await assert.rejects(ordinary.trigger(), { code: 'INVALID_OPTION' })
})

/** ringtap capture --json: its process, and its documents so far. */
function command(argv: readonly string[]): {
  child: ChildProcess
  documents: () => Record<string, unknown>[]
  events: (name: string) => Record<string, unknown>[]
  ended: Promise<number | null>
  said: () => string
} {
  const child = spawn(argv[0] as string, argv.slice(1), { stdio: ['ignore', 'pipe', 'pipe'] })
  let out = ''
  let said = ''
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    out += text
  })
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  const documents = () =>
    out
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Record<string, unknown>)
  return {
    child,
    documents,
    events: (name) => documents().filter(({ event }) => event === name),
    ended: once(child, 'close').then(([status]) => status as number | null),
    said: () => said,
  }
}

inFolder('the command: SIGUSR1 triggers, and so does --trigger', async (folder) => {
  using testbed = createTestbed()
  using sender = new RawSender(testbed.sender)
  const { interface: name, netns } = testbed.receiver
  const argv = ['-w', join(folder, 'x.pcapng'), '--before', '500ms', '--before-size', '8M', '--after', '0.1', '--trigger', 'ether[14:4] = 77', '--json']
  const { child, documents, events, ended, said } = command([process.execPath, MAIN, 'capture', '-i', name, '--netns', netns, ...argv])
  await until('it captures', () => documents().some(({ type }) => type === 'start'))
  sender.sendNumbered(70)
  await sleep(50)
  child.kill('SIGUSR1')
  await until('the first file is written', () => events('past-written').length === 1)
  await sleep(600)
  sender.sendNumbered(10, 70)
  await until('the second file is written', () => events('past-written').length === 2)
  child.kill('SIGINT')
  assert.equal(await ended, 0)
  const [first, second] = events('past-written') as unknown as TriggeredFile[]
  assert.deepEqual([numbersOf(read(first.path).packets), numbersOf(read(second.path).packets)], [range(70), range(10, 70)])
  assert.match(commentsOf(read(first.path))[0][0] as string, /^trigger: SIGUSR1 at /)
  assert.match(commentsOf(read(second.path))[0][0] as string, /^trigger: ether\[14:4\] = 77 at /)
  assert.deepEqual(
    events('triggered').map(({ reason }) => reason),
    ['SIGUSR1', 'ether[14:4] = 77'],
  )
  assert.doesNotMatch(said(), /Debugger/)
  assert.deepEqual((documents().at(-1) as unknown as CaptureSummary).files, [first.path, second.path])
})

inFolder('a file says what a recording says: by what, on what, of which interface', async (folder) => {
  using testbed = createTestbed()
  using sender = new RawSender(testbed.sender)
  const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as { version: string }
  const described = async (name: string, write: object, filter?: string) => {
    const path = join(folder, name)
    await using capture = await openOn(testbed, { write: { path, ...write }, ...(filter === undefined ? {} : { filter }) })
    sender.sendNumbered(10)
    await caughtUp(capture, 10)
    const written = 'beforeMs' in write ? (await capture.trigger()).path : path
    await capture.stop()
    await using file = await openCaptureFile(written)
    let packets = 0
    for await (const batch of file.batches()) while (batch.next()) packets++
    const [{ statistics, ...facts }] = file.interfaces as [(typeof file.interfaces)[number]]
    const [{ comments: _, ...section }] = file.sections as [(typeof file.sections)[number]]
    return { packets, section, facts, statistics: { received: statistics?.received, delivered: statistics?.delivered } }
  }
  const past = { beforeMs: 5000, beforeSizeBytes: SIZE, afterMs: 0 }
  const recorded = await described('ordinary.pcapng', {})
  const remembered = await described('past.pcapng', past)
  assert.deepEqual(remembered, recorded)
  assert.deepEqual(
    [remembered.packets, remembered.section.application, remembered.section.hardware, remembered.statistics],
    [10, `ringtap ${version}`, cpus()[0]?.model, { received: 10, delivered: 10 }],
  )
  assert.ok(remembered.facts.macAddress !== undefined)
  // A filter whose text finds no room in an option.
  const long = `ether proto ${NUMBERED} or udp`.padEnd(65_536)
  const withLong = await described('long.pcapng', past, long)
  assert.deepEqual([withLong.packets, withLong.facts.filter, withLong.statistics.received], [10, undefined, undefined])
})

inFolder('the command in words', async (folder) => {
  using testbed = createTestbed()
  const { interface: name, netns } = testbed.receiver
  const { child, ended, said } = command([
    process.execPath,
    MAIN,
    'capture',
    '-i',
    name,
    '--netns',
    netns,
    '-q',
    '-w',
    join(folder, 'x.pcap'),
    '--before',
    '2',
    '--after',
    '0',
  ])
  await until('it captures', () => said().includes('listening on'))
  assert.match(said(), /2\.0s kept in 256 MiB until a signal \(SIGUSR1\), writing pcap to /)
  child.kill('SIGUSR1')
  await until('the file is written', () => said().includes('written to'))
  child.kill('SIGINT')
  assert.equal(await ended, 0)
  assert.match(said(), /ringtap: trigger: SIGUSR1: writing \S+\/x\.\d{8}-\d{6}\.pcap\nringtap: 0 packets from \S+Z to \S+Z written to \S+\.pcap\n/)
})

inFolder('-Z: a folder that the user cannot write to is told at the beginning, and one that becomes so at the trigger', async (folder) => {
  using testbed = createTestbed()
  using sender = new RawSender(testbed.sender)
  chmodSync(folder, 0o755)
  const { interface: name, netns } = testbed.receiver
  const way = ['-w', join(folder, 'x.pcapng'), '--before', '5s', '--before-size', '8M', '--after', '0', '-Z', 'nobody', '-q']
  const argv = [process.execPath, MAIN, 'capture', '-i', name, '--netns', netns, ...way]
  const refused = command([...argv, '--duration', '3s'])
  assert.equal(await refused.ended, 1)
  assert.match(refused.said(), /^ringtap: \S+\/x\.\d{8}-\d{6}\.pcapng: open: EACCES .*, as user nobody\n {2}files are made as user nobody/)
  assert.deepEqual(readdirSync(folder), [])

  chownSync(folder, NOBODY, NOBODY)
  const { child, ended, said } = command(argv)
  await until('it captures', () => said().includes('listening on'))
  assert.deepEqual(readdirSync(folder), [])
  sender.sendNumbered(20)
  await sleep(50)
  chownSync(folder, 0, 0)
  child.kill('SIGUSR1')
  await until('it is told', () => said().includes('EACCES'))
  assert.match(said(), /EACCES.*\n {2}the capture goes on, and keeps what it remembers; the next trigger tries again\n/)
  chownSync(folder, NOBODY, NOBODY)
  child.kill('SIGUSR1')
  await until('the file is written', () => said().includes('written to'))
  child.kill('SIGINT')
  assert.equal(await ended, 1)
  const [file] = readdirSync(folder)
  assert.deepEqual(numbersOf(read(join(folder, file as string)).packets), range(20))
  assert.equal(statSync(join(folder, file as string)).uid, NOBODY)
})

inFolder('a full disk: counted, told, and the next file is tried', async (folder) => {
  using testbed = createTestbed()
  const { interface: name, netns } = testbed.receiver
  const script = `mount -t tmpfs -o size=${4 * 2 ** 20} tmpfs ${folder} && exec "$@"`
  const argv = [
    'capture',
    '-i',
    name,
    '--netns',
    netns,
    '-w',
    join(folder, 'x.pcapng'),
    '--before',
    '10s',
    '--before-size',
    '32M',
    '--after',
    '200ms',
    '--json',
  ]
  const { child, documents, events, ended } = command(['unshare', '-m', 'sh', '-c', script, 'sh', process.execPath, MAIN, ...argv])
  await until('it captures', () => documents().some(({ type }) => type === 'start'))
  const inside = (path: string) => `/proc/${child.pid}/root${path}`
  const flood = async () => {
    const running = await startFlood({ ...testbed.sender, count: 100_000, ratePps: 300_000 })
    await running.finished
    await sleep(100)
  }
  await flood()
  child.kill('SIGUSR1')
  await until('the first file is written', () => events('past-written').length === 1)
  const [first] = events('past-written') as unknown as TriggeredFile[]
  assert.deepEqual(events('write-error').map(({ error }) => (error as { errnoName: string }).errnoName)[0], 'ENOSPC')
  assert.equal(readStrictly(readFileSync(inside(first.path))).packets.length, first.packets)
  assert.ok(first.packets > 10_000 && first.packets < 60_000, `${first.packets}`)
  execFileSync('nsenter', ['-t', String(child.pid), '-m', 'mount', '-o', 'remount,size=64m', folder])
  await flood()
  child.kill('SIGUSR1')
  await until('the second file is written', () => events('past-written').length === 2)
  const second = events('past-written')[1] as unknown as TriggeredFile
  assert.equal(readStrictly(readFileSync(inside(second.path))).packets.length, second.packets)
  assert.equal(second.packets, 100_000 + first.packets)
  child.kill('SIGINT')
  assert.equal(await ended, 1)
  const summary = documents().at(-1) as unknown as CaptureSummary
  assertAccount(summary, 200_000)
  assert.equal(summary.drops.writer, 100_000 - first.packets)
})

inFolder('kill -9 while a file is written: it ends in a whole record', async (folder) => {
  using testbed = createTestbed()
  const { interface: name, netns } = testbed.receiver
  const argv = ['-w', join(folder, 'x.pcapng'), '--before', '10s', '--before-size', '64M', '--after', '60s', '--json']
  const { child, documents, ended } = command([process.execPath, MAIN, 'capture', '-i', name, '--netns', netns, ...argv])
  await until('it captures', () => documents().some(({ type }) => type === 'start'))
  await using flood = await startFlood({ ...testbed.sender, ratePps: 300_000 })
  await sleep(500)
  child.kill('SIGUSR1')
  await until('it is being written', () => readdirSync(folder).some((file) => statSync(join(folder, file)).size > 5 * 2 ** 20))
  child.kill('SIGKILL')
  await ended
  await flood.stop()
  await until('the file has its name', () => readdirSync(folder).every((file) => file.startsWith('x.')))
  const [file] = readdirSync(folder)
  const { packets } = readStrictly(readFileSync(join(folder, file as string)))
  assert.ok(packets.length > 50_000, `${packets.length}`)
})
