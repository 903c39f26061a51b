/** The link types that filters are made for, by the names of `tcpdump -y`. Pure. */

interface LinkTypeRow {
  /** DLT_ number as <net/bpf.h> has it on Linux. */
  dlt: number
  /** Number in pcap and pcapng files, where it is another. */
  linktype?: number
  description: string
}

export const LINK_TYPES = {
  NULL: { dlt: 0, description: 'BSD loopback' },
  EN10MB: { dlt: 1, description: 'Ethernet' },
  RAW: { dlt: 12, linktype: 101, description: 'Raw IP' },
  LOOP: { dlt: 108, description: 'OpenBSD loopback' },
  LINUX_SLL: { dlt: 113, description: 'Linux cooked v1' },
  IPV4: { dlt: 228, description: 'Raw IPv4' },
  IPV6: { dlt: 229, description: 'Raw IPv6' },
  LINUX_SLL2: { dlt: 276, description: 'Linux cooked v2' },
} as const satisfies Record<string, LinkTypeRow>

export type LinkType = keyof typeof LINK_TYPES

const ROWS = Object.entries(LINK_TYPES) as [LinkType, LinkTypeRow][]

/** By its name, in either case, with or without `DLT_`. */
export function linkTypeNamed(name: string): LinkType | undefined {
  const upper = name.toUpperCase().replace(/^DLT_/, '')
  return ROWS.find(([known]) => known === upper)?.[0]
}

/** By the number in the header of a pcap or pcapng file. */
export function linkTypeNumbered(linktype: number): LinkType | undefined {
  return ROWS.find(([, row]) => (row.linktype ?? row.dlt) === linktype)?.[0]
}
