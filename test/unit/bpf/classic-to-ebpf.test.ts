import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { describe, test } from 'node:test'
import { type Instruction, validateProgram } from '#src/bpf/classic.js'
import { formatProgram } from '#src/bpf/classic-text.js'
import { filterToXdp } from '#src/bpf/classic-to-ebpf.js'
import { alu, assemble, disassemble, exit, jump, label, resolve } from '#src/bpf/ebpf.js'
import { type Ancillary, interpret } from '#src/bpf/interpret.js'
import { BPF_FUNC_xdp_load_bytes } from '#src/kernel/abi/ebpf.js'
import { EXPRESSIONS, randomExpression, randomProgram, tcpdumpProgram } from '../../support/classic-programs.js'
import { randomFrame } from '../../support/filter-packets.js'
import { assertGolden } from '../../support/golden.js'
import { type Random, randomOf, seededRandom } from '../../support/random.js'
import { runXdp, type XdpFrame } from '../../support/xdp.js'
import { ACCEPTED, REJECTED, verdictProgram } from '../../support/xdp-filter.js'

/** `tcpdump -ddd 'tcp port 80'`. */
const TCP_PORT_80: readonly Instruction[] = [
  [40, 0, 0, 12],
  [21, 0, 6, 34525],
  [48, 0, 0, 20],
  [21, 0, 15, 6],
  [40, 0, 0, 54],
  [21, 12, 0, 80],
  [40, 0, 0, 56],
  [21, 10, 11, 80],
  [21, 0, 10, 2048],
  [48, 0, 0, 23],
  [21, 0, 8, 6],
  [40, 0, 0, 20],
  [69, 6, 0, 8191],
  [177, 0, 0, 14],
  [72, 0, 0, 14],
  [21, 2, 0, 80],
  [72, 0, 0, 16],
  [21, 0, 1, 80],
  [6, 0, 0, 262144],
  [6, 0, 0, 0],
]

test('a program, line by line', () => {
  assertGolden('unit/bpf/golden/filter.txt', disassemble(verdictProgram(TCP_PORT_80, false)))
  assertGolden('unit/bpf/golden/filter-multi-buffer.txt', disassemble(verdictProgram(TCP_PORT_80, true)))
})

function verdict(filter: readonly Instruction[], options: XdpFrame, multiBuffer = false): boolean {
  validateProgram(filter)
  const answer = runXdp(assemble(verdictProgram(filter, multiBuffer)), options)
  assert.ok(answer === ACCEPTED || answer === REJECTED)
  return answer === ACCEPTED
}

/** What XDP knows, as ancillary data for the interpreter. */
function ancillaryOf(frame: Uint8Array, { interfaceIndex, queue, cpu, random }: XdpFrame): Ancillary {
  const type = (frame[12] << 8) | frame[13]
  const isBroadcast = frame.subarray(0, 6).every((byte) => byte === 0xff)
  return {
    protocol: type >= 0x0600 ? type : frame[14] === 0xff && frame[15] === 0xff ? 1 : 4,
    packetType: isBroadcast ? 1 : (frame[0] & 1) !== 0 ? 2 : 0,
    interfaceIndex: interfaceIndex ?? 0,
    queue: (queue ?? 0) + 1,
    cpu: cpu ?? 0,
    random: random ?? 0,
  }
}

const ANSWERED = [0, 4, 8, 24, 36, 40, 56]

/** Compares on so many frames, in several buffers as well; answers how many were accepted. */
function assertSame(random: Random, filter: readonly Instruction[], frames: number, what = ''): number {
  const single = assemble(verdictProgram(filter, false))
  const multi = assemble(verdictProgram(filter, true))
  let accepted = 0
  for (let round = 0; round < frames; round++) {
    const frame = randomFrame(random, 14)
    const options: XdpFrame = { frame, interfaceIndex: random.word(), queue: random.between(0, 7), cpu: random.between(0, 3), random: random.word() }
    const expected = interpret(filter, frame, 0, frame.length, frame.length, ancillaryOf(frame, options)) !== 0
    if (expected) accepted++
    const firstBytes = random.oneIn(2) ? frame.length : random.between(14, frame.length)
    const answers = [runXdp(single, options), runXdp(multi, { ...options, firstBytes })]
    const right = expected ? ACCEPTED : REJECTED
    if (answers.every((answer) => answer === right)) continue
    const shown = `${what}\n${formatProgram(filter, 'd')}${firstBytes} of ${Buffer.from(frame).toString('hex')}`
    assert.deepEqual(answers, [right, right], `${shown}\n${disassemble(verdictProgram(filter, answers[0] === right)).join('\n')}`)
  }
  return accepted
}

