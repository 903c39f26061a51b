import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { PACKET_AUXDATA, TP_STATUS_TS_SOFTWARE, TP_STATUS_VLAN_TPID_VALID, TP_STATUS_VLAN_VALID } from '#src/kernel/abi/if_packet.js'
import { SCM_TIMESTAMPNS, SO_RXQ_OVFL, SOL_PACKET, SOL_SOCKET } from '#src/kernel/abi/socket.js'
import { BlockPacketView } from '#src/packet/view.js'
import { batchMemoryBytes, ReceiveBatch } from '#src/ring/batch.js'
import { seededRandom } from '../../support/random.js'
import { auxdata, type ControlMessage, type ReceivedMessage, ReceiveMemory, timestamp } from '../../support/receive-memory.js'

const ADDRESS = 0x7f12_3456_7000n
const TAGGED = TP_STATUS_VLAN_VALID | TP_STATUS_VLAN_TPID_VALID

function setUp(batch: number, snapLengthBytes: number, metadata = true) {
  const geometry = { batch, snapLengthBytes, metadata }
  const memory = new ArrayBuffer(Math.ceil(batchMemoryBytes(geometry) / 4096) * 4096)
  const receiveBatch = new ReceiveBatch(memory, ADDRESS, geometry)
  return { batch: receiveBatch, kernel: new ReceiveMemory(memory, ADDRESS, receiveBatch.vectorOffset) }
}

function packetsOf(batch: ReceiveBatch) {
  const view = new BlockPacketView()
  view.enter(batch.block)
  const found = []
  let header = batch.block.firstOffset
  for (let i = 0; i < batch.block.packetCount; i++) {
    view.header = header
    const { capturedLength, wireLength, seconds, nanoseconds, status, vlanId, vlanTpid, vlanTci, packetType, protocol, interfaceIndex } = view
    found.push({
      capturedLength,
      wireLength,
      seconds,
      nanoseconds,
      status,
      vlanId,
      vlanTpid,
      vlanTci,
      packetType,
      protocol,
      interfaceIndex,
      frame: view.copy(),
    })
    header += batch.block.words32[header / 4]
  }
  return found
}

function frameOf(length: number, first = 0): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (first + i) & 0xff)
}

test('one message becomes one packet, with everything that the kernel said of it', () => {
  const { batch, kernel } = setUp(4, 2048)
  const bytes = frameOf(60)
  batch.accept(
    kernel.receive([
      {
        bytes,
        control: [timestamp(1_700_000_001, 999_999_999), auxdata({ wireLength: 60, captured: 60 })],
        packetType: 3,
        protocol: 0x86dd,
        interfaceIndex: 70_000,
      },
    ]),
  )
  assert.deepEqual(packetsOf(batch), [
    {
      capturedLength: 60,
      wireLength: 60,
      seconds: 1_700_000_001,
      nanoseconds: 999_999_999,
      status: 1 | TP_STATUS_TS_SOFTWARE,
      vlanId: -1,
      vlanTpid: 0,
      vlanTci: 0,
      packetType: 3,
      protocol: 0x86dd,
      interfaceIndex: 70_000,
      frame: bytes,
    },
  ])
})

test('a full batch keeps frames apart, and the last one points nowhere', () => {
  const { batch, kernel } = setUp(64, 300)
  const messages = Array.from({ length: 64 }, (_, i) => ({ bytes: frameOf(300, i), control: [auxdata({ wireLength: 300, captured: 300 })], interfaceIndex: i }))
  batch.accept(kernel.receive(messages))
  assert.equal(batch.batch, 64)
  const packets = packetsOf(batch)
  assert.deepEqual(
    packets.map((packet) => [packet.interfaceIndex, packet.frame[0], packet.frame.length]),
    messages.map((_, i) => [i, i, 300]),
  )
})

test('cut frames keep their length on the wire', () => {
  const { batch, kernel } = setUp(1, 96)
  batch.accept(kernel.receive([{ bytes: frameOf(1514), control: [auxdata({ wireLength: 1514, captured: 96 })] }]))
  const [packet] = packetsOf(batch)
  assert.deepEqual([packet.capturedLength, packet.wireLength], [96, 1514])
})

