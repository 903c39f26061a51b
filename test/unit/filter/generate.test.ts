import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FilterError } from '#src/filter/filter-error.js'
import type { FlowBlock } from '#src/filter/flow-graph.js'
import { generateFilter, refuseRejectingAll, rejectsAll } from '#src/filter/generate.js'
import { linearise } from '#src/filter/linearise.js'
import { linkTypeNamed, linkTypeNumbered } from '#src/filter/link-type.js'
import { NO_NAMES } from '#src/filter/names.js'
import { parseFilter } from '#src/filter/parser.js'
import { packetsOf } from '../../support/link-packets.js'
import { accepts, compileUnoptimised } from '../../support/verdicts.js'

const ethernet = { linkType: 'EN10MB', snapLengthBytes: 96, names: NO_NAMES } as const

const graph = (text: string): FlowBlock => generateFilter(parseFilter(text), ethernet)

test('an empty expression takes everything, a filter keeps the snap length', () => {
  assert.deepEqual(graph(''), { statements: [], end: { answer: 96 } })
  assert.deepEqual(linearise(graph('ip')), [
    [0x28, 0, 0, 12],
    [0x15, 0, 1, 0x800],
    [0x06, 0, 0, 96],
    [0x06, 0, 0, 0],
  ])
})

test('what is known when the program is made is not tested', () => {
  const raw = { ...ethernet, linkType: 'RAW' } as const
  assert.deepEqual(generateFilter(parseFilter('arp'), raw).end, { answer: 0 })
  assert.deepEqual(generateFilter(parseFilter('not arp'), raw).end, { answer: 96 })
  assert.deepEqual(generateFilter(parseFilter('ip'), { ...ethernet, linkType: 'IPV4' }).end, { answer: 96 })
  assert.deepEqual(graph('1 + 2 * 3 = 7').end, { answer: 96 })
})

test('an expression that rejects everything', () => {
  assert.ok(rejectsAll(graph('1 = 2')))
  assert.ok(!rejectsAll(graph('ip and arp')), 'that is for the optimiser to see')
  assert.doesNotThrow(() => refuseRejectingAll(parseFilter('ip'), graph('ip')))
  assert.throws(
    () => refuseRejectingAll(parseFilter('1 = 2'), graph('1 = 2')),
    (error) => error instanceof FilterError && error.message === 'expression rejects all packets' && error.end === 5,
  )
})

test('an error points at the primitive', () => {
  const marked = (text: string) => {
    try {
      graph(text)
    } catch (error) {
      if (error instanceof FilterError) return text.slice(error.start, error.end)
      throw error
    }
    return undefined
  }
  assert.equal(marked('tcp port 80 or htpp and arp'), 'htpp')
  assert.equal(marked('arp and (udp or tcp port 65536)'), 'tcp port 65536')
  assert.equal(marked('arp and ip[0] / 0 = 1'), 'ip[0] / 0 = 1')
  assert.equal(marked('mpls and not vlan 5'), 'vlan 5')
})

test('in a file the kernel has nothing to say', () => {
  const compile = (text: string, linkType: 'EN10MB' | 'LINUX_SLL' | 'LINUX_SLL2') => compileUnoptimised(text, { ...ethernet, linkType, savefile: 'same order' })
  assert.equal(compile('inbound', 'EN10MB'), 'inbound/outbound not supported on Ethernet when reading savefiles')
  assert.equal(compile('ifindex 2', 'EN10MB'), 'ifindex not supported on Ethernet when reading savefiles')
  assert.equal(compile('ifindex 2', 'LINUX_SLL'), 'ifindex not supported on Linux cooked v1 when reading savefiles')
  for (const [text, linkType] of [
    ['outbound', 'LINUX_SLL'],
    ['inbound', 'LINUX_SLL2'],
    ['ifindex 2', 'LINUX_SLL2'],
  ] as const) {
    assert.notEqual(typeof compile(text, linkType), 'string')
  }
})

test('a loopback file: the address families of the BSDs, in the order of the machine that wrote it', () => {
  const takes = (savefile: 'same order' | 'swapped' | undefined, linkType: 'NULL' | 'LOOP', header: readonly number[]) => {
    const program = compileUnoptimised('ip6', { ...ethernet, linkType, savefile })
    assert.notEqual(typeof program, 'string')
    return accepts(program as never, Uint8Array.from([...header, 0x60, ...new Array(39).fill(0)]), {})
  }
  for (const family of [24, 28, 30]) {
    assert.ok(takes('same order', 'NULL', [family, 0, 0, 0]))
    assert.ok(!takes('same order', 'NULL', [0, 0, 0, family]))
    assert.ok(takes('swapped', 'NULL', [0, 0, 0, family]))
    assert.ok(takes('same order', 'LOOP', [0, 0, 0, family]))
    assert.ok(!takes(undefined, 'NULL', [family, 0, 0, 0]))
  }
  assert.ok(takes(undefined, 'NULL', [10, 0, 0, 0]))
  assert.ok(!takes('same order', 'NULL', [10, 0, 0, 0]))
})

