import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type Instruction, validateProgram } from '#src/bpf/classic.js'
import { formatProgram } from '#src/bpf/classic-text.js'
import { type Ancillary, interpret } from '#src/bpf/interpret.js'
import { compileMatcher } from '#src/bpf/matcher.js'
import type { PacketView } from '#src/handler.js'
import { randomProgram } from '../../support/classic-programs.js'
import { randomFrame } from '../../support/filter-packets.js'
import { openLibpcap } from '../../support/libpcap.js'
import { seededRandom } from '../../support/random.js'

const RET_A: Instruction = [0x16, 0, 0, 0]
const BYTES = Uint8Array.of(0x45, 0xff, 0xfe, 0xfd, 0x80, 0x00, 0x00, 0x01, 0x12, 0x34, 0x56, 0x78)

/** What a program leaves in A, as both of our forms see it. The packet begins behind 3 bytes and is followed by 5. */
function run(program: readonly Instruction[], packet: Uint8Array = BYTES, wireLength = 1500, ancillary?: Ancillary): number {
  validateProgram(program)
  const bytes = new Uint8Array(packet.length + 8).fill(0xa5)
  bytes.set(packet, 3)
  const answer = interpret(program, bytes, 3, packet.length, wireLength, ancillary)
  assert.equal(compileMatcher(program)(bytes, 3, packet.length, wireLength, ancillary), answer)
  return answer
}

const a = (...program: Instruction[]) => run([...program, RET_A])
const ld = (k: number): Instruction => [0x00, 0, 0, k >>> 0]
const ldx = (k: number): Instruction => [0x01, 0, 0, k >>> 0]

describe('loads', () => {
  test('big-endian, unsigned', () => {
    assert.equal(a([0x20, 0, 0, 0]), 0x45fffefd)
    assert.equal(a([0x20, 0, 0, 4]), 0x8000_0001)
    assert.equal(a([0x28, 0, 0, 1]), 0xfffe)
    assert.equal(a([0x30, 0, 0, 1]), 0xff)
    assert.equal(a(ldx(4), [0x40, 0, 0, 4]), 0x1234_5678)
    assert.equal(a(ldx(4), [0x48, 0, 0, 0]), 0x8000)
    assert.equal(a(ldx(11), [0x50, 0, 0, 0]), 0x78)
    assert.equal(a([0xb1, 0, 0, 0], [0x87, 0, 0, 0]), 20)
    assert.equal(a([0x80, 0, 0, 0]), 1500)
    assert.equal(a([0x81, 0, 0, 0], [0x87, 0, 0, 0]), 1500)
    assert.equal(a([0x87, 0, 0, 0]), 0, 'A and X begin as 0')
  })

  test('the last that is there, and the first that is not', () => {
    const reads = (code: number, k: number, x = 0) => run([ldx(x), [code, 0, 0, k >>> 0], [0x06, 0, 0, 7]]) === 7
    for (const [code, size] of [
      [0x20, 4],
      [0x28, 2],
      [0x30, 1],
      [0xb1, 1],
    ] as const) {
      assert.equal(reads(code, 12 - size), true)
      for (const k of [12 - size + 1, 12, 13, 0x7fff_ffff, 0x8000_0000, 0xffff_efff]) assert.equal(reads(code, k), false, `${code} ${k}`)
    }
    for (const [code, size] of [
      [0x40, 4],
      [0x48, 2],
      [0x50, 1],
    ] as const) {
      for (const x of [0, 3, 12 - size]) {
        assert.equal(reads(code, 12 - size - x, x), true)
        assert.equal(reads(code, 12 - size - x + 1, x), false)
      }
      assert.equal(reads(code, -1, 12 - size + 1), true, 'X + k counts modulo 2^32')
      assert.equal(reads(code, 4, -4), true)
      assert.equal(reads(code, 0, -1), false)
      assert.equal(reads(code, 0x7fff_ffff, 0x7fff_ffff), false)
    }
  })

  test('from a header on', () => {
    const NET = 0xfff0_0000
    const LL = 0xffe0_0000
    const packet = Uint8Array.from({ length: 40 }, (_, i) => i)
    const load = (code: number, k: number, ancillary?: Ancillary, x = 0) => run([ldx(x), [code, 0, 0, k], RET_A], packet, 40, ancillary)
    assert.equal(load(0x28, NET), 0x0e0f)
    assert.equal(load(0x28, NET + 24), 0x2627)
    assert.equal(load(0x28, NET + 25), 0)
    assert.equal(load(0x30, NET + 2, { networkOffset: 18 }), 20)
    assert.equal(load(0x30, NET + 2, { networkOffset: undefined }), 16)
    assert.equal(load(0x30, LL + 2), 2)
    assert.equal(load(0x30, LL + 40), 0)
    assert.equal(load(0x30, LL - 1), 0)
    assert.equal(load(0x50, NET, {}, 5), 19)
    assert.equal(load(0x50, LL, { networkOffset: 3 }, 5), 5)
    assert.equal(load(0x50, 6, {}, NET), 20)
    assert.equal(run([[0xb1, 0, 0, NET], [0x87, 0, 0, 0], RET_A], packet, 40, {}), (14 & 15) << 2)
  })
})

