/** Opens what sends: options are checked, the interface is looked at, and a socket, a ring or an AF_XDP socket is made ready. */
import { CaptureError } from '../errors.js'
import { IFF_RUNNING } from '../kernel/abi/if.js'
import type { Descriptor } from '../kernel/descriptor.js'
import { type InterfaceIdentity, identifyInterface, interfaceFlags, interfaceName } from '../kernel/interface.js'
import { openNamespace, withNamespace } from '../kernel/namespace.js'
import type { Kernel } from '../kernel/system.js'
import { sleepThread } from '../kernel/thread.js'
import { transmitHeaderBytes } from '../ring/transmit-ring.js'
import { checkInterface, openPacketSocket } from '../source/packet-socket.js'
import { leadsToNetwork } from './network.js'
import { bindForSending, makeTransmitRing, type PacketTransmitSpec, prepareSocket } from './packet-socket.js'
import { RingSender } from './ring-sender.js'
import type { Pace } from './schedule.js'
import { ETHER_HEADER, type Sender, TRANSMIT_BACKENDS, type TransmitBackend, VLAN_HLEN } from './sender.js'
import { SocketSender } from './socket-sender.js'
import { FINISHED, NEXT_BATCH, Transmission, type TransmitBatch, type TransmitCounters, type TransmitInterface, type TransmitTiming } from './transmission.js'
import { XdpSender } from './xdp-sender.js'
import { openXdpTransmitSocket } from './xdp-socket.js'

export type { TransmitBackend } from './sender.js'
export { TRANSMIT_BACKENDS } from './sender.js'
export type { Refusals, TransmitBatch, TransmitCounters, TransmitTiming } from './transmission.js'

export interface TransmitterOptions {
  /** Ethernet or loopback, up. */
  interface: string
  /** Network namespace of it: a name in /run/netns, a path, or a pid. Default: this process's. */
  netns?: string | undefined
  /**
   * `ring`: a PACKET_TX_RING; `recv`: a plain socket and sendmmsg(2), what `recv` is to receiving; `xdp`: the TX ring of an AF_XDP
   * socket in copy mode, on transmit queue 0. Default `ring`.
   */
  backend?: TransmitBackend | undefined
  /**
   * Straight to the driver, past the queueing discipline (PACKET_QDISC_BYPASS): faster, and every frame that the interface does not
   * take is told of. `xdp` always does. Default true.
   */
  qdiscBypass?: boolean | undefined
  /** Frames of the ring, a power of two, 64 to 65536; `ring` and `xdp`. Default 1024. */
  frames?: number | undefined
  /** An interface that leads to a network is meant. Default false: it is refused. */
  yesThisNetwork?: boolean | undefined
}

export interface TransmitOptions {
  /** `original`: as far apart as when they were captured; `top`: as fast as they go. Or a rate, see below. Default `original`. */
  timing?: 'original' | 'top' | undefined
  /** So many times as fast as captured: 2 takes half the time. Not with a rate or `top`. Default 1. */
  multiplier?: number | undefined
  /** Packets a second, evenly. */
  ratePps?: number | undefined
  /** Bits a second of frames without FCS, preamble and gap. */
  rateBps?: number | undefined
  /** How often all is sent; Infinity until aborted. `open` of the packets is called so often. Default 1. */
  loop?: number | undefined
  /** Ends after so many packets of the file, sent or refused, over all rounds. */
  limit?: number | undefined
  /** A packet that was cut when it was captured is sent as it is (`send`), or refused (`skip`). Default `send`. */
  truncated?: 'send' | 'skip' | undefined
  /** How long a packet for which the interface has no room is tried again, before it is given up as `noRoom`. Default 1000. */
  roomTimeoutMs?: number | undefined
  /** Ends the transmission normally when aborted: what was handed over is sent, and the promise resolves. */
  signal?: AbortSignal | undefined
}

