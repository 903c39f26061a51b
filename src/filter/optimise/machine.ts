/** Makes statements, and knows what they leave in the registers and in memory. Pure. */
import {
  BPF_ABS,
  BPF_ALU,
  BPF_B,
  BPF_IMM,
  BPF_IND,
  BPF_K,
  BPF_LD,
  BPF_LDX,
  BPF_LEN,
  BPF_MAXINSNS,
  BPF_MEM,
  BPF_MEMWORDS,
  BPF_MISC,
  BPF_MSH,
  BPF_NEG,
  BPF_ST,
  BPF_STX,
  BPF_TAX,
  BPF_TXA,
  BPF_X,
} from '../../kernel/abi/filter.js'
import type { FlowStatement } from '../flow-graph.js'
import { NotOptimisable } from './not-optimisable.js'
import { isCommutative, LOCATION_A, LOCATION_X, LOCATIONS, type Operation, type Value, type Values } from './values.js'

/** By location; undefined where it is not known. */
export type State = readonly (Value | undefined)[]

interface Snapshot {
  readonly state: State
  readonly written: number
  readonly busy: number
  readonly from: number
  readonly statements: readonly FlowStatement[]
}

/** Orders of computation that are tried for one branch; then the first that promises to be good is taken. */
const MAX_TRIALS = 60

export class Machine {
  readonly statements: FlowStatement[] = []
  #state: State
  /** Whether the state may be changed, or is also somebody else's. */
  #isOwn = false
  /** Memory words that are not free, as bits; and those that hold a value while another is computed. */
  readonly #reserved: number
  #busy = 0
  #written = 0
  #trials = MAX_TRIALS

  constructor(state: State, reserved: number) {
    this.#state = state
    this.#reserved = reserved
  }

  static initial(values: Values): State {
    const zero = values.constant(0)
    return Array.from({ length: LOCATIONS }, (_, location) => (location < BPF_MEMWORDS ? undefined : zero))
  }

  /** It does not change any more. */
  get state(): State {
    this.#isOwn = false
    return this.#state
  }

