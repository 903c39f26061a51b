/** The opening sequence, call by call, and every way in which a step of it can fail. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { encodeProgram } from '#src/bpf/classic.js'
import { CaptureError } from '#src/errors.js'
import { compileFilter } from '#src/filter/compile.js'
import * as interfaces from '#src/kernel/abi/if.js'
import * as packet from '#src/kernel/abi/if_packet.js'
import * as socket from '#src/kernel/abi/socket.js'
import { EBUSY, EINVAL, ENODEV, ENOMEM, ENOSPC, EPERM, errnoName } from '#src/kernel/errno.js'
import type { Kernel } from '#src/kernel/system.js'
import { type FanoutSpec, PacketSockets, type SocketSpec } from '#src/source/packet-socket.js'
import { socketProgram } from '#src/source/socket-filter.js'
import { type FakeKernel, fakeKernel, type RecordedCall } from '../../support/fake-kernel.js'
import { tracingKernel } from '../../support/tracing-kernel.js'

const INDEX = 7
const CPU: FanoutSpec = { mode: 'cpu', defrag: false, rollover: false }

function specOf(change: Partial<SocketSpec> = {}): SocketSpec & { warnings: string[] } {
  const warnings: string[] = []
  return {
    interfaceName: 'eth0',
    ring: { blockBytes: 65536, blockCount: 4, blockTimeoutMs: 20 },
    receiveBufferBytes: 2 ** 20,
    rxhash: false,
    metadata: true,
    filter: undefined,
    snapLengthBytes: 262_144,
    maxSnapLengthBytes: 262_144,
    promiscuous: true,
    direction: undefined,
    workers: 1,
    fanout: undefined,
    warn: (message) => warnings.push(message),
    ...change,
    warnings,
  }
}

interface Machine {
  index?: number
  flags?: number
  linkType?: number
  fanoutGroup?: number
}

/** A kernel with one interface, eth0. */
function machine({ index = INDEX, flags = interfaces.IFF_UP, linkType = socket.ARPHRD_ETHER, fanoutGroup = 0 }: Machine = {}): FakeKernel {
  const kernel = fakeKernel()
  const buffers = new Map<number, number>()
  kernel.answer('ioctl', (_fd, request, argument) => {
    const view = new DataView(argument.buffer, argument.byteOffset)
    if (request === interfaces.SIOCGIFINDEX) view.setInt32(interfaces.IFREQ.ifr_ifindex, index, true)
    else if (request === interfaces.SIOCGIFFLAGS) view.setUint16(interfaces.IFREQ.ifr_flags, flags, true)
    else if (request === interfaces.SIOCGIFHWADDR) view.setUint16(interfaces.IFREQ.ifr_hwaddr, linkType, true)
    else if (request === interfaces.SIOCGIFMTU) view.setInt32(interfaces.IFREQ.ifr_mtu, 1500, true)
    return 0
  })
  kernel.answer('setsockopt', (fd, level, option, value) => {
    if (level === socket.SOL_SOCKET && (option === socket.SO_RCVBUF || option === socket.SO_RCVBUFFORCE)) {
      buffers.set(fd, 2 * new DataView(value.buffer).getUint32(0, true))
    }
    return 0
  })
  kernel.answer('getsockopt', (fd, level, option, value) => {
    const view = new DataView(value.buffer, value.byteOffset)
    if (level === socket.SOL_SOCKET && option === socket.SO_RCVBUF) view.setUint32(0, buffers.get(fd) ?? 0, true)
    if (level === socket.SOL_PACKET && option === packet.PACKET_FANOUT) view.setInt32(0, fanoutGroup | 0, true)
    return 4
  })
  return kernel
}

const IOCTLS = Object.entries(interfaces).filter(([name]) => name.startsWith('SIOC'))
const PACKET_OPTIONS = Object.entries(packet).filter(([name]) =>
  /^PACKET_(ADD_MEMBERSHIP|RX_RING|STATISTICS|AUXDATA|VERSION|RESERVE|TIMESTAMP|FANOUT|FANOUT_DATA|IGNORE_OUTGOING)$/.test(name),
)
const SOCKET_OPTIONS = Object.entries(socket).filter(([name]) => name.startsWith('SO_'))

