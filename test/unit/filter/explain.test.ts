import assert from 'node:assert/strict'
import { test } from 'node:test'
import { explainFilter } from '#src/filter/explain.js'
import { parseFilter } from '#src/filter/parser.js'
import { CORPUS } from './corpus.js'

const explain = (text: string) => explainFilter(parseFilter(text))
const UNTAGGED =
  "A packet with a VLAN tag does not count as such, here or further on, unless 'vlan' comes first; but sockets (ring, recv) get packets without their outermost tag, and take them for untagged."

test('a sentence a clause', () => {
  assert.deepEqual(explain(''), ['Every packet matches.'])
  assert.deepEqual(explain('less 60'), ['The packet matches if it has at most 60 bytes.'])
  assert.deepEqual(explain('tcp port 80 and not src host 10.0.0.1'), [
    `The packet matches if it is TCP over IPv4 or IPv6 and comes from or goes to port 80. ${UNTAGGED}`,
    'And it is not so that it comes from 10.0.0.1 by its IPv4, ARP or RARP addresses.',
  ])
  assert.deepEqual(explain('inbound or outbound'), ['The packet matches if it was not sent by this machine.', 'Or it was sent by this machine.'])
})

test('port 80 says that it means untagged packets, once, and not behind vlan', () => {
  assert.equal(explain('port 80 or port 443 or arp').filter((line) => line.includes(UNTAGGED)).length, 1)
  assert.ok(explain('vlan and port 80').every((line) => !line.includes(UNTAGGED)))
  assert.ok(explain('ether host 1:2:3:4:5:6 or broadcast or ether[0] = 1').every((line) => !line.includes(UNTAGGED)))
  assert.match(explain('ether proto 0x800')[0] as string, /VLAN/)
})

test('where Linux has taken the tag out, tagged packets count as untagged', () => {
  assert.deepEqual(
    explainFilter(parseFilter('port 80 and arp'), 'ancillary')
      .join(' ')
      .match(/[^.]*taken out[^.]*\./g),
    [" A packet whose VLAN tag Linux has taken out counts as untagged, here and further on, unless 'vlan' comes first."],
  )
  assert.doesNotMatch(explainFilter(parseFilter('vlan and port 80'), 'ancillary').join(' '), /taken out/)
})

test('what vlan and its like do to the rest', () => {
  assert.deepEqual(explain('vlan 5 and mpls and ip'), [
    "The packet matches if it has a VLAN tag with id 5. All that follows is looked for behind the tag, after 'or' too.",
    "And it has an MPLS label, behind the tag. All that follows is looked for behind the label, after 'or' too.",
    'And it is IPv4, behind the label behind the tag.',
  ])
  assert.equal(explain('vlan and vlan and vlan and vlan and ip').at(-1), 'And it is IPv4, behind 4 headers, of which the tag is the last.')
})

test('and and or in turn', () => {
  const [, second, third] = explain('arp or ip and icmp')
  assert.match(second as string, /^Or, in place of all that, it is IPv4/)
  assert.match(third as string, /^Of these, it must also be that it is ICMP over IPv4\.$/)
  assert.match(explain('not (arp or ip and icmp)')[0] as string, /it is not so that \(it is ARP or it is IPv4 and it is ICMP over IPv4\)/)
})

test('relations are quoted, with what they do not reach', () => {
  const [line] = explain('tcp[tcpflags] & tcp-syn != 0')
  assert.match(line as string, /'tcp\[tcpflags\] & tcp-syn != 0' holds, where TCP over IPv4 is read, of fragments the first alone\./)
  assert.doesNotMatch(explain('ip[0] = 0x45')[0] as string, /fragments/)
  assert.equal(explain('len\n>\t5')[0], "The packet matches if 'len > 5' holds.")
})

test('every expression of the corpus has one line a clause, each a whole sentence', () => {
  for (const text of CORPUS) {
    const { clause } = parseFilter(text)
    const lines = explain(text)
    assert.equal(lines.length, clause?.kind === 'combination' ? clause.rest.length + 1 : 1, text)
    for (const line of lines) assert.match(line, /^[A-Z][^\n]*\.$/, text)
    assert.doesNotMatch(lines.join(' '), /undefined|\[object|NaN/, text)
  }
})
