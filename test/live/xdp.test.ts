/** AF_XDP: what it takes and what it leaves, whom it refuses, and what is left when it has gone. */
import assert from 'node:assert/strict'
import { describe } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { alu, assemble, exit } from '#src/bpf/ebpf.js'
import type { CaptureEvent, CaptureOptions } from '#src/capture/api.js'
import { openCapture } from '#src/capture/open.js'
import { packets } from '#src/capture/packets.js'
import type { CaptureError } from '#src/errors.js'
import { attachXdp } from '#src/kernel/bpf-link.js'
import { loadProgram } from '#src/kernel/bpf-program.js'
import { openControlSocket } from '#src/kernel/ethtool.js'
import { identifyInterface } from '#src/kernel/interface.js'
import { openNamespace, withNamespace } from '#src/kernel/namespace.js'
import { openKernel } from '#src/kernel/system.js'
import { createTestbed, startFlood, type Testbed, type TestbedEnd } from '#src/testbed/index.js'
import {
  assertAccount,
  caughtUp,
  handlerUrl,
  inNamespace,
  live,
  numberedFrame,
  openDescriptors,
  openOn,
  promiscuity,
  RawSender,
  range,
  settledWire,
  sumOf,
  until,
} from '../support/live.js'
import type { Collected } from './handlers/collect.js'

const XDP = { backend: 'xdp' } as const
const COLLECT = { handler: handlerUrl('collect') }

/** Id of the XDP program on an interface, as iproute2 tells; undefined without one. */
function programOn(end: TestbedEnd): number | undefined {
  const [link] = JSON.parse(inNamespace(end.netns, 'ip', '-d', '-j', 'link', 'show', 'dev', end.interface)) as { xdp?: { prog?: { id: number } } }[]
  return link.xdp?.prog?.id
}

/** An XDP program of someone else's, which passes everything. */
function attachPass(end: TestbedEnd): Disposable & { id: number } {
  const kernel = openKernel()
  using namespace = openNamespace(kernel, end.netns)
  const program = loadProgram(kernel, { name: 'somebody_else', type: 'xdp', code: assemble([alu('mov', 'r0', 2), exit()]) })
  const link = withNamespace(kernel, namespace, () => {
    using control = openControlSocket(kernel)
    const identity = identifyInterface(kernel, control.fd, end.interface)
    if (typeof identity === 'number') throw new Error(`errno ${identity}`)
    return attachXdp(kernel, { program, interfaceName: end.interface, interfaceIndex: identity.index, mode: 'native' })
  })
  return {
    id: programOn(end) ?? -1,
    [Symbol.dispose]() {
      link.detach()
      program.close()
    },
  }
}

async function opened(testbed: Testbed, options: Omit<CaptureOptions, 'interface'> = {}) {
  const events: CaptureEvent[] = []
  const capture = await openOn(testbed, { ...XDP, onEvent: (event) => events.push(event), ...options })
  return { capture, events }
}

function warningsOf(events: readonly CaptureEvent[]): string[] {
  return events.flatMap((event) => (event.type === 'warning' && !event.message.includes('rxvlan') ? [event.message] : []))
}

describe('modes', () => {
  live('auto goes down the chain and says why', async () => {
    using testbed = createTestbed()
    const { capture, events } = await opened(testbed)
    const summary = await capture.stop()
    const [event] = events
    assert.equal(event?.type, 'xdp')
    if (event?.type !== 'xdp') return
    assert.deepEqual([event.mode, event.queues, event.served, event.chunkBytes, event.chunks], ['native', testbed.queues, testbed.queues, 2048, 32768])
    assert.deepEqual(
      event.tried.map(({ mode }) => mode),
      ['zero-copy'],
    )
    assert.match(event.tried[0]?.reason ?? '', /^bind\(AF_XDP, zero-copy\): EOPNOTSUPP, /)
    const { type: _, ...told } = event
    assert.deepEqual(summary.xdp, [told])
  })

  live('one that does not go is an error, with its reason', async () => {
    using testbed = createTestbed()
    await assert.rejects(openOn(testbed, { ...XDP, xdpMode: 'zero-copy' }), (error: CaptureError) => {
      assert.equal(error.code, 'XDP_REFUSED')
      assert.match(error.message, /mirror0 queue 0: bind\(AF_XDP, zero-copy\): EOPNOTSUPP/)
      assert.match(error.hint ?? '', /--xdp-mode auto/)
      return true
    })
    assert.equal(programOn(testbed.receiver), undefined)
  })

  for (const xdpMode of ['native', 'generic'] as const) {
    live(`${xdpMode}: in force as asked for, on the interface and in the summary`, async () => {
      using testbed = createTestbed()
      const { capture } = await opened(testbed, { xdpMode })
      const [link] = JSON.parse(inNamespace(testbed.receiver.netns, 'ip', '-d', '-j', 'link', 'show', 'dev', testbed.receiver.interface)) as {
        xdp: { mode: number; prog: { id: number; name?: string } }
      }[]
      assert.equal(link.xdp.mode, xdpMode === 'native' ? 1 : 2)
      assert.equal((await capture.stop()).xdp?.[0]?.mode, xdpMode)
      assert.equal(programOn(testbed.receiver), undefined)
    })
  }
})