test('the tag that the kernel took out is put back, also 802.1ad and the priority tag', () => {
  const { batch, kernel } = setUp(3, 2048)
  const bytes = frameOf(60)
  const tags = [
    { vlanTci: 0x6064, vlanTpid: 0x8100 },
    { vlanTci: 5, vlanTpid: 0x88a8 },
    { vlanTci: 0, vlanTpid: 0x8100 },
  ]
  batch.accept(kernel.receive(tags.map((tag) => ({ bytes, control: [auxdata({ wireLength: 60, captured: 60, status: 1 | TAGGED, ...tag })] }))))
  for (const [i, packet] of packetsOf(batch).entries()) {
    assert.deepEqual([packet.vlanId, packet.vlanTci, packet.vlanTpid], [tags[i].vlanTci & 0xfff, tags[i].vlanTci, tags[i].vlanTpid])
    const { vlanTpid: tpid, vlanTci: tci } = tags[i]
    assert.deepEqual([...packet.frame], [...bytes.subarray(0, 12), tpid >> 8, tpid & 0xff, tci >> 8, tci & 0xff, ...bytes.subarray(12)])
  }
})

test('a slot forgets the packet before: no tag and no length of it is left', () => {
  const { batch, kernel } = setUp(2, 2048)
  const tagged = { bytes: frameOf(200), control: [auxdata({ wireLength: 200, captured: 200, status: TAGGED, vlanTci: 7, vlanTpid: 0x88a8 }), timestamp(5, 6)] }
  batch.accept(kernel.receive([tagged, tagged]))
  batch.accept(kernel.receive([{ bytes: frameOf(60), control: [] }]))
  const [packet, ...others] = packetsOf(batch)
  assert.equal(others.length, 0)
  assert.deepEqual([packet.capturedLength, packet.wireLength, packet.vlanId, packet.vlanTpid, packet.status], [60, 60, -1, 0, 0])
})

test('control messages in any order, among others that it does not know', () => {
  const aux = auxdata({ wireLength: 1000, captured: 60, status: 1 | TAGGED, vlanTci: 9, vlanTpid: 0x8100 })
  const time = timestamp(1_800_000_000, 5)
  const overflow: ControlMessage = { level: SOL_SOCKET, type: SO_RXQ_OVFL, data: new Uint8Array([1, 2, 3, 4]) }
  for (const control of [
    [aux, time],
    [time, aux],
    [overflow, aux, time],
    [aux, overflow, time],
    [time, overflow, aux],
  ]) {
    const { batch, kernel } = setUp(1, 2048)
    batch.accept(kernel.receive([{ bytes: frameOf(60), control }]))
    const [packet] = packetsOf(batch)
    assert.deepEqual([packet.wireLength, packet.seconds, packet.nanoseconds, packet.vlanId], [1000, 1_800_000_000, 5, 9])
  }
})

test('the room for control messages is offered anew for every call', () => {
  const { batch, kernel } = setUp(2, 2048)
  const offered = kernel.offeredControl(0)
  const message = { bytes: frameOf(60), control: [auxdata({ wireLength: 60, captured: 60 }), timestamp(1, 2)] }
  for (let call = 0; call < 3; call++) {
    batch.accept(kernel.receive([message, message]))
    assert.deepEqual([kernel.offeredControl(0), kernel.offeredControl(1)], [offered, offered])
  }
  // PACKET_AUXDATA and SCM_TIMESTAMPNS: 40 and 32 bytes.
  assert.ok(offered >= 72)
})

