/** What a recorder counts and tells, with a disk that fails when it is told to. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gunzipSync, gzipSync } from 'node:zlib'
import { consumedOf, dropPending } from '#src/capture/account.js'
import { COUNTER, CounterWriter, countersMemory } from '#src/capture/counters.js'
import { Recorder, type RecorderParts } from '#src/capture/recorder.js'
import { encodePcapHeader } from '#src/file/encode-pcap.js'
import { ScriptRecords } from '#src/file/record.js'
import { AMOUNT, createSinkShared, STATE, WORD, wordsOf } from '#src/file/sink.js'
import { Block } from '#src/packet/block.js'
import { readCaptureFile } from '../../support/capture-file.js'
import { fakeKernel } from '../../support/fake-kernel.js'
import { KernelRing } from '../../support/ring-memory.js'

const ENOSPC = 28
const EPIPE = 32
const EAGAIN = 11
const EIO = 5
const HEADER = encodePcapHeader({ precision: 'ns', snapLengthBytes: 262_144, linkType: 1 })

/** `room` bytes of buffer; `write` answers for each write(2) how much of it the disk takes, or -errno. */
function setUp({
  room = 10_000,
  unbuffered = false,
  compress = undefined as RecorderParts['compress'],
  write = (bytes: number): number => bytes,
  isRegular = true,
}) {
  const kernel = fakeKernel()
  const written: Buffer[] = []
  const errors: number[] = []
  kernel.answer('write', (_fd, bytes) => {
    const result = write(bytes.length)
    if (result > 0) written.push(Buffer.from(bytes.subarray(0, result)))
    return result
  })
  const { values } = new CounterWriter(countersMemory(1), 0)
  const format = { format: 'pcap', microseconds: false, snapLengthBytes: 262_144, interfaceId: 0 } as const
  const buffer = new ScriptRecords(room, format)
  const sink = createSinkShared({ fd: 3, isRegular, size: 0 })
  const recorder = new Recorder({ kernel, sink, buffer, format, values, unbuffered, compress, onError: (errno) => errors.push(errno) })
  const count = (name: keyof typeof COUNTER) => values[COUNTER[name]]
  const file = () => readCaptureFile(Buffer.concat([HEADER, ...written])).packets.map(({ bytes }) => bytes.readUInt32BE(14))
  return { kernel, recorder, values, count, file, errors, sink, written }
}

function blockOf(first: number, packets: number): Block {
  const ring = new KernelRing({ blockBytes: 65_536, blockCount: 2 })
  for (let i = 0; i < packets; i++) {
    const bytes = new Uint8Array(60)
    new DataView(bytes.buffer).setUint32(14, first + i)
    ring.receive({ bytes, wireLength: 100 })
  }
  ring.retire()
  const block = new Block(ring.memory, 0, 65_536)
  block.readHeader()
  return block
}

const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i)

test('packets count when they are written, by the buffer', () => {
  const { recorder, count, file } = setUp({ room: 1000 })
  // 13 records of 76 bytes fit.
  recorder.record(blockOf(0, 30), 30)
  assert.deepEqual([count('packets'), count('pending'), count('bytes'), count('truncated')], [26, 4, 2600, 26])
  assert.deepEqual([count('writtenPackets'), count('writtenBytes'), file().length], [26, 26 * 76, 26])
  recorder.flush()
  recorder.flush()
  assert.deepEqual([count('packets'), count('pending'), count('dropWriter')], [30, 0, 0])
  assert.deepEqual(file(), numbers(0, 30))
})

test('only as many of a block as it is told', () => {
  const { recorder, file } = setUp({})
  recorder.record(blockOf(0, 30), 7)
  recorder.record(blockOf(50, 5), 0)
  recorder.flush()
  assert.deepEqual(file(), numbers(0, 7))
})

test('unbuffered: after each block', () => {
  const { recorder, count } = setUp({ unbuffered: true })
  recorder.record(blockOf(0, 3), 3)
  assert.deepEqual([count('packets'), count('pending')], [3, 0])
})

test('what has waited long enough is written, what has not is not', () => {
  const { recorder, count } = setUp({})
  recorder.tick(performance.now() + 1e6)
  recorder.record(blockOf(0, 3), 3)
  recorder.tick(performance.now())
  assert.equal(count('packets'), 0)
  recorder.tick(performance.now() + 100)
  assert.equal(count('packets'), 3)
})

test('a disk that is full: the drop writer, told once, tried again', () => {
  let result: number | undefined
  const it = setUp({ room: 1000, write: (bytes) => result ?? bytes })
  it.recorder.record(blockOf(0, 13), 13)
  result = -ENOSPC
  it.recorder.record(blockOf(13, 40), 40)
  it.recorder.flush()
  assert.deepEqual([it.count('packets'), it.count('dropWriter'), it.count('pending'), it.errors], [0, 53, 0, [ENOSPC]])
  assert.equal(it.count('bytes') + it.count('truncated') + it.count('writtenBytes'), 0)
  result = -EIO
  it.recorder.record(blockOf(53, 1), 1)
  it.recorder.flush()
  result = undefined
  it.recorder.record(blockOf(54, 2), 2)
  it.recorder.flush()
  assert.deepEqual([it.count('packets'), it.count('dropWriter'), it.errors], [2, 54, [ENOSPC, EIO]])
  result = -ENOSPC
  it.recorder.record(blockOf(56, 1), 1)
  it.recorder.flush()
  assert.deepEqual(it.errors, [ENOSPC, EIO, ENOSPC], 'it had recovered')
  assert.deepEqual(it.file(), [54, 55])
  assert.equal(consumedOf(it.values), 57)
})

