/** What an interface was like before it was tuned: written before the first change, and all that a revert needs. Text in, values out. */
import { CaptureError } from '../../errors.js'
import type { JournalStore, NetworkNamespace, PresentInterface, TunedInterface, TuningFacts, Whereabouts } from './access.js'
import { inNamespace, quoted, ringtapCommand } from './command.js'
import { isHostWide, SETTING_ORDER, type Setting, settingKey, TUNED_FLOWS, valueText } from './setting.js'

/** Another number for another shape: a version that does not know it must not guess. */
const SCHEMA = 1

export interface TuningJournal {
  interface: TunedInterface
  /** ISO 8601, UTC: when the first change was about to be made. */
  since: string
  /** Each setting as it was before the first change. */
  before: Setting[]
}

export function tunedInterface({ interface: { index, name, mac, permanentMac, bus, driver } }: TuningFacts, namespace: NetworkNamespace): TunedInterface {
  const { netnsInode, netnsCookie, bootId } = namespace
  return { netnsInode, ...(netnsCookie && { netnsCookie }), ...(bootId && { bootId }), index, name, mac, permanentMac, bus, driver }
}

/**
 * The journal of an interface, undefined without one. `netns`: the namespace as it was asked for, for commands.
 * @throws CaptureError TUNING_FAILED when it is of another interface, INVALID_FILE when it is none.
 */
export function readJournal(store: JournalStore, of: TunedInterface, netns?: string): TuningJournal | undefined {
  const text = store.read()
  if (text === undefined) return undefined
  const journal = parseJournal(text, store.path)
  if (store.isMoved !== true) assertSame(journal, { ...of, netns }, store.path)
  return journal
}

export function writeJournal(store: JournalStore, journal: TuningJournal): void {
  const { mac = null, ...rest } = journal.interface
  store.write(`${JSON.stringify({ schema: SCHEMA, ...journal, interface: { ...rest, mac } }, undefined, 1)}\n`)
}

/** A journal that can be read, and where it stands. */
export interface KeptJournal {
  store: JournalStore
  journal: TuningJournal
}

/**
 * The journal of another interface of this namespace, which counts on what is the machine's: whoever reverts first leaves that to it.
 * A damaged one is nobody's heir, nor is that of an interface that has gone.
 */
export function heirOf(store: JournalStore, { interface: of }: TuningJournal, whereabouts: Whereabouts): KeptJournal | undefined {
  return readable(store.others()).find(({ journal }) => isSameNamespace(journal.interface, of) && isThere(journal.interface, whereabouts.interfaces))
}

/** Another one that counts on what is no namespace's own, whichever namespace it is in. */
export function heirElsewhere(store: JournalStore, { interface: of }: TuningJournal, whereabouts: Whereabouts): KeptJournal | undefined {
  return readable(store.others()).find(({ journal }) => isSameBoot(journal.interface, of) && isThere(journal.interface, whereabouts.interfaces))
}

/** Those that are none, and of an earlier version, are in nobody's way. */
export function readable<S extends Pick<JournalStore, 'path' | 'read'>>(stores: readonly S[]): { store: S; journal: TuningJournal }[] {
  return stores.flatMap((store) => {
    const journal = journalOrNone(store)
    return journal === undefined ? [] : [{ store, journal }]
  })
}

function journalOrNone(store: Pick<JournalStore, 'path' | 'read'>): TuningJournal | undefined {
  try {
    const text = store.read()
    return text === undefined ? undefined : parseJournal(text, store.path)
  } catch (error) {
    if (error instanceof CaptureError) return undefined
    throw error
  }
}

/** What either does not know does not part them. */
export function isSameNamespace(then: NetworkNamespace, now: NetworkNamespace): boolean {
  return then.netnsInode === now.netnsInode && isSameWhereKnown(then.netnsCookie, now.netnsCookie) && isSameWhereKnown(then.bootId, now.bootId)
}

export function isSameBoot(then: NetworkNamespace, now: NetworkNamespace): boolean {
  return isSameWhereKnown(then.bootId, now.bootId)
}

function isSameWhereKnown(a: string | undefined, b: string | undefined): boolean {
  return a === undefined || b === undefined || a === b
}

export function isSamePlace(then: TunedInterface, now: TunedInterface): boolean {
  return isSameNamespace(then, now) && then.index === now.index
}

/** Where it was, the same one still is. */
export function isThere(then: TunedInterface, interfaces: readonly TunedInterface[]): boolean {
  return interfaces.some((now) => isSamePlace(then, now) && isSameDevice(then, now))
}

/** The heir's journal with the settings that are left to it. Of two that know a setting the elder knows what it was. */
export function inherited(heir: TuningJournal, { since }: TuningJournal, settings: readonly Setting[]): TuningJournal {
  if (heir.since < since) return withSettings(heir, settings)
  const keys = new Set(settings.map(settingKey))
  return { ...heir, before: [...heir.before.filter((it) => !keys.has(settingKey(it))), ...settings] }
}

/** The journal with what it does not know yet; itself when it knows all. */
export function withSettings(journal: TuningJournal, settings: readonly Setting[]): TuningJournal {
  const known = new Set(journal.before.map(settingKey))
  const added = settings.filter((setting) => !known.has(settingKey(setting)))
  return added.length === 0 ? journal : { ...journal, before: [...journal.before, ...added] }
}

