/** The ledger: a loss that was made on purpose stands in its own row and in no other, and nothing is left over. */
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Capture, CaptureOptions } from '#src/capture/api.js'
import type { Ledger, LedgerBalance } from '#src/capture/ledger.js'
import { ledgerMetrics } from '#src/capture/ledger-metrics.js'
import { openCapture, openCaptureWith } from '#src/capture/open.js'
import { SIOCETHTOOL } from '#src/kernel/abi/if.js'
import { Descriptor } from '#src/kernel/descriptor.js'
import { openNamespace, withNamespace } from '#src/kernel/namespace.js'
import { type Kernel, openKernel } from '#src/kernel/system.js'
import { createTestbed, startFlood, type Testbed } from '#src/testbed/index.js'
import { elsewhere, everyFourth, foundIn, INJECTIONS } from '../support/injected-losses.js'
import { caughtUp, handlerUrl, inNamespace, live, numberedFrame, openOn, RawSender, udpFrame, until } from '../support/live.js'

for (const { place, how, run } of INJECTIONS) {
  live(`${place}: ${how}`, async (t) => {
    const { injected, ledger } = await run()
    const others = elsewhere(ledger, place)
    t.diagnostic(`injected ${injected}, found ${foundIn(ledger, place)}, residual ${ledger.residual}`)
    const shown = JSON.stringify(ledger.rows.filter(({ count }) => count !== 0))
    assert.ok(injected > 100, `${injected} are too few to tell`)
    assert.equal(foundIn(ledger, place), injected, shown)
    assert.deepEqual(others, [], shown)
    // The CPUs' own count is the machine's: others may have lost something, too.
    if (place === 'softnet') assert.ok(foundIn(ledger, 'softnetDropped') >= injected, shown)
    assert.equal(ledger.residual, 0, shown)
    assert.equal(ledger.sockets.residual, 0, shown)
    assert.equal(ledger.settled, true)
    assert.deepEqual(ledger.unread, [])
  })
}

const ENOBUFS = 105

const equation = ({ interface: name, in: inside, lost, left, delivered, residual }: LedgerBalance) => [name, inside, lost, left, delivered, residual]

for (const backend of ['ring', 'recv', 'xdp'] as const) {
  live(`${backend}: opened and closed in the middle of a flood, the rest came at its edges`, async (t) => {
    using testbed = createTestbed()
    await using _flood = await startFlood({ ...testbed.sender, ratePps: 50_000 })
    await using capture = await openOn(testbed, { backend })
    await sleep(300)
    await capture.stop()
    const ledger = capture.ledger()
    t.diagnostic(JSON.stringify(ledger.interfaces))
    assert.equal(ledger.sockets.residual, 0)
    assert.equal(ledger.residual, 0, JSON.stringify(ledger.rows))
    assert.ok(ledger.sockets.delivered > 1000)
    assert.ok(foundIn(ledger, 'edges') < ledger.sockets.delivered, 'the edges are no bin for everything')
  })
}

live('received is what ip(8) says of the interface, and stays so after the end', async () => {
  using testbed = createTestbed({ queues: 1 })
  using sender = new RawSender(testbed.sender)
  sender.sendNumbered(100)
  await using capture = await openOn(testbed)
  sender.sendNumbered(1234)
  await caughtUp(capture, 1234)
  const running = capture.ledger()
  assert.deepEqual([running.settled, running.interfaces.map(equation)], [false, [[testbed.receiver.interface, 1234, 0, 0, 1234, 0]]])
  await capture.stop()
  sender.sendNumbered(50)
  const [link] = JSON.parse(inNamespace(testbed.receiver.netns, 'ip', '-s', '-j', 'link', 'show', 'dev', testbed.receiver.interface)) as {
    stats64: { rx: { packets: number } }
  }[]
  assert.equal(foundIn(capture.ledger(), 'received'), link.stats64.rx.packets - 150)
  assert.deepEqual(capture.ledger().interfaces.map(equation), [[testbed.receiver.interface, 1234, 0, 0, 1234, 0]])
})

live('what a host sends: with direction out alone, with inout beside what it receives', async () => {
  using testbed = createTestbed({ queues: 1 })
  using there = new RawSender(testbed.sender)
  using back = new RawSender(testbed.receiver)
  for (const [direction, received, sent] of [
    ['in', 300, 0],
    ['out', 0, 200],
    ['inout', 300, 200],
  ] as const) {
    await using capture = await openOn(testbed, { direction })
    there.sendNumbered(300)
    back.sendNumbered(200)
    await caughtUp(capture, received + sent)
    await capture.stop()
    const ledger = capture.ledger()
    assert.deepEqual([foundIn(ledger, 'received'), foundIn(ledger, 'sent'), ledger.residual], [received, sent, 0], direction)
  }
})

