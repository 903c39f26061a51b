import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodeAttributes } from '#src/kernel/netlink.js'
import { promiscuousSockets } from '#src/kernel/packet-diag.js'
import { type Answer, ack, answering, done, join, number32, refusal } from '../../support/netlink-answers.js'

const PROMISC = 1
const MULTICAST = 0

/** struct packet_diag_mclist. */
const membership = (index: number, type: number) => join(number32(index), number32(1), Uint8Array.of(type, 0, 6, 0), new Uint8Array(32))
/** struct packet_diag_msg of a socket with these memberships. */
const socket = (inode: number, ...memberships: Uint8Array[]): Answer => ({
  type: 20,
  body: join(Uint8Array.of(17, 3, 0, 0), number32(inode), new Uint8Array(8), encodeAttributes([[1, join(...memberships)]])),
})

test('sockets that ask for this interface to be promiscuous, and no others', () => {
  const { kernel, requests } = answering([
    [socket(11, membership(7, PROMISC)), socket(12, membership(8, PROMISC)), socket(13), socket(14, membership(7, MULTICAST), membership(7, PROMISC))],
    [socket(15, membership(7, PROMISC), membership(7, PROMISC)), done],
  ])
  assert.deepEqual(promiscuousSockets(kernel, 7), [11, 14, 15, 15])
  // NLM_F_REQUEST | NLM_F_ACK | NLM_F_DUMP; AF_PACKET, PACKET_SHOW_MCLIST.
  assert.equal(Buffer.from(requests[0] as Uint8Array).toString('hex'), `2400000014000503010000000000000011000000${'00000000'}${'02000000'}${'00'.repeat(8)}`)
  assert.deepEqual(
    kernel.calls.filter(({ name }) => name === 'socket').map((call) => call.arguments[2]),
    [4],
  )
  assert.deepEqual(kernel.openDescriptors, [])
})

test('a message that is cut short is no socket', () => {
  const short: Answer = { type: 20, body: Uint8Array.of(17, 3, 0, 0) }
  const halfMember: Answer = {
    type: 20,
    body: join(Uint8Array.of(17, 3, 0, 0), number32(9), new Uint8Array(8), encodeAttributes([[1, new Uint8Array(43).fill(1)]])),
  }
  assert.deepEqual(promiscuousSockets(answering([[short, halfMember, ack]]).kernel, 7), [])
})

test('a kernel without packet_diag', () => {
  assert.throws(() => promiscuousSockets(answering([[refusal(2)]]).kernel, 7), {
    errnoName: 'ENOENT',
    message: /^packet sockets: SOCK_DIAG_BY_FAMILY\(AF_PACKET\): ENOENT/,
  })
})
