/** Captures that a worker thread of the program has opened, and that end with it. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe } from 'node:test'
import { Worker } from 'node:worker_threads'
import type { CaptureOptions } from '#src/capture/api.js'
import { createTestbed } from '#src/testbed/index.js'
import { hasXdpProgram, live, openDescriptors, promiscuity, promiscuityOf, until } from '../support/live.js'

const SHAPES: [name: string, options: Omit<CaptureOptions, 'interface'> | undefined][] = [
  ['ring', { backend: 'ring', workers: 2, fanout: 'lb' }],
  ['recv', { backend: 'recv' }],
  ['xdp', { backend: 'xdp', ringBytes: 2 ** 20 }],
  ['countInKernel', undefined],
]

describe('a thread that ends with a capture open', () => {
  for (const [name, options] of SHAPES) {
    for (const way of ['exit', 'error', 'stop'] as const) {
      live(`${name}, by ${way}: nothing is left`, async () => {
        using testbed = createTestbed()
        const workerData = { options: { ...testbed.receiver, ...options }, way, counts: options === undefined }
        const run = async (): Promise<void> => {
          const thread = new Worker(new URL('./thread-child.js', import.meta.url), { workerData })
          const failed: Error[] = []
          thread.on('error', (error) => failed.push(error as Error))
          await once(thread, 'message')
          assert.equal(promiscuity(testbed.receiver), promiscuityOf(options ?? {}))
          await new Promise((resolve) => thread.on('exit', resolve))
          assert.deepEqual(
            failed.map(({ message }) => message),
            way === 'error' ? ['meant'] : [],
          )
        }
        // The first thread of a process opens descriptors that stay.
        await run()
        const before = openDescriptors().sort()
        await run()
        await until('descriptors are closed', () => openDescriptors().length <= before.length)
        assert.deepEqual(openDescriptors().sort(), before)
        assert.equal(promiscuity(testbed.receiver), 0)
        assert.ok(!hasXdpProgram(testbed.receiver))
      })
    }
  }
})
