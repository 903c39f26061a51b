/** From options to a plan: every check and default that needs no kernel. Pure; facts about the machine are arguments. */

import { nextPowerOfTwo } from '../bytes/align.js'
import { CaptureError } from '../errors.js'
import { CAPTURE_FILE_FORMATS } from '../file/capture-file.js'
import { COMPRESSIONS } from '../file/compression.js'
import { checkCompression } from '../file/compressor.js'
import { PRECISIONS } from '../file/encode-pcap.js'
import { endingsOf } from '../file/file-plan.js'
import { checkRotation, type RotationOptions } from '../file/rotation.js'
import { blockFor, DEFAULT_BLOCK_TIMEOUT_MS, DEFAULT_RING_BYTES, longestPacket, MAX_BLOCK_TIMEOUT_MS, planRing, ringToHold } from '../ring/geometry.js'
import { MAX_UMEM_BYTES, MIN_UMEM_BYTES } from '../ring/umem.js'
import {
  BACKENDS,
  type CaptureOptions,
  type CapturePlan,
  FANOUT_MODES,
  type FanoutMode,
  type FanoutOptions,
  type WriteOptions,
  type WritePlan,
  XDP_MODES,
} from './api.js'
import { planPast } from './plan-past.js'

export interface MachineFacts {
  pageSize: number
  /** CPUs that this process may use. */
  cpus: readonly number[]
  /** MemAvailable. */
  availableMemoryBytes: number
}

export const MAX_SNAP_LENGTH_BYTES = 262_144
/** Members of a fanout group (PACKET_FANOUT_MAX before Linux 5.6, the default since). */
export const MAX_WORKERS = 256
export const DEFAULT_RECEIVE_BUFFER_BYTES = 2 * 2 ** 20
export const DEFAULT_BATCH = 64
const MAX_BATCH = 1024
const CHUNK_BYTES = [2048, 4096]
/** What a busy worker lets packets gather for: less costs more wake-ups, more needs more chunks. */
const DEFAULT_COALESCE_MS = 1
const MAX_BUSY_POLL_US = 1_000_000
/** SO_RCVBUF is an int that the kernel doubles. */
const MAX_RECEIVE_BUFFER_BYTES = 2 ** 30 - 1
/** setTimeout's limit, 24.8 days: a longer time is 1 ms to it. */
export const MAX_TIMER_MS = 2 ** 31 - 1

const KNOWN: Readonly<Record<keyof CaptureOptions, true>> = {
  interface: true,
  netns: true,
  backend: true,
  workers: true,
  fanout: true,
  pin: true,
  ringBytes: true,
  ringHold: true,
  blockBytes: true,
  blockTimeoutMs: true,
  receiveBufferBytes: true,
  batch: true,
  exclusive: true,
  xdpMode: true,
  chunkBytes: true,
  busyPollUs: true,
  hardwareHints: true,
  filter: true,
  snapLengthBytes: true,
  promiscuous: true,
  direction: true,
  count: true,
  durationMs: true,
  write: true,
  user: true,
  handler: true,
  handlerData: true,
  workerRestarts: true,
  signal: true,
  onEvent: true,
}

const WRITE_KNOWN: Readonly<Record<keyof WriteOptions, true>> = {
  path: true,
  format: true,
  precision: true,
  compression: true,
  compressionLevel: true,
  perWorker: true,
  order: true,
  unbuffered: true,
  rotation: true,
  command: true,
  guard: true,
  beforeMs: true,
  beforeSizeBytes: true,
  afterMs: true,
  trigger: true,
}

const ROTATION_KNOWN: Readonly<Record<keyof RotationOptions, true>> = { sizeBytes: true, seconds: true, files: true, keepBytes: true, timeInNames: true }

const FANOUT_KNOWN: Readonly<Record<keyof FanoutOptions, true>> = { mode: true, defrag: true, rollover: true, ignoreOutgoing: true, program: true }

/**
 * Checks options and fills in defaults.
 * @throws CaptureError INVALID_OPTION, saying what was expected and what was got.
 */
