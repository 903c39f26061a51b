/**
 * Values as people write them: `256M`, `60ms`, `2Mpps`, `500ms@2Mpps`, `0-3,6`. A parser answers undefined for text that is not of
 * its kind; `expected` is the end of the sentence "expected …". Ranges are the library's business.
 */

export interface Hold {
  ms: number
  packetsPerSecond: number
}

export interface FanoutValue {
  mode: string
  defrag?: true
  rollover?: true
  ignoreOutgoing?: true
}

interface Kind<T> {
  /** Stands for the value in the help. */
  metavar: string
  expected: string
  parse(text: string): T | undefined
}

function kind<T>(metavar: string, expected: string, parse: (text: string) => T | undefined): Kind<T> {
  return { metavar, expected, parse }
}

const DURATION_MS: Record<string, number> = { us: 1e-3, ms: 1, s: 1000, m: 60_000, min: 60_000, h: 3_600_000 }
const DECIMAL: Record<string, number> = { '': 1, k: 1e3, M: 1e6, G: 1e9 }
const BINARY: Record<string, number> = { '': 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40 }

/** Milliseconds. No time needs no unit. */
export function parseDuration(text: string): number | undefined {
  if (text === '0') return 0
  const match = /^(\d+(?:\.\d+)?)(us|ms|s|min|m|h)$/.exec(text)
  if (match === null) return undefined
  return tidy(Number(match[1]) * (DURATION_MS[match[2] ?? ''] ?? Number.NaN))
}

/** Milliseconds; a number without a unit is seconds. */
export function parseSeconds(text: string): number | undefined {
  return /^\d+(\.\d+)?$/.test(text) ? tidy(Number(text) * 1000) : parseDuration(text)
}

/** Bytes; K, M, G and T are powers of 1024, with or without `B` or `iB`. */
export function parseSize(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)(?:([kmgt])i?b?|b)?$/i.exec(text)
  if (match === null) return undefined
  const bytes = Number(match[1]) * (BINARY[(match[2] ?? '').toLowerCase()] ?? Number.NaN)
  return Number.isSafeInteger(bytes) ? bytes : undefined
}

/** Bytes, of tcpdump's `-B`: a number without a unit is KiB. */
export function parseKibibytes(text: string): number | undefined {
  return parseSize(/^\d+$/.test(text) ? `${text}K` : text)
}

/** Bytes, of tcpdump's `-C`: a number without a unit is millions. */
export function parseMillions(text: string): number | undefined {
  return /^\d+$/.test(text) ? parseInteger(`${text}M`) : parseSize(text)
}

/** Packets a second; k, M and G are powers of 1000. */
export function parseRate(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)([kMG]?)(?:pps)?$/.exec(text)
  if (match === null) return undefined
  return tidy(Number(match[1]) * (DECIMAL[match[2] ?? ''] ?? Number.NaN))
}

/** Packets a second as `rate`, or bits a second: `1Gbit`, `100Mbps`, `2.5Gbit/s`; k, M and G are powers of 1000. */
export function parseSendingRate(text: string): { packetsPerSecond: number } | { bitsPerSecond: number } | undefined {
  const bits = /^(\d+(?:\.\d+)?)([kMG]?)(?:bit|bps|bit\/s)$/.exec(text)
  if (bits !== null) return { bitsPerSecond: tidy(Number(bits[1]) * (DECIMAL[bits[2] ?? ''] ?? Number.NaN)) }
  const packetsPerSecond = parseRate(text)
  return packetsPerSecond === undefined ? undefined : { packetsPerSecond }
}

/** What a link carries: `10G`, `10Gbit`, `2.5Gbit/s` are bits a second, `14.88Mpps` packets; k, M and G are powers of 1000. */
export function parseLoad(text: string): { packetsPerSecond: number } | { bitsPerSecond: number } | undefined {
  return parseSendingRate(/^\d+(?:\.\d+)?[kMG]$/.test(text) ? `${text}bit` : text)
}

/** A count may be large, so it takes k, M and G as rates do. */
export function parseInteger(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)([kMG]?)$/.exec(text)
  if (match === null) return undefined
  const value = tidy(Number(match[1]) * (DECIMAL[match[2] ?? ''] ?? Number.NaN))
  return Number.isSafeInteger(value) ? value : undefined
}

function parseHold(text: string): Hold | undefined {
  const at = text.indexOf('@')
  if (at < 0) return undefined
  const ms = parseDuration(text.slice(0, at))
  const packetsPerSecond = parseRate(text.slice(at + 1))
  return ms === undefined || packetsPerSecond === undefined ? undefined : { ms, packetsPerSecond }
}

/** A time, exact to the nanosecond. */
export interface InstantValue {
  seconds: number
  nanoseconds: number
}

/**
 * `1700000000.5`, seconds since 1970; or `2026-11-20`, `2026-11-20T15:38`, `2026-11-20 15:38:19.000000001`, of this machine's zone, or with
 * `Z` or `+01:00` behind.
 */
export function parseInstant(text: string): InstantValue | undefined {
  const epoch = /^(\d{1,12})(?:\.(\d{1,9}))?$/.exec(text)
  if (epoch !== null) return { seconds: Number(epoch[1]), nanoseconds: nanosecondsOf(epoch[2]) }
  const match = /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?(?: ?(Z|[+-]\d\d:?\d\d))?)?$/i.exec(text)
  if (match === null) return undefined
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map((part) => Number(part ?? 0)) as [number, number, number, number, number, number]
  const utc = Date.UTC(year, month - 1, day, hour, minute, second)
  const date = new Date(utc)
  // 31 February is none, nor 25 o'clock.
  if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day || date.getUTCHours() !== hour || date.getUTCMinutes() !== minute) return undefined
  const zone = match[8]
  const ms = zone === undefined ? new Date(year, month - 1, day, hour, minute, second).getTime() : utc - zoneMs(zone)
  return { seconds: Math.floor(ms / 1000), nanoseconds: nanosecondsOf(match[7]) }
}

