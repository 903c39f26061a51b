/** Numbers for people. Four significant places, fixed width where a column is made of them. */

const PREFIXES = ['', 'k', 'M', 'G', 'T'] as const

/** 2534123 with `pps` is `2.53 Mpps`; powers of 1000. */
export function formatDecimal(value: number, unit: string): string {
  let scaled = value
  let prefix = 0
  while (scaled >= 999.5 && prefix < PREFIXES.length - 1) {
    scaled /= 1000
    prefix++
  }
  return `${prefix === 0 ? String(Math.round(scaled)) : threePlaces(scaled)} ${PREFIXES[prefix]}${unit}`
}

/** 12345 is `12.3k`. */
export function formatCount(value: number): string {
  return formatDecimal(value, '').replace(' ', '')
}

/** 134217728 is `128 MiB`. */
export function formatBytes(bytes: number): string {
  let scaled = bytes
  let prefix = 0
  while (scaled >= 1024 && prefix < PREFIXES.length - 1) {
    scaled /= 1024
    prefix++
  }
  const number = Number.isInteger(scaled) ? String(scaled) : threePlaces(scaled)
  return prefix === 0 ? `${number} B` : `${number} ${PREFIXES[prefix]?.toUpperCase()}iB`
}

/** 61500 is `61.5s`. */
export function formatSeconds(seconds: number): string {
  return `${seconds.toFixed(1)}s`
}

/** Seconds without the noise of a difference of floating-point numbers. */
export function microseconds(seconds: number): number {
  return Math.round(seconds * 1e6) / 1e6
}

/** tcpdump's `1 packet`, `2 packets`. */
export function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`
}

/** A table with two spaces between columns; columns in `right` are set right. */
export function alignColumns(rows: readonly (readonly string[])[], right: ReadonlySet<number> = new Set()): string[] {
  const widths: number[] = []
  for (const row of rows) {
    row.forEach((cell, column) => {
      widths[column] = Math.max(widths[column] ?? 0, cell.length)
    })
  }
  return rows.map((row) =>
    row
      .map((cell, column) => (right.has(column) ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0)))
      .join('  ')
      .trimEnd(),
  )
}

function threePlaces(value: number): string {
  return value >= 99.95 ? value.toFixed(0) : value >= 9.995 ? value.toFixed(1) : value.toFixed(2)
}
