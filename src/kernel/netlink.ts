/**
 * rtnetlink: links made, changed, listed and deleted, and their counters, over one NETLINK_ROUTE socket. Requests are
 * synchronous; the kernel answers within the call. The socket acts in the network namespace that it was opened in.
 */

import { CaptureError } from '../errors.js'
import { ALTIFNAMSIZ, IFF_UP, IFNAMSIZ } from './abi/if.js'
import {
  NETLINK_CAP_ACK,
  NETLINK_EXT_ACK,
  NETLINK_GENERIC,
  NETLINK_GET_STRICT_CHK,
  NETLINK_ROUTE,
  NETLINK_SOCK_DIAG,
  NLA_TYPE_MASK,
  NLATTR,
  NLM_F_ACK,
  NLM_F_ACK_TLVS,
  NLM_F_CAPPED,
  NLM_F_CREATE,
  NLM_F_DUMP,
  NLM_F_DUMP_INTR,
  NLM_F_EXCL,
  NLM_F_REQUEST,
  NLMSG_ALIGNTO,
  NLMSG_DONE,
  NLMSG_ERROR,
  NLMSGERR,
  NLMSGERR_ATTR_MSG,
  NLMSGHDR,
  SOL_NETLINK,
} from './abi/netlink.js'
import {
  IF_STATS_MSG,
  IFINFOMSG,
  IFLA_ADDRESS,
  IFLA_ALT_IFNAME,
  IFLA_EXT_MASK,
  IFLA_IFNAME,
  IFLA_INFO_DATA,
  IFLA_INFO_KIND,
  IFLA_LINK,
  IFLA_LINK_NETNSID,
  IFLA_LINKINFO,
  IFLA_MASTER,
  IFLA_MTU,
  IFLA_NET_NS_FD,
  IFLA_NUM_RX_QUEUES,
  IFLA_NUM_TX_QUEUES,
  IFLA_OPERSTATE,
  IFLA_PERM_ADDRESS,
  IFLA_PROMISCUITY,
  IFLA_STATS_LINK_64,
  IFLA_STATS_LINK_64_FILTER,
  IFLA_VLAN_ID,
  IFLA_XDP,
  IFLA_XDP_ATTACHED,
  IFLA_XDP_DRV_PROG_ID,
  IFLA_XDP_HW_PROG_ID,
  IFLA_XDP_PROG_ID,
  IFLA_XDP_SKB_PROG_ID,
  RTEXT_FILTER_SKIP_STATS,
  RTM_DELLINK,
  RTM_GETLINK,
  RTM_GETSTATS,
  RTM_NEWLINK,
  RTM_NEWSTATS,
  RTM_SETLINK,
  RTNL_LINK_STATS64,
  VETH_INFO_PEER,
  XDP_ATTACHED_DRV,
  XDP_ATTACHED_HW,
  XDP_ATTACHED_SKB,
} from './abi/rtnetlink.js'
import { AF_NETLINK, MSG_TRUNC, SOCK_CLOEXEC, SOCK_RAW } from './abi/socket.js'
import { Descriptor } from './descriptor.js'
import { callFailed, EINTR, EINVAL, ENODEV } from './errno.js'
import type { Kernel } from './system.js'

/** The kernel cuts dumps to fit what the reader offered first, at most 32 KiB; one link with all its attributes stays well below. */
const ANSWER_BYTES = 64 * 1024
/** How often a dump is asked for again when the links changed under it. */
const DUMP_ATTEMPTS = 8
const EMPTY = new Uint8Array(0)

/** An attribute: bytes, a string (sent with its zero byte), or attributes nested in it. */
export type Attribute = readonly [type: number, value: Uint8Array | string | readonly Attribute[]]

export function u32(value: number): Uint8Array {
  return new Uint8Array(new Uint32Array([value]).buffer)
}

