/** What the driver of an interface can tell XDP programs of a packet beside its bytes, by the generic netlink family `netdev`. */
import { CaptureError } from '../errors.js'
import { CTRL_ATTR_FAMILY_ID, CTRL_ATTR_FAMILY_NAME, CTRL_CMD_GETFAMILY, GENL_ID_CTRL, GENLMSGHDR } from './abi/genetlink.js'
import {
  NETDEV_A_DEV_IFINDEX,
  NETDEV_A_DEV_XDP_RX_METADATA_FEATURES,
  NETDEV_CMD_DEV_GET,
  NETDEV_XDP_RX_METADATA_TIMESTAMP,
  NETDEV_XDP_RX_METADATA_VLAN_TAG,
} from './abi/netdev.js'
import { type Attribute, encodeAttributes, NetlinkSocket, numberOf, parseAttributes, u32, viewOf } from './netlink.js'
import type { Kernel } from './system.js'

export interface XdpMetadata {
  timestamp: boolean
  vlan: boolean
}

/** Of an interface of the calling thread's network namespace; undefined before Linux 6.7, which does not tell. */
export function xdpMetadata(kernel: Kernel, interfaceName: string, interfaceIndex: number): XdpMetadata | undefined {
  try {
    using socket = new NetlinkSocket(kernel, 'NETLINK_GENERIC')
    const family = ask(socket, 'netdev', 'CTRL_CMD_GETFAMILY', GENL_ID_CTRL, CTRL_CMD_GETFAMILY, [CTRL_ATTR_FAMILY_NAME, 'netdev']).get(CTRL_ATTR_FAMILY_ID)
    if (family === undefined || family.length < 2) return undefined
    const familyId = viewOf(family).getUint16(0, true)
    const device = ask(socket, interfaceName, 'NETDEV_CMD_DEV_GET', familyId, NETDEV_CMD_DEV_GET, [NETDEV_A_DEV_IFINDEX, u32(interfaceIndex)])
    const features = device.get(NETDEV_A_DEV_XDP_RX_METADATA_FEATURES)
    if (features === undefined) return undefined
    // All that there are stand in the lower half of the 64 bits.
    const bits = numberOf(features)
    return { timestamp: (bits & NETDEV_XDP_RX_METADATA_TIMESTAMP) !== 0, vlan: (bits & NETDEV_XDP_RX_METADATA_VLAN_TAG) !== 0 }
  } catch (error) {
    // ENOENT: no such family, before Linux 6.3. Whatever it is, the driver may still have them.
    if (error instanceof CaptureError) return undefined
    throw error
  }
}

function ask(socket: NetlinkSocket, subject: string, call: string, family: number, command: number, attribute: Attribute): Map<number, Uint8Array> {
  const header = new Uint8Array(GENLMSGHDR.sizeof)
  header[GENLMSGHDR.cmd] = command
  header[GENLMSGHDR.version] = 1
  const [answer] = socket.request(subject, call, family, 0, encodeAttributes([attribute], header))
  return parseAttributes(answer?.body.subarray(GENLMSGHDR.sizeof) ?? new Uint8Array(0))
}
