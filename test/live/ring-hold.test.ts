/** What a ring holds while its handler stands still: as long as was ordered, in blocks that are chosen for it. */
import assert from 'node:assert/strict'
import type { CaptureOptions } from '#src/capture/api.js'
import { createTestbed, startFlood } from '#src/testbed/index.js'
import { assertAccount, caughtUp, handlerUrl, live, openOn, settledWire } from '../support/live.js'

const CASES: [name: string, options: Omit<CaptureOptions, 'interface'>, stallMs: number][] = [
  // Well within: the flood comes in bursts, and the machine may have other work.
  ['a ring of 500 ms, a stall of 300', { ringHold: { ms: 500, packetsPerSecond: 20_000 } }, 300],
  ['a ring of 500 ms in blocks of 64 KiB, a stall of 300', { ringHold: { ms: 500, packetsPerSecond: 20_000 }, blockBytes: 65536 }, 300],
  ['a ring of 4 MiB, a stall of 120 ms', { ringBytes: 4 * 2 ** 20 }, 120],
]

for (const [name, options, ms] of CASES) {
  live(`${name}: nothing is lost`, async (t) => {
    using testbed = createTestbed({ queues: 1 })
    await using capture = await openOn(testbed, { ...options, handler: handlerUrl('stall-once'), handlerData: { ms, afterPackets: 5005 } })
    await using flood = await startFlood({ ...testbed.sender, count: 30_000, ratePps: 20_000 })
    await flood.finished
    const wire = await settledWire(testbed)
    await caughtUp(capture, wire.received)
    const summary = await capture.stop()
    t.diagnostic(`${JSON.stringify(capture.plan.ring)}, ${summary.freezes} freezes`)
    assertAccount(summary, wire.received)
    assert.ok(Math.max(...summary.workers.map(({ handlerMaxMs }) => handlerMaxMs)) >= ms)
    assert.deepEqual([summary.packets, summary.dropped], [wire.received, 0])
  })
}
