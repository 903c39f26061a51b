/**
 * gzip and zstd by node:zlib, as a stream of pieces in bounded memory: member after member of gzip, frame after frame of zstd, each by a
 * decompressor of its own. Where one ends is known, so that what follows it, whatever it is, takes nothing along.
 *
 * What was decompressed before damage is handed on before the error is thrown. zlib gives nothing of a call that fails: a member that is
 * still in memory is decompressed once more, and in the end byte by byte. (A longer one loses what that portion would have held.)
 */
import type { Transform } from 'node:stream'
import * as zlib from 'node:zlib'
import { CaptureError } from '../errors.js'
import type { Compression } from './decode/detect.js'
import { gzipHeaderLength, isGzip } from './decode/gzip-header.js'
import { isZstd, ZstdFrame } from './decode/zstd-frame.js'

/** What is written at once, and what comes out at once. */
const PORTION_BYTES = 16 * 1024
const OUTPUT_BYTES = 128 * 1024
/** Of a member, to be decompressed once more: how much of it is kept, and how much may have come of it. */
const KEPT_BYTES = 8 * 2 ** 20
const KEPT_OUTPUT_BYTES = 128 * 2 ** 20
const STEP_BYTES = 128
const GZIP_TRAILER_BYTES = 8
const NOTHING = new Uint8Array(0)

type Compressed = Exclude<Compression, 'none'>
type Decompressor = Transform & { bytesWritten: number }

/** Since Node.js 22.15 and 23.8. */
const { createZstdDecompress } = zlib as { createZstdDecompress?: (options: { chunkSize: number }) => Decompressor }

/** What is decompressed, and what is not: bytes behind the last member that are no gzip (zstd), without the zeros that pad it. */
export interface Decompressed extends AsyncIterable<Uint8Array> {
  readonly trailingBytes: number
}

/** @throws CaptureError UNSUPPORTED_PLATFORM for zstd where Node.js has none. */
export function decompress(name: string, compression: Compressed, pieces: AsyncIterable<Uint8Array>): Decompressed {
  if (compression === 'zstd' && createZstdDecompress === undefined) {
    throw new CaptureError('UNSUPPORTED_PLATFORM', `${name}: zstd: Node.js ${process.versions.node} cannot decompress it`, {
      hint: 'Node.js 22.15 and later can; or zstd -dc FILE | … -',
    })
  }
  return new Decompression(name, compression, pieces)
}

class Decompression implements Decompressed {
  trailingBytes = 0
  readonly #name: string
  readonly #compression: Compressed
  readonly #source: Source

  constructor(name: string, compression: Compressed, pieces: AsyncIterable<Uint8Array>) {
    this.#name = name
    this.#compression = compression
    this.#source = new Source(pieces)
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    const source = this.#source
    const isGzipped = this.#compression === 'gzip'
    try {
      for (let isFirst = true; await source.has(1); isFirst = false) {
        await source.has(isGzipped ? 2 : 4)
        if (!isFirst && !(isGzipped ? isGzip(source.held) : isZstd(source.held))) return await this.#countTrailing()
        yield* isGzipped ? this.#gzipMember() : this.#member(new ZstdFrame())
      }
    } finally {
      await source.close()
    }
  }

