/** Opening what sends: the order of the calls, every way in which one can fail, and the options. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { CaptureError } from '#src/errors.js'
import * as interfaces from '#src/kernel/abi/if.js'
import * as packet from '#src/kernel/abi/if_packet.js'
import * as xdp from '#src/kernel/abi/if_xdp.js'
import * as socket from '#src/kernel/abi/socket.js'
import { EBUSY, EINVAL, ENOMEM, ENOTSUPP, EPERM } from '#src/kernel/errno.js'
import { TRANSMIT_BACKENDS } from '#src/transmit/sender.js'
import { openTransmitter, type TransmitOptions, type TransmitterOptions } from '#src/transmit/transmitter.js'
import { type FakeKernel, fakeKernel } from '../../support/fake-kernel.js'
import { MemoryPackets } from '../../support/memory-packets.js'
import { tracingKernel } from '../../support/tracing-kernel.js'

const INDEX = 7
const RUNNING = interfaces.IFF_UP | interfaces.IFF_RUNNING

interface Machine {
  flags?: number
  mtu?: number
}

/** A kernel with one interface, veth0, that sends all it is given. */
function machine({ flags = RUNNING, mtu = 1500 }: Machine = {}): FakeKernel {
  const kernel = fakeKernel()
  kernel.answer('ioctl', (_fd, request, argument) => {
    const view = new DataView(argument.buffer, argument.byteOffset)
    if (request === interfaces.SIOCGIFINDEX) view.setInt32(interfaces.IFREQ.ifr_ifindex, INDEX, true)
    else if (request === interfaces.SIOCGIFFLAGS) view.setUint16(interfaces.IFREQ.ifr_flags, flags, true)
    else if (request === interfaces.SIOCGIFHWADDR) view.setUint16(interfaces.IFREQ.ifr_hwaddr, socket.ARPHRD_ETHER, true)
    else if (request === interfaces.SIOCGIFMTU) view.setInt32(interfaces.IFREQ.ifr_mtu, mtu, true)
    return 0
  })
  kernel.answer('getsockopt', (_fd, level, option, value) => {
    const words = new BigUint64Array(value.buffer, value.byteOffset, value.byteLength / 8)
    if (level === socket.SOL_XDP && option === xdp.XDP_MMAP_OFFSETS) {
      for (let ring = 0; ring < 4; ring++) words.set([0n, 64n, 192n, 128n], ring * 4)
    }
    return value.byteLength
  })
  return kernel
}

const OPTIONS: TransmitterOptions = { interface: 'veth0', yesThisNetwork: true }

const NAMES = [
  ...Object.entries(packet).filter(([name]) => /^PACKET_(QDISC_BYPASS|VERSION|TX_RING|LOSS)$/.test(name)),
  ...Object.entries(socket).filter(([name]) => /^SO_SNDBUF/.test(name)),
]
const XDP_NAMES = Object.entries(xdp).filter(([name]) => /^XDP_(TX_RING|UMEM_(REG|FILL_RING|COMPLETION_RING)|MMAP_OFFSETS)$/.test(name))

/** What is done after the interface has been looked at. */
function sequence(options: Partial<TransmitterOptions>): string[] {
  const kernel = machine()
  void openTransmitter(kernel, { ...OPTIONS, ...options }).close()
  return kernel.calls.flatMap(({ name, arguments: values }) => {
    const [, level, option, value] = values as [number, number, number, Uint8Array]
    if (name === 'setsockopt' || name === 'getsockopt') {
      const names = level === socket.SOL_XDP ? XDP_NAMES : NAMES
      const shown = names.find(([, number]) => number === option)?.[0] ?? String(option)
      return [value.byteLength === 4 && shown !== 'SO_SNDBUFFORCE' ? `${shown} ${new DataView(value.buffer).getInt32(0, true)}` : shown]
    }
    if (name === 'bind') return [`bind ${[...new Uint16Array((values[1] as Uint8Array).slice(0, 4).buffer)].join(',')}`]
    return name === 'mmap' && values[4] !== -1 ? ['mmap'] : []
  })
}

