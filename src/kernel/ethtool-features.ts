/** Offloads by their names, read and changed: `ethtool -k/-K`. */
import { CaptureError } from '../errors.js'
import {
  ETH_SS_FEATURES,
  ETHTOOL_F_UNSUPPORTED,
  ETHTOOL_F_WISH,
  ETHTOOL_GET_FEATURES_BLOCK,
  ETHTOOL_GFEATURES,
  ETHTOOL_GFEATURES_HDR,
  ETHTOOL_SET_FEATURES_BLOCK,
  ETHTOOL_SFEATURES,
  ETHTOOL_SFEATURES_HDR,
} from './abi/ethtool.js'
import type { Descriptor } from './descriptor.js'
import { callFailed, EOPNOTSUPP } from './errno.js'
import { askEthtool, ethtoolStrings, tellEthtool } from './ethtool.js'
import type { Kernel } from './system.js'

export interface Feature {
  on: boolean
  /** Cannot be changed: [fixed] of ethtool. */
  fixed: boolean
  /** What was asked for, where something stands in the way: [requested on] of ethtool. */
  requested: boolean
}

/** By the kernel's names, in its order: `rx-gro`, `rx-lro`, `rx-vlan-hw-parse`. Undefined where the kernel does not tell. @throws CaptureError NO_SUCH_INTERFACE */
export function readFeatures(kernel: Kernel, control: Descriptor, name: string): Record<string, Feature> | undefined {
  const names = ethtoolStrings(kernel, control, name, ETH_SS_FEATURES)
  const blocks = Math.ceil(names.length / 32)
  const view = new DataView(new ArrayBuffer(ETHTOOL_GFEATURES_HDR.features + blocks * ETHTOOL_GET_FEATURES_BLOCK.sizeof))
  view.setUint32(ETHTOOL_GFEATURES_HDR.size, blocks, true)
  if (names.length === 0 || !askEthtool(kernel, control, name, [ETHTOOL_GFEATURES, 'ETHTOOL_GFEATURES'], view.buffer)) return undefined
  const bit = (index: number, word: number) => {
    const block = ETHTOOL_GFEATURES_HDR.features + (index >> 5) * ETHTOOL_GET_FEATURES_BLOCK.sizeof
    return (view.getUint32(block + word, true) & (1 << (index & 31))) !== 0
  }
  const features: Record<string, Feature> = {}
  for (const [index, feature] of names.entries()) {
    // A number that has no feature has no name.
    if (feature === '') continue
    features[feature] = {
      on: bit(index, ETHTOOL_GET_FEATURES_BLOCK.active),
      fixed: !bit(index, ETHTOOL_GET_FEATURES_BLOCK.available) || bit(index, ETHTOOL_GET_FEATURES_BLOCK.never_changed),
      requested: bit(index, ETHTOOL_GET_FEATURES_BLOCK.requested),
    }
  }
  return features
}

/**
 * Turns features on or off by their kernel names; all others stay as they are.
 * @throws CaptureError PERMISSION, NO_SUCH_INTERFACE; INVALID_OPTION for a name that the kernel does not know; EOPNOTSUPP for one that cannot
 * be changed, or that another one keeps from coming into force: that is noted, and shows as `requested`.
 */
export function setFeatures(kernel: Kernel, control: Descriptor, name: string, values: Readonly<Record<string, boolean>>): void {
  const names = ethtoolStrings(kernel, control, name, ETH_SS_FEATURES)
  const blocks = Math.ceil(names.length / 32)
  const view = new DataView(new ArrayBuffer(ETHTOOL_SFEATURES_HDR.features + blocks * ETHTOOL_SET_FEATURES_BLOCK.sizeof))
  view.setUint32(ETHTOOL_SFEATURES_HDR.size, blocks, true)
  const raise = (offset: number, index: number) => view.setUint32(offset, view.getUint32(offset, true) | (1 << (index & 31)), true)
  for (const [feature, on] of Object.entries(values)) {
    const index = feature === '' ? -1 : names.indexOf(feature)
    if (index < 0) throw new CaptureError('INVALID_OPTION', `${name}: no feature ${feature}`, { hint: `ethtool -k ${name} lists them` })
    const block = ETHTOOL_SFEATURES_HDR.features + (index >> 5) * ETHTOOL_SET_FEATURES_BLOCK.sizeof
    raise(block + ETHTOOL_SET_FEATURES_BLOCK.valid, index)
    if (on) raise(block + ETHTOOL_SET_FEATURES_BLOCK.requested, index)
  }
  const text = Object.entries(values)
    .map(([feature, on]) => `${feature}=${on ? 1 : 0}`)
    .join(' ')
  const answer = tellEthtool(kernel, control, name, [ETHTOOL_SFEATURES, 'ETHTOOL_SFEATURES'], view.buffer, text)
  const refused = (detail: string) => callFailed({ subject: name, call: `ioctl(ETHTOOL_SFEATURES, ${text})`, errno: EOPNOTSUPP, detail })
  if ((answer & ETHTOOL_F_UNSUPPORTED) !== 0) throw refused('the driver cannot change it')
  if ((answer & ETHTOOL_F_WISH) !== 0) throw refused('noted, but not in force: the driver or another feature stands in the way')
}