describe('answers what the interpreter answers', () => {
  test('random programs', (t) => {
    const random = seededRandom(t)
    const programs = 1000
    const frames = 8
    let accepted = 0
    for (let round = 0; round < programs; round++) {
      const filter = randomProgram(random, { ancillary: ANSWERED, headerOffsets: true })
      accepted += assertSame(random, filter, frames)
    }
    t.diagnostic(`${programs * frames} pairs, each twice, ${accepted} accepted`)
    assert.ok(accepted > (programs * frames) / 20 && accepted < (programs * frames * 19) / 20, `${accepted}`)
  })

  test("tcpdump's programs", (t) => {
    if (spawnSync('tcpdump', ['--version']).status !== 0 && process.env.CI !== 'true') return t.skip('no tcpdump')
    const random = seededRandom(t)
    let programs = 0
    let accepted = 0
    for (const expression of [...EXPRESSIONS, ...Array.from({ length: 40 }, () => randomExpression(random))]) {
      const filter = tcpdumpProgram(expression)
      if (filter === undefined) continue
      try {
        validateProgram(filter)
      } catch {
        continue
      }
      programs++
      accepted += assertSame(random, filter, 40, expression)
    }
    t.diagnostic(`${programs} programs, ${programs * 40} pairs, each twice, ${accepted} accepted`)
    assert.ok(programs > 80 && accepted > programs * 2, `${programs} ${accepted}`)
  })
})

describe('what XDP knows beside the bytes', () => {
  const is = (number: number, value: number): Instruction[] => [
    [0x20, 0, 0, 0xffff_f000 + number],
    [0x15, 0, 1, value],
    [0x06, 0, 0, 1],
    [0x06, 0, 0, 0],
  ]
  const frame = (type: readonly number[], destination: readonly number[] = [2, 0, 0, 0, 0, 1]) => {
    const bytes = new Uint8Array(60)
    bytes.set(destination)
    bytes.set(type, 12)
    return bytes
  }

  test('interface, queue, CPU, random', () => {
    const options = { frame: frame([8, 0]), interfaceIndex: 7, queue: 2, cpu: 5, random: 0xcafe_f00d }
    for (const [number, value] of [
      [8, 7],
      [24, 3],
      [36, 5],
      [56, 0xcafe_f00d],
    ] as const) {
      assert.equal(verdict(is(number, value), options), true, `${number}`)
      assert.equal(verdict(is(number, value + 1), options), false)
    }
  })

  test('the protocol', () => {
    for (const [type, protocol] of [
      [[8, 0], 0x0800],
      [[0x81, 0], 0x8100],
      [[6, 0], 0x0600],
      [[5, 0xff, 0xff, 0xfe], 4],
      [[0, 40, 0xff, 0xff], 1],
      [[0, 40, 0x42, 0x42], 4],
    ] as const) {
      assert.equal(verdict(is(0, protocol), { frame: frame(type) }), true, `${type}`)
    }
    assert.equal(verdict(is(0, 4), { frame: frame([0, 0]).slice(0, 15) }), true)
  })

  test('the packet type', () => {
    for (const [destination, type] of [
      [[2, 0, 0, 0, 0, 1], 0],
      [[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff], 0],
      [[0xff, 0xff, 0xff, 0xff, 0xff, 0xff], 1],
      [[0xff, 0xff, 0xff, 0xff, 0xff, 0xfe], 2],
      [[0xff, 0xff, 0xff, 0xfe, 0xff, 0xff], 2],
      [[1, 0, 0x5e, 0, 0, 1], 2],
    ] as const) {
      assert.equal(verdict(is(4, type), { frame: frame([8, 0], destination) }), true, `${destination}`)
    }
  })

  test('a call forgets where X points to', () => {
    const filter: Instruction[] = [
      [0xb1, 0, 0, 14],
      [0x50, 0, 0, 20],
      [0x02, 0, 0, 0],
      [0x20, 0, 0, 0xffff_f038],
      [0x50, 0, 0, 19],
      [0x16, 0, 0, 0],
    ]
    const packet = frame([8, 0, 0x45])
    packet[39] = 9
    assert.equal(verdict(filter, { frame: packet, random: 1 }), true)
  })
})

