/**
 * A process (or a thread) that appends pcap records to a sink, for sink.test.ts and guard.test.ts: run with a path it opens the sink and
 * starts threads that append until they are told to stop or killed; run as a worker it is such a thread.
 *
 * Each record says who wrote it and which of its records it is: writer and number in the first eight bytes of the packet.
 */
import { fileURLToPath } from 'node:url'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { encodePcapHeader, putPcapRecordHeader } from '#src/file/encode-pcap.js'
import { openSink, type SinkOptions } from '#src/file/open-sink.js'
import { RecordSink, type SinkShared } from '#src/file/sink.js'
import { type Kernel, openKernel } from '#src/kernel/system.js'
import { sleepThread } from '#src/kernel/thread.js'

export const HEADER = encodePcapHeader({ precision: 'ns', snapLengthBytes: 262144, linkType: 1 })

export interface WriterOptions {
  writer: number
  /** Appends in all; 0 for no end. */
  appends: number
  recordsPerAppend: number
  packetBytes: number
  /** After each append; 0 when absent. */
  pauseMs?: number
  /** Dies inside an append: of this one, so many bytes are written. */
  dieIn?: { append: number; afterBytes: number; how: 'thread' | 'process' } | undefined
}

/** Records one after another, as many as an append has. */
export function fillRecords(bytes: Uint8Array<ArrayBuffer>, options: WriterOptions, first: number): void {
  const view = new DataView(bytes.buffer)
  const record = 16 + options.packetBytes
  for (let index = 0; index < options.recordsPerAppend; index++) {
    const at = index * record
    putPcapRecordHeader(view, at, 1_700_000_000, first + index, options.packetBytes, options.packetBytes)
    view.setUint32(at + 16, options.writer)
    view.setUint32(at + 20, first + index)
  }
}

export function recordsBuffer({ recordsPerAppend, packetBytes }: WriterOptions): Uint8Array<ArrayBuffer> {
  return new Uint8Array(new ArrayBuffer(recordsPerAppend * (16 + packetBytes)))
}

/** Ends this thread or process in the middle of a write(2), as a kill does. */
function dyingKernel(options: WriterOptions): Kernel {
  const kernel = openKernel()
  const { dieIn } = options
  let appends = 0
  if (dieIn === undefined) return kernel
  return {
    ...kernel,
    write(fd, from) {
      if (appends++ < dieIn.append) return kernel.write(fd, from)
      kernel.write(fd, from.subarray(0, dieIn.afterBytes))
      if (dieIn.how === 'process') process.kill(process.pid, 'SIGKILL')
      process.exit(7)
    },
  }
}

export function appendAll(shared: SinkShared, options: WriterOptions): { failed: number; lastErrno: number } {
  const sink = new RecordSink(dyingKernel(options), shared)
  const bytes = recordsBuffer(options)
  const result = { failed: 0, lastErrno: 0 }
  for (let append = 0; options.appends === 0 || append < options.appends; append++) {
    fillRecords(bytes, options, append * options.recordsPerAppend)
    const errno = sink.append(bytes, bytes.byteLength)
    if (options.pauseMs !== undefined) sleepThread(options.pauseMs)
    if (errno === 0) continue
    result.failed++
    result.lastErrno = errno
  }
  return result
}

/** Starts a thread that appends; its first message is that it has begun, its second what became of it. */
export function startWriter(shared: SinkShared, options: WriterOptions): Worker {
  return new Worker(new URL(import.meta.url), { workerData: { shared, options }, execArgv: [] })
}

if (!isMainThread && (workerData as { shared?: SinkShared } | null)?.shared !== undefined) {
  const { shared, options } = workerData as { shared: SinkShared; options: WriterOptions }
  // NB: a thread that is terminated while it loads koffi takes the process with it.
  openKernel()
  parentPort?.postMessage('begun')
  parentPort?.postMessage(appendAll(shared, options))
} else if (isMainThread && process.argv[1] === fileURLToPath(import.meta.url)) {
  const [, , path, sinkOptions, ...writers] = process.argv as [string, string, string, string, ...string[]]
  const sink = await openSink(path, { header: () => HEADER, ...(JSON.parse(sinkOptions) as SinkOptions) })
  process.stdout.write(`${sink.guardPid ?? 0}\n`)
  const ended = writers.map((text) => {
    const thread = startWriter(sink.shared, JSON.parse(text) as WriterOptions)
    return new Promise((resolve) => thread.once('exit', resolve))
  })
  await Promise.all(ended)
  await sink.close()
}
