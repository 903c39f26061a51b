import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { encodeProgram, type Instruction, REJECT_ALL, validateProgram } from '#src/bpf/classic.js'
import { interpret } from '#src/bpf/interpret.js'
import { randomProgram } from '../../support/classic-programs.js'
import { openLibpcap } from '../../support/libpcap.js'
import { seededRandom } from '../../support/random.js'

/** The packet is its type alone. */
function run(program: readonly Instruction[], packetType: number): number {
  validateProgram(program)
  return interpret(program, new Uint8Array(0), 0, 0, 0, { packetType })
}

test('the closed gate takes nothing', () => {
  for (const type of [0, 1, 2, 3, 4]) assert.equal(run(REJECT_ALL, type), 0)
})

test('struct sock_filter, byte for byte', () => {
  const bytes = encodeProgram([
    [0x28, 0, 0, 12],
    [0x15, 255, 1, 0x0800],
    [0xffff, 0, 0, 0xffff_ffff],
  ])
  assert.deepEqual([...bytes], [0x28, 0, 0, 0, 12, 0, 0, 0, 0x15, 0, 255, 1, 0, 8, 0, 0, 0xff, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff])
  assert.equal(bytes.buffer.byteLength, 24)
})

test('1 to 4096 instructions', () => {
  const ret: Instruction = [0x06, 0, 0, 0]
  assert.equal(encodeProgram(new Array(4096).fill(ret)).length, 4096 * 8)
  for (const length of [0, 4097]) {
    assert.throws(() => encodeProgram(new Array(length).fill(ret)), { code: 'INVALID_OPTION', message: new RegExp(`1 to 4096 instructions, got ${length}`) })
  }
})

test('numbers that do not fit, by instruction', () => {
  const bad: Instruction[] = [
    [0x1_0000, 0, 0, 0],
    [-1, 0, 0, 0],
    [6, 256, 0, 0],
    [6, 0, 256, 0],
    [6, 0, 0, 2 ** 32],
    [6, 0, 0, -1],
    [6, 0, 0, 0.5],
    [6, 0, 0, Number.NaN],
  ]
  for (const instruction of bad) {
    assert.throws(() => encodeProgram([[6, 0, 0, 0], instruction]), {
      code: 'INVALID_OPTION',
      message: /^BPF instruction 1: .*does not fit struct sock_filter/,
    })
  }
})

