/** The library's options and results: types only. Their meanings are the documentation; docs/library.md is written from them. */
import type { CaptureError } from '../errors.js'
import type { CaptureFileFormat, FileEvent } from '../file/capture-file.js'
import type { Compression } from '../file/compression.js'
import type { Precision } from '../file/encode-pcap.js'
import type { RotationOptions } from '../file/rotation.js'
import type { Direction } from '../source/packet-socket.js'
import type { HardwareHint } from '../source/xdp-hints.js'
import { XDP_MODES as MODES, type XdpMode } from '../source/xdp-mode.js'
import type { XdpInForce } from '../source/xdp-socket.js'
import type { ClosableIterator } from './closable.js'
import type { Ledger } from './ledger.js'

export const BACKENDS = ['auto', 'ring', 'recv', 'xdp'] as const
/**
 * `ring` is a TPACKET_V3 ring, `recv` a socket read in batches by recvmmsg(2), `xdp` AF_XDP sockets, which take packets away from
 * this host. `auto` takes `ring`; with `exclusive` it takes `xdp` where the interface's driver has it.
 */
export type Backend = (typeof BACKENDS)[number]

export const FANOUT_MODES = ['cpu', 'hash', 'lb', 'qm', 'rnd', 'rollover', 'cbpf', 'ebpf'] as const
/**
 * PACKET_FANOUT_CPU and so on: how the kernel spreads packets over the workers of one interface. `ebpf` is by flow, by a program of
 * ringtap's own (Linux 4.18, CAP_BPF): both directions of a flow go to one worker, and fragments by their addresses, so that all of a
 * packet do.
 */
export type FanoutMode = (typeof FANOUT_MODES)[number]

export const XDP_MODES = ['auto', ...MODES] as const

export interface FanoutOptions {
  /** Default `cpu`. */
  mode?: FanoutMode
  /** Reassemble IPv4 fragments first, so that they reach one worker. Default false. Costs memory under a fragment flood. */
  defrag?: boolean
  /** A full worker passes packets on to the next: reorders flows. Default false. Not with mode `rollover`. */
  rollover?: boolean
  /** The group takes no packets that this host sends. Linux 6.2. Default: what `direction` says. */
  ignoreOutgoing?: boolean
  /**
   * For mode `cbpf`: a classic BPF program that answers the worker's index, as `[code, jt, jf, k]` rows. Plain offsets count from
   * the network header of packets that arrive; SKF_LL_OFF counts from the link header.
   */
  program?: readonly (readonly [code: number, jt: number, jf: number, k: number])[]
}

export type { Direction, HardwareHint, XdpInForce, XdpMode }

/** Names and meanings are those of `createCaptureFile`. */
export interface WriteOptions {
  /** The file, or `-` for stdout. A regular file appears under its name when it is complete; what has the name is there until then. A FIFO is waited for until somebody reads it. */
  path: string
  /** Default: `pcap` for a path that ends in .pcap, .cap or .dmp, also before .gz and .zst, else `pcapng`, which also has names, the filter and the drops of interfaces. */
  format?: CaptureFileFormat | undefined
  /** Of the time stamps; `us` is for readers that know no others. Default `ns`. */
  precision?: Precision | undefined
  /** Default: by the ending of the path, `.gz` or `.zst`; else `none`. Workers compress what they write. zstd needs Node.js 22.15. */
  compression?: Compression | 'none' | undefined
  /** gzip 1 to 9, zstd 1 to 19. Default 1. */
  compressionLevel?: number | undefined
  /** A file for each worker, its number before the ending: `x.0.pcapng`. Default false: one file, in order within a worker. */
  perWorker?: boolean | undefined
  /**
   * One file in order of time: records of all workers are put in order within a window of 40 MiB a worker, and 1 GiB in all. A packet that
   * comes later than that, or more than 10 ms behind one of its own ring, is written behind its place, and a `file-warning` at the end
   * tells how many. Default false: whole buffers, in order within a worker.
   */
  order?: boolean | undefined
  /** Write after each block or batch. Default false: when a buffer of 1 MiB is full, or has waited for a tenth of a second (compressed: a second). */
  unbuffered?: boolean | undefined
  /** A series of files instead of one, by size, by time, or both. With `perWorker` each worker has a series of its own, and `keepBytes` is shared out evenly. */
  rotation?: RotationOptions | undefined
  /** A program that is run for each finished file, with its name as the one argument, at the lowest priority, two at a time. */
  command?: string | undefined
  /** A process stands by to cut the files to whole records and give them their names if this one is killed. Default true; for regular files only. */
  guard?: boolean | undefined
  /**
   * Time machine: packets are kept in memory, and nothing is written until `trigger()` is called or `trigger` matches. The file then
   * begins so many milliseconds before that, as far as `beforeSizeBytes` reach. Default: an ordinary recording.
   */
  beforeMs?: number | undefined
  /** Memory for that, of all workers together; taken when the capture opens. Default 256 MiB; 2 MiB to 3 GiB a worker. */
  beforeSizeBytes?: number | undefined
  /** So long after the trigger the file ends. Default 10000. */
  afterMs?: number | undefined
  /** A packet that matches this expression of pcap-filter(7) triggers. Default: none does. */
  trigger?: string | undefined
}

