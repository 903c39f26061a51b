/**
 * What is known of a machine and of one of its interfaces, as plain data: what planning, diagnosis and sizing work on. Nothing here
 * touches the kernel. `undefined` means that the machine does not tell; `unread` says what could not be read, and why.
 */

/** Something that would be known with more privilege, or on another kernel. */
export interface UnreadFact {
  /** `RSS key`, `interrupt counts`. */
  what: string
  /** Where it stands: a path, or a call. */
  source: string
  /** `EACCES: permission denied`, `EOPNOTSUPP: the driver does not tell`. */
  reason: string
}

export interface CpuFacts {
  cpu: number
  /** Physical core, unique over the machine: hyperthreads of one core share it. The CPU's own number where the machine does not tell. */
  core: number
  /** 0 where the machine has one node or does not tell. */
  numaNode: number
  /** `performance`, `schedutil`; undefined without frequency scaling. */
  governor: string | undefined
  /** Those that it may have; undefined where the machine does not tell. */
  availableGovernors?: readonly string[] | undefined
}

/** One line of /proc/interrupts that belongs to the interface. */
export interface InterruptFacts {
  irq: number
  /** As the driver named it: `eth0-TxRx-3`. */
  name: string
  /** Receive queue that it serves; undefined for others (link changes, control) and where the name does not tell. */
  queue: number | undefined
  /** /proc/irq/N/smp_affinity_list: where it may go. */
  affinity: number[] | undefined
  /** /proc/irq/N/effective_affinity_list: where it goes. */
  effective: number[] | undefined
  /** Interrupts so far, by CPU number. */
  counts: Readonly<Record<number, number>>
}

/** A number that may be changed, and how far. */
export interface Adjustable {
  current: number
  /** As preset by the driver. 0 or undefined: not adjustable. */
  maximum: number | undefined
}

export interface ChannelFacts {
  combined: Adjustable
  rx: Adjustable
  tx: Adjustable
  other: Adjustable
}

export interface RingFacts {
  rx: Adjustable
  tx: Adjustable
}

export interface RssFacts {
  /** Receive queue of each slot of the indirection table. */
  indirection: number[]
  /** Hash key as lower-case hexadecimal without separators; undefined where the driver has none or does not tell. */
  key: string | undefined
  /** Both directions of a flow reach one queue: the key repeats every two bytes (6d5a…), or the driver's symmetric-xor is on. */
  symmetric: boolean
  /** `toeplitz`, `xor`, `crc32`; undefined where the driver does not tell. */
  hashFunction: string | undefined
  /** RXH_XFRM_SYM_XOR or the like, Linux 6.8; undefined where the kernel does not tell. */
  inputTransform: number | undefined
}

export type FlowType = 'tcp4' | 'udp4' | 'tcp6' | 'udp6' | 'sctp4' | 'sctp6'

/**
 * What of a packet is hashed to choose its queue, by the kind of flow, in the letters of ethtool(8): `s` and `d` addresses, `f` and `n` ports, `v` VLAN,
 * `m` destination MAC address, `t` protocol, `e` TEID of GTP, `l` flow label; '' is nothing, `r` that the NIC throws it away. Only kinds that the driver knows.
 */
export type FlowHashFacts = Readonly<Partial<Record<FlowType, string>>>

/** As `ethtool -k` names it: `rx-gro`, `rx-lro`, `rx-vlan-hw-parse`. */
export interface FeatureFacts {
  on: boolean
  /** Changing it has no effect: [fixed] of ethtool. */
  fixed: boolean
  /** What was asked for, where the driver has not followed. */
  requested: boolean
}

/**
 * Kernel names of struct ethtool_coalesce: `rx_coalesce_usecs`, `use_adaptive_rx_coalesce`. Only fields that the driver has; before Linux 5.6,
 * which does not tell, all of them.
 */
export type CoalescingFacts = Readonly<Record<string, number>>

export interface TimestampingFacts {
  /** Of packets that `receiveFilters` names. */
  hardwareReceive: boolean
  hardwareTransmit: boolean
  softwareReceive: boolean
  /** What the hardware can stamp as it arrives, in the words of `ethtool -T`: `all`, `ptpv2-event`; `none` is that it may be off. */
  receiveFilters: string[]
  /** /dev/ptpN; undefined without a clock of its own. */
  ptpClock: number | undefined
}

/** What a receive queue has in sysfs, by queue. */
export interface QueueFacts {
  queue: number
  /** rps_cpus as a list of CPUs; empty is off. */
  rpsCpus: number[]
  /** rps_flow_cnt; 0 is off. */
  rpsFlowCount: number
}

export interface TransmitQueueFacts {
  queue: number
  /** xps_cpus as a list of CPUs; undefined where the driver has a single queue or no XPS. */
  xpsCpus: number[] | undefined
  /** xps_rxqs, since Linux 4.18: receive queues whose flows leave by it; undefined where there is no such file. */
  xpsReceivers?: number[] | undefined
}