/** Attributes one after the other, each padded to 4 bytes, after `header`. */
export function encodeAttributes(attributes: readonly Attribute[], header: Uint8Array = EMPTY): Uint8Array<ArrayBuffer> {
  const values = attributes.map(([, value]) => {
    if (typeof value === 'string') return new TextEncoder().encode(`${value}\0`)
    return value instanceof Uint8Array ? value : encodeAttributes(value as readonly Attribute[])
  })
  const bytes = new Uint8Array(align(header.length) + values.reduce((sum, value) => sum + align(NLATTR.sizeof + value.length), 0))
  const words = new DataView(bytes.buffer)
  bytes.set(header)
  let at = align(header.length)
  attributes.forEach(([type], index) => {
    const value = values[index] as Uint8Array
    words.setUint16(at + NLATTR.nla_len, NLATTR.sizeof + value.length, true)
    words.setUint16(at + NLATTR.nla_type, type, true)
    bytes.set(value, at + NLATTR.sizeof)
    at += align(NLATTR.sizeof + value.length)
  })
  return bytes
}

/** The attributes in `bytes` by type, as views; a truncated one ends the list. */
export function parseAttributes(bytes: Uint8Array): Map<number, Uint8Array> {
  const attributes = new Map<number, Uint8Array>()
  const words = viewOf(bytes)
  let at = 0
  while (at + NLATTR.sizeof <= bytes.length) {
    const length = words.getUint16(at + NLATTR.nla_len, true)
    if (length < NLATTR.sizeof || at + length > bytes.length) break
    attributes.set(words.getUint16(at + NLATTR.nla_type, true) & NLA_TYPE_MASK, bytes.subarray(at + NLATTR.sizeof, at + length))
    at += align(length)
  }
  return attributes
}

/** A message of an answer; `body` is what follows struct nlmsghdr. */
export interface NetlinkMessage {
  type: number
  /** NLM_F_*. */
  flags: number
  body: Uint8Array
}

const PROTOCOLS = { NETLINK_ROUTE, NETLINK_GENERIC, NETLINK_SOCK_DIAG } as const

/** A netlink socket in the network namespace of the thread that made it. One request at a time; not to be shared between threads. */
export class NetlinkSocket implements Disposable {
  readonly #kernel: Kernel
  readonly #descriptor: Descriptor
  readonly #answer = new Uint8Array(new ArrayBuffer(ANSWER_BYTES))
  #sequence = 0

