/** What the host uses an interface for, against what ip(8) says of it. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { interfaceUse } from '#src/kernel/interface-use.js'
import { createNamespace, withNamespace } from '#src/kernel/namespace.js'
import { openKernel } from '#src/kernel/system.js'
import { inNamespace, live } from '../support/live.js'
import { tracingKernel } from '../support/tracing-kernel.js'

/** A namespace with the pair eth0 and peer0, both up, in which `ip` acts and is asked. */
function network() {
  const kernel = tracingKernel(openKernel())
  const namespace = createNamespace(kernel)
  const netns = `/proc/${process.pid}/fd/${namespace.fd}`
  const folder = mkdtempSync(join(tmpdir(), 'ringtap-use-'))
  const batch = (lines: readonly string[]) => {
    writeFileSync(join(folder, 'batch'), lines.join('\n'))
    inNamespace(netns, 'ip', '-batch', join(folder, 'batch'))
  }
  const ask = (...words: string[]) => JSON.parse(inNamespace(netns, 'ip', '-j', ...words)) as Record<string, unknown>[]
  const indexOf = (name: string) => ask('link', 'show', 'dev', name)[0].ifindex as number
  batch(['link add eth0 type veth peer name peer0', 'link set lo up', 'link set eth0 up', 'link set peer0 up'])
  return {
    netns,
    batch,
    ask,
    use: (name: string) => withNamespace(kernel, namespace, () => interfaceUse(kernel, name, indexOf(name))),
    [Symbol.dispose]() {
      namespace.close()
      rmSync(folder, { recursive: true })
      kernel.assertNoLeaks()
    },
  }
}

/** What ip(8) shows of an interface's addresses and routes, in our words. */
function accordingToIp(net: ReturnType<typeof network>, name: string): string[] {
  const addresses = net.ask('addr', 'show', 'dev', name)[0].addr_info as { local: string; prefixlen: number }[]
  const routes = ['-4', '-6'].flatMap((family) => net.ask(family, '-d', 'route', 'show', 'table', 'all')) as unknown as {
    dst: string
    type: string
    table: string
    protocol: string
    dev?: string
    gateway?: string
    via?: { host: string }
    nexthops?: { dev: string; gateway?: string }[]
  }[]
  return [
    ...addresses.filter(({ local }) => !local.startsWith('fe80:')).map(({ local, prefixlen }) => `address ${local}/${prefixlen}`),
    ...routes
      .filter(({ type, protocol }) => type === 'unicast' && protocol !== 'kernel')
      .flatMap(({ dst, table, dev, gateway, via, nexthops }) => {
        const hop = dev === name ? { gateway: gateway ?? via?.host } : nexthops?.find((it) => it.dev === name)
        if (hop === undefined) return []
        const to = dst === 'default' || dst.includes('/') ? dst : `${dst}/${dst.includes(':') ? 128 : 32}`
        return [`route ${to}${hop.gateway === undefined ? '' : ` via ${hop.gateway}`}${table === 'main' ? '' : ` table ${table}`}`]
      }),
  ]
}

live('an interface that is merely up has no use; the loopback has', () => {
  using net = network()
  assert.deepEqual(net.use('eth0'), [])
  assert.deepEqual(net.use('peer0'), [])
  assert.deepEqual(net.use('lo'), ['address 127.0.0.1/8', 'address ::1/128'])
})

