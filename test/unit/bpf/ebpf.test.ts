import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  type AluOperation,
  alu,
  alu32,
  assemble,
  atomicAdd,
  type Condition,
  call,
  callKernelFunction,
  disassemble,
  exit,
  jump,
  jumpIf,
  jumpIf32,
  label,
  load,
  loadAbsolute,
  loadImmediate64,
  loadIndirect,
  loadMap,
  loadMapValue,
  negate,
  type Register,
  resolve,
  type Size,
  type Statement,
  store,
  toBigEndian,
  toLittleEndian,
} from '#src/bpf/ebpf.js'
import { interpret } from '../../support/ebpf-interpreter.js'
import { type Random, seededRandom } from '../../support/random.js'

const MAPS = { state: 5, xsks: 0x1234 }
const hex = (statements: Statement[]) => Buffer.from(assemble(statements, MAPS)).toString('hex')

// Golden bytes by the instruction set's standard; llvm-mc -disassemble reads them as the text beside them, maps and skb[] apart.
const GOLDEN: [Statement, string, string][] = [
  [alu('mov', 'r0', 1), 'b700000001000000', 'r0 = 1'],
  [alu('mov', 'r6', 'r1'), 'bf16000000000000', 'r6 = r1'],
  [alu('add', 'r3', 54), '0703000036000000', 'r3 += 54'],
  [alu('add', 'r5', 'r3'), '0f35000000000000', 'r5 += r3'],
  [alu('add', 'r10', -8), '070a0000f8ffffff', 'r10 += -8'],
  [alu('sub', 'r1', 'r2'), '1f21000000000000', 'r1 -= r2'],
  [alu('mul', 'r8', 'r3'), '2f38000000000000', 'r8 *= r3'],
  [alu('div', 'r8', 10), '370800000a000000', 'r8 /= 10'],
  [alu('mod', 'r8', 'r9'), '9f98000000000000', 'r8 %= r9'],
  [alu('or', 'r1', 0x7fffffff), '47010000ffffff7f', 'r1 |= 2147483647'],
  [alu('rsh', 'r9', 32), '7709000020000000', 'r9 >>= 32'],
  [alu('lsh', 'r0', 6), '6700000006000000', 'r0 <<= 6'],
  [alu('arsh', 'r2', 1), 'c702000001000000', 'r2 s>>= 1'],
  [alu32('mov', 'r3', 0xffff_ffff), 'b4030000ffffffff', 'w3 = -1'],
  [alu32('xor', 'r3', 'r4'), 'ac43000000000000', 'w3 ^= w4'],
  [alu32('and', 'r3', 65535), '54030000ffff0000', 'w3 &= 65535'],
  [negate('r4'), '8704000000000000', 'r4 = -r4'],
  [toBigEndian('r3', 16), 'dc03000010000000', 'r3 = be16 r3'],
  [toBigEndian('r9', 32), 'dc09000020000000', 'r9 = be32 r9'],
  [toLittleEndian('r9', 64), 'd409000040000000', 'r9 = le64 r9'],
  [load('w', 'r2', 'r1', 4), '6112040000000000', 'r2 = *(u32 *)(r1 + 4)'],
  [load('dw', 'r3', 'r7', 8), '7973080000000000', 'r3 = *(u64 *)(r7 + 8)'],
  [load('h', 'r3', 'r7', 2), '6973020000000000', 'r3 = *(u16 *)(r7 + 2)'],
  [load('b', 'r3', 'r10', -1), '71a3ffff00000000', 'r3 = *(u8 *)(r10 - 1)'],
  [store('dw', 'r10', -8, 'r1'), '7b1af8ff00000000', '*(u64 *)(r10 - 8) = r1'],
  [store('h', 'r6', 24, 'r3'), '6b36180000000000', '*(u16 *)(r6 + 24) = r3'],
  [store('w', 'r6', 26, 7), '62061a0007000000', '*(u32 *)(r6 + 26) = 7'],
  [store('b', 'r6', 23, 17), '7206170011000000', '*(u8 *)(r6 + 23) = 17'],
  [atomicAdd('dw', 'r0', 8, 'r1'), 'db10080000000000', 'lock *(u64 *)(r0 + 8) += r1'],
  [atomicAdd('w', 'r10', -4, 'r9'), 'c39afcff00000000', 'lock *(u32 *)(r10 - 4) += r9'],
  [loadAbsolute('h', 12), '280000000c000000', 'r0 = *(u16 *)skb[12]'],
  [loadAbsolute('w', -0x1000), '2000000000f0ffff', 'r0 = *(u32 *)skb[-4096]'],
  [loadIndirect('b', 'r7', 14), '507000000e000000', 'r0 = *(u8 *)skb[r7 + 14]'],
  [loadImmediate64('r3', 0x1122334455667788n), '18030000887766550000000044332211', 'r3 = 0x1122334455667788 ll'],
  [loadImmediate64('r1', 0xffff_ffff_ffff_ffffn), '18010000ffffffff00000000ffffffff', 'r1 = 0xffffffffffffffff ll'],
  [loadImmediate64('r1', -1n), '18010000ffffffff00000000ffffffff', 'r1 = 0xffffffffffffffff ll'],
  [loadMap('r1', 'xsks'), '18110000341200000000000000000000', 'r1 = map[xsks] ll'],
  [loadMapValue('r7', 'state', 64), '18270000050000000000000040000000', 'r7 = map[state][0]+64 ll'],
  [loadMapValue('r7', 'state', 0xffff_fff8), '182700000500000000000000f8ffffff', 'r7 = map[state][0]+4294967288 ll'],
  [call(23), '8500000017000000', 'call 23'],
  [callKernelFunction(66150), '8520000066020100', 'call kernel#66150'],
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

  test('32 bits', () => {
    const program = [jumpIf32('eq', 'r1', 0xffff_ffff, 'end'), jumpIf32('sle', 'r1', 'r2', 'end'), label('end'), exit()]
    assert.deepEqual(disassemble(program), ['0: if w1 == -1 goto +1', '1: if w1 s<= w2 goto +0', '2: exit'])
    assert.equal(hex(program).slice(0, 32), '16010100ffffffffde21000000000000')
  })

  test('missing, doubled and too far away', () => {
    assert.throws(() => assemble([jump('nowhere'), exit()]), { name: 'RangeError', message: 'no label nowhere' })
    assert.throws(() => assemble([label('a'), label('a'), exit()]), { name: 'RangeError', message: 'label a stands twice' })
    const far = [jump('end'), ...Array.from({ length: 32768 }, () => exit()), label('end'), exit()]
    assert.throws(() => assemble(far), { name: 'RangeError', message: 'label end is 32768 slots away, which does not fit 16 bits' })
    assert.doesNotThrow(() => assemble([jump('end'), ...far.slice(2)]))
  })
})

