import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { assemble, disassemble } from '#src/bpf/ebpf.js'
import { XSK_QUEUE, xskMaps, xskProgram } from '#src/bpf/xsk-program.js'
import { BPF_FUNC_map_lookup_elem, BPF_FUNC_redirect_map, XDP_DROP, XDP_MD, XDP_PASS, XDP_REDIRECT } from '#src/kernel/abi/ebpf.js'
import { interpret } from '../../support/ebpf-interpreter.js'
import { assertGolden } from '../../support/golden.js'

const CONTEXT = 0x1000n
const COUNTS = 0x2000n
const QUEUES = 3
const MAPS = { xsks: 11, queues: 12 }

test('the program, line by line', () => {
  assertGolden('unit/bpf/golden/xsk.txt', disassemble(xskProgram()))
  assertGolden('unit/bpf/golden/xsk-drop.txt', disassemble(xskProgram({ otherwise: 'drop' })))
  assert.deepEqual(xskProgram({ otherwise: 'pass' }), xskProgram())
})

test('its maps', () => {
  const { xsks, queues } = xskMaps(64)
  assert.deepEqual([xsks.type, xsks.maxEntries, xsks.keyBytes, xsks.valueBytes], ['xskmap', 64, 4, 4])
  assert.deepEqual([queues.type, queues.maxEntries, queues.keyBytes, queues.valueBytes], ['percpu_array', 64, 4, 24])
  assert.equal(Object.keys(XSK_QUEUE).length, XSK_QUEUE.words + 1)
})

describe('what it does', () => {
  /** Queue 1 has a socket. */
  const run = (queue: number, otherwise: 'pass' | 'drop') => {
    const context = new Uint8Array(XDP_MD.sizeof)
    new DataView(context.buffer).setUint32(XDP_MD.rx_queue_index, queue, true)
    const counts = new BigUint64Array(QUEUES * XSK_QUEUE.words)
    const action = interpret({
      code: assemble(xskProgram({ otherwise }), MAPS),
      context: CONTEXT,
      memory: [
        { address: CONTEXT, bytes: context },
        { address: COUNTS, bytes: new Uint8Array(counts.buffer) },
      ],
      helpers: {
        [BPF_FUNC_redirect_map]: (map, index, flags) => {
          assert.equal(map, BigInt(MAPS.xsks))
          return index === 1n ? BigInt(XDP_REDIRECT) : flags
        },
        [BPF_FUNC_map_lookup_elem]: (map, key, _3, _4, _5, at) => {
          assert.equal(map, BigInt(MAPS.queues))
          const index = at(key, 4).getUint32(0, true)
          return index < QUEUES ? COUNTS + BigInt(index * XSK_QUEUE.words * 8) : 0n
        },
      },
    })
    return { action: Number(action), counted: [...counts.entries()].filter(([, n]) => n !== 0n) }
  }

  for (const otherwise of ['pass', 'drop'] as const) {
    const action = otherwise === 'pass' ? XDP_PASS : XDP_DROP
    test(`a queue with a socket, one without, and one beyond the maps: ${otherwise}`, () => {
      assert.deepEqual(run(1, otherwise), { action: XDP_REDIRECT, counted: [[XSK_QUEUE.words + XSK_QUEUE.redirected, 1n]] })
      const word = XSK_QUEUE[otherwise === 'pass' ? 'passed' : 'dropped']
      assert.deepEqual(run(0, otherwise), { action, counted: [[word, 1n]] })
      assert.deepEqual(run(2, otherwise), { action, counted: [[2 * XSK_QUEUE.words + word, 1n]] })
      assert.deepEqual(run(QUEUES, otherwise), { action, counted: [] })
    })
  }
})
