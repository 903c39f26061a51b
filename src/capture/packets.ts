/** `packets()`: the slow path, one owned packet after another on the main thread. */
import { setImmediate } from 'node:timers/promises'
import { CaptureError } from '../errors.js'
import { createPacketQueue, PACKET_QUEUE, type PacketQueueMemory, RECORD } from '../handlers/packet-queue.js'
import type { PacketsHandlerData } from '../handlers/packets.js'
import { onAbort } from './abort.js'
import type { Capture, CaptureOptions, CaptureSummary } from './api.js'
import { type ClosableIterator, type Closing, closable } from './closable.js'
import type { Ledger } from './ledger.js'
import { openCaptureFor } from './open.js'
import { checkSignal, object } from './plan.js'

/** A packet of one's own. */
export interface Packet {
  /** The frame, its VLAN tag where the wire had it. */
  bytes: Uint8Array<ArrayBuffer>
  /** Bytes on the wire, the VLAN tag counted, without FCS. */
  wireLength: number
  /** Time stamp: seconds since 1970 and nanoseconds. */
  seconds: number
  nanoseconds: number
  /** `sll_pkttype`; 4 is outgoing. */
  packetType: number
  interfaceIndex: number
  /** -1 without a tag. */
  vlanId: number
  /**
   * Packets lost since the one before, wherever they were lost: those given up here are counted at their exact place, those
   * that the kernel dropped when its counter shows them. Added up over all packets, with what the summary has left, nothing is missing.
   */
  droppedBefore: number
}

export interface PacketsOptions extends Omit<CaptureOptions, 'handler' | 'handlerData'> {
  /**
   * When the consumer is slower than the packets: `drop` gives new ones up and counts them as `consumer`; `wait` leaves them in
   * the ring, until that is full and the kernel drops and counts. Default `drop`.
   */
  whenFull?: 'drop' | 'wait'
  /** Packets waiting for the consumer, in bytes a worker, rounded up to a power of two. Default 16 MiB. */
  queueBytes?: number
}

export interface Packets extends ClosableIterator<Packet> {
  /** Settles when the iterator has ended; rejects with what kept the capture from opening, an abort among it, or ended it. Packets that were queued and never taken stand in `drops.consumer`. */
  readonly summary: Promise<CaptureSummary>
  /** Where every packet went until now, as of a capture; undefined before it is open. */
  ledger(): Ledger | undefined
}

const DEFAULT_QUEUE_BYTES = 16 * 2 ** 20
const MIN_QUEUE_BYTES = 2 ** 20
const MAX_QUEUE_BYTES = 2 ** 30
/** Packets taken from one worker before the next has its turn and the kernel's counters are looked at. */
const TURN_PACKETS = 256
/** A consumer that never waits runs in microtasks alone: so often timers, signals and other work of this thread come in between. */
const GIVE_WAY_MS = 10

/**
 * Captures packets as an async iterator of owned copies. The capture opens with the first `next()`. With several workers, order
 * holds within each worker only. `count` is the number of packets that the iterator yields. `return()` and dispose end it at once, also
 * while a `next()` waits.
 * @throws CaptureError from the first `next()`, or later from the one that meets it.
 */
export function packets(options: PacketsOptions): Packets {
  return packetsWith(openCaptureFor, options)
}

/** The same with what opens the capture, for tests. */
export function packetsWith(open: typeof openCaptureFor, options: PacketsOptions): Packets {
  let settle: (summary: CaptureSummary) => void = () => {}
  let fail: (error: unknown) => void = () => {}
  const summary = new Promise<CaptureSummary>((resolve, reject) => {
    settle = resolve
    fail = reject
  })
  summary.catch(() => {})
  const held: { capture?: Capture } = {}
  const iterator = closable<Packet>((closing) => {
    // Closed before the first `next()`, the generator never begins.
    closing.wake = () => fail(closedError())
    return iterate(open, options, held, settle, fail, closing)
  })
  return Object.assign(iterator, { summary, ledger: () => held.capture?.ledger() })
}

/** What the summary of an iterator rejects with that was left before its capture was open. */
function closedError(): DOMException {
  return new DOMException('The iterator was closed before its capture was open', 'AbortError')
}

