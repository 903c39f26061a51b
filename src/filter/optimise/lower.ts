/**
 * From values back to statements. Each branch computes what it compares, with as few instructions as can be from what the branches
 * before it have left in the registers and in memory. Pure.
 */
import { BPF_JEQ, BPF_JMP, BPF_JSET, BPF_K, BPF_MEMWORDS, BPF_X } from '../../kernel/abi/filter.js'
import type { FlowBlock } from '../flow-graph.js'
import { type Check, CheckSet, type Checks } from './checks.js'
import { type Assign, type Branch, type Node, sorted } from './decisions.js'
import { Machine, type State } from './machine.js'
import { NotOptimisable } from './not-optimisable.js'
import { LOCATION_A, LOCATION_X, type Value, type Values } from './values.js'

const REGISTERS = (1 << LOCATION_A) | (1 << LOCATION_X)
const MEMORY = (1 << BPF_MEMWORDS) - 1

/** @throws NotOptimisable where there are not enough memory words, or an order of assigns that would have to be found. */
export function lower(root: Node, values: Values, checks: Checks): FlowBlock {
  const order = sorted(root)
  const taken = takenLocations(order)
  const reserved = taken.reduce((all, bits) => all | bits, 0) & MEMORY
  const arrivals = new Map<Node, State>()
  const blocks = new Map<Node, FlowBlock>()
  for (const node of order) {
    const machine = new Machine(arrivals.get(node) ?? Machine.initial(values), reserved)
    for (const entry of node.joins) machine.hold(entry.location, entry)
    const block: FlowBlock = { statements: machine.statements, end: { answer: 0 } }
    blocks.set(node, block)
    arrivals.delete(node)
    if (node.kind === 'answer') {
      computeChecks(machine, node.unmet, [])
      continue
    }
    const test = lowerBranch(machine, node, taken[node.yes.index] | taken[node.no.index], checks)
    block.end = { ...test, whenTrue: block, whenFalse: block }
    const after = machine.state
    for (const next of [node.yes, node.no]) arrivals.set(next, met(arrivals.get(next) ?? after, after))
  }
  return linked(order, blocks)
}

function met(before: State, after: State): State {
  return before.every((value, location) => value === undefined || value === after[location])
    ? before
    : before.map((value, location) => (value === after[location] ? value : undefined))
}

/** Where each node leads to. What neither computes nor compares is left out. */
function linked(order: readonly Node[], blocks: Map<Node, FlowBlock>): FlowBlock {
  for (const node of order.toReversed()) {
    const block = blocks.get(node) as FlowBlock
    if (node.kind === 'answer') block.end = { answer: node.answer }
    else if (node.yes === node.no && block.statements.length === 0) blocks.set(node, blocks.get(node.yes) as FlowBlock)
    else if ('code' in block.end) {
      block.end.whenTrue = blocks.get(node.yes) as FlowBlock
      block.end.whenFalse = blocks.get(node.no) as FlowBlock
    }
  }
  return blocks.get(order[0]) as FlowBlock
}

/** By index: the locations whose content is taken there or later, as bits. */
function takenLocations(order: readonly Node[]): number[] {
  const taken = new Array<number>(order.length).fill(0)
  for (const node of order.toReversed()) {
    const used: Value[] = node.unmet.map(({ load }) => load)
    let bits = 0
    if (node.kind === 'branch') {
      bits = taken[node.yes.index] | taken[node.no.index]
      for (const { value } of takenAssigns(node, bits)) used.push(value)
      for (const { location } of node.assigns) bits &= ~(1 << location)
      if (node.yes !== node.no) used.push(node.test.left, node.test.right)
    }
    for (const { entries } of used) for (const { location } of entries) bits |= 1 << location
    taken[node.index] = bits
  }
  return taken
}

function takenAssigns({ assigns }: Branch, takenAfter: number): Assign[] {
  return assigns.filter(({ location }) => (takenAfter & (1 << location)) !== 0)
}

function lowerBranch(machine: Machine, branch: Branch, takenAfter: number, checks: Checks): { code: number; k: number } {
  const { test, yes, no } = branch
  const assigns = takenAssigns(branch, takenAfter)
  const before = machine.state
  const isDecided = yes === no
  const assigned = assigns.map(({ value }) => value)
  computeChecks(machine, branch.unmet, checks.within(isDecided ? assigned : [...assigned, test.left, test.right]))
  for (const { location, value } of assigns) if (location < BPF_MEMWORDS) machine.store(value, location)
  const inRegister = (location: number) => assigns.find((assign) => assign.location === location)?.value
  let a = inRegister(LOCATION_A)
  let x = inRegister(LOCATION_X)
  if (!isDecided) {
    a ??= test.left
    if (test.right.kind !== 'constant') x ??= test.right
    if (a !== test.left) throw new NotOptimisable()
  }
  if (x === undefined) {
    if (a !== undefined) machine.loadA(a)
  } else if (a === undefined) machine.loadX(x)
  else {
    const isSymmetric = test.comparison === BPF_JEQ || test.comparison === BPF_JSET
    machine.loadBoth(a, x, isSymmetric && (takenAfter & REGISTERS) === 0)
  }
  for (let location = 0; takenAfter >> location !== 0; location++) {
    if ((takenAfter & (1 << location)) === 0 || !machine.hasWritten(location)) continue
    const wanted = assigns.find((assign) => assign.location === location)?.value ?? before[location]
    if (wanted === undefined || machine.state[location] !== wanted) throw new NotOptimisable()
  }
  if (isDecided || test.right.kind === 'constant') {
    return { code: BPF_JMP | (isDecided ? BPF_JEQ : test.comparison) | BPF_K, k: !isDecided && test.right.kind === 'constant' ? test.right.k : 0 }
  }
  return { code: BPF_JMP | test.comparison | BPF_X, k: 0 }
}

/** Those that no value that is computed anyway makes. */
function computeChecks(machine: Machine, wanted: readonly Check[], made: readonly Check[]): void {
  const done = new CheckSet()
  done.addAll(made)
  const left = new CheckSet()
  left.addAll(wanted.filter((check) => !done.covers(check)))
  for (const { load } of left.list()) machine.loadA(load)
}
