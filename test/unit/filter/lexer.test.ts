import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FilterError } from '#src/filter/filter-error.js'
import { FILTER_TEXT_LIMIT, ip6Bytes, scan } from '#src/filter/lexer.js'

/** Kind and text of each token but the end; `bad: …` for one that is wrong. */
function kinds(text: string): string[] {
  return scan(text)
    .filter(({ kind }) => kind !== 'end')
    .map((token) => (token.kind === 'bad' ? `bad: ${token.reason}` : `${token.kind} ${token.text}`))
}

test('of two rules the one that matches more wins', () => {
  const cases: readonly [text: string, ...tokens: string[]][] = [
    ['80', 'number 80'],
    ['80-90', 'name 80-90'],
    ['80 - 90', 'number 80', '- -', 'number 90'],
    ['80-', 'number 80', '- -'],
    ['8a', 'name 8a'],
    ['0x1F', 'number 0x1F'],
    ['0x1G', 'name 0x1G'],
    ['1.2', 'ip4 address 1.2'],
    ['1.2.3.4', 'ip4 address 1.2.3.4'],
    ['1.2.3.4.5', 'name 1.2.3.4.5'],
    ['1.2.3.4.5.6', 'mac address 1.2.3.4.5.6'],
    ['10.0.0.0/8', 'ip4 address 10.0.0.0', '/ /', 'number 8'],
    ['123456789012', 'mac address 123456789012'],
    ['1234567890123', 'bad: number 1234567890123 overflows 32 bits'],
    ['deadbeefcafe', 'mac address deadbeefcafe'],
    ['deadbeefcafes', 'name deadbeefcafes'],
    ['1122.3344.5566', 'mac address 1122.3344.5566'],
    ['1122.3344', 'ip4 address 1122.3344'],
    ['1:2:3:4:5:6', 'mac address 1:2:3:4:5:6'],
    ['1-2-3-4-5-6', 'mac address 1-2-3-4-5-6'],
    ['1:2-3:4-5:6', 'number 1', ': :', 'name 2-3', ': :', 'name 4-5', ': :', 'number 6'],
    ['1:2:3:4:5:6:7:8', 'ip6 address 1:2:3:4:5:6:7:8'],
    ['1:2:3:4:5:6:7:8:9', 'bad: bogus ethernet address 1:2:3:4:5:6:7:8:'],
    ['1:2:3:4:5', 'bad: bogus ethernet address 1:2:3:4:'],
    ['::', 'ip6 address ::'],
    ['::1', 'ip6 address ::1'],
    ['1::', 'ip6 address 1::'],
    ['1::2::3', 'bad: bogus ethernet address 1::2::'],
    ['fe80::1%eth0', 'ip6 address fe80::1', '% %', 'name eth0'],
    ['::ffff:1.2.3.4', 'ip6 address ::ffff:1.2.3.4'],
    ['1:2:3:4:5:6:1.2.3.4', 'ip6 address 1:2:3:4:5:6:1.2.3.4'],
    ['1:2:3:4:5:6:7:1.2.3.4', 'ip6 address 1:2:3:4:5:6:7:1', "bad: illegal character '.'"],
    ['::1.2.3.256', 'bad: bogus IPv6 address ::1.2.3.256'],
    ['2001:db8::12345', 'ip6 address 2001:db8::1234', 'number 5'],
    ['tcp', 'tcp tcp'],
    ['tcpx', 'name tcpx'],
    ['TCP', 'name TCP'],
    ['tcp-syn', 'number tcp-syn'],
    ['tcp-syn-', 'number tcp-syn', '- -'],
    ['es-is', 'esis es-is'],
    ['wlan', 'link wlan'],
    ['\\tcp', 'name tcp'],
    ['\\a&b c', 'name a&b', 'name c'],
    ['\\', "bad: illegal character '\\'"],
    ['$1f', 'arcnet address $1f'],
    ['$', "bad: illegal character '$'"],
    ['&&&', 'and &&', '& &'],
    ['!=!', '!= !=', 'not !'],
    ['<<<=>>>=', '<< <<', '<= <=', '>> >>', '>= >='],
    ['a==b=c', 'name a', '= ==', 'name b', '= =', 'name c'],
    ['ip[0:2]', 'ip ip', '[ [', 'number 0', ': :', 'number 2', '] ]'],
    ['a_b', 'name a_b'],
    ['a_', 'name a', "bad: illegal character '_'"],
    [' \t\r\n', ...[]],
    ['tcp\u00a0', 'tcp tcp', "bad: illegal character '\u00a0'"],
    ['é', "bad: illegal character 'é'"],
    ['\0', "bad: illegal character '\0'"],
  ]
  for (const [text, ...tokens] of cases) assert.deepEqual(kinds(text), tokens, JSON.stringify(text))
})

test('numbers as C writes them, up to 32 bits', () => {
  const values = ['0', '00', '010', '0777', '4294967295', '0xffffffff', '0XfF', '03777777777', 'tcpflags', 'icmp6-echo']
  assert.deepEqual(
    values.map((text) => scan(text).map((token) => (token.kind === 'number' ? token.value : token.kind))[0]),
    [0, 0, 8, 511, 2 ** 32 - 1, 2 ** 32 - 1, 255, 2 ** 29 - 1, 13, 128],
  )
  for (const text of ['4294967296', '0x100000000', '0400000000000', `1${'0'.repeat(500)}`]) assert.match(kinds(text)[0] as string, /overflows 32 bits/)
  assert.deepEqual(kinds('089'), ['bad: number 089 contains non-octal digit'])
})

test('each token knows its columns', () => {
  const text = ' tcp  port\t80'
  for (const token of scan(text)) if (token.kind !== 'bad') assert.equal(text.slice(token.start, token.end), token.text)
  assert.deepEqual(
    scan(text).map(({ start }) => start),
    [1, 6, 11, 13],
  )
})

test('a text above the limit is refused unread', () => {
  assert.equal(scan(' '.repeat(FILTER_TEXT_LIMIT)).length, 1)
  assert.throws(() => scan(' '.repeat(FILTER_TEXT_LIMIT + 1)), FilterError)
})

test('the bytes of an IPv6 address', () => {
  const hex = (text: string) => Buffer.from(ip6Bytes(text) ?? []).toString('hex')
  assert.equal(hex('::'), '0'.repeat(32))
  assert.equal(hex('::1'), '1'.padStart(32, '0'))
  assert.equal(hex('1::'), '0001'.padEnd(32, '0'))
  assert.equal(hex('2001:db8::7:8'), `20010db8${'0'.repeat(16)}00070008`)
  assert.equal(hex('1:2:3:4:5:6:7:8'), '00010002000300040005000600070008')
  assert.equal(hex('::ffff:192.0.2.1'), `${'0'.repeat(20)}ffffc0000201`)
  for (const text of ['::1.2.3.256', '::01.2.3.4', '::0x1.2.3.4', '::1.2.3.1000']) assert.equal(ip6Bytes(text), undefined, text)
})
