/** Programs in the kernel: what its verifier says, what they answer, and what they do that our interpreter says they do. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  type AluOperation,
  alu,
  alu32,
  assemble,
  atomicAdd,
  type Condition,
  call,
  disassemble,
  exit,
  jumpIf,
  jumpIf32,
  label,
  load,
  loadAbsolute,
  loadImmediate64,
  loadIndirect,
  loadMap,
  loadMapValue,
  negate,
  type Register,
  type Statement,
  store,
  toBigEndian,
  toLittleEndian,
} from '#src/bpf/ebpf.js'
import { FLOOD_KINDS, floodProgram } from '#src/bpf/flood-program.js'
import { XSK_QUEUE, xskMaps, xskProgram } from '#src/bpf/xsk-program.js'
import { CaptureError } from '#src/errors.js'
import { BPF_F_XDP_HAS_FRAGS } from '#src/kernel/abi/bpf.js'
import { BPF_FUNC_tail_call, BPF_FUNC_xdp_load_bytes, XDP_DROP, XDP_MD, XDP_PASS, XDP_REDIRECT } from '#src/kernel/abi/ebpf.js'
import { SOCKADDR_XDP, XDP_STATISTICS, XDP_STATISTICS_LAYOUT, XDP_UMEM_COMPLETION_RING, XDP_UMEM_FILL_RING, XDP_UMEM_REG } from '#src/kernel/abi/if_xdp.js'
import { MAP_ANONYMOUS, MAP_PRIVATE, PROT_READ, PROT_WRITE } from '#src/kernel/abi/process.js'
import { AF_XDP, SOCK_CLOEXEC, SOCK_RAW, SOL_XDP } from '#src/kernel/abi/socket.js'
import { attachXdp } from '#src/kernel/bpf-link.js'
import { BpfCell, BpfMap } from '#src/kernel/bpf-map.js'
import { loadProgram, programById, programInfo, runProgram } from '#src/kernel/bpf-program.js'
import { Descriptor } from '#src/kernel/descriptor.js'
import { openNamespace, withNamespace } from '#src/kernel/namespace.js'
import { getLink, RouteSocket } from '#src/kernel/netlink.js'
import { type Kernel, openKernel } from '#src/kernel/system.js'
import { createTestbed, startFlood, type TestbedEnd } from '#src/testbed/index.js'
import { interpret } from '../support/ebpf-interpreter.js'
import { live, settledWire } from '../support/live.js'
import { type Random, seededRandom } from '../support/random.js'

const FRAME = new Uint8Array(60)

function loadXsk(kernel: Kernel, queues: number, options: Parameters<typeof xskProgram>[0] = {}) {
  const shapes = xskMaps(queues)
  const xsks = BpfMap.create(kernel, shapes.xsks)
  const counts = BpfMap.create(kernel, shapes.queues)
  const program = loadProgram(kernel, {
    name: 'ringtap_xsk',
    type: 'xdp',
    code: assemble(xskProgram(options), { xsks: xsks.fd, queues: counts.fd }),
    flags: BPF_F_XDP_HAS_FRAGS,
  })
  const value = new Uint8Array(counts.valueSize)
  /** Of one queue, over all CPUs: redirected, passed, dropped, filtered. */
  const countsOf = (queue: number) => {
    assert.ok(counts.lookup(queue, value))
    const words = new BigUint64Array(value.buffer)
    return Object.values({ ...XSK_QUEUE, words: undefined })
      .filter((word) => word !== undefined)
      .map((word) => words.reduce((sum, n, i) => (i % XSK_QUEUE.words === word ? sum + Number(n) : sum), 0))
  }
  return {
    xsks,
    program,
    countsOf,
    [Symbol.dispose]: () => {
      for (const it of [program, counts, xsks]) it.close()
    },
  }
}

live('a program that the verifier refuses: its first complaint and where, and no talk of capabilities', () => {
  const code = assemble([load('w', 'r2', 'r1', 0), load('b', 'r0', 'r2', 0), exit()])
  assert.throws(
    () => loadProgram(openKernel(), { name: 'wrong', type: 'xdp', code }),
    (error) => {
      assert.ok(error instanceof CaptureError)
      assert.equal(error.code, 'SYSTEM_CALL_FAILED')
      assert.equal(error.errnoName, 'EACCES')
      assert.match(
        error.message,
        /^wrong: bpf\(BPF_PROG_LOAD, xdp, 3 instructions\): EACCES \(permission denied\): the verifier: invalid access to packet, off=0 size=1.*, at 1: \(71\) r0 = \*\(u8 \*\)\(r2 \+0\); its log ends with\n[\s\S]*processed 2 insns/,
      )
      return true
    },
  )
})

