/** What a transmitter sends arrives: byte for byte, in order, and what does not go is told by name. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { openCapture } from '#src/capture/open.js'
import type { CaptureError } from '#src/errors.js'
import { openInterfaceCounters } from '#src/index.js'
import { openKernel } from '#src/kernel/system.js'
import { allowedCpus, pinThread } from '#src/kernel/thread.js'
import { createTestbed, type Testbed } from '#src/testbed/index.js'
import { openTransmitter } from '#src/transmit/open.js'
import { TRANSMIT_BACKENDS, type TransmitOptions, type TransmitSummary, type TransmitterOptions } from '#src/transmit/transmitter.js'
import { caughtUp, handlerUrl, inNamespace, live, numberedFrame, openDescriptors, openOn, range, until } from '../support/live.js'
import { type MemoryPacket, MemoryPackets } from '../support/memory-packets.js'
import { randomOf } from '../support/random.js'
import type { Collected } from './handlers/collect.js'

type Opening = Omit<TransmitterOptions, 'interface'>

const WAYS: Record<string, Opening> = {
  ring: { backend: 'ring' },
  'ring through the qdisc': { backend: 'ring', qdiscBypass: false },
  recv: { backend: 'recv' },
  'recv through the qdisc': { backend: 'recv', qdiscBypass: false },
  xdp: { backend: 'xdp' },
}

function assertIdentity(summary: TransmitSummary, packets: number): void {
  const shown = JSON.stringify(summary)
  assert.equal(summary.packets, packets, shown)
  assert.equal(
    summary.refused,
    Object.values(summary.refusals).reduce((a, b) => a + b),
    shown,
  )
  assert.equal(summary.sent + summary.refused, packets, shown)
}

/** Refusals that are not 0. */
function refusalsOf({ refusals }: TransmitSummary): Record<string, number> {
  return Object.fromEntries(Object.entries(refusals).filter(([, count]) => count !== 0))
}

/** Transmits, captures on the other end, and answers both. */
async function across(testbed: Testbed, opening: Opening, packets: readonly (Uint8Array | MemoryPacket)[], options: TransmitOptions = { timing: 'top' }) {
  await using capture = await openOn(testbed, { handler: handlerUrl('collect'), ringBytes: 64 * 2 ** 20 })
  await using transmitter = openTransmitter({ ...testbed.sender, ...opening })
  const summary = await transmitter.transmit(() => new MemoryPackets(packets, 1000), options)
  await caughtUp(capture, summary.sent)
  await capture.stop()
  const received = (await capture.snapshot<Collected[]>()) as Collected[]
  return { summary, received }
}

function assertFrames(received: readonly Collected[], frames: readonly Uint8Array[]): void {
  assert.equal(received.length, frames.length)
  for (const [index, frame] of frames.entries()) {
    const other = received[index] as Collected
    if (Buffer.compare(other.frame, frame) !== 0) assert.deepEqual(other.frame, frame, `frame ${index} of ${frame.length} bytes`)
  }
}

/**
 * The receiver's queue of 256 is emptied by a thread of its own, in place of the softirq of our system call, and that thread runs when
 * nobody else wants its CPU.
 */
function starveReceiver({ sender, receiver }: Testbed, cpu: number): void {
  // With TSO a veth passes what it is given to the backlog of the CPU, and not to that queue (veth_skb_is_eligible_for_gro).
  inNamespace(sender.netns, 'ethtool', '-K', sender.interface, 'tso', 'off')
  const threaded = `mount -t sysfs none /sys && echo 1 > /sys/class/net/${receiver.interface}/threaded`
  const threads = () => readdirSync('/proc').filter((pid) => /^\d+$/.test(pid) && commandOf(pid).startsWith(`napi/${receiver.interface}`))
  const before = threads()
  inNamespace(receiver.netns, 'unshare', '--mount', 'sh', '-c', threaded)
  for (const pid of threads().filter((it) => !before.includes(it))) {
    execFileSync('taskset', ['-pc', String(cpu), pid])
    execFileSync('chrt', ['--idle', '-p', '0', pid])
  }
}

