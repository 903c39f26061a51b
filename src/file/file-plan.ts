/** What a capture file is to be, from its name and options, checked; and the bytes that it begins with. Nothing is opened. */
import { CaptureError } from '../errors.js'
import { LINK_TYPES, type LinkType } from '../filter/link-type.js'
import { CAPTURE_FILE_FORMATS, type CaptureFileFormat, type CreateCaptureFileOptions, type FileInterface } from './capture-file.js'
import type { Compression } from './compression.js'
import { checkCompression, compressNow } from './compressor.js'
import { encodePcapHeader, PRECISIONS, type Precision } from './encode-pcap.js'
import { encodeInterface, encodeSection, type InterfaceDescription, isInterfaceAddress, MAX_OPTION_BYTES, type Section } from './encode-pcapng.js'

const DEFAULT_SNAP_LENGTH = 262144
const MAX_SNAP_LENGTH = 0x7fff_ffff

export interface FilePlan {
  format: CaptureFileFormat
  precision: Precision
  linkType: number
  fcsBytes: number | undefined
  snapLengthBytes: number
  cuts: boolean
  /** Packets are those of files, as they are: they may have more bytes than the wire had. */
  isConverted: boolean
  compression: Compression | undefined
  compressionLevel: number | undefined
  unbuffered: boolean
  section: Section
  interfaces: InterfaceDescription[]
  /** Names and secrets that have come: each file of a series has them from its beginning. */
  repeated: Uint8Array[]
}

/** What a time stamp may be. */
export const MAX_SECONDS: Readonly<Record<CaptureFileFormat, number>> = { pcap: 0xffff_ffff, pcapng: 2 ** 34 }

/** What the endings of a name say: `.pcap`, `.cap`, `.dmp` or else pcapng, and behind it `.gz` or `.zst`. */
export function endingsOf(path: string): { format: CaptureFileFormat; compression: Compression | 'none' } {
  const endings = /(?:\.(pcapng|ntar|pcap|cap|dmp))?(?:\.(gz|zst))?$/i.exec(path)
  const [, kind, packed] = [...(endings ?? [])].map((ending) => ending?.toLowerCase())
  return {
    format: kind === undefined || kind === 'pcapng' || kind === 'ntar' ? 'pcapng' : 'pcap',
    compression: packed === 'gz' ? 'gzip' : packed === 'zst' ? 'zstd' : 'none',
  }
}

export function planFile(path: string, options: CreateCaptureFileOptions): FilePlan {
  const endings = endingsOf(path)
  const format = options.format ?? endings.format
  if (!CAPTURE_FILE_FORMATS.includes(format))
    throw new CaptureError('INVALID_OPTION', `expected format to be one of ${CAPTURE_FILE_FORMATS.join(', ')}, got ${String(format)}`)
  const precision = options.precision ?? 'ns'
  if (!PRECISIONS.includes(precision))
    throw new CaptureError('INVALID_OPTION', `expected precision to be one of ${PRECISIONS.join(', ')}, got ${String(precision)}`)
  const asked = options.compression ?? endings.compression
  const compression = asked === 'none' ? undefined : asked
  if (compression !== undefined) checkCompression(compression, options.compressionLevel)
  const plan: FilePlan = {
    format,
    precision,
    linkType: linkTypeOf(options.linkType ?? 'EN10MB'),
    fcsBytes: options.fcsBytes ?? commonFcs(options.interfaces ?? []),
    snapLengthBytes: snapLengthOf(options.snapLengthBytes ?? DEFAULT_SNAP_LENGTH),
    cuts: options.cuts ?? true,
    isConverted: false,
    compression,
    compressionLevel: options.compressionLevel,
    unbuffered: options.unbuffered ?? false,
    section: { application: 'ringtap', ...options.section },
    interfaces: [],
    repeated: [],
  }
  for (const description of options.interfaces ?? [{}]) plan.interfaces.push(describeInterface(plan, description))
  return plan
}

function commonFcs(interfaces: readonly FileInterface[]): number | undefined {
  const lengths = new Set(interfaces.map(({ fcsBytes }) => fcsBytes))
  return lengths.size === 1 ? interfaces[0]?.fcsBytes : undefined
}

function linkTypeOf(value: LinkType | number): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 0xffff) return value
  const row: { dlt: number; linktype?: number } | undefined = typeof value === 'string' ? LINK_TYPES[value] : undefined
  if (row === undefined) {
    throw new CaptureError('INVALID_OPTION', `expected linkType to be a LINKTYPE_ number or one of ${Object.keys(LINK_TYPES).join(', ')}, got ${String(value)}`)
  }
  return row.linktype ?? row.dlt
}

function snapLengthOf(value: number): number {
  if (Number.isInteger(value) && value >= 1 && value <= MAX_SNAP_LENGTH) return value
  throw new CaptureError('INVALID_OPTION', `expected snapLengthBytes to be 1 to ${MAX_SNAP_LENGTH}, got ${String(value)}`)
}

export function describeInterface(plan: FilePlan, description: FileInterface): InterfaceDescription {
  const linkType = description.linkType === undefined ? plan.linkType : linkTypeOf(description.linkType)
  if (plan.format === 'pcap' && linkType !== plan.linkType) {
    const which = `interface ${plan.interfaces.length}${description.name === undefined ? '' : ` (${description.name})`}`
    throw new CaptureError('INVALID_OPTION', `a pcap file has one link type: it is ${plan.linkType}, and ${which} has ${linkType}`, {
      hint: 'write pcapng',
    })
  }
  const { macAddress } = description
  if (macAddress !== undefined && macAddress.byteLength !== 6) {
    throw new CaptureError('INVALID_OPTION', `expected macAddress to be 6 bytes, got ${macAddress.byteLength ?? `'${String(macAddress)}'`}`, {
      hint: 'interfaceForWriting() makes of an interface that was read one to be written',
    })
  }
  for (const address of description.addresses ?? []) {
    if (!isInterfaceAddress(address))
      throw new CaptureError('INVALID_OPTION', `expected addresses such as 192.0.2.1/255.255.255.0 and 2001:db8::1/64, got '${address}'`)
  }
  return { ...description, linkType, snapLengthBytes: snapLengthOf(description.snapLengthBytes ?? plan.snapLengthBytes), precision: plan.precision }
}

/** What a file begins with, and each file of a series. */
function header(plan: FilePlan, interfaces: readonly InterfaceDescription[], repeated: readonly Uint8Array[]): Uint8Array {
  if (plan.format === 'pcap') return encodePcapHeader(plan)
  return withinOptionLength(() => Buffer.concat([encodeSection(plan.section), ...interfaces.map(encodeInterface), ...repeated]))
}

export function compressedHeader(plan: FilePlan, interfaces = plan.interfaces, repeated = plan.repeated): Uint8Array {
  const bytes = header(plan, interfaces, repeated)
  return plan.compression === undefined ? bytes : compressNow(plan.compression, bytes, plan.compressionLevel)
}

/** The encoders answer what is too long for an option with a RangeError. */
export function withinOptionLength<T>(encode: () => T): T {
  try {
    return encode()
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    throw new CaptureError('INVALID_OPTION', `a text is too long for pcapng, whose options have at most ${MAX_OPTION_BYTES} bytes: ${error.message}`)
  }
}
