/** Carries a tuning plan out: journal first, then step by step, each read back; all or nothing. */
import { CaptureError } from '../errors.js'
import { EACCES, EBUSY, EINVAL, EIO, ENOSPC, ENOTSUPP, EOPNOTSUPP, EPERM, EROFS } from '../kernel/errno.js'
import type { InterfaceFacts } from './facts.js'
import { planTuning } from './plan-tuning.js'
import { notRestoredText } from './revert-tuning.js'
import type { JournalStore, TuningAccess, TuningFacts } from './tuning/access.js'
import { TABLE_ASIDE } from './tuning/channels.js'
import { ringtapCommand } from './tuning/command.js'
import { readJournal, type TuningJournal, tunedInterface, withSettings, writeJournal } from './tuning/journal.js'
import type { TuningOptions, TuningPlan, TuningStep } from './tuning/plan.js'
import { restoreSettings } from './tuning/restore.js'
import { currentSetting, isHostWide, isInForce, type Setting, sameValue, settingKey, settingsOf, valueText } from './tuning/setting.js'

export interface ApplyTuningOptions extends TuningOptions {
  /** The interface carries the default route, and may be tuned nevertheless. Default false. */
  yesIMayLoseThisLink?: boolean | undefined
}

export interface AppliedTuning {
  /** In the order in which they were carried out. */
  applied: TuningStep[]
  /** Steps that the driver turned out not to support. */
  refused: { step: TuningStep; reason: string }[]
  /** As it stands now: no steps, and the remarks. */
  plan: TuningPlan
  /** Where what was before is kept; undefined when there was nothing to do and never has been. */
  journal: string | undefined
}

/**
 * Plans afresh and carries the plan out. Settings that are in place already are not touched. When a step fails, all is put back.
 * @throws CaptureError TUNING_FAILED with the step that failed, and what could not be undone; INTERFACE_IN_USE, PERMISSION, INVALID_OPTION
 */
export function applyTuning(access: TuningAccess, store: JournalStore, options: ApplyTuningOptions = {}): AppliedTuning {
  const run = new TuningRun(access, options)
  const { facts } = run
  const earlier = readJournal(store, tunedInterface(facts, access), facts.interface.netns)
  const nothing = { applied: [], refused: [], plan: run.plan, journal: earlier && store.path }
  if (run.plan.steps.length === 0) return nothing
  if (earlier !== undefined && store.isMoved === true) throw tunedElsewhere(facts.interface, earlier, store.path)
  assertMayLose(run.plan, options)
  const fresh: TuningJournal = { interface: tunedInterface(facts, access), since: new Date().toISOString(), before: interfaceSettings(facts) }
  let journal = earlier
  try {
    while (run.plan.steps.length > 0) {
      const known = withSettings(journal ?? fresh, run.notInJournal())
      if (known !== journal) writeJournal(store, known)
      journal = known
      run.next()
    }
  } catch (error) {
    throw undone(error, { access, store, facts, earlier, journal })
  }
  const isUntouched = run.applied.length === 0 && earlier === undefined
  if (isUntouched) store.remove()
  else if (journal !== undefined) forgetRefused(run, { store, journal, earlier })
  return { applied: run.applied, refused: run.refused, plan: run.plan, journal: isUntouched ? undefined : store.path }
}

/** What is the machine's and could not be set is not ours to put back either. */
function forgetRefused(
  { refused }: TuningRun,
  { store, journal, earlier }: { store: JournalStore; journal: TuningJournal; earlier: TuningJournal | undefined },
): void {
  const known = new Set(earlier?.before.map(settingKey))
  const keys = new Set(refused.filter(({ step }) => step.hostWide && !known.has(step.id)).map(({ step }) => step.id))
  const before = journal.before.filter((setting) => !keys.has(settingKey(setting)))
  if (before.length < journal.before.length) writeJournal(store, { ...journal, before })
}

/** Of one setting in one run. */
const MOST_VALUES = 3

/** One carrying-out: plans, does the first group of the plan, reads all afresh, plans again, until nothing is left to do. */
class TuningRun {
  readonly #access: TuningAccess
  readonly #options: TuningOptions
  readonly #refused = new Map<string, string>()
  readonly #speedMbps: number | undefined
  readonly applied: TuningStep[] = []
  readonly refused: AppliedTuning['refused'] = []
  facts: TuningFacts
  plan: TuningPlan

  constructor(access: TuningAccess, options: TuningOptions) {
    this.#access = access
    this.#options = options
    this.facts = access.facts()
    this.#speedMbps = this.facts.interface.speedMbps
    this.plan = this.#planAfresh()
  }

