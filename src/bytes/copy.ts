/**
 * Bytes from one array into another. A view of the source, which TypedArray.set needs, is an allocation of some 60 ns: below the
 * length at which that pays, a loop copies (bench/replay.ts measures it with all that is around it).
 */

/** From here on set() of a view beats the loop. */
const VIEW_FROM = 160

/** Copies `length` bytes; what does not lie inside the arrays is the caller's business. */
export function copyBytes(source: Uint8Array, from: number, target: Uint8Array, to: number, length: number): void {
  if (length >= VIEW_FROM) {
    target.set(source.subarray(from, from + length), to)
    return
  }
  for (let i = 0; i < length; i++) target[(to + i) | 0] = source[(from + i) | 0] as number
}