  constructor(kernel: Kernel, protocol: keyof typeof PROTOCOLS) {
    const fd = kernel.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, PROTOCOLS[protocol])
    if (fd < 0) throw callFailed({ subject: 'netlink', call: `socket(AF_NETLINK, SOCK_RAW, ${protocol})`, errno: fd })
    // Both only make errors say more; an old kernel that refuses them still answers.
    kernel.setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, u32(1))
    kernel.setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, u32(1))
    this.#kernel = kernel
    this.#descriptor = new Descriptor(kernel, fd)
  }

  /** Dumps take filters from now on, and must be well formed. An older kernel than 4.20 refuses, and answers with everything. */
  filterDumps(): void {
    this.#kernel.setsockopt(this.#descriptor.fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, u32(1))
  }

  /**
   * Sends one request and collects the answer up to its acknowledgement.
   * @throws CaptureError with the errno of the answer and the kernel's own words where it has some.
   */
  request(subject: string, call: string, type: number, flags: number, body: Uint8Array): NetlinkMessage[] {
    const start = (): NetlinkMessage[] => []
    // Copied: the next recv writes over it.
    return this.#fold(subject, call, type, flags, body, start, (messages, message) => messages.push({ ...message, body: message.body.slice() }))
  }

  /**
   * Dumps a table that may be long: `add` puts each message into what `start` made, and must not keep its body. Both are called
   * afresh when the table changed while it was read.
   * @throws CaptureError as `request` does.
   */
  dump<T>(subject: string, call: string, type: number, body: Uint8Array, start: () => T, add: (into: T, message: NetlinkMessage) => void): T {
    return this.#fold(subject, call, type, NLM_F_DUMP, body, start, add)
  }

  #fold<T>(subject: string, call: string, type: number, flags: number, body: Uint8Array, start: () => T, add: (into: T, message: NetlinkMessage) => void): T {
    for (let attempt = 1; ; attempt++) {
      const result = start()
      if (this.#exchange(subject, call, type, flags, body, (message) => add(result, message))) return result
      if (attempt === DUMP_ATTEMPTS) throw callFailed({ subject, call: `${call}: changed while it was read`, errno: EINTR })
    }
  }

  /** False when the answer is not of one piece. */
  #exchange(subject: string, call: string, type: number, flags: number, body: Uint8Array, take: (message: NetlinkMessage) => void): boolean {
    const fd = this.#descriptor.fd
    const sequence = ++this.#sequence
    const message = new Uint8Array(NLMSGHDR.sizeof + body.length)
    const header = new DataView(message.buffer)
    header.setUint32(NLMSGHDR.nlmsg_len, message.length, true)
    header.setUint16(NLMSGHDR.nlmsg_type, type, true)
    header.setUint16(NLMSGHDR.nlmsg_flags, NLM_F_REQUEST | NLM_F_ACK | flags, true)
    header.setUint32(NLMSGHDR.nlmsg_seq, sequence, true)
    message.set(body, NLMSGHDR.sizeof)
    const sent = this.#kernel.sendto(fd, message, 0)
    if (sent < 0) throw callFailed({ subject, call, errno: sent, capability: 'CAP_NET_ADMIN' })

    const answer = this.#answer
    const words = viewOf(answer)
    let whole = true
    for (;;) {
      const length = this.#kernel.recv(fd, answer, MSG_TRUNC)
      if (length === -EINTR) continue
      if (length < 0) throw callFailed({ subject, call: `${call}: recv`, errno: length })
      if (length > answer.length) throw new CaptureError('SYSTEM_CALL_FAILED', `${subject}: ${call}: an answer of ${length} bytes, room for ${answer.length}`)
      for (let at = 0; at + NLMSGHDR.sizeof <= length; ) {
        const size = words.getUint32(at + NLMSGHDR.nlmsg_len, true)
        if (size < NLMSGHDR.sizeof || at + size > length) break
        const kind = words.getUint16(at + NLMSGHDR.nlmsg_type, true)
        const kindFlags = words.getUint16(at + NLMSGHDR.nlmsg_flags, true)
        const start = at + NLMSGHDR.sizeof
        // What an earlier request that failed half way left in the socket is not ours.
        if (words.getUint32(at + NLMSGHDR.nlmsg_seq, true) === sequence) {
          if ((kindFlags & NLM_F_DUMP_INTR) !== 0) whole = false
          if (kind === NLMSG_ERROR || kind === NLMSG_DONE) {
            const errno = size >= NLMSGHDR.sizeof + 4 ? words.getInt32(start, true) : 0
            if (errno === 0) return whole
            throw refused(subject, call, errno, kind === NLMSG_ERROR ? extendedText(answer.subarray(start, at + size), kindFlags) : undefined)
          }
          take({ type: kind, flags: kindFlags, body: answer.subarray(start, at + size) })
        }
        at += align(size)
      }
    }
  }

  close(): void {
    this.#descriptor.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }
}

/** One that asks about links, addresses and routes. */
export class RouteSocket extends NetlinkSocket {
  static open(kernel: Kernel): RouteSocket {
    return new RouteSocket(kernel, 'NETLINK_ROUTE')
  }
}

function refused(subject: string, call: string, errno: number, text: string | undefined): CaptureError {
  const code = errno === -ENODEV ? { code: 'NO_SUCH_INTERFACE' as const } : {}
  return callFailed({ subject, call: text === undefined ? call : `${call}: ${text}`, errno, capability: 'CAP_NET_ADMIN', ...code })
}

