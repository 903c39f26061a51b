/** linux/net_tstamp.h: time stamps that a NIC gives packets. */

/** Of `rx_filter`: it stamps none that arrive. */
export const HWTSTAMP_FILTER_NONE = 0

/** struct hwtstamp_config, of SIOCGHWTSTAMP. */
export const HWTSTAMP_CONFIG = { flags: 0, tx_type: 4, rx_filter: 8, sizeof: 12 } as const
