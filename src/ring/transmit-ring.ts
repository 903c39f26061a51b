/**
 * PACKET_TX_RING: frames of one size in memory shared with the kernel, each with a status word that says whose it is. We fill frames
 * and ask for them to be sent; within sendto(2), and at no other time, the kernel takes them, in order, and frees each when its packet
 * has left. Knows memory only, no file descriptor. TPACKET_V3 (Linux 4.11) and V2 differ in where the words stand.
 *
 * NB: the kernel stops at a frame that it does not send, and stays there: with PACKET_LOSS it would skip it and not say so. So what it
 * stops at is taken out here and counted, and the frames behind it move up.
 *
 * Cost (bench/replay.ts): 55 to 120 ns a frame of 60 bytes, its copy included: an Atomics operation to look whether it is free, one to
 * hand it over, one to see it taken, and cache lines of 2 MiB that are fetched in turn.
 */
import { ByteCopier } from '../bytes/copy.js'
import { TP_STATUS_AVAILABLE, TP_STATUS_SEND_REQUEST, TP_STATUS_SENDING, TP_STATUS_WRONG_FORMAT, TPACKET2_HDR, TPACKET3_HDR } from '../kernel/abi/if_packet.js'

export interface TransmitRingGeometry {
  /** Of the headers: 3, or 2 before Linux 4.11. */
  version: 2 | 3
  /** A power of two. */
  frameBytes: number
  /** A power of two; frames do not straddle blocks. */
  frameCount: number
}

/** Bytes before the packet in each frame: the header, aligned. (The kernel's tp_hdrlen counts a struct sockaddr_ll besides.) */
export function transmitHeaderBytes(version: 2 | 3): number {
  return version === 3 ? TPACKET3_HDR.sizeof : TPACKET2_HDR.sizeof
}

export class TransmitRing {
  /** Frames that the kernel has not taken. */
  pending = 0
  /** Taken since the beginning. */
  packets = 0
  bytes = 0
  /** Of the longest packet. */
  readonly room: number
  readonly #memory: Uint8Array
  readonly #copier: ByteCopier
  readonly #words: Int32Array
  readonly #header: number
  readonly #frameBytes: number
  readonly #frameWords: number
  readonly #mask: number
  readonly #status: number
  readonly #length: number
  readonly #snapLength: number
  /** Number of the frame that the kernel looks at next; free-running within the mask. */
  #first = 0

  constructor(memory: ArrayBuffer, geometry: TransmitRingGeometry) {
    const layout = geometry.version === 3 ? TPACKET3_HDR : TPACKET2_HDR
    this.#memory = new Uint8Array(memory)
    this.#copier = new ByteCopier(this.#memory)
    this.#words = new Int32Array(memory)
    this.#header = layout.sizeof
    this.#frameBytes = geometry.frameBytes
    this.#frameWords = geometry.frameBytes >>> 2
    this.#mask = geometry.frameCount - 1
    this.#status = layout.tp_status >>> 2
    this.#length = layout.tp_len >>> 2
    this.#snapLength = layout.tp_snaplen >>> 2
    this.room = geometry.frameBytes - layout.sizeof
  }

  /** False while the next frame is not free. A packet is not longer than `room`. */
  put(bytes: Uint8Array, offset: number, length: number): boolean {
    const slot = (this.#first + this.pending) & this.#mask
    const words = this.#words
    const at = slot * this.#frameWords
    if (this.pending > this.#mask || Atomics.load(words, at + this.#status) !== TP_STATUS_AVAILABLE) return false
    this.#copier.copy(bytes, offset, slot * this.#frameBytes + this.#header, length)
    // tp_next_offset of V3 stays 0, as it was made: frames are of one size.
    words[at + this.#length] = length
    words[at + this.#snapLength] = length
    // Length and bytes are seen with the status.
    Atomics.store(words, at + this.#status, TP_STATUS_SEND_REQUEST)
    this.pending++
    return true
  }

  /** Counts what the kernel has taken. Answers whether it stopped at a frame that it will not send. */
  collect(): boolean {
    const words = this.#words
    const mask = this.#mask
    while (this.pending > 0) {
      const at = this.#first * this.#frameWords
      const status = Atomics.load(words, at + this.#status)
      if (status === TP_STATUS_SEND_REQUEST) return false
      if (status === TP_STATUS_WRONG_FORMAT) return true
      this.bytes += words[at + this.#length] as number
      this.packets++
      this.pending--
      this.#first = (this.#first + 1) & mask
    }
    return false
  }

  /** Takes back every frame that the kernel has not taken; it looks at the first of them next. Answers how many. */
  withdraw(): number {
    const count = this.pending
    for (let i = 0; i < count; i++) {
      const at = ((this.#first + i) & this.#mask) * this.#frameWords
      Atomics.store(this.#words, at + this.#status, TP_STATUS_AVAILABLE)
    }
    this.pending = 0
    return count
  }

  /** Takes back the first frame, at which the kernel stopped, and every one longer than `limit`; the others move up. Answers how many. */
  withdrawRefused(limit: number): number {
    const words = this.#words
    const count = this.pending
    let kept = 0
    for (let i = 0; i < count; i++) {
      const from = (this.#first + i) & this.#mask
      const length = words[from * this.#frameWords + this.#length] as number
      if (i === 0 || length > limit) continue
      const to = (this.#first + kept) & this.#mask
      if (to !== from) {
        const source = from * this.#frameBytes + this.#header
        this.#memory.copyWithin(to * this.#frameBytes + this.#header, source, source + length)
        words[to * this.#frameWords + this.#length] = length
        words[to * this.#frameWords + this.#snapLength] = length
      }
      Atomics.store(words, to * this.#frameWords + this.#status, TP_STATUS_SEND_REQUEST)
      kept++
    }
    for (let i = kept; i < count; i++) {
      Atomics.store(words, ((this.#first + i) & this.#mask) * this.#frameWords + this.#status, TP_STATUS_AVAILABLE)
    }
    this.pending = kept
    return count - kept
  }

  /** Frames whose packets have been taken and have not left yet. */
  inFlight(): number {
    let count = 0
    for (let slot = 0; slot <= this.#mask; slot++) {
      if (Atomics.load(this.#words, slot * this.#frameWords + this.#status) === TP_STATUS_SENDING) count++
    }
    return count
  }
}