/** NLMSGERR_ATTR_MSG of a struct nlmsgerr. */
function extendedText(body: Uint8Array, flags: number): string | undefined {
  if ((flags & NLM_F_ACK_TLVS) === 0 || body.length < NLMSGERR.sizeof) return undefined
  const repeated = (flags & NLM_F_CAPPED) !== 0 ? 0 : align(viewOf(body).getUint32(NLMSGERR.msg, true)) - NLMSGHDR.sizeof
  const text = parseAttributes(body.subarray(NLMSGERR.sizeof + repeated)).get(NLMSGERR_ATTR_MSG)
  return text === undefined ? undefined : textOf(text)
}

export interface Link {
  index: number
  name: string
  /** ARPHRD_*. */
  type: number
  /** IFF_*. NB: of IFF_PROMISC the kernel shows only what was set by hand (dev_get_flags); `promiscuity` says whether it is in force. */
  flags: number
  mtu: number
  /** Hardware address; empty where there is none. */
  address: Uint8Array
  /** That the hardware came with; empty where there is none, and before Linux 5.6. */
  permanentAddress: Uint8Array
  /** Index into IF_OPER. */
  operState: number
  /** `veth`, `vlan`, ...; undefined for hardware. */
  kind: string | undefined
  /** Of kind `vlan`. */
  vlanId?: number
  /** Index of the bridge, bond or the like that it is a part of; 0 for none. */
  master: number
  /** Index of the link that it stands on, for one end of a pair of the other; 0 for none in this namespace. */
  lower: number
  /** The same where it is in another namespace, by the number that this one has for it. */
  lowerElsewhere: { namespaceId: number; index: number } | undefined
  /** Queues that the device was made with, which may be more than it uses. */
  rxQueues: number
  txQueues: number
  /** How many hold it promiscuous. */
  promiscuity: number
}

const WITHOUT_STATS: Attribute = [IFLA_EXT_MASK, u32(RTEXT_FILTER_SKIP_STATS)]

/** All links of the socket's namespace, one dump. */
export function listLinks(socket: RouteSocket): Link[] {
  const body = encodeAttributes([WITHOUT_STATS], interfaceMessage(0))
  return socket.request('interfaces', 'RTM_GETLINK dump', RTM_GETLINK, NLM_F_DUMP, body).filter(isLink).map(linkOf)
}

/** By its name or an alternative one (`ip link property add altname`). @throws CaptureError NO_SUCH_INTERFACE */
export function getLink(socket: RouteSocket, name: string): Link {
  const link = linkNamed(socket, name)
  if (link === undefined) throw new CaptureError('NO_SUCH_INTERFACE', `${name}: RTM_GETLINK: no link in the answer`)
  return linkOf(link)
}

/** Where an XDP program runs: in the driver, for all skbs in the kernel, or on the card. */
export type XdpMode = 'native' | 'generic' | 'offloaded'

export interface AttachedXdp {
  mode: XdpMode
  programId: number
}

const XDP_MODES: readonly (readonly [mode: XdpMode, attached: number, attribute: number])[] = [
  ['native', XDP_ATTACHED_DRV, IFLA_XDP_DRV_PROG_ID],
  ['generic', XDP_ATTACHED_SKB, IFLA_XDP_SKB_PROG_ID],
  ['offloaded', XDP_ATTACHED_HW, IFLA_XDP_HW_PROG_ID],
]

/**
 * The XDP programs on an interface: none, one, or one in the driver or kernel and one on the card. Since Linux 4.13. By its index, where
 * that is known: a name may change, and come to be another's.
 * @throws CaptureError NO_SUCH_INTERFACE
 */