describe('control messages that the kernel would not write', () => {
  const HOSTILE = [0, 1, 15, 16, 17, 35, 127, 128, 129, 4096, 0x7fff_ffff, 0x8000_0000, 0xffff_fff0, 0xffff_fff8, 0xffff_fff9, 0xffff_ffff]

  for (const claimedLength of HOSTILE) {
    test(`cmsg_len ${claimedLength} ends the walk`, () => {
      const { batch, kernel } = setUp(2, 2048)
      const hostile: ControlMessage = { level: SOL_SOCKET, type: SO_RXQ_OVFL, data: new Uint8Array(4), claimedLength }
      const message: ReceivedMessage = { bytes: frameOf(60), control: [hostile, auxdata({ wireLength: 60, captured: 60 })] }
      batch.accept(kernel.receive([message, message]))
      for (const packet of packetsOf(batch)) assert.deepEqual([packet.capturedLength, packet.wireLength], [60, 60])
    })
  }

  test('a msg_controllen beyond the room ends the walk', () => {
    for (const claimedControlLength of [129, 4096, 0x7fff_ffff, 0xffff_ffff]) {
      const { batch, kernel } = setUp(2, 2048)
      const message: ReceivedMessage = { bytes: frameOf(60), control: [timestamp(1, 2)], claimedControlLength }
      batch.accept(kernel.receive([message, message]))
      assert.equal(packetsOf(batch).length, 2)
    }
  })

  test('a message that was cut short is not read beyond its end', () => {
    const whole = auxdata({ wireLength: 1500, captured: 60, status: 1 | TAGGED, vlanTci: 3, vlanTpid: 0x8100 })
    for (let kept = 0; kept < whole.data.length; kept++) {
      const { batch, kernel } = setUp(1, 2048)
      const cut: ControlMessage = { level: SOL_PACKET, type: PACKET_AUXDATA, data: whole.data.subarray(0, kept) }
      batch.accept(kernel.receive([{ bytes: frameOf(60), control: [cut] }]))
      const [packet] = packetsOf(batch)
      assert.deepEqual([packet.wireLength, packet.vlanId, packet.status], [60, -1, 0], `${kept} bytes`)
    }
    const { batch, kernel } = setUp(1, 2048)
    const cut: ControlMessage = { level: SOL_SOCKET, type: SCM_TIMESTAMPNS, data: timestamp(9, 9).data.subarray(0, 8) }
    batch.accept(kernel.receive([{ bytes: frameOf(60), control: [cut] }]))
    assert.equal(packetsOf(batch)[0].status, 0)
  })

  test('random: any control bytes, and it comes back', (t) => {
    const random = seededRandom(t)
    for (let run = 0; run < 2000; run++) {
      const { batch, kernel } = setUp(2, 100)
      const control = (): ControlMessage[] =>
        Array.from({ length: random.between(0, 6) }, () => ({
          level: random.pick([SOL_SOCKET, SOL_PACKET, random.word()]),
          type: random.pick([PACKET_AUXDATA, SCM_TIMESTAMPNS, random.word()]),
          data: random.bytes(random.between(0, 40)),
          ...(random.oneIn(2) ? { claimedLength: random.pick([random.word(), random.between(0, 200)]) } : {}),
        }))
      const message = (): ReceivedMessage => ({
        bytes: random.bytes(random.between(0, 200)),
        control: control(),
        ...(random.oneIn(4) ? { claimedControlLength: random.pick([random.word(), random.between(0, 300)]) } : {}),
      })
      batch.accept(kernel.receive([message(), message()]))
      for (const packet of packetsOf(batch)) assert.ok(packet.capturedLength <= 100)
    }
  })
})

test('geometry: every pointer stays inside the memory, for any batch and snap length', () => {
  for (const batch of [1, 2, 63, 64, 1024]) {
    for (const snapLengthBytes of [1, 14, 60, 1514, 65535]) {
      if (batch * snapLengthBytes > 8e6) continue
      const { batch: it, kernel } = setUp(batch, snapLengthBytes)
      const message = {
        bytes: frameOf(snapLengthBytes),
        control: [auxdata({ wireLength: snapLengthBytes, captured: snapLengthBytes }), timestamp(1, 2)],
      }
      it.accept(kernel.receive(Array.from({ length: batch }, () => message)))
      const packets = packetsOf(it)
      assert.equal(packets.length, batch)
      for (const packet of packets) assert.deepEqual([packet.capturedLength, packet.nanoseconds], [snapLengthBytes, 2])
      assert.deepEqual(packets.at(-1)?.frame, message.bytes)
    }
  }
})

test('without metadata: lengths and bytes, the length on the wire from MSG_TRUNC', () => {
  const { batch, kernel } = setUp(3, 96, false)
  for (let call = 0; call < 2; call++) {
    batch.accept(kernel.receive([60, 96, 1514].map((length) => ({ bytes: frameOf(length), control: [] }))))
    assert.deepEqual(
      packetsOf(batch).map((packet) => [packet.capturedLength, packet.wireLength, packet.status, packet.vlanId, packet.frame.length]),
      [
        [60, 60, 0, -1, 60],
        [96, 96, 0, -1, 96],
        [96, 1514, 0, -1, 96],
      ],
    )
  }
})
