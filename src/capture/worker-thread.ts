/** The main thread's side of one worker: starts it, speaks to it, and knows how it ended. */
import { Worker } from 'node:worker_threads'
import { CaptureError, fromPlainError } from '../errors.js'
import { abandonThread } from '../file/order-memory.js'
import type { Descriptor } from '../kernel/descriptor.js'
import { releaseRange } from '../kernel/mapping.js'
import type { Kernel } from '../kernel/system.js'
import { settleForDead } from './account.js'
import { ABANDON, type Control, RUN } from './control.js'
import { CounterWriter } from './counters.js'
import { settleAbandoned } from './ordered-recorder.js'
import type { PastOrder, PastReport } from './past-recorder.js'
import type { PastMessage, WorkerData, WorkerMessage } from './worker.js'

export interface WorkerEnd {
  reason: 'stopped' | 'count' | 'error'
  hasSnapshot: boolean
  snapshot: unknown
  error: CaptureError | undefined
}

const ONE = new Uint8Array(new BigUint64Array([1n]).buffer)

/** How many more workers may be replaced, over the whole capture. */
export interface Restarts {
  left: number
}

export interface WorkerParts {
  kernel: Kernel
  /** `data.account.fd` is its number; the worker closes it as it ends, unless it is of AF_XDP. */
  socket: Descriptor
  wake: Descriptor
  control: Control
  restarts: Restarts
  data: Omit<WorkerData, 'restartable' | 'resumes'>
}

export class WorkerThread {
  readonly data: WorkerParts['data']
  /** Settles when the handler is open and the loop runs; rejects with what prevented it. */
  readonly ready: Promise<void>
  /** Resolves once the thread is gone, no other takes its place, and its memory is gone with it; never rejects. */
  readonly ended: Promise<WorkerEnd>
  onEvent: (event: 'interface-down' | 'interface-up') => void = () => {}
  /** Called with the errno when writing begins to fail. */
  onWriteError: (errno: number) => void = () => {}
  /** Called with what a worker that remembers has written, and when it has seen a packet to begin a file for. */
  onPast: (report: PastReport) => void = () => {}
  onMatch: (atMs: number) => void = () => {}
  /** Called at the worker's own word that it has ended, a little before `ended`. */
  onEnding: (end: WorkerEnd) => void = () => {}
  /** Called when another worker takes the place of one that died. */
  onReplaced: (error: CaptureError) => void = () => {}
  readonly #parts: WorkerParts
  readonly #snapshots = new Map<number, (value: unknown) => void>()
  /** Last snapshots of those that were replaced. */
  readonly #kept: unknown[] = []
  #thread: Worker
  #end: WorkerEnd | undefined
  #isReady = false
  #replacing = false
  #exited = false
  #hasDied = false
  #resolveReady: () => void = () => {}
  #rejectReady: (error: CaptureError) => void = () => {}
  #resolveEnded: (end: WorkerEnd) => void = () => {}

  constructor(parts: WorkerParts) {
    this.data = parts.data
    this.#parts = parts
    this.ready = new Promise((resolve, reject) => {
      this.#resolveReady = resolve
      this.#rejectReady = reject
    })
    // Whoever opens awaits it; when another worker failed first, nobody does.
    this.ready.catch(() => {})
    this.ended = new Promise((resolve) => {
      this.#resolveEnded = resolve
    })
    this.#thread = this.#spawn(false)
  }

  #spawn(resumes: boolean): Worker {
    const { data, restarts } = this.#parts
    const workerData: WorkerData = { ...data, restartable: restarts.left > 0, resumes }
    const thread = new Worker(new URL('./worker.js', import.meta.url), {
      workerData,
      name: `ringtap/${data.worker}`,
      // A worker takes over the flags of its process, loaders among them. --input-type alone would keep it from starting, and a
      // list without it is no way out: named explicitly, V8's flags are refused.
      ...(process.execArgv.some((argument) => argument.startsWith('--input-type')) ? { execArgv: [] } : {}),
    })
    const mapped: { address: bigint; length: number }[] = []
    thread.on('message', (message: WorkerMessage) => {
      if (message.type === 'mapped') mapped.push(...message.ranges)
      else if (message.type === 'ready') this.#markReady()
      else if (message.type === 'event') this.onEvent(message.event)
      else if (message.type === 'write-error') this.onWriteError(message.errno)
      else if (message.type === 'past') this.onPast(message.report)
      else if (message.type === 'match') this.onMatch(message.atMs)
      else if (message.type === 'snapshot') this.#answer(message.asked, message.value)
      else this.#ending({ ...message, error: message.error === undefined ? undefined : fromPlainError(message.error) })
    })
    thread.on('error', (error: Error & { code?: string }) => {
      const why = error.code === 'ERR_WORKER_OUT_OF_MEMORY' ? 'ran out of memory' : `died of ${error.name}: ${error.message}`
      this.#ending(failed(`worker ${data.worker} ${why}`, error))
    })
    thread.on('exit', (exitCode) => {
      this.#ending(failed(`worker ${data.worker} ended by itself with exit code ${exitCode}`, undefined))
      // Its isolate is gone and no view with it: now the address range may go too.
      for (const { address, length } of mapped) releaseRange(this.#parts.kernel, address, length)
      this.#exit()
    })
    return thread
  }

