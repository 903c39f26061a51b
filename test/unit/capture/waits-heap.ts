/** A process that waits 10,000 times for a packet, or for an interval, and prints what the heap has kept of that. */
import type { CaptureCounters } from '#src/capture/api.js'
import { packetsWith } from '#src/capture/packets.js'
import { CaptureEnd, statsOf } from '#src/capture/stats.js'
import { FakeCapture } from '../../support/fake-capture.js'
import { growthOf } from '../../support/heap-growth.js'

const TURNS = 10_000

async function ofPackets(): Promise<number> {
  const fake = new FakeCapture()
  const iterator = packetsWith(fake.open, { interface: 'eth0' })
  const bytes = new Uint8Array(60)
  const first = iterator.next()
  await new Promise((resolve) => setTimeout(resolve, 20))
  fake.give(bytes)
  await first
  const growth = await growthOf(TURNS, async () => {
    const next = iterator.next()
    // It waits by now.
    await Promise.resolve()
    fake.give(bytes)
    await next
  })
  await iterator.return()
  return growth
}

async function ofStats(): Promise<number> {
  const counters = { seconds: 0, packets: 0, dropped: 0, drops: {}, workers: [] } as unknown as CaptureCounters
  const stats = statsOf({ counters: () => counters, end: new CaptureEnd(), error: () => undefined }, { intervalMs: 0.001 })
  const growth = await growthOf(TURNS / 4, async () => void (await stats.next()))
  await stats.return()
  return growth
}

console.log(await (process.argv[2] === 'packets' ? ofPackets() : ofStats()))
