import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Instruction } from '#src/bpf/classic.js'
import { assemble, disassemble } from '#src/bpf/ebpf.js'
import { xskFilterProgram } from '#src/bpf/xsk-filter-program.js'
import { XSK_QUEUE } from '#src/bpf/xsk-program.js'
import { BPF_FUNC_map_lookup_elem, BPF_FUNC_redirect_map, XDP_DROP, XDP_PASS, XDP_REDIRECT } from '#src/kernel/abi/ebpf.js'
import { assertGolden } from '../../support/golden.js'
import { runXdp } from '../../support/xdp.js'

const COUNTS = 0x3000_0000n
const QUEUES = 3
const MAPS = { xsks: 11, queues: 12 }
const WORDS = XSK_QUEUE.words

/** `udp`, for IPv4 alone. */
const UDP: readonly Instruction[] = [
  [0x28, 0, 0, 12],
  [0x15, 0, 3, 0x0800],
  [0x30, 0, 0, 23],
  [0x15, 0, 1, 17],
  [0x06, 0, 0, 96],
  [0x06, 0, 0, 0],
]

test('the program, line by line', () => {
  assertGolden('unit/bpf/golden/xsk-filter.txt', disassemble(xskFilterProgram(UDP)))
})

describe('what it does', () => {
  /** Queue 1 has a socket. */
  const run = (filter: readonly Instruction[], protocol: number, queue: number, options: Parameters<typeof xskFilterProgram>[1] = {}) => {
    const counts = new BigUint64Array(QUEUES * WORDS)
    const frame = new Uint8Array(60)
    frame.set([8, 0, 0x45], 12)
    frame[23] = protocol
    const action = runXdp(assemble(xskFilterProgram(filter, options), MAPS), {
      frame,
      queue,
      memory: [{ address: COUNTS, bytes: new Uint8Array(counts.buffer) }],
      helpers: {
        [BPF_FUNC_redirect_map]: (map, index, flags) => {
          assert.equal(map, BigInt(MAPS.xsks))
          return index === 1n ? BigInt(XDP_REDIRECT) : flags
        },
        [BPF_FUNC_map_lookup_elem]: (map, key, _3, _4, _5, at) => {
          assert.equal(map, BigInt(MAPS.queues))
          const index = at(key, 4).getUint32(0, true)
          return index < QUEUES ? COUNTS + BigInt(index * WORDS * 8) : 0n
        },
      },
    })
    return { action, counted: [...counts.entries()].filter(([, n]) => n !== 0n) }
  }
  const { redirected, passed, dropped, filtered } = XSK_QUEUE

  for (const multiBuffer of [false, true]) {
    test(`a match and no match, on a queue with a socket, without one and beyond the maps${multiBuffer ? ', in several buffers' : ''}`, () => {
      assert.deepEqual(run(UDP, 17, 1, { multiBuffer }), { action: XDP_REDIRECT, counted: [[WORDS + redirected, 1n]] })
      assert.deepEqual(run(UDP, 17, 0, { multiBuffer }), { action: XDP_PASS, counted: [[passed, 1n]] })
      assert.deepEqual(run(UDP, 17, 0, { multiBuffer, otherwise: 'drop' }), { action: XDP_DROP, counted: [[dropped, 1n]] })
      assert.deepEqual(run(UDP, 17, QUEUES, { multiBuffer }), { action: XDP_PASS, counted: [] })
      for (const otherwise of ['pass', 'drop'] as const) {
        assert.deepEqual(run(UDP, 6, 1, { multiBuffer, otherwise }), { action: XDP_PASS, counted: [[WORDS + filtered, 1n]] })
        assert.deepEqual(run(UDP, 6, 2, { multiBuffer, otherwise }), { action: XDP_PASS, counted: [[2 * WORDS + filtered, 1n]] })
        assert.deepEqual(run(UDP, 6, QUEUES, { multiBuffer, otherwise }), { action: XDP_PASS, counted: [] })
      }
    })
  }

  test('a filter that takes all, and one that takes nothing', () => {
    assert.deepEqual(run([[0x06, 0, 0, 1]], 6, 1), { action: XDP_REDIRECT, counted: [[WORDS + redirected, 1n]] })
    assert.deepEqual(run([[0x06, 0, 0, 0]], 6, 1), { action: XDP_PASS, counted: [[WORDS + filtered, 1n]] })
  })
})

test('a filter that XDP cannot run is refused', () => {
  assert.throws(
    () =>
      xskFilterProgram([
        [0x30, 0, 0, 0xffff_f030],
        [0x06, 0, 0, 1],
      ]),
    { code: 'INVALID_OPTION', message: /VLAN/ },
  )
})