  /** NB: with the speed as it was: while the link is down after a change there is none, and plans that depend on it would come and go. */
  #planAfresh(): TuningPlan {
    const { host, interface: facts } = this.facts
    return planTuning(host, { ...facts, speedMbps: this.#speedMbps }, this.#options, this.#refused)
  }

  /** What the plan changes of the machine, as it is now. Of the interface the journal has all already, but what an older version that wrote it did not know. */
  notInJournal(): Setting[] {
    const { host, interface: facts } = this.facts
    return this.plan.steps
      .filter(({ hostWide, change }) => hostWide || change.kind === 'flow-hash' || change.kind === 'threaded')
      .flatMap(({ change }) => currentSetting(change, host, facts) ?? [])
  }

  /** Carries out the steps of the first kind in the plan. */
  next(): void {
    const group = firstGroup(this.plan.steps)
    for (const step of group) this.#carryOut(step)
    this.facts = this.#access.facts()
    const { host, interface: facts } = this.facts
    for (const step of this.applied) {
      if (group.includes(step) && !isInForce(step.change, host, facts)) throw tookNoEffect(step, this.facts)
    }
    for (const step of group) this.#acceptNarrowed(step)
    this.plan = this.#planAfresh()
    for (const step of this.plan.steps) this.#assertNew(step)
  }

  /** What the kernel has let in force in part is not planned again. */
  #acceptNarrowed(step: TuningStep): void {
    const { host, interface: facts } = this.facts
    const current = currentSetting(step.change, host, facts)
    if (step.change.kind !== 'receive-queue-cpus' || current === undefined || sameValue(current, step.change) || this.#refused.has(step.id)) return
    this.#refused.set(step.id, `${valueText(current)} is as far as the kernel lets it: the others are isolated (isolcpus, nohz_full)`)
  }

  /** Another value than before is due when a limit has moved. The same once more, and two steps that undo each other would go on for ever. */
  #assertNew(step: TuningStep): void {
    const earlier = this.applied.filter(({ id }) => id === step.id)
    if (earlier.some(({ to }) => to === step.to)) throw tookNoEffect(step, this.facts)
    if (earlier.length < MOST_VALUES) return
    const values = [...earlier, step].map(({ to }) => to).join(', then ')
    throw new CaptureError('TUNING_FAILED', `${step.subject}: ${step.what} does not come to rest: ${values}`, {
      hint: 'another step, or something else, moves its limit',
    })
  }

  /** A feature that is refused may have been noted nevertheless (ETHTOOL_F_WISH), and would come into force whenever it can. */
  #takeBackWish({ change }: TuningStep): void {
    const { host, interface: facts } = this.facts
    const earlier = change.kind === 'feature' ? currentSetting(change, host, facts) : undefined
    if (earlier === undefined) return
    try {
      this.#access.write(earlier)
    } catch (error) {
      // What was asked for before may not be in force either; the journal has it, and a revert compares.
      if (!isUnsupported(error)) throw error
    }
  }

  #carryOut(step: TuningStep): void {
    try {
      this.#access.write(step.change)
      this.applied.push(step)
    } catch (error) {
      const reason = refusal(error, step, this.facts.interface)
      if (reason === undefined) throw stepFailed(step, error)
      if (isUnsupported(error)) this.#takeBackWish(step)
      this.#refused.set(step.id, reason)
      this.refused.push({ step, reason })
    }
  }
}

/** Steps of one kind, which do not disturb each other; a table is put aside for the channels alone, so the two belong together. */
function firstGroup(steps: readonly TuningStep[]): TuningStep[] {
  const groupOf = ({ id, change }: TuningStep) => (id === TABLE_ASIDE ? 'channels' : change.kind)
  return steps.filter((step) => groupOf(step) === groupOf(steps[0] as TuningStep))
}

function isUnsupported(error: unknown): boolean {
  return error instanceof CaptureError && (error.errno === EOPNOTSUPP || error.errno === ENOTSUPP)
}

const READ_ONLY = 'it is read-only here: in a container, its host has to do it'

/** Another network namespace than the first; a kernel that is locked down; seccomp. */
const NOT_FROM_HERE = "it is the whole machine's, and may not be written from here: in a container or a network namespace, its host has to do it"

/** Why a setting is not for this driver or this place; undefined for what is a failure. */
function refusal(error: unknown, { change }: TuningStep, facts: InterfaceFacts): string | undefined {
  if (!(error instanceof CaptureError)) return undefined
  if (isUnsupported(error)) return `the driver does not support it: ${error.message}`
  if (change.kind === 'interrupt') return interruptRefusal(error)
  const program = facts.xdpPrograms.find(({ mode }) => mode !== 'generic')
  if (change.kind === 'channels' && program !== undefined && (error.errno === EINVAL || error.errno === EBUSY))
    return `${error.message}: the driver has its queues in use while an XDP program is attached (id ${program.programId}${program.name ? `, ${program.name}` : ''}); ${QUEUE_IN_USE}`
  if (error.errno === EINVAL && change.kind === 'governor') return 'the CPU does not have this governor'
  if (error.errno === EINVAL && change.kind === 'receive-queue-cpus') return 'RPS does not reach isolated CPUs (isolcpus, nohz_full)'
  // ixgbe has more queues than its table can lead to (ixgbe_set_rxfh).
  if (error.errno === EINVAL && change.kind === 'rss-indirection' && change.value !== 'default')
    return 'the driver cannot spread over so many queues: the rest get nothing'
  if (error.errno === EINVAL && change.kind === 'flow-hash') return 'the driver cannot hash these fields of such flows'
  if (isHostWide(change) && (error.errno === EACCES || error.errno === EPERM)) return NOT_FROM_HERE
  return error.errno === EROFS ? READ_ONLY : undefined
}

