/** What `ringtap count` prints, from two readings of the library's counters. Pure. */
import { COUNT_CLASSES, type CountClass, type KernelClassCounts, type KernelCounters, type KernelCounts, type KernelInterfaceCounters } from '../index.js'
import { alignColumns, formatDecimal, formatSeconds, microseconds, plural } from './human.js'

type Classified = KernelCounts & { classes: KernelClassCounts }

/** CPU time of the process, in microseconds. */
export interface CpuTime {
  user: number
  system: number
}

export interface CountStart {
  drop: boolean
  promiscuous: boolean
  netns: string | undefined
  interfaces: readonly KernelInterfaceCounters[]
}

/** Before anything was counted. */
export const NOTHING_COUNTED: KernelCounters = { seconds: 0, ...nothing(), cpus: [], interfaces: [] }

export function countingLine({ interfaces, drop, netns }: CountStart): string {
  const names = interfaces.map(({ interface: name, mode, tried }) => {
    const refused = tried.map((it) => `; no ${it.mode}: ${it.reason}`)
    return `${name} (${mode} XDP${refused.join('')})`
  })
  return `counting on ${names.join(', ')}, packets ${drop ? 'are dropped' : 'pass'}${netns === undefined ? '' : `, namespace ${netns}`}`
}

/** The line a second; with `perCpu` one more for each CPU and, if there are several, for each interface. */
export function countLines(before: KernelCounters, now: KernelCounters, perCpu: boolean): string[] {
  const seconds = now.seconds - before.seconds
  const line = [formatSeconds(now.seconds).padStart(8), ...rateCells(difference(before, now), seconds, [9, 11])].join('  ').trimEnd()
  if (!perCpu) return [line]
  const rows = [
    ...cpuDifferences(before, now).map((it) => [`cpu ${it.cpu}`, ...rateCells(it, seconds)]),
    ...(now.interfaces.length > 1 ? interfaceDifferences(before, now).map((it) => [it.interface, ...rateCells({ ...it, classes: undefined }, seconds)]) : []),
  ]
  return [line, ...alignColumns(rows, new Set([1, 2])).map((row) => `          ${row}`)]
}

function rateCells(counts: KernelCounts & { classes: KernelClassCounts | undefined }, seconds: number, widths: readonly number[] = []): string[] {
  const packetRate = (packets: number): string => formatDecimal(perSecond(packets, seconds), 'pps')
  const classes = counts.classes === undefined ? [] : seen(counts.classes).map(([name, { packets }]) => `${name} ${packetRate(packets)}`)
  const cells = [packetRate(counts.packets), formatDecimal(perSecond(counts.bytes * 8, seconds), 'bit/s')]
  return [...cells.map((cell, index) => cell.padStart(widths[index] ?? 0)), classes.join(', ')]
}

/** A table of what was counted at all, and the sum. */
export function countTotals(counters: KernelCounters): string[] {
  const row = (name: string, { packets, bytes }: KernelCounts): string[] => [name, String(packets), String(bytes)]
  return alignColumns(
    [['CLASS', 'PACKETS', 'BYTES'], ...seen(counters.classes).map(([name, counts]) => row(name, counts)), row('total', counters)],
    new Set([1, 2]),
  )
}

/** With -v: who counted it, and what reading it took. */
export function countDetailLines(counters: KernelCounters, cpuTime: CpuTime): string[] {
  const share = (name: string, { packets, bytes }: KernelCounts): string => `${name}: ${plural(packets, 'packet')}, ${plural(bytes, 'byte')}`
  return [
    ...counters.cpus.map((it) => share(`cpu ${it.cpu}`, it)),
    ...(counters.interfaces.length > 1 ? counters.interfaces.map((it) => share(it.interface, it)) : []),
    `${formatSeconds(counters.seconds)}, user ${Math.round(cpuTime.user / 1000)} ms, system ${Math.round(cpuTime.system / 1000)} ms`,
  ]
}

