import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Descriptor } from '#src/kernel/descriptor.js'
import { EBUSY, EINVAL, EOPNOTSUPP, EPERM } from '#src/kernel/errno.js'
import { DriverCounters, openControlSocket } from '#src/kernel/ethtool.js'
import { driverOf, readDriver, readLinkSettings, readTimestamping, speedOf } from '#src/kernel/ethtool-device.js'
import { readFeatures, setFeatures } from '#src/kernel/ethtool-features.js'
import { readFlowHash, setFlowHash } from '#src/kernel/ethtool-flow-hash.js'
import { channelsOf, readChannels, readCoalescing, readRings, setChannels, setCoalescing, setRings } from '#src/kernel/ethtool-queues.js'
import { readRss, setRss } from '#src/kernel/ethtool-rss.js'
import type { Kernel } from '#src/kernel/system.js'
import { type FakeDriverState, fakeDriver } from '../../support/fake-driver.js'
import { fakeKernel } from '../../support/fake-kernel.js'

const CONTROL = 7

/** A function that is called with the kernel of this state, a control socket and eth0. */
function on(state: FakeDriverState) {
  const kernel = fakeDriver(state)
  const control = new Descriptor(kernel, CONTROL)
  return { kernel, control, ask: <T>(read: (k: typeof kernel, c: Descriptor, name: string) => T) => read(kernel, control, 'eth0') }
}

test('driver, link and clock', () => {
  const info = { driver: 'ixgbe', version: '6.6.52', firmware: '0x61bd0001, 1.1197.0', bus: '0000:3b:00.0' }
  const { ask, kernel } = on({ info, link: { maskWords: 4, speed: 10_000, duplex: 1 }, stamps: { bits: 0b1101, clock: 0, filters: 0b1001_0000_0000_0011 } })
  assert.deepEqual(ask(readDriver), info)
  assert.equal(ask(driverOf), 'ixgbe')
  assert.deepEqual(ask(readLinkSettings), { speedMbps: 10_000, duplex: 'full' })
  assert.equal(ask(speedOf), 10_000)
  assert.deepEqual(ask(readTimestamping), {
    hardwareReceive: true,
    hardwareTransmit: true,
    softwareReceive: true,
    receiveFilters: ['none', 'all', 'ptpv2-event', 'ntp-all'],
    ptpClock: 0,
  })
  assert.ok(kernel.calls.every((call) => call.name !== 'ioctl' || call.arguments[0] === CONTROL))
})

test('a link that is down, one of half duplex, a NIC without a clock', () => {
  const down = on({ link: { maskWords: 3, speed: 0xffff_ffff, duplex: 0xff }, stamps: { bits: 0b1000, clock: -1 } })
  assert.deepEqual(down.ask(readLinkSettings), { speedMbps: undefined, duplex: undefined })
  assert.deepEqual(down.ask(readTimestamping), {
    hardwareReceive: false,
    hardwareTransmit: false,
    softwareReceive: true,
    receiveFilters: [],
    ptpClock: undefined,
  })
  assert.deepEqual(on({ link: { maskWords: 1, speed: 10, duplex: 0 } }).ask(readLinkSettings), { speedMbps: 10, duplex: 'half' })
})

test('what a driver does not have is undefined, and what is wrong is thrown', () => {
  const readers: readonly ((kernel: Kernel, control: Descriptor, name: string) => unknown)[] = [
    readDriver,
    readLinkSettings,
    readTimestamping,
    readChannels,
    readRings,
    readCoalescing,
    readRss,
    readFlowHash,
    readFeatures,
  ]
  for (const read of readers) {
    assert.equal(on({}).ask(read), undefined, read.name)
    const { kernel, control } = on({})
    assert.throws(() => read(kernel, control, 'gone0'), { code: 'NO_SUCH_INTERFACE', errnoName: 'ENODEV', message: /^gone0: ioctl\(ETHTOOL_\w+\): ENODEV/ })
    kernel.fail('ioctl', EBUSY)
    assert.throws(() => read(kernel, control, 'eth0'), { code: 'SYSTEM_CALL_FAILED', errnoName: 'EBUSY' })
  }
  for (const ask of [driverOf, speedOf, channelsOf]) {
    const { kernel, control } = on({})
    assert.equal(ask(kernel, control, 'gone0'), undefined)
  }
})

