/** What the driver of an interface offers to XDP, by the generic netlink family `netdev`. */
import { CaptureError } from '../errors.js'
import {
  NETDEV_A_DEV_IFINDEX,
  NETDEV_A_DEV_XDP_FEATURES,
  NETDEV_A_DEV_XDP_RX_METADATA_FEATURES,
  NETDEV_CMD_DEV_GET,
  NETDEV_XDP_ACT_BASIC,
  NETDEV_XDP_ACT_HW_OFFLOAD,
  NETDEV_XDP_ACT_NDO_XMIT,
  NETDEV_XDP_ACT_NDO_XMIT_SG,
  NETDEV_XDP_ACT_REDIRECT,
  NETDEV_XDP_ACT_RX_SG,
  NETDEV_XDP_ACT_XSK_ZEROCOPY,
  NETDEV_XDP_RX_METADATA_TIMESTAMP,
  NETDEV_XDP_RX_METADATA_VLAN_TAG,
} from './abi/netdev.js'
import { askGeneric, genericFamily } from './genetlink.js'
import { NetlinkSocket, numberOf, u32 } from './netlink.js'
import type { Kernel } from './system.js'

export interface XdpMetadata {
  timestamp: boolean
  vlan: boolean
}

/** Of an interface of the calling thread's network namespace; undefined before Linux 6.7, which does not tell. */
export function xdpMetadata(kernel: Kernel, interfaceName: string, interfaceIndex: number): XdpMetadata | undefined {
  try {
    const features = askDevice(kernel, interfaceName, interfaceIndex)?.get(NETDEV_A_DEV_XDP_RX_METADATA_FEATURES)
    if (features === undefined) return undefined
    // All that there are stand in the lower half of the 64 bits.
    const bits = numberOf(features)
    return { timestamp: (bits & NETDEV_XDP_RX_METADATA_TIMESTAMP) !== 0, vlan: (bits & NETDEV_XDP_RX_METADATA_VLAN_TAG) !== 0 }
  } catch (error) {
    // Whatever it is, the driver may still have them.
    if (error instanceof CaptureError) return undefined
    throw error
  }
}

/** NETDEV_XDP_ACT_* as the kernel's netdev.yaml names them. */
const XDP_FEATURES: readonly (readonly [bit: number, name: string])[] = [
  [NETDEV_XDP_ACT_BASIC, 'basic'],
  [NETDEV_XDP_ACT_REDIRECT, 'redirect'],
  [NETDEV_XDP_ACT_NDO_XMIT, 'ndo-xmit'],
  [NETDEV_XDP_ACT_XSK_ZEROCOPY, 'xsk-zerocopy'],
  [NETDEV_XDP_ACT_HW_OFFLOAD, 'hw-offload'],
  [NETDEV_XDP_ACT_RX_SG, 'rx-sg'],
  [NETDEV_XDP_ACT_NDO_XMIT_SG, 'ndo-xmit-sg'],
]

/**
 * What XDP can do on an interface of the calling thread's network namespace: `basic`, `redirect`, `xsk-zerocopy`; none where its driver
 * has no XDP of its own. Undefined before Linux 6.3, which does not tell.
 * @throws CaptureError NO_SUCH_INTERFACE
 */
export function xdpFeatures(kernel: Kernel, interfaceName: string, interfaceIndex: number): string[] | undefined {
  const features = askDevice(kernel, interfaceName, interfaceIndex)?.get(NETDEV_A_DEV_XDP_FEATURES)
  if (features === undefined) return undefined
  const bits = numberOf(features)
  return XDP_FEATURES.flatMap(([bit, name]) => ((bits & bit) === 0 ? [] : [name]))
}

/** Undefined where the kernel has no such family, before Linux 6.3. */
function askDevice(kernel: Kernel, interfaceName: string, interfaceIndex: number): Map<number, Uint8Array> | undefined {
  using socket = new NetlinkSocket(kernel, 'NETLINK_GENERIC')
  const family = genericFamily(socket, 'netdev')
  if (family === undefined) return undefined
  return askGeneric(socket, {
    subject: interfaceName,
    call: 'NETDEV_CMD_DEV_GET',
    family,
    command: NETDEV_CMD_DEV_GET,
    version: 1,
    attributes: [[NETDEV_A_DEV_IFINDEX, u32(interfaceIndex)]],
  })
}
