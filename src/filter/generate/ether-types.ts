/** Numbers of protocols in link-layer headers: Ethernet types, 802.2 service access points, PPP. Pure. */

/** The largest 802.3 length; from 0x600 on the field is a type. libpcap draws the line here. */
export const ETHERNET_MTU = 1500

export const ETHERTYPE = {
  ip: 0x0800,
  arp: 0x0806,
  transparentBridging: 0x6558,
  mopdl: 0x6001,
  moprc: 0x6002,
  decnet: 0x6003,
  lat: 0x6004,
  sca: 0x6007,
  rarp: 0x8035,
  atalk: 0x809b,
  aarp: 0x80f3,
  vlan: 0x8100,
  ipx: 0x8137,
  ip6: 0x86dd,
  mpls: 0x8847,
  pppoed: 0x8863,
  pppoes: 0x8864,
  /** 802.1ad, the service tag. */
  serviceVlan: 0x88a8,
  loopback: 0x9000,
  /** What was used for service tags before 802.1ad. */
  oldServiceVlan: 0x9100,
} as const

export const SAP = { ip: 0x06, stp: 0x42, snap: 0xaa, ipx: 0xe0, netbeui: 0xf0, iso: 0xfe } as const

export const IP_PROTOCOL = {
  hopByHop: 0,
  icmp: 1,
  igmp: 2,
  tcp: 6,
  igrp: 9,
  udp: 17,
  routing: 43,
  fragment: 44,
  esp: 50,
  ah: 51,
  icmp6: 58,
  destinationOptions: 60,
  pim: 103,
  vrrp: 112,
  /** Shares the number of VRRP. */
  carp: 112,
  sctp: 132,
} as const

/** Network layer protocol identifiers of ISO, and the PDU types of IS-IS. */
export const NLPID = { clnp: 0x81, esis: 0x82, isis: 0x83 } as const
export const ISIS_PDU = { l1Hello: 15, l2Hello: 16, pointToPointHello: 17, l1Lsp: 18, l2Lsp: 20, l1Csnp: 24, l2Csnp: 25, l1Psnp: 26, l2Psnp: 27 } as const

/** By Ethernet type or service access point; what is not here is itself. */
export const PPP_OF: ReadonlyMap<number, number> = new Map([
  [ETHERTYPE.ip, 0x0021],
  [ETHERTYPE.ip6, 0x0057],
  [ETHERTYPE.decnet, 0x0027],
  [ETHERTYPE.atalk, 0x0029],
  /** Xerox NS. */
  [0x0600, 0x0025],
  [SAP.iso, 0x0023],
  [SAP.stp, 0x0031],
  [SAP.ipx, 0x002b],
])
export const PPP_MPLS = 0x0281