describe('maps', () => {
  const program = [loadMap('r1', 'xsks'), loadMapValue('r2', 'state', 0), exit()]

  test('a name becomes the descriptor that is given for it', () => {
    assert.equal(Buffer.from(assemble(program, { state: 9, xsks: 8 })).readInt32LE(4), 8)
    assert.equal(Buffer.from(assemble(program, { state: 9, xsks: 8 })).readInt32LE(20), 9)
  })

  test('a name without one', () => {
    assert.throws(() => assemble(program), { name: 'RangeError', message: 'no descriptor for map xsks, only for none' })
    assert.throws(() => assemble(program, { xsks: 1, other: 2 }), { name: 'RangeError', message: 'no descriptor for map state, only for xsks, other' })
    assert.throws(() => assemble([loadMap('r1', 'constructor')], {}), { name: 'RangeError', message: /no descriptor for map constructor/ })
    assert.throws(() => assemble(program, { xsks: -1, state: 1 }), { name: 'RangeError', message: /^descriptor of map xsks -1 is no whole number/ })
  })
})

describe('what does not fit', () => {
  const cases: readonly [string, () => unknown, RegExp][] = [
    [
      'an immediate that 64 bits would read as negative',
      () => alu('mov', 'r1', 2 ** 31),
      /^immediate 2147483648 is no whole number from -2147483648 to 2147483647$/,
    ],
    ['an immediate below', () => alu('add', 'r1', -(2 ** 31) - 1), /^immediate -2147483649/],
    ['an immediate of 33 bits', () => alu32('mov', 'r1', 2 ** 32), /^immediate 4294967296 .* to 4294967295$/],
    ['a fraction', () => alu32('mov', 'r1', 0.5), /^immediate 0.5/],
    ['NaN', () => jumpIf('eq', 'r1', Number.NaN, 'a'), /^immediate NaN/],
    ['a comparison of 64 bits', () => jumpIf('eq', 'r1', 0xffff_ffff, 'a'), /^immediate 4294967295/],
    ['a comparison of 32 bits', () => jumpIf32('eq', 'r1', 2 ** 32, 'a'), /^immediate 4294967296/],
    ['a store of a byte', () => store('b', 'r1', 0, 256), /^immediate 256 .* from -128 to 255$/],
    ['a store of 16 bits', () => store('h', 'r1', 0, -32769), /^immediate -32769/],
    ['a store of 32 bits', () => store('w', 'r1', 0, 2 ** 32), /^immediate 4294967296/],
    ['a store of 64 bits', () => store('dw', 'r1', 0, 2 ** 31), /^immediate 2147483648/],
    ['an offset', () => load('w', 'r1', 'r2', 32768), /^offset 32768 is no whole number from -32768 to 32767$/],
    ['an offset below', () => store('w', 'r1', -32769, 'r2'), /^offset -32769/],
    ['an offset into a map', () => loadMapValue('r1', 'state', -1), /^offset -1/],
    ['65 bits', () => loadImmediate64('r1', 2n ** 64n), /^immediate 18446744073709551616 does not fit 64 bits$/],
    ['64 bits below', () => loadImmediate64('r1', -(2n ** 63n) - 1n), /^immediate -9223372036854775809/],
    ['a helper', () => call(-1), /^helper -1/],
    ['a kernel function', () => callKernelFunction(0), /^kernel function 0 is no whole number from 1 to 2147483647$/],
    ['a register', () => alu('mov', 'r11' as Register, 0), /^no register r11$/],
    ['a register', () => alu('mov', 'r0', 'r01' as Register), /^no register r01$/],
  ]
  for (const [name, make, message] of cases) test(name, () => assert.throws(make, { name: 'RangeError', message }))

  test('the last that does', () => {
    assert.equal(hex([alu('mov', 'r1', -(2 ** 31))]), 'b701000000000080')
    assert.equal(hex([alu32('mov', 'r1', 2 ** 32 - 1)]), 'b4010000ffffffff')
    assert.equal(hex([store('b', 'r1', -32768, 255)]), '72010080ff000000')
    assert.equal(hex([store('h', 'r1', 32767, 65535)]), '6a01ff7fffff0000')
  })
})

