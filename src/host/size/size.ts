/** How many workers, how much ring, and what a capture of a given rate then survives. Pure: the machine is an argument. */
import { nextPowerOfTwo } from '../../bytes/align.js'
import { CaptureError } from '../../errors.js'
import {
  BLOCKS_IN_HAND,
  blocksToHold,
  blockToHold,
  DEFAULT_BLOCK_BYTES,
  DEFAULT_BLOCK_TIMEOUT_MS,
  MAX_RING_BYTES,
  packetFootprint,
  packetsPerBlock,
  timerClosings,
} from '../../ring/geometry.js'
import { chunkRoom, MAX_UMEM_BYTES, MIN_UMEM_BYTES } from '../../ring/umem.js'
import { SIZE_BOUNDS } from './bounds.js'
import { defaultCosts, type PacketCosts, SIZED_BACKENDS, type SizedBackend } from './costs.js'
import { type RingSimulation, simulateRing } from './simulation.js'
import { SIMULATED_MS, type StalledRing, simulateStall } from './stall.js'

export interface SizeOptions {
  /** Packets a second on average; or `lineBitsPerSecond` alone, for as many as the line carries. */
  packetsPerSecond?: number | undefined
  /** Speed of the link, at which bursts come. Default: the smallest of 1, 10, 25, 40, 100, 200, 400 and 800 Gbit/s that carries the rate. */
  lineBitsPerSecond?: number | undefined
  /** Length of a frame with its FCS, 64 to 9216. Default 64. */
  frameBytes?: number | undefined
  /** How long a reader that stands still (garbage collection, another process on its core) must not lose a packet, 0 to 10000. Default 100. */
  holdMs?: number | undefined
  /** How long the line is full in a burst, 0.001 to 1000. Default 1. No effect where the rate is that of the line. */
  burstMs?: number | undefined
  /** Cores for the capture: a worker a core, on the core that its receive queue interrupts. */
  cores: number
  /** Memory that is to be had, bytes. */
  memoryBytes: number
  /** Default `auto`: `ring` if it fits, else `xdp`. */
  backend?: SizedBackend | 'auto' | undefined
  /** What the handler takes for each packet, nanoseconds. Default 0: it counts. */
  handlerNs?: number | undefined
  /** Default: `defaultCosts` of the backend. */
  costs?: ((backend: SizedBackend) => PacketCosts) | undefined
  /** Share of a core that may be busy on average. Default 0.8. */
  load?: number | undefined
  /** Run-time page size. Default 4096. */
  pageSizeBytes?: number | undefined
}

/** Of one worker. `packets`: how many of this length it holds when the reader stands still. */
export type SizedRing =
  /** `ring` */
  | { blockBytes: number; blockCount: number; bytes: number; packets: number }
  /** `xdp` */
  | { chunkBytes: number; chunkCount: number; bytes: number; packets: number }

export interface CaptureSize {
  packetsPerSecond: number
  frameBytes: number
  /** Speed of the link; its packets a second at this length of frame. */
  lineBitsPerSecond: number
  linePacketsPerSecond: number
  backend: SizedBackend
  costs: PacketCosts & { handlerNs: number }
  /** Rate, hold and memory are all met, and the simulation loses nothing. */
  fits: boolean
  /** Why not; empty where it fits. */
  shortOf: string[]
  workers: number
  /** As many as the rate, the ring's limits and, where they are lost with fewer, bursts ask for. */
  workersNeeded: number
  /** Share of a core with one worker and its queue: 1 is all of it. */
  load: { kernel: number; user: number; total: number }
  ring: SizedRing
  /** Of all rings. */
  memoryBytes: number
  survives: {
    /** A reader that stands still, at the average rate. */
    stallMs: number
    /** The line full of such frames, while the worker works; null for ever. */
    burstMs: number | null
  }
  /** One worker, a second of bursts at the speed of the line, or its first ten million packets. */
  simulated: RingSimulation
  /**
   * The same with a reader that stands still once for `holdMs`, until it has caught up. Null where that is too many packets to simulate: more
   * than a ring holds, or bursts that are minutes apart; `survives.stallMs` alone decides then.
   */
  simulatedStall: RingSimulation | null
  /** What to type. */
  command: string
}

