/** Filters in the kernel: what each backend takes, frame for frame, is what tcpdump and our own matcher say of the same frames. */
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, describe } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { CaptureOptions, CaptureSummary } from '#src/capture/api.js'
import { packets } from '#src/capture/packets.js'
import { FilterError } from '#src/filter/filter-error.js'
import { LINK_TYPES } from '#src/filter/link-type.js'
import { compileFilter } from '#src/index.js'
import { createTestbed, startFlood, type Testbed } from '#src/testbed/index.js'
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
  settledWire,
  udpFrame,
  until,
} from '../support/live.js'
import { pcapFile } from '../support/pcap-file.js'
import type { Collected } from './handlers/collect.js'

const EXPRESSION = 'tcp[tcpflags] & tcp-syn != 0 and dst port 80'
const COLLECT = { handler: handlerUrl('collect') }
const folder = mkdtempSync(join(tmpdir(), 'ringtap-filter-'))
after(() => rmSync(folder, { recursive: true, force: true }))

type Shape = [name: string, options: Omit<CaptureOptions, 'interface'>]
const SHAPES: Shape[] = [
  ['ring', { backend: 'ring' }],
  ['ring, 2 workers', { backend: 'ring', workers: 2, fanout: 'hash' }],
  ['recv', { backend: 'recv' }],
  ['recv, 2 workers', { backend: 'recv', workers: 2, fanout: 'lb' }],
  ['xdp', { backend: 'xdp' }],
  ['xdp, generic', { backend: 'xdp', xdpMode: 'generic' }],
]

function tcpFrame(number: number, flags: number, destinationPort: number): Uint8Array {
  const frame = udpFrame(40_000 + (number % 1000), number, destinationPort)
  frame[23] = 6
  frame.set([0x50, flags], 46)
  return frame
}

function withTag(frame: Uint8Array, id: number, tpid = 0x8100): Uint8Array {
  return Uint8Array.of(...frame.subarray(0, 12), tpid >> 8, tpid & 0xff, id >> 8, id & 0xff, ...frame.subarray(12))
}

const SYN = 2
const ACK = 16
/** Some match, most nearly do; 42 to 45 are the number, which TCP has no use for. */
const FRAMES: Uint8Array[] = Array.from({ length: 400 }, (_, number) => {
  switch (number % 8) {
    case 0:
      return tcpFrame(number, SYN, 80)
    case 1:
      return tcpFrame(number, SYN | ACK, 80)
    case 2:
      return tcpFrame(number, ACK, 80)
    case 3:
      return tcpFrame(number, SYN, 443)
    case 4:
      return udpFrame(80, number, 80)
    case 5: {
      const fragment = tcpFrame(number, SYN, 80)
      fragment[21] = 3
      return fragment
    }
    case 6:
      return withTag(tcpFrame(number, SYN, 80), number % 3)
    default:
      return withTag(withTag(tcpFrame(number, SYN, 80), 7), number % 3, 0x88a8)
  }
})

/** As a capture file; what `tcpdump -r` says of how many match. */
function tcpdumpCount(frames: readonly Uint8Array[], expression: string): number {
  const file = join(folder, 'frames.pcap')
  writeFileSync(file, pcapFile(LINK_TYPES.EN10MB.dlt, frames))
  const { stdout, stderr } = spawnSync('tcpdump', ['-Z', 'root', '--count', '-r', file, expression], { encoding: 'utf8' })
  const count = /^(\d+) packets?$/m.exec(stdout)?.[1]
  assert.ok(count !== undefined, stderr)
  return Number(count)
}

/** Without its outermost tag. */
function untagged(frame: Uint8Array): Uint8Array {
  return [0x8100, 0x88a8].includes((frame[12] << 8) | frame[13]) ? Uint8Array.of(...frame.subarray(0, 12), ...frame.subarray(16)) : frame
}

/**
 * Of frames as XDP sees them; or as a socket does, whose filter finds the outermost tag only where it asks for one: the kernel has
 * taken it out of the frame, so what does not ask takes tagged packets for untagged ones, as tcpdump does on a live interface.
 */
function expected(frames: readonly Uint8Array[], expression: string, by: 'socket' | 'xdp'): Uint8Array[] {
  const { matches } = compileFilter(expression)
  const seen = by === 'socket' && !expression.includes('vlan') ? untagged : (frame: Uint8Array) => frame
  const found = frames.filter((frame) => matches(seen(frame)))
  assert.equal(found.length, tcpdumpCount(frames.map(seen), expression), expression)
  assert.ok(found.length > 0 && found.length < frames.length, expression)
  return found
}

const sorted = (frames: readonly Uint8Array[]) => frames.map((frame) => Buffer.from(frame).toString('hex')).sort()

