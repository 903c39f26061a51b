/** linux/if_packet.h: AF_PACKET sockets. Byte offsets from the start of each struct. */

export const PACKET_HOST = 0
export const PACKET_BROADCAST = 1
export const PACKET_MULTICAST = 2
export const PACKET_OTHERHOST = 3
export const PACKET_OUTGOING = 4

export const PACKET_ADD_MEMBERSHIP = 1
export const PACKET_DROP_MEMBERSHIP = 2
export const PACKET_RX_RING = 5
export const PACKET_STATISTICS = 6
export const PACKET_AUXDATA = 8
export const PACKET_VERSION = 10
export const PACKET_HDRLEN = 11
export const PACKET_RESERVE = 12
export const PACKET_TX_RING = 13
export const PACKET_LOSS = 14
export const PACKET_TIMESTAMP = 17
export const PACKET_FANOUT = 18
export const PACKET_QDISC_BYPASS = 20
export const PACKET_ROLLOVER_STATS = 21
export const PACKET_FANOUT_DATA = 22
/** Since Linux 4.20. */
export const PACKET_IGNORE_OUTGOING = 23

export const PACKET_FANOUT_HASH = 0
export const PACKET_FANOUT_LB = 1
export const PACKET_FANOUT_CPU = 2
export const PACKET_FANOUT_ROLLOVER = 3
export const PACKET_FANOUT_RND = 4
export const PACKET_FANOUT_QM = 5
export const PACKET_FANOUT_CBPF = 6
export const PACKET_FANOUT_EBPF = 7
export const PACKET_FANOUT_FLAG_ROLLOVER = 0x1000
/** Since Linux 4.12. Needs group id 0; the kernel chooses one. */
export const PACKET_FANOUT_FLAG_UNIQUEID = 0x2000
/** Since Linux 6.2; EINVAL before. */
export const PACKET_FANOUT_FLAG_IGNORE_OUTGOING = 0x4000
export const PACKET_FANOUT_FLAG_DEFRAG = 0x8000

export const PACKET_MR_PROMISC = 1

export const TPACKET_V1 = 0
export const TPACKET_V2 = 1
export const TPACKET_V3 = 2
export const TPACKET_ALIGNMENT = 16

export const TP_STATUS_KERNEL = 0
export const TP_STATUS_USER = 1 << 0
export const TP_STATUS_COPY = 1 << 1
export const TP_STATUS_LOSING = 1 << 2
export const TP_STATUS_CSUMNOTREADY = 1 << 3
export const TP_STATUS_VLAN_VALID = 1 << 4
export const TP_STATUS_BLK_TMO = 1 << 5
export const TP_STATUS_VLAN_TPID_VALID = 1 << 6
export const TP_STATUS_CSUM_VALID = 1 << 7
/** Since Linux 6.3. */
export const TP_STATUS_GSO_TCP = 1 << 8
export const TP_STATUS_TS_SOFTWARE = 1 << 29
export const TP_STATUS_TS_RAW_HARDWARE = 0x80000000

/** `tp_status` of a frame in a TX ring: free, to be sent, on its way, and one that the kernel will not send. */
export const TP_STATUS_AVAILABLE = 0
export const TP_STATUS_SEND_REQUEST = 1 << 0
export const TP_STATUS_SENDING = 1 << 1
export const TP_STATUS_WRONG_FORMAT = 1 << 2

/** tpacket_req3.tp_feature_req_word: ask for skb_get_hash() a packet. */
export const TP_FT_REQ_FILL_RXHASH = 0x1

/** struct sockaddr_ll. `sll_protocol` is in network byte order. */
export const SOCKADDR_LL = {
  sll_family: 0,
  sll_protocol: 2,
  sll_ifindex: 4,
  sll_hatype: 8,
  sll_pkttype: 10,
  sll_halen: 11,
  sll_addr: 12,
  sizeof: 20,
} as const

/** struct packet_mreq. */
export const PACKET_MREQ = { mr_ifindex: 0, mr_type: 4, mr_alen: 6, mr_address: 8, sizeof: 16 } as const

/** struct tpacket_req: what TPACKET_V2 takes. */
export const TPACKET_REQ = { tp_block_size: 0, tp_block_nr: 4, tp_frame_size: 8, tp_frame_nr: 12, sizeof: 16 } as const

/** struct tpacket_req3. */
export const TPACKET_REQ3 = {
  tp_block_size: 0,
  tp_block_nr: 4,
  tp_frame_size: 8,
  tp_frame_nr: 12,
  tp_retire_blk_tov: 16,
  tp_sizeof_priv: 20,
  tp_feature_req_word: 24,
  sizeof: 28,
} as const

/** struct tpacket_stats_v3. PACKET_STATISTICS clears it on read; `tp_packets` includes `tp_drops`. */
export const TPACKET_STATS_V3 = { tp_packets: 0, tp_drops: 4, tp_freeze_q_cnt: 8, sizeof: 12 } as const

/** struct tpacket_auxdata, in a SOL_PACKET/PACKET_AUXDATA control message. */
export const TPACKET_AUXDATA = {
  tp_status: 0,
  tp_len: 4,
  tp_snaplen: 8,
  tp_mac: 12,
  tp_net: 14,
  tp_vlan_tci: 16,
  tp_vlan_tpid: 18,
  sizeof: 20,
} as const

/** struct tpacket_block_desc with its union as struct tpacket_hdr_v1. */
export const TPACKET_BLOCK_DESC = {
  version: 0,
  offset_to_priv: 4,
  block_status: 8,
  num_pkts: 12,
  offset_to_first_pkt: 16,
  blk_len: 20,
  seq_num: 24,
  ts_first_pkt: 32,
  ts_last_pkt: 40,
  sizeof: 48,
} as const

/** struct tpacket3_hdr. A struct sockaddr_ll follows at TPACKET_ALIGN(sizeof), which is `sizeof`. */
export const TPACKET3_HDR = {
  tp_next_offset: 0,
  tp_sec: 4,
  tp_nsec: 8,
  tp_snaplen: 12,
  tp_len: 16,
  tp_status: 20,
  tp_mac: 24,
  tp_net: 26,
  hv1_tp_rxhash: 28,
  hv1_tp_vlan_tci: 32,
  hv1_tp_vlan_tpid: 36,
  sizeof: 48,
} as const

/** struct tpacket2_hdr. In a TX ring the frame follows at TPACKET_ALIGN(sizeof), which is `sizeof`; behind struct tpacket3_hdr as well. */
export const TPACKET2_HDR = {
  tp_status: 0,
  tp_len: 4,
  tp_snaplen: 8,
  tp_mac: 12,
  tp_net: 14,
  tp_sec: 16,
  tp_nsec: 20,
  tp_vlan_tci: 24,
  tp_vlan_tpid: 26,
  sizeof: 32,
} as const

/** struct tpacket_rollover_stats. */
export const TPACKET_ROLLOVER_STATS = { tp_all: 0, tp_huge: 8, tp_failed: 16, sizeof: 24 } as const

/** struct fanout_args, since Linux 5.6; before it the option is the first word alone. */
export const FANOUT_ARGS = { id: 0, type_flags: 2, max_num_members: 4, sizeof: 8 } as const

/** The same struct sockaddr_ll where it stands in a ring: offsets from the start of struct tpacket3_hdr. */
export const SOCKADDR_LL_AFTER_HDR = {
  sll_family: 48,
  sll_protocol: 50,
  sll_ifindex: 52,
  sll_hatype: 56,
  sll_pkttype: 58,
  sll_halen: 59,
  sll_addr: 60,
  sizeof: 68,
} as const
