/**
 * Whether packets that are put onto an interface may reach a network of other people's. A replay is a test, and what it sends is what
 * was captured somewhere: old addresses, old connections, perhaps an attack. So it goes out to a real network only when someone has
 * said that this is meant.
 */
import { IFF_LOOPBACK } from '../kernel/abi/if.js'
import { defaultRoute } from '../kernel/interface-use.js'
import { type Link, listLinks, RouteSocket } from '../kernel/netlink.js'
import type { Kernel } from '../kernel/system.js'

/**
 * Kinds of rtnetlink whose frames stay inside this machine, as far as they themselves decide. All others are, or stand on, a device: a
 * NIC has no kind, and a VLAN, bridge, bond, macvlan or tunnel sends through one.
 */
const INSIDE: ReadonlySet<string> = new Set(['veth', 'netkit', 'dummy', 'tun', 'ifb', 'netdevsim'])

/**
 * Why an interface of the calling thread's network namespace leads to a network, in plain words; undefined for one that does not. A
 * default route counts as well: the veth of a container leads wherever its host does.
 * @throws CaptureError NO_SUCH_INTERFACE
 */
export function leadsToNetwork(kernel: Kernel, name: string, index: number): string | undefined {
  const link = findLink(kernel, index)
  if (link !== undefined && (link.flags & IFF_LOOPBACK) === 0 && !INSIDE.has(link.kind ?? '')) {
    return link.kind === undefined ? 'it is a physical interface' : `a ${link.kind} leads to one`
  }
  const route = defaultRoute(kernel, name, index)
  return route === undefined ? undefined : `it has the ${route.replace('route default', 'default route')}`
}

function findLink(kernel: Kernel, index: number): Link | undefined {
  using route = RouteSocket.open(kernel)
  return listLinks(route).find((link) => link.index === index)
}
