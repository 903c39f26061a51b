/** What `ringtap interfaces -v` prints of one interface. Pure. */
import {
  type Adjustable,
  cpuListText,
  type FeatureFacts,
  type InterfaceFacts,
  type InterruptFacts,
  type LowerFacts,
  type QueueFacts,
  type RssFacts,
} from '../host/index.js'
import { alignColumns, plural } from './human.js'
import { interfaceState, speedText } from './interface-lines.js'

/** CPUs of an interrupt that are shown with their counts. */
const SHOWN_COUNTS = 4
const LABEL_WIDTH = 14
const INTERRUPT_HEAD = ['OTHER IRQ', 'NAME', 'ON CPU', 'ALLOWED', 'INTERRUPTS BY CPU'] as const
const LINE_WIDTH = 120

/** A head line, labelled lines below it, tables of queues, and what could not be read. */
export function factsLines(facts: InterfaceFacts): string[] {
  return [
    headLine(facts),
    ...labelled('driver', driverText(facts)),
    ...labelled('kind', kindText(facts)),
    ...labelled('use', facts.use.join(', ')),
    ...labelled('promiscuous', promiscuousText(facts)),
    ...labelled('queues', queuesText(facts)),
    ...labelled('rings', ringsText(facts)),
    ...rssLines(facts.rss),
    ...labelled('hash fields', flowHashText(facts)),
    ...labelled('coalescing', coalescingText(facts)),
    ...featureLines(facts),
    ...labelled('timestamps', timestampsText(facts)),
    ...labelled('xdp', xdpText(facts)),
    ...labelled('napi', facts.threaded === undefined || facts.threaded === 0 ? '' : 'threaded'),
    ...labelled('rps', rpsText(facts)),
    ...labelled('xps', xpsText(facts)),
    ...tables(facts).flatMap(indented),
    ...facts.unread.flatMap(({ what, source, reason }) => labelled('not read', `${what}: ${source}: ${reason}`)),
  ]
}

function headLine(facts: InterfaceFacts): string {
  const speed = facts.speedMbps === undefined ? [] : [`${speedText(facts.speedMbps)}${facts.duplex === undefined ? '' : ` ${facts.duplex} duplex`}`]
  const mac = facts.mac === undefined ? [] : [`mac ${facts.mac}`]
  const netns = facts.netns === undefined ? [] : [`namespace ${facts.netns}`]
  return `${facts.name}  ${[interfaceState(facts), ...speed, `mtu ${facts.mtu}`, ...mac, ...netns].join(', ')}`
}

/** Nothing for an empty text; a long one is broken at its commas and spaces. */
function labelled(label: string, text: string): string[] {
  if (text === '') return []
  const lines: string[] = []
  for (const word of text.split(' ')) {
    const last = lines.at(-1)
    if (last === undefined || last.length + 1 + word.length > LINE_WIDTH - LABEL_WIDTH - 2) lines.push(word)
    else lines[lines.length - 1] = `${last} ${word}`
  }
  return lines.map((line, index) => `  ${(index === 0 ? label : '').padEnd(LABEL_WIDTH)}${line}`)
}

function indented(lines: readonly string[]): string[] {
  return lines.map((line) => `  ${line}`)
}

function driverText({ driver, driverVersion, kind, firmware, bus, numaNode }: InterfaceFacts): string {
  const name = driver ?? kind
  const parts = [
    name === undefined ? [] : [driverVersion === undefined ? name : `${name} ${driverVersion}`],
    firmware === undefined ? [] : [`firmware ${firmware}`],
    bus === undefined ? [] : [`bus ${bus}`],
    numaNode === undefined ? [] : [`NUMA node ${numaNode}`],
  ]
  return parts.flat().join(', ')
}

/** Of what has to do with other interfaces: `macvlan on va6`, `vlan 5 on eth0`, `bond of eth0, eth1`, `veth, its other end is vb`. */
function kindText({ kind, vlanId, lowers, peer, netns }: InterfaceFacts): string {
  const placed = (it: LowerFacts) => `${it.name}${it.netns === netns ? '' : ` (namespace ${it.netns})`}`
  if (peer !== undefined) return `${kind}, its other end is ${placed(peer)}`
  if (lowers === undefined) return ''
  const title = `${kind}${vlanId === undefined ? '' : ` ${vlanId}`}`
  if (lowers.length === 0) return title
  return `${title} ${/^(bond|team|bridge)$/.test(kind ?? '') ? 'of' : 'on'} ${lowers.map(placed).join(', ')}`
}

