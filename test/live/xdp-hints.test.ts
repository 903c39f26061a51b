/**
 * What the driver tells of packets beside their bytes. A veth tells the VLAN tags that travel beside a frame, as behind a NIC that
 * takes them out; it has no time stamps, so that these come from where stampingKernel() says.
 */
import assert from 'node:assert/strict'
import { describe } from 'node:test'
import type { CaptureEvent, CaptureOptions } from '#src/capture/api.js'
import { openCaptureWith } from '#src/capture/open.js'
import { packets } from '#src/capture/packets.js'
import type { CaptureError } from '#src/errors.js'
import { BPF_ATTR_PROG_LOAD, BPF_F_XDP_DEV_BOUND_ONLY, BPF_F_XDP_HAS_FRAGS, BPF_LINK_CREATE, BPF_PROG_LOAD } from '#src/kernel/abi/bpf.js'
import { SIOCGHWTSTAMP } from '#src/kernel/abi/if.js'
import { EINVAL, EPERM } from '#src/kernel/errno.js'
import { type Kernel, openKernel } from '#src/kernel/system.js'
import { createTestbed, startFlood, type Testbed } from '#src/testbed/index.js'
import {
  assertAccount,
  caughtUp,
  handlerUrl,
  hasXdpProgram,
  inNamespace,
  live,
  numberedFrame,
  openDescriptors,
  RawSender,
  range,
  settledWire,
  until,
} from '../support/live.js'
import { NO_STAMP, stampedBy, stampingKernel } from '../support/stamping-kernel.js'
import { asksForTag, type Tag, tagPacketsOf } from '../support/tagger.js'
import type { Checked } from './handlers/check-frame.js'
import type { Collected } from './handlers/collect.js'

const HINTS = { backend: 'xdp', hardwareHints: true } as const
const COLLECT = { handler: handlerUrl('collect') }
const RXVLAN = 'mirror0: its driver may take VLAN tags out of frames (rxvlan), and XDP does not see them then'

async function opened(testbed: Testbed, options: Omit<CaptureOptions, 'interface'> = {}, kernel: Kernel = openKernel()) {
  const events: CaptureEvent[] = []
  const capture = await openCaptureWith(kernel, { ...testbed.receiver, ...HINTS, ...COLLECT, onEvent: (event) => events.push(event), ...options })
  const [xdp] = events.flatMap((event) => (event.type === 'xdp' ? [event] : []))
  assert.ok(xdp !== undefined)
  const warnings = events.flatMap((event) => (event.type === 'warning' ? [event.message] : []))
  const hints = events.flatMap((event) => (event.type === 'warning' ? [event.hint] : []))
  return { capture, xdp, warnings, hints }
}

const hexOf = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

function wireOf(frame: Uint8Array, tag: Tag | undefined): string {
  const tpidAndTci = tag === undefined ? [] : [tag.tpid >> 8, tag.tpid & 0xff, tag.tci >> 8, tag.tci & 0xff]
  return hexOf(Uint8Array.from([...frame.subarray(0, 12), ...tpidAndTci, ...frame.subarray(12)]))
}

const TAGS: (Tag | undefined)[] = [
  undefined,
  { tpid: 0x8100, tci: 5 },
  { tpid: 0x88a8, tci: 4094 },
  { tpid: 0x8100, tci: 0xf064 },
  { tpid: 0x8100, tci: 0xa000 },
  { tpid: 0x8100, tci: 0 },
]

/** Frames that ask for each of the tags, without and with a tag of their own, in all lengths that matter. */
function taggedFrames(lengths: readonly number[]): { frame: Uint8Array; tag: Tag | undefined; inner: number | undefined }[] {
  return lengths.flatMap((length, l) =>
    TAGS.flatMap((tag, t) =>
      [undefined, 9].map((inner) => {
        const plain = numberedFrame(100 * l + t, length)
        const frame = inner === undefined ? plain : Uint8Array.from([...plain.subarray(0, 12), 0x81, 0, 0, inner, ...plain.subarray(12)])
        return { frame: asksForTag(frame, tag), tag, inner }
      }),
    ),
  )
}

