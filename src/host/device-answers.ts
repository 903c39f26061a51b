/** What the kernel answers when it is asked about one interface, as plain data: facts are made of this and of files. */
import type { FlowHashFacts, UnreadFact } from './facts.js'

/** Another interface, and a path to its network namespace where that is another one. */
export interface PlacedLink {
  name: string
  netns?: string | undefined
}

export interface PeerAnswer extends PlacedLink {
  txQueues: number
  features: Answer<Readonly<Record<string, { on: boolean; fixed: boolean; requested: boolean }>>>
}

/** Neither of both: the driver does not have it, or the kernel does not tell. */
export interface Answer<T> {
  value?: T | undefined
  unread?: Pick<UnreadFact, 'source' | 'reason'> | undefined
}

/** Another interface that has to do with this one. */
export interface RelatedLink {
  name: string
  /** `bridge`, `vlan`; undefined for hardware. */
  kind?: string | undefined
  /** How many hold it promiscuous. */
  promiscuity: number
}

export interface LinkAnswer {
  name: string
  index: number
  /** ARPHRD_*. */
  type: number
  /** IFF_*. Of IFF_PROMISC only what was set by hand. */
  flags: number
  mtu: number
  mac?: string | undefined
  permanentMac?: string | undefined
  operState: string
  kind?: string | undefined
  vlanId?: number | undefined
  rxQueues: number
  txQueues: number
  promiscuity: number
  /** The bridge or bond that it is a part of. */
  master?: RelatedLink | undefined
  /** What stands on it: VLANs, macvlans. */
  uppers: RelatedLink[]
}

export interface LimitedAnswer {
  current: number
  maximum: number
}

export interface ProgramAnswer {
  mode: 'native' | 'generic' | 'offloaded'
  programId: number
  name: Answer<string>
}

export interface DeviceAnswers {
  link: LinkAnswer
  driver: Answer<{ driver: string; version: string; firmware: string; bus: string }>
  settings: Answer<{ speedMbps?: number | undefined; duplex?: 'full' | 'half' | undefined }>
  /** Of a veth: its other end. */
  peer?: Answer<PeerAnswer> | undefined
  /** Those that its packets come by. */
  lowers?: Answer<PlacedLink[]> | undefined
  channels: Answer<Record<'combined' | 'rx' | 'tx' | 'other', LimitedAnswer>>
  rings: Answer<Record<'rx' | 'tx', LimitedAnswer>>
  /** Fields that the driver has; before Linux 5.6 all, those that it has not 0. */
  coalescing: Answer<Readonly<Record<string, number>>>
  rss: Answer<{ indirection: number[]; key: string; hashFunction?: string | undefined; inputTransform: number }>
  flowHash: Answer<FlowHashFacts>
  features: Answer<Readonly<Record<string, { on: boolean; fixed: boolean; requested: boolean }>>>
  timestamping: Answer<{
    hardwareReceive: boolean
    hardwareTransmit: boolean
    softwareReceive: boolean
    receiveFilters?: string[] | undefined
    ptpClock?: number | undefined
  }>
  xdpFeatures: Answer<string[]>
  xdpPrograms: Answer<ProgramAnswer[]>
  /** Inodes of the packet sockets that hold it promiscuous. */
  promiscuousSockets: Answer<number[]>
  use: Answer<string[]>
  defaultRoute: Answer<string>
}
