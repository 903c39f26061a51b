/** linux/ethtool.h: commands of the SIOCETHTOOL ioctl. Byte offsets from the start of each struct. */

export const ETHTOOL_GDRVINFO = 0x03
export const ETHTOOL_GCOALESCE = 0x0e
export const ETHTOOL_SCOALESCE = 0x0f
export const ETHTOOL_GRINGPARAM = 0x10
export const ETHTOOL_SRINGPARAM = 0x11
export const ETHTOOL_GSTRINGS = 0x1b
export const ETHTOOL_GFLAGS = 0x25
export const ETHTOOL_GSTATS = 0x1d
export const ETHTOOL_GRXFH = 0x29
export const ETHTOOL_SRXFH = 0x2a
export const ETHTOOL_GGRO = 0x2b
export const ETHTOOL_SGRO = 0x2c
export const ETHTOOL_GSSET_INFO = 0x37
export const ETHTOOL_GFEATURES = 0x3a
export const ETHTOOL_SFEATURES = 0x3b
export const ETHTOOL_GCHANNELS = 0x3c
export const ETHTOOL_SCHANNELS = 0x3d
export const ETHTOOL_GET_TS_INFO = 0x41
export const ETHTOOL_GRSSH = 0x46
export const ETHTOOL_SRSSH = 0x47
/** Since Linux 4.6. */
export const ETHTOOL_GLINKSETTINGS = 0x4c

export const ETH_SS_STATS = 1
export const ETH_SS_FEATURES = 4
export const ETH_SS_RSS_HASH_FUNCS = 5
export const ETH_GSTRING_LEN = 32
/** Of ethtool_link_settings.speed, in Mbit/s. */
export const SPEED_UNKNOWN = 0xffffffff
/** Of ethtool_link_settings.duplex; 0xff where it is not known. */
export const DUPLEX_HALF = 0
export const DUPLEX_FULL = 1

/** Of ETHTOOL_GFLAGS: the NIC takes VLAN tags out of frames. */
export const ETH_FLAG_RXVLAN = 1 << 8

/** struct ethtool_value. */
export const ETHTOOL_VALUE = { cmd: 0, data: 4, sizeof: 8 } as const

/** struct ethtool_drvinfo; each text holds 32 bytes. */
export const ETHTOOL_DRVINFO = { cmd: 0, driver: 4, version: 36, fw_version: 68, bus_info: 100, n_stats: 180, sizeof: 196 } as const

/** struct ethtool_channels. */
export const ETHTOOL_CHANNELS = {
  cmd: 0,
  max_rx: 4,
  max_tx: 8,
  max_other: 12,
  max_combined: 16,
  rx_count: 20,
  tx_count: 24,
  other_count: 28,
  combined_count: 32,
  sizeof: 36,
} as const

/** struct ethtool_ringparam. */
export const ETHTOOL_RINGPARAM = {
  cmd: 0,
  rx_max_pending: 4,
  rx_mini_max_pending: 8,
  rx_jumbo_max_pending: 12,
  tx_max_pending: 16,
  rx_pending: 20,
  rx_mini_pending: 24,
  rx_jumbo_pending: 28,
  tx_pending: 32,
  sizeof: 36,
} as const

/** struct ethtool_coalesce. */
export const ETHTOOL_COALESCE = {
  cmd: 0,
  rx_coalesce_usecs: 4,
  rx_max_coalesced_frames: 8,
  rx_coalesce_usecs_irq: 12,
  rx_max_coalesced_frames_irq: 16,
  tx_coalesce_usecs: 20,
  tx_max_coalesced_frames: 24,
  tx_coalesce_usecs_irq: 28,
  tx_max_coalesced_frames_irq: 32,
  stats_block_coalesce_usecs: 36,
  use_adaptive_rx_coalesce: 40,
  use_adaptive_tx_coalesce: 44,
  pkt_rate_low: 48,
  rx_coalesce_usecs_low: 52,
  rx_max_coalesced_frames_low: 56,
  tx_coalesce_usecs_low: 60,
  tx_max_coalesced_frames_low: 64,
  pkt_rate_high: 68,
  rx_coalesce_usecs_high: 72,
  rx_max_coalesced_frames_high: 76,
  tx_coalesce_usecs_high: 80,
  tx_max_coalesced_frames_high: 84,
  rate_sample_interval: 88,
  sizeof: 92,
} as const

