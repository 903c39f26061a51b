/**
 * A machine of plain data that can be tuned: it does to its facts what drivers do, the awkward ones included: a change of channels gives
 * interrupts new numbers, spreads the table anew unless somebody set it, and lets the affinities go. Any write can be made to fail.
 */
import type { FlowHashFacts, FlowType, HostFacts, InterfaceFacts, QueueFacts } from '#src/host/facts.js'
import type { JournalStore, PresentInterface, TuningAccess, Whereabouts } from '#src/host/tuning/access.js'
import { afterChannels, mustResetTable, noXps } from '#src/host/tuning/channels.js'
import { irqOf } from '#src/host/tuning/command.js'
import { tunedInterface } from '#src/host/tuning/journal.js'
import { type Setting, valueText } from '#src/host/tuning/setting.js'
import { CaptureError } from '#src/index.js'
import { EINVAL, EOPNOTSUPP, errnoName } from '#src/kernel/errno.js'
import { coalescingCalls } from '#src/kernel/ethtool-queues.js'
import { range } from './live.js'

/** What some drivers do, and most do not. */
export interface DriverWays {
  /** mlx5: whoever turns adaptive moderation on or off gets the wait of that mode, whatever else the call asks for (mlx5e_ethtool_set_coalesce). */
  adaptiveResetsWait?: boolean
  /** ice, iavf: EINVAL for another wait while adaptive moderation is on, or is being turned on (ice_set_rc_coalesce). */
  adaptiveForbidsWait?: boolean
  /** bnxt: the largest ring where the NIC merges segments, and where it does not (bnxt_get_ringparam). */
  ringMaximum?: readonly [merging: number, plain: number]
  /** mlx5 has vectors for all CPUs from the start: those of queues that are not in use stay. */
  keepsVectors?: boolean
  /** Features that the driver keeps as they are: what is wanted is noted, and EOPNOTSUPP (ETHTOOL_F_WISH). */
  stubborn?: readonly string[]
  /** ixgbe, virtio_net: addresses, with both ports or with none, and EINVAL for anything else (ixgbe_set_rss_hash_opt, virtnet_set_hashflow). */
  pickyHash?: boolean
  /** dpaa2: one set of fields for all kinds of flows (dpaa2_eth_get_rxnfc). */
  oneHash?: boolean
  /** RSS is set up anew with the queues: all kinds of flows have these fields then. */
  channelsResetHash?: FlowHashFacts
  /** CPUs that RPS does not reach: isolcpus and nohz_full (rps_cpumask_housekeeping). */
  isolated?: readonly number[]
}

export class TunableMachine implements TuningAccess {
  readonly netnsInode = 4026531840
  home = { netnsInode: this.netnsInode }
  /** By index, as facts have told them; whoever takes one out has it gone. */
  readonly present = new Map<number, PresentInterface>()
  host: HostFacts
  interface: InterfaceFacts
  /** What was written, in order; failed writes as well. */
  readonly writes: Setting[] = []
  /** Called before a write; throws to let it fail. */
  before: (setting: Setting, count: number) => void = () => {}
  readonly #ways: DriverWays
  #isTableSet = false
  #nextIrq = 200

  constructor(host: HostFacts, facts: InterfaceFacts, ways: DriverWays = {}) {
    this.host = structuredClone(host)
    this.interface = structuredClone(facts)
    this.#ways = ways
    this.#limitRings()
  }

  facts(): { host: HostFacts; interface: InterfaceFacts } {
    const facts = structuredClone({ host: this.host, interface: this.interface })
    this.present.set(facts.interface.index, { ...tunedInterface(facts, this), netns: undefined })
    return facts
  }

  hostFacts(): HostFacts {
    return structuredClone(this.host)
  }

  whereabouts(): Whereabouts {
    return { interfaces: [...this.present.values()], isComplete: true }
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
        if (setting.value.rx > (facts.rings?.rx.maximum ?? 0)) throw kernelError(EINVAL, setting)
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
      case 'flow-hash':
        this.#setFlowHash(setting)
        break
      case 'feature': {
        const { value, name } = setting
        if (this.#ways.stubborn?.includes(name)) {
          this.interface = { ...facts, features: { ...facts.features, [name]: { on: facts.features[name]?.on === true, fixed: false, requested: value } } }
          if (facts.features[name]?.on !== value) throw kernelError(EOPNOTSUPP, setting)
          break
        }
        this.interface = { ...facts, features: { ...facts.features, [name]: { on: value, fixed: false, requested: value } } }
        this.#limitRings()
        break
      }
      case 'coalescing':
        for (const call of coalescingCalls(facts.coalescing ?? {}, setting.value)) this.#setCoalescing(call, setting)
        break
      case 'threaded':
        this.interface = { ...facts, threaded: setting.value }
        break
      case 'interrupt': {
        const irq = irqOf(setting.name, facts.interrupts)
        this.interface = {
          ...facts,
          interrupts: facts.interrupts.map((it) => (it.irq === irq ? { ...it, affinity: setting.value, effective: setting.value.slice(0, 1) } : it)),
        }
        break
      }
      case 'receive-queue-cpus': {
        const rpsCpus = setting.value.filter((cpu) => this.#ways.isolated?.includes(cpu) !== true)
        if (rpsCpus.length === 0 && setting.value.length > 0) throw kernelError(EINVAL, setting)
        this.#setReceiveQueue(setting.queue, { rpsCpus })
        break
      }
      case 'receive-queue-flows':
        this.#setReceiveQueue(setting.queue, { rpsFlowCount: setting.value })
        break
      case 'transmit-queue-receivers':
        this.interface = {
          ...facts,
          transmitQueues: facts.transmitQueues.map((it) => (it.queue === setting.queue ? { ...it, xpsReceivers: setting.value } : it)),
        }
        break
      case 'transmit-queue-cpus':
        this.interface = { ...facts, transmitQueues: facts.transmitQueues.map((it) => (it.queue === setting.queue ? { ...it, xpsCpus: setting.value } : it)) }
        break
    }
  }