export function attachedXdp(socket: RouteSocket, name: string, index?: number): AttachedXdp[] {
  const link = index === undefined ? linkNamed(socket, name) : linkAt(socket, name, index)
  const nest = link && parseAttributes(link.body.subarray(IFINFOMSG.sizeof)).get(IFLA_XDP)
  if (nest === undefined) return []
  const attributes = parseAttributes(nest)
  const attached = attributes.get(IFLA_XDP_ATTACHED)?.[0]
  return XDP_MODES.flatMap(([mode, only, attribute]) => {
    // Before Linux 4.19 there was one program, and one attribute for its id.
    const programId = numberOf(attributes.get(attribute)) || (attached === only ? numberOf(attributes.get(IFLA_XDP_PROG_ID)) : 0)
    return programId === 0 ? [] : [{ mode, programId }]
  })
}

/** `name` is for errors. */
function linkAt(socket: RouteSocket, name: string, index: number): NetlinkMessage | undefined {
  return socket.request(name, 'RTM_GETLINK', RTM_GETLINK, 0, encodeAttributes([WITHOUT_STATS], interfaceMessage(index))).find(isLink)
}

/** What is too long for a name is an alternative one, which IFLA_IFNAME does not take. */
function linkNamed(socket: RouteSocket, name: string): NetlinkMessage | undefined {
  const { length } = new TextEncoder().encode(name)
  const isAlternative = length >= IFNAMSIZ
  if (length >= ALTIFNAMSIZ) throw noLink(name)
  const body = encodeAttributes([[isAlternative ? IFLA_ALT_IFNAME : IFLA_IFNAME, name], WITHOUT_STATS], interfaceMessage(0))
  try {
    return socket.request(name, 'RTM_GETLINK', RTM_GETLINK, 0, body).find(isLink)
  } catch (error) {
    // Before Linux 5.5 there are no such names, and nothing is asked for.
    if (isAlternative && error instanceof CaptureError && error.errno === EINVAL) throw noLink(name)
    throw error
  }
}

function noLink(name: string): CaptureError {
  return callFailed({ subject: name, call: 'RTM_GETLINK', errno: ENODEV, code: 'NO_SUCH_INTERFACE' })
}

function isLink(message: NetlinkMessage): boolean {
  return message.type === RTM_NEWLINK && message.body.length >= IFINFOMSG.sizeof
}

function linkOf(message: NetlinkMessage): Link {
  const words = viewOf(message.body)
  const attributes = parseAttributes(message.body.subarray(IFINFOMSG.sizeof))
  const info = parseAttributes(attributes.get(IFLA_LINKINFO) ?? EMPTY)
  const kind = info.get(IFLA_INFO_KIND) && textOf(info.get(IFLA_INFO_KIND) as Uint8Array)
  const vlanId = kind === 'vlan' ? parseAttributes(info.get(IFLA_INFO_DATA) ?? EMPTY).get(IFLA_VLAN_ID) : undefined
  const lower = numberOf(attributes.get(IFLA_LINK))
  const elsewhere = attributes.get(IFLA_LINK_NETNSID)
  return {
    index: words.getInt32(IFINFOMSG.ifi_index, true),
    name: textOf(attributes.get(IFLA_IFNAME) ?? EMPTY),
    type: words.getUint16(IFINFOMSG.ifi_type, true),
    flags: words.getUint32(IFINFOMSG.ifi_flags, true),
    mtu: numberOf(attributes.get(IFLA_MTU)),
    address: (attributes.get(IFLA_ADDRESS) ?? EMPTY).slice(),
    permanentAddress: (attributes.get(IFLA_PERM_ADDRESS) ?? EMPTY).slice(),
    operState: attributes.get(IFLA_OPERSTATE)?.[0] ?? 0,
    kind,
    ...(vlanId && { vlanId: viewOf(vlanId).getUint16(0, true) }),
    master: numberOf(attributes.get(IFLA_MASTER)),
    lower: elsewhere === undefined ? lower : 0,
    lowerElsewhere: elsewhere && { namespaceId: viewOf(elsewhere).getInt32(0, true), index: lower },
    rxQueues: numberOf(attributes.get(IFLA_NUM_RX_QUEUES)),
    txQueues: numberOf(attributes.get(IFLA_NUM_TX_QUEUES)),
    promiscuity: numberOf(attributes.get(IFLA_PROMISCUITY)),
  }
}

