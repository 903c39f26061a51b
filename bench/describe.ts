/**
 * Nanoseconds of CPU a packet of printing, without root: PacketText over packets in memory beside `tcpdump -n -S -r` over the same
 * packets in a file, both to nowhere. tcpdump's time includes reading the file, which `--count` alone shows. CPU time, not time on the
 * clock, so that a busy machine says the same; ours includes the compiler and the collector of garbage. TZ is set for tcpdump: without,
 * its C library looks at /etc/localtime for every packet, which is four fifths of its time.
 *
 *   npm run bench:describe
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DecodedPacket, decodePacket } from '#src/packet/decode.js'
import { PacketText, type PacketTextOptions } from '#src/packet/describe.js'
import { packetDocument } from '#src/packet/document.js'
import { randomFrame } from '../test/support/filter-packets.js'
import { type Random, randomOf } from '../test/support/random.js'

const COUNT = 4096
const PASSES = 100
const ROUNDS = 3
const FLUSH_BYTES = 1 << 20

type Make = (random: Random) => Uint8Array

function syn(random: Random): Uint8Array {
  const frame = Uint8Array.from([
    ...[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 60, 0, 1, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 192, 168, 0, 1],
    ...[0x9c, 0x40, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0xa0, 2, 0xff, 0xff, 0, 0, 0, 0, 2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7],
  ])
  frame.set(random.bytes(4), 26)
  frame.set(random.bytes(2), 34)
  frame.set(random.bytes(4), 38)
  return frame
}

function datagram(random: Random): Uint8Array {
  const frame = new Uint8Array(60)
  frame.set([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 46, 0, 1, 0, 0, 64, 17, 0, 0])
  frame.set(random.bytes(8), 26)
  frame.set([0xc3, 0x50, 0xc3, 0x51, 0, 26, 0, 0], 34)
  return frame
}

function datagram6(random: Random): Uint8Array {
  const frame = new Uint8Array(82)
  frame.set([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x86, 0xdd, 0x60, 0, 0, 0, 0, 28, 17, 64, 0x20, 1, 0x0d, 0xb8])
  frame.set(random.bytes(4), 34)
  frame.set([0x20, 1, 0x0d, 0xb8], 38)
  frame.set(random.bytes(4), 50)
  frame.set([0xc3, 0x50, 0xc3, 0x51, 0, 28, 0, 0], 54)
  return frame
}

const TRAFFIC: Record<string, Make> = { 'TCP SYN': syn, UDP: datagram, 'UDP over IPv6': datagram6, 'many kinds': (random) => randomFrame(random, 60) }

const WAYS: Record<string, readonly [options: Partial<PacketTextOptions>, tcpdump: readonly string[]]> = {
  '-n': [{}, []],
  '-n -tt': [{ time: 'epoch' }, ['-tt']],
  '-n -e': [{ link: true }, ['-e']],
  '-n -v': [{ verbosity: 1 }, ['-v']],
  '-n -XX': [{ dump: 'hexAsciiLink' }, ['-XX']],
}

function framesOf(traffic: string): Uint8Array[] {
  const random = randomOf(1)
  return Array.from({ length: COUNT }, () => (TRAFFIC[traffic] as Make)(random))
}

/** All frames in one array, and where they begin. */
function packed(frames: readonly Uint8Array[]): { bytes: Uint8Array; places: Uint32Array } {
  const places = new Uint32Array(frames.length + 1)
  for (const [i, frame] of frames.entries()) places[i + 1] = (places[i] as number) + frame.length
  const bytes = new Uint8Array(places[frames.length] as number)
  for (const [i, frame] of frames.entries()) bytes.set(frame, places[i])
  return { bytes, places }
}

function best(run: () => void): number {
  let least = Number.POSITIVE_INFINITY
  for (let round = 0; round < ROUNDS; round++) {
    const start = process.cpuUsage()
    for (let pass = 0; pass < PASSES; pass++) run()
    const { user, system } = process.cpuUsage(start)
    least = Math.min(least, ((user + system) * 1000) / (PASSES * COUNT))
  }
  return least
}

/** The text is written out as `ringtap read` would: a large write whenever a mebibyte is full. */
function text(traffic: string, way: string): number {
  const { bytes, places } = packed(framesOf(traffic))
  const printer = new PacketText({ linkType: 'EN10MB', ...(WAYS[way] as (typeof WAYS)[string])[0] })
  const nowhere = openSync('/dev/null', 'w')
  const packet = { bytes, offset: 0, capturedLength: 0, wireLength: 0, seconds: 0, nanoseconds: 0 }
  let second = 1_700_000_000
  try {
    return best(() => {
      second++
      for (let i = 0; i < COUNT; i++) {
        const offset = places[i] as number
        const length = (places[i + 1] as number) - offset
        packet.offset = offset
        packet.capturedLength = length
        packet.wireLength = length
        packet.seconds = second
        packet.nanoseconds = i * 1000
        printer.append(packet)
        if (printer.length < FLUSH_BYTES) continue
        writeSync(nowhere, printer.bytes, 0, printer.length)
        printer.clear()
      }
    })
  } finally {
    closeSync(nowhere)
  }
}