  /** When all workers have ended: what others wrote of one that died is counted. */
  settleRecords(): void {
    if (!this.#hasDied) return
    const { kernel, data } = this.#parts
    const counters = new CounterWriter(data.counters, data.worker)
    settleAbandoned(kernel, data.recording, data.worker, counters.values)
    counters.publish()
  }

  #markReady(): void {
    this.#isReady = true
    this.#resolveReady()
  }

  /** The first word counts: after it the thread's exit is expected. */
  #ending(end: WorkerEnd): void {
    if (this.#end !== undefined) return
    this.#end = end
    const { restarts, control } = this.#parts
    if (end.error !== undefined && this.#isReady && restarts.left > 0 && control.command() === RUN && end.error.code !== 'INTERFACE_REMOVED') {
      restarts.left--
      this.#replacing = true
    } else this.onEnding(end)
  }

  #exit(): void {
    const { kernel, socket, control, data } = this.#parts
    const end = this.#end as WorkerEnd
    if (control.settled()) {
      if (data.account.kind !== 'xdp') socket.forget()
    } else if (this.#replacing && control.command() === RUN) {
      // Its socket lives: it stays the fanout member that it was, in the same place, and what comes meanwhile waits in its ring.
      this.#replacing = false
      this.#end = undefined
      if (end.hasSnapshot) this.#kept.push(end.snapshot)
      this.onReplaced(end.error as CaptureError)
      this.#thread = this.#spawn(true)
      return
    } else if (this.#isReady) {
      settleForDead(kernel, data.account, data.counters, data.worker)
      this.#hasDied = true
      if (data.recording?.order !== undefined) abandonThread(data.recording.order.shared, data.worker)
    }
    this.#exited = true
    if (this.#replacing) this.onEnding(end)
    this.#rejectReady(end.error ?? new CaptureError('WORKER_FAILED', `worker ${data.worker} ended before it was ready`))
    for (const asked of [...this.#snapshots.keys()]) this.#answer(asked, end.snapshot)
    this.#resolveEnded(end)
  }

  #answer(asked: number, value: unknown): void {
    // One answer serves everyone who asked before it was given.
    for (const [waiting, resolve] of this.#snapshots) {
      if (waiting > asked) continue
      this.#snapshots.delete(waiting)
      resolve(value)
    }
  }

  /** The handler's snapshot now or at its end, and the last ones of handlers that it took over from. */
  async snapshots(): Promise<unknown[]> {
    const current = await this.#snapshot()
    return current === undefined ? [...this.#kept] : [...this.#kept, current]
  }

  #snapshot(): Promise<unknown> {
    if (this.#exited) return this.ended.then((end) => end.snapshot)
    const asked = this.#parts.control.askSnapshot()
    const answer = new Promise<unknown>((resolve) => this.#snapshots.set(asked, resolve))
    this.#signal()
    return answer
  }

  /** Has a worker that remembers write a file; undefined: look for a packet to begin one for, again. */
  order(order: PastOrder | undefined): void {
    const { data, control } = this.#parts
    if (this.#exited || data.past === undefined) return
    this.keepOrder(order)
    this.#thread.postMessage({ past: { order } } satisfies PastMessage)
    control.order()
    this.#signal()
  }

  /** What a worker that takes this one's place has to write. */
  keepOrder(order: PastOrder | undefined): void {
    const { data } = this.#parts
    if (data.past !== undefined) data.past = { ...data.past, order }
  }

  send(command: number): void {
    this.#parts.control.send(command)
    this.#signal()
  }

  #signal(): void {
    // EAGAIN: the counter is full, so the worker will wake all the same.
    const { wake, kernel } = this.#parts
    if (wake.fd >= 0) kernel.write(wake.fd, ONE)
  }

  /** Asks the thread to end, and ends it when it has not done so in time. Resolves when it is gone. */
  async abandon(patienceMs: number): Promise<void> {
    // NB: asked first: a thread that is terminated inside a koffi call may take the whole process with it (napi_throw is fatal then).
    this.send(ABANDON)
    const timer = setTimeout(() => void this.terminate(), patienceMs)
    await this.ended
    clearTimeout(timer)
  }

  /** Waits, without the event loop, until it has closed what it used, or until a time of performance.now(). */
  awaitSettled(deadline: number): void {
    const { control, socket, data } = this.#parts
    const clock = new Int32Array(new SharedArrayBuffer(4))
    while (!this.#exited && !control.settled() && performance.now() < deadline) Atomics.wait(clock, 0, 0, 1)
    if (control.settled() && data.account.kind !== 'xdp') socket.forget()
  }

  /** Ends the thread whatever it does, and waits until it is gone. For one that is lost in its handler. */
  async terminate(): Promise<void> {
    if (!this.#exited) await this.#thread.terminate()
    await this.ended
  }

  /** How it ended, once it has said so and no other takes its place. */
  get end(): WorkerEnd | undefined {
    return this.#replacing ? undefined : this.#end
  }
}

function failed(message: string, cause: unknown): WorkerEnd {
  const error = new CaptureError('WORKER_FAILED', message, { cause, hint: 'a handler must not call process.exit(); RINGTAP_DEBUG=1 shows the stack' })
  return { reason: 'error', hasSnapshot: false, snapshot: undefined, error }
}
