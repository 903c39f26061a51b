/** Blocks that are equal to the last number become one. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { FlowBlock } from '#src/filter/flow-graph.js'
import { inLayoutOrder } from '#src/filter/linearise.js'
import { internBlocks } from '#src/filter/optimise/intern.js'

const answer = (k: number): FlowBlock => ({ statements: [], end: { answer: k } })

function block(code: number, k: number, whenTrue: FlowBlock, whenFalse: FlowBlock, load = 12): FlowBlock {
  return { statements: [{ code: 0x28, k: load }], end: { code, k, whenTrue, whenFalse } }
}

/** How many blocks are left of two, and of what they lead to. */
function interned(one: FlowBlock, other: FlowBlock): number {
  return inLayoutOrder(internBlocks(block(0x15, 99, one, other, 50))).length
}

test('equal blocks, and those that lead to equal blocks', () => {
  assert.equal(interned(answer(1), answer(1)), 2)
  assert.equal(interned(block(0x15, 1, answer(1), answer(0)), block(0x15, 1, answer(1), answer(0))), 4)
})

test('blocks that differ somewhere stay two', () => {
  const one = () => block(0x15, 1, answer(1), answer(0))
  const others = [
    block(0x25, 1, answer(1), answer(0)),
    block(0x15, 2, answer(1), answer(0)),
    block(0x15, 1, answer(0), answer(1)),
    block(0x15, 1, answer(1), answer(0), 13),
    { ...one(), statements: [] },
    { ...one(), statements: [{ code: 0x20, k: 12 }] },
    { ...one(), end: { code: 0x15, k: 1, whenTrue: answer(1), whenFalse: answer(1) } },
  ]
  for (const other of others) assert.equal(interned(one(), other), 5, JSON.stringify(other))
  assert.equal(interned(answer(1), answer(2)), 3)
})