/** Where packets come from: batch after batch, until there is none. */
export interface TransmitPackets {
  nextBatch(): Promise<TransmitBatch | undefined> | TransmitBatch | undefined
  /** Called once for each that was opened. */
  close?(): void | Promise<void>
}

export interface TransmitSummary extends TransmitCounters, TransmitTiming {
  /** From the first look at the clock to the last packet. */
  seconds: number
  /** Rounds that were begun. */
  rounds: number
  reason: 'end' | 'limit' | 'aborted'
}

export interface Transmitter extends AsyncDisposable {
  readonly interface: string
  readonly backend: TransmitBackend
  /** Of a `ring`: 3, or 2 before Linux 4.11. */
  readonly ringVersion: 2 | 3 | undefined
  readonly qdiscBypass: boolean
  /**
   * Sends packets, in order, each when it is due. One at a time.
   * @throws CaptureError INVALID_OPTION; INTERFACE_REMOVED when the interface went away meanwhile; and whatever `open` and the packets throw.
   */
  transmit(open: () => TransmitPackets | Promise<TransmitPackets>, options?: TransmitOptions): Promise<TransmitSummary>
  /** Of the transmission that runs, or ran last. */
  counters(): TransmitCounters
  /** Idempotent. */
  close(): Promise<void>
}

const DEFAULT_FRAMES = 1024
const SOCKET_BATCH = 64
const SEND_BUFFER_BYTES = 8 * 2 ** 20
const DEFAULT_ROOM_TIMEOUT_MS = 1000
const MAX_TIMER_MS = 2 ** 31 - 1
/** How long an interface without a carrier is waited for. */
const CARRIER_MS = 2000
const CARRIER_STEP_MS = 10
/** How long frames that the kernel has taken may be on their way at the end. */
const DRAIN_MS = 1000
const DRAIN_STEP_MS = 1

/** See open.ts, where it is public. */
export function openTransmitter(kernel: Kernel, options: TransmitterOptions): Transmitter {
  const plan = checkOpening(options)
  using namespace = options.netns === undefined ? undefined : openNamespace(kernel, options.netns)
  return withNamespace(kernel, namespace, () => open(kernel, plan))
}

interface OpeningPlan {
  name: string
  backend: TransmitBackend
  qdiscBypass: boolean
  frames: number
  yesThisNetwork: boolean
}

function open(kernel: Kernel, plan: OpeningPlan): Transmitter {
  const { name, backend } = plan
  const control = openPacketSocket(kernel, name)
  try {
    const identity = checkInterface(kernel, control.fd, name)
    if (!plan.yesThisNetwork) refuseNetwork(kernel, name, identity.index)
    if (!waitForCarrier(kernel, control.fd, identity)) {
      throw new CaptureError('INTERFACE_DOWN', `${name}: no carrier: what is sent now would be lost`, { hint: 'is the other end up?' })
    }
    const { sender, ringVersion } = openSender(kernel, plan, identity)
    const of: TransmitInterface = {
      name,
      flags: () => interfaceFlags(kernel, control.fd, identity.index),
      mtu: () => mtuOf(kernel, control.fd, identity.index),
      tellsCarrier: backend === 'xdp' || plan.qdiscBypass,
    }
    return new OpenTransmitter(sender, of, control, backend, ringVersion, of.tellsCarrier)
  } catch (error) {
    control.close()
    throw error
  }
}

/** A link that came up a moment ago is told of within a second: before, its queueing discipline swallows what it is given. */
function waitForCarrier(kernel: Kernel, fd: number, { index, flags }: InterfaceIdentity): boolean {
  const deadline = performance.now() + CARRIER_MS
  for (let now: number | undefined = flags; now !== undefined; now = interfaceFlags(kernel, fd, index)) {
    if ((now & IFF_RUNNING) !== 0) return true
    if (performance.now() > deadline) break
    sleepThread(CARRIER_STEP_MS)
  }
  return false
}

