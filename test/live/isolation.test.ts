/** Nothing of another interface, nothing from before the bind, nothing twice; and fanout does what its mode says. */
import assert from 'node:assert/strict'
import { describe } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type CaptureOptions, type Direction, FANOUT_MODES } from '#src/capture/api.js'
import { createTestbed, startFlood, type Testbed } from '#src/testbed/index.js'
import { assertAccount, caughtUp, handlerUrl, inNamespace, live, numberedFrame, openOn, RawSender, range, udpFrame, until, workersOn } from '../support/live.js'
import type { Collected } from './handlers/collect.js'

const COLLECT = { handler: handlerUrl('collect') }
/** Classic BPF: the lowest bit of the UDP source port; a fanout program sees an incoming packet from its network header. */
const BY_PORT = [
  [0x28, 0, 0, 20],
  [0x54, 0, 0, 1],
  [0x16, 0, 0, 0],
] as const

function fanoutOf(mode: (typeof FANOUT_MODES)[number]) {
  return mode === 'cbpf' ? { mode, program: BY_PORT } : { mode }
}

type Shape = [name: string, options: Omit<CaptureOptions, 'interface'>]

const SHAPES: Shape[] = [
  ...(['ring', 'recv'] as const).flatMap((backend): Shape[] => [
    [backend, { backend }],
    ...FANOUT_MODES.map((mode): Shape => [`${backend}, 2 workers, ${mode}`, { backend, workers: 2, fanout: fanoutOf(mode) }]),
  ]),
  ['xdp', { backend: 'xdp' }],
  ['xdp, generic', { backend: 'xdp', xdpMode: 'generic' }],
]

/** A second pair in the receiver's namespace, both ends of it. */
function addOther(testbed: Testbed): void {
  const { netns } = testbed.receiver
  inNamespace(netns, 'ip', 'link', 'add', 'other0', 'type', 'veth', 'peer', 'name', 'other1')
  inNamespace(netns, 'ethtool', '-K', 'other1', 'gro', 'on')
  for (const name of ['other0', 'other1']) inNamespace(netns, 'ip', 'link', 'set', name, 'up')
}

describe('nothing of another interface or from before the bind', () => {
  for (const [name, options] of SHAPES) {
    live(name, async () => {
      using testbed = createTestbed()
      addOther(testbed)
      using sender = new RawSender(testbed.sender)
      // The other interface is busy from before the first socket to after the last packet.
      await using noise = await startFlood({ interface: 'other0', netns: testbed.receiver.netns, ratePps: 50_000 })
      sender.sendNumbered(200)
      const gate = new SharedArrayBuffer(8)
      const words = new Int32Array(gate)
      const opening = openOn(testbed, { ...options, ...COLLECT, handlerData: { gate } })
      // Every worker is in its handler's open: sockets are there, rings are mapped, nothing is bound.
      await until('handlers are open', () => Atomics.load(words, 0) === workersOn(testbed, options))
      sender.sendNumbered(200, 200)
      await sleep(30)
      Atomics.store(words, 1, 1)
      await using capture = await opening
      sender.sendNumbered(300, 1000)
      await caughtUp(capture, 300)
      await sleep(50)
      const packets = (await capture.snapshot<Collected[]>()) as Collected[]
      const summary = await capture.stop()
      assert.ok((await noise.stop()).sent > 1000)
      assert.deepEqual(
        packets.map((it) => it.number).sort((a, b) => a - b),
        range(300, 1000),
      )
      assert.equal(new Set(packets.map((it) => it.interfaceIndex)).size, 1)
      for (const packet of packets) assert.deepEqual(Buffer.from(packet.frame), Buffer.from(numberedFrame(packet.number)))
      assertAccount(summary, 300)
      assert.equal(summary.passed, 0)
    })
  }
})

