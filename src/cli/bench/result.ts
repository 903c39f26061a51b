/** What `ringtap bench --json` prints: one document. The names are a contract (docs/ladder.md). All rates are packets a second. */

export interface BenchResult {
  type: 'bench'
  version: string
  /** ISO 8601 */
  startedAt: string
  machine: { cpu: string; cores: number; memoryBytes: number; kernel: string; node: string; virtual: boolean }
  /** Measured seconds of each run, warm-up not included. */
  seconds: number
  frameBytes: number
  flood: { kind: string; cpus: number[] }
  rungs: RungResult[]
}

export interface RungResult {
  /** recv, recv+fanout, ring, ring+fanout */
  name: string
  workers: number
  fanout: string | null
  /** Rates; medians over the alternations. */
  offered: number
  received: number
  dropped: number
  /** Exact, over all runs of this rung: offered - received - dropped. Must be 0. */
  unaccounted: number
  runs: RunResult[]
  cores: CoreLoad[]
  userNsPerPacket: number
  systemNsPerPacket: number
  /** With --profile: top kernel symbols. */
  profile?: ProfileRow[]
  /** With --reference. */
  reference?: {
    name: string
    received: number
    /** Median of ours/twin over the alternations, and its spread. */
    ratio: number
    ratioMin: number
    ratioMax: number
    userNsPerPacket: number
    systemNsPerPacket: number
    runs: RunResult[]
  }
}

/** One run of one program on the flood. Packets, not rates. */
export interface RunResult {
  seconds: number
  /** Frames that the generator made. */
  offered: number
  received: number
  /** By where they were lost: `wire` (the veth queue was full), `ring`, `socket` and the other names of `Drops`. */
  drops: Record<string, number>
  unaccounted: number
  userMs: number
  systemMs: number
  cores: CoreLoad[]
  /** One point an interval: seconds since start, received and dropped packets a second. */
  timeline: { seconds: number; received: number; dropped: number }[]
}

/** Share of the run's time, 0 to 1, from /proc/stat. */
export interface CoreLoad {
  cpu: number
  user: number
  system: number
  softirq: number
  steal: number
  idle: number
}

export interface ProfileRow {
  percent: number
  symbol: string
  module: string
}