const REGISTERS: readonly Register[] = ['r0', 'r1', 'r2', 'r3', 'r4', 'r5', 'r6', 'r7', 'r8', 'r9', 'r10']
const ALU: readonly AluOperation[] = ['add', 'sub', 'mul', 'div', 'or', 'and', 'lsh', 'rsh', 'mod', 'xor', 'mov', 'arsh']
const CONDITIONS: readonly Condition[] = ['eq', 'gt', 'ge', 'set', 'ne', 'sgt', 'sge', 'lt', 'le', 'slt', 'sle']
const SIZES: readonly Size[] = ['b', 'h', 'w', 'dw']

function anyStatement(random: Random, target: () => string): Statement {
  const register = () => random.pick(REGISTERS)
  const signed = () => random.word() | 0
  const offset = () => random.between(-32768, 32767)
  const operand = () => (random.oneIn(2) ? register() : signed())
  const size = () => random.pick(SIZES)
  const bits = () => random.pick([16, 32, 64] as const)
  const makers: readonly (() => Statement)[] = [
    () => alu(random.pick(ALU), register(), operand()),
    () => alu32(random.pick(ALU), register(), random.oneIn(2) ? register() : random.word()),
    () => negate(register()),
    () => toBigEndian(register(), bits()),
    () => toLittleEndian(register(), bits()),
    () => load(size(), register(), register(), offset()),
    () => store(size(), register(), offset(), random.oneIn(2) ? register() : random.between(-128, 127)),
    () => atomicAdd(random.pick(['w', 'dw'] as const), register(), offset(), register()),
    () => loadAbsolute(random.pick(['b', 'h', 'w'] as const), signed()),
    () => loadIndirect(random.pick(['b', 'h', 'w'] as const), register(), signed()),
    () => loadImmediate64(register(), (BigInt(random.word()) << 32n) | BigInt(random.word())),
    () => loadMap(register(), random.pick(['state', 'xsks'])),
    () => loadMapValue(register(), random.pick(['state', 'xsks']), random.word()),
    () => jump(target()),
    () => jumpIf(random.pick(CONDITIONS), register(), operand(), target()),
    () => jumpIf32(random.pick(CONDITIONS), register(), operand(), target()),
    () => call(random.between(0, 300)),
    () => callKernelFunction(random.between(1, 2 ** 20)),
    () => exit(),
  ]
  return random.pick(makers)()
}