function promiscuousText({ promiscuous: { on, count, holders } }: InterfaceFacts): string {
  return on ? `held ${count === 1 ? 'once' : `${count} times`}: ${holders.join(', ')}` : 'no'
}

function queuesText({ channels, rxQueues, txQueues }: InterfaceFacts): string {
  if (channels === undefined) return `${rxQueues} rx, ${txQueues} tx`
  const kinds = (['combined', 'rx', 'tx', 'other'] as const).filter((kind) => channels[kind].current > 0 || (channels[kind].maximum ?? 0) > 0)
  return kinds.map((kind) => `${limitText(channels[kind])} ${kind}`).join(', ')
}

function ringsText({ rings }: InterfaceFacts): string {
  return rings === undefined ? '' : `rx ${limitText(rings.rx)}, tx ${limitText(rings.tx)} descriptors`
}

function limitText({ current, maximum }: Adjustable): string {
  return maximum === undefined || maximum === 0 ? `${current}` : `${current} of ${maximum}`
}

function rssLines(rss: RssFacts | undefined): string[] {
  if (rss === undefined) return []
  const spread = rss.indirection.length === 0 ? [] : [`${plural(rss.indirection.length, 'slot')}: ${spreadText(rss.indirection)}`]
  const transform = rss.inputTransform === undefined || rss.inputTransform === 0 ? [] : [`input transformation ${rss.inputTransform}`]
  const hash = rss.hashFunction === undefined ? [] : [rss.hashFunction]
  return [
    ...labelled('rss', [...hash, rss.symmetric ? 'symmetric' : 'not symmetric', ...spread, ...transform].join(', ')),
    ...labelled('rss key', rss.key ?? ''),
  ]
}

/** In the letters of `ethtool -N`. */
function flowHashText({ flowHash = {} }: InterfaceFacts): string {
  return Object.entries(flowHash)
    .map(([flow, fields]) => `${flow} ${fields === '' ? 'none' : fields}`)
    .join(', ')
}

/** How many slots each queue has, queues of as many together: `16 each for queues 0-7`. */
function spreadText(indirection: readonly number[]): string {
  const slots = new Map<number, number>()
  for (const queue of indirection) slots.set(queue, (slots.get(queue) ?? 0) + 1)
  const queues = new Map<number, number[]>()
  for (const [queue, count] of slots) queues.set(count, [...(queues.get(count) ?? []), queue])
  return [...queues].map(([count, list]) => (list.length === 1 ? `${count} for queue ${list[0]}` : `${count} each for queues ${cpuListText(list)}`)).join(', ')
}

function coalescingText({ coalescing }: InterfaceFacts): string {
  return Object.entries(coalescing ?? {})
    .map(([field, value]) => `${field}=${value}`)
    .join(', ')
}

/** By what they are; those that are off and stay so, most of all, are left out. */
function featureLines({ features }: InterfaceFacts): string[] {
  const named = (title: string, isOne: (feature: FeatureFacts) => boolean) => {
    const names = Object.entries(features).flatMap(([name, feature]) => (isOne(feature) ? [name] : []))
    return names.length === 0 ? [] : [`${title}: ${names.join(' ')}`]
  }
  const groups = [
    ...named('on', ({ on, fixed }) => on && !fixed),
    ...named('on, fixed', ({ on, fixed }) => on && fixed),
    ...named('off', ({ on, fixed, requested }) => !on && !fixed && !requested),
    ...named('off, though wanted on', ({ on, fixed, requested }) => !on && !fixed && requested),
  ]
  return groups.flatMap((text, index) => labelled(index === 0 ? 'offloads' : '', text))
}

function timestampsText({ timestamping }: InterfaceFacts): string {
  if (timestamping === undefined) return ''
  const { hardwareReceive, hardwareTransmit, softwareReceive, receiveFilters, ptpClock } = timestamping
  const hardware = [...(hardwareReceive ? [`receive${filtersText(receiveFilters)}`] : []), ...(hardwareTransmit ? ['transmit'] : [])]
  const parts = [
    ...(hardware.length === 0 ? [] : [`hardware ${hardware.join(' and ')}`]),
    ...(softwareReceive ? ['software receive'] : []),
    ...(ptpClock === undefined ? [] : [`clock /dev/ptp${ptpClock}`]),
  ]
  return parts.length === 0 ? 'none' : parts.join(', ')
}

