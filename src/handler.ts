/**
 * The handler contract: what runs inside each worker, once a packet or once a block. Public as `ringtap/handler`.
 * Built-in handlers and users' handlers come through this same door, live, over a file and in a unit test.
 */

/**
 * One packet, in kernel memory. The worker owns one view and moves it from packet to packet: it is valid inside the
 * callback only. `copy()` is the way to keep bytes.
 */
export interface PacketView {
  /** The block that holds the packet. Frame bytes are `bytes[offset]` to `bytes[offset + capturedLength - 1]`. */
  readonly bytes: Uint8Array
  /** Where the link-layer header begins in `bytes`. */
  readonly offset: number
  /** Bytes present, `tp_snaplen`: at most the snap length. A VLAN tag in `vlanTci` is not among them. */
  readonly capturedLength: number
  /** Bytes on the wire, `tp_len`; without a VLAN tag that the kernel took out and without the FCS. */
  readonly wireLength: number
  /** Seconds of the time stamp since 1970 (`tp_sec`), an unsigned 32-bit number. */
  readonly seconds: number
  /** Nanoseconds of the time stamp, 0 to 999,999,999 (`tp_nsec`). */
  readonly nanoseconds: number
  /** Whose clock it is: the NIC's, the kernel's as it received the packet, or, with `xdp`, the worker's as it took the batch that the packet was in. */
  readonly timestampSource: 'hardware' | 'kernel' | 'batch'
  /** `tp_status`: TP_STATUS_VLAN_VALID, TP_STATUS_CSUMNOTREADY and the rest of linux/if_packet.h. */
  readonly status: number
  /** True when the kernel or the NIC took the outer VLAN tag out of the frame. */
  readonly hasVlan: boolean
  /** VLAN identifier 0 to 4095 of that tag, -1 without one. 0 is a priority tag. */
  readonly vlanId: number
  /** Tag control information (priority, DEI, identifier), 0 without a tag. */
  readonly vlanTci: number
  /** Tag protocol identifier, 0x8100 or 0x88a8; 0 without a tag. */
  readonly vlanTpid: number
  /** `sll_pkttype`: 0 to this host, 1 broadcast, 2 multicast, 3 to another host (promiscuous), 4 outgoing. */
  readonly packetType: number
  /** True for a packet that this host sent. */
  readonly outgoing: boolean
  /** EtherType of the frame as the kernel saw it, host byte order (`sll_protocol`). */
  readonly protocol: number
  /** Index of the interface that the packet came through (`sll_ifindex`). */
  readonly interfaceIndex: number
  /** Flow hash (`tp_rxhash`), 0 unless the handler asks for it with `needs: { rxhash: true }`. */
  readonly rxhash: number
  /** A copy of the frame, with the VLAN tag put back where the wire had it. Allocates. */
  copy(): Uint8Array<ArrayBuffer>
  /** The same without allocating: writes the frame at `at` of `target` and answers its length, at most `capturedLength` + 4. */
  copyInto(target: Uint8Array, at: number): number
}

/**
 * A block of packets, in kernel memory; valid inside the callback only. To walk it: start at `firstOffset`; at each
 * offset stands a `struct tpacket3_hdr` (linux/if_packet.h), whose first word is the distance to the next packet.
 */
export interface BlockView {
  /** The block's bytes. */
  readonly bytes: Uint8Array
  /** The same bytes as 16-bit words, little-endian. */
  readonly words16: Uint16Array
  /** The same bytes as 32-bit words, little-endian. */
  readonly words32: Uint32Array
  readonly packetCount: number
  /** Byte offset of the first packet's `struct tpacket3_hdr`. */
  readonly firstOffset: number
}

/** What `open` is told. */
export interface HandlerContext {
  /** 0 to workerCount - 1. */
  readonly workerIndex: number
  readonly workerCount: number
  /** Name of the interface that this worker reads, as it was when the capture opened. */
  readonly interfaceName: string
  readonly interfaceIndex: number
  /** The caller's `handlerData`, structured-cloned. */
  readonly data: unknown
  /**
   * Moves packets that were handed to the handler, and that it or whoever it works for gave up, from `packets` to the drop
   * `handler` (default) or `consumer`. Throws, and so fails the capture with HANDLER_FAILED, unless that is an integer from 0 to the
   * packets that were handed over and not given up yet.
   */
  readonly countDrops: (packets: number, reason?: 'handler' | 'consumer') => void
}

export interface Handler<State = unknown, Snapshot = State> {
  /** What the kernel must compute for this handler. `rxhash` costs about 16 % of the rate of `ring+fanout`. */
  readonly needs?: { readonly rxhash?: boolean }
  /** Called once in each worker before the first packet; may be async. What it throws fails `openCapture`. */
  open?(context: HandlerContext): State | Promise<State>
  /** Called for each packet. `packet` is reused: `packet.copy()` keeps bytes. Must not be async. */
  packet?(packet: PacketView, state: State): void
  /** Called for each block instead of `packet`, for those who need the last nanosecond. */
  block?(block: BlockView, state: State): void
  /** Called between blocks when the main thread asks; the result is structured-cloned to it. */
  snapshot?(state: State): Snapshot
  /** Runs on the main thread: folds two workers' snapshots into one. */
  merge?(a: Snapshot, b: Snapshot): Snapshot
  /** Called once, after the last packet, also when the capture ends with an error. May be async. */
  close?(state: State): void | Promise<void>
}

/** Types a handler; returns it unchanged. A handler module exports it as its default. */
export function defineHandler<State, Snapshot = State>(handler: Handler<State, Snapshot>): Handler<State, Snapshot> {
  return handler
}