describe('what it takes and what it leaves', () => {
  live('beside it a packet socket sees nothing of what it takes, and everything of what it leaves', async () => {
    using testbed = createTestbed()
    await using beside = await openOn(testbed, { backend: 'ring' })
    const { capture, events } = await opened(testbed, { workers: 1 })
    assert.deepEqual(warningsOf(events), ["mirror0: 2 receive queues and 1 worker: packets of queue 1 pass to the kernel's stack and are not captured"])
    await using flood = await startFlood({ ...testbed.sender, count: 20_000, ratePps: 100_000 })
    await flood.finished
    const wire = await settledWire(testbed)
    await until('all are seen', () => capture.counters().packets + capture.counters().passed === wire.received)
    const summary = await capture.stop()
    assertAccount(summary)
    assert.ok(summary.packets > 0 && summary.passed > 0, JSON.stringify(summary))
    assert.equal(summary.packets + summary.dropped + summary.passed, wire.received)
    await caughtUp(beside, summary.passed)
    assert.equal((await beside.stop()).packets, summary.passed)
  })

  live('one to four queues, 100,000 frames each at full rate', async () => {
    for (const queues of [1, 2, 3, 4]) {
      using testbed = createTestbed({ queues })
      const { capture } = await opened(testbed)
      await using flood = await startFlood({ ...testbed.sender, count: 100_000 })
      await flood.finished
      const wire = await settledWire(testbed)
      await caughtUp(capture, wire.received)
      const summary = await capture.stop()
      assertAccount(summary, wire.received)
      assert.deepEqual([summary.workers.length, summary.passed, summary.fanout], [queues, 0, null])
    }
  })

  live('more workers than queues are refused', async () => {
    using testbed = createTestbed({ queues: 2 })
    await assert.rejects(openOn(testbed, { ...XDP, workers: 3 }), { code: 'INVALID_OPTION', message: /at most 2, the receive queues of mirror0, got 3/ })
    assert.equal(programOn(testbed.receiver), undefined)
  })

  live('jumbo frames come whole, in chunks of either size, and are counted without a look at them', async () => {
    for (const chunkBytes of [2048, 4096, undefined]) {
      using testbed = createTestbed({ mtu: 9000 })
      using sender = new RawSender(testbed.sender)
      const { capture, events } = await opened(testbed, { ...COLLECT, ...(chunkBytes === undefined ? {} : { chunkBytes }) })
      const [event] = events
      assert.ok(event?.type === 'xdp' && event.multiBuffer && event.chunkBytes === (chunkBytes ?? 4096), JSON.stringify(event))
      const lengths = [60, 1514, 1790, 1791, 1792, 3838, 3839, 4096, 8192, 9014]
      const frames = range(60).map((i) => numberedFrame(i, lengths[i % lengths.length]))
      sender.send(...frames)
      await caughtUp(capture, frames.length)
      const collected = ((await capture.snapshot<Collected[]>()) ?? []).sort((a, b) => a.number - b.number)
      const summary = await capture.stop()
      assertAccount(summary, frames.length)
      assert.deepEqual([summary.packets, summary.truncated], [frames.length, 0])
      for (const [i, frame] of frames.entries())
        assert.deepEqual(Buffer.from(collected[i]?.frame ?? []), Buffer.from(frame), `frame ${i} of ${frame.length} bytes`)
    }
    using testbed = createTestbed({ mtu: 9000 })
    using sender = new RawSender(testbed.sender)
    const { capture } = await opened(testbed)
    sender.send(...range(40).map((i) => numberedFrame(i, 9014)))
    await caughtUp(capture, 40)
    const summary = await capture.stop()
    assert.deepEqual([summary.packets, summary.bytes], [40, 40 * 9014])
  })

  live('too few chunks: every loss has a name, and the driver agrees', async (t) => {
    using testbed = createTestbed()
    const { capture } = await opened(testbed, { ringBytes: 2 ** 18, handler: handlerUrl('stall'), handlerData: { ms: 20, busy: true } })
    await using flood = await startFlood({ ...testbed.sender, count: 500_000 })
    await flood.finished
    const wire = await settledWire(testbed)
    await until('all are accounted for', () => capture.counters().offered === wire.received, 30_000)
    const summary = await capture.stop()
    t.diagnostic(`${summary.packets} delivered, drops ${JSON.stringify(summary.drops)}, driver ${JSON.stringify(wire.receiverDrops)}`)
    assertAccount(summary, wire.received)
    assert.ok(summary.drops.fillRing > 0)
    const { fillRing, rxRing, oversize, redirect } = summary.drops
    assert.equal(wire.receiverDrops.drops, fillRing + rxRing + oversize + redirect)
  })

  live('the number of queues changes while it is open: told, and what goes to the new ones is counted as passed', async () => {
    using testbed = createTestbed({ queues: 4 })
    const { interface: name, netns } = testbed.receiver
    inNamespace(netns, 'ethtool', '-L', name, 'rx', '2')
    const { capture, events } = await opened(testbed)
    assert.equal(capture.counters().workers.length, 2)
    await using flood = await startFlood({ ...testbed.sender, count: 10_000, ratePps: 100_000 })
    await flood.finished
    // What was sent to queues that are not there is lost on the wire's side, not ours: it begins to count now.
    inNamespace(netns, 'ethtool', '-L', name, 'rx', '4')
    await until('the change is told', () => warningsOf(events).length > 0)
    assert.match(warningsOf(events)[0] ?? '', /^mirror0: the number of receive queues changed from 2 to 4: packets of queues 2 to 3 pass to the kernel's stack/)
    using sender = new RawSender(testbed.sender)
    const before = capture.counters()
    sender.sendNumbered(200)
    await until('all are there', () => capture.counters().packets + capture.counters().passed >= before.packets + before.passed + 200)
    const summary = await capture.stop()
    assertAccount(summary)
  })
})

describe('whom it refuses', () => {
  live('an interface that the host uses, unless told that nothing else needs it', async () => {
    using testbed = createTestbed()
    const { interface: name, netns } = testbed.receiver
    inNamespace(netns, 'ip', 'address', 'add', '192.0.2.1/24', 'dev', name)
    await assert.rejects(openOn(testbed, XDP), (error: CaptureError) => {
      assert.equal(error.code, 'INTERFACE_IN_USE')
      assert.match(error.message, /^mirror0: AF_XDP would take its packets away from this host, which uses it: address 192\.0\.2\.1\/24/)
      assert.match(error.hint ?? '', /--exclusive/)
      return true
    })
    assert.equal(programOn(testbed.receiver), undefined)
    const { capture } = await opened(testbed, { exclusive: true })
    await capture.stop()
  })

  live('auto never takes it by itself', async () => {
    using testbed = createTestbed()
    for (const options of [{}, { backend: 'auto' }] as const) {
      await using capture = await openOn(testbed, options)
      assert.equal(capture.plan.backend, 'ring')
      assert.equal(programOn(testbed.receiver), undefined)
      await using beside = await openOn(testbed, { backend: 'recv' })
      using sender = new RawSender(testbed.sender)
      sender.sendNumbered(50)
      await caughtUp(capture, 50)
      await caughtUp(beside, 50)
    }
  })

  live('auto with exclusive takes it where the driver has it, and else the ring, and says why', async () => {
    using testbed = createTestbed()
    {
      const { capture } = await opened(testbed, { backend: 'auto', exclusive: true })
      assert.equal((await capture.stop()).backend, 'xdp')
    }
    using other = attachPass(testbed.receiver)
    const { capture, events } = await opened(testbed, { backend: 'auto', exclusive: true })
    using sender = new RawSender(testbed.sender)
    sender.sendNumbered(50)
    await caughtUp(capture, 50)
    const summary = await capture.stop()
    assert.deepEqual([summary.backend, summary.packets, summary.xdp], ['ring', 50, null])
    assert.match(warningsOf(events)[0] ?? '', new RegExp(`^AF_XDP is not to be had, capturing by ring: .*${other.id}`))
  })

  live('an interface with a program of someone else', async () => {
    using testbed = createTestbed()
    using other = attachPass(testbed.receiver)
    await assert.rejects(openOn(testbed, XDP), (error: CaptureError) => {
      assert.equal(error.code, 'XDP_REFUSED')
      assert.match(error.message, new RegExp(`program ${other.id} 'somebody_else'`))
      assert.match(error.hint ?? '', new RegExp(`bpftool prog show id ${other.id}`))
      return true
    })
    assert.equal(programOn(testbed.receiver), other.id)
  })

  live('its program taken off by somebody else: the capture ends and says so, the account is even', async () => {
    using testbed = createTestbed()
    const { capture } = await opened(testbed)
    using sender = new RawSender(testbed.sender)
    sender.sendNumbered(50)
    await caughtUp(capture, 50)
    const id = programOn(testbed.receiver)
    const links = JSON.parse(inNamespace(testbed.receiver.netns, 'bpftool', '-j', 'link', 'show')) as { id: number; prog_id: number }[]
    const found = links.find((link) => link.prog_id === id)
    assert.ok(found)
    inNamespace(testbed.receiver.netns, 'bpftool', 'link', 'detach', 'id', `${found.id}`)
    await assert.rejects(capture.finished, { code: 'XDP_REFUSED', message: "mirror0: the capture's XDP program was taken off the interface" })
    assertAccount(capture.counters(), 50)
  })

  live('a second capture by AF_XDP of the same interface', async () => {
    using testbed = createTestbed()
    const { capture } = await opened(testbed)
    await assert.rejects(openOn(testbed, XDP), { code: 'XDP_REFUSED', message: /ringtap_xsk/ })
    using sender = new RawSender(testbed.sender)
    sender.sendNumbered(50)
    await caughtUp(capture, 50)
    assertAccount(await capture.stop(), 50)
    // And at once again: what the first one had is given back in the background.
    const again = await opened(testbed)
    await again.capture.stop()
  })

  live('what it has not', async () => {
    using testbed = createTestbed()
    await assert.rejects(openOn(testbed, { ...XDP, direction: 'out' }), { code: 'INVALID_OPTION' })
    await assert.rejects(openOn(testbed, { ...XDP, fanout: 'hash' }), { code: 'INVALID_OPTION' })
    await assert.rejects(openOn(testbed, { ...XDP, ringBytes: 3 * 2 ** 20 }), { code: 'INVALID_OPTION', hint: 'try --ring 4194304' })
    await assert.rejects(openOn(testbed, { ...XDP, chunkBytes: 1024 }), { code: 'INVALID_OPTION' })
  })
})

describe('as the other backends', () => {
  live('promiscuous mode while it is open, once an interface, and not with -p', async () => {
    using testbed = createTestbed()
    const { capture } = await opened(testbed)
    assert.equal(promiscuity(testbed.receiver), 1)
    await capture.stop()
    assert.equal(promiscuity(testbed.receiver), 0)
    const without = await opened(testbed, { promiscuous: false })
    assert.equal(promiscuity(testbed.receiver), 0)
    await without.capture.stop()
  })

  live('packets(): copies, in order, with their time and their tag', async () => {
    using testbed = createTestbed({ queues: 1 })
    using sender = new RawSender(testbed.sender)
    const iterator = packets({ ...testbed.receiver, ...XDP, count: 100 })
    const first = iterator.next()
    const timer = setInterval(() => sender.send(numberedFrame(0)), 20)
    assert.deepEqual(Buffer.from((await first).value?.bytes ?? []), Buffer.from(numberedFrame(0)))
    clearInterval(timer)
    sender.sendNumbered(200, 1)
    const numbers: number[] = []
    for await (const packet of iterator) {
      numbers.push(new DataView(packet.bytes.buffer).getUint32(14))
      assert.ok(Math.abs(packet.seconds - Date.now() / 1000) < 60)
    }
    assert.equal(numbers.length, 99)
    assert.deepEqual(
      numbers.filter((number) => number > 0),
      range(numbers.filter((number) => number > 0).length, 1),
    )
  })

  live('busy polling, huge pages or not, other chunks: the same packets', async () => {
    for (const options of [{ busyPollUs: 20 }, { chunkBytes: 4096 }, { blockTimeoutMs: 5 }, { ringBytes: 2 ** 20 }, { pin: [0, 1] }] as const) {
      using testbed = createTestbed()
      const { capture, events } = await opened(testbed, { ...options, ...COLLECT })
      using sender = new RawSender(testbed.sender)
      sender.sendNumbered(300)
      await caughtUp(capture, 300)
      const numbers = ((await capture.snapshot<Collected[]>()) ?? []).map(({ number }) => number).sort((a, b) => a - b)
      assertAccount(await capture.stop(), 300)
      assert.deepEqual(numbers, range(300), JSON.stringify(options))
      assert.equal(warningsOf(events).length, 'busyPollUs' in options ? 1 : 0)
    }
  })

  live('a count is kept to the packet', async () => {
    using testbed = createTestbed()
    const { capture } = await opened(testbed, { count: 12_345 })
    await using flood = await startFlood({ ...testbed.sender })
    const summary = await capture.finished
    await flood.stop()
    assert.deepEqual([summary.packets, summary.reason], [12_345, 'count'])
    assertAccount(summary)
  })

  live('stopped in the middle of a flood, the account is even, again and again', async (t) => {
    using testbed = createTestbed()
    await using flood = await startFlood({ ...testbed.sender })
    for (let round = 0; round < 5; round++) {
      const { capture } = await opened(testbed, round % 2 === 0 ? {} : { xdpMode: 'generic' })
      await sleep(200)
      const summary = await capture.stop()
      t.diagnostic(`${summary.packets} packets, drops ${JSON.stringify(summary.drops)}`)
      assertAccount(summary)
      assert.ok(summary.packets > 0)
      assert.equal(summary.drops.redirect, 0)
    }
    await flood.stop()
  })

  live('an open that fails anywhere leaves nothing', async () => {
    using testbed = createTestbed()
    const before = openDescriptors().length
    const misbehave = { handler: handlerUrl('misbehave'), handlerData: { where: 'open' } }
    for (let i = 0; i < 5; i++) await assert.rejects(openOn(testbed, { ...XDP, ...misbehave }), { code: 'HANDLER_FAILED' })
    assert.equal(openDescriptors().length, before)
    assert.equal(programOn(testbed.receiver), undefined)
    assert.equal(promiscuity(testbed.receiver), 0)
  })

  live('20,000,000 frames at full rate: each delivered or named', async (t) => {
    const COUNT = 20_000_000
    using testbed = createTestbed()
    const { capture } = await opened(testbed)
    await using flood = await startFlood({ ...testbed.sender, count: COUNT })
    const { seconds } = await flood.finished
    const wire = await settledWire(testbed)
    assert.equal(wire.sent + wire.refused, COUNT)
    await until('every packet is accounted for', () => capture.counters().offered === wire.received)
    const summary = await capture.stop()
    t.diagnostic(`${(COUNT / seconds / 1e6).toFixed(2)} Mpps offered; ${summary.packets} delivered, drops ${JSON.stringify(summary.drops)}`)
    assertAccount(summary, wire.received)
    assert.equal(sumOf(summary.drops) + summary.packets, wire.received)
  })
})

live('several interfaces, one of them without the others’ queues', async () => {
  using testbed = createTestbed({ queues: 2 })
  const { netns } = testbed.receiver
  inNamespace(netns, 'ip', 'link', 'add', 'second0', 'type', 'veth', 'peer', 'name', 'second1')
  for (const name of ['second0', 'second1']) inNamespace(netns, 'ip', 'link', 'set', name, 'up')
  await using capture = await openCapture({ interface: [testbed.receiver.interface, 'second1'], netns, ...XDP, ...COLLECT })
  using first = new RawSender(testbed.sender)
  using second = new RawSender({ interface: 'second0', netns })
  first.sendNumbered(100)
  second.sendNumbered(100, 100)
  await until('all are there', () => capture.counters().packets >= 200)
  const summary = await capture.stop()
  assert.deepEqual(
    summary.xdp?.map(({ interface: name, queues }) => [name, queues]),
    [
      [testbed.receiver.interface, 2],
      ['second1', 1],
    ],
  )
  assert.deepEqual(
    summary.workers.map((worker) => worker.interface),
    [testbed.receiver.interface, testbed.receiver.interface, 'second1'],
  )
})
