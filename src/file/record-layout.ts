/** What a record of a packet looks like, byte for byte: struct pcap_sf_pkthdr (libpcap), and the Enhanced Packet Block (draft-ietf-opsawg-pcapng, 4.3). */

export interface RecordFormat {
  format: 'pcap' | 'pcapng'
  /** Time stamps in microseconds instead of nanoseconds. */
  microseconds: boolean
  /** Longest packet in a record, tag included; at most 262144. */
  snapLengthBytes: number
  /** Of pcapng: the interface's number in its section. */
  interfaceId: number
}

export const PCAP_RECORD = { seconds: 0, fraction: 4, capturedLength: 8, originalLength: 12, sizeof: 16 } as const

/** `sizeof` is without data and options; behind them stands the block's length once more. */
export const EPB = {
  type: 0,
  totalLength: 4,
  interfaceId: 8,
  timestampHigh: 12,
  timestampLow: 16,
  capturedLength: 20,
  originalLength: 24,
  data: 28,
  sizeof: 32,
  typeCode: 6,
  /** epb_flags and opt_endofopt. */
  flagsOptionBytes: 12,
} as const

/** The option epb_flags: 4 bytes, of which the lowest two bits are the direction. */
export const OPTION_EPB_FLAGS = { code: 2, outbound: 2 } as const

export const ETHER_ADDRESSES = 12
export const VLAN_HLEN = 4

/** The longest record: a packet of the largest snap length. */
export const MAX_RECORD_BYTES = 262_144 + EPB.sizeof + EPB.flagsOptionBytes
