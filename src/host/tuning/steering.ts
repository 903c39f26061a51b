/** RPS and XPS: what the kernel steers by itself, where the NIC does not or after it has. */
import type { QueueFacts, TransmitQueueFacts } from '../facts.js'
import { isStacked } from '../stacked.js'
import { otherEndText } from './channels.js'
import { part, remark, type TuningContext, type TuningPart, type TuningRemark, type TuningStep } from './plan.js'
import { step } from './step.js'

/** With so many CPUs the one that takes the interrupts has enough to do with the driver; with fewer it is too great a part of all. */
const ENOUGH_WITHOUT_FIRST = 3

/** Whether packets of one queue are to be spread in software. */
export function wantsRps({ queues, cpus, facts }: TuningContext): boolean {
  return queues === 1 && cpus.length > 1 && !isStacked(facts)
}

export function planReceiveSteering(context: TuningContext): TuningPart {
  const { receiveQueues } = context.facts
  return part(...receiveQueues.map((queue) => planRps(context, queue)), ...receiveQueues.flatMap((queue) => planFlows(context, queue) ?? []))
}

/** A table of flows steers without any CPU in the mask, too (get_rps_cpu). */
function planFlows(context: TuningContext, { queue, rpsFlowCount }: QueueFacts): TuningStep | undefined {
  const { host, facts } = context
  if (rpsFlowCount === 0 || wantsRps(context) || facts.rss === undefined) return undefined
  const subject = `${facts.name} queue ${queue}`
  const why = 'the NIC spreads already: RFS would send the packets of each flow on to the core whose program last read it'
  return step({ kind: 'receive-queue-flows', queue, value: 0 }, 'RFS', why, host, facts, subject)
}

function planRps(context: TuningContext, { queue, rpsCpus }: QueueFacts): TuningStep | TuningRemark {
  const { host, facts, cpus } = context
  const subject = `${facts.name} queue ${queue}`
  const isEmpty = facts.peerTxQueues !== undefined && queue >= context.queues
  if (isEmpty && rpsCpus.length > 0) return remark('left', subject, 'RPS', `nothing comes to it: ${otherEndText(facts)}`)
  if (isEmpty || !wantsRps(context)) {
    if (rpsCpus.length === 0) return remark('in-place', subject, 'RPS', 'off')
    if (facts.rss === undefined && context.queues > 1) return remark('left', subject, 'RPS', 'without RSS nothing else spreads what comes to one queue')
    if (context.queues === 1 && facts.rss === undefined)
      return remark('left', subject, 'RPS', 'on, beside one CPU that is to take packets: nothing else spreads them')
    if (context.queues === 1) {
      const alone = 'one CPU is to take the packets, and RPS would hand them on to others'
      return step({ kind: 'receive-queue-cpus', queue, value: [] }, 'RPS', alone, host, facts, subject)
    }
    const why = 'the NIC spreads already: RPS would send each packet on to another core, an interrupt between processors and cold caches'
    return step({ kind: 'receive-queue-cpus', queue, value: [] }, 'RPS', why, host, facts, subject)
  }
  const value = rpsTargets(context)
  if (value.length === 0)
    return remark('unsupported', subject, 'RPS', 'the CPUs that take packets are isolated (isolcpus, nohz_full), and RPS does not reach those')
  if (sameCpus(rpsCpus, value)) return remark('in-place', subject, 'RPS', 'on, over the CPUs that take packets')
  const only = facts.rxQueues > 1 ? `the only receive queue that gets frames (the other end has one transmit queue)` : 'the only receive queue'
  const why = `${only}: one core takes all packets off the NIC, and hands them by flow to ${value.length} for all that comes after`
  const isOut = !value.includes(cpus[0] as number)
  return step({ kind: 'receive-queue-cpus', queue, value }, 'RPS', `${why}${isOut ? ', itself left out' : ''}`, host, facts, subject)
}

function rpsTargets({ host, facts, cpus }: TuningContext): number[] {
  const first = facts.interrupts.find(({ queue }) => queue === 0) === undefined ? undefined : cpus[0]
  // The kernel takes the others out of what is written (rps_cpumask_housekeeping).
  const reached = cpus.filter((cpu) => host.isolatedCpus?.includes(cpu) !== true)
  const others = reached.filter((cpu) => cpu !== first)
  return (others.length >= ENOUGH_WITHOUT_FIRST ? others : reached).toSorted((a, b) => a - b)
}

/** A capture sends nothing; a replay or a reply that leaves by the queue of its own core meets no lock of another's. */
export function planTransmitSteering(context: TuningContext): TuningPart {
  const { facts } = context
  const queues = facts.transmitQueues.filter((it): it is TransmitQueueFacts & { xpsCpus: number[] } => it.xpsCpus !== undefined)
  if (facts.kind === 'tun') return part(remark('unsupported', facts.name, 'XPS', 'the driver chooses the queue itself (tun_select_queue)'))
  if (queues.length < 2) return part(remark('unsupported', facts.name, 'XPS', 'one transmit queue, or a driver without'))
  return part(...queues.map((queue) => planXps(context, queue)))
}

function planXps({ host, facts, cpus }: TuningContext, { queue, xpsCpus }: TransmitQueueFacts & { xpsCpus: number[] }): TuningStep | TuningRemark {
  const subject = `${facts.name} transmit queue ${queue}`
  const cpu = cpus[queue]
  // More queues than CPUs: the rest stay for CPUs that take no packets.
  if (cpu === undefined) return remark('left', subject, 'XPS', 'more transmit queues than CPUs that take packets')
  if (sameCpus(xpsCpus, [cpu])) return remark('in-place', subject, 'XPS', `CPU ${cpu}`)
  const completions = facts.interrupts.length > 0 ? ', whose completions its own interrupt brings' : ''
  const why = `what CPU ${cpu} sends leaves by its own queue${completions}: no lock is shared`
  return step({ kind: 'transmit-queue-cpus', queue, value: [cpu] }, 'XPS', why, host, facts, subject)
}

function sameCpus(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((cpu) => b.includes(cpu))
}
