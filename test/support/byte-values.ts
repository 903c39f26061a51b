/** Values of the optimiser that are made of one byte of the packet, beside what they come to for each of its 256 values. */
import { holds, type Test } from '#src/filter/optimise/comparison.js'
import type { Value, Values } from '#src/filter/optimise/values.js'
import type { Random } from './random.js'

export const BYTES = Array.from({ length: 256 }, (_, byte) => byte)

/** By byte; undefined where the packet is rejected. */
export type Meaning = readonly (number | undefined)[]

const OPERATIONS: Readonly<Record<number, (a: bigint, b: bigint) => bigint>> = {
  0: (a, b) => a + b,
  16: (a, b) => a - b,
  32: (a, b) => a * b,
  48: (a, b) => a / b,
  64: (a, b) => a | b,
  80: (a, b) => a & b,
  96: (a, b) => a << b,
  112: (a, b) => a >> b,
  144: (a, b) => a % b,
  160: (a, b) => a ^ b,
}
const DIVISIONS = [0x30, 0x90]
const SHIFTS = [0x60, 0x70]
export const COMPARISONS = [0x10, 0x20, 0x30, 0x40]

export function byteValue(values: Values): { value: Value; meaning: Meaning } {
  return { value: values.load(0x10, 0), meaning: BYTES }
}

export function interestingNumber(random: Random): number {
  if (random.oneIn(3)) return random.between(0, 260)
  return random.oneIn(3)
    ? random.word()
    : random.pick([0, 1, 2, 3, 4, 7, 8, 15, 16, 127, 128, 255, 256, 0xff00, 0x7fff_ffff, 0x8000_0000, 0xffff_fff0, 0xffff_ffff])
}

/** Some operations on the byte, with numbers and with itself. */
export function randomValue(random: Random, values: Values): { value: Value; meaning: Meaning } {
  const byte = byteValue(values)
  let { value, meaning } = byte
  for (let steps = random.between(0, 4); steps > 0; steps--) {
    if (random.oneIn(8)) {
      value = values.negate(value)
      meaning = meaning.map((a) => (a === undefined ? undefined : -a >>> 0))
      continue
    }
    const operation = Number(random.pick(Object.keys(OPERATIONS)))
    const other = random.oneIn(4) && !SHIFTS.includes(operation) ? { value, meaning } : undefined
    const k = SHIFTS.includes(operation) ? random.between(0, 31) : interestingNumber(random)
    const operand = other ?? { value: values.constant(k), meaning: BYTES.map(() => k) }
    const isSwapped = random.oneIn(4) && !SHIFTS.includes(operation)
    const [left, right] = isSwapped ? [operand, { value, meaning }] : [{ value, meaning }, operand]
    const result = values.operate(operation, left.value, right.value)
    // A division by a constant 0 is no value.
    if (result === undefined) continue
    value = result
    meaning = BYTES.map((at) => applied(operation, left.meaning[at], right.meaning[at]))
  }
  return { value, meaning }
}

function applied(operation: number, a: number | undefined, b: number | undefined): number | undefined {
  if (a === undefined || b === undefined || (b === 0 && DIVISIONS.includes(operation))) return undefined
  return Number(BigInt.asUintN(32, OPERATIONS[operation](BigInt(a), BigInt(b))))
}

/** What a value comes to when the packet is that one byte. */
export function evaluate(value: Value, byte: number): number | undefined {
  switch (value.kind) {
    case 'constant':
      return value.k
    case 'load':
      return byte
    case 'header length':
      return 4 * (byte & 15)
    case 'operation':
      return applied(value.operation, evaluate(value.left, byte), evaluate(value.right, byte))
    case 'negation': {
      const of = evaluate(value.of, byte)
      return of === undefined ? undefined : -of >>> 0
    }
    default:
      throw new Error(`no ${value.kind} is made here`)
  }
}

export function outcomeFor({ comparison, left, right }: Test, byte: number): boolean | undefined {
  const [a, b] = [evaluate(left, byte), evaluate(right, byte)]
  return a === undefined || b === undefined ? undefined : holds(comparison, a, b)
}
