/**
 * One receive queue, and RPS to spread it: a veth with a single queue into which one core sends, captured by rings, one a core (fanout `cpu`); first
 * as it is, then with the masks that `ringtap tune` plans and applies, then taken back. With one capture, and with several at once: what RPS
 * spreads is what comes after the queue, and each capture adds to that. Prints packets a second and the load of each core. Needs root and two
 * cores; changes nothing but its own veth in its own namespaces.
 *
 *   npm run bench:spread [-- SECONDS [CAPTURES ...]]
 */
import { readFileSync, rmSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { coreLoads, readAllowedCpus } from '#src/cli/bench/cores.js'
import type { CoreLoad } from '#src/cli/bench/result.js'
import { alignColumns, formatDecimal } from '#src/cli/human.js'
import { applyTuning, cpuLoads, readCpuTimes, revertTuning } from '#src/host/index.js'
import { type CaptureCounters, openCapture } from '#src/index.js'
import { createTestbed, startFlood, type Testbed } from '#src/testbed/index.js'

const seconds = Number(process.argv[2] ?? 2)
const crowds = process.argv.length > 3 ? process.argv.slice(3).map(Number) : [1, 4]
const cpus = readAllowedCpus().slice(0, 4)
const sender = cpus[0] as number

interface Run {
  offered: number
  /** By each of the captures. */
  received: number
  /** Which the veth had no room for: its queue was full. */
  refused: number
  /** Before any socket, by the softirq code: /proc/net/softnet_stat. */
  backlogDrops: number
  /** Of the rings, a capture. */
  ringDrops: number
  loads: CoreLoad[]
}

/** Packets that did not fit into a backlog, of all cores. */
function backlogDrops(): number {
  const lines = readFileSync('/proc/net/softnet_stat', 'latin1').trimEnd().split('\n')
  return lines.reduce((sum, line) => sum + Number.parseInt(line.split(' ')[1] as string, 16), 0)
}

async function run(testbed: Testbed, captureCount: number): Promise<Run> {
  const options = { ...testbed.receiver, workers: cpus.length, fanout: { mode: 'cpu' }, pin: cpus, ringBytes: 64 * 2 ** 20 } as const
  const captures = await Promise.all(Array.from({ length: captureCount }, () => openCapture(options)))
  const before = { wire: testbed.wire(), drops: backlogDrops(), times: readCpuTimes() }
  const flood = await startFlood({ ...testbed.sender, cpus: [sender], durationMs: seconds * 1000 })
  const { seconds: elapsed } = await flood.finished
  const loads = coreLoads(cpuLoads(before.times, readCpuTimes()))
  // What is in the rings still.
  await sleep(200)
  const wire = testbed.wire()
  const counters = captures.map((capture) => capture.counters())
  const mean = (of: (one: CaptureCounters) => number) => counters.reduce((sum, one) => sum + of(one), 0) / captureCount
  for (const capture of captures) await capture.stop()
  return {
    offered: (wire.sent + wire.refused - before.wire.sent - before.wire.refused) / elapsed,
    received: mean(({ packets }) => packets) / elapsed,
    refused: wire.refused - before.wire.refused,
    backlogDrops: backlogDrops() - before.drops,
    ringDrops: Math.round(mean(({ drops }) => drops.ring)),
    loads,
  }
}

function cells(captureCount: number, when: string, { offered, received, refused, backlogDrops, ringDrops, loads }: Run): string[] {
  const share = (part: number) => `${Math.round(part * 100)} %`
  const load = loads.filter(({ cpu }) => cpus.includes(cpu)).flatMap(({ user, system, softirq }) => [share(user), share(system), share(softirq)])
  const rates = [formatDecimal(offered, 'pps'), formatDecimal(received, 'pps')]
  return [String(captureCount), when, ...rates, String(refused), String(backlogDrops), String(ringDrops), ...load]
}

const head = ['CAPTURES', 'RPS', 'OFFERED', 'RECEIVED', 'REFUSED', 'BACKLOG', 'RING', ...cpus.flatMap((cpu) => [`CPU${cpu} USER`, 'SYSTEM', 'SOFTIRQ'])]
const rows: string[][] = [head]
let journal: string | undefined
{
  using testbed = createTestbed({ queues: 1 })
  const { interface: name, netns } = testbed.receiver
  try {
    for (const captureCount of crowds) {
      rows.push(cells(captureCount, 'off', await run(testbed, captureCount)))
      const applied = applyTuning(name, { netns, cpus })
      journal = applied.journal
      if (captureCount === crowds[0])
        for (const { subject, what, from, to, command } of applied.applied) console.log(`${subject}: ${what}: ${from} -> ${to}   # ${command}`)
      rows.push(cells(captureCount, 'on', await run(testbed, captureCount)))
      revertTuning(name, { netns })
    }
  } finally {
    // The interface goes with the process, and so does what could be reverted.
    if (journal !== undefined) rmSync(journal, { force: true })
  }
}
console.log('')
for (const line of alignColumns(rows, new Set(head.keys()))) console.log(line)
