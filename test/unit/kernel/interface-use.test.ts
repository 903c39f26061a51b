import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { CaptureError } from '#src/errors.js'
import { defaultRoute, interfaceUse } from '#src/kernel/interface-use.js'
import { type Attribute, encodeAttributes, u32 } from '#src/kernel/netlink.js'
import { type Answer, answering, done, join, link, refusal } from '../../support/netlink-answers.js'

const RTM_NEWADDR = 20
const RTM_NEWROUTE = 24
const NLM_F_DUMP_INTR = 0x10
const NLM_F_DUMP_FILTERED = 0x20
const ENODEV = 19
const ENOPROTOOPT = 92

const ETH0 = 2
const bytes = (text: string) =>
  text.includes(':') ? Uint8Array.from(Buffer.from(text.replaceAll(':', ''), 'hex')) : Uint8Array.from(text.split('.'), (part) => Number(part))
const V6 = '20010db8:00000000:00000000:00000001'
const LINK_LOCAL = 'fe800000:00000000:00000000:00000001'

function upon(answer: Answer, ...attributes: Attribute[]): Answer {
  return { ...answer, body: join(answer.body, encodeAttributes(attributes)) }
}

/** IFA_LOCAL is given where it is another than IFA_ADDRESS. */
function address(text: string, prefix: number, { index = ETH0, local = undefined as string | undefined } = {}): Answer {
  const header = new Uint8Array(8)
  header[0] = bytes(text).length === 4 ? 2 : 10
  header[1] = prefix
  header.set(u32(index), 4)
  const attributes: Attribute[] = [[1, bytes(text)], ...(local === undefined ? [] : ([[2, bytes(local)]] as const))]
  return { type: RTM_NEWADDR, body: encodeAttributes(attributes, header) }
}

interface Route {
  to?: readonly [destination: string, prefix: number]
  family?: number
  table?: number
  protocol?: number
  type?: number
  routeFlags?: number
  flags?: number
  out?: number
  gateway?: string
  more?: readonly Attribute[]
}

function route({ to, family, table = 254, protocol = 3, type = 1, routeFlags = 0, flags = 0, out = ETH0, gateway, more = [] }: Route): Answer {
  const header = new Uint8Array(12)
  header[0] = family ?? (to !== undefined && bytes(to[0]).length === 16 ? 10 : 2)
  header[1] = to?.[1] ?? 0
  header[4] = table > 255 ? 252 : table
  header[5] = protocol
  header[7] = type
  header.set(u32(routeFlags), 8)
  const attributes: Attribute[] = [[15, u32(table)]]
  if (to !== undefined) attributes.push([1, bytes(to[0])])
  if (out !== 0) attributes.push([4, u32(out)])
  if (gateway !== undefined) attributes.push([5, bytes(gateway)])
  return { type: RTM_NEWROUTE, flags, body: encodeAttributes([...attributes, ...more], header) }
}

/** struct rtnexthop and its attributes. */
function hop(index: number, ...attributes: Attribute[]): Uint8Array {
  const rest = encodeAttributes(attributes)
  return join(Uint8Array.of(8 + rest.length, 0, 0, 0), u32(index), rest)
}

const LINKS: readonly Answer[] = [link(1, 'lo'), link(ETH0, 'eth0')]

function use({ links = LINKS, addresses = [] as Answer[], routes = [] as Answer[] }): string[] {
  const { kernel } = answering([[...links, done]], [[...addresses, done]], [[...routes, done]])
  const reasons = interfaceUse(kernel, 'eth0', ETH0)
  assert.deepEqual(kernel.openDescriptors, [])
  return reasons
}

test('a mirror port has no use', () => {
  assert.deepEqual(use({ addresses: [address(LINK_LOCAL, 64)], routes: [route({ to: [LINK_LOCAL, 64] })] }), [])
})

test('addresses: all but those that IPv6 makes for the link, and the own one of a pair', () => {
  const addresses = [
    address('192.0.2.1', 24),
    address('169.254.1.1', 16),
    address('198.51.100.2', 32, { local: '198.51.100.1' }),
    address(V6, 64),
    address(LINK_LOCAL, 64),
    address('febf0000:00000000:00000000:00000001', 64),
    address('fec00000:00000000:00000000:00000001', 64),
    address('203.0.113.1', 24, { index: 1 }),
  ]
  assert.deepEqual(use({ addresses }), [
    'address 192.0.2.1/24',
    'address 169.254.1.1/16',
    'address 198.51.100.1/32',
    'address 2001:db8::1/64',
    'address fec0::1/64',
  ])
})

