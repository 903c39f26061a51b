/** The link types that packets are decoded and printed of, by the names of `tcpdump -y`. */

/** The numbers in the header of a pcap or pcapng file (https://www.tcpdump.org/linktypes.html). */
export const LINKTYPE = {
  NULL: 0,
  EN10MB: 1,
  PPP: 9,
  PPP_ETHER: 51,
  RAW: 101,
  LOOP: 108,
  LINUX_SLL: 113,
  IPV4: 228,
  IPV6: 229,
  LINUX_SLL2: 276,
} as const

export type PacketLinkType = keyof typeof LINKTYPE

/** Raw IP as some files had it: by the numbers that DLT_RAW has on Linux and on OpenBSD. */
const OLD_RAW = [12, 14] as const

const NAMES: ReadonlyMap<number, PacketLinkType> = new Map([
  ...(Object.keys(LINKTYPE) as PacketLinkType[]).map((name) => [LINKTYPE[name], name] as const),
  ...OLD_RAW.map((number) => [number, 'RAW'] as const),
])

/** The name of a LINKTYPE_ number; undefined for a link type that is not decoded. */
export function packetLinkType(linktype: number): PacketLinkType | undefined {
  return NAMES.get(linktype)
}
