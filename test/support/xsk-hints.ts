/** XSK_HINTS as the XDP program writes them, written with BigInt and by bytes: what the reader's arithmetic is compared with. */
import { XSK_HINTS, XSK_HINTS_MAGIC, XSK_HINTS_TIMESTAMP, XSK_HINTS_VALID, XSK_HINTS_VLAN } from '#src/bpf/xsk-program.js'

export interface Hints {
  /** Nanoseconds. */
  timestamp?: bigint
  tag?: { tpid: number; tci: number }
}

/** Fields that are not valid hold what an earlier packet may have left. */
export function hintsOf(hints: Hints): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(XSK_HINTS.sizeof).fill(0xee)
  const view = new DataView(bytes.buffer)
  const { timestamp, tag } = hints
  view.setUint16(XSK_HINTS.magic, XSK_HINTS_MAGIC, true)
  if (timestamp !== undefined) view.setBigUint64(XSK_HINTS.timestamp, timestamp, true)
  if (tag !== undefined) {
    view.setUint16(XSK_HINTS.vlanTci, tag.tci, true)
    view.setUint16(XSK_HINTS.vlanTpid, tag.tpid)
  }
  const bits = (timestamp === undefined ? 0 : XSK_HINTS_TIMESTAMP) | (tag === undefined ? 0 : XSK_HINTS_VLAN)
  view.setUint16(XSK_HINTS.valid, XSK_HINTS_VALID | bits, true)
  return bytes
}
