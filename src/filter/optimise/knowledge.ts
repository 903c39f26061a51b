/** What is known of a packet on one way through the graph, from the comparisons and checks on it. What is learned can be taken back. Pure. */
import { BPF_AND, BPF_JEQ, BPF_JGE, BPF_JGT } from '../../kernel/abi/filter.js'
import type { Check } from './checks.js'
import { holds, type Test } from './comparison.js'
import { allBits, VALUE_ID_BITS, type Value } from './values.js'

/** What a value can be. */
interface Bounds {
  readonly min: number
  readonly max: number
  /** Bits that are 1, and bits that may be 1. */
  readonly ones: number
  readonly mayBeOne: number
}

/** How many values that others are made of are looked at. */
const MAX_DEPTH = 4

export class Knowledge {
  readonly #bounds = new Map<Value, Bounds>()
  readonly #outcomes = new Map<number, boolean>()
  readonly #ends = new Map<Value, number>()
  readonly #undo: Learned[] = []

  /** To take back what is learned from here on. */
  mark(): number {
    return this.#undo.length
  }

  takeBack(mark: number): void {
    while (this.#undo.length > mark) {
      const { map, key, before } = this.#undo.pop() as Learned
      if (before === undefined) map.delete(key)
      else map.set(key, before)
    }
  }

  learnCheck({ base, end }: Check): void {
    if ((this.#ends.get(base) ?? -1) < end) this.#set(this.#ends, base, end)
  }

  isMet({ base, end }: Check): boolean {
    return (this.#ends.get(base) ?? -1) >= end
  }

  learn(test: Test, outcome: boolean): void {
    const { comparison, left, right } = test
    this.#set(this.#outcomes, keyOf(test), outcome)
    if (right.kind !== 'constant') return
    const bounds = narrowed(this.#boundsOf(left, 0), comparison, right.k, outcome)
    if (bounds !== undefined) this.#set(this.#bounds, left, bounds)
  }

  /** Undefined where both are possible. */
  outcomeOf(test: Test): boolean | undefined {
    const { comparison, left, right } = test
    const { min, max, ones, mayBeOne } = this.#boundsOf(left, 0)
    if (right.kind === 'constant') {
      const { k } = right
      if (min === max) return holds(comparison, min, k)
      switch (comparison) {
        case BPF_JEQ:
          if (k < min || k > max || (k & ~mayBeOne) !== 0 || (ones & ~k) !== 0) return false
          break
        case BPF_JGT:
          if (min > k) return true
          if (max <= k) return false
          break
        case BPF_JGE:
          if (min >= k) return true
          if (max < k) return false
          break
        default:
          if ((k & mayBeOne) === 0) return false
          if ((k & ones) !== 0) return true
      }
    }
    return this.#outcomes.get(keyOf(test))
  }

  #boundsOf(value: Value, depth: number): Bounds {
    const known = this.#bounds.get(value)
    if (known !== undefined) return known
    if (value.kind === 'constant') return { min: value.k, max: value.k, ones: value.k, mayBeOne: value.k }
    if (value.kind === 'operation' && value.operation === BPF_AND && value.right.kind === 'constant' && depth < MAX_DEPTH) {
      const of = this.#boundsOf(value.left, depth + 1)
      const ones = (of.ones & value.right.k) >>> 0
      const mayBeOne = (of.mayBeOne & value.right.k) >>> 0
      return { min: ones, max: mayBeOne, ones, mayBeOne }
    }
    return { min: 0, max: value.max, ones: 0, mayBeOne: allBits(value.max) }
  }

  #set<K, V>(map: Map<K, V>, key: K, value: V): void {
    this.#undo.push({ map: map as Map<unknown, unknown>, key, before: map.get(key) })
    map.set(key, value)
  }
}

interface Learned {
  readonly map: Map<unknown, unknown>
  readonly key: unknown
  /** Undefined where there was none. */
  readonly before: unknown
}

/** A number below 2^53, as it is faster to look up than a text. */
function keyOf({ comparison, left, right }: Test): number {
  return (left.id * 2 ** VALUE_ID_BITS + right.id) * 8 + (comparison >> 4)
}

function narrowed(bounds: Bounds, comparison: number, k: number, outcome: boolean): Bounds | undefined {
  const { min, max, ones, mayBeOne } = bounds
  switch (comparison) {
    case BPF_JEQ:
      if (outcome) return { min: k, max: k, ones: k, mayBeOne: k }
      if (k === min) return between(bounds, min + 1, max)
      return k === max ? between(bounds, min, max - 1) : undefined
    case BPF_JGT:
      return outcome ? between(bounds, Math.max(min, k + 1), max) : between(bounds, min, Math.min(max, k))
    case BPF_JGE:
      return outcome ? between(bounds, Math.max(min, k), max) : between(bounds, min, Math.min(max, k - 1))
    default:
      if (!outcome) return { min, max, ones, mayBeOne: (mayBeOne & ~k) >>> 0 }
      return (k & (k - 1)) === 0 ? { min, max, ones: (ones | k) >>> 0, mayBeOne } : undefined
  }
}

/** Undefined where nothing is between: no packet comes here. */
function between(bounds: Bounds, min: number, max: number): Bounds | undefined {
  return min > max ? undefined : { ...bounds, min, max }
}
