/** What a filter expression takes, in plain words. Pure. */
import type { Clause, Direction, FilterExpression, IdValue, Primitive, Protocol, Qualifiers } from './ast.js'
import { printable } from './filter-error.js'

/**
 * A sentence for each clause that `and` and `or` join at the outermost level, with a second one where a clause needs it. `vlan` says
 * where the outermost tag of a packet is, as in GenerateOptions.
 */
export function explainFilter({ text, clause }: FilterExpression, vlan: 'packet' | 'ancillary' = 'packet'): string[] {
  if (clause === undefined) return ['Every packet matches.']
  const explanation = new Explanation(text, UNTAGGED[vlan])
  const line = (opening: string, part: Clause) => printable([`${opening} ${explanation.of(part)}.`, ...explanation.takeNotes()].join(' '))
  if (clause.kind !== 'combination') return [line('The packet matches if', clause)]
  const mixed = new Set(clause.rest.map(({ operator }) => operator)).size > 1
  // NB: `a or b and c` is `(a or b) and c`.
  const joints = { and: mixed ? 'Of these, it must also be that' : 'And', or: mixed ? 'Or, in place of all that,' : 'Or' }
  const first = line('The packet matches if', clause.first)
  return [first, ...clause.rest.map(({ operator, clause: next }) => line(joints[operator], next))]
}

const UNTAGGED = {
  packet:
    "A packet with a VLAN tag does not count as such, here or further on, unless 'vlan' comes first; but sockets (ring, recv) get packets without their outermost tag, and take them for untagged.",
  ancillary: "A packet whose VLAN tag Linux has taken out counts as untagged, here and further on, unless 'vlan' comes first.",
} as const

const NAMES: Record<Protocol, string> = {
  link: 'Ethernet',
  ip: 'IPv4',
  ip6: 'IPv6',
  arp: 'ARP',
  rarp: 'RARP',
  sctp: 'SCTP',
  tcp: 'TCP',
  udp: 'UDP',
  icmp: 'ICMP',
  icmp6: 'ICMPv6',
  igmp: 'IGMP',
  igrp: 'IGRP',
  pim: 'PIM',
  vrrp: 'VRRP',
  carp: 'CARP',
  ah: 'AH',
  esp: 'ESP',
  atalk: 'AppleTalk',
  aarp: 'AppleTalk ARP',
  decnet: 'DECnet',
  lat: 'LAT',
  sca: 'SCA',
  moprc: 'MOP remote console',
  mopdl: 'MOP dump and load',
  iso: 'an ISO protocol',
  esis: 'ES-IS',
  isis: 'IS-IS',
  clnp: 'CLNP',
  l1: 'an IS-IS level 1 PDU',
  l2: 'an IS-IS level 2 PDU',
  iih: 'an IS-IS hello',
  lsp: 'an IS-IS link state PDU',
  snp: 'an IS-IS sequence numbers PDU',
  csnp: 'an IS-IS complete sequence numbers PDU',
  psnp: 'an IS-IS partial sequence numbers PDU',
  stp: 'spanning tree (802.1D)',
  ipx: 'IPX',
  netbeui: 'NetBEUI',
  radio: 'a radio header',
}

/** Over which IP the protocols are looked for. */
const OVER: Partial<Record<Protocol, string>> = {
  ...over('IPv4 or IPv6', ['sctp', 'tcp', 'udp', 'pim', 'ah', 'esp']),
  ...over('IPv4', ['icmp', 'igmp', 'igrp', 'vrrp', 'carp']),
  icmp6: 'IPv6',
}

function over(ip: string, protocols: readonly Protocol[]): Partial<Record<Protocol, string>> {
  return Object.fromEntries(protocols.map((protocol) => [protocol, ip]))
}

/** Goes from left to right, as what `vlan` and its like say holds for what follows. */
class Explanation {
  readonly #text: string
  readonly #untagged: string
  /** What the rest of the expression stands behind. */
  readonly #behind: string[] = []
  #saidUntagged = false
  #notes: string[] = []

  constructor(text: string, untagged: string) {
    this.#text = text
    this.#untagged = untagged
  }

