/** All findings about what was examined, and what they come to. Pure. */
import type { UnreadFact } from '../facts.js'
import { type Examined, type Finding, SEVERITIES } from './finding.js'
import { HOST_FINDINGS, untriedProbes } from './host-findings.js'
import { INTERFACE_FINDINGS } from './interface-findings.js'

export interface Diagnosis {
  /** `line-rate`: nothing that was looked at is in the way. `limited`: something is. `impossible`: there is no capture at all. */
  verdict: 'line-rate' | 'limited' | 'impossible'
  /** Names of the interfaces that were looked at. */
  interfaces: string[]
  /** Gravest first; those of the host before those of interfaces. */
  findings: Finding[]
  /** What could not be read, so that nothing was found about it. */
  unread: UnreadFact[]
}

export function diagnose(examined: Examined): Diagnosis {
  const { host, confinement, interfaces } = examined
  const ofHost = Object.entries(HOST_FINDINGS).flatMap(([id, find]) => named(id, undefined, find(examined)))
  const ofInterfaces = interfaces.flatMap((nic) => Object.entries(INTERFACE_FINDINGS).flatMap(([id, find]) => named(id, nic.name, find(nic, host))))
  // Stable: within a severity they stay in the order of the tables.
  const findings = [...ofHost, ...ofInterfaces].sort((a, b) => SEVERITIES.indexOf(a.severity) - SEVERITIES.indexOf(b.severity))
  const worst = findings[0]?.severity
  return {
    verdict: worst === 'fatal' ? 'impossible' : worst === 'limits' ? 'limited' : 'line-rate',
    interfaces: interfaces.map((nic) => nic.name),
    findings,
    unread: [
      ...untriedProbes(examined),
      ...confinement.unread,
      ...host.unread,
      ...interfaces.flatMap((nic) => nic.unread.map((fact) => ({ ...fact, what: `${nic.name}: ${fact.what}` }))),
    ],
  }
}

function named(id: string, interfaceName: string | undefined, verdict: Omit<Finding, 'id' | 'interface'> | undefined): Finding[] {
  if (verdict === undefined) return []
  return [{ id, interface: interfaceName, ...verdict }]
}