describe('VLAN tags', () => {
  live('that no frame holds are told with hints, and not without', async () => {
    using testbed = createTestbed({ queues: 1 })
    using sender = new RawSender(testbed.sender)
    using _tags = tagPacketsOf(testbed.sender)
    const frames = taggedFrames([60, 61, 300, 1514])
    for (const hardwareHints of [true, false]) {
      const { capture, xdp, warnings, hints } = await opened(testbed, { hardwareHints })
      assert.deepEqual(xdp.hardwareHints, hardwareHints ? ['timestamp', 'vlan'] : [])
      // Nothing is hidden when the driver tells.
      assert.deepEqual(warnings, hardwareHints ? [] : [RXVLAN])
      if (!hardwareHints) assert.equal(hints[0], 'ethtool -K mirror0 rxvlan off; or --hardware-hints, where the driver has them')
      for (const { frame } of frames) sender.send(frame)
      await caughtUp(capture, frames.length)
      const collected = (await capture.snapshot<Collected[]>()) ?? []
      const summary = await capture.stop()
      assertAccount(summary, frames.length)
      assert.deepEqual(summary.xdp?.[0]?.hardwareHints, xdp.hardwareHints)
      for (const [i, { frame, tag, inner }] of frames.entries()) {
        const { vlanId, vlanTci, vlanTpid, hasVlan, protocol, capturedLength, wireLength, ...seen } = collected[i]
        const outer = hardwareHints && tag !== undefined ? tag : inner === undefined ? undefined : { tpid: 0x8100, tci: inner }
        const told = outer === undefined ? [false, -1, 0, 0] : [true, outer.tci & 0xfff, outer.tci, outer.tpid]
        assert.deepEqual([hasVlan, vlanId, vlanTci, vlanTpid], told, `frame ${i}`)
        // What a packet socket beside us would show: only the outer tag is not part of the frame.
        const isTakenByUs = outer !== undefined && outer !== tag
        const length = frame.length - (isTakenByUs ? 4 : 0)
        assert.deepEqual([capturedLength, wireLength, protocol], [length, length, inner === undefined || isTakenByUs ? 0x88b5 : 0x8100], `frame ${i}`)
        assert.equal(hexOf(seen.frame), wireOf(frame, hardwareHints ? tag : undefined), `frame ${i}`)
        // A veth has no clock.
        assert.equal(seen.timestampSource, 'batch')
        assert.ok(Math.abs(seen.seconds - Date.now() / 1000) < 60)
      }
    }
  })

  live('of jumbo frames, in several chunks', async () => {
    using testbed = createTestbed({ queues: 1, mtu: 9000 })
    using sender = new RawSender(testbed.sender)
    using _tags = tagPacketsOf(testbed.sender)
    const frames = taggedFrames([1790, 1791, 3838, 4096, 9000])
    for (const chunkBytes of [2048, 4096]) {
      const { capture, xdp } = await opened(testbed, { chunkBytes })
      assert.deepEqual([xdp.multiBuffer, xdp.hardwareHints], [true, ['timestamp', 'vlan']])
      for (const { frame } of frames) sender.send(frame)
      await caughtUp(capture, frames.length)
      const collected = (await capture.snapshot<Collected[]>()) ?? []
      assertAccount(await capture.stop(), frames.length)
      for (const [i, { frame, tag, inner }] of frames.entries()) {
        assert.equal(hexOf(collected[i].frame), wireOf(frame, tag), `frame ${i}`)
        assert.equal(collected[i].vlanTci, tag?.tci ?? inner ?? 0, `frame ${i}`)
      }
    }
  })

  live('packets(): the frame as it was on the wire', async () => {
    using testbed = createTestbed({ queues: 1 })
    using sender = new RawSender(testbed.sender)
    using _tags = tagPacketsOf(testbed.sender)
    const frame = asksForTag(numberedFrame(1), { tpid: 0x8100, tci: 77 })
    const iterator = packets({ ...testbed.receiver, ...HINTS, count: 5 })
    const first = iterator.next()
    const timer = setInterval(() => sender.send(frame), 20)
    const seen = [(await first).value]
    for await (const packet of iterator) seen.push(packet)
    clearInterval(timer)
    assert.equal(seen.length, 5)
    for (const packet of seen)
      assert.deepEqual([packet?.vlanId, packet?.wireLength, hexOf(packet?.bytes ?? new Uint8Array())], [77, 64, wireOf(frame, { tpid: 0x8100, tci: 77 })])
  })
})

