/** Tuning an interface of this machine. */
import { CaptureError } from '../errors.js'
import { openKernel } from '../kernel/system.js'
import * as apply from './apply-tuning.js'
import type { HostFacts, InterfaceFacts } from './facts.js'
import type { InterfaceScope } from './interfaces.js'
import * as revert from './revert-tuning.js'
import type { TuningAccess, Whereabouts } from './tuning/access.js'
import { ringtapCommand } from './tuning/command.js'
import { dropText, type KeptJournal, tunedInterface } from './tuning/journal.js'
import { doubtText, type FoundJournal, findJournal, findStore, keptJournals } from './tuning/journal-file.js'
import { type MachineAccess, openTuningAccess } from './tuning/machine-access.js'
import { isHostWide } from './tuning/setting.js'
import { movedAway, orphansOf } from './tuning/whose-journal.js'

export interface TuneOptions extends apply.ApplyTuningOptions, InterfaceScope {}

export interface TuningState {
  host: HostFacts
  interface: InterfaceFacts
  /** Undefined when it has not been tuned, or has been reverted. */
  journal: FoundJournal | undefined
  /** What a revert would put back. */
  pending: revert.PendingSetting[]
}

export interface RevertOptions extends revert.RevertTuningOptions, InterfaceScope {}

/**
 * How an interface and its machine stand, and whether it has been tuned. Needs no privilege: what could not be read stands in `unread`.
 * @throws CaptureError NO_SUCH_INTERFACE, NO_SUCH_NAMESPACE
 */
export function readTuning(interfaceName: string, scope: InterfaceScope = {}): TuningState {
  using access = openTuningAccess(openKernel(), interfaceName, scope)
  const facts = access.facts()
  const found = findJournal(() => tunedInterface(facts, access), undefined, access.whereabouts)
  if (found === undefined) return { ...facts, journal: undefined, pending: [] }
  const { before, ...journal } = found
  return { ...facts, journal, pending: revert.pendingSettings(facts, before) }
}

/**
 * Tunes an interface: writes down in /run/ringtap what is, carries the steps of `planTuning` out, reads each back. When one fails all are undone.
 * What is in place already is left alone; on top of an earlier tuning the journal keeps what was before the first. Needs root.
 * @throws CaptureError TUNING_FAILED, INTERFACE_IN_USE for the interface of the default route without `yesIMayLoseThisLink`, INVALID_OPTION,
 * NO_SUCH_INTERFACE, NO_SUCH_NAMESPACE, PERMISSION, INVALID_FILE
 */
export function applyTuning(interfaceName: string, options: TuneOptions = {}): apply.AppliedTuning {
  using access = openTuningAccess(openKernel(), interfaceName, options)
  // A name that nobody has makes no directory.
  access.facts()
  access.lock()
  return applyThrough(access, options)
}

/** What `applyTuning` does, once nobody else does. */
export function applyThrough(access: TuningAccess, options: apply.ApplyTuningOptions, directory?: string): apply.AppliedTuning {
  const { store, doubtful } = foundOf(access, directory)
  const [other] = doubtful
  // What is now would be taken for what was before.
  if (other !== undefined && store.read() === undefined) throw doubtOf(access.facts().interface.name, other)
  return apply.applyTuning(access, store, options)
}

/**
 * Puts back what was before the first `applyTuning`, also after that was killed in the middle. Without a journal there is nothing to do. Of an interface
 * that has gone what is the machine's.
 * @throws CaptureError TUNING_FAILED, INTERFACE_IN_USE for the interface of the default route without `yesIMayLoseThisLink` where the link may go down, NO_SUCH_INTERFACE, NO_SUCH_NAMESPACE, PERMISSION, INVALID_FILE
 */
export function revertTuning(interfaceName: string, options: RevertOptions = {}): revert.RevertedTuning {
  using access = openTuningAccess(openKernel(), interfaceName, options)
  const absent = absenceOf(access)
  if (!lockedJournals(access, absent)) {
    if (absent !== undefined) throw absent
    return { since: undefined, restored: [], gone: [], left: undefined }
  }
  return revertThrough(access, interfaceName, options)
}

