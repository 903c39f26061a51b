/**
 * Relations between arithmetic expressions. A value is computed into A; of two, the one that leaves X alone is computed last, and
 * else the first waits in a scratch register. Pure.
 */
import {
  BPF_ADD,
  BPF_AND,
  BPF_DIV,
  BPF_JEQ,
  BPF_JGE,
  BPF_JGT,
  BPF_LSH,
  BPF_MOD,
  BPF_MUL,
  BPF_NEG,
  BPF_OR,
  BPF_RSH,
  BPF_ST,
  BPF_STX,
  BPF_SUB,
  BPF_X,
  BPF_XOR,
} from '../../kernel/abi/filter.js'
import type { Arithmetic, BinaryOperator, Protocol, Relation } from '../ast.js'
import { ALWAYS, all, type Condition, NEVER, not, test } from '../condition.js'
import type { FlowStatement } from '../flow-graph.js'
import {
  compute,
  computeX,
  type LoadSize,
  loadAbsolute,
  loadImmediate,
  loadIndirect,
  loadLength,
  loadMemory,
  loadXMemory,
  store,
  xFromA,
} from '../statements.js'
import { IP_PROTOCOL } from './ether-types.js'
import type { Generation } from './generation.js'
import { equal, loadField, loadXIp4HeaderLength, type Offset, startOf } from './layers.js'
import { notLaterFragment } from './port.js'
import { protocolAlone } from './protocol.js'

/** Statements that leave a value in A. Sums may have thousands of them, so they are added to in place. */
interface Value {
  statements: FlowStatement[]
  /** X is read or written on the way. */
  usesX: boolean
  /** What the packet must be for the value to mean something. */
  checks: Condition[]
  /** The number, where it is known now. */
  literal: number | undefined
  /** It stood in the expression, and was not computed. */
  written?: boolean
}

const OPERATIONS: Record<BinaryOperator, number> = {
  '+': BPF_ADD,
  '-': BPF_SUB,
  '*': BPF_MUL,
  '/': BPF_DIV,
  '%': BPF_MOD,
  '&': BPF_AND,
  '|': BPF_OR,
  '^': BPF_XOR,
  '<<': BPF_LSH,
  '>>': BPF_RSH,
}
const CLASS = 0x07
const COMMUTATIVE: ReadonlySet<BinaryOperator> = new Set<BinaryOperator>(['+', '*', '&', '|', '^'])

export function relation(generation: Generation, of: Relation, left: Arithmetic, right: Arithmetic): Condition {
  const [a, b] = [computed(generation, left), computed(generation, right)]
  return all(...a.checks, ...b.checks, compare(generation, of, a, b))
}

/** Which comparison of BPF holds a relation, or its opposite. */
const COMPARISONS: Record<Relation, { jump: number; opposite: boolean; swapped: Relation }> = {
  '=': { jump: BPF_JEQ, opposite: false, swapped: '=' },
  '!=': { jump: BPF_JEQ, opposite: true, swapped: '!=' },
  '>': { jump: BPF_JGT, opposite: false, swapped: '<' },
  '<=': { jump: BPF_JGT, opposite: true, swapped: '>=' },
  '>=': { jump: BPF_JGE, opposite: false, swapped: '<=' },
  '<': { jump: BPF_JGE, opposite: true, swapped: '>' },
}

function compare(generation: Generation, of: Relation, left: Value, right: Value): Condition {
  const { jump, opposite, swapped } = COMPARISONS[of]
  const sense = (condition: Condition) => (opposite ? not(condition) : condition)
  if (left.literal !== undefined && right.literal !== undefined) {
    const [a, b] = [left.literal, right.literal]
    return sense((jump === BPF_JEQ ? a === b : jump === BPF_JGT ? a > b : a >= b) ? ALWAYS : NEVER)
  }
  if (right.literal !== undefined) return sense(test(left.statements, jump, right.literal))
  if (left.literal !== undefined) return compare(generation, swapped, right, left)
  const { statements, exchanged } = intoBoth(generation, left, right, true)
  const turned = COMPARISONS[exchanged ? swapped : of]
  const condition = test(statements, turned.jump | BPF_X, 0)
  return turned.opposite ? not(condition) : condition
}

