/**
 * The testbed: two network namespaces without names and a veth pair between them, made and counted by our own rtnetlink and
 * ethtool. Nothing of it outlives the process, however that ends: namespaces live by their descriptors, the pair by them.
 */
import { writeFileSync } from 'node:fs'
import { CaptureError } from '../errors.js'
import type { Descriptor } from '../kernel/descriptor.js'
import { ENODEV } from '../kernel/errno.js'
import { DriverCounters, groEnabled, openControlSocket, setGro } from '../kernel/ethtool.js'
import { createNamespace, withNamespace } from '../kernel/namespace.js'
import { createVethPair, deleteLink, getLink, RouteSocket, setLinkUp } from '../kernel/netlink.js'
import { type Kernel, openKernel } from '../kernel/system.js'
import { allowedCpus } from '../kernel/thread.js'

export interface TestbedOptions {
  /** Receive and transmit queues of each end, 1 to 4096. Default: the CPUs that this thread may run on. */
  queues?: number | undefined
  /** 68 to 65535. Default 1500. */
  mtu?: number | undefined
}

export interface TestbedEnd {
  /** Name of the interface within its namespace. */
  readonly interface: string
  /** Path of the namespace, usable from any process while this one lives. */
  readonly netns: string
}

/**
 * Frames since the testbed was made; exact once nothing travels any more and while no two sending CPUs share a queue (CPU c fills
 * queue c modulo `queues`). NB: veth adds up `sent` and `refused` of a queue without a lock, so that CPUs which share one now and
 * then lose a bulk of 16 from the count; `received` stays exact.
 */
export interface WireCounters {
  /** Frames that the veth took from the flood. The flood's own count is `sent + refused`. */
  sent: number
  /** Frames that the veth did not take, as a wire that is full: the receiver's queue of 256 had no room. */
  refused: number
  /** Frames that the receiving interface took off its queues. Once quiet, equal to `sent`. */
  received: number
  /** Of `received`, those that were lost before any socket could see them, by the driver's name; only names that are not 0. */
  receiverDrops: Record<string, number>
}

export interface Testbed extends Disposable {
  readonly sender: TestbedEnd
  readonly receiver: TestbedEnd
  readonly queues: number
  /** Exact frame counters. After `close` those of the moment of closing. */
  wire(): WireCounters
  /** Removes everything. Idempotent. */
  close(): void
}

const SENDER = 'flood0'
const RECEIVER = 'mirror0'
const DEFAULT_MTU = 1500
const MAX_QUEUES = 4096

/**
 * Makes a testbed. Needs root (CAP_SYS_ADMIN, CAP_NET_ADMIN).
 * @throws CaptureError PERMISSION, INVALID_OPTION
 */
