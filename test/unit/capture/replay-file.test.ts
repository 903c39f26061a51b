import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { after, test } from 'node:test'
import { type BlockView, type CaptureError, defineHandler, type HandlerContext, openCaptureFile, type PacketView, replay } from '#src/index.js'
import { NANOSECONDS, pcapOf, randomPackets } from '../../support/capture-writer.js'
import { randomOf } from '../../support/random.js'

const folder = mkdtempSync(join(tmpdir(), 'ringtap-replay-'))
after(() => rmSync(folder, { recursive: true, force: true }))
const path = join(folder, 'packets.pcap')
const SHAPE = { littleEndian: true, magic: NANOSECONDS }
// No tags, so that all lengths are those of the file.
const packets = randomPackets(randomOf(4), 5000, 900).map((packet) => {
  packet.bytes.set([8, 0].slice(0, Math.max(0, packet.bytes.length - 12)), Math.min(12, packet.bytes.length))
  return packet
})
writeFileSync(path, pcapOf(SHAPE, packets))
const bytes = packets.reduce((sum, { wireLength }) => sum + wireLength, 0)
const truncated = packets.filter((packet) => packet.wireLength > packet.bytes.length).length

test('open, packet for each packet, snapshot, close, in this order; what comes back', async () => {
  const calls: string[] = []
  const handler = defineHandler({
    async open(context) {
      await null
      const { countDrops, ...rest } = context
      assert.deepEqual(rest, { workerIndex: 0, workerCount: 1, interfaceName: path, interfaceIndex: 0, data: { any: 'thing' } })
      assert.equal(typeof countDrops, 'function')
      calls.push('open')
      return { times: [] as [number, number, number][] }
    },
    packet: (p: PacketView, state) => void state.times.push([p.seconds, p.nanoseconds, p.capturedLength]),
    snapshot(state) {
      calls.push('snapshot')
      return state.times
    },
    async close() {
      await null
      calls.push('close')
    },
  })
  const summary = await replay(path, handler, { handlerData: { any: 'thing' } })
  const { snapshot, ...counts } = summary
  assert.deepEqual(counts, { packets: 5000, bytes, truncated, dropped: 0, untimed: 0, reason: 'end' })
  assert.deepEqual(
    snapshot,
    packets.map((packet) => [packet.seconds, packet.nanoseconds, packet.bytes.length]),
  )
  assert.deepEqual(calls, ['open', 'snapshot', 'close'])
})

test('block instead of packet; an open file stays open for its owner, a filter applies', async () => {
  const sums = defineHandler({
    open: () => ({ packets: 0, blocks: 0 }),
    block(b, state) {
      state.packets += b.packetCount
      state.blocks++
    },
    snapshot: (state) => state,
  })
  const { snapshot } = await replay(path, sums)
  assert.equal(snapshot?.packets, 5000)
  assert.ok((snapshot?.blocks ?? 0) >= 2)
  await using file = await openCaptureFile(path, { filter: 'less 100' })
  assert.equal((await replay(file, sums)).packets, packets.filter(({ wireLength }) => wireLength <= 100).length)
  await assert.rejects(replay(file, sums, { filter: 'ip' }), { code: 'INVALID_OPTION', message: /filter is for openCaptureFile/ })
})

test('a module by its URL and by its path; drops that the handler counts', async () => {
  const module = join(folder, 'handler.mjs')
  writeFileSync(
    module,
    'export default { open: (c) => ({ c, seen: 0 }), packet: (p, s) => { s.seen++; if (p.capturedLength > 500) s.c.countDrops(1) }, snapshot: (s) => s.seen }',
  )
  const long = packets.filter((packet) => packet.bytes.length > 500).length
  for (const handler of [module, new URL(`file://${module}`)]) {
    const summary = await replay(path, handler)
    assert.deepEqual([summary.snapshot, summary.packets, summary.dropped], [5000, 5000 - long, long])
  }
  await assert.rejects(replay(path, join(folder, 'none.mjs')), { code: 'HANDLER_NOT_LOADED' })
  await assert.rejects(replay(path, { packet: 5 } as never), { code: 'HANDLER_NOT_LOADED', message: /expected packet to be a function, got number/ })
})

