/** Capture files for tcpdump: packets of a link type whose seconds are their places. */

const HEADER_BYTES = 24
const RECORD_BYTES = 16
const MAGIC = 0xa1b2c3d4

export function pcapFile(linktype: number, packets: readonly Uint8Array[]): Buffer {
  const header = Buffer.alloc(HEADER_BYTES)
  header.writeUInt32LE(MAGIC, 0)
  header.writeUInt16LE(2, 4)
  header.writeUInt16LE(4, 6)
  header.writeUInt32LE(262144, 16)
  header.writeUInt32LE(linktype, 20)
  const records = packets.flatMap((packet, place) => {
    const record = Buffer.alloc(RECORD_BYTES)
    record.writeUInt32LE(place, 0)
    record.writeUInt32LE(packet.length, 8)
    record.writeUInt32LE(packet.length, 12)
    return [record, packet]
  })
  return Buffer.concat([header, ...records])
}

/** The seconds of each packet of such a file. */
export function timeStampsOf(file: Buffer): number[] {
  const seconds: number[] = []
  for (let at = HEADER_BYTES; at < file.length; at += RECORD_BYTES + file.readUInt32LE(at + 8)) seconds.push(file.readUInt32LE(at))
  return seconds
}
