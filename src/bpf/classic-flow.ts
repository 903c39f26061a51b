/**
 * What is known at each instruction of a classic BPF program before it runs: which ones matter, how large A and X can be, and
 * where the captured length has to be looked at. Jumps only go forward, so that one pass in each direction sees every way. Pure.
 *
 * A load behind the captured bytes rejects the packet, and nothing else has an effect. So where every way on that accepts reads
 * up to byte N, one look for N bytes serves all of them, and a packet that it rejects would have been rejected later.
 */
import {
  BPF_ABS,
  BPF_ADD,
  BPF_ALU,
  BPF_AND,
  BPF_DIV,
  BPF_IND,
  BPF_JA,
  BPF_JMP,
  BPF_K,
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
  BPF_OR,
  BPF_RET,
  BPF_RSH,
  BPF_ST,
  BPF_STX,
  BPF_TAX,
  BPF_X,
  BPF_XOR,
  SKF_AD_ALU_XOR_X,
  SKF_AD_OFF,
} from '../kernel/abi/filter.js'
import type { Instruction } from './classic.js'
import { ANCILLARY_FIELDS, isAncillary, loadBytes } from './interpret.js'

/** Of each instruction, before it runs. */
export interface Facts {
  /** 0 where the packet is rejected, whatever comes, and where no way leads. */
  readonly matters: Uint8Array
  /** The instructions that come next: none, one, or if true and if false. */
  readonly next: readonly (readonly number[])[]
  /** So many bytes must have been captured, or the packet is rejected; 0 where that is known already. */
  readonly look: Float64Array
  /** The same, counted from X. */
  readonly lookBehindX: Float64Array
  /** The largest values, unsigned. */
  readonly largestA: Float64Array
  readonly largestX: Float64Array
}

const ANY = 0xffff_ffff
/** Offsets and values of X up to here are added without a thought of 2^31. */
const SMALL = 2 ** 30

/** Whether a load stands at an offset that is no negative number. */
export function isPlain(k: number): boolean {
  return k < 2 ** 31
}

/** Whether X + k of an indirect load, and what is behind it, is surely below 2^31. */
export function isNear(k: number, largestX: number): boolean {
  return k < SMALL && largestX < SMALL
}

/** Whether an instruction calls something, for which a compiled form forgets what it has in its registers. */
export type IsCall = (instruction: Instruction) => boolean

/** `program` must be valid. */
export function learn(program: readonly Instruction[], isCall: IsCall = () => false): Facts {
  const { length } = program
  const next = program.map(successors)
  const largestA = new Float64Array(length)
  const largestX = new Float64Array(length)
  const reached = boundValues(program, next, largestA, largestX)

  /** Backward: what every way on that accepts needs. */
  const need = new Float64Array(length)
  const needBehindX = new Float64Array(length)
  const forgetsX = (index: number) => writesX(program[index] as Instruction) || isCall(program[index] as Instruction)
  for (let index = length - 1; index >= 0; index--) {
    const [code, , , k] = program[index] as Instruction
    if ((code & 0x07) === BPF_RET) {
      const rejects = code === (BPF_RET | BPF_K) && k === 0
      need[index] = rejects ? Number.POSITIVE_INFINITY : 0
      needBehindX[index] = need[index] as number
      continue
    }
    const on = next[index] as readonly number[]
    const ahead = Math.min(...on.map((to) => need[to] as number))
    const aheadOfX = forgetsX(index) ? 0 : Math.min(...on.map((to) => needBehindX[to] as number))
    const { fromStart, fromX } = reads(program[index] as Instruction, largestX[index] as number)
    need[index] = Math.max(ahead, fromStart)
    needBehindX[index] = ahead === Number.POSITIVE_INFINITY ? ahead : Math.max(aheadOfX, fromX)
  }

  /** Forward: what has been looked for on every way here. */
  const known = new Float64Array(length).fill(Number.POSITIVE_INFINITY)
  const knownBehindX = new Float64Array(length).fill(Number.POSITIVE_INFINITY)
  const matters = new Uint8Array(length)
  const look = new Float64Array(length)
  const lookBehindX = new Float64Array(length)
  known[0] = 0
  knownBehindX[0] = 0
  for (let index = 0; index < length; index++) {
    if (reached[index] === 0 || need[index] === Number.POSITIVE_INFINITY) continue
    matters[index] = 1
    const needed = need[index] as number
    const neededBehindX = needBehindX[index] as number
    if (needed > (known[index] as number)) look[index] = needed
    if (neededBehindX > (knownBehindX[index] as number)) lookBehindX[index] = neededBehindX
    const now = Math.max(known[index] as number, needed)
    const nowBehindX = forgetsX(index) ? 0 : Math.max(knownBehindX[index] as number, neededBehindX)
    for (const to of next[index] as readonly number[]) {
      known[to] = Math.min(known[to] as number, now)
      knownBehindX[to] = Math.min(knownBehindX[to] as number, nowBehindX)
    }
  }
  return { matters, next, look, lookBehindX, largestA, largestX }
}

