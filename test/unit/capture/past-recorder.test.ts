/** What a worker remembers, forgets, writes and counts, over fabricated blocks and with a disk that fails when it is told to. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { consumedOf } from '#src/capture/account.js'
import { COUNTER, CounterWriter, countersMemory } from '#src/capture/counters.js'
import { type PastOrder, PastRecorder, type PastReport } from '#src/capture/past-recorder.js'
import { TriggerWatch } from '#src/capture/trigger-watch.js'
import { encodePcapHeader } from '#src/file/encode-pcap.js'
import { encodeInterface, encodeSection } from '#src/file/encode-pcapng.js'
import { createRecordPool } from '#src/file/record-pool.js'
import { createSinkShared } from '#src/file/sink.js'
import { compileFilter } from '#src/filter/compile.js'
import { TP_STATUS_TS_RAW_HARDWARE } from '#src/kernel/abi/if_packet.js'
import { LinearMemory } from '#src/kernel/linear-memory.js'
import { openKernel } from '#src/kernel/system.js'
import { Block } from '#src/packet/block.js'
import { readCaptureFile } from '../../support/capture-file.js'
import { fakeKernel } from '../../support/fake-kernel.js'
import { seededRandom } from '../../support/random.js'
import { type FabricatedPacket, KernelRing } from '../../support/ring-memory.js'

const ENOSPC = 28
const EIO = 5
/** When the recorder is made, in seconds and milliseconds since 1970. */
const START = 1_700_000_000
const START_MS = START * 1000

interface SetUp {
  /** Of a segment; a record of 60 bytes takes 76 in pcap and 92 in pcapng. */
  segmentBytes?: number
  segments?: number
  format?: 'pcap' | 'pcapng'
  microseconds?: boolean
  lagMs?: number
  /** Answers for each write(2) how much of it the disk takes, or -errno. */
  write?: (bytes: number) => number
  trigger?: string
  compiled?: boolean
}

const FIRST_FD = 10

function setUp({
  segmentBytes = 760,
  segments = 4,
  format = 'pcap',
  microseconds = false,
  lagMs = 0,
  write = (bytes) => bytes,
  trigger,
  compiled = false,
}: SetUp) {
  const kernel = fakeKernel()
  const written = new Map<number, Buffer[]>()
  const errors: number[] = []
  const reports: PastReport[] = []
  const matches: number[] = []
  kernel.answer('write', (fd, bytes) => {
    const result = write(bytes.length)
    if (result > 0) written.set(fd, [...(written.get(fd) ?? []), Buffer.from(bytes.subarray(0, result))])
    return result
  })
  const { values } = new CounterWriter(countersMemory(1), 0)
  const layout = { format, microseconds, snapLengthBytes: 262_144, interfaceId: 0 } as const
  let nowMs = START_MS
  const memory = compiled ? LinearMemory.create(openKernel(), MEMORY_BYTES) : undefined
  memory?.takeBeginning(BLOCK_BYTES)
  const recorder = new PastRecorder({
    kernel,
    ...createRecordPool(memory, { segmentBytes, segments }, layout),
    format: layout,
    values,
    lagMs,
    onError: (errno) => errors.push(errno),
    report: (report) => reports.push(report),
    watch: trigger === undefined ? undefined : new TriggerWatch(compileFilter(trigger, { vlan: 'ancillary' }).instructions),
    onMatch: (atMs) => matches.push(atMs),
    clock: () => nowMs,
  })
  const described = { linkType: 1, snapLengthBytes: 262_144, precision: microseconds ? 'us' : 'ns' } as const
  const header = format === 'pcap' ? encodePcapHeader(described) : Buffer.concat([encodeSection({}), encodeInterface(described)])
  return {
    recorder,
    values,
    errors,
    reports,
    matches,
    count: (name: keyof typeof COUNTER) => values[COUNTER[name]],
    /** Records packets `from` to `to - 1`, one a millisecond; number n is of START_MS + n. The clock is at the last one. */
    record(from: number, to: number, change: Partial<FabricatedPacket> = {}) {
      if (to > from) nowMs = Math.max(nowMs, START_MS + to - 1)
      const block = blockOf(from, to - from, change)
      if (memory === undefined) recorder.record(block, to - from)
      else {
        new Uint8Array(memory.buffer).set(block.bytes, 0)
        const copy = new Block(memory.buffer, 0, BLOCK_BYTES)
        copy.readHeader()
        recorder.record(copy, to - from)
      }
    },
    /** From packet number `from` on to before `until`. */
    order(id: number, from: number, until: number): PastOrder {
      return { id, sink: createSinkShared({ fd: FIRST_FD + id, isRegular: true, size: 0 }), fromMs: START_MS + from, untilMs: START_MS + until }
    },
    clock(number: number) {
      nowMs = START_MS + number
    },
    /** Until the recorder has nothing to do. */
    idle() {
      // Something may have come just now.
      recorder.tick(0)
      do recorder.tick(0)
      while (recorder.isBusy)
    },
    /** Numbers of the packets of a file. */
    file(id: number) {
      return readCaptureFile(Buffer.concat([header, ...(written.get(FIRST_FD + id) ?? [])])).packets.map(({ bytes }) => bytes.readUInt32BE(14))
    },
    get files() {
      return written.size
    },
  }
}

