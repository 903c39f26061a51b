/** What `ringtap capture` prints, as text made from the library's results. Pure. */
import type { CpuLoad } from '../host/index.js'
import type {
  CaptureCounters,
  CaptureError,
  CaptureEvent,
  CapturePlan,
  CaptureStats,
  CaptureSummary,
  Drops,
  Ledger,
  PastPlan,
  WorkerCounters,
  WriteOutlook,
  WritePlan,
} from '../index.js'
import { alignColumns, formatBytes, formatCount, formatDecimal, formatSeconds, plural } from './human.js'
import { toJson } from './to-json.js'

/** tcpdump's "listening on" line, and how. */
export function listeningLine(plan: CapturePlan): string {
  const parts = [
    `listening on ${plan.interfaces.join(', ')}`,
    'link-type EN10MB (Ethernet)',
    `snapshot length ${plan.snapLengthBytes} bytes`,
    `backend ${plan.backend}`,
    workersText(plan),
    plan.backend === 'xdp'
      ? `${formatBytes(plan.xdp.memoryBytes)} of chunks a worker`
      : plan.backend === 'ring'
        ? `ring ${formatBytes(plan.ring.blockBytes * plan.ring.blockCount)} (${plan.ring.blockCount} x ${formatBytes(plan.ring.blockBytes)})`
        : `socket buffer ${formatBytes(plan.receiveBufferBytes)}`,
  ]
  if (plan.write?.past !== undefined) parts.push(pastText(plan.write.past))
  if (plan.write !== undefined) parts.push(`writing ${writeText(plan.write)}`)
  if (plan.user !== undefined) parts.push(`as user ${plan.user}`)
  if (plan.netns !== undefined) parts.push(`namespace ${plan.netns}`)
  return parts.join(', ')
}

function writeText({ format, compression, path, rotation, perWorker, order }: WritePlan): string {
  const { sizeBytes, seconds, files, keepBytes } = rotation ?? {}
  const rules = [
    sizeBytes === undefined ? [] : `another after ${formatDecimal(sizeBytes, 'B')}`,
    seconds === undefined ? [] : `another after ${seconds} s`,
    files === undefined ? [] : sizeBytes === undefined ? `${files} in all` : `a ring of ${files}`,
    keepBytes === undefined ? [] : `at most ${formatBytes(keepBytes)}`,
  ].flat()
  const what = compression === 'none' ? format : `${format} by ${compression}`
  const where = path === '-' ? 'stdout' : path
  return `${what} to ${where}${perWorker ? ', a file a worker' : ''}${order ? ', in order of time' : ''}${rules.length === 0 ? '' : ` (${rules.join(', ')})`}`
}

/** What the last part, `writing ...`, waits for. */
function pastText({ beforeMs, beforeSizeBytes, trigger }: PastPlan): string {
  const signal = 'a signal (SIGUSR1)'
  return `${formatSeconds(beforeMs / 1000)} kept in ${formatBytes(beforeSizeBytes)} until ${trigger === undefined ? signal : `${signal} or '${trigger}'`}`
}

function shownTime(ms: number): string {
  return new Date(ms).toISOString()
}

function workersText(plan: CapturePlan): string {
  if (plan.workersPerInterface === 'queues') return 'a worker for each receive queue'
  const workers = plural(plan.workersPerInterface, 'worker')
  const each = plan.interfaces.length > 1 ? ' an interface' : ''
  return `${workers}${each}${plan.workersPerInterface > 1 && plan.fanout !== undefined ? ` (fanout ${plan.fanout.mode})` : ''}`
}

/** The line a second; with `perWorker` one more for each worker. */
export function intervalLines(stats: CaptureStats, perWorker: boolean): string[] {
  const line = [
    formatSeconds(stats.total.seconds).padStart(8),
    formatDecimal(stats.packetsPerSecond, 'pps').padStart(9),
    formatDecimal(stats.bitsPerSecond, 'bit/s').padStart(11),
    `${formatCount(stats.dropsPerSecond).padStart(5)} drops/s${dropNames(stats.drops, stats.dropped)}${interfaceDropsText(stats)}`,
  ].join('  ')
  if (!perWorker) return [line]
  const rows = stats.workers.map((worker) => workerCells(worker, stats.seconds))
  return [line, ...alignColumns(rows, new Set([1, 2, 3])).map((row) => `          ${row}`)]
}

function workerCells(worker: WorkerCounters, seconds: number): string[] {
  const perSecond = (value: number): number => (seconds > 0 ? value / seconds : 0)
  const share = (ms: number): string => `${Math.round(perSecond(ms) / 10)}%`
  const notes = [`user ${share(worker.cpuUserMs)}, system ${share(worker.cpuSystemMs)}`]
  if (worker.handlerMaxMs > 0) notes.push(`handler at most ${milliseconds(worker.handlerMaxMs)} a block`)
  if (worker.handlerBusyMs >= 100) notes.push(`in the handler for ${milliseconds(worker.handlerBusyMs)} now`)
  return [
    workerName(worker),
    formatDecimal(perSecond(worker.packets), 'pps'),
    formatDecimal(perSecond(worker.bytes * 8), 'bit/s'),
    `${formatCount(perSecond(worker.dropped))} drops/s${dropNames(worker.drops, worker.dropped)}`,
    notes.join(', '),
  ]
}