live('other refusals say why as well', () => {
  const kernel = openKernel()
  const refused = (statements: Statement[], reason: RegExp) =>
    assert.throws(() => loadProgram(kernel, { name: 'wrong', type: 'xdp', code: assemble(statements) }), { code: 'SYSTEM_CALL_FAILED', message: reason })
  refused([exit()], /the verifier: R0 !read_ok, at 0: \(95\) exit/)
  refused([alu('mov', 'r0', 0)], /the verifier: .*(last insn is not an exit|jump out of range|fell off)/i)
  refused([alu('mov', 'r0', 0), exit(), exit()], /the verifier: unreachable insn 2/)
  refused([call(9999), exit()], /the verifier: invalid func unknown#9999, at 0: \(85\)/)
  refused([alu('mov', 'r0', 'r9'), exit()], /the verifier: R9 !read_ok, at 0: \(bf\) r0 = r9/)
  assert.throws(() => loadProgram(kernel, { name: 'empty', type: 'xdp', code: new Uint8Array(0) }), { errnoName: 'E2BIG' })
  assert.throws(() => loadProgram(kernel, { name: 'flags', type: 'xdp', code: assemble([alu('mov', 'r0', 0), exit()]), flags: 1 << 30 }), {
    errnoName: 'EINVAL',
    message: /flags 0x40000000\): EINVAL/,
    hint: /BPF_F_XDP_HAS_FRAGS/,
  })
})

live('a good program loads, and the kernel knows it', () => {
  const kernel = openKernel()
  using map = BpfCell.create(kernel, 'ringtap_count', 4)
  using program = loadProgram(kernel, {
    name: 'ringtap_a_name_that_is_too_long',
    type: 'xdp',
    code: assemble([loadMapValue('r1', 'count', 8), alu('mov', 'r2', 3), atomicAdd('dw', 'r1', 0, 'r2'), alu('mov', 'r0', XDP_PASS), exit()], {
      count: map.fd,
    }),
  })
  const info = programInfo(kernel, program.fd)
  assert.deepEqual([info.type, info.name, info.mapIds.length], ['xdp', 'ringtap_a_name_', 1])
  assert.match(info.tag, /^[0-9a-f]{16}$/)
  assert.ok(Math.abs(info.loadedAt.getTime() - Date.now()) < 5000, info.loadedAt.toISOString())
  assert.deepEqual({ ...programById(kernel, info.id), loadedAt: info.loadedAt }, info)
  const [shown] = [JSON.parse(execFileSync('bpftool', ['-j', 'prog', 'show', 'id', `${info.id}`], { encoding: 'utf8' }))] as {
    name: string
    tag: string
    type: string
    map_ids: number[]
  }[]
  assert.deepEqual([shown.name, shown.tag, shown.type, shown.map_ids], [info.name, info.tag, 'xdp', info.mapIds])
  assert.throws(() => programById(kernel, 0x7fff_ffff), { errnoName: 'ENOENT' })

  // One at a time: a signal begins repeated runs anew.
  for (let run = 0; run < 20; run++) runProgram(kernel, program.fd, { data: FRAME })
  const cell = new BpfCell(kernel, map.fd, 4)
  cell.read()
  assert.deepEqual([...cell.words], [0n, 60n, 0n, 0n])
})

