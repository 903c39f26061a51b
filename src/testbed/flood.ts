/**
 * The flood: threads that have the kernel make packets and put them on a veth, one thread a CPU. It refuses every other kind
 * of interface: it is a test generator, and a namespace's traffic stays inside it.
 */
import { Worker } from 'node:worker_threads'
import { FLOOD_KINDS, type FloodKind, MAX_FRAME_BYTES, MAX_SOURCES, MIN_FRAME_BYTES } from '../bpf/flood-program.js'
import { CaptureError, fromPlainError } from '../errors.js'
import { IFF_UP } from '../kernel/abi/if.js'
import { openNamespace, withNamespace } from '../kernel/namespace.js'
import { getLink, type Link, RouteSocket } from '../kernel/netlink.js'
import { type Kernel, openKernel } from '../kernel/system.js'
import { allowedCpus } from '../kernel/thread.js'
import { FloodControl, type FloodMessage, type FloodWorkerData } from './flood-control.js'
import { openFloodEngine } from './flood-engine.js'

export interface FloodOptions {
  /** The sending end of a veth pair. */
  interface: string
  /** Network namespace of it: a name in /run/netns, a path, or a pid. Default: this process's. */
  netns?: string | undefined
  /** `syn` TCP to port 80, `udp` to port 80, `icmp` echo requests, or a `mix` of half, a quarter and a quarter. Default `syn`. */
  kind?: FloodKind | undefined
  /** Number of source addresses, from 10.0.0.0 upwards, 1 to 16777216. Default: all of them, at random. */
  sources?: number | undefined
  /** Packets a second of all threads. Default: as many as go. */
  ratePps?: number | undefined
  /** Bytes of a frame without FCS, 60 to 1514. Default 60. */
  frameBytes?: number | undefined
  /** Ends after exactly this many packets. */
  count?: number | undefined
  /** One thread on each of these CPUs; CPU c fills the receiver's queue c modulo its queues. Default: the CPUs that this thread may run on. */
  cpus?: readonly number[] | undefined
  /** Ends after this many milliseconds. */
  durationMs?: number | undefined
  /** Ends the flood normally when aborted. */
  signal?: AbortSignal | undefined
  /** Default 02:00:5e:10:00:01, which is not the receiver's: as on a mirror port, the packets are other people's. */
  destinationMac?: string | undefined
  /** Identifier of an 802.1Q tag, 0 to 4095, within `frameBytes`. Default: no tag. */
  vlan?: number | undefined
  /** Addresses and ports come in the same order for the same seed and CPUs. Default 1. */
  seed?: number | undefined
}

export interface FloodResult {
  /** Packets that the program made; exact. On a testbed, the wire's `sent + refused`. */
  sent: number
  /** From the common start to the end of the last thread. */
  seconds: number
  perCpu: { cpu: number; sent: number }[]
}

export interface Flood extends AsyncDisposable {
  /** Packets made so far. */
  sent(): number
  /** Settles when all threads have ended; rejects with the error of the first that failed. */
  readonly finished: Promise<FloodResult>
  /** Ends the flood within a few milliseconds; idempotent. Resolves as `finished` does. */
  stop(): Promise<FloodResult>
  [Symbol.asyncDispose](): Promise<void>
}

const DEFAULT_DESTINATION_MAC = '02:00:5e:10:00:01'

/**
 * Starts a flood; it runs when the promise resolves.
 * @throws CaptureError INVALID_OPTION for a bad value or an interface that is no veth, NO_SUCH_INTERFACE, INTERFACE_DOWN,
 * NO_SUCH_NAMESPACE, PERMISSION
 */
export async function startFlood(options: FloodOptions): Promise<Flood> {
  const kernel = openKernel()
  const plan = checkOptions(options, allowedCpus(kernel))
  const link = findVeth(kernel, options.interface, options.netns)
  const room = link.mtu + 14 + (plan.vlan === undefined ? 0 : 4)
  if (plan.frameBytes > room) throw invalid('frameBytes', `at most ${room}, for ${options.interface} has an MTU of ${link.mtu}`, plan.frameBytes)

  const control = new FloodControl()
  const engine = openFloodEngine(kernel, { ...plan, interfaceIndex: link.index, sourceMac: link.address }, plan.cpus, plan.seed)
  const { programFd, frame, stateFd, stateWords } = engine
  const { ratePps, count, durationMs } = plan
  const shared = { control: control.buffer, workers: plan.cpus.length, netns: options.netns, programFd, frame, stateFd, stateWords, ratePps, count, durationMs }
  const threads = plan.cpus.map((cpu, index) => startThread({ ...shared, cpu, index }))
  const ended = Promise.allSettled(threads.map((thread) => thread.finished))
  const stopAll = () => control.stop()
  const ready = await Promise.allSettled(threads.map((thread) => thread.ready))
  const unready = ready.find((it) => it.status === 'rejected')
  if (unready !== undefined) {
    stopAll()
    await ended
    engine.close()
    throw unready.reason
  }

  const sent = () => plan.cpus.reduce((sum, cpu) => sum + engine.made(cpu), 0)
  if (options.signal?.aborted) stopAll()
  options.signal?.addEventListener('abort', stopAll)
  for (const thread of threads) thread.finished.catch(stopAll)
  const finished = ended.then((results) => {
    options.signal?.removeEventListener('abort', stopAll)
    engine.close()
    const failed = results.find((it) => it.status === 'rejected')
    if (failed !== undefined) throw failed.reason
    const ends = results.map((it) => (it as PromiseFulfilledResult<ThreadEnd>).value)
    return {
      sent: sent(),
      seconds: Math.max(...ends.map((it) => it.seconds)),
      perCpu: plan.cpus.map((cpu) => ({ cpu, sent: engine.made(cpu) })),
    }
  })
  // Whoever only looks at sent() is not to be ended by an unhandled rejection.
  finished.catch(() => {})
  control.start()
  const stop = () => {
    stopAll()
    return finished
  }
  return {
    sent,
    finished,
    stop,
    async [Symbol.asyncDispose]() {
      await stop()
    },
  }
}