test('a drop that the handler cannot have is refused', async () => {
  for (const wrong of [Number.NaN, -1, 0.5, '1', 2]) {
    const handler = { open: (context: HandlerContext) => context, packet: (_: unknown, { countDrops }: HandlerContext) => countDrops(wrong as number) }
    await assert.rejects(replay(path, handler), { code: 'HANDLER_FAILED', message: /^countDrops\(\) of worker 0: expected from 0 to 1 packets/ })
  }
  const all = { open: (context: HandlerContext) => context, block: (block: BlockView, { countDrops }: HandlerContext) => countDrops(block.packetCount) }
  const { packets: delivered, dropped } = await replay(path, all)
  assert.deepEqual([delivered, dropped], [0, 5000])
})

test('what a handler throws, by the name of its function; it is closed', async () => {
  for (const name of ['open', 'packet', 'block', 'snapshot', 'close']) {
    let closed = 0
    const thrown = new RangeError('no')
    const handler = {
      close: () => void closed++,
      ...(name === 'close' || name === 'open' || name === 'snapshot' ? { packet() {} } : {}),
      [name]() {
        throw thrown
      },
    }
    await assert.rejects(replay(path, handler), { code: 'HANDLER_FAILED', message: `handler ${name}() threw RangeError: no`, cause: thrown })
    assert.equal(closed, name === 'open' || name === 'close' ? 0 : 1, name)
  }
})

test('an abort, a damaged file, a link type that is not Ethernet: closed each time', async () => {
  let closed = 0
  let seen = 0
  const end = new AbortController()
  const handler = {
    packet() {
      if (++seen === 10) end.abort()
    },
    snapshot: () => seen,
    close: () => void closed++,
  }
  const pieces = async function* () {
    for (const part of [pcapOf(SHAPE, packets.slice(0, 10)), pcapOf(SHAPE, packets).subarray(24)]) yield part
  }
  const aborted = await replay(pieces(), handler, { signal: end.signal })
  assert.deepEqual([aborted.reason, aborted.packets, aborted.snapshot, closed], ['aborted', 10, 10, 1])
  const cut = pcapOf(SHAPE, packets).subarray(0, -1)
  await assert.rejects(replay(Readable.from([cut]), handler), { code: 'INVALID_FILE' })
  assert.equal(seen, 10 + 4999)
  const raw = pcapOf({ ...SHAPE, linktype: 101 }, packets)
  await assert.rejects(replay(Readable.from([raw]), handler), {
    code: 'UNSUPPORTED_LINK_TYPE',
    message: 'stream: interface 0 has link type RAW (101), and handlers take Ethernet only',
  })
  assert.equal(closed, 3)
})

test('an error of the file and what the handler has: both', async () => {
  const calls: string[] = []
  const counting = (fails?: 'packet' | 'snapshot') =>
    defineHandler({
      open: () => ({ packets: 0 }),
      packet(_: PacketView, state) {
        if (fails === 'packet' && state.packets === 100) throw new Error('one hundred')
        state.packets++
      },
      snapshot(state) {
        calls.push('snapshot')
        if (fails === 'snapshot') throw new Error('no snapshot')
        return state.packets
      },
      close: () => void calls.push('close'),
    })
  const cut = pcapOf(SHAPE, packets).subarray(0, -1)
  const told: CaptureError[] = []
  const onError = (error: CaptureError) => void told.push(error)
  const summary = await replay(Readable.from([cut]), counting(), { onError })
  assert.deepEqual([summary.packets, summary.snapshot, summary.reason], [4999, 4999, 'error'])
  assert.deepEqual([calls, told.map(({ code }) => code)], [['snapshot', 'close'], ['INVALID_FILE']])

  const failing = async function* () {
    yield pcapOf(SHAPE, packets.slice(0, 10))
    throw new Error('the pipe broke')
  }
  const broken = await replay(failing(), counting(), { onError })
  assert.deepEqual([broken.snapshot, broken.reason, told[1]?.code], [10, 'error', 'FILE_FAILED'])
  await using open = await openCaptureFile(Readable.from([cut]))
  assert.equal((await replay(open, counting(), { onError })).snapshot, 4999)

  // What the handler does wrong is thrown all the same.
  for (const fails of ['packet', 'snapshot'] as const) {
    calls.length = 0
    await assert.rejects(replay(Readable.from([cut]), counting(fails), { onError }), { code: 'HANDLER_FAILED' })
    assert.equal(calls.at(-1), 'close')
  }
  assert.equal(told.length, 3)
  assert.equal((await replay(path, counting(), { onError })).reason, 'end')
  await assert.rejects(replay(path, counting(), { onError: 1 as unknown as () => void }), { code: 'INVALID_OPTION', message: /onError to be a function/ })
})
