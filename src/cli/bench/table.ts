/** The ladder on a terminal. Pure. */
import { alignColumns, formatBytes, formatDecimal } from '../human.js'
import type { BenchResult, CoreLoad, ReferenceResult, RungResult } from './result.js'

export interface TableOptions {
  columns: number
  /** With the terminal's colours. */
  color: boolean
}

const BAR_MIN = 8
const BAR_MAX = 40
const HEAD = ['rung', 'offered', 'received', 'dropped', 'unaccounted', 'user', 'system']
const OFFERED = 1
const RECEIVED = 2
const PROFILE_ROWS = 5

export function formatTable(result: BenchResult, options: TableOptions): string[] {
  const notes = ['packets a second; user and system: nanoseconds of the receiving process a packet']
  return [
    ...machineLines(result),
    '',
    ...ladderLines(result, options),
    '',
    ...notes,
    '',
    ...loadLines(result),
    ...profileLines(result),
    ...verdict(result, options),
  ]
}

interface Line {
  cells: string[]
  received: number
  isTwin: boolean
}

/** Bars stand in the table where there is room, else above it; a table that is too wide still loses `offered`, a sum of other columns. */
function ladderLines(result: BenchResult, options: TableOptions): string[] {
  const lines = result.rungs.flatMap(rungLines)
  const withTwins = lines.some((line) => line.isTwin)
  const rows = [[...HEAD, ...(withTwins ? ['ours/C', 'spread'] : [])], ...lines.map((line) => line.cells)]
  const most = Math.max(...lines.map((line) => line.received), 0)

  const room = Math.min(BAR_MAX, options.columns - widthOf(rows) - 2)
  const chart: string[] = []
  if (room >= BAR_MIN) {
    rows.forEach((row, index) => {
      row.splice(RECEIVED + 1, 0, bar(lines[index - 1]?.received ?? 0, most, room).padEnd(room))
    })
  } else {
    const beside = widthOf(lines.map(({ cells }) => [cells[0], cells[RECEIVED]]))
    const width = Math.max(BAR_MIN, Math.min(BAR_MAX, options.columns - beside - 2))
    const bars = lines.map(({ cells, received }) => [cells[0], cells[RECEIVED], bar(received, most, width)])
    chart.push(...alignColumns(bars, new Set([1])).map((line, index) => painted(line, lines[index], options)), '')
    if (widthOf(rows) > options.columns) for (const row of rows) row.splice(OFFERED, 1)
  }
  const right = new Set(rows[0].keys())
  right.delete(0)
  if (room >= BAR_MIN) right.delete(RECEIVED + 1)
  return [...chart, ...alignColumns(rows, right).map((line, index) => painted(line, lines[index - 1], options))]
}

function widthOf(rows: readonly (readonly string[])[]): number {
  return Math.max(0, ...alignColumns(rows).map((line) => line.length))
}

function rungLines(rung: RungResult): Line[] {
  const { reference } = rung
  const ratio = reference === undefined ? [] : [reference.ratio.toFixed(2), spreadText(reference)]
  const ours = { cells: [rung.name, ...figures(rung), ...ratio], received: rung.received, isTwin: false }
  if (reference === undefined) return [ours]
  return [ours, { cells: [`  ${reference.name}`, ...figures({ ...reference, unaccounted: undefined })], received: reference.received, isTwin: true }]
}

/** `line` is undefined for the head of the table. */
function painted(text: string, line: Line | undefined, options: TableOptions): string {
  if (!options.color) return text
  return line === undefined ? paint(text, BOLD) : line.isTwin ? paint(text, DIM) : text
}

const BOLD = 1
const DIM = 2
const RED = 31

function paint(text: string, code: number): string {
  return `\u001b[${code}m${text}\u001b[0m`
}

type Figures = Pick<ReferenceResult, 'offered' | 'received' | 'dropped' | 'userNsPerPacket' | 'systemNsPerPacket'> & { unaccounted?: number | undefined }

function figures(of: Figures): string[] {
  return [
    rate(of.offered),
    rate(of.received),
    rate(of.dropped),
    of.unaccounted === undefined ? '' : String(of.unaccounted),
    `${of.userNsPerPacket.toFixed(0)} ns`,
    `${of.systemNsPerPacket.toFixed(0)} ns`,
  ]
}

function rate(packetsPerSecond: number): string {
  return formatDecimal(packetsPerSecond, '').trim()
}

export function spreadText(reference: Pick<ReferenceResult, 'ratioMin' | 'ratioMax'>): string {
  return `${reference.ratioMin.toFixed(2)}–${reference.ratioMax.toFixed(2)}`
}

const EIGHTHS = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉']

export function bar(value: number, most: number, width: number): string {
  if (most <= 0) return ''
  const eighths = Math.round((value / most) * width * 8)
  return '█'.repeat(eighths >> 3) + EIGHTHS[eighths & 7]
}

function machineLines({ version, machine, seconds, alternations, frameBytes, flood }: BenchResult): string[] {
  const cores = machine.cores === 1 ? '1 core' : `${machine.cores} cores`
  const runs = alternations === 1 ? 'one run' : `medians of ${alternations} runs`
  return [
    `ringtap ${version} on ${machine.cpu}, ${cores}, ${formatBytes(machine.memoryBytes)}, Linux ${machine.kernel}${machine.virtual ? ', virtual machine' : ''}, Node.js ${machine.node}`,
    `${flood.kind} flood of ${frameBytes}-byte frames from the kernel on CPU ${flood.cpus.join(', ')}; ${runs} of ${seconds} s`,
  ]
}

function loadLines(result: BenchResult): string[] {
  const rows = [['load of each core', 'cpu', 'user', 'system', 'softirq', 'steal', 'idle']]
  for (const rung of result.rungs) {
    rung.cores.forEach((core, index) => {
      rows.push([index === 0 ? rung.name : '', String(core.cpu), ...percents(core)])
    })
  }
  return rows.length === 1 ? [] : [...alignColumns(rows, new Set([1, 2, 3, 4, 5, 6])), '']
}

function percents(core: CoreLoad): string[] {
  return [core.user, core.system, core.softirq, core.steal, core.idle].map((part) => `${(part * 100).toFixed(0)} %`)
}

function profileLines(result: BenchResult): string[] {
  const lines: string[] = []
  for (const rung of result.rungs) {
    if (rung.profile === undefined) continue
    const rows = rung.profile.slice(0, PROFILE_ROWS).map((row) => [`${row.percent.toFixed(1)} %`, row.symbol, row.module])
    lines.push(`${rung.name}: top kernel symbols`, ...alignColumns(rows, new Set([0])).map((line) => `  ${line}`), '')
  }
  return lines
}

function verdict(result: BenchResult, options: TableOptions): string[] {
  const lost = unaccountedRungs(result)
  const text =
    lost.length === 0
      ? 'every frame is accounted for: offered = received + dropped, to the packet'
      : `NOT ACCOUNTED FOR: ${lost.map((rung) => `${rung.unaccounted} packets on ${rung.name}`).join(', ')}`
  const incomplete = result.complete ? [] : ['ended early: the rungs above are those that were done']
  return [...incomplete, lost.length > 0 && options.color ? paint(text, RED) : text]
}

export function unaccountedRungs(result: BenchResult): RungResult[] {
  return result.rungs.filter((rung) => rung.unaccounted !== 0)
}
