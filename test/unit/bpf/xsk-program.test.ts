import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { assemble, disassemble } from '#src/bpf/ebpf.js'
import { XSK_HINTS, XSK_QUEUE, type XskHintFunctions, xskMaps, xskProgram } from '#src/bpf/xsk-program.js'
import { BPF_FUNC_map_lookup_elem, BPF_FUNC_redirect_map, BPF_FUNC_xdp_adjust_meta, XDP_DROP, XDP_MD, XDP_PASS, XDP_REDIRECT } from '#src/kernel/abi/ebpf.js'
import { type Helper, interpret } from '../../support/ebpf-interpreter.js'
import { assertGolden } from '../../support/golden.js'
import { type Hints, hintsOf } from '../../support/xsk-hints.js'

const CONTEXT = 0x1000n
const COUNTS = 0x2000n
const QUEUES = 3
const MAPS = { xsks: 11, queues: 12 }
const HINTS: XskHintFunctions = { timestamp: 1001, vlan: 1002 }

test('the program, line by line', () => {
  assertGolden('unit/bpf/golden/xsk.txt', disassemble(xskProgram()))
  assertGolden('unit/bpf/golden/xsk-drop.txt', disassemble(xskProgram({ otherwise: 'drop' })))
  assert.deepEqual(xskProgram({ otherwise: 'pass' }), xskProgram())
  assertGolden('unit/bpf/golden/xsk-hints.txt', disassemble(xskProgram({ hints: HINTS })))
  assertGolden('unit/bpf/golden/xsk-hints-timestamp.txt', disassemble(xskProgram({ hints: { ...HINTS, vlan: undefined } })))
})

test('its maps', () => {
  const { xsks, queues } = xskMaps(64)
  assert.deepEqual([xsks.type, xsks.maxEntries, xsks.keyBytes, xsks.valueBytes], ['xskmap', 64, 4, 4])
  assert.deepEqual([queues.type, queues.maxEntries, queues.keyBytes, queues.valueBytes], ['percpu_array', 64, 4, 32])
  assert.equal(Object.keys(XSK_QUEUE).length, XSK_QUEUE.words + 1)
})

interface Run {
  queue: number
  otherwise?: 'pass' | 'drop'
  hints?: XskHintFunctions
  /** What the driver answers. Default: it has nothing, as a veth for a frame that was redirected. */
  driver?: Hints
  /** The driver has so many bytes of room before the packet. Default 256. */
  room?: number
}

const ENODATA = 61
const PACKET = 0x3000n
const ROOM = 256

/** Queue 1 has a socket. */
function run({ queue, otherwise, hints, driver = {}, room = ROOM }: Run) {
  const context = new Uint8Array(XDP_MD.sizeof)
  const fields = new DataView(context.buffer)
  fields.setUint32(XDP_MD.rx_queue_index, queue, true)
  for (const field of [XDP_MD.data, XDP_MD.data_meta]) fields.setUint32(field, Number(PACKET), true)
  const counts = new BigUint64Array(QUEUES * XSK_QUEUE.words)
  const before = new Uint8Array(ROOM).fill(0xee)
  const calls: number[] = []
  // An int: what the upper half of r0 holds is not told.
  const answer = (value: number) => (0xdead_beefn << 32n) | BigInt.asUintN(32, BigInt(value))
  const kernelFunction =
    (id: number, write: ((to: bigint, second: bigint, at: Parameters<Helper>[5]) => void) | undefined): Helper =>
    (of, to, second, _4, _5, at) => {
      assert.equal(of, CONTEXT)
      calls.push(id)
      if (write === undefined) return answer(-ENODATA)
      write(to, second, at)
      return answer(0)
    }
  const { timestamp, tag } = driver
  const action = interpret({
    code: assemble(xskProgram({ otherwise, hints }), MAPS),
    context: CONTEXT,
    memory: [
      { address: CONTEXT, bytes: context },
      { address: COUNTS, bytes: new Uint8Array(counts.buffer) },
      { address: PACKET - BigInt(ROOM), bytes: before },
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
      [BPF_FUNC_xdp_adjust_meta]: (of, by) => {
        assert.equal(of, CONTEXT)
        const bytes = -Number(BigInt.asIntN(64, by))
        assert.ok(bytes > 0 && bytes <= 32 && bytes % 4 === 0, `${bytes} bytes of metadata`)
        if (bytes > room) return answer(-22)
        fields.setUint32(XDP_MD.data_meta, Number(PACKET) - bytes, true)
        return answer(0)
      },
    },
    kernelFunctions: {
      1001: kernelFunction(1001, timestamp === undefined ? undefined : (to, _, at) => at(to, 8).setBigUint64(0, timestamp, true)),
      1002: kernelFunction(
        1002,
        tag === undefined
          ? undefined
          : (to, second, at) => {
              at(to, 2).setUint16(0, tag.tpid)
              at(second, 2).setUint16(0, tag.tci, true)
            },
      ),
    },
  })
  return {
    action: Number(action),
    counted: [...counts.entries()].filter(([, n]) => n !== 0n),
    calls,
    metadata: before.slice(ROOM - (Number(PACKET) - fields.getUint32(XDP_MD.data_meta, true))),
    untouched: before.subarray(0, ROOM - XSK_HINTS.sizeof).every((byte) => byte === 0xee),
  }
}

