/** Findings about one interface, one small function each. Pure. Figures as in host-findings.ts. */
import { cpuListText } from '../../kernel/cpus.js'
import type { HostFacts, InterfaceFacts, InterruptFacts } from '../facts.js'
import { fine, type Verdict, wrong } from './finding.js'

type InterfaceFinding = (nic: InterfaceFacts, host: HostFacts) => Verdict

export const INTERFACE_FINDINGS: Readonly<Record<string, InterfaceFinding>> = {
  link: linkState,
  queues: queuesFinding,
  interrupts: interruptBalance,
  numa: numaFinding,
  gro: (nic) => merging(nic, 'rx-gro', 'GRO', 'gro'),
  'gro-hw': (nic) => merging(nic, 'rx-gro-hw', 'GRO of the NIC', 'rx-gro-hw'),
  lro: lroFinding,
  rxvlan: strippedTags,
  ring: ringSize,
  rss: rssFinding,
  rps: rpsFinding,
  xdp: attachedPrograms,
  use: hostUse,
}

function linkState({ name, up, operState }: InterfaceFacts): Verdict {
  if (!up) return wrong('limits', 'the interface is down', 'nothing arrives; a capture waits for it', `sudo ip link set ${name} up`)
  if (operState === 'down' || operState === 'lowerlayerdown')
    return wrong('limits', 'no carrier', 'nothing arrives', `ethtool ${name}; see to cable, transceiver and the other end`)
  return fine('up')
}

function isVirtual(nic: InterfaceFacts): boolean {
  return nic.kind !== undefined
}

function queuesFinding(nic: InterfaceFacts, host: HostFacts): Verdict {
  const { name, rxQueues, channels } = nic
  const cores = new Set(host.cpus.filter((it) => host.allowedCpus.includes(it.cpu)).map((it) => it.core)).size
  if (rxQueues >= cores) return fine(`${rxQueues} receive queues for ${cores} cores`)
  const kind = (channels?.combined.maximum ?? 0) > 0 ? 'combined' : 'rx'
  const most = channels?.[kind].maximum ?? 0
  const what = `${rxQueues === 1 ? '1 receive queue' : `${rxQueues} receive queues`} for ${cores} cores`
  const cost = 'one core takes in all that a queue gets: 4 Mpps of 12 with interrupts on one of 8 cores (the article, ixgbe)'
  if (most > rxQueues) return wrong('limits', what, cost, `sudo ethtool -L ${name} ${kind} ${Math.min(most, cores)}`)
  if (rxQueues > 1)
    return wrong('note', `${what}; the driver has no more`, 'cores without a queue can take packets by RPS only', `ringtap tune plan -i ${name}`)
  if (nic.receiveQueues.some((it) => it.rpsCpus.length > 1)) {
    return wrong('note', `${what}, spread by RPS`, 'one core still takes every packet from the driver before another works on it')
  }
  return wrong(
    'limits',
    `${what}; the driver has no more`,
    cost,
    `sudo ringtap tune apply -i ${name} (RPS: with one capture it gains little; see docs/host.md)`,
  )
}

/** The least share that all interrupts of a NIC have in common with an even spread, before it is called uneven. */
const UNEVEN = 2
/** Fewer say nothing. */
const ENOUGH_INTERRUPTS = 10_000

function interruptBalance(nic: InterfaceFacts): Verdict {
  const serving = nic.interrupts.filter((it) => it.queue !== undefined)
  if (serving.length < 2) return undefined
  const places = serving.map((it) => it.effective?.[0])
  const known = places.filter((it) => it !== undefined)
  const cpus = new Set(known)
  if (known.length === serving.length && cpus.size < serving.length) {
    return wrong(
      'limits',
      `${serving.length} receive queues interrupt ${cpus.size === 1 ? `CPU ${cpuListText([...cpus])} alone` : `only CPUs ${cpuListText([...cpus])}`}`,
      'cores that serve two queues are full first: 4 Mpps of 12 with all on one (the article, ixgbe)',
      `sudo ringtap tune apply -i ${nic.name}, or ${pinCommand(serving, places)}`,
    )
  }
  const counts = serving.map(interruptCount)
  const all = counts.reduce((a, b) => a + b, 0)
  const most = Math.max(...counts)
  if (all < ENOUGH_INTERRUPTS || most * serving.length < UNEVEN * all) return fine(`each of ${serving.length} queues interrupts a CPU of its own, about evenly`)
  const busiest = serving[counts.indexOf(most)] as InterruptFacts
  return wrong(
    'note',
    `queue ${busiest.queue} has ${Math.round((100 * most) / all)} % of the interrupts of ${serving.length} queues (${busiest.name})`,
    'RSS puts much traffic into one queue: a single tunnel, or traffic that is no IP; its core is full first',
    `ethtool -x ${nic.name}; ethtool -n ${nic.name} rx-flow-hash udp4`,
  )
}

