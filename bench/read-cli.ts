/**
 * `ringtap read` as a command against the commands that users have: counting and describing a file of 1 GB against `tcpdump --count -r` and
 * capinfos, and printing 2,000,000 packets to nowhere against `tcpdump -n -r`. Whole processes, their start included, from the page cache, in
 * turns; best of the rounds: seconds, and the CPU seconds of that run. capinfos is asked for everything but hashes, which would take most
 * of its time.
 *
 *   npm run bench:read-cli
 *   npm run bench:read-cli -- --bytes 200000000 --packets 500000 --rounds 3
 */
import { spawnSync } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { enhancedPacket, interfaceBlock, MICROSECONDS, pcapHeader, pcapRecord, sectionHeader } from '../test/support/capture-writer.js'
import { randomFrame } from '../test/support/filter-packets.js'
import { type Random, randomOf } from '../test/support/random.js'

const { values } = parseArgs({
  options: {
    bytes: { type: 'string', default: '1000000000' },
    packets: { type: 'string', default: '2000000' },
    rounds: { type: 'string', default: '7' },
    only: { type: 'string', default: '' },
  },
})

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))
const SHAPE = { littleEndian: true, magic: MICROSECONDS }
const PATTERN_PACKETS = 10_000
const MIXED = [60, 60, 60, 64, 90, 150, 576, 1500, 1500, 1514]

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

function datagram(random: Random, length: number): Uint8Array {
  const frame = random.bytes(length)
  frame.set([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, (length - 14) >> 8, (length - 14) & 255, 0, 1, 0, 0, 64, 17, 0, 0])
  frame.set([0xc3, 0x50, 0xc3, 0x51, (length - 34) >> 8, (length - 34) & 255, 0, 0], 34)
  return frame
}

interface Contents {
  isPcapng: boolean
  frame(random: Random): Uint8Array
}

const LARGE: Record<string, Contents> = {
  'pcap, 60 bytes': { isPcapng: false, frame: (random) => datagram(random, 60) },
  'pcap, mixed': { isPcapng: false, frame: (random) => datagram(random, random.pick(MIXED)) },
  'pcapng, 60 bytes': { isPcapng: true, frame: (random) => datagram(random, 60) },
  'pcapng, mixed': { isPcapng: true, frame: (random) => datagram(random, random.pick(MIXED)) },
}
const PRINTED: Record<string, Contents> = {
  'TCP SYN': { isPcapng: false, frame: syn },
  'UDP, mixed': { isPcapng: false, frame: (random) => datagram(random, random.pick(MIXED)) },
  'many kinds': { isPcapng: false, frame: (random) => randomFrame(random, 60) },
}

/** The same records over and over, a second later each time. */
function writeFile(path: string, { isPcapng, frame }: Contents, isEnough: (bytes: number, packets: number) => boolean): number {
  const random = randomOf(1)
  const frames = Array.from({ length: PATTERN_PACKETS }, () => frame(random))
  const record = (bytes: Uint8Array, second: number, index: number): Buffer =>
    isPcapng
      ? enhancedPacket(true, 0, BigInt(second) * 1_000_000n + BigInt(index), bytes)
      : pcapRecord(SHAPE, { bytes, wireLength: bytes.length, seconds: second, nanoseconds: index * 1000, interfaceId: 0 })
  const pattern = Buffer.concat(frames.map((bytes, index) => record(bytes, 1_700_000_000, index)))
  const fd = openSync(path, 'w')
  let packets = 0
  try {
    writeSync(fd, isPcapng ? Buffer.concat([sectionHeader(true), interfaceBlock(true, 1, 262144)]) : pcapHeader(SHAPE))
    for (let written = 0; !isEnough(written, packets); written += pattern.length, packets += PATTERN_PACKETS) writeSync(fd, pattern)
  } finally {
    closeSync(fd)
  }
  // Into the page cache.
  spawnSync('cat', [path], { stdio: ['ignore', 'ignore', 'ignore'] })
  return packets
}

