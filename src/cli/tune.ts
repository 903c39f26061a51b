/** `ringtap tune`. */
import { applyTuning, planTuning, readTuning, revertTuning, type TuningState } from '../host/index.js'
import { EXIT } from './exit-status.js'
import type { Io } from './io.js'
import type { ValuesOf } from './table.js'
import { toJson } from './to-json.js'
import { appliedLines, flapWarning, planLines, revertedLines, revertWarning, stateLines } from './tune-lines.js'
import { UsageError } from './usage-error.js'

export async function runTune(values: ValuesOf<'tune'>, io: Io): Promise<number> {
  const { interface: name, netns, action } = values
  if (name === undefined) throw new UsageError('which interface? -i IFACE is missing', 'ringtap interfaces lists them')
  const scope = netns === undefined ? {} : { netns }
  const options = { goal: values.for, cpus: values.cpus, noSmt: values.noSmt, yesIMayLoseThisLink: values.yesIMayLoseThisLink, ...scope }
  const print = (document: object, lines: readonly string[]) => {
    if (values.json) io.out(JSON.stringify(toJson(document)))
    else for (const line of lines) io.out(line)
  }
  switch (action) {
    case 'show': {
      const state = readTuning(name, scope)
      print({ type: 'tuning', ...state }, stateLines(state))
      return EXIT.done
    }
    case 'plan': {
      const { host, interface: facts } = readTuning(name, scope)
      const plan = planTuning(host, facts, options)
      print({ type: 'tuning-plan', ...plan }, planLines(plan))
      return EXIT.done
    }
    case 'apply': {
      const { host, interface: facts } = readTuning(name, scope)
      const warning = flapWarning(planTuning(host, facts, options))
      if (warning !== undefined) io.err(warning)
      const applied = applyTuning(name, options)
      print({ type: 'tuning-applied', ...applied }, appliedLines(applied))
      return EXIT.done
    }
    case 'revert': {
      const warning = revertWarning(name, pendingOf(name, scope))
      if (warning !== undefined) io.err(warning)
      const reverted = revertTuning(name, { yesIMayLoseThisLink: values.yesIMayLoseThisLink, ...scope })
      print({ type: 'tuning-reverted', interface: name, netns, ...reverted }, revertedLines(name, reverted))
      return EXIT.done
    }
  }
}

/** None of an interface that has gone: what a revert puts back then is the machine's. */
function pendingOf(name: string, scope: { netns?: string }): TuningState['pending'] {
  try {
    return readTuning(name, scope).pending
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'NO_SUCH_INTERFACE') return []
    throw error
  }
}