/** A call in words: `3 bind` for the socket that was opened first. */
function inWords(calls: readonly RecordedCall[]): string[] {
  return calls
    .filter(({ name }) => name !== 'addressOf')
    .map(({ name, arguments: values }) => {
      const [fd, second, third, fourth] = values as [number, number, number, Uint8Array]
      if (name === 'socket') return `socket ${values.join(',')}`
      const which = fd - 999
      if (name === 'ioctl') return `${which} ${IOCTLS.find(([, number]) => number === second)?.[0]}`
      if (name === 'bind') {
        const address = new DataView((values[1] as Uint8Array).buffer)
        return `${which} bind protocol 0x${address.getUint16(2).toString(16)} ifindex ${address.getInt32(4, true)}`
      }
      if (name === 'setsockopt' || name === 'getsockopt') {
        const options = second === socket.SOL_PACKET ? PACKET_OPTIONS : SOCKET_OPTIONS
        const option = options.find(([, number]) => number === third)?.[0]
        if (option === 'SO_ATTACH_FILTER') return `${which} SO_ATTACH_FILTER ${new DataView(fourth.buffer).getUint16(0, true)} instructions`
        return `${which} ${name === 'getsockopt' ? 'get ' : ''}${option}`
      }
      return `${which} ${name}`
    })
}

const SOCKET = `socket ${socket.AF_PACKET},${socket.SOCK_RAW | socket.SOCK_CLOEXEC},0`
const IDENTIFY = ['1 SIOCGIFINDEX', '1 SIOCGIFFLAGS', '1 SIOCGIFHWADDR', '1 SIOCGIFMTU']

function sequence(change: Partial<SocketSpec>, of: Machine = {}): string[] {
  const kernel = machine(of)
  const sockets = PacketSockets.prepare(kernel, specOf(change))
  const mark = kernel.calls.length
  sockets.start()
  const words = [...inWords(kernel.calls.slice(0, mark)), '---', ...inWords(kernel.calls.slice(mark))]
  sockets.close()
  assert.deepEqual(kernel.openDescriptors, [])
  return words
}