/** struct ethtool_rxfh; `rss_config` holds `indir_size` words and then `key_size` bytes. */
export const ETHTOOL_RXFH = { cmd: 0, rss_context: 4, indir_size: 8, key_size: 12, hfunc: 16, input_xfrm: 17, rss_config: 24 } as const
/** Of ethtool_rxfh.indir_size: leave the table as it is; 0 asks for the driver's default. */
export const ETH_RXFH_INDIR_NO_CHANGE = 0xffffffff
/** Of ethtool_rxfh.input_xfrm: addresses and ports of both directions are XORed before they are hashed. Since Linux 6.8. */
export const RXH_XFRM_SYM_XOR = 1
/** They are ORed and XORed. Since Linux 6.16. */
export const RXH_XFRM_SYM_OR_XOR = 2

/** struct ethtool_rxnfc as far as ETHTOOL_GRXFH and ETHTOOL_SRXFH go; 64 bits of RXH_* in `data`. */
export const ETHTOOL_RXNFC = { cmd: 0, flow_type: 4, data: 8, sizeof: 16 } as const
/** Of ethtool_rxnfc.flow_type. */
export const TCP_V4_FLOW = 0x01
export const UDP_V4_FLOW = 0x02
export const SCTP_V4_FLOW = 0x03
export const TCP_V6_FLOW = 0x05
export const UDP_V6_FLOW = 0x06
export const SCTP_V6_FLOW = 0x07
/** What of a packet goes into its hash. */
export const RXH_L2DA = 1 << 1
export const RXH_VLAN = 1 << 2
export const RXH_L3_PROTO = 1 << 3
export const RXH_IP_SRC = 1 << 4
export const RXH_IP_DST = 1 << 5
/** First two bytes after the IP header: the source port. */
export const RXH_L4_B_0_1 = 1 << 6
export const RXH_L4_B_2_3 = 1 << 7
/** Since Linux 6.9. */
export const RXH_GTP_TEID = 1 << 8
/** Since Linux 6.18. */
export const RXH_IP6_FL = 1 << 9
/** The NIC throws such packets away. */
export const RXH_DISCARD = 2 ** 31

/** struct ethtool_gfeatures; `size` blocks of 32 features each. */
export const ETHTOOL_GFEATURES_HDR = { cmd: 0, size: 4, features: 8 } as const
/** struct ethtool_get_features_block. */
export const ETHTOOL_GET_FEATURES_BLOCK = { available: 0, requested: 4, active: 8, never_changed: 12, sizeof: 16 } as const
/** struct ethtool_sfeatures. */
export const ETHTOOL_SFEATURES_HDR = { cmd: 0, size: 4, features: 8 } as const
/** struct ethtool_set_features_block. */
export const ETHTOOL_SET_FEATURES_BLOCK = { valid: 0, requested: 4, sizeof: 8 } as const
/** What ETHTOOL_SFEATURES answers: some features cannot be changed; some were noted, but are not in force. */
export const ETHTOOL_F_UNSUPPORTED = 1
export const ETHTOOL_F_WISH = 2

/** struct ethtool_ts_info. */
export const ETHTOOL_TS_INFO = { cmd: 0, so_timestamping: 4, phc_index: 8, tx_types: 12, rx_filters: 28, sizeof: 44 } as const

/** struct ethtool_sset_info; one 32-bit length a bit of `sset_mask`. */
export const ETHTOOL_SSET_INFO = { cmd: 0, sset_mask: 8, data: 16 } as const

/** struct ethtool_gstrings; names of ETH_GSTRING_LEN bytes. */
export const ETHTOOL_GSTRINGS_HDR = { cmd: 0, string_set: 4, len: 8, data: 12 } as const

/** struct ethtool_stats; 64-bit words. */
export const ETHTOOL_STATS = { cmd: 0, n_stats: 4, data: 8 } as const

/** struct ethtool_link_settings; three masks of `link_mode_masks_nwords` (signed) words follow. */
export const ETHTOOL_LINK_SETTINGS = { cmd: 0, speed: 4, duplex: 8, link_mode_masks_nwords: 15, sizeof: 48 } as const
