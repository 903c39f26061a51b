/** linux/net_tstamp.h: time stamps that a NIC gives packets. */

/** Bits of ethtool_ts_info.so_timestamping. */
export const SOF_TIMESTAMPING_TX_HARDWARE = 1 << 0
export const SOF_TIMESTAMPING_RX_HARDWARE = 1 << 2
export const SOF_TIMESTAMPING_RX_SOFTWARE = 1 << 3

/** Of `rx_filter`: it stamps none that arrive. */
export const HWTSTAMP_FILTER_NONE = 0

/** Bits of ethtool_ts_info.rx_filters, HWTSTAMP_FILTER_*, by the names that ethtool prints (ts_rx_filter_names): packets that it can stamp. */
export const HWTSTAMP_FILTER = [
  'none',
  'all',
  'some',
  'ptpv1-l4-event',
  'ptpv1-l4-sync',
  'ptpv1-l4-delay-req',
  'ptpv2-l4-event',
  'ptpv2-l4-sync',
  'ptpv2-l4-delay-req',
  'ptpv2-l2-event',
  'ptpv2-l2-sync',
  'ptpv2-l2-delay-req',
  'ptpv2-event',
  'ptpv2-sync',
  'ptpv2-delay-req',
  'ntp-all',
] as const

/** struct hwtstamp_config, of SIOCGHWTSTAMP. */
export const HWTSTAMP_CONFIG = { flags: 0, tx_type: 4, rx_filter: 8, sizeof: 12 } as const
