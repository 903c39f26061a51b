/** The few statistics that the ladder reports. Pure. */

export function median(values: readonly number[]): number {
  if (values.length === 0) return 0
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

export function mean(values: readonly number[]): number {
  return values.length === 0 ? 0 : sum(values) / values.length
}

export function sum(values: readonly number[]): number {
  let total = 0
  for (const value of values) total += value
  return total
}

export interface Spread {
  median: number
  min: number
  max: number
}

export function spread(values: readonly number[]): Spread {
  return values.length === 0 ? { median: 0, min: 0, max: 0 } : { median: median(values), min: Math.min(...values), max: Math.max(...values) }
}

/** `part / whole`, and 0 instead of a division by nothing. */
export function share(part: number, whole: number): number {
  return whole > 0 ? part / whole : 0
}
