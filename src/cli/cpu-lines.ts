/** Load of each CPU as lines and as bars. Pure. */
import type { CpuLoad, CpuState } from '../host/index.js'
import { alignColumns } from './human.js'

/** Parts of a bar from left to right, as htop has them, with their letter and their colour (SGR). */
const PARTS: readonly { letter: string; colour: number; states: readonly CpuState[] }[] = [
  { letter: 'n', colour: 34, states: ['nice'] },
  { letter: 'u', colour: 32, states: ['user'] },
  { letter: 's', colour: 31, states: ['system'] },
  { letter: 'i', colour: 33, states: ['irq'] },
  { letter: 'q', colour: 35, states: ['softirq'] },
  { letter: 't', colour: 36, states: ['steal'] },
]
const NARROWEST = 16
const IDLE: readonly CpuState[] = ['idle', 'iowait']

/** A line a CPU: `cpu 0  user 12%  system 30%  softirq 50%`. */
export function cpuLoadLines(loads: readonly CpuLoad[]): string[] {
  const rows = loads.map((load) => {
    const share = (value: number) => `${Math.round(value * 100)}%`
    const cells = [`cpu ${load.cpu}`, `user ${share(load.user + load.nice)}`, `system ${share(load.system)}`, `softirq ${share(load.irq + load.softirq)}`]
    return load.steal >= 0.005 ? [...cells, `steal ${share(load.steal)}`] : cells
  })
  return alignColumns(rows)
}

export interface CpuBarsLayout {
  /** Width, in columns, that no line is longer than. */
  columns: number
  /** Lines at most. */
  rows: number
  /** Parts in colours; else each has its letter. */
  colours: boolean
}

/** Bars of as many columns as they need to fit the rows; what fits nowhere is counted in a last line. */
export function cpuBarLines(loads: readonly CpuLoad[], { columns, rows, colours }: CpuBarsLayout): string[] {
  if (loads.length === 0) return []
  const most = Math.max(1, Math.floor((columns + 1) / (NARROWEST + 1)))
  const across = Math.min(most, Math.max(1, Math.ceil(loads.length / Math.max(1, Math.min(rows, 8)))))
  const down = Math.ceil(loads.length / across)
  const fits = down <= rows ? down : Math.max(0, rows - 1)
  const width = Math.floor((columns - (across - 1)) / across)
  const digits = String(Math.max(...loads.map(({ cpu }) => cpu))).length
  const lines = Array.from({ length: fits }, (_, line) =>
    Array.from({ length: across }, (_, column) => loads[column * down + line])
      .filter((load) => load !== undefined)
      .map((load) => bar(load, width, digits, colours))
      .join(' '),
  )
  if (fits === down) return lines
  const left = loads.filter((_, at) => at % down >= fits).length
  return [...lines, `${left} more`.slice(0, columns)]
}

/** `  0[|||||||     45.2%]` of exactly so many columns, or nothing where they are too few. */
function bar(load: CpuLoad, width: number, digits: number, colours: boolean): string {
  const name = String(load.cpu).padStart(digits)
  const busy = `${((1 - IDLE.reduce((sum, state) => sum + load[state], 0)) * 100).toFixed(1)}%`
  const room = width - name.length - 2
  if (room <= busy.length) return `${name}[${busy}]`.slice(0, Math.max(0, width))
  const ends = room - busy.length
  let filled = 0
  let drawn = 0
  let text = ''
  for (const { letter, colour, states } of PARTS) {
    filled += states.reduce((sum, state) => sum + load[state], 0)
    // Rounded where the parts end, not each: they never add up to more than the room.
    const until = Math.min(ends, Math.round(filled * room))
    if (until <= drawn) continue
    text += colours ? `\x1b[${colour}m${'|'.repeat(until - drawn)}\x1b[0m` : letter.repeat(until - drawn)
    drawn = until
  }
  return `${name}[${text}${' '.repeat(ends - drawn)}${busy}]`
}

/** What the letters, or colours, are. */
export function cpuBarsLegend(colours: boolean): string {
  const names = PARTS.map(({ letter, colour, states }) => (colours ? `\x1b[${colour}m|\x1b[0m ${states.join('+')}` : `${letter} ${states.join('+')}`))
  return names.join('  ')
}
