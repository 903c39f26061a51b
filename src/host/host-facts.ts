/** The machine, from its files. Pure. */
import { parseCpuList } from '../kernel/cpus.js'
import type { CpuFacts, HostFacts, IrqBalance, UnreadFact } from './facts.js'
import { type HostFiles, isUnreadable, readLine, unreadFact } from './host-files.js'

const CPU_FOLDER = '/sys/devices/system/cpu'
const NODE_FOLDER = '/sys/devices/system/node'

/** Limits of the kernel that a capture may meet, and what decides where packets are worked on. */
export const SYSCTLS = [
  'net.core.netdev_max_backlog',
  'net.core.netdev_budget',
  'net.core.netdev_budget_usecs',
  'net.core.dev_weight',
  'net.core.rmem_max',
  'net.core.rmem_default',
  'net.core.optmem_max',
  'net.core.busy_poll',
  'net.core.busy_read',
  'net.core.bpf_jit_enable',
  'net.core.rps_sock_flow_entries',
  'kernel.unprivileged_bpf_disabled',
] as const

/** What no file tells. */
export interface ProcessFacts {
  /** `x64`, `arm64`. */
  architecture: string
  pageSizeBytes: number
  allowedCpus: readonly number[]
}

export function hostFacts(files: HostFiles, { architecture, pageSizeBytes, allowedCpus }: ProcessFacts): HostFacts {
  const unread: UnreadFact[] = []
  const cpus = readCpus(files, unread)
  return {
    kernel: readLine(files, '/proc/sys/kernel/osrelease') ?? '',
    architecture,
    pageSizeBytes,
    memoryBytes: readMemoryBytes(files),
    cpus: cpus.length > 0 ? cpus : allowedCpus.map((cpu) => ({ cpu, core: cpu, numaNode: 0, governor: undefined })),
    allowedCpus: [...allowedCpus],
    ...readIsolatedCpus(files),
    irqbalance: readIrqBalance(files, unread),
    ...readOnlySysctls(files),
    sysctls: Object.fromEntries(SYSCTLS.map((name) => [name, readSysctl(files, name, unread)])),
    unread,
  }
}

/** Online CPUs, ascending; none where /sys does not tell. */
export function readCpus(files: HostFiles, unread: UnreadFact[]): CpuFacts[] {
  const online = files.read(`${CPU_FOLDER}/online`)
  if (isUnreadable(online)) {
    unread.push(unreadFact('CPUs', `${CPU_FOLDER}/online`, online))
    return []
  }
  const nodes = readNumaNodes(files)
  return parseCpuList(online).map((cpu) => {
    const folder = `${CPU_FOLDER}/cpu${cpu}`
    const siblings = readLine(files, `${folder}/topology/thread_siblings_list`)
    const governors = readLine(files, `${folder}/cpufreq/scaling_available_governors`)
    return {
      cpu,
      // core_id is unique within a package only; the first of its threads is so everywhere.
      core: siblings === undefined ? cpu : Math.min(cpu, ...parseCpuList(siblings)),
      numaNode: nodes.get(cpu) ?? 0,
      governor: readLine(files, `${folder}/cpufreq/scaling_governor`),
      ...(governors && { availableGovernors: governors.split(/\s+/) }),
    }
  })
}

/** An empty list is a blank line, or `(null)` (print_cpus_nohz_full). */
function readIsolatedCpus(files: HostFiles): Pick<HostFacts, 'isolatedCpus'> {
  const lists = ['isolated', 'nohz_full'].map((name) => readLine(files, `${CPU_FOLDER}/${name}`))
  if (lists.every((list) => list === undefined)) return {}
  return { isolatedCpus: [...new Set(lists.flatMap((list) => (list === undefined || !/^\d/.test(list) ? [] : parseCpuList(list))))] }
}

/** Node of each CPU; none on a kernel without NUMA. */
function readNumaNodes(files: HostFiles): Map<number, number> {
  const nodes = parseCpuList(readLine(files, `${NODE_FOLDER}/online`) ?? '')
  return new Map(nodes.flatMap((node) => parseCpuList(readLine(files, `${NODE_FOLDER}/node${node}/cpulist`) ?? '').map((cpu) => [cpu, node] as const)))
}

function readMemoryBytes(files: HostFiles): number {
  const kibibytes = /^MemTotal:\s+(\d+) kB/m.exec(readLine(files, '/proc/meminfo') ?? '')?.[1]
  return Number(kibibytes ?? 0) * 1024
}

/** The inode of the first PID namespace, PROC_PID_INIT_INO: only from there are all processes to be seen. */
export const FIRST_PID_NAMESPACE = 'pid:[4026531836]'

function readIrqBalance(files: HostFiles, unread: UnreadFact[]): IrqBalance | undefined {
  const names = files.list('/proc')
  if (isUnreadable(names)) {
    unread.push(unreadFact('irqbalance', '/proc', names))
    return undefined
  }
  const pid = names.find((name) => /^\d+$/.test(name) && readLine(files, `/proc/${name}/comm`) === 'irqbalance')
  if (pid !== undefined) return { running: true, pid: Number(pid) }
  // With hidepid not even process 1 is to be seen.
  if (files.link('/proc/self/ns/pid') === FIRST_PID_NAMESPACE && names.includes('1')) return { running: false, pid: undefined }
  unread.push({ what: 'irqbalance', source: '/proc', reason: 'it does not show the processes of the host here (a container, or hidepid)' })
  return undefined
}

/** In another network namespace than the first the kernel shows limits of all of them with no bit to write them (sysctl_core_net_init). */
function readOnlySysctls(files: HostFiles): Pick<HostFacts, 'readOnlySysctls'> {
  const found = SYSCTLS.filter((name) => {
    const mode = files.mode(sysctlPath(name))
    return !isUnreadable(mode) && (mode & 0o222) === 0
  })
  return found.length === 0 ? {} : { readOnlySysctls: found }
}

export function sysctlPath(name: string): string {
  return `/proc/sys/${name.replaceAll('.', '/')}`
}

function readSysctl(files: HostFiles, name: string, unread: UnreadFact[]): string | undefined {
  const path = sysctlPath(name)
  const text = files.read(path)
  if (!isUnreadable(text)) return text.trim()
  unread.push(unreadFact(name, path, text))
  return undefined
}
