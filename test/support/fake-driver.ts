/**
 * A driver that answers SIOCETHTOOL out of a state, and changes the state as it is told: struct for struct as linux/ethtool.h has them, written
 * out here once more, in words.
 */
import assert from 'node:assert/strict'
import { bpfMemory } from './bpf-memory.js'
import { type FakeKernel, fakeKernel } from './fake-kernel.js'

const SIOCETHTOOL = 0x8946
const EINVAL = 22
const ENODEV = 19
const EOPNOTSUPP = 95
const NAME_BYTES = 32

export interface FakeDriverState {
  /** Words of struct ethtool_channels behind `cmd`: maxima of rx, tx, other, combined, and what they are. */
  channels?: number[]
  /** Words of struct ethtool_ringparam: maxima of rx, mini, jumbo, tx, and what they are. */
  rings?: number[]
  /** The 22 words of struct ethtool_coalesce. */
  coalescing?: number[]
  rss?: { indirection: number[]; key: number[]; functions: number; transform: number }
  /** RXH_* by TCP_V4_FLOW and the like, or the errno that the driver has for them; EOPNOTSUPP for others. */
  flowHash?: Map<number, { fields: bigint } | { errno: number }>
  /** By name, in the kernel's order; '' is a number without a feature. */
  features?: [name: string, flags: { available?: boolean; wanted?: boolean; active?: boolean; neverChanged?: boolean }][]
  info?: { driver: string; version: string; firmware: string; bus: string }
  /** Words of masks, Mbit/s, DUPLEX_*. */
  link?: { maskWords: number; speed: number; duplex: number }
  /** SOF_TIMESTAMPING_*, and phc_index. */
  stamps?: { bits: number; clock: number; filters?: number }
  counters?: [name: string, value: bigint][]
  /** Features that stay as they are, whatever is wanted. */
  stubborn?: string[]
}

const HASH_FUNCTIONS = ['toeplitz', 'xor', 'crc32']

/** A kernel with one interface, eth0. */
export function fakeDriver(state: FakeDriverState): FakeKernel {
  const kernel = fakeKernel()
  const memory = bpfMemory(kernel)
  kernel.answer('ioctl', (_fd, request, ifreq) => {
    assert.equal(request, SIOCETHTOOL)
    if (Buffer.from(ifreq.subarray(0, 16)).toString('latin1') !== 'eth0'.padEnd(16, '\0')) return -ENODEV
    const bytes = memory.at(ifreq, 16) as Uint8Array
    return answer(state, bytes, new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength))
  })
  return kernel
}

function answer(state: FakeDriverState, bytes: Uint8Array, words: DataView): number {
  const command = words.getUint32(0, true)
  const give = (values: readonly number[] | undefined) => {
    if (values === undefined) return -EOPNOTSUPP
    assert.equal(bytes.length, 4 + values.length * 4)
    for (const [index, value] of values.entries()) words.setUint32(4 + index * 4, value, true)
    return 0
  }
  const take = (values: number[] | undefined, maxima: number) => {
    if (values === undefined) return -EOPNOTSUPP
    const told = values.map((_, index) => words.getUint32(4 + index * 4, true))
    if (told.slice(maxima).some((value, index) => maxima > 0 && value > (values[index] as number))) return -EINVAL
    values.splice(0, values.length, ...told)
    return 0
  }
  const text = (offset: number, value: string, room: number) => bytes.set(new TextEncoder().encode(value).subarray(0, room - 1), offset)
  switch (command) {
    case 0x03:
      if (state.info === undefined) return -EOPNOTSUPP
      assert.equal(bytes.length, 196)
      for (const [index, value] of [state.info.driver, state.info.version, state.info.firmware, state.info.bus].entries()) text(4 + index * 32, value, 32)
      return 0
    case 0x4c: {
      if (state.link === undefined) return -EOPNOTSUPP
      const { maskWords, speed, duplex } = state.link
      if (words.getInt8(15) !== maskWords) {
        words.setInt8(15, -maskWords)
        return 0
      }
      assert.equal(bytes.length, 48 + 12 * maskWords)
      words.setUint32(4, speed, true)
      words.setUint8(8, duplex)
      return 0
    }
    case 0x41:
      if (state.stamps === undefined) return -EOPNOTSUPP
      assert.equal(bytes.length, 44)
      words.setUint32(4, state.stamps.bits, true)
      words.setInt32(8, state.stamps.clock, true)
      words.setUint32(28, state.stamps.filters ?? 0, true)
      return 0
    case 0x0e:
      return give(state.coalescing)
    case 0x0f:
      return take(state.coalescing, 0)
    case 0x10:
      return give(state.rings)
    case 0x11:
      return take(state.rings, 4)
    case 0x3c:
      return give(state.channels)
    case 0x3d:
      return take(state.channels, 4)
    case 0x46:
      return giveRss(state, words)
    case 0x47:
      return takeRss(state, words)
    case 0x29:
    case 0x2a:
      return flowHash(state, bytes, words, command === 0x2a)
    case 0x3a:
      return giveFeatures(state, words)
    case 0x3b:
      return takeFeatures(state, words)
    case 0x37: {
      // ETHTOOL_GSSET_INFO: one set is asked for, as a bit.
      const names = namesOf(state, Math.log2(Number(words.getBigUint64(8, true))))
      if (names === undefined) words.setBigUint64(8, 0n, true)
      else words.setUint32(16, names.length, true)
      return 0
    }
    case 0x1b: {
      const names = namesOf(state, words.getUint32(4, true)) ?? []
      assert.equal(bytes.length, 12 + names.length * NAME_BYTES)
      for (const [index, name] of names.entries()) text(12 + index * NAME_BYTES, name, NAME_BYTES)
      return 0
    }
    case 0x1d:
      for (const [index, [, value]] of (state.counters ?? []).entries()) words.setBigUint64(8 + index * 8, value, true)
      return 0
    default:
      return -EOPNOTSUPP
  }
}