test('channels: what is given changes, the rest stays', () => {
  const state = { channels: [16, 16, 1, 63, 0, 0, 1, 8] }
  const { kernel, control, ask } = on(state)
  assert.deepEqual(ask(readChannels), {
    combined: { current: 8, maximum: 63 },
    rx: { current: 0, maximum: 16 },
    tx: { current: 0, maximum: 16 },
    other: { current: 1, maximum: 1 },
  })
  assert.deepEqual(ask(channelsOf), { rx: 8, tx: 8 })
  setChannels(kernel, control, 'eth0', { combined: 4 })
  assert.deepEqual(state.channels, [16, 16, 1, 63, 0, 0, 1, 4])
  setChannels(kernel, control, 'eth0', { rx: 2, tx: 1 })
  assert.deepEqual(state.channels, [16, 16, 1, 63, 2, 1, 1, 4])
  assert.deepEqual(ask(channelsOf), { rx: 6, tx: 5 })
  assert.throws(() => setChannels(kernel, control, 'eth0', { combined: 64 }), {
    message: 'eth0: ioctl(ETHTOOL_SCHANNELS, combined_count=64): EINVAL (invalid argument)',
  })
})

test('ring sizes and coalescing, each field for itself', () => {
  const state = { rings: [4096, 0, 0, 4096, 512, 0, 0, 256], coalescing: Array.from({ length: 22 }, (_, index) => index + 1) }
  const { kernel, control, ask } = on(state)
  assert.deepEqual(ask(readRings), { rx: { current: 512, maximum: 4096 }, tx: { current: 256, maximum: 4096 } })
  setRings(kernel, control, 'eth0', { rx: 4096 })
  assert.deepEqual(state.rings, [4096, 0, 0, 4096, 4096, 0, 0, 256])

  const coalescing = ask(readCoalescing)
  assert.deepEqual(Object.values(coalescing ?? {}), state.coalescing)
  assert.deepEqual([coalescing?.rx_coalesce_usecs, coalescing?.use_adaptive_rx_coalesce, coalescing?.rate_sample_interval], [1, 10, 22])
  setCoalescing(kernel, control, 'eth0', { rx_coalesce_usecs: 50, use_adaptive_rx_coalesce: 0 })
  assert.deepEqual(state.coalescing.slice(0, 11), [50, 2, 3, 4, 5, 6, 7, 8, 9, 0, 11])
})

test('adaptive moderation goes off before the wait is set, and on after it', () => {
  const state = { coalescing: [3, ...Array.from({ length: 8 }, () => 0), 1, ...Array.from({ length: 12 }, () => 0)] }
  const { kernel, control } = on(state)
  const states: (number | undefined)[][] = []
  const driver = kernel.ioctl.bind(kernel)
  kernel.ioctl = (...argv) => {
    const result = driver(...argv)
    const seen = [state.coalescing[0], state.coalescing[9]]
    if (states.at(-1)?.join() !== seen.join()) states.push(seen)
    return result
  }
  setCoalescing(kernel, control, 'eth0', { use_adaptive_rx_coalesce: 0, rx_coalesce_usecs: 50 })
  setCoalescing(kernel, control, 'eth0', { use_adaptive_rx_coalesce: 1, rx_coalesce_usecs: 3 })
  assert.deepEqual(states, [
    [3, 1],
    [3, 0],
    [50, 0],
    [3, 0],
    [3, 1],
  ])
})

test('the same error where there is nothing to change', () => {
  const { kernel, control } = on({})
  const refusals = [
    [() => setChannels(kernel, control, 'eth0', { combined: 4 }), 'ETHTOOL_SCHANNELS, combined_count=4'],
    [() => setRings(kernel, control, 'eth0', { rx: 1, tx: 2 }), 'ETHTOOL_SRINGPARAM, rx_pending=1 tx_pending=2'],
    [() => setCoalescing(kernel, control, 'eth0', { rx_coalesce_usecs: 1 }), 'ETHTOOL_SCOALESCE, rx_coalesce_usecs=1'],
    [() => setRss(kernel, control, 'eth0', { indirection: [0, 1] }), 'ETHTOOL_SRSSH, indirection=0,1'],
    [() => setFlowHash(kernel, control, 'eth0', 'udp6', 'sdfn'), 'ETHTOOL_SRXFH, udp6=sdfn'],
  ] as const
  for (const [change, call] of refusals) assert.throws(change, { errnoName: 'EOPNOTSUPP', syscall: `ioctl(${call})` })
})

test('without CAP_NET_ADMIN the error says so', () => {
  const { kernel, control } = on({ rings: [4096, 0, 0, 4096, 512, 0, 0, 512] })
  kernel.fail('ioctl', EPERM, 2)
  assert.throws(() => setRings(kernel, control, 'eth0', { rx: 4096 }), {
    code: 'PERMISSION',
    message: 'eth0: ioctl(ETHTOOL_SRINGPARAM, rx_pending=4096): EPERM: permission denied, CAP_NET_ADMIN is missing',
    hint: /setcap/,
  })
})

