/** What a file begins and ends with: the pcap header; Section Header, Interface Description and Interface Statistics Blocks. Little-endian. */

export interface FileInterface {
  name: string
  /** The expression that packets were chosen by. */
  filter: string | undefined
  snapLengthBytes: number
}

const LINKTYPE_ETHERNET = 1
const PCAP_NANOSECONDS = 0xa1b23c4d
const PCAP_MICROSECONDS = 0xa1b2c3d4

export function pcapHeader(snapLengthBytes: number, microseconds: boolean): Uint8Array<ArrayBuffer> {
  const header = new DataView(new ArrayBuffer(24))
  header.setUint32(0, microseconds ? PCAP_MICROSECONDS : PCAP_NANOSECONDS, true)
  header.setUint16(4, 2, true)
  header.setUint16(6, 4, true)
  header.setUint32(16, snapLengthBytes, true)
  header.setUint32(20, LINKTYPE_ETHERNET, true)
  return new Uint8Array(header.buffer)
}

export function pcapngHeader(interfaces: readonly FileInterface[], microseconds: boolean, os: string): Uint8Array<ArrayBuffer> {
  const section = [...u32(0x1a2b3c4d), ...u16(1), ...u16(0), ...u32(0xffff_ffff), ...u32(0xffff_ffff), ...options([3, text(os)], [4, text('ringtap')])]
  const descriptions = interfaces.map(({ name, filter, snapLengthBytes }) => {
    const known: [number, number[]][] = [
      [2, text(name)],
      [9, [microseconds ? 6 : 9]],
      ...(filter === undefined ? [] : [[11, [0, ...text(filter)]] as [number, number[]]]),
      [12, text(os)],
    ]
    return block(1, [...u16(LINKTYPE_ETHERNET), ...u16(0), ...u32(snapLengthBytes), ...options(...known)])
  })
  return Uint8Array.from([...block(0x0a0d0d0a, section), ...descriptions.flat()])
}

export interface FileStatistics {
  interfaceId: number
  /** Nanoseconds since 1970. */
  startedAt: bigint
  endedAt: bigint
  /** Packets that the filter accepted, those that the operating system dropped, and those that were written. */
  accepted: number
  droppedByOs: number
  written: number
  /** Packets that the interface itself lost, where it is known. */
  droppedByInterface: number | undefined
}

export function interfaceStatistics(statistics: FileStatistics, microseconds: boolean): Uint8Array<ArrayBuffer> {
  const units = (nanoseconds: bigint) => (microseconds ? nanoseconds / 1000n : nanoseconds)
  const time = (nanoseconds: bigint) => [...u32(Number(units(nanoseconds) >> 32n)), ...u32(Number(units(nanoseconds) & 0xffff_ffffn))]
  const { interfaceId, startedAt, endedAt, accepted, droppedByOs, written, droppedByInterface } = statistics
  const lost: [number, number[]][] = droppedByInterface === undefined ? [] : [[5, u64(droppedByInterface)]]
  const known = options([2, time(startedAt)], [3, time(endedAt)], [4, u64(accepted)], ...lost, [7, u64(droppedByOs)], [8, u64(written)])
  return Uint8Array.from(block(5, [...u32(interfaceId), ...time(endedAt), ...known]))
}

function block(type: number, body: readonly number[]): number[] {
  const total = body.length + 12
  return [...u32(type), ...u32(total), ...body, ...u32(total)]
}

function options(...known: [code: number, value: number[]][]): number[] {
  const encoded = known.flatMap(([code, value]) => [...u16(code), ...u16(value.length), ...value, ...Array.from({ length: -value.length & 3 }, () => 0)])
  return [...encoded, 0, 0, 0, 0]
}

function text(value: string): number[] {
  return [...new TextEncoder().encode(value)]
}

function u16(value: number): number[] {
  return [value & 0xff, (value >>> 8) & 0xff]
}

function u32(value: number): number[] {
  return [...u16(value & 0xffff), ...u16(value >>> 16)]
}

function u64(value: number): number[] {
  return [...u32(value >>> 0), ...u32(Math.floor(value / 2 ** 32))]
}
