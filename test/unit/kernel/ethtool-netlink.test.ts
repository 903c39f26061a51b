import assert from 'node:assert/strict'
import { test } from 'node:test'
import { coalescingFields } from '#src/kernel/ethtool-netlink.js'
import { type Attribute, encodeAttributes, u32 } from '#src/kernel/netlink.js'
import { type Answer, ack, answering, join, refusal } from '../../support/netlink-answers.js'

const FAMILY = 0x15

const family: Answer = { type: 0x10, body: join(Uint8Array.of(1, 2, 0, 0), encodeAttributes([[1, Uint8Array.of(FAMILY, 0)]])) }
/** ETHTOOL_MSG_COALESCE_GET_REPLY: its header, and the fields that the driver has. */
const reply = (...fields: Attribute[]): Answer => ({
  type: FAMILY,
  body: join(Uint8Array.of(20, 1, 0, 0), encodeAttributes([[1, [[2, 'eth0']]], ...fields])),
})

test('the fields that are in the answer, 0 or not', () => {
  const { kernel, requests } = answering([[family, ack]], [[reply([2, u32(0)], [11, Uint8Array.of(1)], [23, u32(9)]), ack]])
  assert.deepEqual(coalescingFields(kernel, 'eth0'), ['rx_coalesce_usecs', 'use_adaptive_rx_coalesce', 'rate_sample_interval'])
  // ETHTOOL_MSG_COALESCE_GET, and in a nest, which says that it is one, the name.
  assert.equal(
    Buffer.from(requests[1] as Uint8Array).toString('hex'),
    `24000000150005000200000000000000${'13010000'}${'10000180'}${'09000200657468300000'}${'0000'}`,
  )
  assert.deepEqual(kernel.openDescriptors, [])
})

test('a kernel without the family does not tell; a driver without coalescing refuses', () => {
  assert.equal(coalescingFields(answering([[refusal(2)]]).kernel, 'eth0'), undefined)
  assert.throws(() => coalescingFields(answering([[family, ack]], [[refusal(95)]]).kernel, 'eth0'), {
    errnoName: 'EOPNOTSUPP',
    syscall: 'ETHTOOL_MSG_COALESCE_GET',
  })
})
