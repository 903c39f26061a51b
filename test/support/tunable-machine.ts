/**
 * A machine of plain data that can be tuned: it does to its facts what drivers do, the awkward ones included: a change of channels gives
 * interrupts new numbers, spreads the table anew unless somebody set it, and lets the affinities go. Any write can be made to fail.
 */
import type { HostFacts, InterfaceFacts } from '#src/host/facts.js'
import type { JournalStore, TuningAccess } from '#src/host/tuning/access.js'
import { afterChannels, mustResetTable } from '#src/host/tuning/channels.js'
import { interruptRole, type Setting, valueText } from '#src/host/tuning/setting.js'
import { CaptureError } from '#src/index.js'
import { EINVAL, errnoName } from '#src/kernel/errno.js'
import { range } from './live.js'

export class TunableMachine implements TuningAccess {
  readonly netnsInode = 4026531840
  host: HostFacts
  interface: InterfaceFacts
  /** What was written, in order; failed writes as well. */
  readonly writes: Setting[] = []
  /** Called before a write; throws to let it fail. */
  before: (setting: Setting, count: number) => void = () => {}
  #isTableSet = false
  #nextIrq = 200

  constructor(host: HostFacts, facts: InterfaceFacts) {
    this.host = structuredClone(host)
    this.interface = structuredClone(facts)
  }

  facts(): { host: HostFacts; interface: InterfaceFacts } {
    return structuredClone({ host: this.host, interface: this.interface })
  }

  write(setting: Setting): void {
    this.writes.push(setting)
    this.before(setting, this.writes.length)
    const { host, interface: facts } = this
    switch (setting.kind) {
      case 'sysctl':
        this.host = { ...host, sysctls: { ...host.sysctls, [setting.name]: setting.value } }
        break
      case 'governor':
        this.host = { ...host, cpus: host.cpus.map((it) => (it.cpu === setting.cpu ? { ...it, governor: setting.value } : it)) }
        break
      case 'channels':
        this.#setChannels(setting.value)
        break
      case 'rings':
        this.interface = {
          ...facts,
          rings: facts.rings && { rx: { ...facts.rings.rx, current: setting.value.rx }, tx: { ...facts.rings.tx, current: setting.value.tx } },
        }
        break
      case 'rss-indirection': {
        this.#isTableSet = setting.value !== 'default'
        const indirection = setting.value === 'default' ? (facts.rss?.indirection ?? []).map((_, slot) => slot % facts.rxQueues) : setting.value
        this.interface = { ...facts, rss: facts.rss && { ...facts.rss, indirection } }
        break
      }
      case 'rss-key':
        this.interface = { ...facts, rss: facts.rss && { ...facts.rss, key: setting.value, symmetric: /^(....)\1*(..)?$/.test(setting.value) } }
        break
      case 'feature': {
        const { value, name } = setting
        this.interface = { ...facts, features: { ...facts.features, [name]: { on: value, fixed: false, requested: value } } }
        break
      }
      case 'coalescing':
        this.interface = { ...facts, coalescing: { ...facts.coalescing, ...setting.value } }
        break
      case 'interrupt':
        this.interface = {
          ...facts,
          interrupts: facts.interrupts.map((it) =>
            interruptRole(it, facts.interrupts) === setting.name ? { ...it, affinity: setting.value, effective: setting.value.slice(0, 1) } : it,
          ),
        }
        break
      case 'receive-queue-cpus':
        this.interface = { ...facts, receiveQueues: facts.receiveQueues.map((it) => (it.queue === setting.queue ? { ...it, rpsCpus: setting.value } : it)) }
        break
      case 'transmit-queue-cpus':
        this.interface = { ...facts, transmitQueues: facts.transmitQueues.map((it) => (it.queue === setting.queue ? { ...it, xpsCpus: setting.value } : it)) }
        break
    }
  }

  #setChannels(to: { combined: number; rx: number; tx: number }): void {
    const { rss, interrupts, name } = this.interface
    if (this.#isTableSet && mustResetTable(rss, to)) throw kernelError(EINVAL, { kind: 'channels', value: to })
    const table = rss?.indirection
    const after = afterChannels(this.interface, to)
    const online = this.host.cpus.map(({ cpu }) => cpu)
    const anywhere = { affinity: online, effective: online, counts: {} }
    const others = interrupts.filter(({ queue }) => queue === undefined).map((it) => ({ ...it, ...anywhere, irq: this.#nextIrq++ }))
    const ofQueues = range(after.rxQueues).map((queue) => ({ irq: this.#nextIrq++, name: `${name}-TxRx-${queue}`, queue, ...anywhere }))
    this.interface = {
      ...after,
      rss: after.rss && { ...after.rss, indirection: this.#isTableSet && table !== undefined ? table : after.rss.indirection },
      transmitQueues: after.transmitQueues.map((it) => ({ ...it, xpsCpus: it.xpsCpus && [] })),
      interrupts: interrupts.some(({ queue }) => queue !== undefined) ? [...others, ...ofQueues] : others,
    }
  }
}

export function kernelError(errno: number, setting: Setting): CaptureError {
  return new CaptureError('SYSTEM_CALL_FAILED', `${setting.kind} ${valueText(setting)}: ${errnoName(errno)}`, { errno, errnoName: errnoName(errno) })
}

/** A journal that is nowhere. */
export function memoryJournal(): JournalStore & { text: string | undefined; writes: number } {
  return {
    path: '/run/ringtap/tune-4026531840-2.json',
    text: undefined,
    writes: 0,
    read() {
      return this.text
    },
    write(text) {
      this.text = text
      this.writes++
    },
    remove() {
      this.text = undefined
    },
  }
}
