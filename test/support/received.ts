/** What a packet socket gets of a frame on the wire, and what the kernel knows of it beside its bytes. */
import type { Ancillary } from '#src/bpf/interpret.js'
import { ARPHRD_ETHER, ETH_P_802_2, ETH_P_802_3, ETH_P_8021AD, ETH_P_8021Q } from '#src/kernel/abi/socket.js'

export interface Received {
  readonly bytes: Uint8Array
  readonly ancillary: Ancillary
}

/** Of an interface with this index and address. A tagged frame must be longer than its tag. */
export function asReceived(frame: Uint8Array, interfaceIndex: number, mac: Uint8Array): Received {
  const typeAt = (bytes: Uint8Array) => (bytes[12] << 8) | bytes[13]
  const hasVlan = [ETH_P_8021Q, ETH_P_8021AD].includes(typeAt(frame))
  const bytes = hasVlan ? Uint8Array.from([...frame.subarray(0, 12), ...frame.subarray(16)]) : frame
  const destination = frame.subarray(0, 6)
  const isMine = destination.every((byte, i) => byte === mac[i])
  const isBroadcast = destination.every((byte) => byte === 0xff)
  const type = typeAt(bytes)
  return {
    bytes,
    ancillary: {
      protocol: type >= 0x0600 ? type : bytes[14] === 0xff && bytes[15] === 0xff ? ETH_P_802_3 : ETH_P_802_2,
      packetType: isBroadcast ? 1 : (frame[0] & 1) !== 0 ? 2 : isMine ? 0 : 3,
      interfaceIndex,
      hasVlan,
      vlanTci: hasVlan ? (frame[14] << 8) | frame[15] : 0,
      vlanTpid: hasVlan ? typeAt(frame) : 0,
      mark: 0,
      hardwareType: ARPHRD_ETHER,
      // A veth notes none.
      queue: 0,
    },
  }
}