export function countStartDocument(start: CountStart): string {
  const { drop, promiscuous, netns = null } = start
  const interfaces = start.interfaces.map(({ interface: name, mode, tried }) => ({ interface: name, mode, tried }))
  return JSON.stringify({ type: 'start', interfaces, netns, drop, promiscuous })
}

export function countDocument(before: KernelCounters, now: KernelCounters): string {
  const seconds = now.seconds - before.seconds
  const counts = difference(before, now)
  const { packets, bytes, classes } = now
  return JSON.stringify({
    type: 'interval',
    seconds: microseconds(seconds),
    ...counts,
    packetsPerSecond: perSecond(counts.packets, seconds),
    bitsPerSecond: perSecond(counts.bytes * 8, seconds),
    cpus: cpuDifferences(before, now),
    interfaces: interfaceDifferences(before, now),
    total: { seconds: microseconds(now.seconds), packets, bytes, classes },
  })
}

export function countSummaryDocument(counters: KernelCounters, cpuTime: CpuTime): string {
  const { seconds, packets, bytes, classes, cpus, interfaces } = counters
  return JSON.stringify({
    type: 'summary',
    seconds: microseconds(seconds),
    packets,
    bytes,
    classes,
    cpus,
    interfaces,
    cpuUserMs: cpuTime.user / 1000,
    cpuSystemMs: cpuTime.system / 1000,
  })
}

export interface CountEvent {
  type: 'interface-down' | 'interface-up'
  interface: string
}

/** What happened to interfaces between two readings. */
export function countEvents(before: KernelCounters, now: KernelCounters): CountEvent[] {
  return now.interfaces.flatMap(({ interface: name, up }, index): CountEvent[] => {
    if (up === (before.interfaces[index]?.up ?? true)) return []
    return [{ type: up ? 'interface-up' : 'interface-down', interface: name }]
  })
}

export function countEventLines(event: CountEvent): string[] {
  return event.type === 'interface-up'
    ? [`ringtap: ${event.interface} is up again`]
    : [`ringtap: ${event.interface} went down`, '  counting goes on when it is up again']
}

export function countEventDocument({ type, ...rest }: CountEvent): string {
  return JSON.stringify({ type: 'event', event: type, ...rest })
}

function nothing(): Classified {
  const classes = Object.fromEntries(COUNT_CLASSES.map((name) => [name, { packets: 0, bytes: 0 }])) as KernelClassCounts
  return { packets: 0, bytes: 0, classes }
}

function seen(classes: KernelClassCounts): [CountClass, KernelCounts][] {
  return COUNT_CLASSES.map((name): [CountClass, KernelCounts] => [name, classes[name]]).filter(([, { packets }]) => packets > 0)
}

function minus(now: KernelCounts, before: KernelCounts | undefined): KernelCounts {
  return { packets: now.packets - (before?.packets ?? 0), bytes: now.bytes - (before?.bytes ?? 0) }
}

function difference(before: Classified | undefined, now: Classified): Classified {
  const classes = Object.fromEntries(COUNT_CLASSES.map((name) => [name, minus(now.classes[name], before?.classes[name])])) as KernelClassCounts
  return { ...minus(now, before), classes }
}

/** CPUs that have counted something meanwhile. */
function cpuDifferences(before: KernelCounters, now: KernelCounters): KernelCounters['cpus'] {
  return now.cpus
    .map((it) => ({
      cpu: it.cpu,
      ...difference(
        before.cpus.find(({ cpu }) => cpu === it.cpu),
        it,
      ),
    }))
    .filter(({ packets }) => packets > 0)
}

function interfaceDifferences(before: KernelCounters, now: KernelCounters): (KernelCounts & { interface: string; up: boolean })[] {
  return now.interfaces.map((it, index) => ({ interface: it.interface, up: it.up, ...minus(it, before.interfaces[index]) }))
}

function perSecond(value: number, seconds: number): number {
  return seconds > 0 ? value / seconds : 0
}