describe('order', () => {
  test('a ring, one worker: protocol 0, ring, promiscuous, bind last', () => {
    assert.deepEqual(sequence({}), [
      SOCKET,
      ...IDENTIFY,
      '1 PACKET_VERSION',
      '1 PACKET_RX_RING',
      '---',
      '1 PACKET_ADD_MEMBERSHIP',
      '1 bind protocol 0x3 ifindex 7',
    ])
  })

  test('with a snap length the filter stands before the bind', () => {
    assert.deepEqual(sequence({ snapLengthBytes: 96, promiscuous: false }), [
      SOCKET,
      ...IDENTIFY,
      '1 PACKET_VERSION',
      '1 PACKET_RX_RING',
      '1 SO_ATTACH_FILTER 1 instructions',
      '---',
      '1 bind protocol 0x3 ifindex 7',
    ])
  })

  test('recv, one worker', () => {
    assert.deepEqual(sequence({ ring: undefined }), [
      SOCKET,
      ...IDENTIFY,
      '1 PACKET_AUXDATA',
      '1 SO_TIMESTAMPNS',
      '1 SO_RCVBUFFORCE',
      '1 get SO_RCVBUF',
      '---',
      '1 PACKET_ADD_MEMBERSHIP',
      '1 bind protocol 0x3 ifindex 7',
    ])
    assert.deepEqual(sequence({ ring: undefined, metadata: false }).slice(5, 8), ['1 SO_RCVBUFFORCE', '1 get SO_RCVBUF', '---'])
    // Without auxiliary data a filter that cuts would cut the length on the wire.
    assert.deepEqual(sequence({ ring: undefined, metadata: false, snapLengthBytes: 96 }), sequence({ ring: undefined, metadata: false }))
    assert.ok(sequence({ ring: undefined, snapLengthBytes: 96 }).includes('1 SO_ATTACH_FILTER 1 instructions'))
  })

  test('direction: a filter, and on one socket the kernel’s own option as well', () => {
    assert.deepEqual(sequence({ direction: 'in' }).slice(7), [
      '1 PACKET_IGNORE_OUTGOING',
      '1 SO_ATTACH_FILTER 4 instructions',
      '---',
      '1 PACKET_ADD_MEMBERSHIP',
      '1 bind protocol 0x3 ifindex 7',
    ])
    assert.deepEqual(sequence({ direction: 'out' }).slice(7, 8), ['1 SO_ATTACH_FILTER 4 instructions'])
  })

  test('loopback shows each packet twice: without a direction it is `in`', () => {
    const loopback = { flags: interfaces.IFF_UP | interfaces.IFF_LOOPBACK, linkType: socket.ARPHRD_LOOPBACK }
    assert.deepEqual(sequence({}, loopback), sequence({ direction: 'in' }))
    assert.ok(!sequence({ direction: 'inout' }, loopback).some((call) => call.includes('FILTER')))
  })

  for (const [name, ring] of [
    ['a ring', specOf().ring],
    ['recv', undefined],
  ] as const) {
    test(`${name}, fanout of three: gates closed before any bind, all bound before any joins, gates open last`, () => {
      const words = sequence({ ring, workers: 3, fanout: CPU })
      const all = (what: string) => words.flatMap((word, at) => (word.endsWith(what) || word.includes(` ${what} `) ? [at] : []))
      const closed = all('SO_ATTACH_FILTER')
      const bound = all('bind')
      const joined = words.flatMap((word, at) => (/^\d PACKET_FANOUT$/.test(word) ? [at] : []))
      const opened = all('SO_DETACH_FILTER')
      assert.deepEqual([closed.length, bound.length, joined.length, opened.length], [3, 3, 3, 3])
      assert.ok(Math.max(...closed) < words.indexOf('---'), 'gates close in prepare')
      assert.ok(words.indexOf('---') < Math.min(...bound), 'nothing is bound in prepare')
      assert.ok(Math.max(...bound) < Math.min(...joined))
      assert.ok(Math.max(...joined) < Math.min(...opened))
      assert.deepEqual(
        joined.map((at) => words[at]),
        ['1 PACKET_FANOUT', '2 PACKET_FANOUT', '3 PACKET_FANOUT'],
        'in worker order, which is CPU order',
      )
      if (ring !== undefined) {
        for (const worker of [1, 2, 3]) assert.ok(words.indexOf(`${worker} PACKET_VERSION`) < words.indexOf(`${worker} PACKET_RX_RING`))
        assert.ok(Math.max(...all('PACKET_RX_RING')) < words.indexOf('---'))
      }
    })
  }

  test('with fanout and a snap length the gate is replaced, never opened in between', () => {
    const words = sequence({ workers: 2, fanout: CPU, snapLengthBytes: 96, direction: 'in' })
    assert.deepEqual(words.slice(words.indexOf('---') + 1), [
      '1 PACKET_ADD_MEMBERSHIP',
      '1 bind protocol 0x3 ifindex 7',
      '2 PACKET_ADD_MEMBERSHIP',
      '2 bind protocol 0x3 ifindex 7',
      '1 PACKET_FANOUT',
      '1 get PACKET_FANOUT',
      '2 PACKET_FANOUT',
      '1 SO_ATTACH_FILTER 4 instructions',
      '2 SO_ATTACH_FILTER 4 instructions',
    ])
    assert.ok(!words.includes('1 PACKET_IGNORE_OUTGOING'), 'a group ignores it')
  })

  const UDP = compileFilter('udp').instructions

  test('a filter stands before the bind; with fanout it takes the closed gate’s place', () => {
    const attached = `SO_ATTACH_FILTER ${UDP.length} instructions`
    assert.deepEqual(sequence({ filter: UDP }).slice(5), [
      '1 PACKET_VERSION',
      '1 PACKET_RX_RING',
      `1 ${attached}`,
      '---',
      '1 PACKET_ADD_MEMBERSHIP',
      '1 bind protocol 0x3 ifindex 7',
    ])
    for (const ring of [specOf().ring, undefined]) {
      const words = sequence({ ring, filter: UDP, workers: 2, fanout: CPU })
      assert.deepEqual(
        words.filter((word) => word.includes('FILTER')),
        ['1 SO_ATTACH_FILTER 1 instructions', '2 SO_ATTACH_FILTER 1 instructions', `1 ${attached}`, `2 ${attached}`],
      )
      assert.deepEqual(words.slice(-3), ['2 PACKET_FANOUT', `1 ${attached}`, `2 ${attached}`])
    }
  })

  test('a filter with direction and snap length is one program; without auxiliary data it does not cut', () => {
    const attached = (change: Partial<SocketSpec>) => {
      const kernel = machine()
      let program: ArrayBufferLike | undefined
      kernel.answer('addressOf', (buffer) => {
        program = buffer
        return 4096n
      })
      using sockets = PacketSockets.prepare(kernel, specOf({ filter: UDP, snapLengthBytes: 96, ...change }))
      sockets.start()
      return program === undefined ? undefined : Buffer.from(program).toString('hex')
    }
    const program = (snapLengthBytes: number, direction: 'in' | 'out' | 'inout' = 'inout') =>
      Buffer.from(encodeProgram(socketProgram(UDP, snapLengthBytes, direction))).toString('hex')
    assert.equal(attached({}), program(96))
    assert.equal(attached({ direction: 'in' }), program(96, 'in'))
    assert.equal(attached({ direction: 'out', workers: 2, fanout: CPU }), program(96, 'out'))
    assert.equal(attached({ ring: undefined }), program(96))
    assert.equal(attached({ ring: undefined, metadata: false }), program(262_144))
  })

  test('cbpf: the program is set after the joins and before the gates', () => {
    const words = sequence({ workers: 2, fanout: { ...CPU, mode: 'cbpf', program: [[6, 0, 0, 1]] } })
    const at = words.indexOf('1 PACKET_FANOUT_DATA')
    assert.ok(at > words.indexOf('2 PACKET_FANOUT') && at < words.indexOf('1 SO_DETACH_FILTER'))
  })
})

