/** bits/socket.h, asm-generic/socket.h, linux/if_ether.h, linux/if_arp.h, linux/net_tstamp.h as sockets need them. 64-bit layouts. */

export const AF_UNIX = 1
export const AF_INET = 2
export const AF_INET6 = 10
export const AF_NETLINK = 16
export const AF_PACKET = 17
export const AF_XDP = 44
export const SOCK_DGRAM = 2
export const SOCK_RAW = 3
export const SOCK_CLOEXEC = 0o2000000
export const SOCK_NONBLOCK = 0o4000

export const SOL_SOCKET = 1
export const SOL_PACKET = 263
export const SOL_XDP = 283
export const SO_ERROR = 4
export const SO_SNDBUF = 7
export const SO_RCVBUF = 8
export const SO_ATTACH_FILTER = 26
export const SO_DETACH_FILTER = 27
export const SO_SNDBUFFORCE = 32
export const SO_RCVBUFFORCE = 33
/** Old-style (`struct timespec` of the platform's long), right on 64-bit. */
export const SO_TIMESTAMPNS = 35
export const SCM_TIMESTAMPNS = SO_TIMESTAMPNS
export const SO_RXQ_OVFL = 40
export const SO_LOCK_FILTER = 44
export const SO_BUSY_POLL = 46
/** Since Linux 5.11. */
export const SO_PREFER_BUSY_POLL = 69
/** Since Linux 5.11. */
export const SO_BUSY_POLL_BUDGET = 70
/** Since Linux 5.14. */
export const SO_NETNS_COOKIE = 71

export const MSG_DONTWAIT = 0x40
export const MSG_TRUNC = 0x20
export const MSG_CTRUNC = 0x08
export const MSG_WAITFORONE = 0x10000

/** IEEE 802.3 frames, which have a length and no EtherType: raw (IPX), and with an 802.2 header. */
export const ETH_P_802_3 = 0x0001
export const ETH_P_802_2 = 0x0004
export const ETH_P_ALL = 0x0003
export const ETH_P_8021Q = 0x8100
export const ETH_P_8021AD = 0x88a8

export const ARPHRD_ETHER = 1
export const ARPHRD_LOOPBACK = 772

/** struct iovec. */
export const IOVEC = { iov_base: 0, iov_len: 8, sizeof: 16 } as const

/** struct msghdr. */
export const MSGHDR = {
  msg_name: 0,
  msg_namelen: 8,
  msg_iov: 16,
  msg_iovlen: 24,
  msg_control: 32,
  msg_controllen: 40,
  msg_flags: 48,
  sizeof: 56,
} as const

/** struct mmsghdr. */
export const MMSGHDR = { msg_hdr: 0, msg_len: 56, sizeof: 64 } as const

/** struct cmsghdr; data follow at `sizeof`, the next header at the 8-byte aligned end. */
export const CMSGHDR = { cmsg_len: 0, cmsg_level: 8, cmsg_type: 12, sizeof: 16 } as const

/** struct sock_filter and struct sock_fprog (linux/filter.h). */
export const SOCK_FILTER = { code: 0, jt: 2, jf: 3, k: 4, sizeof: 8 } as const
export const SOCK_FPROG = { len: 0, filter: 8, sizeof: 16 } as const
