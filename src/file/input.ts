/**
 * Where the bytes of a capture file come from: a regular file, read in large pieces one ahead of the decoder, or anything that yields
 * pieces. Puts them into a window; knows no format.
 *
 * Buffers take turns: the thread pool reads into some while one is decoded, so that reading costs the decoder no time. The place before
 * each piece is for the rest of the record that the piece before it ends in.
 */
import { close, read } from 'node:fs'
import { promisify } from 'node:util'
import { CaptureError } from '../errors.js'
import { callFailed } from '../kernel/errno.js'
import type { ByteWindow } from './decode/window.js'

/** A piece: small ones cost calls, larger ones leave the CPU's cache. */
const PIECE_BYTES = 2 ** 20
/** Pieces that are being read: two threads copy faster than one. */
const READS = 2
/**
 * NB: 16 bytes less than a page's multiple. A buffer of this size is mapped by malloc, which keeps 16 bytes before it; the kernel copies to
 * the beginning of a page a third faster than beside it.
 */
const HEADROOM_BYTES = 64 * 1024 - 16
const BUFFER_BYTES = HEADROOM_BYTES + PIECE_BYTES

export interface ByteInput {
  /** Puts what comes next into the window. False: nothing more comes, for it is over, then `ended` is set, or was aborted. */
  fill(window: ByteWindow): Promise<boolean>
  close(): Promise<void>
}

/** The error of a call of node:fs. */
export function fileFailed(subject: string, call: string, error: unknown): CaptureError {
  const errno = (error as NodeJS.ErrnoException | undefined)?.errno
  if (typeof errno === 'number') return callFailed({ subject, call, errno, code: 'FILE_FAILED' })
  return new CaptureError('FILE_FAILED', `${subject}: ${call}: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
}

const readInto = promisify(read)
const closeDescriptor = promisify(close)

interface Reading {
  buffer: Uint8Array<ArrayBuffer>
  count: Promise<number>
}

export class FileInput implements ByteInput {
  readonly #name: string
  readonly #fd: number
  readonly #isOwn: boolean
  /** null reads on from where the descriptor stands, as a shell left it. */
  #position: number | null
  /** In the order of the file. */
  #readings: Reading[] = []

  /** `isOwn`: closes the descriptor. */
  constructor(name: string, fd: number, position: number | null, isOwn: boolean) {
    this.#name = name
    this.#fd = fd
    this.#isOwn = isOwn
    this.#position = position
    this.#read(newBuffer())
  }

  async fill(window: ByteWindow): Promise<boolean> {
    const { buffer, count: counting } = this.#readings[0] as Reading
    let count: number
    try {
      count = await counting
    } catch (error) {
      throw fileFailed(this.#name, 'read', error)
    }
    this.#readings.shift()
    if (count === 0) {
      window.ended = true
      this.#readings.unshift({ buffer, count: counting })
      return false
    }
    if (count < PIECE_BYTES) await this.#goBack(PIECE_BYTES - count)
    const before = window.bytes
    const free = window.adopt(buffer, HEADROOM_BYTES, HEADROOM_BYTES + count) ? before : buffer
    this.#read(free.length >= BUFFER_BYTES ? (free as Uint8Array<ArrayBuffer>) : newBuffer())
    // NB: no sooner: a short file needs one read, and a descriptor without positions gives one after another.
    while (this.#position !== null && this.#readings.length < READS) this.#read(newBuffer())
    return true
  }

  #read(buffer: Uint8Array<ArrayBuffer>): void {
    const count = readInto(this.#fd, buffer, HEADROOM_BYTES, PIECE_BYTES, this.#position).then(({ bytesRead }) => bytesRead)
    // Whoever fills next is told; nobody may.
    count.catch(() => {})
    this.#readings.push({ buffer, count })
    if (this.#position !== null) this.#position += PIECE_BYTES
  }

  /** A read was shorter than asked for, at the end or not: those behind it are not where they should be. */
  async #goBack(bytes: number): Promise<void> {
    if (this.#position === null) return
    const wrong = this.#readings
    this.#readings = []
    await Promise.allSettled(wrong.map(({ count }) => count))
    this.#position -= bytes + wrong.length * PIECE_BYTES
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.#readings.map(({ count }) => count))
    if (this.#isOwn) await closeDescriptor(this.#fd).catch(() => {})
  }
}

function newBuffer(): Uint8Array<ArrayBuffer> {
  return new Uint8Array(BUFFER_BYTES)
}

/** From anything that yields bytes. An abort ends the wait for the next piece, and with it the input. */
export class StreamInput implements ByteInput {
  readonly #name: string
  readonly #pieces: AsyncIterator<unknown>
  readonly #signal: AbortSignal | undefined
  readonly #onClose: () => void
  #isOver = false

  constructor(name: string, pieces: AsyncIterable<unknown>, signal: AbortSignal | undefined, onClose: () => void = () => {}) {
    this.#name = name
    this.#pieces = pieces[Symbol.asyncIterator]()
    this.#signal = signal
    this.#onClose = onClose
  }

  async fill(window: ByteWindow): Promise<boolean> {
    let result: IteratorResult<unknown> | undefined
    try {
      result = await this.#nextOrAbort()
    } catch (error) {
      this.#isOver = true
      if (error instanceof CaptureError) throw error
      throw fileFailed(this.#name, 'read', error)
    }
    if (result === undefined) return false
    if (result.done === true) {
      this.#isOver = true
      window.ended = true
      return false
    }
    if (!(result.value instanceof Uint8Array))
      throw new CaptureError('INVALID_OPTION', `${this.#name}: expected a stream of Uint8Array, got ${typeof result.value}`)
    window.push(result.value)
    return true
  }

  /** NB: not Promise.race with one promise for the abort: that one would keep every loser. */
  #nextOrAbort(): Promise<IteratorResult<unknown> | undefined> {
    const signal = this.#signal
    if (signal === undefined) return this.#pieces.next()
    if (signal.aborted) return Promise.resolve(undefined)
    return new Promise((resolve, reject) => {
      const aborted = () => resolve(undefined)
      signal.addEventListener('abort', aborted, { once: true })
      this.#pieces
        .next()
        .then(resolve, reject)
        .finally(() => signal.removeEventListener('abort', aborted))
    })
  }

  async close(): Promise<void> {
    this.#onClose()
    if (this.#isOver) return
    this.#isOver = true
    // Not awaited: a generator that waits for its next piece returns when it has come.
    this.#pieces.return?.().catch(() => {})
  }
}
