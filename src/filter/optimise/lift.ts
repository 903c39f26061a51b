/** From the statements of a flow graph to the values that they compute. Pure. */
import {
  BPF_ABS,
  BPF_ADD,
  BPF_ALU,
  BPF_AND,
  BPF_B,
  BPF_DIV,
  BPF_H,
  BPF_IMM,
  BPF_IND,
  BPF_JEQ,
  BPF_JGE,
  BPF_JGT,
  BPF_JMP,
  BPF_JSET,
  BPF_LD,
  BPF_LDX,
  BPF_LEN,
  BPF_LSH,
  BPF_MEM,
  BPF_MEMWORDS,
  BPF_MISC,
  BPF_MOD,
  BPF_MSH,
  BPF_MUL,
  BPF_NEG,
  BPF_OR,
  BPF_RSH,
  BPF_ST,
  BPF_STX,
  BPF_SUB,
  BPF_TAX,
  BPF_TXA,
  BPF_W,
  BPF_X,
  BPF_XOR,
  SKF_AD_ALU_XOR_X,
  SKF_AD_NLATTR,
  SKF_AD_NLATTR_NEST,
  SKF_AD_OFF,
  SKF_AD_RANDOM,
} from '../../kernel/abi/filter.js'
import type { FlowBlock, FlowBranch, FlowStatement } from '../flow-graph.js'
import { inLayoutOrder } from '../linearise.js'
import { type Check, CheckSet, type Checks } from './checks.js'
import { simplify, type Test } from './comparison.js'
import { type Answer, type Assign, makeAnswer, makeBranch, type Node } from './decisions.js'
import { NotOptimisable } from './not-optimisable.js'
import { type Entry, LOCATION_A, LOCATION_X, LOCATIONS, type Value, type Values } from './values.js'

const OPERATIONS = new Set([BPF_ADD, BPF_SUB, BPF_MUL, BPF_DIV, BPF_MOD, BPF_AND, BPF_OR, BPF_XOR, BPF_LSH, BPF_RSH])
const COMPARISONS = new Set([BPF_JEQ, BPF_JGT, BPF_JGE, BPF_JSET])
/** They read A and X, or are another value every time. */
const IMPURE_LOADS = new Set([SKF_AD_ALU_XOR_X, SKF_AD_NLATTR, SKF_AD_NLATTR_NEST, SKF_AD_RANDOM].map((field) => (SKF_AD_OFF + field) >>> 0))
/** Expressions are walked by recursion. */
const MAX_HEIGHT = 200

/** What a block computes from what was there when it began. */
interface Lifted {
  readonly block: FlowBlock
  readonly before: readonly Value[]
  readonly after: readonly Value[]
  /** What its statements check. */
  readonly checked: readonly Check[]
  /** It divides by 0, always. */
  readonly rejects: boolean
}

/** @throws NotOptimisable for instructions that are no functions of the packet, or that the kernel would refuse. */
export function lift(graph: FlowBlock, values: Values, checks: Checks): Node {
  const lifted = liftBlocks(inLayoutOrder(graph).toReversed(), values, checks)
  const nodes = new Nodes(values, checks, comparedOften(lifted, values))
  for (let index = lifted.length - 1; index >= 0; index--) nodes.add(lifted[index], index)
  return nodes.of(graph)
}

function testOf({ after }: Lifted, { code, k }: FlowBranch, values: Values): Test {
  return { comparison: code & 0xf0, left: after[LOCATION_A], right: (code & BPF_X) !== 0 ? after[LOCATION_X] : values.constant(k) }
}

/** Values of which there are several comparisons: they are computed once, so a comparison of what they are made of saves nothing. */
function comparedOften(lifted: readonly Lifted[], values: Values): ReadonlySet<Value> {
  const often = new Set<Value>()
  const first = new Map<Value, Test>()
  for (const one of lifted) {
    if (!('whenTrue' in one.block.end)) continue
    const test = testOf(one, one.block.end, values)
    if (test.left.kind === 'constant') continue
    const before = first.get(test.left)
    if (before === undefined) first.set(test.left, test)
    else if (before.comparison !== test.comparison || before.right !== test.right) often.add(test.left)
  }
  return often
}

/** Made from the answers back to the root. */
class Nodes {
  readonly #values: Values
  readonly #checks: Checks
  readonly #comparedOften: ReadonlySet<Value>
  readonly #nodes = new Map<FlowBlock, Node>()
  /** Locations whose content is taken where the block begins or later, as bits. */
  readonly #taken = new Map<FlowBlock, number>()
  readonly #plainAnswers = new Map<number, Answer>()

  constructor(values: Values, checks: Checks, often: ReadonlySet<Value>) {
    this.#values = values
    this.#checks = checks
    this.#comparedOften = often
  }

