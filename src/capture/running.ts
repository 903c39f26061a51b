/** A capture that runs: its counters as seen from the main thread, and every way in which it ends. */
import { CaptureError } from '../errors.js'
import { fileFailed } from '../file/file-failed.js'
import type { Handler } from '../handler.js'
import { EPIPE } from '../kernel/errno.js'
import type { Kernel } from '../kernel/system.js'
import { onAbort } from './abort.js'
import type {
  Capture,
  CaptureCounters,
  CaptureEvent,
  CapturePlan,
  CaptureStats,
  CaptureSummary,
  Drops,
  TriggeredFile,
  WorkerCounters,
  XdpInForce,
} from './api.js'
import type { ClosableIterator } from './closable.js'
import { ABANDON, STOP } from './control.js'
import { COUNTER, readCounters } from './counters.js'
import type { InterfaceTotals } from './file-facts.js'
import type { Ledger } from './ledger.js'
import type { LedgerBook } from './ledger-book.js'
import type { Recording } from './recording.js'
import { CaptureEnd, statsOf } from './stats.js'
import type { TimeMachine } from './time-machine.js'
import type { WorkerEnd, WorkerThread } from './worker-thread.js'

/** A handler that does not come back is left to itself after so long, and its thread ended. */
export const HANDLER_PATIENCE_MS = 5000
/** The same for a write: a disk may have minutes of work before it. */
const WRITE_PATIENCE_MS = 120_000
const LOOK_MS = 1000

export interface RunningParts {
  kernel: Kernel
  plan: CapturePlan
  handler: Handler
  threads: WorkerThread[]
  counters: SharedArrayBuffer
  recording: Recording | undefined
  timeMachine: TimeMachine | undefined
  signal: AbortSignal | undefined
  onEvent: ((event: CaptureEvent) => void) | undefined
  /** Packets that the interfaces themselves lost since the capture began. */
  interfaceDrops: () => number
  /** How AF_XDP captures each interface; undefined for packet sockets. */
  xdp: ({ interface: string } & XdpInForce)[] | undefined
  /** Packets of queues without a worker. */
  passed: () => number
  filtered: () => number
  book: LedgerBook
  /** Reads what only counts on, now that no socket takes anything; called by the last worker that ended as it should. */
  settle: () => void
  /** Called once a second: whether something has changed that nobody tells. What it answers ends the capture. */
  look: (() => CaptureError | undefined) | undefined
  /** Closes what the workers used; called once, after the last of them. */
  release: () => void
}

export class RunningCapture implements Capture {
  readonly plan: CapturePlan
  readonly #finished: Promise<CaptureSummary>
  readonly #parts: RunningParts
  readonly #startedAt = performance.now()
  readonly #cpuAtStart = process.cpuUsage()
  readonly #timer: NodeJS.Timeout | undefined
  readonly #looking: NodeJS.Timeout
  readonly #unlisten: () => void
  readonly #ending = new CaptureEnd()
  #reason: CaptureSummary['reason'] | undefined
  #error: CaptureError | undefined
  #errorSeen = false
  #seconds: number | undefined
  #final: CaptureSummary | undefined
  #patience: NodeJS.Timeout | undefined

