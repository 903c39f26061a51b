import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodeAttributes, u32 } from '#src/kernel/netlink.js'
import { leadsToNetwork } from '#src/transmit/network.js'
import { type Answer, answering, done, link } from '../../support/netlink-answers.js'

const INDEX = 5

/** RTM_NEWROUTE of a default route of IPv4. */
function defaultRoute(): Answer {
  const header = Uint8Array.of(2, 0, 0, 0, 254, 3, 0, 1, 0, 0, 0, 0)
  return {
    type: 24,
    body: encodeAttributes(
      [
        [4, u32(INDEX)],
        [5, Uint8Array.of(192, 0, 2, 254)],
      ],
      header,
    ),
  }
}

function reason(kind: string | undefined, routes: readonly Answer[] = [], loopback = false): string | undefined {
  const own = link(INDEX, 'x0', kind === undefined ? {} : { kind })
  if (loopback) new DataView(own.body.buffer, own.body.byteOffset).setUint32(8, 0x49, true)
  const { kernel } = answering([[link(1, 'lo'), own, done]], [[...routes, done]])
  const found = leadsToNetwork(kernel, 'x0', INDEX)
  assert.deepEqual(kernel.openDescriptors, [])
  return found
}

test('what has no kind is a device, and what stands on one leads to it', () => {
  assert.equal(reason(undefined), 'it is a physical interface')
  for (const kind of ['vlan', 'bridge', 'bond', 'macvlan', 'ipvlan', 'vxlan', 'team', 'wireguard', 'gre']) {
    assert.equal(reason(kind), `a ${kind} leads to one`)
  }
})

test('what stays inside the machine does not, unless a default route goes out of it', () => {
  for (const kind of ['veth', 'netkit', 'dummy', 'tun', 'ifb', 'netdevsim']) assert.equal(reason(kind), undefined)
  assert.equal(reason(undefined, [], true), undefined)
  assert.equal(reason('veth', [defaultRoute()]), 'it has the default route via 192.0.2.254')
})
