/** Blocks of the same statements and ways on become one, whatever was in the registers before: equal code does equal things. Pure. */
import type { FlowBlock } from '../flow-graph.js'
import { inLayoutOrder } from '../linearise.js'

/** Changes the graph, and answers where it begins. */
export function internBlocks(graph: FlowBlock): FlowBlock {
  const first = new Map<string, FlowBlock>()
  const numbers = new Map<FlowBlock, number>()
  const replaced = new Map<FlowBlock, FlowBlock>()
  for (const block of inLayoutOrder(graph)) {
    const { end } = block
    if ('whenTrue' in end) {
      end.whenTrue = replaced.get(end.whenTrue) ?? end.whenTrue
      end.whenFalse = replaced.get(end.whenFalse) ?? end.whenFalse
    }
    const on = 'answer' in end ? `${end.answer}` : `${end.code},${end.k},${numbers.get(end.whenTrue)},${numbers.get(end.whenFalse)}`
    const key = `${on};${block.statements.map(({ code, k }) => `${code},${k}`).join()}`
    const same = first.get(key)
    if (same === undefined) {
      first.set(key, block)
      numbers.set(block, numbers.size)
    } else replaced.set(block, same)
  }
  return replaced.get(graph) ?? graph
}
