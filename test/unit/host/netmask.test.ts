import assert from 'node:assert/strict'
import type { NetworkInterfaceInfo } from 'node:os'
import { test } from 'node:test'
import { netmaskOf } from '#src/host/netmask.js'

const address = (family: 'IPv4' | 'IPv6', netmask: string) => ({ family, netmask }) as NetworkInterfaceInfo

test('of the first IPv4 address; 0 without one', () => {
  const all = {
    eth0: [address('IPv6', 'ffff:ffff:ffff:ffff::'), address('IPv4', '255.255.240.0'), address('IPv4', '255.0.0.0')],
    eth1: [address('IPv6', 'ffff::')],
  }
  assert.equal(netmaskOf('eth0', all), 0xfffff000)
  assert.equal(netmaskOf('eth1', all), 0)
  assert.equal(netmaskOf('nosuch', all), 0)
  assert.equal(netmaskOf('lo'), 0xff000000)
})
