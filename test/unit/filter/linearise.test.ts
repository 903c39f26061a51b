/** Programs of graphs: the same answers, and no jump farther than it can be. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Instruction, validateProgram } from '#src/bpf/classic.js'
import { interpret } from '#src/bpf/interpret.js'
import type { FlowBlock, FlowStatement } from '#src/filter/flow-graph.js'
import { linearise } from '#src/filter/linearise.js'
import { EXPRESSIONS } from '../../support/expressions.js'
import { graphOf, verdictOf } from '../../support/flow-graph.js'
import { openLibpcapCompiler } from '../../support/libpcap-compiler.js'
import { seededRandom } from '../../support/random.js'
import { randomFormula, randomGraph, randomPacket } from '../../support/random-graph.js'

const JEQ = 0x15
const JA = 0x05
const RET = 0x06
const LDH = 0x28
const LDX_IMM = 0x01
const STX = 0x03
const LD_MEM = 0x60
const ETHERNET = 1
const libpcap = openLibpcapCompiler()

function answer(k: number, statements: FlowStatement[] = []): FlowBlock {
  return { statements, end: { answer: k } }
}

function equals(k: number, whenTrue: FlowBlock, whenFalse: FlowBlock, statements: FlowStatement[] = [{ code: LDH, k: 0 }]): FlowBlock {
  return { statements, end: { code: JEQ, k, whenTrue, whenFalse } }
}

/** `count` comparisons, each of which goes to `whenTrue` or on. */
function chain(count: number, whenTrue: FlowBlock, whenFalse: FlowBlock): FlowBlock {
  let block = whenFalse
  for (let k = count - 1; k >= 0; k--) block = equals(k, whenTrue, block)
  return block
}

function verdict(program: readonly Instruction[], packet: Uint8Array): number {
  return interpret(program, packet, 0, packet.length, packet.length)
}

function packet(field: number): Uint8Array {
  return Uint8Array.of(field >> 8, field & 0xff, 0, 0)
}

test('what is true comes next, and answers are at the end, each once', () => {
  const [yes, no] = [answer(7), answer(0)]
  const inner = equals(2, yes, answer(0), [])
  assert.deepEqual(linearise(equals(1, inner, no)), [
    [LDH, 0, 0, 0],
    [JEQ, 0, 2, 1],
    [JEQ, 0, 1, 2],
    [RET, 0, 0, 7],
    [RET, 0, 0, 0],
  ])
  assert.deepEqual(linearise(answer(5)), [[RET, 0, 0, 5]])
  assert.deepEqual(linearise(answer(5, [{ code: LDH, k: 9 }])), [
    [LDH, 0, 0, 9],
    [RET, 0, 0, 5],
  ])
})

test('there is no comparison where both ways are one', () => {
  const yes = answer(7)
  assert.deepEqual(linearise(equals(1, yes, yes)), [
    [LDH, 0, 0, 0],
    [RET, 0, 0, 7],
  ])
  const later = equals(2, yes, answer(0))
  assert.equal(linearise(equals(1, later, later)).length, linearise(later).length + 1)
})

test('the programs of libpcap come back at the length that they had', { skip: libpcap === undefined ? 'no libpcap' : false }, () => {
  let compared = 0
  for (const expression of EXPRESSIONS) {
    for (const isOptimised of [false, true]) {
      const program = libpcap?.compile(expression, ETHERNET, isOptimised)
      if (program === undefined || typeof program === 'string') continue
      // Those with detours of their own, and with comparisons whose ways are one, are shorter here.
      if (program.some(([code, jt, jf]) => code === JA || (code === JEQ && jt === jf))) continue
      assert.equal(linearise(graphOf(program)).length, program.length, expression)
      compared++
    }
  }
  assert.ok(compared > 600, `${compared} programs`)
})

test('a long chain costs a copy of a return every 255 instructions', () => {
  const program = linearise(chain(2000, answer(7), answer(0)))
  validateProgram(program)
  const returns = program.filter(([code]) => code === RET).length
  assert.ok(returns <= 2 + 4000 / 250, `${returns} returns`)
  assert.equal(program.length, 4000 + returns)
  for (const field of [0, 1, 255, 256, 1000, 1999]) assert.equal(verdict(program, packet(field)), 7, `field ${field}`)
  for (const field of [2000, 65535]) assert.equal(verdict(program, packet(field)), 0, `field ${field}`)
})

test('a far block is reached by detours, from both ways of a comparison', () => {
  const last = equals(9999, answer(7), answer(0))
  const long = chain(300, last, last)
  const far = equals(5000, long, equals(6000, last, equals(7000, last, long)))
  const program = linearise(far)
  validateProgram(program)
  assert.ok(program.some(([code]) => code === JA))
  assert.equal(verdict(program, packet(9999)), 7)
  assert.equal(verdict(program, packet(6000)), 0)

  const between = chain(140, answer(1), answer(2))
  const twoFar = chain(140, answer(3), between)
  const branches = Array.from({ length: 4 }, (_, k) => k).reduce((next, k) => equals(300 + k, next, twoFar), chain(200, between, twoFar))
  const bothFar = linearise(branches)
  validateProgram(bothFar)
  for (const field of [0, 139, 300, 303, 400]) {
    assert.equal(verdict(bothFar, packet(field)), verdictOf(branches, packet(field), 4), `field ${field}`)
  }
})

test('the kernel sees every word written that is read, also behind returns in between', () => {
  const reads = equals(3, answer(7), answer(0), [{ code: LD_MEM, k: 0 }])
  const program = linearise(equals(1, answer(5, [{ code: LDH, k: 2 }]), chain(300, answer(9), reads), []))
  assert.throws(() => validateProgram(program), /reads memory word 0/)
  const writes = [
    { code: LDX_IMM, k: 3 },
    { code: STX, k: 0 },
  ]
  const early = equals(1, answer(5, [{ code: LDH, k: 2 }]), chain(300, answer(9), equals(2, reads, answer(0), writes)))
  validateProgram(linearise(early))
  assert.equal(verdict(linearise(early), packet(2)), 9)
  assert.equal(verdict(linearise(early), packet(1)), 5)
  assert.equal(verdict(linearise(early), packet(999)), 0)
})

test('random graphs answer what they answered', (t) => {
  const random = seededRandom(t)
  for (let round = 0; round < 1500; round++) {
    const graph = random.oneIn(3) ? randomFormula(random) : randomGraph(random)
    const program = linearise(graph)
    for (let packets = 0; packets < 10; packets++) {
      const bytes = randomPacket(random)
      const wireLength = bytes.length + (random.oneIn(3) ? random.between(1, 100) : 0)
      assert.equal(interpret(program, bytes, 0, bytes.length, wireLength), verdictOf(graph, bytes, wireLength), `round ${round}: ${bytes.join()}`)
    }
  }
})

test('too long a program is refused, however long', () => {
  const [yes, no] = [answer(7), answer(0)]
  const refused = { name: 'CaptureError', code: 'INVALID_FILTER', message: /4096/ }
  assert.doesNotThrow(() => linearise(chain(2030, yes, no)))
  for (const count of [2048, 300_000]) assert.throws(() => linearise(chain(count, yes, no)), refused)
  const many = Array.from({ length: 5000 }, (_, k) => answer(k)).reduce((next, one, k) => equals(k, one, next, []))
  assert.throws(() => linearise(many), refused)
})

test('a graph with a loop is no graph', () => {
  const block = equals(1, answer(1), answer(0))
  const loop = equals(2, block, answer(0))
  if ('whenTrue' in block.end) block.end.whenFalse = loop
  assert.throws(() => linearise(loop), /loop/)
})
