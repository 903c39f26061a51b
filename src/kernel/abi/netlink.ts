/** linux/netlink.h: messages, attributes and acknowledgements. Byte offsets from the start of each struct. */

export const NETLINK_ROUTE = 0
export const NETLINK_SOCK_DIAG = 4
export const NETLINK_GENERIC = 16

export const SOL_NETLINK = 270
/** Since Linux 4.3: an error does not repeat the request. */
export const NETLINK_CAP_ACK = 10
/** Since Linux 4.12: an error carries text. */
export const NETLINK_EXT_ACK = 11
/** Since Linux 4.20: dumps are checked strictly, and take filters. */
export const NETLINK_GET_STRICT_CHK = 12

export const NLMSG_NOOP = 1
export const NLMSG_ERROR = 2
export const NLMSG_DONE = 3
export const NLMSG_ALIGNTO = 4

export const NLM_F_REQUEST = 0x1
export const NLM_F_MULTI = 0x2
export const NLM_F_ACK = 0x4
/** The objects changed while they were dumped: ask again. */
export const NLM_F_DUMP_INTR = 0x10
/** The answer to a dump holds only what its filters let through. */
export const NLM_F_DUMP_FILTERED = 0x20
export const NLM_F_DUMP = 0x300
export const NLM_F_EXCL = 0x200
export const NLM_F_CREATE = 0x400
/** Of an NLMSG_ERROR: the request is not repeated behind `msg`. */
export const NLM_F_CAPPED = 0x100
/** Of an NLMSG_ERROR: attributes NLMSGERR_ATTR_* follow. */
export const NLM_F_ACK_TLVS = 0x200

export const NLMSGERR_ATTR_MSG = 1
export const NLMSGERR_ATTR_OFFS = 2

export const NLA_F_NESTED = 0x8000
export const NLA_TYPE_MASK = 0x3fff

/** struct nlmsghdr. */
export const NLMSGHDR = { nlmsg_len: 0, nlmsg_type: 4, nlmsg_flags: 6, nlmsg_seq: 8, nlmsg_pid: 12, sizeof: 16 } as const

/** struct nlmsgerr: a negative errno and the header of the request. */
export const NLMSGERR = { error: 0, msg: 4, sizeof: 20 } as const

/** struct nlattr, which is struct rtattr. */
export const NLATTR = { nla_len: 0, nla_type: 2, sizeof: 4 } as const
