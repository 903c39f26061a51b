import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { EINVAL } from '#src/kernel/errno.js'
import { openKernel } from '#src/kernel/system.js'
import { allowedCpus, nameThread, pinThread, threadCpuTime } from '#src/kernel/thread.js'
import { fakeKernel } from '../../support/fake-kernel.js'

const allowedNow = () => /^Cpus_allowed_list:\s*(.*)$/m.exec(readFileSync('/proc/thread-self/status', 'latin1'))?.[1]

test('pins the calling thread', () => {
  const kernel = openKernel()
  const before = allowedCpus(kernel)
  assert.ok(before.length > 0)
  const last = before.at(-1) as number
  try {
    pinThread(kernel, [last])
    assert.equal(allowedNow(), String(last))
    assert.deepEqual(allowedCpus(kernel), [last])
  } finally {
    pinThread(kernel, before)
  }
  assert.deepEqual(allowedCpus(kernel), before)
})

test('a CPU that is not there is refused with those that are', () => {
  assert.throws(() => pinThread(openKernel(), [1023]), { code: 'INVALID_OPTION', errno: EINVAL, hint: `allowed CPUs: ${allowedCpus(openKernel()).join(',')}` })
})

test('the mask has a bit a CPU', () => {
  const kernel = fakeKernel()
  pinThread(kernel, [0, 9, 31])
  const mask = kernel.calls[0]?.arguments[0] as Uint8Array
  assert.deepEqual([...mask.subarray(0, 4)], [0b1, 0b10, 0, 0b1000_0000])
  assert.deepEqual(allowedCpus(kernel), [0, 1])
})

test('names the calling thread, cut to 15 bytes', () => {
  const kernel = openKernel()
  const comm = () => readFileSync('/proc/thread-self/comm', 'utf8').replace('\n', '')
  const before = comm()
  nameThread(kernel, 'ringtap-w0')
  assert.equal(comm(), 'ringtap-w0')
  nameThread(kernel, 'a name that is too long')
  assert.equal(comm(), 'a name that is ')
  nameThread(kernel, before)
})

test('CPU time of the thread grows with work', () => {
  const kernel = openKernel()
  const before = threadCpuTime(kernel)
  let spins = 0
  let used = 0
  while (used < 20) {
    spins++
    const now = threadCpuTime(kernel)
    used = now.userMs - before.userMs + now.systemMs - before.systemMs
  }
  assert.ok(spins > 1)
  const usage = fakeKernel()
  usage.answer('getrusage', (_who, bytes) => {
    new BigInt64Array(bytes.buffer).set([2n, 500_000n, 1n, 250n])
    return 0
  })
  assert.deepEqual(threadCpuTime(usage), { userMs: 2500, systemMs: 1000.25 })
})
