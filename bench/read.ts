/**
 * Reading a capture file of 1 GB: our count and our info against `tcpdump --count -r` and capinfos (without hashes), as processes, from the page
 * cache, in turns. Small frames, where the work is by packet, and mixed ones, where it is by byte; and pcapng, which tcpdump reads too. Best of
 * the rounds: seconds, and the CPU time of that run. `loop` is our time without the start of Node.js.
 *
 *   npm run bench:read
 *   npm run bench:read -- --bytes 200000000 --rounds 3
 */
import { spawnSync } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { openCaptureFile } from '#src/capture/open-file.js'
import type { Decoder } from '#src/file/decode/cursor.js'
import { createDecoder } from '#src/file/decode/detect.js'
import { ByteWindow } from '#src/file/decode/window.js'
import { captureFileInfo } from '#src/file/info.js'
import { FileBlocks } from '#src/source/file.js'
import { block, enhancedPacket, interfaceBlock, MICROSECONDS, pcapHeader, pcapRecord, sectionHeader } from '../test/support/capture-writer.js'
import { randomOf } from '../test/support/random.js'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { bytes: { type: 'string', default: '1000000000' }, rounds: { type: 'string', default: '5' } },
})

const SHAPE = { littleEndian: true, magic: MICROSECONDS }
const PATTERN_PACKETS = 10_000
/** What is measured of a decoder alone: `next()`, with the getters that every reader needs, and blocks for a handler made of it. */
const DECODED = { count: true, 'lengths, time': true, blocks: true }
const LENGTHS: Record<string, readonly number[]> = {
  'pcap, 60 bytes': [60],
  'pcap, mixed': [60, 60, 60, 64, 90, 150, 576, 1500, 1500, 1514],
  'pcapng, 60 bytes': [60],
  'pcapng, mixed': [60, 60, 60, 64, 90, 150, 576, 1500, 1500, 1514],
}

/** The same records over and over: to a reader they are as good as others. */
function writeFile(path: string, name: string, bytes: number): void {
  const random = randomOf(1)
  const isPcapng = name.startsWith('pcapng')
  const records = Array.from({ length: PATTERN_PACKETS }, (_, index) => {
    const length = random.pick(LENGTHS[name] as readonly number[])
    const packet = { bytes: random.bytes(length), wireLength: length, seconds: 1_700_000_000, nanoseconds: index * 1000, interfaceId: 0 }
    return isPcapng ? enhancedPacket(true, 0, 1_700_000_000_000_000n + BigInt(index), packet.bytes) : pcapRecord(SHAPE, packet)
  })
  const pattern = Buffer.concat(records)
  const fd = openSync(path, 'w')
  writeSync(fd, isPcapng ? Buffer.concat([sectionHeader(true), interfaceBlock(true, 1, 262144), block(true, 0xbad, Buffer.alloc(8))]) : pcapHeader(SHAPE))
  for (let written = 0; written < bytes; written += pattern.length) writeSync(fd, pattern)
  closeSync(fd)
}

interface Run {
  seconds: number
  cpu: number
  packets: number
  loop: number | undefined
}

/** CPU time by bash's `times`, which counts children. */
function timed(command: string, argv: readonly string[]): Run {
  const started = performance.now()
  const { stdout, stderr, status } = spawnSync('bash', ['-c', '"$0" "$@"; s=$?; TIMEFORMAT=; times >&2; exit $s', command, ...argv], { encoding: 'utf8' })
  const seconds = (performance.now() - started) / 1000
  if (status !== 0) throw new Error(`${command}: ${stderr}`)
  const last = stderr.trimEnd().split('\n').at(-1) as string
  const cpu = [...last.matchAll(/(\d+)m([\d.]+)s/g)].slice(0, 2).reduce((sum, [, minutes, rest]) => sum + Number(minutes) * 60 + Number(rest), 0)
  const packets = Number(/(\d+) packets?$|Number of packets:?\s+(\d+)/m.exec(stdout)?.slice(1).find(Boolean))
  const loop = /loop ([\d.]+)/.exec(stdout)?.[1]
  return { seconds, cpu, packets, loop: loop === undefined ? undefined : Number(loop) }
}

async function count(path: string): Promise<number> {
  await using file = await openCaptureFile(path)
  let packets = 0
  for await (const batch of file.batches()) while (batch.next()) packets++
  return packets
}