test('ip broadcast needs the netmask', () => {
  assert.equal(compileUnoptimised('ip broadcast', ethernet), "netmask not known, so 'ip broadcast' not supported")
  const program = compileUnoptimised('ip broadcast', { ...ethernet, netmask: 0xffff_ff00 })
  const to = (last: number) => Uint8Array.from([...new Array(12).fill(2), 8, 0, 0x45, ...new Array(15).fill(0), 10, 1, 2, last])
  const verdicts = [0, 1, 254, 255].map((last) => accepts(program as never, to(last), {}))
  assert.deepEqual(verdicts, [true, false, false, true])
})

/** Names of the Ethernet packets that an expression takes. */
function taken(text: string): string[] {
  const program = compileUnoptimised(text, ethernet)
  if (typeof program === 'string') assert.fail(`${text}: ${program}`)
  return packetsOf('EN10MB')
    .filter(({ bytes }) => accepts(program, bytes, {}))
    .map(({ name }) => name)
}

test('vxlan, which libpcap 1.10 has not', () => {
  assert.deepEqual(taken('vxlan'), ['vxlan 7', 'vxlan 8 behind ip options', 'vxlan 7 over ip6', 'vxlan with other flags'])
  assert.deepEqual(taken('vxlan 7'), ['vxlan 7', 'vxlan 7 over ip6', 'vxlan with other flags'])
  assert.deepEqual(taken('vxlan and ip6'), ['vxlan 8 behind ip options'])
  assert.deepEqual(taken('vxlan and vlan 5 and tcp dst port 80'), ['vxlan 7 over ip6'])
  assert.deepEqual(taken('vxlan 7 and tcp[tcpflags] = tcp-syn and ether src 02:00:5e:10:00:01'), ['vxlan 7', 'vxlan with other flags'])
  assert.match(compileUnoptimised('vxlan 0x1000000', ethernet) as string, /VXLAN VNI 16777216 greater than maximum 16777215/)
})

test('byte with & and |, of which libpcap forgets the byte', () => {
  assert.deepEqual(taken('byte 0 & 1'), taken('ether[0] & 1 != 0'))
  assert.deepEqual(taken('byte 0 | 0'), taken('ether[0] != 0'))
  assert.ok(taken('byte 0 & 1').length > 3)
})

test('a protocol behind up to eight headers', () => {
  assert.deepEqual(
    taken('ip6 protochain 17 and not ip6 proto 17'),
    ['ip6 later fragment of udp', 'ip6 ah, destination, udp', 'ip6 seven extensions, udp'].filter((name) => !taken('ip6 proto 17').includes(name)),
  )
  assert.ok(!taken('ip6 protochain 17').includes('ip6 nine extensions, udp'))
  assert.deepEqual(taken('ip protochain 6 and not ip proto 6'), ['ah, then tcp'])
})

test('link types by name and by number', () => {
  assert.equal(linkTypeNamed('en10mb'), 'EN10MB')
  assert.equal(linkTypeNamed('DLT_RAW'), 'RAW')
  assert.equal(linkTypeNamed('PPP'), undefined)
  assert.deepEqual([1, 0, 101, 108, 113, 276, 228, 229, 12].map(linkTypeNumbered), [
    'EN10MB',
    'NULL',
    'RAW',
    'LOOP',
    'LINUX_SLL',
    'LINUX_SLL2',
    'IPV4',
    'IPV6',
    undefined,
  ])
})

test('long sums need no more than one register, deep ones as many as there are', () => {
  assert.equal(typeof compileUnoptimised(`ip[ip[0]]${' + ip[ip[1]]'.repeat(500)} = 1`, ethernet), 'object')
  const deep = (levels: number) => `${'ip[ip[0]] - ('.repeat(levels)}ip[ip[0]]${')'.repeat(levels)} = 1`
  assert.equal(typeof compileUnoptimised(deep(16), ethernet), 'object')
  assert.equal(compileUnoptimised(deep(17), ethernet), 'too many registers needed to evaluate expression')
})
