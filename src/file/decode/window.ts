/**
 * The part of a file that is in memory: bytes that have come and have not been decoded. A record always stands in one piece, for what
 * is left of one moves to where the next bytes come. It grows to twice what is really there, never by what a file claims. Pure.
 *
 * Two ways in: `push` copies what someone else read; `room` and `adopt` let a reader put a buffer of its own here without a copy.
 */

const LEAST_BYTES = 64 * 1024

export class ByteWindow {
  bytes: Uint8Array<ArrayBuffer> = new Uint8Array(0)
  view = new DataView(this.bytes.buffer)
  /** The first byte that has not been decoded, and the end of what is there. */
  start = 0
  end = 0
  /** Where in the file `bytes[0]` is, or would be. */
  base = 0
  /** Nothing follows `end`. */
  ended = false

  /** Where in the file the next record begins. */
  get position(): number {
    return this.base + this.start
  }

  /** Appends a copy. */
  push(chunk: Uint8Array): void {
    this.#makeRoom(chunk.length)
    this.bytes.set(chunk, this.end)
    this.end += chunk.length
  }

  /**
   * Goes on in `buffer`, whose bytes `from` to `to` follow `end` in the file. What has not been decoded is copied before `from`, if
   * there is room for it; else buffer and it are copied into a larger one. Answers whether `buffer` was taken: then the one that was here before is free.
   */
  adopt(buffer: Uint8Array<ArrayBuffer>, from: number, to: number): boolean {
    const left = this.end - this.start
    if (left > from) {
      this.#makeRoom(to - from)
      this.bytes.set(buffer.subarray(from, to), this.end)
      this.end += to - from
      return false
    }
    buffer.set(this.bytes.subarray(this.start, this.end), from - left)
    this.base += this.end - from
    this.#use(buffer)
    this.start = from - left
    this.end = to
    return true
  }

  /** Nothing more is decoded. */
  release(): void {
    this.base += this.start
    this.start = 0
    this.end = 0
    this.#use(new Uint8Array(0))
  }

  #use(buffer: Uint8Array<ArrayBuffer>): void {
    this.bytes = buffer
    this.view = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength)
  }

  #makeRoom(length: number): void {
    const left = this.end - this.start
    if (this.bytes.length - this.end >= length) return
    // Moving is worth it only where it frees more than it moves; else a trickle of small pieces would be moved each time.
    const isRoomy = left + length <= this.bytes.length && left <= this.bytes.length / 2
    const target = isRoomy ? this.bytes : new Uint8Array(Math.max(LEAST_BYTES, 2 * (left + length)))
    if (isRoomy) this.bytes.copyWithin(0, this.start, this.end)
    else target.set(this.bytes.subarray(this.start, this.end))
    this.base += this.start
    this.start = 0
    this.end = left
    if (!isRoomy) this.#use(target)
  }
}
