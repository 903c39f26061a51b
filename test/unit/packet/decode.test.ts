import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { DecodedPacket, decodePacket, PROBLEM } from '#src/packet/decode.js'
import { packetDocument } from '#src/packet/document.js'
import { LINKTYPE, type PacketLinkType, packetLinkType } from '#src/packet/link-type.js'
import { randomFrame } from '../../support/filter-packets.js'
import { framesOf } from '../../support/link-packets.js'
import { pcapFile } from '../../support/pcap-file.js'
import { seededRandom } from '../../support/random.js'
import { randomIpText, randomTextFrame } from '../../support/text-packets.js'

const LINK_TYPES = Object.keys(LINKTYPE) as PacketLinkType[]

function decode(linkType: PacketLinkType, hex: string, before = 0): DecodedPacket {
  const frame = Buffer.from(hex.replaceAll(' ', ''), 'hex')
  const bytes = Buffer.concat([Buffer.alloc(before, 0x45), frame, Buffer.alloc(40, 0x45)])
  const decoded = new DecodedPacket()
  decodePacket(decoded, linkType, bytes, before, frame.length)
  return decoded
}

const MACS = '02005e100001 02005e100002'
const SYN = '45000028 00074000 40060000 0a000001 0a000002'
const TCP = '04000050 000003e8 00000000 50022000 00000000'

test('offsets from link layer to payload', () => {
  const decoded = decode('EN10MB', `${MACS} 0800 ${SYN} ${TCP} 000000000000`, 7)
  const { l2, etherType, l3, ipVersion, protocol, l4, sourcePort, destinationPort, payload, end, problem } = decoded
  assert.deepEqual(
    { l2, etherType, l3, ipVersion, protocol, l4, sourcePort, destinationPort, payload, end, problem },
    { l2: 7, etherType: 0x0800, l3: 21, ipVersion: 4, protocol: 6, l4: 41, sourcePort: 1024, destinationPort: 80, payload: 61, end: 61, problem: 0 },
  )
})

test('tags, labels and sessions', () => {
  const tagged = decode('EN10MB', `${MACS} 88a8 a005 8100 6064 9100 0001 0800 ${SYN} ${TCP}`)
  assert.equal(tagged.vlanCount, 3)
  assert.equal(tagged.vlan, 14)
  assert.equal(tagged.outerTci, 0xa005)
  assert.equal(tagged.innerTci, 0x6064)
  assert.equal(tagged.l3, 26)
  const labelled = decode('EN10MB', `${MACS} 8847 00400040 00064140 ${SYN} ${TCP}`)
  assert.equal(labelled.mpls, 14)
  assert.equal(labelled.mplsCount, 2)
  assert.equal(labelled.l3, 22)
  assert.equal(labelled.destinationPort, 80)
  const session = decode('EN10MB', `${MACS} 8864 1100 0027 002a 0021 ${SYN} ${TCP}`)
  assert.equal(session.pppoe, 14)
  assert.equal(session.l3, 22)
  assert.equal(session.sourcePort, 1024)
})

test('extension headers and fragments', () => {
  const header = (next: string, length: string) => `60000000 ${length} ${next}40 ${'20010db8'.repeat(4)} ${'20010db8'.repeat(4)}`
  const chain = decode('IPV6', `${header('00', '0024')} 3c00000000000000 1100000000000000 2b00 0000`)
  assert.equal(chain.protocol, 17)
  const routed = decode('RAW', `${header('2b', '001c')} 1100000000000000 0035c350 00140000 ${'00'.repeat(12)}`)
  assert.equal(routed.l4, 48)
  assert.equal(routed.sourcePort, 53)
  assert.equal(routed.payload, 56)
  const first = decode('RAW', `${header('2c', '0010')} 1100000100000001 0035c350 00140000`)
  assert.deepEqual([first.fragmentOffset, first.moreFragments, first.sourcePort], [0, true, 53])
  const later = decode('RAW', `${header('2c', '0010')} 1100007800000001 0035c350 00140000`)
  assert.deepEqual([later.fragmentOffset, later.moreFragments, later.sourcePort, later.l4, later.problem], [120, false, -1, -1, PROBLEM.NONE])
  const old = decode('IPV4', `4500001c 00072005 40110000 0a000001 0a000002 0035c350 00140000`)
  assert.deepEqual([old.fragmentOffset, old.moreFragments, old.l4], [40, true, -1])
  const authenticated = decode('RAW', `45000034 00070000 40330000 0a000001 0a000002 1104 0000 ${'00'.repeat(20)} 0035c350 00080000`)
  assert.deepEqual([authenticated.protocol, authenticated.l4, authenticated.sourcePort], [17, 44, 53])
})

