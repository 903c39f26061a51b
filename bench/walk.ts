/**
 * Nanoseconds a packet of the worker's own loop over fabricated ring memory, for what handlers do with a packet; without root.
 * With cc, beside the C twin of the walk (bench/reference/walk.c).
 *
 *   npm run bench:walk
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Control, controlMemory, STOP } from '#src/capture/control.js'
import { COUNTER, CounterWriter, countersMemory } from '#src/capture/counters.js'
import { Loop } from '#src/capture/loop.js'
import type { Handler, PacketView } from '#src/handler.js'
import { TP_STATUS_USER } from '#src/kernel/abi/if_packet.js'
import { openKernel } from '#src/kernel/system.js'
import type { Block } from '#src/packet/block.js'
import { Tpacket3Ring } from '#src/ring/tpacket3.js'
import { noStatistics, type Source } from '#src/source/source.js'
import { KernelRing } from '../test/support/ring-memory.js'

const geometry = { blockBytes: 2 ** 20, blockCount: 32 }
const ROUNDS = 15
const TURNS = 10

function fill(): ArrayBuffer {
  const ring = new KernelRing(geometry)
  const bytes = new Uint8Array(60)
  bytes.set([0x08, 0x00, 0x45], 12)
  // Until the ring is full: every block is ours then.
  for (let i = 0; ring.receive({ bytes, seconds: 1, nanoseconds: i }); i++) bytes.set([10, i >>> 16, i >>> 8, i], 26)
  return ring.memory
}

/** A ring whose kernel refills each block at once with what it had; ends the loop after so many blocks. */
function endless(memory: ArrayBuffer, control: Control, blocks: number): Source {
  const ring = new Tpacket3Ring(memory, geometry)
  let left = blocks
  let current: Block | undefined
  return {
    fd: -1,
    coalesceMs: 0,
    peek() {
      current = ring.peek()
      return current
    },
    release() {
      ring.release()
      current?.setStatus(TP_STATUS_USER)
      if (--left === 0) control.send(STOP)
    },
    inHand: () => 1,
    passBy: () => 0,
    resync: () => false,
    peekUnfinished: () => undefined,
    account: { closeGate() {}, read: noStatistics },
    left: () => undefined,
    takeError: () => 0,
    close() {},
  }
}

function measure(memory: ArrayBuffer, handler: Handler, state: unknown): number {
  let best = Number.POSITIVE_INFINITY
  for (let round = 0; round < ROUNDS; round++) {
    const control = new Control(controlMemory(1), 0)
    const counters = new CounterWriter(countersMemory(1), 0)
    const source = endless(memory, control, geometry.blockCount * TURNS)
    const watch = { tick() {}, pendingError() {}, socketError() {} } as never
    const loop = new Loop({ kernel: openKernel(), source, wakeFd: -1, control, counters, budget: undefined, handler, state, watch, answerSnapshot() {} })
    const start = process.hrtime.bigint()
    loop.run()
    const each = Number(process.hrtime.bigint() - start) / (counters.values[COUNTER.packets] as number)
    if (each < best) best = each
  }
  return best
}

function twin(): number | undefined {
  const folder = mkdtempSync(join(tmpdir(), 'ringtap-walk-'))
  try {
    execFileSync('cc', ['-O2', '-o', join(folder, 'walk'), 'bench/reference/walk.c'], { stdio: 'ignore' })
    return Number(execFileSync(join(folder, 'walk'), [String(geometry.blockCount), String(geometry.blockBytes)], { encoding: 'utf8' }))
  } catch {
    return undefined
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const handlers: Record<string, [Handler, unknown]> = {
  'count (no handler)': [{}, undefined],
  'packet(): empty': [{ packet() {} }, undefined],
  'packet(): count, bytes': [
    {
      packet(p: PacketView, s: unknown) {
        const counts = s as Float64Array
        counts[0] = (counts[0] as number) + 1
        counts[1] = (counts[1] as number) + p.wireLength
      },
    },
    new Float64Array(2),
  ],
  'packet(): IPv4 source, time': [
    {
      packet(p: PacketView, s: unknown) {
        const table = s as Float64Array
        if (p.capturedLength < 34) return
        const b = p.bytes
        const at = p.offset + 26
        const source = (((b[at] as number) << 24) | ((b[at + 1] as number) << 16) | ((b[at + 2] as number) << 8) | (b[at + 3] as number)) >>> 0
        table[source & 4095] = p.seconds + p.nanoseconds
      },
    },
    new Float64Array(4096),
  ],
  'block(): bytes': [
    {
      block(b, s: unknown) {
        const counts = s as Float64Array
        const words = b.words32
        let at = b.firstOffset >>> 2
        let bytes = 0
        for (let i = 0; i < b.packetCount; i++) {
          bytes += words[at + 4] as number
          at += (words[at] as number) >>> 2
        }
        counts[0] = (counts[0] as number) + bytes
      },
    },
    new Float64Array(1),
  ],
}

// Each handler in a process of its own, as each worker has one: the loop must not have seen another.
const only = process.argv[2]
if (only === undefined) {
  const c = twin()
  console.log(`Node.js ${process.version}; best of ${ROUNDS} rounds, nanoseconds a packet`)
  if (c !== undefined) console.log(`${'C twin (count)'.padEnd(30)} ${c.toFixed(1).padStart(6)}`)
  for (const name of Object.keys(handlers)) process.stdout.write(execFileSync(process.execPath, [process.argv[1] as string, name], { encoding: 'utf8' }))
} else {
  const [handler, state] = handlers[only] as [Handler, unknown]
  console.log(`${only.padEnd(30)} ${measure(fill(), handler, state).toFixed(1).padStart(6)}`)
}
