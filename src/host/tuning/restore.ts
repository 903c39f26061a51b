/** Putting settings back. Works on what is and what shall be, not on what was done: so it does not matter where it was interrupted. */
import type { InterfaceFacts } from '../facts.js'
import type { TunedInterface, TuningAccess, TuningFacts } from './access.js'
import { mustResetTable } from './channels.js'
import { currentSetting, isOfQueue, SETTING_ORDER, type Setting, sameValue, settingKey, settingsOf } from './setting.js'

export interface NotRestored {
  setting: Setting
  reason: string
}

/** One setting may disturb another that has been put back already, and a feature may wait for another: then once more. */
const PASSES = 3

/**
 * Makes every setting as it is given. NB: in the order in which settings are made, not in the reverse: the channels, which disturb all others,
 * have to come first here too. What differs at the end is answered.
 */
export function restoreSettings(access: Pick<TuningAccess, 'facts' | 'write'>, settings: readonly Setting[]): NotRestored[] {
  const ordered = SETTING_ORDER.flatMap((kind) => settings.filter((setting) => setting.kind === kind))
  const reasons = new Map<string, string>()
  const attempt = (setting: Setting) => {
    try {
      access.write(setting)
      reasons.delete(settingKey(setting))
    } catch (error) {
      reasons.set(settingKey(setting), (error as Error).message)
    }
  }
  let now = new Present(access.facts())
  for (let pass = 0; pass < PASSES; pass++) {
    const channels = ordered.find((it) => it.kind === 'channels')
    if (channels !== undefined && now.differs(channels)) {
      if (mustResetTable(now.facts.interface.rss, channels.value)) attempt({ kind: 'rss-indirection', value: 'default' })
      attempt(channels)
      now = new Present(access.facts())
    }
    for (const setting of ordered) if (setting.kind !== 'channels' && now.differs(setting)) attempt(setting)
    now = new Present(access.facts())
    if (!ordered.some((setting) => now.differs(setting))) break
  }
  return ordered.flatMap((setting) => {
    if (now.isAsGiven(setting) || isGone(setting, now.facts)) return []
    const reason = reasons.get(settingKey(setting)) ?? (now.has(setting) ? 'it was written, and is something else again' : 'there is no such thing any more')
    return [{ setting, reason }]
  })
}

/** What is left of an interface that has gone: nothing that could be put back. */
export function absentInterface({ name, index, mac }: TunedInterface): InterfaceFacts {
  const none = { netns: undefined, kind: undefined, driver: undefined, driverVersion: undefined, firmware: undefined, bus: undefined, numaNode: undefined }
  const link = { up: false, operState: 'notpresent', mtu: 0, linkType: 0, speedMbps: undefined, duplex: undefined, rxQueues: 0, txQueues: 0 }
  const device = { channels: undefined, rings: undefined, rss: undefined, flowHash: undefined, features: {}, coalescing: undefined, timestamping: undefined }
  const lists = { receiveQueues: [], transmitQueues: [], interrupts: [], xdpPrograms: [], use: [], unread: [] }
  const promiscuous = { on: false, count: 0, holders: [] }
  return { name, index, mac, ...none, ...link, ...device, ...lists, promiscuous, xdpFeatures: undefined, defaultRoute: undefined }
}

/** All settings at one moment. */
class Present {
  readonly facts: TuningFacts
  readonly #settings: ReadonlyMap<string, Setting>

  constructor(facts: TuningFacts) {
    this.facts = facts
    this.#settings = new Map(settingsOf(facts.host, facts.interface).map((setting) => [settingKey(setting), setting]))
  }

  has(setting: Setting): boolean {
    return this.#settings.has(settingKey(setting))
  }

  isAsGiven(setting: Setting): boolean {
    const current = this.#settings.get(settingKey(setting))
    return current !== undefined && sameValue(current, setting)
  }

  /** What is not there cannot be written either. */
  differs(setting: Setting): boolean {
    return this.has(setting) && !this.isAsGiven(setting)
  }
}

/**
 * What is not there to be put back: a CPU that is offline, or has no such governor any more; flows that the driver told of with more queues only. And an interrupt of no queue, which tuning never sets, is
 * known by its name alone, and drivers name it after the interface: after a rename there is another one in its place.
 */
export function isGone(setting: Setting, { host, interface: facts }: TuningFacts): boolean {
  if (setting.kind === 'governor') {
    const cpu = host.cpus.find((it) => it.cpu === setting.cpu)
    return cpu?.governor === undefined || cpu.availableGovernors?.includes(setting.value) === false
  }
  if (setting.kind === 'flow-hash') return facts.flowHash?.[setting.flow] === undefined && !facts.unread.some(({ what }) => what === 'hash fields')
  return setting.kind === 'interrupt' && !isOfQueue(setting) && currentSetting(setting, host, facts) === undefined
}