const rss = () => ({ indirection: [0, 1, 2, 3], key: [0x6d, 0x5a, 0x01, 0x02], functions: 1, transform: 0 })

test('RSS: table, key and hash function', () => {
  assert.deepEqual(on({ rss: rss() }).ask(readRss), { indirection: [0, 1, 2, 3], key: '6d5a0102', hashFunction: 'toeplitz', inputTransform: 0 })
  for (const [functions, name] of [
    [2, 'xor'],
    [4, 'crc32'],
    [0, undefined],
  ] as const) {
    assert.equal(on({ rss: { ...rss(), functions } }).ask(readRss)?.hashFunction, name)
  }
  const bare = on({ rss: { indirection: [], key: [], functions: 1, transform: 2 } })
  assert.deepEqual(bare.ask(readRss), { indirection: [], key: '', hashFunction: 'toeplitz', inputTransform: 2 })
})

test('RSS: what is given changes, the rest stays', () => {
  const state = { rss: { ...rss(), transform: 1 } }
  const { kernel, control } = on(state)
  setRss(kernel, control, 'eth0', { indirection: [3, 2, 1, 0] })
  assert.deepEqual(state.rss, { indirection: [3, 2, 1, 0], key: [0x6d, 0x5a, 0x01, 0x02], functions: 1, transform: 1 })
  setRss(kernel, control, 'eth0', { key: '6d5a6d5a' })
  assert.deepEqual(state.rss, { indirection: [3, 2, 1, 0], key: [0x6d, 0x5a, 0x6d, 0x5a], functions: 1, transform: 1 })
  setRss(kernel, control, 'eth0', { hashFunction: 'xor', inputTransform: 0 })
  assert.deepEqual(state.rss, { indirection: [3, 2, 1, 0], key: [0x6d, 0x5a, 0x6d, 0x5a], functions: 2, transform: 0 })
  setRss(kernel, control, 'eth0', { indirection: 'default', key: '00010203' })
  assert.deepEqual(state.rss, { indirection: [0, 1, 0, 1], key: [0, 1, 2, 3], functions: 2, transform: 0 })
})

test('RSS: a table or key of another length, and a hash function that there is not, never reach the driver', () => {
  const state = { rss: rss() }
  const { kernel, control } = on(state)
  const told = [{ indirection: [0] }, { key: '6d5a' }, { key: '6d5a6d5' }, { key: 'no hex!!' }, { hashFunction: 'md5' }]
  for (const change of told) assert.throws(() => setRss(kernel, control, 'eth0', change), { code: 'INVALID_OPTION' }, JSON.stringify(change))
  assert.deepEqual(state.rss, rss())
})

/** TCP_V4_FLOW, UDP_V4_FLOW, SCTP_V4_FLOW, TCP_V6_FLOW, UDP_V6_FLOW, SCTP_V6_FLOW of linux/ethtool.h. */
const [TCP4, UDP4, SCTP4, TCP6, UDP6, SCTP6] = [1, 2, 3, 5, 6, 7]

test('hash fields: the letters of ethtool, for each kind of flow', () => {
  const fields = (bits: bigint) => ({ fields: bits })
  const flowHash = new Map([
    [TCP4, fields(0xf0n)],
    [UDP4, fields(0x30n)],
    [SCTP4, fields(0n)],
    [TCP6, fields(0x3fen)],
    [UDP6, fields(0x90n)],
    // As niu has it: a negative int in 64 bits.
    [SCTP6, fields(0xffff_ffff_8000_0000n)],
  ])
  assert.deepEqual(on({ flowHash }).ask(readFlowHash), { tcp4: 'sdfn', udp4: 'sd', tcp6: 'mvtsdfnel', udp6: 'sn', sctp4: '', sctp6: 'r' })
})

test('hash fields: flows that the driver does not know, or whose fields have no letter, are left out', () => {
  const flowHash = new Map([
    [TCP4, { fields: 0xf0n }],
    [UDP4, { fields: 0x400_0030n }],
    [TCP6, { errno: EOPNOTSUPP }],
    [SCTP6, { errno: EINVAL }],
  ])
  assert.deepEqual(on({ flowHash }).ask(readFlowHash), { tcp4: 'sdfn' })
  assert.equal(on({ flowHash: new Map([[SCTP6, { errno: EINVAL }]]) }).ask(readFlowHash), undefined)
  assert.throws(() => on({ flowHash: new Map([[UDP4, { errno: EBUSY }]]) }).ask(readFlowHash), { errnoName: 'EBUSY', syscall: 'ioctl(ETHTOOL_GRXFH)' })
})

