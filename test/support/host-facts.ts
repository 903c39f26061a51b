/** Facts of machines that tests plan for. What a test is about it says itself; the rest is an ordinary machine. */
import type { Adjustable, CpuFacts, FeatureFacts, HostFacts, InterfaceFacts, InterruptFacts } from '#src/host/facts.js'
import { range } from './live.js'

/** Two hyperthreads a core, as Linux numbers them: first one of each core, then the other. */
export function cpuFacts(cores: number, { nodes = 1, threads = 2, governor }: { nodes?: number; threads?: number; governor?: string } = {}): CpuFacts[] {
  return range(cores * threads).map((cpu) => {
    const core = cpu % cores
    return { cpu, core, numaNode: Math.floor((core * nodes) / cores), governor }
  })
}

export function hostFacts(facts: Partial<HostFacts> = {}): HostFacts {
  const cpus = facts.cpus ?? cpuFacts(4)
  return {
    kernel: '6.8.0',
    architecture: 'x64',
    pageSizeBytes: 4096,
    memoryBytes: 64 * 2 ** 30,
    allowedCpus: cpus.map(({ cpu }) => cpu),
    irqbalance: { running: false, pid: undefined },
    sysctls: {
      'net.core.netdev_max_backlog': '1000',
      'net.core.netdev_budget': '300',
      'net.core.netdev_budget_usecs': '2000',
      'net.core.rmem_max': '212992',
      'net.core.optmem_max': '20480',
    },
    unread: [],
    ...facts,
    cpus,
  }
}

export function adjustable(current: number, maximum?: number): Adjustable {
  return { current, maximum }
}

export function feature(on: boolean, fixed = false, requested = on): FeatureFacts {
  return { on, fixed, requested }
}

export const SOME_FEATURES: Readonly<Record<string, FeatureFacts>> = {
  'rx-checksum': feature(true),
  'rx-gro': feature(true),
  'rx-lro': feature(true),
  'rx-gro-hw': feature(false, true),
  'rx-vlan-hw-parse': feature(true),
  'rx-hashing': feature(true),
}

export function queueInterrupts(name: string, queues: number, affinity: readonly number[], from = 57): InterruptFacts[] {
  return range(queues).map((queue) => ({
    irq: from + queue,
    name: `${name}-TxRx-${queue}`,
    queue,
    affinity: [...affinity],
    effective: [affinity[0] as number],
    counts: {},
  }))
}

/** A NIC of 10 Gbit/s with four queues, as its driver sets it up. */
export function nicFacts(facts: Partial<InterfaceFacts> = {}): InterfaceFacts {
  const name = facts.name ?? 'eth0'
  const queues = facts.rxQueues ?? 4
  return {
    name,
    index: 2,
    netns: undefined,
    up: true,
    operState: 'up',
    mac: '02:00:00:00:00:02',
    mtu: 1500,
    linkType: 1,
    kind: undefined,
    driver: 'ixgbe',
    driverVersion: undefined,
    firmware: undefined,
    bus: '0000:3b:00.0',
    numaNode: 0,
    speedMbps: 10_000,
    duplex: 'full',
    promiscuous: { on: false, count: 0, holders: [] },
    rxQueues: queues,
    txQueues: queues,
    channels: { combined: adjustable(queues, 63), rx: adjustable(0, 0), tx: adjustable(0, 0), other: adjustable(1, 1) },
    rings: { rx: adjustable(512, 4096), tx: adjustable(512, 4096) },
    rss: {
      indirection: range(128).map((slot) => slot % queues),
      key: 'a1b2c3d4e5'.repeat(8),
      symmetric: false,
      hashFunction: 'toeplitz',
      inputTransform: undefined,
    },
    flowHash: { tcp4: 'sdfn', udp4: 'sd', tcp6: 'sdfn', udp6: 'sd', sctp4: 'sd', sctp6: 'sd' },
    features: SOME_FEATURES,
    coalescing: { rx_coalesce_usecs: 1, use_adaptive_rx_coalesce: 0, rx_max_coalesced_frames: 0, tx_coalesce_usecs: 0 },
    timestamping: undefined,
    receiveQueues: range(queues).map((queue) => ({ queue, rpsCpus: [], rpsFlowCount: 0 })),
    transmitQueues: range(queues).map((queue) => ({ queue, xpsCpus: [queue] })),
    interrupts: queueInterrupts(name, queues, range(8)),
    xdpFeatures: undefined,
    xdpPrograms: [],
    use: [],
    defaultRoute: undefined,
    unread: [],
    ...facts,
  }
}

/** An end of a veth pair. */
export function vethFacts(facts: Partial<InterfaceFacts> = {}): InterfaceFacts {
  const queues = facts.rxQueues ?? 1
  return nicFacts({
    name: 'veth0',
    kind: 'veth',
    driver: 'veth',
    bus: undefined,
    numaNode: undefined,
    rxQueues: queues,
    channels: { combined: adjustable(0, 0), rx: adjustable(queues, 2), tx: adjustable(queues, 2), other: adjustable(0, 0) },
    rings: undefined,
    rss: undefined,
    flowHash: undefined,
    coalescing: undefined,
    features: { 'rx-gro': feature(true), 'rx-lro': feature(false, true), 'rx-vlan-hw-parse': feature(true) },
    transmitQueues: range(queues).map((queue) => ({ queue, xpsCpus: queues === 1 ? undefined : [] })),
    interrupts: [],
    ...facts,
  })
}