async function* iterate(
  open: typeof openCaptureFor,
  options: PacketsOptions,
  held: { capture?: Capture },
  settle: (summary: CaptureSummary) => void,
  fail: (error: unknown) => void,
  closing: Closing,
): AsyncGenerator<Packet, undefined, undefined> {
  // Of the capture: aborted by the signal of the options, and by a close while it opens.
  const end = new AbortController()
  closing.wake = () => end.abort(closedError())
  let unlisten = () => {}
  let capture: Capture | undefined
  let readers: QueueReader[] = []
  let ended = false
  let yielded = 0
  let counted = false
  let failure: unknown
  let timer: NodeJS.Timeout | undefined
  const endWaiting = () => {
    for (const reader of readers) reader.close()
  }
  try {
    const { whenFull = 'drop', queueBytes = DEFAULT_QUEUE_BYTES, count, ...rest } = object('packets()', options)
    if (whenFull !== 'drop' && whenFull !== 'wait')
      throw new CaptureError('INVALID_OPTION', `Expected the option whenFull to be one of drop, wait, got '${String(whenFull)}'`)
    if (!Number.isInteger(queueBytes) || queueBytes < MIN_QUEUE_BYTES || queueBytes > MAX_QUEUE_BYTES) {
      throw new CaptureError(
        'INVALID_OPTION',
        `Expected the option queueBytes to be an integer from ${MIN_QUEUE_BYTES} to ${MAX_QUEUE_BYTES}, got ${queueBytes}`,
      )
    }
    for (const name of ['handler', 'handlerData']) {
      if (Object.hasOwn(rest, name)) throw new CaptureError('INVALID_OPTION', `Unknown option ${name}: packets() has a handler of its own`)
    }
    if (count !== undefined && !(Number.isInteger(count) && count > 0)) {
      throw new CaptureError('INVALID_OPTION', `Expected the option count to be a positive integer, got ${count} (${typeof count})`)
    }
    const bell = new SharedArrayBuffer(8)
    const bellWords = new Int32Array(bell)
    const { durationMs, signal } = rest
    checkSignal(signal)
    unlisten = onAbort(signal, () => {
      end.abort(signal?.reason)
      endWaiting()
    })
    if (end.signal.aborted) return
    const handlerData = (workers: number): PacketsHandlerData => {
      const queues = Array.from({ length: workers }, () => createPacketQueue(queueBytes))
      readers = queues.map((queue) => new QueueReader(queue))
      return { queues, bell, whenFull }
    }
    const handler = new URL('../handlers/packets.js', import.meta.url)
    const opened = await open({ ...rest, handler, signal: end.signal }, handlerData)
    capture = opened
    held.capture = opened
    // NB: no race with a promise for the end, which would keep a reaction of every wait.
    const wake = () => Atomics.notify(bellWords, 0)
    const over = () => {
      ended = true
      wake()
    }
    opened.finished.then(over, over)
    closing.wake = wake
    // Once the capture is to end, a worker waits for nobody: what has no more room is counted.
    if (end.signal.aborted) endWaiting()
    if (durationMs !== undefined) timer = setTimeout(endWaiting, durationMs)
    let lostInKernel = 0
    let gaveWayAt = performance.now()
    while (!closing.isClosed) {
      const wasEnded = ended
      let took = 0
      // What the kernel has dropped up to now is told by the next packet.
      const { drops } = opened.counters()
      const lost = Object.values(drops).reduce((a, b) => a + b, 0) - drops.consumer
      let droppedBefore = lost - lostInKernel
      for (const reader of readers) {
        for (let turn = 0; turn < TURN_PACKETS; turn++) {
          const packet = reader.take()
          if (packet === undefined) break
          took++
          packet.droppedBefore += droppedBefore
          lostInKernel += droppedBefore
          droppedBefore = 0
          yielded++
          counted = yielded === count
          yield packet
          if (counted || closing.isClosed) return
        }
      }
      if (took === 0) {
        if (wasEnded) return
        await bellRung(bellWords, readers)
      }
      if (performance.now() - gaveWayAt >= GIVE_WAY_MS) {
        await setImmediate()
        gaveWayAt = performance.now()
      }
    }
  } catch (error) {
    // Aborted while it opened: as if it had been just after.
    if (capture === undefined && end.signal.aborted && error === end.signal.reason) return
    failure = error
    throw error
  } finally {
    clearTimeout(timer)
    unlisten()
    endWaiting()
    // An error of the capture ends the iteration with it.
    if (capture === undefined) fail(failure ?? end.signal.reason)
    else await finish(capture, readers, counted, settle, fail)
  }
}

