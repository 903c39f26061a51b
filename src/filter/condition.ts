/** Tests of a packet, and, or and not between them: what the generator makes and what becomes blocks. Pure. */
import { BPF_JMP } from '../kernel/abi/filter.js'
import type { FlowBlock, FlowStatement } from './flow-graph.js'

export type Condition =
  /** Statements, and then a comparison: `code` and `k` are those of a FlowBranch. */
  | { kind: 'test'; statements: readonly FlowStatement[]; code: number; k: number }
  | { kind: 'constant'; value: boolean }
  /** Statements that run, and hold. */
  | { kind: 'effect'; statements: readonly FlowStatement[] }
  | { kind: 'not'; condition: Condition }
  /** As in the language: equal precedence, from the left, and no further than needed. */
  | { kind: 'chain'; first: Condition; rest: readonly { operator: 'and' | 'or'; condition: Condition }[] }

export const ALWAYS: Condition = { kind: 'constant', value: true }
export const NEVER: Condition = { kind: 'constant', value: false }

/** `jump` is BPF_JEQ, BPF_JGT, BPF_JGE or BPF_JSET, with BPF_X for a comparison with X. */
export function test(statements: readonly FlowStatement[], jump: number, k: number): Condition {
  return { kind: 'test', statements, code: BPF_JMP | jump, k: k >>> 0 }
}

export function effect(statements: readonly FlowStatement[]): Condition {
  return { kind: 'effect', statements }
}

export function not(condition: Condition): Condition {
  return condition.kind === 'not' ? condition.condition : { kind: 'not', condition }
}

export function all(...conditions: Condition[]): Condition {
  return joined('and', conditions)
}

export function any(...conditions: Condition[]): Condition {
  return joined('or', conditions)
}

function joined(operator: 'and' | 'or', [first, ...rest]: readonly Condition[]): Condition {
  if (first === undefined) return operator === 'and' ? ALWAYS : NEVER
  return rest.length === 0 ? first : { kind: 'chain', first, rest: rest.map((condition) => ({ operator, condition })) }
}

export function testsIn(condition: Condition): number {
  switch (condition.kind) {
    case 'test':
      return 1
    case 'not':
      return testsIn(condition.condition)
    case 'chain':
      return condition.rest.reduce((sum, { condition: next }) => sum + testsIn(next), testsIn(condition.first))
    default:
      return 0
  }
}

/** The block where `condition` begins, with the blocks it leads to. */
export function blocksOf(condition: Condition, whenTrue: FlowBlock, whenFalse: FlowBlock): FlowBlock {
  switch (condition.kind) {
    case 'test': {
      const { statements, code, k } = condition
      return { statements: [...statements], end: { code, k, whenTrue, whenFalse } }
    }
    case 'constant':
      return condition.value ? whenTrue : whenFalse
    case 'effect':
      // The graph has no jump without a condition, so the statements go before a copy of what is next.
      return { statements: [...condition.statements, ...whenTrue.statements], end: whenTrue.end }
    case 'not':
      return blocksOf(condition.condition, whenFalse, whenTrue)
    case 'chain': {
      let [onTrue, onFalse] = [whenTrue, whenFalse]
      for (let i = condition.rest.length - 1; i >= 0; i--) {
        const { operator, condition: next } = condition.rest[i] as (typeof condition.rest)[number]
        const block = blocksOf(next, onTrue, onFalse)
        if (operator === 'and') onTrue = block
        else onFalse = block
      }
      return blocksOf(condition.first, onTrue, onFalse)
    }
  }
}
