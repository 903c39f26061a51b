/** Rounding to multiples. */

/** The next multiple of `alignment` at or above `value`. Exact up to 2^53. */
export function alignUp(value: number, alignment: number): number {
  return Math.ceil(value / alignment) * alignment
}

/** The next power of two at or above `value`, 1 for less. Exact up to 2^52. */
export function nextPowerOfTwo(value: number): number {
  let power = 1
  while (power < value && power < 2 ** 52) power *= 2
  return power
}