function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'latin1')
  } catch {
    return ''
  }
}

for (const [name, opening] of Object.entries(WAYS)) {
  live(`${name}: frames of all sizes arrive byte for byte and in order, many times round the ring`, async () => {
    using testbed = createTestbed({ queues: 1 })
    const random = randomOf(5)
    const frames = range(6000).map((number) => numberedFrame(number, number % 3 === 0 ? 60 : random.between(18, 1514)))
    const { summary, received } = await across(testbed, { ...opening, frames: 64 }, frames)
    assertIdentity(summary, frames.length)
    assert.deepEqual(refusalsOf(summary), {})
    assert.equal(
      summary.sentBytes,
      frames.reduce((sum, frame) => sum + frame.length, 0),
    )
    assertFrames(received, frames)
  })

  live(`${name}: what is too long or too short, cut, or of another link is refused by name, the rest arrives`, async () => {
    using testbed = createTestbed({ queues: 1 })
    const good = (number: number, length = 100) => numberedFrame(number, length)
    const tagged = (number: number, length: number, tpid = 0x8100) => {
      const frame = numberedFrame(number, length)
      frame.set([tpid >> 8, tpid & 0xff, 0, 7, 0x88, 0xb5], 12)
      return frame
    }
    const packets: MemoryPacket[] = [
      { frame: good(0) },
      { frame: good(1, 1515) },
      { frame: tagged(2, 1518) },
      { frame: tagged(3, 1519) },
      { frame: tagged(4, 1518, 0x88a8) },
      { frame: good(5, 1514) },
      { frame: good(6, 9000) },
      { frame: good(7).subarray(0, 13) },
      { frame: new Uint8Array(0) },
      { frame: good(9), linkType: 113 },
      { frame: good(10), wireLength: 1500 },
      { frame: good(11) },
    ]
    const { summary, received } = await across(testbed, opening, packets)
    assertIdentity(summary, packets.length)
    assert.deepEqual(refusalsOf(summary), { tooLong: 4, tooShort: 2, linkType: 1 })
    assert.equal(summary.sentTruncated, 1)
    assert.deepEqual(
      received.map(({ frame, hasVlan }) => frame.length + (hasVlan ? 0.5 : 0)),
      [100, 1518.5, 1514, 100, 100],
    )
    const skipping = await across(testbed, opening, packets, { timing: 'top', truncated: 'skip' })
    assertIdentity(skipping.summary, packets.length)
    assert.deepEqual(refusalsOf(skipping.summary), { tooLong: 4, tooShort: 2, linkType: 1, truncated: 1 })
    assert.equal(skipping.received.length, 4)
  })

  live(`${name}: an interface that goes down in the middle: what falls into that time is refused as down, the rest arrives`, async () => {
    using testbed = createTestbed({ queues: 1 })
    await using capture = await openCapture({ ...testbed.receiver, handler: handlerUrl('collect') })
    await using transmitter = openTransmitter({ ...testbed.sender, ...opening })
    const set = (state: string) => inNamespace(testbed.sender.netns, 'ip', 'link', 'set', testbed.sender.interface, state)
    const frames = range(2000).map((number) => numberedFrame(number))
    const running = transmitter.transmit(() => new MemoryPackets(frames), { ratePps: 500 })
    await until('half a second', () => transmitter.counters().sent > 250)
    set('down')
    await until('packets are refused', () => transmitter.counters().refusals.down > 250)
    set('up')
    const summary = await running
    assertIdentity(summary, frames.length)
    const { down = 0, ...others } = refusalsOf(summary)
    assert.deepEqual(others, {})
    assert.ok(down > 250 && summary.sent > 500, JSON.stringify(summary))
    await caughtUp(capture, summary.sent)
    await capture.stop()
    const received = (await capture.snapshot<Collected[]>()) as Collected[]
    assert.equal(received.length, summary.sent)
    const numbers = received.map(({ number }) => number)
    assert.deepEqual(
      numbers,
      [...numbers].sort((a, b) => a - b),
    )
    assert.equal(numbers.at(-1), frames.length - 1)
  })

  live(`${name}: an interface that is removed in the middle ends it with an error, and the counters stay`, async () => {
    using testbed = createTestbed({ queues: 1 })
    await using transmitter = openTransmitter({ ...testbed.sender, ...opening })
    const frames = range(5000).map((number) => numberedFrame(number))
    const packets = new MemoryPackets(frames)
    const running = transmitter.transmit(() => packets, { ratePps: 1000 })
    const ended = assert.rejects(running, { code: 'INTERFACE_REMOVED' })
    await until('some are sent', () => transmitter.counters().sent > 100)
    inNamespace(testbed.sender.netns, 'ip', 'link', 'delete', testbed.sender.interface)
    await ended
    const { sent, refused, packets: taken } = transmitter.counters()
    assert.ok(sent > 100)
    assert.equal(sent + refused, taken)
    assert.equal(packets.closed, 1)
  })

  live(`${name}: the other end loses its carrier for a while: what falls into that time is refused as down`, async () => {
    using testbed = createTestbed({ queues: 1 })
    const { sender, receiver } = testbed
    const setReceiver = (state: string) => inNamespace(receiver.netns, 'ip', 'link', 'set', receiver.interface, state)
    await using transmitter = openTransmitter({ ...sender, ...opening })
    const frames = range(3000).map((number) => numberedFrame(number))
    const running = transmitter.transmit(() => new MemoryPackets(frames), { ratePps: 1500 })
    await until('some are sent', () => transmitter.counters().sent > 500)
    setReceiver('down')
    await until('they are refused', () => transmitter.counters().refusals.down > 100)
    setReceiver('up')
    const summary = await running
    assertIdentity(summary, frames.length)
    const { down = 0, ...others } = refusalsOf(summary)
    assert.deepEqual(others, {})
    assert.ok(down > 100 && down < 2500, JSON.stringify(summary))
  })

  live(`${name}: a receiver's queue that is full is waited for: every frame arrives, in order, and the veth counts what it refused`, async (t) => {
    using testbed = createTestbed({ queues: 1 })
    using counters = openInterfaceCounters([testbed.sender.interface], testbed.sender)
    const kernel = openKernel()
    const cpus = allowedCpus(kernel)
    starveReceiver(testbed, cpus[0] as number)
    pinThread(kernel, [cpus[0] as number])
    t.after(() => pinThread(kernel, cpus))
    const frames = range(20_000).map((number) => numberedFrame(number, 60 + (number % 30)))
    const { summary, received } = await across(testbed, opening, frames, { timing: 'top', roomTimeoutMs: 60_000 })
    const { txDropped = 0 } = counters.read()[0] ?? {}
    t.diagnostic(`waited ${summary.waits} times, the veth refused ${txDropped} frames`)
    assertIdentity(summary, frames.length)
    assert.deepEqual(refusalsOf(summary), {})
    assertFrames(received, frames)
    assert.ok(summary.waits > 0)
    assert.ok(txDropped > 0)
  })
}