live('every program of ours loads, under its name', () => {
  const kernel = openKernel()
  using xsk = loadXsk(kernel, 4)
  using dropping = loadXsk(kernel, 1, { otherwise: 'drop' })
  using state = BpfCell.create(kernel, 'ringtap_count', 8)
  const macs = { destinationMac: new Uint8Array(6), sourceMac: new Uint8Array(6) }
  for (const kind of FLOOD_KINDS) {
    for (const vlan of [undefined, 7]) {
      const { statements } = floodProgram({ kind, frameBytes: 64, sources: 100, ...macs, vlan, interfaceIndex: 1, stateCpus: 1 })
      loadProgram(kernel, { name: 'ringtap_flood', type: 'xdp', code: assemble(statements, { state: state.fd }) }).close()
    }
  }
  const programs = JSON.parse(execFileSync('bpftool', ['-j', 'prog', 'show'], { encoding: 'utf8' })) as { id: number; name?: string; map_ids?: number[] }[]
  const maps = JSON.parse(execFileSync('bpftool', ['-j', 'map', 'show'], { encoding: 'utf8' })) as { id: number; name?: string; type: string }[]
  for (const { program } of [xsk, dropping]) {
    const shown = programs.find((it) => it.id === programInfo(kernel, program.fd).id)
    assert.equal(shown?.name, 'ringtap_xsk')
    const used = maps.filter((it) => shown?.map_ids?.includes(it.id)).map(({ name, type }) => `${name} ${type}`)
    assert.deepEqual(used.sort(), ['ringtap_queues percpu_array', 'ringtap_xsks xskmap'])
  }
})

/** An AF_XDP socket that may stand in an xskmap: without rings to receive with, so that all it gets is counted as dropped. */
function openXsk(kernel: Kernel, end?: { index: number; queue: number }): Descriptor & { dropped(): number } {
  const socket = new Descriptor(kernel, kernel.socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0))
  const set = (option: number, ...words: bigint[]) => {
    const value = new Uint8Array(new BigUint64Array(words).buffer)
    assert.equal(kernel.setsockopt(socket.fd, SOL_XDP, option, option === XDP_UMEM_REG ? value : value.subarray(0, 4)), 0)
  }
  const bytes = 16 * 4096
  set(XDP_UMEM_REG, kernel.mmap(0n, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1), BigInt(bytes), 4096n, 0n)
  set(XDP_UMEM_FILL_RING, 16n)
  set(XDP_UMEM_COMPLETION_RING, 16n)
  if (end !== undefined) {
    set(2, 16n)
    const address = new Uint8Array(SOCKADDR_XDP.sizeof)
    const view = new DataView(address.buffer)
    view.setUint16(SOCKADDR_XDP.sxdp_family, AF_XDP, true)
    view.setUint32(SOCKADDR_XDP.sxdp_ifindex, end.index, true)
    view.setUint32(SOCKADDR_XDP.sxdp_queue_id, end.queue, true)
    assert.equal(kernel.bind(socket.fd, address), 0)
  }
  return Object.assign(socket, {
    dropped() {
      const statistics = new Uint8Array(XDP_STATISTICS_LAYOUT.sizeof)
      kernel.getsockopt(socket.fd, SOL_XDP, XDP_STATISTICS, statistics)
      return Number(new DataView(statistics.buffer).getBigUint64(XDP_STATISTICS_LAYOUT.rx_dropped, true))
    },
  })
}

live('the AF_XDP program, run without an interface: to the socket, or else', () => {
  const kernel = openKernel()
  for (const [otherwise, action, counts] of [
    [undefined, XDP_PASS, [0, 20, 0, 0]],
    ['pass', XDP_PASS, [0, 20, 0, 0]],
    ['drop', XDP_DROP, [0, 0, 20, 0]],
  ] as const) {
    using xsk = loadXsk(kernel, 2, { otherwise })
    // One at a time: a signal begins repeated runs anew.
    for (let run = 0; run < 20; run++) assert.equal(runProgram(kernel, xsk.program.fd, { data: FRAME }).retval, action)
    assert.deepEqual(xsk.countsOf(0), counts)
    assert.deepEqual(xsk.countsOf(1), [0, 0, 0, 0])
    using socket = openXsk(kernel)
    xsk.xsks.update(0, socket.fd)
    for (let run = 0; run < 5; run++) assert.equal(runProgram(kernel, xsk.program.fd, { data: FRAME }).retval, XDP_REDIRECT)
    assert.deepEqual(xsk.countsOf(0), [5, counts[1], counts[2], 0])
    assert.ok(xsk.xsks.delete(0))
    assert.equal(runProgram(kernel, xsk.program.fd, { data: FRAME }).retval, action)
  }
})

function insideOf<T>(kernel: Kernel, end: TestbedEnd, inside: (index: number) => T): T {
  using namespace = openNamespace(kernel, end.netns)
  return withNamespace(kernel, namespace, () => {
    using route = RouteSocket.open(kernel)
    return inside(getLink(route, end.interface).index)
  })
}