export function planCapture(options: CaptureOptions, machine: MachineFacts): CapturePlan {
  object('a capture', options)
  for (const name of Object.keys(options)) {
    if (!Object.hasOwn(KNOWN, name)) throw new CaptureError('INVALID_OPTION', `Unknown option ${name}`, { hint: `options: ${Object.keys(KNOWN).join(', ')}` })
  }
  checkSignal(options.signal)
  if (options.onEvent !== undefined && typeof options.onEvent !== 'function') throw invalid('onEvent', 'a function', options.onEvent)
  const interfaces = planInterfaces(options.interface)
  const backend = oneOf('backend', options.backend ?? 'auto', BACKENDS)
  const exclusive = boolean('exclusive', options.exclusive ?? false)
  if (backend === 'auto' && exclusive) {
    // Everything that only one of the two knows is checked for both.
    const otherwise = planCapture({ ...options, backend: 'ring' }, machine)
    if (options.fanout !== undefined || options.direction === 'out') return otherwise
    const plan = planCapture({ ...options, backend: 'xdp' }, machine)
    return { ...plan, xdp: { ...plan.xdp, mode: plan.xdp.mode === 'auto' ? 'driver' : plan.xdp.mode }, otherwise }
  }
  const used = backend === 'auto' ? 'ring' : backend
  const workersPerInterface = used === 'xdp' && (options.workers ?? 'auto') === 'auto' ? 'queues' : planWorkers(options.workers, machine)
  const workers = (workersPerInterface === 'queues' ? 1 : workersPerInterface) * interfaces.length
  // For `xdp` ringBytes says how much memory for chunks; there are no blocks, and what is planned for them does not matter.
  const ringOptions: Pick<CaptureOptions, 'blockBytes' | 'ringBytes' | 'ringHold'> = used === 'xdp' ? {} : options
  const blockTimeoutMs = integer('blockTimeoutMs', options.blockTimeoutMs ?? DEFAULT_BLOCK_TIMEOUT_MS, 1, MAX_BLOCK_TIMEOUT_MS)
  if (options.ringBytes !== undefined && options.ringHold !== undefined) throw invalid('ringBytes', 'absent when ringHold is given', options.ringBytes)
  const { blockBytes, ringBytes } = wantedRing(ringOptions, blockTimeoutMs, machine.pageSize)
  const geometry = planRing(ringBytes, blockBytes, machine.pageSize)
  const xdp = planXdp(options, used)
  if (used !== 'recv') checkMemory(used === 'ring' ? ringBytes : xdp.memoryBytes, workers, machine)
  const direction = options.direction === undefined ? undefined : oneOf('direction', options.direction, ['in', 'out', 'inout'] as const)
  if (used === 'xdp' && direction === 'out') throw invalid('direction', "'in' with backend 'xdp', which sees packets that arrive only", direction)
  if (used === 'xdp' && options.fanout !== undefined) {
    throw invalid('fanout', "absent with backend 'xdp': there the receive queues spread packets over workers", options.fanout)
  }
  const snapLengthBytes = integer('snapLengthBytes', options.snapLengthBytes ?? MAX_SNAP_LENGTH_BYTES, 1, MAX_SNAP_LENGTH_BYTES)
  return {
    backend: used,
    interfaces,
    netns: options.netns === undefined ? undefined : text('netns', options.netns),
    workersPerInterface,
    fanout: planFanout(options.fanout, workersPerInterface === 'queues' ? 1 : workersPerInterface, used),
    pin: planPin(options.pin),
    ring: { ...geometry, blockTimeoutMs },
    xdp,
    exclusive,
    otherwise: undefined,
    receiveBufferBytes: integer('receiveBufferBytes', options.receiveBufferBytes ?? DEFAULT_RECEIVE_BUFFER_BYTES, 1, MAX_RECEIVE_BUFFER_BYTES),
    batch: integer('batch', options.batch ?? DEFAULT_BATCH, 1, MAX_BATCH),
    filter: planFilter(options.filter),
    // A block holds no longer packet; the kernel would cut it with a line in its log.
    snapLengthBytes: used === 'ring' ? Math.min(snapLengthBytes, longestPacket(blockBytes)) : snapLengthBytes,
    promiscuous: boolean('promiscuous', options.promiscuous ?? true),
    direction,
    count: options.count === undefined ? undefined : integer('count', options.count, 1, Number.MAX_SAFE_INTEGER),
    write: planWrite(options.write, machine),
    user: options.user === undefined ? undefined : text('user', options.user),
    workerRestarts: integer('workerRestarts', options.workerRestarts ?? 0, 0, 1_000_000),
    durationMs: options.durationMs === undefined ? undefined : integer('durationMs', options.durationMs, 1, MAX_TIMER_MS),
  }
}

