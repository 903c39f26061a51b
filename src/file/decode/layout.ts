/**
 * Numbers and layouts of the two formats, by the names of draft-ietf-opsawg-pcap and draft-ietf-opsawg-pcapng. Offsets are in bytes
 * from the start of the header or block. No logic.
 */

/** Magic numbers of a pcap file, as its own byte order reads them. */
export const PCAP_MAGIC_MICROSECONDS = 0xa1b2c3d4
export const PCAP_MAGIC_NANOSECONDS = 0xa1b23c4d
/** Kuznetsov's patch of old Linux distributions: records have 8 more bytes (interface index, protocol, packet type). */
export const PCAP_MAGIC_MODIFIED = 0xa1b2cd34

export const PCAP_HEADER = { magic: 0, major: 4, minor: 6, snaplen: 16, linktype: 20, sizeof: 24 } as const
export const PCAP_RECORD = { seconds: 0, fraction: 4, captured: 8, original: 12, sizeof: 16, modified_sizeof: 24 } as const
/** The upper half of the link type: whether frames end in an FCS, and how long it is in 16-bit units. */
export const PCAP_FCS_PRESENT = 0x0400_0000
export const PCAP_FCS_LENGTH_SHIFT = 28
export const PCAP_LINKTYPE_MASK = 0xffff

export const SECTION_HEADER_BLOCK = 0x0a0d0d0a
export const INTERFACE_DESCRIPTION_BLOCK = 1
/** Obsolete; its layout is that of the enhanced one but for 16 bits of interface and 16 of drops. */
export const PACKET_BLOCK = 2
export const SIMPLE_PACKET_BLOCK = 3
export const NAME_RESOLUTION_BLOCK = 4
export const INTERFACE_STATISTICS_BLOCK = 5
export const ENHANCED_PACKET_BLOCK = 6
export const DECRYPTION_SECRETS_BLOCK = 10
export const CUSTOM_BLOCK = 0xbad
/** A custom block that a program which does not know it must not copy to another file. */
export const CUSTOM_BLOCK_NOT_COPIED = 0x4000_0bad

/** Every block: its type, its length, and the length again in its last word. */
export const BLOCK = { type: 0, length: 4, body: 8, sizeof: 12 } as const
export const BYTE_ORDER_MAGIC = 0x1a2b3c4d
export const SHB = { byte_order: 8, major: 12, minor: 14, section_length: 16, options: 24, sizeof: 28 } as const
export const IDB = { linktype: 8, snaplen: 12, options: 16, sizeof: 20 } as const
export const EPB = { interface: 8, time_high: 12, time_low: 16, captured: 20, original: 24, data: 28, sizeof: 32 } as const
export const PB = { interface: 8, drops: 10 } as const
export const SPB = { original: 8, data: 12, sizeof: 16 } as const
export const ISB = { interface: 8, time_high: 12, time_low: 16, options: 20, sizeof: 24 } as const
export const NRB = { records: 8, sizeof: 12 } as const
export const DSB = { secrets_type: 8, secrets_length: 12, secrets: 16, sizeof: 20 } as const
export const CB = { enterprise: 8, sizeof: 16 } as const

/** Options of every block. */
export const OPT_ENDOFOPT = 0
export const OPT_COMMENT = 1

export const SHB_HARDWARE = 2
export const SHB_OS = 3
export const SHB_USERAPPL = 4

export const IF_NAME = 2
export const IF_DESCRIPTION = 3
export const IF_IPV4ADDR = 4
export const IF_IPV6ADDR = 5
export const IF_MACADDR = 6
export const IF_SPEED = 8
export const IF_TSRESOL = 9
export const IF_FILTER = 11
export const IF_OS = 12
export const IF_FCSLEN = 13
export const IF_TSOFFSET = 14
export const IF_HARDWARE = 15

export const EPB_FLAGS = 2
export const EPB_HASH = 3
export const EPB_DROPCOUNT = 4
export const EPB_PACKETID = 5
export const EPB_QUEUE = 6
export const EPB_VERDICT = 7

export const ISB_STARTTIME = 2
export const ISB_ENDTIME = 3
export const ISB_IFRECV = 4
export const ISB_IFDROP = 5
export const ISB_FILTERACCEPT = 6
export const ISB_OSDROP = 7
export const ISB_USRDELIV = 8

export const NRB_RECORD_END = 0
export const NRB_RECORD_IPV4 = 1
export const NRB_RECORD_IPV6 = 2