export interface VethEnd {
  name: string
  /** Descriptor of the network namespace that this end is to be in. */
  namespaceFd: number
  queues: number
  mtu: number
}

/** Makes a veth pair, both ends down, each in its namespace; each end has as many receive as transmit queues. */
export function createVethPair(socket: RouteSocket, end: VethEnd, peer: VethEnd): void {
  const describe = (it: VethEnd): Attribute[] => [
    [IFLA_IFNAME, it.name],
    [IFLA_MTU, u32(it.mtu)],
    [IFLA_NET_NS_FD, u32(it.namespaceFd)],
    [IFLA_NUM_TX_QUEUES, u32(it.queues)],
    [IFLA_NUM_RX_QUEUES, u32(it.queues)],
  ]
  const peerInfo = encodeAttributes(describe(peer), interfaceMessage(0))
  const info: Attribute[] = [
    [IFLA_INFO_KIND, 'veth'],
    [IFLA_INFO_DATA, [[VETH_INFO_PEER, peerInfo]]],
  ]
  const body = encodeAttributes([...describe(end), [IFLA_LINKINFO, info]], interfaceMessage(0))
  const call = `RTM_NEWLINK(veth, peer ${peer.name}, ${end.queues} queues, mtu ${end.mtu})`
  socket.request(end.name, call, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, body)
}

export function setLinkUp(socket: RouteSocket, name: string, index: number): void {
  socket.request(name, 'RTM_SETLINK(IFF_UP)', RTM_SETLINK, 0, interfaceMessage(index, IFF_UP, IFF_UP))
}

/** Deletes a link; of a veth pair, both ends. */
export function deleteLink(socket: RouteSocket, name: string, index: number): void {
  socket.request(name, 'RTM_DELLINK', RTM_DELLINK, 0, interfaceMessage(index))
}

/** struct rtnl_link_stats64 of one link, as the kernel wrote it. */
export function readLinkStats(socket: RouteSocket, name: string, index: number): DataView {
  const body = new Uint8Array(IF_STATS_MSG.sizeof)
  const words = viewOf(body)
  words.setUint32(IF_STATS_MSG.ifindex, index, true)
  words.setUint32(IF_STATS_MSG.filter_mask, IFLA_STATS_LINK_64_FILTER, true)
  const answer = socket.request(name, 'RTM_GETSTATS(IFLA_STATS_LINK_64)', RTM_GETSTATS, 0, body).find((message) => message.type === RTM_NEWSTATS)
  const stats = answer && parseAttributes(answer.body.subarray(IF_STATS_MSG.sizeof)).get(IFLA_STATS_LINK_64)
  if (stats === undefined) throw new CaptureError('SYSTEM_CALL_FAILED', `${name}: RTM_GETSTATS: no counters in the answer`)
  // An older kernel knows fewer counters: those that it lacks read 0.
  const padded = new Uint8Array(RTNL_LINK_STATS64.sizeof)
  padded.set(stats.subarray(0, padded.length))
  return viewOf(padded)
}

function interfaceMessage(index: number, flags = 0, change = 0): Uint8Array {
  const bytes = new Uint8Array(IFINFOMSG.sizeof)
  const words = viewOf(bytes)
  words.setInt32(IFINFOMSG.ifi_index, index, true)
  words.setUint32(IFINFOMSG.ifi_flags, flags, true)
  words.setUint32(IFINFOMSG.ifi_change, change, true)
  return bytes
}

function align(length: number): number {
  return (length + NLMSG_ALIGNTO - 1) & ~(NLMSG_ALIGNTO - 1)
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** The number in an attribute of 32 bits; 0 for one that is not there. */
export function numberOf(bytes: Uint8Array | undefined): number {
  return bytes === undefined || bytes.length < 4 ? 0 : viewOf(bytes).getUint32(0, true)
}

function textOf(bytes: Uint8Array): string {
  const end = bytes.indexOf(0)
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end))
}
