/** Packets counted in the kernel: every one, by class, and nothing is left behind. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { describe } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { countInKernelWith, type KernelCount, type KernelCounters, type KernelCountOptions } from '#src/capture/kernel-count.js'
import { CaptureError } from '#src/errors.js'
import { COUNT_CLASSES, type CountClass, countInKernel } from '#src/index.js'
import { EINVAL, ENOMEM, EPERM } from '#src/kernel/errno.js'
import { type Kernel, openKernel } from '#src/kernel/system.js'
import { createTestbed, type FloodKind, startFlood, type Testbed, type TestbedEnd } from '#src/testbed/index.js'
import { COUNT_FRAMES } from '../support/count-frames.js'
import {
  handlerUrl,
  hasXdpProgram,
  inNamespace,
  live,
  numberedFrame,
  openDescriptors,
  openOn,
  promiscuity,
  RawSender,
  settledWire,
  until,
} from '../support/live.js'
import type { Classes } from './handlers/classes.js'

const MAIN = fileURLToPath(new URL('../../../dist/cli/main.js', import.meta.url))
const MODES = ['native', 'generic'] as const
const COUNT = 200_000
const FRAME_BYTES = 60
const KIND_CLASSES: Readonly<Record<FloodKind, readonly CountClass[]>> = { syn: ['tcpSyn'], udp: ['udp'], icmp: ['icmp'], mix: ['tcpSyn', 'udp', 'icmp'] }

function countOn(end: TestbedEnd, options: Omit<KernelCountOptions, 'interface'> = {}): KernelCount {
  return countInKernel({ ...end, ...options })
}

/** Classes that have counted something. */
function seen({ classes }: Pick<KernelCounters, 'classes'>): Classes {
  return Object.fromEntries(Object.entries(classes).filter(([, { packets, bytes }]) => packets !== 0 || bytes !== 0))
}

/** Sums over classes, CPUs and interfaces are the same. */
function assertSums(counters: KernelCounters): void {
  const shown = JSON.stringify(counters)
  const { cpus, interfaces } = counters
  for (const field of ['packets', 'bytes'] as const) {
    const sum = (rows: readonly { packets: number; bytes: number }[]) => rows.reduce((total, row) => total + row[field], 0)
    assert.equal(sum(Object.values(counters.classes)), counters[field], shown)
    assert.equal(sum(cpus), counters[field], shown)
    assert.equal(sum(interfaces), counters[field], shown)
    for (const cpu of cpus) assert.equal(sum(Object.values(cpu.classes)), cpu[field], shown)
    for (const name of COUNT_CLASSES) assert.equal(sum(cpus.map((cpu) => cpu.classes[name])), counters.classes[name][field], shown)
  }
  for (const cpu of cpus) assert.ok(cpu.packets > 0, shown)
}

/** A second pair in the receiver's namespace, both ends of it. */
function addSecond(testbed: Testbed): TestbedEnd {
  const { netns } = testbed.receiver
  inNamespace(netns, 'ip', 'link', 'add', 'second0', 'type', 'veth', 'peer', 'name', 'second1')
  inNamespace(netns, 'ethtool', '-K', 'second1', 'gro', 'on')
  for (const name of ['second0', 'second1']) inNamespace(netns, 'ip', 'link', 'set', name, 'up')
  return { netns, interface: 'second0' }
}

