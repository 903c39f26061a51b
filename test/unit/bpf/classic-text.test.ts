import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { describe, test } from 'node:test'
import type { Instruction } from '#src/bpf/classic.js'
import { formatInstruction, formatProgram, parseProgram } from '#src/bpf/classic-text.js'
import { EXPRESSIONS, randomExpression, randomProgram, tcpdumpText } from '../../support/classic-programs.js'
import { openLibpcap } from '../../support/libpcap.js'
import { seededRandom } from '../../support/random.js'

const hasTcpdump = spawnSync('tcpdump', ['--version']).status === 0 || process.env.CI === 'true'
const skip = hasTcpdump ? false : 'no tcpdump'

const PROGRAM: readonly Instruction[] = [
  [0x28, 0, 0, 12],
  [0x15, 0, 3, 0x0800],
  [0x30, 0, 0, 0xffff_f030],
  [0x45, 1, 0, 0x1fff],
  [0x06, 0, 0, 262_144],
  [0x06, 0, 0, 0],
]

test('the three styles', () => {
  assert.equal(
    formatProgram(PROGRAM, 'd'),
    '(000) ldh      [12]\n(001) jeq      #0x800           jt 2\tjf 5\n(002) ldb      [vlanp]\n(003) jset     #0x1fff          jt 5\tjf 4\n(004) ret      #262144\n(005) ret      #0\n',
  )
  assert.equal(
    formatProgram(PROGRAM, 'dd'),
    '{ 0x28, 0, 0, 0x0000000c },\n{ 0x15, 0, 3, 0x00000800 },\n{ 0x30, 0, 0, 0xfffff030 },\n{ 0x45, 1, 0, 0x00001fff },\n{ 0x6, 0, 0, 0x00040000 },\n{ 0x6, 0, 0, 0x00000000 },\n',
  )
  assert.equal(formatProgram(PROGRAM, 'ddd'), '6\n40 0 0 12\n21 0 3 2048\n48 0 0 4294963248\n69 1 0 8191\n6 0 0 262144\n6 0 0 0\n')
})

test('each form of an instruction', () => {
  const forms: readonly [Instruction, string][] = [
    [[0x20, 0, 0, 26], '(000) ld       [26]'],
    [[0x20, 0, 0, 0xffff_ffff], '(000) ld       [-1]'],
    [[0x48, 0, 0, 14], '(000) ldh      [x + 14]'],
    [[0x50, 0, 0, 0xffff_fff2], '(000) ldb      [x + -14]'],
    [[0xb1, 0, 0, 14], '(000) ldxb     4*([14]&0xf)'],
    [[0x80, 0, 0, 0], '(000) ld       #pktlen'],
    [[0x00, 0, 0, 0xffff_ffff], '(000) ld       #0xffffffff'],
    [[0x61, 0, 0, 3], '(000) ldx      M[3]'],
    [[0x03, 0, 0, 15], '(000) stx      M[15]'],
    [[0x04, 0, 0, 0xffff_ffff], '(000) add      #-1'],
    [[0xa4, 0, 0, 255], '(000) xor      #0xff'],
    [[0x9c, 0, 0, 0], '(000) mod      x'],
    [[0x84, 0, 0, 0], '(000) neg      '],
    [[0x05, 0, 0, 0xffff_fff0], '(000) ja       -15'],
    [[0x3d, 1, 255, 0], '(000) jge      x                jt 2\tjf 256'],
    [[0x16, 0, 0, 0], '(000) ret      '],
    [[0x06, 0, 0, 0xffff_ffff], '(000) ret      #-1'],
    [[0x87, 0, 0, 0], '(000) txa      '],
    [[0x1234, 0, 0, 7], '(000) unimp    0x1234'],
  ]
  for (const [instruction, text] of forms) assert.equal(formatInstruction(instruction, 0), text)
  assert.equal(formatInstruction([0x06, 0, 0, 0], 1234), '(1234) ret      #0')
})