/** The CPU of the i-th worker, -1 where it may run anywhere; the list is used again from the start. */
export function workerCpu(cpus: readonly number[] | undefined, worker: number): number {
  return cpus === undefined || cpus.length === 0 ? -1 : (cpus[worker % cpus.length] as number)
}

export function planInterfaces(given: unknown): string[] {
  const names = typeof given === 'string' ? [given] : given
  if (!Array.isArray(names) || names.length === 0 || !names.every((name) => typeof name === 'string' && name !== '')) {
    throw invalid('interface', 'the name of an interface or an array of names', given)
  }
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined) throw invalid('interface', 'names that differ', given, `${twice} stands there twice: each packet would be delivered twice`)
  if (names.includes('any')) throw invalid('interface', "names of real interfaces, not 'any'", given, 'name them: -i eth0 -i eth1')
  return [...names]
}

function planWorkers(given: number | 'auto' | undefined, machine: MachineFacts): number {
  if (given === 'auto') return Math.min(MAX_WORKERS, Math.max(1, machine.cpus.length))
  if (typeof given === 'number' && given > MAX_WORKERS) throw invalid('workers', `at most ${MAX_WORKERS}, the members of a fanout group`, given)
  return given === undefined ? 1 : integer('workers', given, 1, MAX_WORKERS)
}

function planXdp(options: CaptureOptions, used: CapturePlan['backend']): CapturePlan['xdp'] {
  const { chunkBytes } = options
  if (chunkBytes !== undefined && !CHUNK_BYTES.includes(chunkBytes)) throw invalid('chunkBytes', CHUNK_BYTES.join(' or '), chunkBytes)
  const mode = oneOf('xdpMode', options.xdpMode ?? 'auto', XDP_MODES)
  const busyPollUs = integer('busyPollUs', options.busyPollUs ?? 0, 0, MAX_BUSY_POLL_US)
  const coalesceMs = integer('blockTimeoutMs', used === 'xdp' ? (options.blockTimeoutMs ?? DEFAULT_COALESCE_MS) : DEFAULT_COALESCE_MS, 1, MAX_BLOCK_TIMEOUT_MS)
  const hints = boolean('hardwareHints', options.hardwareHints ?? false)
  return { mode, chunkBytes, coalesceMs, busyPollUs, hints, memoryBytes: used === 'xdp' ? umemBytesFor(options) : DEFAULT_RING_BYTES }
}

function umemBytesFor({ ringBytes, ringHold, chunkBytes = 2048 }: CaptureOptions): number {
  if (ringBytes !== undefined && ringHold !== undefined) throw invalid('ringBytes', 'absent when ringHold is given', ringBytes)
  if (ringHold !== undefined) {
    checkHold(ringHold)
    // Each packet takes a chunk, however short it is.
    return umemBytesOf(Math.max(MIN_UMEM_BYTES, nextPowerOfTwo(Math.ceil((ringHold.ms / 1000) * ringHold.packetsPerSecond) * chunkBytes)), 'ringHold')
  }
  return umemBytesOf(ringBytes ?? DEFAULT_RING_BYTES, 'ringBytes')
}

function umemBytesOf(bytes: number, option: string): number {
  const nearest = Math.min(MAX_UMEM_BYTES, Math.max(MIN_UMEM_BYTES, nextPowerOfTwo(bytes)))
  if (bytes === nearest) return bytes
  const got = option === 'ringBytes' ? bytes : `${bytes} bytes`
  throw invalid(option, `a power of two from ${MIN_UMEM_BYTES} to ${MAX_UMEM_BYTES} bytes with backend 'xdp'`, got, `try --ring ${nearest}`)
}