describe('validateProgram', () => {
  const ret: Instruction = [0x06, 0, 0, 1]
  const cases: readonly [what: string, problem: RegExp | undefined, ...program: Instruction[]][] = [
    ['a return', undefined, ret],
    ['a return of A', undefined, [0x16, 0, 0, 0]],
    ['a return of X', /^BPF instruction 0: \[14, 0, 0, 0\] there is no code 0xe/, [0x0e, 0, 0, 0]],
    ['no return at the end', /^BPF instruction 1: .*must return/, ret, [0x00, 0, 0, 0]],
    ['a jump at the end', /^BPF instruction 1: .*jumps over 0 instructions where 0 follow/, ret, [0x05, 0, 0, 0]],
    ['an unknown code', /there is no code 0x100/, [0x100, 0, 0, 0], ret],
    ['a load of 64 bits', /there is no code 0x38/, [0x38, 0, 0, 0], ret],
    ['a load of seccomp data', /there is no code 0x21/, [0x21, 0, 0, 0], ret],
    ['a byte of the length', /there is no code 0x90/, [0x90, 0, 0, 0], ret],
    ['numbers that do not fit', /does not fit struct sock_filter/, [0x00, 0, 0, -1], ret],
    ['a jump to the last', undefined, [0x15, 0, 1, 5], [0x00, 0, 0, 0], ret],
    ['a jump behind the last, if true', /^BPF instruction 0: .*jumps over 2 instructions where 2 follow/, [0x15, 2, 0, 5], [0x00, 0, 0, 0], ret],
    ['a jump behind the last, if false', /jumps over 2 instructions where 2 follow/, [0x1d, 0, 2, 0], [0x00, 0, 0, 0], ret],
    ['a far jump to the last', undefined, [0x05, 0, 0, 1], [0x00, 0, 0, 0], ret],
    ['a far jump behind the last', /jumps over 2 instructions/, [0x05, 0, 0, 2], [0x00, 0, 0, 0], ret],
    ['a jump back, as libpcap makes for protochain', /jumps over 4294967295 instructions/, [0x05, 0, 0, 0xffff_ffff], ret],
    ['division by 0', /divides by 0/, [0x34, 0, 0, 0], ret],
    ['the rest of a division by 0', /divides by 0/, [0x94, 0, 0, 0], ret],
    ['division by X', undefined, [0x3c, 0, 0, 0], [0x9c, 0, 0, 0], ret],
    ['a shift by 31', undefined, [0x64, 0, 0, 31], [0x74, 0, 0, 31], ret],
    ['a shift by 32 to the left', /shifts by 32/, [0x64, 0, 0, 32], ret],
    ['a shift by 32 to the right', /shifts by 32/, [0x74, 0, 0, 32], ret],
    ['a shift by X', undefined, [0x6c, 0, 0, 99], [0x7c, 0, 0, 99], ret],
    ['memory word 15', undefined, [0x02, 0, 0, 15], [0x61, 0, 0, 15], ret],
    ['memory word 16 written', /no memory word 16, only 0 to 15/, [0x03, 0, 0, 16], ret],
    ['memory word 16 read', /no memory word 16/, [0x60, 0, 0, 16], ret],
    ['memory that was not written', /^BPF instruction 1: .*reads memory word 4,/, [0x02, 0, 0, 3], [0x60, 0, 0, 4], ret],
    ['memory written on one way only', /^BPF instruction 2: .*reads memory word 3,/, [0x15, 0, 1, 1], [0x02, 0, 0, 3], [0x60, 0, 0, 3], ret],
    ['memory written on both ways', undefined, [0x15, 0, 2, 1], [0x02, 0, 0, 3], [0x05, 0, 0, 1], [0x03, 0, 0, 3], [0x60, 0, 0, 3], ret],
    // No way leads from the return to the load, but the kernel takes it to be there.
    [
      'memory written on every way, behind a return',
      /^BPF instruction 4: .*word 3/,
      [0x15, 0, 2, 1],
      [0x02, 0, 0, 3],
      [0x05, 0, 0, 1],
      ret,
      [0x60, 0, 0, 3],
      ret,
    ],
    ['the last ancillary load', undefined, [0x28, 0, 0, 0xffff_f03c], ret],
    ['one behind it', /there is no ancillary load 64/, [0x28, 0, 0, 0xffff_f040], ret],
    ['one between', /there is no ancillary load 2/, [0x30, 0, 0, 0xffff_f002], ret],
    ['an offset before all', undefined, [0x20, 0, 0, 0xffff_efff], ret],
    ['an indirect load there', undefined, [0x40, 0, 0, 0xffff_f002], ret],
    ['the header length there', undefined, [0xb1, 0, 0, 0xffff_f002], ret],
  ]
  for (const [what, problem, ...program] of cases) {
    test(what, () => {
      if (problem === undefined) validateProgram(program)
      else assert.throws(() => validateProgram(program), { name: 'CaptureError', code: 'INVALID_OPTION', message: problem })
    })
  }

  test('1 to 4096 instructions', () => {
    validateProgram(new Array(4096).fill(ret))
    for (const length of [0, 4097]) assert.throws(() => validateProgram(new Array(length).fill(ret)), { message: new RegExp(`got ${length}$`) })
  })

  test('what it takes, libpcap takes', (t) => {
    const libpcap = openLibpcap()
    if (libpcap === undefined) return t.skip('no libpcap: install tcpdump')
    const random = seededRandom(t)
    let refused = 0
    for (let round = 0; round < 5000; round++) {
      const program = randomProgram(random)
      validateProgram(program)
      assert.ok(libpcap.validate(program), JSON.stringify(program))
      const at = random.between(0, program.length - 1)
      const broken = program.with(at, program[at].with(random.pick([0, 0, 1, 2, 3]), random.between(0, 255)) as unknown as Instruction)
      try {
        validateProgram(broken)
      } catch {
        refused++
        continue
      }
      assert.ok(libpcap.validate(broken), JSON.stringify(broken))
    }
    assert.ok(refused > 500, `${refused}`)
  })
})
