/** Queues: one for each CPU that is to take packets, as far as the driver has them. */
import type { ChannelFacts, HostFacts, InterfaceFacts, RssFacts, TransmitQueueFacts } from '../facts.js'
import { part, remark, type TuningContext, type TuningPart } from './plan.js'
import type { ChannelCounts, Setting } from './setting.js'
import { isVeth, step } from './step.js'

/** The step that goes before fewer queues. */
export const TABLE_ASIDE = 'rss-default'

/** The context is that before the change. */
export function planChannels({ host, facts, cpus, cpusWhy }: TuningContext): TuningPart {
  const { channels } = facts
  if (channels === undefined) return part(remark('unsupported', facts.name, 'queues', 'the driver has no channels to set: their number is fixed'))
  const to = wantedChannels(facts, cpus.length)
  if (to === undefined) return part(remark('unsupported', facts.name, 'queues', 'the driver does not let their number be changed'))
  const kind = usesCombined(channels) ? 'combined' : 'rx'
  if (to[kind] === channels[kind].current) {
    if (to[kind] !== cpus.length && isHeldByPeer(facts, to[kind])) return part(remark('left', facts.name, 'queues', `${to[kind]}: ${otherEndText(facts)}`))
    return part(remark('in-place', facts.name, 'queues', inPlaceText(to[kind], cpus.length)))
  }
  const limit =
    to[kind] === facts.peerTxQueues
      ? otherEndText(facts)
      : to[kind] === rssReach(facts)
        ? `RSS fills ${to[kind]} at most`
        : `the driver has ${to[kind]} at most for ${cpus.length} CPUs`
  const most = to[kind] < cpus.length ? `; ${limit}` : ''
  const why = `one receive queue for each CPU that takes packets (${cpusWhy})${most}`
  return part(...resetBefore(host, facts, to), step({ kind: 'channels', value: to }, 'queues', why, host, facts))
}

function inPlaceText(queues: number, cpus: number): string {
  return queues === cpus ? `${queues}, one for each CPU that takes packets` : `${queues}, as many as the driver can fill`
}

/**
 * Before queues are taken away no slot of the table may lead to one of them, or the kernel refuses (ethtool_set_channels, "requested channel counts are
 * too low for existing indirection table settings"), unless the table is the driver's own. Which it is, the kernel does not tell.
 */
function resetBefore(host: HostFacts, facts: InterfaceFacts, to: ChannelCounts) {
  if (!mustResetTable(facts.rss, to)) return []
  const why = 'fewer queues are refused while a table that somebody set leads to one that goes'
  const change: Setting = { kind: 'rss-indirection', value: 'default' }
  return [{ ...step(change, 'indirection before fewer queues', why, host, facts), id: TABLE_ASIDE }]
}

export function mustResetTable(rss: RssFacts | undefined, { combined, rx }: ChannelCounts): boolean {
  return rss?.indirection.some((queue) => queue >= combined + rx) ?? false
}

/** Receive queues that get frames at all. */
export function filledQueues(facts: InterfaceFacts): number {
  const { rxQueues, peerTxQueues = rxQueues } = facts
  return Math.min(rxQueues, peerTxQueues, rssReach(facts))
}

/** Why a veth has no more receive queues, or none that get frames. */
/** So many receive queues are what the other end of a veth can fill, or nobody knows; more is not the driver's to refuse. */
export function isHeldByPeer(facts: InterfaceFacts, queues: number): boolean {
  return isVeth(facts) && (facts.peerTxQueues === undefined || facts.peerTxQueues <= queues)
}

export function otherEndText({ peerTxQueues: queues }: InterfaceFacts): string {
  if (queues === undefined) return 'a veth gets frames on as many as its other end has transmit queues, and how many those are is not to be read'
  return `a veth gets frames on as many as its other end has transmit queues, and those are ${queues}`
}

