/**
 * Findings about the host and this process, one small function each. Pure. Figures are those of README.md and docs/ladder.md (two cores of
 * a virtual machine) unless another source stands beside them.
 */
import { cpuListText } from '../../kernel/cpus.js'
import { EACCES, ENOBUFS, EPERM } from '../../kernel/errno.js'
import { DEFAULT_RING_BYTES } from '../../ring/geometry.js'
import type { HostFacts, UnreadFact } from '../facts.js'
import { type SoftnetCpu, softnetDifference } from '../softnet.js'
import { ENOUGH_BACKLOG } from '../tuning/limits.js'
import { type Examined, fine, type Verdict, wrong } from './finding.js'
import type { ProbeName } from './probes.js'
import type { CapabilityName, TunedPlace } from './process-facts.js'

const NODE = '"$(readlink -f "$(which node)")"'
const MIB = 2 ** 20

type HostFinding = (examined: Examined) => Verdict

export const HOST_FINDINGS: Readonly<Record<string, HostFinding>> = {
  'cap-net-raw': capability('CAP_NET_RAW', 'fatal', 'no packet socket can be opened: no capture', `sudo setcap cap_net_raw,cap_net_admin+eip ${NODE}`),
  'cap-net-admin': capability(
    'CAP_NET_ADMIN',
    'limits',
    'no AF_XDP (5.3 Mpps instead of 2.3 by rings, measured), no counting in the kernel, no receive buffer above net.core.rmem_max',
    `sudo setcap cap_net_raw,cap_net_admin,cap_bpf+eip ${NODE}`,
  ),
  'cap-bpf': bpfCapability(
    'no AF_XDP (5.3 Mpps instead of 2.3 by rings, measured) and no counting in the kernel (10.9 Mpps)',
    `sudo setcap cap_net_raw,cap_net_admin,cap_bpf+eip ${NODE}`,
  ),
  'cap-sys-admin': capability('CAP_SYS_ADMIN', 'note', 'no --netns, no testbed (bench, flood); names of programs of others are not to be seen'),
  'packet-socket': probe('packet-socket', 'fatal', 'no capture: neither ring nor recv', 'a kernel with CONFIG_PACKET, and CAP_NET_RAW'),
  'packet-ring': probe(
    'packet-ring',
    'limits',
    'each packet is copied by a system call: 1.0 Mpps instead of 2.3 (recv+fanout, ring+fanout; measured)',
    'Linux 3.19',
  ),
  'packet-fanout': probe(
    'packet-fanout',
    'limits',
    'one worker an interface: 1.8 Mpps instead of 2.3 on two cores (measured), and no more on many',
    'Linux 4.12',
  ),
  'bpf-program': probe(
    'bpf-program',
    'limits',
    'no AF_XDP, no counting in the kernel, no fanout by eBPF',
    'CAP_BPF and CAP_NET_ADMIN; before Linux 5.11 also RLIMIT_MEMLOCK (ulimit -l)',
  ),
  'xdp-link': probe('xdp-link', 'limits', 'no AF_XDP and no counting in the kernel', 'Linux 5.9, CAP_BPF, CAP_NET_ADMIN; to try it, CAP_SYS_ADMIN'),
  'af-xdp': probe(
    'af-xdp',
    'limits',
    'the fastest way is closed: 5.3 Mpps instead of 2.3 by rings (measured)',
    'Linux 5.9 with CONFIG_XDP_SOCKETS, CAP_NET_RAW',
  ),
  'busy-poll': probe('busy-poll', 'note', '--busy-poll of AF_XDP is not to be had', 'Linux 5.11 and CAP_NET_ADMIN'),
  memlock: memlockFinding,
  'cgroup-cpu': cgroupCpu,
  'cgroup-memory': cgroupMemory,
  'allowed-cpus': allowedCpus,
  'page-size': pageSize,
  irqbalance: irqBalance,
  governor: governorFinding,
  'softnet-dropped': softnetDropped,
  'softnet-squeezed': softnetSqueezed,
  'user-namespace': userNamespace,
  'network-namespace': networkNamespace,
  seccomp: seccompFinding,
  'read-only': readOnlyMounts,
  'unprivileged-bpf': unprivilegedBpf,
  'bpf-jit': bpfJit,
  node: nodeVersion,
}