const BLOCK_BYTES = 2 ** 18
const MEMORY_BYTES = 2 ** 22

function blockOf(first: number, packets: number, change: Partial<FabricatedPacket>): Block {
  const ring = new KernelRing({ blockBytes: BLOCK_BYTES, blockCount: 2 })
  for (let number = first; number < first + packets; number++) {
    const bytes = new Uint8Array(60)
    new DataView(bytes.buffer).setUint32(14, number)
    ring.receive({ bytes, wireLength: 100, seconds: START + Math.floor(number / 1000), nanoseconds: (number % 1000) * 1_000_000, ...change })
  }
  ring.retire()
  const block = new Block(ring.memory, 0, BLOCK_BYTES)
  block.readHeader()
  return block
}

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i)

test('what is remembered is delivered, what is forgotten is no drop, and nothing is written', () => {
  const it = setUp({})
  it.record(0, 500)
  it.idle()
  assert.deepEqual([it.count('packets'), it.count('bytes'), it.count('truncated'), it.count('pending')], [500, 50_000, 500, 0])
  assert.deepEqual([it.count('writtenPackets'), it.count('writtenBytes'), it.count('dropWriter'), it.files], [0, 0, 0, 0])
  it.recorder.flush()
  assert.deepEqual([it.files, it.reports], [0, []])
  assert.equal(consumedOf(it.values), 500)
})

for (const format of ['pcap', 'pcapng'] as const) {
  for (const microseconds of [false, true]) {
    for (const compiled of [false, true]) {
      test(`from before the trigger to after it, to the packet: ${format}, ${microseconds ? 'us' : 'ns'}, ${compiled ? 'compiled' : 'script'}`, () => {
        const it = setUp({ segmentBytes: 920, segments: 20, format, microseconds, compiled })
        it.record(0, 150)
        const order = it.order(0, 73, 181)
        it.recorder.begin(order)
        it.record(150, 170)
        it.record(170, 200)
        it.idle()
        assert.deepEqual(it.file(0), range(73, 181))
        assert.deepEqual(it.reports, [{ id: 0, packets: 108, coversFromMs: START_MS + 73, untilMs: START_MS + 181 }])
        assert.deepEqual([it.count('packets'), it.count('writtenPackets'), it.count('writtenBytes')], [200, 108, 108 * (format === 'pcap' ? 76 : 92)])
        assert.ok(!it.recorder.isBusy)
      })
    }
  }
}

test('memory that does not reach so far back: all of it, and the report says from when', () => {
  const it = setUp({})
  // Four segments of ten records: the newest is being filled.
  it.record(0, 95)
  it.recorder.begin(it.order(0, 5, 100))
  it.record(95, 110)
  it.idle()
  assert.deepEqual(it.file(0), range(60, 100))
  assert.deepEqual(it.reports, [{ id: 0, packets: 40, coversFromMs: START_MS + 60, untilMs: START_MS + 100 }])
})

test('a worker that has forgotten nothing covers all since it began', () => {
  const it = setUp({})
  it.clock(0)
  it.record(5, 10)
  it.recorder.begin(it.order(0, -30_000, 9))
  it.recorder.flush()
  assert.deepEqual([it.reports[0].coversFromMs, it.reports[0].untilMs, it.file(0)], [START_MS, undefined, range(5, 9)])
})

test('no packet comes any more: the file ends all the same, but not while one might', () => {
  const it = setUp({ lagMs: 40 })
  it.record(0, 15)
  it.recorder.begin(it.order(0, 0, 20))
  it.clock(59)
  it.idle()
  assert.deepEqual(it.reports, [])
  // Handed over late.
  it.record(15, 25)
  it.clock(60)
  it.idle()
  assert.deepEqual(it.file(0), range(0, 20))
  assert.equal(it.reports.length, 1)
})

