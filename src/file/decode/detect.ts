/** What a file is, by its first bytes. Pure. */
import type { Decoder, DecoderOptions } from './cursor.js'
import { PCAP_HEADER, SECTION_HEADER_BLOCK, SHB } from './layout.js'
import { decodePcapHeader, isPcapMagic, PcapDecoder } from './pcap.js'
import { PcapngDecoder, sectionByteOrder } from './pcapng.js'
import type { ByteWindow } from './window.js'

export type Compression = 'none' | 'gzip' | 'zstd'

/** As many bytes as tell everything below. */
export const MAGIC_BYTES = 4

const GZIP_MAGIC = 0x1f8b
const ZSTD_MAGIC = 0xfd2fb528

export function detectCompression(bytes: Uint8Array): Compression {
  if (bytes.length < MAGIC_BYTES) return 'none'
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (view.getUint16(0) === GZIP_MAGIC) return 'gzip'
  // A frame, or a skippable one that stands before it.
  const magic = view.getUint32(0, true)
  return magic === ZSTD_MAGIC || (magic & 0xfffffff0) >>> 0 === 0x184d2a50 ? 'zstd' : 'none'
}

/**
 * The decoder of the file whose first bytes the window holds. A text is what is wrong with it, undefined that more bytes have to come. At the end
 * of the file `window.ended` must be set.
 */
export function createDecoder(window: ByteWindow, options: DecoderOptions): Decoder | string | undefined {
  const { view, start, end, ended } = window
  const length = end - start
  if (length === 0) return ended ? 'it is empty' : undefined
  if (length < MAGIC_BYTES) return ended ? beginsWith(window) : undefined
  if (view.getUint32(start) === SECTION_HEADER_BLOCK) {
    if (length < SHB.byte_order + 4) return ended ? `it ends after ${length} bytes of a section header` : undefined
    return sectionByteOrder(view, start) === undefined ? 'its section header has no byte-order magic' : new PcapngDecoder(window, options)
  }
  if (!isPcapMagic(view.getUint32(start, true)) && !isPcapMagic(view.getUint32(start, false))) return beginsWith(window)
  if (length < PCAP_HEADER.sizeof) return ended ? `it ends after ${length} of the ${PCAP_HEADER.sizeof} bytes of its header` : undefined
  const header = decodePcapHeader(view, start)
  return typeof header === 'string' ? header : new PcapDecoder(window, header, options)
}

function beginsWith({ bytes, start, end }: ByteWindow): string {
  const first = Array.from(bytes.subarray(start, Math.min(end, start + MAGIC_BYTES)), (byte) => byte.toString(16).padStart(2, '0'))
  return `it begins with ${first.join(' ')}, and neither pcap nor pcapng does`
}