describe('time stamps', () => {
  live('of the NIC, to the nanosecond; the clock of the batch where it has none', async () => {
    using testbed = createTestbed({ queues: 1 })
    using sender = new RawSender(testbed.sender)
    using _tags = tagPacketsOf(testbed.sender)
    const { capture, xdp, warnings } = await opened(testbed, {}, stampingKernel())
    assert.deepEqual([xdp.mode, xdp.hardwareHints, warnings], ['native', ['timestamp', 'vlan'], []])
    const stamps = [1n, 999_999_999n, 1_000_000_000n, 1_799_999_999_999_999_999n, 1_800_000_000_000_000_000n, 2n ** 32n * 10n ** 9n - 1n, 0n, NO_STAMP]
    const frames = range(500).map((i) => {
      const tag = i % 3 === 0 ? { tpid: 0x8100, tci: 1 + (i % 4000) } : undefined
      return { stamp: stamps[i % stamps.length], tag, frame: asksForTag(stampedBy(numberedFrame(i), stamps[i % stamps.length]), tag) }
    })
    for (const { frame } of frames) sender.send(frame)
    await caughtUp(capture, frames.length)
    const collected = (await capture.snapshot<Collected[]>()) ?? []
    assertAccount(await capture.stop(), frames.length)
    for (const [i, { stamp, tag, frame }] of frames.entries()) {
      const { seconds, nanoseconds, timestampSource, vlanId } = collected[i]
      assert.equal(hexOf(collected[i].frame), wireOf(frame, tag))
      assert.equal(vlanId, tag?.tci ?? -1)
      if (stamp === 0n || stamp === NO_STAMP) {
        assert.equal(timestampSource, 'batch')
        assert.ok(Math.abs(seconds - Date.now() / 1000) < 60)
      } else {
        assert.deepEqual([timestampSource, seconds, nanoseconds], ['hardware', Number(stamp / 10n ** 9n), Number(stamp % 10n ** 9n)], `frame ${i}`)
      }
    }
  })

  live('a chunk that comes again does not bring those of its last packet', async () => {
    using testbed = createTestbed({ queues: 1 })
    using sender = new RawSender(testbed.sender)
    const { capture } = await opened(testbed, { ringBytes: 2 ** 18 }, stampingKernel())
    // More than there are chunks, stamped in turns and in runs.
    const frames = range(2000).map((i) => stampedBy(numberedFrame(i), (i >> Math.floor(i / 500)) % 2 === 0 ? BigInt(1_000_000_007 * (i + 1)) : 0n))
    for (const [i, frame] of frames.entries()) {
      sender.send(frame)
      if (i % 32 === 31) await caughtUp(capture, i + 1)
    }
    await caughtUp(capture, frames.length)
    const collected = (await capture.snapshot<Collected[]>()) ?? []
    assertAccount(await capture.stop(), frames.length)
    for (const [i, frame] of frames.entries()) {
      const stamp = new DataView(frame.buffer).getBigUint64(18, true)
      const { seconds, nanoseconds, timestampSource } = collected[i]
      if (stamp === 0n) assert.equal(timestampSource, 'batch', `frame ${i}`)
      else assert.deepEqual([timestampSource, BigInt(seconds) * 10n ** 9n + BigInt(nanoseconds)], ['hardware', stamp], `frame ${i}`)
    }
  })
})

live('a NIC that is not told to stamp packets: how to tell it', async () => {
  using testbed = createTestbed()
  const kernel = openKernel()
  // What a driver with a clock answers before anybody has asked it for stamps: struct hwtstamp_config stays all zeros.
  const ioctl: Kernel['ioctl'] = (fd, request, argument) => (request === SIOCGHWTSTAMP ? 0 : kernel.ioctl(fd, request, argument))
  const { capture, warnings, hints } = await opened(testbed, {}, { ...kernel, ioctl })
  assert.deepEqual(warnings, ['mirror0: no time stamps from the NIC yet: it is not told to stamp packets (rx_filter none)'])
  assert.deepEqual(hints, ['hwstamp_ctl -i mirror0 -r 1'])
  await capture.stop()
})

/** The kernel, but `refuse` answers an errno for a call of bpf(2) that is to fail. */
function refusing(refuse: (command: number, attributes: DataView) => number): Kernel {
  const kernel = openKernel()
  return {
    ...kernel,
    bpf(command, attributes) {
      const errno = refuse(command, new DataView(attributes.buffer, attributes.byteOffset))
      return errno === 0 ? kernel.bpf(command, attributes) : -errno
    },
  }
}

