/** strftime against date(1), which has the same conversions, in several time zones and at the edges of years and days. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'
import { strftime } from '#src/file/strftime.js'
import { zoneAbbreviation, zoneRule } from '#src/file/zone-name.js'
import { randomOf, seededRandom } from '../../support/random.js'

const CONVERSIONS = [...'aAbBcCdDeFgGhHIjklmMpPrRsSTuUVwWxXyYzZ']
const FLAGGED = [
  '%-d',
  '%_d',
  '%-m',
  '%_H',
  '%-I',
  '%0e',
  '%0k',
  '%-j',
  '%_j',
  '%5d',
  '%_5d',
  '%^a',
  '%^B',
  '%#b',
  '%#p',
  '%#Z',
  '%10A',
  '%Ey',
  '%Od',
  '%EY',
  '%010Y',
  '%^c',
  '%%',
]
const ZONES = ['UTC', 'Europe/Berlin', 'America/New_York', 'Asia/Kolkata', 'Asia/Dubai', 'Australia/Sydney', 'America/Caracas', 'Asia/Tokyo', 'EST5EDT']

function date(format: string, seconds: number): string {
  return execFileSync('date', ['-d', `@${seconds}`, `+${format}`], { encoding: 'utf8', env: { ...process.env, LC_ALL: 'C' } }).slice(0, -1)
}

const EDGES = [
  0, 951_782_399, 951_868_800, 1_009_843_199, 1_104_537_600, 1_230_768_000, 1_425_168_000, 1_436_770_800, 1_735_689_599, 1_735_689_600, 4_102_444_799,
]

test('every conversion says what date says', (t) => {
  const random = seededRandom(t)
  const before = process.env.TZ
  try {
    for (const zone of ZONES) {
      process.env.TZ = zone
      for (const seconds of [...EDGES, ...Array.from({ length: 8 }, () => random.between(0, 4_000_000_000))]) {
        // What a zone was called in earlier times is not looked up.
        const conversions = [...CONVERSIONS, ...FLAGGED].filter((conversion) => !conversion.endsWith('Z') || seconds > 1_500_000_000)
        const format = conversions.map((conversion) => (conversion.length > 1 ? conversion : `${conversion} %${conversion}`)).join('|')
        assert.equal(strftime(format, new Date(seconds * 1000)), date(format, seconds), `${zone} ${seconds}`)
      }
    }
  } finally {
    if (before === undefined) delete process.env.TZ
    else process.env.TZ = before
  }
})

test('a random name has its conversions filled in and nothing else', (t) => {
  const { seed } = seededRandom(t)
  const random = randomOf(seed)
  for (let turn = 0; turn < 60; turn++) {
    const seconds = random.between(0, 3_000_000_000)
    const format = Array.from({ length: random.between(1, 6) }, () =>
      random.oneIn(3)
        ? random.pick(['trace-', '.pcap', '_', 'x', 'ä'])
        : `%${random.oneIn(3) ? random.pick(['-', '_', '0']) : ''}${random.pick([...'CdeHIjklmMsSuUVwWyY'])}`,
    ).join('')
    assert.equal(strftime(format, new Date(seconds * 1000)), date(format, seconds), format)
  }
})

test('names of time zones are those of their rules', () => {
  assert.equal(zoneAbbreviation('CET-1CEST,M3.5.0,M10.5.0/3', 60), 'CET')
  assert.equal(zoneAbbreviation('CET-1CEST,M3.5.0,M10.5.0/3', 120), 'CEST')
  assert.equal(zoneAbbreviation('<+0330>-3:30', 210), '+0330')
  assert.equal(zoneAbbreviation('EST5EDT', -240), 'EDT')
  assert.equal(zoneAbbreviation('CET-1CEST,M3.5.0,M10.5.0/3', 30), undefined)
  assert.equal(zoneAbbreviation('nonsense', 0), undefined)
  assert.equal(zoneAbbreviation(undefined, 0), undefined)
  assert.equal(zoneRule(''), 'UTC0')
  assert.equal(zoneRule('Nowhere/AtAll'), 'Nowhere/AtAll')
})

test('what is no conversion stays', () => {
  const time = new Date(0)
  assert.equal(strftime('100%', time), '100%')
  assert.equal(strftime('%Q %', time), '%Q %')
  assert.equal(strftime('%%Y', time), '%Y')
  assert.equal(strftime('a%nb%tc', time), 'a\nb\tc')
})
