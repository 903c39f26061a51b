/**
 * Packets of a block as records of a pcap or a pcapng file (Enhanced Packet Blocks), one after another in a large buffer. Hot.
 *
 * A VLAN tag that was taken out of the frame is put back behind the addresses, where the wire had it, and counts: 4 bytes more on the
 * wire, and of the record as many as the snap length allows. An Enhanced Packet Block says of a packet that this host sent that it
 * went out (epb_flags); of all others it says nothing, which spares 12 bytes each.
 *
 * There are two builders of the same bytes. `CompiledRecords` runs a function of WebAssembly over packets and records that lie in one
 * linear memory; `ScriptRecords` is the same in TypeScript, for where there is none. Nanoseconds a packet (bench/records, Node.js 20 on
 * a busy machine, pcapng, packets in the cache / in 64 MiB of memory; beside them memcpy in C; Node.js 26 differs in the script only):
 *
 *   bytes       C            compiled      script
 *      60    5 to 11 / 11     7 /   9     46 /  39
 *     200    8 to 13 / 18    11 /  18     63 /  67
 *     590   16 to 20 / 42    20 /  41     72 / 102
 *    1514         37 / 106   41 / 117     96 / 199
 *
 * What a script can do with typed arrays was measured alone, copying 60 and 590 bytes: by byte 71 and 640 ns, by 16 bits 44 and 318, by
 * 32 bits with shifts 26 and 150, by 32 bits of a DataView 26 and 190 (as fast, and at any address), by 64 bits as BigInt 155 and 1300;
 * doubles take 16 and 113, and may change NaNs. `set` of a `subarray` takes 54 and 61, so it is used from 160 bytes on: a script's only
 * allocation a packet. `copyWithin` takes 27 and 44 where both lie in one buffer, and there compiled code beats it.
 */

import { PACKET_OUTGOING, SOCKADDR_LL_AFTER_HDR, TP_STATUS_VLAN_TPID_VALID, TP_STATUS_VLAN_VALID, TPACKET3_HDR } from '../kernel/abi/if_packet.js'
import { ETH_P_8021Q } from '../kernel/abi/socket.js'
import type { LinearMemory } from '../kernel/linear-memory.js'
import type { Block } from '../packet/block.js'
import { EPB, ETHER_ADDRESSES, OPTION_EPB_FLAGS, PCAP_RECORD, type RecordFormat, VLAN_HLEN } from './record-layout.js'
import { ARGUMENTS, recordProgram, SLACK_BYTES } from './record-program.js'

const SEC = TPACKET3_HDR.tp_sec
const NSEC = TPACKET3_HDR.tp_nsec
const SNAPLEN = TPACKET3_HDR.tp_snaplen
const LEN = TPACKET3_HDR.tp_len
const STATUS = TPACKET3_HDR.tp_status
const MAC = TPACKET3_HDR.tp_mac
const VLAN_TCI = TPACKET3_HDR.hv1_tp_vlan_tci
const VLAN_TPID = TPACKET3_HDR.hv1_tp_vlan_tpid
const PKTTYPE = SOCKADDR_LL_AFTER_HDR.sll_pkttype

const TWO_32 = 2 ** 32
/** From here on `set` is faster than words, though it needs a view. */
const SET_FROM_BYTES = 160

/** Records in a buffer, and what they hold. */
export abstract class RecordBuffer {
  /** Records are `bytes[0, length)`, each of them whole. */
  bytes: Uint8Array<ArrayBuffer>
  length = 0
  packets = 0
  /** Bytes on the wire of these packets, tags that were put back not counted: as the capture counts them. */
  wireBytes = 0
  /** Of these packets, those of which not all bytes were captured. */
  truncated = 0
  /** Where the next packet of the block begins, after `add`. */
  header = 0

  constructor(bytes: Uint8Array<ArrayBuffer>) {
    this.bytes = bytes
  }

  /**
   * Adds packets of a block, from the one whose header is at `header`, as long as there is room. Answers how many it added; the next
   * one is at `this.header` then.
   */
  abstract add(block: Block, header: number, packets: number): number

  /** Makes the next records in `bytes`; those before stay where they are. Compiled code needs memory of the same kind, with SLACK_BYTES behind. */
  moveTo(bytes: Uint8Array<ArrayBuffer>): void {
    this.bytes = bytes
    this.clear()
  }

  clear(): void {
    this.length = 0
    this.packets = 0
    this.wireBytes = 0
    this.truncated = 0
  }
}

/** For blocks that lie in the memory it was made with. */
export class CompiledRecords extends RecordBuffer {
  readonly #run: (arguments_: number) => number
  readonly #arguments: Uint32Array
  readonly #argumentsAt: number
  #at: number