async function finish(
  capture: Capture,
  readers: QueueReader[],
  counted: boolean,
  settle: (summary: CaptureSummary) => void,
  fail: (error: unknown) => void,
): Promise<void> {
  try {
    const summary = await capture.stop()
    const left = readers.map((reader) => reader.countLeft())
    const total = left.reduce((a, b) => a + b, 0)
    settle({
      ...summary,
      reason: counted ? 'count' : summary.reason,
      packets: summary.packets - total,
      dropped: summary.dropped + total,
      drops: { ...summary.drops, consumer: summary.drops.consumer + total },
      workers: summary.workers.map((worker, index) => {
        const mine = left[index] as number
        const drops = { ...worker.drops, consumer: worker.drops.consumer + mine }
        return { ...worker, packets: worker.packets - mine, dropped: worker.dropped + mine, drops }
      }),
    })
  } catch (error) {
    fail(error)
    throw error
  }
}

/** Waits until a worker has queued something, or someone here notifies the bell. */
async function bellRung(bell: Int32Array, readers: QueueReader[]): Promise<void> {
  const heard = Atomics.load(bell, 0)
  Atomics.store(bell, 1, 1)
  // Queued between the last look and the flag: nobody would ring for that.
  if (readers.some((reader) => reader.hasSome())) return
  const wait = Atomics.waitAsync(bell, 0, heard, 1000)
  if (wait.async) await wait.value
}

/** The main thread's side of a queue that handlers/packets.ts writes. */
export class QueueReader {
  readonly #words: Int32Array
  readonly #unsigned: Uint32Array
  readonly #bytes: Uint8Array
  readonly #size: number
  #tail: number

  constructor({ memory, sizeBytes }: PacketQueueMemory) {
    this.#words = new Int32Array(memory)
    this.#unsigned = new Uint32Array(memory)
    this.#bytes = new Uint8Array(memory)
    this.#size = sizeBytes
    this.#tail = Atomics.load(this.#words, PACKET_QUEUE.tail) >>> 0
  }

  hasSome(): boolean {
    return Atomics.load(this.#words, PACKET_QUEUE.head) >>> 0 !== this.#tail
  }

  take(): Packet | undefined {
    if (!this.#skipGap()) return undefined
    const at = PACKET_QUEUE.data + (this.#tail & (this.#size - 1))
    const field = (name: keyof typeof RECORD) => this.#unsigned[(at + RECORD[name]) >>> 2] as number
    const bytes = new Uint8Array(field('length'))
    bytes.set(this.#bytes.subarray(at + RECORD.sizeof, at + RECORD.sizeof + bytes.length))
    const packet: Packet = {
      bytes,
      wireLength: field('wireLength'),
      seconds: field('seconds'),
      nanoseconds: field('nanoseconds'),
      packetType: field('packetType'),
      interfaceIndex: field('interfaceIndex'),
      vlanId: field('vlanId') | 0,
      droppedBefore: field('droppedBefore'),
    }
    this.#release(field('total'))
    return packet
  }

  /** Counts what was queued and not taken, by taking it away. */
  countLeft(): number {
    let left = 0
    for (; this.#skipGap(); left++) this.#release(this.#unsigned[(PACKET_QUEUE.data + (this.#tail & (this.#size - 1))) >>> 2] as number)
    return left
  }

  close(): void {
    Atomics.store(this.#words, PACKET_QUEUE.closed, 1)
    Atomics.notify(this.#words, PACKET_QUEUE.tail)
  }

  /** Moves to the next record; false when there is none. */
  #skipGap(): boolean {
    if (!this.hasSome()) return false
    const place = this.#tail & (this.#size - 1)
    if (this.#unsigned[(PACKET_QUEUE.data + place) >>> 2] === 0) this.#tail = (this.#tail + this.#size - place) >>> 0
    return this.hasSome()
  }

  #release(total: number): void {
    this.#tail = (this.#tail + total) >>> 0
    // The record was copied before the worker may write over it.
    Atomics.store(this.#words, PACKET_QUEUE.tail, this.#tail | 0)
    Atomics.notify(this.#words, PACKET_QUEUE.tail)
  }
}
