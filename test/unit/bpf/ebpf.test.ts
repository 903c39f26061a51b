import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  alu,
  alu32,
  assemble,
  call,
  disassemble,
  exit,
  jump,
  jumpIf,
  label,
  load,
  loadImmediate64,
  loadMapValue,
  type Statement,
  store,
  toBigEndian,
} from '#src/bpf/ebpf.js'

const hex = (statements: Statement[]) => Buffer.from(assemble(statements)).toString('hex')

// Golden bytes by the instruction set's standard; llvm-mc -disassemble reads them as the text beside them, map values apart.
const GOLDEN: [Statement, string, string][] = [
  [alu('mov', 'r0', 1), 'b700000001000000', 'r0 = 1'],
  [alu('mov', 'r6', 'r1'), 'bf16000000000000', 'r6 = r1'],
  [alu('add', 'r3', 54), '0703000036000000', 'r3 += 54'],
  [alu('add', 'r5', 'r3'), '0f35000000000000', 'r5 += r3'],
  [alu('add', 'r10', -8), '070a0000f8ffffff', 'r10 += -8'],
  [alu('mul', 'r8', 'r3'), '2f38000000000000', 'r8 *= r3'],
  [alu('rsh', 'r9', 32), '7709000020000000', 'r9 >>= 32'],
  [alu('lsh', 'r0', 6), '6700000006000000', 'r0 <<= 6'],
  [alu('arsh', 'r2', 1), 'c702000001000000', 'r2 s>>= 1'],
  [alu32('xor', 'r3', 'r4'), 'ac43000000000000', 'w3 ^= w4'],
  [alu32('and', 'r3', 65535), '54030000ffff0000', 'w3 &= 65535'],
  [toBigEndian('r3', 16), 'dc03000010000000', 'r3 = be16 r3'],
  [toBigEndian('r9', 32), 'dc09000020000000', 'r9 = be32 r9'],
  [load('w', 'r2', 'r1', 4), '6112040000000000', 'r2 = *(u32 *)(r1 + 4)'],
  [load('dw', 'r3', 'r7', 8), '7973080000000000', 'r3 = *(u64 *)(r7 + 8)'],
  [load('h', 'r3', 'r7', 2), '6973020000000000', 'r3 = *(u16 *)(r7 + 2)'],
  [load('b', 'r3', 'r10', -1), '71a3ffff00000000', 'r3 = *(u8 *)(r10 - 1)'],
  [store('dw', 'r10', -8, 'r1'), '7b1af8ff00000000', '*(u64 *)(r10 - 8) = r1'],
  [store('h', 'r6', 24, 'r3'), '6b36180000000000', '*(u16 *)(r6 + 24) = r3'],
  [store('w', 'r6', 26, 7), '62061a0007000000', '*(u32 *)(r6 + 26) = 7'],
  [store('b', 'r6', 23, 17), '7206170011000000', '*(u8 *)(r6 + 23) = 17'],
  [loadImmediate64('r3', 0x1122334455667788n), '18030000887766550000000044332211', 'r3 = 0x1122334455667788 ll'],
  [loadImmediate64('r1', 0xffff_ffff_ffff_ffffn), '18010000ffffffff00000000ffffffff', 'r1 = 0xffffffffffffffff ll'],
  [loadMapValue('r7', 5, 64), '18270000050000000000000040000000', 'r7 = map[fd:5][0]+64 ll'],
  [call(23), '8500000017000000', 'call 23'],
  [exit(), '9500000000000000', 'exit'],
]

describe('instructions', () => {
  for (const [statement, bytes, text] of GOLDEN) {
    test(text, () => {
      assert.equal(hex([statement]), bytes)
      assert.deepEqual(disassemble([statement]), [`0: ${text}`])
    })
  }
})

describe('labels', () => {
  test('forward and back, a 64-bit immediate counts two slots', () => {
    const program = [label('top'), jumpIf('gt', 'r3', 'r2', 'end'), loadImmediate64('r1', 1n), jumpIf('ne', 'r1', -1, 'top'), jump('end'), label('end'), exit()]
    assert.deepEqual(disassemble(program), ['0: if r3 > r2 goto +4', '1: r1 = 0x1 ll', '3: if r1 != -1 goto -4', '4: goto +0', '5: exit'])
    assert.equal(hex(program).slice(0, 16), '2d23040000000000')
    assert.equal(hex(program).slice(48, 64), '5501fcffffffffff')
  })

  test('missing, doubled and too far away', () => {
    assert.throws(() => assemble([jump('nowhere'), exit()]), { name: 'RangeError', message: 'no label nowhere' })
    assert.throws(() => assemble([label('a'), label('a'), exit()]), { name: 'RangeError', message: 'label a stands twice' })
    const far = [jump('end'), ...Array.from({ length: 32768 }, () => exit()), label('end'), exit()]
    assert.throws(() => assemble(far), { name: 'RangeError', message: /does not fit/ })
  })
})
