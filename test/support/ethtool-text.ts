/** What ethtool(8) and ip(8) print of an interface, and the facts of it in the same shape. */
import { spawnSync } from 'node:child_process'
import type { InterfaceFacts } from '#src/host/facts.js'

/** Names that ethtool gives to features by itself; it also prints groups of features, which are none. */
const ETHTOOL_NAMES: Readonly<Record<string, string>> = {
  'rx-checksumming': 'rx-checksum',
  'generic-segmentation-offload': 'tx-generic-segmentation',
  'generic-receive-offload': 'rx-gro',
  'large-receive-offload': 'rx-lro',
  'rx-vlan-offload': 'rx-vlan-hw-parse',
  'tx-vlan-offload': 'tx-vlan-hw-insert',
  'ntuple-filters': 'rx-ntuple-filter',
  'receive-hashing': 'rx-hashing',
}
const GROUPS: ReadonlySet<string> = new Set(['tx-checksumming', 'scatter-gather', 'tcp-segmentation-offload'])

/** Fields of `ethtool -c` by those of struct ethtool_coalesce. */
const COALESCING: Readonly<Record<string, string>> = {
  'Adaptive RX': 'use_adaptive_rx_coalesce',
  'Adaptive TX': 'use_adaptive_tx_coalesce',
  'stats-block-usecs': 'stats_block_coalesce_usecs',
  'sample-interval': 'rate_sample_interval',
  'pkt-rate-low': 'pkt_rate_low',
  'pkt-rate-high': 'pkt_rate_high',
  ...Object.fromEntries(
    ['rx', 'tx'].flatMap((way) =>
      ['', '-irq', '-low', '-high'].flatMap((kind) => [
        [`${way}-usecs${kind}`, `${way}_coalesce_usecs${kind.replace('-', '_')}`],
        // ethtool says rx-frames-irq, but rx-frame-low.
        [`${way}-frame${kind === '' || kind === '-irq' ? 's' : ''}${kind}`, `${way}_max_coalesced_frames${kind.replace('-', '_')}`],
      ]),
    ),
  ),
}

/** stdout; undefined where the command says that there is nothing to tell. */
function told(netns: string | undefined, command: string, ...words: string[]): string | undefined {
  const all = [command, ...words]
  const [first, ...rest] = netns === undefined ? all : ['nsenter', `--net=${netns}`, ...all]
  const { status, stdout, stderr } = spawnSync(first as string, rest, { encoding: 'utf8' })
  if (status === 0 && !/not supported/.test(stderr)) return stdout
  if (/not supported|No data available/.test(stdout + stderr)) return undefined
  throw new Error(`${all.join(' ')}: ${stderr}`)
}

/** `Name: value` lines, those of a section that comes again under its own head. */
function fields(text: string): Map<string, string> {
  return new Map([...text.matchAll(/^[ \t]*([^:\n]+):[ \t]*(.*?)[ \t]*$/gm)].map((match) => [match[1] as string, match[2] as string]))
}

const number = (text: string | undefined) => (text === undefined || text === 'n/a' ? 0 : Number(text))

/** Maxima and present settings of `ethtool -l` and `-g`. */
function limits(text: string | undefined, kinds: Readonly<Record<string, string>>): Record<string, unknown> | undefined {
  if (text === undefined) return undefined
  const [maxima = '', current = ''] = text.split('Current hardware settings:')
  return Object.fromEntries(
    Object.entries(kinds).map(([kind, label]) => [kind, { current: number(fields(current).get(label)), maximum: number(fields(maxima).get(label)) }]),
  )
}

export function accordingToEthtool(name: string, netns?: string): Record<string, unknown> {
  const ethtool = (...words: string[]) => told(netns, 'ethtool', ...words, name)
  const driver = fields(ethtool('-i') ?? '')
  const link = fields(ethtool() ?? '')
  const stamps = ethtool('-T') ?? ''
  const clock = fields(stamps).get('PTP Hardware Clock')
  const coalescing = ethtool('-c')?.replace(/^(Adaptive RX: .*?) {2}TX: /m, '$1\nAdaptive TX: ')
  return {
    driver: driver.get('driver') || undefined,
    version: driver.get('version') || undefined,
    firmware: driver.get('firmware-version') || undefined,
    bus: driver.get('bus-info') || undefined,
    speedMbps: link.get('Speed')?.startsWith('Unknown') === false ? Number.parseInt(link.get('Speed') as string, 10) : undefined,
    duplex: link.get('Duplex')?.startsWith('Unknown') === false ? link.get('Duplex')?.toLowerCase() : undefined,
    channels: limits(ethtool('-l'), { combined: 'Combined', rx: 'RX', tx: 'TX', other: 'Other' }),
    rings: limits(ethtool('-g'), { rx: 'RX', tx: 'TX' }),
    coalescing:
      coalescing &&
      Object.fromEntries(
        [...fields(coalescing)].flatMap(([label, value]) => {
          const field = COALESCING[label]
          if (field === undefined || value === 'n/a') return []
          return [[field, value === 'on' ? 1 : value === 'off' ? 0 : Number(value)]]
        }),
      ),
    features: Object.fromEntries(
      [...fields(ethtool('-k') ?? '')]
        .filter(([label]) => !GROUPS.has(label) && !label.startsWith('Features for'))
        .map(([label, value]) => [
          ETHTOOL_NAMES[label] ?? label,
          {
            on: value.startsWith('on'),
            fixed: value.endsWith('[fixed]'),
            wanted: value.endsWith('[requested on]') || (!value.includes('[') && value === 'on'),
          },
        ]),
    ),
    filters: (/Filter Modes:(.*(?:\n\t.*)*)/.exec(stamps.slice(stamps.indexOf('Hardware Receive')))?.[1] ?? '')
      .split(/\s+/)
      .filter((word) => word !== '' && word !== 'none'),
    timestamping: [/^\s*hardware-receive/m, /^\s*hardware-transmit/m, /^\s*software-receive/m].map((bit) => bit.test(stamps)),
    clock: clock === undefined || clock === 'none' ? undefined : Number(clock),
    rss: rssOf(ethtool('-x')),
    flowHash: flowHashOf(name, netns),
  }
}