test('what is wrong is a value', () => {
  for (const [linkType, hex, problem] of [
    ['EN10MB', MACS, PROBLEM.CUT],
    ['EN10MB', `${MACS} 8100 00`, PROBLEM.CUT],
    ['EN10MB', `${MACS} 8847 00400040`, PROBLEM.CUT],
    ['EN10MB', `${MACS} 8864 1100 0027`, PROBLEM.CUT],
    ['RAW', SYN.slice(0, 30), PROBLEM.CUT],
    ['RAW', `${SYN} 0400005000`, PROBLEM.CUT],
    ['RAW', `${SYN} ${TCP.replace('5002', 'f002')}`, PROBLEM.CUT],
    ['RAW', `${SYN} ${TCP.replace('5002', '4002')}`, PROBLEM.MALFORMED],
    ['RAW', SYN.replace('45', '44'), PROBLEM.MALFORMED],
    ['RAW', SYN.replace('0028', '0013'), PROBLEM.MALFORMED],
    ['RAW', '00', PROBLEM.MALFORMED],
    ['RAW', '', PROBLEM.CUT],
    ['NULL', '0200', PROBLEM.CUT],
    ['LINUX_SLL', '00'.repeat(15), PROBLEM.CUT],
    ['LINUX_SLL2', '00'.repeat(19), PROBLEM.CUT],
  ] as const) {
    assert.equal(decode(linkType, hex).problem, problem, `${linkType} ${hex}`)
  }
  const ports = decode('RAW', `${SYN} 0400005000`)
  assert.deepEqual([ports.sourcePort, ports.destinationPort, ports.l4], [1024, 80, -1])
})

test('nothing outside the packet is read, and offsets are inside it', (t) => {
  const random = seededRandom(t)
  const [one, two] = [new DecodedPacket(), new DecodedPacket()]
  const makers = LINK_TYPES.map((linkType) => [linkType, framesOf(linkType).map(({ bytes }) => bytes)] as const)
  for (let i = 0; i < 60_000; i++) {
    const [linkType, packets] = random.pick(makers)
    const made =
      linkType === 'EN10MB' && random.oneIn(2)
        ? random.pick([randomFrame, randomTextFrame])(random)
        : linkType === 'RAW'
          ? randomIpText(random)
          : random.pick(packets)
    const frame = Uint8Array.from(made)
    for (let changes = random.between(0, 4); changes > 0 && frame.length > 0; changes--) frame[random.between(0, frame.length - 1)] = random.between(0, 255)
    const length = random.oneIn(2) ? random.between(0, frame.length) : frame.length
    for (const decoded of [one, two]) {
      const bytes = random.bytes(9 + frame.length + 80)
      bytes.set(frame.subarray(0, length), 9)
      decodePacket(decoded, linkType, bytes, 9, length)
    }
    assert.deepEqual(one, two, `${linkType} ${length} of ${Buffer.from(frame).toString('hex')}`)
    const end = 9 + length
    for (const at of [one.l3, one.l4, one.payload, one.vlan, one.mpls, one.pppoe, one.end]) assert.ok(at === -1 || (at >= 9 && at <= end))
    assert.ok(one.end <= end)
    if (one.payload >= 0) assert.ok(one.l3 < one.l4 && one.l4 < one.payload && one.payload <= one.end)
    const document = packetDocument({ bytes: frame, capturedLength: length, seconds: 0, nanoseconds: 0, linkType: LINKTYPE[linkType] })
    assert.deepEqual(JSON.parse(JSON.stringify(document)), document)
  }
})

