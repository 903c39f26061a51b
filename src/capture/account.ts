/** How a worker's account is settled in the end: packets + drops = what the kernel offered to its socket. */
import { encodeProgram, REJECT_ALL } from '../bpf/classic.js'
import { MEMBARRIER_CMD_GLOBAL } from '../kernel/abi/process.js'
import { attachFilter } from '../kernel/options.js'
import type { Kernel } from '../kernel/system.js'
import type { Source, SourceStatistics } from '../source/source.js'
import { StatisticsReader } from '../source/statistics.js'
import { COUNTER, CounterWriter } from './counters.js'

/** The drop counter of a source that had no room. */
export const FULL_COUNTER = { ring: COUNTER.dropRing, socket: COUNTER.dropSocket } as const

/** From here on the socket takes nothing, and what it took before is in its ring or buffer. */
export function closeGate(kernel: Kernel, fd: number): void {
  attachFilter(kernel, fd, encodeProgram(REJECT_ALL))
  // A softirq that had passed the filter before may still be writing: one RCU grace period, and none is. Without membarrier(2)
  // (before 4.3, or under seccomp) the account may miss packets of the last microseconds, which came after the stop.
  kernel.membarrier(MEMBARRIER_CMD_GLOBAL)
}

/** What a worker has read from PACKET_STATISTICS according to its counters. */
export function statisticsOf(values: Float64Array, full: Source['full']): SourceStatistics {
  return {
    offered: values[COUNTER.offered] as number,
    drops: values[FULL_COUNTER[full]] as number,
    freezes: values[COUNTER.freezes] as number,
  }
}

export function storeStatistics(values: Float64Array, full: Source['full'], statistics: SourceStatistics): void {
  values[COUNTER.offered] = statistics.offered
  values[FULL_COUNTER[full]] = statistics.drops
  values[COUNTER.freezes] = statistics.freezes
}

/** Packets that the worker has taken from its source, whatever became of them. */
export function consumedOf(values: Float64Array): number {
  return (values[COUNTER.packets] as number) + (values[COUNTER.dropHandler] as number) + (values[COUNTER.dropConsumer] as number)
}

/** Settles for a worker that died before it could: all that it had not counted as taken is `unread`. */
export function settleForDead(kernel: Kernel, fd: number, counters: SharedArrayBuffer, worker: number, full: Source['full']): void {
  const writer = new CounterWriter(counters, worker)
  const { values } = writer
  closeGate(kernel, fd)
  const statistics = new StatisticsReader(kernel, fd, statisticsOf(values, full)).read()
  storeStatistics(values, full, statistics)
  values[COUNTER.dropUnread] = Math.max(0, statistics.offered - statistics.drops - consumedOf(values))
  values[COUNTER.handlerSinceMs] = 0
  writer.publish()
}
