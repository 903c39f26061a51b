/**
 * What tuning may change, one setting at a time, as plain data: the same shape is what was before (the journal), what a step makes of it
 * (a plan) and what is written. Read from facts, so that nothing but facts ever says what is in force.
 */
import { cpuListText } from '../../kernel/cpus.js'
import type { ChannelFacts, FlowType, HostFacts, InterfaceFacts, InterruptFacts } from '../facts.js'

export interface ChannelCounts {
  combined: number
  rx: number
  tx: number
}

export type Setting =
  | { kind: 'sysctl'; name: string; value: string }
  | { kind: 'governor'; cpu: number; value: string }
  | { kind: 'channels'; value: ChannelCounts }
  | { kind: 'rings'; value: { rx: number; tx: number } }
  /** The receive queue of each slot; `default` is the driver's own table, which it then keeps up with the number of queues. */
  | { kind: 'rss-indirection'; value: number[] | 'default' }
  /** Lower-case hexadecimal without separators. */
  | { kind: 'rss-key'; value: string }
  /** The letters of `ethtool -N IFACE rx-flow-hash`: `sdfn`. */
  | { kind: 'flow-hash'; flow: TunedFlow; value: string }
  /** The kernel's name, as `ethtool -k` prints it where it has no alias of its own: `rx-gro`. */
  | { kind: 'feature'; name: string; value: boolean }
  /** Of struct ethtool_coalesce, those that are to be so. */
  | { kind: 'coalescing'; value: Record<string, number> }
  /** /sys/class/net/X/threaded: 0 is off. */
  | { kind: 'threaded'; value: number }
  /** By `interruptRole`: a driver numbers its interrupts anew when the channels change, and names them after the interface. */
  | { kind: 'interrupt'; name: string; value: number[] }
  | { kind: 'receive-queue-cpus'; queue: number; value: number[] }
  /** rps_flow_cnt; the kernel rounds up to a power of two. */
  | { kind: 'receive-queue-flows'; queue: number; value: number }
  | { kind: 'transmit-queue-cpus'; queue: number; value: number[] }
  /** xps_rxqs, which tuning never sets and which is lost with its queue. */
  | { kind: 'transmit-queue-receivers'; queue: number; value: number[] }

/** Kinds of flows whose hash fields tuning sets. */
export const TUNED_FLOWS = ['tcp4', 'udp4', 'tcp6', 'udp6'] as const satisfies readonly FlowType[]
export type TunedFlow = (typeof TUNED_FLOWS)[number]

export type SettingKind = Setting['kind']

/**
 * In the order in which they are written: what comes first disturbs what comes after it, never the other way round. How long a ring may be depends on
 * whether the NIC merges segments (bnxt_get_ringparam).
 */
export const SETTING_ORDER: readonly SettingKind[] = [
  'channels',
  'feature',
  'rings',
  'rss-indirection',
  'rss-key',
  'flow-hash',
  'coalescing',
  'threaded',
  'interrupt',
  'receive-queue-cpus',
  'receive-queue-flows',
  'transmit-queue-cpus',
  'transmit-queue-receivers',
  'sysctl',
  'governor',
]

/** Of the whole machine, which has only one of them. */
export function isHostWide({ kind }: Setting): boolean {
  return kind === 'sysctl' || kind === 'governor'
}

/** Of the whole machine whichever network namespace it is set from; of what is below /proc/sys/net some is each namespace's own. */
export function isOfEveryNamespace({ kind }: Setting): boolean {
  return kind === 'governor'
}

/** Names a setting: two of one key are the same thing with other values. */
export function settingKey(setting: Setting): string {
  switch (setting.kind) {
    case 'sysctl':
    case 'feature':
    case 'interrupt':
      return `${setting.kind} ${setting.name}`
    case 'flow-hash':
      return `${setting.kind} ${setting.flow}`
    case 'governor':
      return `${setting.kind} ${setting.cpu}`
    case 'receive-queue-cpus':
    case 'receive-queue-flows':
    case 'transmit-queue-cpus':
    case 'transmit-queue-receivers':
      return `${setting.kind} ${setting.queue}`
    default:
      return setting.kind
  }
}

/**
 * What an interrupt is for, whatever its number and name are: `of queue 3`, its name where that is all; of several the same also which. Undefined
 * without a name: an interrupt that the driver has not requested.
 */
