/** linux/if.h and linux/sockios.h: the interface ioctls. */

export const IFNAMSIZ = 16
export const ALTIFNAMSIZ = 128
export const IFF_UP = 0x1
export const IFF_LOOPBACK = 0x8
export const IFF_RUNNING = 0x40
export const IFF_PROMISC = 0x100

export const SIOCGIFNAME = 0x8910
export const SIOCGIFFLAGS = 0x8913
export const SIOCSIFFLAGS = 0x8914
export const SIOCGIFMTU = 0x8921
export const SIOCGIFHWADDR = 0x8927
export const SIOCGIFINDEX = 0x8933
export const SIOCGIFTXQLEN = 0x8942
export const SIOCETHTOOL = 0x8946
/** A descriptor of the socket's network namespace. Since Linux 4.9. */
export const SIOCGSKNS = 0x894c
export const SIOCGHWTSTAMP = 0x89b1

/** struct ifreq: a name and a union. */
export const IFREQ = { ifr_name: 0, ifr_ifindex: 16, ifr_flags: 16, ifr_mtu: 16, ifr_hwaddr: 16, ifr_qlen: 16, ifr_data: 16, sizeof: 40 } as const
