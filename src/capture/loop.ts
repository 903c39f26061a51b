/**
 * The loop of a worker: take a block, walk it, give it back, publish the counters; wait when there is nothing. Hot: per packet
 * no allocation and no call but the handler's. Measured by bench/walk: 4 to 6 ns a packet to count or to hand one to an empty
 * handler, what the C twin of the walk takes; everything else is once a block, about 1 us.
 */

import type { Handler } from '../handler.js'
import { TPACKET3_HDR } from '../kernel/abi/if_packet.js'
import { POLLERR, POLLFD, POLLHUP, POLLIN, POLLNVAL } from '../kernel/abi/process.js'
import type { Kernel } from '../kernel/system.js'
import { threadCpuTime } from '../kernel/thread.js'
import type { Block } from '../packet/block.js'
import { BlockPacketView } from '../packet/view.js'
import type { Source } from '../source/source.js'
import { consumedOf, placedOf, storeStatistics } from './account.js'
import { type Budget, type Control, RUN, STOP } from './control.js'
import { COUNTER, type CounterWriter, monotonicMs } from './counters.js'
import type { GivenUp } from './given-up.js'
import type { InterfaceWatch } from './interface-watch.js'

const SNAPLEN = TPACKET3_HDR.tp_snaplen / 4
const LEN = TPACKET3_HDR.tp_len / 4

/** How long poll(2) waits at the most: also how soon a missing event is noticed. */
const POLL_MS = 100
const STATISTICS_INTERVAL_MS = 100
/** What is in the ring when a capture is stopped is delivered for so long; the rest is counted as `unread`. */
const DRAIN_MS = 25
/** What says that more will come soon: then a reader lets packets gather (`coalesceMs`) instead of waking for each handful. */
const BUSY_PACKETS_PER_MS = 32
const BUSY_PACKETS = 8
/** After so many polls that say ready without a ready block, the ring is searched. */
const STALL_POLLS = 3

/** Takes the packets of each block, and counts them. */
export interface BlockRecorder {
  record(block: Block, packets: number): void
  /** Called each time that there is nothing to read, with performance.now(). */
  tick(now: number): void
  /** Has work left for the next tick: the loop does not wait. */
  readonly isBusy?: boolean
  /** Where it must be called sooner than every 100 ms. */
  readonly tickMs?: number
  /** The last call. */
  flush(): void
}

export interface LoopContext {
  kernel: Kernel
  source: Source
  /** Readable when there is something in `control`. */
  wakeFd: number
  control: Control
  counters: CounterWriter
  budget: Budget | undefined
  /** Neither `packet` nor `block`: packets are only counted, or recorded. */
  handler: Handler
  state: unknown
  watch: InterfaceWatch
  answerSnapshot: (asked: number) => void
  /** Gets the packets that the handler has been given, and counts them. */
  recorder?: BlockRecorder | undefined
  /** Is told what the handler has, to know what it can give up. */
  givenUp?: GivenUp | undefined
  /** Reads what the main thread has told the recorder. */
  takeOrders?: (() => void) | undefined
}

export type LoopEnd = 'stopped' | 'count'

export class Loop {
  readonly #context: LoopContext
  readonly #view = new BlockPacketView()
  readonly #pollfds = new Uint8Array(2 * POLLFD.sizeof)
  readonly #poll = new DataView(this.#pollfds.buffer)
  /** The second of them alone. */
  readonly #wakeOnly = new Uint8Array(this.#pollfds.buffer, POLLFD.sizeof)
  readonly #wake = new Uint8Array(8)
  /** Packets taken from the source, whatever became of them. */
  #consumed = 0
  /** `#consumed` before the block that has not been released. */
  #released = 0
  #lastStatistics = 0
  /** When the last wait ended, and `#consumed` then. */
  #awakeSince = 0
  #consumedBefore = 0
  #stalledPolls = 0
  /** Packets of the present block that the handler has been given. */
  #handed = 0
  /** Snapshots. NB: from 0, not from what has been asked so far: that may have been after `ready` and before `run`, and wants an answer. */
  #answered = 0
  #ordered = 0

  constructor(context: LoopContext) {
    this.#context = context
    this.#poll.setInt32(POLLFD.fd, context.source.fd, true)
    this.#poll.setInt16(POLLFD.events, POLLIN, true)
    this.#poll.setInt32(POLLFD.sizeof + POLLFD.fd, context.wakeFd, true)
    this.#poll.setInt16(POLLFD.sizeof + POLLFD.events, POLLIN, true)
    // A worker that took over from another starts from its counts.
    this.#consumed = consumedOf(context.counters.values)
    this.#released = this.#consumed
  }

