/** Limits of the control groups that this process is in, from the files of the host. Pure. */
import { ENOENT } from '../../kernel/errno.js'
import type { UnreadFact } from '../facts.js'
import { type HostFiles, isUnreadable } from '../host-files.js'
import { parseMountinfo } from '../mountinfo.js'

export interface CgroupLimits {
  /** The least of memory.max, or memory.limit_in_bytes, of the process's group and those above it; undefined without a limit. */
  memoryBytes: number | undefined
  /** CPUs' worth of time that cpu.max, or cpu.cfs_quota_us, allows; undefined without a limit. */
  cpus: number | undefined
  /** In which it is measured: what is used up before its end stands still until then. */
  cpuPeriodMs: number | undefined
  /** Of what there may be a limit that is not to be seen from here. */
  unseen: CgroupController[]
}

export type CgroupController = 'cpu' | 'memory'

const CONTROLLERS = ['cpu', 'memory'] as const
const WHAT: Readonly<Record<CgroupController, string>> = { cpu: 'limit of CPU time (cgroup)', memory: 'limit of memory (cgroup)' }

/** `membership` is /proc/self/cgroup; undefined where it cannot be read. */
export function cgroupLimits(files: HostFiles, membership: string | undefined, unread: UnreadFact[]): CgroupLimits {
  const limits: CgroupLimits = { memoryBytes: undefined, cpus: undefined, cpuPeriodMs: undefined, unseen: [] }
  if (membership === undefined) return { ...limits, unseen: [...CONTROLLERS] }
  const groups = parseMembership(membership)
  const mounts = visibleMounts(files)
  for (const controller of CONTROLLERS) {
    // Of both versions on one machine, a controller is of the first where that has it.
    const group = groups.find(({ controllers }) => controllers.includes(controller)) ?? groups.find(({ controllers }) => controllers.length === 0)
    if (group === undefined) continue
    const reason = readLimits(files, mounts, group, controller, limits)
    if (reason === undefined) continue
    limits.unseen.push(controller)
    unread.push({ what: WHAT[controller], source: '/proc/self/mountinfo', reason })
  }
  return limits
}

interface Group {
  /** None for version 2. */
  controllers: string[]
  path: string
}

function parseMembership(text: string): Group[] {
  return text.split('\n').flatMap((line) => {
    const [, controllers, path] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? []
    return controllers === undefined || path === undefined ? [] : [{ controllers: controllers.split(',').filter((name) => name !== ''), path }]
  })
}

interface CgroupMount {
  /** As this process reaches it. */
  folder: string
  /** The group that is seen at its place. */
  root: string
  /** Of version 1; none for version 2. */
  controllers: string[]
}

/**
 * NB: by a process's root, for /sys here may be a mount of its own, without the cgroups. `ip netns exec` leaves a process without them: its
 * parent, or process 1, may have them still, the same ones where they are in one namespace of cgroups.
 */
function visibleMounts(files: HostFiles): CgroupMount[] {
  const status = files.read('/proc/self/status')
  const parent = isUnreadable(status) ? undefined : /^PPid:\s*([1-9]\d*)/m.exec(status)?.[1]
  const own = files.link('/proc/self/ns/cgroup')
  const others = [...(parent === undefined ? [] : [`/proc/${parent}`]), '/proc/1']
  const shared = others.filter((process) => typeof own === 'string' && files.link(`${process}/ns/cgroup`) === own)
  return ['/proc/self', ...shared].flatMap((process) => {
    const text = files.read(`${process}/mountinfo`)
    return isUnreadable(text) ? [] : cgroupMounts(text).map((mount) => ({ ...mount, folder: `${process}/root${mount.folder}` }))
  })
}

function cgroupMounts(mountinfo: string): CgroupMount[] {
  return parseMountinfo(mountinfo).flatMap(({ root, place, type, superOptions }) => {
    if (type !== 'cgroup' && type !== 'cgroup2') return []
    return [{ folder: place, root, controllers: type === 'cgroup2' ? [] : superOptions }]
  })
}