interface ThreadEnd {
  seconds: number
}

/** `ready` when the thread waits for the start, `finished` when it has gone. Both reject when it fails. */
function startThread(workerData: FloodWorkerData): { ready: Promise<void>; finished: Promise<ThreadEnd> } {
  // NB: a thread inherits the options of node, and some of them (--input-type) end it.
  const worker = new Worker(new URL('./flood-worker.js', import.meta.url), { workerData, name: `flood/${workerData.cpu}`, execArgv: [] })
  let end: ThreadEnd | undefined
  let failure: unknown
  let markReady: () => void = () => {}
  const finished = new Promise<ThreadEnd>((resolve, reject) => {
    worker.on('message', (message: FloodMessage) => {
      if (message.type === 'ready') markReady()
      else if (message.type === 'finished') end = { seconds: Number(message.endedNs - message.startedNs) / 1e9 }
      else failure = fromPlainError(message.error)
    })
    worker.on('error', (cause) => {
      failure = new CaptureError('WORKER_FAILED', `flood on CPU ${workerData.cpu}: ${cause.message}`, { cause })
    })
    // Not before the exit: only then are the thread's descriptors closed.
    worker.on('exit', (code) => {
      if (failure === undefined && end !== undefined) resolve(end)
      else reject(failure ?? new CaptureError('WORKER_FAILED', `flood on CPU ${workerData.cpu}: the thread ended with code ${code}`))
    })
  })
  finished.catch(() => {})
  const ready = new Promise<void>((resolve, reject) => {
    markReady = resolve
    finished.then(() => resolve(), reject)
  })
  return { ready, finished }
}

function findVeth(kernel: Kernel, name: string, netns: string | undefined): Link {
  using namespace = netns === undefined ? undefined : openNamespace(kernel, netns)
  const link = withNamespace(kernel, namespace, () => {
    using route = RouteSocket.open(kernel)
    return getLink(route, name)
  })
  if (link.kind !== 'veth') {
    throw new CaptureError('INVALID_OPTION', `expected interface to be a veth, got ${name} (${link.kind ?? 'no virtual link'}): the flood goes nowhere else`, {
      hint: 'createTestbed() makes a pair in namespaces of its own',
    })
  }
  if ((link.flags & IFF_UP) === 0) throw new CaptureError('INTERFACE_DOWN', `${name} is down: its frames would vanish`, { hint: `ip link set ${name} up` })
  return link
}

function checkOptions(options: FloodOptions, allowed: readonly number[]) {
  const kind = options.kind ?? 'syn'
  if (!FLOOD_KINDS.includes(kind)) throw invalid('kind', `one of ${FLOOD_KINDS.join(', ')}`, kind)
  const cpus = options.cpus ?? allowed
  if (cpus.length === 0 || cpus.some((cpu) => !allowed.includes(cpu)) || new Set(cpus).size !== cpus.length) {
    throw invalid('cpus', `different CPUs out of ${allowed.join(',')}`, cpus.join(','))
  }
  if (typeof options.interface !== 'string' || options.interface === '') throw invalid('interface', 'the name of a veth', options.interface)
  if (options.ratePps !== undefined && !(options.ratePps > 0 && options.ratePps <= 1e9)) throw invalid('ratePps', 'above 0 and at most 1e9', options.ratePps)
  if (options.durationMs !== undefined && !(options.durationMs >= 0 && options.durationMs < Number.POSITIVE_INFINITY)) {
    throw invalid('durationMs', 'a number of milliseconds', options.durationMs)
  }
  return {
    kind,
    cpus,
    sources: wholeNumber('sources', options.sources ?? MAX_SOURCES, 1, MAX_SOURCES),
    frameBytes: wholeNumber('frameBytes', options.frameBytes ?? MIN_FRAME_BYTES, MIN_FRAME_BYTES, MAX_FRAME_BYTES),
    ratePps: options.ratePps,
    count: options.count === undefined ? undefined : wholeNumber('count', options.count, 0, Number.MAX_SAFE_INTEGER),
    durationMs: options.durationMs,
    destinationMac: parseMac(options.destinationMac ?? DEFAULT_DESTINATION_MAC),
    vlan: options.vlan === undefined ? undefined : wholeNumber('vlan', options.vlan, 0, 4095),
    seed: wholeNumber('seed', options.seed ?? 1, 0, 2 ** 32),
  }
}

function parseMac(text: string): Uint8Array {
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text)) throw invalid('destinationMac', 'six bytes such as 02:00:5e:10:00:01', text)
  return Uint8Array.from(text.split(':'), (byte) => Number.parseInt(byte, 16))
}

function wholeNumber(name: string, value: number, min: number, max: number): number {
  if (Number.isInteger(value) && value >= min && value <= max) return value
  throw invalid(name, `a whole number from ${min} to ${max}`, value)
}

function invalid(name: string, expected: string, got: unknown): CaptureError {
  return new CaptureError('INVALID_OPTION', `flood: expected ${name} to be ${expected}, got ${got} (${typeof got})`)
}