  #setReceiveQueue(queue: number, change: Partial<QueueFacts>): void {
    const { receiveQueues } = this.interface
    this.interface = { ...this.interface, receiveQueues: receiveQueues.map((it) => (it.queue === queue ? { ...it, ...change } : it)) }
  }

  #setFlowHash(setting: Extract<Setting, { kind: 'flow-hash' }>): void {
    const { flowHash, rss } = this.interface
    const { flow, value } = setting
    if (flowHash?.[flow] === undefined) throw kernelError(EOPNOTSUPP, setting)
    if (this.#ways.pickyHash && !['sd', 'sdfn'].includes(value)) throw kernelError(EINVAL, setting)
    const has = (letter: string) => value.includes(letter)
    // ethtool_set_rxfh_fields: no field may stand without that of the other direction while addresses and ports are XORed.
    if (rss?.inputTransform && (has('s') !== has('d') || has('f') !== has('n') || /[^sdfn]/.test(value))) throw kernelError(EINVAL, setting)
    const flows = this.#ways.oneHash ? (Object.keys(flowHash) as FlowType[]) : [flow]
    this.interface = { ...this.interface, flowHash: { ...flowHash, ...Object.fromEntries(flows.map((it) => [it, value])) } }
  }

  #setCoalescing(call: Readonly<Record<string, number>>, setting: Setting): void {
    const present = this.interface.coalescing ?? {}
    const coalescing: Record<string, number> = { ...present, ...call }
    const isAdaptive = coalescing.use_adaptive_rx_coalesce === 1
    if (this.#ways.adaptiveForbidsWait && isAdaptive && coalescing.rx_coalesce_usecs !== present.rx_coalesce_usecs) throw kernelError(EINVAL, setting)
    const isOther = coalescing.use_adaptive_rx_coalesce !== present.use_adaptive_rx_coalesce
    if (this.#ways.adaptiveResetsWait && isOther) coalescing.rx_coalesce_usecs = isAdaptive ? 8 : 3
    this.interface = { ...this.interface, coalescing }
  }

  #limitRings(): void {
    const { rings, features } = this.interface
    if (this.#ways.ringMaximum === undefined || rings === undefined) return
    const [merging, plain] = this.#ways.ringMaximum
    const maximum = features['rx-lro']?.on === true || features['rx-gro-hw']?.on === true ? merging : plain
    this.interface = { ...this.interface, rings: { ...rings, rx: { maximum, current: Math.min(rings.rx.current, maximum) } } }
  }

  #setChannels(to: { combined: number; rx: number; tx: number }): void {
    const { rss, interrupts, name, xdpPrograms, peerTxQueues } = this.interface
    // veth_set_channels.
    if (xdpPrograms.length > 0 && peerTxQueues !== undefined && to.rx < peerTxQueues) throw kernelError(EINVAL, { kind: 'channels', value: to })
    if (this.#isTableSet && mustResetTable(rss, to)) throw kernelError(EINVAL, { kind: 'channels', value: to })
    const table = rss?.indirection
    const after = afterChannels(this.interface, to)
    const online = this.host.cpus.map(({ cpu }) => cpu)
    const anywhere = { affinity: online, effective: online, counts: {} }
    const others = interrupts.filter(({ queue }) => queue === undefined).map((it) => ({ ...it, ...anywhere, irq: this.#nextIrq++ }))
    const vectors = this.#ways.keepsVectors ? interrupts.filter(({ queue }) => queue !== undefined).length : after.rxQueues
    const ofQueues = range(vectors).map((queue) => ({ irq: this.#nextIrq++, name: `${name}-TxRx-${queue}`, queue, ...anywhere }))
    this.interface = {
      ...after,
      flowHash: this.#ways.channelsResetHash ?? after.flowHash,
      rss: after.rss && { ...after.rss, indirection: this.#isTableSet && table !== undefined ? table : after.rss.indirection },
      transmitQueues: after.transmitQueues.map((it) => noXps(it.queue, it)),
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
    others: () => [],
  }
}
