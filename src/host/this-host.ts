/** The public half of `host/`: the same functions on the kernel of this machine. */
import { openKernel } from '../kernel/system.js'
import * as interfaces from './interfaces.js'

/** All interfaces of a network namespace, by index. @throws CaptureError NO_SUCH_NAMESPACE, PERMISSION */
export function listInterfaces(scope: interfaces.InterfaceScope = {}): interfaces.NetworkInterface[] {
  return interfaces.listInterfaces(openKernel(), scope)
}

/**
 * Opens a reader of the kernel's counters of some interfaces (struct rtnl_link_stats64), to be read again and again.
 * @throws CaptureError INVALID_OPTION, NO_SUCH_INTERFACE, NO_SUCH_NAMESPACE, PERMISSION
 */
export function openInterfaceCounters(names: string | readonly string[], scope: interfaces.InterfaceScope = {}): interfaces.InterfaceCountersReader {
  return interfaces.openInterfaceCounters(openKernel(), names, scope)
}
