/** Where a frame of zstd ends (RFC 8878): by the lengths of its blocks, which say so without decompressing them. Pure. */

const MAGIC = 0xfd2fb528
const SKIPPABLE = 0x184d2a50
const SKIPPABLE_MASK = 0xfffffff0
const RLE = 1
const RESERVED = 3
const SUM_BYTES = 4
const BLOCK_HEADER_BYTES = 3

/** Four bytes: what follows a frame is another one, or is nothing of zstd. */
export function isZstd(bytes: Uint8Array): boolean {
  if (bytes.length < 4) return false
  const magic = ((bytes[0] as number) | ((bytes[1] as number) << 8) | ((bytes[2] as number) << 16) | ((bytes[3] as number) << 24)) >>> 0
  return magic === MAGIC || (magic & SKIPPABLE_MASK) >>> 0 === SKIPPABLE
}

type State = 'magic' | 'size' | 'descriptor' | 'block' | 'damaged'

/** Walks over one frame as its bytes come. */
export class ZstdFrame {
  isOver = false
  /** What the next bytes are. */
  #state: State = 'magic'
  #wanted = 4
  #have = 0
  #value = 0
  /** Bytes before them that are passed over. */
  #skip = 0
  /** The frame ends behind those. */
  #isLast = false
  #hasSum = false

  /** How many of these bytes are of the frame. All, where its headers make no sense: whoever decompresses it says what is wrong. */
  take(bytes: Uint8Array): number {
    let at = 0
    while (at < bytes.length && !this.isOver) {
      if (this.#state === 'damaged') return bytes.length
      if (this.#skip > 0) {
        const count = Math.min(this.#skip, bytes.length - at)
        this.#skip -= count
        at += count
      } else {
        this.#value = (this.#value | ((bytes[at++] as number) << (8 * this.#have++))) >>> 0
        if (this.#have === this.#wanted) this.#enter(this.#value)
      }
      if (this.#skip === 0 && this.#isLast) this.isOver = true
    }
    return at
  }

  #next(state: State, wanted: number, skip: number): void {
    this.#state = state
    this.#wanted = wanted
    this.#skip = skip
    this.#have = 0
    this.#value = 0
  }

  #enter(value: number): void {
    if (this.#state === 'magic') {
      if (value === MAGIC) this.#next('descriptor', 1, 0)
      else if ((value & SKIPPABLE_MASK) >>> 0 === SKIPPABLE) this.#next('size', 4, 0)
      else this.#next('damaged', 0, 0)
    } else if (this.#state === 'size') {
      this.#next('size', 0, value)
      this.#isLast = true
    } else if (this.#state === 'descriptor') {
      const isSingle = (value & 0x20) !== 0
      this.#hasSum = (value & 0x04) !== 0
      const dictionary = [0, 1, 2, 4][value & 3] as number
      const content = [isSingle ? 1 : 0, 2, 4, 8][value >>> 6] as number
      this.#next('block', BLOCK_HEADER_BYTES, (isSingle ? 0 : 1) + dictionary + content)
    } else {
      const type = (value >>> 1) & 3
      const size = type === RLE ? 1 : value >>> 3
      const isLast = (value & 1) !== 0
      this.#isLast = isLast
      if (type === RESERVED) this.#next('damaged', 0, 0)
      else this.#next('block', BLOCK_HEADER_BYTES, size + (isLast && this.#hasSum ? SUM_BYTES : 0))
    }
  }
}