/** By index, which a rename keeps. */
function mtuOf(kernel: Kernel, fd: number, index: number): number | undefined {
  const name = interfaceName(kernel, fd, index)
  const identity = name === undefined ? undefined : identifyInterface(kernel, fd, name)
  return identity === undefined || typeof identity === 'number' ? undefined : identity.mtu
}

function refuseNetwork(kernel: Kernel, name: string, index: number): void {
  const reason = leadsToNetwork(kernel, name, index)
  if (reason === undefined) return
  throw new CaptureError('INTERFACE_IN_USE', `${name}: ${reason}: packets sent there reach a network`, {
    hint: 'yesThisNetwork says that this is meant; a veth pair in namespaces is a network of its own',
  })
}

interface OpenedSender {
  sender: Sender
  ringVersion: 2 | 3 | undefined
}

function openSender(kernel: Kernel, plan: OpeningPlan, { index, mtu }: InterfaceIdentity): OpenedSender {
  const { name, backend } = plan
  const longest = mtu + ETHER_HEADER + VLAN_HLEN
  if (backend === 'xdp') {
    const chunkBytes = chunkFor(kernel, name, longest)
    const geometry = { chunkBytes, chunkCount: plan.frames }
    const socket = openXdpTransmitSocket(kernel, { interfaceName: name, interfaceIndex: index, queue: 0, geometry, sendBufferBytes: SEND_BUFFER_BYTES })
    return { sender: new XdpSender(kernel, name, socket), ringVersion: undefined }
  }
  const spec: PacketTransmitSpec = { interfaceName: name, interfaceIndex: index, qdiscBypass: plan.qdiscBypass, sendBufferBytes: SEND_BUFFER_BYTES }
  const socket = openPacketSocket(kernel, name)
  try {
    prepareSocket(kernel, socket.fd, spec)
    if (backend === 'recv') {
      bindForSending(kernel, socket.fd, spec)
      return { sender: new SocketSender(kernel, name, socket, { batch: SOCKET_BATCH, frameBytes: longest }), ringVersion: undefined }
    }
    const geometry = makeTransmitRing(kernel, socket, name, powerOfTwo(transmitHeaderBytes(3) + longest), plan.frames)
    bindForSending(kernel, socket.fd, spec)
    return { sender: new RingSender(kernel, name, socket, geometry), ringVersion: geometry.version }
  } catch (error) {
    socket.close()
    throw error
  }
}

/** Frames longer than a page take several chunks, which we do not send. */
function chunkFor(kernel: Kernel, name: string, longest: number): number {
  const chunkBytes = powerOfTwo(longest)
  if (chunkBytes <= kernel.pageSize) return chunkBytes
  throw new CaptureError('XDP_REFUSED', `${name}: frames of ${longest} bytes do not fit a chunk of ${kernel.pageSize}`, {
    hint: '--backend ring sends them; or lower the MTU',
  })
}

function powerOfTwo(bytes: number): number {
  return Math.max(2048, 2 ** Math.ceil(Math.log2(bytes)))
}

class OpenTransmitter implements Transmitter {
  readonly interface: string
  readonly backend: TransmitBackend
  readonly ringVersion: 2 | 3 | undefined
  readonly qdiscBypass: boolean
  readonly #sender: Sender
  readonly #of: TransmitInterface
  readonly #control: Descriptor
  #transmission: Transmission | undefined
  #running: Promise<TransmitSummary> | undefined
  readonly #closing = new AbortController()

  constructor(sender: Sender, of: TransmitInterface, control: Descriptor, backend: TransmitBackend, ringVersion: 2 | 3 | undefined, qdiscBypass: boolean) {
    this.#sender = sender
    this.#of = of
    this.#control = control
    this.interface = of.name
    this.backend = backend
    this.ringVersion = ringVersion
    this.qdiscBypass = qdiscBypass
  }

