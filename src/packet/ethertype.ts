/** EtherTypes, and how tcpdump calls them. */

export const ETHERTYPE = {
  IP: 0x0800,
  ARP: 0x0806,
  TEB: 0x6558,
  REVARP: 0x8035,
  VLAN: 0x8100,
  IPV6: 0x86dd,
  PPP: 0x880b,
  MPLS: 0x8847,
  MPLS_MULTICAST: 0x8848,
  PPPOE_DISCOVERY: 0x8863,
  PPPOE_SESSION: 0x8864,
  JUMBO: 0x8870,
  QINQ: 0x88a8,
  MACSEC: 0x88e5,
  VLAN_9100: 0x9100,
  VLAN_9200: 0x9200,
} as const

/** Above it stands a type, up to it a length (802.3). */
export const LONGEST_8023 = 1500

export const ETHERTYPE_NAMES: Readonly<Record<number, string>> = {
  254: 'GRE-OSI',
  512: 'PUP',
  1536: 'NS',
  1280: 'Sprite',
  1799: 'GeoNet (old)',
  2048: 'IPv4',
  2054: 'ARP',
  4096: 'Trail',
  4369: 'CALM FAST',
  24577: 'MOP DL',
  24578: 'MOP RC',
  24579: 'DN',
  24580: 'LAT',
  24583: 'SCA',
  25944: 'TEB',
  32821: 'Reverse ARP',
  32824: 'Lanbridge',
  32828: 'DEC DNS',
  32830: 'DEC DTS',
  32859: 'VEXP',
  32860: 'VPROD',
  32923: 'Appletalk',
  33011: 'Appletalk ARP',
  33024: '802.1Q',
  33079: 'IPX',
  34525: 'IPv6',
  34824: 'MPCP',
  34825: 'Slow Protocols',
  34827: 'PPP',
  34887: 'MPLS unicast',
  34888: 'MPLS multicast',
  34915: 'PPPoE D',
  34916: 'PPPoE S',
  34927: 'MS NLB heartbeat',
  34928: 'Jumbo',
  34958: 'EAPOL',
  34969: 'Realtek protocols',
  34978: 'AoE',
  34984: '802.1Q-QinQ',
  35018: 'TIPC',
  35020: 'LLDP',
  35045: '802.1AE MACsec',
  35063: 'PTP',
  35074: 'CFM',
  35130: 'IEEE1905.1',
  35143: 'GeoNet',
  35151: 'NSH',
  36864: 'Loopback',
  37120: '802.1Q-9100',
  37376: '802.1Q-9200',
  43981: 'CFM (old)',
  53899: 'Arista Vendor Specific Protocol',
  65278: 'OSI',
}

/** Types that are told by name and length; their dissection is tshark's. */
export const NAMED_ETHERTYPES: ReadonlySet<number> = new Set([
  1799, 4369, 24579, 32923, 33011, 33079, 34824, 34825, 34827, 34927, 34928, 34958, 34969, 34978, 35018, 35020, 35045, 35063, 35074, 35143, 35151, 36864, 43981,
  65278,
])

export function isVlanTag(type: number): boolean {
  return type === 0x8100 || type === 0x88a8 || type === 0x9100 || type === 0x9200
}