test('arithmetic: 32 bits, unsigned', () => {
  const calculate = (operation: number, left: number, right: number) => {
    const byX = a(ld(left), ldx(right), [0x04 | operation | 0x08, 0, 0, 0])
    const isShift = operation === 0x60 || operation === 0x70
    if (!(isShift && right >= 32) && !(right === 0 && (operation === 0x30 || operation === 0x90)))
      assert.equal(a(ld(left), [0x04 | operation, 0, 0, right]), byX)
    return byX
  }
  const cases: readonly [name: string, operation: number, left: number, right: number, result: number][] = [
    ['add', 0x00, 0xffff_ffff, 2, 1],
    ['sub', 0x10, 1, 2, 0xffff_ffff],
    ['sub', 0x10, 1, 0x8000_0000, 0x8000_0001],
    ['mul', 0x20, 0xffff_ffff, 0xffff_ffff, 1],
    ['mul', 0x20, 0x1234_5678, 0x9abc_def0, Number((0x1234_5678n * 0x9abc_def0n) & 0xffff_ffffn)],
    ['div', 0x30, 0xffff_ffff, 2, 0x7fff_ffff],
    ['div', 0x30, 0xffff_fffe, 0xffff_ffff, 0],
    ['div', 0x30, 0xffff_ffff, 0xffff_ffff, 1],
    ['div', 0x30, 0x8000_0000, 1, 0x8000_0000],
    ['div by 0', 0x30, 7, 0, 0],
    ['mod', 0x90, 0xffff_ffff, 10, 5],
    ['mod', 0x90, 5, 0xffff_ffff, 5],
    ['mod by 0', 0x90, 7, 0, 0],
    ['and', 0x50, 0xffff_0000, 0x00ff_ff00, 0x00ff_0000],
    ['or', 0x40, 0x8000_0000, 1, 0x8000_0001],
    ['xor', 0xa0, 0xffff_ffff, 1, 0xffff_fffe],
    ['lsh', 0x60, 3, 31, 0x8000_0000],
    ['rsh', 0x70, 0x8000_0000, 31, 1],
    ['lsh by 32', 0x60, 3, 32, 3],
    ['rsh by 33', 0x70, 4, 33, 2],
    ['rsh by -1', 0x70, 0x8000_0000, 0xffff_ffff, 1],
  ]
  for (const [name, operation, left, right, result] of cases) assert.equal(calculate(operation, left, right), result, `${name} ${left} ${right}`)
  assert.equal(a(ld(5), [0x84, 0, 0, 0]), 0xffff_fffb)
  assert.equal(a(ld(0), [0x84, 0, 0, 0]), 0)
  assert.equal(a(ld(0x8000_0000), [0x84, 0, 0, 0]), 0x8000_0000)
})

test('division by an X of 0 rejects, and not only the result is 0', () => {
  for (const code of [0x3c, 0x9c]) assert.equal(run([ld(7), ldx(0), [code, 0, 0, 0], [0x06, 0, 0, 9]]), 0)
})

test('comparisons are unsigned', () => {
  const holds = (condition: number, left: number, right: number) => {
    const byX = run([ld(left), ldx(right), [0x05 | condition | 0x08, 0, 1, 0], [0x06, 0, 0, 1], [0x06, 0, 0, 2]])
    assert.equal(run([ld(left), [0x05 | condition, 1, 0, right], [0x06, 0, 0, 2], [0x06, 0, 0, 1]]), byX)
    return byX === 1
  }
  const values = [0, 1, 2, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff]
  for (const left of values) {
    for (const right of values) {
      assert.equal(holds(0x10, left, right), left === right)
      assert.equal(holds(0x20, left, right), left > right)
      assert.equal(holds(0x30, left, right), left >= right)
      assert.equal(holds(0x40, left, right), (BigInt(left) & BigInt(right)) !== 0n)
    }
  }
})

test('memory, moves, returns', () => {
  assert.equal(a(ld(5), [0x02, 0, 0, 0], ldx(6), [0x03, 0, 0, 15], ld(0), [0x61, 0, 0, 0], [0x60, 0, 0, 15], [0x0c, 0, 0, 0]), 11)
  assert.equal(a(ld(5), [0x07, 0, 0, 0], ld(9), [0x1c, 0, 0, 0]), 4)
  assert.equal(a(ldx(0x8000_0000), [0x87, 0, 0, 0]), 0x8000_0000)
  assert.equal(run([[0x06, 0, 0, 0xffff_ffff]]), 0xffff_ffff)
  assert.equal(run([ld(-1), RET_A]), 0xffff_ffff)
  assert.equal(
    run([
      [0x05, 0, 0, 1],
      [0x06, 0, 0, 1],
      [0x06, 0, 0, 2],
    ]),
    2,
  )
})