  /** Sentences that go with what was explained since. */
  takeNotes(): string[] {
    const notes = this.#notes
    this.#notes = []
    return notes
  }

  of(clause: Clause): string {
    switch (clause.kind) {
      case 'not':
        return `it is not so that ${this.#inside(clause.clause)}`
      case 'combination':
        return [this.#inside(clause.first), ...clause.rest.map(({ operator, clause: next }) => `${operator} ${this.#inside(next)}`)].join(' ')
      default:
        return this.#primitive(clause)
    }
  }

  #inside(clause: Clause): string {
    return clause.kind === 'combination' ? `(${this.of(clause)})` : this.of(clause)
  }

  #primitive(primitive: Primitive): string {
    switch (primitive.kind) {
      case 'id':
        return atLinkLayer(primitive.qualifiers)
          ? identified(primitive.qualifiers, primitive.value)
          : this.#looking(identified(primitive.qualifiers, primitive.value))
      case 'protocol': {
        const ip = OVER[primitive.protocol]
        return this.#looking(`it is ${NAMES[primitive.protocol]}${ip === undefined ? '' : ` over ${ip}`}`)
      }
      case 'relation':
        return this.#relation(primitive)
      case 'broadcast':
        if (primitive.protocol === 'ip') return this.#looking('it is IPv4 to a broadcast address of the interface')
        return 'its Ethernet frame goes to the broadcast address'
      case 'multicast':
        if (primitive.protocol === 'ip' || primitive.protocol === 'ip6') return this.#looking(`it is ${NAMES[primitive.protocol]} to a multicast address`)
        return 'its Ethernet frame goes to a group address, broadcast being one'
      case 'less':
        return `it has at most ${bytes(primitive.value)}`
      case 'greater':
        return `it has at least ${bytes(primitive.value)}`
      case 'byte':
        return `byte ${primitive.offset} of its link header ${BYTE_TESTS[primitive.operator].replace('%', String(primitive.value))}`
      case 'inbound':
        return 'it was not sent by this machine'
      case 'outbound':
        return 'it was sent by this machine'
      case 'ifindex':
        return `it passed the interface with index ${primitive.value}`
      case 'pppoed':
        return this.#looking('it is PPPoE discovery')
      case 'llc':
        return this.#looking(`it is an 802.2 frame${primitive.type === undefined ? '' : ` of type ${primitive.type.toUpperCase()}`}`)
      default:
        return this.#encapsulated(primitive)
    }
  }

  #relation(relation: Primitive & { kind: 'relation' }): string {
    const loads = loadsOf(relation)
    const transports = loads.filter((protocol) => OVER[protocol] !== undefined && protocol !== 'icmp6').map((protocol) => NAMES[protocol])
    const reach = transports.length === 0 ? '' : `, where ${transports.join(' and ')} over IPv4 is read, of fragments the first alone`
    const words = `'${this.#text.slice(relation.start, relation.end)}' holds${reach}`
    return loads.some((protocol) => protocol !== 'link') ? this.#looking(words) : words
  }

  #encapsulated({ kind, value }: Primitive & { value: number | undefined }): string {
    const { what, number, behind } = ENCAPSULATIONS[kind as keyof typeof ENCAPSULATIONS]
    const words = `it ${what}${value === undefined ? '' : ` with ${number} ${value}`}`
    const place = this.#behind.length === 0 ? words : `${words}, ${this.#place()}`
    this.#behind.push(behind)
    this.#notes.push(`All that follows is looked for behind ${behind}, after 'or' too.`)
    return place
  }

  #place(): string {
    const depth = this.#behind.length
    return depth > 3 ? `behind ${depth} headers, of which ${this.#behind[depth - 1]} is the last` : `behind ${this.#behind.toReversed().join(' behind ')}`
  }

  /** Headers are read behind what came before, or else right behind the link header, and then not behind a tag. */
  #looking(words: string): string {
    if (this.#behind.length > 0) return `${words}, ${this.#place()}`
    if (!this.#saidUntagged) this.#notes.push(this.#untagged)
    this.#saidUntagged = true
    return words
  }
}

