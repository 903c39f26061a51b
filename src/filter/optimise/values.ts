/**
 * What a block computes, as values that do not say where they are kept: functions of the packet, and of what was in a register or a
 * memory word when a block began. Equal values are one object, as in the value numbering of libpcap's optimize.c, and come
 * simplified. Numbers are 32 bits, unsigned. Pure.
 */
import {
  BPF_ADD,
  BPF_AND,
  BPF_B,
  BPF_DIV,
  BPF_H,
  BPF_LSH,
  BPF_MEMWORDS,
  BPF_MOD,
  BPF_MUL,
  BPF_OR,
  BPF_RSH,
  BPF_SUB,
  BPF_W,
  BPF_XOR,
  SKF_AD_OFF,
} from '../../kernel/abi/filter.js'
import { NotOptimisable } from './not-optimisable.js'

/** Where a value can be: memory words 0 to 15, then the registers. */
export const LOCATION_A = BPF_MEMWORDS
export const LOCATION_X = BPF_MEMWORDS + 1
export const LOCATIONS = BPF_MEMWORDS + 2

interface Known {
  readonly id: number
  /** No packet makes it larger. */
  readonly max: number
  /** Operations from its loads and constants to it. */
  readonly height: number
  /** The entry values that it is made of. */
  readonly entries: readonly Entry[]
}

export interface Constant extends Known {
  readonly kind: 'constant'
  readonly k: number
}

/** `size` bytes at `k`, or at `base` + k; `size` is BPF_W, BPF_H or BPF_B. */
export interface Load extends Known {
  readonly kind: 'load'
  readonly size: number
  readonly k: number
  readonly base: Value | undefined
}

/** 4 * (the byte at `k` & 0xf), which X can be loaded with. */
export interface HeaderLength extends Known {
  readonly kind: 'header length'
  readonly k: number
}

/** The length of the packet on the wire. */
export interface WireLength extends Known {
  readonly kind: 'wire length'
}

/** `left` `operation` `right`, of the operations of BPF_ALU with two operands. */
export interface Operation extends Known {
  readonly kind: 'operation'
  readonly operation: number
  readonly left: Value
  readonly right: Value
}

export interface Negation extends Known {
  readonly kind: 'negation'
  readonly of: Value
}

/** What a location held when `block` began, where that differs from way to way. */
export interface Entry extends Known {
  readonly kind: 'entry'
  readonly block: number
  readonly location: number
}

export type Value = Constant | Load | HeaderLength | WireLength | Operation | Negation | Entry

const WORD = 0xffff_ffff
/** Above it, loads are not plain offsets into the packet. */
const MAX_OFFSET = 0x7fff_ffff
/** An id has 23 bits. */
export const VALUE_ID_BITS = 23
const MAX_VALUES = 2 ** VALUE_ID_BITS
const NO_ENTRIES: readonly Entry[] = []

export class Values {
  readonly #made = new Map<string, Value>()

  constant(number: number): Constant {
    const k = number >>> 0
    return this.#intern(`c${k}`, (id) => ({ kind: 'constant', id, max: k, height: 0, entries: NO_ENTRIES, k })) as Constant
  }

  wireLength(): Value {
    return this.#intern('w', (id) => ({ kind: 'wire length', id, max: WORD, height: 0, entries: NO_ENTRIES }))
  }

  headerLength(k: number): Value {
    return this.#intern(`h${k}`, (id) => ({ kind: 'header length', id, max: 60, height: 0, entries: NO_ENTRIES, k }))
  }

