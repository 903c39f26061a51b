/**
 * One receive queue, and RPS to spread it: a veth with a single queue into which one core sends, captured by a ring a core (fanout `cpu`), first as
 * it is, then with the masks that `ringtap tune` plans and applies, then taken back. Prints packets a second and the load of each core. Needs root
 * and two cores; changes nothing but its own veth in its own namespaces.
 *
 *   npm run bench:spread [-- SECONDS [PPS|max ...]]
 */
import { readFileSync, rmSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { coreLoads, readAllowedCpus, readCoreTicks } from '#src/cli/bench/cores.js'
import type { CoreLoad } from '#src/cli/bench/result.js'
import { alignColumns, formatDecimal } from '#src/cli/human.js'
import { applyTuning, revertTuning } from '#src/host/index.js'
import { openCapture } from '#src/index.js'
import { createTestbed, startFlood, type Testbed } from '#src/testbed/index.js'

const seconds = Number(process.argv[2] ?? 2)
const rates = process.argv.length > 3 ? process.argv.slice(3).map((text) => (text === 'max' ? undefined : Number(text))) : [500_000, 1_000_000, undefined]
const cpus = readAllowedCpus().slice(0, 4)
const sender = cpus[0] as number

interface Run {
  offered: number
  received: number
  /** Which the veth had no room for: its queue was full. */
  refused: number
  /** Before any socket, by the softirq code: /proc/net/softnet_stat. */
  backlogDrops: number
  /** Of the ring. */
  ringDrops: number
  loads: CoreLoad[]
}

/** Packets that did not fit into a backlog, of all cores. */
function backlogDrops(): number {
  const lines = readFileSync('/proc/net/softnet_stat', 'latin1').trimEnd().split('\n')
  return lines.reduce((sum, line) => sum + Number.parseInt(line.split(' ')[1] as string, 16), 0)
}

async function run(testbed: Testbed, ratePps: number | undefined): Promise<Run> {
  await using capture = await openCapture({ ...testbed.receiver, workers: cpus.length, fanout: { mode: 'cpu' }, pin: cpus, ringBytes: 64 * 2 ** 20 })
  const before = { wire: testbed.wire(), drops: backlogDrops(), ticks: readCoreTicks(), counters: capture.counters(), time: performance.now() }
  await using flood = await startFlood({ ...testbed.sender, cpus: [sender], ratePps, durationMs: seconds * 1000 })
  await flood.finished
  const elapsed = (performance.now() - before.time) / 1000
  const loads = coreLoads(before.ticks, readCoreTicks())
  // What is in the rings still.
  await sleep(200)
  const wire = testbed.wire()
  const { packets, drops } = capture.counters()
  const sent = wire.sent + wire.refused - before.wire.sent - before.wire.refused
  return {
    offered: sent / elapsed,
    received: (packets - before.counters.packets) / elapsed,
    refused: wire.refused - before.wire.refused,
    backlogDrops: backlogDrops() - before.drops,
    ringDrops: drops.ring - before.counters.drops.ring,
    loads,
  }
}

function cells(rate: number | undefined, when: string, { offered, received, refused, backlogDrops, ringDrops, loads }: Run): string[] {
  const share = (part: number) => `${Math.round(part * 100)} %`
  const load = loads.filter(({ cpu }) => cpus.includes(cpu)).flatMap(({ user, system, softirq }) => [share(user), share(system), share(softirq)])
  const rates = [formatDecimal(offered, 'pps'), formatDecimal(received, 'pps')]
  return [rate === undefined ? 'max' : formatDecimal(rate, 'pps'), when, ...rates, String(refused), String(backlogDrops), String(ringDrops), ...load]
}

const head = ['SENDER', 'RPS', 'OFFERED', 'RECEIVED', 'REFUSED', 'BACKLOG', 'RING', ...cpus.flatMap((cpu) => [`CPU${cpu} USER`, 'SYSTEM', 'SOFTIRQ'])]
const rows: string[][] = [head]
let journal: string | undefined
{
  using testbed = createTestbed({ queues: 1 })
  const { interface: name, netns } = testbed.receiver
  try {
    for (const rate of rates) {
      rows.push(cells(rate, 'off', await run(testbed, rate)))
      const applied = applyTuning(name, { netns, cpus })
      journal = applied.journal
      if (rate === rates[0])
        for (const { subject, what, from, to, command } of applied.applied) console.log(`${subject}: ${what}: ${from} -> ${to}   # ${command}`)
      rows.push(cells(rate, 'on', await run(testbed, rate)))
      revertTuning(name, { netns })
    }
  } finally {
    // The interface goes with the process, and so does what could be reverted.
    if (journal !== undefined) rmSync(journal, { force: true })
  }
}
console.log('')
for (const line of alignColumns(rows, new Set(head.keys()))) console.log(line)
