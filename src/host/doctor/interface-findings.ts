/** Findings about one interface, one small function each. Pure. Figures as in host-findings.ts. */
import { cpuListText } from '../../kernel/cpus.js'
import type { FeatureFacts, HostFacts, InterfaceFacts, InterruptFacts, LowerFacts } from '../facts.js'
import { isStacked, lowerText, unknownLowerText } from '../stacked.js'
import { filledQueues, isHeldByPeer, otherEndText, rssReach, wantedChannels } from '../tuning/channels.js'
import { commandFor, inNamespace, inOwnSysfs, queueFiles, quoted, ringtapCommand } from '../tuning/command.js'
import { chooseCpus } from '../tuning/cpus.js'
import { isDiscarded, type WeakFlow, weakFlows } from '../tuning/flow-hash.js'
import { feedsXdpByGro } from '../tuning/offloads.js'
import { TUNED_FLOWS } from '../tuning/setting.js'
import { isVeth } from '../tuning/step.js'
import { fine, type Verdict, wrong } from './finding.js'

type InterfaceFinding = (nic: InterfaceFacts, host: HostFacts) => Verdict

/** Of the first interface that packets come by: it says nothing of one that stands on others. */
function ofDevice(find: InterfaceFinding): InterfaceFinding {
  return (nic, host) => (isStacked(nic) ? undefined : find(nic, host))
}

export const INTERFACE_FINDINGS: Readonly<Record<string, InterfaceFinding>> = {
  link: linkState,
  lower: lowerFinding,
  queues: ofDevice(queuesFinding),
  interrupts: ofDevice(interruptBalance),
  threaded: ofDevice(threadedFinding),
  numa: ofDevice(numaFinding),
  gro: ofDevice((nic) => merging(nic, 'rx-gro', 'GRO', 'gro')),
  'gro-hw': ofDevice((nic) => merging(nic, 'rx-gro-hw', 'GRO of the NIC', 'rx-gro-hw')),
  lro: ofDevice(lroFinding),
  segmentation: segmentationFinding,
  rxvlan: ofDevice(strippedTags),
  ring: ofDevice(ringSize),
  rss: ofDevice(rssFinding),
  'flow-hash': ofDevice(flowHashFinding),
  rps: ofDevice(rpsFinding),
  xdp: attachedPrograms,
  use: hostUse,
}

/** As root, in the namespace of the interface. */
function asRoot(nic: InterfaceFacts, command: string): string {
  return `sudo ${inNamespace(nic, command)}`
}

/** What only looks takes no privilege, but to enter a namespace. */
function looking(nic: InterfaceFacts, command: string): string {
  return nic.netns === undefined ? command : asRoot(nic, command)
}

/** `ethtool -K eth0 gro off`. */
function ethtool(nic: InterfaceFacts, option: string, rest: string): string {
  return asRoot(nic, `ethtool ${option} ${quoted(nic.name)} ${rest}`)
}

function planCommand(nic: InterfaceFacts): string {
  return `${nic.netns === undefined ? '' : 'sudo '}${ringtapCommand('tune plan', nic)}`
}

/** Refused on the interface of the default route, unless one says that one knows. */
function applyCommand(nic: InterfaceFacts, ...notes: string[]): [remedy: string, note: string | undefined] {
  const route = nic.defaultRoute?.replace(/^route /, '')
  const warning = route === undefined ? [] : [`it carries this host's ${route}: whoever is connected over it may be cut off`]
  const all = [...warning, ...notes].join('; ')
  const flag = route === undefined ? '' : ' --yes-i-may-lose-this-link'
  return [`sudo ${ringtapCommand('tune apply', nic)}${flag}`, all === '' ? undefined : all]
}

function linkState(nic: InterfaceFacts): Verdict {
  const { name, up, operState } = nic
  if (!up) return wrong('limits', 'the interface is down', 'nothing arrives; a capture waits for it', asRoot(nic, `ip link set dev ${quoted(name)} up`))
  if (operState === 'down' || operState === 'lowerlayerdown')
    return wrong('limits', 'no carrier', 'nothing arrives', looking(nic, `ethtool ${quoted(name)}`), 'see to cable, transceiver and the other end')
  return fine('up')
}

