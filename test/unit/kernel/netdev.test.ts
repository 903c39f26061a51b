import assert from 'node:assert/strict'
import { test } from 'node:test'
import { xdpFeatures, xdpMetadata } from '#src/kernel/netdev.js'
import { type Attribute, encodeAttributes } from '#src/kernel/netlink.js'
import { type Answer, ack, answering, join, refusal } from '../../support/netlink-answers.js'

const ENOENT = 2
const ENODEV = 19
const FAMILY = 0x1d

const u64 = (value: bigint) => new Uint8Array(new BigUint64Array([value]).buffer)
/** CTRL_CMD_NEWFAMILY with CTRL_ATTR_FAMILY_NAME and CTRL_ATTR_FAMILY_ID. */
const family: Answer = {
  type: 0x10,
  body: join(
    Uint8Array.of(1, 2, 0, 0),
    encodeAttributes([
      [2, 'netdev'],
      [1, Uint8Array.of(FAMILY, 0)],
    ]),
  ),
}
/** NETDEV_CMD_DEV_GET as Linux 6.18 answers it: the interface, its XDP features, and those of its metadata. */
const device = (...metadata: Attribute[]): Answer => ({
  type: FAMILY,
  body: join(Uint8Array.of(1, 1, 0, 0), encodeAttributes([[1, Uint8Array.of(7, 0, 0, 0)], [3, u64(0x23n)], ...metadata])),
})

test('asks the controller for the family, and the family for the interface', () => {
  const { kernel, requests } = answering([[family, ack]], [[device([5, u64(7n)]), ack]])
  assert.deepEqual(xdpMetadata(kernel, 'eth0', 7), { timestamp: true, vlan: true })
  const [controller, asked] = requests.map((bytes) => Buffer.from(bytes).toString('hex'))
  // NLM_F_REQUEST | NLM_F_ACK; CTRL_CMD_GETFAMILY, CTRL_ATTR_FAMILY_NAME; NETDEV_CMD_DEV_GET, NETDEV_A_DEV_IFINDEX.
  assert.equal(controller, `20000000100005000100000000000000${'03010000'}${'0b0002006e657464657600'}00`)
  assert.equal(asked, `1c0000001d0005000200000000000000${'01010000'}${'0800010007000000'}`)
  assert.deepEqual(
    kernel.calls.filter(({ name }) => name === 'socket').map((call) => call.arguments),
    [[16, 3 | 0o2000000, 16]],
  )
  assert.deepEqual(kernel.openDescriptors, [])
})

test('each bit for itself; the hash is of no interest', () => {
  for (const [bits, expected] of [
    [0n, { timestamp: false, vlan: false }],
    [1n, { timestamp: true, vlan: false }],
    [2n, { timestamp: false, vlan: false }],
    [4n, { timestamp: false, vlan: true }],
  ] as const) {
    const { kernel } = answering([[family, ack]], [[device([5, u64(bits)]), ack]])
    assert.deepEqual(xdpMetadata(kernel, 'eth0', 7), expected)
  }
})

test('a kernel that does not tell', () => {
  const silent = [
    answering([[refusal(ENOENT)]]),
    answering([[{ ...family, body: Uint8Array.of(1, 2, 0, 0) }, ack]]),
    answering([[ack]]),
    answering([[family, ack]], [[refusal(ENODEV)]]),
    answering([[family, ack]], [[device(), ack]]),
    answering([[family, ack]], [[ack]]),
    answering([-105]),
  ]
  for (const [index, { kernel }] of silent.entries()) {
    assert.equal(xdpMetadata(kernel, 'eth0', 7), undefined, `${index}`)
    assert.deepEqual(kernel.openDescriptors, [], `${index}`)
  }
  const { kernel } = answering()
  kernel.fail('socket', 93)
  assert.equal(xdpMetadata(kernel, 'eth0', 7), undefined)
})

test('XDP features by their names; a driver with none has an empty list', () => {
  const device = (bits: bigint): Answer => ({ type: FAMILY, body: join(Uint8Array.of(1, 1, 0, 0), encodeAttributes([[3, u64(bits)]])) })
  for (const [bits, names] of [
    [0n, []],
    [0x0bn, ['basic', 'redirect', 'xsk-zerocopy']],
    [0x7fn, ['basic', 'redirect', 'ndo-xmit', 'xsk-zerocopy', 'hw-offload', 'rx-sg', 'ndo-xmit-sg']],
  ] as const) {
    const { kernel } = answering([[family, ack]], [[device(bits), ack]])
    assert.deepEqual(xdpFeatures(kernel, 'eth0', 7), names)
    assert.deepEqual(kernel.openDescriptors, [])
  }
})

test('XDP features: undefined without the family, an error for an interface that is gone', () => {
  assert.equal(xdpFeatures(answering([[refusal(ENOENT)]]).kernel, 'eth0', 7), undefined)
  assert.throws(() => xdpFeatures(answering([[family, ack]], [[refusal(ENODEV)]]).kernel, 'eth0', 7), { code: 'NO_SUCH_INTERFACE' })
})