for (const mode of MODES) {
  for (const drop of [false, true]) {
    describe(`${mode}, ${drop ? 'dropping' : 'passing'}`, () => {
      for (const kind of ['syn', 'udp', 'icmp', 'mix'] as const) {
        live(`${COUNT} frames of ${kind} at full rate`, async (t) => {
          using testbed = createTestbed()
          using counting = countOn(testbed.receiver, { xdpMode: mode, drop })
          await using flood = await startFlood({ ...testbed.sender, kind, count: COUNT })
          await flood.finished
          const wire = await settledWire(testbed)
          assert.equal(wire.sent + wire.refused, COUNT)
          const while_ = counting.counters()
          counting.close()
          const counters = counting.counters()
          t.diagnostic(`${wire.refused} refused by the wire, ${JSON.stringify(seen(counters))}`)
          assertSums(counters)
          assert.deepEqual([counters.packets, counters.bytes], [wire.received, wire.received * FRAME_BYTES])
          assert.deepEqual(Object.keys(seen(counters)), KIND_CLASSES[kind])
          for (const counts of Object.values(seen(counters))) assert.equal(counts.bytes, counts.packets * FRAME_BYTES)
          assert.deepEqual([while_.classes, while_.cpus], [counters.classes, counters.cpus])
          assert.deepEqual(counters.interfaces, [
            { interface: testbed.receiver.interface, mode, tried: [], up: true, packets: wire.received, bytes: wire.received * FRAME_BYTES },
          ])
          assert.ok(counters.cpus.length > 1 || testbed.queues === 1, 'each sender fills a queue, and each queue has a CPU')
        })
      }

      live(`a capture beside it sees ${drop ? 'nothing' : 'the same'}`, async () => {
        using testbed = createTestbed()
        using counting = countOn(testbed.receiver, { xdpMode: mode, drop })
        await using capture = await openOn(testbed, { backend: 'ring', handler: handlerUrl('classes') })
        await using flood = await startFlood({ ...testbed.sender, kind: 'mix', count: 50_000, ratePps: 200_000 })
        await flood.finished
        const wire = await settledWire(testbed)
        if (!drop) await until('the capture has seen them', () => capture.counters().packets === wire.received)
        const classes = await capture.snapshot<Classes>()
        const summary = await capture.stop()
        counting.close()
        assert.equal(counting.counters().packets, wire.received)
        assert.deepEqual([summary.offered, summary.dropped], [drop ? 0 : wire.received, 0])
        assert.deepEqual(classes, drop ? {} : seen(counting.counters()))
      })
    })
  }

  live(`${mode}: frames of every class, as they go over the wire`, async () => {
    using testbed = createTestbed()
    using counting = countOn(testbed.receiver, { xdpMode: mode })
    using sender = new RawSender(testbed.sender)
    const expected: Classes = {}
    for (const { frame, expected: name } of COUNT_FRAMES) {
      sender.send(frame)
      const { packets, bytes } = expected[name] ?? { packets: 0, bytes: 0 }
      expected[name] = { packets: packets + 1, bytes: bytes + frame.length }
    }
    await until('all are counted', () => counting.counters().packets === COUNT_FRAMES.length)
    counting.close()
    assertSums(counting.counters())
    assert.deepEqual(seen(counting.counters()), Object.fromEntries(COUNT_CLASSES.map((name) => [name, expected[name]])))
  })

  live(`${mode}: frames of 9000 bytes, which take several buffers, and go on whole`, async () => {
    using testbed = createTestbed({ mtu: 9000 })
    using counting = countOn(testbed.receiver, { xdpMode: mode })
    await using capture = await openOn(testbed, { backend: 'ring' })
    using sender = new RawSender(testbed.sender)
    sender.sendNumbered(100, 0, (number) => numberedFrame(number, 9014 - (number % 7)))
    await until('all are captured', () => capture.counters().packets === 100)
    const { packets, bytes } = await capture.stop()
    counting.close()
    assert.deepEqual([counting.counters().packets, counting.counters().bytes], [packets, bytes])
    assert.deepEqual(seen(counting.counters()), { other: { packets, bytes } })
  })

  live(`${mode}: fifty times open and close leaves nothing`, async () => {
    using testbed = createTestbed()
    const cycle = (look: boolean) => {
      const counting = countOn(testbed.receiver, { xdpMode: mode })
      if (look) assert.deepEqual([hasXdpProgram(testbed.receiver), promiscuity(testbed.receiver)], [true, 1])
      counting.close()
      counting.close()
      if (look) assert.deepEqual([hasXdpProgram(testbed.receiver), promiscuity(testbed.receiver)], [false, 0])
    }
    cycle(true)
    const before = openDescriptors().length
    for (let i = 0; i < 50; i++) cycle(i % 10 === 9)
    assert.equal(openDescriptors().length, before)
  })
}

