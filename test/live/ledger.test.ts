/** The ledger: a loss that was made on purpose stands in its own row and in no other, and nothing is left over. */
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import type { LedgerBalance } from '#src/capture/ledger.js'
import { openCapture, openCaptureWith } from '#src/capture/open.js'
import { SIOCETHTOOL } from '#src/kernel/abi/if.js'
import { type Kernel, openKernel } from '#src/kernel/system.js'
import { createTestbed, startFlood } from '#src/testbed/index.js'
import { elsewhere, everyFourth, foundIn, INJECTIONS } from '../support/injected-losses.js'
import { caughtUp, inNamespace, live, openOn, RawSender, until } from '../support/live.js'

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

live("somebody else's XDP program in generic mode, there only while packets flow: its drops are a residual, and it is named", async () => {
  using testbed = createTestbed({ queues: 1 })
  using sender = new RawSender(testbed.sender)
  await using capture = await openOn(testbed, { backend: 'ring' })
  {
    using _link = everyFourth('drop', testbed, 'generic')
    sender.sendNumbered(4000)
    await caughtUp(capture, 3000)
    // A reading while it is there.
    assert.match(capture.ledger().interfaces[0]?.caveats.join() ?? '', /an XDP program is on/)
    await capture.stop()
  }
  const [balance] = capture.ledger().interfaces
  assert.deepEqual(balance && equation(balance), [testbed.receiver.interface, 4000, 0, 0, 3000, 1000])
  assert.ok(
    balance?.caveats.some((caveat) => caveat.startsWith(`an XDP program is on ${testbed.receiver.interface}`)),
    balance?.caveats.join(),
  )
})
