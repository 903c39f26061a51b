/** Every way in which a capture ends: asked to, at a count, or by what a handler does. Nothing is left, and the account is even. */
import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { CaptureEvent, CaptureOptions } from '#src/capture/api.js'
import { createTestbed, startFlood, type Testbed } from '#src/testbed/index.js'
import {
  assertAccount,
  caughtUp,
  handlerUrl,
  hasXdpProgram,
  live,
  openDescriptors,
  openOn,
  promiscuity,
  RawSender,
  settledWire,
  threadCount,
  until,
} from '../support/live.js'

const SHAPES: [name: string, options: Omit<CaptureOptions, 'interface'>][] = [
  ['ring', { backend: 'ring' }],
  ['recv', { backend: 'recv' }],
  ['recv, one packet a call', { backend: 'recv', batch: 1 }],
  ['ring+fanout', { backend: 'ring', workers: 2 }],
  ['recv+fanout', { backend: 'recv', workers: 2 }],
  ['xdp', { backend: 'xdp' }],
  ['xdp, generic', { backend: 'xdp', xdpMode: 'generic' }],
]

/** Packets in turn to each worker, where that can be chosen. */
function inTurn({ backend }: Omit<CaptureOptions, 'interface'>): Pick<CaptureOptions, 'fanout'> {
  return backend === 'xdp' ? {} : { fanout: 'lb' }
}

/** Everything of a capture is gone: descriptors, threads, promiscuity, programs. The testbed's own are there before and after. */
async function leavesNothing(testbed: Testbed, run: () => Promise<void>): Promise<void> {
  const before = openDescriptors().sort()
  const threads = threadCount()
  await run()
  await until('the threads are gone', () => threadCount() <= threads)
  assert.deepEqual(openDescriptors().sort(), before)
  assert.equal(promiscuity(testbed.receiver), 0)
  assert.ok(!hasXdpProgram(testbed.receiver))
}

describe('stop under a full flood', () => {
  for (const [name, options] of SHAPES) {
    for (const handler of [undefined, 'collect-nothing'] as const) {
      live(`${name}, ${handler === undefined ? 'counting' : 'a handler'}`, async (t) => {
        using testbed = createTestbed()
        await using flood = await startFlood(testbed.sender)
        const took: number[] = []
        await leavesNothing(testbed, async () => {
          for (let round = 0; round < 2; round++) {
            const handling = handler === undefined ? {} : { handler: handlerUrl('stall'), handlerData: { ms: 0.05, busy: true } }
            const capture = await openOn(testbed, { ...options, ...handling })
            await sleep(60)
            const before = performance.now()
            const summary = await capture.stop()
            took.push(performance.now() - before)
            assertAccount(summary)
            assert.ok(summary.packets > 0)
            assert.equal(summary.drops.redirect, 0)
            assert.equal(summary.reason, 'stopped')
            assert.deepEqual(await capture.stop(), summary)
            assert.deepEqual(await capture.finished, summary)
          }
        })
        await flood.stop()
        t.diagnostic(`from stop() to finished: ${took.map((ms) => ms.toFixed(0)).join(', ')} ms`)
        assert.ok(Math.min(...took) <= 500, `${took} ms`)
      })
    }
  }

  live('dispose, stop twice at once, stop at once after opening', async () => {
    using testbed = createTestbed()
    await leavesNothing(testbed, async () => {
      {
        await using capture = await openOn(testbed, { workers: 2 })
        assert.ok(capture.plan)
      }
      const capture = await openOn(testbed, { workers: 2 })
      const [a, b] = await Promise.all([capture.stop(), capture.stop()])
      assert.deepEqual(a, b)
      await capture[Symbol.asyncDispose]()
      await capture[Symbol.asyncDispose]()
    })
  })

  live('what was there before the stop is delivered, also from a block that the kernel still fills', async () => {
    for (const [, options] of SHAPES) {
      using testbed = createTestbed()
      using sender = new RawSender(testbed.sender)
      // A block would wait for a minute, and so would a reader of chunks before it looks again.
      const slow = options.backend === 'recv' ? {} : { blockTimeoutMs: 60_000 }
      await using capture = await openOn(testbed, { ...options, ...slow, handler: handlerUrl('collect') })
      sender.sendNumbered(300)
      await sleep(50)
      const summary = await capture.stop()
      assertAccount(summary, 300)
      assert.equal(summary.packets, 300)
    }
  })
})

