/** What `ringtap bench --json` prints: one document. The names are a contract (docs/ladder.md). All rates are packets a second. */

export interface BenchResult {
  type: 'bench'
  version: string
  /** ISO 8601 */
  startedAt: string
  machine: MachineFacts
  /** Length of each run's flood at full rate, warm-up not included. */
  seconds: number
  /** Length of the gentle flood before it. */
  warmupSeconds: number
  /** Runs of each program on each rung. */
  alternations: number
  frameBytes: number
  flood: { kind: string; cpus: number[] }
  rungs: RungResult[]
  /** False when SIGINT or an error ended it: `rungs` holds those that were done. */
  complete: boolean
}

export interface MachineFacts {
  cpu: string
  cores: number
  memoryBytes: number
  kernel: string
  node: string
  virtual: boolean
}

export interface RungResult {
  /** recv, recv+fanout, ring, ring+fanout, xdp, xdp generic, kernel count */
  name: string
  /** 0 where nobody in user space takes packets. */
  workers: number
  fanout: string | null
  /** Rates; medians over the runs. */
  offered: number
  received: number
  dropped: number
  /** Packets over all runs of this rung, warm-up, twin and profile run included. Must be 0. */
  unaccounted: number
  /** Means over the runs, as is the CPU time. */
  cores: CoreLoad[]
  userNsPerPacket: number
  systemNsPerPacket: number
  runs: RunResult[]
  /** With --profile: top kernel symbols of the whole machine, in a run of its own that no other figure contains. */
  profile?: ProfileRow[]
  /** With --reference: the C twin. */
  reference?: ReferenceResult
}

export interface ReferenceResult {
  /** ring.c -w 2 */
  name: string
  offered: number
  received: number
  dropped: number
  /** Median of received, ours / twin, over the pairs of runs, and its spread. */
  ratio: number
  ratioMin: number
  ratioMax: number
  cores: CoreLoad[]
  userNsPerPacket: number
  systemNsPerPacket: number
  runs: RunResult[]
}

/** One run of one program: the flood at full rate. Packets, not rates; the warm-up's are in `accounting` alone. */
export interface RunResult {
  /** Length of the flood. */
  seconds: number
  /** Frames that the generator made. */
  offered: number
  received: number
  dropped: number
  /** CPU time of the receiving process, all its threads. */
  userMs: number
  systemMs: number
  cores: CoreLoad[]
  /** One point an interval. Empty for the twins, which keep silent while they run. */
  timeline: TimelinePoint[]
  /** Warm-up and flood together, exact to the packet. */
  accounting: Accounting
}

export interface Accounting {
  offered: number
  received: number
  /** By where they were lost: `wire` (the receive queue was full), `interface` (before any socket saw them), `ring`, `socket` and the other names of `Drops`. No packet stands in two. */
  drops: Record<string, number>
  /** offered - received - sum of drops. Must be 0. */
  unaccounted: number
}

export interface TimelinePoint {
  /** Since the flood began. */
  seconds: number
  received: number
  dropped: number
}

/** Share of the flood's time, 0 to 1, from /proc/stat. */
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
