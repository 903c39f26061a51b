import assert from 'node:assert/strict'
import { SocketAddress } from 'node:net'
import { test } from 'node:test'
import { ipText, ipv4Text, ipv6Text, parseIp } from '#src/bytes/ip.js'
import { seededRandom } from '../../support/random.js'

/** Sixteen bytes from eight groups. */
const groups = (...words: number[]) => Uint8Array.from(words.flatMap((word) => [word >> 8, word & 0xff]))

test('IPv4', () => {
  assert.equal(ipv4Text(Uint8Array.of(192, 0, 2, 1)), '192.0.2.1')
  assert.equal(ipv4Text(Uint8Array.of(9, 9, 0, 0, 0, 255), 2), '0.0.0.255')
})

test('IPv6: the vectors of RFC 5952', () => {
  const vectors: [address: Uint8Array, text: string][] = [
    [groups(0x2001, 0xdb8, 0, 0, 1, 0, 0, 1), '2001:db8::1:0:0:1'],
    [groups(0x2001, 0xdb8, 0, 0, 0, 0, 2, 1), '2001:db8::2:1'],
    [groups(0x2001, 0xdb8, 0, 1, 1, 1, 1, 1), '2001:db8:0:1:1:1:1:1'],
    [groups(0x2001, 0, 0, 1, 0, 0, 0, 1), '2001:0:0:1::1'],
    [groups(0x2001, 0xdb8, 0xaaaa, 0xbbbb, 0xcccc, 0xdddd, 0xeeee, 0xaaaa), '2001:db8:aaaa:bbbb:cccc:dddd:eeee:aaaa'],
    [groups(0, 0, 0, 0, 0, 0, 0, 0), '::'],
    [groups(0, 0, 0, 0, 0, 0, 0, 1), '::1'],
    [groups(0xfe80, 0, 0, 0, 0, 0, 0, 0), 'fe80::'],
    [groups(0, 0xdb8, 0, 0, 0, 0, 0, 0), '0:db8::'],
    [groups(0, 0, 1, 0, 0, 1, 0, 0), '::1:0:0:1:0:0'],
    [groups(0, 0, 0, 0, 0, 0xffff, 0xc000, 0x0201), '::ffff:192.0.2.1'],
    [groups(0, 0, 0, 0, 1, 0xffff, 0xc000, 0x0201), '::1:ffff:c000:201'],
    [groups(0x64, 0xff9b, 0, 0, 0, 0, 0xc000, 0x0201), '64:ff9b::c000:201'],
  ]
  for (const [address, text] of vectors) assert.equal(ipv6Text(address), text)
  assert.equal(ipv6Text(Uint8Array.of(7, 7, ...groups(0xff02, 0, 0, 0, 0, 0, 0, 2)), 2), 'ff02::2')
})

test('IPv6: as Node.js writes it, whatever the zeros', (t) => {
  const random = seededRandom(t)
  for (let round = 0; round < 20_000; round++) {
    const words = Array.from({ length: 8 }, () => (random.oneIn(2) ? 0 : random.word() & random.pick([0xf, 0xffff])))
    // Addresses like ::192.0.2.1 are written so by inet_ntop(3) alone; RFC 4291 has given them up.
    words[0] ||= 1
    const spelled = new SocketAddress({ family: 'ipv6', address: words.map((word) => word.toString(16)).join(':') })
    assert.equal(ipv6Text(groups(...words)), spelled.address)
  }
})

test('either, by length', () => {
  assert.equal(ipText(Uint8Array.of(10, 0, 0, 1)), '10.0.0.1')
  assert.equal(ipText(groups(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)), '2001:db8::1')
})

test('an address is read back from its text, in whatever form, and nothing else is one', (t) => {
  const random = seededRandom(t)
  for (let i = 0; i < 2000; i++) {
    const address = random.bytes(random.pick([4, 16]))
    // Runs of zeros.
    if (address.length === 16) for (let at = random.between(0, 15), end = random.between(at, 15); at <= end; at++) address[at] = 0
    assert.deepEqual(parseIp(ipText(address)), address, ipText(address))
  }
  assert.deepEqual(parseIp('2001:DB8:0:0:0:0:0:1'), groups(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))
  assert.deepEqual(parseIp('64:ff9b::192.0.2.1'), groups(0x64, 0xff9b, 0, 0, 0, 0, 0xc000, 0x0201))
  const wrong = [
    '',
    '1.2.3',
    '1.2.3.256',
    '1.2.3.4.5',
    'a.b.c.d',
    ':',
    ':::',
    '1::2::3',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '12345::',
    'g::',
    '1:2:3:4:5:6:7:8::',
    '::1.2.3',
    '1.2.3.4::',
  ]
  for (const text of wrong) assert.equal(parseIp(text), undefined, text)
})
