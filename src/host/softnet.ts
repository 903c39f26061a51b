/**
 * /proc/net/softnet_stat: what each CPU's backlog took and lost. The file is one for the machine, whatever the network namespace.
 * The parser is pure; its columns are those of softnet_seq_show() (net/core/net-procfs.c) over the years.
 */
import { readFileSync } from 'node:fs'

/** Counters of one CPU since boot, 32 bits each: they wrap. */
export interface SoftnetCpu {
  cpu: number
  /** Packets that the CPU handed to the stack, from backlogs and by NAPI alike. */
  processed: number
  /** Packets that found its backlog full (`net.core.netdev_max_backlog`) or flow-limited. */
  dropped: number
  /** Times that net_rx_action() stopped with work left: `net.core.netdev_budget` or `netdev_budget_usecs` were used up. No packet is lost by it. */
  timeSqueeze: number
  /** Times that another CPU woke it for packets by RPS. Since Linux 2.6.35; 0 before. */
  receivedRps: number
  /** Of `dropped`, those of a flow that took too much of the backlog (`net.core.flow_limit_cpu_bitmap`). Since Linux 3.11; 0 before. */
  flowLimit: number
  /** Packets in the backlog now. Since Linux 5.10; undefined before. */
  backlogLength: number | undefined
}

const COLUMN = { processed: 0, dropped: 1, timeSqueeze: 2, receivedRps: 9, flowLimit: 10, backlogLength: 11, cpu: 12 } as const
const PATH = '/proc/net/softnet_stat'

/**
 * Reads the text of the file. Before Linux 5.10 a line does not say whose it is: then line i is that of the i-th of `onlineCpus`
 * (default: of CPU i). What is no line of hexadecimal numbers is passed over.
 */
export function parseSoftnet(text: string, onlineCpus?: readonly number[]): SoftnetCpu[] {
  const lines = text.split('\n').filter((line) => /^[0-9a-f]{8}( [0-9a-f]{8}){2,}\s*$/i.test(line))
  return lines.map((line, index) => {
    const words = line
      .trim()
      .split(' ')
      .map((word) => Number.parseInt(word, 16))
    return {
      cpu: words[COLUMN.cpu] ?? onlineCpus?.[index] ?? index,
      processed: words[COLUMN.processed] as number,
      dropped: words[COLUMN.dropped] as number,
      timeSqueeze: words[COLUMN.timeSqueeze] as number,
      receivedRps: words[COLUMN.receivedRps] ?? 0,
      flowLimit: words[COLUMN.flowLimit] ?? 0,
      backlogLength: words[COLUMN.backlogLength],
    }
  })
}

/** What was counted between two readings, by CPUs that are in both; `backlogLength` is that of the later one. */
export function softnetDifference(before: readonly SoftnetCpu[], after: readonly SoftnetCpu[]): SoftnetCpu[] {
  return after.flatMap((now) => {
    const then = before.find(({ cpu }) => cpu === now.cpu)
    if (then === undefined) return []
    // Unsigned subtraction of 32 bits: right across one wrap.
    const since = (name: 'processed' | 'dropped' | 'timeSqueeze' | 'receivedRps' | 'flowLimit') => (now[name] - then[name]) >>> 0
    return {
      cpu: now.cpu,
      processed: since('processed'),
      dropped: since('dropped'),
      timeSqueeze: since('timeSqueeze'),
      receivedRps: since('receivedRps'),
      flowLimit: since('flowLimit'),
      backlogLength: now.backlogLength,
    }
  })
}

/** Reads it now. @throws the error of `fs` where there is no /proc, or not this file in it. */
export function readSoftnet(): SoftnetCpu[] {
  return parseSoftnet(readFileSync(PATH, 'latin1'))
}