function interruptRefusal({ errno }: CaptureError): string | undefined {
  // A managed interrupt is spread by the kernel alone (irq_can_set_affinity_usr): EIO, and EPERM of newer kernels. Who may not write gets EACCES.
  if (errno === EIO || errno === EPERM) return 'the kernel keeps the affinity of this interrupt to itself'
  if (errno === EINVAL) return 'the interrupt controller cannot steer this interrupt'
  if (errno === ENOSPC) return 'the CPU has no vector left for another interrupt'
  return errno === EROFS ? READ_ONLY : undefined
}

/** NB: the limits of net.core in a journal are those of the namespace that it names, which is not this one. */
function tunedElsewhere(facts: InterfaceFacts, { interface: { netnsInode } }: TuningJournal, path: string): CaptureError {
  const message = `${facts.name}: it was tuned in another network namespace (net:[${netnsInode}]), and its journal, ${path}, is for that one`
  return new CaptureError('TUNING_FAILED', message, { hint: `first ${ringtapCommand('tune revert', facts)}, which finds it, then again` })
}

function interfaceSettings({ host, interface: facts }: TuningFacts): Setting[] {
  return settingsOf(host, facts).filter((setting) => !isHostWide(setting))
}

/** @throws CaptureError INTERFACE_IN_USE */
function assertMayLose({ interface: name, defaultRoute, steps }: TuningPlan, options: ApplyTuningOptions): void {
  if (defaultRoute === undefined || options.yesIMayLoseThisLink === true) return
  const flaps = steps.filter(({ mayFlap }) => mayFlap).map(({ what }) => what)
  const why = flaps.length === 0 ? '' : `, and the link may go down for a moment (${flaps.join(', ')})`
  throw new CaptureError('INTERFACE_IN_USE', `${name} carries this host's ${defaultRoute.replace(/^route /, '')}${why}`, {
    hint: 'whoever is connected over it may be cut off; set yesIMayLoseThisLink to tune it nevertheless',
  })
}

/** What holds a queue that is to go is refused by the kernel (ethtool_set_channels). */
const QUEUE_IN_USE = 'rules (ethtool -n lists them), other RSS contexts or AF_XDP sockets may hold a queue that is to go: take them away first'

function isQueueInUse({ change }: TuningStep, errno: number | undefined): boolean {
  return errno === EINVAL && change.kind === 'channels'
}

function stepFailed(step: TuningStep, cause: unknown): CaptureError {
  const { errno, errnoName, syscall, hint } = cause instanceof CaptureError ? cause : {}
  const code = cause instanceof CaptureError && cause.code === 'PERMISSION' ? 'PERMISSION' : 'TUNING_FAILED'
  const message = `${step.subject}: ${step.what} from ${step.from} to ${step.to}: ${(cause as Error).message}`
  return new CaptureError(code, message, { cause, errno, errnoName, syscall, hint: isQueueInUse(step, errno) ? QUEUE_IN_USE : hint })
}

function tookNoEffect(step: TuningStep, { host, interface: facts }: TuningFacts): CaptureError {
  const current = currentSetting(step.change, host, facts)
  const now = current === undefined ? 'is not to be read' : `is ${valueText(current)}`
  return new CaptureError('TUNING_FAILED', `${step.subject}: ${step.what} was set to ${valueText(step.change)} and ${now}`, {
    hint: 'the driver takes it without doing it, another step takes it back, or something else sets it again: irqbalance, NetworkManager, tuned',
  })
}

interface Undo {
  access: TuningAccess
  store: JournalStore
  facts: TuningFacts
  earlier: TuningJournal | undefined
  journal: TuningJournal | undefined
}

/** Puts all back as it was when this run began, and says so in the error. */
function undone(error: unknown, { access, store, facts, earlier, journal }: Undo): unknown {
  // Not even the journal could be written.
  if (journal === undefined) return error
  const failure = error instanceof CaptureError ? error : new CaptureError('TUNING_FAILED', (error as Error).message, { cause: error })
  const extend = (text: string, hint = failure.hint) => new CaptureError(failure.code, `${failure.message}; ${text}`, { ...plain(failure), hint })
  const hostWide = journal.before.filter(isHostWide)
  const then = hostWide.flatMap((setting) => currentSetting(setting, facts.host, facts.interface) ?? [])
  try {
    const left = restoreSettings(access, [...interfaceSettings(facts), ...then])
    if (left.length > 0) {
      return extend(`undoing it left ${notRestoredText(left)}`, `${ringtapCommand('tune revert', facts.interface)} tries again, from ${store.path}`)
    }
    if (earlier === undefined) store.remove()
    else writeJournal(store, earlier)
  } catch (cause) {
    return extend(`undoing it failed: ${(cause as Error).message}`, `${ringtapCommand('tune revert', facts.interface)} tries again, from ${store.path}`)
  }
  return extend('everything is as it was before')
}

function plain({ syscall, errno, errnoName, cause }: CaptureError) {
  return { syscall, errno, errnoName, cause }
}