describe('is refused', () => {
  const refused = (instruction: Instruction, message: RegExp) =>
    assert.throws(() => filterToXdp([[0x28, 0, 0, 12], instruction, [0x06, 0, 0, 1]], { accept: 'a', reject: 'r' }), {
      name: 'CaptureError',
      code: 'INVALID_OPTION',
      message,
    })

  test('a look at a tag that the kernel took out', () => {
    for (const number of [44, 48, 60]) refused([0x30, 0, 0, 0xffff_f000 + number], /^BPF instruction 1: XDP sees a VLAN tag in the packet/)
  })

  test('what XDP does not know', () => {
    for (const number of [20, 28, 32, 52]) refused([0x20, 0, 0, 0xffff_f000 + number], /^BPF instruction 1: XDP does not know/)
    for (const number of [12, 16]) refused([0x20, 0, 0, 0xffff_f000 + number], /^BPF instruction 1: .*netlink/)
  })

  test('what is no program', () => {
    refused([0x05, 0, 0, 9], /jumps over/)
    assert.throws(() => filterToXdp([], { accept: 'a', reject: 'r' }), { code: 'INVALID_OPTION' })
  })

  test('what would be too long for jumps, with the reason', () => {
    const far: Instruction[] = Array.from({ length: 1365 }, () => [
      [0x20, 0, 0, 0],
      [0x07, 0, 0, 0],
      [0x40, 0, 0, 5],
    ]).flat() as unknown as Instruction[]
    const program: Instruction[] = [...far, [0x16, 0, 0, 0]]
    resolve([label('r'), label('a'), ...filterToXdp(program, { accept: 'a', reject: 'r' })])
    assert.throws(() => filterToXdp(program, { accept: 'a', reject: 'r', multiBuffer: true }), {
      code: 'INVALID_OPTION',
      message: /^The filter of 4096 BPF instructions becomes \d+ of eBPF, and jumps in it reach 32000$/,
      hint: /shorter filter/,
    })
  })
})

test('what accepts all or nothing jumps to one label only', () => {
  const targets = (filter: Instruction[]) => new Set(filterToXdp(filter, { accept: 'a', reject: 'r' }).flatMap((it) => ('target' in it ? [it.target] : [])))
  assert.deepEqual(targets([[0x06, 0, 0, 5]]), new Set(['a']))
  assert.deepEqual(
    targets([
      [0x28, 0, 0, 12],
      [0x06, 0, 0, 0],
    ]),
    new Set(['r']),
  )
  assert.deepEqual(
    targets([
      [0x28, 0, 0, 12],
      [0x06, 0, 0, 5],
    ]),
    new Set(['a', 'r']),
  )
  // Behind all that a frame can have.
  assert.deepEqual(
    targets([
      [0x28, 0, 0, 0xffff],
      [0x06, 0, 0, 5],
    ]),
    new Set(['r']),
  )
  assert.deepEqual(
    targets([
      [0x48, 0, 0, 0xffff],
      [0x06, 0, 0, 5],
    ]),
    new Set(['r']),
  )
})

test('the context is still in r6, and the stack below byte -72 is left alone', () => {
  const filter = filterToXdp(TCP_PORT_80, { accept: 'end', reject: 'end', multiBuffer: true })
  const code = assemble([alu('mov', 'r6', 'r1'), ...filter, label('end'), alu('mov', 'r0', 'r6'), exit()])
  assert.equal(runXdp(code, { frame: new Uint8Array(60) }), 0x1000)
  for (const it of resolve([...filter, label('end')])) if ((it.code & 7) === 3 && it.destination === 10) assert.ok(it.offset >= -72)
})

test('a frame in one buffer is not fetched in pieces, and a short one is rejected without', () => {
  const code = assemble(verdictProgram(TCP_PORT_80, true))
  const helpers = { [BPF_FUNC_xdp_load_bytes]: () => assert.fail('fetched') }
  const frame = new Uint8Array(60)
  frame.set([8, 0, 0x45], 12)
  frame[23] = 6
  frame[37] = 80
  assert.equal(runXdp(code, { frame, helpers }), ACCEPTED)
  for (let length = 14; length < 38; length++) assert.equal(runXdp(code, { frame: frame.slice(0, length), helpers }), REJECTED)
  assert.throws(() => runXdp(code, { frame, firstBytes: 30, helpers }), /fetched/)
})

test('no way leads out of the end', () => {
  const random = randomOf(7)
  for (let round = 0; round < 200; round++) {
    for (const multiBuffer of [false, true]) {
      const statements = filterToXdp(randomProgram(random), { accept: 'a', reject: 'r', multiBuffer })
      const last = statements.at(-1)
      assert.ok(last !== undefined && 'target' in last && last.code === (jump('a') as { code: number }).code)
    }
  }
})