  private constructor(memory: LinearMemory, at: number, bytes: number, argumentsAt: number, format: RecordFormat, hasVectors: boolean | undefined) {
    super(new Uint8Array(memory.buffer, at, bytes))
    this.#at = at
    this.#run = memory.instantiate(recordProgram(format, hasVectors))
    this.#argumentsAt = argumentsAt
    this.#arguments = new Uint32Array(memory.buffer, argumentsAt, ARGUMENTS.sizeof / 4)
    this.#arguments[ARGUMENTS.snapLength / 4] = format.snapLengthBytes
    this.#arguments[ARGUMENTS.interfaceId / 4] = format.interfaceId
  }

  /** Room that it takes of its memory, for a buffer of so many bytes. */
  static memoryBytes(bytes: number): number {
    return bytes + SLACK_BYTES + ARGUMENTS.sizeof + 256
  }

  /** NB: after everything else has been mapped: the program reads and writes a few bytes behind what it copies. */
  static create(memory: LinearMemory, bytes: number, format: RecordFormat, hasVectors?: boolean): CompiledRecords | undefined {
    const argumentsAt = memory.take(ARGUMENTS.sizeof)
    const at = memory.take(bytes + SLACK_BYTES)
    return at === undefined || argumentsAt === undefined ? undefined : new CompiledRecords(memory, at, bytes, argumentsAt, format, hasVectors)
  }

  override moveTo(bytes: Uint8Array<ArrayBuffer>): void {
    if (bytes.buffer !== this.bytes.buffer) throw new Error('a buffer of another memory')
    super.moveTo(bytes)
    this.#at = bytes.byteOffset
  }

  add(block: Block, header: number, packets: number): number {
    if (block.bytes.buffer !== this.bytes.buffer) throw new Error('a block of another memory')
    const base = block.bytes.byteOffset
    const words = this.#arguments
    words[ARGUMENTS.header / 4] = base + header
    words[ARGUMENTS.left / 4] = packets
    words[ARGUMENTS.out / 4] = this.#at + this.length
    words[ARGUMENTS.end / 4] = this.#at + this.bytes.length
    const left = this.#run(this.#argumentsAt)
    const added = packets - left
    this.header = (words[ARGUMENTS.header / 4] as number) - base
    this.length = (words[ARGUMENTS.out / 4] as number) - this.#at
    this.packets += added
    this.wireBytes += (words[ARGUMENTS.wireBytes / 4] as number) + (words[ARGUMENTS.wireBytes / 4 + 1] as number) * TWO_32
    this.truncated += words[ARGUMENTS.truncated / 4] as number
    return added
  }
}

/** For any block. */
export class ScriptRecords extends RecordBuffer {
  #view: DataView
  readonly #isPcap: boolean
  readonly #microseconds: boolean
  readonly #snapLength: number
  readonly #interfaceId: number
  /** A time stamp of pcapng has 64 bits: this second as such, of which most packets are. */
  #second = -1
  #secondLow = 0
  #secondHigh = 0

  constructor(bytes: number, { format, microseconds, snapLengthBytes, interfaceId }: RecordFormat) {
    super(new Uint8Array(bytes))
    this.#view = new DataView(this.bytes.buffer)
    this.#isPcap = format === 'pcap'
    this.#microseconds = microseconds
    this.#snapLength = snapLengthBytes
    this.#interfaceId = interfaceId
  }

