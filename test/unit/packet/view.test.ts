import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  PACKET_OUTGOING,
  TP_STATUS_CSUM_VALID,
  TP_STATUS_CSUMNOTREADY,
  TP_STATUS_TS_SOFTWARE,
  TP_STATUS_USER,
  TP_STATUS_VLAN_TPID_VALID,
  TP_STATUS_VLAN_VALID,
} from '#src/kernel/abi/if_packet.js'
import type { Block } from '#src/packet/block.js'
import { BlockPacketView } from '#src/packet/view.js'
import { Tpacket3Ring } from '#src/ring/tpacket3.js'
import { seededRandom } from '../../support/random.js'
import { type FabricatedPacket, KernelRing, macOffset } from '../../support/ring-memory.js'

const GEOMETRY = { blockBytes: 8192, blockCount: 2 }

/** A view of one packet; behind it in the block stands another one, of 0xff. */
function viewOf(packet: FabricatedPacket, reserveBytes = 0): BlockPacketView {
  const kernel = new KernelRing(GEOMETRY, { reserveBytes })
  kernel.receive({ bytes: new Uint8Array(77).fill(0xee) })
  kernel.receive(packet)
  kernel.receive({ bytes: new Uint8Array(64).fill(0xff) })
  kernel.retire()
  const block = new Tpacket3Ring(kernel.memory, GEOMETRY).peek() as Block
  const view = new BlockPacketView()
  view.enter(block)
  view.header = block.firstOffset + block.words32[block.firstOffset / 4]
  return view
}

const FRAME = Uint8Array.from({ length: 60 }, (_, i) => i + 1)

test('every getter', () => {
  const view = viewOf({
    bytes: FRAME,
    wireLength: 1514,
    seconds: 0xffff_fff0,
    nanoseconds: 999_999_999,
    status: TP_STATUS_CSUMNOTREADY | TP_STATUS_CSUM_VALID,
    packetType: 3,
    protocol: 0x0806,
    interfaceIndex: 0x7fff_ffff,
    rxhash: 0xdead_beef,
  })
  assert.equal(view.capturedLength, 60)
  assert.equal(view.wireLength, 1514)
  assert.equal(view.seconds, 0xffff_fff0)
  assert.equal(view.nanoseconds, 999_999_999)
  assert.equal(view.status, TP_STATUS_USER | TP_STATUS_CSUMNOTREADY | TP_STATUS_CSUM_VALID | TP_STATUS_TS_SOFTWARE)
  assert.equal(view.hasVlan, false)
  assert.equal(view.vlanId, -1)
  assert.equal(view.vlanTci, 0)
  assert.equal(view.vlanTpid, 0)
  assert.equal(view.packetType, 3)
  assert.equal(view.outgoing, false)
  assert.equal(view.protocol, 0x0806)
  assert.equal(view.interfaceIndex, 0x7fff_ffff)
  assert.equal(view.rxhash, 0xdead_beef)
  assert.deepEqual(view.bytes.slice(view.offset, view.offset + view.capturedLength), FRAME)
  assert.deepEqual(view.copy(), FRAME)
})

test('a hardware time stamp sets the highest bit of status, which stays a positive number', () => {
  assert.ok(viewOf({ bytes: FRAME, status: 0x8000_0000 }).status >= 0x8000_0000)
})

test('packet types: only 4 is outgoing', () => {
  for (let packetType = 0; packetType < 8; packetType++) {
    const view = viewOf({ bytes: FRAME, packetType })
    assert.equal(view.packetType, packetType)
    assert.equal(view.outgoing, packetType === PACKET_OUTGOING)
  }
})

test('the frame is where tp_mac says, with any reserve', () => {
  for (const reserve of [0, 4, 16, 100]) {
    const view = viewOf({ bytes: FRAME }, reserve)
    assert.equal(view.offset - view.header, macOffset(reserve))
    assert.deepEqual(view.copy(), FRAME)
  }
})