function interruptCount({ counts }: InterruptFacts): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0)
}

/** The first that shares a CPU; tune does them all. */
function pinCommand(serving: readonly InterruptFacts[], places: readonly (number | undefined)[]): string {
  const at = places.findIndex((cpu, index) => places.indexOf(cpu) < index)
  return `echo CPU | sudo tee /proc/irq/${serving[at]?.irq}/smp_affinity_list`
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
    `taskset -c ${cpuListText(near)} ringtap capture -i ${nic.name} …`,
  )
}

function merging(nic: InterfaceFacts, feature: string, title: string, option: string): Verdict {
  if (nic.features[feature] === undefined) return undefined
  if (!nic.features[feature].on) return fine(`${title} is off`)
  const what = `${title} is on: packets of a flow are merged before a capture sees them`
  const cost = 'packets of up to 64 KiB that were never on the wire, wrong counts of packets a second, larger snap lengths'
  // A veth needs it for XDP, and merges only what has come merged.
  return wrong(isVirtual(nic) ? 'note' : 'limits', what, cost, `sudo ethtool -K ${nic.name} ${option} off`)
}

function lroFinding(nic: InterfaceFacts): Verdict {
  const lro = nic.features['rx-lro']
  if (lro === undefined) return undefined
  if (!lro.on) return fine('LRO is off')
  return wrong(
    'limits',
    'LRO is on: the NIC merges packets',
    'packets that were never on the wire, wrong counts; native XDP is refused',
    `sudo ethtool -K ${nic.name} lro off`,
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
    stripping.fixed ? undefined : `sudo ethtool -K ${nic.name} rxvlan off`,
  )
}

function ringSize({ name, rings }: InterfaceFacts): Verdict {
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
    `sudo ethtool -G ${name} rx ${maximum}`,
  )
}

function rssFinding({ name, rss, rxQueues }: InterfaceFacts): Verdict {
  if (rss === undefined || rxQueues < 2) return undefined
  const used = new Set(rss.indirection)
  if (used.size < rxQueues && rss.indirection.length >= rxQueues) {
    return wrong(
      'limits',
      `RSS spreads packets over ${used.size} of ${rxQueues} queues`,
      'cores of the others are idle',
      `sudo ethtool -X ${name} equal ${rxQueues}`,
    )
  }
  if (rss.symmetric) return fine('RSS spreads packets over all queues, both directions of a flow to one')
  return wrong(
    'note',
    'RSS puts the two directions of a flow into different queues',
    'with --fanout cpu or AF_XDP a worker sees one side of a flow; --fanout hash sees both',
    `ringtap tune plan -i ${name} (a symmetric key)`,
  )
}

function rpsFinding({ name, receiveQueues, rxQueues }: InterfaceFacts): Verdict {
  const on = receiveQueues.filter((it) => it.rpsCpus.length > 0)
  if (receiveQueues.length < 2 || rxQueues < 2) return undefined
  if (on.length === 0) return fine('RPS is off: queues do it')
  return wrong(
    'note',
    `RPS is on for ${on.length} of ${receiveQueues.length} queues`,
    'packets go from core to core before they are captured, through a backlog that may be full',
    `echo 0 | sudo tee /sys/class/net/${name}/queues/rx-*/rps_cpus`,
  )
}

function attachedPrograms({ name, xdpPrograms }: InterfaceFacts): Verdict {
  const [program] = xdpPrograms
  if (program === undefined) return fine('no XDP program is attached')
  return wrong(
    'note',
    `an XDP program is attached (${program.mode}, id ${program.programId}${program.name ? `, ${program.name}` : ''})`,
    'what it drops or redirects no packet socket sees; AF_XDP is refused while it is there',
    `bpftool prog show id ${program.programId}; sudo ip link set ${name} xdp off`,
  )
}

function hostUse({ use }: InterfaceFacts): Verdict {
  if (use.length === 0) return fine('the host itself does not use it: AF_XDP may take its packets')
  return wrong('note', `the host uses it: ${use.join(', ')}`, 'AF_XDP would take its packets away and is refused without --exclusive')
}
