/** What a doctor would see: recorded machines, in a process that lacks nothing, unless a test says otherwise. */
import { diagnose } from '#src/host/doctor/diagnose.js'
import type { Examined, Finding } from '#src/host/doctor/finding.js'
import { PROBES } from '#src/host/doctor/probes.js'
import { CAPABILITIES, type CapabilityName, type ConfinementFacts } from '#src/host/doctor/process-facts.js'
import { type RecordedHostName, recordedHost } from './recorded-host.js'

export const UNCONFINED: ConfinementFacts = {
  effective: Object.keys(CAPABILITIES) as CapabilityName[],
  permitted: Object.keys(CAPABILITIES) as CapabilityName[],
  memlockBytes: 8 * 2 ** 20,
  memlockMaximumBytes: 8 * 2 ** 20,
  seccomp: 0,
  initialUserNamespace: true,
  hostNetwork: true,
  readOnly: [],
  cgroup: { memoryBytes: undefined, cpus: undefined, cpuPeriodMs: undefined, unseen: [] },
  softnet: [{ cpu: 0, processed: 1000, dropped: 0, timeSqueeze: 0, receivedRps: 0, flowLimit: 0, backlogLength: 0 }],
  unread: [],
}

export function examinedHost(name: RecordedHostName): Examined {
  const recorded = recordedHost(name)
  return {
    host: recorded.hostFacts(),
    confinement: structuredClone(UNCONFINED),
    earlier: structuredClone({ softnet: UNCONFINED.softnet, agoMs: 203.7 }),
    probes: PROBES.map((probe) => ({ probe, works: true, refused: undefined })),
    interfaces: Object.keys(recorded.devices).map((interfaceName) => recorded.interfaceFacts(interfaceName)),
    node: { version: '22.1.0', pointerCompression: false },
  }
}

/** The finding of that name; undefined where nothing was to be found. */
export function findingOf(examined: Examined, id: string): Finding | undefined {
  return diagnose(examined).findings.find((it) => it.id === id)
}
