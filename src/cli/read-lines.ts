/** What `ringtap read` prints besides packets as tcpdump has them. */
import type { PartialFile } from '../index.js'
import type { CaptureFile, CaptureFileInfo, CaptureFileInterface, FileTime } from '../reader.js'
import { describeFailure, failureDocument } from './exit-status.js'
import { alignColumns, formatBytes, formatDecimal, plural } from './human.js'

const SKIPPED = 'damaged, or behind the end of what is compressed'

const DEFAULT_SNAP_LENGTH = 262144

export interface WrittenCounts {
  packets: number
  packetsLeftOut?: number
  packetsDated?: number
  blocksLeftOut?: number
}

/** How `-w` ends; `partial` where the file is not whole. */
export function writtenLine({ packets, packetsLeftOut = 0, packetsDated = 0, blocksLeftOut = 0 }: WrittenCounts, partial: PartialFile | undefined): string {
  const parts = [
    `${plural(packets, 'packet')} written${partial?.spared !== undefined && partial.path !== undefined ? ` to ${partial.path}` : ''}`,
    packetsLeftOut > 0 ? `${plural(packetsLeftOut, 'packet')} left out` : '',
    blocksLeftOut > 0 ? `${plural(blocksLeftOut, 'block')} left out` : '',
    packetsDated > 0 ? `${plural(packetsDated, 'packet')} without a time stamp written with that of 1970` : '',
  ].filter((part) => part !== '')
  const line = parts.join(', ')
  if (partial?.spared !== undefined) return `${line}; ${partial.spared} is left as it was`
  return partial?.path === undefined ? line : `${line}; ${partial.path === '-' ? 'stdout' : partial.path} is not all that it was to be`
}

/** As tcpdump begins. */
export function skippedLine(name: string, bytes: number): string {
  return `${name}: ${plural(bytes, 'byte')} passed over: ${SKIPPED}`
}

export function openingLine({ name, interfaces }: CaptureFile): string {
  const [first] = interfaces
  const shown = name === 'stdin' ? '-' : name
  if (first === undefined) return `reading from file ${shown}, no interface yet`
  return `reading from file ${shown}, link-type ${linkTypeText(first)}, snapshot length ${first.snapLengthBytes || DEFAULT_SNAP_LENGTH}`
}

const DESCRIPTIONS: Readonly<Record<string, string>> = {
  NULL: 'BSD loopback',
  EN10MB: 'Ethernet',
  RAW: 'Raw IP',
  LOOP: 'OpenBSD loopback',
  LINUX_SLL: 'Linux cooked v1',
  IPV4: 'Raw IPv4',
  IPV6: 'Raw IPv6',
  LINUX_SLL2: 'Linux cooked v2',
  PPP: 'PPP',
  PPP_ETHER: 'PPPoE',
  IEEE802_11: '802.11',
  IEEE802_11_RADIO: '802.11 plus radiotap header',
}

/** Of packets of which nothing but time and length is printed. */
export function undecodedLine({ linkType, linkTypeName }: CaptureFileInterface, name: string): string {
  return `packets of link type ${linkTypeName} (${linkType}) are told by time and length alone; tshark -r ${name === 'stdin' ? '-' : name} decodes more`
}

function linkTypeText({ linkType, linkTypeName }: CaptureFileInterface): string {
  if (linkTypeName.startsWith('LINKTYPE_')) return String(linkType)
  const description = DESCRIPTIONS[linkTypeName]
  return description === undefined ? linkTypeName : `${linkTypeName} (${description})`
}

function timeText({ seconds, nanoseconds }: FileTime): string {
  const date = new Date(seconds * 1000)
  // Years that Date does not know, as packetDocument has them; nanoseconds count forward, also before 1970.
  if (Number.isNaN(date.getTime())) {
    const isNegative = seconds < 0 && nanoseconds > 0
    return `${isNegative ? `-${-seconds - 1}` : seconds}.${String(isNegative ? 1e9 - nanoseconds : nanoseconds).padStart(9, '0')}`
  }
  return date.toISOString().replace('.000Z', `.${String(nanoseconds).padStart(9, '0')}Z`)
}

const COMPRESSIONS = { none: '', gzip: ', gzip', zstd: ', zstd' } as const

