/** The receive ring: as long as the driver has it. */
import { part, remark, type TuningContext, type TuningPart } from './plan.js'
import { lineRatePackets, step } from './step.js'

export function planRings({ host, facts }: TuningContext): TuningPart {
  const { name, rings, speedMbps } = facts
  if (rings === undefined || (rings.rx.maximum ?? 0) === 0) return part(remark('unsupported', name, 'receive ring', 'the driver has no ring size to set'))
  const { current, maximum = 0 } = rings.rx
  if (current >= maximum) return part(remark('in-place', name, 'receive ring', `${current}, the largest that the driver has`))
  const us = speedMbps === undefined ? undefined : (maximum / lineRatePackets(speedMbps)) * 1e6
  const holds = us === undefined ? '' : `: ${Math.round(us)} µs of minimum-size frames at ${speedMbps} Mbit/s, if all come to one queue`
  const why = `what arrives while a CPU is held up elsewhere waits here and nowhere else; full, it shows as rx_missed${holds}`
  return part(step({ kind: 'rings', value: { rx: maximum, tx: rings.tx.current } }, 'receive ring', why, host, facts))
}