  constructor(parts: RunningParts) {
    this.#parts = parts
    this.plan = parts.plan
    for (const thread of parts.threads) {
      thread.onEvent = (event) => this.#interfaceEvent(thread, event)
      thread.onWriteError = (errno) => this.#writeError(thread, errno)
      thread.onEnding = (end) => this.#workerEnded(end)
      thread.onReplaced = (error) => parts.onEvent?.({ type: 'worker-replaced', interface: thread.data.interfaceName, worker: thread.data.worker, error })
    }
    if (parts.recording !== undefined) {
      parts.recording.totalsOf = (place, worker) => this.#totalsOf(place, worker)
      parts.recording.onFull = () => this.#end('files')
      parts.recording.onComplete = () => {
        this.#final = this.#summary()
        this.#ending.happen()
      }
    }
    const { timeMachine } = parts
    if (timeMachine !== undefined) timeMachine.totalsOf = (place) => this.#totalsOf(place, undefined)
    this.#finished = Promise.all(parts.threads.map((thread) => thread.ended)).then(async () => {
      for (const thread of parts.threads) thread.settleRecords()
      this.#close()
      await parts.recording?.finish()
      await timeMachine?.finish()
      this.#final = this.#summary()
      this.#ending.happen()
      if (this.#error !== undefined) throw this.#error
      return this.#final
    })
    // An error is told by stats(), stop(), finished or dispose, whichever is used; none of them need be.
    this.#finished.catch(() => {})
    // One may have ended while another was still loading its handler.
    for (const { end } of parts.threads) if (end !== undefined) this.#workerEnded(end)
    if (parts.plan.durationMs !== undefined) this.#timer = setTimeout(() => this.#end('duration'), parts.plan.durationMs)
    this.#looking = setInterval(() => this.#look(), LOOK_MS).unref()
    this.#unlisten = onAbort(parts.signal, () => this.#end('aborted'))
  }

  get finished(): Promise<CaptureSummary> {
    this.#errorSeen = true
    return this.#finished
  }

  summary(): CaptureSummary | undefined {
    return this.#final
  }

  counters(): CaptureCounters {
    const { counters } = this.#parts
    const seconds = this.#seconds ?? (performance.now() - this.#startedAt) / 1000
    const workers = this.#parts.threads.map(({ data }) => workerCounters(readCounters(counters, data.worker), data.worker, data.interfaceName, data.cpu))
    const sum = (of: (w: WorkerCounters) => number) => workers.reduce((total, worker) => total + of(worker), 0)
    const drops = Object.fromEntries(Object.keys(noDrops()).map((name) => [name, sum((w) => w.drops[name as keyof Drops])])) as unknown as Drops
    return {
      seconds,
      packets: sum((w) => w.packets),
      bytes: sum((w) => w.bytes),
      offered: sum((w) => w.offered),
      drops,
      dropped: sum((w) => w.dropped),
      freezes: sum((w) => w.freezes),
      truncated: sum((w) => w.truncated),
      writtenPackets: sum((w) => w.writtenPackets),
      writtenBytes: sum((w) => w.writtenBytes),
      workers,
      passed: this.#parts.passed(),
      filtered: this.#parts.filtered(),
      interfaceDrops: this.#parts.interfaceDrops(),
    }
  }

  ledger(): Ledger {
    // Before the counters: they have at least what had come until then.
    const accountsAtMs = this.#accountsAtMs()
    return this.#parts.book.ledger(this.counters(), accountsAtMs)
  }

  #accountsAtMs(): number[] {
    const { threads, counters } = this.#parts
    return threads.map(({ data }) => readCounters(counters, data.worker)[COUNTER.accountAtMs] as number)
  }

  stats(options: { intervalMs?: number } = {}): ClosableIterator<CaptureStats> {
    return statsOf({ counters: () => this.counters(), end: this.#ending, error: () => this.#tellError() }, options)
  }

  /** The error that ended the capture, to be thrown. */
  #tellError(): CaptureError | undefined {
    this.#errorSeen ||= this.#error !== undefined
    return this.#error
  }

  async snapshot<T = unknown>(): Promise<T | undefined> {
    const { handler, threads } = this.#parts
    if (handler.snapshot === undefined) return undefined
    const snapshots = (await Promise.all(threads.map((thread) => thread.snapshots()))).flat()
    if (snapshots.length <= 1) return snapshots[0] as T | undefined
    const merge = handler.merge
    if (merge === undefined) {
      throw new CaptureError('HANDLER_FAILED', `the handler has no merge, and there are ${snapshots.length} snapshots`, {
        hint: 'add merge(a, b), or capture with one worker',
      })
    }
    const [first, ...others] = snapshots
    return others.reduce<unknown>((a, b) => merged(merge, a, b), first) as T
  }

  stop(): Promise<CaptureSummary> {
    this.#end('stopped')
    return this.finished
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const seen = this.#errorSeen
    this.#end('stopped')
    try {
      await this.#finished
    } catch (error) {
      if (!seen) throw error
    }
  }

  #end(reason: CaptureSummary['reason']): void {
    if (this.#reason !== undefined) return
    this.#reason = reason
    const isEnough = reason === 'count' || reason === 'files' || reason === 'reader'
    const send = () => {
      // The worker that had enough has closed its socket already.
      if (reason !== 'count') this.#parts.book.closing()
      for (const thread of this.#parts.threads) thread.send(isEnough ? ABANDON : STOP)
      this.#watchHandlers()
      this.#hurryPipes()
    }
    const ordering = this.#parts.timeMachine?.ending()
    if (ordering === undefined) send()
    else void ordering.then(send)
  }

  /** Workers that wait for the reader of a pipe are not waited for. */
  #hurryPipes(): void {
    const isOver = () => this.#parts.threads.every(({ end }) => end !== undefined)
    void this.#parts.recording?.hurryPipes(isOver, (path, error) => this.#parts.onEvent?.({ type: 'write-error', path, error, outlook: 'over' }))
  }

  /** A handler that never returns cannot be asked to stop. */
  #watchHandlers(waitedMs = 0): void {
    this.#patience = setTimeout(() => {
      const { threads, counters, recording, timeMachine } = this.#parts
      const waited = waitedMs + HANDLER_PATIENCE_MS
      for (const thread of threads) {
        if (thread.end !== undefined) continue
        const isWriting = (recording ?? timeMachine) !== undefined && readCounters(counters, thread.data.worker)[COUNTER.handlerSinceMs] === 0
        if (isWriting && waited < WRITE_PATIENCE_MS) continue
        const who = isWriting ? `writing ${this.#pathOf(thread)}` : 'the handler'
        const error = new CaptureError('WORKER_FAILED', `worker ${thread.data.worker}: ${who} has not returned for ${waited} ms`, {
          hint: 'its thread was ended; packets that it had not read are lost and not counted',
        })
        this.#error ??= error
        void thread.terminate()
      }
      if (threads.some(({ end }) => end === undefined)) this.#watchHandlers(waited)
    }, HANDLER_PATIENCE_MS)
    this.#patience.unref()
  }

  trigger(reason?: string): Promise<TriggeredFile> {
    const { timeMachine } = this.#parts
    if (timeMachine !== undefined) return timeMachine.trigger(reason)
    return Promise.reject(new CaptureError('INVALID_OPTION', 'trigger(): the capture remembers nothing', { hint: 'write: { path, beforeMs }' }))
  }

  leaveCommands(): void {
    this.#parts.recording?.leaveCommands()
  }

  #look(): void {
    const { book, look } = this.#parts
    book.look(this.#accountsAtMs())
    let error: CaptureError | undefined
    try {
      error = look?.()
    } catch (thrown) {
      // A timer's exception would end the process.
      if (!(thrown instanceof CaptureError)) throw thrown
      error = thrown
    }
    if (error === undefined) return
    this.#error ??= error
    this.#end('stopped')
  }

  #workerEnded(end: WorkerEnd): void {
    if (end.error !== undefined) {
      this.#error ??= end.error
      this.#reason ??= 'stopped'
      for (const thread of this.#parts.threads) thread.send(ABANDON)
      if (this.#patience === undefined) {
        this.#watchHandlers()
        this.#hurryPipes()
      }
    } else if (end.reason === 'count') this.#end('count')
    // One that died has its socket still.
    if (this.#parts.threads.every((thread) => thread.end !== undefined && thread.end.error === undefined)) this.#parts.settle()
  }

  /** Workers of one interface see the same thing: it is told once. */
  #down = new Set<string>()
  #interfaceEvent(thread: WorkerThread, event: 'interface-down' | 'interface-up'): void {
    const name = thread.data.interfaceName
    const isDown = event === 'interface-down'
    if (isDown === this.#down.has(name)) return
    if (isDown) this.#down.add(name)
    else this.#down.delete(name)
    this.#parts.onEvent?.({ type: event, interface: name })
  }

  #close(): void {
    clearTimeout(this.#timer)
    clearTimeout(this.#patience)
    clearInterval(this.#looking)
    this.#unlisten()
    this.counters()
    this.#seconds = (performance.now() - this.#startedAt) / 1000
    this.#parts.release()
  }

  #totalsOf(place: number, only: number | undefined): InterfaceTotals {
    const { plan } = this.#parts
    const { workers, interfaceDrops } = this.counters()
    const counted = workers.filter((worker) => worker.interface === plan.interfaces[place] && (only === undefined || worker.worker === only))
    const sum = (of: (worker: WorkerCounters) => number) => counted.reduce((total, worker) => total + of(worker), 0)
    const drops = Object.fromEntries(Object.keys(noDrops()).map((name) => [name, sum((worker) => worker.drops[name as keyof Drops])])) as unknown as Drops
    const isAlone = plan.interfaces.length === 1 && only === undefined
    return { offered: sum((it) => it.offered), drops, writtenPackets: sum((it) => it.writtenPackets), interfaceDrops: isAlone ? interfaceDrops : undefined }
  }

  /** Workers write to one disk: what several of them meet is told once. */
  #toldErrors = new Set<string>()
  #writeError(thread: WorkerThread, errno: number): void {
    const { recording } = this.#parts
    const { worker } = thread.data
    if (recording !== undefined && errno === EPIPE && recording.isPipe(worker)) {
      recording.giveUp(worker)
      this.#end('reader')
      return
    }
    if (recording?.isGivenUp(worker) === true) return
    const path = this.#pathOf(thread)
    const which = `${recording?.fileOf(worker) ?? path} ${errno}`
    if (path === undefined || this.#toldErrors.has(which)) return
    this.#toldErrors.add(which)
    const broken = recording?.brokenOf(worker)
    this.#parts.onEvent?.({ type: 'write-error', path, error: broken ?? fileFailed(path, 'write', errno), outlook: broken === undefined ? 'retry' : 'over' })
  }

  #pathOf({ data }: WorkerThread): string | undefined {
    return this.#parts.recording?.pathOf(data.worker) ?? this.#parts.timeMachine?.path
  }

  #summary(): CaptureSummary {
    const { plan } = this.#parts
    const cpu = process.cpuUsage(this.#cpuAtStart)
    const counters = this.counters()
    const files = this.#parts.recording ?? this.#parts.timeMachine
    return {
      backend: plan.backend,
      fanout: plan.fanout?.mode ?? null,
      xdp: this.#parts.xdp ?? null,
      ...counters,
      files: files?.paths ?? [],
      packetsInFiles: files?.packetsInFiles(counters.writtenPackets) ?? 0,
      cpuUserMs: cpu.user / 1000,
      cpuSystemMs: cpu.system / 1000,
      reason: this.#error === undefined ? (this.#reason ?? 'stopped') : 'failed',
    }
  }
}

