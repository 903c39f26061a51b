/** Back to what was before the first `apply`, exactly. */
import { CaptureError } from '../errors.js'
import type { JournalStore, TuningAccess } from './tuning/access.js'
import { readJournal, tunedInterface } from './tuning/journal.js'
import { type NotRestored, restoreSettings } from './tuning/restore.js'
import { currentSetting, type Setting, sameValue, settingKey, valueText } from './tuning/setting.js'

export interface RevertedTuning {
  /** When the tuning that has been taken back began; undefined when there was none. */
  since: string | undefined
  /** Settings that were something else, as they are now. */
  restored: Setting[]
}

/**
 * Puts back every setting that the journal of an interface holds, reads all again, and removes the journal. Without a journal there is nothing to
 * do. Can be run again after any failure, and after a kill -9 of `apply` or of itself.
 * @throws CaptureError TUNING_FAILED when something could not be put back (the journal stays then) or the journal is of another interface;
 * PERMISSION, INVALID_FILE.
 */
export function revertTuning(access: TuningAccess, store: JournalStore): RevertedTuning {
  const facts = access.facts()
  const journal = readJournal(store, tunedInterface(facts, access.netnsInode))
  if (journal === undefined) return { since: undefined, restored: [] }
  const restored = journal.before.filter((setting) => {
    const current = currentSetting(setting, facts.host, facts.interface)
    return current !== undefined && !sameValue(current, setting)
  })
  const left = restoreSettings(access, journal.before)
  if (left.length > 0) {
    throw new CaptureError('TUNING_FAILED', `${facts.interface.name}: not everything is as it was before: ${notRestoredText(left)}`, {
      hint: `the journal stays: ${store.path}; ringtap tune revert -i ${facts.interface.name} may be run again`,
    })
  }
  store.remove()
  return { since: journal.since, restored }
}

export function notRestoredText(left: readonly NotRestored[]): string {
  return left.map(({ setting, reason }) => `${settingKey(setting)} (was ${valueText(setting)}): ${reason}`).join('; ')
}