test('the end in the middle of a millisecond', () => {
  const it = setUp({ segments: 20 })
  it.record(0, 10)
  const order = it.order(0, 0, 15)
  it.recorder.begin({ ...order, untilMs: order.untilMs + 0.4 })
  it.clock(15)
  it.record(10, 16)
  it.record(15, 16, { nanoseconds: 15_500_000 })
  it.clock(16)
  it.idle()
  assert.deepEqual(it.file(0), range(0, 16))
})

test('nothing at all: an empty file', () => {
  const it = setUp({})
  it.recorder.begin(it.order(0, -10, 10))
  it.clock(10)
  it.idle()
  assert.deepEqual(it.reports, [{ id: 0, packets: 0, coversFromMs: START_MS, untilMs: START_MS + 10 }])
  assert.equal(it.files, 0)
})

test('several triggers: each file has its own past, also of what an earlier one has', () => {
  const it = setUp({ segments: 50 })
  it.record(0, 100)
  it.recorder.begin(it.order(0, 50, 120))
  it.record(100, 140)
  it.idle()
  it.record(140, 150)
  it.recorder.begin(it.order(1, 95, 160))
  it.record(150, 165)
  it.idle()
  it.record(165, 170)
  it.recorder.begin(it.order(2, 165, 168))
  it.idle()
  it.record(170, 171)
  it.idle()
  assert.deepEqual([it.file(0), it.file(1)], [range(50, 120), range(95, 160)])
  // Its end was past when it was told.
  assert.deepEqual(it.file(2), range(165, 168))
  assert.deepEqual(
    it.reports.map(({ id, packets }) => [id, packets]),
    [
      [0, 70],
      [1, 65],
      [2, 3],
    ],
  )
  assert.deepEqual([it.count('packets'), it.count('writtenPackets')], [171, 138])
})

test('the same order again makes a file longer: while it is written, while its end is, and right after', () => {
  const it = setUp({ segments: 50 })
  it.record(0, 100)
  const order = it.order(0, 90, 110)
  it.recorder.begin(order)
  it.record(100, 105)
  it.recorder.begin({ ...order, untilMs: START_MS + 120 })
  it.record(105, 130)
  it.recorder.begin({ ...order, untilMs: START_MS + 140 })
  it.record(130, 150)
  it.idle()
  assert.deepEqual(it.reports.at(-1)?.untilMs, START_MS + 140)
  it.recorder.begin({ ...order, untilMs: START_MS + 155 })
  it.record(150, 160)
  it.idle()
  // A file that was made longer behind its end has all that was remembered then.
  const numbers = it.file(0)
  assert.deepEqual(numbers, range(90, 155))
  assert.equal(
    it.reports.reduce((sum, { packets }) => sum + packets, 0),
    65,
  )
})

test('told late, and made longer late: to the packet, none twice, and the next file has the rest', () => {
  const it = setUp({ segments: 50 })
  it.record(0, 100)
  const order = it.order(0, 42, 67)
  it.recorder.begin(order)
  it.idle()
  assert.deepEqual(it.file(0), range(42, 67))
  it.recorder.begin({ ...order, untilMs: START_MS + 83 })
  it.record(100, 110)
  it.idle()
  assert.deepEqual(it.file(0), range(42, 83))
  it.recorder.begin({ ...order, untilMs: START_MS + 120 })
  it.record(110, 130)
  it.idle()
  assert.deepEqual(it.file(0), range(42, 120))
  it.recorder.begin(it.order(1, 120, 120))
  it.idle()
  it.recorder.begin(it.order(2, 120, 125))
  it.idle()
  assert.deepEqual([it.file(2), it.files], [range(120, 125), 2])
  assert.deepEqual(
    it.reports.map(({ id, packets, untilMs }) => [id, packets, untilMs]),
    [
      [0, 25, START_MS + 67],
      [0, 16, START_MS + 83],
      [0, 37, START_MS + 120],
      [1, 0, START_MS + 120],
      [2, 5, START_MS + 125],
    ],
  )
  assert.deepEqual([it.count('packets'), it.count('writtenPackets')], [130, 83])
})

test('made longer late, when what was cut off has been forgotten: all that is remembered', () => {
  const it = setUp({})
  it.record(0, 38)
  const order = it.order(0, 10, 15)
  it.recorder.begin(order)
  it.idle()
  it.record(38, 75)
  it.recorder.begin({ ...order, untilMs: START_MS + 70 })
  it.idle()
  assert.deepEqual(it.file(0), [...range(10, 15), ...range(it.file(0)[5] as number, 70)])
  assert.ok((it.file(0)[5] as number) > 30)
})

