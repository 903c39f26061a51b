/** What the live tests of captures share: a wire, frames on it that say their number, and the account that must come out even. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Capture, CaptureCounters, CaptureOptions, CaptureSummary, Drops } from '#src/capture/api.js'
import { openCapture } from '#src/capture/open.js'
import { SOCKADDR_LL } from '#src/kernel/abi/if_packet.js'
import { AF_PACKET, SOCK_CLOEXEC, SOCK_RAW } from '#src/kernel/abi/socket.js'
import { Descriptor } from '#src/kernel/descriptor.js'
import { identifyInterface } from '#src/kernel/interface.js'
import { openNamespace, withNamespace } from '#src/kernel/namespace.js'
import { type Kernel, openKernel } from '#src/kernel/system.js'
import type { Testbed, TestbedEnd, WireCounters } from '#src/testbed/index.js'
import { requireRoot } from './privilege.js'

export function live(name: string, run: (t: TestContext) => Promise<void> | void): void {
  test(name, { timeout: 120_000 }, async (t) => {
    if (requireRoot(t)) await run(t)
  })
}

export function handlerUrl(name: string): URL {
  return new URL(`../live/handlers/${name}.js`, import.meta.url)
}

/** Workers of each interface of a capture: `xdp` has one a receive queue by default. */
export function workersOn(testbed: Testbed, { backend, workers }: Pick<CaptureOptions, 'backend' | 'workers'>): number {
  return Number(workers ?? (backend === 'xdp' ? testbed.queues : 1))
}

/** How often a capture that is open asks for promiscuous mode: each packet socket does, and for `xdp` one does it for all. */
export function promiscuityOf({ backend, workers }: Pick<CaptureOptions, 'backend' | 'workers'>): number {
  return backend === 'xdp' ? 1 : Number(workers ?? 1)
}

/** A capture on the receiving end. */
export function openOn(testbed: Testbed, options: Omit<CaptureOptions, 'interface'> = {}): Promise<Capture> {
  return openCapture({ ...testbed.receiver, ...options })
}

export function inNamespace(netns: string, command: string, ...rest: string[]): string {
  return execFileSync('nsenter', [`--net=${netns}`, command, ...rest], { encoding: 'utf8' })
}

/** The wire's counters once all that was sent has been received. */
export async function settledWire(testbed: Testbed): Promise<WireCounters> {
  await until('the wire is quiet', () => testbed.wire().received === testbed.wire().sent)
  return testbed.wire()
}

export async function until(what: string, condition: () => boolean, milliseconds = 10_000): Promise<void> {
  const deadline = performance.now() + milliseconds
  while (!condition()) {
    if (performance.now() > deadline) assert.fail(`not within ${milliseconds} ms: ${what}`)
    await sleep(5)
  }
}

export function sumOf(drops: Drops): number {
  return Object.values(drops).reduce((a, b) => a + b, 0)
}

/** Waits until a capture has delivered or counted `offered` packets. */
export async function caughtUp(capture: Capture, offered: number): Promise<void> {
  const enough = () => {
    const now = capture.counters()
    return now.offered >= offered && now.packets + now.dropped >= offered
  }
  try {
    await until('every packet is accounted for', enough)
  } catch (error) {
    assert.fail(`${(error as Error).message}: ${offered} expected, counters ${JSON.stringify(capture.counters())}`)
  }
}

/** What the receiving end's driver counts as lost: nothing, but in AF_XDP's native mode the frames that stand in our drops, too. */
export function assertReceiverDrops({ receiverDrops }: WireCounters, { xdp, drops }: CaptureSummary): void {
  const isNative = xdp?.every(({ mode }) => mode === 'native') === true
  const lost = isNative ? drops.fillRing + drops.rxRing + drops.oversize + drops.redirect : 0
  assert.deepEqual(receiverDrops, lost === 0 ? {} : { drops: lost })
}

/** packets + drops = offered, for each worker and for all, and the sums are sums. `offered` is what the wire brought. */
export function assertAccount(counters: CaptureSummary | CaptureCounters, offered?: number): void {
  const shown = JSON.stringify(counters)
  for (const worker of counters.workers) {
    assert.equal(worker.dropped, sumOf(worker.drops), shown)
    assert.equal(worker.packets + worker.dropped, worker.offered, `worker ${worker.worker}: ${shown}`)
    for (const value of [worker.packets, worker.bytes, worker.offered, ...Object.values(worker.drops)]) assert.ok(value >= 0, shown)
  }
  const total = (of: (worker: CaptureSummary['workers'][number]) => number) => counters.workers.reduce((sum, worker) => sum + of(worker), 0)
  for (const field of ['packets', 'bytes', 'offered', 'dropped', 'freezes', 'truncated'] as const)
    assert.equal(
      counters[field],
      total((worker) => worker[field]),
      `${field}: ${shown}`,
    )
  for (const name of Object.keys(counters.drops) as (keyof Drops)[])
    assert.equal(
      counters.drops[name],
      total((worker) => worker.drops[name]),
      `${name}: ${shown}`,
    )
  assert.equal(counters.packets + sumOf(counters.drops), counters.offered, shown)
  if (offered !== undefined) assert.equal(counters.offered, offered, shown)
}

/** EtherType of frames that carry a number: local experimental (IEEE 802), so nothing in the kernel looks into them. */
export const NUMBERED = 0x88b5