const LINE_SPEEDS = [1, 10, 25, 40, 100, 200, 400, 800].map((gigabits) => gigabits * 1e9)
/** Preamble and gap: what a frame takes on the wire beside itself. */
const WIRE_OVERHEAD_BYTES = 20
const FCS_BYTES = 4
/** What a block costs the reader beside its packets (capture/loop.ts). */
const BLOCK_NS = 1000
/** Of a thread in poll(2). */
const WAKE_NS = 30_000
/** An RX ring of a NIC, where nothing is known of it: the largest of ixgbe, i40e and many others. */
const NIC_SLOTS = 4096
/** One of a million. */
const NO_LOSS = 1e-6
/** A ring is made larger this often where the simulation shows that it loses. */
const ENLARGED_AT_MOST = 4
/** A simulation takes about 20 ns a packet. */
const MAX_SIMULATED_PACKETS = 10_000_000

/** Packets a second of a full line. */
export function lineRate(bitsPerSecond: number, frameBytes: number): number {
  return bitsPerSecond / (8 * (frameBytes + WIRE_OVERHEAD_BYTES))
}

/**
 * Sizes a capture.
 * @throws CaptureError INVALID_OPTION
 */
export function sizeCapture(options: SizeOptions): CaptureSize {
  const backend = options.backend ?? 'auto'
  if (backend !== 'auto') return sizeFor(backend, options)
  const ring = sizeFor('ring', options)
  return ring.fits ? ring : sizeFor('xdp', options)
}

function sizeFor(backend: SizedBackend, options: SizeOptions): CaptureSize {
  const wanted = checkOptions(backend, options)
  const { packetsPerSecond, linePacketsPerSecond, frameBytes, holdMs, cores } = wanted
  const costs = { ...(options.costs ?? defaultCosts)(backend), handlerNs: wanted.handlerNs }
  const userNs = costs.workerNs + costs.handlerNs
  const packetNs = costs.kernelNs + userNs
  const forRate = Math.max(1, Math.ceil((packetsPerSecond * packetNs) / (wanted.load * 1e9)))
  const forRing = workersForRing(backend, wanted, costs.kernelNs, userNs)
  const simulateWith = (count: number, atLeast = 0) => {
    const ring = ringFor(backend, wanted, count, costs.kernelNs, userNs, atLeast)
    const simulation = simulationOf(wanted, costs, userNs, ring, count)
    const durationMs = Math.min(SIMULATED_MS, ((MAX_SIMULATED_PACKETS * count) / packetsPerSecond) * 1000)
    return { workers: count, ring, simulation, simulated: simulateRing({ ...simulation, arrivals: { ...simulation.arrivals, durationMs } }) }
  }
  let workersNeeded = Math.max(forRate, forRing)
  let sized = simulateWith(Math.min(workersNeeded, cores))
  // A full line may be more than the average asks for, and what NIC and rings can hold of a burst.
  if (forRate <= cores && sized.simulated.dropShare > NO_LOSS) {
    workersNeeded = Math.max(workersNeeded, Math.ceil((linePacketsPerSecond * packetNs) / 1e9))
    if (workersNeeded > sized.workers && workersNeeded <= cores) sized = simulateWith(workersNeeded)
  }
  let simulatedStall = simulateStall(sized.simulation, holdMs)
  // Whole blocks, and a kernel that is served first: what no formula has of them, the simulation shows.
  for (let round = 0; round < ENLARGED_AT_MOST && (simulatedStall?.droppedByRing ?? 0) > 0; round++) {
    const larger = simulateWith(sized.workers, sized.ring.packets + (simulatedStall?.droppedByRing ?? 0))
    if (sized.simulated.dropShare > NO_LOSS || larger.ring.bytes === sized.ring.bytes) break
    sized = larger
    simulatedStall = simulateStall(sized.simulation, holdMs)
  }
  const { workers, ring, simulated } = sized
  const each = packetsPerSecond / workers
  const kernel = (each * costs.kernelNs) / 1e9
  const user = (each * userNs) / 1e9
  const memoryBytes = ring.bytes * workers
  const stallMs = heldMs(ring, each)

  const shortOf: string[] = []
  if (forRate > cores) shortOf.push(`${forRate} cores, for ${percent(wanted.load)} of each, and there ${cores === 1 ? 'is 1' : `are ${cores}`}`)
  else if (simulated.dropShare > NO_LOSS)
    shortOf.push(forBursts(wanted, Math.max(Math.ceil((linePacketsPerSecond * packetNs) / 1e9), workers + 1), workers, simulated.dropShare))
  if (workers < forRing) {
    const held = `${forRing} workers, for a ring of theirs holds no more than`
    const burst = `${millions(ring.packets * workers)} of the ${millions(packetsToHold(wanted, workers, costs.kernelNs, userNs))} packets`
    shortOf.push(
      stallMs < holdMs
        ? `${held} ${stallMs.toFixed(0)} ms of the ${holdMs} ms`
        : `${forRing} workers, for the rings of ${workers} hold ${burst} of a stall of ${holdMs} ms and a burst of ${wanted.burstMs} ms`,
    )
  }
  if (memoryBytes > wanted.memoryBytes) shortOf.push(`${mebibytes(memoryBytes)} of memory, and ${mebibytes(wanted.memoryBytes)} are to be had`)
  if (shortOf.length === 0) {
    const inStall = simulatedStall?.dropShare ?? (stallMs < holdMs ? 1 - stallMs / holdMs : 0)
    if (inStall > NO_LOSS) shortOf.push(`more room in its rings: of a stall of ${holdMs} ms they hold ${stallMs.toFixed(0)} ms, and less with a burst in it`)
  }
  return {
    packetsPerSecond,
    frameBytes,
    lineBitsPerSecond: wanted.lineBitsPerSecond,
    linePacketsPerSecond,
    backend,
    costs,
    fits: shortOf.length === 0,
    shortOf,
    workers,
    workersNeeded,
    load: { kernel, user, total: kernel + user },
    ring,
    memoryBytes,
    survives: { stallMs, burstMs: burstMs(linePacketsPerSecond / workers, costs.kernelNs, userNs, ring.packets) },
    simulated,
    simulatedStall,
    command: commandOf(workers, ring),
  }
}