test('the end of the capture while a file is written: it has what there is', () => {
  const it = setUp({ segments: 50 })
  it.record(0, 100)
  it.recorder.begin(it.order(0, 60, 1000))
  it.record(100, 103)
  it.recorder.flush()
  it.recorder.flush()
  assert.deepEqual(it.file(0), range(60, 103))
  assert.deepEqual(it.reports, [{ id: 0, packets: 43, coversFromMs: START_MS + 60, untilMs: undefined }])
})

test('a backlog is written by and by, and what would be forgotten before', () => {
  let writes = 0
  const it = setUp({
    segments: 50,
    write: (bytes) => {
      writes++
      return bytes
    },
  })
  it.record(0, 490)
  it.recorder.begin(it.order(0, 0, 100_000))
  assert.equal(writes, 0)
  it.record(490, 495)
  assert.equal(writes, 0)
  it.record(495, 500)
  assert.equal(writes, 1, 'as much as came')
  it.recorder.tick(0)
  it.record(500, 501)
  it.recorder.tick(760 / 134_217)
  assert.deepEqual([writes, it.recorder.isBusy], [2, false], 'and some more by time')
  it.recorder.tick(1)
  assert.deepEqual([writes, it.recorder.isBusy], [3, true], 'nothing comes')
  it.idle()
  assert.equal(writes, 50)
  it.recorder.flush()
  assert.deepEqual(it.file(0), range(0, 501))

  const tight = setUp({ segments: 4 })
  tight.record(0, 38)
  tight.recorder.begin(tight.order(0, 0, 100_000))
  for (let number = 38; number < 300; number += 2) tight.record(number, number + 2)
  tight.recorder.flush()
  assert.deepEqual(tight.file(0), range(0, 300))
})

test('a disk that is full: the drop writer, told once, and the capture goes on', () => {
  let result: number | undefined
  const it = setUp({ segments: 20, write: (bytes) => result ?? bytes })
  it.record(0, 100)
  it.recorder.begin(it.order(0, 35, 200))
  result = -ENOSPC
  it.recorder.tick(0)
  it.recorder.tick(0)
  // The first segment: packets 30 to 34 are before the file.
  assert.deepEqual([it.count('packets'), it.count('dropWriter'), it.count('bytes'), it.count('truncated')], [95, 5, 9500, 95])
  it.recorder.tick(0)
  result = -EIO
  it.recorder.tick(0)
  result = undefined
  it.idle()
  assert.deepEqual(it.errors, [ENOSPC, EIO])
  assert.deepEqual([it.count('packets'), it.count('dropWriter'), it.count('bytes')], [75, 25, 7500])
  it.recorder.flush()
  assert.deepEqual(it.file(0), range(60, 100))
  assert.equal(consumedOf(it.values), 100)
  // They are gone: another file does not bring them back.
  it.recorder.begin(it.order(1, 20, 200))
  it.recorder.flush()
  assert.deepEqual(it.file(1), [...range(20, 30), ...range(60, 100)])
  assert.equal(consumedOf(it.values), 100)
})

test('what is in a file already is not lost with another', () => {
  let result: number | undefined
  const it = setUp({ segments: 20, write: (bytes) => result ?? bytes })
  it.record(0, 50)
  it.recorder.begin(it.order(0, 0, 50))
  it.recorder.flush()
  result = -ENOSPC
  it.recorder.begin(it.order(1, 0, 60))
  it.recorder.flush()
  assert.deepEqual([it.file(0).length, it.file(1).length, it.count('packets'), it.count('dropWriter'), it.errors], [50, 0, 50, 0, [ENOSPC]])
})

test('what a file that was told late has left out is lost with the next that fails', () => {
  let result: number | undefined
  const it = setUp({ segments: 20, write: (bytes) => result ?? bytes })
  it.record(0, 20)
  it.recorder.begin(it.order(0, 2, 7))
  it.idle()
  assert.deepEqual(it.file(0), range(2, 7))
  result = -ENOSPC
  it.recorder.begin(it.order(1, 7, 20))
  it.idle()
  assert.deepEqual([it.count('packets'), it.count('dropWriter'), it.count('bytes'), it.count('truncated')], [7, 13, 700, 7])
  assert.equal(consumedOf(it.values), 20)
})

