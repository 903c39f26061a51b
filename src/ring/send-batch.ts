/**
 * A batch for sendmmsg(2): frames, their iovecs and their mmsghdrs in memory whose address the kernel is given. Frames are put in
 * behind each other, and taken from the front, as the kernel does. Takes memory and its address, knows no file descriptor.
 *
 * Cost (bench/replay.ts): 30 ns a frame of 60 bytes, its copy included.
 */
import { alignUp } from '../bytes/align.js'
import { ByteCopier } from '../bytes/copy.js'
import { IOVEC, MMSGHDR, MSGHDR } from '../kernel/abi/socket.js'

export interface SendBatchGeometry {
  /** Frames a call. */
  batch: number
  /** Of the longest frame. */
  frameBytes: number
}

const IOVEC_WORDS = IOVEC.sizeof / 4
const IOV_LEN = IOVEC.iov_len / 4
/** Slots of a power of two would share cache sets. */
const SKEW_BYTES = 64

function slotBytes(geometry: SendBatchGeometry): number {
  return alignUp(geometry.frameBytes, 64) + SKEW_BYTES
}

/** Bytes of memory that a batch needs. */
export function sendBatchBytes(geometry: SendBatchGeometry): number {
  return geometry.batch * (MMSGHDR.sizeof + IOVEC.sizeof + slotBytes(geometry))
}

export class SendBatch {
  /** Offset of the struct mmsghdr of the first frame that has not been taken. */
  vectorOffset = 0
  /** Frames that have not been taken. */
  pending = 0
  /** Taken since the beginning. */
  packets = 0
  bytes = 0
  readonly frameBytes: number
  readonly #copier: ByteCopier
  readonly #words: Int32Array
  readonly #batch: number
  readonly #slot: number
  readonly #slots: number
  readonly #iovecs: number
  /** Index of the first that has not been taken. */
  #first = 0

  constructor(memory: ArrayBuffer, address: bigint, geometry: SendBatchGeometry) {
    const { batch } = geometry
    this.#batch = batch
    this.frameBytes = geometry.frameBytes
    this.#slot = slotBytes(geometry)
    const iovecs = batch * MMSGHDR.sizeof
    this.#iovecs = iovecs >>> 2
    this.#slots = iovecs + batch * IOVEC.sizeof
    this.#copier = new ByteCopier(new Uint8Array(memory))
    this.#words = new Int32Array(memory)
    const words = new BigUint64Array(memory)
    for (let i = 0; i < batch; i++) {
      words[(iovecs + i * IOVEC.sizeof + IOVEC.iov_base) / 8] = address + BigInt(this.#slots + i * this.#slot)
      words[(i * MMSGHDR.sizeof + MSGHDR.msg_iov) / 8] = address + BigInt(iovecs + i * IOVEC.sizeof)
      words[(i * MMSGHDR.sizeof + MSGHDR.msg_iovlen) / 8] = 1n
    }
  }

  /** False when the batch is full. A frame is not longer than `frameBytes`. */
  put(bytes: Uint8Array, offset: number, length: number): boolean {
    const index = this.#first + this.pending
    if (index === this.#batch) return false
    this.#copier.copy(bytes, offset, this.#slots + index * this.#slot, length)
    this.#words[this.#iovecs + index * IOVEC_WORDS + IOV_LEN] = length
    this.pending++
    return true
  }

  /** The kernel has taken the first `count`. */
  take(count: number): void {
    const words = this.#words
    let at = this.#iovecs + this.#first * IOVEC_WORDS + IOV_LEN
    for (let i = 0; i < count; i++) {
      this.bytes += words[at] as number
      at += IOVEC_WORDS
    }
    this.packets += count
    this.#advance(count)
  }

  /** The first `count` are not to be sent. */
  withdraw(count: number): void {
    this.#advance(count)
  }

  /** Bytes of the first frame that has not been taken. */
  firstLength(): number {
    return this.#words[this.#iovecs + this.#first * IOVEC_WORDS + IOV_LEN] as number
  }

  #advance(count: number): void {
    this.pending -= count
    this.#first = this.pending === 0 ? 0 : this.#first + count
    this.vectorOffset = this.#first * MMSGHDR.sizeof
  }
}
