/** Generic netlink: a family is found by its name, and asked one thing. */
import { CaptureError } from '../errors.js'
import { CTRL_ATTR_FAMILY_ID, CTRL_ATTR_FAMILY_NAME, CTRL_CMD_GETFAMILY, GENL_ID_CTRL, GENLMSGHDR } from './abi/genetlink.js'
import { ENOENT } from './errno.js'
import { type Attribute, encodeAttributes, type NetlinkSocket, parseAttributes, viewOf } from './netlink.js'

/** The number of a family; undefined where the kernel has none of this name. */
export function genericFamily(socket: NetlinkSocket, name: string): number | undefined {
  let answer: Map<number, Uint8Array>
  try {
    answer = askGeneric(socket, {
      subject: name,
      call: 'CTRL_CMD_GETFAMILY',
      family: GENL_ID_CTRL,
      command: CTRL_CMD_GETFAMILY,
      version: 1,
      attributes: [[CTRL_ATTR_FAMILY_NAME, name]],
    })
  } catch (error) {
    if (error instanceof CaptureError && error.errno === ENOENT) return undefined
    throw error
  }
  const family = answer.get(CTRL_ATTR_FAMILY_ID)
  return family === undefined || family.length < 2 ? undefined : viewOf(family).getUint16(0, true)
}

export interface GenericRequest {
  subject: string
  call: string
  family: number
  command: number
  version: number
  attributes: readonly Attribute[]
}

/** The attributes of the first message of the answer. */
export function askGeneric(socket: NetlinkSocket, { subject, call, family, command, version, attributes }: GenericRequest): Map<number, Uint8Array> {
  const header = new Uint8Array(GENLMSGHDR.sizeof)
  header[GENLMSGHDR.cmd] = command
  header[GENLMSGHDR.version] = version
  const [answer] = socket.request(subject, call, family, 0, encodeAttributes(attributes, header))
  return parseAttributes(answer?.body.subarray(GENLMSGHDR.sizeof) ?? new Uint8Array(0))
}
