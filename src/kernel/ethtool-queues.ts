/** Queues, rings and interrupt coalescing of a driver, read and changed: `ethtool -l/-L`, `-g/-G`, `-c/-C`. */
import { CaptureError } from '../errors.js'
import {
  ETHTOOL_CHANNELS,
  ETHTOOL_COALESCE,
  ETHTOOL_GCHANNELS,
  ETHTOOL_GCOALESCE,
  ETHTOOL_GRINGPARAM,
  ETHTOOL_RINGPARAM,
  ETHTOOL_SCHANNELS,
  ETHTOOL_SCOALESCE,
  ETHTOOL_SRINGPARAM,
} from './abi/ethtool.js'
import type { Descriptor } from './descriptor.js'
import { callFailed, EOPNOTSUPP } from './errno.js'
import { askEthtool, type EthtoolCommand, tellEthtool } from './ethtool.js'
import type { Kernel } from './system.js'

/** A number, and how far the driver lets it go; 0 where it cannot be set at all. */
export interface Limited {
  current: number
  maximum: number
}

export interface Channels {
  combined: Limited
  rx: Limited
  tx: Limited
  other: Limited
}

export interface Rings {
  rx: Limited
  tx: Limited
}

/** Fields of struct ethtool_coalesce but `cmd`. */
export type CoalescingField = Exclude<keyof typeof ETHTOOL_COALESCE, 'cmd' | 'sizeof'>
export type Coalescing = Record<CoalescingField, number>

const COALESCING_FIELDS = (Object.keys(ETHTOOL_COALESCE) as (keyof typeof ETHTOOL_COALESCE)[]).filter(
  (field): field is CoalescingField => field !== 'cmd' && field !== 'sizeof',
)

/** Undefined where the driver does not tell. @throws CaptureError NO_SUCH_INTERFACE */
export function readChannels(kernel: Kernel, control: Descriptor, name: string): Channels | undefined {
  const view = ask(kernel, control, name, [ETHTOOL_GCHANNELS, 'ETHTOOL_GCHANNELS'], ETHTOOL_CHANNELS.sizeof)
  if (view === undefined) return undefined
  const limited = (kind: 'combined' | 'rx' | 'tx' | 'other') => ({
    current: view.getUint32(ETHTOOL_CHANNELS[`${kind}_count`], true),
    maximum: view.getUint32(ETHTOOL_CHANNELS[`max_${kind}`], true),
  })
  return { combined: limited('combined'), rx: limited('rx'), tx: limited('tx'), other: limited('other') }
}

/** Queues in use; undefined where the driver does not tell. */
export function channelsOf(kernel: Kernel, control: Descriptor, name: string): { rx: number; tx: number } | undefined {
  let channels: Channels | undefined
  try {
    channels = readChannels(kernel, control, name)
  } catch (error) {
    if (!(error instanceof CaptureError)) throw error
  }
  if (channels === undefined) return undefined
  const rx = channels.combined.current + channels.rx.current
  const tx = channels.combined.current + channels.tx.current
  return rx === 0 || tx === 0 ? undefined : { rx, tx }
}

/**
 * Changes the numbers that are given, as `ethtool -L`. NB: most drivers take the link down for it, and some reset the indirection
 * table and the affinity of interrupts.
 * @throws CaptureError PERMISSION, NO_SUCH_INTERFACE; EOPNOTSUPP, EINVAL beyond the maximum, EBUSY as the driver answers.
 */
export function setChannels(kernel: Kernel, control: Descriptor, name: string, values: Readonly<Partial<Record<keyof Channels, number>>>): void {
  const fields = Object.entries(values).map(([kind, value]) => [`${kind as keyof Channels}_count`, value] as const)
  change(kernel, control, name, {
    get: [ETHTOOL_GCHANNELS, 'ETHTOOL_GCHANNELS'],
    set: [ETHTOOL_SCHANNELS, 'ETHTOOL_SCHANNELS'],
    layout: ETHTOOL_CHANNELS,
    values: Object.fromEntries(fields),
  })
}

/** Undefined where the driver does not tell. @throws CaptureError NO_SUCH_INTERFACE */
export function readRings(kernel: Kernel, control: Descriptor, name: string): Rings | undefined {
  const view = ask(kernel, control, name, [ETHTOOL_GRINGPARAM, 'ETHTOOL_GRINGPARAM'], ETHTOOL_RINGPARAM.sizeof)
  if (view === undefined) return undefined
  const limited = (kind: 'rx' | 'tx') => ({
    current: view.getUint32(ETHTOOL_RINGPARAM[`${kind}_pending`], true),
    maximum: view.getUint32(ETHTOOL_RINGPARAM[`${kind}_max_pending`], true),
  })
  return { rx: limited('rx'), tx: limited('tx') }
}