function capability(name: CapabilityName, severity: 'fatal' | 'limits' | 'note', cost: string, remedy?: string): HostFinding {
  const note = remedy === undefined ? 'run as root' : undefined
  return ({ confinement: { effective, permitted } }) => {
    if (effective === undefined) return undefined
    if (effective.includes(name)) return fine(`${name} is held`)
    if (permitted?.includes(name)) return wrong(severity, `${name} is permitted and not in effect`, cost, remedy, note)
    return wrong(severity, `${name} is missing`, cost, remedy, note)
  }
}

/** bpf_capable() takes CAP_SYS_ADMIN for CAP_BPF, which there is not before Linux 5.8. */
function bpfCapability(cost: string, remedy: string): HostFinding {
  const own = capability('CAP_BPF', 'limits', cost, remedy)
  return (examined) => {
    const { effective } = examined.confinement
    const byAdmin = effective?.includes('CAP_BPF') === false && effective.includes('CAP_SYS_ADMIN')
    return byAdmin ? fine('CAP_SYS_ADMIN is held, which the kernel takes for CAP_BPF') : own(examined)
  }
}

const PROBE_TEXT: Readonly<Record<ProbeName, string>> = {
  'packet-socket': 'a packet socket (AF_PACKET)',
  'packet-ring': 'a ring shared with the kernel (TPACKET_V3)',
  'packet-fanout': 'packets spread over sockets (PACKET_FANOUT)',
  'bpf-program': 'an eBPF program loaded',
  'xdp-link': 'an XDP program on an interface (bpf_link)',
  'af-xdp': 'an AF_XDP socket and its chunks (UMEM)',
  'busy-poll': 'polling the driver instead of waiting (SO_PREFER_BUSY_POLL)',
}

/** Any one of them is enough. */
type Needed = readonly CapabilityName[]
const BPF: Needed = ['CAP_BPF', 'CAP_SYS_ADMIN']
/** bpf_prog_load() of a program for packets (is_net_admin_prog_type). */
const NETWORK_BPF: Needed = ['CAP_NET_ADMIN', 'CAP_SYS_ADMIN']

/** What a probe takes. Where that is missing, a finding of its own says so. */
const PROBE_NEEDS: Readonly<Record<ProbeName, readonly Needed[]>> = {
  'packet-socket': [['CAP_NET_RAW']],
  'packet-ring': [['CAP_NET_RAW']],
  'packet-fanout': [['CAP_NET_RAW']],
  'bpf-program': [BPF, NETWORK_BPF],
  'xdp-link': [BPF, NETWORK_BPF, ['CAP_SYS_ADMIN']],
  'af-xdp': [['CAP_NET_RAW']],
  'busy-poll': [['CAP_NET_ADMIN']],
}

function lacks(effective: readonly CapabilityName[] | undefined, needs: readonly Needed[]): boolean {
  return effective !== undefined && needs.some((anyOf) => !anyOf.some((it) => effective.includes(it)))
}

function probe(name: ProbeName, severity: 'fatal' | 'limits' | 'note', cost: string, needs: string): HostFinding {
  return ({ probes, confinement: { effective } }) => {
    const result = probes.find((it) => it.probe === name)
    if (result === undefined || result.untried !== undefined) return undefined
    if (result.refused === undefined) return fine(`${PROBE_TEXT[name]}: works`)
    const { call, errno, reason } = result.refused
    if ((errno === EPERM || errno === EACCES) && lacks(effective, PROBE_NEEDS[name])) return undefined
    // xdp_umem_account_pages() refuses for nothing else with it.
    const isMemlock = name === 'af-xdp' && errno === ENOBUFS
    const what = `${PROBE_TEXT[name]}: ${call}: ${reason}${isMemlock ? ' (RLIMIT_MEMLOCK)' : ''}`
    return wrong(severity, what, cost, undefined, isMemlock ? MEMLOCK : `needs ${needs}`)
  }
}

/** Probes that say nothing, for what they stand on was not to be had. Not those for which a capability is missing: a finding of its own says so. */
export function untriedProbes({ probes, confinement: { effective } }: Examined): UnreadFact[] {
  return probes.flatMap(({ probe: name, untried }) => {
    if (untried === undefined) return []
    const { call: source, errno, reason } = untried
    if ((errno === EPERM || errno === EACCES) && lacks(effective, PROBE_NEEDS[name])) return []
    return [{ what: PROBE_TEXT[name], source, reason: `could not be tried: ${reason}` }]
  })
}

