/**
 * Where the bytes of a capture file come from: a regular file, read in large pieces one ahead of the decoder, or anything that yields
 * pieces. Puts them into a window; knows no format.
 *
 * Two buffers take turns: the thread pool reads into one while the other is decoded, so that on two cores reading costs no time of its own. The
 * place before each piece is for the rest of the record that the piece before it ends in.
 */
import { close, read } from 'node:fs'
import { promisify } from 'node:util'
import { CaptureError } from '../errors.js'
import { callFailed } from '../kernel/errno.js'
import type { ByteWindow } from './decode/window.js'

/** A piece: 256 KiB took twice the time in calls, more than 1 MiB leaves the CPU's cache. */
const PIECE_BYTES = 2 ** 20
const HEADROOM_BYTES = 64 * 1024

export interface ByteInput {
  /** Puts what comes next into the window; at the end sets `ended`. */
  fill(window: ByteWindow): Promise<void>
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

export class FileInput implements ByteInput {
  readonly #name: string
  readonly #fd: number
  readonly #isOwn: boolean
  /** null reads on from where the descriptor stands, as a shell left it. */
  #position: number | null
  #spare: Uint8Array<ArrayBuffer> = new Uint8Array(HEADROOM_BYTES + PIECE_BYTES)
  #pending: Promise<number>

  /** `isOwn`: closes the descriptor. */
  constructor(name: string, fd: number, position: number | null, isOwn: boolean) {
    this.#name = name
    this.#fd = fd
    this.#isOwn = isOwn
    this.#position = position
    this.#pending = this.#read()
  }

  async fill(window: ByteWindow): Promise<void> {
    let count: number
    try {
      count = await this.#pending
    } catch (error) {
      throw fileFailed(this.#name, 'read', error)
    }
    if (count === 0) {
      window.ended = true
      return
    }
    const before = window.bytes
    if (window.adopt(this.#spare, HEADROOM_BYTES, HEADROOM_BYTES + count)) {
      this.#spare = before.length >= HEADROOM_BYTES + PIECE_BYTES ? before : new Uint8Array(HEADROOM_BYTES + PIECE_BYTES)
    }
    this.#pending = this.#read()
  }

  #read(): Promise<number> {
    const reading = readInto(this.#fd, this.#spare, HEADROOM_BYTES, PIECE_BYTES, this.#position).then(({ bytesRead }) => {
      if (this.#position !== null) this.#position += bytesRead
      return bytesRead
    })
    // Whoever fills next is told; nobody may.
    reading.catch(() => {})
    return reading
  }

  async close(): Promise<void> {
    await this.#pending.catch(() => {})
    if (this.#isOwn) await closeDescriptor(this.#fd).catch(() => {})
  }
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

  async fill(window: ByteWindow): Promise<void> {
    let result: IteratorResult<unknown> | undefined
    try {
      result = await this.#nextOrAbort()
    } catch (error) {
      this.#isOver = true
      if (error instanceof CaptureError) throw error
      throw fileFailed(this.#name, 'read', error)
    }
    if (result === undefined) return
    if (result.done === true) {
      this.#isOver = true
      window.ended = true
    } else if (result.value instanceof Uint8Array) window.push(result.value)
    else throw new CaptureError('INVALID_OPTION', `${this.#name}: expected a stream of Uint8Array, got ${typeof result.value}`)
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
