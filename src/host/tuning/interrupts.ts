/** One interrupt a core, and nobody who moves them again: the first step of the article. */
import type { InterruptFacts } from '../facts.js'
import { inNamespace, quoted } from './command.js'
import { part, remark, type TuningContext, type TuningPart, type TuningRemark, type TuningStep } from './plan.js'
import { interruptRole } from './setting.js'
import { isHardware, step } from './step.js'

export function planInterrupts(context: TuningContext): TuningPart {
  const { facts } = context
  // NB: mlx5 has vectors for all CPUs, those of queues that are not in use among them.
  const ofQueues = facts.interrupts.filter((it): it is InterruptFacts & { queue: number } => it.queue !== undefined && it.queue < facts.rxQueues)
  if (ofQueues.length === 0) return part(...planThreads(context), remark('unsupported', facts.name, 'interrupts', whyNone(context)))
  const threads = planThreads(context)
  const pinned = ofQueues.toSorted((a, b) => a.queue - b.queue).map((interrupt) => planInterrupt(context, interrupt))
  return part(...threads, ...pinned, ...irqbalance(context))
}

/** Off, as drivers have it but for a few. */
function planThreads({ host, facts }: TuningContext): (TuningStep | TuningRemark)[] {
  if (facts.threaded === undefined) return []
  if (facts.threaded === 0) return [remark('in-place', facts.name, 'threaded NAPI', 'off')]
  const why = 'kernel threads take the packets off the queues, on whatever CPU the scheduler has for them: where interrupts are pinned decides nothing then'
  return [step({ kind: 'threaded', value: 0 }, 'threaded NAPI', why, host, facts)]
}

function whyNone({ facts }: TuningContext): string {
  const unread = facts.unread.find(({ what }) => what.includes('interrupt'))
  if (unread !== undefined) return `not readable: ${unread.source}: ${unread.reason}`
  if (isHardware(facts) && !facts.up)
    return `the interface is down, and a driver has them only while it is up: ${inNamespace(facts, `ip link set dev ${quoted(facts.name)} up`)} first`
  return isHardware(facts) ? 'none of them names a receive queue' : 'it has none: the CPU that sends into it receives for it'
}

function planInterrupt({ host, facts, cpus }: TuningContext, interrupt: InterruptFacts & { queue: number }): TuningStep | TuningRemark {
  const { irq, name, queue, affinity } = interrupt
  const subject = `IRQ ${irq} (${name})`
  const cpu = cpus[queue % cpus.length] as number
  if (affinity === undefined) return remark('unsupported', subject, 'affinity', `/proc/irq/${irq}/smp_affinity_list is not to be read`)
  if (affinity.length === 1 && affinity[0] === cpu) return remark('in-place', subject, 'affinity', `CPU ${cpu}`)
  const shared = facts.rxQueues > cpus.length ? '; there are more queues than CPUs for them' : ''
  const why = `queue ${queue} always to the same core: its caches stay warm, and no core gets two queues while another has none${shared}`
  return step({ kind: 'interrupt', name: interruptRole(interrupt, facts.interrupts) as string, value: [cpu] }, 'affinity', why, host, facts, subject)
}

function irqbalance({ host }: TuningContext): TuningRemark[] {
  if (host.irqbalance === undefined) {
    return [remark('unsupported', 'irqbalance', 'daemon', 'whether it runs is not to be seen: /proc does not show other processes')]
  }
  if (!host.irqbalance.running) return [remark('in-place', 'irqbalance', 'daemon', 'does not run')]
  // NB: IRQBALANCE_BANNED_CPULIST is not the way: it keeps irqbalance from those CPUs, and the interrupts pinned there with it.
  const why = `irqbalance (pid ${host.irqbalance.pid ?? '?'}) moves interrupts every ten seconds, those pinned here too; started with --banirq=N for each of them it lets them be`
  return [{ ...remark('by-hand', 'irqbalance', 'daemon', why), command: 'systemctl stop irqbalance' }]
}
