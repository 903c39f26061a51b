/** What `ringtap tune` prints. Pure. */
import {
  type AppliedTuning,
  type InterfaceFacts,
  type RevertedTuning,
  ringtapCommand,
  type Setting,
  settingsOf,
  type TuningPlan,
  type TuningRemark,
  type TuningState,
  type TuningStep,
  type UnreadFact,
  valueText,
} from '../host/index.js'
import { alignColumns, plural } from './human.js'

export function planLines(plan: TuningPlan): string[] {
  const { steps, cpus, cpusWhy, interface: name, goal, afresh, defaultRoute } = plan
  const head = `${name} for ${goal}: ${plural(steps.length, 'step')}, packets on ${cpus.length === 1 ? 'CPU' : 'CPUs'} ${cpus.join(',')} (${cpusWhy})`
  const notes = [
    ...(defaultRoute === undefined ? [] : [`  it carries this host's ${defaultRoute.replace(/^route /, '')}: apply needs --yes-i-may-lose-this-link`]),
    ...(afresh === undefined ? [] : [`  ${afresh}`]),
  ]
  return [head, ...notes, ...steps.flatMap(stepLines), ...remarkLines(plan.remarks), ...unreadLines(plan.unread)]
}

/** Number, what, old and new; why; and the command. */
function stepLines(step: TuningStep, index: number): string[] {
  const note = [step.mayFlap ? 'the link may go down for a moment' : '', step.hostWide ? 'for the whole machine' : ''].filter((it) => it !== '')
  return [
    '',
    `${String(index + 1).padStart(3)}. ${step.subject}: ${step.what}: ${step.from} -> ${step.to}${note.length === 0 ? '' : ` (${note.join('; ')})`}`,
    `     ${step.why}`,
    `     ${step.command}`,
  ]
}

const HEADINGS: readonly (readonly [TuningRemark['status'], string])[] = [
  ['by-hand', 'To be done by hand:'],
  ['left', 'Left as it is:'],
  ['unsupported', 'Not supported here:'],
  ['in-place', 'In place already:'],
]

function remarkLines(remarks: readonly TuningRemark[]): string[] {
  return HEADINGS.flatMap(([status, heading]) => {
    const found = remarks.filter((it) => it.status === status)
    if (found.length === 0) return []
    // An interface has as many interrupts and queues as the machine has cores.
    const texts = new Map<string, TuningRemark[]>()
    for (const it of found) {
      const key = status === 'in-place' ? it.what : `${it.what}: ${it.why}`
      texts.set(key, [...(texts.get(key) ?? []), it])
    }
    return ['', heading, ...[...texts.values()].flatMap(remarkText)]
  })
}

function remarkText(same: readonly TuningRemark[]): string[] {
  const [{ subject, what, why, status }] = same as readonly [TuningRemark, ...TuningRemark[]]
  const text =
    same.length === 1
      ? `${subject}: ${what}: ${why}`
      : status === 'in-place'
        ? `${what}: all ${same.length}`
        : `${subject} and ${same.length - 1} more: ${what}: ${why}`
  return [`  ${text}`, ...same.flatMap(({ command }) => (command === undefined ? [] : [`     ${command}`]))]
}

function unreadLines(unread: readonly UnreadFact[]): string[] {
  if (unread.length === 0) return []
  return ['', 'Could not be read, and is not planned for:', ...unread.map(({ what, source, reason }) => `  ${what}: ${source}: ${reason}`)]
}

/** Before anything is done. */
export function flapWarning({ interface: name, steps }: TuningPlan): string | undefined {
  return linkWarning(
    name,
    steps.filter(({ mayFlap }) => mayFlap).map(({ what }) => what),
  )
}

/** The same before a revert. */
export function revertWarning(name: string, pending: TuningState['pending']): string | undefined {
  return linkWarning(
    name,
    pending.filter(({ mayFlap }) => mayFlap).map(({ setting }) => labelOf(setting)),
  )
}

function linkWarning(name: string, reasons: readonly string[]): string | undefined {
  return reasons.length === 0 ? undefined : `ringtap: ${name}: the link may go down for a moment: ${[...new Set(reasons)].join(', ')}`
}

export function appliedLines({ applied, refused, plan, journal }: AppliedTuning): string[] {
  const name = plan.interface
  const head =
    applied.length === 0 && refused.length === 0
      ? `${name}: nothing to do, all is in place`
      : `${name}: ${plural(applied.length, 'step')} applied and read back`
  const byHand = plan.remarks.filter(({ status }) => status === 'by-hand')
  return [
    head,
    ...applied.map(({ subject, what, from, to }) => `  ${subject}: ${what}: ${from} -> ${to}`),
    ...refused.map(({ step, reason }) => `  ${step.subject}: ${step.what}: left as it is: ${reason}`),
    ...remarkLines(byHand),
    ...(journal === undefined ? [] : ['', `what was before is kept in ${journal}; ${ringtapCommand('tune revert', { name, netns: plan.netns })} puts it back`]),
  ]
}

