/** What happens to interfaces under a capture, and captures in other namespaces and on several interfaces. */
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { describe } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { CaptureEvent, CaptureOptions } from '#src/capture/api.js'
import { openCapture } from '#src/capture/open.js'
import { createTestbed, startFlood, type Testbed, type TestbedEnd } from '#src/testbed/index.js'
import {
  assertAccount,
  caughtUp,
  handlerUrl,
  hasXdpProgram,
  inNamespace,
  live,
  openDescriptors,
  openOn,
  promiscuity,
  RawSender,
  range,
  until,
  workersOn,
} from '../support/live.js'
import type { Collected } from './handlers/collect.js'

const COLLECT = { handler: handlerUrl('collect') }
const SHAPES: [name: string, options: Omit<CaptureOptions, 'interface'>][] = [
  ['ring', { backend: 'ring' }],
  ['recv', { backend: 'recv' }],
  ['ring+fanout', { backend: 'ring', workers: 2, fanout: 'lb' }],
  ['recv+fanout', { backend: 'recv', workers: 2, fanout: 'lb' }],
  ['xdp', { backend: 'xdp', ringBytes: 2 ** 20 }],
  ['xdp, generic', { backend: 'xdp', ringBytes: 2 ** 20, xdpMode: 'generic' }],
]

const REMOVED: typeof SHAPES = [
  ['ring+fanout', { workers: 2 }],
  ['xdp', { backend: 'xdp' }],
  ['xdp, generic', { backend: 'xdp', xdpMode: 'generic' }],
]

/** Collects what is told of interfaces, not how they were opened. */
function interfaceEvents(): { events: CaptureEvent[]; onEvent: (event: CaptureEvent) => void } {
  const events: CaptureEvent[] = []
  return { events, onEvent: (event) => event.type.startsWith('interface') && events.push(event) }
}

function link(testbed: Testbed, ...words: string[]): void {
  inNamespace(testbed.receiver.netns, 'ip', 'link', ...words)
}

/** Until the veth carries packets again; both ends have a carrier when both are up. */
async function carrier(testbed: Testbed): Promise<void> {
  const { interface: name, netns } = testbed.receiver
  await until('a carrier', () => inNamespace(netns, 'ip', '-o', 'link', 'show', 'dev', name).includes('LOWER_UP'))
}

function numbersOf(packets: readonly Collected[] | undefined): number[] {
  return (packets ?? []).map((it) => it.number).sort((a, b) => a - b)
}

/** A second pair in the receiver's namespace, which a test may delete. */
function second(testbed: Testbed): { sender: TestbedEnd; receiver: TestbedEnd } {
  const { netns } = testbed.receiver
  inNamespace(netns, 'ip', 'link', 'add', 'second0', 'type', 'veth', 'peer', 'name', 'second1')
  inNamespace(netns, 'ethtool', '-K', 'second1', 'gro', 'on')
  for (const name of ['second0', 'second1']) inNamespace(netns, 'ip', 'link', 'set', name, 'up')
  return { sender: { interface: 'second0', netns }, receiver: { interface: 'second1', netns } }
}

