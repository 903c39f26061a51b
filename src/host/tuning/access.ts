/** The one door through which tuning changes anything: a test puts a machine of plain data in its place. */
import type { HostFacts, InterfaceFacts } from '../facts.js'
import type { Setting } from './setting.js'

/** What a journal is of. A name may be given again, an index is not, and a MAC address may be changed. */
export interface TunedInterface {
  netnsInode: number
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

export interface TuningAccess {
  readonly netnsInode: number
  /** Read from the kernel at each call. @throws CaptureError NO_SUCH_INTERFACE */
  facts(): TuningFacts
  /** Makes one setting so. @throws CaptureError with the errno of the kernel */
  write(setting: Setting): void
}

export interface JournalStore {
  /** Where the journal stands or would stand. */
  readonly path: string
  /** The text, undefined without one. */
  read(): string | undefined
  /** All or nothing, and on the disk when it returns. */
  write(text: string): void
  remove(): void
  /** Journals of all other interfaces, of this namespace and others. */
  others(): JournalStore[]
}
