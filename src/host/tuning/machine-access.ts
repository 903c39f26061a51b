/** Tuning's door to this machine: facts read afresh, settings written by ethtool's ioctls and to /proc and /sys. */
import { CaptureError } from '../../errors.js'
import { LOCK_EX, LOCK_NB } from '../../kernel/abi/process.js'
import { cpuListText, cpuMaskText } from '../../kernel/cpus.js'
import { Descriptor } from '../../kernel/descriptor.js'
import { callFailed, EAGAIN, ENODEV } from '../../kernel/errno.js'
import { openControlSocket } from '../../kernel/ethtool.js'
import { setFeatures } from '../../kernel/ethtool-features.js'
import { setFlowHash } from '../../kernel/ethtool-flow-hash.js'
import { setChannels, setCoalescing, setRings } from '../../kernel/ethtool-queues.js'
import { setRss } from '../../kernel/ethtool-rss.js'
import { carriedDefaultRoute } from '../../kernel/interface-use.js'
import { openNamespace, withNamespace } from '../../kernel/namespace.js'
import type { Kernel } from '../../kernel/system.js'
import { sysctlPath } from '../host-facts.js'
import type { WritableHostFiles } from '../host-files.js'
import type { InterfaceScope } from '../interfaces.js'
import { readInterrupts } from '../interrupts.js'
import { openMachineFiles } from '../machine-files.js'
import { readHostFactsOf, readInterfaceFactsOf } from '../read-facts.js'
import type { NetworkNamespace, TuningAccess, TuningFacts } from './access.js'
import { irqOf } from './command.js'
import { JOURNAL_DIRECTORY, makeJournalDirectory, openJournalDirectory } from './journal-file.js'
import type { Setting, SettingKind } from './setting.js'
import { findInterfaces, namespaceOf } from './whereabouts.js'

export interface MachineAccess extends TuningAccess, Disposable {
  /**
   * Lets nobody else tune an interface of this machine until this is closed or the process ends, however it does: some of what is tuned is the
   * whole machine's.
   * @throws CaptureError TUNING_FAILED when somebody else does; PERMISSION
   */
  lock(): void
  /** The same where a journal has ever been; false, and nothing locked, where there is no directory of them. */
  lockJournals(): boolean
  /** Idempotent. */
  close(): void
}

/** What settings are written through. */
export interface Door {
  kernel: Kernel
  /** Of the interface's namespace. */
  ethtool: Descriptor
  files: WritableHostFiles
  name: string
}

/** @throws CaptureError NO_SUCH_NAMESPACE, PERMISSION */
export function openTuningAccess(kernel: Kernel, name: string, scope: InterfaceScope = {}): MachineAccess {
  const files = openMachineFiles(kernel, scope.netns)
  const kept: Descriptor[] = []
  const close = () => {
    for (const descriptor of kept.splice(0)) descriptor.close()
    files.close()
  }
  const inside = <T>(act: () => T): T => {
    using namespace = scope.netns === undefined ? undefined : openNamespace(kernel, scope.netns)
    return withNamespace(kernel, namespace, act)
  }
  const hostFacts = () => readHostFactsOf(kernel, files)
  try {
    const ethtool = inside(() => openControlSocket(kernel))
    kept.push(ethtool)
    const place = (netns?: string) => once(() => requireNamespace(netns === undefined ? here(kernel) : inside(() => namespaceOf(kernel, ethtool))))
    const [own, home] = [place(scope.netns), place()]
    const door: Door = { kernel, ethtool, files, name }
    const facts = (): TuningFacts => {
      const own = readInterfaceFactsOf(kernel, files, name, scope)
      // Asked for by an alternative name, it has another one in /sys.
      door.name = own.name
      // What stands on it loses its link with it.
      const defaultRoute = inside(() => carriedDefaultRoute(kernel, own.name, own.index))
      return { host: hostFacts(), interface: { ...own, defaultRoute } }
    }
    const lock = (directory: number) => void kept.push(openLock(kernel, directory))
    return {
      netns: scope.netns,
      get netnsInode() {
        return own().netnsInode
      },
      get netnsCookie() {
        return own().netnsCookie
      },
      get bootId() {
        return own().bootId
      },
      get home() {
        return home()
      },
      hostFacts,
      whereabouts: () => findInterfaces(kernel, scope),
      facts,
      write: (setting) => writeSetting(door, setting),
      lock: () => lock(makeJournalDirectory()),
      lockJournals() {
        const directory = openJournalDirectory()
        if (directory !== undefined) lock(directory)
        return directory !== undefined
      },
      close,
      [Symbol.dispose]: close,
    }
  } catch (error) {
    close()
    throw error
  }
}

