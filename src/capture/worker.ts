/** Entry of a worker thread: maps its source, loads its handler, runs the loop, and tells the main thread how it ended. */
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads'
import type { Instruction } from '../bpf/classic.js'
import { alignUp } from '../bytes/align.js'
import { CaptureError, type PlainCaptureError, toPlainError } from '../errors.js'
import type { Compression } from '../file/compression.js'
import { compressNow } from '../file/compressor.js'
import type { OrderShared } from '../file/order-memory.js'
import { CompiledRecords, createRecordBuffer } from '../file/record.js'
import type { RecordFormat } from '../file/record-layout.js'
import { createRecordPool, poolGeometry, poolMemoryBytes } from '../file/record-pool.js'
import type { SinkShared } from '../file/sink.js'
import type { Handler } from '../handler.js'
import { LinearMemory } from '../kernel/linear-memory.js'
import { type Kernel, openKernel } from '../kernel/system.js'
import { nameThread, pinThread } from '../kernel/thread.js'
import { batchMemoryBytes } from '../ring/batch.js'
import { RecvSource } from '../source/recv.js'
import { RingSource } from '../source/ring.js'
import type { Source } from '../source/source.js'
import { XdpSource, type XdpSourceSpec } from '../source/xdp.js'
import { type AccountSpec, dropPending, statisticsOf } from './account.js'
import { Budget, Control } from './control.js'
import { addTo, COUNTER, CounterWriter } from './counters.js'
import { GivenUp } from './given-up.js'
import { loadHandler } from './handler-module.js'
import { InterfaceWatch } from './interface-watch.js'
import { Loop } from './loop.js'
import { OrderedRecorder, resumeRecords } from './ordered-recorder.js'
import { type PastOrder, PastRecorder, type PastReport } from './past-recorder.js'
import { RECORD_BUFFER_BYTES, Recorder } from './recorder.js'
import { TriggerWatch } from './trigger-watch.js'

export interface WorkerData {
  worker: number
  workerCount: number
  interfaceName: string
  interfaceIndex: number
  wakeFd: number
  account: AccountSpec
  source:
    | { kind: 'ring'; blockBytes: number; blockCount: number }
    | { kind: 'recv'; batch: number; snapLengthBytes: number; metadata: boolean }
    | ({ kind: 'xdp' } & Omit<XdpSourceSpec, 'account'>)
  /** A packet socket for questions about the interface, where the source's own is none. */
  controlFd: number | undefined
  /** -1: not pinned. */
  cpu: number
  /** When the handler fails, the socket is left as it is for a worker that takes over. */
  restartable: boolean
  /** This worker takes the place of one that died: its socket, its counters, its place in the ring. */
  resumes: boolean
  /** Absolute URL, or undefined to count only. */
  handler: string | undefined
  handlerData: unknown
  /** Records packets; undefined without. */
  recording: WorkerRecording | undefined
  /** Remembers packets, to record them when it is told to; instead of `recording`. */
  past: WorkerPast | undefined
  control: SharedArrayBuffer
  counters: SharedArrayBuffer
  budget: SharedArrayBuffer | undefined
}

export interface WorkerRecording {
  sink: SinkShared
  format: RecordFormat
  unbuffered: boolean
  compression: Compression | undefined
  compressionLevel: number | undefined
  /** What all workers of the file share that write it in order of time, and how late a packet may be read. */
  order: { shared: OrderShared; lagMs: number } | undefined
}

export interface WorkerPast {
  /** Memory for records. */
  bytes: number
  format: RecordFormat
  lagMs: number
  /** What triggers a file; undefined for the main thread alone. */
  trigger: readonly Instruction[] | undefined
  /** The file that is being written as the worker begins: when it takes over. */
  order: PastOrder | undefined
}

/** What the main thread tells a worker that remembers. `order` undefined: the match that it told of began no file. */
export interface PastMessage {
  past: { order: PastOrder | undefined }
}

export type WorkerMessage =
  | { type: 'mapped'; ranges: { address: bigint; length: number }[] }
  | { type: 'ready' }
  | { type: 'snapshot'; asked: number; value: unknown }
  | { type: 'event'; event: 'interface-down' | 'interface-up' }
  | { type: 'write-error'; errno: number }
  | { type: 'past'; report: PastReport }
  /** A packet of this time, in milliseconds since 1970, is one to begin a file for. */
  | { type: 'match'; atMs: number }
  /** `snapshot` is the last one; `error` what ended the worker, if anything did. */
  | { type: 'ended'; reason: 'stopped' | 'count' | 'error'; hasSnapshot: boolean; snapshot: unknown; error: PlainCaptureError | undefined }

