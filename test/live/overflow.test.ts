/** A consumer that is stopped on purpose: the ring or the buffer overflows, and not one packet is lost unsaid. */
import assert from 'node:assert/strict'
import { describe } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { CaptureOptions, Drops } from '#src/capture/api.js'
import { createTestbed, startFlood } from '#src/testbed/index.js'
import { assertAccount, assertReceiverDrops, caughtUp, handlerUrl, live, openOn, RawSender, settledWire, sumOf, until } from '../support/live.js'

const SMALL_RING = { backend: 'ring', blockBytes: 65536, ringBytes: 2 * 65536 } as const
const CASES: [name: string, options: Omit<CaptureOptions, 'interface'>, where: keyof Drops][] = [
  ['ring of 2 blocks', SMALL_RING, 'ring'],
  ['ring of 4 blocks, 2 workers', { ...SMALL_RING, ringBytes: 4 * 65536, workers: 2 }, 'ring'],
  ['ring of 2 blocks, 2 workers by hash', { ...SMALL_RING, workers: 2, fanout: 'hash' }, 'ring'],
  ['recv with a small buffer', { backend: 'recv', receiveBufferBytes: 65536 }, 'socket'],
  ['recv with a small buffer, 2 workers', { backend: 'recv', receiveBufferBytes: 65536, workers: 2 }, 'socket'],
  // As many entries in the RX ring as there are chunks: these run out first.
  ['xdp with 512 chunks', { backend: 'xdp', ringBytes: 2 ** 20 }, 'fillRing'],
  ['xdp with 512 chunks, generic', { backend: 'xdp', ringBytes: 2 ** 20, xdpMode: 'generic' }, 'fillRing'],
  ['xdp with 64 chunks of 4 KiB', { backend: 'xdp', ringBytes: 2 ** 18, chunkBytes: 4096 }, 'fillRing'],
]

for (const [name, options, where] of CASES) {
  for (const busy of [false, true]) {
    live(`${name}, a handler that ${busy ? 'keeps the CPU' : 'sleeps'} 50 ms a block`, async (t) => {
      using testbed = createTestbed()
      await using capture = await openOn(testbed, { ...options, handler: handlerUrl('stall'), handlerData: { ms: 50, busy } })
      await using flood = await startFlood({ ...testbed.sender, count: 60_000, ratePps: 150_000 })
      await until('a handler is seen to be busy', () => capture.counters().workers.some((worker) => worker.handlerBusyMs >= 20))
      await flood.finished
      const wire = await settledWire(testbed)
      await caughtUp(capture, wire.received)
      const counted = await capture.snapshot<number>()
      const summary = await capture.stop()
      t.diagnostic(`${summary.packets} delivered, ${summary.freezes} freezes, drops ${JSON.stringify(summary.drops)}`)
      assertAccount(summary, wire.received)
      assert.equal(counted, summary.packets)
      assert.ok(summary.drops[where] > 1000, 'it did overflow')
      assert.equal(sumOf(summary.drops), summary.drops[where], JSON.stringify(summary.drops))
      assertReceiverDrops(wire, summary)
      if (where === 'ring') assert.ok(summary.freezes > 0)
      else assert.equal(summary.freezes, 0)
      for (const worker of summary.workers) {
        if (worker.packets === 0) continue
        assert.ok(worker.handlerMaxMs >= 49 && worker.handlerMaxMs < 1000, `${worker.handlerMaxMs} ms`)
        assert.equal(worker.handlerBusyMs, 0)
      }
    })
  }

  live(`${name}, stopped while it overflows: the rest is unread, and said so`, async (t) => {
    using testbed = createTestbed()
    await using capture = await openOn(testbed, { ...options, handler: handlerUrl('stall'), handlerData: { ms: 50, busy: false } })
    await using flood = await startFlood({ ...testbed.sender, ratePps: 150_000 })
    await sleep(400)
    const summary = await capture.stop()
    await flood.stop()
    t.diagnostic(`${summary.packets} delivered, drops ${JSON.stringify(summary.drops)}`)
    assertAccount(summary)
    assert.ok(summary.drops[where] > 0)
  })
}

for (const xdpMode of ['native', 'generic'] as const) {
  live(`xdp, ${xdpMode}: after it has overflowed, each chunk takes a packet again`, async () => {
    using testbed = createTestbed({ queues: 1 })
    using sender = new RawSender(testbed.sender)
    const stall = { handler: handlerUrl('stall'), handlerData: { ms: 200, busy: false } }
    await using capture = await openOn(testbed, { backend: 'xdp', xdpMode, ringBytes: 2 ** 20, ...stall })
    await using flood = await startFlood({ ...testbed.sender, count: 5000, ratePps: 100_000 })
    await flood.finished
    await caughtUp(capture, (await settledWire(testbed)).received)
    const { dropped, packets } = capture.counters()
    assert.ok(dropped > 1000)
    sender.sendNumbered(512)
    await caughtUp(capture, packets + dropped + 512)
    const summary = await capture.stop()
    assertAccount(summary, packets + dropped + 512)
    assert.deepEqual([summary.packets, summary.dropped], [packets + 512, dropped])
  })
}

describe('what counts drops while they happen', () => {
  live('counters grow during the overflow, not only at the end', async () => {
    using testbed = createTestbed()
    await using capture = await openOn(testbed, { ...SMALL_RING, handler: handlerUrl('stall'), handlerData: { ms: 50, busy: false } })
    await using flood = await startFlood({ ...testbed.sender, ratePps: 100_000 })
    await until('drops are seen', () => capture.counters().drops.ring > 1000)
    const { offered, packets, dropped } = capture.counters()
    assert.ok(packets + dropped <= offered + 10_000 && offered > 1000)
    await flood.stop()
  })
})