live('auto takes native, and generic where the driver has none, as on loopback', async () => {
  using testbed = createTestbed()
  const { netns } = testbed.receiver
  inNamespace(netns, 'ip', 'link', 'set', 'lo', 'up')
  using counting = countInKernel({ interface: [testbed.receiver.interface, 'lo'], netns })
  using sender = new RawSender({ interface: 'lo', netns })
  sender.sendNumbered(100)
  await until('loopback has them', () => counting.counters().packets === 100)
  const [mirror, lo] = counting.counters().interfaces
  assert.deepEqual([mirror?.mode, mirror?.tried, mirror?.packets], ['native', [], 0])
  assert.deepEqual([lo?.mode, lo?.packets, lo?.tried.map((it) => it.mode)], ['generic', 100, ['native']])
  assert.match(lo?.tried[0]?.reason ?? '', /EOPNOTSUPP/)
  counting.close()
  assert.throws(
    () => countInKernel({ interface: 'lo', netns, xdpMode: 'native' }),
    (error) => error instanceof CaptureError && error.code === 'XDP_REFUSED' && /no native XDP/.test(error.message),
  )
})

live('auto takes generic where native does not go, and says why', () => {
  using testbed = createTestbed()
  const { netns } = testbed.receiver
  // Fewer receive queues than the other end sends on.
  inNamespace(netns, 'ip', ...'link add few0 numrxqueues 1 numtxqueues 4 type veth peer name few1 numrxqueues 4 numtxqueues 4'.split(' '))
  for (const name of ['few0', 'few1']) inNamespace(netns, 'ip', 'link', 'set', name, 'up')
  using counting = countInKernel({ interface: 'few0', netns })
  const [it] = counting.counters().interfaces
  assert.equal(it?.mode, 'generic')
  assert.deepEqual(it.tried, [{ mode: 'native', reason: 'bpf(BPF_LINK_CREATE, BPF_XDP, native): ENOSPC, no space left on device' }])
})

live('two interfaces: each by itself, and all of it in the sums', async () => {
  using testbed = createTestbed()
  const second = addSecond(testbed)
  using counting = countInKernel({ interface: [testbed.receiver.interface, 'second1'], netns: second.netns, drop: true })
  await using one = await startFlood({ ...testbed.sender, kind: 'udp', count: 30_000, ratePps: 300_000 })
  await using two = await startFlood({ ...second, kind: 'icmp', count: 20_000, ratePps: 300_000, cpus: [0] })
  await Promise.all([one.finished, two.finished])
  const wire = await settledWire(testbed)
  await until('the second has its own', () => counting.counters().classes.icmp.packets === 20_000)
  counting.close()
  const counters = counting.counters()
  assertSums(counters)
  assert.deepEqual(
    counters.interfaces.map((it) => [it.interface, it.packets]),
    [
      ['mirror0', wire.received],
      ['second1', 20_000],
    ],
  )
  assert.deepEqual(seen(counters), { udp: { packets: wire.received, bytes: wire.received * 60 }, icmp: { packets: 20_000, bytes: 1_200_000 } })
  assert.deepEqual([promiscuity(testbed.receiver), promiscuity({ ...second, interface: 'second1' })], [0, 0])
})

live('one of two interfaces that does not go leaves nothing on the other', () => {
  using testbed = createTestbed()
  const before = openDescriptors().length
  assert.throws(() => countInKernel({ interface: [testbed.receiver.interface, 'nosuch0'], netns: testbed.receiver.netns }), { code: 'NO_SUCH_INTERFACE' })
  assert.deepEqual([hasXdpProgram(testbed.receiver), promiscuity(testbed.receiver), openDescriptors().length], [false, 0, before])
})

