/** The fanout program in the kernel: what it is given, and that packets go where our interpreter says that they will. */
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { alu, assemble, call, exit, load, loadMapValue, store } from '#src/bpf/ebpf.js'
import { fanoutProgram } from '#src/bpf/fanout-program.js'
import { __SK_BUFF, BPF_FUNC_skb_load_bytes_relative, BPF_HDR_START_MAC, BPF_HDR_START_NET } from '#src/kernel/abi/ebpf.js'
import { PACKET_FANOUT, PACKET_FANOUT_DATA, PACKET_FANOUT_EBPF, SOCKADDR_LL } from '#src/kernel/abi/if_packet.js'
import { AF_PACKET, ETH_P_ALL, MSG_DONTWAIT, SOCK_CLOEXEC, SOCK_RAW, SOL_PACKET } from '#src/kernel/abi/socket.js'
import { BpfCell } from '#src/kernel/bpf-map.js'
import { loadProgram, programInfo, runProgram } from '#src/kernel/bpf-program.js'
import { Descriptor } from '#src/kernel/descriptor.js'
import { openNamespace, withNamespace } from '#src/kernel/namespace.js'
import { getLink, RouteSocket } from '#src/kernel/netlink.js'
import { openKernel } from '#src/kernel/system.js'
import { createTestbed, type Testbed } from '#src/testbed/index.js'
import { live, RawSender, until } from '../support/live.js'
import { type Random, seededRandom } from '../support/random.js'
import { runOnFrame, taggedFrame } from '../support/skb.js'

const kernel = openKernel()
const NO_TAGS: readonly (readonly [number, number])[] = []
const TAGS = [
  NO_TAGS,
  [[0x8100, 5]],
  [
    [0x88a8, 6],
    [0x8100, 5],
  ],
] as const

const word = (value: number) => new Uint8Array(new Int32Array([value]).buffer)

/** Sockets on the receiving end, in a group that the program spreads packets over. */
function openGroup(testbed: Testbed, members: number, programFd: number): Descriptor[] {
  using namespace = openNamespace(kernel, testbed.receiver.netns)
  return withNamespace(kernel, namespace, () => {
    using route = RouteSocket.open(kernel)
    const { index } = getLink(route, testbed.receiver.interface)
    const address = new Uint8Array(SOCKADDR_LL.sizeof)
    const view = new DataView(address.buffer)
    view.setUint16(SOCKADDR_LL.sll_family, AF_PACKET, true)
    view.setUint16(SOCKADDR_LL.sll_protocol, ETH_P_ALL, false)
    view.setInt32(SOCKADDR_LL.sll_ifindex, index, true)
    return Array.from({ length: members }, () => {
      const socket = new Descriptor(kernel, kernel.socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0))
      assert.equal(kernel.bind(socket.fd, address), 0)
      assert.equal(kernel.setsockopt(socket.fd, SOL_PACKET, PACKET_FANOUT, word(4711 | (PACKET_FANOUT_EBPF << 16))), 0)
      assert.equal(kernel.setsockopt(socket.fd, SOL_PACKET, PACKET_FANOUT_DATA, word(programFd)), 0)
      return socket
    })
  })
}

function anyFrame(random: Random): Uint8Array<ArrayBuffer> {
  const bytes = random.bytes(random.between(60, 120))
  bytes[0] &= 0xfe
  bytes[6] &= 0xfe
  if (random.oneIn(10)) return bytes
  const v4 = random.oneIn(2)
  bytes.set(v4 ? [8, 0, 0x45] : [0x86, 0xdd, 0x60], 12)
  if (v4) {
    bytes.set([random.oneIn(4) ? 0x20 : 0x40, 0], 20)
    bytes[23] = random.pick([1, 6, 17, 132])
  } else bytes[20] = random.pick([0, 6, 17, 43, 44, 58, 60])
  return bytes
}

