/** ethtool through SIOCETHTOOL: driver, speed, channels, named counters, GRO. Acts in the namespace that its socket was opened in. */
import {
  ETH_FLAG_RXVLAN,
  ETH_GSTRING_LEN,
  ETH_SS_STATS,
  ETHTOOL_CHANNELS,
  ETHTOOL_DRVINFO,
  ETHTOOL_GCHANNELS,
  ETHTOOL_GDRVINFO,
  ETHTOOL_GFLAGS,
  ETHTOOL_GGRO,
  ETHTOOL_GLINKSETTINGS,
  ETHTOOL_GSSET_INFO,
  ETHTOOL_GSTATS,
  ETHTOOL_GSTRINGS,
  ETHTOOL_GSTRINGS_HDR,
  ETHTOOL_LINK_SETTINGS,
  ETHTOOL_SGRO,
  ETHTOOL_SSET_INFO,
  ETHTOOL_STATS,
  ETHTOOL_VALUE,
  SPEED_UNKNOWN,
} from './abi/ethtool.js'
import { IFNAMSIZ, IFREQ, SIOCETHTOOL } from './abi/if.js'
import { AF_INET, SOCK_CLOEXEC, SOCK_DGRAM } from './abi/socket.js'
import { Descriptor } from './descriptor.js'
import { callFailed } from './errno.js'
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

/** Name of the driver, undefined where the interface has none. */
export function driverOf(kernel: Kernel, control: Descriptor, name: string): string | undefined {
  const bytes = new ArrayBuffer(ETHTOOL_DRVINFO.sizeof)
  if (ethtool(kernel, control, name, ETHTOOL_GDRVINFO, bytes) < 0) return undefined
  return textAt(new Uint8Array(bytes), ETHTOOL_DRVINFO.driver, 32)
}

/** Mbit/s; undefined where the link has none, or is down. */
export function speedOf(kernel: Kernel, control: Descriptor, name: string): number | undefined {
  const ask = new ArrayBuffer(ETHTOOL_LINK_SETTINGS.sizeof)
  if (ethtool(kernel, control, name, ETHTOOL_GLINKSETTINGS, ask) < 0) return undefined
  // The first answer only tells, as a negative number, how many words each mask takes.
  const words = -new DataView(ask).getInt8(ETHTOOL_LINK_SETTINGS.link_mode_masks_nwords)
  if (words <= 0) return undefined
  const bytes = new ArrayBuffer(ETHTOOL_LINK_SETTINGS.sizeof + 3 * 4 * words)
  const view = new DataView(bytes)
  view.setInt8(ETHTOOL_LINK_SETTINGS.link_mode_masks_nwords, words)
  if (ethtool(kernel, control, name, ETHTOOL_GLINKSETTINGS, bytes) < 0) return undefined
  const speed = view.getUint32(ETHTOOL_LINK_SETTINGS.speed, true)
  return speed === SPEED_UNKNOWN || speed === 0 ? undefined : speed
}

/** Queues in use; undefined where the driver does not tell. */
export function channelsOf(kernel: Kernel, control: Descriptor, name: string): { rx: number; tx: number } | undefined {
  const bytes = new ArrayBuffer(ETHTOOL_CHANNELS.sizeof)
  if (ethtool(kernel, control, name, ETHTOOL_GCHANNELS, bytes) < 0) return undefined
  const view = new DataView(bytes)
  const combined = view.getUint32(ETHTOOL_CHANNELS.combined_count, true)
  const rx = combined + view.getUint32(ETHTOOL_CHANNELS.rx_count, true)
  const tx = combined + view.getUint32(ETHTOOL_CHANNELS.tx_count, true)
  return rx === 0 || tx === 0 ? undefined : { rx, tx }
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

/** The driver's own counters (`ethtool -S`). The names are read once: their number is fixed while the queues are. */
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
    const info = new ArrayBuffer(ETHTOOL_SSET_INFO.data + 4)
    new DataView(info).setBigUint64(ETHTOOL_SSET_INFO.sset_mask, 1n << BigInt(ETH_SS_STATS), true)
    this.#ask(ETHTOOL_GSSET_INFO, 'ETHTOOL_GSSET_INFO', info)
    const count = new DataView(info).getUint32(ETHTOOL_SSET_INFO.data, true)
    const strings = new ArrayBuffer(ETHTOOL_GSTRINGS_HDR.data + count * ETH_GSTRING_LEN)
    const header = new DataView(strings)
    header.setUint32(ETHTOOL_GSTRINGS_HDR.string_set, ETH_SS_STATS, true)
    header.setUint32(ETHTOOL_GSTRINGS_HDR.len, count, true)
    this.#ask(ETHTOOL_GSTRINGS, 'ETHTOOL_GSTRINGS', strings)
    const bytes = new Uint8Array(strings)
    this.names = Array.from({ length: count }, (_, index) => textAt(bytes, ETHTOOL_GSTRINGS_HDR.data + index * ETH_GSTRING_LEN, ETH_GSTRING_LEN))
    this.#answer = new ArrayBuffer(ETHTOOL_STATS.data + count * 8)
  }

  /** Values in the order of `names`, exact up to 2^53. */
  read(): Float64Array {
    const words = new DataView(this.#answer)
    words.setUint32(ETHTOOL_STATS.n_stats, this.names.length, true)
    this.#ask(ETHTOOL_GSTATS, 'ETHTOOL_GSTATS', this.#answer)
    const values = new Float64Array(this.names.length)
    for (let index = 0; index < values.length; index++) values[index] = Number(words.getBigUint64(ETHTOOL_STATS.data + index * 8, true))
    return values
  }

  #ask(command: number, call: string, bytes: ArrayBuffer): void {
    const result = ethtool(this.#kernel, this.#control, this.#interface, command, bytes)
    if (result < 0) throw callFailed({ subject: this.#interface, call: `ioctl(${call})`, errno: result })
  }
}

function textAt(bytes: Uint8Array, offset: number, length: number): string {
  const field = bytes.subarray(offset, offset + length)
  const end = field.indexOf(0)
  return new TextDecoder().decode(end < 0 ? field : field.subarray(0, end))
}
