/** Tuning an interface of this machine. */
import { openKernel } from '../kernel/system.js'
import * as apply from './apply-tuning.js'
import type { HostFacts, InterfaceFacts } from './facts.js'
import type { InterfaceScope } from './interfaces.js'
import * as revert from './revert-tuning.js'
import { tunedInterface } from './tuning/journal.js'
import { type FoundJournal, findJournal, journalFile } from './tuning/journal-file.js'
import { type MachineAccess, openTuningAccess } from './tuning/machine-access.js'

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
  const found = findJournal(tunedInterface(facts, access.netnsInode))
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
  access.lock()
  return apply.applyTuning(access, journalOf(access), options)
}

/**
 * Puts back what was before the first `applyTuning`, also after that was killed in the middle. Without a journal there is nothing to do.
 * @throws CaptureError TUNING_FAILED, INTERFACE_IN_USE for the interface of the default route without `yesIMayLoseThisLink` where the link may go down, NO_SUCH_INTERFACE, NO_SUCH_NAMESPACE, PERMISSION, INVALID_FILE
 */
export function revertTuning(interfaceName: string, options: RevertOptions = {}): revert.RevertedTuning {
  using access = openTuningAccess(openKernel(), interfaceName, options)
  access.lock()
  return revert.revertTuning(access, journalOf(access), options)
}

function journalOf(access: MachineAccess) {
  return journalFile(tunedInterface(access.facts(), access.netnsInode))
}
