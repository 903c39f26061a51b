/**
 * Tags that Linux took out of the bytes. The golden programs are those of `tcpdump -i lo -O -ddd`, which makes such ones for an
 * interface alone; UPDATE_GOLDEN=1, as root, has them made anew.
 */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { type Instruction, validateProgram } from '#src/bpf/classic.js'
import { parseProgram } from '#src/bpf/classic-text.js'
import type { Ancillary } from '#src/bpf/interpret.js'
import { NO_NAMES } from '#src/filter/names.js'
import { packetsOf, withCuts } from '../../support/link-packets.js'
import { seededRandom } from '../../support/random.js'
import { accepts, compileUnoptimised, firstDifference } from '../../support/verdicts.js'

const EXPRESSIONS = [
  'vlan',
  'vlan 5',
  'vlan 100',
  'not vlan',
  'not vlan 5',
  'vlan and ip',
  'vlan 5 and ip6',
  'vlan and arp',
  'vlan and tcp port 80',
  'vlan 5 and udp port 53',
  'vlan and host 10.0.0.1',
  'vlan and ip6 host 2001:db8::1',
  'vlan and icmp[icmptype] = icmp-echo',
  'vlan and tcp[tcpflags] & tcp-syn != 0',
  'vlan and tcp[ip[0] & 0xf] != 0',
  'vlan and ip[ip[0] & 0xf] = 0',
  'vlan and ether[12:2] = 0x800',
  'vlan and ether host 02:00:5e:10:00:01',
  'vlan and icmp6[0] = 135',
  'vlan and vlan',
  'vlan 5 and vlan 100',
  'vlan 100 and vlan 5 and ip',
  'vlan and vlan and tcp',
  'vlan or ip',
  'vlan 5 or vlan 100',
  'vlan 5 or tcp',
  'ip or vlan',
  'ip or vlan and ip',
  '(vlan and ip) or ip',
  '(ip and vlan) or tcp',
  'not vlan and ip',
  'not vlan 5 and tcp port 80',
  'tcp port 80 or (vlan and tcp port 80)',
  'vlan and mpls',
  'vlan 5 and mpls 1024 and ip',
  'vlan and pppoes',
  'vlan 100 and pppoes 39 and udp port 53',
  'vlan and stp',
  'vlan and iso',
  'vlan and llc',
  'vlan and not (tcp or udp)',
  'inbound and vlan 5',
]

const golden = fileURLToPath(new URL('test/unit/filter/golden/vlan.txt', new URL('../', import.meta.resolve('#src/index.js'))))

if (process.env.UPDATE_GOLDEN === '1') {
  const made = EXPRESSIONS.map(
    (text) => `${text}\t${execFileSync('tcpdump', ['-i', 'lo', '-O', '-ddd', text], { encoding: 'utf8' }).trim().replaceAll('\n', ';')}`,
  )
  writeFileSync(golden, `${made.join('\n')}\n`)
}

const libpcap = new Map(
  readFileSync(golden, 'utf8')
    .trim()
    .split('\n')
    .map((line) => line.split('\t') as [string, string])
    .map(([text, rows]) => [text, parseProgram(rows.replaceAll(';', '\n'))]),
)

function compiled(text: string, vlan: 'packet' | 'ancillary'): readonly Instruction[] {
  const made = compileUnoptimised(text, { linkType: 'EN10MB', snapLengthBytes: 65535, names: NO_NAMES, vlan })
  if (typeof made === 'string') assert.fail(`${text}: ${made}`)
  return made
}

const UNTAGGED: Ancillary = { packetType: 0, hasVlan: false, vlanTci: 0 }
const SITUATIONS: readonly Ancillary[] = [UNTAGGED, { packetType: 0, hasVlan: true, vlanTci: 0xa005 }, { packetType: 4, hasVlan: true, vlanTci: 100 }]

test('as libpcap on an interface, with tags in the bytes and beside them', (t) => {
  const random = seededRandom(t)
  const packets = withCuts(packetsOf('EN10MB'), 1, (length) => random.between(0, length))
  assert.deepEqual([...libpcap.keys()], EXPRESSIONS)
  for (const [text, program] of libpcap) assert.equal(firstDifference(compiled(text, 'ancillary'), program, packets, SITUATIONS), undefined, text)
})

test('a tag beside the bytes is as good as one in them', () => {
  let tagged = 0
  for (const text of EXPRESSIONS.filter((expression) => expression.startsWith('vlan'))) {
    const [inBytes, beside] = [compiled(text, 'packet'), compiled(text, 'ancillary')]
    for (const { name, bytes } of packetsOf('EN10MB')) {
      const type = bytes.length < 18 ? 0 : ((bytes[12] as number) << 8) | (bytes[13] as number)
      const hasTag = type === 0x8100 || type === 0x88a8 || type === 0x9100
      const stripped = hasTag ? Uint8Array.from([...bytes.subarray(0, 12), ...bytes.subarray(16)]) : bytes
      const situation = hasTag ? { hasVlan: true, vlanTci: ((bytes[14] as number) << 8) | (bytes[15] as number) } : UNTAGGED
      // What reads the link header itself sees that the tag is gone.
      if (text.includes('ether[12')) continue
      assert.equal(accepts(beside, stripped, situation), accepts(inBytes, bytes, UNTAGGED), `${text}: ${name}`)
      if (hasTag) tagged++
    }
  }
  assert.ok(tagged > 500)
})

test('the register that says where the rest is, is not one that arithmetic writes to', () => {
  // libpcap takes the same one, and then says no.
  const program = compiled('ip[ip[0] & 0xf] * ip[ip[1]] >= 0 and vlan and tcp', 'ancillary')
  const packet = packetsOf('EN10MB').find(({ name }) => name === 'tcp syn')
  assert.ok(packet !== undefined && accepts(program, packet.bytes, { hasVlan: true, vlanTci: 5 }))
})

test('Linux takes every program, as scratch memory is written on every way to where it is read', () => {
  for (const text of [...EXPRESSIONS, 'geneve or tcp', 'vxlan or tcp', 'ip or geneve and tcp']) {
    for (const vlan of ['packet', 'ancillary'] as const) assert.doesNotThrow(() => validateProgram(compiled(text, vlan)), text)
  }
})
