/** packets(): owned copies in order, a loss policy that is kept, and an account that comes out even however the loop ends. */
import assert from 'node:assert/strict'
import { describe } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Packet, type Packets, type PacketsOptions, packets } from '#src/capture/packets.js'
import { createTestbed, startFlood, type Testbed } from '#src/testbed/index.js'
import {
  assertAccount,
  inNamespace,
  live,
  numberedFrame,
  openDescriptors,
  promiscuity,
  promiscuityOf,
  RawSender,
  range,
  settledWire,
  threadCount,
  until,
} from '../support/live.js'

const SHAPES: [name: string, options: Omit<PacketsOptions, 'interface'> & { backend: 'ring' | 'recv' | 'xdp' }][] = [
  ['ring', { backend: 'ring' }],
  ['recv', { backend: 'recv' }],
  ['ring+fanout', { backend: 'ring', workers: 2, fanout: 'lb' }],
  ['recv+fanout', { backend: 'recv', workers: 2, fanout: 'lb' }],
  ['xdp', { backend: 'xdp' }],
]
/** Memory that a slow consumer overflows. */
const SMALL = {
  ring: { blockBytes: 65536, ringBytes: 4 * 65536 },
  recv: { receiveBufferBytes: 65536 },
  xdp: { ringBytes: 2 ** 20 },
}

/** An iterator whose capture is open: `first` is its first packet, still to come. */
async function opened(testbed: Testbed, options: Omit<PacketsOptions, 'interface'>): Promise<{ iterator: Packets; first: Promise<IteratorResult<Packet>> }> {
  const iterator = packets({ ...testbed.receiver, ...options })
  const first = iterator.next()
  first.catch(() => {})
  await until('the capture is open', () => promiscuity(testbed.receiver) === promiscuityOf(options))
  // Fanout is joined, and the gates are opened, within microseconds after the last membership.
  await sleep(100)
  return { iterator, first }
}

function numberOf({ bytes }: Packet): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(14)
}

for (const [name, options] of SHAPES) {
  describe(name, () => {
    live('contents and order; the copies stay as they are', async () => {
      using testbed = createTestbed()
      using sender = new RawSender(testbed.sender)
      const { iterator, first } = await opened(testbed, { ...options, count: 5000 })
      sender.sendNumbered(5000)
      const before = Date.now()
      const kept: Packet[] = [(await first).value as Packet]
      for await (const packet of iterator) kept.push(packet)
      const summary = await iterator.summary
      assert.equal(kept.length, 5000)
      assertAccount(summary, 5000)
      assert.deepEqual([summary.packets, summary.dropped, summary.reason], [5000, 0, 'count'])
      const numbers = kept.map(numberOf)
      if (options.workers === undefined) assert.deepEqual(numbers, range(5000))
      else
        assert.deepEqual(
          numbers.sort((a, b) => a - b),
          range(5000),
        )
      for (const packet of kept) {
        assert.deepEqual(Buffer.from(packet.bytes), Buffer.from(numberedFrame(numberOf(packet))))
        assert.deepEqual([packet.wireLength, packet.vlanId, packet.droppedBefore], [60, -1, 0])
        assert.ok(packet.seconds * 1000 + packet.nanoseconds / 1e6 > before - 5000)
      }
    })

    for (const whenFull of ['drop', 'wait'] as const) {
      live(`a slow consumer, ${whenFull}: each packet is yielded or stands in a counter`, async (t) => {
        using testbed = createTestbed()
        const { iterator, first } = await opened(testbed, { ...options, ...SMALL[options.backend], whenFull, queueBytes: 2 ** 20, durationMs: 2000 })
        await using flood = await startFlood({ ...testbed.sender, count: 60_000, ratePps: 200_000 })
        let yielded = 0
        let told = 0
        const take = (packet: Packet) => {
          yielded++
          told += packet.droppedBefore
        }
        take((await first).value as Packet)
        for await (const packet of iterator) {
          take(packet)
          if (yielded % 500 === 0) await sleep(5)
        }
        await flood.finished
        const wire = await settledWire(testbed)
        const summary = await iterator.summary
        t.diagnostic(`${yielded} yielded, ${told} told before a packet, drops ${JSON.stringify(summary.drops)}`)
        assertAccount(summary, wire.received)
        assert.equal(summary.packets, yielded)
        assert.ok(told <= summary.dropped, `${told} told of ${summary.dropped}`)
        assert.equal(summary.reason, 'duration')
        if (whenFull === 'wait') assert.equal(summary.drops.consumer, 0)
        assert.ok(summary.dropped > 0)
        // What was lost at the end has no packet behind it; most was lost before.
        assert.ok(told > summary.dropped * 0.5)
      })
    }

    live('leaving the loop ends the capture, and what was queued is counted', async () => {
      using testbed = createTestbed()
      const descriptors = openDescriptors().length
      const threads = threadCount()
      const { iterator, first } = await opened(testbed, options)
      await using flood = await startFlood({ ...testbed.sender, ratePps: 100_000 })
      await first
      let yielded = 1
      for await (const packet of iterator) {
        assert.ok(packet.bytes.length >= 60)
        if (++yielded === 1000) break
      }
      const summary = await iterator.summary
      await flood.stop()
      assert.equal(summary.packets, 1000)
      assertAccount(summary)
      assert.deepEqual(await iterator.next(), { value: undefined, done: true })
      await until('threads are gone', () => threadCount() <= threads)
      assert.equal(openDescriptors().length, descriptors)
      assert.equal(promiscuity(testbed.receiver), 0)
    })

    live('an abort ends it normally, also under a full flood with a consumer that never waits', async (t) => {
      using testbed = createTestbed()
      await using flood = await startFlood({ ...testbed.sender, durationMs: 8000 })
      const abort = new AbortController()
      // What is queued is still yielded: a small queue.
      const iterator = packets({ ...testbed.receiver, ...options, queueBytes: 2 ** 20, signal: abort.signal })
      let yielded = 0
      let before = 0
      for await (const _ of iterator) {
        if (yielded++ > 0) continue
        before = performance.now()
        setTimeout(() => abort.abort(), 300)
      }
      const took = performance.now() - before
      const summary = await iterator.summary
      await flood.stop()
      t.diagnostic(`${yielded} packets, ended after ${took.toFixed(0)} ms`)
      assert.equal(summary.reason, 'aborted')
      assertAccount(summary)
      assert.equal(summary.packets, yielded)
      assert.ok(took < 3000, `${took} ms`)
    })
  })
}

