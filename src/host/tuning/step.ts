/** A step from the setting it makes: where it stands now, and the command for it, follow. */
import type { HostFacts, InterfaceFacts } from '../facts.js'
import { commandFor } from './command.js'
import type { TuningStep } from './plan.js'
import { currentSetting, isHostWide, type Setting, settingKey, valueText } from './setting.js'

/** Those for which drivers commonly close and open the interface: new rings are allocated. */
const FLAPS: ReadonlySet<Setting['kind']> = new Set(['channels', 'rings'])
/** Features that take another ring layout or receive path, for which drivers reset the interface. */
const FLAPPING_FEATURES: ReadonlySet<string> = new Set(['rx-lro', 'rx-gro-hw', 'rx-vlan-hw-parse', 'rx-vlan-stag-hw-parse'])

export function step(change: Setting, what: string, why: string, host: HostFacts, facts: InterfaceFacts, subject = facts.name): TuningStep {
  const current = currentSetting(change, host, facts)
  return {
    id: settingKey(change),
    subject,
    what,
    from: fromText(current, facts),
    to: valueText(change),
    why,
    command: commandFor(change, facts),
    change,
    hostWide: isHostWide(change),
    mayFlap: mayFlap(change, facts),
  }
}

/** A feature that was asked for may not be in force. */
function fromText(current: Setting | undefined, { features }: InterfaceFacts): string {
  if (current === undefined) return 'unknown'
  const isWaiting = current.kind === 'feature' && current.value && features[current.name]?.on === false
  return isWaiting ? 'off (wanted on)' : valueText(current)
}

/** The driver may take the link down for it. */
export function mayFlap(change: Setting, facts: InterfaceFacts): boolean {
  return isHardware(facts) && (FLAPS.has(change.kind) || (change.kind === 'feature' && FLAPPING_FEATURES.has(change.name)))
}

/** What software makes has no link to lose. */
export function isHardware({ kind, bus }: InterfaceFacts): boolean {
  return kind === undefined && bus !== undefined
}

export function isVeth({ kind, driver }: InterfaceFacts): boolean {
  return kind === 'veth' || driver === 'veth'
}

/** Packets a second of minimum-size frames at line rate: 64 bytes, and 20 of preamble and gap between them. */
export function lineRatePackets(speedMbps: number): number {
  return (speedMbps * 1e6) / (84 * 8)
}
