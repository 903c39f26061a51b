/** Reads little-endian pcap and pcapng files by the letter of their formats, strictly: whatever is not whole or not in order throws. */

export interface ReadPacket {
  /** Nanoseconds since 1970. */
  time: bigint
  bytes: Buffer
  originalLength: number
  interfaceId: number
  /** epb_flags, where the packet has them. */
  flags: number | undefined
}

export interface ReadInterface {
  linkType: number
  snapLength: number
  /** Options by code. */
  options: Map<number, Buffer>
}

export interface ReadFile {
  format: 'pcap' | 'pcapng'
  /** Units of a second in time stamps. */
  resolution: 'ns' | 'us'
  interfaces: ReadInterface[]
  packets: ReadPacket[]
  /** Options of each Interface Statistics Block. */
  statistics: { interfaceId: number; options: Map<number, Buffer> }[]
}

const PCAP_MICROSECONDS = 0xa1b2c3d4
const PCAP_NANOSECONDS = 0xa1b23c4d
const SHB = 0x0a0d0d0a
const IDB = 1
const ISB = 5
const EPB = 6
const IF_TSRESOL = 9

export function readCaptureFile(file: Buffer): ReadFile {
  const magic = file.readUInt32LE(0)
  if (magic === SHB) return readPcapng(file)
  if (magic === PCAP_MICROSECONDS || magic === PCAP_NANOSECONDS) return readPcap(file, magic === PCAP_NANOSECONDS)
  throw new Error(`no capture file: ${magic.toString(16)}`)
}

function readPcap(file: Buffer, isNanoseconds: boolean): ReadFile {
  const packets: ReadPacket[] = []
  for (let at = 24; at < file.length; ) {
    const length = file.readUInt32LE(at + 8)
    if (at + 16 + length > file.length) throw new Error(`half a record at ${at}`)
    const fraction = file.readUInt32LE(at + 4)
    const limit = isNanoseconds ? 1e9 : 1e6
    if (fraction >= limit) throw new Error(`fraction of a second ${fraction} at ${at}`)
    const time = BigInt(file.readUInt32LE(at)) * 1_000_000_000n + BigInt(fraction) * (isNanoseconds ? 1n : 1000n)
    packets.push({ time, bytes: file.subarray(at + 16, at + 16 + length), originalLength: file.readUInt32LE(at + 12), interfaceId: 0, flags: undefined })
    at += 16 + length
  }
  const interfaces = [{ linkType: file.readUInt32LE(20), snapLength: file.readUInt32LE(16), options: new Map() }]
  return { format: 'pcap', resolution: isNanoseconds ? 'ns' : 'us', interfaces, packets, statistics: [] }
}

function readPcapng(file: Buffer): ReadFile {
  const read: ReadFile = { format: 'pcapng', resolution: 'ns', interfaces: [], packets: [], statistics: [] }
  for (let at = 0; at < file.length; ) {
    const type = file.readUInt32LE(at)
    const total = file.readUInt32LE(at + 4)
    if (total % 4 !== 0 || total < 12 || at + total > file.length) throw new Error(`half a block of ${total} bytes at ${at}`)
    if (file.readUInt32LE(at + total - 4) !== total) throw new Error(`block at ${at}: two lengths`)
    const body = file.subarray(at + 8, at + total - 4)
    if (at === 0 && (type !== SHB || body.readUInt32LE(0) !== 0x1a2b3c4d)) throw new Error('no section header')
    if (type === IDB) {
      const options = optionsOf(body.subarray(8))
      read.interfaces.push({ linkType: body.readUInt16LE(0), snapLength: body.readUInt32LE(4), options })
      if ((options.get(IF_TSRESOL)?.[0] ?? 6) === 6) read.resolution = 'us'
    } else if (type === ISB) {
      read.statistics.push({ interfaceId: body.readUInt32LE(0), options: optionsOf(body.subarray(12)) })
    } else if (type === EPB) read.packets.push(enhancedPacket(body, read))
    else if (type !== SHB) throw new Error(`block type ${type} at ${at}`)
    at += total
  }
  return read
}

function enhancedPacket(body: Buffer, { interfaces }: ReadFile): ReadPacket {
  const interfaceId = body.readUInt32LE(0)
  const captured = body.readUInt32LE(12)
  const padded = Math.ceil(captured / 4) * 4
  if (interfaceId >= interfaces.length) throw new Error(`interface ${interfaceId} of ${interfaces.length}`)
  if (20 + padded > body.length) throw new Error(`${captured} bytes captured in a block of ${body.length}`)
  if (body.subarray(20 + captured, 20 + padded).some((byte) => byte !== 0)) throw new Error('padding that is not zero')
  const units = (BigInt(body.readUInt32LE(4)) << 32n) | BigInt(body.readUInt32LE(8))
  const isNanoseconds = (interfaces[interfaceId].options.get(IF_TSRESOL)?.[0] ?? 6) === 9
  const time = isNanoseconds ? units : units * 1000n
  const flags = optionsOf(body.subarray(20 + padded))
    .get(2)
    ?.readUInt32LE(0)
  return { time, bytes: body.subarray(20, 20 + captured), originalLength: body.readUInt32LE(16), interfaceId, flags }
}

function optionsOf(bytes: Buffer): Map<number, Buffer> {
  const options = new Map<number, Buffer>()
  for (let at = 0; at < bytes.length; ) {
    const code = bytes.readUInt16LE(at)
    const length = bytes.readUInt16LE(at + 2)
    if (code === 0) {
      if (length !== 0 || at + 4 !== bytes.length) throw new Error('something behind the end of options')
      return options
    }
    if (at + 4 + length > bytes.length) throw new Error(`option ${code} of ${length} bytes`)
    options.set(code, bytes.subarray(at + 4, at + 4 + length))
    at += 4 + Math.ceil(length / 4) * 4
  }
  if (bytes.length > 0) throw new Error('options without an end')
  return options
}
