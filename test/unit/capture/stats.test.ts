/** stats() over counters without a capture: its intervals, how it waits and how it ends. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { CaptureCounters } from '#src/capture/api.js'
import { CaptureEnd, statsOf } from '#src/capture/stats.js'
import { CaptureError } from '#src/errors.js'
import { heapGrowth } from '../../support/heap-growth.js'

const DONE = { value: undefined, done: true }

function setUp() {
  const now = { seconds: 0, packets: 0, dropped: 0, drops: {}, workers: [] as unknown[] }
  const end = new CaptureEnd()
  const state: { error: Error | undefined } = { error: undefined }
  const source = { counters: () => ({ ...now }) as unknown as CaptureCounters, end, error: () => state.error }
  return { now, end, state, source }
}

test('an interval has what came in it', async () => {
  const { now, end, source } = setUp()
  const stats = statsOf(source, { intervalMs: 5 })
  const first = stats.next()
  Object.assign(now, { packets: 10, seconds: 2 })
  const { value } = await first
  assert.deepEqual([value?.packets, value?.packetsPerSecond, value?.total.packets], [10, 5, 10])
  const rest = stats.next()
  now.packets = 13
  end.happen()
  assert.equal((await rest).value?.packets, 3)
  assert.deepEqual(await stats.next(), DONE)
})

test('the end wakes it, and nothing is left over', async () => {
  const { end, source } = setUp()
  const stats = statsOf(source, { intervalMs: 1e9 })
  const next = stats.next()
  await sleep(5)
  end.happen()
  assert.deepEqual(await next, DONE)
})

test('the error of the capture is thrown', async () => {
  const { end, state, source } = setUp()
  const next = statsOf(source, { intervalMs: 1e9 }).next()
  state.error = new CaptureError('INTERFACE_REMOVED', 'eth0')
  end.happen()
  await assert.rejects(next, { code: 'INTERFACE_REMOVED' })
})

describe('closed while a next() waits', () => {
  test('by return', async () => {
    const stats = statsOf(setUp().source, { intervalMs: 1e9 })
    const next = stats.next()
    await sleep(5)
    assert.deepEqual(await stats.return(), DONE)
    assert.deepEqual(await next, DONE)
    assert.deepEqual(await stats.next(), DONE)
  })

  test('by the end of an await using block', async () => {
    let next: Promise<unknown>
    {
      await using stats = statsOf(setUp().source, { intervalMs: 1e9 })
      next = stats.next()
    }
    assert.deepEqual(await next, DONE)
  })
})

test('an interval that no timer can wait for is refused', async () => {
  for (const intervalMs of [0, -1, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31, 1e11, '5']) {
    const stats = statsOf(setUp().source, { intervalMs: intervalMs as number })
    await assert.rejects(stats.next(), { code: 'INVALID_OPTION', message: /intervalMs/ })
  }
  await assert.rejects(statsOf(setUp().source, null as never).next(), { code: 'INVALID_OPTION' })
})

test('a wait leaves nothing behind', async () => {
  const growth = await heapGrowth(new URL('./waits-heap.js', import.meta.url), 'stats')
  assert.ok(growth < 500_000, `${growth} bytes`)
})