/** `write` with every default filled in. */
export interface WritePlan {
  path: string
  format: CaptureFileFormat
  precision: Precision
  compression: Compression | 'none'
  compressionLevel: number | undefined
  perWorker: boolean
  order: boolean
  unbuffered: boolean
  rotation: RotationOptions | undefined
  command: string | undefined
  guard: boolean
  /** A time machine; undefined for an ordinary recording. */
  past: PastPlan | undefined
}

export interface CaptureOptions {
  /** Name of an interface, or several: each gets its own workers. */
  interface: string | readonly string[]
  /** Network namespace: a name in /run/netns, a path, or a pid. Default: this process's. Needs CAP_SYS_ADMIN. */
  netns?: string | undefined
  /** Default `auto`. */
  backend?: Backend | undefined
  /**
   * Nothing else on this host needs the interface: AF_XDP may take its packets, which then reach neither the kernel's stack nor any
   * other capture. Default false: `auto` never takes `xdp`, and `xdp` refuses an interface that has an address or a route.
   */
  exclusive?: boolean | undefined
  /** Workers an interface, each a thread with a socket of its own; `auto` is one for each CPU that this process may use. Default 1. At most 256. With `xdp` worker i serves receive queue i: default and `auto` are one for each queue, and packets of queues without one pass to the kernel's stack, counted as `passed`. */
  workers?: number | 'auto' | undefined
  /** How packets are spread over more than one worker. Default mode `cpu`. Not with `xdp`, where the NIC's queues do it. */
  fanout?: FanoutMode | FanoutOptions | undefined
  /** CPU of each worker of the capture in turn, used again from the start when there are more workers; `queues` pins worker i to the CPU that serves receive queue i. Default: not pinned. */
  pin?: readonly number[] | 'queues' | undefined
  /** Memory of each worker's ring in bytes, a multiple of `blockBytes`; of its chunks (UMEM) with `xdp`, a power of two. Default 64 MiB. Not with `recv`. */
  ringBytes?: number | undefined
  /** Instead of `ringBytes`: a ring that loses nothing while its worker stands still for this many milliseconds and minimum-size packets come at this rate (of one worker). */
  ringHold?: { ms: number; packetsPerSecond: number } | undefined
  /** Bytes of a block, a multiple of the page size. Default 2 MiB, or less where `ringBytes` is not a multiple of that or would be fewer than 16 blocks. `ring` only. */
  blockBytes?: number | undefined
  /** How long a block that is not full waits before it is handed over (`tp_retire_blk_tov`), 1 to 65535. Default 20. With `xdp`: how long a busy worker that has read everything lets packets gather; default 1. Not with `recv`. */
  blockTimeoutMs?: number | undefined
  /** Socket receive buffer in bytes (SO_RCVBUFFORCE, else SO_RCVBUF). Default 2 MiB: a longer queue survives longer bursts, but its packets have left the caches when they are read. `recv` only. */
  receiveBufferBytes?: number | undefined
  /** Packets a recvmmsg(2) call, 1 to 1024. Default 64. `recv` only. */
  batch?: number | undefined
  /**
   * Of `xdp`: `zero-copy`, where the NIC writes into the capture's memory; `native`, where its driver copies; `generic`, where the
   * stack copies from an skb, on any interface. A mode that does not go is an error. Default `auto`: the first that goes, in this
   * order; an `xdp` event tells which and why.
   */
  xdpMode?: XdpMode | 'auto' | undefined
  /** Bytes of a chunk of `xdp`, 2048 or 4096; 258 of them are not for the packet. Default 2048, or 4096 where the MTU is longer. Packets of several chunks need Linux 6.6. */
  chunkBytes?: number | undefined
  /** `xdp` only: poll the driver instead of waiting for its interrupts, for so many microseconds a call (SO_BUSY_POLL, SO_PREFER_BUSY_POLL; Linux 5.11). The worker then never sleeps. Default 0: off. */
  busyPollUs?: number | undefined
  /**
   * `xdp` only: ask the driver for what it knows of each packet beside its bytes, the NIC's time stamp (Linux 6.3) and the VLAN tag
   * that the NIC took out of the frame (Linux 6.8). What there is not, as in generic mode, a `warning` tells, and the capture goes
   * on without. Default false.
   */
  hardwareHints?: boolean | undefined
  /**
   * Takes only packets that match this expression of pcap-filter(7), tested in the kernel: what does not match is not offered. Names
   * are looked up when the capture opens. With `xdp` what does not match goes on to the kernel's stack, counted as `filtered`.
   * Default: every packet.
   */
  filter?: string | undefined
  /** Bytes kept of each packet, 1 to 262144. Default 262144. */
  snapLengthBytes?: number | undefined
  /** Take packets that are not for this host as well. Default true. Ends with the process, whatever happens. */
  promiscuous?: boolean | undefined
  /** Default `inout`; on a loopback interface `in`, where the kernel shows each packet twice. `xdp` sees packets that arrive only. */
  direction?: Direction | undefined
  /** End after this many packets over all workers. */
  count?: number | undefined
  /** End after this many milliseconds. */
  durationMs?: number | undefined
  /** Records every packet to a file, or several, VLAN tags put back where the wire had them. Beside a handler: each packet that it was given. Default: none. */
  write?: WriteOptions | undefined
  /**
   * The whole process becomes this user, with its groups and for good, when everything is open: sockets, rings, files, handlers. Files are
   * made, and belong to it, as if it had begun them. Root only; `root` changes nothing.
   */
  user?: string | undefined
  /** Module whose default export is a handler; see `ringtap/handler`. Default: count packets and bytes. */
  handler?: URL | string | undefined
  /**
   * How many workers that died (their handler threw, or their thread ended) are replaced, over the whole capture. The new worker
   * has a new handler state and goes on where the old one stopped; the block that it died over is not delivered again. Default 0:
   * the first error ends the capture.
   */
  workerRestarts?: number | undefined
  /** Given to the handler's `open`, structured-cloned. */
  handlerData?: unknown | undefined
  /** Ends the capture normally when aborted. */
  signal?: AbortSignal | undefined
  /** Called on the main thread for what happens to interfaces and workers. */
  onEvent?: ((event: CaptureEvent) => void) | undefined
}