const data = workerData as WorkerData

function post(message: WorkerMessage): void {
  parentPort?.postMessage(message)
}

/** Runs a function of the handler; what it throws gets the handler's name and keeps its stack. */
async function guarded<T>(name: string, run: () => T | Promise<T>): Promise<T> {
  try {
    return await run()
  } catch (error) {
    throw handlerFailed(name, error)
  }
}

function handlerFailed(name: string, error: unknown): CaptureError {
  if (error instanceof CaptureError) return error
  const thrown = error instanceof Error ? `${error.name}: ${error.message}` : String(error)
  return new CaptureError('HANDLER_FAILED', `handler ${name}() of worker ${data.worker} threw ${thrown}`, {
    cause: error,
    hint: `${data.handler ?? 'handler'}: RINGTAP_DEBUG=1 shows where`,
  })
}

async function main(): Promise<void> {
  const kernel = openKernel()
  nameThread(kernel, `ringtap/${data.worker}`)
  if (data.cpu >= 0) pinThread(kernel, [data.cpu])
  const subject = `${data.interfaceName} worker ${data.worker}`
  const control = new Control(data.control, data.worker)
  const counters = new CounterWriter(data.counters, data.worker)
  const memory = data.recording === undefined && data.past === undefined ? undefined : LinearMemory.create(kernel, ...linearMemoryFor(data.source))
  const source = openSource(kernel, subject, counters.values, memory)
  post({ type: 'mapped', ranges: source.mappings.filter((it) => it.ownsRange).map(({ address, length }) => ({ address, length })) })
  let reason: 'stopped' | 'count' | 'error' = 'stopped'
  let failure: unknown
  let snapshot: unknown
  let hasSnapshot = false
  try {
    if (data.resumes) {
      passByBlockInHand(source, control, counters)
      resumeRecords(kernel, data.recording, data.worker, counters.values)
      dropPending(counters.values)
    }
    const past = data.past === undefined ? undefined : openPast(kernel, counters.values, memory, data.past)
    const ordinary = openRecorder(kernel, counters.values, memory)
    const recorder = past ?? ordinary
    const handler: Handler = data.handler === undefined ? {} : await loadHandler(data.handler)
    let counted: number = recorder === undefined ? COUNTER.packets : COUNTER.pending
    const givenUp = new GivenUp(data.worker, (packets, why) => {
      addTo(counters.values, why === 'handler' ? COUNTER.dropHandler : COUNTER.dropConsumer, packets)
      addTo(counters.values, counted, -packets)
    })
    const { worker: workerIndex, workerCount, interfaceName, interfaceIndex, handlerData } = data
    const context = { workerIndex, workerCount, interfaceName, interfaceIndex, data: handlerData, countDrops: givenUp.count }
    const state = await guarded('open', () => handler.open?.(context))
    try {
      const loop = new Loop({
        kernel,
        source,
        wakeFd: data.wakeFd,
        control,
        counters,
        budget: data.budget === undefined ? undefined : new Budget(data.budget),
        handler,
        state,
        watch: new InterfaceWatch(kernel, { fd: source.fd, controlFd: data.controlFd, name: interfaceName, index: interfaceIndex }, (event) =>
          post({ type: 'event', event }),
        ),
        answerSnapshot: (asked) => postSnapshot(asked, handler, state),
        recorder,
        givenUp,
        takeOrders: past === undefined ? undefined : () => takeOrders(past),
      })
      post({ type: 'ready' })
      try {
        reason = loop.run()
        loop.settle(reason === 'stopped')
      } catch (error) {
        reason = 'error'
        failure = handlerFailed(handler.block === undefined ? 'packet' : 'block', error)
        if (data.restartable) loop.leave()
        else loop.settle(false)
      }
      // Everything is written; what the handler gives up yet has been delivered.
      counted = COUNTER.packets
      if (handler.snapshot !== undefined) {
        const take = handler.snapshot
        snapshot = await guarded('snapshot', () => structuredClone(take(state)))
        hasSnapshot = true
      }
    } finally {
      await guarded('close', () => handler.close?.(state))
      counters.publish()
    }
  } catch (error) {
    // The first error is the one to tell: a close that fails after it is its consequence.
    failure ??= error
    reason = 'error'
  } finally {
    source.close()
    if (failure === undefined || !data.restartable) {
      control.markSettled()
      // A packet socket waits for RCU grace periods as it closes (packet_release): workers do it side by side, not main in turn.
      // The sockets of AF_XDP are closed by main, after their program is detached.
      if (data.source.kind !== 'xdp') kernel.close(source.fd)
    }
  }
  const error = failure === undefined ? undefined : toPlainError(failure, 'WORKER_FAILED')
  post({ type: 'ended', reason, hasSnapshot, snapshot, error })
}

