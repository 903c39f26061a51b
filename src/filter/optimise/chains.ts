/**
 * In a or b or c, comparisons of the same value are brought together, so that it is loaded once: and_pullup() and or_pullup() of
 * libpcap's optimize.c, a whole chain at a time. Pure.
 *
 * Unlike there, nothing changes for packets that are too short: `host A or host B` compares A with both addresses before it has
 * the first load for B again, since then it is known that both are there. Where the chain leads to a rejection, as most with `and`
 * do, the order is free.
 */
import { type Branch, isMovable, type Node, rejects, sorted } from './decisions.js'
import type { Value } from './values.js'

type Way = 'yes' | 'no'

/** Answers the root, which may be another. Wants `unmet` as threadJumps() leaves it, and leaves it outdated. */
export function groupChains(root: Node): { root: Node; isChanged: boolean } {
  const order = sorted(root)
  const comingFrom = new Map<Node, Branch[]>()
  for (const node of order) {
    if (node.kind === 'answer') continue
    for (const next of node.yes === node.no ? [node.yes] : [node.yes, node.no]) {
      const before = comingFrom.get(next)
      if (before === undefined) comingFrom.set(next, [node])
      else before.push(node)
    }
  }
  let first = root
  let isChanged = false
  for (const shared of ['yes', 'no'] as const) {
    const done = new Set<Node>()
    for (const node of order) {
      if (node.kind === 'answer' || done.has(node)) continue
      const chain = chainFrom(node, shared)
      for (const branch of chain) done.add(branch)
      if (chain.length < 2) continue
      const before = comingFrom.get(node) ?? []
      const grouped = group(chain, leftBy(before), rejects(node[shared]))
      if (grouped.every((branch, position) => branch === chain[position])) continue
      isChanged = true
      relink(chain, grouped, shared === 'yes' ? 'no' : 'yes', before, comingFrom)
      if (node === first) first = grouped[0]
    }
  }
  return { root: first, isChanged }
}

/** Branches that go the shared way to the same node, each with no other way to it than from the one before. */
function chainFrom(head: Branch, shared: Way): Branch[] {
  const on = shared === 'yes' ? 'no' : 'yes'
  const chain: Branch[] = []
  for (let node: Node = head; node.kind === 'branch' && isMovable(node) && node.yes !== node.no; node = node[on]) {
    if (node !== head && (node.edgesIn !== 1 || node[shared] !== head[shared])) break
    chain.push(node)
  }
  return chain
}

/** What is in A on all ways to a chain. */
function leftBy(before: readonly Branch[]): Value | undefined {
  const value = before[0]?.test.left
  return before.every(({ test }) => test.left === value) ? value : undefined
}

/** `isFree` where packets that are too short go where the chain leads. */
function group(chain: readonly Branch[], inA: Value | undefined, isFree: boolean): Branch[] {
  const grouped: Branch[] = []
  const isTaken = new Set<Branch>()
  const take = (branch: Branch) => {
    grouped.push(branch)
    isTaken.add(branch)
  }
  const byLeft = new Map<Value, Branch[]>()
  const positions = new Map<Branch, number>()
  for (const [position, branch] of chain.entries()) {
    positions.set(branch, position)
    const same = byLeft.get(branch.test.left)
    if (same === undefined) byLeft.set(branch.test.left, [branch])
    else same.push(branch)
  }
  // What stands before the first that is left and may reject, may be overtaken; by what cannot reject itself.
  let firstUnmet = 0
  const pull = (left: Value) => {
    while (firstUnmet < chain.length && (isTaken.has(chain[firstUnmet]) || chain[firstUnmet].unmet.length === 0)) firstUnmet++
    const later = (byLeft.get(left) ?? []).filter((branch) => !isTaken.has(branch))
    const pulled = isFree ? later : later.filter((branch) => (positions.get(branch) as number) < firstUnmet)
    for (const branch of pulled) take(branch)
    byLeft.set(
      left,
      later.filter((branch) => !isTaken.has(branch)),
    )
  }
  if (inA !== undefined) pull(inA)
  for (const branch of chain) {
    if (isTaken.has(branch)) continue
    take(branch)
    pull(branch.test.left)
  }
  return grouped
}

function relink(chain: readonly Branch[], grouped: readonly Branch[], on: Way, before: readonly Branch[], comingFrom: Map<Node, Branch[]>): void {
  const [head] = chain
  const behind = chain[chain.length - 1][on]
  const [newHead] = grouped
  const { edgesIn } = head
  for (const branch of before) {
    if (branch.yes === head) branch.yes = newHead
    if (branch.no === head) branch.no = newHead
  }
  for (const [position, branch] of grouped.entries()) {
    branch[on] = position + 1 < grouped.length ? grouped[position + 1] : behind
    branch.edgesIn = 1
    if (position > 0) comingFrom.set(branch, [grouped[position - 1]])
  }
  newHead.edgesIn = edgesIn
  comingFrom.set(newHead, [...before])
  const last = chain[chain.length - 1]
  const afterBehind = comingFrom.get(behind)
  afterBehind?.splice(afterBehind.indexOf(last), 1, grouped[grouped.length - 1])
}
