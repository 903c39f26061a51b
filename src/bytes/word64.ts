/** 64-bit counters of the kernel as numbers, exact to 2^53. */

const TWO_32 = 2 ** 32

/** The little-endian 64-bit word whose lower half is `words[at]`. */
export function word64(words: Uint32Array, at: number): number {
  return (words[at] as number) + (words[at + 1] as number) * TWO_32
}
