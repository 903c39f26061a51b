/** What a filter expression says, before names are looked up and before a link type is known. Pure. */
import type { Columns } from './filter-error.js'

/** Protocol qualifiers. `link` is what `ether`, `fddi`, `tr`, `wlan`, `ppp` and `slip` all mean: the link layer. */
export const PROTOCOLS = [
  'link',
  'ip',
  'ip6',
  'arp',
  'rarp',
  'sctp',
  'tcp',
  'udp',
  'icmp',
  'icmp6',
  'igmp',
  'igrp',
  'pim',
  'vrrp',
  'carp',
  'ah',
  'esp',
  'atalk',
  'aarp',
  'decnet',
  'lat',
  'sca',
  'moprc',
  'mopdl',
  'iso',
  'esis',
  'isis',
  'clnp',
  'l1',
  'l2',
  'iih',
  'lsp',
  'snp',
  'csnp',
  'psnp',
  'stp',
  'ipx',
  'netbeui',
  'radio',
] as const
export type Protocol = (typeof PROTOCOLS)[number]

/** The qualifiers of 802.11 addresses are understood and then refused. */
export type WirelessDirection = 'ra' | 'ta' | 'addr1' | 'addr2' | 'addr3' | 'addr4'
export type Direction = 'src' | 'dst' | 'src or dst' | 'src and dst' | WirelessDirection

export type IdType = 'host' | 'net' | 'port' | 'portrange' | 'gateway' | 'proto' | 'protochain'

/** What stands before an identifier; undefined is what was left out. */
export interface Qualifiers {
  protocol: Protocol | undefined
  direction: Direction | undefined
  type: IdType | undefined
}

export type IdValue =
  /** A host, port, port range, network or protocol, as `type` has it. */
  | { kind: 'name'; name: string }
  | { kind: 'number'; value: number }
  /** Two to four numbers with dots between, as written. */
  | { kind: 'ip4'; text: string }
  | { kind: 'net4'; text: string; mask: { text: string } | { bits: number } }
  | { kind: 'ip6'; text: string; bits: number | undefined }
  | { kind: 'mac'; text: string }
  | { kind: 'arcnet'; text: string }

export type BinaryOperator = '+' | '-' | '*' | '/' | '%' | '&' | '|' | '^' | '<<' | '>>'
export type Relation = '=' | '!=' | '>' | '>=' | '<' | '<='

export type Arithmetic = Columns &
  (
    | { kind: 'constant'; value: number }
    | { kind: 'length' }
    | { kind: 'load'; protocol: Protocol; offset: Arithmetic; size: number }
    | { kind: 'negate'; operand: Arithmetic }
    | { kind: 'binary'; operator: BinaryOperator; left: Arithmetic; right: Arithmetic }
  )

/** A tag or header that the rest of the expression stands behind. */
export type Encapsulation = 'vlan' | 'mpls' | 'pppoes' | 'geneve' | 'vxlan'

export type Primitive = Columns &
  (
    | { kind: 'id'; qualifiers: Qualifiers | undefined; value: IdValue }
    | { kind: 'protocol'; protocol: Protocol }
    | { kind: 'relation'; relation: Relation; left: Arithmetic; right: Arithmetic }
    | { kind: 'broadcast' | 'multicast'; protocol: Protocol | undefined }
    | { kind: 'less' | 'greater' | 'ifindex'; value: number }
    | { kind: 'byte'; offset: number; operator: '&' | '|' | '<' | '>' | '='; value: number }
    | { kind: 'inbound' | 'outbound' | 'pppoed' }
    | { kind: Encapsulation; value: number | undefined }
    | { kind: 'llc'; type: string | undefined }
  )

/** `and` and `or` bind alike and to the left, so an expression is a first clause and what follows, in order. */
export type Clause = Primitive | (Columns & { kind: 'not'; clause: Clause }) | (Columns & Combination)

export interface Combination {
  kind: 'combination'
  first: Clause
  rest: readonly { operator: 'and' | 'or'; clause: Clause }[]
}

export interface FilterExpression {
  text: string
  /** Undefined for an empty expression, which takes everything. */
  clause: Clause | undefined
}
