/** tcpdump's text of packets, as an oracle, and the differences from it that are meant. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface TimedPacket {
  bytes: Uint8Array
  wireLength: number
}

/** A capture file whose packets are a second apart, the first at 0. */
export function secondsFile(linktype: number, packets: readonly TimedPacket[]): Buffer {
  const header = Buffer.alloc(24)
  header.writeUInt32LE(0xa1b2c3d4, 0)
  header.writeUInt16LE(2, 4)
  header.writeUInt16LE(4, 6)
  header.writeUInt32LE(262144, 16)
  header.writeUInt32LE(linktype, 20)
  const parts: Uint8Array[] = [header]
  for (const [second, { bytes, wireLength }] of packets.entries()) {
    const record = Buffer.alloc(16)
    record.writeUInt32LE(second, 0)
    record.writeUInt32LE(bytes.length, 8)
    record.writeUInt32LE(wireLength, 12)
    parts.push(record, bytes)
  }
  return Buffer.concat(parts)
}

/** What tcpdump prints of a file; undefined without tcpdump, which with CI set is a failure. */
export function tcpdumpOutput(file: Buffer, options: readonly string[], env: Record<string, string> = {}): string | undefined {
  const folder = mkdtempSync(join(tmpdir(), 'ringtap-text-'))
  try {
    writeFileSync(join(folder, 'packets.pcap'), file)
    const run = spawnSync('tcpdump', ['-r', join(folder, 'packets.pcap'), '-n', ...options], {
      maxBuffer: 1 << 30,
      encoding: 'latin1',
      env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin`, ...env },
    })
    if (run.error !== undefined) {
      if (process.env.CI) throw new Error(`no tcpdump, and CI does not skip: ${run.error.message}`)
      return undefined
    }
    if (run.status !== 0) throw new Error(`tcpdump ${options.join(' ')}: ${run.stderr}`)
    return run.stdout
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** The text of each packet, without its time. */
export function tcpdumpTexts(linktype: number, packets: readonly TimedPacket[], options: readonly string[]): string[] | undefined {
  const output = tcpdumpOutput(secondsFile(linktype, packets), ['-S', '-tt', ...options])
  if (output === undefined) return undefined
  const texts: string[] = []
  for (const line of output.replace(/\n$/, '').split('\n')) {
    const begin = `${texts.length}.000000 `
    if (line.startsWith(begin)) texts.push(line.slice(begin.length))
    else texts[texts.length - 1] += `\n${line}`
  }
  return texts
}

/** Whose ports tcpdump dissects, and a few ranges beside. */
const UDP_APPLICATIONS: ReadonlySet<number> = new Set([
  53, 67, 68, 69, 88, 123, 137, 138, 161, 162, 201, 202, 203, 204, 206, 319, 320, 443, 496, 500, 514, 520, 521, 525, 546, 547, 646, 654, 698, 701, 750, 862,
  921, 1645, 1646, 1700, 1701, 1812, 1813, 1985, 2049, 2102, 2103, 2152, 3456, 3503, 3544, 3784, 3785, 3799, 4500, 4567, 4569, 4784, 4789, 4790, 5050, 5060,
  5247, 5246, 5353, 5359, 5678, 6081, 6343, 6635, 6696, 6697, 6784, 7784, 8472, 8888, 9875, 10888, 12222, 12223, 13001, 17754, 30490, 49152, 41784, 47808,
  16384, 4341, 4342, 5683, 4303, 65535, 1589, 3222, 7000, 7001, 7002, 7003, 7004, 7005, 7006, 7007, 7008, 7009, 7021, 16640,
])

/** Told by us by name and length. */
const NAMED =
  /(?:^|[ :(!]|\n\t)(?:STP|CDP|DTP|UDLD|VTP|IPX|OSI|DN|Appletalk(?: ARP)?|EAPOL|802\.1AE MACsec|Realtek protocols|PPP|MPCP|Slow Protocols|CFM(?: \(old\))?|NSH|Loopback|TIPC|MS NLB heartbeat|GeoNet(?: \(old\))?|CALM FAST|AoE|PTP|Jumbo|LLDP|Token Ring(?: w\/o FCS| \+ FCS)|FDDI(?: w\/o FCS| \+ FCS)|EGP|IGRP|DCCP|RSVP|Mobile IP|EIGRP|PGM|mobility|ISO|(?:NS|DECNET|APPLE|VJC IP|VJNC IP|BRPDU|STII|VINES|MLPPP|Compressed|HELLO|LUXCOM|SNS|IPCP|OSICP|NSCP|DECNETCP|APPLECP|IPXCP|STIICP|VINESCP|IP6CP|CCP|MPLSCP|LCP|PAP|LQM|SPAP|BACP|BAP|MLPPP-CP|CHAP|EAP)|unknown PPP protocol \(0x[0-9a-f]{4}\)|PIMv[0-9]+(?:, [^,]*)?|ICMP6, (?:router renumbering|node information query|node information reply|RPL)|(?:\[[^\]]*\] )?ICMP6, (?:router renumbering|node information query|node information reply|RPL)|ATM \(len \d+\), .*), length \d+$/

/** With -vv, what an SCTP chunk carries. */
const PAYLOAD_BYTES = /\[Payload:(?:\n\t0x[0-9a-f]{4}: [^\n]*)+/g

/** What tcpdump adds to a packet that it does not understand. */
const UNKNOWN_BYTES = /\n\t *0x[0-9a-f]{4}: (?: [0-9a-f]{2,4}){1,8}(?: {2,}[!-~]{1,16})?/g

/**
 * Undefined when our text is tcpdump's but for what is meant to differ, else what was compared, both sides. What is left out is
 * left out of theirs only where ours ends with the words that stand for it.
 */
export function difference(ours: string, theirs: string, dump: 'none' | 'hex' | 'ascii' = 'none'): readonly [ours: string, theirs: string] | undefined {
  if (ours === theirs) return undefined
  if (dump !== 'none') {
    const at = dump === 'hex' ? ours.lastIndexOf('\n\t0x0000: ') : ours.indexOf('\n')
    const ourText = at < 0 ? ours : ours.slice(0, at)
    const ourDump = at < 0 ? '' : ours.slice(at)
    const dumpsAgree = theirs.endsWith(ourDump)
    if (dumpsAgree) return difference(ourText, theirs.slice(0, theirs.length - ourDump.length))
    // Where tcpdump looked deeper and found nonsense, it may leave out the dump.
    if (theirs.endsWith(' (invalid)') && NAMED.test(ourText)) return difference(ourText, theirs)
    // Where tcpdump looked deeper and met the end, it does not know any more what to leave out.
    const cut = / \[\|[^\]]*\]/.exec(theirs)
    return cut !== null && !ourText.includes(cut[0]) ? undefined : [ours, theirs]
  }
  // ATM addresses are not printed.
  if (ours.includes('ATM (len ')) return undefined
  // Frame relay addresses are told byte by byte.
  if (theirs.includes('DLCI>') && /\([0-9a-f:]+\) tell|is-at|who-is/.test(ours)) return undefined
  // Bytes of unknown protocols.
  const text = theirs
    .replace(PAYLOAD_BYTES, (bytes) => `[Payload]${/ \[\|sctp\]$/.exec(bytes)?.[0] ?? ''}`)
    .replace(UNKNOWN_BYTES, '')
    // 4.99 prints a negative length as an unsigned one.
    .replace(/\b1844674407\d+\)/g, '[length < 0] (invalid))')
  if (ours === text) return undefined
  const named = NAMED.exec(ours)
  if (named !== null) {
    const before = ours.slice(0, named.index)
    return text.startsWith(before) ? undefined : [before, text]
  }
  const udp = /(?:^|[. ])(\d+) > (?:\S*\.)?(\d+): (?:\[(?:no cksum|udp sum ok|bad udp cksum [^\]]*)\] )?(UDP, (?:bad )?length \d+(?: > \d+)?)$/.exec(ours)
  if (udp !== null && (UDP_APPLICATIONS.has(Number(udp[1])) || UDP_APPLICATIONS.has(Number(udp[2])))) {
    const before = ours.slice(0, -(udp[3] as string).length)
    return text.startsWith(before) ? undefined : [before, text]
  }
  // What TCP carries stands behind the length.
  const tcp = /Flags \[[^\]]*\].*, length [1-9]\d*$/.test(ours)
  if (tcp && text.startsWith(ours)) return undefined
  // More of what is told by its kind and length.
  if (/(?:OSPFv\d+, .*|VRRPv.*), length \d+$/.test(ours) && text.startsWith(ours)) return undefined
  const inner = /igmp (?:pimv1|dvmrp)/.exec(ours)
  if (inner !== null && text.startsWith(ours.slice(0, inner.index + inner[0].length))) return undefined
  // Its dump of unknown bytes came to the end of what was captured; extensions of ICMP errors stand behind all else.
  if (text.startsWith(ours) && /^(?: \[\|[a-z0-9]+\]$|\n\tICMP Multi-Part extension)/.test(text.slice(ours.length))) return undefined
  // Domain names that go beyond their option.
  const domains = ours.indexOf('domain(s):')
  if (domains >= 0 && ours.endsWith('[|icmp6]') && text.startsWith(ours.slice(0, domains))) return undefined
  const multipath = ours.indexOf('mptcp')
  if (multipath >= 0 && ours.slice(0, multipath) === text.slice(0, multipath)) return undefined
  return [ours, text]
}