test('bridges above it, and links that it carries but no other end of a pair', () => {
  const links = [
    link(1, 'lo'),
    upon(link(ETH0, 'eth0'), [10, u32(7)]),
    upon(link(3, 'eth0.5', { kind: 'vlan' }), [5, u32(ETH0)]),
    upon(link(4, 'pair0', { kind: 'veth' }), [5, u32(ETH0)]),
    upon(link(5, 'elsewhere', { kind: 'macvlan' }), [5, u32(ETH0)], [37, u32(0)]),
    upon(link(6, 'eth1.5', { kind: 'vlan' }), [5, u32(1)]),
    link(7, 'br0', { kind: 'bridge' }),
    upon(link(8, 'lan1'), [5, u32(ETH0)]),
  ]
  assert.deepEqual(use({ links }), ['member of br0', 'carries eth0.5', 'carries lan1'])
  assert.deepEqual(use({ links: links.slice(0, 2) }), ['member of interface 7'])
})

describe('routes', () => {
  const cases: readonly [name: string, route: Route, text: string | undefined][] = [
    ['default', { gateway: '192.0.2.254' }, 'route default via 192.0.2.254'],
    ['default of IPv6', { family: 10, gateway: LINK_LOCAL }, 'route default via fe80::1'],
    ['on the link', { to: ['198.51.100.0', 24] }, 'route 198.51.100.0/24'],
    ['of IPv6', { to: ['20010db8:00010000:00000000:00000000', 48], gateway: LINK_LOCAL }, 'route 2001:db8:1::/48 via fe80::1'],
    ['of another table', { to: ['198.51.100.0', 24], table: 1000 }, 'route 198.51.100.0/24 table 1000'],
    ['an IPv6 gateway of IPv4', { more: [[18, join(Uint8Array.of(10, 0), bytes(LINK_LOCAL))]] }, 'route default via fe80::1'],
    ['through several', { out: 0, more: [[9, join(hop(1, [5, bytes('10.0.0.1')]), hop(ETH0, [5, bytes('192.0.2.9')]))]] }, 'route default via 192.0.2.9'],
    ['through several others', { out: 0, more: [[9, join(hop(1), hop(3))]] }, undefined],
    ['a next hop whose length lies', { out: 0, more: [[9, Uint8Array.of(4, 0, 0, 0, 2, 0, 0, 0)]] }, undefined],
    ['a nexthop object, found by the filter', { to: ['198.51.100.0', 24], out: 0, flags: NLM_F_DUMP_FILTERED, more: [[30, u32(1)]] }, 'route 198.51.100.0/24'],
    ['a nexthop object of whatever interface', { out: 0, more: [[30, u32(1)]] }, undefined],
    ['out of another interface', { out: 1, gateway: '192.0.2.254' }, undefined],
    ['made by the kernel', { to: ['192.0.2.0', 24], protocol: 2 }, undefined],
    ['to itself', { to: ['192.0.2.1', 32], table: 255, type: 2 }, undefined],
    ['of the local table', { to: ['192.0.2.1', 32], table: 255 }, undefined],
    ['a black hole', { to: ['192.0.2.0', 24], type: 6 }, undefined],
    ['a cached exception', { to: ['203.0.113.1', 32], gateway: '192.0.2.254', routeFlags: 0x200 }, undefined],
    ['to the link', { to: [LINK_LOCAL, 64] }, undefined],
    ['to groups', { to: ['ff000000:00000000:00000000:00000000', 8] }, undefined],
    ['of MPLS', { family: 28 }, undefined],
  ]
  for (const [name, given, text] of cases) {
    test(name, () => assert.deepEqual(use({ routes: [route(given)] }), text === undefined ? [] : [text]))
  }

  test('of a kernel without RTA_TABLE', () => {
    const { type, body } = route({ table: 9 })
    const short = join(body.slice(0, 12), encodeAttributes([[4, u32(ETH0)]]))
    assert.deepEqual(use({ routes: [{ type, body: short }] }), ['route default table 9'])
  })
})

