import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  KINDS,
  parseCpus,
  parseDuration,
  parseInstant,
  parseInteger,
  parseKibibytes,
  parseRate,
  parseSeconds,
  parseSendingRate,
  parseSize,
} from '#src/cli/units.js'

function rows<T>(name: string, parse: (text: string) => T | undefined, cases: readonly (readonly [text: string, value: T | undefined])[]): void {
  test(name, () => {
    for (const [text, value] of cases) assert.deepEqual(parse(text), value, `'${text}'`)
  })
}

rows('sizes are powers of 1024', parseSize, [
  ['0', 0],
  ['4096', 4096],
  ['4096B', 4096],
  ['64K', 65_536],
  ['64k', 65_536],
  ['1MiB', 1_048_576],
  ['1MB', 1_048_576],
  ['256M', 268_435_456],
  ['1.5G', 1_610_612_736],
  ['1T', 2 ** 40],
  ['', undefined],
  ['M', undefined],
  ['-1', undefined],
  ['+1', undefined],
  ['1e6', undefined],
  ['0x10', undefined],
  ['1 M', undefined],
  ['1.5', undefined],
  ['1.', undefined],
  ['60ms', undefined],
  ['1iB', undefined],
  ['9999999999T', undefined],
])

rows("tcpdump's -B is in KiB", parseKibibytes, [
  ['4096', 4 * 2 ** 20],
  ['4M', 4 * 2 ** 20],
  ['4096B', 4096],
  ['4ms', undefined],
])

rows('durations need a unit', parseDuration, [
  ['60ms', 60],
  ['2s', 2000],
  ['1.1s', 1100],
  ['500us', 0.5],
  ['5min', 300_000],
  ['5m', 300_000],
  ['1h', 3_600_000],
  ['0s', 0],
  ['0', 0],
  ['00', undefined],
  ['60', undefined],
  ['60MB', undefined],
  ['ms', undefined],
  ['-1s', undefined],
  ['1S', undefined],
])

rows('a plain number of seconds', parseSeconds, [
  ['5', 5000],
  ['0.5', 500],
  ['500ms', 500],
  ['5MB', undefined],
  ['', undefined],
])

rows('rates are powers of 1000', parseRate, [
  ['1000', 1000],
  ['500k', 500_000],
  ['2M', 2e6],
  ['2Mpps', 2e6],
  ['14.88Mpps', 14_880_000],
  ['1G', 1e9],
  ['100pps', 100],
  ['2m', undefined],
  ['2MiB', undefined],
  ['2Mbps', undefined],
  ['fast', undefined],
])

rows('counts', parseInteger, [
  ['10', 10],
  ['10M', 10_000_000],
  ['1.5k', 1500],
  ['1.5', undefined],
  ['-1', undefined],
  ['ten', undefined],
])

rows('CPU lists', parseCpus, [
  ['0', [0]],
  ['0,1', [0, 1]],
  ['0-3,6', [0, 1, 2, 3, 6]],
  ['1,0', [1, 0]],
  ['3-1', undefined],
  ['0,', undefined],
  ['', undefined],
  ['a', undefined],
])

rows('--ring', KINDS.ring.parse, [
  ['256M', { bytes: 268_435_456 }],
  ['500ms@2Mpps', { hold: { ms: 500, packetsPerSecond: 2e6 } }],
  ['500ms', undefined],
  ['500ms@', undefined],
  ['256M@2Mpps', undefined],
])

rows('--fanout', KINDS.fanout.parse, [
  ['cpu', { mode: 'cpu' }],
  ['hash,defrag,rollover,ignore-outgoing', { mode: 'hash', defrag: true, rollover: true, ignoreOutgoing: true }],
  ['cpus', undefined],
  ['cpu,fast', undefined],
  ['', undefined],
])

rows<number | 'auto'>('words that stand beside numbers', KINDS.workers.parse, [
  ['auto', 'auto'],
  ['4', 4],
  ['many', undefined],
])

rows<number[] | 'queues'>('--pin', KINDS.pin.parse, [
  ['queues', 'queues'],
  ['0-1', [0, 1]],
  ['queue', undefined],
])

rows('--handler-data', KINDS.json.parse, [
  ['{"a":1}', { value: { a: 1 } }],
  ['null', { value: null }],
  ['{a:1}', undefined],
])

rows('packets or bits a second', parseSendingRate, [
  ['10k', { packetsPerSecond: 10_000 }],
  ['10kpps', { packetsPerSecond: 10_000 }],
  ['2.5Mpps', { packetsPerSecond: 2_500_000 }],
  ['1Gbit', { bitsPerSecond: 1e9 }],
  ['100Mbps', { bitsPerSecond: 1e8 }],
  ['1.5Gbit/s', { bitsPerSecond: 1.5e9 }],
  ['64bit', { bitsPerSecond: 64 }],
  ['1Gbyte', undefined],
  ['bit', undefined],
  ['-1k', undefined],
  ['', undefined],
])

rows('factors', KINDS.factor.parse, [
  ['2', 2],
  ['0.5', 0.5],
  ['2x', undefined],
  ['1e3', undefined],
  ['-2', undefined],
  ['.5', undefined],
])

rows('times of day and seconds since 1970, to the nanosecond', parseInstant, [
  ['0', { seconds: 0, nanoseconds: 0 }],
  ['1700000000.5', { seconds: 1_700_000_000, nanoseconds: 500_000_000 }],
  ['1700000000.000000001', { seconds: 1_700_000_000, nanoseconds: 1 }],
  ['1700000000.0000000001', undefined],
  ['2023-11-14T22:13:20Z', { seconds: 1_700_000_000, nanoseconds: 0 }],
  ['2023-11-14 22:13:20.123456789z', { seconds: 1_700_000_000, nanoseconds: 123_456_789 }],
  ['2023-11-14T22:13Z', { seconds: 1_699_999_980, nanoseconds: 0 }],
  ['2023-11-14T23:13:20+01:00', { seconds: 1_700_000_000, nanoseconds: 0 }],
  ['2023-11-14T17:43:20 -0430', { seconds: 1_700_000_000, nanoseconds: 0 }],
  ['2023-11-14', { seconds: new Date(2023, 10, 14).getTime() / 1000, nanoseconds: 0 }],
  ['2023-11-14T22:13:20.5', { seconds: new Date(2023, 10, 14, 22, 13, 20).getTime() / 1000, nanoseconds: 500_000_000 }],
  ['1969-12-31T23:59:59.5Z', { seconds: -1, nanoseconds: 500_000_000 }],
  ['2023-02-29', undefined],
  ['2023-13-01', undefined],
  ['2023-11-14T25:00Z', undefined],
  ['2023-11-14T22:60Z', undefined],
  ['2023-11-14Z', undefined],
  ['-1', undefined],
  ['12:30', undefined],
  ['', undefined],
])