const MEMLOCK = 'ulimit -l unlimited (as root), LimitMEMLOCK=infinity in a systemd unit, --ulimit memlock=-1 for a container; or CAP_IPC_LOCK'

function memlockFinding({ confinement: { memlockBytes, memlockMaximumBytes, effective }, host }: Examined): Verdict {
  // A capture raises the soft limit to the hard one itself.
  const bytes = memlockMaximumBytes ?? memlockBytes
  if (bytes === undefined) return undefined
  if (effective?.includes('CAP_IPC_LOCK')) return fine('CAP_IPC_LOCK is held: RLIMIT_MEMLOCK does not bind')
  const wanted = DEFAULT_RING_BYTES * host.allowedCpus.length
  if (bytes >= wanted) return fine(`RLIMIT_MEMLOCK is ${bytes === Number.POSITIVE_INFINITY ? 'unlimited' : `${Math.floor(bytes / MIB)} MiB`}`)
  return wrong(
    'limits',
    `RLIMIT_MEMLOCK is ${Math.floor(bytes / 1024)} KiB; AF_XDP with ${host.allowedCpus.length} workers locks ${wanted / MIB} MiB`,
    'AF_XDP is refused, or must do with a smaller --ring',
    undefined,
    MEMLOCK,
  )
}

function cgroupCpu({ confinement: { cgroup }, host }: Examined): Verdict {
  const { cpus, cpuPeriodMs = 100 } = cgroup
  if (cpus === undefined) return cgroup.unseen.includes('cpu') ? undefined : fine('no limit of CPU time (cgroup)')
  const stands = Math.round(Math.max(0, 1 - cpus / host.allowedCpus.length) * cpuPeriodMs)
  return wrong(
    'limits',
    `the cgroup allows ${Math.round(cpus * 100) / 100} CPUs of time in each ${cpuPeriodMs} ms`,
    `busy workers stand still for up to ${stands} ms of each ${cpuPeriodMs} ms: a ring must hold as much (ringtap size --hold)`,
    undefined,
    'docker update --cpus 0, no CPU limit in a pod, CPUQuota= of a systemd unit',
  )
}

/** Rings of a few workers, and what Node.js needs. */
const ENOUGH_MEMORY_BYTES = 512 * MIB

function cgroupMemory({ confinement: { cgroup } }: Examined): Verdict {
  const { memoryBytes } = cgroup
  if (memoryBytes === undefined) return cgroup.unseen.includes('memory') ? undefined : fine('no limit of memory (cgroup)')
  const what = `the cgroup allows ${Math.floor(memoryBytes / MIB)} MiB of memory`
  if (memoryBytes >= ENOUGH_MEMORY_BYTES) return fine(what)
  return wrong(
    'limits',
    what,
    'AF_XDP chunks count against it, 64 MiB a worker by default; beyond it the process is killed',
    undefined,
    'docker update --memory, MemoryMax= of a systemd unit',
  )
}

function allowedCpus({ host: { allowedCpus: allowed, cpus } }: Examined): Verdict {
  if (allowed.length >= cpus.length) return fine(`all ${cpus.length} CPUs may be used`)
  return wrong(
    'note',
    `only CPUs ${cpuListText(allowed)} of ${cpus.length} may be used (affinity or cpuset)`,
    'queues that interrupt other CPUs are read from afar, and --workers auto is for fewer',
    undefined,
    'taskset -pc, AllowedCPUs= of a systemd unit, --cpuset-cpus of a container',
  )
}

function pageSize({ host: { pageSizeBytes } }: Examined): Verdict {
  if (pageSizeBytes === 4096) return fine('pages of 4 KiB')
  return wrong('note', `pages of ${pageSizeBytes / 1024} KiB`, `--block must be a multiple of it, and --chunk is at most it`)
}

function irqBalance({ host: { irqbalance } }: Examined): Verdict {
  if (irqbalance === undefined) return undefined
  if (!irqbalance.running) return fine('irqbalance does not run')
  return wrong(
    'note',
    `irqbalance runs (pid ${irqbalance.pid}) and moves interrupts as it likes`,
    'what was pinned to cores does not stay there, and workers pinned beside their queues lose touch',
    'sudo systemctl stop irqbalance',
  )
}