/** A frame whose number stands at byte 14; the rest counts upwards from it. */
export function numberedFrame(number: number, length = 60, etherType = NUMBERED): Uint8Array<ArrayBuffer> {
  const bytes = Uint8Array.from({ length }, (_, i) => (number + i) & 0xff)
  const view = new DataView(bytes.buffer)
  bytes.set([0x02, 0, 0x5e, 0x10, 0, 1, 0x02, 0, 0x5e, 0x10, 0, 2])
  view.setUint16(12, etherType)
  view.setUint32(14, number)
  return bytes
}

/** An IPv4 UDP frame without checksums of a flow that its ports name; the number stands behind the UDP header, at byte 42. */
export function udpFrame(sourcePort: number, number: number, destinationPort = 53): Uint8Array<ArrayBuffer> {
  const bytes = numberedFrame(0, 60, 0x0800)
  const view = new DataView(bytes.buffer)
  bytes.fill(0, 14)
  bytes.set([0x45, 0, 0, 46, 0, 0, 0x40, 0, 64, 17], 14)
  bytes.set([10, 0, 0, 1, 198, 18, 0, 1], 26)
  let sum = 0
  for (let at = 14; at < 34; at += 2) sum += view.getUint16(at)
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
  view.setUint16(24, ~sum & 0xffff)
  view.setUint16(34, sourcePort)
  view.setUint16(36, destinationPort)
  view.setUint16(38, 26)
  view.setUint32(42, number)
  return bytes
}

/** Sends frames as they are out of an interface, one a call; they arrive in order. */
export class RawSender implements Disposable {
  readonly #kernel: Kernel = openKernel()
  readonly #socket: Descriptor
  readonly #address: Uint8Array

  constructor(end: TestbedEnd) {
    const kernel = this.#kernel
    using namespace = openNamespace(kernel, end.netns)
    const [fd, identity] = withNamespace(kernel, namespace, () => {
      const opened = kernel.socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0)
      return [opened, identifyInterface(kernel, opened, end.interface)] as const
    })
    this.#socket = new Descriptor(kernel, fd)
    if (typeof identity === 'number') throw new Error(`${end.interface}: errno ${identity}`)
    const address = new DataView(new ArrayBuffer(SOCKADDR_LL.sizeof))
    address.setUint16(SOCKADDR_LL.sll_family, AF_PACKET, true)
    address.setInt32(SOCKADDR_LL.sll_ifindex, identity.index, true)
    this.#address = new Uint8Array(address.buffer)
  }

  /** Tries once; answers what sendto(2) does. */
  offer(frame: Uint8Array): number {
    return this.#kernel.sendto(this.#socket.fd, frame, 0, this.#address)
  }

  send(...frames: readonly Uint8Array[]): void {
    for (const frame of frames) {
      for (;;) {
        const result = this.offer(frame)
        if (result === frame.length) break
        // ENOBUFS: the queue is full for a moment.
        assert.equal(result, -105, `sendto: ${result}`)
      }
    }
  }

  /** Frames `from` to `from + count - 1`, by default numbered ones of 60 bytes. */
  sendNumbered(count: number, from = 0, frame: (number: number) => Uint8Array = numberedFrame): void {
    for (let number = from; number < from + count; number++) this.send(frame(number))
  }

  close(): void {
    this.#socket.close()
  }
  [Symbol.dispose](): void {
    this.close()
  }
}

export function range(count: number, from = 0): number[] {
  return Array.from({ length: count }, (_, i) => from + i)
}

/** Open descriptors of this process by what they are, eventfds and sockets among them. */
export function openDescriptors(pid: number | 'self' = 'self'): string[] {
  return readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/${pid}/fd/${fd}`)]
    } catch {
      return []
    }
  })
}

export function threadCount(): number {
  return readdirSync('/proc/self/task').length
}

/** V8's heap comes and goes in pages of so many bytes, each a mapping. */
const HEAP_PAGE_BYTES = 256 * 1024

/** Mappings of this process, V8's heap left out. */
export function mappingCount(): number {
  const mappings = readFileSync('/proc/self/maps', 'latin1').trimEnd().split('\n')
  return mappings.filter((line) => {
    const [range, , , , , file] = line.split(/ +/)
    const [from, to] = range.split('-').map((address) => Number.parseInt(address, 16))
    return (file ?? '') !== '' || to - from !== HEAP_PAGE_BYTES
  }).length
}

/** A field of /proc/self/status in KiB. */
export function statusKib(field: 'VmSize' | 'VmRSS'): number {
  return Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(readFileSync('/proc/self/status', 'latin1'))?.[1])
}

/** Whether an XDP program is attached to an interface. */
export function hasXdpProgram(end: TestbedEnd): boolean {
  const [link] = JSON.parse(inNamespace(end.netns, 'ip', '-j', 'link', 'show', 'dev', end.interface)) as { xdp?: object }[]
  return link.xdp !== undefined
}

/** promiscuity of an interface as the kernel counts it: who asked for it and has not let go. */
export function promiscuity(end: TestbedEnd): number {
  const [link] = JSON.parse(inNamespace(end.netns, 'ip', '-d', '-j', 'link', 'show', 'dev', end.interface)) as { promiscuity: number }[]
  return link.promiscuity
}