live('where the headers of a packet are that comes in, and of one that goes out', async () => {
  using testbed = createTestbed()
  using map = BpfCell.create(kernel, 'ringtap_probe', 5)
  const readHeader = (start: number, at: number) => [
    alu('mov', 'r1', 'r6'),
    alu('mov', 'r2', start === BPF_HDR_START_MAC ? 12 : 0),
    alu('mov', 'r3', 'r10'),
    alu('add', 'r3', -8),
    alu('mov', 'r4', 8),
    alu('mov', 'r5', start),
    call(BPF_FUNC_skb_load_bytes_relative),
    load('dw', 'r1', 'r10', -8),
    store('dw', 'r7', at * 8, 'r1'),
  ]
  const probe = [
    alu('mov', 'r6', 'r1'),
    loadMapValue('r7', 'probe', 0),
    load('w', 'r1', 'r6', __SK_BUFF.protocol),
    store('dw', 'r7', 0, 'r1'),
    ...readHeader(BPF_HDR_START_NET, 1),
    ...readHeader(BPF_HDR_START_MAC, 2),
    load('dw', 'r1', 'r7', 24),
    alu('add', 'r1', 1),
    store('dw', 'r7', 24, 'r1'),
    alu('mov', 'r0', 0),
    exit(),
  ]
  using program = loadProgram(kernel, { name: 'ringtap_probe', type: 'socket_filter', code: assemble(probe, { probe: map.fd }) })
  const [socket] = openGroup(testbed, 1, program.fd)
  const cell = new BpfCell(kernel, map.fd, 5)
  const plain = Uint8Array.from({ length: 64 }, (_, i) => i)
  plain.set([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x08, 0x00])
  for (const direction of ['in', 'out'] as const) {
    using sender = new RawSender(direction === 'in' ? testbed.sender : testbed.receiver)
    for (const tags of TAGS) {
      cell.words.fill(0n)
      cell.write()
      sender.send(taggedFrame(plain, tags))
      await until('the program ran', () => {
        cell.read()
        return cell.words[3] === 1n
      })
      const inData = direction === 'in' ? tags.slice(1) : tags
      const hex = (at: number, bytes: number) => Buffer.from(cell.words.buffer, at * 8, bytes).toString('hex')
      const name = `${direction}, ${tags.length} tags`
      const expected = Buffer.from(taggedFrame(plain, inData).subarray(12)).toString('hex')
      assert.equal(hex(2, 8), expected.slice(0, 16), `${name}: behind the MAC addresses`)
      assert.equal(hex(0, 2), expected.slice(0, 4), `${name}: protocol`)
      if (hex(0, 2) === '0800') assert.equal(hex(1, 8), '0e0f101112131415', `${name}: the network header`)
    }
  }
  socket.close()
})

live('random packets, run without an interface: the kernel and the interpreter agree', (t) => {
  const random = seededRandom(t)
  for (const workers of [1, 3, 8, 65536]) {
    const code = assemble(fanoutProgram(workers, BigInt(random.word()) * 0x1_0000_0001n))
    using program = loadProgram(kernel, { name: 'ringtap_fanout', type: 'socket_filter', code })
    assert.equal(programInfo(kernel, program.fd).name, 'ringtap_fanout')
    for (let i = 0; i < 200; i++) {
      const frame = taggedFrame(anyFrame(random), random.pick(TAGS))
      // It takes no tag out, as for a packet that goes out.
      assert.equal(runProgram(kernel, program.fd, { data: frame }).retval, runOnFrame(code, frame, 'out'), Buffer.from(frame).toString('hex'))
    }
  }
})

async function spread(t: TestContext, direction: 'in' | 'out'): Promise<void> {
  const random = seededRandom(t)
  const workers = 3
  const code = assemble(fanoutProgram(workers))
  using testbed = createTestbed({ queues: 1 })
  using program = loadProgram(kernel, { name: 'ringtap_fanout', type: 'socket_filter', code })
  const group = openGroup(testbed, workers, program.fd)
  using sender = new RawSender(direction === 'in' ? testbed.sender : testbed.receiver)
  const expected: string[][] = group.map(() => [])
  const total = 300
  for (let i = 0; i < total; i++) {
    const frame = taggedFrame(anyFrame(random), random.pick(TAGS))
    const at = frame.length - 4
    new DataView(frame.buffer).setUint32(at, i)
    expected[runOnFrame(code, frame, direction)].push(`${i}`)
    sender.send(frame)
  }
  const got: string[][] = group.map(() => [])
  const buffer = new Uint8Array(2048)
  const drain = () => {
    for (const [worker, socket] of group.entries()) {
      for (;;) {
        const length = kernel.recv(socket.fd, buffer, MSG_DONTWAIT)
        if (length < 0) break
        got[worker].push(`${new DataView(buffer.buffer).getUint32(length - 4)}`)
      }
    }
    return got.flat().length >= total
  }
  await until('all packets are there', drain)
  await sleep(20)
  drain()
  assert.deepEqual(got, expected)
  for (const numbers of expected) assert.ok(numbers.length > total / workers / 3, `${expected.map((it) => it.length)}`)
  for (const socket of group) socket.close()
}

live('a group: every packet that comes in goes to the worker that is foretold', (t) => spread(t, 'in'))
live('a group: every packet that goes out goes to the worker that is foretold', (t) => spread(t, 'out'))
