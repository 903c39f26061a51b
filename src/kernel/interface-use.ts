/**
 * What the host uses an interface for, in plain words. AF_XDP takes packets away from the host: before that happens to an
 * interface which is no mirror port, someone must have meant it.
 */
import { alignUp } from '../bytes/align.js'
import { ipText } from '../bytes/ip.js'
import { CaptureError } from '../errors.js'
import { NLM_F_DUMP_FILTERED, NLMSG_ALIGNTO } from './abi/netlink.js'
import {
  IFA_ADDRESS,
  IFA_LOCAL,
  IFADDRMSG,
  RT_TABLE_LOCAL,
  RT_TABLE_MAIN,
  RTA_DST,
  RTA_GATEWAY,
  RTA_MULTIPATH,
  RTA_OIF,
  RTA_TABLE,
  RTA_VIA,
  RTM_F_CLONED,
  RTM_GETADDR,
  RTM_GETROUTE,
  RTM_NEWADDR,
  RTM_NEWROUTE,
  RTMSG,
  RTN_UNICAST,
  RTNEXTHOP,
  RTPROT_KERNEL,
  RTVIA,
} from './abi/rtnetlink.js'
import { AF_INET, AF_INET6 } from './abi/socket.js'
import { encodeAttributes, type Link, listLinks, type NetlinkMessage, numberOf, parseAttributes, RouteSocket, u32, viewOf } from './netlink.js'
import type { Kernel } from './system.js'

const MAX_REASONS = 8
/** Kinds whose IFLA_LINK is the other end of a pair; for all others it is what carries them. */
export const PAIRS: ReadonlySet<string> = new Set(['veth', 'netkit', 'vxcan', 'netdevsim'])

/** A full routing table must not become a list: the first reasons, and how many more there are. */
class Reasons {
  readonly texts: string[] = []
  more = 0

  add(text: string): void {
    if (this.texts.length >= MAX_REASONS) this.more++
    else if (!this.texts.includes(text)) this.texts.push(text)
  }
}

/**
 * What the host uses an interface of the calling thread's network namespace for, at most eight reasons and `and N more`; empty for
 * a mirror port. `address 192.0.2.1/24`, `member of br0`, `carries eth0.5`, `route default via 192.0.2.254`. Link-local IPv6 and
 * routes that the kernel made by itself do not count. NB: what another namespace has on top of it, such as a container's macvlan,
 * is not seen.
 * @throws CaptureError NO_SUCH_INTERFACE
 */
export function interfaceUse(kernel: Kernel, name: string, index: number): string[] {
  using socket = RouteSocket.open(kernel)
  socket.filterDumps()
  const reasons = [linkUse(listLinks(socket), name, index), addresses(socket, name, index), routes(socket, name, index)]
  const texts = reasons.flatMap((it) => it.texts)
  const shown = texts.slice(0, MAX_REASONS)
  const more = texts.length - shown.length + reasons.reduce((sum, it) => sum + it.more, 0)
  return more === 0 ? shown : [...shown, `and ${more} more`]
}

/** The default route through an interface of the calling thread's network namespace, in the words of `interfaceUse`; undefined without. */
export function defaultRoute(kernel: Kernel, name: string, index: number): string | undefined {
  using socket = RouteSocket.open(kernel)
  socket.filterDumps()
  const take = (found: string[], message: NetlinkMessage) => {
    const text = routeText(message, index)
    if (text?.startsWith('route default') && found.length === 0) found.push(text)
  }
  return socket.dump(name, 'RTM_GETROUTE dump', RTM_GETROUTE, routeRequest(index), (): string[] => [], take)[0]
}

/**
 * The default route that goes when an interface goes: its own, or that of a bridge, bond or VLAN on it, however high: `route default via
 * 192.0.2.254 over br0`; undefined without. NB: it does not look into other namespaces.
 */
export function carriedDefaultRoute(kernel: Kernel, name: string, index: number): string | undefined {
  using socket = RouteSocket.open(kernel)
  const links = listLinks(socket)
  const seen = new Set<number>()
  const waiting = [{ name, index }]
  for (let link = waiting.shift(); link !== undefined; link = waiting.shift()) {
    if (seen.has(link.index)) continue
    seen.add(link.index)
    const route = defaultRoute(kernel, link.name, link.index)
    if (route !== undefined) return link.index === index ? route : `${route} over ${link.name}`
    waiting.push(...uppersOf(links, link.index))
  }
  return undefined
}

/** Its bridge or bond, and what it carries. */
function uppersOf(links: readonly Link[], index: number): Link[] {
  const master = links.find((link) => link.index === index)?.master
  return links.filter((link) => link.index === master || isCarriedBy(link, index))
}

function isCarriedBy(link: Link, index: number): boolean {
  return link.lower === index && link.index !== index && !PAIRS.has(link.kind ?? '')
}

function linkUse(links: readonly Link[], name: string, index: number): Reasons {
  const reasons = new Reasons()
  const own = links.find((link) => link.index === index)
  if (own === undefined) throw new CaptureError('NO_SUCH_INTERFACE', `${name}: no interface ${index} in this network namespace`)
  if (own.master !== 0) reasons.add(`member of ${links.find((link) => link.index === own.master)?.name ?? `interface ${own.master}`}`)
  for (const link of links) {
    if (isCarriedBy(link, index)) reasons.add(`carries ${link.name}`)
  }
  return reasons
}

