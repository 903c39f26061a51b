/** The system's tables of names, for the names of one filter expression: the files below /etc, and the resolver for hosts. */
import { lookup } from 'node:dns/promises'
import { readFile } from 'node:fs/promises'
import { ip4Parts, macBytes } from '../filter/address-text.js'
import { ip6Bytes } from '../filter/lexer.js'
import { type FilterNames, type NameTables, namesOf } from '../filter/names.js'
import { parseFilter } from '../filter/parser.js'

/** Where names come from. */
export interface NameSources {
  /** The text of a file below /etc; empty where there is none. */
  file(name: 'services' | 'protocols' | 'networks' | 'ethers'): Promise<string>
  /** Addresses of a host as text; none for one that is unknown. */
  addresses(host: string): Promise<readonly string[]>
}

export const SYSTEM_SOURCES: NameSources = {
  async file(name) {
    try {
      return await readFile(`/etc/${name}`, 'utf8')
    } catch {
      return ''
    }
  },
  // getaddrinfo(3), which libpcap asks too: /etc/hosts, DNS and what else nsswitch.conf names.
  async addresses(host) {
    try {
      return (await lookup(host, { all: true })).map(({ address }) => address)
    } catch {
      return []
    }
  },
}

/**
 * Looks the names of a filter expression up, for `compileFilter` to take them.
 * @throws FilterError for a text that is no filter expression.
 */
export async function resolveFilterNames(text: string): Promise<NameTables> {
  return readNameTables(namesOf(parseFilter(text)))
}

/** Reads no more files than the names need. A name that is unknown is told by whoever compiles the expression. */
export async function readNameTables(names: FilterNames, sources: NameSources = SYSTEM_SOURCES): Promise<NameTables> {
  const read = async (name: Parameters<NameSources['file']>[0], wanted: readonly string[]) => (wanted.length === 0 ? [] : fieldsOf(await sources.file(name)))
  const [services, protocols, networks, ethers, hosts] = await Promise.all([
    read('services', names.services),
    read('protocols', names.protocols),
    read('networks', names.networks),
    read('ethers', names.ethers),
    Promise.all(names.hosts.map(async (host) => [host, (await sources.addresses(host)).flatMap(addressBytes)] as const)),
  ])
  const portOf = firstOfEach(services, ([name, port, ...aliases]) => [
    [name, ...aliases].map((each) => `${each}/${port?.split('/')[1]}`),
    Number.parseInt(port ?? '', 10),
  ])
  const protocolOf = firstOfEach(protocols, ([name, number, ...aliases]) => [[name, ...aliases], Number(number)])
  const networkOf = firstOfEach(networks, ([name, number, ...aliases]) => [[name, ...aliases], networkNumber(number)])
  // Here the name is behind what it stands for.
  const etherOf = firstOfEach(ethers, ([mac, name]) => [
    [name],
    /^[0-9A-Fa-f]{1,2}(:[0-9A-Fa-f]{1,2}){5}$/.test(mac ?? '') ? macBytes(mac as string) : undefined,
  ])
  const addressesOf = new Map(hosts)
  return {
    service: (name, protocol) => portOf.get(`${name}/${protocol}`),
    protocol: (name) => protocolOf.get(name),
    network: (name) => networkOf.get(name),
    host: (name) => addressesOf.get(name) ?? [],
    ether: (name) => etherOf.get(name),
  }
}

/** The words of each line, without comments. */
function fieldsOf(text: string): string[][] {
  return text
    .split('\n')
    .map((line) => line.replace(/#.*/, '').trim())
    .filter((line) => line !== '')
    .map((line) => line.split(/\s+/))
}

/** Of lines with the same name the first counts; lines without a value none. */
function firstOfEach<T extends number | Uint8Array>(
  lines: readonly string[][],
  entry: (fields: readonly string[]) => [names: readonly (string | undefined)[], value: T | undefined],
): Map<string, T> {
  const found = new Map<string, T>()
  for (const fields of lines) {
    const [names, value] = entry(fields)
    if (value === undefined || Number.isNaN(value)) continue
    for (const name of names) if (name !== undefined && !found.has(name)) found.set(name, value)
  }
  return found
}

/** As getnetbyname(3) has it from a file: what is short is filled with zeros at the right. */
function networkNumber(text: string | undefined): number | undefined {
  const parts = ip4Parts(text ?? '')
  return parts === undefined || parts.bits > 32 ? undefined : (parts.value << (32 - parts.bits)) >>> 0
}

function addressBytes(address: string): Uint8Array[] {
  const bytes = address.includes(':') ? ip6Bytes(address.replace(/%.*/, '')) : Uint8Array.from(address.split('.').map(Number))
  return bytes === undefined ? [] : [bytes]
}