test('eight reasons, and how many more', () => {
  const many = (count: number) => Array.from({ length: count }, (_, i) => route({ to: [`10.${i >> 8}.${i & 255}.0`, 24] }))
  const addresses = [address('192.0.2.1', 24)]
  assert.equal(use({ addresses, routes: many(7) }).length, 8)
  assert.deepEqual(use({ addresses, routes: many(8) }).slice(7), ['route 10.0.6.0/24', 'and 1 more'])
  assert.deepEqual(use({ addresses, routes: many(600) }).slice(7), ['route 10.0.6.0/24', 'and 593 more'])
})

test('the same words once: a default route of each of two metrics', () => {
  assert.deepEqual(use({ routes: [route({ gateway: '192.0.2.254' }), route({ gateway: '192.0.2.254' })] }), ['route default via 192.0.2.254'])
})

test('a dump that was interrupted begins again, and counts nothing twice', () => {
  const routes = Array.from({ length: 20 }, (_, i) => route({ to: [`10.0.${i}.0`, 24] }))
  const torn: Answer = { ...done, flags: NLM_F_DUMP_INTR }
  const { kernel, requests } = answering([[...LINKS, done]], [[done]], [routes, [torn]], [routes.slice(0, 12), [done]])
  assert.equal(interfaceUse(kernel, 'eth0', ETH0).at(-1), 'and 4 more')
  assert.equal(requests.length, 4)
})

test('asks for this interface alone; a kernel that does not filter is asked all the same', () => {
  const { kernel, requests } = answering([[...LINKS, done]], [[address('192.0.2.1', 24), address('192.0.2.9', 24, { index: 1 }), done]], [[done]])
  kernel.answer('setsockopt', () => -ENOPROTOOPT)
  assert.deepEqual(interfaceUse(kernel, 'eth0', ETH0), ['address 192.0.2.1/24'])
  assert.deepEqual(requests[1].slice(16), Uint8Array.of(0, 0, 0, 0, ETH0, 0, 0, 0))
  assert.deepEqual(requests[2].slice(16), join(new Uint8Array(12), encodeAttributes([[4, u32(ETH0)]])))
})

test('an interface that is not there, from the start or since', () => {
  const rounds: [Answer[]][][] = [[[[link(1, 'lo'), done]]], [[[...LINKS, done]], [[refusal(ENODEV)]]]]
  for (const answers of rounds) {
    const { kernel } = answering(...answers)
    assert.throws(() => interfaceUse(kernel, 'eth0', ETH0), { code: 'NO_SUCH_INTERFACE', message: /^eth0: / })
    assert.deepEqual(kernel.openDescriptors, [])
  }
})

test('whatever call fails: an error or the answer, and nothing stays open', () => {
  let failures = 0
  for (let n = 1; ; n++) {
    const { kernel } = answering([[...LINKS, done]], [[address('192.0.2.1', 24), done]], [[done]])
    kernel.failNth(n, 105)
    try {
      assert.deepEqual(interfaceUse(kernel, 'eth0', ETH0), ['address 192.0.2.1/24'])
    } catch (error) {
      assert.ok(error instanceof CaptureError, String(error))
      assert.equal(error.errno, 105)
      failures++
    }
    assert.deepEqual(kernel.openDescriptors, [])
    if (!kernel.failed) break
  }
  // The socket, and three times sendto and recv.
  assert.equal(failures, 7)
})

test('the default route, however many others there are', () => {
  const many = Array.from({ length: 20 }, (_, i) => route({ to: [`198.51.${i}.0`, 24] }))
  const among = (...routes: Answer[]) => {
    const { kernel } = answering([[...routes, done]])
    const found = defaultRoute(kernel, 'eth0', ETH0)
    assert.deepEqual(kernel.openDescriptors, [])
    return found
  }
  assert.equal(among(...many), undefined)
  assert.equal(among(...many, route({ gateway: '192.0.2.254' })), 'route default via 192.0.2.254')
  assert.equal(among(...many, route({ out: 3 })), undefined)
  assert.equal(among(route({ family: 10, table: 1000 })), 'route default table 1000')
})