function governorFinding({ host: { cpus } }: Examined): Verdict {
  const named = cpus.filter((it) => it.governor !== undefined)
  if (named.length === 0) return undefined
  const slow = named.filter((it) => it.governor !== 'performance')
  if (slow.length === 0) return fine('frequency governor performance')
  return wrong(
    'note',
    `frequency governor ${[...new Set(slow.map((it) => it.governor))].join(', ')} on CPUs ${cpuListText(slow.map((it) => it.cpu))}`,
    'a core that was idle is slow when a burst begins',
    'echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor',
  )
}

type SoftnetField = 'dropped' | 'timeSqueeze' | 'processed'

function total(softnet: readonly SoftnetCpu[], field: SoftnetField): number {
  return softnet.reduce((sum, cpu) => sum + cpu[field], 0)
}

/** Of all CPUs since boot, and between the two readings. */
function counted({ confinement, earlier }: Examined, field: SoftnetField): { sinceBoot: number; lately: number } {
  const lately = total(softnetDifference(earlier.softnet, confinement.softnet), field)
  return { sinceBoot: total(confinement.softnet, field), lately }
}

const MAX_BACKLOG = 'net.core.netdev_max_backlog'
/** The second since Linux 4.12. */
const BUDGETS = ['net.core.netdev_budget', 'net.core.netdev_budget_usecs'] as const
/** Other network namespaces have no files for these limits, which hold for the whole machine: a number for one that is not known might lower it. */
const IN_HOST = "in the host's network namespace, where ringtap doctor says to what"

function sysctlNumber({ sysctls }: HostFacts, name: string): number | undefined {
  const text = sysctls[name]
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined
}

/** NB: counters never go back before a reboot, whatever has been mended: only what grows now is in the way. */
function softnetDropped(examined: Examined): Verdict {
  const { confinement, host, earlier } = examined
  if (confinement.softnet.length === 0) return undefined
  const { sinceBoot, lately } = counted(examined, 'dropped')
  if (sinceBoot === 0) return fine('no packet was lost in the backlog of a CPU since boot')
  const processed = counted(examined, 'processed')
  const limit = sysctlNumber(host, MAX_BACKLOG)
  const backlog = `${MAX_BACKLOG} is ${limit ?? 'not to be read here'}`
  const longer = limit === undefined ? undefined : `sudo sysctl -w ${MAX_BACKLOG}=${limit >= ENOUGH_BACKLOG ? 2 * limit : ENOUGH_BACKLOG}`
  const byHand = limit === undefined ? `raise ${MAX_BACKLOG} ${IN_HOST}` : undefined
  if (lately > 0) {
    return wrong(
      'limits',
      `${lately} packets were lost in the backlog of a CPU in the last ${Math.round(earlier.agoMs)} ms, ${shareText(lately, processed.lately)}; ${backlog}`,
      'they reach no socket: with RPS, or over veth and lo, bursts longer than the backlog are cut',
      longer,
      byHand,
    )
  }
  return wrong(
    'note',
    `${sinceBoot} packets were lost in the backlog of a CPU since boot, ${shareText(sinceBoot, processed.sinceBoot)}, none in the last ${Math.round(earlier.agoMs)} ms; ${backlog}`,
    'they reached no socket; where it goes on, doctor says so while traffic comes',
    limit !== undefined && limit >= ENOUGH_BACKLOG ? undefined : longer,
    byHand,
  )
}

/** The kernel counts as processed what it did not drop. */
function shareText(dropped: number, processed: number): string {
  const percent = (100 * dropped) / (dropped + processed)
  return `${percent < 0.01 ? 'less than 0.01' : percent >= 10 ? Math.round(percent) : percent.toPrecision(2)} % of ${dropped + processed}`
}

function softnetSqueezed(examined: Examined): Verdict {
  const { confinement, host, earlier } = examined
  if (confinement.softnet.length === 0) return undefined
  const { sinceBoot, lately } = counted(examined, 'timeSqueeze')
  if (sinceBoot === 0) return fine('the kernel never stopped receiving with packets left, since boot')
  const budgets = BUDGETS.map((name) => ({ name, value: sysctlNumber(host, name) }))
  const known = budgets.flatMap(({ name, value }) => (value === undefined ? [] : [{ name, value }]))
  const limits = known.length === 0 ? `${BUDGETS.join(', ')}: not to be read here` : known.map(({ name, value }) => `${name} ${value}`).join(', ')
  const times = `the kernel stopped receiving with packets left (${limits})`
  const span = `${Math.round(earlier.agoMs)} ms`
  if (lately === 0) return fine(`${sinceBoot} times since boot ${times}, not once in the last ${span}`)
  return wrong(
    'note',
    `${lately} times in the last ${span} ${times}, ${sinceBoot} since boot`,
    'packets wait in the NIC meanwhile; nothing is lost unless its ring is full',
    known.length === 0 ? undefined : `sudo sysctl -w ${known.map(({ name, value }) => `${name}=${2 * value}`).join(' ')}`,
    known.length === 0 ? `raise ${BUDGETS.join(' and ')} ${IN_HOST}` : undefined,
  )
}