/** Fields of tshark, the first of each where tunnels have several. */
const FIELDS = {
  sourceMac: 'eth.src',
  destinationMac: 'eth.dst',
  pppoeSession: 'pppoe.session_id',
  source4: 'ip.src',
  destination4: 'ip.dst',
  source6: 'ipv6.src',
  destination6: 'ipv6.dst',
  ttl4: 'ip.ttl',
  ttl6: 'ipv6.hlim',
  tcpSource: 'tcp.srcport',
  tcpDestination: 'tcp.dstport',
  udpSource: 'udp.srcport',
  udpDestination: 'udp.dstport',
  sctpSource: 'sctp.srcport',
  sctpDestination: 'sctp.dstport',
  tcpFlags: 'tcp.flags',
  tcpSequence: 'tcp.seq_raw',
  tcpWindow: 'tcp.window_size_value',
  icmpType: 'icmp.type',
  icmpCode: 'icmp.code',
  icmp6Type: 'icmpv6.type',
  icmp6Code: 'icmpv6.code',
  fragment4: 'ip.frag_offset',
  fragment6: 'ipv6.fraghdr.offset',
  arpOperation: 'arp.opcode',
} as const

type Fields = Record<keyof typeof FIELDS, string>

function tsharkFields(linkType: PacketLinkType, packets: readonly Uint8Array[]): Fields[] | undefined {
  const folder = mkdtempSync(join(tmpdir(), 'ringtap-decode-'))
  try {
    const file = join(folder, 'packets.pcap')
    writeFileSync(file, pcapFile(LINKTYPE[linkType], packets))
    const preferences = ['ip.defragment:FALSE', 'ipv6.defragment:FALSE', 'tcp.desegment_tcp_streams:FALSE', 'tcp.check_checksum:FALSE'].flatMap((one) => [
      '-o',
      one,
    ])
    const output = execFileSync(
      'tshark',
      ['-r', file, '-n', ...preferences, '-T', 'fields', '-E', 'occurrence=f', '-E', 'separator=|', ...Object.values(FIELDS).flatMap((field) => ['-e', field])],
      { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'], maxBuffer: 1 << 28 },
    )
    const names = Object.keys(FIELDS) as (keyof typeof FIELDS)[]
    return output
      .replace(/\n$/, '')
      .split('\n')
      .map((line) => {
        const values = line.split('|')
        return Object.fromEntries(names.map((name, i) => [name, values[i] ?? ''])) as Fields
      })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || process.env.CI) throw error
    return undefined
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

for (const linkType of LINK_TYPES) {
  test(`${linkType}: documents say what tshark says`, (t) => {
    // tshark takes LINKTYPE_IPV6 at its word; tcpdump and we look at the version. It knows no direction in PPP's address.
    const packets = framesOf(linkType).filter(
      ({ bytes }) => bytes.length > 0 && (linkType !== 'IPV6' || (bytes[0] as number) >>> 4 === 6) && (linkType !== 'PPP' || bytes[0] !== 1),
    )
    const theirs = tsharkFields(
      linkType,
      packets.map(({ bytes }) => bytes),
    )
    if (theirs === undefined) return t.skip('no tshark')
    assert.equal(theirs.length, packets.length)
    let compared = 0
    for (const [place, { name, bytes }] of packets.entries()) {
      const document = packetDocument({ bytes, seconds: 0, nanoseconds: 0, linkType: LINKTYPE[linkType] })
      const fields = theirs[place] as Fields
      const same = (ours: unknown, field: string): void => {
        if (ours === undefined) return
        compared++
        assert.equal(Number(field), ours, `${name}: ${JSON.stringify(document)} ${JSON.stringify(fields)}`)
      }
      if (linkType === 'EN10MB' && bytes.length >= 14)
        assert.deepEqual([document.sourceMac, document.destinationMac], [fields.sourceMac, fields.destinationMac], name)
      same(document.pppoeSession, fields.pppoeSession)
      if (document.arpOperation !== undefined) same(document.arpOperation, fields.arpOperation)
      // The addresses that tshark shows of a malformed header are none.
      if (document.ipVersion === undefined || document.problem !== undefined) continue
      const isIpv4 = document.ipVersion === 4
      assert.equal(document.source, isIpv4 ? fields.source4 : fields.source6, name)
      assert.equal(document.destination, isIpv4 ? fields.destination4 : fields.destination6, name)
      same(document.ttl, isIpv4 ? fields.ttl4 : fields.ttl6)
      // tshark counts in units of eight bytes.
      same(document.fragmentOffset === undefined ? undefined : document.fragmentOffset / 8, isIpv4 ? fields.fragment4 : fields.fragment6)
      if (document.protocol === 6) {
        same(document.sourcePort, fields.tcpSource)
        same(document.destinationPort, fields.tcpDestination)
        same(document.tcpSequence, fields.tcpSequence)
        same(document.tcpWindow, fields.tcpWindow)
      } else if (document.protocol === 17) {
        same(document.sourcePort, fields.udpSource)
        same(document.destinationPort, fields.udpDestination)
      } else if (document.protocol === 132) {
        same(document.sourcePort, fields.sctpSource)
        same(document.destinationPort, fields.sctpDestination)
      } else if (document.protocol === 1) {
        same(document.icmpType, fields.icmpType)
        same(document.icmpCode, fields.icmpCode)
      } else if (document.protocol === 58) {
        same(document.icmpType, fields.icmp6Type)
        same(document.icmpCode, fields.icmp6Code)
      }
    }
    assert.ok(compared > 50, `${compared} values compared`)
  })
}

test('a packet as a document', () => {
  const syn = Buffer.from(`${MACS} 8100 6005 0800 ${SYN} ${TCP}`.replaceAll(' ', ''), 'hex')
  assert.deepEqual(packetDocument({ bytes: syn, wireLength: 100, seconds: 1_700_000_000, nanoseconds: 1 }), {
    time: '2023-11-14T22:13:20.000000001Z',
    capturedLength: 58,
    wireLength: 100,
    sourceMac: '02:00:5e:10:00:02',
    destinationMac: '02:00:5e:10:00:01',
    etherType: 0x0800,
    vlanIds: [5],
    ipVersion: 4,
    source: '10.0.0.1',
    destination: '10.0.0.2',
    protocol: 6,
    ttl: 64,
    sourcePort: 1024,
    destinationPort: 80,
    tcpFlags: 'S',
    tcpSequence: 1000,
    tcpWindow: 8192,
    payloadLength: 0,
  })
  const cut = packetDocument({ bytes: syn, capturedLength: 40, wireLength: 100, seconds: 1_700_000_000, nanoseconds: 999_999_999 })
  assert.equal(cut.time, '2023-11-14T22:13:20.999999999Z')
  assert.equal(cut.problem, 'cut')
  assert.equal(cut.source, '10.0.0.1')
  assert.equal(cut.tcpFlags, undefined)
})

test('an ARP request as a document', () => {
  const arp = Buffer.from(`${MACS} 0806 0001 0800 0604 0001 02005e100002 0a000001 000000000000 0a000002`.replaceAll(' ', ''), 'hex')
  const { arpOperation, source, destination } = packetDocument({ bytes: arp, seconds: 0, nanoseconds: 0 })
  assert.deepEqual({ arpOperation, source, destination }, { arpOperation: 1, source: '10.0.0.1', destination: '10.0.0.2' })
  assert.equal(packetDocument({ bytes: arp, capturedLength: 30, wireLength: 60, seconds: 0, nanoseconds: 0 }).problem, 'cut')
})

test('link types by number', () => {
  assert.equal(packetLinkType(1), 'EN10MB')
  assert.equal(packetLinkType(101), 'RAW')
  assert.equal(packetLinkType(276), 'LINUX_SLL2')
  assert.equal(packetLinkType(105), undefined)
})
