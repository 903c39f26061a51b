/** What `ringtap interfaces` prints. Pure. */
import type { InterfaceFacts } from '../host/index.js'
import type { NetworkInterface } from '../index.js'
import { alignColumns } from './human.js'

const HEAD = ['NAME', 'STATE', 'MAC', 'MTU', 'DRIVER', 'SPEED', 'RX QUEUES', 'TX QUEUES', 'NAMESPACE']
const RIGHT = new Set([3, 6, 7])

export function interfaceTable(interfaces: readonly NetworkInterface[]): string[] {
  const rows = interfaces.map((row) => [
    row.name,
    interfaceState(row),
    row.mac ?? '-',
    String(row.mtu),
    row.driver ?? row.kind ?? '-',
    row.speedMbps === undefined ? '-' : speedText(row.speedMbps),
    String(row.rxQueues),
    String(row.txQueues),
    row.netns ?? '-',
  ])
  return alignColumns([HEAD, ...rows], RIGHT)
}

export function interfacesDocument(interfaces: readonly NetworkInterface[]): string {
  return JSON.stringify({ type: 'interfaces', interfaces: interfaces.map(interfaceObject) })
}

function interfaceObject(row: NetworkInterface): object {
  const { name, index, up, operState, mac = null, mtu, driver = null, kind = null, speedMbps = null, rxQueues, txQueues, linkType, netns = null } = row
  return { name, index, state: interfaceState(row), up, operState, mac, mtu, driver, kind, speedMbps, rxQueues, txQueues, linkType, netns }
}

/** All that is known; null is what is not. */
export function factsDocument(facts: readonly InterfaceFacts[]): string {
  const interfaces = facts.map((it) => ({ ...it, state: interfaceState(it) }))
  return JSON.stringify({ type: 'interfaces', interfaces }, (_key, value: unknown) => value ?? null)
}

/** An interface that has no carrier to speak of, such as lo, is up when it is said to be. */
export function interfaceState(row: Pick<NetworkInterface, 'up' | 'operState'>): string {
  if (!row.up) return 'down'
  if (row.operState === 'unknown') return 'up'
  return row.operState === 'down' || row.operState === 'lowerlayerdown' ? 'no-carrier' : row.operState
}

export function speedText(mbps: number): string {
  return mbps >= 1000 ? `${mbps / 1000} Gbit/s` : `${mbps} Mbit/s`
}