const ENCAPSULATIONS = {
  vlan: { what: 'has a VLAN tag', number: 'id', behind: 'the tag' },
  mpls: { what: 'has an MPLS label', number: 'value', behind: 'the label' },
  pppoes: { what: 'belongs to a PPPoE session', number: 'number', behind: 'the PPPoE header' },
  geneve: { what: 'is Geneve, UDP to port 6081,', number: 'network identifier', behind: 'the Geneve header' },
  vxlan: { what: 'is VXLAN, UDP to port 4789,', number: 'network identifier', behind: 'the VXLAN header' },
} as const

const BYTE_TESTS = { '=': 'is %', '<': 'is less than %', '>': 'is more than %', '&': 'has a bit of %', '|': 'or %, bit by bit, is not 0' } as const

function bytes(count: number): string {
  return count === 1 ? '1 byte' : `${count} bytes`
}

/** The protocols whose headers a relation reads. */
function loadsOf(relation: Primitive & { kind: 'relation' }): Protocol[] {
  const loads = new Set<Protocol>()
  const pending = [relation.left, relation.right]
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    if (next.kind === 'binary') pending.push(next.right, next.left)
    else if (next.kind === 'negate') pending.push(next.operand)
    else if (next.kind === 'load') {
      loads.add(next.protocol)
      pending.push(next.offset)
    }
  }
  return [...loads]
}

/** Addresses in the link header itself, which a tag does not move. */
function atLinkLayer(qualifiers: Qualifiers | undefined): boolean {
  return qualifiers?.protocol === 'link' && (qualifiers.type === undefined || qualifiers.type === 'host')
}

const MOVES: Partial<Record<Direction, string>> = { src: 'comes from', dst: 'goes to', 'src and dst': 'comes from and goes to' }

function identified(qualifiers: Qualifiers | undefined, value: IdValue): string {
  if (qualifiers === undefined) return `it has to do with ${shown(value)}`
  const { protocol, direction, type } = qualifiers
  const moves = MOVES[direction ?? 'src or dst'] ?? 'comes from or goes to'
  switch (type) {
    case 'port':
    case 'portrange': {
      const protocols = protocol === undefined ? 'TCP, UDP or SCTP' : NAMES[protocol]
      return `it is ${protocols} over IPv4 or IPv6 and ${moves} ${type === 'port' ? 'port' : 'a port of'} ${shown(value)}`
    }
    case 'proto':
      return protocol === 'link' ? `its Ethernet type is ${shown(value)}` : `the protocol in its ${ipHeader(protocol)} header is ${shown(value)}`
    case 'protochain':
      return `protocol ${shown(value)} is among the first headers behind its ${ipHeader(protocol)} header`
    case 'gateway':
      return `its Ethernet frame comes from or goes to ${shown(value)} and the packet does not`
    default:
      if (protocol === 'link') return `its Ethernet frame ${moves} ${shown(value)}`
      return `it ${moves} ${type === 'net' ? `an address in ${shown(value)}` : shown(value)}${family(protocol, value)}`
  }
}

function ipHeader(protocol: Protocol | undefined): string {
  return protocol === undefined ? 'IPv4 or IPv6' : NAMES[protocol]
}

/** In which headers an address is looked for. */
function family(protocol: Protocol | undefined, value: IdValue): string {
  if (protocol !== undefined) return ` by its ${NAMES[protocol]} addresses`
  return value.kind === 'ip6' ? '' : value.kind === 'name' ? ' by its IPv4, IPv6, ARP or RARP addresses' : ' by its IPv4, ARP or RARP addresses'
}

function shown(value: IdValue): string {
  switch (value.kind) {
    case 'name':
      return value.name
    case 'number':
      return String(value.value)
    case 'net4':
      return 'bits' in value.mask ? `${value.text}/${value.mask.bits}` : `${value.text} with the mask ${value.mask.text}`
    case 'ip6':
      return value.bits === undefined ? value.text : `${value.text}/${value.bits}`
    default:
      return value.text
  }
}