test('any instruction reads as libpcap prints it', (t) => {
  const libpcap = openLibpcap()
  if (libpcap === undefined) return t.skip('no libpcap: install tcpdump')
  const random = seededRandom(t)
  const codes = Array.from({ length: 0x100 }, (_, code) => code)
  const operands = () => [0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, random.word(), 0xffff_f000 + random.between(0, 80)]
  for (const code of [...codes, 0x100, 0x120, 0xffff]) {
    for (const k of operands()) {
      const instruction: Instruction = [code, random.between(0, 255), random.between(0, 255), k]
      const index = random.pick([0, 7, 99, 100, 4095])
      // What libpcap has no name for in our version, another one may have.
      if (code === 0x81) continue
      assert.equal(formatInstruction(instruction, index), libpcap.image(instruction, index), `${index}: ${instruction}`)
    }
  }
  for (let round = 0; round < 500; round++) {
    const program = randomProgram(random, { ancillary: Array.from({ length: 16 }, (_, i) => 4 * i), headerOffsets: true })
    const expected: string[] = program.flatMap((instruction, index) => (instruction[0] === 0x81 ? [] : [libpcap.image(instruction, index)]))
    const lines = formatProgram(program, 'd').split('\n').slice(0, -1)
    assert.deepEqual(
      lines.filter((_, index) => program[index][0] !== 0x81),
      expected,
    )
  }
})

describe('beside tcpdump', { skip }, () => {
  const assertSame = (expression: string): boolean => {
    const numbers = tcpdumpText('-ddd', expression)
    if (numbers === undefined) return false
    const program = parseProgram(numbers)
    assert.equal(formatProgram(program, 'ddd'), numbers, expression)
    assert.equal(formatProgram(program, 'd'), tcpdumpText('-d', expression), expression)
    assert.equal(formatProgram(program, 'dd'), tcpdumpText('-dd', expression), expression)
    return true
  }

  test('every primitive', () => {
    const refused = EXPRESSIONS.filter((expression) => !assertSame(expression))
    assert.deepEqual(refused, [])
  })

  test('random expressions', (t) => {
    const random = seededRandom(t)
    let compared = 0
    for (let round = 0; round < 60; round++) if (assertSame(randomExpression(random))) compared++
    assert.ok(compared > 30, `${compared}`)
  })
})

describe('parseProgram', () => {
  test('reads back what is written', (t) => {
    const random = seededRandom(t)
    for (let round = 0; round < 500; round++) {
      const program = randomProgram(random)
      assert.deepEqual(parseProgram(formatProgram(program, 'ddd')), program)
    }
    assert.deepEqual(parseProgram(formatProgram(PROGRAM, 'ddd').replaceAll('\n', ' \r\n\n ')), PROGRAM)
  })

  const cases: readonly [what: string, text: string, message: RegExp][] = [
    ['nothing', '', /expected what tcpdump -ddd prints/],
    ['a wrong count', '2\n6 0 0 0\n', /the number of instructions/],
    ['no count', '6 0 0 0\n6 0 0 0\n', /the number of instructions/],
    ['a count that is no number', '0x1\n6 0 0 0\n', /the number of instructions/],
    ['three numbers', '1\n6 0 0\n', /^BPF program, line 2: expected four numbers, code, jt, jf and k, got '6 0 0'$/],
    ['five numbers', '1\n\n6 0 0 0 0\n', /line 3: .*got '6 0 0 0 0'/],
    ['a word', '1\n6 0 0 x\n', /line 2/],
    ['a negative number', '1\n6 0 0 -1\n', /line 2/],
    ['a code that is too large', '1\n65536 0 0 0\n', /line 2/],
    ['a jump that is too far', '1\n21 256 0 0\n', /line 2/],
    ['an operand that is too large', '1\n6 0 0 4294967296\n', /line 2/],
    ['the rows of -dd', '{ 0x6, 0, 0, 0x00000000 },\n', /BPF program: expected/],
  ]
  for (const [what, text, message] of cases) {
    test(`refuses ${what}`, () => assert.throws(() => parseProgram(text), { name: 'CaptureError', code: 'INVALID_OPTION', message }))
  }

  test('any text: a program or a CaptureError', (t) => {
    const random = seededRandom(t)
    for (let round = 0; round < 2000; round++) {
      const text = formatProgram(randomProgram(random, { maxLength: 6 }), 'ddd').split('')
      for (let changes = random.between(1, 4); changes > 0; changes--) text[random.between(0, text.length - 1)] = random.pick([...'0123456789 \n-xe.', ''])
      try {
        const program = parseProgram(text.join(''))
        for (const row of program) assert.ok(row.length === 4 && row.every((word) => Number.isInteger(word) && word >= 0 && word <= 0xffff_ffff))
      } catch (error) {
        assert.equal((error as { code?: string }).code, 'INVALID_OPTION', text.join(''))
      }
    }
  })
})