/** Those of its own namespace are examined with it. */
function lowerFinding(nic: InterfaceFacts): Verdict {
  if (!isStacked(nic)) return undefined
  const { lowers = [], netns } = nic
  const cost = 'whatever keeps packets from it down there was not looked at'
  if (lowers.length === 0) return wrong('note', unknownLowerText(nic), cost)
  const away = lowers.filter((lower) => lower.netns !== netns)
  const names = (all: readonly LowerFacts[]) => all.map((lower) => lowerText(lower, netns)).join(', ')
  if (away.length === 0) return fine(`its packets come by ${names(lowers)}`)
  return wrong('note', `its packets come by ${names(away)}`, cost, away.map((lower) => `sudo ${ringtapCommand('doctor', lower)}`).join(' && '))
}

/** Features with which a sender hands on frames that are cut later, or never (skb_gso_segment). */
const SEGMENTATION: readonly string[] = ['tx-tcp-segmentation', 'tx-tcp6-segmentation', 'tx-udp-segmentation', 'tx-generic-segmentation']

/**
 * NB: packet sockets see what is sent before the NIC cuts it, and a veth never cuts: what its other end sends arrives as it was made. TSO and GSO of an
 * interface are about what leaves by it, so of a veth those of the other end count for what arrives.
 */
function segmentationFinding(nic: InterfaceFacts): Verdict {
  const { peer, use } = nic
  const arriving = peer === undefined ? [] : segmenting(peer.features)
  const leaving = use.length === 0 ? [] : segmenting(nic.features)
  // What the other end of a veth does is not known where that is out of reach.
  if (peer === undefined && leaving.length === 0 && (isVeth(nic) || segmenting(nic.features).length === 0)) return undefined
  const shown = [
    ...(arriving.length > 0 && peer !== undefined ? [`${lowerText(peer, nic.netns)}, its other end, sends into it what TSO and GSO have not cut`] : []),
    ...(leaving.length > 0 ? ['what this host sends is captured before TSO and GSO cut it'] : []),
  ]
  if (shown.length === 0) return fine(peer === undefined ? 'TSO and GSO: the host sends nothing by it' : 'no TSO or GSO makes frames larger than the MTU')
  const remedies = [...(arriving.length > 0 && peer !== undefined ? [uncut(peer, arriving)] : []), ...(leaving.length > 0 ? [uncut(nic, leaving)] : [])]
  return wrong(
    'note',
    shown.join('; '),
    'frames of up to 64 KiB, larger than the MTU: they were never on a wire so, a snap length cuts them, and AF_XDP has no room for them',
    remedies.join(' && '),
  )
}

function segmenting(features: InterfaceFacts['features']): string[] {
  return SEGMENTATION.filter((name) => features[name]?.on === true)
}

/** ethtool's `tso` is all of TCP, `gso` is what software does, and neither is UDP of a NIC. */
function uncut({ name, netns }: LowerFacts, features: readonly string[]): string {
  const udp = features.includes('tx-udp-segmentation') ? ' tx-udp-segmentation off' : ''
  return `sudo ${inNamespace({ netns }, `ethtool -K ${quoted(name)} tso off gso off${udp}`)}`
}

function isVirtual(nic: InterfaceFacts): boolean {
  return nic.kind !== undefined
}

function queuesFinding(nic: InterfaceFacts, host: HostFacts): Verdict {
  const { rxQueues } = nic
  const filled = filledQueues(nic)
  const cores = usableCores(nic, host)
  const place = `${cores} ${cores === 1 ? 'core' : 'cores'}${isOfOneNode(nic, host) ? ` of NUMA node ${nic.numaNode}` : ''}`
  const what = `${rxQueues === 1 ? '1 receive queue' : `${rxQueues} receive queues`} for ${place}${filled < rxQueues ? `, and ${filled} of them filled` : ''}`
  if (filled >= cores) return fine(what)
  const cost = 'one core takes in all that a queue gets: 4 Mpps of 12 with interrupts on one of 8 cores (the article, ixgbe)'
  const wanted = wantedChannels(nic, cores)
  const most = `${what}; ${isHeldByPeer(nic, rxQueues) ? otherEndText(nic) : 'the driver has no more'}`
  if (wanted !== undefined && wanted.combined + wanted.rx > rxQueues)
    return wrong('limits', what, cost, `sudo ${commandFor({ kind: 'channels', value: wanted }, nic)}`)
  if (filled > 1) return wrong('note', most, 'cores without a queue can take packets by RPS only', planCommand(nic))
  if (nic.receiveQueues.some((it) => it.rpsCpus.length > 1)) {
    return wrong('note', `${what}, spread by RPS`, 'one core still takes every packet from the driver before another works on it')
  }
  return wrong('limits', most, cost, ...applyCommand(nic, 'RPS: with one capture it gains little; see docs/host.md'))
}