const flagsOf = (command: number, attributes: DataView) => (command === BPF_PROG_LOAD ? attributes.getUint32(BPF_ATTR_PROG_LOAD.prog_flags, true) : 0)
const isBound = (flags: number) => (flags & BPF_F_XDP_DEV_BOUND_ONLY) !== 0
const NONE = 'mirror0: no time stamps and no VLAN tags from the NIC'

/** The capture works, without hints, and says why. */
async function goesOn(testbed: Testbed, options: Omit<CaptureOptions, 'interface'>, why: RegExp, kernel?: Kernel): Promise<void> {
  const before = openDescriptors().length
  using sender = new RawSender(testbed.sender)
  const { capture, xdp, warnings } = await opened(testbed, options, kernel)
  assert.deepEqual([xdp.hardwareHints, warnings.length, warnings[1]], [[], 2, RXVLAN])
  assert.match(warnings[0], why)
  sender.sendNumbered(50)
  await caughtUp(capture, 50)
  const summary = await capture.stop()
  assertAccount(summary, 50)
  assert.equal(summary.packets, 50)
  assert.ok(!hasXdpProgram(testbed.receiver))
  sender.close()
  assert.equal(openDescriptors().length, before)
}

describe('where there are none the capture goes on, and says why', () => {
  live('generic mode', async () => {
    using testbed = createTestbed()
    await goesOn(testbed, { xdpMode: 'generic' }, new RegExp(`^${NONE}: generic mode has none$`))
  })

  live('native mode that does not go, so that it is generic', async () => {
    // A veth whose other end sends from more queues than it receives on has no native mode.
    using testbed = createTestbed({ queues: 2 })
    inNamespace(testbed.receiver.netns, 'ethtool', '-L', testbed.receiver.interface, 'rx', '1')
    await goesOn(testbed, {}, new RegExp(`^${NONE}: generic mode has none$`))
  })

  live('a kernel that refuses the program', async () => {
    using testbed = createTestbed()
    const kernel = refusing((command, attributes) => (isBound(flagsOf(command, attributes)) ? EINVAL : 0))
    const refusal = /: the kernel refused the program: ringtap_xsk: bpf\(BPF_PROG_LOAD, xdp, \d+ instructions, flags 0x40\): EINVAL \(invalid argument\)$/
    await goesOn(testbed, {}, refusal, kernel)
  })

  live('a kernel that refuses to attach it', async () => {
    using testbed = createTestbed()
    let links = 0
    const kernel = refusing((command) => (command === BPF_LINK_CREATE && ++links === 1 ? EINVAL : 0))
    await goesOn(testbed, {}, /: the kernel refused the program: mirror0: bpf\(BPF_LINK_CREATE, BPF_XDP, native\): EINVAL \(invalid argument\)$/, kernel)
  })

  live('a driver that has none', async () => {
    using testbed = createTestbed()
    const { netns } = testbed.receiver
    inNamespace(netns, 'ip', 'tuntap', 'add', 'dev', 'tap0', 'mode', 'tap')
    inNamespace(netns, 'ip', 'link', 'set', 'tap0', 'up')
    const { capture, warnings, xdp } = await opened(testbed, { interface: 'tap0' } as object)
    assert.deepEqual([xdp.hardwareHints, warnings[0]], [[], 'tap0: no time stamps and no VLAN tags from the NIC: its driver gives XDP programs none'])
    await capture.stop()
  })
})

live('Linux 6.3 to 6.6: hints, or frames of several buffers', async () => {
  const before67 = refusing((command, attributes) => {
    const flags = flagsOf(command, attributes)
    return isBound(flags) && (flags & BPF_F_XDP_HAS_FRAGS) !== 0 ? EINVAL : 0
  })
  {
    using testbed = createTestbed({ queues: 1 })
    using sender = new RawSender(testbed.sender)
    using _tags = tagPacketsOf(testbed.sender)
    const { capture, xdp, warnings } = await opened(testbed, {}, before67)
    assert.deepEqual([xdp.multiBuffer, xdp.hardwareHints, warnings], [false, ['timestamp', 'vlan'], []])
    const tag = { tpid: 0x8100, tci: 5 }
    sender.send(asksForTag(numberedFrame(1, 1514), tag))
    await caughtUp(capture, 1)
    const [{ frame }] = (await capture.snapshot<Collected[]>()) ?? []
    assert.equal(hexOf(frame), wireOf(asksForTag(numberedFrame(1, 1514), tag), tag))
    await capture.stop()
  }
  using testbed = createTestbed({ mtu: 9000 })
  await goesOn(testbed, {}, new RegExp(`^${NONE}: the kernel refused the program: .*flags 0x60\\): EINVAL`), before67)
  using sender = new RawSender(testbed.sender)
  const { capture, xdp } = await opened(testbed, {}, before67)
  assert.equal(xdp.multiBuffer, true)
  sender.send(numberedFrame(1, 9014))
  await caughtUp(capture, 1)
  assert.deepEqual([(await capture.snapshot<Collected[]>())?.[0]?.capturedLength, (await capture.stop()).packets], [9014, 1])
})