function userNamespace({ confinement: { initialUserNamespace } }: Examined): Verdict {
  if (initialUserNamespace === undefined) return undefined
  if (initialUserNamespace) return fine("the machine's own user namespace")
  return wrong(
    'limits',
    'a user namespace (rootless container, unshare -U)',
    'capabilities hold for its own network namespaces only: no XDP, no BPF, no interface of the host',
    undefined,
    'run it outside, or in a container that is not rootless',
  )
}

function networkNamespace({ confinement: { hostNetwork } }: Examined): Verdict {
  if (hostNetwork === undefined) return undefined
  if (hostNetwork) return fine("the host's network namespace")
  return wrong(
    'note',
    'a network namespace that is not that of the host',
    "the host's interfaces are not to be seen",
    undefined,
    '--netns 1, or --network host for a container',
  )
}

function seccompFinding({ confinement: { seccomp } }: Examined): Verdict {
  if (seccomp === undefined) return undefined
  if (seccomp === 0) return fine('no seccomp filter')
  return wrong(
    'note',
    `a seccomp filter is in force (mode ${seccomp})`,
    'it may refuse bpf(2), setns(2) or mmap(2) of a ring; what was tried above says',
    undefined,
    '--security-opt seccomp=unconfined for a container',
  )
}

const TUNED: Readonly<Record<TunedPlace, string>> = {
  '/proc/irq': 'which CPUs interrupts go to',
  '/proc/sys': 'limits of the kernel (net.core.*)',
  '/sys': 'RPS and XPS of queues',
}

function readOnlyMounts({ confinement: { readOnly } }: Examined): Verdict {
  if (readOnly.length === 0) return fine('what tune writes to is not mounted read-only (/proc/irq, /proc/sys, /sys)')
  return wrong(
    'note',
    `${readOnly.join(' and ')} ${readOnly.length === 1 ? 'is' : 'are'} mounted read-only`,
    `tune cannot set from here: ${readOnly.map((place) => TUNED[place]).join(', ')}`,
    undefined,
    'tune on the host, or --privileged for a container',
  )
}

function unprivilegedBpf({ host: { sysctls } }: Examined): Verdict {
  const value = sysctls['kernel.unprivileged_bpf_disabled']
  if (value === undefined) return undefined
  if (value !== '0') return fine(`kernel.unprivileged_bpf_disabled is ${value}: programs take CAP_BPF`)
  const remedy = 'sudo sysctl -w kernel.unprivileged_bpf_disabled=2'
  return wrong('note', 'kernel.unprivileged_bpf_disabled is 0: any user may load programs', 'nothing; but no capture needs that either', remedy)
}

function bpfJit({ host: { sysctls } }: Examined): Verdict {
  const value = sysctls['net.core.bpf_jit_enable']
  if (value === undefined) return undefined
  if (value !== '0') return fine('filters and XDP programs are compiled (bpf_jit_enable)')
  return wrong(
    'limits',
    'net.core.bpf_jit_enable is 0: filters and XDP programs are interpreted',
    'each instruction of a filter costs several times as much, for each packet',
    'sudo sysctl -w net.core.bpf_jit_enable=1',
  )
}

const OLDEST_NODE = [20, 19] as const

function nodeVersion({ node: { version, pointerCompression } }: Examined): Verdict {
  if (pointerCompression)
    return wrong(
      'fatal',
      `Node.js ${version} with V8 pointer compression`,
      'it takes no memory of the kernel as a buffer: no ring',
      undefined,
      'the Node.js of nodejs.org',
    )
  const [major = 0, minor = 0] = version.split('.').map(Number)
  if (major > OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor >= OLDEST_NODE[1])) return fine(`Node.js ${version}`)
  return wrong('fatal', `Node.js ${version}`, `ringtap needs ${OLDEST_NODE.join('.')}`, 'nvm install 22')
}