export function createTestbed(options: TestbedOptions = {}): Testbed {
  const kernel = openKernel()
  const queues = wholeNumber('queues', options.queues ?? Math.min(allowedCpus(kernel).length, MAX_QUEUES), 1, MAX_QUEUES)
  const mtu = wholeNumber('mtu', options.mtu ?? DEFAULT_MTU, 68, 65535)
  const opened: { close(): void }[] = []
  const keep = <T extends { close(): void }>(it: T): T => {
    opened.push(it)
    return it
  }
  const closeAll = () => {
    for (const it of opened.splice(0).reverse()) it.close()
  }
  try {
    const senderNamespace = keep(createNamespace(kernel))
    const receiverNamespace = keep(createNamespace(kernel))
    for (const namespace of [senderNamespace, receiverNamespace]) withNamespace(kernel, namespace, silenceIpv6)

    const senderRoute = keep(withNamespace(kernel, senderNamespace, () => RouteSocket.open(kernel)))
    const receiverRoute = keep(withNamespace(kernel, receiverNamespace, () => RouteSocket.open(kernel)))
    createVethPair(
      senderRoute,
      { name: SENDER, namespaceFd: senderNamespace.fd, queues, mtu },
      { name: RECEIVER, namespaceFd: receiverNamespace.fd, queues, mtu },
    )
    const sender = getLink(senderRoute, SENDER)
    const receiver = getLink(receiverRoute, RECEIVER)

    const senderControl = keep(withNamespace(kernel, senderNamespace, () => openControlSocket(kernel)))
    const receiverControl = keep(withNamespace(kernel, receiverNamespace, () => openControlSocket(kernel)))
    // NB: a veth polls its receive queues (NAPI) only with GRO or an XDP program; without, it refuses redirected frames unseen.
    setGro(kernel, receiverControl, RECEIVER, true)
    if (!groEnabled(kernel, receiverControl, RECEIVER))
      throw new CaptureError('SYSTEM_CALL_FAILED', `${RECEIVER}: GRO stays off, so the veth would take no frames`)
    setLinkUp(receiverRoute, RECEIVER, receiver.index)
    setLinkUp(senderRoute, SENDER, sender.index)

    const count = wireReader(kernel, senderControl, receiverControl)
    let latest: WireCounters = { sent: 0, refused: 0, received: 0, receiverDrops: {} }
    let closed = false
    const close = () => {
      if (closed) return
      closed = true
      try {
        latest = count()
        // A namespace may live on in a worker or another process; the pair must not.
        deleteLink(senderRoute, SENDER, sender.index)
      } catch (error) {
        // Someone else has deleted it.
        if (!(error instanceof CaptureError && error.errno === ENODEV)) throw error
      } finally {
        closeAll()
      }
    }
    return {
      sender: { interface: SENDER, netns: pathOf(senderNamespace) },
      receiver: { interface: RECEIVER, netns: pathOf(receiverNamespace) },
      queues,
      wire() {
        if (!closed) latest = count()
        return latest
      },
      close,
      [Symbol.dispose]: close,
    }
  } catch (error) {
    closeAll()
    throw error
  }
}

function pathOf(namespace: Descriptor): string {
  return `/proc/${process.pid}/fd/${namespace.fd}`
}

/** Without IPv6 nothing but the flood is ever on the wire: no router solicitations, no duplicate address detection. */
function silenceIpv6(): void {
  for (const scope of ['all', 'default']) {
    const path = `/proc/sys/net/ipv6/conf/${scope}/disable_ipv6`
    try {
      writeFileSync(path, '1')
    } catch (cause) {
      // A kernel without IPv6 has no such file.
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') continue
      const hint = 'the testbed needs a writable /proc/sys; in a container, run it privileged'
      throw new CaptureError('PERMISSION', `testbed: cannot write ${path}: ${(cause as Error).message}`, { cause, hint })
    }
  }
}

/** Sums a driver's counters by what their names say, found once. */
function wireReader(kernel: Kernel, senderControl: Descriptor, receiverControl: Descriptor): () => WireCounters {
  const sender = new DriverCounters(kernel, senderControl, SENDER)
  const receiver = new DriverCounters(kernel, receiverControl, RECEIVER)
  // Sums the queues: tx_queue_0_xdp_xmit and tx_queue_1_xdp_xmit are one counter.
  const sumOf = (names: readonly string[], values: Float64Array, prefix: string, counter: string) =>
    names.reduce((sum, name, at) => (name.startsWith(prefix) && name.replace(/^[rt]x_queue_\d+_/, '') === counter ? sum + (values[at] as number) : sum), 0)
  return () => {
    const sent = sender.read()
    const received = receiver.read()
    const drops: Record<string, number> = {}
    for (const counter of ['drops', 'xdp_drops', 'xdp_tx_errors']) {
      const lost = sumOf(receiver.names, received, 'rx_queue_', counter)
      if (lost !== 0) drops[counter] = lost
    }
    return {
      sent: sumOf(sender.names, sent, 'tx_queue_', 'xdp_xmit'),
      refused: sumOf(sender.names, sent, 'tx_queue_', 'xdp_xmit_errors'),
      received: sumOf(receiver.names, received, 'rx_queue_', 'xdp_packets'),
      receiverDrops: drops,
    }
  }
}

function wholeNumber(name: string, value: number, min: number, max: number): number {
  if (Number.isInteger(value) && value >= min && value <= max) return value
  throw new CaptureError('INVALID_OPTION', `expected ${name} to be a whole number from ${min} to ${max}, got ${value} (${typeof value})`)
}
