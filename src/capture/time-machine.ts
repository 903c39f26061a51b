/**
 * The main thread's part of a time machine: names, opens and ends the files, and tells the workers which packets belong into them. What
 * they remember, and write, is theirs (past-recorder.ts).
 *
 * There is one file at a time. A trigger while one is being written makes it longer; packets that trigger do not: a file ends `afterMs`
 * behind the first of them, and the next one begins no earlier than that, so the files of an event that goes on follow one another
 * without gap or overlap, and of one that comes to an end nothing is missing.
 */
import { accessSync, constants, lstatSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Instruction } from '../bpf/classic.js'
import { CaptureError } from '../errors.js'
import { fsFailed } from '../file/file-failed.js'
import { Guard } from '../file/guard.js'
import { type NumberedName, pathOfNumbered } from '../file/numbered-name.js'
import { openSink, type Sink } from '../file/open-sink.js'
import { isBeingWritten, OutputFile } from '../file/output-file.js'
import { strftime } from '../file/strftime.js'
import type { Kernel } from '../kernel/system.js'
import type { CaptureEvent, CapturePlan, PastPlan, TriggeredFile, WritePlan } from './api.js'
import { FileFacts, type InterfaceTotals, type RecordedInterface } from './file-facts.js'
import { readingLagMs } from './packet-clock.js'
import type { PastOrder, PastReport } from './past-recorder.js'
import { pastShare } from './plan-past.js'
import { nameOfTrigger } from './trigger-path.js'
import type { UserChange } from './user-change.js'
import type { WorkerPast } from './worker.js'
import type { WorkerThread } from './worker-thread.js'

const MAX_REASON_LENGTH = 1000
/** A packet whose time is further from ours is of another clock. */
const OTHER_CLOCK_MS = 120_000

/** The file that is being written. */
interface Current {
  id: number
  name: NumberedName
  /** Its name to be, and at last the one that it has. */
  path: string
  /** As they stand in the file. */
  comments: string[]
  /** How many of them stood in its beginning. */
  headed: number
  fromMs: number
  untilMs: number
  sink: Sink | undefined
  /** Of each worker, up to when all of its packets are in the file. */
  doneUntilMs: number[]
  /** Of each interface. */
  packets: number[]
  /** Called when no worker writes to it any more. */
  written: () => void
  done: Promise<TriggeredFile>
}

export interface TimeMachineParts {
  kernel: Kernel
  plan: CapturePlan
  /** In the order of `plan.interfaces`. */
  interfaces: readonly RecordedInterface[]
  threads: readonly WorkerThread[]
  onEvent: ((event: CaptureEvent) => void) | undefined
}

export class TimeMachine {
  readonly #plan: CapturePlan
  readonly #past: PastPlan
  readonly #parts: TimeMachineParts
  readonly #guard: Guard | undefined
  readonly #facts: FileFacts
  readonly #files: TriggeredFile[] = []
  /** What they were called before a command may have made others of them. */
  readonly #named = new Set<string>()
  /** Until it has a running capture to ask. */
  totalsOf: (place: number) => InterfaceTotals | undefined = () => undefined
  #current: Current | undefined
  #lastId = 0
  /** Files that have their end behind them and are being closed, too. */
  readonly #unfinished = new Set<Promise<unknown>>()
  #opening: Promise<unknown> | undefined
  #lastUntilMs = 0
  #deferred: NodeJS.Timeout | undefined
  #hasEnded = false

