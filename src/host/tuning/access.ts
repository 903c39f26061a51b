/** The one door through which tuning changes anything: a test puts a machine of plain data in its place. */
import type { HostFacts, InterfaceFacts } from '../facts.js'
import type { Setting } from './setting.js'

/** A network namespace. The kernel gives the inode of one that has gone to the next one at once; a cookie it gives once a boot. */
export interface NetworkNamespace {
  netnsInode: number
  /** SO_NETNS_COOKIE; undefined before Linux 5.14. */
  netnsCookie?: string | undefined
  /** /proc/sys/kernel/random/boot_id; undefined where it is not to be read. */
  bootId?: string | undefined
}

/** What a journal is of. A name may be given again, an index is not, and a MAC address may be changed. */
export interface TunedInterface extends NetworkNamespace {
  index: number
  name: string
  mac: string | undefined
  permanentMac?: string | undefined
  /** With the driver: of hardware. */
  bus?: string | undefined
  driver?: string | undefined
}

export interface TuningFacts {
  host: HostFacts
  interface: InterfaceFacts
}

/** An interface as it is now. */
export interface PresentInterface extends TunedInterface {
  /** A path to its namespace; undefined for this thread's. */
  netns: string | undefined
}

export interface Whereabouts {
  /** Every interface of every namespace that can be entered, its lo at least. */
  interfaces: readonly PresentInterface[]
  /** No namespace is hidden: one that is not here has gone. */
  isComplete: boolean
}

/** With the namespace of the interface. */
export interface TuningAccess extends NetworkNamespace {
  /** The interface's namespace as it was asked for; undefined for this thread's. */
  readonly netns?: string | undefined
  /** The namespace that what is below /proc/sys/net belongs to: this thread's. */
  readonly home: NetworkNamespace
  /** What is the machine's, also where the interface is not to be had. */
  hostFacts(): HostFacts
  /** Where all interfaces are. Takes a while: every process is looked at. */
  whereabouts(): Whereabouts
  /** Read from the kernel at each call. @throws CaptureError NO_SUCH_INTERFACE */
  facts(): TuningFacts
  /** Makes one setting so. @throws CaptureError with the errno of the kernel */
  write(setting: Setting): void
}

export interface JournalStore {
  /** Where the journal stands or would stand. */
  readonly path: string
  /** The journal is of the interface that was asked for, from when that was in another namespace. */
  readonly isMoved?: boolean
  /** The text, undefined without one. */
  read(): string | undefined
  /** All or nothing, and on the disk when it returns. */
  write(text: string): void
  remove(): void
  /** Journals of all other interfaces, of this namespace and others. */
  others(): JournalStore[]
}