/** What `ethtool -n` calls the fields, in its order, and the letters that `ethtool -N` takes for them. */
const HASH_FIELDS: Readonly<Record<string, string>> = {
  L2DA: 'm',
  'VLAN tag': 'v',
  'L3 proto': 't',
  'IP SA': 's',
  'IP DA': 'd',
  'L4 bytes 0 & 1 [TCP/UDP src port]': 'f',
  'L4 bytes 2 & 3 [TCP/UDP dst port]': 'n',
}

/** Of what `ethtool -n IFACE rx-flow-hash FLOW` prints. */
export function hashLetters(text: string): string {
  const [head = '', ...lines] = text.trimEnd().split('\n')
  if (head.endsWith('All matching flows discarded on RX')) return 'r'
  const fields = lines.filter((line) => line !== 'None')
  return fields.map((line) => HASH_FIELDS[line] ?? line).join('')
}

/** Letters by kind of flow; undefined where it knows none, and, as with ours, where no flow has any and there is no table. */
function flowHashOf(name: string, netns?: string): Record<string, string> | undefined {
  const answers = ['tcp4', 'udp4', 'tcp6', 'udp6', 'sctp4', 'sctp6'].flatMap((flow) => {
    const text = told(netns, 'ethtool', '-n', name, 'rx-flow-hash', flow)
    return text === undefined ? [] : [[flow, hashLetters(text)] as const]
  })
  const isNothing = answers.every(([, letters]) => letters === '') && rssOf(told(netns, 'ethtool', '-x', name)) === undefined
  return isNothing ? undefined : Object.fromEntries(answers)
}

/** The indirection table; ethtool that prints one has said everything else, too. */
function rssOf(text: string | undefined): number[] | undefined {
  const rows = [...(text ?? '').matchAll(/^\s*\d+:\s+([\d\s]+)$/gm)]
  return rows.length === 0 ? undefined : rows.flatMap((row) => (row[1] as string).trim().split(/\s+/).map(Number))
}

export function factsAsEthtool(facts: InterfaceFacts): Record<string, unknown> {
  const { driver, driverVersion: version, firmware, bus, speedMbps, duplex, channels, rings, coalescing, features, timestamping, rss, flowHash } = facts
  return {
    driver,
    version,
    firmware,
    bus,
    speedMbps,
    duplex,
    channels,
    rings,
    coalescing,
    features: Object.fromEntries(Object.entries(features).map(([name, { on, fixed, requested }]) => [name, { on, fixed, wanted: !fixed && requested }])),
    timestamping: [timestamping?.hardwareReceive, timestamping?.hardwareTransmit, timestamping?.softwareReceive].map((it) => it ?? false),
    filters: timestamping?.receiveFilters.filter((filter) => filter !== 'none') ?? [],
    clock: timestamping?.ptpClock,
    rss: rss?.indirection,
    flowHash,
  }
}

interface IpLink {
  ifindex: number
  mtu: number
  address?: string
  flags: string[]
  operstate: string
  promiscuity: number
  num_rx_queues: number
  linkinfo?: { info_kind?: string }
}

export function accordingToIp(name: string, netns?: string): Record<string, unknown> {
  const [link] = JSON.parse(told(netns, 'ip', '-d', '-j', 'link', 'show', 'dev', name) ?? '[]') as IpLink[]
  if (link === undefined) throw new Error(`ip shows no ${name}`)
  return {
    index: link.ifindex,
    mtu: link.mtu,
    mac: link.address,
    up: link.flags.includes('UP'),
    operState: link.operstate.toLowerCase(),
    kind: link.linkinfo?.info_kind,
    promiscuity: link.promiscuity,
  }
}

export function factsAsIp({ index, mtu, mac, up, operState, kind, promiscuous }: InterfaceFacts): Record<string, unknown> {
  return { index, mtu, mac, up, operState, kind, promiscuity: promiscuous.count }
}