  hold(location: number, value: Value): void {
    if (this.#state[location] === value) return
    const own = this.#isOwn ? (this.#state as (Value | undefined)[]) : [...this.#state]
    own[location] = value
    this.#state = own
    this.#isOwn = true
  }

  hasWritten(location: number): boolean {
    return (this.#written & (1 << location)) !== 0
  }

  /** Into a memory word. */
  store(value: Value, word: number): void {
    if (this.#state[word] === value) return
    // What is in A is often used again.
    const isXFree = this.#x === undefined || this.#x.kind === 'constant'
    if (this.#x === value || (this.#a !== value && value.kind === 'constant' && isXFree)) {
      this.loadX(value)
      this.#emit(BPF_STX, word, word, value)
    } else {
      this.loadA(value)
      this.#emit(BPF_ST, word, word, value)
    }
  }

  loadA(value: Value): void {
    if (this.#a === value) return
    const word = this.#wordOf(value)
    if (this.#x === value) this.#emit(BPF_MISC | BPF_TXA, 0, LOCATION_A, value)
    else if (word !== undefined) this.#emit(BPF_LD | BPF_MEM, word, LOCATION_A, value)
    else this.#computeA(value)
  }

  #computeA(value: Value): void {
    switch (value.kind) {
      case 'constant':
        this.#emit(BPF_LD | BPF_IMM, value.k, LOCATION_A, value)
        break
      case 'wire length':
        this.#emit(BPF_LD | BPF_LEN, 0, LOCATION_A, value)
        break
      case 'header length':
        this.loadX(value)
        this.#emit(BPF_MISC | BPF_TXA, 0, LOCATION_A, value)
        break
      case 'load':
        if (value.base !== undefined) this.loadX(value.base)
        this.#emit(BPF_LD | (value.base === undefined ? BPF_ABS : BPF_IND) | value.size, value.k, LOCATION_A, value)
        break
      case 'negation':
        this.loadA(value.of)
        this.#emit(BPF_ALU | BPF_NEG, 0, LOCATION_A, value)
        break
      case 'operation':
        this.#operate(value)
        break
      case 'entry':
        throw new NotOptimisable()
    }
  }

  loadX(value: Value): void {
    if (this.#x === value) return
    if (this.#loadXDirectly(value)) return
    this.loadA(value)
    this.#emit(BPF_MISC | BPF_TAX, 0, LOCATION_X, value)
  }

  /** With `isSymmetric`, they may as well be the other way round. */
  loadBoth(a: Value, x: Value, isSymmetric: boolean): void {
    if (a === x) {
      this.loadA(a)
      this.loadX(x)
      return
    }
    const orders = isSymmetric ? [...this.#orders(a, x), ...this.#orders(x, a)] : this.#orders(a, x)
    if (this.#trials < orders.length) {
      this.#promising(a, x, isSymmetric)()
      return
    }
    this.#trials -= orders.length
    const start = this.#snapshot(this.statements.length)
    let best: Snapshot | undefined
    for (const order of orders) {
      if (this.#works(order) && (best === undefined || this.statements.length < start.from + best.statements.length)) best = this.#snapshot(start.from)
      this.#restore(start)
    }
    if (best === undefined) throw new NotOptimisable()
    this.#restore(best)
  }

  #works(order: () => void): boolean {
    try {
      order()
      return true
    } catch (error) {
      if (error instanceof NotOptimisable) return false
      throw error
    }
  }

  /** What is computed last may spoil what was first; then the order does not work. */
  #orders(a: Value, x: Value): (() => void)[] {
    return [() => this.#loadAThenX(a, x), () => this.#loadXThenA(a, x), () => this.#loadSpillingX(a, x), () => this.#loadSpillingA(a, x)]
  }

  #promising(a: Value, x: Value, isSymmetric: boolean): () => void {
    if (this.#isDirect(x)) return () => this.#loadAThenX(a, x)
    if (isSymmetric && this.#isDirect(a)) return () => this.#loadAThenX(x, a)
    if (this.#leavesX(a)) return () => this.#loadXThenA(a, x)
    if (isSymmetric && this.#leavesX(x)) return () => this.#loadXThenA(x, a)
    return () => this.#loadSpillingX(a, x)
  }

  #loadAThenX(a: Value, x: Value): void {
    this.loadA(a)
    if (this.#x !== x && !this.#loadXDirectly(x)) throw new NotOptimisable()
  }

  #loadXThenA(a: Value, x: Value): void {
    this.loadX(x)
    this.loadA(a)
    if (this.#x !== x) throw new NotOptimisable()
  }

  #loadSpillingX(a: Value, x: Value): void {
    this.loadA(x)
    const word = this.#spillA(x)
    this.loadA(a)
    this.#emit(BPF_LDX | BPF_MEM, word, LOCATION_X, x)
    this.#busy &= ~(1 << word)
  }

  #loadSpillingA(a: Value, x: Value): void {
    this.loadA(a)
    const word = this.#spillA(a)
    this.loadX(x)
    this.#emit(BPF_LD | BPF_MEM, word, LOCATION_A, a)
    this.#busy &= ~(1 << word)
  }

  #spillA(value: Value): number {
    for (let word = 0; word < BPF_MEMWORDS; word++) {
      if (((this.#reserved | this.#busy) & (1 << word)) !== 0) continue
      this.#emit(BPF_ST, word, word, value)
      this.#busy |= 1 << word
      return word
    }
    throw new NotOptimisable()
  }

  get #a(): Value | undefined {
    return this.#state[LOCATION_A]
  }

  get #x(): Value | undefined {
    return this.#state[LOCATION_X]
  }

  #operate(value: Operation): void {
    const { operation, left, right } = value
    if (right.kind === 'constant') {
      this.loadA(left)
      this.#emit(BPF_ALU | operation | BPF_K, right.k, LOCATION_A, value)
      return
    }
    this.loadBoth(left, right, isCommutative(operation))
    this.#emit(BPF_ALU | operation | BPF_X, 0, LOCATION_A, value)
  }

  /** Without A. */
  #loadXDirectly(value: Value): boolean {
    const word = this.#wordOf(value)
    if (word !== undefined) this.#emit(BPF_LDX | BPF_MEM, word, LOCATION_X, value)
    else if (this.#a === value) this.#emit(BPF_MISC | BPF_TAX, 0, LOCATION_X, value)
    else if (value.kind === 'constant') this.#emit(BPF_LDX | BPF_IMM, value.k, LOCATION_X, value)
    else if (value.kind === 'header length') this.#emit(BPF_LDX | BPF_MSH | BPF_B, value.k, LOCATION_X, value)
    else if (value.kind === 'wire length') this.#emit(BPF_LDX | BPF_LEN, 0, LOCATION_X, value)
    else return false
    return true
  }

  #isDirect(value: Value): boolean {
    return value.kind === 'constant' || value.kind === 'header length' || value.kind === 'wire length' || this.#wordOf(value) !== undefined
  }

  /** Whether it can be loaded into A without X. */
  #leavesX(value: Value): boolean {
    if (this.#state.includes(value)) return true
    if (value.kind === 'operation') return value.right.kind === 'constant' && this.#leavesX(value.left)
    if (value.kind === 'negation') return this.#leavesX(value.of)
    return value.kind === 'constant' || value.kind === 'wire length' || (value.kind === 'load' && value.base === undefined)
  }

  #wordOf(value: Value): number | undefined {
    const word = this.#state.indexOf(value)
    return word >= 0 && word < BPF_MEMWORDS ? word : undefined
  }

  #emit(code: number, k: number, location: number, value: Value): void {
    if (this.statements.length >= BPF_MAXINSNS) throw new NotOptimisable()
    this.statements.push({ code, k })
    this.hold(location, value)
    this.#written |= 1 << location
  }

  /** With the statements from `from` on. */
  #snapshot(from: number): Snapshot {
    return { state: this.state, written: this.#written, busy: this.#busy, from, statements: this.statements.slice(from) }
  }

  #restore({ state, written, busy, from, statements }: Snapshot): void {
    this.#state = state
    this.#isOwn = false
    this.#written = written
    this.#busy = busy
    this.statements.length = from
    this.statements.push(...statements)
  }
}