function forBursts({ burstMs }: Wanted, cores: number, workers: number, lost: number): string {
  const why = burstMs === 0 ? 'the line, which is always full' : `bursts of ${burstMs} ms, in which the line is full`
  return `${cores} cores for ${why}: with ${workers} a share of ${lost.toPrecision(2)} is lost`
}

type Wanted = ReturnType<typeof checkOptions>

/** Packets a second of one worker while the line is full. The kernel comes first. What it cannot take, the NIC loses. */
function inBurst(linePerWorker: number, kernelNs: number, userNs: number): { toRing: number; handled: number } {
  const toRing = kernelNs === 0 ? linePerWorker : Math.min(linePerWorker, 1e9 / kernelNs)
  return { toRing, handled: userNs === 0 ? Number.POSITIVE_INFINITY : (1e9 - toRing * kernelNs) / userNs }
}

/** How long the ring takes what comes and is not handled while the line is full; null for ever. */
function burstMs(linePerWorker: number, kernelNs: number, userNs: number, packets: number): number | null {
  const { toRing, handled } = inBurst(linePerWorker, kernelNs, userNs)
  const ringMs = toRing <= handled ? Number.POSITIVE_INFINITY : (packets / (toRing - handled)) * 1000
  const nicMs = linePerWorker <= toRing ? Number.POSITIVE_INFINITY : (NIC_SLOTS / (linePerWorker - toRing)) * 1000
  const least = Math.min(ringMs, nicMs)
  return least === Number.POSITIVE_INFINITY ? null : least
}

function heldMs(ring: SizedRing, packetsPerSecond: number): number {
  if ('chunkBytes' in ring) return (ring.packets / packetsPerSecond) * 1000
  const free = ring.blockCount - BLOCKS_IN_HAND
  const blocksPerMs = (packetsPerSecond / 1000) * (free / ring.packets) + timerClosings(1, packetsPerSecond, DEFAULT_BLOCK_TIMEOUT_MS)
  return free / blocksPerMs
}

/** So many that a ring of the greatest size holds the share of each. */
function workersForRing(backend: SizedBackend, wanted: Wanted, kernelNs: number, userNs: number): number {
  const { frameBytes } = wanted
  const most = (workers: number): number => {
    if (backend === 'xdp') return MAX_UMEM_BYTES / chunkFor(frameBytes)
    const blocks = Math.floor(MAX_RING_BYTES / DEFAULT_BLOCK_BYTES) - BLOCKS_IN_HAND - Math.ceil(closings(wanted, workers))
    return Math.max(1, blocks) * packetsPerBlock(DEFAULT_BLOCK_BYTES, footprint(frameBytes))
  }
  // With more workers each has more of its core left, so that there is less to hold.
  let workers = 1
  while (packetsToHold(wanted, workers, kernelNs, userNs) > workers * most(workers)) workers++
  return workers
}

