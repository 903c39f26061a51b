/**
 * Frames out of an AF_XDP socket in copy mode: chunks of UMEM that go to the kernel through the TX ring and come back through the
 * COMPLETION ring. The kernel looks at the TX ring within sendto(2), and at no other time. Knows memory only, no file descriptor.
 *
 * NB: a driver that has no room drops the frame, sendto(2) answers EBUSY and stops there, and the chunk is completed as if it had been
 * sent (__xsk_generic_xmit). The frame goes back to the front of the ring, so nothing is lost; but which one it was must be known.
 * Since Linux 6.17 the kernel stores the consumer index whenever a call has sent something; before, only when it has come to the end of
 * what it knew of. So it is given one frame a call until a call that stopped in the middle has shown that it tells.
 *
 * Cost (bench/replay.ts): 75 ns a frame of 60 bytes, its copy and what the bench does in the kernel's place included.
 */
import { ByteCopier } from '../bytes/copy.js'
import { XDP_DESC } from '../kernel/abi/if_xdp.js'
import type { XskConsumer, XskProducer } from './xsk-ring.js'

const DESC_WORDS = XDP_DESC.sizeof / 4
const LEN_WORD = XDP_DESC.len / 4
const OPTIONS_WORD = XDP_DESC.options / 4
/** No chunk is there: the kernel passes by such a descriptor. */
const NO_ADDRESS = -4096
/** More than the kernel sends in a call (TX_BATCH_SIZE, XDP_MAX_TX_SKB_BUDGET). */
const PROBE = 40

export interface UmemSenderGeometry {
  /** A power of two. */
  chunkBytes: number
  /** A power of two, less than the entries of the TX ring; the COMPLETION ring has as many entries as the TX ring. */
  chunkCount: number
}

export class UmemSender {
  /** Taken since the beginning. */
  packets = 0
  bytes = 0
  /** Dropped by the driver, and nobody knows which: not among `packets`, but their bytes are among `bytes`. Seldom more than none. */
  dropped = 0
  readonly #tx: XskProducer
  readonly #completion: XskConsumer
  readonly #copier: ByteCopier
  readonly #chunkBytes: number
  readonly #chunkShift: number
  /** Chunks that nobody has, a stack. */
  readonly #free: Int32Array
  #freeCount: number
  /** How often each chunk is still to be completed: twice, when it was dropped and goes again. */
  readonly #owed: Uint16Array
  /** Entries written and not yet shown to the kernel. */
  #written = 0
  /** Index of the first entry that the kernel has not consumed, as far as we know. */
  #first: number
  /** Entries from `#first` on whose frames were taken back; the kernel passes by them, one in a call. */
  #void = 0
  /** Entries at the end of what was shown, taken back as well: the next frames stand in them. Written and blank entries exclude each other. */
  #blank = 0
  /** The kernel stores the consumer index whenever sendto(2) has sent something: undefined until it has been seen to or not to. */
  #tells: boolean | undefined
  /** A call that failed may have sent some of what was shown and not told. */
  #isUnsure = false
  /** The last frame that was offered was taken. */
  #hadRoom = false

  constructor(umem: ArrayBuffer, tx: XskProducer, completion: XskConsumer, geometry: UmemSenderGeometry) {
    this.#tx = tx
    this.#completion = completion
    this.#copier = new ByteCopier(new Uint8Array(umem))
    this.#chunkBytes = geometry.chunkBytes
    this.#chunkShift = Math.log2(geometry.chunkBytes)
    this.#free = Int32Array.from({ length: geometry.chunkCount }, (_, chunk) => geometry.chunkCount - 1 - chunk)
    this.#freeCount = geometry.chunkCount
    this.#owed = new Uint16Array(geometry.chunkCount)
    this.#first = tx.index
  }

  /** Frames that the kernel has not taken. */
  get pending(): number {
    return this.entries - this.#void - this.#blank
  }