/** Bytes and alignment of the memory that holds packets and, beside them, their records. */
function linearMemoryFor(source: WorkerData['source']): [bytes: number, alignment?: number] {
  const records = data.past === undefined ? CompiledRecords.memoryBytes(RECORD_BUFFER_BYTES) : poolMemoryBytes(poolGeometry(data.past.bytes))
  switch (source.kind) {
    case 'ring':
      return [source.blockBytes * source.blockCount + records]
    case 'recv':
      return [batchMemoryBytes(source) + records]
    case 'xdp':
      return [alignUp(source.umemMemoryBytes, source.umemPageBytes) + records, source.umemPageBytes]
  }
}

function openRecorder(kernel: Kernel, values: Float64Array, memory: LinearMemory | undefined): Recorder | OrderedRecorder | undefined {
  if (data.recording === undefined) return undefined
  const { sink, format, unbuffered, compression, compressionLevel, order } = data.recording
  const buffer = createRecordBuffer(memory, RECORD_BUFFER_BYTES, format)
  const compress = compression === undefined ? undefined : (bytes: Uint8Array) => compressNow(compression, bytes, compressionLevel)
  const parts = { kernel, sink, buffer, format, values, unbuffered, compress, onError: (errno: number) => post({ type: 'write-error', errno }) }
  if (order === undefined) return new Recorder(parts)
  return new OrderedRecorder({ ...parts, order: order.shared, lagMs: order.lagMs, thread: data.worker })
}

function openPast(kernel: Kernel, values: Float64Array, memory: LinearMemory | undefined, { bytes, format, lagMs, trigger, order }: WorkerPast): PastRecorder {
  const recorder = new PastRecorder({
    kernel,
    ...createRecordPool(memory, poolGeometry(bytes), format),
    format,
    values,
    lagMs,
    onError: (errno) => post({ type: 'write-error', errno }),
    report: (report) => post({ type: 'past', report }),
    watch: trigger === undefined ? undefined : new TriggerWatch(trigger),
    onMatch: (atMs) => post({ type: 'match', atMs }),
  })
  if (order !== undefined) recorder.begin(order)
  return recorder
}

function takeOrders(recorder: PastRecorder): void {
  if (parentPort === null) return
  for (let received = receiveMessageOnPort(parentPort); received !== undefined; received = receiveMessageOnPort(parentPort)) {
    const { order } = (received.message as PastMessage).past
    if (order === undefined) recorder.rearm()
    else recorder.begin(order)
  }
}

function openSource(kernel: Kernel, subject: string, values: Float64Array, memory: LinearMemory | undefined): RingSource | RecvSource | XdpSource {
  const { account, source } = data
  if (source.kind === 'xdp') {
    if (account.kind !== 'xdp') throw new Error('the account of another kind of socket')
    return new XdpSource(kernel, subject, { ...source, account }, memory)
  }
  const before = statisticsOf(values)
  return source.kind === 'ring'
    ? new RingSource(kernel, subject, account.fd, source, before, memory)
    : new RecvSource(kernel, subject, account.fd, source, before, memory)
}

/** The block that the one before us died over is not delivered twice: what it had not counted is `unread`. */
function passByBlockInHand(source: Source, control: Control, { values }: CounterWriter): void {
  source.resync()
  const inHand = control.blockInHand()
  if (inHand === 0) return
  const packets = source.passBy(inHand)
  values[COUNTER.dropUnread] = (values[COUNTER.dropUnread] as number) + Math.max(0, packets - control.countedOfBlock())
  control.markCountedOfBlock(0)
  control.markBlockInHand(0)
}

function postSnapshot(asked: number, handler: Handler, state: unknown): void {
  try {
    post({ type: 'snapshot', asked, value: handler.snapshot?.(state) })
  } catch (error) {
    throw handlerFailed('snapshot', error)
  }
}

main().catch((error: unknown) => {
  post({ type: 'ended', reason: 'error', hasSnapshot: false, snapshot: undefined, error: toPlainError(error, 'WORKER_FAILED') })
})
