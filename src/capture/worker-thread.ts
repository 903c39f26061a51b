/** The main thread's side of one worker: starts it, speaks to it, and knows how it ended. */
import { Worker } from 'node:worker_threads'
import { CaptureError, fromPlainError } from '../errors.js'
import type { Descriptor } from '../kernel/descriptor.js'
import { releaseRange } from '../kernel/mapping.js'
import type { Kernel } from '../kernel/system.js'
import type { Control } from './control.js'
import type { WorkerData, WorkerMessage } from './worker.js'

export interface WorkerEnd {
  reason: 'stopped' | 'count' | 'error'
  hasSnapshot: boolean
  snapshot: unknown
  error: CaptureError | undefined
}

const ONE = new Uint8Array(new BigUint64Array([1n]).buffer)

export class WorkerThread {
  readonly data: WorkerData
  /** Settles when the handler is open and the loop runs; rejects with what prevented it. */
  readonly ready: Promise<void>
  /** Resolves once the thread is gone and its memory with it; never rejects. */
  readonly ended: Promise<WorkerEnd>
  onEvent: (event: 'interface-down' | 'interface-up') => void = () => {}
  /** Called at the worker's own word that it has ended, a little before `ended`. */
  onEnding: (end: WorkerEnd) => void = () => {}
  readonly #kernel: Kernel
  readonly #wake: Descriptor
  readonly #control: Control
  readonly #thread: Worker
  readonly #snapshots = new Map<number, (value: unknown) => void>()
  #end: WorkerEnd | undefined
  #exited = false

  /** `data.fd` is the number of `socket`, which the worker closes as it ends. */
  constructor(kernel: Kernel, socket: Descriptor, wake: Descriptor, control: Control, data: WorkerData) {
    this.data = data
    this.#kernel = kernel
    this.#wake = wake
    this.#control = control
    this.#thread = new Worker(new URL('./worker.js', import.meta.url), {
      workerData: data,
      name: `ringtap/${data.worker}`,
      // A worker takes over the flags of its process, loaders among them. --input-type alone would keep it from starting, and a
      // list without it is no way out: named explicitly, V8's flags are refused.
      ...(process.execArgv.some((argument) => argument.startsWith('--input-type')) ? { execArgv: [] } : {}),
    })
    const mapped: { address: bigint; length: number }[] = []
    let resolveReady: () => void = () => {}
    let rejectReady: (error: CaptureError) => void = () => {}
    this.ready = new Promise((resolve, reject) => {
      resolveReady = resolve
      rejectReady = reject
    })
    // Whoever opens awaits it; when another worker failed first, nobody does.
    this.ready.catch(() => {})
    this.#thread.on('message', (message: WorkerMessage) => {
      if (message.type === 'mapped') mapped.push(message)
      else if (message.type === 'ready') resolveReady()
      else if (message.type === 'event') this.onEvent(message.event)
      else if (message.type === 'snapshot') this.#answer(message.asked, message.value)
      else this.#ending({ ...message, error: message.error === undefined ? undefined : fromPlainError(message.error) })
    })
    this.ended = new Promise((resolve) => {
      this.#thread.on('error', (error: Error & { code?: string }) => {
        const why = error.code === 'ERR_WORKER_OUT_OF_MEMORY' ? 'ran out of memory' : `died of ${error.name}: ${error.message}`
        this.#ending(failed(`worker ${data.worker} ${why}`, error))
      })
      this.#thread.on('exit', (exitCode) => {
        this.#exited = true
        this.#ending(failed(`worker ${data.worker} ended by itself with exit code ${exitCode}`, undefined))
        if (control.socketClosed()) socket.forget()
        // Its isolate is gone and no view with it: now the address range may go too.
        for (const { address, length } of mapped) releaseRange(kernel, address, length)
        const end = this.#end as WorkerEnd
        rejectReady(end.error ?? new CaptureError('WORKER_FAILED', `worker ${data.worker} ended before it was ready`))
        for (const asked of [...this.#snapshots.keys()]) this.#answer(asked, end.snapshot)
        resolve(end)
      })
    })
  }

  /** The first word counts: after it the thread's exit is expected. */
  #ending(end: WorkerEnd): void {
    if (this.#end !== undefined) return
    this.#end = end
    this.onEnding(end)
  }

  #answer(asked: number, value: unknown): void {
    // One answer serves everyone who asked before it was given.
    for (const [waiting, resolve] of this.#snapshots) {
      if (waiting > asked) continue
      this.#snapshots.delete(waiting)
      resolve(value)
    }
  }

  snapshot(): Promise<unknown> {
    if (this.#end !== undefined) return this.ended.then((end) => end.snapshot)
    const asked = this.#control.askSnapshot()
    const answer = new Promise<unknown>((resolve) => this.#snapshots.set(asked, resolve))
    this.#signal()
    return answer
  }

  send(command: number): void {
    this.#control.send(command)
    this.#signal()
  }

  #signal(): void {
    // EAGAIN: the counter is full, so the worker will wake all the same.
    if (this.#wake.fd >= 0) this.#kernel.write(this.#wake.fd, ONE)
  }

  /** Ends the thread whatever it does, and waits until it is gone. */
  async terminate(): Promise<void> {
    if (!this.#exited) await this.#thread.terminate()
    await this.ended
  }

  get hasEnded(): boolean {
    return this.#end !== undefined
  }
}

function failed(message: string, cause: unknown): WorkerEnd {
  const error = new CaptureError('WORKER_FAILED', message, { cause, hint: 'a handler must not call process.exit(); RINGTAP_DEBUG=1 shows the stack' })
  return { reason: 'error', hasSnapshot: false, snapshot: undefined, error }
}
