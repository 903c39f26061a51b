/**
 * Nanoseconds a packet of UmemReceiver over fabricated memory, without root: with lengths only, as for counting, and with headers and
 * an empty handler that walks them; with the NIC's time stamps as hints as well. In chunks that lie in the cache, as they do just after the kernel wrote into them on the same
 * core, and in 64 MiB of them. With cc, beside the C twin of both (bench/reference/xskwalk.c).
 *
 *   npm run bench:xsk
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { XSK_HINTS } from '#src/bpf/xsk-program.js'
import type { PacketView } from '#src/handler.js'
import { XDP_DESC } from '#src/kernel/abi/if_xdp.js'
import type { Block } from '#src/packet/block.js'
import { BlockPacketView } from '#src/packet/view.js'
import { UmemReceiver } from '#src/ring/umem.js'
import { XskConsumer, XskProducer } from '#src/ring/xsk-ring.js'
import { hintsOf } from '../test/support/xsk-hints.js'
import { ADDRESS_BYTES, KernelXsk } from '../test/support/xsk-memory.js'

const CHUNK_BYTES = 2048
const CHUNKS = { 'in the cache': 512, '64 MiB': 32_768 } as const
const ROUNDS = 15
const PACKETS_A_ROUND = 1_000_000
const HINTS_VALID = (XSK_HINTS.valid - XSK_HINTS.sizeof) / 2

let bytes = 0

function sumLengths(block: Block): void {
  block.totals?.measure(block.packetCount)
  bytes += block.totals?.bytes ?? 0
}

const view = new BlockPacketView()

function handOver(block: Block, packet: (packet: PacketView) => void): void {
  view.enter(block)
  const words = block.words32
  let header = block.firstOffset
  for (let i = 0; i < block.packetCount; i++) {
    view.header = header
    packet(view)
    header += words[header >>> 2] as number
  }
}

interface Mode {
  lengthsOnly: boolean
  hints: boolean
  deliver: (block: Block) => void
  twin: string | undefined
}

const walk = (block: Block): void => handOver(block, () => {})

const MODES: Record<string, Mode> = {
  'lengths only': { lengthsOnly: true, hints: false, deliver: sumLengths, twin: 'lengths' },
  'headers, packet(): empty': { lengthsOnly: false, hints: false, deliver: walk, twin: 'headers' },
  'and hints': { lengthsOnly: false, hints: true, deliver: walk, twin: undefined },
}

/** The program has run on each packet again: what the reader took away is there. Answers how long that took, in nanoseconds. */
function hintAgain(umem: Uint16Array, valid: number, rx: XskConsumer, packets: number): number {
  const start = process.hrtime.bigint()
  for (let i = 0; i < packets; i++) umem[((rx.words[((rx.index + i) & rx.mask) * (XDP_DESC.sizeof / 4)] as number) >> 1) + HINTS_VALID] = valid
  return Number(process.hrtime.bigint() - start)
}

/** A kernel whose RX ring is always full: what is released comes again at once. */
function measure({ lengthsOnly, hints, deliver }: Mode, chunkCount: number): number {
  const geometry = { chunkBytes: CHUNK_BYTES, chunkCount, multiBuffer: false }
  const kernel = new KernelXsk({ geometry })
  const fill = new XskProducer(kernel.fill.memory, kernel.fill.layout, ADDRESS_BYTES)
  for (let i = 0; i < chunkCount; i++) fill.words[i * 2] = i * CHUNK_BYTES
  fill.submit(chunkCount)
  const frame = new Uint8Array(60)
  frame.set([0x02, 0, 0x5e, 0x10, 0, 1, 0x02, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0x08, 0x00, 0x45])
  const metadata = hints ? hintsOf({ timestamp: 1_700_000_000_123_456_789n }) : undefined
  while (kernel.receive(frame, undefined, metadata));
  const umem = new Uint16Array(kernel.umem)
  const valid = metadata === undefined ? 0 : new DataView(metadata.buffer).getUint16(XSK_HINTS.valid, true)
  kernel.flush()
  const rx = new XskConsumer(kernel.rx.memory, kernel.rx.layout, XDP_DESC.sizeof)
  const receiver = new UmemReceiver(kernel.umem, rx, fill, {
    geometry,
    snapLengthBytes: 262_144,
    lengthsOnly,
    hints,
    interfaceIndex: 2,
    macAddress: Uint8Array.of(0x02, 0x11, 0x22, 0x33, 0x44, 0x55),
  })
  let best = Number.POSITIVE_INFINITY
  let total = 0
  for (let round = 0; round < ROUNDS; round++) {
    let packets = 0
    let notOurs = 0
    const start = process.hrtime.bigint()
    while (packets < PACKETS_A_ROUND) {
      const block = receiver.peek() as Block
      packets += block.packetCount
      deliver(block)
      if (hints) notOurs += hintAgain(umem, valid, rx, receiver.taken)
      receiver.release()
      kernel.rx.producer = rx.index + chunkCount
      kernel.fill.consumer = fill.index
    }
    const each = (Number(process.hrtime.bigint() - start) - notOurs) / packets
    if (each < best) best = each
    total += packets
  }
  if (lengthsOnly && bytes !== total * frame.length) throw new Error(`${bytes} bytes of ${total} packets`)
  return best
}

function buildTwin(folder: string): string | undefined {
  const program = join(folder, 'xskwalk')
  try {
    execFileSync('cc', ['-O2', '-o', program, 'bench/reference/xskwalk.c'], { stdio: 'ignore' })
    return program
  } catch {
    return undefined
  }
}

// Each figure in a process of its own, as each worker has one: the loop must not have seen another.
const [only, chunks] = process.argv.slice(2)
if (only === undefined) {
  const folder = mkdtempSync(join(tmpdir(), 'ringtap-xsk-'))
  try {
    const twin = buildTwin(folder)
    console.log(`Node.js ${process.version}; best of ${ROUNDS} rounds, nanoseconds a packet`)
    console.log(`${''.padEnd(30)} ringtap${twin === undefined ? '' : '       C'}`)
    for (const [name, mode] of Object.entries(MODES)) {
      for (const [where, count] of Object.entries(CHUNKS)) {
        const figures = [Number(execFileSync(process.execPath, [process.argv[1] as string, name, String(count)], { encoding: 'utf8' }))]
        if (twin !== undefined && mode.twin !== undefined) figures.push(Number(execFileSync(twin, [mode.twin, String(count)], { encoding: 'utf8' })))
        console.log(`${name}, ${where}`.padEnd(38) + figures.map((ns) => ns.toFixed(1).padStart(7)).join(' '))
      }
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
} else {
  const mode = MODES[only]
  if (mode === undefined) throw new Error(`no mode '${only}'`)
  console.log(measure(mode, Number(chunks)))
}