/** A table of two columns, and one of the interfaces. */
export function infoLines(info: CaptureFileInfo): string[] {
  const { firstTime, lastTime, durationSeconds, packets } = info
  const rows: [string, string | undefined][] = [
    ['file', info.name],
    [
      'format',
      `${info.format}${info.format === 'pcap' ? `, ${info.interfaces[0]?.ticksPerSecond === 1e9 ? 'nanoseconds' : 'microseconds'}` : ''}${COMPRESSIONS[info.compression]}`,
    ],
    ['size', info.fileSizeBytes === undefined ? undefined : `${info.fileSizeBytes} bytes (${formatBytes(info.fileSizeBytes)})`],
    ['link type', info.linkTypeNames.join(', ')],
    ['snap length', info.snapLengthBytes === undefined ? 'of each interface' : info.snapLengthBytes === 0 ? 'no limit' : `${info.snapLengthBytes} bytes`],
    ['packets', String(packets)],
    ['bytes', `${info.wireBytes} on the wire, ${info.capturedBytes} captured`],
    ['truncated', info.truncatedPackets === 0 ? undefined : `${info.truncatedPackets} packets`],
    ['average', info.averagePacketBytes === undefined ? undefined : `${info.averagePacketBytes.toFixed(2)} bytes a packet`],
    ['first', firstTime === undefined ? undefined : timeText(firstTime)],
    ['last', lastTime === undefined ? undefined : timeText(lastTime)],
    ['duration', durationSeconds === undefined ? undefined : `${durationSeconds.toFixed(9)} seconds`],
    [
      'rate',
      info.packetsPerSecond === undefined || info.bitsPerSecond === undefined
        ? undefined
        : `${formatDecimal(info.packetsPerSecond, 'pps')}, ${formatDecimal(info.bitsPerSecond, 'bit/s')}`,
    ],
    ['time order', info.strictTimeOrder ? 'strict' : 'not strict: a packet is earlier than the one before it'],
    ['skipped', info.skippedBytes === 0 ? undefined : `${info.skippedBytes} bytes, ${SKIPPED}`],
    ['sha256', info.sha256],
    ...info.sections.flatMap(({ hardware, os, application, comments }): [string, string | undefined][] => [
      ['application', application],
      ['hardware', hardware],
      ['os', os],
      ...comments.map((comment): [string, string] => ['comment', comment]),
    ]),
  ]
  const lines = alignColumns(rows.filter((row): row is [string, string] => row[1] !== undefined).map(([name, value]) => [name, printable(value)]))
  return info.format === 'pcap' ? lines : [...lines, ...info.interfaces.flatMap(interfaceLines)]
}

/** Texts of a file do not reach a terminal as they are. */
function printable(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}]/gu, (character) => (character === '\n' || character === '\r' || character === '\t' ? ' ' : '?'))
}

function interfaceLines(each: CaptureFileInfo['interfaces'][number]): string[] {
  const { statistics } = each
  const counted: [string, number | undefined][] =
    statistics === undefined
      ? []
      : [
          ['received', statistics.received],
          ['accepted', statistics.accepted],
          ['delivered', statistics.delivered],
          ['dropped', statistics.dropped],
          ['dropped by os', statistics.droppedByOs],
        ]
  const rows: [string, string | undefined][] = [
    ['  description', each.description],
    ['  link type', each.linkTypeName],
    ['  snap length', each.snapLengthBytes === 0 ? 'no limit' : `${each.snapLengthBytes} bytes`],
    ['  time unit', each.ticksPerSecond === 1e9 ? 'nanoseconds' : each.ticksPerSecond === 1e6 ? 'microseconds' : `1/${each.ticksPerSecond} s`],
    ['  time offset', each.timestampOffsetSeconds === 0 ? undefined : `${each.timestampOffsetSeconds} s`],
    ['  filter', each.filter],
    ['  os', each.os],
    ['  hardware', each.hardware],
    ['  mac', each.macAddress],
    ['  addresses', each.addresses.length === 0 ? undefined : each.addresses.join(', ')],
    ['  speed', each.speedBitsPerSecond === undefined ? undefined : formatDecimal(each.speedBitsPerSecond, 'bit/s')],
    ['  fcs', each.fcsLengthBytes === undefined ? undefined : `${each.fcsLengthBytes} bytes`],
    ['  packets', String(each.packets)],
    ...counted.map(([name, count]): [string, string | undefined] => [`  ${name}`, count === undefined ? undefined : String(count)]),
    ...each.comments.map((comment): [string, string] => ['  comment', comment]),
  ]
  return [
    `interface ${each.id}${each.name === undefined ? '' : ` ${printable(each.name)}`}`,
    ...alignColumns(rows.filter((row): row is [string, string] => row[1] !== undefined).map(([name, value]) => [name, printable(value)])),
  ]
}

/** The same for a program. */
export function infoDocument(info: CaptureFileInfo): object {
  const { damage, firstTime, lastTime, ...rest } = info
  return {
    type: 'info',
    ...rest,
    firstTime: firstTime === undefined ? null : timeText(firstTime),
    lastTime: lastTime === undefined ? null : timeText(lastTime),
    damage: damage === undefined ? null : failureDocument(describeFailure(damage)),
  }
}
