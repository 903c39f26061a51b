/** What of a packet a NIC hashes to choose its receive queue, by the kind of flow, read and changed: `ethtool -n/-N IFACE rx-flow-hash`. */
import { CaptureError } from '../errors.js'
import {
  ETHTOOL_GRXFH,
  ETHTOOL_RXNFC,
  ETHTOOL_SRXFH,
  RXH_DISCARD,
  RXH_GTP_TEID,
  RXH_IP_DST,
  RXH_IP_SRC,
  RXH_IP6_FL,
  RXH_L2DA,
  RXH_L3_PROTO,
  RXH_L4_B_0_1,
  RXH_L4_B_2_3,
  RXH_VLAN,
  SCTP_V4_FLOW,
  SCTP_V6_FLOW,
  TCP_V4_FLOW,
  TCP_V6_FLOW,
  UDP_V4_FLOW,
  UDP_V6_FLOW,
} from './abi/ethtool.js'
import type { Descriptor } from './descriptor.js'
import { EINVAL } from './errno.js'
import { askEthtool, tellEthtool } from './ethtool.js'
import type { Kernel } from './system.js'

/** Kinds of flows by the names that ethtool(8) gives them. */
const FLOW_TYPES = {
  tcp4: TCP_V4_FLOW,
  udp4: UDP_V4_FLOW,
  tcp6: TCP_V6_FLOW,
  udp6: UDP_V6_FLOW,
  sctp4: SCTP_V4_FLOW,
  sctp6: SCTP_V6_FLOW,
} as const
export type FlowType = keyof typeof FLOW_TYPES

/** The letters of ethtool(8), in the order in which it prints what they mean. */
const FIELDS: readonly (readonly [letter: string, bit: number])[] = [
  ['m', RXH_L2DA],
  ['v', RXH_VLAN],
  ['t', RXH_L3_PROTO],
  ['s', RXH_IP_SRC],
  ['d', RXH_IP_DST],
  ['f', RXH_L4_B_0_1],
  ['n', RXH_L4_B_2_3],
  ['e', RXH_GTP_TEID],
  ['l', RXH_IP6_FL],
  ['r', RXH_DISCARD],
]

/** Letters by kind of flow: `sdfn` are both addresses and both ports, '' is none. */
export type FlowHash = Partial<Record<FlowType, string>>

/** Kinds of flows that the driver does not know are left out; undefined where it knows none. @throws CaptureError NO_SUCH_INTERFACE */
export function readFlowHash(kernel: Kernel, control: Descriptor, name: string): FlowHash | undefined {
  const told = (Object.keys(FLOW_TYPES) as FlowType[]).flatMap((flow) => {
    const letters = readFields(kernel, control, name, flow)
    return letters === undefined ? [] : [[flow, letters] as const]
  })
  return told.length === 0 ? undefined : (Object.fromEntries(told) as FlowHash)
}

function readFields(kernel: Kernel, control: Descriptor, name: string, flow: FlowType): string | undefined {
  const view = request(flow)
  try {
    if (!askEthtool(kernel, control, name, [ETHTOOL_GRXFH, 'ETHTOOL_GRXFH'], view.buffer)) return undefined
  } catch (error) {
    // So drivers say that they do not know a kind of flow: ena of sctp6, older mlx5 of all but TCP and UDP.
    if (error instanceof CaptureError && error.errno === EINVAL) return undefined
    throw error
  }
  // NB: the lower half. RXH_DISCARD is a negative int, and spreads over the upper one.
  return lettersOf(view.getUint32(ETHTOOL_RXNFC.data, true))
}

/** Undefined with a field that has no letter: what cannot be said cannot be put back either. */
function lettersOf(bits: number): string | undefined {
  const found = FIELDS.filter(([, bit]) => (bits & bit) !== 0)
  const known = found.reduce((sum, [, bit]) => sum + bit, 0)
  return known === bits ? found.map(([letter]) => letter).join('') : undefined
}

/**
 * Changes the fields of one kind of flow.
 * @throws CaptureError PERMISSION, NO_SUCH_INTERFACE; INVALID_OPTION for a letter that there is not; EOPNOTSUPP, EINVAL as the driver answers.
 */
export function setFlowHash(kernel: Kernel, control: Descriptor, name: string, flow: FlowType, letters: string): void {
  const view = request(flow)
  const bits = [...new Set(letters)].reduce((sum, letter) => sum + bitOf(name, letter), 0)
  view.setUint32(ETHTOOL_RXNFC.data, bits, true)
  tellEthtool(kernel, control, name, [ETHTOOL_SRXFH, 'ETHTOOL_SRXFH'], view.buffer, `${flow}=${letters}`)
}

function request(flow: FlowType): DataView<ArrayBuffer> {
  const view = new DataView(new ArrayBuffer(ETHTOOL_RXNFC.sizeof))
  view.setUint32(ETHTOOL_RXNFC.flow_type, FLOW_TYPES[flow], true)
  return view
}

function bitOf(name: string, letter: string): number {
  const [, bit] = FIELDS.find(([known]) => known === letter) ?? []
  if (bit !== undefined) return bit
  throw new CaptureError('INVALID_OPTION', `${name}: no field ${letter} of a flow to hash; ethtool knows ${FIELDS.map(([known]) => known).join('')}`)
}