/** What `revertTuning` does, once nobody else does. */
export function revertThrough(access: TuningAccess, interfaceName: string, options: revert.RevertTuningOptions, directory?: string): revert.RevertedTuning {
  const absent = absenceOf(access)
  if (absent !== undefined) return revertAbsent(access, interfaceName, absent, directory)
  const { store, isOfNameOnly, doubtful } = foundOf(access, directory)
  if (!isOfNameOnly && store.read() !== undefined) return revert.revertTuning(access, store, options)
  const [other] = doubtful
  if (other !== undefined) throw doubtOf(interfaceName, other)
  const { name } = access.facts().interface
  const kept = keptJournals(access, directory).filter(({ journal }) => journal.interface.name === name && journal.before.some(isHostWide))
  if (kept.length === 0) return revert.revertTuning(access, store, options)
  const whereabouts = access.whereabouts()
  const orphans = orphansOf(kept, name, access, whereabouts)
  if (orphans.length > 0) return revert.revertOrphans(access, orphans)
  const hint = isOfNameOnly ? elsewhereHint(kept, name, whereabouts) : undefined
  if (hint !== undefined) throw new CaptureError('TUNING_FAILED', `${name}: the journal of this name is of another interface`, { hint })
  return revert.revertTuning(access, store, options)
}

/** Without a directory of journals there is nothing to lock, and nothing is made: /run may be read-only. */
function lockedJournals(access: MachineAccess, absent: CaptureError | undefined): boolean {
  try {
    return access.lockJournals()
  } catch (error) {
    // To others than root a name that nobody has is no less wrong.
    if (absent === undefined || !(error instanceof CaptureError) || error.code !== 'PERMISSION') throw error
    throw withHint(absent, 'if it has been tuned and has gone: root may read its journal')
  }
}

function foundOf(access: TuningAccess, directory?: string) {
  return findStore(tunedInterface(access.facts(), access), directory, () => access.whereabouts())
}

function absenceOf(access: TuningAccess): CaptureError | undefined {
  try {
    access.facts()
    return undefined
  } catch (error) {
    if (error instanceof CaptureError && error.code === 'NO_SUCH_INTERFACE') return error
    throw error
  }
}

function doubtOf(name: string, other: KeptJournal): CaptureError {
  return new CaptureError('TUNING_FAILED', doubtText(name, other), {
    hint: `if it is, put back by hand what is in there; then, or if it is not: ${dropText(other.journal, other.store.path)}`,
  })
}

/** @throws CaptureError NO_SUCH_INTERFACE where no journal has the name, and where the interface is elsewhere now. */
function revertAbsent(access: TuningAccess, name: string, absent: CaptureError, directory?: string): revert.RevertedTuning {
  const kept = keptJournals(access, directory)
  if (!kept.some(({ journal }) => journal.interface.name === name)) throw absent
  const whereabouts = access.whereabouts()
  const orphans = orphansOf(kept, name, access, whereabouts)
  if (orphans.length > 0) return revert.revertOrphans(access, orphans)
  throw withHint(absent, elsewhereHint(kept, name, whereabouts))
}

function withHint({ code, message, syscall, errno, errnoName }: CaptureError, hint: string | undefined): CaptureError {
  return new CaptureError(code, message, { syscall, errno, errnoName, hint })
}

function elsewhereHint(kept: readonly KeptJournal[], name: string, whereabouts: Whereabouts): string | undefined {
  const away = movedAway(kept, name, whereabouts)
  if (away === undefined) {
    const one = kept.find(({ journal }) => journal.interface.name === name)
    return (
      one &&
      `${one.store.path} is of one of network namespace net:[${one.journal.interface.netnsInode}], which is not to be seen from here; if that has gone: ${dropText(one.journal, one.store.path)}`
    )
  }
  const { now, kept: one } = away
  return `${one.store.path} is of one that is elsewhere now: ${ringtapCommand('tune revert', now)}`
}