  of(block: FlowBlock): Node {
    return this.#nodes.get(block) as Node
  }

  /** `index` is that of the block's entry values. */
  add(lifted: Lifted, index: number): void {
    const { block, checked, rejects } = lifted
    if (rejects) this.#set(block, this.#plainAnswer(0), 0)
    else if ('whenTrue' in block.end) this.#addBranch(lifted, block.end, index)
    else if (checked.length === 0 || block.end.answer === 0) this.#set(block, this.#plainAnswer(block.end.answer), 0)
    else {
      const uses = entryLocations(checked.map(({ load }) => load))
      this.#set(block, makeAnswer(block.end.answer, checked, joinsOf(lifted, index, uses)), uses)
    }
  }

  #addBranch(lifted: Lifted, end: FlowBranch, index: number): void {
    const { block, before, after, checked } = lifted
    let test = testOf(lifted, end, this.#values)
    const simplified = simplify(this.#values, test)
    let { whenTrue: yes, whenFalse: no } = end
    if ('outcome' in simplified) {
      if (simplified.outcome) no = yes
      else yes = no
    }
    const takenAfter = (this.#taken.get(yes) as number) | (this.#taken.get(no) as number)
    const isPinned = (takenAfter & ((1 << LOCATION_A) | (1 << LOCATION_X))) !== 0
    if (!isPinned && 'test' in simplified && (simplified.test.left === test.left || !this.#comparedOften.has(test.left))) {
      test = simplified.test
      if (simplified.swapped) [yes, no] = [no, yes]
    }
    const assigns: Assign[] = []
    let passedOn = 0
    for (let location = 0; takenAfter >> location !== 0; location++) {
      if ((takenAfter & (1 << location)) === 0) continue
      if (before[location] === after[location]) passedOn |= 1 << location
      else assigns.push({ location, value: after[location] })
    }
    const used = assigns.map(({ value }) => value)
    if (yes !== no) used.push(test.left, test.right)
    const needs = this.#checks.within(used)
    const covered = new CheckSet()
    covered.addAll(needs)
    const extra = checked.filter((check) => !covered.covers(check))
    const uses = passedOn | entryLocations([...used, ...extra.map(({ load }) => load)])
    const ways = { yes: this.of(yes), no: this.of(no) }
    this.#set(block, makeBranch({ needs, extra, test, ...ways, assigns, joins: joinsOf(lifted, index, uses), isPinned }), uses)
  }

  #plainAnswer(k: number): Answer {
    const before = this.#plainAnswers.get(k)
    if (before !== undefined) return before
    const answer = makeAnswer(k)
    this.#plainAnswers.set(k, answer)
    return answer
  }

  #set(block: FlowBlock, node: Node, taken: number): void {
    this.#nodes.set(block, node)
    this.#taken.set(block, taken)
  }
}

function entryLocations(values: readonly Value[]): number {
  let bits = 0
  for (const { entries } of values) for (const { location } of entries) bits |= 1 << location
  return bits
}

function joinsOf({ before }: Lifted, index: number, uses: number): Entry[] {
  return before.flatMap((value) => (value.kind === 'entry' && value.block === index && (uses & (1 << value.location)) !== 0 ? value : []))
}

function liftBlocks(blocks: readonly FlowBlock[], values: Values, checks: Checks): Lifted[] {
  const arrivals = new Map<FlowBlock, Arrival>()
  const lifted: Lifted[] = []
  for (const [index, block] of blocks.entries()) {
    const before = index === 0 ? atStart(values) : entryValues(arrivals.get(block) as Arrival, index, values)
    arrivals.delete(block)
    const state = new BlockState(values, checks, before)
    const rejects = !block.statements.every((statement) => state.run(statement))
    const { after } = state
    lifted.push({ block, before, after, checked: state.checked.list(), rejects })
    if ('answer' in block.end) continue
    const { code, whenTrue, whenFalse } = block.end
    if ((code & 0x07) !== BPF_JMP || !COMPARISONS.has(code & 0xf0)) throw new NotOptimisable()
    for (const next of [whenTrue, whenFalse]) {
      const arrival = arrivals.get(next)
      if (arrival === undefined) arrivals.set(next, { first: after, max: undefined })
      else meet(arrival, after)
    }
  }
  return lifted
}

/** What blocks leave in the locations for the one that follows. */
interface Arrival {
  readonly first: readonly Value[]
  /** Of those that differ, how large they are at most; undefined for those that do not. */
  max: (number | undefined)[] | undefined
}

function meet(arrival: Arrival, after: readonly Value[]): void {
  const { first } = arrival
  for (let location = 0; location < LOCATIONS; location++) {
    const known = arrival.max?.[location]
    if (first[location] === after[location] && known === undefined) continue
    arrival.max ??= new Array<number | undefined>(LOCATIONS).fill(undefined)
    arrival.max[location] = Math.max(known ?? first[location].max, after[location].max)
  }
}

/** The kernel and libpcap begin with 0 in both registers, and the kernel refuses to read memory that was not written. */
function atStart(values: Values): Value[] {
  const zero = values.constant(0)
  return Array.from({ length: LOCATIONS }, (_, location) => (location < BPF_MEMWORDS ? values.entry(0, location, 0xffff_ffff) : zero))
}

/** A value that is made of what is no longer there counts as different, too: it cannot be computed again. */
function entryValues({ first, max }: Arrival, index: number, values: Values): readonly Value[] {
  const isSame = (location: number) => max?.[location] === undefined
  const isThere = (value: Value, location: number) =>
    isSame(location) && value.entries.every((entry) => isSame(entry.location) && first[entry.location] === entry)
  if (first.every(isThere)) return first
  return first.map((value, location) => (isThere(value, location) ? value : values.entry(index, location, max?.[location] ?? value.max)))
}

class BlockState {
  readonly after: Value[]
  readonly checked = new CheckSet()
  readonly #values: Values
  readonly #checks: Checks

