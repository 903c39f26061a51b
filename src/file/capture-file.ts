/** Writing capture files, as users see it: what a file may be, what is written to it, what is told about it. Types alone. */
import type { CaptureError } from '../errors.js'
import type { LinkType } from '../filter/link-type.js'
import type { Compression } from './compression.js'
import type { Precision } from './encode-pcap.js'
import type { InterfaceDescription, Section, StatisticsToWrite } from './encode-pcapng.js'
import type { RotationOptions } from './rotation.js'

export const CAPTURE_FILE_FORMATS = ['pcap', 'pcapng'] as const

export type CaptureFileFormat = (typeof CAPTURE_FILE_FORMATS)[number]

/** An interface as the file describes it. */
export interface FileInterface extends Omit<InterfaceDescription, 'linkType' | 'snapLengthBytes' | 'precision'> {
  /** Default: that of the file. */
  linkType?: LinkType | number | undefined
  /** Default: that of the file. */
  snapLengthBytes?: number | undefined
}

export interface CreateCaptureFileOptions {
  /** Default: by the ending of the name, `.pcap` and `.cap` or `.pcapng`, also with `.gz` or `.zst` behind it; else pcapng. */
  format?: CaptureFileFormat | undefined
  /** Of the time stamps. Default: 'ns'. */
  precision?: Precision | undefined
  /** A name of `tcpdump -y`, or a LINKTYPE_ number. Default: 'EN10MB'. */
  linkType?: LinkType | number | undefined
  /** Length of the frame check sequence that each packet ends in. pcapng says it of each interface. Default: that of `interfaces`, if it is one. */
  fcsBytes?: number | undefined
  /** What was captured on; only pcapng tells. Default: one interface without a name. */
  interfaces?: readonly FileInterface[] | undefined
  /** Packets are cut to so many bytes. Default: 262144. */
  snapLengthBytes?: number | undefined
  /** False: the snap length is what the file says, and longer packets are written as they are. Default: true. */
  cuts?: boolean | undefined
  /** Default: by the ending of the name, `.gz` or `.zst`; else none. zstd needs Node.js 22.15. */
  compression?: Compression | 'none' | undefined
  /** gzip 1 to 9, zstd 1 to 19. Default: 1. */
  compressionLevel?: number | undefined
  /** Whether each packet is written at once (`-U`). Default: false, in buffers of 256 KiB. */
  unbuffered?: boolean | undefined
  /** About the machine and the program that captured; only pcapng tells. Default: the application is ringtap. */
  section?: Section | undefined
  /** A series of files, by the times of the packets. Only for regular files. */
  rotation?: RotationOptions | undefined
  /** A program that is run for each finished file, with its name as the one argument (`-z`); at low priority, two at a time. */
  command?: string | undefined
  /** Whether a process stands by to cut and name the file if this one is killed. Default: false: a hidden `.part` file stays. */
  guard?: boolean | undefined
  /** Ends the waiting for somebody who reads a FIFO. */
  signal?: AbortSignal | undefined
  onEvent?: ((event: FileEvent) => void) | undefined
}

/** A packet to be written. A PacketView and a Packet of `packets()` are such. */
export interface PacketToWrite {
  bytes: Uint8Array
  /** Where in `bytes` it begins. Default: 0. */
  offset?: number | undefined
  /** Default: to the end of `bytes`. */
  capturedLength?: number | undefined
  /** Its length on the wire, capturedLength or more. Default: capturedLength. */
  wireLength?: number | undefined
  /** Since 1970. */
  seconds: number
  nanoseconds: number
  /**
   * False: it has no time stamp. pcapng says so of packets of interface 0 that have no options; others, and all in pcap, are of the time given.
   * Default: true.
   */
  hasTimestamp?: boolean | undefined
  /** Place in `interfaces`. Default: 0. */
  interfaceId?: number | undefined
  /** epb_flags of pcapng, such as `PACKET_FLAGS.inbound`; 0 is as good as none. */
  flags?: number | undefined
  /** Packets lost before it; 0 is as good as none. */
  dropCount?: number | undefined
  /** Receive queue. */
  queue?: number | undefined
  comment?: string | readonly string[] | undefined
  /** Of pcapng alone, as `details()` of a cursor has them. */
  packetId?: bigint | undefined
  hashes?: readonly { algorithm: number; value: Uint8Array }[] | undefined
  verdicts?: readonly { kind: number; value: Uint8Array }[] | undefined
}

