/** linux/net_tstamp.h: time stamps that a NIC gives packets. */

/** Bits of ethtool_ts_info.so_timestamping. */
export const SOF_TIMESTAMPING_TX_HARDWARE = 1 << 0
export const SOF_TIMESTAMPING_RX_HARDWARE = 1 << 2
export const SOF_TIMESTAMPING_RX_SOFTWARE = 1 << 3

/** Of `rx_filter`: it stamps none that arrive. */
export const HWTSTAMP_FILTER_NONE = 0

/** struct hwtstamp_config, of SIOCGHWTSTAMP. */
export const HWTSTAMP_CONFIG = { flags: 0, tx_type: 4, rx_filter: 8, sizeof: 12 } as const