  /** Entries that the kernel is to consume, those of no frame as well. */
  get entries(): number {
    return ((this.#tx.index - this.#first) | 0) + this.#written
  }

  /** Frames that have been taken and have not left yet. */
  inFlight(): number {
    this.#reap()
    return this.#owed.length - this.#freeCount - this.pending
  }

  /** False when no chunk is free. A frame is not longer than a chunk. */
  put(bytes: Uint8Array, offset: number, length: number): boolean {
    if (this.#freeCount === 0) {
      this.#reap()
      if (this.#freeCount === 0) return false
    }
    const tx = this.#tx
    // One entry stays free, for a frame that has to go back to the front.
    if (this.#blank === 0 && tx.reserve(this.#written + 2) < this.#written + 2) return false
    const chunk = this.#free[--this.#freeCount] as number
    const address = chunk * this.#chunkBytes
    this.#copier.copy(bytes, offset, address, length)
    this.#owed[chunk] = 1
    const entry = ((tx.index + this.#written - this.#blank) & tx.mask) * DESC_WORDS
    tx.words[entry] = address
    tx.words[entry + 1] = 0
    tx.words[entry + LEN_WORD] = length
    tx.words[entry + OPTIONS_WORD] = 0
    if (this.#blank > 0) this.#blank--
    else this.#written++
    return true
  }

  /** Shows the kernel what was put; only one where it could not be told otherwise which the kernel took. */
  submit(): void {
    if (this.#written === 0) return
    let count = this.#written
    if (this.#tells !== true) {
      if (this.#tx.index !== this.#first) return
      if (this.#tells === false || !this.#hadRoom || count < PROBE) count = 1
    }
    this.#written -= count
    this.#tx.submit(count)
  }

  /**
   * Counts what the kernel consumed in a sendto(2): one that answered EBUSY (`isRefused`), that answered no error (`isDone`), or another.
   * Not for one that was turned away before it looked at the ring: that would be taken for a kernel that does not tell.
   */
  collect(isRefused: boolean, isDone: boolean): void {
    const tx = this.#tx
    const before = this.#first
    const shown = (tx.index - before) | 0
    let count = Math.max(0, (tx.consumed() - before) | 0)
    // It stopped within what was shown to it at once, or at its last, and said so: only a kernel that tells does. One that sent nothing,
    // as no buffer was free, looks like one that does not tell: what comes after it may show better.
    if (this.#tells !== true && this.#void === 0 && (isRefused || count < shown)) {
      if (count > 0) this.#tells = true
      else if (shown > 1 && !isRefused) this.#tells = false
    }
    const isKnown = this.#tells === true || shown === 1
    this.#isUnsure = !isKnown && count < shown && (this.#isUnsure || !isDone)
    // A call passes by one entry without a frame, or ends at the frame that was refused: if it sent nothing, it stores nothing.
    const isEmpty = this.#void > 0 || (this.#blank > 0 && this.#blank === shown)
    if (count === 0 && ((isDone && isEmpty) || (isRefused && isKnown))) count = 1
    let frames = shown - this.#void - this.#blank
    for (let i = 0; i < count; i++) {
      if (this.#void > 0) {
        this.#void--
        continue
      }
      if (frames === 0) {
        this.#blank--
        continue
      }
      frames--
      this.packets++
      this.bytes += tx.words[((before + i) & tx.mask) * DESC_WORDS + LEN_WORD] as number
    }
    this.#first = (before + count) | 0
    if (isRefused || count > 0) this.#hadRoom = !isRefused
    if (!isRefused) return
    if (isKnown) {
      this.#repeat()
    } else {
      this.packets--
      this.dropped++
    }
  }

  /** Takes back every frame that the kernel has not consumed. Answers how many. */
  withdraw(): number {
    const tx = this.#tx
    const count = this.pending
    // Some of what was shown may have gone: those chunks come back, or not.
    const isKnown = !this.#isUnsure
    const end = (tx.index - this.#blank) | 0
    for (let index = (this.#first + this.#void) | 0; index !== end; index = (index + 1) | 0) this.#withdrawAt(index, isKnown)
    const shown = (tx.index - this.#first) | 0
    // Where it is known which entry is the kernel's next, frames may stand in any from there on. An interface that is down fills no ring so.
    if (this.#tells === true) {
      this.#void = 0
      this.#blank = shown
    } else {
      this.#void = shown
    }
    for (let i = 0; i < this.#written; i++) this.#withdrawAt((tx.index + i) | 0, true)
    this.#written = 0
    return count
  }

  /** Takes back the first frame that the kernel has not consumed. */
  withdrawFirst(): void {
    const tx = this.#tx
    const shown = (tx.index - this.#first) | 0
    if (shown === this.#void) tx.submit(1)
    if (shown === this.#void) this.#written--
    this.#withdrawAt((this.#first + this.#void) | 0, !this.#isUnsure || shown === this.#void)
    this.#void++
  }

  #withdrawAt(index: number, isKnown: boolean): void {
    const entry = (index & this.#tx.mask) * DESC_WORDS
    if (isKnown) this.#return((this.#tx.words[entry] as number) >>> this.#chunkShift)
    this.#tx.words[entry] = NO_ADDRESS
  }

  /** The frame that was consumed last goes to the front again, and those behind it back by one. */
  #repeat(): void {
    const tx = this.#tx
    const words = tx.words
    const mask = tx.mask
    const last = (((this.#first - 1) | 0) & mask) * DESC_WORDS
    const address = words[last] as number
    const length = words[last + LEN_WORD] as number
    for (let index = (tx.index + this.#written - this.#blank) | 0; index !== this.#first; index = (index - 1) | 0) {
      const to = (index & mask) * DESC_WORDS
      const from = (((index - 1) | 0) & mask) * DESC_WORDS
      words[to] = words[from] as number
      words[to + 1] = 0
      words[to + LEN_WORD] = words[from + LEN_WORD] as number
      words[to + OPTIONS_WORD] = 0
    }
    const entry = (this.#first & mask) * DESC_WORDS
    words[entry] = address
    words[entry + 1] = 0
    words[entry + LEN_WORD] = length
    words[entry + OPTIONS_WORD] = 0
    this.packets--
    this.bytes -= length
    const chunk = address >>> this.#chunkShift
    this.#owed[chunk] = (this.#owed[chunk] as number) + 1
    if (this.#blank > 0) this.#blank--
    else tx.submit(1)
    this.#reap()
  }

  /** Takes finished chunks back. */
  #reap(): void {
    const completion = this.#completion
    const count = completion.peek(completion.entries)
    for (let i = 0; i < count; i++) this.#return((completion.words[((completion.index + i) & completion.mask) * 2] as number) >>> this.#chunkShift)
    if (count > 0) completion.release(count)
  }

  #return(chunk: number): void {
    const owed = (this.#owed[chunk] as number) - 1
    this.#owed[chunk] = owed
    if (owed === 0) this.#free[this.#freeCount++] = chunk
  }
}