  constructor(values: Values, checks: Checks, before: readonly Value[]) {
    this.#values = values
    this.#checks = checks
    this.after = [...before]
  }

  /** False where it rejects every packet. */
  run({ code, k }: FlowStatement): boolean {
    const values = this.#values
    switch (code) {
      case BPF_LD | BPF_ABS | BPF_W:
      case BPF_LD | BPF_ABS | BPF_H:
      case BPF_LD | BPF_ABS | BPF_B:
        if (IMPURE_LOADS.has(k)) throw new NotOptimisable()
        return this.#set(LOCATION_A, values.load(code & 0x18, k))
      case BPF_LD | BPF_IND | BPF_W:
      case BPF_LD | BPF_IND | BPF_H:
      case BPF_LD | BPF_IND | BPF_B:
        return this.#set(LOCATION_A, values.load(code & 0x18, k, this.after[LOCATION_X]))
      case BPF_LD | BPF_LEN:
        return this.#set(LOCATION_A, values.wireLength())
      case BPF_LDX | BPF_LEN:
        return this.#set(LOCATION_X, values.wireLength())
      case BPF_LD | BPF_IMM:
        return this.#set(LOCATION_A, values.constant(k))
      case BPF_LDX | BPF_IMM:
        return this.#set(LOCATION_X, values.constant(k))
      case BPF_LD | BPF_MEM:
        return this.#set(LOCATION_A, this.after[memoryWord(k)])
      case BPF_LDX | BPF_MEM:
        return this.#set(LOCATION_X, this.after[memoryWord(k)])
      case BPF_LDX | BPF_MSH | BPF_B:
        return this.#set(LOCATION_X, values.headerLength(k))
      case BPF_ST:
        return this.#set(memoryWord(k), this.after[LOCATION_A])
      case BPF_STX:
        return this.#set(memoryWord(k), this.after[LOCATION_X])
      case BPF_MISC | BPF_TAX:
        return this.#set(LOCATION_X, this.after[LOCATION_A])
      case BPF_MISC | BPF_TXA:
        return this.#set(LOCATION_A, this.after[LOCATION_X])
      case BPF_ALU | BPF_NEG:
        return this.#set(LOCATION_A, values.negate(this.after[LOCATION_A]))
    }
    const operation = code & 0xf0
    if ((code & 0x07) !== BPF_ALU || code !== (BPF_ALU | operation | (code & BPF_X)) || !OPERATIONS.has(operation)) throw new NotOptimisable()
    return this.#operate(operation, (code & BPF_X) !== 0 ? this.after[LOCATION_X] : values.constant(k), (code & BPF_X) === 0)
  }

  #operate(operation: number, right: Value, isConstantOperand: boolean): boolean {
    let operand = right
    if ((operation === BPF_LSH || operation === BPF_RSH) && right.kind === 'constant' && right.k > 31) {
      // The kernel refuses a constant above 31, and counts X modulo 32.
      if (isConstantOperand) throw new NotOptimisable()
      operand = this.#values.constant(right.k & 31)
    }
    const value = this.#values.operate(operation, this.after[LOCATION_A], operand)
    if (value === undefined) return false
    return this.#set(LOCATION_A, value)
  }

  #set(location: number, value: Value): boolean {
    if (value.height > MAX_HEIGHT) throw new NotOptimisable()
    const check = this.#checks.of(value)
    if (check !== undefined) this.checked.add(check)
    this.after[location] = value
    return true
  }
}

function memoryWord(k: number): number {
  if (k >= BPF_MEMWORDS) throw new NotOptimisable()
  return k
}
