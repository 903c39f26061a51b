/** Back to what was before the first `apply`, exactly. */
import { CaptureError } from '../errors.js'
import type { InterfaceFacts } from './facts.js'
import type { JournalStore, TuningAccess, TuningFacts, Whereabouts } from './tuning/access.js'
import { inNamespace, quoted, ringtapCommand } from './tuning/command.js'
import {
  heirElsewhere,
  heirOf,
  inherited,
  isSameNamespace,
  type KeptJournal,
  readJournal,
  type TuningJournal,
  tunedInterface,
  writeJournal,
} from './tuning/journal.js'
import { absentInterface, isGone, type NotRestored, restoreSettings } from './tuning/restore.js'
import { currentSetting, isHostWide, isOfEveryNamespace, type Setting, sameValue, settingKey, valueText } from './tuning/setting.js'
import { mayFlap } from './tuning/step.js'
import { isNamespaceGone, orphansBeside } from './tuning/whose-journal.js'

export interface RevertedTuning {
  /** When the tuning that has been taken back began; undefined when there was none. */
  since: string | undefined
  /** Settings that were something else, as they are now. */
  restored: Setting[]
  /** What is not there any more: governors of CPUs that are offline, interrupts of another name. */
  gone: Setting[]
  /** What is the machine's, and stays for another interface that is tuned still: its revert puts these back. */
  left: { settings: Setting[]; journal: string } | undefined
  /** The interface is gone: what is the machine's has been put back, all else went with it. */
  isAbsent?: true
  /** Interfaces of this namespace that have gone without a revert: what is the machine's is still as their tuning made it. A revert by their name puts it back. */
  orphans?: { name: string; journal: string; netns?: string }[]
}

export interface RevertTuningOptions {
  /** The interface carries the default route, its link may go down for a moment, and it may be reverted nevertheless. Default false. */
  yesIMayLoseThisLink?: boolean | undefined
}

/** What a revert is about to put back. */
export interface PendingSetting {
  /** As it was before. */
  setting: Setting
  /** The driver may take the link down for a moment, up to seconds. */
  mayFlap: boolean
}

/** Those of a journal's settings that are something else now. Pure. */
export function pendingSettings({ host, interface: facts }: TuningFacts, before: readonly Setting[]): PendingSetting[] {
  const differing = before.filter((setting) => {
    const current = currentSetting(setting, host, facts)
    return current !== undefined && !sameValue(current, setting)
  })
  return differing.map((setting) => ({ setting, mayFlap: mayFlap(setting, facts) }))
}

/**
 * Puts back every setting that the journal of an interface holds, reads all again, and removes the journal. Without a journal there is nothing to
 * do. Can be run again after any failure, and after a kill -9 of `apply` or of itself.
 * @throws CaptureError TUNING_FAILED when something could not be put back (the journal stays then) or the journal is of another interface;
 * INTERFACE_IN_USE, PERMISSION, INVALID_FILE.
 */
export function revertTuning(access: TuningAccess, store: JournalStore, options: RevertTuningOptions = {}): RevertedTuning {
  const facts = access.facts()
  const { netns } = facts.interface
  const journal = readJournal(store, tunedInterface(facts, access), netns)
  if (journal === undefined) return { since: undefined, restored: [], gone: [], left: undefined }
  const whereabouts = inNeed(() => access.whereabouts())
  const machine = machineShares(access, { store, journal }, whereabouts)
  const own = [...journal.before.filter((setting) => !isHostWide(setting)), ...machine.own]
  const pending = pendingSettings(facts, own)
  assertMayLose(facts, pending, options)
  const left = leaveTo(machine, journal)
  const failed = restoreSettings(access, own)
  if (failed.length > 0) {
    throw new CaptureError('TUNING_FAILED', `${facts.interface.name}: not everything is as it was before: ${notRestoredText(failed)}`, {
      hint: `the journal stays: ${store.path}; ${againText(facts.interface, failed)}`,
    })
  }
  store.remove()
  const now = access.facts()
  const gone = [...own.filter((setting) => isGone(setting, now)), ...machine.lost]
  const orphans = orphansBeside(store, journal, whereabouts).map((it) => {
    const then = it.journal.interface
    const there = isSameNamespace(then, journal.interface) ? netns : whereabouts.interfaces.find((present) => isSameNamespace(then, present))?.netns
    return { name: then.name, journal: it.store.path, ...(there !== undefined && { netns: there }) }
  })
  const restored = pending.flatMap(({ setting }) => (gone.includes(setting) ? [] : [setting]))
  return { since: journal.since, restored, gone, left, ...(orphans.length > 0 && { orphans }) }
}

/**
 * Puts back what is the machine's from journals of an interface that has gone, and removes them; with none of another interface that is tuned still,
 * which gets it.
 * @throws CaptureError TUNING_FAILED when something could not be put back: that journal stays then.
 */
