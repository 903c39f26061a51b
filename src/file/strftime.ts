/**
 * strftime(3) in the C locale, for the names of files: every conversion of glibc, with its flags (`_ - 0 ^ #`), width and the
 * modifiers E and O, in the time zone of the process. What is no conversion stays as it is written.
 */
import { zoneAbbreviation, zoneRule } from './zone-name.js'

const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday']
const MONTHS = ['January', 'February', 'March', 'April', 'May', 'June', 'July', 'August', 'September', 'October', 'November', 'December']

const DAY_MS = 86_400_000

/** What a conversion gives before flags and width: a number with its digits and padding, or text. */
type Field = { value: number; digits: number; pad: '0' | ' ' } | { text: string } | { format: string }

const zeros = (value: number, digits: number): Field => ({ value, digits, pad: '0' })
const blanks = (value: number, digits: number): Field => ({ value, digits, pad: ' ' })
const text = (value: string): Field => ({ text: value })
const format = (value: string): Field => ({ format: value })

const CONVERSIONS: Readonly<Record<string, (time: Date) => Field>> = {
  a: (time) => text((DAYS[time.getDay()] as string).slice(0, 3)),
  A: (time) => text(DAYS[time.getDay()] as string),
  b: (time) => text((MONTHS[time.getMonth()] as string).slice(0, 3)),
  B: (time) => text(MONTHS[time.getMonth()] as string),
  c: () => format('%a %b %e %H:%M:%S %Y'),
  C: (time) => zeros(Math.floor(time.getFullYear() / 100), 2),
  d: (time) => zeros(time.getDate(), 2),
  D: () => format('%m/%d/%y'),
  e: (time) => blanks(time.getDate(), 2),
  F: () => format('%Y-%m-%d'),
  g: (time) => zeros(isoWeek(time).year % 100, 2),
  G: (time) => zeros(isoWeek(time).year, 1),
  h: () => format('%b'),
  H: (time) => zeros(time.getHours(), 2),
  I: (time) => zeros(twelve(time), 2),
  j: (time) => zeros(dayOfYear(time) + 1, 3),
  k: (time) => blanks(time.getHours(), 2),
  l: (time) => blanks(twelve(time), 2),
  m: (time) => zeros(time.getMonth() + 1, 2),
  M: (time) => zeros(time.getMinutes(), 2),
  n: () => text('\n'),
  p: (time) => text(time.getHours() < 12 ? 'AM' : 'PM'),
  P: (time) => text(time.getHours() < 12 ? 'am' : 'pm'),
  r: () => format('%I:%M:%S %p'),
  R: () => format('%H:%M'),
  s: (time) => zeros(Math.floor(time.getTime() / 1000), 1),
  S: (time) => zeros(time.getSeconds(), 2),
  t: () => text('\t'),
  T: () => format('%H:%M:%S'),
  u: (time) => zeros(time.getDay() || 7, 1),
  U: (time) => zeros(Math.floor((dayOfYear(time) + 7 - time.getDay()) / 7), 2),
  V: (time) => zeros(isoWeek(time).week, 2),
  w: (time) => zeros(time.getDay(), 1),
  W: (time) => zeros(Math.floor((dayOfYear(time) + 7 - ((time.getDay() + 6) % 7)) / 7), 2),
  x: () => format('%m/%d/%y'),
  X: () => format('%H:%M:%S'),
  y: (time) => zeros(time.getFullYear() % 100, 2),
  Y: (time) => zeros(time.getFullYear(), 1),
  z: (time) => text(zoneOffset(time)),
  Z: (time) => text(zoneName(time)),
  '%': () => text('%'),
}

/** `strftime('%Y%m%d-%H%M%S.pcap', new Date())` is such as `20150713-090500.pcap`. */
export function strftime(pattern: string, time: Date): string {
  return pattern.replaceAll(/%([_0^#-]*)(\d*)[EO]?([a-zA-Z%])/g, (written, flags: string, width: string, conversion: string) => {
    const field = CONVERSIONS[conversion]?.(time)
    return field === undefined ? written : render(field, flags, width === '' ? undefined : Number(width), conversion, time)
  })
}

function render(field: Field, flags: string, width: number | undefined, conversion: string, time: Date): string {
  const padding = [...flags].findLast((flag) => '_0-'.includes(flag))
  if ('value' in field) {
    const digits = String(field.value)
    if (padding === '-') return digits
    return digits.padStart(width ?? field.digits, padding === '_' ? ' ' : padding === '0' ? '0' : field.pad)
  }
  let result = 'format' in field ? strftime(field.format, time) : field.text
  if (conversion === 'z') return padding === '-' ? result.replace(/^([+-])0+(?=\d)/, '$1') : result
  // NB: of %p and %Z `#` makes small letters, of names capital ones.
  if (flags.includes('#') && (conversion === 'p' || conversion === 'Z')) result = result.toLowerCase()
  else if (/[#^]/.test(flags)) result = result.toUpperCase()
  return padding === '-' ? result : result.padStart(width ?? 0, padding === '0' ? '0' : ' ')
}

function twelve(time: Date): number {
  return time.getHours() % 12 || 12
}

/** 0 for the first of January. */
function dayOfYear(time: Date): number {
  return dayNumber(time.getFullYear(), time.getMonth(), time.getDate()) - dayNumber(time.getFullYear(), 0, 1)
}

/** Days are counted in UTC, where each has 24 hours. */
function dayNumber(year: number, month: number, day: number): number {
  return Date.UTC(year, month, day) / DAY_MS
}

/** ISO 8601: a week belongs to the year that its Thursday is in. */
function isoWeek(time: Date): { year: number; week: number } {
  const thursday = new Date(Date.UTC(time.getFullYear(), time.getMonth(), time.getDate() + 4 - (time.getDay() || 7)))
  const year = thursday.getUTCFullYear()
  return { year, week: Math.floor((thursday.getTime() / DAY_MS - dayNumber(year, 0, 1)) / 7) + 1 }
}

function zoneOffset(time: Date): string {
  const minutes = -time.getTimezoneOffset()
  const digits = (value: number) => String(Math.floor(value)).padStart(2, '0')
  return `${minutes < 0 ? '-' : '+'}${digits(Math.abs(minutes) / 60)}${digits(Math.abs(minutes) % 60)}`
}

/** As the tz database has it: `CET`, or where a zone has no letters, `+03`. */
function zoneName(time: Date): string {
  return zoneAbbreviation(zoneRule(), -time.getTimezoneOffset()) ?? zoneOffset(time).replace(/00$/, '')
}
