/** The rungs, with each kind of handler: what was sent is delivered or stands in a counter, byte for byte and in order. */
import assert from 'node:assert/strict'
import { describe } from 'node:test'
import type { CaptureOptions } from '#src/capture/api.js'
import { openKernel } from '#src/kernel/system.js'
import { allowedCpus } from '#src/kernel/thread.js'
import { createTestbed, startFlood } from '#src/testbed/index.js'
import { assertAccount, assertReceiverDrops, caughtUp, handlerUrl, live, openOn, settledWire, workersOn } from '../support/live.js'
import type { Checked, CheckOptions } from './handlers/check-frame.js'

const COUNT = 200_000

type Rung = Omit<CaptureOptions, 'interface'>

const RUNGS: [name: string, options: Rung][] = [
  ['recv', { backend: 'recv' }],
  ['recv, one packet a call', { backend: 'recv', batch: 1 }],
  ['recv+fanout', { backend: 'recv', workers: 2 }],
  ['ring', { backend: 'ring' }],
  ['ring+fanout', { backend: 'ring', workers: 2 }],
  ['xdp', { backend: 'xdp' }],
  ['xdp, generic', { backend: 'xdp', xdpMode: 'generic' }],
]

/** As testbed/flood-engine.ts seeds the program's random numbers. */
function randomAt(seed: number, cpu: number): string {
  return String(BigInt.asUintN(64, BigInt(seed * (cpu + 1) + cpu + 1) * 0x9e3779b97f4a7c15n))
}

const lastCpu = () => allowedCpus(openKernel()).at(-1) as number

for (const [name, options] of RUNGS) {
  describe(name, () => {
    for (const handler of ['packet', 'block', undefined] as const) {
      live(`${handler ?? 'counting'}: ${COUNT} frames at full rate`, async (t) => {
        using testbed = createTestbed()
        const checks: CheckOptions = { frameBytes: 60, snapLengthBytes: 262_144, notBeforeMs: Date.now() - 1 }
        const handling = handler === undefined ? {} : { handler: handlerUrl(`check-${handler}`), handlerData: checks }
        await using capture = await openOn(testbed, { ...options, ...handling })
        await using flood = await startFlood({ ...testbed.sender, count: COUNT })
        assert.equal((await flood.finished).sent, COUNT)
        const wire = await settledWire(testbed)
        assert.equal(wire.sent + wire.refused, COUNT)
        await caughtUp(capture, wire.received)
        const checked = await capture.snapshot<Checked>()
        const summary = await capture.stop()
        t.diagnostic(`${wire.refused} refused by the wire, ${summary.packets} delivered, drops ${JSON.stringify(summary.drops)}`)
        assertAccount(summary, wire.received)
        assertReceiverDrops(wire, summary)
        assert.equal(summary.bytes, 60 * summary.packets)
        assert.equal(summary.truncated, 0)
        assert.equal(summary.drops.unread, 0)
        assert.equal(summary.interfaceDrops, 0)
        assert.deepEqual([summary.backend, summary.workers.length, summary.reason], [options.backend, workersOn(testbed, options), 'stopped'])
        assert.equal(summary.fanout, options.workers === undefined ? null : 'cpu')
        if (options.backend !== 'xdp') assert.equal(summary.xdp, null)
        else {
          const [{ mode, queues, served }] = summary.xdp ?? []
          assert.deepEqual([mode, queues, served], [options.xdpMode ?? 'native', testbed.queues, testbed.queues])
          assert.equal(summary.drops.redirect, 0)
        }
        const byCpu = summary.workers.length > 1 && options.xdpMode !== 'generic'
        if (byCpu) for (const worker of summary.workers) assert.ok(worker.offered > 0, 'both CPUs sent')
        // veth makes skbs of the flood's frames without a queue: they all arrive by the first.
        else assert.equal(summary.workers[0].offered, wire.received)
        if (handler === undefined) return
        assert.ok(checked)
        assert.deepEqual([checked.bad, checked.firstBad, checked.packets, checked.bytes], [0, '', summary.packets, summary.bytes])
        // Each worker is fed by one CPU, or reads the clock itself: that does not run backwards.
        if (byCpu || options.backend === 'xdp') assert.equal(checked.timeBackwards, 0)
        assert.ok(checked.lastMs > checked.firstMs)
      })
    }

    live('one sender: order, and nothing missing but what was refused or dropped', async (t) => {
      using testbed = createTestbed()
      const cpu = lastCpu()
      const checks: CheckOptions = { frameBytes: 100, snapLengthBytes: 262_144, notBeforeMs: Date.now() - 1, random: randomAt(5, cpu) }
      await using capture = await openOn(testbed, { ...options, handler: handlerUrl('check-packet'), handlerData: checks })
      await using flood = await startFlood({ ...testbed.sender, frameBytes: 100, count: COUNT, seed: 5, cpus: [cpu] })
      await flood.finished
      const wire = await settledWire(testbed)
      await caughtUp(capture, wire.received)
      const checked = (await capture.snapshot<Checked>()) as Checked
      const summary = await capture.stop()
      t.diagnostic(`${wire.refused} refused, ${summary.packets} delivered, ${checked.missing} missing before the last, drops ${JSON.stringify(summary.drops)}`)
      assertAccount(summary, wire.received)
      assert.deepEqual([checked.bad, checked.firstBad, checked.disordered, checked.timeBackwards], [0, '', 0, 0])
      assert.equal(checked.packets, summary.packets)
      const lost = wire.refused + summary.dropped
      assert.ok(checked.missing <= lost, `${checked.missing} missing of ${lost} lost`)
      if (lost === 0) assert.equal(checked.packets, COUNT)
    })

    for (const handler of ['packet', undefined] as const) {
      live(`${handler ?? 'counting'}: cut to a snap length, lengths on the wire stay`, async () => {
        using testbed = createTestbed()
        for (const [snapLengthBytes, frameBytes] of [
          [96, 1514],
          [20, 100],
          [1, 60],
        ]) {
          const before = testbed.wire().received
          const checks: CheckOptions = { frameBytes, snapLengthBytes, notBeforeMs: Date.now() - 1 }
          const handling = handler === undefined ? {} : { handler: handlerUrl('check-packet'), handlerData: checks }
          await using capture = await openOn(testbed, { ...options, ...handling, snapLengthBytes })
          await using flood = await startFlood({ ...testbed.sender, frameBytes, count: 2000, ratePps: 200_000 })
          await flood.finished
          const received = (await settledWire(testbed)).received - before
          await caughtUp(capture, received)
          const checked = await capture.snapshot<Checked>()
          const summary = await capture.stop()
          assertAccount(summary, received)
          if (handler !== undefined) assert.deepEqual([checked?.bad, checked?.firstBad, checked?.packets], [0, '', summary.packets])
          assert.equal(summary.bytes, frameBytes * summary.packets, `${snapLengthBytes} of ${frameBytes}`)
          assert.equal(summary.truncated, frameBytes > snapLengthBytes ? summary.packets : 0, `${snapLengthBytes} of ${frameBytes}`)
        }
      })
    }
  })
}
