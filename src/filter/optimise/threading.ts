/**
 * Ways that need not go through a comparison since its outcome is known on them: opt_j() of libpcap's optimize.c. There what is
 * known comes from one dominating edge that compared the same value; here also from ranges and bits, over all dominating edges.
 *
 * Unlike there, no way goes around a check that may reject the packet: libpcap's optimiser lets some packets through that are too
 * short for the unoptimised program. Pure.
 */
import type { Check } from './checks.js'
import { type Branch, isTransparent, type Node, noteDominators, rejects, sorted } from './decisions.js'
import { Knowledge } from './knowledge.js'
import type { Value } from './values.js'

/** Steps around comparisons in all; what is left then stays as it is. */
export interface Budget {
  steps: number
}

/** Answers whether an edge has changed. `zero` is the base of checks from the packet's beginning. */
export function threadJumps(root: Node, zero: Value, budget: Budget): boolean {
  const order = sorted(root)
  noteDominators(order, zero)
  const dominated = new Map<Branch, Node[]>()
  for (const node of order) {
    if (node.dominator === undefined) continue
    const children = dominated.get(node.dominator)
    if (children === undefined) dominated.set(node.dominator, [node])
    else children.push(node)
  }
  const pass = new Pass(zero, dominated, budget)
  pass.walk(root)
  return pass.isChanged
}

class Pass {
  isChanged = false
  readonly #knowledge = new Knowledge()
  readonly #zero: Value
  readonly #dominated: ReadonlyMap<Branch, Node[]>
  readonly #budget: Budget

  constructor(zero: Value, dominated: ReadonlyMap<Branch, Node[]>, budget: Budget) {
    this.#zero = zero
    this.#dominated = dominated
    this.#budget = budget
  }

  /** What a node leads to is threaded before it, so that most ways are one step long. Along the tree of dominators. */
  walk(root: Node): void {
    const stack: { node: Node; mark: number | undefined }[] = [{ node: root, mark: undefined }]
    for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
      const { node, mark } = top
      if (mark !== undefined) {
        if (node.kind === 'branch') this.#thread(node)
        this.#knowledge.takeBack(mark)
        continue
      }
      stack.push({ node, mark: this.#knowledge.mark() })
      this.#enter(node)
      // The last pushed is the first entered: the farthest from the root.
      if (node.kind === 'branch') for (const child of this.#dominated.get(node) ?? []) stack.push({ node: child, mark: undefined })
    }
  }

  #enter(node: Node): void {
    const { dominator } = node
    if (dominator !== undefined && node.edgesIn === 1) this.#knowledge.learn(dominator.test, node === dominator.yes)
    this.#knowledge.learnCheck({ base: this.#zero, end: node.knownBytes, load: this.#zero })
    const isUnmet = (check: Check) => !this.#knowledge.isMet(check)
    node.extra = node.extra.filter(isUnmet)
    node.unmet = [...node.needs.filter(isUnmet), ...node.extra]
    for (const check of node.unmet) this.#knowledge.learnCheck(check)
  }

  #thread(branch: Branch): void {
    if (branch.yes === branch.no) {
      const next = this.#target(branch.yes)
      if (next !== branch.yes) this.isChanged = true
      branch.yes = next
      branch.no = next
      return
    }
    const outcome = this.#knowledge.outcomeOf(branch.test)
    if (outcome !== undefined) {
      if (outcome) branch.no = branch.yes
      else branch.yes = branch.no
      this.isChanged = true
      this.#thread(branch)
      return
    }
    const { yes, no } = branch
    branch.yes = this.#onWay(branch, true)
    branch.no = this.#onWay(branch, false)
    if (branch.yes !== yes || branch.no !== no) this.isChanged = true
  }

  #onWay(branch: Branch, outcome: boolean): Node {
    const mark = this.#knowledge.mark()
    this.#knowledge.learn(branch.test, outcome)
    const target = this.#target(outcome ? branch.yes : branch.no)
    this.#knowledge.takeBack(mark)
    return target
  }

  #target(first: Node): Node {
    let node = first
    while (node.kind === 'branch' && isTransparent(node) && this.#budget.steps-- > 0) {
      const next = this.#next(node)
      if (next === undefined) break
      if (!rejects(next) && !this.#isPassedBy(node)) break
      node = next
    }
    return node
  }

  /** NB: what is unmet on all ways to a node together says nothing of this one. */
  #isPassedBy({ needs, extra }: Branch): boolean {
    const isMet = (check: Check) => this.#knowledge.isMet(check)
    return needs.every(isMet) && extra.every(isMet)
  }

  #next({ test, yes, no }: Branch): Node | undefined {
    if (yes === no) return yes
    if (rejects(yes) && rejects(no)) return yes
    const outcome = this.#knowledge.outcomeOf(test)
    return outcome === undefined ? undefined : outcome ? yes : no
  }
}