test('packets that a handler gives up are not counted as delivered, and not lost twice', () => {
  let result: number | undefined
  const it = setUp({ write: (bytes) => result ?? bytes })
  const giveUp = (packets: number) => {
    it.values[COUNTER.dropHandler] += packets
    it.values[COUNTER.pending] -= packets
  }
  giveUp(4)
  it.record(0, 5)
  assert.deepEqual([it.count('packets'), it.count('dropHandler')], [1, 4])
  it.recorder.begin(it.order(0, 0, 100))
  result = -ENOSPC
  it.recorder.flush()
  assert.deepEqual([it.count('packets'), it.count('dropHandler'), it.count('dropWriter'), consumedOf(it.values)], [0, 4, 1, 5])
})

test("a NIC's clock of another epoch: the same packets", () => {
  const it = setUp({ segments: 20 })
  const nic = (from: number, to: number) => {
    for (let number = from; number < to; number++) {
      // 37 s ahead, as TAI is.
      it.record(number, number + 1, { seconds: START + 37, nanoseconds: number * 1_000_000, status: TP_STATUS_TS_RAW_HARDWARE })
    }
  }
  nic(0, 100)
  it.recorder.begin(it.order(0, 40, 120))
  nic(100, 130)
  it.idle()
  assert.deepEqual(it.file(0), range(40, 120))
})

test('a packet that matches triggers once, and again behind the end of its file', () => {
  const it = setUp({ segments: 20, trigger: 'ether[17] = 7 or vlan 5' })
  it.record(0, 5)
  assert.deepEqual(it.matches, [])
  it.record(5, 20)
  assert.deepEqual(it.matches, [START_MS + 7])
  it.record(256, 266)
  assert.equal(it.matches.length, 1, 'it is not armed')
  it.recorder.begin(it.order(0, 0, 520))
  it.record(512, 522)
  assert.equal(it.matches.length, 1, 'it is in the file')
  // The tag is not among the packet's bytes.
  it.record(518, 530, { vlan: { tci: 5, tpid: 0x8100 } })
  assert.deepEqual(it.matches, [START_MS + 7, START_MS + 520])
  it.recorder.rearm()
  it.record(7, 8)
  assert.deepEqual(it.matches.at(-1), START_MS + 7)
})

test('any segments, blocks and triggers: files have what they should, and the account comes out even', (t) => {
  const random = seededRandom(t)
  const pick = (from: number, to: number) => random.between(from, to - 1)
  for (let round = 0; round < 200; round++) {
    const format = random.oneIn(2) ? 'pcap' : 'pcapng'
    const segments = pick(4, 30)
    const perSegment = pick(1, 12)
    const it = setUp({ segmentBytes: perSegment * (format === 'pcap' ? 76 : 92), segments, format })
    let number = 0
    let id = 0
    let order: { from: number; until: number; reach: number } | undefined
    let writtenBefore = 0
    for (let step = 0; step < 60; step++) {
      const packets = pick(0, 40)
      it.record(number, number + packets)
      number += packets
      if (random.oneIn(3)) it.idle()
      if (order === undefined && random.oneIn(3) && number > 0) {
        // One segment is being filled, one may have been forgotten for it, and each file ends with one that is not full.
        const reach = Math.max(0, number - Math.max(0, segments - 2 - id) * perSegment)
        order = { from: pick(Math.max(0, reach - 20), number), until: 0, reach }
        // Its end may be past when it is told.
        order.until = Math.max(order.from, number + pick(-30, 60))
        it.recorder.begin(it.order(id, order.from, order.until))
      }
      if (order !== undefined && it.reports.length > id) {
        const from = it.reports[id].coversFromMs - START_MS
        assert.ok(from >= order.from && from <= Math.max(order.from, order.reach), `round ${round} step ${step}: ${from}, ${JSON.stringify(order)}`)
        // It may have been forgotten whole.
        const expected = range(from, Math.max(from, order.until))
        assert.deepEqual(it.file(id), expected, `round ${round} step ${step}`)
        assert.equal(it.reports[id].packets, expected.length)
        writtenBefore += expected.length
        order = undefined
        id++
      }
    }
    it.recorder.flush()
    if (order !== undefined) {
      assert.deepEqual(it.file(id), range(it.reports[id].coversFromMs - START_MS, Math.min(order.until, number)))
      writtenBefore += it.file(id).length
    }
    assert.deepEqual([it.count('packets'), it.count('writtenPackets'), it.count('pending'), it.count('bytes')], [number, writtenBefore, 0, number * 100])
  }
})
