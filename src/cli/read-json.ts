/** A packet as `ringtap read --json` prints it. */
import type { MergedPackets } from '../reader.js'
import { packetDocument } from '../text.js'

/** A line of JSON, with its line feed. */
export function packetLine(batch: MergedPackets, number: number, files: readonly string[], cutTo: number | undefined): string {
  const { packet, file, fileIndex } = batch
  const { linkType, interfaceId, flags, dropCount, comment, hasTimestamp, bytes, offset, wireLength, seconds, nanoseconds } = packet
  const capturedLength = Math.min(packet.capturedLength, cutTo ?? packet.capturedLength)
  const described = file.interfaces[interfaceId]
  const { time, ...document } = packetDocument({ bytes, offset, capturedLength, wireLength, seconds, nanoseconds, linkType })
  return `${JSON.stringify({
    type: 'packet',
    number,
    file: files.length > 1 ? files[fileIndex] : undefined,
    interface: described?.name ?? interfaceId,
    linkType: described?.linkTypeName,
    time: hasTimestamp ? time : null,
    ...document,
    direction: (flags & 3) === 1 ? 'in' : (flags & 3) === 2 ? 'out' : undefined,
    dropCount: dropCount === 0 ? undefined : dropCount,
    comment,
  })}\n`
}
