/** What a tuning plan is made of. Plain data: printed, compared with golden files, and carried out. */
import type { HostFacts, InterfaceFacts, UnreadFact } from '../facts.js'
import type { Setting } from './setting.js'

export const TUNING_GOALS = ['capture'] as const
export type TuningGoal = (typeof TUNING_GOALS)[number]

export interface TuningOptions {
  /** Default `capture`: as many packets as possible reach packet sockets or XDP, each as it was on the wire, spread evenly over cores. */
  goal?: TuningGoal | undefined
  /** CPUs that take the interrupts. Default: one a physical core of the interface's NUMA node. */
  cpus?: readonly number[] | undefined
  /** Of `cpus` that share a physical core take the first only. Without `cpus` that is so anyhow. Default false. */
  noSmt?: boolean | undefined
}

export interface TuningStep {
  /** Unique in a plan, and the same in every plan of the same interface: `channels`, `interrupt eth0-TxRx-3`. */
  id: string
  /** `eth0`, `IRQ 57 (eth0-TxRx-3)`, `CPU 2`. */
  subject: string
  /** `queues`, `affinity`. */
  what: string
  from: string
  to: string
  why: string
  /** What a person would type instead. */
  command: string
  change: Setting
  /** It concerns the whole machine, not the interface alone. */
  hostWide: boolean
  /** The driver may take the link down for a moment, up to seconds. */
  mayFlap: boolean
}

export interface TuningRemark {
  /**
   * `in-place`: nothing to do. `unsupported`: the driver or the machine has no such thing. `left`: it is better as it is. `by-hand`: a person
   * has to do it, ringtap does not.
   */
  status: 'in-place' | 'unsupported' | 'left' | 'by-hand'
  subject: string
  what: string
  why: string
  /** Of `by-hand`. */
  command?: string
}

export interface TuningPlan {
  goal: TuningGoal
  interface: string
  netns: string | undefined
  /** Those that take the packets off the interface, in the order of the queues. */
  cpus: number[]
  /** Why these. */
  cpusWhy: string
  /** In the order in which they are carried out. */
  steps: TuningStep[]
  remarks: TuningRemark[]
  /**
   * Set when the channels change first: interrupts get other numbers and the indirection table is the driver's own again. `apply` reads all
   * afresh then and plans again; the steps after the first are what can be foreseen.
   */
  afresh: string | undefined
  /** The host's default route, where the interface carries it: `apply` has to be allowed then. */
  defaultRoute: string | undefined
  /** What could not be read, and is therefore not planned for. */
  unread: UnreadFact[]
}

/** What the parts of a plan work on. */
export interface TuningContext {
  host: HostFacts
  /** As it will be once the channels have changed. */
  facts: InterfaceFacts
  /** CPUs that are to take the packets. */
  cpus: readonly number[]
  /** Why these. */
  cpusWhy: string
  /** Receive queues of `facts` that get frames. */
  queues: number
}

/** One concern's part of a plan. */
export interface TuningPart {
  steps: TuningStep[]
  remarks: TuningRemark[]
}

export function remark(status: TuningRemark['status'], subject: string, what: string, why: string): TuningRemark {
  return { status, subject, what, why }
}

export function part(...found: readonly (TuningStep | TuningRemark)[]): TuningPart {
  const steps = found.filter((it): it is TuningStep => 'change' in it)
  return { steps, remarks: found.filter((it): it is TuningRemark => !('change' in it)) }
}