for (const mode of ['native', 'generic'] as const) {
  live(`the AF_XDP program on a wire, ${mode}: every frame is counted at its queue, and reaches the socket of a queue that has one`, async () => {
    const kernel = openKernel()
    using testbed = createTestbed({ queues: 2 })
    using xsk = loadXsk(kernel, 2)
    const { interface: interfaceName } = testbed.receiver
    using _link = insideOf(kernel, testbed.receiver, (interfaceIndex) => attachXdp(kernel, { program: xsk.program, interfaceName, interfaceIndex, mode }))
    const flood = async () => {
      const before = testbed.wire().received
      await using running = await startFlood({ ...testbed.sender, cpus: [0, 1], ratePps: 100_000, durationMs: 100 })
      await running.finished
      const { received } = await settledWire(testbed)
      // The program has run, the counter not yet moved, or the other way round.
      await sleep(20)
      return received - before
    }
    const first = await flood()
    assert.ok(first > 1000, `${first}`)
    const passed = [xsk.countsOf(0), xsk.countsOf(1)]
    assert.equal(passed[0][1] + passed[1][1], first)
    assert.ok(passed[0][1] > 0 && (mode === 'generic' || passed[1][1] > 0), JSON.stringify(passed))

    using socket = insideOf(kernel, testbed.receiver, (index) => openXsk(kernel, { index, queue: 0 }))
    xsk.xsks.update(0, socket.fd)
    const second = await flood()
    const all = [xsk.countsOf(0), xsk.countsOf(1)]
    assert.ok(all[0][0] > 0)
    assert.equal(all[1][0], 0)
    assert.equal(all[0][0] + all[0][1] + all[1][1], first + second)
    assert.equal(socket.dropped(), all[0][0])
  })
}

const REGISTERS: readonly Register[] = ['r0', 'r1', 'r2', 'r3', 'r4', 'r5', 'r6', 'r7', 'r8', 'r9']
const ALU: readonly AluOperation[] = ['add', 'sub', 'mul', 'div', 'or', 'and', 'lsh', 'rsh', 'mod', 'xor', 'mov', 'arsh']
const CONDITIONS: readonly Condition[] = ['eq', 'gt', 'ge', 'set', 'ne', 'sgt', 'sge', 'lt', 'le', 'slt', 'sle']

/** Random numbers in all registers, `length` random operations, all registers into the map. */
function arithmetic(random: Random, length: number): Statement[] {
  const program: Statement[] = REGISTERS.map((register) =>
    loadImmediate64(register, (BigInt(random.word()) << 32n) | BigInt(random.oneIn(3) ? random.between(0, 70) : random.word())),
  )
  const register = () => random.pick(REGISTERS)
  const any = (operation: AluOperation, width: number): Register | number => {
    if (random.oneIn(2)) return register()
    if (operation === 'lsh' || operation === 'rsh' || operation === 'arsh') return random.between(0, width - 1)
    if (operation === 'div' || operation === 'mod') return random.between(1, 1000)
    return random.word() | 0
  }
  const pending: { name: string; at: number }[] = []
  program.push(store('dw', 'r10', -8, 77))
  for (let i = 0; i < length; i++) {
    for (const it of pending.filter(({ at }) => at === i)) program.push(label(it.name))
    const operation = random.pick(ALU)
    const target = { name: `l${i}`, at: random.between(i + 1, length) }
    const makers: readonly (() => Statement)[] = [
      () => alu(operation, register(), any(operation, 64)),
      () => alu32(operation, register(), any(operation, 32)),
      () => negate(register()),
      () => toBigEndian(register(), random.pick([16, 32, 64] as const)),
      () => toLittleEndian(register(), random.pick([16, 32, 64] as const)),
      () => store('dw', 'r10', -8, random.oneIn(2) ? register() : random.word() | 0),
      () => load(random.pick(['b', 'h', 'w', 'dw'] as const), register(), 'r10', -8),
      () => atomicAdd('dw', 'r10', -8, register()),
      () => {
        pending.push(target)
        return random.oneIn(2)
          ? jumpIf(random.pick(CONDITIONS), register(), random.oneIn(2) ? register() : random.word() | 0, target.name)
          : jumpIf32(random.pick(CONDITIONS), register(), random.oneIn(2) ? register() : random.word() | 0, target.name)
      },
    ]
    program.push(random.pick(makers)())
  }
  for (const it of pending.filter(({ at }) => at === length)) program.push(label(it.name))
  program.push(
    ...REGISTERS.map((it, i) => store('dw', 'r10', -16 - 8 * i, it)),
    loadMapValue('r1', 'cell', 0),
    ...REGISTERS.flatMap((_, i) => [load('dw', 'r2', 'r10', -16 - 8 * i), store('dw', 'r1', 8 * i, 'r2')]),
    alu('mov', 'r0', XDP_PASS),
    exit(),
  )
  return program
}

