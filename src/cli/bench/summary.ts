/** From the runs of a rung to its line in the ladder. Pure. */
import { meanLoads } from './cores.js'
import type { ProfileRow, ReferenceResult, RungResult, RunResult } from './result.js'
import type { Rung } from './rungs.js'
import { median, share, spread, sum } from './statistics.js'

export interface RungRuns {
  rung: Rung
  workers: number
  ourRuns: RunResult[]
  twin: { name: string; runs: RunResult[] } | undefined
  profile: { rows: ProfileRow[]; run: RunResult } | undefined
}

export function rungResult({ rung, workers, ourRuns, twin, profile }: RungRuns): RungResult {
  const allRuns = [...ourRuns, ...(twin?.runs ?? []), ...(profile === undefined ? [] : [profile.run])]
  return {
    name: rung.name,
    workers,
    fanout: workers > 1 ? rung.fanout : null,
    ...figures(ourRuns),
    // Absolute values, lest a packet too many hide one too few.
    unaccounted: sum(allRuns.map((run) => Math.abs(run.accounting.unaccounted))),
    runs: ourRuns,
    ...(profile === undefined ? {} : { profile: profile.rows }),
    ...(twin === undefined ? {} : { reference: referenceResult(twin.name, ourRuns, twin.runs) }),
  }
}

function referenceResult(name: string, ourRuns: readonly RunResult[], runs: RunResult[]): ReferenceResult {
  const ratios = runs.map((run, turn) => share(receivedRate(ourRuns[turn]), receivedRate(run)))
  const { median: ratio, min: ratioMin, max: ratioMax } = spread(ratios)
  return { name, ...figures(runs), ratio, ratioMin, ratioMax, runs }
}

function figures(runs: readonly RunResult[]) {
  const received = sum(runs.map((run) => run.received))
  return {
    offered: median(runs.map((run) => share(run.offered, run.seconds))),
    received: median(runs.map(receivedRate)),
    dropped: median(runs.map((run) => share(run.dropped, run.seconds))),
    cores: meanLoads(runs.map((run) => run.cores)),
    userNsPerPacket: share(sum(runs.map((run) => run.userMs)) * 1e6, received),
    systemNsPerPacket: share(sum(runs.map((run) => run.systemMs)) * 1e6, received),
  }
}

function receivedRate(run: RunResult): number {
  return share(run.received, run.seconds)
}
