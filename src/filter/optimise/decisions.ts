/**
 * The graph that is optimised: a branch says which values it compares and what must be in the packet, not by which statements. All
 * values are functions of the packet, so a branch may go elsewhere without a thought of what is in a register there. What cannot be
 * said so, since it differs from way to way, stays where it was kept: `assigns` puts it there, `joins` takes it. Pure.
 */
import type { Check } from './checks.js'
import type { Test } from './comparison.js'
import type { Entry, Value } from './values.js'

export interface Assign {
  readonly location: number
  readonly value: Value
}

interface Common {
  /** What its comparison and assigns load. */
  readonly needs: readonly Check[]
  /** What must be there without being used. */
  extra: readonly Check[]
  /** What is taken from where it is, since it differs from way to way. */
  readonly joins: readonly Entry[]
}

/** What a pass over the graph notes at its nodes. */
interface Noted {
  /** In topological order. */
  index: number
  edgesIn: number
  /** The nearest node that all ways from the root go through. */
  dominator: Branch | undefined
  depth: number
  /** A dominator farther up, so that a common one is found in logarithmic time. */
  jump: Branch | undefined
  /** So many bytes are there, whichever way was taken. */
  knownBytes: number
  /** Of what it needs and has extra, that which may reject a packet that comes here. */
  unmet: readonly Check[]
}

export interface Branch extends Common, Noted {
  readonly kind: 'branch'
  readonly test: Test
  yes: Node
  no: Node
  readonly assigns: readonly Assign[]
  /** A or X has to be as it is in the end: the comparison stays as it is. */
  readonly isPinned: boolean
}

export interface Answer extends Common, Noted {
  readonly kind: 'answer'
  readonly answer: number
}

export type Node = Branch | Answer

const NOTHING_NOTED: Noted = { index: 0, edgesIn: 0, dominator: undefined, depth: 0, jump: undefined, knownBytes: 0, unmet: [] }

export function makeBranch(parts: Omit<Branch, keyof Noted | 'kind'>): Branch {
  return { kind: 'branch', ...parts, ...NOTHING_NOTED }
}

export function makeAnswer(answer: number, extra: readonly Check[] = [], joins: readonly Entry[] = []): Answer {
  return { kind: 'answer', answer, needs: [], extra, joins, ...NOTHING_NOTED }
}

export function rejects(node: Node): boolean {
  return node.kind === 'answer' && node.answer === 0
}

/** Whether every location is behind it as it was before, so that a way may go around it. */
export function isTransparent(branch: Branch): boolean {
  return branch.joins.length === 0 && branch.assigns.length === 0
}

/** Whether others that need A or X may come before it, too. */
export function isMovable(branch: Branch): boolean {
  return isTransparent(branch) && !branch.isPinned
}

/** All nodes, each before those it leads to, with `index` and `edgesIn` noted. */
export function sorted(root: Node): Node[] {
  const order: Node[] = []
  const isEntered = new Map<Node, boolean>()
  const stack: Node[] = [root]
  for (let node = stack[0]; node !== undefined; node = stack[stack.length - 1]) {
    const before = isEntered.get(node)
    if (before === undefined && node.kind === 'branch') {
      isEntered.set(node, true)
      if (!isEntered.has(node.yes)) stack.push(node.yes)
      if (!isEntered.has(node.no)) stack.push(node.no)
      continue
    }
    stack.pop()
    if (before === false) continue
    isEntered.set(node, false)
    node.edgesIn = 0
    order.push(node)
  }
  order.reverse()
  for (const [index, node] of order.entries()) {
    node.index = index
    if (node.kind === 'answer') continue
    node.yes.edgesIn++
    node.no.edgesIn++
  }
  return order
}

/** Notes dominators and known bytes. `zero` is the base of checks from the packet's beginning. */
export function noteDominators(order: readonly Node[], zero: Value): void {
  for (const node of order) {
    node.dominator = undefined
    node.knownBytes = Number.POSITIVE_INFINITY
  }
  order[0].knownBytes = 0
  for (const node of order) {
    const { dominator } = node
    node.depth = dominator === undefined ? 0 : dominator.depth + 1
    node.jump = dominator === undefined ? undefined : jumpOver(dominator)
    if (node.kind === 'answer') continue
    const known = knownBytesAfter(node, zero)
    for (const next of [node.yes, node.no]) {
      next.knownBytes = Math.min(next.knownBytes, known)
      next.dominator = next.dominator === undefined ? node : commonDominator(next.dominator, node)
    }
  }
}

export function knownBytesAfter({ knownBytes, needs, extra }: Node, zero: Value): number {
  let known = knownBytes
  for (const checks of [needs, extra]) for (const { base, end } of checks) if (base === zero && end > known) known = end
  return known
}

/** So that there are jumps over 1, 1, 3, 1, 1, 3, 7 ... dominators: Myers, "An applicative random-access stack". */
function jumpOver(dominator: Branch): Branch {
  const { jump } = dominator
  if (jump?.jump === undefined) return dominator
  return dominator.depth - jump.depth === jump.depth - jump.jump.depth ? jump.jump : dominator
}

function commonDominator(one: Branch, other: Branch): Branch {
  let [a, b] = one.depth >= other.depth ? [one, other] : [other, one]
  while (a.depth > b.depth) a = a.jump !== undefined && a.jump.depth >= b.depth ? a.jump : (a.dominator as Branch)
  while (a !== b) {
    if (a.jump !== undefined && b.jump !== undefined && a.jump !== b.jump) {
      a = a.jump
      b = b.jump
    } else {
      a = a.dominator as Branch
      b = b.dominator as Branch
    }
  }
  return a
}