/** Most NICs can stamp either every packet or those of PTP alone. */
function filtersText(filters: readonly string[]): string {
  const stamped = filters.filter((filter) => filter !== 'none')
  if (stamped.includes('all')) return ' (all)'
  if (stamped.length === 0) return filters.length === 0 ? '' : ' (none)'
  return stamped.every((filter) => filter.startsWith('ptp')) ? ' (PTP only)' : ` (${stamped.join(', ')})`
}

function xdpText({ xdpFeatures, xdpPrograms }: InterfaceFacts): string {
  const features = xdpFeatures === undefined ? [] : [xdpFeatures.length === 0 ? 'generic only' : xdpFeatures.join(' ')]
  const programs = xdpPrograms.map(({ mode, programId, name }) => `program ${programId}${name === undefined ? '' : ` ${name}`} (${mode})`)
  return [...features, ...programs].join(', ')
}

/** By each transmit queue, where that is set: CPUs whose packets go out by it, and receive queues whose flows do (`rx:0-3`). */
function xpsText({ transmitQueues }: InterfaceFacts): string {
  const set = transmitQueues.flatMap(({ queue, xpsCpus = [], xpsReceivers = [] }) => [
    ...(xpsCpus.length === 0 ? [] : [`tx-${queue}=${cpuListText(xpsCpus)}`]),
    ...(xpsReceivers.length === 0 ? [] : [`tx-${queue}=rx:${cpuListText(xpsReceivers)}`]),
  ])
  return set.join(', ')
}

/** `off` where no queue has it; where one has, the table of queues shows it. */
function rpsText({ receiveQueues }: InterfaceFacts): string {
  return receiveQueues.length === 0 || receiveQueues.some(isSteered) ? '' : 'off'
}

function isSteered({ rpsCpus, rpsFlowCount }: QueueFacts): boolean {
  return rpsCpus.length > 0 || rpsFlowCount > 0
}

/** Receive queues with their steering and their interrupts, as far as they have any, and the other interrupts. */
function tables({ receiveQueues, interrupts }: InterfaceFacts): string[][] {
  const steered = receiveQueues.some(isSteered)
  const serving = interrupts.filter(({ queue }) => queue !== undefined)
  const queues = [...new Set([...receiveQueues, ...serving].map(({ queue }) => queue ?? 0))].sort((a, b) => a - b)
  const receive = queues.flatMap((queue) => {
    const { rpsCpus, rpsFlowCount = 0 } = receiveQueues.find((it) => it.queue === queue) ?? {}
    const first = [`${queue}`, ...(steered ? [listText(rpsCpus), rpsFlowCount === 0 ? '-' : `${rpsFlowCount}`] : [])]
    const own = serving.filter((interrupt) => interrupt.queue === queue)
    if (serving.length === 0) return [first]
    return (own.length === 0 ? [INTERRUPT_HEAD.map(() => '-')] : own.map(interruptCells)).map((cells) => [...first, ...cells])
  })
  const head = ['RX QUEUE', ...(steered ? ['RPS CPUS', 'RPS FLOWS'] : []), ...(serving.length > 0 ? ['IRQ', ...INTERRUPT_HEAD.slice(1)] : [])]
  const others = interrupts.filter(({ queue }) => queue === undefined).map(interruptCells)
  return [steered || serving.length > 0 ? table(head, receive) : [], table(INTERRUPT_HEAD, others)].filter((lines) => lines.length > 0)
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  return rows.length === 0 ? [] : alignColumns([head, ...rows])
}

function interruptCells({ irq, name, effective, affinity, counts }: InterruptFacts): string[] {
  return [`${irq}`, name, listText(effective), listText(affinity), countsText(counts)]
}

function listText(cpus: readonly number[] | undefined): string {
  return cpus === undefined || cpus.length === 0 ? '-' : cpuListText(cpus)
}

/** The CPUs that took most: `3: 1207428, 11: 18`. */
function countsText(counts: InterruptFacts['counts']): string {
  const taken = Object.entries(counts).filter(([, count]) => count > 0)
  if (taken.length === 0) return '0'
  taken.sort((a, b) => b[1] - a[1])
  const shown = taken.slice(0, SHOWN_COUNTS).map(([cpu, count]) => `${cpu}: ${count}`)
  return taken.length > SHOWN_COUNTS ? `${shown.join(', ')}, ${taken.length - SHOWN_COUNTS} more` : shown.join(', ')
}