function addresses(socket: RouteSocket, name: string, index: number): Reasons {
  const request = new Uint8Array(IFADDRMSG.sizeof)
  viewOf(request).setUint32(IFADDRMSG.ifa_index, index, true)
  return socket.dump(
    name,
    'RTM_GETADDR dump',
    RTM_GETADDR,
    request,
    () => new Reasons(),
    (reasons, { type, body }) => {
      if (type !== RTM_NEWADDR || !isIp(body, IFADDRMSG.sizeof)) return
      if (viewOf(body).getUint32(IFADDRMSG.ifa_index, true) !== index) return
      const attributes = parseAttributes(body.subarray(IFADDRMSG.sizeof))
      const address = attributes.get(IFA_LOCAL) ?? attributes.get(IFA_ADDRESS)
      if (address !== undefined && !isLinkLocal(address)) reasons.add(`address ${ipText(address)}/${body[IFADDRMSG.ifa_prefixlen]}`)
    },
  )
}

function routeRequest(index: number): Uint8Array {
  return encodeAttributes([[RTA_OIF, u32(index)]], new Uint8Array(RTMSG.sizeof))
}

function routes(socket: RouteSocket, name: string, index: number): Reasons {
  const request = routeRequest(index)
  return socket.dump(
    name,
    'RTM_GETROUTE dump',
    RTM_GETROUTE,
    request,
    () => new Reasons(),
    (reasons, message) => {
      const text = routeText(message, index)
      if (text !== undefined) reasons.add(text)
    },
  )
}

/** Undefined for a route that goes elsewhere, or that is none of the administrator's or a routing protocol's. */
function routeText({ type, flags, body }: NetlinkMessage, index: number): string | undefined {
  if (type !== RTM_NEWROUTE || !isIp(body, RTMSG.sizeof)) return undefined
  if (body[RTMSG.rtm_type] !== RTN_UNICAST || body[RTMSG.rtm_protocol] === RTPROT_KERNEL) return undefined
  if ((viewOf(body).getUint32(RTMSG.rtm_flags, true) & RTM_F_CLONED) !== 0) return undefined
  const attributes = parseAttributes(body.subarray(RTMSG.sizeof))
  const table = attributes.has(RTA_TABLE) ? numberOf(attributes.get(RTA_TABLE)) : (body[RTMSG.rtm_table] as number)
  const destination = attributes.get(RTA_DST)
  if (table === RT_TABLE_LOCAL || (destination !== undefined && (isLinkLocal(destination) || isMulticast(destination)))) return undefined

  // With net.ipv4.nexthop_compat_mode=0 a route names a nexthop object only: that it goes out here, the filter has found.
  const hop = hopThrough(index, attributes) ?? ((flags & NLM_F_DUMP_FILTERED) !== 0 ? new Map<number, Uint8Array>() : undefined)
  if (hop === undefined) return undefined
  const gateway = hop.get(RTA_GATEWAY) ?? hop.get(RTA_VIA)?.subarray(RTVIA.rtvia_addr)
  const to = destination === undefined ? 'default' : `${ipText(destination)}/${body[RTMSG.rtm_dst_len]}`
  return `route ${to}${gateway === undefined ? '' : ` via ${ipText(gateway)}`}${table === RT_TABLE_MAIN ? '' : ` table ${table}`}`
}

/** The attributes of a route's next hop through the interface: its own, or those of one among several. */
function hopThrough(index: number, attributes: Map<number, Uint8Array>): Map<number, Uint8Array> | undefined {
  if (numberOf(attributes.get(RTA_OIF)) === index) return attributes
  const hops = attributes.get(RTA_MULTIPATH) ?? new Uint8Array(0)
  const words = viewOf(hops)
  for (let at = 0; at + RTNEXTHOP.sizeof <= hops.length; ) {
    const length = words.getUint16(at + RTNEXTHOP.rtnh_len, true)
    if (length < RTNEXTHOP.sizeof || at + length > hops.length) break
    if (words.getInt32(at + RTNEXTHOP.rtnh_ifindex, true) === index) return parseAttributes(hops.subarray(at + RTNEXTHOP.sizeof, at + length))
    at += alignUp(length, NLMSG_ALIGNTO)
  }
  return undefined
}

/** The family is the first byte of either header. */
function isIp(body: Uint8Array, headerBytes: number): boolean {
  return body.length >= headerBytes && (body[0] === AF_INET || body[0] === AF_INET6)
}

/** fe80::/10. An IPv4 address of 169.254.0.0/16 has been given by somebody, and counts. */
function isLinkLocal(address: Uint8Array): boolean {
  return address.length === 16 && address[0] === 0xfe && ((address[1] as number) & 0xc0) === 0x80
}

/** ff00::/8. */
function isMulticast(address: Uint8Array): boolean {
  return address.length === 16 && address[0] === 0xff
}
