/** packets() over a capture without a kernel: how it waits, how it ends, and what it leaves behind. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Packets, packetsWith } from '#src/capture/packets.js'
import { CaptureError } from '#src/errors.js'
import { FakeCapture } from '../../support/fake-capture.js'
import { heapGrowth } from '../../support/heap-growth.js'

const OPTIONS = { interface: 'eth0' }
const DONE = { value: undefined, done: true }

/** An iterator whose `next()` waits for a packet. */
async function waiting(fake: FakeCapture): Promise<{ iterator: Packets; next: Promise<IteratorResult<unknown>> }> {
  const iterator = packetsWith(fake.open, OPTIONS)
  const next = iterator.next()
  next.catch(() => {})
  await sleep(20)
  return { iterator, next }
}

test('a packet wakes the one who waits for it', async () => {
  const fake = new FakeCapture()
  const { iterator, next } = await waiting(fake)
  fake.give(Uint8Array.from({ length: 60 }, (_, i) => i))
  const { value } = (await next) as { value: { bytes: Uint8Array } }
  assert.deepEqual(
    [...value.bytes],
    Array.from({ length: 60 }, (_, i) => i),
  )
  await iterator.return()
  assert.equal((await iterator.summary).packets, 1)
})

test('a wait leaves nothing behind', async () => {
  const growth = await heapGrowth(new URL('./waits-heap.js', import.meta.url), 'packets')
  assert.ok(growth < 1_000_000, `${growth} bytes`)
})

describe('closed while a next() waits', () => {
  for (const way of ['return', 'dispose'] as const) {
    test(`by ${way}: both resolve, and the capture is stopped`, async () => {
      const fake = new FakeCapture()
      const { iterator, next } = await waiting(fake)
      const more = iterator.next()
      if (way === 'return') assert.deepEqual(await iterator.return(), DONE)
      else await iterator[Symbol.asyncDispose]()
      assert.deepEqual([await next, await more, await iterator.next()], [DONE, DONE, DONE])
      assert.equal(fake.stops, 1)
      assert.equal((await iterator.summary).reason, 'stopped')
      assert.deepEqual(await iterator.return(), DONE)
    })
  }

  test('what was queued is counted, not yielded', async () => {
    const fake = new FakeCapture()
    const { iterator, next } = await waiting(fake)
    for (let i = 0; i < 5; i++) fake.give()
    await next
    await iterator.return()
    const { packets, drops } = await iterator.summary
    assert.deepEqual([packets, drops.consumer], [1, 4])
  })

  test('while the capture opens: its opening is aborted', async () => {
    let undone = false
    const fake = new FakeCapture(async (signal) => {
      await new Promise((resolve) => signal.addEventListener('abort', resolve))
      undone = true
      throw signal.reason
    })
    const { iterator, next } = await waiting(fake)
    await iterator.return()
    assert.ok(undone)
    assert.deepEqual(await next, DONE)
    await assert.rejects(iterator.summary, { name: 'AbortError' })
  })

  test('before the first next(): no capture is opened', async () => {
    const fake = new FakeCapture()
    const iterator = packetsWith(fake.open, OPTIONS)
    await iterator.return()
    assert.deepEqual(await iterator.next(), DONE)
    assert.equal(fake.options, undefined)
    await assert.rejects(iterator.summary, { name: 'AbortError' })
  })

  test('with an error of the capture, which is told once', async () => {
    const fake = new FakeCapture()
    const { iterator, next } = await waiting(fake)
    fake.fail(new CaptureError('INTERFACE_REMOVED', 'eth0'))
    await assert.rejects(next, { code: 'INTERFACE_REMOVED' })
    assert.deepEqual(await iterator.return(), DONE)
    await assert.rejects(iterator.summary, { code: 'INTERFACE_REMOVED' })
  })
})

test('await using closes it', async () => {
  const fake = new FakeCapture()
  {
    await using iterator = packetsWith(fake.open, OPTIONS)
    const next = iterator.next()
    await sleep(5)
    fake.give()
    assert.equal((await next).done, false)
  }
  assert.equal(fake.stops, 1)
})

test('an abort ends it normally, with its reason where nothing was open yet', async () => {
  const fake = new FakeCapture()
  const abort = new AbortController()
  const iterator = packetsWith(fake.open, { ...OPTIONS, signal: abort.signal })
  const next = iterator.next()
  await sleep(20)
  abort.abort()
  assert.deepEqual(await next, DONE)
  assert.equal((await iterator.summary).reason, 'aborted')
  const late = packetsWith(fake.open, { ...OPTIONS, signal: abort.signal })
  assert.deepEqual(await late.next(), DONE)
  await assert.rejects(late.summary, (error) => error === abort.signal.reason)
})

test('options that are none, and a signal that is none', async () => {
  for (const given of [undefined, null, 'eth0', []]) {
    const iterator = packetsWith(new FakeCapture().open, given as never)
    await assert.rejects(iterator.next(), { code: 'INVALID_OPTION' })
  }
  const iterator = packetsWith(new FakeCapture().open, { ...OPTIONS, signal: 5 as never })
  await assert.rejects(iterator.next(), { code: 'INVALID_OPTION', message: /signal/ })
})