describe('ancillary loads', () => {
  const everything: Required<Ancillary> = {
    protocol: 0x1_0800,
    packetType: 8 + 4,
    interfaceIndex: 0xffff_ffff,
    mark: 0x8000_0000,
    queue: 0x1_0003,
    hardwareType: 1,
    rxhash: 0xdead_beef,
    cpu: 3,
    hasVlan: true,
    vlanTci: 0x1_e064,
    vlanTpid: 0x88a8,
    payloadOffset: 42,
    random: 0xcafe_f00d,
    networkOffset: 14,
  }
  const fields: readonly [number: number, name: keyof Ancillary, value: number][] = [
    [0, 'protocol', 0x0800],
    [4, 'packetType', 4],
    [8, 'interfaceIndex', 0xffff_ffff],
    [20, 'mark', 0x8000_0000],
    [24, 'queue', 3],
    [28, 'hardwareType', 1],
    [32, 'rxhash', 0xdead_beef],
    [36, 'cpu', 3],
    [44, 'vlanTci', 0xe064],
    [48, 'hasVlan', 1],
    [52, 'payloadOffset', 42],
    [56, 'random', 0xcafe_f00d],
    [60, 'vlanTpid', 0x88a8],
  ]
  for (const [number, name, value] of fields) {
    test(name, () => {
      for (const code of [0x20, 0x28, 0x30]) {
        const program: Instruction[] = [[code, 0, 0, 0xffff_f000 + number], [0x07, 0, 0, 0], [0x15, 0, 1, value], [0x06, 0, 0, 5], RET_A]
        assert.equal(run(program, BYTES, 12, everything), 5)
        assert.equal(run(program, BYTES, 12, { ...everything, [name]: undefined }), 0, 'not known')
        assert.equal(run(program, BYTES, 12), 0, 'nothing known')
      }
    })
  }

  test('a packet view is ancillary data', () => {
    const view = { hasVlan: true, vlanTci: 5, vlanTpid: 0x8100, packetType: 1, protocol: 0x0800, interfaceIndex: 2, rxhash: 3 } satisfies Partial<PacketView>
    const ancillary: Ancillary = view as PacketView
    for (const number of [0, 4, 8, 32, 44, 48, 60]) assert.ok(run([[0x20, 0, 0, 0xffff_f000 + number], RET_A], BYTES, 12, ancillary) > 0, `${number}`)
  })

  test('no tag', () => assert.equal(run([[0x30, 0, 0, 0xffff_f030], [0x15, 0, 1, 0], [0x06, 0, 0, 5], RET_A], BYTES, 12, { hasVlan: false }), 5))

  test('A ^= X asks for nothing', () => assert.equal(a(ld(6), ldx(5), [0x20, 0, 0, 0xffff_f028]), 3))

  test('an indirect load reads none', () =>
    assert.equal(
      run(
        [
          [0x40, 0, 0, 0xffff_f004],
          [0x06, 0, 0, 5],
        ],
        BYTES,
        12,
        everything,
      ),
      0,
    ))

  test('netlink attributes are refused', () => {
    for (const number of [12, 16]) {
      const program: Instruction[] = [
        [0x20, 0, 0, 0xffff_f000 + number],
        [0x06, 0, 0, 5],
      ]
      validateProgram(program)
      assert.equal(interpret(program, BYTES, 0, 12, 12, everything), 0)
      assert.throws(() => compileMatcher(program), { code: 'INVALID_OPTION', message: /^BPF instruction 0: .*netlink/ })
    }
  })
})

test('a program that does not end, and one of unknown codes, rejects', () => {
  assert.equal(interpret([[0x00, 0, 0, 1]], BYTES, 0, 12, 12), 0)
  assert.equal(interpret([], BYTES, 0, 12, 12), 0)
})

test("as libpcap's bpf_filter(), but where the kernel differs", (t) => {
  const libpcap = openLibpcap()
  if (libpcap === undefined) return t.skip('no libpcap: install tcpdump')
  const random = seededRandom(t)
  let pairs = 0
  let accepted = 0
  for (let round = 0; round < 4000; round++) {
    // Shifts by X, sums of X and k beyond 2^32, and X: the four ways to make one large.
    const program = randomProgram(random).map((it): Instruction => {
      const [code, jt, jf, k] = it
      if (code === 0x6c || code === 0x7c) return [code - 8, jt, jf, k & 31]
      if ((code & 0xe7) === 0x40) return [code, jt, jf, k & 63]
      if (code === 0x07 || code === 0x61) return [0x01, 0, 0, 17]
      if (code === 0x01) return [code, jt, jf, k & 0xffff]
      return it
    })
    for (let round = 0; round < 10; round++) {
      const frame = randomFrame(random, 1)
      const wireLength = frame.length + (random.oneIn(2) ? 0 : random.between(1, 1000))
      const expected: number = libpcap.filter(program, frame, wireLength)
      pairs++
      if (expected !== 0) accepted++
      const shown = `${formatProgram(program, 'd')}${Buffer.from(frame).toString('hex')}, ${wireLength}`
      assert.equal(interpret(program, frame, 0, frame.length, wireLength), expected, shown)
    }
  }
  t.diagnostic(`${pairs} pairs, ${accepted} accepted`)
  assert.ok(accepted > pairs / 20 && accepted < (pairs * 19) / 20, `${accepted} of ${pairs}`)
})
