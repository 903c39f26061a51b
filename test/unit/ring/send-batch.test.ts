import assert from 'node:assert/strict'
import { test } from 'node:test'
import { alignUp } from '#src/bytes/align.js'
import { SendBatch, sendBatchBytes } from '#src/ring/send-batch.js'
import { seededRandom } from '../../support/random.js'

const ADDRESS = 0x7f00_0000_0000n
const GEOMETRY = { batch: 8, frameBytes: 1518 }

function made() {
  const memory = new ArrayBuffer(alignUp(sendBatchBytes(GEOMETRY), 4096))
  return { memory, batch: new SendBatch(memory, ADDRESS, GEOMETRY) }
}

/** What sendmmsg(2) would send, given the batch's vector and count. */
function read(memory: ArrayBuffer, batch: SendBatch): number[][] {
  const view = new DataView(memory)
  const at = (address: bigint) => Number(address - ADDRESS)
  return Array.from({ length: batch.pending }, (_, i) => {
    const header = batch.vectorOffset + i * 64
    assert.deepEqual([view.getBigUint64(header, true), view.getUint32(header + 8, true), view.getBigUint64(header + 24, true)], [0n, 0, 1n])
    const iovec = at(view.getBigUint64(header + 16, true))
    return [...new Uint8Array(memory, at(view.getBigUint64(iovec, true)), Number(view.getBigUint64(iovec + 8, true)))]
  })
}

test('what was put is what the kernel finds, however it takes it', (t) => {
  const random = seededRandom(t)
  const { memory, batch } = made()
  const expected: number[][] = []
  let taken = 0
  let bytes = 0
  for (let step = 0; step < 3000; step++) {
    if (random.oneIn(3)) {
      const count = random.between(0, batch.pending)
      const gone = expected.splice(0, count)
      if (random.oneIn(4)) {
        batch.withdraw(count)
      } else {
        batch.take(count)
        taken += count
        bytes += gone.reduce((sum, frame) => sum + frame.length, 0)
      }
    } else {
      const frame = random.bytes(random.between(0, GEOMETRY.frameBytes))
      const offset = random.between(0, frame.length)
      if (batch.put(frame, offset, frame.length - offset)) expected.push([...frame.subarray(offset)])
      else assert.ok(expected.length > 0)
    }
    if (expected.length > 0) assert.equal(batch.firstLength(), expected[0]?.length)
    assert.deepEqual([batch.pending, batch.packets, batch.bytes], [expected.length, taken, bytes])
    if (step % 10 === 0) assert.deepEqual(read(memory, batch), expected)
  }
})

test('a full batch takes no more, an empty one all again', () => {
  const { batch } = made()
  const frame = new Uint8Array(60)
  for (let i = 0; i < GEOMETRY.batch; i++) assert.ok(batch.put(frame, 0, 60))
  assert.ok(!batch.put(frame, 0, 60))
  batch.take(3)
  // The places of those that are gone come back when all are.
  assert.ok(!batch.put(frame, 0, 60))
  batch.take(5)
  assert.equal(batch.vectorOffset, 0)
  assert.ok(batch.put(frame, 0, 60))
})
