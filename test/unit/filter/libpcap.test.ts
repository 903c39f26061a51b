/** The unoptimised graph against libpcap without its optimiser: the same verdict for every packet, the same words for every error. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { validateProgram } from '#src/bpf/classic.js'
import { parseProgram } from '#src/bpf/classic-text.js'
import { LINK_TYPES, type LinkType } from '#src/filter/link-type.js'
import type { FilterNames } from '#src/filter/names.js'
import { namesOf } from '#src/filter/names.js'
import { parseFilter } from '#src/filter/parser.js'
import { readNameTables } from '#src/host/name-tables.js'
import { openLibpcapCompiler } from '../../support/libpcap-compiler.js'
import { packetsOf, withCuts } from '../../support/link-packets.js'
import { type Random, seededRandom } from '../../support/random.js'
import { randomFilter, UNCOMPARED } from '../../support/random-filter.js'
import { compileUnoptimised, firstDifference } from '../../support/verdicts.js'
import { CORPUS, DIFFERENT, REFUSED } from './corpus.js'

const SNAP_LENGTH = 262144
const libpcap = openLibpcapCompiler()
const skip = libpcap === undefined ? 'no libpcap' : false

const texts = [...CORPUS, ...DIFFERENT.map(({ text }) => text), ...REFUSED.map(([text]) => text)]
/** The system's, which libpcap asks too. */
const names = await readNameTables({ ...allNames(texts), services: ['every'], protocols: ['every'], networks: ['every'], ethers: ['every'] })

function allNames(of: readonly string[]): FilterNames {
  const hosts = of.flatMap((text) => {
    try {
      return namesOf(parseFilter(text)).hosts
    } catch {
      return []
    }
  })
  return { services: [], protocols: [], networks: [], hosts: [...new Set(hosts)], ethers: [] }
}

function ours(text: string, linkType: LinkType) {
  return compileUnoptimised(text, { linkType, snapLengthBytes: SNAP_LENGTH, names, netmask: 0 })
}

function theirs(text: string, linkType: LinkType) {
  return libpcap?.compile(text, LINK_TYPES[linkType].dlt, false) ?? 'no libpcap'
}

function cutPackets(random: Random, linkType: LinkType) {
  return withCuts(packetsOf(linkType), 1, (length) => random.between(0, length))
}

/** Undefined where both say the same. */
function disagreement(text: string, linkType: LinkType, packets: ReturnType<typeof packetsOf>): string | undefined {
  const [us, them] = [ours(text, linkType), theirs(text, linkType)]
  if (typeof us !== 'string' && typeof them !== 'string') return firstDifference(us, them, packets)
  const words = (made: typeof us) => (typeof made === 'string' ? made.replace(/.*syntax error.*|illegal character.*/, 'syntax error') : 'a program')
  return words(us) === words(them) ? undefined : `we say ${words(us)}, libpcap ${words(them)}`
}

for (const linkType of Object.keys(LINK_TYPES) as LinkType[]) {
  test(`the corpus on ${linkType}`, { skip }, (t) => {
    const packets = cutPackets(seededRandom(t), linkType)
    const found = CORPUS.map((text) => [text, disagreement(text, linkType, packets)]).filter(([, why]) => why !== undefined)
    assert.deepEqual(found, [])
  })
}

test('the corpus compiles on Ethernet to what Linux takes, and tells packets apart', () => {
  const packets = packetsOf('EN10MB')
  for (const text of CORPUS) {
    const program = ours(text, 'EN10MB')
    if (typeof program === 'string') assert.fail(`${text}: ${program}`)
    assert.doesNotThrow(() => validateProgram(program), text)
  }
  const reject = [[0x06, 0, 0, 0]] as const
  const hits = CORPUS.filter((text) => firstDifference(ours(text, 'EN10MB') as never, reject, packets) !== undefined)
  assert.ok(hits.length > 0.8 * CORPUS.length, `${hits.length} of ${CORPUS.length} accept some packet`)
})

test('what is refused, and why', { skip }, () => {
  for (const [text, reason] of REFUSED) {
    const message = ours(text, 'EN10MB')
    assert.equal(typeof message, 'string', `${text} compiles`)
    assert.match(message as string, reason === 'syntax error' ? /^(syntax error|illegal character)/ : /^(?!syntax error:)/, text)
    if (reason !== 'syntax error') assert.equal(message, reason, text)
    assert.equal(disagreement(text, 'EN10MB', []), undefined, text)
  }
})

test('what is different on purpose is different', { skip }, () => {
  const packets = packetsOf('EN10MB')
  for (const { text, why } of DIFFERENT) {
    assert.notEqual(typeof ours(text, 'EN10MB'), 'string', text)
    assert.notEqual(disagreement(text, 'EN10MB', packets), undefined, `${text}: ${why}, but no packet shows it`)
  }
})

test('random expressions', { skip }, (t) => {
  const random = seededRandom(t)
  const packets = cutPackets(random, 'EN10MB')
  let compared = 0
  for (let i = 0; i < 1500; i++) {
    const text = randomFilter(random)
    if (UNCOMPARED.some((pattern) => pattern.test(text))) continue
    const why = disagreement(text, 'EN10MB', packets)
    // Division by what was computed to be 0, and shifts by what was: only the optimiser of libpcap sees them.
    if (why !== undefined && /by zero|31 bits/.test(why)) continue
    assert.equal(why, undefined, text)
    compared++
  }
  assert.ok(compared > 1000, `${compared} compared`)
})

test('tcpdump makes what the library makes', { skip }, () => {
  for (const text of ['tcp port 80', 'vlan 5 and ip', 'ip protochain 6', 'host localhost']) {
    const { status, stdout } = spawnSync('tcpdump', ['-O', '-ddd', '-y', 'EN10MB', text], { encoding: 'utf8' })
    assert.equal(status, 0)
    assert.deepEqual(parseProgram(stdout), theirs(text, 'EN10MB'))
  }
  assert.equal(spawnSync('tcpdump', ['-ddd', '-y', 'EN10MB', 'port htpp']).status, 1)
})
