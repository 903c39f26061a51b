/** Where a test has a journal stand. */
import type { JournalStore, TunedInterface } from '#src/host/tuning/access.js'
import { findStore } from '#src/host/tuning/journal-file.js'

/** The journal of an interface, without a look at other namespaces. */
export function journalFile(of: TunedInterface, directory: string): JournalStore {
  return findStore(of, directory).store
}