function workerName(worker: WorkerCounters): string {
  return `worker ${worker.worker} ${worker.interface}${worker.cpu < 0 ? '' : ` cpu ${worker.cpu}`}`
}

function dropNames(drops: Drops, dropped: number): string {
  if (dropped === 0) return ''
  const names = Object.entries(drops).filter(([, count]) => count > 0)
  return ` (${names.map(([name, count]) => (names.length === 1 ? name : `${name} ${count}`)).join(', ')})`
}

function interfaceDropsText(stats: CaptureStats): string {
  return stats.interfaceDrops === 0 ? '' : `, ${plural(stats.interfaceDrops, 'packet')} dropped by interface`
}

/** tcpdump's lines, in its words; a loss that tcpdump has no word for is said when there is one. */
export function summaryLines(counters: CaptureCounters): string[] {
  const { drops } = counters
  const lines = [
    `${plural(counters.packets, 'packet')} captured`,
    `${plural(counters.offered, 'packet')} received by filter`,
    `${plural(drops.ring + drops.socket + drops.fillRing + drops.rxRing + drops.oversize + drops.redirect, 'packet')} dropped by kernel`,
  ]
  if (counters.passed > 0) lines.push(`${plural(counters.passed, 'packet')} of queues without a worker passed to the stack`)
  if (counters.filtered > 0) lines.push(`${plural(counters.filtered, 'packet')} not matching the filter passed to the stack`)
  if (counters.interfaceDrops > 0) lines.push(`${plural(counters.interfaceDrops, 'packet')} dropped by interface`)
  if (drops.handler > 0) lines.push(`${plural(drops.handler, 'packet')} dropped by handler`)
  if (drops.consumer > 0) lines.push(`${plural(drops.consumer, 'packet')} dropped by consumer`)
  if (drops.writer > 0) lines.push(`${plural(drops.writer, 'packet')} not written`)
  if (drops.unread > 0) lines.push(`${plural(drops.unread, 'packet')} left unread`)
  return lines
}

/** The answer to SIGUSR2, of which tcpdump writes out what it has buffered: here nothing waits for it. */
export function waitingLines({ write }: CapturePlan): string[] {
  if (write === undefined) return ['ringtap: SIGUSR2: nothing is written, there is no -w']
  if (write.past !== undefined) return ['ringtap: SIGUSR2: what is remembered is written at a trigger (SIGUSR1)']
  const wait = write.compression === 'none' ? '100 ms' : 'a second'
  const place = write.order ? ', but for those that wait for their place in order of time' : ''
  return [`ringtap: SIGUSR2: packets are written within ${wait} without it${place}`]
}

/** What became of `-w`. */
export function writtenLines({ files, packetsInFiles, writtenPackets, writtenBytes }: CaptureSummary): string[] {
  const written = `${plural(writtenPackets, 'packet')} written`
  const size = formatBytes(writtenBytes)
  if (files.length > 0 && packetsInFiles >= writtenPackets) return [`${written} to ${filesText(files)} (${size})`]
  if (files.length > 0)
    return [`${written} (${size}); ${packetsInFiles} are in the ${files.length === 1 ? 'file that remains' : 'files that remain'}: ${filesText(files)}`]
  return writtenPackets === 0 ? [] : [`${written} (${size}), and no file of them remains`]
}

/** Of a long series the first and the last. */
function filesText(files: readonly string[]): string {
  const names = files.map((file) => (file === '-' ? 'stdout' : file))
  return names.length <= 4 ? names.join(', ') : `${names.length} files, ${names[0]} to ${names.at(-1)}`
}

/** With -v: what each worker did, and what it cost. */
export function summaryDetailLines(summary: CaptureSummary): string[] {
  const nanoseconds = (ms: number): string => (summary.packets === 0 ? '' : ` (${Math.round((ms * 1e6) / summary.packets)} ns a packet)`)
  return [
    ...summary.workers.map(
      (worker) =>
        `${workerName(worker)}: ${worker.packets} captured, ${worker.dropped} dropped, ` +
        `${worker.freezes} freezes, ${worker.truncated} truncated, handler at most ${milliseconds(worker.handlerMaxMs)} a block`,
    ),
    `${formatSeconds(summary.seconds)}, user ${milliseconds(summary.cpuUserMs)}${nanoseconds(summary.cpuUserMs)}, ` +
      `system ${milliseconds(summary.cpuSystemMs)}${nanoseconds(summary.cpuSystemMs)}, ended by: ${summary.reason}`,
  ]
}

const OUTLOOK = {
  retry: 'packets that cannot be written are counted; the capture goes on, and writing is tried again',
  over: 'packets that were not written are counted; nothing more is written there',
  trigger: 'the capture goes on, and keeps what it remembers; the next trigger tries again',
} as const satisfies Record<WriteOutlook, string>

