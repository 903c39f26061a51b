/** `ringtap/host`: facts of this machine and its interfaces, plans to tune it, what is wrong with it, and what it can take. */

export { cpuListText } from '../kernel/cpus.js'
export type { AppliedTuning, ApplyTuningOptions } from './apply-tuning.js'
export type * from './facts.js'
export { planTuning } from './plan-tuning.js'
export { readHostFacts, readInterfaceFacts } from './read-facts.js'
export type { RevertedTuning } from './revert-tuning.js'
export { applyTuning, readTuning, revertTuning, type TuneOptions, type TuningState } from './tune.js'
export type { FoundJournal } from './tuning/journal-file.js'
export { TUNING_GOALS, type TuningGoal, type TuningOptions, type TuningPlan, type TuningRemark, type TuningStep } from './tuning/plan.js'
export { type Setting, settingKey, settingsOf, valueText } from './tuning/setting.js'