export function parseJournal(text: string, path: string): TuningJournal {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw damaged(path, (cause as Error).message, cause)
  }
  if (!isObject(value)) throw damaged(path, 'not an object')
  if (value.schema !== SCHEMA) throw damaged(path, `schema ${JSON.stringify(value.schema)}, this version of ringtap knows ${SCHEMA}`)
  const { interface: of, since, before } = value
  if (!isObject(of) || typeof of.name !== 'string' || !isCount(of.index) || !isCount(of.netnsInode)) throw damaged(path, 'no interface')
  if (of.mac !== null && typeof of.mac !== 'string') throw damaged(path, 'no MAC address')
  const { permanentMac, bus, driver, netnsCookie, bootId } = of
  if (![permanentMac, bus, driver, netnsCookie, bootId].every(isOptionalText)) throw damaged(path, 'no interface')
  if (typeof since !== 'string' || !Array.isArray(before)) throw damaged(path, 'no settings')
  for (const setting of before) if (!isSetting(setting)) throw damaged(path, `not a setting: ${JSON.stringify(setting)}`)
  const { netnsInode, index, name } = of
  const place = { netnsInode, ...(netnsCookie !== undefined && { netnsCookie }), ...(bootId !== undefined && { bootId }) }
  const parsed = { ...place, index, name, mac: of.mac ?? undefined, permanentMac, bus, driver } as TunedInterface
  return { interface: parsed, since, before: before as Setting[] }
}

function damaged(path: string, why: string, cause?: unknown): CaptureError {
  const hint = 'without it there is no way back but a reboot or the driver being loaded again; remove the file to tune anew'
  return new CaptureError('INVALID_FILE', `${path} is no journal of tuning: ${why}`, { hint, cause })
}

function assertSame(journal: TuningJournal, now: PresentInterface, path: string): void {
  const then = journal.interface
  const isHere = isSamePlace(then, now)
  if (isHere && isSameDevice(then, now)) return
  const shown = ({ name, index, mac }: TunedInterface) => `${name} (index ${index}, ${mac ?? 'no MAC address'})`
  throw new CaptureError('TUNING_FAILED', `${now.name}: the journal is of another interface: ${shown(then)}, this is ${shown(now)}`, {
    hint: isHere
      ? `if it is the same one with another MAC address: ${inNamespace(now, `ip link set dev ${quoted(now.name)} address ${then.mac}`)}, and again; if another one has its place: ${dropText(journal, path)}`
      : hasHostWide(journal)
        ? `what was tuned is gone: ${ringtapCommand('tune revert', { name: then.name, netns: now.netns })} puts back what is the machine's, and removes ${path}`
        : `what was tuned is gone, and its settings with it: rm ${path}`,
  })
}

function hasHostWide({ before }: TuningJournal): boolean {
  return before.some(isHostWide)
}

/** How to be rid of a journal, with what nobody else knows. */
export function dropText({ before }: TuningJournal, path: string): string {
  const machine = before.filter(isHostWide).map((setting) => `${settingKey(setting).replace(/^sysctl /, '')} was ${valueText(setting)}`)
  return machine.length === 0 ? `rm ${path}` : `rm ${path}, once what is the machine's is as it was: ${machine.join(', ')}`
}

/** NB: a bond gives its own MAC address to its parts, and anybody may set one. What has neither hardware nor a first address has only that. */
export function isSameDevice(then: TunedInterface, now: TunedInterface): boolean {
  if (then.permanentMac !== undefined && now.permanentMac !== undefined) return then.permanentMac === now.permanentMac
  if (then.bus !== undefined && now.bus !== undefined) return then.bus === now.bus && then.driver === now.driver
  return then.mac === now.mac
}

function isOptionalText(value: unknown): value is string | undefined {
  return value === undefined || typeof value === 'string'
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function isCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every(isCount)
}

/** A journal is written to the kernel as it is read, so nothing else may get through here. */
function isSetting(value: unknown): value is Setting {
  if (!isObject(value) || !SETTING_ORDER.includes(value.kind as Setting['kind'])) return false
  const setting = value as unknown as Setting
  switch (setting.kind) {
    case 'sysctl':
      return /^net\.core\.[a-z_]+$/.test(setting.name) && typeof setting.value === 'string'
    case 'governor':
      return isCount(setting.cpu) && typeof setting.value === 'string'
    case 'channels':
    case 'rings':
    case 'coalescing':
      return isObject(setting.value) && Object.values(setting.value).every(isCount)
    case 'rss-indirection':
      return isCounts(setting.value)
    case 'rss-key':
      return typeof setting.value === 'string' && /^([0-9a-f]{2})*$/.test(setting.value)
    case 'flow-hash':
      return TUNED_FLOWS.includes(setting.flow) && typeof setting.value === 'string' && /^[a-z]*$/.test(setting.value)
    case 'feature':
      return typeof setting.name === 'string' && typeof setting.value === 'boolean'
    case 'interrupt':
      return typeof setting.name === 'string' && isCounts(setting.value)
    case 'receive-queue-cpus':
    case 'transmit-queue-cpus':
    case 'transmit-queue-receivers':
      return isCount(setting.queue) && isCounts(setting.value)
    case 'threaded':
      return isCount(setting.value)
    case 'receive-queue-flows':
      return isCount(setting.queue) && isCount(setting.value)
  }
}