describe('values', () => {
  const optionOf = (kernel: FakeKernel, level: number, option: number) =>
    kernel.calls
      .filter(({ name, arguments: [, l, o] }) => name === 'setsockopt' && l === level && o === option)
      .map(({ arguments: values }) => values[3] as Uint8Array)

  test('struct tpacket_req3', () => {
    for (const rxhash of [false, true]) {
      const kernel = machine()
      PacketSockets.prepare(kernel, specOf({ rxhash })).close()
      const [request] = optionOf(kernel, socket.SOL_PACKET, packet.PACKET_RX_RING)
      assert.deepEqual([...new Uint32Array(request.buffer)], [65536, 4, 2048, 128, 20, 0, rxhash ? 1 : 0])
      assert.deepEqual([...new Uint32Array(optionOf(kernel, socket.SOL_PACKET, packet.PACKET_VERSION)[0].buffer)], [packet.TPACKET_V3])
    }
  })

  const joins = (fanout: FanoutSpec, group: number, direction?: 'in') => {
    const kernel = machine({ fanoutGroup: group })
    const sockets = PacketSockets.prepare(kernel, specOf({ workers: 3, fanout, direction }))
    sockets.start()
    sockets.close()
    return optionOf(kernel, socket.SOL_PACKET, packet.PACKET_FANOUT).map((value) => {
      const view = new DataView(value.buffer)
      return [view.getUint16(0, true), view.getUint16(2, true)]
    })
  }

  test('the first member asks for an id of its own, the others join it', () => {
    assert.deepEqual(joins(CPU, 0x2002_1234), [
      [0, packet.PACKET_FANOUT_CPU | packet.PACKET_FANOUT_FLAG_UNIQUEID],
      [0x1234, packet.PACKET_FANOUT_CPU],
      [0x1234, packet.PACKET_FANOUT_CPU],
    ])
  })

  test('with defrag the answer has the sign bit set, and is no error', () => {
    const flags = packet.PACKET_FANOUT_HASH | packet.PACKET_FANOUT_FLAG_DEFRAG
    for (const id of [1, 0x7fff, 0x8000, 0xfffe, 0xffff]) {
      assert.deepEqual(joins({ mode: 'hash', defrag: true, rollover: false }, (0xa000 << 16) | id), [
        [0, flags | packet.PACKET_FANOUT_FLAG_UNIQUEID],
        [id, flags],
        [id, flags],
      ])
    }
  })

  test('flags', () => {
    const R = packet.PACKET_FANOUT_FLAG_ROLLOVER
    const I = packet.PACKET_FANOUT_FLAG_IGNORE_OUTGOING
    assert.equal(joins({ mode: 'lb', defrag: false, rollover: true }, 5)[1][1], packet.PACKET_FANOUT_LB | R)
    assert.equal(joins({ mode: 'qm', defrag: false, rollover: false, ignoreOutgoing: true }, 5)[1][1], packet.PACKET_FANOUT_QM | I)
    assert.equal(joins({ mode: 'rnd', defrag: false, rollover: false }, 5, 'in')[1][1], packet.PACKET_FANOUT_RND | I)
    assert.equal(joins({ mode: 'rnd', defrag: false, rollover: false, ignoreOutgoing: false }, 5, 'in')[1][1], packet.PACKET_FANOUT_RND)
  })
})

