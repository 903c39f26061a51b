import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openFloodEngine } from '#src/testbed/flood-engine.js'
import { ack, answering, link } from '../../support/netlink-answers.js'

const OPTIONS = { kind: 'syn', frameBytes: 60, sources: 1, destinationMac: new Uint8Array(6), sourceMac: new Uint8Array(6), interfaceIndex: 3 } as const

test('every step of loading and parking the program may fail: an error, nothing left open', () => {
  for (let step = 1; ; step++) {
    assert.ok(step < 60)
    const { kernel } = answering([[ack]], [[link(7, 'park0'), ack]])
    kernel.failNth(step, 105)
    let engine: ReturnType<typeof openFloodEngine> | undefined
    try {
      engine = openFloodEngine(kernel, OPTIONS, [0, 1], 1)
      engine.close()
    } catch (error) {
      assert.equal((error as { errnoName?: string }).errnoName, 'ENOBUFS', `step ${step}: ${error}`)
    }
    engine?.close()
    assert.deepEqual(kernel.openDescriptors, [], `step ${step}`)
    if (!kernel.failed) {
      assert.ok(engine !== undefined)
      break
    }
  }
})
