/** Receive-side scaling of a driver, read and changed: which queue a flow goes to. `ethtool -x/-X`. */
import { CaptureError } from '../errors.js'
import { ETH_RXFH_INDIR_NO_CHANGE, ETH_SS_RSS_HASH_FUNCS, ETHTOOL_GRSSH, ETHTOOL_RXFH, ETHTOOL_SRSSH } from './abi/ethtool.js'
import type { Descriptor } from './descriptor.js'
import { callFailed, EOPNOTSUPP } from './errno.js'
import { askEthtool, ethtoolStrings, tellEthtool } from './ethtool.js'
import type { Kernel } from './system.js'

const GET = [ETHTOOL_GRSSH, 'ETHTOOL_GRSSH'] as const

export interface Rss {
  /** Receive queue of each slot; empty where the driver does not show its table. */
  indirection: number[]
  /** Lower-case hexadecimal without separators; empty where the driver does not show its key. */
  key: string
  /** `toeplitz`, `xor`, `crc32`; undefined where the driver does not tell. */
  hashFunction: string | undefined
  /** RXH_XFRM_*; always 0 before Linux 6.8. */
  inputTransform: number
}

/** What stays out stays as it is. */
export interface RssChange {
  /** As long as the present one; `default` lets the driver spread the slots evenly. */
  indirection?: readonly number[] | 'default' | undefined
  /** As long as the present one. */
  key?: string | undefined
  hashFunction?: string | undefined
  inputTransform?: number | undefined
}

/** Undefined where the driver has none. @throws CaptureError NO_SUCH_INTERFACE */
export function readRss(kernel: Kernel, control: Descriptor, name: string): Rss | undefined {
  const answer = readTable(kernel, control, name)
  if (answer === undefined) return undefined
  const { view, slots, keyBytes } = answer
  const key = Buffer.from(view.buffer, ETHTOOL_RXFH.rss_config + slots * 4, keyBytes).toString('hex')
  const functions = view.getUint8(ETHTOOL_RXFH.hfunc)
  return {
    indirection: Array.from({ length: slots }, (_, slot) => view.getUint32(ETHTOOL_RXFH.rss_config + slot * 4, true)),
    key,
    hashFunction: functions === 0 ? undefined : ethtoolStrings(kernel, control, name, ETH_SS_RSS_HASH_FUNCS)[31 - Math.clz32(functions)],
    inputTransform: view.getUint8(ETHTOOL_RXFH.input_xfrm),
  }
}

interface Table {
  view: DataView<ArrayBuffer>
  slots: number
  keyBytes: number
}

/** The whole struct; its first answer only tells how long table and key are. */
function readTable(kernel: Kernel, control: Descriptor, name: string): Table | undefined {
  const sizes = new ArrayBuffer(ETHTOOL_RXFH.rss_config)
  if (!askEthtool(kernel, control, name, GET, sizes)) return undefined
  const slots = new DataView(sizes).getUint32(ETHTOOL_RXFH.indir_size, true)
  const keyBytes = new DataView(sizes).getUint32(ETHTOOL_RXFH.key_size, true)
  const view = new DataView(new ArrayBuffer(ETHTOOL_RXFH.rss_config + slots * 4 + keyBytes))
  view.setUint32(ETHTOOL_RXFH.indir_size, slots, true)
  view.setUint32(ETHTOOL_RXFH.key_size, keyBytes, true)
  return askEthtool(kernel, control, name, GET, view.buffer) ? { view, slots, keyBytes } : undefined
}

/**
 * Changes table, key, hash function or input transformation.
 * @throws CaptureError PERMISSION, NO_SUCH_INTERFACE; INVALID_OPTION for a table or key of another length; EOPNOTSUPP, EINVAL as the driver answers.
 */
export function setRss(kernel: Kernel, control: Descriptor, name: string, values: RssChange): void {
  const { indirection, key, hashFunction, inputTransform } = values
  const text = Object.entries(values)
    .flatMap(([field, value]) => (value === undefined ? [] : [`${field}=${Array.isArray(value) ? value.join(',') : value}`]))
    .join(' ')
  const present = readTable(kernel, control, name)
  if (present === undefined) throw callFailed({ subject: name, call: `ioctl(ETHTOOL_SRSSH, ${text})`, errno: EOPNOTSUPP })
  const slots = Array.isArray(indirection) ? indirection : []
  if (Array.isArray(indirection)) assertLength(name, 'indirection', slots.length, present.slots)
  const keyBytes = Buffer.from(key ?? '', 'hex')
  if (key !== undefined) {
    if (!/^([0-9a-f]{2})+$/i.test(key)) throw new CaptureError('INVALID_OPTION', `${name}: expected the RSS key in hexadecimal, got '${key}'`)
    assertLength(name, 'key', keyBytes.length, present.keyBytes)
  }

  const view = new DataView(new ArrayBuffer(ETHTOOL_RXFH.rss_config + slots.length * 4 + keyBytes.length))
  view.setUint32(ETHTOOL_RXFH.indir_size, indirection === undefined ? ETH_RXFH_INDIR_NO_CHANGE : slots.length, true)
  view.setUint32(ETHTOOL_RXFH.key_size, keyBytes.length, true)
  view.setUint8(ETHTOOL_RXFH.hfunc, hashFunction === undefined ? 0 : hashBit(kernel, control, name, hashFunction))
  // NB: 0 turns the transformation off, and before Linux 6.8 nothing else is let through here: what it is now fits both.
  view.setUint8(ETHTOOL_RXFH.input_xfrm, inputTransform ?? present.view.getUint8(ETHTOOL_RXFH.input_xfrm))
  slots.forEach((queue, slot) => {
    view.setUint32(ETHTOOL_RXFH.rss_config + slot * 4, queue, true)
  })
  new Uint8Array(view.buffer).set(keyBytes, ETHTOOL_RXFH.rss_config + slots.length * 4)
  tellEthtool(kernel, control, name, [ETHTOOL_SRSSH, 'ETHTOOL_SRSSH'], view.buffer, text)
}

function hashBit(kernel: Kernel, control: Descriptor, name: string, hashFunction: string): number {
  const names = ethtoolStrings(kernel, control, name, ETH_SS_RSS_HASH_FUNCS)
  const index = names.indexOf(hashFunction)
  if (index < 0) throw new CaptureError('INVALID_OPTION', `${name}: no hash function ${hashFunction}; the kernel knows ${names.join(', ')}`)
  return 1 << index
}

function assertLength(name: string, what: string, got: number, expected: number): void {
  if (got !== expected) throw new CaptureError('INVALID_OPTION', `${name}: the RSS ${what} has a length of ${expected}, got ${got}`)
}