export type CaptureEvent =
  /** The interface went down; the capture waits for it. */
  | { type: 'interface-down'; interface: string }
  /** It is up again and packets flow. */
  | { type: 'interface-up'; interface: string }
  /** A worker died of `error` and another took its place: the same socket, the same place in the fanout group. */
  | { type: 'worker-replaced'; interface: string; worker: number; error: CaptureError }
  /** How `xdp` captures an interface: the modes that were tried, and what is in force. */
  | ({ type: 'xdp'; interface: string } & XdpInForce)
  /** A file could not be written; the capture goes on. Told once for each file and reason. */
  | { type: 'write-error'; path: string; error: CaptureError; outlook: WriteOutlook }
  /** Of the files of `write`: finished and under its name, removed, no more to come, or something that ends nothing. */
  | FileEvent
  /** A file of a time machine is begun, or becomes longer. */
  | { type: 'triggered'; reason: string; path: string }
  /** It is complete. */
  | ({ type: 'past-written' } & TriggeredFile)
  /** Something that the kernel granted only in part: a smaller ring, a smaller buffer, queues without a worker. */
  | { type: 'warning'; message: string; hint?: string }

/**
 * What comes of it. `retry`: packets are lost as the drop `writer`, and writing is tried again. `over`: the same, but nothing more is written
 * there, a pipe whose reader takes nothing, or a file that half a record cannot be cut away from. `trigger`, of a time machine: there is no
 * file, or not a whole one; nothing that is remembered is lost, and the next trigger tries again.
 */
