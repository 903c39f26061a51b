/** From facts to the steps that make an interface fit for a capture. Pure: the same facts give the same plan, and nothing is changed. */
import { CaptureError } from '../errors.js'
import { cpuListText } from '../kernel/cpus.js'
import type { HostFacts, InterfaceFacts } from './facts.js'
import { isStacked } from './stacked.js'
import { afterChannels, filledQueues, planChannels, TABLE_ASIDE } from './tuning/channels.js'
import { planCoalescing } from './tuning/coalescing.js'
import { chooseCpus } from './tuning/cpus.js'
import { planFlowHash } from './tuning/flow-hash.js'
import { planInterrupts } from './tuning/interrupts.js'
import { planGovernors, planLimits } from './tuning/limits.js'
import { planOffloads } from './tuning/offloads.js'
import {
  part,
  TUNING_GOALS,
  type TuningContext,
  type TuningOptions,
  type TuningPart,
  type TuningPlan,
  type TuningRemark,
  type TuningStep,
} from './tuning/plan.js'
import { planRings } from './tuning/rings.js'
import { planRss } from './tuning/rss.js'
import { planStacked } from './tuning/stacked.js'
import { planReceiveSteering, planTransmitSteering } from './tuning/steering.js'

/** In the order in which the steps are carried out: what comes first disturbs what comes after it. */
const PARTS: readonly ((context: TuningContext) => TuningPart)[] = [
  planOffloads,
  planRings,
  planRss,
  planFlowHash,
  planCoalescing,
  planInterrupts,
  planReceiveSteering,
  planTransmitSteering,
  planLimits,
  planGovernors,
]

/** Of what has its packets from others. */
const PARTS_OF_STACKED: readonly ((context: TuningContext) => TuningPart)[] = [planStacked, planLimits, planGovernors]

/**
 * Plans.
 * @param refused settings, by the id of their step, that the driver has turned out not to support, and why.
 * @throws CaptureError INVALID_OPTION
 */
export function planTuning(host: HostFacts, facts: InterfaceFacts, options: TuningOptions = {}, refused: ReadonlyMap<string, string> = new Map()): TuningPlan {
  const goal = options.goal ?? 'capture'
  if (!TUNING_GOALS.includes(goal)) throw new CaptureError('INVALID_OPTION', `Expected goal to be one of ${TUNING_GOALS.join(', ')}, got ${goal}`)
  const { cpus, why } = chooseCpus(host, facts, options)
  const context: TuningContext = { host, facts, cpus, cpusWhy: why, queues: filledQueues(facts) }

  const isUpper = isStacked(facts)
  const channels = isUpper ? part() : withoutRefused(planChannels(context), withWhatIsForThem(refused))
  const change = channels.steps.map((it) => it.change).find((it) => it.kind === 'channels')
  const after = change === undefined ? facts : afterChannels(facts, change.value)
  const then = { ...context, facts: after, queues: filledQueues(after) }
  const parts = [channels, ...(isUpper ? PARTS_OF_STACKED : PARTS).map((plan) => withoutRefused(plan(then), refused))]

  const steps = parts.flatMap((it) => it.steps)
  const remarks = parts.flatMap((it) => it.remarks)
  const isGuest = facts.netns !== undefined
  return {
    goal,
    interface: facts.name,
    netns: facts.netns,
    cpus: [...cpus],
    cpusWhy: why,
    steps: isGuest ? steps.filter(({ hostWide }) => !hostWide) : steps,
    remarks: isGuest ? [...remarks, ...steps.filter(({ hostWide }) => hostWide).map(forTheHost)] : remarks,
    afresh: change === undefined ? undefined : afreshText(facts, after, cpus),
    defaultRoute: facts.defaultRoute,
    unread: [...host.unread, ...facts.unread],
  }
}

/** What one interface of one namespace is to be fit for must not decide for all others. */
function forTheHost({ subject, what, from, to, why, command }: TuningStep): TuningRemark {
  return { status: 'by-hand', subject, what, why: `${from} -> ${to} would be for the whole machine, not for this namespace alone: ${why}`, command }
}

/** A table is put aside for the channels alone. */
function withWhatIsForThem(refused: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  const why = refused.get('channels')
  return why === undefined ? refused : new Map([...refused, [TABLE_ASIDE, why]])
}

function withoutRefused(part: TuningPart, refused: ReadonlyMap<string, string>): TuningPart {
  const isRefused = ({ id }: TuningStep) => refused.has(id)
  const remarks = part.steps.filter(isRefused).map(({ id, subject, what }): TuningRemark => {
    return { status: 'unsupported', subject, what, why: refused.get(id) as string }
  })
  return { steps: part.steps.filter((it) => !isRefused(it)), remarks: [...part.remarks, ...remarks] }
}

function afreshText(before: InterfaceFacts, after: InterfaceFacts, cpus: readonly number[]): string {
  const known = new Set(before.interrupts.map(({ queue }) => queue))
  const coming = Array.from({ length: after.rxQueues }, (_, queue) => queue).filter((queue) => !known.has(queue))
  const interrupts =
    before.interrupts.length === 0 || coming.length === 0
      ? ''
      : `; interrupts of the queues ${cpuListText(coming)}, which are not there yet, go to the CPUs ${coming.map((queue) => cpus[queue % cpus.length]).join(', ')}`
  return `a change of queues gives interrupts other numbers and empties the indirection table: apply then reads all afresh and plans again, the steps after it are what can be foreseen${interrupts}`
}