export function revertedLines(name: string, { since, restored, gone, left, isAbsent, orphans = [] }: RevertedTuning): string[] {
  if (since === undefined) return [`${name}: has not been tuned, there is nothing to revert`]
  const kept = left && `what is the whole machine's stays for another interface that is tuned still, with ${left.journal}`
  return [
    isAbsent === true
      ? `${name}: gone, and its settings with it; what is the machine's is as it was before ${since}`
      : `${name}: everything is as it was before ${since}`,
    ...restored.map((setting) => `  ${labelOf(setting)}: ${valueText(setting)}`),
    ...gone.map((setting) => `  ${labelOf(setting)}: not there any more, was ${valueText(setting)}`),
    ...(left === undefined ? [] : [`  ${kept}: ${left.settings.map(labelOf).join(', ')}`]),
    ...orphans.map(
      (it) => `  ${it.name} has gone without a revert, and the machine is as its tuning made it: ${ringtapCommand('tune revert', it)} (${it.journal})`,
    ),
  ]
}

export function stateLines({ host, interface: facts, journal }: TuningState): string[] {
  const settings = settingsOf(host, facts).filter(isTuned)
  const rows = [...settings.map((setting) => [labelOf(setting), `${valueText(setting)}${limitText(setting, facts)}`]), ['irqbalance', irqbalanceText(host)]]
  const tuned = journal === undefined ? 'no' : (journal.problem ?? `since ${journal.since}, journal ${journal.path}`)
  return [...alignColumns([...rows, ['tuned', tuned]]), ...unreadShown([...host.unread, ...facts.unread])]
}

function unreadShown(unread: readonly UnreadFact[]): string[] {
  return unread.map(({ what, source, reason }) => `not read: ${what}: ${source}: ${reason}`)
}

const TUNED_FEATURES = ['rx-gro', 'rx-lro', 'rx-gro-hw', 'rx-vlan-hw-parse', 'rx-vlan-stag-hw-parse']

/** Of all that is kept in a journal what tuning itself sets. */
function isTuned(setting: Setting): boolean {
  if (setting.kind === 'feature') return TUNED_FEATURES.includes(setting.name)
  if (setting.kind === 'receive-queue-flows' || setting.kind === 'threaded') return setting.value > 0
  if (setting.kind === 'transmit-queue-receivers') return setting.value.length > 0
  return setting.kind !== 'sysctl' || !/busy|jit|default|sock_flow|weight|unprivileged/.test(setting.name)
}

function labelOf(setting: Setting): string {
  switch (setting.kind) {
    case 'channels':
      return 'queues'
    case 'rings':
      return 'rings'
    case 'rss-indirection':
      return 'RSS indirection'
    case 'rss-key':
      return 'RSS key'
    case 'flow-hash':
      return `hash fields of ${setting.flow}`
    case 'coalescing':
      return 'interrupt coalescing'
    case 'feature':
    case 'sysctl':
      return setting.name
    case 'threaded':
      return 'threaded NAPI'
    case 'interrupt':
      return `interrupt ${setting.name}`
    case 'receive-queue-cpus':
      return `RPS of queue ${setting.queue}`
    case 'receive-queue-flows':
      return `RFS of queue ${setting.queue}`
    case 'transmit-queue-cpus':
      return `XPS of queue ${setting.queue}`
    case 'transmit-queue-receivers':
      return `XPS of queue ${setting.queue} by receive queue`
    case 'governor':
      return `governor of CPU ${setting.cpu}`
  }
}

function limitText(setting: Setting, { channels, rings, rss }: InterfaceFacts): string {
  if (setting.kind === 'rss-key') return rss?.symmetric === true ? ' (symmetric)' : ' (not symmetric)'
  if (setting.kind === 'rings') return ` (at most rx ${rings?.rx.maximum ?? '?'} tx ${rings?.tx.maximum ?? '?'})`
  if (setting.kind !== 'channels' || channels === undefined) return ''
  const limits = (['combined', 'rx', 'tx'] as const).filter((kind) => (channels[kind].maximum ?? 0) > 0)
  return ` (at most ${limits.map((kind) => `${kind} ${channels[kind].maximum}`).join(' ')})`
}

function irqbalanceText({ irqbalance }: TuningState['host']): string {
  if (irqbalance === undefined) return 'unknown: /proc does not show other processes'
  return irqbalance.running ? `runs (pid ${irqbalance.pid ?? '?'}): it moves interrupts again` : 'does not run'
}