describe('interface life', () => {
  for (const [name, options] of SHAPES) {
    live(`${name}: down and up again, told and resumed`, async (t) => {
      using testbed = createTestbed()
      using sender = new RawSender(testbed.sender)
      const { events, onEvent } = interfaceEvents()
      await using capture = await openOn(testbed, { ...options, ...COLLECT, onEvent })
      const mirror = testbed.receiver.interface
      let sent = 0
      for (let round = 1; round <= 3; round++) {
        sender.sendNumbered(100, sent)
        sent += 100
        await caughtUp(capture, sent)
        link(testbed, 'set', mirror, 'down')
        await until('down is told', () => events.length === 2 * round - 1)
        // A worker that does not read the error of its socket would spin here.
        const before = process.cpuUsage()
        await sleep(300)
        const { user, system } = process.cpuUsage(before)
        assert.ok(user + system < 150_000, `${(user + system) / 1000} ms of CPU in 300 ms`)
        link(testbed, 'set', mirror, 'up')
        await until('up is told', () => events.length === 2 * round)
        await carrier(testbed)
      }
      sender.sendNumbered(100, sent)
      sent += 100
      await caughtUp(capture, sent)
      const packets = await capture.snapshot<Collected[]>()
      assertAccount(await capture.stop(), sent)
      assert.deepEqual(numbersOf(packets), range(sent))
      assert.deepEqual(
        events,
        [1, 2, 3].flatMap(() => [
          { type: 'interface-down', interface: mirror },
          { type: 'interface-up', interface: mirror },
        ]),
      )
      t.diagnostic(`${sent} packets over three downs`)
    })

    live(`${name}: deleted, the capture ends and says why`, async () => {
      const descriptors = openDescriptors().length
      {
        using testbed = createTestbed()
        const pair = second(testbed)
        using sender = new RawSender(pair.sender)
        const capture = await openCapture({ ...pair.receiver, ...options, ...COLLECT })
        sender.sendNumbered(50)
        await caughtUp(capture, 50)
        const before = performance.now()
        link(testbed, 'delete', 'second1')
        await assert.rejects(capture.finished, { code: 'INTERFACE_REMOVED', message: 'second1: the interface was removed' })
        assert.ok(performance.now() - before < 2000)
        const counters = capture.counters()
        assertAccount(counters, 50)
        assert.equal(counters.packets, 50)
        await assert.rejects(capture.stop(), { code: 'INTERFACE_REMOVED' })
      }
      assert.equal(openDescriptors().length, descriptors)
    })

    live(`${name}: renamed, it goes on`, async () => {
      using testbed = createTestbed()
      using sender = new RawSender(testbed.sender)
      const { events, onEvent } = interfaceEvents()
      await using capture = await openOn(testbed, { ...options, ...COLLECT, onEvent })
      sender.sendNumbered(50)
      await caughtUp(capture, 50)
      // Up interfaces may be renamed since Linux 6.2; before, down and up.
      link(testbed, 'set', testbed.receiver.interface, 'name', 'renamed0')
      sender.sendNumbered(50, 50)
      await caughtUp(capture, 100)
      // That of AF_XDP is looked at ten times a second, also while it has no name, and by the main thread once a second.
      for (const end = performance.now() + (options.backend === 'xdp' ? 1100 : 0); performance.now() < end; await sleep(1)) {
        link(testbed, 'set', 'renamed0', 'name', 'renamed1')
        link(testbed, 'set', 'renamed1', 'name', 'renamed0')
      }
      link(testbed, 'set', 'renamed0', 'name', testbed.receiver.interface)
      const packets = await capture.snapshot<Collected[]>()
      assertAccount(await capture.stop(), 100)
      assert.deepEqual(numbersOf(packets), range(100))
      assert.deepEqual(events, [])
    })
  }

  for (const [name, options] of REMOVED) {
    live(`${name}: deleted under a full flood`, async () => {
      using testbed = createTestbed()
      const pair = second(testbed)
      await using flood = await startFlood(pair.sender)
      const capture = await openCapture({ ...pair.receiver, ...options })
      await sleep(200)
      link(testbed, 'delete', 'second1')
      await assert.rejects(capture.finished, { code: 'INTERFACE_REMOVED' })
      assertAccount(capture.counters())
      assert.ok(capture.counters().packets > 0)
      await flood.stop().catch(() => {})
    })

    live(`${name}: moved to another namespace is removed from this one`, async () => {
      using testbed = createTestbed()
      const pair = second(testbed)
      const capture = await openCapture({ ...pair.receiver, ...options })
      const guest = spawn('nsenter', [`--net=${testbed.sender.netns}`, 'sh', '-c', 'echo in; exec sleep 60'])
      try {
        await once(guest.stdout, 'data')
        link(testbed, 'set', 'second1', 'netns', `${guest.pid}`)
        await assert.rejects(capture.finished, { code: 'INTERFACE_REMOVED' })
      } finally {
        guest.kill('SIGKILL')
        await once(guest, 'exit')
      }
    })
  }

  live('an interface that does not exist, is down, or is no Ethernet', async () => {
    using testbed = createTestbed()
    const { netns } = testbed.receiver
    await assert.rejects(openCapture({ interface: 'nosuch0', netns }), { code: 'NO_SUCH_INTERFACE', message: /^nosuch0: no such interface/ })
    inNamespace(netns, 'ip', 'link', 'add', 'idle0', 'type', 'veth', 'peer', 'name', 'idle1')
    await assert.rejects(openCapture({ interface: 'idle0', netns }), { code: 'INTERFACE_DOWN', hint: 'ip link set idle0 up' })
    inNamespace(netns, 'ip', 'tuntap', 'add', 'tun9', 'mode', 'tun')
    inNamespace(netns, 'ip', 'link', 'set', 'tun9', 'up')
    await assert.rejects(openCapture({ interface: 'tun9', netns }), { code: 'UNSUPPORTED_LINK_TYPE', message: /^tun9: link type 65534/ })
    await assert.rejects(openCapture({ interface: [testbed.receiver.interface, 'nosuch0'], netns }), { code: 'NO_SUCH_INTERFACE' })
  })
})

