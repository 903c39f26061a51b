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
const HEAD = ['rung', 'offered', 'received', '', 'dropped', 'unaccounted', 'user', 'system']
const BAR_COLUMN = 3
const RIGHT = new Set([1, 2, 4, 5, 6, 7, 8, 9])
const PROFILE_ROWS = 5

export function formatTable(result: BenchResult, options: TableOptions): string[] {
  const withTwins = result.rungs.some((rung) => rung.reference !== undefined)
  const rows: string[][] = [[...HEAD, ...(withTwins ? ['ours/C', 'spread'] : [])]]
  for (const rung of result.rungs) {
    const ratio = rung.reference === undefined ? [] : [rung.reference.ratio.toFixed(2), spreadText(rung.reference)]
    rows.push([rung.name, ...figures(rung), ...ratio])
    if (rung.reference !== undefined) rows.push([`  ${rung.reference.name}`, ...figures({ ...rung.reference, unaccounted: undefined })])
  }

  const width = Math.max(...alignColumns(rows, RIGHT).map((line) => line.length))
  const room = Math.min(BAR_MAX, options.columns - width)
  if (room >= BAR_MIN) {
    const most = Math.max(...result.rungs.flatMap((rung) => [rung.received, rung.reference?.received ?? 0]))
    const rates = [0, ...result.rungs.flatMap((rung) => [rung.received, ...(rung.reference === undefined ? [] : [rung.reference.received])])]
    rows.forEach((row, index) => {
      row[BAR_COLUMN] = bar(rates[index], most, room).padEnd(room)
    })
  } else for (const row of rows) row.splice(BAR_COLUMN, 1)

  const lines = alignColumns(rows, room >= BAR_MIN ? RIGHT : new Set([...RIGHT].map((column) => (column > BAR_COLUMN ? column - 1 : column))))
  if (options.color) {
    lines.forEach((line, index) => {
      if (index === 0) lines[index] = paint(line, BOLD)
      else if (line.startsWith('  ')) lines[index] = paint(line, DIM)
    })
  }
  const notes = ['packets a second; user and system: nanoseconds of the receiving process a packet']
  return [...machineLines(result), '', ...lines, '', ...notes, '', ...loadLines(result), ...profileLines(result), ...verdict(result, options)]
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
    '',
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