function planFanout(given: FanoutMode | FanoutOptions | undefined, workers: number, used: CapturePlan['backend']): CapturePlan['fanout'] {
  const wish: FanoutOptions = typeof given === 'object' && given !== null ? given : given === undefined ? {} : { mode: oneOf('fanout', given, FANOUT_MODES) }
  for (const name of Object.keys(wish)) {
    if (!Object.hasOwn(FANOUT_KNOWN, name)) {
      throw new CaptureError('INVALID_OPTION', `Unknown option fanout.${name}`, { hint: `options: ${Object.keys(FANOUT_KNOWN).join(', ')}` })
    }
  }
  const mode = oneOf('fanout', wish.mode ?? 'cpu', FANOUT_MODES)
  const defrag = boolean('fanout.defrag', wish.defrag ?? false)
  const rollover = boolean('fanout.rollover', wish.rollover ?? false)
  if (rollover && mode === 'rollover') throw invalid('fanout.rollover', "absent with mode 'rollover', which does it already", rollover)
  if ((mode === 'cbpf') !== (wish.program !== undefined))
    throw invalid('fanout.program', "a classic BPF program with mode 'cbpf' and absent with any other", wish.program)
  const ignoreOutgoing = wish.ignoreOutgoing === undefined ? {} : { ignoreOutgoing: boolean('fanout.ignoreOutgoing', wish.ignoreOutgoing) }
  // One worker an interface needs no group, and without one packets take a shorter way.
  if (workers === 1 || used === 'xdp') return undefined
  return {
    mode,
    defrag,
    rollover,
    ...ignoreOutgoing,
    ...(wish.program === undefined ? {} : { program: wish.program }),
  }
}

function planWrite(given: WriteOptions | undefined, machine: MachineFacts): WritePlan | undefined {
  if (given === undefined) return undefined
  if (typeof given !== 'object' || given === null) throw invalid('write', '{ path, … }', given)
  for (const name of Object.keys(given)) {
    if (!Object.hasOwn(WRITE_KNOWN, name)) {
      throw new CaptureError('INVALID_OPTION', `Unknown option write.${name}`, { hint: `options: ${Object.keys(WRITE_KNOWN).join(', ')}` })
    }
  }
  const path = text('write.path', given.path)
  if (path.includes('\0')) throw invalid('write.path', 'a path', path)
  const endings = endingsOf(path)
  const compression = oneOf('write.compression', given.compression ?? endings.compression, [...COMPRESSIONS, 'none'] as const)
  if (compression !== 'none') checkCompression(compression, given.compressionLevel)
  const perWorker = boolean('write.perWorker', given.perWorker ?? false)
  if (perWorker && path === '-') throw invalid('write.perWorker', 'absent where stdout is written', perWorker)
  const order = boolean('write.order', given.order ?? false)
  if (order && perWorker) throw invalid('write.order', 'absent with write.perWorker: the file of a worker is in order', order)
  const past = planPast({ ...given, compression }, machine.availableMemoryBytes)
  return {
    path,
    format: oneOf('write.format', given.format ?? endings.format, CAPTURE_FILE_FORMATS),
    precision: oneOf('write.precision', given.precision ?? 'ns', PRECISIONS),
    compression,
    compressionLevel: given.compressionLevel,
    perWorker,
    order,
    unbuffered: boolean('write.unbuffered', given.unbuffered ?? false),
    rotation: planRotation(given.rotation),
    command: given.command === undefined ? undefined : text('write.command', given.command),
    guard: boolean('write.guard', given.guard ?? true),
    past,
  }
}

function planRotation(given: RotationOptions | undefined): RotationOptions | undefined {
  if (given === undefined) return undefined
  if (typeof given !== 'object' || given === null) throw invalid('write.rotation', '{ sizeBytes, seconds, … }', given)
  for (const name of Object.keys(given)) {
    if (!Object.hasOwn(ROTATION_KNOWN, name)) {
      throw new CaptureError('INVALID_OPTION', `Unknown option write.rotation.${name}`, { hint: `options: ${Object.keys(ROTATION_KNOWN).join(', ')}` })
    }
  }
  const { timeInNames, ...amounts } = given
  for (const [name, value] of Object.entries(amounts)) if (value !== undefined) integer(`write.rotation.${name}`, value, 1, Number.MAX_SAFE_INTEGER)
  if (timeInNames !== undefined) boolean('write.rotation.timeInNames', timeInNames)
  checkRotation(given)
  return given
}

/** Whether it is an expression is for its compiler to say. One of blanks takes everything, as with tcpdump. */
function planFilter(given: unknown): string | undefined {
  if (given !== undefined && typeof given !== 'string') throw invalid('filter', 'a string', given)
  return given === undefined || given.trim() === '' ? undefined : given
}