export function interruptRole(interrupt: InterruptFacts, all: readonly InterruptFacts[]): string | undefined {
  const { queue, irq, name } = interrupt
  if (queue === undefined && name === '') return undefined
  const before = all.filter((it) => it.irq < irq && it.queue === queue && (queue !== undefined || it.name === name)).length
  return `${queue === undefined ? name : `of queue ${queue}`}${before === 0 ? '' : ` (${before + 1})`}`
}

export function isOfQueue({ name }: { name: string }): boolean {
  return name.startsWith('of queue ')
}

/** The value in words: `combined 8`, `0-3`, `on`. */
export function valueText(setting: Setting): string {
  switch (setting.kind) {
    case 'sysctl':
    case 'governor':
    case 'rss-key':
      return setting.value
    case 'flow-hash':
      return setting.value === '' ? 'none' : setting.value
    case 'channels':
      return channelText(setting.value)
    case 'rings':
      return `rx ${setting.value.rx} tx ${setting.value.tx}`
    case 'rss-indirection':
      return setting.value === 'default' ? 'default' : indirectionText(setting.value)
    case 'feature':
      return setting.value ? 'on' : 'off'
    case 'coalescing':
      return Object.entries(setting.value)
        .map(([name, value]) => `${name} ${value}`)
        .join(' ')
    case 'threaded':
      return setting.value === 0 ? 'off' : setting.value === 1 ? 'on' : `${setting.value}`
    case 'interrupt':
    case 'receive-queue-cpus':
    case 'transmit-queue-cpus':
      return setting.value.length === 0 ? 'none' : `CPU ${cpuListText(setting.value)}`
    case 'receive-queue-flows':
      return setting.value === 0 ? 'off' : `${setting.value} flows`
    case 'transmit-queue-receivers':
      return setting.value.length === 0 ? 'none' : `receive queue ${cpuListText(setting.value)}`
  }
}

function channelText(counts: ChannelCounts): string {
  const used = (['combined', 'rx', 'tx'] as const).filter((name) => counts[name] > 0)
  return used.length === 0 ? 'none' : used.map((name) => `${name} ${counts[name]}`).join(' ')
}

/** `queue 0: 64 slots, queue 1: 64 slots`; of many queues how many and how even. */
function indirectionText(table: readonly number[]): string {
  const slots = slotsByQueue(table)
  const counts = [...slots.values()]
  const [least, most] = [Math.min(...counts), Math.max(...counts)]
  const each = least === most ? `${most}` : `${least} to ${most}`
  return slots.size === 1 ? `all ${most} slots to queue ${table[0]}` : `${slots.size} queues, ${each} slots each`
}

export function slotsByQueue(table: readonly number[]): Map<number, number> {
  const slots = new Map<number, number>()
  for (const queue of table) slots.set(queue, (slots.get(queue) ?? 0) + 1)
  return slots
}

/** The same setting with the value that facts give it; undefined where they do not tell or there is no such thing. */
export function currentSetting(setting: Setting, host: HostFacts, facts: InterfaceFacts): Setting | undefined {
  const [found] = settingsOf(host, facts, (kind) => kind === setting.kind).filter((it) => settingKey(it) === settingKey(setting))
  if (found?.kind !== 'coalescing' || setting.kind !== 'coalescing') return found
  // Of a driver's many values those that the setting speaks of.
  const { value } = found
  return { kind: 'coalescing', value: Object.fromEntries(Object.keys(setting.value).flatMap((name) => (name in value ? [[name, value[name] as number]] : []))) }
}

/** Whether what is in force is what the setting says. */
export function isInForce(setting: Setting, host: HostFacts, facts: InterfaceFacts): boolean {
  // What a driver's default is, only the driver knows.
  if (setting.kind === 'rss-indirection' && setting.value === 'default') return true
  if (setting.kind === 'feature' && facts.features[setting.name]?.on !== setting.value) return false
  const current = currentSetting(setting, host, facts)
  if (current?.kind === 'coalescing' && setting.kind === 'coalescing') {
    return Object.entries(setting.value).every(([name, wanted]) => isAboutWanted(name, current.value[name], wanted))
  }
  if (current?.kind === 'receive-queue-cpus' && setting.kind === 'receive-queue-cpus') return isNarrowed(current.value, setting.value)
  return current !== undefined && sameValue(current, setting)
}

/** The kernel leaves isolated CPUs out of an RPS mask (rps_cpumask_housekeeping); which they are it does not always tell. */
function isNarrowed(cpus: readonly number[], wanted: readonly number[]): boolean {
  return wanted.length === 0 ? cpus.length === 0 : cpus.length > 0 && cpus.every((cpu) => wanted.includes(cpu))
}

