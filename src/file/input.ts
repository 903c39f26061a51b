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

/** A piece: small ones cost calls, larger ones leave the CPU's cache. The first one is small: many files may be open, and wait for their turn. */
const PIECE_BYTES = 2 ** 20
const LEAST_PIECE_BYTES = 64 * 1024
/** Pieces of all files that are being read, as far as the smallest ones allow. */
const ALL_BYTES = 64 * 2 ** 20
/** Pieces that are being read: two threads copy faster than one. */
const READS = 2
/** Of reading in this thread: a piece that takes longer does not come from the page cache, and so many behind it are read ahead again. */
const CACHED_MS = 1
const PIECES_AHEAD = 64
/** Of reading in this thread: how long signals and timers wait at most. */
const TURN_MS = 10
/** Of a file: the piece that is decoded, and those that are being read. */
const BUFFERS = 1 + READS
/**
 * Before a piece. NB: 16 bytes less than a page's multiple. A buffer of this size is mapped by malloc, which keeps 16 bytes before it; the
 * kernel copies to the beginning of a page a third faster than beside it.
 */
const LEAST_HEADROOM_BYTES = 16 * 1024
const HEADROOM_PARTS = 16

function headroomOf(pieceBytes: number): number {
  return Math.max(LEAST_HEADROOM_BYTES, pieceBytes / HEADROOM_PARTS) - 16
}

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

/** A buffer for a piece. */
interface Piece {
  buffer: Uint8Array<ArrayBuffer>
  bytes: number
}

interface Reading extends Piece {
  count: Promise<number>
}

/** Files of this thread that are being read beyond their first piece. */
let filesReading = 0

/** What follows a piece: twice as much, as far as there is room. The more files are read side by side, the less there is. */
function pieceBytesAfter(before: number): number {
  let bytes = Math.min(2 * before, PIECE_BYTES)
  while (bytes > LEAST_PIECE_BYTES && bytes * BUFFERS * filesReading > ALL_BYTES) bytes /= 2
  return bytes
}

function newPiece(bytes: number): Piece {
  return { buffer: new Uint8Array(headroomOf(bytes) + bytes), bytes }
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
  #spare: Piece | undefined
  #turnMs = performance.now()
  /** Of the last piece that has come. */
  #pieceBytes = LEAST_PIECE_BYTES
  #state: 'new' | 'open' | 'reading' | 'over' = 'new'

  constructor(name: string, fd: number, { position, isOwn, blocking }: FileInputOptions) {
    this.#name = name
    this.#fd = fd
    this.#isOwn = isOwn
    this.#blocking = blocking
    this.#position = position
    const first = newPiece(LEAST_PIECE_BYTES)
    if (blocking) this.#spare = first
    else this.#read(first)
  }

  async fill(window: ByteWindow): Promise<boolean> {
    if (this.#isOver) {
      window.ended = true
      return false
    }
    const isFirst = this.#goOn()
    if (this.#readings.length === 0) {
      if (this.#blocking && this.#piecesAhead === 0) return this.#fillNow(window)
      this.#read(this.#takeSpare())
    }
    const reading = this.#readings[0] as Reading
    let count: number
    try {
      count = await reading.count
    } catch (error) {
      throw fileFailed(this.#name, 'read', error)
    }
    this.#readings.shift()
    if (count === 0) return this.#end(window)
    if (count < reading.bytes) await this.#goBack(reading.bytes - count)
    // Closed meanwhile.
    if (this.#isOver) return false
    this.#pieceBytes = reading.bytes
    const free = adopt(window, reading, count)
    if (this.#piecesAhead > 0) this.#piecesAhead--
    // NB: no sooner than the second one: a short file needs one read, many files that are open wait for their turn.
    if (isFirst || (this.#blocking && this.#piecesAhead === 0)) {
      this.#spare = free
      return true
    }
    this.#read(free ?? this.#newPiece())
    // A descriptor without positions gives one after another.
    while (this.#position !== null && this.#readings.length < READS) this.#read(this.#newPiece())
    return true
  }

  async #fillNow(window: ByteWindow): Promise<boolean> {
    const piece = this.#takeSpare()
    const startedMs = performance.now()
    let count: number
    try {
      count = readSync(this.#fd, piece.buffer, headroomOf(piece.bytes), piece.bytes, this.#position)
    } catch (error) {
      throw fileFailed(this.#name, 'read', error)
    }
    const nowMs = performance.now()
    if (count === 0) return this.#end(window)
    if (this.#position !== null) this.#position += count
    this.#pieceBytes = piece.bytes
    this.#spare = adopt(window, piece, count)
    if (nowMs - startedMs > CACHED_MS) this.#piecesAhead = PIECES_AHEAD
    if (nowMs - this.#turnMs > TURN_MS) {
      await setImmediate()
      this.#turnMs = performance.now()
    }
    return true
  }

  #newPiece(): Piece {
    return newPiece(pieceBytesAfter(this.#pieceBytes))
  }

  #takeSpare(): Piece {
    const spare = this.#spare ?? this.#newPiece()
    this.#spare = undefined
    return spare
  }

  #read(piece: Piece): void {
    const { buffer, bytes } = piece
    const count = readInto(this.#fd, buffer, headroomOf(bytes), bytes, this.#position).then(({ bytesRead }) => bytesRead)
    // Whoever fills next is told; nobody may.
    count.catch(() => {})
    this.#readings.push({ buffer, bytes, count })
    if (this.#position !== null) this.#position += bytes
  }

  /** A read was shorter than asked for, at the end or not: those behind it are not where they should be. */
  async #goBack(missing: number): Promise<void> {
    if (this.#position === null) return
    const wrong = this.#readings
    this.#readings = []
    await Promise.allSettled(wrong.map(({ count }) => count))
    this.#position -= wrong.reduce((sum, { bytes }) => sum + bytes, missing)
  }

  get #isOver(): boolean {
    return this.#state === 'over'
  }

  /** With its second piece a file is one of those that share the memory. Answers whether it is still at the first. */
  #goOn(): boolean {
    const isFirst = this.#state === 'new'
    if (this.#state === 'open') filesReading++
    this.#state = isFirst ? 'open' : 'reading'
    return isFirst
  }

  #end(window: ByteWindow): false {
    window.ended = true
    this.#release()
    return false
  }

  #release(): void {
    if (this.#state === 'reading') filesReading--
    this.#state = 'over'
    this.#spare = undefined
    this.#readings = []
  }

  async close(): Promise<void> {
    const readings = this.#readings
    this.#release()
    await Promise.allSettled(readings.map(({ count }) => count))
    if (this.#isOwn) await closeDescriptor(this.#fd).catch(() => {})
  }
}

/** Puts a piece into the window; answers the buffer that is free now, if it is as long as the next one should be. */
function adopt(window: ByteWindow, { buffer, bytes }: Piece, count: number): Piece | undefined {
  const before = window.bytes
  const headroom = headroomOf(bytes)
  const free = window.adopt(buffer, headroom, headroom + count) ? before : buffer
  const next = pieceBytesAfter(bytes)
  return free.length === headroomOf(next) + next ? { buffer: free, bytes: next } : undefined
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