function successors([code, jt, jf, k]: Instruction, index: number): readonly number[] {
  if ((code & 0x07) === BPF_RET) return []
  if ((code & 0x07) !== BPF_JMP) return [index + 1]
  if ((code & 0xf0) === BPF_JA) return [index + 1 + k]
  return [index + 1 + jt, index + 1 + jf]
}

/** How many bytes an instruction reads, from the packet's start or from X on; 0 where only a look of its own can tell. */
function reads([code, , , k]: Instruction, largestX: number): { fromStart: number; fromX: number } {
  const group = code & 0x07
  const mode = code & 0xe0
  const isMsh = group === BPF_LDX && mode === BPF_MSH
  const isAbsolute = group === BPF_LD && mode === BPF_ABS
  if ((isMsh || isAbsolute) && isPlain(k)) return { fromStart: k + loadBytes(code), fromX: 0 }
  if (group === BPF_LD && mode === BPF_IND && isNear(k, largestX)) return { fromStart: 0, fromX: k + loadBytes(code) }
  return { fromStart: 0, fromX: 0 }
}

function writesX([code]: Instruction): boolean {
  return (code & 0x07) === BPF_LDX || code === (BPF_MISC | BPF_TAX)
}

/** Fills the largest values, and answers what is reached. */
function boundValues(program: readonly Instruction[], next: readonly (readonly number[])[], largestA: Float64Array, largestX: Float64Array): Uint8Array {
  const { length } = program
  const reached = new Uint8Array(length)
  const largestWord = new Float64Array(length * BPF_MEMWORDS)
  reached[0] = 1
  for (let index = 0; index < length; index++) {
    if (reached[index] === 0) continue
    const instruction = program[index] as Instruction
    const [code, , , k] = instruction
    let a = largestA[index] as number
    let x = largestX[index] as number
    const words = index * BPF_MEMWORDS
    let written = -1
    let value = 0
    switch (code & 0x07) {
      case BPF_LD:
        a = largestLoad(instruction, a, x, largestWord[words + k] ?? ANY)
        break
      case BPF_LDX:
        x = largestLoad(instruction, a, x, largestWord[words + k] ?? ANY)
        break
      case BPF_ST:
      case BPF_STX:
        written = k
        value = (code & 0x07) === BPF_ST ? a : x
        break
      case BPF_ALU:
        a = largestResult(code & 0xf0, a, (code & BPF_X) !== 0 ? undefined : k, x)
        break
      case BPF_MISC:
        if ((code & 0xf8) === BPF_TAX) x = a
        else a = x
        break
    }
    for (const to of next[index] as readonly number[]) {
      const onward = to * BPF_MEMWORDS
      const isFirst = reached[to] === 0
      reached[to] = 1
      largestA[to] = Math.max(isFirst ? 0 : (largestA[to] as number), a)
      largestX[to] = Math.max(isFirst ? 0 : (largestX[to] as number), x)
      for (let word = 0; word < BPF_MEMWORDS; word++) {
        const here = word === written ? value : (largestWord[words + word] as number)
        largestWord[onward + word] = Math.max(largestWord[onward + word] as number, here)
      }
    }
  }
  return reached
}

function largestLoad([code, , , k]: Instruction, a: number, x: number, word: number): number {
  switch (code & 0xe0) {
    case BPF_MSH:
      return 60
    case BPF_MEM:
      return word
    case BPF_LEN:
      return ANY
    case BPF_ABS:
    case BPF_IND:
      if ((code & 0xe0) === BPF_ABS && isAncillary(k)) {
        if (k === (SKF_AD_OFF + SKF_AD_ALU_XOR_X) >>> 0) return allBits(Math.max(a, x))
        return ANCILLARY_FIELDS.get(k - (SKF_AD_OFF >>> 0))?.mask ?? ANY
      }
      return 2 ** (8 * loadBytes(code)) - 1
    default:
      return k
  }
}

/** `k` is undefined where the operand is X, which is `x` at most. */
function largestResult(operation: number, a: number, k: number | undefined, x: number): number {
  const operand = k ?? x
  switch (operation) {
    case BPF_ADD:
      return fitting(a + operand)
    case BPF_MUL:
      return fitting(a * operand)
    case BPF_AND:
      return Math.min(a, operand)
    case BPF_OR:
    case BPF_XOR:
      return allBits(Math.max(a, operand))
    case BPF_DIV:
      return k === undefined ? a : Math.floor(a / k)
    case BPF_MOD:
      return Math.min(a, Math.max(operand, 1) - 1)
    case BPF_RSH:
      return k === undefined ? a : Math.floor(a / 2 ** k)
    case BPF_LSH:
      return k === undefined ? ANY : fitting(a * 2 ** k)
    default:
      return ANY
  }
}

function fitting(value: number): number {
  return Math.min(value, ANY)
}

/** The largest number that has no more bits. */
function allBits(value: number): number {
  return 2 ** (32 - Math.clz32(value)) - 1
}