describe('ends by itself', () => {
  for (const [name, options] of SHAPES) {
    live(`${name}: after exactly 100,000 packets`, async (t) => {
      using testbed = createTestbed()
      await leavesNothing(testbed, async () => {
        await using capture = await openOn(testbed, { ...options, count: 100_000 })
        await using flood = await startFlood({ ...testbed.sender, ratePps: 500_000 })
        const summary = await capture.finished
        await flood.stop()
        t.diagnostic(`per worker ${summary.workers.map((worker) => worker.packets).join(', ')}; unread ${summary.drops.unread}`)
        assert.equal(summary.packets, 100_000)
        assert.equal(summary.reason, 'count')
        assertAccount(summary)
      })
    })
  }

  live('a count that is not a block’s, one, and one that the flood just reaches', async () => {
    for (const [workers, count, sent] of [
      [1, 1, 500],
      [1, 777, 800],
      [2, 1, 500],
      [2, 801, 801],
      [1, 801, 801],
    ]) {
      using testbed = createTestbed()
      using sender = new RawSender(testbed.sender)
      await using capture = await openOn(testbed, { workers, fanout: 'lb', count, handler: handlerUrl('collect') })
      sender.sendNumbered(sent)
      const summary = await capture.finished
      assert.deepEqual([summary.packets, summary.reason], [count, 'count'])
      assertAccount(summary)
    }
  })

  live('stop() in the middle never gives more than the count', async () => {
    for (let round = 0; round < 5; round++) {
      using testbed = createTestbed()
      const handling = { handler: handlerUrl('stall'), handlerData: { ms: 20, busy: false } }
      await using capture = await openOn(testbed, { ...handling, count: 2000, blockBytes: 65536, ringBytes: 8 * 65536 })
      await using flood = await startFlood({ ...testbed.sender, ratePps: 200_000 })
      await until('packets', () => capture.counters().packets > 0)
      const summary = await capture.stop()
      await flood.stop()
      assert.ok(summary.packets <= 2000, `${summary.packets}`)
      assertAccount(summary)
    }
  })

  live('after a duration', async () => {
    using testbed = createTestbed()
    const before = performance.now()
    await using capture = await openOn(testbed, { durationMs: 300 })
    const opened = performance.now()
    const summary = await capture.finished
    assert.equal(summary.reason, 'duration')
    assert.ok(performance.now() - opened >= 295 && performance.now() - before < 3000)
    assert.ok(summary.seconds >= 0.295)
  })

  live('when its signal is aborted: normally; before it opens: not at all', async () => {
    using testbed = createTestbed()
    await leavesNothing(testbed, async () => {
      const abort = new AbortController()
      await using capture = await openOn(testbed, { signal: abort.signal, workers: 2 })
      const intervals: number[] = []
      const reading = (async () => {
        for await (const { packets } of capture.stats({ intervalMs: 20 })) intervals.push(packets)
      })()
      await sleep(120)
      abort.abort()
      assert.equal((await capture.finished).reason, 'aborted')
      await reading
      assert.ok(intervals.length >= 3)
      await assert.rejects(openOn(testbed, { signal: abort.signal }), { name: 'AbortError' })
      await assert.rejects(openOn(testbed, { signal: AbortSignal.abort(new Error('mine')) }), { message: 'mine' })
      // While workers start.
      const during = new AbortController()
      const opening = openOn(testbed, { signal: during.signal, workers: 2 })
      setTimeout(() => during.abort(), 5)
      await assert.rejects(opening, { name: 'AbortError' })
    })
  })
})

describe('stats', () => {
  live('intervals add up to the total', async () => {
    using testbed = createTestbed()
    await using capture = await openOn(testbed, { workers: 2, durationMs: 700 })
    await using flood = await startFlood({ ...testbed.sender, ratePps: 100_000 })
    let packets = 0
    let dropped = 0
    let total = 0
    for await (const interval of capture.stats({ intervalMs: 100 })) {
      packets += interval.packets
      dropped += interval.dropped
      total = interval.total.packets
      assert.ok(interval.packetsPerSecond >= 0 && Number.isFinite(interval.bitsPerSecond))
      assert.equal(
        interval.workers.reduce((sum, worker) => sum + worker.packets, 0),
        interval.packets,
      )
    }
    await flood.stop()
    const summary = await capture.finished
    assert.deepEqual([packets, dropped, total], [summary.packets, summary.dropped, summary.packets])
  })
})

