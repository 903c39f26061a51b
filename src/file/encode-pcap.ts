/**
 * pcap over bytes: the file header and the header of a record, little-endian, with microseconds or nanoseconds. Pure.
 * Source: pcap-savefile(5), draft-ietf-opsawg-pcap.
 */

/** What stands behind the point: nanoseconds or microseconds. */
export type Precision = 'ns' | 'us'

export const PRECISIONS = ['ns', 'us'] as const satisfies readonly Precision[]

export const PCAP_HEADER_BYTES = 24
export const PCAP_RECORD_HEADER_BYTES = 16

/** In the upper half of the link type: that a length of the FCS is there, and its unit of two bytes. */
const FCS_PRESENT = 0x0400_0000
const FCS_UNIT = 0x1000_0000
const MAX_FCS_BYTES = 30

const MAGIC: Readonly<Record<Precision, number>> = { us: 0xa1b2c3d4, ns: 0xa1b23c4d }

export interface PcapHeader {
  precision: Precision
  /** No packet of the file is longer; readers make room by it. */
  snapLengthBytes: number
  /** LINKTYPE_ number. */
  linkType: number
  /** Length of the frame check sequence that each packet ends in; unknown when absent, as are odd ones and those above 30. */
  fcsBytes?: number | undefined
}

export function encodePcapHeader({ precision, snapLengthBytes, linkType, fcsBytes }: PcapHeader): Uint8Array<ArrayBuffer> {
  const view = new DataView(new ArrayBuffer(PCAP_HEADER_BYTES))
  view.setUint32(0, MAGIC[precision], true)
  view.setUint16(4, 2, true)
  view.setUint16(6, 4, true)
  view.setUint32(16, snapLengthBytes, true)
  const isKnown = fcsBytes !== undefined && fcsBytes % 2 === 0 && fcsBytes <= MAX_FCS_BYTES
  view.setUint32(20, isKnown ? ((fcsBytes / 2) * FCS_UNIT + FCS_PRESENT + linkType) >>> 0 : linkType, true)
  return new Uint8Array(view.buffer)
}

/** `fraction` counts in the precision of the file. Seconds have 32 bits: they end in February 2106. */
export function putPcapRecordHeader(view: DataView, at: number, seconds: number, fraction: number, capturedLength: number, wireLength: number): void {
  view.setUint32(at, seconds, true)
  view.setUint32(at + 4, fraction, true)
  view.setUint32(at + 8, capturedLength, true)
  view.setUint32(at + 12, wireLength, true)
}