for (const backend of ['ring', 'recv'] as const) {
  live(`${backend}: what a queueing discipline drops is sent again`, async () => {
    using testbed = createTestbed({ queues: 1 })
    const { sender } = testbed
    inNamespace(sender.netns, 'tc', 'qdisc', 'add', 'dev', sender.interface, 'root', 'tbf', 'rate', '20mbit', 'burst', '2000', 'limit', '3000')
    const frames = range(2000).map((number) => numberedFrame(number, 400 + (number % 100)))
    const { summary, received } = await across(testbed, { backend, qdiscBypass: false }, frames)
    assertIdentity(summary, frames.length)
    assert.deepEqual(refusalsOf(summary), {})
    assert.ok(summary.waits > 0)
    assertFrames(received, frames)
  })
}

for (const backend of TRANSMIT_BACKENDS) {
  live(`${backend}: original timing, a multiplier and a rate take as long as they should`, async () => {
    using testbed = createTestbed({ queues: 1 })
    await using transmitter = openTransmitter({ ...testbed.sender, backend })
    // 200 packets, a millisecond and a half apart: 298.5 ms from the first to the last.
    const packets = range(200).map((number) => ({ frame: numberedFrame(number), seconds: 1000, nanoseconds: number * 1_500_000 }))
    const run = (options: TransmitOptions) => transmitter.transmit(() => new MemoryPackets(packets), options)
    const cases: [TransmitOptions, number][] = [
      [{}, 0.2985],
      [{ multiplier: 3 }, 0.0995],
      [{ ratePps: 1000 }, 0.199],
      [{ rateBps: 480_000 }, 0.199],
      [{ ratePps: 1000, limit: 50 }, 0.049],
      [{ multiplier: 3, loop: 2 }, 0.1995],
    ]
    for (const [options, seconds] of cases) {
      const summary = await run(options)
      const shown = `${JSON.stringify(options)}: ${JSON.stringify(summary)}`
      assertIdentity(summary, options.limit ?? packets.length * (options.loop ?? 1))
      assert.ok(summary.seconds >= seconds && summary.seconds < seconds + 5, shown)
      assert.ok(summary.maxErrorNs >= summary.meanErrorNs && summary.meanErrorNs >= 0, shown)
      assert.equal(summary.reason, options.limit === undefined ? 'end' : 'limit')
    }
  })

  live(`${backend}: an abort ends it at once, with what was sent`, async () => {
    using testbed = createTestbed({ queues: 1 })
    using counters = openInterfaceCounters([testbed.receiver.interface], testbed.receiver)
    await using transmitter = openTransmitter({ ...testbed.sender, backend })
    const frames = [{ frame: numberedFrame(0) }, { frame: numberedFrame(1), seconds: 3600 }]
    const started = performance.now()
    const summary = await transmitter.transmit(() => new MemoryPackets(frames), { signal: AbortSignal.timeout(200) })
    assert.ok(performance.now() - started < 5000)
    assert.deepEqual([summary.packets, summary.sent, summary.reason], [1, 1, 'aborted'])
    const before = counters.read()[0]?.rxPackets ?? 0
    const endless = await transmitter.transmit(() => new MemoryPackets(range(500).map((number) => numberedFrame(number))), {
      timing: 'top',
      loop: Number.POSITIVE_INFINITY,
      signal: AbortSignal.timeout(200),
    })
    assertIdentity(endless, endless.sent)
    assert.equal(endless.reason, 'aborted')
    assert.ok(endless.rounds > 1)
    await until('all arrive', () => (counters.read()[0]?.rxPackets ?? 0) - before === endless.sent)
  })

  live(`${backend}: opened and closed twenty times, nothing is left`, async () => {
    using testbed = createTestbed({ queues: 1 })
    const cycle = async () => {
      await using transmitter = openTransmitter({ ...testbed.sender, backend, frames: 256 })
      const summary = await transmitter.transmit(() => new MemoryPackets(range(300).map((number) => numberedFrame(number))), { timing: 'top' })
      assertIdentity(summary, 300)
    }
    await cycle()
    const before = openDescriptors().length
    for (let i = 0; i < 20; i++) await cycle()
    assert.equal(openDescriptors().length, before)
  })

  live(`${backend}: an MTU that is lowered meanwhile`, async () => {
    using testbed = createTestbed({ queues: 1 })
    await using capture = await openCapture({ ...testbed.receiver, handler: handlerUrl('collect') })
    await using transmitter = openTransmitter({ ...testbed.sender, backend })
    const frames = range(1000).map((number) => numberedFrame(number, number % 2 === 0 ? 1514 : 100))
    const running = transmitter.transmit(() => new MemoryPackets(frames), { ratePps: 1000 })
    await until('some are sent', () => transmitter.counters().sent > 200)
    inNamespace(testbed.sender.netns, 'ip', 'link', 'set', testbed.sender.interface, 'mtu', '500')
    const summary = await running
    assertIdentity(summary, frames.length)
    const { tooLong = 0, ...others } = refusalsOf(summary)
    assert.deepEqual(others, {})
    // AF_XDP does not look at the MTU.
    if (backend !== 'xdp') assert.ok(tooLong > 100, JSON.stringify(summary))
    await caughtUp(capture, summary.sent)
    await capture.stop()
    const received = (await capture.snapshot<Collected[]>()) as Collected[]
    assert.equal(received.length, summary.sent)
    assert.equal(received.filter(({ frame }) => frame.length === 100).length, 500)
  })
}

