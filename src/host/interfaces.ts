/** Network interfaces as plain objects, and their counters: what `ringtap interfaces` prints and captures report as lost before any socket. */

import { CaptureError } from '../errors.js'
import { IFF_UP } from '../kernel/abi/if.js'
import { IF_OPER, RTNL_LINK_STATS64 } from '../kernel/abi/rtnetlink.js'
import { openControlSocket } from '../kernel/ethtool.js'
import { driverOf, speedOf } from '../kernel/ethtool-device.js'
import { channelsOf } from '../kernel/ethtool-queues.js'
import { openNamespace, withNamespace } from '../kernel/namespace.js'
import { getLink, listLinks, RouteSocket, readLinkStats } from '../kernel/netlink.js'
import type { Kernel } from '../kernel/system.js'

export interface NetworkInterface {
  index: number
  name: string
  /** Administratively up (IFF_UP). */
  up: boolean
  /** RFC 2863: `up`, `down`, `dormant`, ...; `unknown` for interfaces that have no carrier, such as lo. */
  operState: string
  /** `02:00:00:00:00:01`; undefined where there is no hardware address. */
  mac: string | undefined
  mtu: number
  /** Undefined where the interface does not tell. */
  driver: string | undefined
  /** Mbit/s; undefined while the link is down and for interfaces that have no speed. */
  speedMbps: number | undefined
  /** Receive queues in use, or those the device was made with where the driver does not tell. */
  rxQueues: number
  txQueues: number
  /** ARPHRD_*: 1 Ethernet, 772 loopback. */
  linkType: number
  /** What rtnetlink calls the kind: `veth`, `vlan`, `bridge`; undefined for hardware and lo. */
  kind: string | undefined
  /** The network namespace as it was asked for; undefined for this process's. */
  netns: string | undefined
}

export interface InterfaceScope {
  /** Network namespace: a name in /run/netns, a path, or a pid. Default: the calling thread's. */
  netns?: string | undefined
}

/** All interfaces of a namespace, by index. */
export function listInterfaces(kernel: Kernel, scope: InterfaceScope = {}): NetworkInterface[] {
  checkScope('listInterfaces()', scope)
  using namespace = scope.netns === undefined ? undefined : openNamespace(kernel, scope.netns)
  return withNamespace(kernel, namespace, () => {
    using route = RouteSocket.open(kernel)
    using control = openControlSocket(kernel)
    return listLinks(route).map((link) => {
      const channels = channelsOf(kernel, control, link.name)
      return {
        index: link.index,
        name: link.name,
        up: (link.flags & IFF_UP) !== 0,
        operState: IF_OPER[link.operState] ?? 'unknown',
        mac: macText(link.address),
        mtu: link.mtu,
        driver: driverOf(kernel, control, link.name),
        speedMbps: speedOf(kernel, control, link.name),
        rxQueues: channels?.rx ?? link.rxQueues,
        txQueues: channels?.tx ?? link.txQueues,
        linkType: link.type,
        kind: link.kind,
        netns: scope.netns,
      }
    })
  })
}

/** `02:00:00:00:00:01`; undefined for an empty address. */
export function macText(address: Uint8Array): string | undefined {
  if (address.length === 0) return undefined
  return Array.from(address, (byte) => byte.toString(16).padStart(2, '0')).join(':')
}

/** struct rtnl_link_stats64 as numbers, exact up to 2^53; since the interface was made. */
export interface InterfaceCounters {
  rxPackets: number
  rxBytes: number
  rxErrors: number
  /** Dropped for want of buffers, by driver or stack. */
  rxDropped: number
  /** Lost by the NIC because the host did not take them fast enough. */
  rxMissedErrors: number
  rxFifoErrors: number
  rxOverErrors: number
  rxLengthErrors: number
  rxCrcErrors: number
  rxFrameErrors: number
  /** Handed up and wanted by no protocol. */
  rxNoHandler: number
  /** For other hosts and dropped by IP: usual on a mirror port, where packet sockets have seen them. */
  rxOtherHostDropped: number
  multicast: number
  txPackets: number
  txBytes: number
  txErrors: number
  txDropped: number
}

