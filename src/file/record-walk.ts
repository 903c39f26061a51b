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

/**
 * The records at the beginning of bytes[0, length) whose time is before `ms`, in milliseconds since 1970: up to the first that is not.
 * Exact to a microsecond.
 */
export function recordsBefore(
  bytes: Uint8Array,
  length: number,
  { format, microseconds }: Pick<RecordFormat, 'format' | 'microseconds'>,
  ms: number,
): LeadingRecords {
  const view = new DataView(bytes.buffer, bytes.byteOffset, length)
  const isPcap = format === 'pcap'
  const unitsPerMs = microseconds ? 1e3 : 1e6
  const lengths = isPcap ? PCAP_RECORD : EPB
  let at = 0
  let packets = 0
  let wireBytes = 0
  let truncated = 0
  while (at < length) {
    const time = isPcap
      ? view.getUint32(at + PCAP_RECORD.seconds, true) * 1000 + view.getUint32(at + PCAP_RECORD.fraction, true) / unitsPerMs
      : (view.getUint32(at + EPB.timestampHigh, true) * 2 ** 32 + view.getUint32(at + EPB.timestampLow, true)) / unitsPerMs
    if (time >= ms) break
    const captured = view.getUint32(at + lengths.capturedLength, true)
    const original = view.getUint32(at + lengths.originalLength, true)
    at += isPcap ? PCAP_RECORD.sizeof + captured : view.getUint32(at + EPB.totalLength, true)
    packets++
    wireBytes += original
    if (captured < original) truncated++
  }
  return { bytes: at, packets, wireBytes, truncated }
}
