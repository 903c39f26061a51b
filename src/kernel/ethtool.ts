/**
 * ethtool through SIOCETHTOOL: the call itself, its tables of names, named counters, and what captures ask in passing. Acts in the
 * namespace that its socket was opened in.
 */
import {
  ETH_FLAG_RXVLAN,
  ETH_GSTRING_LEN,
  ETH_SS_STATS,
  ETHTOOL_GFLAGS,
  ETHTOOL_GGRO,
  ETHTOOL_GSSET_INFO,
  ETHTOOL_GSTATS,
  ETHTOOL_GSTRINGS,
  ETHTOOL_GSTRINGS_HDR,
  ETHTOOL_SGRO,
  ETHTOOL_SSET_INFO,
  ETHTOOL_STATS,
  ETHTOOL_VALUE,
} from './abi/ethtool.js'
import { IFNAMSIZ, IFREQ, SIOCETHTOOL } from './abi/if.js'
import { AF_INET, SOCK_CLOEXEC, SOCK_DGRAM } from './abi/socket.js'
import { Descriptor } from './descriptor.js'
import { callFailed, ENODEV, ENOTSUPP, EOPNOTSUPP } from './errno.js'
import type { Kernel } from './system.js'

/** A socket for ioctls on interfaces of the calling thread's network namespace. */
export function openControlSocket(kernel: Kernel): Descriptor {
  const fd = kernel.socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)
  if (fd < 0) throw callFailed({ subject: 'ethtool', call: 'socket(AF_INET, SOCK_DGRAM)', errno: fd })
  return new Descriptor(kernel, fd)
}

/** One ethtool command on `bytes`, whose first word is set to it; answers as ioctl(2) does. */
function ethtool(kernel: Kernel, control: Descriptor, name: string, command: number, bytes: ArrayBuffer): number {
  new DataView(bytes).setUint32(0, command, true)
  const request = new Uint8Array(new ArrayBuffer(IFREQ.sizeof))
  new TextEncoder().encodeInto(name, request.subarray(0, IFNAMSIZ - 1))
  new DataView(request.buffer).setBigUint64(IFREQ.ifr_data, kernel.addressOf(bytes), true)
  return kernel.ioctl(control.fd, SIOCETHTOOL, request)
}

/** A command by its number, and by its name for errors. */
export type EthtoolCommand = readonly [number: number, name: string]

/**
 * Asks the driver to fill `bytes` in; false where it has no answer to give, or the kernel does not know the command.
 * @throws CaptureError NO_SUCH_INTERFACE, and whatever else goes wrong.
 */
export function askEthtool(kernel: Kernel, control: Descriptor, name: string, [number, text]: EthtoolCommand, bytes: ArrayBuffer): boolean {
  const result = ethtool(kernel, control, name, number, bytes)
  if (result >= 0) return true
  if (result === -EOPNOTSUPP || result === -ENOTSUPP) return false
  throw callFailed({ subject: name, call: `ioctl(${text})`, errno: result, capability: 'CAP_NET_ADMIN', ...noSuchInterface(result) })
}

/**
 * Tells the driver what stands in `bytes`; `values` says it for errors: `rx_pending=4096`. Answers what the kernel answers.
 * @throws CaptureError NO_SUCH_INTERFACE, PERMISSION without CAP_NET_ADMIN, and whatever the driver refuses with.
 */
export function tellEthtool(kernel: Kernel, control: Descriptor, name: string, [number, text]: EthtoolCommand, bytes: ArrayBuffer, values: string): number {
  const result = ethtool(kernel, control, name, number, bytes)
  if (result >= 0) return result
  throw callFailed({ subject: name, call: `ioctl(${text}, ${values})`, errno: result, capability: 'CAP_NET_ADMIN', ...noSuchInterface(result) })
}

function noSuchInterface(result: number): { code?: 'NO_SUCH_INTERFACE' } {
  return result === -ENODEV ? { code: 'NO_SUCH_INTERFACE' } : {}
}

