/**
 * The names in the documents of `ringtap capture --json`, for docs/cli.md. By the library's own types, so that one that is new there does
 * not compile until it is described here.
 */
import type { CaptureCounters, CaptureEvent, CapturePlan, CaptureSummary, Drops, PastPlan, RotationOptions, WorkerCounters, WritePlan } from '../index.js'

/** Of each name what stands behind it, in brackets. */
type Names<T extends PropertyKey> = Readonly<Record<T, string>>

const ROTATION: Names<Exclude<keyof RotationOptions, 'timeInNames'>> = { sizeBytes: '', seconds: '', files: '', keepBytes: '' }

const PAST: Names<keyof PastPlan> = { beforeMs: '', beforeSizeBytes: '', afterMs: '', trigger: '' }

const WRITE: Names<keyof WritePlan> = {
  path: '',
  format: '',
  precision: '',
  compression: '',
  compressionLevel: '',
  perWorker: '',
  order: '',
  unbuffered: '',
  rotation: named(ROTATION),
  command: '',
  guard: '',
  past: `with \`--before\`: ${named(PAST)}`,
}

const XDP: Names<keyof CapturePlan['xdp']> = { mode: '', memoryBytes: '', chunkBytes: '', coalesceMs: '', busyPollUs: '', hints: '' }
const RING: Names<keyof CapturePlan['ring']> = { blockBytes: '', blockCount: '', blockTimeoutMs: '' }
const FANOUT: Names<keyof NonNullable<CapturePlan['fanout']>> = { mode: '', defrag: '', rollover: '', ignoreOutgoing: '', program: '' }

/** Of `start`. */
export const PLAN: Names<Exclude<keyof CapturePlan, 'otherwise'>> = {
  backend: '',
  exclusive: '',
  interfaces: '',
  netns: '',
  filter: '',
  workersPerInterface: '',
  fanout: named(FANOUT),
  pin: '',
  ring: named(RING),
  xdp: named(XDP),
  receiveBufferBytes: '',
  batch: '',
  snapLengthBytes: '',
  promiscuous: '',
  direction: '',
  count: '',
  durationMs: '',
  write: named(WRITE),
  user: '',
  workerRestarts: '',
}

export const EVENTS: Names<CaptureEvent['type'] | 'counters'> = {
  'interface-down': '`interface`',
  'interface-up': '`interface`',
  'worker-replaced': '`interface`, `worker`, `error`',
  xdp: '`interface`, `mode`, `tried`, `queues`, `served`, `chunkBytes`, `chunks`, `hugepages`, `multiBuffer`, `hardwareHints`',
  'write-error': '`path`; `error`: `code`, `message`, `errnoName` where a call failed; `outlook`: `retry`, `over` or `trigger`',
  'file-finished': '`path`, `bytes`, `packets`',
  'file-removed': '`path`, `bytes`',
  'file-replaced': '`path`, `by`, `bytes`: a command has put another in its place',
  'commands-left': '`commands`: the files are complete, so many of `-z` have not ended; SIGINT or SIGTERM ends the waiting for them',
  'files-full': '',
  'file-warning': '`message`, and `error` where a file is concerned',
  triggered: '`reason`, `path`: a file of `--before` is begun, or becomes longer',
  'past-written': '`path`, `packets`, `fromMs`, `untilMs`: it is complete, and these packets of this span, in milliseconds since 1970, are in it',
  warning: '`message`, `hint`',
  counters: 'counters since the start: the answer to SIGUSR1',
}

/** Beside the counters. */
export const SUMMARY: Names<Exclude<keyof CaptureSummary, keyof CaptureCounters>> = {
  backend: '`ring`, `recv` or `xdp`',
  fanout: 'the mode, null with one worker',
  xdp: 'one an interface, with the fields of the event `xdp`; null with another backend',
  reason:
    '`count`, `duration`, `stopped`, `aborted`; `files`: as many as were ordered are written, `reader`: nobody reads the pipe any more, `failed`: the error that follows',
  files: 'paths',
  packetsInFiles: 'packets in these files: fewer than `writtenPackets` where some were written over or removed',
  cpuUserMs: 'of the whole process',
  cpuSystemMs: 'of the whole process',
}

export const DROPS: Names<keyof Drops> = {
  ring: 'full',
  socket: 'full',
  fillRing: 'with `xdp`: no chunk was free',
  rxRing: 'with `xdp`: full',
  oversize: 'with `xdp`: longer than a chunk',
  redirect: 'with `xdp`: sent to a socket that did not get it',
  handler: 'given up by it',
  consumer: '',
  writer: 'not written to the file',
  unread: 'still in the ring at the end',
}

const WORKER: Names<keyof WorkerCounters> = {
  worker: '',
  interface: '',
  cpu: '-1: not pinned',
  packets: '',
  bytes: '',
  offered: '',
  drops: '',
  dropped: '',
  freezes: '',
  truncated: '',
  writtenPackets: '',
  writtenBytes: '',
  blocks: '',
  cpuUserMs: '',
  cpuSystemMs: '',
  handlerMaxMs: '',
  handlerBusyMs: '',
}

export const COUNTERS: Names<keyof CaptureCounters> = {
  seconds: 'length of the interval; since packets flow',
  packets: 'delivered: to the handler, with `-w` to the file, with `--before` into memory',
  bytes: 'of these packets, as on the wire',
  offered: 'packets that the kernel gave to the sockets, dropped ones included. In a summary `offered` = `packets` + `dropped`',
  drops: `by where they were lost: ${named(DROPS)}`,
  dropped: 'sum of `drops`',
  freezes: 'times that the kernel found no free block',
  truncated: 'packets of which not all bytes were captured',
  writtenPackets: 'packets in the files; with `--before` one may be in two',
  writtenBytes: 'bytes that their records take',
  passed: "with `xdp`: packets of queues without a worker, which went on to the kernel's stack; not in `offered`",
  filtered: 'with `xdp`: packets that the filter left to the stack; not in `offered`',
  interfaceDrops: 'packets that the interfaces lost before any socket saw them',
  workers: `one a worker: ${named(WORKER)}`,
}

/** `a`, `b` (what it is), `c`. */
export function named(names: Readonly<Record<string, string>>): string {
  return Object.entries(names)
    .map(([name, what]) => (what === '' ? `\`${name}\`` : `\`${name}\` (${what})`))
    .join(', ')
}

/** A row of a table for each. */
export function rowsOf(names: Readonly<Record<string, string>>): string {
  return Object.entries(names)
    .map(([name, what]) => `| \`${name}\` | ${what} |`)
    .join('\n')
}