/** Those that tuning gives queues to, or fewer where this process may not use them. */
function usableCores(nic: InterfaceFacts, host: HostFacts): number {
  const allowed = { ...host, cpus: host.cpus.filter((it) => host.allowedCpus.includes(it.cpu)) }
  return Math.min(tunedCores(nic, host), tunedCores(nic, allowed))
}

function tunedCores(nic: InterfaceFacts, host: HostFacts): number {
  return chooseCpus(host, nic, {}).cpus.length
}

function isOfOneNode({ numaNode }: InterfaceFacts, { cpus, allowedCpus }: HostFacts): boolean {
  return cpus.some((it) => it.numaNode !== numaNode) && cpus.some((it) => it.numaNode === numaNode && allowedCpus.includes(it.cpu))
}

/** The least share that all interrupts of a NIC have in common with an even spread, before it is called uneven. */
const UNEVEN = 2
/** Fewer say nothing. */
const ENOUGH_INTERRUPTS = 10_000

interface ServingInterrupt extends InterruptFacts {
  queue: number
}

function interruptBalance(nic: InterfaceFacts, host: HostFacts): Verdict {
  const serving = nic.interrupts.filter((it): it is ServingInterrupt => it.queue !== undefined)
  const queues = new Set(serving.map((it) => it.queue)).size
  if (queues < 2) return undefined
  const shared = sharedCpu(nic, host, serving, queues)
  if (shared !== undefined) return shared
  const counts = serving.map(interruptCount)
  const all = counts.reduce((a, b) => a + b, 0)
  const most = Math.max(...counts)
  if (all < ENOUGH_INTERRUPTS || most * serving.length < UNEVEN * all) {
    const cpus = new Set(serving.map((it) => it.effective?.[0])).size
    return fine(`${cpus < queues ? `${queues} queues interrupt ${cpus} CPUs` : `each of ${queues} queues interrupts a CPU of its own`}, about evenly`)
  }
  const busiest = serving[counts.indexOf(most)] as ServingInterrupt
  return wrong(
    'note',
    `queue ${busiest.queue} has ${Math.round((100 * most) / all)} % of the interrupts of ${queues} queues (${busiest.name})`,
    'RSS puts much traffic into one queue: a single tunnel, or traffic that is no IP; its core is full first',
    `${looking(nic, `ethtool -x ${quoted(nic.name)}`)}; ${looking(nic, `ethtool -n ${quoted(nic.name)} rx-flow-hash udp4`)}`,
  )
}

/** A CPU that serves more queues than any needs to; undefined where there is none, or not all is known. */
function sharedCpu(nic: InterfaceFacts, host: HostFacts, serving: readonly ServingInterrupt[], queues: number): Verdict {
  const queuesOf = new Map<number, Set<number>>()
  for (const { queue, effective } of serving) {
    const cpu = effective?.[0]
    if (cpu === undefined) return undefined
    queuesOf.set(cpu, (queuesOf.get(cpu) ?? new Set()).add(queue))
  }
  const cores = tunedCores(nic, host)
  const [fullest = 0, its] = [...queuesOf].reduce((a, b) => (b[1].size > a[1].size ? b : a))
  // NB: there may be more queues than cores, with a driver that does not let their number be changed: then some share one, evenly.
  if (its.size <= Math.ceil(queues / cores)) return undefined
  const cpus = [...queuesOf.keys()]
  const what =
    cpus.length === 1
      ? `${queues} receive queues interrupt CPU ${fullest} alone`
      : cpus.length < Math.min(queues, cores)
        ? `${queues} receive queues interrupt only CPUs ${cpuListText(cpus)}`
        : `${its.size} of ${queues} receive queues interrupt CPU ${fullest}`
  const second = serving.filter((it) => it.effective?.[0] === fullest && it.queue !== Math.min(...its))[0]
  return wrong(
    'limits',
    what,
    'cores that serve two queues are full first: 4 Mpps of 12 with all on one (the article, ixgbe)',
    ...applyCommand(nic, `or by hand: echo CPU | sudo tee /proc/irq/${second?.irq}/smp_affinity_list`),
  )
}

