/** What this process may do, and what it is confined to, from the files of the host. Pure. */
import { CAP_BPF, CAP_IPC_LOCK, CAP_NET_ADMIN, CAP_NET_RAW, CAP_SYS_ADMIN } from '../../kernel/abi/capability.js'
import type { UnreadFact } from '../facts.js'
import { FIRST_PID_NAMESPACE } from '../host-facts.js'
import { type HostFiles, isUnreadable, unreadFact } from '../host-files.js'
import { parseMountinfo } from '../mountinfo.js'
import { parseSoftnet, type SoftnetCpu } from '../softnet.js'
import { type CgroupLimits, cgroupLimits } from './cgroup.js'

export const CAPABILITIES = { CAP_NET_RAW, CAP_NET_ADMIN, CAP_BPF, CAP_SYS_ADMIN, CAP_IPC_LOCK } as const
export type CapabilityName = keyof typeof CAPABILITIES

const TUNED_PLACES = ['/proc/irq', '/proc/sys', '/sys'] as const
export type TunedPlace = (typeof TUNED_PLACES)[number]

export interface ConfinementFacts {
  /** Of CAPABILITIES; undefined where the process cannot tell. */
  effective: CapabilityName[] | undefined
  permitted: CapabilityName[] | undefined
  /** Bytes that may be locked, Infinity without a limit; the soft limit, and the hard one, which any process may raise the soft one to. */
  memlockBytes: number | undefined
  memlockMaximumBytes: number | undefined
  /** Seccomp of /proc/self/status: 0 off, 1 strict, 2 a filter. */
  seccomp: number | undefined
  /** In the machine's first user namespace: capabilities are those of the machine. */
  initialUserNamespace: boolean | undefined
  /** In the network namespace of process 1. */
  hostNetwork: boolean | undefined
  /** Of what tuning writes to, what is mounted read-only: it cannot be changed from here. */
  readOnly: TunedPlace[]
  cgroup: CgroupLimits
  /** Since boot, by CPU. */
  softnet: SoftnetCpu[]
  unread: UnreadFact[]
}

const STATUS = '/proc/self/status'
const SOFTNET = '/proc/net/softnet_stat'
const INITIAL_MAP = /^\s*0\s+0\s+4294967295\s*$/

/** With `ownSysfs` files of /sys are those of a mount of their own, which is not read-only. */
export function confinementFacts(files: HostFiles, { ownSysfs }: { ownSysfs: boolean }): ConfinementFacts {
  const unread: UnreadFact[] = []
  const status = readText(files, STATUS, 'capabilities', unread)
  const limits = readText(files, '/proc/self/limits', 'RLIMIT_MEMLOCK', unread)
  const map = readText(files, '/proc/self/uid_map', 'user namespace', unread)
  const softnet = readText(files, SOFTNET, 'softnet counters', unread)
  const seccomp = /^Seccomp:\s*(\d)/m.exec(status ?? '')?.[1]
  return {
    effective: capabilitySet(status, 'CapEff'),
    permitted: capabilitySet(status, 'CapPrm'),
    ...memlock(limits),
    seccomp: seccomp === undefined ? undefined : Number(seccomp),
    initialUserNamespace: map === undefined ? undefined : INITIAL_MAP.test(map),
    hostNetwork: isHostNetwork(files, unread),
    readOnly: readOnlyMounts(readText(files, '/proc/self/mountinfo', 'mounts', unread) ?? '').filter((place) => place !== '/sys' || !ownSysfs),
    cgroup: cgroupLimits(files, readText(files, '/proc/self/cgroup', 'cgroup limits', unread), unread),
    softnet: softnet === undefined ? [] : parseSoftnet(softnet),
    unread,
  }
}

/** None where it cannot be read, which confinementFacts tells. */
export function softnetCounters(files: HostFiles): SoftnetCpu[] {
  const text = files.read(SOFTNET)
  return isUnreadable(text) ? [] : parseSoftnet(text)
}

function readText(files: HostFiles, path: string, what: string, unread: UnreadFact[]): string | undefined {
  const text = files.read(path)
  if (!isUnreadable(text)) return text
  unread.push(unreadFact(what, path, text))
  return undefined
}

function capabilitySet(status: string | undefined, field: 'CapEff' | 'CapPrm'): CapabilityName[] | undefined {
  const digits = new RegExp(`^${field}:\\s*([0-9a-f]+)`, 'm').exec(status ?? '')?.[1]
  if (digits === undefined) return undefined
  const set = BigInt(`0x${digits}`)
  return (Object.keys(CAPABILITIES) as CapabilityName[]).filter((name) => ((set >> BigInt(CAPABILITIES[name])) & 1n) === 1n)
}

function memlock(limits: string | undefined): Pick<ConfinementFacts, 'memlockBytes' | 'memlockMaximumBytes'> {
  const match = /^Max locked memory\s+(\S+)\s+(\S+)/m.exec(limits ?? '')
  const bytes = (text: string | undefined) => (text === undefined ? undefined : text === 'unlimited' ? Number.POSITIVE_INFINITY : Number(text))
  return { memlockBytes: bytes(match?.[1]), memlockMaximumBytes: bytes(match?.[2]) }
}

function isHostNetwork(files: HostFiles, unread: UnreadFact[]): boolean | undefined {
  const own = files.link('/proc/self/ns/net')
  const first = files.link('/proc/1/ns/net')
  const isFirstPid = files.link('/proc/self/ns/pid') === FIRST_PID_NAMESPACE
  if (typeof own === 'string' && typeof first === 'string' && isFirstPid) return own === first
  if (isUnreadable(first)) unread.push(unreadFact('network namespace of the host', '/proc/1/ns/net', first))
  return undefined
}

/** By /proc/self/mountinfo. */
function readOnlyMounts(mountinfo: string): TunedPlace[] {
  const options = new Map(parseMountinfo(mountinfo).map((mount) => [mount.place, mount.options]))
  const isReadOnly = (path: string): boolean => (options.get(path) ?? options.get(path.replace(/\/[^/]+$/, '')))?.includes('ro') === true
  return TUNED_PLACES.filter(isReadOnly)
}