describe('fanout over three workers', () => {
  for (const backend of ['ring', 'recv'] as const) {
    for (const mode of FANOUT_MODES) {
      live(`${backend}, ${mode}: each packet once`, async (t) => {
        using testbed = createTestbed()
        using sender = new RawSender(testbed.sender)
        await using capture = await openOn(testbed, { backend, workers: 3, fanout: fanoutOf(mode), ...COLLECT })
        const flows = 30
        sender.sendNumbered(3000, 0, (number) => udpFrame(2000 + (number % flows), number))
        await caughtUp(capture, 3000)
        const packets = (await capture.snapshot<Collected[]>()) as Collected[]
        const summary = await capture.stop()
        assertAccount(summary, 3000)
        assert.equal(summary.fanout, mode)
        assert.deepEqual(
          packets.map((it) => it.number).sort((a, b) => a - b),
          range(3000),
        )
        const perWorker = summary.workers.map((worker) => worker.packets)
        t.diagnostic(`per worker ${perWorker.join(', ')}`)
        // Within a worker a flow keeps its order.
        for (let worker = 0; worker < 3; worker++) {
          for (let flow = 0; flow < flows; flow++) {
            const numbers = packets.filter((it) => it.worker === worker && it.sourcePort === 2000 + flow).map((it) => it.number)
            if (mode === 'hash' || mode === 'cbpf' || mode === 'ebpf')
              assert.ok(numbers.length === 0 || numbers.length === 100, `flow ${flow} on worker ${worker}: ${numbers.length}`)
            assert.deepEqual(
              numbers,
              [...numbers].sort((a, b) => a - b),
            )
          }
        }
        if (mode === 'hash' || mode === 'ebpf') assert.ok(perWorker.filter((count) => count > 0).length >= 2, 'thirty flows do not all hash to one')
        if (mode === 'lb') assert.deepEqual(perWorker, [1000, 1000, 1000])
        if (mode === 'rnd') for (const count of perWorker) assert.ok(count > 700 && count < 1300)
        if (mode === 'rollover') assert.deepEqual(perWorker, [3000, 0, 0])
        if (mode === 'cbpf') {
          assert.deepEqual(perWorker, [1500, 1500, 0])
          for (const packet of packets) assert.equal(packet.worker, packet.sourcePort % 2)
        }
      })
    }
  }

  live('defrag: fragments are put together before they are handed out', async () => {
    for (const defrag of [true, false]) {
      using testbed = createTestbed()
      using sender = new RawSender(testbed.sender)
      await using capture = await openOn(testbed, { workers: 2, fanout: { mode: 'hash', defrag }, ...COLLECT })
      const whole = udpFrame(4000, 7)
      const first = whole.slice(0, 34 + 16)
      const second = new Uint8Array(60)
      second.set(whole.subarray(0, 34))
      second.set(whole.subarray(34 + 16, 60), 34)
      const fragment = (frame: Uint8Array, offsetAndFlags: number, payload: number) => {
        const view = new DataView(frame.buffer)
        view.setUint16(16, 20 + payload)
        view.setUint16(20, offsetAndFlags)
        view.setUint16(24, 0)
        let sum = 0
        for (let at = 14; at < 34; at += 2) sum += view.getUint16(at)
        while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
        view.setUint16(24, ~sum & 0xffff)
        return frame
      }
      sender.send(fragment(first, 0x2000, 16), fragment(second, 2, 10))
      const expected = defrag ? 1 : 2
      await caughtUp(capture, expected)
      await sleep(30)
      const packets = (await capture.snapshot<Collected[]>()) as Collected[]
      assertAccount(await capture.stop(), expected)
      assert.equal(packets.length, expected)
      if (defrag) assert.deepEqual([packets[0].number, packets[0].sourcePort, packets[0].wireLength], [7, 4000, 60])
    }
  })

  live('rollover as a flag: what one worker has no room for, another takes', async (t) => {
    const offered: number[][] = []
    for (const rollover of [false, true]) {
      using testbed = createTestbed()
      using sender = new RawSender(testbed.sender)
      const stall = { handler: handlerUrl('stall'), handlerData: { ms: 40, busy: false } }
      await using capture = await openOn(testbed, { workers: 2, fanout: { mode: 'hash', rollover }, blockBytes: 65536, ringBytes: 2 * 65536, ...stall })
      // One flow, so one worker; its ring holds about 900.
      sender.sendNumbered(20_000, 0, (number) => udpFrame(4000, number))
      await caughtUp(capture, 20_000)
      const summary = await capture.stop()
      assertAccount(summary, 20_000)
      assert.ok(summary.drops.ring > 0)
      offered.push(summary.workers.map((worker) => worker.packets).sort((a, b) => a - b))
    }
    t.diagnostic(`delivered per worker without and with: ${JSON.stringify(offered)}`)
    assert.equal(offered[0][0], 0)
    assert.ok(offered[1][0] > 0)
  })

  live('two captures on one interface do not see each other', async () => {
    using testbed = createTestbed()
    using sender = new RawSender(testbed.sender)
    await using first = await openOn(testbed, { workers: 2, fanout: 'hash', ...COLLECT })
    await using second = await openOn(testbed, { workers: 2, fanout: 'hash', ...COLLECT })
    await using third = await openOn(testbed, { backend: 'recv', workers: 3, fanout: 'lb', ...COLLECT })
    sender.sendNumbered(1000, 0, (number) => udpFrame(2000 + (number % 30), number))
    for (const capture of [first, second, third]) {
      await caughtUp(capture, 1000)
      const packets = (await capture.snapshot<Collected[]>()) as Collected[]
      assert.deepEqual(
        packets.map((it) => it.number).sort((a, b) => a - b),
        range(1000),
      )
    }
  })
})

