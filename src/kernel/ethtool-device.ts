/** What a driver says of itself and of its link: `ethtool -i`, the speed and duplex of `ethtool`, `ethtool -T`. */
import { CaptureError } from '../errors.js'
import {
  DUPLEX_FULL,
  DUPLEX_HALF,
  ETHTOOL_DRVINFO,
  ETHTOOL_GDRVINFO,
  ETHTOOL_GET_TS_INFO,
  ETHTOOL_GLINKSETTINGS,
  ETHTOOL_LINK_SETTINGS,
  ETHTOOL_TS_INFO,
  SPEED_UNKNOWN,
} from './abi/ethtool.js'
import { HWTSTAMP_FILTER, SOF_TIMESTAMPING_RX_HARDWARE, SOF_TIMESTAMPING_RX_SOFTWARE, SOF_TIMESTAMPING_TX_HARDWARE } from './abi/net_tstamp.js'
import type { Descriptor } from './descriptor.js'
import { askEthtool, textAt } from './ethtool.js'
import type { Kernel } from './system.js'

/** Bytes of each text of struct ethtool_drvinfo. */
const TEXT_BYTES = 32

/** An empty text is one that the driver does not have. */
export interface DriverInfo {
  driver: string
  /** The kernel's release, for drivers without a version of their own. */
  version: string
  firmware: string
  /** `0000:3b:00.0`. */
  bus: string
}

/** Undefined where the interface has no driver, as lo. @throws CaptureError NO_SUCH_INTERFACE */
export function readDriver(kernel: Kernel, control: Descriptor, name: string): DriverInfo | undefined {
  const answer = new ArrayBuffer(ETHTOOL_DRVINFO.sizeof)
  if (!askEthtool(kernel, control, name, [ETHTOOL_GDRVINFO, 'ETHTOOL_GDRVINFO'], answer)) return undefined
  const text = (offset: number) => textAt(new Uint8Array(answer), offset, TEXT_BYTES).trim()
  return {
    driver: text(ETHTOOL_DRVINFO.driver),
    version: text(ETHTOOL_DRVINFO.version),
    firmware: text(ETHTOOL_DRVINFO.fw_version),
    bus: text(ETHTOOL_DRVINFO.bus_info),
  }
}

/** Name of the driver, undefined where the interface has none or does not tell. */
export function driverOf(kernel: Kernel, control: Descriptor, name: string): string | undefined {
  return whereTold(() => readDriver(kernel, control, name))?.driver
}

export interface LinkSettings {
  /** Mbit/s; undefined where the link has none, or is down. */
  speedMbps: number | undefined
  duplex: 'full' | 'half' | undefined
}

/** Since Linux 4.6; undefined where the driver does not tell. @throws CaptureError NO_SUCH_INTERFACE */
export function readLinkSettings(kernel: Kernel, control: Descriptor, name: string): LinkSettings | undefined {
  const command = [ETHTOOL_GLINKSETTINGS, 'ETHTOOL_GLINKSETTINGS'] as const
  const ask = new ArrayBuffer(ETHTOOL_LINK_SETTINGS.sizeof)
  if (!askEthtool(kernel, control, name, command, ask)) return undefined
  // The first answer only tells, as a negative number, how many words each mask takes.
  const words = -new DataView(ask).getInt8(ETHTOOL_LINK_SETTINGS.link_mode_masks_nwords)
  if (words <= 0) return undefined
  const bytes = new ArrayBuffer(ETHTOOL_LINK_SETTINGS.sizeof + 3 * 4 * words)
  const view = new DataView(bytes)
  view.setInt8(ETHTOOL_LINK_SETTINGS.link_mode_masks_nwords, words)
  if (!askEthtool(kernel, control, name, command, bytes)) return undefined
  const speed = view.getUint32(ETHTOOL_LINK_SETTINGS.speed, true)
  const duplex = view.getUint8(ETHTOOL_LINK_SETTINGS.duplex)
  return {
    speedMbps: speed === SPEED_UNKNOWN || speed === 0 ? undefined : speed,
    duplex: duplex === DUPLEX_FULL ? 'full' : duplex === DUPLEX_HALF ? 'half' : undefined,
  }
}

/** Mbit/s; undefined where the link has none, is down, or does not tell. */
export function speedOf(kernel: Kernel, control: Descriptor, name: string): number | undefined {
  return whereTold(() => readLinkSettings(kernel, control, name))?.speedMbps
}

export interface TimestampingInfo {
  hardwareReceive: boolean
  hardwareTransmit: boolean
  softwareReceive: boolean
  /** Packets that it can stamp as they arrive, in the words of ethtool: `all`, `ptpv2-event`; `none` is that it may be off. */
  receiveFilters: string[]
  /** N of /dev/ptpN; undefined without a clock. */
  ptpClock: number | undefined
}

/** What the NIC could stamp; undefined where the driver does not tell. @throws CaptureError NO_SUCH_INTERFACE */
export function readTimestamping(kernel: Kernel, control: Descriptor, name: string): TimestampingInfo | undefined {
  const answer = new ArrayBuffer(ETHTOOL_TS_INFO.sizeof)
  if (!askEthtool(kernel, control, name, [ETHTOOL_GET_TS_INFO, 'ETHTOOL_GET_TS_INFO'], answer)) return undefined
  const view = new DataView(answer)
  const bits = view.getUint32(ETHTOOL_TS_INFO.so_timestamping, true)
  const filters = view.getUint32(ETHTOOL_TS_INFO.rx_filters, true)
  const clock = view.getInt32(ETHTOOL_TS_INFO.phc_index, true)
  return {
    hardwareReceive: (bits & SOF_TIMESTAMPING_RX_HARDWARE) !== 0,
    hardwareTransmit: (bits & SOF_TIMESTAMPING_TX_HARDWARE) !== 0,
    softwareReceive: (bits & SOF_TIMESTAMPING_RX_SOFTWARE) !== 0,
    receiveFilters: HWTSTAMP_FILTER.filter((_, filter) => (filters & (1 << filter)) !== 0),
    ptpClock: clock < 0 ? undefined : clock,
  }
}

/** For those who ask in passing: whatever the reason, there is no answer. */
function whereTold<T>(ask: () => T): T | undefined {
  try {
    return ask()
  } catch (error) {
    if (error instanceof CaptureError) return undefined
    throw error
  }
}
