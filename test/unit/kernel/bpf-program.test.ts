import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { alu, assemble, exit } from '#src/bpf/ebpf.js'
import { CaptureError } from '#src/errors.js'
import { BPF_ATTR_INFO, BPF_ATTR_PROG_LOAD, BPF_ATTR_TEST, BPF_F_XDP_HAS_FRAGS, BPF_PROG_INFO } from '#src/kernel/abi/bpf.js'
import { liveFrames, loadProgram, programById, programInfo, runProgram } from '#src/kernel/bpf-program.js'
import { bpfMemory } from '../../support/bpf-memory.js'
import { fakeKernel } from '../../support/fake-kernel.js'

const BPF_PROG_LOAD = 5
const BPF_PROG_RUN = 10
const BPF_OBJ_GET_INFO_BY_FD = 15
const EPERM = 1
const ENOENT = 2
const EAGAIN = 11
const EACCES = 13
const EINVAL = 22

const CODE = assemble([alu('mov', 'r0', 2), exit()])
const OPTIONS = { name: 'ringtap_xsk', type: 'xdp', code: CODE } as const

function errorOf(run: () => unknown): CaptureError {
  try {
    run()
  } catch (error) {
    assert.ok(error instanceof CaptureError, String(error))
    return error
  }
  return assert.fail('nothing was thrown')
}

describe('loadProgram', () => {
  test('what the kernel is given', () => {
    const kernel = fakeKernel()
    const memory = bpfMemory(kernel)
    kernel.answer('bpf', (command, attributes) => {
      assert.equal(command, BPF_PROG_LOAD)
      const view = new DataView(attributes.buffer)
      assert.equal(attributes.length, BPF_ATTR_PROG_LOAD.sizeof)
      assert.equal(view.getUint32(BPF_ATTR_PROG_LOAD.prog_type, true), 1)
      assert.equal(view.getUint32(BPF_ATTR_PROG_LOAD.insn_cnt, true), 2)
      assert.deepEqual(memory.at(attributes, BPF_ATTR_PROG_LOAD.insns)?.slice(0, 16), CODE)
      assert.equal(
        Buffer.from(memory.at(attributes, BPF_ATTR_PROG_LOAD.license) ?? [])
          .toString()
          .replace(/\0+$/, ''),
        'Dual MIT/GPL',
      )
      assert.equal(view.getUint32(BPF_ATTR_PROG_LOAD.log_level, true), 0)
      assert.equal(view.getUint32(BPF_ATTR_PROG_LOAD.prog_flags, true), BPF_F_XDP_HAS_FRAGS)
      assert.equal(view.getUint32(BPF_ATTR_PROG_LOAD.expected_attach_type, true), 37)
      assert.equal(view.getUint32(BPF_ATTR_PROG_LOAD.prog_ifindex, true), 3)
      assert.equal(Buffer.from(attributes.subarray(48, 64)).toString(), 'ringtap_a_long_\0')
      return 77
    })
    const options = {
      name: 'ringtap_a_long_name',
      type: 'socket_filter',
      code: CODE,
      flags: BPF_F_XDP_HAS_FRAGS,
      expectedAttachType: 37,
      interfaceIndex: 3,
    } as const
    assert.equal(loadProgram(kernel, options).fd, 77)
  })

  /** Refuses with `errno` and writes `log` where there is room for one. */
  const refusing = (errno: number, log = '') => {
    const kernel = fakeKernel()
    const memory = bpfMemory(kernel)
    const levels: number[] = []
    kernel.answer('bpf', (_command, attributes) => {
      const view = new DataView(attributes.buffer)
      levels.push(view.getUint32(BPF_ATTR_PROG_LOAD.log_level, true))
      const room = memory.at(attributes, BPF_ATTR_PROG_LOAD.log_buf)
      if (room === undefined) return -errno
      assert.equal(view.getUint32(BPF_ATTR_PROG_LOAD.log_size, true), room.length)
      new TextEncoder().encodeInto(log, room)
      // With a log too small for it all the kernel has another word.
      return -28
    })
    return { kernel, levels }
  }

  test('refused by the verifier: its reason, the errno of the first attempt, and no talk of capabilities', () => {
    const { kernel, levels } = refusing(EACCES, '0: (95) exit\nR0 !read_ok\nprocessed 1 insns\n')
    const error = errorOf(() => loadProgram(kernel, { ...OPTIONS, flags: BPF_F_XDP_HAS_FRAGS }))
    assert.equal(
      error.message,
      'ringtap_xsk: bpf(BPF_PROG_LOAD, xdp, 2 instructions, flags 0x20): EACCES (permission denied): ' +
        'the verifier: R0 !read_ok, at 0: (95) exit; its log ends with\n0: (95) exit\nR0 !read_ok\nprocessed 1 insns',
    )
    assert.deepEqual([error.code, error.errnoName, error.hint], ['SYSTEM_CALL_FAILED', 'EACCES', undefined])
    assert.deepEqual(levels, [0, 1])
  })

  test('EPERM without a log is a missing capability', () => {
    const { kernel } = refusing(EPERM)
    const error = errorOf(() => loadProgram(kernel, OPTIONS))
    assert.equal(error.code, 'PERMISSION')
    assert.match(error.message, /CAP_BPF and CAP_NET_ADMIN \(before Linux 5.8 CAP_SYS_ADMIN\) is missing$/)
  })

  test('EINVAL without a log may be the flags', () => {
    const { kernel } = refusing(EINVAL)
    assert.match(errorOf(() => loadProgram(kernel, OPTIONS)).hint ?? '', /BPF_F_XDP_HAS_FRAGS \(0x20\) needs Linux 5.18/)
  })

  test('a signal that interrupts the verifier is no refusal', () => {
    const kernel = fakeKernel()
    kernel.fail('bpf', EAGAIN, 1)
    kernel.fail('bpf', EAGAIN, 1)
    loadProgram(kernel, OPTIONS).close()
    assert.deepEqual(kernel.names().filter((name) => name === 'bpf').length, 3)
    const { kernel: always, levels } = refusing(EAGAIN)
    assert.equal(errorOf(() => loadProgram(always, OPTIONS)).errnoName, 'EAGAIN')
    assert.deepEqual(levels, [0, 0, 0, 0, 0, 1])
  })

  test('what loads at the second attempt is loaded', () => {
    const kernel = fakeKernel()
    kernel.fail('bpf', 12)
    using program = loadProgram(kernel, OPTIONS)
    assert.deepEqual(kernel.openDescriptors, [program.fd])
  })
})

