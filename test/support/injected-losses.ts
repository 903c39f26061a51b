/**
 * Losses made on purpose, one at each place of a packet's way, and what somebody other than the ledger says of how many there were:
 * arithmetic, the handler's own count, a file that is read back, ip(8). For the live test of the ledger, and for the table of
 * bench/ledger.ts. All of it happens on testbeds; of the machine nothing is changed.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { encodeProgram, type Instruction } from '#src/bpf/classic.js'
import { alu, assemble, call, exit, jumpIf, label, load } from '#src/bpf/ebpf.js'
import type { Capture, CaptureOptions } from '#src/capture/api.js'
import type { Ledger, LedgerPlace, LedgerRow } from '#src/capture/ledger.js'
import { packets } from '#src/capture/packets.js'
import { BPF_FUNC_redirect, XDP_DROP, XDP_MD, XDP_PASS } from '#src/kernel/abi/ebpf.js'
import { BPF_ALU, BPF_DIV, BPF_IMM, BPF_K, BPF_LD, BPF_LDX, BPF_MAXINSNS, BPF_RET, BPF_X } from '#src/kernel/abi/filter.js'
import { SOCKADDR_LL } from '#src/kernel/abi/if_packet.js'
import { AF_PACKET, ETH_P_ALL, SOCK_CLOEXEC, SOCK_RAW } from '#src/kernel/abi/socket.js'
import { attachXdp, type XdpLink } from '#src/kernel/bpf-link.js'
import { loadProgram } from '#src/kernel/bpf-program.js'
import { Descriptor } from '#src/kernel/descriptor.js'
import { openNamespace, withNamespace } from '#src/kernel/namespace.js'
import { getLink, RouteSocket } from '#src/kernel/netlink.js'
import { attachFilter } from '#src/kernel/options.js'
import { openKernel } from '#src/kernel/system.js'
import { allowedCpus, pinThread } from '#src/kernel/thread.js'
import { createTestbed, startFlood, type Testbed } from '#src/testbed/index.js'
import { caughtUp, handlerUrl, inNamespace, openOn, RawSender, settledWire, udpFrame, until } from './live.js'

export interface Loss {
  /** Packets lost, by somebody else's account. */
  injected: number
  ledger: Ledger
}

export interface Injection {
  place: LedgerPlace
  how: string
  run: () => Promise<Loss>
}

const kernel = openKernel()
const STALL = { handler: handlerUrl('stall'), handlerData: { ms: 50, busy: false } }
const SMALL_RING = { backend: 'ring', blockBytes: 65536, ringBytes: 2 * 65536 } as const
const FLOOD = { count: 20_000, ratePps: 150_000, cpus: [0] }
const FRAMES = 4000

export const INJECTIONS: readonly Injection[] = [
  { place: 'ring', how: 'ring of 2 blocks, its consumer stopped', run: () => stalled(SMALL_RING) },
  { place: 'ring', how: 'the same, 2 workers', run: () => stalled({ ...SMALL_RING, workers: 2, fanout: 'hash' }) },
  { place: 'socket', how: 'socket buffer of 64 KiB, its consumer stopped', run: () => stalled({ backend: 'recv', receiveBufferBytes: 65536 }) },
  { place: 'fillRing', how: 'AF_XDP with 512 chunks, its consumer stopped', run: () => stalled({ backend: 'xdp', ringBytes: 2 ** 20 }) },
  { place: 'fillRing', how: 'the same, generic', run: () => stalled({ backend: 'xdp', ringBytes: 2 ** 20, xdpMode: 'generic' }) },
  { place: 'softnet', how: 'RPS to a CPU that a slow tap holds up: its backlog is full', run: () => fullBacklog(true) },
  { place: 'softnet', how: 'the same, a veth without NAPI: before it counts as received', run: () => fullBacklog(false) },
  { place: 'xdpDrop', how: 'an XDP program drops every 4th frame', run: () => behindProgram('drop') },
  { place: 'driver', how: 'an XDP program redirects every 4th frame to nowhere', run: () => behindProgram('redirect') },
  { place: 'handler', how: 'the handler gives up every 7th packet', run: givenUp },
  { place: 'handler', how: 'the handler throws in a block, and its worker is replaced', run: () => replacedWorker('packet') },
  { place: 'consumer', how: 'packets() with a queue of 1 MiB that nobody reads', run: fullQueue },
  { place: 'unread', how: 'a worker dies over a block and is replaced', run: () => replacedWorker('exit') },
  { place: 'unread', how: 'count is reached while more wait in the ring', run: counted },
  { place: 'writer', how: 'a full disk', run: fullDisk },
  { place: 'truncated', how: 'snapshot length of 40 bytes', run: cutShort },
  { place: 'notMatched', how: 'a filter that takes a part', run: () => filtered({ backend: 'ring' }) },
  { place: 'xdpFiltered', how: 'the same with AF_XDP', run: () => filtered({ backend: 'xdp' }) },
  { place: 'xdpPassed', how: 'AF_XDP, 2 queues and 1 worker', run: unservedQueue },
]