live('an interface with another XDP program: which one, and who holds it', async () => {
  using testbed = createTestbed()
  await using capture = await openOn(testbed, { backend: 'xdp' })
  for (const xdpMode of ['auto', 'native', 'generic'] as const) {
    assert.throws(
      () => countOn(testbed.receiver, { xdpMode }),
      (error) =>
        error instanceof CaptureError &&
        error.code === 'XDP_REFUSED' &&
        /'ringtap_xsk' is attached \(native\)/.test(error.message) &&
        error.message.includes(`process ${process.pid} `) &&
        error.hint !== undefined,
    )
  }
  assert.equal(promiscuity(testbed.receiver), 1, "the capture's own")
  await capture.stop()
  countOn(testbed.receiver).close()
})

live('promiscuous: false leaves the interface as it is', () => {
  using testbed = createTestbed()
  using counting = countOn(testbed.receiver, { promiscuous: false })
  assert.equal(promiscuity(testbed.receiver), 0)
  assert.equal(counting.counters().packets, 0)
})

live('to drop on what is no veth needs exclusive', () => {
  using testbed = createTestbed()
  const { netns } = testbed.receiver
  inNamespace(netns, 'ip', 'link', 'add', 'bridge0', 'type', 'bridge')
  inNamespace(netns, 'ip', 'link', 'set', 'bridge0', 'up')
  const on = { interface: 'bridge0', netns }
  assert.throws(() => countInKernel({ ...on, drop: true }), { code: 'INVALID_OPTION', message: /bridge0 is no veth, and nothing of it would reach this host$/ })
  inNamespace(netns, 'ip', 'address', 'add', '192.0.2.1/24', 'dev', 'bridge0')
  assert.throws(() => countInKernel({ ...on, drop: true }), { code: 'INVALID_OPTION', message: /which uses it: address 192\.0\.2\.1\/24/, hint: /--exclusive/ })
  assert.equal(hasXdpProgram({ netns, interface: 'bridge0' }), false)
  countInKernel({ ...on, drop: true, exclusive: true }).close()
  countInKernel(on).close()
})

live('an interface that goes down, and comes back', async () => {
  using testbed = createTestbed()
  using counting = countOn(testbed.receiver)
  using sender = new RawSender(testbed.sender)
  sender.sendNumbered(10)
  const { netns, interface: name } = testbed.receiver
  inNamespace(netns, 'ip', 'link', 'set', name, 'down')
  assert.equal(counting.counters().interfaces[0]?.up, false)
  inNamespace(netns, 'ip', 'link', 'set', name, 'up')
  assert.equal(counting.counters().interfaces[0]?.up, true)
  sender.sendNumbered(10)
  await until('all are counted', () => counting.counters().packets === 20)
  assert.throws(
    () => {
      inNamespace(netns, 'ip', 'link', 'set', name, 'down')
      countOn(testbed.receiver)
    },
    { code: 'INTERFACE_DOWN' },
  )
})

live('an interface that is deleted: an error, and what was counted until then', async () => {
  using testbed = createTestbed()
  const second = addSecond(testbed)
  using counting = countInKernel({ interface: ['second1', testbed.receiver.interface], netns: second.netns })
  using sender = new RawSender(second)
  sender.sendNumbered(50)
  await until('all are counted', () => counting.counters().packets === 50)
  inNamespace(second.netns, 'ip', 'link', 'delete', 'second0')
  assert.throws(() => counting.counters(), { code: 'INTERFACE_REMOVED', message: /^second1: / })
  counting.close()
  const counters = counting.counters()
  assertSums(counters)
  assert.deepEqual([counters.packets, counters.seconds], [50, counting.counters().seconds])
  assert.equal(hasXdpProgram(testbed.receiver), false)
})

