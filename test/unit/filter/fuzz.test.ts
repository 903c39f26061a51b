/** Whatever the text: a graph or an INVALID_FILTER, soon. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { explainFilter } from '#src/filter/explain.js'
import { FilterError, underlineError } from '#src/filter/filter-error.js'
import { generateFilter } from '#src/filter/generate.js'
import { KEYWORDS, NAMED_NUMBERS } from '#src/filter/keywords.js'
import { FILTER_TEXT_LIMIT } from '#src/filter/lexer.js'
import { LINK_TYPES, type LinkType } from '#src/filter/link-type.js'
import { NO_NAMES, namesOf } from '#src/filter/names.js'
import { parseFilter } from '#src/filter/parser.js'
import { type Random, seededRandom } from '../../support/random.js'
import { randomFilter } from '../../support/random-filter.js'

const LINKS = Object.keys(LINK_TYPES) as LinkType[]

/** Everything that is done with an expression; answers whether it compiled. */
function digest(text: string, linkType: LinkType, vlan: 'packet' | 'ancillary'): boolean {
  try {
    const expression = parseFilter(text)
    namesOf(expression)
    explainFilter(expression)
    generateFilter(expression, { linkType, snapLengthBytes: 1, names: NO_NAMES, netmask: 0, vlan })
    return true
  } catch (error) {
    if (!(error instanceof FilterError)) throw new Error(`${JSON.stringify(text.slice(0, 500))}: ${error}`, { cause: error })
    assert.doesNotMatch(error.message, /[\n\r]/)
    assert.ok(error.start >= 0 && error.start <= error.end && error.end <= text.length + 1, `${error.start} to ${error.end} of ${text.length}`)
    assert.equal(underlineError(error).split('\n').length, 2)
    return false
  }
}

function digestRandomly(random: Random, text: string): boolean {
  return digest(text, random.pick(LINKS), random.pick(['packet', 'ancillary']))
}

const PIECES = [
  ...KEYWORDS.keys(),
  ...NAMED_NUMBERS.keys(),
  ...'( ( ) ) [ ] : + - * / % & | ^ << >> = == != < > <= >= ! && || 0 1 2 4 80 443 0xff 08 4294967295 4294967296 1.2.3.4 10.1 ::1 fe80:: 1:2:3:4:5:6 \\tcp \\ip a-b $1 1:2: ; \\'.split(
    ' ',
  ),
]

test('random bytes and characters', (t) => {
  const random = seededRandom(t)
  for (let i = 0; i < 5000; i++) {
    const bytes = random.bytes(random.between(0, 40))
    digestRandomly(random, random.oneIn(2) ? Buffer.from(bytes).toString('latin1') : String.fromCharCode(...bytes.map((byte) => byte & 0x7f)))
  }
})

test('random words of the language', (t) => {
  const random = seededRandom(t)
  let compiled = 0
  for (let i = 0; i < 10000; i++) {
    const words = Array.from({ length: random.between(1, 8) }, () => random.pick(PIECES))
    if (digestRandomly(random, words.join(random.oneIn(10) ? '' : ' '))) compiled++
  }
  assert.ok(compiled > 100, `${compiled} of 10000 compile`)
})

test('expressions with a word or a character more or less', (t) => {
  const random = seededRandom(t)
  let compiled = 0
  for (let i = 0; i < 3000; i++) {
    const text = randomFilter(random)
    const at = random.between(0, text.length)
    const changed = random.oneIn(2)
      ? `${text.slice(0, at)}${text.slice(at + random.between(1, 3))}`
      : `${text.slice(0, at)} ${random.pick(PIECES)} ${text.slice(at)}`
    if (digestRandomly(random, changed)) compiled++
  }
  assert.ok(compiled > 100, `${compiled} of 3000 compile`)
})

/** `head`, and `unit` as often as it fits. */
function filled(head: string, unit: string, tail = ''): string {
  return head + unit.repeat(Math.floor((FILTER_TEXT_LIMIT - head.length - tail.length) / unit.length)) + tail
}

const HOSTILE: Record<string, string> = {
  'a list of ports': filled('port 80', ' or 80'),
  'a list of hosts': filled('host 1.2.3.4', ' or 1.2.3.4'),
  'is-is': filled('l1', ' or l1'),
  protochain: filled('protochain 6', ' or protochain 6'),
  'open parentheses': filled('', '('),
  'balanced parentheses': `${'('.repeat(30000)}ip${')'.repeat(30000)}`,
  nots: filled('', '!', 'ip'),
  'not and parentheses': filled('', 'not (', 'ip'),
  minuses: filled('', '-', '1=1'),
  'open brackets': filled('', 'ip['),
  'open parentheses in arithmetic': filled('1+', '('),
  'a long sum': filled('1', '+1', '=1'),
  'a long sum of fields': filled('ip[0]', '+ip[0]', '=1'),
  'a long sum of fields at computed offsets': filled('ip[ip[0]]', '+ip[ip[0]]', '=1'),
  'remainders, which lean to the right': filled('1', '%1', '=1'),
  tags: filled('vlan', '||vlan'),
  labels: filled('mpls', '&&mpls'),
  sessions: filled('pppoes', ' or pppoes'),
  tunnels: filled('vxlan', ' or vxlan'),
  'tunnels in tunnels': filled('geneve', ' and geneve'),
  clauses: filled('ip', ' or (ip and tcp)'),
  colons: filled('1', ':1'),
  'double colons': filled('', '::'),
  digits: filled('port ', '1'),
  'hexadecimal digits': filled('port 0x', 'f'),
  dots: filled('host 1', '.1'),
  'a dotted quad': filled('host ::1.1.1.', '1'),
  hyphens: filled('host a', '-'),
  'a long name': filled('host \\', 'a'),
  words: filled('', 'or '),
  blanks: filled('', ' \n'),
  controls: filled('', '\u001b'),
}

/** Of this process, so that others on the machine do not count. */
function cpuSeconds(work: () => void): number {
  const before = process.cpuUsage()
  work()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1e6
}

for (const [what, text] of Object.entries(HOSTILE)) {
  test(`64 KiB: ${what}`, () => {
    assert.ok(text.length <= FILTER_TEXT_LIMIT && text.length > FILTER_TEXT_LIMIT - 6000, `${text.length}`)
    const seconds = cpuSeconds(() => digest(text, 'EN10MB', 'ancillary'))
    assert.ok(seconds < 5, `${seconds} s`)
  })
}

test('a text of four times the length takes about four times the time', () => {
  const seconds = (length: number) => {
    const text = `ip[0]${'+ip[0]'.repeat(length)}=1 or port 80${' or 80'.repeat(length / 4)}`
    return Math.min(...Array.from({ length: 5 }, () => cpuSeconds(() => digest(text, 'EN10MB', 'packet'))))
  }
  seconds(400)
  const [short, long] = [seconds(800), seconds(3200)]
  assert.ok(long < 3 * 4 * short, `${short} s and, for four times as much, ${long} s`)
})