/** What the rows of a place add up to. */
export function foundIn(ledger: Ledger, place: LedgerPlace): number {
  return ledger.rows.filter((row) => row.place === place).reduce((sum, { count }) => sum + count, 0)
}

/** Every other row that says that packets were lost or went elsewhere. */
export function elsewhere(ledger: Ledger, place: LedgerPlace): LedgerRow[] {
  return ledger.rows.filter((row) => row.place !== place && row.count !== 0 && ['before', 'lost', 'left'].includes(row.kind))
}

async function flooded(testbed: Testbed, capture: Capture): Promise<number> {
  await using flood = await startFlood({ ...testbed.sender, ...FLOOD })
  await flood.finished
  const { received } = await settledWire(testbed)
  await caughtUp(capture, received)
  return received
}

async function stalled(options: Omit<CaptureOptions, 'interface'>): Promise<Loss> {
  using testbed = createTestbed({ queues: 1 })
  await using capture = await openOn(testbed, { ...options, ...STALL })
  const received = await flooded(testbed, capture)
  const handled = await capture.snapshot<number>()
  await capture.stop()
  return { injected: received - (handled as number), ledger: capture.ledger() }
}

/** A tap whose classic filter is so long that it holds up its CPU. Twice as long, net.core.optmem_max has no room for it. */
function slowTap({ receiver }: Testbed): Descriptor {
  const divide: Instruction = [BPF_ALU | BPF_DIV | BPF_X, 0, 0, 0]
  const program: Instruction[] = [
    [BPF_LD | BPF_IMM, 0, 0, 0xffffffff],
    [BPF_LDX | BPF_IMM, 0, 0, 3],
  ]
  while (program.length < BPF_MAXINSNS / 2) program.push(divide)
  program.push([BPF_RET | BPF_K, 0, 0, 0])
  using namespace = openNamespace(kernel, receiver.netns)
  return withNamespace(kernel, namespace, () => {
    using route = RouteSocket.open(kernel)
    const address = new DataView(new ArrayBuffer(SOCKADDR_LL.sizeof))
    address.setUint16(SOCKADDR_LL.sll_family, AF_PACKET, true)
    address.setUint16(SOCKADDR_LL.sll_protocol, ETH_P_ALL, false)
    address.setInt32(SOCKADDR_LL.sll_ifindex, getLink(route, receiver.interface).index, true)
    const socket = new Descriptor(kernel, kernel.socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0))
    const refused = attachFilter(kernel, socket.fd, encodeProgram(program)) || kernel.bind(socket.fd, new Uint8Array(address.buffer))
    if (refused < 0) throw new Error(`slow tap: errno ${refused}`)
    return socket
  })
}

/** Sends the packets of queue 0 to another CPU, by sysfs of the testbed's own namespace. */
function steerTo(cpu: number, { receiver }: Testbed): void {
  const script = `mount -t sysfs none /sys && echo ${(1 << cpu).toString(16)} > /sys/class/net/${receiver.interface}/queues/rx-0/rps_cpus`
  execFileSync('nsenter', [`--net=${receiver.netns}`, 'unshare', '-m', '--propagation', 'private', 'sh', '-c', script])
}