function merged(merge: NonNullable<Handler['merge']>, a: unknown, b: unknown): unknown {
  let both: unknown
  try {
    both = merge(a, b)
  } catch (cause) {
    const thrown = cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause)
    throw new CaptureError('HANDLER_FAILED', `handler merge() threw ${thrown}`, { cause })
  }
  if (!isThenable(both)) return both
  // Nobody waits for it, and what it rejects with would end the process.
  Promise.resolve(both).catch(() => {})
  throw new CaptureError('HANDLER_FAILED', 'handler merge() returned a promise', { hint: 'merge(a, b) returns the snapshot of both' })
}

function isThenable(value: unknown): boolean {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
}

function noDrops(): Drops {
  return { ring: 0, socket: 0, fillRing: 0, rxRing: 0, oversize: 0, redirect: 0, handler: 0, consumer: 0, writer: 0, unread: 0 }
}

function workerCounters(values: Float64Array, worker: number, interfaceName: string, cpu: number): WorkerCounters {
  const at = (counter: number) => values[counter] as number
  const drops: Drops = {
    ring: at(COUNTER.dropRing),
    socket: at(COUNTER.dropSocket),
    fillRing: at(COUNTER.dropFillRing),
    rxRing: at(COUNTER.dropRxRing),
    oversize: at(COUNTER.dropOversize),
    redirect: at(COUNTER.dropRedirect),
    handler: at(COUNTER.dropHandler),
    consumer: at(COUNTER.dropConsumer),
    writer: at(COUNTER.dropWriter),
    unread: at(COUNTER.dropUnread),
  }
  const since = at(COUNTER.handlerSinceMs)
  return {
    worker,
    interface: interfaceName,
    packets: at(COUNTER.packets),
    bytes: at(COUNTER.bytes),
    offered: at(COUNTER.offered),
    drops,
    dropped: Object.values(drops).reduce((a, b) => a + b, 0),
    freezes: at(COUNTER.freezes),
    truncated: at(COUNTER.truncated),
    writtenPackets: at(COUNTER.writtenPackets),
    writtenBytes: at(COUNTER.writtenBytes),
    blocks: at(COUNTER.blocks),
    cpu,
    cpuUserMs: at(COUNTER.cpuUserUs) / 1000,
    cpuSystemMs: at(COUNTER.cpuSystemUs) / 1000,
    handlerMaxMs: at(COUNTER.handlerMaxUs) / 1000,
    handlerBusyMs: since === 0 ? 0 : Math.max(0, Date.now() - since),
  }
}
