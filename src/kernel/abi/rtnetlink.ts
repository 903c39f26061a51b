/** linux/rtnetlink.h, linux/if_addr.h, linux/if_link.h, linux/veth.h: links and their counters, addresses, routes. Byte offsets from the start of each struct. */

export const RTM_NEWLINK = 16
export const RTM_DELLINK = 17
export const RTM_GETLINK = 18
export const RTM_SETLINK = 19
export const RTM_NEWADDR = 20
export const RTM_GETADDR = 22
export const RTM_NEWROUTE = 24
export const RTM_GETROUTE = 26
export const RTM_NEWNSID = 88
export const RTM_GETNSID = 90
export const RTM_NEWSTATS = 92
/** Since Linux 4.7. */
export const RTM_GETSTATS = 94

export const IFLA_ADDRESS = 1
export const IFLA_IFNAME = 3
export const IFLA_MTU = 4
export const IFLA_LINK = 5
export const IFLA_MASTER = 10
export const IFLA_OPERSTATE = 16
export const IFLA_LINKINFO = 18
export const IFLA_NET_NS_FD = 28
export const IFLA_EXT_MASK = 29
/** How many hold the interface promiscuous. */
export const IFLA_PROMISCUITY = 30
export const IFLA_NUM_TX_QUEUES = 31
export const IFLA_NUM_RX_QUEUES = 32
/** The link of IFLA_LINK is in this other namespace. */
export const IFLA_LINK_NETNSID = 37

/** Of RTM_GETNSID; linux/net_namespace.h. */
export const NETNSA_NSID = 1
export const NETNSA_PID = 2
export const NETNSA_FD = 3
export const RTGENMSG = { rtgen_family: 0, sizeof: 1 } as const

export const IFLA_XDP = 43
/** Since Linux 5.5. */
export const IFLA_ALT_IFNAME = 53
/** Since Linux 5.6. */
export const IFLA_PERM_ADDRESS = 54

/** For IFLA_EXT_MASK: leave the counters out of the answer. */
export const RTEXT_FILTER_SKIP_STATS = 1 << 3

/** Within IFLA_LINKINFO. */
export const IFLA_INFO_KIND = 1
export const IFLA_INFO_DATA = 2
/** Within IFLA_INFO_DATA of kind `vlan`. */
export const IFLA_VLAN_ID = 1
/** Within IFLA_INFO_DATA of kind `veth`: struct ifinfomsg and the attributes of the other end. */
export const VETH_INFO_PEER = 1

/** Within IFLA_XDP. The id of each mode's program since Linux 4.19. */
export const IFLA_XDP_ATTACHED = 2
export const IFLA_XDP_PROG_ID = 4
export const IFLA_XDP_DRV_PROG_ID = 5
export const IFLA_XDP_SKB_PROG_ID = 6
export const IFLA_XDP_HW_PROG_ID = 7
/** Values of IFLA_XDP_ATTACHED. */
export const XDP_ATTACHED_NONE = 0
export const XDP_ATTACHED_DRV = 1
export const XDP_ATTACHED_SKB = 2
export const XDP_ATTACHED_HW = 3
export const XDP_ATTACHED_MULTI = 4
/** Where a program is to run: for all skbs in the kernel, or in the driver. */
export const XDP_FLAGS_SKB_MODE = 1 << 1
export const XDP_FLAGS_DRV_MODE = 1 << 2

/** Of struct if_stats_msg's answer, and its bit in filter_mask. */
export const IFLA_STATS_LINK_64 = 1
export const IFLA_STATS_LINK_64_FILTER = 1 << 0

/** IF_OPER_*, RFC 2863, by number. */
export const IF_OPER = ['unknown', 'notpresent', 'down', 'lowerlayerdown', 'testing', 'dormant', 'up'] as const

/** struct ifinfomsg. */
export const IFINFOMSG = { ifi_family: 0, ifi_type: 2, ifi_index: 4, ifi_flags: 8, ifi_change: 12, sizeof: 16 } as const

export const IFA_ADDRESS = 1
/** Own address where IFA_ADDRESS is the other end's. */
export const IFA_LOCAL = 2

export const RTA_DST = 1
export const RTA_OIF = 4
export const RTA_GATEWAY = 5
export const RTA_MULTIPATH = 9
export const RTA_TABLE = 15
/** A gateway of another family: struct rtvia. */
export const RTA_VIA = 18

export const RTN_UNICAST = 1
export const RTPROT_KERNEL = 2
export const RT_TABLE_MAIN = 254
export const RT_TABLE_LOCAL = 255
/** A cached exception, no route of a table. */
export const RTM_F_CLONED = 0x200

/** struct ifaddrmsg. */
export const IFADDRMSG = { ifa_family: 0, ifa_prefixlen: 1, ifa_index: 4, sizeof: 8 } as const

/** struct rtmsg. */
export const RTMSG = { rtm_family: 0, rtm_dst_len: 1, rtm_table: 4, rtm_protocol: 5, rtm_type: 7, rtm_flags: 8, sizeof: 12 } as const

/** struct rtnexthop: an entry of RTA_MULTIPATH, its attributes behind it. */
export const RTNEXTHOP = { rtnh_len: 0, rtnh_ifindex: 4, sizeof: 8 } as const

/** struct rtvia. */
export const RTVIA = { rtvia_family: 0, rtvia_addr: 2, sizeof: 2 } as const

/** struct if_stats_msg. */
export const IF_STATS_MSG = { family: 0, ifindex: 4, filter_mask: 8, sizeof: 12 } as const

/** struct rtnl_link_stats64: 64-bit words. `rx_nohandler` since Linux 4.6, `rx_otherhost_dropped` since 5.19. */
export const RTNL_LINK_STATS64 = {
  rx_packets: 0,
  tx_packets: 8,
  rx_bytes: 16,
  tx_bytes: 24,
  rx_errors: 32,
  tx_errors: 40,
  rx_dropped: 48,
  tx_dropped: 56,
  multicast: 64,
  collisions: 72,
  rx_length_errors: 80,
  rx_over_errors: 88,
  rx_crc_errors: 96,
  rx_frame_errors: 104,
  rx_fifo_errors: 112,
  rx_missed_errors: 120,
  tx_aborted_errors: 128,
  tx_carrier_errors: 136,
  tx_fifo_errors: 144,
  rx_nohandler: 184,
  rx_otherhost_dropped: 192,
  sizeof: 200,
} as const