/**
 * Changes the descriptors of each ring that are given, as `ethtool -G`. NB: most drivers take the link down for it.
 * @throws CaptureError as `setChannels` does.
 */
export function setRings(kernel: Kernel, control: Descriptor, name: string, values: Readonly<Partial<Record<keyof Rings, number>>>): void {
  const fields = Object.entries(values).map(([kind, value]) => [`${kind as keyof Rings}_pending`, value] as const)
  change(kernel, control, name, {
    get: [ETHTOOL_GRINGPARAM, 'ETHTOOL_GRINGPARAM'],
    set: [ETHTOOL_SRINGPARAM, 'ETHTOOL_SRINGPARAM'],
    layout: ETHTOOL_RINGPARAM,
    values: Object.fromEntries(fields),
  })
}

/** All fields; those that the driver does not have are 0. Undefined where it has none. @throws CaptureError NO_SUCH_INTERFACE */
export function readCoalescing(kernel: Kernel, control: Descriptor, name: string): Coalescing | undefined {
  const view = ask(kernel, control, name, [ETHTOOL_GCOALESCE, 'ETHTOOL_GCOALESCE'], ETHTOOL_COALESCE.sizeof)
  if (view === undefined) return undefined
  return Object.fromEntries(COALESCING_FIELDS.map((field) => [field, view.getUint32(ETHTOOL_COALESCE[field], true)])) as Coalescing
}

/** Changes the fields that are given, as one `ethtool -C` or several (`coalescingCalls`). @throws CaptureError as `setChannels` does. */
export function setCoalescing(kernel: Kernel, control: Descriptor, name: string, values: Readonly<Partial<Coalescing>>): void {
  for (const call of coalescingCalls(readCoalescing(kernel, control, name) ?? {}, values)) {
    change(kernel, control, name, {
      get: [ETHTOOL_GCOALESCE, 'ETHTOOL_GCOALESCE'],
      set: [ETHTOOL_SCOALESCE, 'ETHTOOL_SCOALESCE'],
      layout: ETHTOOL_COALESCE,
      values: call,
    })
  }
}

type CoalescingValues = Readonly<Partial<Record<string, number>>>

const ADAPTIVE: readonly string[] = ['use_adaptive_rx_coalesce', 'use_adaptive_tx_coalesce'] satisfies CoalescingField[]

/**
 * The calls by which coalescing becomes as wanted: adaptive moderation goes off before anything else changes, and on after it. mlx5 throws the other
 * fields of a call away that turns it on or off (mlx5e_ethtool_set_coalesce), ice and iavf refuse them while it is on (ice_set_rc_coalesce).
 */
export function coalescingCalls(present: CoalescingValues, wanted: CoalescingValues): Record<string, number>[] {
  const fields = Object.entries(wanted).filter((entry): entry is [string, number] => entry[1] !== undefined)
  const isFlip = ([field, value]: [string, number]) => ADAPTIVE.includes(field) && present[field] !== undefined && present[field] !== value
  const calls = [fields.filter((it) => isFlip(it) && it[1] === 0), fields.filter((it) => !isFlip(it)), fields.filter((it) => isFlip(it) && it[1] !== 0)]
  return calls.filter((call) => call.length > 0).map((call) => Object.fromEntries(call))
}

function ask(kernel: Kernel, control: Descriptor, name: string, command: EthtoolCommand, sizeof: number): DataView | undefined {
  const answer = new ArrayBuffer(sizeof)
  return askEthtool(kernel, control, name, command, answer) ? new DataView(answer) : undefined
}

interface Change {
  get: EthtoolCommand
  set: EthtoolCommand
  layout: { readonly [field: string]: number; readonly sizeof: number }
  values: Readonly<Partial<Record<string, number>>>
}

/** The driver takes the whole struct: what is not given stays as it is read. */
function change(kernel: Kernel, control: Descriptor, name: string, { get, set, layout, values }: Change): void {
  const wanted = Object.entries(values).filter((entry): entry is [string, number] => entry[1] !== undefined)
  const text = wanted.map(([field, value]) => `${field}=${value}`).join(' ')
  const view = ask(kernel, control, name, get, layout.sizeof)
  if (view === undefined) throw callFailed({ subject: name, call: `ioctl(${set[1]}, ${text})`, errno: EOPNOTSUPP })
  for (const [field, value] of wanted) {
    const offset = layout[field]
    if (offset === undefined) throw new CaptureError('INVALID_OPTION', `${name}: ${set[1]} has no ${field}`)
    view.setUint32(offset, value, true)
  }
  tellEthtool(kernel, control, name, set, view.buffer as ArrayBuffer, text)
}