describe('VLAN', () => {
  const cases: [name: string, vlan: { tci: number; tpid?: number }, id: number, tpid: number][] = [
    ['802.1Q', { tci: 100, tpid: 0x8100 }, 100, 0x8100],
    ['802.1ad', { tci: 4095, tpid: 0x88a8 }, 4095, 0x88a8],
    ['priority and DEI beside the identifier', { tci: 0xf00a, tpid: 0x8100 }, 10, 0x8100],
    ['a priority tag, identifier 0', { tci: 0xe000, tpid: 0x8100 }, 0, 0x8100],
    ['a tag of nothing but zeros', { tci: 0, tpid: 0x8100 }, 0, 0x8100],
    ['without a TPID it is 802.1Q', { tci: 7 }, 7, 0x8100],
  ]
  for (const [name, vlan, id, tpid] of cases) {
    test(name, () => {
      const view = viewOf({ bytes: FRAME, vlan })
      assert.equal(view.hasVlan, true)
      assert.deepEqual([view.vlanId, view.vlanTci, view.vlanTpid], [id, vlan.tci, tpid])
      assert.equal(view.status & TP_STATUS_VLAN_VALID, TP_STATUS_VLAN_VALID)
      const expected = [...FRAME.subarray(0, 12), tpid >> 8, tpid & 0xff, vlan.tci >> 8, vlan.tci & 0xff, ...FRAME.subarray(12)]
      assert.deepEqual([...view.copy()], expected)
      const target = new Uint8Array(100).fill(0xa5)
      assert.equal(view.copyInto(target, 10), 64)
      assert.deepEqual([...target], [...new Array(10).fill(0xa5), ...expected, ...new Array(26).fill(0xa5)])
    })
  }

  test('a TPID without a tag is none', () => {
    const view = viewOf({ bytes: FRAME, status: TP_STATUS_VLAN_TPID_VALID })
    assert.deepEqual([view.hasVlan, view.vlanId, view.vlanTpid, view.copy().length], [false, -1, 0, 60])
  })

  test('a frame cut before byte 12 has no place for the tag; from 12 on it has', () => {
    for (let length = 0; length < 20; length++) {
      const bytes = FRAME.subarray(0, length)
      const view = viewOf({ bytes, wireLength: 60, vlan: { tci: 5, tpid: 0x8100 } })
      const tag = length >= 12 ? [0x81, 0, 0, 5] : []
      const expected = [...bytes.subarray(0, 12), ...tag, ...bytes.subarray(12)]
      assert.deepEqual([...view.copy()], expected, `${length} bytes`)
      const target = new Uint8Array(40).fill(0xa5)
      assert.equal(view.copyInto(target, 3), expected.length)
      assert.deepEqual([...target], [...new Array(3).fill(0xa5), ...expected, ...new Array(37 - expected.length).fill(0xa5)])
    }
  })
})

test('a copy is one’s own: it outlives the block', () => {
  const view = viewOf({ bytes: FRAME })
  const copy = view.copy()
  view.bytes.fill(0)
  assert.deepEqual(copy, FRAME)
  assert.equal(copy.byteOffset, 0)
  assert.equal(copy.buffer.byteLength, 60)
})

test('short frames without a tag, down to none at all', () => {
  for (let length = 0; length < 16; length++) {
    const view = viewOf({ bytes: FRAME.subarray(0, length) })
    assert.deepEqual(view.copy(), FRAME.slice(0, length))
  }
})

test('random: copy and copyInto agree with a plain model', (t) => {
  const random = seededRandom(t)
  for (let run = 0; run < 300; run++) {
    const bytes = random.bytes(random.between(0, 1600))
    const vlan = random.oneIn(2) ? { tci: random.word() & 0xffff, tpid: random.pick([0x8100, 0x88a8, 0x9100]) } : undefined
    const view = viewOf({ bytes, ...(vlan === undefined ? {} : { vlan }) }, random.pick([0, 4, 32]))
    const expected = [...bytes]
    if (vlan !== undefined && bytes.length >= 12) expected.splice(12, 0, vlan.tpid >> 8, vlan.tpid & 0xff, vlan.tci >> 8, vlan.tci & 0xff)
    assert.deepEqual([...view.copy()], expected)
    const target = new Uint8Array(expected.length + 8)
    assert.equal(view.copyInto(target, 4), expected.length)
    assert.deepEqual([...target.subarray(4, 4 + expected.length)], expected)
    assert.ok(view.copyInto(target, 4) <= view.capturedLength + 4)
  }
})
