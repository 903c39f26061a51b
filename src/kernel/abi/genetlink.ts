/** linux/genetlink.h: generic netlink, and its family that tells the numbers of the others. */

export const GENL_ID_CTRL = 0x10
export const CTRL_CMD_GETFAMILY = 3
export const CTRL_ATTR_FAMILY_ID = 1
export const CTRL_ATTR_FAMILY_NAME = 2

/** struct genlmsghdr; attributes follow. */
export const GENLMSGHDR = { cmd: 0, version: 1, reserved: 2, sizeof: 4 } as const