function threadedFinding(nic: InterfaceFacts): Verdict {
  if (nic.threaded === undefined) return undefined
  if (nic.threaded === 0) return fine('packets are worked on where their queue interrupts')
  return wrong(
    'note',
    'NAPI is threaded: kernel threads take the packets off the queues',
    'the scheduler says on which CPU, not the interrupt: what was pinned to cores is not, and --fanout cpu follows the threads',
    threadsOff(nic),
  )
}

/** As with RPS below. */
function threadsOff(nic: InterfaceFacts): string {
  const file = `/sys/class/net/${quoted(nic.name)}/threaded`
  return nic.netns === undefined && nic.foreignSysfs !== true ? `echo 0 | sudo tee ${file}` : `sudo ${inOwnSysfs(nic, `echo 0 > ${file}`)}`
}

function interruptCount({ counts }: InterruptFacts): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0)
}

function numaFinding(nic: InterfaceFacts, host: HostFacts): Verdict {
  const { numaNode } = nic
  if (numaNode === undefined || new Set(host.cpus.map((it) => it.numaNode)).size < 2) return undefined
  const near = host.cpus.filter((it) => it.numaNode === numaNode).map((it) => it.cpu)
  const away = host.allowedCpus.filter((cpu) => !near.includes(cpu))
  if (away.length === 0) return fine(`all CPUs that may be used are on its NUMA node, ${numaNode}`)
  const isNone = away.length === host.allowedCpus.length
  return wrong(
    isNone ? 'limits' : 'note',
    `the NIC is on NUMA node ${numaNode}; ${isNone ? 'no CPU that may be used is' : `CPUs ${cpuListText(away)} are not`}`,
    'packets, rings and descriptors cross the link between the processors',
    `taskset -c ${cpuListText(near)} ${ringtapCommand('capture', nic)}`,
  )
}

function merging(nic: InterfaceFacts, feature: string, title: string, option: string): Verdict {
  const found = nic.features[feature]
  if (found === undefined) return undefined
  if (!found.on) return fine(`${title} is off`)
  const cost = 'packets of up to 64 KiB that were never on the wire, wrong counts of packets a second, larger snap lengths'
  if (feature === 'rx-gro' && feedsXdpByGro(nic)) {
    return wrong('note', 'GRO is on, and a veth needs it to take frames that XDP redirects: what is sent into it as TCP may be merged', cost)
  }
  const what = `${title} is on: packets of a flow are merged before a capture sees them`
  // What is merged on the way into software was mostly merged before.
  return wrong(isVirtual(nic) ? 'note' : 'limits', fixedText(what, found), cost, found.fixed ? undefined : ethtool(nic, '-K', `${option} off`))
}

function fixedText(what: string, { fixed }: FeatureFacts): string {
  return fixed ? `${what}; the driver does not let it be switched off` : what
}

function lroFinding(nic: InterfaceFacts): Verdict {
  const lro = nic.features['rx-lro']
  if (lro === undefined) return undefined
  if (!lro.on) return fine('LRO is off')
  return wrong(
    'limits',
    fixedText('LRO is on: the NIC merges packets', lro),
    'packets that were never on the wire, wrong counts; native XDP is refused',
    lro.fixed ? undefined : ethtool(nic, '-K', 'lro off'),
  )
}

function strippedTags(nic: InterfaceFacts): Verdict {
  const stripping = nic.features['rx-vlan-hw-parse']
  // A veth stands for what its peer would have done: it takes nothing out of frames.
  if (stripping === undefined || isVirtual(nic)) return undefined
  if (!stripping.on) return fine('VLAN tags stay in frames')
  return wrong(
    'note',
    'the NIC takes VLAN tags out of frames (rxvlan)',
    'packet sockets get them beside the packet; XDP programs and AF_XDP do not see them',
    stripping.fixed ? undefined : ethtool(nic, '-K', 'rxvlan off'),
  )
}

function ringSize(nic: InterfaceFacts): Verdict {
  const { rings } = nic
  if (rings === undefined) return undefined
  const { current, maximum = 0 } = rings.rx
  if (maximum === 0) return undefined
  if (current >= maximum) return fine(`the RX ring has all of its ${maximum} entries`)
  // At the rate of 10G that one of 8 queues gets.
  const ms = (entries: number) => ((entries / (14_880_952 / 8)) * 1000).toFixed(1)
  return wrong(
    'note',
    `the RX ring has ${current} of ${maximum} entries`,
    `holds ${ms(current)} ms instead of ${ms(maximum)} of 10G line rate on 8 queues while the kernel is busy; what does not fit is missed`,
    ethtool(nic, '-G', `rx ${maximum}`),
  )
}