/** A is `left` and X is `right`; or, where that may be and is shorter, exchanged. */
function intoBoth(generation: Generation, left: Value, right: Value, mayExchange: boolean): { statements: FlowStatement[]; exchanged: boolean } {
  if (!left.usesX) return { statements: [...right.statements, xFromA(), ...left.statements], exchanged: false }
  const { statements } = left
  if (mayExchange && !right.usesX) {
    append(statements, [xFromA(), ...right.statements])
    return { statements, exchanged: true }
  }
  const register = generation.passingRegister(registersWritten(right.statements))
  append(statements, [store(register), ...right.statements])
  append(statements, mayExchange ? [loadXMemory(register)] : [xFromA(), loadMemory(register)])
  return { statements, exchanged: mayExchange }
}

function append(statements: FlowStatement[], more: readonly FlowStatement[]): void {
  for (const statement of more) statements.push(statement)
}

function registersWritten(statements: readonly FlowStatement[]): ReadonlySet<number> {
  return new Set(statements.filter(({ code }) => (code & CLASS) === BPF_ST || (code & CLASS) === BPF_STX).map(({ k }) => k))
}

/** Long sums lean to the left, so that way is a loop. */
function computed(generation: Generation, arithmetic: Arithmetic): Value {
  const pending: (Arithmetic & { kind: 'binary' })[] = []
  let leaf = arithmetic
  while (leaf.kind === 'binary') {
    pending.push(leaf)
    leaf = leaf.left
  }
  let value = operand(generation, leaf)
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) value = binary(generation, next.operator, value, next.right)
  return value
}

function known(value: number): Value {
  return { statements: [loadImmediate(value)], usesX: false, checks: [], literal: value >>> 0 }
}

/** As BPF does it, in 32 bits without a sign. */
function calculate(operator: BinaryOperator, a: number, b: number): number {
  switch (operator) {
    case '+':
      return a + b
    case '-':
      return a - b
    case '*':
      return Math.imul(a, b)
    case '/':
      return Math.floor(a / b)
    case '%':
      return a % b
    case '&':
      return a & b
    case '|':
      return a | b
    case '^':
      return a ^ b
    case '<<':
      return b > 31 ? 0 : a << b
    case '>>':
      return b > 31 ? 0 : a >>> b
  }
}

function operand(generation: Generation, arithmetic: Exclude<Arithmetic, { kind: 'binary' }>): Value {
  switch (arithmetic.kind) {
    case 'constant':
      return { ...known(arithmetic.value), written: true }
    case 'length':
      return { statements: [loadLength()], usesX: false, checks: [], literal: undefined }
    case 'negate': {
      const value = computed(generation, arithmetic.operand)
      if (value.literal !== undefined) return known(-value.literal)
      value.statements.push(compute(BPF_NEG, 0))
      return value
    }
    case 'load':
      return load(generation, arithmetic.protocol, computed(generation, arithmetic.offset), arithmetic.size)
  }
}

/**
 * NB: the checks of the right operand are dropped, as gen_arth() of libpcap drops them: `ip[0] + tcp[0] = 5` tests for IPv4 but not for
 * TCP, while `ip[0] = tcp[0]` tests for both.
 */