test('packets that a handler gives up move from where they are', () => {
  let result: number | undefined
  const it = setUp({ write: (bytes) => result ?? bytes })
  const giveUp = (packets: number) => {
    it.values[COUNTER.dropHandler] += packets
    it.values[COUNTER.pending] -= packets
  }
  giveUp(2)
  it.recorder.record(blockOf(0, 10), 10)
  it.recorder.flush()
  assert.deepEqual([it.count('packets'), it.count('dropHandler'), it.count('writtenPackets'), consumedOf(it.values)], [8, 2, 10, 10])
  // Of those that are in the file already.
  giveUp(5)
  result = -EIO
  it.recorder.record(blockOf(10, 2), 2)
  it.recorder.flush()
  assert.deepEqual([it.count('packets'), it.count('dropHandler'), it.count('dropWriter')], [5, 7, 0])
  assert.equal(consumedOf(it.values), 12)
})

test('no more files: the drop writer, and nothing to tell, as main has ordered it', () => {
  const it = setUp({})
  wordsOf(it.sink.lock).words[WORD.state] = STATE.full
  it.recorder.record(blockOf(0, 3), 3)
  it.recorder.flush()
  assert.deepEqual([it.count('packets'), it.count('dropWriter'), it.count('writtenPackets'), it.errors], [0, 3, 0, []])
  assert.equal(consumedOf(it.values), 3)
})

test('a pipe whose reader takes no more: what went into it whole is written, and nothing is told', () => {
  // Two records of 76 bytes and half a third.
  let room = 2 * 76 + 40
  const pipe = (bytes: number) => {
    const taken = Math.min(bytes, room)
    room -= taken
    return taken === 0 ? -EAGAIN : taken
  }
  const { kernel, recorder, count, errors, sink } = setUp({ isRegular: false, write: pipe })
  kernel.answer('poll', () => 0)
  recorder.record(blockOf(0, 10), 10)
  wordsOf(sink.lock).words[WORD.isCancelled] = 1
  recorder.flush()
  assert.deepEqual([count('packets'), count('writtenPackets'), count('dropWriter'), count('pending')], [2, 2, 8, 0])
  assert.deepEqual([count('bytes'), count('truncated'), count('writtenBytes')], [200, 2, 2 * 76])
  assert.deepEqual(errors, [])
  // Nothing may follow half a record.
  room = 10_000
  recorder.record(blockOf(10, 5), 5)
  recorder.flush()
  assert.deepEqual([count('packets'), count('writtenPackets'), count('dropWriter'), count('pending')], [2, 2, 13, 0])
})

test('a pipe whose reader goes away: what it took whole is written, and main is told', () => {
  let room = 2 * 76 + 40
  const pipe = (bytes: number) => {
    const taken = Math.min(bytes, room)
    room -= taken
    return taken === 0 ? -EPIPE : taken
  }
  const { recorder, count, errors } = setUp({ isRegular: false, write: pipe })
  recorder.record(blockOf(0, 10), 10)
  recorder.flush()
  assert.deepEqual([count('packets'), count('writtenPackets'), count('dropWriter'), count('pending')], [2, 2, 8, 0])
  assert.deepEqual([count('bytes'), count('truncated'), count('writtenBytes')], [200, 2, 2 * 76])
  assert.deepEqual(errors, [EPIPE])
})

test('a buffer that was parted at the limit of a file, and of which the rest fails: what stands in the file is written', () => {
  let writes = 0
  const { recorder, count, errors, sink, file } = setUp({ write: (bytes) => (++writes === 2 ? -ENOSPC : bytes) })
  // Six records of 76 bytes; no file is ready to follow.
  wordsOf(sink.lock).amounts[AMOUNT.sizeLimit] = 500
  recorder.record(blockOf(0, 10), 10)
  recorder.flush()
  assert.deepEqual([count('packets'), count('writtenPackets'), count('dropWriter'), count('pending')], [6, 6, 4, 0])
  assert.deepEqual([count('bytes'), count('truncated'), count('writtenBytes')], [600, 6, 6 * 76])
  assert.deepEqual(errors, [ENOSPC])
  recorder.record(blockOf(10, 5), 5)
  recorder.flush()
  assert.deepEqual([count('packets'), count('dropWriter')], [11, 4])
  assert.deepEqual(file(), [...numbers(0, 6), ...numbers(10, 15)])
})

test('compressed: a member a buffer, which waits longer, and bytes as they are in the file', () => {
  const it = setUp({ room: 1000, compress: (bytes) => gzipSync(bytes) })
  it.recorder.record(blockOf(0, 30), 30)
  it.recorder.tick(performance.now() + 500)
  assert.deepEqual([it.written.length, it.count('packets')], [2, 26])
  it.recorder.tick(performance.now() + 1000)
  assert.deepEqual([it.written.length, it.count('packets')], [3, 30])
  const bytes = Buffer.concat(it.written)
  assert.equal(it.count('writtenBytes'), bytes.length)
  assert.equal(readCaptureFile(Buffer.concat([HEADER, gunzipSync(bytes)])).packets.length, 30)
})

test('records of a worker that died are the drop writer', () => {
  const { recorder, values, count } = setUp({})
  recorder.record(blockOf(0, 3), 3)
  dropPending(values)
  assert.deepEqual([count('dropWriter'), count('pending'), consumedOf(values)], [3, 0, 3])
})

test('of a worker that died, packets given up after they were written were never delivered', () => {
  const { values, count } = setUp({})
  values[COUNTER.packets] = 10
  values[COUNTER.dropHandler] = 4
  values[COUNTER.pending] = -4
  dropPending(values)
  assert.deepEqual([count('packets'), count('dropHandler'), count('dropWriter'), count('pending'), consumedOf(values)], [6, 4, 0, 0, 10])
})