for (const backend of TRANSMIT_BACKENDS) {
  live(`${backend}: down for several times the packets of its ring, twice: it goes on, and all are accounted for`, async () => {
    using testbed = createTestbed({ queues: 1 })
    const { sender, receiver } = testbed
    using counters = openInterfaceCounters([receiver.interface], receiver)
    const received = () => counters.read()[0]?.rxPackets ?? 0
    await using transmitter = openTransmitter({ ...sender, backend, frames: 64 })
    const set = (state: string) => inNamespace(sender.netns, 'ip', 'link', 'set', sender.interface, state)
    const frames = range(40_000).map((number) => numberedFrame(number))
    const before = received()
    const running = transmitter.transmit(() => new MemoryPackets(frames, 1000), { ratePps: 10_000, signal: AbortSignal.timeout(30_000) })
    for (let round = 0; round < 2; round++) {
      const { sent, refusals } = transmitter.counters()
      await until('some are sent', () => transmitter.counters().sent > sent + 1000)
      set('down')
      await until('many are refused', () => transmitter.counters().refusals.down > refusals.down + 1000)
      set('up')
    }
    const summary = await running
    assertIdentity(summary, frames.length)
    assert.equal(summary.reason, 'end')
    const { down = 0, ...others } = refusalsOf(summary)
    assert.deepEqual(others, {})
    assert.ok(down > 2000, JSON.stringify(summary))
    await until('all arrive', () => received() - before >= summary.sent)
    assert.equal(received() - before, summary.sent)
  })
}

