/** A consumer that is stopped on purpose: the ring or the buffer overflows, and not one packet is lost unsaid. */
import assert from 'node:assert/strict'
import { describe } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { CaptureOptions } from '#src/capture/api.js'
import { createTestbed, startFlood } from '#src/testbed/index.js'
import { assertAccount, caughtUp, handlerUrl, live, openOn, settledWire, until } from '../support/live.js'

const SMALL_RING = { backend: 'ring', blockBytes: 65536, ringBytes: 2 * 65536 } as const
const CASES: [name: string, options: Omit<CaptureOptions, 'interface'>, where: 'ring' | 'socket'][] = [
  ['ring of 2 blocks', SMALL_RING, 'ring'],
  ['ring of 4 blocks, 2 workers', { ...SMALL_RING, ringBytes: 4 * 65536, workers: 2 }, 'ring'],
  ['ring of 2 blocks, 2 workers by hash', { ...SMALL_RING, workers: 2, fanout: 'hash' }, 'ring'],
  ['recv with a small buffer', { backend: 'recv', receiveBufferBytes: 65536 }, 'socket'],
  ['recv with a small buffer, 2 workers', { backend: 'recv', receiveBufferBytes: 65536, workers: 2 }, 'socket'],
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
      assert.deepEqual({ ...summary.drops, [where]: 0 }, { ring: 0, socket: 0, handler: 0, consumer: 0, unread: 0 })
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
