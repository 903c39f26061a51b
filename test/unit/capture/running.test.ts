/** A running capture over threads that are none: how snapshots are folded, and how it listens to a signal. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { countersMemory } from '#src/capture/counters.js'
import { RunningCapture, type RunningParts } from '#src/capture/running.js'
import type { WorkerEnd } from '#src/capture/worker-thread.js'
import type { Handler } from '#src/handler.js'
import { fakeKernel } from '../../support/fake-kernel.js'

/** Its workers end when they are told to. */
function running({ handler = {}, snapshots = [1, 2, 3], signal }: { handler?: Handler; snapshots?: unknown[]; signal?: AbortSignal }): RunningCapture {
  const threads = snapshots.map((snapshot, worker) => {
    let finish: (end: WorkerEnd) => void = () => {}
    const ended = new Promise<WorkerEnd>((resolve) => {
      finish = resolve
    })
    const send = () => finish({ reason: 'stopped', hasSnapshot: true, snapshot, error: undefined })
    return { data: { worker, interfaceName: 'eth0', cpu: -1 }, ended, send, settleRecords() {}, snapshots: async () => [snapshot], end: undefined }
  })
  const book = { look() {}, closing() {} }
  const parts = {
    kernel: fakeKernel(),
    plan: { backend: 'ring', interfaces: ['eth0'] },
    handler,
    threads,
    book,
    signal,
    counters: countersMemory(snapshots.length),
  }
  const nothing = { recording: undefined, timeMachine: undefined, onEvent: undefined, xdp: undefined, look: undefined, settle() {}, release() {} }
  return new RunningCapture({ ...nothing, ...parts, interfaceDrops: () => 0, passed: () => 0, filtered: () => 0 } as unknown as RunningParts)
}

describe('merge', () => {
  const handlerWith = (merge: (a: number, b: number) => unknown): Handler => ({ snapshot: () => 0, merge }) as Handler

  test('folds the snapshots in order', async () => {
    await using capture = running({ handler: handlerWith((a, b) => a * 10 + b) })
    assert.equal(await capture.snapshot(), 123)
  })

  test('what it throws is HANDLER_FAILED', async () => {
    const thrown = new RangeError('no luck')
    const handler = handlerWith(() => {
      throw thrown
    })
    await using capture = running({ handler })
    await assert.rejects(capture.snapshot(), { code: 'HANDLER_FAILED', message: 'handler merge() threw RangeError: no luck', cause: thrown })
  })

  test('a promise is none', async () => {
    await using capture = running({ handler: handlerWith(() => Promise.reject(new Error('nobody sees it'))) })
    await assert.rejects(capture.snapshot(), { code: 'HANDLER_FAILED', message: /returned a promise/ })
  })
})

test('thirty captures on one signal: no warning, and all end', async (t) => {
  const warnings: Error[] = []
  const note = (warning: Error) => warnings.push(warning)
  process.on('warning', note)
  t.after(() => process.off('warning', note))
  const abort = new AbortController()
  const captures = Array.from({ length: 30 }, () => running({ signal: abort.signal }))
  await (captures[0] as RunningCapture).stop()
  abort.abort()
  const reasons = await Promise.all(captures.map(async (capture) => (await capture.finished).reason))
  assert.deepEqual(reasons, ['stopped', ...Array.from({ length: 29 }, () => 'aborted')])
  await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual(warnings, [])
})
