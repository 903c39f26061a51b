/** What is found wrong, or right, with a host for capturing: plain data. */
import type { HostFacts, InterfaceFacts } from '../facts.js'
import type { SoftnetCpu } from '../softnet.js'
import type { ProbeResult } from './probes.js'
import type { ConfinementFacts } from './process-facts.js'

/** `fatal`: no capture at all. `limits`: none at line rate, or a wrong one. `note`: good to know. `ok`: looked at, and right. */
export const SEVERITIES = ['fatal', 'limits', 'note', 'ok'] as const
export type Severity = (typeof SEVERITIES)[number]

export interface Finding {
  /** Stable: `single-queue`, `gro`. */
  id: string
  severity: Severity
  /** Name of an interface; undefined for the host. */
  interface: string | undefined
  what: string
  /** What it costs a capture; undefined where nothing. */
  cost: string | undefined
  /** The command that mends it, or that shows more, as sh takes it; undefined where there is none. */
  remedy: string | undefined
  /** What else is to be known for that, or what a person has to do where no command does it. */
  note: string | undefined
}

/** What findings are made from. */
export interface Examined {
  host: HostFacts
  confinement: ConfinementFacts
  /** A reading before that of `confinement`, and how long before. */
  earlier: { softnet: readonly SoftnetCpu[]; agoMs: number }
  probes: readonly ProbeResult[]
  interfaces: readonly InterfaceFacts[]
  node: {
    /** process.versions.node. */
    version: string
    /** Built with V8 pointer compression, which takes no memory of others as a buffer. */
    pointerCompression: boolean
  }
}

/** A finding of one thing that is looked at; undefined where there is nothing to look at. */
export type Verdict = Omit<Finding, 'id' | 'interface'> | undefined

export function fine(what: string): Verdict {
  return { severity: 'ok', what, cost: undefined, remedy: undefined, note: undefined }
}

export function wrong(severity: Exclude<Severity, 'ok'>, what: string, cost: string | undefined, remedy?: string, note?: string): Verdict {
  return { severity, what, cost, remedy, note }
}
