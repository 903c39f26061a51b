/**
 * What transmitting costs, in two parts, each figure in a process of its own:
 *
 * 1. Nanoseconds a frame of our own code alone, without a kernel and without root: each kind of memory that frames are put into, filled
 *    and given up in batches of 64, and the loop around it with a sender that does nothing.
 * 2. Packets a second of each backend at top speed, out of memory, on a testbed of one queue; and what the receiving end counted. It needs root.
 *
 *   npm run bench:replay [FRAME-BYTES] [SECONDS]
 */
import { execFileSync } from 'node:child_process'
import { alignUp } from '#src/bytes/align.js'
import { openInterfaceCounters } from '#src/index.js'
import { TP_STATUS_AVAILABLE, TPACKET3_HDR } from '#src/kernel/abi/if_packet.js'
import { XDP_DESC } from '#src/kernel/abi/if_xdp.js'
import { SendBatch, sendBatchBytes } from '#src/ring/send-batch.js'
import { TransmitRing } from '#src/ring/transmit-ring.js'
import { UmemSender } from '#src/ring/umem-sender.js'
import { XskConsumer, XskProducer, type XskRingLayout } from '#src/ring/xsk-ring.js'
import { createTestbed } from '#src/testbed/index.js'
import { openTransmitter } from '#src/transmit/open.js'
import type { Sender } from '#src/transmit/sender.js'
import { Transmission } from '#src/transmit/transmission.js'
import type { TransmitterOptions } from '#src/transmit/transmitter.js'
import { MemoryPackets } from '../test/support/memory-packets.js'

const ROUNDS = 3
const PACKETS = 4096
const BATCH = 64
const MEMORY_ROUNDS = 40
const MEMORY_PACKETS = 200_000

const CASES: Record<string, Omit<TransmitterOptions, 'interface'>> = {
  ring: { backend: 'ring' },
  'ring, through the qdisc': { backend: 'ring', qdiscBypass: false },
  recv: { backend: 'recv' },
  'recv, through the qdisc': { backend: 'recv', qdiscBypass: false },
  xdp: { backend: 'xdp' },
}

/** Puts one frame; `flush` gives up a batch of them as the kernel would take it. */
interface Memory {
  put(bytes: Uint8Array, offset: number, length: number): boolean
  flush(): void
}

function sendBatch(): Memory {
  const geometry = { batch: BATCH, frameBytes: 1518 }
  const batch = new SendBatch(new ArrayBuffer(alignUp(sendBatchBytes(geometry), 4096)), 4096n, geometry)
  return { put: (bytes, offset, length) => batch.put(bytes, offset, length), flush: () => batch.take(batch.pending) }
}

function transmitRing(): Memory {
  const geometry = { version: 3 as const, frameBytes: 2048, frameCount: 1024 }
  const memory = new ArrayBuffer(geometry.frameBytes * geometry.frameCount)
  const ring = new TransmitRing(memory, geometry)
  const words = new Int32Array(memory)
  let slot = 0
  return {
    put: (bytes, offset, length) => ring.put(bytes, offset, length),
    flush() {
      for (let count = ring.pending; count > 0; count--) {
        words[(slot * geometry.frameBytes + TPACKET3_HDR.tp_status) >>> 2] = TP_STATUS_AVAILABLE
        slot = (slot + 1) & (geometry.frameCount - 1)
      }
      ring.collect()
    },
  }
}

function umemSender(): Memory {
  const chunkCount = 1024
  const layout: XskRingLayout = { entries: chunkCount * 2, producer: 0, consumer: 64, flags: 128, desc: 192 }
  const tx = new ArrayBuffer(192 + layout.entries * XDP_DESC.sizeof)
  const completion = new ArrayBuffer(192 + layout.entries * 8)
  const sender = new UmemSender(new ArrayBuffer(chunkCount * 2048), new XskProducer(tx, layout, XDP_DESC.sizeof), new XskConsumer(completion, layout, 8), {
    chunkBytes: 2048,
    chunkCount,
  })
  const txWords = new Int32Array(tx)
  const completed = new Int32Array(completion)
  const mask = layout.entries - 1
  let consumed = 0
  return {
    put: (bytes, offset, length) => sender.put(bytes, offset, length),
    flush() {
      while (sender.pending > 0) {
        sender.submit()
        for (const produced = txWords[0] as number; consumed !== produced; consumed++) {
          completed[48 + (consumed & mask) * 2] = txWords[48 + (consumed & mask) * 4] as number
        }
        txWords[16] = consumed
        completed[0] = consumed
        sender.collect(false, true)
      }
    },
  }
}

