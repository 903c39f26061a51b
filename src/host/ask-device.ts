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
import type { Answer, DeviceAnswers, LinkAnswer, PeerAnswer, PlacedLink, RelatedLink } from './device-answers.js'
import { macText } from './interfaces.js'
import { isStacked, MASTERS } from './stacked.js'

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
  const around = { kernel, route, control, link, all }
  return {
    link: linkAnswer(link, all),
    ...(link.kind === 'veth' && { peer: answerOf(() => otherEnd(around)) }),
    ...(isStacked(link) && { lowers: answerOf(() => lowersOf(around)) }),
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

/** The other end of a veth. @throws CaptureError when it is where this process does not come. */
function otherEnd(around: Around): PeerAnswer | undefined {
  return atLower(around, ({ name, txQueues }, { kernel, control, netns }) => ({
    name,
    netns,
    txQueues: channelsOf(kernel, control, name)?.tx ?? txQueues,
    features: answerOf(() => readFeatures(kernel, control, name)),
  }))
}

/** What it stands on, or the members of a bond, team or bridge. @throws CaptureError as above */
function lowersOf(around: Around): PlacedLink[] {
  const { link, all } = around
  if (MASTERS.has(link.kind ?? '')) return all.filter(({ master }) => master === link.index).map(({ name }) => ({ name }))
  const found = atLower(around, ({ name }, { netns }) => ({ name, ...(netns && { netns }) }))
  return found === undefined ? [] : [found]
}

interface Around {
  kernel: Kernel
  route: RouteSocket
  control: Descriptor
  link: Link
  all: readonly Link[]
}

interface Place {
  kernel: Kernel
  control: Descriptor
  /** Undefined for that of the link. */
  netns: string | undefined
}

/**
 * Looks at the link that another one stands on, in the namespace where that is; undefined where there is none.
 * @throws CaptureError when this process does not come there.
 */
function atLower<T>({ kernel, route, control, link, all }: Around, look: (lower: Link, place: Place) => T): T | undefined {
  const { name, lower, lowerElsewhere } = link
  const lookAmong = (links: readonly Link[], index: number, place: Place): T | undefined => {
    const found = links.find((it) => it.index === index)
    return found && look(found, place)
  }
  if (lowerElsewhere === undefined) return lookAmong(all, lower, { kernel, control, netns: undefined })
  const netns = namespaceOfId(kernel, route, lowerElsewhere.namespaceId)
  if (netns === undefined)
    throw new CaptureError('NO_SUCH_NAMESPACE', `${name}: neither a name nor a process leads to the network namespace of the other interface`, {
      syscall: 'RTM_GETNSID',
    })
  using namespace = openNamespace(kernel, netns)
  return withNamespace(kernel, namespace, () => {
    using there = RouteSocket.open(kernel)
    using device = openControlSocket(kernel)
    return lookAmong(listLinks(there), lowerElsewhere.index, { kernel, control: device, netns })
  })
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
    ...(link.vlanId !== undefined && { vlanId: link.vlanId }),
    rxQueues: link.rxQueues,
    txQueues: link.txQueues,
    promiscuity: link.promiscuity,
    master: master && related(master),
    uppers: uppers.map(related),
  }
}
