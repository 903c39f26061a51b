/** Which packet sockets hold an interface promiscuous, by sock_diag(7). */
import { PACKET_MR_PROMISC } from './abi/if_packet.js'
import { PACKET_DIAG_MCLIST, PACKET_DIAG_MCLIST_ENTRY, PACKET_DIAG_MSG, PACKET_DIAG_REQ, PACKET_SHOW_MCLIST, SOCK_DIAG_BY_FAMILY } from './abi/packet_diag.js'
import { AF_PACKET } from './abi/socket.js'
import { NetlinkSocket, parseAttributes, viewOf } from './netlink.js'
import type { Kernel } from './system.js'

/**
 * Inodes of the packet sockets of the calling thread's network namespace that ask for an interface to be promiscuous, one for each time that
 * they do. /proc/PID/fd names the process: `socket:[INODE]`. Needs no privilege; since Linux 3.7.
 * @throws CaptureError ENOENT where the kernel has no packet_diag.
 */
export function promiscuousSockets(kernel: Kernel, interfaceIndex: number): number[] {
  using socket = new NetlinkSocket(kernel, 'NETLINK_SOCK_DIAG')
  const request = new Uint8Array(PACKET_DIAG_REQ.sizeof)
  request[PACKET_DIAG_REQ.sdiag_family] = AF_PACKET
  viewOf(request).setUint32(PACKET_DIAG_REQ.pdiag_show, PACKET_SHOW_MCLIST, true)
  const add = (inodes: number[], { type, body }: { type: number; body: Uint8Array }) => {
    if (type !== SOCK_DIAG_BY_FAMILY || body.length < PACKET_DIAG_MSG.sizeof) return
    const inode = viewOf(body).getUint32(PACKET_DIAG_MSG.pdiag_ino, true)
    const memberships = parseAttributes(body.subarray(PACKET_DIAG_MSG.sizeof)).get(PACKET_DIAG_MCLIST)
    if (memberships === undefined) return
    const words = viewOf(memberships)
    for (let at = 0; at + PACKET_DIAG_MCLIST_ENTRY.sizeof <= memberships.length; at += PACKET_DIAG_MCLIST_ENTRY.sizeof) {
      const index = words.getInt32(at + PACKET_DIAG_MCLIST_ENTRY.pdmc_index, true)
      const kind = words.getUint16(at + PACKET_DIAG_MCLIST_ENTRY.pdmc_type, true)
      if (index === interfaceIndex && kind === PACKET_MR_PROMISC) inodes.push(inode)
    }
  }
  return socket.dump('packet sockets', 'SOCK_DIAG_BY_FAMILY(AF_PACKET)', SOCK_DIAG_BY_FAMILY, request, (): number[] => [], add)
}