function rssFinding(nic: InterfaceFacts): Verdict {
  const { rss, rxQueues } = nic
  if (rss === undefined || rxQueues < 2) return undefined
  const used = new Set(rss.indirection)
  const reached = Math.min(rxQueues, rssReach(nic))
  if (rss.indirection.length > 0 && used.size < reached) {
    return wrong(
      'limits',
      `RSS spreads packets over ${used.size} of ${rxQueues} queues`,
      'cores of the others are idle',
      ethtool(nic, '-X', `equal ${reached}`),
    )
  }
  if (rss.symmetric) return fine('RSS spreads packets over all queues, both directions of a flow to one')
  return wrong(
    'note',
    'RSS puts the two directions of a flow into different queues',
    'with --fanout cpu or AF_XDP a worker sees one side of a flow; --fanout hash sees both',
    planCommand(nic),
    'it plans a symmetric key',
  )
}

function flowHashFinding(nic: InterfaceFacts): Verdict {
  const told = TUNED_FLOWS.flatMap((flow) => nic.flowHash?.[flow] ?? [])
  if (told.length === 0 || nic.rxQueues < 2) return undefined
  const weak = weakFlows(nic)
  if (weak.length === 0) return fine(`RSS hashes ${told.every((fields) => fields.includes('s')) ? 'both addresses and both ports' : 'the ports'}`)
  const remedy = (flows: readonly WeakFlow[]) => flows.map(({ setting }) => `sudo ${commandFor(setting, nic)}`).join(' && ')
  const named = (flows: readonly WeakFlow[]) => flows.map(({ flow, fields }) => `${flow} (${fields || 'none'})`).join(', ')
  const discarded = weak.filter(({ fields }) => isDiscarded(fields))
  if (discarded.length > 0) return wrong('limits', `the NIC throws ${named(discarded)} away`, 'no capture sees any of it', remedy(discarded))
  return wrong(
    'note',
    `RSS does not hash both addresses and both ports of ${named(weak)}`,
    'what two hosts send each other, a flood from one address or a tunnel, may all go to one queue: its core is full first',
    remedy(weak),
  )
}

function rpsFinding(nic: InterfaceFacts): Verdict {
  const { receiveQueues, rxQueues, rss } = nic
  const on = receiveQueues.filter((it) => it.rpsCpus.length > 0)
  if (receiveQueues.length < 2 || rxQueues < 2) return undefined
  if (on.length === 0) return fine('RPS is off: queues do it')
  if (rss === undefined) return fine(`RPS is on for ${on.length} of ${receiveQueues.length} queues: without RSS nothing else spreads what comes to one`)
  return wrong(
    'note',
    `RPS is on for ${on.length} of ${receiveQueues.length} queues`,
    'packets go from core to core before they are captured, through a backlog that may be full',
    rpsOff(nic),
  )
}

/** A shell that is not root's cannot write there: tee does. */
function rpsOff(nic: InterfaceFacts): string {
  const files = queueFiles(nic, 'rx-*/rps_cpus')
  const inside = inOwnSysfs(nic, `echo 0 | tee ${files}`)
  return nic.netns === undefined && nic.foreignSysfs !== true ? `echo 0 | sudo tee ${files}` : `sudo ${inside}`
}

function attachedPrograms(nic: InterfaceFacts): Verdict {
  const [program] = nic.xdpPrograms
  if (program === undefined) return fine('no XDP program is attached')
  return wrong(
    'note',
    `an XDP program is attached (${program.mode}, id ${program.programId}${program.name ? `, ${program.name}` : ''})`,
    'what it drops or redirects no packet socket sees; AF_XDP is refused while it is there',
    `bpftool prog show id ${program.programId}; ${asRoot(nic, `ip link set dev ${quoted(nic.name)} xdp off`)}`,
  )
}

function hostUse({ use }: InterfaceFacts): Verdict {
  if (use.length === 0) return fine('the host itself does not use it: AF_XDP may take its packets')
  return wrong('note', `the host uses it: ${use.join(', ')}`, 'AF_XDP would take its packets away and is refused without --exclusive')
}