  async transmit(open: () => TransmitPackets | Promise<TransmitPackets>, options: TransmitOptions = {}): Promise<TransmitSummary> {
    const plan = checkTransmitting(options)
    if (this.#closing.signal.aborted) throw new CaptureError('INVALID_OPTION', `${this.interface}: the transmitter is closed`)
    if (this.#running !== undefined) throw new CaptureError('INVALID_OPTION', `${this.interface}: a transmission is running`, { hint: 'await it first' })
    this.#running = this.#transmit(open, plan)
    try {
      return await this.#running
    } finally {
      this.#running = undefined
    }
  }

  async #transmit(open: () => TransmitPackets | Promise<TransmitPackets>, plan: TransmittingPlan): Promise<TransmitSummary> {
    const signals = plan.signal === undefined ? [this.#closing.signal] : [this.#closing.signal, plan.signal]
    const signal = AbortSignal.any(signals)
    let packets = await open()
    let rounds = 1
    const transmission = new Transmission(this.#sender, this.#of, plan)
    this.#transmission = transmission
    let reason: TransmitSummary['reason'] = 'end'
    try {
      for (;;) {
        const before = transmission.counters.packets
        const ended = await sendAll(transmission, packets, signal)
        if (ended !== 'end') {
          reason = ended
          break
        }
        // A file without packets would go round for ever.
        if (rounds >= plan.loop || transmission.counters.packets === before) break
        await packets.close?.()
        packets = await open()
        rounds++
        transmission.nextRound()
      }
      await drain(transmission)
      const seconds = transmission.elapsedMs / 1000
      return { ...transmission.counters, ...transmission.timing, seconds, rounds, reason }
    } finally {
      // What an error left behind must not go out later.
      transmission.giveUp()
      await packets.close?.()
    }
  }

  counters(): TransmitCounters {
    this.#transmission ??= new Transmission(this.#sender, this.#of, checkTransmitting({}))
    return this.#transmission.counters
  }

  async close(): Promise<void> {
    this.#closing.abort()
    if (this.#running !== undefined) {
      try {
        await this.#running
      } catch {
        // Whoever called transmit() has it.
      }
    }
    this.#sender.close()
    this.#control.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

async function sendAll(transmission: Transmission, packets: TransmitPackets, signal: AbortSignal): Promise<TransmitSummary['reason']> {
  for (;;) {
    if (signal.aborted) return 'aborted'
    const next = packets.nextBatch()
    const batch = next instanceof Promise ? await next : next
    if (batch === undefined) return 'end'
    for (;;) {
      const wait = transmission.advance(batch)
      if (wait === FINISHED) return 'limit'
      if (wait > 0) await pause(wait, signal)
      if (wait === 0 || transmission.isTurnDue) await turn()
      if (wait >= 0) transmission.turnTaken()
      if (signal.aborted) {
        transmission.putBack()
        return 'aborted'
      }
      if (wait === NEXT_BATCH) break
    }
  }
}

/** Lets what has been handed over leave. */
async function drain(transmission: Transmission): Promise<void> {
  const deadline = performance.now() + DRAIN_MS
  while (!transmission.finish()) {
    if (performance.now() > deadline) return
    await new Promise((resolve) => setTimeout(resolve, DRAIN_STEP_MS))
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', end)
      resolve()
    }
    const timer = setTimeout(end, Math.min(milliseconds, MAX_TIMER_MS))
    signal.addEventListener('abort', end)
    if (signal.aborted) end()
  })
}

function checkOpening(options: TransmitterOptions): OpeningPlan {
  known('openTransmitter', options, ['interface', 'netns', 'backend', 'qdiscBypass', 'frames', 'yesThisNetwork'])
  const { interface: name, backend = 'ring', qdiscBypass = true, frames = DEFAULT_FRAMES, yesThisNetwork = false } = options
  if (typeof name !== 'string' || name === '') throw invalid('interface', 'the name of an interface', name)
  if (!TRANSMIT_BACKENDS.includes(backend)) throw invalid('backend', `one of ${TRANSMIT_BACKENDS.join(', ')}`, backend)
  if (!(Number.isInteger(frames) && frames >= 64 && frames <= 65536 && (frames & (frames - 1)) === 0)) {
    throw invalid('frames', 'a power of two from 64 to 65536', frames)
  }
  if (typeof qdiscBypass !== 'boolean') throw invalid('qdiscBypass', 'true or false', qdiscBypass)
  if (typeof yesThisNetwork !== 'boolean') throw invalid('yesThisNetwork', 'true or false', yesThisNetwork)
  return { name, backend, qdiscBypass, frames, yesThisNetwork }
}

interface TransmittingPlan {
  pace: Pace
  loop: number
  limit: number
  truncated: 'send' | 'skip'
  roomTimeoutMs: number
  signal: AbortSignal | undefined
}

function checkTransmitting(options: TransmitOptions): TransmittingPlan {
  known('transmit', options, ['timing', 'multiplier', 'ratePps', 'rateBps', 'loop', 'limit', 'truncated', 'roomTimeoutMs', 'signal'])
  const { loop = 1, limit = Number.POSITIVE_INFINITY, truncated = 'send', roomTimeoutMs = DEFAULT_ROOM_TIMEOUT_MS, signal } = options
  if (!(loop === Number.POSITIVE_INFINITY || (Number.isSafeInteger(loop) && loop >= 1))) throw invalid('loop', 'a whole number from 1, or Infinity', loop)
  if (!(limit === Number.POSITIVE_INFINITY || (Number.isSafeInteger(limit) && limit >= 1))) throw invalid('limit', 'a whole number from 1', limit)
  if (truncated !== 'send' && truncated !== 'skip') throw invalid('truncated', 'one of send, skip', truncated)
  if (!(roomTimeoutMs >= 0 && roomTimeoutMs <= MAX_TIMER_MS)) throw invalid('roomTimeoutMs', 'a number of milliseconds', roomTimeoutMs)
  return { pace: paceOf(options), loop, limit, truncated, roomTimeoutMs, signal }
}

function paceOf({ timing, multiplier, ratePps, rateBps }: TransmitOptions): Pace {
  if (timing !== undefined && timing !== 'original' && timing !== 'top') throw invalid('timing', 'one of original, top', timing)
  // Only `original` goes with something else, with what it is multiplied by.
  const named = timing === 'original' && multiplier !== undefined ? undefined : timing
  const given = Object.entries({ timing: named, multiplier, ratePps, rateBps }).filter(([, value]) => value !== undefined)
  if (given.length > 1) throw new CaptureError('INVALID_OPTION', `Expected at most one of the options ${given.map(([name]) => name).join(' and ')}`)
  for (const [name, value] of Object.entries({ multiplier, ratePps, rateBps })) {
    if (value !== undefined && !(typeof value === 'number' && value > 0 && value < Number.POSITIVE_INFINITY)) throw invalid(name, 'a number above 0', value)
  }
  if (timing === 'top') return { kind: 'top' }
  if (ratePps !== undefined) return { kind: 'packets', perSecond: ratePps }
  if (rateBps !== undefined) return { kind: 'bits', perSecond: rateBps }
  return { kind: 'original', multiplier: multiplier ?? 1 }
}

function known(call: string, options: object, names: readonly string[]): void {
  if (typeof options !== 'object' || options === null) {
    throw new CaptureError('INVALID_OPTION', `Expected the options of ${call} to be an object, got ${options === null ? 'null' : typeof options}`)
  }
  const unknown = Object.keys(options).find((name) => !names.includes(name))
  if (unknown === undefined) return
  throw new CaptureError('INVALID_OPTION', `Unknown option ${unknown} of ${call}; there are ${names.join(', ')}`)
}

function invalid(name: string, expected: string, got: unknown): CaptureError {
  return new CaptureError('INVALID_OPTION', `Expected the option ${name} to be ${expected}, got ${String(got)} (${typeof got})`)
}
