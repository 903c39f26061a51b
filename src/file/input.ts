/**
 * Where the bytes of a capture file come from: a regular file, read in large pieces one ahead of the decoder, or anything that yields
 * pieces. Puts them into a window; knows no format.
 *
 * Buffers take turns: the thread pool reads into some while one is decoded, so that reading costs the decoder no time. The place before
 * each piece is for the rest of the record that the piece before it ends in.
 */
import { close, read, readSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import { promisify } from 'node:util'
import { CaptureError } from '../errors.js'
import { callFailed } from '../kernel/errno.js'
import type { ByteWindow } from './decode/window.js'

/** A piece: small ones cost calls, larger ones leave the CPU's cache. */
const PIECE_BYTES = 2 ** 20
/** Pieces that are being read: two threads copy faster than one. */
const READS = 2
/** Of reading in this thread: a piece that takes longer does not come from the page cache, and so many behind it are read ahead again. */
const CACHED_MS = 1
const PIECES_AHEAD = 64
/** Of reading in this thread: how long signals and timers wait at most. */
const TURN_MS = 10
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

export interface FileInputOptions {
  /** null reads on from where the descriptor stands, as a shell left it. */
  position: number | null
  /** Closes the descriptor. */
  isOwn: boolean
  /** Reads in this thread what the page cache has: no hand-over to the thread pool and back. */
  blocking: boolean
}

export class FileInput implements ByteInput {
  readonly #name: string
  readonly #fd: number
  readonly #isOwn: boolean
  readonly #blocking: boolean
  #position: number | null
  /** In the order of the file. */
  #readings: Reading[] = []
  /** Of `blocking`: pieces that are still to be read ahead, the buffer that the next one goes into, and since when nobody else had a turn. */
  #piecesAhead = 0
  #spare: Uint8Array<ArrayBuffer> | undefined
  #turnMs = performance.now()

  constructor(name: string, fd: number, { position, isOwn, blocking }: FileInputOptions) {
    this.#name = name
    this.#fd = fd
    this.#isOwn = isOwn
    this.#blocking = blocking
    this.#position = position
    if (!blocking) this.#read(newBuffer())
  }

  async fill(window: ByteWindow): Promise<boolean> {
    if (this.#blocking && this.#readings.length === 0) {
      if (this.#piecesAhead === 0) return this.#fillNow(window)
      this.#read(this.#spare ?? newBuffer())
      this.#spare = undefined
    }
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
    const free = adopt(window, buffer, count)
    if (this.#piecesAhead > 0) this.#piecesAhead--
    if (this.#blocking && this.#piecesAhead === 0) {
      this.#spare = free
      return true
    }
    this.#read(free)
    // NB: no sooner: a short file needs one read, and a descriptor without positions gives one after another.
    while (this.#position !== null && this.#readings.length < READS) this.#read(newBuffer())
    return true
  }

  async #fillNow(window: ByteWindow): Promise<boolean> {
    const buffer = this.#spare ?? newBuffer()
    const startedMs = performance.now()
    let count: number
    try {
      count = readSync(this.#fd, buffer, HEADROOM_BYTES, PIECE_BYTES, this.#position)
    } catch (error) {
      throw fileFailed(this.#name, 'read', error)
    }
    const nowMs = performance.now()
    this.#spare = buffer
    if (count === 0) {
      window.ended = true
      return false
    }
    if (this.#position !== null) this.#position += count
    this.#spare = adopt(window, buffer, count)
    if (nowMs - startedMs > CACHED_MS) this.#piecesAhead = PIECES_AHEAD
    if (nowMs - this.#turnMs > TURN_MS) {
      await setImmediate()
      this.#turnMs = performance.now()
    }
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

/** Puts a piece into the window; answers the buffer that is free now. */
function adopt(window: ByteWindow, buffer: Uint8Array<ArrayBuffer>, count: number): Uint8Array<ArrayBuffer> {
  const before = window.bytes
  const free = window.adopt(buffer, HEADROOM_BYTES, HEADROOM_BYTES + count) ? before : buffer
  return free.length >= BUFFER_BYTES ? free : newBuffer()
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