describe('direction', () => {
  const shapes: Shape[] = [
    ['ring', { backend: 'ring' }],
    ['recv', { backend: 'recv' }],
    ['ring+fanout', { backend: 'ring', workers: 2, fanout: 'lb' }],
    ['recv+fanout', { backend: 'recv', workers: 2, fanout: 'lb' }],
  ]
  type Case = [...shape: Shape, direction: Direction, expected: number[]]
  const cases: Case[] = [
    ...shapes.flatMap((shape): Case[] => [
      [...shape, 'in', [0]],
      [...shape, 'out', [1]],
      [...shape, 'inout', [0, 1]],
    ]),
    // It sees packets that arrive only.
    ['xdp', { backend: 'xdp' }, 'inout', [0]],
    ['xdp, generic', { backend: 'xdp', xdpMode: 'generic' }, 'inout', [0]],
  ]
  for (const [name, options, direction, expected] of cases) {
    live(`${name}, ${direction}`, async () => {
      using testbed = createTestbed()
      using incoming = new RawSender(testbed.sender)
      using outgoing = new RawSender(testbed.receiver)
      await using capture = await openOn(testbed, { ...options, direction, ...COLLECT })
      for (let number = 0; number < 200; number += 2) {
        incoming.send(numberedFrame(number))
        outgoing.send(numberedFrame(number + 1))
      }
      const count = 100 * expected.length
      await caughtUp(capture, count)
      await sleep(30)
      const packets = (await capture.snapshot<Collected[]>()) as Collected[]
      assertAccount(await capture.stop(), count)
      assert.deepEqual(
        packets.map((it) => it.number).sort((a, b) => a - b),
        range(200).filter((number) => expected.includes(number % 2)),
      )
      for (const packet of packets) assert.deepEqual([packet.outgoing, packet.packetType === 4], [packet.number % 2 === 1, packet.number % 2 === 1])
    })
  }

  live('ignoreOutgoing of a group, whatever the direction', async () => {
    using testbed = createTestbed()
    using incoming = new RawSender(testbed.sender)
    using outgoing = new RawSender(testbed.receiver)
    await using capture = await openOn(testbed, { workers: 2, fanout: { mode: 'lb', ignoreOutgoing: true }, ...COLLECT })
    incoming.sendNumbered(50)
    outgoing.sendNumbered(50, 100)
    await caughtUp(capture, 50)
    await sleep(30)
    assertAccount(await capture.stop(), 50)
  })

  live('loopback: each packet once', async () => {
    using testbed = createTestbed()
    const { netns } = testbed.receiver
    inNamespace(netns, 'ip', 'link', 'set', 'lo', 'up')
    using sender = new RawSender({ interface: 'lo', netns })
    await using capture = await openOn({ ...testbed, receiver: { interface: 'lo', netns } } as Testbed, COLLECT)
    sender.sendNumbered(100)
    await caughtUp(capture, 100)
    await sleep(30)
    const packets = (await capture.snapshot<Collected[]>()) as Collected[]
    assert.deepEqual(
      packets.map((it) => it.number),
      range(100),
    )
    assertAccount(await capture.stop(), 100)
  })
})

live('rxhash is there when a handler asks for it, the same for a flow, and 0 when none does', async () => {
  using testbed = createTestbed()
  using sender = new RawSender(testbed.sender)
  await using capture = await openOn(testbed, COLLECT)
  sender.sendNumbered(300, 0, (number) => udpFrame(2000 + (number % 30), number))
  await caughtUp(capture, 300)
  const packets = (await capture.snapshot<Collected[]>()) as Collected[]
  await capture.stop()
  assert.ok(packets.every((it) => it.rxhash !== 0))
  assert.ok(new Set(packets.map((it) => it.rxhash)).size >= 29)
  for (let port = 2000; port < 2030; port++) assert.equal(new Set(packets.filter((it) => it.sourcePort === port).map((it) => it.rxhash)).size, 1)
})
