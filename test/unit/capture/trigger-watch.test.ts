/** Of each block the packet that a plain filter would find first, or none. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TriggerWatch } from '#src/capture/trigger-watch.js'
import { compileFilter } from '#src/filter/compile.js'
import { Block } from '#src/packet/block.js'
import { KernelRing } from '../../support/ring-memory.js'

/** Frames whose byte 14 is as given, a millisecond apart from second 5 on; those above 100 had a tag with that identifier. */
function blockOf(...values: number[]): Block {
  const ring = new KernelRing({ blockBytes: 16_384, blockCount: 2 })
  for (const [i, value] of values.entries()) {
    const bytes = new Uint8Array(60)
    bytes[14] = value
    ring.receive({ bytes, seconds: 5, nanoseconds: i * 1_000_000, ...(value > 100 ? { vlan: { tci: value } } : {}) })
  }
  ring.retire()
  const block = new Block(ring.memory, 0, 16_384)
  block.readHeader()
  return block
}

function watchFor(expression: string): TriggerWatch {
  return new TriggerWatch(compileFilter(expression, { vlan: 'ancillary' }).instructions)
}

test('the first that matches, once', () => {
  const watch = watchFor('ether[14] = 3')
  assert.equal(watch.look(blockOf(1, 2, 4), 3), undefined)
  assert.equal(watch.look(blockOf(1, 2, 3), 2), undefined, 'only as many as it is told')
  assert.equal(watch.look(blockOf(1, 3, 2, 3), 4), 5001)
  assert.equal(watch.look(blockOf(3), 1), undefined)
  watch.arm(0)
  assert.equal(watch.look(blockOf(), 0), undefined)
  assert.equal(watch.look(blockOf(3), 1), 5000)
})

test('not before the time that it is told', () => {
  const watch = watchFor('ether[14] = 3')
  watch.arm(5002)
  assert.equal(watch.look(blockOf(3, 3), 2), undefined)
  assert.equal(watch.look(blockOf(3, 3, 1, 3, 3), 5), 5003)
})

test('tags that are beside the packet', () => {
  assert.equal(watchFor('vlan 102').look(blockOf(1, 101, 102), 3), 5002)
  assert.equal(watchFor('not vlan').look(blockOf(101, 102, 7), 3), 5002)
})