live('what the driver refused after the sockets had seen it: frames that are longer than the other end takes', async () => {
  using testbed = createTestbed({ queues: 1 })
  using back = new RawSender(testbed.receiver)
  inNamespace(testbed.sender.netns, 'ip', 'link', 'set', testbed.sender.interface, 'mtu', '1000')
  for (const [direction, seen, refused] of [
    ['inout', 500, 300],
    ['in', 0, 0],
  ] as const) {
    await using capture = await openOn(testbed, { direction })
    back.sendNumbered(200)
    for (let number = 0; number < 300; number++) assert.equal(back.offer(numberedFrame(number, 1200)), -ENOBUFS)
    await caughtUp(capture, seen)
    await capture.stop()
    const ledger = capture.ledger()
    assert.deepEqual([foundIn(ledger, 'sentDropped'), ledger.sockets.delivered, ledger.residual], [refused, seen, 0], JSON.stringify(ledger.rows))
  }
})

live('a tap that nobody reads: what it refused, and what it holds, the sockets have seen', async () => {
  const kernel = openKernel()
  const [O_RDWR, TUNSETIFF, IFF_TAP, IFF_NO_PI] = [2, 0x400454ca, 2, 0x1000]
  using testbed = createTestbed({ queues: 1 })
  const { netns } = testbed.receiver
  using namespace = openNamespace(kernel, netns)
  using tap = withNamespace(kernel, namespace, () => new Descriptor(kernel, kernel.open('/dev/net/tun', O_RDWR)))
  const request = new Uint8Array(40)
  request.set(Buffer.from('tap1'))
  new DataView(request.buffer).setInt16(16, IFF_TAP | IFF_NO_PI, true)
  assert.equal(kernel.ioctl(tap.fd, TUNSETIFF, request), 0)
  inNamespace(netns, 'ip', 'link', 'set', 'tap1', 'up', 'txqueuelen', '700')
  using sender = new RawSender({ netns, interface: 'tap1' })
  await using capture = await openCapture({ interface: 'tap1', netns })
  sender.sendNumbered(3000)
  await caughtUp(capture, 3000)
  const queued = () => ledgerMetrics(capture.ledger()).find(({ name }) => name === 'ringtap_send_queue_packets')
  assert.deepEqual([queued()?.value, queued()?.type], [700, 'gauge'])
  // What is read of it counts as sent.
  for (let frame = 0; frame < 200; frame++) assert.equal(kernel.read(tap.fd, new Uint8Array(2000)), 60)
  assert.equal(queued()?.value, 500)
  await capture.stop()
  const ledger = capture.ledger()
  assert.deepEqual(
    [foundIn(ledger, 'sent'), foundIn(ledger, 'sentDropped'), foundIn(ledger, 'sentQueued'), ledger.residual],
    [200, 2300, 500, 0],
    JSON.stringify(ledger.rows),
  )
})

/** Reads the ledger again and again; a counter that falls, from one reading to the next and to the last one, fails. */
async function polled(capture: Capture, condition: (ledger: Ledger) => boolean): Promise<Ledger> {
  const seen = new Map<string, number>()
  const look = () => {
    const ledger = capture.ledger()
    for (const { type, name, labels, value } of ledgerMetrics(ledger)) {
      if (type === 'gauge') continue
      const key = `${name} ${JSON.stringify(labels)}`
      assert.ok(value >= (seen.get(key) ?? 0), `${key}: ${seen.get(key)}, then ${value}${ledger.settled ? ' at the end' : ''}`)
      seen.set(key, value)
    }
    return ledger
  }
  const deadline = performance.now() + 30_000
  for (;;) {
    const ledger = look()
    if (condition(ledger)) break
    if (performance.now() > deadline) assert.fail(`not within 30 s: ${JSON.stringify(ledger.rows)}`)
    await sleep(20)
  }
  await capture.stop()
  return look()
}

const CHANGING: readonly (readonly [how: string, options: Omit<CaptureOptions, 'interface'>])[] = [
  ['ring with a filter that takes a part', { backend: 'ring', filter: 'src net 10.0.0.0/9' }],
  ['ring with losses', { backend: 'ring', ringBytes: 2 * 65536, blockBytes: 65536, handler: handlerUrl('stall'), handlerData: { ms: 50, busy: false } }],
  ['recv', { backend: 'recv' }],
  ['AF_XDP with losses', { backend: 'xdp', ringBytes: 2 ** 20, handler: handlerUrl('stall'), handlerData: { ms: 50, busy: false } }],
]