  /** Runs until it is told to stop, or the budget is used up. Throws what the handler throws, with the counters right. */
  run(): LoopEnd {
    const { source, control, counters, budget, handler, recorder } = this.#context
    const handles = handler.packet !== undefined || handler.block !== undefined || recorder !== undefined
    for (;;) {
      if (control.command() !== RUN) return 'stopped'
      const block = source.peek()
      if (block === undefined) {
        this.#answer()
        if (budget?.exhausted() === true) return 'count'
        this.#wait()
        continue
      }
      const count = block.packetCount
      const granted = budget === undefined ? count : budget.claim(count)
      if (handles) control.markBlockInHand(source.inHand())
      const now = this.#deliver(block, granted)
      if (granted < count) return 'count'
      this.#release()
      if (handles) control.markBlockInHand(0)
      if (now - this.#lastStatistics >= STATISTICS_INTERVAL_MS) this.#readStatistics(now)
      counters.publish()
      this.#answer()
    }
  }

  /** NB: only while no block is out. A handler may throw here, and a block of chunks that was peeked once is not as it was for who takes over. */
  #answer(): void {
    const { control, answerSnapshot } = this.#context
    this.#takeOrders()
    if (control.snapshotsAsked() === this.#answered) return
    this.#answered = control.snapshotsAsked()
    answerSnapshot(this.#answered)
  }

  #takeOrders(): void {
    const { control, takeOrders } = this.#context
    if (takeOrders === undefined || control.orders() === this.#ordered) return
    this.#ordered = control.orders()
    takeOrders()
  }

  /** Leaves everything as it is to a worker that takes over, and tells what has been counted. */
  leave(): void {
    const { control, counters, recorder } = this.#context
    recorder?.flush()
    control.markCountedOfBlock(this.#consumed - this.#released)
    counters.publish()
  }

  /**
   * Closes the gate and settles the account: what the kernel put into the ring or the buffer before the gate closed is
   * delivered for a bounded time (`deliverRest`), the rest is counted as `unread`. Afterwards packets + drops = offered.
   */
  settle(deliverRest: boolean): void {
    const { kernel, source, counters, control, budget } = this.#context
    source.account.closeGate()
    // One that came right before the end is carried out as well.
    this.#takeOrders()
    this.#readStatistics(performance.now())
    const values = counters.values
    const placed = placedOf(values)
    const deadline = performance.now() + DRAIN_MS
    while (deliverRest && control.command() <= STOP && this.#consumed < placed && performance.now() < deadline) {
      const block = source.peek() ?? source.peekUnfinished(placed - this.#consumed)
      if (block === undefined) {
        if (source.left() === 0) break
        kernel.poll(this.#pollfds, 1, 1)
        continue
      }
      const count = block.packetCount
      const granted = budget === undefined ? count : budget.claim(count)
      this.#deliver(block, granted)
      if (granted < count || this.#consumed >= placed) break
      this.#release()
    }
    const rest = Math.max(0, placed - this.#consumed)
    // What can be read is all that came; the program sent more, but the kernel gave it to no socket.
    const left = source.left()
    const unread = left === undefined ? rest : Math.min(rest, Math.max(0, left - (this.#consumed - this.#released)))
    values[COUNTER.dropUnread] = (values[COUNTER.dropUnread] as number) + unread
    values[COUNTER.dropRedirect] = rest - unread
    this.#context.recorder?.flush()
    values[COUNTER.handlerSinceMs] = 0
    counters.publish()
  }

  #release(): void {
    this.#released = this.#consumed
    this.#context.source.release()
  }

  /** Hands `limit` packets of a block over; answers the time after it, in milliseconds of performance.now(). */
  #deliver(block: Block, limit: number): number {
    const { handler, state, counters, recorder } = this.#context
    const values = counters.values
    values[COUNTER.blocks] = (values[COUNTER.blocks] as number) + 1
    if (handler.packet === undefined && handler.block === undefined) {
      if (recorder === undefined) this.#count(block, limit)
      else this.#record(recorder, block, limit)
      return performance.now()
    }
    const before = performance.now()
    counters.publishHandlerSince(Date.now())
    let after = before
    this.#handed = 0
    try {
      if (handler.block !== undefined) this.#deliverBlock(block, limit, handler.block, state)
      else this.#deliverPackets(block, limit, handler.packet as (packet: BlockPacketView, state: unknown) => void, state)
    } finally {
      after = performance.now()
      values[COUNTER.handlerSinceMs] = 0
      const took = (after - before) * 1000
      if (took > (values[COUNTER.handlerMaxUs] as number)) values[COUNTER.handlerMaxUs] = took
      if (recorder !== undefined) {
        // From here on it is the disk that takes time.
        counters.publishHandlerSince(0)
        this.#record(recorder, block, this.#handed)
      }
    }
    return after
  }

  /** What is recorded counts when it is written. */
  #record(recorder: BlockRecorder, block: Block, packets: number): void {
    recorder.record(block, packets)
    this.#consumed += packets
  }

  #count(block: Block, limit: number): void {
    const { totals } = block
    if (totals !== undefined) {
      totals.measure(limit)
      this.#add(limit, totals.bytes, totals.truncated)
      return
    }
    const words = block.words32
    let at = block.firstOffset >>> 2
    let bytes = 0
    let truncated = 0
    for (let i = 0; i < limit; i++) {
      const length = words[at + LEN] as number
      bytes += length
      if ((words[at + SNAPLEN] as number) < length) truncated++
      at += (words[at] as number) >>> 2
    }
    this.#add(limit, bytes, truncated)
  }

  #add(packets: number, bytes: number, truncated: number): void {
    const values = this.#context.counters.values
    values[COUNTER.packets] = (values[COUNTER.packets] as number) + packets
    values[COUNTER.bytes] = (values[COUNTER.bytes] as number) + bytes
    values[COUNTER.truncated] = (values[COUNTER.truncated] as number) + truncated
    this.#consumed += packets
  }

  #deliverPackets(block: Block, limit: number, packet: (packet: BlockPacketView, state: unknown) => void, state: unknown): void {
    const { givenUp } = this.#context
    const view = this.#view
    view.enter(block)
    view.header = block.firstOffset
    givenUp?.enterPackets(block, view)
    const words = block.words32
    let header = block.firstOffset
    let bytes = 0
    let truncated = 0
    let done = 0
    try {
      for (; done < limit; done++) {
        const at = header >>> 2
        const length = words[at + LEN] as number
        view.header = header
        packet(view, state)
        bytes += length
        if ((words[at + SNAPLEN] as number) < length) truncated++
        header += words[at] as number
      }
    } finally {
      this.#handed = done
      givenUp?.leavePackets(limit)
      if (this.#context.recorder === undefined) this.#add(done, bytes, truncated)
      if (done < limit) this.#handlerThrew(limit - done)
    }
  }

  #deliverBlock(block: Block, limit: number, deliver: (block: Block, state: unknown) => void, state: unknown): void {
    const count = block.packetCount
    block.packetCount = limit
    this.#context.givenUp?.enterBlock(limit)
    let done = false
    try {
      if (limit > 0) deliver(block, state)
      done = true
    } finally {
      block.packetCount = count
      if (!done) this.#handlerThrew(limit)
      else if (this.#context.recorder === undefined) this.#count(block, limit)
      else this.#handed = limit
    }
  }

  /** The rest of the block was not handed over. What the handler had given up of it stands in its drop already. */
  #handlerThrew(packets: number): void {
    const { counters, givenUp, recorder } = this.#context
    const values = counters.values
    const twice = givenUp?.takeBack(packets) ?? 0
    const counted = recorder === undefined ? COUNTER.packets : COUNTER.pending
    values[counted] = (values[counted] as number) + twice
    values[COUNTER.dropHandler] = (values[COUNTER.dropHandler] as number) + packets - twice
    this.#consumed += packets
  }

  #readStatistics(now: number): void {
    const { kernel, source, counters } = this.#context
    const values = counters.values
    const accountAtMs = monotonicMs()
    storeStatistics(values, source.account.read())
    values[COUNTER.accountAtMs] = accountAtMs
    const cpu = threadCpuTime(kernel)
    values[COUNTER.cpuUserUs] = cpu.userMs * 1000
    values[COUNTER.cpuSystemUs] = cpu.systemMs * 1000
    this.#lastStatistics = now
  }

  #wait(): void {
    const { kernel, source, counters, wakeFd, watch, recorder } = this.#context
    const now = performance.now()
    recorder?.tick(now)
    if (now - this.#lastStatistics >= STATISTICS_INTERVAL_MS) this.#readStatistics(now)
    counters.publish()
    const error = source.takeError()
    if (error !== 0) watch.socketError(-error)
    if (recorder?.isBusy === true) return
    if (source.coalesceMs > 0) {
      const consumed = this.#consumed - this.#consumedBefore
      const isBusy = consumed >= BUSY_PACKETS && consumed >= BUSY_PACKETS_PER_MS * (now - this.#awakeSince)
      this.#consumedBefore = this.#consumed
      if (isBusy) {
        // Not asked about the socket, the kernel wakes nobody for every few packets: on two cores that is worth 40 % of the rate.
        if (kernel.poll(this.#wakeOnly, 1, source.coalesceMs) > 0) kernel.read(wakeFd, this.#wake)
        watch.tick()
        this.#awakeSince = performance.now()
        return
      }
    }
    const ready = kernel.poll(this.#pollfds, 2, recorder?.tickMs ?? POLL_MS)
    this.#awakeSince = performance.now()
    watch.tick()
    if (ready <= 0) return
    if (this.#poll.getInt16(POLLFD.sizeof + POLLFD.revents, true) !== 0) kernel.read(wakeFd, this.#wake)
    const events = this.#poll.getInt16(POLLFD.revents, true)
    if ((events & (POLLERR | POLLHUP | POLLNVAL)) !== 0) watch.pendingError()
    if ((events & POLLIN) === 0 || source.peek() !== undefined) {
      this.#stalledPolls = 0
      return
    }
    // Ready, yet nothing at our place: search the ring, and if it is empty do not spin.
    if (++this.#stalledPolls >= STALL_POLLS) {
      if (source.resync()) this.#stalledPolls = 0
      else kernel.poll(this.#wakeOnly, 1, 1)
    }
  }
}