describe('count', () => {
  live('is of what is yielded, not of what was queued', async () => {
    for (const count of [1, 10, 1000]) {
      using testbed = createTestbed()
      using sender = new RawSender(testbed.sender)
      const { iterator, first } = await opened(testbed, { count })
      sender.sendNumbered(1500)
      const seen = [numberOf((await first).value as Packet)]
      for await (const packet of iterator) seen.push(numberOf(packet))
      assert.deepEqual(seen, range(count))
      const summary = await iterator.summary
      assert.deepEqual([summary.packets, summary.reason], [count, 'count'])
      assertAccount(summary)
    }
  })
})

describe('ends', () => {
  live('while it waits for a packet', async () => {
    using testbed = createTestbed()
    const abort = new AbortController()
    const { iterator, first } = await opened(testbed, { signal: abort.signal })
    abort.abort()
    assert.deepEqual(await first, { value: undefined, done: true })
    assert.equal((await iterator.summary).reason, 'aborted')
    assertAccount(await iterator.summary, 0)
  })

  live('aborted before it begins: normally, without a packet', async () => {
    using testbed = createTestbed()
    const iterator = packets({ ...testbed.receiver, signal: AbortSignal.abort() })
    assert.deepEqual(await iterator.next(), { value: undefined, done: true })
    await assert.rejects(iterator.summary)
  })

  live('aborted while a consumer holds a worker up: normally, too, however long it takes over a packet', async (t) => {
    using testbed = createTestbed()
    const abort = new AbortController()
    const { iterator, first } = await opened(testbed, { whenFull: 'wait', queueBytes: 2 ** 20, signal: abort.signal })
    await using flood = await startFlood({ ...testbed.sender, count: 50_000 })
    await first
    await flood.finished
    const before = performance.now()
    abort.abort()
    // Longer than the patience with a handler that does not return.
    await sleep(6000)
    let yielded = 1
    for await (const _ of iterator) yielded++
    const summary = await iterator.summary
    t.diagnostic(`${yielded} packets, ${(performance.now() - before).toFixed(0)} ms after the abort; drops ${JSON.stringify(summary.drops)}`)
    assertAccount(summary)
    assert.deepEqual([summary.reason, summary.packets], ['aborted', yielded])
  })

  live('with the error that keeps it from opening', async () => {
    using testbed = createTestbed()
    for (const [options, code] of [
      [{ interface: 'nosuch0' }, 'NO_SUCH_INTERFACE'],
      [{ netns: 'no-such-namespace' }, 'NO_SUCH_NAMESPACE'],
      [{ whenFull: 'block' }, 'INVALID_OPTION'],
      [{ queueBytes: 5 }, 'INVALID_OPTION'],
      [{ count: 0 }, 'INVALID_OPTION'],
      [{ workers: 0 }, 'INVALID_OPTION'],
      [{ handler: 'x.js' }, 'INVALID_OPTION'],
    ] as const) {
      const iterator = packets({ ...testbed.receiver, ...(options as object) } as PacketsOptions)
      await assert.rejects(iterator.next(), { code }, JSON.stringify(options))
      await assert.rejects(iterator.summary, { code })
      assert.deepEqual(await iterator.next(), { value: undefined, done: true })
    }
  })

  for (const backend of ['ring', 'xdp'] as const) {
    live(`${backend}: with the error that ends its capture, after the packets that came before`, async () => {
      using testbed = createTestbed()
      const { netns } = testbed.receiver
      inNamespace(netns, 'ip', 'link', 'add', 'second0', 'type', 'veth', 'peer', 'name', 'second1')
      for (const name of ['second0', 'second1']) inNamespace(netns, 'ip', 'link', 'set', name, 'up')
      using sender = new RawSender({ interface: 'second0', netns })
      const { iterator, first } = await opened({ ...testbed, receiver: { interface: 'second1', netns } } as Testbed, { backend })
      sender.sendNumbered(20)
      await first
      inNamespace(netns, 'ip', 'link', 'delete', 'second0')
      let yielded = 1
      await assert.rejects(
        async () => {
          for await (const _ of iterator) yielded++
        },
        { code: 'INTERFACE_REMOVED' },
      )
      assert.equal(yielded, 20)
      await assert.rejects(iterator.summary, { code: 'INTERFACE_REMOVED' })
    })
  }
})
