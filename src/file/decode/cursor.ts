/**
 * What both formats have in common: the cursor that walks over packets, what a file says about itself, and the state of a file that is
 * damaged. Pure.
 *
 * A decoder is the cursor: it reads record after record of a window, and the one object's getters read on demand. It never throws: what
 * ends it is a value, told by whoever drives it.
 */
import type { Matcher } from '../../bpf/matcher.js'
import type { ByteWindow } from './window.js'

/** Walks over packets without allocating: one object for a whole file, moved by `next()`. */
export interface PacketCursor {
  /** Moves to the next packet; false when there is none in this batch. */
  next(): boolean
  /** Memory that holds the packet: bytes `offset` to `offset + capturedLength - 1`. Valid until the next call of `next()`. */
  readonly bytes: Uint8Array
  readonly offset: number
  /** Bytes that are there. */
  readonly capturedLength: number
  /** Bytes that the wire had. */
  readonly wireLength: number
  /** Whole seconds of the time stamp, since 1970. */
  readonly seconds: number
  /** The rest of it, 0 to 999,999,999. */
  readonly nanoseconds: number
  /** False for a simple packet block of pcapng, which has no time: seconds and nanoseconds are 0 then. */
  readonly hasTimestamp: boolean
  /** Place in the file's `interfaces`. */
  readonly interfaceId: number
  /** Number of the link type as capture files have it: 1 is Ethernet. */
  readonly linkType: number
  /** epb_flags of pcapng: bits 0 and 1 direction (1 in, 2 out), 2 to 4 reception (1 unicast, 2 multicast, 3 broadcast, 4 promiscuous). 0 without. */
  readonly flags: number
  /** Packets lost between this one and the one before of its interface, as the file says; 0 without. */
  readonly dropCount: number
  /** The packet's first comment. Allocates. */
  readonly comment: string | undefined
  /** Whether the file may say more of it than lengths and time: without, `flags` and `dropCount` are 0 and there are no comments and details. */
  readonly hasOptions: boolean
  /** Byte of the (uncompressed) file where the packet's record begins. */
  readonly fileOffset: number
  /** A copy of the packet's bytes. Allocates. */
  copy(): Uint8Array<ArrayBuffer>
  /** All that pcapng may say of a packet besides. Allocates. */
  details(): PacketDetails
}

export interface PacketDetails {
  comments: string[]
  /** epb_packetid. */
  packetId: bigint | undefined
  /** epb_queue: of the interface. */
  queue: number | undefined
  /** epb_hash: 2 CRC-32, 3 MD5, 4 SHA-1, 5 Toeplitz. */
  hashes: { algorithm: number; value: Uint8Array<ArrayBuffer> }[]
  /** epb_verdict: 0 hardware, 1 eBPF TC, 2 eBPF XDP. */
  verdicts: { kind: number; value: Uint8Array<ArrayBuffer> }[]
}

/** One interface of a capture file. Of pcap there is one, and only the link type and the snap length are known. */
export interface CaptureFileInterface {
  /** Place in `interfaces`. pcapng numbers them anew in each section; this counts on. */
  readonly id: number
  /** Place in `sections`. */
  readonly section: number
  /** Number as capture files have it. */
  readonly linkType: number
  /** Name as `tcpdump -y` has it, such as `EN10MB`; `LINKTYPE_n` for one that has none here. */
  readonly linkTypeName: string
  /** Bytes kept of a packet; 0 is no limit. */
  readonly snapLengthBytes: number
  /** Time stamps are counted in units of 1 / this of a second. */
  readonly ticksPerSecond: number
  /** if_tsoffset: has been added to every time stamp. */
  readonly timestampOffsetSeconds: number
  readonly name: string | undefined
  readonly description: string | undefined
  /** Of the capture: an expression, or `BPF program of n instructions`. */
  readonly filter: string | undefined
  readonly os: string | undefined
  readonly hardware: string | undefined
  readonly speedBitsPerSecond: number | undefined
  /** `02:00:5e:10:00:01`. */
  readonly macAddress: string | undefined
  /** With prefix or mask: `192.0.2.1/255.255.255.0`, `2001:db8::1/64`. */
  readonly addresses: readonly string[]
  /** Bytes of FCS at the end of each frame; undefined where the file does not say. */
  readonly fcsLengthBytes: number | undefined
  readonly comments: readonly string[]
  /** From the last statistics block of the interface, as far as the file has been read. */
  readonly statistics: InterfaceStatistics | undefined
}

/** Counters of an interface statistics block; what it does not have is undefined. Exact to 2^53. */
export interface InterfaceStatistics {
  /** When they were read. */
  readonly time: FileTime
  readonly startTime: FileTime | undefined
  readonly endTime: FileTime | undefined
  /** isb_ifrecv, isb_ifdrop: packets that the interface received, and dropped for want of room. */
  readonly received: number | undefined
  readonly dropped: number | undefined
  /** isb_filteraccept. */
  readonly accepted: number | undefined
  /** isb_osdrop. */
  readonly droppedByOs: number | undefined
  /** isb_usrdeliv. */
  readonly delivered: number | undefined
  readonly comments: readonly string[]
}

export interface FileTime {
  readonly seconds: number
  readonly nanoseconds: number
}

/** A section of pcapng; pcap has one. */
export interface CaptureFileSection {
  /** Byte of the (uncompressed) file where it begins. */
  readonly fileOffset: number
  readonly byteOrder: 'little-endian' | 'big-endian'
  /** `2.4` of pcap, `1.0` of pcapng. */
  readonly version: string
  readonly hardware: string | undefined
  readonly os: string | undefined
  /** Program that wrote it. */
  readonly application: string | undefined
  readonly comments: readonly string[]
}

/** A name that the capture knew for an address. */
export interface NameRecord {
  readonly address: string
  readonly names: readonly string[]
}

/** A block of pcapng that is no packet, as it stands in the file. */
export interface FileBlock {
  readonly type: number
  readonly fileOffset: number
  readonly byteOrder: 'little-endian' | 'big-endian'
  /** The whole block, type and both lengths with it. A copy. */
  readonly bytes: Uint8Array<ArrayBuffer>
}

export interface Damage {
  readonly offset: number
  readonly reason: string
}

/** Decides what a packet of an interface must be to be delivered; undefined is every packet. May throw: then the file ends there with what was thrown. */
export type MatcherFor = (described: CaptureFileInterface, littleEndian: boolean) => Matcher | undefined

export interface DecoderOptions {
  tolerant: boolean
  matcherFor: MatcherFor | undefined
  onBlock: ((block: FileBlock) => void) | undefined
}

export type Format = 'pcap' | 'pcapng'

/** A cursor, and what a driver needs to know beside. */
export interface Decoder extends PacketCursor {
  readonly format: Format
  readonly window: ByteWindow
  readonly interfaces: readonly CaptureFileInterface[]
  readonly sections: readonly CaptureFileSection[]
  readonly names: readonly NameRecord[]
  /** What kept it from going on. */
  readonly damage: Damage | undefined
  /** What a matcher's maker or `onBlock` threw. */
  readonly failure: { thrown: unknown } | undefined
  /** Bytes passed over because they could not be decoded; `tolerant` only. */
  readonly skippedBytes: number
  /** Set when `next()` answers false; whoever hands the cursor out clears it. */
  isDrained: boolean
  /** Decodes what stands before the first packet, as far as it is there. Answers whether all of it was: nothing more has to be read for it. */
  readAhead(): boolean
}

export const NO_DETAILS: PacketDetails = { comments: [], packetId: undefined, queue: undefined, hashes: [], verdicts: [] }