live('what keeps any program from being loaded is an error still', async () => {
  using testbed = createTestbed()
  const kernel = refusing((command) => (command === BPF_PROG_LOAD ? EPERM : 0))
  await assert.rejects(opened(testbed, {}, kernel), { code: 'PERMISSION' })
  assert.ok(!hasXdpProgram(testbed.receiver))
})

live('a flood: each frame is delivered whole, or named', async (t) => {
  using testbed = createTestbed()
  const flooded = async (options: Omit<CaptureOptions, 'interface'>, count: number, ratePps?: number) => {
    const before = testbed.wire().received
    const { capture } = await opened(testbed, options)
    await using flood = await startFlood({ ...testbed.sender, count, ...(ratePps === undefined ? {} : { ratePps }) })
    await flood.finished
    const received = (await settledWire(testbed)).received - before
    await until('every packet is accounted for', () => {
      const { offered, packets, dropped } = capture.counters()
      return offered === received && packets + dropped === received
    })
    const checked = await capture.snapshot<Checked>()
    const summary = await capture.stop()
    assertAccount(summary, received)
    t.diagnostic(`${summary.packets} delivered, drops ${JSON.stringify(summary.drops)}`)
    return { summary, checked }
  }
  await flooded({ handler: undefined }, 2_000_000)
  const handlerData = { frameBytes: 60, snapLengthBytes: 262_144, notBeforeMs: Date.now() - 1000 }
  const { summary, checked } = await flooded({ handler: handlerUrl('check-packet'), handlerData }, 200_000, 100_000)
  assert.deepEqual([checked?.packets, checked?.bad, checked?.firstBad], [summary.packets, 0, ''])
  assert.ok(summary.packets > 0)
})

live('a worker that dies is replaced', async () => {
  using testbed = createTestbed({ queues: 1 })
  using sender = new RawSender(testbed.sender)
  let replaced = 0
  const onEvent = (event: CaptureEvent) => {
    if (event.type === 'worker-replaced') replaced++
  }
  const options = { handler: handlerUrl('misbehave'), handlerData: { where: 'packet', at: [20, 50] }, workerRestarts: 2, onEvent }
  const capture = await openCaptureWith(stampingKernel(), { ...testbed.receiver, ...HINTS, ...options })
  for (const half of [0, 1]) {
    for (const i of range(40, 40 * half)) sender.send(stampedBy(numberedFrame(i), 5n))
    await until('a new one is there', () => replaced === half + 1)
  }
  sender.send(stampedBy(numberedFrame(99), 5n))
  await caughtUp(capture, 81)
  assertAccount(await capture.stop(), 81)
})

live('the interface is deleted under it', async () => {
  using testbed = createTestbed()
  const before = openDescriptors().length
  const { capture } = await opened(testbed)
  inNamespace(testbed.receiver.netns, 'ip', 'link', 'del', testbed.receiver.interface)
  await assert.rejects(capture.finished, (error: CaptureError) => error.code === 'INTERFACE_REMOVED')
  assert.equal(openDescriptors().length, before)
})

live('opened and closed again and again, nothing is left', async () => {
  using testbed = createTestbed()
  await (await opened(testbed)).capture.stop()
  const before = openDescriptors().length
  for (const xdpMode of ['auto', 'native', 'generic', 'auto', 'native', 'generic'] as const) {
    const { capture } = await opened(testbed, { xdpMode })
    await capture.stop()
    assert.ok(!hasXdpProgram(testbed.receiver))
  }
  assert.equal(openDescriptors().length, before)
})