describe('runProgram', () => {
  test('packet and context in, answer and packet out', () => {
    const kernel = fakeKernel()
    const memory = bpfMemory(kernel)
    kernel.answer('bpf', (command, attributes) => {
      assert.equal(command, BPF_PROG_RUN)
      const view = new DataView(attributes.buffer)
      assert.equal(view.getUint32(BPF_ATTR_TEST.prog_fd, true), 9)
      assert.equal(view.getUint32(BPF_ATTR_TEST.repeat, true), 1000)
      assert.equal(view.getUint32(BPF_ATTR_TEST.data_size_in, true), 60)
      assert.equal(view.getUint32(BPF_ATTR_TEST.ctx_size_in, true), 24)
      assert.equal(memory.at(attributes, BPF_ATTR_TEST.ctx_in)?.[0], 7)
      const out = memory.at(attributes, BPF_ATTR_TEST.data_out)
      assert.equal(view.getUint32(BPF_ATTR_TEST.data_size_out, true), out?.length)
      out?.set(memory.at(attributes, BPF_ATTR_TEST.data_in)?.subarray(2, 60) ?? [])
      view.setUint32(BPF_ATTR_TEST.data_size_out, 58, true)
      view.setUint32(BPF_ATTR_TEST.retval, 4, true)
      view.setUint32(BPF_ATTR_TEST.duration, 21, true)
      return 0
    })
    const data = Uint8Array.from({ length: 60 }, (_, i) => i)
    const { retval, durationNs, dataOut } = runProgram(kernel, 9, { data, repeat: 1000, context: new Uint8Array(24).fill(7, 0, 1) })
    assert.deepEqual([retval, durationNs], [4, 21])
    assert.deepEqual(dataOut, data.slice(2))
  })

  test('refused', () => {
    const kernel = fakeKernel()
    kernel.fail('bpf', EINVAL)
    assert.equal(
      errorOf(() => runProgram(kernel, 9, { data: new Uint8Array(4) })).message,
      'program: bpf(BPF_PROG_RUN, 4 bytes, repeat 1): EINVAL (invalid argument)',
    )
  })
})

