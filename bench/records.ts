/**
 * Nanoseconds to make a pcap or pcapng record of a packet, by both builders, beside a C twin that does it by memcpy
 * (bench/reference/records.c); without root. Packets lie in the cache, or in 64 MiB of memory, as in a ring.
 *
 *   npm run bench:records
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CompiledRecords, type RecordBuffer, ScriptRecords } from '#src/file/record.js'
import type { RecordFormat } from '#src/file/record-layout.js'
import { TP_STATUS_USER } from '#src/kernel/abi/if_packet.js'
import { LinearMemory } from '#src/kernel/linear-memory.js'
import { openKernel } from '#src/kernel/system.js'
import { Block } from '#src/packet/block.js'
import { KernelRing } from '../test/support/ring-memory.js'

const FRAMES = [60, 200, 590, 1514]
const FORMATS = ['pcap', 'pcapng'] as const
const PLACES = { cache: { bytes: 2 ** 17, blockBytes: 2 ** 17 }, memory: { bytes: 2 ** 26, blockBytes: 2 ** 20 } } as const
const BUFFER_BYTES = 2 ** 20
const ROUNDS = 15
const BYTES_A_ROUND = 200e6
/** Programs take turns, so that a neighbour on the machine slows all of them down. */
const TURNS = 3

type Place = keyof typeof PLACES
type Builder = 'compiled' | 'script'

function fill(place: Place, frameBytes: number): { memory: LinearMemory; blocks: Block[] } {
  const { bytes, blockBytes } = PLACES[place]
  const memory = LinearMemory.create(openKernel(), bytes + CompiledRecords.memoryBytes(BUFFER_BYTES))
  if (memory === undefined) throw new Error('no WebAssembly here')
  memory.take(bytes)
  const blocks = Array.from({ length: bytes / blockBytes }, (_, i) => new Block(memory.buffer, i * blockBytes, blockBytes))
  // One block as the kernel writes it, in all of them.
  const ring = new KernelRing({ blockBytes, blockCount: 2 })
  for (let i = 0; ring.status(0) !== TP_STATUS_USER && ring.active === 0; i++)
    ring.receive({ bytes: new Uint8Array(frameBytes).fill(i), seconds: 1_700_000_000, nanoseconds: i })
  for (const block of blocks) {
    block.bytes.set(new Uint8Array(ring.memory, 0, blockBytes))
    block.readHeader()
  }
  return { memory, blocks }
}

function measure(builder: Builder, format: RecordFormat, place: Place, frameBytes: number): number {
  const { memory, blocks } = fill(place, frameBytes)
  const buffer = builder === 'compiled' ? (CompiledRecords.create(memory, BUFFER_BYTES, format) as CompiledRecords) : new ScriptRecords(BUFFER_BYTES, format)
  const packets = blocks.reduce((sum, { packetCount }) => sum + packetCount, 0)
  const turns = Math.floor(BYTES_A_ROUND / PLACES[place].bytes) + 1
  let best = Number.POSITIVE_INFINITY
  for (let round = 0; round < ROUNDS; round++) {
    const start = process.hrtime.bigint()
    for (let turn = 0; turn < turns; turn++) for (const block of blocks) record(buffer, block)
    best = Math.min(best, Number(process.hrtime.bigint() - start) / (turns * packets))
  }
  return best
}

/** A full buffer is as good as written. */
function record(buffer: RecordBuffer, block: Block): void {
  let header = block.firstOffset
  for (let left = block.packetCount; ; ) {
    left -= buffer.add(block, header, left)
    if (left === 0) return
    header = buffer.header
    buffer.clear()
  }
}

function compileTwin(folder: string): string | undefined {
  const program = join(folder, 'records')
  try {
    execFileSync('cc', ['-O2', '-o', program, 'bench/reference/records.c'], { stdio: 'inherit' })
    return program
  } catch {
    return undefined
  }
}

function main(): void {
  const folder = mkdtempSync(join(tmpdir(), 'ringtap-records-'))
  try {
    const twin = compileTwin(folder)
    console.log(`Node.js ${process.version}; best of ${ROUNDS} rounds, nanoseconds a packet, and times the C twin`)
    console.log(`${'format'.padEnd(8)}${'bytes'.padStart(6)}  ${'packets in'.padEnd(10)}${'C'.padStart(8)}${'compiled'.padStart(16)}${'script'.padStart(16)}`)
    for (const format of FORMATS) for (const frameBytes of FRAMES) for (const place of Object.keys(PLACES) as Place[]) printRow(twin, format, frameBytes, place)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function printRow(twin: string | undefined, format: string, frameBytes: number, place: Place): void {
  const { bytes, blockBytes } = PLACES[place]
  const run = (command: string, ...rest: string[]) => Number(execFileSync(command, rest, { encoding: 'utf8' }))
  // Each in a process of its own: a worker has one builder.
  const ours = (builder: Builder) => run(process.execPath, process.argv[1] as string, builder, format, String(frameBytes), place)
  const best = { c: Number.POSITIVE_INFINITY, compiled: Number.POSITIVE_INFINITY, script: Number.POSITIVE_INFINITY }
  for (let turn = 0; turn < TURNS; turn++) {
    if (twin !== undefined) best.c = Math.min(best.c, run(twin, format, String(frameBytes), String(bytes), String(blockBytes)))
    best.compiled = Math.min(best.compiled, ours('compiled'))
    best.script = Math.min(best.script, ours('script'))
  }
  const cell = (each: number) => `${each.toFixed(1)}${twin === undefined ? '' : ` (${(each / best.c).toFixed(2)})`}`.padStart(16)
  const c = twin === undefined ? '' : best.c.toFixed(1)
  console.log(`${format.padEnd(8)}${String(frameBytes).padStart(6)}  ${place.padEnd(10)}${c.padStart(8)}${cell(best.compiled)}${cell(best.script)}`)
}

const [builder, format, frameBytes, place] = process.argv.slice(2)
if (builder === undefined) main()
else {
  const of: RecordFormat = { format: format as RecordFormat['format'], microseconds: false, snapLengthBytes: 262_144, interfaceId: 0 }
  console.log(measure(builder as Builder, of, place as Place, Number(frameBytes)))
}
