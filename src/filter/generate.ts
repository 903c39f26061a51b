/**
 * A filter expression to blocks, for a link type and with names looked up. The code is not optimised but does nothing twice on
 * purpose. What it means is what libpcap 1.10 means by it, to the packet: a load beyond the end of the packet rejects it, whatever
 * the rest of the expression says. Pure.
 */
import type { Clause, FilterExpression } from './ast.js'
import { ALWAYS, all, blocksOf, type Condition, effect, not, testsIn } from './condition.js'
import { FilterError } from './filter-error.js'
import type { FlowBlock } from './flow-graph.js'
import { type GenerateOptions, Generation } from './generate/generation.js'
import { primitive } from './generate/primitive.js'
import { loadImmediate, store } from './statements.js'

export type { GenerateOptions } from './generate/generation.js'

/** @throws FilterError for a name that is unknown, and for a primitive that the link type or its qualifiers do not allow. */
export function generateFilter({ text, clause }: FilterExpression, options: GenerateOptions): FlowBlock {
  const generation = new Generation(text, options)
  const condition = clause === undefined ? ALWAYS : conditionOf(generation, clause)
  const kept = generation.keptRegisters
  const whole = kept.length === 0 ? condition : all(effect([loadImmediate(0), ...kept.map(store)]), condition)
  const answer = (bytes: number): FlowBlock => ({ statements: [], end: { answer: bytes } })
  return blocksOf(whole, answer(options.snapLengthBytes), answer(0))
}

/**
 * Whether a graph rejects every packet, which is an error of an expression, in libpcap's words `expression rejects all packets`. To
 * be asked of what the optimiser made: before that `ip and arp` is not seen to be one.
 */
export function rejectsAll({ end }: FlowBlock): boolean {
  return 'answer' in end && end.answer === 0
}

/** @throws FilterError where `optimised` rejects every packet. */
export function refuseRejectingAll({ text }: FilterExpression, optimised: FlowBlock): void {
  if (rejectsAll(optimised)) throw new FilterError('expression rejects all packets', text, { start: 0, end: text.length })
}

/** From left to right: what `vlan` and its like do to the layers holds for what is generated after. */
function conditionOf(generation: Generation, clause: Clause): Condition {
  switch (clause.kind) {
    case 'not':
      return not(conditionOf(generation, clause.clause))
    case 'combination': {
      const first = conditionOf(generation, clause.first)
      return { kind: 'chain', first, rest: clause.rest.map(({ operator, clause: next }) => ({ operator, condition: conditionOf(generation, next) })) }
    }
    default: {
      const condition = primitive(generation, clause)
      generation.count(testsIn(condition))
      return condition
    }
  }
}
