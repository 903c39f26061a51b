/**
 * What a time zone is called: `CET`, `CEST`. Node.js has names of its own making (`GMT+1`); the tz database has them in the rule that ends
 * each of its files (RFC 8536, 3.3), such as `CET-1CEST,M3.5.0,M10.5.0/3`.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** The rule of the time zone that this process is in; undefined where there is no tz database. */
export function zoneRule(zone = process.env.TZ): string | undefined {
  if (zone === '') return 'UTC0'
  const path = zone === undefined ? '/etc/localtime' : join('/usr/share/zoneinfo', zone.replace(/^:/, ''))
  try {
    return readFileSync(path, 'latin1').trimEnd().split('\n').pop()
  } catch {
    // A rule itself is a time zone, too.
    return zone
  }
}

/** The name in a rule that goes with an offset from UTC; undefined when none does. */
export function zoneAbbreviation(rule: string | undefined, offsetMinutes: number): string | undefined {
  const name = '(<[^>]+>|[A-Za-z]{3,})'
  const offset = '([+-]?\\d+(?::\\d+)?)'
  const match = new RegExp(`^${name}${offset}(?:${name}${offset}?)?`).exec(rule ?? '')
  if (match === null) return undefined
  const [, standard, west, summer, summerWest] = match as unknown as [string, string, string, string?, string?]
  const found =
    offsetOf(west) === offsetMinutes ? standard : offsetMinutes === (summerWest === undefined ? offsetOf(west) + 60 : offsetOf(summerWest)) ? summer : undefined
  return found?.replace(/[<>]/g, '')
}

/** NB: rules count to the west. */
function offsetOf(west: string): number {
  const [hours, minutes = '0'] = west.replace(/^[+-]/, '').split(':')
  const value = Number(hours) * 60 + Number(minutes)
  return west.startsWith('-') ? value : -value
}