  private constructor(parts: TimeMachineParts) {
    this.#parts = parts
    this.#plan = parts.plan
    const write = parts.plan.write as WritePlan
    this.#past = write.past as PastPlan
    this.#facts = new FileFacts(parts.plan, write, parts.interfaces)
    if (this.#plan.write?.guard === true) {
      this.#guard = Guard.start(parts.kernel, (reason) =>
        parts.onEvent?.({ type: 'warning', message: `the process that guards files against a kill does not run: ${reason}` }),
      )
    }
    for (const thread of parts.threads) {
      thread.onPast = (report) => this.#report(thread, report)
      thread.onMatch = (atMs) => this.#match(atMs)
    }
  }

  /** For workers that are ready, of a plan that remembers. */
  static open(parts: TimeMachineParts): TimeMachine | undefined {
    return parts.plan.write?.past === undefined ? undefined : new TimeMachine(parts)
  }

  /**
   * What each of so many workers is told, `interfaceId` being the place of its interface and `trigger` its filter's program.
   * @throws CaptureError INVALID_OPTION for memory that is too little, or too much, for so many.
   */
  static workerPast(plan: CapturePlan, workers: number): ((interfaceId: number, trigger: readonly Instruction[] | undefined) => WorkerPast) | undefined {
    const { write, snapLengthBytes } = plan
    if (write?.past === undefined) return undefined
    const bytes = pastShare(write.past, workers)
    const { format, precision } = write
    const lagMs = readingLagMs(plan)
    return (interfaceId, trigger) => ({
      bytes,
      format: { format, microseconds: precision === 'us', snapLengthBytes, interfaceId },
      lagMs,
      trigger,
      order: undefined,
    })
  }

  /**
   * Whether a plan that remembers could write a file now, as the user that it is going to be: told at the beginning rather than at the trigger.
   * @throws CaptureError INVALID_OPTION for a path that is none of a file; FILE_FAILED for a folder that no file can be made in.
   */
  static async check({ write }: CapturePlan, user: UserChange | undefined): Promise<void> {
    if (write?.past === undefined) return
    checkPath(write.path)
    // NB: access(2) asks for the real user.
    await user?.opening(async () => OutputFile.openNow(pathOfNumbered(nameOfTrigger(write.path, new Date(), isThere))).discard())
  }

  /** Of the file that is being written, else the last one. */
  get path(): string | undefined {
    return this.#current?.path ?? this.#files.at(-1)?.path
  }

  /** Complete files. */
  get paths(): string[] {
    return this.#files.map(({ path }) => path)
  }

  /** One may be in two. */
  packetsInFiles(): number {
    return sumOf(this.#files.map(({ packets }) => packets))
  }

  /** Triggers at a time in milliseconds since 1970; the reason stands in the file. Nobody has to await what it answers. */
  trigger(reason = 'trigger()', atMs = Date.now()): Promise<TriggeredFile> {
    const done = this.#trigger(reason, atMs)
    // An event tells it, too.
    done.catch(() => {})
    return done
  }

  /** The file begins no earlier than `earliestMs`. */
  #trigger(reason: string, atMs: number, earliestMs = 0): Promise<TriggeredFile> {
    if (typeof reason !== 'string' || reason.length > MAX_REASON_LENGTH) {
      return Promise.reject(new CaptureError('INVALID_OPTION', `Expected the reason of a trigger to be a string of at most ${MAX_REASON_LENGTH} characters`))
    }
    if (this.#hasEnded) return Promise.reject(new CaptureError('INVALID_OPTION', 'trigger(): the capture has ended'))
    clearTimeout(this.#deferred)
    this.#deferred = undefined
    const comment = `trigger: ${reason} at ${new Date(atMs).toISOString()}`
    const current = this.#current
    if (current === undefined) return this.#begin(comment, reason, atMs, earliestMs)
    current.comments.push(comment)
    current.untilMs = Math.max(current.untilMs, atMs + this.#past.afterMs)
    this.#order(current)
    this.#parts.onEvent?.({ type: 'triggered', reason, path: current.path })
    return current.done
  }

  #begin(comment: string, reason: string, atMs: number, earliestMs: number): Promise<TriggeredFile> {
    const { threads, onEvent } = this.#parts
    const { beforeMs, afterMs } = this.#past
    const name = nameOfTrigger(this.#plan.write?.path as string, new Date(atMs), (path) => this.#isTaken(path))
    const path = pathOfNumbered(name)
    let written = () => {}
    const allWritten = new Promise<void>((resolve) => {
      written = resolve
    })
    const current: Current = {
      id: this.#lastId++,
      name,
      path,
      comments: [comment],
      headed: 0,
      fromMs: Math.max(atMs - beforeMs, earliestMs),
      untilMs: atMs + afterMs,
      sink: undefined,
      doneUntilMs: threads.map(() => 0),
      packets: this.#plan.interfaces.map(() => 0),
      written,
      done: undefined as unknown as Promise<TriggeredFile>,
    }
    this.#current = current
    onEvent?.({ type: 'triggered', reason, path })
    current.done = this.#run(current, allWritten)
    const settled: Promise<unknown> = current.done.catch(() => {}).finally(() => this.#unfinished.delete(settled))
    this.#unfinished.add(settled)
    return current.done
  }

  #isTaken(path: string): boolean {
    return this.#named.has(path) || isThere(path) || isBeingWritten(path)
  }

  async #run(current: Current, written: Promise<void>): Promise<TriggeredFile> {
    try {
      const opening = this.#openFile(current)
      this.#opening = opening
      await opening
    } catch (error) {
      this.#current = undefined
      // No file came of it: the next packet may try again.
      for (const thread of this.#parts.threads) thread.order(undefined)
      throw this.#failed(current, error)
    } finally {
      this.#opening = undefined
    }
    await written
    try {
      await current.sink?.close()
    } catch (error) {
      throw this.#failed(current, error)
    }
    const untilMs = Math.min(current.untilMs, Date.now())
    const file = { path: current.path, packets: sumOf(current.packets), fromMs: Math.min(current.fromMs, untilMs), untilMs }
    this.#files.push(file)
    this.#parts.onEvent?.({ type: 'past-written', ...file })
    return file
  }

  async #openFile(current: Current): Promise<void> {
    const { kernel, onEvent } = this.#parts
    current.sink = await openSink(current.path, {
      kernel,
      numbered: current.name,
      guard: this.#guard ?? false,
      command: this.#plan.write?.command,
      header: () => this.#header(current),
      trailer: () => this.#trailer(current),
      onEvent: (event) => {
        if (event.type === 'file-finished') this.#named.add(event.path)
        if (event.type === 'file-finished') current.path = event.path
        if (event.type === 'file-replaced') current.path = event.by
        if (event.type === 'file-warning' && event.error === undefined) onEvent?.({ type: 'warning', message: event.message })
      },
    })
    this.#order(current)
  }

  #failed({ path }: Current, error: unknown): unknown {
    if (error instanceof CaptureError) this.#parts.onEvent?.({ type: 'write-error', path, error, outlook: 'trigger' })
    return error
  }

  #order({ id, sink, fromMs, untilMs }: Current): void {
    if (sink === undefined) return
    const order: PastOrder = { id, sink: sink.shared, fromMs, untilMs }
    for (const thread of this.#parts.threads) thread.order(order)
  }

  #report({ data }: WorkerThread, { id, packets, coversFromMs, untilMs }: PastReport): void {
    const current = this.#current
    if (current === undefined || current.id !== id) return
    const place = this.#plan.interfaces.indexOf(data.interfaceName)
    current.packets[place] = (current.packets[place] as number) + packets
    current.fromMs = Math.max(current.fromMs, coversFromMs)
    if (untilMs !== undefined) current.doneUntilMs[data.worker] = untilMs
    if (current.doneUntilMs.every((doneMs) => doneMs >= current.untilMs)) this.#endFile(current)
  }

  /** From here on a trigger makes another file. */
  #endFile(current: Current): void {
    this.#current = undefined
    this.#lastUntilMs = current.untilMs
    for (const thread of this.#parts.threads) thread.keepOrder(undefined)
    current.written()
    const laterMs = this.#laterMs
    this.#laterMs = undefined
    // It may have become longer since.
    if (laterMs !== undefined && laterMs >= current.untilMs) this.#match(laterMs)
  }

  /** When a packet that triggers was seen behind the end of the file that is being written. */
  #laterMs: number | undefined

  #match(givenMs: number): void {
    const nowMs = Date.now()
    const atMs = Math.abs(nowMs - givenMs) > OTHER_CLOCK_MS ? nowMs : Math.min(nowMs, givenMs)
    const current = this.#current
    if (this.#hasEnded) return
    if (current !== undefined) {
      if (atMs >= current.untilMs) this.#laterMs ??= atMs
      return
    }
    const earliestMs = this.#lastUntilMs + this.#past.beforeMs
    if (nowMs >= earliestMs) this.#fire(Math.max(atMs, earliestMs))
    else this.#deferred ??= setTimeout(() => this.#fire(earliestMs), earliestMs - nowMs)
  }

  #fire(atMs: number): void {
    // An event tells what fails. At the end of a capture there is no waiting for `beforeMs` to have passed.
    this.#trigger(this.#past.trigger ?? '', atMs, this.#lastUntilMs).catch(() => {})
  }

  /** The capture is about to end: what has been triggered is carried out first. Resolves when the workers know of it; never rejects. */
  ending(): Promise<unknown> | undefined {
    if (this.#deferred !== undefined) this.#fire(Date.now())
    return this.#opening?.catch(() => {})
  }

  /** After the last worker: ends the file that was being written, if any. Never rejects. */
  async finish(): Promise<void> {
    this.#hasEnded = true
    clearTimeout(this.#deferred)
    await this.#opening?.catch(() => {})
    if (this.#current !== undefined) this.#endFile(this.#current)
    await Promise.all(this.#unfinished)
    await this.#guard?.close()
  }

  #header(current: Current): Uint8Array {
    current.headed = current.comments.length
    return this.#facts.header([...this.#plan.interfaces.keys()], current.comments)
  }

  /** Statistics are those of the capture so far, but for the packets of this file. Triggers that came since its beginning stand here. */
  #trailer(current: Current): Uint8Array {
    const blocks = current.packets.map((packets, place) => {
      const totals = this.totalsOf(place)
      const comments = place === 0 ? current.comments.slice(current.headed) : undefined
      return totals === undefined ? new Uint8Array(0) : this.#facts.statistics(place, totals, packets, comments)
    })
    return Buffer.concat(blocks)
  }
}

/** Not of what cannot be looked at: opening it says why. */
function isThere(path: string): boolean {
  try {
    return lstatSync(path, { throwIfNoEntry: false }) !== undefined
  } catch {
    return false
  }
}

function checkPath(path: string): void {
  const status = path.includes('%') ? undefined : statSync(path, { throwIfNoEntry: false })
  if (status !== undefined && !status.isFile()) {
    throw new CaptureError('INVALID_OPTION', `Expected the option write.path to be a name for files with write.beforeMs, and ${path} is none`)
  }
  const folder = dirname(path.includes('%') ? strftime(path, new Date()) : path)
  try {
    accessSync(folder, constants.W_OK | constants.X_OK)
  } catch (error) {
    throw fsFailed(folder, 'access', error)
  }
}

function sumOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0)
}
