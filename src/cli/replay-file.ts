/**
 * The file of `ringtap replay` as packets to transmit. This reads pcap alone, microseconds and nanoseconds, of either byte order, a
 * megabyte at a time.
 */
import { closeSync, openSync, readSync } from 'node:fs'
import { CaptureError, type TransmitBatch, type TransmitPackets } from '../index.js'

const HEADER_BYTES = 24
const RECORD_BYTES = 16
const CHUNK_BYTES = 2 ** 20
/** As libpcap: no record is longer, whatever it says. */
const MAX_CAPTURED = 262_144
const MICROSECONDS = 0xa1b2c3d4
const NANOSECONDS = 0xa1b23c4d
const LINK_TYPE_MASK = 0x0fff_ffff

/** @throws CaptureError FILE_FAILED, INVALID_FILE; of what is damaged later the packets before it are given first. */
export function openReplayFile(path: string): TransmitPackets {
  let fd: number
  try {
    fd = openSync(path, 'r')
  } catch (cause) {
    throw failed(path, cause)
  }
  try {
    return new PcapPackets(path, fd)
  } catch (error) {
    closeSync(fd)
    throw error
  }
}

class PcapPackets implements TransmitPackets, TransmitBatch {
  readonly bytes = new Uint8Array(CHUNK_BYTES + MAX_CAPTURED + RECORD_BYTES)
  readonly linkType: number
  offset = 0
  capturedLength = 0
  wireLength = 0
  seconds = 0
  nanoseconds = 0
  readonly #path: string
  readonly #fd: number
  readonly #view = new DataView(this.bytes.buffer)
  readonly #littleEndian: boolean
  readonly #fraction: number
  /** Of `bytes`, what has been read and not been given. */
  #next = 0
  #end = 0
  /** Offset in the file of the first of `bytes`. */
  #at = 0
  #isOpen = true

  constructor(path: string, fd: number) {
    this.#path = path
    this.#fd = fd
    this.#fill()
    if (this.#end < HEADER_BYTES) throw invalid(path, 0, 'shorter than the header of a pcap file')
    const magic = this.#view.getUint32(0, true)
    const swapped = this.#view.getUint32(0, false)
    this.#littleEndian = magic === MICROSECONDS || magic === NANOSECONDS
    if (!this.#littleEndian && swapped !== MICROSECONDS && swapped !== NANOSECONDS) throw invalid(path, 0, 'not a pcap file')
    this.#fraction = magic === NANOSECONDS || swapped === NANOSECONDS ? 1 : 1000
    this.linkType = this.#view.getUint32(20, this.#littleEndian) & LINK_TYPE_MASK
    this.#next = HEADER_BYTES
  }

  nextBatch(): TransmitBatch | undefined {
    this.bytes.copyWithin(0, this.#next, this.#end)
    this.#at += this.#next
    this.#end -= this.#next
    this.#next = 0
    this.#fill()
    if (this.#end === 0) return undefined
    if (!this.#hasWhole()) throw invalid(this.#path, this.#at, 'the file ends in the middle of a packet')
    return this
  }

  next(): boolean {
    if (!this.#hasWhole()) return false
    const view = this.#view
    const at = this.#next
    this.seconds = view.getUint32(at, this.#littleEndian)
    this.nanoseconds = view.getUint32(at + 4, this.#littleEndian) * this.#fraction
    this.capturedLength = view.getUint32(at + 8, this.#littleEndian)
    this.wireLength = view.getUint32(at + 12, this.#littleEndian)
    this.offset = at + RECORD_BYTES
    this.#next = this.offset + this.capturedLength
    return true
  }

  close(): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    closeSync(this.#fd)
  }

  #hasWhole(): boolean {
    const at = this.#next
    if (at + RECORD_BYTES > this.#end) return false
    const length = this.#view.getUint32(at + 8, this.#littleEndian)
    if (length > MAX_CAPTURED) throw invalid(this.#path, this.#at + at, `a packet of ${length} bytes`)
    return at + RECORD_BYTES + length <= this.#end
  }

  #fill(): void {
    try {
      while (this.#end < this.bytes.length) {
        const count = readSync(this.#fd, this.bytes, this.#end, this.bytes.length - this.#end, null)
        if (count === 0) return
        this.#end += count
      }
    } catch (cause) {
      throw failed(this.#path, cause)
    }
  }
}

function failed(path: string, cause: unknown): CaptureError {
  const { code, errno, syscall } = cause as NodeJS.ErrnoException
  const options = { cause, syscall, errno: errno === undefined ? undefined : -errno, errnoName: code }
  return new CaptureError('FILE_FAILED', `${path}: ${(cause as Error).message}`, options)
}

function invalid(path: string, offset: number, why: string): CaptureError {
  return new CaptureError('INVALID_FILE', `${path}: byte ${offset}: ${why}`)
}
