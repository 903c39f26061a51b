/**
 * Compression of capture files in members that each hold whole records: gzip(1) and zstd(1) read such members one after another as one
 * file (RFC 1952, 2.2; RFC 8878, 3), what is written can be cut behind any of them, and several are made at once, in Node's thread
 * pool. A member of 1 MiB costs less than 1 % in size.
 */
import { promisify } from 'node:util'
import zlib from 'node:zlib'
import { CaptureError } from '../errors.js'
import { COMPRESSIONS, type Compression } from './compression.js'

/** The level that costs least. */
const DEFAULT_LEVEL = 1

const MAX_LEVEL: Readonly<Record<Compression, number>> = { gzip: 9, zstd: 19 }

/** Members that are made at the same time: Node's pool has four threads. */
const AT_ONCE = 4

type Compress = (bytes: Uint8Array) => Promise<Uint8Array>

/** Since Node.js 22.15. */
interface ZlibWithZstd {
  zstdCompress?: (bytes: Uint8Array, options: object, done: (error: Error | null, bytes: Buffer) => void) => void
  zstdCompressSync?: (bytes: Uint8Array, options: object) => Buffer
  constants: { ZSTD_c_compressionLevel: number }
}

/**
 * One member, at once.
 * @throws CaptureError UNSUPPORTED_PLATFORM for zstd where Node.js lacks it.
 */
export function compressNow(compression: Compression, bytes: Uint8Array, level = DEFAULT_LEVEL): Uint8Array {
  if (compression === 'gzip') return zlib.gzipSync(bytes, { level })
  const { zstdCompressSync } = zstd()
  return zstdCompressSync(bytes, zstdOptions(level))
}

function zstd(): Required<ZlibWithZstd> {
  const found = zlib as unknown as ZlibWithZstd
  if (found.zstdCompress !== undefined && found.zstdCompressSync !== undefined) return found as Required<ZlibWithZstd>
  throw new CaptureError('UNSUPPORTED_PLATFORM', `zstd needs Node.js 22.15 or later, this is ${process.version}`, { hint: 'write gzip, or pipe to zstd(1)' })
}

function zstdOptions(level: number): object {
  return { params: { [zstd().constants.ZSTD_c_compressionLevel]: level } }
}

/** @throws CaptureError INVALID_OPTION for a level out of range, UNSUPPORTED_PLATFORM as compressNow. */
export function checkCompression(compression: Compression, level: number | undefined): void {
  if (!COMPRESSIONS.includes(compression)) {
    throw new CaptureError('INVALID_OPTION', `expected compression to be one of ${COMPRESSIONS.join(', ')}, got ${String(compression)}`)
  }
  if (level !== undefined && !(Number.isInteger(level) && level >= 1 && level <= MAX_LEVEL[compression])) {
    throw new CaptureError('INVALID_OPTION', `expected compressionLevel to be 1 to ${MAX_LEVEL[compression]}, got ${String(level)}`)
  }
  if (compression === 'zstd') zstd()
}

function compressorOf(compression: Compression, level: number): Compress {
  if (compression === 'gzip') {
    const gzip = promisify(zlib.gzip) as (bytes: Uint8Array, options: object) => Promise<Buffer>
    return (bytes) => gzip(bytes, { level })
  }
  const compress = promisify(zstd().zstdCompress) as (bytes: Uint8Array, options: object) => Promise<Buffer>
  return (bytes) => compress(bytes, zstdOptions(level))
}

/** Compresses buffers side by side and hands them on in their order. */
export class Compressor {
  readonly #compress: Compress
  readonly #emit: (member: Uint8Array, packets: number) => void
  #tail: Promise<void> = Promise.resolve()
  #pending = 0

  /** `emit` is given each member, with the number that came with it; it must not throw. */
  constructor(compression: Compression, level: number | undefined, emit: (member: Uint8Array, packets: number) => void) {
    this.#compress = compressorOf(compression, level ?? DEFAULT_LEVEL)
    this.#emit = emit
  }

  /** Whether no more should be pushed before `room()`. */
  get isFull(): boolean {
    return this.#pending >= AT_ONCE
  }

  /** Takes the bytes: they must not be changed any more. */
  push(bytes: Uint8Array, packets: number): void {
    this.#pending++
    const member = this.#compress(bytes)
    this.#tail = Promise.all([member, this.#tail]).then(([made]) => {
      this.#pending--
      this.#emit(made, packets)
    })
  }

  /** Runs it when everything that was pushed so far has been handed on, and nothing that is pushed later. */
  behind(run: () => void): void {
    this.#tail = this.#tail.then(run)
  }

  /** When everything that was pushed so far has been handed on. */
  finished(): Promise<void> {
    return this.#tail
  }
}
