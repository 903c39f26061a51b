/** Asks the kernel about one interface: rtnetlink, ethtool, netdev, sock_diag, bpf. */
import { CaptureError } from '../errors.js'
import { IF_OPER } from '../kernel/abi/rtnetlink.js'
import { programById } from '../kernel/bpf-program.js'
import type { Descriptor } from '../kernel/descriptor.js'
import { errnoName, errnoText } from '../kernel/errno.js'
import { openControlSocket } from '../kernel/ethtool.js'
import { readDriver, readLinkSettings, readTimestamping } from '../kernel/ethtool-device.js'
import { readFeatures } from '../kernel/ethtool-features.js'
import { readFlowHash } from '../kernel/ethtool-flow-hash.js'
import { coalescingFields } from '../kernel/ethtool-netlink.js'
import { channelsOf, readChannels, readCoalescing, readRings } from '../kernel/ethtool-queues.js'
import { readRss } from '../kernel/ethtool-rss.js'
import { defaultRoute, interfaceUse, PAIRS } from '../kernel/interface-use.js'
import { openNamespace, withNamespace } from '../kernel/namespace.js'
import { namespaceOfId } from '../kernel/namespace-id.js'
import { xdpFeatures } from '../kernel/netdev.js'
import { attachedXdp, getLink, type Link, listLinks, RouteSocket } from '../kernel/netlink.js'
import { promiscuousSockets } from '../kernel/packet-diag.js'
import type { Kernel } from '../kernel/system.js'
import type { Answer, DeviceAnswers, LinkAnswer, RelatedLink } from './device-answers.js'
import { macText } from './interfaces.js'

/**
 * Asks about an interface of the calling thread's network namespace. What does not answer says why.
 * @throws CaptureError NO_SUCH_INTERFACE
 */
export function askDevice(kernel: Kernel, interfaceName: string): DeviceAnswers {
  using route = RouteSocket.open(kernel)
  using control = openControlSocket(kernel)
  const link = getLink(route, interfaceName)
  const { name, index } = link
  const driver = <T>(read: (kernel: Kernel, control: Descriptor, name: string) => T | undefined) => answerOf(() => read(kernel, control, name))
  const all = listLinks(route)
  return {
    link: linkAnswer(link, all),
    ...(link.kind === 'veth' && { peerTxQueues: answerOf(() => peerTxQueues(kernel, route, control, link, all)) }),
    driver: driver(readDriver),
    settings: driver(readLinkSettings),
    channels: driver(readChannels),
    rings: driver(readRings),
    coalescing: driver(coalescingOf),
    rss: driver(readRss),
    flowHash: driver(readFlowHash),
    features: driver(readFeatures),
    timestamping: driver(readTimestamping),
    xdpFeatures: answerOf(() => xdpFeatures(kernel, name, index)),
    xdpPrograms: answerOf(() => attachedXdp(route, name).map((program) => ({ ...program, name: answerOf(() => programById(kernel, program.programId).name) }))),
    promiscuousSockets: answerOf(() => promiscuousSockets(kernel, index)),
    use: answerOf(() => interfaceUse(kernel, name, index)),
    defaultRoute: answerOf(() => defaultRoute(kernel, name, index)),
  }
}

/**
 * Transmit queues in use of the other end of a veth.
 * @throws CaptureError when it is where this process does not come.
 */
function peerTxQueues(
  kernel: Kernel,
  route: RouteSocket,
  control: Descriptor,
  { name, lower, lowerElsewhere }: Link,
  all: readonly Link[],
): number | undefined {
  if (lowerElsewhere === undefined) return txQueuesOf(kernel, control, all, lower)
  const path = namespaceOfId(kernel, route, lowerElsewhere.namespaceId)
  if (path === undefined)
    throw new CaptureError('NO_SUCH_NAMESPACE', `${name}: neither a name nor a process leads to the network namespace of its other end`, {
      syscall: 'RTM_GETNSID',
    })
  using namespace = openNamespace(kernel, path)
  return withNamespace(kernel, namespace, () => {
    using there = RouteSocket.open(kernel)
    using device = openControlSocket(kernel)
    return txQueuesOf(kernel, device, listLinks(there), lowerElsewhere.index)
  })
}

function txQueuesOf(kernel: Kernel, control: Descriptor, links: readonly Link[], index: number): number | undefined {
  const link = links.find((it) => it.index === index)
  return link && (channelsOf(kernel, control, link.name)?.tx ?? link.txQueues)
}

/** The fields that the driver has; all of them where the kernel does not tell which those are. */
function coalescingOf(kernel: Kernel, control: Descriptor, name: string): Readonly<Record<string, number>> | undefined {
  const all = readCoalescing(kernel, control, name)
  const fields = all && coalescingFields(kernel, name)
  return fields === undefined ? all : Object.fromEntries(fields.map((field) => [field, all?.[field] ?? 0]))
}

function answerOf<T>(ask: () => T | undefined): Answer<T> {
  try {
    return { value: ask() }
  } catch (error) {
    if (!(error instanceof CaptureError)) throw error
    const reason = error.errno === undefined ? error.message : `${errnoName(error.errno)}: ${errnoText(error.errno)}`
    return { unread: { source: error.syscall ?? error.message, reason } }
  }
}

function linkAnswer(link: Link, all: readonly Link[]): LinkAnswer {
  const related = ({ name, kind, promiscuity }: Link): RelatedLink => ({ name, kind, promiscuity })
  const master = all.find((other) => other.index === link.master)
  const uppers = all.filter((other) => other.lower === link.index && other.index !== link.index && !PAIRS.has(other.kind ?? ''))
  return {
    name: link.name,
    index: link.index,
    type: link.type,
    flags: link.flags,
    mtu: link.mtu,
    mac: macText(link.address),
    permanentMac: macText(link.permanentAddress),
    operState: IF_OPER[link.operState] ?? 'unknown',
    kind: link.kind,
    rxQueues: link.rxQueues,
    txQueues: link.txQueues,
    promiscuity: link.promiscuity,
    master: master && related(master),
    uppers: uppers.map(related),
  }
}
