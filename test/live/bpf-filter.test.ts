/**
 * Filters in the kernel: classic programs as it runs them in a socket, which our interpreter and matcher must answer like, and our
 * translations for XDP, which its verifier must take. A UNIX datagram socket is a filter without a network: it sees the datagram.
 */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { release } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { encodeProgram, type Instruction, validateProgram } from '#src/bpf/classic.js'
import { formatProgram } from '#src/bpf/classic-text.js'
import { assemble, disassemble } from '#src/bpf/ebpf.js'
import { interpret } from '#src/bpf/interpret.js'
import { compileMatcher } from '#src/bpf/matcher.js'
import { xskFilterProgram } from '#src/bpf/xsk-filter-program.js'
import { XSK_QUEUE, xskMaps } from '#src/bpf/xsk-program.js'
import { BPF_F_XDP_HAS_FRAGS } from '#src/kernel/abi/bpf.js'
import { XDP_MD, XDP_PASS } from '#src/kernel/abi/ebpf.js'
import { SOCKADDR_LL } from '#src/kernel/abi/if_packet.js'
import { AF_PACKET, AF_UNIX, ETH_P_ALL, MSG_DONTWAIT, SOCK_CLOEXEC, SOCK_DGRAM, SOCK_RAW } from '#src/kernel/abi/socket.js'
import { attachXdp } from '#src/kernel/bpf-link.js'
import { BpfMap } from '#src/kernel/bpf-map.js'
import { loadProgram, runProgram } from '#src/kernel/bpf-program.js'
import { Descriptor } from '#src/kernel/descriptor.js'
import { openNamespace, withNamespace } from '#src/kernel/namespace.js'
import { getLink, RouteSocket } from '#src/kernel/netlink.js'
import { attachFilter } from '#src/kernel/options.js'
import { openKernel } from '#src/kernel/system.js'
import { createTestbed } from '#src/testbed/index.js'
import { EXPRESSIONS, randomExpression, randomProgram, tcpdumpProgram } from '../support/classic-programs.js'
import { randomFrame } from '../support/filter-packets.js'
import { live, RawSender, until } from '../support/live.js'
import { type Random, seededRandom } from '../support/random.js'
import { asReceived } from '../support/received.js'
import { ACCEPTED, REJECTED, verdictProgram } from '../support/xdp-filter.js'

const kernel = openKernel()
const EAGAIN = 11
const EINVAL = 22

/** A socket that sends datagrams to one that filters them. */
class DatagramFilter implements Disposable {
  readonly #sender = new Descriptor(kernel, kernel.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0))
  readonly #receiver = new Descriptor(kernel, kernel.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0))
  /** Family, and a name that begins with 0: not a file's. */
  readonly #address = Uint8Array.from([AF_UNIX, 0, 0, ...new TextEncoder().encode(`ringtap test ${randomUUID()}`)])
  readonly #into = new Uint8Array(2048)

