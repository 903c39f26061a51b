/** Options of a time machine: defaults, and what is refused. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CaptureOptions } from '#src/capture/api.js'
import { planCapture } from '#src/capture/plan.js'
import { pastShare } from '#src/capture/plan-past.js'
import { poolGeometry, poolMemoryBytes } from '#src/file/record-pool.js'

const MACHINE = { pageSize: 4096, cpus: [0, 1], availableMemoryBytes: 8 * 2 ** 30 }
const MIB = 2 ** 20

function past(write: object) {
  return planCapture({ interface: 'eth0', write: { path: 'x.pcap', ...write } } as CaptureOptions, MACHINE).write?.past
}

test('beforeMs makes it one', () => {
  assert.equal(past({}), undefined)
  assert.deepEqual(past({ beforeMs: 30_000 }), { beforeMs: 30_000, beforeSizeBytes: 256 * MIB, afterMs: 10_000, trigger: undefined })
  const all = { beforeMs: 1, beforeSizeBytes: 2 * MIB, afterMs: 0, trigger: 'tcp' }
  assert.deepEqual(past(all), all)
})

test('what is refused', () => {
  const refused = (write: object, message: RegExp) => assert.throws(() => past(write), { code: 'INVALID_OPTION', message })
  for (const name of ['beforeSizeBytes', 'afterMs', 'trigger']) refused({ [name]: 5 }, new RegExp(`write\\.${name} to be absent without write.beforeMs, got 5`))
  refused({ beforeMs: 0 }, /write\.beforeMs/)
  refused({ beforeMs: 2 ** 31 }, /write\.beforeMs/)
  refused({ beforeMs: 1.5 }, /write\.beforeMs/)
  refused({ beforeMs: 1, beforeSizeBytes: 2 * MIB - 1 }, /write\.beforeSizeBytes to be an integer from 2097152/)
  refused({ beforeMs: 1, beforeSizeBytes: 9 * 2 ** 30 }, /at most the 8589934592 bytes of memory that are available/)
  refused({ beforeMs: 1, afterMs: -1 }, /write\.afterMs/)
  refused({ beforeMs: 1, trigger: '' }, /write\.trigger/)
  refused({ beforeMs: 1, perWorker: true }, /write\.perWorker to be absent/)
  refused({ beforeMs: 1, order: true }, /write\.order to be absent/)
  refused({ beforeMs: 1, unbuffered: true }, /write\.unbuffered to be absent/)
  refused({ beforeMs: 1, path: '-' }, /write\.path to be a file/)
})

test('a share for each worker, and segments that stay within it', () => {
  const plan = (beforeSizeBytes: number) => ({ beforeMs: 1, beforeSizeBytes, afterMs: 0, trigger: undefined })
  assert.equal(pastShare(plan(256 * MIB), 2), 128 * MIB)
  assert.throws(() => pastShare(plan(7 * MIB), 4), /from 8388608 to 12884901888 with 4 workers, got 7340032/)
  assert.throws(() => pastShare(plan(4 * 2 ** 30), 1), /from 2097152 to 3221225472/)
  for (const bytes of [2 * MIB, 31.7 * MIB, 32 * MIB, 1000 * MIB, 3 * 2 ** 30]) {
    const geometry = poolGeometry(bytes)
    assert.ok(geometry.segments >= 4 && geometry.segmentBytes * geometry.segments <= bytes, `${bytes}`)
    assert.ok(geometry.segmentBytes * geometry.segments > bytes * 0.8)
    // The longest record has 262144 bytes and what is around them.
    assert.ok(geometry.segmentBytes > 262_144 + 44)
    // Beside the segments there are the arguments of the compiled code, and one segment to spare.
    assert.ok(poolMemoryBytes(geometry) < bytes + 2 ** 20 + 1024)
  }
})
