/** linux/ethtool.h: commands of the SIOCETHTOOL ioctl. Byte offsets from the start of each struct. */

export const ETHTOOL_GDRVINFO = 0x03
export const ETHTOOL_GSTRINGS = 0x1b
export const ETHTOOL_GFLAGS = 0x25
export const ETHTOOL_GSTATS = 0x1d
export const ETHTOOL_GGRO = 0x2b
export const ETHTOOL_SGRO = 0x2c
export const ETHTOOL_GSSET_INFO = 0x37
export const ETHTOOL_GCHANNELS = 0x3c
/** Since Linux 4.6. */
export const ETHTOOL_GLINKSETTINGS = 0x4c

export const ETH_SS_STATS = 1
export const ETH_GSTRING_LEN = 32
/** Of ethtool_link_settings.speed, in Mbit/s. */
export const SPEED_UNKNOWN = 0xffffffff

/** Of ETHTOOL_GFLAGS: the NIC takes VLAN tags out of frames. */
export const ETH_FLAG_RXVLAN = 1 << 8

/** struct ethtool_value. */
export const ETHTOOL_VALUE = { cmd: 0, data: 4, sizeof: 8 } as const

/** struct ethtool_drvinfo; `driver` holds 32 bytes. */
export const ETHTOOL_DRVINFO = { cmd: 0, driver: 4, n_stats: 180, sizeof: 196 } as const

/** struct ethtool_channels. */
export const ETHTOOL_CHANNELS = { cmd: 0, rx_count: 20, tx_count: 24, other_count: 28, combined_count: 32, sizeof: 36 } as const

/** struct ethtool_sset_info; one 32-bit length a bit of `sset_mask`. */
export const ETHTOOL_SSET_INFO = { cmd: 0, sset_mask: 8, data: 16 } as const

/** struct ethtool_gstrings; names of ETH_GSTRING_LEN bytes. */
export const ETHTOOL_GSTRINGS_HDR = { cmd: 0, string_set: 4, len: 8, data: 12 } as const

/** struct ethtool_stats; 64-bit words. */
export const ETHTOOL_STATS = { cmd: 0, n_stats: 4, data: 8 } as const

/** struct ethtool_link_settings; three masks of `link_mode_masks_nwords` (signed) words follow. */
export const ETHTOOL_LINK_SETTINGS = { cmd: 0, speed: 4, duplex: 8, link_mode_masks_nwords: 15, sizeof: 48 } as const