function binary(generation: Generation, operator: BinaryOperator, left: Value, rightSide: Arithmetic): Value {
  const right = computed(generation, rightSide)
  const operation = OPERATIONS[operator]
  if (right.literal !== undefined) {
    // libpcap refuses what was written so, and its optimiser most of what comes to the same: a shift of a constant it computes.
    if (operator === '/' && right.literal === 0) generation.fail('division by zero')
    if (operator === '%' && right.literal === 0) generation.fail('modulus by zero')
    const shift = operator === '<<' || operator === '>>'
    if (shift && right.literal > 31 && (right.written === true || left.literal === undefined)) generation.fail('shift by more than 31 bits')
    if (left.literal !== undefined) return known(calculate(operator, left.literal, right.literal))
    left.statements.push(compute(operation, right.literal))
    return left
  }
  const { checks } = left
  if (left.literal !== undefined && COMMUTATIVE.has(operator)) {
    right.statements.push(compute(operation, left.literal))
    return { ...right, checks }
  }
  const { statements } = intoBoth(generation, left, right, COMMUTATIVE.has(operator))
  statements.push(computeX(operation))
  return { statements, usesX: true, checks, literal: undefined }
}

/** An offset up to here is added to that of its header when the program is made; the sum stays below what Linux takes for negative. */
const FIXED_OFFSET_MAX = 0x7fff_0000

function load(generation: Generation, protocol: Protocol, offset: Value, size: number): Value {
  if (size !== 1 && size !== 2 && size !== 4) generation.fail('data size must be 1, 2, or 4')
  const { layers } = generation
  const value = (statements: FlowStatement[], checks: Condition[]): Value => ({ statements, usesX: statements.length > 1, checks, literal: undefined })
  const from = (start: Offset, checks: Condition[]): Value => value(loadFrom(start, offset, size), [...offset.checks, ...checks])
  switch (protocol) {
    case 'link':
      return from(layers.linkHeader, [])
    case 'ip':
    case 'arp':
    case 'rarp':
    case 'atalk':
    case 'decnet':
    case 'sca':
    case 'lat':
    case 'moprc':
    case 'mopdl':
    case 'ip6':
      return from(startOf(layers, 'network'), [protocolAlone(generation, protocol)])
    case 'icmp6':
      return from(startOf(layers, 'IPv6 payload'), [protocolAlone(generation, 'ip6'), equal(layers, 'network', 6, 1, IP_PROTOCOL.icmp6)])
    case 'sctp':
    case 'tcp':
    case 'udp':
    case 'icmp':
    case 'igmp':
    case 'igrp':
    case 'pim':
    case 'vrrp':
    case 'carp':
      return value(loadFromTransport(generation, offset, size), [
        protocolAlone(generation, 'ip'),
        ...offset.checks,
        protocolAlone(generation, protocol),
        notLaterFragment(generation),
      ])
    case 'radio':
      return generation.fail('radio information not present in capture')
    default:
      return generation.fail('unsupported index operation')
  }
}

function loadFrom({ constant, register }: Offset, offset: Value, size: LoadSize): FlowStatement[] {
  if (offset.literal !== undefined && offset.literal <= FIXED_OFFSET_MAX) return loadAt({ constant: constant + offset.literal, register }, size)
  const index = register === undefined ? offset.statements : [...offset.statements, loadXMemory(register), computeX(BPF_ADD)]
  return [...index, xFromA(), loadIndirect(constant, size)]
}

function loadAt({ constant, register }: Offset, size: LoadSize): FlowStatement[] {
  return register === undefined ? [loadAbsolute(constant, size)] : [loadXMemory(register), loadIndirect(constant, size)]
}

/** Behind the IPv4 header, whose length is in the packet. */
function loadFromTransport(generation: Generation, offset: Value, size: LoadSize): FlowStatement[] {
  const { layers } = generation
  if (offset.literal !== undefined && offset.literal <= FIXED_OFFSET_MAX) return loadField(layers, 'IPv4 payload', offset.literal, size)
  const { constant } = startOf(layers, 'network')
  const header = loadXIp4HeaderLength(layers)
  const behind = [computeX(BPF_ADD), xFromA(), loadIndirect(constant, size)]
  // With a varying start the length is computed in A, which holds the offset.
  if (header.length === 1) return [...offset.statements, ...header, ...behind]
  const register = generation.passingRegister(registersWritten(header))
  return [...offset.statements, store(register), ...header, loadMemory(register), ...behind]
}
