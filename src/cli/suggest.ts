/** The word that was probably meant: the nearest of `words` by single typing errors, if it is near enough to be worth saying. */
export function nearestWord(typed: string, words: readonly string[]): string | undefined {
  let nearest: string | undefined
  let best = Math.max(1, Math.floor(typed.length / 3)) + 1
  for (const word of words) {
    const distance = word.startsWith(typed) && typed.length > 2 ? 1 : typingErrors(typed, word)
    if (distance < best) {
      best = distance
      nearest = word
    }
  }
  return nearest
}

/** Insertions, deletions, substitutions and swaps of neighbours (optimal string alignment). */
function typingErrors(a: string, b: string): number {
  let beforeLast: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const substituted = at(last, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1)
      let errors = Math.min(substituted, at(last, j) + 1, at(row, j - 1) + 1)
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) errors = Math.min(errors, at(beforeLast, j - 2) + 1)
      row.push(errors)
    }
    beforeLast = last
    last = row
  }
  return at(last, b.length)
}

function at(row: readonly number[], index: number): number {
  return row[index] ?? Number.POSITIVE_INFINITY
}