  entry(block: number, location: number, max: number): Entry {
    const made = this.#intern(`e${block},${location}`, (id) => {
      const value: Entry & { entries: Entry[] } = { kind: 'entry', id, max, height: 0, entries: [], block, location }
      value.entries.push(value)
      return value
    })
    return made as Entry
  }

  /** `base` is undefined for an absolute load. */
  load(size: number, k: number, base?: Value): Value {
    // Whether X + k wraps around is for those to say who run it: only sums that cannot wrap, nor become ancillary loads, are taken.
    if (base?.kind === 'constant' && base.k + k <= MAX_OFFSET) return this.load(size, base.k + k)
    if (base?.kind === 'operation' && base.operation === BPF_ADD && base.right.kind === 'constant') {
      if (base.left.max + base.right.k + k <= MAX_OFFSET) return this.load(size, base.right.k + k, base.left)
    }
    const height = base === undefined ? 0 : base.height + 1
    const entries = base?.entries ?? NO_ENTRIES
    const max = base === undefined && k >= SKF_AD_OFF >>> 0 ? WORD : size === BPF_B ? 0xff : size === BPF_H ? 0xffff : WORD
    return this.#intern(`l${size},${k},${base?.id}`, (id) => ({ kind: 'load', id, max, height, entries, size, k, base }))
  }

  negate(of: Value): Value {
    if (of.kind === 'constant') return this.constant(-of.k)
    if (of.kind === 'negation') return of.of
    const { height, entries } = of
    return this.#intern(`n${of.id}`, (id) => ({ kind: 'negation', id, max: WORD, height: height + 1, entries, of }))
  }

  /** Undefined where it divides by a constant 0, which rejects the packet. */
  operate(operation: number, left: Value, right: Value): Value | undefined {
    if (right.kind === 'constant') return this.#operateConstant(operation, left, right.k)
    if (left.kind === 'constant') {
      if (isCommutative(operation)) return this.operate(operation, right, left)
      if (operation === BPF_SUB && left.k === 0) return this.negate(right)
    }
    if (left === right) {
      if (operation === BPF_SUB || operation === BPF_XOR) return this.constant(0)
      if (operation === BPF_AND || operation === BPF_OR) return left
    }
    if (operation === BPF_ADD || operation === BPF_SUB) {
      // Constants go outside, where a load or a comparison may take them.
      const [inLeft, inRight] = [addendOf(left), addendOf(right)]
      if (inLeft !== 0 || inRight !== 0) {
        const of = this.operate(operation, inLeft === 0 ? left : (left as Operation).left, inRight === 0 ? right : (right as Operation).left) as Value
        return this.#operateConstant(BPF_ADD, of, (operation === BPF_ADD ? inLeft + inRight : inLeft - inRight) >>> 0)
      }
    }
    return isCommutative(operation) && left.id > right.id ? this.#operation(operation, right, left) : this.#operation(operation, left, right)
  }

  #operateConstant(operation: number, left: Value, k: number): Value | undefined {
    if ((operation === BPF_DIV || operation === BPF_MOD) && k === 0) return undefined
    if (left.kind === 'constant') return this.constant(calculate(operation, left.k, k))
    const again = left.kind === 'operation' && left.operation === operation && left.right.kind === 'constant' ? left : undefined
    const earlier = (again?.right as Constant | undefined)?.k ?? 0
    const bits = allBits(left.max)
    switch (operation) {
      case BPF_SUB:
        return this.#operateConstant(BPF_ADD, left, -k >>> 0)
      case BPF_ADD:
        if (k === 0) return left
        if (again !== undefined) return this.#operateConstant(BPF_ADD, again.left, (earlier + k) >>> 0)
        break
      case BPF_MUL:
        if (k === 0) return this.constant(0)
        if (isPowerOf2(k)) return this.#operateConstant(BPF_LSH, left, log2(k))
        break
      case BPF_DIV:
        if (isPowerOf2(k)) return this.#operateConstant(BPF_RSH, left, log2(k))
        break
      case BPF_MOD:
        if (isPowerOf2(k)) return this.#operateConstant(BPF_AND, left, k - 1)
        if (k > left.max) return left
        break
      case BPF_AND:
        if ((k & bits) >>> 0 === 0) return this.constant(0)
        if ((k & bits) >>> 0 === bits) return left
        if (again !== undefined) return this.#operateConstant(BPF_AND, again.left, (earlier & k) >>> 0)
        break
      case BPF_OR:
        if (k === 0) return left
        if (k === WORD) return this.constant(WORD)
        if (again !== undefined) return this.#operateConstant(BPF_OR, again.left, (earlier | k) >>> 0)
        break
      case BPF_XOR:
        if (k === 0) return left
        if (again !== undefined) return this.#operateConstant(BPF_XOR, again.left, (earlier ^ k) >>> 0)
        break
      case BPF_LSH:
        if (k === 0) return left
        if (earlier + k > 31) return this.constant(0)
        if (again !== undefined) return this.#operateConstant(BPF_LSH, again.left, earlier + k)
        if (k === 2 && left.kind === 'operation' && left.operation === BPF_AND && isConstant(left.right, 0xf)) {
          // As in (ip[0] & 0xf) << 2.
          if (left.left.kind === 'load' && left.left.size === BPF_B && left.left.base === undefined) return this.headerLength(left.left.k)
        }
        break
      case BPF_RSH:
        if (k === 0) return left
        if (earlier + k > 31 || left.max < 2 ** k) return this.constant(0)
        if (again !== undefined) return this.#operateConstant(BPF_RSH, again.left, earlier + k)
        break
    }
    return this.#operation(operation, left, this.constant(k))
  }

  #operation(operation: number, left: Value, right: Value): Value {
    const key = `o${operation},${left.id},${right.id}`
    return this.#intern(key, (id) => {
      const height = Math.max(left.height, right.height) + 1
      const entries = union(left.entries, right.entries)
      return { kind: 'operation', id, max: largest(operation, left.max, right), height, entries, operation, left, right }
    })
  }

  #intern(key: string, make: (id: number) => Value): Value {
    let value = this.#made.get(key)
    if (value === undefined) {
      if (this.#made.size === MAX_VALUES) throw new NotOptimisable()
      value = make(this.#made.size)
      this.#made.set(key, value)
    }
    return value
  }
}