function nanosecondsOf(fraction = ''): number {
  return Number(fraction.padEnd(9, '0'))
}

function zoneMs(zone: string): number {
  if (/^z$/i.test(zone)) return 0
  const [hours, minutes] = [Number(zone.slice(1, 3)), Number(zone.slice(-2))]
  return (zone.startsWith('-') ? -1 : 1) * (hours * 60 + minutes) * 60_000
}

/** `0,2-4` is 0, 2, 3, 4, in the order given. */
export function parseCpus(text: string): number[] | undefined {
  const cpus: number[] = []
  for (const part of text.split(',')) {
    const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(part)
    if (match === null) return undefined
    const first = Number(match[1])
    const last = Number(match[2] ?? match[1])
    if (last < first) return undefined
    for (let cpu = first; cpu <= last; cpu++) cpus.push(cpu)
  }
  return cpus
}

function parseFanout(text: string): FanoutValue | undefined {
  const [mode, ...flags] = text.split(',')
  if (mode === undefined || !FANOUT_MODE_NAMES.includes(mode)) return undefined
  const value: FanoutValue = { mode }
  for (const flag of flags) {
    if (flag === 'defrag') value.defrag = true
    else if (flag === 'rollover') value.rollover = true
    else if (flag === 'ignore-outgoing') value.ignoreOutgoing = true
    else return undefined
  }
  return value
}

export const FANOUT_MODE_NAMES: readonly string[] = ['cpu', 'hash', 'lb', 'qm', 'rnd', 'rollover', 'cbpf', 'ebpf']

/** Takes away what decimal fractions add: 1.1s is 1100 ms, not 1100.0000000000002. */
function tidy(value: number): number {
  return Math.round(value * 1e6) / 1e6
}

export const KINDS = {
  string: kind('TEXT', 'text', (text) => (text === '' ? undefined : text)),
  words: kind('LIST', 'names with commas between them', (text) => (text === '' ? undefined : text.split(','))),
  integer: kind('N', 'a whole number such as 1000 or 10M', parseInteger),
  size: kind('SIZE', 'a size such as 256M or 4MiB', parseSize),
  kibibytes: kind('KIB', 'a size in KiB such as 4096, or with a unit such as 4M', parseKibibytes),
  millions: kind('SIZE', 'millions of bytes such as 100, or a size with a unit such as 1G', parseMillions),
  instant: kind('WHEN', 'a time such as 2026-11-20T15:38:19.5Z or 1700000000.5', parseInstant),
  duration: kind('TIME', 'a duration such as 60ms or 2s', parseDuration),
  seconds: kind('TIME', 'a duration such as 10s or 500ms, or a number of seconds', parseSeconds),
  rate: kind('PPS', 'packets a second such as 2Mpps or 500k', parseRate),
  'rate-or-max': kind('PPS|max', "packets a second such as 2Mpps or 500k, or 'max'", (text) => (text === 'max' ? ('max' as const) : parseRate(text))),
  'sending-rate': kind('PPS|BITS', 'packets a second such as 10kpps, or bits a second such as 1Gbit', parseSendingRate),
  load: kind('PPS|BITS', 'packets a second such as 14.88Mpps, or bits a second of a full line such as 10G', parseLoad),
  'bit-rate': kind('BITS', 'bits a second such as 10G', (text) => {
    const load = parseLoad(text)
    return load !== undefined && 'bitsPerSecond' in load ? load.bitsPerSecond : undefined
  }),
  nanoseconds: kind('NS', 'nanoseconds such as 50 or 50ns', (text) => {
    const match = /^(\d+(?:\.\d+)?)(?:ns)?$/.exec(text)
    return match === null ? undefined : Number(match[1])
  }),
  percent: kind('PERCENT', 'a part such as 80% or 0.8', (text) => {
    const match = /^(\d+(?:\.\d+)?)(%?)$/.exec(text)
    return match === null ? undefined : tidy(Number(match[1]) / (match[2] === '%' ? 100 : 1))
  }),
  factor: kind('FACTOR', 'a number such as 2 or 0.5', (text) => (/^\d+(\.\d+)?$/.test(text) ? Number(text) : undefined)),
  ring: kind('SIZE|TIME@RATE', 'a size such as 256M, or a time at a rate such as 500ms@2Mpps', (text): { bytes: number } | { hold: Hold } | undefined => {
    const bytes = parseSize(text)
    if (bytes !== undefined) return { bytes }
    const hold = parseHold(text)
    return hold && { hold }
  }),
  workers: kind('N|auto', "a whole number such as 4, or 'auto'", (text) => (text === 'auto' ? ('auto' as const) : parseInteger(text))),
  cpus: kind('CPUS', 'CPU numbers such as 0,1 or 0-3', parseCpus),
  pin: kind('CPUS|queues', "CPU numbers such as 0,1 or 0-3, or 'queues'", (text) => (text === 'queues' ? ('queues' as const) : parseCpus(text))),
  fanout: kind('MODE', `one of ${FANOUT_MODE_NAMES.join(', ')}, and after it any of ,defrag ,rollover ,ignore-outgoing`, parseFanout),
  json: kind('JSON', 'a JSON value such as \'{"top":10}\'', (text): { value: unknown } | undefined => {
    try {
      return { value: JSON.parse(text) as unknown }
    } catch {
      return undefined
    }
  }),
} as const

export type KindName = keyof typeof KINDS
export type KindValue<K extends KindName> = NonNullable<ReturnType<(typeof KINDS)[K]['parse']>>