describe('order', () => {
  test('ring: options, version, ring, bind to protocol 0, and the map at the end; no PACKET_LOSS', () => {
    assert.deepEqual(sequence({}), ['PACKET_QDISC_BYPASS 1', 'SO_SNDBUFFORCE', 'PACKET_VERSION 2', 'PACKET_TX_RING', `bind ${socket.AF_PACKET},0`, 'mmap'])
    assert.deepEqual(sequence({ qdiscBypass: false })[0], 'SO_SNDBUFFORCE')
  })

  test('recv', () => {
    assert.deepEqual(sequence({ backend: 'recv' }), ['PACKET_QDISC_BYPASS 1', 'SO_SNDBUFFORCE', `bind ${socket.AF_PACKET},0`])
  })

  test('xdp: chunks, all rings, bind in copy mode; no program', () => {
    assert.deepEqual(sequence({ backend: 'xdp', frames: 256 }), [
      'mmap',
      'XDP_UMEM_REG',
      'XDP_UMEM_FILL_RING 64',
      'XDP_UMEM_COMPLETION_RING 512',
      'XDP_TX_RING 512',
      'SO_SNDBUFFORCE',
      'XDP_MMAP_OFFSETS',
      `bind ${socket.AF_XDP},${xdp.XDP_COPY | xdp.XDP_USE_NEED_WAKEUP}`,
      'mmap',
      'mmap',
      'mmap',
    ])
  })

  test('a ring request of V3 is a struct tpacket_req3 with zeros behind, one of V2 a struct tpacket_req', () => {
    const kernel = machine()
    const requests: Uint8Array[] = []
    kernel.answer('setsockopt', (_fd, level, option, value) => {
      if (level !== socket.SOL_PACKET || option !== packet.PACKET_TX_RING) return 0
      requests.push(value.slice())
      return value.byteLength === packet.TPACKET_REQ3.sizeof ? -EINVAL : 0
    })
    const transmitter = openTransmitter(kernel, { ...OPTIONS, frames: 512 })
    assert.equal(transmitter.ringVersion, 2)
    assert.deepEqual(
      requests.map((bytes) => [...new Uint32Array(bytes.buffer)]),
      [
        [2 ** 18, 4, 2048, 512, 0, 0, 0],
        [2 ** 18, 4, 2048, 512],
      ],
    )
    void transmitter.close()
    assert.deepEqual(kernel.openDescriptors, [])
  })
})

describe('what gives way', () => {
  test('ENOMEM: half the frames until they fit', () => {
    const kernel = machine()
    const asked: number[] = []
    kernel.answer('setsockopt', (_fd, level, option, value) => {
      if (level !== socket.SOL_PACKET || option !== packet.PACKET_TX_RING) return 0
      const frames = new DataView(value.buffer).getUint32(packet.TPACKET_REQ3.tp_frame_nr, true)
      asked.push(frames)
      return frames > 300 ? -ENOMEM : 0
    })
    void openTransmitter(kernel, OPTIONS).close()
    assert.deepEqual(asked, [1024, 512, 256])
  })

  test('SO_SNDBUFFORCE without CAP_NET_ADMIN: SO_SNDBUF', () => {
    const kernel = machine()
    kernel.answer('setsockopt', (_fd, level, option) => (level === socket.SOL_SOCKET && option === socket.SO_SNDBUFFORCE ? -EPERM : 0))
    void openTransmitter(kernel, { ...OPTIONS, backend: 'recv' }).close()
    assert.ok(kernel.calls.some(({ name, arguments: values }) => name === 'setsockopt' && values[2] === socket.SO_SNDBUF))
  })
})

describe('every failure leaves nothing open', () => {
  for (const backend of TRANSMIT_BACKENDS) {
    test(`${backend}: whichever call fails`, async () => {
      let steps = 0
      let thrown = 0
      for (let n = 1; n < 60; n++) {
        const kernel = machine()
        kernel.failNth(n, EINVAL)
        const traced = tracingKernel(kernel)
        let transmitter: ReturnType<typeof openTransmitter> | undefined
        try {
          transmitter = openTransmitter(traced, { ...OPTIONS, backend })
        } catch (error) {
          assert.ok(error instanceof CaptureError, `call ${n}: ${error}`)
          thrown++
        }
        const isOver = !kernel.failed
        // What could be done without.
        await transmitter?.close()
        assert.deepEqual(kernel.openDescriptors, [], `call ${n}`)
        if (isOver) break
        traced.assertNoLeaks()
        steps = n
      }
      assert.ok(steps >= 8 && steps < 59 && thrown >= 7, `${steps} steps, ${thrown} thrown`)
    })
  }

  test('the bind of AF_XDP: another socket, and an interface without', () => {
    for (const [errno, hint] of [
      [EBUSY, /another AF_XDP socket/],
      [ENOTSUPP, /--backend ring does/],
    ] as const) {
      const kernel = machine()
      kernel.answer('bind', () => -errno)
      assert.throws(
        () => openTransmitter(kernel, { ...OPTIONS, backend: 'xdp' }),
        (error: CaptureError) => error.code === 'XDP_REFUSED' && hint.test(error.hint ?? ''),
      )
      assert.deepEqual(kernel.openDescriptors, [])
    }
  })
})

test('an interface without a carrier, and chunks that are too small for its MTU', () => {
  const none = machine({ flags: interfaces.IFF_UP })
  assert.throws(() => openTransmitter(none, OPTIONS), { code: 'INTERFACE_DOWN', message: /no carrier/ })
  assert.deepEqual(none.openDescriptors, [])
  const jumbo = machine({ mtu: 9000 })
  assert.throws(() => openTransmitter(jumbo, { ...OPTIONS, backend: 'xdp' }), { code: 'XDP_REFUSED', message: /9018 bytes do not fit/ })
  assert.deepEqual(jumbo.openDescriptors, [])
})

