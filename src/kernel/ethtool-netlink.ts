/** What of ethtool only netlink tells: which coalescing fields a driver has. */
import {
  ETHTOOL_A_COALESCE_HEADER,
  ETHTOOL_A_COALESCE_PKT_RATE_HIGH,
  ETHTOOL_A_COALESCE_PKT_RATE_LOW,
  ETHTOOL_A_COALESCE_RATE_SAMPLE_INTERVAL,
  ETHTOOL_A_COALESCE_RX_MAX_FRAMES,
  ETHTOOL_A_COALESCE_RX_MAX_FRAMES_HIGH,
  ETHTOOL_A_COALESCE_RX_MAX_FRAMES_IRQ,
  ETHTOOL_A_COALESCE_RX_MAX_FRAMES_LOW,
  ETHTOOL_A_COALESCE_RX_USECS,
  ETHTOOL_A_COALESCE_RX_USECS_HIGH,
  ETHTOOL_A_COALESCE_RX_USECS_IRQ,
  ETHTOOL_A_COALESCE_RX_USECS_LOW,
  ETHTOOL_A_COALESCE_STATS_BLOCK_USECS,
  ETHTOOL_A_COALESCE_TX_MAX_FRAMES,
  ETHTOOL_A_COALESCE_TX_MAX_FRAMES_HIGH,
  ETHTOOL_A_COALESCE_TX_MAX_FRAMES_IRQ,
  ETHTOOL_A_COALESCE_TX_MAX_FRAMES_LOW,
  ETHTOOL_A_COALESCE_TX_USECS,
  ETHTOOL_A_COALESCE_TX_USECS_HIGH,
  ETHTOOL_A_COALESCE_TX_USECS_IRQ,
  ETHTOOL_A_COALESCE_TX_USECS_LOW,
  ETHTOOL_A_COALESCE_USE_ADAPTIVE_RX,
  ETHTOOL_A_COALESCE_USE_ADAPTIVE_TX,
  ETHTOOL_A_HEADER_DEV_NAME,
  ETHTOOL_GENL_VERSION,
  ETHTOOL_MSG_COALESCE_GET,
} from './abi/ethtool_netlink.js'
import { NLA_F_NESTED } from './abi/netlink.js'
import type { CoalescingField } from './ethtool-queues.js'
import { askGeneric, genericFamily } from './genetlink.js'
import { NetlinkSocket } from './netlink.js'
import type { Kernel } from './system.js'

const ATTRIBUTES: Readonly<Record<CoalescingField, number>> = {
  rx_coalesce_usecs: ETHTOOL_A_COALESCE_RX_USECS,
  rx_max_coalesced_frames: ETHTOOL_A_COALESCE_RX_MAX_FRAMES,
  rx_coalesce_usecs_irq: ETHTOOL_A_COALESCE_RX_USECS_IRQ,
  rx_max_coalesced_frames_irq: ETHTOOL_A_COALESCE_RX_MAX_FRAMES_IRQ,
  tx_coalesce_usecs: ETHTOOL_A_COALESCE_TX_USECS,
  tx_max_coalesced_frames: ETHTOOL_A_COALESCE_TX_MAX_FRAMES,
  tx_coalesce_usecs_irq: ETHTOOL_A_COALESCE_TX_USECS_IRQ,
  tx_max_coalesced_frames_irq: ETHTOOL_A_COALESCE_TX_MAX_FRAMES_IRQ,
  stats_block_coalesce_usecs: ETHTOOL_A_COALESCE_STATS_BLOCK_USECS,
  use_adaptive_rx_coalesce: ETHTOOL_A_COALESCE_USE_ADAPTIVE_RX,
  use_adaptive_tx_coalesce: ETHTOOL_A_COALESCE_USE_ADAPTIVE_TX,
  pkt_rate_low: ETHTOOL_A_COALESCE_PKT_RATE_LOW,
  rx_coalesce_usecs_low: ETHTOOL_A_COALESCE_RX_USECS_LOW,
  rx_max_coalesced_frames_low: ETHTOOL_A_COALESCE_RX_MAX_FRAMES_LOW,
  tx_coalesce_usecs_low: ETHTOOL_A_COALESCE_TX_USECS_LOW,
  tx_max_coalesced_frames_low: ETHTOOL_A_COALESCE_TX_MAX_FRAMES_LOW,
  pkt_rate_high: ETHTOOL_A_COALESCE_PKT_RATE_HIGH,
  rx_coalesce_usecs_high: ETHTOOL_A_COALESCE_RX_USECS_HIGH,
  rx_max_coalesced_frames_high: ETHTOOL_A_COALESCE_RX_MAX_FRAMES_HIGH,
  tx_coalesce_usecs_high: ETHTOOL_A_COALESCE_TX_USECS_HIGH,
  tx_max_coalesced_frames_high: ETHTOOL_A_COALESCE_TX_MAX_FRAMES_HIGH,
  rate_sample_interval: ETHTOOL_A_COALESCE_RATE_SAMPLE_INTERVAL,
}

/**
 * The fields of struct ethtool_coalesce that the driver of an interface of the calling thread's network namespace has: what it does not
 * have stands as 0 in the struct, and stays out of the answer here. Undefined before Linux 5.6, which does not tell.
 * @throws CaptureError NO_SUCH_INTERFACE; EOPNOTSUPP where the driver has no coalescing.
 */
export function coalescingFields(kernel: Kernel, interfaceName: string): CoalescingField[] | undefined {
  using socket = new NetlinkSocket(kernel, 'NETLINK_GENERIC')
  const family = genericFamily(socket, 'ethtool')
  if (family === undefined) return undefined
  const answer = askGeneric(socket, {
    subject: interfaceName,
    call: 'ETHTOOL_MSG_COALESCE_GET',
    family,
    command: ETHTOOL_MSG_COALESCE_GET,
    version: ETHTOOL_GENL_VERSION,
    attributes: [[ETHTOOL_A_COALESCE_HEADER | NLA_F_NESTED, [[ETHTOOL_A_HEADER_DEV_NAME, interfaceName]]]],
  })
  return (Object.keys(ATTRIBUTES) as CoalescingField[]).filter((field) => answer.has(ATTRIBUTES[field]))
}
