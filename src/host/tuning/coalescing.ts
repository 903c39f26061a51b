/** How long the NIC waits with an interrupt. */
import type { CoalescingFacts, InterfaceFacts } from '../facts.js'
import { part, remark, type TuningContext, type TuningPart } from './plan.js'
import { isAboutUsecs } from './setting.js'
import { lineRatePackets, step } from './step.js'

/** At most 20,000 interrupts a second and queue, and a delay that no capture notices. */
const LONGEST_USECS = 50

/** Without it virtio_net tells of a wait and refuses any (virtnet_coal_params_supported). */
const VIRTIO_NET_F_NOTF_COAL = 53

export function planCoalescing({ host, facts }: TuningContext): TuningPart {
  const { name, coalescing } = facts
  const what = 'interrupt coalescing'
  if (coalescing === undefined || !('rx_coalesce_usecs' in coalescing)) {
    return part(remark('unsupported', name, what, 'the driver has no time to set'))
  }
  if (facts.virtioFeatures?.includes(VIRTIO_NET_F_NOTF_COAL) === false) {
    return part(remark('unsupported', name, what, 'its host does not offer it (VIRTIO_NET_F_NOTF_COAL)'))
  }
  const usecs = waitUsecs(facts)
  const value: CoalescingFacts = { ...('use_adaptive_rx_coalesce' in coalescing ? { use_adaptive_rx_coalesce: 0 } : {}), rx_coalesce_usecs: usecs }
  if (isFixed(coalescing, usecs)) {
    return part(remark('in-place', name, what, `fixed, ${coalescing.rx_coalesce_usecs} µs`))
  }
  const { rx_max_coalesced_frames: frames = 0 } = coalescing
  const sooner = frames > 1 ? `, or sooner for ${frames} packets (rx_max_coalesced_frames)` : ''
  const wait = `one interrupt for all that arrives in ${usecs} µs${sooner}, and never more than half a receive ring of it`
  const adaptive = 'adaptive moderation shortens the wait in a lull, and so has the shortest when a burst begins'
  const why = coalescing.use_adaptive_rx_coalesce === 1 ? `${wait}; ${adaptive}` : wait
  return part(step({ kind: 'coalescing', value: { ...value } }, what, why, host, facts))
}

/** A wait that somebody chose, neither none nor too long, is as good. */
function isFixed(coalescing: CoalescingFacts, longest: number): boolean {
  const { use_adaptive_rx_coalesce: adaptive = 0, rx_coalesce_usecs: usecs = 0 } = coalescing
  return adaptive === 0 && (isAboutUsecs(usecs, longest) || (usecs < longest && usecs >= LONGEST_USECS / 5))
}

/** Half a ring at line rate, all on one queue: the other half is for the time until the CPU comes. Even, for some NICs count in 2 µs. */
function waitUsecs({ rings, speedMbps }: InterfaceFacts): number {
  const length = rings?.rx.maximum ?? rings?.rx.current ?? 0
  if (length === 0 || speedMbps === undefined) return LONGEST_USECS
  const usecs = Math.floor((length / 2 / lineRatePackets(speedMbps)) * 1e6)
  return Math.max(2, Math.min(LONGEST_USECS, usecs - (usecs % 2)))
}
