/** SO_SNDBUF: how much a socket may have on its way, in the kernel's queues and the NIC's. */
import { SO_SNDBUF, SO_SNDBUFFORCE, SOL_SOCKET } from '../kernel/abi/socket.js'
import { setInt } from '../kernel/options.js'
import type { Kernel } from '../kernel/system.js'

/** As much as is granted: a smaller buffer is waited for more often, and loses nothing. */
export function growSendBuffer(kernel: Kernel, fd: number, bytes: number): void {
  if (setInt(kernel, fd, SOL_SOCKET, SO_SNDBUFFORCE, bytes) < 0) setInt(kernel, fd, SOL_SOCKET, SO_SNDBUF, bytes)
}
