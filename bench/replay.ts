/**
 * Packets a second of each backend of a transmitter at top speed, out of memory, on a testbed of one queue; and what the receiving end
 * counted. Each figure in a process of its own. Needs root.
 *
 *   npm run bench:replay [FRAME-BYTES] [SECONDS]
 */
import { execFileSync } from 'node:child_process'
import { openInterfaceCounters } from '#src/index.js'
import { createTestbed } from '#src/testbed/index.js'
import { openTransmitter } from '#src/transmit/open.js'
import type { TransmitterOptions } from '#src/transmit/transmitter.js'
import { MemoryPackets } from '../test/support/memory-packets.js'

const ROUNDS = 3
const PACKETS = 4096

const CASES: Record<string, Omit<TransmitterOptions, 'interface'>> = {
  ring: { backend: 'ring' },
  'ring, through the qdisc': { backend: 'ring', qdiscBypass: false },
  recv: { backend: 'recv' },
  'recv, through the qdisc': { backend: 'recv', qdiscBypass: false },
  xdp: { backend: 'xdp' },
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
if (only === undefined) {
  console.log(`Node.js ${process.version}; frames of ${first} bytes, best of ${ROUNDS} runs of ${second} s, one sending thread`)
  console.log(`${''.padEnd(26)}     pps   received   refused     waits  user ns/packet  system ns/packet`)
  for (const name of Object.keys(CASES)) {
    let best: Figure | undefined
    for (let round = 0; round < ROUNDS; round++) {
      const figure = JSON.parse(execFileSync(process.execPath, [process.argv[1] as string, first, second, name], { encoding: 'utf8' })) as Figure
      if (best === undefined || figure.sent / figure.seconds > best.sent / best.seconds) best = figure
    }
    if (best === undefined) continue
    const each = (milliseconds: number) => ((milliseconds * 1e6) / (best?.sent ?? 1)).toFixed(0)
    const { sent, received, refused, waits, seconds, userMs, systemMs } = best
    const cells = [Math.round(sent / seconds), received === sent ? 'all' : received, refused, waits]
    console.log(`${name.padEnd(26)} ${cells.map((cell) => String(cell).padStart(8)).join('  ')}  ${each(userMs).padStart(14)}  ${each(systemMs).padStart(16)}`)
  }
} else {
  const options = CASES[only]
  if (options === undefined) throw new Error(`no case '${only}'`)
  console.log(JSON.stringify(await measure(options, Number(first), Number(second))))
}
