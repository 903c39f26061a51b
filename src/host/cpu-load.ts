/** Load of each CPU, from /proc/stat. The parser is pure. */
import { readFileSync } from 'node:fs'

/** Where a CPU's time goes. Guests' time is in `user` and `nice`. */
export const CPU_STATES = ['user', 'nice', 'system', 'idle', 'iowait', 'irq', 'softirq', 'steal'] as const
export type CpuState = (typeof CPU_STATES)[number]

/** Since boot, in ticks of USER_HZ: 100 a second on every architecture that Node.js runs on. */
export type CpuTimes = { cpu: number } & Record<CpuState, number>

/** Shares of the time between two readings, 0 to 1. */
export type CpuLoad = { cpu: number } & Record<CpuState, number>

/**
 * The lines `cpuN user nice system idle iowait irq softirq steal …` of /proc/stat; the sum of all CPUs is left out. Columns that an
 * old kernel has not are 0.
 */
export function parseCpuTimes(stat: string): CpuTimes[] {
  return stat.split('\n').flatMap((line) => {
    const match = /^cpu(\d+)((?: +\d+)+)\s*$/.exec(line)
    if (match === null) return []
    const ticks = (match[2] as string).trim().split(/ +/).map(Number)
    return timesOf(Number(match[1]), (_, at) => ticks[at] ?? 0)
  })
}

/** Of CPUs that are in both readings. One whose clock did not move between them has been idle. */
export function cpuLoads(before: readonly CpuTimes[], after: readonly CpuTimes[]): CpuLoad[] {
  return after.flatMap((now) => {
    const then = before.find(({ cpu }) => cpu === now.cpu)
    if (then === undefined) return []
    // NB: the kernel lets idle and iowait run backwards by a tick (get_idle_time, get_iowait_time).
    const spent = timesOf(now.cpu, (state) => Math.max(0, now[state] - then[state]))
    const total = CPU_STATES.reduce((sum, state) => sum + spent[state], 0)
    return timesOf(now.cpu, (state) => (total === 0 ? (state === 'idle' ? 1 : 0) : spent[state] / total))
  })
}

function timesOf(cpu: number, of: (state: CpuState, at: number) => number): CpuTimes {
  return { cpu, ...(Object.fromEntries(CPU_STATES.map((state, at) => [state, of(state, at)])) as Record<CpuState, number>) }
}

/** Reads it now. @throws the error of `fs` where there is no /proc. */
export function readCpuTimes(): CpuTimes[] {
  return parseCpuTimes(readFileSync('/proc/stat', 'latin1'))
}