export type WriteOutlook = 'retry' | 'over' | 'trigger'

/** A complete file of a time machine. */
export interface TriggeredFile {
  path: string
  /** Packets in it. */
  packets: number
  /** It has every packet of this span that was delivered, milliseconds since 1970. Later than asked where memory did not reach back so far. */
  fromMs: number
  untilMs: number
}

/** Packets that were offered and not delivered, by where they were lost. Only these; their sum is `dropped`. */
export interface Drops {
  /** The ring was full, or its next block still in the worker's hands (`tp_drops`). */
  ring: number
  /** The socket's receive buffer was full (`tp_drops`). */
  socket: number
  /** No chunk was free to receive into (`rx_dropped` of XDP_STATISTICS for want of entries in the FILL ring). */
  fillRing: number
  /** The RX ring was full (`rx_ring_full`). */
  rxRing: number
  /** Longer than a chunk, where packets of several are not to be had (the rest of `rx_dropped`). */
  oversize: number
  /** The XDP program sent it to the worker's socket, and the kernel gave it to none: seen while an interface changes its queues. */
  redirect: number
  /** Given up by the handler through `countDrops`, or not handed to it because it threw. */
  handler: number
  /** Given up by the loss policy of `packets()`. */
  consumer: number
  /** Could not be written to the file of `write`. */
  writer: number
  /** In the ring or the socket when the capture ended before they were read: after `count`, or an error. With `workerRestarts` also what a worker that died had in hand and not counted. */
  unread: number
}

export interface PacketCounters {
  /** Packets delivered: to the handler, and where they are recorded, written to the file; with `beforeMs`, into memory. */
  packets: number
  /** Their bytes on the wire. */
  bytes: number
  /** Packets that the kernel gave to the sockets, dropped ones included (`tp_packets`; with `xdp` what the XDP program sent to them). packets + sum(drops) equals it once the capture has ended. */
  offered: number
  drops: Drops
  /** Sum of `drops`. */
  dropped: number
  /** Times that the kernel found no free block (`tp_freeze_q_cnt`). */
  freezes: number
  /** Delivered packets of which not all bytes were captured. */
  truncated: number
  /** Packets in the files of `write`, and the bytes that their records take; with `beforeMs` a packet may be in two. */
  writtenPackets: number
  writtenBytes: number
}

export interface WorkerCounters extends PacketCounters {
  worker: number
  interface: string
  /** Blocks, or batches of `recv`, that were handed over. */
  blocks: number
  /** The CPU that the worker is pinned to, -1 if not pinned. */
  cpu: number
  /** CPU time of the worker's thread. */
  cpuUserMs: number
  cpuSystemMs: number
  /** Longest time that the handler took over one block, and the time since it was given the block that it has now (0: none). */
  handlerMaxMs: number
  handlerBusyMs: number
}

export interface CaptureCounters extends PacketCounters {
  /** Seconds since packets flow. */
  seconds: number
  workers: WorkerCounters[]
  /** Packets of receive queues without a worker, which passed to the kernel's stack instead; `xdp` only. Not part of `offered`. */
  passed: number
  /** Packets that the filter left to the kernel's stack; `xdp` only, a socket's filter counts none. Not part of `offered`. */
  filtered: number
  /** Packets that the interfaces themselves lost since the capture began, before any socket saw them: rx_missed_errors and rx_fifo_errors, as tcpdump reports. */
  interfaceDrops: number
}

/** One interval: the counters are its own, not totals. `total` holds those. */
export interface CaptureStats extends CaptureCounters {
  packetsPerSecond: number
  bitsPerSecond: number
  dropsPerSecond: number
  total: CaptureCounters
}

