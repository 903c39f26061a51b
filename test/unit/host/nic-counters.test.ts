/** What each driver's names come to, and what is said of them. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { countersDifference, type NicRole, nicCounters, statisticsDifference } from '#src/host/nic-counters.js'
import { DRIVER_CASES, LINK } from '../../support/driver-statistics.js'

function counted(driver: string | undefined, statistics: Record<string, number>, name = 'eth0') {
  const { counters, ...rest } = nicCounters(name, driver, new Map(Object.entries(statistics)), LINK)
  return { ...rest, counts: Object.fromEntries(counters.map(({ role, count }) => [role, count])) as Partial<Record<NicRole, number>>, counters }
}

for (const [driver, statistics, counts] of DRIVER_CASES) {
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
  assert.equal(sources(undefined, {}).missed, 'rtnl_link_stats64 of eth0: rx_missed_errors')
})

test('a driver without rules: rx_missed_errors, and rx_fifo_errors where that is 0', () => {
  const missed = (more: Partial<typeof LINK>) => nicCounters('eth0', undefined, new Map(), { ...LINK, ...more }).counters.find(({ role }) => role === 'missed')
  assert.equal(missed({})?.count, 11)
  assert.deepEqual(missed({ rxMissedErrors: 0 }), { role: 'missed', count: 13, source: 'rtnl_link_stats64 of eth0: rx_fifo_errors' })
  assert.deepEqual(missed({ rxMissedErrors: 0, rxFifoErrors: 0 }), { role: 'missed', count: 0, source: 'rtnl_link_stats64 of eth0: rx_missed_errors' })
})

test("what the stack dropped is rx_dropped without the driver's part", () => {
  assert.equal(counted('ixgbe', {}).droppedByStack, 500)
  assert.equal(counted('veth', { rx_queue_0_drops: 120 }).droppedByStack, 380)
  assert.equal(counted('virtio_net', { rx0_drops: 100, rx0_xdp_drops: 60 }).droppedByStack, 400)
  assert.equal(counted('veth', { rx_queue_0_drops: 501 }).droppedByStack, 0)
  assert.equal(counted('i40e', { rx_dropped: 60, 'port.rx_discards': 30 }).droppedByStack, 440)
  assert.equal(counted('ice', { rx_dropped: 70, 'rx_dropped.nic': 30 }).droppedByStack, 430)
  assert.equal(counted('mlx5_core', { rx_discards_phy: 80 }).droppedByStack, 420)
  assert.equal(counted('bnxt_en', { rx_total_oom_discards: 3, rx_total_netpoll_discards: 4 }).droppedByStack, 493)
  assert.equal(counted('ena', { rx_drops: 90, queue_0_rx_xdp_drop: 10 }).droppedByStack, 400)
  assert.equal(counted('ena', {}).droppedByStack, 0)
})

test('where nothing tells what the driver adds to rx_dropped, the part of the stack is not known', () => {
  const known = (driver: string | undefined, statistics: Record<string, number> = {}, name?: string) => counted(driver, statistics, name).stackDropsKnown
  assert.deepEqual([known('igb'), known('ena'), known(undefined, {}, 'lo'), known('veth', { rx_queue_0_drops: 0 })], [true, true, true, true])
  assert.deepEqual([known('tun'), known(undefined), known('veth'), known('bnxt_en', { '[0]: rx_discards': 1 })], [false, false, false, false])
})

test('drivers whose counters are refreshed now and then have a period', () => {
  for (const driver of ['tg3', 'bnx2', 'bnx2x', 'bnxt_en', 'sfc', 'qede', 'ena']) assert.equal(counted(driver, {}).refreshMs, 1000, driver)
  assert.equal(counted('veth', {}).refreshMs, undefined)
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
    [...statisticsDifference('veth', before, after)],
    [
      ['a', 2],
      ['b', 3],
    ],
  )
  assert.equal(countersDifference('veth', LINK, { ...LINK, rxPackets: 1_000_009 }).rxPackets, 9)
  assert.equal(countersDifference('veth', LINK, LINK).rxMissedErrors, 0)
})

test('a counter of 32 bits begins again at 2^32, and only that', () => {
  const before = new Map([
    ['rx_out_of_buffer', 2 ** 32 - 5],
    ['rx_discards_phy', 2 ** 32 - 5],
  ])
  const after = new Map([
    ['rx_out_of_buffer', 7],
    ['rx_discards_phy', 7],
  ])
  assert.deepEqual(Object.fromEntries(statisticsDifference('mlx5_core', before, after)), { rx_out_of_buffer: 12, rx_discards_phy: 7 })
  assert.equal(statisticsDifference('veth', before, after).get('rx_out_of_buffer'), 7)
  // Set back, with the device: nothing wrapped.
  assert.equal(statisticsDifference('mlx5_core', new Map([['rx_out_of_buffer', 1000]]), after).get('rx_out_of_buffer'), 7)
  const link = countersDifference('mlx5_core', { ...LINK, rxMissedErrors: 2 ** 32 - 1, rxPackets: 5 }, { ...LINK, rxMissedErrors: 9, rxPackets: 3 })
  assert.deepEqual([link.rxMissedErrors, link.rxPackets], [10, 0])
  // A sum with such a counter in it, as rx_dropped of i40e.
  const sum = countersDifference('i40e', { ...LINK, rxDropped: 2 ** 32 - 1 + 100 }, { ...LINK, rxDropped: 3 + 101 })
  assert.equal(sum.rxDropped, 5)
})