/** Times that the timer closes a block of one worker that is not full: while its reader stands still, and in the burst that it then meets. */
function closings({ packetsPerSecond, holdMs, burstMs }: Wanted, workers: number): number {
  return timerClosings(holdMs, packetsPerSecond / workers, DEFAULT_BLOCK_TIMEOUT_MS) + burstMs / DEFAULT_BLOCK_TIMEOUT_MS
}

/**
 * What comes while all readers stand still, a burst with it; and of the rest of a longer burst what they do not get done, for while the line
 * is full, the kernel may leave them little of their cores.
 */
function packetsToHold({ packetsPerSecond, linePacketsPerSecond, holdMs, burstMs }: Wanted, workers: number, kernelNs: number, userNs: number): number {
  const { toRing, handled } = inBurst(linePacketsPerSecond / workers, kernelNs, userNs)
  // What wakes a reader takes as much longer as the kernel has of its core.
  const wakeMs = Math.min(WAKE_NS / 1e6 / (1 - Math.min(1, (toRing * kernelNs) / 1e9)), burstMs)
  const stalledMs = Math.min(holdMs + wakeMs, burstMs)
  const left = Math.max(0, toRing - handled) * workers
  return (packetsPerSecond * holdMs + linePacketsPerSecond * stalledMs + left * (burstMs - stalledMs)) / 1000
}

function ringFor(backend: SizedBackend, wanted: Wanted, workers: number, kernelNs: number, userNs: number, atLeast: number): SizedRing {
  const packets = Math.max(atLeast, Math.ceil(packetsToHold(wanted, workers, kernelNs, userNs) / workers))
  return backend === 'xdp' ? chunksFor(packets, wanted.frameBytes) : blocksFor(packets, wanted, workers)
}

function blocksFor(packets: number, wanted: Wanted, workers: number): SizedRing {
  const footprintBytes = footprint(wanted.frameBytes)
  const hold = { packets, footprintBytes, closings: closings(wanted, workers) }
  const blockBytes = blockToHold(hold, wanted.pageSizeBytes)
  const blockCount = Math.min(blocksToHold(hold, blockBytes), Math.floor(MAX_RING_BYTES / blockBytes))
  const packetsHeld = (blockCount - BLOCKS_IN_HAND) * packetsPerBlock(blockBytes, footprintBytes)
  return { blockBytes, blockCount, bytes: blockBytes * blockCount, packets: packetsHeld }
}

function chunksFor(packets: number, frameBytes: number): SizedRing {
  const chunkBytes = chunkFor(frameBytes)
  const bytes = Math.min(MAX_UMEM_BYTES, Math.max(MIN_UMEM_BYTES, nextPowerOfTwo(packets * chunkBytes)))
  return { chunkBytes, chunkCount: bytes / chunkBytes, bytes, packets: bytes / chunkBytes }
}

function chunkFor(frameBytes: number): number {
  return frameBytes - FCS_BYTES <= chunkRoom(2048) ? 2048 : 4096
}

function footprint(frameBytes: number): number {
  return packetFootprint(frameBytes - FCS_BYTES)
}

/** One worker: bursts in which the line is full, as many as make the rate. */
function simulationOf(wanted: Wanted, costs: PacketCosts, userNs: number, ring: SizedRing, workers: number): StalledRing {
  const mean = wanted.packetsPerSecond / workers
  const line = wanted.linePacketsPerSecond / workers
  const burstPackets = Math.max(1, Math.round((line * wanted.burstMs) / 1000))
  return {
    arrivals:
      wanted.burstMs === 0
        ? { pattern: 'even', packetsPerSecond: line }
        : { pattern: 'bursts', packetsPerSecond: line, burstPackets, intervalMs: (burstPackets / mean) * 1000 },
    queue:
      'chunkBytes' in ring
        ? { slots: ring.chunkCount }
        : {
            packetsPerBlock: packetsPerBlock(ring.blockBytes, footprint(wanted.frameBytes)),
            blockCount: ring.blockCount,
            blockTimeoutMs: DEFAULT_BLOCK_TIMEOUT_MS,
          },
    serviceNs: userNs,
    blockServiceNs: 'chunkBytes' in ring ? 0 : BLOCK_NS,
    wakeNs: WAKE_NS,
    kernelNs: costs.kernelNs,
    sameCore: true,
    nicSlots: NIC_SLOTS,
  }
}

