/** Load of each core and CPU time of a process, from /proc. The parsers are pure. */
import { readFileSync } from 'node:fs'
import type { CoreLoad } from './result.js'
import { mean, share } from './statistics.js'

/** USER_HZ, in which /proc counts time: 100 on every architecture that Node.js runs on. */
const TICKS_PER_SECOND = 100

/** Ticks since boot. */
export interface CoreTicks {
  cpu: number
  user: number
  system: number
  softirq: number
  steal: number
  idle: number
}

/** The lines `cpuN user nice system idle iowait irq softirq steal guest guest_nice` of /proc/stat. */
export function parseCoreTicks(stat: string): CoreTicks[] {
  const cores: CoreTicks[] = []
  for (const line of stat.split('\n')) {
    const match = /^cpu(\d+) +(.*)$/.exec(line)
    if (match === null) continue
    const [user = 0, nice = 0, system = 0, idle = 0, iowait = 0, irq = 0, softirq = 0, steal = 0] = match[2].split(' ').map(Number)
    cores.push({ cpu: Number(match[1]), user: user + nice, system, softirq: irq + softirq, steal, idle: idle + iowait })
  }
  return cores
}

export function coreLoads(before: readonly CoreTicks[], after: readonly CoreTicks[]): CoreLoad[] {
  const loads: CoreLoad[] = []
  for (const now of after) {
    const then = before.find((core) => core.cpu === now.cpu)
    if (then === undefined) continue
    const user = now.user - then.user
    const system = now.system - then.system
    const softirq = now.softirq - then.softirq
    const steal = now.steal - then.steal
    // NB: the kernel lets a core's idle time run backwards by a tick.
    const idle = Math.max(0, now.idle - then.idle)
    const total = user + system + softirq + steal + idle
    loads.push({
      cpu: now.cpu,
      user: share(user, total),
      system: share(system, total),
      softirq: share(softirq, total),
      steal: share(steal, total),
      idle: share(idle, total),
    })
  }
  return loads
}

export function meanLoads(runs: readonly (readonly CoreLoad[])[]): CoreLoad[] {
  const cpus = [...new Set(runs.flatMap((loads) => loads.map((load) => load.cpu)))].sort((a, b) => a - b)
  return cpus.map((cpu) => {
    const loads = runs.flatMap((run) => run.filter((load) => load.cpu === cpu))
    const part = (name: 'user' | 'system' | 'softirq' | 'steal' | 'idle') => mean(loads.map((load) => load[name]))
    return { cpu, user: part('user'), system: part('system'), softirq: part('softirq'), steal: part('steal'), idle: part('idle') }
  })
}

export function readCoreTicks(): CoreTicks[] {
  return parseCoreTicks(readFileSync('/proc/stat', 'utf8'))
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
