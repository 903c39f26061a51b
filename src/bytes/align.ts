/** Rounding to multiples. */

/** The next multiple of `alignment` at or above `value`. Exact up to 2^53. */
export function alignUp(value: number, alignment: number): number {
  return Math.ceil(value / alignment) * alignment
}
