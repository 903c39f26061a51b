/**
 * gzip and zstd by node:zlib, as a stream of pieces in bounded memory. What was decompressed before an error is handed on before the
 * error is thrown: compressed data goes in a little at a time, and not on before everything that came of it has been taken.
 */
import type { Transform } from 'node:stream'
import * as zlib from 'node:zlib'
import { CaptureError } from '../errors.js'
import type { Compression } from './decode/detect.js'

/** What is written at once: what came of it is lost when it is damaged, so a short file gets small ones. */
const LEAST_BYTES = 512
const MOST_BYTES = 16 * 1024
const PART_OF_WHOLE = 1 / 16
/** The sum and the length at the end of gzip go last and alone: data before them are good even where they are not. */
const TRAILER_BYTES = 8
const OUTPUT_BYTES = 128 * 1024

/** Since Node.js 22.15 and 23.8. */
const { createZstdDecompress } = zlib as { createZstdDecompress?: (options: { chunkSize: number }) => Transform }

/** @throws CaptureError UNSUPPORTED_PLATFORM for zstd where Node.js has none. */
export function decompress(name: string, compression: Exclude<Compression, 'none'>, pieces: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  if (compression === 'gzip') return pump(name, compression, zlib.createGunzip({ chunkSize: OUTPUT_BYTES }), pieces)
  if (createZstdDecompress === undefined) {
    throw new CaptureError('UNSUPPORTED_PLATFORM', `${name}: zstd: Node.js ${process.versions.node} cannot decompress it`, {
      hint: 'Node.js 22.15 and later can; or zstd -dc FILE | … -',
    })
  }
  return pump(name, compression, createZstdDecompress({ chunkSize: OUTPUT_BYTES }), pieces)
}

async function* pump(name: string, compression: string, transform: Transform, pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  let failure: unknown
  let isOver = false
  let wake = () => {}
  const heard = () => wake()
  transform.on('readable', heard)
  transform.on('end', () => {
    isOver = true
    wake()
  })
  transform.on('error', (error) => {
    failure = error
    wake()
  })
  /** Yields what comes of what has been written, until `isDone` and there is no more. */
  async function* outputs(isDone: () => boolean): AsyncGenerator<Uint8Array, void, undefined> {
    for (;;) {
      const woken = new Promise<void>((resolve) => {
        wake = resolve
      })
      const output = failure === undefined ? (transform.read() as Uint8Array | null) : null
      if (output !== null) yield output
      else if (failure !== undefined) throw damaged(name, compression, failure)
      else if (isDone()) return
      else await woken
    }
  }
  async function* write(piece: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
    let isWritten = false
    transform.write(piece, () => {
      isWritten = true
      wake()
    })
    yield* outputs(() => isWritten || isOver)
  }
  try {
    for await (const piece of portions(pieces)) yield* write(piece)
    transform.end()
    yield* outputs(() => isOver)
  } finally {
    transform.destroy()
  }
}

/** The same bytes, in pieces that grow, and at the end one of TRAILER_BYTES. */
async function* portions(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  let total = 0
  let held: Uint8Array = new Uint8Array(0)
  for await (const piece of pieces) {
    const whole = new Uint8Array(held.length + piece.length)
    whole.set(held)
    whole.set(piece, held.length)
    let at = 0
    while (whole.length - at > TRAILER_BYTES) {
      const most = Math.min(MOST_BYTES, Math.max(LEAST_BYTES, total * PART_OF_WHOLE))
      const end = Math.min(whole.length - TRAILER_BYTES, at + Math.floor(most))
      yield whole.subarray(at, end)
      total += end - at
      at = end
    }
    held = whole.subarray(at)
  }
  if (held.length > 0) yield held
}

function damaged(name: string, compression: string, error: unknown): CaptureError {
  const reason = error instanceof Error ? error.message : String(error)
  return new CaptureError('INVALID_FILE', `${name}: ${compression}: ${reason}`, { cause: error, hint: 'packets before the damage have been delivered' })
}