function decode(traffic: string): number {
  const { bytes, places } = packed(framesOf(traffic))
  const decoded = new DecodedPacket()
  let sum = 0
  const ns = best(() => {
    for (let i = 0; i < COUNT; i++) {
      const offset = places[i] as number
      decodePacket(decoded, 'EN10MB', bytes, offset, (places[i + 1] as number) - offset)
      sum += decoded.l4
    }
  })
  return sum === 0 ? Number.NaN : ns
}

function documents(traffic: string): number {
  const { bytes, places } = packed(framesOf(traffic))
  let sum = 0
  const ns = best(() => {
    for (let i = 0; i < COUNT; i++) {
      const offset = places[i] as number
      const length = (places[i + 1] as number) - offset
      sum += JSON.stringify(packetDocument({ bytes, offset, capturedLength: length, seconds: 1_700_000_000, nanoseconds: i * 1000 })).length
    }
  })
  return sum === 0 ? Number.NaN : ns
}

/** The same packets in a file: 24 bytes of header, 16 before each packet. */
function writeFile(path: string, traffic: string): void {
  const frames = framesOf(traffic)
  const header = Buffer.alloc(24)
  header.writeUInt32LE(0xa1b2c3d4, 0)
  header.writeUInt16LE(2, 4)
  header.writeUInt16LE(4, 6)
  header.writeUInt32LE(262144, 16)
  header.writeUInt32LE(1, 20)
  const file = openSync(path, 'w')
  try {
    writeSync(file, header)
    for (let pass = 0; pass < PASSES; pass++) {
      const records = frames.flatMap((frame, i) => {
        const record = Buffer.alloc(16)
        record.writeUInt32LE(1_700_000_000 + pass, 0)
        record.writeUInt32LE(i, 4)
        record.writeUInt32LE(frame.length, 8)
        record.writeUInt32LE(frame.length, 12)
        return [record, frame]
      })
      writeSync(file, Buffer.concat(records))
    }
  } finally {
    closeSync(file)
  }
}

/** The shell counts what its child used. */
function tcpdump(path: string, options: readonly string[]): number {
  let least = Number.POSITIVE_INFINITY
  const command = `TIMEFORMAT='%U %S'; time tcpdump -r "$0" -n -S "$@" >/dev/null 2>/dev/null`
  for (let round = 0; round < ROUNDS; round++) {
    const env = { TZ: ':/etc/localtime', ...process.env }
    const { stderr } = spawnSync('bash', ['-c', command, path, ...options], { encoding: 'utf8', env })
    const [user, system] = stderr.trim().split(' ').map(Number) as [number, number]
    least = Math.min(least, ((user + system) * 1e9) / (PASSES * COUNT))
  }
  return least
}

const [traffic, what] = process.argv.slice(2)
if (traffic !== undefined && what !== undefined) {
  // A process each, as in a tool that prints: the call sites must not have seen another.
  console.log(what === 'decode' ? decode(traffic) : what === 'json' ? documents(traffic) : text(traffic, what))
} else {
  const folder = mkdtempSync(join(tmpdir(), 'ringtap-describe-'))
  const path = join(folder, 'packets.pcap')
  const ours = (kind: string, way: string): number => Number(execFileSync(process.execPath, [process.argv[1] as string, kind, way], { encoding: 'utf8' }))
  try {
    console.log(`Node.js ${process.version}; best of ${ROUNDS} rounds, nanoseconds of CPU a packet; ${PASSES * COUNT} packets\n`)
    for (const kind of Object.keys(TRAFFIC)) {
      writeFile(path, kind)
      console.log(`${kind.padEnd(26)}     ours  tcpdump    ratio`)
      for (const [way, [, options]] of Object.entries(WAYS)) {
        const [own, theirs] = [ours(kind, way), tcpdump(path, options)]
        console.log(`  ${way.padEnd(24)} ${own.toFixed(0).padStart(8)} ${theirs.toFixed(0).padStart(8)} ${(own / theirs).toFixed(2).padStart(8)}`)
      }
      console.log(`  ${'--count'.padEnd(24)} ${''.padStart(8)} ${tcpdump(path, ['--count']).toFixed(0).padStart(8)}`)
      console.log(`  ${'decode'.padEnd(24)} ${ours(kind, 'decode').toFixed(1).padStart(8)}`)
      console.log(`  ${'JSON line'.padEnd(24)} ${ours(kind, 'json').toFixed(0).padStart(8)}\n`)
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
