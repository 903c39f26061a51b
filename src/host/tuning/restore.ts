/** Putting settings back. Works on what is and what shall be, not on what was done: so it does not matter where it was interrupted. */
import type { TuningAccess, TuningFacts } from './access.js'
import { mustResetTable } from './channels.js'
import { currentSetting, isOfQueue, SETTING_ORDER, type Setting, sameValue, settingKey } from './setting.js'

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
export function restoreSettings(access: TuningAccess, settings: readonly Setting[]): NotRestored[] {
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
  let facts = access.facts()
  for (let pass = 0; pass < PASSES; pass++) {
    const channels = ordered.find((it) => it.kind === 'channels')
    if (channels !== undefined && differs(channels, facts)) {
      if (mustResetTable(facts.interface.rss, channels.value)) attempt({ kind: 'rss-indirection', value: 'default' })
      attempt(channels)
      facts = access.facts()
    }
    for (const setting of ordered) if (setting.kind !== 'channels' && differs(setting, facts)) attempt(setting)
    facts = access.facts()
    if (!ordered.some((setting) => differs(setting, facts))) break
  }
  return ordered.flatMap((setting) => {
    if (isAsGiven(setting, facts) || isGone(setting, facts)) return []
    const reason =
      reasons.get(settingKey(setting)) ?? (isThere(setting, facts) ? 'it was written, and is something else again' : 'there is no such thing any more')
    return [{ setting, reason }]
  })
}

/** What is not there cannot be written either. */
function differs(setting: Setting, facts: TuningFacts): boolean {
  return isThere(setting, facts) && !isAsGiven(setting, facts)
}

/**
 * An interrupt of no queue, which tuning never sets, is known by its name alone, and drivers name it after the interface: after a rename there is
 * another one in its place.
 */
function isGone(setting: Setting, facts: TuningFacts): boolean {
  return setting.kind === 'interrupt' && !isOfQueue(setting) && !isThere(setting, facts)
}

function isThere(setting: Setting, { host, interface: facts }: TuningFacts): boolean {
  return currentSetting(setting, host, facts) !== undefined
}

function isAsGiven(setting: Setting, { host, interface: facts }: TuningFacts): boolean {
  const current = currentSetting(setting, host, facts)
  return current !== undefined && sameValue(current, setting)
}
