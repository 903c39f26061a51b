/** Namespaces by the number that another one calls them by: that of IFLA_LINK_NETNSID. */
import { readdirSync } from 'node:fs'
import { CaptureError } from '../errors.js'
import { NLMSG_ALIGNTO } from './abi/netlink.js'
import { NETNSA_FD, NETNSA_NSID, NETNSA_PID, RTGENMSG, RTM_GETNSID, RTM_NEWNSID } from './abi/rtnetlink.js'
import { openNamespace } from './namespace.js'
import { type Attribute, encodeAttributes, parseAttributes, type RouteSocket, u32, viewOf } from './netlink.js'
import type { Kernel } from './system.js'

/**
 * The path of the namespace that the socket's own calls by that number, found by its name in /run/netns or by a process in it; undefined where
 * neither leads to it. Needs no privilege; to enter it does.
 */
export function namespaceOfId(kernel: Kernel, socket: RouteSocket, id: number, names = '/run/netns', processes = '/proc'): string | undefined {
  for (const name of list(names)) {
    const path = `${names}/${name}`
    if (isOfId(id, () => idOfNamed(kernel, socket, path))) return path
  }
  const pid = list(processes).find((name) => /^\d+$/.test(name) && isOfId(id, () => idOf(socket, [NETNSA_PID, u32(Number(name))])))
  return pid && `${processes}/${pid}/ns/net`
}

function idOfNamed(kernel: Kernel, socket: RouteSocket, path: string): number | undefined {
  using namespace = openNamespace(kernel, path)
  return idOf(socket, [NETNSA_FD, u32(namespace.fd)])
}

/** Undefined for one that has no number. */
function idOf(socket: RouteSocket, namespace: Attribute): number | undefined {
  const body = encodeAttributes([namespace], new Uint8Array(RTGENMSG.sizeof))
  const answer = socket.request('namespace', 'RTM_GETNSID', RTM_GETNSID, 0, body).find(({ type }) => type === RTM_NEWNSID)
  const id = answer && parseAttributes(answer.body.subarray(NLMSG_ALIGNTO)).get(NETNSA_NSID)
  return id === undefined || id.length < 4 ? undefined : viewOf(id).getInt32(0, true)
}

/** What has ended meanwhile, or may not be opened, is not it. */
function isOfId(id: number, ask: () => number | undefined): boolean {
  try {
    return ask() === id
  } catch (error) {
    if (error instanceof CaptureError) return false
    throw error
  }
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}