export function revertOrphans(access: TuningAccess, orphans: readonly KeptJournal[]): RevertedTuning {
  const whereabouts = access.whereabouts()
  const total: RevertedTuning = { since: undefined, restored: [], gone: [], left: undefined, isAbsent: true }
  // The eldest knows what was before all of them: it comes last.
  for (const orphan of [...orphans].sort((a, b) => (a.journal.since < b.journal.since ? 1 : -1))) {
    const { store, journal } = orphan
    const absent = absentInterface(journal.interface)
    const facts = (): TuningFacts => ({ host: access.hostFacts(), interface: absent })
    const machine = machineShares(access, orphan, whereabouts)
    total.left = leaveTo(machine, journal) ?? total.left
    const pending = pendingSettings(facts(), machine.own)
    const failed = restoreSettings({ facts, write: (setting) => access.write(setting) }, machine.own)
    if (failed.length > 0) {
      throw new CaptureError('TUNING_FAILED', `${absent.name}: not everything is as it was before: ${notRestoredText(failed)}`, {
        hint: `the journal stays: ${store.path}; ${ringtapCommand('tune revert', { name: absent.name, netns: access.netns })} may be run again`,
      })
    }
    total.restored.push(...pending.map(({ setting }) => setting))
    total.gone.push(...machine.lost)
    store.remove()
    total.since = journal.since
  }
  return total
}

/** What becomes of a journal's settings of the machine. */
interface MachineShares {
  /** To be put back. */
  own: Setting[]
  /** Gone with a namespace. */
  lost: Setting[]
  /** For another interface that is tuned still. */
  left: Setting[]
  heir: KeptJournal | undefined
}

/** One of the same namespace counts on all of them, one of another on what is no namespace's own. */
function machineShares(access: TuningAccess, kept: KeptJournal, whereabouts: Whereabouts): MachineShares {
  const { store, journal } = kept
  const heir = heirOf(store, journal, whereabouts)
  if (heir !== undefined) return { own: [], lost: [], left: journal.before.filter(isHostWide), heir }
  const { own, lost } = ofThisMachine(access, kept, whereabouts)
  if (!own.some(isOfEveryNamespace)) return { own, lost, left: [], heir: undefined }
  const elsewhere = heirElsewhere(store, journal, whereabouts)
  if (elsewhere === undefined) return { own, lost, left: [], heir: undefined }
  return { own: own.filter((setting) => !isOfEveryNamespace(setting)), lost, left: own.filter(isOfEveryNamespace), heir: elsewhere }
}

/**
 * The machine's settings of a journal that this thread can put back. What is below /proc/sys/net is of the namespace that the interface was tuned in:
 * lost with it where that has gone.
 * @throws CaptureError TUNING_FAILED where it is another one.
 */
function ofThisMachine({ home }: TuningAccess, { store, journal }: KeptJournal, whereabouts: Whereabouts): { own: Setting[]; lost: Setting[] } {
  const own = journal.before.filter(isHostWide)
  const of = journal.interface
  if (isSameNamespace(of, home)) return { own, lost: [] }
  const limits = own.filter(({ kind }) => kind === 'sysctl')
  if (limits.length > 0 && !isNamespaceGone(of, whereabouts)) {
    throw new CaptureError('TUNING_FAILED', `${of.name}: what the limits of net.core were, in ${store.path}, is of network namespace net:[${of.netnsInode}]`, {
      hint: `this is net:[${home.netnsInode}]: revert it from there (lsns -t net lists them, nsenter --net=PATH enters one), with --netns for an interface that is here`,
    })
  }
  return { own: own.filter((setting) => !limits.includes(setting)), lost: limits }
}

/** Asked once, and only by who has to know. */
function inNeed(ask: () => Whereabouts): Whereabouts {
  let answer: Whereabouts | undefined
  const now = () => {
    answer ??= ask()
    return answer
  }
  return {
    get interfaces() {
      return now().interfaces
    },
    get isComplete() {
      return now().isComplete
    },
  }
}

/** Written before this journal goes: cut off between the two, both know what was before. */
function leaveTo({ heir, left: settings }: MachineShares, journal: TuningJournal): RevertedTuning['left'] {
  if (heir === undefined || settings.length === 0) return undefined
  writeJournal(heir.store, inherited(heir.journal, journal, settings))
  return { settings, journal: heir.store.path }
}

/** @throws CaptureError INTERFACE_IN_USE */
function assertMayLose({ interface: { name, defaultRoute } }: TuningFacts, pending: readonly PendingSetting[], options: RevertTuningOptions): void {
  const flaps = pending.filter((it) => it.mayFlap).map(({ setting }) => settingKey(setting))
  if (defaultRoute === undefined || flaps.length === 0 || options.yesIMayLoseThisLink === true) return
  const route = defaultRoute.replace(/^route /, '')
  throw new CaptureError('INTERFACE_IN_USE', `${name} carries this host's ${route}, and the link may go down for a moment (${flaps.join(', ')})`, {
    hint: 'whoever is connected over it may be cut off; set yesIMayLoseThisLink to revert it nevertheless',
  })
}

function againText(facts: InterfaceFacts, left: readonly NotRestored[]): string {
  const again = `${ringtapCommand('tune revert', facts)} may be run again`
  if (facts.up || !left.some(({ setting }) => setting.kind === 'interrupt')) return again
  return `a driver has its interrupts only while the interface is up: ${inNamespace(facts, `ip link set dev ${quoted(facts.name)} up`)}, then ${again}`
}

export function notRestoredText(left: readonly NotRestored[]): string {
  return left.map(({ setting, reason }) => `${settingKey(setting)} (was ${valueText(setting)}): ${reason}`).join('; ')
}