/** Answers why not, where the group is not to be seen. */
function readLimits(files: HostFiles, mounts: readonly CgroupMount[], group: Group, controller: CgroupController, limits: CgroupLimits): string | undefined {
  const isFirst = group.controllers.length > 0
  for (const { folder, root, controllers } of mounts) {
    if (isFirst ? !controllers.includes(controller) : controllers.length > 0) continue
    const path = pathBelow(root, group.path)
    if (path === undefined) continue
    const names = files.list(`${folder}${path}`)
    // Another file system may be mounted over it.
    if (isUnreadable(names) || !names.includes('cgroup.procs')) continue
    for (const above of ancestors(path)) {
      const narrowed = isFirst ? narrowByFirst(files, `${folder}${above}`, controller, limits) : narrowBySecond(files, `${folder}${above}`, controller, limits)
      if (!narrowed) return `files of ${group.path} refuse to be read`
    }
    const isWhole = root === '/' && isFirstNamespace(files)
    const isLimited = (controller === 'memory' ? limits.memoryBytes : limits.cpus) !== undefined
    return isWhole || isLimited ? undefined : `none up to ${root}; groups above that are not to be seen from here`
  }
  return `no mount shows the group ${group.path} here`
}

/** The inode of the first one, PROC_CGROUP_INIT_INO. A kernel without them (before Linux 4.6) has no other. */
function isFirstNamespace(files: HostFiles): boolean {
  const own = files.link('/proc/self/ns/cgroup')
  return typeof own !== 'string' || own === 'cgroup:[4026531835]'
}

/** Where a group is to be found below a mount of `root`; undefined for one outside of it, or of the namespace of cgroups (`/..`). */
function pathBelow(root: string, path: string): string | undefined {
  if (path.split('/').includes('..')) return undefined
  if (root === '/') return path === '/' ? '' : path
  return path === root || path.startsWith(`${root}/`) ? path.slice(root.length) : undefined
}

/** `/a/b` is `/a/b`, `/a` and the empty text, of the root. */
function ancestors(path: string): string[] {
  const parts = path.split('/').filter((part) => part !== '')
  return Array.from({ length: parts.length + 1 }, (_, i) =>
    parts
      .slice(0, parts.length - i)
      .map((part) => `/${part}`)
      .join(''),
  )
}

/** Empty where there is no such file: a root has none, nor a group for which the controller is off. Undefined where it is refused. */
function limitText(files: HostFiles, path: string): string | undefined {
  const text = files.read(path)
  if (!isUnreadable(text)) return text.trim()
  return text.errno === ENOENT ? '' : undefined
}

function narrowBySecond(files: HostFiles, folder: string, controller: CgroupController, limits: CgroupLimits): boolean {
  const text = limitText(files, `${folder}/${controller}.max`)
  if (text === undefined) return false
  const [quota, period] = text.split(' ').map(numberOf)
  if (controller === 'memory') narrowMemory(limits, quota)
  else narrowCpu(limits, quota, period)
  return true
}

function narrowByFirst(files: HostFiles, folder: string, controller: CgroupController, limits: CgroupLimits): boolean {
  const names = controller === 'memory' ? ['memory.limit_in_bytes'] : ['cpu.cfs_quota_us', 'cpu.cfs_period_us']
  const [first, second] = names.map((name) => limitText(files, `${folder}/${name}`))
  if (first === undefined || (names.length > 1 && second === undefined)) return false
  if (controller === 'memory') narrowMemory(limits, numberOf(first))
  else narrowCpu(limits, numberOf(first), numberOf(second ?? ''))
  return true
}

/** `max` is no number. */
function numberOf(text: string): number | undefined {
  return /^-?\d+$/.test(text) ? Number(text) : undefined
}

/** PAGE_COUNTER_MAX, what version 1 says for no limit, is about 2^63. */
const NO_LIMIT_BYTES = 2 ** 60

function narrowMemory(limits: CgroupLimits, bytes: number | undefined): void {
  if (bytes === undefined || bytes < 0 || bytes >= NO_LIMIT_BYTES) return
  limits.memoryBytes = Math.min(limits.memoryBytes ?? Number.POSITIVE_INFINITY, bytes)
}

function narrowCpu(limits: CgroupLimits, quotaUs: number | undefined, periodUs: number | undefined): void {
  // -1 is no limit.
  if (quotaUs === undefined || periodUs === undefined || !(quotaUs > 0) || !(periodUs > 0)) return
  const cpus = quotaUs / periodUs
  if (limits.cpus !== undefined && limits.cpus <= cpus) return
  limits.cpus = cpus
  limits.cpuPeriodMs = periodUs / 1000
}