/** Ids of the links that this process holds: other tests may run on this machine, and theirs are not to be touched. */
function ownLinks(): string[] {
  return readdirSync('/proc/self/fdinfo').flatMap((fd) => {
    try {
      return /^link_id:\s+(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'))?.[1] ?? []
    } catch {
      return []
    }
  })
}

live('a program that someone else takes off: an error', () => {
  using testbed = createTestbed()
  using counting = countOn(testbed.receiver)
  const links = ownLinks()
  assert.equal(links.length, 1)
  inNamespace(testbed.receiver.netns, 'bpftool', 'link', 'detach', 'id', links[0] as string)
  assert.throws(() => counting.counters(), { code: 'XDP_REFUSED', message: /was taken off/ })
})

/** The kernel, but for its n-th call, which fails. `failed` names that call. */
function failing(n: number, errno: number): Kernel & { failed: string | undefined } {
  const real = openKernel()
  let left = n
  const kernel = { ...real, failed: undefined as string | undefined }
  // Undoing must work, and the answers of these are no errno.
  const cannotFail = new Set(['close', 'addressOf', 'setns', 'membarrier'])
  for (const [name, call] of Object.entries(real) as [string, unknown][]) {
    if (typeof call !== 'function' || cannotFail.has(name)) continue
    Object.assign(kernel, {
      [name]: (...values: unknown[]) => {
        if (--left !== 0) return (call as (...values: unknown[]) => unknown)(...values)
        kernel.failed = name === 'bpf' ? `bpf(${values[0]})` : name
        return -errno
      },
    })
  }
  return kernel
}

for (const errno of [ENOMEM, EPERM, EINVAL]) {
  live(`each call in turn fails with errno ${errno}: an error that says so or a way around it, and nothing is left`, (t) => {
    using testbed = createTestbed()
    const open = (kernel: Kernel) => {
      using counting = countInKernelWith(kernel, testbed.receiver)
      return counting.counters().interfaces[0]?.mode
    }
    open(openKernel())
    const before = openDescriptors().length
    const survived = new Set<string>()
    let refused = 0
    for (let n = 1; ; n++) {
      const kernel = failing(n, errno)
      try {
        const mode = open(kernel)
        if (kernel.failed === undefined) break
        survived.add(`${kernel.failed}: ${mode}`)
      } catch (error) {
        assert.ok(error instanceof CaptureError, `${kernel.failed}: ${error instanceof Error ? error.stack : error}`)
        // SIOCGIFNAME says only that it has no name for it.
        assert.ok(error.errno === errno || error.code === 'INTERFACE_REMOVED', `${kernel.failed}: ${error.message}`)
        refused++
      }
      assert.equal(openDescriptors().length, before, `${kernel.failed}, call ${n}, leaves a descriptor`)
      assert.deepEqual([promiscuity(testbed.receiver), hasXdpProgram(testbed.receiver)], [0, false], `${kernel.failed}, call ${n}`)
    }
    t.diagnostic(`${refused} calls whose failure is an error; it goes on without ${[...survived].join(', ')}`)
    assert.ok(refused > 5)
  })
}

interface Running {
  child: ChildProcess
  lines: Record<string, unknown>[]
  ended: Promise<{ status: number | null; stdout: string; stderr: string }>
}

/** `ringtap count`, as its users run it. */
function ringtapCount(end: TestbedEnd, ...options: string[]): Running {
  const child = spawn(process.execPath, [MAIN, 'count', '-i', end.interface, '--netns', end.netns, ...options], { stdio: ['ignore', 'pipe', 'pipe'] })
  const texts: string[] = []
  const lines: Record<string, unknown>[] = []
  createInterface({ input: child.stdout }).on('line', (line) => {
    texts.push(line)
    if (line.startsWith('{')) lines.push(JSON.parse(line) as Record<string, unknown>)
  })
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  const ended = once(child, 'close').then(([status]) => ({ status: status as number | null, stdout: texts.map((line) => `${line}\n`).join(''), stderr }))
  return { child, lines, ended }
}

describe('ringtap count', () => {
  for (const options of [[], ['--drop'], ['--xdp-mode', 'generic'], ['-q', '--drop']]) {
    live(`${options.join(' ') || 'without options'}: all that was sent after the start is in the summary`, async () => {
      using testbed = createTestbed()
      const running = ringtapCount(testbed.receiver, '--json', '--interval', '100ms', ...options)
      await until('it has started', () => running.lines.length > 0)
      assert.deepEqual(running.lines[0], {
        type: 'start',
        interfaces: [{ interface: testbed.receiver.interface, mode: options.includes('generic') ? 'generic' : 'native', tried: [] }],
        netns: testbed.receiver.netns,
        drop: options.includes('--drop'),
        promiscuous: true,
      })
      await using flood = await startFlood({ ...testbed.sender, kind: 'mix', count: COUNT })
      await flood.finished
      const wire = await settledWire(testbed)
      running.child.kill('SIGINT')
      const { status, stderr } = await running.ended
      assert.deepEqual([status, stderr], [0, ''])
      const summary = running.lines.at(-1) as unknown as KernelCounters & { type: string; cpuUserMs: number; cpuSystemMs: number }
      assert.equal(summary.type, 'summary')
      assertSums(summary)
      assert.deepEqual([summary.packets, summary.bytes], [wire.received, wire.received * FRAME_BYTES])
      assert.ok(summary.cpuUserMs + summary.cpuSystemMs > 0 && summary.seconds > 0)
      const intervals = running.lines.filter(({ type }) => type === 'interval')
      if (options.includes('-q')) return assert.equal(intervals.length, 0)
      assert.equal(
        intervals.reduce((sum, it) => sum + Number(it.packets), 0),
        summary.packets,
      )
      const last = intervals.at(-1) as { total: KernelCounters } | undefined
      assert.deepEqual(last?.total.classes, summary.classes)
    })
  }

  live('for a person: a line an interval on stdout, the rest on stderr', async () => {
    using testbed = createTestbed()
    using sender = new RawSender(testbed.sender)
    const running = ringtapCount(testbed.receiver, '--interval', '200ms', '-v', '-p', '--drop')
    await until('it has started', () => hasXdpProgram(testbed.receiver))
    assert.equal(promiscuity(testbed.receiver), 0)
    // The start is told when it counts; attached is a moment before.
    await sleep(300)
    sender.sendNumbered(100)
    await sleep(400)
    running.child.kill('SIGTERM')
    const { status, stdout, stderr } = await running.ended
    assert.equal(status, 0)
    assert.match(stdout, /^ {4}0\.2s {6}0 pps {6}0 bit\/s\n/)
    assert.match(stdout, /\n {4}0\.\ds +\d+ pps +\d+(\.\d+)? kbit\/s {2}other \d+ pps\n {10}cpu \d +\d+ pps/)
    assert.match(stderr, /^counting on mirror0 \(native XDP\), packets are dropped, namespace /)
    assert.match(stderr, /\nCLASS +PACKETS +BYTES\nother +100 +6000\ntotal +100 +6000\ncpu \d: \d+ packets?,/)
  })

  live('-c and --duration end it', async () => {
    using testbed = createTestbed()
    const lines = await ringtapCount(testbed.receiver, '-c', '3', '--interval', '20ms').ended
    assert.deepEqual([lines.status, lines.stdout.split('\n').length], [0, 4])
    const timed = await ringtapCount(testbed.receiver, '--duration', '100ms', '-q').ended
    assert.deepEqual([timed.status, timed.stdout], [0, ''])
  })

  live('kill -9 leaves no program and no promiscuous mode', async () => {
    using testbed = createTestbed()
    for (const mode of MODES) {
      const running = ringtapCount(testbed.receiver, '--json', '--xdp-mode', mode)
      await until('it has started', () => running.lines.length > 0)
      assert.deepEqual([hasXdpProgram(testbed.receiver), promiscuity(testbed.receiver)], [true, 1])
      running.child.kill('SIGKILL')
      await running.ended
      await until('nothing is left', () => !hasXdpProgram(testbed.receiver) && promiscuity(testbed.receiver) === 0)
    }
  })

  live('an interface that goes down and is deleted: events, the counts, an error', async () => {
    using testbed = createTestbed()
    const second = addSecond(testbed)
    for (const json of [false, true]) {
      if (json) addSecond(testbed)
      using sender = new RawSender(second)
      const running = ringtapCount({ ...second, interface: 'second1' }, '--interval', '50ms', ...(json ? ['--json'] : []))
      await until('it has started', () => hasXdpProgram({ ...second, interface: 'second1' }))
      await sleep(300)
      sender.sendNumbered(20)
      await sleep(100)
      inNamespace(second.netns, 'ip', 'link', 'set', 'second1', 'down')
      await sleep(200)
      inNamespace(second.netns, 'ip', 'link', 'delete', 'second0')
      const { status, stderr } = await running.ended
      assert.equal(status, 1)
      if (json) {
        assert.deepEqual(
          running.lines.filter(({ type }) => type === 'event'),
          [{ type: 'event', event: 'interface-down', interface: 'second1' }],
        )
        assert.deepEqual([running.lines.at(-1)?.type, running.lines.at(-1)?.code], ['error', 'INTERFACE_REMOVED'])
      } else {
        assert.match(
          stderr,
          /\nringtap: second1 went down\n {2}.*\nCLASS .*\nother +20 +1200\ntotal +20 +1200\nringtap: second1: the interface was removed\n {2}/,
        )
      }
    }
  })

  live('bad input: one line, a hint, the right exit status', async () => {
    using testbed = createTestbed()
    inNamespace(testbed.receiver.netns, 'ip', 'link', 'set', 'lo', 'up')
    const lo = { ...testbed.receiver, interface: 'lo' }
    const cases: [end: TestbedEnd, options: string[], status: number, stderr: RegExp][] = [
      [{ ...lo, interface: 'nosuch0' }, [], 1, /^ringtap: .*nosuch0.*\n {2}ringtap interfaces .*\n$/],
      [{ ...lo, netns: 'nosuch' }, [], 1, /^ringtap: no network namespace 'nosuch'.*\n {2}.*\n$/],
      [lo, ['--drop'], 2, /^ringtap: .*--drop .*lo is no veth.*127\.0\.0\.1.*\n {2}--exclusive .*\n$/],
      [lo, ['--xdp-mode', 'native'], 3, /^ringtap: .*no native XDP.*\n {2}generic XDP .*\n$/],
      [lo, ['--xdp-mode', 'zero-copy'], 2, /^ringtap: --xdp-mode: expected one of auto, native, generic/],
      [lo, ['-i', 'lo'], 2, /^ringtap: .*--interface .*lo stands there twice/s],
    ]
    for (const [end, options, expected, message] of cases) {
      const { status, stdout, stderr } = await ringtapCount(end, ...options).ended
      assert.match(stderr, message, options.join(' '))
      assert.deepEqual([status, stdout], [expected, ''], options.join(' '))
    }
  })

  live('CAP_NET_RAW, CAP_NET_ADMIN and CAP_BPF are enough; without them it says so, and how to get them', () => {
    using testbed = createTestbed()
    const run = (...capabilities: string[]) => {
      const set = ['-all', ...capabilities.map((it) => `+${it}`)].join(',')
      const limits = ['--reuid=65534', '--clear-groups', `--inh-caps=${set}`, `--ambient-caps=${set}`, `--bounding-set=${set}`]
      const command = [process.execPath, MAIN, 'count', '-i', testbed.receiver.interface, '--json', '--duration', '50ms']
      return spawnSync('nsenter', [`--net=${testbed.receiver.netns}`, 'setpriv', ...limits, ...command], { encoding: 'utf8' })
    }
    const enough = run('net_raw', 'net_admin', 'bpf')
    assert.deepEqual([enough.status, enough.stderr], [0, ''])
    assert.match(enough.stdout, /"mode":"native"/)
    for (const missing of [['net_admin', 'bpf'], ['net_raw', 'net_admin'], ['net_raw', 'bpf'], []]) {
      const { status, stderr } = run(...missing)
      assert.equal(status, 3, `${missing}: ${stderr}`)
      assert.match(stderr, /^ringtap: .*permission denied, CAP_.*\n {2}.*setcap/, `${missing}`)
    }
  })
})
