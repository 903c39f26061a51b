/** Walks records in memory as record.ts makes them. Once a file, not once a packet. */

import { EPB, PCAP_RECORD, type RecordFormat } from './record-layout.js'

/** Records at the beginning of others. */
export interface LeadingRecords {
  bytes: number
  packets: number
  /** Sum of their lengths on the wire, tags that were put back included. */
  wireBytes: number
  /** Of which not all bytes were captured. */
  truncated: number
}

/** The records that are whole in bytes[0, length). */
export function wholeRecords(bytes: Uint8Array, length: number, { format }: Pick<RecordFormat, 'format'>): LeadingRecords {
  const view = new DataView(bytes.buffer, bytes.byteOffset, length)
  const isPcap = format === 'pcap'
  const lengths = isPcap ? PCAP_RECORD : EPB
  const whole: LeadingRecords = { bytes: 0, packets: 0, wireBytes: 0, truncated: 0 }
  while (whole.bytes + lengths.sizeof <= length) {
    const at = whole.bytes
    const captured = view.getUint32(at + lengths.capturedLength, true)
    const original = view.getUint32(at + lengths.originalLength, true)
    const end = at + (isPcap ? PCAP_RECORD.sizeof + captured : view.getUint32(at + EPB.totalLength, true))
    if (end > length) break
    whole.bytes = end
    whole.packets++
    whole.wireBytes += original
    if (captured < original) whole.truncated++
  }
  return whole
}

/** Takes whole records from the front of others. */
export class LeadingSplit {
  packets = 0
  readonly #isPcap: boolean
  #of: ArrayBufferLike | undefined
  #view: DataView = new DataView(new ArrayBuffer(0))

  constructor({ format }: Pick<RecordFormat, 'format'>) {
    this.#isPcap = format === 'pcap'
  }

  take(bytes: Uint8Array, from: number, to: number, room: number, atLeastOne: boolean): number {
    if (this.#of !== bytes.buffer) {
      this.#of = bytes.buffer
      this.#view = new DataView(bytes.buffer)
    }
    const view = this.#view
    const isPcap = this.#isPcap
    const lengthAt = bytes.byteOffset + (isPcap ? PCAP_RECORD.capturedLength : EPB.totalLength)
    const around = isPcap ? PCAP_RECORD.sizeof : 0
    const most = Math.min(to, from + room)
    let packets = 0
    let at = from
    while (at < to) {
      const end = at + around + view.getUint32(at + lengthAt, true)
      if (end > most && !(packets === 0 && atLeastOne)) break
      at = end
      packets++
    }
    this.packets = packets
    return at - from
  }
}

/**
 * The records at the beginning of bytes[0, length) whose time is before `ms`, in milliseconds since 1970: up to the first that is not.
 */
export function recordsBefore(
  bytes: Uint8Array,
  length: number,
  { format, microseconds }: Pick<RecordFormat, 'format' | 'microseconds'>,
  ms: number,
): LeadingRecords {
  const view = new DataView(bytes.buffer, bytes.byteOffset, length)
  const isPcap = format === 'pcap'
  const { at: timeAt, upper, lower } = timeLimit(isPcap, microseconds, Math.max(0, ms))
  const lengths = isPcap ? PCAP_RECORD : EPB
  let at = 0
  let packets = 0
  let wireBytes = 0
  let truncated = 0
  while (at < length) {
    const recordUpper = view.getUint32(at + timeAt, true)
    if (recordUpper > upper || (recordUpper === upper && view.getUint32(at + timeAt + 4, true) >= lower)) break
    const captured = view.getUint32(at + lengths.capturedLength, true)
    const original = view.getUint32(at + lengths.originalLength, true)
    at += isPcap ? PCAP_RECORD.sizeof + captured : view.getUint32(at + EPB.totalLength, true)
    packets++
    wireBytes += original
    if (captured < original) truncated++
  }
  return { bytes: at, packets, wireBytes, truncated }
}

/** Both formats have their times in two words: seconds and their fraction, or one number of 64 bits, its upper half first. */
function timeLimit(isPcap: boolean, microseconds: boolean, ms: number): { at: number; upper: number; lower: number } {
  const unitsPerMs = microseconds ? 1e3 : 1e6
  const whole = Math.floor(ms)
  const units = BigInt(whole) * BigInt(unitsPerMs) + BigInt(Math.ceil((ms - whole) * unitsPerMs))
  const base = isPcap ? BigInt(unitsPerMs * 1000) : 2n ** 32n
  return { at: isPcap ? PCAP_RECORD.seconds : EPB.timestampHigh, upper: Number(units / base), lower: Number(units % base) }
}