for (const [how, options] of CHANGING) {
  live(`no counter falls while it runs: ${how}`, async (t) => {
    using testbed = createTestbed({ queues: 1 })
    await using capture = await openOn(testbed, options)
    await using flood = await startFlood({ ...testbed.sender, count: 200_000, ratePps: 100_000, cpus: [0] })
    let isSent = false
    void flood.finished.then(() => {
      isSent = true
    })
    const ledger = await polled(capture, ({ sockets }) => isSent && sockets.waiting === 0)
    t.diagnostic(JSON.stringify(ledger.interfaces))
    assert.ok(ledger.sockets.offered > 1000)
    assert.equal(ledger.residual, 0, JSON.stringify(ledger.rows))
  })
}

live('while it runs, what a filter did not match does not wait', async () => {
  using testbed = createTestbed({ queues: 1 })
  using sender = new RawSender(testbed.sender)
  await using capture = await openOn(testbed, { filter: 'udp src port 1000' })
  for (let number = 0; number < 8000; number++) sender.send(udpFrame(1000 + (number % 500), number))
  const ledger = await polled(capture, (it) => !it.settled && foundIn(it, 'notMatched') === 7984 && foundIn(it, 'waiting') === 0)
  assert.deepEqual([foundIn(ledger, 'notMatched'), foundIn(ledger, 'delivered'), ledger.residual], [7984, 16, 0])
})

live('the same of a ledger that is asked for once', async () => {
  using testbed = createTestbed({ queues: 1 })
  using sender = new RawSender(testbed.sender)
  await using capture = await openOn(testbed, { filter: 'udp src port 1000' })
  for (let number = 0; number < 1000; number++) sender.send(udpFrame(1000 + (number % 500), number))
  await sleep(2500)
  const ledger = capture.ledger()
  assert.deepEqual([ledger.settled, foundIn(ledger, 'notMatched'), foundIn(ledger, 'waiting'), ledger.residual], [false, 998, 0, 0])
})

live('an interface that goes away is counted as it was read last, once a second by itself', async () => {
  using testbed = createTestbed({ queues: 1 })
  using sender = new RawSender(testbed.sender)
  const { netns, interface: name } = testbed.receiver
  await using capture = await openOn(testbed)
  sender.sendNumbered(400)
  await caughtUp(capture, 400)
  await sleep(1200)
  inNamespace(netns, 'ip', 'link', 'del', name)
  await assert.rejects(capture.finished, { code: 'INTERFACE_REMOVED' })
  const ledger = capture.ledger()
  assert.deepEqual(ledger.interfaces.map(equation), [[name, 400, 0, 0, 400, 0]])
  assert.deepEqual(
    ledger.unread.map(({ what }) => what),
    [`last counters of ${name}`, `last driver statistics of ${name}`],
  )
  for (const { reason } of ledger.unread) assert.match(reason, /^the interface has gone: they are as they were \d+ ms before$/)
  assert.equal(capture.summary()?.reason, 'failed')
})

live('two interfaces: each has its own equation', async () => {
  using testbed = createTestbed({ queues: 1 })
  const { netns, interface: name } = testbed.receiver
  inNamespace(netns, 'ip', 'link', 'add', 'one', 'type', 'veth', 'peer', 'name', 'two')
  for (const end of ['one', 'two']) {
    inNamespace(netns, 'ip', 'link', 'set', end, 'up')
  }
  using sender = new RawSender(testbed.sender)
  using other = new RawSender({ netns, interface: 'one' })
  await using capture = await openCapture({ interface: [name, 'two'], netns, direction: 'in' })
  sender.sendNumbered(300)
  other.sendNumbered(700)
  await caughtUp(capture, 1000)
  await capture.stop()
  assert.deepEqual(capture.ledger().interfaces.map(equation), [
    [name, 300, 0, 0, 300, 0],
    ['two', 700, 0, 0, 700, 0],
  ])
})

live('loopback, and an interface that goes away while it is captured', async () => {
  using testbed = createTestbed({ queues: 1 })
  const { netns } = testbed.receiver
  inNamespace(netns, 'ip', 'link', 'set', 'lo', 'up')
  await using capture = await openCapture({ interface: 'lo', netns })
  inNamespace(netns, 'bash', '-c', 'for i in {1..20}; do echo x > /dev/udp/127.0.0.1/9; done || true')
  await until('it has come', () => capture.counters().packets >= 20)
  await capture.stop()
  const { residual, rows, unread } = capture.ledger()
  assert.deepEqual([residual, unread], [0, []], JSON.stringify(rows))

  inNamespace(netns, 'ip', 'link', 'add', 'one', 'type', 'veth', 'peer', 'name', 'two')
  for (const end of ['one', 'two']) inNamespace(netns, 'ip', 'link', 'set', end, 'up')
  using other = new RawSender({ netns, interface: 'one' })
  const gone = await openCapture({ interface: 'two', netns, direction: 'in' })
  other.sendNumbered(100)
  await caughtUp(gone, 100)
  // The last reading of an interface that is there.
  gone.ledger()
  inNamespace(netns, 'ip', 'link', 'del', 'two')
  await assert.rejects(gone.finished, { code: 'INTERFACE_REMOVED' })
  assert.equal(gone.ledger().sockets.residual, 0)
  assert.equal(foundIn(gone.ledger(), 'delivered'), 100)
})