  constructor() {
    assert.equal(kernel.bind(this.#receiver.fd, this.#address), 0)
  }

  /** 0 or -errno. */
  attach(program: readonly Instruction[]): number {
    return attachFilter(kernel, this.#receiver.fd, encodeProgram(program))
  }

  /** How many bytes of a datagram that has some are accepted. */
  run(bytes: Uint8Array): number {
    assert.equal(kernel.sendto(this.#sender.fd, bytes, 0, this.#address), bytes.length)
    const received = kernel.recv(this.#receiver.fd, this.#into, MSG_DONTWAIT)
    return received === -EAGAIN ? 0 : received
  }

  [Symbol.dispose](): void {
    this.#sender.close()
    this.#receiver.close()
  }
}

let compiled: readonly (readonly [expression: string, program: Instruction[]])[] | undefined

/** What tcpdump makes of some expressions and the kernel takes, the same for all tests. */
function tcpdumpPrograms(random: Random): NonNullable<typeof compiled> {
  const expressions = [...EXPRESSIONS, ...Array.from({ length: 150 }, () => randomExpression(random))]
  compiled ??= expressions.flatMap((expression) => {
    const program = tcpdumpProgram(expression)
    return program === undefined || !isValid(program) ? [] : [[expression, program] as const]
  })
  assert.ok(compiled.length > 150, `${compiled.length}`)
  return compiled
}

function isValid(program: readonly Instruction[]): boolean {
  try {
    validateProgram(program)
    return true
  } catch {
    return false
  }
}

live('a program is valid if the kernel takes it, and only then', (t) => {
  const random = seededRandom(t)
  using filter = new DatagramFilter()
  const ancillary = Array.from({ length: 16 }, (_, i) => 4 * i)
  const seen = { valid: 0, invalid: 0 }
  const check = (program: readonly Instruction[]) => {
    const result = filter.attach(program)
    assert.ok(result === 0 || result === -EINVAL, `${result}`)
    assert.equal(isValid(program), result === 0, formatProgram(program, 'd'))
    seen[result === 0 ? 'valid' : 'invalid']++
  }
  for (let round = 0; round < 6000; round++) {
    const program: Instruction[] = randomProgram(random, { ancillary, headerOffsets: true, maxLength: 20 })
    check(program)
    for (let changes = random.between(1, 3); changes > 0; changes--) {
      const at = random.between(0, program.length - 1)
      const row = [...(program[at] as Instruction)] as [number, number, number, number]
      const place = random.pick([0, 0, 1, 2, 3, 3])
      row[place] = random.pick([random.between(0, 20), random.between(0, 255), place === 3 ? random.word() : random.between(0, 255)])
      if (place === 0) row[0] = random.oneIn(10) ? random.between(0, 0xffff) : row[0]
      if (place === 3 && random.oneIn(3)) row[3] = 0xffff_f000 + random.between(0, 100)
      program[at] = row
    }
    check(program)
  }
  for (let code = 0; code < 0x200; code++)
    check([
      [0x02, 0, 0, 1],
      [code, 0, 0, 1],
      [0x06, 0, 0, 0],
      [0x06, 0, 0, 0],
    ])
  // Written on every way to the load; but the kernel takes the return before it for one more.
  check([
    [0x15, 0, 2, 1],
    [0x02, 0, 0, 3],
    [0x05, 0, 0, 1],
    [0x06, 0, 0, 0],
    [0x60, 0, 0, 3],
    [0x06, 0, 0, 0],
  ])
  for (const expression of ['ip protochain 6', 'geneve or ether[0] & 1 = 1']) check(tcpdumpProgram(expression) as Instruction[])
  t.diagnostic(JSON.stringify(seen))
  assert.ok(seen.valid > 2000 && seen.invalid > 2000, JSON.stringify(seen))
})

/** What the kernel accepts of a datagram, the interpreter and the matcher accept; answers how many were accepted. */
function assertSame(filter: DatagramFilter, program: readonly Instruction[], frames: readonly Uint8Array[], what = ''): number {
  assert.equal(filter.attach(program), 0, what)
  const matches = compileMatcher(program)
  let accepted = 0
  for (const frame of frames) {
    const expected = filter.run(frame)
    if (expected !== 0) accepted++
    const { length } = frame
    const answers = [interpret(program, frame, 0, length, length), matches(frame, 0, length, length)]
    if (answers.every((answer) => Math.min(answer, length) === expected)) continue
    // A datagram of AF_UNIX has no network header: what stands there is the kernel's own.
    let asked = false
    const noting = {
      get networkOffset() {
        asked = true
        return 0
      },
    }
    interpret(program, frame, 0, length, length, noting)
    if (asked) continue
    assert.deepEqual(answers, [expected, expected], `${what}\n${formatProgram(program, 'd')}${Buffer.from(frame).toString('hex')}`)
  }
  return accepted
}

live('random programs, as the kernel runs them', (t) => {
  const random = seededRandom(t)
  using filter = new DatagramFilter()
  const programs = 4000
  const packets = 15
  let accepted = 0
  for (let round = 0; round < programs; round++) {
    // A ^= X is the one ancillary load that asks for nothing.
    const program = randomProgram(random, { ancillary: [40], maxLength: random.oneIn(40) ? 300 : 40 })
    accepted += assertSame(
      filter,
      program,
      Array.from({ length: packets }, () => randomFrame(random, 1)),
    )
  }
  t.diagnostic(`${programs * packets} pairs, ${accepted} accepted`)
  assert.ok(accepted > (programs * packets) / 20 && accepted < (programs * packets * 19) / 20, `${accepted}`)
})

live("tcpdump's programs, as the kernel runs them", (t) => {
  const random = seededRandom(t)
  using filter = new DatagramFilter()
  const programs = tcpdumpPrograms(random)
  let accepted = 0
  for (const [expression, program] of programs) {
    accepted += assertSame(
      filter,
      program,
      Array.from({ length: 200 }, () => randomFrame(random, 1)),
      expression,
    )
  }
  t.diagnostic(`${programs.length} programs, ${programs.length * 200} pairs, ${accepted} accepted`)
  assert.ok(accepted > programs.length * 10, `${accepted}`)
})

live('ancillary loads and offsets from headers, as the kernel runs them in a packet socket', async (t) => {
  const random = seededRandom(t)
  using testbed = createTestbed({ queues: 1 })
  using sender = new RawSender(testbed.sender)
  const { index, macAddress, sockets } = openPacketSockets(testbed.receiver, 2)
  const [filtered, all] = sockets as [Descriptor, Descriptor]
  using _filtered = filtered
  using _all = all
  const into = new Uint8Array(4096)
  const receive = (socket: Descriptor) => {
    const length = kernel.recv(socket.fd, into, MSG_DONTWAIT)
    return length === -EAGAIN ? undefined : into.slice(0, length)
  }
  let accepted = 0
  const rounds = 400
  const packets = 12
  for (let round = 0; round < rounds; round++) {
    const program = randomProgram(random, { ancillary: [0, 4, 8, 20, 24, 28, 40, 44, 48, 60], headerOffsets: true, maxLength: 25 })
    assert.equal(attachFilter(kernel, filtered.fd, encodeProgram(program)), 0)
    // What came before the filter.
    while (receive(filtered) !== undefined);
    const frames = Array.from({ length: packets }, () => {
      const frame = randomFrame(random, 60)
      if (random.oneIn(3)) frame.set(macAddress)
      return frame
    })
    sender.send(...frames)
    const arrived: Uint8Array[] = []
    await until('all frames have arrived', () => {
      for (let bytes = receive(all); bytes !== undefined; bytes = receive(all)) arrived.push(bytes)
      return arrived.length === packets
    })
    const expected: Uint8Array[] = []
    for (const [place, frame] of frames.entries()) {
      const { bytes, ancillary } = asReceived(frame, index, macAddress)
      assert.deepEqual(arrived[place], bytes)
      const answer = interpret(program, bytes, 0, bytes.length, bytes.length, ancillary)
      assert.equal(compileMatcher(program)(bytes, 0, bytes.length, bytes.length, ancillary), answer)
      if (answer !== 0) expected.push(bytes.slice(0, answer))
    }
    const taken: Uint8Array[] = []
    // The kernel hands a packet to one socket after the other.
    for (let wait = 0; taken.length < expected.length && wait < 100; wait++) {
      for (let bytes = receive(filtered); bytes !== undefined; bytes = receive(filtered)) taken.push(bytes)
      if (taken.length < expected.length) await sleep(1)
    }
    for (let bytes = receive(filtered); bytes !== undefined; bytes = receive(filtered)) taken.push(bytes)
    accepted += expected.length
    assert.deepEqual(taken, expected, `round ${round}\n${formatProgram(program, 'd')}${frames.map((it) => Buffer.from(it).toString('hex')).join('\n')}`)
  }
  t.diagnostic(`${rounds * packets} pairs, ${accepted} accepted`)
  assert.ok(accepted > (rounds * packets) / 20, `${accepted}`)
})

function openPacketSockets({ netns, interface: name }: { netns: string; interface: string }, count: number) {
  using namespace = openNamespace(kernel, netns)
  return withNamespace(kernel, namespace, () => {
    using route = RouteSocket.open(kernel)
    const { index, address: macAddress } = getLink(route, name)
    const address = new Uint8Array(SOCKADDR_LL.sizeof)
    const view = new DataView(address.buffer)
    view.setUint16(SOCKADDR_LL.sll_family, AF_PACKET, true)
    view.setUint16(SOCKADDR_LL.sll_protocol, ETH_P_ALL, false)
    view.setInt32(SOCKADDR_LL.sll_ifindex, index, true)
    const sockets = Array.from({ length: count }, () => {
      const socket = new Descriptor(kernel, kernel.socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0))
      assert.equal(kernel.bind(socket.fd, address), 0)
      return socket
    })
    return { index, macAddress, sockets }
  })
}

/** Loads the translation of a filter, and compares its verdicts; answers how many frames were accepted. */
function assertXdpSame(random: Random, filter: readonly Instruction[], multiBuffer: boolean, frames: number, what = ''): number {
  const statements = verdictProgram(filter, multiBuffer)
  using program = loadProgram(kernel, { name: 'ringtap_filter', type: 'xdp', code: assemble(statements), flags: multiBuffer ? BPF_F_XDP_HAS_FRAGS : 0 })
  let accepted = 0
  for (let round = 0; round < frames; round++) {
    let data = randomFrame(random, 14)
    if (multiBuffer && random.oneIn(4)) {
      const jumbo = random.bytes(random.between(4000, 9000))
      jumbo.set(data)
      data = jumbo
    }
    const firstBytes = multiBuffer && tellsFirstBuffer && data.length < 1000 && random.oneIn(2) ? random.between(14, data.length) : undefined
    const context = firstBytes === undefined ? undefined : new Uint8Array(XDP_MD.sizeof)
    if (context !== undefined) new DataView(context.buffer).setUint32(XDP_MD.data_end, firstBytes as number, true)
    const expected = interpret(filter, data, 0, data.length, data.length) !== 0
    if (expected) accepted++
    const { retval } = runProgram(kernel, program.fd, { data, context })
    if (retval === (expected ? ACCEPTED : REJECTED)) continue
    const shown = `${firstBytes ?? 'all'} of ${data.length}: ${Buffer.from(data).toString('hex')}`
    assert.equal(retval, expected ? ACCEPTED : REJECTED, `${what}\n${formatProgram(filter, 'd')}${disassemble(statements).join('\n')}\n${shown}`)
  }
  return accepted
}

/** BPF_PROG_RUN takes the length of the first buffer since Linux 6.18. */
const [major = 0, minor = 0] = release().split('.').map(Number)
const tellsFirstBuffer = major > 6 || (major === 6 && minor >= 18)

for (const multiBuffer of [false, true]) {
  const kind = multiBuffer ? 'several buffers' : 'one buffer'
  const flags = multiBuffer ? BPF_F_XDP_HAS_FRAGS : 0

  live(`random programs become XDP programs that load and answer the same: ${kind}`, (t) => {
    const random = seededRandom(t)
    const programs = 1000
    const frames = 15
    let accepted = 0
    for (let round = 0; round < programs; round++) {
      const filter = randomProgram(random, { ancillary: [40], headerOffsets: true, maxLength: random.oneIn(40) ? 300 : 40 })
      accepted += assertXdpSame(random, filter, multiBuffer, frames)
    }
    t.diagnostic(`${programs} programs, ${programs * frames} pairs, ${accepted} accepted`)
    assert.ok(accepted > (programs * frames) / 20 && accepted < (programs * frames * 19) / 20, `${accepted}`)
  })

  live(`tcpdump's programs become XDP programs that load and answer the same: ${kind}`, (t) => {
    const random = seededRandom(t)
    const programs = tcpdumpPrograms(random)
    let accepted = 0
    for (const [expression, filter] of programs) {
      accepted += assertXdpSame(random, filter, multiBuffer, 60, expression)
    }
    t.diagnostic(`${programs.length} programs, ${programs.length * 60} pairs, ${accepted} accepted`)
    assert.ok(accepted > programs.length * 3, `${accepted}`)
  })

  live(`long filters load: ${kind}`, () => {
    const ports = Array.from({ length: 100 }, (_, n) => `port ${7 * n + 1}`).join(' or ')
    const addresses: Instruction[] = [[0x20, 0, 0, 26]]
    for (let n = 0; addresses.length < 4094; n++) addresses.push([0x15, 0, 1, 0x0a00_0000 + 7 * n], [0x06, 0, 0, 1])
    for (const filter of [tcpdumpProgram(ports) as Instruction[], [...addresses, [0x06, 0, 0, 0] as Instruction]]) {
      assert.ok(filter.length > 300)
      loadProgram(kernel, { name: 'ringtap_filter', type: 'xdp', code: assemble(verdictProgram(filter, multiBuffer)), flags }).close()
    }
  })

  live(`every ancillary load that XDP answers loads: ${kind}`, () => {
    for (const number of [0, 4, 8, 24, 36, 40, 56]) {
      const filter: Instruction[] = [
        [0xb1, 0, 0, 14],
        [0x50, 0, 0, 20],
        [0x20, 0, 0, 0xffff_f000 + number],
        [0x02, 0, 0, 0],
        [0x50, 0, 0, 19],
        [0x80, 0, 0, 0],
        [0x60, 0, 0, 0],
        [0x16, 0, 0, 0],
      ]
      loadProgram(kernel, { name: 'ringtap_filter', type: 'xdp', code: assemble(verdictProgram(filter, multiBuffer)), flags }).close()
    }
  })
}

for (const mode of ['native', 'generic'] as const) {
  live(`on a wire, ${mode}: what the filter does not take goes on to the stack and is counted`, async (t) => {
    const random = seededRandom(t)
    using testbed = createTestbed({ queues: 1 })
    using sender = new RawSender(testbed.sender)
    const shapes = xskMaps(1)
    using xsks = BpfMap.create(kernel, shapes.xsks)
    using counts = BpfMap.create(kernel, shapes.queues)
    const filter = tcpdumpProgram('udp port 53 or vlan 5') as Instruction[]
    const code = assemble(xskFilterProgram(filter), { xsks: xsks.fd, queues: counts.fd })
    using program = loadProgram(kernel, { name: 'ringtap_xsk', type: 'xdp', code })
    using namespace = openNamespace(kernel, testbed.receiver.netns)
    using _link = withNamespace(kernel, namespace, () => {
      using route = RouteSocket.open(kernel)
      const { interface: interfaceName } = testbed.receiver
      return attachXdp(kernel, { program, interfaceName, interfaceIndex: getLink(route, interfaceName).index, mode })
    })
    const frames = Array.from({ length: 2000 }, () => randomFrame(random, 60))
    const matching = frames.filter((frame) => interpret(filter, frame, 0, frame.length, frame.length) !== 0).length
    assert.ok(matching > 20 && matching < 1000, `${matching}`)
    const value = new Uint8Array(counts.valueSize)
    const read = (word: number) => {
      assert.ok(counts.lookup(0, value))
      return new BigUint64Array(value.buffer).reduce((sum, n, at) => (at % XSK_QUEUE.words === word ? sum + Number(n) : sum), 0)
    }
    // The queue of a veth holds 256 frames.
    for (let sent = 0; sent < frames.length; sent += 100) {
      sender.send(...frames.slice(sent, sent + 100))
      await until('all are counted', () => read(XSK_QUEUE.filtered) + read(XSK_QUEUE.passed) === sent + 100)
    }
    assert.equal(read(XSK_QUEUE.passed), matching)
    assert.equal(read(XSK_QUEUE.redirected) + read(XSK_QUEUE.dropped), 0)
    assert.equal(runProgram(kernel, program.fd, { data: new Uint8Array(60) }).retval, XDP_PASS)
  })
}
