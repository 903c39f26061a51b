import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  attachedXdp,
  createVethPair,
  encodeAttributes,
  getLink,
  listLinks,
  parseAttributes,
  RouteSocket,
  readLinkStats,
  setLinkUp,
  u32,
} from '#src/kernel/netlink.js'
import { type Answer, ack, answering, done, join, link, number32, refusal } from '../../support/netlink-answers.js'

const NLMSG_ERROR = 2
const RTM_NEWSTATS = 92
const EINTR = 4
const ENODEV = 19
const EINVAL = 22
const EBUSY = 16
const EPERM = 1
const NLM_F_DUMP_INTR = 0x10
const NLM_F_ACK_TLVS = 0x200
const NLM_F_CAPPED = 0x100

describe('attributes', () => {
  test('bytes, strings and nests, each padded to four bytes', () => {
    const bytes = encodeAttributes([
      [3, 'abcd'],
      [18, [[1, 'veth']]],
      [4, u32(1500)],
    ])
    assert.equal(Buffer.from(bytes).toString('hex'), '0900030061626364' + '00000000' + '10001200' + '0900010076657468' + '00000000' + '08000400dc050000')
    const parsed = parseAttributes(bytes)
    assert.deepEqual([...parsed.keys()], [3, 18, 4])
    assert.equal(Buffer.from(parseAttributes(parsed.get(18) as Uint8Array).get(1) as Uint8Array).toString(), 'veth\0')
  })

  test('nested and byte-order flags are no part of the type', () => {
    assert.deepEqual([...parseAttributes(Uint8Array.of(4, 0, 18, 0x80)).keys()], [18])
  })

  test('a length that lies ends the list', () => {
    for (const bytes of [Uint8Array.of(3, 0, 1, 0), Uint8Array.of(9, 0, 1, 0, 1, 2, 3, 4), Uint8Array.of(8, 0, 1), new Uint8Array(0)]) {
      assert.equal(parseAttributes(bytes).size, 0)
    }
  })
})