/** By k, as the kernel does it: both are unsigned. */
function calculate(operation: number, a: number, k: number): number {
  switch (operation) {
    case BPF_ADD:
      return a + k
    case BPF_SUB:
      return a - k
    case BPF_MUL:
      return Math.imul(a, k)
    case BPF_DIV:
      return Math.floor(a / k)
    case BPF_MOD:
      return a % k
    case BPF_AND:
      return a & k
    case BPF_OR:
      return a | k
    case BPF_XOR:
      return a ^ k
    case BPF_LSH:
      return a << k
    default:
      return a >>> k
  }
}

function largest(operation: number, left: number, right: Value): number {
  const k = right.kind === 'constant' ? right.k : undefined
  switch (operation) {
    case BPF_ADD:
      return Math.min(left + right.max, WORD) === left + right.max ? left + right.max : WORD
    case BPF_MUL:
      return Math.min(left * right.max, WORD)
    case BPF_DIV:
      return k === undefined ? left : Math.floor(left / k)
    case BPF_MOD:
      return Math.min(left, Math.max(right.max, 1) - 1)
    case BPF_AND:
      return Math.min(left, right.max)
    case BPF_OR:
    case BPF_XOR:
      return allBits(Math.max(left, right.max))
    case BPF_LSH:
      return k === undefined ? WORD : Math.min(left * 2 ** k, WORD)
    case BPF_RSH:
      return k === undefined ? left : left >>> k
    default:
      return WORD
  }
}

export function isConstant(value: Value, k: number): boolean {
  return value.kind === 'constant' && value.k === k
}

export function isCommutative(operation: number): boolean {
  return operation === BPF_ADD || operation === BPF_MUL || operation === BPF_AND || operation === BPF_OR || operation === BPF_XOR
}

/** The constant that is added last, or 0. */
function addendOf(value: Value): number {
  return value.kind === 'operation' && value.operation === BPF_ADD && value.right.kind === 'constant' ? value.right.k : 0
}

/** The smallest number of ones that covers `max`. */
export function allBits(max: number): number {
  return 2 ** (32 - Math.clz32(max)) - 1
}

export function loadBytes(size: number): number {
  return size === BPF_W ? 4 : size === BPF_H ? 2 : 1
}

function isPowerOf2(k: number): boolean {
  return k !== 0 && (k & (k - 1)) === 0
}

function log2(k: number): number {
  return 31 - Math.clz32(k)
}

function union(some: readonly Entry[], more: readonly Entry[]): readonly Entry[] {
  if (more.length === 0) return some
  const added = more.filter((entry) => !some.includes(entry))
  return added.length === 0 ? some : [...some, ...added]
}