const SCENES: readonly [name: string, commands: readonly string[]][] = [
  [
    'addresses',
    [
      'addr add 192.0.2.1/24 dev eth0',
      'addr add 192.0.2.2/24 dev eth0',
      'addr add 10.0.0.1 peer 10.0.0.2/32 dev eth0',
      'addr add 169.254.1.1/16 dev eth0 scope link',
      'addr add 2001:db8::1/64 dev eth0',
      'addr add 2001:db8:0:1::1 peer 2001:db8:0:1::2/128 dev eth0',
      'addr add fd00::1/64 dev eth0 noprefixroute',
      'addr add 203.0.113.1/24 dev peer0',
    ],
  ],
  [
    'routes of IPv4',
    [
      'addr add 192.0.2.1/24 dev eth0',
      'addr add 203.0.113.1/24 dev peer0',
      'route add default via 192.0.2.254',
      'route add default via 203.0.113.254 metric 5',
      'route add 198.51.100.0/24 dev eth0',
      'route add 198.51.100.0/24 dev eth0 table 1000',
      'route add 198.51.100.7 via inet6 fe80::9 dev eth0',
      'route add 100.64.0.0/10 nexthop via 192.0.2.7 dev eth0 nexthop via 203.0.113.7 dev peer0',
      'route add blackhole 10.0.0.0/8',
      'route add 10.0.0.0/9 dev peer0',
    ],
  ],
  [
    'routes of IPv6',
    [
      'addr add 2001:db8::1/64 dev eth0 nodad',
      'route add default via fe80::1 dev eth0',
      'route add 2001:db8:1::/48 via 2001:db8::9',
      'route add 2001:db8:2::/48 nexthop via 2001:db8::7 dev eth0 nexthop via fe80::7 dev peer0',
      'route add 2001:db8:3::1 dev eth0 table 7',
      'route add unreachable 2001:db8:4::/48',
      'route add 2001:db8:5::/48 dev peer0',
    ],
  ],
  [
    'nexthop objects',
    [
      'addr add 192.0.2.1/24 dev eth0',
      'nexthop add id 1 via 192.0.2.9 dev eth0',
      'nexthop add id 2 dev peer0',
      'nexthop add id 3 group 1/2',
      'route add 198.51.100.0/24 nhid 1',
      'route add 203.0.113.0/24 nhid 2',
      'route add 100.64.0.0/10 nhid 3',
    ],
  ],
]

for (const [name, commands] of SCENES) {
  live(`${name}: as ip(8) shows them`, () => {
    using net = network()
    net.batch(commands)
    for (const end of ['eth0', 'peer0']) assert.deepEqual(net.use(end).sort(), accordingToIp(net, end).sort(), end)
    assert.ok(net.use('eth0').length > 1)
  })
}

live('routes that name a nexthop object and nothing else are found', () => {
  using net = network()
  net.batch(['nexthop add id 1 dev eth0', 'nexthop add id 2 dev peer0', 'route add 198.51.100.0/24 nhid 1', 'route add 203.0.113.0/24 nhid 2'])
  inNamespace(net.netns, 'sysctl', '-qw', 'net.ipv4.nexthop_compat_mode=0')
  assert.deepEqual(net.use('eth0'), ['route 198.51.100.0/24'])
  assert.deepEqual(net.use('peer0'), ['route 203.0.113.0/24'])
})

live('a bridge above it, a macvlan upon it', () => {
  using net = network()
  net.batch(['link add br0 type bridge', 'link set eth0 master br0', 'link add link peer0 name upper0 type macvlan'])
  assert.deepEqual(net.use('eth0'), ['member of br0'])
  assert.deepEqual(net.use('peer0'), ['carries upper0'])
  assert.deepEqual(net.use('br0'), [])
  assert.deepEqual(net.use('upper0'), [])
})

live('a table of 10,000 routes', () => {
  using net = network()
  net.batch([
    'addr add 192.0.2.1/24 dev eth0',
    ...Array.from({ length: 10_000 }, (_, i) => `route add 10.${i >> 8}.${i & 255}.0/24 via 192.0.2.254`),
    'route add default dev peer0',
  ])
  assert.deepEqual(net.use('eth0').slice(0, 2), ['address 192.0.2.1/24', 'route 10.0.0.0/24 via 192.0.2.254'])
  assert.equal(net.use('eth0').at(-1), 'and 9993 more')
  assert.deepEqual(net.use('peer0'), ['route default'])
})