describe('what it does', () => {
  for (const otherwise of ['pass', 'drop'] as const) {
    const action = otherwise === 'pass' ? XDP_PASS : XDP_DROP
    const word = XSK_QUEUE[otherwise === 'pass' ? 'passed' : 'dropped']
    for (const hints of [undefined, HINTS]) {
      test(`a queue with a socket, one without, and one beyond the maps: ${otherwise}${hints === undefined ? '' : ', with hints'}`, () => {
        const to = (queue: number) => {
          const { action, counted } = run({ queue, otherwise, ...(hints === undefined ? {} : { hints }) })
          return { action, counted }
        }
        assert.deepEqual(to(1), { action: XDP_REDIRECT, counted: [[XSK_QUEUE.words + XSK_QUEUE.redirected, 1n]] })
        assert.deepEqual(to(0), { action, counted: [[word, 1n]] })
        assert.deepEqual(to(2), { action, counted: [[2 * XSK_QUEUE.words + word, 1n]] })
        assert.deepEqual(to(QUEUES), { action, counted: [] })
      })
    }
  }
})

describe('hints', () => {
  const tag = { tpid: 0x88a8, tci: 0xa064 }
  const timestamp = 0x1122_3344_5566_7788n

  test('what the driver has, right before the packet, and nothing else', () => {
    for (const driver of [{}, { tag }, { timestamp }, { timestamp, tag }]) {
      const { metadata, calls, untouched } = run({ queue: 1, hints: HINTS, driver })
      assert.deepEqual(metadata, hintsOf(driver))
      assert.deepEqual(calls, [1001, 1002])
      assert.ok(untouched)
    }
  })

  test('a function that is not there is not called', () => {
    const driver = { timestamp, tag }
    for (const [hints, expected, called] of [
      [{ timestamp: 1001, vlan: undefined }, { timestamp }, [1001]],
      [{ timestamp: undefined, vlan: 1002 }, { tag }, [1002]],
    ] as const) {
      const { metadata, calls } = run({ queue: 1, hints, driver })
      assert.deepEqual(metadata, hintsOf(expected))
      assert.deepEqual(calls, called)
    }
  })

  test('not for a packet that goes elsewhere, nor without room', () => {
    for (const other of [{ queue: 0 }, { queue: QUEUES }, { queue: 1, room: 15 }, { queue: 1, room: 0 }]) {
      const { metadata, calls, untouched } = run({ hints: HINTS, driver: { timestamp, tag }, ...other })
      assert.deepEqual([metadata.length, calls, untouched], [0, [], true])
    }
    const { action, counted } = run({ queue: 1, hints: HINTS, room: 15 })
    assert.deepEqual({ action, counted }, { action: XDP_REDIRECT, counted: [[XSK_QUEUE.words + XSK_QUEUE.redirected, 1n]] })
  })

  test('fields that do not overlap, each aligned for a packet at a multiple of 16 and 2 more', () => {
    const { sizeof, ...fields } = XSK_HINTS
    const bytes = { magic: 2, vlanTci: 2, vlanTpid: 2, timestamp: 8, valid: 2 }
    const taken = new Uint8Array(sizeof)
    for (const [name, length] of Object.entries(bytes) as [keyof typeof bytes, number][]) {
      assert.equal((2 - sizeof + fields[name] + 16) % length, 0, name)
      for (let i = 0; i < length; i++) taken[fields[name] + i]++
    }
    assert.ok(taken.every((times) => times === 1))
    assert.ok(sizeof % 4 === 0 && sizeof <= 32)
  })
})
