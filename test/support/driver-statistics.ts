/** What `ethtool -S` has of each driver, and what that comes to. Names are those of the drivers' sources, values made up so that no two sums are equal. */
import type { InterfaceCounters } from '#src/host/interfaces.js'
import type { NicRole } from '#src/host/nic-counters.js'

export const LINK: InterfaceCounters = {
  rxPackets: 1_000_000,
  rxBytes: 0,
  rxErrors: 7,
  rxDropped: 500,
  rxMissedErrors: 11,
  rxFifoErrors: 13,
  rxOverErrors: 17,
  rxLengthErrors: 0,
  rxCrcErrors: 0,
  rxFrameErrors: 0,
  rxNoHandler: 0,
  rxOtherHostDropped: 0,
  multicast: 0,
  txPackets: 0,
  txBytes: 0,
  txErrors: 0,
  txDropped: 0,
}

export const DRIVER_CASES: readonly (readonly [driver: string, statistics: Record<string, number>, counts: Partial<Record<NicRole, number>>])[] = [
  [
    'ixgbe',
    { rx_packets: 1, rx_missed_errors: 100, rx_no_dma_resources: 20, rx_no_buffer_count: 9, alloc_rx_page_failed: 2, alloc_rx_buff_failed: 1 },
    { received: 1_000_000, missed: 120, errors: 7, noBuffer: 3 },
  ],
  ['i40e', { rx_dropped: 5, 'port.rx_dropped': 40, rx_alloc_fail: 1, rx_pg_alloc_fail: 2 }, { received: 1_000_000, missed: 45, errors: 7, noBuffer: 3 }],
  ['i40e', { rx_missed_errors: 5, 'port.rx_discards': 41, rx_dropped: 900 }, { received: 1_000_000, missed: 46, errors: 7 }],
  ['i40e', { rx_dropped: 5 }, { received: 1_000_000, missed: 5, errors: 7 }],
  ['ice', { rx_dropped: 4, 'rx_dropped.nic': 44, rx_alloc_fail: 1, rx_pg_alloc_fail: 1 }, { received: 1_000_000, missed: 48, errors: 7, noBuffer: 2 }],
  [
    'igb',
    { rx_no_buffer_count: 8, rx_queue_0_drops: 10, rx_queue_1_drops: 20, rx_queue_0_alloc_failed: 3, tx_queue_0_drops: 99 },
    { received: 1_000_000, missed: 41, errors: 7, noBuffer: 3 },
  ],
  ['igc', {}, { received: 1_000_000, missed: 24, errors: 7 }],
  ['e1000e', { alloc_rx_buff_failed: 5, rx_dma_failed: 6 }, { received: 1_000_000, missed: 11, errors: 7, noBuffer: 11 }],
  [
    'mlx5_core',
    {
      rx_out_of_buffer: 30,
      rx_discards_phy: 40,
      rx_xdp_drop: 100,
      rx_xdp_redirect: 200,
      rx_xdp_tx_xmit: 300,
      rx_xsk_xdp_drop: 1,
      rx_xsk_xdp_redirect: 2,
      rx_buff_alloc_err: 5,
      rx0_xdp_drop: 100,
    },
    { received: 1_000_603, missed: 70, errors: 7, noBuffer: 5, xdpDrop: 101, xdpTx: 300, xdpRedirect: 202 },
  ],
  [
    'ena',
    {
      rx_drops: 3,
      bw_in_allowance_exceeded: 1,
      pps_allowance_exceeded: 2,
      bw_out_allowance_exceeded: 50,
      queue_0_rx_page_alloc_fail: 4,
      queue_1_rx_skb_alloc_fail: 5,
      queue_0_rx_xdp_drop: 6,
      queue_1_rx_xdp_aborted: 7,
      queue_1_rx_xdp_tx: 8,
    },
    { received: 1_000_000, missed: 31, limited: 3, errors: 7, noBuffer: 9, xdpDrop: 13, xdpTx: 8 },
  ],
  // Without rx_drops, as in the kernel's own driver: all of rx_dropped.
  ['ena', { queue_0_rx_page_alloc_fail: 4 }, { received: 1_000_000, missed: 528, errors: 7, noBuffer: 4 }],
  ['mlx4_en', { rx_dropped: 100 }, { received: 1_000_000, missed: 11, errors: 7 }],
  // Linux 6.18: `rx_drops` is the sum of the queues.
  [
    'virtio_net',
    { rx_drops: 30, rx_xdp_drops: 20, rx0_drops: 10, rx1_drops: 20, rx0_xdp_drops: 5, rx1_xdp_drops: 15, rx0_xdp_redirects: 2, rx0_hw_drops: 9 },
    { received: 1_000_000, missed: 9, errors: 7, dropped: 10, xdpDrop: 20, xdpRedirect: 2 },
  ],
  ['virtio_net', { rx_queue_0_drops: 10, rx_queue_0_xdp_drops: 4, rx_queue_0_xdp_tx: 3 }, { received: 1_000_000, errors: 7, dropped: 6, xdpDrop: 4, xdpTx: 3 }],
  [
    'bnxt_en',
    { rx_total_ring_discards: 12, rx_total_oom_discards: 4, rx_total_netpoll_discards: 5, '[0]: rx_discards': 12 },
    { received: 1_000_000, missed: 12, errors: 7, dropped: 9 },
  ],
  ['bnxt_en', { '[0]: rx_discards': 5, '[1]: rx_discards': 6, '[1]: tx_discards': 7 }, { received: 1_000_000, missed: 11, errors: 7 }],
  [
    'veth',
    {
      peer_ifindex: 9,
      rx_queue_0_xdp_packets: 10,
      rx_queue_0_drops: 1,
      rx_queue_1_drops: 2,
      rx_queue_0_xdp_drops: 4,
      rx_queue_0_xdp_tx: 8,
      rx_queue_1_xdp_redirect: 16,
      tx_queue_0_xdp_xmit: 64,
    },
    { received: 1_000_000, missed: 11, errors: 7, dropped: 3, xdpDrop: 4, xdpTx: 8, xdpRedirect: 16 },
  ],
  [
    'vmxnet3',
    { '  pkts rx OOB': 21, '  drv dropped rx total': 22, '  rx buf alloc fail': 23 },
    { received: 1_000_000, missed: 21, errors: 7, noBuffer: 23, dropped: 22 },
  ],
  ['tun', {}, { received: 1_000_000, missed: 11, errors: 7 }],
  ['r8169', { rx_missed: 3 }, { received: 1_000_000, missed: 11, errors: 7 }],
]
