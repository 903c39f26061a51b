/**
 * A filter between its text and its instructions: a graph of basic blocks. A block runs statements, which are classic BPF
 * instructions without jumps, and ends in a comparison with two ways on, or in an answer. The graph has no loops. Pure.
 */

/** An instruction other than a jump or a return: `code` and `k` of struct sock_filter. */
export interface FlowStatement {
  code: number
  k: number
}

/** Ends a block: `code` is BPF_JMP | BPF_JEQ, JGT, JGE or JSET, | BPF_K or BPF_X. */
export interface FlowBranch {
  code: number
  k: number
  whenTrue: FlowBlock
  whenFalse: FlowBlock
}

/** Ends a block: `k` is the answer, 0 to reject the packet, else how many bytes of it are kept. */
export interface FlowAnswer {
  answer: number
}

export interface FlowBlock {
  statements: FlowStatement[]
  end: FlowBranch | FlowAnswer
}