async function fullBacklog(napi: boolean): Promise<Loss> {
  using testbed = createTestbed({ queues: 1 })
  // A system call a frame is slower than the flood.
  const taps = Array.from({ length: napi ? 4 : 8 }, () => slowTap(testbed))
  try {
    steerTo(1, testbed)
    if (!napi) inNamespace(testbed.receiver.netns, 'ethtool', '-K', testbed.receiver.interface, 'gro', 'off')
    await using capture = await openOn(testbed, { backend: 'ring' })
    if (napi) {
      await using flood = await startFlood({ ...testbed.sender, ...FLOOD })
      await flood.finished
      await settledWire(testbed)
    } else {
      // The flood's frames want a NAPI. RPS hashes what it knows the flow of, and a backlog of one's own CPU is emptied at once.
      // A frame in a backlog takes up the buffer of the socket that sent it: many of them have room for more than a backlog has.
      const senders = Array.from({ length: 16 }, () => new RawSender(testbed.sender))
      const allowed = allowedCpus(kernel)
      pinThread(kernel, [0])
      try {
        for (let number = 0; number < FRAMES; number++) senders[number % senders.length].send(udpFrame(1024 + (number & 0x3ff), number))
      } finally {
        pinThread(kernel, allowed)
        for (const sender of senders) sender.close()
      }
    }
    await sleep(300)
    // The stack's rx_dropped, as ip(8) tells it: on a new testbed nothing else is in it.
    const [link] = JSON.parse(inNamespace(testbed.receiver.netns, 'ip', '-s', '-j', 'link', 'show', 'dev', testbed.receiver.interface)) as {
      stats64: { rx: { dropped: number } }
    }[]
    await capture.stop()
    return { injected: link.stats64.rx.dropped, ledger: capture.ledger() }
  } finally {
    for (const tap of taps) tap.close()
  }
}

/** On every frame whose 18th byte is a multiple of 4: of numbered frames, every 4th. */
export function everyFourth(what: 'drop' | 'redirect', { receiver }: Testbed, mode: 'native' | 'generic' = 'native'): XdpLink {
  const program = loadProgram(kernel, {
    name: 'ringtap_fourth',
    type: 'xdp',
    code: assemble([
      load('w', 'r2', 'r1', XDP_MD.data),
      load('w', 'r3', 'r1', XDP_MD.data_end),
      alu('mov', 'r4', 'r2'),
      alu('add', 'r4', 18),
      jumpIf('gt', 'r4', 'r3', 'pass'),
      load('b', 'r5', 'r2', 17),
      jumpIf('set', 'r5', 3, 'pass'),
      // An interface that does not exist.
      ...(what === 'drop' ? [alu('mov', 'r0', XDP_DROP)] : [alu('mov', 'r1', 0x7ffffff), alu('mov', 'r2', 0), call(BPF_FUNC_redirect)]),
      exit(),
      label('pass'),
      alu('mov', 'r0', XDP_PASS),
      exit(),
    ]),
  })
  using namespace = openNamespace(kernel, receiver.netns)
  try {
    return withNamespace(kernel, namespace, () => {
      using route = RouteSocket.open(kernel)
      const interfaceIndex = getLink(route, receiver.interface).index
      return attachXdp(kernel, { program, interfaceName: receiver.interface, interfaceIndex, mode })
    })
  } finally {
    program.close()
  }
}

async function behindProgram(what: 'drop' | 'redirect'): Promise<Loss> {
  using testbed = createTestbed({ queues: 1 })
  using _link = everyFourth(what, testbed)
  using sender = new RawSender(testbed.sender)
  await using capture = await openOn(testbed, { backend: 'ring' })
  sender.sendNumbered(FRAMES)
  await caughtUp(capture, (FRAMES / 4) * 3)
  await capture.stop()
  return { injected: FRAMES / 4, ledger: capture.ledger() }
}

async function givenUp(): Promise<Loss> {
  using testbed = createTestbed({ queues: 1 })
  using sender = new RawSender(testbed.sender)
  await using capture = await openOn(testbed, { handler: handlerUrl('give-up'), handlerData: { each: 7 } })
  sender.sendNumbered(FRAMES)
  await caughtUp(capture, FRAMES)
  await capture.stop()
  return { injected: Math.floor(FRAMES / 7), ledger: capture.ledger() }
}

async function fullQueue(): Promise<Loss> {
  using testbed = createTestbed({ queues: 1 })
  const stop = new AbortController()
  const queue = packets({ ...testbed.receiver, backend: 'ring', queueBytes: 2 ** 20, signal: stop.signal })
  const first = queue.next()
  await until('the capture is open', () => queue.ledger() !== undefined)
  await using flood = await startFlood({ ...testbed.sender, ...FLOOD })
  await flood.finished
  const { received } = await settledWire(testbed)
  await until('all has been offered', () => queue.ledger()?.sockets.offered === received && queue.ledger()?.sockets.waiting === 0)
  let taken = (await first).done === true ? 0 : 1
  stop.abort()
  for await (const _ of queue) taken++
  await queue.summary
  return { injected: received - taken, ledger: queue.ledger() as Ledger }
}

