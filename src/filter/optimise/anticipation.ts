/**
 * Checks that are no longer needed since every way on to an acceptance makes them too, and more: a packet that is too short for one
 * is rejected all the same, only later. So of several unused loads that libpcap's optimiser would drop, the farthest alone remains.
 * Pure.
 */
import type { Check } from './checks.js'
import { isTransparent, type Node, rejects, sorted } from './decisions.js'
import type { Value } from './values.js'

/** Answers whether a check is gone. Wants `unmet` as threadJumps() leaves it, and leaves it outdated if so. */
export function dropAnticipated(root: Node, zero: Value): { root: Node; isChanged: boolean } {
  const order = sorted(root)
  /** By index: how many bytes every packet must have that is accepted from there on. */
  const wanted = new Array<number>(order.length).fill(0)
  const replaced = new Map<Node, Node>()
  let isChanged = false
  for (const node of order.toReversed()) {
    let after = rejects(node) ? Number.POSITIVE_INFINITY : 0
    const isAnticipated = ({ base, end }: Check) => base === zero && end <= after
    if (node.kind === 'branch') {
      node.yes = replaced.get(node.yes) ?? node.yes
      node.no = replaced.get(node.no) ?? node.no
      after = Math.min(wanted[node.yes.index], wanted[node.no.index])
      if (node.yes === node.no && isTransparent(node) && node.unmet.every(isAnticipated)) {
        replaced.set(node, node.yes)
        isChanged = true
        continue
      }
      const extra = node.extra.filter((check) => !isAnticipated(check))
      if (extra.length < node.extra.length) isChanged = true
      node.extra = extra
    }
    wanted[node.index] = [...node.needs, ...node.extra].reduce((most, { base, end }) => (base === zero ? Math.max(most, end) : most), after)
  }
  return { root: replaced.get(root) ?? root, isChanged }
}