/**
 * So many queues RSS can fill: no more than the table has slots. NB: before X550, which has a table of 512, ixgbe gives each slot four bits
 * (ixgbe_rss_indir_tbl_max), and has queues for more nevertheless: for its filters.
 */
export function rssReach({ driver, rss }: InterfaceFacts): number {
  const slots = rss?.indirection.length ?? 0
  if (slots === 0) return Number.POSITIVE_INFINITY
  return driver === 'ixgbe' && slots <= 128 ? 16 : slots
}

/** A queue for each of so many CPUs, as far as the driver has them; undefined where nothing can be set. */
export function wantedChannels(facts: InterfaceFacts, cpus: number): ChannelCounts | undefined {
  const { channels } = facts
  // tun tells how many there are, and has no way to set them.
  if (channels === undefined || facts.kind === 'tun') return undefined
  const kind = usesCombined(channels) ? 'combined' : 'rx'
  const maximum = channels[kind].maximum ?? 0
  // A maximum of one leaves no choice: as good as fixed.
  if (maximum === 0 || (maximum === 1 && channels[kind].current === 1)) return undefined
  const counts = { combined: channels.combined.current, rx: channels.rx.current, tx: channels.tx.current }
  return { ...counts, [kind]: Math.min(maximum, rssReach(facts), isVeth(facts) ? wantedOfVeth(facts, counts[kind], cpus) : cpus) }
}

/**
 * What transmit queue N of the other end sends comes to receive queue N (veth_xmit): more queues than it has stay empty. With fewer it sends past
 * them, and the driver takes no XDP program, or does not let go of queues while there is one (veth_xdp_set, veth_set_channels).
 */
function wantedOfVeth({ peerTxQueues }: InterfaceFacts, current: number, cpus: number): number {
  if (peerTxQueues === undefined) return current
  return Math.max(Math.min(cpus, peerTxQueues), Math.min(current, Math.max(cpus, peerTxQueues)))
}

/** Most drivers have receive and transmit queue share an interrupt. Where both ways are offered that in use is kept. */
function usesCombined({ combined, rx }: ChannelFacts): boolean {
  return (combined.maximum ?? 0) > 0 && (combined.current > 0 || rx.current === 0)
}

/** XPS of a new queue: what there is of any. */
export function noXps(queue: number, like: TransmitQueueFacts | undefined): TransmitQueueFacts {
  return { queue, xpsCpus: like?.xpsCpus && [], ...(like?.xpsReceivers && { xpsReceivers: [] }) }
}

/**
 * Facts as they will be when the channels have changed, as far as can be foreseen: a driver spreads its table evenly then, new queues have no
 * RPS, and their interrupts are not there yet.
 */
export function afterChannels(facts: InterfaceFacts, to: ChannelCounts): InterfaceFacts {
  const { channels, rss } = facts
  if (channels === undefined) return facts
  const rxQueues = to.combined + to.rx
  const txQueues = to.combined + to.tx
  const at = <K extends keyof ChannelCounts>(kind: K) => ({ ...channels[kind], current: to[kind] })
  const known = <T extends { queue: number }>(queues: readonly T[], count: number, make: (queue: number) => T) =>
    Array.from({ length: count }, (_, queue) => queues.find((it) => it.queue === queue) ?? make(queue))
  return {
    ...facts,
    rxQueues,
    txQueues,
    channels: { ...channels, combined: at('combined'), rx: at('rx'), tx: at('tx') },
    rss: rss && { ...rss, indirection: rss.indirection.map((_, slot) => slot % rxQueues) },
    receiveQueues: known(facts.receiveQueues, rxQueues, (queue) => ({ queue, rpsCpus: [], rpsFlowCount: 0 })),
    transmitQueues: known(facts.transmitQueues, txQueues, (queue) => noXps(queue, facts.transmitQueues[0])),
    interrupts: facts.interrupts.filter(({ queue }) => queue === undefined || queue < rxQueues),
  }
}
