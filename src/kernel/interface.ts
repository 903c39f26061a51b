/** One interface, asked by ioctl(2) through any socket: the answer is of the network namespace that the socket was made in. */
import { IFNAMSIZ, IFREQ, SIOCGIFFLAGS, SIOCGIFHWADDR, SIOCGIFINDEX, SIOCGIFMTU, SIOCGIFNAME, SIOCGIFTXQLEN } from './abi/if.js'
import type { Kernel } from './system.js'
import { sleepThread } from './thread.js'

/** A millisecond each. */
const RENAMING_LOOKS = 200

export interface InterfaceIdentity {
  index: number
  /** IFF_UP and the rest of linux/if.h. */
  flags: number
  /** ARPHRD_ETHER and the rest of linux/if_arp.h. */
  linkType: number
  mtu: number
  /** 6 bytes; all 0 where there is none. */
  macAddress: Uint8Array
}

function request(name: string): DataView {
  const bytes = new Uint8Array(IFREQ.sizeof)
  new TextEncoder().encodeInto(name, bytes.subarray(0, IFNAMSIZ - 1))
  return new DataView(bytes.buffer)
}

function ask(kernel: Kernel, fd: number, call: number, ifreq: DataView): number {
  return kernel.ioctl(fd, call, new Uint8Array(ifreq.buffer))
}

/** Facts of a named interface, or -errno (ENODEV when there is none of that name). */
export function identifyInterface(kernel: Kernel, fd: number, name: string): InterfaceIdentity | number {
  // A longer name cannot exist; cut, it would name another interface.
  if (new TextEncoder().encode(name).length >= IFNAMSIZ) return -19
  const ifreq = request(name)
  let result = ask(kernel, fd, SIOCGIFINDEX, ifreq)
  if (result < 0) return result
  const index = ifreq.getInt32(IFREQ.ifr_ifindex, true)
  result = ask(kernel, fd, SIOCGIFFLAGS, ifreq)
  if (result < 0) return result
  const flags = ifreq.getUint16(IFREQ.ifr_flags, true)
  result = ask(kernel, fd, SIOCGIFHWADDR, ifreq)
  if (result < 0) return result
  const linkType = ifreq.getUint16(IFREQ.ifr_hwaddr, true)
  // struct sockaddr: the address follows its family.
  const macAddress = new Uint8Array(ifreq.buffer.slice(IFREQ.ifr_hwaddr + 2, IFREQ.ifr_hwaddr + 8))
  result = ask(kernel, fd, SIOCGIFMTU, ifreq)
  if (result < 0) return result
  return { index, flags, linkType, mtu: ifreq.getInt32(IFREQ.ifr_mtu, true), macAddress }
}

/** Packets that a transmit queue of the interface holds (`txqueuelen`); undefined where it does not tell. */
export function transmitQueueLength(kernel: Kernel, fd: number, name: string): number | undefined {
  const ifreq = request(name)
  return ask(kernel, fd, SIOCGIFTXQLEN, ifreq) < 0 ? undefined : ifreq.getInt32(IFREQ.ifr_qlen, true)
}

/** Present name of an interface, which a rename changes and an index keeps; undefined once it is gone. */
export function interfaceName(kernel: Kernel, fd: number, index: number): string | undefined {
  const ifreq = request('')
  ifreq.setInt32(IFREQ.ifr_ifindex, index, true)
  if (ask(kernel, fd, SIOCGIFNAME, ifreq) < 0) return undefined
  const bytes = new Uint8Array(ifreq.buffer, 0, IFNAMSIZ)
  const end = bytes.indexOf(0)
  return new TextDecoder().decode(bytes.subarray(0, end < 0 ? IFNAMSIZ : end))
}

/** Flags of an interface found by index; undefined once it is gone. */
export function interfaceFlags(kernel: Kernel, fd: number, index: number): number | undefined {
  return byPresentName(kernel, fd, index, (name) => {
    const ifreq = request(name)
    return ask(kernel, fd, SIOCGIFFLAGS, ifreq) < 0 ? undefined : ifreq.getUint16(IFREQ.ifr_flags, true)
  })
}

/** For what can be asked by a name only: `answerOf` is undefined where there is none of that name. Undefined once the interface is gone. */
export function byPresentName<T>(kernel: Kernel, fd: number, index: number, answerOf: (name: string) => T | undefined): T | undefined {
  for (let looks = 1; ; looks++) {
    const name = interfaceName(kernel, fd, index)
    if (name === undefined) return undefined
    const answer = answerOf(name)
    if (answer !== undefined) return answer
    // NB: while it is renamed nothing is found by its old name nor by its new one, for an RCU grace period (dev_change_name).
    if (looks === RENAMING_LOOKS) return undefined
    sleepThread(1)
  }
}