/** The loop above the senders: a sender that counts, and nothing else. */
function loop(): Memory {
  let pending = 0
  const sender = {
    room: 2000,
    packets: 0,
    bytes: 0,
    dropped: 0,
    get pending() {
      return pending
    },
    send() {
      pending++
      return true
    },
    flush() {
      sender.packets += pending
      pending = 0
      return 0
    },
    withdraw: () => 0,
    withdrawRefused: () => 0,
    inFlight: () => 0,
    close() {},
    [Symbol.dispose]() {},
  } satisfies Sender
  const of = { name: 'x', flags: () => 0, mtu: () => 1500, tellsCarrier: true }
  const options = { limit: Number.POSITIVE_INFINITY, truncated: 'send', roomTimeoutMs: 1000 } as const
  const transmission = new Transmission(sender, of, { ...options, pace: { kind: 'packets', perSecond: 1e12 } })
  const packets = new MemoryPackets(Array.from({ length: BATCH }, () => new Uint8Array(60)))
  return {
    put: () => true,
    flush() {
      packets.again().nextBatch()
      transmission.advance(packets)
      transmission.turnTaken()
    },
  }
}

const MEMORIES: Record<string, () => Memory> = {
  'recv: SendBatch': sendBatch,
  'ring: TransmitRing': transmitRing,
  'xdp: UmemSender': umemSender,
  'the loop around them, at a rate': loop,
}

function measureMemory(make: () => Memory, frameBytes: number): number {
  const memory = make()
  const bytes = new Uint8Array(frameBytes * PACKETS)
  let best = Number.POSITIVE_INFINITY
  for (let round = 0; round < MEMORY_ROUNDS; round++) {
    const start = process.hrtime.bigint()
    for (let i = 0; i < MEMORY_PACKETS; i += BATCH) {
      for (let j = 0; j < BATCH; j++) if (!memory.put(bytes, ((i + j) % PACKETS) * frameBytes, frameBytes)) throw new Error('no room')
      memory.flush()
    }
    best = Math.min(best, Number(process.hrtime.bigint() - start) / MEMORY_PACKETS)
  }
  return best
}

interface Figure {
  sent: number
  received: number
  refused: number
  waits: number
  seconds: number
  userMs: number
  systemMs: number
}

async function measure(options: Omit<TransmitterOptions, 'interface'>, frameBytes: number, seconds: number): Promise<Figure> {
  using testbed = createTestbed({ queues: 1 })
  using counters = openInterfaceCounters([testbed.receiver.interface], testbed.receiver)
  await using transmitter = openTransmitter({ ...testbed.sender, ...options })
  const frame = new Uint8Array(frameBytes)
  frame.set([0x02, 0, 0x5e, 0x10, 0, 1, 0x02, 0, 0x5e, 0x10, 0, 2, 0x88, 0xb5])
  const packets = new MemoryPackets(Array.from({ length: PACKETS }, () => frame))
  await transmitter.transmit(() => packets.again(), { timing: 'top', loop: 10 })
  const before = counters.read()[0]?.rxPackets ?? 0
  const cpu = process.cpuUsage()
  const result = await transmitter.transmit(() => packets.again(), {
    timing: 'top',
    loop: Number.POSITIVE_INFINITY,
    signal: AbortSignal.timeout(seconds * 1000),
  })
  const { user, system } = process.cpuUsage(cpu)
  const received = (counters.read()[0]?.rxPackets ?? 0) - before
  return { sent: result.sent, received, refused: result.refused, waits: result.waits, seconds: result.seconds, userMs: user / 1000, systemMs: system / 1000 }
}

const [first = '60', second = '2', only] = process.argv.slice(2)
const inProcess = (name: string) => execFileSync(process.execPath, [process.argv[1] as string, first, second, name], { encoding: 'utf8' })
if (only === undefined) {
  console.log(`Node.js ${process.version}; frames of ${first} bytes; our own code, best of ${MEMORY_ROUNDS} rounds, nanoseconds a frame`)
  for (const name of Object.keys(MEMORIES)) console.log(`${name.padEnd(34)}${Number(inProcess(name)).toFixed(1).padStart(8)}`)
  console.log(`\nAt top speed, best of ${ROUNDS} runs of ${second} s, one sending thread`)
  console.log(`${''.padEnd(26)}      pps  received   refused     waits  user ns/packet  system ns/packet`)
  for (const name of Object.keys(CASES)) {
    const figures = Array.from({ length: ROUNDS }, () => JSON.parse(inProcess(name)) as Figure)
    const best = figures.reduce((a, b) => (b.sent / b.seconds > a.sent / a.seconds ? b : a))
    const each = (milliseconds: number) => ((milliseconds * 1e6) / best.sent).toFixed(0)
    const { sent, received, refused, waits, seconds, userMs, systemMs } = best
    const cells = [Math.round(sent / seconds), received === sent ? 'all' : received, refused, waits]
    console.log(`${name.padEnd(26)} ${cells.map((cell) => String(cell).padStart(8)).join('  ')}  ${each(userMs).padStart(14)}  ${each(systemMs).padStart(16)}`)
  }
} else if (MEMORIES[only] !== undefined) {
  console.log(measureMemory(MEMORIES[only], Number(first)))
} else {
  const options = CASES[only]
  if (options === undefined) throw new Error(`no case '${only}'`)
  console.log(JSON.stringify(await measure(options, Number(first), Number(second))))
}