export interface CaptureSummary extends CaptureCounters {
  backend: 'ring' | 'recv' | 'xdp'
  /** null with one worker an interface, and with `xdp`. */
  fanout: FanoutMode | null
  /** One entry an interface; null but for `xdp`. */
  xdp: ({ interface: string } & XdpInForce)[] | null
  /** Paths of the files that were written, by the names that commands gave them, but for those that were removed again. */
  files: string[]
  /** How many packets are in them: fewer than `writtenPackets` where files were written over or removed. */
  packetsInFiles: number
  /** CPU time of the whole process since packets flow. */
  cpuUserMs: number
  cpuSystemMs: number
  /**
   * Why it ended. `files`: as many as were ordered are written; `reader`: nobody reads the pipe any more that was written to; `failed`: by
   * an error, which `finished` rejects with.
   */
  reason: 'count' | 'duration' | 'stopped' | 'aborted' | 'files' | 'reader' | 'failed'
}

export interface Capture extends AsyncDisposable {
  /** What was asked for, with every default filled in. Printable. */
  readonly plan: CapturePlan
  /** Now, consistent within each worker. */
  counters(): CaptureCounters
  /**
   * Where every packet went until now, from the wire to the handler, each number with its source. Reads the machine's counters: a few
   * system calls an interface. After the end it is final, and `sockets.residual` 0 or a bug; what else the residual of an interface
   * may come from, its `caveats` say. Needs no privilege; what cannot be read stands in `unread`.
   */
  ledger(): Ledger
  /**
   * One value an interval (default 1000 ms, at most 2147483647) until the capture ends, or it is closed itself; ends normally, also on abort.
   * An error of the capture is thrown.
   */
  stats(options?: { intervalMs?: number }): ClosableIterator<CaptureStats>
  /** The handlers' snapshots, folded by `merge`; undefined when the handler has none. */
  snapshot<T = unknown>(): Promise<T | undefined>
  /**
   * With `write.beforeMs`: writes a file of what is remembered and what comes. Resolves when it is complete. While one is being written
   * it makes that longer. The reason, of at most 1000 characters, stands in the file.
   * Rejects with a CaptureError INVALID_OPTION without `write.beforeMs` and after the end; FILE_FAILED when the file cannot be made.
   */
  trigger(reason?: string): Promise<TriggeredFile>
  /** After the event `commands-left`: `finished` waits for no command any more. Those that run go on, alone; the others are not begun. */
  leaveCommands(): void
  /** Settles when the capture has ended and everything is closed; rejects with the error that ended it. */
  readonly finished: Promise<CaptureSummary>
  /**
   * After the end what `finished` resolves to, also of a capture that an error has ended; undefined until then. It is there when the files are
   * complete, while commands may run that give them other names.
   */
  summary(): CaptureSummary | undefined
  /** Ends the capture; idempotent. Resolves as `finished` does. */
  stop(): Promise<CaptureSummary>
  [Symbol.asyncDispose](): Promise<void>
}

/** Of a time machine. */
export interface PastPlan {
  beforeMs: number
  beforeSizeBytes: number
  afterMs: number
  trigger: string | undefined
}

/** Every decision that needs no kernel, as plain data. */
export interface CapturePlan {
  backend: 'ring' | 'recv' | 'xdp'
  interfaces: string[]
  netns: string | undefined
  /** `queues`: one for each receive queue, `xdp` only. */
  workersPerInterface: number | 'queues'
  fanout: (Required<Pick<FanoutOptions, 'mode' | 'defrag' | 'rollover'>> & Pick<FanoutOptions, 'ignoreOutgoing' | 'program'>) | undefined
  pin: number[] | 'queues' | undefined
  ring: { blockBytes: number; blockCount: number; blockTimeoutMs: number }
  xdp: {
    /** `driver` is `auto` without `generic`: what `backend: 'auto'` takes. */
    mode: XdpMode | 'auto' | 'driver'
    memoryBytes: number
    chunkBytes: number | undefined
    coalesceMs: number
    busyPollUs: number
    hints: boolean
  }
  exclusive: boolean
  /** The plan for when AF_XDP is not to be had; `backend: 'auto'` only. */
  otherwise: CapturePlan | undefined
  receiveBufferBytes: number
  batch: number
  /** The expression; undefined takes every packet. */
  filter: string | undefined
  snapLengthBytes: number
  promiscuous: boolean
  direction: Direction | undefined
  count: number | undefined
  durationMs: number | undefined
  write: WritePlan | undefined
  user: string | undefined
  workerRestarts: number
}

export type { CaptureError }