describe('what gives way', () => {
  test('ENOMEM on the ring: smaller until it fits, with a warning, and later workers begin there', () => {
    const kernel = machine()
    const spec = specOf({ ring: { blockBytes: 65536, blockCount: 100, blockTimeoutMs: 20 }, workers: 2, fanout: CPU })
    const asked: number[] = []
    kernel.answer('setsockopt', (_fd, level, option, value) => {
      if (level !== socket.SOL_PACKET || option !== packet.PACKET_RX_RING) return 0
      const blocks = new DataView(value.buffer).getUint32(4, true)
      asked.push(blocks)
      return blocks > 80 ? -ENOMEM : 0
    })
    using sockets = PacketSockets.prepare(kernel, spec)
    const granted = sockets.sockets.map((it) => it.ring?.blockCount)
    assert.equal(granted[0], granted[1])
    assert.ok((granted[0] as number) <= 80 && (granted[0] as number) >= 76, `${granted[0]}`)
    assert.deepEqual(asked, [100, 95, 90, 85, 80, 80])
    assert.equal(spec.warnings.length, 1)
    assert.match(spec.warnings[0], /^eth0: the kernel had no memory for a ring of 6\.3 MiB, it is 5\.0 MiB/)
  })

  test('ENOMEM to the end: the error names what was asked for', () => {
    const kernel = machine()
    kernel.answer('setsockopt', (_fd, level, option) => (level === socket.SOL_PACKET && option === packet.PACKET_RX_RING ? -ENOMEM : 0))
    assert.throws(() => PacketSockets.prepare(kernel, specOf({ ring: { blockBytes: 65536, blockCount: 100, blockTimeoutMs: 20 } })), {
      code: 'RING_REFUSED',
      errno: ENOMEM,
      message: /^eth0: setsockopt\(PACKET_RX_RING, tp_block_size=65536 tp_block_nr=100 .*ENOMEM/,
    })
    assert.deepEqual(kernel.openDescriptors, [])
  })

  test('an older kernel without the fanout flag ignore-outgoing: joined without it, the filter does it', () => {
    const kernel = machine({ fanoutGroup: 9 })
    const flags: number[] = []
    kernel.answer('setsockopt', (_fd, level, option, value) => {
      if (level !== socket.SOL_PACKET || option !== packet.PACKET_FANOUT) return 0
      const typeFlags = new DataView(value.buffer).getUint16(2, true)
      flags.push(typeFlags)
      return (typeFlags & packet.PACKET_FANOUT_FLAG_IGNORE_OUTGOING) !== 0 ? -EINVAL : 0
    })
    using sockets = PacketSockets.prepare(kernel, specOf({ workers: 2, fanout: CPU, direction: 'in' }))
    sockets.start()
    assert.deepEqual(flags, [2 | 0x2000 | 0x4000, 2 | 0x2000, 2])
    assert.equal(inWords(kernel.calls).filter((call) => call.endsWith('SO_ATTACH_FILTER 4 instructions')).length, 2)
  })

  test('asked for by name, the flag is not given up in silence', () => {
    const kernel = machine()
    kernel.answer('setsockopt', (_fd, level, option) => (level === socket.SOL_PACKET && option === packet.PACKET_FANOUT ? -EINVAL : 0))
    using sockets = PacketSockets.prepare(kernel, specOf({ workers: 2, fanout: { ...CPU, ignoreOutgoing: true } }))
    assert.throws(() => sockets.start(), { code: 'FANOUT_REFUSED', message: /^eth0 worker 0: setsockopt\(PACKET_FANOUT, cpu,ignore-outgoing\): EINVAL/ })
  })

  test('PACKET_IGNORE_OUTGOING is only a saving', () => {
    const kernel = machine()
    kernel.answer('setsockopt', (_fd, level, option) => (level === socket.SOL_PACKET && option === packet.PACKET_IGNORE_OUTGOING ? -EINVAL : 0))
    using sockets = PacketSockets.prepare(kernel, specOf({ direction: 'in' }))
    sockets.start()
  })

  test('a receive buffer without CAP_NET_ADMIN: what rmem_max gives, with a warning', () => {
    const kernel = machine()
    kernel.answer('setsockopt', (_fd, level, option) => (level === socket.SOL_SOCKET && option === socket.SO_RCVBUFFORCE ? -EPERM : 0))
    kernel.answer('getsockopt', (_fd, _level, _option, value) => {
      new DataView(value.buffer).setUint32(0, 425_984, true)
      return 4
    })
    const spec = specOf({ ring: undefined, receiveBufferBytes: 64 * 2 ** 20 })
    using sockets = PacketSockets.prepare(kernel, spec)
    assert.equal(sockets.sockets.length, 1)
    assert.deepEqual(spec.warnings, ['eth0: receive buffer is 0.2 MiB, not 64.0 MiB'])
  })
})

describe('what the interface is', () => {
  const refused = (of: Machine, expected: object, change: Partial<SocketSpec> = {}) => {
    const kernel = machine(of)
    assert.throws(() => PacketSockets.prepare(kernel, specOf(change)), expected)
    assert.deepEqual(kernel.openDescriptors, [])
    assert.ok(!inWords(kernel.calls).some((call) => call.includes('bind')))
  }
  test('down', () => refused({ flags: 0 }, { code: 'INTERFACE_DOWN', message: /^eth0: interface is down/, hint: 'ip link set eth0 up' }))
  test('not Ethernet', () => refused({ linkType: 65534 }, { code: 'UNSUPPORTED_LINK_TYPE', message: /^eth0: link type 65534/ }))
  test('a name too long to exist', () => refused({}, { code: 'NO_SUCH_INTERFACE' }, { interfaceName: 'x'.repeat(16) }))
  test('absent', () => {
    const kernel = machine()
    kernel.fail('ioctl', ENODEV)
    assert.throws(() => PacketSockets.prepare(kernel, specOf()), { code: 'NO_SUCH_INTERFACE', message: 'eth0: no such interface in this network namespace' })
    assert.deepEqual(kernel.openDescriptors, [])
  })
  test('gone between prepare and start', () => {
    const kernel = machine()
    using sockets = PacketSockets.prepare(kernel, specOf())
    kernel.fail('bind', ENODEV)
    assert.throws(() => sockets.start(), { code: 'INTERFACE_REMOVED', message: /^eth0: / })
  })
  test('a full fanout group', () => {
    const kernel = machine()
    using sockets = PacketSockets.prepare(kernel, specOf({ workers: 2, fanout: CPU }))
    kernel.answer('setsockopt', (_fd, level, option) => (level === socket.SOL_PACKET && option === packet.PACKET_FANOUT ? -ENOSPC : 0))
    assert.throws(() => sockets.start(), { code: 'FANOUT_REFUSED', errno: ENOSPC, hint: /256 members/ })
  })
})

/** Calls whose failure may pass: each has a way on that is tested above; a program that is refused is loaded again for the verifier's log. */
const MAY_PASS = /SO_RCVBUFFORCE$|get SO_RCVBUF$|PACKET_IGNORE_OUTGOING$| bpf$/

describe('every step fails', () => {
  const variants: [name: string, change: Partial<SocketSpec>][] = [
    ['ring', {}],
    ['ring with a filter', { snapLengthBytes: 96, direction: 'in' }],
    ['ring+fanout', { workers: 3, fanout: CPU }],
    ['ring+fanout with a filter', { workers: 2, fanout: { ...CPU, ignoreOutgoing: true }, snapLengthBytes: 96, direction: 'in' }],
    ['cbpf', { workers: 2, fanout: { ...CPU, mode: 'cbpf', program: [[6, 0, 0, 0]] } }],
    ['ebpf', { workers: 2, fanout: { ...CPU, mode: 'ebpf' } }],
    ['recv', { ring: undefined }],
    ['recv+fanout', { ring: undefined, workers: 2, fanout: { mode: 'hash', defrag: true, rollover: true } }],
  ]
  for (const [name, change] of variants) {
    for (const errno of [EPERM, ENOMEM, EINVAL, EBUSY]) {
      test(`${name}: ${errnoName(errno)} at each call`, () => {
        let n = 1
        for (; ; n++) {
          const fake = machine({ fanoutGroup: 0x2000_0003 })
          fake.failNth(n, errno)
          const kernel: Kernel & { assertNoLeaks(): void } = tracingKernel(fake)
          const spec = specOf(change)
          let sockets: PacketSockets | undefined
          let thrown: unknown
          try {
            sockets = PacketSockets.prepare(kernel, spec)
          } catch (error) {
            thrown = error
            kernel.assertNoLeaks()
          }
          try {
            sockets?.start()
          } catch (error) {
            thrown = error
          }
          const calls = inWords(fake.calls)
          const at = fake.calls.filter(({ name }) => name !== 'addressOf').findIndex(({ result }) => result === -errno)
          sockets?.close()
          sockets?.close()
          kernel.assertNoLeaks()
          assert.deepEqual(fake.openDescriptors, [])
          if (!fake.failed) {
            assert.equal(thrown, undefined)
            break
          }
          const where = `call ${n}: ${calls[at]}`
          if (thrown === undefined) {
            const shrunk = errno === ENOMEM && /PACKET_RX_RING$/.test(calls[at])
            assert.ok(shrunk || MAY_PASS.test(calls[at]), `${where} failed unseen`)
            if (shrunk) assert.equal(spec.warnings.length, 1, where)
            continue
          }
          assert.ok(thrown instanceof CaptureError, `${where}: ${thrown}`)
          assert.match(thrown.message, /^eth0( worker \d)?: /, where)
          assert.equal(thrown.errno, errno, where)
          assert.equal(thrown.errnoName, errnoName(errno), where)
          assert.ok(thrown.syscall !== undefined && thrown.message.includes(thrown.syscall), `${where}: ${thrown.message}`)
          const option = /SIOCGIF|(SO_|PACKET_)\w+|bind|socket/.exec(calls[at])?.[0] as string
          assert.ok(thrown.message.includes(option), `${where}: ${thrown.message}`)
          if (errno === EPERM && !option.startsWith('SIOC') && !/get PACKET_FANOUT|FANOUT_DATA/.test(calls[at])) assert.equal(thrown.code, 'PERMISSION', where)
          assert.doesNotMatch(thrown.message, /\n|undefined|NaN/, where)
        }
        assert.ok(n > 8, `${n} calls`)
      })
    }
  }
})
