/**
 * What every way of sending has in common. A sender takes frames in order, hands them to the kernel in batches, and knows of each
 * whether the kernel has taken it; what becomes of those that it does not take is decided above (transmission.ts).
 */

/** `recv` a plain socket and sendmmsg(2), `ring` a PACKET_TX_RING, `xdp` the TX ring of an AF_XDP socket. */
export const TRANSMIT_BACKENDS = ['ring', 'recv', 'xdp'] as const
export type TransmitBackend = (typeof TRANSMIT_BACKENDS)[number]

/** A frame for every 802.1Q tag is longer by so much than the MTU says; the kernel grants it for 0x8100 alone. */
export const VLAN_HLEN = 4
export const ETHER_HEADER = 14

export interface Sender extends Disposable {
  /** Of the longest frame that it can hold. */
  readonly room: number
  /** Frames that were put and that the kernel has not taken. */
  readonly pending: number
  /** Taken by the kernel since the beginning. */
  readonly packets: number
  readonly bytes: number
  /** Lost by the driver with an error that came too late to try again. */
  readonly dropped: number
  /** Puts a frame behind the others. False when there is no room: flush, and offer it again. */
  send(bytes: Uint8Array, offset: number, length: number): boolean
  /** Hands over what was put. Answers 0, or the -errno for which the kernel did not take the first of what is left. */
  flush(): number
  /** Takes back the frame at which the kernel stopped, and all that are longer than `limit`. Answers how many. */
  withdrawRefused(limit: number): number
  /** Takes back all that the kernel has not taken. Answers how many. */
  withdraw(): number
  /** Frames that the kernel has taken and whose memory it still needs. */
  inFlight(): number
  /** Idempotent. */
  close(): void
}