describe('requests', () => {
  test('a dump over several datagrams, strangers skipped', () => {
    const stranger: Answer = { ...link(9, 'old0'), sequence: -1 }
    const { kernel, requests } = answering([[link(1, 'lo'), stranger], -EINTR, [link(2, 'veth0', { kind: 'veth' })], [done]])
    using socket = RouteSocket.open(kernel)
    const links = listLinks(socket)
    assert.deepEqual(
      links.map(({ index, name, kind, mtu, operState, rxQueues, txQueues }) => ({ index, name, kind, mtu, operState, rxQueues, txQueues })),
      [
        { index: 1, name: 'lo', kind: undefined, mtu: 1500, operState: 6, rxQueues: 2, txQueues: 4 },
        { index: 2, name: 'veth0', kind: 'veth', mtu: 1500, operState: 6, rxQueues: 2, txQueues: 4 },
      ],
    )
    assert.deepEqual(links[1].address, Uint8Array.of(2, 0, 0, 0, 0, 2))
    // RTM_GETLINK, NLM_F_REQUEST | NLM_F_ACK | NLM_F_DUMP, RTEXT_FILTER_SKIP_STATS
    assert.equal(Buffer.from(requests[0]).toString('hex'), `28000000120005030100000000000000${'00'.repeat(16)}08001d0008000000`)
  })

  test('a VLAN tells its number, and nothing else does', () => {
    const data = [[1, Uint8Array.of(5, 1)]] as const
    const { kernel } = answering([[link(2, 'eth0.261', { kind: 'vlan', data }), link(3, 'mv0', { kind: 'macvlan', data }), done]])
    using socket = RouteSocket.open(kernel)
    assert.deepEqual(
      listLinks(socket).map(({ vlanId }) => vlanId),
      [261, undefined],
    )
  })

  test('a dump that was interrupted is asked for again', () => {
    const torn: Answer = { ...done, flags: NLM_F_DUMP_INTR }
    const { kernel, requests } = answering([[link(1, 'lo'), torn]], [[link(1, 'lo'), link(2, 'eth1'), done]])
    using socket = RouteSocket.open(kernel)
    assert.equal(listLinks(socket).length, 2)
    assert.equal(requests.length, 2)
  })

  test('one that is always interrupted is an error', () => {
    const torn: Answer = { ...done, flags: NLM_F_DUMP_INTR }
    const { kernel } = answering(...Array.from({ length: 20 }, () => [[torn]]))
    using socket = RouteSocket.open(kernel)
    assert.throws(() => listLinks(socket), { code: 'SYSTEM_CALL_FAILED', errno: EINTR })
  })

  test('the kernel’s own words are in the error, with and without the request repeated', () => {
    const words = encodeAttributes([[1, 'Device is busy']])
    const repeated = new Uint8Array(32 - 4)
    new DataView(repeated.buffer).setUint32(0, 32, true)
    for (const answer of [
      { type: NLMSG_ERROR, flags: NLM_F_ACK_TLVS | NLM_F_CAPPED, body: join(number32(-EBUSY), new Uint8Array(16), words) },
      { type: NLMSG_ERROR, flags: NLM_F_ACK_TLVS, body: join(number32(-EBUSY), repeated, new Uint8Array(4), words) },
    ]) {
      const { kernel } = answering([[answer]])
      using socket = RouteSocket.open(kernel)
      assert.throws(() => setLinkUp(socket, 'eth1', 7), {
        code: 'SYSTEM_CALL_FAILED',
        errno: EBUSY,
        message: /^eth1: RTM_SETLINK\(IFF_UP\): Device is busy: EBUSY/,
      })
    }
  })

  test('ENODEV is NO_SUCH_INTERFACE, EPERM is PERMISSION', () => {
    for (const [errno, code] of [
      [ENODEV, 'NO_SUCH_INTERFACE'],
      [EPERM, 'PERMISSION'],
    ] as const) {
      const { kernel } = answering([[refusal(errno)]])
      using socket = RouteSocket.open(kernel)
      assert.throws(() => getLink(socket, 'eth9'), { code, errno })
    }
  })

  test('a name too long for IFLA_IFNAME is asked for as an alternative one, and one too long for that is nobody’s', () => {
    const IFLA_ALT_IFNAME = 53
    for (const [name, type] of [
      ['a'.repeat(15), 3],
      ['a'.repeat(16), IFLA_ALT_IFNAME],
      ['ä'.repeat(8), IFLA_ALT_IFNAME],
      ['a'.repeat(127), IFLA_ALT_IFNAME],
    ] as const) {
      const { kernel, requests } = answering([[refusal(ENODEV)]])
      using socket = RouteSocket.open(kernel)
      assert.throws(() => getLink(socket, name), { code: 'NO_SUCH_INTERFACE', errno: ENODEV })
      const attributes = parseAttributes((requests[0] as Uint8Array).subarray(16 + 16))
      assert.deepEqual(attributes.get(type), new TextEncoder().encode(`${name}\0`))
      assert.equal(attributes.has(type === 3 ? IFLA_ALT_IFNAME : 3), false)
    }
    const { kernel, requests } = answering()
    using socket = RouteSocket.open(kernel)
    assert.throws(() => getLink(socket, 'a'.repeat(128)), { code: 'NO_SUCH_INTERFACE', errno: ENODEV })
    assert.equal(requests.length, 0)
    // A kernel that knows no alternative names: nothing was asked for.
    const older = answering([[refusal(EINVAL)]], [[refusal(EINVAL)]])
    using old = RouteSocket.open(older.kernel)
    assert.throws(() => getLink(old, 'a'.repeat(16)), { code: 'NO_SUCH_INTERFACE' })
    assert.throws(() => getLink(old, 'eth0'), { code: 'SYSTEM_CALL_FAILED', errno: EINVAL })
  })

  test('a failed send and a failed receive close nothing twice and leave nothing open', () => {
    for (const [name, errno] of [
      ['sendto', 105],
      ['recv', 105],
    ] as const) {
      const { kernel } = answering([[ack]])
      kernel.fail(name, errno)
      const socket = RouteSocket.open(kernel)
      assert.throws(() => setLinkUp(socket, 'eth1', 7), { errno })
      socket.close()
      socket.close()
      assert.equal(kernel.names().filter((it) => it === 'close').length, 1)
    }
  })

  test('an answer longer than the buffer is not read in part', () => {
    const { kernel } = answering([[]])
    kernel.answer('recv', () => 1 << 20)
    using socket = RouteSocket.open(kernel)
    assert.throws(() => listLinks(socket), /an answer of 1048576 bytes/)
  })
})

