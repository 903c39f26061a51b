/** Receive-side scaling: both directions of a flow to one queue, and as much to each queue as to any other. */
import type { RssFacts } from '../facts.js'
import { part, remark, type TuningContext, type TuningPart, type TuningRemark, type TuningStep } from './plan.js'
import { slotsByQueue } from './setting.js'
import { step } from './step.js'

/** Repeated every two bytes a Toeplitz key gives a-to-b and b-to-a one hash (Woo and Park, 2012); of such keys this one spreads best. */
const SYMMETRIC_PAIR = '6d5a'

export function planRss(context: TuningContext): TuningPart {
  const { facts } = context
  if (facts.rss === undefined) return part(remark('unsupported', facts.name, 'RSS', 'the driver has no hash key and no indirection table'))
  return part(planIndirection(context, facts.rss), planKey(context, facts.rss))
}

function planIndirection({ host, facts, queues }: TuningContext, { indirection }: RssFacts): TuningStep | TuningRemark {
  const what = 'RSS indirection'
  if (indirection.length === 0) return remark('unsupported', facts.name, what, 'the driver has no table')
  const counts = [...slotsByQueue(indirection).values()]
  const isEven = counts.length === Math.min(queues, indirection.length) && Math.max(...counts) - Math.min(...counts) <= 1
  if (isEven && indirection.every((queue) => queue < queues)) return remark('in-place', facts.name, what, `equal over ${queues} queues`)
  const table = indirection.map((_, slot) => slot % queues)
  return step({ kind: 'rss-indirection', value: table }, what, 'each queue gets as many flows as any other', host, facts)
}

function planKey({ host, facts }: TuningContext, { key, symmetric, hashFunction }: RssFacts): TuningStep | TuningRemark {
  const what = 'RSS key'
  if (symmetric) return remark('in-place', facts.name, what, 'both directions of a flow reach one queue')
  if (key === undefined) return remark('unsupported', facts.name, what, 'the driver does not tell its key, so it could not be put back')
  if (hashFunction !== undefined && hashFunction !== 'toeplitz') {
    return remark('unsupported', facts.name, what, `the hash is ${hashFunction}, and only of Toeplitz it is known which keys are symmetric`)
  }
  const value = SYMMETRIC_PAIR.repeat(Math.ceil(key.length / SYMMETRIC_PAIR.length)).slice(0, key.length)
  return step({ kind: 'rss-key', value }, what, 'both directions of a flow reach one queue, and so one worker', host, facts)
}