test('options: each wrong one is named, with what was got', async () => {
  const opening: [Record<string, unknown>, RegExp][] = [
    [{ interface: '' }, /option interface to be the name/],
    [{ backend: 'pcap' }, /option backend to be one of ring, recv, xdp, got pcap/],
    [{ frames: 1000 }, /option frames to be a power of two/],
    [{ frames: 32 }, /option frames/],
    [{ qdiscBypass: 1 }, /option qdiscBypass/],
    [{ yesThisNetwork: 'yes' }, /option yesThisNetwork/],
    [{ nonsense: 1 }, /Unknown option nonsense of openTransmitter/],
  ]
  for (const [options, message] of opening) {
    assert.throws(() => openTransmitter(machine(), { ...OPTIONS, ...options } as TransmitterOptions), { code: 'INVALID_OPTION', message })
  }
  const transmitter = openTransmitter(machine(), { ...OPTIONS, backend: 'recv' })
  const transmitting: [Record<string, unknown>, RegExp][] = [
    [{ timing: 'fast' }, /option timing to be one of original, top/],
    [{ multiplier: 0 }, /option multiplier to be a number above 0, got 0/],
    [{ ratePps: -1 }, /option ratePps/],
    [{ rateBps: Number.NaN }, /option rateBps/],
    [{ ratePps: 1, multiplier: 2 }, /at most one of the options multiplier and ratePps/],
    [{ ratePps: 1, timing: 'top' }, /at most one of the options timing and ratePps/],
    [{ loop: 0 }, /option loop/],
    [{ loop: 1.5 }, /option loop/],
    [{ limit: 0 }, /option limit/],
    [{ truncated: 'pad' }, /option truncated/],
    [{ roomTimeoutMs: -1 }, /option roomTimeoutMs/],
    [{ nonsense: 1 }, /Unknown option nonsense of transmit/],
  ]
  for (const [options, message] of transmitting) {
    await assert.rejects(
      transmitter.transmit(() => assert.fail('opened'), options as TransmitOptions),
      { code: 'INVALID_OPTION', message },
    )
  }
  await transmitter.close()
})

describe('transmitting', () => {
  const frames = (count: number) => Array.from({ length: count }, () => new Uint8Array(60))

  test('rounds, limits and batches; every packets that was opened is closed', async () => {
    const transmitter = openTransmitter(machine(), { ...OPTIONS, backend: 'recv' })
    const opened: MemoryPackets[] = []
    const open = () => {
      const packets = new MemoryPackets(frames(100), 30)
      opened.push(packets)
      return packets
    }
    const three = await transmitter.transmit(open, { timing: 'top', loop: 3 })
    assert.deepEqual([three.packets, three.sent, three.rounds, three.reason], [300, 300, 3, 'end'])
    const limited = await transmitter.transmit(open, { timing: 'top', loop: 3, limit: 130 })
    assert.deepEqual([limited.packets, limited.sent, limited.rounds, limited.reason], [130, 130, 2, 'limit'])
    assert.deepEqual(transmitter.counters().sent, 130)
    assert.deepEqual(
      opened.map(({ closed }) => closed),
      [1, 1, 1, 1, 1],
    )
    await transmitter.close()
  })

  test('no packets end an endless loop; an aborted signal sends nothing', async () => {
    const transmitter = openTransmitter(machine(), { ...OPTIONS, backend: 'recv' })
    const none = await transmitter.transmit(() => new MemoryPackets([]), { loop: Number.POSITIVE_INFINITY })
    assert.deepEqual([none.packets, none.rounds, none.reason], [0, 1, 'end'])
    const aborted = await transmitter.transmit(() => new MemoryPackets(frames(5)), { signal: AbortSignal.abort() })
    assert.deepEqual([aborted.packets, aborted.reason], [0, 'aborted'])
    await transmitter.close()
  })

  test('one at a time; closing ends it; a closed one refuses', async () => {
    const kernel = machine()
    const transmitter = openTransmitter(kernel, { ...OPTIONS, backend: 'recv' })
    const running = transmitter.transmit(() => new MemoryPackets(frames(5)), { ratePps: 0.001 })
    await assert.rejects(
      transmitter.transmit(() => new MemoryPackets([])),
      { code: 'INVALID_OPTION', message: /a transmission is running/ },
    )
    await transmitter.close()
    await transmitter.close()
    const { packets, sent, reason } = await running
    assert.deepEqual([packets, sent, reason], [1, 1, 'aborted'])
    await assert.rejects(
      transmitter.transmit(() => new MemoryPackets([])),
      { code: 'INVALID_OPTION', message: /closed/ },
    )
    assert.deepEqual(kernel.openDescriptors, [])
  })

  test('what the packets throw comes out, and they are closed', async () => {
    const transmitter = openTransmitter(machine(), { ...OPTIONS, backend: 'recv' })
    let closed = 0
    const failure = new Error('damaged')
    const packets = {
      nextBatch() {
        throw failure
      },
      close() {
        closed++
      },
    }
    await assert.rejects(
      transmitter.transmit(() => packets),
      (error) => error === failure,
    )
    assert.equal(closed, 1)
    await transmitter.close()
  })
})
