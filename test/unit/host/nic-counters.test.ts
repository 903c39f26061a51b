/** Names are those of each driver's sources, values made up so that no two sums are equal. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { InterfaceCounters } from '#src/host/interfaces.js'
import { countersDifference, type NicRole, nicCounters, statisticsDifference } from '#src/host/nic-counters.js'

const LINK: InterfaceCounters = {
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

function counted(driver: string | undefined, statistics: Record<string, number>, name = 'eth0') {
  const { counters, ...rest } = nicCounters(name, driver, new Map(Object.entries(statistics)), LINK)
  return { ...rest, counts: Object.fromEntries(counters.map(({ role, count }) => [role, count])) as Partial<Record<NicRole, number>>, counters }
}

const CASES: readonly (readonly [driver: string, statistics: Record<string, number>, counts: Partial<Record<NicRole, number>>])[] = [
  [
    'ixgbe',
    { rx_packets: 1, rx_missed_errors: 100, rx_no_dma_resources: 20, rx_no_buffer_count: 9, alloc_rx_page_failed: 2, alloc_rx_buff_failed: 1 },
    { received: 1_000_000, missed: 120, errors: 7, noBuffer: 3 },
  ],
  ['i40e', { rx_dropped: 5, 'port.rx_dropped': 40, rx_alloc_fail: 1, rx_pg_alloc_fail: 2 }, { received: 1_000_000, missed: 40, errors: 7, noBuffer: 3 }],
  ['i40e', { rx_missed_errors: 5, 'port.rx_discards': 41 }, { received: 1_000_000, missed: 41, errors: 7 }],
  ['i40e', { rx_dropped: 5 }, { received: 1_000_000, missed: 5, errors: 7 }],
  ['ice', { rx_dropped: 4, 'rx_dropped.nic': 44, rx_alloc_fail: 1, rx_pg_alloc_fail: 1 }, { received: 1_000_000, missed: 44, errors: 7, noBuffer: 2 }],
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
  // Linux 6.18: `rx_drops` is the sum of the queues.
  [
    'virtio_net',
    { rx_drops: 30, rx_xdp_drops: 20, rx0_drops: 10, rx1_drops: 20, rx0_xdp_drops: 5, rx1_xdp_drops: 15, rx0_xdp_redirects: 2, rx0_hw_drops: 9 },
    { received: 1_000_000, missed: 9, errors: 7, dropped: 10, xdpDrop: 20, xdpRedirect: 2 },
  ],
  ['virtio_net', { rx_queue_0_drops: 10, rx_queue_0_xdp_drops: 4, rx_queue_0_xdp_tx: 3 }, { received: 1_000_000, errors: 7, dropped: 6, xdpDrop: 4, xdpTx: 3 }],
  ['bnxt_en', { rx_total_ring_discards: 12, rx_total_oom_discards: 4, '[0]: rx_discards': 12 }, { received: 1_000_000, missed: 12, errors: 7, noBuffer: 4 }],
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
    { received: 1_000_000, missed: 24, errors: 7, dropped: 3, xdpDrop: 4, xdpTx: 8, xdpRedirect: 16 },
  ],
  [
    'vmxnet3',
    { '  pkts rx OOB': 21, '  drv dropped rx total': 22, '  rx buf alloc fail': 23 },
    { received: 1_000_000, missed: 21, errors: 7, noBuffer: 23, dropped: 22 },
  ],
  ['tun', {}, { received: 1_000_000, missed: 24, errors: 7 }],
  ['r8169', { rx_missed: 3 }, { received: 1_000_000, missed: 24, errors: 7 }],
]

for (const [driver, statistics, counts] of CASES) {
  test(`${driver}: ${Object.keys(statistics)[0] ?? 'no statistics'}`, () => {
    assert.deepEqual(counted(driver, statistics).counts, counts)
  })
}

test('each count says what it was read from', () => {
  const sources = (driver: string | undefined, statistics: Record<string, number>) =>
    Object.fromEntries(counted(driver, statistics).counters.map(({ role, source }) => [role, source]))
  assert.deepEqual(sources('igb', { rx_queue_0_drops: 1, rx_queue_1_drops: 1 }), {
    received: 'rtnl_link_stats64 of eth0: rx_packets',
    missed: 'ethtool -S eth0: rx_queue_0_drops + rx_queue_1_drops + rtnl_link_stats64 of eth0: rx_missed_errors',
    errors: 'rtnl_link_stats64 of eth0: rx_errors',
  })
  const queues = Object.fromEntries(Array.from({ length: 8 }, (_, queue) => [`rx_queue_${queue}_drops`, 1]))
  assert.equal(sources('veth', queues).dropped, 'ethtool -S eth0: rx_queue_0_drops to rx_queue_7_drops')
  assert.equal(sources(undefined, {}).missed, 'rtnl_link_stats64 of eth0: rx_missed_errors + rx_fifo_errors')
})

test("what the stack dropped is rx_dropped without the driver's part", () => {
  assert.equal(counted('ixgbe', {}).droppedByStack, 500)
  assert.equal(counted('veth', { rx_queue_0_drops: 120 }).droppedByStack, 380)
  assert.equal(counted('virtio_net', { rx0_drops: 100, rx0_xdp_drops: 60 }).droppedByStack, 400)
  assert.equal(counted('veth', { rx_queue_0_drops: 501 }).droppedByStack, 0)
})

test('a full backlog is in what was received, but not of lo and of a veth without NAPI', () => {
  assert.equal(counted('ixgbe', {}).receivedHasBacklogDrops, true)
  assert.equal(counted(undefined, {}, 'lo').receivedHasBacklogDrops, false)
  assert.equal(counted('veth', { rx_queue_0_xdp_packets: 0 }).receivedHasBacklogDrops, false)
  assert.equal(counted('veth', { rx_queue_0_xdp_packets: 0, rx_queue_1_xdp_packets: 1 }).receivedHasBacklogDrops, true)
})

test('differences: of names that both readings have; a queue that was made anew begins again', () => {
  const before = new Map([
    ['a', 5],
    ['b', 50],
    ['gone', 1],
  ])
  const after = new Map([
    ['a', 7],
    ['b', 3],
    ['new', 9],
  ])
  assert.deepEqual(
    [...statisticsDifference(before, after)],
    [
      ['a', 2],
      ['b', 3],
    ],
  )
  assert.equal(countersDifference(LINK, { ...LINK, rxPackets: 1_000_009 }).rxPackets, 9)
  assert.equal(countersDifference(LINK, LINK).rxMissedErrors, 0)
})