export interface AttachedProgramFacts {
  mode: 'native' | 'generic' | 'offloaded'
  programId: number
  /** Undefined without the privilege to look. */
  name: string | undefined
}

/** Another interface. */
export interface LowerFacts {
  name: string
  /** A name of its network namespace, or a path; undefined for this process's. */
  netns: string | undefined
}

/** The other end of a veth. */
export interface PeerFacts extends LowerFacts {
  features: Readonly<Record<string, FeatureFacts>>
}

export interface InterfaceFacts {
  name: string
  index: number
  netns: string | undefined
  up: boolean
  operState: string
  mac: string | undefined
  /** That the hardware came with, which a bond leaves alone; undefined where there is none, and before Linux 5.6. */
  permanentMac?: string | undefined
  mtu: number
  /** ARPHRD_*. */
  linkType: number
  /** `veth`, `vlan`, `bridge`, … of rtnetlink; undefined for hardware and lo. */
  kind: string | undefined
  /** Of kind `vlan`. */
  vlanId?: number
  /** Of a VLAN, macvlan, ipvlan, bond, team or bridge: those that its packets come by, as far as they are to be seen. */
  lowers?: LowerFacts[]
  driver: string | undefined
  driverVersion: string | undefined
  firmware: string | undefined
  /** `0000:3b:00.0`; undefined for interfaces without a device. */
  bus: string | undefined
  /** Undefined where the machine does not tell or has one node. */
  numaNode: number | undefined
  speedMbps: number | undefined
  duplex: 'full' | 'half' | undefined
  /** IFF_PROMISC is in force, and how many hold it (IFLA_PROMISCUITY); `holders` names those that can be told: `sticky flag (ip link set promisc on)`, `packet socket of tcpdump (pid 4711)`, `bridge br0`. */
  promiscuous: { on: boolean; count: number; holders: string[] }
  /** Queues in use. */
  rxQueues: number
  txQueues: number
  /**
   * Of a veth: transmit queues in use of its other end, each of which fills the receive queue of its number. Undefined for others, and where
   * that is not to be read.
   */
  peerTxQueues?: number | undefined
  /** The other end of a veth; unset where that is out of reach. */
  peer?: PeerFacts
  channels: ChannelFacts | undefined
  rings: RingFacts | undefined
  rss: RssFacts | undefined
  /** `ethtool -n IFACE rx-flow-hash`; undefined where the driver does not tell, or hashes nothing at all. */
  flowHash: FlowHashFacts | undefined
  features: Readonly<Record<string, FeatureFacts>>
  coalescing: CoalescingFacts | undefined
  timestamping: TimestampingFacts | undefined
  /** Of virtio_net: numbers of the features that driver and host have agreed on, VIRTIO_NET_F_*. */
  virtioFeatures?: number[]
  /** /sys/class/net/X/threaded, Linux 5.12: 0 is off; unset where there is no such file. */
  threaded?: number
  receiveQueues: QueueFacts[]
  transmitQueues: TransmitQueueFacts[]
  /** Set where /sys of this process is that of another network namespace, or none: what is written there by hand would go astray. Unset where that is not to be told. */
  foreignSysfs?: true
  interrupts: InterruptFacts[]
  /** Of NETDEV_A_DEV_XDP_FEATURES, Linux 6.3: `basic`, `redirect`, `ndo-xmit`, `xsk-zerocopy`, `hw-offload`, `rx-sg`, `ndo-xmit-sg`; undefined where the kernel does not tell. */
  xdpFeatures: string[] | undefined
  xdpPrograms: AttachedProgramFacts[]
  /** What the host uses it for, in plain words: `address 192.0.2.1/24`. Empty for a mirror port. */
  use: string[]
  /** Its default route, in such words; undefined without. */
  defaultRoute: string | undefined
  unread: UnreadFact[]
}

export interface IrqBalance {
  running: boolean
  pid: number | undefined
}

export interface HostFacts {
  /** `uname -r`. */
  kernel: string
  /** `x64`, `arm64`. */
  architecture: string
  pageSizeBytes: number
  memoryBytes: number
  /** Online CPUs, ascending. */
  cpus: CpuFacts[]
  /** CPUs that this process may use (sched_getaffinity, which cgroups narrow). */
  allowedCpus: number[]
  /** CPUs that isolcpus or nohz_full keep the kernel's own work from, RPS with it; undefined where /sys does not tell. */
  isolatedCpus?: readonly number[] | undefined
  /** Undefined where /proc does not show other processes. */
  irqbalance: IrqBalance | undefined
  /** `net.core.netdev_max_backlog` and the others that matter to a capture; undefined where not to be read. */
  sysctls: Readonly<Record<string, string | undefined>>
  /** Of `sysctls` those that nobody may write from here: they are the machine's, and this is not its first network namespace. Unset where there are none. */
  readOnlySysctls?: readonly string[]
  unread: UnreadFact[]
}