live('random arithmetic: the kernel and the interpreter of our tests agree', (t) => {
  const kernel = openKernel()
  const random = seededRandom(t)
  using map = BpfCell.create(kernel, 'ringtap_count', REGISTERS.length)
  const cell = new BpfCell(kernel, map.fd, REGISTERS.length)
  for (let round = 0; round < 200; round++) {
    const program = arithmetic(random, random.between(1, 40))
    const code = assemble(program, { cell: map.fd })
    using loaded = loadProgram(kernel, { name: 'ringtap_fuzz', type: 'xdp', code })
    assert.equal(runProgram(kernel, loaded.fd, { data: FRAME }).retval, XDP_PASS)
    cell.read()
    const words = new BigUint64Array(REGISTERS.length)
    interpret({ code, context: 0n, memory: [{ address: 0x1000n, bytes: new Uint8Array(words.buffer) }], mapValue: () => 0x1000n })
    assert.deepEqual([...cell.words], [...words], `round ${round}:\n${disassemble(program).join('\n')}`)
  }
})

live('what only some programs may: loads from a packet in a socket program, a tail call, a load over fragments', () => {
  const kernel = openKernel()
  const packet = Uint8Array.from({ length: 60 }, (_, i) => i)
  const run = (type: 'xdp' | 'socket_filter', statements: Statement[], maps: Record<string, number> = {}) => {
    using program = loadProgram(kernel, { name: 'ringtap_try', type, code: assemble(statements, maps) })
    return runProgram(kernel, program.fd, { data: packet }).retval
  }
  // The kernel shows a socket program what follows the Ethernet header.
  const words: Statement[] = [
    alu('mov', 'r6', 'r1'),
    loadAbsolute('h', 0),
    alu('mov', 'r7', 'r0'),
    alu('mov', 'r8', 3),
    loadIndirect('b', 'r8', 4),
    alu('lsh', 'r7', 8),
    alu('or', 'r0', 'r7'),
    exit(),
  ]
  assert.equal(run('socket_filter', words), (14 << 16) | (15 << 8) | 21)
  assert.equal(Number(interpret({ code: assemble(words), context: 0n, memory: [], packet: packet.subarray(14) })), (14 << 16) | (15 << 8) | 21)
  const beyond: Statement[] = [alu('mov', 'r6', 'r1'), loadAbsolute('w', 44), alu('mov', 'r0', 9), exit()]
  assert.equal(run('socket_filter', beyond), 0)
  assert.equal(Number(interpret({ code: assemble(beyond), context: 0n, memory: [], packet: packet.subarray(14) })), 0)

  using programs = BpfMap.create(kernel, { name: 'ringtap_progs', type: 'prog_array', keyBytes: 4, valueBytes: 4, maxEntries: 2 })
  using called = loadProgram(kernel, { name: 'ringtap_called', type: 'xdp', code: assemble([alu('mov', 'r0', 77), exit()]) })
  programs.update(1, called.fd)
  const tail = (index: number): Statement[] => [loadMap('r2', 'programs'), alu('mov', 'r3', index), call(BPF_FUNC_tail_call), alu('mov', 'r0', 5), exit()]
  assert.equal(run('xdp', tail(1), { programs: programs.fd }), 77)
  assert.equal(run('xdp', tail(0), { programs: programs.fd }), 5)

  const bytes: Statement[] = [
    store('dw', 'r10', -8, 0),
    alu('mov', 'r2', 20),
    alu('mov', 'r3', 'r10'),
    alu('add', 'r3', -8),
    alu('mov', 'r4', 4),
    call(BPF_FUNC_xdp_load_bytes),
    load('w', 'r0', 'r10', -8),
    exit(),
  ]
  assert.equal(run('xdp', bytes), 0x17161514)
  assert.equal(run('xdp', [load('w', 'r0', 'r1', XDP_MD.rx_queue_index), exit()]), 0)
})
