/** Ten million frames at full rate, each delivered or named. How many are dropped is the bench's concern, on a machine of its own. */
import assert from 'node:assert/strict'
import { createTestbed, startFlood } from '#src/testbed/index.js'
import { assertAccount, assertReceiverDrops, caughtUp, live, openOn, settledWire } from '../support/live.js'

const COUNT = 10_000_000

for (const [name, options] of [
  ['ring+fanout', { backend: 'ring', workers: 2 }],
  ['xdp', { backend: 'xdp' }],
] as const) {
  live(`10,000,000 frames at full rate, ${name}`, async (t) => {
    using testbed = createTestbed()
    await using capture = await openOn(testbed, options)
    await using flood = await startFlood({ ...testbed.sender, count: COUNT })
    const { sent, seconds } = await flood.finished
    assert.equal(sent, COUNT)
    const wire = await settledWire(testbed)
    assert.equal(wire.sent + wire.refused, COUNT)
    await caughtUp(capture, wire.received)
    const summary = await capture.stop()
    const millions = (packets: number) => (packets / 1e6).toFixed(2)
    t.diagnostic(
      `${millions(sent / seconds)} Mpps offered; ${summary.packets} delivered, ${wire.refused} refused by the wire, drops ${JSON.stringify(summary.drops)}, ${summary.freezes} freezes`,
    )
    assertAccount(summary, wire.received)
    assertReceiverDrops(wire, summary)
    assert.equal(summary.packets + summary.dropped + wire.refused, COUNT)
    assert.equal(summary.bytes, 60 * summary.packets)
  })
}