test('hash fields: one kind of flow changes, the rest stays, and what is read can be written', () => {
  const flowHash: NonNullable<FakeDriverState['flowHash']> = new Map([
    [TCP4, { fields: 0xf0n }],
    [UDP4, { fields: 0x30n }],
    [UDP6, { fields: 0x30n }],
    [SCTP4, { errno: EINVAL }],
  ])
  const { kernel, control, ask } = on({ flowHash })
  setFlowHash(kernel, control, 'eth0', 'udp4', 'sdfn')
  assert.deepEqual(ask(readFlowHash), { tcp4: 'sdfn', udp4: 'sdfn', udp6: 'sd' })
  for (const letters of ['sd', '', 'mvtsdfnel', 'r']) {
    setFlowHash(kernel, control, 'eth0', 'udp6', letters)
    assert.deepEqual(ask(readFlowHash), { tcp4: 'sdfn', udp4: 'sdfn', udp6: letters })
  }
  assert.deepEqual(flowHash.get(UDP6), { fields: 0x8000_0000n })
  assert.throws(() => setFlowHash(kernel, control, 'eth0', 'tcp4', 'sdx'), {
    code: 'INVALID_OPTION',
    message: 'eth0: no field x of a flow to hash; ethtool knows mvtsdfnelr',
  })
  assert.throws(() => setFlowHash(kernel, control, 'eth0', 'sctp4', 'sd'), { errnoName: 'EINVAL', syscall: 'ioctl(ETHTOOL_SRXFH, sctp4=sd)' })
  assert.deepEqual(flowHash.get(TCP4), { fields: 0xf0n })
})

/** 40 features, so that there are two blocks; number 5 is none. */
function features(): NonNullable<FakeDriverState['features']> {
  return Array.from({ length: 40 }, (_, index) => [index === 5 ? '' : `feature-${index}`, { available: true }])
}

test('features: on, fixed and wanted, over two blocks', () => {
  const list = features()
  list[0] = ['rx-gro', { available: true, wanted: true, active: true }]
  list[31] = ['highdma', { active: true }]
  list[32] = ['rx-lro', { available: true, neverChanged: true }]
  list[39] = ['tx-tcp-segmentation', { available: true, wanted: true }]
  const answer = on({ features: list }).ask(readFeatures) ?? {}
  assert.equal(Object.keys(answer).length, 39)
  assert.deepEqual(answer['rx-gro'], { on: true, fixed: false, requested: true })
  assert.deepEqual(answer.highdma, { on: true, fixed: true, requested: false })
  assert.deepEqual(answer['rx-lro'], { on: false, fixed: true, requested: false })
  assert.deepEqual(answer['tx-tcp-segmentation'], { on: false, fixed: false, requested: true })
})

test('features are set by name, and a driver that does not follow is an error', () => {
  const list = features()
  list[33] = ['rx-lro', {}]
  const state = { features: list, stubborn: ['feature-2'] }
  const { kernel, control, ask } = on(state)
  setFeatures(kernel, control, 'eth0', { 'feature-0': true, 'feature-31': true, 'feature-39': true })
  const active = Object.entries(ask(readFeatures) ?? {}).flatMap(([name, { on: isOn }]) => (isOn ? [name] : []))
  assert.deepEqual(active, ['feature-0', 'feature-31', 'feature-39'])
  setFeatures(kernel, control, 'eth0', { 'feature-31': false })
  assert.equal(ask(readFeatures)?.['feature-31']?.on, false)
  assert.throws(() => setFeatures(kernel, control, 'eth0', { 'rx-lro': true }), { message: /rx-lro=1\): EOPNOTSUPP.*the driver cannot change it/ })
  assert.throws(() => setFeatures(kernel, control, 'eth0', { 'feature-2': true }), { message: /feature-2=1\): EOPNOTSUPP.*noted, but not in force/ })
  for (const name of ['', 'no-such']) assert.throws(() => setFeatures(kernel, control, 'eth0', { [name]: true }), { code: 'INVALID_OPTION' })
})

test('named counters; none of a driver without', () => {
  const { kernel, control } = on({
    counters: [
      ['rx_packets', 12n],
      ['rx_missed_errors', 2n ** 40n],
    ],
  })
  const counters = new DriverCounters(kernel, control, 'eth0')
  assert.deepEqual(counters.names, ['rx_packets', 'rx_missed_errors'])
  assert.deepEqual([...counters.read()], [12, 2 ** 40])
  const bare = on({})
  const none = new DriverCounters(bare.kernel, bare.control, 'eth0')
  assert.deepEqual([none.names, [...none.read()]], [[], []])
})

test('a control socket that cannot be had', () => {
  const kernel = fakeKernel()
  kernel.fail('socket', EPERM)
  assert.throws(() => openControlSocket(kernel), { message: /^ethtool: socket\(AF_INET, SOCK_DGRAM\): EPERM/ })
})