  async *#gzipMember(): AsyncGenerator<Uint8Array, void, undefined> {
    const source = this.#source
    let header = gzipHeaderLength(source.held)
    for (; header === undefined; header = gzipHeaderLength(source.held)) if (!(await source.fill())) throw this.#cut()
    if (typeof header === 'string') throw this.#damaged(header)
    source.advance(header)
    let sum = 0
    let length = 0
    for await (const output of this.#member()) {
      sum = zlib.crc32(output, sum)
      length += output.length
      yield output
    }
    if (!(await source.has(GZIP_TRAILER_BYTES))) throw this.#cut()
    const { buffer, byteOffset } = source.held
    const trailer = new DataView(buffer, byteOffset, GZIP_TRAILER_BYTES)
    if (trailer.getUint32(0, true) !== sum) throw this.#damaged('incorrect data check')
    if (trailer.getUint32(4, true) !== length % 2 ** 32) throw this.#damaged('incorrect length check')
    source.advance(GZIP_TRAILER_BYTES)
  }

  /** Of one member: deflate ends where zlib takes no more, a frame of zstd where its blocks say so. */
  async *#member(frame?: ZstdFrame): AsyncGenerator<Uint8Array, void, undefined> {
    const source = this.#source
    const pump = new Pump(this.#decompressor())
    let kept: Uint8Array[] | undefined = []
    let given = 0
    let delivered = 0
    try {
      for (;;) {
        if (!(await source.has(1))) throw this.#cut()
        const most = source.held.subarray(0, PORTION_BYTES)
        const portion = frame === undefined ? most : most.subarray(0, frame.take(most))
        kept?.push(portion)
        try {
          for await (const output of pump.write(portion)) {
            delivered += output.length
            yield output
          }
        } catch (error) {
          if (kept !== undefined) yield* this.#again(kept, delivered)
          throw this.#damaged(error)
        }
        const left = given + portion.length - pump.taken
        given += portion.length
        source.advance(portion.length - (frame === undefined ? left : 0))
        if (frame === undefined ? left > 0 : frame.isOver) return
        if (given > KEPT_BYTES || delivered > KEPT_OUTPUT_BYTES) kept = undefined
      }
    } finally {
      pump.destroy()
    }
  }

  /** What comes of the same once more, behind the first `delivered` bytes and up to the error: the last portion in steps, the last step byte by byte. */
  async *#again(portions: Uint8Array[], delivered: number, step = STEP_BYTES): AsyncGenerator<Uint8Array, void, undefined> {
    const last = portions.pop() ?? NOTHING
    const pump = new Pump(this.#decompressor())
    let total = 0
    let isFailed = false
    try {
      for (const portion of portions) for await (const output of pump.write(portion)) total += output.length
      for (let at = 0; at < last.length; at += step) {
        const piece = last.subarray(at, at + step)
        portions.push(piece)
        for await (const output of pump.write(piece)) {
          if (total + output.length > delivered) yield output.subarray(Math.max(0, delivered - total))
          total += output.length
        }
      }
    } catch {
      // The error that there was already.
      isFailed = true
    } finally {
      pump.destroy()
    }
    if (isFailed && step > 1) yield* this.#again(portions, Math.max(delivered, total), 1)
  }

  #decompressor(): Decompressor {
    const options = { chunkSize: OUTPUT_BYTES }
    if (this.#compression === 'gzip') return zlib.createInflateRaw(options) as unknown as Decompressor
    return (createZstdDecompress as NonNullable<typeof createZstdDecompress>)(options)
  }

  /** As gzip does: zeros are padding, anything else is passed over. */
  async #countTrailing(): Promise<void> {
    const source = this.#source
    let isPadding = true
    while (await source.has(1)) {
      const { held } = source
      const from = isPadding ? held.findIndex((byte) => byte !== 0) : 0
      if (from >= 0) {
        isPadding = false
        this.trailingBytes += held.length - from
      }
      source.advance(held.length)
    }
  }

  #cut(): CaptureError {
    return this.#damaged('unexpected end of file')
  }

  #damaged(error: unknown): CaptureError {
    const reason = error instanceof Error ? error.message : String(error)
    return new CaptureError('INVALID_FILE', `${this.#name}: ${this.#compression}: ${reason}`, {
      cause: error instanceof Error ? error : undefined,
      hint: 'packets before the damage have been delivered',
    })
  }
}

/** Pieces as a queue of bytes. */
class Source {
  /** What has come and has not been taken. */
  held: Uint8Array = NOTHING
  readonly #pieces: AsyncIterator<Uint8Array>

  constructor(pieces: AsyncIterable<Uint8Array>) {
    this.#pieces = pieces[Symbol.asyncIterator]()
  }

  /** Takes in the next piece; false when there is none. */
  async fill(): Promise<boolean> {
    const { done, value } = await this.#pieces.next()
    if (done === true) return false
    if (this.held.length === 0) this.held = value
    else {
      const whole = new Uint8Array(this.held.length + value.length)
      whole.set(this.held)
      whole.set(value, this.held.length)
      this.held = whole
    }
    return true
  }

  /** Waits until so many bytes are held; false when there are no more so many. */
  async has(bytes: number): Promise<boolean> {
    while (this.held.length < bytes) if (!(await this.fill())) return false
    return true
  }

  advance(bytes: number): void {
    this.held = this.held.subarray(bytes)
  }

  async close(): Promise<void> {
    await this.#pieces.return?.()
  }
}

/** A decompressor of node:zlib: what is written, and what comes of it. */
class Pump {
  readonly #transform: Decompressor
  #failure: { thrown: unknown } | undefined
  #wake = () => {}

  constructor(transform: Decompressor) {
    this.#transform = transform
    transform.on('readable', () => this.#wake())
    transform.on('error', (thrown) => {
      this.#failure = { thrown }
      this.#wake()
    })
  }

  /** Bytes that it had use for. */
  get taken(): number {
    return this.#transform.bytesWritten
  }

  /** Yields all that comes of a portion. @throws what zlib says is wrong */
  async *write(portion: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
    const transform = this.#transform
    let isWritten = false
    transform.write(portion, () => {
      isWritten = true
      this.#wake()
    })
    for (;;) {
      const woken = new Promise<void>((resolve) => {
        this.#wake = resolve
      })
      const output = this.#failure === undefined ? (transform.read() as Uint8Array | null) : null
      if (output !== null) yield output
      else if (this.#failure !== undefined) throw this.#failure.thrown
      else if (isWritten) return
      else await woken
    }
  }

  destroy(): void {
    this.#transform.destroy()
  }
}
