import assert from 'node:assert/strict'
import { test } from 'node:test'
import { interfacesDocument, interfaceTable } from '#src/cli/interface-lines.js'
import type { NetworkInterface } from '#src/index.js'

const LO: NetworkInterface = {
  index: 1,
  name: 'lo',
  up: true,
  operState: 'unknown',
  mac: undefined,
  mtu: 65_536,
  driver: undefined,
  speedMbps: undefined,
  rxQueues: 1,
  txQueues: 1,
  linkType: 772,
  kind: undefined,
  netns: undefined,
}
const ETH: NetworkInterface = {
  ...LO,
  index: 2,
  name: 'eth0',
  operState: 'up',
  mac: '02:00:00:00:00:01',
  mtu: 1500,
  driver: 'ixgbe',
  speedMbps: 10_000,
  rxQueues: 8,
  txQueues: 16,
  linkType: 1,
  netns: 'blue',
}

test('an aligned table', () => {
  assert.deepEqual(
    interfaceTable([
      LO,
      ETH,
      { ...ETH, name: 'eth1', operState: 'lowerlayerdown', speedMbps: 100 },
      { ...ETH, name: 'eth2', up: false, operState: 'down', speedMbps: 2500 },
    ]),
    [
      'NAME  STATE       MAC                  MTU  DRIVER  SPEED       RX QUEUES  TX QUEUES  NAMESPACE',
      'lo    up          -                  65536  -       -                   1          1  -',
      'eth0  up          02:00:00:00:00:01   1500  ixgbe   10 Gbit/s           8         16  blue',
      'eth1  no-carrier  02:00:00:00:00:01   1500  ixgbe   100 Mbit/s          8         16  blue',
      'eth2  down        02:00:00:00:00:01   1500  ixgbe   2.5 Gbit/s          8         16  blue',
    ],
  )
})

test('what is not known is null', () => {
  assert.deepEqual(JSON.parse(interfacesDocument([LO])), {
    type: 'interfaces',
    interfaces: [{ ...LO, state: 'up', mac: null, driver: null, kind: null, speedMbps: null, netns: null }],
  })
})
