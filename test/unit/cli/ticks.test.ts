import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ticks } from '#src/cli/ticks.js'

test('the last tick is at the end of the duration', async () => {
  const seen: number[] = []
  for await (const seconds of ticks({ intervalMs: 20, durationMs: 50, signal: new AbortController().signal })) seen.push(seconds)
  assert.equal(seen.length, 3)
  assert.ok((seen.at(-1) ?? 0) >= 0.049, String(seen))
})

test('a duration that is a multiple of the interval has no extra tick', async () => {
  let count = 0
  for await (const _ of ticks({ intervalMs: 20, durationMs: 40, signal: new AbortController().signal })) count++
  assert.equal(count, 2)
})

test('a late tick does not make the next one late', async () => {
  const seen: number[] = []
  for await (const seconds of ticks({ intervalMs: 200, durationMs: 600, signal: new AbortController().signal })) {
    seen.push(seconds)
    const busyUntil = performance.now() + 120
    while (performance.now() < busyUntil);
  }
  assert.equal(seen.length, 3)
  assert.ok((seen[1] ?? 0) < 0.5, String(seen))
})

test('the signal ends it at once', async () => {
  const controller = new AbortController()
  setTimeout(() => controller.abort(), 20)
  const start = performance.now()
  for await (const _ of ticks({ intervalMs: 60_000, signal: controller.signal })) assert.fail('a tick')
  assert.ok(performance.now() - start < 5000)
  for await (const _ of ticks({ intervalMs: 1, signal: controller.signal })) assert.fail('a tick')
})