describe('what it takes, frame for frame', () => {
  const expressions = [EXPRESSION, 'udp', 'vlan', 'vlan 2', 'vlan and tcp port 80', 'vlan and vlan 7 and dst port 80', 'not tcp', 'greater 63']
  for (const [name, options] of SHAPES) {
    live(name, async () => {
      for (const filter of expressions) {
        using testbed = createTestbed({ queues: 2 })
        using sender = new RawSender(testbed.sender)
        const by = options.backend === 'xdp' ? 'xdp' : 'socket'
        const wanted = expected(FRAMES, filter, by)
        await using capture = await openOn(testbed, { ...options, ...COLLECT, filter })
        assert.equal(capture.plan.filter, filter)
        sender.send(...FRAMES)
        await caughtUp(capture, wanted.length)
        if (by === 'xdp') await until('the rest is filtered', () => capture.counters().filtered === FRAMES.length - wanted.length)
        else await sleep(20)
        const summary = await capture.stop()
        assertAccount(summary, wanted.length)
        const collected = (await capture.snapshot<Collected[]>()) ?? []
        assert.deepEqual(sorted(collected.map(({ frame }) => frame)), sorted(wanted), filter)
        assert.equal(summary.filtered, by === 'xdp' ? FRAMES.length - wanted.length : 0, filter)
      }
    })
  }
})

describe('a flood', () => {
  const COUNT = 20_000
  for (const [name, options] of SHAPES.filter(([name]) => name !== 'recv, 2 workers')) {
    live(name, async () => {
      using testbed = createTestbed({ queues: 2 })
      // It sees the frames that xdp leaves, and all of them beside a socket.
      await using beside = await openOn(testbed, { backend: 'ring', ...COLLECT })
      await using capture = await openOn(testbed, { ...options, filter: EXPRESSION, ringBytes: options.backend === 'recv' ? undefined : 2 ** 26 })
      await using flood = await startFlood({ ...testbed.sender, kind: 'mix', ratePps: 40_000, count: COUNT, seed: 7 })
      await flood.finished
      const { received } = await settledWire(testbed)
      const takesAway = options.backend === 'xdp'
      await until('all is seen', () => {
        const now = capture.counters()
        return beside.counters().offered === (takesAway ? received - now.packets : received) && now.packets > 0
      })
      await sleep(50)
      const summary = await capture.stop()
      const others = await beside.stop()
      const frames = ((await beside.snapshot<Collected[]>()) ?? []).map(({ frame }) => frame)
      assertAccount(summary, summary.offered)
      assertAccount(others, takesAway ? received - summary.offered : received)
      assert.equal(others.dropped + summary.dropped, 0)
      if (takesAway) {
        const { matches } = compileFilter(EXPRESSION)
        assert.ok(!frames.some((frame) => matches(frame)))
        assert.equal(tcpdumpCount(frames, EXPRESSION), 0)
        assert.equal(summary.filtered, frames.length)
      } else assert.equal(summary.packets, expected(frames, EXPRESSION, 'socket').length)
      // Half of the mix are SYNs.
      assert.ok(Math.abs(summary.packets - received / 2) < received / 20, `${summary.packets} of ${received}`)
    })
  }
})

live('recv cuts for itself where nobody looks at packets: their length on the wire is right', async () => {
  using testbed = createTestbed()
  using sender = new RawSender(testbed.sender)
  await using capture = await openOn(testbed, { backend: 'recv', snapLengthBytes: 40, filter: 'udp' })
  sender.send(...FRAMES)
  const wanted = expected(FRAMES, 'udp', 'socket')
  await caughtUp(capture, wanted.length)
  const summary = await capture.stop()
  assertAccount(summary, wanted.length)
  assert.deepEqual([summary.bytes, summary.truncated], [wanted.length * 60, wanted.length])
})

live('a filter and a snap length: what matches is cut to it', async () => {
  for (const backend of ['ring', 'recv', 'xdp'] as const) {
    using testbed = createTestbed()
    using sender = new RawSender(testbed.sender)
    await using capture = await openOn(testbed, { backend, snapLengthBytes: 40, filter: 'udp', ...COLLECT })
    sender.send(...FRAMES)
    await caughtUp(capture, 50)
    const summary = await capture.stop()
    assertAccount(summary, 50)
    const collected = (await capture.snapshot<Collected[]>()) ?? []
    assert.deepEqual([...new Set(collected.map((it) => `${it.capturedLength} of ${it.wireLength}`))], ['40 of 60'], backend)
    assert.equal(summary.truncated, 50)
  }
})

live('with a direction both hold', async () => {
  for (const [direction, found] of [
    ['in', 0],
    ['out', 50],
    ['inout', 50],
  ] as const) {
    for (const workers of [1, 2]) {
      using testbed = createTestbed()
      using sender = new RawSender(testbed.sender)
      await using capture = await openOn({ ...testbed, receiver: testbed.sender } as Testbed, {
        direction,
        filter: 'udp and outbound',
        workers,
        ...(workers > 1 ? { fanout: 'rnd' as const } : {}),
      })
      sender.send(...FRAMES)
      await caughtUp(capture, found)
      await sleep(50)
      assertAccount(await capture.stop(), found)
    }
  }
})

