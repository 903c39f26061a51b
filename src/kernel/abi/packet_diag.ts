/** linux/sock_diag.h and linux/packet_diag.h: packet sockets, listed by netlink. Byte offsets from the start of each struct. */

export const SOCK_DIAG_BY_FAMILY = 20

/** What packet_diag_req.pdiag_show asks for. */
export const PACKET_SHOW_MCLIST = 0x2

/** Attribute: the memberships, struct packet_diag_mclist each. */
export const PACKET_DIAG_MCLIST = 1

/** struct packet_diag_req. */
export const PACKET_DIAG_REQ = { sdiag_family: 0, pdiag_show: 8, sizeof: 20 } as const

/** struct packet_diag_msg; attributes follow. */
export const PACKET_DIAG_MSG = { pdiag_family: 0, pdiag_ino: 4, sizeof: 16 } as const

/** struct packet_diag_mclist. */
export const PACKET_DIAG_MCLIST_ENTRY = { pdmc_index: 0, pdmc_type: 8, sizeof: 44 } as const