test('live frames answer the errno of a run, and nothing for its time', () => {
  const kernel = fakeKernel()
  const live = liveFrames(kernel, 9, new Uint8Array(60), 64)
  kernel.answer('bpf', (_command, attributes) => {
    new DataView(attributes.buffer).setUint32(BPF_ATTR_TEST.duration, 140, true)
    return 0
  })
  assert.deepEqual([live.run(10), live.nsPerFrame()], [0, 140])
  kernel.answer('bpf', () => -EINVAL)
  assert.deepEqual([live.run(10), live.nsPerFrame()], [-EINVAL, 0])
})

describe('programInfo', () => {
  const informing = (maps: number, type = 6) => {
    const kernel = fakeKernel()
    const memory = bpfMemory(kernel)
    const rooms: number[] = []
    kernel.answer('bpf', (command, attributes) => {
      if (command !== BPF_OBJ_GET_INFO_BY_FD) return kernel.eventfd(0, 0)
      const info = memory.at(attributes, BPF_ATTR_INFO.info) as Uint8Array
      const view = new DataView(info.buffer, info.byteOffset)
      const room = view.getUint32(BPF_PROG_INFO.nr_map_ids, true)
      rooms.push(room)
      const ids = memory.at(attributes, BPF_ATTR_INFO.info) && memory.at(info, BPF_PROG_INFO.map_ids)
      const words = new DataView((ids as Uint8Array).buffer)
      for (let i = 0; i < Math.min(room, maps); i++) words.setUint32(i * 4, 100 + i, true)
      view.setUint32(BPF_PROG_INFO.type, type, true)
      view.setUint32(BPF_PROG_INFO.id, 42, true)
      view.setUint32(BPF_PROG_INFO.nr_map_ids, maps, true)
      view.setBigUint64(BPF_PROG_INFO.load_time, 1_000_000_000n, true)
      info.set([1, 2, 3, 4, 5, 6, 7, 0xff], BPF_PROG_INFO.tag)
      new TextEncoder().encodeInto('xdp_main', info.subarray(BPF_PROG_INFO.name))
      return 0
    })
    return { kernel, rooms }
  }

  test('what it is, and its maps', () => {
    const { kernel } = informing(2)
    const { loadedAt, ...rest } = programInfo(kernel, 9)
    assert.deepEqual(rest, { id: 42, type: 'xdp', name: 'xdp_main', tag: '01020304050607ff', mapIds: [100, 101] })
    assert.ok(loadedAt.getTime() < Date.now())
  })

  test('a type of which we know only the number; more maps than there was room for', () => {
    const { kernel, rooms } = informing(20, 3)
    const info = programInfo(kernel, 9)
    assert.equal(info.type, 'type 3')
    assert.equal(info.mapIds.length, 20)
    assert.equal(info.mapIds[19], 119)
    assert.deepEqual(rooms, [16, 20])
  })

  test('by id: the descriptor is closed, whatever happens', () => {
    const { kernel } = informing(0)
    assert.equal(programById(kernel, 42).name, 'xdp_main')
    assert.deepEqual(kernel.openDescriptors, [])
    kernel.fail('bpf', EINVAL, 2)
    assert.equal(errorOf(() => programById(kernel, 42)).errnoName, 'EINVAL')
    assert.deepEqual(kernel.openDescriptors, [])
    kernel.fail('bpf', ENOENT)
    assert.match(errorOf(() => programById(kernel, 42)).message, /^program 42: bpf\(BPF_PROG_GET_FD_BY_ID\): ENOENT/)
    kernel.fail('bpf', EPERM)
    assert.match(errorOf(() => programById(kernel, 42)).message, /CAP_SYS_ADMIN is missing/)
  })
})
