/**
 * Random numbers that can be had again: the seed is printed, and TEST_SEED=N takes it from outside. Without it a test draws the same numbers
 * each time, so that what fails, fails for what was changed; `npm run fuzz` (TEST_SEED=random) is for the others.
 */
import type { TestContext } from 'node:test'

export interface Random {
  readonly seed: number
  /** 0 to 2^32 - 1. */
  word(): number
  /** A whole number, `min` to `max`. */
  between(min: number, max: number): number
  /** True once in `n` times. */
  oneIn(n: number): boolean
  pick<T>(values: readonly T[]): T
  bytes(length: number): Uint8Array<ArrayBuffer>
}

/** One a test; says its seed so that a failure can be run again. */
export function seededRandom(t: TestContext): Random {
  const given = process.env.TEST_SEED
  const seed = given === undefined ? seedOf(t.name) : given === 'random' ? Math.floor(Math.random() * 2 ** 32) : Number(given) >>> 0
  t.diagnostic(`TEST_SEED=${seed}`)
  return randomOf(seed)
}

/** FNV-1a. */
function seedOf(name: string): number {
  let hash = 0x811c9dc5
  for (let index = 0; index < name.length; index++) hash = Math.imul(hash ^ name.charCodeAt(index), 0x01000193)
  return hash >>> 0
}

/** mulberry32. */
export function randomOf(seed: number): Random {
  let state = seed | 0
  const word = () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return (mixed ^ (mixed >>> 14)) >>> 0
  }
  const between = (min: number, max: number) => min + (word() % (max - min + 1))
  return {
    seed,
    word,
    between,
    oneIn: (n) => word() % n === 0,
    pick: (values) => values[between(0, values.length - 1)],
    bytes: (length) => Uint8Array.from({ length }, () => word() & 0xff),
  }
}