/** The names of a set ETH_SS_*, in order; empty where the interface has none. */
export function ethtoolStrings(kernel: Kernel, control: Descriptor, name: string, set: number): string[] {
  const info = new ArrayBuffer(ETHTOOL_SSET_INFO.data + 4)
  new DataView(info).setBigUint64(ETHTOOL_SSET_INFO.sset_mask, 1n << BigInt(set), true)
  if (!askEthtool(kernel, control, name, [ETHTOOL_GSSET_INFO, 'ETHTOOL_GSSET_INFO'], info)) return []
  // A set that the driver does not have is taken out of the mask, and has no length.
  if (new DataView(info).getBigUint64(ETHTOOL_SSET_INFO.sset_mask, true) === 0n) return []
  const count = new DataView(info).getUint32(ETHTOOL_SSET_INFO.data, true)
  const strings = new ArrayBuffer(ETHTOOL_GSTRINGS_HDR.data + count * ETH_GSTRING_LEN)
  const header = new DataView(strings)
  header.setUint32(ETHTOOL_GSTRINGS_HDR.string_set, set, true)
  header.setUint32(ETHTOOL_GSTRINGS_HDR.len, count, true)
  if (!askEthtool(kernel, control, name, [ETHTOOL_GSTRINGS, 'ETHTOOL_GSTRINGS'], strings)) return []
  const bytes = new Uint8Array(strings)
  return Array.from({ length: count }, (_, index) => textAt(bytes, ETHTOOL_GSTRINGS_HDR.data + index * ETH_GSTRING_LEN, ETH_GSTRING_LEN))
}

/** Whether the driver takes VLAN tags out of frames as they arrive (`rxvlan`). */
export function rxVlanOffload(kernel: Kernel, control: Descriptor, name: string): boolean {
  const bytes = new ArrayBuffer(ETHTOOL_VALUE.sizeof)
  if (ethtool(kernel, control, name, ETHTOOL_GFLAGS, bytes) < 0) return false
  return (new DataView(bytes).getUint32(ETHTOOL_VALUE.data, true) & ETH_FLAG_RXVLAN) !== 0
}

export function groEnabled(kernel: Kernel, control: Descriptor, name: string): boolean {
  const bytes = new ArrayBuffer(ETHTOOL_VALUE.sizeof)
  const result = ethtool(kernel, control, name, ETHTOOL_GGRO, bytes)
  if (result < 0) throw callFailed({ subject: name, call: 'ioctl(ETHTOOL_GGRO)', errno: result })
  return new DataView(bytes).getUint32(ETHTOOL_VALUE.data, true) !== 0
}

export function setGro(kernel: Kernel, control: Descriptor, name: string, on: boolean): void {
  const bytes = new ArrayBuffer(ETHTOOL_VALUE.sizeof)
  new DataView(bytes).setUint32(ETHTOOL_VALUE.data, on ? 1 : 0, true)
  const result = ethtool(kernel, control, name, ETHTOOL_SGRO, bytes)
  if (result < 0) throw callFailed({ subject: name, call: `ioctl(ETHTOOL_SGRO, ${on ? 1 : 0})`, errno: result, capability: 'CAP_NET_ADMIN' })
}

/** The driver's own counters (`ethtool -S`); none where it has none. The names are read once: their number is fixed while the queues are. */
export class DriverCounters {
  readonly #kernel: Kernel
  readonly #control: Descriptor
  readonly #interface: string
  readonly #answer: ArrayBuffer
  readonly names: readonly string[]

  /** `control` stays the caller's. */
  constructor(kernel: Kernel, control: Descriptor, interfaceName: string) {
    this.#kernel = kernel
    this.#control = control
    this.#interface = interfaceName
    this.names = ethtoolStrings(kernel, control, interfaceName, ETH_SS_STATS)
    this.#answer = new ArrayBuffer(ETHTOOL_STATS.data + this.names.length * 8)
  }

  /** Values in the order of `names`, exact up to 2^53. */
  read(): Float64Array {
    const words = new DataView(this.#answer)
    const values = new Float64Array(this.names.length)
    words.setUint32(ETHTOOL_STATS.n_stats, values.length, true)
    if (values.length > 0) askEthtool(this.#kernel, this.#control, this.#interface, [ETHTOOL_GSTATS, 'ETHTOOL_GSTATS'], this.#answer)
    for (let index = 0; index < values.length; index++) values[index] = Number(words.getBigUint64(ETHTOOL_STATS.data + index * 8, true))
    return values
  }
}

/** Text that a zero byte ends, in a field of so many bytes. */
export function textAt(bytes: Uint8Array, offset: number, length: number): string {
  const field = bytes.subarray(offset, offset + length)
  const end = field.indexOf(0)
  return new TextDecoder().decode(end < 0 ? field : field.subarray(0, end))
}
