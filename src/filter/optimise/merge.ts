/** Equal nodes become one: intern_blocks() of libpcap's optimize.c. Pure. */
import type { Check } from './checks.js'
import { isTransparent, type Node, sorted } from './decisions.js'

/** Answers the root, which may be another. */
export function mergeEqual(root: Node): { root: Node; isChanged: boolean } {
  const order = sorted(root)
  const first = new Map<string, Node>()
  const replaced = new Map<Node, Node>()
  const of = (node: Node) => replaced.get(node) ?? node
  for (const node of order.toReversed()) {
    if (node.kind === 'branch') {
      node.yes = of(node.yes)
      node.no = of(node.no)
    }
    const key = keyOf(node)
    if (key === undefined) continue
    const same = first.get(key)
    if (same === undefined) first.set(key, node)
    else replaced.set(node, same)
  }
  return { root: of(root), isChanged: replaced.size > 0 }
}

/** Undefined for what has no equal. */
function keyOf(node: Node): string | undefined {
  if (node.joins.length > 0) return undefined
  if (node.kind === 'answer') return `${node.answer},${keysOf(node.extra)}`
  if (!isTransparent(node)) return undefined
  const { test, yes, no } = node
  // Where both ways are one, only the checks count.
  if (yes === no) return `,${yes.index},${keysOf([...node.needs, ...node.extra])}`
  return `${test.comparison},${test.left.id},${test.right.id},${yes.index},${no.index},${keysOf(node.extra)}`
}

function keysOf(checks: readonly Check[]): string[] {
  return checks.map(({ base, end }) => `${base.id}+${end}`).sort()
}
