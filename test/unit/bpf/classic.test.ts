import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { acceptProgram, encodeProgram, type Instruction, REJECT_ALL } from '#src/bpf/classic.js'

/** As much of classic BPF as these programs use; the packet is its type alone. */
function run(program: readonly Instruction[], packetType: number): number {
  let a = 0
  for (let pc = 0; pc < program.length; pc++) {
    const [code, jt, jf, k] = program[pc]
    if (code === 0x20) {
      assert.equal(k, 0xffff_f004, 'SKF_AD_OFF + SKF_AD_PKTTYPE')
      a = packetType
    } else if (code === 0x15) pc += a === k ? jt : jf
    else if (code === 0x06) return k
    else assert.fail(`instruction ${code}`)
  }
  return assert.fail('ran off the end')
}

describe('acceptProgram', () => {
  const types = [0, 1, 2, 3, 4]
  for (const [direction, taken] of [
    ['in', [0, 1, 2, 3]],
    ['out', [4]],
    ['inout', types],
  ] as const) {
    test(`${direction} takes types ${taken.join(', ')}`, () => {
      const program = acceptProgram(96, direction)
      for (const type of types) assert.equal(run(program, type), (taken as readonly number[]).includes(type) ? 96 : 0, `type ${type}`)
    })
  }

  test('the snap length is an unsigned word', () => {
    assert.equal(run(acceptProgram(262_144, 'inout'), 0), 262_144)
    assert.equal(encodeProgram(acceptProgram(0xffff_ffff, 'inout')).length, 8)
  })
})

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