/**
 * A capture file that is being written.
 *
 * A write that fails never leaves half a record: the file is cut back to the last whole one. The error is thrown once, by the call in
 * which it shows (`write`, `flush` or `close`), and again only if another one follows; packets that were not written are counted in
 * `dropped`, and later ones are tried again, as a disk may have room again (a pipe that nobody reads any more has not).
 */
export interface CaptureFileWriter extends AsyncDisposable {
  readonly format: CaptureFileFormat
  /** The final name of the file that is being written; undefined for a stream. */
  readonly path: string | undefined
  /** Packets that were taken and not dropped; those in the buffer among them. */
  readonly packets: number
  /** Packets that could not be written. */
  readonly dropped: number
  /** Packets without a time stamp that had to be given one. */
  readonly dated: number
  /** As many files as were ordered (`rotation.files`) are written: what is still given is dropped. */
  readonly isFull: boolean
  /** What went wrong last; of a pipe or stream, what ended it. */
  readonly error: CaptureError | undefined
  /**
   * Adds a packet; its bytes are copied. Answers false when the caller should `await flush()` before it goes on, because a stream or
   * a compressor has enough to do: what is written anyway waits in memory.
   * @throws CaptureError INVALID_OPTION for a packet that cannot be (nothing is written), or FILE_FAILED, once.
   */
  write(packet: PacketToWrite): boolean
  /** Describes one more interface and answers its id. In pcap there is nothing to tell but the link type, which must be that of the file. */
  addInterface(description?: FileInterface): number
  /** A comment for the next packet that is written, before its own. pcap has none. */
  comment(text: string): void
  /** What became of the packets of an interface so far. pcap has no place for it. */
  statistics(interfaceId: number, statistics: StatisticsToWrite): void
  /** A block of pcapng as it is: name resolution, secrets, custom ones, unknown ones. Its body is padded; pcap takes none. */
  block(type: number, body: Uint8Array): void
  /**
   * When everything written so far is with the operating system, or the stream has room again.
   * @throws CaptureError FILE_FAILED, once.
   */
  flush(): Promise<void>
  /**
   * Ends the file, which now gets its name. Idempotent. A stream is ended, too.
   * @throws CaptureError FILE_FAILED for what has not been told yet.
   */
  close(): Promise<void>
  /**
   * Ends a file that is not what it was to be, for something that went wrong: it gets its name where nothing has that, else what has it
   * stays and this is NAME.partial (`path` says so). What goes wrong here is not thrown. Answers what it is called; undefined when there is
   * nothing of it: of a stream, or the last of a series that nothing had been written to.
   */
  closePartial(): Promise<string | undefined>
  /** Ends without a file: what was written is removed, where it was a regular one. Answers the name of one that stays, as it was written in place. */
  discard(): Promise<string | undefined>
}

/** A stream to write to: what `node:stream` calls a Writable. */
export interface WritableTarget {
  readonly writable: boolean
  readonly writableNeedDrain: boolean
  readonly destroyed: boolean
  readonly errored: Error | null
  write(bytes: Uint8Array, done: (error?: Error | null) => void): boolean
  end(): unknown
  destroy(): unknown
  on(event: 'error', listener: (error: Error) => void): unknown
  once(event: 'drain' | 'close' | 'finish' | 'error', listener: () => void): unknown
  off(event: 'drain' | 'close', listener: () => void): unknown
}

export type FileEvent =
  | { type: 'file-finished'; path: string; bytes: number; packets: number }
  /** Its bytes were needed for newer ones. */
  | { type: 'file-removed'; path: string; bytes: number }
  /** The command has put another in its place: `by` is as long as `bytes`. */
  | { type: 'file-replaced'; path: string; by: string; bytes: number }
  /** Of a recording that has ended: all files are complete, and so many commands have not ended. */
  | { type: 'commands-left'; commands: number }
  /** As many files as were ordered are written: the sink takes no more. */
  | { type: 'files-full' }
  /** Something that ends nothing: the next file cannot be made (then the current one goes on), a command has failed. */
  | { type: 'file-warning'; message: string; error?: CaptureError }

/** Whether a file must be neither written over in place nor replaced by one of a series: it is being read. */
export type Spares = (path: string) => boolean