/** The 101st packet of a block of 300 is its end: without a word, or by an error that says how far it had come. */
async function replacedWorker(where: 'exit' | 'packet'): Promise<Loss> {
  using testbed = createTestbed({ queues: 1 })
  using sender = new RawSender(testbed.sender)
  let isReplaced = false
  await using capture = await openOn(testbed, {
    ...SMALL_RING,
    ringBytes: 16 * 65536,
    blockTimeoutMs: 500,
    workerRestarts: 1,
    handler: handlerUrl('misbehave'),
    handlerData: { where, at: [100] },
    onEvent: ({ type }) => {
      if (type === 'worker-replaced') isReplaced = true
    },
  })
  // All of them in the block that it dies over.
  sender.sendNumbered(300)
  await until('the worker is replaced', () => isReplaced)
  sender.sendNumbered(FRAMES, 1000)
  await caughtUp(capture, FRAMES + 300)
  await capture.stop()
  return { injected: where === 'exit' ? 300 : 200, ledger: capture.ledger() }
}

async function counted(): Promise<Loss> {
  using testbed = createTestbed({ queues: 1 })
  using sender = new RawSender(testbed.sender)
  // The first block comes when its time is up, with all of them.
  await using capture = await openOn(testbed, { backend: 'ring', blockTimeoutMs: 2000, count: 1000 })
  sender.sendNumbered(FRAMES)
  await capture.finished
  return { injected: FRAMES - 1000, ledger: capture.ledger() }
}

/** In a process of its own, whose mount namespace has a file system of 2 MiB. */
async function fullDisk(): Promise<Loss> {
  const folder = mkdtempSync(join(tmpdir(), 'ringtap-ledger-'))
  const module = (name: string) => JSON.stringify(import.meta.resolve(name))
  const program = `
import { execFileSync } from 'node:child_process'
import { createTestbed, startFlood } from ${module('#src/testbed/index.js')}
import { caughtUp, openOn, settledWire } from ${module('./live.js')}
const path = process.argv[1] + '/full.pcap'
const testbed = createTestbed({ queues: 1 })
const capture = await openOn(testbed, { backend: 'ring', write: { path } })
await (await startFlood({ ...testbed.sender, count: 60_000, ratePps: 150_000, cpus: [0] })).finished
const { received } = await settledWire(testbed)
await caughtUp(capture, received)
await capture.stop()
testbed.close()
const kept = Number(execFileSync('capinfos', ['-c', '-M', '-T', '-r', path], { encoding: 'utf8' }).trim().split('\\t').at(-1))
console.log(JSON.stringify({ injected: received - kept, ledger: capture.ledger() }))`
  try {
    const script = `mount -t tmpfs -o size=2M none ${folder} && exec "$NODE" --input-type=module -e "$PROGRAM" ${folder}`
    const { status, stdout, stderr } = spawnSync('unshare', ['-m', '--propagation', 'private', 'sh', '-c', script], {
      env: { ...process.env, NODE: process.execPath, PROGRAM: program },
      encoding: 'utf8',
      timeout: 60_000,
    })
    if (status !== 0) throw new Error(`full disk: ${stderr}`)
    return JSON.parse(stdout) as Loss
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function cutShort(): Promise<Loss> {
  using testbed = createTestbed({ queues: 1 })
  using sender = new RawSender(testbed.sender)
  await using capture = await openOn(testbed, { snapLengthBytes: 40 })
  sender.sendNumbered(FRAMES)
  await caughtUp(capture, FRAMES)
  await capture.stop()
  return { injected: FRAMES, ledger: capture.ledger() }
}

async function filtered(options: Omit<CaptureOptions, 'interface'>): Promise<Loss> {
  using testbed = createTestbed({ queues: 1 })
  using sender = new RawSender(testbed.sender)
  await using capture = await openOn(testbed, { ...options, filter: 'ether[17] & 3 = 0' })
  sender.sendNumbered(FRAMES)
  await caughtUp(capture, FRAMES / 4)
  await sleep(200)
  await capture.stop()
  return { injected: (FRAMES / 4) * 3, ledger: capture.ledger() }
}

async function unservedQueue(): Promise<Loss> {
  using testbed = createTestbed({ queues: 2 })
  await using capture = await openOn(testbed, { backend: 'xdp', workers: 1 })
  // CPU c fills queue c.
  await using flood = await startFlood({ ...testbed.sender, count: 10_000, ratePps: 100_000, cpus: [0, 1] })
  const { perCpu } = await flood.finished
  await settledWire(testbed)
  await sleep(200)
  await capture.stop()
  return { injected: perCpu.find(({ cpu }) => cpu === 1)?.sent ?? 0, ledger: capture.ledger() }
}