describe('namespaces', () => {
  live('by path, by name and by pid', async () => {
    using testbed = createTestbed()
    const { interface: name, netns } = testbed.receiver
    const named = `rt-test-${process.pid}`
    const guest = spawn('nsenter', [`--net=${netns}`, 'sh', '-c', 'echo in; exec sleep 60'])
    await once(guest.stdout, 'data')
    execFileSync('ip', ['netns', 'attach', named, `${guest.pid}`])
    try {
      using sender = new RawSender(testbed.sender)
      for (const options of [{ workers: 2, fanout: 'lb' }, { backend: 'xdp' }] as const) {
        for (const way of [netns, named, `${guest.pid}`, `/run/netns/${named}`]) {
          await using capture = await openCapture({ interface: name, netns: way, ...COLLECT, ...options })
          sender.sendNumbered(20)
          await caughtUp(capture, 20)
          assert.deepEqual(numbersOf(await capture.snapshot<Collected[]>()), range(20), way)
          assertAccount(await capture.stop(), 20)
        }
      }
    } finally {
      execFileSync('ip', ['netns', 'delete', named])
      guest.kill('SIGKILL')
      await once(guest, 'exit')
    }
    assert.ok(!execFileSync('ip', ['netns', 'list'], { encoding: 'utf8' }).includes(named))
  })

  live('that do not exist', async () => {
    for (const netns of ['no-such-namespace', '/no/such/path', '4194305']) {
      await assert.rejects(openCapture({ interface: 'lo', netns }), { code: 'NO_SUCH_NAMESPACE', message: /does not exist/ })
    }
    // A path that is no namespace.
    await assert.rejects(openCapture({ interface: 'lo', netns: '/etc/passwd' }), { code: 'NO_SUCH_NAMESPACE', errnoName: 'EINVAL' })
  })

  live('the caller stays where it is', async () => {
    using testbed = createTestbed()
    const inode = () => execFileSync('readlink', ['/proc/self/ns/net'], { encoding: 'utf8' })
    const before = inode()
    await using capture = await openOn(testbed)
    assert.equal(inode(), before)
    await capture.stop()
    assert.equal(inode(), before)
  })
})

describe('several interfaces', () => {
  for (const [name, options] of SHAPES) {
    live(`${name}: each packet with the interface that it came through`, async () => {
      using testbed = createTestbed()
      const { netns, interface: mirror } = testbed.receiver
      const pair = second(testbed)
      using first = new RawSender(testbed.sender)
      using other = new RawSender(pair.sender)
      await using capture = await openCapture({ interface: [mirror, 'second1'], netns, ...options, ...COLLECT })
      first.sendNumbered(100)
      other.sendNumbered(60, 1000)
      await caughtUp(capture, 160)
      const packets = (await capture.snapshot<Collected[]>()) as Collected[]
      const summary = await capture.stop()
      assertAccount(summary, 160)
      const per = (interfaceName: string) => packets.filter((it) => it.interfaceName === interfaceName)
      assert.deepEqual(numbersOf(per(mirror)), range(100))
      assert.deepEqual(numbersOf(per('second1')), range(60, 1000))
      assert.equal(new Set(per(mirror).map((it) => it.interfaceIndex)).size, 1)
      assert.notEqual(per(mirror)[0].interfaceIndex, per('second1')[0].interfaceIndex)
      // The second pair has one queue.
      const workers = [workersOn(testbed, options), options.workers ?? 1]
      assert.deepEqual(
        summary.workers.map((worker) => worker.interface),
        [mirror, 'second1'].flatMap((it, i) => range(workers[i] as number).map(() => it)),
      )
      assert.deepEqual(
        summary.workers.map((worker) => worker.worker),
        range(summary.workers.length),
      )
    })
  }

  for (const backend of ['ring', 'xdp'] as const) {
    live(`${backend}: one of them removed ends the capture`, async () => {
      using testbed = createTestbed()
      const { netns, interface: mirror } = testbed.receiver
      second(testbed)
      const capture = await openCapture({ interface: [mirror, 'second1'], netns, backend })
      inNamespace(netns, 'ip', 'link', 'delete', 'second0')
      await assert.rejects(capture.finished, { code: 'INTERFACE_REMOVED', message: /^second1: / })
      assert.equal(promiscuity(testbed.receiver), 0)
      assert.ok(!hasXdpProgram(testbed.receiver))
    })
  }
})