async function info(path: string): Promise<number> {
  await using file = await openCaptureFile(path)
  return (await captureFileInfo(file)).packets
}

/** Nanoseconds a packet of a decoder over a window that is in memory, the best of many times. */
function decode(name: string, what: string): number {
  const path = join(target as string, 'decode')
  writeFile(path, name, 1_000_000)
  const bytes = readFileSync(path)
  const blocks = new FileBlocks()
  let best = Number.POSITIVE_INFINITY
  for (let round = 0; round < 300; round++) {
    const window = new ByteWindow()
    window.push(bytes)
    window.ended = true
    const decoder = createDecoder(window, { tolerant: false, matcherFor: undefined, onBlock: undefined }) as Decoder
    const started = process.hrtime.bigint()
    const packets = what === 'count' ? countAll(decoder) : what === 'lengths, time' ? sumAll(decoder) : fillAll(decoder, blocks)
    best = Math.min(best, Number(process.hrtime.bigint() - started) / packets)
  }
  return best
}

function countAll(decoder: Decoder): number {
  let packets = 0
  while (decoder.next()) packets++
  return packets
}

let sum = 0

function sumAll(decoder: Decoder): number {
  let packets = 0
  let sums = 0
  for (; decoder.next(); packets++) sums += decoder.wireLength + decoder.capturedLength + decoder.seconds + decoder.nanoseconds
  sum = sums
  return packets
}

function fillAll(decoder: Decoder, blocks: FileBlocks): number {
  let packets = 0
  blocks.begin(decoder)
  for (let block = blocks.fill(decoder); block !== undefined; block = blocks.fill(decoder)) packets += block.packetCount
  return packets
}

const [mode, target, name = ''] = positionals
if (mode !== undefined && mode in DECODED && name !== '') console.log(decode(name, mode), sum === -1 ? 'never' : '')
else if (mode !== undefined && target !== undefined) {
  const started = performance.now()
  const packets = mode === 'count' ? await count(target) : await info(target)
  console.log(`${packets} packets`)
  console.log(`loop ${((performance.now() - started) / 1000).toFixed(3)}`)
} else {
  const folder = mkdtempSync(join(tmpdir(), 'ringtap-read-'))
  try {
    console.log(`Node.js ${process.version}; best of ${values.rounds} rounds: seconds (CPU seconds)`)
    for (const name of Object.keys(LENGTHS)) {
      const path = join(folder, 'file')
      writeFile(path, name, Number(values.bytes))
      // Into the page cache.
      spawnSync('cat', [path], { stdio: ['ignore', 'ignore', 'ignore'] })
      const self = process.argv[1] as string
      const decoded = Object.keys(DECODED).map((what) => {
        const { stdout } = spawnSync(process.execPath, [self, what, folder, name], { encoding: 'utf8' })
        return `${what} ${Number.parseFloat(stdout).toFixed(1)}`
      })
      const commands: [what: string, command: string, argv: string[]][] = [
        ['ringtap count', process.execPath, [self, 'count', path]],
        ['tcpdump --count', 'tcpdump', ['--count', '-r', path]],
        ['ringtap info', process.execPath, [self, 'info', path]],
        ['capinfos', 'capinfos', ['-M', '-t', '-E', '-c', '-s', '-d', '-u', '-a', '-e', '-o', '-l', path]],
      ]
      const best = new Map<string, Run>()
      for (let round = 0; round < Number(values.rounds); round++) {
        for (const [what, command, argv] of commands) {
          const run = timed(command, argv)
          const before = best.get(what)
          if (before !== undefined && before.packets !== run.packets) throw new Error(`${what}: ${run.packets} packets, and ${before.packets} before`)
          if (before === undefined || run.seconds < before.seconds) best.set(what, run)
        }
      }
      const packets = best.get('tcpdump --count')?.packets ?? 0
      console.log(`\n${name}: ${packets} packets; the decoder alone, ns a packet: ${decoded.join('; ')}`)
      for (const [what, run] of best) {
        if (run.packets !== packets) throw new Error(`${what} counts ${run.packets}, tcpdump ${packets}`)
        const loop = run.loop === undefined ? '' : `   loop ${run.loop.toFixed(2)}, ${((run.loop * 1e9) / packets).toFixed(1)} ns a packet`
        console.log(`${what.padEnd(18)} ${run.seconds.toFixed(2)} (${run.cpu.toFixed(2)})${loop}`)
      }
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