export function writeSetting<K extends SettingKind>(door: Door, setting: Extract<Setting, { kind: K }>): void {
  const write = WRITERS[setting.kind] as (door: Door, setting: Extract<Setting, { kind: K }>) => void
  write(door, setting)
}

const WRITERS: { readonly [K in SettingKind]: (door: Door, setting: Extract<Setting, { kind: K }>) => void } = {
  channels: ({ kernel, ethtool, name }, { value }) => setChannels(kernel, ethtool, name, value),
  rings: ({ kernel, ethtool, name }, { value }) => setRings(kernel, ethtool, name, value),
  'rss-indirection': ({ kernel, ethtool, name }, { value }) => setRss(kernel, ethtool, name, { indirection: value }),
  'rss-key': ({ kernel, ethtool, name }, { value }) => setRss(kernel, ethtool, name, { key: value }),
  'flow-hash': ({ kernel, ethtool, name }, { flow, value }) => setFlowHash(kernel, ethtool, name, flow, value),
  feature: ({ kernel, ethtool, name }, { name: feature, value }) => setFeatures(kernel, ethtool, name, { [feature]: value }),
  coalescing: ({ kernel, ethtool, name }, { value }) => setCoalescing(kernel, ethtool, name, value),
  threaded: ({ files, name }, { value }) => files.write(`/sys/class/net/${name}/threaded`, `${value}`),
  interrupt: (door, { name, value }) => door.files.write(`/proc/irq/${requireIrq(door, name)}/smp_affinity_list`, cpuListText(value)),
  'receive-queue-cpus': ({ files, name }, { queue, value }) => files.write(`/sys/class/net/${name}/queues/rx-${queue}/rps_cpus`, cpuMaskText(value)),
  'receive-queue-flows': ({ files, name }, { queue, value }) => files.write(`/sys/class/net/${name}/queues/rx-${queue}/rps_flow_cnt`, `${value}`),
  'transmit-queue-cpus': ({ files, name }, { queue, value }) => files.write(`/sys/class/net/${name}/queues/tx-${queue}/xps_cpus`, cpuMaskText(value)),
  'transmit-queue-receivers': ({ files, name }, { queue, value }) => files.write(`/sys/class/net/${name}/queues/tx-${queue}/xps_rxqs`, cpuMaskText(value)),
  sysctl: ({ files }, { name, value }) => files.write(sysctlPath(name), value),
  governor: ({ files }, { cpu, value }) => files.write(`/sys/devices/system/cpu/cpu${cpu}/cpufreq/scaling_governor`, value),
}

/** As it is now: the last change may have given it another. */
function requireIrq({ files, name }: Door, role: string): number {
  const irq = irqOf(role, readInterrupts(files, name, []))
  if (irq !== undefined) return irq
  throw new CaptureError('SYSTEM_CALL_FAILED', `${name}: there is no interrupt ${role} any more`, { errno: ENODEV, errnoName: 'ENODEV' })
}

function here(kernel: Kernel): NetworkNamespace | undefined {
  using socket = openControlSocket(kernel)
  return namespaceOf(kernel, socket)
}

/** @throws CaptureError FILE_FAILED: without it nobody knows which journal is whose. */
function requireNamespace(namespace: NetworkNamespace | undefined): NetworkNamespace {
  if (namespace !== undefined) return namespace
  throw new CaptureError('FILE_FAILED', 'which network namespace this is cannot be told: /proc/thread-self/ns/net is not to be read', {
    hint: 'mount -t proc proc /proc',
  })
}

function once<T>(ask: () => T): () => T {
  let answer: { value: T } | undefined
  return () => {
    answer ??= { value: ask() }
    return answer.value
  }
}

/** On the directory of the journals, so that only who may write them can hold it; it goes with the process, also after kill -9. */
function openLock(kernel: Kernel, directory: number): Descriptor {
  const lock = new Descriptor(kernel, directory)
  const locked = kernel.flock(lock.fd, LOCK_EX | LOCK_NB)
  if (locked === 0) return lock
  lock.close()
  if (locked !== -EAGAIN) throw callFailed({ subject: JOURNAL_DIRECTORY, call: 'flock(LOCK_EX)', errno: locked })
  throw new CaptureError('TUNING_FAILED', 'another process is tuning an interface of this machine', {
    errno: EAGAIN,
    errnoName: 'EAGAIN',
    hint: 'once it is done, again; `lslocks` says which it is',
  })
}
