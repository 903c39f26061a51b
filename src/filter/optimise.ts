/**
 * Makes the program of a filter shorter, and with it faster. Works as libpcap's optimize.c does, with value numbering, jump threading,
 * pull-ups and merging of equal blocks, but on values instead of statements: see optimise/decisions.ts. Pure.
 *
 * No verdict changes, also not for packets that end early: a load behind the captured bytes and a division by 0 reject the packet,
 * and still do where nobody looks at what was loaded. libpcap's optimiser does not keep that: it drops unused loads, and goes around
 * or behind others, so that `tcpdump EXPR` accepts some truncated packets that `tcpdump -O EXPR` rejects.
 */
import type { FlowBlock } from './flow-graph.js'
import { inLayoutOrder } from './linearise.js'
import { dropAnticipated } from './optimise/anticipation.js'
import { groupChains } from './optimise/chains.js'
import { Checks } from './optimise/checks.js'
import type { Node } from './optimise/decisions.js'
import { internBlocks } from './optimise/intern.js'
import { lift } from './optimise/lift.js'
import { lower } from './optimise/lower.js'
import { mergeEqual } from './optimise/merge.js'
import { NotOptimisable } from './optimise/not-optimisable.js'
import { threadJumps } from './optimise/threading.js'
import { Values } from './optimise/values.js'

/** Larger graphs stay as they are: hardly one of them would come below BPF_MAXINSNS. */
const MAX_BLOCKS = 50_000
/** Rounds of passes over the graph, of which expressions take 2 to 6; and steps around comparisons. */
const MAX_ROUNDS = 30
const MAX_STEPS = 3_000_000

/** Another graph with the same verdicts; or the same graph where nothing is won. `graph` itself does not change. */
export function optimise(graph: FlowBlock): FlowBlock {
  const blocks = inLayoutOrder(graph)
  if (blocks.length > MAX_BLOCKS) return graph
  try {
    const values = new Values()
    const checks = new Checks(values)
    const optimised = internBlocks(lower(decide(lift(graph, values, checks), checks), values, checks))
    return sizeOf(inLayoutOrder(optimised)) < sizeOf(blocks) ? optimised : graph
  } catch (error) {
    if (error instanceof NotOptimisable) return graph
    throw error
  }
}

function decide(start: Node, checks: Checks): Node {
  const budget = { steps: MAX_STEPS }
  let root = start
  const change = (pass: (start: Node) => { root: Node; isChanged: boolean }) => {
    const result = pass(root)
    root = result.root
    return result.isChanged
  }
  // Merged nodes know less of how they were reached, so they are merged when nothing else is left to do.
  let isMerging = false
  for (let round = 0; round < MAX_ROUNDS && budget.steps > 0; round++) {
    if (threadJumps(root, checks.zero, budget) || change((start) => dropAnticipated(start, checks.zero)) || change(groupChains)) continue
    const isMerged = change(mergeEqual)
    if (isMerging && !isMerged) return root
    isMerging = true
  }
  // What is unmet has to be known for the graph as it is now.
  threadJumps(root, checks.zero, { steps: 0 })
  return root
}

/** In instructions, without detours, and without the returns at the end. */
function sizeOf(blocks: readonly FlowBlock[]): number {
  return blocks.reduce((size, { statements, end }) => {
    const isJump = 'answer' in end ? statements.length > 0 : end.whenTrue !== end.whenFalse
    return size + statements.length + (isJump ? 1 : 0)
  }, 0)
}
