import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { COUNT, COUNT_CLASSES, COUNT_MAP, countProgram } from '#src/bpf/count-program.js'
import { assemble, disassemble } from '#src/bpf/ebpf.js'
import { BPF_FUNC_map_lookup_elem, BPF_FUNC_xdp_get_buff_len, BPF_FUNC_xdp_load_bytes, XDP_DROP, XDP_MD, XDP_PASS } from '#src/kernel/abi/ebpf.js'
import { COUNT_FRAMES, classOf, randomCountFrame } from '../../support/count-frames.js'
import { interpret } from '../../support/ebpf-interpreter.js'
import { assertGolden } from '../../support/golden.js'
import { seededRandom } from '../../support/random.js'

const CONTEXT = 0x1000n
const COUNTS = 0x2000n
const FRAME = 0x10_0000
const MAP_FD = 9
const EINVAL = -22n

interface Wish {
  action?: 'pass' | 'drop'
  multiBuffer?: boolean
  /** Bytes of the frame that lie in the first buffer. Default: all. */
  firstBytes?: number
}

const CODE = new Map(
  [false, true].flatMap((multiBuffer) =>
    (['pass', 'drop'] as const).map((action) => [`${action} ${multiBuffer}`, assemble(countProgram({ action, multiBuffer }), { counts: MAP_FD })] as const),
  ),
)

/** Short frames, for going through all their bytes. */
const SHORT = COUNT_FRAMES.filter(({ frame }) => frame.length < 130)

/** The program on one frame: what it answers, and what it has counted. */
function run(frame: Uint8Array, { action = 'pass', multiBuffer = false, firstBytes = frame.length }: Wish = {}) {
  const context = new Uint8Array(XDP_MD.sizeof)
  const words = new DataView(context.buffer)
  words.setUint32(XDP_MD.data, FRAME, true)
  words.setUint32(XDP_MD.data_end, FRAME + firstBytes, true)
  const counts = new BigUint64Array(COUNT_CLASSES.length * COUNT.words)
  const answer = interpret({
    code: CODE.get(`${action} ${multiBuffer}`) as Uint8Array,
    context: CONTEXT,
    memory: [
      { address: CONTEXT, bytes: context },
      { address: BigInt(FRAME), bytes: frame.slice(0, firstBytes) },
      { address: COUNTS, bytes: new Uint8Array(counts.buffer) },
    ],
    helpers: {
      [BPF_FUNC_map_lookup_elem]: (map, key, _3, _4, _5, at) => {
        assert.equal(map, BigInt(MAP_FD))
        return COUNTS + BigInt(at(key, 4).getUint32(0, true) * COUNT.words * 8)
      },
      // Not there for programs that were loaded without BPF_F_XDP_HAS_FRAGS on an old kernel.
      ...(multiBuffer && {
        [BPF_FUNC_xdp_get_buff_len]: (it: bigint) => {
          assert.equal(it, CONTEXT)
          return BigInt(frame.length)
        },
        [BPF_FUNC_xdp_load_bytes]: (it: bigint, from: bigint, to: bigint, bytes: bigint, _5: bigint, at: (address: bigint, size: number) => DataView) => {
          assert.equal(it, CONTEXT)
          if (Number(from + bytes) > frame.length) return EINVAL
          for (let i = 0; i < Number(bytes); i++) at(to + BigInt(i), 1).setUint8(0, frame[Number(from) + i])
          return 0n
        },
      }),
    },
  })
  const counted = COUNT_CLASSES.flatMap((name, index) => {
    const [packets, bytes] = counts.subarray(index * COUNT.words)
    return packets === 0n && bytes === 0n ? [] : [{ name, packets: Number(packets), bytes: Number(bytes) }]
  })
  return { answer: Number(answer), counted }
}

test('the programs, line by line', () => {
  assertGolden('unit/bpf/golden/count.txt', disassemble(countProgram({ action: 'pass', multiBuffer: false })))
  assertGolden('unit/bpf/golden/count-multi-buffer.txt', disassemble(countProgram({ action: 'pass', multiBuffer: true })))
})

test('to drop is one other instruction', () => {
  for (const multiBuffer of [false, true]) {
    const [pass, drop] = (['pass', 'drop'] as const).map((action) => disassemble(countProgram({ action, multiBuffer })))
    assert.deepEqual(
      (pass as string[]).flatMap((line, index) => (line === drop?.[index] ? [] : [line.replace(/^\d+: /, ''), drop?.[index]?.replace(/^\d+: /, '')])),
      [`r0 = ${XDP_PASS}`, `r0 = ${XDP_DROP}`],
    )
  }
})

test('its map', () => {
  assert.deepEqual(COUNT_MAP, { name: 'ringtap_count', type: 'percpu_array', keyBytes: 4, valueBytes: 16, maxEntries: 9 })
})

test('the oracle says of every frame of the list what the list says', () => {
  for (const { name, frame, expected } of COUNT_FRAMES) assert.equal(classOf(frame), expected, name)
})

for (const multiBuffer of [false, true]) {
  describe(multiBuffer ? 'for frames in several buffers' : 'for frames in one buffer', () => {
    const check = (frame: Uint8Array, expected: string, name: string, wish: Wish = {}) => {
      const { answer, counted } = run(frame, { multiBuffer, ...wish })
      assert.deepEqual(counted, [{ name: expected, packets: 1, bytes: frame.length }], `${name}: ${Buffer.from(frame).toString('hex')}`)
      assert.equal(answer, wish.action === 'drop' ? XDP_DROP : XDP_PASS)
    }

    test('every class, with and without tags', () => {
      for (const { name, frame, expected } of COUNT_FRAMES) {
        check(frame, expected, name)
      }
      check(COUNT_FRAMES[0]?.frame as Uint8Array, 'tcpSyn', 'SYN', { action: 'drop' })
      assert.deepEqual(new Set(COUNT_FRAMES.map(({ expected }) => expected)), new Set(COUNT_CLASSES))
    })

    test('frames of every length', () => {
      for (const { name, frame } of SHORT) {
        for (let length = 0; length <= frame.length; length++) {
          const cut = frame.slice(0, length)
          check(cut, classOf(cut), `${name}, ${length} bytes of it`)
        }
      }
    })

    test('random ones', (t) => {
      const random = seededRandom(t)
      for (let i = 0; i < 20_000; i++) {
        const frame = randomCountFrame(random, 0)
        check(frame, classOf(frame), `frame ${i}`)
      }
    })
  })
}

test('wherever the first of several buffers ends', (t) => {
  const random = seededRandom(t)
  for (const { name, frame, expected } of SHORT) {
    for (let firstBytes = 0; firstBytes <= frame.length; firstBytes++) {
      const { counted } = run(frame, { multiBuffer: true, firstBytes })
      assert.deepEqual(counted, [{ name: expected, packets: 1, bytes: frame.length }], `${name}, ${firstBytes} bytes in the first`)
    }
  }
  for (let i = 0; i < 5000; i++) {
    const frame = randomCountFrame(random, 0)
    const { counted } = run(frame, { multiBuffer: true, firstBytes: random.between(0, frame.length) })
    assert.deepEqual(counted, [{ name: classOf(frame), packets: 1, bytes: frame.length }], Buffer.from(frame).toString('hex'))
  }
})
