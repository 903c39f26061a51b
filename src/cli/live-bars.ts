/**
 * Bars of CPU load that stay below what is printed. On a terminal they are drawn again in place; elsewhere, and on a terminal that cannot
 * move its cursor, they are lines like others.
 * No state of the terminal is changed (the cursor is not hidden, the screen is not switched), so that nothing has to be put back,
 * however the process ends.
 */
import type { CpuLoad } from '../host/index.js'
import { cpuBarLines, cpuBarsLegend } from './cpu-lines.js'
import type { Io } from './io.js'

/** Up by so many lines, to the first column, and erased to the end of the screen. */
const eraseAbove = (lines: number) => `\x1b[${lines}F\x1b[J`

type BarsIo = Pick<Io, 'out' | 'isTerminal' | 'columns' | 'rows' | 'holdCursor'>

export class LiveBars {
  readonly #io: BarsIo
  readonly #redraws: boolean
  readonly #colours: boolean
  #drawn = 0
  #toldLegend = false

  constructor(io: BarsIo, environment: Readonly<Record<string, string | undefined>> = process.env) {
    this.#io = io
    this.#redraws = io.isTerminal && environment.TERM !== 'dumb'
    // https://no-color.org
    this.#colours = this.#redraws && (environment.NO_COLOR ?? '') === ''
  }

  /** Prints lines above, and the bars below them. */
  draw(above: readonly string[], loads: readonly CpuLoad[]): void {
    const { columns, rows, isTerminal } = this.#io
    // A line that fills the last column wraps on some terminals; one stays free for the cursor, one for the legend.
    const redraws = this.#redraws
    const layout = { columns: isTerminal ? columns - 1 : columns, rows: redraws ? Math.max(1, rows - 2) : Number.POSITIVE_INFINITY, colours: this.#colours }
    const bars = cpuBarLines(loads, layout)
    const legend = redraws || !this.#toldLegend ? this.#legend(layout.columns) : []
    this.#toldLegend = true
    const below = bars.length === 0 ? [] : [...legend, ...bars]
    const lines = [...above, ...below]
    if (lines.length > 0) this.#io.out(this.#erasure() + lines.join('\n'))
    this.#stands(redraws ? below.length : 0)
  }

  /** Takes the bars away: before anything else prints, and at the end. */
  erase(): void {
    if (this.#drawn === 0) return
    // NB: out() ends the line, so the erasure stops one line above where it should and that one is gone up again.
    const erasure = eraseAbove(this.#drawn)
    this.#io.out(`${erasure}\x1b[1A`)
    this.#stands(0)
  }

  #stands(lines: number): void {
    this.#drawn = lines
    this.#io.holdCursor(lines > 0)
  }

  #erasure(): string {
    return this.#drawn === 0 ? '' : eraseAbove(this.#drawn)
  }

  #legend(columns: number): string[] {
    // As long without colours.
    return cpuBarsLegend(false).length <= columns ? [cpuBarsLegend(this.#colours)] : []
  }
}