const SIGNS = new Map(
  Object.entries({ '+=': 0, '-=': 1, '*=': 2, '/=': 3, '|=': 4, '&=': 5, '<<=': 6, '>>=': 7, '%=': 9, '^=': 10, '=': 11, 's>>=': 12 }).map(([sign, code]) => [
    sign,
    code << 4,
  ]),
)
const JUMPS = new Map(
  Object.entries({ '==': 1, '>': 2, '>=': 3, '&': 4, '!=': 5, 's>': 6, 's>=': 7, '<': 10, '<=': 11, 's<': 12, 's<=': 13 }).map(([sign, code]) => [
    sign,
    code << 4,
  ]),
)
const WIDTHS = new Map(Object.entries({ u32: 0, u16: 8, u8: 0x10, u64: 0x18 }))

/** The bytes that a line of disassembly stands for, written from the standard. */
function encodeText(text: string): string {
  const slot = (code: number, d = 0, s = 0, offset = 0, immediate = 0) => {
    const bytes = Buffer.alloc(8)
    bytes.writeUInt8(code, 0)
    bytes.writeUInt8(d | (s << 4), 1)
    bytes.writeInt16LE(offset, 2)
    bytes.writeInt32LE(immediate | 0, 4)
    return bytes.toString('hex')
  }
  const isRegister = (operand: string) => /^[rw]\d+$/.test(operand)
  const numberOf = (operand: string) => Number(operand.replace(/^[rw+]/, '').replace(' ', ''))
  const patterns: readonly [RegExp, (...groups: string[]) => string][] = [
    [/^exit$/, () => slot(0x95)],
    [/^call kernel#(\d+)$/, (id) => slot(0x85, 0, 2, 0, Number(id))],
    [/^call (\d+)$/, (helper) => slot(0x85, 0, 0, 0, Number(helper))],
    [/^goto ([+-]\d+)$/, (distance) => slot(0x05, 0, 0, Number(distance))],
    [
      /^if ([rw])(\d+) (\S+) (\S+) goto ([+-]\d+)$/,
      (width, left, sign, right, distance) => {
        const code = (width === 'r' ? 5 : 6) | (JUMPS.get(sign) as number)
        return isRegister(right)
          ? slot(code | 8, Number(left), numberOf(right), Number(distance))
          : slot(code, Number(left), 0, Number(distance), Number(right))
      },
    ],
    [/^r(\d+) = -r\1$/, (d) => slot(0x87, Number(d))],
    [/^r(\d+) = (be|le)(\d+) r\1$/, (d, end, bits) => slot(end === 'be' ? 0xdc : 0xd4, Number(d), 0, 0, Number(bits))],
    [/^r0 = \*\((\w+) \*\)skb\[(-?\d+)\]$/, (size, at) => slot(0x20 | (WIDTHS.get(size) as number), 0, 0, 0, Number(at))],
    [/^r0 = \*\((\w+) \*\)skb\[r(\d+) \+ (-?\d+)\]$/, (size, index, at) => slot(0x40 | (WIDTHS.get(size) as number), 0, Number(index), 0, Number(at))],
    [
      /^r(\d+) = \*\((\w+) \*\)\(r(\d+) ([+-] \d+)\)$/,
      (d, size, base, offset) => slot(0x61 | (WIDTHS.get(size) as number), Number(d), Number(base), numberOf(offset)),
    ],
    [
      /^lock \*\((\w+) \*\)\(r(\d+) ([+-] \d+)\) \+= r(\d+)$/,
      (size, base, offset, s) => slot(0xc3 | (WIDTHS.get(size) as number), Number(base), Number(s), numberOf(offset)),
    ],
    [
      /^\*\((\w+) \*\)\(r(\d+) ([+-] \d+)\) = (\S+)$/,
      (size, base, offset, operand) => {
        const width = WIDTHS.get(size) as number
        return isRegister(operand)
          ? slot(0x63 | width, Number(base), numberOf(operand), numberOf(offset))
          : slot(0x62 | width, Number(base), 0, numberOf(offset), Number(operand))
      },
    ],
    [/^r(\d+) = map\[(\w+)\] ll$/, (d, name) => slot(0x18, Number(d), 1, 0, MAPS[name as 'state']) + slot(0)],
    [/^r(\d+) = map\[(\w+)\]\[0\]\+(\d+) ll$/, (d, name, offset) => slot(0x18, Number(d), 2, 0, MAPS[name as 'state']) + slot(0, 0, 0, 0, Number(offset))],
    [
      /^r(\d+) = 0x([0-9a-f]+) ll$/,
      (d, value) => {
        const bits = BigInt(`0x${value}`)
        return slot(0x18, Number(d), 0, 0, Number(bits & 0xffff_ffffn)) + slot(0, 0, 0, 0, Number(bits >> 32n))
      },
    ],
    [
      /^([rw])(\d+) (\S+) (\S+)$/,
      (width, d, sign, operand) => {
        const code = (width === 'r' ? 7 : 4) | (SIGNS.get(sign) as number)
        return isRegister(operand) ? slot(code | 8, Number(d), numberOf(operand)) : slot(code, Number(d), 0, 0, Number(operand))
      },
    ],
  ]
  for (const [pattern, encode] of patterns) {
    const match = pattern.exec(text)
    if (match !== null) return encode(...match.slice(1))
  }
  throw new Error(`no such instruction: ${text}`)
}

test('random programs: the text says all that the code does', (t) => {
  const random = seededRandom(t)
  for (let round = 0; round < 300; round++) {
    const length = random.between(1, 60)
    const program: Statement[] = []
    for (let i = 0; i < length; i++) {
      program.push(label(`l${i}`))
      program.push(anyStatement(random, () => `l${random.between(0, length - 1)}`))
    }
    const lines = disassemble(program)
    const expected: string[] = []
    const starts = new Set<number>()
    for (const line of lines) {
      const [, slot, text] = /^(\d+): (.*)$/.exec(line) as unknown as [string, string, string]
      starts.add(Number(slot))
      expected.push(encodeText(text))
    }
    assert.equal(hex(program), expected.join(''), lines.join('\n'))
    assert.equal(lines.length, length)
    for (const line of lines) {
      const jumped = /^(\d+): .*goto ([+-]\d+)$/.exec(line)
      if (jumped !== null) assert.ok(starts.has(Number(jumped[1]) + 1 + Number(jumped[2])), line)
    }
    assert.equal(resolve(program).length, length)
  }
})

test('the instructions mean what their names say', () => {
  const answer = (...statements: Statement[]) => interpret({ code: assemble([...statements, exit()]), context: 0n, memory: [] })
  assert.equal(answer(alu('mov', 'r0', -1)), 2n ** 64n - 1n)
  assert.equal(answer(alu32('mov', 'r0', 0xffff_ffff)), 2n ** 32n - 1n)
  assert.equal(answer(alu('mov', 'r0', 5), negate('r0')), 2n ** 64n - 5n)
  assert.equal(answer(loadImmediate64('r0', 0x1122334455667788n), toBigEndian('r0', 16)), 0x8877n)
  assert.equal(answer(loadImmediate64('r0', 0x1122334455667788n), toLittleEndian('r0', 32)), 0x55667788n)
  assert.equal(answer(alu('mov', 'r1', 3), store('dw', 'r10', -8, 4), atomicAdd('dw', 'r10', -8, 'r1'), load('dw', 'r0', 'r10', -8)), 7n)
  assert.equal(answer(alu('mov', 'r0', 1), alu('mov', 'r1', -1), jumpIf32('sgt', 'r1', 0, 'end'), alu('mov', 'r0', 2), label('end')), 2n)
})