describe('handlers that misbehave', () => {
  const run = async (options: Omit<CaptureOptions, 'interface'>, expected: object, after: (testbed: Testbed) => void = () => {}) => {
    using testbed = createTestbed()
    using sender = new RawSender(testbed.sender)
    await leavesNothing(testbed, async () => {
      const capture = await openOn(testbed, options)
      sender.sendNumbered(500)
      await assert.rejects(capture.finished, expected)
      await assert.rejects(capture.stop(), expected)
      assertAccount(capture.counters())
      assert.ok(capture.counters().packets <= 500)
      await capture[Symbol.asyncDispose]()
      after(testbed)
    })
  }
  const misbehave = (data: object) => ({ handler: handlerUrl('misbehave'), handlerData: data })
  const refuses = async (options: Omit<CaptureOptions, 'interface'>, expected: object) => {
    using testbed = createTestbed()
    await leavesNothing(testbed, async () => {
      await assert.rejects(openOn(testbed, options), expected)
    })
  }

  for (const [name, options] of SHAPES) {
    live(`${name}: throws in open`, () =>
      refuses(
        { ...options, ...misbehave({ where: 'open' }) },
        { code: 'HANDLER_FAILED', message: /handler open\(\) of worker \d threw TypeError: no luck in open/ },
      ),
    )

    live(`${name}: throws in packet, after some`, async () => {
      const directory = mkdtempSync(join(tmpdir(), 'ringtap-stop-'))
      try {
        const closed = join(directory, 'closed')
        const expected = { code: 'HANDLER_FAILED', message: /handler packet\(\) of worker \d threw RangeError: no luck at packet 20$/ }
        await run({ ...options, ...inTurn(options), ...misbehave({ where: 'packet', after: 20, closed }) }, expected)
        assert.ok(existsSync(closed), 'close was called')
      } finally {
        rmSync(directory, { recursive: true })
      }
    })

    live(`${name}: ends the thread`, () =>
      run(
        { ...options, ...inTurn(options), ...misbehave({ where: 'exit', after: 5 }) },
        { code: 'WORKER_FAILED', message: /worker \d ended by itself with exit code 7/ },
      ),
    )
  }

  live('throws in block', () =>
    run({ handler: handlerUrl('misbehave-block') }, { code: 'HANDLER_FAILED', message: /handler block\(\) of worker 0 threw RangeError: no luck in block/ }),
  )
  live('throws undefined', () => run(misbehave({ where: 'throw nothing' }), { code: 'HANDLER_FAILED', message: /handler packet\(\) of worker 0 threw/ }))
  live('ends the thread in open', () => refuses(misbehave({ where: 'exit in open' }), { code: 'WORKER_FAILED', message: /exit code 3/ }))

  live('throws in close', async () => {
    using testbed = createTestbed()
    await leavesNothing(testbed, async () => {
      const capture = await openOn(testbed, { workers: 2, ...misbehave({ where: 'close' }) })
      await assert.rejects(capture.stop(), { code: 'HANDLER_FAILED', message: /handler close\(\) of worker \d threw Error: no luck in close/ })
    })
  })

  for (const [where, message] of [
    ['snapshot', /handler snapshot\(\) of worker 0 threw Error: no luck in snapshot/],
    ['unclonable', /handler snapshot\(\) of worker 0 threw DataCloneError/],
  ] as const) {
    live(`${where === 'snapshot' ? 'throws in snapshot' : 'gives a snapshot that cannot be cloned'}`, async () => {
      using testbed = createTestbed()
      await leavesNothing(testbed, async () => {
        const capture = await openOn(testbed, misbehave({ where }))
        const asked = capture.snapshot().catch(() => undefined)
        await assert.rejects(capture.finished, { code: 'HANDLER_FAILED', message })
        await asked
      })
    })
  }

  live('does not come back: its thread is ended after a while', async (t) => {
    using testbed = createTestbed()
    using other = createTestbed({ queues: 1 })
    const hang = async (on: Testbed, options: Omit<CaptureOptions, 'interface'>) => {
      using sender = new RawSender(on.sender)
      const capture = await openOn(on, { ...options, ...misbehave({ where: 'loop', after: 10 }) })
      sender.sendNumbered(200)
      await until('it hangs', () => capture.counters().workers.every((worker) => worker.handlerBusyMs > 200))
      const before = performance.now()
      await assert.rejects(capture.stop(), { code: 'WORKER_FAILED', message: /worker \d: the handler has not returned for 5000 ms/ })
      const took = performance.now() - before
      assert.ok(took < 8000)
      // What it had in hand, and what it had not come to.
      assertAccount(capture.counters(), 200)
      t.diagnostic(`ended after ${Math.round(took)} ms, drops ${JSON.stringify(capture.counters().drops)}`)
    }
    // It takes its time: both at once.
    await leavesNothing(testbed, () =>
      leavesNothing(other, async () => {
        await Promise.all([hang(testbed, { workers: 2, fanout: 'lb' }), hang(other, { backend: 'xdp' })])
      }),
    )
  })

  live('is not there, or is none', async () => {
    await refuses({ handler: '/no/such/handler.js' }, { code: 'HANDLER_NOT_LOADED', message: /^handler \/no\/such\/handler\.js: Cannot find module/ })
    await refuses({ handler: handlerUrl('no-default') }, { code: 'HANDLER_NOT_LOADED', message: /no-default\.js: expected a default export/ })
    await refuses({ handler: '' }, { code: 'INVALID_OPTION', message: /option handler/ })
  })

  live('data that cannot be cloned', async () => {
    using testbed = createTestbed()
    await leavesNothing(testbed, async () => {
      await assert.rejects(openOn(testbed, { handler: handlerUrl('collect'), handlerData: { f: () => {} } }))
    })
  })

  live('one bad worker ends all of them, with the account of each', async () => {
    using testbed = createTestbed()
    await leavesNothing(testbed, async () => {
      const capture = await openOn(testbed, { workers: 2, ...misbehave({ where: 'packet', after: 5000 }) })
      await using flood = await startFlood({ ...testbed.sender, ratePps: 100_000 })
      await assert.rejects(capture.finished, { code: 'HANDLER_FAILED' })
      assertAccount(capture.counters())
      await flood.stop()
    })
  })

  for (const [name, options] of SHAPES) {
    live(`${name}: with workerRestarts a dead worker is replaced, and the capture goes on`, async (t) => {
      using testbed = createTestbed()
      await leavesNothing(testbed, async () => {
        let replaced = 0
        const onEvent = (event: CaptureEvent) => {
          if (event.type === 'worker-replaced') replaced++
        }
        // Four fail, or two of each worker, and none at the very end, where it would end the capture.
        const capture = await openOn(testbed, { ...options, ...misbehave({ where: 'packet', after: 4500 }), workerRestarts: 100, onEvent })
        await using flood = await startFlood({ ...testbed.sender, count: 20_000, ratePps: 10_000 })
        await flood.finished
        const wire = await settledWire(testbed)
        await caughtUp(capture, wire.received)
        const summary = await capture.stop()
        t.diagnostic(`${replaced} replaced, ${summary.packets} delivered, drops ${JSON.stringify(summary.drops)}`)
        assertAccount(summary, wire.received)
        // On a busy machine `recv` does not keep up with a call a packet: then fewer reach the handler, and fewer fail.
        assert.ok(replaced >= Math.min(2, Math.floor(summary.packets / 9000)), `${replaced}`)
        assert.ok(summary.packets + summary.drops.socket > wire.received / 2)
        assert.equal(summary.drops.redirect, 0)
      })
    })
  }

  for (const [name, options] of [
    ['ring', { backend: 'ring' }],
    ['recv', { backend: 'recv' }],
    ['xdp with 512 chunks', { backend: 'xdp', ringBytes: 2 ** 20 }],
    ['xdp with 512 chunks, generic', { backend: 'xdp', ringBytes: 2 ** 20, xdpMode: 'generic' }],
  ] as const) {
    for (const where of ['packet', 'exit'] as const) {
      live(`${name}: nothing but the block of a worker that ${where === 'packet' ? 'threw' : 'ended'} is lost, and no room for others`, async () => {
        using testbed = createTestbed({ queues: 1 })
        using sender = new RawSender(testbed.sender)
        let replaced = 0
        const onEvent = (event: CaptureEvent) => {
          if (event.type === 'worker-replaced') replaced++
        }
        await using capture = await openOn(testbed, { ...options, ...misbehave({ where, at: [0, 1000], stallMs: 200 }), workerRestarts: 9, onEvent })
        // What comes while the first is in a worker's hands takes all other chunks; the second time it shows whether one was lost.
        for (const round of [1, 2]) {
          sender.sendNumbered(1, round === 1 ? 0 : 1000)
          await until('the worker has it', () => capture.counters().workers[0].handlerBusyMs > 0)
          sender.sendNumbered(511, 2000)
          await until('all others are delivered', () => capture.counters().packets === 511 * round)
        }
        const summary = await capture.stop()
        assertAccount(summary, 1024)
        assert.equal(replaced, 2)
        assert.equal(summary.drops[where === 'packet' ? 'handler' : 'unread'], 2)
        assert.equal(summary.dropped, 2)
      })
    }
  }

  live('caught up after all that: the machine still captures', async () => {
    using testbed = createTestbed()
    using sender = new RawSender(testbed.sender)
    await using capture = await openOn(testbed)
    sender.sendNumbered(100)
    await caughtUp(capture, 100)
    assertAccount(await capture.stop(), 100)
  })
})

describe('aborted while it opens', () => {
  live('a handler whose open does not come back is not waited for, and nothing is left', async () => {
    using testbed = createTestbed()
    await leavesNothing(testbed, async () => {
      const abort = new AbortController()
      const begun = new Int32Array(new SharedArrayBuffer(4))
      const opening = openOn(testbed, { workers: 2, handler: handlerUrl('open-slowly'), handlerData: begun, signal: abort.signal })
      opening.catch(() => {})
      await until('both handlers open', () => Atomics.load(begun, 0) === 2)
      abort.abort()
      await assert.rejects(opening, (error) => error === abort.signal.reason)
    })
  })
})