export function eventLines(event: CaptureEvent): string[] {
  switch (event.type) {
    case 'interface-down':
      return [`ringtap: ${event.interface} went down`, '  the capture goes on when it is up again']
    case 'interface-up':
      return [`ringtap: ${event.interface} is up again`]
    case 'worker-replaced':
      return [`ringtap: worker ${event.worker} of ${event.interface} was replaced: ${event.error.message}`]
    case 'xdp':
      return [`ringtap: ${event.interface}: ${xdpText(event)}`]
    case 'write-error':
      return [`ringtap: ${event.error.message}`, `  ${OUTLOOK[event.outlook]}`]
    case 'file-finished':
      return []
    case 'file-removed':
    case 'file-replaced':
      return []
    case 'commands-left':
      return [`ringtap: waiting for ${plural(event.commands, 'command')}; Ctrl-C leaves ${event.commands === 1 ? 'it' : 'them'}`]
    case 'files-full':
      return ['ringtap: as many files as were ordered are written']
    case 'file-warning':
      return event.error?.hint === undefined ? [`ringtap: warning: ${event.message}`] : [`ringtap: warning: ${event.message}`, `  ${event.error.hint}`]
    case 'triggered':
      return [`ringtap: trigger: ${event.reason}: writing ${event.path}`]
    case 'past-written':
      return [`ringtap: ${plural(event.packets, 'packet')} from ${shownTime(event.fromMs)} to ${shownTime(event.untilMs)} written to ${event.path}`]
    case 'warning':
      return event.hint === undefined ? [`ringtap: warning: ${event.message}`] : [`ringtap: warning: ${event.message}`, `  ${event.hint}`]
  }
}

/** The chain of modes, and what came of it. */
function xdpText(xdp: Extract<CaptureEvent, { type: 'xdp' }>): string {
  const tried = xdp.tried.map(({ mode, reason }) => `no ${mode} (${reason})`)
  const parts = [
    `AF_XDP in ${xdp.mode} mode`,
    `${xdp.served} of ${plural(xdp.queues, 'receive queue')}`,
    `${xdp.chunks} chunks of ${formatBytes(xdp.chunkBytes)} each`,
    xdp.multiBuffer ? 'longer packets whole' : 'longer packets dropped',
  ]
  if (xdp.hugepages) parts.push('huge pages')
  if (xdp.hardwareHints.includes('timestamp')) parts.push('time stamps of the NIC')
  if (xdp.hardwareHints.includes('vlan')) parts.push('VLAN tags that the NIC takes out')
  return [...tried, parts.join(', ')].join('; ')
}

export function startDocument(plan: CapturePlan): string {
  const {
    netns = null,
    filter = null,
    fanout = null,
    pin = null,
    direction = null,
    count = null,
    durationMs = null,
    write,
    user = null,
    otherwise,
    xdp,
    ...rest
  } = plan
  const chunkBytes = xdp.chunkBytes ?? null
  return JSON.stringify({
    type: 'start',
    ...rest,
    xdp: { ...xdp, chunkBytes },
    netns,
    filter,
    fanout,
    pin,
    direction,
    count,
    durationMs,
    write: write === undefined ? null : writeDocument(write),
    user,
  })
}

function writeDocument(write: WritePlan): object {
  return {
    ...write,
    compressionLevel: write.compressionLevel ?? null,
    rotation: write.rotation ?? null,
    command: write.command ?? null,
    past: write.past ?? null,
  }
}

/** `cpus`: load of each CPU in this interval. */
export function intervalDocument(stats: CaptureStats, cpus: readonly CpuLoad[]): string {
  return JSON.stringify({ type: 'interval', ...stats, cpus })
}

/** The answer to SIGUSR1: counters since the start. */
export function countersDocument(counters: CaptureCounters): string {
  return JSON.stringify({ type: 'event', event: 'counters', ...counters })
}

/** With the load of each CPU over the whole capture, and the rest of the ledger where it was asked for. */
export function summaryDocument(summary: CaptureSummary, { cpus, seconds: _, ...ledger }: Ledger, withLedger: boolean): string {
  return JSON.stringify({ type: 'summary', ...summary, cpus, ...(withLedger ? { ledger } : {}) })
}

export function snapshotDocument(snapshot: unknown): string {
  return JSON.stringify({ type: 'snapshot', value: toJson(snapshot) })
}

/** `event` says which of the events, as `type` already says that it is one. */
export function eventDocument(event: CaptureEvent): string {
  const { type, ...rest } = event
  // An Error has no fields of its own that JSON shows.
  const error = 'error' in event && event.error !== undefined ? { error: errorFields(event.error) } : {}
  return JSON.stringify({ type: 'event', event: type, ...rest, ...error })
}

function errorFields({ code, message, errnoName }: CaptureError): object {
  return { code, message, ...(errnoName === undefined ? {} : { errnoName }) }
}

function milliseconds(ms: number): string {
  return ms >= 10_000 ? `${(ms / 1000).toFixed(1)} s` : ms >= 10 ? `${Math.round(ms)} ms` : `${Number(ms.toFixed(2))} ms`
}