function planPin(given: readonly number[] | 'queues' | undefined): CapturePlan['pin'] {
  if (given === undefined || given === 'queues') return given
  if (!Array.isArray(given) || given.length === 0) throw invalid('pin', "CPU numbers, or 'queues'", given)
  return given.map((cpu: number) => integer('pin', cpu, 0, 1023))
}

function defaultRing(blockBytes: number): number {
  // A block size that is off is told by planRing; here it must only not divide by nonsense.
  return blockBytes > 0 ? Math.max(2, Math.ceil(DEFAULT_RING_BYTES / blockBytes)) * blockBytes : DEFAULT_RING_BYTES
}

/** In bytes: planRing says what is off. */
function wantedRing(
  { blockBytes, ringBytes, ringHold }: Pick<CaptureOptions, 'blockBytes' | 'ringBytes' | 'ringHold'>,
  blockTimeoutMs: number,
  pageSize: number,
) {
  if (ringHold !== undefined) {
    checkHold(ringHold)
    const geometry = ringToHold(ringHold, { blockBytes, blockTimeoutMs, pageSize })
    return { blockBytes: geometry.blockBytes, ringBytes: geometry.blockBytes * geometry.blockCount }
  }
  const block = blockBytes ?? blockFor(ringBytes, pageSize)
  return { blockBytes: block, ringBytes: ringBytes ?? defaultRing(block) }
}

function checkHold(hold: { ms: number; packetsPerSecond: number }): void {
  const positive = (value: unknown) => typeof value === 'number' && Number.isFinite(value) && value > 0
  if (typeof hold !== 'object' || hold === null || !positive(hold.ms) || !positive(hold.packetsPerSecond)) {
    throw invalid('ringHold', '{ ms, packetsPerSecond } with positive numbers', hold)
  }
}

function checkMemory(ringBytes: number, workers: number, machine: MachineFacts): void {
  const total = ringBytes * workers
  if (total <= machine.availableMemoryBytes) return
  const gib = (bytes: number) => `${(bytes / 2 ** 30).toFixed(1)} GiB`
  // The kernel would try, and the OOM killer might choose someone else.
  throw new CaptureError(
    'RING_REFUSED',
    `${workers} × ${gib(ringBytes)} of ring is more than the ${gib(machine.availableMemoryBytes)} of memory that are available`,
    {
      hint: 'a smaller --ring or fewer --workers',
    },
  )
}

function integer(option: string, value: unknown, min: number, max: number): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) return value
  throw invalid(option, `an integer from ${min} to ${max}`, value)
}

/** The options of a public function. */
export function object<T>(what: string, given: T): T {
  if (typeof given === 'object' && given !== null && !Array.isArray(given)) return given
  const got = given === null ? 'null' : Array.isArray(given) ? 'an array' : typeof given
  throw new CaptureError('INVALID_OPTION', `Expected the options of ${what} to be an object, got ${got}`)
}

/** NB: not by instanceof, which knows no signal of another realm. */
export function checkSignal(given: unknown): void {
  if (given === undefined) return
  const { aborted, addEventListener } = (given ?? {}) as Partial<AbortSignal>
  if (typeof aborted !== 'boolean' || typeof addEventListener !== 'function') throw invalid('signal', 'an AbortSignal', given)
}

export function boolean(option: string, value: unknown): boolean {
  if (typeof value === 'boolean') return value
  throw invalid(option, 'a boolean', value)
}

export function text(option: string, value: unknown): string {
  if (typeof value === 'string' && value !== '') return value
  throw invalid(option, 'a string that is not empty', value)
}

export function oneOf<T extends string>(option: string, value: unknown, values: readonly T[]): T {
  if (values.includes(value as T)) return value as T
  throw invalid(option, `one of ${values.join(', ')}`, value)
}

export function invalid(option: string, expected: string, got: unknown, hint?: string): CaptureError {
  const shown = typeof got === 'string' ? `'${got}'` : typeof got === 'object' && got !== null ? JSON.stringify(got) : String(got)
  return new CaptureError('INVALID_OPTION', `Expected the option ${option} to be ${expected}, got ${shown} (${typeof got})`, { hint })
}
