import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { FilterNames } from '#src/filter/names.js'
import { type NameSources, readNameTables, SYSTEM_SOURCES } from '#src/host/name-tables.js'

const FILES = {
  services: '# comment\nhttp\t\t80/tcp\t\twww  # WorldWideWeb\ndomain 53/tcp\ndomain 53/udp\nntp 123/udp\nhttp 8080/tcp\nbroken\n',
  protocols: 'ip\t0\tIP\ntcp\t6\tTCP\nipv6-icmp 58 IPv6-ICMP\n',
  networks: 'loopback 127.0.0.0\nhome 192.168.1 casa\n# x 1.2.3.4\nbad 1.2.3.999\n',
  ethers: '02:00:5e:10:00:01 router\n2:0:5e:10:0:2 switch # closet\nnonsense name\n',
}
const ADDRESSES: Record<string, readonly string[]> = { router: ['10.0.0.1', '2001:db8::1', 'fe80::1%eth0'] }

const ALL: FilterNames = { services: ['http'], protocols: ['tcp'], networks: ['home'], hosts: ['router', 'nobody'], ethers: ['router'] }

function fakeSources(): NameSources & { asked: string[] } {
  const asked: string[] = []
  return {
    asked,
    file: async (name) => {
      asked.push(name)
      return FILES[name]
    },
    addresses: async (host) => {
      asked.push(host)
      return ADDRESSES[host] ?? []
    },
  }
}

test('the files below /etc, as their manual pages have them', async () => {
  const tables = await readNameTables(ALL, fakeSources())
  assert.deepEqual(
    [tables.service('http', 'tcp'), tables.service('www', 'tcp'), tables.service('http', 'udp'), tables.service('domain', 'udp'), tables.service('ntp', 'udp')],
    [80, 80, undefined, 53, 123],
  )
  assert.deepEqual([tables.protocol('tcp'), tables.protocol('TCP'), tables.protocol('ipv6-icmp'), tables.protocol('Tcp')], [6, 6, 58, undefined])
  assert.deepEqual(
    [tables.network('loopback'), tables.network('casa'), tables.network('bad'), tables.network('x')],
    [0x7f00_0000, 0xc0a8_0100, undefined, undefined],
  )
  assert.deepEqual(tables.ether('router'), Uint8Array.from([2, 0, 0x5e, 0x10, 0, 1]))
  assert.deepEqual(tables.ether('switch'), Uint8Array.from([2, 0, 0x5e, 0x10, 0, 2]))
  assert.equal(tables.ether('name'), undefined)
})

test('addresses of hosts, all of them', async () => {
  const tables = await readNameTables(ALL, fakeSources())
  assert.deepEqual(
    tables.host('router').map((address) => Buffer.from(address).toString('hex')),
    ['0a000001', '20010db8000000000000000000000001', 'fe800000000000000000000000000001'],
  )
  assert.deepEqual(tables.host('nobody'), [])
  assert.deepEqual(tables.host('not asked for'), [])
})

test('nothing is asked that no name needs', async () => {
  const nothing: FilterNames = { services: [], protocols: [], networks: [], hosts: [], ethers: [] }
  const sources = fakeSources()
  await readNameTables(nothing, sources)
  assert.deepEqual(sources.asked, [])
  await readNameTables({ ...nothing, services: ['http'], hosts: ['router'] }, sources)
  assert.deepEqual(sources.asked.sort(), ['router', 'services'])
})

test('this machine: localhost, and no file is no error', async () => {
  const tables = await readNameTables({ services: ['http'], protocols: ['tcp'], networks: ['x'], hosts: ['localhost'], ethers: ['x'] }, SYSTEM_SOURCES)
  assert.ok(tables.host('localhost').some((address) => address.length === 4 && address[0] === 127))
  assert.equal(tables.ether('nobody-has-this-name'), undefined)
})
