/** What must be in a packet, or it is rejected. Pure. */
import { BPF_DIV, BPF_MOD } from '../../kernel/abi/filter.js'
import { loadBytes, type Value, type Values } from './values.js'

/**
 * `end` bytes lie from `base` on. With an end of 0: `load` can be computed, of which no more is known. `load` is a value that makes
 * the check when it is computed.
 */
export interface Check {
  readonly base: Value
  readonly end: number
  readonly load: Value
}

const MAX_OFFSET = 0x7fff_ffff

/** The farthest check of each base. */
export class CheckSet {
  readonly #checks = new Map<Value, Check>()

  add(check: Check): void {
    if (!this.covers(check)) this.#checks.set(check.base, check)
  }

  addAll(checks: Iterable<Check>): void {
    for (const check of checks) this.add(check)
  }

  covers({ base, end }: Check): boolean {
    const own = this.#checks.get(base)
    return own !== undefined && own.end >= end
  }

  list(): readonly Check[] {
    return [...this.#checks.values()]
  }
}

export class Checks {
  /** The base of what counts from the packet's beginning. */
  readonly zero: Value
  readonly #within = new Map<Value, readonly Check[]>()

  constructor(values: Values) {
    this.zero = values.constant(0)
  }

  /** What the last step to a value checks. */
  of(load: Value): Check | undefined {
    switch (load.kind) {
      case 'header length':
        return load.k > MAX_OFFSET ? { base: load, end: 0, load } : { base: this.zero, end: load.k + 1, load }
      case 'load': {
        const base = load.base ?? this.zero
        const end = load.k + loadBytes(load.size)
        return base.max + end - 1 > MAX_OFFSET ? { base: load, end: 0, load } : { base, end, load }
      }
      case 'operation': {
        const mayFail = (load.operation === BPF_DIV || load.operation === BPF_MOD) && load.right.kind !== 'constant'
        return mayFail ? { base: load, end: 0, load } : undefined
      }
      default:
        return undefined
    }
  }

  /** What all steps to these values check. */
  within(values: readonly Value[]): readonly Check[] {
    const all = new CheckSet()
    for (const value of values) all.addAll(this.#stepsTo(value))
    return all.list()
  }

  #stepsTo(value: Value): readonly Check[] {
    const before = this.#within.get(value)
    if (before !== undefined) return before
    const steps = new CheckSet()
    for (const part of partsOf(value)) steps.addAll(this.#stepsTo(part))
    const own = this.of(value)
    if (own !== undefined) steps.add(own)
    const list = steps.list()
    this.#within.set(value, list)
    return list
  }
}

function partsOf(value: Value): readonly Value[] {
  switch (value.kind) {
    case 'load':
      return value.base === undefined ? [] : [value.base]
    case 'operation':
      return [value.left, value.right]
    case 'negation':
      return [value.of]
    default:
      return []
  }
}
