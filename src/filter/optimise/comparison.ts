/** The comparisons at the ends of blocks, in the one form that needs the fewest instructions. Pure. */
import { BPF_ADD, BPF_AND, BPF_JEQ, BPF_JGE, BPF_JGT, BPF_JSET, BPF_LSH, BPF_OR, BPF_RSH, BPF_SUB, BPF_XOR } from '../../kernel/abi/filter.js'
import { allBits, type Value, type Values } from './values.js'

/** `comparison` is BPF_JEQ, BPF_JGT, BPF_JGE or BPF_JSET. */
export interface Test {
  readonly comparison: number
  readonly left: Value
  readonly right: Value
}

/** What a comparison comes to: known, or another comparison, whose ways on may be the other way round. */
export type Simplified = { readonly outcome: boolean } | { readonly test: Test; readonly swapped: boolean }

const WORD = 0xffff_ffff

/** No packet has another outcome, and no load is added; but some may be gone, so the caller must know which there were. */
export function simplify(values: Values, original: Test): Simplified {
  let test = original
  let swapped = false
  // JGE is taken as JGT while it is worked on, and given back.
  const isAtLeast = original.comparison === BPF_JGE
  for (;;) {
    const step = simplifyOnce(values, test)
    if (step === undefined) break
    if ('outcome' in step) return { outcome: step.outcome !== swapped }
    test = step.test
    if (step.swapped) swapped = !swapped
  }
  if (isAtLeast && test.comparison === BPF_JGT && test.right.kind === 'constant') {
    test = { comparison: BPF_JGE, left: test.left, right: values.constant(test.right.k + 1) }
  }
  return { test, swapped }
}

function simplifyOnce(values: Values, { comparison, left, right }: Test): Simplified | undefined {
  if (left === right) {
    if (comparison === BPF_JSET) return to(BPF_JEQ, left, values.constant(0), true)
    return { outcome: comparison !== BPF_JGT }
  }
  if (right.kind === 'constant') {
    if (left.kind === 'constant') return { outcome: holds(comparison, left.k, right.k) }
    return simplifyConstant(values, comparison, left, right.k)
  }
  if (left.kind !== 'constant') return undefined
  switch (comparison) {
    case BPF_JGT:
      return to(BPF_JGE, right, left, true)
    case BPF_JGE:
      return to(BPF_JGT, right, left, true)
    default:
      return to(comparison, right, left, false)
  }
}

function simplifyConstant(values: Values, comparison: number, left: Value, k: number): Simplified | undefined {
  const same = (by: number, value: Value, operand: number, swapped = false) => to(by, value, values.constant(operand), swapped)
  const operand = left.kind === 'operation' && left.right.kind === 'constant' ? left.right.k : undefined
  switch (comparison) {
    case BPF_JGE:
      return k === 0 ? { outcome: true } : same(BPF_JGT, left, k - 1)
    case BPF_JEQ:
      if (k > left.max) return { outcome: false }
      if (left.kind === 'negation') return same(BPF_JEQ, left.of, -k)
      if (left.kind !== 'operation') return undefined
      if (operand === undefined) {
        if (k !== 0 || (left.operation !== BPF_SUB && left.operation !== BPF_XOR)) return undefined
        return to(BPF_JEQ, left.left, left.right, false)
      }
      switch (left.operation) {
        case BPF_ADD:
          return same(BPF_JEQ, left.left, k - operand)
        case BPF_XOR:
          return same(BPF_JEQ, left.left, k ^ operand)
        case BPF_AND:
          if ((k & ~operand) !== 0) return { outcome: false }
          if (k === 0) return same(BPF_JSET, left.left, operand, true)
          if ((k & (k - 1)) === 0 && k === operand) return same(BPF_JSET, left.left, operand)
          return undefined
        case BPF_OR:
          return (k & operand) >>> 0 === operand ? undefined : { outcome: false }
        case BPF_LSH:
          if ((k & (2 ** operand - 1)) !== 0) return { outcome: false }
          return left.left.max <= WORD >>> operand ? same(BPF_JEQ, left.left, k >>> operand) : undefined
        case BPF_RSH:
          return k === 0 ? same(BPF_JGT, left.left, 2 ** operand - 1, true) : undefined
        default:
          return undefined
      }
    case BPF_JGT:
      if (k >= left.max) return { outcome: false }
      if (k === 0) return same(BPF_JEQ, left, 0, true)
      if (left.kind !== 'operation' || operand === undefined) return undefined
      switch (left.operation) {
        case BPF_ADD:
          if (left.left.max + operand > WORD) return undefined
          return operand > k ? { outcome: true } : same(BPF_JGT, left.left, k - operand)
        case BPF_LSH:
          return left.left.max <= WORD >>> operand ? same(BPF_JGT, left.left, k >>> operand) : undefined
        case BPF_RSH:
          return (k + 1) * 2 ** operand - 1 <= WORD ? same(BPF_JGT, left.left, (k + 1) * 2 ** operand - 1) : undefined
        default:
          return undefined
      }
    default: {
      const all = allBits(left.max)
      const bits = (k & all) >>> 0
      if (bits === 0) return { outcome: false }
      if (left.kind === 'operation' && operand !== undefined) {
        if (left.operation === BPF_AND) return same(BPF_JSET, left.left, bits & operand)
        if (left.operation === BPF_OR) return (bits & operand) !== 0 ? { outcome: true } : same(BPF_JSET, left.left, bits)
        if (left.operation === BPF_LSH) return same(BPF_JSET, left.left, bits >>> operand)
        if (left.operation === BPF_RSH) return same(BPF_JSET, left.left, bits << operand)
      }
      if (bits === all) return same(BPF_JEQ, left, 0, true)
      return bits === k ? undefined : same(BPF_JSET, left, bits)
    }
  }
}

function to(comparison: number, left: Value, right: Value, swapped: boolean): Simplified {
  return { test: { comparison, left, right }, swapped }
}

export function holds(comparison: number, left: number, right: number): boolean {
  switch (comparison) {
    case BPF_JEQ:
      return left === right
    case BPF_JGT:
      return left > right
    case BPF_JGE:
      return left >= right
    default:
      return (left & right) !== 0
  }
}
