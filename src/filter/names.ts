/** Names in a filter expression: which there are, and what a caller must know of them. Pure; the system's tables are read in host/. */
import type { Clause, FilterExpression, Primitive, Qualifiers } from './ast.js'

/** Looks names up, at once: what takes time is done before, for the names that `namesOf` tells. */
export interface NameTables {
  /** The port of a service, as /etc/services has it. */
  service(name: string, protocol: 'tcp' | 'udp'): number | undefined
  /** The number of an IP protocol, as /etc/protocols has it. */
  protocol(name: string): number | undefined
  /** The number of a network, as getnetbyname(3) gives it. */
  network(name: string): number | undefined
  /** Every address of a host, of 4 or of 16 bytes; none for an unknown one. */
  host(name: string): readonly Uint8Array[]
  /** The MAC address of a host, as /etc/ethers has it. */
  ether(name: string): Uint8Array | undefined
}

/** Knows no name. */
export const NO_NAMES: NameTables = {
  service: () => undefined,
  protocol: () => undefined,
  network: () => undefined,
  host: () => [],
  ether: () => undefined,
}

/** The names of an expression by the table that they are looked up in, each once. */
export interface FilterNames {
  services: string[]
  protocols: string[]
  networks: string[]
  hosts: string[]
  ethers: string[]
}

export function namesOf({ clause }: FilterExpression): FilterNames {
  const found = { services: new Set<string>(), protocols: new Set<string>(), networks: new Set<string>(), hosts: new Set<string>(), ethers: new Set<string>() }
  if (clause !== undefined) {
    forEachPrimitive(clause, (primitive) => {
      if (primitive.kind !== 'id' || primitive.value.kind !== 'name' || primitive.qualifiers === undefined) return
      for (const [table, name] of lookups(primitive.qualifiers, primitive.value.name)) found[table].add(name)
    })
  }
  return {
    services: [...found.services],
    protocols: [...found.protocols],
    networks: [...found.networks],
    hosts: [...found.hosts],
    ethers: [...found.ethers],
  }
}

function lookups({ protocol, type }: Qualifiers, name: string): [keyof FilterNames, string][] {
  switch (type) {
    case 'net':
      return [['networks', name]]
    case 'port':
      return [['services', name]]
    case 'portrange':
      return splitPortRange(name).map((half) => ['services', half])
    case 'proto':
    case 'protochain':
      return protocol === undefined || protocol === 'ip' || protocol === 'ip6' ? [['protocols', name]] : []
    case 'gateway':
      return [
        ['ethers', name],
        ['hosts', name],
      ]
    default:
      return [[protocol === 'link' ? 'ethers' : 'hosts', name]]
  }
}

/** The two ends of a port range, which are numbers or services; none where there is no hyphen. NB: libpcap splits at the first. */
export function splitPortRange(range: string): [] | [string, string] {
  const hyphen = range.indexOf('-')
  return hyphen < 0 ? [] : [range.slice(0, hyphen), range.slice(hyphen + 1)]
}

/** From left to right. */
export function forEachPrimitive(clause: Clause, visit: (primitive: Primitive) => void): void {
  if (clause.kind === 'not') forEachPrimitive(clause.clause, visit)
  else if (clause.kind === 'combination') {
    forEachPrimitive(clause.first, visit)
    for (const { clause: next } of clause.rest) forEachPrimitive(next, visit)
  } else visit(clause)
}