  override moveTo(bytes: Uint8Array<ArrayBuffer>): void {
    super.moveTo(bytes)
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  add(block: Block, header: number, packets: number): number {
    const from = new DataView(block.bytes.buffer, block.bytes.byteOffset, block.bytes.byteLength)
    const isPcap = this.#isPcap
    const microseconds = this.#microseconds
    const snapLength = this.#snapLength
    const view = this.#view
    const room = this.bytes.length
    let at = header
    let out = this.length
    let wireBytes = 0
    let truncated = 0
    let done = 0
    for (; done < packets; done++) {
      const present = from.getUint32((at + SNAPLEN) | 0, true)
      const wire = from.getUint32((at + LEN) | 0, true)
      const status = from.getUint32((at + STATUS) | 0, true)
      const hasVlan = (status & TP_STATUS_VLAN_VALID) !== 0
      const tag = hasVlan && present >= ETHER_ADDRESSES ? VLAN_HLEN : 0
      const length = Math.min(present + tag, snapLength)
      const padded = isPcap ? length : (length + 3) & ~3
      const isOutgoing = from.getUint8((at + PKTTYPE) | 0) === PACKET_OUTGOING
      const around = isPcap ? PCAP_RECORD.sizeof : isOutgoing ? EPB.sizeof + EPB.flagsOptionBytes : EPB.sizeof
      if (out + around + padded > room) break
      const original = wire + (hasVlan ? VLAN_HLEN : 0)
      const seconds = from.getUint32((at + SEC) | 0, true)
      const nanoseconds = from.getUint32((at + NSEC) | 0, true)
      const fraction = microseconds ? (nanoseconds / 1000) >>> 0 : nanoseconds
      let to = out
      if (isPcap) {
        view.setUint32(out, seconds, true)
        view.setUint32((out + 4) | 0, fraction, true)
        view.setUint32((out + 8) | 0, length, true)
        view.setUint32((out + 12) | 0, original, true)
        to = (out + PCAP_RECORD.sizeof) | 0
      } else {
        if (seconds !== this.#second) this.#enterSecond(seconds)
        const low = this.#secondLow + fraction
        view.setUint32(out, EPB.typeCode, true)
        view.setUint32((out + 4) | 0, (around + padded) | 0, true)
        view.setUint32((out + 8) | 0, this.#interfaceId, true)
        view.setUint32((out + 12) | 0, low >= TWO_32 ? this.#secondHigh + 1 : this.#secondHigh, true)
        view.setUint32((out + 16) | 0, low, true)
        view.setUint32((out + 20) | 0, length, true)
        view.setUint32((out + 24) | 0, original, true)
        to = (out + EPB.data) | 0
        // What the packet leaves of its last word.
        if (length !== padded) view.setUint32((to + padded - 4) | 0, 0, true)
      }
      let frame = (at + from.getUint16((at + MAC) | 0, true)) | 0
      let left = length
      if (tag !== 0) {
        const addresses = Math.min(length, ETHER_ADDRESSES)
        this.#copy(from, block, frame, to, addresses)
        if (length > ETHER_ADDRESSES) {
          const tpid = (status & TP_STATUS_VLAN_TPID_VALID) !== 0 ? from.getUint16((at + VLAN_TPID) | 0, true) : ETH_P_8021Q
          const tci = from.getUint32((at + VLAN_TCI) | 0, true) & 0xffff
          this.#putTag(to + ETHER_ADDRESSES, ((tpid << 16) | tci) >>> 0, Math.min(length - ETHER_ADDRESSES, VLAN_HLEN))
        }
        frame = (frame + ETHER_ADDRESSES) | 0
        to = (to + ETHER_ADDRESSES + VLAN_HLEN) | 0
        left = Math.max(0, length - ETHER_ADDRESSES - VLAN_HLEN)
      }
      this.#copy(from, block, frame, to, left)
      out = (out + around + padded) | 0
      if (!isPcap) {
        if (isOutgoing) {
          view.setUint32((out - 16) | 0, OPTION_EPB_FLAGS.code | (4 << 16), true)
          view.setUint32((out - 12) | 0, OPTION_EPB_FLAGS.outbound, true)
          view.setUint32((out - 8) | 0, 0, true)
        }
        view.setUint32((out - 4) | 0, (around + padded) | 0, true)
      }
      wireBytes += wire
      if (present < wire) truncated++
      at = (at + from.getUint32(at, true)) | 0
    }
    this.header = at
    this.length = out
    this.packets += done
    this.wireBytes += wireBytes
    this.truncated += truncated
    return done
  }

  #enterSecond(seconds: number): void {
    const units = BigInt(seconds) * (this.#microseconds ? 1_000_000n : 1_000_000_000n)
    this.#second = seconds
    this.#secondLow = Number(units & 0xffff_ffffn)
    this.#secondHigh = Number(units >> 32n)
  }

  /** Snap lengths that end within a tag there are, too. */
  #putTag(at: number, tag: number, bytes: number): void {
    if (bytes === VLAN_HLEN) this.#view.setUint32(at, tag, false)
    else for (let i = 0; i < bytes; i++) this.#view.setUint8(at + i, (tag >>> (24 - 8 * i)) & 0xff)
  }

  #copy(from: DataView, block: Block, source: number, target: number, length: number): void {
    if (length >= SET_FROM_BYTES) {
      this.bytes.set(block.bytes.subarray(source, source + length), target)
      return
    }
    const view = this.#view
    let at = 0
    for (; at <= length - 4; at = (at + 4) | 0) view.setInt32((target + at) | 0, from.getInt32((source + at) | 0, true), true)
    for (; at < length; at = (at + 1) | 0) view.setUint8((target + at) | 0, from.getUint8((source + at) | 0))
  }
}

/** A buffer of records in `memory`, or where there is none in memory of its own. */
export function createRecordBuffer(memory: LinearMemory | undefined, bytes: number, format: RecordFormat): RecordBuffer {
  return (memory === undefined ? undefined : CompiledRecords.create(memory, bytes, format)) ?? new ScriptRecords(bytes, format)
}
