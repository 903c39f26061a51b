/**
 * Lays a flow graph out as a program. Every jump of classic BPF goes forward, a comparison's at most 255 instructions far: libpcap's
 * convert_code_r() puts a BPF_JA behind each comparison whose target is farther. Here one such detour serves all comparisons before
 * it that reach it, so a long list of ports costs a detour every 255 instructions. Pure.
 */
import type { Instruction } from '../bpf/classic.js'
import { CaptureError } from '../errors.js'
import { BPF_JA, BPF_JMP, BPF_K, BPF_LD, BPF_LDX, BPF_MAXINSNS, BPF_MEM, BPF_RET } from '../kernel/abi/filter.js'
import type { FlowAnswer, FlowBlock } from './flow-graph.js'

const MAX_DISTANCE = 255

/**
 * The program of a graph without loops.
 * @throws CaptureError INVALID_FILTER for one that is longer than BPF_MAXINSNS instructions.
 */
export function linearise(graph: FlowBlock): Instruction[] {
  const blocks = inLayoutOrder(graph)
  const answers = new Set(blocks.flatMap(({ end }) => ('answer' in end ? end.answer : [])))
  const layout = new Layout([...answers], blocks.some(readsMemory))
  for (const block of blocks) {
    if (!isPlainAnswer(block)) layout.prepend(block)
    if (layout.length > BPF_MAXINSNS) {
      throw new CaptureError('INVALID_FILTER', `the filter needs more than the ${BPF_MAXINSNS} instructions that the kernel takes`)
    }
  }
  return layout.program()
}

/**
 * Each block behind those it leads to. What is true comes last and so stands next to its comparison, as libpcap has it.
 * @throws Error for a graph with a loop.
 */
export function inLayoutOrder(graph: FlowBlock): FlowBlock[] {
  const order: FlowBlock[] = []
  const finished = new Map<FlowBlock, boolean>()
  const stack: FlowBlock[] = [graph]
  while (stack.length > 0) {
    const block = stack[stack.length - 1]
    const isFinished = finished.get(block)
    if (isFinished === undefined && 'whenTrue' in block.end) {
      finished.set(block, false)
      for (const next of [block.end.whenTrue, block.end.whenFalse]) {
        if (finished.get(next) === false) throw new Error('the flow graph has a loop')
        if (!finished.has(next)) stack.push(next)
      }
      continue
    }
    stack.pop()
    if (isFinished === true) continue
    finished.set(block, true)
    order.push(block)
  }
  return order
}

function readsMemory(block: FlowBlock): boolean {
  return block.statements.some(({ code }) => code === (BPF_LD | BPF_MEM) || code === (BPF_LDX | BPF_MEM))
}

function isPlainAnswer(block: FlowBlock): boolean {
  return 'answer' in block.end && block.statements.length === 0
}

/** Where a jump goes: a block, or an answer without statements, of which all with the same number are one. */
type Target = FlowBlock | number

function targetOf(block: FlowBlock): Target {
  return isPlainAnswer(block) ? (block.end as FlowAnswer).answer : block
}

/** Grows from its end, so that the distance of every jump is known when it is made. Positions count from the end. */
class Layout {
  readonly #backward: Instruction[] = []
  /** Where the target itself begins. */
  readonly #home = new Map<Target, number>()
  /** The last place that leads to it: itself, a detour, a copy of a return. */
  readonly #nearest = new Map<Target, number>()
  /**
   * NB: the kernel's check_load_and_stores() takes what follows a return to be reached from there, without the stores of other
   * ways. In a program that reads memory all returns stand at the end.
   */
  readonly #returnsAtEnd: boolean

  constructor(answers: readonly number[], returnsAtEnd: boolean) {
    this.#returnsAtEnd = returnsAtEnd
    for (const answer of answers) {
      this.#backward.push([BPF_RET | BPF_K, 0, 0, answer])
      this.#place(answer)
    }
  }

  get length(): number {
    return this.#backward.length
  }

  program(): Instruction[] {
    return this.#backward.toReversed()
  }

  prepend(block: FlowBlock): void {
    const { statements, end } = block
    if ('answer' in end) this.#goTo(end.answer)
    else this.#branch(end.code, end.k, targetOf(end.whenTrue), targetOf(end.whenFalse))
    for (let i = statements.length - 1; i >= 0; i--) this.#backward.push([statements[i].code, 0, 0, statements[i].k])
    this.#place(block)
  }

  #branch(code: number, k: number, yes: Target, no: Target): void {
    if (yes === no) {
      this.#goTo(yes)
      return
    }
    // One detour moves what is behind it out of reach of the other way, at worst.
    for (;;) {
      if (this.#distance(no) > MAX_DISTANCE) this.#detour(no)
      else if (this.#distance(yes) > MAX_DISTANCE) this.#detour(yes)
      else break
    }
    this.#backward.push([code, this.#distance(yes), this.#distance(no), k])
  }

  #goTo(target: Target): void {
    if (this.#distance(target) > 0) this.#detour(target)
  }

  #detour(target: Target): void {
    const home = this.#home.get(target) as number
    if (typeof target === 'number' && !this.#returnsAtEnd) this.#backward.push([BPF_RET | BPF_K, 0, 0, target])
    else this.#backward.push([BPF_JMP | BPF_JA, 0, 0, this.length - home])
    this.#nearest.set(target, this.length)
  }

  /** From the next instruction to be prepended. */
  #distance(target: Target): number {
    const toHome = this.length - (this.#home.get(target) as number)
    return toHome <= MAX_DISTANCE ? toHome : this.length - (this.#nearest.get(target) as number)
  }

  #place(target: Target): void {
    this.#home.set(target, this.length)
    this.#nearest.set(target, this.length)
  }
}