function commandOf(workers: number, ring: SizedRing): string {
  const size = (bytes: number): string => (bytes % 2 ** 20 === 0 ? `${bytes / 2 ** 20}M` : `${bytes / 1024}K`)
  if ('blockBytes' in ring) return `ringtap capture -i IFACE --workers ${workers} --ring ${size(ring.bytes)} --block ${size(ring.blockBytes)} --pin queues`
  const chunk = ring.chunkBytes === 2048 ? '' : ` --chunk ${ring.chunkBytes}`
  return `ringtap capture -i IFACE --backend xdp --workers ${workers} --ring ${size(ring.bytes)}${chunk} --pin queues`
}

function checkOptions(backend: SizedBackend, options: SizeOptions) {
  if (!SIZED_BACKENDS.includes(backend)) throw invalid('backend', `auto, ${SIZED_BACKENDS.join(' or ')}`, backend)
  const frameBytes = whole('frameBytes', options.frameBytes ?? 64)
  if (backend === 'xdp' && frameBytes - FCS_BYTES > chunkRoom(4096)) {
    throw invalid('frameBytes', `at most ${chunkRoom(4096) + FCS_BYTES} with backend 'xdp', a chunk of 4096 bytes`, frameBytes)
  }
  const given = options.packetsPerSecond
  if (given !== undefined) between('packetsPerSecond', given)
  if (given === undefined && options.lineBitsPerSecond === undefined) throw invalid('packetsPerSecond', 'a rate, or lineBitsPerSecond to be given', given)
  const lineBitsPerSecond =
    options.lineBitsPerSecond ?? LINE_SPEEDS.find((speed) => lineRate(speed, frameBytes) >= (given as number) * (1 - 1e-3)) ?? (LINE_SPEEDS.at(-1) as number)
  between('lineBitsPerSecond', lineBitsPerSecond)
  const linePacketsPerSecond = lineRate(lineBitsPerSecond, frameBytes)
  // 14.88 Mpps is 10G, though that is 14.8809… million.
  const packetsPerSecond = given ?? linePacketsPerSecond
  if (packetsPerSecond > linePacketsPerSecond * (1 + 1e-3)) {
    throw invalid(
      'packetsPerSecond',
      `at most ${Math.floor(linePacketsPerSecond)} packets a second, what the line carries of frames of ${frameBytes} bytes`,
      packetsPerSecond,
    )
  }
  const burstMs = between('burstMs', options.burstMs ?? 1)
  const isFull = packetsPerSecond >= linePacketsPerSecond * (1 - 1e-3)
  return {
    packetsPerSecond,
    lineBitsPerSecond,
    linePacketsPerSecond: Math.max(packetsPerSecond, linePacketsPerSecond),
    frameBytes,
    holdMs: between('holdMs', options.holdMs ?? 100),
    // A line that is always full has no bursts.
    burstMs: isFull ? 0 : burstMs,
    cores: whole('cores', options.cores),
    memoryBytes: between('memoryBytes', options.memoryBytes),
    handlerNs: between('handlerNs', options.handlerNs ?? 0),
    load: between('load', options.load ?? 0.8),
    pageSizeBytes: between('pageSizeBytes', options.pageSizeBytes ?? 4096),
  }
}

type Bounded = keyof typeof SIZE_BOUNDS

function whole(option: Bounded, value: number): number {
  const [min, max] = SIZE_BOUNDS[option]
  if (Number.isInteger(value)) return between(option, value)
  throw invalid(option, `a whole number from ${min} to ${max}`, value)
}

function between(option: Bounded, value: number): number {
  const [min, max] = SIZE_BOUNDS[option]
  if (value >= min && value <= max) return value
  throw invalid(option, `${min} to ${max}`, value)
}

function invalid(option: string, expected: string, got: unknown): CaptureError {
  return new CaptureError('INVALID_OPTION', `Expected ${option} to be ${expected}, got ${got} (${typeof got})`)
}

function percent(part: number): string {
  return `${Math.round(part * 100)} %`
}

function millions(packets: number): string {
  return `${(packets / 1e6).toPrecision(3)} million`
}

function mebibytes(bytes: number): string {
  return `${Math.round(bytes / 2 ** 20)} MiB`
}
