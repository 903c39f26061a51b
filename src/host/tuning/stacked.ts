/** What has its packets from other interfaces is tuned there. */
import { isStacked, lowerText, unknownLowerText } from '../stacked.js'
import { ringtapCommand } from './command.js'
import { part, remark, type TuningContext, type TuningPart, type TuningRemark } from './plan.js'

const WHAT = 'what comes before it'

export function planStacked({ facts }: TuningContext): TuningPart {
  const { name, lowers = [], netns } = facts
  if (!isStacked(facts)) return part()
  const below = lowers.map((lower): TuningRemark => {
    const why = `its packets come by ${lowerText(lower, netns)}: queues, interrupts, offloads, RPS and XPS there are what counts`
    return { ...remark('by-hand', name, WHAT, why), command: ringtapCommand('tune apply', lower) }
  })
  if (below.length === 0) return part(remark('left', name, WHAT, unknownLowerText(facts)))
  const idle = ['GRO', 'RPS', 'XPS'].map((what) => remark('left', name, what, 'without effect here: packets have been merged and spread before they come'))
  return part(...below, ...idle)
}