live('hardware hints: the filter comes first', async () => {
  using testbed = createTestbed({ queues: 2 })
  using sender = new RawSender(testbed.sender)
  await using capture = await openOn(testbed, { backend: 'xdp', hardwareHints: true, filter: EXPRESSION, ...COLLECT })
  sender.send(...FRAMES)
  const wanted = expected(FRAMES, EXPRESSION, 'xdp')
  await caughtUp(capture, wanted.length)
  await until('the rest is filtered', () => capture.counters().filtered === FRAMES.length - wanted.length)
  const summary = await capture.stop()
  assertAccount(summary, wanted.length)
  assert.equal(summary.filtered, FRAMES.length - wanted.length)
})

live('ip broadcast is that of the interface’s network', async () => {
  for (const backend of ['ring', 'xdp'] as const) {
    using testbed = createTestbed({ queues: 1 })
    using sender = new RawSender(testbed.sender)
    inNamespace(testbed.receiver.netns, 'ip', 'address', 'add', '10.1.2.3/24', 'dev', testbed.receiver.interface)
    await using capture = await openOn(testbed, { backend, exclusive: true, filter: 'udp and ip broadcast', ...COLLECT })
    const to = (...address: number[]) => {
      const frame = udpFrame(1, 1)
      frame.set(address, 30)
      return frame
    }
    sender.send(to(10, 1, 2, 3), to(10, 1, 2, 255), to(10, 1, 255, 1), to(255, 255, 255, 255))
    await caughtUp(capture, 2)
    await sleep(30)
    assertAccount(await capture.stop(), 2)
    const found = ((await capture.snapshot<Collected[]>()) ?? []).map(({ frame }) => [...frame.subarray(30, 34)].join('.'))
    assert.deepEqual(found.sort(), ['10.1.2.255', '255.255.255.255'], backend)
  }
})

live('packets() takes one', async () => {
  using testbed = createTestbed()
  using sender = new RawSender(testbed.sender)
  const wanted = expected(FRAMES, EXPRESSION, 'socket')
  const source = packets({ ...testbed.receiver, filter: EXPRESSION, count: wanted.length })
  const first = source.next()
  await until('the capture is open', () => promiscuity(testbed.receiver) > 0)
  await sleep(50)
  sender.send(...FRAMES)
  const taken = [(await first).value?.bytes as Uint8Array]
  for await (const { bytes } of source) taken.push(bytes)
  assert.deepEqual(sorted(taken), sorted(wanted))
})

live('a filter that is none, or that the kernel has no room for, leaves nothing', async () => {
  using testbed = createTestbed()
  const before = openDescriptors().length
  await assert.rejects(openOn(testbed, { backend: 'xdp', filter: 'tcp port htpp' }), FilterError)
  const long = Array.from({ length: 2500 }, (_, i) => `ether[${i}] = ${i % 250}`).join(' or ')
  for (const backend of ['ring', 'xdp'] as const) await assert.rejects(openOn(testbed, { backend, filter: long }), { name: 'CaptureError' })
  assert.equal(hasXdpProgram(testbed.receiver), false)
  assert.equal(openDescriptors().length, before)
})

describe('ringtap capture', () => {
  const MAIN = fileURLToPath(new URL('../../../dist/cli/main.js', import.meta.url))
  const file = join(folder, 'syns')
  writeFileSync(file, `# SYNs\n${EXPRESSION.replace(' and ', '\n  and ')}\n`)

  for (const [name, words] of [
    ['an expression of one word', [EXPRESSION]],
    ['an expression of several', EXPRESSION.split(' ')],
    ['-F FILE', ['-F', file]],
  ] as const) {
    for (const backend of ['ring', 'recv', 'xdp']) {
      live(`${name}, ${backend}`, async () => {
        using testbed = createTestbed()
        using sender = new RawSender(testbed.sender)
        const { netns, interface: receiver } = testbed.receiver
        const child = spawn(process.execPath, [MAIN, 'capture', '-i', receiver, '--netns', netns, '--backend', backend, '--json', '-q', ...words], {
          stdio: ['ignore', 'pipe', 'inherit'],
        })
        const documents: Record<string, unknown>[] = []
        const lines = createInterface({ input: child.stdout }).on('line', (line) => documents.push(JSON.parse(line) as Record<string, unknown>))
        await until('packets flow', () => documents.some(({ type }) => type === 'start'))
        sender.send(...FRAMES)
        await sleep(200)
        child.kill('SIGINT')
        await once(lines, 'close')
        const start = documents.find(({ type }) => type === 'start')
        assert.match(String(start?.filter), /tcp-syn/)
        const summary = documents.at(-1) as unknown as CaptureSummary
        assertAccount(summary, expected(FRAMES, EXPRESSION, backend === 'xdp' ? 'xdp' : 'socket').length)
      })
    }
  }

  live('an expression that is none: the place, exit status 2', () => {
    using testbed = createTestbed()
    const { netns, interface: receiver } = testbed.receiver
    const argv = [MAIN, 'capture', '-i', receiver, '--netns', netns, 'tcp port http and (udp']
    const { status, stdout, stderr } = spawnSync(process.execPath, argv, { encoding: 'utf8' })
    assert.deepEqual([status, stdout], [2, ''])
    assert.match(stderr, /^ringtap: .+\n {2}tcp port http and \(udp\n {2} +\^\n$/)
  })
})
