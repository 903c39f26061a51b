/** Which of the journals is of an interface, wherever that was tuned, and which are of interfaces that have gone. Pure. */
import type { JournalStore, NetworkNamespace, PresentInterface, TunedInterface, Whereabouts } from './access.js'
import { isSameBoot, isSameDevice, isSameNamespace, isSamePlace, isThere, type KeptJournal, readable, type TuningJournal } from './journal.js'
import { isHostWide, isOfEveryNamespace } from './setting.js'

export function ofPlace(kept: readonly KeptJournal[], of: TunedInterface): KeptJournal | undefined {
  return kept.find(({ journal }) => isSamePlace(journal.interface, of) && isSameDevice(journal.interface, of))
}

/**
 * Journals of an interface that has come here from another namespace. Hardware is known by its address and bus. What is made of software has at
 * best a MAC address, which every container may give again: it is the same only where the other namespace has lost such a one and no other place
 * has another.
 */
export function movedHere(
  kept: readonly KeptJournal[],
  of: TunedInterface,
  whereabouts: () => Whereabouts,
): { moved: KeptJournal | undefined; doubtful: KeptJournal[] } {
  const alike = kept.filter(({ journal }) => !isSameNamespace(journal.interface, of) && isAlike(journal.interface, of))
  if (alike.length === 0) return { moved: undefined, doubtful: [] }
  const { interfaces } = whereabouts()
  const homeless = alike.filter(({ journal }) => !isThere(journal.interface, interfaces))
  const moved = homeless.find(({ journal: { interface: then } }) => {
    if (isSure(then, of)) return true
    return isNamespaceThere(then, interfaces) && interfaces.filter((it) => isAlike(then, it)).length === 1
  })
  return { moved, doubtful: moved === undefined ? homeless : [] }
}

/** Journals of interfaces of this name that are no more, of this namespace or of one that has gone. */
export function orphansOf(kept: readonly KeptJournal[], name: string, namespace: NetworkNamespace, whereabouts: Whereabouts): KeptJournal[] {
  const { interfaces } = whereabouts
  return kept.filter(({ journal: { interface: then } }) => {
    if (then.name !== name || interfaces.some((it) => isStill(then, it))) return false
    return isSameNamespace(then, namespace) || isNamespaceGone(then, whereabouts)
  })
}

/** Journals whose interface is no more, and which alone know how something of the machine was: of this namespace, and of others for what is no namespace's own. */
export function orphansBeside(store: JournalStore, { interface: of }: TuningJournal, { interfaces }: Whereabouts): KeptJournal[] {
  const beside = readable(store.others()).filter(({ journal: { interface: then, before } }) => {
    if (isSameNamespace(then, of)) return before.some(isHostWide)
    return isSameBoot(then, of) && before.some(isOfEveryNamespace)
  })
  return beside.filter(({ journal }) => !interfaces.some((it) => isStill(journal.interface, it)))
}

/** Where an interface that was tuned under this name may be now. */
export function movedAway(kept: readonly KeptJournal[], name: string, { interfaces }: Whereabouts): { kept: KeptJournal; now: PresentInterface } | undefined {
  for (const one of kept) {
    const then = one.journal.interface
    const now = then.name === name ? interfaces.find((it) => isStill(then, it)) : undefined
    if (now !== undefined) return { kept: one, now }
  }
  return undefined
}

/** For certain: none is hidden, or another one has its inode. */
export function isNamespaceGone(then: NetworkNamespace, { interfaces, isComplete }: Whereabouts): boolean {
  if (isNamespaceThere(then, interfaces)) return false
  return isComplete || interfaces.some(({ netnsInode }) => netnsInode === then.netnsInode)
}

function isNamespaceThere(then: NetworkNamespace, interfaces: readonly TunedInterface[]): boolean {
  return interfaces.some((it) => isSameNamespace(then, it))
}

/**
 * At its place it is still the same one, perhaps with another MAC address; elsewhere it is one that is alike. NB: not in its own namespace: with
 * another index that is a new one, with the driver loaded again or plugged in again, and the settings of the one before have gone.
 */
function isStill(then: TunedInterface, it: TunedInterface): boolean {
  return isSamePlace(then, it) || (!isSameNamespace(then, it) && isAlike(then, it))
}

/**
 * NB: a permanent address is no sign of hardware: register_netdevice makes the address of anything that does not say otherwise its permanent one, of an
 * ipvlan that of its parent. Nor is any bus: tun, bridge and batman-adv write `tap`, `N/A` and `batman` there; of hardware it has a number.
 */
function isSure(then: TunedInterface, now: TunedInterface): boolean {
  return then.permanentMac !== undefined && then.bus !== undefined && /\d/.test(then.bus) && isAlike(then, now)
}

/** All that does not change with the namespace. A MAC address of zeros is that of every lo. */
function isAlike(then: TunedInterface, now: TunedInterface): boolean {
  const address = (it: TunedInterface) => it.permanentMac ?? it.mac ?? ''
  const isAddress = /[1-9a-f]/.test(address(then))
  return isAddress && address(then) === address(now) && then.bus === now.bus && then.driver === now.driver
}