interface Run {
  seconds: number
  cpu: number
  output: string
}

/** CPU time by bash's `times`, which counts children. What is printed goes to nowhere, but for what is to be looked at. */
function timed(argv: readonly string[], isPrinted: boolean): Run {
  const script = `"$@" ${isPrinted ? '>/dev/null' : ''}; s=$?; TIMEFORMAT=; times >&2; exit $s`
  const started = performance.now()
  const { stdout, stderr, status } = spawnSync('bash', ['-c', script, 'bash', ...argv], { encoding: 'utf8' })
  const seconds = (performance.now() - started) / 1000
  if (status !== 0) throw new Error(`${argv.join(' ')}: ${stderr}`)
  const last = stderr.trimEnd().split('\n').at(-1) as string
  const cpu = [...last.matchAll(/(\d+)m([\d.]+)s/g)].slice(0, 2).reduce((sum, [, minutes, rest]) => sum + Number(minutes) * 60 + Number(rest), 0)
  return { seconds, cpu, output: stdout }
}

/** In turns, so that whatever else the machine does meets both alike. */
function compare(ours: readonly string[], theirs: readonly string[], isPrinted: boolean): [ours: Run, theirs: Run] {
  const best: Run[] = []
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const [place, argv] of [ours, theirs].entries()) {
      const run = timed(argv, isPrinted)
      if (best[place] === undefined || run.seconds < best[place].seconds) best[place] = run
    }
  }
  return best as [Run, Run]
}

function row(what: string, [ours, theirs]: [Run, Run]): string {
  const cell = ({ seconds, cpu }: Run) => `${seconds.toFixed(2)} (${cpu.toFixed(2)})`.padStart(14)
  return `  ${what.padEnd(34)}${cell(ours)}${cell(theirs)}${(ours.seconds / theirs.seconds).toFixed(2).padStart(8)}`
}

const READ = [process.execPath, MAIN, 'read']
const CAPINFOS = ['capinfos', '-M', '-t', '-E', '-c', '-s', '-d', '-u', '-a', '-e', '-o', '-l', '-y', '-i', '-z', '-x', '-I']

function packetsIn(output: string): number {
  return Number(/^(\d+) packets?$|^packets +(\d+)$|^Number of packets:? +(\d+)/m.exec(output)?.slice(1).find(Boolean))
}

const folder = mkdtempSync(join(tmpdir(), 'ringtap-read-cli-'))
try {
  const path = join(folder, 'file')
  console.log(`Node.js ${process.version}; best of ${values.rounds} rounds: seconds (CPU seconds) of ringtap, of the other, and their ratio`)
  for (const [name, contents] of Object.entries(LARGE)) {
    if (!name.includes(values.only)) continue
    const packets = writeFile(path, contents, (bytes) => bytes >= Number(values.bytes))
    console.log(`\n${name}, ${packets} packets`)
    const runs = {
      '--count : tcpdump --count -r': compare([...READ, '--count', path], ['tcpdump', '--count', '-r', path], false),
      '--info : capinfos': compare([...READ, '--info', path], [...CAPINFOS, path], false),
    }
    for (const [what, both] of Object.entries(runs)) {
      for (const { output } of both) if (packetsIn(output) !== packets) throw new Error(`${what}: ${output}`)
      console.log(row(what, both))
    }
  }
  for (const [name, contents] of Object.entries(PRINTED)) {
    if (!name.includes(values.only)) continue
    const packets = writeFile(path, contents, (_, packets) => packets >= Number(values.packets))
    console.log(`\n${name}, ${packets} packets printed`)
    for (const letters of [['-n'], ['-n', '-e'], ['-n', '-XX']])
      console.log(row(`${letters.join(' ')} : tcpdump -r`, compare([...READ, path, ...letters], ['tcpdump', '-r', path, ...letters], true)))
  }
} finally {
  rmSync(folder, { recursive: true, force: true })
}