live('what the kernel does not tell is named, and the capture goes on', async () => {
  using testbed = createTestbed({ queues: 1 })
  using sender = new RawSender(testbed.sender)
  const real = openKernel()
  const EPERM = 1
  const silent: Kernel = { ...real, ioctl: (fd, request, argument) => (request === SIOCETHTOOL ? -EPERM : real.ioctl(fd, request, argument)) }
  await using capture = await openCaptureWith(silent, { ...testbed.receiver })
  sender.sendNumbered(100)
  await caughtUp(capture, 100)
  await capture.stop()
  const { unread, residual, interfaces } = capture.ledger()
  const { interface: name } = testbed.receiver
  assert.deepEqual(
    unread.map(({ what, source }) => [what, source]),
    [
      [`GRO of ${name}`, 'ioctl(ETHTOOL_GGRO)'],
      [`driver statistics of ${name}`, 'ioctl(ETHTOOL_GSTATS)'],
    ],
  )
  for (const { reason } of unread) assert.match(reason, /EPERM/)
  // What rtnetlink tells is enough for what happened here.
  assert.deepEqual([interfaces.map(equation), residual], [[[name, 100, 0, 0, 100, 0]], 0])
})

/** A program in generic mode drops every 4th of 4000 frames, and goes when `act` is over. */
async function whileDropping(testbed: Testbed, capture: Capture, act: () => Promise<unknown>): Promise<void> {
  using _link = everyFourth('drop', testbed, 'generic')
  using sender = new RawSender(testbed.sender)
  sender.sendNumbered(4000)
  await caughtUp(capture, 3000)
  await act()
}

live("somebody else's XDP program that nobody asks for while it is there: it is seen all the same", async () => {
  using testbed = createTestbed({ queues: 1 })
  await using capture = await openOn(testbed, { backend: 'ring' })
  // Once a second, and a machine may be slow.
  await whileDropping(testbed, capture, () => sleep(2500))
  await capture.stop()
  const [balance] = capture.ledger().interfaces
  assert.equal(balance?.residual, 1000)
  assert.match(balance?.caveats.join() ?? '', /an XDP program is on/)
})

live('an interface that is renamed, its old name taken by another: its driver is asked on', async () => {
  using testbed = createTestbed({ queues: 1 })
  using _link = everyFourth('drop', testbed)
  const { netns, interface: name } = testbed.receiver
  using sender = new RawSender(testbed.sender)
  await using capture = await openOn(testbed, { backend: 'ring' })
  sender.sendNumbered(400)
  await caughtUp(capture, 300)
  inNamespace(netns, 'ip', 'link', 'set', name, 'name', 'renamed0')
  inNamespace(netns, 'ip', 'link', 'add', name, 'type', 'veth', 'peer', 'name', 'other0')
  sender.sendNumbered(400)
  await caughtUp(capture, 600)
  const seen = () => {
    const ledger = capture.ledger()
    return [foundIn(ledger, 'received'), foundIn(ledger, 'xdpDrop'), ledger.residual, ledger.unread]
  }
  assert.deepEqual(seen(), [800, 200, 0, []])
  await capture.stop()
  assert.deepEqual(seen(), [800, 200, 0, []])
  assert.equal(capture.ledger().interfaces[0]?.interface, name)
})

live("somebody else's XDP program in generic mode, there only while packets flow: its drops are a residual, and it is named", async () => {
  using testbed = createTestbed({ queues: 1 })
  await using capture = await openOn(testbed, { backend: 'ring' })
  await whileDropping(testbed, capture, async () => {
    // A reading while it is there.
    assert.match(capture.ledger().interfaces[0]?.caveats.join() ?? '', /an XDP program is on/)
    await capture.stop()
  })
  const [balance] = capture.ledger().interfaces
  assert.deepEqual(balance && equation(balance), [testbed.receiver.interface, 4000, 0, 0, 3000, 1000])
  assert.ok(
    balance?.caveats.some((caveat) => caveat.startsWith(`an XDP program is on ${testbed.receiver.interface}`)),
    balance?.caveats.join(),
  )
})
