import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CaptureError } from '#src/errors.js'
import { compileFilter, type FilterOptions } from '#src/filter/compile.js'
import { FilterError, underlineError } from '#src/filter/filter-error.js'
import { LINK_TYPES } from '#src/filter/link-type.js'
import { NO_NAMES } from '#src/filter/names.js'
import { resolveFilterNames } from '#src/host/name-tables.js'
import * as library from '#src/index.js'
import { openLibpcapCompiler } from '../../support/libpcap-compiler.js'
import { udpFrame } from '../../support/live.js'

test('the three forms of tcpdump', () => {
  const filter = compileFilter('udp dst port 53', { snapLengthBytes: 96 })
  assert.equal(
    `${compileFilter('ip')}`,
    ['(000) ldh      [12]', '(001) jeq      #0x800           jt 2\tjf 3', '(002) ret      #262144', '(003) ret      #0', ''].join('\n'),
  )
  assert.match(filter.toString('dd'), /^\{ 0x28, 0, 0, 0x0000000c \},\n/)
  assert.equal(filter.toString('ddd').split('\n')[0], String(filter.instructions.length))
  assert.ok(filter.instructions.some(([code, , , k]) => code === 6 && k === 96))
  assert.equal(filter.toString(), filter.toString('d'))
  assert.deepEqual([filter.text, filter.linkType], ['udp dst port 53', 'EN10MB'])
})

test('everyday programs are those of tcpdump -d', (t) => {
  const libpcap = openLibpcapCompiler()
  if (libpcap === undefined) return t.skip('no libpcap')
  for (const text of [
    '',
    'ip',
    'tcp port 80',
    'tcp[tcpflags] & tcp-syn != 0 and dst port 80',
    'host 10.0.0.1 and not arp',
    'ip6',
    'vlan 5 and udp',
    'ip broadcast',
  ]) {
    const { instructions } = compileFilter(text, { netmask: 0 })
    const theirs = libpcap.compile(text, LINK_TYPES.EN10MB.dlt, true) as typeof instructions
    assert.ok(instructions.length <= theirs.length, `${text}: ${instructions.length} instructions, libpcap ${theirs.length}`)
    if (text.length < 12) assert.deepEqual(instructions, theirs, text)
  }
})

test('matches: the bytes, and the length on the wire', () => {
  const frame = udpFrame(1000, 1)
  const { matches } = compileFilter('udp src port 1000 and dst port 53')
  assert.ok(matches(frame))
  assert.ok(!matches(udpFrame(1001, 1)))
  assert.ok(!matches(frame.subarray(0, 36)), 'a load beyond the end rejects')
  assert.ok(compileFilter('greater 1000').matches(frame, 1500))
  assert.ok(!compileFilter('greater 1000').matches(frame))
  assert.ok(compileFilter('').matches(new Uint8Array(0)))
  assert.ok(!compileFilter('outbound').matches(frame), 'nothing says where it goes')
})

test('a link type has names and the number of a capture file', () => {
  const packet = udpFrame(1000, 1).subarray(14)
  for (const linkType of ['RAW', 'raw', 'DLT_RAW', 101]) {
    const filter = compileFilter('udp', { linkType })
    assert.deepEqual([filter.linkType, filter.matches(packet)], ['RAW', true], String(linkType))
  }
  assert.equal(compileFilter('udp', { linkType: 1 }).linkType, 'EN10MB')
})

test('a tag in the packet, or beside it', () => {
  const usesAncillary = (options: FilterOptions) => compileFilter('vlan 5', options).instructions.some(([code, , , k]) => code === 0x30 && k >= 0xfffff000)
  assert.ok(!usesAncillary({}) && !usesAncillary({ vlan: 'packet' }))
  assert.ok(usesAncillary({ vlan: 'ancillary' }))
})

test('eBPF: of what XDP can answer', () => {
  assert.match(compileFilter('udp').toEbpf(), /^0: r6 = r1\n/)
  assert.throws(
    () => compileFilter('vlan', { vlan: 'ancillary' }).toEbpf(),
    (error) => error instanceof CaptureError && error.code === 'INVALID_OPTION',
  )
})

test('in plain words', () => {
  assert.match(compileFilter('tcp and port 80').explain().join('\n'), /^The packet matches if it is TCP over IPv4 or IPv6\..*\nAnd .*port 80/)
})

const failure = (text: string, options?: FilterOptions): FilterError => {
  try {
    compileFilter(text, options)
  } catch (error) {
    assert.ok(error instanceof FilterError && error instanceof CaptureError, String(error))
    assert.equal(error.code, 'INVALID_FILTER')
    return error
  }
  return assert.fail(`${text} was compiled`)
}

test('what is no filter is a FilterError with its place', () => {
  assert.equal(underlineError(failure('ip and tcp port htpp')), 'ip and tcp port htpp\n                ^^^^')
  // What is wrong is not the name.
  assert.equal(underlineError(failure('ip and icmp port 80')), 'ip and icmp port 80\n       ^^^^^^^^^^^^')
  assert.equal(failure('ip and arp').message, 'expression rejects all packets')
  assert.match(failure('port 80 or').message, /./)
  assert.match(failure('ip broadcast').message, /netmask/)
  assert.match(failure('tcp port domain').message, /domain/)
  const long = Array.from({ length: 2500 }, (_, i) => `ether[${i}] = ${i % 200}`).join(' or ')
  const tooLong = failure(long)
  assert.match(tooLong.message, /instructions/)
  assert.deepEqual([tooLong.start, tooLong.end], [0, long.length])
})

test('names are looked up by the caller', async () => {
  const names = { ...NO_NAMES, service: (name: string) => (name === 'magic' ? 4242 : undefined) }
  assert.deepEqual(compileFilter('udp port magic', { names }).instructions, compileFilter('udp port 4242').instructions)
  const system = await resolveFilterNames('host localhost')
  assert.ok(system.host('localhost').length > 0)
  assert.deepEqual(compileFilter('ip host localhost', { names: system }).instructions, compileFilter('ip host 127.0.0.1').instructions)
  await assert.rejects(resolveFilterNames('port port'), FilterError)
})

test('options that are wrong', () => {
  const refused = (options: object, message: RegExp) =>
    assert.throws(
      () => compileFilter('ip', options as FilterOptions),
      (error) => error instanceof CaptureError && error.code === 'INVALID_OPTION' && message.test(`${error.message} ${error.hint}`),
    )
  refused({ linkType: 'ETHERNET' }, /linkType.*'?ETHERNET.*EN10MB/s)
  refused({ linkType: 4711 }, /linkType/)
  refused({ snapLengthBytes: 0 }, /snapLengthBytes.*from 1/)
  refused({ snapLengthBytes: 2 ** 32 }, /snapLengthBytes/)
  refused({ netmask: -1 }, /netmask/)
  refused({ vlan: 'stripped' }, /vlan.*packet/)
  refused({ savefile: true }, /savefile/)
  refused({ snapLength: 5 }, /Unknown option snapLength.*snapLengthBytes/)
  assert.throws(() => compileFilter(undefined as unknown as string), CaptureError)
})

test('the library has it', () => {
  assert.equal(library.compileFilter, compileFilter)
  assert.equal(library.resolveFilterNames, resolveFilterNames)
  assert.equal(library.FilterError, FilterError)
  assert.equal(library.underlineError, underlineError)
})