/** Of ETH_SS_STATS, ETH_SS_FEATURES, ETH_SS_RSS_HASH_FUNCS. */
function namesOf(state: FakeDriverState, set: number): string[] | undefined {
  if (set === 1) return state.counters?.map(([name]) => name)
  if (set === 4) return state.features?.map(([name]) => name)
  return set === 5 ? HASH_FUNCTIONS : undefined
}

function giveRss({ rss }: FakeDriverState, words: DataView): number {
  if (rss === undefined) return -EOPNOTSUPP
  const hasRoom = words.getUint32(8, true) === rss.indirection.length && words.getUint32(12, true) === rss.key.length
  words.setUint32(8, rss.indirection.length, true)
  words.setUint32(12, rss.key.length, true)
  words.setUint8(16, rss.functions)
  words.setUint8(17, rss.transform)
  if (!hasRoom) return 0
  for (const [slot, queue] of rss.indirection.entries()) words.setUint32(24 + slot * 4, queue, true)
  for (const [index, byte] of rss.key.entries()) words.setUint8(24 + rss.indirection.length * 4 + index, byte)
  return 0
}

function takeRss({ rss }: FakeDriverState, words: DataView): number {
  if (rss === undefined) return -EOPNOTSUPP
  const told = words.getUint32(8, true)
  const slots = told === 0xffffffff ? 0 : told
  const keyBytes = words.getUint32(12, true)
  if ((slots !== 0 && slots !== rss.indirection.length) || (keyBytes !== 0 && keyBytes !== rss.key.length)) return -EINVAL
  assert.equal(words.byteLength, 24 + slots * 4 + keyBytes)
  if (told === 0) rss.indirection = rss.indirection.map((_, slot) => slot % 2)
  else if (slots > 0) rss.indirection = rss.indirection.map((_, slot) => words.getUint32(24 + slot * 4, true))
  if (keyBytes > 0) rss.key = rss.key.map((_, index) => words.getUint8(24 + slots * 4 + index))
  if (words.getUint8(16) !== 0) rss.functions = words.getUint8(16)
  rss.transform = words.getUint8(17)
  return 0
}

/** ETHTOOL_GRXFH and ETHTOOL_SRXFH: of struct ethtool_rxnfc the kernel copies no more than cmd, flow_type and 64 bits of data. */
function flowHash(state: FakeDriverState, bytes: Uint8Array, words: DataView, isTold: boolean): number {
  assert.equal(bytes.length, 16)
  const flow = words.getUint32(4, true)
  const known = state.flowHash?.get(flow)
  if (known === undefined) return -EOPNOTSUPP
  if ('errno' in known) return -known.errno
  if (isTold) state.flowHash?.set(flow, { fields: words.getBigUint64(8, true) })
  else words.setBigUint64(8, known.fields, true)
  return 0
}

function giveFeatures({ features = [] }: FakeDriverState, words: DataView): number {
  assert.equal(words.getUint32(4, true), Math.ceil(features.length / 32))
  for (const [index, [, { available, wanted, active, neverChanged }]] of features.entries()) {
    for (const [word, bit] of [available, wanted, active, neverChanged].entries()) {
      const offset = 8 + (index >> 5) * 16 + word * 4
      if (bit) words.setUint32(offset, words.getUint32(offset, true) | (1 << (index & 31)), true)
    }
  }
  return 0
}

function takeFeatures({ features = [], stubborn = [] }: FakeDriverState, words: DataView): number {
  let result = 0
  for (const [index, [name, flags]] of features.entries()) {
    const bit = (word: number) => (words.getUint32(8 + (index >> 5) * 8 + word * 4, true) & (1 << (index & 31))) !== 0
    if (!bit(0)) continue
    if (!flags.available) result |= 1
    else {
      flags.wanted = bit(1)
      if (!stubborn.includes(name)) flags.active = bit(1)
      if (flags.active !== bit(1)) result |= 2
    }
  }
  return result
}