function isAboutWanted(name: string, value: number | undefined, wanted: number): boolean {
  if (value === undefined) return false
  return name.endsWith('_usecs') ? isAboutUsecs(value, wanted) : value === wanted
}

/** NICs count time in steps of their own (i40e 2 µs, ena as the device says), and round what they are given. */
export function isAboutUsecs(value: number, wanted: number): boolean {
  return Math.abs(value - wanted) <= Math.max(2, wanted / 4)
}

export function sameValue(a: Setting, b: Setting): boolean {
  return canonical(a.value) === canonical(b.value)
}

function canonical(value: Setting['value']): string {
  if (typeof value !== 'object' || Array.isArray(value)) return JSON.stringify(value)
  return JSON.stringify(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
}

/** Everything that could be read and can be written, in the order of SETTING_ORDER. */
export function settingsOf(host: HostFacts, facts: InterfaceFacts, wanted: (kind: SettingKind) => boolean = () => true): Setting[] {
  return SETTING_ORDER.filter(wanted).flatMap((kind) => READERS[kind](host, facts))
}

const READERS: Readonly<Record<SettingKind, (host: HostFacts, facts: InterfaceFacts) => Setting[]>> = {
  channels: (_, { channels }) => (channels === undefined ? [] : [{ kind: 'channels', value: channelCounts(channels) }]),
  rings: (_, { rings }) => (rings === undefined ? [] : [{ kind: 'rings', value: { rx: rings.rx.current, tx: rings.tx.current } }]),
  'rss-indirection': (_, { rss }) => (rss === undefined || rss.indirection.length === 0 ? [] : [{ kind: 'rss-indirection', value: [...rss.indirection] }]),
  'rss-key': (_, { rss }) => (rss?.key === undefined ? [] : [{ kind: 'rss-key', value: rss.key }]),
  'flow-hash': (_, { flowHash }) =>
    TUNED_FLOWS.flatMap((flow) => {
      const value = flowHash?.[flow]
      return value === undefined ? [] : [{ kind: 'flow-hash', flow, value }]
    }),
  // What was asked for, which is what a write sets: the kernel takes it back where it must not be.
  feature: (_, { features }) =>
    Object.entries(features)
      .filter(([, { fixed }]) => !fixed)
      .map(([name, { requested }]) => ({ kind: 'feature', name, value: requested })),
  coalescing: (_, { coalescing }) => (coalescing === undefined ? [] : [{ kind: 'coalescing', value: { ...coalescing } }]),
  threaded: (_, { threaded }) => (threaded === undefined ? [] : [{ kind: 'threaded', value: threaded }]),
  interrupt: (_, { interrupts }) =>
    interrupts.flatMap((it) => {
      const name = interruptRole(it, interrupts)
      return it.affinity === undefined || name === undefined ? [] : [{ kind: 'interrupt', name, value: [...it.affinity] }]
    }),
  'receive-queue-cpus': (_, { receiveQueues }) => receiveQueues.map(({ queue, rpsCpus }) => ({ kind: 'receive-queue-cpus', queue, value: [...rpsCpus] })),
  'receive-queue-flows': (_, { receiveQueues }) =>
    receiveQueues.map(({ queue, rpsFlowCount }) => ({ kind: 'receive-queue-flows', queue, value: rpsFlowCount })),
  'transmit-queue-cpus': (_, { transmitQueues }) =>
    transmitQueues.flatMap(({ queue, xpsCpus }) => (xpsCpus === undefined ? [] : [{ kind: 'transmit-queue-cpus', queue, value: [...xpsCpus] }])),
  'transmit-queue-receivers': (_, { transmitQueues }) =>
    transmitQueues.flatMap(({ queue, xpsReceivers: value }) => (value === undefined ? [] : [{ kind: 'transmit-queue-receivers', queue, value: [...value] }])),
  sysctl: ({ sysctls }) => Object.entries(sysctls).flatMap(([name, value]) => (value === undefined ? [] : [{ kind: 'sysctl', name, value }])),
  governor: ({ cpus }) => cpus.flatMap(({ cpu, governor }) => (governor === undefined ? [] : [{ kind: 'governor', cpu, value: governor }])),
}

function channelCounts({ combined, rx, tx }: ChannelFacts): ChannelCounts {
  return { combined: combined.current, rx: rx.current, tx: tx.current }
}
