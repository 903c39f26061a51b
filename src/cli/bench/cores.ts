/** Load of each core and CPU time of a process, from /proc. The parsers are pure. */
import { readFileSync } from 'node:fs'
import type { CpuLoad } from '../../host/index.js'
import type { CoreLoad } from './result.js'
import { mean } from './statistics.js'

/** USER_HZ, in which /proc counts time: 100 on every architecture that Node.js runs on. */
const TICKS_PER_SECOND = 100

/** In the parts that a report has: what is done for interrupts is one, and so is what a core waits. */
export function coreLoads(loads: readonly CpuLoad[]): CoreLoad[] {
  return loads.map(({ cpu, user, nice, system, irq, softirq, steal, idle, iowait }) => ({
    cpu,
    user: user + nice,
    system,
    softirq: irq + softirq,
    steal,
    idle: idle + iowait,
  }))
}

export function meanLoads(runs: readonly (readonly CoreLoad[])[]): CoreLoad[] {
  const cpus = [...new Set(runs.flatMap((loads) => loads.map((load) => load.cpu)))].sort((a, b) => a - b)
  return cpus.map((cpu) => {
    const loads = runs.flatMap((run) => run.filter((load) => load.cpu === cpu))
    const part = (name: 'user' | 'system' | 'softirq' | 'steal' | 'idle') => mean(loads.map((load) => load[name]))
    return { cpu, user: part('user'), system: part('system'), softirq: part('softirq'), steal: part('steal'), idle: part('idle') }
  })
}

export interface ProcessTime {
  userMs: number
  systemMs: number
}

/** Fields 14 and 15 of /proc/PID/stat: all threads, those that have ended included. */
export function parseProcessTime(stat: string): ProcessTime {
  // The second field is the program's name in brackets, and may hold spaces and brackets itself.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return { userMs: (Number(fields[11]) * 1000) / TICKS_PER_SECOND, systemMs: (Number(fields[12]) * 1000) / TICKS_PER_SECOND }
}

export function readProcessTime(pid: number): ProcessTime {
  return parseProcessTime(readFileSync(`/proc/${pid}/stat`, 'utf8'))
}

/** `0-3,8` as the kernel writes sets of CPUs. */
export function parseCpuList(text: string): number[] {
  const cpus: number[] = []
  for (const range of text.trim().split(',')) {
    if (range === '') continue
    const [first, last = first] = range.split('-').map(Number)
    for (let cpu = first; cpu <= last; cpu++) cpus.push(cpu)
  }
  return cpus
}

/** The CPUs that this process may use. */
export function readAllowedCpus(): number[] {
  const match = /^Cpus_allowed_list:\s*(.+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))
  return match === null ? [0] : parseCpuList(match[1])
}