test('a veth pair is one message, the peer nested with its own header', () => {
  const { kernel, requests } = answering([[ack]])
  using socket = RouteSocket.open(kernel)
  createVethPair(socket, { name: 'a', namespaceFd: 5, queues: 2, mtu: 1500 }, { name: 'b', namespaceFd: 6, queues: 2, mtu: 1500 })
  const request = requests[0]
  const flags = new DataView(request.buffer).getUint16(6, true)
  assert.equal(flags, 0x1 | 0x4 | 0x200 | 0x400)
  const outer = parseAttributes(request.subarray(32))
  assert.deepEqual([...outer.keys()], [3, 4, 28, 31, 32, 18])
  const info = parseAttributes(outer.get(18) as Uint8Array)
  const peer = parseAttributes(info.get(2) as Uint8Array).get(1) as Uint8Array
  const inner = parseAttributes(peer.subarray(16))
  assert.deepEqual(inner.get(3), Uint8Array.of(0x62, 0))
  assert.deepEqual(inner.get(28), u32(6))
  assert.deepEqual(outer.get(28), u32(5))
})

test('counters that an older kernel does not know read 0', () => {
  const stats = new Uint8Array(184)
  new DataView(stats.buffer).setBigUint64(0, 12345n, true)
  const { kernel } = answering([[{ type: RTM_NEWSTATS, body: encodeAttributes([[1, stats]], new Uint8Array(12)) }, ack]])
  using socket = RouteSocket.open(kernel)
  const read = readLinkStats(socket, 'eth1', 7)
  assert.equal(read.getBigUint64(0, true), 12345n)
  assert.equal(read.getBigUint64(192, true), 0n)
})

test('attached XDP programs, by mode', () => {
  const u8 = (value: number) => Uint8Array.of(value)
  const cases = [
    [undefined, []],
    [[[2, u8(0)]], []],
    [
      [
        [2, u8(1)],
        [4, u32(42)],
        [5, u32(42)],
      ],
      [{ mode: 'native', programId: 42 }],
    ],
    [
      [
        [2, u8(2)],
        [4, u32(7)],
        [6, u32(7)],
      ],
      [{ mode: 'generic', programId: 7 }],
    ],
    // Before Linux 4.19.
    [
      [
        [2, u8(2)],
        [4, u32(7)],
      ],
      [{ mode: 'generic', programId: 7 }],
    ],
    // XDP_ATTACHED_MULTI: no IFLA_XDP_PROG_ID.
    [
      [
        [2, u8(4)],
        [5, u32(1)],
        [7, u32(2)],
      ],
      [
        { mode: 'native', programId: 1 },
        { mode: 'offloaded', programId: 2 },
      ],
    ],
  ] as const
  for (const [xdp, expected] of cases) {
    const { kernel } = answering([[link(7, 'eth1', xdp === undefined ? {} : { xdp }), ack]])
    using socket = RouteSocket.open(kernel)
    assert.deepEqual(attachedXdp(socket, 'eth1'), expected)
  }
})
