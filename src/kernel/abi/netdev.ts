/** linux/netdev.h, since Linux 6.3: the generic netlink family `netdev`. */

export const NETDEV_CMD_DEV_GET = 1

export const NETDEV_A_DEV_IFINDEX = 1
/** 64 bits of NETDEV_XDP_ACT_*. */
export const NETDEV_A_DEV_XDP_FEATURES = 3
/** 64 bits of NETDEV_XDP_RX_METADATA_*. Since Linux 6.7. */
export const NETDEV_A_DEV_XDP_RX_METADATA_FEATURES = 5

export const NETDEV_XDP_ACT_BASIC = 1
export const NETDEV_XDP_ACT_REDIRECT = 2
export const NETDEV_XDP_ACT_NDO_XMIT = 4
export const NETDEV_XDP_ACT_XSK_ZEROCOPY = 8
export const NETDEV_XDP_ACT_HW_OFFLOAD = 16
export const NETDEV_XDP_ACT_RX_SG = 32
export const NETDEV_XDP_ACT_NDO_XMIT_SG = 64

export const NETDEV_XDP_RX_METADATA_TIMESTAMP = 1
/** Since Linux 6.8. */
export const NETDEV_XDP_RX_METADATA_VLAN_TAG = 4