live('an interface that is down, that leads to a network, or that is not there is refused, and nothing is left', async () => {
  using testbed = createTestbed({ queues: 1 })
  const { sender, receiver } = testbed
  const before = openDescriptors().length
  const refused = (options: TransmitterOptions, code: string, message: RegExp) =>
    assert.throws(
      () => openTransmitter(options),
      (error: CaptureError) => error.code === code && message.test(error.message),
    )
  for (const backend of TRANSMIT_BACKENDS) {
    refused({ ...sender, interface: 'nosuch0', backend }, 'NO_SUCH_INTERFACE', /nosuch0/)
    inNamespace(receiver.netns, 'ip', 'link', 'set', receiver.interface, 'down')
    await until('the carrier is gone', () => !inNamespace(sender.netns, 'ip', 'link', 'show', sender.interface).includes('state UP'))
    refused({ ...sender, backend }, 'INTERFACE_DOWN', /carrier/)
    inNamespace(receiver.netns, 'ip', 'link', 'set', receiver.interface, 'up')
  }
  inNamespace(sender.netns, 'ip', 'link', 'add', 'name', 'bridge0', 'type', 'bridge')
  inNamespace(sender.netns, 'ip', 'link', 'set', 'bridge0', 'up')
  refused({ ...sender, interface: 'bridge0' }, 'INTERFACE_IN_USE', /a bridge leads to one/)
  inNamespace(sender.netns, 'ip', 'address', 'add', '192.0.2.1/24', 'dev', sender.interface)
  await openTransmitter(sender).close()
  inNamespace(sender.netns, 'ip', 'route', 'add', 'default', 'via', '192.0.2.2')
  refused(sender, 'INTERFACE_IN_USE', /default route via 192.0.2.2/)
  await openTransmitter({ ...sender, yesThisNetwork: true }).close()
  assert.equal(openDescriptors().length, before)
})