/** Reads the counters of some interfaces again and again; one system call pair an interface. */
export interface InterfaceCountersReader extends Disposable {
  readonly interfaces: readonly { readonly name: string; readonly index: number }[]
  /** In the order of `interfaces`; undefined for one that has been removed. */
  read(): (InterfaceCounters | undefined)[]
  /** Idempotent. */
  close(): void
}

function checkScope(call: string, scope: unknown): void {
  if (typeof scope === 'object' && scope !== null) return
  throw new CaptureError('INVALID_OPTION', `Expected the options of ${call} to be an object, got ${scope === null ? 'null' : typeof scope}`)
}

/**
 * Opens a reader. Interfaces are followed by index, so a rename does no harm.
 * @throws CaptureError INVALID_OPTION, NO_SUCH_INTERFACE, NO_SUCH_NAMESPACE
 */
export function openInterfaceCounters(kernel: Kernel, interfaces: string | readonly string[], scope: InterfaceScope = {}): InterfaceCountersReader {
  const names = typeof interfaces === 'string' ? [interfaces] : interfaces
  if (!Array.isArray(names) || !names.every((name) => typeof name === 'string' && name !== '')) {
    throw new CaptureError('INVALID_OPTION', `openInterfaceCounters(): expected the name of an interface or an array of names, got ${String(interfaces)}`)
  }
  checkScope('openInterfaceCounters()', scope)
  using namespace = scope.netns === undefined ? undefined : openNamespace(kernel, scope.netns)
  const route = withNamespace(kernel, namespace, () => RouteSocket.open(kernel))
  const close = () => route.close()
  try {
    const links = names.map((name) => ({ name, index: getLink(route, name).index }))
    const read = () => links.map(({ name, index }) => countersOf(route, name, index))
    return { interfaces: links, read, close, [Symbol.dispose]: close }
  } catch (error) {
    close()
    throw error
  }
}

function countersOf(route: RouteSocket, name: string, index: number): InterfaceCounters | undefined {
  let stats: DataView
  try {
    stats = readLinkStats(route, name, index)
  } catch (error) {
    if (error instanceof CaptureError && error.code === 'NO_SUCH_INTERFACE') return undefined
    throw error
  }
  const word = (offset: number) => Number(stats.getBigUint64(offset, true))
  return {
    rxPackets: word(RTNL_LINK_STATS64.rx_packets),
    rxBytes: word(RTNL_LINK_STATS64.rx_bytes),
    rxErrors: word(RTNL_LINK_STATS64.rx_errors),
    rxDropped: word(RTNL_LINK_STATS64.rx_dropped),
    rxMissedErrors: word(RTNL_LINK_STATS64.rx_missed_errors),
    rxFifoErrors: word(RTNL_LINK_STATS64.rx_fifo_errors),
    rxOverErrors: word(RTNL_LINK_STATS64.rx_over_errors),
    rxLengthErrors: word(RTNL_LINK_STATS64.rx_length_errors),
    rxCrcErrors: word(RTNL_LINK_STATS64.rx_crc_errors),
    rxFrameErrors: word(RTNL_LINK_STATS64.rx_frame_errors),
    rxNoHandler: word(RTNL_LINK_STATS64.rx_nohandler),
    rxOtherHostDropped: word(RTNL_LINK_STATS64.rx_otherhost_dropped),
    multicast: word(RTNL_LINK_STATS64.multicast),
    txPackets: word(RTNL_LINK_STATS64.tx_packets),
    txBytes: word(RTNL_LINK_STATS64.tx_bytes),
    txErrors: word(RTNL_LINK_STATS64.tx_errors),
    txDropped: word(RTNL_LINK_STATS64.tx_dropped),
  }
}
